//! The other shipped files, each against a small answer in the documented shape, and the compatible variants against the
//! algorithm that they stand for.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use keyferry::items::{Options, PageRequest, Plan};
use keyferry::model::Item;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::providers::airtable_answers;
use super::support::{Reply, Run, run, shipped};

fn walk(id: &str, connection: Value, provider: impl FnMut(&PageRequest) -> Reply) -> Run {
    let (plan, options) = shipped(id);
    run(&plan, Options { connection, ..options }, provider)
}

/// The fields of an item that are neither null nor what they are by default.
fn said(item: &Item) -> Value {
    let mut said = json!({ "id": item.id });
    let mut set = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            said[name] = value.as_str().into();
        }
    };
    set("type", &item.kind);
    set("path", &item.parent_path_or_name);
    set("parent", &item.parent_id);
    set("name", &item.name);
    set("created", &item.creation_time);
    set("modified", &item.last_modified_time);
    set("url", &item.url);
    set("mime", &item.mime_type);
    set("delta", &item.delta);
    set("drive", &item.drive_id);
    if item.directory {
        said["directory"] = true.into();
    }
    if !item.visibility {
        said["visibility"] = false.into();
    }
    if let Some(children) = &item.children {
        said["children"] = children.as_slice().into();
    }
    said
}

#[track_caller]
fn check(run: &Run, requests: &[&str], items: Value) {
    assert_eq!(run.requests, requests);
    let found: Value = run.items.iter().map(said).collect();
    assert_eq!(found, items, "{found:#}");
    assert_eq!(run.codes(), Vec::<String>::new());
}

#[test]
fn github() {
    let repository = |id: u64, name: &str| {
        json!({
            "id": id, "node_id": "R_x", "full_name": format!("brightfield/{name}"), "owner": { "login": "brightfield" },
            "html_url": format!("https://github.com/brightfield/{name}"), "created_at": "2024-01-02T03:04:05Z",
            "updated_at": "2026-05-06T07:08:09Z",
        })
    };
    let mut limited = true;
    let run = walk("github", json!({}), |request| match request.path_and_query.as_str() {
        _ if std::mem::take(&mut limited) => Reply::status(403, json!({ "message": "API rate limit exceeded" }))
            .with("x-ratelimit-remaining", "0")
            .with("x-ratelimit-reset", "1700000012"),
        "/user/repos?per_page=100" => Reply::json(json!([repository(1, "site")])).with(
            "link",
            "<https://api.github.com/user/repos?per_page=100&page=2>; rel=\"next\", \
             <https://api.github.com/user/repos?per_page=100&page=2>; rel=\"last\"",
        ),
        _ => Reply::json(json!([repository(2, "app")]))
            .with("link", "<https://api.github.com/user/repos?per_page=100&page=1>; rel=\"prev\""),
    });
    assert_eq!(run.waits, [Duration::from_secs(12)]);
    let item = |id: u64, name: &str| {
        json!({
            "id": format!("{id}_Repository"), "type": "Repository", "path": "brightfield", "directory": true,
            "name": format!("brightfield/{name}"), "url": format!("https://github.com/brightfield/{name}"),
            "created": "2024-01-02T03:04:05Z", "modified": "2026-05-06T07:08:09Z",
        })
    };
    check(
        &run,
        &["GET /user/repos?per_page=100", "GET /user/repos?per_page=100", "GET /user/repos?per_page=100&page=2"],
        json!([item(1, "site"), item(2, "app")]),
    );
    let forbidden = walk("github", json!({}), |_| {
        Reply::status(403, json!({ "message": "Resource not accessible" })).with("x-ratelimit-remaining", "4999")
    });
    assert_eq!(forbidden.codes(), ["repositories upstream_refused"]);
}

