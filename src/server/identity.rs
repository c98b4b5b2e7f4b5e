//! The application's own login: which person a browser is, as the application says or as a token says that its issuer
//! signed. Never guessed: whoever cannot be told is nobody, and an application in trouble is no answer.

mod keys;
mod token;
mod whoami;

use std::sync::{Arc, Mutex, PoisonError};

use http::header::{AUTHORIZATION, COOKIE, ORIGIN, SET_COOKIE};
use http::{Extensions, HeaderMap, HeaderValue, Method, request};
use serde_json::Value;

use self::token::Token;
use self::whoami::Whoami;
use super::caller::is_ours;
use super::endpoint::Endpoint;
use super::respond::HttpError;
use super::service::Service;
use super::settings::{self, Claim};
use crate::broker::{Network, Visitor};
use crate::model::{Org, Person, User};
use crate::route::headers::Arrival;

/// How we learn who a browser is.
pub(super) enum Identity {
    Whoami(Whoami),
    Token(Token),
}

/// One request that may come from somebody who is logged in. Travels in its extensions.
pub(super) struct Asking {
    arrival: Arrival,
    /// Whether the application is asked though it was asked a moment ago.
    is_fresh: bool,
    is_call: bool,
    is_safe: bool,
    /// What the application's answer sets, for ours.
    set_cookie: Mutex<Vec<HeaderValue>>,
}

impl Identity {
    /// `None` where nobody logs in.
    pub(super) fn new(settings: &settings::App, network: &Network) -> Option<Self> {
        let Network { fetch, upstream, via } = network;
        match (settings.identity.as_ref()?, &settings.upstream) {
            (settings::Identity::Token(token), _) => Some(Self::Token(Token::new(token.clone(), fetch.clone()))),
            (settings::Identity::Whoami(whoami), Some(destination)) => {
                Some(Self::Whoami(Whoami::new(whoami.clone(), destination.clone(), upstream.clone(), via.clone())))
            }
            // Configuration refuses it.
            (settings::Identity::Whoami(_), None) => None,
        }
    }

    /// Whether a browser that only navigates brings its login along.
    fn shows_in_navigation(&self) -> bool {
        match self {
            Self::Whoami(_) => true,
            Self::Token(token) => token.stands_in_cookie(),
        }
    }
}

impl Asking {
    /// `None` for a request without anything that a login could stand in, and for one with a key or session of ours.
    pub(super) fn of(head: &request::Parts, endpoint: &Endpoint<'_>, arrival: Arrival) -> Option<Arc<Self>> {
        let headers = &head.headers;
        let has_own_token = headers.get(AUTHORIZATION).is_some_and(|field| {
            let credentials = field.as_bytes().rsplit(|&byte| byte == b' ').next().unwrap_or_default();
            std::str::from_utf8(credentials).is_ok_and(is_ours)
        });
        if has_own_token || !(headers.contains_key(COOKIE) || headers.contains_key(AUTHORIZATION)) {
            return None;
        }
        // Whoever may have logged out a moment ago begins, finishes and ends nothing any more.
        let decides = matches!(endpoint, Endpoint::Authorize(_) | Endpoint::Callback(_) | Endpoint::Confirm(_));
        Some(Arc::new(Self {
            arrival,
            is_fresh: decides || head.method == Method::DELETE,
            is_call: matches!(endpoint, Endpoint::Call(_)),
            is_safe: matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS),
            set_cookie: Mutex::default(),
        }))
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        let mut kept = self.set_cookie.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(headers.get_all(SET_COOKIE).iter().cloned());
    }

    /// Puts what the application set onto our own answer: it may have renewed its session while we asked.
    pub(super) fn relay_cookies(&self, headers: &mut HeaderMap) {
        let kept = std::mem::take(&mut *self.set_cookie.lock().unwrap_or_else(PoisonError::into_inner));
        for cookie in kept {
            headers.append(SET_COOKIE, cookie);
        }
    }
}

