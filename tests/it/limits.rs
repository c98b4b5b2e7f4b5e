//! Rate budgets and circuits, from outside: what each mode makes of calls over the budget, one budget over replicas,
//! pauses that a provider asks for, circuits that open and close, and what readiness and metrics say of all that.

mod circuits;
mod modes;
mod pauses;
mod replicas;

use futures_util::future::join_all;
use serde_json::Value;

use crate::support::{Answer, AuthorizationServer, Client, Configuration, Keyferry, Person, Request, plain_client};

/// An integration at the authorization server's API, with `rate` in its provider file and `limits` in its own table.
fn configuration(server: &AuthorizationServer, rate: Option<&str>, limits: &str) -> Configuration {
    let (issuer, method) = (server.issuer(), Client::POST.method);
    let rate = rate.map(|rate| format!("rate = {rate}\n")).unwrap_or_default();
    let provider = format!(
        "[oauth]\nissuer = \"{issuer}\"\ntoken_endpoint_auth_method = \"{method}\"\n\
         authorization_params = {{ prompt = \"consent\" }}\n[api]\nbase_url = \"{issuer}\"\n{rate}"
    );
    Configuration::new()
        .provider("acme", &provider)
        .client("acme", &Client::POST)
        .toml(&format!("limits = \"{limits}\""))
}

/// One call for Ada.
async fn call(keyferry: &Keyferry) -> Answer {
    keyferry.call("acme", "/api/me", Person::ADA).await
}

/// Calls for Ada at once, spread over the processes; answers how many the provider answered. The others were refused
/// for the budget, each with a time to come back.
async fn answered_of(processes: &[&Keyferry], count: usize) -> usize {
    let answers = join_all((0..count).map(|number| call(processes[number % processes.len()]))).await;
    answers
        .into_iter()
        .filter(|answer| {
            if answer.status == 200 {
                return true;
            }
            refused(answer.clone());
            false
        })
        .count()
}

/// Panics unless the answer is a refusal for the budget; answers in how many seconds to come back.
#[track_caller]
fn refused(answer: Answer) -> u64 {
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
    answer.expect_problem(429, "rate_limited");
    seconds.filter(|seconds| *seconds > 0).expect("a time to come back")
}

/// The circuits that readiness names.
async fn circuits(keyferry: &Keyferry) -> Vec<Value> {
    let url = format!("http://{}/readyz", keyferry.admin());
    let ready = Request::new(&plain_client(), "GET", &url).send().await.expect(200).json();
    assert_eq!(ready["status"], "ready");
    ready["circuits"].as_array().expect("a list").clone()
}
