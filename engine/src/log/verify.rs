//! Full verification: every record, the chain, the tree, the head and the checkpoints.
//!
//! Threads read, decompress and hash blocks of records; this one takes the blocks in order and
//! checks what ties the records together. It finds an edited, reordered, inserted or deleted
//! record, and, against a checkpoint, a cut tail and a past that was written anew.

use std::sync::mpsc;
use std::thread;

use weir_schema::record::Hash;

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::head::Head;
use super::key::VerifierKey;
use super::reader::LogReader;
use super::record::{previous_of, seq_of};
use super::tree::{self, Frontier, Node, Nodes};

/// Records that one thread reads at a time.
const BLOCK: u64 = 4096;

/// Blocks that may wait for the checks, for each thread: what bounds the memory.
const BLOCKS_AHEAD: usize = 2;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Records checked, up to the first bad one.
    pub records: u64,
    /// Checkpoints that the log fits.
    pub checkpoints: usize,
    /// The root of the tree over all records, if they are good.
    pub root: Hash,
    /// The first record that is not what was written, and what is wrong.
    pub first_bad: Option<(u64, Problem)>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// Another record stands in its place: one was inserted, deleted or moved.
    #[error("a record with the sequence {found:?} stands there")]
    Sequence {
        /// The sequence that the record states.
        found: Option<u64>,
    },
    /// Its hash is not the one that the record after it, or the head, states.
    #[error(
        "its content was changed: its hash is not what the record after it, or the head, states"
    )]
    Edited,
    /// It does not name the hash of the record before.
    #[error("it does not follow the record before it")]
    Unchained,
    /// A stored hash of the Merkle tree does not fit the records under it.
    #[error("the stored hash of level {level} over the records from here on does not fit them")]
    Tree {
        /// The height of the hash above the records.
        level: u8,
    },
    /// The head does not fit the records.
    #[error("the head of the log does not fit its records")]
    Head,
    /// There are fewer records than a checkpoint says.
    #[error(
        "the log ends here, but a checkpoint says that it had {size} records: its tail was cut"
    )]
    Cut {
        /// The checkpoint's size.
        size: u64,
    },
    /// The records up to a checkpoint are not those it was made over.
    #[error(
        "a record between here and {size} was changed: the checkpoint of size {size} has another root"
    )]
    Rewritten {
        /// The checkpoint's size.
        size: u64,
    },
    /// A checkpoint proves nothing.
    #[error("{0}")]
    Checkpoint(CheckpointError),
    /// The caller's own check failed.
    #[error("{0}")]
    Replay(String),
}

struct Checked {
    bytes: Vec<u8>,
    hash: Hash,
    seq: Option<u64>,
    previous: Option<Hash>,
}

/// Verifies the log as it is now. `checkpoints` are those kept elsewhere, together with those
/// that the log keeps itself; each must be signed by `key`, if there is one. `on_record` sees
/// every good record in order, to replay it, and may object. `progress` is told the number of
/// records done, now and then.
pub fn verify(
    reader: &LogReader,
    checkpoints: &[SignedCheckpoint],
    key: Option<&VerifierKey>,
    threads: usize,
    mut on_record: impl FnMut(u64, &[u8]) -> Result<(), String>,
    mut progress: impl FnMut(u64),
) -> VerifyReport {
    let head = reader.head();
    let size = head.tree_size;
    let mut check = Check::default();
    let mut checkpoints: Vec<&SignedCheckpoint> = checkpoints.iter().collect();
    checkpoints.sort_by_key(|signed| signed.checkpoint.size);
    let mut ahead = checkpoints.iter().peekable();
    let mut last_good = 0;
    let mut fitting = 0;
    let mut first_bad = None;

    // A checkpoint that nobody trusted has signed says nothing about the records.
    if let Some(key) = key {
        let bad = checkpoints
            .iter()
            .find_map(|signed| Some((signed, signed.verify(key).err()?)));
        if let Some((signed, error)) = bad {
            first_bad = Some((signed.checkpoint.size, Problem::Checkpoint(error)));
        }
    }

    let outcome = in_order(reader, size, threads.max(1), |seq, record| {
        check.next(reader, seq, &record)?;
        if check.in_doubt() {
            return Ok(());
        }
        on_record(seq, &record.bytes).map_err(|problem| (seq, Problem::Replay(problem)))?;
        while let Some(signed) = ahead.next_if(|signed| signed.checkpoint.size <= seq) {
            if signed.checkpoint.root == check.root_at(signed.checkpoint.size) {
                last_good = seq;
                fitting += 1;
            } else {
                check.suspect((last_good + 1, Problem::Rewritten { size: seq }));
            }
        }
        if seq % BLOCK == 0 || seq == size {
            progress(seq);
        }
        Ok(())
    });
    let outcome = outcome
        .and_then(|()| check.end(&head))
        .and_then(|()| match ahead.peek() {
            Some(signed) => Err((
                size + 1,
                Problem::Cut {
                    size: signed.checkpoint.size,
                },
            )),
            None => Ok(()),
        });
    let records = check.frontier.size();
    if let Err(bad) = outcome {
        first_bad = Some(bad);
    }
    VerifyReport {
        records,
        checkpoints: fitting,
        root: check.frontier.root(),
        first_bad,
    }
}

