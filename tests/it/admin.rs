//! The admin listener as its operator uses it, and the commands that speak to it: everybody's connections, a person's
//! data, another key of the store. Never a token, and nobody without the key.

mod connections; // list, show, disconnect; what does not open is told
mod people; // all of a person's data goes, and nobody else's
mod rekey; // another store key: kill -9 in the middle, calls and refreshes meanwhile
mod typed; // the same by `keyferry connections`, `people` and `store`

use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, AuthorizationServer, Client, Configuration, Keyferry, Request, assert_free_of, until};

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(60);

/// `acme` and `other` are integrations at a real authorization server, and a back end has a key.
struct Scene {
    server: AuthorizationServer,
    keyferry: Keyferry,
    admin_key: String,
}

impl Scene {
    /// With these lines under `[store]`.
    async fn over(store: &str) -> Self {
        Self::with(store, |configuration| configuration).await
    }

    /// With more of a configuration.
    async fn with(store: &str, more: impl FnOnce(Configuration) -> Configuration) -> Self {
        let server = AuthorizationServer::start().await;
        let (admin_key, hash) = Keyferry::new_key().await;
        let configuration = Configuration::new()
            .store(store)
            .server(&format!("admin_key_hash = \"{hash}\""))
            .integration("acme", server.issuer(), server.issuer(), &Client::POST)
            .integration("other", server.issuer(), server.issuer(), &Client::BASIC)
            .caller(&Keyferry::new_key().await);
        let keyferry = Keyferry::start(more(configuration)).await;
        Self { server, keyferry, admin_key }
    }

    /// A request of the operator.
    fn admin(&self, method: &str, path: &str) -> Request {
        self.keyferry.admin_request(method, path).header("authorization", &format!("Bearer {}", self.admin_key))
    }

    /// The answer to one, which holds no secret.
    async fn ask(&self, method: &str, path: &str) -> Answer {
        let answer = self.admin(method, path).send().await;
        let secrets = self.server.secrets().await;
        assert!(!secrets.is_empty(), "nothing to look for");
        assert_free_of(&secrets.iter().collect::<Vec<_>>(), path, &answer.body);
        answer
    }

    /// All connections that this query wants, page by page, each once.
    async fn list(&self, query: &str) -> Vec<Value> {
        let mut list: Vec<Value> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.ask("GET", &format!("/connections?{query}{cursor}")).await.expect(200).json();
            for connection in page["connections"].as_array().expect("a list") {
                if !list.iter().any(|known| known["connection"] == connection["connection"]) {
                    list.push(connection.clone());
                }
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return list,
            }
        }
    }

    /// Begins to seal everything anew; the answer is read as it comes.
    async fn rekey(&self) -> reqwest::Response {
        let url = format!("http://{}/store/rekey", self.keyferry.admin());
        let request = crate::support::plain_client().post(url).bearer_auth(&self.admin_key);
        request.send().await.expect("an answer")
    }

    /// Seals everything anew, and gives the last line.
    async fn rekey_whole(&self) -> Value {
        let answer = self.ask("POST", "/store/rekey").await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        let text = answer.text();
        serde_json::from_str(text.lines().last().expect("a line")).expect("of JSON")
    }

    /// Waits for a line of the audit.
    async fn audited(&self, message: &str, found: impl Fn(&Value) -> bool) -> Value {
        until(message, PATIENCE, || async {
            let log = self.keyferry.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["target"] == "audit" && line["message"] == message).find(&found)
        })
        .await
    }
}
