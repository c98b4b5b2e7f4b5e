//! All provider files: those shipped in the binary, overlaid file by file by the operator's folder. Follows `extends`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::document::{Document, Layer};
use super::problem::{Fault, Place, Problem, did_you_mean, one_of, quoted};
use super::provider::{self, ReadProvider};
use super::reader::{Context, Table};
use crate::model::ProviderId;
use crate::provider::Provider;

/// The provider files in the binary, in the order of their ids: those of `providers/`, as `build.rs` found them.
const SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The operator's folder.
#[derive(Debug)]
pub(super) struct Folder {
    /// As it was resolved.
    pub(super) path: PathBuf,
    /// Where it was named, when it was: then it has to be there.
    pub(super) named: Option<Place>,
}

/// Provider files as they were written, by id.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: BTreeMap<String, File>,
    /// Files that are not TOML or cannot be read, by id, so that nobody is told that they do not exist.
    broken: BTreeMap<String, String>,
}

#[derive(Debug)]
struct File {
    name: String,
    is_shipped: bool,
    layer: Layer,
    digest: [u8; 32],
}

/// Every provider, compiled.
#[derive(Debug, Default)]
pub(super) struct Library {
    providers: BTreeMap<String, Arc<Provider>>,
    warnings: BTreeMap<String, Vec<Problem>>,
    /// Ids whose file has mistakes.
    broken: BTreeSet<String>,
}

impl Files {
    /// The shipped files, and over them those of the folder.
    pub(super) fn read(folder: &Folder, context: &Context<'_>) -> Self {
        let mut all = Self::default();
        for (id, text) in SHIPPED {
            let name = format!("providers/{id}.toml (shipped)");
            all.add(id, name, None, text, context);
        }
        all.overlay(folder, context);
        all
    }

    /// A file that stands in no folder, alone.
    pub(super) fn of_one(id: &str, name: &str, text: &str, context: &Context<'_>) -> Self {
        let mut one = Self::default();
        one.add(id, name.to_owned(), Some(Path::new("")), text, context);
        one
    }

    /// The ids, also of files with mistakes.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.files.keys().chain(self.broken.keys()).map(String::as_str)
    }

    /// What problems call the file and those that it extends, as far as they are there.
    pub(super) fn names_of_family(&self, id: &str) -> Vec<&str> {
        let mut names = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.filter(|id| !names.contains(&self.name(id))) {
            names.push(self.name(id));
            next = self.files.get(id).and_then(|file| file.layer.values().get("extends")?.as_str());
        }
        names
    }

    fn overlay(&mut self, folder: &Folder, context: &Context<'_>) {
        let paths = match context.environment.files().folder(&folder.path) {
            Ok(paths) => paths,
            Err(error) => {
                if let Some(place) = &folder.named {
                    let fault =
                        format!("the folder {} cannot be read: {error}", quoted(&folder.path.to_string_lossy()));
                    context.report.mistake(place.problem(Fault::new(fault, "make it, or remove the key")));
                }
                return;
            }
        };
        for path in paths {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let name = path.display().to_string();
            let place = Place { file: name.clone(), key: String::new() };
            if let Err(error) = ProviderId::parse(&stem) {
                let fault = Fault::new(format!("the file's name {error}"), "rename it; the name is the provider's id");
                context.report.mistake(place.problem(fault));
                continue;
            }
            match context.environment.files().text(&path) {
                Ok(text) => self.add(&stem, name, Some(&path), &text, context),
                Err(error) => {
                    self.files.remove(&stem);
                    self.broken.insert(stem, name);
                    let fault = Fault::new(format!("cannot be read: {error}"), "check the file and its rights");
                    context.report.mistake(place.problem(fault));
                }
            }
        }
    }

    /// Takes a file; `path` is where it stands, and `None` for a shipped one.
    fn add(&mut self, id: &str, name: String, path: Option<&Path>, text: &str, context: &Context<'_>) {
        self.files.remove(id);
        match Layer::toml(&name, path.unwrap_or(Path::new("")), text) {
            Ok(layer) => {
                let digest = Sha256::digest(text.as_bytes()).into();
                self.files.insert(id.to_owned(), File { name, is_shipped: path.is_none(), layer, digest });
            }
            Err(problem) => {
                self.broken.insert(id.to_owned(), name);
                context.report.mistake(problem);
            }
        }
    }

    /// What problems call the file of this id.
    pub(super) fn name(&self, id: &str) -> &str {
        self.files.get(id).map(|file| &file.name).or_else(|| self.broken.get(id)).map_or("", String::as_str)
    }

    /// Whether the file of this id is one of the binary's own.
    pub(super) fn is_shipped(&self, id: &str) -> bool {
        self.files.get(id).is_some_and(|file| file.is_shipped)
    }

    /// The file with everything that it extends, and the names of all of them, oldest first.
    pub(super) fn merged(&self, id: &str, context: &Context<'_>) -> Option<(Document, Vec<&str>)> {
        let family = self.family(id, context)?;
        let names = family.iter().map(|file| file.name.as_str()).collect();
        Some((self.merge(id, &family), names))
    }

    fn merge(&self, id: &str, family: &[&File]) -> Document {
        Document::merge(self.name(id), Path::new(""), family.iter().map(|file| &file.layer))
    }

    /// Compiles one file. What is returned is whole only when no mistake was noted.
    pub(super) fn compile(&self, id: &str, allow_http: bool, context: &Context<'_>) -> Option<ReadProvider> {
        let family = self.family(id, context)?;
        let document = self.merge(id, &family);
        let mut digest = Sha256::new();
        family.iter().for_each(|file| digest.update(file.digest));
        let id = ProviderId::parse(id).ok()?;
        let mut read = Table::read(&document, context, |table| provider::read(&id, allow_http, table))?;
        read.provider.digest = digest.finalize().into();
        Some(read)
    }

    /// The file and its ancestors, oldest first. `None` when an ancestor is missing or the chain goes in a circle.
    fn family(&self, id: &str, context: &Context<'_>) -> Option<Vec<&File>> {
        let mut family = vec![self.files.get(id)?];
        let mut ids = vec![id.to_owned()];
        while let Some(parent) = family.last()?.layer.values().get("extends").and_then(|value| value.as_str()) {
            let place = Place { file: family.last()?.name.clone(), key: "extends".into() };
            if ids.iter().any(|seen| seen == parent) {
                ids.push(parent.to_owned());
                // Told of the circle's members only, not of those who extend one of them.
                if parent == id {
                    let fault = Fault::new(format!("goes in a circle: {}", ids.join(" → ")), "remove one `extends`");
                    context.report.mistake(place.problem(fault));
                }
                return None;
            }
            let Some(file) = self.files.get(parent) else {
                if !self.broken.contains_key(parent) {
                    let fault = format!("no provider is named {}", quoted(parent));
                    context.report.mistake(place.problem(Fault::new(fault, did_you_mean(parent, self.ids()))));
                }
                return None;
            };
            ids.push(parent.to_owned());
            family.push(file);
        }
        family.reverse();
        Some(family)
    }
}

