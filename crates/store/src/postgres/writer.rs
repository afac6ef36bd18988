//! How do changes become durable? One worker makes all of them, many in one statement, and answers after
//! its commit.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use birthday::{Birthday, Email};
use tokio::time::{sleep, timeout, timeout_at};
use tokio_postgres::Row;

use super::Fate;
use super::failure::{Failure, Meaning};
use super::link::{Link, RETRY_AFTER};
use super::metrics::Metrics as PostgresMetrics;
use super::round::{Kind, Round, rounds};
use super::rows::month_day_of;
use super::session::{Driver, Session};
use super::statements::Statement;
use crate::lane::Inbox;
use crate::metrics::Metrics;
use crate::{Change, Outcome, Reason, StoreError};

/// How long the statements of one batch may take together. Less than callers wait, so that they are told
/// what is known.
const BATCH_WITHIN: Duration = Duration::from_millis(900);
/// The most connections on which a write was given up that the server may still make. It is never
/// cancelled there: a cancelled wait for a synchronous replica looks like success. When there are so
/// many, changes are refused at once.
const ABANDONED_MAX: usize = 8;
/// How often a statement is tried that lost against another instance.
const ATTEMPTS: usize = 3;

/// The one who writes.
pub(super) struct Writer {
    pub(super) link: Link,
    pub(super) inbox: Inbox<Change, Fate>,
    pub(super) metrics: Metrics,
    pub(super) counts: PostgresMetrics,
    pub(super) look_every: Duration,
    /// Connections whose write may still be made.
    pub(super) abandoned: Vec<Driver>,
}

impl Writer {
    /// Works until the lane is closed and empty.
    pub(super) async fn run(mut self) {
        loop {
            self.link.migrate().await;
            if let Err(failure) = self.ready().await {
                if self.refuse_waiting(&failure.reason).await {
                    return;
                }
                sleep(RETRY_AFTER).await;
                continue;
            }
            tokio::select! {
                biased;
                () = self.link.ended() => continue,
                arrived = timeout(self.look_every, self.inbox.next_batch()) => match arrived {
                    Ok(Some(batch)) => {
                        let start = Instant::now();
                        let fates = self.commit(&batch.operations, start + BATCH_WITHIN).await;
                        self.metrics.commit.observe(start.elapsed().as_secs_f64());
                        self.metrics.batch.observe(batch.operations.len() as f64);
                        batch.answer(fates);
                    }
                    Ok(None) => return,
                    Err(_) => {}
                },
            }
            self.link.look().await;
        }
    }

    /// Sees to it that there is a session.
    async fn ready(&mut self) -> Result<(), Failure> {
        self.abandoned.retain(|driver| !driver.is_finished());
        self.counts.in_doubt.set(self.abandoned.len() as i64);
        if self.link.is_open() {
            return Ok(());
        }
        if self.abandoned.len() >= ABANDONED_MAX {
            return Err(Failure::new(Meaning::Exhausted, "of too many writes it has not told the fate"));
        }
        let timeline = self.link.session().await?.seen.timeline;
        // What an older primary is still about to do is no longer of anybody's concern.
        self.abandoned.retain(|driver| driver.timeline >= timeline);
        Ok(())
    }

    /// Answers everybody who waits, without having tried. Says whether the lane is closed.
    async fn refuse_waiting(&mut self, reason: &Reason) -> bool {
        while let Ok(arrived) = timeout(Duration::ZERO, self.inbox.next_batch()).await {
            let Some(batch) = arrived else { return true };
            let fates: Vec<_> =
                batch.operations.iter().map(|_| Err(StoreError::NotApplied(reason.clone()))).collect();
            batch.answer(fates);
        }
        false
    }

