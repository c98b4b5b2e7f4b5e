//! From a record to an item.

use std::borrow::Cow;

use serde_json::Value;

use crate::mapping::{Scope, Source, time};
use crate::model::Item;

/// Where each field of an item comes from.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// A record without it is dropped.
    pub id: Option<Source>,
    /// The `type`.
    pub kind: Option<Source>,
    /// By default false.
    pub directory: Option<Source>,
    /// A path or a name.
    pub parent_path_or_name: Option<Source>,
    /// The id of another item.
    pub parent_id: Option<Source>,
    /// What people call it.
    pub name: Option<Source>,
    /// A time.
    pub creation_time: Option<Source>,
    /// A time.
    pub last_modified_time: Option<Source>,
    /// For a person.
    pub url: Option<Source>,
    /// A list of ids.
    pub children: Option<Source>,
    /// A media type.
    pub mime_type: Option<Source>,
    /// The provider's token for changes.
    pub delta: Option<Source>,
    /// The drive.
    pub drive_id: Option<Source>,
    /// By default true.
    pub visibility: Option<Source>,
}

impl Fields {
    /// What they are made of.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        let Self {
            id,
            kind,
            directory,
            parent_path_or_name,
            parent_id,
            name,
            creation_time,
            last_modified_time,
            url,
            children,
            mime_type,
            delta,
            drive_id,
            visibility,
        } = self;
        [id, kind, directory, parent_path_or_name, parent_id, name, creation_time, last_modified_time, url, children]
            .into_iter()
            .chain([mime_type, delta, drive_id, visibility])
            .flatten()
    }

    /// The item; `None` when it has no id. Each field whose value is of the wrong type is left out and adds to `dropped`.
    pub(super) fn item(&self, scope: &Scope<'_>, dropped: &mut u64) -> Option<Item> {
        let id = text(&self.id, scope, dropped).filter(|id| !id.is_empty())?;
        Some(Item {
            id,
            kind: text(&self.kind, scope, dropped),
            directory: flag(&self.directory, scope, dropped).unwrap_or(false),
            parent_path_or_name: text(&self.parent_path_or_name, scope, dropped),
            parent_id: text(&self.parent_id, scope, dropped),
            name: text(&self.name, scope, dropped),
            creation_time: moment(&self.creation_time, scope, dropped),
            last_modified_time: moment(&self.last_modified_time, scope, dropped),
            url: text(&self.url, scope, dropped),
            children: list(&self.children, scope, dropped),
            mime_type: text(&self.mime_type, scope, dropped),
            delta: text(&self.delta, scope, dropped),
            drive_id: text(&self.drive_id, scope, dropped),
            visibility: flag(&self.visibility, scope, dropped).unwrap_or(true),
        })
    }
}

/// Reads a field, and counts a value that is there and is not what the field takes.
fn field<T>(
    source: &Option<Source>,
    scope: &Scope<'_>,
    dropped: &mut u64,
    read: impl FnOnce(Cow<'_, Value>) -> Option<T>,
) -> Option<T> {
    let value = source.as_ref()?.evaluate(scope);
    if value.is_null() {
        return None;
    }
    let read = read(value);
    *dropped += u64::from(read.is_none());
    read
}

fn text(source: &Option<Source>, scope: &Scope<'_>, dropped: &mut u64) -> Option<String> {
    field(source, scope, dropped, |value| match value {
        Cow::Owned(Value::String(text)) => Some(text),
        Cow::Owned(value) => as_text(&value),
        Cow::Borrowed(value) => as_text(value),
    })
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn flag(source: &Option<Source>, scope: &Scope<'_>, dropped: &mut u64) -> Option<bool> {
    field(source, scope, dropped, |value| value.as_bool())
}

fn moment(source: &Option<Source>, scope: &Scope<'_>, dropped: &mut u64) -> Option<String> {
    field(source, scope, dropped, |value| Some(time::utc(value.as_str()?)?.into_owned()))
}

fn list(source: &Option<Source>, scope: &Scope<'_>, dropped: &mut u64) -> Option<Vec<String>> {
    field(source, scope, dropped, |value| value.as_array()?.iter().map(as_text).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The item of `{"id": 1, "x": value}` with one more field from `$.x`.
    fn item(set: fn(&mut Fields, Source), value: Value) -> (Item, u64) {
        let source = |text: &str| Source::parse(text).expect("a source");
        let mut fields = Fields { id: Some(source("$.id")), ..Fields::default() };
        set(&mut fields, source("$.x"));
        let record = json!({ "id": 1, "x": value });
        let mut dropped = 0;
        let item = fields.item(&Scope { record: &record, ..Scope::default() }, &mut dropped);
        (item.expect("an id"), dropped)
    }

    #[test]
    fn a_wrong_type_leaves_the_field_out_and_is_counted() {
        fn time(value: Value, expected: Option<&str>, count: u64) {
            let (item, dropped) = item(|fields, source| fields.creation_time = Some(source), value.clone());
            assert_eq!((item.creation_time.as_deref(), dropped), (expected, count), "{value}");
        }
        time(json!("2026-01-05T10:00:00.000Z"), Some("2026-01-05T10:00:00.000Z"), 0);
        time(json!("2026-01-05T10:00:00+01:00"), Some("2026-01-05T09:00:00Z"), 0);
        time(json!("yesterday"), None, 1);
        time(json!(1_700_000_000), None, 1);
        time(json!(null), None, 0);

        fn name(value: Value, expected: Option<&str>, count: u64) {
            let (item, dropped) = item(|fields, source| fields.name = Some(source), value.clone());
            assert_eq!((item.name.as_deref(), dropped), (expected, count), "{value}");
        }
        name(json!("Team"), Some("Team"), 0);
        name(json!(7), Some("7"), 0);
        name(json!(null), None, 0);
        name(json!(true), None, 1);
        name(json!(["Team"]), None, 1);

        fn directory(value: Value, expected: bool, count: u64) {
            let (item, dropped) = item(|fields, source| fields.directory = Some(source), value.clone());
            assert_eq!((item.directory, dropped), (expected, count), "{value}");
        }
        directory(json!(true), true, 0);
        directory(json!(null), false, 0);
        directory(json!("true"), false, 1);

        fn children(value: Value, expected: Option<&[&str]>, count: u64) {
            let (item, dropped) = item(|fields, source| fields.children = Some(source), value.clone());
            let children = item.children.as_deref().map(|ids| ids.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!((children.as_deref(), dropped), (expected, count), "{value}");
        }
        children(json!(["a", 1]), Some(&["a", "1"]), 0);
        children(json!(["a", null]), None, 1);
        children(json!("a"), None, 1);
        let (item, _) = item(|fields, source| fields.visibility = Some(source), json!(false));
        assert!(!item.visibility);
    }

    #[test]
    fn an_item_has_an_id() {
        fn check(record: Value, expected: Option<&str>) {
            let fields = Fields { id: Source::parse("$.id").ok(), ..Fields::default() };
            let item = fields.item(&Scope { record: &record, ..Scope::default() }, &mut 0);
            assert_eq!(item.map(|item| item.id).as_deref(), expected, "{record}");
        }
        check(json!({ "id": "a" }), Some("a"));
        check(json!({ "id": 12 }), Some("12"));
        check(json!({ "id": "" }), None);
        check(json!({ "id": null }), None);
        check(json!({ "id": ["a"] }), None);
        check(json!("a"), None);
    }
}
