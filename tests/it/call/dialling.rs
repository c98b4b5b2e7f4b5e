//! Which peers are dialled and how: TLS, the address check, a proxy, HTTP/2 shared by many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use keyferry::route::Ready;
use keyferry::upstream::{AllowedDestination, RequestBody, Settings, Upstream, UpstreamError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::support::*;

async fn version_echo(request: Request<Incoming>) -> Response<http_body_util::Full<bytes::Bytes>> {
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or("-").to_owned();
    let authority = request.uri().authority().map_or("-".to_owned(), ToString::to_string);
    Response::new(full(format!("{:?} host={host} authority={authority} {}", request.version(), request.uri().path())))
}

#[tokio::test]
async fn providers_over_tls() {
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)]
    {
        let authority = Authority::new();
        let provider = provider(Some(authority.server(protocols)), version_echo).await;
        let named = format!("localhost:{}", provider.port());
        let mut setup = Setup::new(&format!("https://{named}/base"));
        setup.net.ca_file = Some(authority.root.clone());
        let sidecar = setup.run().await;
        for _ in 0..3 {
            let answer = get(sidecar.address, "/proxy/x/a", "").await;
            let expected = if version == Version::HTTP_2 {
                format!("{version:?} host=- authority={named} /base/a")
            } else {
                format!("{version:?} host={named} authority=- /base/a")
            };
            assert!(answer.ends_with(&expected), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for() {
    let authority = Authority::new();
    let provider = provider(Some(authority.server(&["http/1.1"])), version_echo).await;
    let unknown = sidecar(&format!("https://localhost:{}", provider.port())).await;
    let answer = get(unknown.address, "/proxy/x/a", "").await;
    assert!(status(&answer) == 502 && answer.contains("no secure connection"), "{answer}");
    // Vouched for, but for another name.
    let mut setup = Setup::new(&format!("https://127.0.0.2:{}", provider.port()));
    setup.net.ca_file = Some(authority.root.clone());
    let answer = get(setup.run().await.address, "/proxy/x/a", "").await;
    assert_eq!(status(&answer), 502, "{answer}");
}

#[tokio::test]
async fn many_calls_share_http2_connections() {
    let connections = Arc::new(AtomicUsize::new(0));
    let authority = Authority::new();
    let inner = provider(Some(authority.server(&["h2"])), |request| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        version_echo(request).await
    })
    .await;
    let counted = Arc::clone(&connections);
    let counting = raw_provider(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut there = TcpStream::connect(inner).await.expect("the provider");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
        }
    })
    .await;
    let ready = Arc::new(ready(&format!("https://localhost:{}", counting.port())));
    let settings = Settings { ca_file: Some(authority.root.clone()), ..Settings::default() };
    let upstream = Upstream::new(&settings).expect("settings");
    let calls = (0..250).map(|_| {
        let (upstream, ready) = (upstream.clone(), Arc::clone(&ready));
        tokio::spawn(async move { upstream.send(ready.destination(), Request::new(RequestBody::empty())).await })
    });
    let calls = futures_util::future::join_all(calls).await;
    let traffic = upstream.traffic();
    assert_eq!((traffic.active, traffic.idle, traffic.opened), (3, 0, 3), "no answer has been read");
    assert_eq!(traffic.on_new + traffic.on_reused, 250);
    for call in calls {
        let answer = call.expect("joined").expect("an answer");
        assert_eq!(answer.status(), 200);
        text(answer.into_body()).await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3, "a hundred streams each");
    assert_eq!((upstream.traffic().active, upstream.traffic().idle), (0, 3));
}

async fn dial(ready: &Ready, settings: &Settings) -> Result<(), UpstreamError> {
    let upstream = Upstream::new(settings).expect("settings");
    let request = Request::new(RequestBody::empty());
    soon(upstream.send(ready.destination(), request)).await.map(drop)
}

