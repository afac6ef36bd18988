//! What only the embedded store promises.

use std::fs::Permissions;
use std::io::ErrorKind::AlreadyExists;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use birthday::{Birthday, Email};
use prometheus_client::registry::Registry;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::*;
use crate::{ImportError, Imported};

fn metrics() -> Metrics {
    Metrics::register(&mut Registry::default())
}

fn open(path: &Path) -> Sqlite {
    Sqlite::open_file(path, Options::default(), &metrics(), &mut Registry::default()).unwrap()
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    (folder, path)
}

fn log_bytes(path: &Path) -> u64 {
    path.with_extension("db-wal").metadata().map_or(0, |facts| facts.len())
}

/// Waits until nothing is left in the log.
async fn rest(path: &Path) {
    let start = Instant::now();
    while log_bytes(path) > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "{} bytes", log_bytes(path));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn save(who: &str, number: i64) -> Change {
    let birthday =
        Birthday::from_stored(number % 12 + 1, number % 28 + 1, Some(1900 + number % 100)).unwrap();
    Change::SaveBirthday { name: Name::parse(who).unwrap(), birthday }
}

/// A store whose writer's connection was prepared by the test.
fn open_prepared(path: &Path, prepare: impl FnOnce(&mut Connection)) -> Sqlite {
    let file = DatabaseFile::find(path).unwrap();
    let lock = Lock::take(&file, Options::default()).unwrap();
    let place = Place::File(file.clone());
    let mut connection = place.open_writer().unwrap();
    schema::migrate(&mut connection, &place).unwrap();
    prepare(&mut connection);
    let readers = Readers::open(&place).unwrap();
    let writer = Writer::of_file(connection, lock, Opened::of(&file).unwrap());
    Sqlite::start(writer, readers, &metrics(), None).unwrap()
}

/// A store on which each commit takes 5 milliseconds, and the count of its commits.
fn slow_store(path: &Path) -> (Sqlite, Arc<AtomicUsize>) {
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let slow = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
        false
    };
    (open_prepared(path, |connection| connection.commit_hook(Some(slow)).unwrap()), commits)
}

/// Saves until each of that many savers has saved that often, and says how long that took.
async fn save_all(sqlite: &Sqlite, savers: usize, each: usize) -> Duration {
    let start = Instant::now();
    let savers: Vec<_> = (0..savers)
        .map(|saver| {
            let sqlite = sqlite.clone();
            tokio::spawn(async move {
                for number in 0..each {
                    let number = i64::try_from(number).unwrap();
                    assert_eq!(
                        sqlite.commit(save(&format!("u{saver}"), number)).await.unwrap(),
                        Outcome::Done
                    );
                }
            })
        })
        .collect();
    for saver in savers {
        saver.await.unwrap();
    }
    start.elapsed()
}

#[tokio::test]
async fn sixty_four_savers_share_commits_thirty_to_one() {
    let (_folder, path) = folder();
    let (sqlite, commits) = slow_store(&path);
    let alone = save_all(&sqlite, 1, 200).await;
    assert_eq!(commits.swap(0, Ordering::Relaxed), 200, "a saver alone waits for nobody");
    let together = save_all(&sqlite, 64, 200).await;
    let commits = commits.load(Ordering::Relaxed);
    // Counted, not timed: the clock of a busy machine proves nothing. The times are for the reader.
    let saves = 64 * 200;
    println!(
        "commits of 5 ms: 1 saver {:.0} saves/s, 64 savers {:.0} saves/s in {commits} commits of {:.1} saves",
        200.0 / alone.as_secs_f64(),
        f64::from(saves) / together.as_secs_f64(),
        f64::from(saves) / commits as f64,
    );
    assert!(commits * 30 <= 64 * 200, "{commits} commits");
}

