//! What makes the configuration be read again.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;

use super::{PATIENCE, Scene, file, replace};
use crate::support::{Keyferry, Metrics, Person, until};

#[tokio::test]
async fn a_file_that_is_edited_in_place_or_replaced() {
    let scene = Scene::new().await;
    assert_eq!(scene.who_answers().await, "one");
    fs::write(scene.path("providers/acme.toml"), file(&scene.one, &scene.two)).expect("it can be written");
    scene.until_answered_by("two").await;
    scene.move_to(&scene.one);
    scene.until_answered_by("one").await;

    scene.edit(|text| format!("{text}[integrations.other]\nprovider = \"acme\"\nclient_id = \"another\"\n"));
    let is_there = |line: &serde_json::Value| line["added"] == "other" && line["cause"] == "files";
    scene.until_logged("config reloaded", |lines| lines.iter().any(is_there)).await;
    let is_changed = |line: &serde_json::Value| line["changed"] == "acme" && line["added"].is_null();
    scene.until_logged("config reloaded", |lines| lines.iter().any(is_changed)).await;
    scene.keyferry.call("other", "/me", Person::ADA).await.expect_problem(424, "not_connected");
}

#[tokio::test]
async fn a_mounted_folder_whose_link_is_exchanged() {
    let scene = Scene::new().await;
    let at = |name: &str| scene.path(&format!("providers/{name}"));
    // As Kubernetes mounts a ConfigMap: each file is a link through `..data`, which is exchanged as a whole.
    for (version, api) in [("..1", &scene.one), ("..2", &scene.two)] {
        fs::create_dir(at(version)).expect("it can be made");
        fs::write(at(version).join("acme.toml"), file(&scene.one, api)).expect("it can be written");
    }
    symlink("..1", at("..data")).expect("a link");
    symlink("..data/acme.toml", at("link")).expect("a link");
    fs::rename(at("link"), at("acme.toml")).expect("it can be renamed");
    scene.reload().await.expect(200);
    assert_eq!(scene.who_answers().await, "one");

    for (version, name) in [("..2", "two"), ("..1", "one")] {
        symlink(version, at("..data_tmp")).expect("a link");
        fs::rename(at("..data_tmp"), at("..data")).expect("it can be renamed");
        scene.until_answered_by(name).await;
    }
}

#[tokio::test]
async fn a_provider_file_that_comes_and_goes() {
    let scene = Scene::new().await;
    let status = async |expected: u16| {
        until("the status of a call", PATIENCE, || async {
            let answer = scene.keyferry.call("newcomer", "/me", Person::ADA).await;
            (answer.status == expected).then_some(answer)
        })
        .await
    };
    status(404).await.expect_problem(404, "unknown_integration");
    replace(&scene.path("providers/newcomer.toml"), &file(&scene.one, &scene.one));
    status(500).await.expect_problem(500, "integration_not_configured");
    fs::remove_file(scene.path("providers/newcomer.toml")).expect("it is there");
    status(404).await.expect_problem(404, "unknown_integration");

    // A connection outlives its integration, and is there again when that comes back.
    let whole = fs::read_to_string(scene.path("config.toml")).expect("it is there");
    fs::rename(scene.path("providers/acme.toml"), scene.path("aside")).expect("it can be renamed");
    scene.edit(|text| text.replace("[integrations.acme]\nclient_id = \"the-id\"\n", ""));
    let unknown = || async {
        let answer = scene.keyferry.call("acme", "/me", Person::ADA).await;
        (answer.status == 404).then_some(answer)
    };
    until("it is gone", PATIENCE, unknown).await.expect_problem(404, "unknown_integration");
    fs::rename(scene.path("aside"), scene.path("providers/acme.toml")).expect("it can be renamed");
    replace(&scene.path("config.toml"), &whole);
    let back = || async { (scene.keyferry.call("acme", "/me", Person::ADA).await.status == 200).then_some(()) };
    until("it is back", PATIENCE, back).await;
}

