//! Eight more vendors, each with a way of paging, of refusing or of saying "no more" of its own: the words of provider
//! files reach them.

use serde_json::{Value, json};

use super::edges::assert_problem;
use super::expected::item;
use super::scene::{Integration, Scene, now};

#[tokio::test]
async fn google_drive_gives_the_fields_that_are_asked_for() {
    let streams = r#"
[[items.streams]]
name = "files"
path = "/files"
query = { fields = "nextPageToken,files(id,name,mimeType,parents,driveId,createdTime,modifiedTime,webViewLink)", q = "trashed = false" }
records = "$.files[*]"
page = { cursor = "$.nextPageToken", into = "query.pageToken", size = "query.pageSize", n = 1000 }
[items.streams.item]
id = "$.id"
type = { path = "$.mimeType", map = { "application/vnd.google-apps.folder" = "folder" }, default = "file" }
directory = { path = "$.mimeType", map = { "application/vnd.google-apps.folder" = true }, default = false }
name = "$.name"
parent_id = "$.parents[0]"
mime_type = "$.mimeType"
drive_id = "$.driveId"
creation_time = "$.createdTime"
last_modified_time = "$.modifiedTime"
url = "$.webViewLink"
"#;
    let scene = Scene::new(&[Integration::acme("", streams).below("/drive/v3")]).await;
    let list = scene.lines("acme", &[]).await;
    let expected = [
        item(json!({
            "id": "1FolderPlans", "type": "folder", "directory": true, "name": "Plans", "parent_id": "0ARootOfAda",
            "mime_type": "application/vnd.google-apps.folder", "creation_time": "2026-02-01T08:00:00.000Z",
            "last_modified_time": "2026-11-02T09:30:00.000Z",
            "url": "https://drive.google.com/drive/folders/1FolderPlans",
        })),
        item(json!({
            "id": "1SheetBudget", "type": "file", "name": "Budget 2027", "parent_id": "1FolderPlans",
            "mime_type": "application/vnd.google-apps.spreadsheet", "creation_time": "2026-03-01T08:00:00.000Z",
            "last_modified_time": "2026-11-03T09:30:00.000Z",
            "url": "https://docs.google.com/spreadsheets/d/1SheetBudget/edit",
        })),
        item(json!({
            "id": "1TeamPdf", "type": "file", "name": "Lease.pdf", "parent_id": "0ATeamDrive",
            "mime_type": "application/pdf", "drive_id": "0ATeamDrive", "creation_time": "2026-04-01T08:00:00.000Z",
            "last_modified_time": "2026-04-01T08:00:00.000Z", "url": "https://drive.google.com/file/d/1TeamPdf/view",
        })),
    ];
    whole(&list.items, &list.problems, &expected);
    assert_eq!(scene.lines("acme", &[("type", "folder")]).await.items, expected[..1]);
}

#[tokio::test]
async fn github_leads_on_in_a_header_and_refuses_when_it_is_busy() {
    let streams = r#"
[[items.streams]]
name = "repositories"
path = "/user/repos"
records = "$[*]"
page = { type = "link", size = "query.per_page", n = 100 }
[items.streams.item]
id = "$.id"
type = "Repository"
name = "$.full_name"
parent_path_or_name = "$.owner.login"
creation_time = "$.created_at"
last_modified_time = "$.updated_at"
url = "$.html_url"
visibility = { path = "$.archived", map = { true = false }, default = true }
"#;
    let busy_is_403 = "retry = { wait = [\"header:retry-after\", \"reset:x-ratelimit-reset\"], when = [{ status = 403, \
                       header = \"x-ratelimit-remaining\", equals = \"0\" }] }";
    let scene = Scene::new(&[Integration::acme(busy_is_403, streams)]).await;
    let expected = [
        repository(811, "brightfield/site", "2025-01-02T03:04:05Z", "2026-11-01T00:00:00Z", true),
        repository(812, "brightfield/ledger", "2025-02-02T03:04:05Z", "2026-10-01T00:00:00Z", true),
        repository(813, "ada/notes", "2025-03-02T03:04:05Z", "2026-09-01T00:00:00Z", false),
    ];
    let list = scene.lines("acme", &[]).await;
    whole(&list.items, &list.problems, &expected);
    assert_eq!(scene.vendors.take().await.len(), 2);

    // Busy until the moment that the header names: waited for.
    let now = now();
    let busy = |until: u64| {
        json!({
            "match": "page=2", "mode": "answer", "status": 403, "body": { "message": "API rate limit exceeded" },
            "headers": { "x-ratelimit-remaining": "0", "x-ratelimit-reset": until.to_string() },
        })
    };
    scene.vendors.fault(busy(now + 1)).await;
    let list = scene.lines("acme", &[]).await;
    whole(&list.items, &list.problems, &expected);
    assert_eq!(scene.vendors.take().await.len(), 3);

    // Busy for an hour: told, with what was read.
    scene.vendors.fault(busy(now + 3600)).await;
    let list = scene.lines("acme", &[]).await;
    assert_eq!((list.items.as_slice(), list.codes()), (&expected[..2], vec!["rate_limited"]));
    assert!(list.problems[0]["retry_after"].as_u64().is_some_and(|wait| wait > 3000), "{:?}", list.problems);

    // Forbidden, and not for being busy.
    let forbidden = json!({
        "match": "page=2", "mode": "answer", "status": 403, "headers": { "x-ratelimit-remaining": "41" },
    });
    scene.vendors.fault(forbidden).await;
    let list = scene.lines("acme", &[]).await;
    assert_eq!((list.items.len(), list.codes()), (2, vec!["upstream_refused"]));
}

