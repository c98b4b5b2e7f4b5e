//! The running sidecar, as the command line speaks to it: over HTTP, as any application does. Opens no store and reads
//! no configuration.

use std::time::Duration;

use clap::Args;
use http::HeaderValue;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use url::Url;

use super::{Environment, Failure};
use crate::model::{IntegrationName, Secret};

/// Largest answer that is read, in bytes.
const LARGEST: usize = 1 << 20;

/// Where `keyferry serve` is when nobody says.
const DEFAULT_URL: &str = "http://localhost:8080";

/// How long a list may take; the sidecar has deadlines of its own for every page.
const LONGEST_LIST: Duration = Duration::from_secs(24 * 60 * 60);

/// Which sidecar is asked, by whom and for whom: the arguments of every subcommand that speaks to one.
#[derive(Debug, Args)]
pub(super) struct Connecting {
    /// Organisation whose connection this is [default: `default`, without keys]
    #[arg(long, value_name = "ID")]
    org: Option<String>,

    /// User whose connection this is [default: `default`, without keys]
    #[arg(long, value_name = "ID")]
    user: Option<String>,

    /// Where the sidecar is [default: KEYFERRY_URL, or port 8080 of this machine]
    #[arg(long)]
    url: Option<Url>,

    /// API key or session, when the sidecar asks for one [default: KEYFERRY_KEY, which no process list shows]
    #[arg(long)]
    key: Option<String>,
}

/// One person's view of a running sidecar.
#[derive(Debug)]
pub(super) struct Sidecar {
    /// Without a trailing slash.
    base: String,
    http: reqwest::Client,
    asker: Asker,
}

/// Who asks, for whom. Nothing is needed in the open mode.
#[derive(Debug)]
struct Asker {
    /// An API key or a session.
    key: Option<Secret>,
    org: Option<String>,
    user: Option<String>,
}

/// Why an answer cannot be used.
enum Refusal {
    /// Nothing answered.
    Unreachable(reqwest::Error),
    /// The sidecar refused, in the words of its problem document.
    Problem { status: StatusCode, code: String, detail: String },
    /// What answered is no Keyferry.
    Foreign(StatusCode),
}

impl Sidecar {
    /// Does not speak to it yet.
    pub(super) fn new(connecting: Connecting, environment: &Environment) -> Result<Self, Failure> {
        let Connecting { org, user, url, key } = connecting;
        let url = match url {
            Some(url) => url,
            None => Url::parse(environment.get("KEYFERRY_URL").unwrap_or(DEFAULT_URL))
                .map_err(|error| Failure::other(format!("KEYFERRY_URL is not a URL: {error}")))?,
        };
        let key = key.or_else(|| environment.get("KEYFERRY_KEY").map(str::to_owned)).map(Secret::new);
        if !is_web(&url) || url.query().is_some() || url.fragment().is_some() {
            return Err(Failure::other("--url has to be an http or https address without `?` and `#`"));
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        let http = client().map_err(|error| Failure::other(format!("no HTTP client: {error}")))?;
        Ok(Self { base, http, asker: Asker { key, org, user } })
    }

    /// Where it is, without a trailing slash.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Begins an authorization, with values for the provider's variables and parameters for its page, and gives the URL
    /// that the person is to open.
    pub(super) async fn authorize(
        &self,
        integration: &IntegrationName,
        variables: &[(String, String)],
        params: &[(String, String)],
    ) -> Result<Url, Failure> {
        let named = |prefix: &'static str, pairs: &[(String, String)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| (format!("{prefix}.{name}"), value.clone())).collect()
        };
        let more = [named("variables", variables), named("authorization_params", params)].concat();
        let fields = [("org_id", self.asker.org.as_deref()), ("user_id", self.asker.user.as_deref())];
        let person = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let form: Vec<_> = person.chain(more.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect();
        let request = self.request(Method::POST, integration, "authorize")?;
        let answer = ask(with_form(request, &form)).await.map_err(|refusal| self.explain(refusal))?;
        let url = answer.as_str().and_then(|text| Url::parse(text).ok());
        // The URL goes to the desktop's opener, which knows more schemes than a sidecar has reason to name.
        url.filter(is_web).ok_or_else(|| Failure::other(format!("{} answered no URL to open", self.base)))
    }

    /// The person's connection as the sidecar shows it; `None` when there is none.
    pub(super) async fn connection(&self, integration: &IntegrationName) -> Result<Option<Value>, Failure> {
        match ask(self.request(Method::GET, integration, "connection")?).await {
            Ok(connection) => Ok(Some(connection)),
            Err(Refusal::Problem { code, .. }) if matches!(code.as_str(), "not_connected" | "not_found") => Ok(None),
            Err(refusal) => Err(self.explain(refusal)),
        }
    }

    /// Confirms a finished authorization with its one-time code, and gives the connection.
    pub(super) async fn confirm(&self, integration: &IntegrationName, code: &str) -> Result<Value, Failure> {
        let request = with_form(self.request(Method::POST, integration, "confirm")?, &[("code", code)]);
        ask(request).await.map_err(|refusal| self.explain(refusal))
    }

    /// The lines of a list of items, as they come.
    pub(super) async fn items(
        &self,
        integration: &IntegrationName,
        query: &[(&str, Option<&str>)],
    ) -> Result<Lines<'_>, Failure> {
        let pairs = query.iter().filter_map(|(name, value)| Some((name, (*value)?)));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = self.request(Method::GET, integration, &format!("items?{query}"))?.timeout(LONGEST_LIST);
        let request = request.header(http::header::ACCEPT, "application/x-ndjson");
        let answer = request.send().await.map_err(Refusal::Unreachable);
        let answer = match answer {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(answer),
            Ok(answer) => Err(refusal(answer).await),
            Err(refusal) => Err(refusal),
        };
        let response = answer.map_err(|refusal| self.explain(refusal))?;
        Ok(Lines { sidecar: self, response, buffer: Vec::new(), taken: 0 })
    }

