//! `Retry-After` in the forms that providers send.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

use crate::model::Timestamp;

/// The wait that the field asks for: seconds, also with a fraction, or an HTTP date (RFC 9110 section 10.2.3). A date
/// that has passed is no wait; what is neither is nothing. Whoever honours it bounds it.
pub fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            let date: SystemTime = httpdate::parse_http_date(text).ok()?;
            Some(Timestamp::from(date).since(now))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_forms() {
        fn check(text: &str, expected: Option<u64>) {
            let header = HeaderValue::try_from(text).expect("a header value");
            let now = Timestamp::from_unix_millis(784_111_777_000);
            assert_eq!(retry_after(&header, now).map(|wait| wait.as_secs()), expected, "{text:?}");
        }
        check("10", Some(10));
        check("2.0", Some(2));
        check("0", Some(0));
        check("Sun, 06 Nov 1994 08:49:57 GMT", Some(20));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        check("86400", Some(86_400));
        check("-1", None);
        check("inf", None);
        check("NaN", None);
        check("soon", None);
        check("", None);
    }
}
