//! An item: one record of a provider's API under the names that every provider's records share.

/// The IntegrationItem fields. What a record does not say is `None`; times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Unique within its integration.
    pub id: String,
    /// What it is, in the provider's own word or the file's: `Contact`, `page`, `Base` …
    pub kind: Option<String>,
    /// Whether other items lie in it.
    pub directory: bool,
    /// Where it lies, as people read it.
    pub parent_path_or_name: Option<String>,
    /// The id of the item that it lies in.
    pub parent_id: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// When it was made.
    pub creation_time: Option<String>,
    /// When it was changed last.
    pub last_modified_time: Option<String>,
    /// Where a person opens it.
    pub url: Option<String>,
    /// The ids of the items in it, where the file collects them.
    pub children: Option<Vec<String>>,
    /// Its media type.
    pub mime_type: Option<String>,
    /// The provider's token for asking what changed since.
    pub delta: Option<String>,
    /// The drive that it lies on.
    pub drive_id: Option<String>,
    /// Whether it is shown.
    pub visibility: bool,
}
