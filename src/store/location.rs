//! Where the store is: the text of `[store] url`, parsed once. It opens nothing, and no password of a URL is shown.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::model::Secret;

/// The parsed `[store] url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `memory:`: forgotten when the process ends.
    Memory,
    /// `file:PATH`: a redb file, used by one process at a time.
    File(PathBuf),
    /// `redis://` or `rediss://`: one server.
    Redis(RedisNodes),
    /// `redis-cluster://` or `rediss-cluster://`: any of its nodes.
    RedisCluster(RedisNodes),
    /// `redis-sentinel://` or `rediss-sentinel://`: the Sentinels, and the name of the master that they watch.
    RedisSentinel {
        /// The Sentinels, and how to reach what they name.
        nodes: RedisNodes,
        /// The master's name.
        service: String,
    },
}

/// Redis servers that are reached in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisNodes {
    /// Host and port; never empty.
    pub addresses: Vec<(String, u16)>,
    /// True for the `rediss` schemes.
    pub tls: bool,
    /// The number of the database; 0 in a cluster.
    pub database: u16,
    /// The ACL user of the URL.
    pub username: Option<String>,
    /// The password of the URL.
    pub password: Option<Secret>,
}

const FORMS: &str = "write file:PATH, memory:, redis://HOST, rediss://HOST, redis-cluster://HOST,HOST or \
                     redis-sentinel://HOST,HOST/MASTER";

impl Location {
    /// Reads a `[store] url`; the error is a sentence with the remedy, and repeats nothing of the URL but its scheme.
    pub fn parse(url: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(format!("is not a store URL; {FORMS}"));
        };
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err("has more than its scheme; write memory:".to_owned()),
            "file" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => Err("names no file; write for example file:data/keyferry.redb".to_owned()),
                path => Ok(Self::File(PathBuf::from(path))),
            },
            "redis" | "rediss" => {
                let (nodes, path) = RedisNodes::parse(scheme, rest, 6379)?;
                if nodes.addresses.len() > 1 {
                    return Err(format!("names several hosts; write {scheme}-cluster:// or {scheme}-sentinel://"));
                }
                Ok(Self::Redis(RedisNodes { database: database(path)?, ..nodes }))
            }
            "redis-cluster" | "rediss-cluster" => match RedisNodes::parse(scheme, rest, 6379)? {
                (nodes, "" | "0") => Ok(Self::RedisCluster(nodes)),
                _ => Err("ends in a path; a cluster has the database 0 only".to_owned()),
            },
            "redis-sentinel" | "rediss-sentinel" => {
                let (nodes, path) = RedisNodes::parse(scheme, rest, 26379)?;
                let (service, number) = path.split_once('/').unwrap_or((path, ""));
                if service.is_empty() {
                    return Err(format!("names no master; write {scheme}://HOST,HOST/MASTER"));
                }
                let nodes = RedisNodes { database: database(number)?, ..nodes };
                Ok(Self::RedisSentinel { nodes, service: decoded(service)? })
            }
            _ => Err(format!("has an unknown scheme `{}`; {FORMS}", scheme.escape_debug())),
        }
    }
}

impl RedisNodes {
    /// Reads `//[user[:password]@]host[:port][,host[:port]…][/path]`, and gives the path back unread.
    fn parse<'a>(scheme: &str, rest: &'a str, default_port: u16) -> Result<(Self, &'a str), String> {
        let rest = rest.strip_prefix("//").ok_or_else(|| format!("lacks its slashes; write {scheme}://HOST"))?;
        if rest.contains(['?', '#']) {
            return Err("has a query or a fragment; write the settings beside it in [store]".to_owned());
        }
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let addresses = hosts.split(',').map(|host| address(host, default_port)).collect::<Result<_, _>>()?;
        let (username, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((username, password)) => (Some(decoded(username)?), Some(decoded(password)?)),
        };
        let nodes = Self {
            addresses,
            tls: scheme.starts_with("rediss"),
            database: 0,
            username: username.filter(|text| !text.is_empty()),
            password: password.filter(|text| !text.is_empty()).map(Secret::new),
        };
        Ok((nodes, path))
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn address(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or("?"))),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("has an empty host; write redis://HOST:PORT".to_owned());
    }
    match port.map_or(Ok(default_port), str::parse) {
        Ok(port) if port > 0 => Ok((host.to_owned(), port)),
        _ => Err("has a port that is not a number from 1 to 65535".to_owned()),
    }
}

