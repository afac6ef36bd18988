//! Which program is run: the one that is checked out, or one of the versions to come after it?

use std::path::PathBuf;
use std::process::Command;

use crate::Result;

/// A version of the program.
#[derive(Clone)]
pub(crate) struct Version {
    binary: PathBuf,
    /// How many migrations it has that today's version hasn't.
    steps: u32,
}

/// The programs that upgrades go from and to.
#[derive(clap::Args)]
pub(crate) struct Programs {
    /// The program that is checked out
    today: PathBuf,
    /// What `tools/rehearse/next-version` builds: each version that may follow
    to_come: PathBuf,
}

impl Programs {
    /// An upgrade from a program to itself would show nothing.
    pub(crate) fn check(&self) -> Result<()> {
        let told =
            |version: Version| -> Result<_> { Ok(version.command()?.arg("--version").output()?.stdout) };
        if told(self.today())? == told(self.later(1))? {
            return Err("both programs are of the same version".into());
        }
        Ok(())
    }

    pub(crate) fn today(&self) -> Version {
        Version { binary: self.today.clone(), steps: 0 }
    }

    /// That many versions later: each has a migration more, and isn't ready without it.
    pub(crate) fn later(&self, versions: u32) -> Version {
        Version { binary: self.to_come.clone(), steps: versions }
    }
}

impl Version {
    /// A command without arguments and without any variable of here.
    pub(crate) fn command(&self) -> Result<Command> {
        let binary = self
            .binary
            .canonicalize()
            .map_err(|_| format!("there is no {}: build it", self.binary.display()))?;
        let mut command = Command::new(binary);
        command.env_clear().env("REHEARSED_STEPS", self.steps.to_string());
        Ok(command)
    }
}
