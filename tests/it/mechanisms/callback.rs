//! The redirect: other names for code and state, and one that is posted as a form.

use serde_json::json;

use super::flow::Flow;

const NAMES: &str = "\n[oauth.callback]\ncode_param = \"spapi_oauth_code\"\nstate_param = \"customField\"\n\
                     [oauth.capture.callback]\nseller = \"selling_partner_id\"";

#[tokio::test]
async fn with_names_of_its_own() {
    let flow = Flow::of("token_params = { seller = \"{seller}\" }").tables(NAMES);
    let flow = flow.callback("spapi_oauth_code=the-code&customField={state}&selling_partner_id=S1&mws_auth_token=x");
    insta::assert_snapshot!(flow.run().await);
}

/// The usual names then mean nothing.
#[tokio::test]
async fn under_the_usual_names_nothing_is_found() {
    let acme = Flow::of("").tables(NAMES).start().await;
    let sent = acme.begin(&[]).await;
    acme.come_back(&format!("spapi_oauth_code=c&state={}", sent.state)).await.expect_problem(400, "state_mismatch");
    acme.come_back(&format!("code=c&customField={}", sent.state)).await.expect_problem(400, "state_mismatch");
    assert_eq!(acme.requests(), Vec::<String>::new());
}

/// Form Post Response Mode: the form becomes the GET that a browser sends its cookies with, with what is needed and no more.
#[tokio::test]
async fn by_a_form() {
    let acme = Flow::of("authorization_params = { response_mode = \"form_post\" }").tables(NAMES).start().await;
    let sent = acme.begin(&[]).await;
    assert!(sent.url.ends_with("&response_mode=form_post"), "{}", sent.url);
    let form = [
        ("customField", sent.state.as_str()),
        ("spapi_oauth_code", "the-code"),
        ("selling_partner_id", "S 1"),
        ("user", "{}"),
    ];
    let posted = acme.keyferry.request("POST", "/integrations/acme/oauth2callback").form(form).send().await.expect(303);
    let place = posted.header("location").expect("where to go on");
    let expected = format!(
        "{}?customField={}&spapi_oauth_code=the-code&selling_partner_id=S+1",
        acme.keyferry.callback("acme"),
        sent.state
    );
    assert_eq!(place, expected);
    acme.server.json("/token", &json!({ "access_token": "AT", "token_type": "bearer" }));
    acme.come_back(place.split_once('?').expect("a query").1).await.expect(200);
    assert_eq!(acme.connection().await["captured"], json!({ "seller": "S 1" }));
}

#[tokio::test]
async fn by_a_form_only_where_the_file_knows_one() {
    let acme = Flow::of("").tables("[oauth.callback]\nmethods = [\"GET\"]").start().await;
    let form = [("state", "s"), ("code", "c")];
    let refused = acme.keyferry.request("POST", "/integrations/acme/oauth2callback").form(form).send().await;
    assert_eq!(refused.header("allow"), Some("GET"));
    refused.expect_problem(405, "method_not_allowed");
}
