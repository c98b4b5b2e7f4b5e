//! One budget over replicas that share a Redis, for calls and for those who reserve.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use keyferry::broker::{Broker, Integration, Network, Settings};
use keyferry::clock::Clock;
use keyferry::config::{self, LoadRequest};
use keyferry::model::{ConnectionKey, IntegrationName, Org, Person as Whose, User};
use keyferry::route::Via;
use keyferry::store::{Location, SealingKey, Store};
use keyferry::telemetry::audit::Denials;
use keyferry::upstream::{self, Fetch, Upstream};

use super::{answered_of, call, configuration, refused};
use crate::redis_servers::{Cluster, Server};
use crate::support::{AuthorizationServer, Keyferry, Metrics, Person, Redis, until};

const LIMIT: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn calls_of_all_replicas_share_one_budget() {
    let server = AuthorizationServer::start().await;
    let redis = Redis::alone();
    let configuration = configuration(&server, Some("{ limit = 20, per = \"1h\" }"), "reject").store(&redis.store());
    let (one, other) = (Keyferry::start(configuration.clone()).await, Keyferry::start(configuration).await);
    for person in [Person::ADA, Person::BOB] {
        one.connect("acme", person).await;
    }
    assert_eq!(answered_of(&[&one, &other], 60).await, 20);
    for replica in [&one, &other] {
        refused(call(replica).await);
        replica.call("acme", "/api/me", Person::BOB).await.expect(200);
    }
    assert_eq!(server.count("/api/200").await, 22);
    let mut over = 0.0;
    for replica in [&one, &other] {
        let labels = [("integration", "acme"), ("mode", "reject")];
        over += Metrics::of(replica).await.value("keyferry_rate_exceeded_total", &labels);
    }
    assert_eq!(over, 42.0);
}

