//! Rate budgets in a store that replicas share: the script counts as `Rate::spend` does, and atomically.

use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::future::join_all;
use keyferry::clock::Clock;
use keyferry::model::Timestamp;
use keyferry::route::{Level, Rate, Spend, Spent};
use keyferry::store::{Key, Kind, Settings, Store};

/// Runs over a Redis, by its settings.
pub(super) async fn budgets(settings: Settings) {
    let clock = Clock::manual(Timestamp::from_unix_millis(1_800_000_000_000));
    let open = async || Store::open(settings.clone(), clock.clone()).await.expect("the store opens");
    let stores = [open().await, open().await];
    counts_as_the_rule_does(&stores, &clock).await;
    one_of_many(&stores).await;
}

/// Every step over the wire against the same step in process, with each store in turn.
async fn counts_as_the_rule_does(stores: &[Store; 2], clock: &Clock) {
    let century = Duration::from_secs(100 * 366 * 24 * 3600);
    let rules = [(3, Duration::from_secs(1)), (1, century), (u32::MAX, century), (7, Duration::from_nanos(1))];
    for (number, (limit, per)) in rules.into_iter().enumerate() {
        let rate = rate(limit, per);
        let key = key(&["rule", &number.to_string()]);
        let mut level = Level::default();
        for step in 0..60_u64 {
            // Without a pattern that a mistake could share, and the same each time.
            let drawn = step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            let now = clock.now();
            let spend = match drawn % 4 {
                0 => Spend::Note { calls: u32::try_from(drawn % 7).expect("small") + 1 },
                1 if drawn % 16 == 1 => Spend::Note { calls: u32::MAX },
                1 => Spend::Reserve { opens_at: now.plus(Duration::from_millis(drawn % 2000)), cap: Duration::MAX },
                _ => Spend::Reserve { opens_at: now, cap: Duration::from_millis(drawn % 900) },
            };
            let expected = rate.spend(level, spend, now);
            let spent = stores[(step % 2) as usize].spend(&key, rate, spend).await.expect("an answer");
            assert_eq!(spent, Some(expected), "step {step} of {rate:?}: {spend:?} at {level:?}");
            level = expected.map_or(level, |spent| spent.level);
            clock.advance(Duration::from_millis(drawn % 400));
        }
    }
}

async fn one_of_many(stores: &[Store; 2]) {
    let (rate, key) = (rate(20, Duration::from_secs(3600)), key(&["many"]));
    let now = Timestamp::from_unix_millis(0);
    let spend = Spend::Reserve { opens_at: now, cap: Duration::ZERO };
    let reserved = (0..100).map(|number: usize| {
        let (store, key) = (stores[number % 2].clone(), key.clone());
        tokio::spawn(async move { store.spend(&key, rate, spend).await.expect("an answer").expect("a shared store") })
    });
    let reserved = join_all(reserved).await.into_iter().map(|reserved| reserved.expect("no panic"));
    assert_eq!(reserved.filter(|reserved: &Result<Spent, Duration>| reserved.is_ok()).count(), 20);
}

/// Nobody shares it, so it counts nothing.
pub(super) async fn is_not_shared(store: &Store) {
    assert!(!store.is_shared());
    let spent = store.spend(&key(&["alone"]), rate(1, Duration::from_secs(1)), Spend::Note { calls: 1 }).await;
    assert_eq!(spent.expect("an answer"), None);
}

pub(super) fn key(parts: &[&str]) -> Key {
    Key::new(Kind::Budget, parts)
}

fn rate(limit: u32, per: Duration) -> Rate {
    Rate { limit: NonZeroU32::new(limit).expect("a limit"), per }
}
