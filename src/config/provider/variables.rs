//! The `[variables]` table: values that the operator sets on an integration, or that a person is asked for.

use std::collections::BTreeMap;

use super::names::{Chooser, Name, Names, Values};
use super::pattern;
use crate::config::problem::{Fault, one_of, quoted};
use crate::config::reader::Table;
use crate::oauth::Variable;

/// Reads the table and defines its names. Where nobody connects, all of them are the operator's.
pub(super) fn read(table: &mut Table<'_>, names: &mut Names, nobody_connects: bool) -> BTreeMap<String, Variable> {
    let doc = "Values that the integration sets or the person is asked for, usable as `{name}`.";
    let variables = table.tables("variables", doc, "<name>", |name, table| {
        let source = table.word(
            "source",
            "Who may set it: whoever connects (the default), or only the operator on the integration.",
            &[("connection", false), ("operator", true)],
        );
        if nobody_connects && source == Some(false) {
            table.mistake(
                "source",
                "is `connection`, but nobody connects where `grant_types` says so",
                "write `operator`",
            );
        }
        let title = table.text("title", "What the person reads.");
        let help = table.text("help", "What explains it.");
        let default = table.text("default", "Taken when nobody gives a value.");
        let pattern = table.parsed("pattern", "What the whole value has to match.", |text| {
            Ok((text.to_owned(), pattern::whole(text)?))
        });
        let format = table.word("format", "A ready-made pattern.", &[("hostname", HOSTNAME)]);
        let allowed = table.list("enum", "The only values that are let through.", |text| Ok(text.to_owned()));
        let secret = table.boolean("secret", "Never shown, typed as a password, and never in a URL.").unwrap_or(false);
        if format.is_some() && pattern.is_some() {
            table.mistake("format", "stands beside a `pattern`", "keep one of them");
        }
        for key in ["default", "enum"].into_iter().filter(|key| secret && table.has(key)) {
            table.mistake(key, "writes a secret into this file", "leave its values to operator and person");
        }
        if !secret && name.contains("password") {
            table.mistake("secret", "is not set, and the name speaks of a password", "write `secret = true`");
        }
        if allowed.as_ref().is_some_and(Vec::is_empty) {
            table.mistake("enum", "is empty, so that no value is let through", "list the values or remove the key");
        }
        let pattern =
            pattern.or_else(|| format.map(|text| (text.to_owned(), pattern::whole(text).expect("a pattern"))));
        let (source_text, pattern) = pattern.unzip();
        let allowed: Vec<String> = allowed.into_iter().flatten().map(|(_, value)| value).collect();
        let operator_only = source.unwrap_or(nobody_connects);
        let values = if allowed.is_empty() { Values::Open(source_text) } else { Values::Closed(allowed.clone()) };
        let chooser = if operator_only { Chooser::Operator } else { Chooser::Person };
        if let Err(fault) = names.define(name, Name { chooser, values }) {
            table.context().report.mistake(table.here().problem(fault));
            return None;
        }
        if secret {
            names.keep_secret(name);
        }
        Some((name.to_owned(), Variable { title, help, default, pattern, allowed, operator_only, secret }))
    });
    variables.into_iter().collect()
}

/// What `format = "hostname"` stands for.
const HOSTNAME: &str = "[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?";

/// The values that a variable takes, as a remedy.
pub(in crate::config) fn what_it_takes(variable: &Variable) -> String {
    if !variable.allowed.is_empty() {
        return format!("write {}", one_of(variable.allowed.iter().map(String::as_str)));
    }
    match &variable.pattern {
        Some(pattern) => format!("the whole value has to match {}", quoted(pattern.as_str())),
        None => String::new(),
    }
}

/// Checks the operator's value.
pub(in crate::config) fn check_value(variable: &Variable, value: &str) -> Result<(), Fault> {
    if variable.accepts(value) {
        return Ok(());
    }
    let shown = if variable.secret { "it".to_owned() } else { quoted(value) };
    Err(Fault::new(format!("{shown} is not a value that the variable takes"), what_it_takes(variable)))
}
