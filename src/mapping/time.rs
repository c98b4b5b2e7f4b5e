//! Moments as providers write them, and as RFC 3339 in UTC.

use std::borrow::Cow;

use serde_json::Value;

/// How a provider writes a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339, with any offset.
    Rfc3339,
    /// Seconds since the Unix epoch, a number or text.
    UnixSeconds,
    /// Milliseconds since the Unix epoch, a number or text.
    UnixMillis,
    /// `/Date(1700000000000+0000)/`: milliseconds since the Unix epoch; the offset is only for display.
    DotNet,
}

impl TimeFormat {
    /// The moment as RFC 3339 in UTC; `None` when it is not written so, or lies outside the years 0000–9999.
    pub fn read<'a>(self, value: &'a Value) -> Option<Cow<'a, str>> {
        let millis = match (self, value) {
            (Self::Rfc3339, Value::String(text)) => return utc(text),
            (Self::DotNet, Value::String(text)) => {
                let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
                let end = inner.find(['+', '-']).filter(|at| *at > 0);
                let end = end.or_else(|| Some(inner.get(1..)?.find(['+', '-'])? + 1)).unwrap_or(inner.len());
                inner[..end].parse::<i64>().ok()?
            }
            (Self::UnixSeconds, value) => scaled(value, 1000.0)?,
            (Self::UnixMillis, value) => scaled(value, 1.0)?,
            _ => return None,
        };
        from_unix_millis(millis).map(Cow::Owned)
    }
}

/// A number, or text that is one, times `factor`; exact for whole numbers.
fn scaled(value: &Value, factor: f64) -> Option<i64> {
    let whole = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => return None,
    };
    if let Some(whole) = whole {
        return whole.checked_mul(factor as i64);
    }
    let number: f64 = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-')) => {
            text.parse().ok()?
        }
        _ => return None,
    };
    let millis = (number * factor).round();
    (millis.abs() < 1e15).then_some(millis as i64)
}

