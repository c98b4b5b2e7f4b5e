//! What a provider says passes byte for byte, though it looks like something of ours; and an answer that nobody takes
//! does not hold its connection.

use std::time::{Duration, Instant};

use keyferry::server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::*;

/// What hyper answers by itself to a head that cannot be read, and what the listener puts better words in place of.
const BARE: &str = "HTTP/1.1 400 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn content_that_looks_like_a_bare_answer_passes() {
    let provider = raw_provider(|mut stream| async move {
        while !read_head(&mut stream).await.is_empty() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BARE.len());
            stream.write_all(head.as_bytes()).await.expect("written");
            // On its own, so that it is a write of its own further on.
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(BARE.as_bytes()).await.expect("written");
        }
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    for _ in 0..2 {
        stream.write_all(b"GET /proxy/x/file HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
        assert_eq!(status(&soon(read_head(&mut stream)).await), 200);
        let mut content = vec![0; BARE.len()];
        soon(stream.read_exact(&mut content)).await.expect("the content");
        assert_eq!(String::from_utf8_lossy(&content), BARE);
    }
    // What is really hyper's own is still put into words, on the same connection.
    stream.write_all(b"NOT HTTP\r\n\r\n").await.expect("written");
    let mut refusal = String::new();
    soon(stream.read_to_string(&mut refusal)).await.expect("text");
    assert!(status(&refusal) == 400 && refusal.ends_with("{\"status\":400}"), "{refusal}");
}

#[tokio::test]
async fn bytes_of_a_tunnel_pass() {
    let provider = raw_provider(|mut stream| async move {
        read_head(&mut stream).await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("written");
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(BARE.as_bytes()).await.expect("written");
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    let ask = b"GET /proxy/x/a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(ask).await.expect("written");
    assert_eq!(status(&soon(read_head(&mut stream)).await), 101);
    let mut said = String::new();
    soon(stream.read_to_string(&mut said)).await.expect("text");
    assert_eq!(said, BARE);
}

#[tokio::test]
async fn an_http2_peer_that_opens_no_window_is_let_go() {
    let (provider, mut heads) = recording_provider().await;
    let mut setup = Setup::new(&format!("http://{provider}"));
    setup.limits = Limits { idle: Duration::from_millis(600), ..Limits::default() };
    let sidecar = setup.run().await;

    let path = b"/proxy/x/a";
    // SETTINGS with INITIAL_WINDOW_SIZE 0 (RFC 9113 section 6.5.2), then the HEADERS of a whole GET on stream 1, in
    // HPACK.
    let mut fields = vec![0x82, 0x86, 0x04, path.len() as u8];
    fields.extend_from_slice(path);
    fields.extend_from_slice(&[0x01, 0x01, b'a']);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0, 0, fields.len() as u8, 1, 5, 0, 0, 0, 1]);
    bytes.extend_from_slice(&fields);

    let start = Instant::now();
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    stream.write_all(&bytes).await.expect("written");
    soon(heads.recv()).await.expect("the call reaches the provider");
    let mut said = Vec::new();
    let _ = soon(stream.read_to_end(&mut said)).await;
    assert!(start.elapsed() >= Duration::from_millis(500), "it is given the time that idle connections have");
}
