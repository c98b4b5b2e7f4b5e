//! What holds of every store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use keyferry::store::{Event, Expected, Key, Kind, SealingKey, Settings, Store, Written};

use super::{CANARY, eventually, key, open, put, stored};

/// Runs over an empty store.
pub(super) async fn suite(store: &Store) {
    store.ping().await.expect("the store answers");
    records(store).await;
    one_of_many_writes(store).await;
    one_of_many_takes(store).await;
    expiry(store).await;
    leases(store).await;
    scans(store).await;
    notifications(store).await;
    dropped_calls(store).await;
}

async fn records(store: &Store) {
    let key = key("records");
    assert_eq!(store.get(&key).await.expect("an answer"), None);
    let first = put(store, &key, CANARY.as_bytes()).await;
    let entry = store.get(&key).await.expect("an answer").expect("a record");
    assert_eq!((entry.version, entry.value.as_slice()), (first, CANARY.as_bytes()));
    assert!(!format!("{entry:?}").contains("canary"));

    let absent = store.put(&key, Expected::Absent, b"other", None).await.expect("an answer");
    assert_eq!(absent, Written::Conflict);
    let stale = store.put(&key, Expected::Version(first + 1), b"other", None).await.expect("an answer");
    assert_eq!(stale, Written::Conflict);
    let second = stored(store.put(&key, Expected::Version(first), b"second", None).await.expect("an answer"));
    assert!(second > first);
    assert_eq!(store.put(&key, Expected::Version(first), b"late", None).await.expect("an answer"), Written::Conflict);

    assert!(!store.delete(&key, first).await.expect("an answer"));
    assert_eq!(store.get(&key).await.expect("an answer").expect("a record").value.as_slice(), b"second");
    assert!(store.delete(&key, second).await.expect("an answer"));
    assert!(!store.delete(&key, second).await.expect("an answer"));
    assert_eq!(store.get(&key).await.expect("an answer"), None);
    let gone = store.put(&key, Expected::Version(second), b"late", None).await.expect("an answer");
    assert_eq!(gone, Written::Conflict);

    // A version does not come again, so nobody who remembers the old record writes over the new one.
    let anew = put(store, &key, b"anew").await;
    assert!(anew != first && anew != second);
    let large = vec![7; 100_000];
    stored(store.put(&key, Expected::Version(anew), &large, None).await.expect("an answer"));
    assert_eq!(store.get(&key).await.expect("an answer").expect("a record").value.as_slice(), large);
}

async fn one_of_many_writes(store: &Store) {
    let key = key("contended");
    for expected in [None, Some(put(store, &super::key("contended-next"), b"0").await)] {
        let key = if expected.is_some() { &super::key("contended-next") } else { &key };
        let expected = expected.map_or(Expected::Absent, Expected::Version);
        let writes = (0..100).map(|number: u32| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let written = store.put(&key, expected, &number.to_be_bytes(), None).await.expect("an answer");
                (number, written)
            })
        });
        let outcomes = join_all(writes).await.into_iter().map(|outcome| outcome.expect("no panic"));
        let won: Vec<_> = outcomes.filter(|(_, written)| *written != Written::Conflict).collect();
        assert_eq!(won.len(), 1, "one of a hundred writes happens: {won:?}");
        let entry = store.get(key).await.expect("an answer").expect("a record");
        assert_eq!(entry.value.as_slice(), won[0].0.to_be_bytes());
        assert_eq!(Written::Stored(entry.version), won[0].1);
    }
}

async fn one_of_many_takes(store: &Store) {
    let key = key("taken");
    for round in 0..5 {
        put(store, &key, &[round]).await;
        let takes = (0..100).map(|_| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move { store.take(&key).await.expect("an answer") })
        });
        let taken: Vec<_> = join_all(takes).await.into_iter().filter_map(|taken| taken.expect("no panic")).collect();
        assert_eq!(taken.len(), 1, "exactly one takes");
        assert_eq!(taken[0].as_slice(), [round]);
        assert_eq!(store.take(&key).await.expect("an answer"), None);
    }
}

async fn expiry(store: &Store) {
    let (short, long) = (key("short"), key("long"));
    let lifetime = Duration::from_millis(300);
    let version = stored(store.put(&short, Expected::Absent, b"1", Some(lifetime)).await.expect("an answer"));
    let kept = stored(store.put(&long, Expected::Absent, b"1", Some(lifetime)).await.expect("an answer"));
    stored(store.put(&long, Expected::Version(kept), b"2", None).await.expect("an answer"));
    eventually("the record expires", async || store.get(&short).await.expect("an answer").is_none()).await;
    assert_eq!(store.take(&short).await.expect("an answer"), None);
    assert!(!store.delete(&short, version).await.expect("an answer"));
    let page = store.scan(&Key::prefix(Kind::Connection, &["tests", "short"]), None, 10).await.expect("an answer");
    assert!(page.entries.is_empty());
    put(store, &short, b"again").await;
    // A write replaces the lifetime.
    assert_eq!(store.get(&long).await.expect("an answer").expect("it stays").value.as_slice(), b"2");
}

