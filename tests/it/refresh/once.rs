//! Exactly one refresh for one expired token.

use std::time::Duration;

use serde_json::json;

use super::{LIMIT, SHORT, calls_at_once, configuration, connected_and_expired, expired, recovers};
use crate::support::{AuthorizationServer, Keyferry, Metrics, Person, Redis, until};

#[tokio::test]
async fn for_a_thousand_calls_in_one_process() {
    for store in ["url = \"memory:\"\n", "url = \"file:data/keyferry.redb\"\n"] {
        let server = AuthorizationServer::configured(json!({ "token_delay_ms": 300 })).await;
        let keyferry = Keyferry::start(configuration(&server).store(store)).await;
        connected_and_expired(&server, &keyferry).await;

        calls_at_once(&[&keyferry], 1000).await;

        assert_eq!(server.count("/token/refresh_token").await, 1, "{store}");
        assert_eq!((server.count("/api/200").await, server.count("/api/401").await), (1000, 0));
        assert_eq!(server.count("/grants_revoked").await, 0);
    }
}

#[tokio::test]
async fn for_a_thousand_calls_in_two_processes_over_one_redis() {
    let redis = Redis::alone();
    let server = AuthorizationServer::configured(json!({ "token_delay_ms": 300 })).await;
    let first = Keyferry::start(configuration(&server).store(&redis.store())).await;
    let second = configuration(&server).store(&redis.store()).public_url(first.public_url());
    let second = Keyferry::start(second).await;
    connected_and_expired(&server, &first).await;

    calls_at_once(&[&first, &second], 1000).await;

    let pages = [Metrics::of(&first).await, Metrics::of(&second).await];
    let refreshes = ["refreshed", "kept", "refused", "failed"].map(|outcome| {
        let labels = [("integration", "acme"), ("outcome", outcome)];
        pages.iter().map(|page| page.value("keyferry_refreshes_total", &labels)).sum::<f64>()
    });
    // How often somebody else had it already is a matter of who comes when.
    assert_eq!([refreshes[0], refreshes[2], refreshes[3]], [1.0, 0.0, 0.0], "{refreshes:?}");
    assert_eq!(server.count("/token/refresh_token").await, 1);
    assert_eq!(server.count("/api/401").await, 0);
    assert_eq!(server.count("/grants_revoked").await, 0);
}

#[tokio::test]
async fn round_after_round_at_a_server_that_revokes_on_reuse() {
    let redis = Redis::alone();
    let server = AuthorizationServer::configured(json!({ "access_token_ttl": SHORT, "rotate": true })).await;
    let first = Keyferry::start(configuration(&server).store(&redis.store())).await;
    let second = configuration(&server).store(&redis.store()).public_url(first.public_url());
    let second = Keyferry::start(second).await;
    first.connect("acme", Person::ADA).await;

    let mut last = calls_at_once(&[&first, &second], 50).await;
    for round in 1..=5 {
        expired(&server).await;
        let next = calls_at_once(&[&first, &second], 50).await;
        assert_ne!(last, next, "round {round}");
        last = next;
        assert_eq!(server.count("/token/refresh_token").await, round);
    }
    assert_eq!((server.count("/grants_revoked").await, server.count("/token_errors/invalid_grant").await), (0, 0));
}

#[tokio::test]
async fn and_it_ends_whether_or_not_the_caller_waits() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server)).await;
    connected_and_expired(&server, &keyferry).await;
    server.change(json!({ "token_delay_ms": 1000 })).await;

    let call = keyferry.call("acme", "/api/me", Person::ADA);
    tokio::time::timeout(Duration::from_millis(300), call).await.expect_err("the token endpoint takes a second");
    until("the refresh that the caller left behind", LIMIT, || async {
        (server.count("/granted/refresh_token").await == 1).then_some(())
    })
    .await;

    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
    assert_eq!(server.count("/token/refresh_token").await, 1);
}

#[tokio::test]
async fn and_sigterm_lets_it_end() {
    let server = AuthorizationServer::start().await;
    let store = "url = \"file:data/keyferry.redb\"\n";
    let mut keyferry = Keyferry::start(configuration(&server).store(store)).await;
    connected_and_expired(&server, &keyferry).await;
    server.change(json!({ "token_delay_ms": 1000 })).await;

    let call = keyferry.call("acme", "/api/me", Person::ADA);
    let stop = async {
        until("the refresh begins", LIMIT, || async { (server.arrivals("token").await >= 2).then_some(()) }).await;
        keyferry.terminate();
    };
    let (answer, ()) = tokio::join!(call, stop);
    answer.expect(200);
    assert!(keyferry.wait(LIMIT).await.status.success());

    server.change(json!({ "token_delay_ms": 0 })).await;
    keyferry.start_again().await;
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
    assert_eq!(server.count("/token/refresh_token").await, 1);
}

#[tokio::test]
async fn and_a_crash_in_the_middle_loses_nothing_that_the_server_still_honours() {
    let server = AuthorizationServer::configured(json!({ "rotate": false })).await;
    let store = "url = \"file:data/keyferry.redb\"\n";
    let mut keyferry = Keyferry::start(configuration(&server).store(store)).await;
    connected_and_expired(&server, &keyferry).await;
    server.change(json!({ "token_delay_ms": 500 })).await;

    let call = keyferry.request_for("GET", "/proxy/acme/api/me", Person::ADA).attempt();
    let crash = async {
        until("the refresh begins", LIMIT, || async { (server.arrivals("token").await >= 2).then_some(()) }).await;
        keyferry.signal(rustix::process::Signal::KILL);
    };
    let (answer, ()) = tokio::join!(call, crash);
    answer.expect_err("the process is gone");

    server.change(json!({ "token_delay_ms": 0 })).await;
    keyferry.crash_and_restart().await;
    recovers(&keyferry).await;
}
