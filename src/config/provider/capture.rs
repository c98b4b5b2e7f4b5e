//! Captured values: the `[oauth.capture]` tables, of token answers and of the redirect's query, and the `capture` tables
//! of the requests that follow a token answer.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::names::{Chooser, Name, Names, Values};
use super::pattern;
use crate::config::problem::{Fault, Place};
use crate::config::reader::{Kind, Table};
use crate::mapping::Path;
use crate::oauth::{CallbackCapture, CallbackNames, CaptureRule, TokenCapture};

pub(super) struct Captures {
    pub(super) token: BTreeMap<String, TokenCapture>,
    pub(super) callback: BTreeMap<String, CallbackCapture>,
}

/// Reads the tables and defines their names.
pub(super) fn read(table: &mut Table<'_>, names: &mut Names) -> Captures {
    let doc = "From token answers: a JSONPath, or a table with `path`, `pattern`, `map`, `default`.";
    let token = from_answer(table, "token", doc, names, Chooser::TokenAnswer);
    let doc = "From the redirect's query: the parameter's name, or a table with `param`, `pattern`, `map`, `default`.";
    let callback = table.shorthand_tables("callback", doc, "<name>", "param", |name, table| {
        let param = table.parsed("param", "The name of the query parameter.", super::filled);
        table.need("param", "write the name of the query parameter");
        let rule = rule(table, names, name, Chooser::Callback);
        Some((name.to_owned(), CallbackCapture { param: param?, rule }))
    });
    Captures { token, callback: callback.into_iter().collect() }
}

/// The code and our state are no values to keep: captures are shown.
pub(super) fn check_callback(table: &Table<'_>, captures: &BTreeMap<String, CallbackCapture>, names: &CallbackNames) {
    for (name, capture) in captures {
        if capture.param == names.code || capture.param == names.state {
            let place = table.place("capture");
            let place = Place { key: format!("{}.callback.{name}", place.key), ..place };
            let fault = Fault::new("keeps the code or the state, which nobody is to see", "remove it");
            table.context().report.mistake(place.problem(fault));
        }
    }
}

/// Reads a table of values that are kept from an answer, and defines their names.
pub(super) fn from_answer(
    table: &mut Table<'_>,
    key: &'static str,
    doc: &'static str,
    names: &mut Names,
    chooser: Chooser,
) -> BTreeMap<String, TokenCapture> {
    let captures = table.shorthand_tables(key, doc, "<name>", "path", |name, table| {
        let path = table.parsed_as("path", Kind::JsonPath, "The JSONPath of the value.", json_path);
        table.need("path", "write the JSONPath of the value");
        let rule = rule(table, names, name, chooser);
        Some((name.to_owned(), TokenCapture { path: path?, rule }))
    });
    captures.into_iter().collect()
}

/// What is let through, and what is known of it by that.
fn rule(table: &mut Table<'_>, names: &mut Names, name: &str, chooser: Chooser) -> CaptureRule {
    let default = table.text("default", "Taken when there is no value; looked up in `map` like a sent one.");
    let pattern = table.parsed("pattern", "What the whole value has to match; otherwise it is dropped.", regex);
    let doc = "Only these values are let through, and become what stands beside them.";
    let map: BTreeMap<String, String> = table.texts("map", doc).into_iter().collect();
    if table.peek("map").and_then(Value::as_dict).is_some_and(Dict::is_empty) {
        table.mistake("map", "is empty, so that no value is let through", "list the values or remove the key");
    }
    if let Some(default) = &default {
        let refused = pattern.as_ref().is_some_and(|(_, regex)| !regex.is_match(default));
        if refused || !map.is_empty() && !map.contains_key(default) {
            table.mistake("default", "is not a value that is let through", "write one that `map` and `pattern` know");
        }
    }
    let (source, pattern) = pattern.unzip();
    let values = if map.is_empty() { Values::Open(source) } else { Values::Closed(map.values().cloned().collect()) };
    define(table, names, name, chooser, values);
    CaptureRule { default, pattern, map }
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
