//! Sealing: what lies in a store is ciphertext, and it opens only under the key and the version that it was written
//! for. This module knows nothing of stores; it never deletes what does not open.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::error::{StoreError, Unopenable};
use super::key::Key;

/// The first byte of a sealed record, and the first thing that it is bound to.
const FORMAT: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const HEADER: usize = 1 + KEY_ID + NONCE;

/// A key of `[store] keys`: 32 random bytes.
///
/// Shown only as its id, the first eight hexadecimal digits of its SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey {
    bytes: Zeroizing<[u8; 32]>,
    id: [u8; KEY_ID],
}

/// A text is not a store key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a store key: that is the base64 of exactly 32 bytes, which `openssl rand -base64 32` makes")]
pub struct NotASealingKey;

impl SealingKey {
    /// Reads the standard base64 of exactly 32 bytes; white space around it is ignored, as files end in a line break.
    pub fn parse(text: &str) -> Result<Self, NotASealingKey> {
        let decoded = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| NotASealingKey)?);
        let mut bytes = Zeroizing::new([0; 32]);
        if decoded.len() != bytes.len() {
            return Err(NotASealingKey);
        }
        bytes.copy_from_slice(&decoded);
        Ok(Self::new(bytes))
    }

    /// A new random key.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random(&mut *bytes);
        Self::new(bytes)
    }

    /// The base64 that [`SealingKey::parse`] reads, for the file that keeps the key.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(*self.bytes))
    }

    /// The id that sealed records carry, as hexadecimal digits.
    pub fn id(&self) -> String {
        hexadecimal(&self.id)
    }

    fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        let digest = Sha256::digest(*bytes);
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&digest[..KEY_ID]);
        Self { bytes, id }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.bytes).into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id())
    }
}

/// The listed keys, newest first: the first seals, any opens.
pub(super) struct Seals(Vec<SealingKey>);

impl Seals {
    pub(super) fn new(keys: Vec<SealingKey>) -> Result<Self, StoreError> {
        if keys.is_empty() {
            return Err(StoreError::Settings(
                "store.keys is empty: without a key nothing can be sealed; make one with `openssl rand -base64 32`, \
                 keep it outside of config.toml, and write keys = [\"env:KEYFERRY_STORE_KEY\"]"
                    .to_owned(),
            ));
        }
        Ok(Self(keys))
    }

    /// Seals a value under the newest key: `format | key id | nonce | ciphertext and tag`, with a fresh random nonce.
    /// 192 random bits do not meet again in any number of writes that a store will see.
    pub(super) fn seal(&self, key: &Key, version: u64, value: &[u8]) -> Vec<u8> {
        let newest = &self.0[0];
        let mut nonce = [0; NONCE];
        random(&mut nonce);
        let payload = Payload { msg: value, aad: &binding(key, &newest.id, version) };
        let ciphertext = newest
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a value in memory is far below the cipher's 256 GiB");
        [&[FORMAT], newest.id.as_slice(), &nonce, &ciphertext].concat()
    }

