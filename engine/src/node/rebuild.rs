//! The state at a record: from the nearest snapshot before it, and the records since.

use std::{fmt, str::FromStr};

use weir_rules::{State, ThawError};
use weir_schema::{Record, Timestamp};

use super::{
    Basis, Fold, LedgerError,
    ahead::{self, Decode, Decoding},
    compared::Comparing,
};
use crate::log::{Kind, LogReader};

/// A moment in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// After this record, and what was concluded from it; 0 is before the first.
    Seq(u64),
    /// After the last record that is not later.
    Time(Timestamp),
}

/// Not a moment in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a sequence nor a time as in 2026-08-21T10:00:00Z")]
pub struct AtError(String);

impl FromStr for At {
    type Err = AtError;

    fn from_str(text: &str) -> Result<Self, AtError> {
        match (text.parse(), text.parse()) {
            (Ok(seq), _) => Ok(Self::Seq(seq)),
            (_, Ok(time)) => Ok(Self::Time(time)),
            _ => Err(AtError(text.to_owned())),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => seq.fmt(formatter),
            Self::Time(time) => time.fmt(formatter),
        }
    }
}

/// The state as it was, as the log's own basis decided it. Costs the records since the nearest
/// snapshot.
///
/// # Errors
/// If the log does not reach so far, cannot be read, or is not what its inputs lead to.
pub fn state_at(reader: &LogReader, at: At) -> Result<State, LedgerError> {
    let last = reader.head().next_seq - 1;
    let seq = match at {
        At::Seq(seq) if seq > last => return Err(LedgerError::Beyond { seq, last }),
        At::Seq(seq) => seq,
        At::Time(time) => reader.last_not_after(time)?,
    };
    let basis = Basis::of(reader)?;
    let fold = rebuild(reader, &basis, seq, Decode::Ahead, &|| false)?;
    Ok(fold.state)
}

/// Folds the whole log from its first record, no snapshot, and hands each record to `take` once it
/// is found to follow from those before; ends early where that says `false`.
///
/// # Errors
/// If the log cannot be read, or is not what its inputs lead to.
pub fn refold(
    reader: &LogReader,
    mut take: impl FnMut(&Record) -> bool,
) -> Result<State, LedgerError> {
    let mut fold = Fold::new(&Basis::of(reader)?);
    let last = reader.head().next_seq - 1;
    ahead::each(&Decoding, reader, (1, last), Decode::Ahead, |record| {
        fold.record(record)?;
        Ok(take(record))
    })?;
    Ok(fold.state)
}

/// Folds the log up to record `last`. `stop` is asked now and then; where it says so the fold
/// ends early.
pub(super) fn rebuild(
    reader: &LogReader,
    basis: &Basis,
    last: u64,
    decode: Decode,
    stop: &dyn Fn() -> bool,
) -> Result<Fold, LedgerError> {
    if let Some((seq, state)) = nearest(reader, basis, last) {
        let fold = Fold::from_state(state, basis.execution);
        match go_on(fold, reader, last, decode, stop) {
            // What the snapshot leads to is not what the log says: one of them is wrong, and
            // only a fold of everything tells which.
            Err(LedgerError::Diverged { seq: at, problem }) => {
                tracing::warn!(
                    snapshot = seq,
                    record = at,
                    "the snapshot does not fit the records after it, so all are read: {problem}"
                );
                if let Err(error) = reader.snapshots().remove(Kind::State, seq) {
                    tracing::warn!("{error}");
                }
            }
            done => return done,
        }
    }
    go_on(Fold::new(basis), reader, last, decode, stop)
}

/// The newest state up to `last` that is whole and readable.
fn nearest(reader: &LogReader, basis: &Basis, last: u64) -> Option<(u64, State)> {
    let snapshots = reader.snapshots();
    let list = snapshots.list(Kind::State);
    let before = list.iter().rev().filter(|info| info.seq <= last);
    before
        .filter_map(|info| {
            let kept = snapshots.open(Kind::State, info.seq)?;
            let about = kept.about.clone();
            let read = kept.read().map_err(ThawError::from);
            match read.and_then(|kept| State::thaw(kept, basis.settings.clone())) {
                Ok(state) if state.seq() == info.seq => {
                    debug_assert_eq!(about, Some(state.state_digest().to_string()));
                    Some((info.seq, state))
                }
                Ok(_) => None,
                Err(error) => {
                    tracing::warn!(snapshot = info.seq, "not used: {error}");
                    None
                }
            }
        })
        .next()
}

fn go_on(
    mut fold: Fold,
    reader: &LogReader,
    last: u64,
    decode: Decode,
    stop: &dyn Fn() -> bool,
) -> Result<Fold, LedgerError> {
    /// Records between two looks at `stop`.
    const STRIDE: u64 = 256;
    let first = fold.state.seq() + 1;
    let mut taken = 0_u64;
    ahead::each(&Comparing, reader, (first, last), decode, |entry| {
        fold.entry(entry)?;
        taken += 1;
        Ok(!(taken.is_multiple_of(STRIDE) && stop()))
    })?;
    Ok(fold)
}
