//! The embedded store: the file, its key file, and what a crash, a full disk or another process may do to them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use futures_util::future::join_all;
use keyferry::clock::Clock;
use keyferry::store::{Expected, Kind, SealingKey, Settings, Store, StoreError};
use tempfile::TempDir;

use super::{CANARY, budgets, key, open, put, settings, suite};

/// In the folder that a test gives its child process, which runs there.
const FILE: &str = "keyferry.redb";
/// For a child process, whose parent opens what it left.
const CHILD_KEY: &str = "c3RvcmUta2V5LW9mLXRoZS1jcmFzaC10ZXN0LTMyISE=";

fn at(path: &Path) -> Settings {
    settings(&format!("file:{}", path.display()))
}

fn child_settings(path: &Path) -> Settings {
    Settings { keys: vec![SealingKey::parse(CHILD_KEY).expect("32 bytes")], ..at(path) }
}

async fn refusal(settings: Settings) -> String {
    match Store::open(settings, Clock::System).await {
        Err(StoreError::Settings(sentence)) => sentence,
        other => panic!("expected a sentence about the settings: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_passes_the_suite() {
    let store = open(settings("memory:")).await;
    suite::suite(&store).await;
    budgets::is_not_shared(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_passes_the_suite_and_shows_no_secret() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("new/folders").join(FILE);
    let store = open(at(&path)).await;
    suite::suite(&store).await;
    put(&store, &key("secret"), CANARY.as_bytes()).await;
    drop(store);
    let bytes = fs::read(&path).expect("the file");
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    // The look itself is right: what is not secret is found.
    assert!(bytes.windows(16).any(|window| window == b"connection/tests"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_on_a_file() {
    let folder = TempDir::new().expect("a folder");
    suite::rotation(at(&folder.path().join(FILE))).await;
}

#[tokio::test]
async fn a_file_gets_a_key_file_that_is_never_replaced() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("data").join(FILE);
    let key_path = folder.path().join("data/keyferry.redb.key");
    let unkeyed = Settings { keys: Vec::new(), ..at(&path) };
    let store = open(unkeyed.clone()).await;
    put(&store, &key("a"), b"1").await;
    drop(store);
    for file in [&path, &key_path] {
        assert_eq!(fs::metadata(file).expect("it was made").permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    let store = open(unkeyed.clone()).await;
    assert_eq!(store.get(&key("a")).await.expect("the same key").expect("a record").value.as_slice(), b"1");
    drop(store);

    let kept = fs::read_to_string(&key_path).expect("the key file");
    fs::remove_file(&key_path).expect("it can be removed");
    let sentence = refusal(unkeyed.clone()).await;
    assert!(sentence.contains("keyferry.redb.key") && sentence.contains("restore"), "{sentence}");
    assert!(!key_path.exists());
    fs::write(&key_path, "nonsense").expect("it can be written");
    let sentence = refusal(unkeyed.clone()).await;
    assert!(sentence.contains("openssl rand") && !sentence.contains("nonsense"), "{sentence}");
    fs::write(&key_path, kept).expect("it can be written");
    open(unkeyed).await;
}

#[tokio::test]
async fn one_process_at_a_time_has_the_file() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join(FILE);
    let store = open(at(&path)).await;
    let sentence = refusal(at(&path)).await;
    assert!(sentence.contains("another process has it open") && sentence.contains(FILE), "{sentence}");
    let other = store.clone();
    drop(store);
    refusal(at(&path)).await;
    drop(other);
    open(at(&path)).await;
}

#[tokio::test]
async fn what_is_not_a_store_is_refused_and_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join(FILE);
    let text = "my shopping list\n".repeat(1000);
    fs::write(&path, &text).expect("a file");
    let sentence = refusal(at(&path)).await;
    assert!(sentence.contains("it is not a store"), "{sentence}");
    assert_eq!(fs::read_to_string(&path).expect("the file"), text);
    let sentence = refusal(at(&path.join("below-a-file"))).await;
    assert!(sentence.contains("cannot be opened"), "{sentence}");
}

#[tokio::test]
async fn swapped_rows_do_not_open_and_are_still_there() {
    const RECORDS: redb::TableDefinition<'static, &str, &[u8]> = redb::TableDefinition::new("records");
    let folder = TempDir::new().expect("a folder");
    let settings = at(&folder.path().join(FILE));
    let store = open(settings.clone()).await;
    put(&store, &key("a"), b"ann's").await;
    put(&store, &key("b"), b"bob's").await;
    put(&store, &key("c"), b"carl's").await;
    drop(store);

    let swap = || {
        let database = redb::Database::open(folder.path().join(FILE)).expect("a redb file");
        let transaction = database.begin_write().expect("a transaction");
        {
            let mut records = transaction.open_table(RECORDS).expect("the table");
            let (a, b) = (key("a"), key("b"));
            let row = |name: &str, records: &redb::Table<'_, &str, &[u8]>| {
                redb::ReadableTable::get(records, name).expect("a read").expect("a row").value().to_vec()
            };
            let (of_a, of_b) = (row(a.as_str(), &records), row(b.as_str(), &records));
            records.insert(a.as_str(), of_b.as_slice()).expect("a write");
            records.insert(b.as_str(), of_a.as_slice()).expect("a write");
            records.insert(key("short").as_str(), b"short".as_slice()).expect("a write");
        }
        transaction.commit().expect("a commit");
    };
    swap();
    let store = open(settings.clone()).await;
    for name in ["a", "b", "short"] {
        assert!(matches!(store.get(&key(name)).await, Err(StoreError::Unopenable { .. })), "{name}");
        assert!(matches!(store.take(&key(name)).await, Err(StoreError::Unopenable { .. })), "{name}");
        let written = store.put(&key(name), Expected::Absent, b"new", None).await.expect("an answer");
        assert_eq!(written, keyferry::store::Written::Conflict, "{name}");
    }
    let prefix = keyferry::store::Key::prefix(Kind::Connection, &["tests"]);
    let page = store.scan(&prefix, None, 10).await.expect("an answer");
    assert_eq!(page.unopenable, [key("a"), key("b"), key("short")].map(|key| key.to_string()));
    assert_eq!(page.entries.len(), 1);
    drop(store);
    swap();
    let store = open(settings).await;
    assert_eq!(store.get(&key("a")).await.expect("it opens again").expect("a record").value.as_slice(), b"ann's");
}

/// Runs one of this file's ignored tests as a process of its own, in a folder.
fn child(test: &str, folder: &Path, through: Option<&str>) -> Command {
    let binary = std::env::current_exe().expect("this binary");
    let mut command = match through {
        None => Command::new(binary),
        Some(script) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).arg(binary);
            shell
        }
    };
    command.args(["--ignored", "--nocapture", "--exact", test]).current_dir(folder).stdout(Stdio::piped());
    command
}

#[tokio::test]
#[ignore = "the child process of kill_nine_loses_nothing_acknowledged"]
async fn child_that_is_killed() {
    let store = open(child_settings(Path::new(FILE))).await;
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        async move {
            for number in 0.. {
                let name = format!("{}-{writer}-{number}", std::process::id());
                put(&store, &key(&name), name.as_bytes()).await;
                println!("acknowledged {name}");
            }
        }
    });
    join_all(writers).await;
}

