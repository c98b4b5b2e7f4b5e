//! The sample and the shipped provider files, as they stand in the repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyferry::config::{LoadRequest, keys, load, provider_keys};
use keyferry::mapping::{Encoding, Template};
use keyferry::model::{Grant, Secret, Timestamp};
use keyferry::oauth::{
    AuthMethod, AuthorizationRequest, Client, CodeChallengeMethod, Endpoints, HttpRequest, Metadata, Protocol,
    RevocationScope, Signing, SigningAlgorithm, SigningKey, TokenRequestFormat, Values, Variable, authorization_url,
    client_grant_request, exchange_request, refresh_request, revocation_requests,
};
use keyferry::provider::Provider;
use ring::rand::SystemRandom;

use super::{Folder, provider};
use crate::support::{Keys, Token, take_tokens};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped(id: &str) -> Provider {
    let config = Folder::empty().config();
    let found = config.integrations.iter().find(|integration| integration.name.as_str() == id);
    found.map(|integration| Provider::clone(&integration.provider)).expect("a shipped provider")
}

#[test]
fn the_sample_runs_and_changes_no_default() {
    let request = LoadRequest { directory: repository().to_owned(), ..LoadRequest::default() };
    let sample = load(request).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(sample.warnings, []);
    let defaults = Folder::empty().config();
    assert_eq!(format!("{:?}", sample.server), format!("{:?}", defaults.server));
    assert_eq!(format!("{:?}", sample.net), format!("{:?}", defaults.net));
    assert_eq!(format!("{:?}", sample.log), format!("{:?}", defaults.log));
    assert_eq!(sample.store.timeout, defaults.store.timeout);
    assert!(sample.public_url_is_derived);
}

#[test]
fn the_sample_shows_every_key() {
    let text = std::fs::read_to_string(repository().join("config.toml")).expect("the sample");
    let mut table = String::new();
    let mut shown = Vec::new();
    for line in text.lines().map(|line| line.trim_start_matches("# ")) {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let segments: Vec<&str> = header.0.split('.').collect();
            table = match segments.as_slice() {
                [named @ ("integrations" | "callers"), _] => format!("{named}.<name>"),
                _ => header.0.to_owned(),
            };
        } else if let Some((key, _)) = line.split_once(" = ") {
            shown.push(format!("{table}.{key}"));
        }
    }
    for key in keys().into_iter().filter(|key| !key.kind.is_table()) {
        assert!(shown.contains(&key.path), "config.toml shows no {}", key.path);
    }
}

#[test]
fn the_sample_with_its_comments_taken_away_is_understood() {
    let text = std::fs::read_to_string(repository().join("config.toml")).expect("the sample");
    let is_key =
        |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let uncommented: Vec<&str> =
        text.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line)).collect();
    let mistakes = Folder::with(&uncommented.join("\n")).mistakes();
    assert!(!mistakes.contains("is not a key"), "{mistakes}");
    assert!(!mistakes.contains("is not TOML"), "{mistakes}");
}

#[test]
fn described_keys_of_provider_files() {
    let paths: Vec<String> = provider_keys().into_iter().map(|key| key.path).collect();
    for path in [
        "display_name",
        "oauth.token_endpoint",
        "oauth.capture.token.<name>.path",
        "variables.<name>.enum",
        "api.auth.in",
    ] {
        assert!(paths.iter().any(|known| known == path), "{path}");
    }
    for key in provider_keys() {
        assert!(key.doc.ends_with(['.', '…']), "{}: {:?}", key.path, key.doc);
    }
}

#[test]
fn shipped_providers() {
    let config = Folder::empty().config();
    for integration in &config.integrations {
        let Provider { display_name, documentation, category, protocol, .. } = &*integration.provider;
        assert!(documentation.as_deref().is_some_and(|url| url.starts_with("https://")), "{display_name}");
        assert!(category.is_some() && protocol.token_endpoint_auth_method.is_some(), "{display_name}");
        assert!(protocol.sunset.is_none(), "{display_name} uses nothing that ends");
    }
}

/// What each shipped file makes the engine send, request by request: a snapshot a file.
#[test]
fn requests_of_shipped_providers() {
    let config = Folder::empty().config();
    for integration in &config.integrations {
        let name = format!("requests_of_{}", integration.provider.id);
        insta::assert_snapshot!(name, requests(&integration.provider));
    }
}

