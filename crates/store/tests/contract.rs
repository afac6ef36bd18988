//! What every store promises, asked of each through its URL.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::{Arc, LazyLock};

use birthday::{Almanac, Birthday, Date, Email, LeapDay, Name, Timestamp, User, find_zone};
use prometheus_client::registry::Registry;
use store::{Change, Imported, Location, Options, Outcome, Store};
use test_servers::{PgBouncer, Postgres, RedisCluster, RedisServer, logs, wait_until};

/// An empty store, and what has to live as long as it does.
struct Fresh {
    store: Store,
    location: Location,
    options: Options,
    _folder: Option<tempfile::TempDir>,
    _servers: Servers,
}

/// What a store of another program runs on, where each has its own.
enum Servers {
    None,
    Redis { _server: RedisServer },
    RedisCluster { _servers: RedisCluster },
}

/// Started once for all tests; each takes a database of its own.
static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);
static REPLICA: LazyLock<Postgres> = LazyLock::new(|| POSTGRES.replica("replica"));
static PGBOUNCER: LazyLock<PgBouncer> = LazyLock::new(|| PgBouncer::start(&POSTGRES));

/// Every kind of store there is.
async fn every_store() -> Vec<Fresh> {
    let mut stores = Vec::new();
    for url in ["sqlite:FOLDER/contract.db", "sqlite::memory:"] {
        let folder = tempfile::tempdir().unwrap();
        let location: Location = url.replace("FOLDER", folder.path().to_str().unwrap()).parse().unwrap();
        let options = Options::default();
        let store = open(&location, &options).await;
        stores.push(Fresh { store, location, options, _folder: Some(folder), _servers: Servers::None });
    }
    let server = RedisServer::start();
    stores.push(Fresh::at(&server.url(), Servers::Redis { _server: server }).await);
    if std::env::var_os("HELLO_TEST_ALL").is_some() {
        let servers = RedisCluster::start();
        stores.push(Fresh::at(&servers.url(), Servers::RedisCluster { _servers: servers }).await);
    } else {
        left_out("Redis Cluster");
    }
    stores.push(in_postgres(|database| POSTGRES.url(database), Options::default()).await);
    stores.push(in_postgres(|database| PGBOUNCER.url(database), Options::default()).await);
    let replica = REPLICA.url("postgres").parse().unwrap();
    let options = Options { replica: Some(replica), ..Options::default() };
    stores.push(in_postgres(|database| POSTGRES.url(database), options).await);
    stores
}

impl Fresh {
    async fn at(url: &str, servers: Servers) -> Self {
        let location: Location = url.parse().unwrap();
        let options = Options::default();
        let store = open(&location, &options).await;
        Self { store, location, options, _folder: None, _servers: servers }
    }
}

#[expect(clippy::print_stdout, reason = "what was not tested must be told")]
fn left_out(what: &str) {
    println!("left out: {what}; `make test-all` asks it as well");
}

/// A store in a database of its own.
async fn in_postgres(url: impl Fn(&str) -> String, mut options: Options) -> Fresh {
    let database = POSTGRES.database();
    let location = url(&database).parse().unwrap();
    Store::migrate(&location, options.clone()).await.unwrap();
    if options.replica.is_some() {
        wait_until("the replica has the table", || {
            REPLICA.try_sql(&database, "SELECT 1 FROM users").is_some()
        });
        options.replica = Some(REPLICA.url(&database).parse().unwrap());
    }
    Fresh {
        store: open(&location, &options).await,
        location,
        options,
        _folder: None,
        _servers: Servers::None,
    }
}

async fn open(location: &Location, options: &Options) -> Store {
    Store::open(location, options.clone(), &mut Registry::default()).await.unwrap()
}

fn name(text: &str) -> Name {
    logs::sent(text);
    Name::parse(text).unwrap()
}

fn email(text: &str) -> Email {
    logs::sent(text);
    Email::parse(text).unwrap()
}

fn day(month: i64, day: i64, year: Option<i64>) -> Birthday {
    logs::sent(&format!("{:04}-{month:02}-{day:02}", year.unwrap_or_default()));
    Birthday::from_stored(month, day, year).unwrap()
}

async fn save(store: &Store, who: &str, birthday: Birthday) -> Outcome {
    store.commit(Change::SaveBirthday { name: name(who), birthday }).await.unwrap()
}

async fn register(store: &Store, who: &str, address: &str) -> Outcome {
    store.commit(Change::Register { name: name(who), email: email(address) }).await.unwrap()
}

