use std::sync::Mutex;

use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;
use crate::model::Timestamp;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNRECORDED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

struct Scene {
    tracer: Tracer,
    exporter: Exporter,
    counts: Arc<Counts>,
}

fn scene(sample: f64) -> Scene {
    let endpoint = Url::parse("http://127.0.0.1:4318/v1/traces").expect("a URL");
    let settings = Settings { endpoint, headers: Vec::new(), sample, service_name: "keyferry".to_owned() };
    let counts = Arc::<Counts>::default();
    let clock = Clock::manual(Timestamp::from_unix_millis(1_000));
    let (tracer, exporter) = Tracer::new(&settings, "test", clock, Arc::clone(&counts)).expect("entropy");
    Scene { tracer, exporter, counts }
}

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    pairs.collect()
}

fn begin(tracer: &Tracer, headers: &mut HeaderMap) -> Begun {
    tracer.begin(headers, || "GET".into())
}

#[tokio::test]
async fn what_a_request_begins() {
    let Scene { tracer, mut exporter, .. } = scene(1.0);
    let mut headers = fields(&[("traceparent", PARENT), ("tracestate", "a=b"), ("baggage", "who=ada")]);
    let begun = begin(&tracer, &mut headers);
    assert_eq!(begun.trace.map(|trace| trace.to_string()).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let upstream = begun.span.child(Kind::Client, "GET");
    upstream.put_into(&mut headers);
    let sent = headers["traceparent"].to_str().expect("text").to_owned();
    assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent.ends_with("-01"), "{sent}");
    assert!(!sent.contains("00f067aa0ba902b7"), "{sent}");
    assert_eq!((headers.get("tracestate"), headers.get("baggage")), (Some(&HeaderValue::from_static("a=b")), None));
    drop(upstream);
    drop(begun);
    let (upstream, call) = (exporter.take().expect("a span"), exporter.take().expect("a span"));
    assert_eq!(call.parent.map(|parent| parent.to_string()).as_deref(), Some("00f067aa0ba902b7"));
    assert_eq!(upstream.parent, Some(call.context.span));
    assert!(call.start <= upstream.start && upstream.start <= upstream.end && upstream.end <= call.end);

    // Its parent does not record, and neither do we; the provider may.
    let mut headers = fields(&[("traceparent", UNRECORDED), ("baggage", "who=ada")]);
    let begun = begin(&tracer, &mut headers);
    assert!(!begun.span.is_recorded() && begun.trace.is_some());
    assert_eq!(headers, fields(&[("traceparent", UNRECORDED)]));

    // What is no parent is taken off with its state, and a trace begins.
    let mut headers = fields(&[("traceparent", "00-1-2-3"), ("tracestate", "a=b")]);
    let begun = begin(&tracer, &mut headers);
    assert!(begun.span.is_recorded() && headers.is_empty(), "{headers:?}");

    let begun = begin(&scene(0.0).tracer, &mut HeaderMap::new());
    assert!(!begun.span.is_recorded() && begun.trace.is_none());
}

#[test]
fn a_share_is_recorded() {
    let Scene { tracer, .. } = scene(0.25);
    let recorded = (0..10_000).filter(|_| begin(&tracer, &mut HeaderMap::new()).span.is_recorded()).count();
    // Nine standard deviations.
    assert!((2_100..2_900).contains(&recorded), "{recorded} of 10000");
}

#[test]
fn ids_are_of_their_own() {
    let (one, other) = (Ids::draw().expect("entropy"), Ids::draw().expect("entropy"));
    let mut drawn: Vec<u64> = (0..10_000).flat_map(|_| [one.next(), other.next()]).map(|number| number.low).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 20_000);
}

#[test]
fn what_fails() {
    fn check(kind: Kind, status: u16, expected: bool) {
        let Scene { tracer, mut exporter, .. } = scene(1.0);
        let root = begin(&tracer, &mut HeaderMap::new()).span;
        let mut span = root.child(kind, "GET");
        span.status(status);
        drop(span);
        let span = exporter.take().expect("a span");
        assert_eq!(span.is_error, expected, "{kind:?} {status}");
        let error_type = span.attributes.iter().find(|(key, _)| *key == attribute::ERROR_TYPE);
        assert_eq!(error_type.is_some(), expected, "{kind:?} {status}");
    }
    check(Kind::Server, 200, false);
    check(Kind::Server, 404, false);
    check(Kind::Server, 502, true);
    check(Kind::Client, 302, false);
    check(Kind::Client, 404, true);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let Scene { tracer, counts, exporter } = scene(1.0);
    for _ in 0..export::QUEUE + 3 {
        drop(begin(&tracer, &mut HeaderMap::new()));
    }
    assert_eq!(counts.dropped(), 3);
    drop(exporter);
}

