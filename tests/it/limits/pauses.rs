//! A provider that answers 429 with `Retry-After`.

use std::time::Duration;

use serde_json::json;

use super::{call, configuration, refused};
use crate::support::{AuthorizationServer, Keyferry, Metrics, Person, Redis, until};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_pause_closes_the_connection_and_no_other() {
    for limits in ["reject", "delay"] {
        // Without a rule in the provider file there is no budget, but the provider is listened to.
        let server = AuthorizationServer::start().await;
        let keyferry = Keyferry::start(configuration(&server, None, limits)).await;
        for person in [Person::ADA, Person::BOB] {
            keyferry.connect("acme", person).await;
        }
        limited(&server, "1800.5").await;
        let answer = call(&keyferry).await.expect(429);
        assert_eq!((answer.header("keyferry-error"), answer.header("retry-after")), (None, Some("1800.5")));

        let seconds = refused(call(&keyferry).await);
        assert!((1700..=1801).contains(&seconds), "{limits}: {seconds}");
        keyferry.call("acme", "/api/me", Person::BOB).await.expect(200);
        assert_eq!(server.count("/api/200").await, 1, "{limits}");
        let metrics = Metrics::of(&keyferry).await;
        assert_eq!(metrics.value("keyferry_rate_limited_answers_total", &[("integration", "acme")]), 1.0);
        assert_eq!(metrics.value("keyferry_rate_exceeded_total", &[("integration", "acme"), ("mode", limits)]), 1.0);
        assert_eq!(metrics.value("keyferry_circuit_state", &[("integration", "acme")]), 0.0);
    }
}

#[tokio::test]
async fn a_pause_ends_and_is_never_longer_than_an_hour() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server, None, "reject")).await;
    for person in [Person::ADA, Person::BOB] {
        keyferry.connect("acme", person).await;
    }
    limited(&server, "86400").await;
    call(&keyferry).await.expect(429);
    let seconds = refused(call(&keyferry).await);
    assert!((3500..=3600).contains(&seconds), "{seconds}");

    limited(&server, "2").await;
    let bob = async || keyferry.call("acme", "/api/me", Person::BOB).await;
    assert_eq!(bob().await.expect(429).header("keyferry-error"), None);
    until("the pause is over", LIMIT, async || {
        let answer = bob().await;
        if answer.status != 200 {
            refused(answer.clone());
        }
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn observing_pauses_nobody() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(configuration(&server, None, "observe")).await;
    keyferry.connect("acme", Person::ADA).await;
    limited(&server, "1800").await;
    call(&keyferry).await.expect(429);
    call(&keyferry).await.expect(200);
    let metrics = Metrics::of(&keyferry).await;
    let over = metrics.value("keyferry_rate_exceeded_total", &[("integration", "acme"), ("mode", "observe")]);
    assert_eq!(over, 1.0, "it went though the provider had asked for a pause");
}

#[tokio::test]
async fn other_replicas_hear_of_a_pause() {
    let server = AuthorizationServer::start().await;
    let redis = Redis::alone();
    let configuration = configuration(&server, None, "reject").store(&redis.store());
    let (one, other) = (Keyferry::start(configuration.clone()).await, Keyferry::start(configuration).await);
    one.connect("acme", Person::ADA).await;
    call(&other).await.expect(200);
    limited(&server, "1800").await;
    call(&one).await.expect(429);
    until("the other replica pauses too", LIMIT, async || {
        let answer = call(&other).await;
        (answer.status != 200).then(|| refused(answer))
    })
    .await;
}

/// The next answer of the API is 429 with that `Retry-After`.
async fn limited(server: &AuthorizationServer, retry_after: &str) {
    server.fault(json!({ "endpoint": "api", "mode": "429", "retry_after": retry_after })).await;
}
