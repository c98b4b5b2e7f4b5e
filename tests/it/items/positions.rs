//! Going on from every place: what a second walk brings, put behind what the first one brought, is the whole.

use std::sync::{Arc, LazyLock};

use keyferry::items::{Options, PageRequest, Plan, Position};
use proptest::prelude::*;
use serde_json::json;

use super::support::{Reply, Run, plan, rows, run, run_some, shipped};

#[track_caller]
fn every_place(plan: &Arc<Plan>, options: &Options, provider: fn(&PageRequest) -> Reply) -> Run {
    let whole = run(plan, options.clone(), provider);
    let ids = whole.ids();
    for most in 1..=ids.len() {
        let first = run_some(plan, options.clone(), most, &mut { provider });
        let Some(position) = first.positions.last().cloned().flatten() else {
            assert_eq!(most, ids.len(), "only behind the last item is nothing left");
            continue;
        };
        let bytes = position.encode();
        assert_eq!(Position::decode(&bytes).as_ref(), Some(&position));
        assert!(plan.accepts(&position), "{position:?}");
        let rest = run(plan, Options { position: Position::decode(&bytes), ..options.clone() }, provider);
        let both: Vec<&str> = first.ids().into_iter().chain(rest.ids()).collect();
        assert_eq!(both, ids, "after {most}: {position:?}");
        assert_eq!(&whole.items[most..], rest.items, "after {most}");
    }
    whole
}

/// Sites of two pages, of three pages with notes each, in pages of two; sites collect.
const FAMILY: &str = "
[items.defaults]
records = '$.rows[?@.gone != true]'
[[items.streams]]
name = 'sites'
path = '/sites'
page = { cursor = '$.next', into = 'query.after' }
item = { id = 'site {$.id}', type = 'Site' }
[[items.streams]]
name = 'pages'
parent = 'sites'
path = '/sites/{$parent.id}/pages'
page = { cursor = '$.next', into = 'query.after' }
item = { id = 'page {$parent.id}.{$.id}', type = 'Page' }
[[items.streams]]
name = 'files'
parent = 'sites'
path = '/sites/{$parent.id}/files'
page = { type = 'next_url', cursor = '$.url' }
item = { id = 'file {$parent.id}.{$.id}', type = 'File' }
[[items.streams]]
name = 'notes'
parent = 'pages'
path = '/sites/{$grandparent.id}/pages/{$parent.id}/notes'
page = { type = 'offset', into = 'query.offset', more = '$.more' }
item = { id = 'note {$grandparent.id}.{$parent.id}.{$.id}', type = 'Note' }
[[items.streams]]
name = 'people'
path = '/people'
page = { type = 'page', into = 'query.page', more = '$.more' }
item = { id = 'person {$.id}', type = 'Person' }
";

/// Three records under every path, in pages of two, and one that is gone on each page.
fn family(request: &PageRequest) -> Reply {
    let (path, query) = request.path_and_query.split_once('?').unwrap_or((&request.path_and_query, ""));
    let second = !query.is_empty();
    let mut rows = rows(if second { 3..4 } else { 1..3 });
    rows.as_array_mut().expect("a list").insert(0, json!({ "id": 0, "gone": true }));
    let next = (!second).then_some("2");
    Reply::json(
        json!({ "rows": rows, "next": next, "more": !second, "url": next.map(|_| format!("https://api.acme.example{path}?p=2")) }),
    )
}

#[test]
fn from_every_place_of_a_family() {
    let (plan, options) = plan(FAMILY);
    let whole = every_place(&plan, &options, family);
    assert_eq!(whole.items.len(), 3 * (1 + 3 * (1 + 3) + 3) + 3);
    assert_eq!(whole.codes(), Vec::<String>::new());
    for types in [&["Note"][..], &["Page", "Person"], &["File"], &["Site"]] {
        let types = types.iter().map(|kind| (*kind).to_owned()).collect();
        every_place(&plan, &Options { types, ..options.clone() }, family);
    }
}

