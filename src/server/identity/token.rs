//! A login that is a token of an issuer's: from `Authorization`, or from a cookie of the application's.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use super::keys::Keys;
use super::person_in;
use crate::model::{Person, Timestamp};
use crate::oauth::JwtExpectation;
use crate::server::respond::HttpError;
use crate::server::settings;
use crate::upstream::Fetch;

/// What tokens have to be, and the keys that they are signed with.
pub(in crate::server) struct Token {
    settings: settings::LoginToken,
    keys: Keys,
}

impl Token {
    pub(super) fn new(settings: settings::LoginToken, fetch: Fetch) -> Self {
        let keys = Keys::new(&settings, fetch);
        Self { settings, keys }
    }

    /// Whether browsers send it by themselves.
    pub(super) fn stands_in_cookie(&self) -> bool {
        self.settings.cookie.is_some()
    }

    /// The person whom the request's token names; `None` when it has none, or none that is good.
    pub(super) async fn person(&self, headers: &HeaderMap, now: Timestamp) -> Result<Option<Arc<Person>>, HttpError> {
        let Some(token) = self.token(headers) else { return Ok(None) };
        let expected = JwtExpectation {
            issuer: &self.settings.issuer,
            audiences: &self.settings.audiences,
            algorithms: &self.settings.algorithms,
        };
        match self.keys.claims(token, expected, now).await? {
            Ok(claims) => Ok(person_in(&claims, &self.settings.org, &self.settings.user)),
            Err(error) => {
                tracing::debug!(%error, "a login's token is refused");
                Ok(None)
            }
        }
    }

    /// `Authorization` comes first; what is written there is meant, right or wrong.
    fn token<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        if let Some(field) = headers.get(AUTHORIZATION).and_then(|field| field.to_str().ok())
            && let Some((scheme, token)) = field.trim().split_once(' ')
            && scheme.eq_ignore_ascii_case("bearer")
        {
            return Some(token.trim());
        }
        one_cookie(headers, self.settings.cookie.as_deref()?)
    }
}

/// The cookie's value; `None` as well when two of that name differ: somebody may have put one beside the other.
fn one_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line: &HeaderValue| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(sent, _)| *sent == name).map(|(_, value)| value.trim_matches('"'));
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_of_a_login() {
        fn check(lines: &[&'static str], expected: Option<&str>) {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            assert_eq!(one_cookie(&headers, "session"), expected, "{lines:?}");
        }
        check(&["a=b; session=t; c=d"], Some("t"));
        check(&["a=b", "session=\"t\""], Some("t"));
        check(&["session=t; session=t"], Some("t"));
        check(&["session=t; session=u"], None);
        check(&["session=t", "session=u"], None);
        check(&["xsession=t; Session=u"], None);
    }
}
