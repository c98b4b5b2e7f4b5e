//! What `[api]` says about answers that are no good, for loading items. Calls through the proxy are never repeated.

use figment::value::Value;
use http::HeaderName;

use crate::config::problem::{Fault, did_you_mean, quoted};
use crate::config::provider::capture::json_path;
use crate::config::provider::tables::header_name;
use crate::config::reader::{Kind, Table, whole};
use crate::items::{Condition, Policy, Retry, WaitSource};

const CONDITION: &str = "write a status, or for example { status = 403, header = \"x-remaining\", equals = \"0\" }";

/// Reads `retry`, `refresh_on`, `ok_path` and `error_path`.
pub(super) fn policy(table: &mut Table<'_>) -> Policy {
    let retry = table.optional_table("retry", "When to ask again while loading items.", |table| Some(retry(table)));
    let doc = "Statuses and conditions on which another token is got, besides 401.";
    let refresh_on =
        table.value("refresh_on", Kind::List(Box::new(condition_kind())), doc, |entry| list(entry.value(), condition));
    let ok_path = table.parsed_as("ok_path", Kind::JsonPath, "JSONPath that has to be true on a success.", json_path);
    let error_path =
        table.parsed_as("error_path", Kind::JsonPath, "JSONPath that has to select nothing on a success.", json_path);
    Policy { retry: retry.unwrap_or_default(), refresh_on: refresh_on.unwrap_or_default(), ok_path, error_path }
}

fn retry(table: &mut Table<'_>) -> Retry {
    let defaults = Retry::default();
    let on = table.value("on", Kind::List(Box::new(STATUS)), "Statuses.", |entry| list(entry.value(), status));
    let doc = "Conditions: the provider's other ways to say 429.";
    let when = table.value("when", Kind::List(Box::new(condition_kind())), doc, |entry| list(entry.value(), condition));
    let doc = "How long to wait: `header:NAME`, `reset:NAME`, `path:JSONPATH` or a span, the first that is there.";
    let wait = table.list("wait", doc, wait);
    let max = table.integer_or("max", "How often one request is repeated.", 0..=100, defaults.max);
    let doc = "The longest wait; a provider that asks for more ends the stream.";
    let cap = table.positive_duration_or("cap", doc, defaults.cap);
    for (place, wait) in wait.iter().flatten() {
        if let WaitSource::Fixed(wait) = wait
            && *wait > cap
        {
            let fault = Fault::new("is longer than `cap`", "raise the cap, or wait for less");
            table.context().report.mistake(place.problem(fault));
        }
    }
    Retry {
        on: on.unwrap_or(defaults.on),
        when: when.unwrap_or_default(),
        wait: wait.map_or(defaults.wait, |wait| wait.into_iter().map(|(_, wait)| wait).collect()),
        max,
        cap,
    }
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    match value {
        Value::Array(_, values) => values.iter().map(read).collect(),
        _ => Err(Fault::new("is not a list", "write for example [429, 503]")),
    }
}

fn status(value: &Value) -> Result<u16, Fault> {
    let number = if let Value::Num(_, number) = value { whole(*number) } else { None };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|status| (200..600).contains(status))
        .ok_or_else(|| Fault::new("holds something else than statuses", "write for example [429, 503]"))
}

/// A status.
const STATUS: Kind = Kind::Integer(200..=599);

/// What a condition's table may hold.
const CONDITION_KEYS: [&str; 4] = ["status", "header", "path", "equals"];

fn condition_kind() -> Kind {
    let member = |key| {
        let kind = match key {
            "status" => STATUS,
            "header" => Kind::Text,
            "path" => Kind::JsonPath,
            _ => Kind::Anything,
        };
        (key, false, kind)
    };
    Kind::Either(vec![STATUS, Kind::Members(CONDITION_KEYS.map(member).to_vec())])
}

fn condition(value: &Value) -> Result<Condition, Fault> {
    let Value::Dict(_, table) = value else {
        return Ok(Condition { status: Some(status(value)?), ..Condition::default() });
    };
    if let Some(key) = table.keys().find(|key| !CONDITION_KEYS.contains(&key.as_str())) {
        return Err(Fault::new(format!("has the unknown key {}", quoted(key)), did_you_mean(key, CONDITION_KEYS)));
    }
    let text = |name: &str| match table.get(name) {
        Some(Value::String(_, text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Fault::new(format!("has a {} that is not text", quoted(name)), CONDITION)),
        None => Ok(None),
    };
    let condition = Condition {
        status: table.get("status").map(status).transpose()?,
        header: text("header")?.map(header_name).transpose()?,
        path: text("path")?.map(json_path).transpose()?,
        equals: table.get("equals").map(equals).transpose()?.unwrap_or_default(),
    };
    match (&condition.header, &condition.path, condition.equals.is_empty()) {
        (None, None, false) => {
            Err(Fault::new("compares nothing", "name the `header` or `path` that `equals` is about"))
        }
        (Some(_), Some(_), _) => Err(Fault::new("looks at a header and at the body", "write two conditions")),
        (None, None, true) if condition.status.is_none() => Err(Fault::new("holds for every answer", CONDITION)),
        _ => Ok(condition),
    }
}

fn equals(value: &Value) -> Result<Vec<String>, Fault> {
    let one = |value: &Value| match value {
        Value::String(_, text) => Ok(text.clone()),
        Value::Bool(_, flag) => Ok(flag.to_string()),
        Value::Num(_, number) if whole(*number).is_some() => Ok(whole(*number).unwrap_or_default().to_string()),
        _ => Err(Fault::new("compares with something that is neither text, a whole number, true nor false", CONDITION)),
    };
    match value {
        Value::Array(_, values) if !values.is_empty() => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn wait(text: &str) -> Result<WaitSource, Fault> {
    let name = |text: &str| -> Result<HeaderName, Fault> { header_name(text) };
    match text.split_once(':') {
        Some(("header", header)) => Ok(WaitSource::Header(name(header)?)),
        Some(("reset", header)) => Ok(WaitSource::Reset(name(header)?)),
        Some(("path", path)) => Ok(WaitSource::Body(json_path(path)?)),
        _ => humantime::parse_duration(text).map(WaitSource::Fixed).map_err(|_| {
            let remedy = "write `header:retry-after`, `reset:x-ratelimit-reset`, `path:$.retry_after` or \"30s\"";
            Fault::new(format!("{} says no wait", quoted(text)), remedy)
        }),
    }
}
