//! `GET /metrics`: the counts of the process, as Prometheus' text format 0.0.4 or as OpenMetrics 1.0.0, by what is asked
//! for. Each part of the process holds its own counts, and the page is written from a look at each: there is no registry.
//!
//! Labels are names of the configuration and words of our own enums, so no caller, provider or browser makes the page
//! longer. docs/metrics.md has every metric; a test holds the two together.
//!
//! The writer is our own, because the crates that are kept up write one of the two formats each: `prometheus` the text
//! format, `prometheus-client` OpenMetrics. Both would bring a registry of boxed metrics to look labels up in.

mod accept;
mod calls;
mod edges;
mod exposition;
mod integrations;
mod process;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response};

use self::exposition::{Exposition, Format};
use super::body::Body;
use super::service::Service;

/// The page as an answer, in the format that whoever asks prefers.
pub(super) fn page(service: &Service, asked: &HeaderMap) -> Response<Body> {
    let format = Format::wanted(asked);
    let mut response = Response::new(Body::from(text(service, format)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    response
}

fn text(service: &Service, format: Format) -> String {
    let mut page = Exposition::new(format);
    let (process, broker) = (&service.process, &service.broker);
    process::build(&mut page);
    process::configuration(&mut page, process.reloads.counts());
    calls::ended(&mut page, &process.calls.samples());
    calls::overheads(&mut page, &process.calls.overheads());
    edges::requests(&mut page, &process.requests);
    integrations::refreshes(&mut page, &broker.activities());
    integrations::authorizations(&mut page, &broker.activities());
    integrations::connections(&mut page, broker.counted_connections().as_deref());
    let standings = broker.standings();
    integrations::circuits(&mut page, &standings);
    integrations::rates(&mut page, &standings);
    edges::store(&mut page, broker.store());
    edges::listeners(&mut page, process);
    edges::upstream(&mut page, service.upstream.traffic());
    process::log(&mut page, process.logs());
    process::spans(&mut page, process.spans());
    process::usage(&mut page, process.started_at());
    page.end()
}
