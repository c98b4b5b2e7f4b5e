//! Values kept from the redirect and from token answers, and what they choose afterwards: a path, a host's region, a
//! client secret.

use serde_json::json;

use super::flow::Flow;
use crate::support::{Configuration, Keyferry};

#[tokio::test]
async fn stand_in_what_follows() {
    let oauth = r#"
token_endpoint = "SERVER/{region}/token"
revocation_endpoint = "SERVER/revoke?realm={realm}&team={team}"
token_params = { realm = "{realm}" }
refresh_params = { team = "{team}" }"#;
    let tables = r#"
[oauth.capture.callback]
realm = "realmId"
region = { param = "location", default = "us", map = { us = "america", eu = "europe" } }
[oauth.capture.token]
team = "$.team.id"
odd = { path = "$.odd", pattern = "[a-z]+" }"#;
    let flow = |callback| {
        Flow::of(oauth)
            .tables(tables)
            .api("headers = { X-Team = \"{team}\", X-Realm = \"{realm}\" }")
            .callback(callback)
            .answer(json!({ "team": { "id": 7 }, "odd": "NOT" }))
    };
    let europe =
        flow("code=the-code&state={state}&realmId=r%2F1&location=eu").tokens_at("/europe/token", "/europe/token");
    insta::assert_snapshot!(europe.run().await);
    // Without the parameter its default is looked up.
    let america =
        flow("code=the-code&state={state}&realmId=r").tokens_at("/america/token", "/america/token").run().await;
    assert_eq!(america.matches("POST /america/token HTTP/1.1").count(), 2, "{america}");
}

const REGIONS: &str = r#"
[oauth.capture.callback.location]
param = "location"
default = "us"
map = { us = "us", eu = "eu" }"#;

/// Each data centre has a client secret of its own: it is the one of the value that the callback brings, in every request.
#[tokio::test]
async fn choose_the_client_secret() {
    let lines = "client_secret = \"the-secret\"\nclient_secrets = { location = { eu = \"env:NOT_HERE\" } }";
    let file = "[oauth]\nauthorization_endpoint = 'https://as.example'\ntoken_endpoint = 'https://as.example'\n[api]\n\
                base_url = 'https://as.example'\n";
    let acme = Keyferry::start(
        Configuration::new()
            .provider("acme", &format!("{file}{REGIONS}"))
            .toml(&format!("[integrations.acme]\nclient_id = \"the-id\"\n{lines}")),
    )
    .await;
    let refused = acme.request("POST", "/integrations/acme/authorize").send().await;
    let named = "The key `integrations.acme.client_secrets.location.eu` has no value: the environment variable `NOT_HERE` is not set.";
    assert_eq!(refused.expect_problem(500, "integration_not_configured")["detail"], named);

    let lines = "client_secret = \"the-secret\"\nclient_secrets.location.eu = \"the-european-secret\"";
    for (location, secret) in
        [("&location=eu", "the-european-secret"), ("&location=us", "the-secret"), ("", "the-secret")]
    {
        let callback = format!("code=the-code&state={{state}}{location}");
        let flow = Flow::of("").tables(REGIONS).integration(lines).callback(&callback).run().await;
        let sent = format!("client_secret={secret}\n");
        assert_eq!(flow.matches(&sent).count(), 4, "{location}: {flow}");
        assert_eq!(flow.matches("client_secret=").count(), 4, "{location}: {flow}");
    }
}

/// The same by a variable, and in the headers of calls. Where every value has one, no other secret is needed.
#[tokio::test]
async fn a_variable_chooses_the_client_secret_too() {
    let flow = Flow::of("token_endpoint_auth_method = \"client_secret_post\"")
        .tables("[variables.plan]\nenum = ['small', 'big']")
        .api("headers = { X-Key = \"{client_secret}\" }")
        .integration("client_secrets.plan = { small = \"s-secret\", big = \"b-secret\" }")
        .fields(&[("variables.plan", "big")])
        .run()
        .await;
    assert!(flow.contains("\nx-key: b-secret\n") && flow.contains("client_secret=b-secret\n"), "{flow}");
    assert!(!flow.contains("s-secret"), "{flow}");
}
