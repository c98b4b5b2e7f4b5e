//! The `[integrations]` tables: our OAuth client at each provider. A provider that nobody configured becomes one that
//! says what is missing.

mod by_value;
mod certificate;
mod signing_key;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::library::Library;
use super::problem::{Fault, Place, Problem, did_you_mean, quoted};
use super::provider;
use super::reader::Table;
use super::secrets::Resolved;
use crate::broker::{Integration, LimitMode};
use crate::mapping::Encoding;
use crate::model::{IntegrationName, Secret};
use crate::oauth::{AuthMethod, GrantType};
use crate::provider::Provider;

/// Reads all of them, and adds the providers that have no table.
pub(super) fn read(table: &mut Table<'_>, library: &Library, allow_http: bool) -> Vec<Integration> {
    let mut named = Vec::new();
    let doc = "Our OAuth client at each provider.";
    let mut integrations = table.tables("integrations", doc, "<name>", |name, table| {
        named.push(name.to_owned());
        one(name, table, library, allow_http)
    });
    for provider in library.providers() {
        let id = provider.id.as_str();
        if named.iter().any(|name| name == id) {
            continue;
        }
        let Ok(name) = IntegrationName::parse(id) else { continue };
        integrations.push(Integration {
            missing: missing(&name, &[Lacking::unset("client_id")]),
            name,
            provider: Arc::clone(provider),
            client_id: None,
            client_secret: None,
            client_secrets: None,
            private_key: None,
            private_key_id: None,
            certificate: None,
            scopes: None,
            variables: BTreeMap::new(),
            redirect_uri: None,
            holder: None,
            limits: LimitMode::default(),
        });
    }
    integrations.sort_by(|one, other| one.name.cmp(&other.name));
    integrations
}

