//! The one writer: checks records, lays them out as rows, and commits them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use weir_schema::record::{Hash, encode};
use weir_schema::{Position, Received, Timestamp};

use super::chunk::{Chunk, ChunkError, Encoder, MAX_RECORD_BYTES};
use super::commit::Visible;
use super::head::{Head, StreamPosition, Tip};
use super::journal::{Appended, Entry, Journal};
use super::reader::LogReader;
use super::store::{Changes, MAX_VALUE_BYTES, Store, StoreError};
use super::{Shared, keys, record, tree};

/// A record as it is stored and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Dense, from 1.
    pub seq: u64,
    /// Canonical JSON; contains no line feed.
    pub bytes: Vec<u8>,
    /// `SHA-256(0x00 || bytes)`: the leaf of the Merkle tree and the link that the next record
    /// carries.
    pub hash: Hash,
    /// The hash of the record before, as this one states it; `None` for what is no record.
    previous: Option<Hash>,
}

impl EncodedRecord {
    /// The record with its hash computed.
    #[must_use]
    pub fn new(seq: u64, bytes: Vec<u8>) -> EncodedRecord {
        let form = !bytes.contains(&b'\n');
        EncodedRecord {
            seq,
            hash: tree::leaf_hash(&bytes),
            previous: form.then(|| record::link_of(&bytes).1).flatten(),
            bytes,
        }
    }

    /// An event as the record `seq`, after the one whose hash is `previous`.
    #[must_use]
    pub fn of(
        seq: u64,
        recorded_at: Timestamp,
        event: &Received,
        position: &Position,
        previous: Hash,
    ) -> EncodedRecord {
        let bytes = encode(seq, recorded_at, event, position, &previous);
        EncodedRecord {
            seq,
            hash: tree::leaf_hash(&bytes),
            previous: Some(previous),
            bytes,
        }
    }
}

/// The one writer of a log.
pub struct Log {
    shared: Arc<Shared>,
    writer: Writer,
    read_only: bool,
}

/// What the writer knows of the end of the log, ahead of what is durable.
pub(super) struct Writer {
    pub(super) tip: Tip,
    /// The last chunk. While it has room it is *open*: kept with the head, not in rows of its own.
    pub(super) tail: Chunk,
    pub(super) encoder: Encoder,
    /// The row that has the head now; another than [`keys::HEAD`] in a log of format 1.
    pub(super) head_key: &'static [u8],
    /// The head after the last batch: the journal has it, and the store is given it before the journal
    /// forgets any. To change a row of the store takes long, and the next batch changes this one again.
    pub(super) held: Option<HeldHead>,
}

