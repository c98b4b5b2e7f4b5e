//! Listening: accepts connections up to a cap, finds out which HTTP they speak, holds every silence to a limit, and
//! drains when told to stop. Knows nothing of what the requests are about.

mod connection;
mod meter;
mod socket;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::Limits;
use crate::telemetry::gauge::{Gauge, Place};
use crate::telemetry::metric::Counter;
pub(crate) use socket::Socket;
pub use tls::{TlsFileError, tls_config};

/// How a listener treats its connections.
#[derive(Clone)]
pub struct Options {
    /// What one peer may take.
    pub limits: Limits,
    /// TLS of our own; `None` for plain HTTP/1.1 and HTTP/2 with prior knowledge.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long requests in flight may take after the shutdown.
    pub drain: Duration,
    /// The answer to a request whose head cannot be read: 400, 414, 431. Its `Connection` and length are added.
    pub malformed: fn(StatusCode) -> Response<Bytes>,
}

/// Marks an answer that may have been given before the request's body was read. What is left of that ends the
/// connection, and a caller who was not told so would send the next request into it (RFC 9112 section 9.6).
#[derive(Clone, Copy, Debug)]
pub(crate) struct EarlyAnswer;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address that the connection comes from.
    pub address: SocketAddr,
    /// Whether it came by TLS of our own.
    pub is_tls: bool,
}

/// What is counted of a listener, whatever its options become. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tally {
    /// The connections that are open.
    pub open: Gauge,
    /// Requests whose head could not be read, or has too many fields, and which no service was asked about.
    pub malformed: Arc<Counter>,
}

/// How a shutdown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request in flight got its answer.
    Whole,
    /// The time was over and what was left has been cut off.
    CutOff,
}

/// What the connections of a listener are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Serving,
    /// Finish what has begun.
    Draining,
    /// The time is over.
    Over,
}

/// What outlives a connection's HTTP: an upgraded connection still counts, and still ends with the listener.
#[derive(Clone)]
pub(crate) struct Tether {
    _hold: Arc<Hold>,
    pub(crate) stages: watch::Receiver<Stage>,
}

/// One place among the connections; the listener is done when the last is given up.
struct Hold {
    _permit: OwnedSemaphorePermit,
    _held: mpsc::Sender<()>,
    _open: Place,
}

/// The first pause after a failed accept, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Serves every connection until `shutdown` is ready, then drains: no new connection, `Connection: close` on HTTP/1.1
/// and GOAWAY on HTTP/2, and an end to what is left after `options.drain`.
///
/// The service is called once for each request and its future is dropped when the caller goes away. Upgrades are
/// served.
///
/// The options may be exchanged meanwhile: connections that are accepted from then on keep to the new ones. How many
/// there may be is settled at the beginning; how many there are is told to `tally`.
pub async fn serve<S, F, B>(
    listener: TcpListener,
    options: Arc<ArcSwap<Options>>,
    tally: Tally,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> Drained
where
    S: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + From<Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(options.load().limits.connections));
    let (held, mut all_closed) = mpsc::channel::<()>(1);
    let (stage, stages) = watch::channel(Stage::Serving);
    {
        let mut shutdown = pin!(shutdown);
        let mut accepting = pin!(async {
            let mut known = options.load_full();
            let mut server = Arc::new(connection::Server::new(Options::clone(&known), &tally));
            loop {
                let permit = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
                let (stream, address) = accept(&listener).await;
                if !Arc::ptr_eq(&known, &options.load()) {
                    known = options.load_full();
                    server = Arc::new(connection::Server::new(Options::clone(&known), &tally));
                }
                let hold = Arc::new(Hold { _permit: permit, _held: held.clone(), _open: tally.open.enter() });
                let tether = Tether { _hold: hold, stages: stages.clone() };
                tokio::spawn(connection::run(stream, address, Arc::clone(&server), service.clone(), tether));
            }
        });
        tokio::select! {
            () = &mut shutdown => {}
            never = &mut accepting => match never {},
        }
    }
    // Closed before the draining, so that whoever comes now is refused at once and tries elsewhere.
    drop((listener, held));
    stage.send_replace(Stage::Draining);
    if tokio::time::timeout(options.load().drain, all_closed.recv()).await.is_ok() {
        return Drained::Whole;
    }
    stage.send_replace(Stage::Over);
    all_closed.recv().await;
    Drained::CutOff
}

/// Accepts, whatever happens: running out of file descriptors is a reason to wait, not to stop.
async fn accept(listener: &TcpListener) -> (tokio::net::TcpStream, SocketAddr) {
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if pause == FIRST_PAUSE {
                    tracing::warn!(%error, "no connection can be accepted; waiting for open files to be closed");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut)
}
