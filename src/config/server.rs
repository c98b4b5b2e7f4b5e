//! The `[server]` table.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value as Json;
use url::{Host, Url};

use super::callers::key_hash;
use super::library::Folder;
use super::problem::{Fault, quoted, quoted_url};
use super::provider::is_loopback;
use super::reader::{Kind, Table};
use crate::server::{App, Limits, Settings, Tls};

/// A hash as `keyferry keys new` prints one, for descriptions: that of `kf_abc`.
pub(super) const EXAMPLE_HASH: &str = "sha256:ad69a2c3595aa4db9c450e01368c2927666df1c2d12be9730c75740d71a13ea6";

/// The table, before it is known who may call.
#[derive(Debug)]
pub(super) struct Server {
    /// Without callers.
    pub(super) settings: Settings,
    pub(super) public_url_is_derived: bool,
}

/// The folder of the operator's provider files. Read ahead of everything, since names in the environment depend on it.
pub(super) fn providers_folder(table: &mut Table<'_>, directory: &std::path::Path) -> Folder {
    let doc = "Provider files that add to the shipped ones and replace those of the same name.";
    match table.path("providers_dir", doc) {
        Some(path) => Folder { path, named: Some(table.place("providers_dir")) },
        None => Folder { path: directory.join("providers"), named: None },
    }
}

/// Where the admin listener is; `None` when it is switched off. Read by itself for whoever only asks it.
pub(super) fn admin_listen(table: &mut Table<'_>) -> Option<SocketAddr> {
    let doc = "Health, metrics and, with the admin key, the operator's requests; never tokens. \"\" switches it off.";
    let kind = Kind::Either(vec![Kind::Address, Kind::Word(vec![""])]);
    let written = table.parsed_as("admin_listen", kind, doc, |text| {
        if text.is_empty() { Ok(None) } else { socket_address(text).map(Some) }
    });
    let default = SocketAddr::from(([127, 0, 0, 1], 8081));
    written.unwrap_or(Some(table.by_default("admin_listen", default, address)))
}

