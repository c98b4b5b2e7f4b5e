//! `keyferry providers`: the files that say what a provider is, shipped and the operator's own. Reads files, and for
//! `new` asks one issuer; opens no store.

mod list;
mod new;
mod show;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Environment, Failure, Outcome};
use crate::config::{self, Catalogue, LoadRequest};

/// The arguments of `keyferry providers`.
#[derive(Debug, Args)]
#[command(
    after_help = "A provider is a TOML file: how to get a grant, how to call, what to load. Many come inside the \
                        binary; files in the folder `providers` beside config.toml (server.providers_dir) add to \
                        them, and take the place of shipped ones with the same name."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Every provider, shipped and your own
    List(list::Arguments),
    /// One provider's file, merged with what it extends, and what was understood of it
    Show(show::Arguments),
    /// Write a provider file, from what its issuer publishes about itself
    New(new::Arguments),
    /// Play a provider's side, and show what is sent and what is understood
    Test(test::Arguments),
}

/// Where the configuration is: it names the folder of provider files, and how to go out.
#[derive(Debug, Args)]
struct Reading {
    /// Configuration file [default: config.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Reading {
    fn catalogue(self, environment: Environment) -> Result<Catalogue, Failure> {
        let environment = environment.into_pairs();
        Ok(config::catalogue(LoadRequest { config_path: self.config, environment, ..LoadRequest::default() })?)
    }
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Outcome {
    match arguments.action {
        Action::List(arguments) => list::run(arguments, environment),
        Action::Show(arguments) => show::run(arguments, environment),
        Action::New(arguments) => new::run(arguments, environment).await,
        Action::Test(arguments) => test::run(arguments).await,
    }
}
