//! What did this instance change lately? Where reads may come from a copy that lags, these don't.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use birthday::Name;

/// The most names that are remembered. Beyond them, every name counts as changed for a while.
const NAMES_MAX: usize = 65_536;

/// The names that were changed, and when the last change of each was answered.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    names: HashMap<Name, Instant>,
    newest: Option<Instant>,
    /// Changes up to then may have been forgotten.
    forgotten: Option<Instant>,
}

impl Recent {
    /// Remembers that a change of that name was answered at that moment.
    pub(crate) fn changed(&self, name: Name, at: Instant) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.names.len() >= NAMES_MAX {
            remembered.forgotten = remembered.newest;
            remembered.names.clear();
        }
        let last = remembered.names.entry(name).or_insert(at);
        *last = at.max(*last);
        remembered.newest = remembered.newest.max(Some(at));
    }

    /// Whether a copy that holds everything answered before `copied` holds the last change of that name.
    pub(crate) fn is_in_copy(&self, name: &Name, copied: Instant) -> bool {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_name = remembered.names.get(name).copied();
        of_name.max(remembered.forgotten).is_none_or(|changed| changed < copied)
    }

    /// Whether such a copy holds every change of this instance.
    pub(crate) fn all_in_copy(&self, copied: Instant) -> bool {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.newest.is_none_or(|changed| changed < copied)
    }

    /// Forgets what every copy holds that may be read at all. Not what one of them holds: another, which holds less,
    /// may take its place.
    pub(crate) fn forget_before(&self, oldest: Instant) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.names.retain(|_, changed| *changed >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(number: usize) -> Name {
        Name::parse(&format!("n{number}")).unwrap()
    }

    #[test]
    fn a_name_is_in_a_copy_that_was_made_after_its_last_change() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let recent = Recent::default();
        assert!(recent.is_in_copy(&name(1), start) && recent.all_in_copy(start));
        recent.changed(name(1), start);
        recent.changed(name(1), start + second);
        recent.changed(name(1), start);
        assert!(!recent.is_in_copy(&name(1), start + second));
        assert!(!recent.all_in_copy(start + second));
        assert!(recent.is_in_copy(&name(1), start + 2 * second));
        assert!(recent.is_in_copy(&name(2), start));
        recent.forget_before(start + 2 * second);
        assert!(recent.0.lock().unwrap().names.is_empty());
    }

    #[test]
    fn more_names_than_are_remembered_make_every_name_count_as_changed() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let recent = Recent::default();
        for number in 0..=NAMES_MAX {
            recent.changed(name(number), start);
        }
        assert!(recent.0.lock().unwrap().names.len() <= NAMES_MAX);
        assert!(!recent.is_in_copy(&name(0), start));
        assert!(recent.is_in_copy(&name(0), start + second));
    }
}
