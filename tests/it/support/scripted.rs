//! A server that answers as a script tells it and remembers every byte of every request: an authorization server and an
//! API for tests that are about the bytes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

/// The running server. It ends when this goes.
pub(crate) struct Scripted {
    port: u16,
    script: Arc<Mutex<Script>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    /// Answers by path, each to be given once.
    answers: HashMap<String, VecDeque<String>>,
    received: Vec<String>,
}

impl Scripted {
    /// Starts it, on a port of its own.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let script = Arc::<Mutex<Script>>::default();
        let shared = Arc::clone(&script);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared), port));
            }
        });
        Self { port, script, serving }
    }

    /// Its URL with this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Has the next request to this path that has no answer yet answered with status 200 and this JSON.
    pub(crate) fn json(&self, path: &str, body: &serde_json::Value) -> &Self {
        self.answer(path, 200, "application/json", &body.to_string())
    }

    /// Has the next request to this path that has no answer yet answered like this.
    pub(crate) fn answer(&self, path: &str, status: u16, content_type: &str, body: &str) -> &Self {
        let answer = format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        lock(&self.script).answers.entry(path.to_owned()).or_default().push_back(answer);
        self
    }

    /// The requests since the last time, byte for byte, but for its own address, which is `server`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.script).received)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>, port: u16) {
    let Some(request) = read(&mut stream).await else { return };
    let text = String::from_utf8_lossy(&request).replace("\r\n", "\n");
    let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let answer = {
        let mut script = lock(&script);
        let own = [format!("127.0.0.1:{port}"), format!("127.0.0.1%3A{port}")];
        script.received.push(text.replace(&own[0], "server").replace(&own[1], "server"));
        script.answers.get_mut(path).and_then(VecDeque::pop_front)
    };
    let missing = || "HTTP/1.1 500 Not scripted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
    let _ = stream.write_all(answer.unwrap_or_else(missing).as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// One request, whole: a head, and a body of the length that the head says.
async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                assert_eq!(bytes.len(), end + 4 + length, "more came than the length says");
                return Some(bytes);
            }
        }
        match timeout(Duration::from_secs(10), stream.read(&mut chunk)).await {
            Ok(Ok(length @ 1..)) => bytes.extend_from_slice(&chunk[..length]),
            _ => return None,
        }
    }
}
