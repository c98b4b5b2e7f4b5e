//! The endpoints that load items: `load`, the array that a front end asks for, and `items`, which streams as pages
//! arrive. What was read is given out whatever comes after; only where nothing was read at all is a failure the answer.

mod body;
mod json;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;

pub use self::body::ItemStream;
use super::admit::{named, person_key};
use super::body::Body;
use super::caller::Caller;
use super::form::Form;
use super::respond::{HttpError, json_response};
use super::service::Service;
use crate::broker::{BrokerError, Integration, Load, Loading};
use crate::model::{ConnectionKey, Item};

/// The header, or for long arrays the trailer, with the number of problems.
pub(super) const KEYFERRY_PROBLEMS: HeaderName = HeaderName::from_static("keyferry-problems");

/// Up to so many bytes an array is collected before its head is sent, so that the head can count the problems.
const COLLECTED_BYTES: usize = 4 * 1024 * 1024;

/// How many items a JSON answer holds when nobody says, and at most.
const JSON_ITEMS: u64 = 1_000;
const MOST_JSON_ITEMS: u64 = 10_000;

impl Service {
    /// A JSON array of all items of the connection that the handle names.
    pub(super) async fn load(&self, name: &str, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        let (head, body) = request.into_parts();
        let (caller, integration) = self.admit(name, &head).await?;
        let form = self.form(&head, body).await?;
        let (key, id) = handle(&caller, &integration, &head.headers, &form)?;
        let current = self.broker.connection(&key).await.map_err(|error| self.failed(error, &integration))?;
        // Another account may stand there by now; its items are not what was asked for.
        if id.is_some_and(|id| current.is_none_or(|view| view.connection.id.as_str() != id)) {
            return Err(self.failed(BrokerError::NotConnected, &integration));
        }
        let (mut loading, first) = self.begin_load(&integration, &key, Load::default()).await?;

        let mut array = vec![b'['];
        let mut next = first;
        while let Some(item) = next {
            json::append_element(&mut array, &item);
            if array.len() >= COLLECTED_BYTES {
                return Ok(long_array(ItemStream::array(loading, array)));
            }
            next = loading.next().await;
        }
        array.push(b']');
        let problems = json::problems(&loading).len();
        let mut response = json_answer(Body::from(array));
        response.headers_mut().insert(KEYFERRY_PROBLEMS, HeaderValue::from(problems));
        Ok(response)
    }

