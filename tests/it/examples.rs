//! What `examples/` shows is so: their configurations are good, their programs run, and their READMEs say what the files do.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    AuthorizationServer, Client, Configuration, Keyferry, Person, Process, Recorder, peers, run_scenario,
};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn every_configuration_is_good() {
    let mut configurations = Vec::new();
    for example in fs::read_dir(examples("")).expect("the examples are there") {
        let configuration = example.expect("and so is each").path().join("config.toml");
        assert!(configuration.is_file(), "{} is not there", configuration.display());
        let said = check(&configuration).await;
        // Ids and secrets come from the environment, and this one has none.
        for line in said.lines().filter(|line| line.contains("config.toml")) {
            assert!(line.contains("has no value: "), "{line}");
        }
        configurations.push(configuration);
    }
    assert!(configurations.len() >= 3, "{configurations:?}");
}

/// `before` and `after` differ in three lines, which are those that the README shows.
#[test]
fn three_lines_make_the_difference() {
    let readme = fs::read_to_string(examples("notion-sdk/README.md")).expect("a README");
    let shown: Vec<&str> = readme.split("```diff ").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    for (language, shown) in ["mjs", "py"].into_iter().zip(shown) {
        let lines = |name: &str| {
            let path = examples(&format!("notion-sdk/{name}.{language}"));
            let text = fs::read_to_string(&path).expect("the example's file");
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let (before, after) = (lines("before"), lines("after"));
        let only = |sign: char, these: &[String], those: &[String]| {
            let lines = these.iter().filter(|line| !those.contains(line)).map(|line| format!("{sign}{line}"));
            lines.collect::<Vec<_>>()
        };
        let changed = [only('-', &before, &after), only('+', &after, &before)].concat();
        assert_eq!(changed.len(), 3, "{changed:?}");
        let shown: Vec<&str> = shown.lines().filter(|line| line.starts_with(['-', '+'])).collect();
        assert_eq!(changed, shown);
    }
}

#[tokio::test]
async fn a_back_end_calls_notion_by_its_sdk() {
    let server = AuthorizationServer::start().await;
    let recorder = Recorder::start().await;
    let configuration = Configuration::new()
        .integration("notion", server.issuer(), recorder.url(), &Client::POST)
        .caller(&Keyferry::new_key().await);
    let keyferry = Keyferry::start(configuration).await;
    keyferry.connect("notion", Person::ADA).await;
    let session = keyferry.session(Person::ADA).await;

    // Where the SDK of either language is installed; each file runs as it is.
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(examples("notion-sdk/after.mjs"), folder.path().join("after.mjs")).expect("a copy");
    symlink(peers("node_modules"), folder.path().join("node_modules")).expect("a link");
    let programs = [
        (PathBuf::from("node"), folder.path().join("after.mjs")),
        (peers(".venv/bin/python"), examples("notion-sdk/after.py")),
    ];
    let mut printed = Vec::new();
    for (interpreter, program) in programs {
        let mut command = Command::new(interpreter);
        command.arg(&program).env("KEYFERRY_URL", keyferry.public_url()).env("KEYFERRY_TOKEN", &session);
        command.env("NO_PROXY", "127.0.0.1");
        printed.push(run(&program.display().to_string(), command).await);
        let [request] = &recorder.take().await[..] else { panic!("one request") };
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/v1/search"));
        let [authorization] = &request.header("authorization")[..] else { panic!("one authorization") };
        assert!(authorization.starts_with("Bearer ") && !authorization.contains(&session), "{authorization}");
        let body: Value = serde_json::from_slice(&request.body()).expect("JSON");
        assert_eq!(body["page_size"], 10);
    }
    assert!(printed[0].starts_with("page "), "{}", printed[0]);
    assert_eq!(printed[0], printed[1]);
}

#[tokio::test]
async fn two_people_behind_keyferry() {
    // The ports stand in the example's files.
    let ports = [3000, 8080, 8081, 8090];
    for port in ports {
        assert!(is_free(port), "port {port} is taken; the example listens there, so end what does now");
    }
    let mut command = Command::new(examples("behind-keyferry/run"));
    command.env("KEYFERRY", env!("CARGO_BIN_EXE_keyferry")).env_remove("NOTION_CLIENT_ID");
    let mut example = Running(Process::start("behind-keyferry/run", command));
    let opened = |process: &Process| process.stdout().contains("Open http://localhost:8080").then_some(());
    example.0.output("line that says what to open", LIMIT, opened).await;

    run_scenario("../examples/behind.mjs", &json!({})).await;

    // Ctrl-C ends all of it.
    example.0.signal(Signal::INT);
    example.0.wait(LIMIT).await;
    for port in ports {
        assert!(is_free(port), "something still listens on {port}");
    }
}

/// The script, which has programs of its own: killed, as a [`Process`] is, it would leave them behind.
struct Running(Process);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.exited().is_none() {
            self.0.signal(Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.0.exited().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// `keyferry check`, which has to find no mistake; answers what it says.
async fn check(configuration: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.args(["check", "--config"]).arg(configuration).env_clear();
    run(&configuration.display().to_string(), command).await
}

/// Runs a program to its good end, and answers what it printed.
async fn run(name: &str, command: Command) -> String {
    let mut process = Process::start(name, command);
    process.close_stdin();
    let status = process.wait(LIMIT).await;
    let printed = format!("{}{}", process.stdout(), process.stderr());
    assert!(status.success(), "{name} ended with {status}: {printed}");
    printed
}

fn examples(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}
