//! Whoever is logged in to the application is that person here, in that browser and nowhere else.

use serde_json::json;

use super::{Scene, WHOAMI};
use crate::support::{Application, Browser};

/// As [`WHOAMI`], asked each time.
fn uncached() -> String {
    format!("{WHOAMI}cache = \"0s\"\n")
}

#[tokio::test]
async fn two_people_connect_and_call_with_their_sessions_alone() {
    let scene = Scene::start().await;
    let (mut ada, mut bob) = (scene.browser_of("ada").await, scene.browser_of("bob").await);
    for (browser, user) in [(&mut ada, "ada"), (&mut bob, "bob")] {
        scene.call(browser).await.expect_problem(424, "not_connected");
        let link = scene.start_link(browser).await;
        let page = browser.sign_in(&link, user).await;
        assert_eq!(page.status(), 200, "{}", page.text());
        assert!(page.text().contains("&quot;status&quot;:&quot;active&quot;"), "{}", page.text());
        assert_eq!(scene.call(browser).await.expect(200).json()["account"], user);
    }
    assert_eq!(scene.call(&ada).await.expect(200).json()["account"], "ada");

    let connection = ada.fetch("GET", &scene.url("/integrations/acme/connection")).send().await.expect(200).json();
    assert_eq!((&connection["org_id"], &connection["user_id"]), (&"analytical".into(), &"ada".into()));
    let list = ada.fetch("GET", &scene.url("/integrations")).send().await.expect(200).json();
    assert!(list.as_array().expect("a list").iter().any(|one| one["status"] == "active"), "{list}");

    let echo = ada.fetch("GET", &scene.url("/proxy/acme/api/echo")).send().await.expect(200).json();
    let names = echo["headers"].as_array().expect("names");
    assert!(!names.contains(&"cookie".into()), "{names:?}");

    // Naming somebody else is of no use.
    for name in ["keyferry-user", "keyferry-org"] {
        let request = ada.fetch("GET", &scene.url("/proxy/acme/api/me")).header(name, "bob");
        request.send().await.expect_problem(403, "forbidden");
    }
    let form = [("user_id", "bob"), ("org_id", "analytical")];
    let request = ada.fetch("POST", &scene.url("/integrations/acme/credentials")).form(form);
    request.send().await.expect_problem(403, "forbidden");

    // A login makes no keys that would outlive it.
    let request = ada.fetch("POST", &scene.url("/integrations/sessions")).json(&json!({}));
    request.send().await.expect_problem(403, "forbidden");

    ada.fetch("DELETE", &scene.url("/integrations/acme/connection")).send().await.expect(200);
    scene.call(&ada).await.expect_problem(424, "not_connected");
    assert_eq!(scene.call(&bob).await.expect(200).json()["account"], "bob");
    scene.keyferry.assert_keeps(&scene.provider.secrets().await);
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_nobody() {
    let scene = Scene::start().await;
    for browser in [Browser::new(), scene.browser_of("ada").await] {
        let (path, unknown) =
            (scene.url("/integrations/acme/connection"), [None, Some("sid=s%3Aforged.x; theme=dark")]);
        browser.fetch("GET", &path).send().await;
        for cookie in unknown {
            let request = Browser::new().fetch("GET", &path);
            let request = match cookie {
                Some(cookie) => request.header("cookie", cookie),
                None => request,
            };
            let problem = request.send().await.expect_problem(401, "unauthenticated");
            assert!(problem["detail"].as_str().expect("words").contains("Log in to the application"), "{problem}");
        }
    }
    // A key that is wrong is not made right by a login.
    let ada = scene.browser_of("ada").await;
    let request = ada.fetch("GET", &scene.url("/proxy/acme/api/me")).header("authorization", "Bearer kf_wrong");
    request.send().await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn an_answer_holds_for_the_same_browser_and_decides_nothing() {
    let scene = Scene::of(Application::start().await, &format!("{WHOAMI}cache = \"1h\"\n"), |configuration| {
        configuration.caller(&("kf_none".into(), format!("sha256:{}", "0".repeat(64))))
    })
    .await;
    let (mut ada, bob) = (scene.browser_of("ada").await, scene.browser_of("bob").await);
    scene.application.questions().await;

    for _ in 0..5 {
        scene.call(&ada).await.expect_problem(424, "not_connected");
    }
    assert_eq!(scene.application.questions().await, 1, "five calls of one browser");
    for _ in 0..3 {
        let connection = bob.fetch("GET", &scene.url("/integrations/acme/connection")).send().await;
        connection.expect_problem(424, "not_connected");
    }
    assert_eq!(scene.application.questions().await, 1, "another browser is asked for by itself");
    let request =
        ada.fetch("GET", &scene.url("/proxy/acme/api/me")).header("authorization", "Bearer of-the-application");
    request.send().await.expect_problem(424, "not_connected");
    assert_eq!(scene.application.questions().await, 1, "and so is one that sends anything else");

    // What begins, finishes or ends something is asked for each time.
    let link = scene.start_link(&ada).await;
    assert_eq!(scene.application.questions().await, 1, "authorize");
    let page = ada.sign_in(&link, "ada").await;
    assert_eq!(page.status(), 200, "{}", page.text());
    assert_eq!(scene.application.questions().await, 2, "the start link and the callback");
    let confirm = ada.fetch("POST", &scene.url("/integrations/acme/confirm")).form([("code", "unknown")]);
    confirm.send().await.expect_problem(400, "state_mismatch");
    assert_eq!(scene.application.questions().await, 1, "confirm");
    ada.fetch("DELETE", &scene.url("/integrations/acme/connection")).send().await.expect(200);
    assert_eq!(scene.application.questions().await, 1, "DELETE");

    // Whoever logged out ends nothing more, whatever was known a moment ago.
    let request = ada.fetch("DELETE", &scene.url("/integrations/acme/connection"));
    ada.submit(&scene.url("/logout"), &[]).await;
    request.send().await.expect_problem(401, "unauthenticated");
    scene.application.seen().await;

    // Without anything to be told by, nobody is asked for.
    Browser::new().fetch("GET", &scene.url("/proxy/acme/api/me")).send().await.expect_problem(401, "unauthenticated");
    assert_eq!(scene.application.questions().await, 0);
}

#[tokio::test]
async fn an_answer_holds_for_what_a_trusted_proxy_says_alone() {
    let application = Application::configured(json!({ "proxied": true })).await;
    let scene = Scene::of(application, &format!("{WHOAMI}cache = \"1h\"\n"), |configuration| {
        configuration.server("trusted_proxies = [\"127.0.0.0/8\"]")
    })
    .await;
    // One session of the application, as that of a proxy that logs everybody in.
    let proxy = scene.browser_of("proxy").await;
    scene.application.questions().await;
    let request = |user: &str, tenant: &str| {
        let request = proxy.fetch("GET", &scene.url("/proxy/acme/api/me"));
        let request = request.header("x-forwarded-user", user).header("x-forwarded-host", tenant);
        // Whoever is not taken for exactly this person may not name them.
        request.header("keyferry-user", user).header("keyferry-org", tenant)
    };
    let everybody = [("ada", "one.test"), ("bob", "one.test"), ("ada", "two.test"), ("bob", "two.test")];
    for expected in [4, 0] {
        for (user, tenant) in everybody {
            request(user, tenant).send().await.expect_problem(424, "not_connected");
        }
        assert_eq!(scene.application.questions().await, expected);
    }
    for (name, value) in [
        ("x-real-ip", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=192.0.2.1"),
    ] {
        for expected in [1, 0] {
            request("ada", "one.test").header(name, value).send().await.expect_problem(424, "not_connected");
            assert_eq!(scene.application.questions().await, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn what_the_application_sets_when_it_is_asked_reaches_the_browser() {
    let scene =
        Scene::of(Application::configured(json!({ "renew": true })).await, WHOAMI, |configuration| configuration).await;
    let ada = scene.browser_of("ada").await;
    scene.application.questions().await;
    for expected in 1..=3 {
        let answer = scene.call(&ada).await;
        let set = answer.header("set-cookie").expect("the renewed session").to_owned();
        assert!(set.starts_with("sid="), "{set}");
        answer.expect_problem(424, "not_connected");
        assert_eq!(scene.application.questions().await, 1, "an answer that sets a cookie is not kept ({expected})");
    }
    let other = Browser::new().fetch("GET", &scene.url("/proxy/acme/api/me")).header("cookie", "sid=unknown");
    assert_eq!(other.send().await.header("set-cookie"), None);
}

#[tokio::test]
async fn an_application_in_trouble_says_nothing_about_anybody() {
    let mut scene = Scene::of(Application::start().await, &uncached(), |configuration| configuration).await;
    let ada = scene.browser_of("ada").await;
    scene.call(&ada).await.expect_problem(424, "not_connected");
    for (status, expected) in [
        (json!(500), (502, "upstream_unreachable")),
        (json!(503), (502, "upstream_unreachable")),
        (json!(429), (502, "upstream_unreachable")),
        (json!(401), (401, "unauthenticated")),
        (json!(403), (401, "unauthenticated")),
        (json!(404), (401, "unauthenticated")),
        (json!(302), (401, "unauthenticated")),
        (json!(204), (401, "unauthenticated")),
        (json!("html"), (401, "unauthenticated")),
    ] {
        scene.application.trouble(status).await;
        scene.call(&ada).await.expect_problem(expected.0, expected.1);
    }
    scene.application.trouble(json!(null)).await;
    scene.call(&ada).await.expect_problem(424, "not_connected");
    scene.application.kill();
    let problem = scene.call(&ada).await.expect_problem(502, "upstream_unreachable");
    assert!(problem["detail"].as_str().expect("words").contains("application"), "{problem}");
}

#[tokio::test]
async fn an_answer_without_a_name_is_nobody() {
    let scene = Scene::of(Application::start().await, &uncached(), |configuration| configuration).await;
    let ada = scene.browser_of("ada").await;
    for somebody in [json!("ada"), json!(7), json!(-7)] {
        scene.application.trouble(json!({ "id": somebody, "org": { "id": somebody } })).await;
        scene.call(&ada).await.expect_problem(424, "not_connected");
    }
    for nobody in [json!(null), json!(""), json!(false), json!(true), json!(1.5), json!(1e20), json!([]), json!({})] {
        for (user, org) in [(&nobody, &json!("analytical")), (&json!("ada"), &nobody)] {
            let answer = json!({ "id": user, "org": { "id": org } });
            scene.application.trouble(answer.clone()).await;
            let call = scene.call(&ada).await;
            assert_eq!(call.status, 401, "{answer}: {}", call.describe());
            call.expect_problem(401, "unauthenticated");
        }
    }
}

#[tokio::test]
async fn a_cookie_makes_no_page_of_a_providers_answer() {
    let scene = Scene::start().await;
    let mut ada = scene.browser_of("ada").await;
    let link = scene.start_link(&ada).await;
    ada.sign_in(&link, "ada").await;
    let url = scene.url("/proxy/acme/api/me");
    let with = |mode: &str, dest: &str| {
        let request = crate::support::Request::new(&crate::support::plain_client(), "GET", &url);
        request
            .header("cookie", &ada.cookies(&url).expect("a session"))
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest)
    };
    for dest in
        ["document", "iframe", "frame", "embed", "object", "script", "worker", "sharedworker", "serviceworker", "style"]
    {
        with("no-cors", dest).send().await.expect_problem(403, "cross_site");
    }
    with("navigate", "empty").send().await.expect_problem(403, "cross_site");
    for dest in ["empty", "image", "audio", "video"] {
        let answer = with("cors", dest).send().await.expect(200);
        assert_eq!(answer.header("content-security-policy"), Some("sandbox; default-src 'none'"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let page = ada.open(&url).await;
    page.answer.expect("an answer").expect_problem(403, "cross_site");

    // A form of a browser too old to say where it comes from, and of a foreign page.
    let cookies = ada.cookies(&url).expect("a session");
    let request = scene.keyferry.request("POST", "/proxy/acme/api/echo").header("cookie", &cookies);
    request.form([("a", "b")]).send().await.expect_problem(403, "cross_site");
    let request = scene.keyferry.request("POST", "/proxy/acme/api/echo").header("cookie", &cookies);
    request.header("origin", "http://evil.test").form([("a", "b")]).send().await.expect_problem(403, "cross_site");
    let answer = ada.fetch("POST", &scene.url("/proxy/acme/api/echo")).form([("a", "b")]).send().await.expect(200);
    assert_eq!(answer.json()["body_bytes"], 3);
}
