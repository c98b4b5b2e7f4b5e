use serde_json::{Value, json};

use super::{PATIENCE, Scene};
use crate::support::{Keyferry, Person, Redis, Request, Scripted, until};

/// An integration that gets its grant for itself.
const REPORTS: &str = "[oauth]\ngrant_types = [\"client_credentials\"]\ntoken_endpoint = \"SERVER/token\"\n\
                       [api]\nbase_url = \"SERVER/api\"\n";

#[tokio::test]
async fn over_a_file() {
    let machine = Scripted::start().await;
    let file = REPORTS.replace("SERVER", &machine.url(""));
    let scene = Scene::with("url = \"file:data/keyferry.redb\"\n", |configuration| {
        configuration
            .provider("reports", &file)
            .toml("[integrations.reports]\nclient_id = \"machine\"\nclient_secret = \"m\"\n")
    })
    .await;
    let [ada, _, _] = connected(&scene).await;
    what_is_asked(&scene).await;
    whoever_asks_without_the_key(&scene).await;

    let id = ada["connection"].as_str().expect("an id");
    disconnected(&scene, id, &scene.keyferry).await;

    // What an integration has got for itself is the operator's, and nobody can disconnect it.
    assert_eq!(scene.list("integration=reports").await, [Value::Null; 0]);
    machine.json("/token", &json!({ "access_token": "AT", "token_type": "bearer" })).json("/api/me", &json!({}));
    scene.keyferry.call("reports", "/me", Person::ADA).await.expect(200);
    let all = scene.list("").await;
    let reports = all.iter().find(|one| one["integration"] == "reports").expect("it has one now");
    let of_nobody = (&reports["connected_by"], &reports["org_id"], &reports["user_id"]);
    assert_eq!(of_nobody, (&json!("operator"), &Value::Null, &Value::Null));
    assert!(scene.list("user=ada").await.iter().all(|one| one["integration"] != "reports"));
    let path = format!("/connections/{}", reports["connection"].as_str().expect("an id"));
    assert_eq!(scene.ask("GET", &path).await.expect(200).json(), *reports);
    scene.ask("DELETE", &path).await.expect_problem(400, "bad_request");
    scene.keyferry.assert_keeps(&[scene.server.secrets().await, vec![scene.admin_key.clone()]].concat());
}

#[tokio::test]
async fn over_redis_with_two_replicas() {
    let redis = Redis::alone();
    let scene = Scene::over(&redis.store()).await;
    let [ada, _, _] = connected(&scene).await;
    let replica = scene.keyferry.replica().await;
    replica.call("acme", "/api/me", Person::ADA).await.expect(200);
    let id = ada["connection"].as_str().expect("an id");

    // What does not open is told, and kept.
    let Redis::Alone(server) = &redis else { panic!("it is alone") };
    let lost = "keyferry:connection/acme/zed/zoe";
    let set = |name: &str| redis::cmd("SET").arg(name).arg("no record").exec(&mut server.raw()).expect("it is set");
    set(lost);
    let page = scene.ask("GET", "/connections?limit=1000").await.expect(200).json();
    assert_eq!((&page["unopenable"], &page["next"]), (&json!(1), &Value::Null));
    assert_eq!(scene.ask("GET", "/connections?user=ada").await.expect(200).json()["unopenable"], 0);
    let one = scene.ask("GET", "/connections?org=zed&user=zoe&integration=acme").await.expect(200).json();
    assert_eq!((&one["unopenable"], &one["connections"]), (&json!(1), &json!([])));
    let unknown = scene.ask("GET", "/connections/con_00000000000000000000000000").await;
    let detail = unknown.expect_problem(404, "not_found")["detail"].to_string();
    assert!(detail.contains("one record cannot be opened"), "{detail}");
    let deleted = scene.ask("DELETE", "/people?org=zed&user=zoe").await.expect(200).json();
    assert_eq!((&deleted["connections"], &deleted["unopenable"]), (&json!(0), &json!(1)));
    let kept: bool = redis::cmd("EXISTS").arg(lost).query(&mut server.raw()).expect("an answer");
    assert!(kept, "what does not open was deleted");

    disconnected(&scene, id, &replica).await;
}

