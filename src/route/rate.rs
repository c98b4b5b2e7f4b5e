//! How many calls a provider takes in a span of time, as arithmetic: a token bucket, kept as one number, the moment at
//! which it will be full again (the generic cell rate algorithm). Whoever keeps the number does so atomically; nothing
//! here reads a clock or waits.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::model::Timestamp;

/// The longest that a provider may close a budget, and that anybody reserves ahead.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How far beyond an empty budget a stored moment is believed: two waits, for clocks that do not agree. One further
/// off was written before a clock was set back.
pub(crate) const HORIZON: u64 = 2 * 3600 * 1_000_000;

/// The longest span of a rule: a century. With it every moment stays an integer that Redis' scripts count exactly.
const LONGEST_SPAN: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// The `[api] rate` rule of a provider file: `limit` calls in `per`.
///
/// An unused budget holds `limit` calls and refills evenly, one each `per / limit`. So no span of any length sees more
/// than `limit` calls beyond what refills in it: at most twice `limit` in `per` after a rest, `limit` on the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Most calls in the span.
    pub limit: NonZeroU32,
    /// The span.
    pub per: Duration,
}

/// What is left of a budget, as the moment at which it will be full again, in microseconds since the Unix epoch. The
/// default is a full one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u64);

/// What is asked of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// One call, made when the budget has it and not before `opens_at`; none when that takes longer than `cap`, which
    /// is never more than [`LONGEST_WAIT`].
    Reserve {
        /// The end of a pause; any moment in the past when there is none.
        opens_at: Timestamp,
        /// The longest wait.
        cap: Duration,
    },
    /// Calls that were made, whether the budget had them or not. They may empty it and never put it into debt, so that
    /// whoever reserves is not held up by more than what refills.
    Note {
        /// How many.
        calls: u32,
    },
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// What is left.
    pub level: Level,
    /// How long to wait for a reserved call; how long a noted one would have had to. Zero within the budget.
    pub wait: Duration,
}

impl Rate {
    /// The level after a spending, or the wait that was longer than its cap; then the level stays.
    pub fn spend(self, level: Level, spend: Spend, now: Timestamp) -> Result<Spent, Duration> {
        let (now, interval, burst) = (micros(now), self.interval(), self.burst());
        let full_at = if level.0 > now + burst + HORIZON { now + burst } else { level.0 };
        match spend {
            Spend::Reserve { opens_at, cap } => {
                let arrives = now.max(micros(opens_at));
                let next = full_at.max(arrives) + interval;
                let departs = arrives.max(next.saturating_sub(burst));
                let wait = Duration::from_micros(departs - now);
                if wait > cap.min(LONGEST_WAIT) { Err(wait) } else { Ok(Spent { level: Level(next), wait }) }
            }
            Spend::Note { calls } => {
                let empty = now + burst;
                let first = full_at.max(now) + interval;
                let wait = Duration::from_micros(first.saturating_sub(burst).saturating_sub(now));
                let spent = full_at.max(now) + interval.saturating_mul(calls.into()).min(burst);
                Ok(Spent { level: Level(full_at.max(spent.min(empty))), wait })
            }
        }
    }

    /// The time in which one call refills, in microseconds; rounded up, so that never more refills than the rule says.
    pub(crate) fn interval(self) -> u64 {
        let span = u64::try_from(self.per.min(LONGEST_SPAN).as_micros()).unwrap_or(u64::MAX);
        span.div_ceil(self.limit.get().into()).max(1)
    }

    /// The time in which an empty budget refills, in microseconds.
    pub(crate) fn burst(self) -> u64 {
        self.interval() * u64::from(self.limit.get())
    }
}

impl Level {
    /// From what [`as_micros`](Self::as_micros) gave.
    pub fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment at which the budget is full, in microseconds since the Unix epoch.
    pub fn as_micros(self) -> u64 {
        self.0
    }
}

