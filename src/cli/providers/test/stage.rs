//! Where a file is played: the real sidecar, in process and in memory, on a clock that is moved by hand; only the provider
//! opposite is the player.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use url::Url;

use super::answers::{Answers, Life, Tokens};
use super::player::{Answer, Endpoint, Heard, Part, Player};
use super::samples;
use crate::app::{self, Running};
use crate::broker::{Begin, Broker, BrokerError, Integration, Live, View, Visitor};
use crate::cli::Failure;
use crate::clock::Clock;
use crate::config::{Config, Trial, TrialClient};
use crate::mapping::{Encoding, Template};
use crate::model::{ConnectionKey, Person, Timestamp};
use crate::oauth::{Protocol, SigningAlgorithm};
use crate::provider::{Provider, literal_origin};
use crate::store::Store;
use crate::telemetry::trace::Span;

/// The client that the player knows.
pub(super) const CLIENT: TrialClient<'static> =
    TrialClient { id: "the-client-id", secret: "the-client-secret", private_key: None };

/// A key that fits what the file signs with. These are everybody's, and sign nothing but what the player is told.
fn private_key(protocol: &Protocol) -> Option<&'static str> {
    protocol.signs_with().find_map(|algorithm| match algorithm {
        SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => Some(include_str!("keys/rsa.pem")),
        SigningAlgorithm::Es256 => Some(include_str!("keys/p256.pem")),
        SigningAlgorithm::Es384 => Some(include_str!("keys/p384.pem")),
        SigningAlgorithm::EdDsa => Some(include_str!("keys/ed25519.pem")),
        SigningAlgorithm::Hs256 => None,
    })
}

/// The code that the browser brings.
pub(super) const CODE: &str = "the-code";

/// The day on which everything is played; a Thursday.
const TODAY: i64 = 1_767_225_600_000;

/// Long enough for whatever is answered, and short where nothing is.
const PATIENCE: Duration = Duration::from_secs(20);
const IMPATIENCE: Duration = Duration::from_millis(200);

/// A file, the values to play it with, and what is answered.
pub(super) struct Play<'a> {
    pub(super) trial: &'a Trial,
    pub(super) answers: Answers<'a>,
    pub(super) variables: BTreeMap<String, String>,
    /// What comes with the code in the redirect.
    pub(super) callback: Vec<(String, String)>,
    /// What is kept of that.
    pub(super) captured: BTreeMap<String, String>,
    /// Hosts that the file writes with `http://`.
    plain: Vec<String>,
    issuer: Option<String>,
}

/// The stage of one scenario.
pub(super) struct Stage<'a> {
    pub(super) play: &'a Play<'a>,
    pub(super) player: Player,
    config: Config,
    store: Store,
    clock: Clock,
    running: Running,
    integration: Arc<Integration>,
    /// How many pairs of tokens were given out.
    given: usize,
}

/// A browser that was sent to the provider.
pub(super) struct Sent {
    /// Where to.
    pub(super) url: String,
    state: String,
}

impl<'a> Play<'a> {
    pub(super) fn new(
        trial: &'a Trial,
        answers: Answers<'a>,
        variables: BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let provider: &Provider = trial.provider();
        let mut callback = Vec::new();
        let mut captured = BTreeMap::new();
        for (name, capture) in &provider.protocol.callback_capture {
            let (sent, kept) = samples::of_rule(provider, name, &capture.rule).ok_or_else(|| {
                Failure::other(format!(
                    "no value could be made up for oauth.capture.callback.{name}; give it a `map`, or a `pattern` that \
                     is simpler"
                ))
            })?;
            // Two captures may look at the same parameter, and it comes once.
            let before = callback.iter().find(|(param, _)| *param == capture.param).map(|(_, sent): &(_, String)| sent);
            let kept = match before {
                Some(before) => capture.rule.admit(before),
                None => {
                    callback.push((capture.param.clone(), sent));
                    Some(kept)
                }
            };
            captured.extend(kept.map(|kept| (name.clone(), kept)));
        }
        let known = |name: &str| match name {
            "client_id" => Some(CLIENT.id.into()),
            _ => variables.get(name).map(|value| value.as_str().into()),
        };
        let issuer = provider.protocol.issuer.as_ref().and_then(|issuer| issuer.render(Encoding::Url, known));
        let origins = provider.urls().filter_map(literal_origin).filter(|url| url.scheme() == "http");
        let plain = origins.map(|url| url.authority().to_owned()).collect();
        Ok(Self { trial, answers, variables, callback, captured, plain, issuer })
    }

