//! May this file be opened for writing? Not while another process writes to it, and not on a file
//! system where SQLite's write-ahead log can't work.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::file::{DatabaseFile, beside, folder};
use crate::{OpenError, Options};

/// The right to write, held for as long as this lives; the operating system gives it back when the
/// process ends, however it ends.
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock file beside the database, and makes the database file, readable by its owner
    /// alone, where there is none.
    pub(super) fn take(database: &DatabaseFile, options: Options) -> Result<Self, OpenError> {
        let path = database.path();
        check_file_system(folder(path), path, options)?;
        let lock_path = beside(path, ".lock");
        let mut file = create_private(&lock_path)?;
        if file.try_lock().is_err() {
            return Err(OpenError::Locked { path: path.to_owned(), holder: holder(&mut file) });
        }
        // Who holds it is a courtesy to the next one who tries: the lock itself doesn't need it.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        let made = create_private(path)?.metadata();
        if made.is_ok_and(|facts| 1 < facts.nlink()) {
            let reason = "the file has a second name (a hard link), by which another process could write to it; copy it";
            return Err(OpenError::Engine { place: database.to_string(), reason: reason.into() });
        }
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Gives the lock back for every copy of the open file (flock(2)): a child process that was just
    /// forked has one until its `exec`, and closing ours alone would leave the lock with it.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// SQLite gives the files beside the database the rights of the database itself.
fn create_private(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// What is known of a kind of file system.
enum Verdict {
    Trusted,
    Refused(&'static str),
    Doubted(&'static str),
}

fn check_file_system(folder: &Path, path: &Path, options: Options) -> Result<(), OpenError> {
    match verdict(folder) {
        Verdict::Trusted => Ok(()),
        Verdict::Refused(kind) if options.any_file_system => {
            tracing::warn!(kind, "the data is on a file system that may lose it, as was insisted on");
            Ok(())
        }
        Verdict::Refused(kind) => Err(OpenError::FileSystem { path: path.to_owned(), kind }),
        Verdict::Doubted(kind) => {
            tracing::warn!(kind, "the data is on a file system that may not keep it; a local disk does");
            Ok(())
        }
    }
}

#[cfg(target_os = "linux")]
fn verdict(folder: &Path) -> Verdict {
    // A folder that can't be asked can't be opened either, and that has its own words.
    rustix::fs::statfs(folder).map_or(Verdict::Trusted, |facts| of_magic(facts.f_type.cast_unsigned() as u32))
}

#[cfg(not(target_os = "linux"))]
fn verdict(_folder: &Path) -> Verdict {
    Verdict::Trusted
}

/// The numbers are those of `linux/magic.h` and statfs(2).
#[cfg(target_os = "linux")]
fn of_magic(magic: u32) -> Verdict {
    match magic {
        0x6969 => Verdict::Refused("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Verdict::Refused("CIFS"),
        // ext2 to ext4, XFS, Btrfs, ZFS, F2FS, bcachefs.
        0xef53 | 0x5846_5342 | 0x9123_683e | 0x2fc1_2fc1 | 0xf2f5_2010 | 0xca45_1a4e => Verdict::Trusted,
        0x0102_1994 => Verdict::Doubted("tmpfs (memory)"),
        0x794c_7630 => Verdict::Doubted("overlayfs (a container's own layer)"),
        0x6573_5546 => Verdict::Doubted("FUSE"),
        0x0102_1997 => Verdict::Doubted("9p"),
        _ => Verdict::Doubted("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path) -> Result<Lock, OpenError> {
        Lock::take(&DatabaseFile::find(path)?, Options::default())
    }

    #[test]
    fn a_second_writer_is_kept_out_and_told_who_is_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let lock = take(&path).unwrap();
        let refused = take(&path).err().unwrap().to_string();
        assert!(refused.contains("is in use: another hello-birthday"), "{refused}");
        assert!(refused.contains(&format!("(process {})", std::process::id())), "{refused}");
        drop(lock);
        take(&path).unwrap();
    }

    #[test]
    fn what_a_child_process_inherits_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let lock = take(&path).unwrap();
        // As a child has it between its fork and its exec: the same open file once more.
        let _inherited = lock.file.try_clone().unwrap();
        drop(lock);
        take(&path).unwrap();
    }

    #[test]
    fn the_files_are_readable_by_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let _lock = take(&path).unwrap();
        for path in [path.clone(), beside(&path, ".lock")] {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let refused = take(Path::new("/no/such/folder/x.db")).err().unwrap();
        assert!(refused.to_string().contains("/no/such/folder/x.db"), "{refused}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn network_file_systems_are_refused_and_local_ones_trusted() {
        for magic in [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42] {
            assert!(matches!(of_magic(magic), Verdict::Refused(_)));
        }
        assert!(matches!(of_magic(0xef53), Verdict::Trusted));
        assert!(matches!(of_magic(0x0102_1994), Verdict::Doubted(_)));
        assert!(matches!(of_magic(1), Verdict::Doubted(_)));
    }
}
