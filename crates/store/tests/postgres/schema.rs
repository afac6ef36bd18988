//! The schema is made once, by whoever may, and waited for by everybody else.

use store::Migrated;
use test_servers::PgBouncer;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_migrators_at_once_make_one_schema_and_all_succeed() {
    let server = Postgres::start();
    let pooler = PgBouncer::start(&server);
    let databases = [server.database(), server.database()];
    // Through the pooler they have four sessions, so that some wait until others are done.
    let pooled = format!("{}&connect_timeout=30", pooler.url(&databases[1]));
    for (database, url) in [(&databases[0], server.url(&databases[0])), (&databases[1], pooled)] {
        let migrators: Vec<_> = (0..10)
            .map(|_| {
                let location: Location = url.parse().unwrap();
                tokio::spawn(async move { Store::migrate(&location, Options::default()).await })
            })
            .collect();
        let mut made = 0;
        for migrator in migrators {
            let migrated = migrator.await.unwrap().unwrap();
            made += usize::from(migrated == Migrated { from: 0, to: 1 });
            assert_eq!(migrated.to, 1);
        }
        assert_eq!(made, 1);
        assert_eq!(server.sql(database, "SELECT count(*) FROM schema_migrations"), "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_its_schema_is_of_use_as_soon_as_that_is_made() {
    let server = Postgres::start();
    let database = server.database();
    let told = Told::open(&server.url(&database), Options::default()).await;
    let refused = told.store.ping().await.unwrap_err().to_string();
    assert!(refused.contains("hello-birthday migrate"), "{refused}");
    assert!(matches!(save(&told.store, "Anna", numbered(1)).await, Err(StoreError::NotApplied(_))));
    migrate(&server.url(&database)).await;
    eventually("it answers", async || told.store.ping().await.is_ok()).await;
    eventually("it takes changes", async || save(&told.store, "Anna", numbered(1)).await.is_ok()).await;

    // A newer program made a schema that this one can't work with.
    server.sql(&database, "INSERT INTO schema_migrations VALUES (9, 'contract', 9)");
    eventually("it no longer answers", async || told.store.ping().await.is_err()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serving_needs_no_right_to_change_the_schema() {
    let server = Postgres::start();
    let database = server.database();
    server.sql(
        &database,
        "CREATE ROLE serving LOGIN; ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO serving",
    );
    let serving = format!("postgres://serving@127.0.0.1:{}/{database}", server.port());
    let refused =
        Store::migrate(&serving.parse().unwrap(), Options::default()).await.unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
    let migrate_on_start = Some(server.url(&database).parse().unwrap());
    let told = Told::open(&serving, Options { migrate_on_start, ..Options::default() }).await;
    eventually("it answers", async || told.store.ping().await.is_ok()).await;
    eventually("it takes changes", async || save(&told.store, "Anna", numbered(1)).await.is_ok()).await;
    // What is up to date, anybody may find up to date.
    migrate(&serving).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_programs_database_is_left_alone() {
    let server = Postgres::start();
    let database = server.database();
    server.sql(&database, "CREATE TABLE users (id integer)");
    let location = server.url(&database).parse().unwrap();
    let refused = Store::migrate(&location, Options::default()).await.unwrap_err().to_string();
    assert!(refused.contains("is not a hello-birthday database"), "{refused}");
    assert_eq!(server.sql(&database, "SELECT to_regclass('schema_migrations') IS NULL"), "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_in_the_order_of_their_bytes_whatever_the_collation() {
    let server = Postgres::start();
    server.sql("postgres", "CREATE DATABASE icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'");
    migrate(&server.url("icu")).await;
    let told = Told::open(&server.url("icu"), Options::default()).await;
    for who in ["a", "B", "é", "Z"] {
        save(&told.store, who, numbered(1)).await.unwrap();
    }
    let names: Vec<_> = told.store.users(None, 10).await.unwrap().into_iter().map(|user| user.name).collect();
    assert_eq!(names.iter().map(Name::as_str).collect::<Vec<_>>(), ["B", "Z", "a", "é"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_fails_keeps_no_change_waiting() {
    let server = Postgres::start();
    let database = migrated(&server).await;
    // Who takes connections and hangs up: each attempt to migrate is one.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("postgres://postgres@{}/{database}", nobody.local_addr().unwrap());
    let attempts = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let counting = std::sync::Arc::clone(&attempts);
    std::thread::spawn(move || {
        for _ in nobody.incoming().flatten() {
            counting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let attempts = || attempts.load(std::sync::atomic::Ordering::SeqCst);
    let migrate_on_start = Some(place.parse().unwrap());
    let told = Told::open(&server.url(&database), Options { migrate_on_start, ..Options::default() }).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();
    let before = attempts();
    assert!(before > 0, "nobody tried to migrate");
    for number in 0..20 {
        save(&told.store, "Anna", numbered(number)).await.unwrap();
    }
    assert_eq!(attempts(), before);
}
