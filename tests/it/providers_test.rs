//! `keyferry providers test`, and the page that teaches to write what it tests: what authors see of their files.

mod faults; // what is wrong with a file, and how it is told
mod page; // docs/providers.md: every block loads, every example passes, every key is there

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::Process;

/// What was printed, and the exit code.
pub(crate) struct Printed {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A folder with provider files.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("providers")).expect("the folder can be written");
        Self(folder)
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.0.path().join(name), text).expect("the folder can be written");
        self
    }

    /// Types `keyferry providers test` and the rest, which holds no spaces but those between the arguments.
    pub(crate) async fn test(&self, arguments: &str) -> Printed {
        run(self.0.path(), arguments).await
    }
}

async fn run(folder: &Path, arguments: &str) -> Printed {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.env_clear().current_dir(folder).args(["providers", "test"]).args(arguments.split_whitespace());
    let mut process = Process::start("keyferry", command);
    process.close_stdin();
    let status = process.wait(Duration::from_secs(60)).await;
    Printed { code: status.code().expect("an exit code"), out: process.stdout(), err: process.stderr() }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn every_shipped_file_passes() {
    let mut paths: Vec<_> = std::fs::read_dir(repository().join("providers"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    paths.sort();
    assert!(paths.len() >= 14);
    for name in paths {
        let printed = run(repository(), &format!("providers/{name}")).await;
        assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{name}:\n{}", printed.out);
    }
}

/// The whole of what is printed, for a plain file, an odd one and one with a revocation of its own.
#[tokio::test]
async fn what_is_printed() {
    for name in ["airtable", "github", "slack"] {
        let printed = run(repository(), name).await;
        insta::assert_snapshot!(format!("printed_for_{name}"), printed.out);
    }
}

#[tokio::test]
async fn one_scenario_as_json() {
    let printed = run(repository(), "stripe --scenario disconnect --scenario call --json").await;
    assert_eq!(printed.code, 0, "{}", printed.err);
    let report: serde_json::Value = serde_json::from_str(&printed.out).expect("JSON");
    assert_eq!(report["passed"], true);
    let names: Vec<&str> =
        report["scenes"].as_array().expect("a list").iter().filter_map(|scene| scene["name"].as_str()).collect();
    assert_eq!(names, ["disconnect", "call"]);
    let revocation = &report["scenes"][0]["steps"][0];
    assert_eq!(revocation["url"], "https://connect.stripe.com/oauth/deauthorize");
    assert_eq!(revocation["headers"][0], serde_json::json!(["authorization", "Bearer <client_secret>"]));
    assert_eq!(
        revocation["body"],
        serde_json::json!([["client_id", "<client_id>"], ["stripe_user_id", "the-stripe-user-id"]])
    );
}
