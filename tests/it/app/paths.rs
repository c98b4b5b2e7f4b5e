//! Whose path it is: no spelling of ours reaches the application, and the application's reach it byte for byte.

use super::Scene;
use crate::support::{Application, Configuration, Keyferry, Raw};

const OURS: [&str; 24] = [
    "/Integrations/acme/oauth2callback",
    "/INTEGRATIONS/acme/oauth2callback",
    "//integrations/acme/oauth2callback",
    "/./integrations/acme/oauth2callback",
    "/a/../integrations/acme/oauth2callback",
    "/a/%2e%2e/integrations/acme/oauth2callback",
    "/a/..%2fintegrations/acme/oauth2callback",
    "/a/%252e%252e/integrations/acme/oauth2callback",
    "/%69ntegrations/acme/oauth2callback",
    "/%2569ntegrations/acme/oauth2callback",
    "/%252569ntegrations/acme/oauth2callback",
    "/integrations%2facme/oauth2callback",
    "/integrations%252Facme%252Foauth2callback",
    "/integrations;a=b/acme/oauth2callback",
    "/integrations%3Ba=b/acme/oauth2callback",
    "/integrations\\acme\\oauth2callback",
    "/integrations%5cacme/oauth2callback",
    "/%5cintegrations/acme/oauth2callback",
    "/integrations%00/acme/oauth2callback",
    "/integrations%20/acme/oauth2callback",
    "/integrations%09/acme/oauth2callback",
    "/integrations/../echo",
    "/proxy/../echo",
    "/Proxy/acme/api/me",
];

const THEIRS: [&str; 13] = [
    "/",
    "/echo/a%2Fb/%E4//c;d=e/../f?g=%2F&h",
    "/echo/..%2f",
    "/echo/%ff",
    "/echo?",
    "/echo?code=a&state=b",
    "/echo/integrations/acme",
    "/echo/proxy",
    "/integrationsx",
    "/integration",
    "/proxies/acme",
    "/.well-known/a",
    "/api/%69ntegrations",
];

#[tokio::test]
async fn no_spelling_of_ours_reaches_the_application() {
    let scene = Scene::start().await;
    for path in OURS {
        let answer = get(&scene.keyferry, &format!("{path}?code=canary&state=canary")).await;
        assert!(answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
    let exact = get(&scene.keyferry, "/integrations/acme/oauth2callback?code=canary&state=canary").await;
    assert!(exact.contains("keyferry-error: state_mismatch"), "{exact}");
    let seen = scene.application.seen().await;
    assert!(seen.is_empty(), "the application saw {seen:?}");
}

#[tokio::test]
async fn the_applications_paths_reach_it_byte_for_byte() {
    let scene = Scene::start().await;
    for path in THEIRS {
        let answer = get(&scene.keyferry, path).await;
        assert!(!answer.contains("keyferry-error"), "{path}: {answer}");
    }
    let seen: Vec<String> = scene.application.seen().await.into_iter().map(|seen| seen.target).collect();
    assert_eq!(seen, THEIRS);
}

#[tokio::test]
async fn under_a_base_path_the_rest_is_the_applications() {
    let application = Application::start().await;
    let configuration =
        Configuration::new().server("base_path = \"/kf\"").in_front_of(application.url(), super::WHOAMI);
    let keyferry = Keyferry::start(configuration).await;
    for path in ["/integrations", "/proxy/acme", "/kfx/integrations", "/kf", "/kf/other"] {
        let answer = get(&keyferry, path).await;
        assert!(answer.contains("has no such page"), "{path}: {answer}");
    }
    application.seen().await;
    for path in ["/KF/integrations", "/kf//integrations", "/kf%2Fintegrations"] {
        let answer = get(&keyferry, path).await;
        assert!(answer.contains("keyferry-error: not_found"), "{path}: {answer}");
    }
    assert!(get(&keyferry, "/kf/integrations").await.contains("keyferry-error: unauthenticated"));
    assert!(application.seen().await.is_empty());
}

async fn get(keyferry: &Keyferry, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", keyferry.address());
    Raw::exchange(keyferry.address(), request).await
}
