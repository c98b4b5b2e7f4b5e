//! What a request carried that nothing may tell: some servers put the token or the secret that they do not take into the
//! words of their error, and those go to the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{HttpRequest, TokenError};
use crate::model::Secret;

/// Parameters whose values are words of the protocol, or places and scopes that errors may well name.
const TOLD: [&str; 8] = [
    "grant_type",
    "client_assertion_type",
    "token_type_hint",
    "subject_token_type",
    "actor_token_type",
    "requested_token_type",
    "redirect_uri",
    "scope",
];

/// So many characters in a row of a secret are too many.
const SHOWN: usize = 8;

/// What stands in place of a code that cannot be told.
const WITHHELD: &str = "(withheld, since it repeats what was sent)";

/// The values of a request that are not to be told.
pub struct Sent<'a> {
    secrets: Vec<Secret>,
    /// Our name, which no error has to keep to itself.
    client_id: &'a str,
}

impl<'a> Sent<'a> {
    /// Those of this request by this client: its parameters, wherever they stand, and its credentials.
    pub fn of(request: &HttpRequest, client_id: &'a str) -> Self {
        let mut sent = Self { secrets: Vec::new(), client_id };
        if let Ok(url) = Url::parse(&request.url) {
            sent.take_all(url.query_pairs());
        }
        let body = request.body.expose();
        match serde_json::from_str::<Value>(body) {
            Ok(document) => sent.take_strings("", &document),
            Err(_) => sent.take_all(form_urlencoded::parse(body.as_bytes())),
        }
        for (_, value) in request.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "accept" | "content-type"))
        {
            let value = value.expose();
            let credentials = value.split_once(' ').map_or(value, |(_, credentials)| credentials);
            sent.take("", credentials);
            // A client's id and secret, each form-encoded (RFC 6749 section 2.3.1).
            let pair = STANDARD.decode(credentials).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            for part in pair.iter().flat_map(|pair| pair.split(':')) {
                sent.take_all(form_urlencoded::parse(part.as_bytes()).map(|(part, _)| ("", part)));
            }
        }
        sent
    }

    fn take_all<N: AsRef<str>, V: AsRef<str>>(&mut self, pairs: impl IntoIterator<Item = (N, V)>) {
        pairs.into_iter().for_each(|(name, value)| self.take(name.as_ref(), value.as_ref()));
    }

    fn take_strings(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) => self.take(name, text),
            Value::Array(values) => values.iter().for_each(|value| self.take_strings(name, value)),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| self.take_strings(name, value)),
            _ => {}
        }
    }

    fn take(&mut self, name: &str, value: &str) {
        if value.len() >= SHOWN && value != self.client_id && !TOLD.contains(&name) {
            self.secrets.push(Secret::new(value));
        }
    }

    /// Whether a part of one of them is in these words.
    fn is_in(&self, words: &str) -> bool {
        let parts = words.as_bytes().windows(SHOWN);
        let has = |part: &[u8]| {
            self.secrets.iter().any(|value| value.expose().as_bytes().windows(SHOWN).any(|own| own == part))
        };
        parts.into_iter().any(has)
    }
}

impl TokenError {
    /// The error, without a code that repeats what was sent.
    pub fn without(mut self, sent: &Sent<'_>) -> Self {
        match &mut self {
            Self::Terminal { code } | Self::ClientRefused { code } | Self::Other { code, .. } if sent.is_in(code) => {
                WITHHELD.clone_into(code);
            }
            _ => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_repeat_a_secret_are_withheld() {
        fn check(url: &str, header: &str, body: &str, code: &str, is_told: bool) {
            let request = HttpRequest {
                method: "POST",
                url: url.into(),
                headers: vec![("authorization".into(), Secret::new(header))],
                body: Secret::new(body),
            };
            let error = TokenError::Other { status: 400, code: code.into() }.without(&Sent::of(&request, "the-client"));
            let expected = if is_told { code } else { WITHHELD };
            assert_eq!(error, TokenError::Other { status: 400, code: expected.into() }, "{url} {header} {body}");
        }
        let url = "https://a.example/token";
        let form =
            "grant_type=refresh_token&refresh_token=r%2F0123456789&client_id=the-client&client_secret=s3cr3t-of-ours";
        check(url, "", form, "invalid_grant", true);
        check(url, "", form, "no grant of the-client by refresh_token", true);
        check(url, "", form, "bad token r/0123456789", false);
        check(url, "", form, "bad token r/012345…", false);
        check(url, "", form, "s3cr3t-of-ours", false);
        check(url, "", r#"{"grant_type":"x","deep":[{"code":"0123456789"}]}"#, "no such code: 0123456789", false);
        check("https://a.example/token?code=0123456789", "", "", "0123456789", false);
        check(
            url,
            &format!("Basic {}", STANDARD.encode("the-client:s3cr3t%3Aours")),
            "",
            "s3cr3t:ours is wrong",
            false,
        );
        check(url, &format!("Basic {}", STANDARD.encode("the-client:s3cr3t%3Aours")), "", "the-client is wrong", true);
        check(url, "Basic dGhlLWNsaWVudDpzM2NyM3Q", "", "Basic dGhlLWNsaWVudDpzM2NyM3Q is wrong", false);
        check(url, &format!("Basic {}", STANDARD.encode("s3cr3t-of-ours:")), "", "who is s3cr3t-of-ours", false);
        check(url, "", "client_id=s3cr3t-of-ours", "who is s3cr3t-of-ours", false);
        check(url, "M2Y5YTRjNzItODhlMQ==", "", "M2Y5YTRjNzItODhlMQ== is wrong", false);
        check(url, "Bearer 0123456789", "", "0123456789 is over", false);
        check(url, "", "code=short", "short", true);
    }
}
