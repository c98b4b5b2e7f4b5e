//! The URL that the browser is sent to: parameters added, renamed and dropped by the file or added by the caller, PKCE,
//! scopes, resources, fragments, the alias of a redirect URI.

use serde_json::json;

use super::{Acme, flow::Flow};
use crate::support::{Keyferry, Person};

const PKCE: &str = "&code_challenge={challenge}&code_challenge_method=S256";
const USUAL: &str = "response_type=code&client_id=the-id&redirect_uri={callback}";

/// The URL that these keys of `[oauth]` make, with these keys of the integration.
async fn url(oauth: &str, lines: &str) -> String {
    Flow::of(oauth).integration(lines).start().await.begin(&[]).await.url
}

#[tokio::test]
async fn parameters_are_added_renamed_and_dropped() {
    let oauth = r#"scopes = ["read"]
authorization_params = { client_id = "", redirect_uri = "", response_type = "", scope = "", app_id = "{client_id}", auth_callback = "{redirect_uri}", user_scope = "{scope}", access_type = "offline", empty = "" }"#;
    let expected = format!(
        "http://server/authorize?state={{state}}{PKCE}&access_type=offline&app_id=the-id&auth_callback={{callback}}&user_scope=read"
    );
    assert_eq!(url(oauth, "").await, expected);
    let flow = Flow::of(oauth).run().await;
    // Only this request changes: the exchange goes on as RFC 6749 says.
    assert!(flow.contains("grant_type=authorization_code&code=the-code&redirect_uri={callback}&code_verifier={verifier}&client_id=the-id&client_secret=the-secret\n"), "{flow}");
}

#[tokio::test]
async fn the_response_type_may_be_another() {
    let expected = format!(
        "http://server/authorize?response_type=code%20id_token&client_id=the-id&redirect_uri={{callback}}&state={{state}}{PKCE}&nonce={{random}}"
    );
    let oauth = "response_type = \"code id_token\"\nauthorization_params = { nonce = \"{random}\" }";
    let shown = url(oauth, "").await;
    let nonce = shown.rsplit('=').next().expect("a nonce");
    assert!(nonce.len() == 43 && !shown.contains("{random}"), "{shown}");
    assert_eq!(shown.replace(nonce, "{random}"), expected);
}

#[tokio::test]
async fn a_resource_goes_along_everywhere() {
    insta::assert_snapshot!(Flow::of("resource = \"https://mcp.example.com/a?b=1\"").run().await);
}

#[tokio::test]
async fn pkce_may_be_switched_off() {
    insta::assert_snapshot!(Flow::of("code_challenge_method = \"none\"").run().await);
}

#[tokio::test]
async fn scopes_are_joined_and_encoded() {
    for (keys, scope) in [
        ("", "&scope=read%20write%3Aall"),
        ("scope_separator = \",\"", "&scope=read%2Cwrite%3Aall"),
        ("scope_separator = \",\"\nscope_encoding = \"raw\"", "&scope=read,write%3Aall"),
        ("scope_separator = \"+\"\nscope_encoding = \"raw\"", "&scope=read+write%3Aall"),
    ] {
        let shown = url(&format!("scopes = [\"read\", \"write:all\"]\n{keys}"), "").await;
        assert_eq!(shown, format!("http://server/authorize?{USUAL}{scope}&state={{state}}{PKCE}"), "{keys}");
    }
    // The integration's own instead, and none at all.
    let shown = url("scopes = [\"read\"]", "scopes = [\"mine\"]").await;
    assert_eq!(shown, format!("http://server/authorize?{USUAL}&scope=mine&state={{state}}{PKCE}"));
    assert_eq!(url("", "").await, format!("http://server/authorize?{USUAL}&state={{state}}{PKCE}"));
}

#[tokio::test]
async fn the_endpoints_own_query_and_fragment_are_kept() {
    for (endpoint, start) in [
        ("/authorize?tenant=1", "/authorize?tenant=1&"),
        ("/authorize?tenant=1&", "/authorize?tenant=1&"),
        ("/app#/authorize", "/app#/authorize?"),
        ("/app?tenant=1#/authorize?view=x", "/app?tenant=1#/authorize?view=x&"),
    ] {
        let shown = url(&format!("authorization_endpoint = \"SERVER{endpoint}\""), "").await;
        assert_eq!(shown, format!("http://server{start}{USUAL}&state={{state}}{PKCE}"), "{endpoint}");
    }
}

