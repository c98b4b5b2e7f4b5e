//! As many items as a memory would not hold: they go through, and none stays.

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderName};
use serde_json::{Value, json};

use super::scene::{Integration, Scene};
use crate::support::{Person, plain_client};

const RECORDS: usize = 200_000;
/// What a list of any length may add to the memory of the process once it is under way.
const GROWTH: u64 = 24 * 1024 * 1024;

#[tokio::test]
async fn two_hundred_thousand_items_leave_no_trace() {
    // Contacts are short: this is about how many there are.
    let scene = Scene::new(&[Integration::hubspot()]).await;
    scene.vendors.change(json!({ "tokens": scene.server.secrets().await, "synthetic": { "records": RECORDS } })).await;
    let url = format!("http://{}/integrations/hubspot/items", scene.keyferry.address());
    let Person { org, user } = Person::ADA;
    let request = plain_client()
        .get(url)
        .header(HeaderName::from_static("keyferry-org"), org)
        .header(HeaderName::from_static("keyferry-user"), user)
        .header(ACCEPT, "application/x-ndjson")
        .timeout(Duration::from_secs(150));
    let mut response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);

    let (mut lines, mut line) = (0, Vec::new());
    let (mut at_first, mut peak) = (0, 0);
    while let Some(chunk) = response.chunk().await.expect("the list does not break off") {
        let before = lines;
        for byte in chunk {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            if lines < RECORDS {
                // Each is the next, so none is missing and none comes twice.
                let id = format!("{{\"id\":\"{}_Contact\"", 100_000_000_000 + lines);
                assert!(line.starts_with(id.as_bytes()), "item {lines}: {}", String::from_utf8_lossy(&line));
                line.clear();
            }
            lines += 1;
        }
        // Looked at ten thousand times would be a test of the looking.
        if before / 2_000 != lines / 2_000 {
            let memory = scene.keyferry.memory();
            if lines < RECORDS / 10 {
                at_first = memory.max(at_first);
            } else {
                peak = memory.max(peak);
            }
        }
    }
    assert_eq!(lines, RECORDS + 1, "items, and the line that ends them");
    let ending: Value = serde_json::from_slice(&line).expect("the last line is JSON");
    assert_eq!(ending, json!({ "problems": [], "next": null }));
    assert!(peak < at_first + GROWTH, "{at_first} bytes after a tenth of the list, and {peak} later");
}
