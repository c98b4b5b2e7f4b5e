//! The application of `tests/peers/app.mjs`, and the issuer of logins' tokens of `tests/peers/issuer.mjs`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Request, authorization_server::start, http, process::Process};

/// A running application. It ends when this goes.
pub(crate) struct Application {
    url: String,
    http: reqwest::Client,
    process: Process,
}

/// One request as it arrived there.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Seen {
    /// The method.
    pub(crate) method: String,
    /// The request target, byte for byte.
    pub(crate) target: String,
    /// Names and values as they came.
    pub(crate) headers: Vec<(String, String)>,
}

impl Seen {
    /// All values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }
}

impl Application {
    /// Starts one with an ordinary session cookie.
    pub(crate) async fn start() -> Self {
        Self::configured(json!({})).await
    }

    /// Starts one with settings of `app.mjs`.
    pub(crate) async fn configured(settings: Value) -> Self {
        let (process, said) = start("app.mjs", &settings).await;
        Self { url: said["url"].as_str().expect("it says its URL").to_owned(), http: http::client(), process }
    }

    /// Its own URL, behind Keyferry.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What has arrived since the last look.
    pub(crate) async fn seen(&self) -> Vec<Seen> {
        let answer = Request::new(&self.http, "GET", &format!("{}/_seen", self.url)).send().await.expect(200);
        serde_json::from_slice(&answer.body).expect("the application's own JSON")
    }

    /// How often it was asked who is logged in, since the last look.
    pub(crate) async fn questions(&self) -> usize {
        self.seen().await.iter().filter(|seen| seen.target == "/api/me").count()
    }

    /// How it answers from now on when it is asked who is logged in; null for as it should.
    pub(crate) async fn trouble(&self, status: Value) {
        let request = Request::new(&self.http, "POST", &format!("{}/_trouble", self.url));
        request.json(&json!({ "status": status })).send().await.expect(200);
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

/// A running issuer of tokens. It ends when this goes.
pub(crate) struct Issuer {
    url: String,
    http: reqwest::Client,
    _process: Process,
}

impl Issuer {
    /// Starts one with keys of its own.
    pub(crate) async fn start() -> Self {
        let (process, said) = start("issuer.mjs", &json!({})).await;
        Self { url: said["url"].as_str().expect("it says its URL").to_owned(), http: http::client(), _process: process }
    }

    /// Its issuer identifier.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A token, as `issuer.mjs` describes it; `{}` for a good one about Ada.
    pub(crate) async fn sign(&self, wanted: Value) -> String {
        let request = Request::new(&self.http, "POST", &format!("{}/_sign", self.url)).json(&wanted);
        request.send().await.expect(200).json()["token"].as_str().expect("a token").to_owned()
    }

    /// Changes its keys.
    pub(crate) async fn rotate(&self) {
        Request::new(&self.http, "POST", &format!("{}/_rotate", self.url)).send().await.expect(200);
    }

    /// How often its keys were asked for.
    pub(crate) async fn key_requests(&self) -> u64 {
        let counts = Request::new(&self.http, "GET", &format!("{}/_counts", self.url)).send().await.expect(200).json();
        counts["keys"].as_u64().expect("a count")
    }
}
