//! Readers: see what is durable, from any thread.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use weir_schema::Timestamp;
use weir_schema::record::Hash;

use super::chunk::{Chunk, Records, stored};
use super::head::Head;
use super::store::{Store, StoreError};
use super::tree::{self, Nodes};
use super::{Shared, keys, record};

/// What [`Range`] reads first, about a chunk, and at most at a time.
const FIRST_BYTES: usize = 2 << 10;
const MOST_BYTES: usize = 64 << 10;

/// Of one record in so many the time is kept once it was looked at.
const TIMES_APART: u64 = 256;

/// A view of a log, cheap to clone. It sees a record once it is durable.
#[derive(Clone)]
pub struct LogReader {
    shared: Arc<Shared>,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is not what was written.
    #[error(
        "record {seq} of the log is damaged: {cause}; restore the log's directory from a copy, or fill a new one from the stream or an export"
    )]
    Damaged {
        /// The first record that cannot be read.
        seq: u64,
        /// What was found.
        cause: String,
    },
    /// The store cannot be read.
    #[error("cannot read the log: {cause}; check the disk, then `weir verify`")]
    Store {
        /// What happened.
        cause: String,
    },
}

impl ReadError {
    pub(super) fn seq(&self) -> Option<u64> {
        match self {
            ReadError::Damaged { seq, .. } => Some(*seq),
            ReadError::Store { .. } => None,
        }
    }

    pub(super) fn cause(self) -> String {
        match self {
            ReadError::Damaged { cause, .. } | ReadError::Store { cause } => cause,
        }
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        ReadError::Store {
            cause: error.to_string(),
        }
    }
}

impl LogReader {
    pub(super) fn new(shared: Arc<Shared>) -> LogReader {
        LogReader { shared }
    }

    /// The chunk that holds record `seq`, which must be durable.
    pub(super) fn chunk(&self, seq: u64) -> Result<Arc<Chunk>, ReadError> {
        chunk_with(&self.shared, seq)
    }

    /// The same into a chunk whose memory serves again.
    pub(super) fn chunk_into(&self, seq: u64, chunk: &mut Chunk) -> Result<(), ReadError> {
        let tail = self.shared.commits.tail();
        if tail.get(seq).is_some() {
            *chunk = (*tail).clone();
            return Ok(());
        }
        stored::read(&self.shared.store, seq, chunk)
    }

    pub(super) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The log's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The head of what is durable.
    #[must_use]
    pub fn head(&self) -> Arc<Head> {
        self.shared.commits.head()
    }

    /// The bytes of record `seq`; `None` if there is none (yet).
    ///
    /// # Errors
    /// The record was written and cannot be read.
    pub fn get(&self, seq: u64) -> Result<Option<Vec<u8>>, ReadError> {
        if seq == 0 || seq >= self.head().next_seq {
            return Ok(None);
        }
        let chunk = chunk_with(&self.shared, seq)?;
        Ok(chunk.get(seq).map(<[u8]>::to_vec))
    }

    /// The hash of record `seq`, computed from its bytes; `None` if there is none (yet).
    ///
    /// # Errors
    /// The record was written and cannot be read.
    pub fn leaf_hash(&self, seq: u64) -> Result<Option<Hash>, ReadError> {
        Ok(self.get(seq)?.map(|bytes| tree::leaf_hash(&bytes)))
    }

    /// The time of record `seq`; `None` if there is none (yet).
    ///
    /// # Errors
    /// The record was written and cannot be read.
    pub fn recorded_at(&self, seq: u64) -> Result<Option<Timestamp>, ReadError> {
        let Some(bytes) = self.get(seq)? else {
            return Ok(None);
        };
        time_in(seq, &bytes).map(Some)
    }

    /// The last record that is not after `time`, 0 if all are: times never decrease.
    ///
    /// # Errors
    /// A record was written and cannot be read.
    pub fn last_not_after(&self, time: Timestamp) -> Result<u64, ReadError> {
        let end = self.head().next_seq;
        // By powers of two, so that searches for other times, and of a longer log, begin with the same
        // records.
        let steps = (0..u64::BITS - end.leading_zeros())
            .rev()
            .map(|bit| 1 << bit)
            .take_while(|step| *step >= TIMES_APART);
        let mut last = 0;
        for step in steps {
            if last + step < end && self.time_of(last + step)? <= Some(time) {
                last += step;
            }
        }
        self.last_between(last, end.min(last + TIMES_APART), time)
    }

