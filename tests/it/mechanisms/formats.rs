//! How token requests are written: a form, JSON, a query, a GET.

use super::flow::Flow;

#[tokio::test]
async fn json() {
    insta::assert_snapshot!(
        Flow::of("token_request_format = \"json\"\nrevocation = { format = \"json\" }").run().await
    );
}

#[tokio::test]
async fn query() {
    let oauth = "token_endpoint = \"SERVER/token?tenant=1\"\ntoken_request_format = \"query\"\nrevocation = { format = \"query\" }";
    insta::assert_snapshot!(Flow::of(oauth).run().await);
}

#[tokio::test]
async fn get() {
    insta::assert_snapshot!(Flow::of("token_request_method = \"GET\"\nrevocation = { method = \"GET\" }").run().await);
}
