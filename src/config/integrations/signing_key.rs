//! The key of an integration that signs: read whole at load, and held to what its provider file signs with.

use std::sync::Arc;

use ring::rand::SystemRandom;

use super::{Lacking, wanted};
use crate::config::problem::Fault;
use crate::config::reader::Table;
use crate::config::secrets::Resolved;
use crate::oauth::{SigningAlgorithm, SigningKey};
use crate::provider::Provider;

/// What the key gives no value for goes to `lacking`; one that cannot be used is a mistake.
pub(super) fn read(
    table: &Table<'_>,
    resolved: Option<Resolved>,
    provider: &Provider,
    lacking: &mut Vec<Lacking>,
) -> Option<Arc<SigningKey>> {
    let algorithms: Vec<SigningAlgorithm> =
        provider.protocol.signs_with().filter(|algorithm| *algorithm != SigningAlgorithm::Hs256).collect();
    let text = wanted(table, "private_key", resolved, !algorithms.is_empty(), lacking)?;
    let key = match SigningKey::parse(text.expose(), &SystemRandom::new()) {
        Ok(key) => key,
        Err(error) => {
            let fault = Fault::sentence(&error.to_string());
            table.context().report.mistake(table.place("private_key").problem(fault));
            return None;
        }
    };
    if let Some(algorithm) = algorithms.iter().find(|algorithm| !key.fits(**algorithm)) {
        let fault = format!("is {}, and this provider's file signs by {}", key.kind(), algorithm.name());
        table.mistake("private_key", fault, format!("name {}", algorithm.key_kind()));
    }
    Some(Arc::new(key))
}
