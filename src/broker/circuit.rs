//! A circuit per integration: opens when the provider keeps failing, lets one call through after a while, and closes
//! when an answer comes. All of it is a few atomics, so that a call neither waits nor allocates for it; what to do is
//! decided by pure functions of what they hold.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::Timestamp;

/// The window of outcomes that counts: so many slots of so many milliseconds.
const SLOTS: usize = 6;
const SLOT: u64 = 5_000;
/// Fewer failures never open it, and fewer answers do not close it before its time.
const ENOUGH: u64 = 10;
/// How long it stays open the first time; twice as long each time that a call let through fails.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);
/// How long the one call that was let through may take before another is: it may have been dropped.
const TRIAL: Duration = Duration::from_secs(30);

/// The circuit of one integration.
#[derive(Default)]
pub(super) struct Circuit {
    slots: [AtomicU64; SLOTS],
    state: AtomicU64,
}

/// Where a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Calls go.
    Closed,
    /// The time is up: one call goes, and its outcome decides.
    HalfOpen,
    /// Nothing goes for so long.
    Open(Duration),
}

/// What a call's outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It opened, or stays open, for so long. Said to be the first time when it was closed before.
    Opened { wait: Duration, first: bool },
    /// It closed.
    Closed,
}

impl Circuit {
    pub(super) fn phase(&self, now: Timestamp) -> Phase {
        self.state().phase(now)
    }

    /// Whether a call may go now; otherwise how long not. Whoever is let through a half-open circuit reports the
    /// outcome, or holds up the others for half a minute.
    pub(super) fn admit(&self, now: Timestamp) -> Result<(), Duration> {
        let mut answer = Ok(());
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            let (state, admitted) = State::unpack(state).admit(now);
            answer = admitted;
            admitted.is_ok().then(|| state.pack())
        });
        answer
    }

    /// Counts an outcome. Exactly one of all concurrent callers is told of a turn.
    pub(super) fn record(&self, failed: bool, now: Timestamp) -> Option<Turn> {
        self.count(failed, now);
        if !failed && self.state() == State::Closed {
            return None;
        }
        let (mut before, mut after) = (State::Closed, State::Closed);
        let tally = self.tally(now);
        let changed = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            before = State::unpack(state);
            after = before.after(failed, tally, now);
            (after != before).then(|| after.pack())
        });
        changed.ok()?;
        // What led here says nothing of what comes.
        for slot in &self.slots {
            slot.store(0, Ordering::Release);
        }
        Some(match after.phase(now) {
            Phase::Open(wait) => Turn::Opened { wait, first: before == State::Closed },
            Phase::Closed | Phase::HalfOpen => Turn::Closed,
        })
    }

    fn state(&self) -> State {
        State::unpack(self.state.load(Ordering::Acquire))
    }

    fn count(&self, failed: bool, now: Timestamp) {
        let epoch = epoch(now);
        let slot = &self.slots[(epoch % SLOTS as u64) as usize];
        let _ = slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, |slot| {
            let before = Slot::unpack(slot);
            Some(before.counted(failed, epoch).pack())
        });
    }

    fn tally(&self, now: Timestamp) -> Tally {
        let now = epoch(now);
        let mut tally = Tally::default();
        for slot in &self.slots {
            let slot = Slot::unpack(slot.load(Ordering::Acquire));
            if now.wrapping_sub(slot.epoch) & Slot::EPOCHS < SLOTS as u64 {
                tally.failures += slot.tally.failures;
                tally.total += slot.tally.total;
            }
        }
        tally
    }
}

/// Which span of the window a moment falls into.
fn epoch(now: Timestamp) -> u64 {
    (now.unix_millis().unsigned_abs() / SLOT) & Slot::EPOCHS
}

/// Outcomes counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    failures: u64,
    total: u64,
}

impl Tally {
    /// At least ten failures, and at least half of all.
    fn fails(self) -> bool {
        self.failures >= ENOUGH && self.failures * 2 >= self.total
    }

    /// At least ten answers, and more than half of all.
    fn answers(self) -> bool {
        let answers = self.total - self.failures;
        answers >= ENOUGH && answers * 2 > self.total
    }
}

