//! The `[oauth]` table of a provider file.

mod answers;
mod ask;
mod assertion;
mod callback;
mod discovery;
mod exchange;
mod grant_types;
mod once;

pub(super) use self::answers::{Answers, read as read_answers};
pub(super) use self::grant_types::nobody_connects;
use super::host::HostRule;
use super::names::{Chooser, Stage, Values};
use super::tables::{headers, parameters};
use super::{sunset, unknown_yet};
use crate::config::problem::{Fault, Problem, quoted};
use crate::config::reader::{Kind, Table};
use crate::mapping::Template;
use crate::oauth::{
    AuthMethod, CodeChallengeMethod, GrantType, Parameters, Protocol, RefreshMode, Revocation, RevocationScope,
    ScopeEncoding, TokenRequestFormat, TokenRequestMethod,
};

/// Keys of mechanisms that this version does not act on.
const LATER: [&str; 4] = [
    "userinfo_endpoint",
    "registration_endpoint",
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
];

/// What binds an authorization to its browser and its code is not a file's to change.
const RESERVED_AT_AUTHORIZATION: [(&str, &str); 3] = [
    ("state", "it protects the callback"),
    ("code_challenge", "PKCE is switched by `code_challenge_method`"),
    ("code_challenge_method", "PKCE is switched by the key of that name in [oauth]"),
];

const FORMATS: [(&str, TokenRequestFormat); 3] =
    [("form", TokenRequestFormat::Form), ("json", TokenRequestFormat::Json), ("query", TokenRequestFormat::Query)];

