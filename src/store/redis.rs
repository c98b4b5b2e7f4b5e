//! The store on Redis: every primitive is one command on one key, or one script on one key, so that it works alike on a
//! single server, behind Sentinel and in a Cluster. It sees sealed bytes only, and keeps nothing itself.

mod arrivals;
mod connection;
mod link;
mod target;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::{Cmd, Value, cmd, from_redis_value};
use futures_util::future::join_all;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use self::arrivals::Arrivals;
use self::link::{Link, Repeat};
use self::target::Target;
use super::embedded::Rows;
use super::error::{StoreError, Unopenable};
use super::key::Key;
use super::notice::Event;
use super::settings::Settings;
use super::{Expected, Keep, Lease, Sealed};
use crate::model::Timestamp;
use crate::route::{HORIZON, LONGEST_WAIT, Level, Rate, Spend, Spent, micros};

/// Writes when what is expected is there. A record begins with the eight bytes of its version.
const PUT: &str = r"
local stored = redis.call('GET', KEYS[1])
local expected, record, keep = ARGV[1], ARGV[2], ARGV[3]
if expected == '' then
  if stored then return 0 end
elseif not stored or string.sub(stored, 1, 8) ~= expected then
  return 0
end
if keep == 'unchanged' then
  local left = redis.call('PTTL', KEYS[1])
  keep = left >= 0 and string.format('%.0f', math.max(left, 1)) or 'forever'
end
if keep == 'forever' then
  redis.call('SET', KEYS[1], record)
else
  redis.call('SET', KEYS[1], record, 'PX', keep)
end
return 1";