/// A grant whose host comes from a value, and is therefore trusted in no spelling.
fn chosen(scheme: &str, host: &str) -> Ready {
    choosing(scheme, host).expect("ready")
}

fn choosing(scheme: &str, host: &str) -> Result<Ready, keyferry::route::ReadyError> {
    let api = keyferry::route::Api {
        base_url: template(&format!("{scheme}://{{chosen}}")),
        headers: vec![],
        query: vec![],
        auth: keyferry::route::TokenPlace::bearer(),
        rate: None,
    };
    // `:` would be encoded, so a port cannot be chosen either.
    Ready::prepare(&api, |_| Some(host.to_owned().into()), true)
}

#[tokio::test]
async fn hosts_that_a_value_chose_reach_no_inner_address() {
    // Other spellings of addresses are no hosts at all.
    for host in ["2130706433", "0x7f000001", "0177.0.0.01", "127.1", "0"] {
        assert!(choosing("https", host).is_err(), "{host}");
    }
    for host in ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254"] {
        let outcome = dial(&chosen("https", host), &Settings::default()).await;
        assert!(matches!(outcome, Err(UpstreamError::Blocked { .. })), "{host}: {outcome:?}");
    }
    let allow = vec![AllowedDestination::Range("127.0.0.0/8".parse().expect("a range"))];
    let settings = Settings { allow, ..Settings::default() };
    let outcome = dial(&chosen("https", "127.0.0.1"), &settings).await;
    // Nobody listens on port 443 here, or somebody does; the address is dialled in either case.
    assert!(!matches!(outcome, Err(UpstreamError::Blocked { .. })), "{outcome:?}");
}

#[tokio::test]
async fn written_literals_reach_what_is_written_and_no_more() {
    let (provider, _heads) = recording_provider().await;
    assert!(dial(&ready(&format!("http://{provider}")), &Settings::default()).await.is_ok());
    assert!(dial(&ready(&format!("http://localhost:{}", provider.port())), &Settings::default()).await.is_ok());
    for base_url in ["http://169.254.169.254", "http://[::ffff:169.254.169.254]", "http://[fd00:ec2::254]"] {
        let outcome = dial(&ready(base_url), &Settings::default()).await;
        assert!(matches!(outcome, Err(UpstreamError::Blocked { .. })), "{base_url}: {outcome:?}");
    }
}

