//! A grant for an assertion that we sign (RFC 7523 section 2.1), as Google's service accounts have it: by the shipped
//! file, and by one of its own.

use std::path::Path;

use serde_json::{Value, json};

use super::Acme;
use crate::support::{Keys, Person, take_tokens};

const ASKED: &str = "POST /token HTTP/1.1\naccept: application/json\n\
    content-type: application/x-www-form-urlencoded\nuser-agent: keyferry/0.1.0\nhost: server\n\
    content-length: {length}\n\ngrant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={jwt}";

/// The shipped file, with the server in Google's place.
fn google() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers/google-service-account.toml");
    let text = std::fs::read_to_string(path).expect("a shipped file");
    text.replace("https://oauth2.googleapis.com/", "SERVER/").replace("https://www.googleapis.com\"", "SERVER/api\"")
}

/// The file that Google hands out, as a line of the integration's table.
fn key_file(keys: &Keys) -> String {
    let file = json!({
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "key-of-google",
        "private_key": keys.pem,
        "client_email": "robot@acme.iam.gserviceaccount.com",
    });
    format!("private_key = {}\nscopes = [\"https://scopes.example/drive\", \"b\"]", Value::from(file.to_string()))
}

async fn claims_of_a_call(more: &str) -> Value {
    let keys = Keys::rsa();
    let acme = Acme::start(&google(), &format!("{}\n{more}", key_file(&keys))).await;
    let audience = acme.server.url("/token");
    acme.server.json("/token", &json!({ "access_token": "ya29.AT", "expires_in": 3599, "token_type": "Bearer" }));
    acme.server.json("/api/files", &json!({})).json("/api/files", &json!({}));
    for person in [Person::ADA, Person::BOB] {
        acme.keyferry.call("acme", "/files", person).await.expect(200);
    }
    let requests = acme.requests();
    let (asked, tokens) = take_tokens(&requests[0]);
    assert_eq!(asked, ASKED);
    assert_eq!(requests.len(), 3);
    assert!(requests[2].contains("authorization: Bearer ya29.AT\n"), "{}", requests[2]);
    let token = keys.verify(&tokens[0], &audience);
    assert_eq!(token.header, json!({ "alg": "RS256", "typ": "JWT", "kid": "key-of-google" }));
    let mut claims = token.steady(3600);
    assert_eq!(claims["aud"], audience);
    claims["aud"] = "the token endpoint".into();
    claims
}

#[tokio::test]
async fn a_service_account() {
    assert_eq!(
        claims_of_a_call("").await,
        json!({ "iss": "the-id", "aud": "the token endpoint", "scope": "https://scopes.example/drive b" })
    );
}

#[tokio::test]
async fn on_behalf_of_somebody() {
    assert_eq!(
        claims_of_a_call("variables = { subject = \"ada@acme.example\" }").await,
        json!({
            "iss": "the-id",
            "sub": "ada@acme.example",
            "aud": "the token endpoint",
            "scope": "https://scopes.example/drive b",
        })
    );
}

/// The scope goes as a parameter where no claim holds it, and the client may authenticate beside the assertion.
#[tokio::test]
async fn beside_client_authentication() {
    let keys = Keys::ec("P-256");
    let file = "[oauth]\ngrant_types = [\"urn:ietf:params:oauth:grant-type:jwt-bearer\"]\ntoken_endpoint = \"SERVER/token\"\n\
        token_endpoint_auth_method = \"client_secret_post\"\ntoken_request_format = \"json\"\nscopes = [\"a\", \"b\"]\n\
        [oauth.assertion]\nalg = \"ES256\"\nissuer = \"robot\"\nsubject = \"somebody\"\naudience = \"https://as.example\"\n\
        [api]\nbase_url = \"SERVER/api\"\n";
    let lines = format!("client_secret = \"the-secret\"\nprivate_key = {}", Value::from(keys.pem.as_str()));
    let acme = Acme::start(file, &lines).await;
    acme.server.json("/token", &json!({ "access_token": "AT" })).json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let requests = acme.requests();
    let (asked, tokens) = take_tokens(&requests[0]);
    assert_eq!(
        asked.split_once("\n\n").expect("a body").1,
        r#"{"grant_type":"urn:ietf:params:oauth:grant-type:jwt-bearer","assertion":"{jwt}","scope":"a b","client_id":"the-id","client_secret":"the-secret"}"#
    );
    let token = keys.verify(&tokens[0], "https://as.example");
    assert_eq!(token.steady(300), json!({ "iss": "robot", "sub": "somebody", "aud": "https://as.example" }));
}
