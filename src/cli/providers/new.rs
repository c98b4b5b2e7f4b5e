//! `keyferry providers new`: a provider file, begun from what its issuer publishes (RFC 8414, OpenID Connect Discovery)
//! or as a skeleton to fill in. What is written passes `keyferry check`.

mod draft;
mod issuer;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use url::Url;

use self::draft::{Draft, FILL_IN};
use super::Reading;
use crate::cli::terminal::{complain, print, say};
use crate::cli::{Environment, Failure, Outcome};
use crate::config::{self, Catalogue, LoadRequest};
use crate::model::IntegrationName;

/// The arguments of `keyferry providers new`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keyferry providers new acme --issuer https://login.acme.com --api https://api.acme.com
      asks https://login.acme.com/.well-known/… and writes providers/acme.toml
  keyferry providers new acme
      a skeleton with every place to fill in, for a vendor that publishes no metadata
  keyferry providers new acme --issuer https://login.acme.com --output -
      only looks: the file goes to standard output

An existing file is never overwritten, and a shipped provider's place is not taken, without --force.
Exit codes: 0 written, 2 a mistake in the configuration or in --api, 1 any other failure.")]
pub(super) struct Arguments {
    /// Id of the provider: the file's name, and by default the integration's: a-z, 0-9, - and _
    #[arg(value_parser = crate::cli::integration_name)]
    id: IntegrationName,

    /// The issuer, whose metadata names endpoints and abilities
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,

    /// Where the provider's API is: scheme, host and path prefix of calls
    #[arg(long, value_name = "URL")]
    api: Option<Url>,

    /// Where to write; `-` for standard output [default: the id, in the folder of provider files]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrite a file, or take a shipped provider's place
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    reading: Reading,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Outcome {
    let Arguments { id, issuer, api, output, force, reading } = arguments;
    let config_path = reading.config.clone();
    let catalogue = reading.catalogue(environment.clone())?;
    let id = id.as_str();
    let target = Target::of(output, &catalogue, id);
    if !force {
        target.is_free(&catalogue, id)?;
    }
    let found = match issuer {
        Some(issuer) => Some(issuer::ask(&issuer, &catalogue.net).await?),
        None => None,
    };
    let text = Draft { id, found: found.as_ref(), api: api.as_ref() }.text();
    config::check_provider(id, &target.to_string(), &text, catalogue.net.allow_http)?;
    target.write(&text, force)?;

    let loaded =
        config::load(LoadRequest { config_path, environment: environment.into_pairs(), ..LoadRequest::default() });
    let public_url = loaded.map(|config| config.server.public_url.to_string());
    let public_url = public_url.unwrap_or_else(|_| "http://localhost:8080".to_owned());
    let steps = next_steps(id, &target, text.contains(FILL_IN), public_url.trim_end_matches('/'));
    match target {
        // The file alone goes to standard output, so that it can be redirected.
        Target::StandardOutput => complain(steps),
        Target::File(_) => say(steps)?,
    }
    Ok(())
}

/// Where the file goes.
enum Target {
    StandardOutput,
    File(PathBuf),
}

impl Target {
    fn of(output: Option<PathBuf>, catalogue: &Catalogue, id: &str) -> Self {
        match output {
            Some(path) if path == Path::new("-") => Self::StandardOutput,
            Some(path) => Self::File(path),
            None => Self::File(catalogue.folder.join(format!("{id}.toml"))),
        }
    }

    fn is_free(&self, catalogue: &Catalogue, id: &str) -> Result<(), Failure> {
        let Self::File(path) = self else { return Ok(()) };
        if path.exists() {
            return Err(is_there(path));
        }
        if path.parent() == Some(&catalogue.folder) && catalogue.get(id).is_ok_and(|file| file.is_shipped) {
            return Err(Failure::other(format!(
                "`{id}` is a shipped provider, whose place this file would take; choose another id, or say --force"
            )));
        }
        Ok(())
    }

    fn write(&self, text: &str, force: bool) -> Outcome {
        let Self::File(path) = self else {
            print(text.as_bytes())?;
            return Ok(());
        };
        let failed = |error: io::Error| Failure::other(format!("{} cannot be written: {error}", path.display()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options.write(true);
        if force {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        let mut file = options.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => is_there(path),
            _ => failed(error),
        })?;
        file.write_all(text.as_bytes()).map_err(failed)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StandardOutput => f.write_str("the file"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

fn is_there(path: &Path) -> Failure {
    Failure::other(format!("{} is there already; name another --output, or overwrite it with --force", path.display()))
}

fn next_steps(id: &str, target: &Target, has_gaps: bool, public_url: &str) -> String {
    let mut steps = Vec::new();
    if has_gaps {
        steps.push(format!("Fill in the lines of {target} that say {FILL_IN}."));
    }
    steps.push(format!(
        "Register a client at the provider, with this redirect URI:\n       {public_url}/integrations/{id}/oauth2callback"
    ));
    let variable = format!("{}_CLIENT_SECRET", id.replace('-', "_").to_ascii_uppercase());
    steps.push(format!(
        "Write the client into config.toml:\n       [integrations.{id}]\n       client_id     = \"…\"\n       \
         client_secret = \"env:{variable}\"   # leave it out for a public client"
    ));
    steps.push(format!("Check it, start it, connect an account:\n       keyferry check\n       keyferry serve\n       keyferry connect {id}"));
    let numbered: String = steps.iter().zip(1..).map(|(step, number)| format!("\n  {number}. {step}\n")).collect();
    let written = match target {
        Target::StandardOutput => "Next, once it is in the folder of provider files:".to_owned(),
        Target::File(path) => format!("Wrote {}. Next:", path.display()),
    };
    format!(
        "{written}\n{numbered}\nFor editors that complete and check TOML, its first line names a schema, which this writes \
         beside the folder:\n  mkdir -p schemas && keyferry schema provider > schemas/provider.schema.json"
    )
}
