//! The authorization request: the URL that a person's browser is sent to (RFC 6749 section 4.1.1, RFC 7636 section
//! 4.3).

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::request::{Table, with_query};
use super::{CodeChallengeMethod, Endpoints, Protocol, ScopeEncoding, Values};
use crate::mapping::Encoding;
use crate::model::Secret;

/// Everything outside RFC 3986's unreserved characters. A space becomes `%20`, which every server reads; not all read
/// `+`.
const UNRESERVED_KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What one authorization request is made of, besides the provider's rules.
#[derive(Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// The scopes to ask for; none means that no `scope` parameter is sent.
    pub scopes: &'a [String],
    /// The PKCE verifier; only its hash leaves.
    pub verifier: Option<&'a Secret>,
    /// What templates may ask for; client and state are set.
    pub values: Values<'a>,
    /// The caller's own parameters, checked by [`check_wishes`]. They win over the file's.
    pub wishes: &'a BTreeMap<String, String>,
}

/// Names that bind an authorization to its client, its browser and its code. No caller chooses them.
const BOUND: [&str; 12] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "resource",
];

/// Most parameters that a caller may add to one authorization.
const MOST_WISHES: usize = 16;

/// Most bytes of one of their values.
const LONGEST_WISH: usize = 1024;

/// Why a caller's parameter is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// More than sixteen.
    #[error("At most {MOST_WISHES} `authorization_params` are taken.")]
    TooMany,
    /// A name that is empty or has other characters.
    #[error("The names of `authorization_params` are letters, digits, `_`, `.` and `-`.")]
    Name,
    /// A name that binds the authorization.
    #[error("`authorization_params.{0}` cannot be chosen: it binds the authorization to whoever began it.")]
    Bound(String),
    /// A value of more than 1024 bytes.
    #[error("`authorization_params.{0}` is longer than {LONGEST_WISH} bytes.")]
    TooLong(String),
}

/// Whether a caller may add these parameters (`login_hint`, `prompt` …) to an authorization.
pub fn check_wishes(protocol: &Protocol, wishes: &BTreeMap<String, String>) -> Result<(), WishError> {
    if wishes.len() > MOST_WISHES {
        return Err(WishError::TooMany);
    }
    let endpoint = protocol.authorization_endpoint.as_ref();
    let endpoint =
        endpoint.and_then(|template| template.render(Encoding::Url, |_| Some("x".into()))).unwrap_or_default();
    let query = endpoint.split_once('?').map_or("", |(_, query)| query);
    let is_bound = |name: &str| {
        let is_it = |other: &str| other.eq_ignore_ascii_case(name);
        // What the file fills in is the operator's or the connection's; its constants are habits.
        let mut filled = protocol.authorization_params.iter().filter(|(_, template)| template.names().next().is_some());
        BOUND.iter().any(|bound| is_it(bound))
            || filled.any(|(own, _)| is_it(own))
            || form_urlencoded::parse(query.as_bytes()).any(|(own, _)| is_it(&own))
    };
    for (name, value) in wishes {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
            return Err(WishError::Name);
        }
        if is_bound(name) {
            return Err(WishError::Bound(name.clone()));
        }
        if value.len() > LONGEST_WISH {
            return Err(WishError::TooLong(name.clone()));
        }
    }
    Ok(())
}

/// The URL. A query already in the endpoint is kept, and where the endpoint has a fragment (a page that routes by it)
/// the query goes behind that.
pub fn authorization_url(protocol: &Protocol, endpoints: &Endpoints, request: AuthorizationRequest<'_>) -> String {
    let scope = request.scopes.join(&protocol.scope_separator);
    let values = Values { scope: Some(&scope), ..request.values };
    let mut parameters = Table::new();
    parameters.set("response_type", &protocol.response_type);
    parameters.set_from(values, "client_id");
    parameters.set_from(values, "redirect_uri");
    if !scope.is_empty() {
        parameters.set("scope", &scope);
    }
    parameters.set_from(values, "state");
    if let (CodeChallengeMethod::S256, Some(verifier)) = (protocol.code_challenge_method, request.verifier) {
        let verifier = oauth2::PkceCodeVerifier::new(verifier.expose().to_owned());
        let challenge = oauth2::PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        parameters.set("code_challenge", challenge.as_str());
        parameters.set("code_challenge_method", "S256");
    }
    parameters.set_resource(protocol, values);
    parameters.apply(&protocol.authorization_params, values);
    for (name, value) in request.wishes {
        parameters.set(name, value);
    }

    let query: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encoded(protocol, name, value))).collect();
    with_query(&endpoints.authorization, &query.join("&"))
}

