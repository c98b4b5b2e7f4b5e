//! A sidecar around one fixed grant, and peers to put on its two sides.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use keyferry::mapping::Template;
use keyferry::route::{Api, Ready, Target, TokenPlace, Via};
use keyferry::server::listen::Tally;
use keyferry::server::listen::{self, Drained, Options};
use keyferry::server::{Body, CallRecord, ForwardError, Limits, forward};
use keyferry::upstream::{Settings, Upstream, UpstreamError};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Longer than anything here takes, shorter than anybody waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Fails a test that would hang.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

pub(super) fn template(text: &str) -> Template {
    Template::parse(text).expect("a template")
}

/// A grant at that base URL, with the token `t0ken`.
pub(super) fn ready(base_url: &str) -> Ready {
    ready_with_token(base_url, "t0ken")
}

pub(super) fn ready_with_token(base_url: &str, token: &'static str) -> Ready {
    let api =
        Api { base_url: template(base_url), headers: vec![], query: vec![], auth: TokenPlace::bearer(), rate: None };
    Ready::prepare(&api, |_| Some(Cow::Borrowed(token)), true).expect("ready")
}

/// How a sidecar is set up.
pub(super) struct Setup {
    pub(super) ready: Ready,
    pub(super) net: Settings,
    pub(super) limits: Limits,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) drain: Duration,
    /// The grant after a renewal; `None`: the token is too young to be renewed.
    pub(super) renewed: Option<Option<Ready>>,
}

impl Setup {
    pub(super) fn new(base_url: &str) -> Self {
        Self {
            ready: ready(base_url),
            net: Settings::default(),
            limits: Limits::default(),
            tls: None,
            drain: Duration::from_secs(5),
            renewed: None,
        }
    }

    pub(super) async fn run(self) -> Sidecar {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let renewals = Arc::new(AtomicUsize::new(0));
        let options = Options { limits: self.limits, tls: self.tls, drain: self.drain, malformed };
        let part = Arc::new(Part {
            upstream: Upstream::new(&self.net).expect("net settings"),
            via: Via::new("test"),
            ready: self.ready,
            may_renew: self.renewed.is_some(),
            renewed: self.renewed.flatten().map(Arc::new),
            renewals: Arc::clone(&renewals),
        });
        let service = move |request, _| answer(Arc::clone(&part), request);
        let options = Arc::new(ArcSwap::from_pointee(options));
        let ended = tokio::spawn(listen::serve(listener, options, Tally::default(), service, async move {
            let _ = stopped.await;
        }));
        Sidecar { address, stop, ended, renewals }
    }
}

/// A running listener.
pub(super) struct Sidecar {
    pub(super) address: SocketAddr,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) ended: JoinHandle<Drained>,
    pub(super) renewals: Arc<AtomicUsize>,
}

pub(super) async fn sidecar(base_url: &str) -> Sidecar {
    Setup::new(base_url).run().await
}

struct Part {
    upstream: Upstream,
    via: Via,
    ready: Ready,
    may_renew: bool,
    renewed: Option<Arc<Ready>>,
    renewals: Arc<AtomicUsize>,
}

