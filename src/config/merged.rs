//! A provider file merged with what it extends, written out again: as TOML in the order in which its keys are described,
//! and as JSON. What is written reads as the same values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use figment::value::{Dict, Value};
use serde_json::Value as Json;

use super::document::Document;
use super::provider_keys;
use super::reader::{json_number, whole};

/// A table that is written on one line ends before this column.
const LINE: usize = 110;

/// What `toml` calls the only key of a date.
const TOML_DATE: &str = "$__toml_private_datetime";

/// The document as TOML. `with_origins` says of each table, or of each line of one that is from several files, which
/// file it is from.
pub(super) fn toml(document: &Document, with_origins: bool) -> String {
    let order = provider_keys().into_iter().enumerate().map(|(rank, key)| (key.path, rank)).collect();
    let mut writer = Writer { document, with_origins, order, text: String::new() };
    writer.table(&Place::default(), document.values(), None);
    writer.text
}

/// The document as JSON.
pub(super) fn json(document: &Document) -> Json {
    Json::Object(document.values().iter().map(|(key, value)| (key.clone(), json_of(value))).collect())
}

struct Writer<'a> {
    document: &'a Document,
    with_origins: bool,
    /// The rank of each described path.
    order: BTreeMap<String, usize>,
    text: String,
}

/// A table's own path, and the path under which its keys are described.
#[derive(Clone, Default)]
struct Place {
    written: String,
    described: String,
}

impl Writer<'_> {
    /// A table and all below it; `header` is its line, which the document itself has none of.
    fn table(&mut self, place: &Place, table: &Dict, header: Option<String>) {
        let mut keys: Vec<(&String, &Value, Place)> =
            table.iter().map(|(key, value)| (key, value, self.place(place, key))).collect();
        keys.sort_by_key(|(_, _, place)| self.order.get(&place.described).copied().unwrap_or(usize::MAX));
        let is_top = header.is_none();
        let (nested, plain): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|(key, value, place)| self.is_nested(is_top, key, value, place));
        let origins: BTreeSet<String> = plain.iter().flat_map(|(_, value, _)| self.origins(value)).collect();
        let is_of_one = origins.len() <= 1;
        // Only what holds keys of its own, or nothing at all, needs a line of its own.
        if let Some(header) = header
            && (!plain.is_empty() || nested.is_empty() || header.starts_with("[["))
        {
            let origin = origins.first().filter(|_| is_of_one);
            let origin = origin.map(|origin| self.note(origin)).unwrap_or_default();
            let _ = writeln!(self.text, "{}{header}{origin}", if self.text.is_empty() { "" } else { "\n" });
        }
        let width = plain.iter().map(|(key, ..)| bare(key).len()).max().unwrap_or(0);
        for (key, value, _) in &plain {
            let origin = if is_of_one && !is_top {
                String::new()
            } else {
                self.note(&self.origins(value).into_iter().collect::<Vec<_>>().join(", "))
            };
            let _ = writeln!(self.text, "{:width$} = {}{origin}", bare(key), inline(value));
        }
        for (_, value, place) in nested {
            match value {
                Value::Array(_, tables) => {
                    let described = format!("{}[]", place.described);
                    for table in tables.iter().filter_map(Value::as_dict) {
                        let header = format!("[[{}]]", place.written);
                        self.table(&Place { described: described.clone(), ..place.clone() }, table, Some(header));
                    }
                }
                value => {
                    let header = format!("[{}]", place.written);
                    self.table(&place, value.as_dict().unwrap_or(&Dict::new()), Some(header));
                }
            }
        }
    }

    /// Where a key is described: under its own path, under that of a free name, or as a key of the list that a table of
    /// defaults is for.
    fn place(&self, parent: &Place, key: &str) -> Place {
        let join = |path: &str, key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let own = join(&parent.described, key);
        let is_known = |path: &str| {
            let below = |end: &str| format!("{path}{end}");
            let mut next = self.order.range(path.to_owned()..);
            next.next().is_some_and(|(known, _)| known == path || known.starts_with(&below(".")))
        };
        let free = join(&parent.described, "<name>");
        let described = if !is_known(&own) && is_known(&free) { free } else { own };
        Place { written: join(&parent.written, &bare(key)), described }
    }

    /// Whether it gets a header: a list of tables that are read key by key, and a table that is one of the document's
    /// own, holds tables, or is too long for a line.
    fn is_nested(&self, is_top: bool, key: &str, value: &Value, place: &Place) -> bool {
        match value {
            Value::Array(_, values) => {
                let element = format!("{}[].", place.described);
                let is_described =
                    self.order.range(element.clone()..).next().is_some_and(|(key, _)| key.starts_with(&element));
                is_described && !values.is_empty() && values.iter().all(is_table)
            }
            Value::Dict(_, table) if is_table(value) => {
                let line = inline(value);
                is_top || table.values().any(is_table) || line.contains('\n') || key.len() + line.len() > LINE
            }
            _ => false,
        }
    }

    /// The files that a value is from.
    fn origins(&self, value: &Value) -> BTreeSet<String> {
        match value {
            Value::Dict(_, table) if is_table(value) && !table.is_empty() => {
                table.values().flat_map(|value| self.origins(value)).collect()
            }
            value => self.document.origin(value.tag()).map(|origin| origin.name).into_iter().collect(),
        }
    }

    fn note(&self, origin: &str) -> String {
        if self.with_origins && !origin.is_empty() { format!("  # {origin}") } else { String::new() }
    }
}

