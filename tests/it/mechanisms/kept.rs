//! What token answers say besides tokens is kept: a capture that the file gains later works for connections that exist
//! already.

use serde_json::json;

use super::Acme;
use crate::support::Person;

const BEFORE: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
[api]
base_url = "SERVER/api"
"#;

const AFTER: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
[oauth.capture.token]
team = "$.team.id"
region = { path = "$.region", map = { eu = "europe", us = "america" }, default = "us" }
plan = { path = "$.plan", default = "free" }
token = "$.nested.token"
[api]
base_url = "SERVER/{region}"
headers = { X-Team = "{team}" }
"#;

fn answer() -> serde_json::Value {
    json!({
        "access_token": "the-access-token", "refresh_token": "the-refresh-token", "expires_in": 3600,
        "team": { "id": 7 }, "region": "eu", "nested": { "token": "the-access-token" },
    })
}

#[tokio::test]
async fn a_capture_that_comes_later() {
    let mut acme = Acme::start_on_disk(BEFORE, "").await;
    acme.server.json("/token", &answer());
    let connection = acme.connect().await;
    assert_eq!(connection["captured"], json!({}));
    // In quotes, as the connection's random values may well spell so short a word.
    assert!(!connection.to_string().contains("\"eu\""), "never shown by itself: {connection}");
    acme.keyferry.assert_keeps(&["the-access-token".to_owned(), "the-refresh-token".to_owned()]);

    acme.restart_with(AFTER).await;
    acme.requests();
    let captured = json!({ "team": "7", "region": "europe", "plan": "free" });
    assert_eq!(acme.connection().await["captured"], captured);
    acme.server.json("/europe/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let [call] = &acme.requests()[..] else { panic!("one call") };
    assert!(call.starts_with("GET /europe/me ") && call.contains("x-team: 7\n"), "{call}");
}

#[tokio::test]
async fn refreshes_add_to_what_is_kept() {
    let mut acme = Acme::start_on_disk(BEFORE, "").await;
    let mut first = answer();
    first["expires_at"] = json!(1);
    first["expires_in"] = json!(null);
    acme.server.json("/token", &first);
    acme.connect().await;
    let second = json!({ "access_token": "the-next-token", "expires_in": 3600, "region": "us", "plan": "paid" });
    acme.server.json("/token", &second).json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);

    acme.restart_with(AFTER).await;
    let captured = json!({ "team": "7", "region": "america", "plan": "paid" });
    assert_eq!(acme.connection().await["captured"], captured);
}

#[tokio::test]
async fn an_answer_beyond_the_cap_connects_and_leaves_the_defaults() {
    let mut acme = Acme::start_on_disk(BEFORE, "").await;
    let mut huge = answer();
    huge["padding"] = json!("x".repeat(9000));
    acme.server.json("/token", &huge);
    acme.connect().await;
    acme.restart_with(AFTER).await;
    assert_eq!(acme.connection().await["captured"], json!({ "region": "america", "plan": "free" }));
}