    /// The last record that is not after `time`: `low`, or one between it and `high`, which is after it
    /// or the end. Looked for where it is if times pass evenly, and in the middle in turn.
    fn last_between(&self, low: u64, high: u64, time: Timestamp) -> Result<u64, ReadError> {
        let (mut low, mut high) = (low, high);
        // At the end another record may stand by now.
        let after = self.time_of(high)?.filter(|at| *at > time);
        let mut times = (self.time_of(low)?, after);
        let mut evenly = true;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let guess = match times {
                (Some(first), Some(last)) if evenly => {
                    let passed = time.nanos() - first.nanos();
                    let part = i128::from(high - low) * passed / (last.nanos() - first.nanos());
                    low + u64::try_from(part).unwrap_or(0)
                }
                _ => middle,
            };
            evenly = !evenly;
            let chunk = self.chunk(guess.clamp(low + 1, high - 1))?;
            for (seq, record) in chunk.iter() {
                if seq <= low || seq >= high {
                    continue;
                }
                let at = time_in(seq, record)?;
                if at > time {
                    (high, times.1) = (seq, Some(at));
                    break;
                }
                (low, times.0) = (seq, Some(at));
            }
        }
        Ok(low)
    }

    /// As [`Self::recorded_at`]; of a record in so many it is known when it is asked for again.
    fn time_of(&self, seq: u64) -> Result<Option<Timestamp>, ReadError> {
        if !seq.is_multiple_of(TIMES_APART) {
            return self.recorded_at(seq);
        }
        let known = self.shared.times().get(&seq).copied();
        if known.is_some() {
            return Ok(known);
        }
        let time = self.recorded_at(seq)?;
        self.shared.times().extend(time.map(|time| (seq, time)));
        Ok(time)
    }

    /// The records from `from` on, up to but without `to`; without a `to` up to the end as it is
    /// now. The iterator ends after the first error.
    #[must_use]
    pub fn range(&self, from: u64, to: Option<u64>) -> Range {
        let from = from.max(1);
        Range {
            reader: self.clone(),
            end: self.head().next_seq.min(to.unwrap_or(u64::MAX)),
            records: Records::new(from),
            next: from,
            ahead: FIRST_BYTES,
        }
    }

    /// Adds the records that follow `records`, up to but without `to`, or up to the end as it is
    /// now, or until they have so many bytes. Quicker than [`Self::range`] where many are read.
    ///
    /// # Errors
    /// A record cannot be read; those before it were added.
    pub fn read(&self, to: u64, bytes: usize, records: &mut Records) -> Result<(), ReadError> {
        let to = to.min(self.head().next_seq);
        while records.end() < to && records.bytes() < bytes {
            let next = records.end();
            let tail = self.shared.commits.tail();
            if tail.get(next).is_some() {
                let rest = tail.iter().filter(|(seq, _)| *seq >= next);
                rest.for_each(|(_, record)| records.push(record));
                continue;
            }
            let read = stored::read_on(&self.shared.store, to, bytes, records);
            if records.end() > next {
                read?;
                continue;
            }
            // It stands within a chunk, and what is wrong may be only behind that.
            let chunk = stored::at(&self.shared.store, next)?;
            let rest = chunk.iter().filter(|(seq, _)| *seq >= next);
            rest.for_each(|(_, record)| records.push(record));
        }
        records.truncate(to);
        Ok(())
    }

    /// A value set by [`super::Log::append_with`] or [`super::Log::meta_put`]. It may be seen a moment
    /// before the records that came with it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn meta_get(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let value = self.shared.store.get(&keys::meta(name.as_bytes()))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Waits until record `seq` can be read; false if that is not so within `timeout`.
    #[must_use]
    pub fn wait_past(&self, seq: u64, timeout: Duration) -> bool {
        self.shared.commits.wait_past(seq, timeout)
    }

    /// The next sequence, as it changes: for followers in async code.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.commits.subscribe()
    }

    /// The root of the Merkle tree when the log had `size` records; `None` if it has fewer.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn root_at(&self, size: u64) -> Result<Option<Hash>, ReadError> {
        if size > self.head().tree_size {
            return Ok(None);
        }
        tree::root_at(self, size).map(Some)
    }

    /// The proof that record `seq` is in the tree of the first `size` records (RFC 6962, 2.1.1);
    /// `None` unless `1 <= seq <= size` and the log has `size` records.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn inclusion_proof(&self, seq: u64, size: u64) -> Result<Option<Vec<Hash>>, ReadError> {
        match seq.checked_sub(1) {
            Some(index) if size <= self.head().tree_size => {
                tree::inclusion_proof(self, index, size)
            }
            _ => Ok(None),
        }
    }

    /// The proof that the first `old` records are a prefix of the first `new` (RFC 6962, 2.1.2);
    /// `None` unless `old <= new` and the log has `new` records.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Option<Vec<Hash>>, ReadError> {
        if new > self.head().tree_size {
            return Ok(None);
        }
        tree::consistency_proof(self, old, new)
    }

    /// The bytes that the store takes on disk.
    ///
    /// # Errors
    /// The file system does not say.
    pub fn size_on_disk(&self) -> Result<u64, ReadError> {
        // The newest records lie in the journal alone, which has its length from the beginning.
        let mut journal = fs::read_dir(self.shared.dir.join("journal")).map_err(StoreError::Io)?;
        let journal = journal.try_fold(0, |sum, file| Ok(sum + file?.metadata()?.len()));
        Ok(self.shared.store.size_on_disk()? + journal.map_err(StoreError::Io)?)
    }
}

