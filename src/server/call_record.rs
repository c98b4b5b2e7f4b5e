//! What is known of one call, from its head to the last byte of its answer: who made it, at which integration, how it
//! ended, how long it took and what went by. Begun with the call and told exactly once, wherever the call ends: with the
//! answer's last byte, with a refusal, with a tunnel, or with a caller who goes away.

mod counts;
mod outcome;
mod spans;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Response, StatusCode};
use http_body::Body as _;

use self::counts::Ended;
pub(crate) use self::counts::{CallCounts, CallSample};
pub(crate) use self::outcome::{CallMethod, Outcome};
use self::spans::Spans;
use super::body::Body;
use super::caller::PersonName;
use super::process::Process;
use super::respond::KEYFERRY_ERROR;
use crate::broker::{Integration, Live};
use crate::model::{CallerName, Person};
use crate::telemetry::calls;
use crate::upstream::Progress;

/// The record of one call; by default of nothing that is recorded. It is told once, when the last of it is gone, so that
/// it is told whatever becomes of the call.
#[derive(Default)]
pub struct CallRecord(Option<Box<Known>>);

/// Everything in it is shared or small: a call allocates this and nothing else for its record.
struct Known {
    process: Arc<Process>,
    /// Of the request; the second half of its id.
    number: u64,
    started: Instant,
    method: CallMethod,
    /// `None` until one of the configuration is found by the name in the path.
    integration: Option<Arc<Integration>>,
    /// The name of the API key, or of the key that made the session; `None` in the open mode and for a login.
    caller: Option<CallerName>,
    /// Whom the call is for, where no connection was found.
    person: Option<Person>,
    connection: Option<Arc<Live>>,
    /// When it was handed to the provider, as time since the start.
    asked: Option<Duration>,
    /// When the head of the provider's answer was there, or it was clear that none would come.
    heard: Option<Duration>,
    /// Where it goes, without the query; `None` unless the operator wants it in the log.
    path: Option<Box<str>>,
    status: Option<StatusCode>,
    /// How it ends unless something else happens: with the caller going away.
    outcome: Outcome,
    /// What of the request's body has gone by.
    progress: Option<Arc<Progress>>,
    /// What has come from the caller through a tunnel.
    tunnelled_in: u64,
    /// What has gone to the caller, as the answer's body or through a tunnel.
    bytes_out: u64,
    /// How many bytes the answer's body said that it would have.
    announced: Option<u64>,
    spans: Spans,
}

impl CallRecord {
    /// Begins with a call's head.
    pub(super) fn begin(process: &Arc<Process>, number: u64, method: &Method) -> Self {
        Self(Some(Box::new(Known {
            process: Arc::clone(process),
            number,
            started: Instant::now(),
            method: CallMethod::from(method),
            integration: None,
            caller: None,
            person: None,
            connection: None,
            asked: None,
            heard: None,
            path: None,
            status: None,
            outcome: Outcome::CANCELLED,
            progress: None,
            tunnelled_in: 0,
            bytes_out: 0,
            announced: None,
            spans: Spans::default(),
        })))
    }

    /// The integration that the path names, if there is one of that name. A provider file that is shipped, and that nobody
    /// configured, is none: whoever calls all of them would make a series of each.
    pub(super) fn names(&mut self, integration: Option<&Arc<Integration>>) {
        self.note(|known| known.integration = integration.filter(|named| named.is_configured()).cloned());
    }

    /// The path that goes to the provider. Kept only where the log is to have it: some hold a secret.
    pub(super) fn goes_to(&mut self, path: &str) {
        self.note(|known| known.path = known.process.logged_calls.load().paths.then(|| path.into()));
    }

    /// Who makes it.
    pub(super) fn comes_from(&mut self, caller: Option<&CallerName>) {
        self.note(|known| known.caller = caller.cloned());
    }

    /// Whom it is for, while no connection is known.
    pub(super) fn concerns(&mut self, person: Person) {
        self.note(|known| known.person = Some(person));
    }

    /// The same by a name that a request brought; nobody where it is not the name of a person.
    pub(super) fn concerns_named(&mut self, person: PersonName<'_>) {
        self.note(|known| known.person = person.parse().ok());
    }

    /// The connection that it uses.
    pub(super) fn uses(&mut self, connection: &Arc<Live>) {
        self.note(|known| known.connection = Some(Arc::clone(connection)));
    }

    /// What comes of the request's body.
    pub(super) fn brings(&mut self, body: Option<&Arc<Progress>>) {
        self.note(|known| known.progress = body.cloned());
    }

    /// From here on it is up to the provider.
    pub(super) fn asks(&mut self) {
        self.note(|known| known.asked = Some(known.started.elapsed()));
    }

