//! What may change while it runs, and what waits for a restart.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{PATIENCE, Scene, replace};
use crate::support::{Configuration, Keyferry, Metrics, Person, until};

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_is_in_force() {
    let scene = Scene::new().await;
    scene.edit(|text| {
        text.replacen("listen = \"127.0.0.1:", "listen = \"127.0.0.2:", 1)
            .replace("admin_listen = \"127.0.0.1:0\"", "admin_listen = \"127.0.0.1:1\"")
            .replace("url = \"memory:\"", "url = \"file:elsewhere.redb\"\ntimeout = \"7s\"")
            .replace("format = \"json\"", "format = \"text\"")
            + "[server.limits]\nconnections = 7\n"
    });
    scene.move_to(&scene.two);
    let answer = scene.reload().await.expect(200).json();
    let keys = [
        "server.listen",
        "server.admin_listen",
        "server.limits.connections",
        "store.url",
        "store.timeout",
        "log.format",
    ];
    assert_eq!(answer["needs_restart"], json!(keys), "{answer}");
    assert_eq!(scene.who_answers().await, "two");
    let named = |lines: &[serde_json::Value]| keys.iter().all(|key| lines.iter().any(|line| line["key"] == *key));
    scene.until_logged("config: a new value is in force after a restart only", named).await;
    // Nothing of it is forgotten with the next look.
    assert_eq!(scene.reload().await.expect(200).json()["needs_restart"], json!(keys));
}

#[tokio::test]
async fn callers_and_their_sessions() {
    let (key, other) = (Keyferry::new_key().await, Keyferry::new_key().await);
    let scene = Scene::with(|configuration| configuration.caller(&key), "").await;
    let session = scene.keyferry.session(Person::ADA).await;
    let status = async |token: &str| {
        let call = scene.keyferry.request("GET", "/integrations/acme/connection");
        let call = call.header("keyferry-org", Person::ADA.org).header("keyferry-user", Person::ADA.user);
        call.header("authorization", &format!("Bearer {token}")).send().await.status
    };
    // Known, and not connected.
    assert_eq!([status(&key.0).await, status(&session).await, status(&other.0).await], [424, 424, 401]);

    scene.edit(|text| text.replace("[callers.backend]", "[callers.successor]").replace(&key.1, &other.1));
    scene.reload().await.expect(200);
    assert_eq!([status(&key.0).await, status(&session).await, status(&other.0).await], [401, 401, 424]);
    scene.until_logged("config reloaded", |lines| lines.iter().any(|line| line["tables"] == "callers")).await;
}

#[tokio::test]
async fn what_was_closed_opens_at_a_start_alone() {
    let key = Keyferry::new_key().await;
    let scene = Scene::with(|configuration| configuration.caller(&key), "").await;
    // As a file looks that is half written.
    scene.edit(|text| text.split("[callers.").next().expect("what is before it").to_owned());
    let answer = scene.reload().await.expect(422).json();
    assert_eq!(answer["mistakes"][0]["key"], "callers", "{answer}");
    let call = scene.keyferry.request("GET", "/integrations/acme/connection").header("keyferry-org", "any");
    assert_eq!(call.header("keyferry-user", "body").send().await.status, 401);
}

#[tokio::test]
async fn budgets_and_counts_stay_where_their_rules_do() {
    let scene = Scene::with(|configuration| configuration, "limits = \"reject\"").await;
    let provider = scene.path("providers/acme.toml");
    let limited = fs::read_to_string(&provider).expect("it is there") + "rate = { limit = 1, per = \"1h\" }\n";
    replace(&provider, &limited);
    scene.reload().await.expect(200);
    let call = async || scene.keyferry.call("acme", "/me", Person::ADA).await.status;
    let exceeded = async || {
        let labels = [("integration", "acme"), ("mode", "reject")];
        Metrics::of(&scene.keyferry).await.value("keyferry_rate_exceeded_total", &labels)
    };
    assert_eq!([call().await, call().await], [200, 429]);

    replace(&provider, &format!("display_name = \"Acme\"\n{limited}"));
    scene.reload().await.expect(200);
    assert_eq!(call().await, 429, "the budget is as empty as before");
    assert_eq!(exceeded().await, 2.0);

    replace(&provider, &limited.replace("limit = 1,", "limit = 2,"));
    scene.reload().await.expect(200);
    assert_eq!([call().await, call().await, call().await], [200, 200, 429], "another rule, another budget");
    assert_eq!(exceeded().await, 3.0);
}

#[tokio::test]
async fn the_level_of_the_log() {
    let scene = Scene::new().await;
    let requests = |method: &str| scene.logged("request").iter().filter(|line| line["method"] == method).count();
    let look = async |method: &str| drop(scene.keyferry.request(method, "/nothing").send().await);
    look("FIRST").await;
    scene.edit(|text| text.replace("level = \"debug\"", "level = \"info\""));
    scene.reload().await.expect(200);
    look("UNHEARD").await;
    scene.edit(|text| text.replace("level = \"info\"", "level = \"debug\""));
    scene.reload().await.expect(200);
    look("LAST").await;
    until("the last request is logged", PATIENCE, || async { (requests("LAST") == 1).then_some(()) }).await;
    // Lines come in the order in which they were written.
    assert_eq!([requests("FIRST"), requests("UNHEARD")], [1, 0]);
}

#[tokio::test]
async fn a_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let first = certificate(&at("cert.pem"), &at("key.pem"));
    let tls = format!("[server.tls]\ncert = \"{}\"\nkey = \"{}\"\n", at("cert.pem").display(), at("key.pem").display());
    let keyferry = Keyferry::start(Configuration::new().toml(&tls)).await;
    let url = format!("https://localhost:{}/integrations/openapi.json", keyferry.address().port());
    let trusts = async |root: &[u8]| {
        // Another client is another connection.
        let root = reqwest::Certificate::from_pem(root).expect("a certificate");
        let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().expect("a client");
        client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200)
    };
    assert!(trusts(first.as_bytes()).await);

    let second = certificate(&at("cert.pem"), &at("key.pem"));
    until("the second certificate", PATIENCE, || async { trusts(second.as_bytes()).await.then_some(()) }).await;
    assert!(!trusts(first.as_bytes()).await);
}

/// A certificate for localhost that signs itself, and its key, in these files.
fn certificate(cert: &Path, key: &Path) -> String {
    let pair = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let text = parameters.self_signed(&pair).expect("a certificate").pem();
    replace(key, &pair.serialize_pem());
    replace(cert, &text);
    text
}