fn one(name: &str, table: &mut Table<'_>, library: &Library, allow_http: bool) -> Option<Integration> {
    let integration_name = IntegrationName::parse(name);
    if let Err(error) = &integration_name {
        let fault = Fault::new(format!("the integration's name {error}"), "rename it");
        table.context().report.mistake(table.here().problem(fault));
    }
    let doc = "The id of its provider; by default the integration's own name.";
    let provider_id = table.text("provider", doc);
    table.for_example("provider", "acme");
    let client_id = table.secret("client_id", "The client identifier that the provider gave.");
    table.for_example("client_id", "your client id");
    let client_secret =
        table.secret("client_secret", "The client secret that the provider gave; public clients have none.");
    table.for_example("client_secret", "env:ACME_CLIENT_SECRET");
    let doc = "Client secrets for single values of a variable or of what the callback brings; `client_secret` holds for \
               all others.";
    let client_secrets = table.secret_tables("client_secrets", doc);
    table.for_example("client_secrets", json!({ "location": { "eu": "env:ACME_EU_CLIENT_SECRET" } }));
    let doc = "The key that we sign with, where the provider wants signatures instead of a secret: PEM (PKCS#8), or the \
               JSON key file that it gave.";
    let private_key = table.secret("private_key", doc);
    table.for_example("private_key", "file:/run/secrets/acme.p8");
    let doc = "What the provider calls that key; by default as its JSON key file says.";
    let private_key_id = table.parsed("private_key_id", doc, provider::filled);
    table.for_example("private_key_id", "2026-11");
    let doc = "Scopes to ask for; by default the provider file's.";
    let scopes = table.list("scopes", doc, provider::scope);
    table.for_example("scopes", ["contacts.read"].as_slice());
    let doc = "Values for the provider's variables, such as a subdomain; those of secret ones may be \"env:NAME\" or \
               \"file:PATH\".";
    let variables = table.texts("variables", doc);
    table.for_example("variables", json!({ "subdomain": "acme" }));
    let doc = "Sent as redirect_uri instead of our callback, for providers that register an alias.";
    let redirect_uri = table.parsed("redirect_uri", doc, redirect_uri);
    table.for_example("redirect_uri", "Acme-App-Alias");

    let certificate = certificate::read(table);
    let doc = "What becomes of proxied calls over their connection's rate budget: observe counts them, delay lets them wait \
               for up to 10s, reject answers 429. The last two also stop calls for a while when the provider keeps failing.";
    let modes = [LimitMode::Observe, LimitMode::Delay, LimitMode::Reject].map(|mode| (mode.as_str(), mode));
    let limits = table.word_or("limits", doc, &modes, LimitMode::default());

    let provider = find_provider(table, library, name, provider_id.as_deref())?;
    let mut lacking = Vec::new();
    let variables = follow_secrets(table, &provider, variables, &mut lacking);
    check_variables(table, &provider, &variables, allow_http);
    for warning in library.warnings(provider.id.as_str()) {
        table.context().report.warning(warning.clone());
    }
    let name = integration_name.ok()?;
    let client_id = wanted(table, "client_id", client_id, true, &mut lacking);
    let needs_secret = matches!(
        provider.protocol.token_endpoint_auth_method,
        Some(AuthMethod::ClientSecretPost | AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretJwt)
    );
    let client_secrets = by_value::client_secrets(table, &provider, client_secrets, &mut lacking);
    let needs_secret = needs_secret && !by_value::are_all(&provider, client_secrets.as_ref());
    // What a client without any credentials asked for would be anybody's.
    let needs_secret = needs_secret
        || provider.protocol.grant_type == GrantType::ClientCredentials
            && provider.protocol.token_endpoint_auth_method.is_none();
    let client_secret = wanted(table, "client_secret", client_secret, needs_secret, &mut lacking);
    let certificate = certificate::finish(table, certificate, &provider, &mut lacking);
    let private_key = signing_key::read(table, private_key, &provider, &mut lacking);
    let variables: BTreeMap<String, String> = variables.into_iter().collect();
    for (variable, rule) in &provider.protocol.variables {
        let key = format!("variables.{variable}");
        let is_known = variables.contains_key(variable) || lacking.iter().any(|lacking| lacking.key == key);
        if rule.operator_only && rule.default.is_none() && !is_known {
            lacking.push(Lacking::unset(key));
        }
    }
    for lacking in &lacking {
        table.context().report.warning(lacking.warning(table, &name));
    }
    let mut integration = Integration {
        missing: missing(&name, &lacking),
        name,
        provider,
        client_id: client_id.map(|secret| secret.expose().to_owned()),
        client_secret,
        client_secrets,
        private_key,
        private_key_id,
        certificate,
        scopes: scopes.map(|scopes| scopes.into_iter().map(|(_, scope)| scope).collect()),
        variables,
        redirect_uri,
        holder: None,
        limits,
    };
    integration.holder = integration.holder_of_its_own();
    Some(integration)
}

/// A key that the integration needs and that has no value.
struct Lacking {
    /// Its name in the integration's table.
    key: String,
    /// Why what it refers to gives no value; `None` when the key was not written.
    why: Option<String>,
}

impl Lacking {
    fn unset(key: impl Into<String>) -> Self {
        Self { key: key.into(), why: None }
    }

    fn warning(&self, table: &Table<'_>, name: &IntegrationName) -> Problem {
        let here = table.here();
        match &self.why {
            Some(why) => {
                let remedy = "until it has one, calls of this integration answer 500";
                let first = self.key.split('.').next().unwrap_or_default();
                let place = Place { key: format!("{}.{}", here.key, self.key), ..table.place(first) };
                place.problem(Fault::new(format!("has no value: {why}"), remedy))
            }
            None => {
                let variable = variable_of(name, &self.key);
                let remedy = format!("set it, or {variable}; until then calls of this integration answer 500");
                Place { key: format!("{}.{}", here.key, self.key), ..here }.problem(Fault::new("is not set", remedy))
            }
        }
    }
}

/// A credential of the client; when it is lacking, that goes to the list.
fn wanted(
    table: &Table<'_>,
    key: &str,
    resolved: Option<Resolved>,
    is_needed: bool,
    lacking: &mut Vec<Lacking>,
) -> Option<Secret> {
    match resolved {
        Some(Resolved::Found(secret)) => return Some(secret),
        Some(Resolved::Missing(why)) => lacking.push(Lacking { key: key.to_owned(), why: Some(why) }),
        None if is_needed && !table.has(key) => lacking.push(Lacking::unset(key)),
        None => {}
    }
    None
}