    /// The head of the provider's answer, whose body says of itself how many bytes it has, or does not.
    pub(super) fn answered(&mut self, status: StatusCode, announced: Option<u64>) {
        self.note(|known| {
            known.status = Some(status);
            known.announced = announced;
            known.heard = Some(known.started.elapsed());
        });
    }

    /// So many bytes of the answer's body have gone by.
    pub(super) fn passes(&mut self, bytes: usize) {
        self.note(|known| known.bytes_out += bytes as u64);
    }

    /// So many bytes went through the tunnel, from the caller and to it.
    pub(super) fn tunnelled(&mut self, bytes_in: u64, bytes_out: u64) {
        self.note(|known| (known.tunnelled_in, known.bytes_out) = (bytes_in, bytes_out));
    }

    /// The provider's answer is over, and whole.
    pub(super) fn ends(&mut self) {
        self.note(|known| known.outcome = known.status.map_or(Outcome::CANCELLED, Outcome::of_status));
        self.0 = None;
    }

    /// The provider's answer broke off.
    pub(super) fn breaks(&mut self) {
        self.note(|known| known.outcome = Outcome::BROKEN);
        self.0 = None;
    }

    /// Nobody takes any more of the answer's body, which may be because all of it was taken.
    pub(super) fn abandons(&mut self) {
        if self.0.as_ref().is_some_and(|known| known.announced == Some(known.bytes_out)) {
            self.ends();
        }
        self.0 = None;
    }

    /// It was answered by us and not by the provider.
    pub(super) fn refuses(&mut self, answer: &Response<Body>) {
        self.note(|known| {
            let code = answer.headers().get(KEYFERRY_ERROR).and_then(|code| code.to_str().ok());
            known.outcome = Outcome::of_code(code.unwrap_or_default());
            known.status = Some(answer.status());
            // An answer to HEAD tells of a body that does not come (RFC 9110 section 9.3.2).
            let body = answer.body().size_hint().exact().filter(|_| known.method != CallMethod::HEAD);
            known.bytes_out = body.unwrap_or_default();
            known.heard = known.asked.map(|_| known.started.elapsed());
        });
        self.0 = None;
    }

    fn note(&mut self, change: impl FnOnce(&mut Known)) {
        if let Some(known) = &mut self.0 {
            change(known);
        }
    }
}

impl Drop for Known {
    /// The whole of what is known, told to whoever counts and whoever listens.
    fn drop(&mut self) {
        if self.outcome == Outcome::CANCELLED && self.process.is_over() {
            self.outcome = Outcome::SHUTTING_DOWN;
        }
        let ended = Ended {
            method: self.method,
            outcome: self.outcome,
            duration: self.started.elapsed(),
            overhead: self.asked,
            bytes_in: self.progress.as_ref().map_or(0, |body| body.bytes()) + self.tunnelled_in,
            bytes_out: self.bytes_out,
        };
        self.process.calls.count(self.integration.as_ref().map(|integration| &integration.name), &ended);
        if self.process.logged_calls.load().take(self.number, self.outcome.is_good()) {
            self.log(&ended);
        }
        self.end_spans();
    }
}

impl Known {
    /// The call's line. Louder where it is us who failed, or nobody can tell from the status that something did.
    fn log(&self, ended: &Ended) {
        let connected = self.connection.as_ref().map(|live| &live.connection.key.person);
        let person = self.person.as_ref().or(connected).filter(|person| !person.is_nobody());
        let ours = self.outcome.is_ours() && self.status.is_some_and(|status| status.is_server_error());
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: calls::TARGET,
                    {
                    request.id = %self.process.request_id(self.number),
                    integration = self.integration.as_ref().map(|integration| integration.name.as_str()),
                    method = self.method.as_str(),
                    path = self.path.as_deref(),
                    outcome = self.outcome.as_str(),
                    status = self.status.map(|status| status.as_u16()),
                    duration_ms = millis(ended.duration),
                    upstream_ms = self.heard.zip(self.asked).map(|(heard, asked)| millis(heard - asked)),
                    bytes_in = ended.bytes_in,
                    bytes_out = ended.bytes_out,
                    org = person.map(|person| person.org.as_str()),
                    user = person.map(|person| person.user.as_str()),
                    caller = self.caller.as_ref().map(CallerName::as_str),
                    connection.id = self.connection.as_ref().map(|live| live.connection.id.as_str()),
                    trace_id = self.trace_id().map(tracing::field::display),
                    },
                    "call"
                )
            };
        }
        if ours || matches!(self.outcome, Outcome::BROKEN | Outcome::SHUTTING_DOWN) { line!(warn) } else { line!(info) }
    }
}

/// Milliseconds, down to the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
