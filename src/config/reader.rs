//! Reads a merged table key by key. A wrong value is noted and reading goes on, so that every mistake is found at once;
//! what is left when a table was read is an unknown key. Each accessor knows the name, the kind and one line about its
//! key, so the same reading code also describes the keys to whoever documents them.

mod entry;
mod kind;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::{Dict, Value};

use super::document::{Document, Origin};
use super::problem::{Fault, Place, Report, did_you_mean};
use super::secrets::{Environment, Resolved};
pub(super) use entry::whole;
pub use kind::{Key, Kind};

/// What reading needs besides the table: where problems go, and what secrets refer to.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) report: &'a Report,
    pub(super) environment: &'a Environment,
    /// Filled when the keys are being described; then the table is empty and what is reported means nothing.
    pub(super) keys: Option<RefCell<Vec<Key>>>,
}

/// One table that is being read.
pub(super) struct Table<'a> {
    context: &'a Context<'a>,
    document: &'a Document,
    path: String,
    origin: Origin,
    values: &'a Dict,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// Reads the whole document; unknown keys are noted when `read` is done.
    pub(super) fn read<T>(
        document: &'a Document,
        context: &'a Context<'a>,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let origin = document.home().clone();
        Self { context, document, path: String::new(), origin, values: document.values(), known: Vec::new() }
            .finish(read)
    }

    /// The context, for values that are read without a table.
    pub(super) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// True when the key was written.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Where a key of this table stands, or would stand.
    pub(super) fn place(&self, name: &str) -> Place {
        let file = self.origin_of(name).map_or_else(|| self.document.home().name.clone(), |origin| origin.name);
        Place { file, key: self.key(name) }
    }

    /// Where relative paths in the value of this key begin.
    pub(super) fn directory_of(&self, name: &str) -> PathBuf {
        self.origin_of(name).map_or_else(|| self.document.home().directory.clone(), |origin| origin.directory)
    }

    /// Where this table stands.
    pub(super) fn here(&self) -> Place {
        Place { file: self.origin.name.clone(), key: self.path.clone() }
    }

    pub(super) fn mistake(&self, name: &str, fault: impl Into<String>, remedy: impl Into<String>) {
        self.context.report.mistake(self.place(name).problem(Fault::new(fault, remedy)));
    }

    pub(super) fn warning(&self, name: &str, fault: impl Into<String>, remedy: impl Into<String>) {
        self.context.report.warning(self.place(name).problem(Fault::new(fault, remedy)));
    }

    /// Text.
    pub(super) fn text(&mut self, name: &'static str, doc: &'static str) -> Option<String> {
        self.value(name, Kind::Text, doc, |entry| entry.text().map(str::to_owned))
    }

    /// Text that is parsed.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.value(name, Kind::Text, doc, |entry| parse(entry.text()?))
    }

    /// A word out of a closed list.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let kind = Kind::Word(words.iter().map(|(word, _)| *word).collect());
        self.value(name, kind, doc, |entry| entry.word(words))
    }

    /// A word out of a closed list; `refuse` may know better why another one is not taken.
    pub(super) fn word_unless<T: Copy>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        words: &[(&'static str, T)],
        refuse: impl FnOnce(&str) -> Option<Fault>,
    ) -> Option<T> {
        let kind = Kind::Word(words.iter().map(|(word, _)| *word).collect());
        self.value(name, kind, doc, |entry| match refuse(entry.text()?) {
            Some(fault) => Err(fault),
            None => entry.word(words),
        })
    }

    /// A whole number within bounds.
    pub(super) fn integer(
        &mut self,
        name: &'static str,
        doc: &'static str,
        bounds: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        self.value(name, Kind::Integer, doc, |entry| entry.integer(bounds))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, name: &'static str, doc: &'static str) -> Option<bool> {
        self.value(name, Kind::Boolean, doc, |entry| entry.boolean())
    }

    /// A span such as `"30s"` or `"5m"`; a bare number means seconds.
    pub(super) fn duration(&mut self, name: &'static str, doc: &'static str) -> Option<Duration> {
        self.value(name, Kind::Duration, doc, |entry| entry.duration())
    }

    /// A span longer than nothing, for deadlines.
    pub(super) fn positive_duration(&mut self, name: &'static str, doc: &'static str) -> Option<Duration> {
        self.value(name, Kind::Duration, doc, |entry| match entry.duration()? {
            Duration::ZERO => Err(Fault::new("is no time at all", "write for example \"30s\"")),
            duration => Ok(duration),
        })
    }

    /// A path; a relative one begins where its file stands.
    pub(super) fn path(&mut self, name: &'static str, doc: &'static str) -> Option<PathBuf> {
        self.value(name, Kind::Path, doc, |entry| entry.path())
    }

    /// A path of a file that can be opened now.
    pub(super) fn readable_file(&mut self, name: &'static str, doc: &'static str) -> Option<PathBuf> {
        self.value(name, Kind::Path, doc, |entry| {
            let path = entry.path()?;
            let opened = std::fs::File::open(&path).and_then(|file| file.metadata());
            match opened {
                Ok(metadata) if metadata.is_file() => Ok(path),
                Ok(_) => Err(Fault::new("is not a file", "name a file")),
                Err(error) => Err(Fault::new(format!("cannot be read: {error}"), "check the path and its rights")),
            }
        })
    }

    /// A secret, or a reference to one.
    pub(super) fn secret(&mut self, name: &'static str, doc: &'static str) -> Option<Resolved> {
        let environment = self.context.environment;
        self.value(name, Kind::Secret, doc, |entry| {
            let text = entry.text()?;
            Ok(environment.resolve(text, &entry.origin.directory))
        })
    }

    /// A list of texts, each of them parsed. The place of each comes with it.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<(Place, T)>> {
        self.describe(name, Kind::TextList, doc);
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
    pub(super) fn one_or_more<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Vec<T> {
        if matches!(self.values.get(name), Some(Value::String(..))) {
            return self.parsed(name, doc, parse).into_iter().collect();
        }
        let list = self.list(name, doc, parse).unwrap_or_default();
        list.into_iter().map(|(_, value)| value).collect()
    }

    /// A table; one that nobody wrote is read as an empty one, so that its defaults hold.
    pub(super) fn table<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        self.describe(name, Kind::Table, doc);
        let entry = self.entry(name);
        let written = entry.as_ref().and_then(|entry| self.kept(name, entry.table()));
        let empty = Dict::new();
        let values = written.as_deref().unwrap_or(&empty);
        let origin = entry.map_or_else(|| self.document.home().clone(), |entry| entry.origin);
        self.child(self.key(name), origin, values).finish(read)
    }

    /// A table that may be absent.
    pub(super) fn optional_table<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> Option<T>,
    ) -> Option<T> {
        if self.has(name) || self.context.keys.is_some() {
            return self.table(name, doc, read);
        }
        self.describe(name, Kind::Table, doc);
        None
    }

    /// A table whose keys are names of the author's choice, each a table in turn. `placeholder` names them in
    /// descriptions.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        placeholder: &'static str,
        read: impl FnMut(&str, &mut Table<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.named_tables(name, doc, placeholder, None, read)
    }

    /// The same, where a plain value stands for a table with only the key `shorthand`.
    pub(super) fn shorthand_tables<T>(
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
        self.table(name, doc, |table| {
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
    pub(super) fn parsed_texts<T>(
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

    /// The same, as they are.
    pub(super) fn texts(&mut self, name: &'static str, doc: &'static str) -> Vec<(String, String)> {
        self.parsed_texts(name, doc, |_, text| Ok(text.to_owned()))
    }

    /// The keys of this table are free names: none is unknown.
    fn allow_all(&mut self) {
        self.known.clear();
        self.values = const { &Dict::new() };
    }

    /// Keys that a later version will know: using one is a mistake with a sentence of its own.
    pub(super) fn later(&mut self, names: &[&'static str], sentence: impl Fn(&str) -> Fault) {
        for name in names {
            self.known.push(name);
            if self.has(name) {
                self.context.report.mistake(self.place(name).problem(sentence(name)));
            }
        }
    }

    /// A key with a value of one kind: describes it, and reads it when it was written.
    pub(super) fn value<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        doc: &'static str,
        read: impl FnOnce(&entry::Entry<'_>) -> Result<T, Fault>,
    ) -> Option<T> {
        self.describe(name, kind, doc);
        let entry = self.entry(name)?;
        self.kept(name, read(&entry))
    }

    fn describe(&mut self, name: &'static str, kind: Kind, doc: &'static str) {
        self.known.push(name);
        if let Some(keys) = &self.context.keys {
            keys.borrow_mut().push(Key { path: self.key(name), kind, doc });
        }
    }

    fn entry(&self, name: &str) -> Option<entry::Entry<'a>> {
        let value = self.values.get(name)?;
        let origin = self.document.origin(value.tag()).unwrap_or_else(|| self.origin.clone());
        Some(entry::Entry { value, origin })
    }

    fn kept<T>(&self, name: &str, read: Result<T, Fault>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(fault) => {
                self.context.report.mistake(self.place(name).problem(fault));
                None
            }
        }
    }

    fn child<'b>(&self, path: String, origin: Origin, values: &'b Dict) -> Table<'b>
    where
        'a: 'b,
    {
        Table { context: self.context, document: self.document, path, origin, values, known: Vec::new() }
    }

    fn finish<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let result = read(&mut self);
        for name in self.values.keys().filter(|name| !self.known.contains(&name.as_str())) {
            let owner = if self.path.is_empty() { "here".to_owned() } else { format!("of [{}]", self.path) };
            self.mistake(name, format!("is not a key {owner}"), did_you_mean(name, self.known.iter().copied()));
        }
        result
    }

    fn origin_of(&self, name: &str) -> Option<Origin> {
        self.entry(name).map(|entry| entry.origin)
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl fmt::Debug for Table<'_> {
    /// Not the values: there may be secrets among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
