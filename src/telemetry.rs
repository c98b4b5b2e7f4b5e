//! Logs: the subscriber and its settings. No log holds a secret.

/// The `[log]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `None`: readable on a terminal, JSON lines elsewhere.
    pub format: Option<Format>,
    /// A `tracing-subscriber` filter: `info`, or `keyferry=debug,warn`.
    pub level: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: None, level: "info".into() }
    }
}
