//! The walk through all pages of all streams. (Skeleton: shapes only.)

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::model::{Item, Timestamp};

/// The `[items]` table of a provider file, with `[api] retry`, checked and compiled.
#[derive(Clone, Debug, Default)]
pub struct Plan {}

impl Plan {
    /// Whether the file says nothing about items.
    pub fn is_empty(&self) -> bool {
        true
    }
}

/// What a walk is to load, and what it may know.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `$conn`: captured values and variables of the connection.
    pub connection: Value,
    /// The rendered base URL, to which next-page URLs are held.
    pub base_url: String,
    /// Item types that are wanted; empty for all.
    pub types: Vec<String>,
    /// Where to go on; the beginning otherwise.
    pub position: Option<Position>,
}

/// A place between two items, from which another walk of the same plan goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {}

impl Position {
    /// As bytes, for a cursor.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    /// From those bytes; `None` when they are not a position.
    pub fn decode(_bytes: &[u8]) -> Option<Self> {
        None
    }
}

/// What the driver is to do. After `Send` it calls [`Walk::answer`] or [`Walk::no_answer`], after `Renew`
/// [`Walk::renewed`], after the others [`Walk::next`] again.
#[derive(Debug)]
pub enum Step {
    /// Send this and report what came.
    Send(PageRequest),
    /// Let this much time pass.
    Wait(Duration),
    /// The provider answered 401: get another token.
    Renew,
    /// Give this item out.
    Emit(Item),
    /// Nothing is left.
    Done,
}

/// One request for a page, below the base URL.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The stream's name, for the log.
    pub stream: String,
    /// `GET` or `POST`.
    pub method: http::Method,
    /// Path and query behind the base URL: begins with `/`.
    pub path_and_query: String,
    /// Headers of the stream, `content-type` included where there is a body.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The JSON body.
    pub body: Option<Vec<u8>>,
    /// Which rate budget of the connection it draws on; empty for the connection's own.
    pub budget: String,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub headers: &'a HeaderMap,
    /// Its body, whole.
    pub body: &'a [u8],
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The provider cannot be reached, or the exchange broke off.
    Unreachable,
    /// It took too long.
    Timeout,
    /// The page is larger than is read.
    TooLarge,
    /// The circuit is open: nothing is sent for so long.
    CircuitOpen(Duration),
    /// The rate budget would have to be waited for longer than the cap.
    OverBudget(Duration),
}

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
    /// How many records or children it is about.
    pub count: Option<u64>,
}

impl Problem {
    /// Whether something is missing from the result because the provider could not be read.
    pub fn is_failure(&self) -> bool {
        Self::is_failure_code(self.code)
    }

    /// The same, from the code alone.
    pub fn is_failure_code(code: &str) -> bool {
        !matches!(code, "incomplete" | "records_dropped" | "fields_dropped" | "skipped")
    }
}

/// A walk under way.
#[derive(Debug)]
pub struct Walk {
    _plan: Arc<Plan>,
}

impl Walk {
    /// Begins, or goes on at a position.
    pub fn new(plan: Arc<Plan>, _options: Options) -> Self {
        Self { _plan: plan }
    }

    /// What to do next.
    pub fn next(&mut self) -> Step {
        Step::Done
    }

    /// Reports the answer to the last `Send`. `jitter` is drawn by the caller, from 0 up to 1.
    pub fn answer(&mut self, _answer: Answer<'_>, _now: Timestamp, _jitter: f64) {}

    /// Reports that no answer came.
    pub fn no_answer(&mut self, _outage: Outage, _jitter: f64) {}

    /// Reports whether another token is there.
    pub fn renewed(&mut self, _renewed: bool) {}

    /// Where to go on after the last item given out; `None` at the end.
    pub fn position(&self) -> Option<Position> {
        None
    }

    /// The longest that any wait may be; what asks for more fails.
    pub fn longest_wait(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// What went wrong so far.
    pub fn problems(&self) -> &[Problem] {
        &[]
    }
}
