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

use crate::support::{AuthorizationServer, Client, Process, Vendors, run_scenario};

const NAMES: [&str; 3] = ["airtable", "hubspot", "notion"];

#[tokio::test]
async fn the_page_works_as_it_is() {
    for port in [3000, 8000] {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        assert!(free, "port {port} is taken; such a page calls :8000 from :3000, so end what listens there");
    }
    let server = AuthorizationServer::configured(json!({ "clients": [client()] })).await;
    let vendors = Vendors::start(&server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let _keyferry = keyferry(folder.path(), &server, &vendors).await;
    let expected = json!({ "Airtable": airtable(), "HubSpot": hubspot(), "Notion": notion() });
    run_scenario("../assessment/walk.mjs", &json!({ "expected": expected })).await;
}

/// Id, type, name and parent of each item that the samples make, as the page's own back end named and ordered them.
fn airtable() -> Value {
    let [launch, vendors, deck] = [1, 2, 3].map(|number| format!("appA1fakeBase{number:04}_Base"));
    let table = |number: u64| format!("tblA1fakeTab{number:05}_Table");
    json!([
        [launch, "Base", "Launch planning", null],
        [table(1), "Table", "Milestones", launch],
        [table(2), "Table", "People", launch],
        [vendors, "Base", "Vendors", null],
        [table(3), "Table", "Vendors", vendors],
        [deck, "Base", "Board deck", null],
    ])
}

/// With the choices that it made: any text of a page for its title, and "multi_select" where there is none.
fn notion() -> Value {
    let page = |number: u64| format!("11111111-aaaa-4aaa-8aaa-{number:012}");
    json!([
        [page(1), "page", "page Team ", null],
        [page(2), "page", "page ask legal", "22222222-bbbb-4bbb-8bbb-000000000001"],
        ["33333333-cccc-4ccc-8ccc-000000000001", "database", "database Tasks", page(1)],
        [page(3), "page", "page multi_select", "44444444-dddd-4ddd-8ddd-000000000001"],
        [page(4), "page", "page multi_select", page(1)],
        [page(5), "page", "page multi_select", null],
    ])
}

/// HubSpot was left to whoever took the assessment.
fn hubspot() -> Value {
    json!([
        ["151_Contact", "Contact", "Mira Okafor", "9001_Company"],
        ["201_Contact", "Contact", "ops@northquay.test", null],
        ["251_Contact", "Contact", "Jun", null],
        ["9001_Company", "Company", "Brightfield Ltd", null],
        ["9002_Company", "Company", "northquay.test", null],
        ["77001_Deal", "Deal", "Brightfield renewal", "9001_Company"],
        ["77002_Deal", "Deal", "Pilot", null],
    ])
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
async fn keyferry(folder: &Path, server: &AuthorizationServer, vendors: &Vendors) -> Process {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/assessment/config.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.args(["serve", "--config"]).arg(example).env_clear();
    command.env("KEYFERRY_SERVER__ADMIN_LISTEN", "").env("KEYFERRY_SERVER__PROVIDERS_DIR", folder);
    for name in NAMES {
        let file = provider(name, server, vendors);
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

/// The shipped file that the example names, sent to the servers of the tests.
fn provider(name: &str, server: &AuthorizationServer, vendors: &Vendors) -> String {
    let shipped = if name == "hubspot" { name.to_owned() } else { format!("{name}-compat") };
    format!(
        "extends = \"{shipped}\"\n[oauth]\nauthorization_endpoint = \"{auth}\"\ntoken_endpoint = \"{token}\"\n\
         revocation_endpoint = \"{revocation}\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
         token_request_format = \"form\"\ncode_challenge_method = \"S256\"\nscope_separator = \" \"\n\
         scopes = [\"openid\", \"offline_access\"]\nauthorization_params = {{ prompt = \"consent\" }}\n\
         [api]\nbase_url = \"{vendors}\"\n",
        auth = server.url("/auth"),
        token = server.url("/token"),
        revocation = server.url("/token/revocation"),
        vendors = vendors.url(),
    )
}
