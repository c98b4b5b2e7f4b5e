//! One provider file: read, checked and compiled. It knows no provider's name and holds no secret.

mod api;
mod capture;
mod host;
mod items;
mod names;
mod oauth;
mod pattern;
mod sunset;
mod tables;
mod token_response;
mod variables;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::capture::Captures;
use self::host::HostRule;
use self::names::Names;
use self::oauth::Answers;
use super::problem::{Fault, Place, Problem, quoted};
use super::reader::Table;
use crate::items::{Plan, Policy, Stream};
use crate::mapping::{Phrase, Root};
use crate::model::ProviderId;
use crate::oauth::{Protocol, Variable};
use crate::provider::{Provider, literal_origin};
use crate::route::Api;

pub(super) use self::host::{check_constant_url, is_loopback};
pub(super) use self::items::value_tables;
pub(super) use self::oauth::scope;
pub(super) use self::variables::check_value;

/// What reading a file brings besides the provider.
pub(super) struct ReadProvider {
    pub(super) provider: Provider,
    /// Said when an integration uses the provider.
    pub(super) warnings: Vec<Problem>,
}

/// Reads the merged tables of one provider file. What is returned is whole only when no mistake was noted.
pub(super) fn read(id: &ProviderId, allow_http: bool, table: &mut Table<'_>) -> Option<ReadProvider> {
    let display_name = table.parsed("display_name", "What people read; by default the file's name.", filled);
    let documentation = table.parsed("documentation", "The vendor's page about its OAuth.", filled);
    let category = table.parsed("category", "One word for lists: crm, docs, storage …", filled);
    table.text("extends", "The provider whose tables this file adds to and changes, key by key.");

    let mut names = Names::default();
    let mut variables = variables::read(table, &mut names, oauth::nobody_connects(table));
    let Oauth { protocol, sunset, guards } = read_oauth(table, &mut names, allow_http);
    let api = table.table("api", "How to call.", |table| api::read(table, &names, allow_http));
    let mut warnings = Vec::new();
    let before = table.context().report.count();
    let items = table.optional_table("items", "What to load.", |table| items::read(table, &names, &mut warnings));
    if let Some(budget) = api.as_ref().and_then(|api| api.budget.as_ref())
        && table.context().report.count() == before
    {
        check_budget(table, budget, items.as_deref().unwrap_or_default());
    }

    let mut protocol = protocol?;
    let ReadApi { api, guards: api_guards, policy, budget } = api?;
    let items = Plan::new(items.unwrap_or_default(), policy, budget);
    let guards = guards.into_iter().chain(api_guards).fold(BTreeMap::new(), merge_guard);
    apply_guards(&guards, &mut variables, &mut protocol);
    check_defaults(table, &variables);
    warnings.extend(sunset);
    warnings.extend(placeholder(table, &api));
    protocol.variables = variables;
    let display_name = display_name.unwrap_or_else(|| id.to_string());
    let items = Arc::new(items);
    let provider =
        Provider { id: id.clone(), display_name, documentation, category, protocol, api, items, digest: [0; 32] };
    Some(ReadProvider { provider, warnings })
}

