//! `[[oauth.discovery]]`: requests after the token answer that learn where to call.

use serde_json::json;

use super::{Acme, HEAD};
use crate::support::{Answer, Person};

/// Sites under one token, of which the person names one, and then something more of that site.
const SITES: &str = r#"
[variables.site]
default = ""
[oauth]
authorization_endpoint = "SERVER/authorize"
token_endpoint = "SERVER/token"
revocation_endpoint = "SERVER/revoke"
[oauth.revocation]
params = { token = "{access_token}", site = "{cloud_id}" }
[[oauth.discovery]]
url = "SERVER/sites"
records = "$[*]"
match = { "$.url" = "https://{site}" }
capture = { cloud_id = "$.id" }
[[oauth.discovery]]
url = "SERVER/site/{cloud_id}/plan"
method = "POST"
headers = { X-Client = "{client_id}", Authorization = "Token {access_token}" }
capture = { plan = { path = "$.plan", map = { p = "paid" }, default = "p" } }
[api]
base_url = "SERVER/ex/{cloud_id}"
headers = { X-Plan = "{plan}" }
"#;

/// The same, where an empty variable leaves the choice to the first.
fn sites() -> String {
    SITES.replace("https://{site}", "{site}")
}

fn token(acme: &Acme) {
    acme.server.json("/token", &json!({ "access_token": "AT", "expires_at": 1, "refresh_token": "RT" }));
}

fn two_sites(acme: &Acme) {
    acme.server.json("/sites", &json!([{ "id": 1, "url": "red.example" }, { "id": "c/2", "url": "blue.example" }]));
}

async fn called(acme: &Acme) -> (Answer, Vec<String>) {
    acme.server.json("/ex/c%2F2/me", &json!({}));
    acme.requests();
    let answer = acme.keyferry.call("acme", "/me", Person::ADA).await;
    (answer, acme.requests())
}

#[tokio::test]
async fn every_byte_and_the_calls_that_follow() {
    let acme = Acme::start(&sites(), "client_secret = \"the-secret\"").await;
    token(&acme);
    two_sites(&acme);
    acme.server.json("/site/c%2F2/plan", &json!({}));
    let sent = acme.begin(&[("variables.site", "blue.example")]).await;
    acme.come_back(&format!("code=the-code&state={}", sent.state)).await.expect(200);
    let sites = format!("GET /sites HTTP/1.1\naccept: application/json\nauthorization: Bearer AT\n{HEAD}\n");
    let plan = format!(
        "POST /site/c%2F2/plan HTTP/1.1\naccept: application/json\nauthorization: Token AT\nx-client: the-id\ncontent-length: {{length}}\n{HEAD}\n"
    );
    assert_eq!(acme.requests()[1..], [sites, plan]);
    assert_eq!(acme.connection().await["captured"], json!({ "cloud_id": "c/2", "plan": "paid" }));

    // The token is past its end, so a refresh comes first, which changes nothing of what was found and finds nothing anew.
    acme.server.json("/token", &json!({ "access_token": "AT2", "expires_in": 3600 }));
    let (answer, requests) = called(&acme).await;
    answer.expect(200);
    let [refresh, call] = &requests[..] else { panic!("{requests:?}") };
    assert!(refresh.starts_with("POST /token ") && refresh.contains("grant_type=refresh_token"), "{refresh}");
    assert!(call.starts_with("GET /ex/c%2F2/me HTTP/1.1\n") && call.contains("authorization: Bearer AT2\n"), "{call}");
    assert!(call.contains("x-plan: paid\n"), "{call}");
    assert_eq!(acme.connection().await["captured"], json!({ "cloud_id": "c/2", "plan": "paid" }));

    acme.server.answer("/revoke", 200, "text/plain", "");
    acme.keyferry.disconnect("acme", Person::ADA).await.expect(200);
    let requests = acme.requests_up_to("/revoke").await;
    assert!(
        requests[0].ends_with("\n\nsite=c%2F2&token=AT2&client_id=the-id&client_secret=the-secret"),
        "{requests:?}"
    );
}

