//! Which deliveries are open, and how that is kept in the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::OPEN;
use crate::{
    daemon::DaemonError,
    log::{LogReader, MAX_VALUE_BYTES},
    stream::Settled,
};

/// The deliveries that are open.
#[derive(Debug, Default)]
pub(crate) struct Lookups(Mutex<All>);

/// Deliveries by their sequence in the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct All {
    present: BTreeSet<u64>,
    /// Those that are to be rejected, for another message may be at their place: by the time at which
    /// the stream was created that held them.
    earlier: BTreeMap<String, BTreeSet<u64>>,
}

/// How they are kept: a value of the log holds little, and most steps are short.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    /// The first, and how far each is from the one before.
    Steps {
        steps: Vec<u64>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        earlier: BTreeMap<String, Vec<u64>>,
    },
    /// All of them, as they were kept at first.
    Sequences(BTreeSet<u64>),
}

impl Lookups {
    /// Those that were open when the node ended: in the stream of the log's position, which is kept
    /// with them.
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
    pub(crate) fn change(
        &self,
        opened: &[u64],
        settled: &[Settled],
        created: &str,
    ) -> Option<Vec<u8>> {
        if opened.is_empty() && settled.is_empty() {
            return None;
        }
        let mut open = self.lock();
        open.present.extend(opened);
        for one in settled {
            open.remove(one, created);
        }
        Some(kept(&mut open))
    }

    /// What is open was in the stream created at `created`, and is not to be read again: its place may
    /// be another's now. Returns all, to be kept.
    pub(crate) fn leave_behind(&self, created: &str) -> Vec<u8> {
        let mut open = self.lock();
        let left = std::mem::take(&mut open.present);
        if !left.is_empty() {
            let earlier = open.earlier.entry(created.to_owned()).or_default();
            earlier.extend(left);
        }
        kept(&mut open)
    }

    /// The oldest of those that can be read again.
    pub(crate) fn first(&self) -> Option<u64> {
        self.lock().present.first().copied()
    }

    pub(super) fn all(&self) -> BTreeSet<u64> {
        self.lock().present.clone()
    }

