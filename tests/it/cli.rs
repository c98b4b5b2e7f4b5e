//! The command line as its operator meets it: exit codes, what goes where, and `connect` against a running sidecar.

mod asking; // how a running sidecar is found and asked, by every command that does
mod looked_at; // what is found out before anything is served
mod output; // output that nobody reads, and output that cannot be written

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{AuthorizationServer, Browser, Client, Configuration, Keyferry, Person, Process};

const LIMIT: Duration = Duration::from_secs(30);

/// A command in a folder of its own, with these files and variables and nothing else.
pub(crate) struct Typed {
    folder: tempfile::TempDir,
    command: Command,
}

impl Typed {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
        command.env_clear().current_dir(folder.path()).args(arguments);
        Self { folder, command }
    }

    pub(crate) fn config(self, text: &str) -> Self {
        std::fs::write(self.folder.path().join("config.toml"), text).expect("the folder can be written");
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn start(self) -> (Process, tempfile::TempDir) {
        (Process::start("keyferry", self.command), self.folder)
    }

    /// Exit code, standard output, standard error.
    pub(crate) async fn run(self) -> (i32, String, String) {
        let (mut process, _folder) = self.start();
        process.close_stdin();
        let status = process.wait(LIMIT).await;
        (status.code().expect("an exit code"), process.stdout(), process.stderr())
    }
}

#[tokio::test]
async fn check_says_every_mistake_and_warning() {
    let (code, out, err) = Typed::new(&["check"]).config("").run().await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "config: no mistakes\n", ""));

    let config = "[server]\nlisen = 1\n[store]\nurl = \"ftp://x\"\n";
    let (code, out, err) = Typed::new(&["check"]).config(config).run().await;
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.starts_with("config: 2 mistakes\n") && err.contains("did you mean `listen`?"), "{err}");

    let config = "[integrations.hubspot]\nclient_id = \"id\"\nclient_secret = \"env:HUBSPOT_SECRET\"\n";
    let (code, out, err) = Typed::new(&["check"]).config(config).run().await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("config: 1 warning\n") && out.contains("HUBSPOT_SECRET"), "{out}");
    assert!(out.ends_with("config: no mistakes\n"), "{out}");

    let (code, _, err) = Typed::new(&["check", "--config", "none.toml"]).run().await;
    assert_eq!(code, 2);
    assert!(err.contains("none.toml") && err.contains("cannot be read"), "{err}");
}

#[tokio::test]
async fn serve_refuses_what_it_cannot_do() {
    let open = "[server]\nlisten = \"0.0.0.0:0\"\nadmin_listen = \"127.0.0.1:0\"\n[store]\nurl = \"memory:\"\n";
    let (code, _, err) = Typed::new(&["serve"]).config(open).run().await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("server.listen") && err.contains("keyferry keys new"), "{err}");

    let (code, _, err) = Typed::new(&["serve", "--listen", "nonsense"]).run().await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("command line --listen"), "{err}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let memory = "[server]\nadmin_listen = \"\"\n[store]\nurl = \"memory:\"\n";
    let (code, _, err) = Typed::new(&["serve", "--listen", &address]).config(memory).run().await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&address) && err.contains("server.listen"), "{err}");
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let config = "[server]\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:0\"\n[store]\nurl = \"memory:\"\n";
    let typed = Typed::new(&["--listen", "127.0.0.1:0"]).config(config);
    let typed = typed.environment("KEYFERRY_SERVER__LISTEN", "127.0.0.1:2").environment("KEYFERRY_LOG__FORMAT", "json");
    let (mut process, _folder) = typed.start();
    let listening = |process: &Process| {
        let log = process.stderr();
        log.lines().find(|line| line.contains("\"message\":\"listening\"")).map(str::to_owned)
    };
    let line = process.output("the line that says where it listens", LIMIT, listening).await;
    let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    let port = line["address"].as_str().expect("an address").rsplit(':').next().map(str::to_owned);
    assert!(port.is_some_and(|port| port.len() > 1), "{line}");
    process.signal(Signal::TERM);
    assert!(process.wait(LIMIT).await.success());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let config =
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"\"\ndrain_delay = \"1h\"\n[store]\nurl = \"memory:\"\n";
    let (mut process, _folder) = Typed::new(&["serve"]).config(config).start();
    let logged = |text: &'static str| move |process: &Process| process.stderr().contains(text).then_some(());
    process.output("listening", LIMIT, logged("\"listening\"")).await;
    process.signal(Signal::TERM);
    process.output("stopping", LIMIT, logged("stopping")).await;
    // The same wish twice, as `timeout` sends it, is one wish.
    process.signal(Signal::TERM);
    let deadline = Instant::now() + LIMIT;
    let impatient = Instant::now() + Duration::from_millis(400);
    let status = loop {
        match process.exited() {
            Some(status) => break status,
            None if Instant::now() > impatient => process.signal(Signal::INT),
            None => {}
        }
        assert!(Instant::now() < deadline, "it still runs\n{}", process.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(Instant::now() > impatient, "the first wish ended it at once");
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn keys_are_shown_once_and_their_table_is_right() {
    let (code, out, err) = Typed::new(&["keys", "new", "--name", "crm"]).run().await;
    assert_eq!((code, err.as_str()), (0, ""));
    let key = out.lines().map(str::trim).find(|line| line.starts_with("kf_")).expect("a key");
    assert_eq!((key.len(), out.matches(key).count()), (46, 1), "{out}");

    // The printed table is a configuration as it stands, and the key in front of it opens the door.
    let table = out.split_once("[callers.crm]").map(|(_, table)| format!("[callers.crm]{table}")).expect("a table");
    let (code, _, err) = Typed::new(&["check"]).config(&table).run().await;
    assert_eq!((code, err.as_str()), (0, ""));
    let keyferry = Keyferry::start(Configuration::new().toml(&table)).await;
    keyferry.request("GET", "/integrations").send().await.expect_problem(401, "unauthenticated");
    let known = keyferry.request("GET", "/integrations").header("authorization", &format!("Bearer {key}"));
    assert!(known.send().await.expect(200).json().is_array());
}

#[tokio::test]
async fn healthcheck_is_an_exit_code() {
    let keyferry = Keyferry::start(Configuration::new()).await;
    let admin = keyferry.admin().to_string();
    let (code, out, err) = Typed::new(&["healthcheck", "--address", &admin]).run().await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "ready\n", ""));
    let (code, out, err) = Typed::new(&["healthcheck", "--address", &admin, "--live"]).run().await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "alive\n", ""));

    let config = format!("[server]\nadmin_listen = \"{admin}\"\n");
    let (code, _, _) = Typed::new(&["healthcheck"]).config(&config).run().await;
    assert_eq!(code, 0);

    // A container is often configured by its environment alone.
    let by_variable = Typed::new(&["healthcheck"]).environment("KEYFERRY_SERVER__ADMIN_LISTEN", &admin);
    assert_eq!(by_variable.run().await.0, 0);

    let (code, _, err) = Typed::new(&["healthcheck", "--address", "127.0.0.1:1"]).run().await;
    assert_eq!(code, 1);
    assert!(err.contains("127.0.0.1:1 cannot be asked"), "{err}");
}

