//! The way back: from a path to a document in which it finds a value.

use serde_json::{Map, Value};

use super::{Filter, Step, Steps, Test, counted};

/// A document that was made for its path is not long; `$[1000000]` is refused rather than built.
const LONGEST_LIST: usize = 64;

impl Steps {
    /// Puts the value where the steps lead, building what is not there yet; false where something else is in the way.
    pub(in crate::mapping::path) fn plant(&self, document: &mut Value, value: Value) -> bool {
        plant(&self.0, document, value)
    }
}

fn plant(steps: &[Step], node: &mut Value, value: Value) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        let is_free = !node.is_object() && !node.is_array() || *node == value;
        if is_free {
            *node = value;
        }
        return is_free;
    };
    if node.is_null() {
        *node = if matches!(step, Step::Name(_)) { Value::Object(Map::new()) } else { Value::Array(Vec::new()) };
    }
    let next = match (step, node) {
        (Step::Name(name), Value::Object(members)) => Some(members.entry(&**name).or_insert(Value::Null)),
        (Step::Index(index), Value::Array(members)) => place(*index, members),
        (Step::Every, Value::Array(members)) => place(0, members),
        (Step::Where(filter), Value::Array(members)) => filter.place(members),
        _ => None,
    };
    next.is_some_and(|next| plant(rest, next, value))
}

/// The member at that index, with as many before it as that takes.
fn place(index: i64, members: &mut Vec<Value>) -> Option<&mut Value> {
    let length = usize::try_from(index.unsigned_abs()).ok()? + usize::from(index >= 0);
    if length > LONGEST_LIST {
        return None;
    }
    if members.len() < length {
        members.resize(length, Value::Null);
    }
    let at = counted(index, members.len())?;
    members.get_mut(at)
}

impl Filter {
    /// The first member of which it is true; one is added where there is none.
    fn place<'a>(&self, members: &'a mut Vec<Value>) -> Option<&'a mut Value> {
        let at = match members.iter().position(|member| self.holds(member)) {
            Some(at) => at,
            None => {
                members.push(self.example()?);
                members.len() - 1
            }
        };
        members.get_mut(at)
    }

    /// Something of which it is true.
    fn example(&self) -> Option<Value> {
        let mut example = Value::Null;
        let planted = match &self.test {
            Test::Equal(literal) => self.member.plant(&mut example, literal.clone()),
            Test::Present => self.member.plant(&mut example, Value::Bool(true)),
            Test::Unequal(_) | Test::Absent => true,
        };
        (planted && self.holds(&example)).then_some(example)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::mapping::Path;

    #[test]
    fn documents_for_paths() {
        fn check(paths: &[&str], expected: Option<Value>) {
            let mut document = Value::Null;
            let planted = paths.iter().enumerate().all(|(number, path)| {
                let path = Path::parse(path).expect("a path");
                path.plant(&mut document, Value::from(number))
            });
            assert_eq!(planted.then_some(document), expected, "{paths:?}");
        }
        check(&["$.a"], Some(json!({ "a": 0 })));
        check(&["$.a.b", "$.a.c", "$.d"], Some(json!({ "a": { "b": 0, "c": 1 }, "d": 2 })));
        check(&["$['a b'].c"], Some(json!({ "a b": { "c": 0 } })));
        check(&["$.sites[1].id"], Some(json!({ "sites": [null, { "id": 0 }] })));
        check(&["$.sites[-1].id"], Some(json!({ "sites": [{ "id": 0 }] })));
        check(&["$[*].id"], Some(json!([{ "id": 0 }])));
        check(&["$[?@.kind == 'x'].id", "$[?@.kind != 'x'].id"], Some(json!([{ "kind": "x", "id": 0 }, { "id": 1 }])));
        check(&["$[?@.open].id"], Some(json!([{ "open": true, "id": 0 }])));
        check(&["$.a", "$.a"], Some(json!({ "a": 1 })));
        check(&["$.a.b", "$.a"], None);
        check(&["$.a", "$.a.b"], None);
        check(&["$..a"], None);
        check(&["$.a[100]"], None);
    }

    proptest! {
        #[test]
        fn what_is_planted_is_found(path in "\\$(\\.[a-c]|\\[[0-2]\\]|\\[-1\\]|\\[\\*\\]|\\[\\?@\\.[a-c] == 'x'\\]){1,5}") {
            let path = Path::parse(&path).expect("a path");
            let mut document = Value::Null;
            if path.plant(&mut document, json!("value")) {
                prop_assert_eq!(path.first(&document), Some(&json!("value")));
            }
        }
    }
}
