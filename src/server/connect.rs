//! The endpoints around connecting: authorize, start links, callback, confirm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::header::{CACHE_CONTROL, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;

use super::admit::{person_key, start_ticket};
use super::body::Body;
use super::caller::Caller;
use super::connections::connection_json;
use super::form::Form;
use super::origin;
use super::page::{self, Message};
use super::respond::{HttpError, json_response};
use super::service::Service;
use crate::broker::{Begin, BrokerError, Confirmation, Integration, Outcome, Visitor};

impl Service {
    /// `POST` answers the URL to open as a JSON string; `GET` sends the browser there.
    pub(super) async fn authorize(
        &self,
        name: &str,
        request: Request<Incoming>,
        request_id: &str,
    ) -> Result<Response<Body>, HttpError> {
        let (head, body) = request.into_parts();
        if head.method == Method::GET
            && let Some(ticket) = start_ticket(head.uri.query())
        {
            let integration = self.integration(name)?;
            // A person opens it, and reads why it does not work.
            return match self.open_start_link(&integration, &ticket, &head).await {
                Ok(response) => Ok(response),
                Err(error) => Ok(self.not_connected(&error, &head.headers, &integration, request_id)),
            };
        }
        // Who asks comes before what is asked, so that a stranger's body is not even waited for.
        let (caller, integration) = self.admit(name, &head).await?;
        // A login travels with whatever a page makes its browser open, and this chooses scopes and a place to return to.
        let is_by_login = matches!(caller, Caller::Login(_));
        if head.method == Method::GET && is_by_login && !origin::is_navigation_of_ours(&head.headers, &self.settings) {
            return Err(HttpError::CrossSite);
        }
        let form = if head.method == Method::POST {
            self.form(&head, body).await?
        } else {
            Form::from_query(head.uri.query().unwrap_or_default().as_bytes())?
        };
        let key = person_key(&caller, &integration, &head.headers, &form)?;
        let return_to = match form.get("return_to") {
            None => None,
            Some(text) => Some(origin::return_to(text, &self.settings).ok_or_else(|| {
                HttpError::bad_request("return_to has to be a path, or a URL of an origin in server.allowed_origins.")
            })?),
        };
        let scopes = form
            .get("scope")
            .map(|scope| scope.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect());
        let variables = form.under("variables");
        if head.method == Method::GET {
            refuse_secrets(&integration, &variables)?;
        }
        let authorization_params = form.under("authorization_params");
        let begin = Begin { key, return_to, scopes, variables, authorization_params };
        let begun = self.broker.begin(begin).await?;
        if head.method == Method::POST {
            return Ok(json_response(StatusCode::OK, &Value::from(begun.url)));
        }
        see_other(&begun.url)
    }

    async fn open_start_link(
        &self,
        integration: &Arc<Integration>,
        ticket: &str,
        head: &http::request::Parts,
    ) -> Result<Response<Body>, HttpError> {
        let visitor = self.visitor(head).await?;
        if visitor == Visitor::Nobody && may_lack_cookies(head) {
            return Ok(page::again(head.uri.query().unwrap_or_default(), AGAIN));
        }
        let started = self.broker.start(integration, ticket, &visitor).await?;
        let mut response = see_other(&started.url)?;
        let cookie = self.cookie(&started.cookie_name, started.cookie_value.expose(), "Max-Age=600");
        response.headers_mut().insert(SET_COOKIE, cookie?);
        Ok(response)
    }

    /// The provider's redirect. A POST (`response_mode=form_post`) is turned into the GET that a browser sends its Lax
    /// cookies with.
    pub(super) async fn callback(
        &self,
        integration: &Arc<Integration>,
        request: Request<Incoming>,
        request_id: &str,
    ) -> Result<Response<Body>, HttpError> {
        let (head, body) = request.into_parts();
        if head.method == Method::POST {
            return self.callback_by_post(integration, &head, body).await;
        }
        let query = head.uri.query().unwrap_or_default();
        // Asked before anything is spent: an application in trouble costs nobody their authorization.
        let visitor = match self.visitor(&head).await {
            Ok(visitor) => visitor,
            Err(error) => return Ok(self.not_connected(&error, &head.headers, integration, request_id)),
        };
        if visitor == Visitor::Nobody && may_lack_cookies(&head) {
            return Ok(page::again(query, AGAIN));
        }
        let completed = match self.broker.complete(integration, query, cookies(&head.headers), visitor).await {
            Ok(completed) => completed,
            Err(error) => {
                return Ok(self.not_connected(&HttpError::broker(error), &head.headers, integration, request_id));
            }
        };
        let message = match &completed.outcome {
            Ok(Outcome::Active(connection)) => {
                Message { status: "active", connection: Some(connection.id.as_str().to_owned()), code: None }
            }
            Ok(Outcome::Unconfirmed(code)) => {
                Message { status: "unconfirmed", connection: None, code: Some(code.expose().to_owned()) }
            }
            Err(error) => {
                Message { status: HttpError::broker(error.clone()).problem().code, connection: None, code: None }
            }
        };
        let mut response = match (&completed.return_to, completed.outcome) {
            (Some(place), outcome) => {
                if let Err(error) = outcome {
                    HttpError::broker(error).log(request_id);
                }
                see_other(&with_outcome(place, integration, &message))?
            }
            (None, Ok(_)) => page::finished(integration, &message, &self.settings),
            (None, Err(error)) => {
                let error = HttpError::broker(error);
                error.log(request_id);
                self.failure_page(&error, &head.headers, integration, &message, request_id)
            }
        };
        if let Some(name) = completed.spent_cookie {
            response.headers_mut().insert(SET_COOKIE, self.cookie(&name, "", "Max-Age=0")?);
        }
        Ok(response)
    }

