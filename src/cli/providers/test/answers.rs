//! What the player answers: token answers whose fields stand where the file looks for them, and errors where it looks
//! for those. With a vendor's own example, that one, and only our tokens put into it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::samples;
use crate::mapping::{Encoding, Path};
use crate::model::Timestamp;
use crate::oauth::{Discovery, Protocol, TokenCapture, TokenExchange, TokenResponse};
use crate::provider::Provider;

/// How long an access token lives, where the answer says it.
pub(super) const LIFE: Duration = Duration::from_secs(3600);

/// The key of discoveries.
pub(super) const DISCOVERY: &str = "oauth.discovery";

/// The tokens of one answer, and how it says when they end.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    pub(super) access: Option<String>,
    pub(super) refresh: Option<String>,
    pub(super) life: Life,
}

/// How an answer says how long the access token lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Number,
    Text,
    Unsaid,
}

/// Makes answers for one file.
#[derive(Clone, Debug)]
pub(super) struct Answers<'a> {
    provider: &'a Provider,
    /// The vendor's own example of a token answer.
    example: Option<Value>,
    /// The vendor's own examples of discovery answers, in the order of the file.
    found: Vec<Value>,
    /// What the captures are to find, but for those that no document can be made for.
    pub(super) captured: BTreeMap<String, String>,
    /// What stands in the answers for that.
    sent: BTreeMap<String, String>,
    /// The keys whose fields cannot be put where their paths lead.
    pub(super) unplayable: Vec<String>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(provider: &'a Provider, example: Option<Value>, found: Vec<Value>) -> Self {
        let mut answers =
            Self { provider, example, found, captured: BTreeMap::new(), sent: BTreeMap::new(), unplayable: Vec::new() };
        if answers.example.is_none() {
            answers.invent_captures();
        }
        answers.invent_later_captures();
        answers.unplayable.extend(answers.unplayable_discoveries());
        answers
    }

    fn protocol(&self) -> &'a Protocol {
        &self.provider.protocol
    }

    /// Whether the answers are the vendor's own.
    pub(super) fn is_example(&self) -> bool {
        self.example.is_some()
    }

    /// Draws a value for each capture of the token answer.
    fn invent_captures(&mut self) {
        let tokens = Tokens { access: Some("x".into()), refresh: Some("y".into()), life: Life::Number };
        let (mut document, unplayable) = standard(&self.protocol().token_response, &tokens, &[], Timestamp::default());
        self.unplayable = unplayable;
        let provider = self.provider;
        for (name, capture) in &provider.protocol.token_capture {
            // Two captures, or a capture and a token, may look at the same place.
            let present = capture.path.text(&document);
            if let Some(kept) = present.and_then(|present| capture.rule.admit(&present)) {
                self.captured.insert(name.clone(), kept);
                continue;
            }
            match samples::of_rule(provider, name, &capture.rule) {
                Some((sent, kept)) if capture.path.plant(&mut document, sent.as_str().into()) => {
                    self.sent.insert(name.clone(), sent);
                    self.captured.insert(name.clone(), kept);
                }
                _ => self.unplayable.push(format!("oauth.capture.token.{name}")),
            }
        }
    }

    /// Draws a value for each capture of the requests after the token answer.
    fn invent_later_captures(&mut self) {
        let provider = self.provider;
        for (name, capture) in provider.protocol.captures_of_requests() {
            match samples::of_rule(provider, name, &capture.rule) {
                Some((sent, kept)) => {
                    self.sent.insert(name.clone(), sent);
                    self.captured.insert(name.clone(), kept);
                }
                None => self.unplayable.push(format!("captures of {name}")),
            }
        }
    }

    /// The answers of `[[oauth.token_exchange]]`, each with a token of its own.
    pub(super) fn exchanges(&self) -> Vec<Value> {
        let answer = |(number, exchange): (usize, &TokenExchange)| {
            let tokens = Tokens { access: Some(exchanged(number)), refresh: None, life: Life::Number };
            let (mut document, _) = standard(&exchange.token_response, &tokens, &[], Timestamp::default());
            self.plant_captures(&exchange.capture, "$", &mut document);
            document
        };
        self.protocol().token_exchange.iter().enumerate().map(answer).collect()
    }

    /// The answers of `[[oauth.discovery]]`: a candidate that says what is asked for, and what is kept of it. Requests to
    /// one URL are given one answer.
    pub(super) fn discoveries(&self, variables: &BTreeMap<String, String>) -> Vec<Value> {
        let all = &self.protocol().discovery;
        let answer = |(number, asked): (usize, &Discovery)| {
            if let Some(found) = self.found.get(number) {
                return found.clone();
            }
            let mut document = Value::Null;
            for discovery in all.iter().filter(|discovery| discovery.url == asked.url) {
                let records = discovery.records.as_ref().map_or("$", Path::as_str);
                let value =
                    |name: &str| variables.get(name).or_else(|| self.captured.get(name)).map(|value| value.into());
                for (path, template) in &discovery.matches {
                    let text = template.render(Encoding::Raw, value).filter(|text| !text.is_empty());
                    if let (Some(text), Some(path)) = (text, below(records, path)) {
                        path.plant(&mut document, text.into());
                    }
                }
                self.plant_captures(&discovery.capture, records, &mut document);
            }
            if document.is_null() { json!({}) } else { document }
        };
        all.iter().enumerate().map(answer).collect()
    }

    /// The discoveries whose candidates cannot be made up.
    fn unplayable_discoveries(&self) -> Vec<String> {
        let is_playable = |discovery: &Discovery| {
            let Some(records) = &discovery.records else { return true };
            let mut document = Value::Null;
            Path::parse(&format!("{}.x", records.as_str())).is_ok_and(|path| path.plant(&mut document, "x".into()))
        };
        let all = self.protocol().discovery.iter().enumerate().skip(self.found.len());
        all.filter(|(_, discovery)| !is_playable(discovery)).map(|_| DISCOVERY.to_owned()).collect()
    }

    fn plant_captures(&self, captures: &BTreeMap<String, TokenCapture>, root: &str, document: &mut Value) {
        for (name, capture) in captures {
            if let (Some(sent), Some(path)) = (self.sent.get(name), below(root, &capture.path))
                && path.text(document).is_none()
            {
                path.plant(document, sent.as_str().into());
            }
        }
    }

    /// A good answer.
    pub(super) fn good(&self, tokens: &Tokens, scopes: &[String], now: Timestamp) -> Value {
        if let Some(example) = &self.example {
            return self.filled_in(example, tokens);
        }
        let (mut document, _) = standard(&self.protocol().token_response, tokens, scopes, now);
        self.plant_captures(&self.protocol().token_capture, "$", &mut document);
        document
    }

    /// The vendor's example with our tokens in place of its own, where the file finds those.
    fn filled_in(&self, example: &Value, tokens: &Tokens) -> Value {
        let paths = &self.protocol().token_response;
        let mut document = example.clone();
        replace(&paths.access_token, "access_token", tokens.access.as_deref(), &mut document);
        replace(&paths.refresh_token, "refresh_token", tokens.refresh.as_deref(), &mut document);
        document
    }

    /// An answer that names an error, as the file says that this vendor does.
    pub(super) fn error(&self, code: &str) -> Value {
        let paths = &self.protocol().token_response;
        let mut document = Value::Object(Map::new());
        match paths.error.first() {
            None => document["error"] = code.into(),
            Some(sign) => match &sign.ok {
                // It says that there is an error, and RFC 6749's own field says which.
                Some(Value::Bool(ok)) => {
                    sign.path.plant(&mut document, (!ok).into());
                    document["error"] = code.into();
                }
                Some(Value::Number(_)) => {
                    let number = code.parse::<i64>().map_or_else(|_| code.into(), Value::from);
                    sign.path.plant(&mut document, number);
                }
                _ => drop(sign.path.plant(&mut document, code.into())),
            },
        }
        if let Some(path) = paths.error_description.first() {
            path.plant(&mut document, "what the vendor says about it".into());
        }
        document
    }

    /// The same answer in the form encoding; `None` where it is no list of texts and numbers under RFC 6749's names.
    pub(super) fn form(document: &Value) -> Option<String> {
        let members = document.as_object().filter(|members| members.contains_key("access_token"))?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in members {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            form.append_pair(name, &text);
        }
        Some(form.finish())
    }
}