/// Ada at `acme` and `other`, Bob at `acme`.
async fn connected(scene: &Scene) -> [Value; 3] {
    for (integration, person) in [("acme", Person::ADA), ("acme", Person::BOB), ("other", Person::ADA)] {
        scene.keyferry.connect(integration, person).await;
    }
    let find = async |integration: &str, person: Person| {
        let query = format!("integration={integration}&org={}&user={}", person.org, person.user);
        let found = scene.list(&query).await;
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    [find("acme", Person::ADA).await, find("other", Person::ADA).await, find("acme", Person::BOB).await]
}

/// Lists, pages and filters, and every mistake in a query.
async fn what_is_asked(scene: &Scene) {
    let names = |list: &[Value]| {
        let name = |one: &Value| format!("{}/{}", one["integration"], one["user_id"]).replace('"', "");
        let mut names: Vec<_> = list.iter().map(name).collect();
        names.sort();
        names
    };
    let check = async |query: &str, expected: &[&str]| {
        assert_eq!(names(&scene.list(query).await), expected, "{query}");
    };
    let all = ["acme/ada", "acme/bob", "other/ada"];
    check("", &all).await;
    check("limit=1", &all).await;
    let page = scene.ask("GET", "/connections?limit=2").await.expect(200).json();
    assert_eq!(page["connections"].as_array().map(Vec::len), Some(2));
    check("integration=acme", &all[..2]).await;
    check("integration=acme&org=analytical", &all[..2]).await;
    check("user=ada", &["acme/ada", "other/ada"]).await;
    check("user=ada&limit=1", &["acme/ada", "other/ada"]).await;
    check("org=analytical&status=active", &all).await;
    check("org=another", &[]).await;
    check("integration=unheard-of", &[]).await;
    check("status=disconnected", &[]).await;

    let list = scene.list("").await;
    let first = &list[0];
    let path = format!("/connections/{}", first["connection"].as_str().expect("an id"));
    assert_eq!(scene.ask("GET", &path).await.expect(200).json(), *first);
    assert_eq!((&first["connected_by"], &first["org_id"]), (&json!("person"), &json!("analytical")));
    assert_eq!(scene.ask("HEAD", &path).await.expect(200).body, b"");
    for id in ["con_00000000000000000000000000", "con_1", "", "..", "con_0000000000000000000000000%30"] {
        scene.ask("GET", &format!("/connections/{id}")).await.expect_problem(404, "not_found");
    }

    let page = scene.ask("GET", "/connections?limit=1").await.expect(200).json();
    let cursor = page["next"].as_str().expect("there are more");
    for query in [
        "colour=red",
        "limit=0",
        "limit=1001",
        "limit=many",
        "org=",
        "org=a%0Ab",
        "user=ada&user=bob",
        "integration=No+Name",
        "status=broken",
        "cursor=nonsense",
        "cursor=",
        &format!("user=ada&cursor={cursor}"),
        &format!("cursor={}x", cursor),
    ] {
        let problem = scene.ask("GET", &format!("/connections?{query}")).await.expect_problem(400, "bad_request");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.ends_with('.')), "{query}: {problem}");
    }
    scene.ask("GET", &format!("{path}?json=1")).await.expect_problem(400, "bad_request");
    scene.ask("POST", "/reload?soon=1").await.expect_problem(400, "bad_request");
    scene.ask("POST", "/connections").await.expect_problem(405, "method_not_allowed");
    scene.ask("GET", "/people").await.expect_problem(405, "method_not_allowed");
    scene.ask("GET", "/store").await.expect_problem(404, "not_found");
}

/// Security requirement C7: a key of the other listener opens nothing here, nor does a session.
async fn whoever_asks_without_the_key(scene: &Scene) {
    let session = scene.keyferry.session(Person::ADA).await;
    let keys = [None, Some("kf_wrong"), scene.keyferry.api_key(), Some(&session)];
    let operations = [
        ("GET", "/connections"),
        ("GET", "/connections/con_00000000000000000000000000"),
        ("DELETE", "/connections/con_00000000000000000000000000"),
        ("DELETE", "/people?org=analytical&user=ada"),
        ("POST", "/store/rekey"),
        ("POST", "/reload"),
        // Before it is known whether a query is right.
        ("GET", "/connections?colour=red"),
    ];
    for (method, path) in operations {
        for key in keys {
            let request = scene.keyferry.admin_request(method, path);
            let authorized = |request: Request, key| request.header("authorization", &format!("Bearer {key}"));
            let request = key.into_iter().fold(request, authorized);
            // A health check is one by its path, not by who sends it.
            let request = request.header("user-agent", "kube-probe/1.33");
            request.send().await.expect_problem(401, "unauthenticated");
        }
        // The callers' listener knows nothing of it, even with the admin key.
        let elsewhere = scene.keyferry.request(method, path);
        let elsewhere = elsewhere.header("authorization", &format!("Bearer {}", scene.admin_key));
        elsewhere.send().await.expect_problem(404, "not_found");
    }
    let denied = scene.audited("denied", |line| line["reason"] == "wrong_admin_key").await;
    assert!(denied["request.id"].is_string(), "{denied}");
    assert_eq!(scene.list("").await.len(), 3, "somebody without the key has changed something");

    let unkeyed = Keyferry::start(crate::support::Configuration::new()).await;
    for (method, path) in operations {
        let request = unkeyed.admin_request(method, path).header("authorization", "Bearer kf_any");
        request.send().await.expect_problem(403, "forbidden");
    }
}

/// The connection that Ada has at `acme` is ended by its id, here and at the provider; `elsewhere` is any replica.
async fn disconnected(scene: &Scene, id: &str, elsewhere: &Keyferry) {
    let path = format!("/connections/{id}");
    let before = scene.server.count("/revocation").await;
    let ended = scene.ask("DELETE", &path).await.expect(200).json();
    assert_eq!((&ended["connection"], &ended["status"]), (&json!(id), &json!("disconnected")));
    scene.keyferry.call("acme", "/api/me", Person::ADA).await.expect_problem(424, "not_connected");
    until("every replica knows", PATIENCE, || async {
        (elsewhere.call("acme", "/api/me", Person::ADA).await.status == 424).then_some(())
    })
    .await;
    until("the provider is told", PATIENCE, || async {
        (scene.server.count("/revocation").await > before).then_some(())
    })
    .await;
    let audited = scene.audited("disconnected", |line| line["connection.id"] == id).await;
    assert_eq!((&audited["user"], &audited["reason"]), (&json!("ada"), &json!("by_operator")));
    assert_eq!(scene.ask("DELETE", &path).await.expect(200).json()["status"], "disconnected", "it is no mistake");
    assert_eq!(scene.list("status=disconnected").await.len(), 1);
    scene.keyferry.call("acme", "/api/me", Person::BOB).await.expect(200);
    scene.keyferry.call("other", "/api/me", Person::ADA).await.expect(200);
}
