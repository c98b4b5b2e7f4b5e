//! Notifications over Redis, and proof that they arrive. Each process hears its own heartbeat on the channel that
//! carries the messages: what was published before a heartbeat that has arrived has arrived too. It remembers nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::redis::{Cmd, ErrorKind, RedisError, RedisResult, cmd};
use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout, timeout_at};

use super::super::notice::{self, Event};
use super::super::seal;
use super::link::{Link, Repeat};

/// How often this process publishes a heartbeat.
const BEAT: Duration = Duration::from_millis(400);
/// How long after it was sent a heartbeat proves that notifications arrive.
const PROOF: Duration = Duration::from_secs(1);
/// How long it may take to connect, log in and subscribe.
const SUBSCRIBING: Duration = Duration::from_secs(2);
/// Between two attempts to subscribe.
const PAUSE: Duration = Duration::from_millis(100);

/// What was heard, for the calls of this process.
pub(super) struct Arrivals {
    channel: String,
    /// Tells this process' heartbeats from those of others.
    own: String,
    started: Instant,
    /// Milliseconds since `started` until which notifications are known to arrive. The reader compares it with the
    /// clock, so a process that was stopped does not think that it heard everything meanwhile.
    until: AtomicU64,
    events: broadcast::Sender<Event>,
}

impl Arrivals {
    pub(super) fn new(channel: String) -> Self {
        let mut random = [0; 16];
        seal::random(&mut random);
        Self {
            channel,
            own: format!("{:032x}", u128::from_be_bytes(random)),
            started: Instant::now(),
            until: AtomicU64::new(0),
            events: notice::channel(),
        }
    }

    pub(super) fn is_synced(&self) -> bool {
        self.elapsed() < self.until.load(Ordering::Acquire)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The command that publishes a message.
    pub(super) fn message(&self, text: &str) -> Cmd {
        self.publish(&format!("message {text}"))
    }

    fn heartbeat(&self) -> Cmd {
        self.publish(&format!("beat {} {}", self.own, self.elapsed()))
    }

    fn publish(&self, payload: &str) -> Cmd {
        let mut command = cmd("PUBLISH");
        command.arg(&self.channel).arg(payload);
        command
    }

    fn elapsed(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// Takes in a payload. What is neither a message nor this process' heartbeat is passed over.
    fn hear(&self, payload: &str) {
        if let Some(text) = payload.strip_prefix("message ") {
            self.send(Event::Message(text.to_owned()));
            return;
        }
        let sent = payload.strip_prefix("beat ").and_then(|beat| beat.split_once(' '));
        let sent = sent.filter(|(own, _)| *own == self.own).and_then(|(_, sent)| sent.parse::<u64>().ok());
        let Some(until) = sent.map(|sent| sent.saturating_add(millis(PROOF))) else {
            return;
        };
        let was_synced = self.is_synced();
        self.until.fetch_max(until.min(self.elapsed() + millis(PROOF)), Ordering::AcqRel);
        if !was_synced && self.is_synced() {
            self.send(Event::Synced);
        }
    }

    fn send(&self, event: Event) {
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }
}

/// Publishes heartbeats for as long as the store lives. They keep the link's connection proven, too.
pub(super) async fn beat(arrivals: Arc<Arrivals>, link: Arc<Link>) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_up = true;
    loop {
        ticks.tick().await;
        let published = link.query_within(PROOF, &arrivals.heartbeat(), Repeat::Harmless).await;
        match (&published, is_up) {
            (Err(error), true) => {
                tracing::warn!(%error, "Redis does not answer");
            }
            (Ok(_), false) => tracing::info!("Redis answers again"),
            _ => {}
        }
        is_up = published.is_ok();
    }
}

/// Hears what is published for as long as the store lives, subscribing again whenever heartbeats stay away.
pub(super) async fn listen(arrivals: Arc<Arrivals>, link: Arc<Link>) {
    for turn in 0.. {
        let ended = hear_from(&arrivals, &link, turn).await;
        // Nothing is known to arrive from here on, whatever time the last heartbeat left.
        let was_synced = arrivals.is_synced();
        arrivals.until.store(0, Ordering::Release);
        if was_synced || ended.was_synced {
            arrivals.send(Event::Lost);
            tracing::warn!(reason = %ended.reason, "notifications do not arrive");
        } else {
            tracing::debug!(reason = %ended.reason, "cannot hear notifications");
        }
        sleep(PAUSE).await;
    }
}

struct Ended {
    was_synced: bool,
    reason: RedisError,
}

/// Subscribes once, and hears until that breaks or no heartbeat has come for too long.
async fn hear_from(arrivals: &Arrivals, link: &Link, turn: usize) -> Ended {
    let mut was_synced = false;
    let reason = match timeout(SUBSCRIBING, subscribed(arrivals, link, turn)).await {
        Err(_) => silent(),
        Ok(Err(error)) => error,
        Ok(Ok(subscription)) => {
            let mut messages = subscription.into_on_message();
            // The first heartbeat has as long to come as any other. Those of other processes prove nothing here.
            let mut deadline = tokio::time::Instant::now() + PROOF;
            loop {
                match timeout_at(deadline, messages.next()).await {
                    Ok(Some(message)) => arrivals.hear(&String::from_utf8_lossy(message.get_payload_bytes())),
                    Ok(None) => break RedisError::from((ErrorKind::Io, "the subscription has ended")),
                    Err(_) => break silent(),
                }
                let now = tokio::time::Instant::now();
                let left = arrivals.until.load(Ordering::Acquire).saturating_sub(arrivals.elapsed());
                if left > 0 {
                    was_synced = true;
                    deadline = now + Duration::from_millis(left);
                } else if now >= deadline {
                    // A busy channel is always ready, and would hide that the time is up.
                    break silent();
                }
            }
        }
    };
    Ended { was_synced, reason }
}

async fn subscribed(arrivals: &Arrivals, link: &Link, turn: usize) -> RedisResult<::redis::aio::PubSub> {
    let mut subscription = link.target.listener(turn).await?.get_async_pubsub().await?;
    subscription.subscribe(&arrivals.channel).await?;
    Ok(subscription)
}

fn silent() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_heartbeat_of_its_own_proves_anything() {
        let arrivals = Arrivals::new("channel".to_owned());
        let mut events = arrivals.subscribe();
        assert!(!arrivals.is_synced());
        for payload in ["", "beat", "beat x", "beat other 0", "beat other 99999999999", "hello"] {
            arrivals.hear(payload);
            assert!(!arrivals.is_synced(), "{payload:?}");
        }
        arrivals.hear("message a b");
        assert!(!arrivals.is_synced());
        assert_eq!(events.try_recv(), Ok(Event::Message("a b".to_owned())));

        arrivals.hear(&format!("beat {} {}", arrivals.own, arrivals.elapsed()));
        assert!(arrivals.is_synced());
        assert_eq!(events.try_recv(), Ok(Event::Synced));
        arrivals.hear(&format!("beat {} {}", arrivals.own, arrivals.elapsed()));
        assert!(events.try_recv().is_err());
    }

    #[test]
    fn a_heartbeat_from_the_future_proves_no_more_than_one_of_now() {
        let arrivals = Arrivals::new("channel".to_owned());
        arrivals.hear(&format!("beat {} {}", arrivals.own, u64::MAX));
        assert!(arrivals.until.load(Ordering::Acquire) <= arrivals.elapsed() + millis(PROOF));
    }
}
