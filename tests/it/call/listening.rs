//! Slow, idle, malformed and departing callers.

use std::time::{Duration, Instant};

use keyferry::server::Limits;
use keyferry::server::listen::{Drained, tls_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::support::*;

const HEAD: &str = "GET /proxy/x/a HTTP/1.1\r\nHost: a\r\n";

async fn brisk(base_url: &str) -> Sidecar {
    let mut setup = Setup::new(base_url);
    setup.limits =
        Limits { header_timeout: Duration::from_millis(300), idle: Duration::from_millis(600), ..Limits::default() };
    setup.run().await
}

/// How long the sidecar keeps a connection on which nothing but these bytes is sent.
async fn kept_for(sidecar: &Sidecar, sent: &[u8]) -> Duration {
    let start = Instant::now();
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    stream.write_all(sent).await.expect("written");
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    start.elapsed()
}

#[tokio::test]
async fn peers_that_never_finish_are_let_go() {
    let (provider, _heads) = recording_provider().await;
    let sidecar = brisk(&format!("http://{provider}")).await;
    for (sent, least) in [
        (&b""[..], 300),
        (b"G", 300),
        (b"PRI * HTTP/2.0\r\n\r\nSM", 300),
        (HEAD.as_bytes(), 300),
        // A whole preface and no frame: idle.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 600),
        // A whole request and then nothing: idle too.
        (b"GET /proxy/x/a HTTP/1.1\r\nHost: a\r\n\r\n", 600),
    ] {
        let kept = kept_for(&sidecar, sent).await.as_millis();
        assert!(kept >= least && kept < least + 4000, "{:?} was kept for {kept} ms", String::from_utf8_lossy(sent));
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_does_not_buy_time() {
    let (provider, _heads) = recording_provider().await;
    let sidecar = brisk(&format!("http://{provider}")).await;
    let start = Instant::now();
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    let trickling = async {
        for byte in HEAD.bytes().chain(std::iter::repeat(b'a')) {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(trickling).await;
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_is_let_go() {
    let authority = Authority::new();
    let mut setup = Setup::new("http://127.0.0.1:9");
    setup.tls = Some(authority.server(&["h2", "http/1.1"]));
    setup.limits.header_timeout = Duration::from_millis(300);
    let sidecar = setup.run().await;
    let kept = kept_for(&sidecar, b"\x16\x03\x01").await;
    assert!(kept >= Duration::from_millis(300) && kept < Duration::from_secs(5), "{kept:?}");
}

#[tokio::test]
async fn a_provider_that_takes_its_time_is_not_the_callers_idleness() {
    let provider = raw_provider(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(1000)).await;
        let _ = stream.write_all(b"late").await;
    })
    .await;
    let sidecar = brisk(&format!("http://{provider}")).await;
    assert!(get(sidecar.address, "/proxy/x/a", "").await.ends_with("late"));
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_let_go() {
    let (gone, is_gone) = tokio::sync::oneshot::channel();
    let gone = std::sync::Arc::new(std::sync::Mutex::new(Some(gone)));
    let provider = raw_provider(move |mut stream| {
        let gone = std::sync::Arc::clone(&gone);
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[0; 65536]).await.is_ok() {}
            if let Some(gone) = gone.lock().expect("whole").take() {
                let _ = gone.send(());
            }
        }
    })
    .await;
    let sidecar = brisk(&format!("http://{provider}")).await;
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    stream.write_all(format!("{HEAD}\r\n").as_bytes()).await.expect("written");
    soon(is_gone).await.expect("told");
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let (provider, mut heads) = recording_provider().await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let many = "X: 1\r\n".repeat(101);
    let large = format!("X: {}\r\n", "a".repeat(40 * 1024));
    for lines in [&many, &large] {
        let answer = raw(sidecar.address, format!("{HEAD}{lines}\r\n")).await;
        assert_eq!(status(&answer), 431, "{answer}");
        assert!(answer.contains("application/problem+json") && answer.ends_with("{\"status\":431}"), "{answer}");
    }
    let nonsense = raw(sidecar.address, "nonsense\r\n\r\n").await;
    assert!(status(&nonsense) == 400 && nonsense.ends_with("{\"status\":400}"), "{nonsense}");
    assert!(heads.try_recv().is_err(), "nothing may have been sent");

    let mut caller = http2_caller(sidecar.address).await;
    let mut request = http::Request::builder().uri(format!("http://{}/proxy/x/a", sidecar.address));
    for count in 0..101 {
        request = request.header(format!("x-{count}"), "1");
    }
    let answer = soon(caller.send_request(request.body(no_body()).expect("a request"))).await.expect("an answer");
    assert_eq!(answer.status(), 431);
}

#[tokio::test]
async fn a_request_in_flight_outlives_the_shutdown() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (release, released) = watch::channel(false);
    let provider = raw_provider(move |mut stream| {
        let (arrived, mut released) = (arrived.clone(), released.clone());
        async move {
            read_head(&mut stream).await;
            let _ = arrived.send(());
            let _ = released.wait_for(|released| *released).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
        }
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    stream.write_all(format!("{HEAD}\r\n").as_bytes()).await.expect("written");
    let mut http2 = http2_caller(sidecar.address).await;
    let request = http::Request::builder()
        .uri(format!("http://{}/proxy/x/a", sidecar.address))
        .body(no_body())
        .expect("a request");
    let by_http2 = tokio::spawn(http2.send_request(request));
    for _ in ["by HTTP/1.1", "by HTTP/2"] {
        soon(arrivals.recv()).await.expect("it arrives");
    }
    sidecar.stop.send(()).expect("running");
    // Nobody listens any more: the end has begun, and both are still waited for.
    soon(async {
        while TcpStream::connect(sidecar.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    release.send(true).expect("the provider waits");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.expect("an answer");
    assert!(answer.contains("connection: close") && answer.ends_with("late"), "{answer}");
    assert_eq!(text(soon(by_http2).await.expect("joined").expect("an answer").into_body()).await, "late");
    assert_eq!(soon(sidecar.ended).await.expect("joined"), Drained::Whole);
    assert!(TcpStream::connect(sidecar.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn an_idle_connection_may_ask_once_more_while_draining() {
    let (provider, _heads) = recording_provider().await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let mut caller = http1_caller(sidecar.address).await;
    let request = || http::Request::builder().uri("/proxy/x/a").header("host", "a").body(no_body()).expect("a request");
    let first = soon(caller.send_request(request())).await.expect("an answer");
    assert!(!first.headers().contains_key("connection"));
    text(first.into_body()).await;
    sidecar.stop.send(()).expect("running");
    tokio::time::sleep(Duration::from_millis(100)).await;
    caller.ready().await.expect("still open");
    let second = soon(caller.send_request(request())).await.expect("an answer");
    assert_eq!(second.headers()["connection"], "close");
    drop(second);
    assert_eq!(soon(sidecar.ended).await.expect("joined"), Drained::Whole);
}

#[tokio::test]
async fn what_does_not_end_is_cut_off() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let provider = raw_provider(move |mut stream| {
        let arrived = arrived.clone();
        async move {
            read_head(&mut stream).await;
            let _ = arrived.send(());
            tokio::time::sleep(PATIENCE * 2).await;
        }
    })
    .await;
    let mut setup = Setup::new(&format!("http://{provider}"));
    setup.drain = Duration::from_millis(300);
    let sidecar = setup.run().await;
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    stream.write_all(format!("{HEAD}\r\n").as_bytes()).await.expect("written");
    soon(arrivals.recv()).await.expect("it arrives");
    sidecar.stop.send(()).expect("running");
    assert_eq!(soon(sidecar.ended).await.expect("joined"), Drained::CutOff);
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_their_turn() {
    let (provider, _heads) = recording_provider().await;
    let mut setup = Setup::new(&format!("http://{provider}"));
    setup.limits.connections = 1;
    let sidecar = setup.run().await;
    let first = TcpStream::connect(sidecar.address).await.expect("a connection");
    // Let the listener take the first before the second comes.
    let mut probe = first;
    probe.write_all(format!("{HEAD}\r\n").as_bytes()).await.expect("written");
    assert_eq!(status(&soon(read_head(&mut probe)).await), 200);
    let waiting = tokio::spawn(async move { get(sidecar.address, "/proxy/x/a", "").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    drop(probe);
    assert_eq!(status(&soon(waiting).await.expect("joined")), 200);
}

#[tokio::test]
async fn tls_of_our_own() {
    let authority = Authority::new();
    let (provider, _heads) = recording_provider().await;
    let (cert, key) = authority.files();
    let mut setup = Setup::new(&format!("http://{provider}"));
    setup.tls = Some(tls_config(&keyferry::server::Tls { cert: cert.clone(), key }).expect("TLS files"));
    let sidecar = setup.run().await;
    let root = reqwest::Certificate::from_pem(&std::fs::read(&cert).expect("a file")).expect("a certificate");
    for http1 in [true, false] {
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(client_config(&authority, http1))
            .add_root_certificate(root.clone())
            .no_proxy();
        if http1 {
            client = client.http1_only();
        }
        let url = format!("https://localhost:{}/proxy/x/a", sidecar.address.port());
        let answer = soon(client.build().expect("a client").get(url).send()).await.expect("an answer");
        assert_eq!(answer.version() == http::Version::HTTP_11, http1);
        assert_eq!(answer.text().await.expect("text"), "ok");
    }
}

fn client_config(authority: &Authority, http1: bool) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(&authority.root).expect("a file")).expect("a root");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = if http1 { vec![b"http/1.1".to_vec()] } else { vec![b"h2".to_vec(), b"http/1.1".to_vec()] };
    config
}
