//! Endpoints of an integration, with the issuer's metadata where the file leaves endpoints to it. Metadata is fetched when
//! first needed and again after an hour.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Broker, BrokerError, Integration, values};
use crate::mapping::Encoding;
use crate::model::{Grant, Timestamp};
use crate::oauth::{Client, Endpoints, Metadata, Values};

const LIFETIME: Duration = Duration::from_secs(3600);

/// Metadata by issuer. Issuers come from provider files and operators' variables, so there are few.
#[derive(Default)]
pub(super) struct Discovered(Mutex<HashMap<String, (Timestamp, Arc<Metadata>)>>);

impl Broker {
    /// Where this connection's requests go.
    pub(super) async fn endpoints(
        &self,
        integration: &Integration,
        client: &Client,
        variables: &BTreeMap<String, String>,
        grant: Option<&Grant>,
    ) -> Result<Endpoints, BrokerError> {
        let protocol = &integration.provider.protocol;
        let values = Values {
            access_token: grant.map(|grant| &grant.access_token),
            captured: grant.map(|grant| &grant.captured),
            ..values(client, variables)
        };
        let written = protocol.authorization_endpoint.is_some() && protocol.token_endpoint.is_some();
        let metadata = match &protocol.issuer {
            Some(template) if !written => {
                let issuer = template.render(Encoding::Url, |name| values.get(name));
                let issuer = issuer.ok_or_else(|| BrokerError::token_endpoint("the issuer needs a variable"))?;
                Some(self.metadata(integration, &issuer).await?)
            }
            _ => None,
        };
        Ok(Endpoints::resolve(protocol, metadata.as_deref(), client, values, self.settings.allow_http)?)
    }

    async fn metadata(&self, integration: &Integration, issuer: &str) -> Result<Arc<Metadata>, BrokerError> {
        let now = self.clock.now();
        let known = self.discovered.0.lock().unwrap_or_else(PoisonError::into_inner).get(issuer).cloned();
        if let Some((fetched_at, metadata)) = &known
            && now.since(*fetched_at) < LIFETIME
        {
            return Ok(Arc::clone(metadata));
        }
        match self.fetch_metadata(integration, issuer).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                let mut known = self.discovered.0.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(issuer.to_owned(), (now, Arc::clone(&metadata)));
                Ok(metadata)
            }
            // An issuer in trouble does not move its endpoints: what was known goes on serving.
            Err(error) => known.map(|(_, metadata)| metadata).ok_or(error),
        }
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
