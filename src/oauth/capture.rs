//! Values that are kept with a connection and usable as `{name}`: from the redirect's query, from token answers, from
//! discovery. Each is held to its rule before it is kept.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::Value;

use super::{Protocol, kept, protocol};
use crate::mapping::Path;
use crate::model::{Grant, Secret};

/// A value kept from an answer.
#[derive(Clone, Debug)]
pub struct TokenCapture {
    /// Where it stands.
    pub path: Path,
    /// What is let through.
    pub rule: CaptureRule,
}

/// A value kept from the redirect's query. Anybody can craft a redirect, so a value that reaches a host needs a map or
/// a pattern.
#[derive(Clone, Debug, Default)]
pub struct CallbackCapture {
    /// The name of the query parameter.
    pub param: String,
    /// What is let through.
    pub rule: CaptureRule,
}

/// Which values are kept, and as what.
#[derive(Clone, Debug, Default)]
pub struct CaptureRule {
    /// Taken when there is no value; looked up in `map` like a sent one.
    pub default: Option<String>,
    /// What the whole value has to match; a value that does not is dropped.
    pub pattern: Option<Regex>,
    /// When not empty, only these values are let through, and become what stands beside them.
    pub map: BTreeMap<String, String>,
}

impl CaptureRule {
    /// What a value becomes; `None` when it is not let through.
    pub fn admit(&self, value: &str) -> Option<String> {
        if !protocol::is_plain(value) {
            return None;
        }
        if !self.map.is_empty() {
            return self.map.get(value).cloned();
        }
        let matches = self.pattern.as_ref().is_none_or(|pattern| protocol::matches_whole(pattern, value));
        matches.then(|| value.to_owned())
    }

    /// What stands where there is no value.
    pub fn fallback(&self) -> Option<String> {
        self.admit(self.default.as_deref()?)
    }
}

/// Whether a text is a token, or holds one that is too long to stand there by chance.
pub(super) fn holds_token(text: &str, tokens: &[&Secret]) -> bool {
    const TELLING: usize = 16;
    let holds = |token: &str| token == text || token.len() >= TELLING && text.contains(token);
    tokens.iter().any(|token| holds(token.expose()))
}

/// The values that a document holds. A capture is shown to whoever owns the connection, so a token is none, whatever
/// the path says.
pub(super) fn captured<'a>(
    captures: impl IntoIterator<Item = (&'a String, &'a TokenCapture)>,
    document: &Value,
    tokens: &[&Secret],
) -> BTreeMap<String, String> {
    let capture = |(name, capture): (&String, &TokenCapture)| {
        let value = capture.path.text(document)?;
        let is_token = holds_token(&value, tokens);
        Some((name.clone(), capture.rule.admit(&value).filter(|_| !is_token)?))
    };
    captures.into_iter().filter_map(capture).collect()
}

/// Adds the captured values that a grant lacks: from what is kept of its token answers, else the defaults. What it has
/// stays, so that a refresh which repeats nothing changes nothing.
pub(super) fn fill(captures: &BTreeMap<String, TokenCapture>, grant: &mut Grant) {
    let missing = || captures.iter().filter(|(name, _)| !grant.captured.contains_key(*name));
    if missing().next().is_none() {
        return;
    }
    let mut found = match kept::document(grant) {
        Some(document) => captured(missing(), &document, &grant.tokens().collect::<Vec<_>>()),
        None => BTreeMap::new(),
    };
    for (name, capture) in missing() {
        if let (false, Some(value)) = (found.contains_key(name), capture.rule.fallback()) {
            found.insert(name.clone(), value);
        }
    }
    grant.captured.extend(found);
}

/// Brings a stored grant up to the file as it is now: a capture that was added since is read from what is kept of the
/// token answers, and one that cannot be has its default.
pub fn complete_captures(protocol: &Protocol, grant: &mut Grant) {
    fill(&protocol.token_capture, grant);
    let defaults = protocol.captures_of_requests().filter_map(|(name, capture)| {
        let value = capture.rule.fallback().filter(|_| !grant.captured.contains_key(name))?;
        Some((name.clone(), value))
    });
    let defaults: Vec<_> = defaults.collect();
    grant.captured.extend(defaults);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(default: Option<&str>, pattern: Option<&str>, map: &[(&str, &str)]) -> CaptureRule {
        CaptureRule {
            default: default.map(Into::into),
            pattern: pattern.and_then(|pattern| Regex::new(pattern).ok()),
            map: map.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect(),
        }
    }

    #[test]
    fn what_is_let_through() {
        fn check(rule: &CaptureRule, value: &str, expected: Option<&str>) {
            assert_eq!(rule.admit(value).as_deref(), expected, "{value}");
        }
        check(&rule(None, None, &[]), "any thing", Some("any thing"));
        check(&rule(None, Some("[a-z]+"), &[]), "abc", Some("abc"));
        check(&rule(None, Some("[a-z]+"), &[]), "abc/", None);
        check(&rule(None, None, &[("eu", "a.eu")]), "eu", Some("a.eu"));
        check(&rule(None, None, &[("eu", "a.eu")]), "a.eu", None);
        assert_eq!(rule(Some("eu"), None, &[("eu", "a.eu")]).fallback().as_deref(), Some("a.eu"));
        assert_eq!(rule(None, None, &[("eu", "a.eu")]).fallback(), None);
    }

    #[test]
    fn a_grant_is_brought_up_to_the_file() {
        let capture = |path: &str, rule: CaptureRule| TokenCapture { path: Path::parse(path).expect("a path"), rule };
        let protocol = Protocol {
            token_capture: BTreeMap::from([
                ("team".into(), capture("$.team.id", CaptureRule::default())),
                ("region".into(), capture("$.region", rule(Some("us"), None, &[("us", "a.com"), ("eu", "a.eu")]))),
                ("plan".into(), capture("$.plan", rule(Some("free"), None, &[]))),
                ("token".into(), capture("$.copy", CaptureRule::default())),
                ("gone".into(), capture("$.gone", CaptureRule::default())),
            ]),
            ..Protocol::default()
        };
        let mut grant = Grant {
            access_token: Secret::new("A"),
            captured: BTreeMap::from([("team".into(), "blue".into())]),
            answer: Some(Secret::new(r#"{"team":{"id":7},"region":"eu","copy":"A"}"#)),
            ..Grant::default()
        };
        complete_captures(&protocol, &mut grant);
        let expected = [("plan", "free"), ("region", "a.eu"), ("team", "blue")];
        assert_eq!(grant.captured, expected.map(|(name, value)| (name.into(), value.into())).into());
    }
}