#[tokio::test]
async fn a_full_queue_is_told_once() {
    use std::io::{Read as _, Seek as _};

    let mut log = tempfile::tempfile().expect("a file");
    let writer = Mutex::new(log.try_clone().expect("the same file"));
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let (sizes, counts) = exported(export::QUEUE + 3, vec![Sent::Taken { rejected: 0 }; 4]).await;
    drop(logging);
    assert_eq!((sizes.len(), counts.exported(), counts.dropped()), (4, export::QUEUE as u64, 3));
    let mut told = String::new();
    log.rewind().expect("a file");
    log.read_to_string(&mut told).expect("text");
    let levels: Vec<_> = told.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(levels, ["WARN", "INFO"], "{told}");
}

/// Runs an exporter over so many spans, against a collector that answers like this, until the tracer is gone.
async fn exported(spans: usize, answers: Vec<Sent>) -> (Vec<usize>, Arc<Counts>) {
    let Scene { tracer, exporter, counts } = scene(1.0);
    for _ in 0..spans {
        drop(begin(&tracer, &mut HeaderMap::new()));
    }
    drop(tracer);
    let (answers, sizes) = (Mutex::new(answers.into_iter()), Mutex::new(Vec::new()));
    let send = |body: Vec<u8>| {
        sizes.lock().expect("nobody panics").push(body.len());
        let answer = answers.lock().expect("nobody panics").next();
        std::future::ready(answer.expect("an answer for each request"))
    };
    exporter.with_pause(Duration::from_millis(1)).run(send, watch::Sender::default().subscribe()).await;
    (sizes.into_inner().expect("nobody panics"), counts)
}

#[tokio::test]
async fn batches() {
    let taken = || Sent::Taken { rejected: 0 };
    let later = || Sent::Later { why: "it is away".to_owned(), after: None };
    let counted = |counts: &Counts| (counts.exported(), counts.dropped());

    let (sizes, counts) = exported(export::LARGEST_BATCH + 1, vec![taken(), taken()]).await;
    assert_eq!((sizes.len(), counted(&counts)), (2, (export::LARGEST_BATCH as u64 + 1, 0)));
    let (sizes, counts) = exported(10, vec![later(), later(), Sent::Taken { rejected: 4 }]).await;
    assert_eq!(sizes, [sizes[0]; 3], "the same batch each time");
    assert_eq!(counted(&counts), (6, 4));
    let (_, counts) = exported(10, vec![Sent::Refused { why: "it answers with status 401".to_owned() }]).await;
    assert_eq!(counted(&counts), (0, 10));
    let (sizes, counts) = exported(10, vec![later(); 5]).await;
    assert_eq!((sizes.len(), counted(&counts)), (5, (0, 10)), "a collector that stays away gets no more of it");
}

#[tokio::test]
async fn the_end() {
    // A collector that does not answer holds nothing up beyond the moment.
    let Scene { tracer, exporter, counts } = scene(1.0);
    drop(begin(&tracer, &mut HeaderMap::new()));
    let (stop, stopped) = watch::channel(None);
    let running = tokio::spawn(exporter.run(|_| std::future::pending(), stopped));
    let moment = Instant::now() + Duration::from_millis(50);
    stop.send_replace(Some(moment));
    running.await.expect("it ends");
    assert!(Instant::now() >= moment);
    assert_eq!(counts.dropped(), 1);
    // Nothing is taken any more.
    drop(begin(&tracer, &mut HeaderMap::new()));
    assert_eq!(counts.dropped(), 2);

    // What waits is sent at once.
    let Scene { tracer, exporter, counts } = scene(1.0);
    drop(begin(&tracer, &mut HeaderMap::new()));
    let (_stop, stopped) = watch::channel(Some(Instant::now() + Duration::from_secs(3)));
    exporter.run(|_| std::future::ready(Sent::Taken { rejected: 0 }), stopped).await;
    assert_eq!(counts.exported(), 1);
}

#[test]
fn answers_of_collectors() {
    fn check(status: u16, is_expected: impl Fn(&Sent) -> bool) {
        let sent = judged(http::StatusCode::from_u16(status).expect("a status"), None, b"");
        assert!(is_expected(&sent), "{status}: {sent:?}");
    }
    for status in [200, 202] {
        check(status, |sent| *sent == Sent::Taken { rejected: 0 });
    }
    for status in [429, 502, 503, 504] {
        check(status, |sent| matches!(sent, Sent::Later { .. }));
    }
    for status in [301, 400, 401, 404, 500] {
        check(status, |sent| matches!(sent, Sent::Refused { .. }));
    }
}
