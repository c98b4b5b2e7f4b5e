//! `GET /metrics`: counts in the text format of Prometheus, version 0.0.4. The labels are names of the configuration,
//! so no caller makes the page longer.

use std::fmt::Write as _;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use super::body::Body;
use super::call_record::CallSample;
use super::reload::ReloadCounts;
use crate::broker::{Phase, Standing};
use crate::telemetry::metric::Distribution;
use crate::telemetry::trace;

/// The page as an answer.
pub(super) fn page(
    standings: &[Standing],
    reloads: ReloadCounts,
    calls: &[CallSample],
    spans: &trace::Counts,
) -> Response<Body> {
    let mut response = Response::new(Body::from(text(standings, reloads, calls, spans)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text(standings: &[Standing], reloads: ReloadCounts, calls: &[CallSample], spans: &trace::Counts) -> String {
    let mut page = Page(String::new());
    page.family("keyferry_build_info", "gauge", "The version that runs; always 1.");
    page.sample("keyferry_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);

    let doc = "Looks at a configuration that may have changed, and what came of them.";
    page.family("keyferry_config_reloads_total", "counter", doc);
    let counts = [("reloaded", reloads.changed), ("unchanged", reloads.unchanged), ("refused", reloads.refused)];
    for (outcome, count) in counts {
        page.sample("keyferry_config_reloads_total", &[("outcome", outcome)], count);
    }
    let doc = "When the configuration in the files was last read and found good, in seconds since the epoch.";
    page.family("keyferry_config_last_good_timestamp_seconds", "gauge", doc);
    page.sample("keyferry_config_last_good_timestamp_seconds", &[], reloads.good_at);

    page.family("keyferry_spans_exported_total", "counter", "Spans that the collector took.");
    page.sample("keyferry_spans_exported_total", &[], spans.exported());
    let doc = "Spans that found no room in the queue, or that the collector did not take.";
    page.family("keyferry_spans_dropped_total", "counter", doc);
    page.sample("keyferry_spans_dropped_total", &[], spans.dropped());

    let doc = "Whether the provider is asked: 0 closed, it is; 1 half-open, one call is to show; 2 open, it is not.";
    page.family("keyferry_circuit_state", "gauge", doc);
    for one in standings {
        let state = match one.circuit {
            Phase::Closed => 0,
            Phase::HalfOpen => 1,
            Phase::Open(_) => 2,
        };
        page.sample("keyferry_circuit_state", &[("integration", one.integration.as_str())], state);
    }

    let doc = "How often the circuit opened because the provider kept failing.";
    page.family("keyferry_circuit_opened_total", "counter", doc);
    for one in standings {
        page.sample("keyferry_circuit_opened_total", &[("integration", one.integration.as_str())], one.opened);
    }

    let doc = "Requests over the rate budget: calls by what `limits` makes of them, and item loads, which wait.";
    page.family("keyferry_rate_exceeded_total", "counter", doc);
    for one in standings {
        for (mode, count) in [(one.limits.as_str(), one.calls_over), ("load", one.loads_over)] {
            let labels = [("integration", one.integration.as_str()), ("mode", mode)];
            page.sample("keyferry_rate_exceeded_total", &labels, count);
        }
    }

    let doc = "What calls and item loads waited for rate budgets, all together.";
    page.family("keyferry_rate_waited_seconds_total", "counter", doc);
    for one in standings {
        let labels = [("integration", one.integration.as_str())];
        page.sample("keyferry_rate_waited_seconds_total", &labels, one.waited.as_secs_f64());
    }

    page.family("keyferry_rate_limited_answers_total", "counter", "Answers of the provider with status 429.");
    for one in standings {
        page.sample("keyferry_rate_limited_answers_total", &[("integration", one.integration.as_str())], one.limited);
    }
    page.calls(calls);
    page.0
}

fn labels(call: &CallSample) -> [(&str, &str); 3] {
    [("integration", &call.integration), ("method", call.method), ("outcome", call.outcome)]
}

struct Page(String);

impl Page {
    /// What was counted of calls. One that names no integration of the configuration has an empty label.
    fn calls(&mut self, calls: &[CallSample]) {
        let count = |one: &CallSample| one.duration.count;
        self.of_calls("keyferry_calls_total", "Calls through /proxy, by how they ended.", calls, count);
        let doc = "How long calls took, to the end of the answer.";
        self.family("keyferry_call_duration_seconds", "histogram", doc);
        for one in calls {
            self.distribution("keyferry_call_duration_seconds", &labels(one), &one.duration);
        }
        let doc = "Bytes of the bodies of calls' requests.";
        self.of_calls("keyferry_call_request_bytes_total", doc, calls, |one| one.bytes_in);
        let doc = "Bytes of the bodies of calls' answers.";
        self.of_calls("keyferry_call_response_bytes_total", doc, calls, |one| one.bytes_out);
    }

    fn of_calls(&mut self, name: &str, doc: &str, calls: &[CallSample], value: impl Fn(&CallSample) -> u64) {
        self.family(name, "counter", doc);
        for one in calls {
            self.sample(name, &labels(one), value(one));
        }
    }

    /// The samples of one histogram.
    fn distribution(&mut self, name: &str, labels: &[(&str, &str)], one: &Distribution) {
        let bounds = one.at_most.iter().map(|(bound, count)| (bound.as_secs_f64().to_string(), *count));
        for (bound, count) in bounds.chain([("+Inf".to_owned(), one.count)]) {
            let with_bound: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(&format!("{name}_bucket"), &with_bound, count);
        }
        self.sample(&format!("{name}_sum"), labels, one.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), labels, one.count);
    }

    /// The two lines before a metric's samples. The help is ours and holds nothing to escape.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (number, (label, value)) in labels.iter().enumerate() {
            self.0.push_str(if number == 0 { "{" } else { "," });
            self.0.push_str(label);
            self.0.push_str("=\"");
            self.escaped(value);
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn escaped(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples() {
        fn check(labels: &[(&str, &str)], value: f64, expected: &str) {
            let mut page = Page(String::new());
            page.sample("name", labels, value);
            assert_eq!(page.0, expected);
        }
        check(&[], 3.0, "name 3\n");
        check(&[("a", "b")], 0.0, "name{a=\"b\"} 0\n");
        check(&[("a", "b"), ("c", "d-e")], 1.25, "name{a=\"b\",c=\"d-e\"} 1.25\n");
        check(&[("a", "\"\\\n")], 2.0, "name{a=\"\\\"\\\\\\n\"} 2\n");
    }
}