    /// What was left behind: when its stream was created, and its sequence there.
    pub(super) fn earlier(&self) -> Vec<(String, u64)> {
        let earlier = self.lock().earlier.clone().into_iter();
        let places = earlier.flat_map(|(created, sequences)| {
            sequences.into_iter().map(move |one| (created.clone(), one))
        });
        places.collect()
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn len(&self) -> usize {
        self.present.len() + self.earlier.values().map(BTreeSet::len).sum::<usize>()
    }

    /// `present` is when the present stream was created: who lost nothing of it has at its place what
    /// another node left behind.
    fn remove(&mut self, settled: &Settled, present: &str) {
        let Some(created) = settled.created.as_deref() else {
            self.present.remove(&settled.sequence);
            return;
        };
        let left = self.earlier.get_mut(created);
        let was_left = left.is_some_and(|left| left.remove(&settled.sequence));
        if !was_left && created == present {
            self.present.remove(&settled.sequence);
        }
        self.earlier.retain(|_, earlier| !earlier.is_empty());
    }

    /// Takes out the oldest.
    fn pop_first(&mut self) -> Option<u64> {
        while let Some(mut earlier) = self.earlier.first_entry() {
            if let Some(first) = earlier.get_mut().pop_first() {
                return Some(first);
            }
            earlier.remove();
        }
        self.present.pop_first()
    }
}

/// All as they are kept; tells for which there is no room.
fn kept(open: &mut All) -> Vec<u8> {
    let (kept, forgotten) = encode(open);
    if let (Some(first), Some(last)) = (forgotten.first(), forgotten.last()) {
        tracing::error!(
            first,
            last,
            deliveries = forgotten.len(),
            "more deliveries wait for a registry's answer than the log can keep: those of these sequences in the stream are forgotten, have them sent again"
        );
    }
    kept
}

fn decode(kept: &[u8]) -> Result<All, serde_json::Error> {
    if kept.is_empty() {
        return Ok(All::default());
    }
    Ok(match serde_json::from_slice(kept)? {
        Kept::Sequences(present) => All {
            present,
            ..All::default()
        },
        Kept::Steps { steps, earlier } => {
            let earlier = earlier.into_iter();
            All {
                present: sequences(steps),
                earlier: earlier
                    .map(|(created, steps)| (created, sequences(steps)))
                    .collect(),
            }
        }
    })
}

fn sequences(steps: Vec<u64>) -> BTreeSet<u64> {
    let sequences = steps.into_iter().scan(0, |last: &mut u64, step| {
        *last = last.saturating_add(step);
        Some(*last)
    });
    sequences.collect()
}

fn steps(sequences: &BTreeSet<u64>) -> Vec<u64> {
    let mut last = 0;
    let steps = sequences.iter().map(|sequence| {
        let step = sequence - last;
        last = *sequence;
        step
    });
    steps.collect()
}

/// All as they are kept, and those taken out first for which there is no room.
fn encode(open: &mut All) -> (Vec<u8>, Vec<u64>) {
    /// No step takes more bytes, so that none is taken out for which there was room.
    const LONGEST: usize = 21;
    let mut forgotten = Vec::new();
    loop {
        let earlier = open.earlier.iter();
        let all = Kept::Steps {
            steps: steps(&open.present),
            earlier: earlier
                .map(|(created, sequences)| (created.clone(), steps(sequences)))
                .collect(),
        };
        // Numbers are written without fail.
        let kept = serde_json::to_vec(&all).unwrap_or_default();
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

    /// When the present stream was created.
    const NOW: &str = "now";

    fn present(present: BTreeSet<u64>) -> All {
        All {
            present,
            ..All::default()
        }
    }

    /// How many of `sequences` are kept; those are the newest, and the rest is told.
    fn check(sequences: impl Iterator<Item = u64>) -> usize {
        let all: BTreeSet<u64> = sequences.collect();
        let mut open = present(all.clone());
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
        assert_eq!(decode(b"[3,5]").unwrap(), present([3, 5].into()));
        let steps = br#"{"steps":[3,2]}"#;
        assert_eq!(decode(steps).unwrap(), present([3, 5].into()));
        assert_eq!(decode(b"").unwrap(), All::default());
    }

    #[test]
    fn what_is_settled_is_no_longer_open() {
        let lookups = Lookups::default();
        assert_eq!(lookups.change(&[], &[], NOW), None);
        lookups.change(&[3, 5], &[], NOW);
        lookups.change(&[7], &[3.into(), 7.into()], NOW);
        assert_eq!(lookups.all(), BTreeSet::from([5]));
    }

    #[test]
    fn what_is_left_behind_is_settled_by_its_own_stream() {
        let lookups = Lookups::default();
        lookups.change(&[3, 5], &[], NOW);
        let kept = lookups.leave_behind("one");
        assert_eq!(decode(&kept).unwrap(), *lookups.lock());
        lookups.change(&[5], &[], NOW);
        assert_eq!((lookups.len(), lookups.first()), (3, Some(5)));
        lookups.change(&[], &[5.into()], NOW);
        let left = [("one".to_owned(), 3), ("one".to_owned(), 5)];
        assert_eq!(lookups.earlier(), left);
        let settled = |sequence| Settled {
            sequence,
            created: Some("one".into()),
        };
        lookups.change(&[], &[settled(3)], NOW);
        assert_eq!(lookups.earlier(), left[1..]);
        let kept = lookups.change(&[], &[settled(5)], NOW).unwrap();
        assert_eq!(decode(&kept).unwrap(), All::default());
    }

    #[test]
    fn what_another_node_left_behind_of_the_same_stream_is_settled_at_its_place() {
        let lookups = Lookups::default();
        lookups.change(&[3, 5], &[], NOW);
        let settled = Settled {
            sequence: 3,
            created: Some(NOW.into()),
        };
        lookups.change(&[], &[settled], NOW);
        assert_eq!(lookups.all(), BTreeSet::from([5]));
    }

    #[test]
    fn what_was_left_behind_makes_room_first() {
        let mut open = present((0..30_000).map(|n| n * 100).collect());
        let all = Lookups(Mutex::new(std::mem::take(&mut open)));
        all.leave_behind("one");
        all.change(&Vec::from_iter(0..30_000), &[], NOW);
        assert_eq!(all.all().len(), 30_000);
        assert!((1..30_000).contains(&all.earlier().len()));
    }
}
