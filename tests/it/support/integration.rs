//! Integrations of shipped provider files, whose authorization server and API are the peers'.

use serde_json::{Value, json};

use super::{AuthorizationServer, Client, Configuration, Vendors};

/// HubSpot's number of the account; it comes with the token.
const HUB: u64 = 48_213_377;

/// An integration and its provider file.
#[derive(Debug, Clone)]
pub(crate) struct Integration {
    pub(crate) name: &'static str,
    head: String,
    path: &'static str,
    oauth: String,
    api: String,
    tail: String,
}

impl Integration {
    /// A shipped provider file, sent to the peers instead of the vendor: everything else that it says holds, save that
    /// waits which a test would only sit through are short. `path` is where the vendor's base URL ends.
    pub(crate) fn shipped(name: &'static str, file: &str, path: &'static str) -> Self {
        let api = "retry = { wait = [\"header:retry-after\", \"10ms\"], max = 3 }\n".to_owned();
        Self { name, head: format!("extends = \"{file}\"\n"), path, oauth: String::new(), api, tail: String::new() }
    }

    /// HubSpot.
    pub(crate) fn hubspot() -> Self {
        Self::shipped("hubspot", "hubspot", "")
    }

    /// Notion.
    pub(crate) fn notion() -> Self {
        Self::shipped("notion", "notion", "")
    }

    /// Airtable.
    pub(crate) fn airtable() -> Self {
        Self::shipped("airtable", "airtable", "")
    }

    /// A file of the test's own, by the name of `acme`, with these keys of `[api]` and these streams.
    pub(crate) fn acme(api: &str, streams: &str) -> Self {
        let head = "display_name = \"Acme\"\n".to_owned();
        Self { name: "acme", head, path: "", oauth: String::new(), api: format!("{api}\n"), tail: streams.to_owned() }
    }

    /// The same with a base URL that ends in this path.
    pub(crate) fn below(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// The same with other keys of `[api]`.
    pub(crate) fn api(mut self, lines: &str) -> Self {
        self.api = format!("{lines}\n");
        self
    }

    /// The same with more keys of `[oauth]`.
    pub(crate) fn oauth(mut self, lines: &str) -> Self {
        self.oauth = format!("{lines}\n");
        self
    }

    /// Adds it to a configuration, at the peers.
    pub(crate) fn configure(
        &self,
        configuration: Configuration,
        server: &AuthorizationServer,
        vendors: &Vendors,
    ) -> Configuration {
        let provider = format!("here-{}", self.name);
        configuration
            .provider(&provider, &self.file(server, vendors.url()))
            .client(self.name, &Client::POST)
            .toml(&format!("provider = \"{provider}\""))
    }

    /// Its provider file, at the peers.
    pub(crate) fn file(&self, server: &AuthorizationServer, vendors: &str) -> String {
        let Self { head, path, oauth: more, api, tail, .. } = self;
        let oauth = format!(
            "[oauth]\nauthorization_endpoint = \"{auth}\"\ntoken_endpoint = \"{token}\"\nrevocation_endpoint = \
             \"{revocation}\"\ntoken_endpoint_auth_method = \"client_secret_post\"\ntoken_request_format = \"form\"\n\
             code_challenge_method = \"S256\"\nscope_separator = \" \"\n\
             authorization_params = {{ prompt = \"consent\" }}\n",
            auth = server.url("/auth"),
            token = server.url("/token"),
            revocation = server.url("/token/revocation"),
        );
        let rate = if api.contains("rate =") { "" } else { "rate = { limit = 100000, per = \"1s\" }\n" };
        format!("{head}\n{oauth}{more}\n[api]\nbase_url = \"{vendors}{path}\"\n{rate}{api}\n{tail}")
    }
}

/// Orders for [`AuthorizationServer::fault`]: the next answer to a code says of the account what HubSpot and Slack say
/// of theirs.
pub(crate) fn hub_patch() -> Value {
    json!({
        "endpoint": "token", "grant_type": "authorization_code", "mode": "patch",
        "patch": { "hub_id": HUB, "user_id": 71_530_642, "team": { "id": "T0FIELD", "name": "Fieldnotes" } },
    })
}
