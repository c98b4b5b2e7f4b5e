//! Token requests, built from one parameter table: the built-ins of RFC 6749, then what the provider file adds, renames
//! or drops, then client authentication. One request never authenticates twice (RFC 6749 section 2.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{
    AuthMethod, Endpoints, GrantType, Parameters, Protocol, SigningError, TokenRequestFormat, TokenRequestMethod,
    Values,
};
use crate::mapping::{Encoding, Template};
use crate::model::{Grant, Secret};

/// A small request to a provider: token, revocation, discovery. Its `Debug` shows neither headers nor body.
#[derive(Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: &'static str,
    /// The URL; holds parameters, and so secrets, where the provider wants them in the query.
    pub url: String,
    /// Headers, in order.
    pub headers: Vec<(String, Secret)>,
    /// The body; empty for none.
    pub body: Secret,
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("HttpRequest").field("method", &self.method).field("url", &url).finish_non_exhaustive()
    }
}

/// The request that exchanges a code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
pub fn exchange_request(
    protocol: &Protocol,
    endpoints: &Endpoints,
    verifier: Option<&Secret>,
    values: Values<'_>,
) -> Result<HttpRequest, SigningError> {
    let mut parameters = Table::new();
    parameters.set("grant_type", "authorization_code");
    parameters.set_from(values, "code");
    parameters.set_from(values, "redirect_uri");
    if let Some(verifier) = verifier {
        parameters.set("code_verifier", verifier.expose());
    }
    parameters.set_resource(protocol, values);
    parameters.apply(&protocol.token_params, values);
    let to = (endpoints.token.as_str(), protocol.token_request_method);
    token_request(protocol, endpoints, to, &[&protocol.token_params], parameters, values)
}

/// The request that refreshes a grant (RFC 6749 section 6). `None` when there is nothing to present.
pub fn refresh_request(
    protocol: &Protocol,
    endpoints: &Endpoints,
    grant: &Grant,
    values: Values<'_>,
) -> Result<Option<HttpRequest>, SigningError> {
    let values = values.with_grant(grant);
    let mut parameters = Table::new();
    parameters.set("grant_type", "refresh_token");
    parameters.set_from(values, "refresh_token");
    parameters.set_resource(protocol, values);
    parameters.apply(&protocol.refresh_params, values);
    let tables = [&protocol.token_params, &protocol.refresh_params];
    let (url, method) = (endpoints.refresh.as_str(), protocol.refresh_request_method);
    let request = || token_request(protocol, endpoints, (url, method), &tables, parameters, values);
    protocol.can_refresh(grant).then(request).transpose()
}

/// The request for a grant that nobody is asked for: by the client's credentials (RFC 6749 section 4.4.2) or for an
/// assertion (RFC 7523 section 2.1). The scopes stand in a parameter, unless a claim of the assertion holds them.
pub fn client_grant_request(
    protocol: &Protocol,
    endpoints: &Endpoints,
    values: Values<'_>,
) -> Result<HttpRequest, SigningError> {
    let scopes = values.client.map(|client| client.scopes.join(&protocol.scope_separator));
    let values = Values { scope: scopes.as_deref().filter(|scope| !scope.is_empty()), ..values };
    let mut parameters = Table::new();
    parameters.set("grant_type", protocol.grant_type.name());
    let mut is_claimed = false;
    if let (GrantType::JwtBearer, Some(client)) = (protocol.grant_type, values.client) {
        let assertion = &protocol.assertion;
        is_claimed = assertion.claims.iter().any(|(_, template)| template.names().any(|name| name == "scope"));
        parameters.set("assertion", assertion.sign(assertion.algorithm(), endpoints, client, values)?.expose());
    }
    if !is_claimed {
        parameters.set_from(values, "scope");
    }
    parameters.set_resource(protocol, values);
    parameters.apply(&protocol.token_params, values);
    let to = (endpoints.token.as_str(), protocol.token_request_method);
    token_request(protocol, endpoints, to, &[&protocol.token_params], parameters, values)
}

