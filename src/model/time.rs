//! A point in wall time with millisecond precision: what a stored expiry needs, and what arithmetic cannot overflow.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Milliseconds since the Unix epoch. Arithmetic saturates, so a provider's absurd `expires_in` cannot panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest moment that RFC 3339 can write: 9999-12-31T23:59:59.999Z.
    const MAX: i64 = 253_402_300_799_999;

    /// From milliseconds since the epoch; clamped to the years 1970–9999, which RFC 3339 can write.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(millis.clamp(0, Self::MAX))
    }

    /// Milliseconds since the epoch.
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// Later by `span`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_millis(self.0.saturating_add(millis))
    }

    /// Earlier by `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_millis(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// RFC 3339 in UTC, to the second.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.unsigned_abs());
        humantime::format_rfc3339_seconds(time).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_spans_saturate() {
        let start = Timestamp::from_unix_millis(1_000);
        assert_eq!(start.plus(Duration::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(start.minus(Duration::MAX).unix_millis(), 0);
        assert_eq!(start.since(start.plus(Duration::from_secs(1))), Duration::ZERO);
    }
}
