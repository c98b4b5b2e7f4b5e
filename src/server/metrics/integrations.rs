//! What the broker counts of each integration.

use super::exposition::Exposition;
use crate::broker::{Activity, Counted, LimitMode, Phase, Standing};

pub(super) fn refreshes(page: &mut Exposition, activities: &[Activity]) {
    let doc = "Refreshes: refreshed, kept (somebody else had it), refused (for good), failed (kept, and tried again).";
    let mut samples = page.counter("keyferry_refreshes", doc);
    for (one, (outcome, took)) in each(activities, |one| &one.refreshes) {
        samples.sample(&[("integration", one), ("outcome", outcome.as_str())], took.count);
    }
    let doc = "How long they took, the wait for a replica that was at it included.";
    let mut spreads = page.histogram("keyferry_refresh_duration_seconds", doc);
    for (one, (outcome, took)) in each(activities, |one| &one.refreshes) {
        spreads.sample(&[("integration", one), ("outcome", outcome.as_str())], took);
    }
}

pub(super) fn authorizations(page: &mut Exposition, activities: &[Activity]) {
    let doc = "Authorizations by what became of them, begun among it.";
    let mut samples = page.counter("keyferry_authorizations", doc);
    for (one, (outcome, count)) in each(activities, |one| &one.authorizations) {
        samples.sample(&[("integration", one), ("outcome", outcome.as_str())], count);
    }
}

fn each<'a, T: 'a>(
    activities: &'a [Activity],
    part: fn(&'a Activity) -> &'a Vec<T>,
) -> impl Iterator<Item = (&'a str, &'a T)> {
    activities.iter().flat_map(move |one| part(one).iter().map(|value| (one.integration.as_str(), value)))
}

pub(super) fn connections(page: &mut Exposition, counted: Option<&Counted>) {
    let doc = "Connections in the store when they were last counted. Every replica counts all of them: never add up.";
    let mut samples = page.gauge("keyferry_connections", doc);
    for (integration, status, count) in counted.iter().flat_map(|counted| &counted.connections) {
        samples.sample(&[("integration", integration.as_str()), ("status", status.as_str())], count);
    }
    let doc = "When they were counted, in seconds since the epoch.";
    let mut samples = page.gauge("keyferry_connections_counted_timestamp_seconds", doc);
    if let Some(counted) = counted {
        samples.sample(&[], counted.at.unix_millis() / 1000);
    }
}

pub(super) fn circuits(page: &mut Exposition, standings: &[Standing]) {
    let doc = "Whether the provider is asked: 0 closed, it is; 1 half-open, one call is to show; 2 open, it is not.";
    let mut samples = page.gauge("keyferry_circuit_state", doc);
    for one in standings {
        let state = match one.circuit {
            Phase::Closed => 0,
            Phase::HalfOpen => 1,
            Phase::Open(_) => 2,
        };
        samples.sample(&[("integration", one.integration.as_str())], state);
    }
    let doc = "How often the circuit opened because the provider kept failing.";
    let mut samples = page.counter("keyferry_circuit_opened", doc);
    for one in standings {
        samples.sample(&[("integration", one.integration.as_str())], one.opened);
    }
}

pub(super) fn rates(page: &mut Exposition, standings: &[Standing]) {
    let doc = "Requests over the rate budget: calls by what `limits` makes of them, and item loads, which wait.";
    let mut samples = page.counter("keyferry_rate_exceeded", doc);
    for one in standings {
        // What an earlier configuration counted stays: the mode may have changed since.
        let calls =
            LimitMode::ALL.into_iter().zip(one.calls_over).filter(|(mode, count)| *mode == one.limits || *count > 0);
        for (mode, count) in calls.map(|(mode, count)| (mode.as_str(), count)).chain([("load", one.loads_over)]) {
            samples.sample(&[("integration", one.integration.as_str()), ("mode", mode)], count);
        }
    }
    let doc = "What calls and item loads waited for rate budgets, all together.";
    let mut samples = page.counter("keyferry_rate_waited_seconds", doc);
    for one in standings {
        samples.sample(&[("integration", one.integration.as_str())], one.waited.as_secs_f64());
    }
    let mut samples = page.counter("keyferry_rate_limited_answers", "Answers of the provider with status 429.");
    for one in standings {
        samples.sample(&[("integration", one.integration.as_str())], one.limited);
    }
}
