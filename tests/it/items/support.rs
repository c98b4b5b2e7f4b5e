//! Drives a walk by hand: every request is answered by a function, and everything that happened is written down.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use keyferry::items::{Answer, Options, Outage, PageRequest, Plan, Position, Problem, Step, Walk};
use keyferry::model::{Item, Timestamp};
use serde_json::{Value, json};

use crate::config::Folder;

/// 2023-11-14T22:13:20Z.
pub(super) const NOW: i64 = 1_700_000_000_000;

/// What a provider does with a request.
pub(super) enum Reply {
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    Outage(Outage),
}

impl Reply {
    /// Status 200 with this JSON.
    pub(super) fn json(body: Value) -> Self {
        Self::status(200, body)
    }

    pub(super) fn status(status: u16, body: Value) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    /// A sample file.
    pub(super) fn sample(name: &str) -> Self {
        Self::Answer { status: 200, headers: Vec::new(), body: sample(name) }
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }

    pub(super) fn with_status(mut self, code: u16) -> Self {
        if let Self::Answer { status, .. } = &mut self {
            *status = code;
        }
        self
    }
}

fn sample(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/items/samples/{name}.json"));
    std::fs::read(path).expect("a sample")
}

/// Everything that happened.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) items: Vec<Item>,
    /// Method, path and query, and the body where there is one.
    pub(super) requests: Vec<String>,
    /// The budget of each request.
    pub(super) budgets: Vec<String>,
    pub(super) waits: Vec<Duration>,
    pub(super) renewals: usize,
    pub(super) problems: Vec<Problem>,
    /// The place after each item.
    pub(super) positions: Vec<Option<Position>>,
    /// The place at the end.
    pub(super) last: Option<Position>,
}

impl Run {
    pub(super) fn ids(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.id.as_str()).collect()
    }

    /// Code, count and stream of each problem.
    pub(super) fn codes(&self) -> Vec<String> {
        let count = |problem: &Problem| problem.count.map(|count| format!(" ×{count}")).unwrap_or_default();
        self.problems.iter().map(|problem| format!("{} {}{}", problem.stream, problem.code, count(problem))).collect()
    }
}

/// Walks to the end; jitter is always a half, and every token can be renewed.
pub(super) fn run(plan: &Arc<Plan>, options: Options, mut provider: impl FnMut(&PageRequest) -> Reply) -> Run {
    run_some(plan, options, usize::MAX, &mut provider)
}

/// The same, for so many items.
pub(super) fn run_some(
    plan: &Arc<Plan>,
    options: Options,
    most: usize,
    provider: &mut dyn FnMut(&PageRequest) -> Reply,
) -> Run {
    let mut walk = Walk::new(Arc::clone(plan), options);
    let mut run = Run::default();
    while run.items.len() < most {
        match walk.step() {
            Step::Send(request) => {
                let body = request.body.as_ref().map(|body| format!(" {}", String::from_utf8_lossy(body)));
                let line = format!("{} {}{}", request.method, request.path_and_query, body.unwrap_or_default());
                assert!(run.requests.len() < 10_000, "no end: {line}");
                run.requests.push(line);
                run.budgets.push(request.budget.clone());
                match provider(&request) {
                    Reply::Answer { status, headers, body } => {
                        let field = |(name, value): &(&'static str, String)| {
                            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
                        };
                        let headers: HeaderMap = headers.iter().map(field).collect();
                        let answer = Answer { status, headers: &headers, body: &body };
                        walk.answer(answer, Timestamp::from_unix_millis(NOW), 0.5);
                    }
                    Reply::Outage(outage) => walk.no_answer(outage, 0.5),
                }
            }
            Step::Wait(wait) => run.waits.push(wait),
            Step::Renew => {
                run.renewals += 1;
                walk.renewed(true);
            }
            Step::Emit(item) => {
                run.items.push(item);
                run.positions.push(walk.position());
            }
            Step::Done => break,
        }
    }
    run.problems = walk.problems().to_vec();
    run.last = walk.position();
    run
}

/// The plan of a shipped provider file.
pub(super) fn shipped(id: &str) -> (Arc<Plan>, Options) {
    let config = Folder::empty().config();
    let found = config.integrations.iter().find(|integration| integration.name.as_str() == id);
    let provider = &found.expect("a shipped provider").provider;
    let base_url = provider.api.base_url.constant().expect("no names").to_owned();
    (Arc::clone(&provider.items), Options { base_url, ..Options::default() })
}

/// The plan of a file with these keys of `[api]` and tables behind them.
pub(super) fn plan(tables: &str) -> (Arc<Plan>, Options) {
    let config = Folder::empty().file("providers/acme.toml", &crate::config::provider("", tables)).config();
    let found = config.integrations.iter().find(|integration| integration.name.as_str() == "acme");
    let base_url = "https://api.acme.example".to_owned();
    (Arc::clone(&found.expect("acme").provider.items), Options { base_url, ..Options::default() })
}

/// A list of records with these ids.
pub(super) fn rows(ids: impl IntoIterator<Item = u64>) -> Value {
    ids.into_iter().map(|id| json!({ "id": id })).collect()
}
