//! The `[oauth.capture]` tables: values kept from token answers and from the redirect's query.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::names::{Chooser, Name, Names, Values};
use super::pattern;
use crate::config::problem::Fault;
use crate::config::reader::Table;
use crate::mapping::Path;
use crate::oauth::{CallbackCapture, TokenCapture};

pub(super) struct Captures {
    pub(super) token: BTreeMap<String, TokenCapture>,
    pub(super) callback: BTreeMap<String, CallbackCapture>,
}

/// Reads the tables and defines their names.
pub(super) fn read(table: &mut Table<'_>, names: &mut Names) -> Captures {
    let doc = "From token answers: a JSONPath, or a table with `path` and `pattern`.";
    let token = table.shorthand_tables("token", doc, "<name>", "path", |name, table| {
        let path = table.parsed("path", "The JSONPath of the value.", json_path);
        let pattern = table.parsed("pattern", "What the whole value has to match; otherwise it is dropped.", regex);
        if path.is_none() && !table.has("path") {
            table.mistake("path", "is missing", "write the JSONPath of the value");
        }
        let (source, pattern) = pattern.unzip();
        define(table, names, name, Chooser::TokenAnswer, Values::Open(source));
        Some((name.to_owned(), TokenCapture { path: path?, pattern }))
    });
    let doc = "From the redirect's query: the parameter's name, or a table with `param`, `default`, `pattern`, `map`.";
    let callback = table.shorthand_tables("callback", doc, "<name>", "param", |name, table| {
        let param = table.parsed("param", "The name of the query parameter.", super::filled);
        let default = table.text("default", "Taken when the parameter is missing; looked up in `map` like a sent one.");
        let pattern =
            table.parsed("pattern", "What the whole value has to match; otherwise the callback fails.", regex);
        let map_doc = "Only these values are let through, and become what stands beside them.";
        let map: BTreeMap<String, String> = table.texts("map", map_doc).into_iter().collect();
        if table.peek("map").and_then(Value::as_dict).is_some_and(Dict::is_empty) {
            table.mistake("map", "is empty, so that no value is let through", "list the values or remove the key");
        }
        if param.is_none() && !table.has("param") {
            table.mistake("param", "is missing", "write the name of the query parameter");
        }
        if let Some(default) = &default {
            let refused = pattern.as_ref().is_some_and(|(_, regex)| !regex.is_match(default));
            if refused || !map.is_empty() && !map.contains_key(default) {
                table.mistake(
                    "default",
                    "is not a value that is let through",
                    "write one that `map` and `pattern` know",
                );
            }
        }
        let (source, pattern) = pattern.unzip();
        let values =
            if map.is_empty() { Values::Open(source) } else { Values::Closed(map.values().cloned().collect()) };
        define(table, names, name, Chooser::Callback, values);
        Some((name.to_owned(), CallbackCapture { param: param?, default, pattern, map }))
    });
    Captures { token: token.into_iter().collect(), callback: callback.into_iter().collect() }
}

fn define(table: &Table<'_>, names: &mut Names, name: &str, chooser: Chooser, values: Values) {
    if let Err(fault) = names.define(name, Name { chooser, values }) {
        table.context().report.mistake(table.here().problem(fault));
    }
}

fn regex(text: &str) -> Result<(String, regex_lite::Regex), Fault> {
    Ok((text.to_owned(), pattern::whole(text)?))
}

pub(super) fn json_path(text: &str) -> Result<Path, Fault> {
    Path::parse(text).map_err(|error| Fault::sentence(&error.to_string()))
}
