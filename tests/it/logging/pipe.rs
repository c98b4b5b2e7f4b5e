//! A file of audit events that is a pipe: whoever reads it may stop, and nobody else does.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rustix::fs::OFlags;

use super::{LIMIT, Scene};
use crate::support::{Configuration, Keyferry, Metrics, Person, until};

/// Both ends of a pipe, that need not wait for each other.
struct Pipe(File);

impl Pipe {
    fn open(path: &Path) -> Self {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let both = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
        Self(both.expect("it can be opened"))
    }

    /// Nobody reads, and there is no room any more.
    fn fill(&mut self) {
        for size in [4096, 1] {
            while self.0.write(&vec![b'\n'; size]).is_ok() {}
        }
    }

    fn read(&mut self) -> String {
        let mut text = Vec::new();
        let end = self.0.read_to_end(&mut text).expect_err("it is open for writing too");
        assert_eq!(end.kind(), ErrorKind::WouldBlock);
        String::from_utf8(text).expect("text")
    }
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    let audit = format!("audit = {path:?}");
    let exit = Keyferry::refuse(Configuration::new().log(&audit)).await;
    assert_eq!(exit.status.code(), Some(2), "{}", exit.stderr);
    assert!(exit.stderr.contains("log.audit  "), "{}", exit.stderr);

    let mut pipe = Pipe::open(&path);
    pipe.fill();
    let mut scene = Scene::new(&audit).await;
    let keyferry = &scene.keyferry;
    let wrong = || keyferry.request("GET", "/integrations").header("authorization", "Bearer kf_wrong").send();
    for _ in 0..20 {
        wrong().await.expect_problem(401, "unauthenticated");
        keyferry.call("acme", "/ok", Person::ADA).await.expect(200);
        keyferry.admin_request("GET", "/healthz").send().await.expect(200);
    }
    // The log has what the pipe does not take.
    scene.audited("connected", "user", "ada").await;
    scene.audited("denied", "reason", "unauthenticated").await;
    assert!(keyferry.log().contains("an audit event could not be written to its file"));
    let metrics = Metrics::of(keyferry).await;
    assert!(metrics.value("keyferry_audit_errors_total", &[]) >= 3.0);
    assert_eq!(metrics.value("keyferry_log_dropped_total", &[]), 0.0);

    // Somebody reads again.
    assert_eq!(pipe.read().trim(), "");
    keyferry.disconnect("acme", Person::ADA).await.expect(200);
    let written = || {
        let text = pipe.read();
        async move { text.contains("\"disconnected\"").then_some(()) }
    };
    until("the pipe has it", LIMIT, written).await;
    let over = || async { keyferry.log().contains("audit events are written to their file again").then_some(()) };
    until("it is said", LIMIT, over).await;

    // And stops; nor does the end wait.
    pipe.fill();
    wrong().await.expect_problem(401, "unauthenticated");
    let begun = Instant::now();
    scene.keyferry.terminate();
    let exit = scene.keyferry.wait(LIMIT).await;
    assert!(exit.status.success() && begun.elapsed().as_secs() < 10, "{}", exit.stderr);
    let last = exit.stderr.rsplit("audit events are written to their file again").next().expect("the rest");
    assert!(last.contains("\"unauthenticated\""), "{last}");
}