#[tokio::test]
async fn a_saved_birthday_is_read_back_and_the_last_save_wins() {
    for Fresh { store, .. } in every_store().await {
        assert_eq!(store.birthday(&name("Anna")).await.unwrap(), None);
        assert_eq!(save(&store, "Anna", day(6, 15, Some(1990))).await, Outcome::Done);
        assert_eq!(store.birthday(&name("Anna")).await.unwrap(), Some(day(6, 15, Some(1990))));
        assert_eq!(save(&store, "Anna", day(6, 15, Some(1990))).await, Outcome::Unchanged);
        for (next, outcome) in [
            (day(6, 15, Some(1991)), Outcome::Done),
            (day(6, 15, None), Outcome::Done),
            (day(6, 15, None), Outcome::Unchanged),
            (day(2, 29, None), Outcome::Done),
            (day(2, 29, Some(2000)), Outcome::Done),
        ] {
            assert_eq!(save(&store, "Anna", next).await, outcome);
            assert_eq!(store.birthday(&name("Anna")).await.unwrap(), Some(next));
        }
        assert_eq!(store.birthday(&name("anna")).await.unwrap(), None, "case is significant");
    }
}

#[tokio::test]
async fn an_address_is_given_once_and_changed_only_on_purpose() {
    for Fresh { store, .. } in every_store().await {
        assert_eq!(register(&store, "my_username", "a@example.org").await, Outcome::Done);
        assert_eq!(register(&store, "my_username", "a@example.org").await, Outcome::Unchanged);
        assert_eq!(register(&store, "my_username", "b@example.org").await, Outcome::Conflict);
        let change = |who: &str| Change::ChangeEmail { name: name(who), email: email("c@example.org") };
        assert_eq!(store.commit(change("my_username")).await.unwrap(), Outcome::Done);
        assert_eq!(store.commit(change("my_username")).await.unwrap(), Outcome::Unchanged);
        assert_eq!(store.commit(change("nobody")).await.unwrap(), Outcome::Absent);
        let user = store.user(&name("my_username")).await.unwrap().unwrap();
        assert_eq!(
            user,
            User { name: name("my_username"), email: Some(email("c@example.org")), birthday: None }
        );
        assert_eq!(store.user(&name("nobody")).await.unwrap(), None);
        assert_eq!(store.birthday(&name("my_username")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_birthday_and_an_address_of_one_name_are_one_user() {
    for Fresh { store, .. } in every_store().await {
        save(&store, "Anna", day(6, 15, Some(1990))).await;
        assert_eq!(register(&store, "Anna", "a@example.org").await, Outcome::Done);
        save(&store, "Anna", day(6, 16, Some(1990))).await;
        let user = User {
            name: name("Anna"),
            email: Some(email("a@example.org")),
            birthday: Some(day(6, 16, Some(1990))),
        };
        assert_eq!(store.user(&name("Anna")).await.unwrap(), Some(user.clone()));
        assert_eq!(store.users(None, 10).await.unwrap(), [user]);
    }
}

#[tokio::test]
async fn who_is_erased_is_gone() {
    for Fresh { store, .. } in every_store().await {
        save(&store, "Anna", day(6, 15, Some(1990))).await;
        register(&store, "Anna", "a@example.org").await;
        let erase = || store.commit(Change::Erase { name: name("Anna") });
        assert_eq!(erase().await.unwrap(), Outcome::Done);
        assert_eq!(erase().await.unwrap(), Outcome::Absent);
        assert_eq!(store.user(&name("Anna")).await.unwrap(), None);
        assert_eq!(store.birthday(&name("Anna")).await.unwrap(), None);
        assert_eq!(store.users(None, 10).await.unwrap(), []);
        assert_eq!(register(&store, "Anna", "b@example.org").await, Outcome::Done);
        assert_eq!(store.birthday(&name("Anna")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn users_are_listed_page_by_page_in_the_order_of_their_bytes() {
    let ordered = ["0", "A", "Z", "a", "a-b", "a.b", "a_b", "ab", "z", "é", "Łukasz", "देवी", "𠀀"];
    for Fresh { store, .. } in every_store().await {
        for who in ordered.iter().rev() {
            register(&store, who, "x@example.org").await;
        }
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let page = store.users(after.as_ref(), 4).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            pages.push(page.into_iter().map(|user| user.name).collect::<Vec<_>>());
        }
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4, 1]);
        assert_eq!(pages.concat().iter().map(Name::as_str).collect::<Vec<_>>(), ordered);
        let after = store.users(Some(&name("b")), 2).await.unwrap();
        assert_eq!(after.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["z", "é"]);
    }
}

/// Everybody whose birthday comes within a year, read in pages of so many.
async fn coming(store: &Store, almanac: &Almanac, today: Date, limit: usize) -> Vec<(Date, String)> {
    let (mut all, mut from, mut after) = (Vec::new(), today, None::<Name>);
    loop {
        let spans = almanac.spans(today, from..=Date::MAX);
        let page = store.birthdays(&spans, after.as_ref(), limit).await.unwrap();
        assert!(page.len() <= limit);
        let is_last = page.len() < limit;
        for (name, birthday) in page {
            let coming = almanac.coming(name, birthday, today);
            all.push((coming.date, coming.name.as_str().to_owned()));
            (from, after) = (coming.date, Some(coming.name));
        }
        if is_last {
            return all;
        }
    }
}

#[tokio::test]
async fn coming_birthdays_are_read_page_by_page_soonest_first_and_then_by_name() {
    let people = [
        ("Zoe", day(2, 28, Some(1990))),
        ("Anna", day(2, 28, None)),
        ("a.b", day(2, 29, Some(1992))),
        ("Bob", day(2, 29, None)),
        ("é", day(3, 1, Some(2001))),
        ("Aaron", day(3, 1, Some(2002))),
        ("Łukasz", day(12, 31, Some(1))),
        ("Max", day(12, 31, None)),
        ("ab", day(12, 31, Some(1980))),
        ("a", day(1, 1, Some(1999))),
        ("a-b", day(1, 1, None)),
        ("Moira", day(7, 1, None)),
    ];
    for Fresh { store, .. } in every_store().await {
        save(&store, "Moira", day(12, 30, None)).await;
        save(&store, "erased", day(12, 30, None)).await;
        store.commit(Change::Erase { name: name("erased") }).await.unwrap();
        register(&store, "unborn", "x@example.org").await;
        for (who, birthday) in people {
            save(&store, who, birthday).await;
        }
        for rule in [LeapDay::Feb28, LeapDay::Mar1] {
            let almanac = Almanac::new(find_zone("UTC").unwrap(), rule, Arc::new(Timestamp::now));
            for today in ["2026-12-31", "2027-02-28", "2027-03-01", "2028-02-29"] {
                let today: Date = today.parse().unwrap();
                let mut expected: Vec<_> =
                    people.map(|(who, birthday)| (birthday.next(today, rule), who.to_owned())).into();
                expected.sort();
                for limit in [2, 5, 12, 1000] {
                    assert_eq!(
                        coming(&store, &almanac, today, limit).await,
                        expected,
                        "{rule:?} {today} {limit}"
                    );
                }
                let few = almanac.spans(today, today..=today.tomorrow().unwrap());
                let few = store.birthdays(&few, None, 1000).await.unwrap();
                let within = |(date, _): &&(Date, String)| (*date - today).get_days() <= 1;
                assert_eq!(few.len(), expected.iter().filter(within).count(), "{rule:?} {today}");
            }
        }
        assert_eq!(store.birthdays(&[], None, 10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn changes_of_many_callers_are_all_kept_and_each_gets_its_own_answer() {
    for Fresh { store, .. } in every_store().await {
        let callers: Vec<_> = (0..500)
            .map(|number| {
                let store = store.clone();
                // Five callers a name: one is first, four find the same address there.
                tokio::spawn(
                    async move { register(&store, &format!("u{}", number % 100), "x@example.org").await },
                )
            })
            .collect();
        let mut done = 0;
        for caller in callers {
            let outcome = caller.await.unwrap();
            assert!(matches!(outcome, Outcome::Done | Outcome::Unchanged), "{outcome:?}");
            done += usize::from(outcome == Outcome::Done);
        }
        assert_eq!(done, 100);
        assert_eq!(store.users(None, 1000).await.unwrap().len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_was_answered_sees_the_change_whichever_thread_reads() {
    for Fresh { store, .. } in every_store().await {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    for round in 0..100_i64 {
                        let who = format!("w{writer}");
                        let birthday = day(round % 12 + 1, round % 28 + 1, Some(1900 + round));
                        save(&store, &who, birthday).await;
                        for _ in 0..3 {
                            let (store, who) = (store.clone(), name(&who));
                            let read = tokio::spawn(async move { store.birthday(&who).await });
                            assert_eq!(read.await.unwrap().unwrap(), Some(birthday));
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_done_is_there_after_a_restart() {
    for Fresh { store, location, options, _folder, _servers } in every_store().await {
        if location == Location::SqliteMemory {
            continue;
        }
        save(&store, "Anna", day(2, 29, None)).await;
        store.close().await;
        let closed = store.commit(Change::Erase { name: name("Anna") }).await;
        assert!(matches!(closed, Err(store::StoreError::NotApplied(_))), "{closed:?}");
        let store = open(&location, &options).await;
        assert_eq!(store.birthday(&name("Anna")).await.unwrap(), Some(day(2, 29, None)));
        store.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_record_from_elsewhere_adds_and_changes_but_erases_nothing() {
    for Fresh { store, .. } in every_store().await {
        let put = async |email: Option<&str>, birthday: Option<Birthday>| {
            let user = User { name: name("Anna"), email: email.map(self::email), birthday };
            store.commit(Change::Put(user)).await.unwrap()
        };
        let kept = async || {
            let user = store.user(&name("Anna")).await.unwrap().unwrap();
            (user.email.map(|email| email.as_str().to_owned()), user.birthday.map(Birthday::to_text))
        };
        let both = |email: &str, birthday: &str| (Some(email.to_owned()), Some(birthday.to_owned()));
        assert_eq!(put(None, Some(day(6, 15, Some(1990)))).await, Outcome::Done);
        assert_eq!(put(Some("a@example.org"), None).await, Outcome::Done);
        assert_eq!(kept().await, both("a@example.org", "1990-06-15"));
        assert_eq!(put(Some("a@example.org"), Some(day(6, 15, Some(1990)))).await, Outcome::Unchanged);
        assert_eq!(put(Some("b@example.org"), Some(day(6, 15, None))).await, Outcome::Done);
        assert_eq!(kept().await, both("b@example.org", "--06-15"), "a birthday is kept as a whole");
        assert_eq!(store.users(None, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_takes_everything_in_counts_it_and_lets_the_later_record_of_a_name_win() {
    for Fresh { store, location, options, _folder, _servers } in every_store().await {
        if location == Location::SqliteMemory {
            continue;
        }
        save(&store, "u7", day(6, 15, None)).await;
        store.close().await;
        let user = |number: i64, birthday| User { name: name(&format!("u{number}")), email: None, birthday };
        let users = |birthday| (0..5000).map(move |number| user(number, Some(birthday))).collect();
        let import = async |batches: Vec<Vec<User>>| {
            let (sender, receiver) = tokio::sync::mpsc::channel(batches.len());
            for batch in batches {
                sender.send(batch).await.unwrap();
            }
            drop(sender);
            Store::import(&location, options.clone(), receiver, |_| ()).await.unwrap()
        };
        let again = vec![user(3, Some(day(1, 1, None))), user(3, Some(day(2, 29, None)))];
        let imported = import(vec![users(day(6, 15, None)), again]).await;
        assert_eq!(imported, Imported { taken: 5001, unchanged: 1 });
        let imported = import(vec![users(day(6, 15, None))]).await;
        assert_eq!(imported, Imported { taken: 1, unchanged: 4999 });
        import(vec![vec![user(3, Some(day(1, 1, None))), user(3, Some(day(2, 29, None)))]]).await;
        let store = open(&location, &options).await;
        assert_eq!(store.birthday(&name("u3")).await.unwrap(), Some(day(2, 29, None)));
        assert_eq!(store.birthday(&name("u4999")).await.unwrap(), Some(day(6, 15, None)));
        assert_eq!(store.users(None, 10_000).await.unwrap().len(), 5000);
    }
}

#[tokio::test]
async fn a_store_that_is_open_to_read_alone_reads_what_is_committed_and_changes_nothing() {
    for fresh in every_store().await {
        let Fresh { store, location, .. } = &fresh;
        // Servers know no readers; whoever opens them to read makes no changes.
        if !matches!(location, Location::SqliteFile(_)) {
            continue;
        }
        save(store, "Anna", day(6, 15, Some(1990))).await;
        let reader =
            Store::open_to_read(location, Options::default(), &mut Registry::default()).await.unwrap();
        assert_eq!(reader.users(None, 10).await.unwrap().len(), 1);
        save(store, "Bob", day(6, 15, Some(1990))).await;
        assert_eq!(reader.users(None, 10).await.unwrap().len(), 2);
        let refused = reader.commit(Change::Erase { name: name("Anna") }).await;
        assert!(matches!(refused, Err(store::StoreError::NotApplied(_))), "{refused:?}");
        assert_eq!(store.users(None, 10).await.unwrap().len(), 2);
        reader.close().await;
    }
}
