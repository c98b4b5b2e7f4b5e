//! Reads a merged table key by key. A wrong value is noted and reading goes on, so that every mistake is found at once;
//! what is left when a table was read is an unknown key. Each accessor knows the name, the kind and one line about its
//! key, so the same reading code also describes the keys to whoever documents them.

mod entry;
mod kind;
mod nested;

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::Dict;
use serde_json::Value as Json;

use super::document::{Document, Origin};
use super::problem::{Fault, Place, Report, did_you_mean};
use super::secrets::{Environment, Resolved};
pub(super) use entry::{Entry, json_number, whole};
pub use kind::{Key, Kind};
pub(super) use nested::SecretOf;

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
    /// Known only to be refused, and so never proposed.
    refused: Vec<&'static str>,
    /// Where keys stand that this table has from elsewhere, and which.
    inherited: Option<(String, Vec<&'a str>)>,
}

impl<'a> Table<'a> {
    /// Reads the whole document; unknown keys are noted when `read` is done.
    pub(super) fn read<T>(
        document: &'a Document,
        context: &'a Context<'a>,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let origin = document.home().clone();
        Self {
            context,
            document,
            path: String::new(),
            origin,
            values: document.values(),
            known: Vec::new(),
            refused: Vec::new(),
            inherited: None,
        }
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
        self.parsed_as(name, Kind::Text, doc, parse)
    }

