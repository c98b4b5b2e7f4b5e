//! The `page` table of a stream.

use http::Method;

use super::json_path;
use super::source::Known;
use crate::config::problem::{Fault, quoted};
use crate::config::reader::{self, Table};
use crate::items::{Insert, Paging, Turning};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cursor,
    Offset,
    Page,
    Link,
    NextUrl,
}

const KINDS: [(&str, Kind); 5] = [
    ("cursor", Kind::Cursor),
    ("offset", Kind::Offset),
    ("page", Kind::Page),
    ("link", Kind::Link),
    ("next_url", Kind::NextUrl),
];

/// Most pages of a stream whose file names no number: a hundred thousand pages of a hundred are ten million records.
const MOST_PAGES: u32 = 100_000;

pub(super) fn read(table: &mut Table<'_>, known: &Known<'_>, method: &Method) -> Option<Paging> {
    let doc = "`cursor` (the default where `cursor` is set), `offset`, `page`, `link` or `next_url`.";
    let kind = table.word("type", doc, &KINDS);
    let cursor =
        table.parsed_as("cursor", reader::Kind::JsonPath, "JSONPath of what leads to the following page.", |text| {
            json_path(text, "$.next_cursor")
        });
    let kind = kind.or(table.has("cursor").then_some(Kind::Cursor));
    let insert = |text: &str| insert(text, method);
    let into = table.parsed("into", "Where that goes: `query.NAME` or `body.a.b`.", insert);
    let size = table.parsed("size", "Where the page size goes: `query.NAME` or `body.a.b`.", insert);
    let n = table.integer("n", "The page size.", 1..=100_000);
    let first = table.integer("first", "The number of the first page; by default 1.", 0..=1_000_000);
    let max = table.integer_or("max", "Most pages; more is a problem.", 1..=10_000_000, MOST_PAGES);
    let more = table.parsed_as("more", reader::Kind::JsonPath, "JSONPath that is `false` on the last page.", |text| {
        json_path(text, "$.has_more")
    });
    let last = table.parsed_as("last", reader::Kind::JsonPath, "JSONPath that is `true` on the last page.", |text| {
        json_path(text, "$.is_last")
    });
    let total = table.parsed_as("total", reader::Kind::JsonPath, "JSONPath of the number of all records.", |text| {
        json_path(text, "$.total")
    });
    let path = table.parsed("path", "Where pages behind the first one are asked for.", |text| super::path(text, known));
    let only = table.boolean_or("only", "Whether requests for those hold the cursor and nothing else.", false);

    if !table.has("type") && kind.is_none() {
        table.mistake("type", "is missing", "write how the pages follow each other, or the `cursor`");
    }
    let kind = kind?;
    let needs = |name: &str, is_needed: bool, remedy: &str| match (table.has(name), is_needed) {
        (false, true) => table.mistake(name, "is missing", remedy),
        (true, false) => table.mistake(name, "has no meaning with this `type`", "remove it"),
        _ => {}
    };
    needs("cursor", matches!(kind, Kind::Cursor | Kind::NextUrl), "write the JSONPath, for example \"$.next\"");
    let inserts = matches!(kind, Kind::Cursor | Kind::Offset | Kind::Page);
    needs("into", inserts, "write for example \"query.cursor\"");
    for (name, allowed) in [
        ("first", kind == Kind::Page),
        ("total", matches!(kind, Kind::Offset | Kind::Page)),
        ("path", inserts),
        ("only", inserts),
    ] {
        if table.has(name) && !allowed {
            table.mistake(name, "has no meaning with this `type`", "remove it");
        }
    }
    if size.is_some() && !table.has("n") {
        table.mistake("n", "is missing", "write the page size that goes to `size`");
    }
    // Beside a total, `n` says how many records the provider's own pages have.
    if n.is_some() && !table.has("size") && !(kind == Kind::Page && table.has("total")) {
        table.mistake("n", "goes nowhere", "write where it is asked for, as `size`, or remove it");
    }
    let turning = match kind {
        Kind::Cursor => Turning::Cursor { cursor: cursor?, into: into? },
        Kind::Offset => Turning::Offset(into?),
        Kind::Page => Turning::Number { into: into?, first: first.map_or(1, u64::from) },
        Kind::Link => Turning::Link,
        Kind::NextUrl => Turning::NextUrl(cursor?),
    };
    Some(Paging { turning, more, last, total, size, n: n.map(u64::from), max: max.into(), path, only })
}

fn insert(text: &str, method: &Method) -> Result<Insert, Fault> {
    const REMEDY: &str = "write `query.NAME` or `body.a.b`";
    match text.split_once('.') {
        Some((_, name)) if name.split('.').any(str::is_empty) => Err(Fault::new("has an empty name", REMEDY)),
        Some(("query", name)) => Ok(Insert::Query(name.to_owned())),
        Some(("body", _)) if method == Method::GET => {
            Err(Fault::new("goes into the body of a GET, which has none", "write `query.NAME`"))
        }
        Some(("body", way)) => Ok(Insert::Body(way.split('.').map(str::to_owned).collect())),
        _ => Err(Fault::new(format!("{} is no place in a request", quoted(text)), REMEDY)),
    }
}
