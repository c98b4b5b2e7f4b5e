//! The application's own traffic: as it came and as it answers, streamed, whatever its size.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::{Scene, WHOAMI};
use crate::support::{Application, Configuration, Keyferry, Raw, Redis, Request, plain_client, until};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_the_application_gets_and_the_browser_gets_back() {
    let scene = Scene::start().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"] {
        let request = scene.keyferry.request(method, "/echo?a=b").header("host", "shop.example:8443");
        let answer = request
            .header("cookie", "a=b; keyferry-0123=ours; c=\"d e\"")
            .header("authorization", "Basic dGhlaXJz")
            .header("origin", "http://elsewhere.test")
            .header("referer", "http://elsewhere.test/page")
            .header("keyferry-user", "eve")
            .header("keyferry_user", "eve")
            .header("x-forwarded-for", "10.9.9.9")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "evil.test")
            .header("x_forwarded_for", "10.9.9.9")
            .header("forwarded", "for=10.9.9.9")
            .header("x-real-ip", "10.9.9.9")
            .header("accept", "text/html")
            .send()
            .await
            .expect(200);
        assert_eq!(answer.header("keyferry-error"), None, "a name of ours is not the application's");
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=1"));
        assert_eq!(answer.header("set-cookie"), Some("theirs=a; Path=/"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let echo = answer.json();
        assert_eq!((&echo["method"], &echo["url"]), (&method.into(), &"/echo?a=b".into()));
        let all = |name: &str| values(&echo, name);
        assert_eq!(all("host"), ["shop.example:8443"]);
        assert_eq!(all("cookie"), ["a=b; c=\"d e\""]);
        assert_eq!(all("authorization"), ["Basic dGhlaXJz"]);
        assert_eq!(all("origin"), ["http://elsewhere.test"]);
        assert_eq!(all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(all("x-forwarded-proto"), ["http"]);
        assert_eq!(all("x-forwarded-host"), ["shop.example:8443"]);
        for name in ["keyferry-user", "keyferry_user", "x_forwarded_for", "forwarded", "x-real-ip"] {
            assert!(all(name).is_empty(), "{name} in {echo}");
        }
        assert_eq!(all("via").len(), 1);
    }
}

#[tokio::test]
async fn a_trusted_proxys_word_is_passed_on() {
    let scene = Scene::of(Application::start().await, WHOAMI, |configuration| {
        configuration.server("trusted_proxies = [\"127.0.0.0/8\"]")
    })
    .await;
    let request = scene.keyferry.request("GET", "/echo").header("x-forwarded-for", "192.0.2.1, 10.0.0.1");
    let echo = request
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "shop.example")
        .header("x_forwarded_for", "10.9.9.9")
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(values(&echo, "x-forwarded-for"), ["192.0.2.1, 10.0.0.1, 127.0.0.1"]);
    assert_eq!(values(&echo, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&echo, "x-forwarded-host"), ["shop.example"]);
    assert!(values(&echo, "x_forwarded_for").is_empty());

    // And so is the application asked who is there.
    let ada = scene.browser_of("ada").await;
    scene.application.seen().await;
    let request = ada.fetch("GET", &scene.url("/proxy/acme/api/me")).header("x-forwarded-for", "192.0.2.1");
    request.header("user-agent", "Mozilla").send().await.expect_problem(424, "not_connected");
    let seen = scene.application.seen().await;
    assert_eq!(seen[0].target, "/api/me");
    assert_eq!(seen[0].header("x-forwarded-for"), ["192.0.2.1, 127.0.0.1"]);
    assert_eq!(seen[0].header("accept"), ["application/json"]);
    assert!(seen[0].header("user-agent").is_empty() && seen[0].header("sec-fetch-mode").is_empty());
}

