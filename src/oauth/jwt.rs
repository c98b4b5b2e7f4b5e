//! JSON Web Tokens that an issuer signed (RFC 7519 and 7515), checked against its keys (RFC 7517) as RFC 8725 advises:
//! the algorithms are the operator's choice and never the token's, only asymmetric ones exist here, and keys come from
//! the issuer's own set and never from a token's header. Reads no clock and fetches nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature;
use serde::Deserialize;
use serde_json::Value;

use crate::model::Timestamp;

/// How far the issuer's clock may be from ours.
const LEEWAY_SECONDS: f64 = 60.0;

/// Longest token that is looked at, in bytes; browsers send no longer headers.
const LONGEST: usize = 16 * 1024;

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl JwtAlgorithm {
    /// Their names in `alg`.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
    ];

    /// The algorithm of that name; `none` and those with a shared secret have none.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }
}

/// What a token has to be.
#[derive(Clone, Copy, Debug)]
pub struct JwtExpectation<'a> {
    /// `iss`, exactly.
    pub issuer: &'a str,
    /// `aud` has to hold one of them.
    pub audiences: &'a [String],
    /// What it may be signed with.
    pub algorithms: &'a [JwtAlgorithm],
}

/// Why a token says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts of base64url and JSON, or far too long.
    #[error("it is not a signed token")]
    Malformed,
    /// `alg` is none of those expected.
    #[error("it is signed with an algorithm that is not allowed")]
    Algorithm,
    /// It holds extensions that have to be understood (RFC 7515 section 4.1.11).
    #[error("it has critical extensions")]
    Critical,
    /// The set has no key for it; a newer one may.
    #[error("no key of its issuer fits")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("its signature is wrong")]
    Signature,
    /// Another issuer's.
    #[error("it comes from another issuer")]
    Issuer,
    /// Meant for somebody else.
    #[error("it is meant for somebody else")]
    Audience,
    /// Over, or without an end.
    #[error("it is over")]
    Expired,
    /// Its time has not come.
    #[error("its time has not come")]
    TooEarly,
}

