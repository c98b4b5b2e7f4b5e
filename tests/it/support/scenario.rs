//! Scenarios in a real browser: scripts of `tests/peers/browser` that drive Chromium, and the pages of other origins that
//! they visit.

use std::{fs, process::Command, time::Duration};

use serde_json::{Value, json};

use super::{authorization_server::start, peers, process::Process};

/// How long a scenario may take, on a machine that does other things.
const LIMIT: Duration = Duration::from_secs(150);

/// An application of another origin, whose pages import connect.js; or a hostile one. It ends when this goes.
pub(crate) struct FrontEnd {
    url: String,
    _process: Process,
}

impl FrontEnd {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let (process, said) = start("browser/application.mjs", &json!({})).await;
        Self { url: said["url"].as_str().expect("it says its URL").to_owned(), _process: process }
    }

    /// Its origin.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Runs a scenario with its settings; panics with what it says when something is wrong.
pub(crate) async fn run_scenario(script: &str, settings: &Value) {
    let mut command = Command::new("node");
    command.arg(peers("browser").join(script)).arg(settings.to_string());
    succeed(script, command).await;
}

/// Holds a TypeScript file of `tests/peers` to `types`, which it imports as `./connect.js`.
pub(crate) async fn type_check(types: &str, file: &str) {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    fs::write(folder.path().join("connect.d.ts"), types).expect("the temporary folder can be written");
    let source = fs::read(peers(file)).expect("the file is there");
    fs::write(folder.path().join("types.ts"), source).expect("the temporary folder can be written");
    let mut command = Command::new("node");
    command.arg(peers("node_modules/typescript/bin/tsc")).current_dir(folder.path());
    command.args(["--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"]);
    command.args(["--lib", "es2022,dom,dom.iterable", "types.ts"]);
    succeed("tsc", command).await;
}

async fn succeed(name: &str, command: Command) {
    let mut process = Process::start(name, command);
    process.close_stdin();
    let status = process.wait(LIMIT).await;
    assert!(status.success(), "{name} ended with {status}:\n{}{}", process.stdout(), process.stderr());
}
