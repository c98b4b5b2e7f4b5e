//! Configuration: `config.toml`, environment variables, flags and provider files become [`Config`], or every mistake at
//! once. The only place that knows how settings are written. It reads files, opens nothing else, and takes the
//! environment from whoever calls.

mod app;
mod callers;
mod catalogue;
mod document;
mod environment;
mod integrations;
mod library;
mod merged;
mod net;
mod problem;
mod provider;
mod reader;
mod reference;
mod schema;
mod secrets;
mod server;
mod sources;
mod store;
mod telemetry;
mod trial;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use self::document::{Document, Layer};
use self::environment::FreeNames;
use self::library::{Files, Folder, Library};
use self::problem::{Fault, Place, Report};
use self::reader::{Context, Table};
use self::secrets::Environment;
use crate::broker::Integration;
use crate::model::ProviderId;
use crate::telemetry::trace;
use crate::upstream;

pub use self::catalogue::{Catalogue, ProviderFile, catalogue, check_provider};
pub(crate) use self::merged::toml_text;
pub use self::problem::{Problem, Problems};
pub use self::reader::{Key, Kind};
pub use self::reference::config_reference;
pub use self::schema::{config_schema, provider_schema};
#[cfg(test)]
pub(crate) use self::sources::Reading;
pub use self::sources::Sources;
pub use self::trial::{Trial, TrialClient};

/// The file that is read when none is named, if it is there.
pub const DEFAULT_FILE: &str = "config.toml";

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest {
    /// The configuration file, which has to exist; `None` for `config.toml` in `directory` if there is one.
    pub config_path: Option<PathBuf>,
    /// Where relative names begin; empty for the process's own directory.
    pub directory: PathBuf,
    /// The environment of the process.
    pub environment: Vec<(String, String)>,
    /// What the command line sets; it wins over everything else.
    pub overrides: Vec<Override>,
}

/// One setting of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The flag as it was typed, for problems: `--listen`.
    pub flag: String,
    /// The dotted key that it sets: `server.listen`.
    pub key: String,
    /// The value, as text of the key's type.
    pub value: String,
}

/// A whole, checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`, `[callers]` and `[app]`.
    pub server: crate::server::Settings,
    /// True when nobody wrote `server.public_url`: it names `server.listen`'s port, and where that is 0 the listener's
    /// own port is to be filled in.
    pub public_url_is_derived: bool,
    /// `[net]`.
    pub net: upstream::Settings,
    /// `[store]`.
    pub store: crate::store::Settings,
    /// `[log]`.
    pub log: crate::telemetry::Settings,
    /// `[telemetry]`; `None` when no spans are exported.
    pub telemetry: Option<trace::Settings>,
    /// Every integration, in the order of names. A provider without a table is one that says what is missing.
    pub integrations: Vec<Integration>,
    /// What deserves a look and stops nothing.
    pub warnings: Vec<Problem>,
}

/// What came of reading, and what was read for it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, or every mistake.
    pub config: Result<Config, Problems>,
    /// What it depends on, also when it has mistakes.
    pub sources: Sources,
}

/// Reads and checks everything.
///
/// # Errors
///
/// All mistakes of all files, environment variables and flags, each with its place and a remedy. No secret is shown.
pub fn load(request: LoadRequest) -> Result<Config, Problems> {
    load_with_sources(request).config
}

/// The same, and what it was read from.
pub fn load_with_sources(request: LoadRequest) -> Loaded {
    let report = Report::default();
    let environment = Environment::new(request.environment);
    let context = Context { report: &report, environment: &environment, keys: None };
    let config = match config_file(request.config_path.as_deref(), &request.directory, &context) {
        Ok(file) => merged(file.as_ref(), &request.directory, &request.overrides, &context),
        // Nothing in it can be trusted, so only the other files are looked at.
        Err(()) => {
            let folder = Folder { path: request.directory.join("providers"), named: None };
            Library::compile(&Files::read(&folder, &context), false, &context);
            None
        }
    };
    let (mistakes, warnings) = report.finish();
    let config = match config {
        Some(config) if mistakes.is_empty() => Ok(Config { warnings, ..config }),
        _ => Err(Problems(mistakes)),
    };
    Loaded { config, sources: environment.sources() }
}

/// Where the admin listener of a process with this configuration is; `None` when it has none. For whoever asks one that
/// runs: it may have secrets that nobody else has, and a mistake elsewhere that came in since keeps nobody from asking.
///
/// # Errors
///
/// What leaves it unknown: a file that cannot be read or is no TOML, or a mistake in `server.admin_listen` itself.
pub fn admin_listen(request: LoadRequest) -> Result<Option<SocketAddr>, Problems> {
    let LoadRequest { config_path, directory, environment, overrides } = request;
    let report = Report::default();
    let environment = Environment::new(environment);
    let context = Context { report: &report, environment: &environment, keys: None };
    let file = config_file(config_path.as_deref(), &directory, &context);
    let Ok(file) = file else { return Err(Problems(report.finish().0)) };
    let document = document(file.as_ref(), &directory, &overrides, &FreeNames::default(), &context);
    let address = Table::read(&document, &context, |table| table.table("server", "", server::admin_listen));
    let is_of_it = |problem: &Problem| matches!(problem.key.as_str(), "server" | "server.admin_listen");
    let mistakes: Vec<Problem> = report.finish().0.into_iter().filter(is_of_it).collect();
    if mistakes.is_empty() { Ok(address) } else { Err(Problems(mistakes)) }
}

