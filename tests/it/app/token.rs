//! A login that is a token: whatever is not exactly one of the issuer's, for us and valid now, is nobody.

use serde_json::{Value, json};

use super::Scene;
use crate::support::{
    Answer, Application, AuthorizationServer, Browser, Client, Configuration, Issuer, Keyferry, RETURN_TO,
};

/// Tokens of that issuer, with more keys.
fn identity(issuer: &Issuer, more: &str) -> String {
    let issuer = issuer.url();
    format!(
        "[app.identity.jwt]\nissuer = \"{issuer}\"\naudience = \"crm\"\norg = \"$.org_id\"\nuser = \"$.sub\"\n{more}\n"
    )
}

/// Beside an application: there is none behind Keyferry, and its login counts all the same.
async fn beside(issuer: &Issuer, more: &str) -> (AuthorizationServer, Keyferry) {
    let provider = AuthorizationServer::start().await;
    let configuration = Configuration::new()
        .integration("acme", provider.issuer(), provider.issuer(), &Client::POST)
        .server("allowed_origins = [\"http://app.test\"]")
        .toml(&identity(issuer, more));
    (provider, Keyferry::start(configuration).await)
}

async fn ask(keyferry: &Keyferry, token: &str) -> Answer {
    let request = keyferry.request("GET", "/proxy/acme/api/me");
    request.header("authorization", &format!("Bearer {token}")).send().await
}

#[tokio::test]
async fn only_a_token_of_the_issuers_for_us_and_now() {
    let issuer = Issuer::start().await;
    let (_provider, keyferry) = beside(&issuer, "").await;
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()).expect("a time");
    for good in [
        json!({}),
        json!({ "alg": "ES256" }),
        json!({ "claims": { "aud": ["other", "crm"] } }),
        json!({ "claims": { "exp": now - 30 } }),
        json!({ "claims": { "nbf": now + 30 } }),
        json!({ "header": { "typ": "at+jwt" } }),
        json!({ "claims": { "sub": 7, "org_id": 12 } }),
    ] {
        let token = issuer.sign(good.clone()).await;
        let answer = ask(&keyferry, &token).await;
        assert_eq!(answer.status, 424, "{good}: {}", answer.describe());
    }
    let evil = "http://evil.test/keys";
    for bad in [
        json!({ "key": "none" }),
        json!({ "key": "public" }),
        json!({ "key": "foreign" }),
        json!({ "key": "foreign", "alg": "ES256" }),
        json!({ "alg": "PS256" }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "EdDSA" }),
        json!({ "header": { "kid": "ES256-1" } }),
        json!({ "key": "foreign", "header": { "jku": evil, "x5u": evil } }),
        json!({ "claims": { "iss": format!("{}/", issuer.url()) } }),
        json!({ "claims": { "iss": null } }),
        json!({ "claims": { "aud": "other" } }),
        json!({ "claims": { "aud": null } }),
        json!({ "claims": { "exp": now - 90 } }),
        json!({ "claims": { "exp": null } }),
        json!({ "claims": { "nbf": now + 90 } }),
        json!({ "claims": { "sub": null } }),
        json!({ "claims": { "sub": "" } }),
        json!({ "claims": { "sub": false } }),
        json!({ "claims": { "sub": 1e20 } }),
        json!({ "claims": { "sub": 1.5 } }),
        json!({ "claims": { "org_id": {} } }),
        json!({ "claims": { "org_id": true } }),
    ] {
        let token = issuer.sign(bad.clone()).await;
        let answer = ask(&keyferry, &token).await;
        assert_eq!(answer.status, 401, "{bad}: {}", answer.describe());
        answer.expect_problem(401, "unauthenticated");
    }
    let good = issuer.sign(json!({})).await;
    let (head, rest) = good.split_once('.').expect("a token");
    for broken in
        [String::new(), "a.b.c".into(), head.into(), rest.into(), format!("{good}x"), format!("{head}.{rest}.")]
    {
        ask(&keyferry, &broken).await.expect_problem(401, "unauthenticated");
    }
    let twice = keyferry.request("GET", "/proxy/acme/api/me").header("authorization", &format!("Bearer {good}"));
    twice.header("authorization", &format!("Bearer {good}")).send().await.expect_problem(400, "bad_request");
    let other = keyferry.request("GET", "/proxy/acme/api/me").header("authorization", &format!("Bearer {good}"));
    other.header("keyferry-user", "bob").send().await.expect_problem(403, "forbidden");
    keyferry.assert_keeps(&[good]);
}

