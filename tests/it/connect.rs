//! A person connects an account at a real authorization server, an application calls, the token expires and is
//! refreshed, the application calls again, the person disconnects: over every store, with every client authentication,
//! discovered by the issuer alone. And what a person, or somebody with a person's link, may do otherwise.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use url::Url;

use crate::redis_servers::{Cluster, Secured, Watched, raw};
use crate::support::{
    AuthorizationServer, Browser, Client, Configuration, Keyferry, Person, RETURN_TO, Redis, assert_free_of, until,
};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn over_memory() {
    lifecycle("url = \"memory:\"\n", Vec::new).await;
}

#[tokio::test]
async fn over_a_file() {
    lifecycle("url = \"file:data/keyferry.redb\"\n", Vec::new).await;
}

#[tokio::test]
async fn over_redis() {
    over(Redis::alone()).await;
}

#[tokio::test]
async fn over_redis_with_tls_and_a_limited_user() {
    over(Redis::Secured(Secured::start())).await;
}

#[tokio::test]
async fn over_sentinel() {
    over(Redis::Watched(Watched::start())).await;
}

#[tokio::test]
async fn over_a_cluster() {
    over(Redis::Cluster(Cluster::start())).await;
}

#[tokio::test]
async fn a_failover_loses_no_connection() {
    let server = AuthorizationServer::start().await;
    let mut watched = Watched::start();
    let store = Redis::lines(&watched.url());
    let keyferry = acme(&server, Configuration::new().store(&store)).await;
    keyferry.connect("acme", Person::ADA).await;
    let before = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
    let mut master = raw(&format!("redis://:secret@127.0.0.1:{}", watched.master.port));
    let replicas: u64 = redis::cmd("WAIT").arg(1).arg(5000).query(&mut master).expect("an answer");
    assert_eq!(replicas, 1, "the replica has the connection");

    watched.master.kill();
    // While nobody takes writes, Keyferry says so, and never that somebody is not connected.
    until("connections can be made again", LIMIT, || async {
        let form = [("user_id", "bob"), ("org_id", "analytical")];
        let began = keyferry.request("POST", "/integrations/acme/authorize").form(form).send().await;
        let called = keyferry.call("acme", "/api/me", Person::ADA).await;
        for answer in [&began, &called] {
            assert!(answer.status == 200 || answer.header("keyferry-error") == Some("store_unavailable"), "{answer:?}");
        }
        (began.status == 200).then_some(())
    })
    .await;
    keyferry.connect("acme", Person::BOB).await;
    let after = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
    assert_eq!(before, after);
}

async fn over(redis: Redis) {
    lifecycle(&redis.store(), || redis.backup()).await;
}

