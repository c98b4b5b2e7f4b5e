//! What to do about an answer: use it, wait and ask again, get another token, pass over it, or give the stream up.

mod wait;

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use super::problem::{Kind, Trouble};
use crate::mapping::Path;
use crate::model::Timestamp;

pub use wait::WaitSource;

/// What `[api]` says about answers that are no good.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// When to ask again.
    pub retry: Retry,
    /// When another token is needed, besides on 401.
    pub refresh_on: Vec<Condition>,
    /// On a success, this has to be true: errors may come with status 200.
    pub ok_path: Option<Path>,
    /// On a success, this has to select nothing, or nothing that says something.
    pub error_path: Option<Path>,
}

/// When to ask again, after how long, and how often.
#[derive(Clone, Debug)]
pub struct Retry {
    /// On these statuses.
    pub on: Vec<u16>,
    /// On answers that say so otherwise; they are taken as the provider's way to say 429.
    pub when: Vec<Condition>,
    /// How long to wait: the first of these that is there.
    pub wait: Vec<WaitSource>,
    /// How often one request is repeated.
    pub max: u32,
    /// The longest wait. A provider that asks for more ends the stream.
    pub cap: Duration,
}

/// Something that an answer may say. All that is given has to hold.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// The status.
    pub status: Option<u16>,
    /// A header field; with `equals`, its value.
    pub header: Option<HeaderName>,
    /// Something in the JSON body; with `equals`, its first node.
    pub path: Option<Path>,
    /// Texts of which the header or node is one; without any, it only has to be there.
    pub equals: Vec<String>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            on: vec![429, 502, 503, 504],
            when: Vec::new(),
            wait: vec![WaitSource::Header(http::header::RETRY_AFTER)],
            max: 5,
            cap: Duration::from_secs(60),
        }
    }
}

/// What is known of the request that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Whether it may be sent again when it may have been carried out.
    pub(super) repeatable: bool,
    /// How often it was repeated.
    pub(super) attempt: u32,
    /// Whether another token was got for it.
    pub(super) renewed: bool,
    /// Statuses on which it is passed over.
    pub(super) skip_on: &'a [u16],
}

/// What came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    /// The body, where it is JSON and was needed.
    pub(super) body: Option<&'a Value>,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Use,
    Wait(Duration),
    Renew,
    Skip,
    Fail(Trouble),
}

impl Policy {
    /// Every path that reads an answer.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let conditions = self.retry.when.iter().chain(&self.refresh_on).filter_map(|condition| condition.path.as_ref());
        let waits = self.retry.wait.iter().filter_map(|wait| match wait {
            WaitSource::Body(path) => Some(path),
            WaitSource::Header(_) | WaitSource::Reset(_) | WaitSource::Fixed(_) => None,
        });
        conditions.chain(waits).chain(&self.ok_path).chain(&self.error_path)
    }

    /// Whether a body is needed for a verdict on this status.
    pub(super) fn reads_body(&self, status: u16) -> bool {
        let reads = |conditions: &[Condition]| conditions.iter().any(|condition| condition.path.is_some());
        let waits = self.retry.wait.iter().any(|wait| matches!(wait, WaitSource::Body(_)));
        is_success(status) || waits || reads(&self.retry.when) || reads(&self.refresh_on)
    }

    /// Judges an answer. `jitter` lies between 0 and 1.
    pub(super) fn judge(&self, asked: Asked<'_>, came: Came<'_>, now: Timestamp, jitter: f64) -> Verdict {
        let Came { status, .. } = came;
        if status == 401 || self.refresh_on.iter().any(|condition| condition.holds(came)) {
            let twice = Trouble { status: Some(status), ..Kind::Unauthorized.into() };
            return if asked.renewed { Verdict::Fail(twice) } else { Verdict::Renew };
        }
        let says_wait = self.says_too_many(came);
        let kind = if says_wait { Kind::RateLimited } else { Kind::Refused };
        let mut retry_after = None;
        if says_wait || self.retry.on.contains(&status) {
            // What was refused was not carried out; what broke off may have been.
            let harmless = says_wait || status < 500 || asked.repeatable;
            let told = self.retry.wait.iter().find_map(|wait| wait.read(came, now));
            match told {
                Some(wait) if wait > self.retry.cap => retry_after = Some(wait),
                _ if harmless && asked.attempt < self.retry.max => {
                    return Verdict::Wait(told.unwrap_or_else(|| self.retry.backoff(asked.attempt, jitter)));
                }
                _ => retry_after = told.filter(|_| says_wait),
            }
        }
        if asked.skip_on.contains(&status) && !says_wait {
            return Verdict::Skip;
        }
        if says_wait || !is_success(status) || self.is_error(came.body) {
            return Verdict::Fail(Trouble { kind, status: Some(status), retry_after });
        }
        Verdict::Use
    }

    /// Whether it says, in whatever way, that there were too many requests.
    pub(super) fn says_too_many(&self, came: Came<'_>) -> bool {
        came.status == 429 || self.retry.when.iter().any(|condition| condition.holds(came))
    }

    /// Judges that nothing came.
    pub(super) fn judge_silence(&self, asked: Asked<'_>, kind: Kind, jitter: f64) -> Verdict {
        if asked.repeatable && asked.attempt < self.retry.max {
            return Verdict::Wait(self.retry.backoff(asked.attempt, jitter));
        }
        Verdict::Fail(kind.into())
    }

    /// Whether a success says in its body that it is none.
    fn is_error(&self, body: Option<&Value>) -> bool {
        let Some(body) = body else { return false };
        let not_ok = self.ok_path.as_ref().is_some_and(|path| path.first(body) != Some(&Value::Bool(true)));
        not_ok || self.error_path.as_ref().and_then(|path| path.first(body)).is_some_and(|error| !is_empty(error))
    }
}

impl Retry {
    /// Exponential, with full jitter: between nothing and 1 s, 2 s, 4 s …, at most the cap.
    fn backoff(&self, attempt: u32, jitter: f64) -> Duration {
        let longest = Duration::from_secs(1 << attempt.min(20)).min(self.cap);
        longest.mul_f64(if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 1.0) })
    }
}

impl Condition {
    fn holds(&self, came: Came<'_>) -> bool {
        let equals = |text: &str| self.equals.is_empty() || self.equals.iter().any(|wanted| wanted == text);
        let field = |name: &HeaderName| came.headers.get(name).and_then(|value| value.to_str().ok());
        self.status.is_none_or(|status| status == came.status)
            && self.header.as_ref().is_none_or(|name| field(name).is_some_and(|text| equals(text.trim())))
            && self.path.as_ref().is_none_or(|path| match came.body {
                Some(body) if self.equals.is_empty() => path.first(body).is_some(),
                Some(body) => path.text(body).is_some_and(|text| equals(&text)),
                None => false,
            })
    }
}

/// Whether it is how a provider writes that there is no error.
fn is_empty(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

#[cfg(test)]
mod tests;
