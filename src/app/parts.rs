//! The parts of a running sidecar that follow from its configuration: made whole first, then put in force.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::exporting::Exporting;
use crate::broker::{self, Broker, Changes, Integration, Network};
use crate::config::Config;
use crate::route::Via;
use crate::server::listen::{self, TlsFileError};
use crate::server::{self, Process, Service, Settings};
use crate::telemetry::calls::Calls;
use crate::telemetry::trace::Tracer;
use crate::upstream::{self, Fetch, SetupError, Upstream};

/// Everything that is in force. Each is exchanged as a whole, and what has begun goes on with what it began with.
pub(super) struct Parts {
    pub(super) service: ArcSwap<Service>,
    pub(super) broker: Arc<Broker>,
    pub(super) listening: Arc<ArcSwap<listen::Options>>,
    pub(super) admin_listening: Arc<ArcSwap<listen::Options>>,
    pub(super) exporting: Exporting,
    /// Where we listen, whatever the configuration says by now.
    pub(super) address: SocketAddr,
}

/// What follows from a configuration, with everything done that may fail.
pub(super) struct Prepared {
    pub(super) settings: Settings,
    pub(super) broker: broker::Settings,
    pub(super) network: Network,
    tracer: Option<Tracer>,
    public_base: String,
    listening: listen::Options,
    calls: Calls,
}

/// The ways out.
pub(super) fn network(settings: &upstream::Settings, via: Via) -> Result<Network, SetupError> {
    Ok(Network { fetch: Fetch::new(settings)?, upstream: Upstream::new(settings)?, via })
}

/// The same by other settings. What was counted goes on.
pub(super) fn network_after(before: Network, settings: &upstream::Settings) -> Result<Network, SetupError> {
    Ok(Network { fetch: Fetch::new(settings)?, upstream: before.upstream.following(settings)?, via: before.via })
}

impl Prepared {
    /// `settings` are those of the configuration, as far as they can be in force while we listen on `address`.
    pub(super) fn new(
        mut settings: Settings,
        config: &Config,
        address: SocketAddr,
        network: Network,
        tracer: Option<Tracer>,
    ) -> Result<Self, TlsFileError> {
        if config.public_url_is_derived {
            // With port 0 only now is it known.
            let _ = settings.public_url.set_port(Some(address.port()));
        }
        let public_base = format!("{}{}", settings.public_url.as_str().trim_end_matches('/'), settings.base_path);
        let broker = broker::Settings {
            public_base: public_base.clone(),
            confirm: !settings.is_open(),
            allow_http: config.net.allow_http,
            token_timeout: config.net.token_timeout,
        };
        let listening = listen::Options {
            limits: settings.limits.clone(),
            tls: settings.tls.as_ref().map(listen::tls_config).transpose()?,
            drain: settings.drain,
            malformed: server::malformed,
        };
        Ok(Self { settings, broker, network, tracer, public_base, listening, calls: config.log.calls })
    }
}

impl Parts {
    pub(super) fn new(
        prepared: Prepared,
        process: Arc<Process>,
        broker: Arc<Broker>,
        exporting: Exporting,
        address: SocketAddr,
    ) -> Self {
        let Prepared { settings, network, tracer, public_base, listening, calls, .. } = prepared;
        process.log_calls(calls);
        let service = Service::new(settings, process, Arc::clone(&broker), network, tracer, public_base);
        Self {
            service: ArcSwap::from_pointee(service),
            broker,
            admin_listening: Arc::new(ArcSwap::from_pointee(plain(&listening))),
            listening: Arc::new(ArcSwap::from_pointee(listening)),
            exporting,
            address,
        }
    }

    /// Puts it in force. Who may call goes first: nobody reaches a new integration by an old key.
    pub(super) fn exchange(&self, prepared: Prepared, integrations: Vec<Integration>) -> Changes {
        let Prepared { settings, broker, network, tracer, public_base, listening, calls } = prepared;
        self.service.load().process().log_calls(calls);
        self.service.store(Arc::new(self.service.load().following(settings, network.clone(), tracer, public_base)));
        let changes = self.broker.configure(broker, integrations, network);
        self.admin_listening.store(Arc::new(plain(&listening)));
        self.listening.store(Arc::new(listening));
        changes
    }
}

/// Health is asked on loopback or inside a pod, in plain HTTP.
fn plain(options: &listen::Options) -> listen::Options {
    listen::Options { tls: None, ..options.clone() }
}
