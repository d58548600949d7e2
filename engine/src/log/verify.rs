//! Full verification: every record, the chain, the tree, the head and the checkpoints.
//!
//! Threads read, decompress and hash blocks of records, and check what ties the records of a block
//! together; this one takes the blocks in order and checks what ties them to each other, to the
//! head and to checkpoints. A block in which anything is wrong is looked at record by record. It
//! finds an edited, reordered, inserted or deleted record, and, against a checkpoint, a cut tail
//! and a past that was written anew.

use std::iter::{Copied, Peekable};
use std::slice;
use std::sync::mpsc;
use std::thread;

use weir_schema::record::Hash;

use super::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use super::chunk::Records;
use super::head::Head;
use super::key::VerifierKey;
use super::reader::LogReader;
use super::record::link_of;
use super::tree::{self, Frontier, Node, Nodes, TILE_HEIGHT, TILE_WIDTH};

/// Records that one thread reads at a time: whole tiles of the tree.
const BLOCK: u64 = 8 * TILE_WIDTH;

/// A block of long records ends earlier.
const BLOCK_BYTES: usize = 8 << 20;

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
    /// The first checkpoint that none of the keys has signed, by its place among those given: it says
    /// nothing of the records.
    pub unsigned: Option<(usize, CheckpointError)>,
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
    /// The caller's own check failed.
    #[error("{0}")]
    Replay(String),
}

/// Verifies the log as it is now. `checkpoints` are those kept elsewhere, together with those
/// that the log keeps itself; each must be signed by one of `keys`, if there are any: without, nobody
/// knows who signed them, and all are compared. `on_record` sees
/// every good record in order, to replay it, and may object. `progress` is told the number of
/// records done, now and then.
pub fn verify(
    reader: &LogReader,
    checkpoints: &[SignedCheckpoint],
    keys: &[VerifierKey],
    threads: usize,
    mut on_record: impl FnMut(u64, &[u8]) -> Result<(), String>,
    mut progress: impl FnMut(u64),
) -> VerifyReport {
    let head = reader.head();
    let mut unsigned = None;
    let mut trusted: Vec<&SignedCheckpoint> = Vec::with_capacity(checkpoints.len());
    for (place, signed) in checkpoints.iter().enumerate() {
        match signed.verify_by_any(keys) {
            Err(error) if !keys.is_empty() => {
                unsigned.get_or_insert((place, error));
            }
            _ => trusted.push(signed),
        }
    }
    trusted.sort_by_key(|signed| signed.checkpoint.size);
    let mut walk = Walk {
        reader,
        check: Check::default(),
        ahead: trusted.iter().copied().peekable(),
        last_good: 0,
        fitting: 0,
        checked: 0,
    };
    let outcome = in_order(reader, head.tree_size, threads.max(1), |block| {
        if walk.is_well(block, &mut on_record)? {
            progress(walk.checked);
            return Ok(());
        }
        walk.look_closely(block, &mut on_record)?;
        progress(walk.checked);
        match block.problem.take() {
            Some(problem) => Err((block.records.end(), problem)),
            None => Ok(()),
        }
    });
    let outcome =
        outcome
            .and_then(|()| walk.check.end(&head))
            .and_then(|()| match walk.ahead.peek() {
                Some(signed) => Err((
                    head.tree_size + 1,
                    Problem::Cut {
                        size: signed.checkpoint.size,
                    },
                )),
                None => Ok(()),
            });
    VerifyReport {
        records: walk.checked,
        checkpoints: walk.fitting,
        root: walk.check.frontier.root(),
        first_bad: outcome.err(),
        unsigned,
    }
}

/// A log on the way from its first record to its last.
struct Walk<'a> {
    reader: &'a LogReader,
    check: Check,
    /// The checkpoints that are not reached yet, by size.
    ahead: Peekable<Copied<slice::Iter<'a, &'a SignedCheckpoint>>>,
    /// The size of the last checkpoint that fits.
    last_good: u64,
    /// How many fit.
    fitting: usize,
    /// The last record checked.
    checked: u64,
}

