//! The keys of a login's issuer: fetched when first needed, again after an hour, and for a key that is not known, as
//! issuers change theirs. However many unknown keys are shown to us, the issuer is asked again once a minute.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Host, Url};

use crate::model::Timestamp;
use crate::oauth::{JwtError, JwtExpectation, JwtKeys, Metadata};
use crate::server::respond::HttpError;
use crate::server::settings;
use crate::upstream::{Fetch, FetchRequest};

/// How long keys are used before they are fetched again.
const LIFETIME: Duration = Duration::from_secs(3600);

/// How long nobody asks again after the issuer was asked again.
const PAUSE: Duration = Duration::from_secs(60);

/// How long nobody asks again after it gave nothing, and there is nothing to go on with.
const PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(2);

/// An issuer's keys and how to get them.
pub(super) struct Keys {
    issuer: String,
    written: Option<Url>,
    fetch: Fetch,
    known: ArcSwapOption<Known>,
    /// When the issuer was asked again, or gave nothing; held while somebody asks, so that everybody else waits for that
    /// answer.
    asked: Mutex<Option<Instant>>,
}

struct Known {
    keys: JwtKeys,
    since: Instant,
}

impl Keys {
    pub(super) fn new(settings: &settings::LoginToken, fetch: Fetch) -> Self {
        let (issuer, written) = (settings.issuer.clone(), settings.jwks.clone());
        Self { issuer, written, fetch, known: ArcSwapOption::empty(), asked: Mutex::default() }
    }

    /// What a token claims, if it is good. An error of ours is not knowing the keys.
    pub(super) async fn claims(
        &self,
        token: &str,
        expected: JwtExpectation<'_>,
        now: Timestamp,
    ) -> Result<Result<Value, JwtError>, HttpError> {
        let known = self.known.load_full();
        let known = match known {
            Some(known) if known.since.elapsed() < LIFETIME => known,
            // Somebody asks already: what is known serves meanwhile.
            Some(known) if self.asked.try_lock().is_err() => known,
            _ => self.newer_than(known).await?,
        };
        match known.keys.claims(token, expected, now) {
            Err(JwtError::UnknownKey) => {
                let newer = self.newer_than(Some(Arc::clone(&known))).await?;
                Ok(newer.keys.claims(token, expected, now))
            }
            outcome => Ok(outcome),
        }
    }

    /// Newer keys than these, if the issuer may be asked now; otherwise these. Keys that cannot be renewed go on being
    /// used: an issuer in trouble does not log everybody out.
    async fn newer_than(&self, old: Option<Arc<Known>>) -> Result<Arc<Known>, HttpError> {
        let mut asked = self.asked.lock().await;
        let current = self.known.load_full();
        match (&current, &old) {
            (Some(current), Some(old)) if !Arc::ptr_eq(current, old) => return Ok(Arc::clone(current)),
            (Some(current), None) => return Ok(Arc::clone(current)),
            _ => {}
        }
        let pause = if current.is_some() { PAUSE } else { PAUSE_WITHOUT_KEYS };
        if asked.is_some_and(|asked| asked.elapsed() < pause) {
            return current.ok_or_else(|| HttpError::LoginUnknown("its issuer gave no keys a moment ago".into()));
        }
        // The first answer is no sign that the next would be the same, so it holds nobody up.
        let outcome = self.fetched().await;
        *asked = (current.is_some() || outcome.is_err()).then(Instant::now);
        match outcome {
            Ok(keys) => {
                let known = Arc::new(Known { keys, since: Instant::now() });
                self.known.store(Some(Arc::clone(&known)));
                Ok(known)
            }
            Err(cause) => match current {
                Some(current) => {
                    tracing::warn!(cause, "the keys of the login's issuer could not be renewed");
                    Ok(current)
                }
                None => Err(HttpError::LoginUnknown(cause)),
            },
        }
    }

    async fn fetched(&self) -> Result<JwtKeys, String> {
        let address = match &self.written {
            Some(address) => address.clone(),
            None => self.discovered().await?,
        };
        let body = self.get(address).await?;
        JwtKeys::parse(&body).ok_or_else(|| "what its issuer answered is no key set".to_owned())
    }

    async fn discovered(&self) -> Result<Url, String> {
        let mut failure = "its issuer has no metadata".to_owned();
        for address in Metadata::addresses(&self.issuer) {
            let url = Url::parse(&address).map_err(|_| "its issuer is no URL".to_owned())?;
            match self.get(url).await {
                Ok(body) => {
                    let metadata = Metadata::parse(&body, &self.issuer).map_err(|error| error.to_string())?;
                    let place = metadata.jwks_uri().and_then(|place| Url::parse(place).ok());
                    return place.ok_or_else(|| "its issuer's metadata names no keys".to_owned());
                }
                Err(cause) => failure = cause,
            }
        }
        Err(failure)
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, String> {
        let trusted_as_written = self.is_written(&url);
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let request = FetchRequest {
            method: Method::GET,
            url,
            headers,
            body: Bytes::new(),
            trusted_as_written,
            certificate: None,
        };
        let answer = self.fetch.send(request).await.map_err(|error| error.to_string())?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(format!("its issuer answered {status}")),
        }
    }

    /// An address that the operator wrote is dialled as it stands when it is an IP literal or `localhost`, as those of
    /// provider files are; one that only metadata names, at the issuer's own origin alone.
    fn is_written(&self, url: &Url) -> bool {
        let is_literal = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            None => false,
        };
        let written = self.written.as_ref().map(Url::origin);
        let issuer = Url::parse(&self.issuer).ok().map(|issuer| issuer.origin());
        is_literal && [written, issuer].into_iter().flatten().any(|origin| origin == url.origin())
    }
}
