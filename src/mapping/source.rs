//! The value language: where a field's value comes from. Paths on the record and on what belongs to it, templates,
//! constants, and the few combinations that JSONPath cannot say. No functions, no conditions, no code.

mod phrase;
mod reference;

use std::borrow::Cow;

use serde_json::Value;

use super::time::TimeFormat;
pub use phrase::Phrase;
pub use reference::{Reference, Root, Scope};

const NULL: &Value = &Value::Null;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Always the same.
    Constant(Value),
    /// The first node of a path.
    Reference(Reference),
    /// Text with paths in it.
    Phrase(Phrase),
    /// The first that is neither null nor an empty text or list.
    FirstOf(Vec<Self>),
    /// All nodes as one text; null when there is none.
    Join {
        /// The nodes.
        nodes: Reference,
        /// What stands between them.
        separator: String,
    },
    /// All nodes as a list.
    List(Reference),
    /// Whether there is a node that is not null.
    Exists(Reference),
    /// The value that stands beside the node's text.
    Map {
        /// The node.
        of: Reference,
        /// Texts and their values.
        map: Vec<(String, Value)>,
        /// For every other text, and for none.
        default: Value,
    },
    /// A moment, as RFC 3339 in UTC. What is not one stays as it is, so that whoever wants a time sees that it is not.
    Time {
        /// The node.
        of: Reference,
        /// How the provider writes it.
        format: TimeFormat,
    },
}

/// Why a text is not of the value language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It is no JSONPath, or none that begins at something there is.
    #[error("`{0}` is not a JSONPath; begin with `$.`, `$parent.`, `$grandparent.`, `$conn.`, `$page.` or `$let.`")]
    NotAPath(String),
    /// A `{` without its `}`, or a `}` without its `{`.
    #[error("has a brace without its partner; write `{{{{` or `}}}}` for a literal brace")]
    Unbalanced,
    /// What stands between the braces is not a path.
    #[error("has `{{{0}}}`, which is not a JSONPath; write for example `{{$.id}}`")]
    NotAPlaceholder(String),
}

impl Source {
    /// Reads a text: a path when it begins with `$`, a template when it holds braces, and otherwise itself.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        if text.starts_with('$') {
            return Reference::parse(text).map(Self::Reference);
        }
        let phrase = Phrase::parse(text, true)?;
        Ok(match phrase.constant() {
            Some(constant) => Self::Constant(constant.into()),
            None => Self::Phrase(phrase),
        })
    }

    /// The value; null when there is none.
    pub fn evaluate<'a>(&'a self, scope: &Scope<'a>) -> Cow<'a, Value> {
        match self {
            Self::Constant(value) => Cow::Borrowed(value),
            Self::Reference(reference) => Cow::Borrowed(reference.first(scope).unwrap_or(NULL)),
            Self::Phrase(phrase) => owned(phrase.render(scope).map(Value::String)),
            Self::FirstOf(sources) => {
                let values = sources.iter().map(|source| source.evaluate(scope));
                values.into_iter().find(|value| !is_empty(value)).unwrap_or(Cow::Borrowed(NULL))
            }
            Self::Join { nodes, separator } => owned(join(nodes, separator, scope).map(Value::String)),
            Self::List(nodes) => {
                let mut list = Vec::new();
                nodes.visit(scope, &mut |node| {
                    list.push(node.clone());
                    true
                });
                Cow::Owned(Value::Array(list))
            }
            Self::Exists(node) => Cow::Owned(Value::Bool(node.first(scope).is_some())),
            Self::Map { of, map, default } => {
                let text = of.first(scope).and_then(text_of);
                let found = text.and_then(|text| map.iter().find(|(written, _)| *written == text));
                Cow::Borrowed(found.map_or(default, |(_, value)| value))
            }
            Self::Time { of, format } => match of.first(scope) {
                None => Cow::Borrowed(NULL),
                Some(value) => match format.read(value) {
                    Some(moment) => Cow::Owned(Value::String(moment.into_owned())),
                    None => Cow::Borrowed(value),
                },
            },
        }
    }

    /// The value as text for a place that must not be left empty; `None` when it, or any placeholder of a template, is
    /// null, empty, or a list or an object.
    pub fn text<'a>(&'a self, scope: &Scope<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::Constant(value) => plain_text(value),
            Self::Phrase(phrase) => phrase.fill(scope).map(Cow::Owned),
            _ => match self.evaluate(scope) {
                Cow::Borrowed(value) => text_of(value),
                Cow::Owned(value) => text_of(&value).map(|text| Cow::Owned(text.into_owned())),
            },
        }
    }

    /// The value, when it is always the same.
    pub fn constant(&self) -> Option<&Value> {
        match self {
            Self::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Every path in it.
    pub fn references(&self) -> Vec<&Reference> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Phrase(phrase) => phrase.references().collect(),
            Self::FirstOf(sources) => sources.iter().flat_map(Self::references).collect(),
            Self::Reference(only)
            | Self::Join { nodes: only, .. }
            | Self::List(only)
            | Self::Exists(only)
            | Self::Map { of: only, .. }
            | Self::Time { of: only, .. } => vec![only],
        }
    }
}

