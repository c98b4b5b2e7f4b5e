//! `keyferry store`: what an operator does with the running sidecar's store as a whole.

use std::io::{self, IsTerminal as _};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::admin::{Admin, Asking};
use super::terminal::{progress, say};
use super::{Environment, Failure, Outcome};

/// The arguments of `keyferry store`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Seal every record with the newest store key
    #[command(after_help = "To take another store key (`openssl rand -base64 32` makes one), without a moment in which
anything does not open:
  1. add the new key to store.keys behind the old one, in every replica, and restart them
  2. put it first, in every replica, and restart them
  3. keyferry store rekey
  4. take the old key out, and restart them
A store in a file that has made its own key file is one replica, so that 1 and 2 are one step:
  keys = [\"file:data/new.key\", \"file:data/keyferry.redb.key\"]

Calls go on meanwhile. It goes on though this command ends; ended with the sidecar, it can be
begun again and passes over what is done. As long as it has not ended well, keep the old key.
Exit codes: 0 every record is sealed with the newest key, 1 not so.")]
    Rekey(Rekey),
}

#[derive(Debug, Args)]
struct Rekey {
    #[command(flatten)]
    asking: Asking,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Outcome {
    let Action::Rekey(Rekey { asking }) = arguments.action;
    let admin = Admin::new(asking, environment)?;
    let mut lines = admin.begin("/store/rekey").await?;
    let shows_progress = io::stderr().is_terminal();
    let mut last = Value::Null;
    while let Some(line) = lines.next().await? {
        last = serde_json::from_slice(&line).unwrap_or_default();
        if shows_progress {
            progress(counts(&last));
        }
    }
    if shows_progress {
        progress("\n");
    }
    outcome(&last)
}

/// What the last line says of it all.
fn outcome(last: &Value) -> Outcome {
    let begin_again = "keep the old key, and run this again";
    match (last["done"].as_bool(), last["unopenable"].as_u64()) {
        (Some(true), Some(0)) => {
            say(format_args!("Every record is sealed with the newest store key: {}.", counts(last)))
        }
        (Some(true), _) => Err(Failure::other(format!(
            "not every record opens: {}. The sidecar's log names them; they are kept as they are. If an older key is \
             known that opens them, list it in store.keys and run this again",
            counts(last)
        ))),
        (Some(false), _) => {
            let text = |name: &str| last[name].as_str().unwrap_or_default();
            let (code, detail) = (text("code"), text("detail"));
            Err(Failure::other(format!("it stopped: {code}: {detail} So far: {}; {begin_again}", counts(last))))
        }
        (None, _) => Err(Failure::other(format!("the sidecar ended before it was done; {begin_again}"))),
    }
}

fn counts(line: &Value) -> String {
    let count = |name: &str| line[name].as_u64().unwrap_or_default();
    format!("{} seen, {} sealed anew, {} not opened", count("seen"), count("resealed"), count("unopenable"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_whole_one_is_well() {
        fn check(last: &Value, expected: bool, said: &str) {
            match outcome(last) {
                Ok(()) => assert!(expected, "{last}"),
                Err(Failure::Other(text)) => assert!(!expected && text.contains(said), "{last}: {text}"),
                Err(other) => panic!("{other:?}"),
            }
        }
        check(&json!({ "done": true, "seen": 3, "resealed": 2, "unopenable": 0 }), true, "");
        check(&json!({ "done": true, "seen": 3, "resealed": 2, "unopenable": 1 }), false, "1 not opened");
        let stopped = json!({ "done": false, "seen": 3, "resealed": 2, "unopenable": 0, "code": "shutting_down", "detail": "It goes." });
        check(&stopped, false, "shutting_down: It goes. So far: 3 seen");
        check(&json!({ "seen": 3, "resealed": 2, "unopenable": 0 }), false, "keep the old key");
        check(&Value::Null, false, "keep the old key");
    }
}
