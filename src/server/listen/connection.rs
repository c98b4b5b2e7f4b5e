//! One connection from its first byte to its last: TLS, the HTTP version, requests, deadlines, the end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::meter::{InFlight, Meter, Overdue, Patience};
use super::socket::{Malformed, Socket};
use super::{EarlyAnswer, Options, Peer, Stage, Tally, Tether};
use crate::upstream::Wire;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How long a closed connection is read on, so that the end of an answer is not lost to a reset (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// How often an HTTP/2 peer is asked whether it still lives, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Streams that a peer has reset and that nobody has looked at yet, before it is sent away (CVE-2023-44487).
const MOST_PENDING_RESETS: usize = 20;

/// What all connections of a listener share.
pub(super) struct Server {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    patience: Patience,
    most_fields: usize,
    malformed: Malformed,
}

impl Server {
    pub(super) fn new(options: Options, tally: &Tally) -> Self {
        let limits = &options.limits;
        let mut http1 = http1::Builder::new();
        // The meter keeps the time: a timer of hyper's would be made and dropped for each request.
        http1.header_read_timeout(None).max_header_size(limits.header_bytes);
        if limits.headers != 100 {
            // At its default hyper parses on the stack.
            http1.max_headers(limits.headers);
        }
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(MOST_PENDING_RESETS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL);
        let linger = LINGER.min(options.drain / 2);
        Self {
            http1,
            http2,
            patience: Patience { head: limits.header_timeout, idle: limits.idle, linger },
            most_fields: limits.headers,
            tls: options.tls.map(TlsAcceptor::from),
            malformed: Malformed { answer: options.malformed, count: Arc::clone(&tally.malformed) },
        }
    }
}

/// Serves one connection. Ends with it, whatever ends it.
pub(super) async fn run<S, F, B>(tcp: TcpStream, address: SocketAddr, server: Arc<Server>, service: S, tether: Tether)
where
    S: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + From<Bytes> + Send + Unpin + 'static,
    B::Error: Into<Cause>,
{
    // Small answers go out at once; a socket that refuses is served all the same.
    let _ = tcp.set_nodelay(true);
    let peer = Peer { address, is_tls: server.tls.is_some() };
    let meter = Meter::new();
    let greeting = tokio::time::timeout(server.patience.head, greet(tcp, &server, &meter));
    let mut stages = tether.stages.clone();
    let greeted = tokio::select! {
        greeted = greeting => greeted,
        _ = stages.wait_for(|stage| *stage == Stage::Over) => return,
    };
    // A peer that greets wrongly or too slowly is no news.
    let Ok(Ok((mut socket, is_http2))) = greeted else { return };

    let requests = Arc::clone(&meter);
    let handled = Arc::clone(&server);
    let upgrades = tether.clone();
    let service = Arc::new(service);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let mut in_flight = requests.begin();
        let is_http1 = request.version() < Version::HTTP_2;
        let has_body = !request.body().is_end_stream();
        if is_http1 && !request.extensions().is_empty() {
            // hyper has put there the way to an upgrade.
            request.extensions_mut().insert(upgrades.clone());
        }
        // What HTTP/2 answers has a task of its own, whose end the listener has to wait for as well.
        let held = (!is_http1).then(|| upgrades.clone());
        // Called inside, so that the answering is built where it stays and not carried there.
        let service = Arc::clone(&service);
        let handled = Arc::clone(&handled);
        async move {
            let mut response = if request.headers().len() > handled.most_fields {
                handled.malformed.answer(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).map(B::from)
            } else {
                service(request, peer).await
            };
            let is_last = in_flight.is_draining() || (has_body && response.extensions().get::<EarlyAnswer>().is_some());
            if is_http1 && is_last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if !response.body().is_end_stream() {
                // HTTP/2 asks for the first piece only once the peer's window has room for it.
                in_flight.handed_over();
            }
            Ok::<_, Infallible>(response.map(|body| Counted { body, in_flight, _held: held }))
        }
    });
    if is_http2 {
        meter.speaks_http2();
        let mut connection = server.http2.serve_connection(TokioIo::new(socket), service);
        drive(Pin::new(&mut connection), &meter, &server.patience, stages).await;
    } else {
        let mut connection = server.http1.serve_connection(TokioIo::new(socket), service).with_upgrades();
        let end = drive(Pin::new(&mut connection), &meter, &server.patience, stages).await;
        // Nothing comes back from a connection that was upgraded.
        let Some(parts) = connection.into_parts() else { return };
        socket = parts.io.into_inner();
        match end {
            End::Done(Ok(())) => linger(&mut socket).await,
            // A body that broke off must not look like one that ended: HTTP/1.0 knows no other sign than a reset.
            End::Done(Err(error)) if error.is_user() => drop(socket.tcp().set_zero_linger()),
            End::Done(Err(_)) => linger(&mut socket).await,
            End::GivenUp => {}
        }
    }
}

