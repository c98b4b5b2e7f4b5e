//! Each rule of paging, retries and fields, as a small provider that needs it.

use std::time::Duration;

use keyferry::items::{Options, Outage, PageRequest, Position};
use serde_json::{Value, json};

use super::support::{Reply, Run, plan, rows, run, run_some};

/// One stream over `/items`, with more keys and a page rule.
fn stream(keys: &str) -> String {
    format!(
        "[[items.streams]]\nname = 'items'\npath = '/items'\nrecords = '$.rows[*]'\n{keys}\nitem = {{ id = '$.id' }}\n"
    )
}

fn walk(tables: &str, provider: impl FnMut(&PageRequest) -> Reply) -> Run {
    let (plan, options) = plan(tables);
    run(&plan, options, provider)
}

/// What a query parameter holds.
fn parameter(request: &PageRequest, name: &str) -> Option<String> {
    let (_, query) = request.path_and_query.split_once('?')?;
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[test]
fn where_cursors_end() {
    #[track_caller]
    fn check(second: Value, requests: usize) {
        check_with(second, requests, &[]);
    }
    #[track_caller]
    fn check_with(second: Value, requests: usize, problems: &[&str]) {
        let page = "page = { cursor = '$.next', more = '$.more', last = '$.last', into = 'query.after' }";
        let run = walk(&stream(page), |request| match parameter(request, "after").as_deref() {
            None => Reply::json(json!({ "rows": rows([1]), "next": "a" })),
            Some("a") => Reply::json(second.clone()),
            Some(_) => Reply::json(json!({ "rows": rows([3]) })),
        });
        let problems: Vec<String> = problems.iter().map(|problem| (*problem).to_owned()).collect();
        assert_eq!((run.requests.len(), run.codes()), (requests, problems), "{second}");
        assert_eq!(run.requests[0], "GET /items", "no cursor at first");
    }
    check(json!({ "rows": rows([2]), "next": "b" }), 3);
    check(json!({ "rows": rows([2]), "next": 7 }), 3);
    check(json!({ "rows": [], "next": "b" }), 3);
    check(json!({ "rows": rows([2]), "next": "b", "more": true }), 3);
    check(json!({ "rows": rows([2]), "next": "b", "more": false }), 2);
    check(json!({ "rows": rows([2]), "next": "" }), 2);
    check(json!({ "rows": rows([2]), "next": null }), 2);
    check(json!({ "rows": rows([2]) }), 2);
    check(json!({ "rows": rows([2]), "next": "b", "last": false }), 3);
    check(json!({ "rows": rows([2]), "next": "b", "last": true }), 2);
    check(json!({ "rows": rows([2]), "next": false }), 2);
    check_with(json!({ "rows": rows([2]), "next": ["b"] }), 2, &["items unreadable"]);
    check_with(json!({ "rows": rows([2]), "next": { "page": 2 } }), 2, &["items unreadable"]);
    check(json!({ "rows": rows([2]), "next": ["b"], "last": true }), 2);
    check(json!({}), 2);
}

#[test]
fn a_cursor_is_sent_as_it_came() {
    let run = walk(&stream("page = { cursor = '$.next', into = 'query.after' }\nquery = { q = 'a b&c' }"), |request| {
        match parameter(request, "after") {
            None => Reply::json(json!({ "rows": rows([1]), "next": "NzcwMDI%3D/+ ü" })),
            Some(cursor) => {
                assert_eq!(cursor, "NzcwMDI%3D/+ ü");
                Reply::json(json!({ "rows": rows([2]) }))
            }
        }
    });
    assert_eq!(run.requests[1], "GET /items?q=a%20b%26c&after=NzcwMDI%253D%2F%2B%20%C3%BC");
    assert_eq!(run.ids(), ["1", "2"]);
}

#[test]
fn circles_and_endless_lists_end() {
    #[track_caller]
    fn check(max: &str, next: fn(u64) -> u64, problem: &str, most: usize) {
        let page = format!("page = {{ cursor = '$.next', into = 'query.after'{max} }}");
        let run = walk(&stream(&page), |request| {
            let at = parameter(request, "after").map_or(0, |text| text.parse().expect("a number"));
            Reply::json(json!({ "rows": rows([at]), "next": next(at).to_string() }))
        });
        assert_eq!(run.codes(), [problem]);
        assert!(run.requests.len() <= most && run.items.len() == run.requests.len(), "{}", run.requests.len());
    }
    check("", |_| 1, "items cursor_repeated", 2);
    check("", |at| (at + 1) % 5, "items cursor_repeated", 6);
    check("", |at| if at == 3 { 1 } else { at + 1 }, "items cursor_repeated", 4);
    check("", |at| if at < 100 { at + 1 } else { 60 }, "items cursor_repeated", 400);
    check(", max = 3", |at| at + 1, "items too_many_pages", 3);
}

#[test]
fn counted_pages() {
    /// Seven records, at most `most` a page, found by number or by offset.
    #[track_caller]
    fn check(page: &str, most: u64, requests: &[&str]) {
        let run = walk(&stream(&format!("page = {{ {page} }}")), |request| {
            let start = match (parameter(request, "page"), parameter(request, "offset")) {
                (Some(page), _) => (page.parse::<u64>().expect("a number") - 1) * most,
                (_, Some(offset)) => offset.parse().expect("a number"),
                _ => 0,
            };
            let rows = rows((start..7).take(usize::try_from(most).expect("a number")));
            Reply::json(json!({ "rows": rows, "total": 7, "more": start + most < 7 }))
        });
        assert_eq!(run.requests, requests, "{page}");
        assert_eq!(run.ids(), ["0", "1", "2", "3", "4", "5", "6"], "{page}");
    }
    let offset = "type = 'offset', into = 'query.offset', size = 'query.n'";
    check(
        &format!("{offset}, n = 3"),
        3,
        &["GET /items?n=3", "GET /items?n=3&offset=3", "GET /items?n=3&offset=6", "GET /items?n=3&offset=7"],
    );
    // The provider gives fewer than asked for: an empty page is the end.
    check(
        &format!("{offset}, n = 100"),
        4,
        &["GET /items?n=100", "GET /items?n=100&offset=4", "GET /items?n=100&offset=7"],
    );
    check("type = 'offset', into = 'query.offset'", 4, &["GET /items", "GET /items?offset=4", "GET /items?offset=7"]);
    // Unless something tells it before.
    check(&format!("{offset}, n = 100, total = '$.total'"), 4, &["GET /items?n=100", "GET /items?n=100&offset=4"]);
    check(&format!("{offset}, n = 100, more = '$.more'"), 4, &["GET /items?n=100", "GET /items?n=100&offset=4"]);
    let page = "type = 'page', into = 'query.page'";
    check(page, 3, &["GET /items", "GET /items?page=2", "GET /items?page=3", "GET /items?page=4"]);
    check(&format!("{page}, n = 3, total = '$.total'"), 3, &["GET /items", "GET /items?page=2", "GET /items?page=3"]);
    check(&format!("{page}, total = '$.total'"), 3, &["GET /items", "GET /items?page=2", "GET /items?page=3"]);
    // Pages of four, though a hundred are asked for: the total counts records, not pages of a hundred.
    let asked = ["GET /items?n=100", "GET /items?n=100&page=2", "GET /items?n=100&page=3"];
    check(&format!("{page}, size = 'query.n', n = 100, total = '$.total'"), 4, &asked[..2]);
    check(&format!("{page}, size = 'query.n', n = 100"), 4, &asked);
}

#[test]
fn counted_pages_count_what_a_filter_leaves_out() {
    /// Ten records in pages of three, of which those from four to eight are wanted.
    #[track_caller]
    fn check(records: &str, page: &str) {
        let tables = stream(&format!("page = {{ {page} }}")).replace("'$.rows[*]'", &format!("\"{records}\""));
        let run = walk(&tables, |request| {
            let start = match (parameter(request, "page"), parameter(request, "offset")) {
                (Some(page), _) => (page.parse::<u64>().expect("a number") - 1) * 3,
                (_, Some(offset)) => offset.parse().expect("a number"),
                _ => 0,
            };
            let rows: Vec<Value> =
                (start..10).take(3).map(|id| json!({ "id": id, "size": id, "unused": [id], "ok": id < 9 })).collect();
            Reply::json(json!({ "rows": rows, "groups": [{ "rows": rows }], "total": 10 }))
        });
        assert_eq!(run.ids(), ["4", "5", "6", "7", "8"], "{records} {page}");
        assert!((4..=5).contains(&run.requests.len()), "{records} {page}: {:?}", run.requests);
    }
    for records in [
        "$.rows[?@.size > 3 && @.ok == true]",
        "$.rows[?match(@.id, '[4-8]') || @.size > 3 && @.size < 9]",
        "$.groups[*].rows[?@.size >= 4 && @.size < 9]",
    ] {
        for page in ["type = 'offset', into = 'query.offset'", "type = 'page', into = 'query.page'"] {
            check(records, page);
            check(records, &format!("{page}, total = '$.total'"));
        }
    }
}

#[test]
fn a_client_that_reads_item_by_item_ends_in_a_circle_too() {
    #[track_caller]
    fn check(tables: &str, reply: fn(&PageRequest) -> Reply, ids: &[&str]) {
        let (plan, options) = plan(tables);
        let mut position: Option<Position> = None;
        let mut found: Vec<String> = Vec::new();
        let problems = loop {
            let options = Options { position: position.take(), ..options.clone() };
            let some = run_some(&plan, options, 1, &mut { reply });
            found.extend(some.items.iter().map(|item| item.id.clone()));
            assert!(found.len() <= ids.len(), "{found:?}");
            match some.last {
                Some(last) => position = Some(Position::decode(&last.encode()).expect("a position")),
                None => break some.codes(),
            }
        };
        assert_eq!(
            (found, problems),
            (ids.iter().map(|id| (*id).to_owned()).collect(), vec!["items cursor_repeated".to_owned()])
        );
    }
    // 0, 1, 2, 3, 1: two records each, and the page behind the last one is known.
    check(
        &stream("page = { cursor = '$.next', into = 'query.after' }"),
        |request| {
            let at: u64 = parameter(request, "after").map_or(0, |text| text.parse().expect("a number"));
            Reply::json(json!({ "rows": rows([2 * at, 2 * at + 1]), "next": if at == 3 { 1 } else { at + 1 } }))
        },
        &["0", "1", "2", "3", "4", "5", "6", "7"],
    );
    check(
        &stream("page = { type = 'link' }"),
        |request| {
            let at: u64 = parameter(request, "p").map_or(0, |text| text.parse().expect("a number"));
            Reply::json(json!({ "rows": rows([at]) })).with("link", format!("</items?p={}>; rel=next", at % 3 + 1))
        },
        &["0", "1", "2", "3"],
    );
}

#[test]
fn an_answer_without_its_list_is_not_an_empty_list() {
    #[track_caller]
    fn check(records: &str, answer: &str, problems: &[&str]) {
        let run = walk(&stream("").replace("$.rows[*]", records), |_| Reply::text(200, answer));
        assert_eq!(
            (run.ids(), run.codes()),
            (vec![], problems.iter().map(|p| (*p).to_owned()).collect()),
            "{records} {answer}"
        );
    }
    let unreadable: &[&str] = &["items unreadable"];
    for records in ["$.rows[*]", "$.rows[?@.ok == true]", "$.rows[?@.size > 3]"] {
        check(records, r#"{"results":[{"id":1}]}"#, unreadable);
        check(records, r#"[{"id":1}]"#, unreadable);
        check(records, r#"{"rows":[]}"#, &[]);
        check(records, r#"{"rows":null}"#, &[]);
        check(records, r#"{"rows":[{"id":1,"ok":false}]}"#, if records.contains('?') { &[] } else { continue });
        check(records, " { } ", &[]);
        check(records, "[]", &[]);
        check(records, "null", &[]);
    }
    check("$..rows[*]", r#"{"count":0}"#, &[]);
    check("$.data.rows[*]", r#"{"data":{"items":[]}}"#, unreadable);

    // Behind the first page the provider has shown that it knows the list.
    let run = walk(&stream("page = { cursor = '$.next', into = 'query.after' }"), |request| {
        match parameter(request, "after") {
            None => Reply::json(json!({ "rows": rows([1]), "next": "a" })),
            Some(_) => Reply::json(json!({ "count": 0 })),
        }
    });
    assert_eq!((run.ids(), run.codes()), (vec!["1"], vec![]));
}

#[test]
fn a_null_in_the_query_leaves_its_parameter_out() {
    let tables =
        FAMILY.replacen("on_error", "query = { a = '$parent.folder', b = 'x{$parent.folder}', c = 1 }\non_error", 1);
    #[track_caller]
    fn check(tables: &str, folder: Value, request: &str, problems: &[&str]) {
        let run = walk(tables, |request| match request.stream.as_str() {
            "sites" => Reply::json(json!({ "rows": [{ "id": 1, "folder": folder }] })),
            _ => Reply::json(json!({ "rows": [] })),
        });
        assert_eq!(
            (run.requests[1..].join(" "), run.codes()),
            (request.to_owned(), problems.iter().map(|p| (*p).to_owned()).collect())
        );
    }
    check(&tables, json!("f"), "GET /sites/1/pages?a=f&b=xf&c=1", &[]);
    check(&tables, json!(null), "GET /sites/1/pages?c=1", &[]);
    check(&tables, json!([1]), "", &["pages unreadable"]);
}

#[test]
fn following_urls_stay_below_the_base_url() {
    #[track_caller]
    fn check(next: &str, requests: &[&str], problems: &[&str]) {
        let by_body = walk(&stream("page = { type = 'next_url', cursor = '$.next' }"), |request| {
            let first = request.path_and_query == "/items";
            Reply::json(json!({ "rows": rows([1]), "next": if first { Some(next) } else { None } }))
        });
        let by_header = walk(&stream("page = { type = 'link' }"), |request| {
            let reply = Reply::json(json!({ "rows": rows([1]) }));
            let first = request.path_and_query == "/items";
            if first {
                reply.with("link", format!("<https://x.example>; rel=\"prev\", <{next}>; rel=\"next\""))
            } else {
                reply
            }
        });
        for run in [by_body, by_header] {
            assert_eq!(run.requests, requests, "{next}");
            assert_eq!(run.codes(), problems, "{next}");
        }
    }
    check("https://api.acme.example/items?page=2", &["GET /items", "GET /items?page=2"], &[]);
    check("/items?page=2", &["GET /items", "GET /items?page=2"], &[]);
    check("?page=2", &["GET /items", "GET /items?page=2"], &[]);
    check("https://evil.example/items?page=2", &["GET /items"], &["items foreign_page"]);
    check("//evil.example/items", &["GET /items"], &["items foreign_page"]);
    check("http://api.acme.example/items", &["GET /items"], &["items foreign_page"]);
    check("https://api.acme.example:8443/items", &["GET /items"], &["items foreign_page"]);
    check("/%252e%252e/items", &["GET /items"], &["items foreign_page"]);
}

#[test]
fn page_two_elsewhere_with_the_cursor_alone() {
    let run = walk(
        &stream(
            "method = 'POST'\nbody = { path = '', deep = { a = [1, '{}'] } }\nquery = { q = 1 }\n\
             page = { cursor = '$.next', into = 'body.from.cursor', size = 'body.limit', n = 2, path = '/more', only = true }",
        ),
        |request| match request.path_and_query.as_str() {
            "/items?q=1" => Reply::json(json!({ "rows": rows([1]), "next": "c" })),
            _ => Reply::json(json!({ "rows": rows([2]) })),
        },
    );
    assert_eq!(
        run.requests,
        [r#"POST /items?q=1 {"deep":{"a":[1,"{}"]},"path":"","limit":2}"#, r#"POST /more {"from":{"cursor":"c"}}"#,]
    );
    assert_eq!(run.ids(), ["1", "2"]);
}

const FAMILY: &str = "
[[items.streams]]
name = 'sites'
path = '/sites'
records = '$.rows[*]'
item = { id = 'site {$.id}', type = 'Site' }
[[items.streams]]
name = 'pages'
parent = 'sites'
path = '/sites/{$parent.id}/pages'
records = '$.rows[*]'
on_error = { 403 = 'skip' }
item = { id = 'page {$parent.id}.{$.id}', type = 'Page', parent_id = 'site {$parent.id}' }
[[items.streams]]
name = 'notes'
parent = 'pages'
method = 'POST'
read = true
path = '/notes'
records = '$.rows[*]'
body = { site = { path = '$grandparent.id' }, page = { template = 'p{$parent.id}' }, query = '{ notes { id } }' }
item = { id = 'note {$grandparent.id}.{$parent.id}.{$.id}', type = 'Note' }
";

/// Two sites of two pages with one note each.
fn family(request: &PageRequest) -> Reply {
    match request.stream.as_str() {
        "notes" => Reply::json(json!({ "rows": rows([9]) })),
        _ => Reply::json(json!({ "rows": rows([1, 2]) })),
    }
}

#[test]
fn three_levels_depth_first() {
    let run = walk(FAMILY, family);
    assert_eq!(
        run.ids(),
        [
            "site 1",
            "page 1.1",
            "note 1.1.9",
            "page 1.2",
            "note 1.2.9",
            "site 2",
            "page 2.1",
            "note 2.1.9",
            "page 2.2",
            "note 2.2.9"
        ]
    );
    assert_eq!(run.requests[2], r#"POST /notes {"page":"p1","query":"{ notes { id } }","site":1}"#);
}

#[test]
fn a_failing_child_stops_no_sibling() {
    #[track_caller]
    fn check(reply: fn() -> Reply, problem: &str, status: Option<u16>) {
        let run =
            walk(FAMILY, |request| if request.path_and_query == "/sites/1/pages" { reply() } else { family(request) });
        assert_eq!(run.ids(), ["site 1", "site 2", "page 2.1", "note 2.1.9", "page 2.2", "note 2.2.9"]);
        assert_eq!((run.codes(), run.problems[0].status), (vec![problem.to_owned()], status));
        assert_eq!(run.problems[0].is_failure(), !problem.contains("skipped"));
    }
    check(|| Reply::status(403, json!({ "error": "a text" })), "pages skipped ×1", Some(403));
    check(|| Reply::status(404, json!({ "error": { "type": "an object" } })), "pages upstream_refused", Some(404));
    check(|| Reply::status(500, json!({ "errors": [{ "error": "a list" }] })), "pages upstream_refused", Some(500));
    check(|| Reply::text(400, "<html>"), "pages upstream_refused", Some(400));
    check(|| Reply::text(503, ""), "pages upstream_refused", Some(503));
    check(|| Reply::text(200, "<html>"), "pages unreadable", Some(200));
    check(|| Reply::text(200, ""), "pages unreadable", Some(200));
    check(|| Reply::Outage(Outage::TooLarge), "pages unreadable", None);
    check(|| Reply::Outage(Outage::Timeout), "pages upstream_timeout", None);
    check(|| Reply::Outage(Outage::Unreachable), "pages upstream_unreachable", None);
}

#[test]
fn an_open_circuit_or_a_spent_budget_ends_the_stream_for_all_parents() {
    #[track_caller]
    fn check(reply: fn() -> Reply, problem: &str) {
        let run = walk(FAMILY, |request| if request.stream == "pages" { reply() } else { family(request) });
        assert_eq!(run.ids(), ["site 1", "site 2"]);
        assert_eq!(run.requests.iter().filter(|line| line.contains("pages")).count(), 1);
        assert_eq!(
            (run.codes(), run.problems[0].retry_after),
            (vec![problem.to_owned()], Some(Duration::from_secs(300)))
        );
    }
    check(|| Reply::Outage(Outage::CircuitOpen(Duration::from_secs(300))), "pages upstream_unreachable ×2");
    check(|| Reply::Outage(Outage::OverBudget(Duration::from_secs(300))), "pages rate_limited ×2");
    check(|| Reply::status(429, json!({})).with("retry-after", "300"), "pages rate_limited ×2");
}

#[test]
fn a_request_without_its_value_is_not_sent() {
    let run = walk(FAMILY, |request| match request.stream.as_str() {
        "sites" => Reply::json(json!({ "rows": [{ "id": ".." }, { "id": "" }, { "id": "a/b?c" }, { "id": null }] })),
        _ => Reply::json(json!({ "rows": [] })),
    });
    assert_eq!(run.requests, ["GET /sites", "GET /sites/a%2Fb%3Fc/pages"]);
    assert_eq!(run.codes(), ["pages unreadable ×3", "sites records_dropped ×2"].map(str::to_owned));
}

#[test]
fn one_token_is_got_for_each_request_and_a_second_refusal_ends_all() {
    let mut refusals = 0;
    let once = walk(FAMILY, |request| {
        refusals += 1;
        if refusals % 2 == 1 { Reply::status(401, json!({})) } else { family(request) }
    });
    assert_eq!((once.items.len(), once.renewals, once.codes()), (10, once.requests.len() / 2, vec![]));

    let twice = walk(FAMILY, |request| match request.path_and_query.as_str() {
        "/sites/2/pages" => Reply::status(401, json!({})),
        _ => family(request),
    });
    assert_eq!((twice.renewals, twice.codes()), (1, vec!["pages unauthorized".to_owned()]));
    assert_eq!(twice.ids().last(), Some(&"site 2"));
    assert!(twice.last.is_some(), "with another token it can go on");
}

#[test]
fn requests_are_repeated_as_often_as_the_file_says() {
    #[track_caller]
    fn check(keys: &str, reply: fn() -> Reply, waits: &[f64], problem: &str) {
        let tables = format!("retry = {{ max = 2, cap = '5s' }}\n{}", stream(keys));
        let run = walk(&tables, |_| reply());
        let seconds: Vec<f64> = run.waits.iter().map(Duration::as_secs_f64).collect();
        assert_eq!((seconds.as_slice(), run.codes()), (waits, vec![problem.to_owned()]));
        assert_eq!(run.requests.len(), waits.len() + 1);
    }
    let post = "method = 'POST'";
    check("", || Reply::status(503, json!({})), &[0.5, 1.0], "items upstream_refused");
    check(post, || Reply::status(503, json!({})), &[], "items upstream_refused");
    check("method = 'POST'\nread = true", || Reply::status(503, json!({})), &[0.5, 1.0], "items upstream_refused");
    check(post, || Reply::status(429, json!({})).with("retry-after", "2.0"), &[2.0, 2.0], "items rate_limited");
    check(post, || Reply::status(429, json!({})).with("retry-after", "6"), &[], "items rate_limited");
    check("", || Reply::Outage(Outage::Timeout), &[0.5, 1.0], "items upstream_timeout");
    check(post, || Reply::Outage(Outage::Unreachable), &[], "items upstream_unreachable");
}

#[test]
fn a_stream_that_fails_keeps_what_was_read_and_the_next_one_goes_on() {
    let two = format!(
        "{}[[items.streams]]\nname = 'others'\npath = '/others'\nrecords = '$.rows[*]'\nitem = {{ id = '$.id' }}",
        stream("page = { cursor = '$.next', into = 'query.after' }")
    );
    let run = walk(&two, |request| match request.path_and_query.as_str() {
        "/items" => Reply::json(json!({ "rows": rows([1, 2]), "next": "a" })),
        "/items?after=a" => Reply::status(500, json!({})),
        _ => Reply::json(json!({ "rows": rows([3]) })),
    });
    assert_eq!((run.ids(), run.codes()), (vec!["1", "2", "3"], vec!["items upstream_refused".to_owned()]));
}

#[test]
fn what_was_left_out_is_said() {
    #[track_caller]
    fn check(answer: Value, problems: &[&str]) {
        let run = walk(&stream("incomplete = '$.capped'"), |_| Reply::json(answer.clone()));
        assert_eq!(run.codes(), problems, "{answer}");
    }
    check(json!({ "rows": [] }), &[]);
    check(json!({ "rows": [], "capped": false }), &[]);
    check(json!({ "rows": [], "capped": null }), &[]);
    check(json!({ "rows": [], "capped": true }), &["items incomplete"]);
    check(json!({ "rows": [{}, { "id": 1 }, { "id": null }] }), &["items records_dropped ×2"]);
}

#[test]
fn nothing_is_asked_that_brings_no_wanted_type() {
    #[track_caller]
    fn check(types: &[&str], requests: usize, ids: &[&str]) {
        let (plan, options) = plan(FAMILY);
        let types = types.iter().map(|kind| (*kind).to_owned()).collect();
        let run = run(&plan, Options { types, ..options }, family);
        assert_eq!((run.requests.len(), run.ids()), (requests, ids.to_vec()));
    }
    check(&["Site"], 1, &["site 1", "site 2"]);
    check(&["Page"], 3, &["page 1.1", "page 1.2", "page 2.1", "page 2.2"]);
    check(&["Note"], 7, &["note 1.1.9", "note 1.2.9", "note 2.1.9", "note 2.2.9"]);
    check(&["Site", "Site"], 1, &["site 1", "site 2"]);
    check(&["Board"], 0, &[]);
}

#[test]
fn a_type_that_the_record_says_is_sorted_out_afterwards() {
    let (plan, options) = plan(&stream("").replace("id = '$.id'", "id = '$.id', type = '$.kind'"));
    let run = run(&plan, Options { types: vec!["a".into()], ..options }, |_| {
        Reply::json(json!({ "rows": [{ "id": 1, "kind": "a" }, { "id": 2, "kind": "b" }, { "id": 3 }] }))
    });
    assert_eq!(run.ids(), ["1"]);
}

#[test]
fn children_are_collected_only_so_far() {
    let tables = FAMILY.replacen("item = {", "collect_children = true\nitem = {", 1);
    let (plan, options) = plan(&tables);
    let collect = |count: u64| {
        let options = Options { types: vec!["Site".into(), "Page".into()], ..options.clone() };
        run(&plan, options, move |request| match request.stream.as_str() {
            "sites" => Reply::json(json!({ "rows": rows([1]) })),
            _ => Reply::json(json!({ "rows": rows(1..=count) })),
        })
    };
    let few = collect(3);
    assert_eq!(few.ids(), ["site 1", "page 1.1", "page 1.2", "page 1.3"]);
    assert_eq!(few.items[0].children, Some(vec!["page 1.1".into(), "page 1.2".into(), "page 1.3".into()]));
    let many = collect(10_050);
    assert_eq!((many.items.len(), many.codes()), (10_051, vec!["pages incomplete".to_owned()]));
    assert_eq!((many.items[0].id.as_str(), &many.items[0].children), ("site 1", &None));
    assert!(many.items[1..].iter().enumerate().all(|(at, item)| item.id == format!("page 1.{}", at + 1)));
}

#[test]
fn children_that_could_not_be_read_are_not_said_to_be_none() {
    #[track_caller]
    fn check(reply: fn() -> Reply, children: Option<&[&str]>) {
        let tables = FAMILY.replacen("item = {", "collect_children = true\nitem = {", 1).replace(
            "on_error",
            "incomplete = '$.capped'\npage = { cursor = '$.next', into = 'query.after', max = 2 }\non_error",
        );
        let (plan, options) = plan(&tables);
        let options = Options { types: vec!["Site".into(), "Page".into()], ..options };
        let run = run(&plan, options, |request| match request.path_and_query.as_str() {
            "/sites/1/pages" => reply(),
            _ => family(request),
        });
        let of =
            |at: usize| run.items[at].children.as_ref().map(|ids| ids.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(of(0).as_deref(), children, "{:?}", run.problems);
        let sibling = run.items.iter().find(|item| item.id == "site 2").expect("the other site");
        assert_eq!(sibling.children.as_ref().map(Vec::len), Some(2));
    }
    check(|| Reply::json(json!({ "rows": [] })), Some(&[]));
    check(|| Reply::json(json!({ "rows": rows([7]) })), Some(&["page 1.7"]));
    check(|| Reply::status(403, json!({})), Some(&[]));
    check(|| Reply::status(500, json!({})), None);
    check(|| Reply::text(200, "<html>"), None);
    check(|| Reply::json(json!({ "pages": [] })), None);
    check(|| Reply::Outage(Outage::Timeout), None);
    check(|| Reply::json(json!({ "rows": rows([7]), "capped": true })), None);
    check(|| Reply::json(json!({ "rows": rows([7]), "next": ["a"] })), None);
    // The second page is the family's.
    check(|| Reply::json(json!({ "rows": rows([7]), "next": "a" })), Some(&["page 1.7", "page 1.1", "page 1.2"]));

    // Nor where nobody asked, because the provider takes no more calls.
    let tables = FAMILY.replacen("item = {", "collect_children = true\nitem = {", 1);
    let limited = walk(&tables, |request| match request.stream.as_str() {
        "sites" => family(request),
        _ => Reply::status(429, json!({})).with("retry-after", "300"),
    });
    assert_eq!((limited.items.len(), limited.requests.len()), (2, 2));
    assert!(limited.items.iter().all(|item| item.children.is_none()), "{:?}", limited.items);
}

#[test]
fn a_long_list_and_short_places_in_it() {
    const ALL: u64 = 100_000;
    let (plan, options) = plan(&stream("page = { cursor = '$.next', into = 'query.after' }"));
    let mut walk = keyferry::items::Walk::new(plan, options);
    let mut count = 0u64;
    loop {
        match walk.step() {
            keyferry::items::Step::Send(request) => {
                let at: u64 = parameter(&request, "after").map_or(0, |text| text.parse().expect("a number"));
                let next = (at + 1_000 < ALL).then(|| (at + 1_000).to_string());
                let body = json!({ "rows": rows(at..at + 1_000), "next": next }).to_string();
                let headers = http::HeaderMap::new();
                let answer = keyferry::items::Answer { status: 200, headers: &headers, body: body.as_bytes() };
                walk.answer(answer, keyferry::model::Timestamp::from_unix_millis(0), 0.0);
            }
            keyferry::items::Step::Emit(item) => {
                assert_eq!(item.id, count.to_string());
                count += 1;
                if count % 10_000 == 1 {
                    let position = walk.position().map(|position| position.encode().len());
                    assert!(position.is_some_and(|length| length < 200), "{position:?}");
                }
            }
            keyferry::items::Step::Done => break,
            step => panic!("{step:?}"),
        }
    }
    assert_eq!((count, walk.problems().len()), (ALL, 0));
}
