//! The endpoint about sessions: a back end makes one for a person's browser or process, and ends all that a person has.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::admit::named;
use super::body::Body;
use super::caller::{Caller, PersonName};
use super::respond::{HttpError, json_response};
use super::service::Service;
use crate::model::{Allowed, IntegrationName};

/// Sessions last an hour unless asked otherwise, and thirty days at most.
const SESSION: Duration = Duration::from_secs(3600);
const LONGEST_SESSION: Duration = Duration::from_secs(30 * 86_400);

impl Service {
    /// `POST` makes a session for one person, `DELETE` ends all of that person's.
    pub(super) async fn sessions(&self, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        let (head, body) = request.into_parts();
        let caller = self.identify(&head.headers, &head.uri, &head.extensions, None).await?;
        let form = self.form(&head, body).await?;
        let person = caller.person(named(&head.headers, &form)?)?;
        let in_scope =
            caller.scope().is_none_or(|scope| scope.orgs.permits(person.org) && scope.users.permits(person.user));
        if !in_scope {
            return Err(caller.denied(None, Some(person)));
        }
        let person = person.parse()?;
        if head.method == Method::DELETE {
            let ended = self.broker.end_sessions(&person).await?;
            return Ok(json_response(StatusCode::OK, &json!({ "ended": ended })));
        }
        if matches!(caller, Caller::Session { .. } | Caller::Login(_)) {
            // A session or login that made sessions would outlive its own end.
            return Err(caller.denied(None, Some(PersonName::of(&person))));
        }
        let integrations = self.session_integrations(&caller, form.sent("integrations"))?;
        let maker = match &caller {
            Caller::Key(key) => Some(key.name.as_str()),
            Caller::Anyone | Caller::Session { .. } | Caller::Login(_) => None,
        };
        let methods = caller.scope().map_or(Allowed::Any, |scope| scope.methods.clone());
        let (token, expires_at) =
            self.broker.open_session(&person, &integrations, &methods, maker, lifetime(form.get("ttl"))?).await?;
        let answer = json!({ "token": token.expose(), "expires_at": expires_at.to_string() });
        Ok(json_response(StatusCode::OK, &answer))
    }

    /// What was asked for, within what the maker itself may use.
    fn session_integrations(
        &self,
        caller: &Caller<'_>,
        asked: Option<&str>,
    ) -> Result<Allowed<IntegrationName>, HttpError> {
        let Some(asked) = asked else { return Ok(caller.integrations()) };
        let mut names = Vec::new();
        for name in asked.split([' ', ',']).filter(|name| !name.is_empty()) {
            names.push(self.permitted(caller, name)?.name.clone());
        }
        if names.is_empty() {
            return Err(HttpError::bad_request("integrations has to name at least one; leave it out for all."));
        }
        Ok(Allowed::Only(names))
    }
}

fn lifetime(ttl: Option<&str>) -> Result<Duration, HttpError> {
    let Some(ttl) = ttl else { return Ok(SESSION) };
    let seconds: u64 = ttl.parse().map_err(|_| HttpError::bad_request("ttl has to be a whole number of seconds."))?;
    let lifetime = Duration::from_secs(seconds);
    if lifetime.is_zero() || lifetime > LONGEST_SESSION {
        return Err(HttpError::bad_request("ttl has to be between one second and thirty days."));
    }
    Ok(lifetime)
}