#[tokio::test]
async fn other_algorithms_by_choice() {
    let issuer = Issuer::start().await;
    let keys = format!("jwks = \"{}/keys\"", issuer.url());
    let (_provider, keyferry) =
        beside(&issuer, &format!("{keys}\nalgorithms = [\"PS256\", \"ES384\", \"EdDSA\"]")).await;
    for (alg, expected) in [("PS256", 424), ("ES384", 424), ("EdDSA", 424), ("RS256", 401), ("ES256", 401)] {
        let answer = ask(&keyferry, &issuer.sign(json!({ "alg": alg })).await).await;
        assert_eq!(answer.status, expected, "{alg}: {}", answer.describe());
    }
}

#[tokio::test]
async fn unknown_keys_are_looked_for_once() {
    let issuer = Issuer::start().await;
    let (_provider, keyferry) = beside(&issuer, "").await;
    let old = issuer.sign(json!({})).await;
    for _ in 0..3 {
        assert_eq!(ask(&keyferry, &old).await.status, 424);
    }
    assert_eq!(issuer.key_requests().await, 1);

    // The issuer changes its keys: a token of a new one is good at once, and one of an old one is not any more.
    issuer.rotate().await;
    let new = issuer.sign(json!({})).await;
    for _ in 0..3 {
        assert_eq!(ask(&keyferry, &new).await.status, 424);
    }
    assert_eq!(issuer.key_requests().await, 2);
    ask(&keyferry, &old).await.expect_problem(401, "unauthenticated");

    // The issuer was asked a moment ago, so whatever anybody shows now makes nobody ask it again.
    let strangers: Vec<Value> =
        (0..20).map(|number| json!({ "header": { "kid": format!("unknown-{number}") } })).collect();
    for stranger in strangers {
        let token = issuer.sign(stranger).await;
        ask(&keyferry, &token).await.expect_problem(401, "unauthenticated");
    }
    assert_eq!(issuer.key_requests().await, 2);
    assert_eq!(ask(&keyferry, &new).await.status, 424);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_logs_nobody_in() {
    let issuer = Issuer::start().await;
    let token = issuer.sign(json!({})).await;
    let (_provider, keyferry) = beside(&issuer, "").await;
    drop(issuer);
    ask(&keyferry, &token).await.expect_problem(502, "upstream_unreachable");
    keyferry.request("GET", "/integrations").send().await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_token_that_browsers_do_not_send_leaves_finishing_to_confirm() {
    let issuer = Issuer::start().await;
    let (_provider, keyferry) = beside(&issuer, "").await;
    let token = format!("Bearer {}", issuer.sign(json!({})).await);
    let request = keyferry.request("POST", "/integrations/acme/authorize").header("authorization", &token);
    let link = request.form([("return_to", RETURN_TO)]).send().await.expect(200).json();
    let page = Browser::new().outside(RETURN_TO).sign_in(link.as_str().expect("a URL"), "ada").await;
    let code = page.parameter("code").unwrap_or_else(|| panic!("no code at {}", page.url));

    let bob = format!("Bearer {}", issuer.sign(json!({ "claims": { "sub": "bob" } })).await);
    ask(&keyferry, &bob["Bearer ".len()..]).await.expect_problem(424, "not_connected");
    let confirm = keyferry.request("POST", "/integrations/acme/confirm").header("authorization", &token);
    confirm.form([("code", code.as_str())]).send().await.expect(200);
    assert_eq!(ask(&keyferry, &token["Bearer ".len()..]).await.expect(200).json()["account"], "ada");
}

#[tokio::test]
async fn a_token_in_a_cookie_tells_who_finishes() {
    let issuer = Issuer::start().await;
    let application = Application::start().await;
    let scene = Scene::of(application, &identity(&issuer, "cookie = \"login\""), |configuration| configuration).await;
    let ada = issuer.sign(json!({})).await;
    let bob = issuer.sign(json!({ "alg": "ES256", "claims": { "sub": "bob" } })).await;
    for (finisher, expected) in [(&ada, 200), (&bob, 403)] {
        let mut browser = Browser::new();
        set(&scene, &mut browser, &ada);
        let signing_in = browser.open(&scene.start_link(&browser).await).await;
        set(&scene, &mut browser, finisher);
        let page = browser.agree(signing_in, "ada").await;
        assert_eq!(page.status(), expected, "{}", page.text());
    }
}

/// Sets the cookie of a login, as the application behind would.
fn set(scene: &Scene, browser: &mut Browser, token: &str) {
    let cookie = format!("login={token}; Path=/").parse().expect("a field");
    let headers = [(reqwest::header::SET_COOKIE, cookie)].into_iter().collect();
    browser.keep(&scene.url("/"), &Answer { status: 200, headers, body: vec![] });
}