#[tokio::test]
async fn the_same_date_again_writes_nothing() {
    let (_folder, path) = folder();
    let sqlite = open(&path);
    assert_eq!(sqlite.commit(save("Anna", 1)).await.unwrap(), Outcome::Done);
    let before = log_bytes(&path);
    for _ in 0..50 {
        assert_eq!(sqlite.commit(save("Anna", 1)).await.unwrap(), Outcome::Unchanged);
    }
    assert!(log_bytes(&path) <= before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_stays_small_through_a_long_mixed_run() {
    let (_folder, path) = folder();
    let sqlite = open(&path);
    let done = Arc::new(AtomicBool::new(false));
    // Readers that never pause, so that there is always a snapshot somewhere.
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (sqlite, done) = (sqlite.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let name = Name::parse("u1").unwrap();
                while !done.load(Ordering::Relaxed) {
                    sqlite.birthday(&name).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut largest = 0;
    for _ in 0..20 {
        save_all(&sqlite, 64, 60).await;
        largest = largest.max(log_bytes(&path));
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    println!("76,800 saves beside readers: the log had at most {largest} bytes");
    assert!(largest < 32 << 20, "{largest} bytes");
    // At rest it is cut to nothing, and so are the pages of who was erased.
    rest(&path).await;
}

#[tokio::test]
async fn who_is_erased_is_not_in_the_files_either() {
    let (_folder, path) = folder();
    let sqlite = open(&path);
    let name = Name::parse("Zebulonia").unwrap();
    let email = Email::parse("zebulonia@example.org").unwrap();
    sqlite.commit(Change::Register { name: name.clone(), email }).await.unwrap();
    sqlite.commit(Change::Erase { name }).await.unwrap();
    sqlite.close().await;
    assert_eq!(log_bytes(&path), 0);
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(9).any(|window| window.eq_ignore_ascii_case(b"zebulonia")));
}

#[tokio::test]
async fn a_second_writer_is_kept_out_while_the_first_one_runs() {
    let (_folder, path) = folder();
    let sqlite = open(&path);
    let refused =
        Sqlite::open_file(&path, Options::default(), &metrics(), &mut Registry::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    let refused = Sqlite::migrate_file(&path, Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    sqlite.close().await;
    assert_eq!(Sqlite::migrate_file(&path, Options::default()).unwrap(), Migrated { from: 1, to: 1 });
}

#[tokio::test]
async fn a_link_to_the_file_lets_no_second_writer_in() {
    let (folder, path) = folder();
    let [link, folders_link] = ["link.db", "elsewhere"].map(|name| folder.path().join(name));
    // It leads to a file that is made by this opening.
    symlink("x.db", &link).unwrap();
    symlink(".", &folders_link).unwrap();
    for made in [false, true] {
        assert_eq!(path.exists(), made);
        let sqlite = open(&link);
        for name in [&path, &link, &folders_link.join("x.db")] {
            let refused = Sqlite::migrate_file(name, Options::default()).unwrap_err();
            assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
        }
        sqlite.close().await;
    }
    assert!(!folder.path().join("link.db.lock").exists());
}

/// SQLite would keep a log for each name.
#[tokio::test]
async fn a_file_with_two_names_is_not_written_to() {
    let (folder, path) = folder();
    open(&path).close().await;
    std::fs::hard_link(&path, folder.path().join("y.db")).unwrap();
    for name in ["x.db", "y.db"] {
        let refused = Sqlite::migrate_file(&folder.path().join(name), Options::default()).unwrap_err();
        assert!(refused.to_string().contains("second name"), "{refused}");
    }
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let refused =
        Sqlite::open_file(&path, Options::default(), &metrics(), &mut Registry::default()).err().unwrap();
    assert!(matches!(refused, OpenError::NotOurs { .. }), "{refused}");
    std::fs::write(&path, "this is a letter, not a database, and it is long enough to be looked at as one")
        .unwrap();
    let refused =
        Sqlite::open_file(&path, Options::default(), &metrics(), &mut Registry::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Engine { .. }), "{refused}");
}

#[tokio::test]
async fn a_newer_schema_is_opened_only_if_it_only_expanded() {
    let (_folder, path) = folder();
    open(&path).close().await;
    let newer = |works_since: i64| {
        let sql = "INSERT OR REPLACE INTO schema_migrations VALUES (9, 'from the future', ?1)";
        Connection::open(&path).unwrap().execute(sql, [works_since]).unwrap();
        Sqlite::open_file(&path, Options::default(), &metrics(), &mut Registry::default())
    };
    newer(1).unwrap().close().await;
    let refused = newer(2).err().unwrap();
    assert!(matches!(refused, OpenError::TooNew { found: 9, known: 1 }), "{refused}");
}

#[tokio::test]
async fn nothing_is_done_while_the_name_of_a_file_leads_elsewhere() {
    let (folder, path) = folder();
    let sqlite = open(&path);
    assert_eq!(sqlite.commit(save("Anna", 1)).await.unwrap(), Outcome::Done);
    let aside = folder.path().join("aside");
    for file in ["x.db-wal", "x.db-shm", "x.db"].map(|name| folder.path().join(name)) {
        for replaced in [false, true] {
            std::fs::rename(&file, &aside).unwrap();
            if replaced {
                std::fs::write(&file, "").unwrap();
            }
            let refused = sqlite.commit(save("Bert", 1)).await;
            assert!(
                matches!(&refused, Err(StoreError::NotApplied(Reason::Unavailable(why))) if why.contains("moved")),
                "{refused:?}"
            );
            sqlite.ping().await.unwrap_err();
            std::fs::rename(&aside, &file).unwrap();
            sqlite.ping().await.unwrap();
            assert_eq!(sqlite.commit(save("Anna", 1)).await.unwrap(), Outcome::Unchanged);
            assert!(sqlite.user(&Name::parse("Anna").unwrap()).await.unwrap().is_some());
        }
    }
    assert_eq!(sqlite.users(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_commit_to_a_file_that_was_moved_meanwhile_is_unknown() {
    let (folder, path) = folder();
    let (from, to) = (path.clone(), folder.path().join("aside"));
    // After it has looked where the file is, and before it looks again.
    let mv = move || {
        std::fs::rename(&from, &to).unwrap();
        false
    };
    let sqlite = open_prepared(&path, |connection| connection.commit_hook(Some(mv)).unwrap());
    let fate = sqlite.commit(save("Anna", 1)).await;
    assert!(matches!(fate, Err(StoreError::Unknown(Reason::Unavailable(_)))), "{fate:?}");
}

#[test]
fn an_import_into_a_file_that_was_moved_meanwhile_is_unknown() {
    let (folder, path) = folder();
    let import = Import::open_file(&path, Options::default()).unwrap();
    let (sender, batches) = tokio::sync::mpsc::channel(2);
    for who in ["Anna", "Bert"] {
        let user = User { name: Name::parse(who).unwrap(), email: None, birthday: None };
        sender.try_send(vec![user]).unwrap();
    }
    drop(sender);
    let told = |_| std::fs::rename(&path, folder.path().join("aside")).unwrap();
    let error = import.take_in(batches, told).unwrap_err();
    assert!(matches!(error, ImportError::BrokenOff(StoreError::Unknown(_))), "{error}");
}

/// It finds our log by its name.
#[tokio::test]
async fn a_file_that_took_the_place_of_ours_keeps_what_others_write_to_it() {
    let (folder, path) = folder();
    let sqlite = open(&path);
    assert_eq!(sqlite.commit(save("Anna", 1)).await.unwrap(), Outcome::Done);
    rest(&path).await;
    let aside = folder.path().join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    std::fs::copy(&aside, &path).unwrap();
    let shell = Connection::open(&path).unwrap();
    shell.execute("DELETE FROM users", ()).unwrap();
    sqlite.commit(save("Bert", 1)).await.unwrap_err();
    // A writer that had something to bring into the database would have done so.
    tokio::time::sleep(2 * writer::REST_AFTER).await;
    sqlite.close().await;
    drop(sqlite);
    let users = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM users", (), |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(users(&shell), 0);
    assert_eq!(users(&Connection::open(&aside).unwrap()), 1);
}

#[tokio::test]
async fn a_damaged_file_is_reported() {
    let (_folder, path) = folder();
    let sqlite = open(&path);
    save_all(&sqlite, 500, 1).await;
    sqlite.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    // The last page: the first ones are read when the file is opened, and are found there.
    let last = bytes.len() - 4096;
    bytes[last..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let sqlite = open(&path);
    assert_eq!(sqlite.broken().await, "the database file is damaged; restore a backup");
    assert!(sqlite.ping().await.is_err());
}

#[tokio::test]
async fn a_panic_while_reading_keeps_no_log_from_being_cut() {
    let (_folder, path) = folder();
    let sqlite = open(&path);
    let readers = Arc::clone(&sqlite.shared.readers);
    let fault =
        tokio::spawn(async move { readers.read(|_| -> rusqlite::Result<()> { panic!("a fault") }).await });
    assert!(fault.await.unwrap_err().is_panic());
    assert_eq!(sqlite.commit(save("Anna", 1)).await.unwrap(), Outcome::Done);
    assert!(sqlite.birthday(&Name::parse("Anna").unwrap()).await.unwrap().is_some());
    assert!(sqlite.shared.readers.release_stale());
}

#[tokio::test]
async fn a_change_that_another_programs_lock_keeps_waiting_is_not_applied() {
    let (_folder, path) = folder();
    let sqlite = open(&path);
    let shell = Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = sqlite.commit(save("Anna", 1)).await;
    assert!(matches!(refused, Err(StoreError::NotApplied(Reason::TooSlow))), "{refused:?}");
    shell.execute_batch("ROLLBACK").unwrap();
    assert_eq!(sqlite.birthday(&Name::parse("Anna").unwrap()).await.unwrap(), None);
    assert_eq!(sqlite.commit(save("Anna", 1)).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn no_room_is_not_applied_and_the_store_goes_on() {
    let (_folder, path) = folder();
    let sqlite =
        open_prepared(&path, |connection| connection.pragma_update(None, "max_page_count", 8).unwrap());
    let mut kept = Vec::new();
    let refused = loop {
        let who = format!("{}{}", "n".repeat(50), kept.len());
        match sqlite.commit(save(&who, 1)).await {
            Ok(_) => kept.push(who),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::NotApplied(Reason::Full)), "{refused}");
    sqlite.ping().await.unwrap();
    for who in &kept {
        assert!(sqlite.birthday(&Name::parse(who).unwrap()).await.unwrap().is_some());
    }
    assert_eq!(sqlite.users(None, 1000).await.unwrap().len(), kept.len());
    let erase = Change::Erase { name: Name::parse(&kept[0]).unwrap() };
    assert_eq!(sqlite.commit(erase).await.unwrap(), Outcome::Done);
}

#[test]
fn an_import_that_finds_no_room_is_broken_off_and_keeps_the_batches_before() {
    let (_folder, path) = folder();
    let import = Import::open_file(&path, Options::default()).unwrap();
    import.connection.pragma_update(None, "max_page_count", 32).unwrap();
    let batch = |batch: usize| {
        let user = move |number| User {
            name: Name::parse(&format!("{}{batch}.{number}", "n".repeat(50))).unwrap(),
            email: Some(Email::parse("a@b").unwrap()),
            birthday: None,
        };
        (0..200).map(user).collect::<Vec<_>>()
    };
    let (sender, batches) = tokio::sync::mpsc::channel(20);
    (0..20).for_each(|number| sender.try_send(batch(number)).unwrap());
    drop(sender);
    let mut done = 0;
    let told = |so_far: Imported| done = so_far.taken;
    let error = import.take_in(batches, told).unwrap_err();
    assert!(matches!(error, ImportError::BrokenOff(StoreError::NotApplied(Reason::Full))), "{error}");
    assert!((200..4000).contains(&done), "{done}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kept = runtime.block_on(open(&path).users(None, 10_000)).unwrap().len();
    assert_eq!(u64::try_from(kept).unwrap(), done, "what was told to be there is there, and nothing else");
}

#[test]
fn an_import_is_durable_though_its_log_can_not_be_brought_into_the_database() {
    let (_folder, path) = folder();
    let mut import = Import::open_file(&path, Options::default()).unwrap();
    let refuse = |asked: AuthContext<'_>| {
        let checkpoint = matches!(asked.action, AuthAction::Pragma { pragma_name: "wal_checkpoint", .. });
        if checkpoint { Authorization::Deny } else { Authorization::Allow }
    };
    import.connection.authorizer(Some(refuse)).unwrap();
    let (sender, batches) = tokio::sync::mpsc::channel(2);
    for who in ["Anna", "Bert"] {
        let user = User { name: Name::parse(who).unwrap(), email: None, birthday: None };
        sender.try_send(vec![user]).unwrap();
    }
    drop(sender);
    let mut told = Vec::new();
    let imported = import.take_in(batches, |so_far| told.push(so_far.taken)).unwrap();
    assert_eq!((imported.taken, told), (2, vec![1, 2]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(open(&path).users(None, 10)).unwrap().len(), 2);
}

#[tokio::test]
async fn a_copy_made_while_it_is_served_is_whole_and_never_replaces_a_file() {
    let (folder, path) = folder();
    let sqlite = open(&path);
    save_all(&sqlite, 64, 5).await;
    let writing = tokio::spawn({
        let sqlite = sqlite.clone();
        async move { save_all(&sqlite, 32, 20).await }
    });
    let copy = folder.path().join("copy.db");
    assert_eq!(backup(&path, &copy).unwrap(), 64);
    writing.await.unwrap();
    let refused = backup(&path, &copy).unwrap_err();
    assert!(refused.to_string().contains("copy.db"), "{refused}");
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("copy"))
        .collect();
    assert_eq!(names, ["copy.db"]);
    let copied = open(&copy);
    assert_eq!(copied.users(None, 1000).await.unwrap().len(), 64);
}

#[tokio::test]
async fn a_copy_does_not_go_where_a_link_in_its_way_leads() {
    let (folder, path) = folder();
    let _sqlite = open(&path);
    let [copy, partial, letter] =
        ["copy.db", "copy.db.partial", "letter"].map(|name| folder.path().join(name));
    std::fs::write(&letter, "dear Anna").unwrap();
    symlink(&letter, &partial).unwrap();
    backup(&path, &copy).unwrap();
    assert!(std::fs::read(&letter).unwrap() == b"dear Anna", "the letter is written over");
    assert!(copy.symlink_metadata().unwrap().is_file());
}

#[tokio::test]
async fn a_copy_is_for_its_owner_alone_though_anybody_could_read_what_was_broken_off() {
    let (folder, path) = folder();
    let _sqlite = open(&path);
    let [copy, partial] = ["copy.db", "copy.db.partial"].map(|name| folder.path().join(name));
    std::fs::write(&partial, "a part").unwrap();
    std::fs::set_permissions(&partial, Permissions::from_mode(0o644)).unwrap();
    backup(&path, &copy).unwrap();
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_copy_does_not_replace_what_was_made_while_it_was() {
    let (folder, path) = folder();
    let _sqlite = open(&path);
    let [copy, partial] = ["copy.db", "copy.db.partial"].map(|name| folder.path().join(name));
    // To who looks before the copy is made, a link that leads nowhere is not there.
    symlink("nowhere", &copy).unwrap();
    let refused = backup(&path, &copy).unwrap_err();
    assert!(matches!(&refused, OpenError::Io { source, .. } if source.kind() == AlreadyExists), "{refused}");
    assert!(copy.is_symlink() && !partial.exists());
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_not_copied() {
    let (folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let copy = folder.path().join("copy.db");
    assert!(matches!(backup(&path, &copy), Err(OpenError::NotOurs { .. })));
    assert!(matches!(backup(&folder.path().join("none.db"), &copy), Err(OpenError::Engine { .. })));
    assert!(!copy.exists());
}