/// What `keyferry providers new` writes where nobody said where the API is (RFC 2606 section 3).
fn placeholder(table: &Table<'_>, api: &Api) -> Option<Problem> {
    let origin = literal_origin(&api.base_url)?;
    let host = origin.host_str()?;
    let is_reserved = ["example.com", "example.net", "example.org"]
        .iter()
        .any(|reserved| host.strip_suffix(reserved).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    let place = table.place("api");
    let place = Place { key: "api.base_url".to_owned(), ..place };
    is_reserved.then(|| place.problem(Fault::new("is an example's host, which has no API", "write the vendor's")))
}

struct Oauth {
    protocol: Option<Protocol>,
    sunset: Option<Problem>,
    guards: Guards,
}

fn read_oauth(table: &mut Table<'_>, names: &mut Names, allow_http: bool) -> Oauth {
    table.table("oauth", "How to get a grant.", |table| {
        let captures = table.table("capture", "Values kept with the connection.", |table| capture::read(table, names));
        let Answers { token_response, token_exchange, discovery, guards } =
            oauth::read_answers(table, names, allow_http);
        let mut rule = HostRule { names, allow_http, guards };
        let (protocol, sunset) = oauth::read(table, &mut rule).unzip();
        let guards = rule.guards;
        if let Some(protocol) = &protocol {
            capture::check_callback(table, &captures.callback, &protocol.callback);
        }
        let protocol = protocol.map(|protocol| {
            let Captures { token: token_capture, callback: callback_capture } = captures;
            Protocol { token_capture, callback_capture, token_response, token_exchange, discovery, ..protocol }
        });
        Oauth { protocol, sunset: sunset.flatten(), guards }
    })
}

/// Names without a pattern that stand in a host.
type Guards = BTreeMap<String, host::Guard>;

/// The `[api]` table.
struct ReadApi {
    api: Api,
    /// Which names stand in its host.
    guards: Guards,
    /// What is done about answers that are no good.
    policy: Policy,
    /// What parts a connection's rate budget.
    budget: Option<Phrase>,
}

/// In two hosts the narrower guard holds for both.
fn merge_guard(mut guards: Guards, (name, guard): (String, host::Guard)) -> Guards {
    let present = guards.entry(name).or_insert(guard);
    if guard == host::Guard::Label {
        *present = guard;
    }
    guards
}

/// A value without a pattern of its own that stands in a host is held to a host's characters.
fn apply_guards(guards: &Guards, variables: &mut BTreeMap<String, Variable>, protocol: &mut Protocol) {
    for (name, guard) in guards {
        let pattern = if let Some(variable) = variables.get_mut(name) {
            &mut variable.pattern
        } else if let Some(rule) = protocol.capture_rule_mut(name) {
            &mut rule.pattern
        } else {
            continue;
        };
        pattern.get_or_insert_with(|| guard.pattern());
    }
}

/// A budget that hangs on a parent is one only where some request has it.
fn check_budget(table: &Table<'_>, budget: &Phrase, streams: &[Stream]) {
    let parent = |stream: &Stream| stream.parent.and_then(|parent| streams.get(parent));
    let has_parent = streams.iter().any(|stream| stream.parent.is_some());
    let has_grandparent = streams.iter().filter_map(parent).any(|stream| stream.parent.is_some());
    let missing = budget.references().find_map(|reference| match reference.root() {
        Root::Parent if !has_parent => Some((reference, "no stream has a parent")),
        Root::Grandparent if !has_grandparent => Some((reference, "no stream's parent has a parent")),
        _ => None,
    });
    if let Some((reference, why)) = missing {
        let mut place = table.place("api");
        place.key = "api.rate.key".into();
        let fault = Fault::new(format!("asks for {}, but {why}", quoted(&reference.text())), "write `connection`");
        table.context().report.mistake(place.problem(fault));
    }
}

fn check_defaults(table: &mut Table<'_>, variables: &BTreeMap<String, Variable>) {
    for (name, variable) in variables {
        let Some(default) = &variable.default else { continue };
        if !variable.accepts(default) {
            let mut place = table.place("variables");
            place.key = format!("variables.{name}.default");
            let fault = Fault::new("is not a value that the variable takes", variables::what_it_takes(variable));
            table.context().report.mistake(place.problem(fault));
        }
    }
}

/// A key of a mechanism that comes later: refused rather than read over.
fn unknown_yet(name: &str) -> Fault {
    Fault::new(format!("this version does not know `{name}` yet"), "remove it, or use a version that does")
}

pub(super) fn filled(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() { Err(Fault::new("is empty", "write it or remove the key")) } else { Ok(text.to_owned()) }
}
