//! The vendors' data APIs of `tests/peers/vendors.mjs`: they page and insist as the vendors do, break on order, and keep
//! what arrives as it came.

use serde_json::{Value, json};

use super::{AuthorizationServer, Client, Recorded, Request, authorization_server::start, http, process::Process};

/// The running vendors. They end when this goes.
pub(crate) struct Vendors {
    url: String,
    http: reqwest::Client,
    process: Process,
}

impl Vendors {
    /// Starts them; they take the tokens that are alive at `server`, which they ask each time.
    pub(crate) async fn start(server: &AuthorizationServer) -> Self {
        Self::configured(json!({
            "introspection": {
                "endpoint": server.url("/token/introspection"),
                "client_id": Client::POST.id,
                "client_secret": Client::POST.secret,
            },
        }))
        .await
    }

    /// Starts them with settings of `vendors.mjs`.
    pub(crate) async fn configured(settings: Value) -> Self {
        let (process, said) = start("vendors.mjs", &settings).await;
        let url = said["url"].as_str().expect("they say their URL").to_owned();
        Self { url, http: http::client(), process }
    }

    /// Their base URL, one for all.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Orders a fault, for example `{"match": "/v1/search", "mode": "answer", "status": 503}`; see `vendors/faults.mjs`.
    pub(crate) async fn fault(&self, fault: Value) {
        self.control("POST", "/_fault", &fault).await;
    }

    /// Takes back every fault that is still waiting.
    pub(crate) async fn clear_faults(&self) {
        self.control("DELETE", "/_fault", &json!({})).await;
    }

    /// Changes `tokens`, `introspection` or `synthetic` for what comes.
    pub(crate) async fn change(&self, settings: Value) {
        self.control("POST", "/_settings", &settings).await;
    }

    /// What has arrived since it was last taken.
    pub(crate) async fn requests(&self) -> Vec<Recorded> {
        serde_json::from_value(self.control("GET", "/_requests", &json!({})).await).expect("the vendors' own JSON")
    }

    /// Takes what has arrived since the last time.
    pub(crate) async fn take(&self) -> Vec<Recorded> {
        let requests = self.requests().await;
        self.control("DELETE", "/_requests", &json!({})).await;
        requests
    }

    /// How many requests have ever arrived.
    pub(crate) async fn count(&self) -> u64 {
        self.control("GET", "/_count", &json!({})).await["requests"].as_u64().expect("a count")
    }

    /// Ends them: nothing listens there any more.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    async fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.url);
        Request::new(&self.http, method, &url).json(body).send().await.expect(200).json()
    }
}
