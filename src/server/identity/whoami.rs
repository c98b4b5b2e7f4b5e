//! Asking the application who its browser is, with the browser's own cookies and `Authorization`, with where it came
//! from, and with nothing else of it. An answer holds for a moment, for requests that would be asked about with exactly
//! the same, and only when it names somebody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, AUTHORIZATION, COOKIE, SET_COOKIE, VIA};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use quick_cache::sync::Cache;
use ring::hmac;
use serde_json::Value;

use super::{Asking, person_in};
use crate::model::Person;
use crate::route::headers::about_the_person;
use crate::route::{Destination, Via};
use crate::server::respond::HttpError;
use crate::server::settings;
use crate::upstream::{RequestBody, Upstream};

/// Most bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;

/// How long the application may take for its whole answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Browsers whose answers are kept at a time.
const MOST_KEPT: usize = 10_000;

/// The application, as far as it knows its users.
pub(in crate::server) struct Whoami {
    settings: settings::Whoami,
    destination: Destination,
    upstream: Upstream,
    via: Via,
    kept: Cache<[u8; 32], Kept>,
    /// Drawn at start: what a cookie's fingerprint is cannot be found out from outside.
    key: Option<hmac::Key>,
}

#[derive(Clone)]
struct Kept {
    person: Arc<Person>,
    until: Instant,
}

impl Whoami {
    pub(super) fn new(settings: settings::Whoami, destination: Destination, upstream: Upstream, via: Via) -> Self {
        // Without randomness nothing is kept, and the application is asked each time.
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()).ok();
        let key = key.filter(|_| !settings.cache.is_zero());
        Self { settings, destination, upstream, via, kept: Cache::new(MOST_KEPT), key }
    }

    /// The person behind a request; `None` when nobody is logged in there.
    pub(super) async fn person(&self, headers: &HeaderMap, asking: &Asking) -> Result<Option<Arc<Person>>, HttpError> {
        let asked = about_the_person(headers, asking.arrival, &self.via).map_err(|_| HttpError::LoopDetected)?;
        if !asked.contains_key(COOKIE) && !asked.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        let fingerprint = self.key.as_ref().map(|key| fingerprint(key, &asked));
        if let Some(fingerprint) = fingerprint.as_ref().filter(|_| !asking.is_fresh)
            && let Some(kept) = self.kept.get(fingerprint)
            && Instant::now() < kept.until
        {
            return Ok(Some(kept.person));
        }
        let (person, sets_cookies) = self.ask(asked, asking).await?;
        match (fingerprint, &person) {
            // With a new cookie the browser is told apart anew; the old one may be over already.
            (Some(fingerprint), Some(person)) if !sets_cookies => {
                let until = Instant::now() + self.settings.cache;
                self.kept.insert(fingerprint, Kept { person: Arc::clone(person), until });
            }
            (Some(fingerprint), _) => drop(self.kept.remove(&fingerprint)),
            (None, _) => {}
        }
        Ok(person)
    }

    async fn ask(&self, headers: HeaderMap, asking: &Asking) -> Result<(Option<Arc<Person>>, bool), HttpError> {
        let mut request = Request::new(RequestBody::empty());
        *request.uri_mut() = Uri::from(self.settings.path.clone());
        *request.headers_mut() = headers;
        let exchange = async {
            let answer = self.upstream.send(&self.destination, request).await.map_err(HttpError::Application)?;
            let (head, body) = answer.into_parts();
            if !head.status.is_success() {
                return Ok::<_, HttpError>((head, None));
            }
            let body = Limited::new(body, ANSWER_BYTES).collect().await.map_err(|error| {
                let is_long = error.is::<LengthLimitError>();
                HttpError::LoginUnknown(if is_long { "its answer is too long" } else { "its answer broke off" }.into())
            })?;
            Ok((head, Some(body.to_bytes())))
        };
        let (head, body) = tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| HttpError::LoginUnknown("it took too long".into()))??;
        if head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(HttpError::LoginUnknown(format!("the application answered {}", head.status)));
        }
        let document: Option<Value> = body.and_then(|body| serde_json::from_slice(&body).ok());
        let person = document.and_then(|document| person_in(&document, &self.settings.org, &self.settings.user));
        if person.is_some() {
            // And only then: an answer to nobody may begin a session that would take the place of one whose cookie the
            // browser has kept to itself (`SameSite=Strict`).
            asking.keep_cookies(&head.headers);
        } else {
            tracing::debug!(status = head.status.as_u16(), "the application says that nobody is logged in");
        }
        Ok((person, head.headers.contains_key(SET_COOKIE)))
    }
}

/// One browser at one host, as a trusted proxy may have described it: over everything that the application is asked with and may
/// tell people apart by, lengths included, so that no two requests have the same that differ in any of it. Two fields
/// are ours and say nothing about anybody.
fn fingerprint(key: &hmac::Key, asked: &HeaderMap) -> [u8; 32] {
    let mut fields: Vec<_> = asked.iter().filter(|(name, _)| *name != VIA && *name != ACCEPT).collect();
    // The order of names is no difference; that of one name's lines is, and a stable sort keeps it.
    fields.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    let mut context = hmac::Context::with_key(key);
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), value.as_bytes()] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
    }
    context.sign().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_apart_by_all_that_they_send() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key");
        let of = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, http::HeaderValue::from_static(value));
            }
            fingerprint(&key, &headers)
        };
        let all = [
            of(&[("cookie", "a=b")]),
            of(&[("cookie", "a=b"), ("cookie", "c=d")]),
            of(&[("cookie", "a=bcookie"), ("cookie", "c=d")]),
            of(&[("cookie", "c=d"), ("cookie", "a=b")]),
            of(&[("authorization", "a=b")]),
            of(&[("cookie", "a=b"), ("authorization", "c")]),
            of(&[("cookie", "a=b"), ("host", "one")]),
            of(&[("cookie", "a=b"), ("host", "two")]),
            of(&[("cookie", "a=b"), ("x-forwarded-user", "ada")]),
            of(&[("cookie", "a=b"), ("x-forwarded-user", "bob")]),
            of(&[("cookie", "a=b"), ("x-forwarded-user", "ada"), ("x-forwarded-host", "one")]),
            of(&[("cookie", "a=b"), ("x-forwarded-user", "ada"), ("x-forwarded-host", "two")]),
            of(&[("cookie", "a=b"), ("forwarded", "for=192.0.2.1")]),
            of(&[("cookie", "a=b"), ("x-real-ip", "192.0.2.1")]),
            of(&[("cookie", "a=b"), ("x-real-ip", "192.0.2.2")]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| one != other), "{at}");
        }
        assert_eq!(of(&[("cookie", "a=b"), ("accept", "a"), ("via", "2 b")]), of(&[("cookie", "a=b")]));
        assert_eq!(of(&[("host", "one"), ("cookie", "a=b")]), of(&[("cookie", "a=b"), ("host", "one")]));
    }
}
