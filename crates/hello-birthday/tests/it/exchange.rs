//! Moving house: export, import and backup, as an operator runs them.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

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
    assert_eq!(
        (imported.code, imported.stderr.trim()),
        (Some(0), "3 records were imported, 0 were there already")
    );
    let exported = folder.path("exported.jsonl");
    assert_eq!(command("export", &first, &[exported.to_str().unwrap()]).code, Some(0));
    assert_eq!(fs::read_to_string(&exported).unwrap(), RECORDS);
    assert_eq!(command("import", &second, &[exported.to_str().unwrap()]).code, Some(0));
    assert_eq!(command("export", &second, &[]).stdout, RECORDS);

    let again = command("import", &second, &[exported.to_str().unwrap()]);
    assert_eq!(again.stderr.trim(), "0 records were imported, 3 were there already");
    let refused = command("export", &first, &[exported.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "a file that is there is never replaced: {refused:?}");
}

#[test]
fn every_bad_line_is_named_and_the_good_ones_go_in() {
    let folder = Folder::new();
    let bad = "nonsense\n\n{\"username\":\"R2 D2\"}\n{\"username\":\"Bob\",\"dateOfBirth\":\"15.06.1990\"}\n";
    let records = folder.file("records.jsonl", &format!("{bad}{RECORDS}{{\"username\":\"Zoe\"}}"));
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
    assert!(refused.sentence().starts_with("line 1 is longer than"), "{refused:?}");
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
