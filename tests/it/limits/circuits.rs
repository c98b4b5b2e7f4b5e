//! A provider that keeps failing.

use std::time::Duration;

use serde_json::json;

use super::{call, circuits, configuration};
use crate::support::{Answer, AuthorizationServer, Client, Configuration, Keyferry, Metrics, Person, Port, until};

/// Longer than a circuit stays open the second time.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn it_opens_half_opens_and_closes() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server, None, "reject")).await;
    keyferry.connect("acme", Person::ADA).await;
    fails(&server, 11).await;
    for _ in 0..10 {
        assert_eq!(call(&keyferry).await.expect(500).header("keyferry-error"), None, "the provider's own answer");
    }
    stopped(call(&keyferry).await);
    assert_eq!(server.count("/faults/api/500").await, 10, "an open circuit asks nobody");
    let [circuit] = &circuits(&keyferry).await[..] else { panic!("one is open") };
    assert_eq!((&circuit["integration"], &circuit["state"]), (&json!("acme"), &json!("open")));
    assert!((1..=10).contains(&circuit["retry_after"].as_u64().expect("seconds")), "{circuit}");
    let metrics = Metrics::of(&keyferry).await;
    assert_eq!(metrics.value("keyferry_circuit_state", &[("integration", "acme")]), 2.0);
    assert_eq!(metrics.value("keyferry_circuit_opened_total", &[("integration", "acme")]), 1.0);

    until("its time is up", LIMIT, async || {
        circuits(&keyferry).await.iter().any(|circuit| circuit["state"] == "half_open").then_some(())
    })
    .await;
    // The one that is let through fails once more, and the circuit stays open for longer.
    assert_eq!(call(&keyferry).await.expect(500).header("keyferry-error"), None);
    let seconds = stopped(call(&keyferry).await);
    assert!(seconds > 10 && seconds <= 20, "{seconds}");

    until("a call is let through", LIMIT, async || {
        let answer = call(&keyferry).await;
        if answer.status != 200 {
            stopped(answer.clone());
        }
        (answer.status == 200).then_some(())
    })
    .await;
    call(&keyferry).await.expect(200);
    assert!(circuits(&keyferry).await.is_empty());
    let metrics = Metrics::of(&keyferry).await;
    assert_eq!(metrics.value("keyferry_circuit_state", &[("integration", "acme")]), 0.0);
    assert_eq!(metrics.value("keyferry_circuit_opened_total", &[("integration", "acme")]), 2.0);
    said_once(&keyferry, "the circuit closes", "INFO").await;
    said_once(&keyferry, "the circuit opens", "WARN").await;
}

#[tokio::test]
async fn observing_stops_nothing_and_answers_close_it() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server, None, "observe")).await;
    keyferry.connect("acme", Person::ADA).await;
    fails(&server, 15).await;
    for _ in 0..15 {
        assert_eq!(call(&keyferry).await.expect(500).header("keyferry-error"), None);
    }
    assert_eq!(circuits(&keyferry).await.len(), 1, "it says that the provider fails");
    for _ in 0..30 {
        call(&keyferry).await.expect(200);
    }
    assert!(circuits(&keyferry).await.is_empty(), "it says that the provider answers");
    said_once(&keyferry, "the circuit closes", "INFO").await;
    said_once(&keyferry, "the circuit opens", "WARN").await;
}

#[tokio::test]
async fn what_is_not_the_providers_failure_opens_nothing() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server, None, "reject")).await;
    keyferry.connect("acme", Person::ADA).await;
    for status in [404, 429, 501, 505] {
        let answer = json!({ "endpoint": "api", "mode": "answer", "status": status, "body": {}, "times": 12 });
        server.fault(answer).await;
        for _ in 0..12 {
            assert_eq!(call(&keyferry).await.expect(status).header("keyferry-error"), None);
        }
    }
    assert!(circuits(&keyferry).await.is_empty());
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_fails_too() {
    let (server, nobody) = (AuthorizationServer::start().await, Port::reserve());
    let base_url = format!("http://127.0.0.1:{}", nobody.number());
    let configuration =
        Configuration::new().integration("acme", server.issuer(), &base_url, &Client::POST).toml("limits = \"delay\"");
    let keyferry = Keyferry::start(configuration).await;
    keyferry.connect("acme", Person::ADA).await;
    for _ in 0..10 {
        let answer = call(&keyferry).await;
        assert_eq!(answer.header("retry-after"), None, "nobody knows when");
        answer.expect_problem(502, "upstream_unreachable");
    }
    stopped(call(&keyferry).await);
}

/// So many answers of the API are 500.
async fn fails(server: &AuthorizationServer, times: u32) {
    server.fault(json!({ "endpoint": "api", "mode": "500", "times": times })).await;
}

/// Panics unless the answer is that of an open circuit; answers in how many seconds to come back.
#[track_caller]
fn stopped(answer: Answer) -> u64 {
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
    let problem = answer.expect_problem(502, "upstream_unreachable");
    let detail = problem["detail"].as_str().expect("a sentence");
    let seconds: u64 = seconds.filter(|seconds| *seconds > 0).expect("a time to come back");
    let expected = format!("The provider has been failing, so it was not asked. It is asked again in {seconds} s.");
    assert_eq!(detail, expected);
    seconds
}

/// Panics unless the log says this once, at this level, about the integration.
async fn said_once(keyferry: &Keyferry, words: &str, level: &str) {
    keyferry.until_logged(words).await;
    let lines = keyferry.logged(words);
    let [line] = &lines[..] else { panic!("said {} times: {words}", lines.len()) };
    assert_eq!((&line["integration"], &line["level"]), (&json!("acme"), &json!(level)), "{line}");
}
