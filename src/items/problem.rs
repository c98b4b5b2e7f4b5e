//! What goes wrong while items are loaded, in words for a person.

use std::time::Duration;

/// What went wrong while items were loaded, in words for a person. What was read before is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stream.
    pub stream: String,
    /// One of the closed words: `rate_limited`, `upstream_unreachable`, `upstream_timeout`, `upstream_refused`,
    /// `unreadable`, `unauthorized`, `incomplete`, `too_many_pages`, `cursor_repeated`, `foreign_page`,
    /// `records_dropped`, `fields_dropped`, `skipped`.
    pub code: &'static str,
    /// A sentence.
    pub detail: String,
    /// The provider's status, where there was one.
    pub status: Option<u16>,
    /// When it is worth another try.
    pub retry_after: Option<Duration>,
    /// How many records, children or requests it is about, where it was met more than once.
    pub count: Option<u64>,
}

/// A problem before it is known whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    pub(super) status: Option<u16>,
    pub(super) retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    RateLimited,
    Unreachable,
    TimedOut,
    Refused,
    Unreadable,
    TooLarge,
    MissingValue,
    ForeignPosition,
    Unauthorized,
    Incomplete,
    TooManyChildren,
    TooManyPages,
    CursorRepeated,
    ForeignPage,
    RecordsDropped,
    FieldsDropped,
    Skipped,
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Unreachable => "upstream_unreachable",
            Self::TimedOut => "upstream_timeout",
            Self::Refused => "upstream_refused",
            Self::Unreadable | Self::TooLarge | Self::MissingValue | Self::ForeignPosition => "unreadable",
            Self::Unauthorized => "unauthorized",
            Self::Incomplete | Self::TooManyChildren => "incomplete",
            Self::TooManyPages => "too_many_pages",
            Self::CursorRepeated => "cursor_repeated",
            Self::ForeignPage => "foreign_page",
            Self::RecordsDropped => "records_dropped",
            Self::FieldsDropped => "fields_dropped",
            Self::Skipped => "skipped",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::RateLimited => "The provider takes no more calls for now.",
            Self::Unreachable => "The provider could not be reached.",
            Self::TimedOut => "The provider took too long to answer.",
            Self::Refused => "The provider refused the request.",
            Self::Unreadable => "The provider's answer was not the JSON that was expected.",
            Self::TooLarge => "The provider's answer was larger than is read.",
            Self::MissingValue => "The request needs a value that the record above does not have.",
            Self::ForeignPosition => "The place to go on at belongs to another version of the provider file.",
            Self::Unauthorized => "The provider does not take the token any more.",
            Self::Incomplete => "The provider says that it left records out.",
            Self::TooManyChildren => "An item has more children than are collected; its list of children is left out.",
            Self::TooManyPages => "There are more pages than are read.",
            Self::CursorRepeated => "The provider led back to a page that was read before.",
            Self::ForeignPage => "The following page lies outside the provider's base URL.",
            Self::RecordsDropped => "Some records have no id and were left out.",
            Self::FieldsDropped => "Some fields held something else than they should and were left empty.",
            Self::Skipped => "Some parents may not be looked into and were passed over.",
        }
    }

    /// Whether it says how many.
    fn counts(self) -> bool {
        matches!(self, Self::RecordsDropped | Self::FieldsDropped | Self::Skipped)
    }
}

impl Trouble {
    fn sentence(self) -> &'static str {
        match (self.kind, self.status) {
            // Not a word against whoever asked.
            (Kind::Refused, Some(500..)) => "The provider has trouble of its own.",
            (kind, _) => kind.sentence(),
        }
    }
}

impl From<Kind> for Trouble {
    fn from(kind: Kind) -> Self {
        Self { kind, status: None, retry_after: None }
    }
}

impl Problem {
    /// Whether something is missing from the result because the provider could not be read.
    pub fn is_failure(&self) -> bool {
        matches!(
            self.code,
            "rate_limited"
                | "upstream_unreachable"
                | "upstream_timeout"
                | "upstream_refused"
                | "unreadable"
                | "unauthorized"
                | "cursor_repeated"
                | "foreign_page"
        )
    }
}

/// Notes it. What is met again is counted, so that a million bad records are one problem.
pub(super) fn note(problems: &mut Vec<Problem>, stream: &str, trouble: Trouble, times: u64) {
    let Trouble { kind, status, retry_after } = trouble;
    let detail = trouble.sentence();
    let same =
        |problem: &&mut Problem| problem.stream == stream && problem.detail == detail && problem.status == status;
    if let Some(known) = problems.iter_mut().find(same) {
        known.count = Some(known.count.unwrap_or(1).saturating_add(times));
        known.retry_after = known.retry_after.max(retry_after);
        return;
    }
    let count = (kind.counts() || times > 1).then_some(times);
    problems.push(Problem {
        stream: stream.into(),
        code: kind.code(),
        detail: detail.into(),
        status,
        retry_after,
        count,
    });
}
