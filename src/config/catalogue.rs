//! The provider files one by one, each with its own mistakes: for whoever lists, shows or writes them. Reads files and
//! opens nothing else; a mistake in one file hides no other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use figment::value::Dict;

use super::document::Document;
use super::library::Files;
use super::merged;
use super::problem::{Problem, Problems, Report, did_you_mean, quoted};
use super::reader::{Context, Table};
use super::secrets::Environment;
use super::{Gathered, LoadRequest, config_file, gather, net};
use crate::provider::Provider;
use crate::upstream;

/// All provider files, and what else a command about them asks for.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Every file, in the order of the ids.
    pub files: Vec<ProviderFile>,
    /// The operator's folder, which may not be there.
    pub folder: PathBuf,
    /// `[net]`.
    pub net: upstream::Settings,
}

/// One provider file.
#[derive(Clone, Debug)]
pub struct ProviderFile {
    /// The stem of its name.
    pub id: String,
    /// The file, as problems name it.
    pub name: String,
    /// Whether it is one of the binary's own.
    pub is_shipped: bool,
    /// What it extends, as problems name it, oldest first.
    pub ancestors: Vec<String>,
    /// What people read, as far as it can be told.
    pub display_name: String,
    /// One word for lists.
    pub category: Option<String>,
    /// The grant types (RFC 7591 section 2) that it uses.
    pub grant_types: Vec<String>,
    /// The integrations of the configuration that use it.
    pub integrations: Vec<String>,
    /// The file with all that it extends, as TOML in the order of the keys' descriptions. Where there is something to
    /// extend, each table or line says which file it is from.
    pub toml: String,
    /// The same as JSON.
    pub json: serde_json::Value,
    /// What the engine made of it; `None` when it has mistakes.
    pub provider: Option<Arc<Provider>>,
    /// What is wrong with it.
    pub mistakes: Vec<Problem>,
    /// What deserves a look.
    pub warnings: Vec<Problem>,
}

/// What a file without `grant_types` uses (RFC 7591 section 2, and refreshes).
const DEFAULT_GRANT_TYPES: [&str; 2] = ["authorization_code", "refresh_token"];

/// Reads every provider file that `keyferry serve` would read.
///
/// # Errors
///
/// What keeps it from knowing where they are, or how to go out: a configuration file that is no TOML, mistakes in
/// `[net]`, a folder that cannot be read. Mistakes of provider files are in the list.
pub fn catalogue(request: LoadRequest) -> Result<Catalogue, Problems> {
    let LoadRequest { config_path, directory, environment, overrides } = request;
    let environment = Environment::new(environment);
    let report = Report::default();
    let context = Context { report: &report, environment: &environment, keys: None };
    let file = config_file(config_path.as_deref(), &directory, &context);
    let Ok(file) = file else { return Err(Problems(report.finish().0)) };
    let Gathered { document, folder, files, allow_http } = gather(file.as_ref(), &directory, &overrides, &context);
    let ahead = Report::default();
    let net_context = Context { report: &ahead, ..context };
    let net = Table::read(&document, &net_context, |table| table.table("net", "", net::read));

    let of_net = ahead.finish().0.into_iter().filter(|problem| problem.key.starts_with("net."));
    let (found, _) = report.finish();
    let is_of_a_file = |problem: &Problem| files.ids().any(|id| files.name(id) == problem.file);
    let (of_files, others): (Vec<Problem>, Vec<Problem>) = found.into_iter().partition(is_of_a_file);
    let fatal: Vec<Problem> = others.into_iter().chain(of_net).collect();
    if !fatal.is_empty() {
        return Err(Problems(fatal));
    }
    let users = users(&document);
    let one = |id: &str| {
        let mut file = look_at(id, &files, allow_http, &environment);
        file.mistakes.extend(of_files.iter().filter(|problem| problem.file == file.name).cloned());
        file.integrations = users.get(id).cloned().unwrap_or_default();
        file
    };
    let mut ids: Vec<&str> = files.ids().collect();
    ids.sort_unstable();
    Ok(Catalogue { files: ids.into_iter().map(one).collect(), folder: folder.path, net })
}

/// Checks one file that extends nothing and stands nowhere yet; `name` is what problems call it.
pub fn check_provider(id: &str, name: &str, text: &str, allow_http: bool) -> Result<(), Problems> {
    let report = Report::default();
    let environment = Environment::default();
    let context = Context { report: &report, environment: &environment, keys: None };
    Files::of_one(id, name, text, &context).compile(id, allow_http, &context);
    let (mistakes, _) = report.finish();
    if mistakes.is_empty() { Ok(()) } else { Err(Problems(mistakes)) }
}

impl Catalogue {
    /// The file of this id.
    ///
    /// # Errors
    ///
    /// A sentence that says that there is none, and which may have been meant.
    pub fn get(&self, id: &str) -> Result<&ProviderFile, String> {
        let ids = || self.files.iter().map(|file| file.id.as_str());
        self.files.iter().find(|file| file.id == id).ok_or_else(|| {
            let remedy = match did_you_mean(id, ids()) {
                remedy if remedy.is_empty() => "`keyferry providers list` names them".to_owned(),
                remedy => remedy,
            };
            format!("no provider is named {}; {remedy}", quoted(id))
        })
    }
}

fn look_at(id: &str, files: &Files, allow_http: bool, environment: &Environment) -> ProviderFile {
    let report = Report::default();
    let context = Context { report: &report, environment, keys: None };
    let merged = files.merged(id, &context);
    let read = files.compile(id, allow_http, &context);
    let (mistakes, _) = report.finish();
    let empty = Dict::new();
    let values = merged.as_ref().map_or(&empty, |(document, _)| document.values());
    let text = |table: &Dict, key: &str| table.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let grant_types = values.get("oauth").and_then(|oauth| oauth.as_dict()?.get("grant_types")?.as_array());
    let grant_types = match grant_types {
        Some(listed) => listed.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect(),
        None => DEFAULT_GRANT_TYPES.map(str::to_owned).to_vec(),
    };
    let (provider, warnings) = match read {
        Some(read) if mistakes.is_empty() => (Some(Arc::new(read.provider)), read.warnings),
        _ => (None, Vec::new()),
    };
    let names = merged.as_ref().map(|(_, names)| names.as_slice()).unwrap_or_default();
    let ancestors = names.iter().take(names.len().saturating_sub(1)).map(|name| (*name).to_owned()).collect();
    ProviderFile {
        id: id.to_owned(),
        name: files.name(id).to_owned(),
        is_shipped: files.is_shipped(id),
        ancestors,
        display_name: text(values, "display_name").unwrap_or_else(|| id.to_owned()),
        category: text(values, "category"),
        grant_types,
        integrations: Vec::new(),
        toml: merged.as_ref().map(|(document, names)| merged::toml(document, names.len() > 1)).unwrap_or_default(),
        json: merged.as_ref().map(|(document, _)| merged::json(document)).unwrap_or_default(),
        provider,
        mistakes,
        warnings,
    }
}

/// Which integrations of the configuration use which provider.
fn users(document: &Document) -> BTreeMap<String, Vec<String>> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let integrations = document.values().get("integrations").and_then(|value| value.as_dict());
    for (name, table) in integrations.into_iter().flatten() {
        let provider = table.as_dict().and_then(|table| table.get("provider")?.as_str()).unwrap_or(name);
        users.entry(provider.to_owned()).or_default().push(name.clone());
    }
    users
}
