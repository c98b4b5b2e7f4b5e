//! `keyferry demo`: a sidecar with an in-memory store, a small provider and a sample application, all on loopback and all
//! saying that they are a demo. The sidecar is the real one, configured by files as any other.

mod app;
mod authority;
mod provider;
mod serve;
mod workspace;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::mpsc;

use self::app::SampleApp;
use self::authority::Registration;
use self::provider::{Event, Provider};
use self::workspace::Workspace;
use super::terminal::{complain, say};
use super::{Environment, Failure, Outcome};
use crate::app::{Running, StartError};
use crate::broker::random_token;
use crate::clock::Clock;
use crate::config::{self, LoadRequest};
use crate::telemetry;

/// The client's identifier at the provider.
const CLIENT_ID: &str = "keyferry-demo";

/// Without the warning that anybody on this machine may use the connections: that is what a demo is for.
const LOG_LEVEL: &str = "warn,keyferry::app=error";

/// The arguments of `keyferry demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "It needs no account, no server and no configuration, speaks to nothing outside of this machine, \
                        and forgets everything when it ends. Its store is in memory; its configuration stands in a \
                        temporary folder while it runs."
)]
pub(super) struct Arguments {
    /// Port of the sidecar; 0 for any that is free [default: 8080, or a free one when it is taken]
    #[arg(long)]
    port: Option<u16>,

    /// How long the demo provider's access tokens live: 60s, 2m
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = token_life)]
    token_life: Duration,

    /// How much of the sidecar's own log to show: error, warn, info, debug [default: what deserves a look]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

pub(super) async fn run(
    arguments: Arguments,
    environment: &Environment,
    stops: impl FnOnce() -> io::Result<mpsc::Receiver<()>>,
) -> Outcome {
    let failed = |what: &'static str| move |error: io::Error| Failure::other(format!("{what}: {error}"));
    let level = arguments.log_level.unwrap_or_else(|| LOG_LEVEL.to_owned());
    let log = telemetry::Settings { level, ..telemetry::Settings::default() };
    let logs = telemetry::start(&log).map_err(|error| Failure::other(error.to_string()))?;
    let _last_lines = logs.to_the_end();
    let mut stops = stops().map_err(failed("signals cannot be listened for"))?;

    let (provider_listener, provider_address) =
        serve::bind().await.map_err(failed("no port for the demo's provider"))?;
    let (app_listener, app_address) = serve::bind().await.map_err(failed("no port for the sample application"))?;
    let client_secret = random_token().map_err(|error| Failure::other(error.to_string()))?;
    let workspace = Workspace::create(environment, provider_address, app_address, CLIENT_ID, &client_secret)
        .map_err(failed("the demo's files cannot be written"))?;

    let running = start(&workspace, arguments.port).await?;
    let base = format!("http://localhost:{}", running.address().port());
    let redirect_uri = format!("{base}/integrations/demo/oauth2callback");
    let (events, mut happened) = mpsc::unbounded_channel();
    let registration = Registration { client_id: CLIENT_ID.to_owned(), client_secret, redirect_uri };
    let provider = Provider::new(provider_address, registration, arguments.token_life, Clock::System, events);
    serve::run(provider_listener, provider);
    let app = SampleApp::new(app_address, &base).map_err(|error| Failure::other(format!("no HTTP client: {error}")))?;
    serve::run(app_listener, app);

    introduce(&base, app_address, &workspace, arguments.token_life)?;
    let began = Instant::now();
    loop {
        tokio::select! {
            _ = stops.recv() => break,
            Some(event) = happened.recv() => say(format_args!("{:>5}s  {}", began.elapsed().as_secs(), describe(&event)))?,
        }
    }
    let said = say("The demo ends; nothing of it stays.");
    super::serve::end(running, &mut stops).await?;
    said
}

/// Starts the sidecar on the wanted ports, or on free ones where nobody insists.
async fn start(workspace: &Workspace, port: Option<u16>) -> Result<Running, Failure> {
    let (mut listen, mut admin) = (port.unwrap_or(8080), if port.is_none() { 8081 } else { 0 });
    loop {
        workspace.configure(listen, admin).map_err(|error| Failure::other(format!("config.toml: {error}")))?;
        // Nothing of the person's own environment: the demo is the same everywhere.
        let request = LoadRequest { config_path: Some(workspace.config_path()), ..LoadRequest::default() };
        let config = config::load(request)?;
        match crate::app::start(config, Clock::System).await {
            Ok(running) => return Ok(running),
            Err(StartError::Listen { address, source, .. })
                if port.is_none() && address.port() != 0 && source.kind() == io::ErrorKind::AddrInUse =>
            {
                complain(format_args!(
                    "Port {} is taken by something else; a free one is used instead.",
                    address.port()
                ));
                let taken = if address.port() == listen { &mut listen } else { &mut admin };
                *taken = 0;
            }
            Err(error) => return Err(Failure::other(error.to_string())),
        }
    }
}

fn introduce(base: &str, app: SocketAddr, workspace: &Workspace, token_life: Duration) -> Outcome {
    let file: String = workspace.provider_file().lines().map(|line| format!("    {line}\n")).collect();
    say(format_args!(
        "Keyferry's demo: a sidecar, a make-believe provider and a sample application, all on this machine.\n\n\
         1. Connect an account. Open\n\n    {base}/integrations\n\n   \
         or begin in the sample application:\n\n    http://{app}\n\n\
         2. Call the provider's API. Keyferry puts the access token on the call; nobody else sees it.\n\n    \
         curl {base}/proxy/demo/v1/me\n\n\
         3. Load what is in it, as items that look alike at every provider.\n\n    \
         curl {base}/integrations/demo/items\n\n\
         4. Call again in a while. A token lives for {life} here, and `access_token_number` shows which one was sent.\n\n\
         The provider is this file, {path}:\n\n{file}\n\
         Ctrl-C ends the demo. What happens at the provider:",
        life = humantime::format_duration(token_life),
        path = workspace.provider_path().display(),
    ))
}

fn describe(event: &Event) -> String {
    match event {
        Event::Connected { account, life } => {
            let life = humantime::format_duration(*life);
            format!("connected: {} allowed it, and Keyferry exchanged the code for a token of {life}", account.name)
        }
        Event::Refreshed { account, number } => {
            format!("refreshed: access token number {number} for {}; the refresh token before it is dead", account.name)
        }
        Event::Denied => "denied: the person said no".to_owned(),
        Event::Revoked { account } => format!("revoked: Keyferry ended the grant of {}", account.name),
        Event::Refused { description } => format!("refused: {description}"),
        Event::Called { method, path, caller, status } => {
            let caller = caller.map_or("nobody known", |account| account.name);
            // The path is whatever somebody sent, and this is a terminal.
            let path: String = path.chars().filter(|c| !c.is_control()).take(100).collect();
            format!("called: {method} {path} as {caller}, answered {}", status.as_u16())
        }
    }
}

fn token_life(text: &str) -> Result<Duration, String> {
    let life = humantime::parse_duration(text).map_err(|_| "write for example 60s or 2m".to_owned())?;
    if (1..=86_400).contains(&life.as_secs()) { Ok(life) } else { Err("write one second to one day".to_owned()) }
}
