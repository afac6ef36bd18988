//! What the store promises while PostgreSQL is killed, frozen, replaced, cancelled, full, lagging or not
//! yet migrated.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

#[path = "postgres/load.rs"]
mod load;
#[path = "postgres/failover.rs"]
mod failover;
#[path = "postgres/fates.rs"]
mod fates;
#[path = "postgres/full.rs"]
mod full;
#[path = "postgres/patroni.rs"]
mod patroni;
#[path = "postgres/replicas.rs"]
mod replicas;
#[path = "postgres/schema.rs"]
mod schema;
#[path = "postgres/encryption.rs"]
mod encryption;

use std::time::{Duration, Instant};

use birthday::{Birthday, Name};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use store::{Change, Location, Options, Outcome, Store, StoreError};
use test_servers::{Postgres, logs};
use tokio::time::sleep;

/// An answer is promised after 1 s; without the promise it would not come before the fault ends. What is between
/// is for a machine that others use.
const ANSWERED: Duration = Duration::from_secs(3);
/// How soon all is well again is measured where nothing else runs (docs/benchmarks.md); this is far from that and
/// from what it takes where a dead connection is not noticed.
const RESUMED: Duration = Duration::from_secs(10);

/// A store, and what it tells of itself.
struct Told {
    store: Store,
    registry: Registry,
}

impl Told {
    async fn open(url: &str, options: Options) -> Self {
        let mut registry = Registry::default();
        let location: Location = url.parse().unwrap();
        let store = Store::open(&location, options, &mut registry).await.unwrap();
        Self { store, registry }
    }

    /// A counter or gauge, by its name after the prefix and its labels as they are written.
    fn number(&self, name: &str) -> f64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| {
            line.strip_prefix("hello_birthday_store_")?.strip_prefix(name)?.strip_prefix(' ')
        });
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
    }
}

async fn migrate(url: &str) {
    Store::migrate(&url.parse().unwrap(), Options::default()).await.unwrap();
}

/// A database of that server with the schema in it, and its name.
async fn migrated(server: &Postgres) -> String {
    let database = server.database();
    migrate(&server.url(&database)).await;
    database
}

fn name(text: &str) -> Name {
    logs::sent(text);
    Name::parse(text).unwrap()
}

/// A birthday for every number, another for each of the first three thousand.
fn numbered(number: usize) -> Birthday {
    let number = i64::try_from(number).unwrap();
    Birthday::from_stored(1, 1 + number % 2, Some(1 + number / 2 % 3000)).unwrap()
}

async fn save(store: &Store, who: &str, birthday: Birthday) -> Result<Outcome, StoreError> {
    store.commit(Change::SaveBirthday { name: name(who), birthday }).await.inspect_err(logs::log)
}

/// Waits until there are answers to who reads, too: the reading connection may have asked a new primary just before
/// it was one.
async fn until_read(store: &Store) {
    eventually("users are read again", async || store.birthday(&name("Anna")).await.is_ok()).await;
}

/// Waits until that is so, which takes no longer than promised; slow machines are given more.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < Duration::from_secs(30), "waited half a minute until {what}");
        sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}
