//! The endpoints about connections that stand: list, credentials, connection, disconnect. None of them ever shows
//! a token of a provider.

use http::header::VARY;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::admit::person_key;
use super::body::Body;
use super::caller::{Caller, Named, PersonName};
use super::form::Form;
use super::page;
use super::respond::{HttpError, json_response};
use super::service::Service;
use crate::broker::{BrokerError, Integration, View};
use crate::model::{ConnectionKey, ConnectionStatus, Timestamp};

impl Service {
    /// The integrations: the connect page for browsers, and for everybody else a list in JSON with the caller's status at
    /// each.
    pub(super) async fn integrations(&self, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        let (head, _) = request.into_parts();
        if page::wants_html(&head.headers) {
            return Ok(page::shell(&head.headers, &self.public_base, &self.settings));
        }
        let caller = self.identify(&head.headers, &head.uri, &head.extensions, None).await?;
        // A back end that names nobody gets the list without anybody's status.
        let named = Named::from_headers(&head.headers)?;
        let person = match (caller.person(named), &caller) {
            (Ok(person), _) => Some(person),
            (Err(_), Caller::Key(_)) if named == Named::default() => None,
            (Err(error), _) => return Err(error),
        };
        // Who waits for one connection asks about that one again and again.
        let query = Form::from_query(head.uri.query().unwrap_or_default().as_bytes())?;
        let only = query.get("integration");
        let mut list = Vec::new();
        for integration in self.broker.integrations() {
            if integration.client_id.is_none() {
                continue;
            }
            let name = integration.name.as_str();
            if only.is_some_and(|only| only != name) {
                continue;
            }
            if caller.scope().is_some_and(|scope| !scope.integrations.permits(name)) {
                continue;
            }
            let view = match person {
                // Without its credentials there is none, and the list says so.
                Some(_) if integration.holder.is_some() && integration.missing.is_some() => None,
                Some(person) if caller.require(name, person).is_ok() => {
                    let key = ConnectionKey { integration: integration.name.clone(), person: person.parse()? };
                    self.broker.connection(&key).await?
                }
                _ => None,
            };
            list.push((integration, view));
        }
        list.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let list = list.iter().map(|(integration, view)| integration_json(integration, view.as_ref(), person));
        let mut response = json_response(StatusCode::OK, &list.collect());
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        Ok(response)
    }

    /// A handle to the connection that grants nothing by itself.
    pub(super) async fn credentials(
        &self,
        name: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, HttpError> {
        let (head, body) = request.into_parts();
        let (caller, integration) = self.admit(name, &head).await?;
        let form = self.form(&head, body).await?;
        let key = person_key(&caller, &integration, &head.headers, &form)?;
        let view = self.broker.connection(&key).await.map_err(|error| self.failed(error, &integration))?;
        match view.filter(|view| view.connection.status != ConnectionStatus::Disconnected) {
            Some(view) => Ok(json_response(StatusCode::OK, &connection_json(&view))),
            None => Err(self.failed(BrokerError::NotConnected, &integration)),
        }
    }

    /// `GET` shows the connection, `DELETE` ends it.
    pub(super) async fn connection(&self, name: &str, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        let (head, body) = request.into_parts();
        let (caller, integration) = self.admit(name, &head).await?;
        let query = Form::from_query(head.uri.query().unwrap_or_default().as_bytes())?;
        let form = match query.get("org_id").or(query.get("user_id")) {
            Some(_) => query,
            None => self.form(&head, body).await?,
        };
        let key = person_key(&caller, &integration, &head.headers, &form)?;
        let view = if head.method == Method::DELETE {
            self.broker.disconnect(&key).await
        } else {
            self.broker.connection(&key).await.and_then(|view| view.ok_or(BrokerError::NotConnected))
        };
        let view = view.map_err(|error| self.failed(error, &integration))?;
        Ok(json_response(StatusCode::OK, &connection_json(&view)))
    }

    /// A broker's error with the page where the person may connect.
    pub(super) fn failed(&self, error: BrokerError, integration: &Integration) -> HttpError {
        HttpError::Broker(error, Some(format!("{}/integrations#{}", self.public_base, integration.name)))
    }
}

/// The connection as its owner may see it: never a token.
pub(super) fn connection_json(view: &View) -> Value {
    let connection = &view.connection;
    json!({
        "connection": connection.id.as_str(),
        "integration": connection.key.integration.as_str(),
        "provider": connection.provider.as_str(),
        "org_id": connection.key.person.org.as_str(),
        "user_id": connection.key.person.user.as_str(),
        "status": connection.status.as_str(),
        "scopes": view.scopes,
        "expires_at": view.expires_at.map(|at: Timestamp| at.to_string()),
        "captured": view.captured,
        "authorization": view.authorization,
        "updated_at": connection.updated_at.to_string(),
    })
}

fn integration_json(integration: &Integration, view: Option<&View>, person: Option<PersonName<'_>>) -> Value {
    let provider = &integration.provider;
    json!({
        "integration": integration.name.as_str(),
        "provider": provider.id.as_str(),
        "display_name": provider.display_name,
        "category": provider.category,
        "documentation": provider.documentation,
        "configured": integration.missing.is_none(),
        "connected_by": if integration.holder.is_some() { "operator" } else { "person" },
        "items": !provider.items.is_empty(),
        "variables": variables_json(integration),
        "org_id": person.map(|person| person.org),
        "user_id": person.map(|person| person.user),
        "status": view.map(|view| view.connection.status.as_str()),
        "connection": view.map(|view| view.connection.id.as_str()),
        "authorization": view.and_then(|view| view.authorization.as_deref()),
        "updated_at": view.map(|view| view.connection.updated_at.to_string()),
    })
}

/// What whoever connects is asked for: the variables that a person may set and the operator has not.
fn variables_json(integration: &Integration) -> Value {
    let rules = integration.provider.protocol.variables.iter();
    let asked = rules.filter(|(name, rule)| !rule.operator_only && !integration.variables.contains_key(*name));
    asked
        .map(|(name, rule)| {
            json!({
                "name": name,
                "title": rule.title,
                "help": rule.help,
                "default": rule.default,
                "pattern": rule.pattern.as_ref().map(regex_lite::Regex::as_str),
                "enum": rule.allowed,
                "secret": rule.secret,
            })
        })
        .collect()
}