fn token_request(
    protocol: &Protocol,
    endpoints: &Endpoints,
    (url, method): (&str, TokenRequestMethod),
    tables: &[&Parameters],
    mut parameters: Table,
    values: Values<'_>,
) -> Result<HttpRequest, SigningError> {
    let mut headers = vec![("accept".to_owned(), Secret::new("application/json"))];
    authenticate(endpoints.auth_method, protocol, endpoints, values, tables, &mut parameters, &mut headers)?;
    render_headers(&protocol.token_request_headers, values, &mut headers);
    let (method, format) = match method {
        TokenRequestMethod::Post => ("POST", protocol.token_request_format),
        TokenRequestMethod::Get => ("GET", TokenRequestFormat::Query),
    };
    Ok(parameters.into_request(method, url, format, headers))
}

/// Puts id and secret, or an assertion, where the method says. Tables that drop `client_id` or `client_secret` send them under another
/// name, so the built-in is left out.
pub(super) fn authenticate(
    method: AuthMethod,
    protocol: &Protocol,
    endpoints: &Endpoints,
    values: Values<'_>,
    tables: &[&Parameters],
    parameters: &mut Table,
    headers: &mut Vec<(String, Secret)>,
) -> Result<(), SigningError> {
    let Some(client) = values.client else { return Ok(()) };
    let drops = |table: &Parameters, name: &str| table.iter().any(|(own, value)| own == name && value.is_empty());
    let dropped = |name: &str| tables.iter().any(|table| drops(table, name));
    let secret = client.secret.as_ref().map_or("", Secret::expose);
    match method {
        AuthMethod::ClientSecretBasic => {
            let part = |template: &Option<Template>, own: &str| match template {
                Some(template) => template.render(Encoding::Raw, |name| values.get(name)).unwrap_or_default(),
                None => own.to_owned(),
            };
            let (username, password) =
                (part(&protocol.basic_username, &client.id), part(&protocol.basic_password, secret));
            headers.push(("authorization".into(), basic(&username, &password)));
        }
        AuthMethod::ClientSecretPost
        | AuthMethod::ClientSecretJwt
        | AuthMethod::PrivateKeyJwt
        | AuthMethod::TlsClientAuth
        | AuthMethod::SelfSignedTlsClientAuth
        | AuthMethod::None => {
            if !dropped("client_id") {
                parameters.set_unless_present("client_id", &client.id);
            }
            // An empty `client_secret=` is refused by some providers, so it is left out.
            if method == AuthMethod::ClientSecretPost && !secret.is_empty() && !dropped("client_secret") {
                parameters.set_unless_present("client_secret", secret);
            }
            if let Some(algorithm) = protocol.client_assertion.algorithm(method) {
                protocol.client_assertion.authenticate(algorithm, endpoints, client, values, parameters)?;
            }
        }
    }
    Ok(())
}

/// Both are form-encoded before they are joined and base64-encoded (RFC 6749 section 2.3.1).
fn basic(username: &str, password: &str) -> Secret {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let joined = Secret::new(format!("{}:{}", encode(username), encode(password)));
    Secret::new(format!("Basic {}", STANDARD.encode(joined.expose())))
}

pub(super) fn render_headers(table: &Parameters, values: Values<'_>, headers: &mut Vec<(String, Secret)>) {
    for (name, template) in table {
        let name = name.to_ascii_lowercase();
        headers.retain(|(present, _)| *present != name);
        if let Some(value) = template.render(Encoding::Raw, |name| values.get(name)).filter(|value| !value.is_empty()) {
            headers.push((name, Secret::new(value)));
        }
    }
}

/// Parameters of one request, in order, each name once.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Vec<(String, Secret)>);

