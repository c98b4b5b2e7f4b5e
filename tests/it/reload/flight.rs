//! What has begun ends as it began, and no call is lost to a change.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::{PATIENCE, Scene};
use crate::support::{Person, Raw, until};

#[tokio::test]
async fn a_call_under_way_goes_on_at_the_vendor_that_it_began_with() {
    let scene = Scene::new().await;
    let head = |path: &str| {
        format!(
            "GET /proxy/acme{path} HTTP/1.1\r\nhost: localhost\r\nkeyferry-org: {}\r\nkeyferry-user: {}\r\n\r\n",
            Person::ADA.org,
            Person::ADA.user
        )
    };
    let mut connection = Raw::connect(scene.keyferry.address()).await;
    connection.send(head("/slow")).await;
    connection.read_until("begun by ", PATIENCE).await;

    scene.move_to(&scene.two);
    scene.reload().await.expect(200);
    assert_eq!(scene.who_answers().await, "two");
    scene.one.release();
    connection.read_until("one\r\n0\r\n\r\n", PATIENCE).await;
    // The next one on the same connection is a new call.
    connection.send(head("/me")).await;
    connection.read_until("\r\n\r\ntwo", PATIENCE).await;
}

#[tokio::test]
async fn under_load_no_call_is_lost() {
    const CALLERS: usize = 4;
    const RELOADS: usize = 50;
    let scene = Scene::new().await;
    let (is_over, one, two) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let call = async || {
        // Each has a connection of its own, and keeps it.
        let client = crate::support::plain_client();
        let url = format!("http://{}/proxy/acme/me", scene.keyferry.address());
        while !is_over.load(Ordering::Relaxed) {
            let request =
                client.get(&url).header("keyferry-org", Person::ADA.org).header("keyferry-user", Person::ADA.user);
            let answer = request.timeout(Duration::from_secs(60)).send().await.expect("an answer");
            let (status, text) = (answer.status(), answer.text().await.expect("a whole answer"));
            let counter = match text.as_str() {
                "one" => &one,
                "two" => &two,
                other => panic!("{status}: {other}"),
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    };
    let callers = futures_util::future::join_all((0..CALLERS).map(|_| call()));
    let reloads = async {
        let mut early = 0;
        for round in 0..RELOADS {
            let before = one.load(Ordering::Relaxed) + two.load(Ordering::Relaxed);
            let (name, vendor) = if round % 2 == 0 { ("two", &scene.two) } else { ("one", &scene.one) };
            scene.move_to(vendor);
            scene.reload().await.expect(200);
            assert_eq!(scene.who_answers().await, name, "round {round}");
            until("calls between two changes", PATIENCE, || async {
                (one.load(Ordering::Relaxed) + two.load(Ordering::Relaxed) >= before + 4 * CALLERS).then_some(())
            })
            .await;
            if round == RELOADS / 5 {
                early = scene.keyferry.memory();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        early
    };
    let (_, early) = tokio::join!(callers, reloads);
    let late = scene.keyferry.memory();
    assert!(one.load(Ordering::Relaxed) > 100 && two.load(Ordering::Relaxed) > 100);
    scene.until_logged("config reloaded", |lines| lines.len() >= RELOADS).await;
    assert_eq!(scene.logged("config reloaded").len(), RELOADS);
    assert!(late < early + 24 * 1024 * 1024, "from {early} to {late} bytes");
}
