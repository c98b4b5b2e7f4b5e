//! Answers of every shape: where the fields stand, when the token ends, which are errors.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::Acme;
use crate::support::Person;

fn file(more: &str) -> String {
    format!(
        "[oauth]\nauthorization_endpoint = \"SERVER/authorize\"\ntoken_endpoint = \"SERVER/token\"\nscopes = [\"asked\"]\n\
         {more}\n[api]\nbase_url = \"SERVER/api\"\n"
    )
}

/// Connects by this answer, and answers the connection and the token that a call then carries.
async fn connected(acme: &Acme, status: u16, content_type: &str, answer: &str) -> (Value, String) {
    acme.server.answer("/token", status, content_type, answer).json("/api/me", &json!({}));
    let connection = acme.connect().await;
    acme.requests();
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let call = acme.requests().remove(0);
    let token = call.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).expect("a token").to_owned();
    (connection, token)
}

/// Whether the connection ends this long after it was made: a life is counted from before it was asked for.
fn ends_in(connection: &Value, seconds: u64) -> bool {
    let time = |key: &str| humantime::parse_rfc3339(connection[key].as_str().unwrap_or_default()).expect("a time");
    let life = time("expires_at").duration_since(time("updated_at")).expect("an end to come");
    (seconds - 60..=seconds).contains(&life.as_secs())
}

