//! What has to happen over days, against the real authorization server with a clock that the test moves: a token that
//! is due is served while its refresh fails, an idle refresh token is used before it dies, and a grant that nobody
//! confirms is revoked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keyferry::broker::{Begin, Broker, BrokerError, Confirmation, LiveKey, Network, Outcome, Settings, Visitor};
use keyferry::clock::Clock;
use keyferry::config::{self, LoadRequest};
use keyferry::model::{ConnectionKey, Org, Person, Timestamp, User};
use keyferry::route::Via;
use keyferry::store::{Location, Store};
use keyferry::telemetry::audit::Denials;
use keyferry::telemetry::trace::Span;
use keyferry::upstream::{self, Fetch, Upstream};
use serde_json::json;

use crate::support::{AuthorizationServer, Browser, until};

const LIMIT: Duration = Duration::from_secs(20);
const KEY: LiveKey<'_> = LiveKey { integration: "acme", org: "analytical", user: "ada" };

/// A broker on its own, whose clock stands until it is moved.
struct Scene {
    server: AuthorizationServer,
    broker: Arc<Broker>,
    clock: Clock,
}

impl Scene {
    async fn new(confirm: bool) -> Self {
        Self::with(confirm, "").await
    }

    /// With more keys of `[oauth]`.
    async fn with(confirm: bool, oauth: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = AuthorizationServer::configured(json!({ "access_token_ttl": 3600 })).await;
        let clock = Clock::manual(Timestamp::from(std::time::UNIX_EPOCH).plus(Duration::from_secs(1_700_000_000)));
        let store =
            Store::open(keyferry::store::Settings::new(Location::Memory), clock.clone()).await.expect("a store");
        let net = upstream::Settings::default();
        let settings = Settings {
            public_base: "http://127.0.0.1:1".into(),
            confirm,
            allow_http: false,
            token_timeout: net.token_timeout,
        };
        let network = Network {
            fetch: Fetch::new(&net).expect("a fetch"),
            upstream: Upstream::new(&net).expect("an upstream"),
            via: Via::new("upkeep"),
        };
        let broker =
            Broker::new(settings, integrations(&server, oauth), store, network, clock.clone(), Denials::default());
        Self { server, broker, clock }
    }

    /// Signs Ada in up to the callback and hands that to the broker.
    async fn finish(&self) -> Outcome {
        self.finish_for(key()).await
    }

    /// The same for anybody's connection, with Ada's account.
    async fn finish_for(&self, key: ConnectionKey) -> Outcome {
        let integration = self.broker.integration("acme").expect("it is configured");
        let begin = Begin {
            key,
            return_to: None,
            scopes: None,
            variables: BTreeMap::new(),
            authorization_params: BTreeMap::new(),
        };
        let mut url = self.broker.begin(begin).await.expect("it begins").url;
        let mut cookies = Vec::new();
        if let Some((_, ticket)) = url.split_once("?start=") {
            let started = self.broker.start(&integration, ticket, &Visitor::Untold).await.expect("it starts");
            cookies.push((started.cookie_name, started.cookie_value.expose().to_owned()));
            url = started.url;
        }
        let page = Browser::new().outside("http://127.0.0.1:1/").sign_in(&url, "ada").await;
        let query = page.url.query().expect("a code").to_owned();
        let completed =
            self.broker.complete(&integration, &query, cookies, Visitor::Untold).await.expect("its state is known");
        completed.outcome.expect("the provider agrees")
    }
}

fn integrations(server: &AuthorizationServer, oauth: &str) -> Vec<keyferry::broker::Integration> {
    let folder = tempfile::tempdir().expect("a folder");
    let issuer = server.issuer();
    let provider = format!(
        "display_name = \"Acme\"\n[oauth]\nissuer = \"{issuer}\"\nrefresh_token_lifetime = \"60d\"\n\
         token_endpoint_auth_method = \"client_secret_post\"\nauthorization_params = {{ prompt = \"consent\" }}\n{oauth}\n\
         [api]\nbase_url = \"{issuer}\"\n"
    );
    let config = "[integrations.acme]\nclient_id = \"keyferry-post\"\nclient_secret = \"a secret for the body\"\n\
                  scopes = [\"openid\", \"offline_access\"]\n[store]\nurl = \"memory:\"\n";
    std::fs::create_dir(folder.path().join("providers")).expect("a folder");
    std::fs::write(folder.path().join("providers/acme.toml"), provider).expect("a file");
    std::fs::write(folder.path().join("config.toml"), config).expect("a file");
    let request = LoadRequest { directory: folder.path().to_owned(), ..LoadRequest::default() };
    config::load(request).expect("no mistakes").integrations
}

