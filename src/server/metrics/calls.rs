//! Calls, as their records tell them. One that names no integration of the configuration has an empty label.

use super::exposition::{Exposition, Samples};
use crate::server::call_record::CallSample;
use crate::telemetry::metric::Distribution;

pub(super) fn ended(page: &mut Exposition, calls: &[CallSample]) {
    let doc = "Calls through /proxy, by how they ended: the class of the provider's status, or our error code.";
    each(page.counter("keyferry_calls", doc), calls, |one| one.duration.count);
    let doc = "How long calls took, to the end of the answer.";
    let mut spreads = page.histogram("keyferry_call_duration_seconds", doc);
    for one in calls {
        spreads.sample(&labels(one), &one.duration);
    }
    let doc = "Bytes of the bodies of calls' requests.";
    each(page.counter("keyferry_call_request_bytes", doc), calls, |one| one.bytes_in);
    let doc = "Bytes of the bodies of calls' answers.";
    each(page.counter("keyferry_call_response_bytes", doc), calls, |one| one.bytes_out);
}

pub(super) fn overheads(page: &mut Exposition, overheads: &[(String, Distribution)]) {
    let doc = "How long calls took from their head until they were handed to the provider.";
    let mut spreads = page.histogram("keyferry_call_overhead_seconds", doc);
    for (integration, one) in overheads {
        spreads.sample(&[("integration", integration)], one);
    }
}

fn each(mut samples: Samples<'_>, calls: &[CallSample], value: impl Fn(&CallSample) -> u64) {
    for one in calls {
        samples.sample(&labels(one), value(one));
    }
}

fn labels(call: &CallSample) -> [(&str, &str); 3] {
    [("integration", &call.integration), ("method", call.method), ("outcome", call.outcome)]
}