#[tokio::test]
async fn lifetimes_in_their_order() {
    let acme = Acme::start(&file("access_token_lifetime = \"1h\""), "").await;
    let jwt = |claims: &str| format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
    let fixed = "2100-01-01T00:00:00Z";
    let cases = [
        (json!({ "access_token": "A", "expires_in": 7200, "expires_at": 1 }), Ok(7200)),
        (json!({ "access_token": "A", "expires_in": "7200" }), Ok(7200)),
        (json!({ "access_token": "A", "expires_at": 4_102_444_800_u64 }), Err(fixed)),
        (json!({ "access_token": "A", "expires_at": "4102444800" }), Err(fixed)),
        (json!({ "access_token": "A", "expires_at": 4_102_444_800_000_u64 }), Err(fixed)),
        (json!({ "access_token": "A", "expires_at": "2100-01-01T00:00:00Z" }), Err(fixed)),
        (json!({ "access_token": jwt(r#"{"exp":4102444800}"#) }), Err(fixed)),
        (json!({ "access_token": jwt(r#"{"exp":1}"#), "expires_at": fixed }), Err(fixed)),
        (json!({ "access_token": jwt("{}") }), Ok(3600)),
        (json!({ "access_token": "A", "expires_in": "soon" }), Ok(3600)),
    ];
    for (answer, expected) in cases {
        let (connection, token) = connected(&acme, 200, "application/json", &answer.to_string()).await;
        assert_eq!(answer["access_token"], token);
        match expected {
            Ok(seconds) => assert!(ends_in(&connection, seconds), "{answer}: {connection}"),
            Err(end) => assert_eq!(connection["expires_at"], end, "{answer}"),
        }
    }
}

#[tokio::test]
async fn fields_by_path() {
    let more = "[oauth.token_response]\naccess_token = [\"$.bot.token\", \"$.data.access_token\"]\nscope = \"$.data.scope\"\n\
                expires_in = \"$.data.life\"\nexpires_in_unit = \"ms\"\nerror = { path = \"$.code\", ok = 0 }";
    let acme = Acme::start(&file(more), "").await;
    let data = json!({ "access_token": "A", "scope": ["a", "b"], "life": 7_200_000 });
    for code in [json!(0), json!("0"), json!(null)] {
        let answer = json!({ "code": code, "data": data });
        let (connection, token) = connected(&acme, 201, "application/json", &answer.to_string()).await;
        assert_eq!((&*token, &connection["scopes"]), ("A", &json!(["a", "b"])), "{answer}");
        assert!(ends_in(&connection, 7200), "{connection}");
    }
    let (_, token) = connected(&acme, 200, "application/json", r#"{"bot":{"token":"B"},"data":{}}"#).await;
    assert_eq!(token, "B");
}

#[tokio::test]
async fn form_encoded_answers() {
    let acme =
        Acme::start(&file("[oauth.token_response]\naccess_token = [\"$.access_token\", \"$.oauth_token\"]"), "").await;
    for (content_type, answer) in [
        ("application/x-www-form-urlencoded", "access_token=A%2FB&expires_in=7200&scope=a%2Cb"),
        ("text/plain", "access_token=A%2FB&expires_in=7200&scope=a+b\n"),
        ("text/html", "oauth_token=A%2FB&expires_in=7200&scope=a,b\r\n"),
    ] {
        let (connection, token) = connected(&acme, 200, content_type, answer).await;
        assert_eq!((&*token, &connection["scopes"]), ("A/B", &json!(["a", "b"])), "{answer}");
        assert!(ends_in(&connection, 7200), "{answer}: {connection}");
    }
}

#[tokio::test]
async fn errors_whatever_the_status() {
    let acme = Acme::start(&file(""), "").await;
    for (status, answer) in [
        (200, r#"{"error":"bad_verification_code"}"#),
        (200, "error=bad_verification_code&error_description=canary"),
        (400, r#"{"error":"invalid_grant"}"#),
        (200, r#"{"access_token":"A","error":"canary"}"#),
        (500, r#"{"access_token":"A"}"#),
        (302, r#"{"access_token":"A"}"#),
        (200, "<html>access_token=A</html>"),
    ] {
        acme.server.answer("/token", status, "application/json", answer);
        let page = acme.fail_to_connect(&[], 502, "token_endpoint_failed").await;
        assert!(!page.contains("canary"), "{page}");
    }
    let by_path =
        Acme::start(&file("[oauth.token_response]\nerror = [\"$.errcode\", { path = \"$.ok\", ok = true }]"), "").await;
    for answer in [r#"{"access_token":"A","errcode":40001}"#, r#"{"access_token":"A","ok":false}"#] {
        by_path.server.answer("/token", 200, "application/json", answer);
        by_path.fail_to_connect(&[], 502, "token_endpoint_failed").await;
    }
    connected(&by_path, 200, "application/json", r#"{"access_token":"A","ok":true}"#).await;
}

#[tokio::test]
async fn an_error_that_repeats_what_was_sent_is_not_told() {
    const CODE: &str = "the-code-of-the-callback";
    const SECRET: &str = "the-secret-of-the-client";
    const REFRESH_TOKEN: &str = "the-refresh-token";
    let basic = BASE64_STANDARD.encode(format!("the-id:{SECRET}"));
    for method in ["client_secret_post", "client_secret_basic"] {
        let file = file("").replace("[oauth]", &format!("[oauth]\ntoken_endpoint_auth_method = \"{method}\""));
        let acme = Acme::start(&file, &format!("client_secret = {SECRET:?}")).await;
        let mut echoes = vec![format!("no such code: {CODE}"), format!("{SECRET} is wrong")];
        if method == "client_secret_basic" {
            echoes.push(format!("who is Basic {basic}?"));
        }
        for echoed in &echoes {
            acme.server.answer("/token", 400, "application/json", &json!({ "error": echoed }).to_string());
            let sent = acme.begin(&[]).await;
            let page = acme.come_back(&format!("code={CODE}&state={}", sent.state)).await.expect(502).text();
            assert!(!page.contains(echoed), "{page}");
        }
        let answer = json!({ "access_token": "A", "refresh_token": REFRESH_TOKEN, "expires_at": 1 });
        acme.server.json("/token", &answer);
        acme.connect().await;
        let echoed = json!({ "error": format!("no such token: {REFRESH_TOKEN}") });
        acme.server.answer("/token", 400, "application/json", &echoed.to_string());
        acme.keyferry.call("acme", "/me", Person::ADA).await.expect(502);

        // Lines come in the order in which they were written.
        acme.keyferry.call("nobody", "/", Person::ADA).await.expect(404);
        acme.keyferry.until_logged("unknown_integration").await;
        let told = acme.keyferry.logged("withheld");
        assert!(told.len() > echoes.len(), "{told:?}");
        acme.keyferry.assert_keeps(&[CODE, SECRET, REFRESH_TOKEN, basic.as_str()].map(str::to_owned));
    }
}

#[tokio::test]
async fn captured_values_by_map_and_default() {
    let more = "[oauth.capture.token]\nregion = { path = \"$.dc\", map = { us1 = \"america\", eu1 = \"europe\" }, default = \"us1\" }\n\
                plan = { path = \"$.plan\", pattern = \"[a-z]+\", default = \"free\" }";
    let acme = Acme::start(&file(more), "").await;
    for (answer, region, plan) in [
        (json!({ "access_token": "A", "dc": "eu1", "plan": "paid" }), "europe", "paid"),
        (json!({ "access_token": "A" }), "america", "free"),
        (json!({ "access_token": "A", "dc": "evil.example", "plan": "a/b" }), "america", "free"),
    ] {
        acme.server.json("/token", &answer);
        assert_eq!(acme.connect().await["captured"], json!({ "region": region, "plan": plan }), "{answer}");
    }

    // A refresh that does not repeat a value does not set it back to its default.
    acme.server.json("/token", &json!({ "access_token": "A", "refresh_token": "R", "expires_at": 1, "dc": "eu1" }));
    acme.connect().await;
    acme.server.json("/token", &json!({ "access_token": "B", "plan": "paid" })).json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    assert_eq!(acme.connection().await["captured"], json!({ "region": "europe", "plan": "paid" }));
}
