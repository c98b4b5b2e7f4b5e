//! What a token endpoint's answer means. Odd answers are first brought into RFC 6749's shape by the provider file's
//! paths, then parsed by `oauth2`. Strict about what makes a token, lenient about all the rest: a token that the
//! provider already rotated must not be lost over a field that we do not need.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::TokenResponse as _;
use oauth2::basic::{BasicTokenResponse, BasicTokenType};
use serde_json::{Map, Value, json};

use super::capture::{captured, fill};
use super::{Protocol, RefreshMode, TokenCapture, TokenExchange, TokenResponse, kept};
use crate::mapping::Path;
use crate::model::{Grant, Secret, Timestamp};

/// Why a token request brought no grant. The `code` of an error is the provider's own word, for the log only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The provider refused this code or refresh token for good.
    #[error("the provider refused the grant: {code}")]
    Terminal {
        /// The provider's error code.
        code: String,
    },
    /// The provider refused our client: the operator's to mend, and never the end of a grant.
    #[error("the provider refused our client: {code}; check client_id and client_secret")]
    ClientRefused {
        /// The provider's error code.
        code: String,
    },
    /// Any other error that the provider names.
    #[error("the token endpoint answered {status} with the error {code}")]
    Other {
        /// The HTTP status.
        status: u16,
        /// The provider's error code.
        code: String,
    },
    /// An answer that is neither tokens nor an error we can read.
    #[error("the token endpoint answered {status} with what cannot be used: {why}")]
    Unusable {
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl TokenError {
    /// Whether the same request may be answered better a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Other { status: 429 | 500.., .. } | Self::Unusable { status: 429 | 500.., .. })
    }
}

/// The grant that the answer to a code exchange brings. `asked` are the scopes that were asked for, which hold when the
/// answer names none (RFC 6749 section 5.1).
pub fn grant_from_answer(
    protocol: &Protocol,
    status: u16,
    body: &[u8],
    asked: &[String],
    now: Timestamp,
) -> Result<Grant, TokenError> {
    let Parsed { mut grant, .. } = parse(&Reading::of_grants(protocol), status, body, now)?;
    if grant.scopes.is_empty() {
        grant.scopes = asked.to_vec();
    }
    fill(&protocol.token_capture, &mut grant);
    Ok(grant)
}

/// The grant after a refresh, given the one that was refreshed.
pub fn refreshed_grant(
    protocol: &Protocol,
    status: u16,
    body: &[u8],
    old: &Grant,
    now: Timestamp,
) -> Result<Grant, TokenError> {
    let reading = Reading {
        old: Some(old),
        keeps_access_token: protocol.refresh == RefreshMode::Extend,
        ..Reading::of_grants(protocol)
    };
    let Parsed { grant: answer, .. } = parse(&reading, status, body, now)?;
    let said = answer.refresh_expires_at;
    let mut renewed = old.renewed(answer);
    // The declared lifetime is that of an idle refresh token, and it has just been used: it starts again, kept or not.
    if let (None, Some(lifetime)) = (said, protocol.refresh_token_lifetime) {
        renewed.refresh_expires_at = Some(now.plus(lifetime));
    }
    fill(&protocol.token_capture, &mut renewed);
    Ok(renewed)
}

/// The grant after an exchange of its token. An access token in the answer takes the old one's place, with the end that
/// the answer says; an answer without one has to bring a further token or a captured value.
pub fn exchanged_grant(
    protocol: &Protocol,
    exchange: &TokenExchange,
    status: u16,
    body: &[u8],
    old: &Grant,
    now: Timestamp,
) -> Result<Grant, TokenError> {
    let reading = Reading {
        paths: &exchange.token_response,
        capture: &exchange.capture,
        old: Some(old),
        keeps_access_token: true,
        ..Reading::of_grants(protocol)
    };
    let Parsed { grant: mut answer, brought_access_token } = parse(&reading, status, body, now)?;
    if !brought_access_token {
        if answer.extra.is_empty() && answer.captured.is_empty() {
            return Err(TokenError::Unusable { status, why: "there is no token and nothing that the file captures" });
        }
        (answer.obtained_at, answer.expires_at) = (old.obtained_at, old.expires_at);
    }
    // Kept is what the token endpoint says: these answers bring what their own captures ask for.
    answer.answer.clone_from(&old.answer);
    let mut exchanged = old.renewed(answer);
    fill(&exchange.capture, &mut exchanged);
    Ok(exchanged)
}