    /// Makes the changes, and says what became of each.
    async fn commit(&mut self, changes: &[Change], deadline: Instant) -> Vec<Fate> {
        // What is not reached was not sent.
        let mut fates = vec![Err(StoreError::NotApplied(Reason::TooSlow)); changes.len()];
        for round in rounds(changes) {
            for kind in Kind::ALL {
                self.commit_group(kind, &round, changes, deadline, &mut fates).await;
            }
            for (earlier, later) in round.overtaken.iter().rev() {
                fates[*earlier] = fates[*later].clone();
            }
        }
        fates
    }

    async fn commit_group(
        &mut self,
        kind: Kind,
        round: &Round,
        changes: &[Change],
        deadline: Instant,
        fates: &mut [Fate],
    ) {
        let group = &round.groups[kind as usize];
        if group.is_empty() {
            return;
        }
        match self.attempt(kind, group, changes, deadline, fates).await {
            Ok(()) => {}
            // No entry fails for its neighbour: each is tried alone.
            Err(failure) if failure.meaning == Meaning::Refused && group.len() > 1 => {
                for one in group.chunks(1) {
                    if let Err(failure) = self.attempt(kind, one, changes, deadline, fates).await {
                        fates[one[0]] = Err(failure.fate());
                    }
                }
            }
            Err(failure) => {
                let fate = failure.fate();
                group.iter().for_each(|place| fates[*place] = Err(fate.clone()));
            }
        }
    }

    /// Makes the changes at those places in one statement, again for those that lost against another
    /// instance.
    async fn attempt(
        &mut self,
        kind: Kind,
        places: &[usize],
        changes: &[Change],
        deadline: Instant,
        fates: &mut [Fate],
    ) -> Result<(), Failure> {
        let mut left = places.to_vec();
        for attempt in 1..=ATTEMPTS {
            let entries: Vec<_> = left.iter().map(|place| &changes[*place]).collect();
            let outcomes = match self.execute(kind, &entries, deadline).await {
                Ok(outcomes) => outcomes,
                Err(failure) if failure.meaning == Meaning::Again && attempt < ATTEMPTS => continue,
                Err(failure) => {
                    let fate = failure.clone().fate();
                    left.iter().for_each(|place| fates[*place] = Err(fate.clone()));
                    // What an earlier attempt settled stays settled.
                    return if left.len() == places.len() { Err(failure) } else { Ok(()) };
                }
            };
            let mut raced = Vec::new();
            for (place, outcome) in left.into_iter().zip(outcomes) {
                match outcome {
                    Some(outcome) => fates[place] = Ok(outcome),
                    None => raced.push(place),
                }
            }
            left = raced;
            if left.is_empty() {
                break;
            }
        }
        for place in left {
            let reason =
                Reason::Unavailable("another instance changed the same user at the same moment".into());
            fates[place] = Err(StoreError::NotApplied(reason));
        }
        Ok(())
    }

    /// One statement. Whatever can't be told for certain is an error that says so.
    async fn execute(
        &mut self,
        kind: Kind,
        entries: &[&Change],
        deadline: Instant,
    ) -> Result<Vec<Option<Outcome>>, Failure> {
        let unsent = || Failure { meaning: Meaning::Exhausted, reason: Reason::TooSlow };
        if Instant::now() >= deadline {
            return Err(unsent());
        }
        let session = match timeout_at(deadline.into(), self.link.session()).await {
            Ok(session) => session.map_err(|failure| Failure { meaning: Meaning::Elsewhere, ..failure })?,
            Err(_) => return Err(unsent()),
        };
        session.take_warning();
        let answered = timeout_at(deadline.into(), send(session, kind, entries)).await;
        let warned = session.take_warning();
        let failure = match answered {
            Ok(Ok(_)) if warned => Failure::new(Meaning::InDoubt, "PostgreSQL warned while it committed"),
            Ok(Ok(rows)) => return outcomes(kind, entries, &rows),
            Ok(Err(failure)) => failure,
            Err(_) => {
                self.abandon();
                return Err(Failure { meaning: Meaning::Lost, reason: Reason::TooSlow });
            }
        };
        if failure.ends_session() {
            self.link.drop_session();
        }
        Err(failure)
    }

