//! Whose items they are: nobody is connected, somebody else asks, and cursors that were not given out here.

use serde_json::json;

use super::expected;
use super::scene::{Integration, Scene, array};
use crate::support::{Configuration, Keyferry, Person};

#[tokio::test]
async fn who_is_not_connected_is_told_where_to_connect() {
    let scene = Scene::new(&[Integration::notion()]).await;
    let handle = scene.keyferry.credentials("notion", Person::ADA).await.expect(200).text();
    scene.keyferry.disconnect("notion", Person::ADA).await;
    for answer in [
        scene.load_with("notion", Person::ADA, &handle).await,
        scene.get("notion", &[], "*/*").await,
        scene.get("notion", &[("limit", "1")], "application/json").await,
    ] {
        let problem = answer.expect_problem(424, "not_connected");
        let url = problem["connect_url"].as_str().unwrap_or_else(|| panic!("no connect_url: {problem}"));
        assert!(url.starts_with(scene.keyferry.public_url()) && url.contains("notion"), "{url}");
    }
    assert_eq!(scene.vendors.take().await, [], "nothing is asked of the vendor");

    // Connected again, it is the connection that the handle names; a handle of another is of no use.
    scene.connect("notion", Person::ADA).await;
    assert_eq!(array(&scene.load_with("notion", Person::ADA, &handle).await.expect(200)), expected::notion());
    let mut other: serde_json::Value = serde_json::from_str(&handle).expect("JSON");
    other["connection"] = "conn_elsewhere".into();
    let answer = scene.load_with("notion", Person::ADA, &other.to_string()).await;
    answer.expect_problem(424, "not_connected");
}

#[tokio::test]
async fn nobody_loads_for_somebody_else() {
    let key = Keyferry::new_key().await;
    let scene = Scene::unconnected(&[Integration::notion()], Configuration::new().caller(&key)).await;
    scene.connect("notion", Person::ADA).await;
    let handle = scene.keyferry.credentials("notion", Person::ADA).await.expect(200).text();
    let ada = format!("Bearer {}", scene.keyferry.session(Person::ADA).await);
    let bob = format!("Bearer {}", scene.keyferry.session(Person::BOB).await);
    let load = |token: &str| {
        let request = scene.keyferry.request("POST", "/integrations/notion/load").header("authorization", token);
        request.form([("credentials", handle.as_str())])
    };
    let items =
        |token: &str| scene.keyferry.request("GET", "/integrations/notion/items").header("authorization", token);

    assert_eq!(array(&load(&ada).send().await.expect(200)), expected::notion());
    items(&ada).send().await.expect(200);
    scene.vendors.take().await;

    load(&bob).send().await.expect_problem(403, "forbidden");
    items(&bob).send().await.expect_problem(424, "not_connected");
    items(&bob)
        .header("keyferry-user", "ada")
        .header("keyferry-org", "analytical")
        .send()
        .await
        .expect_problem(403, "forbidden");
    load("Bearer kfs_wrong").send().await.expect_problem(401, "unauthenticated");
    items("Bearer kf_wrong").send().await.expect_problem(401, "unauthenticated");
    let nobody = scene.keyferry.request("POST", "/integrations/notion/load").form([("credentials", handle.as_str())]);
    nobody.send().await.expect_problem(401, "unauthenticated");
    scene.keyferry.request("GET", "/integrations/notion/items").send().await.expect_problem(401, "unauthenticated");
    assert_eq!(scene.vendors.take().await, [], "nothing is asked of the vendor");

    // The back end may load for her; and a handle that names her does not go with a form that names him.
    assert_eq!(array(&scene.load("notion").await.expect(200)), expected::notion());
    let mixed = scene.load_with("notion", Person::BOB, &handle).await;
    assert!(matches!(mixed.status, 400 | 403), "{}", mixed.describe());
    scene.assert_keeps(&[]).await;
}

#[tokio::test]
async fn a_handle_is_needed_and_has_to_be_one() {
    let scene = Scene::new(&[Integration::notion(), Integration::airtable()]).await;
    for handle in ["", "null", "[]", "\"kf\"", "{", "{\"integration\":\"airtable\"}"] {
        scene.load_with("notion", Person::ADA, handle).await.expect_problem(400, "bad_request");
    }
    let path = "/integrations/notion/load";
    scene.keyferry.request_for("POST", path, Person::ADA).form([]).send().await.expect_problem(400, "bad_request");
    scene.keyferry.request_for("GET", path, Person::ADA).send().await.expect_problem(405, "method_not_allowed");
    let other = scene.keyferry.credentials("airtable", Person::ADA).await.expect(200).text();
    scene.load_with("notion", Person::ADA, &other).await.expect_problem(400, "bad_request");
    let unknown = scene.keyferry.request_for("GET", "/integrations/none/items", Person::ADA).send().await;
    unknown.expect_problem(404, "unknown_integration");

    // As JSON it may stand as it is.
    let handle = scene.keyferry.credentials("notion", Person::ADA).await.expect(200).json();
    let request = scene.keyferry.request_for("POST", path, Person::ADA).json(&json!({ "credentials": handle }));
    assert_eq!(array(&request.send().await.expect(200)), expected::notion());
}

#[tokio::test]
async fn only_a_cursor_that_this_connection_was_given_goes_on() {
    let scene = Scene::new(&[Integration::notion(), Integration::hubspot()]).await;
    scene.connect("notion", Person::BOB).await;
    let cursor = scene.document("notion", &[("limit", "1")]).await.next.expect("there is more");
    let other = scene.document("hubspot", &[("limit", "1")]).await.next.expect("there is more");
    scene.vendors.take().await;

    let changed = |place: usize| {
        let mut letters: Vec<char> = cursor.chars().collect();
        letters[place] = if letters[place] == 'A' { 'B' } else { 'A' };
        letters.into_iter().collect::<String>()
    };
    let forged = [
        "0".to_owned(),
        "AAAA".to_owned(),
        "not base64 at all!".to_owned(),
        cursor[..cursor.len() / 2].to_owned(),
        format!("{cursor}{cursor}"),
        changed(0),
        changed(cursor.len() / 2),
        changed(cursor.len() - 2),
        other,
    ];
    for cursor in &forged {
        for accept in ["*/*", "application/json"] {
            scene.get("notion", &[("cursor", cursor)], accept).await.expect_problem(400, "bad_request");
        }
    }
    let path = format!("/integrations/notion/items?cursor={cursor}");
    scene.keyferry.request_for("GET", &path, Person::BOB).send().await.expect_problem(400, "bad_request");
    for limit in ["0", "-1", "x", "1.5"] {
        scene.get("notion", &[("limit", limit)], "*/*").await.expect_problem(400, "bad_request");
    }
    assert_eq!(scene.vendors.take().await, [], "nothing is asked of the vendor");
    assert_eq!(scene.lines("notion", &[("cursor", &cursor)]).await.items, expected::notion()[1..]);
}
