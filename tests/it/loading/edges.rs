//! The edges of a list: cursors that end it and cursors that do not, pages that are told to be not everything, records
//! that are not as they should be, and pages that lie elsewhere.

use serde_json::{Value, json};

use super::expected::{self, page};
use super::scene::{Integration, Scene};
use crate::support::{Recorder, Vendors};

const SEARCH: &str = "POST /v1/search";

#[tokio::test]
async fn what_ends_a_list() {
    let scene = Scene::new(&[Integration::notion()]).await;
    let first_page = &expected::notion()[..3];
    for ending in [
        json!({ "next_cursor": null }),
        json!({ "next_cursor": "" }),
        json!({ "has_more": false }),
        json!({ "has_more": null, "next_cursor": null }),
    ] {
        patch(&scene.vendors, SEARCH, 1, &ending).await;
        let list = scene.lines("notion", &[]).await;
        assert_eq!((list.items.as_slice(), list.codes().len(), list.next), (first_page, 0, None), "{ending}");
        assert_eq!(scene.vendors.take().await.len(), 1, "{ending}");
        scene.vendors.clear_faults().await;
    }
}

#[tokio::test]
async fn a_cursor_that_comes_twice_ends_a_list_and_is_told() {
    let scene = Scene::new(&[Integration::notion()]).await;
    // Each page says of itself that it comes next.
    patch(&scene.vendors, SEARCH, 100, &json!({ "next_cursor": page(3), "has_more": true })).await;
    let list = scene.lines("notion", &[]).await;
    assert_eq!((list.items, list.next), (expected::notion(), None));
    assert_eq!(list.problems.len(), 1, "{:?}", list.problems);
    assert_problem(&list.problems[0], "search", "cursor_repeated");
    assert_eq!(scene.vendors.take().await.len(), 2);
    let loaded = scene.load("notion").await.expect(200);
    assert_eq!(loaded.header("keyferry-problems"), Some("1"));
}

#[tokio::test]
async fn a_list_that_the_vendor_cuts_short_is_told_to_be() {
    let scene = Scene::new(&[Integration::notion()]).await;
    let cut = json!({ "request_status": { "type": "incomplete", "incomplete_reason": "query_result_limit_reached" } });
    let fault = json!({ "match": SEARCH, "skip": 1, "mode": "patch", "patch": cut });
    scene.vendors.fault(fault).await;
    let list = scene.lines("notion", &[]).await;
    assert_eq!((list.items.clone(), list.codes()), (expected::notion(), vec!["incomplete"]));
    assert_problem(&list.problems[0], "search", "incomplete");
}

#[tokio::test]
async fn no_list_is_longer_than_its_file_allows() {
    let streams = |max: u32| {
        format!(
            "[[items.streams]]\nname = \"search\"\nmethod = \"POST\"\nread = true\npath = \"/v1/search\"\n\
             records = \"$.results[*]\"\npage = {{ cursor = \"$.next_cursor\", into = \"body.start_cursor\", max = {max} \
             }}\nitem = {{ id = \"$.id\", type = \"$.object\" }}\n"
        )
    };
    let api = "headers = { Notion-Version = \"2026-03-11\" }";
    let scene = Scene::new(&[Integration::acme(api, &streams(1))]).await;
    let list = scene.lines("acme", &[]).await;
    assert_eq!((list.items.len(), list.codes()), (3, vec!["too_many_pages"]));
    assert_problem(&list.problems[0], "search", "too_many_pages");
    assert_eq!(scene.vendors.take().await.len(), 1);

    // Exactly as many as there are is not too many.
    let scene = Scene::new(&[Integration::acme(api, &streams(2))]).await;
    let list = scene.lines("acme", &[]).await;
    assert_eq!((list.items.len(), list.codes().len()), (7, 0));
}

