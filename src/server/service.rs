//! One request from its head to its answer: is it for us, where does it come from, which endpoint, and then the
//! endpoint.

use std::sync::Arc;

use futures_util::FutureExt as _;
use http::header::ORIGIN;
use http::{Method, Request, Response};
use hyper::body::Incoming;

use super::Settings;
use super::admit::start_ticket;
use super::body::Body;
use super::call_record::CallRecord;
use super::cors;
use super::endpoint::Endpoint;
use super::identity::{Asking, Identity};
use super::listen::Peer;
use super::openapi;
use super::origin::{self, Crossing};
use super::page;
use super::process::Process;
use super::requests::Place;
use super::respond::HttpError;
use crate::broker::{Broker, Integration, Network};
use crate::route::{Side, Via};
use crate::telemetry::audit::Asked;
use crate::telemetry::trace::Tracer;
use crate::upstream::Upstream;

/// Everything that answers on the listener for callers and browsers, by one configuration. Another configuration is
/// another service; a request is answered by the one that it came to.
pub struct Service {
    pub(super) settings: Settings,
    pub(super) process: Arc<Process>,
    pub(super) broker: Arc<Broker>,
    pub(super) upstream: Upstream,
    /// Scheme, authority and base path as browsers know them.
    pub(super) public_base: String,
    /// How we learn who a browser is; `None` where nobody logs in.
    pub(super) identity: Option<Arc<Identity>>,
    /// Our name on the way of a call, by which we know our own again.
    pub(super) via: Via,
    /// Whose spans are exported; `None` where nothing is traced.
    pub(super) tracer: Option<Tracer>,
}

impl Service {
    /// Puts the parts together.
    pub fn new(
        settings: Settings,
        process: Arc<Process>,
        broker: Arc<Broker>,
        network: Network,
        tracer: Option<Tracer>,
        public_base: String,
    ) -> Self {
        let identity = Identity::new(&settings.app, &network).map(Arc::new);
        let Network { upstream, via, .. } = network;
        Self { settings, process, broker, upstream, public_base, identity, via, tracer }
    }

    /// The same process by other settings. What is known of who is logged in is kept where it is asked for the same way.
    pub fn following(&self, settings: Settings, network: Network, tracer: Option<Tracer>, public_base: String) -> Self {
        let is_asked_alike = settings.app == self.settings.app && network.upstream.is(&self.upstream);
        let (process, broker) = (Arc::clone(&self.process), Arc::clone(&self.broker));
        let next = Self::new(settings, process, broker, network, tracer, public_base);
        if is_asked_alike { Self { identity: self.identity.clone(), ..next } } else { next }
    }

    /// The settings that it answers by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whose spans are exported.
    pub fn tracer(&self) -> Option<&Tracer> {
        self.tracer.as_ref()
    }

    /// What it shares with those before and after it.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Answers one request. Never fails: every failure has an answer.
    pub async fn handle(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let number = self.process.next_request();
        if let Some(destination) = &self.settings.app.upstream {
            match Side::of(request.uri().path(), &self.settings.base_path) {
                Side::Ours => {}
                Side::Neither => {
                    let response = self.refused(&HttpError::NotFound, number, peer);
                    self.process.requests.count(Place::Unknown, &response, true);
                    return response;
                }
                // Boxed, so that the future of a call stays small.
                Side::Application => {
                    let answer = self.application(destination, request, peer).boxed().await;
                    let is_ours = answer.is_err();
                    let response = answer.unwrap_or_else(|error| self.refused(&error, number, peer));
                    self.process.requests.count(Place::Application, &response, is_ours);
                    return response;
                }
            }
        }
        let origin = request.headers().get(ORIGIN).cloned();
        let crossing = origin::crossing(request.headers(), &self.settings);
        let mut place = Some(Place::Unknown);
        let answer = self.dispatch(request, peer, crossing, number, &mut place).await;
        let mut response = answer.unwrap_or_else(|error| self.refused(&error, number, peer));
        if let Some(place) = place {
            self.process.requests.count(place, &response, true);
        }
        if let (Crossing::Allowed, Some(origin)) = (crossing, origin) {
            cors::allow(origin, response.headers_mut());
        }
        response
    }

