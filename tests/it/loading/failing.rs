//! Vendors that are slow, busy, broken or closed: what is waited for, what is tried again, what is skipped, and what is
//! said about the rest. Whatever was read before is kept.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::edges::assert_problem;
use super::expected;
use super::scene::{Integration, Scene, array, ids, now};

const CONTACTS: &str = "/objects/contacts";
const DEALS: &str = "/objects/deals";

/// Two more tries after a first, no wait that a test would have to sit through, and a cap of two seconds.
const QUICK: &str = "retry = { wait = [\"header:retry-after\", \"10ms\"], max = 2, cap = \"2s\" }";

#[tokio::test]
async fn every_form_of_retry_after_is_waited_for() {
    let scene = Scene::new(&[Integration::hubspot().api(QUICK)]).await;
    let now = now();
    for (value, at_least) in [
        ("1".to_owned(), Duration::from_secs(1)),
        ("0.2".to_owned(), Duration::from_millis(200)),
        ("1.0".to_owned(), Duration::from_secs(1)),
        ("0".to_owned(), Duration::ZERO),
        (http_date(now + 1), Duration::ZERO),
        (http_date(now - 3600), Duration::ZERO),
        ("soon".to_owned(), Duration::ZERO),
        ("-5".to_owned(), Duration::ZERO),
        (String::new(), Duration::ZERO),
    ] {
        let busy = json!({
            "match": CONTACTS, "mode": "answer", "status": 429, "headers": { "retry-after": value }, "body": sample("e429"),
        });
        scene.vendors.fault(busy).await;
        let began = std::time::Instant::now();
        let list = scene.lines("hubspot", &[]).await;
        assert!(began.elapsed() >= at_least, "{value:?} was not waited for");
        assert_eq!((list.items, list.problems), (expected::hubspot(), vec![]), "{value:?}");
        assert_eq!(scene.vendors.take().await.len(), 7, "{value:?}: one more than without");
    }
}

#[tokio::test]
async fn without_a_header_the_wait_is_the_file_s() {
    let scene =
        Scene::new(&[Integration::airtable().api("retry = { wait = [\"header:retry-after\", \"300ms\"] }")]).await;
    let busy = json!({ "match": "/tables", "times": 2, "mode": "answer", "status": 429, "body": { "errors": [{ "error": "RATE_LIMIT_REACHED" }] } });
    scene.vendors.fault(busy).await;
    let began = std::time::Instant::now();
    let loaded = scene.load("airtable").await.expect(200);
    assert!(began.elapsed() >= Duration::from_millis(600), "the waits were left out");
    assert_eq!(array(&loaded), expected::airtable());
}

#[tokio::test]
async fn what_asks_for_more_patience_than_the_file_has_is_told_at_once() {
    let scene = Scene::new(&[Integration::hubspot().api(QUICK)]).await;
    let busy = |target: &str| json!({ "match": target, "times": null, "mode": "answer", "status": 429, "headers": { "retry-after": "3600" } });
    // Nothing was read: that is the answer.
    scene.vendors.fault(busy("/crm/")).await;
    for answer in [scene.load("hubspot").await, scene.get("hubspot", &[], "*/*").await] {
        let patience: u64 = answer.header("retry-after").and_then(|value| value.parse().ok()).expect("Retry-After");
        assert!((3500..=3600).contains(&patience), "{patience}");
        answer.expect_problem(429, "rate_limited");
    }
    scene.vendors.clear_faults().await;
}

#[tokio::test]
async fn and_what_was_read_before_is_kept() {
    let scene = Scene::new(&[Integration::hubspot().api(QUICK)]).await;
    let busy =
        json!({ "match": DEALS, "times": null, "mode": "answer", "status": 429, "headers": { "retry-after": "3600" } });
    scene.vendors.fault(busy).await;
    let list = scene.lines("hubspot", &[]).await;
    assert_eq!((list.items.as_slice(), list.codes()), (&expected::hubspot()[..5], vec!["rate_limited"]));
    assert_problem(&list.problems[0], "deals", "rate_limited");
    assert_eq!(list.problems[0]["status"], 429);
    assert!(list.problems[0]["retry_after"].as_u64().is_some_and(|wait| (3500..=3600).contains(&wait)));
}

