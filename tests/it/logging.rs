//! What a call leaves behind: one line in the log, its counts, and what the audit stream hears. The real program, in
//! front of an API that also breaks off, hangs and changes its protocol.

mod api;
mod denied;
mod page;
mod pipe;
mod switched;

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::api::Api;
use crate::support::{AuthorizationServer, Client, Configuration, Keyferry, Metrics, Person, until};

const LIMIT: Duration = Duration::from_secs(20);

/// A provider with a person connected, and a key in front.
struct Scene {
    server: AuthorizationServer,
    keyferry: Keyferry,
}

impl Scene {
    async fn new(log: &str) -> Self {
        Self::with(Configuration::new(), log).await
    }

    async fn with(configuration: Configuration, log: &str) -> Self {
        let (server, api) = (AuthorizationServer::start().await, Api::start().await);
        let key = Keyferry::new_key().await;
        let configuration =
            configuration.integration("acme", server.issuer(), &api.url(), &Client::POST).caller(&key).log(log);
        let keyferry = Keyferry::start(configuration).await;
        keyferry.connect("acme", Person::ADA).await;
        Self { server, keyferry }
    }

    /// The JSON lines of a target so far.
    fn lines(&self, target: &str) -> Vec<Value> {
        let log = self.keyferry.log();
        let whole = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["target"] == target)
            .collect()
    }

    /// Waits for that many lines of calls, and answers all of them.
    async fn calls(&self, count: usize) -> Vec<Value> {
        until("a line of each call", LIMIT, || async { Some(self.lines("call")).filter(|all| all.len() >= count) })
            .await
    }

    /// Waits for an audit event of that name about this, and answers it.
    async fn audited(&self, event: &str, field: &str, value: &str) -> Value {
        let found =
            || async { self.lines("audit").into_iter().find(|line| line["message"] == event && line[field] == value) };
        until(&format!("{event} with {field} {value}"), LIMIT, found).await
    }

    /// A connection to it with a request for `path` written, by the key that the tests use.
    async fn raw(&self, path: &str, fields: &str) -> TcpStream {
        self.raw_by("GET", path, fields).await
    }

    async fn raw_by(&self, method: &str, path: &str, fields: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.keyferry.address()).await.expect("it listens");
        let (address, key) = (self.keyferry.address(), self.keyferry.api_key().expect("a key"));
        let head = format!(
            "{method} /proxy/acme{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             keyferry-org: analytical\r\nkeyferry-user: ada\r\n{fields}\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("it reads");
        stream
    }
}

