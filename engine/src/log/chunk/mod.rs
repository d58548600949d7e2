//! Chunks: up to 16 records in one compressed row.
//!
//! A row of its own for each record makes the store several times larger and half as fast; a
//! chunk lets neighbouring records, which repeat each other, compress together. The last chunk is
//! *open*: each append writes it again with the new records until it is full, so no short row
//! stays behind.
//!
//! A row is a header and the records, one behind the other, compressed with zstd. Where that is
//! larger than one value may be, the rest follows in continuation rows.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version of this form: 1 |
//! | 4 | dictionary |
//! | 1 | number of records |
//! | 4 | length of the joined records, big-endian |
//! | 2 | number of continuation rows, big-endian |
//! | 2 each | lengths of all records but the last, big-endian |
//! | | the compressed records |

use std::cell::RefCell;
use std::io::Cursor;

use super::dictionary::{self, Dictionary, DictionaryId};
use super::store::MAX_VALUE_BYTES;

/// Records in a full chunk.
pub(super) const CHUNK_RECORDS: usize = 16;

/// A chunk is full at this length too, so that writing the open chunk again stays cheap. A
/// longer record has a chunk of its own.
const CHUNK_BYTES: usize = 32 * 1024;

pub use weir_schema::record::MAX_RECORD_BYTES;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 12;

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
        self.is_empty()
            || self.ends.len() < CHUNK_RECORDS && self.joined.len() + record.len() < CHUNK_BYTES
    }

    /// Whether no further record belongs into a chunk of these.
    pub(super) fn is_full(&self) -> bool {
        self.ends.len() >= CHUNK_RECORDS || self.joined.len() >= CHUNK_BYTES
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

    /// The rows to store, the first with the header.
    pub(super) fn encode(&self, encoder: &mut Encoder) -> Result<Vec<Vec<u8>>, ChunkError> {
        let size = |_| ChunkError::TooLarge;
        let dictionary = encoder.dictionary;
        let packed = encoder.compress(&self.joined)?;
        let lengths = 2 * self.ends.len().saturating_sub(1);
        let room = MAX_VALUE_BYTES - HEADER_BYTES - lengths;
        let mut first = Vec::with_capacity(HEADER_BYTES + lengths + packed.len().min(room));
        first.push(VERSION);
        first.extend_from_slice(&dictionary);
        first.push(u8::try_from(self.ends.len()).map_err(size)?);
        first.extend_from_slice(
            &u32::try_from(self.joined.len())
                .map_err(size)?
                .to_be_bytes(),
        );
        let parts = packed.len().saturating_sub(room).div_ceil(MAX_VALUE_BYTES);
        first.extend_from_slice(&u16::try_from(parts).map_err(size)?.to_be_bytes());
        for (_, record) in self.iter().take(lengths / 2) {
            first.extend_from_slice(&u16::try_from(record.len()).map_err(size)?.to_be_bytes());
        }
        let (head, tail) = packed.split_at(packed.len().min(room));
        first.extend_from_slice(head);
        let mut rows = vec![first];
        rows.extend(tail.chunks(MAX_VALUE_BYTES).map(<[u8]>::to_vec));
        Ok(rows)
    }

    /// Reads the row of the chunk that begins at `first`; `continuation` gives row 1, 2, ... of
    /// those that follow it.
    pub(super) fn decode<E: From<ChunkError>>(
        first: u64,
        row: &[u8],
        continuation: impl FnMut(u16) -> Result<Vec<u8>, E>,
    ) -> Result<Chunk, E> {
        let mut chunk = Chunk::new(first);
        chunk.decode_more(row, continuation)?;
        Ok(chunk)
    }

    /// Reads the row of the chunk that begins after these records, and adds its records.
    pub(super) fn decode_more<E: From<ChunkError>>(
        &mut self,
        row: &[u8],
        mut continuation: impl FnMut(u16) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        let header = Header::parse(row)?;
        let damaged = |cause| E::from(ChunkError::Damaged(cause));
        let before_last = usize::from(header.count)
            .checked_sub(1)
            .ok_or(damaged("it has no records"))?;
        let rest = row.get(HEADER_BYTES..).unwrap_or_default();
        let (lengths, packed) = rest
            .split_at_checked(2 * before_last)
            .ok_or(damaged("shorter than its header"))?;
        let start = self.joined.len();
        let decompressed = if header.parts == 0 {
            decompress(&header, packed, &mut self.joined)
        } else {
            let mut whole = packed.to_vec();
            for part in 1..=header.parts {
                whole.extend(continuation(part)?);
            }
            decompress(&header, &whole, &mut self.joined)
        };
        let (lengths, _) = lengths.as_chunks::<2>();
        let sum: usize = lengths
            .iter()
            .map(|length| usize::from(u16::from_be_bytes(*length)))
            .sum();
        if decompressed.is_err() || start + sum > self.joined.len() {
            self.joined.truncate(start);
            decompressed?;
            return Err(damaged("the lengths of its records are wrong"));
        }
        let mut end = start;
        for length in lengths {
            end += usize::from(u16::from_be_bytes(*length));
            self.ends.push(end);
        }
        self.ends.push(self.joined.len());
        Ok(())
    }
}

