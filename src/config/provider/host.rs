//! URLs of a provider file, and who may choose their host. Secrets are sent to these hosts, so a host is written out,
//! or chosen from a list, or lies under a domain that is written out. Only the operator may choose a whole one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use regex_lite::Regex;
use url::{Host, Url};

use super::names::{Chooser, Name, Names, Values};
use super::pattern::{Endings, HostPattern, is_host_character};
use crate::config::problem::{Fault, quoted, quoted_url};
use crate::mapping::{Encoding, Template};

/// Most hosts that closed lists may combine to.
const MOST_HOSTS: usize = 1024;

/// What stands around a name when a template is looked at as text. Neither can stand in a URL.
const BEFORE: char = '\u{1}';
const AFTER: char = '\u{2}';

/// Checks URL templates of one provider file, and remembers which names have to be held to a host's characters.
pub(super) struct HostRule<'a> {
    pub(super) names: &'a Names,
    /// Whether plain http may leave this machine (`net.allow_http`).
    pub(super) allow_http: bool,
    /// Names without a pattern of their own that stand in a host: each gets the pattern of that part.
    pub(super) guards: BTreeMap<String, Guard>,
}

/// The pattern of a part of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// One label.
    Label,
    /// A whole host.
    Host,
}

impl Guard {
    /// The pattern; it matches whole values only.
    pub(super) fn pattern(self) -> Regex {
        let text = match self {
            Self::Label => "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$",
            Self::Host => "^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$",
        };
        Regex::new(text).expect("a regular expression without a mistake")
    }
}

enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

impl HostRule<'_> {
    /// Checks a URL template: its scheme, that it has no user name, and who chooses its host.
    pub(super) fn check(&mut self, template: &Template) -> Result<(), Fault> {
        let mark = |name: &str| Some(format!("{BEFORE}{name}{AFTER}").into());
        let text = template.render(Encoding::Raw, mark).unwrap_or_default();
        let is_mark = |c: char| c == BEFORE || c == AFTER;
        if text.chars().any(|c| (c.is_whitespace() || c.is_control() || c == '\\') && !is_mark(c)) {
            return Err(Fault::new("holds white space, a control character or `\\`", "remove it or percent-encode it"));
        }
        if let Some((name, rest)) = text.strip_prefix(BEFORE).and_then(|text| text.split_once(AFTER)) {
            if !rest.is_empty() && !rest.starts_with(['/', '?', '#']) {
                let fault = format!("goes on in the host behind `{{{name}}}`, which stands for scheme and host");
                return Err(Fault::new(fault, "write `/` behind it, or `https://` before it"));
            }
            return self.root(name);
        }
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        else {
            return Err(Fault::new("is not an https URL", "begin it with `https://`"));
        };
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        if authority.contains('@') {
            return Err(Fault::new(
                "holds a user name or password",
                "remove it; credentials belong to the integration",
            ));
        }
        let (host, port) = split_port(authority);
        if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(Fault::new("has a port that is not a number from 1 to 65535", "write the port out"));
        }
        if host.contains(BEFORE) {
            if scheme == "http" && !self.allow_http {
                return Err(Fault::new("is plain http towards a host that is not written out", "write `https://`"));
            }
            return self.parts(&parts(host));
        }
        check_constant_url(&format!("{scheme}://{authority}/"), self.allow_http)
    }

    /// A name that stands for scheme and host together.
    fn root(&self, name: &str) -> Result<(), Fault> {
        let known = self.known(name)?;
        match &known.values {
            Values::Closed(urls) => urls.iter().try_for_each(|url| check_constant_url(url, self.allow_http)),
            // What the operator writes is checked as a URL when the integration is read.
            Values::Open(_) if known.chooser == Chooser::Operator => Ok(()),
            Values::Open(None) => {
                Err(unguarded(name, "give it a `pattern` such as `^https://[a-z0-9-]+\\.example\\.com$`"))
            }
            Values::Open(Some(pattern)) if HostPattern::of_url(pattern)?.stays_in_its_domain() => Ok(()),
            Values::Open(Some(_)) => {
                Err(unguarded(name, "end the host of its `pattern` in a domain that is written out"))
            }
        }
    }

    /// A host from its end: once a domain is fixed, what stands before it can only choose a name under that domain.
    fn parts(&mut self, parts: &[Part<'_>]) -> Result<(), Fault> {
        let mut tails = vec![String::new()];
        let mut is_fixed = false;
        for part in parts.iter().rev() {
            let choices = match part {
                Part::Text(text) if text.chars().all(is_host_character) => vec![(*text).to_owned()],
                Part::Text(_) => {
                    return Err(Fault::new(
                        "has a host that is none",
                        "write for example `https://{name}.example.com`",
                    ));
                }
                Part::Name(name) => match self.known(name)?.values.clone() {
                    Values::Closed(values) => closed(name, values)?,
                    Values::Open(pattern) => {
                        let shape = pattern.as_deref().map(HostPattern::of_host).transpose()?;
                        is_fixed = is_fixed || tails.iter().all(|tail| has_fixed_parent(tail));
                        match shape.map(|shape| shape.endings()) {
                            None => {
                                self.guard(name, is_fixed)?;
                                is_fixed = true;
                                continue;
                            }
                            Some(_) if is_fixed => continue,
                            Some(Endings::Closed(values)) => closed(name, values)?,
                            Some(Endings::Open(endings)) => {
                                let mut all =
                                    endings.iter().flat_map(|end| tails.iter().map(move |tail| format!("{end}{tail}")));
                                if !all.all(|tail| has_fixed_parent(&tail)) && !self.is_operators(name) {
                                    return Err(unguarded(name, REMEDY));
                                }
                                is_fixed = true;
                                continue;
                            }
                        }
                    }
                },
            };
            if is_fixed {
                continue;
            }
            if choices.len() * tails.len() > MOST_HOSTS {
                return Err(Fault::new("can be one of too many hosts", "use shorter lists"));
            }
            tails = choices.iter().flat_map(|choice| tails.iter().map(move |tail| format!("{choice}{tail}"))).collect();
        }
        if is_fixed {
            Ok(())
        } else {
            tails.iter().try_for_each(|host| check_constant_url(&format!("https://{host}/"), false))
        }
    }

    /// A name without list or pattern: held to the characters of a label under a fixed domain; anywhere else only the
    /// operator may set it.
    fn guard(&mut self, name: &str, is_fixed: bool) -> Result<(), Fault> {
        let guard = match (is_fixed, self.is_operators(name)) {
            (true, _) => Guard::Label,
            (false, true) => Guard::Host,
            (false, false) => return Err(unguarded(name, REMEDY)),
        };
        // In two hosts, the narrower guard holds for both.
        let present = self.guards.entry(name.to_owned()).or_insert(guard);
        if guard == Guard::Label {
            *present = Guard::Label;
        }
        Ok(())
    }

    fn is_operators(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|name| name.chooser == Chooser::Operator)
    }

    fn known(&self, name: &str) -> Result<&Name, Fault> {
        self.names
            .get(name)
            .ok_or_else(|| Fault::new(format!("lets `{{{name}}}` choose a host"), "use a variable there"))
    }
}

