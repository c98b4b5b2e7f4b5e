//! Keys that we sign with, and what is signed: JSON Web Tokens of our own (RFC 7515, 7518, 8037). A key is read once, when
//! the configuration is, and shows itself to nobody. Time and randomness are arguments.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use ring::{hmac, rand};
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use serde_json::{Map, Value};

use crate::model::{Secret, Timestamp};

/// What a token of ours is signed with (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256, whose key is the client secret.
    Hs256,
}

impl SigningAlgorithm {
    /// Their names in `alg`.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("RS256", Self::Rs256),
        ("PS256", Self::Ps256),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
        ("HS256", Self::Hs256),
    ];

    /// Its name in `alg`.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// What key it needs, for sentences.
    pub fn key_kind(self) -> &'static str {
        match self {
            Self::Rs256 | Self::Ps256 => "an RSA key",
            Self::Es256 => "an EC key on P-256",
            Self::Es384 => "an EC key on P-384",
            Self::EdDsa => "an Ed25519 key",
            Self::Hs256 => "the client secret",
        }
    }
}

/// A private key, as `private_key` of an integration holds it.
pub struct SigningKey {
    material: Material,
    /// What the key file calls the key, where it does.
    id: Option<String>,
}

enum Material {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a text is not a key that we can sign with. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// JSON without a key in it.
    #[error("is JSON without a member `private_key`; name the key file that the provider let you download")]
    NoMember,
    /// No PEM section that is a private key.
    #[error("holds no private key in PEM; it begins with `-----BEGIN PRIVATE KEY-----`")]
    NotAKey,
    /// Its password is nowhere configured.
    #[error(
        "is encrypted with a password; write it without one: `openssl pkcs8 -topk8 -nocrypt -in key.pem -out key.p8`"
    )]
    Encrypted,
    /// An EC key in its older form.
    #[error(
        "is an EC key in the form of SEC 1; turn it into PKCS#8: `openssl pkcs8 -topk8 -nocrypt -in key.pem -out key.p8`"
    )]
    Sec1,
    /// PKCS#8 of something else, or too short.
    #[error(
        "is none of the keys that sign here: RSA with 2048 to 4096 bits, EC on P-256 or P-384, Ed25519; make another"
    )]
    Unusable,
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// No key for this algorithm is at hand.
    #[error("no key for {} is configured", .0.name())]
    NoKey(SigningAlgorithm),
    /// The system gave no randomness.
    #[error("there is no randomness to sign with")]
    NoRandomness,
    /// The file's rule asks for a value that this request does not have.
    #[error("the {0} of an assertion needs a value that is not set")]
    NoValue(&'static str),
}

/// When something is signed, and with what randomness.
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    /// The moment.
    pub now: Timestamp,
    /// Draws what no two tokens may share, and what signatures need. `ring` takes no other source than the system's.
    pub random: &'a SystemRandom,
}

impl Signing<'_> {
    /// A name for one token, 128 bits.
    pub(super) fn token_id(&self) -> Result<String, SigningError> {
        let bytes = rand::generate::<[u8; 16]>(self.random).map_err(|_| SigningError::NoRandomness)?;
        Ok(URL_SAFE_NO_PAD.encode(bytes.expose()))
    }
}