#[tokio::test]
async fn bash_completes_words_of_the_command_line() {
    let (code, script, err) = Typed::new(&["completions", "bash"]).run().await;
    assert_eq!((code, err.as_str()), (0, ""));
    let check = async |words: &[&str], expected: &[&str]| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("script"), &script).expect("the folder can be written");
        let (last, number) = (words[words.len() - 1], words.len() - 1);
        let typed = format!(
            "source ./script; COMP_WORDS=({}); COMP_CWORD={number}; _keyferry keyferry '{last}' '{}'; echo \"${{COMPREPLY[@]}}\"",
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words[number - 1]
        );
        let mut command = Command::new("bash");
        command.current_dir(folder.path()).args(["--norc", "-c", &typed]);
        let mut process = Process::start("bash", command);
        assert!(process.wait(LIMIT).await.success(), "{}", process.stderr());
        let completed = process.stdout();
        let completed: Vec<&str> = completed.split_whitespace().collect();
        assert_eq!(completed, expected, "{words:?}");
    };
    check(&["keyferry", "conn"], &["connect", "connections"]).await;
    check(&["keyferry", "connections", "d"], &["disconnect"]).await;
    check(&["keyferry", "connections", "list", "--st"], &["--status"]).await;
    check(&["keyferry", "connections", "list", "--status", "d"], &["disconnected"]).await;

    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = Typed::new(&["completions", shell]).run().await;
        assert!(code == 0 && script.contains("rekey"), "{shell}: {script}");
    }
}

#[tokio::test]
async fn the_manual_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("man1").display().to_string();
    let (code, said, err) = Typed::new(&["man", "--out", &out]).run().await;
    assert_eq!((code, err.as_str()), (0, ""), "{said}");
    let page = std::fs::read_to_string(folder.path().join("man1/keyferry-store-rekey.1")).expect("a page of its own");
    assert!(page.contains(".TH keyferry-store-rekey 1") && page.contains(".SH NOTES\n"), "{page}");

    let (code, page, err) = Typed::new(&["man"]).run().await;
    assert_eq!((code, err.as_str()), (0, ""));
    let path = folder.path().join("keyferry.1");
    std::fs::write(&path, &page).expect("the folder can be written");
    // Where there is no groff, the sections are all there is to look at.
    let groff = Command::new("groff").args(["-man", "-Kutf8", "-Tutf8", "-ww", "-P-cbou"]).arg(&path).output();
    let shown = match groff {
        Ok(output) => {
            assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("UTF-8")
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
            page
        }
    };
    for text in ["NAME", "SYNOPSIS", "ENVIRONMENT", "keyferry connections list", "keyferry store rekey", "--status"] {
        let escaped = text.replace('-', "\\-");
        assert!(shown.contains(text) || shown.contains(&escaped), "no {text} in\n{shown}");
    }
}

