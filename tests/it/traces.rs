//! Traces, as a receiver that others wrote sees them: which spans a call makes and how they hang together, whose trace
//! they belong to, what the provider learns of it, and that nothing secret is among them.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use keyferry::config::{self, LoadRequest};
use keyferry::telemetry::trace::attribute;
use rustix::process::Signal;
use serde_json::json;

use crate::mechanisms::Acme;
use crate::support::collector::{CLIENT, Collector, INTERNAL, Received, SERVER};
use crate::support::{
    Answer, AuthorizationServer, Client, Configuration, Keyferry, Metrics, Person, Port, Recorded, Recorder, Scripted,
    assert_free_of, until,
};

const DOCS: &str = include_str!("../../docs/tracing.md");
const LIMIT: Duration = Duration::from_secs(30);
const PATH: &str = "/v1/pages/canary-in-the-path?filter=canary-in-the-query";
const STATE: &str = "vendor=canary-of-the-state";

struct Scene {
    server: AuthorizationServer,
    recorder: Recorder,
    keyferry: Keyferry,
}

impl Scene {
    async fn new(telemetry: &str) -> Self {
        let (server, recorder) = (AuthorizationServer::start().await, Recorder::start().await);
        let configuration = Configuration::new()
            .integration("acme", server.issuer(), recorder.url(), &Client::POST)
            .environment("COLLECTOR_TOKEN", "canary-of-the-collector")
            .toml(telemetry);
        let keyferry = Keyferry::start(configuration).await;
        Self { server, recorder, keyferry }
    }

    async fn call(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.keyferry.request_for("GET", &format!("/proxy/acme{path}"), Person::ADA);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
    }

    /// A call, and the one request that the provider got for it.
    async fn recorded(&self, path: &str, headers: &[(&str, &str)]) -> Recorded {
        self.recorder.take().await;
        self.call(path, headers).await;
        let [request] = <[_; 1]>::try_from(self.recorder.take().await).expect("one request");
        request
    }
}

fn telemetry(url: &str) -> String {
    format!("[telemetry]\notlp_endpoint = \"{url}\"\nheaders = {{ authorization = \"env:COLLECTOR_TOKEN\" }}")
}

/// The only span of this name and kind.
fn only<'a>(spans: &'a [Received], name: &str, kind: u64) -> &'a Received {
    let found: Vec<_> = spans.iter().filter(|span| span.name() == name && span.kind() == kind).collect();
    let [span] = found[..] else { panic!("{} spans `{name}` of kind {kind} in {spans:?}", found.len()) };
    span
}

