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
pub use rate::Rate;
pub use ready::{Destination, Ready, ReadyError};
pub use side::Side;
pub use target::{Target, TargetError};