    pub(super) fn provider(&self) -> &'a Provider {
        self.trial.provider()
    }

    /// Every endpoint whose URL can be told with these captured values.
    fn cast(&self, captured: &BTreeMap<String, String>) -> Vec<Endpoint> {
        let value = |name: &str| match name {
            "client_id" => Some(CLIENT.id.into()),
            _ => self.variables.get(name).or_else(|| captured.get(name)).map(|value| value.as_str().into()),
        };
        let at_issuer = |path: &str| {
            let issuer = self.issuer.as_deref()?;
            Url::parse(&format!("{}{path}", issuer.trim_end_matches('/'))).ok()
        };
        let written = |template: &Template| Url::parse(&template.render(Encoding::Url, value)?).ok();
        let protocol = &self.provider().protocol;
        let exchanges = protocol.token_exchange.iter().enumerate();
        let exchanges = exchanges.map(|(number, exchange)| (Part::Exchange(number), written(&exchange.url)));
        let discoveries = protocol.discovery.iter().enumerate();
        let discoveries = discoveries.map(|(number, discovery)| (Part::Discovery(number), written(&discovery.url)));
        let places = [
            (Part::Revocation, protocol.revocation_endpoint.as_ref().map_or_else(|| at_issuer("/revoke"), written)),
            (Part::Introspection, protocol.introspection_endpoint.as_ref().and_then(written)),
            (Part::Token, protocol.token_endpoint.as_ref().map_or_else(|| at_issuer("/token"), written)),
            (Part::Token, protocol.refresh_endpoint.as_ref().and_then(written)),
            (Part::Api, written(&self.provider().api.base_url)),
        ];
        exchanges
            .chain(discoveries)
            .chain(places)
            .filter_map(|(part, url)| Some(Endpoint { part, url: url? }))
            .collect()
    }
}

