//! An integration: our OAuth client at a provider, as configured.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::LimitMode;
use crate::model::{ClientCertificate, IntegrationName, Person, Secret};
use crate::oauth::SigningKey;
use crate::provider::Provider;

/// One `[integrations.<name>]` table, or a shipped provider that nobody configured yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// Its name, which stands in URLs.
    pub name: IntegrationName,
    /// The provider behind it.
    pub provider: Arc<Provider>,
    /// The client identifier (RFC 6749 section 2.2).
    pub client_id: Option<String>,
    /// The client secret; a public client has none.
    pub client_secret: Option<Secret>,
    /// The key that assertions are signed with.
    pub private_key: Option<Arc<SigningKey>>,
    /// What that key is called at the provider, when it is not as its key file says.
    pub private_key_id: Option<String>,
    /// Who we are on every connection to the provider, should it ask.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// What has to be set before it can be used, as a sentence that names key and place; `None` when it is ready.
    pub missing: Option<String>,
    /// Scopes to ask for; `None` means the provider file's.
    pub scopes: Option<Vec<String>>,
    /// The operator's values for the provider's variables.
    pub variables: BTreeMap<String, String>,
    /// Sent as `redirect_uri` instead of our callback's URL, for providers that register an alias.
    pub redirect_uri: Option<String>,
    /// Whose its grant is where nobody connects: nobody's. `None` where each person has their own.
    pub holder: Option<Person>,
    /// What becomes of proxied calls over their budget.
    pub limits: LimitMode,
}
