//! `docs/logging.md` says what stands in the log, and nothing else does.

use keyferry::telemetry::audit::{Denial, Event};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/logging.md");

/// Panics when the page's section has no row for a field of a line.
pub(super) fn holds_every_field_of(line: &Value, section: &str) {
    let section = PAGE.split("\n## ").find(|text| text.starts_with(section)).expect("the section");
    for field in line.as_object().expect("an object").keys() {
        let everywhere = matches!(field.as_str(), "timestamp" | "level" | "target" | "message");
        assert!(everywhere || section.contains(&format!("\n| `{field}` |")), "the page has no `{field}`: {line}");
    }
}

#[test]
fn its_example_holds_every_field_of_its_table() {
    let section = PAGE.split("\n## ").find(|text| text.starts_with("A line of a call")).expect("the section");
    let example = section.lines().find(|line| line.starts_with('{')).expect("a JSON line");
    let example: Value = serde_json::from_str(example).expect("JSON");
    holds_every_field_of(&example, "A line of a call");
    // Those two are there when they are wanted.
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for field in rows.filter(|field| !matches!(*field, "path" | "trace_id")) {
        assert!(!example[field].is_null(), "the example has no `{field}`");
    }
}

#[test]
fn every_audit_event_is_explained() {
    for event in Event::ALL {
        assert!(PAGE.contains(&format!("\n| `{}` |", event.as_str())), "the page has no `{}`", event.as_str());
    }
}

#[test]
fn every_reason_of_a_denial_is_explained() {
    let row = PAGE.lines().find(|line| line.starts_with("| `denied` |")).expect("the event");
    for denial in Denial::ALL {
        assert!(row.contains(&format!("`{}`", denial.as_str())), "the page has no `{}`", denial.as_str());
    }
}