/// Every key of `config.toml`, in the order in which they are read.
pub fn keys() -> Vec<Key> {
    describe(|table| {
        read(table, &Library::default());
    })
}

/// Every key of a provider file.
pub fn provider_keys() -> Vec<Key> {
    describe(|table| {
        let id = ProviderId::parse("name").expect("a provider id");
        provider::read(&id, false, table);
    })
}

fn describe(read: impl FnOnce(&mut Table<'_>)) -> Vec<Key> {
    let report = Report::default();
    let environment = Environment::default();
    let context = Context { report: &report, environment: &environment, keys: Some(RefCell::default()) };
    Table::read(&Document::merge("", Path::new(""), []), &context, read);
    context.keys.map(RefCell::into_inner).unwrap_or_default()
}

/// The configuration file. `Ok(None)` when there is none and none was asked for.
fn config_file(named: Option<&Path>, directory: &Path, context: &Context<'_>) -> Result<Option<Layer>, ()> {
    let report = context.report;
    let name = named.unwrap_or(Path::new(DEFAULT_FILE));
    let path = directory.join(name);
    let place = Place { file: name.display().to_string(), key: String::new() };
    match context.environment.files().text(&path) {
        Ok(text) => Layer::toml(&place.file, &path, &text).map(Some).map_err(|problem| report.mistake(problem)),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            report.mistake(
                place.problem(Fault::new(format!("cannot be read: {error}"), "check the path and its rights")),
            );
            Err(())
        }
    }
}

/// Everything that was written, before any of it is checked.
struct Gathered {
    /// The file, the environment and the flags.
    document: Document,
    /// Where the operator's provider files are, or would be.
    folder: Folder,
    files: Files,
    allow_http: bool,
}

/// The file, the environment as `names` tell what it means, and the flags.
fn document(
    file: Option<&Layer>,
    directory: &Path,
    overrides: &[Override],
    names: &FreeNames,
    context: &Context<'_>,
) -> Document {
    let flags: Vec<Layer> = overrides
        .iter()
        .map(|Override { flag, key, value }| {
            let keys: Vec<String> = key.split('.').map(str::to_owned).collect();
            Layer::text(&format!("command line {flag}"), directory, &keys, value)
        })
        .collect();
    let (home, home_directory) = match file {
        Some(file) => (file.name(), file.directory()),
        None => (DEFAULT_FILE, directory),
    };
    let environment = environment::layers(context, directory, names);
    Document::merge(home, home_directory, file.into_iter().chain(&environment).chain(&flags))
}

fn gather(file: Option<&Layer>, directory: &Path, overrides: &[Override], context: &Context<'_>) -> Gathered {
    // Names in the environment depend on the provider files, and where those are may stand in the environment.
    let quiet = Report::default();
    let ahead = Context { report: &quiet, environment: context.environment, keys: None };
    let before = document(file, directory, overrides, &FreeNames::default(), &ahead);
    let folder = Table::read(&before, &ahead, |table| {
        table.table("server", "", |table| server::providers_folder(table, &before.home().directory))
    });
    let files = Files::read(&folder, context);
    let names = FreeNames::of(file, files.ids());
    let document = document(file, directory, overrides, &names, context);
    let allow_http =
        Table::read(&document, &ahead, |table| table.table("net", "", |table| table.boolean("allow_http", "")));
    Gathered { document, folder, files, allow_http: allow_http.unwrap_or(false) }
}

fn merged(file: Option<&Layer>, directory: &Path, overrides: &[Override], context: &Context<'_>) -> Option<Config> {
    let Gathered { document, files, allow_http, .. } = gather(file, directory, overrides, context);
    let library = Library::compile(&files, allow_http, context);
    Table::read(&document, context, |table| read(table, &library))
}

/// Reads the whole of `config.toml`; `None` when a mistake leaves no configuration.
fn read(table: &mut Table<'_>, library: &Library) -> Option<Config> {
    let net = table.table("net", "What may go out, and how long it may take.", net::read);
    let store = table.table("store", "Where grants are kept, sealed.", store::read);
    let log = table.table("log", "Logs.", net::read_log);
    let telemetry = table.table("telemetry", "Spans of calls, for an OpenTelemetry collector.", telemetry::read);
    let integrations = integrations::read(table, library, net.allow_http);
    let before = table.context().report.count();
    let callers = callers::read(table);
    let has_callers = table.has("callers") && !callers.is_empty();
    let doc = "The application behind us.";
    let app = table.table("app", doc, |table| app::read(table, has_callers, net.allow_http));
    let access_is_good = table.context().report.count() == before;
    let names = integrations.iter().map(|integration| integration.name.as_str());
    callers::check_integrations(table, &callers, names);
    let server = table.table("server", "Where callers and browsers come in.", |table| {
        let mut server = server::read(table);
        server.settings.callers = callers.into_iter().map(|read| read.caller).collect();
        server.settings.app = app;
        // Callers and a login that were written with a mistake are mistake enough.
        if access_is_good {
            server::check_open_mode(table, &server.settings);
        }
        server
    });
    Some(Config {
        server: server.settings,
        public_url_is_derived: server.public_url_is_derived,
        net,
        store: store?,
        log,
        telemetry,
        integrations,
        warnings: Vec::new(),
    })
}