#[tokio::test]
async fn the_spans_of_calls() {
    let collector = Collector::start().await;
    let mut scene = Scene::new(&telemetry(&collector.url())).await;
    scene.server.change(json!({ "access_token_ttl": 3 })).await;
    scene.keyferry.connect("acme", Person::ADA).await;
    until("the token expires", LIMIT, || async { (scene.server.live("AccessToken").await == 0).then_some(()) }).await;
    scene.server.change(json!({ "access_token_ttl": 3600 })).await;

    // A trace of somebody's is continued, and the token has to be refreshed for it.
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let sent = [("traceparent", parent.as_str()), ("tracestate", STATE), ("baggage", "who=canary-of-the-baggage")];
    let request = scene.recorded(PATH, &sent).await;
    let spans = collector.trace("the spans of a continued trace", |span| span.trace() == trace).await;
    let line = scene.keyferry.until_logged(trace).await;
    assert_eq!((&line["trace_id"], &line["message"]), (&json!(trace), &json!("call")), "{line}");
    let call = only(&spans, "GET /proxy/{integration}/{path}", SERVER);
    let token = only(&spans, "token", INTERNAL);
    let refresh = only(&spans, "refresh", CLIENT);
    let upstream = only(&spans, "GET", CLIENT);
    let parents = [call.parent(), token.parent(), refresh.parent(), upstream.parent()];
    assert_eq!(parents, ["00f067aa0ba902b7", call.id(), token.id(), call.id()]);
    assert_eq!(request.header("traceparent"), [format!("00-{trace}-{}-01", upstream.id())]);
    assert_eq!((request.header("tracestate"), request.header("baggage")), (vec![STATE], vec![]));

    let (host, port) = ("127.0.0.1", scene.recorder.url().rsplit(':').next().expect("a port"));
    for (span, key, expected) in [
        (call, "http.request.method", "GET"),
        (call, "url.scheme", "http"),
        (call, "http.response.status_code", "200"),
        (call, "keyferry.integration", "acme"),
        (call, "keyferry.outcome", "2xx"),
        (token, "keyferry.token.source", "refresh"),
        (refresh, "http.response.status_code", "200"),
        (refresh, "keyferry.outcome", "refreshed"),
        (upstream, "server.address", host),
        (upstream, "server.port", port),
        (upstream, "network.protocol.version", "1.1"),
    ] {
        assert_eq!(span.attribute(key), expected, "{key} of {span:?}");
    }
    assert!(call.attribute("keyferry.connection.id").starts_with("con_"), "{call:?}");
    assert_eq!(refresh.attribute("keyferry.connection.id"), call.attribute("keyferry.connection.id"));
    assert!(spans.iter().all(|span| !span.is_error()), "{spans:?}");

    // What is no parent is replaced, and a trace begins; the token is in memory. The provider does not know the page.
    let request = scene.recorded("/nowhere", &[("traceparent", "00-what-is-this"), ("tracestate", STATE)]).await;
    let spans = collector
        .trace("the spans of a call that fails", |span| span.attribute("http.response.status_code") == "404")
        .await;
    let call = only(&spans, "GET /proxy/{integration}/{path}", SERVER);
    let upstream = only(&spans, "GET", CLIENT);
    assert_eq!(only(&spans, "token", INTERNAL).attribute("keyferry.token.source"), "memory");
    assert_eq!((call.parent(), call.is_error()), ("", false));
    assert_eq!((upstream.is_error(), upstream.attribute("error.type").as_str()), (true, "404"));
    assert_eq!(request.header("traceparent"), [format!("00-{}-{}-03", call.trace(), upstream.id())]);
    assert_eq!(request.header("tracestate"), Vec::<&str>::new());

    // Whose parent does not record is not recorded here.
    let unrecorded = "00-11111111111111111111111111111111-00f067aa0ba902b7-00";
    let request = scene.recorded(PATH, &[("traceparent", unrecorded), ("tracestate", STATE)]).await;
    assert_eq!((request.header("traceparent"), request.header("tracestate")), (vec![unrecorded], vec![STATE]));

    // A refusal of our own names its reason.
    scene.keyferry.request_for("GET", "/proxy/acme/x", Person::BOB).send().await.expect_problem(424, "not_connected");
    collector.trace("the span of a refusal", |span| span.attribute("keyferry.outcome") == "not_connected").await;

    let page = Metrics::of(&scene.keyferry).await;
    assert!(page.value("keyferry_spans_exported_total", &[]) >= 8.0);
    assert_eq!(page.value("keyferry_spans_dropped_total", &[]), 0.0);

    // The last ones go within the drain, and before the second that others wait.
    let last = "22222222222222222222222222222222";
    scene.call(PATH, &[("traceparent", &format!("00-{last}-00f067aa0ba902b7-01"))]).await.expect(200);
    scene.keyferry.terminate();
    let exit = scene.keyferry.wait(LIMIT).await;
    assert!(exit.status.success(), "{}", exit.stderr);
    collector.trace("the spans of the last call", |span| span.trace() == last).await;

    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace() != "11111111111111111111111111111111"), "{spans:?}");
    for key in spans.iter().flat_map(Received::keys) {
        assert!(DOCS.contains(&format!("`{key}`")), "docs/tracing.md does not say what {key} is");
    }
    let text = collector.text();
    assert!(!text.contains("canary"), "{text}");
    let secrets = scene.server.secrets().await;
    assert_free_of(&secrets.iter().collect::<Vec<_>>(), "what the collector received", text.as_bytes());
}

/// Every answer of its token endpoint and its API is scripted.
const ACME: &str = r#"
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
refresh_leeway = "5s"
[api]
base_url = "SERVER/api"
"#;

async fn acme(collector: &Collector) -> Acme {
    let configuration = Configuration::new()
        .environment("COLLECTOR_TOKEN", "canary-of-the-collector")
        .toml(&telemetry(&collector.url()));
    Acme::start_with(configuration, ACME, "").await
}

