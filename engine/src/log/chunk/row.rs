//! The row of a chunk.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version of this form: 2 |
//! | 4 | CRC-32 of all that follows, continuation rows too, big-endian |
//! | 4 | dictionary |
//! | 2 | number of continuation rows, big-endian |
//! | varint | number of records |
//! | varint each | their lengths |
//! | 3 varints | numbers of hashes and of UUIDs, length of the text |
//! | 32 each | hashes |
//! | 16 each | UUIDs |
//! | | the text: the records, one behind the other, without these ([`identifiers`]), compressed with zstd |
//!
//! Where that is longer than one value may be, the rest follows in continuation rows. Nothing is
//! compressed together with another chunk, and the identifiers not at all: most rows are read for
//! one record.
//!
//! Version 1 compressed records as they are:
//!
//! | bytes | |
//! |---|---|
//! | 1 | 1 |
//! | 4 | dictionary |
//! | 1 | number of records |
//! | 4 | length of the joined records, big-endian |
//! | 2 | number of continuation rows, big-endian |
//! | 2 each | lengths of all records but the last, big-endian |
//! | | the compressed records, with a checksum of zstd's |

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Cursor;

use super::dictionary::{self, Dictionary, DictionaryId};
use super::identifiers::{self, Apart};
use super::{CHUNK_BYTES, Chunk, MAX_RECORD_BYTES, Records};
use crate::log::bytes::{put_varint, take, take_array, take_varint};
use crate::log::store::MAX_VALUE_BYTES;

const VERSION: u8 = 2;

/// The form that version 1 was.
const WITH_IDENTIFIERS: u8 = 1;

/// Version and checksum.
const SEAL_BYTES: usize = 5;

/// Where the number of continuation rows stands.
const PARTS_PLACE: usize = SEAL_BYTES + size_of::<DictionaryId>();

/// What compresses or decompresses keeps the room for a text of a chunk that is full, not for that of a
/// longer record.
const KEPT_BYTES: usize = 3 * CHUNK_BYTES;

impl Records {
    /// The rows to store, the first with the header.
    pub(in crate::log) fn encode(&self, encoder: &mut Encoder) -> Result<Vec<Vec<u8>>, ChunkError> {
        let dictionary = encoder.dictionary;
        let (apart, packed) = encoder.pack(&self.joined)?;
        // Two bytes for a number here, mostly; all that follows is of a length that is known.
        let numbers = 2 * (4 + self.ends.len());
        let identifiers = apart.hashes.as_flattened().len() + apart.uuids.as_flattened().len();
        let mut row = Vec::with_capacity(16 + numbers + identifiers + packed.len());
        row.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
        row.extend_from_slice(&dictionary);
        row.extend_from_slice(&[0, 0]);
        put_varint(&mut row, self.ends.len() as u64);
        for (_, record) in self.iter() {
            put_varint(&mut row, record.len() as u64);
        }
        put_varint(&mut row, apart.hashes.len() as u64);
        put_varint(&mut row, apart.uuids.len() as u64);
        put_varint(&mut row, apart.text.len() as u64);
        row.extend_from_slice(apart.hashes.as_flattened());
        row.extend_from_slice(apart.uuids.as_flattened());
        row.extend_from_slice(packed);
        let parts = row.len().div_ceil(MAX_VALUE_BYTES) - 1;
        let parts = u16::try_from(parts).map_err(|_| ChunkError::TooLarge)?;
        row[PARTS_PLACE..PARTS_PLACE + 2].copy_from_slice(&parts.to_be_bytes());
        let check = crc32fast::hash(&row[SEAL_BYTES..]);
        row[1..SEAL_BYTES].copy_from_slice(&check.to_be_bytes());
        encoder.keep_little();
        match parts {
            0 => Ok(vec![row]),
            _ => Ok(row.chunks(MAX_VALUE_BYTES).map(<[u8]>::to_vec).collect()),
        }
    }

    /// Reads the row of the chunk that begins at `first`; `continuation` gives row 1, 2, ... of
    /// those that follow it.
    pub(in crate::log) fn decode<E: From<ChunkError>>(
        first: u64,
        row: &[u8],
        continuation: impl FnMut(u16) -> Result<Vec<u8>, E>,
    ) -> Result<Chunk, E> {
        let mut chunk = Chunk::new(first);
        chunk.decode_more(row, continuation)?;
        Ok(chunk)
    }

    /// Reads the row of the chunk that begins after these records, and adds its records.
    pub(in crate::log) fn decode_more<E: From<ChunkError>>(
        &mut self,
        row: &[u8],
        mut continuation: impl FnMut(u16) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        let header = Header::read(row)?;
        let mut whole = Cow::Borrowed(row);
        for part in 1..=header.parts {
            whole.to_mut().extend(continuation(part)?);
        }
        let (start, before) = (self.joined.len(), self.ends.len());
        let read = match header.version {
            VERSION => self.read(&whole),
            _ => self.read_with_identifiers(&whole),
        };
        if read.is_err() {
            self.joined.truncate(start);
            self.ends.truncate(before);
        }
        Ok(read?)
    }