    fn abandon(&mut self) {
        if let Some(session) = self.link.take() {
            self.abandoned.push(session.abandon());
            self.counts.in_doubt.set(self.abandoned.len() as i64);
        }
    }
}

/// The columns of some changes, one entry a change.
#[derive(Default)]
struct Columns<'a> {
    names: Vec<&'a str>,
    emails: Vec<Option<&'a str>>,
    month_days: Vec<Option<i16>>,
    years: Vec<Option<i16>>,
}

impl<'a> Columns<'a> {
    fn of(changes: &[&'a Change]) -> Self {
        let mut columns = Self::default();
        for change in changes {
            let (email, birthday) = match change {
                Change::SaveBirthday { birthday, .. } => (None, Some(*birthday)),
                Change::Register { email, .. } | Change::ChangeEmail { email, .. } => (Some(email), None),
                Change::Erase { .. } => (None, None),
                Change::Put(user) => (user.email.as_ref(), user.birthday),
            };
            columns.names.push(change.name().as_str());
            columns.emails.push(email.map(Email::as_str));
            columns.month_days.push(birthday.map(month_day_of));
            columns.years.push(birthday.and_then(Birthday::year));
        }
        columns
    }
}

async fn send(session: &mut Session, kind: Kind, changes: &[&Change]) -> Result<Vec<Row>, Failure> {
    let Columns { names, emails, month_days, years } = Columns::of(changes);
    match kind {
        Kind::Save if changes.len() == 1 => {
            session.rows(Statement::Save, &[&names[0], &month_days[0], &years[0]]).await
        }
        Kind::Save => session.rows(Statement::SaveMany, &[&names, &month_days, &years]).await,
        Kind::Register => session.rows(Statement::Register, &[&names, &emails]).await,
        Kind::ChangeEmail => session.rows(Statement::ChangeEmail, &[&names, &emails]).await,
        Kind::Erase => session.rows(Statement::Erase, &[&names]).await,
        Kind::Put => session.rows(Statement::Put, &[&names, &emails, &month_days, &years]).await,
    }
}

/// What became of each entry; `None` where another instance came in between.
fn outcomes(kind: Kind, entries: &[&Change], rows: &[Row]) -> Result<Vec<Option<Outcome>>, Failure> {
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let outcome = match kind {
            Kind::Save | Kind::Erase | Kind::Put => Some(Outcome::Done),
            Kind::Register => outcome_of_register(row.try_get(1)?, row.try_get(2)?),
            Kind::ChangeEmail => outcome_of_change(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?),
        };
        found.insert(row.try_get::<_, &str>(0)?, outcome);
    }
    let otherwise = match kind {
        Kind::Save | Kind::Put => Some(Outcome::Unchanged),
        Kind::Erase => Some(Outcome::Absent),
        Kind::Register | Kind::ChangeEmail => None,
    };
    let outcome = |change: &&Change| found.get(change.name().as_str()).copied().unwrap_or(otherwise);
    Ok(entries.iter().map(outcome).collect())
}

/// From whether it was written, and whether the address seen before, if any, was the same.
const fn outcome_of_register(written: bool, same: Option<bool>) -> Option<Outcome> {
    match (written, same) {
        (true, _) => Some(Outcome::Done),
        (false, Some(true)) => Some(Outcome::Unchanged),
        (false, Some(false)) => Some(Outcome::Conflict),
        (false, None) => None,
    }
}

/// The same for an address that is to replace another, of somebody who was seen before or not.
const fn outcome_of_change(written: bool, same: bool, seen: bool) -> Option<Outcome> {
    match (written, same, seen) {
        (true, _, _) => Some(Outcome::Done),
        (false, true, _) => Some(Outcome::Unchanged),
        (false, false, false) => Some(Outcome::Absent),
        (false, false, true) => None,
    }
}
