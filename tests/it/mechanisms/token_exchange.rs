//! `[[oauth.token_exchange]]`: requests after the code exchange that bring other tokens.

use serde_json::json;

use super::{Acme, FORM, HEAD, LIMIT};
use crate::support::{Person, until};

/// A short-lived token for a long-lived one, as at Instagram; the long-lived one refreshes itself.
const LONG_LIVED: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
refresh_endpoint = "SERVER/refresh"
refresh_params = { grant_type = "ig_refresh_token", access_token = "{access_token}" }
[[oauth.token_exchange]]
url = "SERVER/access_token?version=2"
method = "GET"
params = { grant_type = "ig_exchange_token", client_secret = "{client_secret}", access_token = "{access_token}" }
headers = { X-Account = "{account}" }
[oauth.token_exchange.capture]
tier = { path = "$.tier", map = { "1" = "gold" } }
[oauth.capture.token]
account = "$.user_id"
[api]
base_url = "SERVER/api"
headers = { X-Tier = "{tier}" }
"#;

/// A session for each token, as at Bullhorn: what calls carry is the session, which every refresh begins anew.
const SESSIONS: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
revocation_endpoint = "SERVER/revoke"
refresh = "rotate"
[oauth.revocation]
params = { token = "{refresh_token}" }
[[oauth.token_exchange]]
url = "SERVER/login"
format = "json"
auth_method = "client_secret_basic"
params = { access_token = "{access_token}", version = "*" }
after = "refresh"
token_response = { extra = { session = "$.session" } }
[[oauth.token_exchange]]
url = "SERVER/where"
params = { session = "{session}" }
capture = { shard = "$.shard" }
[api]
base_url = "SERVER/{shard}"
auth = { name = "X-Session", format = "{session}" }
"#;

const SECRET: &str = "client_secret = \"the-secret\"";

#[tokio::test]
async fn a_long_lived_token_for_a_short_lived_one() {
    let acme = Acme::start(LONG_LIVED, SECRET).await;
    acme.server.json("/token", &json!({ "access_token": "SHORT", "user_id": 7 }));
    acme.server.json("/access_token", &json!({ "access_token": "LONG", "expires_at": 1, "tier": 1 }));
    let connection = acme.connect().await;
    assert_eq!(connection["captured"], json!({ "account": "7", "tier": "gold" }));
    let exchange = format!(
        "GET /access_token?version=2&access_token=SHORT&client_secret=the-secret&grant_type=ig_exchange_token HTTP/1.1\n\
         accept: application/json\nx-account: 7\n{HEAD}\n"
    );
    assert_eq!(acme.requests()[1..], [exchange]);

    // Its end is past: the long-lived token is what refreshes, and nothing is exchanged again.
    acme.server.json("/refresh", &json!({ "access_token": "LONGER", "expires_in": 5_184_000 }));
    acme.server.json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let refresh = format!(
        "POST /refresh HTTP/1.1\naccept: application/json\n{FORM}grant_type=ig_refresh_token&access_token=LONG\
         &client_id=the-id&client_secret=the-secret"
    );
    let requests = acme.requests();
    assert_eq!(requests[0], refresh);
    assert!(requests[1].contains("authorization: Bearer LONGER\n") && requests[1].contains("x-tier: gold\n"));
    assert_eq!(requests.len(), 2, "{requests:?}");
}

