//! Eight more vendors by their shipped files, each with a way of paging, of refusing or of saying "no more" of its own.

use serde_json::{Value, json};

use super::edges::assert_problem;
use super::expected::item;
use super::scene::{Integration, Scene, now};

#[tokio::test]
async fn google_drive_gives_the_fields_that_are_asked_for() {
    let scene = Scene::new(&[Integration::shipped("drive", "google-drive", "").api("")]).await;
    let list = scene.lines("drive", &[]).await;
    let expected = [
        item(json!({
            "id": "1FolderPlans", "type": "Folder", "directory": true, "name": "Plans", "parent_id": "0ARootOfAda",
            "mime_type": "application/vnd.google-apps.folder", "creation_time": "2026-02-01T08:00:00.000Z",
            "last_modified_time": "2026-11-02T09:30:00.000Z",
            "url": "https://drive.google.com/drive/folders/1FolderPlans",
        })),
        item(json!({
            "id": "1SheetBudget", "type": "File", "name": "Budget 2027", "parent_id": "1FolderPlans",
            "mime_type": "application/vnd.google-apps.spreadsheet", "creation_time": "2026-03-01T08:00:00.000Z",
            "last_modified_time": "2026-11-03T09:30:00.000Z",
            "url": "https://docs.google.com/spreadsheets/d/1SheetBudget/edit",
        })),
        item(json!({
            "id": "1TeamPdf", "type": "File", "name": "Lease.pdf", "parent_id": "0ATeamDrive",
            "mime_type": "application/pdf", "drive_id": "0ATeamDrive", "creation_time": "2026-04-01T08:00:00.000Z",
            "last_modified_time": "2026-04-01T08:00:00.000Z", "url": "https://drive.google.com/file/d/1TeamPdf/view",
        })),
    ];
    whole(&list.items, &list.problems, &expected);
    assert_eq!(scene.lines("drive", &[("type", "Folder")]).await.items, expected[..1]);
}

#[tokio::test]
async fn github_leads_on_in_a_header_and_refuses_when_it_is_busy() {
    let scene = Scene::new(&[Integration::shipped("github", "github", "").api("")]).await;
    let expected = [
        repository(811, "brightfield/site", "2025-01-02T03:04:05Z", "2026-11-01T00:00:00Z"),
        repository(812, "brightfield/ledger", "2025-02-02T03:04:05Z", "2026-10-01T00:00:00Z"),
        repository(813, "ada/notes", "2025-03-02T03:04:05Z", "2026-09-01T00:00:00Z"),
    ];
    let list = scene.lines("github", &[]).await;
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
    let list = scene.lines("github", &[]).await;
    whole(&list.items, &list.problems, &expected);
    assert_eq!(scene.vendors.take().await.len(), 3);

    // Forbidden, and not for being busy.
    let forbidden = json!({
        "match": "page=2", "mode": "answer", "status": 403, "headers": { "x-ratelimit-remaining": "41" },
    });
    scene.vendors.fault(forbidden).await;
    let list = scene.lines("github", &[]).await;
    assert_eq!((list.items.len(), list.codes()), (2, vec!["upstream_refused"]));

    // Busy for an hour: told, with what was read, and nobody asks again.
    scene.vendors.fault(busy(now + 3600)).await;
    let list = scene.lines("github", &[]).await;
    assert_eq!((list.items.as_slice(), list.codes()), (&expected[..2], vec!["rate_limited"]));
    assert!(list.problems[0]["retry_after"].as_u64().is_some_and(|wait| wait > 3000), "{:?}", list.problems);
    scene.vendors.take().await;
    scene.get("github", &[], "*/*").await.expect_problem(429, "rate_limited");
    assert_eq!(scene.vendors.take().await, []);
}

