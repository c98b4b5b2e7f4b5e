//! What shares an origin with the application: a provider's answers never become its pages or scripts, nor those of
//! whoever logs in next, and no page makes its visitors begin what they did not mean.

use super::{Scene, WHOAMI};
use crate::support::{Application, Client, Keyferry, Person, Request, plain_client};

#[tokio::test]
async fn answers_are_kept_for_nobody() {
    let scene = Scene::start().await;
    let mut ada = scene.browser_of("ada").await;
    let link = scene.start_link(&ada).await;
    ada.sign_in(&link, "ada").await;
    let answer = scene.call(&ada).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
}

/// Vendors' tokens may stand in an address, and so may a session in place of one.
#[tokio::test]
async fn a_session_in_an_address_is_no_script_either() {
    let key = Keyferry::new_key().await;
    let file = "[oauth]\nissuer = \"http://127.0.0.1:1\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
                [api]\nbase_url = \"http://127.0.0.1:1\"\nauth = { in = \"query\", name = \"access_token\" }\n";
    let scene = Scene::of(Application::start().await, WHOAMI, |configuration| {
        configuration.provider("third", file).client("third", &Client::POST).caller(&key)
    })
    .await;
    let session = scene.keyferry.session(Person::ADA).await;
    let url = scene.url(&format!("/proxy/third/api/me?access_token={session}"));
    let asked = |dest: &str, mode: &str| {
        Request::new(&plain_client(), "GET", &url).header("sec-fetch-dest", dest).header("sec-fetch-mode", mode)
    };
    for dest in ["script", "document", "iframe", "serviceworker", "style"] {
        asked(dest, "no-cors").send().await.expect_problem(403, "cross_site");
    }
    asked("empty", "cors").header("service-worker", "script").send().await.expect_problem(403, "cross_site");
    asked("empty", "cors").send().await.expect_problem(424, "not_connected");
}

#[tokio::test]
async fn an_image_or_a_foreign_page_begins_nothing() {
    let scene = Scene::start().await;
    let ada = scene.browser_of("ada").await;
    let url = scene.url("/integrations/acme/authorize");
    let opened = |headers: &[(&str, &str)]| {
        let request =
            Request::new(&plain_client(), "GET", &url).header("cookie", &ada.cookies(&url).expect("a session"));
        headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    };
    for hostile in [
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "image")][..],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")],
        &[("referer", "http://evil.test/")],
        &[],
    ] {
        opened(hostile).send().await.expect_problem(403, "cross_site");
    }
    let own = scene.url("/connections");
    for meant in [
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "document")][..],
        &[("sec-fetch-site", "none"), ("sec-fetch-dest", "document")],
        &[("referer", own.as_str())],
    ] {
        opened(meant).send().await.expect(303);
    }
}