impl Table {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(present, _)| present == name) {
            Some((_, present)) => *present = Secret::new(value),
            None => self.0.push((name.to_owned(), Secret::new(value))),
        }
    }

    fn set_unless_present(&mut self, name: &str, value: &str) {
        if !self.0.iter().any(|(present, _)| present == name) {
            self.set(name, value);
        }
    }

    /// The built-in of that name, when it has a value in this request.
    pub(super) fn set_from(&mut self, values: Values<'_>, name: &str) {
        if let Some(value) = values.get(name) {
            self.set(name, &value);
        }
    }

    /// Whose tokens they are to be (RFC 8707 section 2), where the file says.
    pub(super) fn set_resource(&mut self, protocol: &Protocol, values: Values<'_>) {
        let resource =
            protocol.resource.as_ref().and_then(|resource| resource.render(Encoding::Url, |name| values.get(name)));
        if let Some(resource) = resource {
            self.set("resource", &resource);
        }
    }

    /// The provider's table: an empty template drops, others add or replace. A parameter whose template lacks a value,
    /// or renders to nothing, is left out: providers refuse empty parameters.
    pub(super) fn apply(&mut self, table: &Parameters, values: Values<'_>) {
        for (name, template) in table {
            match template.render(Encoding::Raw, |name| values.get(name)).filter(|value| !value.is_empty()) {
                Some(value) => self.set(name, &value),
                None => self.0.retain(|(present, _)| present != name),
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }

    pub(super) fn into_request(
        self,
        method: &'static str,
        url: &str,
        format: TokenRequestFormat,
        mut headers: Vec<(String, Secret)>,
    ) -> HttpRequest {
        let form = || form_urlencoded::Serializer::new(String::new()).extend_pairs(self.iter()).finish();
        let (url, content_type, body) = match format {
            TokenRequestFormat::Form => (url.to_owned(), Some("application/x-www-form-urlencoded"), form()),
            TokenRequestFormat::Json => {
                let object: Map<String, Value> =
                    self.iter().map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))).collect();
                (url.to_owned(), Some("application/json"), Value::Object(object).to_string())
            }
            TokenRequestFormat::Query => (with_query(url, &form()), None, String::new()),
            TokenRequestFormat::Nothing => (url.to_owned(), None, String::new()),
        };
        if let Some(content_type) = content_type
            && !headers.iter().any(|(name, _)| name == "content-type")
        {
            headers.push(("content-type".into(), Secret::new(content_type)));
        }
        HttpRequest { method, url, headers, body: Secret::new(body) }
    }
}

