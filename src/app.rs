//! From configuration to a running sidecar, and from there to its end: the only place that wires.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::broker::{self, Broker, BrokerError, Network};
use crate::clock::Clock;
use crate::config::Config;
use crate::route::Via;
use crate::server::listen::{self, Drained, TlsFileError};
use crate::server::{self, Service};
use crate::store::{Store, StoreError};
use crate::upstream::{Fetch, SetupError, Upstream};

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
    service: Arc<Service>,
    broker: Arc<Broker>,
    drain: Duration,
    drain_delay: Duration,
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
    let mut settings = config.server;
    let listener = bind("server.listen", settings.listen).await?;
    let address = local_address("server.listen", settings.listen, &listener)?;
    let admin = match settings.admin_listen {
        Some(wanted) => Some(bind("server.admin_listen", wanted).await?),
        None => None,
    };
    let admin_address = match (&admin, settings.admin_listen) {
        (Some(listener), Some(wanted)) => Some(local_address("server.admin_listen", wanted, listener)?),
        _ => None,
    };
    if config.public_url_is_derived {
        // With port 0 only now is it known.
        let _ = settings.public_url.set_port(Some(address.port()));
    }
    let public_base = format!("{}{}", settings.public_url.as_str().trim_end_matches('/'), settings.base_path);

    let broker_settings = broker::Settings {
        public_base: public_base.clone(),
        confirm: !settings.is_open(),
        allow_http: config.net.allow_http,
        token_timeout: config.net.token_timeout,
    };
    let entropy = |error: BrokerError| StartError::Entropy(error.to_string());
    let instance = broker::random_token().map_err(entropy)?.expose()[..8].to_owned();
    let via = Via::new(&instance);
    let upstream = Upstream::new(&config.net)?;
    let fetch = Fetch::new(&config.net)?;
    let network = Network { fetch: fetch.clone(), upstream: upstream.clone(), via: via.clone() };
    let broker = Broker::new(broker_settings, config.integrations, store, network, clock);
    broker.sweep_periodically();

    let (drain, drain_delay) = (settings.drain, settings.drain_delay);
    if settings.is_open() {
        tracing::warn!(
            "open mode: anybody on this machine may use every connection. Configure callers before anything else can reach it"
        );
    }
    let listening = listen::Options {
        limits: settings.limits.clone(),
        tls: settings.tls.as_ref().map(listen::tls_config).transpose()?,
        drain,
        malformed: server::malformed,
    };
    let service = Arc::new(Service::new(settings, Arc::clone(&broker), upstream, fetch, via, public_base, instance));

    let (stop, stopped) = watch::channel(false);
    let (stop_admin, admin_stopped) = watch::channel(false);
    let serving = {
        let service = Arc::clone(&service);
        let handle = move |request, peer| {
            let service = Arc::clone(&service);
            async move { service.handle(request, peer).await }
        };
        tokio::spawn(listen::serve(listener, listening.clone(), handle, raised(stopped)))
    };
    if let Some(listener) = admin {
        let service = Arc::clone(&service);
        let handle = move |request, _| {
            let service = Arc::clone(&service);
            async move { service.handle_admin(request).await }
        };
        // Health is asked on loopback or inside a pod, in plain HTTP.
        let listening = listen::Options { tls: None, ..listening };
        tokio::spawn(listen::serve(listener, listening, handle, raised(admin_stopped)));
    }
    Ok(Running { address, admin_address, service, broker, drain, drain_delay, stop, stop_admin, serving })
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
        &self.broker
    }

    /// Ends it without dropping an accepted request inside the drain time: says that it is going, goes on accepting for
    /// the drain delay, then stops, lets requests finish, and last what must be stored: refreshes, exchanges.
    pub async fn drain(self) {
        self.service.begin_drain();
        // A quarter of the drain is enough for a list to be ended properly.
        self.broker.close(Instant::now() + self.drain_delay + self.drain * 3 / 4);
        tokio::time::sleep(self.drain_delay).await;
        let _ = self.stop.send(true);
        if !matches!(self.serving.await, Ok(Drained::Whole)) {
            tracing::warn!("the drain time is over; requests still in flight are cut off");
        }
        let done = async {
            while self.broker.under_way() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // Their own time: a long call may have used the drain's up, and an answer that is not stored may be a grant
        // lost.
        if tokio::time::timeout(self.broker.longest_duty(), done).await.is_err() {
            tracing::warn!("work for a grant is cut off; it is taken up at the next start");
        }
        let _ = self.stop_admin.send(true);
    }
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
