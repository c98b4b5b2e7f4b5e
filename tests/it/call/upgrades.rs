//! Changes of protocol: WebSocket and whatever else asks for one.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::support::*;

const ASK: &str = "GET /proxy/x/socket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\
                   Authorization: Bearer kf_own\r\nCookie: a=b\r\n\r\n";

#[tokio::test]
async fn a_websocket_echoes() {
    let provider = raw_provider(|stream| async move {
        #[expect(clippy::result_large_err, reason = "the callback's own type")]
        let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            assert_eq!(request.headers()["authorization"], "Bearer t0ken");
            assert_eq!(request.uri().path(), "/socket");
            assert!(request.headers().get("origin").is_none());
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, check).await.expect("a handshake");
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let url = format!("ws://{}/proxy/x/socket", sidecar.address);
    let (mut socket, response) = soon(tokio_tungstenite::connect_async(url)).await.expect("a handshake");
    assert_eq!(response.status(), 101);
    for size in [1, 1000, 1_000_000] {
        let sent = Message::binary(vec![7u8; size]);
        socket.send(sent.clone()).await.expect("sent");
        assert_eq!(soon(socket.next()).await.expect("open").expect("a message"), sent);
    }
    socket.close(None).await.expect("closed");
    while let Some(Ok(message)) = soon(socket.next()).await {
        assert!(message.is_close(), "{message:?}");
    }
}

/// Reads the request, changes the protocol, and hands the rest to `talk`.
async fn switching<T, F>(talk: T) -> std::net::SocketAddr
where
    T: Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    raw_provider(move |mut stream| {
        let talk = talk.clone();
        async move {
            let head = read_head(&mut stream).await.to_ascii_lowercase();
            for line in ["get /socket http/1.1", "connection: upgrade", "upgrade: echo", "authorization: bearer t0ken"] {
                assert!(head.contains(line), "{head}");
            }
            assert!(!head.contains("cookie"), "{head}");
            let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nSet-Cookie: a=b\r\n\r\nhello";
            stream.write_all(answer).await.expect("written");
            talk(stream).await;
        }
    })
    .await
}

async fn switched(sidecar: &Sidecar, early: &str) -> TcpStream {
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    stream.write_all(format!("{ASK}{early}").as_bytes()).await.expect("written");
    let head = soon(read_head(&mut stream)).await.to_ascii_lowercase();
    assert!(status(&head) == 101 && head.contains("upgrade: echo") && !head.contains("set-cookie"), "{head}");
    let mut greeting = [0; 5];
    soon(stream.read_exact(&mut greeting)).await.expect("a greeting");
    assert_eq!(&greeting, b"hello");
    stream
}

#[tokio::test]
async fn ends_and_resets_pass_through() {
    // The caller's end reaches the provider, whose last words still reach the caller.
    let provider = switching(|mut stream| async move {
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("text");
        stream.write_all(format!("heard {said}").as_bytes()).await.expect("written");
    })
    .await;
    let at = sidecar(&format!("http://{provider}")).await;
    let mut stream = switched(&at, "early ").await;
    stream.write_all(b"late").await.expect("written");
    stream.shutdown().await.expect("shut down");
    let mut rest = String::new();
    soon(stream.read_to_string(&mut rest)).await.expect("text");
    assert_eq!(rest, "heard early late");

    // A reset by the provider is a reset for the caller.
    let provider = switching(|mut stream| async move {
        let _ = stream.read_u8().await;
        let _ = stream.set_zero_linger();
    })
    .await;
    let at = sidecar(&format!("http://{provider}")).await;
    let mut stream = switched(&at, "").await;
    stream.write_all(b"x").await.expect("written");
    let mut rest = Vec::new();
    assert!(soon(stream.read_to_end(&mut rest)).await.is_err(), "it has to be a reset");

    // And the other way round.
    let (told, is_told) = tokio::sync::oneshot::channel();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Some(told)));
    let provider = switching(move |mut stream| {
        let told = std::sync::Arc::clone(&told);
        async move {
            let mut rest = Vec::new();
            let outcome = stream.read_to_end(&mut rest).await;
            if let Some(told) = told.lock().expect("whole").take() {
                let _ = told.send(outcome.is_err());
            }
        }
    })
    .await;
    let at = sidecar(&format!("http://{provider}")).await;
    let stream = switched(&at, "").await;
    stream.set_zero_linger().expect("set");
    drop(stream);
    assert!(soon(is_told).await.expect("told"), "it has to be a reset");
}

#[tokio::test]
async fn a_refused_change_is_an_ordinary_answer() {
    let (sent, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let provider = raw_provider(move |mut stream| {
        let sent = sent.clone();
        async move {
            let _ = sent.send(read_head(&mut stream).await);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
            let mut more = Vec::new();
            let _ = stream.read_to_end(&mut more).await;
            let _ = sent.send(String::from_utf8(more).expect("text"));
        }
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    // Bytes that hope to be relayed before the answer.
    stream.write_all(format!("{ASK}smuggled\r\n\r\n").as_bytes()).await.expect("written");
    let head = soon(read_head(&mut stream)).await;
    assert_eq!(status(&head), 403, "{head}");
    let mut body = [0; 2];
    soon(stream.read_exact(&mut body)).await.expect("a body");
    assert_eq!(&body, b"no");
    assert!(heads.recv().await.expect("a head").starts_with("GET /socket "));
    drop(stream);
    assert_eq!(soon(heads.recv()).await.expect("the end"), "", "nothing may have been relayed");
}

#[tokio::test]
async fn a_change_that_nobody_asked_for_is_no_answer() {
    let provider = raw_provider(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nbytes").await;
        let _ = stream.read_u8().await;
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    assert_eq!(status(&get(sidecar.address, "/proxy/x/a", "").await), 502);
}

#[tokio::test]
async fn silence_ends_a_tunnel() {
    let provider = switching(|mut stream| async move {
        let mut said = [0; 3];
        while stream.read_exact(&mut said).await.is_ok() {
            let _ = stream.write_all(&said).await;
        }
    })
    .await;
    let mut setup = Setup::new(&format!("http://{provider}"));
    // Much longer than a pause in the talk, which a busy machine stretches.
    setup.net.idle_timeout = Duration::from_millis(2000);
    setup.limits.idle = Duration::from_millis(200);
    let sidecar = setup.run().await;
    let mut stream = switched(&sidecar, "").await;
    let start = Instant::now();
    // Talk keeps it open, beyond the idle times of HTTP.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        stream.write_all(b"abc").await.expect("written");
        let mut echo = [0; 3];
        soon(stream.read_exact(&mut echo)).await.expect("an echo");
    }
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    assert!(start.elapsed() >= Duration::from_millis(6 * 400 + 2000), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_tunnel_ends_with_the_listener() {
    let provider = switching(|mut stream| async move {
        let _ = stream.read_u8().await;
    })
    .await;
    let mut setup = Setup::new(&format!("http://{provider}"));
    setup.drain = Duration::from_millis(300);
    let sidecar = setup.run().await;
    let mut stream = switched(&sidecar, "").await;
    sidecar.stop.send(()).expect("running");
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    assert_eq!(soon(sidecar.ended).await.expect("joined"), keyferry::server::listen::Drained::CutOff);
}
