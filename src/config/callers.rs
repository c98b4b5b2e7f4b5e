//! The `[callers]` tables: API keys, of which only hashes stand in a configuration.

use super::problem::{Fault, Place, did_you_mean, quoted};
use super::reader::Table;
use super::server::EXAMPLE_HASH;
use crate::model::{Allowed, CallerName, CallerScope, IntegrationName, Org, User};
use crate::server::{Caller, KeyHash};

/// A caller, and where it names its integrations.
pub(super) struct ReadCaller {
    pub(super) caller: Caller,
    pub(super) integrations: Vec<(Place, IntegrationName)>,
}

/// Reads all of them. Integrations are checked later, when it is known which there are.
pub(super) fn read(table: &mut Table<'_>) -> Vec<ReadCaller> {
    let mut hashes: Vec<(KeyHash, CallerName)> = Vec::new();
    let doc = "API keys: `keyferry keys new` makes one and prints its table.";
    table.tables("callers", doc, "<name>", |name, table| {
        let read = one(name, table)?;
        let Caller { name, key_hash, .. } = &read.caller;
        // Two callers with one key would be told apart by chance.
        if let Some((_, other)) = hashes.iter().find(|(other, _)| other == key_hash) {
            let fault = format!("is also the key of the caller {}", quoted(other.as_str()));
            table.mistake("key_hash", fault, "make each caller a key of its own");
        }
        hashes.push((*key_hash, name.clone()));
        Some(read)
    })
}

fn one(name: &str, table: &mut Table<'_>) -> Option<ReadCaller> {
    let name = CallerName::parse(name);
    if let Err(error) = &name {
        let fault = Fault::new(format!("the caller's name {error}"), "rename it");
        table.context().report.mistake(table.here().problem(fault));
    }
    table.later(&["key"], |_| Fault::new("holds a key in plain text", HASH_REMEDY));
    let doc = "The SHA-256 of the key, as `keyferry keys new` prints it.";
    let key_hash = table.parsed("key_hash", doc, key_hash);
    table.for_example("key_hash", EXAMPLE_HASH);
    // A key in plain text is mistake enough.
    if !table.has("key") {
        table.need("key_hash", HASH_REMEDY);
    }
    let orgs = allowed(
        table,
        "orgs",
        "Organisations it may name; [\"*\"] for all. Left out it means all too, and `check` warns.",
        true,
        |text| Org::parse(text).map_err(|error| not_a("an organisation", text, &error.to_string())),
    );
    let users = allowed(
        table,
        "users",
        "Users it may name; [\"*\"] for all. Left out it means all too, and `check` warns.",
        true,
        |text| User::parse(text).map_err(|error| not_a("a user", text, &error.to_string())),
    );
    let doc = "Integrations it may use; [\"*\"] for all. Left out it means all too, and `check` warns.";
    let integrations = allowed(table, "integrations", doc, true, |text| {
        IntegrationName::parse(text).map_err(|error| not_a("an integration's name", text, &error.to_string()))
    });
    let methods =
        allowed(table, "methods", "Methods of its proxied calls, and of nothing else; by default all.", false, method);
    for (name, some) in [("orgs", "*"), ("users", "*"), ("integrations", "work"), ("methods", "GET")] {
        table.for_example(name, [some].as_slice());
    }
    let integrations = integrations?;
    let named = integrations.named.clone();
    let scope = CallerScope {
        orgs: orgs?.allowed(),
        users: users?.allowed(),
        integrations: integrations.allowed(),
        methods: methods?.allowed(),
    };
    Some(ReadCaller { caller: Caller { name: name.ok()?, key_hash: key_hash?, scope }, integrations: named })
}

/// Integrations that callers name have to exist.
pub(super) fn check_integrations<'a>(
    table: &Table<'_>,
    callers: &[ReadCaller],
    known: impl Iterator<Item = &'a str> + Clone,
) {
    for (place, name) in callers.iter().flat_map(|read| &read.integrations) {
        if !known.clone().any(|known| known == name.as_str()) {
            let fault = format!("no integration is named {}", quoted(name.as_str()));
            let remedy = did_you_mean(name.as_str(), known.clone());
            table.context().report.mistake(place.problem(Fault::new(fault, remedy)));
        }
    }
}

const HASH_REMEDY: &str = "run `keyferry keys new` and write the `key_hash` that it prints";

/// `sha256:` and 64 hexadecimal digits. What stands there instead is never shown: it may be the key.
pub(super) fn key_hash(text: &str) -> Result<KeyHash, Fault> {
    let Some(digits) = text.strip_prefix("sha256:") else {
        return Err(Fault::new("is not a hash but perhaps a key in plain text", HASH_REMEDY));
    };
    hexadecimal(digits)
        .map(KeyHash)
        .ok_or_else(|| Fault::new("is not `sha256:` and 64 hexadecimal digits", HASH_REMEDY))
}

fn hexadecimal(digits: &str) -> Option<[u8; 32]> {
    let nibble = |digit: u8| u8::try_from(char::from(digit).to_digit(16)?).ok();
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// A list of names as it was written; `None` for `"*"`.
struct NameList<T> {
    is_any: bool,
    named: Vec<(Place, T)>,
}

impl<T> NameList<T> {
    fn allowed(self) -> Allowed<T> {
        if self.is_any { Allowed::Any } else { Allowed::Only(self.named.into_iter().map(|(_, name)| name).collect()) }
    }
}

fn allowed<T>(
    table: &mut Table<'_>,
    name: &'static str,
    doc: &'static str,
    is_warned: bool,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Option<NameList<T>> {
    let parse_or_any = |text: &str| if text == "*" { Ok(None) } else { parse(text).map(Some) };
    let before = table.context().report.count();
    let list = table.list(name, doc, parse_or_any);
    let all_are_good = table.context().report.count() == before;
    let everything = format!("list them, or write {name} = [\"*\"] for all");
    let Some(list) = list else {
        if table.has(name) {
            return None;
        }
        // A key that somebody just made should work; that it reaches everything is said aloud.
        if is_warned {
            table.warning(name, "is missing, so this key reaches all", everything);
        }
        return Some(NameList { is_any: true, named: Vec::new() });
    };
    let count = list.len();
    let named: Vec<(Place, T)> = list.into_iter().filter_map(|(place, name)| Some((place, name?))).collect();
    let is_any = named.len() < count;
    if count == 0 && is_warned && all_are_good {
        table.mistake(name, "lets nothing through", everything);
    }
    if is_any && count > 1 {
        table.mistake(name, "names some beside `*`, which means all", "keep one or the other");
    }
    Some(NameList { is_any, named })
}

fn not_a(what: &str, text: &str, why: &str) -> Fault {
    Fault::new(format!("{} is not {what}: it {why}", quoted(text)), "mend or remove it")
}

/// Methods are case-sensitive tokens (RFC 9110 section 9.1), and all that are registered are upper case.
fn method(text: &str) -> Result<String, Fault> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
        return Ok(text.to_owned());
    }
    let upper = text.to_ascii_uppercase();
    let example = if !upper.is_empty() && upper.bytes().all(|byte| byte.is_ascii_uppercase()) { &upper } else { "GET" };
    Err(Fault::new(format!("{} is not a method", quoted(text)), format!("write for example {}", quoted(example))))
}
