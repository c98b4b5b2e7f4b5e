//! `keyferry connect`: connects an account from a terminal. The running sidecar does the work; this opens the browser and
//! waits.

use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::sidecar::{Connecting, Sidecar};
use super::terminal::{ask, complain, say};
use super::{Environment, Failure, Outcome, integration_name};
use crate::model::IntegrationName;

/// How long the browser may take; the sidecar gives an authorization no longer either.
const PATIENCE: Duration = Duration::from_secs(600);

/// The arguments of `keyferry connect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keyferry connect notion
      connects an account at Notion through the sidecar on this machine
  KEYFERRY_KEY=kf_… keyferry connect hubspot --org acme --user ada --url https://keys.example.com
      connects an account for the user `ada` of the organisation `acme`, on another machine's sidecar
  keyferry connect google --param login_hint=ada@example.com
      tells the provider's page which account is meant

In front of a sidecar that asks for keys, the browser ends on a page that shows a code. It is asked for here, because \
                        only whoever began a connection may complete it.")]
pub(super) struct Arguments {
    /// Name of the integration, as in config.toml
    #[arg(value_parser = integration_name)]
    integration: IntegrationName,

    #[command(flatten)]
    connecting: Connecting,

    /// Value for a variable of the provider, such as a subdomain; may be given more than once
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,

    /// Parameter for the provider's own page, such as login_hint=ada@example.com; may be given more than once
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    params: Vec<(String, String)>,

    /// Only print the URL; somebody else opens it
    #[arg(long)]
    no_browser: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write a name, `=` and a value".to_owned()),
    }
}

pub(super) async fn run(arguments: Arguments, environment: &Environment) -> Outcome {
    let Arguments { integration, connecting, variables, params, no_browser } = arguments;
    let sidecar = Sidecar::new(connecting, environment)?;

    let before = sidecar.connection(&integration).await?;
    let start = sidecar.authorize(&integration, &variables, &params).await?;
    say(format_args!("To connect an account at `{integration}`, open this in a browser:\n\n  {start}\n"))?;
    if !no_browser && let Some(mut opener) = opener(environment) {
        let opened =
            opener.arg(start.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        if let Err(error) = opened {
            complain(format_args!("The browser could not be opened from here: {error}"));
        }
    }
    let connection = if is_start_link(&start) {
        confirm(&sidecar, &integration).await?
    } else if before.is_some_and(|connection| connection["status"] == "active") {
        // A connection that is replaced looks the same before and after, and a refresh changes it as well.
        return say(
            "This account is connected already, so that there is nothing to wait for: the browser says when it is again.",
        );
    } else {
        wait(&sidecar, &integration).await?
    };
    report(&sidecar, &integration, &connection)
}

/// Without keys a callback completes the connection, so that it only has to be awaited.
async fn wait(sidecar: &Sidecar, integration: &IntegrationName) -> Result<Value, Failure> {
    say("Waiting for the browser; Ctrl-C gives up.")?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(500)).await;
        match sidecar.connection(integration).await? {
            Some(connection) if connection["status"] == "active" => return Ok(connection),
            _ => {}
        }
    }
    Err(Failure::other("nothing was connected within ten minutes; the link has expired, run this again for another"))
}

/// With keys it takes the code that the callback's page shows to whoever finished in the browser.
async fn confirm(sidecar: &Sidecar, integration: &IntegrationName) -> Result<Value, Failure> {
    say("This is a start link: it works once, in the browser that opens it first. The browser then shows a code.")?;
    let answer = tokio::task::spawn_blocking(|| ask("Code: ")).await;
    let text = answer.map_err(|error| Failure::other(error.to_string()))?;
    let text = text.map_err(|error| Failure::other(format!("the code cannot be read: {error}")))?;
    match text.as_deref().map(code).as_deref() {
        None | Some("") => {
            Err(Failure::other("no code was given; nothing is connected, and what was allowed is revoked"))
        }
        Some(code) => sidecar.confirm(integration, code).await,
    }
}

/// The code out of what was pasted: the code itself, or the address of the page that it was handed to.
fn code(text: &str) -> String {
    let handed_over = Url::parse(text).ok();
    let parameter = handed_over.iter().flat_map(Url::query_pairs).find(|(name, _)| name == "code");
    parameter.map_or_else(|| text.to_owned(), |(_, code)| code.into_owned())
}

/// `{base}/integrations/{i}/authorize?start=…` is the sidecar's own; anything else is the provider's page.
fn is_start_link(url: &Url) -> bool {
    url.path().ends_with("/authorize") && url.query_pairs().any(|(name, _)| name == "start")
}

fn report(sidecar: &Sidecar, integration: &IntegrationName, connection: &Value) -> Outcome {
    let text = |name: &str| connection[name].as_str().unwrap_or("?").to_owned();
    say(format_args!(
        "Connected: {} at `{integration}` for user {} of organisation {}.\nCall its API at {}/proxy/{integration}/…",
        text("connection"),
        text("user_id"),
        text("org_id"),
        sidecar.base()
    ))
}

/// What opens a URL on this desktop. Without a display `xdg-open` would start a browser in this terminal.
fn opener(environment: &Environment) -> Option<std::process::Command> {
    let has = |name: &str| environment.get(name).is_some();
    let program = match () {
        () if cfg!(target_os = "macos") => "open",
        () if has("DISPLAY") || has("WAYLAND_DISPLAY") => "xdg-open",
        () => return None,
    };
    Some(std::process::Command::new(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_links_are_told_from_providers_pages() {
        fn check(url: &str, expected: bool) {
            assert_eq!(is_start_link(&Url::parse(url).expect(url)), expected, "{url}");
        }
        check("http://localhost:8080/integrations/notion/authorize?start=abc", true);
        check("https://example.com/base/integrations/notion/authorize?start=abc", true);
        check("https://api.notion.com/v1/oauth/authorize?client_id=1&state=2", false);
    }

    #[test]
    fn a_code_may_be_pasted_with_its_address() {
        fn check(text: &str, expected: &str) {
            assert_eq!(code(text), expected, "{text}");
        }
        check("abc-_1", "abc-_1");
        check("https://app.example.com/done?status=unconfirmed&code=abc&integration=notion", "abc");
        check("https://app.example.com/done", "https://app.example.com/done");
    }
}
