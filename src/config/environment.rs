//! Which environment variables are configuration, and which key each of them means.

use std::path::Path;

use figment::value::Dict;

use super::document::Layer;
use super::problem::{Fault, Place};
use super::reader::Context;

const PREFIX: &str = "KEYFERRY_";

/// Names that authors choose: an environment variable cannot write their `-`.
#[derive(Debug, Default)]
pub(super) struct FreeNames {
    /// Integrations of the file, then the providers' ids.
    pub(super) integrations: Vec<String>,
    /// Callers of the file.
    pub(super) callers: Vec<String>,
}

impl FreeNames {
    /// The names that a configuration file and the provider files bring.
    pub(super) fn of<'a>(file: Option<&Layer>, providers: impl Iterator<Item = &'a str>) -> Self {
        let empty = Dict::new();
        let names = |table: &str| -> Vec<String> {
            let values = file.map_or(&empty, Layer::values).get(table).and_then(|value| value.as_dict());
            values.into_iter().flat_map(Dict::keys).cloned().collect()
        };
        let mut integrations = names("integrations");
        integrations.extend(providers.map(str::to_owned));
        Self { integrations, callers: names("callers") }
    }

    fn resolve(&self, table: &str, written: &str) -> String {
        let names = match table {
            "integrations" => &self.integrations,
            "callers" => &self.callers,
            _ => return written.to_owned(),
        };
        let exact = names.iter().find(|name| *name == written);
        exact
            .or_else(|| names.iter().find(|name| name.replace('-', "_") == written))
            .map_or_else(|| written.to_owned(), Clone::clone)
    }
}

/// The layers of the environment: every `KEYFERRY_<TABLE>__<KEY>`. Other variables with the prefix are not
/// configuration: `KEYFERRY_STORE_KEY` is a secret, and `KEYFERRY_PORT` is Kubernetes' own for a service of that name.
pub(super) fn layers(context: &Context<'_>, directory: &Path, names: &FreeNames) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (variable, value) in context.environment.iter() {
        let Some(rest) = variable.strip_prefix(PREFIX).filter(|rest| rest.contains("__")) else { continue };
        let mut keys: Vec<String> = rest.to_ascii_lowercase().split("__").map(str::to_owned).collect();
        let origin = format!("environment variable {variable}");
        if keys.iter().any(|key| key.is_empty() || key.starts_with('_')) {
            let fault = Fault::new("does not name a table and a key", "write it as KEYFERRY_<TABLE>__<KEY>");
            context.report.mistake(Place { file: origin, key: String::new() }.problem(fault));
            continue;
        }
        let table = keys[0].clone();
        keys[1] = names.resolve(&table, &keys[1]);
        layers.push(Layer::text(&origin, directory, &keys, value));
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_names_find_their_dashes() {
        fn check(table: &str, written: &str, expected: &str) {
            let names = FreeNames {
                integrations: vec!["google-drive".into(), "a_b".into(), "a-b".into()],
                callers: vec!["crm-backend".into()],
            };
            assert_eq!(names.resolve(table, written), expected, "{table} {written}");
        }
        check("integrations", "google_drive", "google-drive");
        check("integrations", "a_b", "a_b");
        check("integrations", "other_one", "other_one");
        check("callers", "crm_backend", "crm-backend");
        check("server", "google_drive", "google_drive");
    }
}
