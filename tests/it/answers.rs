//! Bad input gets a clear answer and loses nothing: every error of CONTRACT section 8 that this version can give, asked
//! for over the wire, as status, code and header.

use std::time::Duration;

use crate::redis_servers;
use crate::support::{
    AuthorizationServer, Browser, Client, Configuration, Keyferry, Person, Raw, Request, plain_client, until,
};

type Headers<'a> = &'a [(&'a str, &'a str)];

/// An open sidecar with one connected integration.
async fn connected() -> (AuthorizationServer, Keyferry) {
    let server = AuthorizationServer::start().await;
    let configuration = Configuration::new()
        .integration("acme", server.issuer(), server.issuer(), &Client::POST)
        .server("allowed_origins = [\"http://localhost:3000\"]\nallowed_hosts = [\"sidecar\"]");
    let keyferry = Keyferry::start(configuration).await;
    keyferry.connect("acme", Person::ADA).await;
    (server, keyferry)
}

#[tokio::test]
async fn every_refusal_has_its_status_code_and_header() {
    let (_server, keyferry) = connected().await;
    let form = "application/x-www-form-urlencoded";
    let large = "x".repeat(70_000);
    let long = format!("org_id={}", "x".repeat(300));
    #[rustfmt::skip]
    let table: &[(&str, &str, Headers<'_>, &str, u16, &str)] = &[
        ("GET", "/nothing", &[], "", 404, "not_found"),
        ("GET", "/integrations/acme/nothing", &[], "", 404, "not_found"),
        ("GET", "/integrations%2Facme/connection", &[], "", 404, "not_found"),
        ("GET", "/proxy/nobody/x", &[], "", 404, "unknown_integration"),
        ("POST", "/integrations/nobody/authorize", &[("content-type", form)], "", 404, "unknown_integration"),
        ("GET", "/proxy/notion/v1/users/me", &[], "", 500, "integration_not_configured"),
        ("POST", "/integrations/hubspot/authorize", &[("content-type", form)], "", 500, "integration_not_configured"),
        ("PUT", "/integrations/acme/authorize", &[], "", 405, "method_not_allowed"),
        ("BREW", "/integrations/acme/connection", &[], "", 405, "method_not_allowed"),
        ("TRACE", "/proxy/acme/api/me", &[], "", 405, "method_not_allowed"),
        ("GET", "/proxy/acme/a/../b", &[("keyferry-org", "x")], "", 424, "not_connected"), // the client folds the path itself
        ("GET", "/proxy/acme/a/..%2fb", &[], "", 400, "bad_request"),
        ("GET", "/proxy/acme//evil.example/", &[], "", 400, "bad_request"),
        ("POST", "/integrations/acme/authorize", &[("content-type", "text/plain")], "x", 415, "unsupported_media_type"),
        ("POST", "/integrations/acme/authorize", &[("content-type", "application/json")], "{", 400, "bad_request"),
        ("POST", "/integrations/acme/authorize", &[("content-type", "application/json")], "[1]", 400, "bad_request"),
        ("POST", "/integrations/acme/authorize", &[("content-type", form)], "user_id=a&user_id=b", 400, "bad_request"),
        ("POST", "/integrations/acme/authorize", &[("content-type", form)], &long, 400, "bad_request"),
        ("POST", "/integrations/acme/authorize", &[("content-type", "multipart/form-data; boundary=b")], "--b", 400, "bad_request"),
        ("POST", "/integrations/acme/authorize", &[("content-type", form)], &large, 413, "too_large"),
        ("POST", "/integrations/acme/authorize", &[("content-type", form)], "return_to=//evil.example", 400, "bad_request"),
        ("POST", "/integrations/acme/authorize", &[("content-type", form)], "return_to=https://evil.example/", 400, "bad_request"),
        ("POST", "/integrations/acme/authorize", &[("content-type", form)], "variables.x=1", 400, "bad_request"),
        ("POST", "/integrations/acme/confirm", &[("content-type", form)], "", 400, "bad_request"),
        ("POST", "/integrations/acme/confirm", &[("content-type", form)], "code=unknown", 400, "state_mismatch"),
        ("POST", "/integrations/sessions", &[("content-type", "application/json")], r#"{"ttl":"soon"}"#, 400, "bad_request"),
        ("GET", "/integrations/acme/oauth2callback", &[], "", 400, "state_mismatch"),
        ("GET", "/integrations/acme/oauth2callback?code=x", &[], "", 400, "state_mismatch"),
        ("GET", "/integrations/acme/oauth2callback?code=x&state=unknown", &[], "", 400, "state_mismatch"),
        ("GET", "/integrations/acme/oauth2callback?code=x&state=a&state=b", &[], "", 400, "state_mismatch"),
        ("GET", "/integrations/acme/authorize?start=unknown", &[], "", 400, "state_mismatch"),
        ("GET", "/proxy/acme/api/me", &[("authorization", "Bearer kfs_unknown")], "", 401, "unauthenticated"),
        ("GET", "/proxy/acme/api/me", &[("authorization", "token kf_unknown")], "", 401, "unauthenticated"),
        ("GET", "/proxy/acme/api/me", &[("host", "evil.example")], "", 421, "wrong_host"),
        ("GET", "/proxy/acme/api/me", &[("x-forwarded-for", "10.0.0.1")], "", 403, "forbidden"),
        ("GET", "/proxy/acme/api/me", &[("origin", "http://evil.example")], "", 403, "cross_site"),
        ("GET", "/proxy/acme/api/me", &[("sec-fetch-site", "cross-site")], "", 403, "cross_site"),
        ("POST", "/integrations/acme/authorize", &[("origin", "null"), ("content-type", form)], "", 403, "cross_site"),
        ("GET", "/integrations/acme/authorize?user_id=a", &[("sec-fetch-site", "cross-site")], "", 403, "cross_site"),
        ("GET", "/integrations/acme/authorize?start=&user_id=a", &[("sec-fetch-site", "cross-site")], "", 403, "cross_site"),
        ("POST", "/integrations/acme/authorize", &[("content-type", form)], "user_id=%FF", 400, "bad_request"),
        ("POST", "/integrations/acme/authorize", &[("content-type", form)], "return_to=blob:http://localhost:3000/x", 400, "bad_request"),
        ("POST", "/integrations/sessions", &[("content-type", "application/json")], r#"{"integrations":[]}"#, 400, "bad_request"),
        ("GET", "/proxy/acme/api/me", &[("keyferry-user", "nobody")], "", 424, "not_connected"),
        ("POST", "/integrations/acme/credentials", &[("content-type", form)], "user_id=nobody", 424, "not_connected"),
        ("DELETE", "/integrations/acme/connection?user_id=nobody", &[], "", 424, "not_connected"),
    ];
    for (method, path, headers, body, status, code) in table {
        let mut request = keyferry.request(method, path);
        for (name, value) in *headers {
            request = request.header(name, value);
        }
        let problem = request.body(*body).send().await.expect_problem(*status, code);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.ends_with('.') || detail.contains("integrations."), "{method} {path}: not a sentence: {detail}");
        assert!(!detail.contains("evil") && !detail.contains("unknown\""), "{method} {path} echoes: {detail}");
        if *status == 424 {
            assert!(problem["connect_url"].as_str().is_some_and(|url| url.contains("/integrations#acme")), "{problem}");
        }
    }
    // After all of this the connection is what it was.
    assert_eq!(keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json()["account"], "ada");
}

#[tokio::test]
async fn the_missing_key_is_named() {
    let keyferry = Keyferry::start(
        Configuration::new()
            .toml("[integrations.hubspot]\nclient_id = \"me\"\nclient_secret = \"env:HUBSPOT_CLIENT_SECRET\""),
    )
    .await;
    let problem =
        keyferry.request("GET", "/proxy/hubspot/x").send().await.expect_problem(500, "integration_not_configured");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("integrations.hubspot.client_secret") && detail.contains("HUBSPOT_CLIENT_SECRET"),
        "{detail}"
    );
    let problem =
        keyferry.request("GET", "/proxy/notion/x").send().await.expect_problem(500, "integration_not_configured");
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains("integrations.notion.client_id")),
        "{problem}"
    );
}

