//! A client that authenticates by what it signs (RFC 7523 section 2.2): the whole request, what the token in it says, and
//! that each has its own.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::Acme;
use crate::support::{AuthorizationServer, Client, Configuration, Keyferry, Keys, Person, Token, take_tokens};

const ENDPOINTS: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
revocation_endpoint = "SERVER/revoke"
"#;

const API: &str = "\n[api]\nbase_url = \"SERVER/api\"\n";

fn file(more: &str) -> String {
    format!("{ENDPOINTS}{more}{API}")
}

/// A key as a line of the integration's table.
fn private_key(keys: &Keys) -> String {
    format!("private_key = {}", Value::from(keys.pem.as_str()))
}

fn parameter<'a>(request: &'a str, name: &str) -> &'a str {
    let (_, body) = request.split_once("\n\n").expect("a body");
    let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no {name} in {request}")).1
}

/// What the token endpoint answers; the token is past its end at once, so that the first call refreshes it.
fn over(access_token: &str) -> Value {
    json!({ "access_token": access_token, "token_type": "bearer", "expires_at": 1_000_000_000, "refresh_token": "RT" })
}

fn fresh(access_token: &str) -> Value {
    json!({ "access_token": access_token, "token_type": "bearer", "expires_in": 3600 })
}

#[tokio::test]
async fn every_request_is_signed() {
    let keys = Keys::rsa();
    let method = "token_endpoint_auth_method = \"private_key_jwt\"\n";
    let lines = format!("{}\nprivate_key_id = \"the-key\"", private_key(&keys));
    let acme = Acme::start(&file(method), &lines).await;
    let audience = acme.server.url("/token");
    acme.server.json("/token", &over("AT1"));
    acme.connect().await;
    acme.server.json("/token", &fresh("AT2")).json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let requests = acme.requests();
    let [exchange, refresh, call] = &requests[..] else { panic!("three requests: {requests:?}") };
    assert!(call.contains("authorization: Bearer AT2\n"), "{call}");

    let (exchange, mut tokens) = take_tokens(exchange);
    assert_eq!(
        exchange,
        "POST /token HTTP/1.1\naccept: application/json\ncontent-type: application/x-www-form-urlencoded\n\
         user-agent: keyferry/0.1.0\nhost: server\ncontent-length: {length}\n\n\
         grant_type=authorization_code&code=the-code&redirect_uri={callback}&code_verifier={verifier}&client_id=the-id\
         &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={jwt}"
    );
    let (refresh, more) = take_tokens(refresh);
    assert_eq!(
        refresh.split_once("\n\n").expect("a body").1,
        "grant_type=refresh_token&refresh_token=RT&client_id=the-id\
         &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={jwt}"
    );
    tokens.extend(more);

    acme.server.answer("/revoke", 200, "text/plain", "").answer("/revoke", 200, "text/plain", "");
    acme.keyferry.disconnect("acme", Person::ADA).await.expect(200);
    let revocations = acme.arrivals(2).await;
    for (request, token) in revocations.iter().zip(["RT", "AT2"]) {
        let (body, more) = take_tokens(request.split_once("\n\n").expect("a body").1);
        let hint = if token == "RT" { "refresh_token" } else { "access_token" };
        assert_eq!(
            body,
            format!(
                "token={token}&token_type_hint={hint}&client_id=the-id&client_assertion_type=\
                 urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={{jwt}}"
            )
        );
        tokens.extend(more);
    }

    assert_eq!(tokens.len(), 4);
    let mut ids = Vec::new();
    for token in &tokens {
        let token = keys.verify(token, &audience);
        assert_eq!(token.header, json!({ "alg": "RS256", "typ": "JWT", "kid": "the-key" }));
        ids.push(token.claims["jti"].clone());
        assert_eq!(token.steady(300), json!({ "iss": "the-id", "sub": "the-id", "aud": audience }));
    }
    ids.sort_by_key(Value::to_string);
    ids.dedup();
    assert_eq!(ids.len(), 4, "no two tokens are the same");
}

#[tokio::test]
async fn each_algorithm_with_its_key() {
    for (alg, keys) in [
        ("RS256", Keys::rsa()),
        ("PS256", Keys::rsa()),
        ("ES256", Keys::ec("P-256")),
        ("ES384", Keys::ec("P-384")),
        ("EdDSA", Keys::ed25519()),
    ] {
        let rules = format!(
            "token_endpoint_auth_method = \"private_key_jwt\"\n[oauth.client_assertion]\nalg = \"{alg}\"\n\
             audience = \"https://as.example\"\nlifetime = \"90s\"\nclaims = {{ tenant = \"{{client_id}}\", none = \"\" }}\n"
        );
        let acme = Acme::start(&file(&rules), &private_key(&keys)).await;
        acme.server.json("/token", &fresh("AT"));
        acme.connect().await;
        let requests = acme.requests();
        let token = keys.verify(parameter(&requests[0], "client_assertion"), "https://as.example");
        assert_eq!(token.header, json!({ "alg": alg, "typ": "JWT" }));
        let claims = json!({ "iss": "the-id", "sub": "the-id", "aud": "https://as.example", "tenant": "the-id" });
        assert_eq!(token.steady(90), claims);
    }
}

