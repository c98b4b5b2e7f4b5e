//! In front of an application that nobody changed: express with its sessions, behind the real binary.

mod finishing;
mod login;
mod origin;
mod paths;
mod token;
mod traffic;

use crate::support::{Answer, Application, AuthorizationServer, Browser, Client, Configuration, Keyferry};

/// How the application says who is logged in.
const WHOAMI: &str = "[app.identity]\nwhoami = \"/api/me\"\norg = \"$.org.id\"\nuser = \"$.id\"\n";

/// An application with Keyferry in front, and a provider.
struct Scene {
    provider: AuthorizationServer,
    application: Application,
    keyferry: Keyferry,
}

impl Scene {
    /// With an ordinary session cookie and a login by `whoami`.
    async fn start() -> Self {
        Self::of(Application::start().await, WHOAMI, |configuration| configuration).await
    }

    async fn of(
        application: Application,
        identity: &str,
        configure: impl FnOnce(Configuration) -> Configuration,
    ) -> Self {
        let provider = AuthorizationServer::start().await;
        let configuration = Configuration::new()
            .integration("acme", provider.issuer(), provider.issuer(), &Client::POST)
            .in_front_of(application.url(), identity);
        let keyferry = Keyferry::start(configure(configuration)).await;
        Self { provider, application, keyferry }
    }

    /// A URL of the one origin that browsers know.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.keyferry.public_url())
    }

    /// A browser in which somebody has logged in to the application.
    async fn browser_of(&self, user: &str) -> Browser {
        let mut browser = Browser::new();
        self.log_in(&mut browser, user).await;
        browser
    }

    async fn log_in(&self, browser: &mut Browser, user: &str) {
        let page = browser.submit(&self.url("/login"), &[("user", user), ("password", "any")]).await;
        assert!(page.text().contains(&format!("Hello {user}")), "{}", page.text());
    }

    /// The start link that the application's page gets for whoever is logged in there.
    async fn start_link(&self, browser: &Browser) -> String {
        let answer = browser.fetch("POST", &self.url("/integrations/acme/authorize")).form([]).send().await.expect(200);
        let link = answer.json().as_str().expect("a URL").to_owned();
        assert!(link.starts_with(&self.url("/integrations/acme/authorize?start=")), "{link}");
        link
    }

    /// A call from the application's page.
    async fn call(&self, browser: &Browser) -> Answer {
        browser.fetch("GET", &self.url("/proxy/acme/api/me")).send().await
    }
}
