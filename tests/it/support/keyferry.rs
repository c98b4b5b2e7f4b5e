//! The program itself: the built binary with a `config.toml` and provider files in a folder of its own, and its HTTP
//! interface as CONTRACT.md has it.

mod configuration;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use self::configuration::Configuration;
use super::{Answer, Browser, Page, Port, Request, http, process::Process, until};

/// Where an application would be that asked for a connection. Nothing listens there: browsers of the tests stop before.
pub(crate) const RETURN_TO: &str = "http://app.test/connected";

/// How long a debug build on a busy machine may take to be ready.
const READY: Duration = Duration::from_secs(30);

/// How long a line of the log may take that is certain to come.
const LOGGED: Duration = Duration::from_secs(30);

/// A running Keyferry. It is killed when this goes.
pub(crate) struct Keyferry {
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    public_url: String,
    configuration: Configuration,
    folder: TempDir,
    port: Port,
    http: reqwest::Client,
}

/// A Keyferry that has ended.
#[derive(Debug)]
pub(crate) struct Exit {
    /// How.
    pub(crate) status: ExitStatus,
    /// What it had written to standard output.
    pub(crate) stdout: String,
    /// And to standard error.
    pub(crate) stderr: String,
}

/// One person, as Keyferry names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Person {
    /// The organisation.
    pub(crate) org: &'static str,
    /// The user.
    pub(crate) user: &'static str,
}

impl Person {
    /// The person that most tests are about.
    pub(crate) const ADA: Self = Self { org: "analytical", user: "ada" };
    /// Somebody else, in the same organisation.
    pub(crate) const BOB: Self = Self { org: "analytical", user: "bob" };

    fn form(self) -> [(&'static str, &'static str); 2] {
        [("user_id", self.user), ("org_id", self.org)]
    }
}

impl Keyferry {
    /// Starts it, and waits until it is ready; panics with its log when it does not become so.
    pub(crate) async fn start(configuration: Configuration) -> Self {
        let (folder, port) = (folder(), Port::reserve());
        let public_url = configuration.public_url_or(&format!("http://127.0.0.1:{}", port.number()));
        configuration.write(folder.path(), port.address(), &public_url);
        let (process, address, admin) = launch(folder.path(), &configuration).await;
        let keyferry = Self { process, address, admin, public_url, configuration, folder, port, http: http::client() };
        keyferry.ready().await;
        keyferry
    }

    /// Runs one that is expected to refuse, and waits for its end.
    pub(crate) async fn refuse(configuration: Configuration) -> Exit {
        let (folder, port) = (folder(), Port::reserve());
        let public_url = configuration.public_url_or(&format!("http://127.0.0.1:{}", port.number()));
        configuration.write(folder.path(), port.address(), &public_url);
        let process = Process::start("keyferry", configuration.command(folder.path(), &["serve"]));
        end(process, READY).await
    }

    /// Runs a subcommand in an empty folder, and waits for its end.
    pub(crate) async fn command(arguments: &[&str]) -> Exit {
        let folder = folder();
        let process = Process::start("keyferry", Configuration::new().command(folder.path(), arguments));
        end(process, READY).await
    }

    /// A new API key and the hash that `config.toml` is to hold, as `keyferry keys new` prints them.
    pub(crate) async fn new_key() -> (String, String) {
        let exit = Self::command(&["keys", "new"]).await;
        let printed = format!("{}\n{}", exit.stdout, exit.stderr);
        assert!(exit.status.success(), "keys new: {printed}");
        let word = |start: &str| {
            let words = printed.split(|letter: char| letter.is_whitespace() || letter == '"');
            let found = words.into_iter().find(|word| word.starts_with(start));
            found.unwrap_or_else(|| panic!("no `{start}` in {printed}")).to_owned()
        };
        (word("kf_"), word("sha256:"))
    }

    /// Its process.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin listener is.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its public URL.
    pub(crate) fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The folder of its `config.toml`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has logged up to now. A line that is written before an answer goes out is there with that answer; for
    /// every other line there is [`until_logged`](Self::until_logged).
    pub(crate) fn log(&self) -> String {
        self.process.stderr()
    }

    /// The log's whole lines with these words up to now, as fields.
    pub(crate) fn logged(&self, words: &str) -> Vec<Value> {
        let log = self.log();
        let whole = log.split_inclusive('\n').filter(|line| line.ends_with('\n') && line.contains(words));
        whole.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// Waits for a line of the log with these words, and answers the first one's fields.
    pub(crate) async fn until_logged(&self, words: &str) -> Value {
        until(words, LOGGED, || async { self.logged(words).into_iter().next() }).await
    }

    /// A request to it, by path and query.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request::new(&self.http, method, &format!("http://{}{path}", self.address))
    }

