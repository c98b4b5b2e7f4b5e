//! `grant_types`: how the access token is got, and so who it belongs to.

use figment::value::Value;

use crate::config::problem::{Fault, quoted};
use crate::config::provider::unknown_yet;
use crate::config::reader::Table;
use crate::oauth::GrantType;

/// Names the token that refreshes another (RFC 6749 section 6).
const REFRESH_TOKEN: &str = "refresh_token";

/// Whether nobody connects, for what is read before the `[oauth]` table. `table` is the whole file.
pub(in crate::config::provider) fn nobody_connects(table: &Table<'_>) -> bool {
    let oauth = table.peek("oauth").and_then(Value::as_dict);
    let names = oauth.and_then(|oauth| oauth.get("grant_types")).and_then(Value::as_array).unwrap_or_default();
    let mut grant_types = names.iter().filter_map(|name| GrantType::named(name.as_str()?));
    grant_types.any(GrantType::is_clients_own)
}

pub(super) fn read(table: &mut Table<'_>) -> GrantType {
    const NAME: &str = "grant_types";
    let doc = "How the token is got (RFC 7591 section 2); by default by authorization_code and refresh_token.";
    let Some(written) = table.list(NAME, doc, one) else { return GrantType::default() };
    let refreshes = written.iter().any(|(_, name)| name.is_none());
    let mut grant_types: Vec<GrantType> = written.into_iter().filter_map(|(_, grant_type)| grant_type).collect();
    grant_types.dedup();
    match grant_types[..] {
        [grant_type] if refreshes && grant_type.is_clients_own() => {
            let fault =
                format!("has `{REFRESH_TOKEN}` beside `{}`, which asks for another token instead", grant_type.name());
            table.mistake(NAME, fault, format!("remove `{REFRESH_TOKEN}`"));
        }
        [grant_type] => return grant_type,
        // What is wrong with each name has been said.
        [] if !refreshes && table.peek(NAME).and_then(Value::as_array).is_some_and(|names| !names.is_empty()) => {}
        [] => {
            table.mistake(NAME, "says nothing of how a first token is got", "write `authorization_code`, or remove it")
        }
        _ => table.mistake(
            NAME,
            "mixes several ways to a token, which belong to different people",
            "write two provider files, of which one `extends` the other, and an integration for each",
        ),
    }
    GrantType::default()
}

/// `None` for the name that says nothing of the first token.
fn one(text: &str) -> Result<Option<GrantType>, Fault> {
    if text == REFRESH_TOKEN {
        return Ok(None);
    }
    if let Some(grant_type) = GrantType::named(text) {
        return Ok(Some(grant_type));
    }
    Err(match text {
        "implicit" => Fault::new(
            "is `implicit`, which puts tokens into URLs (RFC 9700 section 2.1.2)",
            "write `authorization_code`",
        ),
        "password" => Fault::new(
            "is `password`, which hands us the person's password (RFC 9700 section 2.4)",
            "write `authorization_code`, or `client_credentials` where it is the operator's own account",
        ),
        "urn:ietf:params:oauth:grant-type:device_code" | "urn:ietf:params:oauth:grant-type:token-exchange" => {
            unknown_yet(text)
        }
        _ => {
            let names = GrantType::NAMES.map(|(name, _)| format!("`{name}`")).join(", ");
            Fault::new(format!("{} is no grant type", quoted(text)), format!("write {names} or `{REFRESH_TOKEN}`"))
        }
    })
}
