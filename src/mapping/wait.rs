//! How long a provider wants to be left alone, as header fields and bodies say it.

use std::time::Duration;

use http::HeaderValue;

use crate::model::Timestamp;

/// Below this, a number of seconds is a span: as a moment it would lie in the year 1973.
const SPAN_BELOW: f64 = 1e8;
/// From this on, a number counts milliseconds: as seconds it would lie in the year 5138.
const MILLIS_FROM: f64 = 1e11;

/// What a `Retry-After` field asks for: seconds, also with a fraction, or a date (RFC 9110 section 10.2.3). A date that has
/// passed is no wait; what is neither is nothing. Whoever honours it bounds it.
pub fn retry_after(field: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = field.to_str().ok()?.trim();
    if let Some(seconds) = number(text) {
        return span(seconds);
    }
    Some(Timestamp::from(httpdate::parse_http_date(text).ok()?).since(now))
}

/// What a field asks for that names the moment when calls are taken again: epoch seconds, epoch milliseconds or RFC 3339.
pub fn reset(field: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = field.to_str().ok()?.trim();
    let millis = match number(text) {
        Some(number) if number < SPAN_BELOW => return span(number),
        Some(number) if number < MILLIS_FROM => number * 1000.0,
        Some(number) => number,
        None => return Some(Timestamp::from_unix_millis(super::time::unix_millis(text)?).since(now)),
    };
    // Saturates.
    Some(Timestamp::from_unix_millis(millis as i64).since(now))
}

/// A number without sign and exponent.
pub fn number(text: &str) -> Option<f64> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

/// So many seconds; a hundred years at most, and none for less than nothing.
pub fn span(seconds: f64) -> Option<Duration> {
    // Nothing longer is meant, and arithmetic stays far from its ends.
    const LONGEST: f64 = 100.0 * 366.0 * 86_400.0;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2023-11-14T22:13:20Z.
    const NOW: i64 = 1_700_000_000_000;

    fn field(text: &str) -> HeaderValue {
        HeaderValue::try_from(text).expect("a header value")
    }

    #[test]
    fn retry_after_fields() {
        fn check(text: &str, expected: Option<f64>) {
            let wait = retry_after(&field(text), Timestamp::from_unix_millis(NOW));
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
        check("NaN", None);
        check("1.2.3", None);
        check("", None);
    }

    #[test]
    fn reset_fields() {
        fn check(text: &str, expected: Option<f64>) {
            let wait = reset(&field(text), Timestamp::from_unix_millis(NOW));
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
            if let Ok(field) = HeaderValue::try_from(text) {
                let _ = (retry_after(&field, now), reset(&field, now));
            }
        }
    }
}
