//! The store: one suite over memory, a file, and Redis alone, over TLS, behind Sentinel and in a Cluster; then what is
//! particular to each.

mod budgets;
mod embedded;
mod redis;
mod suite;

use std::time::Duration;

use keyferry::clock::Clock;
use keyferry::store::{Expected, Key, Kind, Location, SealingKey, Settings, Store, Written};

/// A secret that may stand nowhere in the clear.
const CANARY: &str = "canary-7f3a9c51-refresh-token";

/// Settings for a URL, with one fresh key.
fn settings(url: &str) -> Settings {
    let location = Location::parse(url).expect("a store URL");
    Settings { keys: vec![SealingKey::generate()], ..Settings::new(location) }
}

async fn open(settings: Settings) -> Store {
    // The first test to come installs it; the others find it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Store::open(settings, Clock::System).await.expect("the store opens")
}

fn key(name: &str) -> Key {
    Key::new(Kind::Connection, &["tests", name])
}

/// Writes where nothing is, and gives the version.
async fn put(store: &Store, key: &Key, value: &[u8]) -> u64 {
    stored(store.put(key, Expected::Absent, value, None).await.expect("the store answers"))
}

fn stored(written: Written) -> u64 {
    match written {
        Written::Stored(version) => version,
        Written::Conflict => panic!("nothing else writes here"),
    }
}

/// Waits for a condition, for at most twenty seconds.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("did not happen: {what}"));
}
