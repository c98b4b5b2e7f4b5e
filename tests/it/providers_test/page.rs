//! docs/providers.md against the program: every example passes, every key is there, and what only that page has taught works
//! at a real server. That its blocks load is `documentation`'s business, as of every page.

use std::time::Duration;

use keyferry::config;
use serde_json::json;

use super::Desk;
use crate::documentation::block::Page;
use crate::support::{AuthorizationServer, Browser, Client, Configuration, Keyferry, Person, until};

const PAGE: &str = include_str!("../../../docs/providers.md");

/// The blocks that are whole files, by their name, and those that are a part of one.
fn blocks() -> (Vec<(String, String)>, Vec<String>) {
    let page = Page::read("docs/providers.md");
    let files = page.of("toml provider").into_iter().map(|block| (block.file().to_owned(), block.text.clone()));
    (files.collect(), page.of("toml part").into_iter().map(|block| block.text.clone()).collect())
}

#[tokio::test]
async fn every_example_passes() {
    let (examples, parts) = blocks();
    assert!(examples.len() >= 5 && parts.len() >= 6, "{} and {}", examples.len(), parts.len());
    for (name, text) in &examples {
        let printed = Desk::new().file(name, text).test(name).await;
        assert_eq!(printed.code, 0, "{name}: {}{}", printed.out, printed.err);
    }
    let (name, acme) = examples.iter().rfind(|(name, _)| name == "providers/acme.toml").expect("acme");
    for part in parts {
        let desk = Desk::new().file(name, acme).file("providers/part.toml", &format!("extends = \"acme\"\n{part}"));
        let printed = desk.test("part").await;
        assert_eq!(printed.code, 0, "{part}: {}{}", printed.out, printed.err);
    }
}

/// Every key but those of [items], which have a page of their own.
#[test]
fn every_key_is_explained() {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let reference = PAGE.split("## Every key").nth(1).expect("the section");
    let keys = config::provider_keys().into_iter().map(|key| key.path);
    let keys = keys.filter(|path| !path.starts_with("items") && !path.starts_with("api.retry") && !path.ends_with('>'));
    let missing: Vec<String> = keys
        .filter(|path| {
            let name = last(path);
            let written = [
                format!("`{name}`"),
                format!(".{name}`"),
                format!("`{name}."),
                format!("[{path}]"),
                format!("[{path}."),
            ];
            !written.iter().any(|written| reference.contains(written))
        })
        .collect();
    assert!(missing.is_empty(), "docs/providers.md has no {missing:?}");
}

/// What the page teaches, at a real authorization server: each of its simple files, with that server's URLs in place of
/// the vendor's and nothing else changed, connects, calls, refreshes and revokes.
#[tokio::test]
async fn its_files_work_at_a_real_server() {
    let (files, _) = blocks();
    let named =
        |wanted: &'static str| files.iter().filter(move |(name, _)| name == wanted).map(|(_, text)| text.as_str());
    let smallest: Vec<&str> = named("providers/acme.toml").collect();
    let plain = named("providers/plain.toml").next().expect("the first example");
    let desk = named("providers/desk.toml").next().expect("the second example");
    let [by_issuer, by_endpoints] = smallest[..] else { panic!("two smallest files") };
    at_a_real_server(
        by_issuer,
        &Client::BASIC,
        &[("https://login.acme.example", ""), ("https://api.acme.example", "")],
    )
    .await;
    let endpoints = [
        ("https://acme.example/oauth/authorize", "/auth"),
        ("https://api.acme.example/oauth/token", "/token"),
        ("https://api.acme.example/v1", ""),
    ];
    at_a_real_server(&asks_for_refresh_tokens(by_endpoints), &Client::POST, &endpoints).await;
    let endpoints = [
        ("https://plain.example/oauth/authorize", "/auth"),
        ("https://api.plain.example/oauth/token", "/token"),
        ("https://api.plain.example/oauth/revoke", "/token/revocation"),
        ("https://api.plain.example/v1", ""),
    ];
    at_a_real_server(&asks_for_refresh_tokens(plain), &Client::POST, &endpoints).await;
    let endpoints = [
        ("https://{subdomain}.desk.example/oauth/authorizations/new", "/auth"),
        ("https://{subdomain}.desk.example/oauth/tokens", "/token"),
        ("https://{subdomain}.desk.example/api", ""),
    ];
    at_a_real_server(&asks_for_refresh_tokens(desk), &Client::BASIC, &endpoints).await;
}

/// This server's scopes, which the vendors of the page do not have, and its word for a refresh token.
fn asks_for_refresh_tokens(file: &str) -> String {
    let line = |line: &str| match line.split_once(" = ") {
        Some((key, _)) if key.trim() == "scopes" => {
            "scopes = [\"openid\", \"offline_access\"]\nauthorization_params = { prompt = \"consent\" }".to_owned()
        }
        _ => line.to_owned(),
    };
    file.lines().map(line).collect::<Vec<_>>().join("\n")
}

async fn at_a_real_server(file: &str, client: &Client, urls: &[(&str, &str)]) {
    let limit = Duration::from_secs(20);
    let wants_pkce = !file.contains("code_challenge_method");
    let server = AuthorizationServer::configured(json!({ "pkce": wants_pkce })).await;
    let there = |file: String, (vendors, here): &(&str, &str)| file.replace(vendors, &server.url(here));
    let file = urls.iter().fold(file.to_owned(), there);
    assert!(!file.contains("https://a") && !file.contains("https://{"), "{file}");
    let keyferry = Keyferry::start(Configuration::new().provider("acme", &file).client("acme", client)).await;
    server.change(json!({ "access_token_ttl": 2 })).await;
    let variables = if file.contains("[variables.subdomain]") { vec![("variables.subdomain", "acme")] } else { vec![] };
    let url = keyferry.authorize("acme", Person::ADA, &variables).await;
    Browser::new().sign_in(&url, "ada").await;
    let first = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
    assert_eq!(first["account"], "ada");
    server.change(json!({ "access_token_ttl": 3600 })).await;
    until("the token is refreshed", limit, || async {
        let me = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
        (me["token_sha256"] != first["token_sha256"]).then_some(())
    })
    .await;
    assert_eq!(server.count("/token_errors/invalid_grant").await, 0);
    let revokes = file.contains("issuer") || file.contains("revocation_endpoint");
    keyferry.disconnect("acme", Person::ADA).await.expect(200);
    if revokes {
        until("the grant is revoked", limit, || async { (server.live("RefreshToken").await == 0).then_some(()) }).await;
    }
}