#[tokio::test]
async fn onedrive_gives_whole_urls_and_what_changed_since() {
    let streams = r#"
[[items.streams]]
name = "files"
path = "/me/drive/root/delta"
records = "$.value[?!@.deleted]"
page = { type = "next_url", cursor = "$['@odata.nextLink']" }
[items.streams.item]
id = "$.id"
type = "driveItem"
directory = { exists = "$.folder" }
name = "$.name"
parent_id = "$.parentReference.id"
parent_path_or_name = "$.parentReference.path"
drive_id = "$.parentReference.driveId"
mime_type = "$.file.mimeType"
creation_time = "$.createdDateTime"
last_modified_time = "$.lastModifiedDateTime"
url = "$.webUrl"
delta = "$page['@odata.deltaLink']"
"#;
    let scene = Scene::new(&[Integration::acme("", streams).below("/v1.0")]).await;
    let list = scene.lines("acme", &[]).await;
    let expected = [
        item(json!({
            "id": "01FOLDER", "type": "driveItem", "directory": true, "name": "Reports", "parent_id": "01ROOT",
            "parent_path_or_name": "/drive/root:", "drive_id": "b!drive0001",
            "creation_time": "2026-01-01T00:00:00Z", "last_modified_time": "2026-05-01T00:00:00Z",
            "url": "https://onedrive.example/Reports",
        })),
        item(json!({
            "id": "01FILE", "type": "driveItem", "name": "Q3.docx", "parent_id": "01FOLDER",
            "parent_path_or_name": "/drive/root:/Reports", "drive_id": "b!drive0001",
            "mime_type": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "creation_time": "2026-01-02T00:00:00Z", "last_modified_time": "2026-05-02T00:00:00Z",
            "url": "https://onedrive.example/Reports/Q3.docx",
            "delta": format!("{}/v1.0/me/drive/root/delta?token=delta-0001", scene.vendors.url()),
        })),
    ];
    whole(&list.items, &list.problems, &expected);
    let targets: Vec<_> = scene.vendors.take().await.into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/v1.0/me/drive/root/delta", "/v1.0/me/drive/root/delta?$skiptoken=page%2Btwo%3D%3D"]);
    let first = scene.document("acme", &[("limit", "1")]).await;
    let rest = scene.lines("acme", &[("cursor", &first.next.expect("one more"))]).await;
    assert_eq!(rest.items, expected[1..]);
}

