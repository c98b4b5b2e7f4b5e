//! A JSON body. It is written as TOML and goes out as it stands, so that a GraphQL query needs no escapes; only a table of
//! the value language is a value: `{ path = "$parent.id" }`, `{ template = "{$parent.id}" }`. A table that only looks like
//! one is written `{ literal = { … } }`.

use figment::value::Value;

use super::source::{Known, is_date, is_marked, literal};
use crate::config::problem::Fault;
use crate::items::Body;

/// Compiles a body, which is a table. That table itself is never a value.
pub(super) fn read(value: &Value, known: &Known<'_>) -> Result<Body, Fault> {
    match value {
        Value::Dict(_, table) => members(table.iter(), known),
        _ => Err(Fault::new("is not a table", "write the members of the JSON object")),
    }
}

fn members<'a>(table: impl Iterator<Item = (&'a String, &'a Value)>, known: &Known<'_>) -> Result<Body, Fault> {
    let members: Vec<(String, Body)> =
        table.map(|(name, value)| Ok((name.clone(), part(value, known)?))).collect::<Result<_, Fault>>()?;
    let literals: Option<serde_json::Map<_, _>> = members
        .iter()
        .map(|(name, body)| if let Body::Literal(value) = body { Some((name.clone(), value.clone())) } else { None })
        .collect();
    Ok(literals.map_or(Body::Table(members), |members| Body::Literal(members.into())))
}

fn part(value: &Value, known: &Known<'_>) -> Result<Body, Fault> {
    match value {
        Value::Dict(_, table) => {
            if let (Some(inner), 1) = (table.get("literal"), table.len()) {
                return literal(inner).map(Body::Literal);
            }
            if is_marked(table) {
                return known.source(value).map(Body::Source);
            }
            if is_date(table) {
                return literal(value).map(Body::Literal);
            }
            members(table.iter(), known)
        }
        Value::Array(_, values) => {
            let parts: Vec<Body> = values.iter().map(|value| part(value, known)).collect::<Result<_, _>>()?;
            let literals: Option<Vec<_>> = parts
                .iter()
                .map(|body| if let Body::Literal(value) = body { Some(value.clone()) } else { None })
                .collect();
            Ok(literals.map_or(Body::List(parts), |values| Body::Literal(values.into())))
        }
        value => literal(value).map(Body::Literal),
    }
}
