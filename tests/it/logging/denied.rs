//! Denials in the audit stream: what is known of each, and how many lines a flood has.

use std::time::Instant;

use serde_json::Value;

use super::{LIMIT, Scene};
use crate::support::{Browser, Client, Configuration, Keyferry, Person, until};

#[tokio::test]
async fn a_denial_says_all_that_is_known() {
    let reader = Keyferry::new_key().await;
    let (key, hash) = &reader;
    let caller = format!(
        "[callers.reader]\nkey_hash = {hash:?}\norgs = [\"*\"]\nusers = [\"*\"]\nintegrations = [\"*\"]\n\
         methods = [\"GET\"]\n"
    );
    let nowhere = "http://127.0.0.1:9";
    let keyferry = Keyferry::start(
        Configuration::new()
            .integration("acme", nowhere, nowhere, &Client::POST)
            .caller(&Keyferry::new_key().await)
            .toml(&caller),
    );
    let keyferry = keyferry.await;
    let writing = keyferry.request("POST", "/proxy/acme/notes").header("authorization", &format!("Bearer {key}"));
    let writing = writing.header("keyferry-org", Person::ADA.org).header("keyferry-user", Person::ADA.user);
    writing.send().await.expect_problem(403, "forbidden");
    let denied = until("it is told", LIMIT, || async { keyferry.logged("denied").pop() }).await;
    for (field, expected) in [
        ("reason", "outside_scope"),
        ("caller", "reader"),
        ("integration", "acme"),
        ("org", Person::ADA.org),
        ("user", Person::ADA.user),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(denied[field], expected, "{field} of {denied}");
    }
    assert!(denied["request.id"].is_string(), "{denied}");
    let call = until("the call has a line", LIMIT, || async { keyferry.logged("\"target\":\"call\"").pop() }).await;
    assert_eq!(call["client.address"], Value::Null, "{call}");

    keyferry.admin_request("POST", "/reload").header("authorization", "Bearer wrong").send().await;
    let denied = || async { keyferry.logged("denied").into_iter().find(|line| line["reason"] == "wrong_admin_key") };
    let denied = until("it is told", LIMIT, denied).await;
    assert_eq!(denied["client.address"], "127.0.0.1", "{denied}");
}

#[tokio::test]
async fn denials_that_are_held_back_are_told_at_the_end() {
    let mut keyferry = Keyferry::start(Configuration::new()).await;
    for _ in 0..15 {
        let wrong = keyferry.request("GET", "/integrations").header("authorization", "Bearer kf_wrong");
        wrong.send().await.expect_problem(401, "unauthenticated");
    }
    keyferry.terminate();
    let exit = keyferry.wait(LIMIT).await;
    let lines = exit.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told: Vec<Value> = lines.filter(|line| line["target"] == "audit").map(|line| line["times"].clone()).collect();
    assert_eq!(told.len(), 11, "{told:?}");
    assert_eq!(told.last(), Some(&5.into()));
}

#[tokio::test]
async fn a_flood_from_a_browser_is_folded_as_well() {
    let scene = Scene::new("").await;
    let keyferry = &scene.keyferry;
    let start = keyferry.authorize("acme", Person::BOB, &[]).await;
    let provider = Browser::new().outside(scene.server.issuer()).open(&start).await.url;
    let (_, state) = provider.query_pairs().find(|(name, _)| name == "state").expect("a state");
    let path = format!("/integrations/acme/oauth2callback?code=guessed&state={state}");
    // Not spent by a browser without the cookie: it may come again.
    let begun = Instant::now();
    for _ in 0..200 {
        keyferry.request("GET", &path).send().await.expect(400);
    }
    // Ten in five seconds have a line each, and the others of those seconds one.
    let windows = begun.elapsed().as_secs() / 5 + 1;
    let told = || async {
        let lines = scene.lines("audit").into_iter().filter(|line| line["reason"] == "another_browser");
        let lines: Vec<Value> = lines.collect();
        let sum = lines.iter().map(|line| line["times"].as_u64().unwrap_or(1)).sum::<u64>();
        (sum == 200).then_some(lines)
    };
    let lines = until("every one is told", LIMIT, told).await;
    assert!(lines.len() as u64 <= 11 * windows, "{lines:?}");
    let first = &lines[0];
    assert_eq!((&first["user"], &first["integration"]), (&"bob".into(), &"acme".into()), "{first}");
    assert!(first["request.id"].is_string(), "{first}");
}