#[tokio::test]
async fn connect_passes_variables_and_parameters_on() {
    let file = "[oauth]\nauthorization_endpoint = \"https://as.example/authorize\"\ntoken_endpoint = \"https://as.example/token\"\n\
                authorization_params = { sub = \"{sub}\" }\n[api]\nbase_url = \"https://api.example.com\"\n[variables.sub]\n";
    let configuration = Configuration::new().provider("acme", file).toml("[integrations.acme]\nclient_id = \"i\"\n");
    let keyferry = Keyferry::start(configuration).await;
    let url = format!("http://{}", keyferry.address());
    let typed = ["connect", "acme", "--no-browser", "--url", &url];
    let more = ["--variable", "sub=a=b", "--param", "login_hint=ada@example.com", "--param", "prompt=none"];
    let (mut process, _folder) = Typed::new(&[&typed[..], &more[..]].concat()).start();
    let start = process.output("the URL to open", LIMIT, url_to_open).await;
    assert!(start.ends_with("&sub=a%3Db&login_hint=ada%40example.com&prompt=none"), "{start}");

    let (code, _, err) = Typed::new(&[&typed[..], &["--variable", "sub"]].concat()).run().await;
    assert!(code == 2 && err.contains("write a name, `=` and a value"), "{code} {err}");
    let (code, _, err) = Typed::new(&[&typed[..], &["--variable", "sub=a", "--param", "state=x"]].concat()).run().await;
    assert!(code == 1 && err.contains("`authorization_params.state` cannot be chosen"), "{code} {err}");
}

#[tokio::test]
async fn connect_waits_for_the_browser_in_the_open_mode() {
    let server = AuthorizationServer::start().await;
    let keyferry = Keyferry::start(acme(Configuration::new(), &server)).await;
    let url = format!("http://{}", keyferry.address());
    let (mut process, _folder) = Typed::new(&["connect", "acme", "--no-browser", "--url", &url]).start();
    let start = process.output("the URL to open", LIMIT, url_to_open).await;
    assert!(start.starts_with(server.issuer()), "{start}");
    Browser::new().sign_in(&start, "ada").await;
    let status = process.wait(LIMIT).await;
    assert!(status.success(), "{}", process.stderr());
    let said = process.stdout();
    assert!(said.contains("Connected: con_") && said.contains(&format!("{url}/proxy/acme/")), "{said}");
}

#[tokio::test]
async fn connect_takes_the_code_where_there_are_keys() {
    let server = AuthorizationServer::start().await;
    let key = Keyferry::new_key().await;
    let keyferry = Keyferry::start(acme(Configuration::new().caller(&key), &server)).await;
    let url = format!("http://{}", keyferry.address());

    let (code, _, err) = Typed::new(&["connect", "acme", "--url", &url]).run().await;
    assert_eq!(code, 1);
    assert!(err.contains("unauthenticated") && err.contains("KEYFERRY_KEY"), "{err}");

    let arguments = ["connect", "acme", "--no-browser", "--org", Person::ADA.org, "--user", Person::ADA.user];
    let typed = Typed::new(&arguments).environment("KEYFERRY_URL", &url).environment("KEYFERRY_KEY", &key.0);
    let (mut process, _folder) = typed.start();
    let start = process.output("the start link", LIMIT, url_to_open).await;
    assert!(start.starts_with(&format!("{}/integrations/acme/authorize?start=", keyferry.public_url())), "{start}");
    let page = Browser::new().sign_in(&start, "ada").await;
    let shown = page.text();
    let code = shown.split_once("<code>").and_then(|(_, rest)| rest.split_once("</code>")).expect("a code").0;
    use std::io::Write as _;
    writeln!(process.stdin(), "{code}").expect("it reads");
    let status = process.wait(LIMIT).await;
    assert!(status.success(), "{}", process.stderr());
    assert!(process.stdout().contains("Connected: con_"), "{}", process.stdout());
    assert!(!format!("{}{}", process.stdout(), process.stderr()).contains(&key.0));
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
}

#[tokio::test]
async fn connect_says_what_is_wrong() {
    let (code, _, err) = Typed::new(&["connect", "acme", "--url", "http://127.0.0.1:1"]).run().await;
    assert_eq!(code, 1);
    assert!(err.contains("nothing answers at http://127.0.0.1:1") && err.contains("keyferry serve"), "{err}");

    let keyferry = Keyferry::start(Configuration::new()).await;
    let url = format!("http://{}", keyferry.address());
    let (code, _, err) = Typed::new(&["connect", "acme", "--url", &url]).run().await;
    assert_eq!(code, 1);
    assert!(err.contains("404 unknown_integration"), "{err}");
    let (code, _, err) = Typed::new(&["connect", "notion", "--url", &url]).run().await;
    assert_eq!(code, 1);
    assert!(err.contains("integration_not_configured") && err.contains("client_id"), "{err}");
}

fn acme(configuration: Configuration, server: &AuthorizationServer) -> Configuration {
    configuration.integration("acme", server.issuer(), server.issuer(), &Client::BASIC)
}

fn url_to_open(process: &Process) -> Option<String> {
    let said = process.stdout();
    let complete = said.contains("Waiting for") || said.contains("start link");
    said.lines().map(str::trim).find(|line| complete && line.starts_with("http")).map(str::to_owned)
}
