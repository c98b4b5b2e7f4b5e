//! Who plays the provider: a small HTTP server on loopback that remembers what it is asked and answers as it was told.
//! It stands where everything is dialled, so that it hears the requests as a vendor would, host names included.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// What a request is for, as its URL tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// The issuer's metadata.
    Metadata,
    /// Token and refresh endpoint.
    Token,
    Revocation,
    Introspection,
    /// A request after the code exchange, by its number in the file.
    Exchange(usize),
    Discovery(usize),
    Api,
    /// None that the file speaks of.
    Unknown,
}

/// An endpoint and its part. A scheme is not told to whoever is dialled, and counts for nothing.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) part: Part,
    pub(super) url: Url,
}

/// One answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// This one, at once.
    Now { status: u16, content_type: &'static str, body: String },
    /// None, ever.
    Never,
}

/// A request as it came, and what was answered.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) part: Part,
    pub(super) method: String,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) answer: Answer,
}

/// The running player. It ends when this goes.
pub(super) struct Player {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    cast: Vec<Endpoint>,
    /// Hosts that the file writes with `http://`.
    plain: Vec<String>,
    cues: HashMap<Part, VecDeque<Answer>>,
    /// What is answered when there is no cue.
    by_default: HashMap<Part, Answer>,
    heard: Vec<Heard>,
}

impl Answer {
    /// JSON, with status 200.
    pub(super) fn json(document: &serde_json::Value) -> Self {
        Self::json_with(200, document)
    }

    /// JSON.
    pub(super) fn json_with(status: u16, document: &serde_json::Value) -> Self {
        Self::Now { status, content_type: "application/json", body: document.to_string() }
    }
}

impl Player {
    /// Starts it on a port of its own. `plain` are the authorities that are written with `http://`.
    pub(super) async fn start(cast: Vec<Endpoint>, plain: Vec<String>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Mutex::new(Script { cast, plain, ..Script::default() }));
        let shared = Arc::clone(&script);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(|request| respond(&script, request));
                    let http = hyper::server::conn::http1::Builder::new();
                    // A connection that ends early is the scenario's to notice.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, script, serving })
    }

    /// Where it stands.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Endpoints are here from now on.
    pub(super) fn recast(&self, cast: Vec<Endpoint>) {
        lock(&self.script).cast = cast;
    }

    /// What the next request of that part is answered.
    pub(super) fn cue(&self, part: Part, answer: Answer) {
        lock(&self.script).cues.entry(part).or_default().push_back(answer);
    }

    /// What requests of that part are answered when nothing else was said.
    pub(super) fn by_default(&self, part: Part, answer: Answer) {
        lock(&self.script).by_default.insert(part, answer);
    }

    /// The requests since the last time.
    pub(super) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut lock(&self.script).heard)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn respond(script: &Mutex<Script>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
    let answer = {
        let mut script = lock(script);
        let url = script.url(&head.uri, &head.headers);
        let part = url.as_ref().map_or(Part::Unknown, |url| script.part(url));
        let cue = script.cues.get_mut(&part).and_then(VecDeque::pop_front);
        let answer = cue.or_else(|| script.by_default.get(&part).cloned()).unwrap_or_else(|| Answer::Now {
            status: 500,
            content_type: "text/plain",
            body: "nobody expected this request".into(),
        });
        if let Some(url) = url {
            let method = head.method.to_string();
            script.heard.push(Heard { part, method, url, headers: head.headers, body, answer: answer.clone() });
        }
        answer
    };
    let Answer::Now { status, content_type, body } = answer else { return std::future::pending().await };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    Ok(response)
}

impl Script {
    /// The URL as the file has it. Small requests come in the absolute form, calls name their host in `Host`.
    fn url(&self, uri: &Uri, headers: &HeaderMap) -> Option<Url> {
        let host = || headers.get(header::HOST)?.to_str().ok();
        let authority = uri.authority().map(http::uri::Authority::as_str).or_else(host)?;
        let scheme = if self.plain.iter().any(|plain| plain == authority) { "http" } else { "https" };
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Url::parse(&format!("{scheme}://{authority}{path}")).ok()
    }

    fn part(&self, url: &Url) -> Part {
        if url.path().contains("/.well-known/") {
            return Part::Metadata;
        }
        let place = |url: &Url| (url.host_str().map(str::to_owned), url.port());
        let here = |endpoint: &&Endpoint| {
            let below = endpoint.part == Part::Api && url.path().starts_with(endpoint.url.path().trim_end_matches('/'));
            place(&endpoint.url) == place(url) && (below || endpoint.url.path() == url.path())
        };
        // Several may share a URL: then it is the one that somebody waits for.
        let has_cue = |endpoint: &&Endpoint| self.cues.get(&endpoint.part).is_some_and(|cues| !cues.is_empty());
        let waited_for = self.cast.iter().filter(here).find(has_cue);
        waited_for.or_else(|| self.cast.iter().find(here)).map_or(Part::Unknown, |endpoint| endpoint.part)
    }
}
