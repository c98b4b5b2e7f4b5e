//! Configuration from outside: files in a folder, an environment, flags; what comes of them, or every mistake with its
//! sentence.

mod mistakes;
mod precedence;
mod shipped;

use std::path::Path;

use keyferry::config::{Config, LoadRequest, Override, Problems, load};
use tempfile::TempDir;

/// A folder with configuration files, and what else `load` is given.
pub(crate) struct Folder {
    folder: TempDir,
    environment: Vec<(String, String)>,
    overrides: Vec<Override>,
}

impl Folder {
    /// With this `config.toml`.
    pub(crate) fn with(config: &str) -> Self {
        Self::empty().file("config.toml", config)
    }

    /// With no file.
    pub(crate) fn empty() -> Self {
        Self { folder: TempDir::new().expect("a folder"), environment: Vec::new(), overrides: Vec::new() }
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        std::fs::write(path, text).expect("the file is written");
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub(crate) fn flag(mut self, flag: &str, key: &str, value: &str) -> Self {
        self.overrides.push(Override { flag: flag.into(), key: key.into(), value: value.into() });
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn load(&self) -> Result<Config, Problems> {
        load(LoadRequest {
            config_path: None,
            directory: self.path().to_owned(),
            environment: self.environment.clone(),
            overrides: self.overrides.clone(),
        })
    }

    /// What is good, or the mistakes as the operator would read them.
    pub(crate) fn config(&self) -> Config {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The mistakes, one a line, without the folder's own path.
    pub(crate) fn mistakes(&self) -> String {
        let problems = self.load().err().map(|problems| problems.0).unwrap_or_default();
        self.lines(problems.iter())
    }

    /// The warnings of a good configuration.
    pub(crate) fn warnings(&self) -> String {
        self.lines(self.config().warnings.iter())
    }

    fn lines<'a>(&self, problems: impl Iterator<Item = &'a keyferry::config::Problem>) -> String {
        let own = format!("{}/", self.path().display());
        problems.map(|problem| problem.to_string().replace(&own, "")).collect::<Vec<_>>().join("\n")
    }
}

/// A provider file that is good but for what the case puts into it: whole tables, or keys of `[oauth]` before them.
pub(crate) fn provider(oauth: &str, tables: &str) -> String {
    format!(
        "[oauth]\nauthorization_endpoint = \"https://acme.example/authorize\"\n\
         token_endpoint = \"https://acme.example/token\"\n{oauth}\n[api]\nbase_url = \"https://api.acme.example\"\n{tables}\n"
    )
}
