//! Which addresses may be dialled. A host can be chosen by a variable or a captured value and its DNS by anybody, so
//! what counts is the address itself, looked at in every spelling that leads to it. Decides only; resolves and dials
//! nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::AllowedDestination;

/// The part of `[net]` that decides about addresses.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) allow: Vec<AllowedDestination>,
    pub(super) allow_http: bool,
}

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not a public address.
    #[error("{address} is {kind}; name the host or the range in [net] allow if it is meant")]
    NotPublic {
        /// The address that the host stands for.
        address: IpAddr,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// It hands out a machine's credentials.
    #[error("{0} is a cloud's metadata service; only that very address or host in [net] allow opens it")]
    Metadata(IpAddr),
    /// The URL is plain http and the address is not this machine.
    #[error("plain http would carry a token unprotected beyond this machine; use https, or set [net] allow_http")]
    PlainHttp,
    /// The name has no address at all.
    #[error("the name has no address")]
    NoAddress,
}

/// A host as it is about to be dialled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    pub(super) https: bool,
    pub(super) trusted_as_written: bool,
}

impl Policy {
    /// Whether this address may be dialled for that host.
    pub(super) fn check(&self, asked: Asked<'_>, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let kind = kind(address);
        let is_loopback = matches!(kind, Kind::Special(LOOPBACK));
        match kind {
            Kind::Public => {}
            Kind::Metadata if self.names_exactly(asked.host, address) => {}
            Kind::Metadata => return Err(Refusal::Metadata(address)),
            Kind::Special(_) if asked.trusted_as_written && is_what_is_written(asked.host, address) => {}
            Kind::Special(_) if self.allow.iter().any(|entry| entry.permits(asked.host, address)) => {}
            Kind::Special(kind) => return Err(Refusal::NotPublic { address, kind }),
        }
        if asked.https || is_loopback || self.allow_http { Ok(()) } else { Err(Refusal::PlainHttp) }
    }

    /// A wide range or a name whose DNS moves is not enough to reach a metadata service.
    fn names_exactly(&self, host: &str, address: IpAddr) -> bool {
        self.allow.iter().any(|entry| match entry {
            AllowedDestination::Host(name) => {
                name.eq_ignore_ascii_case(host)
                    && (host.parse() == Ok(address) || host.eq_ignore_ascii_case("metadata.google.internal"))
            }
            AllowedDestination::Range(range) => {
                range.prefix_len() == range.max_prefix_len() && range.contains(&address)
            }
        })
    }
}