#[tokio::test]
async fn a_call_that_is_sent_again() {
    let collector = Collector::start().await;
    let acme = acme(&collector).await;
    for token in ["first", "second"] {
        let answer = json!({ "access_token": token, "refresh_token": "the-refresh-token", "expires_in": 3600 });
        acme.server.json("/token", &answer);
    }
    acme.connect().await;
    // A token that has just come is not renewed: until it is old enough the 401 is passed on, and two answers wait.
    until("a token old enough to be renewed", 3 * LIMIT, || async {
        acme.requests();
        acme.server.answer("/api/me", 401, "text/plain", "");
        acme.server.json("/api/me", &json!({}));
        let answer = acme.keyferry.call("acme", "/me", Person::ADA).await;
        if answer.status == 401 {
            acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
            return None;
        }
        answer.expect(200);
        Some(())
    })
    .await;

    let is_healed = |span: &Received| span.attribute("http.request.resend_count") == "1";
    let resent = || async { collector.spans().into_iter().find(is_healed) };
    let trace = until("a request that is sent again", LIMIT, resent).await.trace().to_owned();
    let spans = collector.trace("the spans of a healed call", |span| span.trace() == trace).await;
    let told = |name: &'static str, key: &'static str| {
        spans.iter().filter(move |span| span.name() == name).map(move |span| span.attribute(key)).collect::<Vec<_>>()
    };
    assert_eq!(told("GET", "http.response.status_code"), ["401", "200"]);
    assert_eq!(told("GET", "http.request.resend_count"), ["", "1"]);
    assert_eq!(told("token", "keyferry.token.source"), ["memory", "refresh"]);
    let renewal = spans.iter().rfind(|span| span.name() == "token").expect("two of them");
    assert_eq!(only(&spans, "refresh", CLIENT).parent(), renewal.id());
}

#[tokio::test]
async fn a_refresh_that_others_wait_for() {
    let collector = Collector::start().await;
    let scene = Scene::new(&telemetry(&collector.url())).await;
    scene.server.change(json!({ "access_token_ttl": 1 })).await;
    scene.keyferry.connect("acme", Person::ADA).await;
    until("the token expires", LIMIT, || async { (scene.server.live("AccessToken").await == 0).then_some(()) }).await;
    scene.server.change(json!({ "access_token_ttl": 3600, "token_delay_ms": 2000 })).await;

    let arrived = scene.server.arrivals("token").await;
    let first = async { scene.call("/first", &[]).await };
    let second = async {
        let begun = || async { (scene.server.arrivals("token").await > arrived).then_some(()) };
        until("the refresh begins", LIMIT, begun).await;
        scene.call("/second", &[]).await
    };
    tokio::join!(first, second);

    let token = async |source: &'static str| {
        let found = || async { collector.spans().into_iter().find(|s| s.attribute("keyferry.token.source") == source) };
        until(source, LIMIT, found).await
    };
    let (starts, waits) = (token("refresh").await, token("wait").await);
    let refresh = only(&collector.spans(), "refresh", CLIENT).clone();
    assert_eq!((refresh.parent(), refresh.trace()), (starts.id(), starts.trace()));
    assert_eq!((waits.links(), starts.links()), (vec![refresh.id()], vec![]));
    assert_ne!(waits.trace(), refresh.trace());
}

#[tokio::test]
async fn a_refresh_ahead_of_time() {
    let collector = Collector::start().await;
    let acme = acme(&collector).await;
    let answer = |token: &str, life: u32| json!({ "access_token": token, "refresh_token": "r", "expires_in": life });
    acme.server.json("/token", &answer("first", 10)).json("/token", &answer("second", 3600));
    acme.connect().await;
    // From half its life on the first call begins it, and is answered with the token that there is.
    let refresh = until("a refresh", LIMIT, || async {
        acme.server.json("/api/me", &json!({}));
        acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
        collector.spans().into_iter().find(|span| span.name() == "refresh")
    })
    .await;
    let [began] = refresh.links()[..] else { panic!("one link: {refresh:?}") };
    let token = until("the span that began it", LIMIT, || async {
        collector.spans().into_iter().find(|span| span.id() == began)
    })
    .await;
    assert_eq!((token.name(), token.attribute("keyferry.token.source").as_str()), ("token", "memory"));
    assert_eq!(refresh.parent(), "");
    assert_ne!(refresh.trace(), token.trace());
}

