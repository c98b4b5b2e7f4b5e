//! The HTTP side: listeners, who is asking, the endpoints, and the one place that turns a failure into an answer.

mod body;
pub mod forward;
pub mod listen;
mod settings;

pub use body::Body;
pub use forward::{ForwardError, forward};
pub use settings::{Caller, KeyHash, Limits, Settings, Tls};
