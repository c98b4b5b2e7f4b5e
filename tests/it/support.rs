//! What the black-box tests stand on: the real binary, real Redis servers, a real authorization server, vendors' SDKs,
//! a browser, and a raw socket. Everything is started on loopback, on ports of its own, in folders of its own, and ends
//! with the value that holds it. Nothing here knows the inside of Keyferry.

// Each topic uses a part of it, and which part changes with the topics.
#![allow(dead_code, reason = "each topic uses its part of the support")]

mod application;
mod authorization_server;
mod browser;
pub(crate) mod collector;
mod http;
mod integration;
mod keyferry;
mod keys;
mod metrics;
mod odd;
mod ports;
mod process;
mod raw;
mod recorder;
mod redis;
mod scenario;
mod scripted;
mod sdk;
mod vendors;

use std::{
    future::Future,
    path::PathBuf,
    time::{Duration, Instant},
};

pub(crate) use self::{
    application::{Application, Issuer},
    authorization_server::{AuthorizationServer, Client},
    browser::{Browser, Page},
    http::{Answer, Request, client as plain_client},
    integration::{Integration, hub_patch},
    keyferry::{Configuration, Keyferry, Person, RETURN_TO, assert_free_of},
    keys::{Keys, Token, take_tokens},
    metrics::Metrics,
    odd::Odd,
    ports::Port,
    process::Process,
    raw::Raw,
    recorder::{Recorded, Recorder},
    redis::Redis,
    scenario::{FrontEnd, run_scenario, type_check},
    scripted::Scripted,
    sdk::Sdk,
    vendors::Vendors,
};

/// Asks again and again until there is an answer, and panics with `what` when there is none within `limit`.
pub(crate) async fn until<T, F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A folder or file of `tests/peers`.
pub(crate) fn peers(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(path)
}
