//! What of a request's head arrives at the provider, and what is refused on the way.

use http::Version;
use tokio::io::AsyncWriteExt;

use super::support::*;

#[tokio::test]
async fn a_call_arrives_with_its_token_and_without_the_callers_secrets() {
    let (provider, mut heads) = recording_provider().await;
    let sidecar = sidecar(&format!("http://{provider}/base")).await;
    let lines = "Authorization: Bearer kf_own\r\nAuthorization: Basic x\r\nCookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\n\
                 X_Forwarded_For: 5.6.7.8\r\nKeyferry-Org: acme\r\nOrigin: https://a\r\nReferer: https://a/b\r\n\
                 Proxy: http://evil\r\nX-Real-IP: 1\r\nForwarded: for=1\r\nAccept: text/x\r\nUser-Agent: sdk/1\r\n";
    let answer = get(sidecar.address, "/proxy/acme/v1/a%2Fb//c@d:e?x=%20&y", lines).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.ends_with("ok"), "{answer}");
    let head = heads.recv().await.expect("a head").to_ascii_lowercase();
    let mut head: Vec<_> = head.trim_end().split("\r\n").collect();
    head.sort_unstable();
    let host = format!("host: {provider}");
    let mut expected = [
        "get /base/v1/a%2fb//c@d:e?x=%20&y http/1.1",
        "authorization: bearer t0ken",
        "accept: text/x",
        "user-agent: sdk/1",
        "via: 1.1 keyferry-test",
        &host,
    ];
    expected.sort_unstable();
    assert_eq!(head, expected);
}

#[tokio::test]
async fn a_connection_field_removes_nothing_of_ours() {
    let (provider, mut heads) = recording_provider().await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    for nominated in ["authorization", "Authorization, via", "host", "close, authorization,", ",, x-secret"] {
        let request = format!(
            "GET /proxy/x/ HTTP/1.1\r\nHost: a\r\nX-Secret: 1\r\nConnection: close\r\nConnection: {nominated}\r\n\r\n"
        );
        assert_eq!(status(&raw(sidecar.address, request).await), 200, "{nominated}");
        let head = heads.recv().await.expect("a head");
        assert!(head.contains("authorization: Bearer t0ken\r\n"), "{nominated}: {head}");
        assert!(head.contains(&format!("host: {provider}\r\n")), "{nominated}: {head}");
        assert!(head.contains("via: 1.1 keyferry-test\r\n"), "{nominated}: {head}");
        assert!(!head.to_ascii_lowercase().contains("connection:"), "{nominated}: {head}");
        assert_eq!(head.contains("x-secret"), !nominated.contains("x-secret"), "{nominated}: {head}");
    }
}

#[tokio::test]
async fn paths_that_could_mean_another_place_are_refused() {
    let (provider, mut heads) = recording_provider().await;
    let sidecar = sidecar(&format!("http://{provider}/base")).await;
    for path in
        ["/..%2fadmin", "/../admin", "/a/%2e%2e/b", "//evil.example", "/a\\b", "/%5c..", "/a%00", "/%252e%252e/"]
    {
        let answer = get(sidecar.address, &format!("/proxy/x{path}"), "").await;
        assert_eq!(status(&answer), 400, "{path}: {answer}");
    }
    assert!(heads.try_recv().is_err(), "nothing may have been sent");
    // These stay what they are: part of a path on the provider's host.
    for (path, sent) in [("/@evil.example", "/base/@evil.example"), ("@evil.example/", "")] {
        let answer = get(sidecar.address, &format!("/proxy/x{path}"), "").await;
        if sent.is_empty() {
            // Part of the integration's name, which no integration has; here it only may not reach another host.
            let head = heads.recv().await.expect("a head");
            assert!(head.starts_with("GET /base/ ") && head.contains(&format!("host: {provider}\r\n")), "{head}");
        } else {
            assert_eq!(status(&answer), 200);
            assert!(heads.recv().await.expect("a head").starts_with(&format!("GET {sent} ")));
        }
    }
}

#[tokio::test]
async fn the_host_of_an_absolute_form_is_never_dialled() {
    let (provider, mut heads) = recording_provider().await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let request = "GET http://evil.example/proxy/x/a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&raw(sidecar.address, request).await), 200);
    let head = heads.recv().await.expect("a head");
    assert!(head.starts_with("GET /a HTTP/1.1\r\n") && head.contains(&format!("host: {provider}\r\n")), "{head}");
}