impl Scene {
    /// An HTTP/2 connection to it, driven until the test ends.
    async fn http2(&self) -> h2::client::SendRequest<bytes::Bytes> {
        let stream = TcpStream::connect(self.keyferry.address()).await.expect("it listens");
        let (requests, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        requests
    }

    /// An upload by the key that the tests use, for Ada.
    fn post(&self, path: &str) -> http::Request<()> {
        let (address, key) = (self.keyferry.address(), self.keyferry.api_key().expect("a key"));
        let request = http::Request::post(format!("http://{address}/proxy/acme{path}"));
        let request = request.header("authorization", format!("Bearer {key}")).header("keyferry-org", "analytical");
        request.header("keyferry-user", "ada").body(()).expect("a request")
    }

    /// Begins an upload over HTTP/2, and resets its stream once it goes to the provider.
    async fn upload_and_reset(&self) {
        let mut requests = self.http2().await;
        let mut request = self.post("/ok");
        request.headers_mut().insert("content-length", http::HeaderValue::from_static("100"));
        let (_answer, mut body) = requests.send_request(request, false).expect("it is open");
        body.send_data("half".into(), false).expect("it is open");
        let active = [("state", "active")];
        let begun = || async {
            let page = Metrics::of(&self.keyferry).await;
            (page.value("keyferry_upstream_connections", &active) > 0.0).then_some(())
        };
        until("it goes to the provider", LIMIT, begun).await;
        body.send_reset(h2::Reason::CANCEL);
    }
}

#[tokio::test]
async fn every_call_has_one_line_and_is_counted() {
    let scene = Scene::new("call_paths = true\nlevel = \"debug\"").await;
    let keyferry = &scene.keyferry;
    keyferry.call("acme", "/ok?api_key=hunter2", Person::ADA).await.expect(200);
    keyferry.request_for("POST", "/proxy/acme/chunks", Person::ADA).body("0123456789").send().await.expect(200);
    keyferry.call("acme", "/missing", Person::ADA).await.expect(404);
    keyferry.call("acme", "/ok", Person::BOB).await.expect_problem(424, "not_connected");
    keyferry.call("nobody", "/ok", Person::ADA).await.expect_problem(404, "unknown_integration");
    keyferry.request("GET", "/proxy/acme/ok").header("authorization", "Bearer kf_wrong").send().await.expect(401);
    keyferry.request_for("BREW", "/proxy/acme/ok", Person::ADA).send().await.expect(200);
    assert!(keyferry.request_for("GET", "/proxy/acme/broken", Person::ADA).attempt().await.is_err());
    let calls = scene.calls(8).await;

    let first = &calls[0];
    let connection = keyferry.credentials("acme", Person::ADA).await.expect(200).json()["connection"].clone();
    let expected = json!({
        "message": "call", "target": "call", "level": "INFO", "integration": "acme", "method": "GET", "path": "/ok",
        "outcome": "2xx", "status": 200, "bytes_in": 0, "bytes_out": 5, "org": "analytical", "user": "ada",
        "caller": "backend", "connection.id": connection,
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&first[field], value, "{field} of {first}");
    }
    let number = |line: &Value, field: &str| line[field].as_f64().unwrap_or_else(|| panic!("no {field} in {line}"));
    assert!(number(first, "duration_ms") >= number(first, "upstream_ms"), "{first}");
    assert!(first["request.id"].is_string(), "{first}");

    let told: Vec<_> = calls.iter().map(|line| (line["outcome"].clone(), line["level"].clone())).collect();
    let outcomes = [
        ("2xx", "INFO"),
        ("2xx", "INFO"),
        ("4xx", "INFO"),
        ("not_connected", "INFO"),
        ("unknown_integration", "INFO"),
        ("unauthenticated", "INFO"),
        ("2xx", "INFO"),
        ("broken", "WARN"),
    ];
    assert_eq!(told, outcomes.map(|(outcome, level)| (Value::from(outcome), Value::from(level))));
    assert_eq!((&calls[1]["bytes_in"], &calls[1]["bytes_out"]), (&10.into(), &11.into()), "{}", calls[1]);
    assert_eq!((&calls[3]["user"], &calls[3]["status"]), (&"bob".into(), &424.into()), "{}", calls[3]);
    assert_eq!(calls[4]["integration"], Value::Null, "{}", calls[4]);
    assert_eq!((&calls[5]["integration"], &calls[5]["caller"]), (&"acme".into(), &Value::Null), "{}", calls[5]);
    assert_eq!(calls[6]["method"], "other", "{}", calls[6]);
    assert_eq!((&calls[7]["status"], &calls[7]["bytes_out"]), (&200.into(), &5.into()), "{}", calls[7]);

    // Callers who go away, before the answer and within it; and a tunnel.
    let hanging = scene.raw("/hang", "").await;
    let begun = || scene.lines("keyferry::server::service").iter().filter(|line| line["endpoint"] == "call").count();
    until("it has begun", LIMIT, || async { (begun() == 9).then_some(()) }).await;
    drop(hanging);
    assert_eq!(scene.calls(9).await[8]["outcome"], "cancelled");
    let mut within = scene.raw("/slow", "").await;
    let mut head = [0; 64];
    assert!(within.read(&mut head).await.expect("a head") > 0);
    drop(within);
    let left = &scene.calls(10).await[9];
    assert_eq!((&left["outcome"], &left["status"]), (&"cancelled".into(), &200.into()), "{left}");
    let mut tunnel = scene.raw("/socket", "connection: upgrade\r\nupgrade: echo\r\n").await;
    let mut answered = Vec::new();
    while !answered.ends_with(b"\r\n\r\n") {
        answered.push(tunnel.read_u8().await.expect("a head"));
    }
    assert!(answered.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answered));
    tunnel.write_all(b"ping").await.expect("it is open");
    let mut echo = [0; 8];
    tunnel.read_exact(&mut echo).await.expect("an echo, twice");
    assert_eq!(scene.lines("call").len(), 10, "a tunnel's call ends with the tunnel");
    drop(tunnel);
    let tunnelled = &scene.calls(11).await[10];
    let fields = ["outcome", "status", "bytes_in", "bytes_out"].map(|field| tunnelled[field].clone());
    assert_eq!(fields, [json!("1xx"), json!(101), json!(4), json!(8)], "{tunnelled}");

