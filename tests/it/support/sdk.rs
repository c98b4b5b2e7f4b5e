//! Vendors' SDKs, unmodified, each in a script of `tests/peers/sdk` that makes a handful of calls and prints what the
//! SDK made of the answers.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::Value;

use super::{peers, process::Process};

/// One vendor's SDK.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sdk {
    /// The script's name.
    pub(crate) script: &'static str,
    /// The integration that serves it.
    pub(crate) integration: &'static str,
}

impl Sdk {
    /// Those that the tests drive.
    pub(crate) const ALL: [Self; 6] = [
        Self { script: "notion.mjs", integration: "notion" },
        Self { script: "hubspot.mjs", integration: "hubspot" },
        Self { script: "airtable.mjs", integration: "airtable" },
        Self { script: "octokit.mjs", integration: "github" },
        Self { script: "notion_client_sdk.py", integration: "notion" },
        Self { script: "pyairtable_sdk.py", integration: "airtable" },
    ];

    /// Runs it against `base_url` with `token`, and answers what it printed.
    pub(crate) async fn run(self, base_url: &str, token: &str) -> Value {
        let mut command = Command::new(self.interpreter());
        command.arg(peers("sdk").join(self.script)).args([base_url, token]);
        let mut process = Process::start(self.script, command);
        process.close_stdin();
        let status = process.wait(Duration::from_secs(90)).await;
        assert!(status.success(), "{} ended with {status}: {}{}", self.script, process.stdout(), process.stderr());
        serde_json::from_str(&process.stdout()).unwrap_or_else(|error| panic!("{}: {error}", self.script))
    }

    fn interpreter(self) -> PathBuf {
        if self.script.ends_with(".py") { peers(".venv/bin/python") } else { PathBuf::from("node") }
    }
}