#[tokio::test]
async fn onedrive_gives_whole_urls_and_what_changed_since() {
    let scene = Scene::new(&[Integration::shipped("onedrive", "onedrive", "/v1.0").api("")]).await;
    let list = scene.lines("onedrive", &[]).await;
    let expected = [
        item(json!({
            "id": "01FOLDER", "type": "DriveItem", "directory": true, "name": "Reports", "parent_id": "01ROOT",
            "parent_path_or_name": "/drive/root:", "drive_id": "b!drive0001",
            "creation_time": "2026-01-01T00:00:00Z", "last_modified_time": "2026-05-01T00:00:00Z",
            "url": "https://onedrive.example/Reports",
        })),
        item(json!({
            "id": "01FILE", "type": "DriveItem", "name": "Q3.docx", "parent_id": "01FOLDER",
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
    let first = scene.document("onedrive", &[("limit", "1")]).await;
    let rest = scene.lines("onedrive", &[("cursor", &first.next.expect("one more"))]).await;
    assert_eq!(rest.items, expected[1..]);
}

#[tokio::test]
async fn slack_ends_with_an_empty_cursor_and_refuses_with_200() {
    let scene = Scene::new(&[Integration::shipped("slack", "slack", "/api").api("")]).await;
    let channel = |id: &str, name: &str, created: &str, updated: &str| {
        let url = format!("https://app.slack.com/client/T0FIELD/{id}");
        item(json!({
            "id": id, "type": "Channel", "name": name, "creation_time": created, "last_modified_time": updated,
            "url": url,
        }))
    };
    let expected = [
        channel("C01GENERAL", "general", "2025-10-09T08:53:20Z", "2025-11-13T02:13:20.123Z"),
        channel("C02LAUNCH", "launch", "2025-10-20T22:40:00Z", "2025-11-14T06:00:00.456Z"),
    ];
    let list = scene.lines("slack", &[]).await;
    whole(&list.items, &list.problems, &expected);
    assert_eq!(scene.vendors.take().await.len(), 2);

    let refusal = json!({ "match": "cursor=", "mode": "answer", "status": 200, "body": { "ok": false, "error": "missing_scope" } });
    scene.vendors.fault(refusal).await;
    let list = scene.lines("slack", &[]).await;
    assert_eq!((list.items.as_slice(), list.codes()), (&expected[..1], vec!["upstream_refused"]));
    assert_problem(&list.problems[0], "channels", "upstream_refused");
}

#[tokio::test]
async fn jira_is_asked_for_its_sites_and_each_for_its_projects() {
    let scene = Scene::new(&[Integration::shipped("jira", "jira", "").api("")]).await;
    let site = "5f0c2b9e-cloud-0001";
    let project = |id: u64, key: &str, name: &str| {
        item(json!({
            "id": format!("{site}/{id}_Project"), "type": "Project", "name": name,
            "parent_id": format!("{site}_Site"), "parent_path_or_name": "brightfield",
            "url": format!("https://brightfield.atlassian.net/browse/{key}"),
        }))
    };
    let expected = [
        item(json!({
            "id": format!("{site}_Site"), "type": "Site", "directory": true, "name": "brightfield",
            "url": "https://brightfield.atlassian.net",
        })),
        project(10000, "OPS", "Operations"),
        project(10001, "HR", "People"),
        project(10002, "LAB", "Laboratory"),
    ];
    let list = scene.lines("jira", &[]).await;
    whole(&list.items, &list.problems, &expected);
    let targets: Vec<_> = scene.vendors.take().await.into_iter().map(|request| request.target).collect();
    assert_eq!((targets.len(), targets[0].as_str()), (3, "/oauth/token/accessible-resources"), "{targets:?}");
    assert!(targets[2].contains("startAt=2"), "a page is as long as it is, not as it was wished: {targets:?}");
}

#[tokio::test]
async fn dropbox_goes_on_at_another_endpoint() {
    let scene = Scene::new(&[Integration::shipped("dropbox", "dropbox", "").api("")]).await;
    let list = scene.lines("dropbox", &[]).await;
    let expected = [
        item(json!({
            "id": "id:folder01", "type": "folder", "directory": true, "name": "Scans", "delta": "AAHcursor_01",
        })),
        item(json!({
            "id": "id:file01", "type": "file", "name": "Lease.pdf", "delta": "AAHcursor_02",
            "last_modified_time": "2026-05-02T00:00:00Z",
        })),
    ];
    whole(&list.items, &list.problems, &expected);
    let requests = scene.vendors.take().await;
    let sent: Vec<(&str, Value)> = requests
        .iter()
        .map(|request| (request.target.as_str(), serde_json::from_slice(&request.body()).expect("JSON")))
        .collect();
    assert_eq!(sent[0], ("/2/files/list_folder", json!({ "path": "", "recursive": true, "limit": 2000 })));
    assert_eq!(sent[1..], [("/2/files/list_folder/continue", json!({ "cursor": "AAHcursor_01" }))]);
}

#[tokio::test]
async fn linear_is_asked_in_graphql() {
    let scene = Scene::new(&[Integration::shipped("linear", "linear", "").api("")]).await;
    let timed = |number: u64, fields: Value| {
        let mut fields = fields;
        fields["creation_time"] = format!("2026-01-0{number}T00:00:00.000Z").into();
        fields["last_modified_time"] = format!("2026-02-0{number}T00:00:00.000Z").into();
        item(fields)
    };
    let project = |id: &str, name: &str, url: &str| json!({ "id": id, "type": "Project", "directory": true, "name": name, "url": url });
    let expected = [
        timed(3, project("prj-1", "Launch", "https://linear.app/b/project/launch")),
        timed(
            1,
            json!({
                "id": "iss-1", "type": "Issue", "name": "ENG-1 Ship it", "parent_id": "prj-1",
                "parent_path_or_name": "Launch", "url": "https://linear.app/b/issue/ENG-1",
            }),
        ),
        timed(
            2,
            json!({
                "id": "iss-2", "type": "Issue", "name": "ENG-2 Test it", "url": "https://linear.app/b/issue/ENG-2",
            }),
        ),
    ];
    let list = scene.lines("linear", &[]).await;
    whole(&list.items, &list.problems, &expected);
    let requests = scene.vendors.take().await;
    let variables: Vec<Value> = requests
        .iter()
        .map(|request| serde_json::from_slice::<Value>(&request.body()).expect("JSON")["variables"].clone())
        .collect();
    assert_eq!(
        variables,
        [json!({ "first": 100 }), json!({ "first": 100 }), json!({ "first": 100, "after": "iss-1-cursor" }),]
    );

    let refusal = json!({
        "match": "graphql", "skip": 2, "mode": "answer", "status": 200,
        "body": { "data": null, "errors": [{ "message": "no" }] },
    });
    scene.vendors.fault(refusal).await;
    let list = scene.lines("linear", &[]).await;
    assert_eq!((list.items.as_slice(), list.codes()), (&expected[..2], vec!["upstream_refused"]));
}

#[tokio::test]
async fn stripe_goes_on_after_the_last_record() {
    // Stripe knows its client by the secret alone; the authorization server of the tests wants to be told both.
    let named = "token_params = { client_id = \"{client_id}\" }\nrefresh_params = { client_id = \"{client_id}\" }";
    let stripe = Integration::shipped("stripe", "stripe", "").api("").oauth(named);
    let scene = Scene::new(&[stripe]).await;
    let customer = |id: &str, name: &str, created: &str| {
        let url = format!("https://dashboard.stripe.com/customers/{id}");
        item(json!({ "id": id, "type": "Customer", "name": name, "creation_time": created, "url": url }))
    };
    let list = scene.lines("stripe", &[]).await;
    let expected = [
        customer("cus_A", "Brightfield Ltd", "2025-10-09T08:53:20Z"),
        customer("cus_B", "jun@northquay.test", "2025-10-20T22:40:00Z"),
        customer("cus_C", "cus_C", "2025-11-01T12:26:40Z"),
        item(json!({
            "id": "prod_A", "type": "Product", "name": "Handbook", "creation_time": "2025-10-09T08:53:20Z",
            "last_modified_time": "2025-10-20T22:40:00Z", "url": "https://dashboard.stripe.com/products/prod_A",
            "visibility": false,
        })),
    ];
    whole(&list.items, &list.problems, &expected);
    let targets: Vec<_> = scene.vendors.take().await.into_iter().map(|request| request.target).collect();
    assert!(targets.len() == 3 && targets[1].contains("starting_after=cus_B"), "{targets:?}");
}

fn repository(id: u64, name: &str, created: &str, updated: &str) -> Value {
    item(json!({
        "id": format!("{id}_Repository"), "type": "Repository", "directory": true, "name": name, "parent_path_or_name": name.split('/').next(),
        "creation_time": created, "last_modified_time": updated, "url": format!("https://github.com/{name}"),
    }))
}

#[track_caller]
fn whole(items: &[Value], problems: &[Value], expected: &[Value]) {
    assert_eq!((items, problems), (expected, &[][..]));
}
