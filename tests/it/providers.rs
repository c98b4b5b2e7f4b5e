//! `keyferry providers`: what is listed, shown and written, and that what was written connects.

use std::{fs, path::Path, process::Command, time::Duration};

use keyferry::config::{LoadRequest, load};
use serde_json::{Value, json};

use crate::support::{AuthorizationServer, Client, Configuration, Keyferry, Person, Process, Scripted};

const LIMIT: Duration = Duration::from_secs(60);

/// What comes of it, in a folder and with nothing of this process's environment.
async fn providers(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.env_clear().current_dir(folder).arg("providers").args(arguments);
    let mut process = Process::start("keyferry", command);
    process.close_stdin();
    let status = process.wait(LIMIT).await;
    (status.code().expect("an exit code"), process.stdout(), process.stderr())
}

fn folder(config: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("providers")).expect("the folder can be written");
    fs::write(folder.path().join("config.toml"), config).expect("the folder can be written");
    for (id, text) in files {
        fs::write(folder.path().join(format!("providers/{id}.toml")), text).expect("the folder can be written");
    }
    folder
}

const ACME: &str = "display_name = 'Acme'\ncategory = 'crm'\n[oauth]\nissuer = 'https://as.example'\n\
                    grant = 1\n[api]\nbase_url = 'https://api.example'\n";

#[tokio::test]
async fn the_list_has_every_file_and_says_whose_it_is() {
    let config =
        "[integrations.work-drive]\nprovider = 'google'\nclient_id = 'a'\n[integrations.notion]\nclient_id = 'b'\n";
    let folder = folder(config, &[("acme", ACME), ("broken", "[oauth\n"), ("github", "extends = 'gitlub'\n")]);
    let (code, out, err) = providers(folder.path(), &["list"]).await;
    assert_eq!(code, 0, "{err}");
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    assert!(rows.len() > 14 && rows.iter().all(|row| row.len() == 6), "{out}");
    let row = |id: &str| rows.iter().find(|row| row[0] == id).unwrap_or_else(|| panic!("no {id} in {out}")).clone();
    assert_eq!(row("google")[4..], ["shipped", "work-drive"]);
    assert_eq!(row("notion"), ["notion", "Notion", "docs", "authorization_code,refresh_token", "shipped", "notion"]);
    assert_eq!(row("acme"), ["acme", "Acme", "crm", "authorization_code,refresh_token", "folder", ""]);
    assert_eq!(row("broken")[..2], ["broken", "broken"]);
    assert_eq!(row("github")[4], "folder");
    assert!(err.contains("acme, broken, github"), "{err}");

    let (code, out, _) = providers(folder.path(), &["list", "--json"]).await;
    assert_eq!(code, 0);
    let list: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    let of = |id: &str| list.iter().find(|file| file["id"] == id).unwrap_or_else(|| panic!("no {id}"));
    assert_eq!((&of("notion")["shipped"], &of("notion")["integrations"]), (&json!(true), &json!(["notion"])));
    assert!(of("acme")["mistakes"][0].as_str().is_some_and(|text| text.contains("oauth.grant")), "{}", of("acme"));
    assert!(of("github")["mistakes"][0].as_str().is_some_and(|text| text.contains("did you mean `github`?")));
    assert!(of("broken")["mistakes"][0].as_str().is_some_and(|text| text.contains("is not TOML at line 1")));
}

