//! Endpoints of an integration, with the issuer's metadata where the file leaves endpoints to it. Metadata is fetched
//! when first needed and again after an hour.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Broker, BrokerError, Integration, values};
use crate::mapping::Encoding;
use crate::model::{Grant, Timestamp};
use crate::oauth::{Client, Endpoints, Metadata};

const LIFETIME: Duration = Duration::from_secs(3600);

/// Metadata by issuer. Issuers come from provider files and operators' variables, so there are few.
#[derive(Default)]
pub(super) struct Discovered(Mutex<Known>);

type Known = HashMap<String, (Timestamp, Arc<Metadata>)>;

impl Discovered {
    /// Everything is asked anew.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Where this connection's requests go.
    pub(super) async fn endpoints(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        client: &Client,
        variables: &BTreeMap<String, String>,
        grant: Option<&Grant>,
    ) -> Result<Endpoints, BrokerError> {
        let protocol = &integration.provider.protocol;
        let values = values(client, variables);
        let values = grant.map_or(values, |grant| values.with_grant(grant));
        let written = (protocol.authorization_endpoint.is_some() || protocol.grant_type.is_clients_own())
            && protocol.token_endpoint.is_some()
            && protocol.revocation_endpoint.is_some()
            && protocol.token_endpoint_auth_method.is_some();
        let metadata = match &protocol.issuer {
            Some(template) if !written => {
                let issuer = template.render(Encoding::Url, |name| values.get(name));
                let issuer = issuer.ok_or_else(|| BrokerError::token_endpoint("the issuer needs a variable"))?;
                Some(self.metadata(integration, &issuer).await?)
            }
            _ => None,
        };
        let allow_http = self.configured.load().settings.allow_http;
        Ok(Endpoints::resolve(protocol, metadata.as_deref(), client, values, allow_http)?)
    }

    async fn metadata(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        issuer: &str,
    ) -> Result<Arc<Metadata>, BrokerError> {
        let known = self.discovered.lock().get(issuer).cloned();
        let Some((fetched_at, metadata)) = known else {
            return self.learn_metadata(integration, issuer).await;
        };
        let now = self.clock.now();
        if now.since(fetched_at) >= LIFETIME {
            // An issuer does not move its endpoints from one hour to the next: what is known serves while one task
            // asks.
            self.discovered.lock().insert(issuer.to_owned(), (now, Arc::clone(&metadata)));
            let (broker, integration, issuer) = (Arc::clone(self), Arc::clone(integration), issuer.to_owned());
            tokio::spawn(async move {
                if let Err(error) = broker.learn_metadata(&integration, &issuer).await {
                    tracing::warn!(integration = %integration.name, %error, "the issuer's metadata could not be renewed");
                }
            });
        }
        Ok(metadata)
    }

    async fn learn_metadata(&self, integration: &Integration, issuer: &str) -> Result<Arc<Metadata>, BrokerError> {
        let metadata = Arc::new(self.fetch_metadata(integration, issuer).await?);
        self.discovered.lock().insert(issuer.to_owned(), (self.clock.now(), Arc::clone(&metadata)));
        Ok(metadata)
    }

    async fn fetch_metadata(&self, integration: &Integration, issuer: &str) -> Result<Metadata, BrokerError> {
        let mut failure = None;
        for address in Metadata::addresses(issuer) {
            let outcome = match self.ask_json(integration, &address).await {
                Ok(answer) if answer.status == 200 => Metadata::parse(&answer.body, issuer).map_err(BrokerError::from),
                Ok(answer) => Err(BrokerError::token_endpoint(format!("{address} answered {}", answer.status))),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(metadata) => return Ok(metadata),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| BrokerError::token_endpoint("the issuer has no metadata address")))
    }
}
