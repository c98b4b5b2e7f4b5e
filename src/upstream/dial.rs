//! Dialling: resolves a host, checks every address it stands for, and connects to the address that was checked, never
//! to a second answer of the same name. TLS and the CONNECT of a proxy are part of it, all within `connect_timeout`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::address::{Asked, Policy};
use super::proxy::Proxy;
use super::tls::{Presenting, Tls};
use super::wire::Wire;
use super::{CertificateError, Refusal, Settings, SetupError, UpstreamError, Waiting};
use crate::model::ClientCertificate;

/// How long one address may stay silent before the next is tried beside it (RFC 8305 section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Most bytes of a proxy's answer to CONNECT.
const PROXY_HEAD_BYTES: usize = 8 * 1024;

/// Everything that decides how a connection is made.
pub(super) struct Dialer {
    policy: Policy,
    tls: Tls,
    presenting: Presenting,
    proxy: Option<Proxy>,
    connect_timeout: Duration,
    stage: Option<SocketAddr>,
}

/// Which HTTP versions are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 where the peer speaks it, otherwise HTTP/1.1.
    Any,
    /// HTTP/1.1 alone.
    Http1,
}

/// Whom to dial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) https: bool,
    pub(super) trusted_as_written: bool,
    /// The operator's own, such as the application behind us: where it is, is the operator's word alone, and no proxy stands
    /// in between.
    pub(super) is_operators: bool,
    /// Who we are to them, should they ask.
    pub(super) certificate: Option<&'a Arc<ClientCertificate>>,
}

impl Dialer {
    /// Reads `ca_file` and checks `proxy`.
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self {
            policy: Policy { allow: settings.allow.clone(), allow_http: settings.allow_http },
            tls: Tls::load(settings.ca_file.as_deref())?,
            presenting: Presenting::default(),
            proxy: settings.proxy.as_ref().map(|proxy| Proxy::parse(proxy.expose())).transpose()?,
            connect_timeout: settings.connect_timeout,
            stage: settings.stage,
        })
    }

    /// What TLS is to offer and to present.
    pub(super) fn tls(&self, certificate: Option<&Arc<ClientCertificate>>) -> Result<Tls, CertificateError> {
        match certificate {
            Some(certificate) => self.presenting.of(certificate, &self.tls),
            None => Ok(self.tls.clone()),
        }
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Where everything is dialled instead.
    pub(super) fn stage(&self) -> Option<SocketAddr> {
        self.stage
    }

    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Connects, with TLS where the scheme asks for it.
    pub(super) async fn dial(&self, peer: Peer<'_>, offer: Offer) -> Result<Wire, UpstreamError> {
        let connecting = async {
            if let Some(stage) = self.stage {
                return connect_to(peer, vec![stage]).await.map(Wire::plain);
            }
            let tcp = self.connect(peer).await?;
            if peer.https { self.secure(peer, offer, tcp).await } else { Ok(Wire::plain(tcp)) }
        };
        tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .unwrap_or_else(|_| Err(UpstreamError::timeout(peer.host, Waiting::Connect)))
    }

    async fn connect(&self, peer: Peer<'_>) -> Result<TcpStream, UpstreamError> {
        match &self.proxy {
            Some(proxy) if !peer.stays_here() => {
                self.check_literal(peer)?;
                let addresses = lookup_host((proxy.host(), proxy.port()))
                    .await
                    .map_err(|cause| UpstreamError::unreachable(peer.host, cause))?;
                let mut tcp = connect_to(peer, addresses.collect()).await?;
                tunnel(&mut tcp, proxy, peer).await.map_err(|cause| UpstreamError::unreachable(peer.host, cause))?;
                Ok(tcp)
            }
            _ => connect_to(peer, self.resolve(peer).await?).await,
        }
    }

    /// Checks what can be checked before a name is resolved: a host that is written as an address, and, towards a
    /// proxy, which resolves names by itself, that nothing goes there in plain.
    pub(super) fn check_literal(&self, peer: Peer<'_>) -> Result<(), UpstreamError> {
        let goes_in_plain = !peer.https && !self.policy.allow_http && self.proxy.is_some() && !peer.stays_here();
        match peer.host.parse() {
            Ok(address) => self.check(peer, address).map_err(|refusal| blocked(peer, refusal)),
            Err(_) if goes_in_plain => Err(blocked(peer, Refusal::PlainHttp)),
            Err(_) => Ok(()),
        }
    }

    fn check(&self, peer: Peer<'_>, address: IpAddr) -> Result<(), Refusal> {
        let Peer { host, https, trusted_as_written, is_operators, .. } = peer;
        if is_operators {
            return Ok(());
        }
        self.policy.check(Asked { host, https, trusted_as_written }, address)
    }

    /// The addresses of the host that may be dialled; an error when there is none. Decimal and octal spellings of an
    /// address go through the system's resolver like any name, and what they stand for is checked.
    pub(super) async fn resolve(&self, peer: Peer<'_>) -> Result<Vec<SocketAddr>, UpstreamError> {
        let found: Vec<SocketAddr> = match peer.host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, peer.port)],
            Err(_) => lookup_host((peer.host, peer.port))
                .await
                .map_err(|cause| UpstreamError::unreachable(peer.host, cause))?
                .collect(),
        };
        let mut refused = Refusal::NoAddress;
        let mut permitted = Vec::with_capacity(found.len());
        for address in found {
            match self.check(peer, address.ip()) {
                Ok(()) => permitted.push(address),
                Err(refusal) => refused = refusal,
            }
        }
        if permitted.is_empty() { Err(blocked(peer, refused)) } else { Ok(permitted) }
    }

    async fn secure(&self, peer: Peer<'_>, offer: Offer, tcp: TcpStream) -> Result<Wire, UpstreamError> {
        let fail = |source| UpstreamError::Tls { host: peer.host.to_owned(), source };
        let tls = self.tls(peer.certificate).map_err(|cause| fail(io::Error::other(cause)))?;
        let config = match offer {
            Offer::Any => tls.any,
            Offer::Http1 => tls.http1,
        };
        let name = ServerName::try_from(peer.host.to_owned()).map_err(|cause| fail(io::Error::other(cause)))?;
        let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(fail)?;
        Ok(Wire::tls(stream.into()))
    }
}

