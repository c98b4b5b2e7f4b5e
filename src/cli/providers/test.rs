//! `keyferry providers test`: plays a provider's side in process and shows what Keyferry sends to it and what it makes of
//! the answers. Everything on this side is the real thing; only the provider is played.

mod answers;
mod player;
mod report;
mod samples;
mod scenarios;
mod scene;
mod stage;
mod transcript;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::Value;

use self::answers::Answers;
use self::report::Report;
use self::stage::Play;
use crate::cli::terminal::say;
use crate::cli::{Failure, Outcome};
use crate::config::Trial;
use crate::provider::Provider;

/// The arguments of `keyferry providers test`.
#[derive(Debug, Args)]
#[command(
    after_help = "It plays the provider itself, in memory: nothing leaves the machine, and no account is needed. Put \
                        its requests beside the vendor's page.

Examples:
  keyferry providers test providers/acme.toml
      every scenario; scenarios that the file leaves no room for are left out, with the reason
  keyferry providers test providers/acme.toml --answer example.json
      with the token answer that the vendor's page shows, saved in a file: whether the file finds in it what it looks for
  keyferry providers test shopify --scenario connect --variable shop=acme
      one scenario, with a value for a variable

Exit codes: 0 all is as it should be, 1 a scenario went otherwise, 2 the file has mistakes."
)]
pub(super) struct Arguments {
    /// The provider file, or the id of a provider: from `providers/`, or shipped
    #[arg(value_name = "FILE")]
    provider: String,

    /// Play this one only; may be repeated
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(scenarios::ALL.map(|(name, _)| name)))]
    scenario: Vec<String>,

    /// A value for a variable of the file, as NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    variable: Vec<(String, String)>,

    /// A file with a token answer to play, in JSON: the example on the vendor's page
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,

    /// A file with an answer to a discovery, in JSON; may be repeated, in the order of the file
    #[arg(long, value_name = "FILE")]
    discovery: Vec<PathBuf>,

    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Outcome {
    let trial = Trial::read(&arguments.provider, Path::new(""))?;
    let example = arguments.answer.as_deref().map(example).transpose()?;
    if example.as_ref().is_some_and(|example| !example.is_object()) {
        return Err(Failure::other("the token answer is not a JSON object"));
    }
    let found = arguments.discovery.iter().map(|path| self::example(path)).collect::<Result<Vec<_>, _>>()?;
    let report = play(&trial, &arguments, example, found).await?;
    let printed = if arguments.json {
        serde_json::to_string_pretty(&report).map_err(|error| Failure::other(error.to_string()))?
    } else {
        report.to_string()
    };
    say(without_secrets(printed, trial.provider(), &report.variables))?;
    if report.passed { Ok(()) } else { Err(Failure::other("a scenario did not go as it should")) }
}

async fn play(
    trial: &Trial,
    arguments: &Arguments,
    example: Option<Value>,
    found: Vec<Value>,
) -> Result<Report, Failure> {
    let provider = trial.provider();
    let given: BTreeMap<String, String> = arguments.variable.iter().cloned().collect();
    let variables = samples::variables(provider, &given).map_err(|name| {
        let help = provider.protocol.variables.get(&name).and_then(|variable| variable.pattern.as_ref());
        let pattern = help.map(|pattern| format!(" that matches {pattern}")).unwrap_or_default();
        Failure::Configuration(format!(
            "keyferry: no value could be made up for the variable `{name}`; give one{pattern} with --variable {name}=…"
        ))
    })?;
    let answers = Answers::new(provider, example, found);
    let unplayable = answers.unplayable.clone();
    // Without these nothing is ever connected.
    for (key, flag) in [("oauth.token_response.access_token", "--answer"), (answers::DISCOVERY, "--discovery")] {
        if unplayable.iter().any(|unplayable| unplayable == key) {
            let what = format!("no answer could be made up for {key}; give the vendor's own with {flag}");
            return Err(Failure::other(what));
        }
    }
    let play = Play::new(trial, answers, variables.clone())?;
    let wanted = |name: &str| arguments.scenario.is_empty() || arguments.scenario.iter().any(|wanted| wanted == name);
    let mut scenes = Vec::new();
    for scenario in scenarios::ALL.into_iter().filter(|(name, _)| wanted(name)) {
        scenes.push(scenarios::play(scenario, &play).await?);
    }
    let mut report = Report {
        provider: provider.id.to_string(),
        display_name: provider.display_name.clone(),
        variables: variables.into_iter().collect(),
        warnings: Vec::new(),
        unplayable,
        passed: scenes.iter().all(|scene| scene.faults.is_empty()),
        scenes,
    };
    report.warn(trial.warnings());
    Ok(report)
}

/// The values of secret variables are as secret as the client's.
fn without_secrets(printed: String, provider: &Provider, variables: &[(String, String)]) -> String {
    let rules = &provider.protocol.variables;
    let is_secret = |name: &String| rules.get(name).is_some_and(|rule| rule.secret);
    let secrets = variables.iter().filter(|(name, value)| is_secret(name) && !value.is_empty());
    secrets.fold(printed, |printed, (name, value)| printed.replace(value.as_str(), &format!("<{name}>")))
}

/// The vendor's example.
fn example(path: &Path) -> Result<Value, Failure> {
    let failed = |why: String| Failure::other(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| failed(format!("is not JSON: {error}")))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