#[tokio::test]
async fn connect_and_trace_are_not_forwarded() {
    let (provider, mut heads) = recording_provider().await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let trace = raw(sidecar.address, "TRACE /proxy/x/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&trace), 405);
    let connect =
        raw(sidecar.address, "CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&connect) / 100, 4, "{connect}");
    assert!(heads.try_recv().is_err(), "nothing may have been sent");
}

#[tokio::test]
async fn a_call_to_ourselves_ends() {
    // The base URL leads back to the sidecar itself, by way of somebody who only passes bytes on.
    let relay = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = relay.local_addr().expect("an address");
    let sidecar = sidecar(&format!("http://{address}/proxy/x")).await;
    let there = sidecar.address;
    tokio::spawn(async move {
        while let Ok((mut from, _)) = relay.accept().await {
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(there).await.expect("the sidecar");
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    assert_eq!(status(&get(there, "/proxy/x/a", "").await), 508);
}

#[tokio::test]
async fn answers_are_cleaned() {
    let provider = raw_provider(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 302 Found\r\nLocation: https://other.example/\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\
                      Strict-Transport-Security: max-age=1\r\nAlt-Svc: h3=\":443\"\r\nClear-Site-Data: \"*\"\r\n\
                      Access-Control-Allow-Origin: *\r\nKeyferry-Error: forged\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
                      Keep-Alive: timeout=5\r\nCache-Control: public, max-age=5\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let answer = get(sidecar.address, "/proxy/x/a", "").await.to_ascii_lowercase();
    // A redirect is the caller's to follow, without the token.
    assert_eq!(status(&answer), 302);
    for kept in ["location: https://other.example/", "x-kept: 1", "cache-control: private, max-age=5"] {
        assert!(answer.contains(kept), "{kept}: {answer}");
    }
    for added in ["x-content-type-options: nosniff", "content-security-policy: sandbox; default-src 'none'"] {
        assert!(answer.contains(added), "{added}: {answer}");
    }
    for removed in
        ["set-cookie", "strict-transport", "alt-svc", "clear-site", "access-control", "keyferry", "x-hop", "keep-alive"]
    {
        assert!(!answer.contains(removed), "{removed}: {answer}");
    }
}

#[tokio::test]
async fn framing_that_two_servers_could_read_in_two_ways_is_refused() {
    let (provider, mut heads) = recording_provider().await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let head = "POST /proxy/x/a HTTP/1.1\r\nHost: a\r\n";
    for lines in [
        "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "Content-Length: \r\n\r\n",
        "Content-Length: +1\r\n\r\na",
        "Transfer-Encoding: gzip\r\n\r\n",
        "Transfer-Encoding: chunked, gzip\r\n\r\n",
        "X : 1\r\n\r\n",
        "X: 1\r\n folded\r\n\r\n",
        "X: a\0b\r\n\r\n",
        "X: a\rb\r\n\r\n",
    ] {
        let answer = raw(sidecar.address, format!("{head}{lines}")).await;
        assert_eq!(status(&answer), 400, "{lines:?}: {answer}");
    }
    let old = raw(sidecar.address, "POST /proxy/x/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    assert_eq!(status(&old), 400, "{old}");
    assert!(heads.try_recv().is_err(), "nothing may have been sent");
    // Chunks beside a length: the chunks count, and the length does not travel.
    let both = format!("{head}Connection: close\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    raw(sidecar.address, both).await;
    let sent = heads.recv().await.expect("a head").to_ascii_lowercase();
    assert!(!sent.contains("content-length: 4"), "{sent}");
}

#[tokio::test]
async fn http2_callers_and_http1_providers() {
    let (provider, mut heads) = recording_provider().await;
    let sidecar = sidecar(&format!("http://{provider}")).await;
    let mut caller = http2_caller(sidecar.address).await;
    let request = http::Request::builder()
        .uri(format!("http://{}/proxy/x/a?b", sidecar.address))
        .header("authorization", "Bearer kf_own")
        .header("te", "trailers")
        .body(no_body())
        .expect("a request");
    let answer = soon(caller.send_request(request)).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    assert_eq!(text(answer.into_body()).await, "ok");
    let head = heads.recv().await.expect("a head");
    for line in
        ["GET /a?b HTTP/1.1\r\n", "authorization: Bearer t0ken\r\n", "te: trailers\r\n", "via: 2 keyferry-test\r\n"]
    {
        assert!(head.contains(line), "{line}: {head}");
    }
}
