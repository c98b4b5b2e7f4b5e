//! Each mechanism of provider files against a scripted authorization server: every byte that is sent, and what comes of
//! the answer.

mod authorization;
mod callback;
mod calls;
mod captured_host; // endpoints that only an answer tells
mod captures;
mod client_assertion; // private_key_jwt and client_secret_jwt
mod client_auth;
mod client_credentials; // grants that an integration gets for itself
mod discovery; // requests that learn where to call
mod ending;
mod extra; // further tokens of the answers
mod flow; // the whole life of a connection, as text
mod formats;
mod introspection; // when a token ends, by RFC 7662
mod jwt_bearer; // the same for an assertion
mod kept; // what answers say besides, for captures that come later
mod mutual_tls; // certificates in place of secrets
mod odd; // a server whose flow is its own, by a file that was written from the page
mod plain; // nothing but two endpoints: what the others differ from
mod refreshing;
mod token_exchange; // requests after the code exchange that bring other tokens
mod token_params;
mod token_response; // answers of every shape
mod variables;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::support::{Answer, Configuration, Keyferry, Person, Scripted, until};

const LIMIT: Duration = Duration::from_secs(20);

/// The head of every request of ours behind its own headers, and of one that has a form.
const HEAD: &str = "user-agent: keyferry/0.1.0\nhost: server\n";
const FORM: &str = "content-type: application/x-www-form-urlencoded\nuser-agent: keyferry/0.1.0\nhost: server\n\
    content-length: {length}\n\n";

/// What tests of a mechanism are about: the integration `acme`, its file, and the server behind both.
pub(crate) struct Acme {
    pub(crate) server: Scripted,
    pub(crate) keyferry: Keyferry,
}

/// A browser that was sent to the provider.
pub(crate) struct Sent {
    /// Where to, but for the server's own address, which is `server`; fresh values stand as `{state}`, `{challenge}`
    /// and `{callback}`.
    pub(crate) url: String,
    /// The state that the provider is to give back.
    pub(crate) state: String,
}

impl Acme {
    /// Starts both. `file` is the provider file, where `SERVER` stands for the server's origin; `lines` go below
    /// `[integrations.acme]`, behind a client id, `the-id`.
    pub(crate) async fn start(file: &str, lines: &str) -> Self {
        Self::start_with(Configuration::new(), file, lines).await
    }

    /// The same with a store that outlives the process.
    pub(crate) async fn start_on_disk(file: &str, lines: &str) -> Self {
        Self::start_with(Configuration::new().store("url = \"file:keyferry.redb\""), file, lines).await
    }

    /// The same, with more of a configuration.
    pub(crate) async fn start_with(configuration: Configuration, file: &str, lines: &str) -> Self {
        let server = Scripted::start().await;
        let configuration = configuration
            .provider("acme", &file.replace("SERVER", &server.url("")))
            .toml(&format!("[integrations.acme]\nclient_id = \"the-id\"\n{lines}"));
        Self { keyferry: Keyferry::start(configuration).await, server }
    }

    /// Ends it with SIGTERM and starts it again with another provider file.
    pub(crate) async fn restart_with(&mut self, file: &str) {
        self.keyferry.change_provider("acme", &file.replace("SERVER", &self.server.url("")));
        self.keyferry.restart().await;
    }

