//! From one configuration to the next while running: when the files have changed, on SIGHUP, or when the admin listener
//! is asked to. The next one is read and made whole before anything is touched; with a mistake in it the one before
//! stays.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::fixed::Fixed;
use super::parts::{self, Parts, Prepared};
use super::supervisor::Supervisor;
use super::watcher::Watcher;
use crate::broker::{Changes, Network};
use crate::config::{self, Config, LoadRequest, Loaded, Problem, Sources};
use crate::model::{CallerName, IntegrationName};
use crate::server::listen::TlsFileError;
use crate::server::{Notice, Reloaded, Settings, Wish};
use crate::telemetry::audit::{self, About, Asked, Event};
use crate::telemetry::trace::{self, Tracer};
use crate::telemetry::{self, Logs, TelemetryError};
use crate::upstream::{self, SetupError};

/// How long files may take to be read.
const LONGEST_READING: Duration = Duration::from_secs(10);

/// How the configuration is read again.
pub struct Reloading {
    /// What it was read from.
    pub request: LoadRequest,
    /// The files that it was made of.
    pub sources: Sources,
    /// Whose level may change.
    pub logs: Logs,
    /// A message for each SIGHUP.
    pub hangups: mpsc::Receiver<()>,
    /// Who is told of each.
    pub supervisor: Supervisor,
}

/// The configuration of the start, as far as it is compared with later ones.
pub(super) struct StartedBy {
    pub(super) fixed: Fixed,
    pub(super) server: Settings,
    pub(super) net: upstream::Settings,
    pub(super) log: telemetry::Settings,
    pub(super) telemetry: Option<trace::Settings>,
}

/// Why it is read again; the word of the log.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Files,
    Signal,
    Request,
}

/// Reads and exchanges, one at a time, for as long as the task lives.
struct Reloader {
    parts: Arc<Parts>,
    request: LoadRequest,
    logs: Logs,
    supervisor: Supervisor,
    watcher: Watcher,
    fixed: Fixed,
    /// What was read at the start.
    first: Sources,
    in_force: InForce,
    /// Whether the last one had mistakes.
    is_refused: bool,
}

/// The configuration in force, as it was written.
struct InForce {
    sources: Sources,
    server: Settings,
    net: upstream::Settings,
    log: telemetry::Settings,
    telemetry: Option<trace::Settings>,
}

/// Begins to follow.
pub(super) fn follow(parts: Arc<Parts>, started_by: StartedBy, reloading: Reloading) -> JoinHandle<()> {
    let Reloading { request, sources, logs, hangups, supervisor } = reloading;
    let StartedBy { fixed, server, net, log, telemetry } = started_by;
    let mut watcher = Watcher::new();
    watcher.follow(sources.clone());
    let (asking, wishes) = mpsc::channel(16);
    parts.service.load().process().reloads().answered_by(asking);
    parts.service.load().process().counts_lines_of(logs.clone());
    let first = sources.clone();
    let in_force = InForce { sources, server, net, log, telemetry };
    let reloader = Reloader { parts, request, logs, supervisor, watcher, fixed, first, in_force, is_refused: false };
    tokio::spawn(reloader.run(wishes, hangups))
}

