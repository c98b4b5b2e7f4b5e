//! The variants for the page that people come from: the names and the order that its back end gave, wrong choices
//! included. What is expected here was worked out by that back end's own rules from the samples.

use serde_json::{Value, json};

use super::expected::{item, page};
use super::scene::{Integration, Scene, array};

#[tokio::test]
async fn notion_as_it_was() {
    let scene = Scene::new(&[Integration::shipped("notion-compat", "notion-compat", "")]).await;
    let loaded = scene.load("notion-compat").await.expect(200);
    // The first text run of any property, whichever that is; without any, the words "multi_select".
    let record = |id: &str, name: &str, parent: Value, created: &str, changed: &str| {
        let kind = name.split(' ').next();
        item(json!({
            "id": id, "type": kind, "name": name, "parent_id": parent, "creation_time": created,
            "last_modified_time": changed,
        }))
    };
    let (january, february, march) =
        ("2026-01-05T10:00:00.000Z", "2026-02-11T09:30:00.000Z", "2026-03-02T00:00:00.000Z");
    let expected = [
        record(&page(1), "page Team ", Value::Null, january, "2026-11-20T08:15:00.000Z"),
        record(
            &page(2),
            "page ask legal",
            "22222222-bbbb-4bbb-8bbb-000000000001".into(),
            february,
            "2026-11-19T16:40:00.000Z",
        ),
        record(
            "33333333-cccc-4ccc-8ccc-000000000001",
            "database Tasks",
            page(1).into(),
            "2026-02-11T09:00:00.000Z",
            "2026-11-18T12:00:00.000Z",
        ),
        record(
            &page(3),
            "page multi_select",
            "44444444-dddd-4ddd-8ddd-000000000001".into(),
            "2026-03-01T00:00:00.000Z",
            "2026-11-01T00:00:00.000Z",
        ),
        record(&page(4), "page multi_select", page(1).into(), march, march),
        record(&page(5), "page multi_select", Value::Null, "2026-03-03T00:00:00.000Z", "2026-03-03T00:00:00.000Z"),
    ];
    assert_eq!(array(&loaded), expected);

    let requests = scene.vendors.take().await;
    assert_eq!(requests.len(), 1, "the first page, and no more");
    assert_eq!((requests[0].header("notion-version"), requests[0].body()), (vec!["2022-06-28"], vec![]));
}

#[tokio::test]
async fn airtable_as_it_was() {
    let scene = Scene::new(&[Integration::shipped("airtable-compat", "airtable-compat", "")]).await;
    let loaded = scene.load("airtable-compat").await.expect(200);
    let base = |number: u64, name: &str| {
        item(json!({ "id": format!("appA1fakeBase{number:04}_Base"), "type": "Base", "name": name }))
    };
    let table = |number: u64, name: &str, base: u64, parent: &str| {
        item(json!({
            "id": format!("tblA1fakeTab{number:05}_Table"), "type": "Table", "name": name,
            "parent_id": format!("appA1fakeBase{base:04}_Base"), "parent_path_or_name": parent,
        }))
    };
    let expected = [
        base(1, "Launch planning"),
        table(1, "Milestones", 1, "Launch planning"),
        table(2, "People", 1, "Launch planning"),
        base(2, "Vendors"),
        table(3, "Vendors", 2, "Vendors"),
        base(3, "Board deck"),
    ];
    assert_eq!(array(&loaded), expected);
}
