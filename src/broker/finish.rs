//! What is asked between a token answer and a grant that can be used: exchanges of the token, its end where nobody has
//! said it, and where it is good for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;

use super::record::FlowRecord;
use super::{Broker, BrokerError, Integration, entropy, values};
use crate::mapping::Template;
use crate::mapping::wait::retry_after;
use crate::model::Grant;
use crate::oauth::{self, Client, Discovery, DiscoveryError, EndpointError, TokenError, TokenExchange, Values};
use crate::telemetry::trace::Span;
use crate::upstream::FetchResponse;

/// Before a discovery is asked once more; a provider may ask for a longer wait, up to the other. Somebody watches a
/// browser meanwhile.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whose requests they are.
#[derive(Clone, Copy)]
struct Asking<'a> {
    integration: &'a Arc<Integration>,
    client: &'a Client,
    flow: &'a FlowRecord,
}

/// Why a token was not made usable.
pub(super) enum Hindrance {
    /// The same token may be tried again.
    Passing(BrokerError),
    /// The provider does not take this token: only another one helps.
    Lasting(BrokerError),
}

/// When a token was got that is being finished.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Connect,
    Refresh,
}

impl Broker {
    /// The longest that the requests after a token answer take together.
    pub(super) fn finishing_deadline(&self) -> Duration {
        self.configured.load().settings.token_timeout * 4
    }

    /// Makes a grant that was just given one that can be used. When that fails, nothing is connected, and what the
    /// provider gave is revoked.
    pub(super) async fn finish_connect(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        flow: &FlowRecord,
        mut grant: Grant,
    ) -> Result<Grant, BrokerError> {
        let protocol = &integration.provider.protocol;
        if !protocol.asks_after_answers() {
            return Ok(grant);
        }
        let client = self.client_for(integration, &flow.variables, &grant.captured)?;
        let asking = Asking { integration, client: &client, flow };
        let all = async {
            self.exchange_token(asking, After::Connect, &mut grant).await?;
            self.introspect(asking, &mut grant).await;
            for discovery in &protocol.discovery {
                let found = self.discover(asking, discovery, &grant).await?;
                grant.captured.extend(found);
            }
            Ok(())
        };
        let finished = tokio::time::timeout(self.finishing_deadline(), all).await.map_err(|_| late()).flatten();
        let Err(error) = finished else { return Ok(grant) };
        tracing::warn!(
            integration = %integration.name, %error,
            "an authorization could not be finished; what it brought is revoked"
        );
        self.revoke_later(&flow.key()?, &flow.variables, &grant).await;
        Err(error)
    }

    /// Makes what a refresh brought usable.
    pub(super) async fn finish_refresh(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        flow: &FlowRecord,
        mut refreshed: Grant,
    ) -> Result<Grant, Hindrance> {
        let client = self.client_for(integration, &flow.variables, &refreshed.captured)?;
        let asking = Asking { integration, client: &client, flow };
        let all = async {
            self.exchange_token(asking, After::Refresh, &mut refreshed).await?;
            self.introspect(asking, &mut refreshed).await;
            Ok(())
        };
        let late = |_| Hindrance::Passing(late());
        tokio::time::timeout(self.finishing_deadline(), all).await.map_err(late).flatten()?;
        Ok(refreshed)
    }

    /// Sends the exchanges in order, each with what the ones before brought. Each is sent once.
    async fn exchange_token(
        self: &Arc<Self>,
        asking: Asking<'_>,
        after: After,
        grant: &mut Grant,
    ) -> Result<(), Hindrance> {
        let protocol = &asking.integration.provider.protocol;
        let due = |exchange: &&TokenExchange| after == After::Connect || exchange.after_refresh;
        for exchange in protocol.token_exchange.iter().filter(due) {
            let random = entropy::random_token()?;
            let asked_at = self.clock.now();
            let endpoints =
                self.endpoints(asking.integration, asking.client, &asking.flow.variables, Some(grant)).await?;
            let request = {
                let signing = Some(entropy::signing(asked_at));
                let values = Values { signing, ..asking.values(grant, random.expose()) };
                let url = self.url(&exchange.url, "token_exchange.url", values)?;
                oauth::token_exchange_request(protocol, &endpoints, exchange, &url, values)
                    .map_err(BrokerError::from)?
            };
            let answer = self.ask_for_token(asking.integration, request, &mut Span::none()).await?;
            *grant = answer
                .read(|status, body| oauth::exchanged_grant(protocol, exchange, status, body, grant, asked_at))?;
        }
        Ok(())
    }

