//! The streamed call: takes a connection from the pool or makes one, sends the request, and hands back the head of the
//! answer with a body that streams. Never reads into a body, never follows a redirect, never sends a request twice that
//! may have been sent once.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;

use super::count::{Counts, Traffic};
use super::dial::{Dialer, Offer, Peer};
use super::form::{for_http1, for_http2};
use super::lane::{Alarm, Lane, LaneError, Patience, Silence, Slot, unsent_or_broken};
use super::pool::{Host, Share, Turn};
use super::request::RequestBody;
use super::response::{AbortOnDrop, Carrier, UpstreamBody};
use super::{Settings, SetupError, Timeouts, UpstreamError, Waiting, Wire};
use crate::route::Destination;

/// How often an HTTP/2 connection in use is asked whether it still lives, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How often a request that could not be sent makes a new connection: peers that close each one at once exist.
const MOST_DIALS: usize = 2;

/// Everything that is open towards providers. Cheap to clone.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    dialer: Dialer,
    hosts: RwLock<HashMap<Box<str>, Arc<Host>>>,
    timeouts: Timeouts,
    most_idle: usize,
    idle_timeout: Duration,
    is_swept: AtomicBool,
    counts: Arc<Counts>,
}

impl Upstream {
    /// Checks the settings; dials nothing yet.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        Self::counting(settings, Arc::default())
    }

    /// By other settings, with connections of its own. What was counted goes on.
    pub fn following(&self, settings: &Settings) -> Result<Self, SetupError> {
        Self::counting(settings, Arc::clone(&self.0.counts))
    }

    fn counting(settings: &Settings, counts: Arc<Counts>) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(Inner {
            dialer: Dialer::new(settings)?,
            hosts: RwLock::default(),
            timeouts: Timeouts { response: settings.response_timeout, idle: settings.idle_timeout },
            most_idle: settings.pool_idle_per_host,
            idle_timeout: settings.pool_idle_timeout,
            is_swept: AtomicBool::new(false),
            counts,
        })))
    }

    /// What is open, and what went over it since the process began.
    pub fn traffic(&self) -> Traffic {
        self.0.counts.traffic()
    }

    /// Whether both share their connections.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Longest silence inside a body, and life of an upgraded connection without traffic.
    pub fn idle_timeout(&self) -> Duration {
        self.0.timeouts.idle
    }

    /// Sends a request and waits for the head of its answer. The request's URI is the path and query alone, and its
    /// header fields are those of [`crate::route::headers::outbound`]; `Host` or `:authority` come from the
    /// destination.
    ///
    /// Cancelled when dropped, and so is the answer's body. A request is sent on another connection only when the
    /// pooled one was closed before anything was sent.
    pub fn send<'a>(
        &'a self,
        destination: &Destination,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + Send + use<'a> {
        let host = self.host(destination);
        let mut slot = Some(request);
        async move {
            let mut dials = 0;
            loop {
                let sending;
                let outcome = if let Some((sender, share)) = host.share() {
                    sending = self.0.counts.sending(dials > 0);
                    self.send_http2(&host, sender, share, &mut slot).await
                } else if let Some(lane) = host.idle_lane() {
                    sending = self.0.counts.sending(dials > 0);
                    self.send_http1(&host, lane, &mut slot).await
                } else {
                    // Boxed, because it is rare and large.
                    match Box::pin(self.connect(&host, &mut dials)).await? {
                        Some(lane) => {
                            sending = self.0.counts.sending(true);
                            self.send_http1(&host, lane, &mut slot).await
                        }
                        None => continue,
                    }
                };
                match outcome {
                    Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                        let cause = "it changed to a protocol that nobody asked for";
                        return Err(UpstreamError::broken(host.name(), cause));
                    }
                    Ok(response) => return Ok(response),
                    Err(LaneError::Unsent) => sending.forget(),
                    Err(LaneError::Broken(cause)) => return Err(broken(&host, cause)),
                    Err(LaneError::Silent(silence)) => return Err(silent(&host, silence)),
                }
            }
        }
    }

    /// Makes a connection, or waits for the one that somebody else makes. An HTTP/1.1 connection comes back as a lane;
    /// an HTTP/2 one goes to the pool, where everybody finds it.
    async fn connect(&self, host: &Arc<Host>, dials: &mut usize) -> Result<Option<Box<Lane>>, UpstreamError> {
        match host.turn(*dials > 0) {
            Turn::Wait(dialling) => {
                let opened = self.wait_for_dial(host, dialling).await?;
                // Where the other one failed, everybody tries for himself.
                *dials += usize::from(!opened);
                Ok(None)
            }
            Turn::Dial(_) if *dials > MOST_DIALS => {
                Err(UpstreamError::unreachable(host.name(), "it closes every connection at once"))
            }
            Turn::Dial(turn) => {
                *dials += 1;
                let lane = self.open(host).await?;
                turn.opened();
                Ok(lane)
            }
        }
    }

    /// Sends a request that asks for another protocol, on a connection of its own (RFC 9110 section 7.8). After a 101
    /// the response's extensions hold the upgraded connection.
    pub async fn send_upgrade(
        &self,
        destination: &Destination,
        mut request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let host = self.host(destination);
        let stream = self.dial(&host, Offer::Http1).await?;
        let _sending = self.0.counts.sending(true);
        let broken = |cause| UpstreamError::broken(host.name(), cause);
        let (mut sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driver = AbortOnDrop::new(tokio::spawn(connection.with_upgrades()).abort_handle());
        for_http1(&mut request, destination);
        let patience = Patience::new(&request, &self.0.timeouts);
        let response =
            await_answer(sender.send_request(request), &patience).await.map_err(|silence| silent(&host, silence))?;
        let response = response.map_err(broken)?;
        let carrier = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The connection belongs to the upgrade now and ends with it.
            driver.release();
            Carrier::Nothing
        } else {
            Carrier::Task { _driver: driver, alarm: Alarm::new(), progress: None }
        };
        Ok(response.map(|incoming| UpstreamBody::new(incoming, carrier, host, self.0.timeouts.idle)))
    }

    async fn send_http1(
        &self,
        host: &Arc<Host>,
        mut lane: Box<Lane>,
        slot: &mut Slot,
    ) -> Result<Response<UpstreamBody>, LaneError> {
        let progress = slot.as_mut().and_then(|request| {
            for_http1(request, host.destination());
            request.body().progress()
        });
        let response = lane.exchange(slot, &self.0.timeouts).await?;
        let carrier = if lane.settle() {
            host.give_back(lane);
            Carrier::Nothing
        } else if progress.as_ref().is_none_or(|progress| progress.is_done()) {
            Carrier::Lane(lane)
        } else {
            // The provider answers before it has everything. The rest goes on by itself, since the answer's body is
            // read only as fast as the caller takes it, and the caller may take it only after having sent everything.
            match lane.into_driver() {
                Some(driver) => Carrier::Task {
                    _driver: AbortOnDrop::new(tokio::spawn(driver).abort_handle()),
                    alarm: Alarm::new(),
                    progress,
                },
                None => Carrier::Nothing,
            }
        };
        Ok(response.map(|incoming| UpstreamBody::new(incoming, carrier, Arc::clone(host), self.0.timeouts.idle)))
    }

    async fn send_http2(
        &self,
        host: &Arc<Host>,
        mut sender: http2::SendRequest<RequestBody>,
        share: Share,
        slot: &mut Slot,
    ) -> Result<Response<UpstreamBody>, LaneError> {
        let Some(mut request) = slot.take() else { return Err(LaneError::Unsent) };
        for_http2(&mut request, host.destination());
        let patience = Patience::new(&request, &self.0.timeouts);
        let progress = request.body().progress();
        let answer = await_answer(sender.try_send_request(request), &patience).await.map_err(LaneError::Silent)?;
        let response = answer.map_err(|error| unsent_or_broken(error, slot))?;
        let carrier = Carrier::Stream { _share: share, alarm: Alarm::new(), progress };
        Ok(response.map(|incoming| UpstreamBody::new(incoming, carrier, Arc::clone(host), self.0.timeouts.idle)))
    }

    /// Dials. An HTTP/1.1 connection comes back as a lane, an HTTP/2 one goes to the pool for everybody.
    async fn open(&self, host: &Arc<Host>) -> Result<Option<Box<Lane>>, UpstreamError> {
        self.start_sweeping();
        let stream = self.dial(host, Offer::Any).await?;
        if stream.alpn() == Some(b"h2") {
            host.add_shared(
                handshake_http2(stream).await.map_err(|cause| UpstreamError::unreachable(host.name(), cause))?,
            );
            return Ok(None);
        }
        host.note_http1();
        let in_use = self.0.counts.active.enter();
        Ok(Some(Lane::open(stream, in_use).await.map_err(|cause| UpstreamError::unreachable(host.name(), cause))?))
    }

    async fn dial(&self, host: &Host, offer: Offer) -> Result<Wire, UpstreamError> {
        let stream = self.0.dialer.dial(peer(host.destination()), offer).await?;
        let counts = &self.0.counts;
        counts.opened();
        // One that is dialled for HTTP/1.1 alone is to be upgraded, and in use to its end.
        let in_use = matches!(offer, Offer::Http1).then(|| counts.active.enter());
        Ok(stream.counted(counts.open.enter(), in_use))
    }

    /// Whether the dialling of another call has opened a connection.
    async fn wait_for_dial(&self, host: &Host, mut dialling: watch::Receiver<bool>) -> Result<bool, UpstreamError> {
        match tokio::time::timeout(self.0.dialer.connect_timeout(), dialling.changed()).await {
            Ok(told) => Ok(told.is_ok()),
            Err(_) => Err(UpstreamError::timeout(host.name(), Waiting::Connect)),
        }
    }

    fn host(&self, destination: &Destination) -> Arc<Host> {
        let known = self.0.hosts.read().unwrap_or_else(PoisonError::into_inner).get(destination.key()).cloned();
        known.unwrap_or_else(|| {
            let mut hosts = self.0.hosts.write().unwrap_or_else(PoisonError::into_inner);
            let host = hosts.entry(destination.key().into()).or_insert_with(|| {
                Arc::new(Host::new(destination, self.0.most_idle, self.0.idle_timeout, &self.0.counts))
            });
            Arc::clone(host)
        })
    }

    /// Starts the task that closes idle connections of hosts that nobody calls any more. It ends with the last clone.
    fn start_sweeping(&self) {
        if self.0.is_swept.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::downgrade(&self.0);
        let period = self.0.idle_timeout.max(Duration::from_millis(100)) / 2;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(inner) = Weak::upgrade(&inner) else { return };
                // Nobody but the map holds a host that no call is using.
                let mut hosts = inner.hosts.write().unwrap_or_else(PoisonError::into_inner);
                hosts.retain(|_, host| !(host.sweep() && Arc::strong_count(host) == 1));
            }
        });
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

