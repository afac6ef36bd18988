//! Is everything there that was told to be done? Writers that keep count, and what is found in the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::*;

const WRITERS: usize = 16;

/// Writers at work until they are told to stop.
pub(crate) struct Load {
    writers: JoinSet<Fates>,
    stop: Arc<AtomicBool>,
}

/// Which names one writer was told of, by what became of them.
#[derive(Default)]
struct Fates {
    done: Vec<String>,
    not_applied: Vec<String>,
    unknown: usize,
}

/// How many changes ended in which way.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) done: usize,
    pub(crate) not_applied: usize,
    pub(crate) unknown: usize,
}

impl Load {
    pub(crate) fn start(store: &Store) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let writers =
            (0..WRITERS).map(|number| write_until(Arc::clone(&stop), store.clone(), number)).collect();
        Self { writers, stop }
    }

    /// Stops, and checks that what was done is there, and what was not applied is not.
    pub(crate) async fn stop_and_check(self, store: &Store) -> Counts {
        self.stop.store(true, Ordering::Relaxed);
        let all = self.writers.join_all().await;
        until_read(store).await;
        let kept = all_names(store).await;
        let mut counts = Counts::default();
        for Fates { done, not_applied, unknown } in all {
            let lost: Vec<_> = done.iter().filter(|who| !kept.contains(*who)).collect();
            assert!(lost.is_empty(), "of {} changes that were done these are lost: {lost:?}", done.len());
            let made: Vec<_> = not_applied.iter().filter(|who| kept.contains(*who)).collect();
            assert!(made.is_empty(), "these were told to be not applied: {made:?}");
            counts.done += done.len();
            counts.not_applied += not_applied.len();
            counts.unknown += unknown;
        }
        counts
    }
}

/// Saves one name after the other, each once, so that nothing later can hide a loss.
async fn write_until(stop: Arc<AtomicBool>, store: Store, writer: usize) -> Fates {
    let mut fates = Fates::default();
    for count in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let who = format!("w{writer}.{count}");
        match save(&store, &who, numbered(count)).await {
            Ok(_) => {
                fates.done.push(who);
                continue;
            }
            Err(StoreError::NotApplied(_)) => fates.not_applied.push(who),
            Err(StoreError::Unknown(_)) => fates.unknown += 1,
        }
        sleep(Duration::from_millis(5)).await;
    }
    fates
}

/// The names of all users there are.
async fn all_names(store: &Store) -> HashSet<String> {
    let (mut names, mut after) = (HashSet::new(), None);
    loop {
        let page = store.users(after.as_ref(), 1000).await.unwrap();
        let Some(last) = page.last() else { return names };
        after = Some(last.name.clone());
        names.extend(page.iter().map(|user| user.name.as_str().to_owned()));
    }
}