#[tokio::test]
async fn a_failure_that_passes_is_not_seen() {
    let scene = Scene::new(&[Integration::hubspot().api(QUICK)]).await;
    for fault in [
        json!({ "mode": "answer", "status": 502, "headers": { "content-type": "text/html" }, "body": "<h1>Bad gateway</h1>" }),
        json!({ "mode": "answer", "status": 503, "body": "" }),
        json!({ "mode": "answer", "status": 504, "body": { "errors": ["late"] } }),
        json!({ "mode": "cut" }),
        json!({ "mode": "cut_body" }),
        json!({ "mode": "slow", "ms": 20 }),
    ] {
        for target in [CONTACTS, DEALS] {
            let mut fault = fault.clone();
            fault["match"] = target.into();
            // The second page, once: the client of the calls may try a connection that was cut again by itself.
            fault["skip"] = 1.into();
            scene.vendors.fault(fault).await;
        }
        let loaded = scene.load("hubspot").await.expect(200);
        assert_eq!(array(&loaded), expected::hubspot(), "{fault}");
        assert_eq!(loaded.header("keyferry-problems"), Some("0"), "{fault}");
    }
}

#[tokio::test]
async fn a_failure_that_stays_is_told_with_what_was_read() {
    let scene = Scene::new(&[Integration::hubspot().api(QUICK)]).await;
    for (fault, code, status) in [
        (json!({ "mode": "answer", "status": 503, "body": "" }), None, Some(503)),
        (json!({ "mode": "cut" }), Some("upstream_unreachable"), None),
        (json!({ "mode": "cut_body" }), Some("upstream_unreachable"), None),
        (json!({ "mode": "truncated" }), Some("unreadable"), Some(200)),
        (json!({ "mode": "answer", "status": 200, "body": "<html>Sign in</html>" }), Some("unreadable"), Some(200)),
        (json!({ "mode": "answer", "status": 200, "body": "" }), Some("unreadable"), Some(200)),
        (json!({ "mode": "answer", "status": 403, "body": sample("e403") }), Some("upstream_refused"), Some(403)),
        (
            json!({ "mode": "answer", "status": 404, "body": { "error": "NOT_FOUND" } }),
            Some("upstream_refused"),
            Some(404),
        ),
        (
            json!({ "mode": "answer", "status": 400, "body": { "errors": [{ "message": "no" }] } }),
            Some("upstream_refused"),
            Some(400),
        ),
        (json!({ "mode": "answer", "status": 418, "body": "short and stout" }), Some("upstream_refused"), Some(418)),
    ] {
        let mut fault = fault.clone();
        fault["match"] = "objects/deals.*after=".into();
        fault["times"] = Value::Null;
        scene.vendors.fault(fault.clone()).await;
        let list = scene.lines("hubspot", &[]).await;
        assert_eq!(list.items, expected::hubspot()[..6], "{fault}");
        assert_eq!(list.problems.len(), 1, "{fault}: {:?}", list.problems);
        let problem = &list.problems[0];
        assert_problem(problem, "deals", code.unwrap_or_else(|| problem["code"].as_str().expect("a code")));
        assert_eq!(problem["status"], status.map_or(Value::Null, Value::from), "{fault}: {problem}");
        let loaded = scene.load("hubspot").await.expect(200);
        assert_eq!((array(&loaded).len(), loaded.header("keyferry-problems")), (6, Some("1")), "{fault}");

        // Where it ended, another load goes on, once the vendor is well again.
        scene.vendors.clear_faults().await;
        if let Some(cursor) = &list.next {
            let rest = scene.lines("hubspot", &[("cursor", cursor)]).await;
            assert_eq!(rest.items, expected::hubspot()[6..], "{fault}");
        }
        assert_eq!(array(&scene.load("hubspot").await.expect(200)), expected::hubspot(), "{fault}: recovered");
        scene.assert_keeps(&[&loaded]).await;
    }
}