impl Library {
    /// Compiles every file.
    pub(super) fn compile(files: &Files, allow_http: bool, context: &Context<'_>) -> Self {
        let mut library = Self { broken: files.broken.keys().cloned().collect(), ..Self::default() };
        for id in files.files.keys() {
            library.add(id, files, allow_http, context);
        }
        library
    }

    /// Compiles one file alone.
    pub(super) fn compile_one(files: &Files, id: &str, context: &Context<'_>) -> Self {
        let mut library = Self::default();
        library.add(id, files, false, context);
        library
    }

    fn add(&mut self, id: &str, files: &Files, allow_http: bool, context: &Context<'_>) {
        let before = context.report.count();
        match files.compile(id, allow_http, context) {
            Some(read) if context.report.count() == before => {
                self.warnings.insert(id.to_owned(), read.warnings);
                self.providers.insert(id.to_owned(), Arc::new(read.provider));
            }
            _ => {
                self.broken.insert(id.to_owned());
            }
        }
    }

    /// The provider with this id; a problem when there is none. `Ok(None)` when its file has mistakes of its own.
    pub(super) fn get(&self, id: &str) -> Result<Option<&Arc<Provider>>, Fault> {
        match self.providers.get(id) {
            Some(provider) => Ok(Some(provider)),
            None if self.broken.contains(id) => Ok(None),
            None => {
                let known = self.providers.keys().chain(&self.broken).map(String::as_str);
                let remedy = match did_you_mean(id, known.clone()) {
                    remedy if remedy.is_empty() => "`keyferry providers list` names them".to_owned(),
                    remedy if remedy.starts_with("known: ") => format!("write {}", one_of(known)),
                    remedy => remedy,
                };
                Err(Fault::new(format!("no provider is named {}", quoted(id)), remedy))
            }
        }
    }

    /// All providers, in the order of their ids.
    pub(super) fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values()
    }

    /// What is to be said when this provider is used.
    pub(super) fn warnings(&self, id: &str) -> &[Problem] {
        self.warnings.get(id).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_folder_holds_is_shipped() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers");
        let mut stems: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        stems.sort();
        let shipped: Vec<&str> = SHIPPED.iter().map(|(id, _)| *id).collect();
        assert_eq!(stems, shipped);
    }
}
