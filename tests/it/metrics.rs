//! Metrics, from outside: both formats as a client library of Prometheus' reads them, counts that are true after traffic
//! of which everything is known, nothing that grows by what somebody sends, and a dashboard and alert rules that name
//! what exists.

mod promised; // docs/metrics.md, the dashboard and the alert rules against a real page

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::redis_servers::Server;
use crate::support::{AuthorizationServer, Client, Configuration, Keyferry, Metrics, Person, Raw, Redis, until};

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an access token lives where it is to expire during a test, in seconds.
const SHORT: u64 = 3;

const ACME: (&str, &str) = ("integration", "acme");

#[tokio::test]
async fn they_are_true_and_grow_by_nobody() {
    let server = AuthorizationServer::configured(json!({ "access_token_ttl": SHORT })).await;
    let (admin_key, hash) = Keyferry::new_key().await;
    let configuration = Configuration::new()
        .server(&format!("admin_key_hash = \"{hash}\""))
        .store("url = \"file:data/keyferry.redb\"\n")
        .integration("acme", server.issuer(), server.issuer(), &Client::POST);
    let mut keyferry = Keyferry::start(configuration).await;
    keyferry.connect("acme", Person::ADA).await;
    let begun = Metrics::of(&keyferry).await;
    for (outcome, count) in [("begun", 1.0), ("connected", 1.0), ("denied", 0.0), ("failed", 0.0)] {
        assert_eq!(begun.value("keyferry_authorizations_total", &[ACME, ("outcome", outcome)]), count, "{outcome}");
    }

    // Counted at the start, and counts of a process begin with it.
    keyferry.restart().await;
    until("the connections are counted", PATIENCE, async || {
        let page = keyferry.admin_request("GET", "/metrics").send().await.expect(200).text();
        page.contains("keyferry_connections{integration=\"acme\",status=\"active\"} 1\n").then_some(())
    })
    .await;
    until("the token expires", PATIENCE, async || (server.live("AccessToken").await == 0).then_some(())).await;
    server.change(json!({ "access_token_ttl": 3600, "token_delay_ms": 300 })).await;

    let calls = join_all((0..50).map(|_| keyferry.call("acme", "/api/me", Person::ADA))).await;
    calls.into_iter().for_each(|answer| drop(answer.expect(200)));
    let first = counted(&keyferry, 50.0).await;
    let refreshes = ["refreshed", "kept", "refused", "failed"]
        .map(|outcome| first.value("keyferry_refreshes_total", &[ACME, ("outcome", outcome)]));
    assert_eq!(refreshes, [1.0, 0.0, 0.0, 0.0], "one for all of them");
    let took = [ACME, ("outcome", "refreshed")];
    assert!(first.value("keyferry_refresh_duration_seconds_sum", &took) >= 0.3);
    assert_eq!(first.value("keyferry_call_overhead_seconds_count", &[ACME]), 50.0);
    assert!(first.value("keyferry_call_overhead_seconds_sum", &[ACME]) >= 0.3, "whoever began it waited for it");
    assert!(first.value("keyferry_store_operation_duration_seconds_count", &[("operation", "put")]) >= 1.0);
    assert_eq!(first.value("keyferry_store_errors_total", &[("operation", "get")]), 0.0);
    assert_eq!(first.value("keyferry_store_synced", &[]), 1.0);
    assert!(first.value("keyferry_open_connections", &[("listener", "admin")]) >= 1.0, "the one that asks");

    // Nobody is at it but one call at a time, so one connection carries them all.
    let sent = |page: &Metrics| {
        ["new", "reused"]
            .map(|connection| page.value("keyferry_upstream_requests_total", &[("connection", connection)]))
    };
    let [new, reused] = sent(&first);
    assert_eq!(new + reused, 50.0);
    for _ in 0..20 {
        keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
    }
    let second = counted(&keyferry, 70.0).await;
    assert_eq!(sent(&second), [new, reused + 20.0]);
    assert_eq!(second.value("keyferry_upstream_connections_opened_total", &[]), new);
    assert_eq!(second.value("keyferry_upstream_connections", &[("state", "active")]), 0.0);
    assert!(second.value("keyferry_upstream_connections", &[("state", "idle")]) >= 1.0);

    // What is odd has its place from the first time on.
    odd_requests(&server, &keyferry, 0).await;
    let before = settled(&keyferry, 70 + ODD_CALLS).await;
    odd_requests(&server, &keyferry, 1).await;
    assert_eq!(settled(&keyferry, 70 + 2 * ODD_CALLS).await, before);
    let page = Metrics::of(&keyferry).await;
    assert!(page.value("keyferry_requests_total", &[("endpoint", "unknown"), ("outcome", "wrong_host")]) >= 2.0);
    assert!(
        page.value("keyferry_requests_total", &[("endpoint", "authorize"), ("outcome", "unknown_integration")]) >= 2.0
    );
    let other = [ACME, ("method", "GET"), ("outcome", "other")];
    assert_eq!(page.value("keyferry_calls_total", &other), 2.0);

    survives_a_reload(&keyferry, &admin_key).await;
    promised::hold(&keyferry).await;
}