    /// Opens what was sealed for this key and version, or says why it does not open.
    pub(super) fn open(&self, key: &Key, version: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopenable> {
        if sealed.len() < HEADER || sealed[0] != FORMAT {
            return Err(Unopenable::UnknownFormat);
        }
        let (header, ciphertext) = sealed.split_at(HEADER);
        let (id, nonce) = header[1..].split_at(KEY_ID);
        let mut candidates = self.0.iter().filter(|listed| listed.id == id).peekable();
        if candidates.peek().is_none() {
            return Err(Unopenable::UnknownKey(hexadecimal(id)));
        }
        let nonce = XNonce::try_from(nonce).map_err(|_| Unopenable::UnknownFormat)?;
        // Two listed keys may share an id by chance; each is tried.
        candidates
            .find_map(|listed| {
                let payload = Payload { msg: ciphertext, aad: &binding(key, &listed.id, version) };
                listed.cipher().decrypt(&nonce, payload).ok()
            })
            .map(Zeroizing::new)
            .ok_or(Unopenable::NotAuthentic)
    }

    /// True when a record is sealed with the newest key already.
    pub(super) fn is_newest(&self, sealed: &[u8]) -> bool {
        sealed.get(1..1 + KEY_ID) == Some(self.0[0].id.as_slice())
    }
}

/// What a sealed value is bound to. Each part is preceded by its length, so no two bindings share their bytes.
fn binding(key: &Key, key_id: &[u8], version: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [&[FORMAT], key.as_str().as_bytes(), key_id, &version.to_be_bytes()] {
        let length = u32::try_from(part.len()).expect("a key's text is shorter than 4 GiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Fills the bytes from the system's random source.
pub(super) fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel's random source does not fail once it has been seeded");
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::key::Kind;
    use super::*;

    fn key(name: &str) -> Key {
        Key::new(Kind::Connection, &[name])
    }

    fn seals(keys: &[&SealingKey]) -> Seals {
        Seals::new(keys.iter().map(|key| (*key).clone()).collect()).expect("there is a key")
    }

    #[test]
    fn keys_parse() {
        fn check(text: &str, expected: bool) {
            assert_eq!(SealingKey::parse(text).is_ok(), expected, "{text:?}");
        }
        let key = SealingKey::generate();
        assert_eq!(SealingKey::parse(&key.to_base64()), Ok(key));
        check(" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", true);
        check("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", false);
        check("", false);
        check("not base64", false);
    }

    #[test]
    fn debug_shows_the_id_only() {
        let key = SealingKey::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("32 bytes");
        assert_eq!(format!("{key:?}"), "SealingKey(66687aad)");
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let seals = seals(&[&SealingKey::generate()]);
        let sealed = seals.seal(&key("a"), 7, b"canary");
        assert_eq!(seals.open(&key("a"), 7, &sealed).expect("opens").as_slice(), b"canary");
        for index in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[index] ^= 1 << bit;
                assert!(seals.open(&key("a"), 7, &changed).is_err(), "byte {index}, bit {bit}");
            }
        }
        for length in 0..sealed.len() {
            assert!(seals.open(&key("a"), 7, &sealed[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn a_record_opens_in_its_own_place_only() {
        let seals = seals(&[&SealingKey::generate()]);
        let sealed = seals.seal(&key("a"), 7, b"canary");
        assert_eq!(seals.open(&key("b"), 7, &sealed), Err(Unopenable::NotAuthentic));
        assert_eq!(seals.open(&key("a"), 8, &sealed), Err(Unopenable::NotAuthentic));
    }

    #[test]
    fn the_newest_key_seals_and_any_listed_one_opens() {
        let (old, new) = (SealingKey::generate(), SealingKey::generate());
        let before = seals(&[&old]).seal(&key("a"), 1, b"canary");
        let rotated = seals(&[&new, &old]);
        let after = rotated.seal(&key("a"), 2, b"canary");
        assert!(!rotated.is_newest(&before));
        assert!(rotated.is_newest(&after));
        assert!(rotated.open(&key("a"), 1, &before).is_ok());
        assert_eq!(seals(&[&old]).open(&key("a"), 2, &after), Err(Unopenable::UnknownKey(new.id())));
        assert_eq!(seals(&[&new]).open(&key("a"), 1, &before), Err(Unopenable::UnknownKey(old.id())));
    }

    #[test]
    fn nonces_do_not_repeat() {
        let seals = seals(&[&SealingKey::generate()]);
        let nonces: HashSet<_> =
            (0..10_000).map(|_| seals.seal(&key("a"), 1, b"same")[1 + KEY_ID..HEADER].to_vec()).collect();
        assert_eq!(nonces.len(), 10_000);
    }

    #[test]
    fn no_key_is_a_mistake_of_the_settings() {
        assert!(matches!(Seals::new(Vec::new()), Err(StoreError::Settings(_))));
    }

    proptest! {
        #[test]
        fn garbage_does_not_open_and_does_not_panic(mut garbage in proptest::collection::vec(any::<u8>(), 0..200), known in any::<bool>()) {
            let newest = SealingKey::generate();
            if known && garbage.len() > KEY_ID {
                garbage[0] = FORMAT;
                garbage[1..=KEY_ID].copy_from_slice(&newest.id);
            }
            prop_assert!(seals(&[&newest]).open(&key("a"), 1, &garbage).is_err());
        }
    }
}