fn requests(provider: &Provider) -> String {
    let protocol = &provider.protocol;
    let client = Client {
        id: "the-id".into(),
        secret: Some(Secret::new("the-secret")),
        signing_key: signing_key(protocol),
        redirect_uri: "http://localhost:8080/cb".into(),
        scopes: protocol.scopes.clone(),
        ..Client::default()
    };
    let random = SystemRandom::new();
    let variables = protocol.variables.iter().map(|(name, variable)| (name.clone(), sample(name, variable))).collect();
    let captured = captured(protocol);
    let grant = Grant {
        access_token: Secret::new("the-access-token"),
        refresh_token: Some(Secret::new("the-refresh-token")),
        captured: captured.clone(),
        extra: extra(protocol),
        ..Grant::default()
    };
    let values = Values {
        client: Some(&client),
        state: Some("the-state"),
        random: Some("the-random"),
        variables: Some(&variables),
        signing: Some(Signing { now: Timestamp::from_unix_millis(1_800_000_000_000), random: &random }),
        ..Values::default()
    };
    let later = Values { captured: Some(&captured), extra: Some(&grant.extra), ..values };
    let metadata = protocol.issuer.as_ref().map(|issuer| {
        let issuer = issuer.render(Encoding::Url, |name| values.get(name)).expect("an issuer");
        metadata(&issuer)
    });
    let begin = Endpoints::resolve(protocol, metadata.as_ref(), &client, values, false).expect("endpoints");
    let endpoints = Endpoints::resolve(protocol, metadata.as_ref(), &client, later, false).expect("endpoints");
    // What is not S256 leaves the verifier out.
    let verifier = Secret::new("the-verifier-of-forty-three-characters-or-more-");
    let verifier = (protocol.code_challenge_method == CodeChallengeMethod::S256).then_some(&verifier);
    let value = |name: &str| match name {
        "access_token" => Some("the-access-token".into()),
        _ => later.get(name),
    };
    let base = provider.api.base_url.render(Encoding::Url, value).expect("a base URL");
    if protocol.grant_type.is_clients_own() {
        let request = client_grant_request(protocol, &endpoints, values).expect("signed");
        return format!("{}{base}\n", written(&request));
    }
    let url = authorization_url(
        protocol,
        &begin,
        AuthorizationRequest { scopes: &client.scopes, verifier, values, wishes: &BTreeMap::new() },
    );
    let exchange =
        exchange_request(protocol, &endpoints, verifier, Values { code: Some("the-code"), ..later }).expect("signed");
    let refresh = refresh_request(protocol, &endpoints, &grant, values).expect("signed");
    let revocations = revocation_requests(protocol, &endpoints, &client, &grant, values).expect("signed");
    let with_grant = values.with_grant(&grant);
    let url_of = |template: &Template| template.render(Encoding::Url, |name| with_grant.get(name)).expect("a URL");
    let exchanges = protocol.token_exchange.iter().map(|exchange| {
        keyferry::oauth::token_exchange_request(protocol, &endpoints, exchange, &url_of(&exchange.url), with_grant)
            .expect("signed")
    });
    let discoveries = protocol
        .discovery
        .iter()
        .map(|discovery| keyferry::oauth::discovery_request(discovery, &url_of(&discovery.url), with_grant));
    let headers: Vec<String> = provider
        .api
        .headers
        .iter()
        .map(|(name, template)| format!("{name}: {}\n", template.render(Encoding::Raw, value).unwrap_or_default()))
        .collect();
    let all = [exchange].into_iter().chain(exchanges).chain(discoveries).chain(refresh).chain(revocations);
    let all = all.map(|request| written(&request)).collect::<String>();
    format!("{url}\n\n{all}{base}\n{}", headers.concat())
}

/// A value that the variable takes.
fn sample(name: &str, variable: &Variable) -> String {
    let written = variable.default.clone().filter(|default| !default.is_empty());
    let known = written.or_else(|| variable.allowed.first().cloned());
    let candidates =
        ["acme", "123456", "us1", "acme.example.com", "https://acme.example.com", "acme.myshopify.com", "ABCDE12345"];
    let fitting = || candidates.into_iter().find(|candidate| variable.accepts(candidate)).map(str::to_owned);
    known.or_else(fitting).unwrap_or_else(|| panic!("no sample fits the variable {name}"))
}

/// The further tokens that answers with every field bring.
fn extra(protocol: &Protocol) -> BTreeMap<String, Secret> {
    let of_exchanges = protocol.token_exchange.iter().map(|exchange| &exchange.token_response);
    let responses = [&protocol.token_response].into_iter().chain(of_exchanges);
    responses
        .flat_map(|response| response.extra.keys())
        .map(|name| (name.clone(), Secret::new(format!("the-{name}"))))
        .collect()
}

