//! A provider that refuses: a refresh token for good, or an access token before its time.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{LONG, configuration, connected_and_expired};
use crate::support::{AuthorizationServer, Keyferry, Person};

#[tokio::test]
async fn a_grant_that_is_gone_asks_for_a_reconnect() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server)).await;
    connected_and_expired(&server, &keyferry).await;
    server.forget("RefreshToken").await;

    for _ in 0..3 {
        let problem = keyferry.call("acme", "/api/me", Person::ADA).await.expect_problem(424, "reconnect_required");
        let connect_url = problem["connect_url"].as_str().expect("where to go");
        assert!(connect_url.starts_with(keyferry.public_url()), "{problem}");
    }
    assert!(server.count("/token/refresh_token").await <= 2, "a dead grant is not tried again and again");
    let connection = keyferry.request_for("GET", "/integrations/acme/connection", Person::ADA).send().await;
    assert_eq!(connection.expect(200).json()["status"], "reconnect_required");

    keyferry.connect("acme", Person::ADA).await;
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
}

#[tokio::test]
async fn a_token_that_is_refused_early_is_refreshed_once_and_the_request_sent_again() {
    const HELD: usize = 64 * 1024;
    let server = AuthorizationServer::configured(json!({ "access_token_ttl": LONG })).await;
    let keyferry = Keyferry::start(configuration(&server)).await;
    let cyd = Person { org: "analytical", user: "cyd" };
    for person in [Person::ADA, Person::BOB, cyd] {
        keyferry.connect("acme", person).await;
    }
    let first = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
    let connected = Instant::now();
    server.forget("AccessToken").await;

    // Within its first 30 seconds a 401 is the caller's: it may be about a scope, and a refresh would not help.
    let young = keyferry.call("acme", "/api/me", Person::ADA).await.expect(401);
    assert_eq!((young.header("keyferry-error"), server.count("/token/refresh_token").await), (None, 0));
    sleep_until(connected + Duration::from_secs(31)).await;

    let me = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
    assert_ne!(me["token_sha256"], first["token_sha256"]);
    assert_eq!(server.count("/token/refresh_token").await, 1);

    // What was held is sent again, what was streamed is not.
    let post =
        |person, bytes| keyferry.request_for("POST", "/proxy/acme/api/echo", person).body(vec![b'x'; bytes]).send();
    assert_eq!(post(Person::BOB, HELD).await.expect(200).json()["body_bytes"], HELD);
    assert_eq!(server.count("/token/refresh_token").await, 2);
    let passed_on = post(cyd, HELD + 1).await.expect(401);
    assert_eq!(passed_on.header("keyferry-error"), None);
    post(cyd, HELD + 1).await.expect(200);
    assert_eq!(server.count("/token/refresh_token").await, 3);
}