const REMEDY: &str = "list its values in `enum` or `map`, let a fixed domain such as `.example.com` follow, or make it a \
                      variable with source = \"operator\"";

fn unguarded(name: &str, remedy: &str) -> Fault {
    Fault::new(format!("lets `{{{name}}}` choose the host that secrets are sent to"), remedy)
}

/// The values of a closed list, each fit to be a part of a host.
fn closed(name: &str, values: Vec<String>) -> Result<Vec<String>, Fault> {
    match values.iter().find(|value| value.is_empty() || !value.chars().all(is_host_character)) {
        Some(value) => {
            let fault = format!("puts `{{{name}}}` into its host, which may be {}", quoted(value));
            Err(Fault::new(fault, "list only letters, digits, `-` and `.`"))
        }
        None => Ok(values),
    }
}

/// A URL whose scheme, host and port are written out.
pub(in crate::config) fn check_constant_url(text: &str, allow_http: bool) -> Result<(), Fault> {
    let not_a_url = || {
        Fault::new(format!("{} is not an https URL", quoted_url(text)), "write for example `https://api.example.com`")
    };
    let url = Url::parse(text).map_err(|_| not_a_url())?;
    let host = url.host().ok_or_else(not_a_url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("holds a user name or password", "remove it; credentials belong to the integration"));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if allow_http || is_loopback(&host) => Ok(()),
        "http" => {
            Err(Fault::new("is plain http", "write `https://`; plain http is for loopback hosts, or net.allow_http"))
        }
        _ => Err(not_a_url()),
    }
}

/// `localhost` and the loopback addresses.
pub(in crate::config) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).to_canonical().is_loopback(),
    }
}

/// Host and port of an authority; the colons of an IPv6 literal are not the port's.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    if authority.starts_with('[')
        && let Some(end) = authority.find(']')
    {
        let (host, rest) = authority.split_at(end + 1);
        return (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or("?")) });
    }
    authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
}

fn parts(host: &str) -> Vec<Part<'_>> {
    let pieces = host.split(BEFORE).enumerate().flat_map(|(position, piece)| match piece.split_once(AFTER) {
        Some((name, text)) if position > 0 => [Some(Part::Name(name)), Some(Part::Text(text))],
        _ => [None, Some(Part::Text(piece))],
    });
    pieces.flatten().collect()
}

/// True when nothing put directly before this text can leave a domain that the text names: what follows its first dot
/// has at least two labels, and is not merely a country's `co.uk`.
pub(super) fn has_fixed_parent(tail: &str) -> bool {
    const SECOND_LEVEL: [&str; 12] = ["ac", "co", "com", "edu", "go", "gob", "gov", "ne", "net", "nom", "or", "org"];
    let Some((_, parent)) = tail.split_once('.') else { return false };
    let labels: Vec<&str> = parent.split('.').collect();
    let last = labels.last().copied().unwrap_or_default();
    let is_suffix_only = labels.len() == 2 && last.len() == 2 && SECOND_LEVEL.contains(&labels[0]);
    labels.len() >= 2
        && !is_suffix_only
        && !last.bytes().all(|byte| byte.is_ascii_digit())
        && labels.iter().all(|label| !label.is_empty() && label.chars().all(is_host_character))
}

#[cfg(test)]
mod tests;
