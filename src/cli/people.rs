//! `keyferry people`: everything that the running sidecar keeps of a person, taken away.

use clap::{Args, Subcommand};
use reqwest::Method;

use super::admin::{Admin, Asking, agreed, plain};
use super::terminal::say;
use super::{Environment, Failure, Outcome};

/// The arguments of `keyferry people`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Take away everything that is kept of a person
    #[command(
        after_help = "Their connections are ended here, in every replica, and then at the providers; their sessions
end; authorizations under way and grants that wait to be confirmed go. What is still to be
revoked at a provider is kept until it is, for a week at most. The log is not touched.

It asks first, and asked again it does what a failure has left.
Exit codes: 0 all of it is gone, 1 something is left or nothing was done."
    )]
    Delete(Delete),
}

#[derive(Debug, Args)]
struct Delete {
    /// The person's organisation, as the application names it
    #[arg(long, value_name = "ID")]
    org: String,

    /// The person, as the application names them
    #[arg(long, value_name = "ID")]
    user: String,

    /// Do not ask first
    #[arg(long)]
    yes: bool,

    /// What was taken away as a JSON object, for other programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    asking: Asking,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Outcome {
    let Action::Delete(Delete { org, user, yes, json, asking }) = arguments.action;
    let admin = Admin::new(asking, environment)?;
    let person = format!("user {} of organisation {}", plain(&user), plain(&org));
    agreed(format!("Delete everything that is kept of {person}?"), yes).await?;
    let deleted = admin.ask(Method::DELETE, "/people", &[("org", &org), ("user", &user)]).await?;
    if json {
        say(&deleted)?;
    } else {
        let count = |name: &str| deleted[name].as_u64().unwrap_or_default();
        say(format_args!(
            "Deleted of {person}: {} connections, {} sessions, {} authorizations under way, {} unconfirmed grants.",
            count("connections"),
            count("sessions"),
            count("authorizations"),
            count("unconfirmed"),
        ))?;
    }
    match deleted["unopenable"].as_u64().unwrap_or_default() {
        0 => Ok(()),
        count => Err(Failure::other(format!(
            "{count} records that are theirs or may be cannot be opened with the configured store keys; they are kept as they are"
        ))),
    }
}