impl<'a> Stage<'a> {
    pub(super) async fn set(play: &'a Play<'a>) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::other(error.to_string());
        let mut captured = play.captured.clone();
        captured.extend(play.answers.captured.clone());
        let player = Player::start(play.cast(&captured), play.plain.clone()).await.map_err(|error| failed(&error))?;
        if let Some(issuer) = &play.issuer {
            let at = |path: &str| format!("{}{path}", issuer.trim_end_matches('/'));
            let metadata = json!({
                "issuer": issuer,
                "authorization_endpoint": at("/authorize"),
                "token_endpoint": at("/token"),
                "revocation_endpoint": at("/revoke"),
            });
            player.by_default(Part::Metadata, Answer::json(&metadata));
        }
        for (number, answer) in play.answers.exchanges().into_iter().enumerate() {
            player.by_default(Part::Exchange(number), Answer::json(&answer));
        }
        let mut known = play.variables.clone();
        known.extend(play.captured.clone());
        for (number, answer) in play.answers.discoveries(&known).into_iter().enumerate() {
            player.by_default(Part::Discovery(number), Answer::json(&answer));
        }
        let end = TODAY / 1000 + i64::try_from(super::answers::LIFE.as_secs()).unwrap_or_default();
        player.by_default(Part::Introspection, Answer::json(&json!({ "active": true, "exp": end })));
        player.by_default(Part::Revocation, Answer::json(&json!({})));
        player.by_default(Part::Api, Answer::json(&json!({ "played": true })));
        let client = TrialClient { private_key: private_key(&play.provider().protocol), ..CLIENT };
        let mut config = play.trial.sidecar(player.address(), client, &play.variables)?;
        config.net.token_timeout = PATIENCE;
        let clock = Clock::manual(Timestamp::from_unix_millis(TODAY));
        let store = Store::open(config.store.clone(), clock.clone()).await.map_err(|error| failed(&error))?;
        let running = app::start_with(config.clone(), store.clone(), clock.clone()).await;
        let running = running.map_err(|error| failed(&error))?;
        let id = play.provider().id.as_str();
        let integration = running.broker().integration(id);
        let integration = integration.ok_or_else(|| Failure::other(format!("`{id}` cannot name an integration")))?;
        Ok(Self { play, player, config, store, clock, running, integration, given: 0 })
    }

    /// The same stage with a sidecar that gives up soon.
    pub(super) async fn grow_impatient(&mut self) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.net.token_timeout = IMPATIENCE;
        let running = app::start_with(config, self.store.clone(), self.clock.clone()).await;
        self.running = running.map_err(|error| Failure::other(error.to_string()))?;
        Ok(())
    }

    fn broker(&self) -> &Arc<Broker> {
        self.running.broker()
    }

    fn key(&self) -> ConnectionKey {
        ConnectionKey { integration: self.integration.name.clone(), person: Person::unnamed() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The next pair of tokens.
    pub(super) fn tokens(&mut self, life: Life) -> Tokens {
        self.given += 1;
        let number = self.given;
        Tokens {
            access: Some(format!("the-access-token-{number}")),
            refresh: Some(format!("the-refresh-token-{number}")),
            life,
        }
    }

    /// A good answer with these tokens.
    pub(super) fn good(&self, tokens: &Tokens) -> serde_json::Value {
        let scopes = self.integration.scopes.as_ref().unwrap_or(&self.play.provider().protocol.scopes);
        self.play.answers.good(tokens, scopes, self.now())
    }

    /// Begins an authorization.
    pub(super) async fn begin(&self) -> Result<Sent, BrokerError> {
        let begin = Begin {
            key: self.key(),
            return_to: None,
            scopes: None,
            variables: BTreeMap::new(),
            authorization_params: BTreeMap::new(),
        };
        let url = self.broker().begin(begin).await?.url;
        let parsed = Url::parse(&url.replace('#', "%23")).ok();
        let state = parsed.iter().flat_map(Url::query_pairs).find(|(name, _)| name == "state");
        let state = state.map(|(_, state)| state.into_owned()).unwrap_or_default();
        Ok(Sent { url, state })
    }

    /// Where the browser comes back.
    pub(super) fn callback(&self) -> String {
        format!("http://localhost:8080/integrations/{}/oauth2callback", self.integration.name)
    }

    /// The parameters with which the browser comes back.
    pub(super) fn redirect(&self, sent: &Sent) -> Vec<(String, String)> {
        let names = &self.play.provider().protocol.callback;
        let own = [(names.code.clone(), CODE.to_owned()), (names.state.clone(), sent.state.clone())];
        own.into_iter().chain(self.play.callback.iter().cloned()).collect()
    }

    /// The browser comes back.
    pub(super) async fn come_back(&self, redirect: &[(String, String)]) -> Result<(), BrokerError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(redirect).finish();
        let completed = self.broker().complete(&self.integration, &query, Vec::new(), Visitor::Untold).await?;
        completed.outcome.map(drop)
    }

    /// The connection as its person sees it.
    pub(super) async fn view(&self) -> Result<Option<View>, BrokerError> {
        self.broker().connection(&self.key()).await
    }

    /// The live token, refreshed first when it is past its end.
    pub(super) async fn access(&self) -> Result<Arc<Live>, BrokerError> {
        self.broker().access(&self.key(), &mut Span::none()).await
    }

    /// A refresh: the token's end is passed, or, where none is known, the API has answered 401. `None` when there is
    /// nothing to refresh it with.
    pub(super) async fn refresh(&self, live: &Live) -> Result<Option<Arc<Live>>, BrokerError> {
        self.settle().await;
        match live.grant().expires_at {
            Some(end) => {
                self.clock.advance(end.since(self.now()) + Duration::from_secs(1));
                self.access().await.map(Some)
            }
            None => {
                self.clock.advance(LONG_AFTER);
                self.broker().renew(live, &mut Span::none()).await
            }
        }
    }

    /// Disconnects, and waits until the provider was told.
    pub(super) async fn disconnect(&self) -> Result<View, BrokerError> {
        let view = self.broker().disconnect(&self.key()).await?;
        self.settle().await;
        Ok(view)
    }

    /// Waits until nothing is under way: whoever comes right after a refresh is given what it brought.
    async fn settle(&self) {
        self.broker().duties_ended().await;
    }

    /// A call through the sidecar, as an application makes it; gives the status of the answer.
    pub(super) async fn call(&self, path: &str) -> Result<u16, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::other(format!("the call did not get through: {error}"));
        let stream = TcpStream::connect(self.running.address()).await.map_err(|error| failed(&error))?;
        let connecting = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connecting.map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        let request = http::Request::get(format!("/proxy/{}{path}", self.integration.name))
            .header(http::header::HOST, "localhost:8080")
            .header(http::header::AUTHORIZATION, "Bearer of-the-application")
            .body(Empty::<Bytes>::new());
        let request = request.map_err(|error| failed(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status().as_u16();
        let _ = answer.into_body().collect().await;
        Ok(status)
    }

    /// What the player heard since the last time.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.player.heard()
    }

    /// From now on the endpoints are where these captured values put them.
    pub(super) fn recast(&self, captured: &BTreeMap<String, String>) {
        self.player.recast(self.play.cast(captured));
    }
}

/// A token without an end is renewed after a 401, though not one that has only just come.
const LONG_AFTER: Duration = Duration::from_secs(3600);
