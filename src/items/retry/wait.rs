//! How long to wait, as an answer or the file says it.

use std::time::Duration;

use http::HeaderName;
use serde_json::Value;

use super::Came;
use crate::mapping::{Path, wait};
use crate::model::Timestamp;

/// Where the length of a wait is read.
#[derive(Clone, Debug)]
pub enum WaitSource {
    /// `header:NAME`: seconds, with a fraction or without, or a date (RFC 9110 section 10.2.3).
    Header(HeaderName),
    /// `reset:NAME`: a moment in a header field: epoch seconds, epoch milliseconds or RFC 3339. A number too small to be a
    /// moment of this century is a span in seconds.
    Reset(HeaderName),
    /// `path:JSONPATH`: seconds in the body.
    Body(Path),
    /// Always this long.
    Fixed(Duration),
}

impl WaitSource {
    /// The wait; `None` when it is not said here, or not understood. What lies in the past is no wait at all.
    pub(super) fn read(&self, came: Came<'_>, now: Timestamp) -> Option<Duration> {
        match self {
            Self::Header(name) => wait::retry_after(came.headers.get(name)?, now),
            Self::Reset(name) => wait::reset(came.headers.get(name)?, now),
            Self::Body(path) => match path.first(came.body?)? {
                Value::Number(number) => wait::span(number.as_f64()?),
                Value::String(text) => wait::span(wait::number(text.trim())?),
                _ => None,
            },
            Self::Fixed(wait) => Some(*wait),
        }
    }
}
