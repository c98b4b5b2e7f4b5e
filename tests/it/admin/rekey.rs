use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use keyferry::clock::Clock;
use keyferry::store::{Expected, Key, Kind, Location, SealingKey, Settings, Store, Written};
use serde_json::{Value, json};

use super::{PATIENCE, Scene};
use crate::support::{Person, Redis, until};

/// So many that a rekeying is still at it when it has told of its first page.
const MANY: usize = 1_000;

const FILE: &str = "url = \"file:data/keyferry.redb\"\n";
const BOTH: &str = "url = \"file:data/keyferry.redb\"\nkeys = [\"env:NEW\", \"file:data/keyferry.redb.key\"]\n";
const NEW: &str = "url = \"file:data/keyferry.redb\"\nkeys = [\"env:NEW\"]\n";

/// Security requirement S4. The key that the store has made for itself is the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_loses_nothing_on_a_file() {
    let new = SealingKey::generate();
    let mut scene = Scene::with(FILE, |configuration| configuration.environment("NEW", &new.to_base64())).await;
    scene.keyferry.connect("acme", Person::ADA).await;
    scene.keyferry.terminate();
    scene.keyferry.wait(PATIENCE).await;
    fill(&scene.keyferry.folder().join("data/keyferry.redb")).await;
    scene.keyferry.change_store(BOTH);
    scene.keyferry.start_again().await;

    let mut first = scene.rekey().await;
    let line = first.chunk().await.expect("an answer").expect("a line");
    assert!(line.starts_with(b"{\"seen\":"), "{line:?}");
    scene.ask("POST", "/store/rekey").await.expect_problem(409, "already_running");
    scene.keyferry.crash_and_restart().await;

    // Whoever asks goes away; it goes on all the same, while calls are answered.
    let mut second = scene.rekey().await;
    assert_eq!(second.status(), 200);
    second.chunk().await.expect("an answer").expect("a line");
    drop(second);
    let done = scene.audited("rekeyed", |_| true);
    let calling = async {
        for _ in 0..20 {
            scene.keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
        }
    };
    let (done, ()) = tokio::join!(done, calling);
    let count = |name: &str| done[name].as_u64().expect("a count");
    assert!(count("seen") > MANY as u64, "{done}");
    assert!((1..count("seen")).contains(&count("resealed")), "the first was not killed in the middle: {done}");
    assert_eq!(count("unopenable"), 0, "{done}");

    // Nothing is left to do, which costs no write, and the old key is needed no more.
    let last = until("the second has ended", PATIENCE, || async {
        let answer = scene.ask("POST", "/store/rekey").await;
        (answer.status == 200).then(|| answer.text().lines().last().map(str::to_owned))
    })
    .await;
    let last: Value = serde_json::from_str(&last.expect("a line")).expect("of JSON");
    assert_eq!(last, json!({ "done": true, "seen": count("seen"), "resealed": 0, "unopenable": 0 }));
    scene.keyferry.change_store(NEW);
    scene.keyferry.restart().await;
    assert_eq!(scene.keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json()["account"], "ada");
    let page = scene.ask("GET", "/connections").await.expect(200).json();
    assert_eq!((page["connections"].as_array().map(Vec::len), &page["unopenable"]), (Some(1), &json!(0)));
    scene.keyferry.assert_keeps(&[new.to_base64().to_string()]);
}

/// A refresh that began before its record was sealed anew stores what it brought all the same: the provider rotates,
/// so a grant that was lost here would be lost for good.
#[tokio::test]
async fn a_refresh_under_way_keeps_its_grant_over_redis() {
    let redis = Redis::alone();
    let new = SealingKey::generate();
    let (store, key) = (redis.store(), new.to_base64());
    let mut scene = Scene::with(&store, |configuration| configuration.environment("NEW", &key)).await;
    scene.server.change(json!({ "access_token_ttl": 2 })).await;
    scene.keyferry.connect("acme", Person::ADA).await;
    let old = "\"env:KEYFERRY_STORE_KEY\"";
    scene.keyferry.change_store(&format!("{}keys = [\"env:NEW\", {old}]\n", redis.store()));
    scene.keyferry.restart().await;

    scene.server.change(json!({ "token_delay_ms": 2000 })).await;
    let before = scene.server.arrivals("token").await;
    let calling = until("the refreshed token is used", PATIENCE, || async {
        scene.keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
        (scene.server.count("/token/refresh_token").await > 0).then_some(())
    });
    let rekeying = async {
        until("a refresh is under way", PATIENCE, || async {
            (scene.server.arrivals("token").await > before).then_some(())
        })
        .await;
        scene.rekey_whole().await
    };
    let ((), done) = tokio::join!(calling, rekeying);
    assert_eq!((&done["done"], &done["unopenable"]), (&json!(true), &json!(0)), "{done}");
    assert!(done["resealed"].as_u64() > Some(0), "{done}");

    // Nothing is left in memory, and the token is over again: what is stored is what the provider gave last.
    scene.server.change(json!({ "token_delay_ms": 0 })).await;
    scene.keyferry.change_store(&format!("{}keys = [\"env:NEW\"]\n", redis.store()));
    scene.keyferry.restart().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
    assert_eq!(scene.server.count("/token_errors/invalid_grant").await, 0);
    assert!(scene.server.count("/token/refresh_token").await >= 2);

    // A record of a key that nobody has is told of, and kept.
    let Redis::Alone(server) = &redis else { panic!("it is alone") };
    let lost = "keyferry:connection/acme/zed/zoe";
    redis::cmd("SET").arg(lost).arg("no record").exec(&mut server.raw()).expect("it is set");
    let done = scene.rekey_whole().await;
    assert_eq!((&done["done"], &done["resealed"], &done["unopenable"]), (&json!(true), &json!(0), &json!(1)));
    let kept: bool = redis::cmd("EXISTS").arg(lost).query(&mut server.raw()).expect("an answer");
    assert!(kept, "what does not open was deleted");
}

/// Puts many records that nobody looks at into the store of a Keyferry that does not run.
async fn fill(file: &Path) {
    let text = fs::read_to_string(file.with_extension("redb.key")).expect("the key that it has made");
    let keys = vec![SealingKey::parse(&text).expect("a key")];
    let settings = Settings { keys, ..Settings::new(Location::File(file.to_owned())) };
    let store = Store::open(settings, Clock::System).await.expect("the store opens");
    for chunk in (0..MANY).collect::<Vec<_>>().chunks(500) {
        let puts = chunk.iter().map(|number| {
            let (store, key) = (&store, Key::new(Kind::Session, &[&number.to_string()]));
            async move { store.put(&key, Expected::Absent, &[7; 300], None).await.expect("it is written") }
        });
        assert!(join_all(puts).await.iter().all(|written| matches!(written, Written::Stored(_))));
    }
}
