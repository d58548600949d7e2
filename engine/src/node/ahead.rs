//! Work on records that other threads do ahead of a fold, and behind it: reading and decoding a
//! record takes as long as deciding what follows from it, and what came of it is compared where its
//! bytes still are.

use std::{
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use weir_schema::Record;

use super::LedgerError;
use crate::log::{LogReader, Records};

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decode {
    /// Other threads: somebody waits for the result.
    Ahead,
    /// The thread that folds: others have better things to do.
    Here,
}

/// What is done with a record beside folding it.
pub(super) trait Work: Sync {
    /// A record as the fold is given it, and as it leaves it.
    type Entry: Send;

    /// Makes the entry of a record.
    fn begin(&self, bytes: &[u8]) -> Result<Self::Entry, LedgerError>;

    /// Takes the entry back when it was folded.
    fn finish(&self, entry: Self::Entry, bytes: &[u8]) -> Result<(), LedgerError>;
}

/// Decoding, and nothing else.
pub(super) struct Decoding;

impl Work for Decoding {
    type Entry = Record;

    fn begin(&self, bytes: &[u8]) -> Result<Record, LedgerError> {
        Ok(Record::decode(bytes)?)
    }

    fn finish(&self, _: Record, _: &[u8]) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// Records that are worked on at a time.
const BLOCK: u64 = 512;

/// Blocks of long records are shorter.
const BLOCK_BYTES: usize = 8 << 20;

/// Blocks that may wait for the fold, for each thread: what bounds the memory.
const BLOCKS_AHEAD: usize = 2;

/// More would only wait for the fold.
const MAX_THREADS: usize = 4;

/// Records, and what was made of them.
struct Block<Entry> {
    records: Records,
    entries: Vec<Entry>,
}

impl<Entry> Block<Entry> {
    /// The records from `first` on, at most `last`; `records` is memory to read them into.
    fn begin(
        work: &impl Work<Entry = Entry>,
        reader: &LogReader,
        (first, last): (u64, u64),
        mut records: Records,
    ) -> Result<Self, LedgerError> {
        records.begin_at(first);
        let end = last.min(first + BLOCK - 1);
        reader.read(end + 1, BLOCK_BYTES, &mut records)?;
        if records.is_empty() {
            return Err(LedgerError::Beyond {
                seq: first,
                last: first - 1,
            });
        }
        let mut entries = Vec::with_capacity(records.len());
        for (_, bytes) in records.iter() {
            entries.push(work.begin(bytes)?);
        }
        Ok(Self { records, entries })
    }

    fn take(
        &mut self,
        take: &mut impl FnMut(&mut Entry) -> Result<bool, LedgerError>,
    ) -> Result<bool, LedgerError> {
        for entry in &mut self.entries {
            if !take(entry)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the memory back.
    fn finish(self, work: &impl Work<Entry = Entry>) -> Result<Records, LedgerError> {
        for (entry, (_, bytes)) in self.entries.into_iter().zip(self.records.iter()) {
            work.finish(entry, bytes)?;
        }
        Ok(self.records)
    }
}

/// Hands the records from `first` to `last` to `take` in order, until it says `false`.
///
/// # Errors
/// The first in the order of the records: if one cannot be read, what `take` said of it, or what was
/// found when it was finished.
pub(super) fn each<W: Work>(
    work: &W,
    reader: &LogReader,
    (first, last): (u64, u64),
    decode: Decode,
    take: impl FnMut(&mut W::Entry) -> Result<bool, LedgerError>,
) -> Result<(), LedgerError> {
    let blocks = (last + 1).saturating_sub(first).div_ceil(BLOCK);
    // A thread is not worth it for what is read at once.
    if blocks <= 1 || decode == Decode::Here {
        return each_here(work, reader, (first, last), take);
    }
    // One processor is for the fold, which takes longer than decoding: a thread more would only take
    // time from it.
    let others = thread::available_parallelism().map_or(1, usize::from) - 1;
    let walk = Walk {
        work,
        reader,
        first,
        last,
        threads: others.clamp(1, MAX_THREADS).min(blocks as usize),
        failed: Failed::default(),
    };
    let outcome = thread::scope(|scope| {
        let start = |turn| {
            let (begun, next) = mpsc::sync_channel(BLOCKS_AHEAD);
            let (folded, back) = mpsc::channel();
            let walk = &walk;
            scope.spawn(move || walk.work_ahead(turn, &begun, &back));
            Worker {
                begun: next,
                folded,
            }
        };
        let workers: Vec<Worker<W::Entry>> = (0..walk.threads).map(start).collect();
        walk.fold(&workers, take)
    });
    walk.failed.first().map_or(outcome, Err)
}

/// The same, all of it by this thread.
fn each_here<W: Work>(
    work: &W,
    reader: &LogReader,
    (first, last): (u64, u64),
    mut take: impl FnMut(&mut W::Entry) -> Result<bool, LedgerError>,
) -> Result<(), LedgerError> {
    let mut records = Records::new(first);
    let mut next = first;
    while next <= last {
        let mut block = Block::begin(work, reader, (next, last), records)?;
        next = block.records.end();
        let outcome = block.take(&mut take);
        records = block.finish(work)?;
        if !outcome? {
            break;
        }
    }
    Ok(())
}

/// A block to fold, or why there is none.
type Begun<Entry> = Result<Block<Entry>, LedgerError>;

/// A thread that works for the fold.
struct Worker<Entry> {
    begun: mpsc::Receiver<Begun<Entry>>,
    /// Where blocks go back to: memory is given back fastest by the thread that took it.
    folded: mpsc::Sender<Block<Entry>>,
}

/// The records from `first` to `last`, worked on by several threads in turn, [`BLOCK`] at a time.
struct Walk<'a, W> {
    work: &'a W,
    reader: &'a LogReader,
    first: u64,
    last: u64,
    threads: usize,
    failed: Failed,
}

impl<W: Work> Walk<'_, W> {
    /// What the thread of this turn does: begins its blocks until no more is wanted, and finishes
    /// those that come back.
    fn work_ahead(
        &self,
        turn: usize,
        begun: &mpsc::SyncSender<Begun<W::Entry>>,
        back: &mpsc::Receiver<Block<W::Entry>>,
    ) {
        let mut spare = Vec::new();
        let firsts = (self.first..=self.last).step_by(BLOCK as usize);
        for first in firsts.skip(turn).step_by(self.threads) {
            let mut next = first;
            let end = self.last.min(first + BLOCK - 1);
            while next <= end {
                spare.extend(back.try_iter().filter_map(|block| self.finish(block)));
                let records = spare.pop().unwrap_or_else(|| Records::new(next));
                let block = Block::begin(self.work, self.reader, (next, end), records);
                let end_of_block = block.as_ref().ok().map(|block| block.records.end());
                // The receiver goes when no more is wanted.
                match (begun.send(block), end_of_block) {
                    (Ok(()), Some(end)) => next = end,
                    _ => return self.finish_all(back),
                }
            }
        }
        self.finish_all(back);
    }

    /// Finishes a block, and gives its memory back if all is well.
    fn finish(&self, block: Block<W::Entry>) -> Option<Records> {
        self.failed.note(block, self.work)
    }

    /// Finishes what comes back until nothing more will.
    fn finish_all(&self, back: &mpsc::Receiver<Block<W::Entry>>) {
        for block in back {
            drop(self.finish(block));
        }
    }

    /// Takes what the workers begin, in order, and gives it back to them.
    fn fold(
        &self,
        workers: &[Worker<W::Entry>],
        mut take: impl FnMut(&mut W::Entry) -> Result<bool, LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut next = self.first;
        while next <= self.last && !self.failed.is_any() {
            let turn = (next - self.first) / BLOCK % self.threads as u64;
            let worker = workers.get(turn as usize);
            let begun = worker.and_then(|worker| Some((worker, worker.begun.recv().ok()?)));
            // A worker ends early only by a panic, which the scope of all of them passes on.
            let Some((worker, block)) = begun else { break };
            let mut block = block?;
            next = block.records.end();
            let outcome = block.take(&mut take);
            let sent = worker.folded.send(block);
            if !outcome? || sent.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// What was found when blocks were finished. The fold is always further, so this comes before
/// whatever it found.
#[derive(Default)]
struct Failed(Mutex<Option<(u64, LedgerError)>>);

impl Failed {
    /// Finishes a block, and keeps what is wrong if it is the first in the log.
    fn note<W: Work>(&self, block: Block<W::Entry>, work: &W) -> Option<Records> {
        let place = block.records.end();
        let error = match block.finish(work) {
            Ok(records) => return Some(records),
            Err(error) => error,
        };
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(known, _)| place < *known) {
            *first = Some((place, error));
        }
        None
    }

    fn is_any(&self) -> bool {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.is_some()
    }

    fn first(self) -> Option<LedgerError> {
        let first = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        first.map(|(_, error)| error)
    }
}
