//! What is written against what came. `…` stands for any text, and a time for any time; everything else has to be the same,
//! the names of members and their order included.

use serde_json::Value;

/// Where the two differ; nothing when they do not.
pub(super) fn difference(written: &Value, came: &Value) -> Option<String> {
    let at = |place: &str, rest: String| Some(format!("{place}: {rest}"));
    match (written, came) {
        (Value::Object(written), Value::Object(came)) => {
            let names = |members: &serde_json::Map<String, Value>| members.keys().cloned().collect::<Vec<_>>();
            if names(written) != names(came) {
                return Some(format!("members are {:?}, not {:?}", names(came), names(written)));
            }
            let mut each = written.iter().zip(came.values());
            each.find_map(|((name, written), came)| difference(written, came).and_then(|rest| at(name, rest)))
        }
        // One that is written stands for all.
        (Value::Array(written), Value::Array(came)) => match (written.as_slice(), came.as_slice()) {
            ([], []) => None,
            ([written], [_, ..]) => came.iter().find_map(|came| difference(written, came)),
            _ => Some(format!("a list of {}, not of {}", came.len(), written.len())),
        },
        (Value::String(written), Value::String(came)) if matches(written, came) || are_times(written, came) => None,
        (written, came) if written == came => None,
        (written, came) => Some(format!("{came}, not {written}")),
    }
}

/// Whether a text is as written, with anything in the place of each `…`.
pub(super) fn matches(written: &str, came: &str) -> bool {
    let mut parts = written.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = came.strip_prefix(first) else { return false };
    let Some((last, between)) = parts.clone().collect::<Vec<_>>().split_last().map(|(last, all)| (*last, all.to_vec()))
    else {
        return rest.is_empty();
    };
    for part in between {
        let Some((_, following)) = rest.split_once(part) else { return false };
        rest = following;
    }
    rest.ends_with(last)
}

fn are_times(written: &str, came: &str) -> bool {
    let is_time = |text: &str| {
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z')
    };
    is_time(written) && is_time(came)
}

/// The first line that is written and does not come after those before it.
pub(super) fn missing_line<'a>(written: &'a str, came: &str) -> Option<&'a str> {
    let mut lines = came.lines();
    written.lines().find(|written| !lines.any(|came| matches(written.trim_end(), came.trim_end())))
}

#[test]
fn anything_stands_for_anything_and_nothing_else_does() {
    assert!(matches("a…c", "abc") && matches("…", "") && matches("a", "a") && matches("a…b…c", "a1b2c"));
    assert!(!matches("a…c", "abd") && !matches("a", "ab") && !matches("a…b", "a"));
    let written = serde_json::json!({ "a": "con_…", "b": [{ "t": "2026-11-22T18:00:00Z" }], "c": 1 });
    let came = |a: &str, c: u8| serde_json::json!({ "a": a, "b": [{ "t": "2027-01-02T03:04:05Z" }], "c": c });
    assert_eq!(difference(&written, &came("con_x", 1)), None);
    assert_eq!(difference(&written, &came("con_x", 2)), Some("c: 2, not 1".to_owned()));
    assert!(difference(&written, &came("x", 1)).is_some());
    assert!(difference(&written, &serde_json::json!({ "a": "con_x" })).is_some());
    assert_eq!(missing_line("one\nt…o", "zero\none\ntwo\n"), None);
    assert_eq!(missing_line("two\none", "one\ntwo\n"), Some("one"));
}