#[tokio::test]
async fn a_registered_alias_stands_for_the_redirect_uri() {
    let flow = Flow::of("").integration("client_secret = \"the-secret\"\nredirect_uri = \"My_App-alias\"").run().await;
    assert!(
        flow.starts_with(
            "http://server/authorize?response_type=code&client_id=the-id&redirect_uri=My_App-alias&state="
        ),
        "{flow}"
    );
    assert!(
        flow.contains("\n\ngrant_type=authorization_code&code=the-code&redirect_uri=My_App-alias&code_verifier="),
        "{flow}"
    );
    assert!(!flow.contains("{callback}"), "{flow}");
}

/// What whoever begins adds wins over the file, and nothing that binds the authorization can be added.
#[tokio::test]
async fn callers_may_add_parameters() {
    let oauth = "authorization_params = { prompt = \"consent\", app_id = \"{client_id}\" }";
    let acme = Flow::of(oauth).start().await;
    let fields = [
        ("authorization_params.login_hint", "ada@example.com"),
        ("authorization_params.prompt", "none"),
        ("authorization_params.left_empty", ""),
    ];
    let expected = format!(
        "http://server/authorize?{USUAL}&state={{state}}{PKCE}&app_id=the-id&prompt=none&login_hint=ada%40example.com"
    );
    assert_eq!(acme.begin(&fields).await.url, expected);
    let json = json!({ "authorization_params": { "login_hint": "ada", "max_age": 9 } });
    let answer = acme.keyferry.request_for("POST", AUTHORIZE, Person::ADA).json(&json).send().await.expect(200);
    assert!(answer.text().contains("&prompt=consent&login_hint=ada&max_age=9"), "{}", answer.text());
    let query = format!("{AUTHORIZE}?authorization_params.login_hint=ada");
    let answer = acme.keyferry.request_for("GET", &query, Person::ADA).send().await.expect(303);
    assert!(answer.header("location").is_some_and(|place| place.ends_with("&login_hint=ada")), "{answer:?}");

    let refused = [
        (
            "redirect_uri",
            "https://evil.example",
            "`authorization_params.redirect_uri` cannot be chosen: it binds the authorization to whoever began it.",
        ),
        (
            "state",
            "mine",
            "`authorization_params.state` cannot be chosen: it binds the authorization to whoever began it.",
        ),
        // The file's own name for the client.
        (
            "app_id",
            "mine",
            "`authorization_params.app_id` cannot be chosen: it binds the authorization to whoever began it.",
        ),
        ("a b", "x", "The names of `authorization_params` are letters, digits, `_`, `.` and `-`."),
        ("login_hint", &"x".repeat(1025), "`authorization_params.login_hint` is longer than 1024 bytes."),
    ];
    for (name, value, sentence) in refused {
        let name = format!("authorization_params.{name}");
        let request = acme.keyferry.request_for("POST", AUTHORIZE, Person::ADA).form([(name.as_str(), value)]);
        assert_eq!(request.send().await.expect_problem(400, "bad_request")["detail"], sentence);
    }
    let many: Vec<String> = (0..17).map(|at| format!("authorization_params.p{at}")).collect();
    let request =
        acme.keyferry.request_for("POST", AUTHORIZE, Person::ADA).form(many.iter().map(|name| (name.as_str(), "x")));
    assert_eq!(
        request.send().await.expect_problem(400, "bad_request")["detail"],
        "At most 16 `authorization_params` are taken."
    );
}

const AUTHORIZE: &str = "/integrations/acme/authorize";

/// With a start link they wait until it is opened.
#[tokio::test]
async fn a_start_link_keeps_them() {
    let file = "[oauth]\nauthorization_endpoint = \"SERVER/authorize\"\ntoken_endpoint = \"SERVER/token\"\n\
                [api]\nbase_url = \"SERVER/api\"\n";
    let key = Keyferry::new_key().await;
    let lines =
        format!("[callers.backend]\nkey_hash = \"{}\"\norgs = [\"*\"]\nusers = [\"*\"]\nintegrations = [\"*\"]", key.1);
    let acme = Acme::start(file, &lines).await;
    let request =
        acme.keyferry.request_for("POST", AUTHORIZE, Person::ADA).header("authorization", &format!("Bearer {}", key.0));
    let answer = request.form([("authorization_params.login_hint", "ada")]).send().await.expect(200).json();
    let link = answer.as_str().and_then(|url| url.strip_prefix(acme.keyferry.public_url())).expect("a start link");
    assert!(!link.contains("login_hint"), "{link}");
    let opened = acme.keyferry.request("GET", link).send().await.expect(303);
    assert!(opened.header("location").is_some_and(|place| place.ends_with("&login_hint=ada")), "{opened:?}");
}