#[tokio::test]
async fn what_is_no_request_to_an_application() {
    let mut scene = Scene::start().await;
    let address = scene.keyferry.address();
    let trace = format!("TRACE /echo HTTP/1.1\r\nHost: {address}\r\nCookie: a=b\r\nConnection: close\r\n\r\n");
    assert!(Raw::exchange(address, trace).await.starts_with("HTTP/1.1 405 "));
    let connect = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let refused = Raw::exchange(address, connect).await;
    assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
    let foreign = "GET http://evil.test/echo HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n";
    assert!(Raw::exchange(address, foreign).await.starts_with("HTTP/1.1 421 "));
    let hostless = Raw::exchange(address, "GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(hostless.starts_with("HTTP/1.1 400 "), "{hostless}");
    assert!(scene.application.seen().await.is_empty());
    let old = Raw::exchange(address, "GET /echo HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 ") && old.contains("\"GET\""), "{old}");

    // What has been here before does not go round.
    let echo = scene.keyferry.request("GET", "/echo").send().await.expect(200).json();
    let via = values(&echo, "via").remove(0);
    let request = scene.keyferry.request("GET", "/echo").header("via", &via);
    request.send().await.expect_problem(508, "loop_detected");

    scene.application.kill();
    let problem = scene.keyferry.request("GET", "/echo").send().await.expect_problem(502, "upstream_unreachable");
    assert!(problem["detail"].as_str().expect("words").contains("application"), "{problem}");
    let line = scene.keyferry.until_logged("the application did not answer").await;
    assert!(line["cause"].as_str().is_some_and(|cause| cause.contains("refused")), "{line}");
}

#[tokio::test]
async fn a_browser_that_speaks_http_2_is_told_apart_by_its_authority() {
    let scene = Scene::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
    // Browsers send each cookie in a field of its own, for the sake of their compression.
    let request = Request::new(&client, "GET", &scene.url("/echo")).header("cookie", "a=b");
    let request = request.header("cookie", "keyferry-0123=ours").header("cookie", "c=\"d e\"");
    let echo = request.send().await.expect(200).json();
    let host = scene.keyferry.address().to_string();
    assert_eq!(values(&echo, "host"), [host.as_str()]);
    assert_eq!(values(&echo, "x-forwarded-host"), [host.as_str()]);
    assert_eq!(values(&echo, "cookie"), ["a=b; c=\"d e\""]);
    assert!(values(&echo, "via")[0].starts_with("2 keyferry-"), "{echo}");

    // And so is the application asked who is there.
    let session = scene.browser_of("ada").await.cookies(&scene.url("/")).expect("a session");
    scene.application.seen().await;
    let request = Request::new(&client, "GET", &scene.url("/proxy/acme/api/me")).header("cookie", "a=b");
    let request = request.header("cookie", "keyferry-0123=ours").header("cookie", &session);
    request.send().await.expect_problem(424, "not_connected");
    let seen = scene.application.seen().await;
    assert_eq!(seen[0].target, "/api/me");
    assert_eq!(seen[0].header("host"), [host.as_str()]);
    assert_eq!(seen[0].header("x-forwarded-host"), [host.as_str()]);
    assert_eq!(seen[0].header("cookie"), [format!("a=b; {session}")]);
}