impl Peer<'_> {
    /// What is written as this machine is never asked of a proxy elsewhere.
    pub(super) fn stays_here(self) -> bool {
        let is_loopback = || self.host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        self.is_operators || self.trusted_as_written && (self.host == "localhost" || is_loopback())
    }
}

fn blocked(peer: Peer<'_>, source: Refusal) -> UpstreamError {
    UpstreamError::Blocked { host: peer.host.to_owned(), source }
}

/// The first of the addresses that answers. The next one is tried when one fails or stays silent for a moment, so that
/// a dead IPv6 route costs a quarter of a second and not the whole deadline.
async fn connect_to(peer: Peer<'_>, addresses: Vec<SocketAddr>) -> Result<TcpStream, UpstreamError> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::other("no address");
    loop {
        match waiting.next() {
            Some(address) => attempts.push(connect_one(address)),
            None if attempts.is_empty() => return Err(UpstreamError::unreachable(peer.host, failure)),
            None => {}
        }
        let patience = async {
            if waiting.len() == 0 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(NEXT_ADDRESS_AFTER).await;
        };
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(cause) => failure = cause,
            },
            () = patience => {}
        }
    }
}

async fn connect_one(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// Asks a proxy for a way through (RFC 9110 section 9.3.6).
async fn tunnel(tcp: &mut TcpStream, proxy: &Proxy, peer: Peer<'_>) -> io::Result<()> {
    let host = if peer.host.contains(':') { format!("[{}]", peer.host) } else { peer.host.to_owned() };
    let authority = format!("{host}:{}", peer.port);
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(authorization) = proxy.authorization() {
        request.push_str("Proxy-Authorization: ");
        request.push_str(authorization.expose());
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    tcp.write_all(request.as_bytes()).await?;

    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == PROXY_HEAD_BYTES {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        // Byte by byte, so that nothing of what follows the head is taken.
        head.push(tcp.read_u8().await?);
    }
    let status = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    if head.starts_with(b"HTTP/1.") && status.len() == 3 && status[0] == b'2' {
        return Ok(());
    }
    Err(io::Error::other(format!("the proxy answered {}", String::from_utf8_lossy(status))))
}