    async fn dispatch(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        crossing: Crossing,
        number: u64,
        place: &mut Option<Place>,
    ) -> Result<Response<Body>, HttpError> {
        let (mut head, body) = request.into_parts();
        origin::check_host(&head, &self.settings)?;
        let uri = head.uri.clone();
        let path_and_query = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let endpoint = match Endpoint::parse(path_and_query, &self.settings.base_path) {
            Ok(endpoint) => endpoint,
            // Only a call's path is one that cannot be forwarded.
            Err(error) => {
                *place = None;
                let record = CallRecord::begin(&self.process, number, &head.method);
                return Ok(self.refused_call(&error.into(), number, peer, record));
            }
        };
        *place = Place::of(&endpoint);
        if tracing::enabled!(tracing::Level::DEBUG) {
            // Never the path: a call's may hold a secret, and the query codes and tickets.
            let endpoint = place.map_or("call", Place::as_str);
            tracing::debug!(request.id = self.request_id(number), method = %head.method, endpoint, "request");
        }
        if crossing == Crossing::Foreign && !is_exempt(&endpoint, &head) {
            let Endpoint::Call(target) = endpoint else { return Err(HttpError::CrossSite) };
            let mut record = CallRecord::begin(&self.process, number, &head.method);
            record.names(self.broker.integration(target.integration).as_ref());
            return Ok(self.refused_call(&HttpError::CrossSite, number, peer, record));
        }
        if crossing == Crossing::Allowed && cors::is_preflight(&head.method, &head.headers) {
            *place = Some(Place::Preflight);
            return Ok(cors::preflight(&head.headers));
        }
        if let Some(methods) = endpoint.methods()
            && !methods.split(", ").any(|method| method == head.method.as_str())
        {
            return Err(HttpError::MethodNotAllowed(methods));
        }
        if self.identity.is_some()
            && let Some(asking) = Asking::of(&head, &endpoint, self.arrival(peer, &head))
        {
            // The application is to be asked at the host that its own requests come with.
            origin::name_the_host(&mut head);
            head.extensions.insert(Arc::clone(&asking));
            let answer = self.answer(endpoint, Request::from_parts(head, body), peer, number).boxed().await;
            let mut response = answer.unwrap_or_else(|error| self.refused(&error, number, peer));
            asking.relay_cookies(response.headers_mut());
            return Ok(response);
        }
        self.answer(endpoint, Request::from_parts(head, body), peer, number).await
    }

    async fn answer(
        &self,
        endpoint: Endpoint<'_>,
        request: Request<Incoming>,
        peer: Peer,
        number: u64,
    ) -> Result<Response<Body>, HttpError> {
        match endpoint {
            Endpoint::Call(target) => Ok(self.call(target, request, peer, number).await),
            // Boxed, so that the future of a call stays small: these are rare, and calls are not.
            endpoint => {
                let request_id = self.request_id(number);
                let asked = Asked::by(request_id.clone(), peer.address.ip());
                asked.during(self.answer_rare(endpoint, request, &request_id)).boxed().await
            }
        }
    }

    /// Answers what is no call.
    async fn answer_rare(
        &self,
        endpoint: Endpoint<'_>,
        request: Request<Incoming>,
        request_id: &str,
    ) -> Result<Response<Body>, HttpError> {
        match endpoint {
            Endpoint::Integrations => self.integrations(request).await,
            Endpoint::OpenApi => Ok(openapi::integrations(&self.settings.base_path)),
            Endpoint::Asset(asset) => Ok(asset.answer(request.headers())),
            Endpoint::Sessions => self.sessions(request).await,
            Endpoint::Authorize(name) => self.authorize(name, request, request_id).await,
            Endpoint::Callback(name) => self.callback(&self.integration(name)?, request, request_id).await,
            Endpoint::Confirm(name) => self.confirm(name, request).await,
            Endpoint::Credentials(name) => self.credentials(name, request).await,
            Endpoint::Connection(name) => self.connection(name, request).await,
            Endpoint::Load(name) => self.load(name, request).await,
            Endpoint::Items(name) => self.items(name, request).await,
            Endpoint::Call(_) | Endpoint::Unknown => Err(HttpError::NotFound),
        }
    }

    pub(super) fn integration(&self, name: &str) -> Result<Arc<Integration>, HttpError> {
        self.broker.integration(name).ok_or(HttpError::UnknownIntegration)
    }

    pub(super) fn refused(&self, error: &HttpError, number: u64, peer: Peer) -> Response<Body> {
        self.refuse(error, &self.request_id(number), peer)
    }

    /// Answers a request of this id with a failure, and tells the log and the audit stream.
    pub(super) fn refuse(&self, error: &HttpError, request_id: &str, peer: Peer) -> Response<Body> {
        error.log(request_id);
        self.note_denial(error, request_id, peer.address.ip());
        error.respond(request_id)
    }

    /// The id of a request that comes in now.
    pub(super) fn next_request_id(&self) -> String {
        self.request_id(self.process.next_request())
    }

    fn request_id(&self, number: u64) -> String {
        self.process.request_id(number)
    }
}

/// A browser follows a redirect or a link to these from anywhere. They are safe so: state, cookie and one-time ticket
/// decide; and what is static holds nobody's data.
fn is_exempt(endpoint: &Endpoint<'_>, head: &http::request::Parts) -> bool {
    let method = &head.method;
    match endpoint {
        Endpoint::Callback(_) => method == Method::GET || method == Method::POST,
        Endpoint::Authorize(_) => method == Method::GET && start_ticket(head.uri.query()).is_some(),
        Endpoint::Integrations => is_read(method) && page::wants_html(&head.headers),
        Endpoint::Asset(asset) => is_read(method) && asset.is_public(),
        _ => false,
    }
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}
