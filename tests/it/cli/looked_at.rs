//! What is found out before anything is served, and said so that its operator can act on it.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{LIMIT, Typed};
use crate::redis_servers::Server;
use crate::support::{Configuration, Keyferry, Process, until};

/// A store key.
const OTHER: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[tokio::test]
async fn check_names_what_would_stop_serve() {
    let (code, out, _) = Typed::new(&["check"]).run().await;
    assert!(code == 0 && out.contains("there is no config.toml here"), "{out}");
    for audit in ["nosuch/audit.log", "."] {
        let config = format!("[log]\naudit = {audit:?}\n");
        for command in ["check", "serve"] {
            let (code, out, err) = Typed::new(&[command]).config(&config).run().await;
            assert!(code == 2 && err.contains("log.audit  ") && err.contains(audit), "{command}: {out}{err}");
        }
    }
    let typed = Typed::new(&["check"]).config("[log]\naudit = \"audit.log\"\n");
    let (mut process, folder) = typed.start();
    assert!(process.wait(LIMIT).await.success() && process.stdout().contains("no mistakes"), "{}", process.stderr());
    assert!(!folder.path().join("audit.log").exists(), "it makes no file");
}

#[tokio::test]
async fn the_operators_key_is_no_callers() {
    let (code, out, _) = Typed::new(&["keys", "new", "--admin"]).run().await;
    let key = out.lines().map(str::trim).find(|line| line.starts_with("kf_")).expect("a key");
    assert!(code == 0 && !out.contains("[callers"), "{out}");
    let hash = out.lines().find(|line| line.starts_with("admin_key_hash = ")).expect("a line");
    let keyferry = Keyferry::start(Configuration::new().server(hash)).await;
    let asked = keyferry.admin_request("GET", "/connections").header("authorization", &format!("Bearer {key}"));
    asked.send().await.expect(200);
}

#[tokio::test]
async fn a_store_key_beside_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = logged_at_the_start(folder.path(), &[]).await;
    assert!(first.contains("a store key was made") && first.contains("keyferry.redb.key"), "{first}");

    let made = fs::read_to_string(folder.path().join("data/keyferry.redb.key")).expect("a key file");
    let made = made.trim();
    for (keys, is_warned) in [(vec![], false), (vec![OTHER], true), (vec![OTHER, made], false)] {
        let log = logged_at_the_start(folder.path(), &keys).await;
        assert_eq!(log.contains("store.keys does not list it"), is_warned, "{keys:?}: {log}");
        assert!(!log.contains(made) && !log.contains("a store key was made"), "{log}");
    }
}

/// What a sidecar with these store keys logs until it listens. It is ended afterwards.
async fn logged_at_the_start(folder: &Path, keys: &[&str]) -> String {
    let keys = if keys.is_empty() { String::new() } else { format!("keys = {keys:?}\n") };
    let config =
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"\"\n[store]\nurl = \"file:data/keyferry.redb\"\n";
    fs::write(folder.join("config.toml"), format!("{config}{keys}")).expect("it is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.env_clear().current_dir(folder).arg("serve");
    let mut process = Process::start("keyferry", command);
    let log = |process: &Process| Some(process.stderr()).filter(|log| log.contains("\"listening\""));
    let log = process.output("it listens", LIMIT, log).await;
    process.signal(Signal::TERM);
    assert!(process.wait(LIMIT).await.success(), "{}", process.stderr());
    log
}

#[tokio::test]
async fn a_redis_user_without_rights_is_not_ready() {
    let server = Server::start(&[]);
    let acl = |rules: &[&str]| redis::cmd("ACL").arg(rules).exec(&mut server.raw()).expect("Redis takes it");
    acl(&["SETUSER", "poor", "on", ">s3cr3t-of-redis", "~*", "&*", "+@all"]);
    let url = format!("url = \"redis://poor:s3cr3t-of-redis@127.0.0.1:{}\"\n", server.port);
    let keyferry = Keyferry::start(Configuration::new().store(&format!("{url}keys = [{OTHER:?}]\n"))).await;
    acl(&["SETUSER", "poor", "resetkeys", "~other:*"]);
    keyferry.admin_request("GET", "/readyz").send().await.expect_problem(503, "store_unavailable");
    let told = || async { keyferry.log().contains("no permissions").then_some(()) };
    until("the log says why", LIMIT, told).await;
    assert!(!keyferry.log().contains("s3cr3t-of-redis"));
}