/// A head that the store has not been given yet.
pub(super) struct HeldHead {
    /// The batch that it is of.
    number: u64,
    row: Vec<u8>,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The log was opened for reading.
    #[error("the log in `{}` was opened for reading only", dir.display())]
    ReadOnly {
        /// The log's directory.
        dir: PathBuf,
    },
    /// A record that is not the next one: the caller works from another state than the log.
    #[error("record {seq} does not follow the log, which ends before {next_seq}: {problem}")]
    NotNext {
        /// The record's sequence.
        seq: u64,
        /// The sequence that the log expects.
        next_seq: u64,
        /// What does not fit.
        problem: &'static str,
    },
    /// A record or value that no row can hold.
    #[error(
        "{what} has {bytes} bytes, at most {limit} fit into the log, and to let it become so long is a fault of Weir; nothing acknowledged is lost: report it, with what was sent last"
    )]
    TooLarge {
        /// Which one.
        what: String,
        /// Its length.
        bytes: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The file system is full. The log is whole and takes no more until it is opened again.
    #[error("no space left for the log in `{}`: nothing acknowledged is lost; free some space and start again", dir.display())]
    NoSpace {
        /// The log's directory.
        dir: PathBuf,
    },
    /// Writing failed. What was acknowledged is safe; the log takes no more until it is opened
    /// again, for after a failed sync nothing may be assumed of what was written.
    #[error("cannot write the log in `{}`: {source}; nothing acknowledged is lost: check the disk and start again", dir.display())]
    Failed {
        /// The log's directory.
        dir: PathBuf,
        /// What happened.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A thread that writes it panicked: what was on its way through that is not there.
    #[error("the log in `{}` takes no more, for the thread `{thread}` panicked, which is a fault of Weir; nothing acknowledged is lost: start again, and report what is said above", dir.display())]
    Panicked {
        /// The log's directory.
        dir: PathBuf,
        /// The thread.
        thread: &'static str,
    },
}

/// A batch that is written and not yet known to be durable.
#[must_use = "a batch may only be acknowledged once `wait` has returned"]
pub struct Pending {
    shared: Arc<Shared>,
    number: u64,
}

impl Pending {
    /// Returns once the batch and all before it survive a power cut. On any thread: the thread
    /// that waits does the sync, and one sync serves all that wait.
    ///
    /// # Errors
    /// The log has failed: the batch may or may not be there when it is opened again.
    pub fn wait(self) -> Result<(), AppendError> {
        let waited = self.shared.wait(self.number);
        waited.map_err(|error| failed(&self.shared, &error))
    }
}

impl Log {
    pub(super) fn new(shared: Arc<Shared>, writer: Writer, read_only: bool) -> Log {
        Log {
            shared,
            writer,
            read_only,
        }
    }

    /// The head of what was submitted, durable or not: what the next record must follow.
    #[must_use]
    pub fn head(&self) -> Head {
        self.writer.tip.head()
    }

    /// A reader of what is durable.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader::new(self.shared.clone())
    }

    /// Appends `records` and moves the stream position, in one atomic batch. Returns when all of
    /// it is durable; only then may the caller acknowledge. A `position` of `None` leaves the
    /// last one in place.
    ///
    /// # Errors
    /// Nothing was appended; see [`AppendError`] for whether the log goes on.
    pub fn append(
        &mut self,
        records: &[EncodedRecord],
        position: Option<StreamPosition>,
    ) -> Result<(), AppendError> {
        self.append_with(records, position, &[])
    }

    /// As [`Self::append`], with values for [`LogReader::meta_get`] in the same batch.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_with(
        &mut self,
        records: &[EncodedRecord],
        position: Option<StreamPosition>,
        extra: &[(&str, &[u8])],
    ) -> Result<(), AppendError> {
        self.submit(records, position, extra)?.wait()
    }

    /// Sets one value outside of any batch of records; durable when it returns.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn meta_put(&mut self, name: &str, value: &[u8]) -> Result<(), AppendError> {
        self.append_with(&[], None, &[(name, value)])
    }

    /// Writes a batch, so that the caller can prepare the next one while this one is made durable.
    /// Batches become durable in the order of submission. Waits for those before it where the journal
    /// begins a file anew, a few times a second under load.
    ///
    /// # Errors
    /// As [`Self::append`]; also where a batch before it could not be made durable.
    pub fn submit(
        &mut self,
        records: &[EncodedRecord],
        position: Option<StreamPosition>,
        extra: &[(&str, &[u8])],
    ) -> Result<Pending, AppendError> {
        self.ready()?;
        self.check(records)?;
        let mut changes = Changes::default();
        for (name, value) in extra {
            if value.len() > MAX_VALUE_BYTES {
                return Err(AppendError::TooLarge {
                    what: format!("value `{name}`"),
                    bytes: value.len(),
                    limit: MAX_VALUE_BYTES,
                });
            }
            changes.put(&keys::meta(name.as_bytes()), value.to_vec());
        }
        self.write(records, position, changes)
    }

    /// Keeps a row of the log's own beside the records, in place of `outdated` if there is one;
    /// durable when it returns.
    pub(super) fn keep(
        &mut self,
        key: Vec<u8>,
        value: Vec<u8>,
        outdated: Option<Vec<u8>>,
    ) -> Result<(), AppendError> {
        self.ready()?;
        let mut changes = Changes::default();
        // In this order: whoever looks meanwhile finds one of them.
        changes.put(&key, value);
        if let Some(outdated) = outdated {
            changes.remove(&outdated);
        }
        self.write(&[], None, changes)?.wait()
    }

    fn ready(&self) -> Result<(), AppendError> {
        if self.read_only {
            return Err(AppendError::ReadOnly {
                dir: self.shared.dir.clone(),
            });
        }
        match self.shared.commits.failure() {
            Some(error) => Err(failed(&self.shared, &error)),
            None => Ok(()),
        }
    }

    /// Writes a batch of `changes` and of what `records` and `position` change. An error stops the
    /// log: the writer may be ahead of what is written.
    fn write(
        &mut self,
        records: &[EncodedRecord],
        position: Option<StreamPosition>,
        changes: Changes,
    ) -> Result<Pending, AppendError> {
        match self.try_write(records, position, changes) {
            Ok(rows) => {
                let (number, visible) = (self.writer.tip.batch, self.writer.visible());
                self.shared.commits.written(number, visible, rows);
                let shared = self.shared.clone();
                Ok(Pending { shared, number })
            }
            Err(error) => {
                let error = self.shared.commits.fail(error);
                Err(failed(&self.shared, &error))
            }
        }
    }

    /// Returns the changes that the store gets once the journal is durable.
    fn try_write(
        &mut self,
        records: &[EncodedRecord],
        position: Option<StreamPosition>,
        mut changes: Changes,
    ) -> Result<Changes, StoreError> {
        let Shared { store, journal, .. } = &*self.shared;
        let before = self.writer.tip.batch;
        let (size, previous) = (self.writer.tip.frontier.size(), self.writer.tip.previous);
        self.writer
            .lay_out(records, position, &mut changes)
            .map_err(io::Error::other)?;
        let number = self.writer.tip.batch;
        let entry = Entry {
            number,
            size,
            previous,
            changes,
        };
        if !journal.has_room_for(&entry) {
            // The journal is about to forget batches, which the store must have.
            self.shared.wait(before).map_err(io::Error::other)?;
            self.writer.store_held(store, journal)?;
        }
        let appended = journal.append(&entry)?;
        let mut changes = entry.changes;
        match appended {
            Appended::Here => {
                let head = changes.take_last(keys::HEAD);
                self.writer.held = head.map(|row| HeldHead { number, row });
                Ok(changes)
            }
            Appended::TooLong => {
                // The store's own sync makes it durable.
                store.apply_whole(changes)?;
                journal.applied(number);
                store.sync()?;
                journal.stored(number);
                Ok(Changes::default())
            }
            Appended::Over => Err(io::Error::other("the log takes no more").into()),
        }
    }

    /// Checks that `records` follow the log, each the one before it.
    fn check(&self, records: &[EncodedRecord]) -> Result<(), AppendError> {
        let mut previous = self.writer.tip.previous;
        for (next_seq, record) in (self.writer.tip.next_seq()..).zip(records) {
            let refuse = |problem| {
                Err(AppendError::NotNext {
                    seq: record.seq,
                    next_seq,
                    problem,
                })
            };
            if record.bytes.len() > MAX_RECORD_BYTES {
                return Err(AppendError::TooLarge {
                    what: format!("record {}", record.seq),
                    bytes: record.bytes.len(),
                    limit: MAX_RECORD_BYTES,
                });
            }
            if record.seq != next_seq {
                return refuse("its sequence is not the next");
            }
            match record.previous {
                None => return refuse("it is not a record in canonical JSON"),
                Some(stated) if stated != previous => {
                    return refuse("its `previous` is not the hash of the record before");
                }
                Some(_) => {}
            }
            debug_assert_eq!(
                record.hash,
                tree::leaf_hash(&record.bytes),
                "hash of record {}",
                record.seq
            );
            previous = record.hash;
        }
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let Shared { store, journal, .. } = &*self.shared;
        // The journal has it in any case.
        if self.shared.wait(self.writer.tip.batch).is_ok()
            && self.shared.commits.failure().is_none()
            && let Err(error) = self.writer.store_held(store, journal)
        {
            tracing::warn!(%error, "cannot write the log's head to its store; the next start takes longer");
        }
    }
}

