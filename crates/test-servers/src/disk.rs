//! What happens when the disk is full? A file system in memory that is small enough to be filled.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::postgres::{give_away, new_folder};

/// A small file system. Dropped, it is gone.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// One of so many megabytes; `None`, and a line that says so, for who may not mount.
    #[expect(clippy::print_stdout, reason = "what was not tested must be told")]
    #[must_use]
    pub fn mount(megabytes: u32) -> Option<Self> {
        let folder = new_folder();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "hello-birthday-test"]);
        match mount.arg(folder.path()).output() {
            Ok(output) if output.status.success() => {
                give_away(folder.path());
                Some(Self(folder))
            }
            refused => {
                println!("skipped: a small disk can't be mounted: {refused:?}");
                None
            }
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room but so many bytes.
    ///
    /// # Panics
    /// As [`SmallDisk::fill`] does.
    pub fn fill_but(&self, bytes: u64) {
        self.fill();
        let ballast = fs::File::options().write(true).open(self.ballast());
        let cut =
            ballast.and_then(|ballast| ballast.set_len(ballast.metadata()?.len().saturating_sub(bytes)));
        assert!(cut.is_ok(), "there is no room: {cut:?}");
    }

    /// Takes all the room that is left.
    ///
    /// # Panics
    /// Where there is more than on a small disk.
    pub fn fill(&self) {
        let written = fs::write(self.ballast(), vec![0; 256 << 20]);
        assert!(written.is_err_and(|error| error.kind() == ErrorKind::StorageFull), "it can't be filled");
    }

    /// Gives that room back.
    ///
    /// # Panics
    /// Where none was taken.
    #[expect(clippy::expect_used, reason = "a test ends at the first surprise")]
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("it was filled before");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, for servers that are killed after this.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
