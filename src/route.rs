//! The rules of the call path, without I/O: which provider URL a request means, which headers go and come, where the token
//! stands.

mod api;

pub use api::{Api, TokenPlace};
