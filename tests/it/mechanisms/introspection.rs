//! `introspection_endpoint` (RFC 7662): asked when a token ends, where its answer does not say.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Acme, FORM};
use crate::support::{Person, until};

const LIMIT: Duration = Duration::from_secs(30);

const FILE: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
introspection_endpoint = "SERVER/introspect"
token_endpoint_auth_method = "client_secret_basic"
[api]
base_url = "SERVER/api"
"#;

async fn start() -> Acme {
    Acme::start(FILE, "client_secret = \"the-secret\"").await
}

#[tokio::test]
async fn every_byte_when_connecting_and_after_a_refresh() {
    let acme = start().await;
    acme.server.json("/token", &json!({ "access_token": "AT", "refresh_token": "RT" }));
    acme.server.json("/introspect", &json!({ "active": true, "exp": 1 }));
    assert_eq!(acme.connect().await["expires_at"], "1970-01-01T00:00:01Z");
    let introspection = |token: &str| {
        format!(
            "POST /introspect HTTP/1.1\naccept: application/json\nauthorization: Basic dGhlLWlkOnRoZS1zZWNyZXQ=\n\
             {FORM}token={token}&token_type_hint=access_token"
        )
    };
    assert_eq!(acme.requests()[1..], [introspection("AT")]);

    acme.server.json("/token", &json!({ "access_token": "AT2", "refresh_token": "RT2" }));
    acme.server.json("/introspect", &json!({ "active": true, "exp": 4_102_444_800_u64 })).json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let requests = acme.requests();
    assert!(requests[0].ends_with("grant_type=refresh_token&refresh_token=RT"), "{}", requests[0]);
    assert_eq!(requests[1], introspection("AT2"));
    assert!(requests[2].contains("authorization: Bearer AT2\n"), "{}", requests[2]);
    assert_eq!(acme.connection().await["expires_at"], "2100-01-01T00:00:00Z");
}

#[tokio::test]
async fn nobody_is_asked_what_the_answer_says() {
    let acme = start().await;
    acme.server.json("/token", &json!({ "access_token": "AT", "expires_at": 4_102_444_800_u64 }));
    assert_eq!(acme.connect().await["expires_at"], "2100-01-01T00:00:00Z");
    assert_eq!(acme.requests().len(), 1);
}

#[tokio::test]
async fn a_failure_is_logged_and_ignored() {
    let acme = start().await;
    let answers = [(401, r#"{"active":true,"exp":1}"#), (200, r#"{"active":false,"canary":1}"#), (200, "<html>")];
    for (round, (status, body)) in answers.into_iter().enumerate() {
        acme.server.json("/token", &json!({ "access_token": "AT" }));
        acme.server.answer("/introspect", status, "application/json", body).json("/api/me", &json!({}));
        let connection = acme.connect().await;
        assert_eq!((&connection["status"], &connection["expires_at"]), (&json!("active"), &Value::Null));
        acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
        let told = || async {
            let lines = acme.keyferry.logged("introspection does not tell when a token ends").len();
            (lines > round).then_some(lines)
        };
        assert_eq!(until("it is logged", LIMIT, told).await, round + 1, "{}", acme.keyferry.log());
        assert!(!acme.keyferry.log().contains("canary"));
    }
}
