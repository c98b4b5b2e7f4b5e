//! A grant that the integration gets for itself (RFC 6749 section 4.4): nobody connects, everybody's calls carry it, and
//! it is asked for once.

use serde_json::{Value, json};

use super::Acme;
use crate::support::{AuthorizationServer, Client, Configuration, Keyferry, Person, Redis};

const FILE: &str = r#"
[oauth]
grant_types = ["client_credentials"]
token_endpoint = "SERVER/token"
revocation_endpoint = "SERVER/revoke"
scopes = ["read", "write"]
token_params = { audience = "https://{tenant}.example" }
token_request_headers = { X-Version = "2" }
[variables.tenant]
[api]
base_url = "SERVER/api"
"#;

const LINES: &str = "client_secret = \"the-secret\"\nvariables = { tenant = \"blue\" }";

const REQUEST: &str = "POST /token HTTP/1.1\naccept: application/json\nx-version: 2\n\
    content-type: application/x-www-form-urlencoded\nuser-agent: keyferry/0.1.0\nhost: server\n\
    content-length: {length}\n\ngrant_type=client_credentials&scope=read+write&audience=https%3A%2F%2Fblue.example\
    &client_id=the-id&client_secret=the-secret";

fn token(access_token: &str) -> Value {
    json!({ "access_token": access_token, "token_type": "bearer", "expires_in": 3600 })
}

#[tokio::test]
async fn the_first_call_gets_it_for_everybody() {
    let acme = Acme::start(FILE, LINES).await;
    // Before any call it is there already, and nothing was asked for.
    let before = acme.connection().await;
    assert_eq!((&before["status"], &before["scopes"]), (&json!("active"), &json!(["read", "write"])));
    assert_eq!((&before["expires_at"], &before["user_id"]), (&Value::Null, &json!(Person::ADA.user)));
    assert_eq!(acme.requests(), [""; 0]);

    acme.server.json("/token", &token("AT")).json("/api/me", &json!({})).json("/api/me", &json!({}));
    for person in [Person::ADA, Person::BOB] {
        acme.keyferry.call("acme", "/me", person).await.expect(200);
    }
    let requests = acme.requests();
    let [asked, calls @ ..] = &requests[..] else { panic!("requests") };
    assert_eq!(asked, REQUEST);
    assert_eq!(calls.len(), 2, "one token request");
    for call in calls {
        assert!(call.starts_with("GET /api/me HTTP/1.1\n") && call.contains("authorization: Bearer AT\n"), "{call}");
    }
    let after = acme.connection().await;
    assert_eq!(after["connection"], before["connection"], "it stays the same");
    assert!(after["expires_at"].is_string(), "{after}");
    let of_bob = acme.keyferry.credentials("acme", Person::BOB).await.expect(200).json();
    assert_eq!((&of_bob["connection"], &of_bob["user_id"]), (&after["connection"], &json!("bob")));
    acme.keyferry.assert_keeps(&["the-secret".into()]);
}

#[tokio::test]
async fn there_is_nothing_to_connect_or_disconnect() {
    let acme = Acme::start(FILE, LINES).await;
    let form = [("user_id", "ada"), ("org_id", "analytical")];
    let begun =
        acme.keyferry.request("POST", "/integrations/acme/authorize").form(form).send().await.expect(400).json();
    assert_eq!(begun["code"], "bad_request");
    assert_eq!(
        begun["detail"],
        "`acme` is connected by the operator, with one grant for everybody: there is nothing to connect. \
         Call /proxy/acme/ right away."
    );
    let ended = acme.keyferry.disconnect("acme", Person::ADA).await.expect(400).json();
    assert_eq!(
        ended["detail"],
        "`acme` is connected by the operator, with one grant for everybody: nobody can disconnect it. \
         Call /proxy/acme/ right away."
    );
    let url = format!("http://{}", acme.keyferry.address());
    let person = ["--org", Person::ADA.org, "--user", Person::ADA.user];
    let said = Keyferry::command(&[&["connect", "acme", "--no-browser", "--url", &url][..], &person].concat()).await;
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stderr.contains("there is nothing to connect"), "{}", said.stderr);
    let list = acme.keyferry.request_for("GET", "/integrations?integration=acme", Person::ADA);
    let list = list.header("accept", "application/json").send().await.expect(200).json();
    assert_eq!((&list[0]["status"], &list[0]["connected_by"]), (&json!("active"), &json!("operator")));
    assert_eq!(list[0]["variables"], json!([]), "they are the operator's");
    assert_eq!(acme.requests(), [""; 0]);
}