/// The URL with more in its query: what it has is kept, and behind a fragment, by which some pages route, a query begins
/// anew.
pub(super) fn with_query(url: &str, query: &str) -> String {
    let tail = url.rsplit('#').next().unwrap_or(url);
    let joint = match () {
        () if query.is_empty() || tail.ends_with(['?', '&']) => "",
        () if tail.contains('?') => "&",
        () => "?",
    };
    format!("{url}{joint}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Client;

    fn client() -> Client {
        Client {
            id: "id:1 %".into(),
            secret: Some(Secret::new("s+e/c=r&t")),
            redirect_uri: "http://localhost:8080/cb".into(),
            ..Client::default()
        }
    }

    fn endpoints(auth_method: AuthMethod) -> Endpoints {
        Endpoints {
            authorization: "https://as.example/authorize".into(),
            token: "https://as.example/token?tenant=1".into(),
            refresh: "https://as.example/refresh".into(),
            auth_method,
            ..Endpoints::default()
        }
    }

    fn grant() -> Grant {
        Grant { access_token: Secret::new("AT"), refresh_token: Some(Secret::new("RT")), ..Grant::default() }
    }

    fn table(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(name, text)| ((*name).into(), Template::parse(text).expect("a template"))).collect()
    }

    fn written(request: &HttpRequest) -> String {
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| format!("{name}: {}", value.expose())).collect();
        format!("{} {}\n{}\n\n{}", request.method, request.url, headers.join("\n"), request.body.expose())
    }

    fn check_exchange(protocol: &Protocol, auth_method: AuthMethod, expected: &str) {
        let client = client();
        let values = Values { client: Some(&client), code: Some("c/1"), ..Values::default() };
        let request = exchange_request(protocol, &endpoints(auth_method), Some(&Secret::new("ver")), values);
        assert_eq!(written(&request.expect("nothing is signed")), expected);
    }

    #[test]
    fn exchange_with_post() {
        check_exchange(
            &Protocol::default(),
            AuthMethod::ClientSecretPost,
            "POST https://as.example/token?tenant=1\naccept: application/json\ncontent-type: application/x-www-form-urlencoded\n\n\
             grant_type=authorization_code&code=c%2F1&redirect_uri=http%3A%2F%2Flocalhost%3A8080%2Fcb&code_verifier=ver\
             &client_id=id%3A1+%25&client_secret=s%2Be%2Fc%3Dr%26t",
        );
    }

    #[test]
    fn exchange_with_basic_and_json() {
        let protocol = Protocol { token_request_format: TokenRequestFormat::Json, ..Protocol::default() };
        check_exchange(
            &protocol,
            AuthMethod::ClientSecretBasic,
            "POST https://as.example/token?tenant=1\naccept: application/json\n\
             authorization: Basic aWQlM0ExKyUyNTpzJTJCZSUyRmMlM0RyJTI2dA==\ncontent-type: application/json\n\n\
             {\"grant_type\":\"authorization_code\",\"code\":\"c/1\",\"redirect_uri\":\"http://localhost:8080/cb\",\"code_verifier\":\"ver\"}",
        );
    }

    #[test]
    fn exchange_renames_and_drops() {
        let protocol = Protocol {
            token_request_format: TokenRequestFormat::Query,
            token_params: table(&[
                ("client_id", ""),
                ("client_secret", ""),
                ("code", ""),
                ("redirect_uri", ""),
                ("grant_type", ""),
                ("code_verifier", ""),
                ("app_id", "{client_id}"),
                ("secret", "{client_secret}"),
                ("auth_code", "{code}"),
                ("empty", "{state}"),
            ]),
            ..Protocol::default()
        };
        check_exchange(
            &protocol,
            AuthMethod::ClientSecretPost,
            "POST https://as.example/token?tenant=1&app_id=id%3A1+%25&secret=s%2Be%2Fc%3Dr%26t&auth_code=c%2F1\n\
             accept: application/json\n\n",
        );
    }

    #[test]
    fn public_clients_send_their_id_only() {
        let client = client();
        let values = Values { client: Some(&client), ..Values::default() };
        let request = refresh_request(&Protocol::default(), &endpoints(AuthMethod::None), &grant(), values);
        let request = request.expect("nothing is signed").expect("there is a refresh token");
        assert_eq!(request.url, "https://as.example/refresh");
        assert_eq!(request.body.expose(), "grant_type=refresh_token&refresh_token=RT&client_id=id%3A1+%25");
    }

    #[test]
    fn refresh_may_present_the_access_token() {
        let refresh_params = table(&[
            ("grant_type", "fb_exchange_token"),
            ("fb_exchange_token", "{access_token}"),
            ("refresh_token", ""),
        ]);
        let protocol = Protocol { refresh_params, ..Protocol::default() };
        let without = Grant { refresh_token: None, ..grant() };
        let request = refresh_request(&protocol, &endpoints(AuthMethod::None), &without, Values::default());
        assert_eq!(
            request.expect("nothing is signed").expect("an access token serves").body.expose(),
            "grant_type=fb_exchange_token&fb_exchange_token=AT"
        );
        let request = refresh_request(&Protocol::default(), &endpoints(AuthMethod::None), &without, Values::default());
        assert!(request.expect("nothing is signed").is_none());
    }

    #[test]
    fn queries_join_what_is_there() {
        fn check(url: &str, query: &str, expected: &str) {
            assert_eq!(with_query(url, query), expected, "{url} {query}");
        }
        check("https://a.example", "b=1", "https://a.example?b=1");
        check("https://a.example?", "b=1", "https://a.example?b=1");
        check("https://a.example?a=1", "b=1", "https://a.example?a=1&b=1");
        check("https://a.example?a=1&", "b=1", "https://a.example?a=1&b=1");
        check("https://a.example?a=1#/page", "b=1", "https://a.example?a=1#/page?b=1");
        check("https://a.example", "", "https://a.example");
    }

    #[test]
    fn debug_holds_no_secret() {
        let client = client();
        let values = Values { client: Some(&client), code: Some("canary"), ..Values::default() };
        let protocol = Protocol { token_request_format: TokenRequestFormat::Query, ..Protocol::default() };
        let request = exchange_request(&protocol, &endpoints(AuthMethod::ClientSecretPost), None, values);
        assert!(!format!("{:?}", request.expect("nothing is signed")).contains("canary"));
    }
}
