//! Traces: what each step of a sampled call took, for an OpenTelemetry collector. Whoever does not trace has no
//! [`Tracer`], and every span is nothing: one branch for each call. Calls never wait for the export; a full queue drops
//! spans and counts them.

pub mod attribute;
mod context;
mod export;
mod span;
mod wire;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use url::Url;

pub use self::context::{Incoming, SpanContext, TraceId};
pub use self::export::{Counts, Exporter, Sent, judged};
pub use self::span::{Kind, Span, Value, method};

use self::context::{BAGGAGE, SpanId, TRACEPARENT, TRACESTATE};
use self::span::{Finished, Time};
use crate::clock::Clock;
use crate::model::Secret;

/// The `[telemetry]` table, when it names a collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where spans are sent: the whole URL, `/v1/traces` included.
    pub endpoint: Url,
    /// Header fields of every export.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The share of traces that begin here and are recorded, from 0 to 1.
    pub sample: f64,
    /// What the sidecar is called there.
    pub service_name: String,
}

/// Makes spans and queues those that are over. Cheap to clone.
#[derive(Clone)]
pub struct Tracer(Arc<Inner>);

struct Inner {
    /// A trace that begins here is recorded when the lower 56 bits of its id, which are random, are below this.
    sampled_below: u64,
    ids: Ids,
    clock: Clock,
    queue: mpsc::Sender<Finished>,
    counts: Arc<Counts>,
    dropping: Arc<export::Dropping>,
}

/// What a request begins.
#[derive(Debug, Default)]
pub struct Begun {
    /// Its span.
    pub span: Span,
    /// Its trace, which may be recorded elsewhere alone.
    pub trace: Option<TraceId>,
}

impl Tracer {
    /// A tracer and what sends its spans. `instance` tells this process from others of the same service name.
    ///
    /// # Errors
    ///
    /// The system gives no entropy.
    pub fn new(
        settings: &Settings,
        instance: &str,
        clock: Clock,
        counts: Arc<Counts>,
    ) -> Result<(Self, Exporter), getrandom::Error> {
        let (queue, spans) = mpsc::channel(export::QUEUE);
        let dropping = Arc::<export::Dropping>::default();
        let exporter = Exporter::new(settings, instance, spans, Arc::clone(&counts), Arc::clone(&dropping));
        let sampled_below = threshold(settings.sample);
        Ok((Self(Arc::new(Inner { sampled_below, ids: Ids::draw()?, clock, queue, counts, dropping })), exporter))
    }

    /// Reads who asked off a request that goes on to somebody else, and begins its span if it is recorded. Whether a
    /// parent records decides; without one, `sample` does. What names no valid parent is taken off, and so is baggage
    /// always: it is written for whoever shares the caller's trust, and providers do not.
    pub fn begin(&self, headers: &mut HeaderMap, name: impl FnOnce() -> Cow<'static, str>) -> Begun {
        headers.remove(BAGGAGE);
        let incoming = Incoming::of(headers);
        let family = match incoming {
            Incoming::Parent(parent) if parent.is_sampled() => (parent.with_span(self.span_id()), Some(parent.span)),
            Incoming::Parent(parent) => return Begun { span: Span::none(), trace: Some(parent.trace) },
            Incoming::Absent | Incoming::Invalid => {
                if incoming == Incoming::Invalid {
                    headers.remove(TRACEPARENT);
                    headers.remove(TRACESTATE);
                }
                let number = self.0.ids.next();
                if number.low & LOW_56 >= self.0.sampled_below {
                    return Begun::default();
                }
                (SpanContext::root(number.trace(), self.span_id()), None)
            }
        };
        let wall = Duration::from_millis(self.0.clock.now().unix_millis().unsigned_abs());
        let span = Span::open(self.clone(), Time::new(wall), family, Kind::Server, name());
        Begun { trace: span.trace_id(), span }
    }

    /// Both tracers are one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn root(&self) -> SpanContext {
        SpanContext::root(self.0.ids.next().trace(), self.span_id())
    }

    fn span_id(&self) -> SpanId {
        self.0.ids.next().span()
    }

    fn finished(&self, span: Finished) {
        let Err(error) = self.0.queue.try_send(span) else { return };
        self.0.counts.lose(1);
        // One that is closed takes nothing because the process is going.
        if matches!(error, TrySendError::Full(_)) {
            self.0.dropping.begin();
        }
    }
}

const LOW_56: u64 = (1 << 56) - 1;

/// A share of all 56-bit numbers.
fn threshold(share: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1 of 2^56")]
    let below = (share.clamp(0.0, 1.0) * 2_f64.powi(56)) as u64;
    below
}

/// Numbers that others do not draw: from random seeds by SplitMix64, since a system call for each span would be paid by
/// calls. They name spans and keep nothing secret.
struct Ids {
    seeds: [u64; 2],
    drawn: AtomicU64,
}

struct Number {
    high: u64,
    low: u64,
}

impl Ids {
    fn draw() -> Result<Self, getrandom::Error> {
        let seeds = [getrandom::u64()?, getrandom::u64()?];
        Ok(Self { seeds, drawn: AtomicU64::new(0) })
    }

    fn next(&self) -> Number {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let [high, low] = self.seeds.map(|seed| mixed(seed.wrapping_add(drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
        Number { high, low }
    }
}

impl Number {
    fn trace(&self) -> TraceId {
        let bytes = (u128::from(self.high) << 64 | u128::from(self.low)).max(1);
        TraceId::new(bytes.to_be_bytes()).expect("not zero")
    }

    fn span(&self) -> SpanId {
        SpanId::new(self.low.max(1).to_be_bytes()).expect("not zero")
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014).
fn mixed(state: u64) -> u64 {
    let state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}

#[cfg(test)]
mod tests;
