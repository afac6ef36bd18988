//! Reads go to a replica only as long as it is known to be fresh.

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