/// Reads the table.
pub(super) fn read(table: &mut Table<'_>) -> Server {
    let doc = "Where callers and browsers come in; other than loopback needs a caller or a login.";
    let listen = table.parsed_as("listen", Kind::Address, doc, socket_address);
    let listen = listen.unwrap_or(table.by_default("listen", SocketAddr::from(([127, 0, 0, 1], 8080)), address));
    let doc = "What browsers reach us as; redirect URIs are built from it, and never from Host. By default http://localhost \
               with the port of `listen`.";
    let public_url = table.parsed_as("public_url", Kind::Url, doc, public_url);
    table.for_example("public_url", "https://keys.example.com");
    table.path("providers_dir", "Provider files that add to the shipped ones and replace those of the same name.");
    table.by_default("providers_dir", "providers", |folder| (*folder).into());
    let admin_listen = admin_listen(table);
    let doc = "Browser origins that may read answers, receive callback messages and be returned to; exact.";
    let allowed_origins = values(table.list("allowed_origins", doc, origin));
    table.none_by_default("allowed_origins");
    table.for_example("allowed_origins", ["https://app.example.com"].as_slice());
    let doc = "More Host values that are ours, such as a compose service's name. Others are refused in the open mode, and by \
               an admin listener on loopback; elsewhere any is answered.";
    let allowed_hosts = values(table.list("allowed_hosts", doc, allowed_host));
    table.none_by_default("allowed_hosts");
    table.for_example("allowed_hosts", ["keyferry"].as_slice());
    let doc = "Addresses and ranges whose X-Forwarded-* headers are believed and passed on.";
    let trusted_proxies = values(table.list("trusted_proxies", doc, network));
    table.none_by_default("trusted_proxies");
    table.for_example("trusted_proxies", ["10.0.0.0/8"].as_slice());
    let doc = "Put before /integrations and /proxy, where an application owns those.";
    let base_path = table.parsed("base_path", doc, base_path);
    table.by_default("base_path", "", |path| (*path).into());
    table.for_example("base_path", "/keys");
    let doc = "The hash of the admin key; without one the admin listener serves health and metrics only.";
    let admin_key_hash =
        table.parsed("admin_key_hash", doc, |text| if text.is_empty() { Ok(None) } else { key_hash(text).map(Some) });
    table.for_example("admin_key_hash", EXAMPLE_HASH);
    let drain =
        table.duration_or("drain", "How long requests in flight may take after SIGTERM.", Duration::from_secs(30));
    let doc = "How long to go on accepting after SIGTERM, before `drain` begins.";
    let drain_delay = table.duration_or("drain_delay", doc, Duration::ZERO);
    let tls = table.optional_table("tls", "TLS of our own, when there is no other in front.", tls);
    let limits = table.table("limits", "Bounds on what one peer may take.", limits);

    if trusted_proxies.iter().any(|network: &IpNet| network.prefix_len() == 0) {
        let fault = "names everywhere as a proxy to believe";
        table.warning("trusted_proxies", fault, "name the proxy's own addresses");
    }
    if admin_listen.is_some_and(|admin| collide(admin, listen)) {
        table.mistake("admin_listen", format!("is the same as server.listen, {listen}"), "choose another port");
    }
    if public_url.is_none() && !listen.ip().is_loopback() {
        let fault = "is not written, so that links, redirects and the connect page are at localhost";
        table.warning("public_url", fault, "write the URL by which browsers get here");
    }
    if admin_listen.is_some_and(|admin| !admin.ip().is_loopback()) && matches!(admin_key_hash, Some(Some(_))) {
        let fault = "is beyond this machine and plain http: the admin key can be read on its way";
        table.warning("admin_listen", fault, "let only a private network reach it");
    }
    if let Some(url) = &public_url
        && url.scheme() == "http"
        && !is_loopback_url(url)
    {
        let fault = "is plain http: codes and sessions can be read on their way";
        table.warning("public_url", fault, "put TLS in front and write `https://`");
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let derived = || Url::parse(&format!("{scheme}://localhost:{}/", listen.port())).expect("a URL of a number");
    let settings = Settings {
        listen,
        public_url: public_url.clone().unwrap_or_else(derived),
        admin_listen,
        allowed_origins,
        allowed_hosts,
        trusted_proxies,
        base_path: base_path.unwrap_or_default(),
        admin_key_hash: admin_key_hash.flatten(),
        drain,
        drain_delay,
        tls,
        limits,
        callers: Vec::new(),
        app: App::default(),
    };
    Server { settings, public_url_is_derived: public_url.is_none() }
}

/// Without callers nobody has to prove anything, which is lawful on this machine only.
pub(super) fn check_open_mode(table: &Table<'_>, settings: &Settings) {
    if !settings.is_open() {
        return;
    }
    const REMEDY: &str =
        "add a caller ([callers.<name>], which `keyferry keys new` writes) or [app.identity], or keep to loopback";
    if !settings.listen.ip().to_canonical().is_loopback() {
        let fault = format!("listens on {} while nobody has to prove who they are", settings.listen);
        table.mistake("listen", fault, REMEDY);
    }
    if !is_loopback_url(&settings.public_url) {
        table.mistake("public_url", "is not on loopback while nobody has to prove who they are", REMEDY);
    }
}

fn tls(table: &mut Table<'_>) -> Option<Tls> {
    let cert = table.readable_file("cert", "PEM file with the certificate chain, leaf first.");
    let key = table.readable_file("key", "PEM file with the private key.");
    table.for_example("cert", "tls/cert.pem");
    table.for_example("key", "tls/key.pem");
    for name in ["cert", "key"] {
        table.need(name, "[server.tls] needs `cert` and `key`");
    }
    Some(Tls { cert: cert?, key: key? })
}

fn limits(table: &mut Table<'_>) -> Limits {
    let defaults = Limits::default();
    let mut size = |name, doc, bounds, default: usize| {
        let default = u32::try_from(default).unwrap_or(u32::MAX);
        table.integer_or(name, doc, bounds, default).try_into().unwrap_or(usize::MAX)
    };
    // hyper takes no smaller buffer than 8 KiB.
    let header_bytes =
        size("header_bytes", "Largest request head in bytes; more is 431.", 8192..=1 << 20, defaults.header_bytes);
    let headers = size("headers", "Most header fields; more is 431.", 16..=4096, defaults.headers);
    let connections = size("connections", "Most open connections; others wait.", 1..=1_000_000, defaults.connections);
    let doc = "Largest form or JSON body of Keyferry's own endpoints, in bytes; more is 413.";
    let form_bytes = size("form_bytes", doc, 1024..=16 << 20, defaults.form_bytes);
    let streams = table.integer_or("streams", "Most streams of one HTTP/2 connection.", 1..=10_000, defaults.streams);
    let doc = "How long a connection may stay without a request.";
    let idle = table.positive_duration_or("idle", doc, defaults.idle);
    let doc = "How long a request head may take, TLS handshake included.";
    let header_timeout = table.positive_duration_or("header_timeout", doc, defaults.header_timeout);
    Limits { header_bytes, headers, connections, idle, header_timeout, streams, form_bytes }
}

fn values<P, T>(list: Option<Vec<(P, T)>>) -> Vec<T> {
    list.into_iter().flatten().map(|(_, value)| value).collect()
}

fn address(address: &SocketAddr) -> Json {
    address.to_string().into()
}

fn socket_address(text: &str) -> Result<SocketAddr, Fault> {
    let remedy = "write address and port, for example `127.0.0.1:8080` or `[::1]:8080`";
    text.parse().map_err(|_| Fault::new(format!("{} is not an address with a port", quoted(text)), remedy))
}

/// Port 0 is whatever is free, and never the same twice.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    let same_address = one_ip == other_ip || one_ip.is_unspecified() || other_ip.is_unspecified();
    one.port() == other.port() && one.port() != 0 && same_address
}