#[tokio::test]
async fn where_nothing_could_be_read_that_is_the_answer() {
    for (fault, status, code) in [
        (json!({ "mode": "answer", "status": 503, "body": "" }), 502, "upstream_failed"),
        (json!({ "mode": "answer", "status": 403, "body": sample("e403") }), 502, "upstream_failed"),
        (json!({ "mode": "answer", "status": 200, "body": "<html>" }), 502, "upstream_failed"),
        (json!({ "mode": "cut" }), 502, "upstream_unreachable"),
    ] {
        let scene = Scene::new(&[Integration::notion().api(QUICK)]).await;
        let mut fault = fault.clone();
        fault["times"] = Value::Null;
        scene.vendors.fault(fault.clone()).await;
        let answer = scene.load("notion").await;
        assert!(
            (answer.status, answer.header("keyferry-error")) == (status, Some(code)),
            "{fault}: {}",
            answer.describe()
        );
        let detail = answer.expect_problem(status, code)["detail"].as_str().expect("a sentence").to_owned();
        assert!(detail.ends_with('.') && !detail.contains("html") && !detail.contains("127.0.0.1"), "{detail}");
        scene.get("notion", &[], "application/json").await.expect_problem(status, code);

        scene.vendors.clear_faults().await;
        assert_eq!(array(&scene.load("notion").await.expect(200)), expected::notion(), "{fault}: recovered");
    }
}

#[tokio::test]
async fn a_vendor_that_is_gone_is_said_to_be() {
    let mut scene = Scene::new(&[Integration::notion().api(QUICK)]).await;
    scene.vendors.kill();
    scene.load("notion").await.expect_problem(502, "upstream_unreachable");
    scene.get("notion", &[], "*/*").await.expect_problem(502, "upstream_unreachable");
}

#[tokio::test]
async fn children_that_are_forbidden_or_gone_are_skipped_and_their_siblings_are_not() {
    let scene = Scene::new(&[Integration::airtable().api(QUICK)]).await;
    for status in [403, 404] {
        let fault =
            json!({ "match": "0001/tables", "mode": "answer", "status": status, "body": { "error": "NOT_FOUND" } });
        scene.vendors.fault(fault).await;
        let list = scene.lines("airtable", &[]).await;
        let all = expected::airtable();
        assert_eq!(list.ids(), ids(&[&all[..1], &all[3..]].concat()), "{status}");
        assert_eq!(list.items[0]["children"], json!([]), "{status}");
        // That one, and the third base, which is always forbidden: counted by status.
        let counts: Vec<_> = list.problems.iter().map(|problem| (&problem["status"], &problem["count"])).collect();
        let expected = if status == 403 {
            vec![(json!(403), json!(2))]
        } else {
            vec![(json!(404), json!(1)), (json!(403), json!(1))]
        };
        assert!(counts.into_iter().eq(expected.iter().map(|(status, count)| (status, count))), "{:?}", list.problems);
        list.problems.iter().for_each(|problem| assert_problem(problem, "tables", "skipped"));
    }
}

#[tokio::test]
async fn children_of_a_vendor_that_fails_are_missed_and_what_was_read_is_kept() {
    let scene = Scene::new(&[Integration::airtable().api(QUICK)]).await;
    let broken =
        json!({ "match": "0002/tables", "times": null, "mode": "answer", "status": 500, "body": "<h1>Oops</h1>" });
    scene.vendors.fault(broken).await;
    let list = scene.lines("airtable", &[]).await;
    assert_eq!(list.items[..3], expected::airtable()[..3]);
    let failures: Vec<_> = list.problems.iter().filter(|problem| problem["code"] != "skipped").collect();
    assert_eq!(failures.len(), 1, "{:?}", list.problems);
    assert_problem(failures[0], "tables", failures[0]["code"].as_str().expect("a code"));
    assert_eq!(failures[0]["status"], 500);
    let tried = scene.vendors.take().await.into_iter().filter(|request| request.status == Some(500)).count();
    assert_eq!(tried, 3, "a first time and two more");

    scene.vendors.clear_faults().await;
    assert_eq!(array(&scene.load("airtable").await.expect(200)), expected::airtable(), "recovered");
}

/// One of HubSpot's refusals.
fn sample(name: &str) -> Value {
    let samples: Value = serde_json::from_str(include_str!("../../peers/vendors/samples/hubspot.json")).expect("JSON");
    samples[name].clone()
}

/// A moment as HTTP writes it (RFC 9110, section 5.6.7).
fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}