    // A path cannot forge a line, and no line holds a query or a secret.
    keyferry.call("acme", "/odd%22,%22message%22:%22forged", Person::ADA).await.expect(200);
    keyferry.call("acme", "/a%0d%0aforged", Person::ADA).await.expect_problem(400, "bad_request");
    let calls = scene.calls(13).await;
    let odd = &calls[11];
    assert_eq!((&calls[12]["outcome"], &calls[12]["path"]), (&"bad_request".into(), &Value::Null), "{}", calls[12]);
    assert_eq!((&odd["path"], &odd["message"]), (&"/odd%22,%22message%22:%22forged".into(), &"call".into()), "{odd}");
    assert!(!keyferry.log().lines().any(|line| line.contains("\"call\"") && line.contains("hunter2")));
    keyferry.assert_keeps(&scene.server.secrets().await);
    page::holds_every_field_of(&calls[0], "A line of a call");

    let metrics = Metrics::of(keyferry).await;
    let labels = |method, outcome| [("integration", "acme"), ("method", method), ("outcome", outcome)];
    assert_eq!(metrics.value("keyferry_calls_total", &labels("POST", "2xx")), 1.0);
    assert_eq!(metrics.value("keyferry_call_request_bytes_total", &labels("POST", "2xx")), 10.0);
    assert_eq!(metrics.value("keyferry_call_response_bytes_total", &labels("POST", "2xx")), 11.0);
    assert_eq!(metrics.value("keyferry_call_duration_seconds_count", &labels("POST", "2xx")), 1.0);
    for (outcome, count) in [("cancelled", 2.0), ("broken", 1.0), ("not_connected", 1.0), ("unauthenticated", 1.0)] {
        assert_eq!(metrics.value("keyferry_calls_total", &labels("GET", outcome)), count, "{outcome}");
    }
    assert_eq!(metrics.value("keyferry_calls_total", &labels("other", "2xx")), 1.0);
    let stranger = [("integration", ""), ("method", "GET"), ("outcome", "unknown_integration")];
    assert_eq!(metrics.value("keyferry_calls_total", &stranger), 1.0);
    assert_eq!(metrics.value("keyferry_log_dropped_total", &[]), 0.0);
}

#[tokio::test]
async fn the_operator_says_which_calls_have_a_line() {
    let scene = Scene::new("call_sample = 0.0").await;
    let keyferry = &scene.keyferry;
    keyferry.call("acme", "/ok", Person::ADA).await.expect(200);
    keyferry.call("acme", "/missing", Person::ADA).await.expect(404);
    let calls = scene.calls(1).await;
    assert_eq!((&calls[0]["status"], &calls[0]["path"]), (&404.into(), &Value::Null), "{calls:?}");

    // Another configuration holds without a restart, and counts go on.
    let change = |from: &str, to: &str| {
        let path = keyferry.folder().join("config.toml");
        let text = std::fs::read_to_string(&path).expect("config.toml");
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).expect("it can be written");
        keyferry.signal(Signal::HUP);
    };
    change("call_sample = 0.0", "calls = \"off\"");
    assert_eq!(scene.audited("reloaded", "level", "INFO").await["target"], "audit");
    keyferry.call("acme", "/missing", Person::ADA).await.expect(404);
    change("calls = \"off\"", "calls = \"failed\"\naudit = \"audit.log\"");
    let file = keyferry.folder().join("audit.log");
    let written = || async { std::fs::read_to_string(&file).ok().filter(|text| text.contains("reloaded")) };
    let written = until("the stream goes to its file", LIMIT, written).await;
    let event: Value = serde_json::from_str(written.lines().next().expect("a line")).expect("a JSON line");
    assert_eq!((&event["message"], &event["target"]), (&"reloaded".into(), &"audit".into()), "{event}");
    keyferry.call("acme", "/ok", Person::ADA).await.expect(200);
    keyferry.call("acme", "/missing", Person::ADA).await.expect(404);
    let calls = scene.calls(2).await;
    assert_eq!(calls.iter().map(|line| line["status"].clone()).collect::<Vec<_>>(), [404, 404], "{calls:?}");

    // A file that takes nothing loses nothing.
    let before = scene.lines("audit").len();
    change("audit.log", "/dev/full");
    let again = || async { (scene.lines("audit").len() > before).then_some(()) };
    until("the next event is in the log", LIMIT, again).await;
    keyferry.disconnect("acme", Person::ADA).await.expect(200);
    scene.audited("disconnected", "user", "ada").await;
    let told = || async { keyferry.log().contains("an audit event could not be written").then_some(()) };
    until("the failure is told", LIMIT, told).await;
    let metrics = Metrics::of(keyferry).await;
    assert!(metrics.value("keyferry_audit_errors_total", &[]) >= 2.0);
    let labels = [("integration", "acme"), ("method", "GET"), ("outcome", "4xx")];
    assert_eq!(metrics.value("keyferry_calls_total", &labels), 3.0);
}

