//! Endpoints whose hosts are known only when the browser is back, or when the tokens are there.

use std::time::Duration;

use serde_json::json;

use super::Acme;
use crate::support::{Person, until};

const FILE: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "{place}/token"
refresh_endpoint = "SERVER/{tenant}/refresh"
revocation_endpoint = "SERVER/{tenant}/revoke"
[oauth.capture.callback]
place = { param = "location", map = { here = "SERVER" } }
[oauth.capture.token]
tenant = "$.tenant"
[api]
base_url = "SERVER/api"
"#;

#[tokio::test]
async fn an_authorization_begins_before_they_are_known() {
    let acme = Acme::start(FILE, "client_secret = \"the-secret\"").await;
    let sent = acme.begin(&[]).await;
    acme.server.json("/token", &json!({ "access_token": "AT", "refresh_token": "RT", "tenant": "blue" }));
    acme.come_back(&format!("code=the-code&state={}&location=here", sent.state)).await.expect(200);
    let [exchange] = &acme.requests()[..] else { panic!("one request") };
    assert!(exchange.starts_with("POST /token "), "{exchange}");
    let captured = json!({ "place": acme.server.url(""), "tenant": "blue" });
    assert_eq!(acme.connection().await["captured"], captured);
    acme.server.answer("/blue/revoke", 200, "application/json", "{}");
    acme.server.answer("/blue/revoke", 200, "application/json", "{}");
    acme.keyferry.request_for("DELETE", "/integrations/acme/connection", Person::ADA).send().await.expect(200);
    let mut told = Vec::new();
    let both = || {
        told.extend(acme.requests());
        std::future::ready((told.len() == 2).then(|| told.clone()))
    };
    let told = until("both tokens are revoked", Duration::from_secs(30), both).await;
    assert!(told.iter().all(|request| request.starts_with("POST /blue/revoke ")), "{told:?}");
}

#[tokio::test]
async fn a_place_that_nobody_lists_gets_no_code() {
    let acme = Acme::start(FILE, "client_secret = \"the-secret\"").await;
    let sent = acme.begin(&[]).await;
    acme.come_back(&format!("code=the-code&state={}&location=elsewhere", sent.state)).await.expect(502);
    assert_eq!(acme.requests(), [""; 0]);
}