fn key() -> ConnectionKey {
    ConnectionKey {
        integration: keyferry::model::IntegrationName::parse("acme").expect("a name"),
        person: Person { org: Org::parse("analytical").expect("a name"), user: User::parse("ada").expect("a name") },
    }
}

#[tokio::test]
async fn a_due_token_is_served_while_its_refresh_fails() {
    let scene = Scene::new(false).await;
    assert!(matches!(scene.finish().await, Outcome::Active(_)));
    scene.broker.access(&key(), &mut Span::none()).await.expect("a token");
    scene.server.fault(json!({ "endpoint": "token", "mode": "500", "times": 2 })).await;

    // Fifty seconds before its end it is due, and still good.
    scene.clock.advance(Duration::from_secs(3550));
    for round in 1..=2 {
        let served = scene.broker.live(&KEY, &mut Span::none()).expect("an unexpired token is served");
        assert!(served.age(scene.clock.now()) > Duration::from_secs(3000), "round {round}");
        let failed = async || {
            // After the pause that the failure before has made, a call tries again.
            assert!(scene.broker.live(&KEY, &mut Span::none()).is_some());
            (scene.server.count("/faults/token/500").await == round).then_some(())
        };
        until("the refresh is tried", LIMIT, failed).await;
        until("the refresh has ended", LIMIT, async || (scene.broker.under_way() == 0).then_some(())).await;
        // Within the pause nobody asks the provider again, however many call.
        let arrived = scene.server.arrivals("token").await;
        for _ in 0..100 {
            assert!(scene.broker.live(&KEY, &mut Span::none()).is_some());
        }
        assert_eq!(scene.broker.under_way(), 0);
        assert_eq!(scene.server.arrivals("token").await, arrived);
    }
    // The provider is well again, and the next call brings the next token.
    let renewed = async || {
        let live = scene.broker.live(&KEY, &mut Span::none()).expect("a token");
        (live.age(scene.clock.now()) < Duration::from_secs(10)).then_some(())
    };
    until("the token is refreshed", LIMIT, renewed).await;
    assert_eq!(scene.server.count("/granted/refresh_token").await, 1);
}

/// Ten minutes ahead where the file says so, and not one second sooner; or only twenty seconds.
#[tokio::test]
async fn a_token_is_due_by_the_leeway_of_the_file() {
    for (leeway, due_after) in [("10m", 3000), ("20s", 3580)] {
        let scene = Scene::with(false, &format!("refresh_leeway = \"{leeway}\"")).await;
        assert!(matches!(scene.finish().await, Outcome::Active(_)));
        scene.broker.access(&key(), &mut Span::none()).await.expect("a token");
        scene.clock.advance(Duration::from_secs(due_after - 1));
        assert!(scene.broker.live(&KEY, &mut Span::none()).is_some());
        assert_eq!((scene.broker.under_way(), scene.server.arrivals("token").await), (0, 1), "{leeway}: not yet");
        scene.clock.advance(Duration::from_secs(1));
        assert!(scene.broker.live(&KEY, &mut Span::none()).is_some(), "it is served meanwhile");
        let refreshed = async || (scene.server.count("/granted/refresh_token").await == 1).then_some(());
        until("the token is refreshed", LIMIT, refreshed).await;
    }
}

#[tokio::test]
async fn an_idle_refresh_token_is_used_before_it_dies() {
    let scene = Scene::new(false).await;
    assert!(matches!(scene.finish().await, Outcome::Active(_)));
    scene.clock.advance(Duration::from_secs(40 * 86_400));
    scene.broker.sweep(true).await.expect("a sweep");
    assert_eq!((scene.broker.under_way(), scene.server.arrivals("token").await), (0, 1), "it has time");

    scene.clock.advance(Duration::from_secs(10 * 86_400));
    scene.broker.sweep(true).await.expect("a sweep");
    let refreshed = async || (scene.server.count("/granted/refresh_token").await == 1).then_some(());
    until("the idle grant is refreshed", LIMIT, refreshed).await;
    until("it is stored", LIMIT, async || (scene.broker.under_way() == 0).then_some(())).await;
    // Its life has started again.
    scene.broker.sweep(true).await.expect("a sweep");
    assert_eq!(scene.server.count("/granted/refresh_token").await, 1);
}

