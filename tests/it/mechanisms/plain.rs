//! Nothing but two endpoints: what the other mechanisms differ from.

use serde_json::json;

use super::Acme;
use crate::support::Person;

const FILE: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
scopes = ["read", "write"]
[api]
base_url = "SERVER/api"
"#;

#[tokio::test]
async fn every_byte() {
    let acme = Acme::start(FILE, "client_secret = \"the-secret\"").await;
    let sent = acme.begin(&[]).await;
    assert_eq!(
        sent.url,
        "http://server/authorize?response_type=code&client_id=the-id&redirect_uri={callback}&scope=read%20write\
         &state={state}&code_challenge={challenge}&code_challenge_method=S256"
    );
    let token = json!({ "access_token": "AT", "token_type": "bearer", "expires_in": 3600, "refresh_token": "RT" });
    acme.server.json("/token", &token);
    acme.come_back(&format!("code=the-code&state={}", sent.state)).await.expect(200);
    let exchange = "POST /token HTTP/1.1\naccept: application/json\n\
        content-type: application/x-www-form-urlencoded\nuser-agent: keyferry/0.1.0\nhost: server\n\
        content-length: {length}\n\ngrant_type=authorization_code&code=the-code&redirect_uri={callback}&code_verifier={verifier}\
        &client_id=the-id&client_secret=the-secret";
    assert_eq!(acme.requests(), [exchange]);

    acme.server.json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let [call] = &acme.requests()[..] else { panic!("one call") };
    assert!(call.starts_with("GET /api/me HTTP/1.1\n") && call.contains("authorization: Bearer AT\n"), "{call}");
    let connection = acme.connection().await;
    assert_eq!((&connection["status"], &connection["scopes"]), (&json!("active"), &json!(["read", "write"])));
}
