//! A client that goes in the middle of a list: the vendor is left alone.

use std::time::Duration;

use serde_json::json;

use super::scene::{Integration, Scene};
use crate::support::{Person, Raw, until};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_client_that_goes_ends_what_is_under_way_at_the_vendor() {
    let scene = Scene::new(&[Integration::notion()]).await;
    scene.vendors.change(json!({ "synthetic": { "records": 100_000 } })).await;
    // The fourth page never comes.
    scene.vendors.fault(json!({ "match": "/v1/search", "skip": 3, "mode": "hang" })).await;

    let mut client = Raw::connect(scene.keyferry.address()).await;
    let Person { org, user } = Person::ADA;
    let request = format!(
        "GET /integrations/notion/items HTTP/1.1\r\nHost: {}\r\nKeyferry-Org: {org}\r\nKeyferry-User: {user}\r\n\r\n",
        scene.keyferry.address()
    );
    client.send(request).await.read_until("100000000299", LIMIT).await;
    until("the fourth page is asked for", LIMIT, || async { (scene.vendors.count().await == 4).then_some(()) }).await;
    drop(client);

    until("the vendor is left", LIMIT, || async {
        scene.vendors.requests().await.last().is_some_and(|request| request.left).then_some(())
    })
    .await;
    // With that request the load has ended. Others are answered, and nothing more of the first comes in between.
    scene.vendors.clear_faults().await;
    let list = scene.document("notion", &[("limit", "150")]).await;
    assert_eq!(list.items.len(), 150);
    assert_eq!(scene.vendors.count().await, 4 + 2);
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_the_list_up() {
    let scene = Scene::new(&[Integration::notion()]).await;
    scene.vendors.change(json!({ "synthetic": { "records": 1_000_000 } })).await;
    let mut client = Raw::connect(scene.keyferry.address()).await;
    let Person { org, user } = Person::ADA;
    let request = format!(
        "GET /integrations/notion/items HTTP/1.1\r\nHost: {}\r\nKeyferry-Org: {org}\r\nKeyferry-User: {user}\r\n\r\n",
        scene.keyferry.address()
    );
    client.send(request).await.read_until("100000000000", LIMIT).await;
    // What the sockets between hold is read ahead, and then nothing: until then the count grows.
    let mut before = u64::MAX;
    loop {
        let now = scene.vendors.count().await;
        if now == before {
            break;
        }
        assert!(now < 2_000, "a fifth of a million records was read for somebody who takes nothing");
        before = now;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    drop(client);
}
