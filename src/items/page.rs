//! From one page to the following one.

mod link;
mod next_url;

use http::HeaderMap;
use serde_json::Value;
use url::Url;

use crate::mapping::{Path, Phrase};

pub(super) use next_url::is_below_base;

/// How the pages of a stream follow each other.
#[derive(Clone, Debug)]
pub struct Paging {
    /// What leads from one to the following one.
    pub turning: Turning,
    /// `false` in an answer says that it is the last one, whatever else it holds.
    pub more: Option<Path>,
    /// How many records there are in all; for counted pages.
    pub total: Option<Path>,
    /// Where the page size goes.
    pub size: Option<Insert>,
    /// The page size.
    pub n: Option<u64>,
    /// Most pages; more is a problem.
    pub max: u64,
    /// Where pages behind the first one are asked for, when not at the stream's own path.
    pub path: Option<Phrase>,
    /// Whether those requests hold the cursor and nothing else.
    pub only: bool,
}

/// What leads from one page to the following one.
#[derive(Clone, Debug)]
pub enum Turning {
    /// A value in the answer, opaque, that the following request carries.
    Cursor {
        /// Where it stands.
        cursor: Path,
        /// Where it goes.
        into: Insert,
    },
    /// How many records came before.
    Offset(Insert),
    /// The page's number.
    Number {
        /// Where it goes.
        into: Insert,
        /// The number of the first one.
        first: u64,
    },
    /// The `Link` header with `rel="next"` (RFC 8288).
    Link,
    /// A URL in the answer.
    NextUrl(Path),
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insert {
    /// A query parameter.
    Query(String),
    /// A member of the body, from the outside in.
    Body(Vec<String>),
}

/// Which page of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum PageState {
    /// The first one.
    First,
    /// Behind a cursor, which is a text or a number.
    Cursor(Value),
    /// Behind so many records.
    Offset(u64),
    /// With this number.
    Number(u64),
    /// At this path and query below the base URL.
    Url(String),
}

/// Why no following page can be asked for though there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// The cursor is the one of an earlier page.
    Repeated,
    /// The URL lies outside the base URL.
    Foreign,
}

/// What an answer says about the following page before its records are taken.
pub(super) struct Signs {
    ends: bool,
    total: Option<u64>,
    next: Option<Result<PageState, Stuck>>,
}

impl Paging {
    /// Every path that reads an answer.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let turning = match &self.turning {
            Turning::Cursor { cursor: path, .. } | Turning::NextUrl(path) => Some(path),
            Turning::Offset(_) | Turning::Number { .. } | Turning::Link => None,
        };
        [turning, self.more.as_ref(), self.total.as_ref()].into_iter().flatten()
    }

    /// Reads what leads on. `asked` is the path and query of the answered request.
    pub(super) fn signs(&self, page: &Value, headers: &HeaderMap, base: Option<&Url>, asked: &str) -> Signs {
        let url = |text: &str| match base.and_then(|base| next_url::below(base, asked, text)) {
            Some(url) => Ok(PageState::Url(url)),
            None => Err(Stuck::Foreign),
        };
        let filled = |path: &Path| path.first(page).filter(|value| value.as_str() != Some(""));
        let next = match &self.turning {
            Turning::Cursor { cursor, .. } => filled(cursor)
                .filter(|value| value.is_string() || value.is_number())
                .map(|value| Ok(PageState::Cursor(value.clone()))),
            Turning::Link => link::next(headers).map(|target| url(&target)),
            Turning::NextUrl(path) => filled(path).and_then(Value::as_str).map(url),
            Turning::Offset(_) | Turning::Number { .. } => None,
        };
        let ends = self.more.as_ref().is_some_and(|more| more.first(page) == Some(&Value::Bool(false)));
        let total = self.total.as_ref().and_then(|total| total.first(page)?.as_u64());
        Signs { ends, total, next }
    }

    /// The following page, behind one that listed so many records; `None` behind the last one.
    pub(super) fn turn(&self, state: &PageState, signs: Signs, listed: usize) -> Option<Result<PageState, Stuck>> {
        if signs.ends {
            return None;
        }
        let listed = u64::try_from(listed).unwrap_or(u64::MAX);
        let next = match &self.turning {
            Turning::Cursor { .. } | Turning::Link | Turning::NextUrl(_) => return signs.next,
            Turning::Offset(_) => {
                let before = if let PageState::Offset(before) = state { *before } else { 0 };
                let read = before.saturating_add(listed);
                (self.is_followed(listed, read, signs.total)).then_some(PageState::Offset(read))
            }
            Turning::Number { first, .. } => {
                let number = if let PageState::Number(number) = state { *number } else { *first };
                let pages = number.saturating_sub(*first).saturating_add(1);
                let read = pages.saturating_mul(self.n.unwrap_or(listed));
                (self.is_followed(listed, read, signs.total)).then(|| PageState::Number(number.saturating_add(1)))
            }
        };
        next.map(Ok)
    }

    /// An empty page ends counted ones. A short one does only where nothing better is said: a provider may give fewer
    /// records than were asked for.
    fn is_followed(&self, listed: u64, read: u64, total: Option<u64>) -> bool {
        listed > 0
            && match total {
                Some(total) => read < total,
                None => self.more.is_some() || self.n.is_none_or(|n| listed >= n),
            }
    }
}

impl PageState {
    /// Whether a stream with this paging can be on such a page.
    pub(super) fn suits(&self, paging: Option<&Paging>) -> bool {
        let turning = paging.map(|paging| &paging.turning);
        match self {
            Self::First => true,
            Self::Cursor(value) => {
                matches!(turning, Some(Turning::Cursor { .. })) && (value.is_string() || value.is_number())
            }
            Self::Offset(_) => matches!(turning, Some(Turning::Offset(_))),
            Self::Number(_) => matches!(turning, Some(Turning::Number { .. })),
            Self::Url(_) => matches!(turning, Some(Turning::Link | Turning::NextUrl(_))),
        }
    }
}

/// Notices that pages go in a circle, in the space of one page's cursor (Brent's method): each is compared with the one
/// before it and with one further back, which moves up at every power of two.
#[derive(Clone, Debug)]
pub(super) struct Circle {
    kept: PageState,
    since: u64,
    until: u64,
}

impl Circle {
    pub(super) fn new() -> Self {
        Self { kept: PageState::First, since: 0, until: 1 }
    }

    /// Whether this page has been seen. `before` is the page that led to it.
    pub(super) fn closes(&mut self, before: &PageState, next: &PageState) -> bool {
        if next == before || *next == self.kept {
            return true;
        }
        self.since += 1;
        if self.since == self.until {
            self.kept = next.clone();
            self.since = 0;
            self.until = self.until.saturating_mul(2);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_any_length_is_noticed_and_a_line_is_not() {
        fn pages_until_noticed(tail: u64, length: u64) -> u64 {
            let cursor = |at: u64| PageState::Cursor((if at < tail { at } else { tail + (at - tail) % length }).into());
            let mut circle = Circle::new();
            (1..).find(|at| circle.closes(&cursor(at - 1), &cursor(*at))).expect("a circle")
        }
        assert_eq!(pages_until_noticed(0, 1), 1);
        for (tail, length) in [(0, 2), (5, 1), (3, 7), (100, 40)] {
            let noticed = pages_until_noticed(tail, length);
            assert!(noticed <= 4 * (tail + length), "{tail} {length}: {noticed}");
        }
        let mut circle = Circle::new();
        assert!((1..10_000u64).all(|at| !circle.closes(&PageState::Offset(at - 1), &PageState::Offset(at))));
    }
}