    /// Begins an authorization, with more fields of the form.
    pub(crate) async fn begin(&self, more: &[(&str, &str)]) -> Sent {
        let url = self.keyferry.authorize("acme", Person::ADA, more).await;
        let parameters: BTreeMap<String, String> =
            Url::parse(&url.replace('#', "%23")).expect("a URL").query_pairs().into_owned().collect();
        let mut shown = url.replace(&self.server.url(""), "http://server");
        let state = parameters.get("state").cloned().unwrap_or_default();
        for (value, name) in [(Some(&state), "{state}"), (parameters.get("code_challenge"), "{challenge}")] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                shown = shown.replace(value.as_str(), name);
            }
        }
        Sent { url: self.shown(&shown), state }
    }

    /// The browser comes back from the provider.
    pub(crate) async fn come_back(&self, query: &str) -> Answer {
        self.keyferry.request("GET", &format!("/integrations/acme/oauth2callback?{query}")).send().await
    }

    /// Connects: the browser comes back with `the-code` and the right state. The token endpoint's answer has to be
    /// scripted.
    pub(crate) async fn connect(&self) -> Value {
        let sent = self.begin(&[]).await;
        self.come_back(&format!("code=the-code&state={}", sent.state)).await.expect(200);
        self.connection().await
    }

    /// Comes back from the provider with `the-code`, where that does not connect; answers the page.
    pub(crate) async fn fail_to_connect(&self, more: &[(&str, &str)], status: u16, code: &str) -> String {
        let sent = self.begin(more).await;
        let page = self.come_back(&format!("code=the-code&state={}", sent.state)).await.expect(status);
        assert_eq!(page.header("keyferry-error"), Some(code), "{}", page.describe());
        self.keyferry.call("acme", "/me", Person::ADA).await.expect_problem(424, "not_connected");
        page.text()
    }

    /// Waits until a request to this path has come, and answers the requests since the last time.
    pub(crate) async fn requests_up_to(&self, path: &str) -> Vec<String> {
        let seen = std::cell::RefCell::new(Vec::new());
        until("a request", LIMIT, || async {
            seen.borrow_mut().extend(self.requests());
            let has_come = |request: &String| request.split([' ', '?']).nth(1) == Some(path);
            seen.borrow().iter().any(has_come).then_some(())
        })
        .await;
        seen.into_inner()
    }

    /// The connection as its person sees it.
    pub(crate) async fn connection(&self) -> Value {
        self.keyferry.request_for("GET", "/integrations/acme/connection", Person::ADA).send().await.expect(200).json()
    }

    /// The requests since the last time, with the fresh verifier as `{verifier}`, the redirect URI as `{callback}`, and
    /// the length of the body, which depends on them and is right or the request would not be here, as `{length}`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let shown = |request: &String| without_length(&self.shown(&without_verifier(request)));
        self.server.requests().iter().map(shown).collect()
    }

    /// So many requests since the last time, once they have come: for what follows an answer.
    pub(crate) async fn arrivals(&self, count: usize) -> Vec<String> {
        let requests = std::cell::RefCell::new(Vec::new());
        until("the requests", Duration::from_secs(10), || async {
            requests.borrow_mut().extend(self.requests());
            (requests.borrow().len() >= count).then_some(())
        })
        .await;
        requests.into_inner()
    }

    /// With the redirect URI as `{callback}`, however it is encoded.
    fn shown(&self, text: &str) -> String {
        let callback = format!("{}/integrations/acme/oauth2callback", self.keyferry.public_url());
        let form: String = form_urlencoded::byte_serialize(callback.as_bytes()).collect();
        text.replace(&callback, "{callback}").replace(&form, "{callback}")
    }
}

fn without_length(request: &str) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some(("content-length", _)) => "content-length: {length}".to_owned(),
        _ => line.to_owned(),
    };
    request.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The verifier is 43 characters behind its name, whether in a form, a query or a JSON text.
fn without_verifier(request: &str) -> String {
    let Some(at) = request.find("code_verifier") else { return request.to_owned() };
    let is_its = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let from = at + "code_verifier".len();
    let start = from + request[from..].find(is_its).expect("a verifier");
    let length = request[start..].find(|c| !is_its(c));
    let end = length.map_or(request.len(), |length| start + length);
    assert!((43..=128).contains(&(end - start)), "RFC 7636 section 4.1: {}", &request[start..end]);
    format!("{}{{verifier}}{}", &request[..start], &request[end..])
}