#[tokio::test]
async fn without_a_wish_the_first_is_taken() {
    let acme = Acme::start(&sites(), "").await;
    token(&acme);
    two_sites(&acme);
    acme.server.json("/site/1/plan", &json!({ "plan": "p" }));
    assert_eq!(acme.connect().await["captured"], json!({ "cloud_id": "1", "plan": "paid" }));
}

#[tokio::test]
async fn a_wish_that_nothing_fits_connects_nothing() {
    let acme = Acme::start(&sites(), "").await;
    for answer in [json!([]), json!([{ "id": 1, "url": "red.example" }]), json!({ "error": "none" })] {
        token(&acme);
        acme.server.json("/sites", &answer).answer("/revoke", 200, "text/plain", "");
        let page = acme.fail_to_connect(&[("variables.site", "blue.example")], 400, "bad_request").await;
        assert!(page.contains("has none that fits what was asked for"), "{page}");
        // What was given is given back.
        let requests = acme.requests_up_to("/revoke").await;
        let revocation = requests.iter().find(|request| request.starts_with("POST /revoke ")).expect("a revocation");
        assert!(revocation.contains("token=AT&"), "{revocation}");
        assert_eq!(requests.iter().filter(|request| request.starts_with("GET /sites ")).count(), 1, "{requests:?}");
    }
}

#[tokio::test]
async fn trouble_that_passes_is_asked_about_once_more() {
    let acme = Acme::start(&sites(), "").await;
    for status in [503, 429] {
        token(&acme);
        acme.server.answer("/sites", status, "text/plain", "busy");
        two_sites(&acme);
        acme.server.json("/site/1/plan", &json!({}));
        assert_eq!(acme.connect().await["status"], "active");
        let asked = acme.requests().iter().filter(|request| request.starts_with("GET /sites ")).count();
        assert_eq!(asked, 2, "{status}");
    }
}

#[tokio::test]
async fn trouble_that_stays_connects_nothing() {
    let acme = Acme::start(&sites(), "").await;
    let cases: [(&str, &[u16]); 3] = [("busy", &[500, 500]), ("forbidden", &[403]), ("<html>", &[200])];
    for (body, statuses) in cases {
        token(&acme);
        acme.server.answer("/revoke", 200, "text/plain", "");
        for status in statuses {
            acme.server.answer("/sites", *status, "text/plain", body);
        }
        let page = acme.fail_to_connect(&[], 502, "token_endpoint_failed").await;
        assert!(page.contains("did not say what Keyferry needs to know"), "{page}");
        assert!(!page.contains(body), "{page}");
        let requests = acme.requests_up_to("/revoke").await;
        let asked = requests.iter().filter(|request| request.starts_with("GET /sites ")).count();
        assert_eq!(asked, statuses.len(), "{requests:?}");
    }
}

#[tokio::test]
async fn a_value_that_has_to_be_there() {
    let file = sites().replace("cloud_id = \"$.id\"", "cloud_id = { path = \"$.id\", pattern = \"[0-9]+\" }");
    let acme = Acme::start(&file, "").await;
    for id in [json!(null), json!("c/2"), json!("AT")] {
        token(&acme);
        acme.server.json("/sites", &json!([{ "id": id, "url": "red.example" }])).answer(
            "/revoke",
            200,
            "text/plain",
            "",
        );
        acme.fail_to_connect(&[], 502, "token_endpoint_failed").await;
        acme.requests_up_to("/revoke").await;
    }
}

#[tokio::test]
async fn what_the_new_authorization_finds_takes_the_place_of_the_old() {
    let acme = Acme::start(&sites(), "").await;
    for (site, id) in [("red.example", "1"), ("blue.example", "c/2")] {
        acme.server.json("/token", &json!({ "access_token": format!("AT-{id}"), "expires_in": 3600 }));
        two_sites(&acme);
        acme.server.json(&format!("/site/{}/plan", id.replace('/', "%2F")), &json!({}));
        let sent = acme.begin(&[("variables.site", site)]).await;
        acme.come_back(&format!("code=the-code&state={}", sent.state)).await.expect(200);
        assert_eq!(acme.connection().await["captured"]["cloud_id"], id);
    }
    let (answer, requests) = called(&acme).await;
    answer.expect(200);
    assert!(requests.iter().any(|call| call.starts_with("GET /ex/c%2F2/me ") && call.contains("Bearer AT-c/2")));
}
