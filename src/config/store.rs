//! The `[store]` table. Opens nothing and makes no key: what an empty list of keys means is the store's business.

use super::problem::{Fault, Place, quoted};
use super::reader::{Kind, Table};
use super::secrets::Resolved;
use crate::store::{Location, RedisTls, SealingKey, Settings};

/// Where the keys come from when nobody says.
const DEFAULT_KEY: &str = "env:KEYFERRY_STORE_KEY";

/// Where the store is when nobody says.
const DEFAULT_URL: &str = "file:data/keyferry.redb";

pub(super) fn read(table: &mut Table<'_>) -> Option<Settings> {
    let doc = "file:PATH, memory:, redis://, rediss://, redis-cluster:// or redis-sentinel://.";
    let directory = table.directory_of("url");
    let at_home = |location| match location {
        Location::File(path) => Location::File(directory.join(path)),
        other => other,
    };
    // The URL may hold a password, and is never shown.
    let parse = |text: &str| Location::parse(text).map(at_home).map_err(|text| Fault::sentence(&text));
    let location = table.parsed("url", doc, parse);
    table.by_default("url", DEFAULT_URL, |url| (*url).into());
    table.for_example("url", "rediss://redis.internal:6379");
    let location = if table.has("url") { location } else { parse(DEFAULT_URL).ok() };
    let is_redis = location.as_ref().is_some_and(is_redis);
    let keys = keys(table, is_redis);
    let prefix = table.parsed("prefix", "What Redis' keys and its channel begin with.", prefix);
    table.by_default("prefix", "keyferry:", |prefix| (*prefix).into());
    let ca_file =
        table.readable_file("ca_file", "PEM file with the roots to trust for Redis, instead of the public ones.");
    let cert = table.readable_file("cert", "PEM file with our certificate for Redis.");
    let key = table.readable_file("key", "PEM file with that certificate's private key.");
    for (name, file) in [("ca_file", "redis-ca.pem"), ("cert", "redis-client.pem"), ("key", "redis-client.key")] {
        table.for_example(name, file);
    }
    for (name, other) in [("cert", "key"), ("key", "cert")] {
        if table.has(name) && !table.has(other) {
            table.mistake(other, format!("is missing beside `{name}`"), "write both or none");
        }
    }
    let username = table.text("username", "The ACL user; goes before the URL's.");
    table.for_example("username", "keyferry");
    let password = table.secret("password", "The password, also at Sentinels; goes before the URL's.");
    table.for_example("password", "env:REDIS_PASSWORD");
    let password = match password {
        Some(Resolved::Found(secret)) => Some(secret),
        Some(Resolved::Missing(why)) => {
            table.mistake(
                "password",
                format!("refers to a secret that is not there: {why}"),
                "set it or remove the key",
            );
            None
        }
        None => None,
    };
    let timeout = table.positive_duration("timeout", "How long any single call to the store may take.");
    table.by_default("timeout", "2s", |timeout| (*timeout).into());
    for name in ["prefix", "ca_file", "cert", "key", "username", "password"] {
        if location.is_some() && !is_redis && table.has(name) {
            table.warning(name, "is for Redis, and store.url is not Redis", "remove it");
        }
    }
    let defaults = Settings::new(location?);
    Some(Settings {
        keys,
        prefix: prefix.unwrap_or(defaults.prefix),
        tls: RedisTls { ca_file, cert, key },
        username,
        password,
        timeout: timeout.unwrap_or(defaults.timeout),
        location: defaults.location,
    })
}

/// The listed keys, newest first. The default reference may lead nowhere: then the store makes a key of its own, unless
/// it is shared and cannot.
fn keys(table: &mut Table<'_>, is_redis: bool) -> Vec<SealingKey> {
    const REMEDY: &str = "set it to what `openssl rand -base64 32` prints";
    let doc = "Sealing keys, newest first: base64 of 32 bytes each. Where the variable of the default is not set, a file gets \
               a key file beside it, memory a key of its own, and Redis refuses to start.";
    let directory = table.directory_of("keys");
    let context = table.context();
    let resolve = |text: &str| Ok((text.to_owned(), context.environment.resolve(text, &directory)));
    let listed = table.list_of("keys", Kind::Secret, doc, resolve);
    table.by_default("keys", DEFAULT_KEY, |key| [*key].as_slice().into());
    table.for_example("keys", ["file:/run/secrets/store-key-new", "file:/run/secrets/store-key"].as_slice());
    if table.has("keys") && listed.is_none() {
        return Vec::new();
    }
    let listed = listed.unwrap_or_else(|| {
        let resolved = context.environment.resolve(DEFAULT_KEY, &directory);
        vec![(table.place("keys"), (DEFAULT_KEY.to_owned(), resolved))]
    });
    let mut found: Vec<(Place, SealingKey)> = Vec::new();
    let is_only = listed.len() == 1;
    for (place, (text, resolved)) in listed {
        match resolved {
            Resolved::Found(secret) => match SealingKey::parse(secret.expose()) {
                Ok(key) if found.iter().any(|(_, present)| *present == key) => {
                    context.report.mistake(place.problem(Fault::new("is listed twice", "remove one")));
                }
                Ok(key) => found.push((place, key)),
                Err(_) => {
                    let fault = Fault::new("is not the base64 of 32 bytes", REMEDY);
                    context.report.mistake(place.problem(fault));
                }
            },
            Resolved::Missing(_) if text == DEFAULT_KEY && is_only && !is_redis => {}
            Resolved::Missing(why) if text == DEFAULT_KEY && is_only => {
                let fault = format!("has no key: {why}, and replicas that share a store need the same one");
                table.mistake("keys", fault, format!("set {} {}", quoted("KEYFERRY_STORE_KEY"), &REMEDY[7..]));
            }
            Resolved::Missing(why) => {
                let fault =
                    Fault::new(format!("refers to a key that is not there: {why}"), "set it or remove the entry");
                context.report.mistake(place.problem(fault));
            }
        }
    }
    let nothing_listed = found.is_empty() && table.has("keys") && !is_only;
    if nothing_listed && is_redis {
        let fault = "lists no key, and replicas that share a store need the same one";
        table.mistake("keys", fault, "write keys = [\"env:KEYFERRY_STORE_KEY\"]");
    }
    found.into_iter().map(|(_, key)| key).collect()
}

fn is_redis(location: &Location) -> bool {
    !matches!(location, Location::Memory | Location::File(_))
}

fn prefix(text: &str) -> Result<String, Fault> {
    let is_plain = |c: char| c.is_ascii_graphic() && !"{}*?[]\\".contains(c);
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err(Fault::new(format!("{} cannot be put before keys", quoted(text)), "write for example `keyferry:`"));
    }
    Ok(text.to_owned())
}
