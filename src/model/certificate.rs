//! A client certificate with its key: who we are on a connection, where a provider asks for that (RFC 8705).

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// A chain of certificates, our own first, and the key of that one. Told apart by the certificates alone.
pub struct ClientCertificate {
    chain: Vec<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    fingerprint: [u8; 32],
}

impl ClientCertificate {
    /// From the certificates, each as DER, and the key as PKCS#8, PKCS#1 or SEC 1. Whether they fit is for whoever uses
    /// them to see.
    pub fn new(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Self {
        let mut digest = Sha256::new();
        for certificate in &chain {
            digest.update(certificate.len().to_be_bytes());
            digest.update(certificate);
        }
        Self { chain, key: Zeroizing::new(key), fingerprint: digest.finalize().into() }
    }

    /// Our certificate, and those that lead from it to an authority.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The key, for the place that signs with it.
    pub fn expose_key(&self) -> &[u8] {
        &self.key
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ClientCertificate {}

impl Hash for ClientCertificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// Its fingerprint, which is no secret and tells it from any other.
impl fmt::Display for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fingerprint.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_tell_them_apart_and_keys_are_not_shown() {
        let one = ClientCertificate::new(vec![b"ab".to_vec(), b"c".to_vec()], b"canary".to_vec());
        assert_ne!(one, ClientCertificate::new(vec![b"a".to_vec(), b"bc".to_vec()], b"canary".to_vec()));
        assert_eq!(one, ClientCertificate::new(vec![b"ab".to_vec(), b"c".to_vec()], b"other".to_vec()));
        assert!(!format!("{one:?} {one}").contains("canary"));
    }
}