/// An issuer's keys.
#[derive(Debug, Default)]
pub struct JwtKeys(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl JwtKeys {
    /// From a JWK Set. Keys for encryption, of other kinds and with a shared secret are left out (RFC 7517 section 5).
    pub fn parse(body: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(body).ok()?;
        let keys = document.keys.into_iter().filter_map(|key| Key::of(serde_json::from_value(key).ok()?));
        Some(Self(keys.collect()))
    }

    /// The claims of a token that is what is expected and valid now.
    pub fn claims(&self, token: &str, expected: JwtExpectation<'_>, now: Timestamp) -> Result<Value, JwtError> {
        if token.len() > LONGEST {
            return Err(JwtError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| JwtError::Malformed)?;
        let algorithm = JwtAlgorithm::named(&header.alg)
            .filter(|algorithm| expected.algorithms.contains(algorithm))
            .ok_or(JwtError::Algorithm)?;
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        let signature = decoded(signature)?;
        let mut fitting = self.0.iter().filter(|key| key.fits(&header, algorithm)).peekable();
        fitting.peek().ok_or(JwtError::UnknownKey)?;
        if !fitting.any(|key| key.has_signed(algorithm, signed.as_bytes(), &signature)) {
            return Err(JwtError::Signature);
        }
        // Nothing of the payload is read before this line.
        let claims: Value = serde_json::from_slice(&decoded(payload)?).map_err(|_| JwtError::Malformed)?;
        check_claims(&claims, expected, now)?;
        Ok(claims)
    }
}

fn check_claims(claims: &Value, expected: JwtExpectation<'_>, now: Timestamp) -> Result<(), JwtError> {
    if claims["iss"].as_str() != Some(expected.issuer) {
        return Err(JwtError::Issuer);
    }
    let is_ours = |audience: &Value| expected.audiences.iter().any(|ours| audience.as_str() == Some(ours));
    let is_for_us = match &claims["aud"] {
        Value::Array(audiences) => audiences.iter().any(is_ours),
        audience => is_ours(audience),
    };
    if !is_for_us {
        return Err(JwtError::Audience);
    }
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this era are exact")]
    let now = now.unix_millis() as f64 / 1000.0;
    if !claims["exp"].as_f64().is_some_and(|end| now < end + LEEWAY_SECONDS) {
        return Err(JwtError::Expired);
    }
    match claims.get("nbf") {
        None => Ok(()),
        Some(start) if start.as_f64().is_some_and(|start| now >= start - LEEWAY_SECONDS) => Ok(()),
        Some(_) => Err(JwtError::TooEarly),
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let is_for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !is_for_signatures {
            return None;
        }
        let part = |part: &Option<String>| decoded(part.as_deref()?).ok();
        let point = || {
            let (x, y) = (part(&jwk.x)?, part(&jwk.y)?);
            (x.len() == y.len()).then(|| [&[4][..], &x, &y].concat())
        };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: part(&jwk.n)?, e: part(&jwk.e)? },
            ("EC", Some("P-256")) => Material::P256(point()?),
            ("EC", Some("P-384")) => Material::P384(point()?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(part(&jwk.x)?),
            _ => return None,
        };
        Some(Self { kid: jwk.kid, algorithm: jwk.alg, material })
    }

    /// Whether a token of this header may be this key's: by its id, where it names one, and by what the key is for.
    fn fits(&self, header: &Header, algorithm: JwtAlgorithm) -> bool {
        use JwtAlgorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let is_of_its_kind = matches!(
            (&self.material, algorithm),
            (Material::Rsa { .. }, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512)
                | (Material::P256(_), Es256)
                | (Material::P384(_), Es384)
                | (Material::Ed25519(_), EdDsa)
        );
        is_of_its_kind
            && self.algorithm.as_ref().is_none_or(|own| *own == header.alg)
            && (header.kid.is_none() || header.kid == self.kid)
    }

    fn has_signed(&self, algorithm: JwtAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let rsa = match algorithm {
            JwtAlgorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            JwtAlgorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            JwtAlgorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            JwtAlgorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            JwtAlgorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            JwtAlgorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            JwtAlgorithm::Es256 => return self.verify(&signature::ECDSA_P256_SHA256_FIXED, message, signature),
            JwtAlgorithm::Es384 => return self.verify(&signature::ECDSA_P384_SHA384_FIXED, message, signature),
            JwtAlgorithm::EdDsa => return self.verify(&signature::ED25519, message, signature),
        };
        let Material::Rsa { n, e } = &self.material else { return false };
        signature::RsaPublicKeyComponents { n, e }.verify(rsa, message, signature).is_ok()
    }

    fn verify(
        &self,
        algorithm: &'static dyn signature::VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let (Material::P256(point) | Material::P384(point) | Material::Ed25519(point)) = &self.material else {
            return false;
        };
        signature::UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Self {
            let (algorithm, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
            Self(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a key"))
        }

        fn jwk(&self, more: &Value) -> Value {
            let point = self.0.public_key().as_ref();
            let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let mut jwk =
                json!({ "kty": "EC", "crv": "P-256", "kid": "one", "x": part(&point[1..33]), "y": part(&point[33..]) });
            for (name, value) in more.as_object().expect("an object") {
                jwk[name] = value.clone();
            }
            jwk
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn keys(jwks: &[Value]) -> JwtKeys {
        JwtKeys::parse(json!({ "keys": jwks }).to_string().as_bytes()).expect("a key set")
    }

    fn ask(keys: &JwtKeys, token: &str) -> Result<Value, JwtError> {
        let (audiences, algorithms) = (["crm".to_owned()], [JwtAlgorithm::Rs256, JwtAlgorithm::Es256]);
        let expected =
            JwtExpectation { issuer: "https://login.example", audiences: &audiences, algorithms: &algorithms };
        keys.claims(token, expected, Timestamp::from_unix_millis(NOW * 1000))
    }

    fn claims(change: &Value) -> Value {
        let mut claims = json!({ "iss": "https://login.example", "aud": "crm", "sub": "ada", "exp": NOW + 60 });
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    }

    #[test]
    fn what_the_claims_have_to_say() {
        let signer = Signer::new();
        let keys = keys(&[signer.jwk(&json!({}))]);
        let check = |change: Value, expected: Result<(), JwtError>| {
            let token = signer.token(&json!({ "alg": "ES256", "kid": "one" }), &claims(&change));
            assert_eq!(ask(&keys, &token).map(drop), expected, "{change}");
        };
        check(json!({}), Ok(()));
        check(json!({ "aud": ["other", "crm"] }), Ok(()));
        check(json!({ "aud": ["other"] }), Err(JwtError::Audience));
        check(json!({ "aud": "crm2" }), Err(JwtError::Audience));
        check(json!({ "aud": null }), Err(JwtError::Audience));
        check(json!({ "iss": "https://login.example/" }), Err(JwtError::Issuer));
        check(json!({ "iss": null }), Err(JwtError::Issuer));
        check(json!({ "exp": NOW - 59 }), Ok(()));
        check(json!({ "exp": NOW - 60 }), Err(JwtError::Expired));
        check(json!({ "exp": null }), Err(JwtError::Expired));
        check(json!({ "exp": "9999999999" }), Err(JwtError::Expired));
        check(json!({ "nbf": NOW + 60 }), Ok(()));
        check(json!({ "nbf": NOW + 61 }), Err(JwtError::TooEarly));
        check(json!({ "nbf": "soon" }), Err(JwtError::TooEarly));
    }

    #[test]
    fn what_the_header_may_say() {
        let (signer, other) = (Signer::new(), Signer::new());
        let known = keys(&[other.jwk(&json!({ "kid": "two" })), signer.jwk(&json!({}))]);
        let check = |header: Value, expected: Result<(), JwtError>| {
            assert_eq!(ask(&known, &signer.token(&header, &claims(&json!({})))).map(drop), expected, "{header}");
        };
        check(json!({ "alg": "ES256" }), Ok(()));
        check(json!({ "alg": "ES256", "kid": "one", "typ": "at+jwt" }), Ok(()));
        check(json!({ "alg": "ES256", "kid": "two" }), Err(JwtError::Signature));
        check(json!({ "alg": "ES256", "kid": "three" }), Err(JwtError::UnknownKey));
        check(json!({ "alg": "RS256", "kid": "one" }), Err(JwtError::UnknownKey));
        for alg in ["none", "None", "HS256", "HS512", "PS256", "EdDSA", "es256", ""] {
            check(json!({ "alg": alg, "kid": "one" }), Err(JwtError::Algorithm));
        }
        check(json!({ "alg": "ES256", "kid": "one", "crit": ["exp"], "exp": 1 }), Err(JwtError::Critical));
        // Keys that a token brings along are not looked at.
        let (jwk, jku) = (signer.jwk(&json!({})), "https://evil.example/keys");
        check(json!({ "alg": "ES256", "kid": "four", "jwk": jwk, "jku": jku, "x5u": jku }), Err(JwtError::UnknownKey));
        assert_eq!(
            ask(&keys(&[]), &signer.token(&json!({ "alg": "ES256" }), &claims(&json!({})))),
            Err(JwtError::UnknownKey)
        );
    }

    #[test]
    fn what_keys_are_for() {
        let signer = Signer::new();
        let token = signer.token(&json!({ "alg": "ES256" }), &claims(&json!({})));
        for (more, expected) in [
            (json!({ "use": "sig", "alg": "ES256", "key_ops": ["verify"] }), true),
            (json!({ "use": "enc" }), false),
            (json!({ "alg": "ES384" }), false),
            (json!({ "key_ops": ["encrypt"] }), false),
            (json!({ "kty": "oct", "k": "AAAA" }), false),
            (json!({ "crv": "P-384" }), false),
            (json!({ "y": "AA" }), false),
        ] {
            assert_eq!(ask(&keys(&[signer.jwk(&more)]), &token).is_ok(), expected, "{more}");
        }
    }

    #[test]
    fn anything_that_was_changed_is_refused() {
        let signer = Signer::new();
        let keys = keys(&[signer.jwk(&json!({}))]);
        let token = signer.token(&json!({ "alg": "ES256", "kid": "one" }), &claims(&json!({})));
        ask(&keys, &token).expect("as it was signed");
        let parts: Vec<&str> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(claims(&json!({ "sub": "eve" })).to_string());
        for forged in [
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{token}."),
            format!("{token}="),
            format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86)),
            String::new(),
            "..".to_owned(),
            "A".repeat(LONGEST + 1),
        ] {
            assert!(ask(&keys, &forged).is_err(), "{forged}");
        }
    }
}