    /// Learns when the access token ends, where nothing has said it. A failure costs a 401 later on, and nothing else.
    async fn introspect(self: &Arc<Self>, asking: Asking<'_>, grant: &mut Grant) {
        if !asking.integration.provider.protocol.introspects(grant) {
            return;
        }
        let cause = match self.ask_introspection(asking, grant).await {
            Ok(answer) => match oauth::introspected_end(answer.status.as_u16(), &answer.body) {
                Ok(end) => return grant.expires_at = Some(end),
                Err(why) => why.to_owned(),
            },
            Err(error) => error.to_string(),
        };
        tracing::warn!(integration = %asking.integration.name, cause, "introspection does not tell when a token ends");
    }

    async fn ask_introspection(
        self: &Arc<Self>,
        asking: Asking<'_>,
        grant: &Grant,
    ) -> Result<FetchResponse, BrokerError> {
        let Asking { integration, client, flow } = asking;
        let random = entropy::random_token()?;
        let signing = Some(entropy::signing(self.clock.now()));
        let values = Values { signing, ..asking.values(grant, random.expose()) };
        let protocol = &integration.provider.protocol;
        let template = protocol.introspection_endpoint.as_ref();
        let template = template.ok_or_else(|| BrokerError::Internal("there is no introspection endpoint".into()))?;
        let url = self.url(template, "introspection_endpoint", values)?;
        let endpoints = self.endpoints(integration, client, &flow.variables, Some(grant)).await?;
        let request = oauth::introspection_request(protocol, &endpoints, &url, grant, values)?;
        self.ask(integration, request).await
    }

    fn url(&self, template: &Template, name: &'static str, values: Values<'_>) -> Result<String, EndpointError> {
        oauth::endpoint_url(template, name, values, self.configured.load().settings.allow_http)
    }

    /// What a discovery finds. One that fails for the moment is asked once more.
    async fn discover(
        &self,
        asking: Asking<'_>,
        discovery: &Discovery,
        grant: &Grant,
    ) -> Result<BTreeMap<String, String>, BrokerError> {
        let random = entropy::random_token()?;
        let values = asking.values(grant, random.expose());
        let url = self.url(&discovery.url, "discovery.url", values)?;
        let request = oauth::discovery_request(discovery, &url, values);
        let read =
            |answer: &FetchResponse| oauth::discovered(discovery, answer.status.as_u16(), &answer.body, grant, values);
        let wait = match self.ask(asking.integration, request.clone()).await {
            Ok(answer) => match read(&answer) {
                Err(error) if error.is_transient() => {
                    let asked = answer.headers.get(RETRY_AFTER).and_then(|field| retry_after(field, self.clock.now()));
                    asked.map_or(PAUSE, |wait| wait.clamp(PAUSE, LONGEST_PAUSE))
                }
                outcome => return Ok(outcome?),
            },
            Err(BrokerError::TokenEndpoint { .. }) => PAUSE,
            Err(error) => return Err(error),
        };
        tokio::time::sleep(wait).await;
        match self.ask(asking.integration, request).await {
            Ok(answer) => Ok(read(&answer)?),
            Err(BrokerError::TokenEndpoint { cause, .. }) => Err(BrokerError::Undiscovered(cause)),
            Err(error) => Err(error),
        }
    }
}

impl<'a> Asking<'a> {
    fn values(self, grant: &'a Grant, random: &'a str) -> Values<'a> {
        Values { random: Some(random), ..values(self.client, &self.flow.variables) }.with_grant(grant)
    }
}

fn late() -> BrokerError {
    BrokerError::token_endpoint("the requests after a token answer took too long together")
}

impl From<BrokerError> for Hindrance {
    fn from(error: BrokerError) -> Self {
        Self::Passing(error)
    }
}

impl From<EndpointError> for Hindrance {
    fn from(error: EndpointError) -> Self {
        Self::Passing(error.into())
    }
}

impl From<TokenError> for Hindrance {
    fn from(error: TokenError) -> Self {
        if error.is_transient() { Self::Passing(error.into()) } else { Self::Lasting(error.into()) }
    }
}

impl From<Hindrance> for BrokerError {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::Passing(error) | Hindrance::Lasting(error) => error,
        }
    }
}

impl From<DiscoveryError> for BrokerError {
    fn from(error: DiscoveryError) -> Self {
        match error {
            DiscoveryError::NothingFits => Self::NothingFits,
            DiscoveryError::Status(_) | DiscoveryError::NotJson | DiscoveryError::Missing(_) => {
                Self::Undiscovered(error.to_string())
            }
        }
    }
}
