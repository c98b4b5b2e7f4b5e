use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::Scripted;

#[tokio::test]
async fn what_cannot_be_written_is_told() {
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("Linux has it").into();
    for arguments in results() {
        let (code, err) = ended(&arguments, full()).await;
        let expected = "keyferry: standard output cannot be written: No space left on device";
        assert!(code == 1 && err.contains(expected), "{arguments:?}: {code} {err}");
    }
    let sidecar = Scripted::start().await;
    for more in [&[][..], &["--json"]] {
        sidecar.json("/connections", &json!({ "connections": [{ "connection": "con_1" }] }));
        let url = sidecar.url("");
        let arguments = [&["connections", "list", "--admin-url", &url][..], more].concat();
        let (code, err) = ended(&arguments, full()).await;
        assert!(code == 1 && err.contains("cannot be written"), "{arguments:?}: {code} {err}");
    }
}

#[tokio::test]
async fn whoever_reads_no_more_is_told_nothing() {
    for arguments in results() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (code, err) = ended(&arguments, writer.into()).await;
        assert!(code == 0 && !err.contains("keyferry: "), "{arguments:?}: {code} {err}");
    }
}

/// Commands that ask nobody and end well.
fn results() -> [Vec<&'static str>; 14] {
    [
        "check",
        "completions bash",
        "keys new",
        "man",
        "providers list",
        "providers list --json",
        "providers new acme --output -",
        "providers show notion",
        "providers show notion --json",
        "schema config",
        "schema config --markdown",
        "--help",
        "--version",
        "connections list --help",
    ]
    .map(|line| line.split(' ').collect())
}

/// Exit code and standard error of a command whose standard output goes there.
async fn ended(arguments: &[&str], output: Stdio) -> (i32, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.env_clear().current_dir(folder.path()).args(arguments).stdin(Stdio::null()).stdout(output);
    let ended = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs");
    let ended = ended.expect("it can be started");
    (ended.status.code().expect("an exit code"), String::from_utf8_lossy(&ended.stderr).into_owned())
}
