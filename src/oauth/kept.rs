//! What is kept of token answers besides tokens: providers return there what nobody asked for yet. It is sealed with the
//! grant and never shown by itself; a capture that its file gains later reads it.

use serde_json::{Map, Value};

use super::capture::holds_token;
use crate::model::{Grant, Secret};

/// Most bytes of JSON that are kept; of an answer that makes it more, nothing is.
const MOST_BYTES: usize = 8 * 1024;

/// Members that hold tokens, wherever they stand.
const TOKENS: [&str; 3] = ["access_token", "refresh_token", "id_token"];

/// The JSON to keep after an answer, given what was kept before it. What the answer leaves out stays.
pub(super) fn kept(answer: &Value, tokens: &[&Secret], before: Option<&Grant>) -> Option<Secret> {
    let mut document = before.and_then(document).unwrap_or_else(|| Value::Object(Map::new()));
    let mut answer = answer.clone();
    prune(&mut answer, tokens);
    merge(&mut document, answer);
    let is_empty = document.as_object().is_none_or(Map::is_empty);
    let text = Secret::new(document.to_string());
    (!is_empty && text.expose().len() <= MOST_BYTES).then_some(text)
}

/// What is kept with a grant.
pub(super) fn document(grant: &Grant) -> Option<Value> {
    serde_json::from_str(grant.answer.as_ref()?.expose()).ok()
}

/// Takes out every token, by its name and by its value.
fn prune(value: &mut Value, tokens: &[&Secret]) {
    let is_token = |value: &Value| value.as_str().is_some_and(|text| holds_token(text, tokens));
    match value {
        Value::Object(members) => {
            members.retain(|name, value| !(is_token(value) || value.is_string() && TOKENS.contains(&name.as_str())));
            members.values_mut().for_each(|value| prune(value, tokens));
        }
        Value::Array(members) => {
            members.retain(|value| !is_token(value));
            members.iter_mut().for_each(|value| prune(value, tokens));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Objects member by member; anything else is replaced, but not by nothing.
fn merge(document: &mut Value, answer: Value) {
    match (document, answer) {
        (_, Value::Null) => {}
        (Value::Object(members), Value::Object(newer)) => {
            for (name, value) in newer {
                merge(members.entry(name).or_insert(Value::Null), value);
            }
        }
        (document, answer) => *document = answer,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn after(before: Option<&str>, answer: Value) -> Option<Value> {
        let grant = Grant { answer: before.map(Secret::new), ..Grant::default() };
        let text = kept(&answer, &[&Secret::new("A"), &Secret::new("R")], Some(&grant))?;
        Some(serde_json::from_str(text.expose()).expect("JSON"))
    }

    #[test]
    fn everything_but_tokens() {
        let answer = json!({
            "access_token": "A", "refresh_token": "R", "id_token": "I", "expires_in": 3600, "copy": "A",
            "team": { "id": 7, "access_token": "another", "list": ["A", "b"] },
        });
        let expected = json!({ "expires_in": 3600, "team": { "id": 7, "list": ["b"] } });
        assert_eq!(after(None, answer), Some(expected));
        assert_eq!(after(None, json!({ "access_token": "A" })), None);
    }

    #[test]
    fn an_answer_adds_and_replaces() {
        let before = r#"{"team":{"id":7,"name":"blue"},"plan":"free"}"#;
        let expected = json!({ "team": { "id": 8, "name": "blue" }, "plan": "free", "list": [1] });
        assert_eq!(after(Some(before), json!({ "team": { "id": 8 }, "plan": null, "list": [1] })), Some(expected));
    }

    #[test]
    fn beyond_the_cap_nothing_is_kept() {
        let fits = "x".repeat(MOST_BYTES - r#"{"a":""}"#.len());
        assert!(after(None, json!({ "a": fits })).is_some());
        assert_eq!(after(None, json!({ "a": format!("{fits}x") })), None);
    }

    proptest! {
        #[test]
        fn no_token_is_kept(names in proptest::collection::vec("[a-z_]{1,13}", 1..5), deep in 0usize..4) {
            let mut answer = json!("the-access-token");
            for name in names.iter().cycle().take(deep + 1) {
                answer = json!({ name.as_str(): [answer], "other": 1 });
            }
            let text = kept(&answer, &[&Secret::new("the-access-token")], None).expect("something else is there");
            prop_assert!(!text.expose().contains("the-access-token"));
        }
    }
}
