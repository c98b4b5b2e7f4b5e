//! Everybody's connections, for the operator: list, one by its id, disconnect, and all that is kept of a person. None
//! of it ever shows a token of a provider.

use http::{Method, Response, StatusCode, request};
use serde_json::{Value, json};

use super::super::body::Body;
use super::super::connections::connection_json;
use super::super::form::Form;
use super::super::respond::{HttpError, json_response};
use super::super::service::Service;
use crate::broker::{BrokerError, View, Wanted};
use crate::model::{ConnectionId, ConnectionStatus, IntegrationName, NameError, Org, Person, User};

/// Connections of a page when nobody says how many, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

impl Service {
    /// A page of the connections that the query wants.
    pub(super) async fn connection_list(&self, head: &request::Parts) -> Result<Response<Body>, HttpError> {
        let query = Query::read(head, &["org", "user", "integration", "status", "cursor", "limit"])?;
        let wanted = Wanted {
            integration: query.name("integration", IntegrationName::parse)?,
            org: query.name("org", Org::parse)?,
            user: query.name("user", User::parse)?,
            status: query.get("status").map(status).transpose()?,
        };
        let limit = query.get("limit").map_or(Ok(PAGE), limit)?;
        let listed = self.broker.list(&wanted, query.get("cursor"), limit).await?;
        let connections: Value = listed.views.iter().map(operator_json).collect();
        let answer = json!({ "connections": connections, "unopenable": listed.unopenable, "next": listed.next });
        Ok(json_response(StatusCode::OK, &answer))
    }

    /// `GET` shows the connection of that id, `DELETE` ends it.
    pub(super) async fn connection_by_id(&self, id: &str, head: &request::Parts) -> Result<Response<Body>, HttpError> {
        Query::read(head, &[])?;
        let unknown = |unopenable| HttpError::UnknownConnection { unopenable };
        let id = ConnectionId::parse(id).map_err(|_| unknown(0))?;
        let found = self.broker.find(&id).await?;
        let view = found.view.ok_or_else(|| unknown(found.unopenable))?;
        if head.method != Method::DELETE {
            return Ok(json_response(StatusCode::OK, &operator_json(&view)));
        }
        let view = match self.broker.disconnect_found(&view.connection).await {
            // It was taken away since.
            Err(BrokerError::NotConnected) => return Err(unknown(0)),
            outcome => outcome?,
        };
        Ok(json_response(StatusCode::OK, &operator_json(&view)))
    }

    /// Takes away everything that is kept of a person, and counts it.
    pub(super) async fn delete_person(&self, head: &request::Parts) -> Result<Response<Body>, HttpError> {
        let query = Query::read(head, &["org", "user"])?;
        let (Some(org), Some(user)) = (query.name("org", Org::parse)?, query.name("user", User::parse)?) else {
            return Err(HttpError::bad_request("Name the person: send `org` and `user` in the query."));
        };
        let person = Person { org, user };
        let deleted = self.broker.delete_person(&person).await?;
        let (org, user) = (person.org.as_str(), person.user.as_str());
        let answer = json!({
            "org_id": org,
            "user_id": user,
            "connections": deleted.connections,
            "sessions": deleted.sessions,
            "authorizations": deleted.authorizations,
            "unconfirmed": deleted.unconfirmed,
            "unopenable": deleted.unopenable,
        });
        Ok(json_response(StatusCode::OK, &answer))
    }
}

/// The parameters of a request, all of them known.
pub(super) struct Query(Form);

impl Query {
    /// Refuses what nobody would look at: a parameter that is mistyped must not widen what is meant.
    pub(super) fn read(head: &request::Parts, known: &[&str]) -> Result<Self, HttpError> {
        let form = Form::from_query(head.uri.query().unwrap_or_default().as_bytes())?;
        if let Some(unknown) = form.names().find(|name| !known.contains(name)) {
            let shown: String = unknown.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(HttpError::bad_request(match known {
                [] => format!("There are no parameters here, and `{shown}` was sent."),
                _ => format!("There is no parameter `{shown}` here; those that there are: {}.", known.join(", ")),
            }));
        }
        Ok(Self(form))
    }

    /// The parameter as it was sent, empty or not.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.sent(name)
    }

    fn name<T>(&self, name: &str, parse: fn(&str) -> Result<T, NameError>) -> Result<Option<T>, HttpError> {
        let parse = |text| parse(text).map_err(|error| HttpError::bad_request(format!("`{name}` {error}.")));
        self.get(name).map(parse).transpose()
    }
}

fn status(word: &str) -> Result<ConnectionStatus, HttpError> {
    let mistake = || HttpError::bad_request("`status` has to be active, reconnect_required or disconnected.");
    ConnectionStatus::parse(word).ok_or_else(mistake)
}

fn limit(text: &str) -> Result<usize, HttpError> {
    let mistake = || HttpError::bad_request(format!("`limit` has to be a whole number from 1 to {LARGEST_PAGE}."));
    text.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit)).ok_or_else(mistake)
}

/// The connection as its person sees it, with what is the operator's to know.
fn operator_json(view: &View) -> Value {
    let mut document = connection_json(view);
    let is_nobodys = view.connection.key.person.is_nobody();
    if is_nobodys {
        // An integration's own grant has no person.
        document["org_id"] = Value::Null;
        document["user_id"] = Value::Null;
    }
    document["connected_by"] = Value::from(if is_nobodys { "operator" } else { "person" });
    document["created_at"] = Value::from(view.connection.created_at.to_string());
    document
}
