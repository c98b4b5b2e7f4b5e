//! How many calls a provider takes in a span of time.

use std::num::NonZeroU32;
use std::time::Duration;

/// The `[api] rate` rule of a provider file: `limit` calls in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Most calls in the span.
    pub limit: NonZeroU32,
    /// The span.
    pub per: Duration,
}
