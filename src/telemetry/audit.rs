//! The audit stream: who connected, confirmed, was refused, ended what. Events of one target with fixed fields, which go
//! to the log, or as JSON lines to a file of their own. Never a secret: every field is a name, an identifier, a word of
//! ours, or an error code of a provider's that repeats nothing of what it was sent.

mod asked;
mod denials;
mod file;

use std::net::IpAddr;
use std::path::PathBuf;

use tracing::field::display;

pub use self::asked::Asked;
pub use self::denials::{Denial, Denials};

pub(super) use self::file::{Sink, check, open};

use crate::model::{CallerName, Connection, ConnectionKey, IntegrationName, Person};
use crate::telemetry::metric::label;

/// The target of every event of the stream.
pub const TARGET: &str = "audit";

/// The reason of what nobody but the operator asked for, on the admin listener.
pub const BY_OPERATOR: &str = "by_operator";

/// Where the audit stream goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// To the log, whatever its level.
    #[default]
    Log,
    /// Nowhere.
    Off,
    /// To the end of this file, as JSON lines.
    File(PathBuf),
}

label! {
    /// What happened; the message of its line.
    pub Event {
        /// A connection has a new grant.
        Connected = "connected",
        /// Whoever began an authorization has given their word for it.
        Confirmed = "confirmed",
        /// A grant could not be refreshed, for now or for good.
        RefreshFailed = "refresh_failed",
        /// A connection was ended.
        Disconnected = "disconnected",
        /// Somebody was refused.
        Denied = "denied",
        /// Everything that is kept of a person was taken away.
        PersonDeleted = "person_deleted",
        /// Every record that opens is sealed by the newest store key.
        Rekeyed = "rekeyed",
        /// Another configuration is in force.
        Reloaded = "reloaded",
        /// An API key, or what it may do, has come, gone or changed.
        KeyChanged = "key_changed",
    }
}

/// How many records were looked at, and what came of them.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    /// All that were looked at.
    pub seen: u64,
    /// Those that are sealed anew.
    pub resealed: u64,
    /// Those that no configured key opens.
    pub unopenable: u64,
}

/// Whom and what an event is about, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The organisation.
    pub org: Option<&'a str>,
    /// The user.
    pub user: Option<&'a str>,
    /// The integration.
    pub integration: Option<&'a str>,
    /// The connection's identifier.
    pub connection: Option<&'a str>,
    /// The name of the API key, where it is not that of whoever asked.
    pub caller: Option<&'a str>,
    /// The request's identifier, where it is not that of whoever asked.
    pub request: Option<&'a str>,
    /// The other end of the connection that the request came over, where it is not that of whoever asked.
    pub client: Option<IpAddr>,
    /// Why, in words of ours.
    pub reason: Option<&'a str>,
    /// How many events this line stands for, where it stands for more than one.
    pub times: Option<u64>,
    /// What was done with the records of the store, where the event is about all of them.
    pub records: Option<Records>,
}

impl<'a> About<'a> {
    /// A person's place at an integration.
    pub fn key(key: &'a ConnectionKey) -> Self {
        Self::default().integration(&key.integration).person(&key.person)
    }

    /// A connection.
    pub fn connection(connection: &'a Connection) -> Self {
        Self { connection: Some(connection.id.as_str()), ..Self::key(&connection.key) }
    }

    /// An API key.
    pub fn caller(name: &'a CallerName) -> Self {
        Self { caller: Some(name.as_str()), ..Self::default() }
    }

    /// With its integration.
    pub fn integration(self, name: &'a IntegrationName) -> Self {
        Self { integration: Some(name.as_str()), ..self }
    }

    /// With its person; not the one that stands for nobody.
    pub fn person(self, person: &'a Person) -> Self {
        if person.is_nobody() {
            return self;
        }
        Self { org: Some(person.org.as_str()), user: Some(person.user.as_str()), ..self }
    }

    /// With its reason.
    pub fn because(self, reason: &'a str) -> Self {
        Self { reason: Some(reason), ..self }
    }
}

/// Writes an event into the stream, with whoever asked for the work that it happens in.
pub fn write(event: Event, about: &About<'_>) {
    let asked = Asked::here();
    let About { org, user, integration, connection, reason, times, .. } = *about;
    let request = about.request.or(asked.as_ref().map(Asked::request));
    // As IPv4 writes it, whatever the listener listens on: that is what lists of addresses hold.
    let client = about.client.or(asked.as_ref().map(Asked::client)).map(|client| display(client.to_canonical()));
    let caller = about.caller.or(asked.as_ref().and_then(Asked::caller));
    let counted = |count: fn(Records) -> u64| about.records.map(count);
    let (seen, resealed) = (counted(|records| records.seen), counted(|records| records.resealed));
    let unopenable = counted(|records| records.unopenable);
    tracing::info!(
        target: TARGET,
        { request.id = request, client.address = client, integration, org, user, caller, connection.id = connection, reason, times,
          seen, resealed, unopenable },
        "{}",
        event.as_str()
    );
}
