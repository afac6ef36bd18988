//! The primary is killed, replaced, frozen or made read-only.

use super::load::Load;
use super::*;

fn url_of(first: &Postgres, second: &Postgres, database: &str) -> String {
    let (first, second) = (first.port(), second.port());
    format!(
        "postgres://postgres@127.0.0.1:{first},127.0.0.1:{second}/{database}?target_session_attrs=read-write"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_done_is_lost_when_the_primary_is_killed_and_its_synchronous_standby_promoted() {
    let rounds = std::env::var("HELLO_TEST_FAILOVERS").ok().map_or(2, |rounds| rounds.parse().unwrap());
    for _ in 0..rounds {
        let (mut primary, standby) = Postgres::start_pair();
        let database = migrated(&primary).await;
        let told = Told::open(&url_of(&primary, &standby, &database), Options::default()).await;
        let load = Load::start(&told.store);
        eventually("the load runs", async || told.number("batch_size_count") > 100.0).await;

        primary.kill();
        standby.promote();
        let resumed = eventually("changes are made again", async || {
            save(&told.store, "resumed", numbered(0)).await.is_ok()
        })
        .await;
        assert!(resumed < RESUMED, "writes resumed {resumed:?} after the promotion");
        assert_eq!(told.number("failovers_total"), 1.0);

        let counts = load.stop_and_check(&told.store).await;
        println!("{counts:?}, resumed after {resumed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_database_is_answered_for_in_time_and_is_used_again_when_it_thaws() {
    let server = Postgres::start();
    let database = migrated(&server).await;
    let told = Told::open(&server.url(&database), Options::default()).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();
    server.freeze();
    let frozen = Instant::now();
    let callers: Vec<_> = (0..64)
        .map(|number| {
            let store = told.store.clone();
            tokio::spawn(async move {
                let (mut refused, mut longest) = (0, Duration::ZERO);
                while frozen.elapsed() < Duration::from_secs(4) {
                    let start = Instant::now();
                    let answered = if number % 2 == 0 {
                        store.birthday(&name("Anna")).await.is_ok()
                    } else {
                        save(&store, &format!("u{number}"), numbered(number)).await.is_ok()
                    };
                    longest = longest.max(start.elapsed());
                    refused += usize::from(!answered);
                    if answered {
                        break;
                    }
                }
                (refused, longest)
            })
        })
        .collect();
    for caller in callers {
        let (refused, longest) = caller.await.unwrap();
        assert!(refused > 0, "a frozen database answered");
        assert!(longest < ANSWERED, "an answer took {longest:?}");
    }
    assert!(told.store.ping().await.is_err());
    server.thaw();
    let back = eventually("reads and changes work again", async || {
        told.store.birthday(&name("Anna")).await.is_ok()
            && save(&told.store, "Anna", numbered(2)).await.is_ok()
    })
    .await;
    assert!(back < RESUMED, "it took {back:?}");
    println!("back after {back:?}");
    eventually("no write is in doubt", async || {
        let _ = save(&told.store, "Anna", numbered(3)).await;
        told.number("connections_in_doubt") == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_froze_and_was_replaced_is_never_read_again() {
    let (old, new) = Postgres::start_pair();
    let database = migrated(&old).await;
    let told = Told::open(&url_of(&old, &new, &database), Options::default()).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();
    old.freeze();
    new.promote();
    eventually("changes are made again", async || save(&told.store, "Anna", numbered(2)).await.is_ok()).await;
    until_read(&told.store).await;
    new.set("synchronous_standby_names", "");
    // It thaws, and doesn't know that it was replaced: to it Anna has the first birthday.
    old.thaw();
    for number in 2..50 {
        save(&told.store, "Anna", numbered(number)).await.unwrap();
        assert_eq!(told.store.birthday(&name("Anna")).await.unwrap(), Some(numbered(number)));
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_turned_read_only_is_left_for_the_new_primary() {
    let (old, new) = Postgres::start_pair();
    let database = migrated(&old).await;
    let told = Told::open(&url_of(&old, &new, &database), Options::default()).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();
    old.set("synchronous_standby_names", "");
    old.set("default_transaction_read_only", "on");
    new.promote();
    eventually("changes are made again", async || save(&told.store, "Anna", numbered(2)).await.is_ok()).await;
    until_read(&told.store).await;
    assert_eq!(told.store.birthday(&name("Anna")).await.unwrap(), Some(numbered(2)));
    assert_eq!(new.sql(&database, "SELECT count(*) FROM users"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_whose_connection_is_cut_is_answered_all_the_same() {
    let server = Postgres::start();
    let database = migrated(&server).await;
    let told = Told::open(&server.url(&database), Options::default()).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();
    let cut = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()"
    );
    for milliseconds in 0..20 {
        let reads: Vec<_> = (0..200)
            .map(|_| {
                let store = told.store.clone();
                tokio::spawn(async move { store.birthday(&name("Anna")).await })
            })
            .collect();
        // Some of the connections that follow the first cut are cut while they are being opened.
        server.sql(
            "postgres",
            &format!("{cut}; SELECT pg_sleep({milliseconds} / 1000.0), pg_stat_clear_snapshot(); {cut}"),
        );
        for read in reads {
            assert_eq!(read.await.unwrap().unwrap(), Some(numbered(1)));
        }
    }
}

/// How many sessions of the store that server has in the database.
fn sessions(server: &Postgres, database: &str) -> String {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hello-birthday' AND datname";
    server.sql("postgres", &format!("{count} = '{database}'"))
}

/// As where a database moves to another server and nobody is promoted: both have the same timeline, so that
/// each connection must see for itself that its server takes no more changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_store_leaves_a_server_that_turned_read_only_before_the_next_change() {
    let (old, new) = (Postgres::start(), Postgres::start());
    new.set("default_transaction_read_only", "on");
    let database = migrated(&old).await;
    let told = Told::open(&url_of(&old, &new, &database), Options::default()).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();

    new.set("default_transaction_read_only", "off");
    assert_eq!(migrated(&new).await, database);
    old.set("default_transaction_read_only", "on");
    test_servers::wait_until("the old server is left", || {
        sessions(&old, &database) == "0" && sessions(&new, &database) == "2"
    });
    assert_eq!(save(&told.store, "Anna", numbered(2)).await.unwrap(), Outcome::Done);
    assert_eq!(told.number("failovers_total"), 0.0);
    assert_eq!(new.sql(&database, "SELECT count(*) FROM users"), "1");
}
