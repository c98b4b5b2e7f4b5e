//! An integration: our OAuth client at a provider, as configured.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::LimitMode;
use crate::model::{ClientCertificate, IntegrationName, Person, Secret};
use crate::oauth::SigningKey;
use crate::provider::Provider;

/// One `[integrations.<name>]` table, or a shipped provider that nobody configured yet.
#[derive(Clone, PartialEq)]
pub struct Integration {
    /// Its name, which stands in URLs.
    pub name: IntegrationName,
    /// The provider behind it.
    pub provider: Arc<Provider>,
    /// The client identifier (RFC 6749 section 2.2).
    pub client_id: Option<String>,
    /// The client secret; a public client has none.
    pub client_secret: Option<Secret>,
    /// Client secrets that hold instead for single values of a variable or of what a callback brings.
    pub client_secrets: Option<SecretsByValue>,
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

/// Client secrets by the value of one name: a provider may give each of its data centres a client of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretsByValue {
    /// The variable or captured value.
    pub name: String,
    /// Its values, with the secret of each.
    pub secrets: BTreeMap<String, Secret>,
}

impl Integration {
    /// Whether the configuration has it, be it complete or not, and not only a provider file that is shipped.
    pub fn is_configured(&self) -> bool {
        self.client_id.is_some() || self.missing.is_none()
    }

    /// The client secret of a connection with these values.
    pub fn client_secret_for(
        &self,
        variables: &BTreeMap<String, String>,
        captured: &BTreeMap<String, String>,
    ) -> Option<&Secret> {
        let by_value = self.client_secrets.as_ref().and_then(|by_value| {
            let value = variables.get(&by_value.name).or_else(|| captured.get(&by_value.name))?;
            by_value.secrets.get(value)
        });
        by_value.or(self.client_secret.as_ref())
    }
}

impl fmt::Debug for Integration {
    /// Not the variables: there may be secrets among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Integration")
            .field("name", &self.name)
            .field("provider", &self.provider.id)
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}
