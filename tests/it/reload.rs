//! The configuration changes while it runs: what makes it be read again, what is in force then, and what goes on as it
//! began.

mod flight; // what has begun ends as it began; nothing is lost under load
mod live; // what may change, and what waits for a restart
mod refused; // a mistake changes nothing
mod triggers; // files, SIGHUP, POST /reload
mod vendor; // an API and its token endpoint, by name

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use self::vendor::Vendor;
use crate::support::{Answer, Configuration, Keyferry, Person, Request, until};

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ada is connected at `acme`, whose API is the vendor `one`, and there is another vendor, `two`.
struct Scene {
    one: Vendor,
    two: Vendor,
    keyferry: Keyferry,
    admin_key: String,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|configuration| configuration, "").await
    }

    /// With more of a configuration, and more lines of `[integrations.acme]`.
    async fn with(more: impl FnOnce(Configuration) -> Configuration, lines: &str) -> Self {
        let (one, two) = (Vendor::start("one").await, Vendor::start("two").await);
        let (admin_key, hash) = Keyferry::new_key().await;
        let configuration = Configuration::new()
            .server(&format!("admin_key_hash = \"{hash}\""))
            .provider("acme", &file(&one, &one))
            .toml(&format!("[integrations.acme]\nclient_id = \"the-id\"\n{lines}"));
        let keyferry = Keyferry::start(more(configuration)).await;
        let scene = Self { one, two, keyferry, admin_key };
        scene.connect().await;
        scene
    }

    /// Connects Ada: the browser comes back with a code.
    async fn connect(&self) {
        if self.keyferry.api_key().is_some() {
            return;
        }
        let url = self.keyferry.authorize("acme", Person::ADA, &[]).await;
        let url = url::Url::parse(&url).expect("a URL");
        let state = url.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
        let back = format!("/integrations/acme/oauth2callback?code=the-code&state={state}");
        self.keyferry.request("GET", &back).send().await.expect(200);
    }

    /// What the vendor is called that answers Ada's call.
    async fn who_answers(&self) -> String {
        self.keyferry.call("acme", "/me", Person::ADA).await.expect(200).text()
    }

    /// Waits until that vendor answers.
    async fn until_answered_by(&self, name: &str) {
        until(name, PATIENCE, || async { (self.who_answers().await == name).then_some(()) }).await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.keyferry.folder().join(name)
    }

    /// Changes `config.toml`, in one step.
    fn edit(&self, change: impl FnOnce(&str) -> String) {
        let path = self.path("config.toml");
        let text = fs::read_to_string(&path).expect("it is there");
        let changed = change(&text);
        assert_ne!(changed, text, "nothing to change");
        replace(&path, &changed);
    }

    /// Has the API be at this vendor's, in one step.
    fn move_to(&self, vendor: &Vendor) {
        replace(&self.path("providers/acme.toml"), &file(&self.one, vendor));
    }

    fn asked_to_reload(&self) -> Request {
        let key = format!("Bearer {}", self.admin_key);
        self.keyferry.admin_request("POST", "/reload").header("authorization", &key)
    }

    async fn reload(&self) -> Answer {
        self.asked_to_reload().send().await
    }

    /// The log's lines with this message up to now.
    fn logged(&self, message: &str) -> Vec<Value> {
        self.keyferry.logged(message).into_iter().filter(|line| line["message"] == message).collect()
    }

    /// Waits until the lines with this message are as they should be.
    async fn until_logged(&self, message: &str, found: impl Fn(&[Value]) -> bool) {
        until(message, PATIENCE, || async { found(&self.logged(message)).then_some(()) }).await;
    }
}

/// The provider file, with the token endpoint at one vendor's and the API at another's.
fn file(tokens: &Vendor, api: &Vendor) -> String {
    format!(
        "[oauth]\nauthorization_endpoint = \"{0}/authorize\"\ntoken_endpoint = \"{0}/token\"\n[api]\nbase_url = \"{1}\"\n",
        tokens.url(),
        api.url()
    )
}

/// Puts another file in the place of one, as editors do.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).expect("it can be written");
    fs::rename(&beside, path).expect("it can be renamed");
}