#[tokio::test]
async fn whoever_is_refused_within_the_body_is_told_that_the_connection_ends() {
    let (_server, keyferry) = connected().await;
    for (request, is_told) in [
        ("POST /proxy/acme/x HTTP/1.1\r\nkeyferry-user: nobody\r\nkeyferry-org: n\r\ncontent-length: 9\r\n", true),
        ("PUT /integrations/acme/authorize HTTP/1.1\r\ncontent-length: 9\r\n", true),
        ("POST /integrations/acme/nothing HTTP/1.1\r\ntransfer-encoding: chunked\r\n", true),
        ("POST /integrations/acme/nothing HTTP/1.1\r\ncontent-length: 0\r\n", false),
        ("GET /proxy/nobody/x HTTP/1.1\r\n", false),
    ] {
        let request = format!("{request}host: {}\r\n\r\n", keyferry.address());
        let answer = Raw::connect(keyferry.address())
            .await
            .send(request)
            .await
            .read_until("\r\n\r\n", Duration::from_secs(20))
            .await;
        let head = answer.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 4") && head.contains("connection: close\r\n") == is_told, "{answer}");
    }
}

#[tokio::test]
async fn an_allowed_page_may_ask_and_read() {
    let (_server, keyferry) = connected().await;
    let origin = "http://localhost:3000";
    let preflight = keyferry
        .request("OPTIONS", "/integrations/acme/credentials")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,keyferry-user")
        .send()
        .await
        .expect(204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some(origin));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("content-type,keyferry-user"));
    assert_eq!(preflight.header("access-control-allow-credentials"), None);
    let answer = keyferry
        .request("POST", "/integrations/acme/credentials")
        .header("origin", origin)
        .form([("user_id", "ada"), ("org_id", "analytical")])
        .send()
        .await
        .expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    assert_eq!(answer.header("vary"), Some("origin"));
    // An error can be read too.
    let refused = keyferry.request("GET", "/nothing").header("origin", origin).send().await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (404, Some(origin)));
}

