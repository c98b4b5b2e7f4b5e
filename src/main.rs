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

/// 128 and the number of SIGINT, as shells write it.
const IMPATIENT: i32 = 130;

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
    let code = runtime.block_on(cli::run(arguments, environment, stop_signal, hangups));
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

/// Listens from now on; done with the first SIGTERM or SIGINT. The second ends the process at once.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        let first = Instant::now();
        tokio::spawn(async move {
            loop {
                next().await;
                if first.elapsed() > ONE_WISH {
                    std::process::exit(IMPATIENT);
                }
            }
        });
    })
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
