//! The authorization server and the browser, with a client made of nothing but HTTP.

use std::time::Duration;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::support::{Answer, AuthorizationServer, Browser, Client, Request, plain_client, until};

const REDIRECT: &str = "http://127.0.0.1:9/integrations/acme/oauth2callback";
const VERIFIER: &str = "a-verifier-of-43-characters-or-more-0123456789";

#[tokio::test]
async fn signs_in_refreshes_and_revokes_for_every_client_authentication() {
    for client in [Client::POST, Client::BASIC, Client::NONE] {
        let server = AuthorizationServer::configured(json!({ "access_token_ttl": 2 })).await;
        let tokens = sign_in(&server, &client, "ada").await;
        let first = text(&tokens["access_token"]);

        let me = me(&server, first).await.expect(200).json();
        assert_eq!((&me["account"], &me["client_id"]), (&json!("ada"), &json!(client.id)));
        assert_eq!(me["token_sha256"], hex(&Sha256::digest(first)));
        assert_eq!(tokens["expires_in"], 2);

        until("the token expires", Duration::from_secs(10), || async {
            (self::me(&server, first).await.status == 401).then_some(())
        })
        .await;

        server.change(json!({ "access_token_ttl": 3600 })).await;
        let newer = refresh(&server, &client, text(&tokens["refresh_token"])).await.expect(200).json();
        assert_ne!(newer["refresh_token"], tokens["refresh_token"], "it rotates");
        self::me(&server, text(&newer["access_token"])).await.expect(200);

        let form = [("token", text(&newer["refresh_token"])), ("token_type_hint", "refresh_token")];
        post(&server, "/token/revocation", &client, &form).await.expect(200);
        refresh(&server, &client, text(&newer["refresh_token"])).await.expect(400);
        assert_eq!((server.live("RefreshToken").await, server.live("AccessToken").await), (0, 0));

        let method = |request: &Value| text(&request["authentication"]).to_owned();
        assert!(server.token_requests().await.iter().map(method).all(|method| method == client.method));
        for (pointer, count) in [
            ("/token/authorization_code", 1),
            ("/granted/authorization_code", 1),
            ("/token/refresh_token", 2),
            ("/granted/refresh_token", 1),
            ("/token_errors/invalid_grant", 1),
            ("/revocation", 1),
        ] {
            assert_eq!(server.count(pointer).await, count, "{pointer}");
        }
        let issued = server.secrets().await;
        assert!(issued.iter().any(|secret| secret == first) && issued.len() >= 5, "{issued:?}");
    }
}

#[tokio::test]
async fn a_reused_refresh_token_ends_the_whole_grant() {
    let server = AuthorizationServer::start().await;
    let tokens = sign_in(&server, &Client::POST, "ada").await;
    let newer = refresh(&server, &Client::POST, text(&tokens["refresh_token"])).await.expect(200).json();
    let reused = refresh(&server, &Client::POST, text(&tokens["refresh_token"])).await.expect(400).json();
    assert_eq!(reused["error"], "invalid_grant");
    refresh(&server, &Client::POST, text(&newer["refresh_token"])).await.expect(400);
    me(&server, text(&newer["access_token"])).await.expect(401);
    assert_eq!(server.count("/grants_revoked").await, 1);
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let server = AuthorizationServer::configured(json!({ "rotate": false })).await;
    let tokens = sign_in(&server, &Client::BASIC, "ada").await;
    for _ in 0..3 {
        let newer = refresh(&server, &Client::BASIC, text(&tokens["refresh_token"])).await.expect(200).json();
        assert_eq!(newer["refresh_token"], tokens["refresh_token"]);
    }
}

#[tokio::test]
async fn refuses_a_missing_challenge_a_wrong_verifier_and_unencoded_basic() {
    let server = AuthorizationServer::start().await;

    let url = authorization_url(&server, &Client::POST, &[("code_challenge", ""), ("code_challenge_method", "")]);
    let page = Browser::new().outside(REDIRECT).open(&url).await;
    assert_eq!(page.parameter("error").as_deref(), Some("invalid_request"));

    let code = code(&server, &Client::POST, "ada").await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", "another-verifier-of-43-characters-or-more-01234"),
    ];
    assert_eq!(post(&server, "/token", &Client::POST, &form).await.expect(400).json()["error"], "invalid_grant");

    let raw = BASE64_STANDARD.encode(format!("{}:{}", Client::BASIC.id, Client::BASIC.secret));
    Request::new(&plain_client(), "POST", &server.url("/token"))
        .header("authorization", &format!("Basic {raw}"))
        .form([("grant_type", "refresh_token"), ("refresh_token", "x")])
        .send()
        .await
        .expect(401);
}

#[tokio::test]
async fn a_person_may_say_no() {
    let server = AuthorizationServer::start().await;
    let mut browser = Browser::new().outside(REDIRECT);
    let page = browser.deny(&authorization_url(&server, &Client::POST, &[])).await;
    assert_eq!(page.parameter("error").as_deref(), Some("access_denied"));
    assert_eq!(page.parameter("state").as_deref(), Some("xyz"));
}