#[tokio::test]
async fn an_absolute_target_names_the_host() {
    let scene = Scene::start().await;
    let session = scene.browser_of("ada").await.cookies(&scene.url("/")).expect("a session");
    scene.application.seen().await;
    let address = scene.keyferry.address();
    let host = format!("localhost:{}", address.port());
    for (path, status, target) in [("/echo", 200, "/echo"), ("/proxy/acme/api/me", 424, "/api/me")] {
        let fields = format!("Host: other.test\r\nCookie: {session}\r\nConnection: close\r\n\r\n");
        let answer = Raw::exchange(address, format!("GET http://{host}{path} HTTP/1.1\r\n{fields}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let seen = scene.application.seen().await;
        assert_eq!(seen[0].target, target);
        assert_eq!(seen[0].header("host"), [host.as_str()], "{path}");
        assert_eq!(seen[0].header("x-forwarded-host"), [host.as_str()], "{path}");
    }
}

#[tokio::test]
async fn web_sockets_pass() {
    let scene = Scene::start().await;
    let url = format!("ws://{}/socket", scene.keyferry.address());
    let (mut socket, response) = tokio_tungstenite::connect_async(url).await.expect("a handshake");
    assert_eq!(response.status(), 101);
    for sent in [Message::text("hello"), Message::binary(vec![7; 1_000_000])] {
        socket.send(sent.clone()).await.expect("sent");
        assert_eq!(socket.next().await.expect("open").expect("a message"), sent);
    }
    socket.close(None).await.expect("closed");
    while let Some(Ok(message)) = socket.next().await {
        assert!(message.is_close(), "{message:?}");
    }
}

#[tokio::test]
async fn events_come_as_they_are_sent_and_end_with_the_browser() {
    let scene = Scene::start().await;
    let mut raw = Raw::connect(scene.keyferry.address()).await;
    raw.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    // The answer has no end, so nothing of it would be here if it were collected.
    let text = raw.read_until("data: 3", LIMIT).await;
    assert!(text.contains("text/event-stream"), "{text}");
    drop(raw);
    until("the application sees the browser go", LIMIT, || async {
        scene.application.seen().await.iter().any(|seen| seen.method == "CLOSED").then_some(())
    })
    .await;
}

#[tokio::test]
async fn large_bodies_are_not_kept() {
    const BYTES: usize = 100 << 20;
    let scene = Scene::start().await;
    let before = peak(&scene.keyferry);
    let answer = Request::new(&plain_client(), "GET", &scene.url(&format!("/big/{BYTES}"))).send().await.expect(200);
    assert_eq!(answer.body.len(), BYTES);
    drop(answer);
    let answer = scene.keyferry.request("POST", "/size").body(vec![b'x'; BYTES]).send().await.expect(200);
    assert_eq!(answer.json()["size"], BYTES);
    let grown = peak(&scene.keyferry) - before;
    assert!(grown < 32 << 20, "it grew by {grown} bytes");
}

#[tokio::test]
async fn a_refused_body_is_asked_for_by_the_application_alone() {
    let scene = Scene::start().await;
    let mut raw = Raw::connect(scene.keyferry.address()).await;
    let head = "POST /size HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    raw.send(head).await;
    raw.read_until("100 Continue", LIMIT).await;
    raw.send("hello").await;
    let answer = raw.read_until("{\"size\":5}", LIMIT).await;
    assert!(answer.contains("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_lost_store_is_said_and_stops_the_application_only_where_it_is_wished() {
    for require_store in [false, true] {
        let (application, redis) = (Application::start().await, Redis::alone());
        let app = format!("require_store = {require_store}\n{WHOAMI}");
        let configuration = Configuration::new().store(&redis.store()).in_front_of(application.url(), &app);
        let keyferry = Keyferry::start(configuration).await;
        drop(redis);
        let url = format!("http://{}/readyz", keyferry.admin());
        let lost = until("the loss is said", LIMIT, || async {
            let answer = Request::new(&plain_client(), "GET", &url).send().await;
            (answer.status != 200 || answer.json()["detail"].is_string()).then_some(answer)
        })
        .await;
        if require_store {
            lost.expect_problem(503, "store_unavailable");
        } else {
            let ready = lost.expect(200).json();
            assert!(ready["detail"].as_str().expect("words").contains("store"), "{ready}");
        }
        keyferry.request("GET", "/echo").send().await.expect(200);
    }
}

fn values(echo: &Value, name: &str) -> Vec<String> {
    let headers = echo["headers"].as_array().expect("headers");
    let named = headers.iter().filter(|pair| pair[0].as_str().is_some_and(|sent| sent.eq_ignore_ascii_case(name)));
    named.map(|pair| pair[1].as_str().expect("a value").to_owned()).collect()
}

/// The most memory that it has had so far.
fn peak(keyferry: &Keyferry) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", keyferry.process_id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes << 10
}
