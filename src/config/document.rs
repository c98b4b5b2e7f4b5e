//! Files, environment variables and flags as layers of one figment: later ones win key by key, and every value
//! remembers where it was written. Parses TOML; checks no key.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use super::problem::{Fault, Place, Problem};

/// Where a value was written.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// As a problem names it.
    pub(super) name: String,
    /// Where relative paths begin.
    pub(super) directory: PathBuf,
    /// True for environment variables and flags: everything is text there and takes the type of its key.
    pub(super) is_text: bool,
}

/// Values from one place.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    origin: Origin,
    values: Dict,
}

impl Layer {
    /// A TOML file that was read from `path`; `name` is what problems call it.
    pub(super) fn toml(name: &str, path: &Path, text: &str) -> Result<Self, Problem> {
        let values = Toml::from_str::<Dict>(text)
            .map_err(|error| syntax_problem(name, text, error.span().map_or(0, |span| span.start), error.message()))?;
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { origin: Origin { name: name.to_owned(), directory, is_text: false }, values })
    }

    /// One value that is text whatever its key; `keys` is the way to it and never empty.
    pub(super) fn text(name: &str, directory: &Path, keys: &[String], text: &str) -> Self {
        let origin = Origin { name: name.to_owned(), directory: directory.to_owned(), is_text: true };
        let mut value = Value::from(text);
        for key in keys.iter().skip(1).rev() {
            value = Value::from(Dict::from([(key.clone(), value)]));
        }
        let values = keys.first().map(|first| (first.clone(), value)).into_iter().collect();
        Self { origin, values }
    }

    /// As problems name it.
    pub(super) fn name(&self) -> &str {
        &self.origin.name
    }

    /// Where its relative paths begin.
    pub(super) fn directory(&self) -> &Path {
        &self.origin.directory
    }

    /// The layer's own values.
    pub(super) fn values(&self) -> &Dict {
        &self.values
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        let source = if self.origin.is_text {
            Source::Custom(self.origin.directory.to_string_lossy().into_owned())
        } else {
            Source::File(self.origin.directory.clone())
        };
        Metadata::from(self.origin.name.clone(), source)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Merged layers.
#[derive(Debug)]
pub(super) struct Document {
    figment: Figment,
    values: Dict,
    home: Origin,
}

impl Document {
    /// Merges the layers, later ones over earlier ones. `home` is the file where a key that nobody wrote would stand.
    pub(super) fn merge<'a>(home: &str, directory: &Path, layers: impl IntoIterator<Item = &'a Layer>) -> Self {
        let figment = layers.into_iter().fold(Figment::new(), |figment, layer| figment.merge(layer.clone()));
        let values = figment.find_value("").ok().and_then(Value::into_dict).unwrap_or_default();
        let home = Origin { name: home.to_owned(), directory: directory.to_owned(), is_text: false };
        Self { figment, values, home }
    }

    pub(super) fn values(&self) -> &Dict {
        &self.values
    }

    /// The file where keys that nobody wrote would stand.
    pub(super) fn home(&self) -> &Origin {
        &self.home
    }

    /// Where the value with this tag was written; `None` for a value that we made ourselves.
    pub(super) fn origin(&self, tag: Tag) -> Option<Origin> {
        let metadata = self.figment.get_metadata(tag)?;
        let (directory, is_text) = match metadata.source.as_ref()? {
            Source::File(directory) => (directory.clone(), false),
            Source::Custom(directory) => (PathBuf::from(directory), true),
            _ => return None,
        };
        Some(Origin { name: metadata.name.to_string(), directory, is_text })
    }
}

/// Line, column and sentence, but never the line itself: it may hold a secret.
fn syntax_problem(name: &str, text: &str, start: usize, sentence: &str) -> Problem {
    let before = text.as_bytes().get(..start.min(text.len())).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    let what = sentence.lines().map(str::trim).collect::<Vec<_>>().join(", ");
    let place = Place { file: name.to_owned(), key: String::new() };
    place.problem(Fault::new(format!("is not TOML at line {line}, column {column}: {what}"), ""))
}

/// Reads text as a TOML value, for lists and tables in environment variables; JSON lists are TOML but for odd escapes.
pub(super) fn inline_value(text: &str) -> Option<Value> {
    Toml::from_str::<Dict>(&format!("value = {text}")).ok().filter(|dict| dict.len() == 1)?.remove("value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_errors_have_a_place_and_show_no_line() {
        fn check(text: &str, expected: &str) {
            let problem = Layer::toml("config.toml", Path::new("config.toml"), text).expect_err(text);
            assert_eq!(problem.fault, expected, "{text:?}");
        }
        check("a = 1\nä = ü", "is not TOML at line 2, column 1: invalid key");
        check("[x]\nsecret = \"canary\" oops", "is not TOML at line 2, column 19: expected newline, `#`");
        check("[x]\n[x]", "is not TOML at line 2, column 1: invalid table header, duplicate key `x` in document root");
    }

    #[test]
    fn later_layers_win_key_by_key_and_are_remembered() {
        let file = Layer::toml("config.toml", Path::new("/etc/config.toml"), "[server]\na = 1\nb = 2").expect("TOML");
        let flag = Layer::text("command line --b", Path::new("here"), &["server".into(), "b".into()], "3");
        let document = Document::merge("config.toml", Path::new("/etc"), [&file, &flag]);
        let server = document.values()["server"].as_dict().expect("a table");
        let name = |key: &str| document.origin(server[key].tag()).map(|origin| origin.name);
        assert_eq!(name("a").as_deref(), Some("config.toml"));
        assert_eq!(name("b").as_deref(), Some("command line --b"));
    }

    #[test]
    fn inline_values() {
        assert!(inline_value(r#"["a", "b"]"#).is_some_and(|value| value.as_array().is_some()));
        assert!(inline_value("{ a = \"b\" }").is_some_and(|value| value.as_dict().is_some()));
        assert!(inline_value("[::1]:8080").is_none());
        assert!(inline_value("1\nother = 2").is_none());
    }
}