/// Whose answer is read, and by what.
#[derive(Clone, Copy)]
struct Reading<'a> {
    protocol: &'a Protocol,
    paths: &'a TokenResponse,
    capture: &'a BTreeMap<String, TokenCapture>,
    /// What there was before.
    old: Option<&'a Grant>,
    /// Whether the old access token stays where the answer has none.
    keeps_access_token: bool,
}

impl<'a> Reading<'a> {
    fn of_grants(protocol: &'a Protocol) -> Self {
        let (paths, capture) = (&protocol.token_response, &protocol.token_capture);
        Self { protocol, paths, capture, old: None, keeps_access_token: false }
    }
}

struct Parsed {
    grant: Grant,
    brought_access_token: bool,
}

fn parse(reading: &Reading<'_>, status: u16, body: &[u8], now: Timestamp) -> Result<Parsed, TokenError> {
    let Reading { protocol, paths, capture, old, .. } = *reading;
    let Some(answer) = document(paths, body) else {
        return Err(TokenError::Unusable { status, why: "the body is neither JSON nor form-encoded" });
    };
    if let Some(code) = error_code(paths, &answer) {
        return Err(named_error(protocol, status, code));
    }
    if !matches!(status, 200 | 201) {
        return Err(TokenError::Unusable { status, why: "the status says failure and the body names no error" });
    }
    let mut standard = standard_shape(paths, &answer);
    let brought_access_token = standard.contains_key("access_token");
    if let (Some(old), true, false) = (old, reading.keeps_access_token, brought_access_token) {
        standard.insert("access_token".into(), old.access_token.expose().into());
    }
    if !standard.contains_key("access_token") {
        return Err(TokenError::Unusable { status, why: "there is no access token" });
    }
    let parsed: BasicTokenResponse = serde_json::from_value(Value::Object(standard))
        .map_err(|_| TokenError::Unusable { status, why: "a token is not of RFC 6749's shape" })?;
    // RFC 6749 section 7.1: a token whose type we do not understand must not be used.
    if !matches!(parsed.token_type(), BasicTokenType::Bearer) {
        return Err(TokenError::Unusable { status, why: "the token type is not bearer" });
    }
    let access_token = Secret::new(parsed.access_token().secret().as_str());
    let refresh_token = parsed.refresh_token().map(|token| Secret::new(token.secret().as_str()));
    let said = || seconds(&paths.refresh_token_expires_in, &REFRESH_EXPIRES_IN, &answer, 1);
    // Where a refresh presents the access token, that is what ends when it stays idle.
    let is_idle = refresh_token.is_some() || protocol.presents_the_access_token();
    let refresh_lifetime =
        refresh_token.as_ref().and_then(|_| said()).or(protocol.refresh_token_lifetime.filter(|_| is_idle));
    let extra: BTreeMap<String, Secret> = paths
        .extra
        .iter()
        .filter_map(|(name, path)| {
            let token = path.first(&answer)?.as_str().filter(|token| !token.is_empty())?;
            Some((name.clone(), Secret::new(token)))
        })
        .collect();
    let id_token = text(&[], "id_token", &answer).map(Secret::new);
    let before = old.into_iter().flat_map(Grant::tokens);
    let tokens: Vec<&Secret> = [&access_token]
        .into_iter()
        .chain(&refresh_token)
        .chain(extra.values())
        .chain(&id_token)
        .chain(before)
        .collect();
    let grant = Grant {
        // Drawn by whoever began the authorization.
        authorization: String::new(),
        expires_at: expires_at(protocol, paths, &answer, access_token.expose(), now),
        refresh_expires_at: refresh_lifetime.map(|lifetime| now.plus(lifetime)),
        scopes: parsed.scopes().into_iter().flatten().map(|scope| scope.to_string()).collect(),
        subject: id_token.as_ref().and_then(|token| claims(token.expose())?.get("sub")?.as_str().map(str::to_owned)),
        captured: captured(capture, &answer, &tokens),
        answer: kept::kept(&answer, &tokens, old),
        unfinished: None,
        obtained_at: now,
        access_token,
        refresh_token,
        extra,
    };
    Ok(Parsed { grant, brought_access_token })
}

