//! `client_secrets` of an integration: client secrets that hold for single values of a variable or of what the callback
//! brings, as where each data centre of a provider has a client of its own.

use std::collections::BTreeMap;

use super::Lacking;
use crate::broker::SecretsByValue;
use crate::config::problem::{Fault, did_you_mean, one_of, quoted};
use crate::config::reader::{SecretOf, Table};
use crate::config::secrets::Resolved;
use crate::oauth::matches_whole;
use crate::provider::Provider;

/// The secrets, when they are for one name whose values the file can produce; what refers to nothing goes to `lacking`.
pub(super) fn client_secrets(
    table: &Table<'_>,
    provider: &Provider,
    written: Vec<SecretOf>,
    lacking: &mut Vec<Lacking>,
) -> Option<SecretsByValue> {
    let name = written.first()?.name.clone();
    let mut secrets = BTreeMap::new();
    for SecretOf { name: own, value, place, secret } in written {
        let checked = check(provider, &own, &value).and_then(|()| {
            let fault = || format!("stands beside secrets for {}, and one name alone can decide", quoted(&name));
            if own == name { Ok(()) } else { Err(Fault::new(fault(), "keep one of them")) }
        });
        match (checked, secret) {
            (Err(fault), _) => table.context().report.mistake(place.problem(fault)),
            (Ok(()), Resolved::Found(secret)) => drop(secrets.insert(value, secret)),
            (Ok(()), Resolved::Missing(why)) => {
                lacking.push(Lacking { key: format!("client_secrets.{own}.{value}"), why: Some(why) });
            }
        }
    }
    Some(SecretsByValue { name, secrets })
}

/// Whether these secrets leave no connection for `client_secret`.
pub(super) fn are_all(provider: &Provider, secrets: Option<&SecretsByValue>) -> bool {
    let Some(SecretsByValue { name, secrets }) = secrets else { return false };
    let protocol = &provider.protocol;
    let closed: Vec<&String> = match (protocol.variables.get(name), protocol.callback_capture.get(name)) {
        (Some(variable), _) => variable.allowed.iter().collect(),
        // A callback may leave the parameter out, so that only a default makes the list whole.
        (None, Some(capture)) if capture.rule.default.is_some() => capture.rule.map.values().collect(),
        _ => Vec::new(),
    };
    !closed.is_empty() && closed.iter().all(|value| secrets.contains_key(*value))
}

/// Whether a connection can have that value under that name.
fn check(provider: &Provider, name: &str, value: &str) -> Result<(), Fault> {
    let protocol = &provider.protocol;
    if let Some(variable) = protocol.variables.get(name) {
        if variable.secret {
            let fault = format!("hangs on {}, a secret whose values stand in no file", quoted(name));
            return Err(Fault::new(fault, "choose another name"));
        }
        return if variable.accepts(value) { Ok(()) } else { Err(never(name, value, &variable.allowed)) };
    }
    if let Some(capture) = protocol.callback_capture.get(name) {
        let values: Vec<String> = capture.rule.map.values().cloned().collect();
        let fits = match values.is_empty() {
            true => capture.rule.pattern.as_ref().is_none_or(|pattern| matches_whole(pattern, value)),
            false => values.iter().any(|known| known == value),
        };
        return if fits { Ok(()) } else { Err(never(name, value, &values)) };
    }
    if protocol.token_capture.contains_key(name) {
        let fault = format!("hangs on {}, which is known only after the secret has been sent", quoted(name));
        return Err(Fault::new(fault, "choose a variable, or a value of the callback"));
    }
    let known = protocol.variables.keys().chain(protocol.callback_capture.keys()).map(String::as_str);
    let id = quoted(provider.id.as_str());
    let fault = format!("{id} has neither a variable nor a value of the callback named {}", quoted(name));
    Err(Fault::new(fault, did_you_mean(name, known)))
}

fn never(name: &str, value: &str, known: &[String]) -> Fault {
    let remedy = match known {
        [] => "write one that its pattern lets through".to_owned(),
        known => format!("write {}", one_of(known.iter().map(String::as_str))),
    };
    Fault::new(format!("{} is never {}", quoted(name), quoted(value)), remedy)
}
