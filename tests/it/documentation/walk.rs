//! A page's commands and requests, one after the other, as a newcomer types them: in a folder of its own, with the built
//! program on the path, at an authorization server and vendors that are the tests' peers. What differs from the page's own
//! words is in [`Walk::said`], and nowhere else.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::block::{Block, Page, repository};
use super::same::{difference, matches, missing_line};
use crate::redis_servers::Server;
use crate::support::{
    Answer, AuthorizationServer, Browser, Client, Configuration, Integration, Keyferry, Person, Port, Process,
    RETURN_TO, Request, Vendors, hub_patch, plain_client,
};

/// The pages that are walked below.
pub(super) const PAGES: [&str; 8] = [
    "README.md",
    "docs/calling.md",
    "docs/connect.md",
    "docs/items.md",
    "docs/operations.md",
    "docs/providers.md",
    "examples/assessment/README.md",
    "examples/notion-sdk/README.md",
];

/// How long a command may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Whom the open mode takes a person for who is not named.
const DEFAULT: Person = Person { org: "default", user: "default" };

/// Each in a folder of its own.
#[tokio::test]
async fn pages_that_begin_with_nothing() {
    let mut walk = Walk::new(None).await;
    walk.anew();
    walk.page("README.md").await;
    assert!(walk.last_output.contains("\"type\":\"Contact\""), "{}", walk.last_output);

    walk.anew();
    // The page's example of the vendor's page, in the names of its own file.
    let example = r#"{"access_token": "a", "refresh_token": "r", "token_type": "bearer", "expires_in": 3600}"#;
    walk.write("example.json", example);
    walk.page("docs/providers.md").await;

    walk.anew();
    walk.copy("examples/notion-sdk");
    walk.environment.push(("KEYFERRY_KEY".to_owned(), "nothing".to_owned()));
    walk.page("examples/notion-sdk/README.md").await;

    walk.anew();
    walk.copy("examples/assessment");
    walk.page("examples/assessment/README.md").await;
}

#[tokio::test]
async fn pages_about_one_that_runs() {
    let (key, hash) = Keyferry::new_key().await;
    let configuration = Configuration::new().store("url = \"file:data/keyferry.redb\"");
    let mut walk = Walk::new(Some(configuration.server(&format!("admin_key_hash = \"{hash}\"")))).await;
    let redis = Server::start(&[]);
    walk.words.insert("redis.internal:6379", format!("127.0.0.1:{}", redis.port));
    let more = [("KEYFERRY_ADMIN_KEY", key), ("REDIS_PASSWORD", "of-the-page".to_owned())];
    walk.environment.extend(more.map(|(name, value)| (name.to_owned(), value)));
    walk.server.fault(hub_patch()).await;
    walk.running().connect("hubspot", DEFAULT).await;

    walk.page("docs/calling.md").await;
    walk.page("docs/items.md").await;
    walk.page("docs/operations.md").await;
    // What was put back is what was copied.
    walk.running().call("hubspot", "/crm/v3/objects/contacts?limit=1", DEFAULT).await.expect(200);
}

#[tokio::test]
async fn pages_about_one_with_keys() {
    let key = Keyferry::new_key().await;
    let mut walk = Walk::new(Some(Configuration::new().caller(&key))).await;
    walk.page("docs/connect.md").await;
}

/// The line for the user of Redis is the one that the store says, and that its tests run with.
#[test]
fn the_rights_at_redis_are_those_that_suffice() {
    let rights = "+get +set +del +pttl +eval +scan +ping +publish +subscribe";
    for path in ["docs/operations.md", "src/store.rs", "tests/it/redis_servers.rs"] {
        let text = fs::read_to_string(repository().join(path)).expect("a file");
        let words: Vec<&str> = text.split_whitespace().filter(|word| !matches!(*word, "//!" | "\\")).collect();
        assert!(words.join(" ").contains(rights), "{path} has other rights");
    }
}