#[tokio::test]
async fn an_exchange_that_fails_connects_nothing() {
    let file = LONG_LIVED.replace("[[oauth", "revocation_endpoint = \"SERVER/revoke\"\n[[oauth");
    let acme = Acme::start(&file, SECRET).await;
    let answers = [(400, r#"{"error":"invalid_request"}"#), (500, ""), (200, "{}"), (200, r#"{"error":"canary"}"#)];
    for (status, body) in answers {
        acme.server.json("/token", &json!({ "access_token": "SHORT", "user_id": 7 }));
        acme.server.answer("/access_token", status, "application/json", body).answer("/revoke", 200, "text/plain", "");
        let page = acme.fail_to_connect(&[], 502, "token_endpoint_failed").await;
        assert!(!page.contains("canary"), "{page}");
        let requests = acme.requests_up_to("/revoke").await;
        let of = |start: &str| requests.iter().filter(|request| request.starts_with(start)).count();
        assert_eq!(of("GET /access_token"), 1, "sent once: {requests:?}");
        assert!(requests.iter().any(|request| request.contains("token=SHORT")), "{requests:?}");
    }
    acme.keyferry.assert_keeps(&["SHORT".to_owned(), "the-secret".to_owned()]);
}

/// Connects with tokens whose end is past, and forgets the requests.
async fn connect_to_sessions(acme: &Acme) {
    acme.server.json("/token", &json!({ "access_token": "AT", "refresh_token": "RT", "expires_at": 1 }));
    acme.server.json("/login", &json!({ "session": "SESSION" })).json("/where", &json!({ "shard": "rest33" }));
    assert_eq!(acme.connect().await["captured"], json!({ "shard": "rest33" }));
}

fn login(token: &str) -> String {
    // `the-id:the-secret`
    format!(
        "POST /login HTTP/1.1\naccept: application/json\nauthorization: Basic dGhlLWlkOnRoZS1zZWNyZXQ=\n\
         content-type: application/json\n{HEAD}content-length: {{length}}\n\n{{\"access_token\":\"{token}\",\"version\":\"*\"}}"
    )
}

fn refresh(token: &str) -> String {
    format!(
        "POST /token HTTP/1.1\naccept: application/json\n{FORM}grant_type=refresh_token&refresh_token={token}\
         &client_id=the-id&client_secret=the-secret"
    )
}

#[tokio::test]
async fn a_session_for_each_token() {
    let acme = Acme::start(SESSIONS, SECRET).await;
    connect_to_sessions(&acme).await;
    let place = format!("POST /where HTTP/1.1\naccept: application/json\n{FORM}session=SESSION");
    assert_eq!(acme.requests()[1..], [login("AT"), place]);

    acme.server.json("/token", &json!({ "access_token": "AT2", "refresh_token": "RT2", "expires_in": 3600 }));
    acme.server.json("/login", &json!({ "session": "SESSION2" })).json("/rest33/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let requests = acme.requests();
    assert_eq!(requests[..2], [refresh("RT"), login("AT2")]);
    assert!(
        requests[2].starts_with("GET /rest33/me ") && requests[2].contains("x-session: SESSION2\n"),
        "{requests:?}"
    );
    assert!(!requests[2].contains("authorization"), "{}", requests[2]);
    assert_eq!(requests.len(), 3, "{requests:?}");
    let secrets = ["AT", "RT", "SESSION", "AT2", "RT2", "SESSION2"].map(str::to_owned);
    acme.keyferry.assert_keeps(&secrets[2..]);
}

#[tokio::test]
async fn a_refresh_whose_exchange_fails_loses_nothing() {
    let mut acme = Acme::start_on_disk(SESSIONS, SECRET).await;
    connect_to_sessions(&acme).await;
    acme.requests();
    acme.server.json("/token", &json!({ "access_token": "AT2", "refresh_token": "RT2", "expires_in": 3600 }));
    acme.server.answer("/login", 503, "text/plain", "");
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect_problem(502, "token_endpoint_failed");
    assert_eq!(acme.requests(), [refresh("RT"), login("AT2")]);
    assert_eq!(acme.connection().await["status"], "active");

    // Not even by a crash: the token that was brought is finished, and the old refresh token is not presented again.
    acme.keyferry.crash_and_restart().await;
    acme.server.json("/login", &json!({ "session": "SESSION2" })).json("/rest33/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let requests = acme.requests();
    assert_eq!((requests.len(), &requests[0]), (2, &login("AT2")));
    assert!(requests[1].contains("x-session: SESSION2\n"), "{}", requests[1]);

    // And what is revoked in the end is what was given last.
    acme.server.answer("/revoke", 200, "text/plain", "");
    acme.keyferry.disconnect("acme", Person::ADA).await.expect(200);
    assert!(acme.requests_up_to("/revoke").await[0].contains("token=RT2"));
}

#[tokio::test]
async fn a_disconnection_between_refresh_and_exchange_revokes_what_was_given_last() {
    let acme = Acme::start(SESSIONS, SECRET).await;
    connect_to_sessions(&acme).await;
    acme.server.json("/token", &json!({ "access_token": "AT2", "refresh_token": "RT2", "expires_in": 3600 }));
    acme.server.answer("/login", 503, "text/plain", "").answer("/revoke", 200, "text/plain", "");
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect_problem(502, "token_endpoint_failed");
    acme.requests();
    acme.keyferry.disconnect("acme", Person::ADA).await.expect(200);
    assert!(acme.requests_up_to("/revoke").await[0].contains("token=RT2"));
}

#[tokio::test]
async fn a_token_that_the_exchange_does_not_take_is_refreshed_again() {
    let acme = Acme::start(SESSIONS, SECRET).await;
    connect_to_sessions(&acme).await;
    acme.requests();
    acme.server.json("/token", &json!({ "access_token": "AT2", "refresh_token": "RT2", "expires_in": 3600 }));
    acme.server.answer("/login", 400, "application/json", r#"{"error":"invalid_grant"}"#);
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect_problem(502, "token_endpoint_failed");
    assert_eq!(acme.connection().await["status"], "active", "the refresh token is as good as ever");

    acme.server.answer("/login", 400, "application/json", r#"{"error":"invalid_grant"}"#);
    acme.server.json("/token", &json!({ "access_token": "AT3", "refresh_token": "RT3", "expires_in": 3600 }));
    acme.server.json("/login", &json!({ "session": "SESSION3" })).json("/rest33/me", &json!({}));
    // After a failure there is a pause.
    until("it is refreshed again", LIMIT, || async {
        (acme.keyferry.call("acme", "/me", Person::ADA).await.status == 200).then_some(())
    })
    .await;
    let requests = acme.requests();
    assert_eq!(requests[..5], [refresh("RT"), login("AT2"), login("AT2"), refresh("RT2"), login("AT3")]);
    assert!(requests[5].contains("x-session: SESSION3\n"), "{requests:?}");
}