/// What ties the records together. A break between two of them is blamed on one of the two only
/// when a third has told which.
#[derive(Default)]
struct Check {
    frontier: Frontier,
    previous: Hash,
    completed: Vec<Node>,
    /// This record denies the hash of the one before.
    unchained: Option<u64>,
    /// The tree over the records so far is not as stored or signed. If the next record denies
    /// the hash of the last, that one was changed; else this is the finding.
    suspicion: Option<(u64, Problem)>,
}

impl Check {
    fn next(
        &mut self,
        reader: &LogReader,
        seq: u64,
        record: &Checked,
    ) -> Result<(), (u64, Problem)> {
        if record.seq != Some(seq) {
            return Err((seq, Problem::Sequence { found: record.seq }));
        }
        let linked = record.previous == Some(self.previous);
        self.settle(seq, linked)?;
        if !linked {
            self.unchained = Some(seq);
        }
        self.previous = record.hash;
        self.frontier.push(record.hash, &mut self.completed);
        for Node { level, index, hash } in std::mem::take(&mut self.completed) {
            let first = (index << level) + 1;
            match reader.hashes(level, index, 1) {
                Ok(stored) if stored.first() == Some(&hash) => {}
                Ok(_) => self.suspect((first, Problem::Tree { level })),
                Err(error) => self.suspect((first, Problem::Unreadable(error.cause()))),
            }
        }
        Ok(())
    }

    /// Judges what was found at the record before `seq`, now that it is known whether `seq`, or
    /// the head, confirms its hash.
    fn settle(&mut self, seq: u64, confirmed: bool) -> Result<(), (u64, Problem)> {
        match (self.unchained, self.suspicion.take()) {
            (Some(1), _) => Err((1, Problem::Unchained)),
            (Some(suspect), _) if confirmed => Err((suspect - 1, Problem::Edited)),
            (Some(suspect), _) => Err((suspect, Problem::Unchained)),
            (None, Some(found)) if confirmed => Err(found),
            (None, Some(_)) => Err((seq - 1, Problem::Edited)),
            (None, None) => Ok(()),
        }
    }

    fn end(&mut self, head: &Head) -> Result<(), (u64, Problem)> {
        let size = self.frontier.size();
        let confirmed = self.previous == head.previous;
        self.settle(size + 1, confirmed)?;
        if !confirmed {
            return Err((size, Problem::Edited));
        }
        if self.frontier.root() != head.root {
            return Err((size, Problem::Head));
        }
        Ok(())
    }

    fn in_doubt(&self) -> bool {
        self.unchained.is_some() || self.suspicion.is_some()
    }

    fn suspect(&mut self, found: (u64, Problem)) {
        self.suspicion.get_or_insert(found);
    }

    /// The root of the first `size` records, all or none of them.
    fn root_at(&self, size: u64) -> Hash {
        if size == 0 {
            tree::empty_root()
        } else {
            self.frontier.root()
        }
    }
}

/// Reads and hashes records 1 to `size` on several threads and hands them to `take` in order.
fn in_order(
    reader: &LogReader,
    size: u64,
    threads: usize,
    mut take: impl FnMut(u64, Checked) -> Result<(), (u64, Problem)>,
) -> Result<(), (u64, Problem)> {
    thread::scope(|scope| {
        let receivers: Vec<_> = (0..threads)
            .map(|turn| {
                let (sender, receiver) = mpsc::sync_channel(BLOCKS_AHEAD);
                scope.spawn(move || {
                    for first in (1..=size)
                        .step_by(BLOCK as usize)
                        .skip(turn)
                        .step_by(threads)
                    {
                        // The receiver goes when a bad record was found.
                        if sender.send(read_block(reader, first)).is_err() {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        let mut seq = 1;
        for receiver in receivers.iter().cycle() {
            if seq > size {
                break;
            }
            let Ok(block) = receiver.recv() else {
                return Err((seq, Problem::Unreadable("reading stopped".to_owned())));
            };
            for item in block {
                take(seq, item.map_err(|problem| (seq, problem))?)?;
                seq += 1;
            }
        }
        Ok(())
    })
}

fn read_block(reader: &LogReader, first: u64) -> Vec<Result<Checked, Problem>> {
    let records = reader.range(first, Some(first + BLOCK));
    records
        .map(|item| match item {
            Ok((_, bytes)) => Ok(Checked {
                hash: tree::leaf_hash(&bytes),
                seq: seq_of(&bytes),
                previous: previous_of(&bytes),
                bytes,
            }),
            Err(error) => Err(Problem::Unreadable(error.cause())),
        })
        .collect()
}
