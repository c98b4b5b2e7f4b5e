//! What a running sidecar cannot change: where it listens, where it keeps its grants, how it writes its log.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::{Config, Sources};
use crate::server::Settings;
use crate::telemetry::Format;
use crate::{server, store};

/// The settings that are in force until the end, as they were at the start.
pub(super) struct Fixed {
    listen: SocketAddr,
    admin_listen: Option<SocketAddr>,
    connections: usize,
    store: store::Settings,
    format: Option<Format>,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            listen: config.server.listen,
            admin_listen: config.server.admin_listen,
            connections: config.server.limits.connections,
            store: config.store.clone(),
            format: config.log.format,
        }
    }

    /// The keys whose value is another one now. The store reads its certificates at the start, so another file under the
    /// same name counts as well.
    pub(super) fn differences(&self, config: &Config, before: &Sources, now: &Sources) -> Vec<&'static str> {
        let (ours, theirs) = (&self.store, &config.store);
        let is_other_file = |ours: &Option<PathBuf>, theirs: &Option<PathBuf>| {
            ours != theirs || ours.as_ref().is_some_and(|path| !before.agree_on(now, path))
        };
        let all = [
            ("server.listen", self.listen != config.server.listen),
            ("server.admin_listen", self.admin_listen != config.server.admin_listen),
            ("server.limits.connections", self.connections != config.server.limits.connections),
            ("store.url", ours.location != theirs.location),
            ("store.keys", ours.keys != theirs.keys),
            ("store.prefix", ours.prefix != theirs.prefix),
            ("store.ca_file", is_other_file(&ours.tls.ca_file, &theirs.tls.ca_file)),
            ("store.cert", is_other_file(&ours.tls.cert, &theirs.tls.cert)),
            ("store.key", is_other_file(&ours.tls.key, &theirs.tls.key)),
            ("store.username", ours.username != theirs.username),
            ("store.password", ours.password != theirs.password),
            ("store.timeout", ours.timeout != theirs.timeout),
            ("log.format", self.format != config.log.format),
        ];
        all.into_iter().filter(|(_, is_other)| *is_other).map(|(key, _)| key).collect()
    }

    /// The settings as far as they can be in force.
    pub(super) fn kept_in(&self, settings: &Settings) -> Settings {
        let limits = server::Limits { connections: self.connections, ..settings.limits.clone() };
        Settings { listen: self.listen, admin_listen: self.admin_listen, limits, ..settings.clone() }
    }
}
