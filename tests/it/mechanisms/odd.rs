//! A whole life at a server whose flow is its own, by a file that was written from docs/providers.md and the vendor's page
//! alone.

use serde_json::json;

use crate::support::{Browser, Configuration, Keyferry, Odd, Person, until};

#[tokio::test]
async fn a_file_from_the_page() {
    // Short enough that the token is over before the test is.
    let odd = Odd::start(1_500).await;
    let file = include_str!("files/larkspur.toml").replace("SERVER", odd.url());
    let lines = "[integrations.larkspur]\nclient_id = \"the-id\"\nclient_secret = \"the-secret\"";
    let keyferry = Keyferry::start(Configuration::new().provider("larkspur", &file).toml(lines)).await;

    let url = keyferry.authorize("larkspur", Person::ADA, &[]).await;
    let page = Browser::new().open(&url).await;
    assert_eq!(page.status(), 200, "{}", page.text());
    let boards = async || keyferry.call("larkspur", "/boards", Person::ADA).await;
    assert_eq!(boards().await.expect(200).json()["boards"][0]["title"], "Larks");
    until("a token that was renewed", super::LIMIT, async || {
        boards().await.expect(200);
        (odd.sessions().await["renewed"].as_u64() > Some(0)).then_some(())
    })
    .await;
    assert_eq!(odd.sessions().await["open"], 1);

    keyferry.request_for("DELETE", "/integrations/larkspur/connection", Person::ADA).send().await.expect(200);
    until("the end of the session there", super::LIMIT, async || {
        (odd.sessions().await["open"] == json!(0)).then_some(())
    })
    .await;
}
