//! `keyferry connections`: everybody's connections, as the running sidecar knows them: list, one of them, disconnect.

use std::collections::HashSet;

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::Value;

use super::admin::{Admin, Asking, agreed, plain};
use super::terminal::{complain, print, say};
use super::{Environment, Failure, Outcome, integration_name};
use crate::model::{ConnectionId, ConnectionStatus, IntegrationName, Org, User};

/// Connections that are asked for at once.
const PAGE: &str = "200";

/// The arguments of `keyferry connections`.
#[derive(Debug, Args)]
#[command(after_help = "A connection is one account that one user has linked through one integration. The running
sidecar is asked, on its admin listener, with the admin key: `keyferry keys new --admin`
makes one, and its hash goes to server.admin_key_hash. No token is ever shown.

Examples:
  KEYFERRY_ADMIN_KEY=kf_… keyferry connections list --status reconnect_required
      who has to connect again
  keyferry connections list --org acme --json | jq -r .connection
      the ids of an organisation's connections
  keyferry connections disconnect con_…
      ends one here and then at the provider, after asking")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Everybody's connections, or those of somebody
    List(List),
    /// One connection: whose it is, how it stands, what it may do
    Show(Show),
    /// End a connection: here first, in every replica, and then at the provider
    Disconnect(Disconnect),
}

#[derive(Debug, Args)]
struct List {
    /// Only those of this organisation
    #[arg(long, value_name = "ID", value_parser = org)]
    org: Option<Org>,

    /// Only those of this user
    #[arg(long, value_name = "ID", value_parser = user)]
    user: Option<User>,

    /// Only those through this integration
    #[arg(long, value_name = "NAME", value_parser = integration_name)]
    integration: Option<IntegrationName>,

    /// Only those that stand so
    #[arg(long)]
    status: Option<Status>,

    /// One JSON object a line, for other programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    asking: Asking,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Status {
    /// Its grant works, as far as is known
    Active,
    /// The provider refused the grant for good: its person has to connect again
    ReconnectRequired,
    /// Somebody ended it
    Disconnected,
}

#[derive(Debug, Args)]
struct Show {
    /// The connection's id: con_…
    #[arg(value_parser = connection_id)]
    id: ConnectionId,

    /// The JSON object, for other programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Args)]
struct Disconnect {
    /// The connection's id: con_…
    #[arg(value_parser = connection_id)]
    id: ConnectionId,

