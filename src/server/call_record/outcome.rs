//! How a call ended, and by which method it was made: the two words of its metrics and its log line that are ours and
//! not the configuration's. Both come from lists that no caller and no provider can make longer.

use http::{Method, StatusCode};

/// Every word for an outcome: the class of a provider's status, what happened to the exchange, and the codes of our own
/// answers.
const OUTCOMES: [&str; 36] = [
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "cancelled",
    "broken",
    "other",
    "already_running",
    "authorization_denied",
    "bad_request",
    "blocked_address",
    "configuration_invalid",
    "cross_site",
    "forbidden",
    "headers_too_large",
    "integration_not_configured",
    "internal",
    "loop_detected",
    "method_not_allowed",
    "not_connected",
    "not_found",
    "rate_limited",
    "reconnect_required",
    "shutting_down",
    "state_mismatch",
    "store_unavailable",
    "token_endpoint_failed",
    "too_large",
    "unauthenticated",
    "unknown_integration",
    "unsupported_media_type",
    "upstream_failed",
    "upstream_timeout",
    "upstream_unreachable",
    "wrong_host",
];

/// Where the words for what is no answer begin.
const CANCELLED: usize = 5;
const BROKEN: usize = 6;
const OTHER: usize = 7;
const SHUTTING_DOWN: usize = 24;

/// The methods that calls are counted by.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

/// How a call ended, or what another request was answered; one of a fixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome(usize);

impl Outcome {
    /// How many there are.
    pub(crate) const COUNT: usize = OUTCOMES.len();
    /// The caller went away before the end of the answer.
    pub(crate) const CANCELLED: Self = Self(CANCELLED);
    /// The answer's body broke off.
    pub(crate) const BROKEN: Self = Self(BROKEN);

    /// We cut it off at the end of the drain, or did not begin with it.
    pub(crate) const SHUTTING_DOWN: Self = Self(SHUTTING_DOWN);

    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// By the status of a provider's answer. What lies outside of RFC 9110's five classes is `other`.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match usize::from(status.as_u16() / 100) {
            class @ 1..=5 => Self(class - 1),
            _ => Self(OTHER),
        }
    }

    /// By the code of an answer of our own.
    pub(crate) fn of_code(code: &str) -> Self {
        let codes = OUTCOMES.iter().enumerate().skip(OTHER + 1);
        Self(codes.into_iter().find(|(_, known)| **known == code).map_or(OTHER, |(number, _)| number))
    }

    /// Whether the caller got what it asked for.
    pub(crate) fn is_good(self) -> bool {
        self.0 < 3
    }

    /// Whether it was us who answered.
    pub(crate) fn is_ours(self) -> bool {
        self.0 > OTHER
    }

    /// Whether it is the class of a provider's status.
    pub(super) fn is_by_status(self) -> bool {
        self.0 < CANCELLED
    }

    pub(crate) fn number(self) -> usize {
        self.0
    }

    /// The word of metrics and of the log.
    pub(crate) fn as_str(self) -> &'static str {
        OUTCOMES[self.0]
    }
}

/// A call's method as it is counted; one of a fixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallMethod(usize);

impl CallMethod {
    /// The one whose answers have no body.
    pub(super) const HEAD: Self = Self(1);
    /// How many there are.
    pub(super) const COUNT: usize = METHODS.len();

    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    pub(super) fn number(self) -> usize {
        self.0
    }

    /// The word of metrics and of the log.
    pub(crate) fn as_str(self) -> &'static str {
        METHODS[self.0]
    }
}

impl From<&Method> for CallMethod {
    fn from(method: &Method) -> Self {
        Self(METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn outcomes_by_status() {
        fn check(status: u16, expected: &str) {
            assert_eq!(Outcome::of_status(StatusCode::from_u16(status).expect("a status")).as_str(), expected);
        }
        check(101, "1xx");
        check(200, "2xx");
        check(304, "3xx");
        check(429, "4xx");
        check(599, "5xx");
        check(600, "other");
        check(999, "other");
    }

    /// Read from the places that decide the codes, as a person would.
    #[test]
    fn every_code_of_ours_has_its_word() {
        let sources = concat!(include_str!("../respond.rs"), include_str!("../respond/problems.rs"));
        let code = regex_lite::Regex::new(r#"StatusCode::[A-Z_]+,\s*"([a-z_]+)""#).expect("a pattern");
        let decided: BTreeSet<&str> = code.captures_iter(sources).map(|found| found.extract::<1>().1[0]).collect();
        let known = OUTCOMES.into_iter().skip(OTHER + 1);
        assert_eq!(known.collect::<Vec<_>>(), decided.into_iter().collect::<Vec<_>>());
        assert_eq!(Outcome::SHUTTING_DOWN.as_str(), "shutting_down");
        assert_eq!(Outcome::of_code("wrong_host").as_str(), "wrong_host");
        assert_eq!(Outcome::of_code("cancelled").as_str(), "other", "that is no code");
    }

    /// An outcome that no call can have would make a rule that never fires.
    #[test]
    fn dashboard_and_alerts_name_outcomes_that_there_are() {
        let files = concat!(
            include_str!("../../../deploy/grafana/keyferry.json"),
            include_str!("../../../deploy/prometheus/alerts.yaml"),
        );
        let matcher = regex_lite::Regex::new(r#"outcome[=!]~\\?"([^"\\]+)"#).expect("a pattern");
        let named: Vec<&str> =
            matcher.captures_iter(files).flat_map(|found| found.extract::<1>().1[0].split('|')).collect();
        assert!(named.len() > 20, "{named:?}");
        assert!(named.iter().all(|outcome| OUTCOMES.contains(outcome)), "{named:?}");
    }

    #[test]
    fn unknown_methods_are_one() {
        for (method, expected) in [("GET", "GET"), ("OPTIONS", "OPTIONS"), ("get", "other"), ("PURGE", "other")] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(CallMethod::from(&method).as_str(), expected);
        }
        assert_eq!(CallMethod::HEAD, CallMethod::from(&Method::HEAD));
    }
}
