//! Loading a connection's items: performs the steps of a walk, one after the other. What to do next is the walk's to
//! decide; whose token it is done with, and how fast, is decided here.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Broker, BrokerError, CallOutcome, Integration, Live, LiveKey, entropy};
use crate::items::{Answer, Options, Outage, PageRequest, Plan, Position, Problem, Step, Walk};
use crate::model::{ConnectionKey, Item};
use crate::route::{Target, headers};
use crate::store::{Key, Kind};
use crate::telemetry::trace::Span;
use crate::upstream::{RequestBody, UpstreamBody, UpstreamError};

/// Most bytes of one page of a provider's answer.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// Reading a page that is larger would keep others waiting who share the thread.
const SMALL_PAGE: usize = 256 * 1024;

/// What is to be loaded.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Item types that are wanted; empty for all, or for those that the cursor was drawn with.
    pub types: Vec<String>,
    /// Where an earlier load ended, as [`Loading::cursor`] gave it.
    pub cursor: Option<String>,
}

/// A load under way. Dropped, it cancels the request that it waits for.
pub struct Loading {
    broker: Arc<Broker>,
    integration: Arc<Integration>,
    key: ConnectionKey,
    /// The connection that it began with; another one that takes its place is not read on.
    live: Arc<Live>,
    types: Vec<String>,
    walk: Walk,
    /// A step that was asked for and not yet performed.
    step: Option<Step>,
    failure: Option<BrokerError>,
    end: watch::Receiver<Option<Instant>>,
}

impl Broker {
    /// Begins to load the items of a connection, or goes on where an earlier load ended. Nothing is asked of the
    /// provider yet.
    pub async fn load_items(self: &Arc<Self>, key: &ConnectionKey, load: Load) -> Result<Loading, BrokerError> {
        let integration = self.integration_of(key)?;
        if integration.provider.items.is_empty() {
            let name = &integration.provider.display_name;
            return Err(BrokerError::Invalid(format!(
                "The provider file of {name} has no [items], so there is nothing to load."
            )));
        }
        let key = &self.holder(key)?;
        let live = self.live_token(key).await?;
        let Load { types, cursor } = load;
        let (types, position) = match cursor {
            None => (types, None),
            Some(cursor) => {
                let (drawn_with, position) = self.open_cursor(&live, &integration.provider.items, &cursor)?;
                if !types.is_empty() && types != drawn_with {
                    return Err(BrokerError::Invalid(
                        "The cursor was drawn with another `type`; leave `type` out.".into(),
                    ));
                }
                (drawn_with, Some(position))
            }
        };
        let options = Options {
            connection: live.known_values(&integration.provider.protocol.variables),
            base_url: live.ready.base_url(),
            types: types.clone(),
            position,
        };
        let walk = Walk::new(Arc::clone(&integration.provider.items), options);
        let key = key.clone();
        let end = self.loads_end.subscribe();
        Ok(Loading { broker: Arc::clone(self), integration, key, live, types, walk, step: None, failure: None, end })
    }

    /// The token from memory when it is there, otherwise from the store, refreshed where it has to be.
    async fn live_token(self: &Arc<Self>, key: &ConnectionKey) -> Result<Arc<Live>, BrokerError> {
        let name = LiveKey {
            integration: key.integration.as_str(),
            org: key.person.org.as_str(),
            user: key.person.user.as_str(),
        };
        match self.live(&name, &mut Span::none()) {
            Some(live) => Ok(live),
            None => self.access(key, &mut Span::none()).await,
        }
    }

    /// Sealed, so that a cursor names no place that we did not name, and opens for its own connection only.
    fn seal_cursor(&self, live: &Live, types: &[String], position: &Position) -> String {
        let mut bytes = types.join("\n").into_bytes();
        bytes.push(0);
        bytes.extend(position.encode());
        URL_SAFE_NO_PAD.encode(self.store.seal(&cursor_key(live), &bytes))
    }

