//! Notices that cursors go in a circle.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::PageState;

/// Of how many pages, from the first one on, every one is remembered.
const EVERY: usize = 16;

/// The pages that a stream was on, in the space of a few numbers, so that it fits into a position. The first ones are all
/// remembered, and behind them one more, which moves up at every power of two (Brent's method): a circle that leads to
/// one of the first pages ends at once, and any other after a few rounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::items) struct Circle {
    marks: Vec<u64>,
}

impl Circle {
    /// Most marks of a circle.
    pub(in crate::items) const MOST: u64 = EVERY as u64 + 1;

    /// With these marks, of which there are not too many.
    pub(in crate::items) fn of(marks: Vec<u64>) -> Self {
        Self { marks }
    }

    pub(in crate::items) fn marks(&self) -> &[u64] {
        &self.marks
    }

    /// Whether the page behind `before` has been seen.
    pub(in crate::items) fn closes(&self, before: &PageState, next: &PageState) -> bool {
        next == before || mark(next).is_some_and(|mark| self.marks.contains(&mark))
    }

    /// Remembers a page, behind so many others.
    pub(in crate::items) fn pass(&mut self, page: &PageState, pages: u64) {
        let Some(mark) = mark(page) else { return };
        let beyond = pages.saturating_sub(EVERY as u64);
        if self.marks.len() <= EVERY || beyond.saturating_add(1).is_power_of_two() {
            self.marks.truncate(EVERY);
            self.marks.push(mark);
        }
    }
}

/// A short word for a page that a provider leads to; none for those that are counted, which never come again.
fn mark(page: &PageState) -> Option<u64> {
    let mut hash = Sha256::new();
    match page {
        PageState::First | PageState::Offset(_) | PageState::Number { .. } => return None,
        PageState::Cursor(Value::String(text)) => hash.update(text),
        PageState::Cursor(value) => hash.update(value.to_string()),
        PageState::Url(url) => hash.update(url),
    }
    hash.finalize().first_chunk().copied().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pages are read until a page is known: the first ones lead in a line, the others in a circle.
    fn pages_until_noticed(tail: u64, length: u64) -> u64 {
        let cursor = |at: u64| PageState::Cursor((if at < tail { at } else { tail + (at - tail) % length }).into());
        let mut circle = Circle::default();
        let mut before = PageState::First;
        for pages in 1.. {
            let next = cursor(pages - 1);
            if circle.closes(&before, &next) {
                return pages;
            }
            circle.pass(&next, pages);
            assert!(circle.marks.len() as u64 <= Circle::MOST);
            before = next;
        }
        0
    }

    #[test]
    fn a_circle_of_any_length_is_noticed_and_a_line_is_not() {
        for (tail, length) in [(0, 1), (0, 2), (5, 1), (3, 7), (1, 3), (0, 16), (15, 500), (9, 40)] {
            assert_eq!(pages_until_noticed(tail, length), tail + length + 1, "{tail} {length}");
        }
        for (tail, length) in [(16, 2), (100, 40), (1_000, 1), (40, 900)] {
            let noticed = pages_until_noticed(tail, length);
            assert!(noticed <= 4 * (tail + length), "{tail} {length}: {noticed}");
        }
        let mut circle = Circle::default();
        for at in 1..10_000u64 {
            let (before, next) = (PageState::Cursor((at - 1).into()), PageState::Cursor(at.into()));
            assert!(!circle.closes(&before, &next), "{at}");
            circle.pass(&next, at);
        }
    }

    #[test]
    fn counted_pages_take_no_space() {
        let mut circle = Circle::default();
        circle.pass(&PageState::Offset(50), 1);
        circle.pass(&PageState::Number { number: 2, before: 50 }, 1);
        assert_eq!(circle, Circle::default());
    }
}