/// One span of the window, in one atomic: 24 bits of which span, then 20 of failures and 20 of all outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    epoch: u64,
    tally: Tally,
}

impl Slot {
    const EPOCHS: u64 = (1 << 24) - 1;
    const COUNTS: u64 = (1 << 20) - 1;

    fn counted(self, failed: bool, epoch: u64) -> Self {
        let tally = if self.epoch == epoch { self.tally } else { Tally::default() };
        if tally.total == Self::COUNTS {
            // Full: a million outcomes in five seconds say enough.
            return self;
        }
        Self { epoch, tally: Tally { failures: tally.failures + u64::from(failed), total: tally.total + 1 } }
    }

    fn pack(self) -> u64 {
        self.epoch << 40 | self.tally.failures << 20 | self.tally.total
    }

    fn unpack(packed: u64) -> Self {
        let tally = Tally { failures: packed >> 20 & Self::COUNTS, total: packed & Self::COUNTS };
        Self { epoch: packed >> 40, tally }
    }
}

/// The state, in one atomic: 2 bits of which, 6 of how often it opened, and 56 of milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// Until then; `times` in a row.
    Open {
        until: u64,
        times: u32,
    },
    /// One call was let through; another may go from then on.
    Trial {
        until: u64,
        times: u32,
    },
}

impl State {
    fn phase(self, now: Timestamp) -> Phase {
        match self {
            Self::Closed => Phase::Closed,
            Self::Trial { .. } => Phase::HalfOpen,
            Self::Open { until, .. } => left(until, now).map_or(Phase::HalfOpen, Phase::Open),
        }
    }

    /// Whether a call may go, and the state once it does.
    fn admit(self, now: Timestamp) -> (Self, Result<(), Duration>) {
        match self {
            Self::Closed => (self, Ok(())),
            Self::Open { until, times } | Self::Trial { until, times } => match left(until, now) {
                Some(wait) => (self, Err(wait)),
                None => (Self::Trial { until: millis(now.plus(TRIAL)), times }, Ok(())),
            },
        }
    }

    /// The state after an outcome, with the window that holds it.
    fn after(self, failed: bool, tally: Tally, now: Timestamp) -> Self {
        match self {
            Self::Closed if tally.fails() => Self::open(1, now),
            Self::Closed => self,
            // Calls that are only observed go on meanwhile: when they are answered again, nobody has to wait longer.
            Self::Open { until, .. } if left(until, now).is_some() => {
                if !failed && tally.answers() {
                    Self::Closed
                } else {
                    self
                }
            }
            Self::Open { times, .. } | Self::Trial { times, .. } => {
                if failed {
                    Self::open(times + 1, now)
                } else {
                    Self::Closed
                }
            }
        }
    }

    fn open(times: u32, now: Timestamp) -> Self {
        let times = times.min(63);
        let wait = FIRST.saturating_mul(1 << (times - 1).min(16)).min(LONGEST);
        Self::Open { until: millis(now.plus(wait)), times }
    }

    fn pack(self) -> u64 {
        let packed = |which: u64, until: u64, times: u32| which << 62 | u64::from(times) << 56 | until;
        match self {
            Self::Closed => 0,
            Self::Open { until, times } => packed(1, until, times),
            Self::Trial { until, times } => packed(2, until, times),
        }
    }

    fn unpack(packed: u64) -> Self {
        let until = packed & ((1 << 56) - 1);
        let times = (packed >> 56 & 63) as u32;
        match packed >> 62 {
            1 => Self::Open { until, times },
            2 => Self::Trial { until, times },
            _ => Self::Closed,
        }
    }
}

fn millis(moment: Timestamp) -> u64 {
    moment.unix_millis().unsigned_abs()
}

