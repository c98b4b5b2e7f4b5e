//! One provider file by itself: read together with what it extends, and put into a sidecar that nobody else reaches.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Document, Layer};
use super::library::{Files, Folder, Library};
use super::problem::{Fault, Place, Problem, Problems, Report, did_you_mean, quoted};
use super::reader::{Context, Table};
use super::secrets::Environment;
use super::{Config, read};
use crate::oauth::AuthMethod;
use crate::provider::Provider;

/// Where the command line's values stand, for problems.
const VARIABLE_FLAG: &str = "command line --variable";

/// A provider file that was read and has no mistakes.
pub struct Trial {
    provider: Arc<Provider>,
    library: Library,
}

/// Our client at the provider.
#[derive(Clone, Copy, Debug)]
pub struct TrialClient<'a> {
    /// Its identifier.
    pub id: &'a str,
    /// Its secret; left out where the file says that the client is a public one.
    pub secret: &'a str,
}

impl Trial {
    /// Reads the file of that name, or the provider of that id: from `providers/` below the directory, or shipped. What
    /// it extends may lie in the same folder, or be shipped.
    ///
    /// # Errors
    ///
    /// The mistakes of that file and of those that it extends; other files of the folder are nobody's concern.
    pub fn read(named: &str, directory: &Path) -> Result<Self, Problems> {
        let report = Report::default();
        let environment = Environment::default();
        let context = Context { report: &report, environment: &environment, keys: None };
        let is_path = named.contains('/') || Path::new(named).extension().is_some();
        let (folder, id) = if is_path {
            let path = directory.join(named);
            check_path(&path, named)?;
            let folder = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            (folder.to_owned(), path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        } else {
            (directory.join("providers"), named.to_owned())
        };
        let files = Files::read(&Folder { path: folder.clone(), named: None }, &context);
        if !is_path && !files.ids().any(|known| known == id) {
            let fault = format!("no provider is named {}", quoted(named));
            let remedy = did_you_mean(named, files.ids());
            return Err(one(&folder.join(format!("{id}.toml")), Fault::new(fault, remedy)));
        }
        let library = Library::compile_one(&files, &id, &context);
        if let Ok(Some(provider)) = library.get(&id) {
            return Ok(Self { provider: Arc::clone(provider), library });
        }
        let own = folder.join(format!("{id}.toml")).display().to_string();
        let mut family = files.names_of_family(&id);
        family.push(&own);
        let (all, _) = report.finish();
        let of_family: Vec<Problem> =
            all.iter().filter(|problem| family.contains(&problem.file.as_str())).cloned().collect();
        // What is wrong with a file's name concerns no file that was read.
        Err(Problems(if of_family.is_empty() { all } else { of_family }))
    }

    /// The provider.
    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// What is to be said when the provider is used.
    pub fn warnings(&self) -> &[Problem] {
        self.library.warnings(self.provider.id.as_str())
    }

    /// A sidecar's configuration: in the open mode, on a free port of loopback, in memory, with this provider alone and
    /// the operator's values for its variables. Everything that it sends goes to `stage`.
    ///
    /// # Errors
    ///
    /// What is wrong with the values.
    pub fn sidecar(
        &self,
        stage: SocketAddr,
        client: TrialClient<'_>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Config, Problems> {
        let report = Report::default();
        let environment = Environment::default();
        let context = Context { report: &report, environment: &environment, keys: None };
        let id = self.provider.id.as_str();
        let layer = |name: &str, keys: &[&str], text: &str| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            Layer::text(name, Path::new(""), &keys, text)
        };
        let mut layers = vec![
            layer("", &["server", "listen"], "127.0.0.1:0"),
            layer("", &["server", "admin_listen"], ""),
            layer("", &["server", "public_url"], "http://localhost:8080"),
            layer("", &["store", "url"], "memory:"),
            layer("", &["integrations", id, "client_id"], client.id),
        ];
        if self.provider.protocol.token_endpoint_auth_method != Some(AuthMethod::None) {
            layers.push(layer("", &["integrations", id, "client_secret"], client.secret));
        }
        for (name, value) in variables {
            layers.push(layer(VARIABLE_FLAG, &["integrations", id, "variables", name], value));
        }
        let document = Document::merge("", Path::new(""), &layers);
        let config = Table::read(&document, &context, |table| read(table, &self.library));
        let (mistakes, _) = report.finish();
        match config {
            Some(mut config) if mistakes.is_empty() => {
                config.net.stage = Some(stage);
                Ok(config)
            }
            _ => Err(Problems(mistakes)),
        }
    }
}

/// A file that is there and whose name can be a provider's.
fn check_path(path: &PathBuf, named: &str) -> Result<(), Problems> {
    let fault = match std::fs::metadata(path) {
        Err(error) => Fault::new(format!("cannot be read: {error}"), "check the path and its rights"),
        Ok(found) if !found.is_file() => Fault::new("is not a file", "name the provider's file"),
        Ok(_) if path.extension().is_none_or(|extension| extension != "toml") => {
            Fault::new("is not a .toml file", "rename it; the name before .toml is the provider's id")
        }
        Ok(_) => return Ok(()),
    };
    Err(one(Path::new(named), fault))
}

fn one(file: &Path, fault: Fault) -> Problems {
    Problems(vec![Place { file: file.display().to_string(), key: String::new() }.problem(fault)])
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trial").field(&self.provider.id).finish()
    }
}