    /// Text of a kind that can be described better than as text.
    pub(super) fn parsed_as<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        doc: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.value(name, kind, doc, |entry| parse(entry.text()?))
    }

    /// A table without this key is a mistake.
    pub(super) fn need(&mut self, name: &'static str, remedy: impl Into<String>) {
        self.amend(name, |key| key.is_required = true);
        if !self.has(name) {
            self.mistake(name, "is missing", remedy);
        }
    }

    /// What holds when the key that was just read is not written, for descriptions.
    pub(super) fn by_default<T>(&self, name: &str, default: T, describe: impl FnOnce(&T) -> Json) -> T {
        self.amend(name, |key| key.default = Some(describe(&default)));
        default
    }

    /// The same for a list that is empty then.
    pub(super) fn none_by_default(&self, name: &str) {
        self.by_default(name, (), |()| Json::Array(Vec::new()));
    }

    /// A value that could stand under the key that was just read, for descriptions.
    pub(super) fn for_example(&self, name: &str, example: impl Into<Json>) {
        self.amend(name, |key| key.example = Some(example.into()));
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

    /// A word out of a closed list, or the default.
    pub(super) fn word_or<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        words: &[(&'static str, T)],
        default: T,
    ) -> T {
        let read = self.word(name, doc, words);
        let described = |default: &T| words.iter().find(|(_, value)| value == default).map(|(word, _)| *word).into();
        read.unwrap_or(self.by_default(name, default, described))
    }

    /// A whole number within bounds.
    pub(super) fn integer(
        &mut self,
        name: &'static str,
        doc: &'static str,
        bounds: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        self.value(name, Kind::Integer(bounds.clone()), doc, |entry| entry.integer(bounds))
    }

    /// A whole number within bounds, or the default.
    pub(super) fn integer_or(
        &mut self,
        name: &'static str,
        doc: &'static str,
        bounds: std::ops::RangeInclusive<u32>,
        default: u32,
    ) -> u32 {
        let read = self.integer(name, doc, bounds);
        read.unwrap_or(self.by_default(name, default, |default| (*default).into()))
    }

    /// A number from 0 to 1, or the default.
    pub(super) fn share_or(&mut self, name: &'static str, doc: &'static str, default: f64) -> f64 {
        let read = self.value(name, Kind::Share, doc, |entry| entry.share());
        read.unwrap_or(self.by_default(name, default, |default| (*default).into()))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, name: &'static str, doc: &'static str) -> Option<bool> {
        self.value(name, Kind::Boolean, doc, |entry| entry.boolean())
    }

    /// `true` or `false`, or the default.
    pub(super) fn boolean_or(&mut self, name: &'static str, doc: &'static str, default: bool) -> bool {
        let read = self.boolean(name, doc);
        read.unwrap_or(self.by_default(name, default, |default| (*default).into()))
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

    /// A span, or the default.
    pub(super) fn duration_or(&mut self, name: &'static str, doc: &'static str, default: Duration) -> Duration {
        let read = self.duration(name, doc);
        read.unwrap_or(self.by_default(name, default, span))
    }

    /// A span longer than nothing, or the default.
    pub(super) fn positive_duration_or(
        &mut self,
        name: &'static str,
        doc: &'static str,
        default: Duration,
    ) -> Duration {
        let read = self.positive_duration(name, doc);
        read.unwrap_or(self.by_default(name, default, span))
    }

    /// A path; a relative one begins where its file stands.
    pub(super) fn path(&mut self, name: &'static str, doc: &'static str) -> Option<PathBuf> {
        self.value(name, Kind::Path, doc, |entry| entry.path())
    }

    /// A path of a file that can be opened now.
    pub(super) fn readable_file(&mut self, name: &'static str, doc: &'static str) -> Option<PathBuf> {
        self.value(name, Kind::Path, doc, |entry| {
            let path = entry.path()?;
            self.context.environment.files().note(&path);
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

    /// Keys that a later version will know, or that are written in place of another: using one is a mistake with a
    /// sentence of its own.
    pub(super) fn later(&mut self, names: &[&'static str], sentence: impl Fn(&str) -> Fault) {
        for name in names {
            self.refused.push(name);
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
        read: impl FnOnce(&Entry<'_>) -> Result<T, Fault>,
    ) -> Option<T> {
        self.describe(name, kind, doc);
        let entry = self.entry(name)?;
        self.kept(name, read(&entry))
    }

    fn describe(&mut self, name: &'static str, kind: Kind, doc: &'static str) {
        self.known.push(name);
        if let Some(keys) = &self.context.keys {
            let key = Key { path: self.key(name), kind, doc, is_required: false, default: None, example: None };
            keys.borrow_mut().push(key);
        }
    }

    /// Adds to the description of a key that was read.
    fn amend(&self, name: &str, change: impl FnOnce(&mut Key)) {
        let Some(keys) = &self.context.keys else { return };
        let path = self.key(name);
        if let Some(key) = keys.borrow_mut().iter_mut().rfind(|key| key.path == path) {
            change(key);
        }
    }

    /// A table that is read whether it is written or not is needed where one of its keys is.
    fn need_as_its_keys(&self, name: &str) {
        let Some(keys) = &self.context.keys else { return };
        let path = format!("{}.", self.key(name));
        let is_own = |key: &Key| key.path.strip_prefix(&path).is_some_and(|rest| !rest.contains('.'));
        let is_needed = keys.borrow().iter().any(|key| key.is_required && is_own(key));
        self.amend(name, |key| key.is_required = is_needed);
    }

    fn entry(&self, name: &str) -> Option<Entry<'a>> {
        let value = self.values.get(name)?;
        let origin = self.document.origin(value.tag()).unwrap_or_else(|| self.origin.clone());
        Some(Entry { value, origin })
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
        Table {
            context: self.context,
            document: self.document,
            path,
            origin,
            values,
            known: Vec::new(),
            refused: Vec::new(),
            inherited: None,
        }
    }

    fn finish<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let result = read(&mut self);
        let expected = |name: &str| self.known.contains(&name) || self.refused.contains(&name);
        for name in self.values.keys().filter(|name| !expected(name)) {
            let owner = match self.key(name).strip_suffix(&format!(".{name}")) {
                None => "here".to_owned(),
                Some(owner) => format!("of [{owner}]"),
            };
            self.mistake(name, format!("is not a key {owner}"), did_you_mean(name, self.known.iter().copied()));
        }
        result
    }

    fn origin_of(&self, name: &str) -> Option<Origin> {
        self.entry(name).map(|entry| entry.origin)
    }

    fn key(&self, name: &str) -> String {
        if let Some((home, names)) = &self.inherited
            && names.contains(&name)
        {
            return format!("{home}.{name}");
        }
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// A span as it would be written.
fn span(duration: &Duration) -> Json {
    humantime::format_duration(*duration).to_string().into()
}

impl fmt::Debug for Table<'_> {
    /// Not the values: there may be secrets among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
