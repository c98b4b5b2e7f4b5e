//! The `[api]` table: where calls go, what they carry by default, where the token stands, and how much is taken.

mod retry;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::ReadApi;
use super::host::HostRule;
use super::items::{Known, known_in_requests};
use super::names::{Names, Stage};
use super::tables::{header_name, header_template, headers, parameters};
use crate::config::problem::Fault;
use crate::config::reader::{Kind, Table};
use crate::mapping::{Phrase, Template};
use crate::route::{Api, Rate, TokenPlace};

/// Headers that a provider file cannot preset: the token has a key of its own, and cookies are never sent.
pub(super) const RESERVED: [(&str, &str); 2] =
    [("authorization", "the token's place is [api.auth]"), ("cookie", "calls carry no cookies")];

pub(super) fn read(table: &mut Table<'_>, names: &Names, allow_http: bool) -> Option<ReadApi> {
    let mut rule = HostRule { names, allow_http, guards: BTreeMap::new() };
    let doc = "Scheme, host and path prefix of every call.";
    let base_url = table.parsed_as("base_url", Kind::Url, doc, |text| base_url(text, &mut rule));
    table.need("base_url", "write for example \"https://api.example.com\"");
    let doc = "Headers that are added unless the caller sends them.";
    let headers = headers(table, "headers", doc, names, Stage::ApiHeaders, &RESERVED);
    let doc = "Query parameters that are added unless the caller sends them.";
    let query = parameters(table, "query", doc, names, Stage::ApiQuery, &[]);
    let auth = table.table("auth", "Where a call carries the access token.", |table| token_place(table, names));
    let (rate, budget) = table
        .optional_table("rate", "How many calls the provider takes.", |table| rate(table, names))
        .map_or((None, None), |(rate, budget)| (Some(rate), budget));
    let policy = retry::policy(table);
    let api = Api { base_url: base_url?, headers, query, auth: auth?, rate };
    Some(ReadApi { api, guards: rule.guards, policy, budget })
}

/// The rule, and what parts a connection's budget where it is not the connection alone.
fn rate(table: &mut Table<'_>, names: &Names) -> Option<(Rate, Option<Phrase>)> {
    let limit = table.integer("limit", "Most calls in that time.", 1..=1_000_000);
    let per = table.positive_duration("per", "The time.");
    for name in ["limit", "per"] {
        table.need(name, "write for example { limit = 3, per = \"1s\" }");
    }
    let doc = "What has a budget of its own: `connection` (the default), or a template such as `{$parent.id}`.";
    let budget = table.parsed("key", doc, |text| {
        if text == "connection" {
            return Ok(None);
        }
        let known = Known { ancestors: 2, ..known_in_requests(names) };
        let phrase = known.phrase(text)?;
        if phrase.constant().is_some() {
            return Err(Fault::new("is the same for all", "write `connection`, or for example `{$parent.id}`"));
        }
        Ok(Some(phrase))
    });
    Some((Rate { limit: NonZeroU32::new(limit?)?, per: per? }, budget.flatten()))
}

fn base_url(text: &str, rule: &mut HostRule<'_>) -> Result<Template, Fault> {
    let template = rule.names.template(text.trim_end_matches('/'), Stage::ApiUrl)?;
    rule.check(&template)?;
    if text.contains(['?', '#']) {
        return Err(Fault::new("holds a query or a fragment", "put parameters into [api.query]"));
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Fault::new("holds a `.` or `..` segment", "write the path without it"));
    }
    Ok(template)
}

fn token_place(table: &mut Table<'_>, names: &Names) -> Option<TokenPlace> {
    let doc = "Whether the token stands in a header (the default) or in the query.";
    let in_query = table.word_or("in", doc, &[("header", false), ("query", true)], false);
    let name = table.parsed("name", "The header's or parameter's name; by default `Authorization`.", super::filled);
    let format = table.parsed("format", "How the token is written; by default `Bearer {access_token}`.", |text| {
        let template = names.template(text, Stage::ApiToken)?;
        if !template.names().any(|name| name == "access_token" || names.is_token(name)) {
            return Err(Fault::new("does not hold the token", "write `{access_token}` where it belongs"));
        }
        match template.names().find(|name| names.is_secret(name)) {
            Some(name) if in_query => {
                let fault = format!("puts the secret `{{{name}}}` into the query");
                return Err(Fault::new(fault, "send it by [api.headers]"));
            }
            _ => {}
        }
        if !in_query {
            header_template(&template)?;
        }
        Ok(template)
    });
    if format.is_none() && table.has("format") || name.is_none() && table.has("name") {
        return None;
    }
    if in_query {
        let Some(name) = name else {
            table.mistake("name", "is missing", "name the query parameter");
            return None;
        };
        let format = format.or_else(|| Template::parse("{access_token}").ok())?;
        return Some(TokenPlace::Query { name, format });
    }
    let format = format.or_else(|| Template::parse("Bearer {access_token}").ok())?;
    match header_name(name.as_deref().unwrap_or("authorization")) {
        Ok(name) => Some(TokenPlace::Header { name, format }),
        Err(fault) => {
            table.mistake("name", fault.fault, fault.remedy);
            None
        }
    }
}
