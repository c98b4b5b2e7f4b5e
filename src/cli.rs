//! The command line: what was typed, and one small module for each subcommand. Talks to the operator; decides nothing
//! that a configuration or a request could decide.

mod admin;
mod check;
mod completions;
mod connect;
mod connections;
mod contact;
mod demo;
mod healthcheck;
mod items;
mod keys;
mod man;
mod people;
mod providers;
mod schema;
mod serve;
mod sidecar;
mod store;
mod terminal;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::sync::mpsc;

use crate::config::Problems;
use crate::model::IntegrationName;
use crate::telemetry::TelemetryError;

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "keyferry",
    version,
    about = "An OAuth broker that runs beside your application",
    long_about = "Keyferry runs beside your application. It lets the application's users connect their accounts at \
                  HubSpot, Notion, Airtable or any other OAuth 2 provider, keeps their tokens sealed and fresh, and \
                  puts them on the API calls that the application sends through it. The application never sees a token.",
    after_help = "Start here:
  keyferry demo              connect and call, with a make-believe provider and no account
  keyferry check             every mistake in config.toml at once
  keyferry serve             run the sidecar
  keyferry connect notion    connect an account of your own
  keyferry items notion      print what is in it

`keyferry COMMAND --help` says more.",
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the sidecar (the default)
    Serve(serve::Arguments),
    /// Say every mistake in the configuration and the provider files
    Check(check::Arguments),
    /// Run a sidecar with a make-believe provider and a sample application
    Demo(demo::Arguments),
    /// Connect an account: open the browser, wait, report
    Connect(connect::Arguments),
    /// Print a connection's items as lines of JSON
    Items(items::Arguments),
    /// Everybody's connections: list, show, disconnect
    Connections(connections::Arguments),
    /// Everything that is kept of a person, taken away
    People(people::Arguments),
    /// Another key for the store
    Store(store::Arguments),
    /// The providers that are known; a file for a new one
    Providers(providers::Arguments),
    /// Print a JSON Schema of config.toml or of provider files, for editors; or every key of config.toml for people
    Schema(schema::Arguments),
    /// API keys for back ends
    Keys(keys::Arguments),
    /// Exit with 0 when the sidecar is ready; for containers without a shell
    Healthcheck(healthcheck::Arguments),
    /// Print what a shell needs to complete this command line
    Completions(completions::Arguments),
    /// Print the manual page
    Man(man::Arguments),
}

/// The environment that the process was started with. Only `main` reads it from the system.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// How a command ended.
type Outcome = Result<(), Failure>;

/// Why a command did not do what it was asked; ends up on standard error and in the exit code.
#[derive(Debug)]
enum Failure {
    /// The configuration has to be mended: exit code 2.
    Configuration(String),
    /// Anything else: exit code 1.
    Other(String),
    /// A second signal came before the end: exit code 130.
    Impatient,
}

/// 128 and the number of SIGINT, as shells write it.
const IMPATIENT: u8 = 130;

/// Does what was typed. `stops` begins to listen for the signals that end a server, and gives a message for each;
/// `hangups` the same for SIGHUP. Only the commands that serve call them.
pub async fn run(
    arguments: Arguments,
    environment: Environment,
    stops: impl FnOnce() -> io::Result<mpsc::Receiver<()>>,
    hangups: impl FnOnce() -> io::Result<mpsc::Receiver<()>>,
) -> ExitCode {
    exit_code(match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(arguments) => serve::run(arguments, environment, stops, hangups).await,
        Command::Check(arguments) => check::run(arguments, environment),
        Command::Demo(arguments) => demo::run(arguments, &environment, stops).await,
        Command::Connect(arguments) => connect::run(arguments, &environment).await,
        Command::Items(arguments) => items::run(arguments, &environment).await,
        Command::Connections(arguments) => connections::run(arguments, environment).await,
        Command::People(arguments) => people::run(arguments, environment).await,
        Command::Store(arguments) => store::run(arguments, environment).await,
        Command::Providers(arguments) => providers::run(arguments, environment).await,
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Healthcheck(arguments) => healthcheck::run(arguments, environment).await,
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    })
}

/// Says what clap has to say when there is nothing to run: the text of `--help`, the version, or a mistake in what was
/// typed.
pub fn unparsed(error: &clap::Error) -> ExitCode {
    let written = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { exit_code(terminal::is_read(written).map(|_| ())) }
}

fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration(message)) => {
            terminal::complain(message);
            ExitCode::from(2)
        }
        Err(Failure::Other(message)) => {
            terminal::complain(format_args!("keyferry: {message}"));
            ExitCode::FAILURE
        }
        Err(Failure::Impatient) => ExitCode::from(IMPATIENT),
    }
}

fn integration_name(text: &str) -> Result<IntegrationName, String> {
    IntegrationName::parse(text).map_err(|error| error.to_string())
}

impl Failure {
    /// Logging cannot be started as it is configured.
    fn of_log(error: TelemetryError) -> Self {
        Self::Configuration(format!("config: 1 mistake\n  {error}"))
    }

    fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems.to_string())
    }
}

impl Environment {
    /// A variable that is set; an empty one counts as unset, as a shell's `NAME= keyferry …` means it.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn into_pairs(self) -> Vec<(String, String)> {
        self.0.into_iter().collect()
    }
}

/// Variables that are not Unicode are left out: no name or value of ours is one.
impl FromIterator<(std::ffi::OsString, std::ffi::OsString)> for Environment {
    fn from_iter<T: IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>>(variables: T) -> Self {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(variables.into_iter().filter_map(unicode).collect())
    }
}

/// Names only: among the values are secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default() {
        fn check(line: &str, expected: Option<&str>) {
            let parsed = Arguments::try_parse_from(line.split(' '));
            let command =
                parsed.ok().map(|arguments| match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
                    Command::Serve(arguments) => format!("{:?}", arguments.config),
                    other => format!("{other:?}").chars().take_while(|c| c.is_alphabetic()).collect(),
                });
            assert_eq!(command.as_deref(), expected, "{line}");
        }
        check("keyferry", Some("None"));
        check("keyferry --config a.toml", Some("Some(\"a.toml\")"));
        check("keyferry serve --config a.toml", Some("Some(\"a.toml\")"));
        check("keyferry check", Some("Check"));
        check("keyferry providers list --json", Some("Providers"));
        check("keyferry providers new acme --issuer https://as.example", Some("Providers"));
        check("keyferry providers new Acme", None);
        check("keyferry keys new --name crm", Some("Keys"));
        check("keyferry keys new --name CRM", None);
        check("keyferry connect sessions", None);
        check("keyferry items notion --type page --limit 3", Some("Items"));
        check("keyferry items notion --limit 0", None);
        check("keyferry connections list --status reconnect_required --json", Some("Connections"));
        check("keyferry connections list --status broken", None);
        check("keyferry connections show con_1", None);
        check("keyferry people delete --org acme", None);
        check("keyferry people delete --org acme --user ada --yes", Some("People"));
        check("keyferry store rekey --admin-url http://127.0.0.1:8081", Some("Store"));
        check("keyferry completions tcsh", None);
        check("keyferry frobnicate", None);
    }
}
