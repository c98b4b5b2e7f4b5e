//! A JSONPath (RFC 9535), parsed when its file is loaded, so that a mistake is the author's to see and never a
//! caller's.
//!
//! The paths that provider files mostly hold (names, indexes, `[*]`, `[?@.name == 'text']`) are walked directly: they are
//! evaluated several times for every record of a million, and the library notes where each node stands. All others go
//! through the library, which also decides what is a path at all. A property test holds both to the same answers.

mod listing;
mod steps;

use std::fmt;

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

use self::steps::Steps;
use super::Wanted;

/// A compiled JSONPath.
#[derive(Clone)]
pub struct Path {
    text: Box<str>,
    query: JpQuery,
    steps: Option<Steps>,
}

/// Nodes that were moved out of a document.
#[derive(Debug, Default)]
pub struct Taken {
    /// The nodes, in document order.
    pub nodes: Vec<Value>,
    /// How many members the lists had before the last filter chose from them; as many as `nodes` where that is not known
    /// ([`Path::counts`]).
    pub listed: usize,
    /// Whether there is anything where the list should be.
    pub is_there: bool,
}

/// The text is not a JSONPath.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a JSONPath; write for example `$.authed_user.access_token`")]
pub struct PathError(String);

impl Path {
    /// Compiles the text, which has to begin with `$`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mistake = || PathError(text.to_owned());
        let Some(relative) = text.strip_prefix('$') else { return Err(mistake()) };
        let query = parse_json_path(text).map_err(|_| mistake())?;
        Ok(Self { text: text.into(), query, steps: Steps::read(relative) })
    }

    /// The first node, in document order; `None` when there is none or when it is `null`.
    pub fn first<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        let mut first = None;
        self.visit(document, &mut |node| {
            first = (!node.is_null()).then_some(node);
            first.is_none()
        });
        first
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

    /// Shows every node, in document order, for as long as `found` answers true.
    pub fn visit<'a>(&self, document: &'a Value, found: &mut dyn FnMut(&'a Value) -> bool) {
        match &self.steps {
            Some(steps) => {
                steps.visit(document, found);
            }
            None => {
                let nodes = js_path_process(&self.query, document).unwrap_or_default();
                let _ = nodes.into_iter().map(jsonpath_rust::query::QueryRef::val).all(found);
            }
        }
    }

    /// Moves the nodes out of the document where the path ends in a list's `[*]` or `[?…]`, and copies them otherwise.
    pub fn take(&self, document: &mut Value) -> Taken {
        if let Some(taken) = self.steps.as_ref().and_then(|steps| steps.take(document)) {
            return taken;
        }
        let mut nodes = Vec::new();
        self.visit(document, &mut |node| {
            nodes.push(node.clone());
            true
        });
        let count = |query: &JpQuery| js_path_process(query, &*document).map_or(0, |nodes| nodes.len());
        let listed = listing::members(&self.query).map_or(nodes.len(), |members| count(&members));
        let is_there = count(&listing::place(&self.query)) > 0;
        Taken { nodes, listed, is_there }
    }

    /// Puts a value where the path finds it first, with all that leads there, in place of a text or number that is there
    /// already. False where that cannot be: the path is none of those that are walked without the library, or something
    /// else is in the way.
    pub fn plant(&self, document: &mut Value, value: Value) -> bool {
        let Some(steps) = &self.steps else { return false };
        steps.plant(document, value.clone()) && self.first(document) == Some(&value)
    }

    /// Whether [`Path::take`] knows how many members there were before a filter: only where nothing but the last step that
    /// can select several nodes leaves any of them out, and that one is a filter if it does.
    pub fn counts(&self) -> bool {
        listing::members(&self.query).is_some()
    }

    /// Whether the path ends in what selects members: `[*]`, `[?…]` or `[a:b]`.
    pub fn ends_in_members(&self) -> bool {
        listing::ends_in_members(&self.query)
    }

    /// Adds to a tree what the path looks at on its way, and answers the part in which its nodes lie: the whole, where
    /// nobody knows the way.
    pub(super) fn mark<'w>(&self, wanted: &'w mut Wanted) -> &'w mut Wanted {
        match &self.steps {
            Some(steps) => steps.mark(wanted),
            None => wanted.whole(),
        }
    }

    /// The name that the path begins with: `a` of `$.a.b`.
    pub fn first_name(&self) -> Option<&str> {
        self.steps.as_ref()?.first_name()
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
    use proptest::prelude::*;
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

    #[test]
    fn the_usual_paths_are_walked_directly() {
        for text in [
            "$",
            "$.a.b",
            "$['@odata.nextLink']",
            "$.x[0]",
            "$.data[-1].id",
            "$.results[*]",
            "$.results[?@.in_trash != true]",
            "$.properties[?@.type == 'title'].title[*].plain_text",
            "$.request_status[?@ == 'incomplete']",
            "$.value[?!@.deleted]",
        ] {
            assert!(Path::parse(text).expect("a path").steps.is_some(), "{text}");
        }
        for text in ["$..content", "$.a[0:2]", "$.a['b','c']", "$.a[?@.b > 1]", "$['a\\'b']", "$.a [0]"] {
            assert!(Path::parse(text).expect("a path").steps.is_none(), "{text}");
        }
    }

    #[test]
    fn taking_moves_and_counts_what_a_filter_leaves_out() {
        fn check(path: &str, nodes: Value, listed: usize, rest: Value) {
            let mut document = json!({ "rows": [{ "id": 1 }, { "id": 2, "gone": true }], "next": "n" });
            let taken = Path::parse(path).expect("a path").take(&mut document);
            assert_eq!((Value::Array(taken.nodes), taken.listed, document), (nodes, listed, rest), "{path}");
            assert_eq!(taken.is_there, !path.contains("absent"), "{path}");
        }
        let rest = || json!({ "rows": [], "next": "n" });
        let whole = || json!({ "rows": [{ "id": 1 }, { "id": 2, "gone": true }], "next": "n" });
        check("$.rows[*]", json!([{ "id": 1 }, { "id": 2, "gone": true }]), 2, rest());
        check("$.rows[?@.gone != true]", json!([{ "id": 1 }]), 2, rest());
        check("$.rows[?@.id > 1]", json!([{ "id": 2, "gone": true }]), 2, whole());
        check("$.rows[?@.id > 1 && @.gone]", json!([{ "id": 2, "gone": true }]), 2, whole());
        check("$.rows[?@.id > 1].id", json!([2]), 2, whole());
        check("$.rows[*].gone", json!([true]), 2, whole());
        check("$..rows[?@.id > 5]", json!([]), 2, whole());
        check("$.next[?@.id]", json!([]), 0, whole());
        check("$.absent[*]", json!([]), 0, whole());
        check("$.absent[?@.id > 1]", json!([]), 0, whole());
        check("$.absent", json!([]), 0, whole());
    }

    #[test]
    fn members_of_several_lists_are_counted_together() {
        fn check(path: &str, nodes: usize, listed: usize) {
            let mut document = json!({ "groups": [
                { "rows": [{ "id": 1 }, { "id": 2, "name": "b" }] }, { "rows": [{ "id": 3, "name": "a" }] }, {},
            ] });
            let taken = Path::parse(path).expect("a path").take(&mut document);
            assert_eq!((taken.nodes.len(), taken.listed), (nodes, listed), "{path}");
        }
        check("$.groups[*].rows[?@.id == 2]", 1, 3);
        check("$.groups[*].rows[?@.name == 'a']", 1, 3);
        check("$.groups[*].rows[?match(@.name, 'b')]", 1, 3);
        check("$.groups[?@.rows]", 2, 3);
        check("$.groups[*].rows[*]", 3, 3);
    }

    #[test]
    fn what_is_counted_and_what_selects_members() {
        fn check(path: &str, counts: bool, ends_in_members: bool) {
            let read = Path::parse(path).expect("a path");
            assert_eq!((read.counts(), read.ends_in_members()), (counts, ends_in_members), "{path}");
        }
        check("$.rows[*]", true, true);
        check("$.rows[?@.a > 1]", true, true);
        check("$.groups[*].rows[?@.a]", true, true);
        check("$..rows[?@.a]", true, true);
        check("$.rows[?@.a].node", true, false);
        check("$.rows", true, false);
        check("$", true, false);
        check("$..rows", true, false);
        check("$.groups[?@.a].rows[*]", false, true);
        check("$.groups[?@.a].rows[?@.b]", false, true);
        check("$.rows[1:]", false, true);
        check("$.rows[0,1]", false, true);
        check("$..[?@.a]", false, true);
        check("$..*", false, true);
    }

    proptest! {
        #[test]
        fn both_walks_agree(path in path(), document in document()) {
            let path = Path::parse(&path).expect("a path");
            prop_assert!(path.steps.is_some(), "{path:?}");
            let library = Path { steps: None, ..path.clone() };
            let nodes = |path: &Path| {
                let mut nodes = Vec::new();
                path.visit(&document, &mut |node| { nodes.push(node.clone()); true });
                nodes
            };
            prop_assert_eq!(nodes(&path), nodes(&library));
            prop_assert_eq!(path.first(&document), library.first(&document));
            let (taken, other) = (path.take(&mut document.clone()), library.take(&mut document.clone()));
            prop_assert_eq!(&taken.nodes, &other.nodes);
            prop_assert_eq!(taken.is_there, other.is_there);
            prop_assert_eq!(taken.listed, other.listed);
        }

        #[test]
        fn any_text_is_a_path_or_is_refused(text in "\\$[ .a-c*?@=!'\"\\[\\]0-9-]{0,16}") {
            if let Ok(path) = Path::parse(&text) {
                let document = json!({ "a": [{ "b": "c" }], "b": { "a": 1 } });
                let library = Path { steps: None, ..path.clone() };
                prop_assert_eq!(path.first(&document), library.first(&document), "{}", text);
            }
        }
    }

    fn path() -> impl Strategy<Value = String> {
        let step = prop_oneof![
            4 => "\\.[abc]",
            1 => "\\['[abc@.]{1,2}'\\]",
            1 => "\\[\"[abc ]{1,2}\"\\]",
            1 => "\\[(0|1|-1|-2)\\]",
            1 => Just("[*]".to_owned()),
            1 => Just(".*".to_owned()),
            1 => "\\[\\?@(\\.[abc])? ?(==|!=) ?('[ab]'|true|false)\\]",
            1 => "\\[\\?!?@\\.[abc](\\[0\\]|\\.[ab])?\\]",
        ];
        prop::collection::vec(step, 0..5).prop_map(|steps| format!("${}", steps.concat()))
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3i64).prop_map(Value::from),
            "[ab]{0,1}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[cab@.]{1,2}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