#[tokio::test]
async fn a_grant_that_nobody_confirms_is_revoked() {
    let scene = Scene::new(true).await;
    let Outcome::Unconfirmed(code) = scene.finish().await else { panic!("it waits for its initiator") };
    assert!(matches!(scene.broker.access(&key(), &mut Span::none()).await, Err(BrokerError::NotConnected)));
    scene.clock.advance(Duration::from_secs(599));
    scene.broker.sweep(false).await.expect("a sweep");
    assert_eq!(scene.server.live("RefreshToken").await, 1);

    scene.clock.advance(Duration::from_secs(1));
    scene.broker.sweep(false).await.expect("a sweep");
    until("it is revoked", LIMIT, async || (scene.server.live("RefreshToken").await == 0).then_some(())).await;
    let late = Confirmation { key: &key(), code: code.expose() };
    assert!(matches!(scene.broker.confirm(late).await, Err(BrokerError::StateMismatch(_))));
}

#[tokio::test]
async fn a_revocation_that_comes_late_does_not_end_what_was_connected_since() {
    let scene = Scene::new(false).await;
    assert!(matches!(scene.finish().await, Outcome::Active(_)));
    scene.server.fault(json!({ "endpoint": "revocation", "mode": "500" })).await;
    scene.broker.disconnect(&key()).await.expect("it is disconnected here");
    let failed = async || (scene.server.count("/faults/revocation/500").await >= 1).then_some(());
    until("the provider is told in vain", LIMIT, failed).await;
    until("the attempt has ended", LIMIT, async || (scene.broker.under_way() == 0).then_some(())).await;
    scene.server.clear_faults().await;

    // The same account connects again; by default a revocation may reach all that the account gave to this client.
    assert!(matches!(scene.finish().await, Outcome::Active(_)));
    let told = scene.server.arrivals("revocation").await;
    scene.clock.advance(Duration::from_secs(3600));
    scene.broker.sweep(false).await.expect("a sweep");
    until("the sweep has ended", LIMIT, async || (scene.broker.under_way() == 0).then_some(())).await;
    assert_eq!(scene.server.arrivals("revocation").await, told);
    scene.broker.access(&key(), &mut Span::none()).await.expect("the connection lives");
}

#[tokio::test]
async fn a_code_confirmed_twice_changes_nothing_the_second_time() {
    let scene = Scene::new(true).await;
    let Outcome::Unconfirmed(code) = scene.finish().await else { panic!("it waits for its initiator") };
    let key = key();
    let confirmation = Confirmation { key: &key, code: code.expose() };
    let both = tokio::join!(scene.broker.confirm(confirmation), scene.broker.confirm(confirmation));
    let worked = [&both.0, &both.1].into_iter().filter(|outcome| outcome.is_ok()).count();
    assert!(worked >= 1, "{both:?}");
    let first = scene.broker.access(&key, &mut Span::none()).await.expect("a token").connection.id.clone();
    assert!(matches!(scene.broker.confirm(confirmation).await, Err(BrokerError::StateMismatch(_))));
    assert_eq!(scene.broker.access(&key, &mut Span::none()).await.expect("a token").connection.id, first);
    assert_eq!(scene.server.arrivals("revocation").await, 0);
}

#[tokio::test]
async fn a_link_that_was_passed_on_does_not_end_the_connection_of_whoever_opened_it() {
    // Bob is connected. Mallory makes him open a link of hers, and he agrees at the provider with the same account.
    let scene = Scene::new(true).await;
    let person = |user: &str| Person { user: User::parse(user).expect("a name"), ..key().person };
    let (bob, mallory) =
        (ConnectionKey { person: person("bob"), ..key() }, ConnectionKey { person: person("mallory"), ..key() });
    let Outcome::Unconfirmed(code) = scene.finish_for(bob.clone()).await else { panic!("it waits") };
    scene.broker.confirm(Confirmation { key: &bob, code: code.expose() }).await.expect("Bob's own");
    let Outcome::Unconfirmed(code) = scene.finish_for(mallory).await else { panic!("it waits") };

    let refused = scene.broker.confirm(Confirmation { key: &bob, code: code.expose() }).await;
    assert!(matches!(refused, Err(BrokerError::Forbidden)));
    until("the attempt has ended", LIMIT, async || (scene.broker.under_way() == 0).then_some(())).await;
    assert_eq!(scene.server.arrivals("revocation").await, 0, "it could end Bob's connection");
    scene.broker.access(&bob, &mut Span::none()).await.expect("Bob's connection lives");

    // Bob himself is taken at his word.
    scene.broker.disconnect(&bob).await.expect("Bob leaves");
    let told = async || (scene.server.arrivals("revocation").await > 0).then_some(());
    until("the provider is told", LIMIT, told).await;
}
