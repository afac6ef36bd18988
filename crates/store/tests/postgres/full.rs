//! There is no room left on the server's disk.

use store::Reason;
use test_servers::SmallDisk;

use super::load::Load;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_writes_are_refused_and_reads_go_on_until_there_is_room() {
    // An empty database takes 8 MB.
    let Some(disk) = SmallDisk::mount(24) else { return };
    let server = Postgres::start();
    server.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", disk.path().display()));
    server.sql("postgres", "CREATE DATABASE small TABLESPACE small");
    migrate(&server.url("small")).await;
    let told = Told::open(&server.url("small"), Options::default()).await;
    save(&told.store, "Anna", numbered(1)).await.unwrap();

    disk.fill();
    let load = Load::start(&told.store);
    // The pages that the table has may still have room.
    let mut number = 0;
    eventually("a change is refused for want of room", async || {
        number += 1;
        let fate = save(&told.store, &format!("n{number}"), numbered(number)).await;
        matches!(fate, Err(StoreError::NotApplied(Reason::Full)))
    })
    .await;
    for _ in 0..20 {
        assert_eq!(told.store.birthday(&name("Anna")).await.unwrap(), Some(numbered(1)));
        assert!(!told.store.users(None, 10).await.unwrap().is_empty());
    }
    told.store.ping().await.unwrap();

    disk.make_room();
    eventually("changes are made again", async || save(&told.store, "Anna", numbered(2)).await.is_ok()).await;
    let counts = load.stop_and_check(&told.store).await;
    println!("{counts:?}");
    assert!(counts.not_applied > 0 && counts.unknown == 0, "{counts:?}");
    assert_eq!(told.number("connects_total{use=\"write\"}"), 1.0, "no connection was made anew for that");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_log_has_no_room_the_server_dies_and_nothing_untrue_is_told() {
    let Some(disk) = SmallDisk::mount(32) else { return };
    let mut server = Postgres::start_with_log_on(&disk);
    let database = migrated(&server).await;
    let told = Told::open(&server.url(&database), Options::default()).await;
    let load = Load::start(&told.store);
    eventually("the load runs", async || told.number("batch_size_count") > 100.0).await;
    disk.fill();
    eventually("PostgreSQL has given up", async || save(&told.store, "Anna", numbered(1)).await.is_err())
        .await;
    disk.make_room();
    // PostgreSQL starts its recovery by itself, unless it has ended for good before there was room.
    server.kill();
    server.restart();
    eventually("changes are made again", async || save(&told.store, "Anna", numbered(2)).await.is_ok()).await;
    let counts = load.stop_and_check(&told.store).await;
    println!("{counts:?}");
    assert!(counts.done > 0 && counts.not_applied + counts.unknown > 0, "{counts:?}");
}