    /// Items as they come, one JSON object a line, the last line with problems and the cursor to go on from; or a part
    /// of the list as one JSON document.
    pub(super) async fn items(&self, name: &str, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        let (head, _) = request.into_parts();
        let (caller, integration) = self.admit(name, &head).await?;
        let form = Form::from_query(head.uri.query().unwrap_or_default().as_bytes())?;
        let key = person_key(&caller, &integration, &head.headers, &form)?;
        let types = form.get("type").unwrap_or_default();
        let types = types.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let limit = form.get("limit").map(limit).transpose()?;
        let load = Load { types, cursor: form.get("cursor").map(str::to_owned) };

        if wants_one_document(&head.headers) {
            return self.page_of_items(&integration, &key, load, limit).await;
        }
        let (loading, first) = self.begin_load(&integration, &key, load).await?;
        let stream = ItemStream::lines(loading, first, limit);
        let mut response = Response::new(Body::Items(Box::new(stream)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        protect(headers);
        Ok(response)
    }

    async fn page_of_items(
        &self,
        integration: &Integration,
        key: &ConnectionKey,
        load: Load,
        limit: Option<u64>,
    ) -> Result<Response<Body>, HttpError> {
        let limit = limit.unwrap_or(JSON_ITEMS);
        if limit > MOST_JSON_ITEMS {
            return Err(HttpError::bad_request(
                "limit is at most 10000 for a JSON document; ask for application/x-ndjson.",
            ));
        }
        let (mut loading, first) = self.begin_load(integration, key, load).await?;
        let mut array = vec![b'['];
        let mut next = first;
        let mut count = 0;
        while let Some(item) = next {
            json::append_element(&mut array, &item);
            count += 1;
            if count >= limit {
                break;
            }
            next = loading.next().await;
        }
        array.push(b']');
        let mut document = br#"{"items":"#.to_vec();
        document.append(&mut array);
        document.push(b',');
        document.extend_from_slice(json::ending(&loading).as_bytes().get(1..).unwrap_or_default());
        Ok(json_answer(Body::from(document)))
    }

    /// The load and its first item. Where nothing can be read, that is what is answered.
    async fn begin_load(
        &self,
        integration: &Integration,
        key: &ConnectionKey,
        load: Load,
    ) -> Result<(Loading, Option<Item>), HttpError> {
        let mut loading = self.broker.load_items(key, load).await.map_err(|error| self.failed(error, integration))?;
        let first = loading.next().await;
        if first.is_none() {
            if let Some(error) = loading.failure() {
                return Err(self.failed(error.clone(), integration));
            }
            if let Some(problem) = loading.problems().iter().find(|problem| problem.is_failure()) {
                return Err(HttpError::Items(problem.clone()));
            }
        }
        Ok((loading, first))
    }
}

/// The connection that the form's `credentials` name: what the endpoint of that name answered, as JSON. It grants
/// nothing: the caller has to be allowed to act for that person anyway.
fn handle(
    caller: &Caller<'_>,
    integration: &Integration,
    headers: &HeaderMap,
    form: &Form,
) -> Result<(ConnectionKey, Option<String>), HttpError> {
    let mistake =
        || HttpError::bad_request("Send `credentials`: the JSON object that the credentials endpoint answered.");
    // In a JSON body the object may stand as it is; the form has it as text all the same.
    let text = form.get("credentials").ok_or_else(mistake)?;
    let handle: Value = serde_json::from_str(text).map_err(|_| mistake())?;
    if !handle.is_object() {
        return Err(mistake());
    }
    let text = |name: &str| match handle.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        // A number that was overlooked would make the person somebody else.
        Some(_) => Err(mistake()),
    };
    if text("integration")?.is_some_and(|named| named != integration.name.as_str()) {
        return Err(HttpError::bad_request("The credentials are of another integration."));
    }
    let from_handle = Form::from_pairs([("org_id", text("org_id")?), ("user_id", text("user_id")?)]);
    let outside = named(headers, form)?;
    let inside = named(headers, &from_handle)?;
    let agree = |one: Option<&str>, other: Option<&str>| one.is_none() || other.is_none() || one == other;
    if !agree(outside.org, inside.org) || !agree(outside.user, inside.user) {
        return Err(HttpError::bad_request("The form and its credentials name different persons."));
    }
    let form = if inside.org.or(inside.user).is_some() { &from_handle } else { form };
    let key = person_key(caller, integration, headers, form)?;
    Ok((key, text("connection")?.map(str::to_owned)))
}

/// Whether the client asks for a JSON document and not for lines. Lines are the default.
fn wants_one_document(headers: &HeaderMap) -> bool {
    let names = |media_type: &str| {
        headers.get_all(ACCEPT).iter().any(|field| field.to_str().is_ok_and(|field| field.contains(media_type)))
    };
    names("application/json") && !names("application/x-ndjson")
}

fn limit(text: &str) -> Result<u64, HttpError> {
    let mistake = || HttpError::bad_request("limit has to be a whole number, and at least 1.");
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(mistake)
}

fn json_answer(body: Body) -> Response<Body> {
    let mut response = json_response(StatusCode::OK, &Value::Null);
    *response.body_mut() = body;
    response
}

/// An array that is too long to be collected: its trailer counts the problems.
fn long_array(stream: ItemStream) -> Response<Body> {
    let mut response = json_answer(Body::Items(Box::new(stream)));
    response.headers_mut().insert(TRAILER, HeaderValue::from_static("keyferry-problems"));
    response
}

fn protect(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
}