/// Why a chunk cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChunkError {
    #[error("made by a newer version of weir (row version {0})")]
    Version(u8),
    #[error("compressed with an unknown dictionary {0:02x?}")]
    Dictionary(DictionaryId),
    #[error("{0}")]
    Damaged(&'static str),
    #[error("does not decompress: {0}")]
    Decompress(std::io::Error),
    #[error("compression failed: {0}")]
    Compress(std::io::Error),
    #[error("too large")]
    TooLarge,
}

struct Header {
    dictionary: DictionaryId,
    count: u8,
    joined_bytes: u32,
    parts: u16,
}

impl Header {
    fn parse(row: &[u8]) -> Result<Header, ChunkError> {
        let Some(header) = row.first_chunk::<HEADER_BYTES>() else {
            return Err(ChunkError::Damaged("shorter than its header"));
        };
        let [version, d0, d1, d2, d3, count, j0, j1, j2, j3, p0, p1] = *header;
        if version != VERSION {
            return Err(ChunkError::Version(version));
        }
        Ok(Header {
            dictionary: [d0, d1, d2, d3],
            count,
            joined_bytes: u32::from_be_bytes([j0, j1, j2, j3]),
            parts: u16::from_be_bytes([p0, p1]),
        })
    }
}

/// Compresses chunks; keeps its tables between them.
pub(super) struct Encoder {
    dictionary: DictionaryId,
    compressor: zstd::bulk::Compressor<'static>,
    /// What was compressed last.
    packed: Vec<u8>,
}

impl Encoder {
    /// An encoder with that dictionary.
    pub(super) fn new(dictionary: &'static Dictionary) -> Result<Encoder, ChunkError> {
        use zstd::zstd_safe::CParameter;
        let prepare = || {
            let mut compressor =
                zstd::bulk::Compressor::with_prepared_dictionary(&dictionary.encoder)?;
            // The row's header has the length and the dictionary; the checksum is what finds
            // damage that the store underneath let through.
            compressor.set_parameter(CParameter::ContentSizeFlag(false))?;
            compressor.set_parameter(CParameter::DictIdFlag(false))?;
            compressor.set_parameter(CParameter::ChecksumFlag(true))?;
            Ok(compressor)
        };
        let compressor = prepare().map_err(ChunkError::Compress)?;
        Ok(Encoder {
            dictionary: dictionary.id,
            compressor,
            packed: Vec::new(),
        })
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<&[u8], ChunkError> {
        self.packed.clear();
        self.packed
            .reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        self.compressor
            .compress_to_buffer(bytes, &mut self.packed)
            .map_err(ChunkError::Compress)?;
        Ok(&self.packed)
    }
}

/// Decompresses behind what is in `into`. After an error what stands there is of no account.
fn decompress(header: &Header, packed: &[u8], into: &mut Vec<u8>) -> Result<(), ChunkError> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    let dictionary =
        dictionary::find(header.dictionary).ok_or(ChunkError::Dictionary(header.dictionary))?;
    let length = header.joined_bytes as usize;
    // A damaged length must not make us reserve memory for it.
    if length > MAX_RECORD_BYTES + CHUNK_BYTES {
        return Err(ChunkError::Damaged("its length is impossible"));
    }
    into.reserve(length);
    let mut behind = Cursor::new(&mut *into);
    behind.set_position(behind.get_ref().len() as u64);
    let decompressed = DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.set_prepared_dictionary(&dictionary.decoder)?;
        decompressor.decompress_to_buffer(packed, &mut behind)
    });
    if decompressed.map_err(ChunkError::Decompress)? != length {
        return Err(ChunkError::Damaged("its length is wrong"));
    }
    Ok(())
}
