//! The vendors' APIs: their own SDKs read their lists whole, as the items that the other tests expect; they refuse what
//! the vendors refuse; and what is ordered to break, breaks.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::loading::expected;
use crate::support::{Answer, AuthorizationServer, Process, Request, Vendors, peers, plain_client};

const TOKEN: &str = "a-token";

#[tokio::test]
async fn the_sdks_read_the_lists_as_they_are_expected() {
    let vendors = vendors().await;
    assert_eq!(printed("node", "notion.mjs", &vendors, &[]).await, expected::notion());
    assert_eq!(printed("node", "hubspot.mjs", &vendors, &["48213377"]).await, expected::hubspot()[..3]);
    let python = peers(".venv/bin/python");
    let python = python.to_str().expect("a path of the repository");
    assert_eq!(printed(python, "notion_client_sdk.py", &vendors, &[]).await, expected::notion());
    assert!(vendors.take().await.iter().all(|request| request.status == Some(200)));

    // And as long a list as one likes: two full pages and one that is not.
    vendors.change(json!({ "synthetic": { "records": 250 } })).await;
    for script in ["notion.mjs", "hubspot.mjs"] {
        let items = printed("node", script, &vendors, &["48213377"]).await;
        let ids: std::collections::BTreeSet<String> = items.iter().map(|item| item["id"].to_string()).collect();
        assert_eq!((items.len(), ids.len()), (250, 250), "{script}");
        assert_eq!(vendors.take().await.len(), 3, "{script}");
    }
}

#[tokio::test]
async fn what_the_vendors_refuse_is_refused() {
    let vendors = vendors().await;
    let json_body = [("notion-version", "2026-03-11"), ("content-type", "application/json")];
    let search = |body: &'static str| ("POST", "/v1/search", &json_body[..], body);
    for ((method, target, headers, body), status) in [
        (("POST", "/v1/search", &[][..], ""), 400),
        (("POST", "/v1/search", &[("notion-version", "2026-03-11")][..], "{}"), 400),
        (search("{}"), 200),
        (search("{\"start_cursor\":\"11111111-aaaa-4aaa-8aaa-000000000003\"}"), 200),
        (search("{\"start_cursor\":\"\"}"), 400),
        (search("{\"start_cursor\":null}"), 400),
        (search("{\"start_cursor\":\"elsewhere\"}"), 400),
        (search("{\"page_size\":101}"), 400),
        (search("{\"page_size\":\"100\"}"), 400),
        (search("{\"after\":\"x\"}"), 400),
        (("POST", "/v1/search?start_cursor=x", &json_body[..], "{}"), 400),
        (("GET", "/crm/v3/objects/contacts?limit=100", &[][..], ""), 200),
        (("GET", "/crm/v3/objects/contacts?limit=101", &[][..], ""), 400),
        (("GET", "/crm/v3/objects/contacts?after=", &[][..], ""), 400),
        (("GET", "/crm/v3/objects/deals?after=NzcwMDI%3D", &[][..], ""), 400),
        (("GET", "/crm/v3/objects/deals?after=NzcwMDI%253D", &[][..], ""), 200),
        (("GET", "/crm/v3/objects/deals?after=NzcwMDI%25253D", &[][..], ""), 400),
        (("GET", "/v0/meta/bases?offset=", &[][..], ""), 422),
        (("GET", "/v0/meta/bases?pageSize=100", &[][..], ""), 422),
        (("GET", "/v0/meta/bases?offset=itrFakeOffset1%2FappA1fakeBase0002", &[][..], ""), 200),
        (("GET", "/v0/meta/bases/appA1fakeBase0003/tables", &[][..], ""), 403),
        (("GET", "/v0/meta/bases/appUnknown/tables", &[][..], ""), 404),
        (("GET", "/user/repos", &[][..], ""), 403),
        (("GET", "/user/repos?per_page=100", &[("user-agent", "x")][..], ""), 200),
        (("GET", "/v1/customers?starting_after=cus_X", &[][..], ""), 400),
        (("GET", "/nobody", &[][..], ""), 404),
    ] {
        let answer = ask(&vendors, method, target, headers, body).await;
        assert_eq!(answer.status, status, "{method} {target} {body}: {}", answer.describe());
    }
}

#[tokio::test]
async fn a_token_is_over_here_when_it_is_over_there() {
    let server = AuthorizationServer::start().await;
    let vendors = Vendors::start(&server).await;
    for (target, status) in
        [("/crm/v3/objects/contacts", 401), ("/v0/meta/bases", 401), ("/api/conversations.list", 200)]
    {
        let answer = ask(&vendors, "GET", target, &[], "").await;
        assert_eq!(answer.status, status, "{target}: {}", answer.describe());
        assert!(answer.text().to_lowercase().contains("auth"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_is_ordered_to_break_breaks() {
    let vendors = vendors().await;
    let get = || ask(&vendors, "GET", "/v0/meta/bases", &[], "");
    vendors
        .fault(json!({ "match": "bases", "mode": "answer", "status": 429, "headers": { "retry-after": "7" } }))
        .await;
    let busy = get().await;
    assert_eq!((busy.status, busy.header("retry-after"), busy.body.len()), (429, Some("7"), 0));
    assert_eq!(get().await.status, 200, "once");

    vendors
        .fault(
            json!({ "match": "GET /v0", "skip": 1, "mode": "patch", "patch": { "offset": null, "more": { "a": 1 } } }),
        )
        .await;
    assert_eq!(get().await.json()["offset"], "itrFakeOffset1/appA1fakeBase0002");
    let patched = get().await.json();
    assert_eq!((patched.get("offset"), &patched["more"]["a"]), (None, &1.into()));

    vendors.fault(json!({ "mode": "truncated" })).await;
    let cut = get().await;
    assert!(cut.status == 200 && serde_json::from_slice::<Value>(&cut.body).is_err(), "{}", cut.describe());
    vendors.fault(json!({ "mode": "slow", "ms": 1 })).await;
    assert_eq!(get().await.json()["bases"][0]["id"], "appA1fakeBase0001");
    for mode in ["cut", "cut_body"] {
        vendors.fault(json!({ "mode": mode, "times": null })).await;
        let request = Request::new(&plain_client(), "GET", &format!("{}/v0/meta/bases", vendors.url()));
        request.header("authorization", "Bearer a-token").attempt().await.expect_err(mode);
        vendors.clear_faults().await;
    }
    assert_eq!(get().await.status, 200);
}

async fn vendors() -> Vendors {
    Vendors::configured(json!({ "tokens": [TOKEN] })).await
}

async fn ask(vendors: &Vendors, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::new(&plain_client(), method, &format!("{}{target}", vendors.url()));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.header("authorization", &format!("Bearer {TOKEN}")).body(body).send().await
}

/// What a script of `tests/peers/sdk/items` prints.
async fn printed(interpreter: &str, script: &str, vendors: &Vendors, more: &[&str]) -> Vec<Value> {
    let mut command = Command::new(interpreter);
    command.arg(peers("sdk/items").join(script)).args([vendors.url(), TOKEN]).args(more);
    let mut process = Process::start(script, command);
    process.close_stdin();
    let status = process.wait(Duration::from_secs(60)).await;
    assert!(status.success(), "{script}: {}", process.stderr());
    process.stdout().lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}