    async fn callback_by_post(
        &self,
        integration: &Integration,
        head: &http::request::Parts,
        body: Incoming,
    ) -> Result<Response<Body>, HttpError> {
        let protocol = &integration.provider.protocol;
        let names = &protocol.callback;
        if !names.by_post {
            return Err(HttpError::MethodNotAllowed("GET"));
        }
        let form = self.form(head, body).await?;
        let own = [names.state.as_str(), names.code.as_str(), "error", "iss"];
        let captured = protocol.callback_capture.values().map(|capture| capture.param.as_str());
        let mut query = form_urlencoded::Serializer::new(String::new());
        // Each once: two captures may take the same parameter, and one that comes twice is refused.
        let mut taken = BTreeSet::new();
        for name in own.into_iter().chain(captured).filter(|name| taken.insert(*name)) {
            if let Some(value) = form.get(name) {
                query.append_pair(name, value);
            }
        }
        let base = &self.public_base;
        see_other(&format!("{base}/integrations/{}/oauth2callback?{}", integration.name, query.finish()))
    }

    fn not_connected(
        &self,
        error: &HttpError,
        headers: &HeaderMap,
        integration: &Integration,
        request_id: &str,
    ) -> Response<Body> {
        error.log(request_id);
        let message = Message { status: error.problem().code, connection: None, code: None };
        self.failure_page(error, headers, integration, &message, request_id)
    }

    /// A page for whoever asks for HTML, as browsers do; problem+json for everybody else.
    fn failure_page(
        &self,
        error: &HttpError,
        headers: &HeaderMap,
        integration: &Integration,
        message: &Message,
        request_id: &str,
    ) -> Response<Body> {
        if !page::wants_html(headers) {
            let mut response = error.respond(request_id);
            page::protect(response.headers_mut());
            return response;
        }
        let problem = error.problem();
        let mut response = page::failed(integration, message, &problem.detail, &self.settings);
        *response.status_mut() = problem.status;
        error.mark(&mut response, &problem);
        response
    }

    /// Takes the word of whoever began.
    pub(super) async fn confirm(&self, name: &str, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        let (head, body) = request.into_parts();
        let (caller, integration) = self.admit(name, &head).await?;
        let form = self.form(&head, body).await?;
        let code = form.get("code").ok_or_else(|| HttpError::bad_request("Send the code that the callback gave."))?;
        let key = person_key(&caller, &integration, &head.headers, &form)?;
        self.broker.confirm(Confirmation { key: &key, code }).await?;
        let view = self.broker.connection(&key).await?.ok_or(BrokerError::NotConnected)?;
        Ok(json_response(StatusCode::OK, &connection_json(&view)))
    }

    fn cookie(&self, name: &str, value: &str, age: &str) -> Result<HeaderValue, HttpError> {
        let secure = if self.settings.public_url.scheme() == "https" { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; {age}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text)
            .map_err(|_| HttpError::broker(BrokerError::Internal("a cookie cannot be written".into())))
    }
}

/// A URL stands in logs and histories, so that no secret comes in one.
fn refuse_secrets(integration: &Integration, variables: &BTreeMap<String, String>) -> Result<(), HttpError> {
    let rules = &integration.provider.protocol.variables;
    match variables.keys().find(|name| rules.get(*name).is_some_and(|rule| rule.secret)) {
        Some(name) => Err(HttpError::bad_request(format!(
            "`variables.{name}` is a secret and does not belong into a URL: send it in the body of a POST."
        ))),
        None => Ok(()),
    }
}

/// Marks a navigation that a page of ours has repeated.
const AGAIN: &str = "keyferry-again";

/// Whether the browser may have kept its `SameSite=Strict` cookies to itself because a foreign page, such as the
/// provider, sent it here. Asked again from a page of ours it sends them; the mark keeps that to one time.
fn may_lack_cookies(head: &http::request::Parts) -> bool {
    let site = head.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let mut pairs = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    page::wants_html(&head.headers)
        && matches!(site, None | Some(b"cross-site"))
        && !pairs.any(|(name, _)| name == AGAIN)
}

/// 303, so that the browser asks with GET whatever it came with. What stands in the URL stays out of the next Referer.
fn see_other(place: &str) -> Result<Response<Body>, HttpError> {
    let place = HeaderValue::try_from(place)
        .map_err(|_| HttpError::broker(BrokerError::Internal("a redirect cannot be written".into())))?;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(LOCATION, place);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// The place with `status`, `integration` and, where one is needed, `code` added to its query.
fn with_outcome(place: &str, integration: &Integration, message: &Message) -> String {
    let Ok(mut url) = url::Url::parse(place) else { return place.to_owned() };
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("status", message.status).append_pair("integration", integration.name.as_str());
        if let Some(code) = &message.code {
            query.append_pair("code", code);
        }
    }
    url.into()
}

/// The browser's cookies, in the order sent.
fn cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