#[tokio::test]
async fn slack_ends_with_an_empty_cursor_and_refuses_with_200() {
    let streams = r##"
[[items.streams]]
name = "channels"
path = "/conversations.list"
query = { types = "public_channel,private_channel" }
records = "$.channels[*]"
page = { cursor = "$.response_metadata.next_cursor", into = "query.cursor", size = "query.limit", n = 200 }
[items.streams.item]
id = "$.id"
type = "Channel"
name = "#{$.name}"
creation_time = { path = "$.created", format = "unix_s" }
last_modified_time = { path = "$.updated", format = "unix_ms" }
"##;
    let scene = Scene::new(&[Integration::acme("ok_path = \"$.ok\"", streams).below("/api")]).await;
    let channel = |id: &str, name: &str, created: &str, updated: &str| {
        item(json!({
            "id": id, "type": "Channel", "name": name, "creation_time": created, "last_modified_time": updated,
        }))
    };
    let expected = [
        channel("C01GENERAL", "#general", "2025-10-09T08:53:20Z", "2025-11-13T02:13:20.123Z"),
        channel("C02LAUNCH", "#launch", "2025-10-20T22:40:00Z", "2025-11-14T06:00:00.456Z"),
    ];
    let list = scene.lines("acme", &[]).await;
    whole(&list.items, &list.problems, &expected);
    assert_eq!(scene.vendors.take().await.len(), 2);

    let refusal = json!({ "match": "cursor=", "mode": "answer", "status": 200, "body": { "ok": false, "error": "missing_scope" } });
    scene.vendors.fault(refusal).await;
    let list = scene.lines("acme", &[]).await;
    assert_eq!((list.items.as_slice(), list.codes()), (&expected[..1], vec!["upstream_refused"]));
    assert_problem(&list.problems[0], "channels", "upstream_refused");
}

#[tokio::test]
async fn jira_counts_its_projects_and_leads_on_through_its_issues() {
    let streams = r#"
[[items.streams]]
name = "projects"
path = "/rest/api/3/project/search"
records = "$.values[*]"
page = { type = "offset", into = "query.startAt", size = "query.maxResults", n = 50, total = "$.total" }
item = { id = "{$.id}_Project", type = "Project", directory = true, name = "$.name" }

[[items.streams]]
name = "issues"
path = "/rest/api/3/search/jql"
query = { jql = "order by created", fields = "summary,created,updated,project,parent" }
records = "$.issues[*]"
page = { cursor = "$.nextPageToken", into = "query.nextPageToken", size = "query.maxResults", n = 100 }
[items.streams.item]
id = "$.id"
type = "Issue"
name = "{$.key} {$.fields.summary}"
parent_id = ["$.fields.parent.id", "{$.fields.project.id}_Project"]
parent_path_or_name = "$.fields.project.name"
creation_time = "$.fields.created"
last_modified_time = "$.fields.updated"
"#;
    let scene = Scene::new(&[Integration::acme("", streams).below("/ex/jira/5f0c2b9e-cloud-0001")]).await;
    let project = |id: u64, name: &str| {
        item(json!({ "id": format!("{id}_Project"), "type": "Project", "directory": true, "name": name }))
    };
    let issue = |id: &str, name: &str, parent: &str, created: &str, updated: &str| {
        item(json!({
            "id": id, "type": "Issue", "name": name, "parent_id": parent, "parent_path_or_name": "Operations",
            "creation_time": created, "last_modified_time": updated,
        }))
    };
    let list = scene.lines("acme", &[]).await;
    let expected = [
        project(10000, "Operations"),
        project(10001, "People"),
        project(10002, "Laboratory"),
        issue(
            "20000",
            "OPS-1 Move the office",
            "10000_Project",
            "2026-06-01T08:00:00.000Z",
            "2026-11-01T09:00:00.000Z",
        ),
        issue("20001", "OPS-2 Label the boxes", "20000", "2026-06-02T08:00:00.000Z", "2026-11-02T09:00:00.000Z"),
    ];
    whole(&list.items, &list.problems, &expected);
    assert_eq!(scene.vendors.take().await.len(), 4);
}

