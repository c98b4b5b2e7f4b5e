//! The rules of the call path, without I/O: which provider URL a request means, which headers go and come, where the
//! token stands.

mod api;
pub mod headers;
mod rate;
mod ready;
mod side;
mod target;

pub use api::{Api, TokenPlace};
pub use headers::{LoopDetected, Via};
pub(crate) use rate::{HORIZON, micros};
pub use rate::{LONGEST_WAIT, Level, Rate, Spend, Spent};
pub use ready::{Destination, Ready, ReadyError};
pub use side::Side;
pub use target::{Target, TargetError};
