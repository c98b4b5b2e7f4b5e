//! The documents say what the code does: every endpoint with its methods, every error with its status, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::server::admin::AdminEndpoint;
use crate::server::endpoint::Endpoint;

/// The path of each endpoint as the document writes it; `None` for what is not of `/integrations`. Without a wildcard,
/// so that a new endpoint does not compile before it has its place here, and [`PATHS`] is all of them.
macro_rules! paths {
    ($($endpoint:pat => $path:literal,)*) => {
        const PATHS: &[&str] = &[$($path),*];

        fn path(endpoint: &Endpoint<'_>) -> Option<&'static str> {
            match endpoint {
                $($endpoint => Some($path),)*
                // The files of the connect page are no part of the interface.
                Endpoint::Call(_) | Endpoint::Unknown => None,
            }
        }
    };
}

paths! {
    Endpoint::Integrations => "/integrations",
    Endpoint::OpenApi => "/integrations/openapi.json",
    // The one of the page's files that is for others.
    Endpoint::Asset(_) => "/integrations/connect.js",
    Endpoint::Sessions => "/integrations/sessions",
    Endpoint::Authorize(_) => "/integrations/{integration}/authorize",
    Endpoint::Callback(_) => "/integrations/{integration}/oauth2callback",
    Endpoint::Confirm(_) => "/integrations/{integration}/confirm",
    Endpoint::Credentials(_) => "/integrations/{integration}/credentials",
    Endpoint::Connection(_) => "/integrations/{integration}/connection",
    Endpoint::Load(_) => "/integrations/{integration}/load",
    Endpoint::Items(_) => "/integrations/{integration}/items",
}

#[test]
fn every_endpoint_is_described_with_its_methods_and_nothing_else_is() {
    let document = parsed(INTEGRATIONS);
    let described: BTreeSet<&str> = entries(&document["paths"]).map(|(path, _)| path).collect();
    assert_eq!(described, PATHS.iter().copied().collect());
    for (described, item) in entries(&document["paths"]) {
        let endpoint = Endpoint::parse(described, "").expect("no proxy path");
        assert_eq!(path(&endpoint), Some(described));
        let methods = endpoint.methods().expect("an endpoint of /integrations names its methods");
        // Whoever takes GET takes HEAD.
        let taken: BTreeSet<String> =
            methods.split(", ").filter(|method| *method != "HEAD").map(str::to_ascii_lowercase).collect();
        assert_eq!(operations(item), taken, "{described}");
    }
}

/// The same of the admin listener.
macro_rules! admin_paths {
    ($($endpoint:pat => $path:literal,)*) => {
        const ADMIN_PATHS: &[&str] = &[$($path),*];

        fn admin_path(endpoint: &AdminEndpoint<'_>) -> &'static str {
            match endpoint {
                $($endpoint => $path,)*
            }
        }
    };
}

admin_paths! {
    AdminEndpoint::Health => "/healthz",
    AdminEndpoint::Readiness => "/readyz",
    AdminEndpoint::Metrics => "/metrics",
    AdminEndpoint::OpenApi => "/openapi.json",
    AdminEndpoint::Reload => "/reload",
    AdminEndpoint::Connections => "/connections",
    AdminEndpoint::Connection(_) => "/connections/{id}",
    AdminEndpoint::People => "/people",
    AdminEndpoint::Rekey => "/store/rekey",
}

#[test]
fn every_admin_endpoint_is_described_with_its_methods_and_who_may_ask() {
    let document = parsed(ADMIN);
    let described: BTreeSet<&str> = entries(&document["paths"]).map(|(path, _)| path).collect();
    assert_eq!(described, ADMIN_PATHS.iter().copied().collect());
    for (described, item) in entries(&document["paths"]) {
        let endpoint = AdminEndpoint::parse(described).expect("an endpoint");
        assert_eq!(admin_path(&endpoint), described);
        let taken = endpoint.methods().split(", ").filter(|method| *method != "HEAD").map(str::to_ascii_lowercase);
        assert_eq!(operations(item), taken.collect(), "{described}");
        for method in operations(item) {
            let asks_for_the_key = item[&method]["security"][0]["adminKey"].is_array();
            assert_eq!(asks_for_the_key, endpoint.is_for_the_operator(), "{method} {described}");
            for status in ["401", "403"] {
                assert_eq!(item[&method]["responses"][status].is_object(), asks_for_the_key, "{method} {described}");
            }
        }
    }
}

/// Security requirement C7: nothing that the admin listener answers has a place for a token.
#[test]
fn no_admin_answer_has_a_field_for_a_token() {
    fn names(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                if name == "properties" {
                    found.extend(value.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
                }
                names(value, found);
            }),
            Value::Array(list) => list.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    names(&parsed(ADMIN)["components"], &mut found);
    assert!(found.iter().any(|name| name == "connection"), "{found:?}");
    let secret =
        |name: &&String| ["token", "secret", "key", "grant", "verifier"].iter().any(|part| name.contains(part));
    // `key` of a notice is a path in config.toml.
    let secrets: Vec<_> = found.iter().filter(secret).filter(|name| *name != "key").collect();
    assert!(secrets.is_empty(), "{secrets:?}");
}

#[test]
fn every_error_is_described_at_its_status_and_no_other_is() {
    // Read from the one place that decides them, as its words are read by people: a status, then the code.
    let pattern = regex_lite::Regex::new(r#"StatusCode::([A-Z_]+),\s*"([a-z_]+)""#).expect("a pattern");
    let source = concat!(include_str!("respond.rs"), include_str!("respond/problems.rs"));
    let decided: BTreeSet<(String, String)> =
        pattern.captures_iter(source).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    assert!(decided.len() > 20, "{decided:?}");

    let mut described = errors(&parsed(INTEGRATIONS));
    let admin = errors(&parsed(ADMIN));
    assert!(admin.is_subset(&decided), "{:?}", admin.difference(&decided));
    // Calls through /proxy alone can go round.
    described.insert(("LOOP_DETECTED".to_owned(), "loop_detected".to_owned()));
    // What the admin listener alone does has errors of its own.
    described.extend(admin);
    assert_eq!(described, decided);
}

#[test]
fn an_operation_files_each_error_under_its_own_status() {
    files_each_error_under_its_own_status(&parsed(INTEGRATIONS));
    files_each_error_under_its_own_status(&parsed(ADMIN));
}

fn files_each_error_under_its_own_status(document: &Value) {
    let mut used = BTreeMap::new();
    for (path, item) in entries(&document["paths"]) {
        for method in operations(item) {
            for (status, response) in entries(&item[&method]["responses"]) {
                let name = response["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/responses/"));
                let Some(name) = name else { continue };
                let schema =
                    &document["components"]["responses"][name]["content"]["application/problem+json"]["schema"];
                assert_eq!(schema["properties"]["status"]["const"].to_string(), status, "{method} {path}");
                *used.entry(name.to_owned()).or_insert(0) += 1;
            }
        }
    }
    let all: BTreeSet<&str> = entries(&document["components"]["responses"]).map(|(name, _)| name).collect();
    let unused: Vec<_> = all.iter().filter(|name| !used.contains_key(**name)).collect();
    assert!(unused.is_empty(), "no operation answers {unused:?}");
}

#[test]
fn the_document_is_told_where_it_is() {
    let there = |base: &str| serde_json::from_str::<Value>(&filled(INTEGRATIONS, base)).expect("JSON");
    assert_eq!(there("/kf")["servers"][0]["url"], "/kf");
    assert_eq!(there("/")["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(serde_json::from_str::<Value>(&filled(ADMIN, "/")).expect("JSON")["servers"][0]["url"], "/");
}

fn parsed(document: &str) -> Value {
    serde_json::from_str(document).expect("JSON")
}

/// Every status and code that the responses of a document name.
fn errors(document: &Value) -> BTreeSet<(String, String)> {
    let mut described = BTreeSet::new();
    for (name, response) in entries(&document["components"]["responses"]) {
        let schema = &response["content"]["application/problem+json"]["schema"]["properties"];
        let status =
            schema["status"]["const"].as_u64().and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
        let status = status.unwrap_or_else(|| panic!("{name} names no status"));
        for code in schema["code"]["enum"].as_array().unwrap_or_else(|| panic!("{name} names no codes")) {
            described.insert((constant(status), code.as_str().expect("a code is text").to_owned()));
        }
    }
    described
}

fn entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().expect("an object").iter().map(|(name, value)| (name.as_str(), value))
}

fn operations(item: &Value) -> BTreeSet<String> {
    entries(item).map(|(name, _)| name).filter(|name| *name != "parameters").map(str::to_owned).collect()
}

/// The name of a status' constant, from its reason phrase; where the two differ, both are written here.
fn constant(status: StatusCode) -> String {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "PAYLOAD_TOO_LARGE".to_owned(),
        _ => status.canonical_reason().unwrap_or_default().replace([' ', '-'], "_").to_ascii_uppercase(),
    }
}