#[test]
fn the_page_says_what_is_there() {
    let rows: Vec<&str> = DOCS.lines().filter(|line| line.starts_with("| `")).collect();
    for name in attribute::ALL {
        assert!(rows.iter().any(|row| row.contains(&format!("`{name}`"))), "docs/tracing.md has no row for {name}");
    }
    let keys = config::keys().into_iter().filter(|key| key.path.starts_with("telemetry."));
    for key in keys {
        assert!(rows.iter().any(|row| row.contains(&format!("`{}`", key.path))), "and none for {}", key.path);
    }
    let block =
        DOCS.split("```toml config\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of TOML");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), block).expect("it can be written");
    let environment = vec![("COLLECTOR_TOKEN".to_owned(), "x".to_owned())];
    let request = LoadRequest { directory: folder.path().to_owned(), environment, ..LoadRequest::default() };
    let config = config::load(request).expect("it loads");
    let telemetry = config.telemetry.expect("a collector");
    assert_eq!(telemetry.endpoint.as_str(), "https://collector.example.com/v1/traces");
    assert_eq!((telemetry.headers.len(), telemetry.sample), (1, 0.1));
}

#[tokio::test]
async fn a_collector_that_is_away_disturbs_nobody() {
    let nobody = Port::reserve();
    let mut scene = Scene::new(&telemetry(&format!("http://127.0.0.1:{}", nobody.number()))).await;
    scene.keyferry.connect("acme", Person::ADA).await;
    for _ in 0..3 {
        scene.call(PATH, &[]).await.expect(200);
    }
    until("the log says that spans cannot be exported", LIMIT, || async {
        scene.keyferry.log().contains("spans cannot be exported").then_some(())
    })
    .await;
    scene.call(PATH, &[]).await.expect(200);
    scene.keyferry.terminate();
    let exit = scene.keyferry.wait(LIMIT).await;
    assert!(exit.status.success(), "{}", exit.stderr);
    assert_eq!(exit.stderr.matches("spans cannot be exported").count(), 1, "{}", exit.stderr);
    assert!(!exit.stderr.contains("canary-of-the-collector"), "{}", exit.stderr);
}

#[tokio::test]
async fn a_collector_that_hangs_does_not_hold_up_the_end() {
    // Connected to, and never read.
    let collector = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut scene = Scene::new(&telemetry(&format!("http://{}", collector.local_addr().expect("bound")))).await;
    scene.call(PATH, &[]).await.expect_problem(424, "not_connected");
    let begun = Instant::now();
    scene.keyferry.terminate();
    let exit = scene.keyferry.wait(LIMIT).await;
    assert!(exit.status.success(), "{}", exit.stderr);
    assert!(begun.elapsed() < Duration::from_secs(15), "the drain is 30 s: {:?}", begun.elapsed());
    assert_eq!(exit.stderr.matches("spans cannot be exported").count(), 1, "{}", exit.stderr);
}

#[tokio::test]
async fn off_passes_on_what_came_and_a_reload_switches_it_on() {
    let scene = Scene::new("").await;
    scene.keyferry.connect("acme", Person::ADA).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for sent in [
        [("traceparent", parent), ("tracestate", STATE), ("baggage", "who=ada")],
        [("traceparent", "not for us to judge"), ("tracestate", "="), ("baggage", "")],
    ] {
        let request = scene.recorded(PATH, &sent).await;
        for (name, value) in sent {
            assert_eq!(request.header(name), [value], "{name}");
        }
    }
    assert!(scene.recorded(PATH, &[]).await.header("traceparent").is_empty());

    let collector = Scripted::start().await;
    collector.answer("/base/v1/traces", 200, "application/x-protobuf", "");
    let path = scene.keyferry.folder().join("config.toml");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, format!("{text}\n{}", telemetry(&collector.url("/base/")))).expect("it can be written");
    scene.keyferry.signal(Signal::HUP);
    let requests = until("an export", LIMIT, || async {
        scene.call(PATH, &[]).await.expect(200);
        let requests = collector.requests();
        (!requests.is_empty()).then_some(requests)
    })
    .await;
    let head = requests[0].to_ascii_lowercase();
    assert!(head.starts_with("post /base/v1/traces http/1.1\n"), "{head}");
    for field in ["content-type: application/x-protobuf", "authorization: canary-of-the-collector"] {
        assert!(head.contains(field), "{head}");
    }
}
