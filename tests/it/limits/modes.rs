//! One sidecar with a store in memory.

use std::time::Duration;

use serde_json::json;

use super::{answered_of, call, configuration, refused};
use crate::support::{AuthorizationServer, Keyferry, Metrics, Person, until};

#[tokio::test]
async fn observing_lets_everything_go_and_counts_it() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server, Some("{ limit = 2, per = \"1h\" }"), "observe")).await;
    keyferry.connect("acme", Person::ADA).await;
    assert_eq!(answered_of(&[&keyferry], 5).await, 5);

    let metrics = Metrics::of(&keyferry).await;
    let exceeded = |mode| metrics.value("keyferry_rate_exceeded_total", &[("integration", "acme"), ("mode", mode)]);
    assert_eq!((exceeded("observe"), exceeded("load")), (3.0, 0.0));
    assert_eq!(metrics.value("keyferry_rate_waited_seconds_total", &[("integration", "acme")]), 0.0);
    assert_eq!(metrics.value("keyferry_rate_limited_answers_total", &[("integration", "acme")]), 0.0);
}

#[tokio::test]
async fn rejecting_holds_each_connection_to_its_own_budget() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server, Some("{ limit = 5, per = \"1h\" }"), "reject")).await;
    for person in [Person::ADA, Person::BOB] {
        keyferry.connect("acme", person).await;
    }
    assert_eq!(answered_of(&[&keyferry], 20).await, 5);
    let seconds = refused(call(&keyferry).await);
    assert!(seconds <= 720, "one of five in an hour comes back in twelve minutes, not in {seconds} s");
    keyferry.call("acme", "/api/me", Person::BOB).await.expect(200);

    assert_eq!(server.count("/api/200").await, 6, "what is refused does not reach the provider");
    let metrics = Metrics::of(&keyferry).await;
    assert_eq!(metrics.value("keyferry_rate_exceeded_total", &[("integration", "acme"), ("mode", "reject")]), 16.0);
}

#[tokio::test]
async fn a_budget_outlives_the_token() {
    let server = AuthorizationServer::configured(json!({ "access_token_ttl": 3 })).await;
    let keyferry = Keyferry::start(configuration(&server, Some("{ limit = 2, per = \"1h\" }"), "reject")).await;
    keyferry.connect("acme", Person::ADA).await;
    call(&keyferry).await.expect(200);
    let expired = async || (server.live("AccessToken").await == 0).then_some(());
    until("the token expires", Duration::from_secs(60), expired).await;
    server.change(json!({ "access_token_ttl": 3600 })).await;
    call(&keyferry).await.expect(200);
    assert!(server.count("/granted/refresh_token").await >= 1, "it was refreshed");
    refused(call(&keyferry).await);
}

#[tokio::test]
async fn delaying_waits_as_long_as_is_reasonable() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server, Some("{ limit = 1, per = \"6s\" }"), "delay")).await;
    keyferry.connect("acme", Person::ADA).await;
    // One goes, one waits for six seconds, and one would have to wait for twelve.
    assert_eq!(answered_of(&[&keyferry], 3).await, 2);
    let metrics = Metrics::of(&keyferry).await;
    assert_eq!(metrics.value("keyferry_rate_exceeded_total", &[("integration", "acme"), ("mode", "delay")]), 2.0);
    let waited = metrics.value("keyferry_rate_waited_seconds_total", &[("integration", "acme")]);
    assert!(waited > 0.0 && waited <= 6.0, "{waited}");
}
