//! The admin listener of a running sidecar, as the operator's commands ask it: where it is, with which key, and a word
//! of agreement before something is ended.

use std::io::{self, IsTerminal as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::contact::{Contact, Lines, Words};
use super::{Environment, Failure, terminal};
use crate::config::{self, LoadRequest};
use crate::model::Secret;

/// A large store takes its time.
const PATIENCE: Duration = Duration::from_secs(600);

const WORDS: Words = Words {
    url_flag: "--admin-url",
    key_from: "--key or KEYFERRY_ADMIN_KEY",
    nothing_there: "start it with `keyferry serve`, or name its admin listener with --admin-url",
    no_key: "Pass the admin key with --key or KEYFERRY_ADMIN_KEY.",
    wrong_key: "The key has to be the one whose hash is server.admin_key_hash; an API key of a caller is not.",
};

/// Which admin listener is asked, and by whom: the arguments of every subcommand that speaks to one.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// Where the admin listener is [default: KEYFERRY_ADMIN_URL, or server.admin_listen of the configuration]
    #[arg(long, value_name = "URL")]
    admin_url: Option<Url>,

    /// The admin key [default: KEYFERRY_ADMIN_KEY, which no process list shows]
    #[arg(long)]
    key: Option<String>,

    /// Configuration file that says where the admin listener is [default: config.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A running sidecar's admin listener.
#[derive(Debug)]
pub(super) struct Admin(Contact);

impl Admin {
    /// Does not speak to it yet.
    pub(super) fn new(asking: Asking, environment: Environment) -> Result<Self, Failure> {
        let Asking { admin_url, key, config } = asking;
        let key = key.or_else(|| environment.get("KEYFERRY_ADMIN_KEY").map(str::to_owned)).map(Secret::new);
        let url = match (admin_url, environment.get("KEYFERRY_ADMIN_URL")) {
            (Some(url), _) => url,
            (None, Some(text)) => {
                Url::parse(text).map_err(|error| Failure::other(format!("KEYFERRY_ADMIN_URL is not a URL: {error}")))?
            }
            (None, None) => {
                let address = address(config, environment)?;
                Url::parse(&format!("http://{address}")).map_err(|error| Failure::other(error.to_string()))?
            }
        };
        Contact::new(&url, key.as_ref(), &WORDS).map(Self)
    }

    /// Asks for something that answers in JSON.
    pub(super) async fn ask(&self, method: Method, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let separator = if query.is_empty() { "" } else { "?" };
        let request = self.0.request(method, &format!("{path}{separator}{query}"));
        self.0.ask(request.timeout(PATIENCE)).await
    }

    /// Begins something that answers in lines.
    pub(super) async fn begin(&self, path: &str) -> Result<Lines<'_>, Failure> {
        self.0.lines(self.0.request(Method::POST, path)).await
    }
}

/// Where the configuration says that the admin listener is.
pub(super) fn address(config_path: Option<PathBuf>, environment: Environment) -> Result<SocketAddr, Failure> {
    let environment = environment.into_pairs();
    let listens = config::admin_listen(LoadRequest { config_path, environment, ..LoadRequest::default() })?;
    let address = listens.ok_or_else(|| {
        Failure::other("server.admin_listen is \"\", so that nothing can be asked; give it an address")
    })?;
    Ok(reachable(address))
}

/// A listener on all addresses is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Goes on only when the operator agrees: by `--yes`, or by answering at the terminal. Without one nobody is asked, and
/// nobody's silence is taken for an answer.
pub(super) async fn agreed(question: String, is_agreed: bool) -> Result<(), Failure> {
    if is_agreed {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::other("this cannot be undone, and there is no terminal to ask at: pass --yes to agree"));
    }
    let answer = tokio::task::spawn_blocking(move || terminal::ask(&format!("{question} [y/N] "))).await;
    let answer = answer.map_err(|error| Failure::other(error.to_string()))?;
    match answer.map_err(|error| Failure::other(format!("the answer cannot be read: {error}")))? {
        Some(text) if matches!(text.to_ascii_lowercase().as_str(), "y" | "yes") => Ok(()),
        _ => Err(Failure::other("nothing was changed")),
    }
}

/// Text of an answer for a terminal: who knows what a name holds.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_asked_on_loopback() {
        fn check(input: &str, expected: &str) {
            assert_eq!(reachable(input.parse().expect(input)), expected.parse().expect(expected), "{input}");
        }
        check("0.0.0.0:8081", "127.0.0.1:8081");
        check("[::]:8081", "[::1]:8081");
        check("10.0.0.7:8081", "10.0.0.7:8081");
    }
}
