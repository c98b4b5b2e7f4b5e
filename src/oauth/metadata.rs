//! Authorization server metadata (RFC 8414, OpenID Connect Discovery 1.0) and the endpoints that result from it and the
//! provider file together. What the file writes wins.

use serde::Deserialize;

use super::{AuthMethod, Client, Protocol, Values};
use crate::mapping::{Encoding, Template};

/// The fields of a metadata document that we use.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Metadata {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    jwks_uri: Option<String>,
    /// RFC 8705 section 5.
    #[serde(default)]
    mtls_endpoint_aliases: Option<MtlsAliases>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Where the same endpoints ask for a certificate.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
struct MtlsAliases {
    token_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
}

/// Why a document is not the metadata of the issuer that was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not JSON, or not of the shape of RFC 8414 section 3.2.
    #[error("the metadata document cannot be read: {0}")]
    Unreadable(String),
    /// RFC 8414 section 3.3: the issuer has to be identical.
    #[error("the metadata document is that of another issuer")]
    OtherIssuer,
}

/// Where the requests of one connection go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The issuer, when it is known.
    pub issuer: Option<String>,
    /// Whether callbacks have to carry `iss` (RFC 9207 section 2.3).
    pub iss_required: bool,
    /// RFC 6749 section 3.1.
    pub authorization: String,
    /// RFC 6749 section 3.2. Empty as long as the callback has not brought a value that it needs.
    pub token: String,
    /// The token endpoint unless the provider refreshes elsewhere.
    pub refresh: String,
    /// RFC 7009.
    pub revocation: Option<String>,
    /// Client authentication at all of them.
    pub auth_method: AuthMethod,
}

