//! What the vendors' samples are as items, field by field.

use serde_json::{Value, json};

/// The fields of an item, in the order in which they are given out.
pub(super) const FIELDS: [&str; 14] = [
    "id",
    "type",
    "directory",
    "parent_path_or_name",
    "parent_id",
    "name",
    "creation_time",
    "last_modified_time",
    "url",
    "children",
    "mime_type",
    "delta",
    "drive_id",
    "visibility",
];

/// An item with these fields; the others are what a record that says nothing has.
pub(super) fn item(given: Value) -> Value {
    let mut item: Value = FIELDS.iter().map(|field| ((*field).to_owned(), Value::Null)).collect();
    item["directory"] = false.into();
    item["visibility"] = true.into();
    for (field, value) in given.as_object().expect("fields").clone() {
        assert!(FIELDS.contains(&field.as_str()), "an item has no {field}");
        item[field] = value;
    }
    item
}

pub(crate) fn hubspot() -> Vec<Value> {
    let times = |created: &str, changed: &str| json!({ "creation_time": created, "last_modified_time": changed });
    let record = |kind: &str, number: u64, id: u64, name: &str, times: Value, more: Value| {
        let url = format!("https://app.hubspot.com/contacts/48213377/record/0-{number}/{id}");
        let mut fields = json!({ "id": format!("{id}_{kind}"), "type": kind, "name": name, "url": url });
        for (field, value) in [times, more].iter().flat_map(|part| part.as_object().expect("fields")) {
            fields[field] = value.clone();
        }
        item(fields)
    };
    let of_brightfield = || json!({ "parent_id": "9001_Company" });
    let directory = || json!({ "directory": true });
    vec![
        record(
            "Contact",
            1,
            151,
            "Mira Okafor",
            times("2025-03-04T09:12:44.310Z", "2026-10-30T16:01:09.552Z"),
            of_brightfield(),
        ),
        record(
            "Contact",
            1,
            201,
            "ops@northquay.test",
            times("2025-06-18T11:40:00.001Z", "2026-02-01T08:00:00.000Z"),
            json!({}),
        ),
        record("Contact", 1, 251, "Jun", times("2026-01-09T14:22:31.120Z", "2026-09-14T07:45:00.903Z"), json!({})),
        record(
            "Company",
            2,
            9001,
            "Brightfield Ltd",
            times("2024-11-20T10:00:00.000Z", "2026-10-02T12:30:00.000Z"),
            directory(),
        ),
        record(
            "Company",
            2,
            9002,
            "northquay.test",
            times("2025-06-18T11:39:00.000Z", "2025-06-18T11:39:00.000Z"),
            directory(),
        ),
        record(
            "Deal",
            3,
            77001,
            "Brightfield renewal",
            times("2026-04-02T09:00:00.000Z", "2026-11-01T17:20:10.044Z"),
            of_brightfield(),
        ),
        record("Deal", 3, 77002, "Pilot", times("2026-08-15T08:30:00.000Z", "2026-08-15T08:30:00.000Z"), json!({})),
    ]
}

/// The id of a page of the samples.
pub(super) fn page(number: u64) -> String {
    format!("11111111-aaaa-4aaa-8aaa-{number:012}")
}

pub(crate) fn notion() -> Vec<Value> {
    let url = |id: &str| format!("https://app.notion.com/p/{}", id.replace('-', ""));
    let source = "22222222-bbbb-4bbb-8bbb-000000000001";
    let database = "33333333-cccc-4ccc-8ccc-000000000001";
    vec![
        item(json!({
            "id": page(1), "type": "page", "name": "Team handbook", "url": url(&page(1)),
            "creation_time": "2026-01-05T10:00:00.000Z", "last_modified_time": "2026-11-20T08:15:00.000Z",
        })),
        item(json!({
            "id": page(2), "type": "page", "name": "Sign lease", "url": url(&page(2)), "parent_id": source,
            "creation_time": "2026-02-11T09:30:00.000Z", "last_modified_time": "2026-11-19T16:40:00.000Z",
        })),
        item(json!({
            "id": source, "type": "data_source", "name": "Tasks", "url": url(database), "parent_id": database,
            "directory": true,
            "creation_time": "2026-02-11T09:00:00.000Z", "last_modified_time": "2026-11-18T12:00:00.000Z",
        })),
        item(json!({
            "id": page(3), "type": "page", "name": "@Ana Voss", "url": url(&page(3)),
            "parent_id": "44444444-dddd-4ddd-8ddd-000000000001",
            "creation_time": "2026-03-01T00:00:00.000Z", "last_modified_time": "2026-11-01T00:00:00.000Z",
        })),
        item(json!({
            "id": page(4), "type": "page", "name": "Untitled", "url": url(&page(4)), "parent_id": page(1),
            "creation_time": "2026-03-02T00:00:00.000Z", "last_modified_time": "2026-03-02T00:00:00.000Z",
        })),
        // The fifth is in the trash; of the sixth only the id is shown.
        item(json!({ "id": page(6), "type": "page", "name": "Untitled" })),
    ]
}

pub(super) fn airtable() -> Vec<Value> {
    let base = |number: u64, name: &str, children: &[&str]| {
        let id = format!("appA1fakeBase{number:04}");
        item(json!({
            "id": format!("{id}_Base"), "type": "Base", "directory": true, "name": name,
            "url": format!("https://airtable.com/{id}"), "children": children,
        }))
    };
    let table = |number: u64, name: &str, base: u64, parent: &str| {
        let (id, base) = (format!("tblA1fakeTab{number:05}"), format!("appA1fakeBase{base:04}"));
        item(json!({
            "id": format!("{id}_Table"), "type": "Table", "name": name, "parent_id": format!("{base}_Base"),
            "parent_path_or_name": parent, "url": format!("https://airtable.com/{base}/{id}"),
        }))
    };
    vec![
        base(1, "Launch planning", &["tblA1fakeTab00001_Table", "tblA1fakeTab00002_Table"]),
        table(1, "Milestones", 1, "Launch planning"),
        table(2, "People", 1, "Launch planning"),
        base(2, "Vendors", &["tblA1fakeTab00003_Table"]),
        table(3, "Vendors", 2, "Vendors"),
        base(3, "Board deck", &[]),
    ]
}