#[tokio::test]
async fn kill_nine_loses_nothing_acknowledged() {
    let folder = TempDir::new().expect("a folder");
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        let mut process = child("store::embedded::child_that_is_killed", folder.path(), None)
            .stderr(Stdio::null())
            .spawn()
            .expect("this binary runs");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut wanted: u32 = 20 + round * 37;
        for line in lines {
            let line = line.expect("text");
            acknowledged.extend(line.split_once("acknowledged ").map(|(_, name)| name.to_owned()));
            if wanted == 0 {
                process.kill().expect("it was running");
            }
            wanted = wanted.saturating_sub(1);
        }
        process.wait().expect("it has ended");
        assert_eq!(wanted, 0, "it wrote until it was killed");

        let store = open(child_settings(&folder.path().join(FILE))).await;
        for name in &acknowledged {
            let entry = store.get(&key(name)).await.expect("it opens").unwrap_or_else(|| panic!("{name} is lost"));
            assert_eq!(entry.value.as_slice(), name.as_bytes());
        }
    }
}

#[tokio::test]
#[ignore = "the child process of a_full_disk_stops_writes_only"]
async fn child_that_fills_the_disk() {
    let store = open(child_settings(Path::new(FILE))).await;
    let value = vec![7; 8192];
    let mut names = Vec::new();
    let failure = loop {
        let name = names.len().to_string();
        match store.put(&key(&name), Expected::Absent, &value, None).await {
            Ok(_) => names.push(name),
            Err(error) => break error,
        }
        assert!(names.len() < 10_000, "the limit is reached");
    };
    assert!(matches!(failure, StoreError::Unavailable { .. }), "{failure:?}");
    assert!(names.len() > 20, "{} were written", names.len());
    // Reads go on, and so do writes once there is room.
    let mut versions = Vec::new();
    for name in &names {
        versions.push(store.get(&key(name)).await.expect("reads go on").expect("nothing is lost").version);
    }
    store.ping().await.expect("the store answers");
    for (name, version) in names.iter().zip(versions).take(10) {
        assert!(store.delete(&key(name), version).await.expect("room is made"));
    }
    put(&store, &key("after"), b"after").await;
    println!("survived {}", names.len());
}

#[tokio::test]
async fn a_full_disk_stops_writes_only() {
    let folder = TempDir::new().expect("a folder");
    // The nearest thing to a full disk without one: files may not grow beyond 2000 blocks of 512 bytes.
    let limited = "trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$@\"";
    let output = child("store::embedded::child_that_fills_the_disk", folder.path(), Some(limited))
        .output()
        .expect("this binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("survived "), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let store = open(child_settings(&folder.path().join(FILE))).await;
    assert_eq!(store.get(&key("after")).await.expect("it opens").expect("a record").value.as_slice(), b"after");
}
