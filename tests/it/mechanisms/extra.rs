//! `[oauth.token_response.extra]`: further tokens of the answers, usable where the access token is, and never shown.

use serde_json::json;

use super::Acme;
use crate::support::Person;

const FILE: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
revocation_endpoint = "SERVER/revoke"
refresh_params = { user = "{user_token}" }
[oauth.revocation]
params = { token = "{user_token}" }
headers = { X-Page = "{page_token}" }
[oauth.token_response.extra]
user_token = "$.authed_user.access_token"
page_token = "$.page"
[oauth.capture.token]
copy = "$.copy"
team = "$.team.id"
[[oauth.discovery]]
url = "SERVER/me"
headers = { X-User = "{user_token}" }
capture = { account = "$.id" }
[api]
base_url = "SERVER/api"
headers = { X-User = "Bearer {user_token}" }
"#;

#[tokio::test]
async fn where_the_access_token_is() {
    let acme = Acme::start(FILE, "").await;
    acme.server.json(
        "/token",
        &json!({
            "access_token": "the-bot-token", "refresh_token": "the-refresh-token", "expires_at": 1, "page": "the-page-token",
            "authed_user": { "access_token": "the-user-token" }, "copy": "the-user-token", "team": { "id": "T1" },
        }),
    );
    acme.server.json("/me", &json!({ "id": "U1" }));
    let connection = acme.connect().await;
    assert_eq!(connection["captured"], json!({ "team": "T1", "account": "U1" }), "a token is no captured value");
    assert!(acme.requests()[1].contains("x-user: the-user-token\n"));

    // A refresh presents them, replaces those that it brings, and keeps the others.
    let renewed = json!({ "access_token": "the-next-token", "authed_user": { "access_token": "the-next-user-token" } });
    acme.server.json("/token", &renewed).json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let requests = acme.requests();
    assert!(requests[0].contains("refresh_token=the-refresh-token&user=the-user-token&"), "{}", requests[0]);
    assert!(requests[1].contains("x-user: Bearer the-next-user-token\n"), "{}", requests[1]);
    assert!(requests[1].contains("authorization: Bearer the-next-token\n"), "{}", requests[1]);

    let shown =
        acme.keyferry.credentials("acme", Person::ADA).await.expect(200).text() + &acme.connection().await.to_string();
    acme.server.answer("/revoke", 200, "text/plain", "");
    acme.keyferry.disconnect("acme", Person::ADA).await.expect(200);
    let requests = acme.requests_up_to("/revoke").await;
    assert!(requests[0].contains("token=the-next-user-token") && requests[0].contains("x-page: the-page-token\n"));

    let secrets = ["the-user-token", "the-next-user-token", "the-page-token", "the-bot-token"].map(str::to_owned);
    secrets.iter().for_each(|secret| assert!(!shown.contains(secret), "{shown}"));
    acme.keyferry.assert_keeps(&secrets);
}

#[tokio::test]
async fn in_a_store_that_outlives_the_process() {
    let mut acme = Acme::start_on_disk(FILE, "").await;
    acme.server.json("/token", &json!({ "access_token": "AT", "authed_user": { "access_token": "the-user-token" } }));
    acme.server.json("/me", &json!({ "id": "U1" })).json("/api/me", &json!({}));
    acme.connect().await;
    acme.keyferry.assert_keeps(&["the-user-token".to_owned()]);
    acme.keyferry.restart().await;
    acme.requests();
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    assert!(acme.requests()[0].contains("x-user: Bearer the-user-token\n"));
}
