//! How long to wait, as an answer or the file says it.

use std::time::Duration;

use http::HeaderName;
use serde_json::Value;

use super::Came;
use crate::mapping::{Path, time};
use crate::model::Timestamp;

/// Where the length of a wait is read.
#[derive(Clone, Debug)]
pub enum WaitSource {
    /// `header:NAME`: seconds, with a fraction or without, or a date (RFC 9110 section 10.2.3).
    Header(HeaderName),
    /// `reset:NAME`: a moment in a header field: epoch seconds, epoch milliseconds or RFC 3339. A number too small to be a
    /// moment of this century is a span in seconds.
    Reset(HeaderName),
    /// `path:JSONPATH`: seconds in the body.
    Body(Path),
    /// Always this long.
    Fixed(Duration),
}

/// Below this, a number of seconds is a span: as a moment it would lie in the year 1973.
const SPAN_BELOW: f64 = 1e8;
/// From this on, a number counts milliseconds: as seconds it would lie in the year 5138.
const MILLIS_FROM: f64 = 1e11;

impl WaitSource {
    /// The wait; `None` when it is not said here, or not understood. What lies in the past is no wait at all.
    pub(super) fn read(&self, came: Came<'_>, now: Timestamp) -> Option<Duration> {
        let field = |name: &HeaderName| came.headers.get(name)?.to_str().ok().map(str::trim);
        match self {
            Self::Header(name) => retry_after(field(name)?, now),
            Self::Reset(name) => reset(field(name)?, now),
            Self::Body(path) => match path.first(came.body?)? {
                Value::Number(number) => span(number.as_f64()?),
                Value::String(text) => span(number(text.trim())?),
                _ => None,
            },
            Self::Fixed(wait) => Some(*wait),
        }
    }
}

fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Some(seconds) = number(text) {
        return span(seconds);
    }
    Some(Timestamp::from(httpdate::parse_http_date(text).ok()?).since(now))
}

fn reset(text: &str, now: Timestamp) -> Option<Duration> {
    let millis = match number(text) {
        Some(number) if number < SPAN_BELOW => return span(number),
        Some(number) if number < MILLIS_FROM => number * 1000.0,
        Some(number) => number,
        None => return Some(Timestamp::from_unix_millis(time::unix_millis(text)?).since(now)),
    };
    // Saturates.
    Some(Timestamp::from_unix_millis(millis as i64).since(now))
}

/// A number without sign and exponent.
fn number(text: &str) -> Option<f64> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

fn span(seconds: f64) -> Option<Duration> {
    /// A hundred years: nothing longer is meant, and arithmetic stays far from its ends.
    const LONGEST: f64 = 100.0 * 366.0 * 86_400.0;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2023-11-14T22:13:20Z.
    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn retry_after_fields() {
        fn check(text: &str, expected: Option<f64>) {
            let wait = retry_after(text, Timestamp::from_unix_millis(NOW));
            assert_eq!(wait.map(|wait| wait.as_secs_f64()), expected, "{text:?}");
        }
        check("10", Some(10.0));
        check("2.0", Some(2.0));
        check("0.25", Some(0.25));
        check("0", Some(0.0));
        check("3600", Some(3600.0));
        check("Tue, 14 Nov 2023 22:13:50 GMT", Some(30.0));
        check("Tue, 14 Nov 2023 22:13:00 GMT", Some(0.0));
        check("Tuesday, 14-Nov-23 22:13:50 GMT", Some(30.0));
        check("99999999999999999999999", Some(100.0 * 366.0 * 86_400.0));
        check("-1", None);
        check("soon", None);
        check("1e3", None);
        check("inf", None);
        check("1.2.3", None);
        check("", None);
    }

    #[test]
    fn reset_fields() {
        fn check(text: &str, expected: Option<f64>) {
            let wait = reset(text, Timestamp::from_unix_millis(NOW));
            assert_eq!(wait.map(|wait| wait.as_secs_f64()), expected, "{text:?}");
        }
        check("1700000030", Some(30.0));
        check("1700000030.5", Some(30.5));
        check("1700000030500", Some(30.5));
        check("1600000000", Some(0.0));
        check("2023-11-14T22:13:50Z", Some(30.0));
        check("2023-11-14T23:13:50+01:00", Some(30.0));
        check("45", Some(45.0));
        check("0", Some(0.0));
        check("later", None);
    }

    proptest! {
        #[test]
        fn any_field_is_read(text in "[0-9.:TZ, +-]{0,30}|.{0,30}", now in any::<i64>()) {
            let now = Timestamp::from_unix_millis(now);
            let _ = (retry_after(&text, now), reset(&text, now));
        }
    }
}