#[tokio::test]
async fn what_is_shown_is_the_file_with_what_it_extends() {
    let child = "extends = 'notion'\n[oauth]\nscopes = ['x']\n[api]\nbase_url = 'https://notion.internal.example'\n";
    let folder = folder("", &[("mine", child), ("acme", ACME)]);
    let (code, out, err) = providers(folder.path(), &["show", "mine"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("# over providers/notion.toml (shipped)\n"), "{out}");
    assert!(out.contains("scopes                     = [\"x\"]  # providers/mine.toml\n"), "{out}");
    assert!(out.contains("[oauth.revocation]  # providers/notion.toml (shipped)\n"), "{out}");
    // What is shown is a file: it can be kept, and means the same.
    fs::write(folder.path().join("providers/copy.toml"), out.replace("extends = \"notion\"", "")).expect("a file");
    fs::remove_file(folder.path().join("providers/acme.toml")).expect("it is there");
    let config = load(LoadRequest { directory: folder.path().to_owned(), ..LoadRequest::default() });
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    let of = |id: &str| {
        let found = config.integrations.iter().find(|integration| integration.name.as_str() == id);
        let provider = &found.expect("the provider").provider;
        format!("{:?} {:?} {:?}", provider.protocol, provider.api, provider.items)
    };
    assert_eq!(of("copy"), of("mine"));

    let (code, out, _) = providers(folder.path(), &["show", "mine", "--json"]).await;
    assert_eq!(code, 0);
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(shown["hosts"], json!(["https://api.notion.com", "https://notion.internal.example"]));
    assert_eq!((&shown["scopes"], &shown["loads_items"]), (&json!(["x"]), &json!(true)));
    assert_eq!(shown["written"]["oauth"]["refresh"], "rotate");
}

#[tokio::test]
async fn showing_says_what_is_wrong() {
    let folder = folder("", &[("acme", ACME)]);
    let (code, out, err) = providers(folder.path(), &["show", "acme"]).await;
    assert_eq!(code, 2);
    assert!(out.contains("issuer = \"https://as.example\"") && err.contains("oauth.grant"), "{out}{err}");
    let (code, out, err) = providers(folder.path(), &["show", "notino"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("no provider is named `notino`; did you mean `notion`?"), "{err}");
    let (code, _, err) = providers(folder.path(), &["list", "--config", "none.toml"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("none.toml") && err.contains("cannot be read"), "{err}");
}

/// The whole way of an author: an issuer's name, a file, a client, a connection, a call.
#[tokio::test]
async fn a_file_from_an_issuers_metadata_connects_and_calls() {
    let server = AuthorizationServer::start().await;
    let folder = folder("", &[]);
    let arguments = ["new", "acme", "--issuer", server.issuer(), "--api", server.issuer()];
    let (code, out, err) = providers(folder.path(), &arguments).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("integrations/acme/oauth2callback") && out.contains("[integrations.acme]"), "{out}");
    assert!(!out.contains("FILL IN"), "{out}");
    let file = fs::read_to_string(folder.path().join("providers/acme.toml")).expect("it was written");
    assert!(file.starts_with("#:schema ../schemas/provider.schema.json\n"), "{file}");
    assert!(file.contains("scopes = [\"openid\", \"offline_access\"]"), "{file}");
    assert!(file.contains("code_challenge_method = \"S256\"") && file.contains("# revocation_endpoint = "), "{file}");

    let keyferry = Keyferry::start(Configuration::new().provider("acme", &file).client("acme", &Client::BASIC)).await;
    keyferry.connect("acme", Person::ADA).await;
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
    keyferry.disconnect("acme", Person::ADA).await.expect(200);
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let folder = folder("", &[]);
    let (code, out, err) = providers(folder.path(), &["new", "acme"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("Wrote providers/acme.toml") && out.contains("FILL IN"), "{out}");
    let path = folder.path().join("providers/acme.toml");
    fs::write(&path, "# mine").expect("a file");
    let (code, out, err) = providers(folder.path(), &["new", "acme"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("providers/acme.toml is there already"), "{err}");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "# mine");
    let (code, ..) = providers(folder.path(), &["new", "acme", "--force"]).await;
    assert_eq!(code, 0);
    assert_ne!(fs::read_to_string(&path).expect("a file"), "# mine");

    let (code, _, err) = providers(folder.path(), &["new", "github"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("`github` is a shipped provider"), "{err}");
    let (code, out, err) = providers(folder.path(), &["new", "github", "--output", "-"]).await;
    assert_eq!(code, 0);
    assert!(out.starts_with("#:schema") && err.contains("Next"), "{out}{err}");
    let (code, _, err) = providers(folder.path(), &["new", "far", "--api", "http://api.example"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("providers/far.toml") && err.contains("api.base_url"), "{err}");
    assert!(!folder.path().join("providers/far.toml").exists());

    // The skeletons that were written are good files.
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.env_clear().current_dir(folder.path()).arg("check");
    let mut process = Process::start("keyferry", command);
    process.close_stdin();
    assert_eq!(process.wait(LIMIT).await.code(), Some(0), "{}", process.stderr());
}

#[tokio::test]
async fn what_is_no_issuer_is_told() {
    let folder = folder("", &[]);
    let new = async |issuer: &str| providers(folder.path(), &["new", "acme", "--issuer", issuer]).await;
    let server = Scripted::start().await;
    server.answer("/.well-known/openid-configuration", 404, "text/html", "<html>");
    server.json("/.well-known/oauth-authorization-server", &json!({ "issuer": "https://other.example" }));
    let (code, _, err) = new(&server.url("")).await;
    assert_eq!(code, 1);
    assert!(err.contains("/.well-known/openid-configuration answered 404"), "{err}");
    assert!(err.contains("another issuer; if that is who you mean, say --issuer https://other.example"), "{err}");

    let (code, _, err) = new("http://127.0.0.1:1").await;
    assert_eq!(code, 1);
    assert!(err.contains("http://127.0.0.1:1 cannot be asked: 127.0.0.1 cannot be reached"), "{err}");
    let (_, _, err) = new("http://as.example").await;
    assert!(err.contains("plain http only towards this machine"), "{err}");
    let (_, _, err) = new("https://169.254.169.254").await;
    assert!(err.contains("is not dialled") && err.contains("`allow` under [net]"), "{err}");
    assert!(!folder.path().join("providers/acme.toml").exists());
}
