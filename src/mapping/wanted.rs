//! Which parts of a document anybody will look at. The rest is read past and never becomes a value: records are large,
//! and of most of a record no item is made.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Path;

/// A tree of the steps that paths take through a document. By default nothing is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A path ends here, or nobody knows where it leads: everything below is wanted.
    whole: bool,
    /// Members of an object, by name.
    members: Vec<(Box<str>, Self)>,
    /// Every other member of an object, and every one of a list.
    every: Option<Box<Self>>,
}

impl Wanted {
    /// Adds what the path may look at.
    pub fn add(&mut self, path: &Path) {
        path.mark(self).whole = true;
    }

    /// Adds what the filters of the path look at, and below its nodes all that is wanted there.
    pub fn add_below(&mut self, path: &Path, wanted: &Self) {
        path.mark(self).join(wanted);
    }

    /// Ready to be read with: what is wanted of every member is wanted of each that is named.
    pub fn settled(mut self) -> Self {
        let every = self.every.map(|every| Box::new(every.settled()));
        let members = self.members.into_iter().map(|(name, mut below)| {
            if let Some(every) = &every {
                below.join(every);
            }
            (name, below.settled())
        });
        self.members = members.collect();
        self.every = every;
        self
    }

    /// Reads a document, and keeps what is wanted of it. Every path that was added finds here what it would find in the
    /// whole; of the rest it is only known that it is JSON.
    pub fn read(&self, json: &[u8]) -> Result<Value, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let value = self.deserialize(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    /// The part below a member of that name.
    pub(super) fn member(&mut self, name: &str) -> &mut Self {
        let place = self.members.iter().position(|(known, _)| **known == *name).unwrap_or_else(|| {
            self.members.push((name.into(), Self::default()));
            self.members.len() - 1
        });
        &mut self.members[place].1
    }

    /// The part below every member.
    pub(super) fn every(&mut self) -> &mut Self {
        self.every.get_or_insert_default()
    }

    /// This part, with all that is below it.
    pub(super) fn whole(&mut self) -> &mut Self {
        self.whole = true;
        self
    }

    fn join(&mut self, other: &Self) {
        self.whole |= other.whole;
        for (name, below) in &other.members {
            self.member(name).join(below);
        }
        if let Some(below) = &other.every {
            self.every().join(below);
        }
    }

    fn of(&self, name: &str) -> Option<&Self> {
        let named = self.members.iter().find(|(known, _)| **known == *name).map(|(_, below)| below);
        named.or(self.every.as_deref())
    }
}

impl<'de> DeserializeSeed<'de> for &Wanted {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        if self.whole { serde::Deserialize::deserialize(reader) } else { reader.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for &Wanted {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(key) = members.next_key_seed(Key(self))? {
            match key {
                Some((name, below)) => {
                    kept.insert(name, members.next_value_seed(below)?);
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        match self.every.as_deref() {
            Some(every) => {
                while let Some(member) = members.next_element_seed(every)? {
                    kept.push(member);
                }
            }
            None => while members.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(Value::Array(kept))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
}

/// A member's name: kept, with what is wanted below it, or passed over without being copied.
struct Key<'w>(&'w Wanted);

impl<'de, 'w> DeserializeSeed<'de> for Key<'w> {
    type Value = Option<(String, &'w Wanted)>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Key<'w> {
    type Value = Option<(String, &'w Wanted)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.of(name).map(|below| (name.to_owned(), below)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn wanted(paths: &[&str]) -> Wanted {
        let mut wanted = Wanted::default();
        for path in paths {
            wanted.add(&Path::parse(path).expect("a path"));
        }
        wanted.settled()
    }

    #[test]
    fn what_is_kept() {
        fn check(paths: &[&str], expected: Value) {
            let document = json!({
                "id": 7, "time": "now", "parent": { "type": "a", "a": { "deep": [1] } }, "none": null,
                "properties": { "One": { "type": "x", "x": [1, 2] }, "Two": { "type": "title", "title": [{ "t": 1, "u": 2 }] } },
            });
            assert_eq!(wanted(paths).read(document.to_string().as_bytes()).expect("JSON"), expected, "{paths:?}");
        }
        check(&[], json!({}));
        check(&["$.id", "$.none", "$.absent"], json!({ "id": 7, "none": null }));
        check(&["$.parent.a"], json!({ "parent": { "a": { "deep": [1] } } }));
        check(&["$.parent.type", "$.parent"], json!({ "parent": { "type": "a", "a": { "deep": [1] } } }));
        check(
            &["$.properties[?@.type == 'title'].title[*].t"],
            json!({ "properties": { "One": { "type": "x" }, "Two": { "type": "title", "title": [{ "t": 1 }] } } }),
        );
        check(
            &["$.properties.One.x[-1]", "$.properties[*].type"],
            json!({ "properties": { "One": { "type": "x", "x": [1, 2] }, "Two": { "type": "title" } } }),
        );
        check(
            &["$.properties[?@.x]"],
            json!({ "properties": {
            "One": { "type": "x", "x": [1, 2] }, "Two": { "type": "title", "title": [{ "t": 1, "u": 2 }] },
        } }),
        );
        check(&["$.id.deeper"], json!({ "id": 7 }));
        check(&["$.properties.Two.title.t"], json!({ "properties": { "Two": { "title": [] } } }));
    }

    #[test]
    fn what_is_not_json_is_not_read() {
        for text in ["", "{", "{\"a\":1", "{\"a\":1}x", "{\"b\":[1,}", "<html>", "{\"b\":\"\n\"}", "{\"b\":nul}"] {
            assert!(wanted(&["$.a"]).read(text.as_bytes()).is_err(), "{text}");
        }
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            "[a-c\"\\\\é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("[a-c]", inner), 0..5).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    const STEPS: [&str; 12] = [
        ".a",
        ".b",
        ".c",
        "['a']",
        "[*]",
        "[0]",
        "[-1]",
        "[?@.a]",
        "[?!@.b]",
        "[?@.a == 'a']",
        "[?@.b.c != true]",
        "..a",
    ];

    proptest! {
        #[test]
        fn a_path_finds_what_it_finds_in_the_whole(
            document in document(),
            paths in proptest::collection::vec(proptest::collection::vec(0..STEPS.len(), 0..5), 1..5),
        ) {
            let paths: Vec<String> =
                paths.iter().map(|steps| steps.iter().fold("$".to_owned(), |path, step| path + STEPS[*step])).collect();
            let paths: Vec<Path> = paths.iter().map(|path| Path::parse(path).expect("a path")).collect();
            let mut wanted = Wanted::default();
            paths.iter().for_each(|path| wanted.add(path));
            let part = wanted.settled().read(document.to_string().as_bytes()).expect("JSON");
            for path in &paths {
                let nodes = |document: &Value| {
                    let mut nodes = Vec::new();
                    path.visit(document, &mut |node| { nodes.push(node.clone()); true });
                    nodes
                };
                prop_assert_eq!(nodes(&part), nodes(&serde_json::from_str(&document.to_string()).expect("JSON")), "{:?}", path);
            }
        }
    }
}