#[tokio::test]
async fn denial_is_a_fixed_word_and_echoes_nothing() {
    let (server, keyferry) = connected().await;
    let url = keyferry.authorize("acme", Person::BOB, &[]).await;
    let page = Browser::new().deny(&url).await;
    assert_eq!(page.status(), 400);
    let text = page.text();
    assert!(!text.contains("access_denied") && !text.contains("End-User"), "the provider's words are shown: {text}");

    let url = keyferry.authorize("acme", Person::BOB, &[]).await;
    let state = url.split("state=").nth(1).and_then(|rest| rest.split('&').next()).expect("a state").to_owned();
    let hostile = "%3Cscript%3Ealert(1)%3C/script%3E";
    let issuer = form_urlencoded::byte_serialize(server.issuer().as_bytes()).collect::<String>();
    let path = format!(
        "/integrations/acme/oauth2callback?error={hostile}&error_description={hostile}&state={state}&iss={issuer}"
    );
    let before = server.count("/token/authorization_code").await;
    let answer = keyferry.request("GET", &path).header("accept", "text/html").send().await.expect(400);
    assert_eq!(answer.header("keyferry-error"), Some("authorization_denied"));
    assert!(!answer.text().contains("alert(1)"), "{}", answer.text());
    for (name, value) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
        assert_eq!(answer.header(name), Some(value));
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(server.count("/token/authorization_code").await, before);
    // The state is spent, so the same link cannot be tried again.
    keyferry.request("GET", &path).send().await.expect_problem(400, "state_mismatch");
}

#[tokio::test]
async fn a_hundred_callbacks_with_one_state_make_one_exchange() {
    let (server, keyferry) = connected().await;
    let url = keyferry.authorize("acme", Person::BOB, &[]).await;
    let callback = Browser::new().outside(&keyferry.callback("acme")).sign_in(&url, "bob").await.url;
    let before = server.count("/token/authorization_code").await;
    let path = format!("{}?{}", callback.path(), callback.query().unwrap_or_default());
    let answers = futures_util::future::join_all((0..100).map(|_| keyferry.request("GET", &path).send())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 400).count(), 99);
    assert_eq!(server.count("/token/authorization_code").await, before + 1);
    assert_eq!(keyferry.call("acme", "/api/me", Person::BOB).await.expect(200).json()["account"], "bob");
}

