//! Which calls have a line in the log.

/// The target of every call's line.
pub const TARGET: &str = "call";

/// The keys of `[log]` about calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Which calls.
    pub which: Which,
    /// The share of the well-answered ones.
    pub sample: Share,
    /// Whether a line holds the path, without its query.
    pub paths: bool,
}

/// Which calls have a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Every one, as far as it is sampled.
    #[default]
    All,
    /// Those alone that did not get what they asked for.
    Failed,
    /// None.
    Off,
}

/// A part of a whole, from nothing to all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// Everything.
    pub const ALL: Self = Self(u64::MAX);

    /// From a number of 0 to 1; `None` for any other.
    pub fn new(part: f64) -> Option<Self> {
        // The conversion ends at the largest number, and that one takes everything.
        (0.0..=1.0).contains(&part).then_some(Self((part * u64::MAX as f64) as u64))
    }

    /// Whether the call of this number belongs to it. Numbers that follow each other are spread evenly, so that no burst
    /// is left out or taken whole.
    pub fn takes(self, number: u64) -> bool {
        // A whole turn divided by the golden ratio: of all steps, the one that lies most evenly.
        self == Self::ALL || number.wrapping_mul(0x9e37_79b9_7f4a_7c15) < self.0
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self { which: Which::All, sample: Share::ALL, paths: false }
    }
}

impl Calls {
    /// Whether a call has a line, by its request's number and whether it got what it asked for.
    pub fn take(&self, number: u64, is_good: bool) -> bool {
        match self.which {
            Which::Off => false,
            Which::Failed => !is_good,
            Which::All => !is_good || self.sample.takes(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_share() {
        fn check(part: f64, expected: std::ops::RangeInclusive<usize>) {
            let share = Share::new(part).expect("a share");
            let taken = (5_000..6_000).filter(|number| share.takes(*number)).count();
            assert!(expected.contains(&taken), "{part}: {taken}");
        }
        check(0.0, 0..=0);
        check(0.01, 9..=11);
        check(0.5, 498..=502);
        check(1.0, 1000..=1000);
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::new(wrong), None);
        }
    }

    #[test]
    fn failures_are_always_taken_unless_nothing_is() {
        let none = Share::new(0.0).expect("a share");
        for (which, good, failed) in
            [(Which::All, false, true), (Which::Failed, false, true), (Which::Off, false, false)]
        {
            let calls = Calls { which, sample: none, paths: false };
            assert_eq!((calls.take(7, true), calls.take(7, false)), (good, failed), "{which:?}");
        }
        assert!(Calls::default().take(7, true) && !Calls { which: Which::Failed, ..Calls::default() }.take(7, true));
    }
}