#[tokio::test]
async fn whoever_ends_a_call_is_named() {
    let mut scene = Scene::with(Configuration::new().server("drain = \"1s\""), "").await;
    // The caller, within its own body and within a tunnel.
    let mut upload = scene.raw_by("POST", "/ok", "content-length: 100\r\n").await;
    upload.write_all(b"half").await.expect("it reads");
    drop(upload);
    let line = &scene.calls(1).await[0];
    assert_eq!((&line["outcome"], &line["bytes_out"]), (&"cancelled".into(), &0.into()), "{line}");
    scene.upload_and_reset().await;
    let line = &scene.calls(2).await[1];
    assert_eq!((&line["outcome"], &line["bytes_out"]), (&"cancelled".into(), &0.into()), "{line}");
    let mut tunnel = scene.raw("/socket", "connection: upgrade\r\nupgrade: echo\r\n").await;
    tunnel.write_all(b"ping").await.expect("it is open");
    let mut answered = Vec::new();
    while !answered.ends_with(b"pingping") {
        answered.push(tunnel.read_u8().await.expect("a head and an echo"));
    }
    tunnel.set_zero_linger().expect("a socket");
    drop(tunnel);
    let line = &scene.calls(3).await[2];
    let told = ["outcome", "bytes_in", "bytes_out", "level"].map(|field| line[field].clone());
    assert_eq!(told, [json!("cancelled"), json!(4), json!(8), json!("INFO")], "{line}");

    // We, with words that HEAD does not get, and by the name of a provider file that nobody configured.
    scene.keyferry.request_for("HEAD", "/proxy/acme/ok", Person::BOB).send().await.expect(424);
    scene.keyferry.call("notion", "/v1/users", Person::ADA).await.expect(500);
    let lines = scene.calls(5).await;
    assert_eq!((&lines[3]["outcome"], &lines[3]["bytes_out"]), (&"not_connected".into(), &0.into()), "{}", lines[3]);
    assert_eq!((&lines[4]["outcome"], &lines[4]["integration"]), (&"integration_not_configured".into(), &Value::Null));

    // We, at the end of the drain.
    let mut cut = Vec::new();
    for _ in 0..10 {
        cut.push(scene.raw("/slow", "").await);
        cut.push(scene.raw("/socket", "connection: upgrade\r\nupgrade: echo\r\n").await);
    }
    for stream in &mut cut {
        assert_eq!(stream.read_u8().await.expect("a head"), b'H');
    }
    let mut http2 = scene.http2().await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        let (answer, _) = http2.send_request(scene.post("/slow"), true).expect("it is open");
        answers.push(answer.await.expect("a head"));
    }
    scene.keyferry.terminate();
    let exit = scene.keyferry.wait(LIMIT).await;
    let lines = exit.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let cut: Vec<Value> = lines.filter(|line| line["target"] == "call").skip(5).collect();
    assert_eq!(cut.len(), 30, "{cut:?}");
    drop(answers);
    for line in cut {
        assert_eq!((&line["outcome"], &line["level"]), (&"shutting_down".into(), &"WARN".into()), "{line}");
    }
}