/// The TLS handshake and the HTTP version.
async fn greet(tcp: TcpStream, server: &Server, meter: &Arc<Meter>) -> io::Result<(Socket, bool)> {
    let wire = match &server.tls {
        None => Wire::plain(tcp),
        Some(tls) => Wire::tls(tls.accept(tcp).await?.into()),
    };
    let mut socket = Socket::new(wire, Arc::clone(meter), server.malformed.clone());
    let is_http2 = socket.detect_http2().await?;
    Ok((socket, is_http2))
}

/// Reads on until the peer has closed too, for a moment.
async fn linger(socket: &mut Socket) {
    let mut buffer = [0; 4096];
    let reading = async { while matches!(socket.read(&mut buffer).await, Ok(count) if count > 0) {} };
    let _ = tokio::time::timeout(LINGER, reading).await;
}

enum End {
    Done(hyper::Result<()>),
    /// The peer was waited for in vain, or the listener's time is over.
    GivenUp,
}

trait Graceful: Future<Output = hyper::Result<()>> + Unpin {
    /// HTTP/2 can say that it closes while requests are on their way.
    const SAYS_GOODBYE: bool;

    fn close_when_idle(&mut self);
}

impl<S> Graceful for http1::UpgradeableConnection<TokioIo<Socket>, S>
where
    S: HttpService<Incoming>,
    S::Error: Into<Cause>,
    S::ResBody: 'static,
    <S::ResBody as Body>::Error: Into<Cause>,
    Self: Future<Output = hyper::Result<()>> + Unpin,
{
    const SAYS_GOODBYE: bool = false;

    fn close_when_idle(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

impl<S> Graceful for http2::Connection<TokioIo<Socket>, S, TokioExecutor>
where
    S: HttpService<Incoming>,
    S::Error: Into<Cause>,
    S::ResBody: 'static,
    <S::ResBody as Body>::Error: Into<Cause>,
    TokioExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
    Self: Future<Output = hyper::Result<()>> + Unpin,
{
    const SAYS_GOODBYE: bool = true;

    fn close_when_idle(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

/// Lets a connection run and watches its time. One timer serves the whole connection: it is moved only when it fires,
/// or when something is due before it.
async fn drive<C: Graceful>(
    mut connection: Pin<&mut C>,
    meter: &Meter,
    patience: &Patience,
    stages: watch::Receiver<Stage>,
) -> End {
    let at = |millis: u64| tokio::time::Instant::from_std(meter.start() + Duration::from_millis(millis));
    let idle = u64::try_from(patience.idle.as_millis()).unwrap_or(u64::MAX / 4);
    let mut set_for = meter.deadline(patience).map_or_else(|| meter.now() + idle, |(due, _)| due);
    let mut alarm = pin!(tokio::time::sleep_until(at(set_for)));
    let mut is_alarm_polled = false;
    let mut closing = false;
    // Polled when it has something to say and not with every wake-up.
    let mut staging = pin!(next_stage(stages.clone()));
    let mut seen = stages;
    let mut is_staging_polled = false;
    std::future::poll_fn(move |cx| {
        loop {
            if !is_staging_polled || seen.has_changed().unwrap_or(false) {
                is_staging_polled = true;
                if let Poll::Ready(stage) = staging.as_mut().poll(cx) {
                    if stage == Stage::Over {
                        return Poll::Ready(End::GivenUp);
                    }
                    seen.mark_unchanged();
                    staging.set(next_stage(seen.clone()));
                    is_staging_polled = false;
                    meter.drain();
                    if C::SAYS_GOODBYE {
                        connection.close_when_idle();
                    }
                    continue;
                }
            }
            if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                return Poll::Ready(End::Done(outcome));
            }
            let due = meter.deadline(patience);
            if let Some((due, _)) = due
                && due < set_for
            {
                set_for = due;
                alarm.as_mut().reset(at(due));
                is_alarm_polled = false;
            }
            if is_alarm_polled && !alarm.is_elapsed() {
                return Poll::Pending;
            }
            is_alarm_polled = true;
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match due {
                Some((due, overdue)) if due <= meter.now() => {
                    if overdue != Overdue::Idle || closing {
                        return Poll::Ready(End::GivenUp);
                    }
                    closing = true;
                    connection.close_when_idle();
                    set_for = meter.now() + idle.min(1000);
                }
                Some((due, _)) => set_for = due,
                None => set_for = meter.now() + idle,
            }
            alarm.as_mut().reset(at(set_for));
            is_alarm_polled = false;
        }
    })
    .await
}

async fn next_stage(mut stages: watch::Receiver<Stage>) -> Stage {
    // The listener outlives its connections; if it were gone, so would be their time.
    stages.changed().await.map_or(Stage::Over, |()| *stages.borrow())
}

/// An answer's body that counts as in flight until it is gone.
struct Counted<B> {
    /// Let go first, since what ends with it is told before the listener has ended.
    body: B,
    in_flight: InFlight,
    _held: Option<Tether>,
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.in_flight.asked();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = &frame {
            self.in_flight.handed_over();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
