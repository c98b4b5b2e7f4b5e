//! `keyferry schema`: JSON Schemas of the files that people write, for editors and linters; and the reference of
//! config.toml for people.

use clap::{Args, Subcommand};

use std::fs;
use std::path::PathBuf;

use super::terminal::say;
use super::{Failure, Outcome};
use crate::config::{config_reference, config_schema, provider_schema};

/// The arguments of `keyferry schema`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mkdir -p schemas
  keyferry schema config > schemas/config.schema.json
  keyferry schema provider > schemas/provider.schema.json
  keyferry schema config --markdown
      every key with its default and meaning, for people

Editors with a TOML extension (Even Better TOML, for one) then complete, explain and check a file that begins with
  #:schema schemas/config.schema.json          in config.toml
  #:schema ../schemas/provider.schema.json     in a file of the folder `providers`
and so does `taplo lint`. `keyferry check` knows more: a schema cannot say everything.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, Subcommand)]
enum Of {
    /// The schema of config.toml
    Config(Config),
    /// The schema of a provider file
    Provider,
}

#[derive(Debug, Args)]
struct Config {
    /// Print a reference for people instead; with a PAGE, that page with the tables between its marks written anew
    #[arg(long, value_name = "PAGE", num_args = 0..=1)]
    markdown: Option<Option<PathBuf>>,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.of {
        Of::Config(Config { markdown: None }) => say(format_args!("{:#}", config_schema())),
        Of::Provider => say(format_args!("{:#}", provider_schema())),
        Of::Config(Config { markdown: Some(page) }) => {
            let page = match page {
                None => "# config.toml\n".to_owned(),
                Some(path) => fs::read_to_string(path)
                    .map_err(|error| Failure::other(format!("{} cannot be read: {error}", path.display())))?,
            };
            say(format_args!("{}", config_reference(&page).trim_end_matches('\n')))
        }
    }
}
