//! The fields of a request's body: `multipart/form-data` as browsers' FormData sends it, urlencoded, or JSON, all
//! alike. Bounded, and refused with a sentence where it cannot be read.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::Limits;
use super::respond::HttpError;

/// The fields that JSON writes as an object, and a form by names with a dot.
const NESTED: [&str; 2] = ["variables", "authorization_params"];

/// Names and values, each name once; what JSON has inside `variables` becomes `variables.name`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads the whole body, within the limits of bytes and of time: a form that trickles holds its connection no
    /// longer than a head that does.
    pub(crate) async fn read(headers: &HeaderMap, body: Incoming, limits: &Limits) -> Result<Self, HttpError> {
        let limit = limits.form_bytes;
        let declared = headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: usize| length > limit) {
            return Err(HttpError::TooLarge);
        }
        let collected = tokio::time::timeout(limits.header_timeout, Limited::new(body, limit).collect()).await;
        let bytes = match collected.map_err(|_| HttpError::bad_request("The body did not arrive in time."))? {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => return Err(HttpError::TooLarge),
            Err(_) => return Err(HttpError::bad_request("The body ended before it was whole.")),
        };
        Self::parse(headers, bytes).await
    }

    /// From the bytes of a body and its type.
    async fn parse(headers: &HeaderMap, bytes: Bytes) -> Result<Self, HttpError> {
        let content_type = match headers.get(CONTENT_TYPE) {
            None if bytes.is_empty() => return Ok(Self::default()),
            None => return Err(HttpError::UnsupportedMediaType),
            Some(content_type) => content_type.to_str().map_err(|_| HttpError::UnsupportedMediaType)?,
        };
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            "application/x-www-form-urlencoded" => Self::from_query(&bytes),
            "multipart/form-data" => Self::from_multipart(content_type, bytes).await,
            "application/json" => Self::from_json(&bytes),
            _ => Err(HttpError::UnsupportedMediaType),
        }
    }

    /// From a query or an urlencoded body.
    pub(crate) fn from_query(bytes: &[u8]) -> Result<Self, HttpError> {
        let mut form = Self::default();
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            form.insert(decoded(&pair[..at])?, decoded(pair.get(at + 1..).unwrap_or_default())?)?;
        }
        Ok(form)
    }

    async fn from_multipart(content_type: &str, bytes: Bytes) -> Result<Self, HttpError> {
        let malformed = |_| HttpError::bad_request("The multipart form cannot be read.");
        let boundary = multer::parse_boundary(content_type).map_err(malformed)?;
        let once = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
        let mut parts = multer::Multipart::new(once, boundary);
        let mut form = Self::default();
        while let Some(field) = parts.next_field().await.map_err(malformed)? {
            let name = field.name().unwrap_or_default().to_owned();
            let value = field.bytes().await.map_err(malformed)?;
            let value = String::from_utf8(value.into()).map_err(|_| HttpError::bad_request("A field is not UTF-8."))?;
            form.insert(name, value)?;
        }
        Ok(form)
    }

    fn from_json(bytes: &[u8]) -> Result<Self, HttpError> {
        let document: Value = serde_json::from_slice(bytes).map_err(|error| {
            HttpError::bad_request(format!("The body is not JSON at line {}, column {}.", error.line(), error.column()))
        })?;
        let Value::Object(fields) = document else {
            return Err(HttpError::bad_request("The JSON body has to be an object."));
        };
        let mut form = Self::default();
        for (name, value) in fields {
            form.insert_json(name, value)?;
        }
        Ok(form)
    }

    fn insert_json(&mut self, name: String, value: Value) -> Result<(), HttpError> {
        match value {
            Value::Null => Ok(()),
            Value::Object(fields) if NESTED.contains(&name.as_str()) => {
                fields.into_iter().try_for_each(|(inner, value)| self.insert_json(format!("{name}.{inner}"), value))
            }
            _ if NESTED.contains(&name.as_str()) => Err(HttpError::bad_request(format!("{name} has to be an object."))),
            Value::String(text) => self.insert(name, text),
            Value::Number(number) => self.insert(name, number.to_string()),
            Value::Bool(flag) => self.insert(name, flag.to_string()),
            // A list is words with spaces between them, and the object that `load` takes is what it would be as text.
            Value::Array(list) if matches!(name.as_str(), "integrations" | "scope") => {
                let words: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                let words =
                    words.ok_or_else(|| HttpError::bad_request("A list in the JSON body holds what is not text."))?;
                self.insert(name, words.join(" "))
            }
            Value::Object(_) if name == "credentials" => self.insert(name, value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                Err(HttpError::bad_request("A field of the JSON body is a list or an object where a text belongs."))
            }
        }
    }

    fn insert(&mut self, name: String, value: String) -> Result<(), HttpError> {
        if self.0.insert(name, value).is_some() {
            return Err(HttpError::bad_request("A field is sent twice."));
        }
        Ok(())
    }

    /// From fields of our own.
    pub(crate) fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let present = pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        Self(present.collect())
    }

    /// The field, unless it is missing or empty: a form cannot leave a field out, only empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The field as it was sent, empty or not.
    pub(crate) fn sent(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The names of the fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The fields `{prefix}.…`, under the rest of their names.
    pub(crate) fn under(&self, prefix: &str) -> BTreeMap<String, String> {
        let rest = |name: &str| Some(name.strip_prefix(prefix)?.strip_prefix('.')?.to_owned());
        self.0.iter().filter_map(|(name, value)| Some((rest(name)?, value.clone()))).collect()
    }
}

