//! The reference of `config.toml` for people: of each table an example with every key, and its keys with what they hold,
//! their defaults and meanings. Made from what the readers say of their keys, as the schemas are, and set into a page that
//! somebody wrote, between marks:
//!
//! ```text
//! <!-- keys of [server] -->
//! …
//! <!-- end -->
//! ```

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::{Key, Kind, keys};

/// What stands for a name of the author's choice in examples.
const NAMES: [(&str, &str); 2] =
    [("integrations.<name>", "integrations.work"), ("callers.<name>", "callers.crm-backend")];

/// What a region of the page begins with, before the table's name.
const BEGIN: &str = "<!-- keys of [";
/// What ends its first line.
const BEGUN: &str = "] -->\n";
/// What a region ends with.
const END: &str = "<!-- end -->";

/// The page with its regions written anew. A table that has no region is added at the end, so that nothing is forgotten;
/// what stands between marks for a table that is no more goes.
pub fn config_reference(page: &str) -> String {
    let tables = tables();
    let mut written = Vec::new();
    let mut parts = page.split(BEGIN);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(BEGUN).unwrap_or((part, ""));
        // Without an end mark, everything that follows was written by hand.
        let rest = rest.split_once(END).map_or(rest, |(_, rest)| rest);
        if let Some(table) = tables.iter().find(|table| table.name == name) {
            written.push(name);
            text.push_str(&table.region());
        }
        text.push_str(rest);
    }
    for table in tables.iter().filter(|table| !written.contains(&table.name.as_str())) {
        let (name, doc) = (&table.name, table.doc);
        text.push_str(&format!("\n## `[{name}]`\n\n{doc}\n\n{}\n", table.region()));
    }
    text
}

/// One table of the file with the keys that are no tables.
struct Table<'a> {
    name: String,
    doc: &'a str,
    keys: Vec<&'a Key>,
}

/// In the order in which they are described.
fn tables() -> Vec<Table<'static>> {
    // Described once for the process: the reference borrows from it.
    static KEYS: std::sync::LazyLock<Vec<Key>> = std::sync::LazyLock::new(keys);
    let parent = |path: &str| path.rsplit_once('.').map_or("", |(parent, _)| parent).to_owned();
    let mut tables: Vec<Table<'static>> = Vec::new();
    for key in KEYS.iter().filter(|key| !key.kind.is_table()) {
        let name = parent(&key.path);
        match tables.iter_mut().find(|table| table.name == name) {
            Some(table) => table.keys.push(key),
            None => {
                let of = name.strip_suffix(".<name>").unwrap_or(&name);
                let doc = KEYS.iter().find(|key| key.path == of).map_or("", |key| key.doc);
                tables.push(Table { name, doc, keys: vec![key] });
            }
        }
    }
    tables
}