#[tokio::test]
async fn a_file_with_a_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "the-first\n").expect("it can be written");
    let scene =
        Scene::with(|configuration| configuration, &format!("client_secret = \"file:{}\"", secret.display())).await;
    assert!(scene.one.forms().iter().all(|form| form.contains("client_secret=the-first")));

    replace(&secret, "the-second\n");
    scene.until_logged("config reloaded", |lines| lines.iter().any(|line| line["changed"] == "acme")).await;
    scene.connect().await;
    let forms = scene.one.forms();
    assert!(forms.iter().any(|form| form.contains("client_secret=the-second")), "{forms:?}");
    scene.keyferry.assert_keeps(&["the-first".to_owned(), "the-second".to_owned()]);
}

#[tokio::test]
async fn a_signal() {
    let scene = Scene::new().await;
    scene.keyferry.signal(Signal::HUP);
    let unchanged = |lines: &[serde_json::Value]| lines.iter().any(|line| line["cause"] == "SIGHUP");
    scene.until_logged("config: nothing has changed", unchanged).await;

    scene.move_to(&scene.two);
    scene.keyferry.signal(Signal::HUP);
    scene.until_answered_by("two").await;
}

#[tokio::test]
async fn a_request_with_the_admin_key() {
    let scene = Scene::new().await;
    let unchanged = scene.reload().await.expect(200).json();
    assert_eq!(unchanged, serde_json::json!({ "status": "unchanged", "needs_restart": [], "warnings": [] }));

    // The files may be noticed first; whoever asks is told then that nothing is left to change.
    let vendors = [("two", &scene.two), ("one", &scene.one)];
    let mut turns = vendors.iter().cycle();
    until("a request that came first", PATIENCE, || {
        let (name, vendor) = turns.next().expect("there is always another");
        scene.move_to(vendor);
        let scene = &scene;
        async move {
            let answer = scene.reload().await.expect(200).json();
            // With the answer it is in force.
            assert_eq!(scene.who_answers().await, *name, "{answer}");
            (answer["status"] == "reloaded").then_some(())
        }
    })
    .await;

    let metrics = Metrics::of(&scene.keyferry).await;
    assert!(metrics.value("keyferry_config_reloads_total", &[("outcome", "reloaded")]) >= 1.0);
    assert!(metrics.value("keyferry_config_reloads_total", &[("outcome", "unchanged")]) >= 1.0);
    assert_eq!(metrics.value("keyferry_config_reloads_total", &[("outcome", "refused")]), 0.0);
    assert!(metrics.value("keyferry_config_last_good_timestamp_seconds", &[]) > 1_700_000_000.0);
}

#[tokio::test]
async fn nobody_else_may_ask() {
    let scene = Scene::new().await;
    let ask = || scene.keyferry.admin_request("POST", "/reload");
    let check = async |request: crate::support::Request| {
        let answer = request.send().await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"keyferry\""));
        answer.expect_problem(401, "unauthenticated");
    };
    let (other, _) = Keyferry::new_key().await;
    check(ask()).await;
    check(ask().header("authorization", &format!("Bearer {other}"))).await;
    check(ask().header("authorization", &scene.admin_key)).await;
    check(ask().header("authorization", "Bearer ")).await;
    check(scene.asked_to_reload().header("authorization", "Bearer x")).await;
    scene.keyferry.admin_request("GET", "/reload").send().await.expect_problem(405, "method_not_allowed");
    // The callers' listener knows nothing of it.
    scene.keyferry.request("POST", "/reload").send().await.expect_problem(404, "not_found");
    // Not even without a word: the first answer to whoever may ask is the first line.
    scene.reload().await.expect(200);
    scene.until_logged("config: nothing has changed", |lines| !lines.is_empty()).await;
    assert_eq!(scene.logged("config: nothing has changed").len(), 1);

    let unkeyed = Keyferry::start(crate::support::Configuration::new()).await;
    let answer =
        unkeyed.admin_request("POST", "/reload").header("authorization", &format!("Bearer {other}")).send().await;
    let problem = answer.expect_problem(403, "forbidden");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("server.admin_key_hash")), "{problem}");
}
