//! A mistake changes nothing, and is told to whoever asks and in the log.

use std::fs;

use serde_json::json;

use super::{PATIENCE, Scene, file, replace};
use crate::support::{Metrics, until};

#[tokio::test]
async fn every_mistake_is_told_and_the_old_stays() {
    let scene = Scene::new().await;
    let good = fs::read_to_string(scene.path("config.toml")).expect("it is there");
    scene.edit(|text| text.replace("[server]\n", "[server]\ndrian = \"1s\"\n"));
    replace(&scene.path("providers/acme.toml"), &file(&scene.one, &scene.two).replace("[api]\n", "[api]\nbase = 1\n"));
    let problem = scene.reload().await.expect_problem(422, "configuration_invalid");
    assert_eq!(problem["detail"], "The configuration has 2 mistakes; the one before stays in force.");
    let in_file = json!({
        "file": "config.toml", "key": "server.drian", "fault": "is not a key of [server]", "remedy": "did you mean `drain`?",
    });
    let mistakes = problem["mistakes"].as_array().expect("mistakes");
    assert!(mistakes.contains(&in_file), "{problem}");
    let in_provider = mistakes.iter().find(|mistake| **mistake != in_file).expect("the other one");
    assert_eq!((&in_provider["key"], &in_provider["fault"]), (&json!("api.base"), &json!("is not a key of [api]")));
    assert!(in_provider["file"].as_str().is_some_and(|file| file.ends_with("acme.toml")), "{in_provider}");

    assert_eq!(scene.who_answers().await, "one");
    let told = |line: &serde_json::Value| line["key"] == "server.drian" && line["file"] == "config.toml";
    scene.until_logged("config: is not a key of [server]", |lines| lines.iter().any(told)).await;
    scene.until_logged("config not reloaded; the one before stays in force", |lines| !lines.is_empty()).await;
    scene.keyferry.admin_request("GET", "/readyz").send().await.expect(200);
    let refused = Metrics::of(&scene.keyferry).await.value("keyferry_config_reloads_total", &[("outcome", "refused")]);
    assert!(refused >= 1.0, "{refused}");

    // What cannot be read at all is told alike, and mending it is enough.
    replace(&scene.path("config.toml"), "[server\n");
    let problem = scene.reload().await.expect_problem(422, "configuration_invalid");
    let of_file = |mistake: &serde_json::Value| mistake["file"] == "config.toml" && mistake["key"] == "";
    assert!(problem["mistakes"].as_array().is_some_and(|all| all.iter().any(of_file)), "{problem}");
    replace(&scene.path("providers/acme.toml"), &file(&scene.one, &scene.two));
    replace(&scene.path("config.toml"), &good);
    scene.until_answered_by("two").await;
}

#[tokio::test]
async fn files_that_only_those_who_use_them_can_judge() {
    let folder = tempfile::tempdir().expect("a folder");
    let roots = folder.path().join("roots.pem");
    let scene = Scene::new().await;
    fs::write(&roots, "no certificate").expect("it can be written");
    let net = format!("[net]\nca_file = \"{}\"\n", roots.display());
    scene.edit(|text| format!("{text}{net}"));
    let problem = scene.reload().await.expect_problem(422, "configuration_invalid");
    let [mistake] = &problem["mistakes"].as_array().expect("mistakes")[..] else { panic!("{problem}") };
    assert_eq!((&mistake["file"], &mistake["key"]), (&json!("config.toml"), &json!("net.ca_file")));
    assert_eq!(scene.who_answers().await, "one");

    // That file alone is mended.
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["a.test".to_owned()]).expect("a name");
    replace(&roots, &parameters.self_signed(&key).expect("a certificate").pem());
    scene.until_logged("config reloaded", |lines| lines.iter().any(|line| line["tables"] == "net")).await;
    assert_eq!(scene.who_answers().await, "one");
}

#[tokio::test]
async fn the_open_mode_stays_on_loopback() {
    let scene = Scene::new().await;
    scene.edit(|text| text.replace("public_url = \"http://127.0.0.1", "public_url = \"http://192.0.2.1"));
    let problem = scene.reload().await.expect_problem(422, "configuration_invalid");
    assert_eq!(problem["mistakes"][0]["key"], "server.public_url", "{problem}");
    until("it answers", PATIENCE, || async { (scene.who_answers().await == "one").then_some(()) }).await;
}
