//! Who are the users, in the order of their names? Each bucket has its own in order; a page is merged from
//! all of them, and holds no more than a few names of each at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use ::redis::{Cmd, Value, cmd, from_redis_value};
use birthday::{Name, User};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::layout::{BIRTHDAY_FIELD, BUCKETS, Bucket, EMAIL_FIELD, user_of};
use super::{reindex, strange};
use crate::StoreError;

/// A page of at most `limit` users after that name.
pub(super) async fn users(
    cluster: &Cluster,
    after: Option<&Name>,
    limit: usize,
    deadline: Instant,
) -> Result<Vec<User>, StoreError> {
    let mut merge = Merge::new(after, limit);
    let mut users = Vec::new();
    while users.len() < limit {
        let names = merge.next(cluster, limit - users.len(), deadline).await?;
        if names.is_empty() {
            break;
        }
        users.extend(records(cluster, names, deadline).await?);
    }
    Ok(users)
}

/// The records of those names, in their order. A name without a record is dropped from its list.
async fn records(cluster: &Cluster, names: Vec<Name>, deadline: Instant) -> Result<Vec<User>, StoreError> {
    let questions: Vec<_> = names
        .iter()
        .map(|name| {
            let bucket = Bucket::of(name);
            let mut get = cmd("HMGET");
            get.arg(bucket.user_key(name)).arg(BIRTHDAY_FIELD).arg(EMAIL_FIELD);
            (bucket, get)
        })
        .collect();
    let replies = cluster.read_many(&questions, deadline).await?;
    let mut users = Vec::with_capacity(names.len());
    for (name, reply) in names.into_iter().zip(replies) {
        let (birthday, email) = from_redis_value(reply).map_err(|_| strange())?;
        match user_of(name.clone(), birthday, email).map_err(|_| strange())? {
            Some(user) => users.push(user),
            // The record is the truth. That the list can't be put right now is no reason not to answer.
            None => drop(reindex(cluster, (Bucket::of(&name), &name), "", deadline).await),
        }
    }
    Ok(users)
}

/// The buckets' lists, read side by side.
struct Merge {
    readers: Vec<Reader>,
    chunk: usize,
    /// The first name of each reader that has one.
    heads: BinaryHeap<Reverse<(Name, usize)>>,
    /// The readers that have none here, and may have more in the store.
    dry: Vec<usize>,
}

/// How far one bucket's list has been read.
struct Reader {
    bucket: Bucket,
    after: Option<Name>,
    here: VecDeque<Name>,
    ended: bool,
}

impl Merge {
    fn new(after: Option<&Name>, limit: usize) -> Self {
        let reader = |bucket| Reader { bucket, after: after.cloned(), here: VecDeque::new(), ended: false };
        let readers: Vec<_> = Bucket::all().map(reader).collect();
        let dry = (0..readers.len()).collect();
        Self { readers, chunk: chunk(limit), heads: BinaryHeap::new(), dry }
    }

    /// At most `limit` names; none at the end.
    async fn next(
        &mut self,
        cluster: &Cluster,
        limit: usize,
        deadline: Instant,
    ) -> Result<Vec<Name>, StoreError> {
        let mut names = Vec::new();
        while names.len() < limit {
            self.fill(cluster, deadline).await?;
            // The least name of all is known only while every reader that may have one shows its first.
            while names.len() < limit && self.dry.is_empty() {
                let Some(Reverse((name, place))) = self.heads.pop() else { return Ok(names) };
                names.push(name);
                self.show_head(place);
            }
        }
        Ok(names)
    }

    /// Reads the next few names of those that are dry.
    async fn fill(&mut self, cluster: &Cluster, deadline: Instant) -> Result<(), StoreError> {
        let dry = std::mem::take(&mut self.dry);
        let questions: Vec<_> = dry
            .iter()
            .filter_map(|place| self.readers.get(*place))
            .map(|reader| (reader.bucket, reader.question(self.chunk)))
            .collect();
        let replies = cluster.read_many(&questions, deadline).await?;
        for (place, reply) in dry.into_iter().zip(replies) {
            if let Some(reader) = self.readers.get_mut(place) {
                reader.take(reply, self.chunk)?;
            }
            self.show_head(place);
        }
        Ok(())
    }

    fn show_head(&mut self, place: usize) {
        let Some(reader) = self.readers.get_mut(place) else { return };
        match reader.here.pop_front() {
            Some(name) => self.heads.push(Reverse((name, place))),
            None if reader.ended => {}
            None => self.dry.push(place),
        }
    }
}

impl Reader {
    fn question(&self, chunk: usize) -> Cmd {
        let least = self.after.as_ref().map_or("-".to_owned(), |name| format!("({}", name.as_str()));
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(self.bucket.names_key()).arg(least).arg("+").arg("LIMIT").arg(0).arg(chunk);
        range
    }

    fn take(&mut self, reply: Value, chunk: usize) -> Result<(), StoreError> {
        let names: Vec<String> = from_redis_value(reply).map_err(|_| strange())?;
        self.ended = names.len() < chunk;
        self.here.extend(names.into_iter().map(Name::from_stored));
        self.after = self.here.back().cloned().or(self.after.take());
        Ok(())
    }
}

/// How many names to read of one bucket for a page: its share, and as many more as chance makes likely.
fn chunk(limit: usize) -> usize {
    let share = limit.div_ceil(BUCKETS);
    share + 4 * share.isqrt() + 2
}
