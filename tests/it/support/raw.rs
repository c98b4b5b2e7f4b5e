//! A socket and bytes: for requests that no HTTP library would send, and answers as they stand on the wire.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// An open connection.
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the other side listens");
        stream.set_nodelay(true).expect("a TCP socket takes NODELAY");
        Self { stream }
    }

    /// Sends bytes as they are. The other side may have closed already: what it said before is what counts.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref()).await;
        self
    }

    /// Says that nothing more will be sent, and keeps reading.
    pub(crate) async fn finish(&mut self) -> &mut Self {
        let _ = self.stream.shutdown().await;
        self
    }

    /// Reads until the other side closes or resets, or nothing more has come for `quiet`.
    pub(crate) async fn read(&mut self, quiet: Duration) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 * 1024];
        while let Ok(Ok(length @ 1..)) = timeout(quiet, self.stream.read(&mut chunk)).await {
            bytes.extend_from_slice(&chunk[..length]);
        }
        bytes
    }

    /// Reads until `end` has come, and answers all that came; panics when it does not come within `limit`.
    pub(crate) async fn read_until(&mut self, end: &str, limit: Duration) -> String {
        let mut bytes = Vec::new();
        let reading = async {
            while !bytes.windows(end.len()).any(|window| window == end.as_bytes()) {
                let mut chunk = [0; 4096];
                match self.stream.read(&mut chunk).await {
                    Ok(length @ 1..) => bytes.extend_from_slice(&chunk[..length]),
                    _ => break,
                }
            }
        };
        let in_time = timeout(limit, reading).await.is_ok();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(in_time && text.contains(end), "no {end:?} in {text:?}");
        text
    }

    /// One connection: sends bytes, reads what comes until the other side closes or is quiet for five seconds. Ask with
    /// `Connection: close` to be quick.
    pub(crate) async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
        let mut raw = Self::connect(address).await;
        raw.send(bytes).await;
        String::from_utf8_lossy(&raw.read(Duration::from_secs(5)).await).into_owned()
    }
}
