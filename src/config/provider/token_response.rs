//! The `[oauth.token_response]` table: where an answer keeps its fields when they are not RFC 6749's.

use figment::value::Value;

use super::capture::json_path;
use super::names::{Chooser, Name, Names, Values};
use crate::config::problem::{Fault, did_you_mean, quoted};
use crate::config::reader::{Kind, Table, whole};
use crate::oauth::{ErrorSign, TokenResponse};

/// Reads the table and defines the names of the further tokens.
pub(super) fn read(table: &mut Table<'_>, names: &mut Names) -> TokenResponse {
    let mut paths = |name, doc| table.one_or_more_of(name, Kind::JsonPath, doc, json_path);
    let access_token = paths("access_token", "JSONPath, or several to be tried in order.");
    let refresh_token = paths("refresh_token", "JSONPath of the refresh token.");
    let token_type = paths("token_type", "JSONPath of the token type.");
    let expires_in = paths("expires_in", "JSONPath of the access token's life; a number or text.");
    let expires_at =
        paths("expires_at", "JSONPath of the access token's end; epoch seconds or milliseconds, or RFC 3339.");
    let refresh_token_expires_in = paths("refresh_token_expires_in", "JSONPath of the refresh token's life.");
    let scope = paths("scope", "JSONPath of the scopes; text or a list.");
    let error_description = paths("error_description", "JSONPath of a sentence about the error, for the log.");
    let expires_in_per_second =
        table.word("expires_in_unit", "What `expires_in` counts: s (the default) or ms.", &[("s", 1), ("ms", 1000)]);
    let doc = "JSONPath of an error code, several, or tables { path, ok }; read on HTTP 200 too.";
    let sign = vec![("path", true, Kind::JsonPath), ("ok", false, Kind::Anything)];
    let kind = Kind::OneOrMore(Box::new(Kind::Either(vec![Kind::JsonPath, Kind::Members(sign)])));
    let error = table.value("error", kind, doc, |entry| match entry.value() {
        Value::Array(_, values) => values.iter().map(error_sign).collect::<Result<Vec<_>, _>>(),
        value => Ok(vec![error_sign(value)?]),
    });
    let doc = "Further tokens, each a JSONPath: sealed, never shown, and usable as `{name}` where `{access_token}` is.";
    let extra = table.parsed_texts("extra", doc, |_, text| json_path(text));
    for (name, _) in &extra {
        let token = Name { chooser: Chooser::FurtherToken, values: Values::Open(None) };
        if let Err(fault) = names.define(name, token) {
            let mut place = table.place("extra");
            place.key = format!("{}.{name}", place.key);
            table.context().report.mistake(place.problem(fault));
        }
    }
    TokenResponse {
        access_token,
        refresh_token,
        token_type,
        expires_in,
        expires_in_per_second,
        expires_at,
        refresh_token_expires_in,
        scope,
        error: error.unwrap_or_default(),
        error_description,
        extra: extra.into_iter().collect(),
    }
}

fn error_sign(value: &Value) -> Result<ErrorSign, Fault> {
    const REMEDY: &str = "write \"$.error\" or { path = \"$.ok\", ok = true }";
    let wrong = || Fault::new("is neither a JSONPath nor a table with `path` and `ok`", REMEDY);
    match value {
        Value::String(_, text) => Ok(ErrorSign { path: json_path(text)?, ok: None }),
        Value::Dict(_, table) => {
            if let Some(key) = table.keys().find(|key| !matches!(key.as_str(), "path" | "ok")) {
                return Err(Fault::new(
                    format!("has the unknown key {}", quoted(key)),
                    did_you_mean(key, ["path", "ok"]),
                ));
            }
            let path = json_path(table.get("path").and_then(Value::as_str).ok_or_else(wrong)?)?;
            let ok = table.get("ok").map(|ok| scalar(ok).ok_or_else(wrong)).transpose()?;
            Ok(ErrorSign { path, ok })
        }
        _ => Err(wrong()),
    }
}

fn scalar(value: &Value) -> Option<serde_json::Value> {
    match value {
        Value::String(_, text) => Some(text.as_str().into()),
        Value::Bool(_, flag) => Some((*flag).into()),
        Value::Num(_, number) => i64::try_from(whole(*number)?).ok().map(Into::into),
        _ => None,
    }
}
