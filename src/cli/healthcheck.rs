//! `keyferry healthcheck`: whether the sidecar of this configuration is ready, as an exit code. It is what a container
//! without a shell can run; it speaks HTTP to the admin listener and opens nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::admin;
use super::terminal::say;
use super::{Environment, Failure, Outcome};

/// Shorter than what container runtimes give a health check by default.
const PATIENCE: Duration = Duration::from_secs(5);

/// The arguments of `keyferry healthcheck`.
#[derive(Debug, Args)]
#[command(after_help = "It asks GET /readyz at server.admin_listen of the configuration that the sidecar runs with.
Nothing else of the configuration is looked at.
Exit codes: 0 ready, 2 a mistake in server.admin_listen, 1 not ready or not there.")]
pub(super) struct Arguments {
    /// Configuration file [default: config.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Ask here instead of at server.admin_listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,

    /// Ask only whether the process lives (GET /healthz): what a supervisor restarts it for
    #[arg(long)]
    live: bool,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Outcome {
    let address = match arguments.address {
        Some(address) => address,
        None => admin::address(arguments.config, environment)?,
    };
    let (path, good, bad) =
        if arguments.live { ("/healthz", "alive", "not alive") } else { ("/readyz", "ready", "not ready") };
    let asked = tokio::time::timeout(PATIENCE, get(address, path)).await;
    let answer =
        asked.map_err(|_| Failure::other(format!("{address} did not answer within {} s", PATIENCE.as_secs())))?;
    let (status, reason) = answer.map_err(|error| Failure::other(format!("{address} cannot be asked: {error}")))?;
    if status == StatusCode::OK {
        // The exit code is the answer; whether somebody could read the word as well changes nothing of it.
        let _ = say(good);
        return Ok(());
    }
    Err(Failure::other(format!("{bad}: {address} answered {}: {}", status.as_u16(), reason.trim())))
}

async fn get(
    address: SocketAddr,
    path: &str,
) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, 4096).collect().await?.to_bytes();
    let plain = String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).collect();
    Ok((head.status, plain))
}
