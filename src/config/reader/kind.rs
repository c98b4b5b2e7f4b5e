//! What a key holds, for whoever describes the keys: documentation, tests, a schema.

/// One key of a configuration or provider file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The dotted path; `<name>` stands for a name of the author's choice.
    pub path: String,
    /// What it holds.
    pub kind: Kind,
    /// One line about it.
    pub doc: &'static str,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// One of these words.
    Word(Vec<&'static str>),
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Text such as `30s`, or a number of seconds.
    Duration,
    /// A path; a relative one begins where the file that names it stands.
    Path,
    /// A literal secret, `env:NAME` or `file:PATH`.
    Secret,
    /// A list of texts.
    TextList,
    /// A table of texts under free names.
    TextTable,
    /// Tables of secrets, tables and secrets under free names.
    SecretTables,
    /// A value of the value language: text, a list or a table.
    Value,
    /// A table with keys of its own.
    Table,
}