fn encoded(protocol: &Protocol, name: &str, value: &str) -> String {
    if name == "scope" && protocol.scope_encoding == ScopeEncoding::Raw {
        let separator = protocol.scope_separator.as_str();
        return value.split(separator).map(encode).collect::<Vec<_>>().join(separator);
    }
    encode(value)
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED_KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Template;
    use crate::oauth::Client;

    fn check(protocol: &Protocol, endpoint: &str, expected: &str) {
        let endpoints = Endpoints { authorization: endpoint.into(), ..Endpoints::default() };
        let client = Client {
            id: "me".into(),
            secret: Some(Secret::new("never")),
            redirect_uri: "http://localhost:8080/integrations/a/oauth2callback".into(),
            ..Client::default()
        };
        // The verifier and challenge of RFC 7636 appendix B.
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let request = AuthorizationRequest {
            scopes: &["read".into(), "write:all".into()],
            verifier: Some(&verifier),
            values: Values { client: Some(&client), state: Some("st"), ..Values::default() },
            wishes: &BTreeMap::new(),
        };
        assert_eq!(authorization_url(protocol, &endpoints, request), expected);
    }

    #[test]
    fn as_the_rfcs_say() {
        check(
            &Protocol::default(),
            "https://as.example/authorize",
            "https://as.example/authorize?response_type=code&client_id=me\
             &redirect_uri=http%3A%2F%2Flocalhost%3A8080%2Fintegrations%2Fa%2Foauth2callback&scope=read%20write%3Aall&state=st\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        );
    }

    #[test]
    fn what_callers_may_add() {
        let template = |text: &str| Template::parse(text).expect("a template");
        let protocol = Protocol {
            authorization_params: vec![
                ("app_id".into(), template("{client_id}")),
                ("hd".into(), template("{domain}")),
                ("prompt".into(), template("consent")),
            ],
            authorization_endpoint: Some(template("https://as.example/authorize?tenant=mine")),
            ..Protocol::default()
        };
        let check = |name: &str, value: &str, expected: Result<(), WishError>| {
            let wishes = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert_eq!(check_wishes(&protocol, &wishes), expected, "{name}");
        };
        check("login_hint", "ada@example.com", Ok(()));
        check("prompt", "none", Ok(()));
        check("a.b-c_D9", &"x".repeat(1024), Ok(()));
        check("login_hint", &"x".repeat(1025), Err(WishError::TooLong("login_hint".into())));
        check("", "x", Err(WishError::Name));
        check("a b", "x", Err(WishError::Name));
        check("ä", "x", Err(WishError::Name));
        for name in BOUND.into_iter().chain(["app_id", "hd", "HD", "tenant", "Redirect_Uri"]) {
            check(name, "x", Err(WishError::Bound(name.into())));
        }
        let many = (0..17).map(|at| (format!("p{at}"), String::new())).collect();
        assert_eq!(check_wishes(&protocol, &many), Err(WishError::TooMany));
    }

    #[test]
    fn as_the_file_says() {
        let template = |text: &str| Template::parse(text).expect("a template");
        let protocol = Protocol {
            code_challenge_method: CodeChallengeMethod::None,
            scope_separator: "+".into(),
            scope_encoding: ScopeEncoding::Raw,
            authorization_params: vec![
                ("client_id".into(), template("")),
                ("redirect_uri".into(), template("")),
                ("response_type".into(), template("")),
                ("app_id".into(), template("{client_id}")),
            ],
            ..Protocol::default()
        };
        check(
            &protocol,
            "https://as.example/a?x=1",
            "https://as.example/a?x=1&scope=read+write%3Aall&state=st&app_id=me",
        );
        check(
            &protocol,
            "https://as.example/a?x=1#/page",
            "https://as.example/a?x=1#/page?scope=read+write%3Aall&state=st&app_id=me",
        );
    }
}
