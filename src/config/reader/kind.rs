//! What a key holds, for whoever describes the keys: documentation, tests, a schema.

use std::ops::RangeInclusive;

use serde_json::Value as Json;

/// One key of a configuration or provider file.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The dotted path; `<name>` stands for a name of the author's choice, `[]` for each table of a list.
    pub path: String,
    /// What it holds.
    pub kind: Kind,
    /// One line about it.
    pub doc: &'static str,
    /// Whether its table is a mistake without it.
    pub is_required: bool,
    /// What holds when it is not written, where that is one value.
    pub default: Option<Json>,
    /// A value that could stand there, where the default is none to learn from.
    pub example: Option<Json>,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// One of these words.
    Word(Vec<&'static str>),
    /// An http or https URL; in a provider file a template of one.
    Url,
    /// Address and port to listen at.
    Address,
    /// A JSONPath.
    JsonPath,
    /// A day, as text or as TOML writes it.
    Date,
    /// A whole number within these bounds.
    Integer(RangeInclusive<u32>),
    /// A number from 0 to 1.
    Share,
    /// `true` or `false`.
    Boolean,
    /// Text such as `30s`, or a number of seconds.
    Duration,
    /// A path; a relative one begins where the file that names it stands.
    Path,
    /// A literal secret, `env:NAME` or `file:PATH`.
    Secret,
    /// A list of these.
    List(Box<Self>),
    /// One of these, or a list of them.
    OneOrMore(Box<Self>),
    /// Any of these.
    Either(Vec<Self>),
    /// A small table that is read as a whole: its keys, whether each has to be there, and what it holds.
    Members(Vec<(&'static str, bool, Self)>),
    /// A table of texts under free names.
    TextTable,
    /// A table of secrets under free names.
    SecretTable,
    /// Tables of secrets, tables and secrets under free names.
    SecretTables,
    /// A value of the value language: text, a list or a table.
    Value,
    /// A table of such values under free names.
    ValueTable,
    /// Any value that TOML can write.
    Anything,
    /// A table with any content: a JSON body.
    AnyTable,
    /// A table with keys of its own.
    Table,
    /// A table of tables under free names. In place of each, a plain value may stand for its key `shorthand`.
    Tables {
        /// The key that a plain value stands for, where one may.
        shorthand: Option<&'static str>,
    },
    /// A list of tables. What one of them lacks may stand in the table `defaults` beside the list.
    TableList {
        /// The key of the defaults; empty where nothing but the list says anything.
        defaults: &'static str,
    },
    /// Defaults for the tables of the list under this key, which stands beside it.
    DefaultsOf(&'static str),
}

impl Kind {
    /// Whether what is described is a table whose own keys are described too.
    pub fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Tables { .. } | Self::TableList { .. } | Self::DefaultsOf(_))
    }
}