impl Reloader {
    async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, mut hangups: mpsc::Receiver<()>) {
        loop {
            let (cause, wish) = tokio::select! {
                Some(wish) = wishes.recv() => (Cause::Request, Some(wish)),
                Some(()) = hangups.recv() => (Cause::Signal, None),
                () = self.watcher.changed() => (Cause::Files, None),
            };
            self.supervisor.reloading();
            let (by, answer) = wish.map(|Wish { by, answer }| (by, answer)).unzip();
            let outcome = Asked::carry(by.flatten(), self.reload(cause)).await;
            self.supervisor.ready(match outcome {
                Reloaded::Good { .. } => "serving, with the configuration as it is in its files",
                Reloaded::Refused(_) => "serving; the configuration has mistakes, and the one before stays in force",
            });
            self.parts.service.load().process().reloads().count(&outcome, self.parts.broker.now());
            if let Some(answer) = answer {
                // Whoever asked may have gone away.
                let _ = answer.send(outcome);
            }
        }
    }

    async fn reload(&mut self, cause: Cause) -> Reloaded {
        let request = self.request.clone();
        let reading = tokio::task::spawn_blocking(move || config::load_with_sources(request));
        let Ok(read) = tokio::time::timeout(LONGEST_READING, reading).await else {
            let fault = format!("cannot be read within {} seconds", LONGEST_READING.as_secs());
            let remedy = "look for a pipe, which can be read once, or for a file system that hangs";
            return self.refused(cause, vec![self.notice("", fault, remedy)]);
        };
        let Ok(Loaded { config, sources }) = read else {
            let fault = "reading the configuration panicked; this is a mistake in Keyferry".to_owned();
            return self.refused(cause, vec![self.notice("", fault, "the log says where")]);
        };
        self.watcher.follow(sources.clone());
        let outcome = match config {
            Ok(config) => self.apply(config, sources, cause),
            Err(problems) => Err(problems.0.into_iter().map(Notice::from).collect()),
        };
        match outcome {
            Ok(good) => {
                self.is_refused = false;
                good
            }
            Err(mistakes) => self.refused(cause, mistakes),
        }
    }

    /// Makes everything that follows from it, and then exchanges it.
    fn apply(&mut self, config: Config, sources: Sources, cause: Cause) -> Result<Reloaded, Vec<Notice>> {
        let needs_restart = self.fixed.differences(&config, &self.first, &sources);
        let warnings: Vec<Notice> = config.warnings.iter().cloned().map(Notice::from).collect();
        let is_changed = sources != self.in_force.sources;
        if !is_changed {
            // A file of audit events that was moved away is left to whoever moved it.
            self.logs.follow(&config.log).map_err(|error| vec![self.of_log(&error)])?;
            if self.is_refused {
                tracing::info!(cause = cause.as_str(), "config: without mistakes again, and as it is in force");
            } else {
                tracing::info!(cause = cause.as_str(), "config: nothing has changed");
            }
            return Ok(Reloaded::Good { is_changed, needs_restart, warnings });
        }
        let settings = self.fixed.kept_in(&config.server);
        // A file that is half written looks like one without callers: what was closed opens at a start alone.
        if settings.is_open() && !self.in_force.server.is_open() {
            let fault = "has nobody in it any more, so that nobody would have to prove who they are".to_owned();
            let remedy = "write a caller (`keyferry keys new` makes one), or restart, if that is what you want";
            return Err(vec![self.notice("callers", fault, remedy)]);
        }
        if opens_to_others(&settings, self.parts.address) {
            let fault = format!("is {} until a restart, while nobody has to prove who they are", self.parts.address);
            let remedy = "add a caller ([callers.<name>], which `keyferry keys new` writes), or restart";
            return Err(vec![self.notice("server.listen", fault, remedy)]);
        }
        let network = self.network(&config, &sources).map_err(|error| vec![self.of_net(&error)])?;
        let tracer = self.tracer(&config, &network)?;
        let prepared = Prepared::new(settings, &config, self.parts.address, network, tracer)
            .map_err(|error| vec![self.of_tls(&error)])?;
        self.logs.follow(&config.log).map_err(|error| vec![self.of_log(&error)])?;
        let tables = changed_tables(&self.in_force, &config);
        let changes = self.parts.exchange(prepared, config.integrations);
        audit::write(Event::Reloaded, &About::default().because(cause.as_str()));
        for (caller, reason) in key_changes(&self.in_force.server, &config.server) {
            let about = caller.as_ref().map_or_else(About::default, About::caller);
            audit::write(Event::KeyChanged, &about.because(reason));
        }
        let (server, net, log, telemetry) = (config.server, config.net, config.log, config.telemetry);
        self.in_force = InForce { sources, server, net, log, telemetry };
        report(cause, &tables, &changes, &needs_restart, &config.warnings);
        Ok(Reloaded::Good { is_changed, needs_restart, warnings })
    }

    /// The ways out, with their open connections where nothing about them has changed.
    fn network(&self, config: &Config, sources: &Sources) -> Result<Network, SetupError> {
        let current = self.parts.broker.network();
        let has_same_roots =
            config.net.ca_file.as_ref().is_none_or(|path| self.in_force.sources.agree_on(sources, path));
        if config.net == self.in_force.net && has_same_roots {
            return Ok(current);
        }
        parts::network_after(current, &config.net)
    }

    /// The one in force, unless it would export otherwise.
    fn tracer(&self, config: &Config, network: &Network) -> Result<Option<Tracer>, Vec<Notice>> {
        let is_same_way = network.upstream.is(&self.parts.broker.network().upstream);
        if config.telemetry == self.in_force.telemetry && is_same_way {
            return Ok(self.parts.service.load().tracer().cloned());
        }
        let begun = self.parts.exporting.begin(config.telemetry.as_ref(), &network.fetch);
        begun.map_err(|error| vec![self.notice("telemetry", format!("there is no entropy: {error}"), "try again")])
    }

    fn refused(&mut self, cause: Cause, mistakes: Vec<Notice>) -> Reloaded {
        self.is_refused = true;
        for Notice { file, key, fault, remedy } in &mistakes {
            tracing::error!(file, key, remedy, "config: {fault}");
        }
        let (cause, mistakes_found) = (cause.as_str(), mistakes.len());
        tracing::error!(cause, mistakes = mistakes_found, "config not reloaded; the one before stays in force");
        Reloaded::Refused(mistakes)
    }

    fn of_net(&self, error: &SetupError) -> Notice {
        match error {
            SetupError::CaFile { path, reason } => self.notice(
                "net.ca_file",
                format!("{path} cannot be read as PEM certificates: {reason}"),
                "mend the file",
            ),
            SetupError::Proxy(fault) => self.notice("net.proxy", (*fault).to_owned(), "write it as http://host:port"),
            SetupError::Client(_) => self.notice("net", error.to_string(), "restart"),
        }
    }

    fn of_log(&self, error: &TelemetryError) -> Notice {
        match error {
            TelemetryError::Audit { path, source } => {
                let fault = format!("{path} cannot be opened for appending: {source}");
                self.notice("log.audit", fault, "check the path and its rights")
            }
            TelemetryError::Level(_) | TelemetryError::Twice(_) | TelemetryError::Thread(_) => {
                self.notice("log.level", error.to_string(), "write for example `info`")
            }
        }
    }

    fn of_tls(&self, error: &TlsFileError) -> Notice {
        match error {
            TlsFileError::File { key, path, reason } => {
                self.notice(&format!("server.tls.{key}"), format!("{path}: {reason}"), "mend the file")
            }
            TlsFileError::Pair(cause) => {
                let fault = format!("certificate and key cannot be used together: {cause}");
                self.notice("server.tls", fault, "write both files anew")
            }
        }
    }

    /// A mistake that shows only when the parts are made.
    fn notice(&self, key: &str, fault: String, remedy: &str) -> Notice {
        let file = self.request.config_path.clone().unwrap_or_else(|| PathBuf::from(config::DEFAULT_FILE));
        Notice { file: file.display().to_string(), key: key.to_owned(), fault, remedy: remedy.to_owned() }
    }
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Signal => "SIGHUP",
            Self::Request => "POST /reload",
        }
    }
}