#[test]
fn google_drive() {
    let mut limited = true;
    let fields = "nextPageToken%2CincompleteSearch%2Cfiles%28id%2Cname%2CmimeType%2Cparents%2CdriveId%2CcreatedTime%2CmodifiedTime%2CwebViewLink%29";
    let first = format!(
        "GET /drive/v3/files?fields={fields}&includeItemsFromAllDrives=true&q=trashed%20%3D%20false&supportsAllDrives=true&pageSize=1000"
    );
    let run = walk("google-drive", json!({}), |request| {
        if std::mem::take(&mut limited) {
            return Reply::status(
                403,
                json!({ "error": { "code": 403, "errors": [{ "reason": "userRateLimitExceeded" }] } }),
            );
        }
        if request.path_and_query.contains("pageToken=") {
            return Reply::json(json!({ "incompleteSearch": false, "files": [{
                "id": "d2", "name": "Plan", "mimeType": "application/pdf", "parents": ["d1"], "driveId": "0A",
                "createdTime": "2026-01-01T00:00:00.000Z", "modifiedTime": "2026-02-01T00:00:00.000Z",
                "webViewLink": "https://drive.google.com/file/d/d2/view",
            }] }));
        }
        Reply::json(json!({ "nextPageToken": "~!!~A/=", "incompleteSearch": false, "files": [
            { "id": "d1", "name": "Launch", "mimeType": "application/vnd.google-apps.folder" },
        ] }))
    });
    assert_eq!(run.waits.len(), 1);
    let second = format!("{first}&pageToken=~%21%21~A%2F%3D");
    check(
        &run,
        &[&first, &first, &second],
        json!([
            { "id": "d1", "type": "Folder", "name": "Launch", "mime": "application/vnd.google-apps.folder", "directory": true },
            {
                "id": "d2", "type": "File", "parent": "d1", "name": "Plan", "created": "2026-01-01T00:00:00.000Z",
                "modified": "2026-02-01T00:00:00.000Z", "url": "https://drive.google.com/file/d/d2/view",
                "mime": "application/pdf", "drive": "0A",
            },
        ]),
    );
    let incomplete = walk("google-drive", json!({}), |_| Reply::json(json!({ "incompleteSearch": true, "files": [] })));
    assert_eq!(incomplete.codes(), ["files incomplete"]);
}

#[test]
fn onedrive() {
    let run = walk("onedrive", json!({}), |request| {
        if request.path_and_query == "/me/drive/root/delta" {
            return Reply::json(json!({
                "@odata.nextLink": "https://graph.microsoft.com/v1.0/me/drive/root/delta?token=abc%20d",
                "value": [
                    { "id": "r", "name": "root", "folder": { "childCount": 1 }, "root": {} },
                    { "id": "x", "deleted": { "state": "softDeleted" } },
                ],
            }));
        }
        Reply::json(json!({
            "@odata.deltaLink": "https://graph.microsoft.com/v1.0/me/drive/root/delta?token=end",
            "value": [{
                "id": "f", "name": "Plan.pdf", "file": { "mimeType": "application/pdf" }, "webUrl": "https://1drv.example/f",
                "createdDateTime": "2026-01-01T00:00:00Z", "lastModifiedDateTime": "2026-02-01T00:00:00Z",
                "parentReference": { "id": "r", "driveId": "b!1", "path": "/drive/root:" },
            }],
        }))
    });
    check(
        &run,
        &["GET /me/drive/root/delta", "GET /me/drive/root/delta?token=abc%20d"],
        json!([
            { "id": "r", "type": "DriveItem", "name": "root", "directory": true },
            {
                "id": "f", "type": "DriveItem", "path": "/drive/root:", "parent": "r", "name": "Plan.pdf",
                "created": "2026-01-01T00:00:00Z", "modified": "2026-02-01T00:00:00Z", "url": "https://1drv.example/f",
                "mime": "application/pdf", "drive": "b!1",
                "delta": "https://graph.microsoft.com/v1.0/me/drive/root/delta?token=end",
            },
        ]),
    );
}

