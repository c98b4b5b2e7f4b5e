//! The audit stream while the operator changes where it goes, under load.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::Value;

use super::{LIMIT, Scene};
use crate::support::{Configuration, Keyferry, until};

/// How many events each of so many writers makes.
const EVENTS: usize = 60;
const WRITERS: usize = 8;

#[tokio::test]
async fn no_event_is_lost_between_the_log_and_a_file() {
    let (admin_key, hash) = Keyferry::new_key().await;
    let scene =
        Scene::with(Configuration::new().server(&format!("admin_key_hash = {hash:?}")), "audit = \"log\"").await;
    let keyferry = &scene.keyferry;
    let bearer = format!("Bearer {admin_key}");
    let are_done = AtomicBool::new(false);
    let writing = async {
        let bearer = &bearer;
        let writer = |writer: usize| async move {
            for event in 0..EVENTS {
                let path = format!("/people?org=analytical&user=u-{writer}-{event}");
                keyferry.admin_request("DELETE", &path).header("authorization", bearer).send().await.expect(200);
            }
        };
        join_all((0..WRITERS).map(writer)).await;
        are_done.store(true, Ordering::Relaxed);
    };
    let switching = async {
        let path = keyferry.folder().join("config.toml");
        let mut switches = 0;
        while !are_done.load(Ordering::Relaxed) {
            let text = fs::read_to_string(&path).expect("config.toml");
            let (from, to) = [("\"log\"", "\"audit.log\""), ("\"audit.log\"", "\"log\"")][switches % 2];
            fs::write(&path, text.replace(&format!("audit = {from}"), &format!("audit = {to}")))
                .expect("it is written");
            let reload = keyferry.admin_request("POST", "/reload").header("authorization", &bearer);
            reload.send().await.expect(200);
            switches += 1;
        }
        switches
    };
    let ((), switches) = tokio::join!(writing, switching);
    assert!(switches > 4, "{switches}");

    let told = || async {
        let file = fs::read_to_string(keyferry.folder().join("audit.log")).unwrap_or_default();
        let in_file = file.lines().filter_map(|line| serde_json::from_str(line).ok());
        let events = in_file.chain(scene.lines("audit")).filter(|line: &Value| line["message"] == "person_deleted");
        let users: BTreeSet<String> = events.filter_map(|line| line["user"].as_str().map(str::to_owned)).collect();
        (users.len() == WRITERS * EVENTS).then_some(())
    };
    until("every event is in one of both", LIMIT, told).await;
    let reloaded = scene.lines("audit").into_iter().find(|line| line["reason"] == "POST /reload").expect("a reload");
    assert!(reloaded["request.id"].is_string() && reloaded["client.address"] == "127.0.0.1", "{reloaded}");
}