/// The address that a trusted literal spells; `localhost` may stand for any loopback address and for nothing else.
fn is_what_is_written(host: &str, address: IpAddr) -> bool {
    if host == "localhost" {
        address.is_loopback()
    } else {
        host.parse::<IpAddr>().is_ok_and(|written| written.to_canonical() == address)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Metadata,
    Special(&'static str),
}

const LOOPBACK: &str = "a loopback address";
const PRIVATE: &str = "a private address";
const LINK_LOCAL: &str = "a link-local address";
const SHARED: &str = "an address shared by a carrier's customers";
const MULTICAST: &str = "a multicast address";
const RESERVED: &str = "an address that leads to no public host";

fn kind(address: IpAddr) -> Kind {
    match address.to_canonical() {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

/// IANA's special-purpose registry, and the addresses under which clouds hand out credentials.
fn kind_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [169, 254, 42, 42] => Kind::Metadata,
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => Kind::Metadata,
        [127, ..] => Kind::Special(LOOPBACK),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Special(PRIVATE),
        [169, 254, ..] => Kind::Special(LINK_LOCAL),
        [100, 64..=127, ..] => Kind::Special(SHARED),
        [224..=239, ..] => Kind::Special(MULTICAST),
        [0, ..] | [240..=255, ..] => Kind::Special(RESERVED),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] => Kind::Special(RESERVED),
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Special(RESERVED),
        _ => Kind::Public,
    }
}

/// Only 2000::/3 is global unicast; the transition mechanisms inside and outside of it are judged by the IPv4 address
/// that they lead to.
fn kind_v6(address: Ipv6Addr) -> Kind {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        kind_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Kind::Metadata,
        [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42] => Kind::Metadata,
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Special(LOOPBACK),
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Special(RESERVED),
        // IPv4-compatible (RFC 4291 section 2.5.5.1), IPv4-translated (RFC 7915), NAT64 (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo hides the address, ISATAP tunnels to it, documentation prefixes lead nowhere.
        [0x2001, 0, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Special(RESERVED),
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] if embedded(high, low) != Kind::Public => embedded(high, low),
        [0xfc00..=0xfdff, ..] => Kind::Special(PRIVATE),
        [0xfe80..=0xfebf, ..] => Kind::Special(LINK_LOCAL),
        [0xff00..=0xffff, ..] => Kind::Special(MULTICAST),
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Special(RESERVED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn kinds() {
        fn check(text: &str, expected: Kind) {
            assert_eq!(kind(address(text)), expected, "{text}");
        }
        for public in
            ["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2606:4700::1111", "192.0.1.1"]
        {
            check(public, Kind::Public);
        }
        for metadata in ["169.254.169.254", "::ffff:169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192"]
        {
            check(metadata, Kind::Metadata);
        }
        for metadata in
            ["fd00:ec2::254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254", "168.63.129.16"]
        {
            check(metadata, Kind::Metadata);
        }
        for loopback in ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
        {
            check(loopback, Kind::Special(LOOPBACK));
        }
        for private in
            ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd12::1", "::ffff:10.1.1.1"]
        {
            check(private, Kind::Special(PRIVATE));
        }
        for local in ["169.254.0.1", "fe80::1", "febf::1", "2001:470::5efe:a9fe:1"] {
            check(local, Kind::Special(LINK_LOCAL));
        }
        check("100.64.0.1", Kind::Special(SHARED));
        for multicast in ["224.0.0.1", "239.1.1.1", "ff02::1"] {
            check(multicast, Kind::Special(MULTICAST));
        }
        for reserved in ["0.0.0.0", "0.1.2.3", "::", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"] {
            check(reserved, Kind::Special(RESERVED));
        }
        for reserved in ["198.51.100.7", "203.0.113.9", "2001:db8::1", "2001::1", "fec0::1", "100::1", "64:ff9b:1::1"] {
            check(reserved, Kind::Special(RESERVED));
        }
    }

    #[test]
    fn what_is_dialled() {
        fn check(allow: &[&str], url: &str, trusted_as_written: bool, dialled: &str, expected: bool) {
            let allow = allow
                .iter()
                .map(|entry| match entry.parse() {
                    Ok(range) => AllowedDestination::Range(range),
                    Err(_) => AllowedDestination::Host((*entry).to_owned()),
                })
                .collect();
            let policy = Policy { allow, allow_http: false };
            let (scheme, host) = url.split_once("://").expect("a URL");
            let asked = Asked { host, https: scheme == "https", trusted_as_written };
            let outcome = policy.check(asked, address(dialled));
            assert_eq!(outcome.is_ok(), expected, "{url} at {dialled}: {outcome:?}");
        }
        check(&[], "https://a.example", false, "1.1.1.1", true);
        check(&[], "https://a.example", false, "10.0.0.1", false);
        check(&["10.0.0.0/8"], "https://a.example", false, "10.0.0.1", true);
        check(&["10.0.0.0/8"], "https://a.example", false, "::ffff:10.0.0.1", true);
        check(&["10.0.0.0/8"], "https://a.example", false, "192.168.0.1", false);
        check(&["GitLab.internal"], "https://gitlab.internal", false, "192.168.0.1", true);
        check(&["gitlab.internal"], "https://other.internal", false, "192.168.0.1", false);
        // What is written is trusted, and nothing else is.
        check(&[], "http://127.0.0.1", true, "127.0.0.1", true);
        check(&[], "http://127.0.0.1", false, "127.0.0.1", false);
        check(&[], "http://localhost", true, "::1", true);
        check(&[], "http://localhost", true, "10.0.0.1", false);
        check(&[], "http://localhost", false, "127.0.0.1", false);
        check(&[], "https://10.0.0.7", true, "10.0.0.7", true);
        check(&[], "https://10.0.0.7", true, "10.0.0.8", false);
        // Metadata services open to their own address and to nothing wider.
        check(&[], "http://169.254.169.254", true, "169.254.169.254", false);
        check(&["169.254.0.0/16"], "https://a.example", false, "169.254.169.254", false);
        check(&["a.example"], "https://a.example", false, "169.254.169.254", false);
        check(&["169.254.169.254/32"], "https://a.example", false, "169.254.169.254", true);
        check(&["169.254.169.254"], "https://169.254.169.254", false, "169.254.169.254", true);
        // Plain http stays on this machine.
        check(&[], "http://a.example", false, "1.1.1.1", false);
        check(&["10.0.0.0/8"], "http://a.example", false, "10.0.0.1", false);
        check(&[], "http://10.0.0.7", true, "10.0.0.7", false);
        check(&["127.0.0.0/8"], "http://a.example", false, "127.0.0.1", true);
    }
}