fn database(path: &str) -> Result<u16, String> {
    if path.is_empty() {
        return Ok(0);
    }
    path.parse().map_err(|_| "ends in a database that is not a number; write for example redis://HOST/0".to_owned())
}

fn decoded(text: &str) -> Result<String, String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| "has a percent-encoded part that is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(addresses: &[(&str, u16)]) -> RedisNodes {
        RedisNodes {
            addresses: addresses.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect(),
            tls: false,
            database: 0,
            username: None,
            password: None,
        }
    }

    #[test]
    fn good_urls() {
        fn check(url: &str, expected: Location) {
            assert_eq!(Location::parse(url), Ok(expected), "{url:?}");
        }
        check("memory:", Location::Memory);
        check("file:data/keyferry.redb", Location::File("data/keyferry.redb".into()));
        check("file:///var/lib/keyferry.redb", Location::File("/var/lib/keyferry.redb".into()));
        check("redis://cache", Location::Redis(nodes(&[("cache", 6379)])));
        check("redis://[::1]:7000/3", Location::Redis(RedisNodes { database: 3, ..nodes(&[("::1", 7000)]) }));
        check(
            "rediss://kf:p%40ss@cache:6380",
            Location::Redis(RedisNodes {
                tls: true,
                username: Some("kf".to_owned()),
                password: Some(Secret::new("p@ss")),
                ..nodes(&[("cache", 6380)])
            }),
        );
        check(
            "redis://:only@cache",
            Location::Redis(RedisNodes { password: Some(Secret::new("only")), ..nodes(&[("cache", 6379)]) }),
        );
        check("redis-cluster://a,b:7001", Location::RedisCluster(nodes(&[("a", 6379), ("b", 7001)])));
        check(
            "redis-sentinel://a,b:26380/mymaster",
            Location::RedisSentinel { nodes: nodes(&[("a", 26379), ("b", 26380)]), service: "mymaster".to_owned() },
        );
        check(
            "rediss-sentinel://a/my%20master/2",
            Location::RedisSentinel {
                nodes: RedisNodes { tls: true, database: 2, ..nodes(&[("a", 26379)]) },
                service: "my master".to_owned(),
            },
        );
    }

    #[test]
    fn bad_urls_get_a_remedy_and_show_no_password() {
        fn check(url: &str, part: &str) {
            let error = Location::parse(url).expect_err(url);
            assert!(error.contains(part), "{url:?}: {error}");
            assert!(!error.contains("canary"), "{url:?}: {error}");
        }
        check("", "is not a store URL");
        check("data/keyferry.redb", "is not a store URL");
        check("postgres://u:canary@h", "unknown scheme `postgres`");
        check("memory:x", "memory:");
        check("file:", "names no file");
        check("redis:host", "lacks its slashes");
        check("redis://u:canary@", "empty host");
        check("redis://u:canary@h:0", "port");
        check("redis://u:canary@h:70000", "port");
        check("redis://[::1]x", "port");
        check("redis://a,b", "redis-cluster");
        check("redis://h/x", "database");
        check("redis://h?db=2", "query");
        check("redis-cluster://a,b/2", "database 0");
        check("redis-sentinel://a,b", "names no master");
        check("redis-sentinel://a,b/m/x", "database");
        check("redis://%FF:canary@h", "UTF-8");
    }

    #[test]
    fn debug_hides_the_password() {
        let location = Location::parse("redis://kf:canary@cache").expect("a URL");
        assert!(!format!("{location:?}").contains("canary"));
    }
}
