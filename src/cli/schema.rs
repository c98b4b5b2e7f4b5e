//! `keyferry schema`: JSON Schemas of the files that people write, for editors and linters.

use clap::{Args, Subcommand};

use super::terminal::say;
use crate::config::{config_schema, provider_schema};

/// The arguments of `keyferry schema`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mkdir -p schemas
  keyferry schema config > schemas/config.schema.json
  keyferry schema provider > schemas/provider.schema.json

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
    Config,
    /// The schema of a provider file
    Provider,
}

pub(super) fn run(arguments: &Arguments) {
    let schema = match arguments.of {
        Of::Config => config_schema(),
        Of::Provider => provider_schema(),
    };
    say(format_args!("{schema:#}"));
}
