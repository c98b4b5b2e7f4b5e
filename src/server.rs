//! The HTTP side: listeners, who is asking, the endpoints, and the one place that turns a failure into an answer.

mod settings;

pub use settings::{Caller, KeyHash, Limits, Settings, Tls};
