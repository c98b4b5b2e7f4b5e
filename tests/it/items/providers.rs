//! The shipped files against the samples: every request, and every field of every item.

use keyferry::items::Options;
use keyferry::model::Item;
use serde_json::json;

use super::support::{Reply, Run, run, shipped};

/// An item of which only these fields are said.
fn item(id: &str, kind: &str, name: &str, parent_id: Option<&str>) -> Item {
    Item {
        id: id.into(),
        kind: Some(kind.into()),
        directory: false,
        parent_path_or_name: None,
        parent_id: parent_id.map(Into::into),
        name: Some(name.into()),
        creation_time: None,
        last_modified_time: None,
        url: None,
        children: None,
        mime_type: None,
        delta: None,
        drive_id: None,
        visibility: true,
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[track_caller]
fn check(run: &Run, requests: &[&str], items: &[Item], problems: &[&str]) {
    assert_eq!(run.requests, requests);
    for (found, expected) in run.items.iter().zip(items) {
        assert_eq!(found, expected);
    }
    assert_eq!(run.items.len(), items.len(), "{:?}", run.ids());
    assert_eq!(run.codes(), problems);
    assert_eq!(run.last, None);
}

#[test]
fn hubspot() {
    let (plan, options) = shipped("hubspot");
    let options = Options { connection: json!({ "hub_id": "48213377" }), ..options };
    let run = run(&plan, options, |request| {
        let page = if request.path_and_query.contains("&after=") { 2 } else { 1 };
        Reply::sample(&format!("hubspot.{}.{page}", request.stream))
    });
    let app = |rest: &str| Some(format!("https://app.hubspot.com/contacts/48213377/record/{rest}"));
    let times = |item: Item, created: &str, modified: &str| Item {
        creation_time: some(created),
        last_modified_time: some(modified),
        ..item
    };
    check(
        &run,
        &[
            "GET /crm/v3/objects/contacts?archived=false&associations=companies&properties=firstname%2Clastname%2Cemail&limit=100",
            "GET /crm/v3/objects/contacts?archived=false&associations=companies&properties=firstname%2Clastname%2Cemail&limit=100&after=202",
            "GET /crm/v3/objects/companies?archived=false&properties=name%2Cdomain&limit=100",
            "GET /crm/v3/objects/companies?archived=false&properties=name%2Cdomain&limit=100&after=9002",
            "GET /crm/v3/objects/deals?archived=false&associations=companies&properties=dealname&limit=100",
            "GET /crm/v3/objects/deals?archived=false&associations=companies&properties=dealname&limit=100&after=NzcwMDI%253D",
        ],
        &[
            times(
                Item { url: app("0-1/151"), ..item("151_Contact", "Contact", "Mira Okafor", Some("9001_Company")) },
                "2025-03-04T09:12:44.310Z",
                "2026-10-30T16:01:09.552Z",
            ),
            times(
                Item { url: app("0-1/201"), ..item("201_Contact", "Contact", "ops@northquay.test", None) },
                "2025-06-18T11:40:00.001Z",
                "2026-02-01T08:00:00.000Z",
            ),
            times(
                Item { url: app("0-1/251"), ..item("251_Contact", "Contact", "Jun", None) },
                "2026-01-09T14:22:31.120Z",
                "2026-09-14T07:45:00.903Z",
            ),
            times(
                Item {
                    url: app("0-2/9001"),
                    directory: true,
                    ..item("9001_Company", "Company", "Brightfield Ltd", None)
                },
                "2024-11-20T10:00:00.000Z",
                "2026-10-02T12:30:00.000Z",
            ),
            times(
                Item {
                    url: app("0-2/9002"),
                    directory: true,
                    ..item("9002_Company", "Company", "northquay.test", None)
                },
                "2025-06-18T11:39:00.000Z",
                "2025-06-18T11:39:00.000Z",
            ),
            times(
                Item {
                    url: app("0-3/77001"),
                    ..item("77001_Deal", "Deal", "Brightfield renewal", Some("9001_Company"))
                },
                "2026-04-02T09:00:00.000Z",
                "2026-11-01T17:20:10.044Z",
            ),
            times(
                Item { url: app("0-3/77002"), ..item("77002_Deal", "Deal", "Pilot", None) },
                "2026-08-15T08:30:00.000Z",
                "2026-08-15T08:30:00.000Z",
            ),
        ],
        &[],
    );
}

#[test]
fn notion() {
    let (plan, options) = shipped("notion");
    let run = run(&plan, options, |request| {
        assert!(request.headers.iter().any(|(name, value)| name == "content-type" && value == "application/json"));
        let first = !String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).contains("start_cursor");
        Reply::sample(if first { "notion.search.1" } else { "notion.search.2" })
    });
    let id = |n: u8| format!("11111111-aaaa-4aaa-8aaa-00000000000{n}");
    let page = |n: u8, name: &str, parent: Option<&str>, times: [&str; 2]| Item {
        creation_time: some(times[0]),
        last_modified_time: some(times[1]),
        url: Some(format!("https://app.notion.com/p/11111111aaaa4aaa8aaa00000000000{n}")),
        ..item(&id(n), "page", name, parent)
    };
    check(
        &run,
        &[
            r#"POST /v1/search {"sort":{"direction":"ascending","timestamp":"last_edited_time"},"page_size":100}"#,
            r#"POST /v1/search {"sort":{"direction":"ascending","timestamp":"last_edited_time"},"page_size":100,"start_cursor":"11111111-aaaa-4aaa-8aaa-000000000003"}"#,
        ],
        &[
            page(1, "Team handbook", None, ["2026-01-05T10:00:00.000Z", "2026-11-20T08:15:00.000Z"]),
            page(
                2,
                "Sign lease",
                Some("22222222-bbbb-4bbb-8bbb-000000000001"),
                ["2026-02-11T09:30:00.000Z", "2026-11-19T16:40:00.000Z"],
            ),
            Item {
                directory: true,
                creation_time: some("2026-02-11T09:00:00.000Z"),
                last_modified_time: some("2026-11-18T12:00:00.000Z"),
                url: some("https://app.notion.com/p/33333333cccc4ccc8ccc000000000001"),
                ..item(
                    "22222222-bbbb-4bbb-8bbb-000000000001",
                    "data_source",
                    "Tasks",
                    Some("33333333-cccc-4ccc-8ccc-000000000001"),
                )
            },
            page(
                3,
                "@Ana Voss",
                Some("44444444-dddd-4ddd-8ddd-000000000001"),
                ["2026-03-01T00:00:00.000Z", "2026-11-01T00:00:00.000Z"],
            ),
            page(4, "Untitled", Some(&id(1)), ["2026-03-02T00:00:00.000Z", "2026-03-02T00:00:00.000Z"]),
            item(&id(6), "page", "Untitled", None),
        ],
        &[],
    );
}

#[test]
fn notion_says_that_it_left_records_out() {
    let (plan, options) = shipped("notion");
    let run = run(&plan, options, |request| {
        let first = !String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).contains("start_cursor");
        Reply::sample(if first { "notion.search.1" } else { "notion.search_truncated" })
    });
    assert_eq!((run.items.len(), run.codes()), (3, vec!["search incomplete".to_owned()]));
}

