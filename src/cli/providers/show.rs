//! `keyferry providers show`: one file, merged with what it extends.

use clap::Args;
use serde_json::{Value, json};

use super::Reading;
use super::list::origin;
use crate::cli::terminal::{complain, print, say};
use crate::cli::{Environment, Failure, Outcome};
use crate::config::{Problems, ProviderFile};
use crate::provider::{Provider, literal_origin};

/// The arguments of `keyferry providers show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keyferry providers show notion
      the file, as TOML
  keyferry providers show google-drive
      merged with the `google` that it extends; each table or line says which file it is from
  keyferry providers show notion > providers/notion.toml
      a copy to change, which from then on takes the place of the shipped file
  keyferry providers show notion --json | jq .hosts
      where its secrets may go

Warnings and mistakes of the file are told on standard error.
Exit codes: 0 shown, 1 there is no such provider, 2 the file has mistakes.")]
pub(super) struct Arguments {
    /// Id of the provider, as `keyferry providers list` shows it
    id: String,

    /// As JSON, with what was understood beside what was written
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reading: Reading,
}

pub(super) fn run(arguments: Arguments, environment: Environment) -> Outcome {
    let catalogue = arguments.reading.catalogue(environment)?;
    let file = catalogue.get(&arguments.id).map_err(Failure::other)?;
    if arguments.json {
        say(serde_json::to_string_pretty(&described(file)).unwrap_or_default())?;
    } else {
        print(format!("{}{}", heading(file), file.toml).as_bytes())?;
    }
    file.warnings.iter().for_each(|warning| complain(format_args!("warning: {warning}")));
    if file.mistakes.is_empty() { Ok(()) } else { Err(Problems(file.mistakes.clone()).into()) }
}

fn heading(file: &ProviderFile) -> String {
    let mut heading = format!("# {}\n", file.name);
    if !file.ancestors.is_empty() {
        heading
            .push_str(&format!("# over {}\n", file.ancestors.iter().rev().cloned().collect::<Vec<_>>().join(" over ")));
    }
    heading
}

fn described(file: &ProviderFile) -> Value {
    let mut described = json!({
        "id": file.id,
        "display_name": file.display_name,
        "category": file.category,
        "grant_types": file.grant_types,
        "shipped": origin(file) == "shipped",
        "file": file.name,
        "extends": file.ancestors,
        "integrations": file.integrations,
        "warnings": file.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "mistakes": file.mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "written": file.json,
    });
    if let (Some(provider), Some(members)) = (&file.provider, described.as_object_mut()) {
        members.extend(understood(provider));
    }
    described
}

/// What follows from the file and does not stand in it as such.
fn understood(provider: &Provider) -> serde_json::Map<String, Value> {
    let protocol = &provider.protocol;
    let mut hosts: Vec<String> =
        provider.urls().filter_map(|url| literal_origin(url).map(|url| url.origin().ascii_serialization())).collect();
    hosts.sort();
    hosts.dedup();
    let variables: serde_json::Map<String, Value> = protocol
        .variables
        .iter()
        .map(|(name, variable)| {
            let set_by = if variable.operator_only { "operator" } else { "connection" };
            let pattern = variable.pattern.as_ref().map(regex_lite::Regex::as_str);
            let known =
                json!({ "set_by": set_by, "default": variable.default, "enum": variable.allowed, "pattern": pattern });
            (name.clone(), known)
        })
        .collect();
    let captured: Vec<&String> = protocol.token_capture.keys().chain(protocol.callback_capture.keys()).collect();
    let members = json!({
        "hosts": hosts,
        "scopes": protocol.scopes,
        "terminal_errors": protocol.terminal_errors,
        "variables": variables,
        "captured": captured,
        "loads_items": !provider.items.is_empty(),
    });
    match members {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    }
}
