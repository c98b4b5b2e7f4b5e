//! `keyferry items`: a connection's items as lines of JSON, for other programs to read. The running sidecar loads them;
//! this prints what comes, as it comes.

use std::io::{self, IsTerminal as _};

use clap::Args;
use serde_json::Value;

use super::sidecar::{Connecting, Sidecar};
use super::terminal::{complain, print, progress};
use super::{Environment, Failure, Outcome, integration_name};
use crate::model::IntegrationName;

/// The progress line is written anew after so many items.
const PROGRESS_EVERY: u64 = 100;

/// The arguments of `keyferry items`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keyferry items notion
      everything that the connection shows, one JSON object a line
  keyferry items hubspot --type Contact,Company | jq -r .name
      the names of contacts and companies
  KEYFERRY_KEY=kf_… keyferry items airtable --org acme --user ada --url https://keys.example.com
      the bases and tables of the user `ada` of the organisation `acme`

What could not be read is told on standard error.
Exit codes: 0 everything was read, 1 something is missing or nothing could be read.")]
pub(super) struct Arguments {
    /// Name of the integration, as in config.toml
    #[arg(value_parser = integration_name)]
    integration: IntegrationName,

    /// Only items of these types, with commas between: Contact,Company
    #[arg(long = "type", value_name = "TYPE")]
    types: Option<String>,

    /// At most so many items
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Where an earlier run ended, as it said
    #[arg(long)]
    cursor: Option<String>,

    #[command(flatten)]
    connecting: Connecting,
}

pub(super) async fn run(arguments: Arguments, environment: &Environment) -> Outcome {
    let Arguments { integration, types, limit, cursor, connecting } = arguments;
    let sidecar = Sidecar::new(connecting, environment)?;
    let limit = limit.map(|limit| limit.to_string());
    let query = [("type", types.as_deref()), ("limit", limit.as_deref()), ("cursor", cursor.as_deref())];
    let mut lines = sidecar.items(&integration, &query).await?;

    let shows_progress = io::stderr().is_terminal();
    let mut count = 0;
    let mut ending = None;
    let mut waiting = Vec::new();
    while let Some(line) = lines.next().await? {
        // Every line is an item but the last, which says how the list ended.
        if let Some(item) = ending.replace(line) {
            waiting.extend_from_slice(&item);
            waiting.push(b'\n');
            count += 1;
            if shows_progress && count % PROGRESS_EVERY == 0 {
                progress(format_args!("{count} items"));
            }
        }
        // What came together goes out together.
        if !lines.has_more_at_hand() && !print(&std::mem::take(&mut waiting))? {
            // Whoever reads has enough: `keyferry items … | head`.
            return Ok(());
        }
    }
    if shows_progress {
        progress(format_args!("{count} items\n"));
    }
    let ending = ending.and_then(|line| serde_json::from_slice::<Value>(&line).ok());
    match ending.as_ref().and_then(|ending| ending["problems"].as_array()) {
        Some(problems) => report(problems, ending.as_ref().and_then(|ending| ending["next"].as_str())),
        None => Err(Failure::other("the sidecar broke off before the list was whole")),
    }
}

/// Whether every part of the list was read, though not every record is as it should be.
fn is_about_records(code: &str) -> bool {
    matches!(code, "records_dropped" | "fields_dropped" | "skipped")
}

/// Says what is not in the list, and where to go on.
fn report(problems: &[Value], next: Option<&str>) -> Outcome {
    let mut missing = 0;
    for problem in problems {
        let text = |name: &str| problem[name].as_str().unwrap_or_default();
        let stream = if text("stream").is_empty() { String::new() } else { format!("{}: ", text("stream")) };
        complain(format_args!("{stream}{} ({})", text("detail"), text("code")));
        missing += usize::from(!is_about_records(text("code")));
    }
    if let Some(next) = next {
        complain(format_args!("There is more: go on with --cursor {next}"));
    }
    match missing {
        0 => Ok(()),
        missing => Err(Failure::other(format!("the list is not whole: {missing} of its parts could not be read"))),
    }
}