impl From<Problem> for Notice {
    fn from(problem: Problem) -> Self {
        let Problem { file, key, fault, remedy } = problem;
        Self { file, key, fault, remedy }
    }
}

/// Whether anybody who reaches this address could use every connection. `server.listen` as it is written was looked at
/// before; what counts is where we do listen.
fn opens_to_others(settings: &Settings, address: SocketAddr) -> bool {
    settings.is_open() && !address.ip().to_canonical().is_loopback()
}

/// The API keys that are otherwise, each with what of it is; without a name the operator's own.
fn key_changes(before: &Settings, now: &Settings) -> Vec<(Option<CallerName>, &'static str)> {
    let named = |settings: &Settings, name: &CallerName| settings.callers.iter().find(|one| one.name == *name).cloned();
    let gone = before.callers.iter().filter(|one| named(now, &one.name).is_none());
    let mut changes: Vec<_> = gone.map(|one| (Some(one.name.clone()), "removed")).collect();
    for one in &now.callers {
        let reason = match named(before, &one.name) {
            None => "added",
            Some(known) if known.key_hash != one.key_hash => "key",
            Some(known) if known.scope != one.scope => "scope",
            Some(_) => continue,
        };
        changes.push((Some(one.name.clone()), reason));
    }
    if before.admin_key_hash != now.admin_key_hash {
        changes.push((None, "admin_key"));
    }
    changes
}

