//! Links that somebody has made up, in a real Chromium, where Keyferry stands in front of an application: what they bring
//! makes no request, and nobody speaks for somebody else by them.

use serde_json::json;

use super::provider;
use crate::support::{
    Application, AuthorizationServer, Client, Configuration, FrontEnd, Keyferry, Person, run_scenario,
};

#[tokio::test]
async fn a_made_up_link_does_nothing_for_whoever_made_it() {
    let server = AuthorizationServer::start().await;
    let (application, front_end) = (Application::start().await, FrontEnd::start().await);
    let login = "[app.identity]\nwhoami = \"/api/me\"\norg = \"$.org.id\"\nuser = \"$.id\"\n";
    let configuration = Configuration::new()
        .provider("acme", &provider(&server, "Acme", "support", ""))
        .client("acme", &Client::POST)
        .caller_for(&Keyferry::new_key().await, &[front_end.url()])
        .in_front_of(application.url(), login);
    let keyferry = Keyferry::start(configuration).await;
    let eve = keyferry.session(Person { org: "analytical", user: "eve" }).await;
    let ada = keyferry.session(Person { org: "analytical", user: "ada" }).await;
    let settings = json!({
        "keyferry": keyferry.public_url(),
        "application": application.url(),
        "frontEnd": front_end.url(),
        "sessions": { "eve": eve, "ada": ada },
    });
    run_scenario("crafted.mjs", &settings).await;
    keyferry.assert_keeps(&[server.secrets().await, vec![eve, ada]].concat());
}
