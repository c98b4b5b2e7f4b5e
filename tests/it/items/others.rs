//! Eight more vendors, each with a way of paging, of refusing or of saying "no more" of its own: the words of provider
//! files reach them.

use serde_json::json;

use super::expected::item;
use super::scene::{Integration, Scene};

#[tokio::test]
async fn stripe_goes_on_after_the_last_record() {
    let streams = r#"
[[items.streams]]
name = "customers"
path = "/v1/customers"
records = "$.data[*]"
page = { cursor = "$.data[-1].id", more = "$.has_more", into = "query.starting_after", size = "query.limit", n = 100 }
[items.streams.item]
id = "$.id"
type = "Customer"
name = ["$.name", "$.email", "{$.id}"]
creation_time = { path = "$.created", format = "unix_s" }
url = "https://dashboard.stripe.com/customers/{$.id}"
"#;
    let scene = Scene::new(&[Integration::acme("", streams)]).await;
    let customer = |id: &str, name: &str, created: &str| {
        let url = format!("https://dashboard.stripe.com/customers/{id}");
        item(json!({ "id": id, "type": "Customer", "name": name, "creation_time": created, "url": url }))
    };
    let list = scene.lines("acme", &[]).await;
    let expected = [
        customer("cus_A", "Brightfield Ltd", "2025-10-09T08:53:20Z"),
        customer("cus_B", "jun@northquay.test", "2025-10-20T22:40:00Z"),
        customer("cus_C", "cus_C", "2025-11-01T12:26:40Z"),
    ];
    assert_eq!((list.items.as_slice(), list.codes().len()), (expected.as_slice(), 0));
    let targets: Vec<_> = scene.vendors.take().await.into_iter().map(|request| request.target).collect();
    assert!(targets.len() == 2 && targets[1].contains("starting_after=cus_B"), "{targets:?}");
}
