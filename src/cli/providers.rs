//! `keyferry providers`: the kit for authors of provider files.

mod test;

use clap::{Args, Subcommand};

use super::Outcome;

/// The arguments of `keyferry providers`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a provider's side and show what Keyferry sends and what it understood
    Test(test::Arguments),
}

pub(super) async fn run(arguments: Arguments) -> Outcome {
    match arguments.command {
        Command::Test(arguments) => test::run(arguments).await,
    }
}