impl SigningKey {
    /// Reads a key: PEM of PKCS#8 or, for RSA, PKCS#1; or a JSON key file that holds one as `private_key`. In an
    /// environment variable line breaks may be written `\n`.
    pub fn parse(text: &str, random: &SystemRandom) -> Result<Self, SigningKeyError> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.starts_with('{') {
            return Ok(Self { material: Material::parse(text, random)?, id: None });
        }
        let document: Value = serde_json::from_str(text).map_err(|_| SigningKeyError::NoMember)?;
        let member = |name: &str| document.get(name).and_then(Value::as_str);
        let pem = Secret::new(member("private_key").ok_or(SigningKeyError::NoMember)?);
        let id = member("private_key_id").map(str::to_owned);
        Ok(Self { material: Material::parse(pem.expose(), random)?, id })
    }

    /// What the key file calls the key.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether this key makes signatures of that kind.
    pub fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        use SigningAlgorithm::{EdDsa, Es256, Es384, Ps256, Rs256};
        matches!(
            (&self.material, algorithm),
            (Material::Rsa(_), Rs256 | Ps256)
                | (Material::P256(_), Es256)
                | (Material::P384(_), Es384)
                | (Material::Ed25519(_), EdDsa)
        )
    }

    /// What it is, for sentences.
    pub fn kind(&self) -> &'static str {
        match self.material {
            Material::Rsa(_) => "an RSA key",
            Material::P256(_) => "an EC key on P-256",
            Material::P384(_) => "an EC key on P-384",
            Material::Ed25519(_) => "an Ed25519 key",
        }
    }

    fn sign(
        &self,
        algorithm: SigningAlgorithm,
        message: &[u8],
        random: &SystemRandom,
    ) -> Result<Vec<u8>, SigningError> {
        if !self.fits(algorithm) {
            return Err(SigningError::NoKey(algorithm));
        }
        let signature = match &self.material {
            Material::Rsa(pair) => {
                let padding: &'static dyn ring::signature::RsaEncoding =
                    if algorithm == SigningAlgorithm::Ps256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, random, message, &mut signature).map(|()| signature)
            }
            Material::P256(pair) | Material::P384(pair) => {
                pair.sign(random, message).map(|signature| signature.as_ref().to_vec())
            }
            Material::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        };
        signature.map_err(|_| SigningError::NoRandomness)
    }

    /// The public half.
    pub fn public(&self) -> &[u8] {
        match &self.material {
            Material::Rsa(pair) => pair.public_key().as_ref(),
            Material::P256(pair) | Material::P384(pair) => pair.public_key().as_ref(),
            Material::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }
}

impl Material {
    fn parse(text: &str, random: &SystemRandom) -> Result<Self, SigningKeyError> {
        let unfolded = (!text.contains('\n') && text.contains("\\n")).then(|| Secret::new(text.replace("\\n", "\n")));
        let pem = unfolded.as_ref().map_or(text, Secret::expose);
        if pem.contains("ENCRYPTED") {
            return Err(SigningKeyError::Encrypted);
        }
        if let Ok(key) = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()) {
            return Self::of_pkcs8(key.secret_pkcs8_der(), random);
        }
        if let Ok(key) = PrivatePkcs1KeyDer::from_pem_slice(pem.as_bytes()) {
            let pair = RsaKeyPair::from_der(key.secret_pkcs1_der()).map_err(|_| SigningKeyError::Unusable)?;
            return Ok(Self::Rsa(Box::new(pair)));
        }
        let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()).flatten();
        match sections.any(|(kind, _)| kind == SectionKind::EcPrivateKey) {
            true => Err(SigningKeyError::Sec1),
            false => Err(SigningKeyError::NotAKey),
        }
    }

    /// PKCS#8 names the kind of its key, so no more than one of these takes it.
    fn of_pkcs8(der: &[u8], random: &SystemRandom) -> Result<Self, SigningKeyError> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Ok(Self::Rsa(Box::new(pair)));
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, random) {
            return Ok(Self::P256(pair));
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der, random) {
            return Ok(Self::P384(pair));
        }
        // OpenSSL writes the older form, which holds no public key to compare with.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Self::Ed25519).map_err(|_| SigningKeyError::Unusable)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kind", &self.kind()).field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for SigningKey {
    /// The same public half has the same private one.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.public() == other.public()
    }
}

impl Eq for SigningKey {}

/// A signed token in its compact form (RFC 7515 section 3.1): `alg`, `typ` and, where there is one, `kid` in its header.
/// `secret` is what HS256 signs with.
pub(super) fn signed(
    algorithm: SigningAlgorithm,
    kid: Option<&str>,
    claims: &Map<String, Value>,
    key: Option<&SigningKey>,
    secret: Option<&Secret>,
    random: &SystemRandom,
) -> Result<Secret, SigningError> {
    let mut header = Map::new();
    header.insert("alg".into(), algorithm.name().into());
    header.insert("typ".into(), "JWT".into());
    if let Some(kid) = kid {
        header.insert("kid".into(), kid.into());
    }
    let part = |part: &Map<String, Value>| {
        URL_SAFE_NO_PAD.encode(serde_json::to_string(part).expect("texts and numbers are always written"))
    };
    let message = format!("{}.{}", part(&header), part(claims));
    let lacking = SigningError::NoKey(algorithm);
    let signature = if algorithm == SigningAlgorithm::Hs256 {
        let secret = secret.filter(|secret| !secret.is_empty()).ok_or(lacking)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
    } else {
        key.ok_or(lacking)?.sign(algorithm, message.as_bytes(), random)?
    };
    Ok(Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

#[cfg(test)]
mod tests;
