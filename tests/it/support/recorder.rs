//! The recording upstream of `tests/peers/recorder.mjs`: answers as four vendors do, and keeps what arrives as it came.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::json;

use super::{Request, authorization_server::start, http, process::Process};

/// A running recorder. It ends when this goes.
pub(crate) struct Recorder {
    url: String,
    http: reqwest::Client,
    _process: Process,
}

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Recorded {
    /// The method.
    pub(crate) method: String,
    /// The request target, byte for byte.
    pub(crate) target: String,
    /// Names and values, in order, with the case they came in.
    pub(crate) headers: Vec<(String, String)>,
    body_base64: String,
    /// The status of the answer; nothing as long as there is none, and from the recorder, which always answers.
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// Whether whoever asked went before the answer's end.
    #[serde(default)]
    pub(crate) left: bool,
}

impl Recorder {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let (process, said) = start("recorder.mjs", &json!({})).await;
        let url = said["url"].as_str().expect("it says its URL").to_owned();
        Self { url, http: http::client(), _process: process }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Takes what has arrived since the last time.
    pub(crate) async fn take(&self) -> Vec<Recorded> {
        let requests = Request::new(&self.http, "GET", &self.control()).send().await.expect(200);
        Request::new(&self.http, "DELETE", &self.control()).send().await.expect(200);
        serde_json::from_slice(&requests.body).expect("the recorder's own JSON")
    }

    fn control(&self) -> String {
        format!("{}/_requests", self.url)
    }
}

impl Recorded {
    /// The body's bytes.
    pub(crate) fn body(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.body_base64).expect("the recorder's own base64")
    }

    /// All values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }
}
