//! One scenario as it went: what was sent, what came of it, and what is wrong with that.

use serde::Serialize;

use super::player::{Heard, Part};
use super::transcript::{Masks, Step};
use crate::broker::{BrokerError, View};
use crate::model::{Grant, Timestamp};

/// A scenario that was played, or left out.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) steps: Vec<Step>,
    /// What was understood, line by line.
    pub(super) understood: Vec<(String, String)>,
    pub(super) faults: Vec<Fault>,
    /// Why it was not played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) left_out: Option<String>,
    #[serde(skip)]
    pub(super) masks: Masks,
}

/// What is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// The key of the file to look at.
    pub(super) key: String,
    pub(super) what: String,
}

impl Scene {
    pub(super) fn new((name, title): (&'static str, &'static str)) -> Self {
        Self {
            name,
            title,
            steps: Vec::new(),
            understood: Vec::new(),
            faults: Vec::new(),
            left_out: None,
            masks: Masks::default(),
        }
    }

    /// Says why there is nothing to play.
    pub(super) fn leave_out(&mut self, why: impl Into<String>) {
        self.left_out = Some(why.into());
    }

    pub(super) fn fault(&mut self, key: impl Into<String>, what: impl Into<String>) {
        let fault = Fault { key: key.into(), what: what.into() };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    pub(super) fn understood(&mut self, name: impl Into<String>, value: &str) {
        let value = self.masks.shown(value);
        self.understood.push((name.into(), value));
    }

    /// Writes down what the player heard; gives the new steps.
    pub(super) fn hear(&mut self, heard: &[Heard]) -> Vec<Step> {
        let steps: Vec<Step> = heard.iter().map(|heard| self.masks.heard(heard)).collect();
        for step in steps.iter().filter(|step| step.part == Some(Part::Unknown)) {
            self.fault("oauth", format!("{} {} went to no URL that the file names", step.method, step.url));
        }
        self.steps.extend(steps.iter().cloned());
        steps
    }

    /// What is known of a grant, and how its refresh token stands to the one before.
    pub(super) fn grant(&mut self, grant: &Grant, before: Option<&Grant>, now: Timestamp) {
        self.understood("access token", grant.access_token.expose());
        let old = before.and_then(|grant| grant.refresh_token.as_ref());
        let refresh_token = match (&grant.refresh_token, old) {
            (None, _) => "none".to_owned(),
            (Some(token), Some(old)) if token == old => format!("{}, kept", token.expose()),
            (Some(token), Some(_)) => format!("{}, in place of the one before", token.expose()),
            (Some(token), None) => token.expose().to_owned(),
        };
        self.understood("refresh token", &refresh_token);
        let life = |end: Timestamp| span(end.since(now).as_secs());
        let expires = grant.expires_at.map(life);
        self.understood("expires in", expires.as_deref().unwrap_or("not said: a 401 is the only sign"));
        if let Some(end) = grant.refresh_expires_at {
            self.understood("refresh expires in", &life(end));
        }
        let scopes = if grant.scopes.is_empty() { "none".to_owned() } else { grant.scopes.join(" ") };
        self.understood("scopes", &scopes);
        for (name, token) in &grant.extra {
            self.understood(format!("further token {name}"), token.expose());
        }
        for (name, value) in &grant.captured {
            self.understood(format!("captured {name}"), value);
        }
    }

    pub(super) fn status(&mut self, view: Option<&View>) {
        let status = view.map_or("not connected", |view| view.connection.status.as_str());
        self.understood("status", status);
    }

    /// Notes a failure that should not have been.
    pub(super) fn failed(&mut self, error: &BrokerError) {
        let what = reason(error);
        self.fault(key_of(&what), what);
    }
}

/// The span as files write it: `60d`, `1h 30m`.
fn span(seconds: u64) -> String {
    let units = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let told: Vec<String> =
        units.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if told.is_empty() { "0s".to_owned() } else { told.join(" ") }
}

/// Why something failed, in the words of the log.
pub(super) fn reason(error: &BrokerError) -> String {
    match error {
        BrokerError::TokenEndpoint { cause, .. } => cause.clone(),
        other => other.to_string(),
    }
}

/// The key to look at for a failure of that reason.
fn key_of(reason: &str) -> String {
    const BY_WORDS: [(&str, &str); 8] = [
        ("discovery request", "oauth.discovery"),
        ("there is no access token", "oauth.token_response.access_token"),
        ("token type is not bearer", "oauth.token_response.token_type"),
        ("a token is not of", "oauth.token_response.access_token"),
        ("with the error", "oauth.token_response.error"),
        ("refused the grant", "oauth.token_response.error"),
        ("refused our client", "oauth.token_response.error"),
        ("names no error", "oauth.token_response.error"),
    ];
    if let Some((_, key)) = BY_WORDS.iter().find(|(words, _)| reason.contains(words)) {
        return (*key).to_owned();
    }
    // Endpoints and the base URL name themselves.
    let word = |word: &&str| word.ends_with("_endpoint") || word.starts_with("api.") || *word == "issuer";
    match reason.split([' ', ':', ';']).find(word) {
        Some(api) if api.starts_with("api.") => api.to_owned(),
        Some(name) => format!("oauth.{name}"),
        None => "oauth".to_owned(),
    }
}