fn is_table(value: &Value) -> bool {
    value.as_dict().is_some_and(|table| !table.contains_key(TOML_DATE))
}

/// A key, in quotes where it has to be.
fn bare(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { key.to_owned() } else { toml_text(key) }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(_, string) => toml_text(string),
        Value::Char(_, character) => toml_text(&character.to_string()),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => match whole(*number) {
            Some(whole) => whole.to_string(),
            None => format!("{:?}", number.to_f64().unwrap_or_default()),
        },
        Value::Empty(..) => "\"\"".to_owned(),
        Value::Array(_, values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Dict(_, table) => match table.get(TOML_DATE).and_then(Value::as_str) {
            Some(date) => date.to_owned(),
            None if table.is_empty() => "{}".to_owned(),
            None => {
                let pairs = table.iter().map(|(key, value)| format!("{} = {}", bare(key), inline(value)));
                format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
            }
        },
    }
}

/// Text as a person would write it: over several lines where it has some, without escapes where it can be.
pub(crate) fn toml_text(string: &str) -> String {
    let is_plain = |string: &str| !string.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    if string.contains('\n') && is_plain(string) && !string.contains("'''") && !string.ends_with('\'') {
        return format!("'''\n{string}'''");
    }
    if string.contains(['"', '\\']) && is_plain(string) && !string.contains(['\'', '\n']) {
        return format!("'{string}'");
    }
    let mut quoted = String::from("\"");
    for character in string.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => drop(write!(quoted, "\\u{:04X}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::String(_, string) => string.as_str().into(),
        Value::Char(_, character) => character.to_string().into(),
        Value::Bool(_, flag) => (*flag).into(),
        Value::Num(_, number) => json_number(*number),
        Value::Empty(..) => Json::Null,
        Value::Array(_, values) => values.iter().map(json_of).collect(),
        Value::Dict(_, table) => match table.get(TOML_DATE) {
            Some(date) => json_of(date),
            None => Json::Object(table.iter().map(|(key, value)| (key.clone(), json_of(value))).collect()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::document::Layer;

    fn document(layers: &[(&str, &str)]) -> Document {
        let layers: Vec<Layer> = layers
            .iter()
            .map(|(name, text)| Layer::toml(name, Path::new(name), text).unwrap_or_else(|problem| panic!("{problem}")))
            .collect();
        Document::merge("merged", Path::new(""), &layers)
    }

    #[test]
    fn tables_stand_in_the_order_of_their_description_and_say_where_they_are_from() {
        let old = "[api]\nbase_url = 'https://old.example'\nheaders = { A-B = '1' }\n[oauth]\nissuer = 'https://a.example'\n\
                   scopes = ['x']\n[oauth.capture.token]\nteam = '$.team'\n[[items.streams]]\nname = 'a'\npath = '/a'\n\
                   records = '$[*]'\nitem = { id = '$.id' }";
        let new = "extends = 'old'\n[oauth]\nscopes = ['y']\n[api]\nquery = { k = 'it''s' }".replace("''", "\\u0027");
        let new = new.replace("'it\\u0027s'", "\"it's\"");
        let written = toml(&document(&[("old.toml", old), ("new.toml", &new)]), true);
        insta::assert_snapshot!(written, @r###"
        extends = "old"  # new.toml

        [oauth]
        issuer = "https://a.example"  # old.toml
        scopes = ["y"]  # new.toml

        [oauth.capture]  # old.toml
        token = { team = "$.team" }

        [api]
        base_url = "https://old.example"  # old.toml
        headers  = { A-B = "1" }  # old.toml
        query    = { k = "it's" }  # new.toml

        [[items.streams]]  # old.toml
        name    = "a"
        path    = "/a"
        records = "$[*]"
        item    = { id = "$.id" }
        "###);
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        fn check(text: &str) {
            let before = document(&[("a", text)]);
            let written = toml(&before, false);
            let after = document(&[("a", &written)]);
            assert_eq!(json(&before), json(&after), "{written}");
        }
        check("a = 'q\"\\'\n\"b c\" = \"it's \\\"so\\\"\"\nd = '''\n\n  two\n'lines'\n'''\ne = \"\\u0001\\t\"");
        check(
            "a = 1\nb = -2.5\nc = 1e30\nd = 2027-02-16\ne = []\nf = {}\ng = [{ a = 1 }, { b = [2, '3'] }]\n[h.i.j]\nk = true",
        );
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("providers")).expect("the folder") {
            check(&std::fs::read_to_string(entry.expect("an entry").path()).expect("a file"));
        }
    }
}