impl Walk<'_> {
    /// Goes past a block in which nothing is wrong, and the checkpoints in it; `false` if it must be
    /// looked at closely, and then nothing was done.
    fn is_well(
        &mut self,
        block: &Block,
        on_record: &mut impl FnMut(u64, &[u8]) -> Result<(), String>,
    ) -> Result<bool, (u64, Problem)> {
        let is_here = |signed: &&SignedCheckpoint| signed.checkpoint.size < block.records.end();
        let fits = |signed: &SignedCheckpoint| {
            let Checkpoint { size, root, .. } = &signed.checkpoint;
            self.check.root_within(block, *size) == *root
        };
        let Some(after) = self.check.after(self.reader, block) else {
            return Ok(false);
        };
        if !self.ahead.clone().take_while(is_here).all(fits) {
            return Ok(false);
        }
        for (seq, bytes) in block.records.iter() {
            self.checked = seq;
            on_record(seq, bytes).map_err(|problem| (seq, Problem::Replay(problem)))?;
        }
        self.check = after;
        while let Some(signed) = self.ahead.next_if(is_here) {
            self.last_good = signed.checkpoint.size;
            self.fitting += 1;
        }
        Ok(true)
    }

    /// Goes through a block record by record, with hashes made anew by the code that made them when the
    /// records were written.
    fn look_closely(
        &mut self,
        block: &Block,
        on_record: &mut impl FnMut(u64, &[u8]) -> Result<(), String>,
    ) -> Result<(), (u64, Problem)> {
        for (seq, bytes) in block.records.iter() {
            self.checked = seq;
            self.check.next(self.reader, seq, bytes)?;
            if self.check.in_doubt() {
                continue;
            }
            on_record(seq, bytes).map_err(|problem| (seq, Problem::Replay(problem)))?;
            let is_here = |signed: &&SignedCheckpoint| signed.checkpoint.size <= seq;
            while let Some(signed) = self.ahead.next_if(is_here) {
                let Checkpoint { size, root, .. } = signed.checkpoint;
                if root == self.check.root_at(size) {
                    self.last_good = size;
                    self.fitting += 1;
                } else {
                    let first = (self.last_good + 1).min(size);
                    self.check.suspect((first, Problem::Rewritten { size }));
                }
            }
        }
        Ok(())
    }
}