/// Where a page is followed.
struct Walk {
    folder: TempDir,
    /// Programs that go before the system's.
    programs: TempDir,
    server: AuthorizationServer,
    vendors: Vendors,
    /// A Keyferry that ran before the page began.
    beside: Option<(Keyferry, reqwest::Client)>,
    /// What the page itself has started, and the port that it is told to listen at.
    started: Option<Process>,
    port: Option<Port>,
    environment: Vec<(String, String)>,
    /// Words of the pages, and what is said instead.
    words: BTreeMap<&'static str, String>,
    last_output: String,
    last_answer: Option<Answer>,
}

impl Walk {
    /// Beside a Keyferry of this configuration that runs, or none.
    async fn new(configuration: Option<Configuration>) -> Self {
        let server = AuthorizationServer::start().await;
        let vendors = Vendors::start(&server).await;
        let beside = match configuration {
            Some(configuration) => {
                let configuration = Integration::hubspot().configure(configuration, &server, &vendors);
                Some((Keyferry::start(configuration).await, plain_client()))
            }
            None => None,
        };
        let mut walk = Self {
            folder: folder(),
            programs: programs(),
            server,
            vendors,
            beside,
            started: None,
            port: None,
            environment: Vec::new(),
            words: BTreeMap::from([
                ("cargo run -- demo", "keyferry demo --port 0".to_owned()),
                ("your client id", Client::POST.id.to_owned()),
                ("_CLIENT_ID=…", format!("_CLIENT_ID='{}'", Client::POST.id)),
                ("_CLIENT_SECRET=…", format!("_CLIENT_SECRET='{}'", Client::POST.secret)),
                ("https://app.example.com/connected", RETURN_TO.to_owned()),
            ]),
            last_output: String::new(),
            last_answer: None,
        };
        walk.look_around();
        walk
    }

