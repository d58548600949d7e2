//! Chunks: up to five records in one compressed row.
//!
//! A row of its own for each record makes the store several times larger and half as fast; a
//! chunk lets neighbouring records, which repeat each other, compress together. The last chunk is
//! *open*: each append writes it again with the new records until it is full, so no short row
//! stays behind.
//!
//! [`row`] is the form of such a row, [`identifiers`] what is left out of its text, [`dictionary`]
//! what the text is compressed with, [`stored`] finds the chunk of a record.

pub(super) mod dictionary;
mod identifiers;
mod row;
pub(super) mod stored;

pub use identifiers::text_of as dictionary_sample;
pub(super) use row::{ChunkError, Encoder};

/// Records in a full chunk: the last of one is a multiple of it. More make appending and reading all
/// quicker and the store smaller, fewer reading one here and one there.
pub(super) const CHUNK_RECORDS: usize = 5;

/// A chunk is full at this length too, so that writing the open chunk again stays cheap. A
/// longer record has a chunk of its own.
const CHUNK_BYTES: usize = 32 * 1024;

pub use weir_schema::record::MAX_RECORD_BYTES;

/// Records with consecutive sequences, one behind the other in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// The sequence of the first.
    pub(super) first: u64,
    /// Where each record ends in `joined`.
    ends: Vec<usize>,
    joined: Vec<u8>,
}

/// The records of one row.
pub(super) type Chunk = Records;

impl Records {
    /// No records yet; the next will be `first`.
    #[must_use]
    pub fn new(first: u64) -> Records {
        Records {
            first,
            ends: Vec::new(),
            joined: Vec::new(),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes that they have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.joined.len()
    }

    /// The sequence of the first record.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The sequence after the last record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.ends.len() as u64
    }

    /// The records with their sequences.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        // INVARIANT: `ends` never decreases and the last of them is the length of `joined`.
        let records = starts
            .zip(&self.ends)
            .map(|(start, end)| &self.joined[start..*end]);
        (self.first..).zip(records)
    }

    /// The record `seq`, if it is here.
    #[must_use]
    pub fn get(&self, seq: u64) -> Option<&[u8]> {
        let place = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        let end = *self.ends.get(place)?;
        let start = match place.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.joined.get(start..end)
    }

    /// Whether a chunk of these has room for `record`.
    pub(super) fn has_room_for(&self, record: &[u8]) -> bool {
        self.is_empty() || !self.is_full() && self.joined.len() + record.len() < CHUNK_BYTES
    }

    /// Whether no further record belongs into a chunk of these.
    pub(super) fn is_full(&self) -> bool {
        let ends_group = || (self.end() - 1).is_multiple_of(CHUNK_RECORDS as u64);
        !self.is_empty() && (ends_group() || self.joined.len() >= CHUNK_BYTES)
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &[u8]) {
        self.joined.extend_from_slice(record);
        self.ends.push(self.joined.len());
    }

    /// Lets all records go; the next will be `first`.
    pub fn begin_at(&mut self, first: u64) {
        self.first = first;
        self.ends.clear();
        self.joined.clear();
    }

    /// Lets records beyond `end` go.
    pub(super) fn truncate(&mut self, end: u64) {
        let count = usize::try_from(end.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.ends.truncate(count);
        self.joined
            .truncate(self.ends.last().copied().unwrap_or_default());
    }
}
