//! A certificate in place of a secret (RFC 8705): a server that demands one, for tokens and for calls, and takes note of
//! whose each request came by.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, pki_types::CertificateDer, server::WebPkiClientVerifier};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::support::{Configuration, Keyferry, Person};

/// An authority, and what it signed.
struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, in PEM.
struct Certificate {
    cert: String,
    key: String,
    der: CertificateDer<'static>,
    pair: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> Certificate {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        let pair = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&pair, &self.issuer).expect("a certificate");
        Certificate { cert: certificate.pem(), key: pair.serialize_pem(), der: certificate.der().clone(), pair }
    }
}

/// A server that speaks with nobody who has no certificate of the authority's.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: JoinHandle<()>,
}

/// One request: whose certificate its connection presented, which connection, and what it asked.
#[derive(Clone, Debug)]
struct Seen {
    certificate: Vec<u8>,
    connection: usize,
    line: String,
    body: String,
    authorization: String,
}

impl Server {
    async fn start(authority: &Authority) -> Self {
        let own = authority.sign("localhost");
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let demanding =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().expect("one");
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.pair.serialize_der());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(demanding)
            .with_single_cert(vec![own.der], key.into())
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let shared = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                connection += 1;
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let presented = stream.get_ref().1.peer_certificates().expect("it is demanded")[0].to_vec();
                    let answer =
                        service_fn(move |request| answer(request, presented.clone(), connection, seen.clone()));
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self { port, seen, serving }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("no panic"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A token names whose certificate it was given to.
async fn answer(
    request: Request<Incoming>,
    certificate: Vec<u8>,
    connection: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let field = head.headers.get("authorization").map(|value| value.to_str().expect("ASCII").to_owned());
    let client = String::from_utf8_lossy(&body).into_owned();
    let token = json!({ "access_token": format!("AT of {}", client.len()), "expires_in": 3600 });
    seen.lock().expect("no panic").push(Seen {
        certificate,
        connection,
        line: format!("{} {}", head.method, head.uri.path()),
        body: client,
        authorization: field.unwrap_or_default(),
    });
    let answer = if head.uri.path() == "/token" { token } else { json!({}) };
    Ok(Response::new(Full::from(answer.to_string())))
}

fn file(server: &Server) -> String {
    format!(
        "[oauth]\ngrant_types = [\"client_credentials\"]\ntoken_endpoint = \"{url}/token\"\n\
         token_endpoint_auth_method = \"tls_client_auth\"\n[api]\nbase_url = \"{url}/api\"\n",
        url = server.url()
    )
}

fn integration(name: &str, certificate: &Certificate) -> String {
    let (cert, key) = (Value::from(certificate.cert.as_str()), Value::from(certificate.key.as_str()));
    format!(
        "[integrations.{name}]\nprovider = \"acme\"\nclient_id = \"the-{name}\"\n\
         [integrations.{name}.tls]\ncert = {cert}\nkey = {key}\n"
    )
}

/// Two integrations at one provider: tokens and calls go by each one's own certificate, however often they take turns.
#[tokio::test]
async fn each_integration_is_itself() {
    let authority = Authority::new();
    let server = Server::start(&authority).await;
    let (one, two) = (authority.sign("one"), authority.sign("two"));
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), &authority.pem).expect("it is written");
    let configuration = Configuration::new()
        .provider("acme", &file(&server))
        .toml(&format!("[net]\nca_file = {:?}", ca.path()))
        .toml(&integration("one", &one))
        .toml(&integration("two", &two));
    let keyferry = Keyferry::start(configuration).await;
    for _ in 0..3 {
        for name in ["one", "two"] {
            keyferry.call(name, "/me", Person::ADA).await.expect(200);
        }
    }
    let seen = server.seen();
    let of = |certificate: &Certificate| -> Vec<Seen> {
        seen.iter().filter(|seen| seen.certificate == certificate.der.to_vec()).cloned().collect()
    };
    for (name, own) in [("one", of(&one)), ("two", of(&two))] {
        let [token, calls @ ..] = &own[..] else { panic!("requests of {name}: {seen:?}") };
        assert_eq!(token.line, "POST /token");
        assert_eq!(token.body, format!("grant_type=client_credentials&client_id=the-{name}"));
        assert_eq!(calls.len(), 3, "{name}");
        for call in calls {
            assert_eq!((call.line.as_str(), call.authorization.starts_with("Bearer AT")), ("GET /api/me", true));
        }
        assert!(calls.iter().all(|call| call.connection == calls[0].connection), "the pool lends its own again");
    }
    assert_eq!(seen.len(), 8);
    keyferry.assert_keeps(&[one.key.lines().nth(1).expect("a line").to_owned()]);
}

/// Without a certificate there is no way in, and an operator who names none is told so.
#[tokio::test]
async fn without_it_there_is_no_way_in() {
    let authority = Authority::new();
    let server = Server::start(&authority).await;
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), &authority.pem).expect("it is written");
    let stranger = Authority::new().sign("one");
    let configuration = Configuration::new()
        .provider("acme", &file(&server))
        .provider("plain", &file(&server).replace("\"tls_client_auth\"", "\"none\""))
        .toml(&format!("[net]\nca_file = {:?}", ca.path()))
        .toml("[integrations.acme]\nclient_id = \"the-id\"")
        .toml("[integrations.plain]\nclient_id = \"the-id\"")
        .toml(&integration("strange", &stranger));
    let keyferry = Keyferry::start(configuration).await;
    let missing = keyferry.call("acme", "/me", Person::ADA).await.expect(500).json();
    let detail = missing["detail"].as_str().expect("a sentence");
    assert!(
        detail.contains("`integrations.acme.tls.cert`") && detail.contains("`integrations.acme.tls.key`"),
        "{detail}"
    );
    for name in ["plain", "strange"] {
        let refused = keyferry.call(name, "/me", Person::ADA).await.expect(502).json();
        assert_eq!(refused["code"], "token_endpoint_failed", "{name}");
    }
    assert!(server.seen().is_empty());
}

/// Certificates are read at load: what is none, and a key that is another's.
#[tokio::test]
async fn what_does_not_fit_is_a_mistake() {
    let authority = Authority::new();
    let (one, two) = (authority.sign("one"), authority.sign("two"));
    for (cert, key, sentence) in [
        ("nothing", one.key.as_str(), "has no certificate in `cert`"),
        (one.cert.as_str(), "nothing", "has no private key in `key`"),
        (one.cert.as_str(), two.key.as_str(), "has a certificate and a key that do not fit"),
    ] {
        let certificate = Certificate {
            cert: cert.to_owned(),
            key: key.to_owned(),
            der: one.der.clone(),
            pair: KeyPair::generate().expect("a key"),
        };
        let configuration = Configuration::new()
            .provider("acme", "[oauth]\nissuer = \"https://acme.example\"\n[api]\nbase_url = \"https://acme.example\"")
            .toml(&integration("one", &certificate));
        let exit = Keyferry::refuse(configuration).await;
        assert_eq!(exit.status.code(), Some(2), "{}", exit.stderr);
        assert!(exit.stderr.contains(&format!("integrations.one.tls  {sentence}")), "{}", exit.stderr);
    }
}