#[test]
fn from_every_place_where_parents_wait_for_their_children() {
    for (collector, path) in [("sites", "'/sites'"), ("pages", "'/sites/{$parent.id}/pages'")] {
        let tables = FAMILY.replace(&format!("path = {path}"), &format!("path = {path}\ncollect_children = true"));
        let (plan, options) = plan(&tables);
        let whole = every_place(&plan, &options, family);
        assert!(
            whole.items.iter().any(|item| item.children.as_ref().is_some_and(|ids| !ids.is_empty())),
            "{collector}"
        );
    }
    let both = FAMILY
        .replace("path = '/sites'", "path = '/sites'\ncollect_children = true")
        .replace("path = '/sites/{$parent.id}/pages'", "path = '/sites/{$parent.id}/pages'\ncollect_children = true");
    let (plan, options) = plan(&both);
    let whole = every_place(&plan, &options, family);
    assert_eq!(whole.items[0].children.as_ref().map(Vec::len), Some(6));
    assert_eq!(whole.items[1].children.as_ref().map(Vec::len), Some(3));
}

#[test]
fn from_every_place_of_the_shipped_providers() {
    let (plan, options) = shipped("airtable");
    every_place(&plan, &options, |request| super::providers::airtable_answers(&request.path_and_query));
    let (plan, options) = shipped("notion");
    every_place(&plan, &options, |request| {
        let second = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).contains("start_cursor");
        Reply::sample(if second { "notion.search.2" } else { "notion.search.1" })
    });
}

#[test]
fn a_place_of_another_file_is_refused() {
    let (family_plan, options) = plan(FAMILY);
    let first = run_some(&family_plan, options.clone(), 8, &mut family);
    let position = first.positions.last().cloned().flatten().expect("a place");
    for changed in [
        FAMILY.replace("'pages'", "'sheets'"),
        FAMILY.replace("parent = 'pages'", "parent = 'files'"),
        FAMILY.replace("page = { cursor = '$.next', into = 'query.after' }", "page = { type = 'link' }"),
    ] {
        let (plan, options) = plan(&changed);
        let accepted = plan.accepts(&position);
        let run = run(&plan, Options { position: Some(position.clone()), ..options }, family);
        assert_eq!(accepted, run.codes().is_empty(), "{changed}");
        assert!(accepted || run.requests.is_empty() && run.items.is_empty());
    }
    let (plan, options) = plan(&FAMILY.replace("'sites'", "'places'"));
    assert!(!plan.accepts(&position));
    let run = run(&plan, Options { position: Some(position), ..options }, family);
    assert_eq!((run.items.len(), run.codes()), (0, vec!["sites unreadable".to_owned()]));
}

#[test]
fn records_that_are_gone_in_between_stop_nothing() {
    let (plan, options) = plan(FAMILY);
    for most in 1..=20 {
        let first = run_some(&plan, options.clone(), most, &mut family);
        let position = first.positions.last().cloned().flatten();
        let rest = run(&plan, Options { position, ..options.clone() }, |_| Reply::json(json!({ "rows": [] })));
        assert_eq!((rest.ids(), rest.codes()), (vec![], vec![]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_place_makes_a_walk_fail(at in 1usize..40, index in any::<prop::sample::Index>(), byte: u8) {
        static PLAN: LazyLock<(Arc<Plan>, Options)> = LazyLock::new(|| plan(FAMILY));
        let (plan, options) = &*PLAN;
        let first = run_some(plan, options.clone(), at, &mut family);
        if let Some(position) = first.positions.last().cloned().flatten() {
            let mut bytes = position.encode();
            let index = index.index(bytes.len());
            bytes[index] = byte;
            let run = run(plan, Options { position: Position::decode(&bytes), ..options.clone() }, family);
            prop_assert!(run.requests.iter().all(|line| line.starts_with("GET /")));
        }
    }
}
