//! The nouns of the README's "How it fits". Parsed once at the border and trusted inside; none derives serde, because
//! each border (files, store, HTTP) has a shape of its own.

mod caller;
mod certificate;
mod connection;
mod grant;
mod item;
mod name;
mod secret;
mod time;

pub use caller::{Allowed, CallerScope};
pub use certificate::ClientCertificate;
pub use connection::{Connection, ConnectionId, ConnectionKey, ConnectionStatus};
pub use grant::{Freshness, Grant};
pub use item::Item;
pub use name::{CallerName, IntegrationName, NameError, Org, Person, ProviderId, User};
pub use secret::Secret;
pub use time::Timestamp;