#[tokio::test]
async fn records_and_fields_that_are_not_as_they_should_be() {
    let scene = Scene::new(&[Integration::notion()]).await;
    let record = |id: Value, time: Value, title: Value| {
        json!({
            "object": "page", "id": id, "created_time": time, "last_edited_time": "2026-01-01T00:00:00.000Z",
            "in_trash": false, "url": null, "parent": { "type": "workspace", "workspace": true },
            "properties": { "Name": { "type": "title", "title": title } },
        })
    };
    let good = || record("one".into(), "2026-01-01T00:00:00.000Z".into(), json!([{ "plain_text": "One" }]));
    let answer = |results: Value| json!({ "results": results, "next_cursor": null, "has_more": false });

    // Without an id there is no item.
    let nameless = [
        json!({ "object": "page" }),
        record(Value::Null, Value::Null, json!([])),
        record("".into(), Value::Null, json!([])),
    ];
    let mut results = vec![good()];
    results.extend(nameless.clone());
    patch(&scene.vendors, SEARCH, 1, &answer(results.into())).await;
    let list = scene.lines("notion", &[]).await;
    assert_eq!((list.ids(), list.codes()), (vec!["one"], vec!["records_dropped"]));
    assert_eq!(list.problems[0]["count"], nameless.len(), "{:?}", list.problems);
    assert_problem(&list.problems[0], "search", "records_dropped");

    // A time that is none, and an answer of which nothing else is known.
    let odd = record("two".into(), "yesterday".into(), json!([{ "plain_text": "Two" }]));
    let odder = record("three".into(), json!({ "at": 1 }), json!([]));
    patch(&scene.vendors, SEARCH, 1, &answer(json!([good(), odd, odder]))).await;
    let list = scene.lines("notion", &[]).await;
    assert_eq!((list.ids(), list.codes()), (vec!["one", "two", "three"], vec!["fields_dropped"]));
    assert_eq!(list.problems[0]["count"], 2, "{:?}", list.problems);
    assert_eq!((&list.items[1]["name"], &list.items[1]["creation_time"]), (&"Two".into(), &Value::Null));
    assert_eq!(list.items[2]["last_modified_time"], "2026-01-01T00:00:00.000Z");

    // Not one of these is a failure: a load gives them out and counts.
    patch(&scene.vendors, SEARCH, 1, &answer(json!([{ "object": "page" }]))).await;
    let loaded = scene.load("notion").await.expect(200);
    assert_eq!((loaded.text().as_str(), loaded.header("keyferry-problems")), ("[]", Some("1")));
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_asked_for() {
    let streams = "[[items.streams]]\nname = \"children\"\npath = \"/v1.0/me/drive/root/children\"\nrecords = \
                   \"$.value[*]\"\npage = { type = \"next_url\", cursor = \"$['@odata.nextLink']\" }\nitem = { id = \
                   \"$.id\", name = \"$.name\" }\n";
    let scene = Scene::new(&[Integration::acme("", streams)]).await;
    let elsewhere = Recorder::start().await;
    let (port, own) = (elsewhere.url().rsplit(':').next().expect("a port").to_owned(), scene.vendors.url().to_owned());
    let own_port = own.rsplit(':').next().expect("a port").to_owned();
    let path = "/v1.0/me/drive/root/children?$skiptoken=page%2Btwo%3D%3D";
    for target in [
        format!("{}{path}", elsewhere.url()),
        format!("//127.0.0.1:{port}{path}"),
        format!("http://127.0.0.1:{own_port}@127.0.0.1:{port}{path}"),
        format!("http://localhost:{own_port}{path}"),
        format!("https://127.0.0.1:{own_port}{path}"),
        format!("ftp://127.0.0.1:{own_port}{path}"),
        "http://".to_owned(),
    ] {
        patch(&scene.vendors, "GET /v1.0", 1, &json!({ "@odata.nextLink": target })).await;
        let list = scene.lines("acme", &[]).await;
        assert_eq!((list.ids(), list.codes()), (vec!["01FOLDER"], vec!["foreign_page"]), "{target}");
        assert_problem(&list.problems[0], "children", "foreign_page");
        assert_eq!(scene.vendors.take().await.len(), 1, "{target}");
        assert_eq!(elsewhere.take().await, [], "{target}");
    }

    // To a URL parser a backslash is a slash: what it leads to is a page of this host, and there is none.
    let backslash = format!("http://127.0.0.1:{own_port}\\@127.0.0.1:{port}{path}");
    patch(&scene.vendors, "GET /v1.0", 1, &json!({ "@odata.nextLink": backslash })).await;
    assert_eq!(scene.lines("acme", &[]).await.ids(), ["01FOLDER"]);
    assert_eq!(elsewhere.take().await, []);
    scene.vendors.take().await;

    // A path alone, and this host in full, are pages of this list.
    for target in [path.to_owned(), format!("{own}{path}")] {
        patch(&scene.vendors, "GET /v1.0", 1, &json!({ "@odata.nextLink": target })).await;
        let list = scene.lines("acme", &[]).await;
        assert_eq!((list.items.len(), list.codes().len()), (3, 0), "{target}: {:?}", list.problems);
    }
}

/// The next `times` answers get this merged into their JSON.
async fn patch(vendors: &Vendors, target: &str, times: u32, change: &Value) {
    vendors.fault(json!({ "match": target, "times": times, "mode": "patch", "patch": change })).await;
}

/// A problem has every field, and a sentence for a person.
#[track_caller]
pub(super) fn assert_problem(problem: &Value, stream: &str, code: &str) {
    assert_eq!((&problem["stream"], &problem["code"]), (&stream.into(), &code.into()), "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_else(|| panic!("no detail: {problem}"));
    assert!(detail.len() > 10 && detail.ends_with('.'), "not a sentence: {detail}");
    for field in ["status", "retry_after", "count"] {
        assert!(problem.get(field).is_some(), "no {field}: {problem}");
    }
}
