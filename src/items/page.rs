//! From one page to the following one.

mod circle;
mod link;
mod next_url;

use http::HeaderMap;
use serde_json::Value;
use url::Url;

use crate::mapping::{Path, Phrase};

pub(super) use circle::Circle;
pub(super) use next_url::is_below_base;

/// How the pages of a stream follow each other.
#[derive(Clone, Debug)]
pub struct Paging {
    /// What leads from one to the following one.
    pub turning: Turning,
    /// `false` in an answer says that it is the last one, whatever else it holds.
    pub more: Option<Path>,
    /// `true` in an answer says the same.
    pub last: Option<Path>,
    /// How many records there are in all; for counted pages.
    pub total: Option<Path>,
    /// Where the page size goes.
    pub size: Option<Insert>,
    /// The page size: what is asked for, and without `size` what the provider's pages hold anyway.
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
    Number {
        /// The number.
        number: u64,
        /// How many records came before.
        before: u64,
    },
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
    /// What should lead there is a list or an object.
    Unreadable,
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
        [turning, self.more.as_ref(), self.last.as_ref(), self.total.as_ref()].into_iter().flatten()
    }

    /// Reads what leads on. `asked` is the path and query of the answered request.
    pub(super) fn signs(&self, page: &Value, headers: &HeaderMap, base: Option<&Url>, asked: &str) -> Signs {
        let url = |text: &str| match base.and_then(|base| next_url::below(base, asked, text)) {
            Some(url) => Ok(PageState::Url(url)),
            None => Err(Stuck::Foreign),
        };
        let filled = |path: &Path| path.first(page).filter(|value| value.as_str() != Some(""));
        let next = match &self.turning {
            Turning::Cursor { cursor, .. } => match filled(cursor) {
                Some(value @ (Value::String(_) | Value::Number(_))) => Some(Ok(PageState::Cursor(value.clone()))),
                other => other.filter(|value| is_nested(value)).map(|_| Err(Stuck::Unreadable)),
            },
            Turning::Link => link::next(headers).map(|target| url(&target)),
            Turning::NextUrl(path) => match filled(path) {
                Some(Value::String(text)) => Some(url(text)),
                other => other.filter(|value| is_nested(value)).map(|_| Err(Stuck::Unreadable)),
            },
            Turning::Offset(_) | Turning::Number { .. } => None,
        };
        let says = |path: &Option<Path>, flag: bool| {
            path.as_ref().is_some_and(|path| path.first(page) == Some(&Value::Bool(flag)))
        };
        let ends = says(&self.more, false) || says(&self.last, true);
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
                is_followed(listed, read, signs.total).then_some(PageState::Offset(read))
            }
            Turning::Number { first, .. } => {
                let (number, before) =
                    if let PageState::Number { number, before } = state { (*number, *before) } else { (*first, 0) };
                let read = before.saturating_add(listed);
                // Pages of a size that is the provider's own may list fewer records than the total counts.
                let counted = match (self.n, &self.size) {
                    (Some(n), None) => number.saturating_sub(*first).saturating_add(1).saturating_mul(n),
                    _ => read,
                };
                let next = PageState::Number { number: number.saturating_add(1), before: read };
                is_followed(listed, counted, signs.total).then_some(next)
            }
        };
        next.map(Ok)
    }
}

/// An empty page ends counted ones, and so does the total. A short one does not: a provider may give fewer records than
/// were asked for.
fn is_followed(listed: u64, read: u64, total: Option<u64>) -> bool {
    listed > 0 && total.is_none_or(|total| read < total)
}

fn is_nested(value: &Value) -> bool {
    value.is_array() || value.is_object()
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
            Self::Number { .. } => matches!(turning, Some(Turning::Number { .. })),
            Self::Url(_) => matches!(turning, Some(Turning::Link | Turning::NextUrl(_))),
        }
    }
}
