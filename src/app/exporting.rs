//! The export of spans: a task for each configuration of `[telemetry]`, and its end within the drain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::mapping::wait::retry_after;
use crate::telemetry::trace::{Counts, Sent, Settings, Tracer, judged};
use crate::upstream::{Fetch, FetchRequest};

/// How long after the moment to end by an export may notice it.
const LATE: Duration = Duration::from_millis(200);

/// Every export that has begun.
pub(super) struct Exporting {
    instance: String,
    clock: Clock,
    counts: Arc<Counts>,
    /// The moment by which all have to end.
    stop: watch::Sender<Option<Instant>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Exporting {
    pub(super) fn new(instance: &str, clock: Clock, counts: Arc<Counts>) -> Self {
        let (instance, stop, tasks) = (instance.to_owned(), watch::Sender::default(), Mutex::default());
        Self { instance, clock, counts, stop, tasks }
    }

    /// Begins an export. It goes on for as long as there is something to export: the tracer, and what holds its spans.
    pub(super) fn begin(&self, settings: Option<&Settings>, fetch: &Fetch) -> Result<Option<Tracer>, getrandom::Error> {
        let Some(settings) = settings else { return Ok(None) };
        let (tracer, exporter) = Tracer::new(settings, &self.instance, self.clock.clone(), Arc::clone(&self.counts))?;
        let collector =
            Arc::new(Collector { fetch: fetch.clone(), clock: self.clock.clone(), request: request(settings) });
        let send = move |body| {
            let collector = Arc::clone(&collector);
            async move { collector.send(body).await }
        };
        let task = tokio::spawn(exporter.run(send, self.stop.subscribe()));
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
        Ok(Some(tracer))
    }

    /// Takes no more spans, and waits until those that wait are sent, or `deadline`: then each says itself what it could not
    /// send.
    pub(super) async fn finish(&self, deadline: Instant) {
        self.stop.send_replace(Some(deadline));
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // They end of themselves; this is for one that does not get to it.
            let _ = tokio::time::timeout_at(deadline + LATE, task).await;
        }
    }
}

struct Collector {
    fetch: Fetch,
    clock: Clock,
    request: (url::Url, HeaderMap),
}

impl Collector {
    async fn send(&self, body: Vec<u8>) -> Sent {
        let (url, headers) = self.request.clone();
        let (trusted_as_written, certificate) = (false, None);
        let body = Bytes::from(body);
        let request = FetchRequest { method: Method::POST, url, headers, body, trusted_as_written, certificate };
        match self.fetch.send_to_operator(request).await {
            Ok(answer) => {
                let after = answer.headers.get(RETRY_AFTER).and_then(|field| retry_after(field, self.clock.now()));
                judged(answer.status, after, &answer.body)
            }
            Err(error) => Sent::Later { why: error.to_string(), after: None },
        }
    }
}

fn request(settings: &Settings) -> (url::Url, HeaderMap) {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let mut value = HeaderValue::try_from(value.expose()).expect("the configuration was checked");
        value.set_sensitive(true);
        headers.append(name, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    (settings.endpoint.clone(), headers)
}