/// The whole life of a connection, for each client authentication. `backup` is what lies in the store at the end.
async fn lifecycle(store: &str, backup: impl Fn() -> Vec<u8>) {
    let server = AuthorizationServer::start().await;
    let integrations = [("acme", Client::POST), ("other", Client::BASIC), ("third", Client::NONE)];
    let mut configuration = Configuration::new().store(store);
    for (name, client) in &integrations {
        configuration = configuration.integration(name, server.issuer(), server.issuer(), client);
    }
    let keyferry = Keyferry::start(configuration).await;

    server.change(json!({ "access_token_ttl": 4 })).await;
    let mut firsts = Vec::new();
    for (name, client) in &integrations {
        let unconnected = keyferry.call(name, "/api/me", Person::ADA).await.expect_problem(424, "not_connected");
        assert!(unconnected["connect_url"].is_string(), "{unconnected}");

        keyferry.connect(name, Person::ADA).await;
        let first = keyferry.call(name, "/api/me", Person::ADA).await.expect(200).json();
        assert_eq!((&first["account"], &first["client_id"]), (&json!("ada"), &json!(client.id)));

        let connection = keyferry.credentials(name, Person::ADA).await.expect(200).json();
        for (key, value) in [
            ("integration", *name),
            ("provider", *name),
            ("org_id", "analytical"),
            ("user_id", "ada"),
            ("status", "active"),
        ] {
            assert_eq!(connection[key], value, "{connection}");
        }
        for key in ["connection", "scopes", "expires_at", "captured"] {
            assert!(!connection[key].is_null(), "`{key}` is missing in {connection}");
        }

        firsts.push(first);
    }

    // Meanwhile the tokens end. The server counts in whole seconds, and for a part of one it may refuse what is not over
    // here: the refusal of a token as young as this is the caller's.
    let early = Cell::new(0);
    server.change(json!({ "access_token_ttl": 3600 })).await;
    for ((name, _), first) in integrations.iter().zip(firsts) {
        let refreshes = server.count("/token/refresh_token").await;
        until("the token is refreshed", LIMIT, || async {
            let answer = keyferry.call(name, "/api/me", Person::ADA).await;
            if answer.status == 401 {
                early.set(early.get() + 1);
                return None;
            }
            (answer.expect(200).json()["token_sha256"] != first["token_sha256"]).then_some(())
        })
        .await;
        assert_eq!(server.count("/token/refresh_token").await, refreshes + 1);

        keyferry.call(name, "/api/me", Person::BOB).await.expect_problem(424, "not_connected");

        let granted = server.live("RefreshToken").await;
        assert!((200..300).contains(&keyferry.disconnect(name, Person::ADA).await.status));
        keyferry.call(name, "/api/me", Person::ADA).await.expect_problem(424, "not_connected");
        until("the grant is revoked at the provider", LIMIT, || async {
            (server.live("RefreshToken").await < granted).then_some(())
        })
        .await;

        keyferry.connect(name, Person::ADA).await;
        keyferry.call(name, "/api/me", Person::ADA).await.expect(200);
    }

    let requests = server.token_requests().await;
    for (name, client) in &integrations {
        assert!(requests.iter().any(|request| request["authentication"] == client.method), "{name}");
    }
    let exchanges = requests.iter().filter(|request| request["grant_type"] == "authorization_code");
    for exchange in exchanges {
        let parameters = exchange["parameters"].to_string();
        assert!(parameters.contains("code_verifier") && parameters.contains("redirect_uri"), "{exchange}");
    }
    assert_eq!(server.count("/api/401").await, early.get(), "every other call went out with a living token");
    assert_eq!(server.count("/token_errors/invalid_grant").await, 0);

    let secrets = server.secrets().await;
    keyferry.assert_keeps(&secrets);
    assert_free_of(&secrets.iter().collect::<Vec<_>>(), "the store", &backup());
}

#[tokio::test]
async fn the_authorization_url_holds_what_the_standards_ask_for() {
    let server = AuthorizationServer::start().await;
    let keyferry = acme(&server, Configuration::new()).await;
    let url = Url::parse(&keyferry.authorize("acme", Person::ADA, &[]).await).expect("a URL");
    assert!(url.as_str().starts_with(&server.url("/auth?")), "{url}");
    let parameter = |name: &str| {
        let mut values = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let value = values.next().unwrap_or_else(|| panic!("no {name} in {url}"));
        assert_eq!(values.next(), None, "{name} stands twice");
        value
    };
    assert_eq!(parameter("response_type"), "code");
    assert_eq!(parameter("client_id"), Client::POST.id);
    assert_eq!(parameter("redirect_uri"), keyferry.callback("acme"));
    assert_eq!(parameter("scope"), "openid offline_access");
    assert_eq!(parameter("prompt"), "consent");
    assert_eq!(parameter("code_challenge_method"), "S256");
    assert_eq!(parameter("code_challenge").len(), 43);
    // 256 random bits.
    assert!(parameter("state").len() >= 43, "{url}");

    let again = keyferry.authorize("acme", Person::ADA, &[]).await;
    let again = Url::parse(&again).expect("a URL");
    for (name, value) in again.query_pairs().filter(|(key, _)| key == "state" || key == "code_challenge") {
        assert_ne!(parameter(&name), value, "{name} is used twice");
    }
}

