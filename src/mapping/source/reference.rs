//! A path and the document that it begins at.

use serde_json::Value;

use super::{NULL, SourceError};
use crate::mapping::Path;

/// The documents that a path may begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// `$`: the record.
    Record,
    /// `$parent`: the record that it was found under.
    Parent,
    /// `$grandparent`: the record above that.
    Grandparent,
    /// `$conn`: captured values and variables of the connection.
    Connection,
    /// `$page`: the whole answer, without the records that were taken from it.
    Page,
    /// `$let`: values computed once for the record.
    Let,
}

/// The documents themselves; those that are not there are null.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `$`.
    pub record: &'a Value,
    /// `$parent`.
    pub parent: &'a Value,
    /// `$grandparent`.
    pub grandparent: &'a Value,
    /// `$conn`.
    pub connection: &'a Value,
    /// `$page`.
    pub page: &'a Value,
    /// `$let`.
    pub lets: &'a Value,
}

impl Default for Scope<'_> {
    fn default() -> Self {
        Self { record: NULL, parent: NULL, grandparent: NULL, connection: NULL, page: NULL, lets: NULL }
    }
}

/// A path on one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    root: Root,
    path: Path,
}

const ROOTS: [(&str, Root); 6] = [
    ("", Root::Record),
    ("parent", Root::Parent),
    ("grandparent", Root::Grandparent),
    ("conn", Root::Connection),
    ("page", Root::Page),
    ("let", Root::Let),
];

impl Reference {
    /// Reads `$.a`, `$parent.a` and so on. The document's name is split off first: JSONPath knows none.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let mistake = || SourceError::NotAPath(text.to_owned());
        let rest = text.strip_prefix('$').ok_or_else(mistake)?;
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (name, path) = rest.split_at(end);
        let (_, root) = ROOTS.iter().find(|(known, _)| *known == name).ok_or_else(mistake)?;
        Ok(Self { root: *root, path: Path::parse(&format!("${path}")).map_err(|_| mistake())? })
    }

    /// Where it begins.
    pub fn root(&self) -> Root {
        self.root
    }

    /// The path from there.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As it was written.
    pub fn text(&self) -> String {
        let name = ROOTS.iter().find(|(_, root)| *root == self.root).map_or("", |(name, _)| name);
        format!("${name}{}", &self.path.as_str()[1..])
    }

    pub(super) fn first<'a>(&self, scope: &Scope<'a>) -> Option<&'a Value> {
        self.path.first(self.document(scope))
    }

    pub(super) fn visit<'a>(&self, scope: &Scope<'a>, found: &mut dyn FnMut(&'a Value) -> bool) {
        self.path.visit(self.document(scope), found);
    }

    fn document<'a>(&self, scope: &Scope<'a>) -> &'a Value {
        match self.root {
            Root::Record => scope.record,
            Root::Parent => scope.parent,
            Root::Grandparent => scope.grandparent,
            Root::Connection => scope.connection,
            Root::Page => scope.page,
            Root::Let => scope.lets,
        }
    }
}