/// The page once so many calls have ended well: a call is counted when its last byte has been taken.
async fn counted(keyferry: &Keyferry, calls: f64) -> Metrics {
    let line = format!("keyferry_calls_total{{integration=\"acme\",method=\"GET\",outcome=\"2xx\"}} {calls}\n");
    until("the calls are counted", PATIENCE, async || {
        let page = keyferry.admin_request("GET", "/metrics").send().await.expect(200).text();
        (page.contains(&line) && page.contains("{state=\"active\"} 0\n")).then_some(())
    })
    .await;
    Metrics::of(keyferry).await
}

/// The series once so many calls have ended, whatever their end.
async fn settled(keyferry: &Keyferry, calls: u64) -> BTreeSet<(String, BTreeMap<String, String>)> {
    until("the calls are counted", PATIENCE, async || {
        let page = keyferry.admin_request("GET", "/metrics").send().await.expect(200).text();
        let lines = page.lines().filter(|line| line.starts_with("keyferry_calls_total{"));
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        (counts.sum::<u64>() == calls).then_some(())
    })
    .await;
    Metrics::of(keyferry).await.series()
}

/// How many of the odd requests are calls.
const ODD_CALLS: u64 = 11;

/// Names, methods, hosts, paths and answers that nobody has thought of, other ones in each round.
async fn odd_requests(server: &AuthorizationServer, keyferry: &Keyferry, round: u16) {
    for status in [299, 418, 599, 999] {
        let answer = json!({ "endpoint": "api", "mode": "answer", "status": status - round, "body": {}, "times": 1 });
        server.fault(answer).await;
        assert_eq!(keyferry.call("acme", "/api/me", Person::ADA).await.status, status - round);
    }
    let requests = [
        ("GET", format!("/proxy/nobody-{round}/x")),
        ("GET", format!("/proxy/some%22body%0A{round}/x")),
        (["PURGE", "REPORT"][usize::from(round)], "/proxy/acme/api/me".to_owned()),
        (["SUMMON", "BREW"][usize::from(round)], format!("/proxy/nobody-{round}/x")),
        ("GET", format!("/proxy/acme/%2e%2e/{round}")),
        // Shipped provider files, which nobody configured.
        ("GET", format!("/proxy/{}/x", ["notion", "slack"][usize::from(round)])),
        ("POST", format!("/integrations/nobody-{round}/authorize")),
        ("GET", format!("/integrations/acme/oauth2callback?state={round}&code=c")),
        ("DELETE", format!("/integrations/nobody-{round}/connection")),
        ("GET", format!("/nothing-{round}")),
        (["LINK", "UNLINK"][usize::from(round)], format!("/nothing-{round}")),
    ];
    for (method, path) in requests {
        let person = keyferry.request(method, &path).header("keyferry-org", &format!("org-{round}"));
        person.header("keyferry-user", &format!("user-{round}")).send().await;
    }
    for path in ["/proxy/acme/api/me", "/integrations"] {
        keyferry.request("GET", path).header("host", &format!("host-{round}.test")).send().await.expect(421);
        let foreign = format!("https://page-{round}.test");
        keyferry.request("GET", path).header("origin", &foreign).send().await.expect(403);
    }
    keyferry.admin_request("GET", &format!("/nothing-{round}")).send().await.expect(404);
}