#[tokio::test]
async fn under_the_name_of_a_secret() {
    let keys = Keys::ec("P-256");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers/apple.toml");
    let shipped = std::fs::read_to_string(shipped).expect("a shipped file");
    let file = shipped
        .replace("https://appleid.apple.com/", "SERVER/")
        .replace("base_url = \"https://appleid.apple.com\"", "base_url = \"SERVER\"");
    let lines = format!("{}\nvariables = {{ team_id = \"TEAM567890\", key_id = \"KEY4567890\" }}", private_key(&keys));
    let acme = Acme::start(&file, &lines).await;
    let sent = acme.begin(&[]).await;
    assert_eq!(
        sent.url,
        "http://server/auth/authorize?response_type=code&client_id=the-id&redirect_uri={callback}&scope=name%20email\
         &state={state}&code_challenge={challenge}&code_challenge_method=S256&response_mode=form_post"
    );
    acme.server.json("/auth/token", &over("AT"));
    let form = [("code", "the-code"), ("state", sent.state.as_str()), ("user", "{\"name\":{}}")];
    let posted = acme.keyferry.request("POST", "/integrations/acme/oauth2callback").form(form).send().await;
    let place = posted.expect(303).header("location").expect("a place").to_owned();
    let (_, query) = place.split_once('?').expect("a query");
    acme.come_back(query).await.expect(200);
    let requests = acme.requests();
    let (exchange, tokens) = take_tokens(&requests[0]);
    assert_eq!(
        exchange.split_once("\n\n").expect("a body").1,
        "grant_type=authorization_code&code=the-code&redirect_uri={callback}&code_verifier={verifier}&client_id=the-id\
         &client_secret={jwt}"
    );
    let token = keys.verify(&tokens[0], "https://appleid.apple.com");
    assert_eq!(token.header, json!({ "alg": "ES256", "typ": "JWT", "kid": "KEY4567890" }));
    let claims = json!({ "iss": "TEAM567890", "sub": "the-id", "aud": "https://appleid.apple.com" });
    assert_eq!(token.steady(300), claims);
}

#[tokio::test]
async fn signed_with_the_secret() {
    let acme =
        Acme::start(&file("token_endpoint_auth_method = \"client_secret_jwt\"\n"), "client_secret = \"the-secret\"")
            .await;
    acme.server.json("/token", &fresh("AT"));
    acme.connect().await;
    let requests = acme.requests();
    assert!(!requests[0].contains("the-secret"), "{}", requests[0]);
    let token = parameter(&requests[0], "client_assertion");
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"the-secret");
    hmac::verify(&key, message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).expect("base64")).expect("ours");
    let token = Token::read(token);
    assert_eq!(token.header, json!({ "alg": "HS256", "typ": "JWT" }));
    assert_eq!(token.steady(300), json!({ "iss": "the-id", "sub": "the-id", "aud": acme.server.url("/token") }));
}

/// `oidc-provider` reads the signatures, connecting and refreshing, and takes no `jti` twice.
#[tokio::test]
async fn a_real_server_takes_it() {
    let keys = Keys::ec("P-256");
    let secret = "a secret of at least thirty-two bytes";
    let by_key = Client { id: "by-key", secret: "", method: "private_key_jwt" };
    let by_secret = Client { id: "by-secret", secret, method: "client_secret_jwt" };
    let mut registrations = [by_key.registration(), by_secret.registration()];
    registrations[0]["jwks"] = json!({ "keys": [keys.jwk] });
    registrations[0]["token_endpoint_auth_signing_alg"] = "ES256".into();
    registrations[1]["token_endpoint_auth_signing_alg"] = "HS256".into();
    let settings = json!({ "clients": registrations });
    let server = AuthorizationServer::configured(settings).await;
    let provider = |method: &str, more: &str| {
        format!(
            "[oauth]\nissuer = \"{issuer}\"\ntoken_endpoint_auth_method = \"{method}\"\n\
             authorization_params = {{ prompt = \"consent\" }}\nscopes = [\"openid\", \"offline_access\"]\n{more}\n\
             [api]\nbase_url = \"{issuer}\"\n",
            issuer = server.issuer()
        )
    };
    let configuration = Configuration::new()
        .provider("acme", &provider("private_key_jwt", "[oauth.client_assertion]\nalg = \"ES256\""))
        .provider("other", &provider("client_secret_jwt", ""))
        .toml(&format!("[integrations.acme]\nclient_id = \"by-key\"\n{}", private_key(&keys)))
        .toml(&format!("[integrations.other]\nclient_id = \"by-secret\"\nclient_secret = \"{secret}\""));
    let keyferry = Keyferry::start(configuration).await;
    for integration in ["acme", "other"] {
        server.change(json!({ "access_token_ttl": 1 })).await;
        keyferry.connect(integration, Person::ADA).await;
        server.change(json!({ "access_token_ttl": 3600 })).await;
        let refreshed = server.count("/granted/refresh_token").await;
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        keyferry.call(integration, "/api/me", Person::ADA).await.expect(200);
        assert_eq!(server.count("/granted/refresh_token").await, refreshed + 1, "the token had ended");
        keyferry.disconnect(integration, Person::ADA).await.expect(200);
    }
    assert_eq!(server.count("/token_errors/invalid_client").await, 0);
}