    /// Another folder, in which nothing runs and nothing is; only that what the pages call HubSpot and Notion is at the
    /// peers.
    fn anew(&mut self) {
        self.started = None;
        self.folder = folder();
        self.environment.clear();
        for integration in [Integration::hubspot(), Integration::notion()] {
            let (provider, name) = (format!("here-{}", integration.name), integration.name.to_ascii_uppercase());
            let file = integration.file(&self.server, self.vendors.url());
            self.write(&format!("providers/{provider}.toml"), &file);
            let keys = [("PROVIDER", provider), ("SCOPES", "openid,offline_access".to_owned())];
            let keys = keys.map(|(key, value)| (format!("KEYFERRY_INTEGRATIONS__{name}__{key}"), value));
            self.environment.extend(keys);
        }
        let reserved = Port::reserve();
        let port = reserved.number();
        self.port = Some(reserved);
        let server = [
            ("KEYFERRY_SERVER__LISTEN", format!("127.0.0.1:{port}")),
            ("KEYFERRY_SERVER__ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("KEYFERRY_URL", format!("http://localhost:{port}")),
        ];
        self.environment.extend(server.map(|(name, value)| (name.to_owned(), value)));
        self.words.insert("localhost:8080", format!("localhost:{port}"));
    }

    /// Learns where the Keyferry beside is.
    fn look_around(&mut self) {
        let Some((keyferry, _)) = &self.beside else { return };
        let address = keyferry.public_url().trim_start_matches("http://").to_owned();
        self.words.insert("https://keys.example.com", keyferry.public_url().to_owned());
        self.words.insert("localhost:8080", address);
        self.words.insert("127.0.0.1:8081", keyferry.admin().to_string());
        if let Some(key) = keyferry.api_key() {
            self.words.insert("Bearer kf_…", format!("Bearer {key}"));
        }
        self.environment.retain(|(name, _)| name != "KEYFERRY_URL");
        self.environment.push(("KEYFERRY_URL".to_owned(), keyferry.public_url().to_owned()));
    }

    fn running(&self) -> &Keyferry {
        &self.beside.as_ref().expect("one runs beside this page").0
    }

    fn copy(&self, folder: &str) {
        for entry in fs::read_dir(repository().join(folder)).expect("the folder").map(|entry| entry.expect("an entry"))
        {
            if entry.path().is_file() {
                fs::copy(entry.path(), self.folder().join(entry.file_name())).expect("a copy");
            }
        }
    }

    fn folder(&self) -> &Path {
        self.beside.as_ref().map_or(self.folder.path(), |(keyferry, _)| keyferry.folder())
    }

    /// A block's text as it is said here.
    fn said(&self, text: &str) -> String {
        self.words.iter().fold(text.to_owned(), |text, (written, here)| text.replace(written, here))
    }

    async fn page(&mut self, path: &str) {
        assert!(PAGES.contains(&path), "{path} is not among PAGES");
        for block in Page::read(path).blocks {
            self.block(&block).await;
        }
    }

    async fn block(&mut self, block: &Block) {
        let (place, text) = (&block.place, self.said(&block.text));
        match block.fence().as_str() {
            "toml config" if self.beside.is_none() => self.write("config.toml", &text),
            "toml provider" if self.beside.is_none() => self.write(block.file(), &text),
            "sh" => self.run(place, &text).await,
            "sh serve" => self.serve(place, &text).await,
            "sh stopped" => self.while_stopped(place, &text).await,
            "http request" => self.send(place, &text).await,
            "http answer" => self.compare_answer(place, &text),
            "text returned" => self.open_what_was_answered(place, &text).await,
            "text output" => {
                let missing = missing_line(&text, &self.last_output);
                assert_eq!(
                    missing, None,
                    "{place}: that was not printed after what stands above it:\n{}",
                    self.last_output
                );
            }
            "json answer" => self.compare_json(place, &text, &self.last_output),
            "json item" => self.compare_item(place, &text).await,
            _ => {}
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be written");
        fs::write(path, text).expect("the folder can be written");
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("/bin/bash");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.programs.path().display());
        command.args(["-euo", "pipefail", "-c", script]).current_dir(self.folder()).env_clear().env("PATH", path);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("NO_PROXY", "localhost,127.0.0.1");
        command
    }

    /// Runs it to its good end. A browser opens what it says is to be opened, and somebody agrees there.
    async fn run(&mut self, place: &str, script: &str) {
        let mut process = Process::start(place, self.command(script));
        process.close_stdin();
        if script.contains("keyferry connect") {
            self.server.fault(hub_patch()).await;
            let to_open = |process: &Process| {
                let said = process.stdout();
                let lines = said.lines().map(str::trim);
                lines.filter(|_| said.contains("Waiting for")).find(|line| line.starts_with("http")).map(str::to_owned)
            };
            let url = process.output("URL to open", LIMIT, to_open).await;
            Browser::new().sign_in(&url, DEFAULT.user).await;
        }
        let status = process.wait(LIMIT).await;
        self.last_output = process.stdout();
        assert!(status.success(), "{place} ended with {status}:\n{script}\n{}{}", self.last_output, process.stderr());
    }

    /// Runs it up to where its last line serves.
    async fn serve(&mut self, place: &str, script: &str) {
        let (before, last) = script.trim_end().rsplit_once('\n').unwrap_or(("", script.trim_end()));
        // In the place of the shell, so that it ends with the value that holds it.
        let mut process = Process::start(place, self.command(&format!("{before}\nexec {last}")));
        let serves = |process: &Process| {
            let is_listening = process.stderr().contains("\"message\":\"listening\"");
            (is_listening || process.stdout().contains("What happens")).then_some(())
        };
        process.output("word that it serves", LIMIT, serves).await;
        self.started = Some(process);
    }

    async fn while_stopped(&mut self, place: &str, script: &str) {
        let (keyferry, _) = self.beside.as_mut().expect("it runs");
        keyferry.terminate();
        keyferry.wait(LIMIT).await;
        self.run(place, script).await;
        let (keyferry, _) = self.beside.as_mut().expect("it ran");
        keyferry.start_again().await;
        self.look_around();
    }

    async fn send(&mut self, place: &str, text: &str) {
        let (keyferry, client) = self.beside.as_ref().expect("it runs");
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let (method, path) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_else(|| panic!("{place}"));
        let request = Request::new(client, method, &format!("http://{}{path}", keyferry.address()));
        let request = lines.fold(request, |request, line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{place}: {line} is no header"));
            request.header(name, value)
        });
        self.server.fault(hub_patch()).await;
        self.last_answer = Some(request.body(body.trim_end().to_owned()).send().await);
    }

