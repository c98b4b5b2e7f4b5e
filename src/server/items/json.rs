//! Items, problems and the end of a list as JSON. The order of an item's fields is the contract's.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::respond::HttpError;
use crate::broker::Loading;
use crate::items::Problem;
use crate::model::Item;

#[derive(Serialize)]
struct ItemJson<'a> {
    id: &'a str,
    r#type: Option<&'a str>,
    directory: bool,
    parent_path_or_name: Option<&'a str>,
    parent_id: Option<&'a str>,
    name: Option<&'a str>,
    creation_time: Option<&'a str>,
    last_modified_time: Option<&'a str>,
    url: Option<&'a str>,
    children: Option<&'a [String]>,
    mime_type: Option<&'a str>,
    delta: Option<&'a str>,
    drive_id: Option<&'a str>,
    visibility: bool,
}

/// Appends the item to an array that has been opened, with a comma where one has to be.
pub(super) fn append_element(array: &mut Vec<u8>, item: &Item) {
    if array.last().is_some_and(|byte| *byte != b'[') {
        array.push(b',');
    }
    append(array, item);
}

/// Appends the item and a line feed.
pub(super) fn append_line(lines: &mut Vec<u8>, item: &Item) {
    append(lines, item);
    lines.push(b'\n');
}

pub(super) fn append(out: &mut Vec<u8>, item: &Item) {
    let item = ItemJson {
        id: &item.id,
        r#type: item.kind.as_deref(),
        directory: item.directory,
        parent_path_or_name: item.parent_path_or_name.as_deref(),
        parent_id: item.parent_id.as_deref(),
        name: item.name.as_deref(),
        creation_time: item.creation_time.as_deref(),
        last_modified_time: item.last_modified_time.as_deref(),
        url: item.url.as_deref(),
        children: item.children.as_deref(),
        mime_type: item.mime_type.as_deref(),
        delta: item.delta.as_deref(),
        drive_id: item.drive_id.as_deref(),
        visibility: item.visibility,
    };
    serde_json::to_writer(out, &item).expect("texts and flags are JSON, and a Vec takes every byte");
}

/// `{"problems": […], "next": …}`.
pub(super) fn ending(loading: &Loading) -> String {
    json!({ "problems": problems(loading), "next": loading.cursor() }).to_string()
}

/// What is not in the list though it should be, and what is not as it should be.
pub(super) fn problems(loading: &Loading) -> Vec<Value> {
    let mut problems: Vec<Value> = loading.problems().iter().map(problem).collect();
    if let Some(error) = loading.failure() {
        let ours = HttpError::broker(error.clone()).problem();
        problems.push(json!({
            "stream": null,
            "code": ours.code,
            "detail": ours.detail,
            "status": null,
            "retry_after": ours.retry_after_seconds(),
            "count": null,
        }));
    }
    problems
}

fn problem(problem: &Problem) -> Value {
    json!({
        "stream": problem.stream,
        "code": problem.code,
        "detail": problem.detail,
        "status": problem.status,
        "retry_after": problem.retry_after.map(|wait| wait.as_millis().div_ceil(1000)),
        "count": problem.count,
    })
}