    /// Do not ask first
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    asking: Asking,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Outcome {
    match arguments.action {
        Action::List(arguments) => list(arguments, environment).await,
        Action::Show(arguments) => show(arguments, environment).await,
        Action::Disconnect(arguments) => disconnect(arguments, environment).await,
    }
}

async fn list(arguments: List, environment: Environment) -> Outcome {
    let List { org, user, integration, status, json, asking } = arguments;
    let admin = Admin::new(asking, environment)?;
    let wanted = [
        ("org", org.as_ref().map(Org::as_str)),
        ("user", user.as_ref().map(User::as_str)),
        ("integration", integration.as_ref().map(IntegrationName::as_str)),
        ("status", status.map(|status| ConnectionStatus::from(status).as_str())),
    ];
    let wanted: Vec<_> = wanted.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut rows: Vec<[String; 6]> = Vec::new();
    let (mut known, mut unopenable, mut cursor) = (HashSet::new(), 0, None::<String>);
    loop {
        let mut query = wanted.clone();
        query.push(("limit", PAGE));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = admin.ask(Method::GET, "/connections", &query).await?;
        for connection in page["connections"].as_array().into_iter().flatten() {
            // A list over Redis may repeat itself.
            if !known.insert(text(connection, "connection").to_owned()) {
                continue;
            }
            if !json {
                rows.push(row(connection));
            } else if !print(format!("{connection}\n").as_bytes())? {
                // Whoever reads has enough: `keyferry connections list … | head`.
                return Ok(());
            }
        }
        unopenable += page["unopenable"].as_u64().unwrap_or_default();
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    if !json && !rows.is_empty() {
        print(table(&rows).as_bytes())?;
    } else if rows.is_empty() && known.is_empty() {
        complain("There are no such connections.");
    }
    match unopenable {
        0 => Ok(()),
        count => Err(Failure::other(format!(
            "{count} of the records looked at cannot be opened with the configured store keys, so the list may not be whole; they are kept as they are"
        ))),
    }
}

async fn show(arguments: Show, environment: Environment) -> Outcome {
    let Show { id, json, asking } = arguments;
    let connection = Admin::new(asking, environment)?.ask(Method::GET, &format!("/connections/{id}"), &[]).await?;
    if json { say(connection) } else { say(described(&connection)) }
}

async fn disconnect(arguments: Disconnect, environment: Environment) -> Outcome {
    let Disconnect { id, yes, asking } = arguments;
    let admin = Admin::new(asking, environment)?;
    let path = format!("/connections/{id}");
    let connection = admin.ask(Method::GET, &path, &[]).await?;
    let is_ended = text(&connection, "status") == ConnectionStatus::Disconnected.as_str();
    if !is_ended {
        let whose = whose(&connection);
        agreed(format!("Disconnect {id} ({whose})? They have to connect again afterwards."), yes).await?;
    }
    // Also one that is ended: the word to other replicas may have been lost, and goes out once more.
    let connection = admin.ask(Method::DELETE, &path, &[]).await?;
    let whose = whose(&connection);
    if is_ended {
        say(format_args!("Disconnected already: {id} ({whose}). Nothing was left to end."))
    } else {
        say(format_args!("Disconnected: {id} ({whose}). The provider is being told."))
    }
}

fn whose(connection: &Value) -> String {
    let text = |name| plain(text(connection, name));
    format!("user {} of organisation {} at `{}`", text("user_id"), text("org_id"), text("integration"))
}

fn row(connection: &Value) -> [String; 6] {
    let is_operators = connection["connected_by"] == "operator";
    ["connection", "integration", "org_id", "user_id", "status", "updated_at"].map(|name| {
        match text(connection, name) {
            "" if is_operators => "(operator)".to_owned(),
            text => plain(text),
        }
    })
}

/// Columns as wide as what is in them, the last without blanks behind.
fn table(rows: &[[String; 6]]) -> String {
    let head = ["CONNECTION", "INTEGRATION", "ORG", "USER", "STATUS", "UPDATED"].map(str::to_owned);
    let lines: Vec<&[String; 6]> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    let write = |line: &&[String; 6]| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(write).collect()
}

/// One field a line.
fn described(connection: &Value) -> String {
    let fields = connection.as_object().into_iter().flatten();
    let lines = fields.map(|(name, value)| {
        let value = match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        };
        format!("{:14} {}", plain(name), plain(&value)).trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn text<'a>(connection: &'a Value, name: &str) -> &'a str {
    connection[name].as_str().unwrap_or_default()
}

fn org(text: &str) -> Result<Org, String> {
    Org::parse(text).map_err(|error| error.to_string())
}

fn user(text: &str) -> Result<User, String> {
    User::parse(text).map_err(|error| error.to_string())
}

fn connection_id(text: &str) -> Result<ConnectionId, String> {
    ConnectionId::parse(text).map_err(|_| "is no connection's id: that is con_ and 26 letters and digits".to_owned())
}

impl From<Status> for ConnectionStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::ReconnectRequired => Self::ReconnectRequired,
            Status::Disconnected => Self::Disconnected,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_as_wide_as_what_is_in_it() {
        let person = json!({ "connection": "con_1", "integration": "acme", "org_id": "Müller", "user_id": "a\u{1b}[2Jda",
            "status": "active", "updated_at": "2026-01-02T03:04:05Z", "connected_by": "person" });
        let operator = json!({ "connection": "con_2", "integration": "reports", "org_id": null, "user_id": null,
            "status": "active", "updated_at": "2026-01-02T03:04:05Z", "connected_by": "operator" });
        let expected = "\
CONNECTION  INTEGRATION  ORG         USER        STATUS  UPDATED
con_1       acme         Müller      a[2Jda      active  2026-01-02T03:04:05Z
con_2       reports      (operator)  (operator)  active  2026-01-02T03:04:05Z
";
        assert_eq!(table(&[row(&person), row(&operator)]), expected);
    }

    #[test]
    fn words_of_status_are_the_models() {
        for status in Status::value_variants() {
            let word = status.to_possible_value().expect("none is hidden");
            assert_eq!(word.get_name(), ConnectionStatus::from(*status).as_str());
        }
    }
}