pub(super) fn airtable_answers(path_and_query: &str) -> Reply {
    match path_and_query {
        "/v0/meta/bases" => Reply::sample("airtable.bases.1"),
        "/v0/meta/bases?offset=itrFakeOffset1%2FappA1fakeBase0002" => Reply::sample("airtable.bases.2"),
        "/v0/meta/bases/appA1fakeBase0003/tables" => Reply::sample("airtable.e403").with_status(403),
        path => {
            let base = path.strip_prefix("/v0/meta/bases/").and_then(|rest| rest.strip_suffix("/tables")).expect(path);
            Reply::sample(&format!("airtable.tables.{base}"))
        }
    }
}

#[test]
fn airtable() {
    let (plan, options) = shipped("airtable");
    let run = run(&plan, options, |request| airtable_answers(&request.path_and_query));
    let base = |n: u8, name: &str, children: &[&str]| {
        let id = format!("appA1fakeBase000{n}");
        Item {
            directory: true,
            url: Some(format!("https://airtable.com/{id}")),
            children: Some(children.iter().map(|id| (*id).to_owned()).collect()),
            ..item(&format!("{id}_Base"), "Base", name, None)
        }
    };
    let table = |n: u8, name: &str, base: u8, base_name: &str| {
        let (id, base) = (format!("tblA1fakeTab0000{n}"), format!("appA1fakeBase000{base}"));
        Item {
            parent_path_or_name: some(base_name),
            url: Some(format!("https://airtable.com/{base}/{id}")),
            ..item(&format!("{id}_Table"), "Table", name, Some(&format!("{base}_Base")))
        }
    };
    check(
        &run,
        &[
            "GET /v0/meta/bases",
            "GET /v0/meta/bases/appA1fakeBase0001/tables",
            "GET /v0/meta/bases/appA1fakeBase0002/tables",
            "GET /v0/meta/bases?offset=itrFakeOffset1%2FappA1fakeBase0002",
            "GET /v0/meta/bases/appA1fakeBase0003/tables",
        ],
        &[
            base(1, "Launch planning", &["tblA1fakeTab00001_Table", "tblA1fakeTab00002_Table"]),
            table(1, "Milestones", 1, "Launch planning"),
            table(2, "People", 1, "Launch planning"),
            base(2, "Vendors", &["tblA1fakeTab00003_Table"]),
            table(3, "Vendors", 2, "Vendors"),
            base(3, "Board deck", &[]),
        ],
        &["tables skipped ×1"],
    );
    assert_eq!(run.budgets, ["", "appA1fakeBase0001", "appA1fakeBase0002", "", "appA1fakeBase0003"]);
}
