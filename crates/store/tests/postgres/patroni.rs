//! The primary dies, and nobody is there but Patroni.
//!
//! Patroni takes 20 s to be sure, so this runs when `HELLO_TEST_ALL` is set.

use test_servers::Patroni;

use super::load::Load;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_done_is_lost_and_writes_come_back_by_themselves_when_patroni_fails_over() {
    if std::env::var_os("HELLO_TEST_ALL").is_none() {
        println!("left out: Patroni; `make test-all` lets it fail over");
        return;
    }
    let mut patroni = Patroni::start();
    let url = patroni.url("postgres");
    migrate(&url).await;
    let told = Told::open(&url, Options::default()).await;
    let load = Load::start(&told.store);
    eventually("the load runs", async || told.number("batch_size_count") > 100.0).await;

    patroni.kill_primary();
    let killed = Instant::now();
    assert!(save(&told.store, "during", numbered(0)).await.is_err(), "nobody is there to take it");
    // From the death until Patroni is sure and the standby is promoted.
    while save(&told.store, "resumed", numbered(0)).await.is_err() {
        assert!(killed.elapsed() < Duration::from_secs(90), "writes did not come back");
        sleep(Duration::from_millis(10)).await;
    }
    let away = killed.elapsed();
    assert_eq!(told.number("failovers_total"), 1.0);
    let counts = load.stop_and_check(&told.store).await;
    println!("writes were back {:.1} s after the primary was killed; {counts:?}, 0 lost", away.as_secs_f64());
}
