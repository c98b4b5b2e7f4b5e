//! What an operator may say about the store. It reads nothing by itself.

use std::path::PathBuf;
use std::time::Duration;

use super::location::Location;
use super::seal::SealingKey;
use crate::model::Secret;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub location: Location,
    /// Newest first: the first seals, any opens. When none is listed, a file gets a key file beside it, memory a key of
    /// its own, and Redis refuses.
    pub keys: Vec<SealingKey>,
    /// What Redis' keys and its channel begin with.
    pub prefix: String,
    /// Beyond what the URL says about TLS.
    pub tls: RedisTls,
    /// The ACL user; goes before the URL's.
    pub username: Option<String>,
    /// The password, also at Sentinels that ask for one; goes before the URL's.
    pub password: Option<Secret>,
    /// How long any single call may take before it answers [`StoreError::Unavailable`](super::StoreError::Unavailable).
    pub timeout: Duration,
}

impl Settings {
    /// The defaults for a location: no listed key, `keyferry:`, two seconds.
    pub fn new(location: Location) -> Self {
        Self {
            location,
            keys: Vec::new(),
            prefix: "keyferry:".to_owned(),
            tls: RedisTls::default(),
            username: None,
            password: None,
            timeout: Duration::from_secs(2),
        }
    }
}

/// The files of a TLS connection to Redis, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The roots to trust, instead of the public ones that are compiled in.
    pub ca_file: Option<PathBuf>,
    /// A client certificate with its chain; needs `key`.
    pub cert: Option<PathBuf>,
    /// The client certificate's private key; needs `cert`.
    pub key: Option<PathBuf>,
}