const REFRESH_EXPIRES_IN: [&str; 3] = ["refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"];

/// JSON, or the form encoding that some servers answer with.
fn document(paths: &TokenResponse, body: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return value.is_object().then_some(value);
    }
    let text = std::str::from_utf8(body).ok()?.trim_end();
    if text.trim_start().starts_with('<') || !text.contains('=') || text.contains(['\n', '{']) {
        return None;
    }
    let fields: Map<String, Value> = form_urlencoded::parse(text.as_bytes())
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect();
    let telling = ["access_token", "error"].iter().any(|name| fields.contains_key(*name));
    let fields = Value::Object(fields);
    let by_path = || {
        let signs = paths.error.iter().map(|sign| &sign.path);
        paths.access_token.iter().chain(paths.extra.values()).chain(signs).any(|path| path.first(&fields).is_some())
    };
    (telling || by_path()).then_some(fields)
}

fn error_code(paths: &TokenResponse, answer: &Value) -> Option<String> {
    let code = |value: &Value| match value {
        Value::String(code) => code.clone(),
        other => other.to_string(),
    };
    let signs = &paths.error;
    if signs.is_empty() {
        // An empty `error` beside good tokens is some servers' way of saying that there is none.
        let says_something = |error: &&Value| {
            !matches!(error, Value::Null | Value::Bool(false)) && **error != json!("") && **error != json!(0)
        };
        return answer.get("error").filter(says_something).map(code);
    }
    // Form-encoded answers hold nothing but text, and so do some of JSON: `"0"` is as good as `0`.
    let is_ok = |value: &Value, ok: &Value| code(value) == code(ok);
    let hit = signs.iter().find_map(|sign| {
        sign.path.first(answer).filter(|value| !sign.ok.as_ref().is_some_and(|ok| is_ok(value, ok)))
    })?;
    // `"ok": false` says that there is an error and not which; RFC 6749's own field may.
    match (hit, answer.get("error")) {
        (Value::Bool(_), Some(named)) => Some(code(named)),
        _ => Some(code(hit)),
    }
}

/// Only parsed answers that blame the request decide anything (RFC 6749 section 5.2); a 5xx or 429 never ends a grant,
/// whatever its body says.
fn named_error(protocol: &Protocol, status: u16, code: String) -> TokenError {
    let is_terminal = protocol.terminal_errors.contains(&code);
    let code: String = code.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(64).collect();
    match status {
        200 | 201 | 400 | 401 | 403 if is_terminal => TokenError::Terminal { code },
        200 | 201 | 400 | 401 | 403 if matches!(code.as_str(), "invalid_client" | "unauthorized_client") => {
            TokenError::ClientRefused { code }
        }
        _ => TokenError::Other { status, code },
    }
}

