//! What is counted: atomics that whoever holds them adds to without waiting, and that the page of metrics reads while
//! they move. Nothing registers itself anywhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An enum whose variants are the values of a label: a closed list, so that nobody from outside adds a series.
macro_rules! label {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them, in the order of their declaration.
            $vis const ALL: [Self; [$(stringify!($variant)),+].len()] = [$(Self::$variant),+];

            /// Its word, for metrics and the log.
            $vis fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

pub(crate) use label;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts so many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// As it stands.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, in classes with fixed upper bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [Duration],
    /// One for each bound, and the last for what lies above all of them.
    classes: Box<[AtomicU64]>,
    /// In microseconds, which last for half a million years.
    sum_micros: AtomicU64,
}

/// A histogram at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Each bound with the number of all that took at most so long.
    pub at_most: Vec<(Duration, u64)>,
    /// How many there were.
    pub count: u64,
    /// How long they took, all together.
    pub sum: Duration,
}

impl Histogram {
    /// An empty one. `bounds` ascend.
    pub fn new(bounds: &'static [Duration]) -> Self {
        let classes = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, classes, sum_micros: AtomicU64::new(0) }
    }

    /// Counts one that took so long.
    pub fn observe(&self, took: Duration) {
        let class = self.bounds.iter().position(|bound| took <= *bound).unwrap_or(self.bounds.len());
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// As it stands. What is observed meanwhile may be in the sum and not yet in the count.
    pub fn snapshot(&self) -> Distribution {
        let mut count = 0;
        let mut up_to = |class: &AtomicU64| {
            count += class.load(Ordering::Relaxed);
            count
        };
        let at_most = self.bounds.iter().zip(&self.classes).map(|(bound, class)| (*bound, up_to(class))).collect();
        let count = self.classes.last().map_or(0, &mut up_to);
        Distribution { at_most, count, sum: Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_upper_bound() {
        const BOUNDS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];
        let histogram = Histogram::new(&BOUNDS);
        for millis in [0, 10, 11, 1000, 1001, 60_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let expected = Distribution {
            at_most: vec![(BOUNDS[0], 2), (BOUNDS[1], 4)],
            count: 6,
            sum: Duration::from_millis(62_022),
        };
        assert_eq!(histogram.snapshot(), expected);
    }

    #[test]
    fn a_counter_grows() {
        let counter = Counter::default();
        counter.add(2);
        counter.add(0);
        counter.add(40);
        assert_eq!(counter.get(), 42);
    }
}
