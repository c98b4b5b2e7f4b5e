//! The small fetch: whole answers, once, and only from where it may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use keyferry::upstream::{ANSWER_BYTES, Fetch, FetchRequest, FetchResponse, Settings, UpstreamError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use super::support::*;

fn request(url: &str, trusted_as_written: bool) -> FetchRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/x-www-form-urlencoded".parse().expect("a value"));
    FetchRequest {
        method: Method::POST,
        url: Url::parse(url).expect("a URL"),
        headers,
        body: Bytes::from("grant_type=refresh_token"),
        trusted_as_written,
        certificate: None,
    }
}

async fn fetch(url: &str, trusted_as_written: bool, settings: Settings) -> Result<FetchResponse, UpstreamError> {
    soon(Fetch::new(&settings).expect("settings").send(request(url, trusted_as_written))).await
}

#[tokio::test]
async fn an_answer_is_read_whole() {
    let (provider, mut heads) = recording_provider().await;
    let answer = fetch(&format!("http://{provider}/token?a=b"), true, Settings::default()).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"ok"[..]));
    assert_eq!(answer.headers["content-length"], "2");
    let head = heads.recv().await.expect("a head");
    assert!(head.starts_with("POST /token?a=b HTTP/1.1\r\n") && head.contains("user-agent: keyferry/"), "{head}");
}

#[tokio::test]
async fn over_tls_with_a_root_of_ones_own() {
    for protocols in [&["h2", "http/1.1"][..], &["http/1.1"]] {
        let authority = Authority::new();
        let provider = provider(Some(authority.server(protocols)), |request| async move {
            let version = format!("{:?} ", request.version());
            http::Response::new(full(version + &text(request.into_body()).await))
        })
        .await;
        let url = format!("https://localhost:{}/token", provider.port());
        let settings = Settings { ca_file: Some(authority.root.clone()), ..Settings::default() };
        let answer = fetch(&url, true, settings).await.expect("an answer");
        let version = if protocols[0] == "h2" { "HTTP/2.0" } else { "HTTP/1.1" };
        assert_eq!(String::from_utf8_lossy(&answer.body), format!("{version} grant_type=refresh_token"));
        let refused = fetch(&url, true, Settings::default()).await.expect_err("not vouched for");
        assert!(matches!(refused, UpstreamError::Tls { .. }) && !refused.may_have_been_sent(), "{refused:?}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (elsewhere, mut heads) = recording_provider().await;
    let provider = raw_provider(move |mut stream| async move {
        read_head(&mut stream).await;
        let answer = format!("HTTP/1.1 307 X\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let answer = fetch(&format!("http://{provider}/"), true, Settings::default()).await.expect("an answer");
    assert_eq!(answer.status, 307);
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn a_lost_answer_is_not_asked_for_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let provider = raw_provider(move |mut stream| {
        let counted = Arc::clone(&counted);
        async move {
            read_head(&mut stream).await;
            let mut body = [0; 24];
            let _ = stream.read_exact(&mut body).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let error =
        fetch(&format!("http://{provider}/token?secret=canary"), true, Settings::default()).await.expect_err("lost");
    assert!(error.may_have_been_sent(), "{error:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    assert!(!format!("{error:?} {}", with_causes(&error)).contains("canary"), "{error:?}");
}

#[tokio::test]
async fn what_was_certainly_not_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    for url in [format!("http://{address}/?secret=canary"), "https://no-such-host.invalid/?secret=canary".into()] {
        let error = fetch(&url, true, Settings::default()).await.expect_err("nobody there");
        assert!(matches!(error, UpstreamError::Unreachable { .. }) && !error.may_have_been_sent(), "{error:?}");
        assert!(!format!("{error:?} {}", with_causes(&error)).contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn the_address_check_holds_here_too() {
    let (provider, mut heads) = recording_provider().await;
    let port = provider.port();
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]"] {
        for scheme in ["http", "https"] {
            let error = fetch(&format!("{scheme}://{host}:{port}/"), false, Settings::default()).await.expect_err(host);
            assert!(matches!(error, UpstreamError::Blocked { .. }), "{scheme} {host}: {error:?}");
            assert!(!error.may_have_been_sent());
        }
    }
    for url in ["http://169.254.169.254/latest/meta-data", "http://93.184.215.14/"] {
        let error = fetch(url, true, Settings::default()).await.expect_err(url);
        assert!(matches!(error, UpstreamError::Blocked { .. }), "{url}: {error:?}");
    }
    assert!(heads.try_recv().is_err(), "nothing may have been sent");
}

#[tokio::test]
async fn large_and_slow_answers_have_an_end() {
    let provider = raw_provider(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        if head.starts_with("POST /large") {
            let _ = stream.write_all(&vec![b'a'; ANSWER_BYTES + 1]).await;
        }
        while stream.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let error = fetch(&format!("http://{provider}/large"), true, Settings::default()).await.expect_err("too large");
    assert!(matches!(error, UpstreamError::TooLarge { .. }), "{error:?}");
    let settings = Settings { token_timeout: Duration::from_millis(300), ..Settings::default() };
    let error = fetch(&format!("http://{provider}/slow"), true, settings).await.expect_err("too slow");
    assert!(matches!(error, UpstreamError::Timeout { .. }) && error.may_have_been_sent(), "{error:?}");
}

#[tokio::test]
async fn through_the_proxy() {
    let authority = Authority::new();
    let provider =
        provider(Some(authority.server(&["http/1.1"])), |_| async { http::Response::new(full("through")) }).await;
    let (sent, mut connects) = tokio::sync::mpsc::unbounded_channel();
    let proxy = raw_provider(move |mut stream| {
        let sent = sent.clone();
        async move {
            let _ = sent.send(read_head(&mut stream).await);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let mut there = TcpStream::connect(provider).await.expect("the provider");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
        }
    })
    .await;
    let settings = Settings {
        ca_file: Some(authority.root.clone()),
        proxy: Some(format!("http://user:pass@{proxy}").into()),
        ..Settings::default()
    };
    let answer = fetch("https://provider.test/token", false, settings.clone()).await.expect("an answer");
    assert_eq!(answer.body, b"through");
    let connect = connects.recv().await.expect("a CONNECT").to_ascii_lowercase();
    assert!(
        connect.starts_with("connect provider.test:443 ") && connect.contains("proxy-authorization: basic "),
        "{connect}"
    );
    let error = fetch("http://provider.test/token", false, settings).await.expect_err("in plain");
    assert!(matches!(error, UpstreamError::Blocked { .. }), "{error:?}");
}
