//! Refreshing: once per expired token, whoever waits; whatever the provider's token endpoint does, a grant that the
//! provider would still honour is not lost; and one that it refuses for good is said to be so.

mod faults;
mod once;
mod refused;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{AuthorizationServer, Client, Configuration, Keyferry, Person, until};

/// How long an access token lives that nothing is done with before it is over, in seconds; and one that calls are made
/// with first.
const SHORTEST: u64 = 1;
const SHORT: u64 = 3;
const LONG: u64 = 3600;
const LIMIT: Duration = Duration::from_secs(60);

fn configuration(server: &AuthorizationServer) -> Configuration {
    Configuration::new().integration("acme", server.issuer(), server.issuer(), &Client::POST)
}

/// Connects Ada with a token that expires soon, and waits until it has.
async fn connected_and_expired(server: &AuthorizationServer, keyferry: &Keyferry) {
    server.change(json!({ "access_token_ttl": SHORTEST })).await;
    keyferry.connect("acme", Person::ADA).await;
    expired(server).await;
    server.change(json!({ "access_token_ttl": LONG })).await;
}

/// Waits until every access token is over.
async fn expired(server: &AuthorizationServer) {
    until("the access tokens expire", LIMIT, || async { (server.live("AccessToken").await == 0).then_some(()) }).await;
}

/// Calls until the provider's API answers: a provider that is well again may be asked a little later.
async fn recovers(keyferry: &Keyferry) -> Value {
    until("a call is answered by the API", LIMIT, || async {
        let answer = keyferry.call("acme", "/api/me", Person::ADA).await;
        assert_ne!(answer.status, 424, "the grant is lost: {}", answer.describe());
        (answer.status == 200).then(|| answer.json())
    })
    .await
}

/// Makes `count` calls at once, spread over the processes; panics unless each gets the same token; answers its hash.
async fn calls_at_once(processes: &[&Keyferry], count: usize) -> String {
    let calls = (0..count).map(|number| processes[number % processes.len()].call("acme", "/api/me", Person::ADA));
    let answers = join_all(calls).await;
    let hash = |answer: &Value| answer["token_sha256"].as_str().expect("a hash").to_owned();
    let mut hashes: Vec<_> = answers.into_iter().map(|answer| hash(&answer.expect(200).json())).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "more than one token went out");
    hashes.remove(0)
}