/// One side of a pair. Bytes that are not UTF-8 are refused and not replaced: two different names must not become one.
fn decoded(text: &[u8]) -> Result<String, HttpError> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let decoded = percent_encoding::percent_decode(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| HttpError::bad_request("The form is not UTF-8."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(content_type: &str, body: &[u8]) -> Result<Vec<(String, String)>, u16> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, content_type.parse().expect("a header value"));
        }
        let parsed = futures_util::FutureExt::now_or_never(Form::parse(&headers, Bytes::copy_from_slice(body)));
        let form = parsed.expect("the bytes are all there").map_err(|error| error.problem().status.as_u16())?;
        Ok(form.0.into_iter().collect())
    }

    #[test]
    fn bodies_of_all_types() {
        fn check(content_type: &str, body: &str, expected: Result<&[(&str, &str)], u16>) {
            let expected =
                expected.map(|pairs| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
            assert_eq!(parse(content_type, body.as_bytes()), expected, "{content_type} {body}");
        }
        let person: Result<&[(&str, &str)], u16> = Ok(&[("org_id", "o 1"), ("user_id", "ü")]);
        check("application/x-www-form-urlencoded", "user_id=%C3%BC&org_id=o+1", person);
        check("application/x-www-form-urlencoded;charset=UTF-8", "user_id=%C3%BC&org_id=o+1", person);
        check("application/json", r#"{"user_id":"ü","org_id":"o 1","x":null}"#, person);
        check(
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"user_id\"\r\n\r\nü\r\n--b\r\nContent-Disposition: form-data; name=\"org_id\"\r\n\r\no 1\r\n--b--\r\n",
            person,
        );
        check(
            "application/json",
            r#"{"variables":{"subdomain":"acme"},"n":3,"scope":["a","b"]}"#,
            Ok(&[("n", "3"), ("scope", "a b"), ("variables.subdomain", "acme")]),
        );
        let handle = r#"{"captured":{"hub_id":"1"},"scopes":["a"]}"#;
        check("application/json", &format!("{{\"credentials\":{handle}}}"), Ok(&[("credentials", handle)]));
        check("application/json", r#"{"user_id":["ada","bob"]}"#, Err(400));
        check("application/json", r#"{"user_id":{}}"#, Err(400));
        check("application/json", r#"{"variables":{"a":{}}}"#, Err(400));
        check("application/json", r#"{"variables":"a"}"#, Err(400));
        check(
            "application/json",
            r#"{"authorization_params":{"login_hint":"a","max_age":9}}"#,
            Ok(&[("authorization_params.login_hint", "a"), ("authorization_params.max_age", "9")]),
        );
        check("application/json", r#"{"authorization_params":["a"]}"#, Err(400));
        check("", "", Ok(&[]));
        check("", "x", Err(415));
        check("text/plain", "x", Err(415));
        check("application/json", "{", Err(400));
        check("application/json", "[]", Err(400));
        check("application/json", r#"{"a":{"b":{"c":1}}}"#, Err(400));
        check("application/x-www-form-urlencoded", "a=1&a=2", Err(400));
        check("application/x-www-form-urlencoded", "user_id=%FF", Err(400));
        check("application/x-www-form-urlencoded", "a=1=2&&b", Ok(&[("a", "1=2"), ("b", "")]));
        check("multipart/form-data", "x", Err(400));
        check("multipart/form-data; boundary=b", "--b\r\nContent-Disp", Err(400));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(kind in 0..3usize, body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let content_type = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"][kind];
            let _ = parse(content_type, &body);
        }
    }
}