#[tokio::test]
async fn trust_is_not_pooled() {
    // A written literal opens a connection; the same host, chosen by a value, may not use it.
    let (provider, _heads) = recording_provider().await;
    let upstream = Upstream::new(&Settings::default()).expect("settings");
    let written = ready(&format!("http://{provider}"));
    let answer = upstream.send(written.destination(), Request::new(RequestBody::empty())).await.expect("an answer");
    text(answer.into_body()).await;
    let api = keyferry::route::Api {
        base_url: template(&format!("http://{{chosen}}:{}", provider.port())),
        headers: vec![],
        query: vec![],
        auth: keyferry::route::TokenPlace::bearer(),
        rate: None,
    };
    let chosen = Ready::prepare(&api, |_| Some("127.0.0.1".into()), true).expect("ready");
    let outcome = upstream.send(chosen.destination(), Request::new(RequestBody::empty())).await;
    assert!(matches!(outcome, Err(UpstreamError::Blocked { .. })), "{:?}", outcome.map(drop));
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let outcome = dial(&ready(&format!("http://{address}")), &Settings::default()).await;
    assert!(matches!(outcome, Err(UpstreamError::Unreachable { .. })), "{outcome:?}");
    let outcome = dial(&ready("https://no-such-host.invalid"), &Settings::default()).await;
    assert!(matches!(outcome, Err(UpstreamError::Unreachable { .. })), "{outcome:?}");
    // One that accepts and says nothing.
    let silent = raw_provider(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let settings = Settings { connect_timeout: Duration::from_millis(300), ..Settings::default() };
    let outcome = dial(&ready(&format!("https://{silent}")), &settings).await;
    assert!(matches!(outcome, Err(UpstreamError::Timeout { .. })), "{outcome:?}");
    // One that closes every connection at once.
    let closing = raw_provider(|_stream| async {}).await;
    let outcome = dial(&ready(&format!("http://{closing}")), &Settings::default()).await;
    assert!(outcome.is_err());
}

#[tokio::test]
async fn everything_goes_through_the_proxy() {
    let authority = Authority::new();
    let provider = provider(Some(authority.server(&["http/1.1"])), version_echo).await;
    let (sent, mut connects) = tokio::sync::mpsc::unbounded_channel();
    let proxy = raw_provider(move |mut stream| {
        let sent = sent.clone();
        async move {
            let head = read_head(&mut stream).await;
            let refuses = head.contains("refused.test");
            let _ = sent.send(head);
            if refuses {
                let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n").await;
            let mut there = TcpStream::connect(provider).await.expect("the provider");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
        }
    })
    .await;
    let mut setup = Setup::new("https://provider.test:8443");
    setup.net.ca_file = Some(authority.root.clone());
    setup.net.proxy = Some(format!("http://us%20er:pass@{proxy}").into());
    let sidecar = setup.run().await;
    let answer = get(sidecar.address, "/proxy/x/a", "").await;
    assert!(answer.ends_with("HTTP/1.1 host=provider.test:8443 authority=- /a"), "{answer}");
    let connect = connects.recv().await.expect("a CONNECT");
    assert!(connect.starts_with("CONNECT provider.test:8443 HTTP/1.1\r\nHost: provider.test:8443\r\n"), "{connect}");
    assert!(connect.contains("Proxy-Authorization: Basic dXMgZXI6cGFzcw==\r\n"), "{connect}");

    let settings = Settings { proxy: Some(format!("http://{proxy}").into()), ..Settings::default() };
    let refused = dial(&ready("https://refused.test"), &settings).await.expect_err("refused");
    assert!(with_causes(&refused).contains("the proxy answered 403"), "{refused:?}");
    // A proxy is no way around the address check, and no place for a token in plain.
    connects.recv().await.expect("a CONNECT");
    for outcome in
        [dial(&ready("http://provider.test"), &settings).await, dial(&chosen("https", "10.0.0.1"), &settings).await]
    {
        assert!(matches!(outcome, Err(UpstreamError::Blocked { .. })), "{outcome:?}");
    }
    assert!(connects.try_recv().is_err(), "nothing may have been asked of the proxy");
}

/// tokio gives a task a budget for each turn. A call whose answer arrives when that is used up must still be woken.
#[tokio::test]
async fn an_answer_is_noticed_when_the_turn_is_almost_over() {
    let (written, mut is_written) = tokio::sync::mpsc::unbounded_channel();
    let provider = raw_provider(move |mut stream| {
        let written = written.clone();
        async move {
            while read_head(&mut stream).await.starts_with("GET") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                let _ = written.send(());
            }
        }
    })
    .await;
    let ready = ready(&format!("http://{provider}"));
    let upstream = Upstream::new(&Settings::default()).expect("settings");
    let call = || Box::pin(upstream.send(ready.destination(), Request::new(RequestBody::empty())));
    text(soon(call()).await.expect("an answer").into_body()).await;
    soon(is_written.recv()).await.expect("told");
    for used_up in 110..=128 {
        // A fresh turn, with a whole budget.
        tokio::task::yield_now().await;
        let mut call = call();
        // Sent on the connection that is there, and then not looked at until the answer is there too.
        std::future::poll_fn(|cx| {
            assert!(call.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        soon(is_written.recv()).await.expect("told");
        tokio::time::sleep(Duration::from_millis(5)).await;
        for _ in 0..used_up {
            tokio::task::coop::consume_budget().await;
        }
        text(soon(call).await.expect("an answer").into_body()).await;
    }
}
