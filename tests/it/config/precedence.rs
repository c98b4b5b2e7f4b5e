//! Which layer wins, and how values are named and typed in the environment.

use std::time::Duration;

use keyferry::config::keys;
use keyferry::model::Secret;
use keyferry::store::Location;

use super::{Folder, provider};

#[test]
fn an_application_and_its_login_make_a_mode_of_their_own() {
    let login = "[app.identity]\nwhoami = '/api/me'\norg = 'default'\nuser = '$.id'";
    let folder = Folder::with(&format!(
        "[server]\nlisten = '0.0.0.0:8080'\npublic_url = 'https://crm.example'\n[app]\nupstream = 'http://crm:3000'\n{login}"
    ));
    let config = folder.config();
    assert!(!config.server.is_open() && config.server.app.identity.is_some());
    assert_eq!(folder.warnings(), "");
    let folder = Folder::with("[app]\nupstream = 'http://10.0.0.7:3000'");
    assert!(!folder.config().server.is_open());
    insta::assert_snapshot!(folder.warnings());
    let tokens = Folder::empty()
        .variable("KEYFERRY_APP__IDENTITY__JWT__ISSUER", "https://login.example")
        .variable("KEYFERRY_APP__IDENTITY__JWT__AUDIENCE", "crm")
        .variable("KEYFERRY_APP__IDENTITY__JWT__ORG", "default")
        .variable("KEYFERRY_APP__IDENTITY__JWT__USER", "$.sub");
    match tokens.config().server.app.identity {
        Some(keyferry::server::Identity::Token(token)) => assert_eq!(token.audiences, ["crm"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_anything_the_defaults_run() {
    let config = Folder::empty().config();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.admin_listen.map(|address| address.to_string()).as_deref(), Some("127.0.0.1:8081"));
    assert_eq!(config.server.public_url.as_str(), "http://localhost:8080/");
    assert!(config.public_url_is_derived && config.server.is_open());
    assert_eq!(config.warnings, []);
    assert!(config.store.keys.is_empty(), "the store makes a key file");
    let names: Vec<_> = config.integrations.iter().map(|integration| integration.name.as_str()).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("providers");
    assert_eq!(names.len(), std::fs::read_dir(folder).expect("the shipped files").count());
    let github = names.iter().position(|name| *name == "github").expect("shipped");
    let missing = config.integrations[github].missing.as_deref();
    let expected = "Set `integrations.github.client_id` (or KEYFERRY_INTEGRATIONS__GITHUB__CLIENT_ID).";
    assert_eq!(missing, Some(expected));
}

#[test]
fn later_layers_win() {
    fn listen(folder: &Folder) -> u16 {
        folder.config().server.listen.port()
    }
    let folder = Folder::with("[server]\nlisten = '127.0.0.1:1'\nbase_path = '/a'");
    assert_eq!(listen(&folder), 1);
    let folder = folder.variable("KEYFERRY_SERVER__LISTEN", "127.0.0.1:2");
    assert_eq!(listen(&folder), 2);
    let folder = folder.flag("--listen", "server.listen", "127.0.0.1:3");
    assert_eq!(listen(&folder), 3);
    assert_eq!(folder.config().server.base_path, "/a", "other keys of the table stay");
}

#[test]
fn variables_take_the_type_of_their_key() {
    let config = Folder::empty()
        .variable("KEYFERRY_SERVER__ALLOWED_ORIGINS", "http://a.example, http://b.example:3000")
        .variable("KEYFERRY_SERVER__ALLOWED_HOSTS", "[\"Keyferry\", \"keyferry:8080\"]")
        .variable("KEYFERRY_SERVER__LIMITS__HEADERS", "50")
        .variable("KEYFERRY_SERVER__ADMIN_LISTEN", "")
        .variable("KEYFERRY_SERVER__DRAIN", "5")
        .variable("KEYFERRY_NET__ALLOW_HTTP", "TRUE")
        .variable("KEYFERRY_NET__TOKEN_TIMEOUT", "1m")
        .variable("KEYFERRY_LOG__LEVEL", "keyferry=debug,warn")
        .config();
    assert_eq!(config.server.allowed_origins, ["http://a.example", "http://b.example:3000"]);
    assert_eq!(config.server.allowed_hosts, ["keyferry", "keyferry:8080"]);
    assert_eq!(config.server.limits.headers, 50);
    assert_eq!(config.server.admin_listen, None);
    assert_eq!(config.server.drain, Duration::from_secs(5));
    assert!(config.net.allow_http);
    assert_eq!(config.net.token_timeout, Duration::from_secs(60));
    assert_eq!(config.log.level, "keyferry=debug,warn");
}

#[test]
fn other_variables_are_not_configuration() {
    let folder = Folder::empty()
        .variable("KEYFERRY_PORT", "tcp://10.0.0.1:8080")
        .variable("KEYFERRY_PORT_8080_TCP_ADDR", "10.0.0.1")
        .variable("KEYFERRY_SERVICE_HOST", "10.0.0.1")
        .variable("keyferry_server__listen", "x")
        .variable("SERVER__LISTEN", "x");
    assert_eq!(folder.mistakes(), "");
}

#[test]
fn underscores_stand_for_dashes() {
    let folder =
        Folder::with("[integrations.work-drive]\nprovider = 'google'\n[callers.my-app]\norgs = ['a']\nusers = ['*']")
            .file("providers/my-vendor.toml", &provider("", ""))
            .variable("KEYFERRY_INTEGRATIONS__WORK_DRIVE__CLIENT_ID", "one")
            .variable("KEYFERRY_INTEGRATIONS__MY_VENDOR__CLIENT_ID", "two")
            .variable("KEYFERRY_INTEGRATIONS__MY_NOTION__PROVIDER", "notion")
            .variable("KEYFERRY_CALLERS__MY_APP__INTEGRATIONS", "my-vendor,work-drive")
            .variable("KEYFERRY_CALLERS__MY_APP__KEY_HASH", &format!("sha256:{}", "0F".repeat(32)));
    let config = folder.config();
    let client_id = |name: &str| {
        let integration = config.integrations.iter().find(|integration| integration.name.as_str() == name);
        integration.unwrap_or_else(|| panic!("{name} is there")).client_id.clone()
    };
    assert_eq!(client_id("work-drive").as_deref(), Some("one"));
    assert_eq!(client_id("my-vendor").as_deref(), Some("two"));
    assert_eq!(client_id("my_notion"), None);
    assert_eq!(config.server.callers[0].key_hash.0, [0x0f; 32]);
}

#[test]
fn secrets_come_from_where_they_are_kept() {
    let folder = Folder::with(
        "[integrations.github]\nclient_id = 'env:ID'\nclient_secret = 'file:secrets/github'\n\
         [integrations.notion]\nclient_id = 'id'\nclient_secret = 'env:ABSENT'\n\
         [integrations.hubspot]\nclient_id = 'id'\n[integrations.google]\n",
    )
    .file("secrets/github", "s3cret\n")
    .variable("ID", "the id");
    let config = folder.config();
    let integration = |name: &str| {
        config.integrations.iter().find(|integration| integration.name.as_str() == name).expect("an integration")
    };
    assert_eq!(integration("github").client_id.as_deref(), Some("the id"));
    assert_eq!(integration("github").client_secret, Some(Secret::new("s3cret")));
    assert_eq!(integration("github").missing, None);
    let missing = |name: &str| integration(name).missing.clone().unwrap_or_default();
    insta::assert_snapshot!([missing("notion"), missing("hubspot"), missing("google"), folder.warnings()].join("\n"));
}

#[test]
fn public_clients_need_no_secret() {
    let folder = Folder::with("[integrations.acme]\nclient_id = 'id'\n[integrations.open]\nclient_id = 'id'")
        .file("providers/acme.toml", &provider("token_endpoint_auth_method = 'none'", ""))
        .file(
            "providers/open.toml",
            "[oauth]\nissuer = 'https://acme.example'\n[api]\nbase_url = 'https://acme.example'",
        );
    assert_eq!(folder.warnings(), "");
}

#[test]
fn relative_paths_begin_where_they_are_written() {
    let folder =
        Folder::empty().file("etc/keyferry.toml", "[store]\nurl = 'file:data/k.redb'").file("etc/providers/x.md", "");
    let load = |environment: Vec<(String, String)>| {
        keyferry::config::load(keyferry::config::LoadRequest {
            config_path: Some("etc/keyferry.toml".into()),
            directory: folder.path().to_owned(),
            environment,
            overrides: Vec::new(),
        })
        .unwrap_or_else(|problems| panic!("{problems}"))
    };
    assert_eq!(load(vec![]).store.location, Location::File(folder.path().join("etc/data/k.redb")));
    let variable = ("KEYFERRY_STORE__URL".to_owned(), "file:k.redb".to_owned());
    assert_eq!(load(vec![variable]).store.location, Location::File(folder.path().join("k.redb")));
}

#[test]
fn the_folder_of_provider_files_may_be_named_in_the_environment() {
    let folder = Folder::empty()
        .file("elsewhere/my-vendor.toml", &provider("", ""))
        .variable("KEYFERRY_SERVER__PROVIDERS_DIR", "elsewhere")
        .variable("KEYFERRY_INTEGRATIONS__MY_VENDOR__CLIENT_ID", "the id");
    let config = folder.config();
    let found = config.integrations.iter().find(|integration| integration.name.as_str() == "my-vendor");
    assert_eq!(found.and_then(|integration| integration.client_id.as_deref()), Some("the id"));
}

#[test]
fn store_keys() {
    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fn count(folder: &Folder) -> usize {
        folder.config().store.keys.len()
    }
    assert_eq!(count(&Folder::empty().variable("KEYFERRY_STORE_KEY", KEY)), 1);
    assert_eq!(count(&Folder::with("[store]\nurl = 'redis://host'").variable("KEYFERRY_STORE_KEY", KEY)), 1);
    assert_eq!(count(&Folder::with("[store]\nurl = 'memory:'\nkeys = []")), 0);
    let rotated = Folder::with("[store]\nkeys = ['file:new', 'env:KEYFERRY_STORE_KEY']")
        .file("new", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
        .variable("KEYFERRY_STORE_KEY", KEY);
    assert_eq!(count(&rotated), 2);
}

#[test]
fn what_deserves_a_look() {
    let hash = "0a".repeat(32);
    let folder = Folder::with(&format!(
        "[server]\nlisten = '0.0.0.0:0'\nadmin_listen = '0.0.0.0:1'\nadmin_key_hash = 'sha256:{hash}'\n\
         public_url = 'http://keyferry.example/a/'\ntrusted_proxies = ['0.0.0.0/0', '10.0.0.1']\n\
         [net]\nallow = ['::/0']\n[store]\nprefix = 'x:'\n[integrations.old]\nclient_id = 'a'\nclient_secret = 'b'\n\
         [callers.a]\nkey_hash = 'sha256:{hash}'\norgs = ['*']\nusers = ['*']\nintegrations = ['*']\nmethods = []"
    ))
    .file(
        "providers/old.toml",
        "extends = 'hubspot'\n[oauth]\ntoken_endpoint = 'https://api.hubapi.com/oauth/v1/token'",
    );
    insta::assert_snapshot!(folder.warnings());
    let config = folder.config();
    assert_eq!(config.server.public_url.as_str(), "http://keyferry.example/a");
    assert!(!config.server.callers[0].scope.permits_method("GET"));
}

/// The broker's work does not wait for a collector's login. Nothing half is sent either.
#[test]
fn without_its_secret_a_collector_gets_nothing() {
    let text = "[telemetry]\notlp_endpoint = 'http://127.0.0.1:4318'\n\
                headers = { authorization = 'env:COLLECTOR_TOKEN', x-tenant = 'keyferry' }";
    let folder = Folder::with(text);
    assert_eq!(
        folder.warnings().trim(),
        "config.toml  telemetry.headers.authorization  refers to a value that is not there, so that nothing is traced: \
         the environment variable `COLLECTOR_TOKEN` is not set; set it or remove the key"
    );
    assert_eq!(folder.config().telemetry, None);

    let folder = Folder::with(text).variable("COLLECTOR_TOKEN", "Bearer it");
    assert_eq!(folder.warnings(), "");
    assert_eq!(folder.config().telemetry.expect("a collector").headers.len(), 2);
}

#[test]
fn extending_merges_key_by_key() {
    let folder = Folder::empty()
        .file(
            "providers/base.toml",
            &provider("scopes = ['a']\nauthorization_params = { x = '1', y = '2' }", "headers = { A = '1' }"),
        )
        .file(
            "providers/child.toml",
            "extends = 'base'\n[oauth]\nscopes = ['b']\nauthorization_params = { y = '' }\n[api.headers]\nB = '2'",
        );
    let config = folder.config();
    let child = config.integrations.iter().find(|integration| integration.name.as_str() == "child").expect("the child");
    let protocol = &child.provider.protocol;
    assert_eq!(protocol.scopes, ["b"]);
    let params: Vec<_> =
        protocol.authorization_params.iter().map(|(name, value)| (name.as_str(), value.constant())).collect();
    assert_eq!(params, [("x", Some("1")), ("y", Some(""))]);
    assert_eq!(child.provider.api.headers.len(), 2);
    assert_eq!(child.provider.display_name, "child");
}

#[test]
fn every_key_is_described() {
    for key in keys() {
        assert!(key.doc.ends_with(['.', '…']), "{}: {:?}", key.path, key.doc);
    }
}
