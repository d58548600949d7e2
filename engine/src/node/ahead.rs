//! Records decoded for a fold: reading and decoding a record takes as long as deciding what follows
//! from it, so where somebody waits other threads do it, ahead of the fold.

use std::{sync::mpsc, thread};

use weir_schema::Record;

use super::LedgerError;
use crate::log::{LogReader, Records};

/// Who decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decode {
    /// Other threads: somebody waits for the result.
    Ahead,
    /// The thread that folds: others have better things to do.
    Here,
}

/// Records that are decoded at a time.
const BLOCK: u64 = 512;

/// Long records are decoded in smaller blocks.
const BLOCK_BYTES: usize = 8 << 20;

/// Blocks that may wait for the fold, for each thread: what bounds the memory.
const BLOCKS_AHEAD: usize = 2;

/// More would only wait for the fold.
const MAX_THREADS: usize = 4;

type Block = Result<Vec<Record>, LedgerError>;

/// A thread that decodes.
struct Decoder {
    blocks: mpsc::Receiver<Block>,
    /// Where blocks go back to: memory is given back fastest by the thread that took it.
    done: mpsc::Sender<Vec<Record>>,
}

/// Hands the records from `first` to `last` to `take` in order, until it says `false`.
///
/// # Errors
/// If a record cannot be read or decoded; or what `take` said.
pub(super) fn each(
    reader: &LogReader,
    first: u64,
    last: u64,
    decode: Decode,
    mut take: impl FnMut(&Record) -> Result<bool, LedgerError>,
) -> Result<(), LedgerError> {
    let blocks = (last + 1).saturating_sub(first).div_ceil(BLOCK);
    // One processor is for the fold, which takes longer than decoding: a thread more would only take
    // time from it.
    let others = thread::available_parallelism().map_or(1, usize::from) - 1;
    let threads = others.clamp(1, MAX_THREADS).min(blocks as usize);
    // A thread is not worth it for what is read at once.
    if blocks <= 1 || decode == Decode::Here {
        let mut records = Records::new(first);
        let mut next = first;
        while next <= last {
            let block = decoded(reader, next, last, &mut records)?;
            next += block.len() as u64;
            if !take_all(&block, &mut take)? {
                break;
            }
        }
        return Ok(());
    }
    thread::scope(|scope| {
        let decoders: Vec<Decoder> = (0..threads)
            .map(|turn| {
                let (sender, decoded_blocks) = mpsc::sync_channel(BLOCKS_AHEAD);
                let (done, taken) = mpsc::channel();
                scope.spawn(move || {
                    let mut records = Records::new(first);
                    for number in (turn as u64..blocks).step_by(threads) {
                        taken.try_iter().for_each(drop);
                        let mut next = first + number * BLOCK;
                        let end = last.min(next + BLOCK - 1);
                        while next <= end {
                            let block = decoded(reader, next, end, &mut records);
                            next += block.as_ref().map_or(BLOCK, |block| block.len() as u64);
                            // The receiver goes when no more is wanted.
                            if sender.send(block).is_err() {
                                return;
                            }
                        }
                    }
                });
                Decoder {
                    blocks: decoded_blocks,
                    done,
                }
            })
            .collect();
        let mut next = first;
        while next <= last {
            let turn = (next - first) / BLOCK % threads as u64;
            let Some(decoder) = decoders.get(turn as usize) else {
                return Err(stopped());
            };
            let block = decoder.blocks.recv().map_err(|_| stopped())??;
            next += block.len() as u64;
            if !take_all(&block, &mut take)? {
                return Ok(());
            }
            // One that has decoded all it had needs none back.
            let _ = decoder.done.send(block);
        }
        Ok(())
    })
}

fn take_all(
    records: &[Record],
    take: &mut impl FnMut(&Record) -> Result<bool, LedgerError>,
) -> Result<bool, LedgerError> {
    for record in records {
        if !take(record)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The records from `first` on, at most a block; `records` is memory to read them into.
fn decoded(reader: &LogReader, first: u64, last: u64, records: &mut Records) -> Block {
    records.begin_at(first);
    let end = last.min(first + BLOCK - 1);
    reader.read(end + 1, BLOCK_BYTES, records)?;
    if records.is_empty() {
        return Err(LedgerError::Beyond {
            seq: first,
            last: first - 1,
        });
    }
    let mut block = Vec::with_capacity(records.len());
    for (_, bytes) in records.iter() {
        block.push(Record::decode(bytes)?);
    }
    Ok(block)
}

fn stopped() -> LedgerError {
    crate::log::ReadError::Store {
        cause: "a thread that decodes records panicked".to_owned(),
    }
    .into()
}