    fn read(&mut self, row: &[u8]) -> Result<(), ChunkError> {
        let (seal, content) = row.split_at_checked(SEAL_BYTES).ok_or(SHORT)?;
        if seal.get(1..) != Some(&crc32fast::hash(content).to_be_bytes()) {
            return Err(ChunkError::Damaged("its checksum is wrong"));
        }
        let Body {
            dictionary,
            hashes,
            uuids,
            text_bytes,
            packed,
        } = self.read_lengths(content).ok_or(SHORT)??;
        let ends = self.ends.last().copied().unwrap_or_default();
        let start = self.joined.len();
        with_unpacker(|unpacker| {
            let text = unpacker.text(dictionary, packed, text_bytes)?;
            self.joined.resize(ends, 0);
            identifiers::put_together(text, hashes, uuids, &mut self.joined[start..]).ok_or(
                ChunkError::Damaged("its records are not as long as it says"),
            )
        })
    }

    /// Adds where the records end, and gives the rest. The outer `None` if the row is too short.
    fn read_lengths<'a>(&mut self, mut row: &'a [u8]) -> Option<Result<Body<'a>, ChunkError>> {
        let dictionary = *take_array(&mut row)?;
        let _parts: &[u8; 2] = take_array(&mut row)?;
        let mut end = self.joined.len();
        let most = end + LONGEST_BYTES;
        let count = take_varint(&mut row)?;
        if count == 0 {
            return Some(Err(ChunkError::Damaged("it has no records")));
        }
        for _ in 0..count {
            end = end.saturating_add(length(&mut row)?);
            self.ends.push(end);
        }
        let (hashes, uuids, text_bytes) = (length(&mut row)?, length(&mut row)?, length(&mut row)?);
        // A damaged length must not make us reserve memory for it.
        if end > most || text_bytes > 2 * LONGEST_BYTES {
            return Some(Err(ChunkError::Damaged("its length is impossible")));
        }
        let hashes = take(&mut row, hashes.checked_mul(32)?)?;
        let uuids = take(&mut row, uuids.checked_mul(16)?)?;
        Some(Ok(Body {
            dictionary,
            hashes: hashes.as_chunks().0,
            uuids: uuids.as_chunks().0,
            text_bytes,
            packed: row,
        }))
    }

    /// Reads a row of version 1.
    fn read_with_identifiers(&mut self, row: &[u8]) -> Result<(), ChunkError> {
        let mut rest = row.get(1..).ok_or(SHORT)?;
        let mut fields = || {
            let dictionary = *take_array(&mut rest)?;
            let [count] = *take_array(&mut rest)?;
            let joined_bytes = u32::from_be_bytes(*take_array(&mut rest)?) as usize;
            let _parts: &[u8; 2] = take_array(&mut rest)?;
            let lengths = take(&mut rest, 2 * usize::from(count).checked_sub(1)?)?;
            Some((dictionary, joined_bytes, lengths.as_chunks::<2>().0))
        };
        let (dictionary, joined_bytes, lengths) = fields().ok_or(SHORT)?;
        let mut end = self.joined.len();
        for length in lengths {
            end += usize::from(u16::from_be_bytes(*length));
            self.ends.push(end);
        }
        if joined_bytes > LONGEST_BYTES {
            return Err(ChunkError::Damaged("its length is impossible"));
        }
        self.joined.reserve(joined_bytes);
        with_unpacker(|unpacker| {
            unpacker.unpack(dictionary, rest, joined_bytes, &mut self.joined)
        })?;
        if end > self.joined.len() {
            return Err(ChunkError::Damaged("the lengths of its records are wrong"));
        }
        self.ends.push(self.joined.len());
        Ok(())
    }
}

/// The longest that the records of one row are together.
const LONGEST_BYTES: usize = MAX_RECORD_BYTES + CHUNK_BYTES;

const SHORT: ChunkError = ChunkError::Damaged("shorter than it says");

fn length(row: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_varint(row)?).ok()
}

/// What a row has after the lengths of its records.
struct Body<'a> {
    dictionary: DictionaryId,
    hashes: &'a [[u8; 32]],
    uuids: &'a [[u8; 16]],
    text_bytes: usize,
    packed: &'a [u8],
}

/// What is known of a row before its continuation rows are read, and before it is known to be whole.
pub(super) struct Header {
    version: u8,
    parts: u16,
    /// How many records it says that it has.
    pub(super) records: u64,
}

impl Header {
    pub(super) fn read(row: &[u8]) -> Result<Header, ChunkError> {
        let (&version, rest) = row.split_first().ok_or(SHORT)?;
        let numbers = match version {
            VERSION => Self::numbers(row),
            WITH_IDENTIFIERS => Self::numbers_with_identifiers(rest),
            newer => return Err(ChunkError::Version(newer)),
        };
        let (parts, records) = numbers.ok_or(SHORT)?;
        Ok(Header {
            version,
            parts,
            records,
        })
    }

