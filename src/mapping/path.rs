//! A JSONPath (RFC 9535), parsed when its file is loaded, so that a mistake is the author's to see and never a
//! caller's.

use std::fmt;

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// A compiled JSONPath.
#[derive(Clone)]
pub struct Path {
    text: Box<str>,
    query: JpQuery,
}

/// The text is not a JSONPath.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a JSONPath; write for example `$.authed_user.access_token`")]
pub struct PathError(String);

impl Path {
    /// Compiles the text, which has to begin with `$`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mistake = || PathError(text.to_owned());
        if !text.starts_with('$') {
            return Err(mistake());
        }
        let query = parse_json_path(text).map_err(|_| mistake())?;
        Ok(Self { text: text.into(), query })
    }

    /// The first node, in document order; `None` when there is none or when it is `null`.
    pub fn first<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        let nodes = js_path_process(&self.query, document).ok()?;
        nodes.into_iter().map(jsonpath_rust::query::QueryRef::val).find(|node| !node.is_null())
    }

    /// The first node as text: strings as they are, numbers and booleans rendered; anything else is not text.
    pub fn text(&self, document: &Value) -> Option<String> {
        match self.first(document)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Path {}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_of_the_first_node() {
        fn check(path: &str, expected: Option<&str>) {
            let document = json!({ "team": { "id": 7, "name": null }, "ok": false, "list": ["a", "b"] });
            let path = Path::parse(path).expect("a path");
            assert_eq!(path.text(&document).as_deref(), expected, "{path:?}");
        }
        check("$.team.id", Some("7"));
        check("$.team.name", None);
        check("$.team", None);
        check("$.ok", Some("false"));
        check("$.list[*]", Some("a"));
        check("$.list[-1]", Some("b"));
        check("$.absent.deep", None);
    }

    #[test]
    fn mistakes_are_named() {
        for text in ["$[", "", "team.id", "$..", "$[?@.a ==]"] {
            assert!(Path::parse(text).is_err(), "{text:?}");
        }
    }
}
