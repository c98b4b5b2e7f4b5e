//! Values to play with where only an account would have real ones: made up from what a file says about them.

use std::collections::BTreeMap;

use regex_lite::Regex;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::mapping::Template;
use crate::oauth::{CaptureRule, Variable};
use crate::provider::Provider;

/// A value for each variable that has none yet. The error is the name of the first for which nothing fits.
pub(super) fn variables(
    provider: &Provider,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut values = given.clone();
    for (name, variable) in &provider.protocol.variables {
        if values.contains_key(name) {
            continue;
        }
        let value = of_variable(provider, name, variable).ok_or_else(|| name.clone())?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn of_variable(provider: &Provider, name: &str, variable: &Variable) -> Option<String> {
    let written = variable.default.clone().filter(|default| !default.is_empty());
    let listed = || variable.allowed.first().cloned();
    let guessed = || {
        let is_root = provider.urls().any(|url| begins_with(url, name));
        guess(name, is_root, variable.pattern.as_ref(), |value| variable.accepts(value))
    };
    written.or_else(listed).or_else(guessed)
}

/// What is sent for a capture, and what is kept of it; `None` where nothing fits.
pub(super) fn of_rule(provider: &Provider, name: &str, rule: &CaptureRule) -> Option<(String, String)> {
    let accepts = |value: &str| rule.admit(value).is_some();
    let written = rule.default.clone().filter(|default| !default.is_empty() && accepts(default));
    let listed = || rule.map.keys().next().cloned();
    let guessed = || {
        let is_root = provider.urls().any(|url| begins_with(url, name));
        guess(name, is_root, rule.pattern.as_ref(), accepts)
    };
    let sent = written.or_else(listed).or_else(guessed)?;
    let kept = rule.admit(&sent)?;
    Some((sent, kept))
}

/// Whether the name stands for scheme and host together.
pub(super) fn begins_with(url: &Template, name: &str) -> bool {
    url.literal_prefix().is_empty() && url.names().next() == Some(name)
}

/// A value that is accepted: one that says what it is, one that is common, or one that is made from the pattern.
pub(super) fn guess(
    name: &str,
    is_root: bool,
    pattern: Option<&Regex>,
    accepts: impl Fn(&str) -> bool,
) -> Option<String> {
    let telling = format!("the-{}", name.replace('_', "-"));
    let common = ["acme", "123456", "us1", "acme.example.com", "https://acme.example.com"];
    let mut guesses = vec![telling];
    guesses.extend(common.map(str::to_owned));
    guesses.extend(pattern.and_then(|pattern| fitting(pattern.as_str())));
    guesses.into_iter().filter(|guess| !is_root || guess.starts_with("https://")).find(|guess| accepts(guess))
}

/// A text that the pattern matches; short, and with letters where any character would do.
fn fitting(pattern: &str) -> Option<String> {
    let hir = ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()?;
    let mut text = Vec::new();
    write(&hir, &mut text)?;
    String::from_utf8(text).ok()
}

fn write(hir: &Hir, text: &mut Vec<u8>) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.extend_from_slice(&literal.0),
        HirKind::Class(class) => text.push(member(class)?),
        HirKind::Repetition(repetition) => {
            // An optional part says more than none, and a word says more than a letter.
            let wanted = if repetition.max.is_none_or(|most| most >= 4) { 4 } else { 1 };
            for _ in 0..repetition.min.max(wanted).min(repetition.max.unwrap_or(u32::MAX)) {
                write(&repetition.sub, text)?;
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, text))?,
        HirKind::Alternation(choices) => write(choices.first()?, text)?,
    }
    Some(())
}

/// A letter if there is one, otherwise a digit, otherwise the first that can be seen.
fn member(class: &Class) -> Option<u8> {
    let has = |byte: u8| match class {
        Class::Bytes(class) => class.ranges().iter().any(|range| range.start() <= byte && byte <= range.end()),
        Class::Unicode(class) => {
            class.ranges().iter().any(|range| range.start() <= char::from(byte) && char::from(byte) <= range.end())
        }
    };
    (b'a'..=b'z').chain(b'A'..=b'Z').chain(b'1'..=b'9').chain(b'!'..=b'~').find(|byte| has(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_patterns_match() {
        fn check(pattern: &str, expected: Option<&str>) {
            let text = fitting(pattern);
            assert_eq!(text.as_deref(), expected, "{pattern}");
            if let Some(text) = text {
                assert!(Regex::new(pattern).expect("a pattern").is_match(&text), "{pattern}: {text}");
            }
        }
        check(r"^https://[a-z0-9-]+\.salesforce\.com$", Some("https://aaaa.salesforce.com"));
        check("^(?:(eu|us)[0-9]{1,2})$", Some("eu1"));
        check("[0-9]{8}", Some("11111111"));
        check(r"\d+-\w*", Some("1111-aaaa"));
        check("a|b", Some("a"));
        check("[A-Z]{3}", Some("AAA"));
        check("[^a-z]", Some("A"));
    }
}
