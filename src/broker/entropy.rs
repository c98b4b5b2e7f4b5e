//! Random texts: states, codes, tickets, sessions. The one place of the broker that draws entropy.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use sha2::{Digest as _, Sha256};

use super::BrokerError;
use crate::model::{Secret, Timestamp};
use crate::oauth::Signing;

/// 256 random bits, base64url: 43 characters that stand in a URL as they are.
pub fn random_token() -> Result<Secret, BrokerError> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()?)))
}

pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N], BrokerError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| BrokerError::Internal(format!("no entropy: {error}")))?;
    Ok(bytes)
}

/// A random number from 0 up to 1, for waits that are to differ.
pub(super) fn unit() -> Result<f64, BrokerError> {
    Ok(f64::from(u32::from_be_bytes(random_bytes()?)) / 2f64.powi(32))
}

/// For what is signed at that moment. Signatures draw from the system themselves.
pub(super) fn signing(now: Timestamp) -> Signing<'static> {
    static RANDOM: LazyLock<SystemRandom> = LazyLock::new(SystemRandom::new);
    Signing { now, random: &RANDOM }
}

/// What a token is stored under, so that whoever reads the store's keys cannot use what they name.
pub(super) fn fingerprint(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}
