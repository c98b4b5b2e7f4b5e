//! Speaking to a running sidecar, on either of its listeners: where it is, with which key it is asked, and what to tell
//! the operator when it refuses or does not answer. Knows no endpoint.

use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use url::Url;

use super::Failure;
use crate::model::Secret;

/// Largest document that is read, in bytes. The largest of ours is a page of 200 connections: each shows the values that
/// its provider file captures from the provider's answers, some KiB where the file takes much, and no more than the
/// answers' own MiB. A quarter of that for each is far above what is met, and little for a machine that reads it once.
const LARGEST: usize = 200 * (256 << 10);

/// Longest line that is read, in bytes.
const LONGEST_LINE: usize = 1 << 20;

/// How long an answer in lines may take; the sidecar has deadlines of its own for every part.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A running sidecar that can be asked.
#[derive(Debug)]
pub(super) struct Contact {
    /// Without a trailing slash.
    base: String,
    http: reqwest::Client,
    /// The key as it is sent.
    authorization: Option<HeaderValue>,
    words: &'static Words,
}

/// What the operator is told, which differs with the listener.
#[derive(Debug)]
pub(super) struct Words {
    /// The flag that names the address.
    pub(super) url_flag: &'static str,
    /// What gives the key.
    pub(super) key_from: &'static str,
    /// What to do when nothing is there.
    pub(super) nothing_there: &'static str,
    /// What to do when a key is asked for, and none was given.
    pub(super) no_key: &'static str,
    /// What may be wrong with the one that was given.
    pub(super) wrong_key: &'static str,
}

/// Why an answer cannot be used.
pub(super) enum Refusal {
    /// Nothing answered.
    Unreachable(reqwest::Error),
    /// The sidecar refused, in the words of its problem document.
    Problem { status: StatusCode, code: String, detail: String },
    /// What answered is no Keyferry.
    Foreign(StatusCode),
}

impl Contact {
    /// Does not speak to it yet. An empty key is none.
    pub(super) fn new(url: &Url, key: Option<&Secret>, words: &'static Words) -> Result<Self, Failure> {
        if !is_web(url) || url.query().is_some() || url.fragment().is_some() {
            let flag = words.url_flag;
            return Err(Failure::other(format!("{flag} has to be an http or https address without `?` and `#`")));
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        let http = client().map_err(|error| Failure::other(format!("no HTTP client: {error}")))?;
        // What is read from a file often ends with a line break, which no key has.
        let key = key.map(|key| key.expose().trim_end()).filter(|key| !key.is_empty());
        let authorization = key.map(|key| authorization(key, words)).transpose()?;
        Ok(Self { base, http, authorization, words })
    }

    /// Where it is, without a trailing slash.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// A request for a path below it, with the key.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    /// Sends it, for an answer in JSON.
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Value, Failure> {
        ask(request).await.map_err(|refusal| self.explain(refusal))
    }

    /// Sends it, for an answer in lines.
    pub(super) async fn lines(&self, request: RequestBuilder) -> Result<Lines<'_>, Failure> {
        let request = request.timeout(LONGEST).header(ACCEPT, "application/x-ndjson");
        let answer = match request.send().await.map_err(Refusal::Unreachable) {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(answer),
            Ok(answer) => Err(refusal(answer).await),
            Err(refusal) => Err(refusal),
        };
        let response = answer.map_err(|refusal| self.explain(refusal))?;
        Ok(Lines { contact: self, response, buffer: Vec::new(), taken: 0 })
    }

    /// What the operator is told of a refusal.
    pub(super) fn explain(&self, refusal: Refusal) -> Failure {
        let (base, words) = (&self.base, self.words);
        Failure::other(match refusal {
            Refusal::Unreachable(error) if error.is_connect() => {
                format!("nothing answers at {base}; {}", words.nothing_there)
            }
            Refusal::Unreachable(error) => format!("{base} did not answer: {}", error.without_url()),
            Refusal::Problem { status, code, detail } => {
                let hint = match (code.as_str(), &self.authorization) {
                    ("unauthenticated", None) => format!("\n{}", words.no_key),
                    ("unauthenticated", Some(_)) => format!("\n{}", words.wrong_key),
                    _ => String::new(),
                };
                format!("{base} answered {} {code}: {detail}{hint}", status.as_u16())
            }
            Refusal::Foreign(status) => {
                let flag = words.url_flag;
                format!("{base} answered {}, and not as a Keyferry does; is {flag} right?", status.as_u16())
            }
        })
    }
}

/// The header with the key, which no `Debug` shows.
fn authorization(key: &str, words: &Words) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| {
        let from = words.key_from;
        Failure::Configuration(format!(
            "keyferry: {from} is no key: there is a line break or another control character inside of it"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The trust of this machine, where a company's own authority may stand; a machine without any has the roots compiled
/// in. No proxy of the environment: one that stands in between would read the key, of requests to this very machine too.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    let builder = || {
        let redirects = reqwest::redirect::Policy::none();
        reqwest::Client::builder()
            .no_proxy()
            .redirect(redirects)
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(60))
    };
    builder().build().or_else(|_| {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        builder().tls_backend_preconfigured(tls).build()
    })
}

/// Sends a request, for an answer in JSON.
pub(super) async fn ask(request: RequestBuilder) -> Result<Value, Refusal> {
    let response = request.header(ACCEPT, "application/json").send().await.map_err(Refusal::Unreachable)?;
    if response.status().is_success() { document(response).await } else { Err(refusal(response).await) }
}

/// The JSON of an answer.
async fn document(mut response: Response) -> Result<Value, Refusal> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(Refusal::Unreachable)? {
        if body.len() + piece.len() > LARGEST {
            return Err(Refusal::Foreign(status));
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body).map_err(|_| Refusal::Foreign(status))
}

/// What an answer that is none means.
async fn refusal(response: Response) -> Refusal {
    let status = response.status();
    let answer = match document(response).await {
        Ok(answer) => answer,
        Err(refusal) => return refusal,
    };
    match (answer["code"].as_str(), answer["detail"].as_str()) {
        (Some(code), Some(detail)) => {
            // It is printed on a terminal, and who knows who answered.
            let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect();
            Refusal::Problem { status, code: plain(code), detail: plain(detail) }
        }
        _ => Refusal::Foreign(status),
    }
}

/// An answer that is read line by line.
pub(super) struct Lines<'a> {
    contact: &'a Contact,
    response: Response,
    buffer: Vec<u8>,
    /// How much of the buffer has been given out.
    taken: usize,
}

impl Lines<'_> {
    /// Whether the next line has come already.
    pub(super) fn has_more_at_hand(&self) -> bool {
        self.buffer[self.taken..].contains(&b'\n')
    }

    /// The next line without its end; `None` at the end, and for what follows the last line's end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut searched = self.taken;
        loop {
            if let Some(length) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer[self.taken..searched + length].to_vec();
                self.taken = searched + length + 1;
                return Ok(Some(line));
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            searched = self.buffer.len();
            if searched > LONGEST_LINE {
                return Err(Failure::other(format!("{} answered no lines", self.contact.base)));
            }
            let piece = self.response.chunk().await.map_err(Refusal::Unreachable);
            match piece.map_err(|refusal| self.contact.explain(refusal))? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}

/// Whether a browser and an HTTP client know what to do with it.
pub(super) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}
