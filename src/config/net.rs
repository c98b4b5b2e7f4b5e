//! The `[net]` table: what may go out, and how long it may take. And `[log]`, the other table without secrets.

use tracing_subscriber::EnvFilter;
use url::Url;

use super::problem::{Fault, quoted};
use super::reader::{Entry, Kind, Table};
use super::secrets::Resolved;
use super::server::network;
use crate::model::Secret;
use crate::telemetry::audit::Destination;
use crate::telemetry::calls::{Calls, Share, Which};
use crate::telemetry::{self, Format};
use crate::upstream::{AllowedDestination, Settings};

pub(super) fn read(table: &mut Table<'_>) -> Settings {
    let defaults = Settings::default();
    let ca_file = table.readable_file("ca_file", "PEM file with roots beside the compiled-in ones.");
    table.for_example("ca_file", "corporate-ca.pem");
    let doc = "Hosts, addresses and ranges that may be dialled though they are not public.";
    let allow: Vec<AllowedDestination> =
        table.list("allow", doc, destination).into_iter().flatten().map(|(_, destination)| destination).collect();
    table.none_by_default("allow");
    table.for_example("allow", ["gitlab.internal", "10.0.0.0/8"].as_slice());
    let allow_http = table.boolean_or("allow_http", "Whether plain http may leave this machine.", defaults.allow_http);
    let proxy = proxy(table);
    let connect_timeout =
        table.positive_duration_or("connect_timeout", "DNS, TCP and TLS together.", defaults.connect_timeout);
    let doc = "From the end of a request until the head of its answer.";
    let response_timeout = table.positive_duration_or("response_timeout", doc, defaults.response_timeout);
    let idle_timeout =
        table.positive_duration_or("idle_timeout", "Longest silence inside a body.", defaults.idle_timeout);
    let doc = "Idle connections kept for each provider host.";
    let pool_idle_per_host = table.integer_or(
        "pool_idle_per_host",
        doc,
        0..=100_000,
        u32::try_from(defaults.pool_idle_per_host).unwrap_or(u32::MAX),
    );
    let pool_idle_timeout = table.positive_duration_or(
        "pool_idle_timeout",
        "How long an idle connection is kept.",
        defaults.pool_idle_timeout,
    );
    let doc = "Deadline of a whole token, revocation or discovery request.";
    let token_timeout = table.positive_duration_or("token_timeout", doc, defaults.token_timeout);
    let ranges = allow.iter().filter_map(|destination| match destination {
        AllowedDestination::Range(range) => Some(range),
        AllowedDestination::Host(_) => None,
    });
    if ranges.into_iter().any(|range| range.prefix_len() == 0) {
        let fault = "lets every address through, a cloud's metadata service included";
        table.warning("allow", fault, "name the ranges that are meant");
    }
    Settings {
        ca_file,
        allow,
        allow_http,
        proxy,
        connect_timeout,
        response_timeout,
        idle_timeout,
        pool_idle_per_host: pool_idle_per_host.try_into().unwrap_or(usize::MAX),
        pool_idle_timeout,
        token_timeout,
        stage: None,
    }
}

/// Reads the `[log]` table.
pub(super) fn read_log(table: &mut Table<'_>) -> telemetry::Settings {
    let defaults = telemetry::Settings::default();
    let doc = "How log lines are written; by default text on a terminal and json elsewhere.";
    let format = table.word("format", doc, &[("json", Format::Json), ("text", Format::Text)]);
    let level = table.parsed("level", "What is logged: error to trace, or for example keyferry=debug,warn.", level);
    let level = level.unwrap_or(table.by_default("level", defaults.level, |level| level.as_str().into()));
    table.for_example("level", "keyferry=debug,warn");
    let which = [("all", Which::All), ("failed", Which::Failed), ("off", Which::Off)];
    let which = table.word_or("calls", "Which calls through /proxy have a log line.", &which, Which::All);
    let doc = "The share of well-answered calls that have one, from 0 to 1; failed calls always have.";
    let sample = table.share_or("call_sample", doc, 1.0);
    let doc = "Whether a call's line holds its path, which may hold a secret at some providers; never its query.";
    let paths = table.boolean_or("call_paths", doc, false);
    let doc = "Where audit events go: log, off, or the path of a file that JSON lines are appended to.";
    let audit = table.value("audit", Kind::Either(vec![Kind::Word(vec!["log", "off"]), Kind::Path]), doc, audit);
    telemetry::Settings {
        format,
        level,
        calls: Calls { which, sample: Share::new(sample).unwrap_or(Share::ALL), paths },
        audit: audit.unwrap_or(table.by_default("audit", Destination::Log, |_| "log".into())),
    }
}

fn audit(entry: &Entry<'_>) -> Result<Destination, Fault> {
    Ok(match entry.text()? {
        "log" => Destination::Log,
        "off" => Destination::Off,
        _ => Destination::File(entry.path()?),
    })
}

fn destination(text: &str) -> Result<AllowedDestination, Fault> {
    const REMEDY: &str = "write for example `gitlab.internal` or `10.0.0.0/8`";
    if let Ok(range) = network(text) {
        return Ok(AllowedDestination::Range(range));
    }
    let is_name = text
        .split('.')
        .all(|label| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    // `10.0.0` would be a name that nobody means.
    let is_number = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_name && !is_number {
        return Ok(AllowedDestination::Host(text.to_owned()));
    }
    Err(Fault::new(format!("{} is not a host, an address or a range", quoted(text)), REMEDY))
}

/// A secret, since it may hold a login; no part of it is shown.
fn proxy(table: &mut Table<'_>) -> Option<Secret> {
    const REMEDY: &str = "write for example `http://proxy.internal:3128`";
    let doc = "An HTTP proxy for everything outbound, dialled with CONNECT: http://[user:password@]host:port.";
    let written = table.secret("proxy", doc);
    table.for_example("proxy", "http://proxy.internal:3128");
    let secret = match written? {
        Resolved::Found(secret) => secret,
        Resolved::Missing(why) => {
            table.mistake("proxy", format!("refers to a URL that is not there: {why}"), "set it or remove the key");
            return None;
        }
    };
    let fault = match Url::parse(secret.expose()) {
        Err(_) => "is not a URL",
        Ok(url) if url.scheme() != "http" || url.host().is_none() => "is not an http URL",
        Ok(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            "holds more than login, host and port"
        }
        Ok(_) => return Some(secret),
    };
    table.mistake("proxy", fault, REMEDY);
    None
}

/// A bare word is taken for a module by the filter's own grammar, so a misspelt level would silently log everything.
fn level(text: &str) -> Result<String, Fault> {
    const REMEDY: &str = "write `error`, `warn`, `info`, `debug`, `trace`, or for example `keyferry=debug,warn`";
    let is_level = |word: &str| {
        matches!(word.to_ascii_lowercase().as_str(), "off" | "error" | "warn" | "info" | "debug" | "trace")
    };
    let misspelt = text.split(',').map(str::trim).find(|part| !part.contains(['=', ':', '[']) && !is_level(part));
    if misspelt.is_some() || EnvFilter::builder().parse(text).is_err() {
        return Err(Fault::new(format!("{} does not say what to log", quoted(text)), REMEDY));
    }
    Ok(text.to_owned())
}
