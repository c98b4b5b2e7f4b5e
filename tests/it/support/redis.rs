//! A real Redis of each kind as the store of a Keyferry: the lines of its `config.toml`, and what lies in it.

use std::fs;

use crate::redis_servers::{Cluster, Secured, Server, Watched};

/// A running Redis. It ends when this goes.
pub(crate) enum Redis {
    /// One server over plain TCP.
    Alone(Server),
    /// One server over TLS with client certificates, for a user with little permission.
    Secured(Secured),
    /// A master and a replica behind a Sentinel.
    Watched(Watched),
    /// Three masters.
    Cluster(Cluster),
}

impl Redis {
    /// One server.
    pub(crate) fn alone() -> Self {
        Self::Alone(Server::start(&[]))
    }

    /// The lines under `[store]` that lead to it.
    pub(crate) fn store(&self) -> String {
        let url = match self {
            Self::Alone(server) => server.url(),
            Self::Secured(secured) => secured.url(),
            Self::Watched(watched) => watched.url(),
            Self::Cluster(cluster) => cluster.url(),
        };
        let mut lines = Self::lines(&url);
        if let Self::Secured(secured) = self {
            for (key, file) in [("ca_file", "ca.pem"), ("cert", "client.pem"), ("key", "client.key")] {
                lines += &format!("{key} = \"{}\"\n", secured.file(file).display());
            }
        }
        lines
    }

    /// The lines for a Redis of which only the URL is to be known.
    pub(crate) fn lines(url: &str) -> String {
        format!("url = \"{url}\"\n")
    }

    /// Everything in it, as it would lie in a backup.
    pub(crate) fn backup(&self) -> Vec<u8> {
        match self {
            Self::Alone(server) => dump(server, server.raw()),
            Self::Secured(secured) => dump(&secured.server, secured.raw()),
            Self::Watched(watched) => {
                let url = format!("redis://:secret@127.0.0.1:{}", watched.master.port);
                dump(&watched.master, crate::redis_servers::raw(&url))
            }
            Self::Cluster(cluster) => cluster.nodes.iter().flat_map(|node| dump(node, node.raw())).collect(),
        }
    }
}

fn dump(server: &Server, mut connection: redis::Connection) -> Vec<u8> {
    // Compression would break a long value into pieces, and a secret could hide between them.
    for command in [&["CONFIG", "SET", "rdbcompression", "no"][..], &["SAVE"]] {
        redis::cmd(command[0]).arg(&command[1..]).exec(&mut connection).expect("an administrator may do this");
    }
    fs::read(server.folder.path().join("dump.rdb")).expect("SAVE has written it")
}
