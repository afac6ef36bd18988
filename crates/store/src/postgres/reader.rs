//! How are reads answered? One worker a route asks for many names in one statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use birthday::{Birthday, MonthDay, Name, Span, User};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{sleep, timeout, timeout_at};

use super::failure::{Failure, Meaning};
use super::freshness::{AGE_MAX, Freshness};
use super::link::{Link, RETRY_AFTER};
use super::metrics::Metrics;
use super::rows::{self, Record};
use super::session::Session;
use super::statements::Statement;
use crate::Reason;
use crate::lane::Inbox;
use crate::recent::Recent;

/// How long the statements of one batch may take together, all tries included.
const BATCH_WITHIN: Duration = Duration::from_millis(900);
/// How often a batch is tried whose connection is lost.
const ATTEMPTS: usize = 6;
/// A replica that lags for so long is left, if there is another one.
const LAG_MAX: Duration = Duration::from_secs(1);

/// What can be read.
#[derive(Clone, Debug)]
pub(super) enum Read {
    User(Name),
    Page { after: Option<Name>, limit: usize },
    Birthdays { spans: Vec<Span>, after: Option<Name>, limit: usize },
    Ping,
}

/// A read, and how old the answer may be.
pub(super) struct Asked {
    pub(super) read: Read,
    pub(super) age: Age,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// As is promised.
    Bounded,
    /// Any is better than no answer.
    Any,
}

/// What was read.
#[derive(Clone, Debug)]
pub(super) enum Found {
    User(Option<Record>),
    Page(Vec<User>),
    Birthdays(Vec<(Name, Birthday)>),
    Pong,
}

/// Why a read has no answer.
pub(super) type Answer = Result<Found, Reason>;

/// Whose server it is that answers.
pub(super) enum Route {
    /// Its positions are noted, for the sake of replicas.
    Primary(Arc<Freshness>),
    /// It is compared with them.
    Replica(Arc<Freshness>, Arc<Recent>),
}

impl Route {
    /// Whether the server may answer that. Whoever asked has seen so before: of a replica in whose place there may be
    /// another one by now.
    fn fits(&self, asked: &Asked) -> bool {
        match (self, asked.age) {
            (Self::Primary(_), _) | (Self::Replica(..), Age::Any) => true,
            (Self::Replica(freshness, recent), Age::Bounded) => {
                freshness.copied().is_some_and(|copied| asked.read.is_in_copy(recent, copied))
            }
        }
    }
}

impl Read {
    /// Whether a copy that holds everything answered before `copied` answers as the primary would.
    pub(super) fn is_in_copy(&self, recent: &Recent, copied: Instant) -> bool {
        match self {
            Self::User(name) => recent.is_in_copy(name, copied),
            Self::Page { .. } | Self::Birthdays { .. } => recent.all_in_copy(copied),
            // Life is asked of the primary, which takes the changes.
            Self::Ping => false,
        }
    }
}

/// The one who reads on one route.
pub(super) struct Reader {
    pub(super) link: Link,
    pub(super) inbox: Inbox<Asked, Answer>,
    pub(super) route: Route,
    pub(super) look_every: Duration,
    pub(super) answered: Counter,
    pub(super) metrics: Metrics,
    /// Since when the replica lags, if it does.
    pub(super) lags: Option<Instant>,
}

impl Reader {
    /// Works until the lane is closed and empty.
    pub(super) async fn run(mut self) {
        loop {
            if !self.link.is_open() {
                self.lost();
                match self.link.session().await {
                    Ok(session) => session.looked = None,
                    // Cut as soon as it was there: the next one may last, and whoever waits has patience.
                    Err(failure) if failure.meaning == Meaning::Lost => {
                        sleep(RETRY_AFTER).await;
                        continue;
                    }
                    Err(failure) => {
                        if self.refuse_waiting(&failure.reason).await {
                            return;
                        }
                        sleep(RETRY_AFTER).await;
                        continue;
                    }
                }
            }
            self.look().await;
            tokio::select! {
                biased;
                () = self.link.ended() => {}
                arrived = timeout(self.look_every, self.inbox.next_batch()) => match arrived {
                    Ok(Some(batch)) => {
                        let answers = self.answer(&batch.operations).await;
                        self.answered.inc_by(answers.iter().filter(|answer| answer.is_ok()).count() as u64);
                        batch.answer(answers);
                    }
                    Ok(None) => return,
                    Err(_) => {}
                },
            }
        }
    }

    fn lost(&mut self) {
        self.lags = None;
        match &self.route {
            Route::Primary(_) => {}
            Route::Replica(freshness, _) => freshness.lost(),
        }
    }

    /// Looks, if it is time to, and notes what is seen of the log's positions.
    async fn look(&mut self) {
        let asked = Instant::now();
        let Some(seen) = self.link.look().await else { return };
        match &self.route {
            Route::Primary(freshness) => freshness.sampled(seen.timeline, asked, seen.position),
            Route::Replica(freshness, recent) => {
                if let Some(oldest) = asked.checked_sub(AGE_MAX) {
                    recent.forget_before(oldest);
                }
                if let Some(copied) = freshness.replayed(seen.timeline, seen.position) {
                    self.metrics.replica_lag.set(copied.elapsed().as_secs_f64());
                }
                self.lags = freshness.lags().then(|| self.lags.unwrap_or_else(Instant::now));
                if self.lags.is_some_and(|since| since.elapsed() >= LAG_MAX) {
                    self.lags = None;
                    self.link.leave();
                }
            }
        }
    }