/// Reads the table, and what to say of an endpoint that ends; `None` when a mistake leaves nothing to go on with.
pub(super) fn read(table: &mut Table<'_>, rule: &mut HostRule<'_>) -> Option<(Protocol, Option<Problem>)> {
    let defaults = Protocol::default();
    let before = table.context().report.count();
    let grant_type = grant_types::read(table);
    let issuer = endpoint(table, rule, Stage::AuthorizationUrl, "issuer", "The issuer (RFC 8414, OpenID Discovery).");
    let authorization_endpoint = endpoint(
        table,
        rule,
        Stage::AuthorizationUrl,
        "authorization_endpoint",
        "Where the browser is sent (RFC 6749 section 3.1).",
    );
    let token_endpoint =
        endpoint(table, rule, Stage::TokenUrl, "token_endpoint", "Where codes become tokens (RFC 6749 section 3.2).");
    let refresh_endpoint = endpoint(
        table,
        rule,
        Stage::GrantUrl,
        "refresh_endpoint",
        "Where refreshes go when not to the token endpoint.",
    );
    let revocation_endpoint =
        endpoint(table, rule, Stage::GrantUrl, "revocation_endpoint", "Where tokens are revoked (RFC 7009).");
    let introspection_endpoint =
        endpoint(table, rule, Stage::GrantUrl, "introspection_endpoint", "Where tokens are examined (RFC 7662).");
    need_endpoints(table, grant_type);

    let token_endpoint_auth_method = auth_method(
        table,
        "token_endpoint_auth_method",
        "How we authenticate (RFC 6749 section 2.3); never in two ways.",
    );
    let names = rule.names;
    let token_request_format = table.word("token_request_format", "Body of token requests.", &FORMATS);
    let (token_request_method, refresh_request_method) = ask::methods(table, token_request_format);
    let (basic_username, basic_password) = ask::basic(table, names, token_endpoint_auth_method);
    let basic = token_endpoint_auth_method == Some(AuthMethod::ClientSecretBasic);
    let reserved: &[(&str, &str)] = if basic { &[("authorization", "client_secret_basic sends it")] } else { &[] };
    let doc = "More headers on token requests.";
    let token_request_headers =
        text_names(headers(table, "token_request_headers", doc, names, Stage::TokenHeaders, reserved));
    let response_type = ask::response_type(table);
    let resource = ask::resource(table, names);
    let code_challenge_method = code_challenge_method(table);
    let scopes = table.list("scopes", "Asked for when the integration names none; empty: no `scope` is sent.", scope);
    let scope_separator = table.parsed("scope_separator", "Joins scopes.", separator);
    let scope_encoding = table.word(
        "scope_encoding",
        "Whether the separator is percent-encoded in the authorization URL (the default) or stands raw.",
        &[("percent", ScopeEncoding::Percent), ("raw", ScopeEncoding::Raw)],
    );
    let mut params = |name, doc, stage, reserved: &[_]| parameters(table, name, doc, names, stage, reserved);
    let authorization_params = params(
        "authorization_params",
        "Added to the authorization request; \"\" drops a built-in.",
        Stage::AuthorizationParams,
        &RESERVED_AT_AUTHORIZATION,
    );
    let reserved = [("code_verifier", "PKCE is switched by `code_challenge_method`")];
    let doc = "Added to the code exchange; \"\" drops a built-in.";
    let token_params = params("token_params", doc, Stage::TokenParams, &reserved);
    let doc = "Added to refreshes; \"\" drops a built-in.";
    let refresh_params = params("refresh_params", doc, Stage::RefreshParams, &[]);
    ask::check_nonce(table, &authorization_params);
    let tables = [
        ("token_params", &token_params, token_request_method),
        ("refresh_params", &refresh_params, refresh_request_method),
    ];
    for (key, params, method) in tables {
        if token_request_format == Some(TokenRequestFormat::Query) || method == Some(TokenRequestMethod::Get) {
            ask::check_query(table, names, key, params);
        }
    }
    let default_method = (!table.has("issuer")).then_some(AuthMethod::default());
    let method = token_endpoint_auth_method.or(default_method);
    let basic = [&basic_username, &basic_password];
    let headers_of_both = ("token_request_headers", &token_request_headers);
    for (params, drops) in [
        (("token_params", &token_params), &[&token_params][..]),
        (("refresh_params", &refresh_params), &[&token_params, &refresh_params]),
    ] {
        once::check(table, &once::Written { method, basic, params, headers: headers_of_both, drops });
    }
    let refresh = table.word(
        "refresh",
        "What a refresh does to the refresh token; by default it is kept unless another comes.",
        &[
            ("keep", RefreshMode::Keep),
            ("rotate", RefreshMode::Rotate),
            ("extend", RefreshMode::Extend),
            ("none", RefreshMode::None),
        ],
    );
    table.later(&["refresh_mode"], |_| Fault::new("is not a key of [oauth]", "its name is `refresh`"));
    let doc = "How long before its end a token becomes due; by default a tenth of its life, at most 60s, and never more \
               than half of it.";
    let refresh_leeway = table.duration("refresh_leeway", doc);
    let access_token_lifetime =
        table.positive_duration("access_token_lifetime", "Life of an access token when the answer does not say.");
    let refresh_token_lifetime =
        table.positive_duration("refresh_token_lifetime", "Life of an idle refresh token; refreshed before it ends.");
    let grace = table.duration("grace", "How long the provider still takes a rotated refresh token.");
    let terminal_errors =
        table.list("terminal_errors", "Error codes that end a grant; all others are retried.", super::filled);
    let callback = table.table("callback", "The provider's redirect.", callback::read);
    let revocation = table.optional_table("revocation", "How tokens are revoked when not by RFC 7009.", |table| {
        Some(revocation(table, rule, method, basic))
    });
    let revocation_auth_method = revocation.as_ref().and_then(|revocation| revocation.auth_method);
    let methods: Vec<AuthMethod> = [token_endpoint_auth_method, revocation_auth_method].into_iter().flatten().collect();
    let client_assertion = assertion::read_client_assertion(table, names, &methods);
    let assertion = assertion::read_assertion(table, names, grant_type);
    if revocation.is_some() && !table.has("revocation_endpoint") && !table.has("issuer") {
        table.mistake("revocation", "says how to revoke, but not where", "write `revocation_endpoint`");
    }
    let endpoints = [
        ("authorization_endpoint", &authorization_endpoint),
        ("token_endpoint", &token_endpoint),
        ("refresh_endpoint", &refresh_endpoint),
        ("revocation_endpoint", &revocation_endpoint),
        ("introspection_endpoint", &introspection_endpoint),
    ];
    let (sunset, warning) = sunset::read(table, &endpoints).unzip();
    table.later(&LATER, unknown_yet);
    if table.context().report.count() > before {
        return None;
    }
    let list = |list: Option<Vec<(_, String)>>| list.map(|list| list.into_iter().map(|(_, text)| text).collect());
    let protocol = Protocol {
        grant_type,
        assertion,
        issuer,
        authorization_endpoint,
        token_endpoint,
        refresh_endpoint,
        revocation_endpoint,
        introspection_endpoint,
        token_endpoint_auth_method,
        basic_username,
        basic_password,
        token_request_method: token_request_method.unwrap_or(defaults.token_request_method),
        refresh_request_method: refresh_request_method.unwrap_or(defaults.refresh_request_method),
        client_assertion,
        token_request_format: token_request_format.unwrap_or(defaults.token_request_format),
        token_request_headers,
        response_type: response_type.unwrap_or(defaults.response_type),
        resource,
        code_challenge_method: code_challenge_method.unwrap_or(defaults.code_challenge_method),
        scopes: list(scopes).unwrap_or(defaults.scopes),
        scope_separator: scope_separator.unwrap_or(defaults.scope_separator),
        scope_encoding: scope_encoding.unwrap_or(defaults.scope_encoding),
        authorization_params,
        token_params,
        refresh_params,
        refresh: refresh.unwrap_or(defaults.refresh),
        refresh_leeway,
        access_token_lifetime,
        refresh_token_lifetime,
        grace,
        terminal_errors: list(terminal_errors).unwrap_or(defaults.terminal_errors),
        callback,
        revocation: revocation.unwrap_or(defaults.revocation),
        sunset,
        ..Protocol::default()
    };
    Some((protocol, warning))
}