#[test]
fn slack() {
    let mut odd = vec![
        Reply::status(429, json!({ "ok": false, "error": "ratelimited" })).with("retry-after", "3"),
        Reply::json(json!({ "ok": false, "error": "token_expired" })),
    ];
    let run = walk("slack", json!({ "team_id": "T1" }), |request| {
        if let Some(reply) = odd.pop() {
            return reply;
        }
        let second = request.path_and_query.contains("cursor=");
        let cursor = if second { "" } else { "dGVhbTpDMUg5UkVTR0w=" };
        let (id, name) = if second { ("C2", "random") } else { ("C1", "general") };
        Reply::json(json!({
            "ok": true,
            "channels": [{ "id": id, "name": name, "created": 1_700_000_000, "updated": 1_700_000_000_123i64 }],
            "response_metadata": { "next_cursor": cursor },
        }))
    });
    assert_eq!((run.renewals, run.waits.as_slice()), (1, &[Duration::from_secs(3)][..]));
    let first = "GET /conversations.list?exclude_archived=true&types=public_channel%2Cprivate_channel&limit=200";
    let item = |id: &str, name: &str| {
        json!({
            "id": id, "type": "Channel", "name": name, "created": "2023-11-14T22:13:20Z",
            "modified": "2023-11-14T22:13:20.123Z", "url": format!("https://app.slack.com/client/T1/{id}"),
        })
    };
    check(
        &run,
        &[first, first, first, &format!("{first}&cursor=dGVhbTpDMUg5UkVTR0w%3D")],
        json!([item("C1", "general"), item("C2", "random")]),
    );
    let scope = walk("slack", json!({}), |_| Reply::json(json!({ "ok": false, "error": "missing_scope" })));
    assert_eq!(scope.codes(), ["channels upstream_refused"]);
}

#[test]
fn jira() {
    let run = walk("jira", json!({}), |request| match request.path_and_query.as_str() {
        "/oauth/token/accessible-resources" => Reply::json(json!([
            { "id": "1324a887", "name": "brightfield", "url": "https://brightfield.atlassian.net", "scopes": ["read:jira-work"] },
            { "id": "99ff0000", "name": "wiki", "url": "https://wiki.atlassian.net", "scopes": ["read:confluence-content"] },
        ])),
        path if path.starts_with("/ex/jira/99ff0000/") => Reply::status(403, json!({ "message": "no" })),
        path if path.contains("startAt=1") => Reply::json(
            json!({ "startAt": 1, "maxResults": 1, "total": 2, "isLast": true, "values": [{ "id": "2", "key": "OPS", "name": "Operations" }] }),
        ),
        _ => Reply::json(
            json!({ "startAt": 0, "maxResults": 1, "total": 2, "isLast": false, "values": [{ "id": "1", "key": "WEB", "name": "Website" }] }),
        ),
    });
    assert_eq!(run.codes(), ["projects skipped ×1"]);
    let projects = "/ex/jira/1324a887/rest/api/3/project/search?maxResults=50";
    let project = |id: u8, key: &str, name: &str| {
        json!({
            "id": format!("1324a887/{id}_Project"), "type": "Project", "path": "brightfield", "parent": "1324a887_Site",
            "name": name, "url": format!("https://brightfield.atlassian.net/browse/{key}"),
        })
    };
    check(
        &Run { problems: Vec::new(), ..run },
        &[
            "GET /oauth/token/accessible-resources",
            &format!("GET {projects}"),
            &format!("GET {projects}&startAt=1"),
            "GET /ex/jira/99ff0000/rest/api/3/project/search?maxResults=50",
        ],
        json!([
            { "id": "1324a887_Site", "type": "Site", "name": "brightfield", "url": "https://brightfield.atlassian.net", "directory": true },
            project(1, "WEB", "Website"),
            project(2, "OPS", "Operations"),
            { "id": "99ff0000_Site", "type": "Site", "name": "wiki", "url": "https://wiki.atlassian.net", "directory": true },
        ]),
    );
}

#[test]
fn dropbox() {
    let run = walk("dropbox", json!({}), |request| match request.path_and_query.as_str() {
        "/2/files/list_folder" => Reply::json(json!({
            "entries": [{ ".tag": "folder", "id": "id:a", "name": "Plans", "path_display": "/Plans" }],
            "cursor": "AAE", "has_more": true,
        })),
        _ => Reply::json(json!({
            "entries": [{ ".tag": "file", "id": "id:b", "name": "x.pdf", "server_modified": "2026-02-01T00:00:00Z" }],
            "cursor": "AAF", "has_more": false,
        })),
    });
    check(
        &run,
        &[
            r#"POST /2/files/list_folder {"limit":2000,"path":"","recursive":true}"#,
            r#"POST /2/files/list_folder/continue {"cursor":"AAE"}"#,
        ],
        json!([
            { "id": "id:a", "type": "folder", "name": "Plans", "delta": "AAE", "directory": true },
            { "id": "id:b", "type": "file", "name": "x.pdf", "modified": "2026-02-01T00:00:00Z", "delta": "AAF" },
        ]),
    );
}

