//! What became of a change is told truly, whatever the server does.

use std::sync::atomic::{AtomicBool, Ordering};

use store::Reason;

use super::*;

/// A server whose commits wait for a standby that never comes.
async fn waiting_for_nobody() -> (Postgres, String) {
    let server = Postgres::start();
    let database = migrated(&server).await;
    server.set("synchronous_standby_names", "nobody");
    // Commits begin to wait a moment after the setting was made.
    let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let (waited, start) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        let committing = scope.spawn(|| {
            // Nobody says so where the other thread has panicked.
            while !waited.load(Ordering::Relaxed) && start.elapsed() < Duration::from_secs(120) {
                let _ = server.try_sql(&database, "CREATE TABLE waited (); DROP TABLE waited");
            }
        });
        test_servers::wait_until("commits wait", || {
            waited.fetch_or(server.sql("postgres", cancel) != "0", Ordering::Relaxed);
            committing.is_finished()
        });
    });
    (server, database)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_wait_for_a_standby_is_never_told_as_done() {
    let (server, database) = waiting_for_nobody().await;
    let told = Told::open(&server.url(&database), Options::default()).await;
    let storm = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let (mut cancelled, mut unknown) = (0_usize, 0_usize);
    for round in 0..20 {
        let callers: Vec<_> = (0..10)
            .map(|number| {
                let store = told.store.clone();
                tokio::spawn(async move { save(&store, &format!("u{number}"), numbered(round)).await })
            })
            .collect();
        while callers.iter().any(|caller| !caller.is_finished()) {
            cancelled += server.sql("postgres", storm).parse::<usize>().unwrap();
        }
        for caller in callers {
            match caller.await.unwrap() {
                Err(StoreError::Unknown(_)) => unknown += 1,
                Err(StoreError::NotApplied(_)) => {}
                // The row was there already, from a round of which nothing was known.
                Ok(Outcome::Unchanged) => {}
                Ok(outcome) => panic!("{outcome:?}, and no standby has it"),
            }
        }
    }
    assert!(cancelled > 0 && unknown > 0, "{cancelled} cancelled, {unknown} unknown");
    println!("{cancelled} waits cancelled, {unknown} changes unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_in_doubt_are_bounded_and_go_on_when_the_standby_is_no_longer_waited_for() {
    let (server, database) = waiting_for_nobody().await;
    let told = Told::open(&server.url(&database), Options::default()).await;
    let waiting =
        || server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    let mut fates = Vec::new();
    for number in 0..12 {
        let start = Instant::now();
        let fate = save(&told.store, &format!("u{number}"), numbered(number)).await;
        assert!(start.elapsed() < ANSWERED, "an answer took {:?}", start.elapsed());
        fates.push(fate.unwrap_err());
        // Reads go on meanwhile.
        told.store.birthday(&name("Anna")).await.unwrap();
    }
    let unknown = fates.iter().filter(|fate| matches!(fate, StoreError::Unknown(_))).count();
    assert_eq!(unknown, 8, "{fates:?}");
    assert!(matches!(fates[11], StoreError::NotApplied(_)), "{:?}", fates[11]);
    assert_eq!(waiting(), "8");
    assert_eq!(told.number("connections_in_doubt"), 8.0);
    // Who can only refuse changes gives no sign of life, though it can still read.
    let silent = told.store.ping().await.unwrap_err().to_string();
    assert!(silent.contains("takes no changes"), "{silent}");
    told.store.birthday(&name("Anna")).await.unwrap();

    server.set("synchronous_standby_names", "");
    eventually("changes are made again", async || save(&told.store, "Anna", numbered(1)).await.is_ok()).await;
    told.store.ping().await.unwrap();
    assert_eq!(told.store.birthday(&name("u0")).await.unwrap(), Some(numbered(0)), "it was never cancelled");
}

/// What is found to be so already may be so on this server alone: the change that made it so waits for the standby.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_finds_nothing_to_change_waits_for_the_standby_too() {
    let (server, database) = waiting_for_nobody().await;
    let told = Told::open(&server.url(&database), Options::default()).await;
    let who = || name("Anna");
    let email = || birthday::Email::parse("anna@example.org").unwrap();
    let changes = [
        Change::SaveBirthday { name: who(), birthday: numbered(1) },
        Change::Register { name: who(), email: email() },
        Change::ChangeEmail { name: who(), email: email() },
        Change::Erase { name: who() },
        Change::ChangeEmail { name: who(), email: email() },
    ];
    for change in changes.iter().flat_map(|change| [change, change]) {
        let fate = told.store.commit(change.clone()).await;
        assert!(matches!(fate, Err(StoreError::Unknown(_))), "{fate:?} of {change:?}, and no standby has it");
        // For the next one the server has made this one all the same.
        let end =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        server.sql("postgres", end);
    }
}

/// Every row tells in its address what a commit waited for that made it.
const TELLING: &str = "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
 $$ BEGIN NEW.email = current_setting('synchronous_commit'); RETURN NEW; END $$;
 CREATE TRIGGER tell BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION tell()";

