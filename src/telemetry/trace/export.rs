//! The way of spans to the collector: in batches, by a task of its own, so that no call ever waits for it. A collector
//! that is away is tried again and said once; what has no room meanwhile is dropped and counted.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::span::Finished;
use super::{Settings, wire};

/// Spans that may wait; at some hundred bytes each a few megabytes.
pub(super) const QUEUE: usize = 8192;

/// So many spans go at once, without waiting for more of them.
pub(super) const BATCH: usize = 512;

/// Most spans of one request, when that many wait: there is one request at a time, so that its size bounds what a
/// collector at some distance can be told of.
pub(super) const LARGEST_BATCH: usize = 4 * BATCH;

/// How long a span waits for others to go with it.
const GATHER: Duration = Duration::from_secs(1);

/// The pause after a first failure, which doubles.
const PAUSE: Duration = Duration::from_secs(1);

/// A collector may slow us, not stop us for long.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a batch is tried.
const TRIES: u32 = 5;

/// What became of spans, since the start of the process.
#[derive(Debug, Default)]
pub struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// Whether the queue of a tracer has no room, and so drops spans: said once when it begins and once when it is over.
#[derive(Debug, Default)]
pub(super) struct Dropping(AtomicBool);

impl Dropping {
    pub(super) fn begin(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!("more spans end than the collector takes; those without room are dropped");
        }
    }

    fn end(&self, counts: &Counts) {
        if self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed) {
            tracing::info!(dropped = counts.dropped(), "there is room for spans again");
        }
    }
}

impl Counts {
    /// Spans that the collector took.
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans that found no room, or that the collector did not take.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn lose(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }
}

/// What became of one request to the collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It took the spans, but for so many.
    Taken {
        /// Spans that it did not want.
        rejected: u64,
    },
    /// It may take them later.
    Later {
        /// Why, in words.
        why: String,
        /// When it wants to be asked again.
        after: Option<Duration>,
    },
    /// It will not take them.
    Refused {
        /// Why, in words.
        why: String,
    },
}

/// What an answer of the collector means (OTLP 1.x, "OTLP/HTTP Response").
pub fn judged(status: StatusCode, after: Option<Duration>, body: &[u8]) -> Sent {
    let why = || format!("it answers with status {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Sent::Taken { rejected: wire::rejected(body) },
        429 | 502 | 503 | 504 => Sent::Later { why: why(), after },
        _ => Sent::Refused { why: why() },
    }
}

/// Sends what a tracer queues, until the tracer is gone or it is told to stop.
pub struct Exporter {
    spans: mpsc::Receiver<Finished>,
    counts: Arc<Counts>,
    dropping: Arc<Dropping>,
    service_name: String,
    instance: String,
    /// For the log.
    collector: String,
    is_failing: bool,
    /// After a first failure.
    pause: Duration,
}

impl Exporter {
    pub(super) fn new(
        settings: &Settings,
        instance: &str,
        spans: mpsc::Receiver<Finished>,
        counts: Arc<Counts>,
        dropping: Arc<Dropping>,
    ) -> Self {
        let (host, port) = (settings.endpoint.host_str(), settings.endpoint.port_or_known_default());
        Self {
            spans,
            counts,
            dropping,
            service_name: settings.service_name.clone(),
            instance: instance.to_owned(),
            collector: format!("{}:{}", host.unwrap_or_default(), port.unwrap_or_default()),
            is_failing: false,
            pause: PAUSE,
        }
    }

    #[cfg(test)]
    pub(super) fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    #[cfg(test)]
    pub(super) fn take(&mut self) -> Option<Finished> {
        self.spans.try_recv().ok()
    }

    /// Runs until no span can come any more. Once `stop` holds a moment, no span is taken any more, and what waits is sent
    /// by then or dropped.
    pub async fn run<F>(mut self, send: impl Fn(Vec<u8>) -> F, mut stop: watch::Receiver<Option<Instant>>)
    where
        F: Future<Output = Sent>,
    {
        let mut batch = Vec::new();
        while self.gather(&mut batch, &mut stop).await {
            let waiting = std::mem::take(&mut batch);
            let spans = waiting.len().try_into().unwrap_or(u64::MAX);
            let body = wire::encode(&self.service_name, &self.instance, waiting);
            let taken =
                self.deliver(&body, &send, &mut stop).await.map_or(0, |rejected| spans.saturating_sub(rejected));
            self.counts.exported.fetch_add(taken, Ordering::Relaxed);
            self.counts.lose(spans - taken);
        }
    }

    /// Takes what goes together; false when nothing is left to be taken.
    async fn gather(&mut self, batch: &mut Vec<Finished>, stop: &mut watch::Receiver<Option<Instant>>) -> bool {
        let mut until = None;
        while batch.len() < BATCH {
            let room = LARGEST_BATCH - batch.len();
            let is_stopping = stop.borrow_and_update().is_some();
            if is_stopping {
                self.spans.close();
            }
            let patience = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                taken = self.spans.recv_many(batch, room) => match taken {
                    0 => break,
                    _ => until = until.or_else(|| Some(Instant::now() + GATHER)),
                },
                () = patience => break,
                Ok(()) = stop.changed(), if !is_stopping => {}
            }
        }
        // Not as soon as there is any room: where spans come faster than they go, that is after every batch.
        if self.spans.len() < QUEUE / 2 {
            self.dropping.end(&self.counts);
        }
        !batch.is_empty()
    }

    /// How many of the spans the collector did not want; `None` when it got none.
    async fn deliver<F>(
        &mut self,
        body: &[u8],
        send: impl Fn(Vec<u8>) -> F,
        stop: &mut watch::Receiver<Option<Instant>>,
    ) -> Option<u64>
    where
        F: Future<Output = Sent>,
    {
        for number in 0..TRIES {
            let sending = send(body.to_vec());
            let sent = tokio::select! {
                sent = sending => sent,
                () = over(stop.clone()) => {
                    self.fails("the process ends, and it has not answered");
                    return None;
                }
            };
            match sent {
                Sent::Taken { rejected } => {
                    self.works(rejected);
                    return Some(rejected);
                }
                Sent::Refused { why } => {
                    self.fails(&why);
                    return None;
                }
                Sent::Later { why, after } => {
                    self.fails(&why);
                    let pause = after.unwrap_or(self.pause * 2_u32.pow(number)).clamp(self.pause, LONGEST_PAUSE);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        // One more try at the end, and no pause before it.
                        () = told(stop.clone()) => {}
                    }
                    if stop.borrow().is_some() && number > 0 {
                        return None;
                    }
                }
            }
        }
        None
    }

    fn works(&mut self, rejected: u64) {
        if rejected > 0 {
            tracing::debug!(collector = self.collector, rejected, "the collector did not want some spans");
        }
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(collector = self.collector, dropped = self.counts.dropped(), "spans are exported again");
        }
    }

    fn fails(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(collector = self.collector, why, "spans cannot be exported; those without room are dropped");
        }
    }
}

/// Ready once there is a moment to be done by.
async fn told(mut stop: watch::Receiver<Option<Instant>>) {
    if stop.wait_for(Option::is_some).await.is_err() {
        // Nobody is left to say one.
        std::future::pending::<()>().await;
    }
}

/// Ready once the moment to be done by is over.
async fn over(mut stop: watch::Receiver<Option<Instant>>) {
    let moment = match stop.wait_for(Option::is_some).await {
        Ok(moment) => *moment,
        // Nobody is left to stop it.
        Err(_) => None,
    };
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