fn public_url(text: &str) -> Result<Url, Fault> {
    const REMEDY: &str = "write for example `https://keyferry.example.com`";
    let mut url = Url::parse(text).map_err(|_| Fault::new(format!("{} is not a URL", quoted_url(text)), REMEDY))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Fault::new(format!("{} is not an http or https URL", quoted_url(text)), REMEDY));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("holds a user name or password", REMEDY));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new("holds a query or a fragment", REMEDY));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn is_loopback_url(url: &Url) -> bool {
    url.host().is_some_and(|host| is_loopback(&host))
}

/// As a browser writes it in `Origin` (RFC 6454 section 6.2).
fn origin(text: &str) -> Result<String, Fault> {
    const REMEDY: &str = "write scheme, host and port, for example `http://localhost:3000`";
    if text.contains('*') {
        return Err(Fault::new(format!("{} has a wildcard", quoted_url(text)), "write each origin out"));
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let exact = url.map(|url| url.origin().ascii_serialization());
    match exact {
        Some(exact) if exact == text => Ok(exact),
        Some(exact) => {
            Err(Fault::new(format!("{} is not an exact origin", quoted_url(text)), format!("write {}", quoted(&exact))))
        }
        None => Err(Fault::new(format!("{} is not an origin", quoted_url(text)), REMEDY)),
    }
}

/// A `Host` value (RFC 9110 section 7.2): a host, with or without a port.
fn allowed_host(text: &str) -> Result<String, Fault> {
    let fault =
        || Fault::new(format!("{} is not a host", quoted(text)), "write for example `keyferry` or `keyferry:8080`");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_plain = host.starts_with('[') || host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if !is_plain || Host::parse(host).is_err() || port.is_some_and(|port| u16::from_str(port).is_err()) {
        return Err(fault());
    }
    Ok(text.to_ascii_lowercase())
}

/// A range, or an address as a range of one.
pub(super) fn network(text: &str) -> Result<IpNet, Fault> {
    text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
        Fault::new(format!("{} is not an address or a range", quoted(text)), "write for example `10.0.0.0/8`")
    })
}

fn base_path(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let segments_are_plain = text.strip_prefix('/').is_some_and(|rest| {
        rest.split('/')
            .all(|segment| !segment.is_empty() && !matches!(segment, "." | "..") && segment.chars().all(plain))
    });
    if segments_are_plain {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is not a path to put before ours", quoted(text)),
        "begin it with `/`, do not end it with one, and use letters, digits, `-`, `.`, `_` and `~`",
    ))
}
