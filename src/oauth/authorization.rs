//! The authorization request: the URL that a person's browser is sent to (RFC 6749 section 4.1.1, RFC 7636 section
//! 4.3).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::request::Table;
use super::{CodeChallengeMethod, Endpoints, Protocol, ScopeEncoding, Values};
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
}

/// The URL. A query already in the endpoint is kept, and where the endpoint has a fragment (a page that routes by it)
/// the query goes behind that.
pub fn authorization_url(protocol: &Protocol, endpoints: &Endpoints, request: AuthorizationRequest<'_>) -> String {
    let scope = request.scopes.join(&protocol.scope_separator);
    let values = Values { scope: Some(&scope), ..request.values };
    let mut parameters = Table::new();
    parameters.set("response_type", "code");
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
    parameters.apply(&protocol.authorization_params, values);

    let query: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encoded(protocol, name, value))).collect();
    let endpoint = &endpoints.authorization;
    let tail = endpoint.rsplit('#').next().unwrap_or(endpoint);
    let joint = if !tail.contains('?') {
        "?"
    } else if tail.ends_with(['?', '&']) {
        ""
    } else {
        "&"
    };
    format!("{endpoint}{joint}{}", query.join("&"))
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
