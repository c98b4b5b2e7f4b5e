//! Parameters and headers of token requests: added, renamed, dropped, and the state sent once more.

use super::flow::Flow;

#[tokio::test]
async fn are_added_renamed_and_dropped() {
    let oauth = r#"token_request_format = "json"
code_challenge_method = "none"
token_params = { client_id = "", client_secret = "", code = "", redirect_uri = "", grant_type = "", app_id = "{client_id}", secret = "{client_secret}", auth_code = "{code}", state = "{state}", empty = "" }
refresh_params = { grant_type = "", app_id = "{client_id}", secret = "{client_secret}" }"#;
    insta::assert_snapshot!(Flow::of(oauth).run().await);
}

#[tokio::test]
async fn another_grant_type() {
    let flow = Flow::of("token_params = { grant_type = \"urn:ietf:params:oauth:grant-type:jwt-bearer\" }").run().await;
    let body = "\n\ngrant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&code=the-code&";
    assert!(flow.contains(body) && flow.contains("\n\ngrant_type=refresh_token&"), "{flow}");
}

#[tokio::test]
async fn headers() {
    let oauth = "token_request_headers = { X-Partner = \"{client_id}\", Accept = \"application/vnd.acme+json\", User-Agent = \"acme\", X-Trace = \"{random}\" }";
    insta::assert_snapshot!(Flow::of(oauth).run().await);
}