    fn compare_answer(&self, place: &str, text: &str) {
        let answer = self.last_answer.as_ref().unwrap_or_else(|| panic!("{place} answers nothing"));
        let (status, body) = text.split_once('\n').unwrap_or((text, ""));
        assert_eq!(answer.status.to_string(), status.trim(), "{place}: {}", answer.describe());
        self.compare_json(place, body, &answer.text());
    }

    fn compare_json(&self, place: &str, written: &str, came: &str) {
        // The provider files that lead to the peers have a name of their own.
        let [written, came] = [written, &came.replace("\"here-", "\"")].map(|text| {
            serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{place}: {text} is not JSON: {error}"))
        });
        if let Some(difference) = difference(&written, &came) {
            panic!("{place}: {difference}");
        }
    }

    /// Opens the link that the last answer was, agrees at the provider, and looks where the browser is sent.
    async fn open_what_was_answered(&mut self, place: &str, text: &str) {
        let link = self.last_answer.as_ref().expect("an answer").json();
        let page = Browser::new().outside(RETURN_TO).sign_in(link.as_str().expect("a link"), "ada").await;
        assert!(matches(text.trim(), page.url.as_str()), "{place}: the browser ended at {}", page.url);
        let code = page.parameter("code").unwrap_or_else(|| panic!("{place}: no code at {}", page.url));
        self.words.insert("code=…", format!("code={code}"));
    }

    async fn compare_item(&self, place: &str, text: &str) {
        let written: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{place}: {error}"));
        let list =
            self.running().request_for("GET", "/integrations/hubspot/items", DEFAULT).send().await.expect(200).text();
        let items = list.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let item = items.into_iter().find(|item| item["id"] == written["id"]);
        let item = item.unwrap_or_else(|| panic!("{place}: no item has that id in\n{list}"));
        assert_eq!(serde_json::to_string(&item).ok(), serde_json::to_string(&written).ok(), "{place}");
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("the temporary folder can be written")
}

/// What is typed without a path: the built program, and a `curl` that does not take a refusal for a success.
fn programs() -> TempDir {
    let programs = folder();
    symlink(env!("CARGO_BIN_EXE_keyferry"), programs.path().join("keyferry")).expect("a link");
    let curl = programs.path().join("curl");
    fs::write(&curl, "#!/bin/sh\nexec /usr/bin/curl --silent --show-error --fail-with-body \"$@\"\n").expect("a file");
    fs::set_permissions(&curl, fs::Permissions::from_mode(0o755)).expect("it is ours");
    programs
}

/// What the container blocks are run by finds as many as there are.
#[test]
fn blocks_for_containers_are_found() {
    let script: PathBuf = repository().join("tests/image/blocks");
    let listed = Command::new(script).arg("list").output().expect("it starts");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).expect("text");
    let pages = Page::all();
    let blocks = pages.iter().flat_map(|page| &page.blocks).filter(|block| block.fence() == "sh container");
    assert_eq!(listed.lines().collect::<Vec<_>>(), blocks.map(|block| block.place.as_str()).collect::<Vec<_>>());
}