fn endpoint(
    table: &mut Table<'_>,
    rule: &mut HostRule<'_>,
    stage: Stage,
    name: &'static str,
    doc: &'static str,
) -> Option<Template> {
    table.parsed_as(name, Kind::Url, doc, |text| {
        let template = rule.names.template(text, stage)?;
        rule.check(&template)?;
        if name != "authorization_endpoint" && text.contains('#') {
            return Err(Fault::new("holds a fragment", "remove it; only an authorization page may route by one"));
        }
        if name == "issuer" {
            check_issuer(rule, &template)?;
        }
        if name == "issuer" && text.contains('?') {
            return Err(Fault::new("holds a query, which an issuer never has", "remove it"));
        }
        Ok(template)
    })
}

/// An issuer's metadata names the endpoints that secrets go to, on any host: who chooses the issuer chooses them all.
fn check_issuer(rule: &HostRule<'_>, template: &Template) -> Result<(), Fault> {
    let is_chosen = |name: &&str| {
        let known = rule.names.get(name);
        known.is_some_and(|known| known.chooser != Chooser::Operator && matches!(known.values, Values::Open(_)))
    };
    match template.names().find(is_chosen) {
        Some(name) => {
            let fault = format!(
                "lets whoever connects choose {}, and with it the metadata that names the token endpoint",
                quoted(name)
            );
            Err(Fault::new(fault, "write `source = \"operator\"` there, or an `enum`"))
        }
        None => Ok(()),
    }
}

fn need_endpoints(table: &Table<'_>, grant_type: GrantType) {
    if table.has("issuer") {
        return;
    }
    if grant_type.is_clients_own() {
        if !table.has("token_endpoint") {
            table.mistake("token_endpoint", "is missing", "write it, or `issuer`");
        }
        return;
    }
    match (table.has("authorization_endpoint"), table.has("token_endpoint")) {
        (true, true) => {}
        (false, false) => table.mistake(
            "issuer",
            "is missing, and so are the endpoints",
            "write `issuer`, or `authorization_endpoint` and `token_endpoint`",
        ),
        (false, true) => table.mistake("authorization_endpoint", "is missing", "write it, or `issuer`"),
        (true, false) => table.mistake("token_endpoint", "is missing", "write it, or `issuer`"),
    }
}

fn auth_method(table: &mut Table<'_>, name: &'static str, doc: &'static str) -> Option<AuthMethod> {
    const WORDS: [(&str, AuthMethod); 7] = [
        ("client_secret_post", AuthMethod::ClientSecretPost),
        ("client_secret_basic", AuthMethod::ClientSecretBasic),
        ("client_secret_jwt", AuthMethod::ClientSecretJwt),
        ("private_key_jwt", AuthMethod::PrivateKeyJwt),
        ("tls_client_auth", AuthMethod::TlsClientAuth),
        ("self_signed_tls_client_auth", AuthMethod::SelfSignedTlsClientAuth),
        ("none", AuthMethod::None),
    ];
    table.word(name, doc, &WORDS)
}

