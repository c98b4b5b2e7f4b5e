//! A provider: the sum of how it speaks OAuth and how its API is called. Written in a file, never in code.

use crate::model::ProviderId;
use crate::oauth::Protocol;
use crate::route::Api;

/// One provider file, checked and compiled.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The stem of its file name.
    pub id: ProviderId,
    /// What people read.
    pub display_name: String,
    /// The vendor's page about its OAuth.
    pub documentation: Option<String>,
    /// One word for lists: `crm`, `docs`, `storage` …
    pub category: Option<String>,
    /// How to get a grant.
    pub protocol: Protocol,
    /// How to call.
    pub api: Api,
}
