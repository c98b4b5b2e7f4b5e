//! A token endpoint that fails, in every way short of refusing: none ends a grant.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{LIMIT, LONG, SHORT, calls_at_once, configuration, connected_and_expired, expired, recovers};
use crate::support::{AuthorizationServer, Keyferry, Person, until};

#[tokio::test]
async fn server_errors_never_end_a_grant() {
    survives(json!({ "mode": "500", "times": 3 })).await;
}

#[tokio::test]
async fn too_many_requests_never_end_a_grant() {
    survives(json!({ "mode": "429", "retry_after": 1, "times": 3 })).await;
}

#[tokio::test]
async fn pages_that_speak_of_invalid_grant_never_end_a_grant() {
    let pages = [502, 400, 200].map(|status| json!({ "mode": "html", "status": status, "times": 2 }));
    join_all(pages.map(survives)).await;
}

#[tokio::test]
async fn other_errors_never_end_a_grant() {
    let errors = ["invalid_client", "unauthorized_client", "temporarily_unavailable", "server_error"];
    let answers = errors.map(|error| json!({ "mode": "answer", "status": 400, "body": { "error": error } }));
    join_all(answers.map(survives)).await;
}

#[tokio::test]
async fn answers_that_make_no_sense_never_end_a_grant() {
    let bodies =
        [json!({}), json!([]), json!("invalid_grant"), json!({ "access_token": 5 }), json!({ "access_token": "" })];
    join_all(bodies.map(|body| survives(json!({ "mode": "answer", "status": 200, "body": body })))).await;
}

#[tokio::test]
async fn silence_never_ends_a_grant() {
    survives(json!({ "mode": "hang" })).await;
}

#[tokio::test]
async fn a_cut_connection_never_ends_a_grant() {
    survives(json!({ "mode": "drop_before", "times": 2 })).await;
}

#[tokio::test]
async fn a_lost_answer_never_ends_a_grant_that_is_still_honoured() {
    // Without rotation the old refresh token is as good as before.
    survives(json!({ "mode": "drop_after" })).await;
}

#[tokio::test]
async fn a_lost_answer_of_a_server_that_revokes_on_reuse_is_owned_up_to() {
    let server = AuthorizationServer::configured(json!({ "rotate": true })).await;
    let keyferry = Keyferry::start(configuration(&server)).await;
    connected_and_expired(&server, &keyferry).await;
    server.fault(json!({ "mode": "drop_after", "grant_type": "refresh_token" })).await;

    let problem = until("an end", LIMIT, || async {
        let answer = keyferry.call("acme", "/api/me", Person::ADA).await;
        assert_ne!(answer.status, 200, "the server has no such grant any more");
        (answer.status == 424).then(|| answer.expect_problem(424, "reconnect_required"))
    })
    .await;
    assert!(problem["connect_url"].is_string(), "{problem}");

    server.change(json!({ "access_token_ttl": LONG })).await;
    keyferry.connect("acme", Person::ADA).await;
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
}

#[tokio::test]
async fn an_omitted_refresh_token_means_the_old_one() {
    let server = AuthorizationServer::configured(json!({ "rotate": false, "access_token_ttl": SHORT })).await;
    let keyferry = Keyferry::start(configuration(&server)).await;
    keyferry.connect("acme", Person::ADA).await;
    server
        .fault(
            json!({ "mode": "patch", "grant_type": "refresh_token", "times": 3, "patch": { "refresh_token": null } }),
        )
        .await;
    for round in 1..=4 {
        expired(&server).await;
        calls_at_once(&[&keyferry], 10).await;
        assert_eq!(server.count("/granted/refresh_token").await, round);
    }
}

#[tokio::test]
async fn an_expiry_in_any_shape_is_taken() {
    let server = AuthorizationServer::configured(json!({ "rotate": false, "access_token_ttl": LONG })).await;
    let keyferry = Keyferry::start(configuration(&server)).await;
    for expires_in in [json!("3600"), json!(3600.0), json!(u64::MAX), Value::Null, json!("soon"), json!(-1)] {
        server
            .fault(
                json!({ "mode": "patch", "grant_type": "authorization_code", "patch": { "expires_in": expires_in } }),
            )
            .await;
        keyferry.connect("acme", Person::ADA).await;
        keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
    }
}

/// Lets a token expire, orders `fault` for its refresh, and sees that calls fail honestly while it lasts and work when
/// it is over.
async fn survives(mut fault: Value) {
    let what = fault.to_string();
    let server = AuthorizationServer::configured(json!({ "rotate": false })).await;
    let patience = if fault["mode"] == "hang" { "[net]\ntoken_timeout = \"5s\"\n" } else { "" };
    let keyferry = Keyferry::start(configuration(&server).toml(patience)).await;
    connected_and_expired(&server, &keyferry).await;

    fault["grant_type"] = "refresh_token".into();
    server.fault(fault).await;
    let failed = keyferry.call("acme", "/api/me", Person::ADA).await;
    // A retry within the call may have got through; otherwise the answer is Keyferry's own, and not that the grant is
    // gone.
    if failed.status != 200 {
        assert!([502, 503, 504].contains(&failed.status), "{what}: {}", failed.describe());
        assert!(failed.header("keyferry-error").is_some(), "{what}: {}", failed.describe());
        assert!(!failed.text().contains("invalid_grant"), "{what}: the provider's words are echoed");
    }
    let connection = keyferry.credentials("acme", Person::ADA).await.expect(200).json();
    assert_eq!(connection["status"], "active", "{what}");

    let me = recovers(&keyferry).await;
    assert_eq!(me["account"], "ada", "{what}");
    assert_eq!((server.count("/grants_revoked").await, server.count("/token_errors/invalid_grant").await), (0, 0));
    assert_eq!(server.count("/api/401").await, 0, "{what}: a call went out with a dead token");
}
