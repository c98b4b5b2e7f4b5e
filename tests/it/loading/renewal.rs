//! Tokens that end during a load: one refresh, one more try; whoever else waits for it shares it; and every answer of the
//! vendors' own token endpoints is one that items can be loaded with.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::expected;
use super::scene::{Integration, Scene, array};
use crate::support::{Person, until};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_401_is_answered_by_one_refresh_and_one_more_try() {
    let scene = Scene::new(&[Integration::hubspot()]).await;
    // In the middle of the list: the third request finds the token dead.
    let dead = json!({ "match": "objects/companies", "mode": "answer", "status": 401, "body": { "category": "EXPIRED_AUTHENTICATION" } });
    scene.vendors.fault(dead).await;
    let list = scene.lines("hubspot", &[]).await;
    assert_eq!((list.items, list.problems), (expected::hubspot(), vec![]));
    assert_eq!(scene.server.count("/token/refresh_token").await, 1);
    let requests = scene.vendors.take().await;
    assert_eq!(requests.len(), 7);
    assert_eq!((&requests[2].target, requests[2].status), (&requests[3].target, Some(401)));
    let bearer = |index: usize| requests[index].header("authorization").concat();
    assert_eq!(bearer(0), bearer(2));
    assert_ne!(bearer(2), bearer(3), "the second try has another token");
    assert_eq!(bearer(3), bearer(6));

    // The same where the authorization server itself has forgotten them all.
    scene.forget_tokens().await;
    let list = scene.lines("hubspot", &[]).await;
    assert_eq!((list.items, list.problems), (expected::hubspot(), vec![]));
    assert_eq!(scene.server.count("/token/refresh_token").await, 2);
    assert_eq!(scene.server.count("/grants_revoked").await, 0);
    scene.assert_keeps(&[]).await;
}

#[tokio::test]
async fn a_second_401_ends_the_load_and_not_the_grant() {
    let scene = Scene::new(&[Integration::hubspot(), Integration::airtable()]).await;
    let refused = json!({ "match": "/crm/", "times": 2, "mode": "answer", "status": 401, "body": { "message": "no" } });
    scene.vendors.fault(refused).await;
    let answer = scene.load("hubspot").await;
    assert!(answer.header("keyferry-error").is_some() && answer.status == 502, "{}", answer.describe());
    assert_eq!(scene.vendors.take().await.len(), 2);
    assert_eq!(scene.server.count("/token/refresh_token").await, 1);

    // What was read before is kept.
    let fault = json!({ "match": "objects/companies", "times": 2, "mode": "answer", "status": 401, "body": "" });
    scene.vendors.fault(fault).await;
    let list = scene.lines("hubspot", &[]).await;
    assert_eq!(list.items[..3], expected::hubspot()[..3]);
    assert_eq!(list.codes(), ["unauthorized"]);
    super::edges::assert_problem(&list.problems[0], "companies", "unauthorized");
    assert_eq!(list.problems[0]["status"], 401);

    // And the connection is what it was.
    let connection = scene.keyferry.credentials("hubspot", Person::ADA).await.expect(200).json();
    assert_eq!(connection["status"], "active");
    assert_eq!(array(&scene.load("hubspot").await.expect(200)), expected::hubspot());
    scene.assert_keeps(&[&answer]).await;
}

#[tokio::test]
async fn loads_that_meet_one_expiry_share_one_refresh() {
    let scene = Scene::new(&[Integration::airtable()]).await;
    for round in 1..=3 {
        scene.server.change(json!({ "token_delay_ms": 200 })).await;
        scene.forget_tokens().await;
        let loads = join_all((0..8).map(|_| scene.lines("airtable", &[]))).await;
        for list in loads {
            assert_eq!((list.codes(), list.items.as_slice()), (vec!["skipped"], expected::airtable().as_slice()));
        }
        assert_eq!(scene.server.count("/token/refresh_token").await, round, "round {round}");
        assert_eq!(scene.server.count("/grants_revoked").await, 0);
    }
}

#[tokio::test]
async fn a_token_whose_time_is_over_is_refreshed_before_anything_is_asked() {
    let scene = Scene::unconnected(&[Integration::hubspot()], crate::support::Configuration::new()).await;
    scene.server.change(json!({ "access_token_ttl": 1 })).await;
    scene.connect("hubspot", Person::ADA).await;
    until("the access token expires", LIMIT, || async { (scene.server.live("AccessToken").await == 0).then_some(()) })
        .await;
    scene.server.change(json!({ "access_token_ttl": 3600 })).await;
    let (one, other) = tokio::join!(scene.lines("hubspot", &[]), scene.load("hubspot"));
    assert_eq!((one.items, array(&other.expect(200))), (expected::hubspot(), expected::hubspot()));
    assert_eq!(scene.server.count("/token/refresh_token").await, 1);
    let requests = scene.vendors.take().await;
    assert!(requests.iter().all(|request| request.status == Some(200)), "a dead token went out");
}

#[tokio::test]
async fn a_grant_that_the_provider_ended_is_told_to_be() {
    let scene = Scene::new(&[Integration::hubspot()]).await;
    let handle = scene.keyferry.credentials("hubspot", Person::ADA).await.expect(200).text();
    scene.forget_tokens().await;
    scene.server.forget("RefreshToken").await;
    scene.server.forget("Grant").await;
    let problem = scene.load_with("hubspot", Person::ADA, &handle).await.expect_problem(424, "reconnect_required");
    assert!(problem["connect_url"].as_str().is_some_and(|url| url.contains("hubspot")), "{problem}");
    let problem = scene.get("hubspot", &[], "*/*").await.expect_problem(424, "reconnect_required");
    assert!(problem["connect_url"].is_string(), "{problem}");
}

#[tokio::test]
async fn every_vendor_s_own_token_answers_open_its_api() {
    for (integration, expected) in [
        (Integration::hubspot(), expected::hubspot()),
        (Integration::notion(), expected::notion()),
        (Integration::airtable(), expected::airtable()),
    ] {
        let name = integration.name;
        let (token, refresh) = (sample(name, "token"), sample(name, "refresh"));
        let scene = Scene::unconnected(&[integration], crate::support::Configuration::new()).await;
        let answer = |body: &Value| json!({ "endpoint": "token", "mode": "answer", "status": 200, "body": body });
        scene.server.fault(answer(&token)).await;
        scene.keyferry.connect(name, Person::ADA).await;
        scene.vendors.change(json!({ "tokens": [token["access_token"]] })).await;
        assert_eq!(array(&scene.load(name).await.expect(200)), expected, "{name}");

        // The vendor ends that token; what the refresh brings opens the API again.
        scene.vendors.change(json!({ "tokens": [refresh["access_token"]] })).await;
        scene.server.fault(answer(&refresh)).await;
        assert_eq!(array(&scene.load(name).await.expect(200)), expected, "{name}");
        let secrets: Vec<String> = [&token, &refresh]
            .iter()
            .flat_map(|answer| [&answer["access_token"], &answer["refresh_token"]])
            .map(|secret| secret.as_str().expect("a token").to_owned())
            .collect();
        scene.keyferry.assert_keeps(&secrets);
    }
}

/// A sample of a vendor.
fn sample(vendor: &str, name: &str) -> Value {
    let samples = match vendor {
        "hubspot" => include_str!("../../peers/vendors/samples/hubspot.json"),
        "notion" => include_str!("../../peers/vendors/samples/notion.json"),
        _ => include_str!("../../peers/vendors/samples/airtable.json"),
    };
    let samples: Value = serde_json::from_str(samples).expect("the samples are JSON");
    samples[name].clone()
}
