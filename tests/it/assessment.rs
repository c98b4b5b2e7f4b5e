//! A front end of the well-known "integrations technical assessment" with `examples/assessment/config.toml`, at the very
//! addresses that it has: the page at http://localhost:3000, Keyferry at :8000, a real browser, and a person who says no,
//! then yes, loads and clears.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{AuthorizationServer, Client, Process, run_scenario};

const NAMES: [&str; 3] = ["airtable", "hubspot", "notion"];

#[tokio::test]
async fn the_page_works_as_it_is() {
    for port in [3000, 8000] {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        assert!(free, "port {port} is taken; such a page calls :8000 from :3000, so end what listens there");
    }
    let server = AuthorizationServer::configured(json!({ "clients": [client()] })).await;
    let folder = tempfile::tempdir().expect("a folder");
    let _keyferry = keyferry(folder.path(), &server).await;
    run_scenario("../assessment/walk.mjs", &json!({ "expected": {} })).await;
}

/// One client for all three, with the callbacks that the example's README says to register.
fn client() -> Value {
    let callback = |name| format!("http://localhost:8000/integrations/{name}/oauth2callback");
    json!({
        "client_id": Client::POST.id,
        "client_secret": Client::POST.secret,
        "token_endpoint_auth_method": Client::POST.method,
        "redirect_uris": NAMES.map(callback),
    })
}

/// The example as it stands, save that its providers are here.
async fn keyferry(folder: &Path, server: &AuthorizationServer) -> Process {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/assessment/config.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.args(["serve", "--config"]).arg(example).env_clear();
    command.env("KEYFERRY_SERVER__ADMIN_LISTEN", "").env("KEYFERRY_SERVER__PROVIDERS_DIR", folder);
    for name in NAMES {
        let file = provider(name, server);
        fs::write(folder.join(format!("here-{name}.toml")), file).expect("the folder can be written");
        let name = name.to_ascii_uppercase();
        command
            .env(format!("KEYFERRY_INTEGRATIONS__{name}__PROVIDER"), format!("here-{}", name.to_ascii_lowercase()))
            .env(format!("{name}_CLIENT_ID"), Client::POST.id)
            .env(format!("{name}_CLIENT_SECRET"), Client::POST.secret);
    }
    let mut process = Process::start("keyferry", command);
    let listens = |process: &Process| process.stderr().contains("\"listening\"").then_some(());
    process.output("line that says that it listens", Duration::from_secs(30), listens).await;
    process
}

/// The shipped file, sent to the authorization server of the tests.
fn provider(name: &str, server: &AuthorizationServer) -> String {
    format!(
        "extends = \"{name}\"\n[oauth]\nauthorization_endpoint = \"{auth}\"\ntoken_endpoint = \"{token}\"\n\
         revocation_endpoint = \"{revocation}\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
         token_request_format = \"form\"\ncode_challenge_method = \"S256\"\nscope_separator = \" \"\n\
         scopes = [\"openid\", \"offline_access\"]\nauthorization_params = {{ prompt = \"consent\" }}\n",
        auth = server.url("/auth"),
        token = server.url("/token"),
        revocation = server.url("/token/revocation"),
    )
}