impl Service {
    /// The person who is logged in and asks this. Nobody is an error, and so is a request that a page of the
    /// application could not have meant: a cookie says who is asking, and not what they want.
    pub(super) async fn logged_in(
        &self,
        identity: &Identity,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Arc<Person>, HttpError> {
        let asking = extensions.get::<Arc<Asking>>().ok_or(HttpError::NotLoggedIn)?;
        check_purpose(headers, asking)?;
        self.person(identity, headers, asking).await?.ok_or(HttpError::NotLoggedIn)
    }

    /// Who is at the browser that has navigated here, asked now.
    pub(super) async fn visitor(&self, head: &request::Parts) -> Result<Visitor, HttpError> {
        let Some(identity) = self.identity.as_ref().filter(|identity| identity.shows_in_navigation()) else {
            return Ok(Visitor::Untold);
        };
        let Some(asking) = head.extensions.get::<Arc<Asking>>() else { return Ok(Visitor::Nobody) };
        let person = self.person(identity, &head.headers, asking).await?;
        Ok(person.map_or(Visitor::Nobody, |person| Visitor::Person(Person::clone(&person))))
    }

    async fn person(
        &self,
        identity: &Identity,
        headers: &HeaderMap,
        asking: &Asking,
    ) -> Result<Option<Arc<Person>>, HttpError> {
        match identity {
            Identity::Whoami(whoami) => whoami.person(headers, asking).await,
            Identity::Token(token) => token.person(headers, self.broker.now()).await,
        }
    }
}

/// Browsers send the login's cookie with whatever a page makes them ask for. Foreign pages are refused before; here
/// stay a provider's answers from becoming pages, frames, scripts or workers of the application's origin, and a change
/// that no page of ours can be told to have asked for.
///
/// A browser that knows neither `Origin` on unsafe requests nor `Sec-Fetch-Site` could be made to send a form from
/// anywhere; programs that use a person's cookie send `Origin`.
fn check_purpose(headers: &HeaderMap, asking: &Asking) -> Result<(), HttpError> {
    if asking.is_call {
        check_destination(headers)?;
    }
    let says_where_from = headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site");
    if !asking.is_safe && headers.contains_key(COOKIE) && !says_where_from {
        return Err(HttpError::CrossSite);
    }
    Ok(())
}

/// Keeps a provider's answer from becoming a page, frame, script or worker of the origin that we share with an
/// application, whoever calls: a session stands in the address where a provider's token would.
pub(super) fn check_destination(headers: &HeaderMap) -> Result<(), HttpError> {
    const FETCHED_OR_SHOWN: [&[u8]; 6] = [b"empty", b"image", b"audio", b"video", b"track", b"websocket"];
    let says = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let is_fetched = says("sec-fetch-dest").is_none_or(|dest| FETCHED_OR_SHOWN.contains(&dest));
    let is_of_a_page = says("sec-fetch-mode") != Some(b"navigate") && !headers.contains_key("service-worker");
    if is_fetched && is_of_a_page { Ok(()) } else { Err(HttpError::NotFetched) }
}

/// The person of an answer or of claims; `None` when either half is missing or cannot be a name.
fn person_in(document: &Value, org: &Claim, user: &Claim) -> Option<Arc<Person>> {
    let text = |claim: &Claim| match claim {
        Claim::Path(path) => name_in(path.first(document)?),
        Claim::Constant(text) => Some(text.clone()),
    };
    let (org, user) = (Org::parse(&text(org)?).ok()?, User::parse(&text(user)?).ok()?);
    Some(Arc::new(Person { org, user }))
}

/// Texts and whole numbers name people. `false` is how some applications say that nobody is there, and a fraction or a
/// number that has lost its last digits may be that of several.
fn name_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Number(_) | Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Version;
    use serde_json::json;

    use super::*;
    use crate::mapping::Path;

    #[test]
    fn who_an_answer_names() {
        fn check(id: Value, expected: Option<&str>) {
            let claim = |path| Claim::Path(Path::parse(path).expect("a path"));
            let document = json!({ "id": id, "org": "acme" });
            let user = person_in(&document, &claim("$.org"), &claim("$.id")).map(|person| person.user.to_string());
            assert_eq!(user.as_deref(), expected, "{document}");
            let org = person_in(&document, &claim("$.id"), &claim("$.org")).map(|person| person.org.to_string());
            assert_eq!(org.as_deref(), expected, "{document}");
        }
        check(json!("ada"), Some("ada"));
        check(json!("false"), Some("false"));
        check(json!(7), Some("7"));
        check(json!(-7), Some("-7"));
        check(json!(u64::MAX), Some("18446744073709551615"));
        for nobody in [json!(""), json!(false), json!(true), json!(1.5), json!(7.0), json!(1e20), json!([7]), json!({})]
        {
            check(nobody, None);
        }
        // One more than there is room for: read as a fraction, in which neighbours are the same.
        check(serde_json::from_str("18446744073709551616").expect("a number"), None);
        check(Value::Null, None);
    }

    #[test]
    fn what_a_login_may_be_used_for() {
        fn check(is_call: bool, is_safe: bool, sent: &[(&'static str, &'static str)], expected: bool) {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            let peer = [127, 0, 0, 1].into();
            let arrival = Arrival { peer, is_trusted: false, is_tls: false, version: Version::HTTP_11 };
            let asking = Asking { arrival, is_fresh: false, is_call, is_safe, set_cookie: Mutex::default() };
            assert_eq!(check_purpose(&headers, &asking).is_ok(), expected, "{sent:?}");
        }
        for dest in ["empty", "image", "audio", "video", "track", "websocket"] {
            check(true, true, &[("cookie", "a=b"), ("sec-fetch-dest", dest), ("sec-fetch-mode", "cors")], true);
        }
        let refused = "document iframe frame fencedframe embed object script worker sharedworker serviceworker \
                       audioworklet paintworklet style font manifest report xslt json webidentity new";
        for dest in refused.split_whitespace() {
            check(true, true, &[("cookie", "a=b"), ("sec-fetch-dest", dest)], false);
            check(false, true, &[("cookie", "a=b"), ("sec-fetch-dest", dest)], true);
        }
        check(true, true, &[("cookie", "a=b"), ("sec-fetch-dest", "empty"), ("sec-fetch-mode", "navigate")], false);
        check(true, true, &[("cookie", "a=b")], true);
        check(true, false, &[("cookie", "a=b")], false);
        check(false, false, &[("cookie", "a=b")], false);
        check(false, false, &[("cookie", "a=b"), ("origin", "http://a")], true);
        check(false, false, &[("cookie", "a=b"), ("sec-fetch-site", "same-origin")], true);
        check(false, false, &[("authorization", "Bearer a")], true);
    }
}
