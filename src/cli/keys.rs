//! `keyferry keys`: keys for back ends that call Keyferry. A key is drawn here, shown once and kept nowhere; the
//! configuration holds its hash.

use clap::{Args, Subcommand};
use sha2::{Digest as _, Sha256};

use super::terminal::say;
use super::{Failure, Outcome};
use crate::broker::random_token;
use crate::model::{CallerName, Secret};

/// What every API key begins with.
const PREFIX: &str = "kf_";

/// The arguments of `keyferry keys`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an API key and print it once, with the lines for config.toml
    #[command(
        after_help = "The key itself is stored nowhere. A lost key is replaced: make a new one, put its hash in \
                            config.toml beside the old one under another name, move the back end over, remove the old one.\n\n\
                            The operator's own key for the admin listener is made with --admin; it is nobody's to call with."
    )]
    New(New),
}

#[derive(Debug, Args)]
struct New {
    /// Name of the caller, as logs will show it: a-z, 0-9, - and _
    #[arg(long, default_value = "backend", value_parser = caller_name)]
    name: CallerName,

    /// The operator's key instead, for the admin listener
    #[arg(long, conflicts_with = "name")]
    admin: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let Action::New(New { name, admin }) = &arguments.action;
    let key = draw()?;
    if *admin {
        return say(format_args!(
            "The admin key, shown this once. Keep it for yourself, and KEYFERRY_ADMIN_KEY for when it is used:\n\n  {}\n\n\
             For config.toml, which holds only its hash:\n\n[server]\nadmin_key_hash = \"{}\"",
            key.expose(),
            hash(&key)
        ));
    }
    say(format_args!(
        "The API key of `{name}`, shown this once; give it to the back end and to nobody else:\n\n  {}\n\n\
         For config.toml, which holds only its hash:\n\n{}",
        key.expose(),
        table(name, &key)
    ))
}

fn draw() -> Result<Secret, Failure> {
    let random = random_token().map_err(|error| Failure::other(error.to_string()))?;
    Ok(Secret::new(format!("{PREFIX}{}", random.expose())))
}

fn hash(key: &Secret) -> String {
    let hash: String = Sha256::digest(key.expose().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}

fn table(name: &CallerName, key: &Secret) -> String {
    let hash = hash(key);
    format!(
        "[callers.{name}]\nkey_hash = \"{hash}\"\n\
         orgs = [\"*\"]           # or the organisations that it may name\n\
         users = [\"*\"]          # or the users\n\
         integrations = [\"*\"]   # or for example [\"hubspot\"]\n\
         methods = [\"*\"]        # or for example [\"GET\"]: methods of proxied calls"
    )
}

fn caller_name(text: &str) -> Result<CallerName, String> {
    CallerName::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_the_hash_and_not_the_key() {
        let name = CallerName::parse("crm").expect("a name");
        let table = table(&name, &Secret::new("kf_abc"));
        // printf kf_abc | sha256sum
        let hash = "ad69a2c3595aa4db9c450e01368c2927666df1c2d12be9730c75740d71a13ea6";
        assert!(table.starts_with("[callers.crm]\nkey_hash = \"sha256:"), "{table}");
        assert!(table.contains(hash) && !table.contains("kf_abc"), "{table}");
    }

    #[test]
    fn keys_are_long_and_differ() {
        let (one, other) = (draw().expect("a key"), draw().expect("a key"));
        assert_eq!((one.expose().len(), &one.expose()[..3]), (46, "kf_"));
        assert_ne!(one, other);
    }
}
