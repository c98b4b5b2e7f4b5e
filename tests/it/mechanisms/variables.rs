//! Variables and templates: values of the operator, of whoever connects and of chance, in URLs, parameters and headers;
//! and variables that are secrets.

use serde_json::json;

use super::flow::Flow;
use crate::support::{Configuration, Keyferry, Person};

const TABLES: &str = "
[variables.tenant]
pattern = '.+'
[variables.region]
enum = ['eu', 'us']
default = 'us'
[variables.app]
source = 'operator'";

#[tokio::test]
async fn stand_wherever_a_template_does() {
    let oauth = r#"
authorization_endpoint = "SERVER/{tenant}/authorize"
token_endpoint = "SERVER/{tenant}/token?app={client_id}"
revocation_endpoint = "SERVER/revoke?region={region}"
authorization_params = { nonce = "{random}", region = "{region}", app = "{app}" }
token_params = { region = "{region}", trace = "{random}" }
token_request_headers = { X-App = "{app} {client_id}" }"#;
    let flow = Flow::of(oauth)
        .tables(TABLES)
        .api("headers = { X-App = \"{app}\", X-Client = \"{client_id}\", X-Key = \"{client_secret}\", X-Trace = \"{random}\" }")
        .integration("client_secret = \"the-secret\"\nvariables = { app = \"my app\" }")
        // A value changes the shape of no URL.
        .fields(&[("variables.tenant", "a/b?c#d")])
        .tokens_at("/a%2Fb%3Fc%23d/token", "/a%2Fb%3Fc%23d/token");
    insta::assert_snapshot!(flow.run().await);
}

const SECRET: &str = "
[variables.developer_token]
secret = true
title = 'Developer token'
[variables.account]
[oauth.capture.token]
team = '$.team'
[[items.streams]]
name = 'things'
path = '/things'
records = '$.things[*]'
query = { account = '$conn.account' }
item = { id = '$.id' }";

#[tokio::test]
async fn that_are_secrets_go_into_headers_and_bodies() {
    let flow = Flow::of("token_params = { developer_token = \"{developer_token}\" }")
        .tables(SECRET)
        .api("headers = { Developer-Token = \"{developer_token}\" }")
        .fields(&[("variables.developer_token", "dev-canary"), ("variables.account", "7")]);
    insta::assert_snapshot!(flow.run().await);
}

#[tokio::test]
async fn that_are_secrets_are_shown_nowhere() {
    let flow = Flow::of("").tables(SECRET).api("headers = { Developer-Token = \"{developer_token}\" }");
    let acme = flow.start().await;
    let listed = acme.keyferry.request("GET", "/integrations").send().await.expect(200).json();
    let variables =
        &listed.as_array().expect("a list").iter().find(|one| one["integration"] == "acme").expect("acme")["variables"];
    let secret = variables
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["name"] == "developer_token")
        .expect("it is asked for");
    assert_eq!((&secret["secret"], &variables[0]["secret"]), (&json!(true), &json!(false)), "{variables}");

    // Not even asked for by a URL.
    let asked = "/integrations/acme/authorize?variables.account=7&variables.developer_token=dev-canary";
    let refused = acme.keyferry.request_for("GET", asked, Person::ADA).send().await;
    let refused = refused.expect_problem(400, "bad_request");
    assert!(
        refused["detail"].as_str().is_some_and(|text| text.contains("`variables.developer_token` is a secret")),
        "{refused}"
    );

    let fields = [("variables.developer_token", "dev-canary"), ("variables.account", "7")];
    let sent = acme.begin(&fields).await;
    acme.server.json("/token", &json!({ "access_token": "AT", "token_type": "bearer", "team": "blue" }));
    acme.come_back(&format!("code=the-code&state={}", sent.state)).await.expect(200);
    let connection = acme.connection().await;
    assert_eq!(connection["captured"], json!({ "team": "blue" }));
    assert!(!connection.to_string().contains("dev-canary") && !sent.url.contains("dev-canary"), "{connection}");

    acme.server.json("/api/things", &json!({ "things": [{ "id": "1" }] }));
    acme.requests();
    let items = acme.keyferry.request_for("GET", "/integrations/acme/items", Person::ADA).send().await.expect(200);
    assert!(items.text().contains("\"id\":\"1\""), "{}", items.text());
    let [request] = &acme.requests()[..] else { panic!("one page") };
    assert!(
        request.starts_with("GET /api/things?account=7 HTTP/1.1\n")
            && request.contains("developer-token: dev-canary\n"),
        "{request}"
    );
    acme.keyferry.assert_keeps(&["dev-canary".to_owned()]);
}

#[tokio::test]
async fn that_are_the_operators_may_refer_to_a_secret() {
    let file = "[oauth]\nissuer = 'https://as.example'\n[api]\nbase_url = 'https://api.example.com'\n\
                headers = { X-Key = '{key}' }\n[variables.key]\nsource = 'operator'\nsecret = true\npattern = '[a-z-]+'\n";
    let configuration = |reference: &str| {
        Configuration::new()
            .provider("acme", file)
            .toml(&format!("[integrations.acme]\nclient_id = \"i\"\nvariables = {{ key = \"{reference}\" }}"))
    };
    let missing = Keyferry::start(configuration("env:ACME_KEY")).await;
    let refused = missing.request_for("POST", "/integrations/acme/authorize", Person::ADA).send().await;
    let refused = refused.expect_problem(500, "integration_not_configured");
    let named =
        "The key `integrations.acme.variables.key` has no value: the environment variable `ACME_KEY` is not set.";
    assert_eq!(refused["detail"], named);

    let present = Keyferry::start(configuration("env:ACME_KEY").environment("ACME_KEY", "the-canary")).await;
    let list = present.request("GET", "/integrations").send().await.expect(200).json();
    let acme = list.as_array().expect("a list").iter().find(|one| one["integration"] == "acme").expect("acme");
    assert_eq!((&acme["configured"], &acme["variables"]), (&json!(true), &json!([])));

    // A value that does not fit is not shown either.
    let exit = Keyferry::refuse(configuration("env:ACME_KEY").environment("ACME_KEY", "CANARY 7")).await;
    let said = format!("{}{}", exit.stdout, exit.stderr);
    assert!(said.contains("integrations.acme.variables.key") && !said.contains("CANARY"), "{said}");
}
