//! Spans: what one step of a call took, from its making to its dropping. A span that is not recorded is nothing at all,
//! so that whoever makes spans need not ask.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};

use super::context::{SpanContext, SpanId, TRACEPARENT, TraceId};
use super::{Tracer, attribute};

/// What a span stands for among those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A step of our own.
    Internal,
    /// A request that somebody sent us.
    Server,
    /// A request that we sent.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
}

/// A step that is under way. It ends when it is dropped, and is then on its way to the collector.
#[derive(Default)]
pub struct Span(Option<Box<Open>>);

/// A span that is over.
pub(super) struct Finished {
    pub(super) context: SpanContext,
    pub(super) parent: Option<SpanId>,
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    /// Nanoseconds since the epoch, as is the end.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) links: Vec<SpanContext>,
    pub(super) is_error: bool,
}

struct Open {
    tracer: Tracer,
    time: Time,
    began: Instant,
    /// Its end is filled in at the end.
    span: Finished,
}

/// One reading of the wall clock for all spans that follow from one another: a clock that is set meanwhile must not turn
/// their order round.
#[derive(Clone, Copy)]
pub(super) struct Time {
    wall: Duration,
    read: Instant,
}

impl Time {
    pub(super) fn new(wall: Duration) -> Self {
        Self { wall, read: Instant::now() }
    }

    fn at(self, instant: Instant) -> u64 {
        let since_epoch = self.wall + instant.saturating_duration_since(self.read);
        since_epoch.as_nanos().try_into().unwrap_or(u64::MAX)
    }
}

impl Span {
    /// What is not recorded.
    pub fn none() -> Self {
        Self(None)
    }

    pub(super) fn open(
        tracer: Tracer,
        time: Time,
        (context, parent): (SpanContext, Option<SpanId>),
        kind: Kind,
        name: Cow<'static, str>,
    ) -> Self {
        let began = Instant::now();
        let (start, attributes, links) = (time.at(began), Vec::new(), Vec::new());
        let span = Finished { context, parent, name, kind, start, end: start, attributes, links, is_error: false };
        Self(Some(Box::new(Open { tracer, time, began, span })))
    }

    /// Whether it is recorded: what is costly to say need not be said otherwise.
    pub fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// A step inside of this one.
    pub fn child(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Self {
        let Some(open) = &self.0 else { return Self::none() };
        let context = open.span.context.with_span(open.tracer.span_id());
        let family = (context, Some(open.span.context.span));
        Self::open(open.tracer.clone(), open.time, family, kind, name.into())
    }

    /// The beginning of a trace of its own, which this one gave rise to and does not wait for.
    pub fn follower(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Self {
        let Some(open) = &self.0 else { return Self::none() };
        let family = (open.tracer.root(), None);
        let mut follower = Self::open(open.tracer.clone(), open.time, family, kind, name.into());
        follower.link(self.context());
        follower
    }

    /// How others know it.
    pub fn context(&self) -> Option<SpanContext> {
        self.0.as_ref().map(|open| open.span.context)
    }

    /// The id of its trace, for log lines.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.context().map(|context| context.trace)
    }

    /// Says something about it. The last word of a key counts.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        let Some(open) = &mut self.0 else { return };
        let value = value.into();
        match open.span.attributes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => open.span.attributes.push((key, value)),
        }
    }

    /// Whom a client's request asks.
    pub fn asks(&mut self, host: &str, port: u16) {
        if self.is_recorded() {
            self.set(attribute::SERVER_ADDRESS, host.to_owned());
            self.set(attribute::SERVER_PORT, i64::from(port));
        }
    }

    /// Another span that has to do with it.
    pub fn link(&mut self, other: Option<SpanContext>) {
        if let (Some(open), Some(other)) = (&mut self.0, other) {
            open.span.links.push(other);
        }
    }

    /// It did not work, for a reason out of a closed list.
    pub fn fail(&mut self, error_type: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.span.is_error = true;
        }
        self.set(attribute::ERROR_TYPE, error_type);
    }

    /// The status of an answer. A client's request failed from 400 on, a server's from 500 on: a caller's mistake is no
    /// failure of whoever says so.
    pub fn status(&mut self, status: u16) {
        let Some(open) = &self.0 else { return };
        let fails_from = if open.span.kind == Kind::Server { 500 } else { 400 };
        self.set(attribute::STATUS_CODE, i64::from(status));
        if status >= fails_from {
            self.fail(status.to_string());
        }
    }

    /// Makes it the parent of what a request with these fields leads to.
    pub fn put_into(&self, headers: &mut HeaderMap) {
        if let Some(context) = self.context() {
            headers.insert(TRACEPARENT, context.traceparent());
        }
    }
}

/// The method as the conventions name it: one that is not known would make names without number.
pub fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else { return };
        let Open { tracer, time, began, mut span } = *open;
        span.end = time.at(Instant::now()).max(time.at(began));
        tracer.finished(span);
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(open) => write!(f, "Span({} {})", open.span.name, open.span.context),
            None => f.write_str("Span(none)"),
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}
