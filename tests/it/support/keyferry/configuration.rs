//! A `config.toml` and provider files, written as an operator writes them.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use super::files;
use crate::support::Client;

/// 32 bytes for a store that several replicas share.
const STORE_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What a Keyferry is to run with. Without anything: in the open mode, on loopback, with a store in memory.
#[derive(Clone)]
pub(crate) struct Configuration {
    store: String,
    server: String,
    log: String,
    rest: String,
    providers: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    public_url: Option<String>,
    is_on_localhost: bool,
    secrets: Vec<String>,
    pub(super) api_key: Option<String>,
}

impl Configuration {
    /// The open mode with a store in memory.
    pub(crate) fn new() -> Self {
        Self {
            store: "url = \"memory:\"\n".to_owned(),
            server: String::new(),
            log: "level = \"debug\"".to_owned(),
            rest: String::new(),
            providers: Vec::new(),
            environment: Vec::new(),
            public_url: None,
            is_on_localhost: false,
            secrets: Vec::new(),
            api_key: None,
        }
    }

    /// The lines under `[store]`, such as those of a Redis. A Redis gets the store key by the environment.
    pub(crate) fn store(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.store);
        if lines.contains("redis") {
            self.environment.push(("KEYFERRY_STORE_KEY".to_owned(), STORE_KEY.to_owned()));
            self.secrets.push(STORE_KEY.to_owned());
        }
        self
    }

    pub(super) fn with_store(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.store);
        self
    }

    /// An integration whose provider is known by its issuer alone, with an API at `base_url`.
    pub(crate) fn integration(self, name: &str, issuer: &str, base_url: &str, client: &Client) -> Self {
        self.provider(name, &provider(issuer, base_url, client.method)).client(name, client)
    }

    /// A provider file.
    pub(crate) fn provider(mut self, id: &str, file: &str) -> Self {
        self.providers.push((id.to_owned(), file.to_owned()));
        self
    }

    pub(super) fn without_provider(mut self, id: &str) -> Self {
        self.providers.retain(|(present, _)| present != id);
        self
    }

    /// An integration at the provider of the same name.
    pub(crate) fn client(mut self, name: &str, client: &Client) -> Self {
        let secret = match client.secret {
            "" => String::new(),
            secret => format!("client_secret = {}\n", string(secret)),
        };
        self.secrets.extend((!client.secret.is_empty()).then(|| client.secret.to_owned()));
        self.toml(&format!(
            "[integrations.{name}]\nclient_id = {}\n{secret}scopes = [\"openid\", \"offline_access\"]\n",
            string(client.id)
        ))
    }

    /// Lines under `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server.push_str(lines);
        self.server.push('\n');
        self
    }

    /// Lines under `[log]`, in place of the level `debug`.
    pub(crate) fn log(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.log);
        self
    }

    /// Tables of `config.toml`.
    pub(crate) fn toml(mut self, tables: &str) -> Self {
        self.rest.push_str(tables);
        self.rest.push('\n');
        self
    }

    /// An environment variable. It has no others.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another public URL than that of its own listener: that of the replica which browsers reach.
    pub(crate) fn public_url(mut self, url: &str) -> Self {
        self.public_url = Some(url.to_owned());
        self
    }

    /// Its own listener's URL with `localhost` in it, which is another site than that of everything at 127.0.0.1.
    pub(crate) fn on_localhost(mut self) -> Self {
        self.is_on_localhost = true;
        self
    }

    /// In front of an application, with more keys of `[app]` and tables behind it.
    pub(crate) fn in_front_of(self, upstream: &str, more: &str) -> Self {
        self.toml(&format!("[app]\nupstream = \"{upstream}\"\n{more}"))
    }

    /// A caller with every right, and the API key that the tests then use; and an application that people return to.
    pub(crate) fn caller(self, key: &(String, String)) -> Self {
        self.caller_for(key, &["http://app.test"])
    }

    /// The same, with applications at these origins.
    pub(crate) fn caller_for(mut self, (key, hash): &(String, String), origins: &[&str]) -> Self {
        self.api_key = Some(key.clone());
        self.secrets.push(key.clone());
        self = self.server(&format!("allowed_origins = {origins:?}"));
        self.toml(&format!(
            "[callers.backend]\nkey_hash = \"{hash}\"\norgs = [\"*\"]\nusers = [\"*\"]\nintegrations = [\"*\"]\n"
        ))
    }

    pub(super) fn public_url_or(&self, own: &str) -> String {
        let own = if self.is_on_localhost { own.replace("127.0.0.1", "localhost") } else { own.to_owned() };
        self.public_url.clone().unwrap_or(own)
    }

    pub(super) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// The command for a subcommand, in `folder`, with nothing of this process's environment.
    pub(super) fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
        command.current_dir(folder).args(arguments).env_clear().env("RUST_BACKTRACE", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Writes `config.toml` and the provider files.
    pub(super) fn write(&self, folder: &Path, listen: SocketAddr, public_url: &str) {
        let config = format!(
            "[server]\nlisten = \"{listen}\"\npublic_url = \"{public_url}\"\nproviders_dir = \"providers\"\n\
             admin_listen = \"127.0.0.1:0\"\n{}\n[log]\nformat = \"json\"\n{}\n\n[store]\n{}\n{}",
            self.server, self.log, self.store, self.rest
        );
        fs::create_dir_all(folder.join("providers")).expect("the temporary folder can be written");
        fs::write(folder.join("config.toml"), config).expect("the temporary folder can be written");
        for (id, file) in &self.providers {
            let path = folder.join("providers").join(format!("{id}.toml"));
            fs::write(path, file).expect("the temporary folder can be written");
        }
    }

    /// The files below `folder` that are not ours.
    pub(super) fn written_by_keyferry(&self, folder: &Path) -> Vec<PathBuf> {
        let ours = [folder.join("config.toml"), folder.join("providers")];
        files(folder).into_iter().filter(|file| !ours.iter().any(|our| file.starts_with(our))).collect()
    }
}

/// A provider file that holds an issuer and an API, and what oidc-provider wants said: how the client authenticates,
/// and that a person is to be asked, without which it gives no refresh token.
pub(crate) fn provider(issuer: &str, base_url: &str, method: &str) -> String {
    let mut file = String::new();
    writeln!(file, "[oauth]\nissuer = \"{issuer}\"\ntoken_endpoint_auth_method = \"{method}\"")
        .and_then(|()| writeln!(file, "authorization_params = {{ prompt = \"consent\" }}"))
        .and_then(|()| writeln!(file, "\n[api]\nbase_url = \"{base_url}\""))
        .expect("a string can be written");
    file
}

/// A TOML string.
fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