#[tokio::test]
async fn a_session_ends_by_time_and_by_word() {
    let server = AuthorizationServer::start().await;
    let key = Keyferry::new_key().await;
    let configuration =
        Configuration::new().integration("acme", server.issuer(), server.issuer(), &Client::POST).caller(&key);
    let keyferry = Keyferry::start(configuration).await;
    keyferry.connect("acme", Person::ADA).await;
    let with =
        |token: &str| keyferry.request("GET", "/proxy/acme/api/me").header("authorization", &format!("Bearer {token}"));

    let asked = serde_json::json!({ "org_id": "analytical", "user_id": "ada", "ttl": 1 });
    let brief =
        keyferry.request_for("POST", "/integrations/sessions", Person::ADA).json(&asked).send().await.expect(200);
    let brief = brief.json()["token"].as_str().expect("a token").to_owned();
    until("the session to be over", Duration::from_secs(10), async || {
        (with(&brief).send().await.status == 401).then_some(())
    })
    .await;

    let session = keyferry.session(Person::ADA).await;
    with(&session).send().await.expect(200);
    // A session is its person's and nobody else's, and makes no further sessions.
    with(&session).header("keyferry-user", "bob").send().await.expect_problem(403, "forbidden");
    let more = keyferry.request("POST", "/integrations/sessions").header("authorization", &format!("Bearer {session}"));
    more.json(&asked).send().await.expect_problem(403, "forbidden");
    keyferry.request_for("DELETE", "/integrations/sessions", Person::ADA).send().await.expect(200);
    with(&session).send().await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_store_that_is_down_is_never_not_connected() {
    let server = AuthorizationServer::start().await;
    let mut redis = redis_servers::Server::start(&[]);
    let configuration = Configuration::new()
        .integration("acme", server.issuer(), server.issuer(), &Client::POST)
        .store(&format!("url = \"{}\"", redis.url()));
    let keyferry = Keyferry::start(configuration).await;
    keyferry.connect("acme", Person::ADA).await;
    redis.kill();
    until("the loss to be noticed", Duration::from_secs(10), async || {
        let answer = keyferry.call("acme", "/api/me", Person::ADA).await;
        assert_ne!(answer.status, 424, "{}", answer.describe());
        (answer.status == 503).then(|| answer.expect_problem(503, "store_unavailable"))
    })
    .await;
    let ready = Request::new(&plain_client(), "GET", &format!("http://{}/readyz", keyferry.admin())).send().await;
    ready.expect_problem(503, "store_unavailable");
    let refused = keyferry.request("POST", "/integrations/acme/authorize").form([("user_id", "x")]).send().await;
    refused.expect_problem(503, "store_unavailable");
}

#[tokio::test]
async fn a_rebound_name_reads_nothing_on_the_admin_listener() {
    let open = || Configuration::new().server("allowed_hosts = [\"keyferry\"]");
    for configuration in [open(), open().caller(&Keyferry::new_key().await)] {
        let keyferry = Keyferry::start(configuration).await;
        let (admin, port) = (keyferry.admin(), keyferry.admin().port());
        let http_2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy();
        let http_2 = http_2.resolve("evil.example", admin).resolve("a.localhost", admin).build().expect("a client");
        for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/nothing"] {
            let of = |host: &str| keyferry.admin_request("GET", path).header("host", host);
            of("evil.example").send().await.expect_problem(421, "wrong_host");
            of(&format!("evil.example:{port}")).send().await.expect_problem(421, "wrong_host");
            let rebound = Request::new(&http_2, "GET", &format!("http://evil.example:{port}{path}"));
            rebound.send().await.expect_problem(421, "wrong_host");
            let expected = if path == "/nothing" { 404 } else { 200 };
            for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), "keyferry".to_owned()] {
                of(&host).send().await.expect(expected);
            }
            Request::new(&http_2, "GET", &format!("http://a.localhost:{port}{path}")).send().await.expect(expected);
            let old = Raw::exchange(admin, format!("GET {path} HTTP/1.0\r\n\r\n")).await;
            assert!(old.starts_with(&format!("HTTP/1.0 {expected} ")), "{old}");
            let hostless = Raw::exchange(admin, format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n")).await;
            assert!(hostless.starts_with("HTTP/1.1 400 "), "{hostless}");
        }
    }
}
