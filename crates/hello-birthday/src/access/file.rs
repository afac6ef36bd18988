//! Which tokens are valid now? Those that the file lists, which is looked at again and again.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::sleep;

use super::token::Fingerprint;
use super::tokens::{BadLine, Grant, Tokens};

/// How often the file is looked at. What two looks in a row agree on is taken, so that a change is in force
/// within a second.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// The most bytes of the file: some ten thousand tokens.
const FILE_BYTES: u64 = 1 << 20;

/// The file that lists the tokens; the one who looks after it.
pub struct TokensFile {
    path: PathBuf,
    /// What the last look found.
    looked: Found,
    /// What was last taken for the file's new state.
    taken: Found,
    tokens: watch::Sender<Tokens>,
    /// Whether the tokens that are valid are those of the file.
    in_force: Gauge<i64, AtomicI64>,
}

/// The tokens that are valid now; every clone knows the same ones.
#[derive(Clone, Debug)]
pub struct TokensInForce(watch::Receiver<Tokens>);

/// The words that follow the file's name.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// It isn't there, or isn't for this process.
    #[error("can't be read: {0}")]
    Unread(#[from] io::Error),
    /// It can't be a list of tokens.
    #[error("has more than {FILE_BYTES} bytes")]
    TooLong,
    /// It can't be a list of tokens.
    #[error("is not text in UTF-8")]
    NotText,
    /// A line can't be understood.
    #[error(transparent)]
    BadLine(#[from] BadLine),
}

/// By which a change of the file is known. Times and lengths don't tell: a file can change twice within a
/// tick of its clock.
type Found = Result<Fingerprint, io::ErrorKind>;

impl TokensFile {
    /// The file at that path, read once.
    ///
    /// # Errors
    /// Where it can't be read, or a line can't be understood.
    pub fn open(path: &Path) -> Result<Self, BadFile> {
        let read = read(path);
        let found = found(&read);
        let tokens = parse(read)?;
        let (path, tokens, in_force) = (path.to_owned(), watch::Sender::new(tokens), Gauge::default());
        in_force.set(1);
        Ok(Self { path, looked: found, taken: found, tokens, in_force })
    }

    /// Tells in the metrics whether the file is in force.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "hello_birthday_tokens_file_in_force",
            "1 while the valid tokens are those of the file, 0 while it can't be read or understood; absent without one",
            self.in_force.clone(),
        );
    }

    /// The tokens, now and after every change that is seen.
    #[must_use]
    pub fn tokens(&self) -> TokensInForce {
        TokensInForce(self.tokens.subscribe())
    }

    /// Looks at the file again and again, until it is dropped. A file that can't be read or understood
    /// changes nothing.
    pub async fn watch(mut self) -> Infallible {
        loop {
            sleep(LOOK_EVERY).await;
            let path = self.path.clone();
            // A file can be as slow as a network.
            let Ok(read) = tokio::task::spawn_blocking(move || read(&path)).await else { continue };
            self.look(read);
        }
    }

    /// Somebody may be in the middle of writing it, so what one look alone finds is not taken.
    fn look(&mut self, read: io::Result<Vec<u8>>) {
        let found = found(&read);
        let has_settled = found == self.looked;
        self.looked = found;
        if has_settled && found != self.taken {
            self.taken = found;
            self.take(parse(read));
        }
    }

    fn take(&self, parsed: Result<Tokens, BadFile>) {
        let path = self.path.display();
        match parsed {
            Ok(tokens) => {
                tracing::info!("{path} changed: {} tokens are listed", tokens.count());
                self.tokens.send_replace(tokens);
                self.in_force.set(1);
            }
            Err(error) => {
                tracing::warn!("{path} {error}; the tokens from before stay valid");
                self.in_force.set(0);
            }
        }
    }
}

impl TokensInForce {
    /// What that token allows, if it is known now.
    #[must_use]
    pub fn find(&self, token: &[u8]) -> Option<Arc<Grant>> {
        self.0.borrow().find(token)
    }

    /// How many there are now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.borrow().count()
    }
}

/// Tokens that stay as they are.
impl From<Tokens> for TokensInForce {
    fn from(tokens: Tokens) -> Self {
        Self(watch::Sender::new(tokens).subscribe())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn found(read: &io::Result<Vec<u8>>) -> Found {
    read.as_deref().map(Fingerprint::of).map_err(io::Error::kind)
}

fn parse(read: io::Result<Vec<u8>>) -> Result<Tokens, BadFile> {
    let bytes = read?;
    if FILE_BYTES < bytes.len() as u64 {
        return Err(BadFile::TooLong);
    }
    Ok(str::from_utf8(&bytes).map_err(|_| BadFile::NotText)?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Label, Token};

    #[test]
    fn what_two_looks_agree_on_is_taken_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let token = Token::make().unwrap();
        let line = Grant::to(&token, "metrics".parse().unwrap(), None, Label::default()).to_string();
        std::fs::write(&path, &line).unwrap();
        let mut file = TokensFile::open(&path).unwrap();
        let tokens = file.tokens();
        let in_force = file.in_force.clone();
        let mut look = |read: io::Result<&str>| {
            file.look(read.map(|text| text.as_bytes().to_vec()));
            tokens.find(token.reveal().as_bytes()).is_some()
        };
        let gone = || Err(io::ErrorKind::NotFound.into());
        // Cut for a moment, gone for good, broken, as before: nothing changes.
        for (read, is_in_force) in [
            (Ok(""), 1),
            (Ok(&*line), 1),
            (gone(), 1),
            (gone(), 0),
            (Ok("x"), 0),
            (Ok("x"), 0),
            (Ok(&line), 0),
            (Ok(&line), 1),
        ] {
            assert!(look(read));
            assert_eq!(in_force.get(), is_in_force);
        }
        assert!(look(Ok("")));
        assert!(!look(Ok("")));
        assert!(!look(Ok(&line)));
        assert!(look(Ok(&line)));
    }

    #[test]
    fn a_file_that_lists_no_tokens_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let refused = || TokensFile::open(&path).err().unwrap().to_string();
        assert!(refused().starts_with("can't be read: "), "{}", refused());
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(refused(), "is not text in UTF-8");
        std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
        assert_eq!(refused(), "has more than 1048576 bytes");
        std::fs::write(&path, "#\nx").unwrap();
        assert!(refused().starts_with("is wrong in line 2: the first word"), "{}", refused());
    }
}
