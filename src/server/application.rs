//! In front of an application: what is not ours goes to it as it came, and its answers go back as they are. Streams
//! both ways, changes of protocol included; decides nothing about who is asking, which is the application's business.

use http::header::HOST;
use http::request::Parts;
use http::{Method, Request, Response, Version};
use hyper::body::Incoming;

use super::body::Body;
use super::call_record::CallRecord;
use super::forward::{Upgrade, outgoing, passed_on};
use super::listen::Peer;
use super::origin;
use super::respond::{FORWARDED, HttpError};
use super::service::Service;
use crate::route::Destination;
use crate::route::headers::{self, Arrival};
use crate::upstream::RequestBody;

impl Service {
    /// Forwards one request to the application. Dropped, it cancels the exchange, and so does the answer's body.
    pub(super) async fn application(
        &self,
        destination: &Destination,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Result<Response<Body>, HttpError> {
        let (mut head, body) = request.into_parts();
        // Before HTTP/1.1 there was no Host, and load balancers still ask so whether an application lives.
        if head.version >= Version::HTTP_11 || head.headers.contains_key(HOST) || head.uri.authority().is_some() {
            origin::check_host(&head, &self.settings)?;
        }
        // One is no request to an application, and the other would show a page what its browser sends (RFC 9110
        // section 9.3.8).
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(HttpError::MethodNotAllowed(FORWARDED));
        }
        origin::name_the_host(&mut head);
        let upgrade = Upgrade::asked_for(&mut head);
        let arrival = self.arrival(peer, &head);
        headers::to_application(&mut head.headers, arrival, &self.via, upgrade.is_some())
            .map_err(|_| HttpError::LoopDetected)?;
        let uri = head.uri.path_and_query().cloned().map(Into::into).unwrap_or_default();
        let (body, _) = RequestBody::streamed(body, false);
        let request = outgoing(head.method, uri, head.headers, body);
        let answer = match &upgrade {
            None => self.upstream.send(destination, request).await,
            Some(_) => Box::pin(self.upstream.send_upgrade(destination, request)).await,
        };
        let answer = answer.map_err(HttpError::Application)?;
        Ok(passed_on(&self.upstream, answer, upgrade, CallRecord::default(), headers::from_application))
    }

    /// How a request came to us, and whether what it says of its own way is believed.
    pub(super) fn arrival(&self, peer: Peer, head: &Parts) -> Arrival {
        let address = peer.address.ip().to_canonical();
        let is_trusted = self.settings.trusted_proxies.iter().any(|network| network.contains(&address));
        Arrival { peer: address, is_trusted, is_tls: peer.is_tls, version: head.version }
    }
}