#[tokio::test]
async fn a_hundred_calls_ask_once() {
    let acme = Acme::start(FILE, LINES).await;
    acme.server.json("/token", &token("AT"));
    for _ in 0..100 {
        acme.server.json("/api/me", &json!({}));
    }
    let calls = (0..100).map(|_| acme.keyferry.call("acme", "/me", Person::ADA));
    for answer in futures_util::future::join_all(calls).await {
        answer.expect(200);
    }
    let requests = acme.requests();
    assert_eq!(requests.iter().filter(|request| request.starts_with("POST /token ")).count(), 1);
    assert_eq!(requests.len(), 101);
}

#[tokio::test]
async fn it_is_kept_over_a_restart() {
    let mut acme = Acme::start_with(Configuration::new().store("url = \"file:store.redb\""), FILE, LINES).await;
    acme.server.json("/token", &token("AT1")).json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    acme.keyferry.restart().await;
    acme.server.json("/api/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::BOB).await.expect(200);
    let requests = acme.requests();
    assert_eq!(requests.len(), 3, "one token request: {requests:?}");
    assert!(requests[2].contains("authorization: Bearer AT1\n"));
    acme.keyferry.assert_keeps(&["AT1".into(), "the-secret".into()]);
}

#[tokio::test]
async fn a_token_that_is_over_is_renewed_as_it_was_got() {
    let acme = Acme::start(FILE, LINES).await;
    let over = json!({ "access_token": "AT1", "expires_at": 1_000_000_000, "refresh_token": "RT" });
    acme.server.json("/token", &over).json("/token", &token("AT2"));
    acme.server.json("/api/me", &json!({})).json("/api/me", &json!({}));
    // The answer came with a token past its end; the call that asked for it has no other.
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let requests = acme.requests();
    let asked: Vec<&String> = requests.iter().filter(|request| request.starts_with("POST /token ")).collect();
    assert_eq!(asked, [REQUEST, REQUEST], "no refresh token is ever presented");
    assert!(requests.last().expect("a call").contains("authorization: Bearer AT2\n"));
}

#[tokio::test]
async fn a_refusal_is_the_operators_and_pauses() {
    let acme = Acme::start(FILE, LINES).await;
    acme.server.answer("/token", 400, "application/json", r#"{"error":"invalid_grant"}"#);
    let refused = acme.keyferry.call("acme", "/me", Person::ADA).await.expect(502);
    assert_eq!(refused.json()["code"], "token_endpoint_failed");
    let again = acme.keyferry.call("acme", "/me", Person::BOB).await.expect(502);
    assert!(again.header("retry-after").is_some(), "the pause is not over");
    assert_eq!(acme.requests().len(), 1, "and nobody asks in it");
    assert_eq!(acme.connection().await["status"], "active", "nobody has to connect again");
}

/// What follows a token answer follows this one too, each time.
#[tokio::test]
async fn where_to_call_is_learnt_with_each_token() {
    let file = "[oauth]\ngrant_types = [\"client_credentials\"]\ntoken_endpoint = \"SERVER/token\"\n\
        resource = \"https://acme.example/api\"\n\
        [[oauth.discovery]]\nurl = \"SERVER/where\"\ncapture = { place = { path = \"$.id\", pattern = \"[a-z]+\" } }\n\
        [api]\nbase_url = \"SERVER/api/{place}\"\n";
    let acme = Acme::start(file, "client_secret = \"the-secret\"").await;
    acme.server
        .json("/token", &token("AT"))
        .json("/where", &json!({ "id": "north" }))
        .json("/api/north/me", &json!({}));
    acme.keyferry.call("acme", "/me", Person::ADA).await.expect(200);
    let requests = acme.requests();
    let [asked, learnt, call] = &requests[..] else { panic!("requests: {requests:?}") };
    assert_eq!(
        asked.split_once("\n\n").expect("a body").1,
        "grant_type=client_credentials&resource=https%3A%2F%2Facme.example%2Fapi&client_id=the-id&client_secret=the-secret"
    );
    assert!(learnt.starts_with("GET /where HTTP/1.1\n") && learnt.contains("authorization: Bearer AT\n"), "{learnt}");
    assert!(call.starts_with("GET /api/north/me HTTP/1.1\n"), "{call}");
    assert_eq!(acme.connection().await["captured"], json!({ "place": "north" }));
}

#[tokio::test]
async fn without_its_secret_it_is_not_configured() {
    let acme = Acme::start(FILE, "").await;
    let answer = acme.keyferry.call("acme", "/me", Person::ADA).await.expect(500).json();
    assert_eq!(answer["code"], "integration_not_configured");
    let detail = answer["detail"].as_str().expect("a sentence");
    assert!(detail.contains("integrations.acme.client_secret") && detail.contains("variables.tenant"), "{detail}");
    let list = acme.keyferry.request_for("GET", "/integrations", Person::ADA).header("accept", "application/json");
    assert_eq!(list.send().await.expect(200).json()[0]["configured"], false);
}

#[tokio::test]
async fn replicas_share_it() {
    let redis = Redis::alone();
    let server = AuthorizationServer::configured(credentials_client()).await;
    let configuration = || real(&server).store(&redis.store());
    let replicas = [Keyferry::start(configuration()).await, Keyferry::start(configuration()).await];
    let calls = (0..20).map(|at| replicas[at % 2].call("acme", "/api/me", Person::ADA));
    for answer in futures_util::future::join_all(calls).await {
        answer.expect(200);
    }
    assert_eq!(server.count("/granted/client_credentials").await, 1);
    assert_eq!(server.live("ClientCredentials").await, 1);
}

/// `oidc-provider` gives it for a resource (RFC 8707), and again when it ends.
#[tokio::test]
async fn a_real_server_gives_it() {
    let mut settings = credentials_client();
    settings["access_token_ttl"] = 2.into();
    let server = AuthorizationServer::configured(settings).await;
    let keyferry = Keyferry::start(real(&server)).await;
    keyferry.call("acme", "/api/me", Person::ADA).await.expect(200);
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    keyferry.call("acme", "/api/me", Person::BOB).await.expect(200);
    assert_eq!(server.count("/granted/client_credentials").await, 2);
    let asked = server.token_requests().await;
    assert!(asked.iter().all(|request| request["grant_type"] == "client_credentials"), "{asked:?}");
}

fn credentials_client() -> Value {
    let client = Client { id: "service", secret: "a secret", method: "client_secret_basic" };
    let mut registration = client.registration();
    registration["grant_types"] = json!(["client_credentials"]);
    registration["redirect_uris"] = json!([]);
    registration["response_types"] = json!([]);
    json!({ "clients": [registration] })
}

fn real(server: &AuthorizationServer) -> Configuration {
    let file = format!(
        "[oauth]\ngrant_types = [\"client_credentials\"]\nissuer = \"{issuer}\"\n\
         token_endpoint_auth_method = \"client_secret_basic\"\n[api]\nbase_url = \"{issuer}\"\n",
        issuer = server.issuer()
    );
    Configuration::new()
        .provider("acme", &file)
        .toml("[integrations.acme]\nclient_id = \"service\"\nclient_secret = \"a secret\"")
}