#[tokio::test]
async fn dropbox_goes_on_at_another_endpoint() {
    let streams = r#"
[[items.streams]]
name = "entries"
method = "POST"
read = true
path = "/files/list_folder"
body = { path = "", recursive = true }
records = "$.entries[?@['.tag'] != 'deleted']"
page = { cursor = "$.cursor", more = "$.has_more", into = "body.cursor", path = "/files/list_folder/continue", only = true }
[items.streams.item]
id = "$.id"
type = "$['.tag']"
directory = { path = "$['.tag']", map = { folder = true }, default = false }
name = "$.name"
parent_path_or_name = "$.path_display"
last_modified_time = "$.server_modified"
"#;
    let scene = Scene::new(&[Integration::acme("", streams).below("/2")]).await;
    let list = scene.lines("acme", &[]).await;
    let expected = [
        item(json!({
            "id": "id:folder01", "type": "folder", "directory": true, "name": "Scans", "parent_path_or_name": "/Scans",
        })),
        item(json!({
            "id": "id:file01", "type": "file", "name": "Lease.pdf", "parent_path_or_name": "/Scans/Lease.pdf",
            "last_modified_time": "2026-05-02T00:00:00Z",
        })),
    ];
    whole(&list.items, &list.problems, &expected);
    let requests = scene.vendors.take().await;
    let sent: Vec<(&str, Value)> = requests
        .iter()
        .map(|request| (request.target.as_str(), serde_json::from_slice(&request.body()).expect("JSON")))
        .collect();
    assert_eq!(sent[0], ("/2/files/list_folder", json!({ "path": "", "recursive": true })));
    assert_eq!(sent[1..], [("/2/files/list_folder/continue", json!({ "cursor": "AAHcursor_01" }))]);
}

#[tokio::test]
async fn linear_is_asked_in_graphql() {
    let streams = r#"
[[items.streams]]
name = "issues"
method = "POST"
read = true
path = "/graphql"
records = "$.data.issues.nodes[*]"
page = { cursor = "$.data.issues.pageInfo.endCursor", more = "$.data.issues.pageInfo.hasNextPage", into = "body.variables.after" }
[items.streams.body]
query = "query ($after: String, $first: Int) { issues(after: $after, first: $first) { nodes { id identifier title } pageInfo { hasNextPage endCursor } } }"
variables = { first = 50 }
[items.streams.item]
id = "$.id"
type = "Issue"
name = "{$.identifier} {$.title}"
parent_id = "$.parent.id"
parent_path_or_name = ["$.project.name", "$.team.name"]
creation_time = "$.createdAt"
last_modified_time = "$.updatedAt"
url = "$.url"
"#;
    let scene = Scene::new(&[Integration::acme("error_path = \"$.errors\"", streams)]).await;
    let issue = |number: u64, title: &str, parent: Value, place: &str| {
        item(json!({
            "id": format!("iss-{number}"), "type": "Issue", "name": format!("ENG-{number} {title}"), "parent_id": parent,
            "parent_path_or_name": place, "url": format!("https://linear.app/b/issue/ENG-{number}"),
            "creation_time": format!("2026-01-0{number}T00:00:00.000Z"),
            "last_modified_time": format!("2026-02-0{number}T00:00:00.000Z"),
        }))
    };
    let expected = [issue(1, "Ship it", Value::Null, "Launch"), issue(2, "Test it", "iss-1".into(), "Engineering")];
    let list = scene.lines("acme", &[]).await;
    whole(&list.items, &list.problems, &expected);
    let requests = scene.vendors.take().await;
    let variables: Vec<Value> = requests
        .iter()
        .map(|request| serde_json::from_slice::<Value>(&request.body()).expect("JSON")["variables"].clone())
        .collect();
    assert_eq!(variables, [json!({ "first": 50 }), json!({ "first": 50, "after": "iss-1-cursor" })]);

    let refusal = json!({
        "match": "graphql", "skip": 1, "mode": "answer", "status": 200,
        "body": { "data": null, "errors": [{ "message": "no" }] },
    });
    scene.vendors.fault(refusal).await;
    let list = scene.lines("acme", &[]).await;
    assert_eq!((list.items.as_slice(), list.codes()), (&expected[..1], vec!["upstream_refused"]));
}

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
    whole(&list.items, &list.problems, &expected);
    let targets: Vec<_> = scene.vendors.take().await.into_iter().map(|request| request.target).collect();
    assert!(targets.len() == 2 && targets[1].contains("starting_after=cus_B"), "{targets:?}");
}

fn repository(id: u64, name: &str, created: &str, updated: &str, visible: bool) -> Value {
    item(json!({
        "id": id.to_string(), "type": "Repository", "name": name, "parent_path_or_name": name.split('/').next(),
        "creation_time": created, "last_modified_time": updated, "url": format!("https://github.com/{name}"),
        "visibility": visible,
    }))
}

#[track_caller]
fn whole(items: &[Value], problems: &[Value], expected: &[Value]) {
    assert_eq!((items, problems), (expected, &[][..]));
}
