//! The audit stream while the operator changes where it goes, under load.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::Value;

use super::{LIMIT, Scene};
use crate::support::{Configuration, Keyferry, until};

/// How often the destination changes, while so many write.
const SWITCHES: usize = 12;
const WRITERS: usize = 8;

#[tokio::test]
async fn no_event_is_lost_between_the_log_and_a_file() {
    let (admin_key, hash) = Keyferry::new_key().await;
    let scene =
        Scene::with(Configuration::new().server(&format!("admin_key_hash = {hash:?}")), "audit = \"log\"").await;
    let keyferry = &scene.keyferry;
    let bearer = format!("Bearer {admin_key}");
    let is_over = AtomicBool::new(false);
    let writer = async |writer: usize| {
        let mut users = BTreeSet::new();
        while !is_over.load(Ordering::Relaxed) {
            let user = format!("u-{writer}-{}", users.len());
            let path = format!("/people?org=analytical&user={user}");
            keyferry.admin_request("DELETE", &path).header("authorization", &bearer).send().await.expect(200);
            users.insert(user);
        }
        users
    };
    let switching = async {
        let path = keyferry.folder().join("config.toml");
        for (from, to) in [("log", "audit.log"), ("audit.log", "log")].into_iter().cycle().take(SWITCHES) {
            let text = fs::read_to_string(&path).expect("config.toml");
            let text = text.replace(&format!("audit = {from:?}"), &format!("audit = {to:?}"));
            fs::write(&path, text).expect("it is written");
            let reload = keyferry.admin_request("POST", "/reload").header("authorization", &bearer);
            reload.send().await.expect(200);
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let (written, ()) = tokio::join!(join_all((0..WRITERS).map(writer)), switching);
    let written: BTreeSet<String> = written.into_iter().flatten().collect();
    assert!(written.len() > SWITCHES, "{} events", written.len());

    let told = || async {
        let file = fs::read_to_string(keyferry.folder().join("audit.log")).unwrap_or_default();
        let in_file = file.lines().filter_map(|line| serde_json::from_str(line).ok());
        let events = in_file.chain(scene.lines("audit")).filter(|line: &Value| line["message"] == "person_deleted");
        let users: BTreeSet<String> = events.filter_map(|line| line["user"].as_str().map(str::to_owned)).collect();
        users.is_superset(&written).then_some(())
    };
    until("every event is in one of both", LIMIT, told).await;
    let reloaded = scene.lines("audit").into_iter().find(|line| line["reason"] == "POST /reload").expect("a reload");
    assert!(reloaded["request.id"].is_string() && reloaded["client.address"] == "127.0.0.1", "{reloaded}");
}