    fn numbers(row: &[u8]) -> Option<(u16, u64)> {
        let mut rest = row.get(PARTS_PLACE..)?;
        let parts = u16::from_be_bytes(*take_array(&mut rest)?);
        Some((parts, take_varint(&mut rest)?))
    }

    fn numbers_with_identifiers(mut rest: &[u8]) -> Option<(u16, u64)> {
        let _dictionary: &DictionaryId = take_array(&mut rest)?;
        let [records] = *take_array(&mut rest)?;
        let _joined_bytes: &[u8; 4] = take_array(&mut rest)?;
        let parts = u16::from_be_bytes(*take_array(&mut rest)?);
        Some((parts, u64::from(records)))
    }
}

/// Why a chunk cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(in crate::log) enum ChunkError {
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

/// Compresses chunks; keeps its tables between them.
pub(in crate::log) struct Encoder {
    dictionary: DictionaryId,
    compressor: zstd::bulk::Compressor<'static>,
    apart: Apart,
    /// What was compressed last.
    packed: Vec<u8>,
}

impl Encoder {
    /// An encoder with that dictionary.
    pub(in crate::log) fn new(dictionary: &'static Dictionary) -> Result<Encoder, ChunkError> {
        use zstd::zstd_safe::CParameter;
        let prepare = || {
            let mut compressor =
                zstd::bulk::Compressor::with_prepared_dictionary(&dictionary.encoder)?;
            // The row has the length, the dictionary and a checksum.
            compressor.set_parameter(CParameter::ContentSizeFlag(false))?;
            compressor.set_parameter(CParameter::DictIdFlag(false))?;
            Ok(compressor)
        };
        let compressor = prepare().map_err(ChunkError::Compress)?;
        Ok(Encoder {
            dictionary: dictionary.id,
            compressor,
            apart: Apart::default(),
            packed: Vec::new(),
        })
    }

    /// What is taken out of the text of records, and the rest compressed.
    fn pack(&mut self, records: &[u8]) -> Result<(&Apart, &[u8]), ChunkError> {
        self.apart.take(records);
        self.packed.clear();
        self.packed
            .reserve(zstd::zstd_safe::compress_bound(self.apart.text.len()));
        self.compressor
            .compress_to_buffer(&self.apart.text, &mut self.packed)
            .map_err(ChunkError::Compress)?;
        Ok((&self.apart, &self.packed))
    }

    /// Gives the room back that a long record took.
    fn keep_little(&mut self) {
        if self.apart.text.capacity() > KEPT_BYTES || self.packed.capacity() > KEPT_BYTES {
            self.apart = Apart::default();
            self.packed = Vec::new();
        }
    }
}

/// Decompresses, in memory that serves again.
struct Unpacker {
    decompressor: zstd::bulk::Decompressor<'static>,
    text: Vec<u8>,
}

/// Calls with the unpacker of this thread.
fn with_unpacker<T>(
    call: impl FnOnce(&mut Unpacker) -> Result<T, ChunkError>,
) -> Result<T, ChunkError> {
    thread_local! {
        static UNPACKER: RefCell<Option<Unpacker>> = const { RefCell::new(None) };
    }
    UNPACKER.with_borrow_mut(|slot| {
        let unpacker = match slot {
            Some(unpacker) => unpacker,
            None => slot.insert(Unpacker {
                decompressor: zstd::bulk::Decompressor::new().map_err(ChunkError::Decompress)?,
                text: Vec::new(),
            }),
        };
        let called = call(unpacker);
        if unpacker.text.capacity() > KEPT_BYTES {
            unpacker.text = Vec::new();
        }
        called
    })
}

impl Unpacker {
    /// The text of so many bytes.
    fn text(
        &mut self,
        dictionary: DictionaryId,
        packed: &[u8],
        bytes: usize,
    ) -> Result<&[u8], ChunkError> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let unpacked = self.unpack(dictionary, packed, bytes, &mut text);
        self.text = text;
        unpacked?;
        Ok(&self.text)
    }

    /// Decompresses behind what is in `into`. After an error what stands there is of no account.
    fn unpack(
        &mut self,
        dictionary: DictionaryId,
        packed: &[u8],
        bytes: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), ChunkError> {
        let dictionary = dictionary::find(dictionary).ok_or(ChunkError::Dictionary(dictionary))?;
        into.reserve(bytes);
        let mut behind = Cursor::new(&mut *into);
        behind.set_position(behind.get_ref().len() as u64);
        self.decompressor
            .set_prepared_dictionary(&dictionary.decoder)
            .and_then(|()| self.decompressor.decompress_to_buffer(packed, &mut behind))
            .map_err(ChunkError::Decompress)
            .and_then(|unpacked| match unpacked == bytes {
                true => Ok(()),
                false => Err(ChunkError::Damaged("its length is wrong")),
            })
    }
}