/// Other ways out, which have connections of their own; then a configuration with mistakes.
async fn survives_a_reload(keyferry: &Keyferry, admin_key: &str) {
    let path = keyferry.folder().join("config.toml");
    let good = fs::read_to_string(&path).expect("it is there") + "\n[net]\nresponse_timeout = \"100s\"\n";
    let before = Metrics::of(keyferry).await;
    let reload = async |text: &str| {
        fs::write(&path, text).expect("it can be written");
        let key = format!("Bearer {admin_key}");
        keyferry.admin_request("POST", "/reload").header("authorization", &key).send().await
    };
    reload(&good).await.expect(200);
    let after = Metrics::of(keyferry).await;
    let refreshed = [ACME, ("outcome", "refreshed")];
    let well = [ACME, ("method", "GET"), ("outcome", "2xx")];
    let reused = [("connection", "reused")];
    for (name, labels) in [
        ("keyferry_calls_total", &well[..]),
        ("keyferry_refreshes_total", &refreshed),
        ("keyferry_upstream_requests_total", &reused),
        ("keyferry_upstream_connections_opened_total", &[]),
    ] {
        assert_eq!(after.value(name, labels), before.value(name, labels), "{name}");
        assert!(after.value(name, labels) >= 1.0, "{name}");
    }
    assert_eq!(after.value("keyferry_config_refused", &[]), 0.0);

    reload(&format!("{good}nonsense = 1\n")).await.expect(422);
    assert_eq!(Metrics::of(keyferry).await.value("keyferry_config_refused", &[]), 1.0);
    reload(&good).await.expect(200);
    assert_eq!(Metrics::of(keyferry).await.value("keyferry_config_refused", &[]), 0.0);
}

#[tokio::test]
async fn what_no_endpoint_sees_is_counted() {
    let keyferry = Keyferry::start(Configuration::new().server("allowed_origins = [\"https://app.test\"]")).await;
    for head in ["not HTTP\r\n\r\n", &format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(70_000))] {
        let answer = Raw::connect(keyferry.address()).await.send(head).await.read_until("\r\n\r\n", PATIENCE).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let preflight = keyferry.request("OPTIONS", "/proxy/acme/x").header("origin", "https://app.test");
    preflight.header("access-control-request-method", "GET").send().await.expect(204);
    let page = Metrics::of(&keyferry).await;
    assert_eq!(page.value("keyferry_malformed_requests_total", &[("listener", "callers")]), 2.0);
    assert_eq!(page.value("keyferry_malformed_requests_total", &[("listener", "admin")]), 0.0);
    assert_eq!(page.value("keyferry_requests_total", &[("endpoint", "preflight"), ("outcome", "2xx")]), 1.0);
}

#[tokio::test]
async fn a_store_that_is_gone_raises_errors() {
    let mut redis = Server::start(&[]);
    let server = AuthorizationServer::start().await;
    let store = format!("{}timeout = \"500ms\"\n", Redis::lines(&redis.url()));
    let configuration =
        Configuration::new().store(&store).integration("acme", server.issuer(), server.issuer(), &Client::POST);
    let keyferry = Keyferry::start(configuration).await;
    let errors = |page: &Metrics| page.value("keyferry_store_errors_total", &[("operation", "get")]);
    keyferry.call("acme", "/api/me", Person::ADA).await.expect_problem(424, "not_connected");
    until("word of changes arrives", PATIENCE, async || {
        let page = keyferry.admin_request("GET", "/metrics").send().await.expect(200).text();
        page.contains("keyferry_store_synced 1\n").then_some(())
    })
    .await;
    assert_eq!(errors(&Metrics::of(&keyferry).await), 0.0);

    redis.kill();
    keyferry.call("acme", "/api/me", Person::ADA).await.expect_problem(503, "store_unavailable");
    let gone = Metrics::of(&keyferry).await;
    assert_eq!(errors(&gone), 1.0);
    assert_eq!(gone.value("keyferry_store_synced", &[]), 0.0);
    let refused = [ACME, ("method", "GET"), ("outcome", "store_unavailable")];
    assert_eq!(gone.value("keyferry_calls_total", &refused), 1.0);
}