    fn open_cursor(&self, live: &Live, plan: &Plan, cursor: &str) -> Result<(Vec<String>, Position), BrokerError> {
        let opened = || {
            let sealed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let bytes = self.store.unseal(&cursor_key(live), &sealed)?;
            let end = bytes.iter().position(|byte| *byte == 0)?;
            let types = std::str::from_utf8(&bytes[..end]).ok()?;
            let types = types.split('\n').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            Some((types, Position::decode(&bytes[end + 1..]).filter(|position| plan.accepts(position))?))
        };
        let not_ours = || BrokerError::Invalid("The cursor is not one that this connection was given.".into());
        opened().ok_or_else(not_ours)
    }
}

fn cursor_key(live: &Live) -> Key {
    Key::new(Kind::Cursor, &[live.connection.id.as_str()])
}

impl Loading {
    /// The next item, if it can be had without waiting.
    pub fn ready(&mut self) -> Option<Item> {
        if self.step.is_some() || self.failure.is_some() {
            return None;
        }
        match self.walk.step() {
            Step::Emit(item) => Some(item),
            step => {
                self.step = Some(step);
                None
            }
        }
    }

    /// The next item; `None` at the end, which [`Self::failure`] and [`Self::problems`] explain.
    pub async fn next(&mut self) -> Option<Item> {
        while self.failure.is_none() {
            match self.step.take().unwrap_or_else(|| self.walk.step()) {
                Step::Emit(item) => return Some(item),
                Step::Done => {
                    self.step = Some(Step::Done);
                    return None;
                }
                step => {
                    let end = ended(self.end.clone());
                    let performed = tokio::select! {
                        performed = self.perform(step) => performed,
                        () = end => Err(BrokerError::ShuttingDown),
                    };
                    self.failure = performed.err();
                }
            }
        }
        None
    }

    /// Does what the walk asks for. An error is the connection's or our own side's and ends the load.
    async fn perform(&mut self, step: Step) -> Result<(), BrokerError> {
        match step {
            Step::Send(page) => self.send(page).await,
            Step::Renew => self.renew().await,
            Step::Wait(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Step::Emit(_) | Step::Done => Ok(()),
        }
    }

    /// What could not be read, and what is not as it should be.
    pub fn problems(&self) -> &[Problem] {
        self.walk.problems()
    }

    /// What ended the load before its end: the connection, or our own side of it.
    pub fn failure(&self) -> Option<&BrokerError> {
        self.failure.as_ref()
    }

    /// From where another load goes on after the last item that was given out; `None` at the end.
    pub fn cursor(&self) -> Option<String> {
        let position = self.walk.position()?;
        Some(self.broker.seal_cursor(&self.live, &self.types, &position))
    }

    /// One request and its answer, reported to the walk.
    async fn send(&mut self, page: PageRequest) -> Result<(), BrokerError> {
        let current = self.broker.live_token(&self.key).await?;
        if current.connection.id != self.live.connection.id {
            return Err(BrokerError::NotConnected);
        }
        self.live = current;
        let outcome = match self.turn(&page.budget).await {
            Ok(()) => self.exchange(&page).await?,
            Err(outage) => Err(outage),
        };
        let jitter = entropy::unit()?;
        match outcome {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                let answer = Answer { status: head.status.as_u16(), headers: &head.headers, body: &body };
                let now = self.broker.now();
                let pause = beside_others(body.len(), || self.walk.answer(answer, now, jitter));
                // It is left alone by everybody who uses this connection.
                if let Some(pause) = pause {
                    self.broker.pause(&self.integration, &self.key, &page.budget, pause);
                }
            }
            Err(outage) => self.walk.no_answer(outage, jitter),
        }
        Ok(())
    }

    /// Waits until the budget and the circuit let a request go.
    async fn turn(&self, budget: &str) -> Result<(), Outage> {
        let wait = self.broker.reserve(&self.integration, &self.key, budget, self.walk.longest_wait());
        let wait = wait.await.map_err(Outage::OverBudget)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.broker.admit(&self.integration).map_err(Outage::CircuitOpen)
    }