    /// A request to its admin listener.
    pub(crate) fn admin_request(&self, method: &str, path: &str) -> Request {
        Request::new(&self.http, method, &format!("http://{}{path}", self.admin))
    }

    /// The key that the tests use, when callers are configured.
    pub(crate) fn api_key(&self) -> Option<&str> {
        self.configuration.api_key.as_deref()
    }

    /// A GET through `/proxy/{integration}` for a person.
    pub(crate) async fn call(&self, integration: &str, path: &str, person: Person) -> Answer {
        self.request_for("GET", &format!("/proxy/{integration}{path}"), person).send().await
    }

    /// A request for a person, as an application in the open mode or a backend with a key names one.
    pub(crate) fn request_for(&self, method: &str, path: &str, person: Person) -> Request {
        let request =
            self.request(method, path).header("keyferry-org", person.org).header("keyferry-user", person.user);
        match &self.configuration.api_key {
            Some(key) => request.header("authorization", &format!("Bearer {key}")),
            None => request,
        }
    }

    /// Begins an authorization, and answers the URL that the person is to open.
    pub(crate) async fn authorize(&self, integration: &str, person: Person, more: &[(&str, &str)]) -> String {
        let path = format!("/integrations/{integration}/authorize");
        let form = person.form().into_iter().chain(more.iter().copied());
        let answer = self.request_for("POST", &path, person).form(form).send().await.expect(200);
        answer.json().as_str().unwrap_or_else(|| panic!("not a JSON string: {}", answer.text())).to_owned()
    }

    /// Connects a person, who signs in at the provider by the name of the user; panics unless that works.
    pub(crate) async fn connect(&self, integration: &str, person: Person) {
        if self.configuration.api_key.is_some() {
            let (code, _) = self.finish_unconfirmed(integration, person).await;
            let connection = self.confirm(integration, person, &code).await.expect(200).json();
            assert_eq!(connection["status"], "active", "{connection}");
            return;
        }
        let url = self.authorize(integration, person, &[]).await;
        let page = Browser::new().sign_in(&url, person.user).await;
        assert!(page.url.as_str().starts_with(&self.callback(integration)), "ended at {}", page.url);
        assert_eq!(page.status(), 200, "{}", page.text());
    }

    /// Signs a person in through the start link up to where the application would be handed the one-time code: answers
    /// it, and where the browser was sent.
    pub(crate) async fn finish_unconfirmed(&self, integration: &str, person: Person) -> (String, Page) {
        let start = self.authorize(integration, person, &[("return_to", RETURN_TO)]).await;
        let page = Browser::new().outside(RETURN_TO).sign_in(&start, person.user).await;
        assert!(page.url.as_str().starts_with(RETURN_TO), "ended at {}: {}", page.url, page.text());
        let code = page.parameter("code").unwrap_or_else(|| panic!("no code at {}", page.url));
        (code, page)
    }

    /// Hands a one-time code in for a person.
    pub(crate) async fn confirm(&self, integration: &str, person: Person, code: &str) -> Answer {
        let path = format!("/integrations/{integration}/confirm");
        self.request_for("POST", &path, person).form([("code", code)]).send().await
    }

    /// The callback, as it is registered at the provider.
    pub(crate) fn callback(&self, integration: &str) -> String {
        format!("{}/integrations/{integration}/oauth2callback", self.public_url)
    }

    /// The connection of a person, as `POST …/credentials` answers it.
    pub(crate) async fn credentials(&self, integration: &str, person: Person) -> Answer {
        self.request_for("POST", &format!("/integrations/{integration}/credentials"), person)
            .form(person.form())
            .send()
            .await
    }

    /// Disconnects a person.
    pub(crate) async fn disconnect(&self, integration: &str, person: Person) -> Answer {
        self.request_for("DELETE", &format!("/integrations/{integration}/connection"), person).send().await
    }

    /// A session for a person; needs an API key.
    pub(crate) async fn session(&self, person: Person) -> String {
        let asked = serde_json::json!({ "org_id": person.org, "user_id": person.user });
        let answer = self.request_for("POST", "/integrations/sessions", person).json(&asked).send().await.expect(200);
        let token = answer.json()["token"].as_str().expect("a session's token").to_owned();
        assert!(token.starts_with("kfs_"), "not a session: {token}");
        token
    }

