//! From configuration to a running sidecar, from there to the next configuration, and to its end: the only place that
//! wires.

mod exporting;
mod fixed;
mod parts;
mod reload;
mod supervisor;
mod watcher;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::exporting::Exporting;
use self::fixed::Fixed;
use self::parts::{Parts, Prepared};
use crate::broker::{self, Broker, BrokerError};
use crate::clock::Clock;
use crate::config::Config;
use crate::route::Via;
use crate::server::listen::{self, Drained, TlsFileError};
use crate::server::{Listener, Process};
use crate::store::{Store, StoreError};
use crate::telemetry;
use crate::upstream::SetupError;

pub use self::reload::Reloading;
pub use self::supervisor::Supervisor;

/// What the last spans are given where the drain has used its time up.
const LAST_EXPORT: Duration = Duration::from_secs(1);

/// What they are given where it has not: a collector that hangs holds up nobody's restart for a whole drain.
const LONGEST_LAST_EXPORT: Duration = Duration::from_secs(5);

/// Why the sidecar does not run, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("{key}: cannot listen on {address}: {source}; choose another address, or end what uses this one")]
    Listen {
        /// The key in config.toml.
        key: &'static str,
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("server.tls: {0}")]
    Tls(#[from] TlsFileError),
    /// The store does not open.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// `[net]` cannot be used.
    #[error(transparent)]
    Net(#[from] SetupError),
    /// The system gives no entropy.
    #[error("{0}")]
    Entropy(String),
}

/// A running sidecar.
pub struct Running {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    parts: Arc<Parts>,
    /// What the configuration was at the start, as far as it is needed to follow its changes.
    started_by: Option<reload::StartedBy>,
    reloading: Option<JoinHandle<()>>,
    supervisor: Supervisor,
    stop: watch::Sender<bool>,
    stop_admin: watch::Sender<bool>,
    serving: JoinHandle<Drained>,
}

/// Binds, opens the store and serves. Returns once calls are answered.
pub async fn start(config: Config, clock: Clock) -> Result<Running, StartError> {
    let store = Store::open(config.store.clone(), clock.clone()).await?;
    start_with(config, store, clock).await
}

/// The same with a store that is open already; what the configuration says of one is left aside.
pub async fn start_with(config: Config, store: Store, clock: Clock) -> Result<Running, StartError> {
    let listener = bind("server.listen", config.server.listen).await?;
    let address = local_address("server.listen", config.server.listen, &listener)?;
    let admin = match config.server.admin_listen {
        Some(wanted) => Some(bind("server.admin_listen", wanted).await?),
        None => None,
    };
    let admin_address = match (&admin, config.server.admin_listen) {
        (Some(listener), Some(wanted)) => Some(local_address("server.admin_listen", wanted, listener)?),
        _ => None,
    };
    let entropy = |error: BrokerError| StartError::Entropy(error.to_string());
    let instance = broker::random_token().map_err(entropy)?.expose()[..8].to_owned();
    let network = parts::network(&config.net, Via::new(&instance))?;
    let started_at = clock.now();
    let process = Process::new(instance.clone(), started_at);
    let exporting = Exporting::new(&instance, clock.clone(), Arc::clone(process.spans()));
    let tracer = exporting
        .begin(config.telemetry.as_ref(), &network.fetch)
        .map_err(|error| StartError::Entropy(format!("no entropy: {error}")))?;
    let prepared = Prepared::new(config.server.clone(), &config, address, network, tracer)?;
    let started_by = reload::StartedBy {
        fixed: Fixed::of(&config),
        server: config.server,
        net: config.net,
        log: config.log,
        telemetry: config.telemetry,
    };

    let (settings, network, denials) = (prepared.broker.clone(), prepared.network.clone(), process.denials().clone());
    let broker = Broker::new(settings, config.integrations, store, network, clock, denials);
    broker.sweep_periodically();
    if prepared.settings.is_open() {
        say_that_it_is_open();
    }
    process.reloads().found_good(started_at);
    let parts = Arc::new(Parts::new(prepared, process, broker, exporting, address));

    let (stop, stopped) = watch::channel(false);
    let (stop_admin, admin_stopped) = watch::channel(false);
    let serving = {
        let (parts, options) = (Arc::clone(&parts), Arc::clone(&parts.listening));
        let tally = parts.service.load().process().tally(Listener::Callers).clone();
        let handle = move |request, peer| {
            let service = parts.service.load_full();
            async move { service.handle(request, peer).await }
        };
        tokio::spawn(listen::serve(listener, options, tally, handle, raised(stopped)))
    };
    if let Some(listener) = admin {
        let (parts, options) = (Arc::clone(&parts), Arc::clone(&parts.admin_listening));
        let tally = parts.service.load().process().tally(Listener::Admin).clone();
        let handle = move |request, peer| {
            let service = parts.service.load_full();
            async move { service.handle_admin(request, peer).await }
        };
        tokio::spawn(listen::serve(listener, options, tally, handle, raised(admin_stopped)));
    }
    let started_by = Some(started_by);
    let (supervisor, reloading) = (Supervisor::default(), None);
    Ok(Running { address, admin_address, parts, started_by, reloading, supervisor, stop, stop_admin, serving })
}

impl Running {
    /// Where calls and browsers come in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health and readiness are asked.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The broker behind it.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.parts.broker
    }

    /// What its listeners share.
    pub fn process(&self) -> Arc<Process> {
        Arc::clone(self.parts.service.load().process())
    }

    /// From now on changes of the configuration are taken over. Nothing is done when it is followed already.
    pub fn follow(&mut self, reloading: Reloading) {
        if let Some(started_by) = self.started_by.take() {
            self.supervisor = reloading.supervisor.clone();
            self.reloading = Some(reload::follow(Arc::clone(&self.parts), started_by, reloading));
        }
    }

    /// Ends it without dropping an accepted request inside the drain time: says that it is going, goes on accepting for
    /// the drain delay, then stops, lets requests finish, and last what must be stored: refreshes, exchanges.
    pub async fn drain(self) {
        let begun = Instant::now();
        let (service, broker) = (self.parts.service.load_full(), &self.parts.broker);
        let (drain, drain_delay) = (service.settings().drain, service.settings().drain_delay);
        service.process().begin_drain();
        self.supervisor.stopping(drain_delay + drain + broker.longest_duty() + LAST_EXPORT + telemetry::LAST_OF_ALL);
        if let Some(reloading) = self.reloading {
            reloading.abort();
        }
        // A quarter of the drain is enough for a list to be ended properly.
        broker.close(Instant::now() + drain_delay + drain * 3 / 4);
        tokio::time::sleep(drain_delay).await;
        service.process().ends_at(std::time::Instant::now() + drain);
        let _ = self.stop.send(true);
        if !matches!(self.serving.await, Ok(Drained::Whole)) {
            tracing::warn!("the drain time is over; requests still in flight are cut off");
        }
        // Their own time: a long call may have used the drain's up, and an answer that is not stored may be a grant
        // lost.
        if tokio::time::timeout(broker.longest_duty(), broker.duties_ended()).await.is_err() {
            tracing::warn!("work for a grant is cut off; it is taken up at the next start");
        }
        // What is left of the drain, as far as spans are worth it, and a moment where nothing is.
        let now = Instant::now();
        let deadline = (begun + drain_delay + drain).min(now + LONGEST_LAST_EXPORT).max(now + LAST_EXPORT);
        self.parts.exporting.finish(deadline).await;
        let _ = self.stop_admin.send(true);
        service.process().end_denials();
    }
}

fn say_that_it_is_open() {
    tracing::warn!(
        "open mode: anybody on this machine may use every connection. Configure callers before anything else can reach it"
    );
}

/// Ready once the flag is raised, or nobody is left to raise it.
async fn raised(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|raised| *raised).await;
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { key, address, source })
}

fn local_address(key: &'static str, wanted: SocketAddr, listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { key, address: wanted, source })
}
