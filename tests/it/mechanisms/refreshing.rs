//! Refreshes: elsewhere, with other parameters, with the access token, of the same token, or not at all. How early they
//! come is shown in `upkeep.rs`, where a clock can be moved.

use serde_json::json;

use super::flow::Flow;
use crate::support::Person;

#[tokio::test]
async fn at_an_endpoint_of_their_own() {
    let oauth = "refresh_endpoint = \"SERVER/refresh?v=2\"\nrefresh_params = { grant_type = \"renew\", refresh_token = \"\", token = \"{refresh_token}\", extra = \"1\" }";
    insta::assert_snapshot!(Flow::of(oauth).tokens_at("/token", "/refresh").run().await);
}

#[tokio::test]
async fn with_the_access_token() {
    let oauth = "refresh_params = { grant_type = \"fb_exchange_token\", refresh_token = \"\", fb_exchange_token = \"{access_token}\" }";
    let flow = Flow::of(oauth).answer(json!({ "refresh_token": null }));
    insta::assert_snapshot!(flow.run().await);
}

/// A drop in `refresh_params` holds for the client's own parameters too.
#[tokio::test]
async fn without_the_clients_id_and_secret() {
    let flow = Flow::of("refresh_params = { client_id = \"\", client_secret = \"\" }").run().await;
    assert!(flow.contains("\n\ngrant_type=refresh_token&refresh_token=RT\n"), "{flow}");
    assert!(flow.contains("&code_verifier={verifier}&client_id=the-id&client_secret=the-secret\n"), "{flow}");
}

#[tokio::test]
async fn not_at_all() {
    let flow = Flow::of("refresh = \"none\"").run().await;
    assert!(flow.contains("\n=> 424 reconnect_required\n") && !flow.contains("grant_type=refresh_token"), "{flow}");
}

/// The answer holds no token: the old one goes on.
#[tokio::test]
async fn of_the_same_token() {
    let acme = Flow::of("refresh = \"extend\"").start().await;
    acme.server.json(
        "/token",
        &json!({ "access_token": "AT1", "token_type": "bearer", "refresh_token": "RT", "expires_at": 1 }),
    );
    acme.connect().await;
    acme.server.json("/token", &json!({ "expires_in": 3600 })).json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let [_, refresh, call] = &acme.requests()[..] else { panic!("exchange, refresh, call") };
    assert!(
        refresh.ends_with("\n\ngrant_type=refresh_token&refresh_token=RT&client_id=the-id&client_secret=the-secret"),
        "{refresh}"
    );
    assert!(call.contains("\nauthorization: Bearer AT1\n"), "{call}");
}