async fn leases(store: &Store) {
    let name = Key::new(Kind::Lease, &["refresh", "1"]);
    let minute = Duration::from_secs(60);
    let lease = store.lease(&name, minute).await.expect("an answer").expect("it is free");
    assert_eq!(store.lease(&name, minute).await.expect("an answer"), None);
    store.release(lease.clone()).await.expect("an answer");

    let moment = Duration::from_millis(200);
    let late = store.lease(&name, moment).await.expect("an answer").expect("it is free again");
    let mut next = None;
    eventually("the lease ends by itself", async || {
        next = store.lease(&name, minute).await.expect("an answer");
        next.is_some()
    })
    .await;
    let next = next.expect("it was granted");
    // Neither who released already nor who came too late takes it from its owner, or makes it theirs for longer.
    for gone in [lease, late] {
        assert!(!store.extend(&gone, minute).await.expect("an answer"));
        store.release(gone).await.expect("an answer");
    }
    assert_eq!(store.lease(&name, minute).await.expect("an answer"), None);
    // An owner may ask for less time as well as for more.
    assert!(store.extend(&next, moment).await.expect("an answer"));
    assert!(store.extend(&next, minute).await.expect("an answer"));
    tokio::time::sleep(moment * 2).await;
    assert_eq!(store.lease(&name, minute).await.expect("an answer"), None);
    store.release(next).await.expect("an answer");

    let inside = Arc::new(AtomicUsize::new(0));
    let attempts = (0..100).map(|_| {
        let (store, name, inside) = (store.clone(), name.clone(), Arc::clone(&inside));
        tokio::spawn(async move {
            let lease = store.lease(&name, minute).await.expect("an answer");
            inside.fetch_add(usize::from(lease.is_some()), Ordering::Relaxed);
        })
    });
    join_all(attempts).await;
    assert_eq!(inside.load(Ordering::Relaxed), 1, "one of a hundred gets the lease");
}

async fn scans(store: &Store) {
    let name = |number: u32| format!("{number:04}");
    join_all((0..1000).map(|number| {
        let (store, key) = (store.clone(), Key::new(Kind::Session, &["many", &name(number)]));
        async move { put(&store, &key, &number.to_be_bytes()).await }
    }))
    .await;
    put(store, &Key::new(Kind::Session, &["many2", "x"]), b"another's").await;
    put(store, &Key::new(Kind::SessionsOf, &["many", "x"]), b"another's").await;

    for limit in [1000, 64] {
        let (mut seen, mut next, mut pages) = (BTreeSet::new(), None, 0);
        loop {
            let prefix = Key::prefix(Kind::Session, &["many"]);
            let page = store.scan(&prefix, next.as_deref(), limit).await.expect("an answer");
            assert!(page.unopenable.is_empty());
            for (key, entry) in page.entries {
                let number = u32::from_be_bytes(entry.value.as_slice().try_into().expect("four bytes"));
                assert_eq!(key, Key::new(Kind::Session, &["many", &name(number)]));
                seen.insert(number);
            }
            pages += 1;
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 1000, "by {limit}");
        assert!(limit == 1000 || pages > 5, "{pages} pages of {limit}");
    }
}

