//! The connect page and connect.js in a real Chromium, against the real authorization server: the scenarios of
//! `tests/peers/browser`. `looks.mjs` leaves pictures of the page in the folder that `KEYFERRY_SCREENSHOTS` names.

mod crafted;

use std::time::{Duration, UNIX_EPOCH};

use keyferry::clock::Clock;
use serde_json::{Value, json};

use crate::support::{
    Application, AuthorizationServer, Client, Configuration, FrontEnd, Integration, Keyferry, Person, Vendors,
    hub_patch, run_scenario, type_check, until,
};

#[tokio::test]
async fn a_person_connects_on_the_page() {
    let scene = Open::start().await;
    scene.let_lapse("hubspot", Person { org: "analytical", user: "forgotten" }).await;
    run_scenario("connect.mjs", &scene.settings()).await;
    scene.keyferry.assert_keeps(&scene.server.secrets().await);
}

#[tokio::test]
async fn the_page_looks_right() {
    let scene = Open::start().await;
    scene.connect("hubspot", Person::ADA).await;
    scene.let_lapse("github", Person::ADA).await;
    let call = scene.keyferry.call("github", "/api/me", Person::ADA).await;
    call.expect_problem(424, "reconnect_required");
    run_scenario("looks.mjs", &scene.settings()).await;
}

#[tokio::test]
async fn items_come_into_a_table() {
    let scene = Open::start().await;
    for integration in ["hubspot", "notion", "airtable"] {
        scene.connect(integration, Person::ADA).await;
    }
    run_scenario("items.mjs", &scene.settings()).await;
    scene.keyferry.assert_keeps(&scene.server.secrets().await);
}

#[tokio::test]
async fn people_of_an_application_with_keyferry_in_front_of_it() {
    let (scene, settings) = InFront::start(&json!({}), Configuration::new()).await;
    run_scenario("behind.mjs", &settings).await;
    scene.keyferry.assert_keeps(&scene.server.secrets().await);
}

/// A cookie that no foreign site makes a browser send: not the provider either, which is at 127.0.0.1 here and sends people
/// back to localhost.
#[tokio::test]
async fn people_of_an_application_whose_cookie_is_strict() {
    let cookie = json!({ "cookie": { "sameSite": "strict" } });
    let (scene, settings) = InFront::start(&cookie, Configuration::new().on_localhost()).await;
    run_scenario("behind.mjs", &settings).await;
    scene.keyferry.assert_keeps(&scene.server.secrets().await);
}

#[tokio::test]
async fn an_application_of_another_origin_connects_by_the_script() {
    let users = ["ada", "bob", "redirect", "victim", "sender", "opener", "waiting"];
    let (scene, settings) = Keyed::start(&users).await;
    run_scenario("script.mjs", &settings).await;
    scene.assert_keeps(&settings).await;
}

#[tokio::test]
async fn a_session_is_handed_over_to_the_page() {
    let (scene, settings) = Keyed::start(&["ada", "bob", "hostile"]).await;
    run_scenario("session.mjs", &settings).await;
    scene.assert_keeps(&settings).await;
}

#[tokio::test]
async fn the_types_of_the_script_hold() {
    let keyferry = Keyferry::start(Configuration::new()).await;
    let types = keyferry.request("GET", "/integrations/connect.d.ts").send().await.expect(200).text();
    type_check(&types, "browser/types.ts").await;
}

