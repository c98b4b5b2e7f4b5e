use std::fs;

use serde_json::json;

use super::{PATIENCE, Scene};
use crate::support::{Person, Redis, until};

#[tokio::test]
async fn everything_of_a_person_goes_over_a_file() {
    let scene = Scene::over("url = \"file:data/keyferry.redb\"\n").await;
    everything_goes(&scene).await;

    // A connection whose integration is configured no more goes as well; its provider cannot be told by now.
    scene.keyferry.connect("other", Person::ADA).await;
    let config = scene.keyferry.folder().join("config.toml");
    let text = fs::read_to_string(&config).expect("it is there");
    let at = text.find("[integrations.other]").expect("it is configured");
    let end = text[at..].find("[callers").expect("a table behind it") + at;
    fs::write(&config, format!("{}{}", &text[..at], &text[end..])).expect("it can be written");
    fs::remove_file(scene.keyferry.folder().join("providers/other.toml")).expect("it can be removed");
    until("the integration is gone", PATIENCE, || async {
        scene.ask("POST", "/reload").await.expect(200);
        (scene.keyferry.call("other", "/api/me", Person::ADA).await.status == 404).then_some(())
    })
    .await;
    assert_eq!(scene.list("integration=other&user=ada").await.len(), 1, "it outlives its integration");
    let deleted = scene.ask("DELETE", "/people?org=analytical&user=ada").await.expect(200).json();
    assert_eq!(deleted["connections"], 1);
    assert_eq!(scene.list("user=ada").await.len(), 0);
}

#[tokio::test]
async fn everything_of_a_person_goes_over_redis() {
    let redis = Redis::alone();
    let scene = Scene::over(&redis.store()).await;
    everything_goes(&scene).await;
    // What names the person in the clear is gone with it, but for what is still to be revoked, which names nobody.
    let Redis::Alone(server) = &redis else { panic!("it is alone") };
    let keys: Vec<String> = redis::cmd("KEYS").arg("*ada*").query(&mut server.raw()).expect("an answer");
    assert!(keys.iter().all(|key| key.starts_with("keyferry:budget/")), "{keys:?}");
}

/// Ada has two connections, one of them ended, two sessions, a start link, an authorization at the provider and a grant
/// that waits for her word; Bob has one of each that counts.
async fn everything_goes(scene: &Scene) {
    let keyferry = &scene.keyferry;
    keyferry.connect("acme", Person::ADA).await;
    keyferry.connect("other", Person::ADA).await;
    keyferry.disconnect("other", Person::ADA).await.expect(200);
    keyferry.connect("acme", Person::BOB).await;
    let sessions = [keyferry.session(Person::ADA).await, keyferry.session(Person::ADA).await];
    let of_bob = keyferry.session(Person::BOB).await;
    let call = |session: &str| {
        keyferry.request("GET", "/proxy/acme/api/me").header("authorization", &format!("Bearer {session}")).send()
    };
    for session in sessions.iter().chain([&of_bob]) {
        call(session).await.expect(200);
    }
    let (code, _) = keyferry.finish_unconfirmed("other", Person::ADA).await;
    let unopened = keyferry.authorize("acme", Person::ADA, &[]).await;
    let opened = keyferry.authorize("acme", Person::ADA, &[]).await;
    let start = |url: &str| {
        let path = url.strip_prefix(keyferry.public_url()).expect("a start link").to_owned();
        keyferry.request("GET", &path).send()
    };
    start(&opened).await.expect(303);

    for query in ["", "org=analytical", "org=analytical&user=", "org=analytical&user=ada&all=1"] {
        scene.ask("DELETE", &format!("/people?{query}")).await.expect_problem(400, "bad_request");
    }
    let deleted = scene.ask("DELETE", "/people?org=analytical&user=ada").await.expect(200).json();
    let expected = json!({
        "org_id": "analytical", "user_id": "ada",
        "connections": 2, "sessions": 2, "authorizations": 2, "unconfirmed": 1, "unopenable": 0,
    });
    assert_eq!(deleted, expected);
    let audited = scene.audited("person_deleted", |line| line["user"] == "ada").await;
    assert_eq!((&audited["org"], &audited["reason"]), (&json!("analytical"), &json!("by_operator")));

    for session in &sessions {
        call(session).await.expect_problem(401, "unauthenticated");
    }
    keyferry.call("acme", "/api/me", Person::ADA).await.expect_problem(424, "not_connected");
    keyferry.confirm("other", Person::ADA, &code).await.expect_problem(400, "state_mismatch");
    assert!(start(&unopened).await.status >= 400, "the start link still works");
    assert_eq!(scene.list("user=ada").await.len(), 0);
    // Bob's one grant is all that the provider has left.
    until("the provider is told", PATIENCE, || async { (scene.server.live("RefreshToken").await == 1).then_some(()) })
        .await;
    call(&of_bob).await.expect(200);
    assert_eq!(scene.list("").await.len(), 1);
    let again = scene.ask("DELETE", "/people?org=analytical&user=ada").await.expect(200).json();
    assert_eq!((&again["connections"], &again["sessions"]), (&json!(0), &json!(0)));
}
