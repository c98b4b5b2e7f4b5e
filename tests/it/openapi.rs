//! The OpenAPI documents are valid, and schemathesis finds no answer of the program that they do not foresee.

use std::{process::Command, time::Duration};

use crate::support::{AuthorizationServer, Client, Configuration, Keyferry, Person, Process, Vendors, peers};

#[tokio::test]
async fn the_documents_are_valid() {
    let keyferry = Keyferry::start(Configuration::new()).await;
    for (file, document) in [
        ("integrations.json", keyferry.request("GET", "/integrations/openapi.json").send().await.expect(200)),
        ("admin.json", keyferry.admin_request("GET", "/openapi.json").send().await.expect(200)),
    ] {
        assert_eq!(document.header("content-type"), Some("application/json"));
        let path = keyferry.folder().join(file);
        std::fs::write(&path, &document.body).expect("the temporary folder can be written");
        let mut command = Command::new(peers(".venv/bin/python"));
        command.args(["-m", "openapi_spec_validator"]).arg(&path);
        run(file, command).await;
    }
}

#[tokio::test]
async fn in_the_open_mode_every_answer_is_foreseen() {
    Scene::new(false).await.explore(None).await;
}

#[tokio::test]
async fn with_a_key_every_answer_is_foreseen() {
    let scene = Scene::new(true).await;
    scene.explore(scene.keyferry.api_key()).await;
}

#[tokio::test]
async fn without_a_key_every_refusal_is_foreseen() {
    let scene = Scene::new(true).await;
    explore(&scene.keyferry, None, &[]).await;
    assert_eq!(scene.vendors.count().await, 0);
}

#[tokio::test]
async fn on_the_admin_listener_every_answer_is_foreseen() {
    let (key, hash) = Keyferry::new_key().await;
    let configuration = Configuration::new().server(&format!("admin_key_hash = \"{hash}\""));
    let keyferry = Keyferry::start(configuration).await;
    let document = format!("http://{}/openapi.json", keyferry.admin());
    // Without the key there are refusals alone.
    schemathesis(&document, &[]).await;
    schemathesis(&document, &["--header", &format!("Authorization: Bearer {key}")]).await;
}

/// Ada is connected at `hubspot`, which the documents' examples name, with or without a key.
struct Scene {
    _server: AuthorizationServer,
    vendors: Vendors,
    keyferry: Keyferry,
}

impl Scene {
    async fn new(keyed: bool) -> Self {
        let server = AuthorizationServer::start().await;
        let vendors = Vendors::start(&server).await;
        let file = format!(
            "[oauth]\nissuer = \"{}\"\nauthorization_params = {{ prompt = \"consent\" }}\n\
             [api]\nbase_url = \"{}\"\n\
             [[items.streams]]\nname = \"contacts\"\npath = \"/crm/v3/objects/contacts\"\nrecords = \"$.results[*]\"\n\
             [items.streams.item]\nid = \"$.id\"\ntype = \"Contact\"\n",
            server.issuer(),
            vendors.url(),
        );
        let mut configuration = Configuration::new().provider("hubspot", &file).client("hubspot", &Client::POST);
        if keyed {
            configuration = configuration.caller(&Keyferry::new_key().await);
        }
        let keyferry = Keyferry::start(configuration).await;
        keyferry.connect("hubspot", Person::ADA).await;
        Self { _server: server, vendors, keyferry }
    }

    /// Everything, and what ends the connection last: until then a good part of the answers are those of one that stands.
    async fn explore(&self, key: Option<&str>) {
        explore(&self.keyferry, key, &["--exclude-method", "DELETE"]).await;
        assert!(self.vendors.count().await > 0, "no items were loaded");
        let connection = self.keyferry.credentials("hubspot", Person::ADA).await.expect(200).json();
        assert_eq!(connection["status"], "active");
        explore(&self.keyferry, key, &["--include-method", "DELETE"]).await;
        self.keyferry.credentials("hubspot", Person::ADA).await.expect_problem(424, "not_connected");
    }
}

async fn explore(keyferry: &Keyferry, key: Option<&str>, arguments: &[&str]) {
    let key = key.map(|key| format!("Authorization: Bearer {key}"));
    let mut all: Vec<&str> = arguments.to_vec();
    if let Some(key) = &key {
        all.extend(["--header", key]);
    }
    schemathesis(&format!("http://{}/integrations/openapi.json", keyferry.address()), &all).await;
}

async fn schemathesis(document: &str, arguments: &[&str]) {
    let mut command = Command::new(peers(".venv/bin/python"));
    command.args(["-m", "schemathesis.cli", "--config-file"]).arg(peers("openapi/schemathesis.toml"));
    command.args(["run", document, "--no-color"]).args(arguments);
    run("schemathesis", command).await;
}

async fn run(name: &str, mut command: Command) {
    command.env("NO_PROXY", "127.0.0.1,localhost").current_dir(std::env::temp_dir());
    let mut process = Process::start(name, command);
    process.close_stdin();
    let status = process.wait(Duration::from_secs(150)).await;
    assert!(status.success(), "{name} ended with {status}\n{}{}", process.stdout(), process.stderr());
}