/// The variables, with what secret ones refer to; what refers to nothing goes to the list.
fn follow_secrets(
    table: &Table<'_>,
    provider: &Provider,
    variables: Vec<(String, String)>,
    lacking: &mut Vec<Lacking>,
) -> Vec<(String, String)> {
    let directory = table.directory_of("variables");
    let mut followed = Vec::new();
    for (name, text) in variables {
        let is_secret = provider.protocol.variables.get(&name).is_some_and(|rule| rule.secret);
        match is_secret.then(|| table.context().environment.resolve(&text, &directory)) {
            None => followed.push((name, text)),
            Some(Resolved::Found(secret)) => followed.push((name, secret.expose().to_owned())),
            Some(Resolved::Missing(why)) => {
                lacking.push(Lacking { key: format!("variables.{name}"), why: Some(why) });
            }
        }
    }
    followed
}

fn find_provider(table: &Table<'_>, library: &Library, name: &str, provider_id: Option<&str>) -> Option<Arc<Provider>> {
    if provider_id.is_none() && table.has("provider") {
        return None;
    }
    match library.get(provider_id.unwrap_or(name)) {
        Ok(provider) => provider.cloned(),
        Err(Fault { fault, remedy }) => {
            if provider_id.is_some() {
                table.mistake("provider", fault, remedy);
            } else {
                let remedy = format!("{remedy} (or name one in `provider`)");
                table.context().report.mistake(table.here().problem(Fault::new(fault, remedy)));
            }
            None
        }
    }
}

fn check_variables(table: &Table<'_>, provider: &Provider, values: &[(String, String)], allow_http: bool) {
    let known = &provider.protocol.variables;
    let place = |name: &str| {
        let place = table.place("variables");
        Place { key: format!("{}.{name}", place.key), ..place }
    };
    let before = table.context().report.count();
    for (name, value) in values {
        let fault = match known.get(name) {
            Some(variable) => provider::check_value(variable, value),
            None => {
                let fault = format!("{} has no such variable", quoted(provider.id.as_str()));
                Err(Fault::new(fault, did_you_mean(name, known.keys().map(String::as_str))))
            }
        };
        if let Err(fault) = fault {
            table.context().report.mistake(place(name).problem(fault));
        }
    }
    if table.context().report.count() > before {
        return;
    }
    // What the operator may choose freely, a whole host above all, is looked at where it ends up.
    let value_of = |name: &str| {
        let set = values.iter().find(|(set, _)| set == name).map(|(_, value)| value.as_str());
        set.or_else(|| known.get(name)?.default.as_deref()).map(Into::into)
    };
    for url in provider.urls() {
        let Some(rendered) = url.render(Encoding::Url, value_of) else { continue };
        let Some(name) = url.names().find(|name| values.iter().any(|(set, _)| set == name)) else { continue };
        if let Err(fault) = provider::check_constant_url(&rendered, allow_http) {
            let fault = Fault::new(format!("makes a URL that secrets may not go to: {}", fault.fault), fault.remedy);
            table.context().report.mistake(place(name).problem(fault));
        }
    }
}

/// What callers are told while a value is lacking, in whole sentences; `None` when nothing is.
fn missing(name: &IntegrationName, lacking: &[Lacking]) -> Option<String> {
    let mut to_set = Vec::new();
    let mut sentences = Vec::new();
    for Lacking { key, why } in lacking {
        match why {
            None => to_set.push(format!("`integrations.{name}.{key}` (or {})", variable_of(name, key))),
            Some(why) => sentences.push(format!("The key `integrations.{name}.{key}` has no value: {why}.")),
        }
    }
    if !to_set.is_empty() {
        sentences.insert(0, format!("Set {}.", to_set.join(", and ")));
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// The environment variable that stands for a key.
fn variable_of(name: &IntegrationName, key: &str) -> String {
    let rest = format!("{name}__{}", key.replace('.', "__")).replace('-', "_").to_ascii_uppercase();
    format!("KEYFERRY_INTEGRATIONS__{rest}")
}

fn redirect_uri(text: &str) -> Result<String, Fault> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Fault::new(
            "is empty or holds white space",
            "write what was registered at the provider, or remove it",
        ));
    }
    Ok(text.to_owned())
}