fn code_challenge_method(table: &mut Table<'_>) -> Option<CodeChallengeMethod> {
    const WORDS: [(&str, CodeChallengeMethod); 2] =
        [("S256", CodeChallengeMethod::S256), ("none", CodeChallengeMethod::None)];
    let doc = "PKCE (RFC 7636): S256 (the default), or none only where the provider refuses it.";
    table.word_unless("code_challenge_method", doc, &WORDS, |text| {
        let fault = "is `plain`, which protects nothing: whoever sees the request has the verifier";
        (text == "plain").then(|| Fault::new(fault, "write `S256`"))
    })
}

fn revocation(
    table: &mut Table<'_>,
    rule: &HostRule<'_>,
    token_method: Option<AuthMethod>,
    basic: [&Option<Template>; 2],
) -> Revocation {
    let defaults = Revocation::default();
    let doc = "The request's method; POST by default.";
    let method = table.word("method", doc, &[("POST", "POST"), ("DELETE", "DELETE"), ("GET", "GET")]);
    let formats = FORMATS.into_iter().chain([("none", TokenRequestFormat::Nothing)]);
    let doc = "Body of the request; form by default. With none there is neither a body nor a parameter.";
    let format = table.word("format", doc, &formats.collect::<Vec<_>>());
    let auth_method = auth_method(table, "auth_method", "How we authenticate; by default as at the token endpoint.");
    let doc = "All parameters; by default `token` and `token_type_hint`.";
    let has_params = table.has("params");
    let params = parameters(table, "params", doc, rule.names, Stage::RevocationParams, &[]);
    let doc = "More headers.";
    let headers = text_names(headers(table, "headers", doc, rule.names, Stage::RevocationParams, &[]));
    let is_empty = format == Some(TokenRequestFormat::Nothing);
    if is_empty && has_params {
        table.mistake("params", "stand beside `format = \"none\"`, which sends none", "keep one of them");
    }
    let is_token = |name: &str| matches!(name, "access_token" | "refresh_token");
    if is_empty && !headers.iter().any(|(_, template)| template.names().any(is_token)) {
        let remedy = "write for example headers = { Authorization = \"Bearer {access_token}\" }";
        table.mistake("format", "leaves nothing that names the token", remedy);
    }
    if method == Some("GET") || format == Some(TokenRequestFormat::Query) {
        ask::check_query(table, rule.names, "params", &params);
    }
    let sent = match auth_method.or(token_method) {
        Some(AuthMethod::ClientSecretPost) if is_empty => Some(AuthMethod::None),
        method => method,
    };
    let (params_of, headers_of) = (("params", &params), ("headers", &headers));
    once::check(
        table,
        &once::Written { method: sent, basic, params: params_of, headers: headers_of, drops: &[&params] },
    );
    let scope = table.word(
        "scope",
        "What ends with a token: that grant only, or (the default) perhaps every grant of the account to this client.",
        &[("grant", RevocationScope::Grant), ("client", RevocationScope::Client)],
    );
    Revocation {
        method: method.map_or(defaults.method, str::to_owned),
        format: format.unwrap_or(defaults.format),
        auth_method,
        params: has_params.then_some(params),
        headers,
        scope: scope.unwrap_or(defaults.scope),
    }
}

fn text_names(headers: Vec<(http::HeaderName, Template)>) -> Parameters {
    headers.into_iter().map(|(name, template)| (name.to_string(), template)).collect()
}

/// A scope (RFC 6749 section 3.3) is visible and has no space; commas are some providers' separators.
pub(in crate::config) fn scope(text: &str) -> Result<String, Fault> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Fault::new(format!("{} is not a scope", quoted(text)), "write each scope as a text of its own"));
    }
    Ok(text.to_owned())
}

fn separator(text: &str) -> Result<String, Fault> {
    if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_alphanumeric()) {
        return Err(Fault::new("does not separate scopes", "write for example \" \" or \",\""));
    }
    Ok(text.to_owned())
}