/// Deletes when the record begins with what is given: its version, or a lease's owner.
const DELETE: &str = r"
local stored = redis.call('GET', KEYS[1])
if not stored or string.sub(stored, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// Lets a lease last longer, if it is still this owner's.
const EXTEND: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Spends from a rate budget: `Rate::spend`, line by line. Every number is a whole one below 2^53, which Lua counts
/// exactly. A level is kept until the budget is full, and a second longer for clocks that do not agree.
const SPEND: &str = r"
local now, interval, burst, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local full_at = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
if full_at > now + burst + horizon then full_at = now + burst end
local wait
if ARGV[5] == 'reserve' then
  local arrives = math.max(now, tonumber(ARGV[6]))
  local following = math.max(full_at, arrives) + interval
  wait = math.max(arrives, following - burst) - now
  if wait > tonumber(ARGV[7]) then return {0, wait, full_at} end
  full_at = following
else
  local before = math.max(full_at, now)
  wait = math.max(before + interval - burst - now, 0)
  local spent = before + math.min(interval * tonumber(ARGV[6]), burst)
  full_at = math.max(full_at, math.min(spent, now + burst))
end
local keep = math.ceil((full_at - now) / 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', string.format('%.0f', keep))
return {1, wait, full_at}";

/// Redis counts a lifetime in signed 64 bits of milliseconds and adds the time to it; a century is enough.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

pub(super) struct Redis {
    link: Arc<Link>,
    arrivals: Arc<Arrivals>,
    prefix: String,
    timeout: Duration,
    /// What runs beside the calls; ends with the store.
    _tasks: JoinSet<()>,
}

impl Redis {
    /// Starts connecting, and hearing notifications. Fails only for settings that can never work.
    pub(super) fn start(settings: &Settings) -> Result<Self, StoreError> {
        let link = Arc::new(Link::new(Target::new(settings)?, settings.timeout));
        let arrivals = Arc::new(Arrivals::new(format!("{}events", settings.prefix)));
        let mut tasks = JoinSet::new();
        tasks.spawn(arrivals::beat(Arc::clone(&arrivals), Arc::clone(&link)));
        tasks.spawn(arrivals::listen(Arc::clone(&arrivals), Arc::clone(&link)));
        Ok(Self { link, arrivals, prefix: settings.prefix.clone(), timeout: settings.timeout, _tasks: tasks })
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Sealed>, StoreError> {
        self.read(key.as_str()).await
    }

    pub(super) async fn put(
        &self,
        key: &Key,
        expected: Expected,
        sealed: &Sealed,
        keep: Keep,
    ) -> Result<bool, StoreError> {
        let expected = match expected {
            Expected::Absent => Vec::new(),
            Expected::Version(version) => version.to_be_bytes().to_vec(),
        };
        let keep = match keep {
            Keep::Forever => "forever".to_owned(),
            Keep::For(lifetime) => millis(lifetime).to_string(),
            Keep::Unchanged => "unchanged".to_owned(),
        };
        let record = [&sealed.version.to_be_bytes(), sealed.bytes.as_slice()].concat();
        let mut script = self.script(PUT, key);
        script.arg(expected).arg(record).arg(keep);
        self.write(key, &script).await
    }

    pub(super) async fn delete(&self, key: &Key, version: u64) -> Result<bool, StoreError> {
        let mut script = self.script(DELETE, key);
        script.arg(&version.to_be_bytes());
        self.write(key, &script).await
    }

    pub(super) async fn lease(&self, lease: &Lease, lifetime: Duration) -> Result<bool, StoreError> {
        let mut command = cmd("SET");
        command.arg(self.name(lease.name.as_str())).arg(&lease.owner).arg("NX").arg("PX").arg(millis(lifetime));
        Ok(self.link.query(&command, Repeat::Never).await? != Value::Nil)
    }

    pub(super) async fn extend(&self, lease: &Lease, lifetime: Duration) -> Result<bool, StoreError> {
        let mut script = self.script(EXTEND, &lease.name);
        script.arg(&lease.owner).arg(millis(lifetime));
        let answer = self.link.query(&script, Repeat::Harmless).await?;
        from_redis_value(answer).map_err(unexpected)
    }

    pub(super) async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut script = self.script(DELETE, &lease.name);
        script.arg(&lease.owner);
        // The owner is random, so a second attempt finds its own lease or none.
        self.link.query(&script, Repeat::Harmless).await.map(drop)
    }

    /// The time is the caller's: replicas' clocks agree as far as their machines' do, and no script has to ask for it.
    pub(super) async fn spend(
        &self,
        budget: &Key,
        rate: Rate,
        spend: Spend,
        now: Timestamp,
    ) -> Result<Result<Spent, Duration>, StoreError> {
        let mut script = self.script(SPEND, budget);
        script.arg(micros(now)).arg(rate.interval()).arg(rate.burst()).arg(HORIZON);
        match spend {
            Spend::Reserve { opens_at, cap } => {
                let cap = u64::try_from(cap.min(LONGEST_WAIT).as_micros()).unwrap_or(u64::MAX);
                script.arg("reserve").arg(micros(opens_at)).arg(cap)
            }
            Spend::Note { calls } => script.arg("note").arg(calls),
        };
        let answer = self.link.query(&script, Repeat::Never).await.map_err(|error| foreign(error, budget.as_str()))?;
        let (is_granted, wait, level): (bool, u64, u64) = from_redis_value(answer).map_err(unexpected)?;
        let wait = Duration::from_micros(wait);
        Ok(if is_granted { Ok(Spent { level: Level::from_micros(level), wait }) } else { Err(wait) })
    }

    /// The cursor is Redis' own; in a Cluster the node's address goes before it.
    pub(super) async fn scan(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Rows, StoreError> {
        let pattern = format!("{}*", escaped(&self.name(prefix.as_str())));
        let started = Instant::now();
        let mut names = BTreeSet::new();
        let mut next = after.map(str::to_owned);
        loop {
            let (found, cursor) = self.scan_step(&pattern, next.as_deref(), limit).await?;
            names.extend(found);
            next = cursor;
            // Where few of a large Redis' keys are ours, one call must not search it all.
            if names.len() >= limit || next.is_none() || started.elapsed() > self.timeout / 2 {
                break;
            }
        }
        let texts: Vec<_> = names.iter().filter_map(|name| name.strip_prefix(&self.prefix)).collect();
        let rows = join_all(texts.iter().map(|text| self.read(text))).await;
        let mut page = Vec::new();
        for (text, row) in texts.into_iter().zip(rows) {
            match row {
                Ok(Some(sealed)) => page.push((text.to_owned(), Some(sealed))),
                // Deleted or expired since.
                Ok(None) => {}
                Err(StoreError::Unopenable { .. }) => page.push((text.to_owned(), None)),
                Err(error) => return Err(error),
            }
        }
        Ok((page, next))
    }

    async fn scan_step(
        &self,
        pattern: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let nodes = self.link.scan_nodes().await?;
        let (node, cursor) = match after {
            None => (nodes.first(), "0"),
            Some(after) if self.link.is_cluster() => {
                let (node, cursor) = after.rsplit_once('#').ok_or(StoreError::UnknownCursor)?;
                (nodes.iter().find(|known| *known == node), cursor)
            }
            Some(after) => (nodes.first(), after),
        };
        // A node that is gone took its place in the scan with it.
        let node = node.ok_or(StoreError::UnknownCursor)?;
        let cursor: u64 = cursor.parse().map_err(|_| StoreError::UnknownCursor)?;
        let mut command = cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(limit.max(10));
        let answer = self.link.query_node(node, &command).await?;
        let (cursor, names): (u64, Vec<Vec<u8>>) = from_redis_value(answer).map_err(unexpected)?;
        let names = names.into_iter().map(|name| String::from_utf8_lossy(&name).into_owned()).collect();
        let next = match (cursor, self.link.is_cluster()) {
            (0, false) => None,
            (0, true) => nodes.iter().find(|known| *known > node).map(|next| format!("{next}#0")),
            (cursor, false) => Some(cursor.to_string()),
            (cursor, true) => Some(format!("{node}#{cursor}")),
        };
        Ok((names, next))
    }

    pub(super) async fn notify(&self, message: &str) -> Result<(), StoreError> {
        self.link.query(&self.arrivals.message(message), Repeat::Harmless).await.map(drop)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.arrivals.subscribe()
    }

    pub(super) fn is_synced(&self) -> bool {
        self.arrivals.is_synced()
    }

    /// Asks for a record that is never there: a user without the right to read ours is no better than no answer.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.read("ping").await.map(drop)
    }

    async fn read(&self, text: &str) -> Result<Option<Sealed>, StoreError> {
        let mut command = cmd("GET");
        command.arg(self.name(text));
        let answer = self.link.query(&command, Repeat::Harmless).await.map_err(|error| foreign(error, text))?;
        let record: Option<Vec<u8>> = from_redis_value(answer).map_err(unexpected)?;
        Ok(record.map(|record| match record.split_first_chunk() {
            Some((version, sealed)) => Sealed { version: u64::from_be_bytes(*version), bytes: sealed.to_vec() },
            // Too short to be one of ours: it has no version, and must not look absent.
            None => Sealed { version: 0, bytes: record },
        }))
    }

    async fn write(&self, key: &Key, script: &Cmd) -> Result<bool, StoreError> {
        let answer = self.link.query(script, Repeat::Never).await.map_err(|error| foreign(error, key.as_str()))?;
        from_redis_value(answer).map_err(unexpected)
    }

    fn name(&self, text: &str) -> String {
        format!("{}{text}", self.prefix)
    }

    fn script(&self, code: &str, key: &Key) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(code).arg(1).arg(self.name(key.as_str()));
        command
    }
}

/// A key that holds another type of Redis is there, but not ours.
fn foreign(error: StoreError, text: &str) -> StoreError {
    match &error {
        StoreError::Unavailable { cause, .. }
            if cause.downcast_ref::<::redis::RedisError>().is_some_and(|error| error.code() == Some("WRONGTYPE")) =>
        {
            StoreError::Unopenable { key: text.to_owned(), why: Unopenable::UnknownFormat }
        }
        _ => error,
    }
}

fn unexpected(error: ::redis::ParsingError) -> StoreError {
    StoreError::unavailable("reading Redis' answer", error)
}

/// Redis takes no lifetime of zero.
fn millis(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.min(LONGEST).as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A text that a glob pattern matches literally.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_stay_in_redis_range() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2_000);
        assert_eq!(millis(Duration::MAX), 3_153_600_000_000);
    }

    #[test]
    fn patterns_are_literal() {
        assert_eq!(escaped("a*b[c]?\\^d-e"), "a\\*b\\[c\\]\\?\\\\\\^d-e");
    }
}