/// The tables of config.toml in which something is otherwise, but for those of integrations.
fn changed_tables(before: &InForce, config: &Config) -> Vec<&'static str> {
    let (ours, theirs) = (&before.server, &config.server);
    let without_callers =
        |settings: &Settings| Settings { callers: Vec::new(), app: crate::server::App::default(), ..settings.clone() };
    let all = [
        ("server", without_callers(ours) != without_callers(theirs)),
        ("callers", ours.callers != theirs.callers),
        ("app", ours.app != theirs.app),
        ("net", before.net != config.net),
        ("log", before.log != config.log),
        ("telemetry", before.telemetry != config.telemetry),
    ];
    all.into_iter().filter(|(_, is_other)| *is_other).map(|(table, _)| table).collect()
}

/// One line of what is otherwise, and one for each thing that deserves a look.
fn report(
    cause: Cause,
    tables: &[&'static str],
    changes: &Changes,
    needs_restart: &[&'static str],
    warnings: &[Problem],
) {
    let listed = |names: &[IntegrationName]| {
        let names: Vec<&str> = names.iter().map(IntegrationName::as_str).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let tables = (!tables.is_empty()).then(|| tables.join(", "));
    tracing::info!(
        cause = cause.as_str(),
        tables,
        added = listed(&changes.added),
        removed = listed(&changes.removed),
        changed = listed(&changes.changed),
        "config reloaded"
    );
    for key in needs_restart {
        tracing::warn!(key, "config: a new value is in force after a restart only");
    }
    for Problem { file, key, fault, remedy } in warnings {
        tracing::warn!(file, key, remedy, "config: {fault}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(folder: &std::path::Path, text: &str) -> (Config, Sources) {
        std::fs::write(folder.join("config.toml"), text).expect("it can be written");
        let request = LoadRequest { directory: folder.to_owned(), ..LoadRequest::default() };
        let Loaded { config, sources } = config::load_with_sources(request);
        (config.expect("no mistakes"), sources)
    }

    #[test]
    fn what_opens_to_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let (open, _) = loaded(folder.path(), "");
        let hash = "0".repeat(64);
        let (keyed, _) = loaded(folder.path(), &format!("[callers.a]\nkey_hash = \"sha256:{hash}\"\n"));
        let check = |config: &Config, address: &str, expected: bool| {
            let address = address.parse().expect("an address");
            assert_eq!(opens_to_others(&config.server, address), expected, "{address}");
        };
        for loopback in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            check(&open, loopback, false);
        }
        for reached in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            check(&open, reached, true);
            check(&keyed, reached, false);
        }
    }

    #[test]
    fn another_certificate_of_the_store_under_the_same_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |text: &str| std::fs::write(folder.path().join("roots.pem"), text).expect("it can be written");
        let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let text = format!("[store]\nurl = \"rediss://a.test\"\nkeys = [\"{key}\"]\nca_file = \"roots.pem\"\n");
        write("one");
        let (config, first) = loaded(folder.path(), &text);
        let fixed = Fixed::of(&config);
        assert_eq!(fixed.differences(&config, &first, &first), Vec::<&str>::new());
        write("other");
        let (config, now) = loaded(folder.path(), &text.replace("a.test", "b.test"));
        assert_eq!(fixed.differences(&config, &first, &now), ["store.url", "store.ca_file"]);
    }
}
