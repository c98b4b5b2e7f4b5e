//! Values that hold values: lists, tables, and tables under names of the author's choice.

use std::borrow::Cow;

use figment::value::{Dict, Value};

use super::{Kind, Table};
use crate::config::problem::{Fault, Place};
use crate::config::secrets::Resolved;

/// A secret for one value of a name.
pub(in crate::config) struct SecretOf {
    pub(in crate::config) name: String,
    pub(in crate::config) value: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) secret: Resolved,
}

impl Table<'_> {
    /// A list of texts, each of them parsed. The place of each comes with it.
    pub(in crate::config) fn list<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<(Place, T)>> {
        self.list_of(name, Kind::Text, doc, parse)
    }

    /// A list of texts of a kind that can be described better than as text.
    pub(in crate::config) fn list_of<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        doc: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<(Place, T)>> {
        self.describe(name, Kind::List(Box::new(kind)), doc);
        self.read_list(name, parse)
    }

    fn read_list<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<(Place, T)>> {
        let entry = self.entry(name)?;
        let texts = self.kept(name, entry.texts())?;
        let one = |(position, text): (usize, String)| {
            let place = Place { file: entry.origin.name.clone(), key: format!("{}[{position}]", self.key(name)) };
            match parse(&text) {
                Ok(value) => Some((place, value)),
                Err(fault) => {
                    self.context.report.mistake(place.problem(fault));
                    None
                }
            }
        };
        Some(texts.into_iter().enumerate().filter_map(one).collect())
    }

    /// One text or a list of texts, tried in order.
    pub(in crate::config) fn one_or_more<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Vec<T> {
        self.one_or_more_of(name, Kind::Text, doc, parse)
    }

    /// The same, of texts that can be described better than as text.
    pub(in crate::config) fn one_or_more_of<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        doc: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Vec<T> {
        self.describe(name, Kind::OneOrMore(Box::new(kind)), doc);
        match self.entry(name) {
            Some(entry) if matches!(entry.value, Value::String(..)) => {
                self.kept(name, entry.text().and_then(parse)).into_iter().collect()
            }
            _ => self.read_list(name, parse).into_iter().flatten().map(|(_, value)| value).collect(),
        }
    }

    /// A table; one that nobody wrote is read as an empty one, so that its defaults hold.
    pub(in crate::config) fn table<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let value = self.table_of(name, Kind::Table, doc, read);
        self.need_as_its_keys(name);
        value
    }

    fn table_of<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        doc: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        self.describe(name, kind, doc);
        let entry = self.entry(name);
        let written = entry.as_ref().and_then(|entry| self.kept(name, entry.table()));
        let empty = Dict::new();
        let values = written.as_deref().unwrap_or(&empty);
        let origin = entry.map_or_else(|| self.document.home().clone(), |entry| entry.origin);
        self.child(self.key(name), origin, values).finish(read)
    }

    /// A table that may be absent.
    pub(in crate::config) fn optional_table<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> Option<T>,
    ) -> Option<T> {
        if self.has(name) || self.context.keys.is_some() {
            return self.table_of(name, Kind::Table, doc, read);
        }
        self.describe(name, Kind::Table, doc);
        None
    }

    /// A table whose keys are names of the author's choice, each a table in turn. `placeholder` names them in
    /// descriptions.
    pub(in crate::config) fn tables<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        placeholder: &'static str,
        read: impl FnMut(&str, &mut Table<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.named_tables(name, doc, placeholder, None, read)
    }

    /// The same, where a plain value stands for a table with only the key `shorthand`.
    pub(in crate::config) fn shorthand_tables<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        placeholder: &'static str,
        shorthand: &'static str,
        read: impl FnMut(&str, &mut Table<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.named_tables(name, doc, placeholder, Some(shorthand), read)
    }

    fn named_tables<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        placeholder: &'static str,
        shorthand: Option<&'static str>,
        mut read: impl FnMut(&str, &mut Table<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.table_of(name, Kind::Tables { shorthand }, doc, |table| {
            let mut found = Vec::new();
            for key in table.values.keys() {
                let Some(entry) = table.entry(key) else { continue };
                let values = match (entry.value, shorthand) {
                    (Value::Dict(..), _) | (_, None) => entry.table(),
                    (value, Some(shorthand)) => Ok(Cow::Owned(Dict::from([(shorthand.to_owned(), value.clone())]))),
                };
                let Some(values) = table.kept(key, values) else { continue };
                let child = table.child(table.key(key), entry.origin, &values);
                found.extend(child.finish(|child| read(key, child)));
            }
            table.allow_all();
            if table.context.keys.is_some() {
                let child = table.child(table.key(placeholder), table.origin.clone(), table.values);
                child.finish(|child| read(placeholder, child));
            }
            found
        })
    }

    /// A table whose keys are names of the author's choice and whose values are texts, each of them parsed.
    pub(in crate::config) fn parsed_texts<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        parse: impl Fn(&str, &str) -> Result<T, Fault>,
    ) -> Vec<(String, T)> {
        self.describe(name, Kind::TextTable, doc);
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let Some(values) = self.kept(name, entry.table()) else { return Vec::new() };
        let child = self.child(self.key(name), entry.origin, &values);
        let one = |key: &String| {
            let parsed = child.entry(key)?.text().and_then(|text| parse(key, text));
            child.kept(key, parsed).map(|value| (key.clone(), value))
        };
        values.keys().filter_map(one).collect()
    }

    /// A table whose keys are names of the author's choice and whose values are read one by one.
    pub(in crate::config) fn free_values<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        parse: impl Fn(&str, &Value) -> Result<T, Fault>,
    ) -> Vec<(String, T)> {
        self.describe(name, Kind::ValueTable, doc);
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let Some(values) = self.kept(name, entry.table()) else { return Vec::new() };
        let child = self.child(self.key(name), entry.origin, &values);
        let one =
            |(key, value): (&String, &Value)| child.kept(key, parse(key, value)).map(|value| (key.clone(), value));
        values.iter().filter_map(one).collect()
    }

    /// A table whose keys are names of the author's choice and whose values are secrets. Each comes with its place.
    pub(in crate::config) fn secret_table(
        &mut self,
        name: &'static str,
        doc: &'static str,
    ) -> Vec<(String, Place, Resolved)> {
        self.describe(name, Kind::SecretTable, doc);
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let Some(values) = self.kept(name, entry.table()) else { return Vec::new() };
        let secrets = self.child(self.key(name), entry.origin, &values);
        let one = |key: &String| {
            let entry = secrets.entry(key)?;
            let text = secrets.kept(key, entry.text())?;
            let secret = self.context.environment.resolve(text, &entry.origin.directory);
            Some((key.clone(), secrets.place(key), secret))
        };
        values.keys().filter_map(one).collect()
    }

    /// Tables whose keys are names of the author's choice, as are the tables' own, and whose values are secrets. Each comes
    /// with both names and its place.
    pub(in crate::config) fn secret_tables(&mut self, name: &'static str, doc: &'static str) -> Vec<SecretOf> {
        self.describe(name, Kind::SecretTables, doc);
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let Some(values) = self.kept(name, entry.table()) else { return Vec::new() };
        let tables = self.child(self.key(name), entry.origin, &values);
        let mut found = Vec::new();
        for key in values.keys() {
            let Some(entry) = tables.entry(key) else { continue };
            let Some(values) = tables.kept(key, entry.table()) else { continue };
            let secrets = tables.child(tables.key(key), entry.origin, &values);
            for value in values.keys() {
                let Some(entry) = secrets.entry(value) else { continue };
                let Some(text) = secrets.kept(value, entry.text()) else { continue };
                let secret = self.context.environment.resolve(text, &entry.origin.directory);
                found.push(SecretOf { name: key.clone(), value: value.clone(), place: secrets.place(value), secret });
            }
        }
        found
    }

    /// A list of tables. What a table does not say is as in `defaults`, whose tables are merged into its own; `home` is
    /// where those stand.
    pub(in crate::config) fn table_list<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        (home, defaults): (&'static str, &Dict),
        mut read: impl FnMut(usize, &mut Table<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.describe(name, Kind::TableList { defaults: home }, doc);
        if self.context.keys.is_some() {
            self.child(format!("{}[]", self.key(name)), self.origin.clone(), self.values)
                .finish(|child| read(0, child));
        }
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let mut found = Vec::new();
        let Value::Array(_, tables) = entry.value else {
            let remedy = format!("write each as [[{}]]", self.key(name));
            self.mistake(name, "is not a list of tables", remedy);
            return found;
        };
        for (position, value) in tables.iter().enumerate() {
            let path = format!("{}[{position}]", self.key(name));
            let Some(own) = value.as_dict() else {
                let place = Place { file: entry.origin.name.clone(), key: path };
                self.context.report.mistake(place.problem(Fault::new("is not a table", "write its keys one by one")));
                continue;
            };
            let mut values = own.clone();
            for (key, default) in defaults {
                match (values.get_mut(key), default) {
                    (Some(Value::Dict(_, own)), Value::Dict(_, default)) => {
                        for (key, default) in default {
                            own.entry(key.clone()).or_insert_with(|| default.clone());
                        }
                    }
                    (Some(_), _) => {}
                    (None, default) => drop(values.insert(key.clone(), default.clone())),
                }
            }
            let mut child = self.child(path, entry.origin.clone(), &values);
            let inherited = defaults.keys().map(String::as_str).filter(|key| !own.contains_key(*key)).collect();
            child.inherited = Some((self.key(home), inherited));
            found.extend(child.finish(|child| read(position, child)));
        }
        found
    }

    /// A value before it is read, for what other keys depend on.
    pub(in crate::config) fn peek(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The same, as they are.
    pub(in crate::config) fn texts(&mut self, name: &'static str, doc: &'static str) -> Vec<(String, String)> {
        self.parsed_texts(name, doc, |_, text| Ok(text.to_owned()))
    }

    /// The keys of this table are free names: none is unknown.
    fn allow_all(&mut self) {
        self.known.clear();
        self.values = const { &Dict::new() };
    }
}
