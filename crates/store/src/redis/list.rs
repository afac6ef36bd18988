//! Who are the users, in the order of their names or of their birthdays? Each bucket has its own in order; a
//! page is merged from all of them, and holds no more than a few members of each at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use ::redis::{Cmd, Value, cmd, from_redis_value};
use birthday::{Birthday, MonthDay, Name, Span, User};
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
    page(cluster, List::Names, after, limit, deadline).await
}

/// The birthdays of those spans; of the first day those whose names follow `after`.
pub(super) async fn birthdays(
    cluster: &Cluster,
    spans: &[Span],
    mut after: Option<&Name>,
    limit: usize,
    deadline: Instant,
) -> Result<Vec<(Name, Birthday)>, StoreError> {
    let mut found = Vec::new();
    for span in spans {
        let (after, left) = (after.take(), limit - found.len());
        let mut of_span = Vec::new();
        for (first, last) in span.ranges() {
            let users = page(cluster, List::Days { first, last }, after, left, deadline).await?;
            of_span.extend(users.into_iter().filter_map(|user| Some((user.name, user.birthday?))));
        }
        span.arrange(&mut of_span);
        found.extend(of_span.into_iter().take(left));
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

/// One of the two lists that every bucket has, or a part of it.
#[derive(Clone, Copy)]
enum List {
    Names,
    Days { first: MonthDay, last: MonthDay },
}

impl List {
    fn key(self, bucket: Bucket) -> String {
        match self {
            Self::Names => bucket.names_key(),
            Self::Days { .. } => bucket.days_key(),
        }
    }

    /// The bound below the members to read, in the words of ZRANGEBYLEX.
    fn least(self, after: Option<&Name>) -> String {
        let after = after.map_or("", Name::as_str);
        match self {
            Self::Names if after.is_empty() => "-".to_owned(),
            Self::Names => format!("({after}"),
            // No member has an empty name.
            Self::Days { first, .. } => format!("({:04}:{after}", first.number()),
        }
    }

    /// The bound above them.
    fn most(self) -> String {
        match self {
            Self::Names => "+".to_owned(),
            // The semicolon is what follows the colon.
            Self::Days { last, .. } => format!("({:04};", last.number()),
        }
    }

    /// Whose member that is.
    fn name(self, member: &str) -> Name {
        let name = match self {
            Self::Names => member,
            Self::Days { .. } => member.split_once(':').map_or("", |(_, name)| name),
        };
        Name::from_stored(name.to_owned())
    }

    /// Whether the record says what the member says.
    fn agrees(self, member: &str, user: &User) -> bool {
        match (self, user.birthday) {
            (Self::Names, _) => true,
            (Self::Days { .. }, None) => false,
            (Self::Days { .. }, Some(birthday)) => {
                member.starts_with(&format!("{:04}:", birthday.month_day().number()))
            }
        }
    }

    /// The member, where it may have to go.
    fn listed(self, member: &str) -> &str {
        match self {
            Self::Names => "",
            Self::Days { .. } => member,
        }
    }
}

/// At most `limit` users of a list; of its first day those whose names follow `after`.
async fn page(
    cluster: &Cluster,
    list: List,
    after: Option<&Name>,
    limit: usize,
    deadline: Instant,
) -> Result<Vec<User>, StoreError> {
    let mut merge = Merge::new(list, after, limit);
    let mut users = Vec::new();
    while users.len() < limit {
        let members = merge.next(cluster, limit - users.len(), deadline).await?;
        if members.is_empty() {
            break;
        }
        users.extend(records(cluster, list, members, deadline).await?);
    }
    Ok(users)
}

/// The records of those members, in their order. A member that no record agrees with is dropped from its list.
async fn records(
    cluster: &Cluster,
    list: List,
    members: Vec<String>,
    deadline: Instant,
) -> Result<Vec<User>, StoreError> {
    let questions: Vec<_> = members
        .iter()
        .map(|member| {
            let name = list.name(member);
            let bucket = Bucket::of(&name);
            let mut get = cmd("HMGET");
            get.arg(bucket.user_key(&name)).arg(BIRTHDAY_FIELD).arg(EMAIL_FIELD);
            (bucket, get)
        })
        .collect();
    let replies = cluster.read_many(&questions, deadline).await?;
    let mut users = Vec::with_capacity(members.len());
    for (member, reply) in members.iter().zip(replies) {
        let name = list.name(member);
        let (birthday, email) = from_redis_value(reply).map_err(|_| strange())?;
        match user_of(name.clone(), birthday, email).map_err(|_| strange())? {
            Some(user) if list.agrees(member, &user) => users.push(user),
            // The record is the truth. That the list can't be put right now is no reason not to answer.
            Some(_) | None => {
                drop(reindex(cluster, (Bucket::of(&name), &name), list.listed(member), deadline).await);
            }
        }
    }
    Ok(users)
}

/// The buckets' lists, read side by side.
struct Merge {
    list: List,
    readers: Vec<Reader>,
    chunk: usize,
    /// The first member of each reader that has one.
    heads: BinaryHeap<Reverse<(String, usize)>>,
    /// The readers that have none here, and may have more in the store.
    dry: Vec<usize>,
}

/// How far one bucket's list has been read.
struct Reader {
    bucket: Bucket,
    /// The bound below what is still to read.
    least: String,
    here: VecDeque<String>,
    ended: bool,
}

impl Merge {
    fn new(list: List, after: Option<&Name>, limit: usize) -> Self {
        let least = list.least(after);
        let reader = |bucket| Reader { bucket, least: least.clone(), here: VecDeque::new(), ended: false };
        let readers: Vec<_> = Bucket::all().map(reader).collect();
        let dry = (0..readers.len()).collect();
        Self { list, readers, chunk: chunk(limit), heads: BinaryHeap::new(), dry }
    }

    /// At most `limit` members; none at the end.
    async fn next(
        &mut self,
        cluster: &Cluster,
        limit: usize,
        deadline: Instant,
    ) -> Result<Vec<String>, StoreError> {
        let mut members = Vec::new();
        while members.len() < limit {
            self.fill(cluster, deadline).await?;
            // The least member of all is known only while every reader that may have one shows its first.
            while members.len() < limit && self.dry.is_empty() {
                let Some(Reverse((member, place))) = self.heads.pop() else { return Ok(members) };
                members.push(member);
                self.show_head(place);
            }
        }
        Ok(members)
    }

    /// Reads the next few members of those that are dry.
    async fn fill(&mut self, cluster: &Cluster, deadline: Instant) -> Result<(), StoreError> {
        let dry = std::mem::take(&mut self.dry);
        let questions: Vec<_> = dry
            .iter()
            .filter_map(|place| self.readers.get(*place))
            .map(|reader| (reader.bucket, reader.question(self.list, self.chunk)))
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
    fn question(&self, list: List, chunk: usize) -> Cmd {
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(list.key(self.bucket)).arg(&self.least).arg(list.most()).arg("LIMIT").arg(0).arg(chunk);
        range
    }

    fn take(&mut self, reply: Value, chunk: usize) -> Result<(), StoreError> {
        let members: Vec<String> = from_redis_value(reply).map_err(|_| strange())?;
        self.ended = members.len() < chunk;
        if let Some(last) = members.last() {
            self.least = format!("({last}");
        }
        self.here.extend(members);
        Ok(())
    }
}

/// How many members to read of one bucket for a page: its share, and as many more as chance makes likely.
fn chunk(limit: usize) -> usize {
    let share = limit.div_ceil(BUCKETS);
    share + 4 * share.isqrt() + 2
}
