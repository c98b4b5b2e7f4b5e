//! Text with `{path}` placeholders.

use percent_encoding::utf8_percent_encode;

use super::reference::{Reference, Scope};
use super::{SourceError, text_of};
use crate::mapping::braces::{Piece, pieces};
use crate::mapping::template::UNRESERVED_KEPT;

/// A compiled text. `{{` and `}}` stand for literal braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    parts: Vec<Part>,
    trim: bool,
}

type Part = Piece<Reference>;

impl Phrase {
    /// Compiles the text. `trim` takes white space off both ends of what comes of it.
    pub fn parse(text: &str, trim: bool) -> Result<Self, SourceError> {
        let placeholder =
            |inner: &str| Reference::parse(inner).map_err(|_| SourceError::NotAPlaceholder(inner.to_owned()));
        let parts = pieces(text, closing, || SourceError::Unbalanced, placeholder)?;
        Ok(Self { parts, trim })
    }

    /// The text, when it holds no placeholder.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Every path in it.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(reference) => Some(reference),
            Part::Literal(_) => None,
        })
    }

    /// The text between the placeholders; for each of them, an `x`.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.as_str(),
            Part::Placeholder(_) => "x",
        })
    }

    /// Fills the placeholders in; what is null becomes nothing. `None` when all of them are null or empty.
    pub fn render(&self, scope: &Scope<'_>) -> Option<String> {
        let mut text = String::new();
        let mut any = false;
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder(reference) => {
                    if let Some(value) = reference.first(scope).and_then(text_of) {
                        any = true;
                        text.push_str(&value);
                    }
                }
            }
        }
        if !any && self.constant().is_none() {
            return None;
        }
        Some(self.trimmed(text))
    }

    /// The same for a place that must not be left empty: `None` when any placeholder is null or empty.
    pub fn fill(&self, scope: &Scope<'_>) -> Option<String> {
        self.filled(scope, |text, value| text.push_str(value)).map(|text| self.trimmed(text))
    }

    /// The same for a URL's path: values are percent-encoded, so that none changes its shape; one that is `.` or `..`
    /// counts as none.
    pub fn fill_path(&self, scope: &Scope<'_>) -> Option<String> {
        let mut dots = false;
        let text = self.filled(scope, |text, value| {
            dots |= matches!(value, "." | "..");
            text.extend(utf8_percent_encode(value, UNRESERVED_KEPT));
        })?;
        (!dots).then_some(text)
    }

    fn filled(&self, scope: &Scope<'_>, mut write: impl FnMut(&mut String, &str)) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder(reference) => write(&mut text, &reference.first(scope).and_then(text_of)?),
            }
        }
        Some(text)
    }

    fn trimmed(&self, text: String) -> String {
        if self.trim && text.trim().len() != text.len() { text.trim().to_owned() } else { text }
    }
}

/// Where the placeholder ends: at the first `}` outside quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '}') => return Some(at),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), character) if open == character => quote = None,
            _ => {}
        }
    }
    None
}
