//! The tables about what we sign: `[oauth.client_assertion]` and `[oauth.assertion]`.

use crate::config::problem::Fault;
use crate::config::provider::filled;
use crate::config::provider::names::{Names, Stage};
use crate::config::provider::tables::parameters;
use crate::config::reader::Table;
use crate::mapping::Template;
use crate::oauth::{Assertion, AuthMethod, ClientAssertion, GrantType, SigningAlgorithm};

/// Claims that are not a file's to write among the others.
const RESERVED: [(&str, &str); 6] = [
    ("iss", "it is the key `issuer`"),
    ("sub", "it is the key `subject`"),
    ("aud", "it is the key `audience`"),
    ("exp", "it comes of the key `lifetime`"),
    ("iat", "it is the moment of signing"),
    ("jti", "it is another for each token"),
];

/// Reads how the client authenticates by an assertion, which only some `methods` do.
pub(super) fn read_client_assertion(table: &mut Table<'_>, names: &Names, methods: &[AuthMethod]) -> ClientAssertion {
    let doc = "The token that private_key_jwt and client_secret_jwt send (RFC 7523 section 2.2).";
    let by_key = methods.contains(&AuthMethod::PrivateKeyJwt);
    let by_secret = methods.contains(&AuthMethod::ClientSecretJwt);
    let read = table.optional_table("client_assertion", doc, |table| {
        let assertion = read(table, names, Stage::AssertionClaims);
        let doc = "The parameter that it goes into, instead of client_assertion beside client_assertion_type.";
        let param = table.parsed("param", doc, filled);
        match assertion.alg {
            Some(SigningAlgorithm::Hs256) if by_key => table.mistake(
                "alg",
                "is HS256, which signs with the client secret, but private_key_jwt signs with a key",
                "write another, or the method client_secret_jwt",
            ),
            Some(alg) if by_secret && alg != SigningAlgorithm::Hs256 => table.mistake(
                "alg",
                format!(
                    "is {}, which signs with a key, but client_secret_jwt signs with the client secret",
                    alg.name()
                ),
                "write HS256 or remove it, or write the method private_key_jwt",
            ),
            _ => {}
        }
        Some(ClientAssertion { assertion, param })
    });
    if read.is_some() && !by_key && !by_secret && table.context().keys.is_none() {
        let remedy = "write `token_endpoint_auth_method = \"private_key_jwt\"` or \"client_secret_jwt\", or remove it";
        table.mistake("client_assertion", "says how to sign, but no method does", remedy);
    }
    read.unwrap_or_default()
}

/// Reads what is presented where the grant is for an assertion.
pub(super) fn read_assertion(table: &mut Table<'_>, names: &Names, grant_type: GrantType) -> Assertion {
    let doc = "The token that a jwt-bearer grant is for (RFC 7523 section 2.1).";
    let read = table.optional_table("assertion", doc, |table| Some(read(table, names, Stage::GrantClaims)));
    if read.is_some() && grant_type != GrantType::JwtBearer && table.context().keys.is_none() {
        let remedy = format!("write `grant_types = [\"{}\"]`, or remove it", GrantType::JwtBearer.name());
        table.mistake("assertion", "says what to sign, but nothing presents it", remedy);
    }
    read.unwrap_or_default()
}

fn read(table: &mut Table<'_>, names: &Names, stage: Stage) -> Assertion {
    let mut template = |name, doc| -> Option<Template> { table.parsed(name, doc, |text| names.template(text, stage)) };
    let kid = template("kid", "`kid` of its header; by default the integration's `private_key_id`.");
    let issuer = template("issuer", "Its claim `iss`; by default the client id.");
    let subject = template("subject", "Its claim `sub`; by default the client id. Left out where it is empty.");
    let audience = template("audience", "Its claim `aud`; by default the token endpoint.");
    let alg = table.word("alg", "What it is signed with; RS256 by default.", &SigningAlgorithm::NAMES);
    let lifetime = table.positive_duration("lifetime", "How long each is good; 5m by default.");
    if lifetime.is_some_and(|lifetime| lifetime.as_secs() == 0) {
        let fault = Fault::new("is less than a second, which its claims cannot say", "write for example \"5m\"");
        table.context().report.mistake(table.place("lifetime").problem(fault));
    }
    let claims = parameters(table, "claims", "More claims; an empty one is left out.", names, stage, &RESERVED);
    Assertion { alg, kid, issuer, subject, audience, lifetime, claims }
}
