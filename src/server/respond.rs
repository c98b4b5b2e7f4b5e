//! From a failure to an answer: the one place that decides status, code and words. The person gets a
//! sentence that helps, the log gets the cause, and neither gets a secret.

mod problems;

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use self::problems::{
    application_problem, broker_problem, items_problem, shutting_down, unknown_integration, upstream_problem,
};
use super::body::Body;
use super::denials::Denied;
use super::forward::ForwardError;
use super::listen::EarlyAnswer;
use super::origin::Misdirected;
use super::reload::Notice;
use crate::broker::BrokerError;
use crate::items;
use crate::route::TargetError;
use crate::upstream::UpstreamError;

/// The header that says an answer is Keyferry's own.
pub(crate) const KEYFERRY_ERROR: HeaderName = HeaderName::from_static("keyferry-error");

/// The methods that a 405 of the call path names; others of their kind are forwarded as well.
pub(crate) const FORWARDED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// Malformed, with a sentence for its author.
    BadRequest(String),
    /// No session or key, or a wrong one.
    Unauthenticated,
    /// Outside the caller's scope, or another person's.
    Forbidden(Denied),
    /// The open mode behind a proxy.
    Forwarded,
    /// A foreign page.
    CrossSite,
    /// Under the application's login: a provider's answer as a document, script or worker.
    NotFetched,
    /// No integration of that name.
    UnknownIntegration,
    /// Nothing is here.
    NotFound,
    /// No connection has that id, unless it is one of so many records that do not open.
    UnknownConnection {
        /// How many.
        unopenable: usize,
    },
    /// What may be done once at a time is being done.
    AlreadyRunning,
    /// The endpoint knows other methods.
    MethodNotAllowed(&'static str),
    /// A form or JSON body past the limit.
    TooLarge,
    /// A body of a type that the endpoint does not read.
    UnsupportedMediaType,
    /// A Host that is not ours.
    WrongHost,
    /// More header bytes or fields than allowed.
    HeadersTooLarge,
    /// The request has been here before.
    LoopDetected,
    /// SIGTERM came.
    ShuttingDown,
    /// The broker could not; with the page where the person may connect.
    Broker(BrokerError, Option<String>),
    /// The call could not be made.
    Upstream(UpstreamError),
    /// Nothing of a list could be read.
    Items(items::Problem),
    /// The application behind us gave no answer.
    Application(UpstreamError),
    /// The application's own login says that nobody is there.
    NotLoggedIn,
    /// Who is logged in cannot be found out now, for the log's reason.
    LoginUnknown(String),
    /// No admin key is configured, so nobody can prove that they have it.
    NoAdminKey,
    /// The admin key is missing or wrong.
    WrongAdminKey,
    /// The configuration that was to be loaded has these mistakes.
    Misconfigured(Vec<Notice>),
}

/// What an error becomes.
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    retry_after: Option<Duration>,
    connect_url: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: &str) -> Self {
        Self { status, code, detail: detail.to_owned(), retry_after: None, connect_url: None }
    }

    /// As `Retry-After` has it.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(whole_seconds)
    }
}