/// A moment in RFC 3339 (section 5.6), in UTC; its offset may lack the colon, as Jira writes it. One that already ends in `Z` is passed as it was written; an offset is
/// taken off, and the fraction of the second stays as it is.
pub fn utc(text: &str) -> Option<Cow<'_, str>> {
    let moment = Moment::parse(text)?;
    if moment.offset_minutes == 0 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T') {
        return Some(Cow::Borrowed(text));
    }
    let minutes = moment.minutes_since_epoch();
    let (year, month, day) = civil(minutes.div_euclid(24 * 60));
    let of_day = minutes.rem_euclid(24 * 60);
    let (hour, minute, second, fraction) = (of_day / 60, of_day % 60, moment.second, moment.fraction);
    (0..=9999)
        .contains(&year)
        .then(|| Cow::Owned(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")))
}

/// Milliseconds since the Unix epoch of a moment in RFC 3339.
pub fn unix_millis(text: &str) -> Option<i64> {
    let moment = Moment::parse(text)?;
    let digits: String = moment.fraction.chars().skip(1).chain("000".chars()).take(3).collect();
    Some((moment.minutes_since_epoch() * 60 + i64::from(moment.second)) * 1000 + digits.parse::<i64>().ok()?)
}

/// RFC 3339 in UTC, with a fraction only where there is one.
pub fn from_unix_millis(millis: i64) -> Option<String> {
    let seconds = millis.div_euclid(1000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = match millis.rem_euclid(1000) {
        0 => String::new(),
        millis => format!(".{millis:03}"),
    };
    (0..=9999)
        .contains(&year)
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

struct Moment<'a> {
    days: i64,
    minute_of_day: i64,
    second: u8,
    /// Empty, or begins with `.`.
    fraction: &'a str,
    offset_minutes: i64,
}

impl<'a> Moment<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        // What is sliced below is ASCII up to the fraction.
        if bytes.len() < 20 || !bytes.is_ascii() {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<i64> {
            bytes[from..to]
                .iter()
                .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
        };
        let marks = [(4, b"-"), (7, b"-"), (13, b":"), (16, b":")].iter().all(|(at, mark)| bytes[*at] == mark[0]);
        if !marks || !matches!(bytes[10], b'T' | b't' | b' ') {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let exists = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        // A leap second is a second.
        if !exists || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let rest = &text[19..];
        let digits = rest.strip_prefix('.').map(|digits| digits.bytes().take_while(u8::is_ascii_digit).count());
        let (fraction, zone) = match digits {
            Some(0) => return None,
            Some(digits) => rest.split_at(digits + 1),
            None => ("", rest),
        };
        let offset_minutes = match zone.as_bytes() {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2]
                if [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()) =>
            {
                let pair = |tens: &u8, ones: &u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
                let (hours, minutes) = (pair(h1, h2), pair(m1, m2));
                if hours > 23 || minutes > 59 {
                    return None;
                }
                (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        let second = u8::try_from(second).ok()?;
        Some(Self {
            days: days_from(year, month, day),
            minute_of_day: hour * 60 + minute,
            second,
            fraction,
            offset_minutes,
        })
    }

    fn minutes_since_epoch(&self) -> i64 {
        self.days * 24 * 60 + self.minute_of_day - self.offset_minutes
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March, so that a leap day is a year's
/// last.
fn days_from(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day: the reverse.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + days.div_euclid(146_097) * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn moments() {
        fn check(format: TimeFormat, value: Value, expected: Option<&str>) {
            assert_eq!(format.read(&value).as_deref(), expected, "{format:?} {value}");
        }
        use TimeFormat::{DotNet, Rfc3339, UnixMillis, UnixSeconds};
        check(Rfc3339, json!("2026-10-30T16:01:09.552Z"), Some("2026-10-30T16:01:09.552Z"));
        check(Rfc3339, json!("2026-10-30t16:01:09z"), Some("2026-10-30T16:01:09Z"));
        check(Rfc3339, json!("2026-01-01T00:30:00.120+02:00"), Some("2025-12-31T22:30:00.120Z"));
        check(Rfc3339, json!("2026-06-01T10:00:00.000+0200"), Some("2026-06-01T08:00:00.000Z"));
        check(Rfc3339, json!("2026-06-01T10:00:00+02"), None);
        check(Rfc3339, json!("2024-02-28T23:30:00-00:45"), Some("2024-02-29T00:15:00Z"));
        check(Rfc3339, json!("2016-12-31T23:59:60Z"), Some("2016-12-31T23:59:60Z"));
        check(Rfc3339, json!("2026-02-29T00:00:00Z"), None);
        check(Rfc3339, json!("2026-01-01"), None);
        check(Rfc3339, json!("2026-01-01T00:00:00"), None);
        check(Rfc3339, json!("2026-01-01T00:00:00.Z"), None);
        check(Rfc3339, json!("0000-01-01T00:00:00+01:00"), None);
        check(Rfc3339, json!(1_700_000_000), None);
        check(UnixSeconds, json!(1_700_000_000), Some("2023-11-14T22:13:20Z"));
        check(UnixSeconds, json!("1700000000"), Some("2023-11-14T22:13:20Z"));
        check(UnixSeconds, json!(1_700_000_000.25), Some("2023-11-14T22:13:20.250Z"));
        check(UnixSeconds, json!("1700000000.000100"), Some("2023-11-14T22:13:20Z"));
        check(UnixSeconds, json!("soon"), None);
        check(UnixSeconds, json!(i64::MAX), None);
        check(UnixMillis, json!(1_700_000_000_001i64), Some("2023-11-14T22:13:20.001Z"));
        check(UnixMillis, json!(-1), Some("1969-12-31T23:59:59.999Z"));
        check(DotNet, json!("/Date(1700000000000+0000)/"), Some("2023-11-14T22:13:20Z"));
        check(DotNet, json!("/Date(1700000000000)/"), Some("2023-11-14T22:13:20Z"));
        check(DotNet, json!("/Date(-1000-0500)/"), Some("1969-12-31T23:59:59Z"));
        check(DotNet, json!("/Date()/"), None);
    }

    proptest! {
        #[test]
        fn any_moment_comes_back(millis in -62_167_219_200_000i64..253_402_300_800_000) {
            let text = from_unix_millis(millis).expect("within the years 0000–9999");
            prop_assert_eq!(unix_millis(&text), Some(millis));
            prop_assert_eq!(utc(&text), Some(Cow::Borrowed(text.as_str())));
        }

        #[test]
        fn an_offset_is_taken_off(millis in 0i64..253_402_200_000_000, hours in -23i64..24, minutes in 0i64..60) {
            let sign = if hours < 0 { '-' } else { '+' };
            let shift = (hours.abs() * 60 + minutes) * hours.signum() * 60_000;
            let local = from_unix_millis(millis + shift);
            prop_assume!(hours != 0 && local.is_some());
            let local = local.expect("a moment");
            let written = format!("{}{sign}{:02}:{minutes:02}", local.trim_end_matches('Z'), hours.abs());
            prop_assert_eq!(utc(&written).and_then(|text| unix_millis(&text)), Some(millis));
        }

        #[test]
        fn any_text_is_a_moment_or_is_refused(text in "[0-9TZtz:.+-]{0,32}|.{0,32}") {
            if let Some(read) = utc(&text) {
                prop_assert!(read.ends_with('Z'));
                prop_assert_eq!(utc(&read), Some(Cow::Borrowed(&*read)));
            }
        }
    }
}
