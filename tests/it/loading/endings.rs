//! Lists that end before they are whole, and what their clients learn of it.

use std::time::Duration;

use serde_json::json;

use super::lists::command;
use super::scene::{Integration, List, Scene};
use crate::support::{Configuration, Person, Raw, until};

const LIMIT: Duration = Duration::from_secs(30);

/// A list of which the first page comes and the second does not.
async fn stuck(integration: Integration, configuration: Configuration) -> (Scene, Raw) {
    let scene = Scene::unconnected(&[integration], configuration).await;
    scene.connect("notion", Person::ADA).await;
    scene.vendors.change(json!({ "synthetic": { "records": 1_000 } })).await;
    scene.vendors.fault(json!({ "match": "/v1/search", "skip": 1, "mode": "hang" })).await;
    let mut client = Raw::connect(scene.keyferry.address()).await;
    let Person { org, user } = Person::ADA;
    let request = format!(
        "GET /integrations/notion/items HTTP/1.1\r\nHost: {}\r\nKeyferry-Org: {org}\r\nKeyferry-User: {user}\r\n\r\n",
        scene.keyferry.address()
    );
    client.send(request).await.read_until("100000000099", LIMIT).await;
    until("the second page is asked for", LIMIT, || async { (scene.vendors.count().await == 2).then_some(()) }).await;
    (scene, client)
}

#[tokio::test]
async fn a_process_that_goes_says_where_another_load_goes_on() {
    let (mut scene, mut client) = stuck(Integration::notion(), Configuration::new().server("drain = \"4s\"")).await;
    scene.keyferry.terminate();
    let rest = client.read_until("\"next\":", LIMIT).await;
    assert!(rest.contains("\"code\":\"shutting_down\"") && rest.contains("\"next\":\""), "{rest}");
    drop(client);
    let exit = scene.keyferry.wait(LIMIT).await;
    assert!(exit.status.success(), "{exit:?}");
    assert!(!exit.stderr.contains("cut off"), "{}", exit.stderr);
}

#[tokio::test]
async fn what_the_command_line_did_not_read_is_a_failure() {
    let scene = Scene::new(&[Integration::notion()]).await;
    scene.vendors.change(json!({ "synthetic": { "records": 30_000 } })).await;
    // The shipped file reads 200 pages of 100.
    let (status, process) = command(&scene, "notion", &[]).await;
    let complaint = process.stderr();
    assert_eq!((status.code(), process.stdout().lines().count()), (Some(1), 20_000), "{complaint}");
    assert!(complaint.contains("too_many_pages"), "{complaint}");
}

#[tokio::test]
async fn whoever_shares_the_connection_waits_as_well() {
    let refusals = [
        json!({ "mode": "answer", "status": 429, "headers": { "retry-after": "3600" }, "body": "{}" }),
        json!({
            "mode": "answer", "status": 403, "headers": { "x-ratelimit-remaining": "0", "retry-after": "3600" },
            "body": "{}",
        }),
    ];
    for refusal in refusals {
        let api = "retry = { wait = [\"header:retry-after\"], when = [{ status = 403, header = \"x-ratelimit-remaining\", \
                   equals = \"0\" }] }";
        let scene = Scene::new(&[Integration::hubspot().api(api)]).await;
        scene.vendors.take().await;
        scene.vendors.fault(refusal.clone()).await;
        let problem = scene.get("hubspot", &[], "*/*").await.expect_problem(429, "rate_limited");
        assert!(problem["detail"].as_str().expect("words").contains("contacts"), "{problem}");
        // Not even the other streams asked, and nobody after it.
        scene.load("hubspot").await.expect_problem(429, "rate_limited");
        assert_eq!(scene.vendors.take().await.len(), 1, "{refusal}");
    }
}

#[tokio::test]
async fn an_array_that_broke_off_has_no_end() {
    let configuration = Configuration::new().server("drain = \"4s\"");
    let scene = Scene::unconnected(&[Integration::notion()], configuration).await;
    scene.connect("notion", Person::ADA).await;
    scene.vendors.change(json!({ "synthetic": { "records": 20_000 } })).await;
    scene.vendors.fault(json!({ "match": "/v1/search", "skip": 150, "mode": "hang" })).await;
    let handle = scene.keyferry.credentials("notion", Person::ADA).await.expect(200).text();
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("credentials", &handle).finish();
    let mut client = Raw::connect(scene.keyferry.address()).await;
    let request = format!(
        "POST /integrations/notion/load HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        scene.keyferry.address(),
        body.len()
    );
    client.send(request).await;
    let reading = tokio::spawn(async move { client.read(LIMIT).await });
    until("the page that never comes is asked for", LIMIT, || async {
        (scene.vendors.count().await == 151).then_some(())
    })
    .await;
    scene.keyferry.terminate();
    let text = String::from_utf8_lossy(&reading.await.expect("it reads")).into_owned();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("100000014999"), "{} bytes", text.len());
    assert!(!text.contains(']'), "an end after {} bytes", text.len());
}

#[tokio::test]
async fn a_list_that_was_ended_goes_on_elsewhere() {
    let scene = Scene::new(&[Integration::notion()]).await;
    scene.vendors.change(json!({ "synthetic": { "records": 500 } })).await;
    let first = scene.lines("notion", &[("limit", "150")]).await;
    let List { items, next, .. } = first;
    let rest = scene.lines("notion", &[("cursor", &next.expect("there is more"))]).await;
    assert_eq!((items.len(), rest.items.len(), rest.next), (150, 350, None));
}