fn owned<'a>(value: Option<Value>) -> Cow<'a, Value> {
    value.map_or(Cow::Borrowed(NULL), Cow::Owned)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn join(nodes: &Reference, separator: &str, scope: &Scope<'_>) -> Option<String> {
    let mut joined: Option<String> = None;
    nodes.visit(scope, &mut |node| {
        if let Some(text) = plain_text(node) {
            match &mut joined {
                Some(joined) => {
                    joined.push_str(separator);
                    joined.push_str(&text);
                }
                None => joined = Some(text.into_owned()),
            }
        }
        true
    });
    joined
}

/// Text as it is; numbers and booleans rendered; `None` for anything else.
fn plain_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The same, where empty text is none.
fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    plain_text(value).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Value {
        json!({
            "id": 7, "first": "Mira", "last": null, "empty": "", "ok": true,
            "runs": [{ "text": "Team " }, { "text": "handbook" }, { "text": null }],
            "mime": "application/x-dir", "ms": 1_700_000_000_000i64, "folder": {}, "gone": null,
        })
    }

    fn evaluate(source: &Source) -> Value {
        let (record, parent) = (record(), json!({ "name": "Launch" }));
        let (connection, page) = (json!({ "hub_id": "48" }), json!({ "delta": "d1" }));
        let lets = json!({ "text": "computed" });
        let scope = Scope {
            record: &record,
            parent: &parent,
            grandparent: NULL,
            connection: &connection,
            page: &page,
            lets: &lets,
        };
        source.evaluate(&scope).into_owned()
    }

    #[test]
    fn texts() {
        fn check(text: &str, expected: Value) {
            assert_eq!(evaluate(&Source::parse(text).expect(text)), expected, "{text}");
        }
        check("Base", json!("Base"));
        check("$.id", json!(7));
        check("$.absent", json!(null));
        check("$", record());
        check("$parent.name", json!("Launch"));
        check("$grandparent.name", json!(null));
        check("$conn.hub_id", json!("48"));
        check("$page.delta", json!("d1"));
        check("$let.text", json!("computed"));
        check("{$.id}_Contact", json!("7_Contact"));
        check("{$.first} {$.last}", json!("Mira"));
        check("{$.last}{$.empty}_Company", json!(null));
        check("{$conn.hub_id}/{$parent.name}", json!("48/Launch"));
        check("{{{$.id}}}", json!("{7}"));
        check("{{}}", json!("{}"));
        check("{$['first']}", json!("Mira"));
        check("{$.runs}", json!(null));
        check("{$.ok}", json!("true"));
    }

    #[test]
    fn combinations() {
        fn check(source: Source, expected: Value) {
            assert_eq!(evaluate(&source), expected, "{source:?}");
        }
        let at = |text: &str| Reference::parse(text).expect("a path");
        let source = |text: &str| Source::parse(text).expect("a source");
        check(Source::FirstOf(vec![source("$.last"), source("$.empty"), source("$.first")]), json!("Mira"));
        check(Source::FirstOf(vec![source("$.last")]), json!(null));
        check(Source::Join { nodes: at("$.runs[*].text"), separator: "".into() }, json!("Team handbook"));
        check(Source::Join { nodes: at("$.runs[*].text"), separator: "-".into() }, json!("Team -handbook"));
        check(Source::Join { nodes: at("$.none[*]"), separator: "".into() }, json!(null));
        check(Source::List(at("$.runs[*].text")), json!(["Team ", "handbook", null]));
        check(Source::Exists(at("$.folder")), json!(true));
        check(Source::Exists(at("$.gone")), json!(false));
        let map = |of: &str| Source::Map {
            of: at(of),
            map: vec![("application/x-dir".into(), json!("folder")), ("7".into(), json!(true))],
            default: json!("file"),
        };
        check(map("$.mime"), json!("folder"));
        check(map("$.id"), json!(true));
        check(map("$.first"), json!("file"));
        check(map("$.gone"), json!("file"));
        check(Source::Time { of: at("$.ms"), format: TimeFormat::UnixMillis }, json!("2023-11-14T22:13:20Z"));
        check(Source::Time { of: at("$.first"), format: TimeFormat::UnixMillis }, json!("Mira"));
        check(Source::Time { of: at("$.gone"), format: TimeFormat::UnixMillis }, json!(null));
        check(Source::Phrase(Phrase::parse(" {$.first} ", false).expect("a template")), json!(" Mira "));
    }

    #[test]
    fn mistakes() {
        fn check(text: &str, expected: SourceError) {
            assert_eq!(Source::parse(text), Err(expected), "{text}");
        }
        check("$.", SourceError::NotAPath("$.".into()));
        check("$record.id", SourceError::NotAPath("$record.id".into()));
        check("a {", SourceError::Unbalanced);
        check("a }", SourceError::Unbalanced);
        check("{id}", SourceError::NotAPlaceholder("id".into()));
        check("{$.a[}", SourceError::NotAPlaceholder("$.a[".into()));
    }

    #[test]
    fn what_must_not_be_left_empty() {
        fn check(text: &str, expected: Option<&str>) {
            let record = record();
            let scope = Scope { record: &record, ..Scope::default() };
            assert_eq!(Source::parse(text).expect(text).text(&scope).as_deref(), expected, "{text}");
        }
        check("", Some(""));
        check("$.id", Some("7"));
        check("$.empty", None);
        check("$.runs", None);
        check("{$.first} {$.last}", None);
        check("{$.first}!", Some("Mira!"));
    }
}
