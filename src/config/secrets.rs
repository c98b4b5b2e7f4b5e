//! Secrets that a file only refers to: `env:NAME` and `file:PATH`. No problem ever shows what was found.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::problem::quoted;
use super::sources::{Reading, Sources};
use crate::model::Secret;

/// The environment that the process was started with, as `main` passed it in, and the files around it.
#[derive(Default)]
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
    files: Reading,
}

/// What a secret's key led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// The secret.
    Found(Secret),
    /// It is referred to and not there; a sentence that says what is missing.
    Missing(String),
}

impl Environment {
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: variables.into_iter().collect(), files: Reading::default() }
    }

    /// In the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Follows a reference; any other text is the secret itself. Relative paths begin at `directory`.
    pub(super) fn resolve(&self, text: &str, directory: &Path) -> Resolved {
        if let Some(name) = text.strip_prefix("env:") {
            return match self.variables.get(name).map(String::as_str) {
                Some("") => Resolved::Missing(format!("the environment variable {} is empty", quoted(name))),
                Some(value) => Resolved::Found(Secret::new(value)),
                None => Resolved::Missing(format!("the environment variable {} is not set", quoted(name))),
            };
        }
        if let Some(path) = text.strip_prefix("file:") {
            return self.read(&directory.join(path), path);
        }
        if text.is_empty() {
            return Resolved::Missing("it is empty".to_owned());
        }
        Resolved::Found(Secret::new(text))
    }

    /// Editors and `echo` end a file with a line break, which is not part of the secret.
    fn read(&self, path: &Path, name: &str) -> Resolved {
        match self.files.text(path).map(Secret::new) {
            Ok(text) => match text.expose().trim_end_matches(['\n', '\r']) {
                "" => Resolved::Missing(format!("the file {} is empty", quoted(name))),
                secret => Resolved::Found(Secret::new(secret)),
            },
            Err(error) => Resolved::Missing(format!("the file {} cannot be read: {error}", quoted(name))),
        }
    }

    /// The way to files.
    pub(super) fn files(&self) -> &Reading {
        &self.files
    }

    /// Everything that was read.
    pub(super) fn sources(self) -> Sources {
        self.files.finish()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "from a file\r\n").expect("a file");
        std::fs::write(folder.path().join("empty"), "\n").expect("a file");
        let environment = Environment::new([("A".into(), "from env".into()), ("B".into(), String::new())]);
        let check = |text: &str, expected: Result<&str, &str>| {
            let resolved = environment.resolve(text, folder.path());
            let expected = match expected {
                Ok(secret) => Resolved::Found(Secret::new(secret)),
                Err(sentence) => Resolved::Missing(sentence.to_owned()),
            };
            assert_eq!(resolved, expected, "{text:?}");
        };
        check("literal", Ok("literal"));
        check("env:A", Ok("from env"));
        check("env:B", Err("the environment variable `B` is empty"));
        check("env:C", Err("the environment variable `C` is not set"));
        check("file:secret", Ok("from a file"));
        check("file:empty", Err("the file `empty` is empty"));
        check("file:none", Err("the file `none` cannot be read: No such file or directory (os error 2)"));
        check("", Err("it is empty"));
    }
}