async fn answer(part: Arc<Part>, request: Request<Incoming>) -> Response<Body> {
    let uri = request.uri().clone();
    let path_and_query = uri.path_and_query().map_or("/", |whole| whole.as_str());
    let target = match Target::parse(path_and_query, "") {
        Ok(Some(target)) => target,
        Ok(None) => return failure(StatusCode::NOT_FOUND, "not_found"),
        Err(error) => return failure(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let renew = |_| async {
        part.renewals.fetch_add(1, Ordering::SeqCst);
        part.renewed.clone()
    };
    let renew = part.may_renew.then_some(renew);
    match forward(&part.upstream, &part.via, &part.ready, request, &target, renew, &mut CallRecord::default()).await {
        Ok(response) => response,
        Err(error) => {
            let status = match &error {
                ForwardError::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
                ForwardError::Loop(_) => StatusCode::LOOP_DETECTED,
                ForwardError::Target(_) | ForwardError::Upstream(UpstreamError::Caller { .. }) => {
                    StatusCode::BAD_REQUEST
                }
                ForwardError::Upstream(UpstreamError::Timeout { .. }) => StatusCode::GATEWAY_TIMEOUT,
                ForwardError::Upstream(_) => StatusCode::BAD_GATEWAY,
            };
            failure(status, &with_causes(&error))
        }
    }
}

pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn failure(status: StatusCode, detail: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(detail.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert("keyferry-error", "x".parse().expect("a value"));
    response
}

fn malformed(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{{\"status\":{}}}", status.as_u16())));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", "application/problem+json".parse().expect("a value"));
    response
}

/// Writes bytes to a fresh connection and reads all that comes back until it is closed.
pub(super) async fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    soon(async {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_ref()).await.expect("written");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer to its end");
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
}

/// A GET of that path, with more lines of head.
pub(super) async fn get(address: SocketAddr, path: &str, lines: &str) -> String {
    raw(address, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")).await
}

/// The number in the status line.
pub(super) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer:?}"))
}

/// Reads one head, to its empty line.
pub(super) async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).expect("text")
}

/// A provider that speaks bytes: each connection is given to `talk`.
pub(super) async fn raw_provider<T, F>(talk: T) -> SocketAddr
where
    T: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream));
        }
    });
    address
}

/// A provider that records each head and answers every request with 200 `ok`.
pub(super) async fn recording_provider() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (heads, recorded) = mpsc::unbounded_channel();
    let address = raw_provider(move |mut stream| {
        let heads = heads.clone();
        async move {
            loop {
                let head = read_head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                let _ = heads.send(head);
                if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (address, recorded)
}

/// A provider that is a hyper server, over TLS when it is given a certificate.
pub(super) async fn provider<S, F, B>(tls: Option<Arc<rustls::ServerConfig>>, service: S) -> SocketAddr
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    raw_provider(move |stream| {
        let service = service.clone();
        let tls = tls.clone().map(TlsAcceptor::from);
        async move {
            let service = service_fn(move |request| {
                let answering = service(request);
                async move { Ok::<_, Infallible>(answering.await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = match tls {
                None => builder.serve_connection(TokioIo::new(stream), service).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => builder.serve_connection(TokioIo::new(stream), service).await,
                    Err(_) => Ok(()),
                },
            };
        }
    })
    .await
}

/// A certificate authority of the moment: a file with its root, and servers' certificates for `localhost` and
/// 127.0.0.1.
pub(super) struct Authority {
    pub(super) root: PathBuf,
    _folder: tempfile::TempDir,
    certificate: rcgen::CertifiedKey<rcgen::KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let names = ["localhost", "127.0.0.1", "provider.test"].map(str::to_owned);
        let certificate = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root.pem");
        std::fs::write(&root, certificate.cert.pem()).expect("written");
        Self { root, _folder: folder, certificate }
    }

    /// Writes certificate and key as PEM files.
    pub(super) fn files(&self) -> (PathBuf, PathBuf) {
        let key = self.root.with_file_name("key.pem");
        std::fs::write(&key, self.certificate.signing_key.serialize_pem()).expect("written");
        (self.root.clone(), key)
    }

    /// A server's configuration that offers these protocols.
    pub(super) fn server(&self, protocols: &[&str]) -> Arc<rustls::ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.certificate.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.cert.der().clone()], key)
            .expect("a certificate");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A caller over HTTP/1.1 that keeps its connection.
pub(super) async fn http1_caller<B>(address: SocketAddr) -> http1::SendRequest<B>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

/// A caller over HTTP/2 with prior knowledge.
pub(super) async fn http2_caller<B>(address: SocketAddr) -> http2::SendRequest<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

pub(super) fn no_body() -> Empty<Bytes> {
    Empty::new()
}

pub(super) fn full(text: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(text.into())
}

pub(super) async fn text(body: impl http_body::Body<Data = Bytes, Error: std::fmt::Debug>) -> String {
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    String::from_utf8(bytes.into()).expect("text")
}
