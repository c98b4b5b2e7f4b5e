//! Revocations that are not RFC 7009's.

use super::flow::Flow;

/// Neither a body nor its content type; whose token it is stands in a header. One request ends the grant.
#[tokio::test]
async fn by_an_empty_request() {
    let oauth = "revocation = { format = \"none\", auth_method = \"none\", headers = { Authorization = \"Bearer {access_token}\" } }";
    insta::assert_snapshot!(Flow::of(oauth).run().await);
}

#[tokio::test]
async fn by_parameters_of_its_own() {
    let oauth = "revocation_endpoint = \"SERVER/revoke?app={client_id}\"\n\
                 revocation = { method = \"DELETE\", format = \"json\", auth_method = \"client_secret_basic\", params = { access_token = \"{access_token}\" } }";
    insta::assert_snapshot!(Flow::of(oauth).run().await);
}
