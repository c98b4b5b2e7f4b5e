//! The authorization server of `tests/peers/authorization-server.mjs`: npm `oidc-provider`, an API that its tokens
//! open, counts of what happened, and faults on order.

use std::{io::Write, process::Command, time::Duration};

use serde_json::{Value, json};

use super::{Request, http, peers, process::Process};

/// A running authorization server. It ends when this goes.
pub(crate) struct AuthorizationServer {
    issuer: String,
    http: reqwest::Client,
    _process: Process,
}

/// A client as registered at the authorization server.
#[derive(Clone)]
pub(crate) struct Client {
    /// `client_id`.
    pub(crate) id: &'static str,
    /// `client_secret`; empty for a public client.
    pub(crate) secret: &'static str,
    /// `token_endpoint_auth_method`.
    pub(crate) method: &'static str,
}

/// The names of integrations whose callbacks are registered.
const INTEGRATIONS: [&str; 16] = [
    "acme",
    "other",
    "third",
    "notion",
    "hubspot",
    "airtable",
    "github",
    "notion-compat",
    "airtable-compat",
    "drive",
    "onedrive",
    "slack",
    "jira",
    "dropbox",
    "linear",
    "stripe",
];

impl Client {
    /// Sends its secret in the body.
    pub(crate) const POST: Self =
        Self { id: "keyferry-post", secret: "a secret for the body", method: "client_secret_post" };
    /// Sends it in the `Authorization` header. Its id and secret hold every character that shows whether they are
    /// form-encoded first, as RFC 6749, section 2.3.1 says.
    pub(crate) const BASIC: Self =
        Self { id: "id:with%25+odd/chars=&1", secret: "se:cret %2B+/=& with~odd", method: "client_secret_basic" };
    /// Has no secret.
    pub(crate) const NONE: Self = Self { id: "keyferry-public", secret: "", method: "none" };

    /// Its registration (RFC 7591). A loopback redirect URI without a port takes any port (RFC 8252, section 7.3).
    pub(crate) fn registration(&self) -> Value {
        let redirect = |host, integration| format!("http://{host}/integrations/{integration}/oauth2callback");
        let redirects = ["127.0.0.1", "localhost"].map(|host| INTEGRATIONS.map(|name| redirect(host, name))).concat();
        let mut metadata = json!({
            "client_id": self.id,
            "token_endpoint_auth_method": self.method,
            "redirect_uris": redirects,
        });
        if !self.secret.is_empty() {
            metadata["client_secret"] = self.secret.into();
        }
        metadata
    }
}

impl AuthorizationServer {
    /// Starts one that knows the three clients, requires PKCE and rotates refresh tokens.
    pub(crate) async fn start() -> Self {
        Self::configured(json!({})).await
    }

    /// Starts one with settings of `authorization-server.mjs` beside or instead of those of [`start`](Self::start).
    pub(crate) async fn configured(settings: Value) -> Self {
        let clients = [Client::POST, Client::BASIC, Client::NONE].map(|client| client.registration());
        let mut given = json!({
            "clients": clients,
            "pkce": true,
            "rotate": true,
        });
        for (key, value) in settings.as_object().expect("settings are an object") {
            given[key] = value.clone();
        }
        let (process, said) = start("authorization-server.mjs", &given).await;
        let issuer = said["issuer"].as_str().expect("it says its issuer").to_owned();
        Self { issuer, http: http::client(), _process: process }
    }

    /// Its issuer identifier, which is also the base URL of its API.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What has happened: `/token/refresh_token`, `/granted/…`, `/token_errors/invalid_grant`, `/api/401`, `/revocation`,
    /// `/introspection`, `/discovery`, `/grants_revoked`, `/faults/token/500` …; a JSON pointer that is not there is 0.
    pub(crate) async fn count(&self, pointer: &str) -> u64 {
        self.get("/_counts").await.pointer(pointer).map_or(0, |count| count.as_u64().expect("a count"))
    }

    /// How many requests have arrived at an endpoint, before any delay.
    pub(crate) async fn arrivals(&self, endpoint: &str) -> u64 {
        self.count(&format!("/arrived/{endpoint}")).await
    }

    /// The token requests so far: when, grant type, client authentication, names of parameters.
    pub(crate) async fn token_requests(&self) -> Vec<Value> {
        self.get("/_token_requests").await.as_array().expect("a list").clone()
    }

    /// How many of a kind are alive: `AccessToken`, `RefreshToken`, `Grant`.
    pub(crate) async fn live(&self, kind: &str) -> u64 {
        self.get("/_live").await[kind].as_u64().unwrap_or(0)
    }

    /// Every code and token that it ever issued.
    pub(crate) async fn secrets(&self) -> Vec<String> {
        serde_json::from_value(self.get("/_secrets").await).expect("a list of strings")
    }

    /// Orders a fault, for example `{"endpoint": "token", "mode": "500", "times": 3}`; see `Door.order`.
    pub(crate) async fn fault(&self, fault: Value) {
        Request::new(&self.http, "POST", &self.url("/_fault")).json(&fault).send().await.expect(200);
    }

    /// Takes back every fault that is still waiting.
    pub(crate) async fn clear_faults(&self) {
        Request::new(&self.http, "DELETE", &self.url("/_fault")).send().await.expect(200);
    }

    /// Changes `access_token_ttl`, `refresh_token_ttl` (seconds) or `token_delay_ms` for what comes.
    pub(crate) async fn change(&self, settings: Value) {
        Request::new(&self.http, "POST", &self.url("/_settings")).json(&settings).send().await.expect(200);
    }

    /// Forgets all of one kind, as if each had been revoked.
    pub(crate) async fn forget(&self, kind: &str) {
        Request::new(&self.http, "POST", &self.url("/_forget")).json(&json!({ "kind": kind })).send().await.expect(200);
    }

    /// A URL below it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    async fn get(&self, path: &str) -> Value {
        Request::new(&self.http, "GET", &self.url(path)).send().await.expect(200).json()
    }
}

/// Starts a peer of `tests/peers` and waits for the line in which it says where it is. It reads its settings from
/// standard input and ends when that closes.
pub(super) async fn start(script: &str, settings: &Value) -> (Process, Value) {
    let mut command = Command::new("node");
    command.arg(peers(script));
    let mut process = Process::start(script, command);
    writeln!(process.stdin(), "{settings}").expect("it reads its settings");
    let said = process
        .output("line that says where it is", Duration::from_secs(30), |process| {
            process.stdout().split_once('\n').map(|(line, _)| serde_json::from_str(line).expect("a JSON line"))
        })
        .await;
    (process, said)
}
