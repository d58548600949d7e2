//! Which deliveries are open, and how that is kept in the log.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::OPEN;
use crate::{
    daemon::DaemonError,
    log::{LogReader, MAX_VALUE_BYTES},
};

/// The deliveries that are open, by their sequence in the stream.
#[derive(Debug, Default)]
pub(crate) struct Lookups(Mutex<BTreeSet<u64>>);

/// How they are kept: a value of the log holds little, and most steps are short.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    /// The first, and how far each is from the one before.
    Steps { steps: Vec<u64> },
    /// All of them, as they were kept at first.
    Sequences(BTreeSet<u64>),
}

impl Lookups {
    /// Those that were open when the node ended.
    pub(crate) fn of(reader: &LogReader) -> Result<Self, DaemonError> {
        let kept = reader.meta_get(OPEN)?.unwrap_or_default();
        Ok(Self(Mutex::new(decode(&kept)?)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Takes in which deliveries came to be open and which no longer are; returns all that are, to be
    /// kept. `None` if nothing changed.
    ///
    /// What does not fit into a value of the log is forgotten, the oldest first, and that is only
    /// told: each node reads the stream in batches of its own, so a record of it would be at another
    /// place in each of their logs. The node that acts rejects the oldest long before.
    pub(crate) fn change(&self, opened: &[u64], settled: &[u64]) -> Option<Vec<u8>> {
        if opened.is_empty() && settled.is_empty() {
            return None;
        }
        let mut open = self.lock();
        open.extend(opened);
        for sequence in settled {
            open.remove(sequence);
        }
        let (kept, forgotten) = encode(&mut open);
        if let (Some(first), Some(last)) = (forgotten.first(), forgotten.last()) {
            tracing::error!(
                first,
                last,
                deliveries = forgotten.len(),
                "more deliveries wait for a registry's answer than the log can keep: those of these sequences in the stream are forgotten, have them sent again"
            );
        }
        Some(kept)
    }

    /// The oldest of them.
    pub(crate) fn first(&self) -> Option<u64> {
        self.lock().first().copied()
    }

    pub(super) fn all(&self) -> BTreeSet<u64> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decode(kept: &[u8]) -> Result<BTreeSet<u64>, serde_json::Error> {
    if kept.is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(match serde_json::from_slice(kept)? {
        Kept::Sequences(all) => all,
        Kept::Steps { steps } => {
            let sequences = steps.into_iter().scan(0, |last: &mut u64, step| {
                *last = last.saturating_add(step);
                Some(*last)
            });
            sequences.collect()
        }
    })
}

/// All as they are kept, and those taken out first for which there is no room.
fn encode(open: &mut BTreeSet<u64>) -> (Vec<u8>, Vec<u64>) {
    /// No step takes more bytes, so that none is taken out for which there was room.
    const LONGEST: usize = 21;
    let mut forgotten = Vec::new();
    loop {
        let mut last = 0;
        let steps = open.iter().map(|sequence| {
            let step = sequence - last;
            last = *sequence;
            step
        });
        let steps = steps.collect();
        // Numbers are written without fail.
        let kept = serde_json::to_vec(&Kept::Steps { steps }).unwrap_or_default();
        let excess = kept.len().saturating_sub(MAX_VALUE_BYTES);
        if excess == 0 {
            return (kept, forgotten);
        }
        let at_least = excess.div_ceil(LONGEST).max(1);
        forgotten.extend(std::iter::from_fn(|| open.pop_first()).take(at_least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `sequences` are kept; those are the newest, and the rest is told.
    fn check(sequences: impl Iterator<Item = u64>) -> usize {
        let mut open: BTreeSet<u64> = sequences.collect();
        let all = open.clone();
        let (kept, forgotten) = encode(&mut open);
        assert!(kept.len() <= MAX_VALUE_BYTES);
        assert_eq!(decode(&kept).unwrap(), open);
        let first: Vec<u64> = all.into_iter().take(forgotten.len()).collect();
        assert_eq!(first, forgotten);
        open.len()
    }

    #[test]
    fn as_many_are_kept_as_the_log_has_room_for() {
        assert_eq!(check(0..0), 0);
        assert_eq!(check([7, 8, u64::MAX].into_iter()), 3);
        assert_eq!(check((0..10_000).map(|n| n * 10_000_000)), 10_000);
        let dense = check(1_000_000..1_100_000);
        assert!((49_000..49_200).contains(&dense), "{dense}");
    }

    #[test]
    fn those_kept_in_the_first_form_are_read() {
        assert_eq!(decode(b"[3,5]").unwrap(), BTreeSet::from([3, 5]));
        assert_eq!(decode(b"").unwrap(), BTreeSet::new());
    }

    #[test]
    fn what_is_settled_is_no_longer_open() {
        let lookups = Lookups::default();
        assert_eq!(lookups.change(&[], &[]), None);
        lookups.change(&[3, 5], &[]);
        lookups.change(&[7], &[3, 7]);
        assert_eq!(lookups.all(), BTreeSet::from([5]));
    }
}
