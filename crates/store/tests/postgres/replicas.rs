//! Reads go to a replica only as long as it is known to be fresh.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use test_servers::Network;
use tokio::task::JoinHandle;

use super::*;

struct Setting {
    primary: Postgres,
    replica: Postgres,
    database: String,
}

impl Setting {
    async fn start() -> Self {
        let primary = Postgres::start();
        let replica = primary.replica("replica");
        let database = migrated(&primary).await;
        test_servers::wait_until("the replica has the table", || {
            replica.try_sql(&database, "SELECT 1 FROM users").is_some()
        });
        Self { primary, replica, database }
    }

    async fn open(&self, stale_reads: bool) -> Told {
        let replica = Some(self.replica.url(&self.database).parse().unwrap());
        Told::open(&self.primary.url(&self.database), Options { replica, stale_reads, ..Options::default() })
            .await
    }
}

/// Reads until the replica answers.
async fn until_the_replica_serves(told: &Told) {
    let before = told.number("reads_total{route=\"replica\"}");
    eventually("the replica serves", async || {
        told.store.birthday(&name("Anna")).await.unwrap();
        told.number("reads_total{route=\"replica\"}") > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_seen_by_another_instance_within_a_second_though_the_replica_stands_still() {
    let setting = Setting::start().await;
    let (writer, reader) = (setting.open(false).await, setting.open(false).await);
    save(&writer.store, "Anna", numbered(1)).await.unwrap();
    until_the_replica_serves(&reader).await;

    setting.replica.sql("postgres", "SELECT pg_wal_replay_pause()");
    for number in 2..5 {
        save(&writer.store, "Anna", numbered(number)).await.unwrap();
        let done = Instant::now();
        let read = |told: &Told| {
            let store = told.store.clone();
            async move { store.birthday(&name("Anna")).await.unwrap() }
        };
        assert_eq!(read(&writer).await, Some(numbered(number)), "the same instance sees it at once");
        // Whoever begins to read a second after that sees it.
        loop {
            let began = Instant::now();
            let found = read(&reader).await;
            if began.duration_since(done) >= Duration::from_secs(1) {
                assert_eq!(found, Some(numbered(number)));
                break;
            }
        }
    }
    assert!(reader.number("replica_fallbacks_total") > 0.0);
    setting.replica.sql("postgres", "SELECT pg_wal_replay_resume()");
    until_the_replica_serves(&reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_primary_does_not_make_its_replica_look_old() {
    let setting = Setting::start().await;
    let reader = setting.open(false).await;
    save(&reader.store, "Anna", numbered(1)).await.unwrap();
    until_the_replica_serves(&reader).await;
    let before = reader.number("replica_fallbacks_total");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        assert_eq!(reader.store.birthday(&name("Anna")).await.unwrap(), Some(numbered(1)));
        sleep(Duration::from_millis(20)).await;
    }
    let fallbacks = reader.number("replica_fallbacks_total") - before;
    assert!(fallbacks < 15.0, "{fallbacks} of about 150 reads went to the primary");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_gone_or_frozen_is_replaced_by_the_primary() {
    let mut setting = Setting::start().await;
    let told = setting.open(false).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();
    until_the_replica_serves(&told).await;
    setting.replica.freeze();
    for _ in 0..20 {
        assert_eq!(told.store.birthday(&name("Anna")).await.unwrap(), Some(numbered(1)));
    }
    setting.replica.thaw();
    until_the_replica_serves(&told).await;
    setting.replica.kill();
    for _ in 0..20 {
        assert_eq!(told.store.birthday(&name("Anna")).await.unwrap(), Some(numbered(1)));
    }
    setting.replica.restart();
    until_the_replica_serves(&told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_primary_reads_fail_unless_stale_ones_are_asked_for() {
    let mut setting = Setting::start().await;
    let (strict, lenient) = (setting.open(false).await, setting.open(true).await);
    save(&strict.store, "Anna", numbered(1)).await.unwrap();
    until_the_replica_serves(&strict).await;
    until_the_replica_serves(&lenient).await;
    setting.primary.kill();
    eventually("nobody can tell how old the replica is", async || {
        strict.store.birthday(&name("Anna")).await.is_err()
    })
    .await;
    for _ in 0..20 {
        assert_eq!(lenient.store.birthday(&name("Anna")).await.unwrap(), Some(numbered(1)));
        assert_eq!(lenient.store.users(None, 10).await.unwrap().len(), 1);
    }
    assert!(save(&lenient.store, "Anna", numbered(2)).await.is_err());
}

/// A store that reads from replicas on those ports.
async fn open_with_replicas(primary: &str, database: &str, ports: &[u16]) -> Told {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let replica = format!("postgres://postgres@{}/{database}", hosts.join(","));
    let replica = Some(replica.parse().unwrap());
    Told::open(primary, Options { replica, ..Options::default() }).await
}

fn has(server: &Postgres, database: &str, birthday: Birthday) {
    let year = birthday.year().unwrap();
    test_servers::wait_until("it has replayed that", || {
        server.try_sql(database, &format!("SELECT 1 FROM users WHERE year = {year}")).as_deref() == Some("1")
    });
}

/// Reads again and again, many at once, until told to stop; says whether any answer was that one.
fn keep_reading(told: &Told, old: Birthday) -> (Arc<AtomicBool>, Vec<JoinHandle<bool>>) {
    let stop = Arc::<AtomicBool>::default();
    let start = |_| {
        let (store, stop) = (told.store.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut seen = false;
            while !stop.load(Ordering::Relaxed) {
                seen |= store.birthday(&name("Anna")).await.is_ok_and(|found| found == Some(old));
            }
            seen
        })
    };
    let readers = (0..8).map(start).collect();
    (stop, readers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_takes_the_place_of_a_lost_one_is_compared_before_it_is_read() {
    let setting = Setting::start().await;
    let (primary, mut fresh, database) = (setting.primary, setting.replica, setting.database);
    let old = primary.replica("old");
    let way = Network::to(old.port());
    way.cut();
    let url = primary.url(&database);
    let writer = Told::open(&url, Options::default()).await;
    let reader = open_with_replicas(&url, &database, &[fresh.port(), way.port()]).await;
    save(&writer.store, "Anna", numbered(1)).await.unwrap();
    until_the_replica_serves(&reader).await;
    has(&old, &database, numbered(1));
    old.sql("postgres", "SELECT pg_wal_replay_pause()");
    save(&writer.store, "Anna", numbered(3)).await.unwrap();
    let done = Instant::now();
    has(&fresh, &database, numbered(3));
    eventually("nobody may read the old birthday any more", async || {
        until_the_replica_serves(&reader).await;
        done.elapsed() > Duration::from_secs(1)
    })
    .await;

    // Reads are under way when the fresh one dies: they wait for a lock, on it and on the primary.
    // The log is switched so that the replica is told at once.
    let lock = "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT pg_switch_wal(), pg_sleep(2)";
    let locking = std::thread::spawn({
        let database = database.clone();
        move || (primary.sql(&database, lock), primary)
    });
    test_servers::wait_until("the replica has the lock", || {
        let held =
            "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'users'::regclass";
        fresh.try_sql(&database, held).as_deref() == Some("1")
    });
    let (stop, readers) = keep_reading(&reader, numbered(1));
    test_servers::wait_until("a read waits", || {
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted";
        fresh.try_sql(&database, waits).as_deref() == Some("1")
    });
    way.heal();
    fresh.kill();
    let (_, _primary) = locking.join().unwrap();
    eventually("the primary is read", async || {
        reader.store.birthday(&name("Anna")).await.is_ok_and(|found| found == Some(numbered(3)))
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(!reader.await.unwrap(), "an old birthday was read from a replica that nobody had compared");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_here_is_not_read_from_a_replica_that_has_less_than_the_lost_one() {
    let setting = Setting::start().await;
    let (primary, mut fresh, database) = (setting.primary, setting.replica, setting.database);
    let behind = primary.replica("behind");
    let way = Network::to(behind.port());
    way.cut();
    let told = open_with_replicas(&primary.url(&database), &database, &[fresh.port(), way.port()]).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();
    until_the_replica_serves(&told).await;
    has(&behind, &database, numbered(1));
    behind.sql("postgres", "SELECT pg_wal_replay_pause()");
    way.heal();
    save(&told.store, "Anna", numbered(3)).await.unwrap();
    // The one that is read has it. The other is behind by less than a replica may be.
    until_the_replica_serves(&told).await;
    fresh.kill();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        assert_eq!(told.store.birthday(&name("Anna")).await.unwrap(), Some(numbered(3)));
        assert_eq!(told.store.users(None, 10).await.unwrap()[0].birthday, Some(numbered(3)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_lags_is_left_for_a_fresh_one() {
    let setting = Setting::start().await;
    let (primary, lagging, database) = (setting.primary, setting.replica, setting.database);
    let fresh = primary.replica("fresh");
    let way = Network::to(fresh.port());
    way.cut();
    let reader = open_with_replicas(&primary.url(&database), &database, &[lagging.port(), way.port()]).await;
    save(&reader.store, "Anna", numbered(1)).await.unwrap();
    until_the_replica_serves(&reader).await;
    way.heal();
    lagging.sql("postgres", "SELECT pg_wal_replay_pause()");
    save(&reader.store, "Anna", numbered(3)).await.unwrap();
    until_the_replica_serves(&reader).await;
    assert_eq!(reader.store.birthday(&name("Anna")).await.unwrap(), Some(numbered(3)));
    test_servers::wait_until("the lagging one is left", || {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hello-birthday'";
        lagging.sql("postgres", sessions) == "0"
    });
}

/// A replica that was left behind by a failover may have more of the old primary's log than there is of the
/// new one's: the numbers of the two can't be compared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_a_primary_that_was_replaced_is_not_read() {
    let mut old = Postgres::start();
    let (new, behind) = (old.replica("new"), old.replica("behind"));
    let database = migrated(&old).await;
    let url = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{database}", old.port(), new.port());
    let reader = open_with_replicas(&url, &database, &[behind.port()]).await;
    let writer = Told::open(&url, Options::default()).await;
    save(&writer.store, "Anna", numbered(1)).await.unwrap();
    has(&new, &database, numbered(1));
    until_the_replica_serves(&reader).await;
    // What only the replica gets puts it ahead.
    new.set("primary_conninfo", "");
    test_servers::wait_until("the new one no longer follows", || {
        old.sql("postgres", "SELECT count(*) FROM pg_stat_replication") == "1"
    });
    old.sql(&database, "CREATE TABLE more AS SELECT generate_series(1, 300000)");
    let written = old.sql("postgres", "SELECT pg_current_wal_lsn()");
    test_servers::wait_until("the replica is ahead", || {
        behind.sql("postgres", &format!("SELECT pg_last_wal_replay_lsn() >= '{written}'")) == "t"
    });
    old.kill();
    new.promote();
    eventually("changes are made again", async || save(&writer.store, "Anna", numbered(3)).await.is_ok())
        .await;
    eventually("the new birthday is read", async || {
        reader.store.birthday(&name("Anna")).await.is_ok_and(|found| found == Some(numbered(3)))
    })
    .await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        let found = reader.store.birthday(&name("Anna")).await;
        assert!(!found.is_ok_and(|found| found != Some(numbered(3))), "an old birthday was read");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_follows_the_new_primary_is_read_again_whatever_our_role_may_see() {
    let mut old = Postgres::start();
    let (new, follower) = (old.replica("new"), old.replica("follower"));
    let database = migrated(&old).await;
    old.sql(&database, "CREATE ROLE serving LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO serving");
    let url = |user: &str| {
        format!("postgres://{user}@127.0.0.1:{},127.0.0.1:{}/{database}", old.port(), new.port())
    };
    let (all, own) = (url("postgres"), url("serving"));
    let seeing = open_with_replicas(&all, &database, &[follower.port()]).await;
    let replica = format!("postgres://127.0.0.1:{}", follower.port()).parse().unwrap();
    let serving = Told::open(&own, Options { replica: Some(replica), ..Options::default() }).await;
    save(&seeing.store, "Anna", numbered(1)).await.unwrap();
    until_the_replica_serves(&seeing).await;
    until_the_replica_serves(&serving).await;
    has(&new, &database, numbered(1));
    old.kill();
    new.promote();
    eventually("changes are made again", async || save(&seeing.store, "Anna", numbered(3)).await.is_ok())
        .await;
    let conninfo = format!("host=127.0.0.1 port={} user=postgres", new.port());
    follower.set("primary_conninfo", &conninfo);
    has(&follower, &database, numbered(3));
    until_the_replica_serves(&seeing).await;
    // Who may not see whom a replica follows learns it from what the replica notes of its own log, after the new
    // primary has noted something.
    new.sql("postgres", "CHECKPOINT");
    save(&seeing.store, "Anna", numbered(5)).await.unwrap();
    has(&follower, &database, numbered(5));
    follower.sql("postgres", "CHECKPOINT");
    until_the_replica_serves(&serving).await;
}