#[test]
fn linear() {
    let mut limited = true;
    let run = walk("linear", json!({}), |request| {
        if std::mem::take(&mut limited) {
            return Reply::status(
                400,
                json!({ "errors": [{ "message": "no", "extensions": { "code": "RATELIMITED" } }] }),
            )
            .with("x-ratelimit-requests-reset", "1700000009000");
        }
        let body: Value = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).expect("JSON");
        let query = body["query"].as_str().expect("a query");
        assert!(query.starts_with("query ($first: Int, $after: String) {\n") && query.ends_with("}\n}"), "{query}");
        assert_eq!(body["variables"]["first"], 100);
        let page = |next: Option<&str>| json!({ "hasNextPage": next.is_some(), "endCursor": next.unwrap_or("last") });
        match (request.stream.as_str(), body["variables"]["after"].as_str()) {
            ("projects", None) => Reply::json(json!({ "data": { "projects": {
                "nodes": [{ "id": "p1", "name": "Launch", "url": "https://linear.app/p1", "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-02T00:00:00.000Z" }],
                "pageInfo": page(None),
            } } })),
            ("issues", None) => Reply::json(json!({ "data": { "issues": {
                "nodes": [{ "id": "i1", "identifier": "WEB-1", "title": "Fix", "project": { "id": "p1", "name": "Launch" } }],
                "pageInfo": page(Some("c1")),
            } } })),
            ("issues", Some("c1")) => Reply::json(json!({ "data": { "issues": {
                "nodes": [{ "id": "i2", "identifier": "WEB-2", "title": "Ship", "project": null }],
                "pageInfo": page(None),
            } } })),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!((run.requests.len(), run.waits.as_slice()), (4, &[Duration::from_secs(9)][..]));
    let found: Value = run.items.iter().map(said).collect();
    assert_eq!(
        found,
        json!([
            {
                "id": "p1", "type": "Project", "name": "Launch", "created": "2026-01-01T00:00:00.000Z",
                "modified": "2026-01-02T00:00:00.000Z", "url": "https://linear.app/p1", "directory": true,
            },
            { "id": "i1", "type": "Issue", "path": "Launch", "parent": "p1", "name": "WEB-1 Fix" },
            { "id": "i2", "type": "Issue", "name": "WEB-2 Ship" },
        ])
    );
    assert_eq!(run.codes(), Vec::<String>::new());
    let errors = walk("linear", json!({}), |_| Reply::json(json!({ "data": null, "errors": [{ "message": "no" }] })));
    assert_eq!(errors.codes(), ["projects upstream_refused", "issues upstream_refused"]);
}

#[test]
fn stripe() {
    let run = walk("stripe", json!({}), |request| match request.path_and_query.as_str() {
        "/v1/customers?limit=100" => Reply::json(json!({ "object": "list", "has_more": true, "data": [
            { "id": "cus_1", "name": "Mira Okafor", "email": "mira@brightfield.test", "created": 1_700_000_000 },
            { "id": "cus_2", "name": null, "email": "ops@northquay.test", "created": 1_700_000_001 },
        ] })),
        "/v1/customers?limit=100&starting_after=cus_2" => Reply::json(
            json!({ "object": "list", "has_more": false, "data": [{ "id": "cus_3", "created": 1_700_000_002 }] }),
        ),
        _ => Reply::json(json!({ "object": "list", "has_more": false, "data": [
            { "id": "prod_1", "name": "Seat", "active": false, "created": 1_700_000_000, "updated": 1_700_000_003 },
        ] })),
    });
    let customer = |n: u8, name: &str| {
        json!({
            "id": format!("cus_{n}"), "type": "Customer", "name": name, "created": format!("2023-11-14T22:13:{}Z", 19 + n),
            "url": format!("https://dashboard.stripe.com/customers/cus_{n}"),
        })
    };
    check(
        &run,
        &[
            "GET /v1/customers?limit=100",
            "GET /v1/customers?limit=100&starting_after=cus_2",
            "GET /v1/products?limit=100",
        ],
        json!([
            customer(1, "Mira Okafor"),
            customer(2, "ops@northquay.test"),
            customer(3, "cus_3"),
            {
                "id": "prod_1", "type": "Product", "name": "Seat", "created": "2023-11-14T22:13:20Z",
                "modified": "2023-11-14T22:13:23Z", "url": "https://dashboard.stripe.com/products/prod_1", "visibility": false,
            },
        ]),
    );
}

/// The first text under the name `content`, as the original looks for it: a table's own first, then its members in order.
fn first_content(value: &Value) -> Option<&str> {
    match value {
        Value::Object(members) => match members.get("content") {
            Some(content) => content.as_str(),
            None => members.values().find_map(first_content),
        },
        Value::Array(members) => members.iter().filter(|member| member.is_object()).find_map(first_content),
        _ => None,
    }
}

fn original_name(result: &Value) -> String {
    let content = result.get("properties").and_then(first_content).or_else(|| first_content(result));
    format!("{} {}", result["object"].as_str().expect("text"), content.unwrap_or("multi_select"))
}

static NOTION_COMPAT: LazyLock<(Arc<Plan>, Options)> = LazyLock::new(|| shipped("notion-compat"));

fn names_of(results: &Value) -> Vec<String> {
    let (plan, options) = &*NOTION_COMPAT;
    let run = run(plan, options.clone(), |_| {
        Reply::json(json!({ "results": results, "next_cursor": "x", "has_more": true }))
    });
    assert_eq!(run.requests, ["POST /v1/search"], "one page, without a body");
    run.items.into_iter().map(|item| item.name.expect("a name")).collect()
}

#[test]
fn notion_compat() {
    let sample = |name: &str| -> Value {
        let path = format!("{}/tests/it/items/samples/notion.{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice(&std::fs::read(path).expect("a sample")).expect("JSON")
    };
    let mut results = sample("search.1")["results"].as_array().expect("a list").clone();
    results.extend(sample("search.2")["results"].as_array().expect("a list").clone());
    results.push(sample("database_2022"));
    let names = names_of(&results.clone().into());
    assert_eq!(
        names,
        [
            "page Team ",
            "page ask legal",
            "data_source Tasks",
            "page multi_select",
            "page multi_select",
            "page multi_select",
            "page multi_select",
            "database Tasks",
        ]
    );
    assert_eq!(names, results.iter().map(original_name).collect::<Vec<_>>());
    let (plan, options) = &*NOTION_COMPAT;
    let run = run(plan, options.clone(), |_| Reply::sample("notion.search.1"));
    assert_eq!(
        said(&run.items[1]),
        json!({
            "id": "11111111-aaaa-4aaa-8aaa-000000000002", "type": "page", "name": "page ask legal",
            "parent": "22222222-bbbb-4bbb-8bbb-000000000001", "created": "2026-02-11T09:30:00.000Z",
            "modified": "2026-11-19T16:40:00.000Z",
        })
    );
}

#[test]
fn airtable_compat() {
    let run = walk("airtable-compat", json!({}), |request| airtable_answers(&request.path_and_query));
    let base = |n: u8, name: &str| json!({ "id": format!("appA1fakeBase000{n}_Base"), "type": "Base", "name": name });
    let table = |n: u8, name: &str, base: u8, base_name: &str| {
        json!({
            "id": format!("tblA1fakeTab0000{n}_Table"), "type": "Table", "path": base_name,
            "parent": format!("appA1fakeBase000{base}_Base"), "name": name,
        })
    };
    let found: Value = run.items.iter().map(said).collect();
    assert_eq!(
        found,
        json!([
            base(1, "Launch planning"),
            table(1, "Milestones", 1, "Launch planning"),
            table(2, "People", 1, "Launch planning"),
            base(2, "Vendors"),
            table(3, "Vendors", 2, "Vendors"),
            base(3, "Board deck"),
        ])
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn notion_compat_is_the_original_algorithm(properties in tree(), beside in tree()) {
        let result = json!({ "object": "page", "id": "x", "a": beside, "properties": properties, "title": beside });
        prop_assert_eq!(names_of(&json!([result])), [original_name(&result)]);
    }
}

/// Tables and lists of tables with some `content` in them, which is text wherever it stands. Notion has no lists of lists,
/// into which the original does not look.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof!["[a-z]{1,3}".prop_map(|text| json!({ "content": text })), Just(json!({ "b": 1 }))];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from);
        prop::collection::vec(("[zab]{1,2}", prop_oneof![inner, list]), 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    })
}