/// An answer without captured values, and the keys of fields that cannot be put into it.
fn standard(paths: &TokenResponse, tokens: &Tokens, scopes: &[String], now: Timestamp) -> (Value, Vec<String>) {
    let mut document = Value::Object(Map::new());
    if [&paths.access_token, &paths.refresh_token].into_iter().flatten().all(|path| path.as_str().starts_with("$[")) {
        document = Value::Null;
    }
    let mut unplayable = Vec::new();
    let mut put = |list: &[Path], name: &str, value: Value| {
        if list.is_empty() && document.is_null() {
            document = Value::Object(Map::new());
        }
        let standard = Path::parse(&format!("$.{name}")).ok();
        let candidates = if list.is_empty() { standard.as_slice() } else { list };
        if !candidates.iter().any(|path| path.plant(&mut document, value.clone())) {
            unplayable.push(format!("oauth.token_response.{name}"));
        }
    };
    if let Some(token) = &tokens.access {
        put(&paths.access_token, "access_token", token.as_str().into());
    }
    if let Some(token) = &tokens.refresh {
        put(&paths.refresh_token, "refresh_token", token.as_str().into());
    }
    if tokens.access.is_some() && paths.token_type.is_empty() {
        put(&paths.token_type, "token_type", "bearer".into());
    }
    let only_a_moment = paths.expires_in.is_empty() && !paths.expires_at.is_empty();
    match tokens.life {
        Life::Unsaid => {}
        life if only_a_moment => {
            let moment = now.plus(LIFE).unix_millis() / 1000;
            let value = if life == Life::Text { json!(moment.to_string()) } else { json!(moment) };
            put(&paths.expires_at, "expires_at", value);
        }
        life => {
            let count = LIFE.as_secs() * u64::from(paths.expires_in_per_second.unwrap_or(1));
            let value = if life == Life::Text { json!(count.to_string()) } else { json!(count) };
            put(&paths.expires_in, "expires_in", value);
        }
    }
    if !scopes.is_empty() {
        put(&paths.scope, "scope", scopes.join(" ").into());
    }
    for (number, (name, path)) in paths.extra.iter().enumerate() {
        // It may be what another list of paths finds: the same token under two names.
        if path.first(&document).is_none() && !path.plant(&mut document, further(number).into()) {
            unplayable.push(format!("oauth.token_response.extra.{name}"));
        }
    }
    for sign in &paths.error {
        if let Some(ok) = &sign.ok {
            sign.path.plant(&mut document, ok.clone());
        }
    }
    (document, unplayable)
}

/// The token that an exchange brings.
pub(super) fn exchanged(number: usize) -> String {
    format!("the-exchanged-token-{}", number + 1)
}

/// One of the further tokens of an answer.
fn further(number: usize) -> String {
    format!("the-further-token-{}", number + 1)
}

/// A path that begins where another ends.
fn below(root: &str, path: &Path) -> Option<Path> {
    Path::parse(&format!("{root}{}", path.as_str().strip_prefix('$')?)).ok()
}

/// Puts the value in place of what the paths find first; takes it out where there is none to be.
fn replace(paths: &[Path], name: &str, value: Option<&str>, document: &mut Value) {
    let standard = Path::parse(&format!("$.{name}")).ok();
    let candidates = if paths.is_empty() { standard.as_slice() } else { paths };
    for path in candidates {
        if path.first(document).is_some() {
            path.plant(document, value.map_or(Value::Null, Value::from));
            return;
        }
    }
}
