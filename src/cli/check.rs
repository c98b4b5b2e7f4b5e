//! `keyferry check`: every mistake in the configuration and the provider files at once. Opens no store and no listener.

use std::path::PathBuf;

use clap::Args;

use super::terminal::say;
use super::{Environment, Failure, Outcome};
use crate::config::{self, LoadRequest};
use crate::telemetry;

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
    let is_default = request.config_path.is_none() && !request.directory.join("config.toml").exists();
    let config = config::load(request)?;
    telemetry::check(&config.log).map_err(Failure::of_log)?;
    if is_default {
        say("config: there is no config.toml here; this is of the environment and the defaults")?;
    }
    if !config.warnings.is_empty() {
        let noun = if config.warnings.len() == 1 { "warning" } else { "warnings" };
        say(format_args!("config: {} {noun}", config.warnings.len()))?;
        config.warnings.iter().try_for_each(|warning| say(format_args!("  {warning}")))?;
    }
    say("config: no mistakes")
}