/// The time until then. One that no circuit stays open for comes from a clock that was set back, and is over.
fn left(until: u64, now: Timestamp) -> Option<Duration> {
    let left = Duration::from_millis(until.saturating_sub(millis(now)));
    (!left.is_zero() && left <= LONGEST).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(START + seconds * 1000)
    }

    fn open(seconds: i64, times: u32) -> State {
        State::Open { until: millis(at(seconds)), times }
    }

    fn trial(seconds: i64, times: u32) -> State {
        State::Trial { until: millis(at(seconds)), times }
    }

    #[test]
    fn admission() {
        fn check(state: State, expected: State, answer: Result<(), u64>) {
            let (after, admitted) = state.admit(at(0));
            assert_eq!((after, admitted.map_err(|wait| wait.as_secs())), (expected, answer), "{state:?}");
        }
        check(State::Closed, State::Closed, Ok(()));
        check(open(7, 1), open(7, 1), Err(7));
        check(open(0, 1), trial(30, 1), Ok(()));
        check(open(-5, 4), trial(30, 4), Ok(()));
        check(trial(12, 2), trial(12, 2), Err(12));
        // The call that was let through never came back.
        check(trial(0, 2), trial(30, 2), Ok(()));
        // The clock was set back.
        check(open(86_400, 1), trial(30, 1), Ok(()));
    }

    #[test]
    fn outcomes() {
        fn check(state: State, failed: bool, (failures, total): (u64, u64), expected: State) {
            let after = state.after(failed, Tally { failures, total }, at(0));
            assert_eq!(after, expected, "{state:?} after failed={failed} with {failures} of {total}");
            assert_eq!(State::unpack(after.pack()), after);
        }
        check(State::Closed, true, (9, 9), State::Closed);
        check(State::Closed, true, (10, 10), open(10, 1));
        check(State::Closed, true, (10, 20), open(10, 1));
        check(State::Closed, true, (10, 21), State::Closed);
        // While it is open, failures change nothing, and answers close it only in numbers.
        check(open(5, 1), true, (30, 30), open(5, 1));
        check(open(5, 1), false, (0, 9), open(5, 1));
        check(open(5, 1), false, (10, 20), open(5, 1));
        check(open(5, 1), false, (9, 19), State::Closed);
        // Once its time is up one outcome decides, and each failure doubles the time.
        check(open(0, 1), false, (0, 1), State::Closed);
        check(open(0, 1), true, (1, 1), open(20, 2));
        check(trial(20, 1), false, (0, 1), State::Closed);
        check(trial(20, 2), true, (1, 1), open(40, 3));
        check(trial(20, 5), true, (1, 1), open(300, 6));
        check(trial(20, 63), true, (1, 1), open(300, 63));
    }

    #[test]
    fn the_window_slides() {
        let circuit = Circuit::default();
        let tally = |seconds| {
            let Tally { failures, total } = circuit.tally(at(seconds));
            (failures, total)
        };
        for seconds in [0, 4, 6] {
            circuit.count(true, at(seconds));
        }
        circuit.count(false, at(27));
        assert_eq!(tally(29), (3, 4));
        assert_eq!(tally(30), (1, 2), "the first five seconds are over");
        assert_eq!(tally(36), (0, 1));
        // The slot that comes round again forgets what it held.
        circuit.count(true, at(31));
        assert_eq!(tally(31), (2, 3));
        assert_eq!(tally(3600), (0, 0));
    }

    #[test]
    fn a_life() {
        let circuit = Circuit::default();
        for number in 0..10 {
            let turn = circuit.record(true, at(number));
            assert_eq!(turn.is_some(), number == 9, "{number}");
        }
        assert_eq!(circuit.phase(at(9)), Phase::Open(Duration::from_secs(10)));
        assert_eq!(circuit.admit(at(10)), Err(Duration::from_secs(9)));
        assert_eq!(circuit.phase(at(19)), Phase::HalfOpen);

        assert_eq!(circuit.admit(at(19)), Ok(()), "one goes");
        assert_eq!(circuit.admit(at(19)), Err(TRIAL), "and one alone");
        let twice = Turn::Opened { wait: Duration::from_secs(20), first: false };
        assert_eq!(circuit.record(true, at(20)), Some(twice));

        assert_eq!(circuit.admit(at(40)), Ok(()));
        assert_eq!(circuit.record(false, at(41)), Some(Turn::Closed));
        assert_eq!(circuit.phase(at(41)), Phase::Closed);
        // What was counted before does not open it again.
        assert_eq!(circuit.record(true, at(42)), None);
    }

    #[test]
    fn one_of_many_is_told() {
        let circuit = Circuit::default();
        let turns: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..50).filter_map(|_| circuit.record(true, at(0))).count())).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(turns.iter().sum::<usize>(), 1);
    }
}