#[tokio::test]
async fn the_redirect_uri_is_never_taken_from_a_request() {
    let server = AuthorizationServer::start().await;
    let keyferry = acme(&server, Configuration::new()).await;
    let ask = |name: &'static str, value: String| {
        keyferry
            .request("POST", "/integrations/acme/authorize")
            .header(name, &value)
            .form([("user_id", "ada"), ("org_id", "analytical")])
            .send()
    };
    let port = keyferry.address().port();
    let url = ask("host", format!("localhost:{port}")).await.expect(200).json();
    let url = Url::parse(url.as_str().expect("a string")).expect("a URL");
    assert!(url.query_pairs().any(|(key, value)| key == "redirect_uri" && value == keyferry.callback("acme")), "{url}");

    ask("host", "evil.example".to_owned()).await.expect_problem(421, "wrong_host");
    for header in ["x-forwarded-host", "forwarded", "x-forwarded-for", "x-forwarded-proto"] {
        let answer = ask(header, "evil.example".to_owned()).await;
        assert!((400..500).contains(&answer.status), "{header}: {}", answer.describe());
    }
}

#[tokio::test]
async fn a_callback_works_once() {
    let server = AuthorizationServer::start().await;
    let keyferry = acme(&server, Configuration::new()).await;
    let callback = keyferry.callback("acme");
    let url = keyferry.authorize("acme", Person::ADA, &[]).await;
    let page = Browser::new().outside(&callback).sign_in(&url, "ada").await;
    let path = format!("{}?{}", page.url.path(), page.url.query().expect("a code"));

    let answers = join_all((0..50).map(|_| keyferry.request("GET", &path).send())).await;
    let worked = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((worked, server.count("/token/authorization_code").await), (1, 1));
    assert!(answers.iter().all(|answer| [200, 400].contains(&answer.status)));
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);

    for header in ["cache-control", "referrer-policy", "content-security-policy"] {
        assert!(answers.iter().all(|answer| answer.header(header).is_some()), "{header}");
    }
}

#[tokio::test]
async fn a_wrong_callback_sends_nothing() {
    let server = AuthorizationServer::start().await;
    let keyferry = acme(&server, Configuration::new()).await;
    let url = keyferry.authorize("acme", Person::ADA, &[]).await;
    let page = Browser::new().outside(&keyferry.callback("acme")).sign_in(&url, "ada").await;
    let (code, state) = (page.parameter("code").expect("a code"), page.parameter("state").expect("a state"));
    let issuer = server.issuer();
    for query in [
        String::new(),
        format!("code={code}"),
        format!("code={code}&state=&iss={issuer}"),
        format!("code={code}&state=wrong&iss={issuer}"),
        format!("state={state}x&code={code}&iss={issuer}"),
        "error=<script>alert(1)</script>&error_description=<img src=x onerror=alert(2)>&state=x".to_owned(),
    ] {
        let answer = keyferry.request("GET", &format!("/integrations/acme/oauth2callback?{query}")).send().await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.describe());
        assert!(!answer.text().contains("alert("), "{query} is echoed");
    }
    // A mixed-up issuer (RFC 9207) spoils the authorization that it names.
    let mixed = format!("/integrations/acme/oauth2callback?code={code}&state={state}&iss=https://evil.example");
    keyferry.request("GET", &mixed).send().await.expect(400);
    assert_eq!(server.count("/token/authorization_code").await, 0);
    keyferry.call("acme", "/api/me", Person::ADA).await.expect_problem(424, "not_connected");
}

#[tokio::test]
async fn a_person_may_say_no_and_is_not_quoted() {
    let server = AuthorizationServer::start().await;
    let keyferry = acme(&server, Configuration::new()).await;
    let page = Browser::new().deny(&keyferry.authorize("acme", Person::ADA, &[]).await).await;
    assert_eq!(page.status(), 400, "{}", page.text());
    assert!(!page.text().contains("End-User aborted"), "the provider's words are echoed");
    assert_eq!(server.count("/token/authorization_code").await, 0);
    keyferry.call("acme", "/api/me", Person::ADA).await.expect_problem(424, "not_connected");
}

