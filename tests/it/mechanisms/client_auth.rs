//! How the client proves itself at the token endpoint: in the body, by HTTP Basic in all its spellings, or not at all;
//! never twice in one request.

use super::flow::Flow;

#[tokio::test]
async fn by_basic() {
    insta::assert_snapshot!(Flow::of("token_endpoint_auth_method = \"client_secret_basic\"").run().await);
}

#[tokio::test]
async fn by_post() {
    insta::assert_snapshot!(Flow::of("token_endpoint_auth_method = \"client_secret_post\"").run().await);
}

#[tokio::test]
async fn not_at_all() {
    insta::assert_snapshot!(Flow::of("token_endpoint_auth_method = \"none\"").integration("").run().await);
}

/// Whatever Basic is made of, each half is form-encoded before it is joined (RFC 6749 section 2.3.1).
#[tokio::test]
async fn by_basic_with_other_halves() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    for (keys, joined) in [
        ("", "the-id:s%3A+%25"),
        ("basic_username = \"{client_secret}\"\nbasic_password = \"\"", "s%3A+%25:"),
        ("basic_username = \"{tenant}:{client_id}\"", "a%26b%3Athe-id:s%3A+%25"),
        ("basic_password = \"{client_id}\"\nbasic_username = \"x\"", "x:the-id"),
    ] {
        let oauth = format!("token_endpoint_auth_method = \"client_secret_basic\"\n{keys}");
        let flow = Flow::of(&oauth)
            .tables("[variables.tenant]\nsource = 'operator'")
            .integration("client_secret = \"s: %\"\nvariables = { tenant = \"a&b\" }")
            .run()
            .await;
        let header = format!("authorization: Basic {}\n", BASE64_STANDARD.encode(joined));
        // Exchange, refresh, and both tokens' revocation.
        assert_eq!(flow.matches(&header).count(), 4, "{joined}: {flow}");
        assert!(!flow.contains("client_secret=") && !flow.contains("client_id=the-id&client"), "{flow}");
    }
}
