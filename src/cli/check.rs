//! `keyferry check`: every mistake in the configuration and the provider files at once. Opens no store and no listener.

use std::path::PathBuf;

use clap::Args;

use super::terminal::say;
use super::{Environment, Outcome};
use crate::config::{self, LoadRequest};

/// The arguments of `keyferry check`.
#[derive(Debug, Args)]
#[command(
    after_help = "It reads what `keyferry serve` would read: the file, the environment, the provider files. Each \
                        mistake is one line with the file, the key, what is wrong and what to do. A warning stops \
                        nothing: a secret that is not there yet, an endpoint that its vendor is about to switch off.

Exit codes: 0 no mistakes, 2 mistakes."
)]
pub(super) struct Arguments {
    /// Configuration file [default: config.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, environment: Environment) -> Outcome {
    let request =
        LoadRequest { config_path: arguments.config, environment: environment.into_pairs(), ..LoadRequest::default() };
    let config = config::load(request)?;
    if !config.warnings.is_empty() {
        let noun = if config.warnings.len() == 1 { "warning" } else { "warnings" };
        say(format_args!("config: {} {noun}", config.warnings.len()))?;
        config.warnings.iter().try_for_each(|warning| say(format_args!("  {warning}")))?;
    }
    say("config: no mistakes")
}