/// What ties the records together. A break between two of them is blamed on one of the two only
/// when a third has told which.
#[derive(Clone, Default)]
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
    /// How it stands after a block in which nothing is wrong, or that could not be told of.
    fn after(&self, reader: &LogReader, block: &Block) -> Option<Check> {
        let follows = block.first_previous == Some(self.previous);
        if !block.is_good || !follows || self.in_doubt() {
            return None;
        }
        let mut after = self.clone();
        for tile in &block.tiles {
            after.frontier.push_tile(*tile, &mut after.completed);
        }
        // Those of the lowest level were compared with the block.
        let above = |node: &Node| node.level > TILE_HEIGHT;
        for Node { level, index, hash } in after.completed.drain(..).filter(above) {
            let stored = reader.hashes(level, index, 1).ok()?;
            if stored.first() != Some(&hash) {
                return None;
            }
        }
        after.previous = *block.hashes.last()?;
        Some(after)
    }

    /// The root of the first `size` records, where the last of them is in the block after this.
    fn root_within(&self, block: &Block, size: u64) -> Hash {
        if size == 0 {
            return tree::empty_root();
        }
        let mut frontier = self.frontier.clone();
        let mut hashes = &block.hashes[..];
        let mut ignored = Vec::new();
        for tile in &block.tiles {
            if size < frontier.size() + TILE_WIDTH {
                break;
            }
            frontier.push_tile(*tile, &mut ignored);
            hashes = hashes.get(TILE_WIDTH as usize..).unwrap_or_default();
        }
        for hash in hashes {
            if frontier.size() < size {
                frontier.push(*hash, &mut ignored);
            }
        }
        frontier.root()
    }

    fn next(&mut self, reader: &LogReader, seq: u64, bytes: &[u8]) -> Result<(), (u64, Problem)> {
        let (found, previous) = link_of(bytes);
        if found != Some(seq) {
            return Err((seq, Problem::Sequence { found }));
        }
        let linked = previous == Some(self.previous);
        self.settle(seq, linked)?;
        if !linked {
            self.unchained = Some(seq);
        }
        self.previous = tree::leaf_hash(bytes);
        self.frontier.push(self.previous, &mut self.completed);
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

/// Records read and hashed, and what can be told of them by themselves.
struct Block {
    records: Records,
    hashes: Vec<Hash>,
    /// The hash that the first record states of the one before.
    first_previous: Option<Hash>,
    /// The roots of the tiles that they fill.
    tiles: Vec<Hash>,
    /// They are all there and fill whole tiles; each but the first names the hash of the one
    /// before, and the tiles are as they are stored.
    is_good: bool,
    /// Why the record after the last could not be read.
    problem: Option<Problem>,
}

/// A thread that reads.
struct Reader {
    blocks: mpsc::Receiver<Block>,
    /// Where the memory of a block goes back to, to be read into again: fresh memory is what the
    /// kernel has to clear first.
    done: mpsc::Sender<Records>,
}

/// Reads and hashes records 1 to `size` on several threads and hands them to `take` in order.
fn in_order(
    reader: &LogReader,
    size: u64,
    threads: usize,
    mut take: impl FnMut(&mut Block) -> Result<(), (u64, Problem)>,
) -> Result<(), (u64, Problem)> {
    thread::scope(|scope| {
        let readers: Vec<Reader> = (0..threads)
            .map(|turn| {
                let (sender, blocks) = mpsc::sync_channel(BLOCKS_AHEAD);
                let (done, taken) = mpsc::channel::<Records>();
                let firsts = (1..=size).step_by(BLOCK as usize);
                let mine = firsts.skip(turn).step_by(threads);
                scope.spawn(move || read_all(reader, size, mine, &sender, &taken));
                Reader { blocks, done }
            })
            .collect();
        let mut next = 1;
        while next <= size {
            let turn = (next - 1) / BLOCK % threads as u64;
            let received = readers
                .get(turn as usize)
                .and_then(|thread| Some((thread, thread.blocks.recv().ok()?)));
            let Some((thread, mut block)) = received else {
                return Err((next, Problem::Unreadable("reading stopped".to_owned())));
            };
            next = block.records.end();
            take(&mut block)?;
            // One that has read all it had needs none back.
            let _ = thread.done.send(block.records);
        }
        Ok(())
    })
}

/// Reads and hashes the records of the blocks that begin with these, until one is bad or no more is
/// wanted.
fn read_all(
    reader: &LogReader,
    size: u64,
    firsts: impl Iterator<Item = u64>,
    blocks: &mpsc::SyncSender<Block>,
    taken: &mpsc::Receiver<Records>,
) {
    for first in firsts {
        let (mut next, end) = (first, (first + BLOCK).min(size + 1));
        while next < end {
            let mut records = taken.try_recv().unwrap_or_default();
            records.begin_at(next);
            let block = read_block(reader, records, end);
            next = block.records.end();
            let is_last = block.problem.is_some();
            // The receiver goes when a bad record was found.
            if blocks.send(block).is_err() || is_last {
                return;
            }
        }
    }
}

/// Reads the records from where `records` begins, which are none yet, up to `end`.
fn read_block(reader: &LogReader, mut records: Records, end: u64) -> Block {
    let first = records.end();
    let read = reader.read(end, BLOCK_BYTES, &mut records);
    let hashes = tree::leaf_hashes(records.iter().map(|(_, bytes)| bytes));
    let mut first_previous = None;
    let mut is_good = true;
    let mut before: Option<&Hash> = None;
    for ((seq, bytes), hash) in records.iter().zip(&hashes) {
        let (found, previous) = link_of(bytes);
        match before.replace(hash) {
            Some(before) => is_good &= previous.as_ref() == Some(before),
            None => first_previous = previous,
        }
        is_good &= found == Some(seq);
    }
    let (whole, rest) = hashes.as_chunks::<{ TILE_WIDTH as usize }>();
    let tiles: Vec<Hash> = whole
        .iter()
        .map(|tile| tree::full_root(tile.to_vec()))
        .collect();
    let is_whole = (first - 1).is_multiple_of(TILE_WIDTH) && rest.is_empty();
    is_good &= is_whole && !tiles.is_empty();
    let stored = reader.hashes(TILE_HEIGHT, (first - 1) >> TILE_HEIGHT, tiles.len() as u64);
    is_good &= stored.is_ok_and(|stored| stored == tiles);
    Block {
        records,
        hashes,
        first_previous,
        tiles,
        is_good,
        problem: read.err().map(|error| Problem::Unreadable(error.cause())),
    }
}