/// Why there are no endpoints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither the file nor the metadata has it.
    #[error("neither the provider file nor the issuer's metadata names the {0}")]
    Missing(&'static str),
    /// A template asks for a value that this connection does not have.
    #[error("the {0} needs a variable that has no value")]
    NoValue(&'static str),
    /// It is not a URL that a secret may be sent to.
    #[error("the {0} is not an https URL (plain http only towards this machine)")]
    NotAUrl(&'static str),
}

impl Metadata {
    /// Parses the document that the issuer's well-known address answered with.
    pub fn parse(body: &[u8], issuer: &str) -> Result<Self, MetadataError> {
        let metadata: Self =
            serde_json::from_slice(body).map_err(|error| MetadataError::Unreadable(error.to_string()))?;
        if metadata.issuer == issuer { Ok(metadata) } else { Err(MetadataError::OtherIssuer) }
    }

    /// Where the issuer's keys are.
    pub fn jwks_uri(&self) -> Option<&str> {
        self.jwks_uri.as_deref()
    }

    /// Where the document may be: OpenID's suffix first, since more servers have it, then RFC 8414's infix.
    pub fn addresses(issuer: &str) -> Vec<String> {
        let trimmed = issuer.trim_end_matches('/');
        let mut addresses = vec![format!("{trimmed}/.well-known/openid-configuration")];
        let authority_end = trimmed
            .find("://")
            .map(|at| at + 3)
            .map(|start| trimmed[start..].find('/').map_or(trimmed.len(), |slash| start + slash));
        if let Some(end) = authority_end {
            let (origin, path) = trimmed.split_at(end);
            addresses.push(format!("{origin}/.well-known/oauth-authorization-server{path}"));
        }
        addresses
    }

    /// The method to use when the file names none. RFC 8414 section 2: an absent list means `client_secret_basic`.
    fn preferred_auth_method(&self) -> AuthMethod {
        let supported = self.token_endpoint_auth_methods_supported.as_deref();
        let names = |method: &str| supported.is_some_and(|list| list.iter().any(|name| name == method));
        if names("client_secret_post") && !names("client_secret_basic") {
            AuthMethod::ClientSecretPost
        } else {
            AuthMethod::ClientSecretBasic
        }
    }
}

impl Endpoints {
    /// The endpoints of a client, from the file and, where it has an issuer, the metadata. `allow_http` lets plain http
    /// leave this machine, as `[net]` may.
    ///
    /// Before there are captured values, an endpoint that asks for one is not known yet: its text is empty, and it is
    /// resolved again when they are there.
    pub fn resolve(
        protocol: &Protocol,
        metadata: Option<&Metadata>,
        client: &Client,
        values: Values<'_>,
        allow_http: bool,
    ) -> Result<Self, EndpointError> {
        // What a callback or a token answer brings is not there before, and then nobody asks these endpoints.
        let comes_later = |template: &Template| {
            let is_captured = |name: &str| {
                protocol.token_capture.contains_key(name)
                    || protocol.callback_capture.contains_key(name)
                    || protocol.captures_of_requests().any(|(known, _)| known == name)
            };
            let mut lacking = template.names().filter(|name| values.get(name).is_none()).peekable();
            values.captured.is_none() && lacking.peek().is_some() && lacking.all(is_captured)
        };
        let written =
            |template: &Option<Template>, discovered: Option<&String>, name: &'static str| match (template, discovered)
            {
                (Some(template), _) if comes_later(template) => Ok(None),
                (Some(template), _) => endpoint_url(template, name, values, allow_http).map(Some),
                (None, Some(url)) if may_take_a_secret(url, allow_http) => Ok(Some(url.clone())),
                (None, Some(_)) => Err(EndpointError::NotAUrl(name)),
                (None, None) => Ok(None),
            };
        let authorization = written(
            &protocol.authorization_endpoint,
            metadata.and_then(|metadata| metadata.authorization_endpoint.as_ref()),
            "authorization_endpoint",
        )?;
        let authorization = match authorization {
            // Nobody is sent there.
            None if protocol.grant_type.is_clients_own() => String::new(),
            authorization => authorization.ok_or(EndpointError::Missing("authorization_endpoint"))?,
        };
        let by_certificate = protocol.token_endpoint_auth_method.is_some_and(AuthMethod::is_by_certificate);
        let aliases = metadata.and_then(|metadata| metadata.mtls_endpoint_aliases.as_ref()).filter(|_| by_certificate);
        let alias = aliases.and_then(|aliases| aliases.token_endpoint.as_ref());
        let token =
            written(&protocol.token_endpoint, alias.or_else(|| metadata?.token_endpoint.as_ref()), "token_endpoint")?;
        let token = match (token, &protocol.token_endpoint) {
            (Some(token), _) => token,
            (None, Some(_)) => String::new(),
            (None, None) => return Err(EndpointError::Missing("token_endpoint")),
        };
        let refresh = written(&protocol.refresh_endpoint, None, "refresh_endpoint")?;
        let alias = aliases.and_then(|aliases| aliases.revocation_endpoint.as_ref());
        let revocation = written(
            &protocol.revocation_endpoint,
            alias.or_else(|| metadata?.revocation_endpoint.as_ref()),
            "revocation_endpoint",
        )?;
        let auth_method = match (protocol.token_endpoint_auth_method, &client.secret, metadata) {
            (Some(method), ..) => method,
            (None, None, _) => AuthMethod::None,
            (None, Some(_), Some(metadata)) => metadata.preferred_auth_method(),
            (None, Some(_), None) => AuthMethod::ClientSecretPost,
        };
        Ok(Self {
            issuer: metadata
                .map(|metadata| metadata.issuer.clone())
                .or_else(|| protocol.issuer.as_ref()?.render(Encoding::Url, |name| values.get(name))),
            iss_required: metadata.is_some_and(|metadata| metadata.authorization_response_iss_parameter_supported),
            authorization,
            refresh: refresh.unwrap_or_else(|| token.clone()),
            token,
            revocation,
            auth_method,
        })
    }
}

/// The URL of one request, from its template. `name` is what an error calls it.
pub fn endpoint_url(
    template: &Template,
    name: &'static str,
    values: Values<'_>,
    allow_http: bool,
) -> Result<String, EndpointError> {
    let url = template.render(Encoding::Url, |name| values.get(name)).ok_or(EndpointError::NoValue(name))?;
    if may_take_a_secret(&url, allow_http) { Ok(url) } else { Err(EndpointError::NotAUrl(name)) }
}

/// Https to anywhere, or plain http towards this machine. The address itself is checked once more when it is dialled.
pub fn may_take_a_secret(text: &str, allow_http: bool) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    if !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(_)) if allow_http => true,
        ("http", Some(url::Host::Domain(name))) => name == "localhost" || name.ends_with(".localhost"),
        ("http", Some(url::Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(url::Host::Ipv6(address))) => address.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Path;
    use crate::model::Secret;
    use crate::oauth::{CallbackCapture, CaptureRule, TokenCapture};

    fn client(secret: Option<&str>) -> Client {
        Client { id: "me".into(), secret: secret.map(Secret::new), ..Client::default() }
    }

    #[test]
    fn addresses_of_a_document() {
        fn check(issuer: &str, expected: [&str; 2]) {
            assert_eq!(Metadata::addresses(issuer), expected);
        }
        check(
            "https://as.example",
            [
                "https://as.example/.well-known/openid-configuration",
                "https://as.example/.well-known/oauth-authorization-server",
            ],
        );
        check(
            "https://as.example/realms/a",
            [
                "https://as.example/realms/a/.well-known/openid-configuration",
                "https://as.example/.well-known/oauth-authorization-server/realms/a",
            ],
        );
    }

    #[test]
    fn the_document_has_to_be_the_issuers() {
        let body = br#"{"issuer":"https://as.example/"}"#;
        assert_eq!(Metadata::parse(body, "https://as.example"), Err(MetadataError::OtherIssuer));
        assert!(matches!(Metadata::parse(b"<html>", "x"), Err(MetadataError::Unreadable(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_document_and_issuer_are_answered(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200), issuer in ".*") {
            let _ = Metadata::parse(&body, &issuer);
            proptest::prop_assert!(Metadata::addresses(&issuer).iter().all(|address| address.contains("/.well-known/")));
        }
    }

    #[test]
    fn auth_method_by_metadata() {
        fn check(methods: &str, secret: Option<&str>, expected: AuthMethod) {
            let body = format!(
                r#"{{"issuer":"https://a","authorization_endpoint":"https://a/a","token_endpoint":"https://a/t"{methods}}}"#
            );
            let metadata = Metadata::parse(body.as_bytes(), "https://a").expect("metadata");
            let endpoints =
                Endpoints::resolve(&Protocol::default(), Some(&metadata), &client(secret), Values::default(), false);
            assert_eq!(endpoints.expect("endpoints").auth_method, expected, "{methods}");
        }
        check("", Some("s"), AuthMethod::ClientSecretBasic);
        check("", None, AuthMethod::None);
        check(
            r#","token_endpoint_auth_methods_supported":["client_secret_post"]"#,
            Some("s"),
            AuthMethod::ClientSecretPost,
        );
        let both = r#","token_endpoint_auth_methods_supported":["client_secret_post","client_secret_basic"]"#;
        check(both, Some("s"), AuthMethod::ClientSecretBasic);
    }

    /// Zoho's callback says where the code is exchanged, and Salesforce's answer where its tokens are revoked.
    #[test]
    fn what_comes_later_is_not_missed_before() {
        let template = |text: &str| Some(Template::parse(text).expect("a template"));
        let protocol = Protocol {
            authorization_endpoint: template("https://as.example/authorize"),
            token_endpoint: template("https://{host}/token"),
            revocation_endpoint: template("{instance}/revoke"),
            token_capture: [(
                "instance".to_owned(),
                TokenCapture { path: Path::parse("$.i").expect("a path"), rule: CaptureRule::default() },
            )]
            .into(),
            callback_capture: [("host".to_owned(), CallbackCapture::default())].into(),
            ..Protocol::default()
        };
        let captured = [("host".to_owned(), "eu.example".to_owned())].into();
        let resolve = |values| Endpoints::resolve(&protocol, None, &client(None), values, false);
        let before = resolve(Values::default()).expect("an authorization endpoint");
        assert_eq!((before.token.as_str(), before.revocation), ("", None));
        let between = resolve(Values { variables: Some(&captured), ..Values::default() }).expect("a token endpoint");
        assert_eq!((between.token.as_str(), between.revocation), ("https://eu.example/token", None));
        // With a grant it is missed.
        let after = resolve(Values { captured: Some(&captured), ..Values::default() });
        assert_eq!(after, Err(EndpointError::NoValue("revocation_endpoint")));
    }

    #[test]
    fn a_certificate_goes_where_it_is_asked_for() {
        let body = br#"{"issuer":"https://a","authorization_endpoint":"https://a/a","token_endpoint":"https://a/t",
            "revocation_endpoint":"https://a/r","mtls_endpoint_aliases":{"token_endpoint":"https://mtls.a/t"}}"#;
        let metadata = Metadata::parse(body, "https://a").expect("metadata");
        let check = |method: Option<AuthMethod>, token_endpoint: Option<&str>, expected: [&str; 3]| {
            let protocol = Protocol {
                token_endpoint_auth_method: method,
                token_endpoint: token_endpoint.map(|text| Template::parse(text).expect("a template")),
                ..Protocol::default()
            };
            let found = Endpoints::resolve(&protocol, Some(&metadata), &client(None), Values::default(), false);
            let Endpoints { token, refresh, revocation, .. } = found.expect("endpoints");
            assert_eq!([token, refresh, revocation.expect("an endpoint")], expected, "{method:?}");
        };
        let (alias, plain, revocation) = ("https://mtls.a/t", "https://a/t", "https://a/r");
        check(Some(AuthMethod::TlsClientAuth), None, [alias, alias, revocation]);
        check(Some(AuthMethod::SelfSignedTlsClientAuth), None, [alias, alias, revocation]);
        check(
            Some(AuthMethod::TlsClientAuth),
            Some("https://file/t"),
            ["https://file/t", "https://file/t", revocation],
        );
        check(Some(AuthMethod::PrivateKeyJwt), None, [plain, plain, revocation]);
        check(None, None, [plain, plain, revocation]);
    }

    #[test]
    fn secrets_go_only_to_safe_urls() {
        fn check(url: &str, expected: bool) {
            assert_eq!(may_take_a_secret(url, false), expected, "{url}");
        }
        check("https://as.example/token", true);
        check("http://127.0.0.1:9/token", true);
        check("http://localhost/token", true);
        check("http://[::1]/token", true);
        check("http://as.example/token", false);
        check("https://user:pass@as.example/", false);
        check("ftp://as.example/", false);
        check("nonsense", false);
    }
}