#[tokio::test]
async fn returns_to_allowed_origins_only() {
    let server = AuthorizationServer::start().await;
    let allowed = Configuration::new().server("allowed_origins = [\"http://app.test\"]");
    let keyferry = acme(&server, allowed).await;

    let url = keyferry.authorize("acme", Person::ADA, &[("return_to", &format!("{RETURN_TO}?page=2"))]).await;
    let page = Browser::new().outside("http://app.test").sign_in(&url, "ada").await;
    assert!(page.url.as_str().starts_with(&format!("{RETURN_TO}?")), "{}", page.url);
    assert_eq!(page.parameter("page").as_deref(), Some("2"));
    assert_eq!(page.parameter("integration").as_deref(), Some("acme"));
    assert!(page.parameter("status").is_some());
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);

    for elsewhere in [
        "http://app.test.evil.example/",
        "http://app.test@evil.example/",
        "https://app.test/",
        "http://app.test:81/",
        "//evil.example/",
        "/\\evil.example/",
        "javascript:alert(1)",
        "http:evil.example",
        "\thttp://evil.example/",
    ] {
        keyferry
            .request("POST", "/integrations/acme/authorize")
            .form([("user_id", "ada"), ("org_id", "analytical"), ("return_to", elsewhere)])
            .send()
            .await
            .expect_problem(400, "bad_request");
    }
}

#[tokio::test]
async fn connecting_again_replaces_the_account() {
    let server = AuthorizationServer::start().await;
    let keyferry = acme(&server, Configuration::new()).await;
    for account in ["first", "second"] {
        let url = keyferry.authorize("acme", Person::ADA, &[]).await;
        assert_eq!(Browser::new().sign_in(&url, account).await.status(), 200);
        let me = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
        assert_eq!(me["account"], account);
    }
    until("the replaced grant is revoked", LIMIT, || async { (server.live("RefreshToken").await == 1).then_some(()) })
        .await;
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
}

#[tokio::test]
async fn a_failed_attempt_leaves_the_connection_alone() {
    let server = AuthorizationServer::start().await;
    let keyferry = acme(&server, Configuration::new()).await;
    keyferry.connect("acme", Person::ADA).await;
    let before = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();

    Browser::new().deny(&keyferry.authorize("acme", Person::ADA, &[]).await).await;
    server.fault(json!({ "mode": "500", "grant_type": "authorization_code" })).await;
    let page = Browser::new().sign_in(&keyferry.authorize("acme", Person::ADA, &[]).await, "ada").await;
    assert!(page.status() >= 400, "{}", page.text());

    let after = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
    assert_eq!(before["token_sha256"], after["token_sha256"]);
}

#[tokio::test]
async fn a_code_is_sent_once_even_when_the_answer_is_lost() {
    let server = AuthorizationServer::start().await;
    let keyferry = acme(&server, Configuration::new()).await;
    server.fault(json!({ "mode": "drop_after", "grant_type": "authorization_code" })).await;
    let page = Browser::new().sign_in(&keyferry.authorize("acme", Person::ADA, &[]).await, "ada").await;
    assert!(page.status() >= 400, "{}", page.text());
    assert_eq!(server.count("/token/authorization_code").await, 1);
    keyferry.connect("acme", Person::ADA).await;
}

#[tokio::test]
async fn a_connection_outlives_the_process() {
    let redis = Redis::alone();
    for store in ["url = \"file:data/keyferry.redb\"\n".to_owned(), redis.store()] {
        let server = AuthorizationServer::start().await;
        let mut keyferry = acme(&server, Configuration::new().store(&store)).await;
        keyferry.connect("acme", Person::ADA).await;
        let before = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
        keyferry.restart().await;
        let restarted = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
        keyferry.crash_and_restart().await;
        let crashed = keyferry.call("acme", "/api/me", Person::ADA).await.expect(200).json();
        assert_eq!(before, restarted);
        assert_eq!(before, crashed);
        assert_eq!(server.count("/token/refresh_token").await, 0, "{store}");
    }
}

async fn acme(server: &AuthorizationServer, configuration: Configuration) -> Keyferry {
    let configuration = configuration.integration("acme", server.issuer(), server.issuer(), &Client::POST);
    Keyferry::start(configuration).await
}
