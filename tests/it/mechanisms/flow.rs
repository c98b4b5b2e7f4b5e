//! The whole life of one connection, every byte of it: the browser's URL, the exchange, a refresh before the first call,
//! that call, and the revocation.

use std::{fmt::Write as _, time::Duration};

use regex_lite::Regex;
use serde_json::{Value, json};

use super::Acme;
use crate::support::Person;

/// What a provider file says, and what its provider does. What is not said is as in `plain.rs`.
pub(crate) struct Flow<'a> {
    oauth: &'a str,
    tables: &'a str,
    api: &'a str,
    lines: &'a str,
    fields: &'a [(&'a str, &'a str)],
    callback: &'a str,
    tokens: [&'a str; 2],
    more: Value,
}

impl<'a> Flow<'a> {
    /// With these keys of `[oauth]`, which replace the ones of the same name.
    pub(crate) fn of(oauth: &'a str) -> Self {
        Self {
            oauth,
            tables: "",
            api: "",
            lines: "client_secret = \"the-secret\"",
            fields: &[],
            callback: "code=the-code&state={state}",
            tokens: ["/token", "/token"],
            more: json!({}),
        }
    }

    /// Tables before `[api]`.
    pub(crate) fn tables(self, tables: &'a str) -> Self {
        Self { tables, ..self }
    }

    /// Keys of `[api]`, and tables below it.
    pub(crate) fn api(self, api: &'a str) -> Self {
        Self { api, ..self }
    }

    /// Keys of the integration in place of its client secret.
    pub(crate) fn integration(self, lines: &'a str) -> Self {
        Self { lines, ..self }
    }

    /// What whoever connects sends.
    pub(crate) fn fields(self, fields: &'a [(&'a str, &'a str)]) -> Self {
        Self { fields, ..self }
    }

    /// The query that the browser comes back with.
    pub(crate) fn callback(self, callback: &'a str) -> Self {
        Self { callback, ..self }
    }

    /// Where the exchange and the refresh are answered.
    pub(crate) fn tokens_at(self, exchange: &'a str, refresh: &'a str) -> Self {
        Self { tokens: [exchange, refresh], ..self }
    }

    /// More fields of the answer to the exchange.
    pub(crate) fn answer(self, more: Value) -> Self {
        Self { more, ..self }
    }

    /// Starts both sides.
    pub(crate) async fn start(&self) -> Acme {
        let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
        let own: Vec<String> = self.oauth.lines().map(key).collect();
        let defaults = [
            "authorization_endpoint = \"SERVER/authorize\"",
            "token_endpoint = \"SERVER/token\"",
            "revocation_endpoint = \"SERVER/revoke\"",
        ];
        let defaults = defaults.into_iter().filter(|line| !own.contains(&key(line)));
        let oauth: Vec<&str> = defaults.chain([self.oauth]).collect();
        let base = if self.api.contains("base_url") { "" } else { "base_url = \"SERVER/api\"" };
        let file = format!("[oauth]\n{}\n{}\n[api]\n{base}\n{}\n", oauth.join("\n"), self.tables, self.api);
        Acme::start(&file, self.lines).await
    }

    /// Connects, calls with a token that is over, disconnects and ends; gives all that was sent and what it led to.
    pub(crate) async fn run(self) -> String {
        let mut acme = self.start().await;
        let sent = acme.begin(self.fields).await;
        let mut story = format!("{}\n", without_chance(&sent.url));

        let mut first =
            json!({ "access_token": "AT1", "token_type": "bearer", "refresh_token": "RT", "expires_at": 1 });
        for (name, value) in self.more.as_object().expect("an object") {
            first[name] = value.clone();
        }
        acme.server.json(self.tokens[0], &first);
        let back = acme.come_back(&self.callback.replace("{state}", &sent.state)).await;
        acme.tell(&mut story, &sent.state);
        back.expect(200);

        let second = json!({ "access_token": "AT2", "token_type": "bearer", "expires_in": 3600 });
        acme.server.json(self.tokens[1], &second);
        acme.server.json("/api/me", &json!({}));
        let call = acme.keyferry.call("acme", "/me", Person::ADA).await;
        acme.tell(&mut story, &sent.state);
        writeln!(story, "\n=> {} {}", call.status, call.header("keyferry-error").unwrap_or("the provider's"))
            .expect("text");

        for _ in 0..2 {
            acme.server.json("/revoke", &json!({}));
        }
        acme.keyferry.disconnect("acme", Person::ADA).await.expect(200);
        // What is under way goes on to its end, a revocation too.
        acme.keyferry.terminate();
        acme.keyferry.wait(Duration::from_secs(30)).await;
        acme.tell(&mut story, &sent.state);
        story
    }
}

impl Acme {
    /// Adds the requests that have come, with what is fresh in each under its name.
    fn tell(&self, story: &mut String, state: &str) {
        for request in self.requests() {
            let request = if state.is_empty() { request } else { request.replace(state, "{state}") };
            write!(story, "\n{}\n", without_chance(request.trim_end())).expect("text");
        }
    }
}

/// With what is drawn anew, our own name on the way of a call included, under its name.
fn without_chance(text: &str) -> String {
    let fresh = Regex::new("[A-Za-z0-9_-]{43}").expect("a regular expression");
    let own = Regex::new("via: 1.1 keyferry-[A-Za-z0-9_-]+").expect("a regular expression");
    own.replace_all(&fresh.replace_all(text, "{random}"), "via: {keyferry}").into_owned()
}