impl HttpError {
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::BadRequest(detail.into())
    }

    pub(crate) fn broker(error: BrokerError) -> Self {
        Self::Broker(error, None)
    }

    /// Whether whoever asked went away in the middle of the request, so that nobody hears the answer.
    pub(crate) fn is_for_nobody(&self) -> bool {
        matches!(self, Self::Upstream(error) if error.is_callers_end())
    }

    /// Status, code and words.
    pub(crate) fn problem(&self) -> Problem {
        let plain = Problem::new;
        match self {
            Self::BadRequest(detail) => plain(StatusCode::BAD_REQUEST, "bad_request", detail),
            Self::Unauthenticated => plain(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Send a Keyferry session (kfs_…) or API key (kf_…) in Authorization; there was none, or it is unknown or over.",
            ),
            Self::Forbidden(_) => plain(
                StatusCode::FORBIDDEN,
                "forbidden",
                "This session, key or login does not cover that person, integration or method.",
            ),
            Self::Forwarded => plain(
                StatusCode::FORBIDDEN,
                "forbidden",
                "Without callers Keyferry serves its own machine only, and this request came through a proxy. Configure callers.",
            ),
            Self::CrossSite => plain(
                StatusCode::FORBIDDEN,
                "cross_site",
                "A page of another origin may not ask this. Its origin can be allowed by server.allowed_origins.",
            ),
            Self::NotFetched => plain(
                StatusCode::FORBIDDEN,
                "cross_site",
                "A provider's answer is no page and no script of the application: ask for it with fetch().",
            ),
            Self::UnknownIntegration => unknown_integration(),
            Self::NotFound => plain(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address."),
            Self::UnknownConnection { unopenable } => plain(
                StatusCode::NOT_FOUND,
                "not_found",
                &match unopenable {
                    0 => "No connection has this id.".to_owned(),
                    1 => "No connection that can be read has this id; one record cannot be opened with the configured store keys.".to_owned(),
                    count => format!(
                        "No connection that can be read has this id; {count} records cannot be opened with the configured store keys."
                    ),
                },
            ),
            Self::AlreadyRunning => plain(
                StatusCode::CONFLICT,
                "already_running",
                "This is being done already, here or in another replica. It goes on by itself; ask again when it is done.",
            ),
            Self::MethodNotAllowed(_) => {
                plain(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This address does not take that method.")
            }
            Self::TooLarge => {
                plain(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is larger than this address takes.")
            }
            Self::UnsupportedMediaType => plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send a form (multipart/form-data or application/x-www-form-urlencoded) or JSON.",
            ),
            Self::WrongHost => plain(
                StatusCode::MISDIRECTED_REQUEST,
                "wrong_host",
                "This Host is not Keyferry's. More names can be allowed by server.allowed_hosts.",
            ),
            Self::HeadersTooLarge => plain(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers_too_large",
                "The request's headers are too large.",
            ),
            Self::LoopDetected => plain(
                StatusCode::LOOP_DETECTED,
                "loop_detected",
                "The request has passed through this Keyferry before.",
            ),
            Self::ShuttingDown => shutting_down(),
            Self::Broker(error, connect_url) => {
                let mut problem = broker_problem(error);
                if problem.status == StatusCode::FAILED_DEPENDENCY {
                    problem.connect_url.clone_from(connect_url);
                }
                problem
            }
            Self::Upstream(error) => upstream_problem(error),
            Self::Items(problem) => items_problem(problem),
            Self::Application(error) => application_problem(error),
            Self::NotLoggedIn => plain(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Log in to the application first: this request carries no login of it, or one that is over.",
            ),
            Self::LoginUnknown(_) => Problem {
                retry_after: Some(Duration::from_secs(1)),
                ..plain(
                    StatusCode::BAD_GATEWAY,
                    "upstream_unreachable",
                    "It cannot be found out at the moment who is logged in to the application. Try again.",
                )
            },
            Self::NoAdminKey => plain(
                StatusCode::FORBIDDEN,
                "forbidden",
                "This needs the admin key, and none is configured. `keyferry keys new` makes a key; its hash goes to server.admin_key_hash.",
            ),
            Self::WrongAdminKey => plain(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Send the admin key as `Authorization: Bearer kf_…`; there was none, or it is not the one of server.admin_key_hash.",
            ),
            Self::Misconfigured(mistakes) => plain(
                StatusCode::UNPROCESSABLE_ENTITY,
                "configuration_invalid",
                &match mistakes.len() {
                    1 => "The configuration has a mistake; the one before stays in force.".to_owned(),
                    count => format!("The configuration has {count} mistakes; the one before stays in force."),
                },
            ),
        }
    }

    /// Logs the cause once, where it is decided: our own failures loudly, the caller's mistakes quietly.
    pub(crate) fn log(&self, request_id: &str) {
        let problem = self.problem();
        let (status, code) = (problem.status.as_u16(), problem.code);
        match self {
            // Said once, when the circuit opened.
            Self::Broker(BrokerError::CircuitOpen { .. }, _) => {
                tracing::debug!(request.id = request_id, status, code, "refused");
            }
            Self::Broker(error, _) if problem.status.is_server_error() => {
                tracing::error!(request.id = request_id, status, code, cause = %error, "request failed");
            }
            Self::Upstream(error) => {
                tracing::warn!(request.id = request_id, status, code, cause = %error, "call failed");
            }
            Self::Items(problem) => {
                let (stream, cause, upstream_status) = (&problem.stream, problem.code, problem.status);
                tracing::warn!(
                    request.id = request_id,
                    status,
                    code,
                    stream,
                    cause,
                    upstream_status,
                    "no items could be read"
                );
            }
            Self::Application(error) => {
                let cause = with_causes(error);
                tracing::warn!(request.id = request_id, status, code, cause, "the application did not answer");
            }
            Self::LoginUnknown(cause) => {
                tracing::warn!(request.id = request_id, status, code, cause, "who is logged in could not be found out");
            }
            Self::Broker(error, _) => tracing::info!(request.id = request_id, status, code, cause = %error, "refused"),
            _ => tracing::debug!(request.id = request_id, status, code, "refused"),
        }
    }

    /// As `application/problem+json` (RFC 9457).
    pub(crate) fn respond(&self, request_id: &str) -> Response<Body> {
        let problem = self.problem();
        let mut document = json!({
            "type": format!("urn:keyferry:error:{}", problem.code),
            "title": problem.status.canonical_reason().unwrap_or_default(),
            "status": problem.status.as_u16(),
            "detail": problem.detail,
            "code": problem.code,
            "request_id": request_id,
        });
        if let Some(connect_url) = &problem.connect_url {
            document["connect_url"] = Value::from(connect_url.as_str());
        }
        if let Self::Misconfigured(mistakes) = self {
            document["mistakes"] = mistakes.iter().map(Notice::json).collect();
        }
        let mut response = json_response(problem.status, &document);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.mark(&mut response, &problem);
        response
    }

    /// Puts the headers of an error onto an answer of any shape.
    pub(crate) fn mark(&self, response: &mut Response<Body>, problem: &Problem) {
        response.extensions_mut().insert(EarlyAnswer);
        let headers = response.headers_mut();
        headers.insert(KEYFERRY_ERROR, HeaderValue::from_static(problem.code));
        if let Some(seconds) = problem.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Self::MethodNotAllowed(allow) = self {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if problem.status == StatusCode::UNAUTHORIZED {
            headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"keyferry\""));
        }
    }
}

