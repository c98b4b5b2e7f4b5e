//! Only the person who started a connection can complete it: with callers configured, a link that is passed on connects
//! nobody, whoever opens it, wherever in the flow it is passed on.

use std::time::Duration;

use crate::support::{AuthorizationServer, Browser, Client, Configuration, Keyferry, Person, RETURN_TO, until};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_initiator_confirms_and_is_connected() {
    let (server, keyferry) = scene().await;
    let (code, page) = keyferry.finish_unconfirmed("acme", Person::ADA).await;
    assert_eq!(page.parameter("integration").as_deref(), Some("acme"));
    keyferry.call("acme", "/api/me", Person::ADA).await.expect_problem(424, "not_connected");

    let connection = keyferry.confirm("acme", Person::ADA, &code).await.expect(200).json();
    assert_eq!((&connection["status"], &connection["user_id"]), (&"active".into(), &"ada".into()));
    assert_eq!(keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json()["account"], "ada");

    let again = keyferry.confirm("acme", Person::ADA, &code).await;
    assert!((400..500).contains(&again.status), "a code works twice: {}", again.describe());
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
    keyferry.assert_keeps(&[server.secrets().await, vec![code]].concat());
}

#[tokio::test]
async fn a_start_link_that_another_person_opens_connects_nobody() {
    let (server, keyferry) = scene().await;
    // Ada begins, and Bob is made to open her link: his browser is handed the code of her authorization.
    let start = keyferry.authorize("acme", Person::ADA, &[("return_to", RETURN_TO)]).await;
    let page = Browser::new().outside(RETURN_TO).sign_in(&start, "bob").await;
    let code = page.parameter("code").expect("the browser that opened the link gets the code");

    // The application, which knows that this browser is Bob's, confirms as Bob.
    keyferry.confirm("acme", Person::BOB, &code).await.expect_problem(403, "forbidden");
    nobody_is_connected(&server, &keyferry).await;

    // Nor is the code of any use to Ada afterwards.
    let late = keyferry.confirm("acme", Person::ADA, &code).await;
    assert!((400..500).contains(&late.status), "{}", late.describe());
    nobody_is_connected(&server, &keyferry).await;
}

#[tokio::test]
async fn a_start_link_works_in_one_browser() {
    let (server, keyferry) = scene().await;
    let start = keyferry.authorize("acme", Person::ADA, &[("return_to", RETURN_TO)]).await;
    assert!(start.starts_with(keyferry.public_url()), "not a link of Keyferry's own: {start}");
    let mut ada = Browser::new().outside(RETURN_TO);
    let signing_in = ada.open(&start).await;

    let second = Browser::new().outside(RETURN_TO).open(&start).await;
    assert!(second.status() >= 400, "a start link works twice: {}", second.text());
    assert!(!second.url.as_str().starts_with(server.issuer()), "{}", second.url);

    // It did not disturb the first.
    let page = ada.agree(signing_in, "ada").await;
    let code = page.parameter("code").expect("a code");
    keyferry.confirm("acme", Person::ADA, &code).await.expect(200);
}

#[tokio::test]
async fn a_provider_link_that_another_person_opens_connects_nobody() {
    let (server, keyferry) = scene().await;
    // Ada opens the start link and passes on where it led: the provider's own page, with her state.
    let start = keyferry.authorize("acme", Person::ADA, &[("return_to", RETURN_TO)]).await;
    let mut ada = Browser::new().outside(server.issuer());
    let provider = ada.open(&start).await.url;

    let page = Browser::new().outside(RETURN_TO).sign_in(provider.as_str(), "bob").await;
    assert_eq!(page.url.path(), "/integrations/acme/oauth2callback", "{}", page.url);
    assert_eq!(page.status(), 400, "{}", page.text());
    assert_eq!(server.count("/token/authorization_code").await, 0, "the cookie is checked before the exchange");
    nobody_is_connected(&server, &keyferry).await;
}

