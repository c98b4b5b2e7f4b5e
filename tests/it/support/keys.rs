//! Keys for signatures, made by Node's OpenSSL, and the reading of what was signed with them.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyferry::clock::Clock;
use keyferry::oauth::{JwtAlgorithm, JwtExpectation, JwtKeys};
use serde_json::{Value, json};

/// A fresh pair.
pub(crate) struct Keys {
    /// The private half: PKCS#8 in PEM.
    pub(crate) pem: String,
    /// The same in the older forms: PKCS#1 or SEC 1. Empty for Ed25519.
    pub(crate) older: String,
    /// And under a password.
    pub(crate) encrypted: String,
    /// The public half (RFC 7517).
    pub(crate) jwk: Value,
}

/// A signed token, taken apart.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

const MAKE: &str = "
const { generateKeyPairSync: make } = require('node:crypto');
const { privateKey, publicKey } = make(...JSON.parse(process.argv[1]));
const older = { rsa: 'pkcs1', ec: 'sec1' }[privateKey.asymmetricKeyType];
const pem = (options) => privateKey.export({ format: 'pem', ...options });
console.log(JSON.stringify({
  pem: pem({ type: 'pkcs8' }),
  older: older ? pem({ type: older }) : '',
  encrypted: pem({ type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'canary' }),
  jwk: publicKey.export({ format: 'jwk' }),
}));";

impl Keys {
    /// RSA with 2048 bits.
    pub(crate) fn rsa() -> Self {
        Self::make(&json!(["rsa", { "modulusLength": 2048 }]))
    }

    /// On a curve: `P-256`, `P-384` …
    pub(crate) fn ec(curve: &str) -> Self {
        Self::make(&json!(["ec", { "namedCurve": curve }]))
    }

    /// Ed25519.
    pub(crate) fn ed25519() -> Self {
        Self::make(&json!(["ed25519"]))
    }

    fn make(arguments: &Value) -> Self {
        let output = Command::new("node").args(["-e", MAKE, &arguments.to_string()]).output().expect("node runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        Self { pem: text("pem"), older: text("older"), encrypted: text("encrypted"), jwk: made["jwk"].clone() }
    }

    /// Takes a token apart that this pair has signed, and panics when it has not, or is not valid now, or not for
    /// `audience`.
    pub(crate) fn verify(&self, token: &str, audience: &str) -> Token {
        let taken = Token::read(token);
        let algorithm = JwtAlgorithm::named(taken.header["alg"].as_str().expect("an algorithm")).expect("a known one");
        let mut jwk = self.jwk.clone();
        jwk["kid"] = taken.header["kid"].clone();
        let keys = JwtKeys::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).expect("a key set");
        let audiences = [audience.to_owned()];
        let issuer = taken.claims["iss"].as_str().expect("an issuer");
        let expected = JwtExpectation { issuer, audiences: &audiences, algorithms: &[algorithm] };
        let now = Clock::System.now();
        keys.claims(token, expected, now).unwrap_or_else(|error| panic!("{error}: {taken:?}"));
        taken
    }
}

impl Token {
    /// Takes it apart without looking at its signature.
    pub(crate) fn read(token: &str) -> Self {
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3, "{token}");
        let part = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON");
        Self { header: part(parts[0]), claims: part(parts[1]) }
    }

    /// Its claims but for those that are fresh, which it checks: `jti`, and a life of so many seconds.
    pub(crate) fn steady(mut self, lifetime: i64) -> Value {
        let claims = self.claims.as_object_mut().expect("an object");
        let mut number = |name: &str| claims.shift_remove(name).and_then(|value| value.as_i64()).expect("a number");
        assert_eq!(number("exp") - number("iat"), lifetime);
        let id = claims.shift_remove("jti").expect("an id");
        assert_eq!(id.as_str().map(str::len), Some(22), "128 bits");
        self.claims
    }
}

/// Takes the tokens out of a text, each with `{jwt}` in its place.
pub(crate) fn take_tokens(text: &str) -> (String, Vec<String>) {
    let (mut shown, mut tokens, mut rest) = (String::new(), Vec::new(), text);
    // What `{"` becomes in base64: how the header of every token begins.
    while let Some(at) = rest.find("eyJ") {
        shown.push_str(&rest[..at]);
        let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let end = rest[at..].find(|c| !is_inside(c)).map_or(rest.len(), |length| at + length);
        tokens.push(rest[at..end].to_owned());
        shown.push_str("{jwt}");
        rest = &rest[end..];
    }
    (shown + rest, tokens)
}
