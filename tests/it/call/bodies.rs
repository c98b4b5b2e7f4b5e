//! Bodies both ways: large, early, late, broken off, sent again, with trailers.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::support::*;

const GIBIBYTE: u64 = 1024 * 1024 * 1024;

/// So many zeros, piece by piece.
struct Zeros {
    left: u64,
    piece: Bytes,
}

impl Zeros {
    fn new(count: u64) -> Self {
        Self { left: count, piece: vec![0; 256 * 1024].into() }
    }
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let count = self.left.min(self.piece.len() as u64);
        self.left -= count;
        Poll::Ready(Some(Ok(Frame::data(self.piece.slice(..count as usize)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

async fn count(mut body: Incoming, mut progress: impl FnMut(u64)) -> u64 {
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        total += frame.expect("a frame").data_ref().map_or(0, |data| data.len() as u64);
        progress(total);
    }
    total
}

fn resident_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kibibytes| kibibytes.parse::<u64>().ok()).expect("a number") / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_each_way_in_flat_memory() {
    let provider = provider(None, |request: Request<Incoming>| async move {
        if request.method() == Method::GET {
            return Response::new(Zeros::new(GIBIBYTE).boxed());
        }
        let total = count(request.into_body(), |_| ()).await;
        Response::new(full(total.to_string()).boxed())
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let before = resident_mebibytes();
    let most = std::cell::Cell::new(before);
    let watch = |_| most.set(most.get().max(resident_mebibytes()));

    let mut caller = http1_caller(sidecar.address).await;
    let down = Request::get("/proxy/x/a").header("host", "a").body(Zeros::new(0)).expect("a request");
    let answer = soon(caller.send_request(down)).await.expect("an answer");
    let mut next = 0;
    let total = count(answer.into_body(), |total| {
        if total >= next {
            watch(());
            next += 64 * 1024 * 1024;
        }
    })
    .await;
    assert_eq!(total, GIBIBYTE);

    let up = Request::post("/proxy/x/a").header("host", "a").body(Zeros::new(GIBIBYTE)).expect("a request");
    caller.ready().await.expect("still open");
    let answer = soon(caller.send_request(up)).await.expect("an answer");
    assert_eq!(text(answer.into_body()).await, GIBIBYTE.to_string());
    watch(());
    // Other tests run beside this one and have memory of their own; a buffered body would be seven times that.
    assert!(most.get() - before < 150, "{} MiB before, {} MiB at most", before, most.get());
}

type Frames = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

fn grpc_like() -> Vec<Result<Frame<Bytes>, Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    trailers.insert("set-cookie", "a=b".parse().expect("a value"));
    vec![Ok(Frame::data(Bytes::from("message"))), Ok(Frame::trailers(trailers))]
}

/// Answers with what trailers the request had, and trailers of its own.
async fn trailing(request: Request<Incoming>) -> Response<Frames> {
    let collected = request.into_body().collect().await.expect("a whole body");
    let sent = collected.trailers().cloned().unwrap_or_default();
    let names: Vec<_> = sent.keys().map(|name| name.as_str()).collect();
    Response::builder()
        .header("trailer", "grpc-status")
        .header("x-request-trailers", names.join(","))
        .body(StreamBody::new(stream::iter(grpc_like())))
        .expect("a response")
}

fn trailing_body() -> Frames {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "1".parse().expect("a value"));
    trailers.insert("authorization", "Bearer forged".parse().expect("a value"));
    StreamBody::new(stream::iter(vec![Ok(Frame::data(Bytes::from("ask"))), Ok(Frame::trailers(trailers))]))
}

async fn check_trailers(answer: Response<Incoming>) {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-request-trailers"], "x-checksum");
    let collected = answer.into_body().collect().await.expect("a whole body");
    let trailers = collected.trailers().cloned().expect("trailers");
    assert_eq!(trailers.get("grpc-status").expect("a field"), "0");
    assert_eq!(trailers.len(), 1, "{trailers:?}");
    assert_eq!(collected.to_bytes(), "message");
}

fn trailing_request(uri: String) -> Request<impl Body<Data = Bytes, Error = Infallible> + Send + Unpin> {
    Request::post(uri)
        .header("host", "a")
        .header("te", "trailers")
        .header("trailer", "x-checksum, authorization")
        .body(trailing_body())
        .expect("a request")
}

#[tokio::test]
async fn trailers_by_http1() {
    let provider = provider(None, trailing).await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let mut caller = http1_caller(sidecar.address).await;
    check_trailers(soon(caller.send_request(trailing_request("/proxy/x/a".into()))).await.expect("an answer")).await;
}

#[tokio::test]
async fn trailers_by_http2() {
    let authority = Authority::new();
    let provider = provider(Some(authority.server(&["h2"])), trailing).await;
    let mut setup = Setup::new(&format!("https://127.0.0.1:{}", provider.port()));
    setup.net.ca_file = Some(authority.root.clone());
    let sidecar = setup.run().await;
    let mut caller = http2_caller(sidecar.address).await;
    let uri = format!("http://{}/proxy/x/a", sidecar.address);
    check_trailers(soon(caller.send_request(trailing_request(uri))).await.expect("an answer")).await;
}

#[tokio::test]
async fn bodies_of_unusual_methods_arrive() {
    let provider = provider(None, |request: Request<Incoming>| async move {
        let method = request.method().clone();
        let body = text(request.into_body()).await;
        Response::new(full(format!("{method} {body}")))
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    for method in ["GET", "DELETE", "PROPFIND", "QUERY"] {
        let head = format!("{method} /proxy/x/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        let chunked =
            raw(sidecar.address, format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")).await;
        assert!(chunked.ends_with(&format!("{method} abc")), "{chunked}");
        let sized = raw(sidecar.address, format!("{head}Content-Length: 3\r\n\r\nabc")).await;
        assert!(sized.ends_with(&format!("{method} abc")), "{sized}");
    }
}

#[tokio::test]
async fn a_hundred_comes_only_when_the_call_goes_through() {
    let (provider, mut heads) = {
        let (sent, heads) = mpsc::unbounded_channel();
        let provider = raw_provider(move |mut stream| {
            let sent = sent.clone();
            async move {
                let head = read_head(&mut stream).await;
                let mut body = [0; 5];
                stream.read_exact(&mut body).await.expect("a body");
                let _ = sent.send(head);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        })
        .await;
        (provider, heads)
    };
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let head =
        "POST /proxy/x/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("written");
    assert_eq!(soon(read_head(&mut stream)).await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.expect("written");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    assert!(!heads.recv().await.expect("a head").to_ascii_lowercase().contains("expect"));

    // Refused before the body was asked for: no 100, and the answer arrives whole.
    let refused = raw(sidecar.address, head.replace("/proxy/x/a", "/proxy/x/..")).await;
    assert_eq!(status(&refused), 400, "{refused}");
}

#[tokio::test]
async fn what_follows_a_body_that_nobody_read_is_no_request() {
    let (answered, mut heads) = mpsc::unbounded_channel();
    let provider = raw_provider(move |mut stream| {
        let answered = answered.clone();
        async move {
            let _ = answered.send(read_head(&mut stream).await);
            let _ =
                stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig").await;
        }
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    // The body is announced, part of it is sent, and it looks like a request.
    let smuggled = "GET /proxy/x/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = format!("POST /proxy/x/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{smuggled}{smuggled}");
    let answer = raw(sidecar.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("big"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(heads.recv().await.expect("a head").starts_with("POST /a "));
    assert!(heads.try_recv().is_err(), "no second request");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_comes_at_once() {
    let provider = provider(None, |request: Request<Incoming>| async move {
        // The head first, then an echo of what comes.
        Response::new(request.into_body())
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    let head = "POST /proxy/x/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    assert_eq!(status(&soon(read_head(&mut stream)).await), 200);
    for word in ["one", "two", "three"] {
        let chunk = format!("{:x}\r\n{word}\r\n", word.len());
        stream.write_all(chunk.as_bytes()).await.expect("written");
        let mut echo = vec![0; chunk.len()];
        soon(stream.read_exact(&mut echo)).await.expect("an echo");
        assert_eq!(String::from_utf8(echo).expect("text").to_ascii_lowercase(), chunk);
    }
    stream.write_all(b"0\r\n\r\n").await.expect("written");
    let mut rest = String::new();
    soon(stream.read_to_string(&mut rest)).await.expect("the end");
    assert_eq!(rest, "0\r\n\r\n");
}

#[tokio::test]
async fn a_provider_that_breaks_off_is_no_clean_end() {
    for framing in ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"] {
        let provider = raw_provider(move |mut stream| async move {
            read_head(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n");
            let part = if framing.starts_with('C') { "12345" } else { "5\r\n12345\r\n" };
            let _ = stream.write_all(format!("{head}{part}").as_bytes()).await;
            let _ = stream.flush().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = stream.set_zero_linger();
        })
        .await;
        let sidecar = sidecar(&format!("http://{provider}")).await;
        // HTTP/1.1: the length or the last chunk is missing.
        let mut caller = http1_caller(sidecar.address).await;
        let request = Request::get("/proxy/x/a").header("host", "a").body(no_body()).expect("a request");
        let answer = soon(caller.send_request(request)).await.expect("an answer");
        assert!(soon(answer.into_body().collect()).await.is_err(), "{framing}");
        // HTTP/1.0 knows the end of the connection alone: it has to be a reset.
        let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
        stream.write_all(b"GET /proxy/x/a HTTP/1.0\r\n\r\n").await.expect("written");
        let mut answer = Vec::new();
        let outcome = soon(stream.read_to_end(&mut answer)).await;
        assert!(outcome.is_err() || framing.starts_with('C'), "{framing} {}", String::from_utf8_lossy(&answer));
        // HTTP/2: the stream is reset.
        let mut caller = http2_caller(sidecar.address).await;
        let uri = format!("http://{}/proxy/x/a", sidecar.address);
        let request = Request::get(uri).body(no_body()).expect("a request");
        let answer = soon(caller.send_request(request)).await.expect("an answer");
        assert!(soon(answer.into_body().collect()).await.is_err(), "{framing}");
    }
}

#[tokio::test]
async fn a_provider_that_falls_silent_is_given_up() {
    let provider = raw_provider(|mut stream| async move {
        if read_head(&mut stream).await.starts_with("GET /body") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345").await;
        }
        tokio::time::sleep(PATIENCE * 2).await;
    })
    .await;
    let mut setup = Setup::new(&format!("http://{provider}"));
    setup.net.response_timeout = Duration::from_millis(300);
    setup.net.idle_timeout = Duration::from_millis(300);
    let sidecar = setup.run().await;
    assert_eq!(status(&get(sidecar.address, "/proxy/x/head", "").await), 504);
    let start = Instant::now();
    let mut stream = TcpStream::connect(sidecar.address).await.expect("a connection");
    stream.write_all(b"GET /proxy/x/body HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(answer.ends_with(b"12345") && start.elapsed() >= Duration::from_millis(300));

    // A caller that announces a body and does not send it is at fault itself.
    let silent = raw(sidecar.address, "POST /proxy/x/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab").await;
    assert_eq!(status(&silent), 400, "{silent}");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_the_call_with_it() {
    for answers_first in [false, true] {
        for http2 in [false, true] {
            let (gone, is_gone) = oneshot::channel::<()>();
            let gone = Arc::new(std::sync::Mutex::new(Some(gone)));
            let (arrived, mut arrivals) = mpsc::unbounded_channel();
            let provider = raw_provider(move |mut stream| {
                let (gone, arrived) = (Arc::clone(&gone), arrived.clone());
                async move {
                    read_head(&mut stream).await;
                    let _ = arrived.send(());
                    if answers_first {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123").await;
                    }
                    let _ = stream.read_u8().await;
                    if let Some(gone) = gone.lock().expect("whole").take() {
                        let _ = gone.send(());
                    }
                }
            })
            .await;
            let sidecar = sidecar(&format!("http://{provider}")).await;
            let uri = format!("http://{}/proxy/x/a", sidecar.address);
            let request = Request::get(uri).header("host", "a").body(no_body()).expect("a request");
            let calling = if http2 {
                let mut caller = http2_caller(sidecar.address).await;
                tokio::spawn(async move { hold(caller.send_request(request).await).await })
            } else {
                let stream = TcpStream::connect(sidecar.address).await.expect("a connection");
                tokio::spawn(async move {
                    let mut stream = stream;
                    let _ = stream.write_all(b"GET /proxy/x/a HTTP/1.1\r\nHost: a\r\n\r\n").await;
                    std::future::pending::<()>().await;
                })
            };
            soon(arrivals.recv()).await.expect("it arrives");
            calling.abort();
            soon(is_gone).await.unwrap_or_else(|_| panic!("not cancelled: {answers_first} {http2}"));
        }
    }
}

async fn hold(answer: hyper::Result<Response<Incoming>>) {
    let _answer = answer;
    std::future::pending().await
}

#[tokio::test]
async fn connections_to_the_provider_are_used_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let provider = raw_provider(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            while read_head(&mut stream).await.starts_with("GET") {
                // The second piece comes later, so that the body outlives its head.
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n").await;
                tokio::time::sleep(Duration::from_millis(5)).await;
                let _ = stream.write_all(b"0\r\n\r\n").await;
            }
        }
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    for _ in 0..20 {
        assert_eq!(status(&get(sidecar.address, "/proxy/x/a", "").await), 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_meanwhile_costs_no_call() {
    let provider = raw_provider(|mut stream| async move {
        read_head(&mut stream).await;
        // Closes without saying so.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    for _ in 0..10 {
        assert_eq!(status(&get(sidecar.address, "/proxy/x/a", "").await), 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Accepts the token `fresh` alone, and says what body came.
async fn choosy(request: Request<Incoming>) -> Response<http_body_util::Full<Bytes>> {
    let is_fresh = request.headers().get("authorization").is_some_and(|value| value == "Bearer fresh");
    let path = request.uri().path().to_owned();
    let body = if path == "/early" { String::new() } else { text(request.into_body()).await };
    let status = if is_fresh { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    Response::builder().status(status).body(full(format!("{} bytes", body.len()))).expect("a response")
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    async fn check(renewed: Option<Option<&'static str>>, size: usize, status: u16, renewals: usize) {
        let provider = provider(None, choosy).await;
        let mut setup = Setup::new(&format!("http://{provider}"));
        let url = format!("http://{provider}");
        setup.renewed = renewed.map(|renewed| renewed.map(|token| ready_with_token(&url, token)));
        let sidecar = setup.run().await;
        let mut caller = http1_caller(sidecar.address).await;
        let request = Request::post("/proxy/x/a").header("host", "a").body(full(vec![b'a'; size])).expect("a request");
        let answer = soon(caller.send_request(request)).await.expect("an answer");
        assert_eq!(answer.status(), status, "{renewed:?} {size}");
        assert_eq!(text(answer.into_body()).await, format!("{size} bytes"));
        assert_eq!(sidecar.renewals.load(Ordering::SeqCst), renewals, "{renewed:?} {size}");
    }
    check(Some(Some("fresh")), 0, 200, 1).await;
    check(Some(Some("fresh")), 10, 200, 1).await;
    check(Some(Some("fresh")), 64 * 1024, 200, 1).await;
    // Too large to have been kept: passed on, and renewed for the next call.
    check(Some(Some("fresh")), 64 * 1024 + 1, 401, 1).await;
    check(Some(Some("fresh")), 1024 * 1024, 401, 1).await;
    // Still refused: once is enough.
    check(Some(Some("stale")), 10, 401, 1).await;
    check(Some(None), 10, 401, 1).await;
    // Too young to be the reason.
    check(None, 10, 401, 0).await;
}

#[tokio::test]
async fn a_body_that_is_still_coming_is_not_sent_again() {
    let provider = provider(None, choosy).await;
    let url = format!("http://{provider}");
    let mut setup = Setup::new(&url);
    setup.renewed = Some(Some(ready_with_token(&url, "fresh")));
    let sidecar = setup.run().await;
    let request = "POST /proxy/x/early HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf";
    let answer = raw(sidecar.address, request).await;
    assert_eq!(status(&answer), 401, "{answer}");
    assert_eq!(sidecar.renewals.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_without_a_body() {
    let provider = raw_provider(|mut stream| async move {
        loop {
            let answer = match read_head(&mut stream).await.split(' ').take(2).collect::<Vec<_>>()[..] {
                ["HEAD", _] => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
                [_, "/204"] => "HTTP/1.1 204 No Content\r\n\r\n",
                [_, "/304"] => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
                [_, "/100"] => {
                    "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                }
                _ => return,
            };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let mut caller = http1_caller(sidecar.address).await;
    for (method, path, status, length) in [
        ("HEAD", "/a", 200, Some("1234")),
        ("GET", "/204", 204, None),
        ("GET", "/304", 304, None),
        ("GET", "/100", 200, Some("0")),
    ] {
        caller.ready().await.expect("still open");
        let request = Request::builder()
            .method(method)
            .uri(format!("/proxy/x{path}"))
            .header("host", "a")
            .body(no_body())
            .expect("a request");
        let answer = soon(caller.send_request(request)).await.expect("an answer");
        assert_eq!(answer.status(), status);
        let found = answer.headers().get("content-length").map(|length| length.to_str().expect("text"));
        assert_eq!(found, length, "{method} {path}");
        assert_eq!(text(answer.into_body()).await, "");
    }
}