    /// Sends the request through the pool of the calls, with the same header rules, and reads the page whole.
    async fn exchange(&self, page: &PageRequest) -> Result<Result<Response<Vec<u8>>, Outage>, BrokerError> {
        let request = request(&self.broker, &self.live, page)?;
        let host = self.live.ready.destination();
        let answer = match self.broker.network().upstream.send(host, request).await {
            Ok(answer) => whole(answer).await,
            Err(error) => Err(PageError::Upstream(error)),
        };
        self.broker.outcome(
            &self.integration,
            match &answer {
                Ok(answer) => CallOutcome::of_status(answer.status()),
                Err(PageError::Upstream(error)) => CallOutcome::of_error(error),
                Err(PageError::TooLarge) => CallOutcome::Answered,
            },
        );
        match answer {
            Ok(answer) => Ok(Ok(answer)),
            Err(PageError::TooLarge) => Ok(Err(Outage::TooLarge)),
            Err(PageError::Upstream(error)) => {
                tracing::warn!(integration = %self.integration.name, stream = page.stream, %error, "a page of items could not be read");
                match error {
                    UpstreamError::Blocked { .. } => Err(error.into()),
                    UpstreamError::Timeout { .. } => Ok(Err(Outage::Timeout)),
                    _ => Ok(Err(Outage::Unreachable)),
                }
            }
        }
    }

    async fn renew(&mut self) -> Result<(), BrokerError> {
        let renewed = self.broker.renew(&self.live, &mut Span::none()).await?;
        self.walk.renewed(renewed.is_some());
        if let Some(live) = renewed {
            self.live = live;
        }
        Ok(())
    }
}

/// Ready when the process is going and loads have to end, so that their clients learn where to go on.
async fn ended(mut end: watch::Receiver<Option<Instant>>) {
    let moment = end.wait_for(Option::is_some).await.ok().and_then(|moment| *moment);
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Work on so many bytes, without keeping others waiting who share the thread when they are many.
fn beside_others<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let is_possible = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if bytes > SMALL_PAGE && is_possible { tokio::task::block_in_place(work) } else { work() }
}

/// Why a page was not read.
enum PageError {
    Upstream(UpstreamError),
    TooLarge,
}

/// The answer with its whole body.
async fn whole(answer: Response<UpstreamBody>) -> Result<Response<Vec<u8>>, PageError> {
    let (head, body) = answer.into_parts();
    match Limited::new(body, PAGE_BYTES).collect().await {
        Ok(collected) => Ok(Response::from_parts(head, collected.to_bytes().into())),
        Err(error) if error.is::<LengthLimitError>() => Err(PageError::TooLarge),
        Err(error) => match error.downcast::<UpstreamError>() {
            Ok(error) => Err(PageError::Upstream(*error)),
            Err(_) => Err(PageError::TooLarge),
        },
    }
}

/// The request for a page as the provider gets it: by the header rules of any call, with nothing of a caller's in it.
fn request(broker: &Broker, live: &Live, page: &PageRequest) -> Result<Request<RequestBody>, BrokerError> {
    let misfit = |cause: &dyn std::fmt::Display| {
        BrokerError::Internal(format!("the provider file makes a request that cannot be sent: {cause}"))
    };
    let target = Target::below(&page.path_and_query).map_err(|error| misfit(&error))?;
    let path_and_query = live.ready.path_and_query(&target).map_err(|error| misfit(&error))?;
    let mut fields: HeaderMap = page.headers.iter().cloned().collect();
    headers::outbound(&mut fields, &live.ready, &broker.network().via, Version::HTTP_11, false)
        .map_err(|error| misfit(&error))?;
    fields.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    fields.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("keyferry/", env!("CARGO_PKG_VERSION"))));
    let body = page.body.as_ref().map_or_else(RequestBody::empty, |body| RequestBody::full(body.clone()));
    let mut request = Request::new(body);
    *request.method_mut() = page.method.clone();
    *request.uri_mut() = path_and_query.into();
    *request.headers_mut() = fields;
    Ok(request)
}
