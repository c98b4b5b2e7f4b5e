//! The store on real Redis servers: alone, over TLS as an ACL user, behind Sentinel with a failover, in a Cluster.

use std::time::{Duration, Instant};

use keyferry::clock::Clock;
use keyferry::store::{Event, Expected, Key, Kind, RedisTls, Settings, Store, StoreError, Unopenable, Written};

use super::{CANARY, budgets, eventually, key, open, put, settings, stored, suite};
use crate::redis_servers::{Cluster, Secured, Server, Watched, free_port, raw};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_passes_the_suite_and_holds_no_secret() {
    let server = Server::start(&[]);
    let store = open(settings(&server.url())).await;
    suite::suite(&store).await;
    budgets::budgets(settings(&server.url())).await;
    put(&store, &key("secret"), CANARY.as_bytes()).await;
    redis::cmd("SAVE").exec(&mut server.raw()).expect("it saves");
    let dump = std::fs::read(server.folder.path().join("dump.rdb")).expect("the dump");
    assert!(!dump.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    assert!(dump.windows(16).any(|window| window == b"connection/tests"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_tls_passes_the_suite_for_a_user_with_little_permission() {
    let secured = Secured::start();
    let tls = RedisTls {
        ca_file: Some(secured.file("ca.pem")),
        cert: Some(secured.file("client.pem")),
        key: Some(secured.file("client.key")),
    };
    let settings = Settings { tls: tls.clone(), ..settings(&secured.url()) };
    suite::suite(&open(settings.clone()).await).await;
    budgets::budgets(settings.clone()).await;
    let held: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut secured.raw()).expect("an answer");
    assert!(!held.is_empty() && held.iter().all(|name| name.starts_with("keyferry:")), "{held:?}");

    // The settings' login goes before the URL's.
    let wrong = keyferry::model::Secret::new("wrong");
    let refused = open(Settings { password: Some(wrong), ..settings.clone() }).await;
    let error = refused.ping().await.expect_err("the password is wrong");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    // A server of another authority, and one that wants a certificate that it does not get.
    let other = RedisTls { ca_file: Some(secured.file("other-ca.pem")), ..tls.clone() };
    let anonymous = RedisTls { cert: None, key: None, ..tls };
    for tls in [other, anonymous, RedisTls::default()] {
        let store = open(Settings { tls: tls.clone(), ..settings.clone() }).await;
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable { .. })), "{tls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_passes_the_suite_and_moves_a_slot() {
    let cluster = Cluster::start();
    let settings = settings(&cluster.url());
    let store = open(settings.clone()).await;
    suite::suite(&store).await;
    suite::rotation(settings.clone()).await;
    budgets::budgets(settings).await;

    // A slot on its way: the old owner sends us on with ASK, for a key that is not there any more.
    let moving = key("moving");
    let name = format!("keyferry:{moving}");
    let version = put(&store, &moving, b"1").await;
    let (owner, other) = cluster.owner_and_other(&name);
    let id = |node: &Server| -> String { redis::cmd("CLUSTER").arg("MYID").query(&mut node.raw()).expect("an answer") };
    let slot: u16 = redis::cmd("CLUSTER").arg("KEYSLOT").arg(&name).query(&mut owner.raw()).expect("an answer");
    let set = |node: &Server, state: &str, id: &str| {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SETSLOT").arg(slot).arg(state).arg(id).exec(&mut node.raw()).expect("an answer");
    };
    let (from, to) = (id(owner), id(other));
    set(other, "IMPORTING", &from);
    set(owner, "MIGRATING", &to);
    let migrate = |name: &str| {
        let mut command = redis::cmd("MIGRATE");
        command.arg("127.0.0.1").arg(other.port).arg(name).arg(0).arg(5000);
        command.exec(&mut owner.raw()).expect("the key moves");
    };
    migrate(&name);
    assert_eq!(store.get(&moving).await.expect("asked").expect("a record").value.as_slice(), b"1");
    let version = stored(store.put(&moving, Expected::Version(version), b"2", None).await.expect("asked"));
    // And at its new owner: MOVED.
    let mut command = redis::cmd("CLUSTER");
    command.arg("GETKEYSINSLOT").arg(slot).arg(1000);
    let rest: Vec<String> = command.query(&mut owner.raw()).expect("an answer");
    rest.iter().for_each(|name| migrate(name));
    for node in &cluster.nodes {
        set(node, "NODE", &to);
    }
    assert_eq!(store.get(&moving).await.expect("moved").expect("a record").value.as_slice(), b"2");
    assert!(store.delete(&moving, version).await.expect("moved"));
    for cursor in ["", "0", "x", "127.0.0.1:1#0", "#"] {
        let scanned = store.scan(&Key::prefix(Kind::Session, &[]), Some(cursor), 10).await;
        assert!(matches!(scanned, Err(StoreError::UnknownCursor)), "{cursor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_behind_sentinel_is_survived() {
    let mut watched = Watched::start();
    let store = open(settings(&watched.url())).await;
    suite::suite(&store).await;

    let counter = key("counter");
    let mut version = put(&store, &counter, &0u32.to_be_bytes()).await;
    let mut master = raw(&format!("redis://:secret@127.0.0.1:{}", watched.master.port));
    let replicas: i64 = redis::cmd("WAIT").arg(1).arg(5000).query(&mut master).expect("an answer");
    assert_eq!(replicas, 1, "the replica has what was written");
    let mut events = store.subscribe();
    watched.master.kill();
    let killed = Instant::now();

    // Meanwhile: an answer within the deadline, and never that there is nothing.
    let asked = Instant::now();
    let during = store.get(&counter).await;
    assert!(asked.elapsed() < Duration::from_millis(2500), "in {:?}", asked.elapsed());
    assert!(!matches!(during, Ok(None)), "{during:?}");
    eventually("the loss is noticed", async || !store.is_synced()).await;
    assert!(killed.elapsed() < Duration::from_millis(2500), "in {:?}", killed.elapsed());

    eventually("writes succeed again", async || {
        match store.put(&counter, Expected::Version(version), &1u32.to_be_bytes(), None).await {
            Ok(Written::Stored(next)) => {
                version = next;
                true
            }
            Ok(Written::Conflict) => panic!("nobody else writes, and no attempt was repeated blindly"),
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
                false
            }
        }
    })
    .await;
    eventually("notifications arrive again", async || store.is_synced()).await;
    assert!(killed.elapsed() < Duration::from_secs(15), "in {:?}", killed.elapsed());
    let mut heard = Vec::new();
    while let Ok(event) = events.try_recv() {
        heard.push(event);
    }
    // A starved machine may lose them once more in between, but each loss is followed by its end.
    let pairs = heard.chunks(2).all(|pair| pair == [Event::Lost, Event::Synced]);
    assert!(pairs && !heard.is_empty(), "{heard:?}");
    suite_after_failover(&store, &counter, version).await;
    drop(watched.replica);
}

async fn suite_after_failover(store: &Store, counter: &Key, version: u64) {
    let entry = store.get(counter).await.expect("an answer").expect("a record");
    assert_eq!((entry.version, entry.value.as_slice()), (version, 1u32.to_be_bytes().as_slice()));
    assert!(store.take(counter).await.expect("an answer").is_some());
    assert!(store.take(counter).await.expect("an answer").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_on_a_server() {
    let server = Server::start(&[]);
    suite::rotation(settings(&server.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_values_do_not_open_and_are_still_there() {
    let server = Server::start(&[]);
    let store = open(settings(&server.url())).await;
    put(&store, &key("a"), b"ann's").await;
    put(&store, &key("b"), b"bob's").await;
    put(&store, &key("c"), b"carl's").await;
    let mut raw = server.raw();
    let name = |key: &Key| format!("keyferry:{key}");
    let value = |raw: &mut redis::Connection, key: &Key| -> Vec<u8> {
        redis::cmd("GET").arg(name(key)).query(raw).expect("an answer")
    };
    let (of_a, of_b) = (value(&mut raw, &key("a")), value(&mut raw, &key("b")));
    redis::cmd("SET").arg(name(&key("a"))).arg(&of_b).exec(&mut raw).expect("an answer");
    redis::cmd("SET").arg(name(&key("b"))).arg(&of_a).exec(&mut raw).expect("an answer");
    redis::cmd("SET").arg(name(&key("short"))).arg("short").exec(&mut raw).expect("an answer");
    redis::cmd("LPUSH").arg(name(&key("list"))).arg("x").exec(&mut raw).expect("an answer");
    redis::cmd("SET").arg("keyferry:connection/tests/not%a%key").arg("x").exec(&mut raw).expect("an answer");

    for (of, why) in
        [("a", Unopenable::NotAuthentic), ("short", Unopenable::UnknownFormat), ("list", Unopenable::UnknownFormat)]
    {
        let expected = (key(of).to_string(), why);
        let open = |error: StoreError| match error {
            StoreError::Unopenable { key, why } => (key, why),
            other => panic!("{other:?}"),
        };
        assert_eq!(open(store.get(&key(of)).await.expect_err(of)), expected);
        assert_eq!(open(store.take(&key(of)).await.expect_err(of)), expected);
    }
    let page = store.scan(&Key::prefix(Kind::Connection, &["tests"]), None, 10).await.expect("an answer");
    let mut unopenable = page.unopenable;
    unopenable.sort_unstable();
    assert_eq!(unopenable.len(), 5, "{unopenable:?}");
    assert_eq!(page.entries.len(), 1);
    assert_eq!(value(&mut raw, &key("a")), of_b, "it is left as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_at_start_is_found_when_it_comes() {
    let port = free_port();
    let settings = settings(&format!("redis://127.0.0.1:{port}"));
    let store = open(settings).await;
    let mut events = store.subscribe();
    let asked = Instant::now();
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(store.get(&key("a")).await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(store.notify("x").await, Err(StoreError::Unavailable { .. })));
    assert!(asked.elapsed() < Duration::from_millis(7500), "in {:?}", asked.elapsed());
    assert!(!store.is_synced());

    let server = Server::on(port, &[]);
    eventually("the server is found", async || store.ping().await.is_ok()).await;
    eventually("notifications arrive", async || store.is_synced()).await;
    assert_eq!(events.try_recv(), Ok(Event::Synced));
    put(&store, &key("a"), b"1").await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_noticed_within_a_second_or_so() {
    let server = Server::start(&[]);
    let store = open(settings(&server.url())).await;
    put(&store, &key("a"), b"1").await;
    eventually("notifications arrive", async || store.is_synced()).await;
    let mut events = store.subscribe();
    server.stop();
    let stopped = Instant::now();
    let asked = tokio::spawn({
        let store = store.clone();
        async move { (store.get(&key("a")).await, stopped.elapsed()) }
    });
    eventually("the loss is noticed", async || !store.is_synced()).await;
    assert!(stopped.elapsed() < Duration::from_millis(1500), "in {:?}", stopped.elapsed());
    let (answer, after) = asked.await.expect("no panic");
    assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    assert!(after < Duration::from_millis(2500), "in {after:?}");
    server.go_on();
    eventually("notifications arrive again", async || store.is_synced()).await;
    assert_eq!(store.get(&key("a")).await.expect("an answer").expect("a record").value.as_slice(), b"1");
    assert_eq!(events.recv().await, Ok(Event::Lost));
    assert_eq!(events.recv().await, Ok(Event::Synced));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_hear_each_other_and_exclude_each_other() {
    let server = Server::start(&[]);
    let settings = settings(&server.url());
    let (one, other) = (open(settings.clone()).await, open(settings).await);
    eventually("both hear", async || one.is_synced() && other.is_synced()).await;
    let mut events = other.subscribe();
    one.notify("connection/1").await.expect("an answer");
    let heard = tokio::time::timeout(Duration::from_secs(1), events.recv()).await.expect("within a second");
    assert_eq!(heard, Ok(Event::Message("connection/1".to_owned())));

    let name = Key::new(Kind::Lease, &["refresh"]);
    let lease = one.lease(&name, Duration::from_secs(60)).await.expect("an answer").expect("it is free");
    assert_eq!(other.lease(&name, Duration::from_secs(60)).await.expect("an answer"), None);
    one.release(lease).await.expect("an answer");
    assert!(other.lease(&name, Duration::from_secs(60)).await.expect("an answer").is_some());
}

#[tokio::test]
async fn settings_that_can_never_work_are_refused_with_a_remedy() {
    async fn check(settings: Settings, part: &str) {
        match Store::open(settings, Clock::System).await {
            Err(StoreError::Settings(sentence)) => assert!(sentence.contains(part), "{sentence}"),
            other => panic!("expected a sentence with {part:?}: {other:?}"),
        }
    }
    let plain = settings("redis://127.0.0.1:1");
    let secure = settings("rediss://127.0.0.1:1");
    let file = |name: &str| Some(name.into());
    check(Settings { keys: Vec::new(), ..plain.clone() }, "store.keys is empty").await;
    check(Settings { username: Some("u".to_owned()), ..plain.clone() }, "store.password").await;
    let tls = RedisTls { ca_file: file("ca.pem"), ..RedisTls::default() };
    check(Settings { tls: tls.clone(), ..plain }, "rediss://").await;
    check(Settings { tls, ..secure.clone() }, "ca.pem cannot be read").await;
    let tls = RedisTls { cert: file("cert.pem"), ..RedisTls::default() };
    check(Settings { tls, ..secure }, "go together").await;
}