/// As `Retry-After` counts; never none, which would mean at once.
fn whole_seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX)
}

/// An error with what lies behind it: hosts and causes, never a path or a header.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl From<TargetError> for HttpError {
    fn from(error: TargetError) -> Self {
        Self::BadRequest(format!("The path is not forwarded: {error}."))
    }
}

impl From<Misdirected> for HttpError {
    fn from(misdirected: Misdirected) -> Self {
        match misdirected {
            Misdirected::WrongHost => Self::WrongHost,
            Misdirected::NoHost => Self::bad_request("Send exactly one Host."),
            Misdirected::Forwarded => Self::Forwarded,
        }
    }
}

impl From<BrokerError> for HttpError {
    fn from(error: BrokerError) -> Self {
        Self::broker(error)
    }
}

impl From<ForwardError> for HttpError {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::Target(error) => error.into(),
            ForwardError::Loop(_) => Self::LoopDetected,
            ForwardError::Method(_) => Self::MethodNotAllowed(FORWARDED),
            ForwardError::Upstream(error) => Self::Upstream(error),
        }
    }
}

/// The answer to a request whose head cannot be read, by the status that the HTTP layer found for it.
pub fn malformed(status: StatusCode) -> Response<Bytes> {
    let error = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => HttpError::HeadersTooLarge,
        _ => HttpError::bad_request("The request is not HTTP that can be read."),
    };
    let (head, body) = error.respond("unread").into_parts();
    let body = match body {
        Body::Full(content) => content,
        Body::Empty | Body::Upstream(_) | Body::Items(_) | Body::Progress(_) => Bytes::new(),
    };
    Response::from_parts(head, body)
}

/// JSON of our own: never stored by anybody.
pub(crate) fn json_response(status: StatusCode, document: &Value) -> Response<Body> {
    json_text(status, document.to_string())
}

/// The same of JSON that is text already.
pub(crate) fn json_text(status: StatusCode, document: String) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}