impl Nodes for LogReader {
    type Error = ReadError;

    fn hashes(&self, level: u8, first: u64, count: u64) -> Result<Vec<Hash>, ReadError> {
        // Leaf `index` is record `index + 1`.
        let begins_at = (first << level) + 1;
        if level == 0 {
            let mut records = Records::new(begins_at);
            self.read(begins_at + count, usize::MAX, &mut records)?;
            return Ok(records
                .iter()
                .map(|(_, bytes)| tree::leaf_hash(bytes))
                .collect());
        }
        let rows = self.shared.store.range(
            &keys::node(level, first),
            &keys::node(level, first + count),
            usize::MAX,
        )?;
        let hashes: Vec<Hash> = rows
            .iter()
            .filter_map(|(_, hash)| Hash::try_from(&hash[..]).ok())
            .collect();
        if hashes.len() as u64 != count {
            return Err(ReadError::Damaged {
                seq: begins_at,
                cause: "hashes of the Merkle tree are missing".to_owned(),
            });
        }
        Ok(hashes)
    }
}

/// Iterates over records; see [`LogReader::range`].
pub struct Range {
    reader: LogReader,
    end: u64,
    /// Read ahead, some of them given out.
    records: Records,
    next: u64,
    /// So many bytes are read next.
    ahead: usize,
}

impl Iterator for Range {
    type Item = Result<(u64, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let seq = self.next;
        if self.records.get(seq).is_none() {
            self.records.begin_at(seq);
            let read = self.reader.read(self.end, self.ahead, &mut self.records);
            self.ahead = (2 * self.ahead).min(MOST_BYTES);
            // What was read before the error comes first.
            if let Err(error) = read
                && self.records.is_empty()
            {
                self.next = self.end;
                return Some(Err(error));
            }
        }
        self.next += 1;
        let bytes = self.records.get(seq).map(<[u8]>::to_vec);
        bytes.map(|bytes| Ok((seq, bytes)))
    }
}

/// The chunk that holds record `seq`, which must be durable.
pub(super) fn chunk_with(shared: &Shared, seq: u64) -> Result<Arc<Chunk>, ReadError> {
    let tail = shared.commits.tail();
    if tail.get(seq).is_some() {
        return Ok(tail);
    }
    stored::at(&shared.store, seq).map(Arc::new)
}

/// The time of a record.
fn time_in(seq: u64, record: &[u8]) -> Result<Timestamp, ReadError> {
    record::recorded_at_of(record).ok_or_else(|| ReadError::Damaged {
        seq,
        cause: "it has no time".to_owned(),
    })
}