/// Microseconds since the Unix epoch.
pub(crate) fn micros(moment: Timestamp) -> u64 {
    moment.unix_millis().unsigned_abs() * 1000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_800_000_000_000;

    fn rate(limit: u32, per: Duration) -> Rate {
        Rate { limit: NonZeroU32::new(limit).expect("a limit"), per }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(START + millis)
    }

    fn reserve(cap: u64) -> Spend {
        Spend::Reserve { opens_at: at(-1), cap: Duration::from_millis(cap) }
    }

    #[test]
    fn reserving() {
        /// Spends one after another at the given moments; gives the waits, or what was longer than the cap.
        fn check(limit: u32, per_ms: u64, asked: &[(i64, u64)], expected: &[Result<u64, u64>]) {
            let rate = rate(limit, Duration::from_millis(per_ms));
            let mut level = Level::default();
            for (number, ((moment, cap), expected)) in asked.iter().zip(expected).enumerate() {
                let answer = rate.spend(level, reserve(*cap), at(*moment));
                let wait = |wait: Duration| u64::try_from(wait.as_millis()).expect("a short wait");
                assert_eq!(answer.map(|spent| wait(spent.wait)).map_err(wait), *expected, "number {number}");
                level = answer.map_or(level, |spent| spent.level);
            }
        }
        // A burst, then by interval; the reserved ones queue up.
        check(2, 1000, &[(0, 9999); 5], &[Ok(0), Ok(0), Ok(500), Ok(1000), Ok(1500)]);
        // What is refused takes nothing.
        check(1, 1000, &[(0, 0), (0, 999), (0, 1000), (0, 1000)], &[Ok(0), Err(1000), Ok(1000), Err(2000)]);
        // It refills evenly, and never above the limit.
        check(2, 1000, &[(0, 0), (0, 0), (499, 0), (500, 0), (999_000, 0)], &[Ok(0), Ok(0), Err(1), Ok(0), Ok(0)]);
        check(2, 1000, &[(0, 0), (999_000, 0), (999_000, 0), (999_000, 0)], &[Ok(0), Ok(0), Ok(0), Err(500)]);
        // A third of a second is no whole number of microseconds: rounded towards less.
        check(3, 1000, &[(0, 0), (0, 0), (0, 0), (333, 0), (334, 0)], &[Ok(0), Ok(0), Ok(0), Err(0), Ok(0)]);
    }

    #[test]
    fn a_pause_is_a_late_arrival() {
        let rate = rate(2, Duration::from_secs(1));
        let paused = |cap| Spend::Reserve { opens_at: at(30_000), cap: Duration::from_secs(cap) };
        assert_eq!(rate.spend(Level::default(), paused(29), at(0)), Err(Duration::from_secs(30)));
        let mut level = Level::default();
        let mut waits = Vec::new();
        for _ in 0..4 {
            let spent = rate.spend(level, paused(60), at(0)).expect("within the cap");
            level = spent.level;
            waits.push(spent.wait.as_millis());
        }
        // Not all at once when it ends: the limit holds then too.
        assert_eq!(waits, [30_000, 30_000, 30_500, 31_000]);
    }

    #[test]
    fn noting() {
        fn check(calls: &[u32], over: &[bool], wait_of_the_next: u64) {
            let rate = rate(4, Duration::from_secs(1));
            let mut level = Level::default();
            for (calls, over) in calls.iter().zip(over) {
                let spent = rate.spend(level, Spend::Note { calls: *calls }, at(0)).expect("never refused");
                assert_eq!(!spent.wait.is_zero(), *over);
                level = spent.level;
            }
            let next = rate.spend(level, reserve(9999), at(0)).expect("within the cap");
            assert_eq!(next.wait, Duration::from_millis(wait_of_the_next));
        }
        check(&[1, 1, 1], &[false; 3], 0);
        check(&[4, 1], &[false, true], 250);
        // However many: it is empty, and not in debt.
        check(&[1000, u32::MAX, 1], &[false, true, true], 250);
    }

    #[test]
    fn noted_calls_leave_reservations_in_their_place() {
        let rate = rate(1, Duration::from_secs(1));
        let mut level = Level::default();
        for _ in 0..3 {
            level = rate.spend(level, reserve(9999), at(0)).expect("within the cap").level;
        }
        let noted = rate.spend(level, Spend::Note { calls: 5 }, at(0)).expect("never refused");
        assert_eq!(noted.level, level);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_close_a_budget() {
        let rate = rate(1, Duration::from_secs(1));
        let future = Level::from_micros(micros(at(86_400_000)));
        let spent = rate.spend(future, reserve(1000), at(0)).expect("taken for an empty one");
        assert_eq!(spent.wait, Duration::from_secs(1));
    }

    #[test]
    fn extremes() {
        fn check(limit: u32, per: Duration, now: i64) {
            let (rate, now) = (rate(limit, per), Timestamp::from_unix_millis(now));
            for level in [0, u64::MAX, micros(now), micros(now) + rate.burst()] {
                for spend in [
                    Spend::Reserve { opens_at: Timestamp::from_unix_millis(i64::MAX), cap: Duration::MAX },
                    Spend::Reserve { opens_at: Timestamp::from_unix_millis(0), cap: Duration::ZERO },
                    Spend::Note { calls: u32::MAX },
                ] {
                    if let Ok(spent) = rate.spend(Level::from_micros(level), spend, now) {
                        assert!(spent.wait <= LONGEST_WAIT || matches!(spend, Spend::Note { .. }));
                    }
                }
            }
        }
        for now in [0, START, i64::MAX] {
            check(1, Duration::MAX, now);
            check(u32::MAX, Duration::MAX, now);
            check(u32::MAX, Duration::ZERO, now);
            check(1, Duration::from_nanos(1), now);
        }
    }

    proptest! {
        /// Whatever is asked and when, no span sees more than the limit and what refills in it.
        #[test]
        fn no_span_sees_more_than_the_rule(
            limit in 1_u32..20,
            per_ms in 1_u64..5_000,
            steps in proptest::collection::vec((0_u64..400, prop_oneof![Just(0_u64), 0_u64..3_000]), 1..120),
        ) {
            let rate = rate(limit, Duration::from_millis(per_ms));
            let (mut level, mut now) = (Level::default(), 0);
            let mut departures = Vec::new();
            for (pause, cap) in steps {
                now += i64::try_from(pause).expect("small");
                if let Ok(spent) = rate.spend(level, reserve(cap), at(now)) {
                    prop_assert!(spent.level > level && spent.wait <= Duration::from_millis(cap));
                    level = spent.level;
                    departures.push(micros(at(now)) + u64::try_from(spent.wait.as_micros()).expect("small"));
                }
            }
            departures.sort_unstable();
            for (first, from) in departures.iter().enumerate() {
                for (count, to) in departures[first..].iter().enumerate() {
                    let refilled = (to - from) * u64::from(limit) / (per_ms * 1000);
                    prop_assert!((count as u64) < u64::from(limit) + refilled);
                }
            }
        }
    }
}
