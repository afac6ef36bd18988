//! Which changes of a batch can be made together? PostgreSQL changes a row once a statement, and changes
//! of one name must be made in the order in which they came.

use std::collections::HashMap;

use birthday::Name;

use crate::Change;

/// The kinds of changes, each made by a statement of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Save,
    Register,
    ChangeEmail,
    Erase,
    Put,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Save, Self::Register, Self::ChangeEmail, Self::Erase, Self::Put];

    const fn of(change: &Change) -> Self {
        match change {
            Change::SaveBirthday { .. } => Self::Save,
            Change::Register { .. } => Self::Register,
            Change::ChangeEmail { .. } => Self::ChangeEmail,
            Change::Erase { .. } => Self::Erase,
            Change::Put(_) => Self::Put,
        }
    }
}

/// Changes that can be made in any order, by their places in the batch.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// In the order of [`Kind::ALL`]; in the order of their names, so that two instances never wait for
    /// each other's rows.
    pub(super) groups: [Vec<usize>; Kind::ALL.len()],
    /// Saves that a later save of the same name overtook, which stands second: both end alike.
    pub(super) overtaken: Vec<(usize, usize)>,
}

/// The rounds of a batch, to be made one after the other.
pub(super) fn rounds(changes: &[Change]) -> Vec<Round> {
    let mut rounds = Vec::new();
    let mut round = Round::default();
    let mut latest = HashMap::<&Name, (Kind, usize)>::with_capacity(changes.len());
    for (place, change) in changes.iter().enumerate() {
        let kind = Kind::of(change);
        match latest.insert(change.name(), (kind, place)) {
            None => {}
            Some((Kind::Save, earlier)) if kind == Kind::Save => round.overtaken.push((earlier, place)),
            Some(earlier) => {
                latest.insert(change.name(), earlier);
                rounds.push(close(std::mem::take(&mut round), &mut latest));
                latest.insert(change.name(), (kind, place));
            }
        }
    }
    rounds.push(close(round, &mut latest));
    rounds
}

fn close(mut round: Round, latest: &mut HashMap<&Name, (Kind, usize)>) -> Round {
    let mut sorted: Vec<_> = latest.drain().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    for (_, (kind, place)) in sorted {
        round.groups[kind as usize].push(place);
    }
    round
}

#[cfg(test)]
mod tests {
    use birthday::{Birthday, Email};

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn save(who: &str) -> Change {
        let birthday = Birthday::from_stored(1, 2, None).unwrap();
        Change::SaveBirthday { name: name(who), birthday }
    }

    fn register(who: &str) -> Change {
        Change::Register { name: name(who), email: Email::parse("a@b").unwrap() }
    }

    #[test]
    fn saves_of_one_name_fold_into_the_last_and_names_are_sorted() {
        let rounds = rounds(&[save("b"), save("a"), save("b"), save("é"), save("b"), save("Z")]);
        assert_eq!(rounds.len(), 1);
        assert_eq!(rounds[0].groups, [vec![5, 1, 4, 3], vec![], vec![], vec![], vec![]]);
        assert_eq!(rounds[0].overtaken, [(0, 2), (2, 4)]);
    }

    #[test]
    fn another_kind_of_change_to_the_same_name_begins_the_next_round() {
        let erase = Change::Erase { name: name("a") };
        let rounds = rounds(&[save("a"), register("b"), erase, save("b"), save("a"), register("a")]);
        let groups: Vec<_> = rounds.into_iter().map(|round| round.groups).collect();
        assert_eq!(
            groups,
            [
                [vec![0], vec![1], vec![], vec![], vec![]],
                [vec![3], vec![], vec![], vec![2], vec![]],
                [vec![4], vec![], vec![], vec![], vec![]],
                [vec![], vec![5], vec![], vec![], vec![]],
            ]
        );
    }

    #[test]
    fn the_same_kind_twice_for_one_name_is_not_folded_unless_it_is_a_save() {
        let rounds = rounds(&[register("a"), register("a")]);
        assert_eq!(rounds.len(), 2);
    }
}