/// What a callback without more parameters and an answer with every field bring.
fn captured(protocol: &Protocol) -> BTreeMap<String, String> {
    let from_callback = protocol.callback_capture.iter().map(|(name, capture)| {
        let sent = capture.rule.default.clone().unwrap_or_else(|| format!("the-{name}"));
        (name.clone(), capture.rule.map.get(&sent).cloned().unwrap_or(sent))
    });
    let from_answer = protocol.token_capture.iter().chain(protocol.captures_of_requests()).map(|(name, capture)| {
        if let Some(value) = capture.rule.map.values().next() {
            return (name.clone(), value.clone());
        }
        let candidates = [
            &format!("the-{name}"),
            "https://acme.example.com",
            "us1",
            "https://acme.my.salesforce.com",
            "https://www.zohoapis.com",
            "https://demo.docusign.net",
            "https://rest1.bullhornstaffing.com/rest-services/abc1/",
        ]
        .map(str::to_owned);
        let fits = |value: &&String| capture.rule.pattern.as_ref().is_none_or(|pattern| pattern.is_match(value));
        (name.clone(), candidates.iter().find(fits).cloned().unwrap_or_else(|| panic!("no sample fits {name}")))
    });
    from_callback.chain(from_answer).collect()
}

/// A document in which every endpoint lies under the issuer.
fn metadata(issuer: &str) -> Metadata {
    let base = issuer.trim_end_matches('/');
    let document = serde_json::json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/discovered/authorize"),
        "token_endpoint": format!("{base}/discovered/token"),
        "revocation_endpoint": format!("{base}/discovered/revoke"),
    });
    Metadata::parse(document.to_string().as_bytes(), issuer).expect("metadata")
}

fn written(request: &HttpRequest) -> String {
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.expose())).collect();
    let text = format!("{} {}\n{}{}\n\n", request.method, request.url, headers.concat(), request.body.expose());
    let (text, tokens) = take_tokens(&text);
    let described = tokens.iter().map(|token| {
        let token = Token::read(token);
        let lifetime =
            token.claims["exp"].as_i64().unwrap_or_default() - token.claims["iat"].as_i64().unwrap_or_default();
        format!("{{jwt}} = {}.{} for {lifetime} s\n\n", token.header.clone(), token.steady(lifetime))
    });
    text + &described.collect::<String>()
}

/// A key of the kind that the file signs with.
fn signing_key(protocol: &Protocol) -> Option<Arc<SigningKey>> {
    let keys = match protocol.signs_with().next()? {
        SigningAlgorithm::Es256 => Keys::ec("P-256"),
        SigningAlgorithm::Es384 => Keys::ec("P-384"),
        SigningAlgorithm::EdDsa => Keys::ed25519(),
        SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => Keys::rsa(),
        SigningAlgorithm::Hs256 => return None,
    };
    Some(Arc::new(SigningKey::parse(&keys.pem, &SystemRandom::new()).expect("a key")))
}

#[test]
fn what_vendors_document() {
    let github = shipped("github").protocol;
    assert_eq!(github.revocation.method, "DELETE");
    assert_eq!(github.revocation.format, TokenRequestFormat::Json);
    assert_eq!(github.revocation.auth_method, Some(AuthMethod::ClientSecretBasic));
    assert_eq!(github.revocation.scope, RevocationScope::Grant);
    let airtable = shipped("airtable").protocol;
    assert_eq!(airtable.refresh_token_lifetime, Some(Duration::from_secs(60 * 24 * 60 * 60)));
    assert!(airtable.revocation_endpoint.is_none());
    assert!(shipped("notion").protocol.scopes.is_empty());
}

#[test]
fn a_file_of_the_folder_replaces_a_shipped_one() {
    let folder = Folder::empty().file("providers/github.toml", &provider("", ""));
    let config = folder.config();
    let github = config.integrations.iter().find(|integration| integration.name.as_str() == "github").expect("github");
    assert_eq!(github.provider.api.base_url.constant(), Some("https://api.acme.example"));
}

#[test]
fn an_issuer_is_enough() {
    let folder = Folder::with("[integrations.acme]\nclient_id = 'a'").file(
        "providers/acme.toml",
        "[oauth]\nissuer = 'http://127.0.0.1:9000'\n[api]\nbase_url = 'http://127.0.0.1:9001/'",
    );
    let config = folder.config();
    let acme = config.integrations.iter().find(|integration| integration.name.as_str() == "acme").expect("acme");
    assert_eq!(acme.missing, None);
    assert_eq!(acme.provider.api.base_url.constant(), Some("http://127.0.0.1:9001"));
    assert!(acme.provider.protocol.token_endpoint.is_none());
}