fn peer(destination: &Destination) -> Peer<'_> {
    Peer {
        host: destination.host(),
        port: destination.port(),
        https: destination.is_https(),
        trusted_as_written: destination.is_trusted_as_written(),
        is_operators: destination.is_application(),
        certificate: destination.certificate(),
    }
}

async fn handshake_http2(stream: Wire) -> hyper::Result<http2::SendRequest<RequestBody>> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .max_header_list_size(64 * 1024)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn await_answer<T>(answer: impl Future<Output = T>, patience: &Patience) -> Result<T, Silence> {
    let mut answer = pin!(answer);
    let mut alarm = Alarm::new();
    std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
        Poll::Pending => patience.poll(&mut alarm, cx).map(Err),
    })
    .await
}

fn silent(host: &Host, silence: Silence) -> UpstreamError {
    match silence {
        Silence::Caller => UpstreamError::Caller { source: "the body fell silent".into() },
        Silence::Provider(waiting) => UpstreamError::timeout(host.name(), waiting),
    }
}

/// hyper tells by its kind whose body it was that broke.
fn broken(host: &Host, cause: hyper::Error) -> UpstreamError {
    if cause.is_user() {
        UpstreamError::Caller { source: cause.into() }
    } else {
        UpstreamError::broken(host.name(), cause)
    }
}