async fn notifications(store: &Store) {
    eventually("notifications arrive", async || store.is_synced()).await;
    let mut events = store.subscribe();
    let sent = Instant::now();
    store.notify("connection/1 & more").await.expect("an answer");
    let heard = async {
        loop {
            if let Event::Message(text) = events.recv().await.expect("the store is open") {
                return text;
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(5), heard).await.expect("it arrives");
    assert_eq!(heard, "connection/1 & more");
    assert!(sent.elapsed() < Duration::from_secs(1), "in {:?}", sent.elapsed());
}

/// A call that is dropped at any point neither gives its answer to another call nor takes one from it.
async fn dropped_calls(store: &Store) {
    const NAMES: usize = 40;
    let name = |number: usize| Key::new(Kind::Start, &[&number.to_string()]);
    for number in 0..NAMES {
        put(store, &name(number), number.to_string().as_bytes()).await;
    }
    let callers = (0..50).map(|caller: usize| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut finished = 0;
            for round in 0..200 {
                let number = (caller * 7 + round) % NAMES;
                let (reads, patience) = (round % 3 != 0, (caller + round * 13) % 17);
                let call = async {
                    if reads {
                        let entry = store.get(&name(number)).await.expect("an answer").expect("a record");
                        assert_eq!(entry.value.as_slice(), number.to_string().as_bytes());
                    } else {
                        let own = Key::new(Kind::Pending, &[&caller.to_string(), &round.to_string()]);
                        let written = store.put(&own, Expected::Absent, own.as_str().as_bytes(), None).await;
                        stored(written.expect("an answer"));
                        let taken = store.take(&own).await.expect("an answer").expect("a record");
                        assert_eq!(taken.as_slice(), own.as_str().as_bytes());
                    }
                };
                let dropping = async {
                    for _ in 0..patience {
                        tokio::task::yield_now().await;
                    }
                    // Some are let through.
                    if patience == 16 {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    biased;
                    () = call => finished += 1,
                    () = dropping => {}
                }
            }
            finished
        })
    });
    let finished: usize = join_all(callers).await.into_iter().map(|finished| finished.expect("no mix-up")).sum();
    assert!((500..10_000).contains(&finished), "{finished} of 10,000 calls were let through");
    for number in 0..NAMES {
        let entry = store.get(&name(number)).await.expect("an answer").expect("a record");
        assert_eq!(entry.value.as_slice(), number.to_string().as_bytes());
    }
}

/// Old key, then both, then the new one alone. Ends with nothing open.
pub(super) async fn rotation(settings: Settings) {
    let (old, new) = (SealingKey::generate(), SealingKey::generate());
    let with = async |keys: Vec<SealingKey>| open(Settings { keys, ..settings.clone() }).await;
    let prefix = Key::prefix(Kind::Revocation, &[]);
    let name = |number: u32| Key::new(Kind::Revocation, &[&number.to_string()]);

    let store = with(vec![old.clone()]).await;
    for number in 0..20 {
        put(&store, &name(number), CANARY.as_bytes()).await;
    }
    let short = Key::new(Kind::Pending, &["rotation"]);
    let lifetime = Some(Duration::from_secs(3));
    stored(store.put(&short, Expected::Absent, b"1", lifetime).await.expect("an answer"));
    let written = Instant::now();
    drop(store);

    let store = with(vec![new.clone()]).await;
    let shut = store.get(&name(0)).await.expect_err("the key is not listed").to_string();
    assert!(shut.contains(&old.id()) && !shut.contains("canary"), "{shut}");
    assert!(store.take(&name(0)).await.is_err());
    let page = store.scan(&prefix, None, 100).await.expect("an answer");
    assert_eq!((page.entries.len(), page.unopenable.len()), (0, 20));
    drop(store);

    let store = with(vec![new.clone(), old]).await;
    for number in 0..10 {
        let before = store.get(&name(number)).await.expect("it opens");
        assert!(store.reseal(&name(number)).await.expect("it opens"));
        assert!(!store.reseal(&name(number)).await.expect("it opens"));
        // Whoever has read it before may go on with it.
        assert_eq!(store.get(&name(number)).await.expect("it opens"), before);
    }
    // The rest page by page, whatever it is; a lease is no record.
    let lease = store.lease(&Key::new(Kind::Lease, &["rotation"]), Duration::from_secs(60)).await;
    let (mut seen, mut resealed, mut after) = (0, 0, None::<String>);
    loop {
        let page = store.reseal_page(after.as_deref(), 7).await.expect("an answer");
        // A Redis may hold what another suite has sealed with a key of its own.
        let ours = |text: &String| text.starts_with("revocation/") || text.starts_with("lease/");
        assert!(!page.unopenable.iter().any(ours), "{:?}", page.unopenable);
        (seen, resealed, after) = (seen + page.seen, resealed + page.resealed, page.next);
        if after.is_none() {
            break;
        }
    }
    assert!(seen >= 21, "{seen}");
    assert_eq!(resealed, 11);
    store.release(lease.expect("an answer").expect("it is free")).await.expect("an answer");
    assert!(!store.reseal(&short).await.expect("it opens"));
    assert!(!store.reseal(&name(99)).await.expect("an answer"));
    drop(store);

    let store = with(vec![new]).await;
    for number in 0..20 {
        let entry = store.get(&name(number)).await.expect("the new key opens it").expect("nothing was lost");
        assert_eq!(entry.value.as_slice(), CANARY.as_bytes());
    }
    eventually("the resealed record still expires", async || store.get(&short).await.expect("an answer").is_none())
        .await;
    assert!(written.elapsed() > Duration::from_secs(2), "not before its time");
}