#[tokio::test]
async fn the_files_are_served_as_browsers_like_them() {
    let keyferry = Keyferry::start(Configuration::new().caller(&Keyferry::new_key().await)).await;
    let page = keyferry.request("GET", "/integrations").header("accept", "text/html").send().await.expect(200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    for directive in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "connect-src 'self'"] {
        assert!(policy.contains(directive), "{directive}: {policy}");
    }
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("vary"), Some("accept, accept-encoding"));

    let (mut names, mut seen) = (vec!["page.js".to_owned(), "page.css".into(), "connect.d.ts".into()], Vec::new());
    while let Some(name) = names.pop() {
        let ask = || keyferry.request("GET", &format!("/integrations/{name}"));
        let plain = ask().send().await.expect(200);
        let packed = ask().header("accept-encoding", "gzip").send().await.expect(200);
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{name}");
        assert!(packed.body.len() * 2 < plain.body.len() + 1000, "{name}: {} bytes", packed.body.len());
        assert_eq!(packed.header("x-content-type-options"), Some("nosniff"), "{name}");
        let tag = packed.header("etag").expect("a tag");
        let again = ask().header("accept-encoding", "gzip").header("if-none-match", tag).send().await.expect(304);
        assert!(again.body.is_empty() && again.header("etag") == Some(tag), "{name}");
        // Only what is the same for everybody and made for other origins is given to them.
        let foreign = ask().header("origin", "http://evil.example").header("sec-fetch-site", "cross-site").send().await;
        if name.starts_with("connect.") {
            assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (200, Some("*")), "{name}");
            assert_eq!(foreign.header("cross-origin-resource-policy"), Some("cross-origin"), "{name}");
        } else {
            foreign.expect_problem(403, "cross_site");
        }
        ask_wrongly(&keyferry, &name).await;
        let text = plain.text();
        let imported = text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
        names.extend(imported.filter(|import| import.ends_with(".js") && !seen.contains(import)));
        seen.push(name);
    }
    assert!(seen.contains(&"connect.js".to_owned()) && seen.contains(&"items.js".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn the_list_says_what_is_asked_for() {
    let scene = Open::start().await;
    let list =
        scene.keyferry.request_for("GET", "/integrations?integration=acme", Person::ADA).send().await.expect(200);
    assert_eq!(list.header("vary"), Some("accept"));
    let list = list.json();
    let [acme] = list.as_array().expect("a list").as_slice() else { panic!("one: {list}") };
    assert_eq!((&acme["user_id"], &acme["status"]), (&json!("ada"), &Value::Null), "{acme}");
    let names: Vec<&Value> = acme["variables"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    // `plan` is the operator's, and `tier` has been set by the operator.
    assert_eq!(names, ["region", "subdomain", "token"], "{acme}");
    let secrets: Vec<&Value> = acme["variables"].as_array().expect("a list").iter().map(|one| &one["secret"]).collect();
    assert_eq!(secrets, [false, false, true], "{acme}");
    assert_eq!(acme["variables"][0]["enum"], json!(["eu", "us"]), "{acme}");
    assert_eq!(acme["variables"][1]["title"], "Subdomain", "{acme}");
}

async fn ask_wrongly(keyferry: &Keyferry, name: &str) {
    let path = format!("/integrations/{name}");
    keyferry.request("POST", &path).send().await.expect_problem(405, "method_not_allowed");
    keyferry.request("GET", &format!("{path}/")).send().await.expect_problem(404, "not_found");
}

/// An open Keyferry with some integrations, as a page would show them; three of them have items.
struct Open {
    server: AuthorizationServer,
    vendors: Vendors,
    keyferry: Keyferry,
}

impl Open {
    async fn start() -> Self {
        let server = AuthorizationServer::start().await;
        let vendors = Vendors::start(&server).await;
        let mut configuration = Configuration::new();
        for integration in [Integration::airtable(), Integration::hubspot(), Integration::notion()] {
            configuration = impatient(integration).configure(configuration, &server, &vendors);
        }
        let github = provider(&server, "GitHub", "development", "");
        let acme = provider(&server, "Acme Desk", "support", VARIABLES);
        let configuration = configuration
            .provider("github", &github)
            .client("github", &Client::POST)
            .provider("acme", &acme)
            .client("acme", &Client::POST)
            .toml("variables = { tier = \"gold\", plan = \"big\" }");
        Self { keyferry: Keyferry::start(configuration).await, server, vendors }
    }

    fn settings(&self) -> Value {
        json!({
            "keyferry": self.keyferry.public_url(), "issuer": self.server.issuer(), "vendors": self.vendors.url(),
        })
    }

    async fn connect(&self, integration: &str, person: Person) {
        self.server.fault(hub_patch()).await;
        self.keyferry.connect(integration, person).await;
        self.server.clear_faults().await;
    }

    /// Connects somebody there; then the token is over, and the provider has forgotten the grant.
    async fn let_lapse(&self, integration: &str, person: Person) {
        self.server.change(json!({ "access_token_ttl": 1 })).await;
        self.connect(integration, person).await;
        self.server.change(json!({ "access_token_ttl": 3600 })).await;
        let connection = self.keyferry.credentials(integration, person).await.expect(200).json();
        let over = humantime::parse_rfc3339(connection["expires_at"].as_str().expect("a time")).expect("a time");
        // Said in whole seconds, the last of which may have begun only.
        let over = over.duration_since(UNIX_EPOCH).expect("after 1970") + Duration::from_secs(1);
        let over = i64::try_from(over.as_millis()).expect("a time");
        until("the token is over", Duration::from_secs(20), || async {
            (Clock::System.now().unix_millis() > over).then_some(())
        })
        .await;
        self.server.forget("RefreshToken").await;
    }
}

/// An application with cookie sessions, and Keyferry in front of it.
struct InFront {
    server: AuthorizationServer,
    keyferry: Keyferry,
    _vendors: Vendors,
    _application: Application,
}

impl InFront {
    /// Starts them; also answers the settings for a scenario.
    async fn start(application: &Value, configuration: Configuration) -> (Self, Value) {
        let server = AuthorizationServer::start().await;
        let vendors = Vendors::start(&server).await;
        let application = Application::configured(application.clone()).await;
        let configuration = Integration::hubspot().configure(configuration, &server, &vendors);
        let login = "[app.identity]\nwhoami = \"/api/me\"\norg = \"$.org.id\"\nuser = \"$.id\"\n";
        let keyferry = Keyferry::start(configuration.in_front_of(application.url(), login)).await;
        let settings =
            json!({ "keyferry": keyferry.public_url(), "issuer": server.issuer(), "vendors": vendors.url() });
        (Self { server, keyferry, _vendors: vendors, _application: application }, settings)
    }
}

/// One more try is enough, so that what these scenarios break does not open a circuit as well.
fn impatient(integration: Integration) -> Integration {
    integration.api("retry = { wait = [\"header:retry-after\", \"10ms\"], max = 1 }")
}

const VARIABLES: &str = r#"
[variables.subdomain]
title = "Subdomain"
help = "The first part of your address, as in lovelace.acme-desk.example."
pattern = "^[a-z0-9-]+$"
[variables.region]
title = "Region"
enum = ["eu", "us"]
default = "eu"
[variables.token]
title = "API token"
secret = true
[variables.tier]
[variables.plan]
source = "operator"
"#;

fn provider(server: &AuthorizationServer, display_name: &str, category: &str, more: &str) -> String {
    let hint = if more.is_empty() { "" } else { ", ui_locales = \"{region}-{subdomain}-{tier}-{plan}\"" };
    let issuer = server.issuer();
    format!(
        "display_name = \"{display_name}\"\ncategory = \"{category}\"\n\
         documentation = \"https://docs.example/{category}\"\n\n[oauth]\nissuer = \"{issuer}\"\n\
         token_endpoint_auth_method = \"client_secret_post\"\n\
         authorization_params = {{ prompt = \"consent\"{hint} }}\n\n[api]\nbase_url = \"{issuer}\"\n{more}"
    )
}

/// A Keyferry with callers, an application of another, allowed origin, and a hostile page.
struct Keyed {
    server: AuthorizationServer,
    keyferry: Keyferry,
    _pages: [FrontEnd; 2],
}

impl Keyed {
    /// Starts them; also answers the settings for a scenario, with a session for each of the users.
    async fn start(users: &[&'static str]) -> (Self, Value) {
        let server = AuthorizationServer::start().await;
        let (application, hostile) = (FrontEnd::start().await, FrontEnd::start().await);
        let configuration = Configuration::new()
            .provider("acme", &provider(&server, "Acme", "support", ""))
            .client("acme", &Client::POST)
            .caller_for(&Keyferry::new_key().await, &[application.url()]);
        let keyferry = Keyferry::start(configuration).await;
        let mut sessions = json!({});
        for user in users {
            sessions[*user] = keyferry.session(Person { org: "analytical", user }).await.into();
        }
        let settings = json!({
            "keyferry": keyferry.public_url(),
            "issuer": server.issuer(),
            "application": application.url(),
            "hostile": hostile.url(),
            "sessions": sessions,
        });
        (Self { server, keyferry, _pages: [application, hostile] }, settings)
    }

    async fn assert_keeps(&self, settings: &Value) {
        let sessions = settings["sessions"].as_object().expect("sessions by user").values();
        let sessions = sessions.map(|session| session.as_str().expect("a session").to_owned()).collect();
        self.keyferry.assert_keeps(&[self.server.secrets().await, sessions].concat());
    }
}
