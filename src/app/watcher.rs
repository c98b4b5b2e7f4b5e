//! Notices when the files of a configuration have changed. What the system tells of files is a hint and no more: what
//! counts is whether their content is another one than what was read. So nothing is missed where the system tells
//! nothing, as on network file systems, and nothing happens where it tells of what changed nothing.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::Sources;

/// How often the contents are compared though nothing was told.
const PERIOD: Duration = Duration::from_secs(10);

/// The same where the system cannot be asked to tell.
const PERIOD_UNTOLD: Duration = Duration::from_secs(1);

/// Whoever writes several files, or one in pieces, is let finish: so long nothing more is told, but no longer than the
/// other in all.
const QUIET: Duration = Duration::from_millis(200);
const LONGEST_UNREST: Duration = Duration::from_secs(2);

/// More links than this one after the other lead nowhere, as the system has it too.
const MOST_LINKS: usize = 40;

/// Follows the sources of the configuration that was read last.
pub(super) struct Watcher {
    sources: Arc<Sources>,
    /// `None` where the system has no way to tell.
    told: Option<RecommendedWatcher>,
    hints: Arc<Notify>,
    places: Arc<Mutex<Places>>,
    watched: BTreeSet<PathBuf>,
    /// Whether all that can be told is told.
    is_told_all: bool,
}

/// What a change has to be about to be worth a look.
#[derive(Debug, Default, PartialEq, Eq)]
struct Places {
    /// Names of files and links, in folders that are named without any link.
    entries: HashSet<PathBuf>,
    /// Folders in which any provider file counts.
    folders: HashSet<PathBuf>,
}

impl Watcher {
    pub(super) fn new() -> Self {
        let (hints, places) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Places::default())));
        let (hint, worthy) = (Arc::clone(&hints), Arc::clone(&places));
        let told = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let is_worth_a_look = match &event {
                Ok(event) => {
                    is_change(event.kind) && {
                        let places = worthy.lock().unwrap_or_else(PoisonError::into_inner);
                        event.need_rescan()
                            || event.paths.is_empty()
                            || event.paths.iter().any(|path| places.hold(path))
                    }
                }
                // Something was lost.
                Err(_) => true,
            };
            if is_worth_a_look {
                hint.notify_one();
            }
        });
        if let Err(error) = &told {
            tracing::warn!(%error, "the system does not tell of changed files; they are compared every second");
        }
        let watched = BTreeSet::new();
        Self { sources: Arc::default(), told: told.ok(), hints, places, watched, is_told_all: true }
    }

    /// From now on these are the files, with what was read from them.
    pub(super) fn follow(&mut self, sources: Sources) {
        let (mut places, mut wanted) = (Places::default(), BTreeSet::new());
        for path in sources.paths() {
            for entry in entries_on_the_way(path) {
                wanted.extend(entry.parent().map(Path::to_owned));
                if entry.is_dir() {
                    wanted.insert(entry.clone());
                    places.folders.insert(entry.clone());
                } else if entry.is_file() {
                    // A container has a single file mounted, whose folder tells nothing of it.
                    wanted.insert(entry.clone());
                }
                places.entries.insert(entry);
            }
        }
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) = places;
        self.sources = Arc::new(sources);
        let Some(told) = &mut self.told else { return };
        for path in std::mem::take(&mut self.watched) {
            // A file that was replaced is another one under the same name, so each is asked for anew.
            if !wanted.contains(&path) || !path.is_dir() {
                let _ = told.unwatch(&path);
            } else {
                self.watched.insert(path);
            }
        }
        let mut failure = None;
        for path in wanted {
            if self.watched.contains(&path) {
                continue;
            }
            match told.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(path)),
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = &failure
            && self.is_told_all
        {
            tracing::warn!(%error, "not every file of the configuration can be watched; they are compared every second");
        }
        self.is_told_all = failure.is_none();
        // What happened between the reading and this is told by nobody.
        self.hints.notify_one();
    }

    /// Ready once something else stands in a file than what was read from it. Dropped, it has missed nothing.
    pub(super) async fn changed(&self) {
        let period = if self.told.is_some() && self.is_told_all { PERIOD } else { PERIOD_UNTOLD };
        loop {
            if tokio::time::timeout(period, self.hints.notified()).await.is_ok() {
                let unrest_ends = Instant::now() + LONGEST_UNREST;
                let more = || tokio::time::timeout(QUIET, self.hints.notified());
                while more().await.is_ok() && Instant::now() < unrest_ends {}
            }
            let sources = Arc::clone(&self.sources);
            let compared = tokio::task::spawn_blocking(move || sources.have_changed()).await;
            if compared.unwrap_or(false) {
                return;
            }
        }
    }
}

impl Places {
    fn hold(&self, path: &Path) -> bool {
        let is_toml = || path.extension().is_some_and(|extension| extension == "toml");
        self.entries.contains(path) || (is_toml() && path.parent().is_some_and(|parent| self.folders.contains(parent)))
    }
}

