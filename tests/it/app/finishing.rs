//! Only the person who started a connection can complete it: the application is asked who is at the browser, when the
//! start link is opened and when the provider sends it back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Scene, WHOAMI};
use crate::support::{Application, Browser, Page, until};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_start_link_opens_for_its_initiator_alone() {
    let scene = Scene::start().await;
    let (mut ada, mut bob) = (scene.browser_of("ada").await, scene.browser_of("bob").await);
    let link = scene.start_link(&ada).await;

    for browser in [&mut bob, &mut Browser::new()] {
        let page = browser.open(&link).await;
        assert!(page.url.as_str().starts_with(&scene.url("/")), "led to {}", page.url);
        assert_eq!(
            (page.status(), page.answer().header("keyferry-error")),
            (403, Some("forbidden")),
            "{}",
            page.text()
        );
    }
    assert_eq!(scene.provider.count("/authorization").await, 0);

    // And it is still hers.
    let page = ada.sign_in(&link, "ada").await;
    assert_eq!(page.status(), 200, "{}", page.text());
    scene.call(&ada).await.expect(200);
    scene.call(&bob).await.expect_problem(424, "not_connected");
}

#[tokio::test]
async fn somebody_else_at_the_same_browser_finishes_nothing() {
    let scene = Scene::start().await;
    let mut browser = scene.browser_of("ada").await;
    let signing_in = opened(&scene, &mut browser).await;
    // Between the start link and the callback somebody else logs in, in that very browser.
    scene.log_in(&mut browser, "bob").await;
    let page = browser.agree(signing_in, "bob").await;
    assert_eq!((page.status(), page.answer().header("keyferry-error")), (403, Some("forbidden")), "{}", page.text());
    assert!(page.text().contains("begun by somebody else"), "{}", page.text());
    nothing_is_alive(&scene, &browser).await;

    let line = scene.keyferry.until_logged("finished by somebody who did not begin it").await;
    assert_eq!(
        (&line["level"], &line["integration"], &line["logged_in"]),
        (&json!("WARN"), &json!("acme"), &json!(true))
    );
    scene.keyferry.assert_keeps(&scene.provider.secrets().await);

    // Nor does the same answer of the provider work for her afterwards.
    let mut ada = scene.browser_of("ada").await;
    let again = ada.open(page.url.as_str()).await;
    assert_eq!(again.status(), 400, "{}", again.text());
}

#[tokio::test]
async fn nobody_finishes_nothing() {
    let scene = Scene::start().await;
    let mut browser = scene.browser_of("ada").await;
    let signing_in = opened(&scene, &mut browser).await;
    browser.submit(&scene.url("/logout"), &[]).await;
    let page = browser.agree(signing_in, "ada").await;
    assert_eq!((page.status(), page.answer().header("keyferry-error")), (403, Some("forbidden")), "{}", page.text());
    assert!(page.text().contains("Log in there and start again"), "{}", page.text());
    scene.log_in(&mut browser, "ada").await;
    nothing_is_alive(&scene, &browser).await;
}

#[tokio::test]
async fn a_living_connection_survives_what_somebody_else_finished() {
    let scene = Scene::start().await;
    let mut ada = scene.browser_of("ada").await;
    let link = scene.start_link(&ada).await;
    ada.sign_in(&link, "ada").await;
    scene.call(&ada).await.expect(200);

    let signing_in = ada.open(&scene.start_link(&ada).await).await;
    let signing_in = signed_in_already(signing_in);
    scene.log_in(&mut ada, "bob").await;
    let page = ada.agree(signing_in, "ada").await;
    assert_eq!(page.status(), 403, "{}", page.text());
    scene.log_in(&mut ada, "ada").await;
    assert_eq!(scene.call(&ada).await.expect(200).json()["account"], "ada");
}

#[tokio::test]
async fn a_strict_cookie_is_asked_for_once_more() {
    let cookie = json!({ "cookie": { "sameSite": "strict" } });
    let scene =
        Scene::of(Application::configured(cookie).await, WHOAMI, |configuration| configuration.on_localhost()).await;
    let mut ada = scene.browser_of("ada").await;
    let signing_in = opened(&scene, &mut ada).await;
    let page = ada.agree(signing_in, "ada").await;
    assert_eq!(page.status(), 200, "{}", page.text());
    assert!(page.text().contains("&quot;status&quot;:&quot;active&quot;"), "{}", page.text());
    let callbacks = ada.visited().iter().filter(|url| url.path().ends_with("/oauth2callback")).count();
    assert_eq!(callbacks, 2, "the provider's redirect, and the same from a page of ours");
    scene.call(&ada).await.expect(200);

    // Where nobody is logged in at all, it is asked for once more and not again and again.
    let mut nobody = scene.browser_of("ada").await;
    let signing_in = opened(&scene, &mut nobody).await;
    nobody.submit(&scene.url("/logout"), &[]).await;
    let page = nobody.agree(signing_in, "ada").await;
    assert_eq!(page.status(), 403, "{}", page.text());
    let callbacks = nobody.visited().iter().filter(|url| url.path().ends_with("/oauth2callback")).count();
    assert_eq!(callbacks, 2, "{:?}", nobody.visited());
}

#[tokio::test]
async fn an_application_in_trouble_costs_nobody_their_authorization() {
    let scene = Scene::start().await;
    let mut ada = scene.browser_of("ada").await;
    let signing_in = opened(&scene, &mut ada).await;
    for (status, expected) in [(json!(500), 502), (Value::Null, 200)] {
        scene.application.trouble(status).await;
        let page = match expected {
            502 => ada.agree(signing_in.clone(), "ada").await,
            _ => ada.open(ada.visited().last().expect("the callback").clone().as_str()).await,
        };
        assert_eq!(page.status(), expected, "{}", page.text());
        assert!(page.url.path().ends_with("/oauth2callback"), "{}", page.url);
    }
    scene.call(&ada).await.expect(200);
}

#[tokio::test]
async fn the_person_is_returned_connected() {
    let scene = Scene::start().await;
    let ada = scene.browser_of("ada").await;
    let form = [("return_to", "/echo/connected?tab=1")];
    let request = ada.fetch("POST", &scene.url("/integrations/acme/authorize")).form(form);
    let link = request.send().await.expect(200).json().as_str().expect("a URL").to_owned();
    let mut ada = ada;
    let page = ada.sign_in(&link, "ada").await;
    assert_eq!(page.url.as_str(), scene.url("/echo/connected?tab=1&status=active&integration=acme"));
    assert_eq!(page.answer().json()["url"], "/echo/connected?tab=1&status=active&integration=acme");
    scene.call(&ada).await.expect(200);
}

/// Ada's start link, opened in her browser: the provider's sign-in page.
async fn opened(scene: &Scene, browser: &mut Browser) -> Page {
    let link = scene.start_link(browser).await;
    let page = browser.open(&link).await;
    assert!(page.url.as_str().starts_with(scene.provider.issuer()), "led to {}: {}", page.url, page.text());
    page
}

/// The provider knows the browser from the first time and asks for consent alone.
fn signed_in_already(page: Page) -> Page {
    assert!(page.text().contains("value=\"consent\""), "{}", page.text());
    page
}

/// Neither here nor at the provider.
async fn nothing_is_alive(scene: &Scene, browser: &Browser) {
    scene.call(browser).await.expect_problem(424, "not_connected");
    until("what was granted is revoked", LIMIT, || async {
        let mut alive = 0;
        for kind in ["RefreshToken", "AccessToken", "AuthorizationCode", "Grant"] {
            alive += scene.provider.live(kind).await;
        }
        (alive == 0).then_some(())
    })
    .await;
}