#[tokio::test]
async fn a_session_that_lasts_keeps_what_it_promised_and_tells_what_changes() {
    let server = Postgres::start();
    let database = migrated(&server).await;
    server.sql(&database, TELLING);
    let told = Told::open(&server.url(&database), Options::default()).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();
    server.set("synchronous_commit", "off");
    server.set("fsync", "off");
    test_servers::wait_until("it is off", || server.sql("postgres", "SHOW synchronous_commit") == "off");
    save(&told.store, "Bob", numbered(1)).await.unwrap();
    assert_eq!(server.sql(&database, "SELECT DISTINCT email FROM users"), "on");
    eventually("it is told", async || told.number("durability{survives=\"power_loss\"}") == 0.0).await;
    assert_eq!(told.number("durability{survives=\"server_crash\"}"), 1.0);
    assert_eq!(told.number("connects_total{use=\"write\"}"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_entry_fails_for_its_neighbour_and_nobody_is_named() {
    let server = Postgres::start();
    let database = migrated(&server).await;
    server.sql(
        &database,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN
             RAISE WARNING '% is refused', NEW.name;
             RAISE EXCEPTION '% is refused', NEW.name
                 USING ERRCODE = CASE NEW.name WHEN 'u13' THEN 'check_violation' ELSE 'raise_exception' END;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.name IN ('u13', 'u31'))
         EXECUTE FUNCTION refuse()",
    );
    let told = Told::open(&server.url(&database), Options::default()).await;
    let callers: Vec<_> = (0..40)
        .map(|number| {
            let store = told.store.clone();
            tokio::spawn(async move { save(&store, &format!("u{number}"), numbered(number)).await })
        })
        .collect();
    for (number, caller) in callers.into_iter().enumerate() {
        match caller.await.unwrap() {
            Ok(outcome) => assert!(![13, 31].contains(&number) && outcome == Outcome::Done, "{number}"),
            Err(StoreError::NotApplied(Reason::Unavailable(why))) => {
                assert!(
                    [13, 31].contains(&number) && !why.contains(&format!("u{number}")),
                    "{number}: {why}"
                );
            }
            Err(error) => panic!("{number}: {error}"),
        }
    }
    assert!(told.number("batch_size_count") < 40.0, "the changes were not made together");
    assert_eq!(server.sql(&database, "SELECT count(*) FROM users"), "38");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_somebody_holds_keeps_only_its_own_change_from_being_made() {
    let server = Postgres::start();
    let database = migrated(&server).await;
    let told = Told::open(&server.url(&database), Options::default()).await;
    save(&told.store, "held", numbered(1)).await.unwrap();
    std::thread::scope(|scope| {
        // Until its session is ended.
        scope.spawn(|| {
            server.try_sql(
                &database,
                "BEGIN; SELECT 1 FROM users WHERE name = 'held' FOR UPDATE; SELECT pg_sleep(60)",
            )
        });
        test_servers::wait_until("the row is held", || {
            server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
                == "1"
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                // Who is tried last has half a second left, which a busy machine can take by itself.
                use {Outcome::Done, Reason::TooSlow, StoreError::NotApplied, StoreError::Unknown};
                for attempt in 1.. {
                    let (before, after) = (format!("a{attempt}"), format!("z{attempt}"));
                    let (before, held, after) = tokio::join!(
                        save(&told.store, &before, numbered(2)),
                        save(&told.store, "held", numbered(2)),
                        save(&told.store, &after, numbered(2)),
                    );
                    let fates = [before, held, after];
                    if let [Ok(Done), Err(NotApplied(TooSlow)), Ok(Done)] = fates {
                        break;
                    }
                    let is_at_worst_late =
                        |fate: &_| matches!(fate, Ok(Done) | Err(NotApplied(TooSlow) | Unknown(TooSlow)));
                    assert!(attempt < 3 && fates.iter().all(is_at_worst_late), "{fates:?}");
                }
            });
        });
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        server.sql("postgres", end);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_that_register_the_same_name_agree_who_was_first() {
    let server = Postgres::start();
    let database = migrated(&server).await;
    let url = server.url(&database);
    let stores = [Told::open(&url, Options::default()).await, Told::open(&url, Options::default()).await];
    for round in 0..100 {
        let register = |number: usize| {
            let (who, address) = (name(&format!("u{round}")), format!("{number}@example.org"));
            let email = birthday::Email::parse(&address).unwrap();
            stores[number].store.commit(Change::Register { name: who, email })
        };
        let (one, other) = tokio::join!(register(0), register(1));
        let mut outcomes = [one.unwrap(), other.unwrap()];
        outcomes.sort_by_key(|outcome| *outcome != Outcome::Done);
        assert_eq!(outcomes, [Outcome::Done, Outcome::Conflict], "round {round}");
    }
}

/// Waits until a store that is opened now tells that: whether what is done survives the end of the server, that
/// of its machine, and a failover.
async fn until_promised(url: &str, promised: [f64; 3]) {
    let survives = ["server_crash", "power_loss", "failover"];
    eventually(&format!("{promised:?} is promised"), async || {
        let told = Told::open(url, Options::default()).await;
        survives.map(|accident| told.number(&format!("durability{{survives=\"{accident}\"}}"))) == promised
    })
    .await;
}

#[tokio::test]
async fn what_the_server_promises_is_told() {
    let server = Postgres::start();
    let database = migrated(&server).await;
    let url = server.url(&database);
    until_promised(&url, [1.0, 1.0, 0.0]).await;
    server.set("synchronous_commit", "off");
    until_promised(&format!("{url}?pool_mode=transaction"), [0.0, 0.0, 0.0]).await;
    // A session of our own switches it on.
    until_promised(&url, [1.0, 1.0, 0.0]).await;
    server.set("fsync", "off");
    until_promised(&url, [1.0, 0.0, 0.0]).await;
    server.set("fsync", "on");
    server.set("synchronous_standby_names", "standby");
    until_promised(&url, [1.0, 1.0, 1.0]).await;
}
