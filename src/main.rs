//! The process and nothing else: core dumps, panics, TLS provider, arguments, environment, runtime, signals, exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;
use keyferry::cli::{self, Arguments};
use keyferry::telemetry;
use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// `timeout`, and wrappers that pass a terminal's signal on, send one wish twice; a person does not press keys so fast.
const ONE_WISH: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    telemetry::log_panics();
    forbid_core_dumps();
    rustls::crypto::ring::default_provider().install_default().expect("nothing has installed a provider before main");
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::unparsed(&error),
    };
    // The one place that reads the environment.
    let environment = std::env::vars_os().collect();

    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(io::stderr(), "keyferry: no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(arguments, environment, stops, hangups));
    // What still waits in a thread, for a file that never comes, does not hold up the end.
    runtime.shutdown_background();
    code
}

/// A core file would hold every token in memory. Where the limit cannot be set, it is already lower or the sandbox
/// forbids asking; neither is a reason not to run.
fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
}

/// Listens from now on, to the end of the process; a message for each wish that it ends, by SIGTERM or SIGINT.
fn stops() -> io::Result<mpsc::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        let mut first: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first.is_none_or(|first| first.elapsed() > ONE_WISH) {
                first.get_or_insert_with(Instant::now);
                let _ = sender.try_send(());
            }
        }
    });
    Ok(receiver)
}

/// Listens from now on, to the end of the process; one message for SIGHUP, and for any number of them that come before
/// it is taken.
fn hangups() -> io::Result<mpsc::Receiver<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let _ = sender.try_send(());
        }
    });
    Ok(receiver)
}
