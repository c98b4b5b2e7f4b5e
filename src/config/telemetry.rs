//! The `[telemetry]` table: where spans of calls are exported to. The variables that other programs read for that,
//! `OTEL_…`, are not read: every setting is a key of config.toml or its `KEYFERRY_…`.

use std::net::IpAddr;

use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue};
use serde_json::json;
use url::{Host, Url};

use super::problem::{Fault, quoted, quoted_url};
use super::reader::{Kind, Table};
use super::secrets::Resolved;
use crate::model::Secret;
use crate::telemetry::trace::Settings;

/// What the base URL is followed by, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it.
const PATH: &str = "v1/traces";

pub(super) fn read(table: &mut Table<'_>) -> Option<Settings> {
    let doc =
        "The collector's base URL, such as http://127.0.0.1:4318; /v1/traces is added. Without one nothing is traced.";
    let endpoint = table.parsed_as("otlp_endpoint", Kind::Url, doc, endpoint);
    table.for_example("otlp_endpoint", "http://127.0.0.1:4318");
    let headers = headers(table);
    let sample = table.share_or("sample", "The share of traces that begin here and are recorded.", 1.0);
    let service_name = table.parsed("service_name", "What the sidecar is called there.", service_name);
    let service_name =
        service_name.unwrap_or(table.by_default("service_name", "keyferry".to_owned(), |name| name.as_str().into()));
    if !table.has("otlp_endpoint") {
        for name in ["headers", "sample", "service_name"].into_iter().filter(|name| table.has(name)) {
            table.mistake(name, "has no collector to go to", "write otlp_endpoint, or remove the key");
        }
    }
    let (endpoint, headers) = (endpoint?, headers?);
    if !headers.is_empty() && endpoint.scheme() == "http" && !is_loopback(&endpoint) {
        let fault = "go to the collector in plain http, where others may read them";
        table.warning("headers", fault, "use https, or a collector on this machine");
    }
    Some(Settings { endpoint, headers, sample, service_name })
}

fn endpoint(text: &str) -> Result<Url, Fault> {
    const REMEDY: &str = "write for example `http://127.0.0.1:4318`";
    let mut url = Url::parse(text).map_err(|_| Fault::new(format!("{} is not a URL", quoted_url(text)), REMEDY))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Fault::new(format!("{} is not an http or https URL", quoted_url(text)), REMEDY));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("holds a user name or password", "write them into telemetry.headers, as authorization"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new("is more than a base URL", REMEDY));
    }
    if url.path().trim_end_matches('/').ends_with(PATH) {
        return Err(Fault::new(format!("{} ends in /{PATH}, which is added", quoted_url(text)), "leave it out"));
    }
    let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// Names and secrets; what frames a message or says what is in it is ours. None when a secret is not there: without it the
/// collector would refuse every export, and calls do not need one.
fn headers(table: &mut Table<'_>) -> Option<Vec<(HeaderName, Secret)>> {
    const OURS: [HeaderName; 8] =
        [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING, UPGRADE];
    let doc = "Header fields of every export; each value may be \"env:NAME\" or \"file:PATH\".";
    let written = table.secret_table("headers", doc);
    table.for_example("headers", json!({ "authorization": "env:COLLECTOR_TOKEN" }));
    let report = table.context().report;
    let is_whole = written.iter().all(|(_, _, secret)| matches!(secret, Resolved::Found(_)));
    let one = |(name, place, secret): (String, super::problem::Place, Resolved)| {
        let fault = match (HeaderName::try_from(&name), secret) {
            (Err(_), _) => Fault::new("is not the name of a header field", "write for example `authorization`"),
            (Ok(name), _) if OURS.contains(&name) => Fault::new("is set by Keyferry itself", "remove it"),
            (Ok(_), Resolved::Missing(why)) => {
                let fault = format!("refers to a value that is not there, so that nothing is traced: {why}");
                report.warning(place.problem(Fault::new(fault, "set it or remove the key")));
                return None;
            }
            (Ok(name), Resolved::Found(value)) if HeaderValue::try_from(value.expose()).is_ok() => {
                return Some((name, value));
            }
            (Ok(_), Resolved::Found(_)) => Fault::new("holds what no header field can", "write one line of text"),
        };
        report.mistake(place.problem(fault));
        None
    };
    let headers = written.into_iter().filter_map(one).collect();
    is_whole.then_some(headers)
}

fn service_name(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(Fault::new(format!("{} is not a name", quoted(text)), "write for example `keyferry`"));
    }
    Ok(text.to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).to_canonical().is_loopback(),
        None => false,
    }
}
