//! Plain HTTP for tests: no redirects, no cookies, nothing retried, the whole answer at once.

use std::{sync::Once, time::Duration};

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap},
    redirect,
};
use serde_json::Value;

/// A request being made.
pub(crate) struct Request(reqwest::RequestBuilder);

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// A client that follows nothing and keeps nothing. One per test: its connections belong to the test's runtime.
pub(crate) fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Only this process's tests use it; a second attempt would be refused, and `Once` makes none.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(5))
        .build()
        .expect("a client without certificates always builds")
}

impl Request {
    pub(crate) fn new(client: &reqwest::Client, method: &str, url: &str) -> Self {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        Self(client.request(method, url))
    }

    /// Adds a header.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// Sends a form, urlencoded.
    pub(crate) fn form<'a>(self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self(self.0.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body))
    }

    /// Sends JSON.
    pub(crate) fn json(self, value: &Value) -> Self {
        Self(self.0.header(CONTENT_TYPE, "application/json").body(value.to_string()))
    }

    /// Sends bytes.
    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.body(body.into()))
    }

    /// Sends it and reads the whole answer; panics when there is none within a minute.
    pub(crate) async fn send(self) -> Answer {
        self.attempt().await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// Sends it; a connection that fails is an error and not a panic.
    pub(crate) async fn attempt(self) -> Result<Answer, reqwest::Error> {
        let response = self.0.timeout(Duration::from_secs(60)).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await?.to_vec() })
    }
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.describe()))
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a test's header is text"))
    }

    /// Panics unless the status is `status`; answers itself.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.describe());
        self
    }

    /// Panics unless this is Keyferry's own error `code` with `status`, as CONTRACT section 8 says; answers its
    /// problem.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.header("keyferry-error")), (status, Some(code)), "{}", self.describe());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.describe());
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{problem}");
        for key in ["type", "title", "detail", "request_id"] {
            assert!(problem[key].is_string(), "`{key}` is missing in {problem}");
        }
        problem
    }

    /// Status, Keyferry's error code and body, for messages.
    pub(crate) fn describe(&self) -> String {
        format!("{} {:?} {}", self.status, self.header("keyferry-error"), self.text())
    }
}
