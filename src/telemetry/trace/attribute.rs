//! The names of attributes: those of OpenTelemetry's conventions for HTTP, and ours. docs/tracing.md describes each; a
//! test holds both together. None of them ever holds a path, a query, a header or a token: `url.full` and `url.path` are
//! left out for that.

/// The method, or `_OTHER`.
pub const METHOD: &str = "http.request.method";
/// How often a request was sent before.
pub const RESEND_COUNT: &str = "http.request.resend_count";
/// The status of the answer.
pub const STATUS_CODE: &str = "http.response.status_code";
/// The endpoint, as a pattern.
pub const ROUTE: &str = "http.route";
/// 1.1 or 2.
pub const PROTOCOL_VERSION: &str = "network.protocol.version";
/// The host that was asked.
pub const SERVER_ADDRESS: &str = "server.address";
/// And its port.
pub const SERVER_PORT: &str = "server.port";
/// Whether the request came by TLS of our own: `https` or `http`.
pub const URL_SCHEME: &str = "url.scheme";
/// Why it did not work: a status, or a word of ours.
pub const ERROR_TYPE: &str = "error.type";
/// The integration's name.
pub const INTEGRATION: &str = "keyferry.integration";
/// The connection's id.
pub const CONNECTION_ID: &str = "keyferry.connection.id";
/// What came of it; the word of logs and metrics.
pub const OUTCOME: &str = "keyferry.outcome";
/// The id of the request in the log.
pub const REQUEST_ID: &str = "keyferry.request.id";
/// Where a token came from: memory, store, refresh or wait.
pub const TOKEN_SOURCE: &str = "keyferry.token.source";

/// Each of them.
pub const ALL: [&str; 14] = [
    METHOD,
    RESEND_COUNT,
    STATUS_CODE,
    ROUTE,
    PROTOCOL_VERSION,
    SERVER_ADDRESS,
    SERVER_PORT,
    URL_SCHEME,
    ERROR_TYPE,
    INTEGRATION,
    CONNECTION_ID,
    OUTCOME,
    REQUEST_ID,
    TOKEN_SOURCE,
];
