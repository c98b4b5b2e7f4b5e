//! What comes in besides calls, the store, and connections on both sides.

use super::exposition::Exposition;
use crate::server::process::{Listener, Process};
use crate::server::requests::Requests;
use crate::store::Store;
use crate::upstream::Traffic;

pub(super) fn requests(page: &mut Exposition, requests: &Requests) {
    let doc = "Requests that are no calls, by endpoint and by what was answered: a class of status, or our error code.";
    let mut samples = page.counter("keyferry_requests", doc);
    // Most pairs never happen.
    for (endpoint, outcome, count) in requests.counted().filter(|(.., count)| *count > 0) {
        samples.sample(&[("endpoint", endpoint), ("outcome", outcome)], count);
    }
}

pub(super) fn store(page: &mut Exposition, store: &Store) {
    let counted = store.counted();
    let doc = "How long the store took for each operation, failed ones among them.";
    let mut spreads = page.histogram("keyferry_store_operation_duration_seconds", doc);
    for one in &counted {
        spreads.sample(&[("operation", one.operation.as_str())], &one.took);
    }
    let doc = "Operations that the store did not answer, or whose record does not open with the store keys.";
    let mut samples = page.counter("keyferry_store_errors", doc);
    for one in &counted {
        samples.sample(&[("operation", one.operation.as_str())], one.failed);
    }
    let doc = "Whether word of other replicas' changes arrives: 1, or 0 while tokens in memory are not relied on.";
    page.gauge("keyferry_store_synced", doc).sample(&[], u8::from(store.is_synced()));
}

pub(super) fn listeners(page: &mut Exposition, process: &Process) {
    let doc = "Connections that are open now, by the listener that accepted them.";
    let mut samples = page.gauge("keyferry_open_connections", doc);
    for listener in Listener::ALL {
        samples.sample(&[("listener", listener.as_str())], process.tally(listener).open.now());
    }
    let doc = "Requests that were answered 400, 414 or 431 because their head cannot be read or is too large.";
    let mut samples = page.counter("keyferry_malformed_requests", doc);
    for listener in Listener::ALL {
        samples.sample(&[("listener", listener.as_str())], process.tally(listener).malformed.get());
    }
}

pub(super) fn upstream(page: &mut Exposition, traffic: Traffic) {
    let doc = "Connections to providers and to the application behind: active ones carry a request or an upgrade.";
    let mut samples = page.gauge("keyferry_upstream_connections", doc);
    samples.sample(&[("state", "active")], traffic.active);
    samples.sample(&[("state", "idle")], traffic.idle);
    let doc = "Connections to providers and to the application behind that were opened.";
    page.counter("keyferry_upstream_connections_opened", doc).sample(&[], traffic.opened);
    let doc = "Requests to providers and to the application behind, by whether a connection was opened for it.";
    let mut samples = page.counter("keyferry_upstream_requests", doc);
    samples.sample(&[("connection", "new")], traffic.on_new);
    samples.sample(&[("connection", "reused")], traffic.on_reused);
}