    /// Answers everybody who waits, without having asked. Says whether the lane is closed.
    async fn refuse_waiting(&mut self, reason: &Reason) -> bool {
        while let Ok(arrived) = timeout(Duration::ZERO, self.inbox.next_batch()).await {
            let Some(batch) = arrived else { return true };
            let answers: Vec<_> = batch.operations.iter().map(|_| Err(reason.clone())).collect();
            batch.answer(answers);
        }
        false
    }

    async fn answer(&mut self, asked: &[Asked]) -> Vec<Answer> {
        let fits: Vec<_> = asked.iter().map(|asked| self.route.fits(asked)).collect();
        let fitting: Vec<_> =
            asked.iter().zip(&fits).filter(|(_, fits)| **fits).map(|(asked, _)| asked).collect();
        let mut found = self.find(&fitting).await.into_iter();
        let stale = || Reason::Unavailable("the replica lags behind".into());
        fits.iter()
            .map(|fits| if *fits { found.next() } else { None })
            .map(|answer| answer.unwrap_or_else(|| Err(stale())))
            .collect()
    }

    /// Asks the server, and again if the connection is lost: reading twice does no harm. In a replica's place there
    /// may be another one then, which nobody has compared with the primary yet: that answers only who takes any age.
    async fn find(&mut self, asked: &[&Asked]) -> Vec<Answer> {
        if asked.is_empty() {
            return Vec::new();
        }
        let deadline = Instant::now() + BATCH_WITHIN;
        let mut result = self.try_find(asked, deadline).await;
        for _ in 1..ATTEMPTS {
            let lost = matches!(&result, Err(failure) if failure.ends_session());
            if !lost || Instant::now() >= deadline {
                break;
            }
            result = self.try_find(asked, deadline).await;
        }
        result.unwrap_or_else(|failure| asked.iter().map(|_| Err(failure.reason.clone())).collect())
    }

    async fn try_find(&mut self, asked: &[&Asked], deadline: Instant) -> Result<Vec<Answer>, Failure> {
        let anyone_will_do = match &self.route {
            Route::Primary(_) => true,
            Route::Replica(..) => asked.iter().all(|asked| asked.age == Age::Any),
        };
        let reads: Vec<_> = asked.iter().map(|asked| &asked.read).collect();
        let work = async {
            if anyone_will_do && !self.link.is_open() {
                self.lost();
                self.link.session().await?;
            }
            find_all(self.link.present()?, &reads).await
        };
        let too_slow = || Err(Failure { meaning: Meaning::Lost, reason: Reason::TooSlow });
        let result = timeout_at(deadline.into(), work).await.unwrap_or_else(|_| too_slow());
        if matches!(&result, Err(failure) if failure.ends_session()) {
            self.link.drop_session();
            self.lost();
        }
        result
    }
}

/// All names in one statement; pages, spans and signs of life each in one of its own.
async fn find_all(session: &mut Session, reads: &[&Read]) -> Result<Vec<Answer>, Failure> {
    let names: Vec<&str> = reads.iter().filter_map(|read| name_of(read)).collect();
    let rows = match &names[..] {
        [] => Vec::new(),
        [name] => session.rows(Statement::Load, &[name]).await?,
        _ => session.rows(Statement::LoadMany, &[&names]).await?,
    };
    let mut records = HashMap::with_capacity(rows.len());
    for row in &rows {
        records.insert(row.try_get::<_, &str>(3)?, rows::record(row)?);
    }
    let mut answers = Vec::with_capacity(reads.len());
    for read in reads {
        answers.push(Ok(match read {
            Read::User(name) => Found::User(records.get(name.as_str()).cloned()),
            Read::Page { after, limit } => Found::Page(page(session, after.as_ref(), *limit).await?),
            Read::Birthdays { spans, after, limit } => {
                Found::Birthdays(birthdays(session, spans, after.as_ref(), *limit).await?)
            }
            Read::Ping => {
                session.rows(Statement::Touch, &[]).await?;
                Found::Pong
            }
        }));
    }
    Ok(answers)
}

fn name_of(read: &Read) -> Option<&str> {
    match read {
        Read::User(name) => Some(name.as_str()),
        Read::Page { .. } | Read::Birthdays { .. } | Read::Ping => None,
    }
}

async fn page(session: &mut Session, after: Option<&Name>, limit: usize) -> Result<Vec<User>, Failure> {
    // Every name is greater than the empty text.
    let after = after.map_or("", Name::as_str);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    session.rows(Statement::Page, &[&after, &limit]).await?.iter().map(rows::user).collect()
}

async fn birthdays(
    session: &mut Session,
    spans: &[Span],
    mut after: Option<&Name>,
    limit: usize,
) -> Result<Vec<(Name, Birthday)>, Failure> {
    let mut found = Vec::new();
    for span in spans {
        let (after, left) = (after.take(), limit - found.len());
        let mut of_span = Vec::new();
        for range in span.ranges() {
            of_span.extend(birthdays_from(session, range, after, left).await?);
        }
        span.arrange(&mut of_span);
        found.extend(of_span.into_iter().take(left));
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

async fn birthdays_from(
    session: &mut Session,
    (first, last): (MonthDay, MonthDay),
    after: Option<&Name>,
    limit: usize,
) -> Result<Vec<(Name, Birthday)>, Failure> {
    let after = after.map_or("", Name::as_str);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = session.rows(Statement::Days, &[&first.number(), &after, &last.number(), &limit]).await?;
    let born = |user: User| user.birthday.map(|birthday| (user.name, birthday));
    rows.iter().filter_map(|row| rows::user(row).map(born).transpose()).collect()
}