#[tokio::test]
async fn says_where_its_endpoints_are() {
    let server = AuthorizationServer::start().await;
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let metadata = Request::new(&plain_client(), "GET", &server.url(path)).send().await.expect(200).json();
        assert_eq!(metadata["issuer"], server.issuer());
        assert_eq!(metadata["token_endpoint"], server.url("/token"));
        assert_eq!(metadata["revocation_endpoint"], server.url("/token/revocation"));
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    }
}

#[tokio::test]
async fn breaks_on_order() {
    let server = AuthorizationServer::configured(json!({ "rotate": false })).await;
    let tokens = sign_in(&server, &Client::POST, "ada").await;
    let token = text(&tokens["refresh_token"]);
    let again = || refresh(&server, &Client::POST, token);

    server.fault(json!({ "mode": "500", "times": 2 })).await;
    again().await.expect(500);
    again().await.expect(500);
    again().await.expect(200);

    server.fault(json!({ "mode": "429", "retry_after": 7 })).await;
    assert_eq!(again().await.expect(429).header("retry-after"), Some("7"));

    server.fault(json!({ "mode": "html" })).await;
    assert!(again().await.expect(502).text().contains("invalid_grant"));

    server.fault(json!({ "mode": "patch", "patch": { "refresh_token": null, "expires_in": "5" } })).await;
    let patched = again().await.expect(200).json();
    assert_eq!((patched.get("refresh_token"), &patched["expires_in"]), (None, &json!("5")));

    let granted = server.count("/granted/refresh_token").await;
    for (mode, reached) in [("drop_before", 0), ("drop_after", 1)] {
        server.fault(json!({ "mode": mode })).await;
        request(&server, "/token", &Client::POST, &[("grant_type", "refresh_token"), ("refresh_token", token)])
            .attempt()
            .await
            .expect_err(mode);
        assert_eq!(server.count("/granted/refresh_token").await, granted + reached, "{mode}");
    }

    server.fault(json!({ "mode": "hang" })).await;
    tokio::time::timeout(Duration::from_millis(300), again()).await.expect_err("it hangs");

    server.fault(json!({ "mode": "500", "grant_type": "authorization_code", "times": 9 })).await;
    again().await.expect(200);
    server.clear_faults().await;
    sign_in(&server, &Client::POST, "ada").await;
    assert_eq!(server.count("/faults/token/500").await, 2);
}

/// A whole sign-in: the token answer.
async fn sign_in(server: &AuthorizationServer, client: &Client, account: &str) -> Value {
    let code = code(server, client, account).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    post(server, "/token", client, &form).await.expect(200).json()
}

async fn code(server: &AuthorizationServer, client: &Client, account: &str) -> String {
    let mut browser = Browser::new().outside(REDIRECT);
    let page = browser.sign_in(&authorization_url(server, client, &[]), account).await;
    assert_eq!(page.parameter("iss").as_deref(), Some(server.issuer()));
    page.parameter("code").unwrap_or_else(|| panic!("no code at {}", page.url))
}

async fn refresh(server: &AuthorizationServer, client: &Client, token: &str) -> Answer {
    post(server, "/token", client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

async fn me(server: &AuthorizationServer, token: &str) -> Answer {
    Request::new(&plain_client(), "GET", &server.url("/api/me"))
        .header("authorization", &format!("Bearer {token}"))
        .send()
        .await
}

async fn post(server: &AuthorizationServer, path: &str, client: &Client, form: &[(&str, &str)]) -> Answer {
    request(server, path, client, form).send().await
}

fn request(server: &AuthorizationServer, path: &str, client: &Client, form: &[(&str, &str)]) -> Request {
    let request = Request::new(&plain_client(), "POST", &server.url(path));
    let form = form.iter().copied();
    match client.method {
        "client_secret_basic" => {
            let encode = |part: &str| form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>();
            let credentials = BASE64_STANDARD.encode(format!("{}:{}", encode(client.id), encode(client.secret)));
            request.header("authorization", &format!("Basic {credentials}")).form(form)
        }
        "client_secret_post" => request.form(form.chain([("client_id", client.id), ("client_secret", client.secret)])),
        _ => request.form(form.chain([("client_id", client.id)])),
    }
}

/// An authorization URL; `changes` replaces parameters, and drops those that it makes empty.
fn authorization_url(server: &AuthorizationServer, client: &Client, changes: &[(&str, &str)]) -> String {
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let parameters = [
        ("response_type", "code"),
        ("client_id", client.id),
        ("redirect_uri", REDIRECT),
        ("scope", "openid offline_access"),
        ("prompt", "consent"),
        ("state", "xyz"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let changed = |name| changes.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let parameters = parameters.iter().map(|(name, value)| (*name, changed(*name).unwrap_or(value)));
    let url = Url::parse_with_params(&server.url("/auth"), parameters.filter(|(_, value)| !value.is_empty()));
    url.expect("a URL").into()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