impl Writer {
    /// Gives the store the head that was held back from it. It must have the rows of its batch.
    fn store_held(&mut self, store: &Store, journal: &Journal) -> Result<(), StoreError> {
        if let Some(HeldHead { number, row }) = self.held.take() {
            store.put(keys::HEAD, row)?;
            journal.applied(number);
        }
        Ok(())
    }

    /// What readers see once all that was laid out is durable.
    pub(super) fn visible(&self) -> Visible {
        Visible {
            head: Arc::new(self.tip.head()),
            tail: Arc::new(self.tail.clone()),
        }
    }

    /// Moves the tip past `records` and puts every row that changes into `changes`.
    fn lay_out(
        &mut self,
        records: &[EncodedRecord],
        position: Option<StreamPosition>,
        changes: &mut Changes,
    ) -> Result<(), ChunkError> {
        let mut completed = Vec::new();
        for record in records {
            if !self.tail.has_room_for(&record.bytes) {
                self.close_tail(changes)?;
            }
            self.tail.push(&record.bytes);
            self.tip.frontier.push(record.hash, &mut completed);
            self.tip.previous = record.hash;
        }
        if self.tail.is_full() {
            self.close_tail(changes)?;
        }
        if let Some(last) = records.last() {
            self.tip.last_recorded_at =
                record::recorded_at_of(&last.bytes).or(self.tip.last_recorded_at);
        }
        for tree::Node { level, index, hash } in completed {
            changes.put(&keys::node(level, index), hash.to_vec());
        }
        if position.is_some() {
            self.tip.position = position;
        }
        self.tip.batch += 1;
        // INVARIANT: a chunk that is not full fits into one row, and with the head into a value.
        let open = match self.tail.is_empty() {
            true => None,
            false => self.tail.encode(&mut self.encoder)?.into_iter().next(),
        };
        let open = open.as_deref().map(|row| (self.tail.first, row));
        changes.put(keys::HEAD, self.tip.encode(open));
        if self.head_key != keys::HEAD {
            changes.remove(self.head_key);
            self.head_key = keys::HEAD;
        }
        Ok(())
    }

    /// Gives the last chunk rows of its own, and begins the next one.
    fn close_tail(&mut self, changes: &mut Changes) -> Result<(), ChunkError> {
        let next = Chunk::new(self.tail.end());
        let chunk = std::mem::replace(&mut self.tail, next);
        let mut rows = chunk.encode(&mut self.encoder)?.into_iter();
        if let Some(first) = rows.next() {
            changes.put(&keys::chunk(chunk.first), first);
        }
        for (part, row) in (1..).zip(rows) {
            changes.put(&keys::chunk_part(chunk.first, part), row);
        }
        Ok(())
    }
}

pub(super) fn failed(shared: &Shared, error: &Arc<StoreError>) -> AppendError {
    let dir = shared.dir.clone();
    match &**error {
        StoreError::Io(io)
            if matches!(
                io.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) =>
        {
            AppendError::NoSpace { dir }
        }
        _ => AppendError::Failed {
            dir,
            source: error.clone(),
        },
    }
}