    fn request(&self, method: Method, integration: &IntegrationName, what: &str) -> Result<RequestBuilder, Failure> {
        let mut request = self.http.request(method, format!("{}/integrations/{integration}/{what}", self.base));
        for (name, value) in [("keyferry-org", &self.asker.org), ("keyferry-user", &self.asker.user)] {
            if let Some(value) = value {
                let value = HeaderValue::from_bytes(value.as_bytes());
                request =
                    request.header(name, value.map_err(|_| Failure::other("--org or --user holds a line break"))?);
            }
        }
        Ok(match &self.asker.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        })
    }

    fn explain(&self, refusal: Refusal) -> Failure {
        let base = &self.base;
        Failure::other(match refusal {
            Refusal::Unreachable(error) if error.is_connect() => {
                format!("nothing answers at {base}; start it with `keyferry serve`, or name another address with --url")
            }
            Refusal::Unreachable(error) => format!("{base} did not answer: {}", error.without_url()),
            Refusal::Problem { status, code, detail } => {
                let hint = match (code.as_str(), &self.asker.key) {
                    ("unauthenticated", None) => "\nThis sidecar asks for a key: pass one with --key or KEYFERRY_KEY.",
                    ("unauthenticated", Some(_)) => {
                        "\nThe key is not one of its callers' keys, or the session has ended."
                    }
                    _ => "",
                };
                format!("{base} answered {} {code}: {detail}{hint}", status.as_u16())
            }
            Refusal::Foreign(status) => {
                format!("{base} answered {}, and not as a Keyferry does; is --url right?", status.as_u16())
            }
        })
    }
}

/// The trust of this machine, where a company's own authority may stand; a machine without any has the roots compiled
/// in.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    let builder = || {
        let redirects = reqwest::redirect::Policy::none();
        reqwest::Client::builder()
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

fn with_form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
}

async fn ask(request: RequestBuilder) -> Result<Value, Refusal> {
    let response =
        request.header(http::header::ACCEPT, "application/json").send().await.map_err(Refusal::Unreachable)?;
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
    sidecar: &'a Sidecar,
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
            if searched > LARGEST {
                return Err(Failure::other(format!("{} answered no lines", self.sidecar.base)));
            }
            let piece = self.response.chunk().await.map_err(Refusal::Unreachable);
            match piece.map_err(|refusal| self.sidecar.explain(refusal))? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}
