use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::oauth::{JwtAlgorithm, JwtExpectation, JwtKeys};

const NOW: i64 = 1_800_000_000;

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn document(algorithm: SigningAlgorithm) -> Vec<u8> {
    let random = SystemRandom::new();
    let ec = |algorithm| EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
    match algorithm {
        SigningAlgorithm::Es256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING).as_ref().to_vec(),
        SigningAlgorithm::Es384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING).as_ref().to_vec(),
        _ => Ed25519KeyPair::generate_pkcs8(&random).expect("a key").as_ref().to_vec(),
    }
}

fn key(algorithm: SigningAlgorithm) -> SigningKey {
    SigningKey::parse(&pem("PRIVATE KEY", &document(algorithm)), &SystemRandom::new()).expect("a key")
}

/// The other half, as a key set.
fn verifier(key: &SigningKey) -> JwtKeys {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public = key.public();
    let point = |curve: &str, size: usize| json!({ "kty": "EC", "kid": "k1", "crv": curve, "x": part(&public[1..=size]), "y": part(&public[size + 1..]) });
    let jwk = match &key.material {
        Material::P256(_) => point("P-256", 32),
        Material::P384(_) => point("P-384", 48),
        _ => json!({ "kty": "OKP", "kid": "k1", "crv": "Ed25519", "x": part(public) }),
    };
    JwtKeys::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).expect("a key set")
}

fn claims() -> Map<String, Value> {
    let claims = json!({ "iss": "me", "aud": "them", "exp": NOW + 300 });
    claims.as_object().expect("an object").clone()
}

#[test]
fn what_is_signed_is_verified() {
    for (algorithm, known) in [
        (SigningAlgorithm::Es256, JwtAlgorithm::Es256),
        (SigningAlgorithm::Es384, JwtAlgorithm::Es384),
        (SigningAlgorithm::EdDsa, JwtAlgorithm::EdDsa),
    ] {
        let key = key(algorithm);
        let random = SystemRandom::new();
        let token = signed(algorithm, Some("k1"), &claims(), Some(&key), None, &random).expect("a token");
        let audiences = ["them".to_owned()];
        let expected = JwtExpectation { issuer: "me", audiences: &audiences, algorithms: &[known] };
        let read = verifier(&key).claims(token.expose(), expected, Timestamp::from_unix_millis(NOW * 1000));
        assert_eq!(read, Ok(Value::Object(claims())), "{algorithm:?}");
        let header = token.expose().split('.').next().expect("a header");
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).expect("base64")).expect("JSON");
        assert_eq!(header, json!({ "alg": algorithm.name(), "typ": "JWT", "kid": "k1" }));
    }
}

#[test]
fn a_secret_signs_too() {
    let (secret, random) = (Secret::new("the-secret"), SystemRandom::new());
    let token = signed(SigningAlgorithm::Hs256, None, &claims(), None, Some(&secret), &random).expect("a token");
    let (message, signature) = token.expose().rsplit_once('.').expect("three parts");
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"the-secret");
    hmac::verify(&key, message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).expect("base64")).expect("it fits");
    let without = signed(SigningAlgorithm::Hs256, None, &claims(), None, None, &random);
    assert_eq!(without, Err(SigningError::NoKey(SigningAlgorithm::Hs256)));
}

#[test]
fn a_key_signs_by_its_own_algorithm_alone() {
    let key = key(SigningAlgorithm::Es256);
    for (_, algorithm) in SigningAlgorithm::NAMES {
        assert_eq!(key.fits(algorithm), algorithm == SigningAlgorithm::Es256, "{algorithm:?}");
    }
    let token = signed(SigningAlgorithm::Rs256, None, &claims(), Some(&key), None, &SystemRandom::new());
    assert_eq!(token, Err(SigningError::NoKey(SigningAlgorithm::Rs256)));
}

#[test]
fn keys_as_they_are_written() {
    let der = document(SigningAlgorithm::Es256);
    let written = pem("PRIVATE KEY", &der);
    let read = |text: &str| SigningKey::parse(text, &SystemRandom::new());
    let key = read(&written).expect("PEM");
    assert_eq!(read(&written.replace('\n', "\\n")).expect("as in an environment variable"), key);
    let file = json!({ "type": "service_account", "private_key": written, "private_key_id": "k7" }).to_string();
    let in_json = read(&file).expect("a key file");
    assert_eq!((in_json.id(), in_json.public()), (Some("k7"), key.public()));

    let check = |text: &str, expected: SigningKeyError| assert_eq!(read(text).map(|_| ()), Err(expected));
    check("{}", SigningKeyError::NoMember);
    check("{ not JSON", SigningKeyError::NoMember);
    check("canary", SigningKeyError::NotAKey);
    check(&pem("CERTIFICATE", &der), SigningKeyError::NotAKey);
    check(&pem("ENCRYPTED PRIVATE KEY", &der), SigningKeyError::Encrypted);
    check(&pem("EC PRIVATE KEY", &der), SigningKeyError::Sec1);
    check(&pem("RSA PRIVATE KEY", &der), SigningKeyError::Unusable);
    check(&pem("PRIVATE KEY", b"no key"), SigningKeyError::Unusable);
}

#[test]
fn debug_holds_no_key() {
    let der = document(SigningAlgorithm::EdDsa);
    let key = SigningKey::parse(&pem("PRIVATE KEY", &der), &SystemRandom::new()).expect("a key");
    assert_eq!(format!("{key:?}"), "SigningKey { kind: \"an Ed25519 key\", id: None, .. }");
}
