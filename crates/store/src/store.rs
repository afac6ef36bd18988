//! What may be asked of a store, and what it promises.

use std::path::Path;
use std::time::{Duration, Instant};

use birthday::{Birthday, Name, Span, User};
use prometheus_client::registry::Registry;

use crate::backend::Backend;
use crate::metrics::{Metrics, Operation};
use crate::{Batches, Change, ImportError, Imported, Location, Migrated, OpenError, Outcome, StoreError};

/// How long a store may take for one answer: the service promises the head of its own answer within
/// 2 s, and needs a moment to write it.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(1800);

/// The users, kept by name. Cheap to clone; every clone is the same store.
///
/// What it promises, whatever the engine:
/// - A change that is done is durable, and is seen by every read that starts after its answer.
/// - Every change ends in one of three ways: done, not applied, unknown. Nothing hangs: the answer is
///   there within [`ANSWER_WITHIN`].
/// - Absence is `None`, a conflict is an [`Outcome`]; neither is an error.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    metrics: Metrics,
}

/// What an operator may choose about any store.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Keep the embedded store even on a file system that is known to lose or corrupt it.
    pub any_file_system: bool,
    /// Where reads may go instead, as long as the answers are at most a second old.
    pub replica: Option<Location>,
    /// Let the replica answer, however old it is, when nothing else can.
    pub stale_reads: bool,
    /// Bring a database server's schema up to date, at this place, before it is used.
    pub migrate_on_start: Option<Location>,
    /// How many replicas must have a change before it is done; Redis only.
    pub redis_wait: u32,
}

impl Store {
    /// Opens the store at that place, brings an embedded one's schema up to date, and adds the
    /// store's metrics to the registry. A database server may answer later: until then [`Store::ping`]
    /// fails. One that answers and refuses us is an error.
    ///
    /// # Errors
    /// One sentence for the operator: why it can't be opened.
    pub async fn open(
        location: &Location,
        options: Options,
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        let metrics = Metrics::register(registry);
        Ok(Self { backend: Backend::open(location, options, &metrics, registry).await?, metrics })
    }

    /// Opens the store at that place for reading alone. An embedded one may be served meanwhile, and refuses
    /// changes made this way; a database server must answer now.
    ///
    /// # Errors
    /// One sentence for the operator: why it can't be opened.
    pub async fn open_to_read(
        location: &Location,
        options: Options,
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        let metrics = Metrics::register(registry);
        Ok(Self { backend: Backend::open_to_read(location, options, &metrics, registry).await?, metrics })
    }

    /// Copies an embedded store into a new file, as it is at one moment, while it may be served; and
    /// says how many users the copy has, after it was read through.
    ///
    /// # Errors
    /// One sentence for the operator: why there is no copy.
    pub async fn backup(location: &Location, copy: &Path) -> Result<u64, OpenError> {
        Backend::backup(location, copy).await
    }

    /// Takes in the records that arrive until no more do, and tells now and then how far it is. An
    /// embedded store may be read meanwhile, and is kept from other writers.
    ///
    /// # Errors
    /// One sentence for the operator: why not all were taken in. Taking them in again is safe.
    pub async fn import(
        location: &Location,
        options: Options,
        batches: Batches,
        progress: impl FnMut(Imported) + Send + 'static,
    ) -> Result<Imported, ImportError> {
        Backend::import(location, options, batches, progress).await
    }

    /// Brings the schema at that place up to date and says from where to where that went.
    ///
    /// # Errors
    /// One sentence for the operator: why it can't be done.
    pub async fn migrate(location: &Location, options: Options) -> Result<Migrated, OpenError> {
        Backend::migrate(location, options).await
    }

    /// The birthday of that name, if both are known.
    ///
    /// # Errors
    /// Where the store can't answer now.
    pub async fn birthday(&self, name: &Name) -> Result<Option<Birthday>, StoreError> {
        self.timed(Operation::Birthday, self.backend.birthday(name)).await
    }

    /// The whole record of that name.
    ///
    /// # Errors
    /// Where the store can't answer now.
    pub async fn user(&self, name: &Name) -> Result<Option<User>, StoreError> {
        self.timed(Operation::User, self.backend.user(name)).await
    }

    /// At most `limit` users whose names follow `after`, in the order of their names' bytes.
    ///
    /// # Errors
    /// Where the store can't answer now.
    pub async fn users(&self, after: Option<&Name>, limit: usize) -> Result<Vec<User>, StoreError> {
        self.timed(Operation::Users, self.backend.users(after, limit)).await
    }

    /// At most `limit` birthdays of those spans, in their order; of the first day only those whose names
    /// follow `after`. What that costs grows with the answer, not with the users.
    ///
    /// # Errors
    /// Where the store can't answer now.
    pub async fn birthdays(
        &self,
        spans: &[Span],
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<(Name, Birthday)>, StoreError> {
        self.timed(Operation::Birthdays, self.backend.birthdays(spans, after, limit)).await
    }

    /// Makes one change, and returns once it is durable.
    ///
    /// Changes that arrive while others are being committed share the next commit. A change goes on
    /// even if nobody waits for it any more.
    ///
    /// # Errors
    /// Says whether the change was not applied or its fate is unknown.
    pub async fn commit(&self, change: Change) -> Result<Outcome, StoreError> {
        let ended = self.timed(Operation::Commit, self.backend.commit(change)).await;
        self.metrics.ended(&ended);
        ended
    }

    /// Asks the store for a sign of life.
    ///
    /// # Errors
    /// Where it gives none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.backend.ping().await
    }

    /// Waits until the store is broken in a way that only a restart can mend, and says how.
    pub async fn broken(&self) -> String {
        self.backend.broken().await
    }

    /// Finishes the changes that wait, and closes the store. Changes that come later are not applied.
    pub async fn close(&self) {
        self.backend.close().await;
    }

    async fn timed<T>(
        &self,
        operation: Operation,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let answer = answer.await;
        self.metrics.operation(operation).observe(start.elapsed().as_secs_f64());
        if let Err(error) = &answer {
            self.metrics.failed(error);
        }
        answer
    }
}
