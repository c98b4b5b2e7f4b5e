//! What a configuration was read from: every file and folder that was opened or would have been, with what stood there
//! then. Holds digests alone, so that it may be kept beside a secret's file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Files and folders, and what stood in them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources(BTreeMap<PathBuf, Content>);

/// What stood at a path.
#[derive(Clone, PartialEq, Eq)]
enum Content {
    /// A regular file's digest.
    File([u8; 32]),
    /// The names in a folder that may be provider files.
    Folder(Vec<OsString>),
    /// It was not there, or could not be read.
    Nothing(ErrorKind),
    /// A pipe or its like: reading it again would take something away.
    Unknowable,
}

impl Sources {
    /// The paths, as they were opened.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether something else stands there now. Reads all of it.
    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, content)| match content {
            Content::Folder(_) => folder(path).1 != *content,
            Content::File(_) | Content::Unknowable => file(path) != *content,
            // A folder that was not there may have come.
            Content::Nothing(_) => file(path) != *content && folder(path).1 != *content,
        })
    }

    /// Whether the same stood at this path in both; a path that neither has read is the same.
    pub fn agree_on(&self, other: &Self, path: &Path) -> bool {
        self.0.get(path) == other.0.get(path)
    }

    fn note(&mut self, path: &Path, content: Content) {
        self.0.insert(path.to_owned(), content);
    }
}

/// Paths only.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The one way to files while a configuration is read: notes each of them.
#[derive(Debug, Default)]
pub(crate) struct Reading(RefCell<Sources>);

impl Reading {
    /// The text of a file.
    pub(crate) fn text(&self, path: &Path) -> io::Result<String> {
        // Of a pipe there is one reading, and it is the caller's.
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            self.0.borrow_mut().note(path, Content::Unknowable);
            return std::fs::read_to_string(path);
        }
        let bytes = std::fs::read(path);
        self.0.borrow_mut().note(path, content(&bytes));
        String::from_utf8(bytes?).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
    }

    /// A file that somebody else reads, later.
    pub(crate) fn note(&self, path: &Path) {
        self.0.borrow_mut().note(path, file(path));
    }

    /// The provider files of a folder, in the order of their names.
    pub(crate) fn folder(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let (entries, content) = folder(path);
        self.0.borrow_mut().note(path, content);
        entries
    }

    /// Everything that was read.
    pub(crate) fn finish(self) -> Sources {
        self.0.into_inner()
    }
}

fn file(path: &Path) -> Content {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => content(&std::fs::read(path)),
        Ok(_) => Content::Unknowable,
        Err(error) => Content::Nothing(error.kind()),
    }
}

fn content(read: &io::Result<Vec<u8>>) -> Content {
    match read {
        Ok(bytes) => Content::File(Sha256::digest(bytes).into()),
        Err(error) => Content::Nothing(error.kind()),
    }
}

fn folder(path: &Path) -> (io::Result<Vec<PathBuf>>, Content) {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            let content = Content::Nothing(error.kind());
            return (Err(error), content);
        }
    };
    let mut names: Vec<OsString> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name())).filter(is_provider_file).collect();
    names.sort();
    (Ok(names.iter().map(|name| path.join(name)).collect()), Content::Folder(names))
}

/// Editors keep their own files beside, under names that begin with a dot or end otherwise.
fn is_provider_file(name: &OsString) -> bool {
    let path = Path::new(name);
    path.extension().is_some_and(|extension| extension == "toml") && !name.to_string_lossy().starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_change() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(at(name), text).expect("it can be written");
        let sources = || {
            let reading = Reading::default();
            let _ = reading.text(&at("config.toml"));
            let _ = reading.text(&at("secret"));
            let _ = reading.folder(&at("providers"));
            reading.note(&at("key.pem"));
            reading.finish()
        };
        let mut before = sources();
        let mut check = |what: &str, is_change: bool| {
            assert_eq!(before.have_changed(), is_change, "{what}");
            before = sources();
            assert!(!before.have_changed(), "{what}");
        };
        check("nothing is there", false);
        write("config.toml", "a");
        check("a file comes", true);
        write("config.toml", "a");
        check("the same is written", false);
        write("config.toml", "b");
        check("another text of the same length", true);
        write("key.pem", "k");
        check("a file that others read", true);
        write("beside", "x");
        check("a file that nobody reads", false);
        std::fs::create_dir(at("providers")).expect("it can be made");
        check("a folder comes", true);
        write("providers/.a.toml.swp", "x");
        write("providers/.b.toml", "x");
        write("providers/notes.txt", "x");
        check("an editor's files", false);
        write("providers/a.toml", "x");
        check("a provider file comes", true);
        std::fs::remove_file(at("providers/a.toml")).expect("it can be removed");
        check("it goes", true);
        std::fs::remove_file(at("config.toml")).expect("it can be removed");
        check("a file goes", true);
    }

    #[test]
    fn files_are_told_apart_by_both() {
        let home = tempfile::tempdir().expect("a folder");
        let (path, other) = (home.path().join("a"), home.path().join("b"));
        let noted = |text: &str| {
            std::fs::write(&path, text).expect("it can be written");
            let reading = Reading::default();
            reading.note(&path);
            reading.finish()
        };
        let (one, two) = (noted("1"), noted("2"));
        assert!(!one.agree_on(&two, &path) && one.agree_on(&two, &other));
    }
}
