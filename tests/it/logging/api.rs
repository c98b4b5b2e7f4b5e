//! An API that answers well, breaks off, hangs, falls silent within its answer, and changes its protocol: by path.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A running one. It ends with the test.
pub(super) struct Api(SocketAddr);

impl Api {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self(address)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// One request on each connection: every answer says that it is the last.
async fn serve(mut stream: TcpStream) {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let (head, mut body) = text.split_once("\r\n\r\n").map_or((text.as_str(), 0), |(head, body)| (head, body.len()));
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    while body < length {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(count @ 1..) => body += count,
            _ => return,
        }
    }
    let path = text.split(' ').nth(1).unwrap_or_default();
    let (status, rest) = match path.split('?').next().unwrap_or_default() {
        "/chunks" => ("200 OK", "transfer-encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"),
        "/missing" => ("404 Not Found", "content-length: 2\r\n\r\nno"),
        "/broken" => ("200 OK", "content-length: 100\r\n\r\nhello"),
        "/slow" => ("200 OK", "content-length: 100\r\n\r\nhello"),
        "/hang" => return silence(stream).await,
        "/socket" => return echo(stream).await,
        _ => ("200 OK", "content-length: 5\r\n\r\nhello"),
    };
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{rest}");
    let _ = stream.write_all(answer.as_bytes()).await;
    if path == "/slow" {
        silence(stream).await;
    }
}

/// Says nothing until the peer goes.
async fn silence(mut stream: TcpStream) {
    let mut nothing = [0; 64];
    while matches!(stream.read(&mut nothing).await, Ok(1..)) {}
}

/// Says everything twice.
async fn echo(mut stream: TcpStream) {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let _ = stream.write_all(head).await;
    let mut piece = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        let _ = stream.write_all(&piece[..length].repeat(2)).await;
    }
}
