//! Moving house: export, import and backup, as an operator runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use tempfile::TempDir;
use test_servers::{Postgres, RedisCluster, RedisServer, SmallDisk};

use crate::process::{Ended, Program, program, run, serve};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn command(name: &str, database: &Path, arguments: &[&str]) -> Ended {
    let store = format!("sqlite:{}", database.display());
    run(program(&[name, "--store", &store]).args(arguments))
}

const RECORDS: &str = r#"{"username":"Anna","email":null,"dateOfBirth":"1990-06-15"}
{"username":"José","email":"jose@example.org","dateOfBirth":"--02-29"}
{"username":"my_username","email":"me@example.org","dateOfBirth":null}
"#;

#[test]
fn what_is_exported_and_imported_elsewhere_is_exported_the_same() {
    let folder = Folder::new();
    let (first, second) = (folder.path("a.db"), folder.path("b.db"));
    let records = folder.file("records.jsonl", RECORDS);
    let imported = command("import", &first, &[records.to_str().unwrap()]);
    let place = first.display();
    let said = format!("3 records were imported into the SQLite file {place}, 0 were there already");
    assert_eq!((imported.code, imported.stderr.trim()), (Some(0), &*said));
    let exported = folder.path("exported.jsonl");
    assert_eq!(command("export", &first, &[exported.to_str().unwrap()]).code, Some(0));
    assert_eq!(fs::read_to_string(&exported).unwrap(), RECORDS);
    assert_eq!(command("import", &second, &[exported.to_str().unwrap()]).code, Some(0));
    assert_eq!(command("export", &second, &[]).stdout, RECORDS);

    let again = command("import", &second, &[exported.to_str().unwrap()]);
    assert!(again.stderr.starts_with("0 records were imported"), "{again:?}");
    assert!(again.stderr.ends_with("3 were there already\n"), "{again:?}");
    let refused = command("export", &first, &[exported.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "a file that is there is never replaced: {refused:?}");
}

#[test]
fn an_export_that_is_broken_off_leaves_nothing() {
    let folder = Folder::new();
    let database = folder.path("a.db");
    let records = folder.file("records.jsonl", &invented(10_000));
    assert_eq!(command("import", &database, &[records.to_str().unwrap()]).code, Some(0));
    let Some(disk) = SmallDisk::mount(1) else { return };
    disk.fill_but(64 << 10);
    let exported = disk.path().join("exported.jsonl");
    let broken_off = command("export", &database, &[exported.to_str().unwrap()]);
    assert_eq!(broken_off.code, Some(1), "{broken_off:?}");
    assert!(broken_off.sentence().contains("No space left on device"), "{broken_off:?}");
    assert!(!exported.exists(), "a part of an export looks like a whole one");

    disk.make_room();
    let few = folder.path("b.db");
    let records = folder.file("few.jsonl", RECORDS);
    assert_eq!(command("import", &few, &[records.to_str().unwrap()]).code, Some(0));
    assert_eq!(command("export", &few, &[exported.to_str().unwrap()]).code, Some(0));
    assert_eq!(fs::read_to_string(&exported).unwrap(), RECORDS);
    let names = fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["exported.jsonl"]);
}

#[test]
fn an_import_that_fails_doesnt_wait_for_the_end_of_its_input() {
    let folder = Folder::new();
    let database = folder.path("a.db");
    let mut service = Program::start(&mut serve(&database));
    service.client();
    let store = format!("sqlite:{}", database.display());
    let mut command = program(&["import", "--store", &store]);
    let ended = Program::start_with(&mut command, Stdio::piped()).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.sentence().contains("is in use"), "{ended:?}");
}

#[test]
fn every_bad_line_is_named_and_the_good_ones_go_in() {
    let folder = Folder::new();
    let bad = "nonsense\n\n{\"username\":\"R2 D2\"}\n{\"username\":\"Bob\",\"dateOfBirth\":\"15.06.1990\"}\n";
    let records = folder
        .file("records.jsonl", &format!("{bad}{RECORDS}{{\"username\":\"Zoe\",\"email\":\"z@b.org\"}}"));
    let (records, database) = (records.to_str().unwrap(), folder.path("a.db"));

    let tried = command("import", &database, &["--dry-run", records]);
    assert_eq!(tried.code, Some(1));
    assert!(!database.exists(), "a dry run writes nothing");
    for ended in [tried, command("import", &database, &[records])] {
        assert_eq!(ended.code, Some(1));
        assert_eq!(ended.sentence(), "3 records are bad, each named above");
        let lines: Vec<_> =
            ended.stderr.lines().filter_map(|line| line.split_once(": ").map(|(line, _)| line)).collect();
        assert_eq!(lines[..3], ["line 1", "line 3", "line 4"], "{ended:?}");
        for personal in ["R2 D2", "Bob", "15.06"] {
            assert!(!ended.stderr.contains(personal), "{ended:?}");
        }
    }
    assert_eq!(command("export", &database, &[]).stdout.lines().count(), 4);
}

