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

use super::admin::address;
use super::terminal::say;
use super::{Environment, Failure, Outcome};

/// Shorter than what container runtimes give a health check by default.
const PATIENCE: Duration = Duration::from_secs(5);

/// The arguments of `keyferry healthcheck`.
#[derive(Debug, Args)]
#[command(after_help = "It asks GET /readyz at server.admin_listen of the configuration that the sidecar runs with.
Exit codes: 0 ready, 2 a mistake in the configuration, 1 not ready or not there.")]
pub(super) struct Arguments {
    /// Configuration file [default: config.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Ask here instead of at server.admin_listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Outcome {
    let address = match arguments.address {
        Some(address) => address,
        None => address(arguments.config, environment)?,
    };
    let asked = tokio::time::timeout(PATIENCE, readiness(address)).await;
    let answer =
        asked.map_err(|_| Failure::other(format!("{address} did not answer within {} s", PATIENCE.as_secs())))?;
    let (status, reason) = answer.map_err(|error| Failure::other(format!("{address} cannot be asked: {error}")))?;
    if status == StatusCode::OK {
        say("ready");
        return Ok(());
    }
    Err(Failure::other(format!("not ready: {address} answered {}: {}", status.as_u16(), reason.trim())))
}

async fn readiness(address: SocketAddr) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/readyz").header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, 4096).collect().await?.to_bytes();
    let plain = String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).collect();
    Ok((head.status, plain))
}