/// The fields under RFC 6749's names.
fn standard_shape(paths: &TokenResponse, answer: &Value) -> Map<String, Value> {
    let mut shape = Map::new();
    for (name, list) in [("access_token", &paths.access_token), ("refresh_token", &paths.refresh_token)] {
        if let Some(token) = text(list, name, answer).filter(|token| !token.is_empty()) {
            shape.insert(name.into(), token.into());
        }
    }
    // Many providers leave the type out; it is bearer then, as it is for every token that we can present.
    let token_type = text(&paths.token_type, "token_type", answer).filter(|word| !word.is_empty());
    shape.insert("token_type".into(), json!(token_type.as_deref().unwrap_or("bearer").to_ascii_lowercase()));
    if let Some(scope) = scope(&paths.scope, answer) {
        shape.insert("scope".into(), scope.into());
    }
    shape
}

fn first<'a>(paths: &[Path], name: &str, answer: &'a Value) -> Option<&'a Value> {
    if paths.is_empty() {
        return answer.get(name).filter(|value| !value.is_null());
    }
    paths.iter().find_map(|path| path.first(answer))
}

fn text(paths: &[Path], name: &str, answer: &Value) -> Option<String> {
    first(paths, name, answer)?.as_str().map(str::to_owned)
}

/// Space-separated as RFC 6749 says, comma-separated, or an array.
fn scope(paths: &[Path], answer: &Value) -> Option<String> {
    let value = match first(paths, "scope", answer) {
        None if paths.is_empty() => first(&[], "scopes", answer)?,
        value => value?,
    };
    let words: Vec<&str> = match value {
        Value::String(text) => text.split([' ', ',']).filter(|word| !word.is_empty()).collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    (!words.is_empty()).then(|| words.join(" "))
}

fn expires_at(
    protocol: &Protocol,
    paths: &TokenResponse,
    answer: &Value,
    access_token: &str,
    now: Timestamp,
) -> Option<Timestamp> {
    seconds(&paths.expires_in, &["expires_in"], answer, paths.expires_in_per_second.unwrap_or(1))
        .map(|lifetime| now.plus(lifetime))
        .or_else(|| first(&paths.expires_at, "expires_at", answer).and_then(moment))
        .or_else(|| jwt_expiry(access_token))
        .or_else(|| protocol.access_token_lifetime.map(|lifetime| now.plus(lifetime)))
}

/// A lifetime as number or text; absurd ones saturate. One that is not positive says nothing: no token is born dead.
fn seconds(paths: &[Path], names: &[&str], answer: &Value, per_second: u32) -> Option<Duration> {
    let value = if paths.is_empty() {
        names.iter().find_map(|name| first(&[], name, answer))?
    } else {
        first(paths, "", answer)?
    };
    let count = number(value).filter(|count| *count > 0.0)?;
    Some(Duration::try_from_secs_f64(count / f64::from(per_second)).unwrap_or(Duration::MAX))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// Epoch seconds, epoch milliseconds, or RFC 3339. Seconds stay below 10^11 until the year 5138.
fn moment(value: &Value) -> Option<Timestamp> {
    if let Some(number) = number(value) {
        let millis = if number < 1e11 { number * 1000.0 } else { number };
        #[expect(clippy::cast_possible_truncation, reason = "a float beyond i64 saturates, and Timestamp clamps")]
        return Some(Timestamp::from_unix_millis(millis as i64));
    }
    let time: SystemTime = humantime::parse_rfc3339_weak(value.as_str()?).ok()?;
    Some(Timestamp::from(time))
}

/// The `exp` of an access token that happens to be a JWT (RFC 9068); a wrong value costs a refresh at most.
fn jwt_expiry(access_token: &str) -> Option<Timestamp> {
    moment(claims(access_token)?.get("exp")?)
}

/// The claims of a JWT. Its signature is not looked at: it came from the token endpoint itself, over the connection
/// that we made (OpenID Connect Core 1.0 section 3.1.3.7), and decides nothing about who may do what.
fn claims(token: &str) -> Option<Value> {
    let mut segments = token.split('.');
    let (_, payload, _, None) = (segments.next()?, segments.next()?, segments.next()?, segments.next()) else {
        return None;
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