#[test]
fn a_line_that_never_ends_is_no_record() {
    let folder = Folder::new();
    let endless = folder.file("records.jsonl", &"x".repeat(100_000));
    let refused = command("import", &folder.path("a.db"), &[endless.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.starts_with("line 1: the record is longer than"), "{refused:?}");
}

const TABLE: &str = "username,email,dateOfBirth
Anna,,1990-06-15
José,jose@example.org,--02-29
my_username,me@example.org,
";

const CARDS: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Anna\r\nBDAY:19900615\r\nEND:VCARD\r\n\
    BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Jose\u{301}\r\nEMAIL:jose@example.org\r\n\
    BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-29\r\nEND:VCARD\r\n\
    BEGIN:VCARD\r\nVERSION:4.0\r\nFN:my_username\r\nEMAIL:me@example.org\r\nEND:VCARD\r\n";

#[test]
fn a_table_and_an_address_book_say_the_same_as_lines_of_json() {
    let folder = Folder::new();
    for (name, text) in [("records.csv", TABLE), ("records.VCF", CARDS), ("records.ndjson", RECORDS)] {
        let (file, database) = (folder.file(name, text), folder.path(&format!("{name}.db")));
        let imported = command("import", &database, &[file.to_str().unwrap()]);
        assert_eq!(imported.code, Some(0), "{imported:?}");
        assert_eq!(command("export", &database, &[]).stdout, RECORDS);
        assert_eq!(command("export", &database, &["--format", "csv"]).stdout, TABLE);
        let written = folder.path(&format!("{name}.csv"));
        assert_eq!(command("export", &database, &[written.to_str().unwrap()]).code, Some(0));
        assert_eq!(fs::read_to_string(&written).unwrap(), TABLE);
    }
}

#[test]
fn a_file_whose_name_tells_no_format_needs_the_flag() {
    let folder = Folder::new();
    let (file, database) = (folder.file("records.txt", TABLE), folder.path("a.db"));
    let file = file.to_str().unwrap();
    let cards = folder.path("out.vcf");
    for refused in
        [command("import", &database, &[file]), command("export", &database, &[cards.to_str().unwrap()])]
    {
        assert_eq!(refused.code, Some(2));
        assert!(refused.sentence().starts_with("--format: "), "{refused:?}");
    }
    assert!(!database.exists() && !cards.exists());
    assert_eq!(command("import", &database, &["--format", "csv", file]).code, Some(0));
}

#[test]
fn a_table_without_names_for_its_columns_makes_no_database() {
    let folder = Folder::new();
    let (file, database) = (folder.file("records.csv", "Anna,a@b.org,1990-06-15\n"), folder.path("a.db"));
    let refused = command("import", &database, &[file.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.sentence().contains("the first line must name the columns"), "{refused:?}");
    assert!(!refused.stderr.contains("Anna") && !database.exists());
}

#[test]
fn names_of_two_words_go_in_as_one_where_that_is_asked_for() {
    let folder = Folder::new();
    let file = folder.file("people.csv", "Name,Birthday\nAnna Müller,1990-06-15\n");
    let file = file.to_str().unwrap();
    let refused = command("import", &folder.path("a.db"), &[file]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.starts_with("line 2: ") && refused.stderr.contains("--spaces"), "{refused:?}");
    for (way, name) in [("drop", "AnnaMüller"), ("underscore", "Anna_Müller")] {
        let database = folder.path(way);
        assert_eq!(command("import", &database, &["--spaces", way, file]).code, Some(0));
        assert!(command("export", &database, &[]).stdout.contains(&format!("\"{name}\"")));
    }
}

/// How records of one format look: a good one, and each way of being bad. `@` stands for a name that no other
/// record has.
struct Sample {
    file: &'static str,
    head: &'static str,
    good: &'static str,
    bad: &'static [&'static str],
}

const SAMPLES: [Sample; 3] = [
    Sample {
        file: "bad.jsonl",
        head: "",
        good: "{\"username\":\"@\",\"dateOfBirth\":\"1990-06-15\"}\n",
        bad: &[
            "secret\n",
            "[\"@\",null,\"1990-06-15\"]\n",
            "{\"username\":\"@\"}\n",
            "{\"username\":\"@ secret\",\"email\":\"a@b\"}\n",
            "{\"username\":\"@!\",\"email\":\"a@b\"}\n",
            "{\"username\":\"@\",\"email\":\"secret\"}\n",
            "{\"username\":\"@\",\"dateOfBirth\":\"15.06.1990\"}\n",
            "{\"username\":\"@\",\"dateOfBirth\":\"1990-02-30\"}\n",
            "{\"username\":\"@\",\"dateOfBirth\":\"2999-01-01\"}\n",
        ],
    },
    Sample {
        file: "bad.csv",
        head: "username,email,dateOfBirth\n",
        good: "@,,1990-06-15\n",
        bad: &[
            "@,,15.06.1990\n",
            "@,,06/15/1990\n",
            "@,,1990-02-30\n",
            "@,,2999-01-01\n",
            "@,secret,\n",
            "@,,\n",
            "@,1990-06-15\n",
            "@,,1990-06-15,secret\n",
            ",,1990-06-15\n",
            "@ secret,,1990-06-15\n",
            "@!,,1990-06-15\n",
            "@\"secret\",,1990-06-15\n",
            "\"@\nsecret\"x,,1990-06-15\n",
        ],
    },
    Sample {
        file: "bad.vcf",
        head: "",
        good: "BEGIN:VCARD\nVERSION:3.0\nFN:@\nBDAY:19900615\nEND:VCARD\n",
        bad: &[
            "BEGIN:VCARD\nVERSION:2.1\nFN:@\nBDAY:19900615\nEND:VCARD\n",
            "BEGIN:VCARD\nFN:@\nBDAY:19900615\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nBDAY:19900615\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN:@ secret\nBDAY:19900615\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN:@\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN:@\nBDAY;VALUE=text:secret\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN:@\nBDAY:15.06.1990\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN:@\nBDAY:19900230\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN:@\nBDAY:19900615T220000Z\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN:@\nEMAIL:secret\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN:@\nEMAIL;ENCODING=b:secret\nEND:VCARD\n",
            "BEGIN:VCARD\nVERSION:4.0\nFN:@\nBDAY:19900615\n",
            "secret\n",
        ],
    },
];

#[test]
fn a_hundred_records_bad_in_each_way_are_all_named_and_nothing_else_is_lost() {
    let folder = Folder::new();
    for Sample { file, head, good, bad } in SAMPLES {
        let (mut text, mut bad_lines, mut names) = (head.to_owned(), Vec::new(), Vec::new());
        for number in 0..100 {
            for (way, record) in bad.iter().enumerate() {
                let name = format!("good-{number}-{way}");
                text.push_str(&good.replace('@', &name));
                names.push(name);
                bad_lines.push(1 + text.matches('\n').count());
                text.push_str(&record.replace('@', &format!("secret-{number}-{way}")));
            }
        }
        let database = folder.path(&format!("{file}.db"));
        let imported = command("import", &database, &[folder.file(file, &text).to_str().unwrap()]);
        assert_eq!(imported.code, Some(1));
        assert_eq!(imported.sentence(), format!("{} records are bad, each named above", bad_lines.len()));
        let named = imported.stderr.lines().filter(|line| line.starts_with("line"));
        let named = named.map(|line| line.split([' ', ':']).nth(1).unwrap().parse::<usize>().unwrap());
        assert_eq!(named.collect::<Vec<_>>(), bad_lines, "{file}");
        assert!(!imported.stderr.contains("secret"), "{file}");
        names.sort();
        let exported = command("export", &database, &["--format", "csv"]).stdout;
        let kept = exported.lines().skip(1).map(|line| line.split(',').next().unwrap());
        assert!(kept.eq(names.iter().map(String::as_str)), "{file}");
    }
}

#[tokio::test]
async fn beside_a_running_service_one_can_export_and_back_up_but_not_import() {
    let folder = Folder::new();
    let (database, copy) = (folder.path("a.db"), folder.path("copy.db"));
    let mut service = Program::start(&mut serve(&database));
    let client = service.client();
    assert_eq!(client.put("/hello/Anna", r#"{"dateOfBirth": "1990-06-15"}"#).await.status, 204);
    assert_eq!(command("export", &database, &[]).stdout, RECORDS.lines().next().unwrap().to_owned() + "\n");
    assert_eq!(command("backup", &database, &[copy.to_str().unwrap()]).code, Some(0));
    let records = folder.file("records.jsonl", RECORDS);
    for refused in
        [command("import", &database, &[records.to_str().unwrap()]), command("migrate", &database, &[])]
    {
        assert_eq!(refused.code, Some(1));
        assert!(refused.sentence().contains("is in use: another hello-birthday (process "), "{refused:?}");
    }
    // Nothing is read on for a store that takes nothing: the bad line at the end is never come to.
    let many = (0..100_000).map(|number| format!("{{\"username\":\"u{number}\",\"email\":\"a@b\"}}\n"));
    let many = folder.file("many.jsonl", &(many.collect::<String>() + "nonsense\n"));
    let refused = command("import", &database, &[many.to_str().unwrap()]);
    assert!(refused.sentence().contains("is in use") && !refused.stderr.contains("line "), "{refused:?}");
    drop(service);
    assert_eq!(command("export", &copy, &[]).stdout.lines().count(), 1);
}

#[test]
fn what_is_not_there_can_be_neither_exported_nor_copied() {
    let folder = Folder::new();
    let (none, out) = (folder.path("none.db"), folder.path("out"));
    for refused in [command("export", &none, &[]), command("backup", &none, &[out.to_str().unwrap()])] {
        assert_eq!(refused.code, Some(1));
        assert!(refused.sentence().contains("none.db"), "{refused:?}");
    }
    assert!(!none.exists() && !out.exists());
    let memory = run(&mut program(&["backup", "--store", "sqlite::memory:", out.to_str().unwrap()]));
    assert_eq!(memory.code, Some(1), "{memory:?}");
}

/// What no command takes more of, in KiB, however many records there are.
const MEMORY_KIB: u64 = 64 << 10;

/// Records of people who may lack a birthday, its year, or an address, in the order of their names.
fn invented(count: usize) -> String {
    let record = |number: usize| {
        let letter = |place| char::from(b'a' + (number / 26_usize.pow(place) % 26) as u8);
        let name: String = (0..5).rev().map(letter).chain(number.is_multiple_of(7).then_some('é')).collect();
        let (year, month, day) = (1900 + number % 120, 1 + number % 12, 1 + number % 28);
        let date_of_birth = match number {
            _ if number.is_multiple_of(10) => "null".to_owned(),
            _ if number % 90 == 1 => format!("\"--{month:02}-{day:02}\""),
            _ => format!("\"{year}-{month:02}-{day:02}\""),
        };
        let email = if number.is_multiple_of(3) && !number.is_multiple_of(10) {
            "null".to_owned()
        } else {
            format!("\"person{number}@example.org\"")
        };
        format!("{{\"username\":\"{name}\",\"email\":{email},\"dateOfBirth\":{date_of_birth}}}\n")
    };
    (0..count).map(record).collect()
}

/// Runs a command to its good end within the memory that it may take, and prints what it took.
fn move_house(name: &str, what: &str, url: &str, file: &Path) {
    let start = Instant::now();
    let ended = run(&mut program(&[name, "--store", url, file.to_str().unwrap()]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (took, peak) = (start.elapsed().as_secs_f64(), ended.peak_kib);
    println!("{name} {what}: {took:.1} s, at most {peak} KiB; {}", ended.stderr.trim());
    assert!(peak < MEMORY_KIB, "{ended:?}");
}

/// With `HELLO_TEST_ALL` through a Redis Cluster of six instead of one server; `HELLO_RECORDS` says how many.
#[test]
fn a_house_of_any_size_moves_through_every_store_in_little_memory_and_comes_back_the_same() {
    let count = std::env::var("HELLO_RECORDS").map_or(3000, |count| count.parse().unwrap());
    let (folder, records) = (Folder::new(), invented(count));
    let first = folder.file("first.jsonl", &records);
    let sqlite = format!("sqlite:{}", folder.path("a.db").display());
    let postgres = Postgres::start();
    let postgres_url = postgres.url(&postgres.database());
    assert_eq!(run(&mut program(&["migrate", "--store", &postgres_url])).code, Some(0));
    let all = std::env::var_os("HELLO_TEST_ALL").is_some();
    let cluster = all.then(RedisCluster::start);
    let server = (!all).then(RedisServer::start);
    let redis_url = cluster.as_ref().map_or_else(|| server.as_ref().unwrap().url(), RedisCluster::url);
    let redis = if all { "Redis Cluster" } else { "Redis" };
    let stores = [("SQLite", &sqlite), ("PostgreSQL", &postgres_url), (redis, &redis_url)];

    let mut file = first;
    for (what, url) in stores {
        move_house("import", what, url, &file);
        file = folder.path(&format!("{what}.jsonl"));
        move_house("export", what, url, &file);
        assert!(fs::read_to_string(&file).unwrap() == records, "{what} gave back something else");
    }
}