#[tokio::test]
async fn the_audit_stream_says_who_did_what() {
    let scene = Scene::new("level = \"keyferry=info,error\"").await;
    let keyferry = &scene.keyferry;
    let connected = scene.audited("connected", "user", "ada").await;
    assert!(connected["connection.id"].is_string() && connected["org"] == "analytical", "{connected}");
    let confirmed = scene.audited("confirmed", "user", "ada").await;
    for event in [&connected, &confirmed] {
        assert_eq!((&event["caller"], &event["client.address"]), (&"backend".into(), &"127.0.0.1".into()), "{event}");
        assert!(event["request.id"].is_string() && event["request.id"] == confirmed["request.id"], "{event}");
    }

    let (code, _) = keyferry.finish_unconfirmed("acme", Person::ADA).await;
    keyferry.confirm("acme", Person::BOB, &code).await.expect_problem(403, "forbidden");
    let denied = scene.audited("denied", "reason", "somebody_else").await;
    assert_eq!((&denied["user"], &denied["integration"]), (&"bob".into(), &"acme".into()), "{denied}");

    let session = keyferry.session(Person::BOB).await;
    let as_bob = keyferry.request("GET", "/proxy/acme/ok").header("authorization", &format!("Bearer {session}"));
    as_bob.header("keyferry-user", "ada").send().await.expect_problem(403, "forbidden");
    let denied = scene.audited("denied", "reason", "outside_scope").await;
    assert_eq!((&denied["caller"], &denied["user"]), (&"backend".into(), &"bob".into()), "{denied}");
    assert!(denied["request.id"].is_string(), "{denied}");

    for _ in 0..25 {
        let wrong = keyferry.request("GET", "/integrations").header("authorization", "Bearer kf_wrong");
        wrong.send().await.expect_problem(401, "unauthenticated");
    }
    let folded = || async {
        let lines = scene.lines("audit");
        let all = lines.iter().filter(|line| line["reason"] == "unauthenticated");
        let of = |line: &Value| line["times"].as_u64().unwrap_or(1);
        let (lines, times) = all.fold((0, 0), |(lines, times), line| (lines + 1, times + of(line)));
        (times == 25).then_some(lines)
    };
    assert!(until("every denial is told", LIMIT, folded).await <= 22, "a flood is told by its number");

    // The grant is refused for good, and then the connection ended.
    scene.server.change(json!({ "access_token_ttl": 1 })).await;
    keyferry.connect("acme", Person::ADA).await;
    scene.server.fault(json!({ "endpoint": "token", "mode": "500", "times": 1 })).await;
    let failed = || async {
        keyferry.call("acme", "/ok", Person::ADA).await;
        scene.lines("audit").into_iter().find(|line| line["message"] == "refresh_failed")
    };
    let failed = until("a refresh fails", LIMIT, failed).await;
    assert!(failed["connection.id"].is_string() && failed["reason"].is_string(), "{failed}");
    let kept = &keyferry.logged("a refresh failed; the grant is kept")[0];
    assert!(kept["pause_ms"].is_u64() && kept["connection.id"] == failed["connection.id"], "{kept}");
    scene.server.forget("RefreshToken").await;
    let refused = || async { (keyferry.call("acme", "/ok", Person::ADA).await.status == 424).then_some(()) };
    until("the refresh is refused", LIMIT, refused).await;
    let refused =
        || async { scene.lines("audit").iter().filter(|line| line["message"] == "refresh_failed").nth(1).cloned() };
    let refused = until("it is told", LIMIT, refused).await;
    assert_eq!(refused["connection.id"], failed["connection.id"], "{refused}");
    keyferry.disconnect("acme", Person::ADA).await.expect(200);
    let disconnected = scene.audited("disconnected", "user", "ada").await;
    assert!(disconnected["caller"] == "backend" && disconnected["request.id"].is_string(), "{disconnected}");

    let path = keyferry.folder().join("config.toml");
    let text = std::fs::read_to_string(&path).expect("config.toml");
    let (_, hash) = Keyferry::new_key().await;
    let old = text.lines().find(|line| line.starts_with("key_hash")).expect("a caller");
    let more = format!("[callers.second]\n{old}\norgs = [\"*\"]\nusers = [\"*\"]\nintegrations = [\"*\"]\n");
    std::fs::write(&path, text.replace(old, &format!("key_hash = \"{hash}\"")) + &more).expect("it can be written");
    keyferry.signal(Signal::HUP);
    assert_eq!(scene.audited("key_changed", "caller", "backend").await["reason"], "key");
    assert_eq!(scene.audited("key_changed", "caller", "second").await["reason"], "added");
    for line in scene.lines("audit") {
        page::holds_every_field_of(&line, "Audit events");
    }
    keyferry.assert_keeps(&[scene.server.secrets().await, vec![code, session]].concat());
}
