//! How fresh is the replica? Positions of the primary's log are noted with the moment they were asked
//! for; what the replica has replayed tells the newest of those moments that it holds everything of.
//!
//! The age of the last replayed transaction would tell nothing: on an idle primary it only grows.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A replica serves no longer than this after the newest moment that it is known to hold everything of.
/// With what an answer takes, other instances see a change within a second.
pub(super) const AGE_MAX: Duration = Duration::from_millis(800);
/// The most positions that are kept; older ones are of no use well before.
const SAMPLES_MAX: usize = 64;

/// What the primary's and the replica's workers know together.
#[derive(Default)]
pub(super) struct Freshness(Mutex<Known>);

#[derive(Default)]
struct Known {
    timeline: i64,
    samples: VecDeque<(Instant, i64)>,
    copied: Option<Instant>,
}

impl Freshness {
    /// Notes a position of the primary that was asked for at that moment.
    pub(super) fn sampled(&self, timeline: i64, asked: Instant, position: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.timeline != timeline {
            // Positions of two primaries can't be compared.
            *known = Known { timeline, ..Known::default() };
        }
        if known.samples.len() >= SAMPLES_MAX {
            known.samples.pop_front();
        }
        known.samples.push_back((asked, position));
    }

    /// Notes how far the replica is, and says the moment before which it holds everything. On another timeline than
    /// the primary's it may be far, and still hold nothing of what the primary has.
    pub(super) fn replayed(&self, timeline: i64, position: i64) -> Option<Instant> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = |(_, sampled): &&(Instant, i64)| known.timeline == timeline && *sampled <= position;
        let held = known.samples.iter().rev().find(is_held);
        known.copied = held.map(|(asked, _)| *asked);
        known.copied
    }

    /// Whether the replica is too far behind a primary whose positions are known.
    pub(super) fn lags(&self) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |moment: Instant| moment.elapsed() < AGE_MAX;
        known.samples.back().is_some_and(|(asked, _)| is_recent(*asked))
            && !known.copied.is_some_and(is_recent)
    }

    /// From now on there is no replica.
    pub(super) fn lost(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).copied = None;
    }

    /// The moment before which the replica holds everything, if that isn't too long ago.
    pub(super) fn copied(&self) -> Option<Instant> {
        let copied = self.0.lock().unwrap_or_else(PoisonError::into_inner).copied?;
        (copied.elapsed() < AGE_MAX).then_some(copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_as_fresh_as_the_newest_position_that_it_has_replayed() {
        let freshness = Freshness::default();
        let start = Instant::now();
        let later = start + Duration::from_millis(10);
        assert_eq!(freshness.replayed(1, 100), None);
        freshness.sampled(1, start, 100);
        freshness.sampled(1, later, 200);
        assert_eq!(freshness.replayed(1, 99), None);
        assert_eq!(freshness.copied(), None);
        assert_eq!(freshness.replayed(1, 199), Some(start));
        assert_eq!(freshness.replayed(1, 200), Some(later));
        assert_eq!(freshness.copied(), Some(later));
        freshness.lost();
        assert_eq!(freshness.copied(), None);
    }

    #[test]
    fn what_is_too_old_is_not_fresh_and_another_timeline_begins_anew() {
        let freshness = Freshness::default();
        let now = Instant::now();
        freshness.sampled(1, now - AGE_MAX, 100);
        assert_eq!(freshness.replayed(1, 100), Some(now - AGE_MAX));
        assert_eq!(freshness.copied(), None);
        assert!(!freshness.lags(), "where the primary is not known either, nobody lags");
        freshness.sampled(1, now, 200);
        assert!(freshness.lags());
        assert_eq!(freshness.replayed(1, 200), Some(now));
        assert!(!freshness.lags());
        freshness.sampled(2, now, 300);
        assert_eq!(freshness.replayed(2, 200), None);
        assert_eq!(freshness.replayed(1, 400), None);
        assert_eq!(freshness.replayed(2, 400), Some(now));
    }
}