/// Reading is none, and we do it ourselves.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// Every name whose change makes another file of this path: each link on the way, whose target may be exchanged under
/// it, and the file itself. Their own folders are named without links. Where a folder is missing, its name stands for
/// what would be in it.
fn entries_on_the_way(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = std::path::absolute(path) else { return Vec::new() };
    let names = |path: &Path| -> Vec<Option<OsString>> {
        let name = |component| match component {
            Component::Normal(name) => Some(Some(name.to_owned())),
            Component::ParentDir => Some(None),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        };
        let mut names: Vec<_> = path.components().filter_map(name).collect();
        names.reverse();
        names
    };
    let (mut at, mut left, mut entries) = (PathBuf::from("/"), names(&path), Vec::new());
    while let Some(step) = left.pop() {
        let Some(name) = step else {
            at.pop();
            continue;
        };
        let next = at.join(name);
        match std::fs::read_link(&next) {
            Ok(target) if entries.len() < MOST_LINKS => {
                entries.push(next);
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                left.extend(names(&target));
            }
            _ => {
                at = next;
                if !at.is_dir() && !left.is_empty() {
                    break;
                }
            }
        }
    }
    entries.push(at);
    entries
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config;

    #[test]
    fn what_is_on_the_way_to_a_file() {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path().canonicalize().expect("it is there");
        for folder in ["mounted/..1", "mounted/..2"] {
            fs::create_dir_all(home.join(folder)).expect("it can be made");
            fs::write(home.join(folder).join("config.toml"), "").expect("it can be written");
        }
        symlink("..1", home.join("mounted/..data")).expect("a link");
        symlink("..data/config.toml", home.join("mounted/config.toml")).expect("a link");
        symlink(home.join("mounted"), home.join("linked")).expect("a link");
        symlink("circle", home.join("circle")).expect("a link");
        let check = |path: &str, expected: &[&str]| {
            let found = entries_on_the_way(&home.join(path));
            let expected: Vec<_> = expected.iter().map(|entry| home.join(entry)).collect();
            assert_eq!(found, expected, "{path}");
        };
        check("mounted/..1/config.toml", &["mounted/..1/config.toml"]);
        check("mounted/config.toml", &["mounted/config.toml", "mounted/..data", "mounted/..1/config.toml"]);
        check("linked/../linked/none.toml", &["linked", "linked", "mounted/none.toml"]);
        check("none/at/all.toml", &["none"]);
        check("mounted/..1", &["mounted/..1"]);
        assert!(entries_on_the_way(&home.join("circle")).len() <= MOST_LINKS + 1);
    }

    /// What is told, apart from the comparing that goes on beside it.
    #[tokio::test]
    async fn every_way_to_change_a_file_is_told() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        let write = |name: &str, text: &str| fs::write(at(name), text).expect("it can be written");
        for (folder, text) in [("..1", "one"), ("..2", "two"), ("providers", "-")] {
            fs::create_dir(at(folder)).expect("it can be made");
            write(&format!("{folder}/mounted"), text);
        }
        symlink("..1", at("..data")).expect("a link");
        symlink("..data/mounted", at("mounted")).expect("a link");
        write("config.toml", "a");
        let read = |watcher: &mut Watcher| {
            let reading = config::Reading::default();
            for name in ["config.toml", "mounted", "missing"] {
                let _ = reading.text(&at(name));
            }
            let _ = reading.folder(&at("providers"));
            watcher.follow(reading.finish());
        };
        let mut watcher = Watcher::new();
        let mut check = async |change: &dyn Fn()| {
            read(&mut watcher);
            // The one that each beginning is told.
            watcher.hints.notified().await;
            change();
            watcher.hints.notified().await;
            watcher.hints.notify_one();
            watcher.changed().await;
        };
        check(&|| write("config.toml", "b")).await;
        check(&|| {
            write("beside", "c");
            fs::rename(at("beside"), at("config.toml")).expect("it can be renamed");
        })
        .await;
        check(&|| {
            symlink("..2", at("..data_tmp")).expect("a link");
            fs::rename(at("..data_tmp"), at("..data")).expect("it can be renamed");
        })
        .await;
        check(&|| write("..2/mounted", "three")).await;
        check(&|| write("missing", "d")).await;
        check(&|| write("providers/a.toml", "e")).await;
        check(&|| fs::remove_file(at("providers/a.toml")).expect("it is there")).await;
        check(&|| fs::remove_file(at("config.toml")).expect("it is there")).await;
    }

    #[tokio::test]
    async fn where_nothing_is_told_the_contents_are_compared() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("config.toml");
        let reading = config::Reading::default();
        let _ = reading.text(&path);
        let mut watcher = Watcher { told: None, ..Watcher::new() };
        watcher.follow(reading.finish());
        fs::write(&path, "").expect("it can be written");
        watcher.changed().await;
    }

    #[test]
    fn reading_is_no_change() {
        assert!(!is_change(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!is_change(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(is_change(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_change(EventKind::Any));
    }
}