#[tokio::test]
async fn a_callback_that_is_carried_to_another_browser_connects_nobody() {
    let (server, keyferry) = scene().await;
    // Bob starts, signs in at the provider with an account of his, and makes Ada's browser take the callback.
    let start = keyferry.authorize("acme", Person::BOB, &[("return_to", RETURN_TO)]).await;
    let mut bob = Browser::new().outside(&keyferry.callback("acme"));
    let callback = bob.sign_in(&start, "bob").await.url;

    let page = Browser::new().outside(RETURN_TO).open(callback.as_str()).await;
    assert_eq!(page.status(), 400, "{}", page.text());
    assert_eq!(server.count("/token/authorization_code").await, 0);
    nobody_is_connected(&server, &keyferry).await;
}

#[tokio::test]
async fn a_connection_that_was_there_survives_somebody_elses_link() {
    let (_server, keyferry) = scene().await;
    keyferry.connect("acme", Person::ADA).await;
    let start = keyferry.authorize("acme", Person::ADA, &[("return_to", RETURN_TO)]).await;
    let page = Browser::new().outside(RETURN_TO).sign_in(&start, "bob").await;
    let code = page.parameter("code").expect("a code");
    keyferry.confirm("acme", Person::BOB, &code).await.expect_problem(403, "forbidden");
    let me = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
    assert_eq!(me["account"], "ada");
}

#[tokio::test]
async fn without_a_key_nothing_is_answered() {
    let (_server, keyferry) = scene().await;
    for (method, path) in [
        ("POST", "/integrations/acme/authorize"),
        ("POST", "/integrations/acme/confirm"),
        ("POST", "/integrations/acme/credentials"),
        ("GET", "/integrations/acme/connection"),
        ("DELETE", "/integrations/acme/connection"),
        ("POST", "/integrations/sessions"),
        ("GET", "/proxy/acme/api/me"),
    ] {
        for token in [None, Some("Bearer kf_wrong"), Some("Bearer kfs_wrong"), Some("token kf_wrong")] {
            let request =
                keyferry.request(method, path).header("keyferry-user", "ada").header("keyferry-org", "analytical");
            let request = match token {
                Some(token) => request.header("authorization", token),
                None => request,
            };
            let request =
                if method == "POST" { request.form([("user_id", "ada"), ("org_id", "analytical")]) } else { request };
            request.send().await.expect_problem(401, "unauthenticated");
        }
    }
}

#[tokio::test]
async fn a_session_speaks_for_its_person_only() {
    let (_server, keyferry) = scene().await;
    keyferry.connect("acme", Person::ADA).await;
    let ada = format!("Bearer {}", keyferry.session(Person::ADA).await);
    let bob = format!("Bearer {}", keyferry.session(Person::BOB).await);

    let call = |session: &str| keyferry.request("GET", "/proxy/acme/api/me").header("authorization", session);
    assert_eq!(call(&ada).send().await.expect(200).json()["account"], "ada");
    call(&bob).send().await.expect_problem(424, "not_connected");
    call(&bob).header("keyferry-user", "ada").send().await.expect_problem(403, "forbidden");

    keyferry
        .request_for("DELETE", "/integrations/sessions", Person::ADA)
        .json(&serde_json::json!({ "org_id": "analytical", "user_id": "ada" }))
        .send()
        .await;
    until("the person's sessions end", LIMIT, || async { (call(&ada).send().await.status == 401).then_some(()) }).await;
    call(&bob).send().await.expect_problem(424, "not_connected");
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
}

async fn scene() -> (AuthorizationServer, Keyferry) {
    let server = AuthorizationServer::start().await;
    let configuration = Configuration::new()
        .integration("acme", server.issuer(), server.issuer(), &Client::POST)
        .caller(&Keyferry::new_key().await);
    (server, Keyferry::start(configuration).await)
}

/// Neither Ada nor Bob, and nothing that the provider gave is left.
async fn nobody_is_connected(server: &AuthorizationServer, keyferry: &Keyferry) {
    for person in [Person::ADA, Person::BOB] {
        keyferry.call("acme", "/api/me", person).await.expect_problem(424, "not_connected");
    }
    until("what was granted is revoked", LIMIT, || async {
        (server.live("RefreshToken").await == 0 && server.live("AccessToken").await == 0).then_some(())
    })
    .await;
}
