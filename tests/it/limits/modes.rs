//! One sidecar with a store in memory.

use std::time::Duration;

use serde_json::json;

use super::{answered_of, call, circuits, configuration, refused};
use crate::support::{AuthorizationServer, Keyferry, Metrics, Person, Request, plain_client, until};

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

#[tokio::test]
async fn metrics_are_those_that_are_promised() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server, None, "observe")).await;
    let metrics = Metrics::of(&keyferry).await;
    assert_eq!(metrics.content_type(), "text/plain; version=0.0.4; charset=utf-8");
    let families: Vec<_> = metrics.families().into_iter().map(|(name, kind, _)| (name, kind)).collect();
    // The parser calls a counter by its name without `_total`.
    let expected = [
        ("keyferry_build_info", "gauge"),
        ("keyferry_config_reloads", "counter"),
        ("keyferry_config_last_good_timestamp_seconds", "gauge"),
        ("keyferry_circuit_state", "gauge"),
        ("keyferry_circuit_opened", "counter"),
        ("keyferry_rate_exceeded", "counter"),
        ("keyferry_rate_waited_seconds", "counter"),
        ("keyferry_rate_limited_answers", "counter"),
        ("keyferry_calls", "counter"),
        ("keyferry_call_duration_seconds", "histogram"),
        ("keyferry_call_request_bytes", "counter"),
        ("keyferry_call_response_bytes", "counter"),
    ];
    assert_eq!(families, expected);
    assert!(metrics.families().iter().all(|(_, _, help)| help.ends_with('.')), "each has a sentence");
    assert_eq!(metrics.value("keyferry_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(metrics.value("keyferry_circuit_state", &[("integration", "acme")]), 0.0);
    assert_eq!(circuits(&keyferry).await, Vec::<serde_json::Value>::new());

    // The first call of a kind adds its lines, no caller adds others, and other methods are refused.
    let url = format!("http://{}/metrics", keyferry.admin());
    let series = async |names: [&'static str; 3]| {
        for name in names {
            keyferry.call(name, "/x", Person::ADA).await;
        }
        let text = Request::new(&plain_client(), "GET", &url).send().await.expect(200).text();
        text.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect::<Vec<_>>()
    };
    let before = series(["acme", "nobody", "some%22body"]).await;
    let unknown = r#"keyferry_calls_total{integration="",method="GET",outcome="unknown_integration"}"#;
    assert!(before.iter().any(|line| line == unknown), "{before:?}");
    assert_eq!(series(["acme", "no-one", "a%0Ab"]).await, before);
    Request::new(&plain_client(), "POST", &url).send().await.expect_problem(405, "method_not_allowed");
}
