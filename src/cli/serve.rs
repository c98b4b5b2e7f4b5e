//! `keyferry serve`: runs the sidecar until a signal ends it.

use std::io;
use std::path::PathBuf;

use clap::Args;
use tokio::sync::mpsc;

use super::{Environment, Failure, Outcome};
use crate::app::{self, Reloading, Running, StartError, Supervisor};
use crate::clock::Clock;
use crate::config::{self, Config, LoadRequest, Loaded, Override};
use crate::telemetry;

/// The arguments of `keyferry serve`.
#[derive(Debug, Default, Args)]
#[group(skip)]
#[command(after_help = "Examples:
  keyferry serve
      reads config.toml in this folder, if there is one, and listens on 127.0.0.1:8080
  keyferry serve --config /etc/keyferry/config.toml
      reads that file, which has to be there
  KEYFERRY_SERVER__LISTEN=127.0.0.1:9000 keyferry serve
      any key may be set by a variable named KEYFERRY_<TABLE>__<KEY>

Without API keys ([callers] in config.toml) it serves this machine only. `keyferry keys new` makes one.
A changed config.toml, provider file or `file:` secret is taken over while it runs, and looked at anew on SIGHUP.
SIGTERM and Ctrl-C let requests in flight finish; a second one ends it at once.
Exit codes: 0 ended by a signal, 2 a mistake in the configuration, 1 anything else.")]
pub(super) struct Arguments {
    /// Configuration file [default: config.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Where to listen, instead of server.listen: 127.0.0.1:9000
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// What browsers reach it as, instead of server.public_url
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// How much to log, instead of log.level: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

pub(super) async fn run(
    arguments: Arguments,
    environment: Environment,
    stops: impl FnOnce() -> io::Result<mpsc::Receiver<()>>,
    hangups: impl FnOnce() -> io::Result<mpsc::Receiver<()>>,
) -> Outcome {
    let unheard = |error| Failure::other(format!("signals cannot be listened for: {error}"));
    // Before everything else: from here on SIGHUP means another look and not the end.
    let hangups = hangups().map_err(unheard)?;
    let supervised_at = environment.get("NOTIFY_SOCKET").map(str::to_owned);
    let request = arguments.request(environment);
    let Loaded { config, sources } = config::load_with_sources(request.clone());
    let config = config?;
    let logs = telemetry::start(&config.log).map_err(Failure::of_log)?;
    let _last_lines = logs.to_the_end();
    for warning in &config.warnings {
        tracing::warn!(file = warning.file, key = warning.key, remedy = warning.remedy, "config: {}", warning.fault);
    }
    let mut stops = stops().map_err(unheard)?;
    let mut running = start(config).await?;
    let supervisor = Supervisor::at(supervised_at.as_deref());
    running.follow(Reloading { request, sources, logs, hangups, supervisor: supervisor.clone() });
    supervisor.ready("serving");
    let _ = stops.recv().await;
    tracing::info!("stopping; a second signal ends it at once");
    end(running, &mut stops).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Drains, unless there is a second wish for the end.
pub(super) async fn end(running: Running, stops: &mut mpsc::Receiver<()>) -> Outcome {
    let process = running.process();
    tokio::select! {
        () = running.drain() => Ok(()),
        Some(()) = stops.recv() => {
            process.end_denials();
            tracing::warn!("ended by a second signal; what was in flight is cut off");
            Err(Failure::Impatient)
        }
    }
}

/// Starts the sidecar and logs where it listens. Supervisors and tests wait for that line.
async fn start(config: Config) -> Result<Running, Failure> {
    let running = app::start(config, Clock::System).await.map_err(failure)?;
    let address = running.address();
    match running.admin_address() {
        Some(admin_address) => tracing::info!(%address, %admin_address, "listening"),
        None => tracing::info!(%address, "listening"),
    }
    Ok(running)
}

/// What cannot be started as configured; a person reads it on standard error, whatever the log's format.
fn failure(error: StartError) -> Failure {
    Failure::other(format!("it does not start: {error}"))
}

impl Arguments {
    fn request(self, environment: Environment) -> LoadRequest {
        let flags = [
            ("--listen", "server.listen", self.listen),
            ("--public-url", "server.public_url", self.public_url),
            ("--log-level", "log.level", self.log_level),
        ];
        let set = |(flag, key, value): (&str, &str, Option<String>)| {
            Some(Override { flag: flag.to_owned(), key: key.to_owned(), value: value? })
        };
        LoadRequest {
            config_path: self.config,
            environment: environment.into_pairs(),
            overrides: flags.into_iter().filter_map(set).collect(),
            ..LoadRequest::default()
        }
    }
}
