//! The server of `tests/peers/odd.mjs`, whose flow is described in `tests/peers/odd/API.md` and is nobody else's.

use serde_json::{Value, json};

use super::{Request, authorization_server::start, http, process::Process};

/// A running one. It ends when this goes.
pub(crate) struct Odd {
    url: String,
    http: reqwest::Client,
    _process: Process,
}

impl Odd {
    /// Starts one that knows the app `the-id` with `the-secret`, and whose tokens are good for so long.
    pub(crate) async fn start(valid_for_ms: u32) -> Self {
        let settings = json!({ "app_key": "the-id", "app_secret": "the-secret", "valid_for_ms": valid_for_ms });
        let (process, said) = start("odd.mjs", &settings).await;
        let url = said["url"].as_str().expect("it says its URL").to_owned();
        Self { url, http: http::client(), _process: process }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many sessions are `open`, and how often one was `renewed`.
    pub(crate) async fn sessions(&self) -> Value {
        Request::new(&self.http, "GET", &format!("{}/_sessions", self.url)).send().await.expect(200).json()
    }
}