    /// How many bytes of memory it occupies now.
    pub(crate) fn memory(&self) -> u64 {
        self.process.memory()
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Sends any signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self, limit: Duration) -> Exit {
        let status = self.process.wait(limit).await;
        Exit { status, stdout: self.process.stdout(), stderr: self.process.stderr() }
    }

    /// Kills it as a crash does, and starts it again on the same files and ports.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.process.kill();
        self.start_again().await;
    }

    /// Ends it with SIGTERM, and starts it again on the same files and ports.
    pub(crate) async fn restart(&mut self) {
        self.terminate();
        self.wait(Duration::from_secs(60)).await;
        self.start_again().await;
    }

    /// Panics when one of `secrets`, or a secret of its own configuration, stands in its log or in a file that it
    /// wrote.
    pub(crate) fn assert_keeps(&self, secrets: &[String]) {
        let own = self.configuration.secrets();
        let all: Vec<&String> = secrets.iter().chain(own).filter(|secret| !secret.is_empty()).collect();
        assert!(!all.is_empty(), "nothing to look for");
        assert_free_of(&all, "the log", self.log().as_bytes());
        for file in self.configuration.written_by_keyferry(self.folder.path()) {
            let bytes = fs::read(&file).unwrap_or_default();
            assert_free_of(&all, &file.display().to_string(), &bytes);
        }
    }

    /// Writes another provider file in place of one, for the next start.
    pub(crate) fn change_provider(&mut self, id: &str, file: &str) {
        self.configuration = self.configuration.clone().without_provider(id).provider(id, file);
    }

    /// Writes other lines under `[store]`, for the next start.
    pub(crate) fn change_store(&mut self, lines: &str) {
        self.configuration = self.configuration.clone().with_store(lines);
    }

    /// Another one over the same store, which browsers do not reach.
    pub(crate) async fn replica(&self) -> Self {
        Self::start(self.configuration.clone().public_url(&self.public_url)).await
    }

    /// Starts it again on the same files and ports, after its end.
    pub(crate) async fn start_again(&mut self) {
        self.configuration.write(self.folder.path(), self.port.address(), &self.public_url);
        let (process, address, admin) = launch(self.folder.path(), &self.configuration).await;
        (self.process, self.address, self.admin) = (process, address, admin);
        self.http = http::client();
        self.ready().await;
    }

    async fn ready(&self) {
        let url = format!("http://{}/readyz", self.admin);
        let last = std::cell::RefCell::new(String::new());
        let ready = until("ready", READY, || async {
            let answer = Request::new(&self.http, "GET", &url).attempt().await.ok()?;
            *last.borrow_mut() = answer.describe();
            (answer.status == 200).then_some(())
        });
        tokio::time::timeout(READY - Duration::from_millis(500), ready)
            .await
            .unwrap_or_else(|_| panic!("not ready: {}\n{}", last.borrow(), self.log()));
    }
}

/// Panics when one of `secrets` stands in `bytes`, as it is, percent-encoded or in base64.
pub(crate) fn assert_free_of(secrets: &[&String], place: &str, bytes: &[u8]) {
    use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
    for secret in secrets {
        let forms = [
            secret.as_bytes().to_vec(),
            form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>().into_bytes(),
            BASE64_STANDARD_NO_PAD.encode(secret.as_bytes()).into_bytes(),
        ];
        for form in forms {
            let found = bytes.windows(form.len()).any(|window| window == form);
            assert!(!found, "a secret of {} characters stands in {place}", secret.len());
        }
    }
}

/// Starts it and reads from its log where it listens: a line with the message `listening`, `address` and
/// `admin_address`.
async fn launch(folder: &Path, configuration: &Configuration) -> (Process, SocketAddr, SocketAddr) {
    let mut process = Process::start("keyferry", configuration.command(folder, &["serve"]));
    let line =
        process.output("log line that says where it listens", READY, |process| listening(&process.stderr())).await;
    let address = |key: &str| {
        let text = line[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {line}"));
        text.parse().unwrap_or_else(|error| panic!("`{key}` is {text}: {error}"))
    };
    let (address, admin) = (address("address"), address("admin_address"));
    (process, address, admin)
}

fn listening(log: &str) -> Option<Value> {
    log.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let fields = if line["fields"].is_object() { line["fields"].clone() } else { line };
        (fields["message"] == "listening").then_some(fields)
    })
}

async fn end(mut process: Process, limit: Duration) -> Exit {
    process.close_stdin();
    let status = process.wait(limit).await;
    Exit { status, stdout: process.stdout(), stderr: process.stderr() }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("the temporary folder can be written")
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the test can be read");
    entries
        .map(|entry| entry.expect("and so can its entries").path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}