#[tokio::test]
async fn what_one_replica_observes_counts_in_another() {
    let server = AuthorizationServer::start().await;
    let redis = Server::start(&[]);
    let store = Redis::lines(&redis.url());
    let rate = Some("{ limit = 20, per = \"1h\" }");
    let observing = Keyferry::start(configuration(&server, rate, "observe").store(&store)).await;
    let rejecting = Keyferry::start(configuration(&server, rate, "reject").store(&store)).await;
    observing.connect("acme", Person::ADA).await;
    assert_eq!(answered_of(&[&observing], 20).await, 20);

    // Nothing but the twenty calls fills it: the other replica has not asked yet.
    let left = || {
        let mut client = redis.raw();
        let name = "keyferry:budget/acme/analytical/ada/";
        let full_at: Option<u64> = redis::cmd("GET").arg(name).query(&mut client).expect("a number");
        (full_at.unwrap_or(0) / 1000).saturating_sub(Clock::System.now().unix_millis().unsigned_abs())
    };
    until("they are reported", LIMIT, async || (left() > 3_500_000).then_some(())).await;
    refused(call(&rejecting).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reservations_of_all_replicas_share_one_budget() {
    let (server, cluster) = (Server::start(&[]), Cluster::start());
    for url in [server.url(), cluster.url()] {
        let (one, other) = (broker(&url).await, broker(&url).await);
        let reserve = |number: usize, part: &'static str, cap| {
            let broker = Arc::clone(if number.is_multiple_of(2) { &one } else { &other });
            async move { broker.reserve(&acme(&broker), &ada(), part, cap).await }
        };
        let reserved = join_all((0..60).map(|number| reserve(number, "", Duration::ZERO))).await;
        assert_eq!(reserved.iter().filter(|reserved| reserved.is_ok()).count(), 20);
        for wait in reserved.iter().filter_map(|reserved| reserved.err()) {
            assert!(wait > Duration::ZERO && wait <= HOUR / 20, "{wait:?}");
        }
        // Those who may wait queue up, in whichever replica, one every three minutes.
        let mut waits = Vec::new();
        for number in 0..4 {
            waits.push(reserve(number, "", HOUR).await.expect("within the cap").as_secs_f64());
        }
        for (number, wait) in (1_u32..).zip(&waits) {
            let expected = f64::from(number) * 180.0;
            assert!(*wait > expected - 60.0 && *wait <= expected, "number {number}: {wait}");
        }
        // A part of the connection has a budget of its own.
        assert_eq!(reserve(0, "base one", Duration::ZERO).await, Ok(Duration::ZERO));
        let standing = one.standings().remove(0);
        assert!(standing.loads_over > 0 && standing.waited > Duration::ZERO, "{standing:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_stops_nobody() {
    let mut server = Server::start(&[]);
    let broker = broker(&server.url()).await;
    let acme = acme(&broker);
    let reserve = async || broker.reserve(&acme, &ada(), "", Duration::ZERO).await;
    for _ in 0..5 {
        assert_eq!(reserve().await, Ok(Duration::ZERO));
    }
    server.kill();
    // What the store knew is known here.
    for _ in 5..20 {
        assert_eq!(reserve().await, Ok(Duration::ZERO));
    }
    assert!(reserve().await.is_err());
}

#[tokio::test]
async fn a_pause_holds_reservations_back() {
    let broker = broker("memory:").await;
    let acme = acme(&broker);
    broker.pause(&acme, &ada(), "", Duration::from_secs(600));
    broker.pause(&acme, &ada(), "", Duration::from_secs(60));
    let refused = broker.reserve(&acme, &ada(), "", Duration::from_secs(60)).await.expect_err("longer than the cap");
    assert!(refused > Duration::from_secs(500) && refused <= Duration::from_secs(600), "{refused:?}");
    let waits = broker.reserve(&acme, &ada(), "", Duration::from_secs(600)).await.expect("within the cap");
    assert!(waits > Duration::from_secs(500), "{waits:?}");
    assert_eq!(broker.reserve(&acme, &ada(), "base one", Duration::ZERO).await, Ok(Duration::ZERO));
}

/// A broker of its own on that store, with a provider that takes twenty calls in an hour.
async fn broker(store: &str) -> Arc<Broker> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let provider = "[oauth]\nissuer = \"https://acme.example\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
                    [api]\nbase_url = \"https://api.acme.example\"\nrate = { limit = 20, per = \"1h\" }\n";
    let config = "[integrations.acme]\nclient_id = \"a\"\nclient_secret = \"b\"\n[store]\nurl = \"memory:\"\n";
    std::fs::create_dir(folder.path().join("providers")).expect("a folder");
    std::fs::write(folder.path().join("providers/acme.toml"), provider).expect("a file");
    std::fs::write(folder.path().join("config.toml"), config).expect("a file");
    let request = LoadRequest { directory: folder.path().to_owned(), ..LoadRequest::default() };
    let integrations = config::load(request).expect("no mistakes").integrations;

    let location = Location::parse(store).expect("a store URL");
    let key = SealingKey::generate();
    let store = keyferry::store::Settings { keys: vec![key], ..keyferry::store::Settings::new(location) };
    let store = Store::open(store, Clock::System).await.expect("a store");
    let net = upstream::Settings::default();
    let settings = Settings {
        public_base: "http://127.0.0.1:1".into(),
        confirm: false,
        allow_http: false,
        token_timeout: net.token_timeout,
    };
    let network = Network {
        fetch: Fetch::new(&net).expect("a fetch"),
        upstream: Upstream::new(&net).expect("an upstream"),
        via: Via::new("replica"),
    };
    Broker::new(settings, integrations, store, network, Clock::System, Denials::default())
}

fn acme(broker: &Broker) -> Arc<Integration> {
    broker.integration("acme").expect("it is configured")
}

fn ada() -> ConnectionKey {
    ConnectionKey {
        integration: IntegrationName::parse("acme").expect("a name"),
        person: Whose { org: Org::parse("analytical").expect("a name"), user: User::parse("ada").expect("a name") },
    }
}
