//! `keyferry providers list`: a table for people, lines for programs.

use std::io::{self, IsTerminal as _};

use clap::Args;
use serde_json::{Value, json};

use super::Reading;
use crate::cli::terminal::{complain, say};
use crate::cli::{Environment, Outcome};
use crate::config::ProviderFile;

/// The arguments of `keyferry providers list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keyferry providers list
      every provider: id, name, category, grant types, where its file is from, integrations that use it
  keyferry providers list | cut -f 1
      the ids; away from a terminal, columns have tabs between them and no heading
  keyferry providers list --json | jq -r '.[] | select(.integrations != []) | .id'
      those that config.toml uses")]
pub(super) struct Arguments {
    /// A JSON array instead of lines
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reading: Reading,
}

const HEADING: [&str; 6] = ["ID", "NAME", "CATEGORY", "GRANTS", "FILE", "INTEGRATIONS"];

pub(super) fn run(arguments: Arguments, environment: Environment) -> Outcome {
    let files = arguments.reading.catalogue(environment)?.files;
    if arguments.json {
        let all: Vec<Value> = files.iter().map(described).collect();
        say(serde_json::to_string_pretty(&all).unwrap_or_default())?;
    } else if io::stdout().is_terminal() {
        table(&files).iter().try_for_each(say)?;
    } else {
        files.iter().try_for_each(|file| say(columns(file, ",").join("\t")))?;
    }
    let wrong: Vec<&str> = files.iter().filter(|file| !file.mistakes.is_empty()).map(|file| file.id.as_str()).collect();
    if !wrong.is_empty() {
        complain(format_args!("with mistakes, which `keyferry check` names: {}", wrong.join(", ")));
    }
    Ok(())
}

fn columns(file: &ProviderFile, separator: &str) -> [String; 6] {
    [
        file.id.clone(),
        file.display_name.clone(),
        file.category.clone().unwrap_or_default(),
        file.grant_types.join(separator),
        origin(file).to_owned(),
        file.integrations.join(separator),
    ]
    .map(|cell| cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

pub(super) fn origin(file: &ProviderFile) -> &'static str {
    if file.is_shipped { "shipped" } else { "folder" }
}

/// Columns as wide as their widest cell. What every file does goes without saying, and a URN by its last word.
fn table(files: &[ProviderFile]) -> Vec<String> {
    let mut rows = vec![HEADING.map(str::to_owned)];
    rows.extend(files.iter().map(|file| {
        let mut row = columns(file, ", ");
        let grants = file.grant_types.iter().map(|grant| grant.rsplit(':').next().unwrap_or(grant));
        row[3] = grants.filter(|grant| *grant != "refresh_token").collect::<Vec<_>>().join(", ");
        row
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn described(file: &ProviderFile) -> Value {
    json!({
        "id": file.id,
        "display_name": file.display_name,
        "category": file.category,
        "grant_types": file.grant_types,
        "shipped": file.is_shipped,
        "file": file.name,
        "integrations": file.integrations,
        "mistakes": file.mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
