//! The HTTP side: listeners, who is asking, the endpoints, and the one place that turns a failure into an answer.

mod admin;
mod admit;
mod application;
mod body;
mod call;
mod call_record;
mod caller;
mod connect;
mod connections;
mod cors;
mod endpoint;
mod form;
pub mod forward;
mod identity;
mod items;
pub mod listen;
mod metrics;
mod openapi;
mod origin;
mod page;
mod reload;
mod respond;
mod service;
mod sessions;
mod settings;

pub use body::Body;
pub use call_record::CallRecord;
pub use forward::{ForwardError, forward};
pub use items::ItemStream;
pub use reload::{Asked, Notice, Reloaded, Reloads};
pub use respond::malformed;
pub use service::{Process, Service};
pub use settings::{App, Caller, Claim, Identity, KeyHash, Limits, LoginToken, Settings, Tls, Whoami};