impl Table<'_> {
    /// From mark to mark.
    fn region(&self) -> String {
        format!("{BEGIN}{}{BEGUN}{}\n{}{END}", self.name, self.example(), self.rows())
    }

    /// Every key with a value that could stand there.
    fn example(&self) -> String {
        let header =
            NAMES.iter().fold(self.name.clone(), |name, (placeholder, stand_in)| name.replace(placeholder, stand_in));
        let width = self.keys.iter().map(|key| last(&key.path).len()).max().unwrap_or(0);
        let mut text = format!("```toml keys\n[{header}]\n");
        for key in &self.keys {
            let value = key.example.clone().or_else(|| key.default.clone()).unwrap_or_else(|| usual(&key.kind));
            let _ = writeln!(text, "{:width$} = {}", last(&key.path), toml(&value));
        }
        text + "```\n"
    }

    fn rows(&self) -> String {
        let mut text = "| key | holds | default | meaning |\n|---|---|---|---|\n".to_owned();
        for key in &self.keys {
            let default = match &key.default {
                Some(default) => format!("`{}`", toml(default)),
                None if key.is_required => "has to be there".to_owned(),
                None => String::new(),
            };
            let row = [format!("`{}`", last(&key.path)), holds(&key.kind), default, key.doc.to_owned()];
            let cells = row.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// What a key holds, in words.
fn holds(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".into(),
        Kind::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word:?}`")).collect();
            words.join(", ")
        }
        Kind::Url => "a URL".into(),
        Kind::Address => "address and port".into(),
        Kind::JsonPath => "a JSONPath".into(),
        Kind::Date => "a day".into(),
        Kind::Integer(bounds) => format!("{} to {}", bounds.start(), bounds.end()),
        Kind::Share => "a number from 0 to 1".into(),
        Kind::Boolean => "`true`, `false`".into(),
        Kind::Duration => "a span of time".into(),
        Kind::Path => "a path".into(),
        Kind::Secret => "a secret".into(),
        Kind::List(element) => format!("a list: {}", holds(element)),
        Kind::OneOrMore(element) => format!("{}, or a list of it", holds(element)),
        Kind::Either(kinds) => kinds.iter().map(holds).collect::<Vec<_>>().join(", or "),
        Kind::TextTable => "a table of texts".into(),
        Kind::SecretTable => "a table of secrets".into(),
        Kind::SecretTables => "tables of secrets".into(),
        Kind::Value | Kind::Anything => "any value".into(),
        Kind::TableList { .. } => "a list of tables".into(),
        // By name, so that a kind that is added cannot pass for one of them.
        Kind::Members(_)
        | Kind::ValueTable
        | Kind::AnyTable
        | Kind::Table
        | Kind::Tables { .. }
        | Kind::DefaultsOf(_) => "a table".into(),
    }
}

/// An example for a key that has neither one of its own nor a default.
fn usual(kind: &Kind) -> Json {
    match kind {
        Kind::Word(words) => words.first().copied().unwrap_or_default().into(),
        Kind::Url => "https://keys.example.com".into(),
        Kind::Address => "127.0.0.1:8080".into(),
        Kind::JsonPath => "$.id".into(),
        Kind::Date => "2026-11-24".into(),
        Kind::Integer(bounds) => (*bounds.start()).into(),
        Kind::Share => 1.0.into(),
        Kind::Boolean => true.into(),
        Kind::Duration => "30s".into(),
        Kind::Secret => "env:NAME".into(),
        Kind::List(_) | Kind::TableList { .. } => Json::Array(Vec::new()),
        Kind::OneOrMore(kind) => usual(kind),
        Kind::Either(kinds) => kinds.first().map_or(Json::Null, usual),
        Kind::Text | Kind::Path | Kind::Value | Kind::Anything => "…".into(),
        Kind::Members(_)
        | Kind::TextTable
        | Kind::SecretTable
        | Kind::SecretTables
        | Kind::ValueTable
        | Kind::AnyTable
        | Kind::Table
        | Kind::Tables { .. }
        | Kind::DefaultsOf(_) => Json::Object(serde_json::Map::new()),
    }
}

/// A value as TOML writes it on one line. TOML's basic strings take what JSON's take.
fn toml(value: &Json) -> String {
    match value {
        Json::Array(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Json::Object(members) if members.is_empty() => "{}".into(),
        Json::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name} = {}", toml(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_stays() {
        let page = "# Page\n\nBefore.\n\n<!-- keys of [log] -->\nstale\n<!-- end -->\n\nAfter.\n\n<!-- keys of [gone] -->\n<!-- end -->\nEnd.\n";
        let filled = config_reference(page);
        assert!(filled.starts_with("# Page\n\nBefore.\n\n<!-- keys of [log] -->\n```toml keys\n[log]\n"), "{filled}");
        assert!(filled.contains("<!-- end -->\n\nAfter.\n\n\nEnd.\n\n## `[net]`"), "{filled}");
        assert!(!filled.contains("stale") && !filled.contains("gone"), "{filled}");
        assert_eq!(config_reference(&filled), filled, "once is enough");
    }

    #[test]
    fn every_key_is_in_it_with_an_example() {
        let all = config_reference("");
        for key in keys().iter().filter(|key| !key.kind.is_table()) {
            let name = last(&key.path);
            assert!(all.contains(&format!("| `{name}` | ")), "{}", key.path);
            assert!(!all.contains(&format!("\n{name} = null")), "{}", key.path);
        }
    }

    #[test]
    fn a_share_is_a_number() {
        let all = config_reference("");
        for name in ["call_sample", "sample"] {
            assert!(all.contains(&format!("| `{name}` | a number from 0 to 1 | `1.0` | ")), "{name}");
        }
    }
}
