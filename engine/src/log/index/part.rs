//! Parts: the stored terms of a full segment, or of a group of parts, each in a file of its own.
//!
//! A file is written once, under another name, and renamed. It is not synced: everything in it is
//! checked when it is read, and what does not fit is made anew from the records.
//!
//! | bytes | |
//! |---|---|
//! | 24 | `weir index 6` and a line feed, level (u8), records in a segment (u16, 0 is 65,536), number (u64) |
//! | | slices: runs of terms in the order of dimension and key |
//! | | filter of the terms, of a segment or a group of segments (`filter.rs`) |
//! | | directory: dimension (u8), first key, length and CRC-32 (u32) of each slice |
//! | 64 | place (u64), length (u64) and CRC-32 of the directory, length and CRC-32 of the filter (u32), hash of the last record (32), CRC-32 of these bytes |
//!
//! A term is stored as the length of what its key shares with the one before and the length of the
//! rest (four bits each, 15 and more followed by a varint), the rest, and its [`Entry`].

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;
use std::path::Path;

use weir_schema::record::Hash;

use super::filter::{Filter, TermHash};
use super::postings::Entry;
use super::terms::Dimension;
use crate::log::bytes::{put_varint, take, take_array, take_varint};

/// Where a slice ends: it is read as a whole to find one term in it.
const SLICE_BYTES: usize = 2 * 1024;

/// The number goes up when this form changes, and when other terms are found in a record: by a new
/// dimension, or a known type's new field that is one.
const MAGIC: &[u8; 13] = b"weir index 6\n";
const HEADER_BYTES: usize = 24;
const TRAILER_BYTES: usize = 64;

/// Parts above this level have no filter: of those that are in no other there are few, and it would
/// take 16 MB and more.
const FILTERED_LEVELS: u8 = 1;

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartId {
    /// 0 is a segment, 1 a group of segments, 2 a group of those, and so on.
    pub(super) level: u8,
    /// From 0, for each level.
    pub(super) number: u64,
}

/// Why a part cannot be used: it is made anew, and costs time until then.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(&'static str),
}

const TORN: PartError = PartError::Damaged("it is shorter than it says");
const UNREADABLE: PartError = PartError::Damaged("a slice of it cannot be read");

/// A stored part, open for reading.
pub(super) struct Part {
    file: File,
    of_group: bool,
    filter: Option<Filter>,
    slices: Vec<Slice>,
    /// The hash of the last record in it, which ties it to one history.
    pub(super) bound: Hash,
}

struct Slice {
    dimension: u8,
    first: Box<[u8]>,
    place: u64,
    length: u32,
    checksum: u32,
}

fn header(id: PartId, segment_records: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let fields = [
        &MAGIC[..],
        &[id.level],
        &(segment_records as u16).to_be_bytes(),
        &id.number.to_be_bytes(),
    ];
    for (to, from) in header.iter_mut().zip(fields.concat()) {
        *to = from;
    }
    header
}

impl Part {
    /// Opens a part and checks all of it but its slices, which are checked when they are read. Its
    /// filter is read only if it is `asked_first`: another is looked into where a group of it has said
    /// that the term is there.
    pub(super) fn open(
        path: &Path,
        id: PartId,
        segment_records: u32,
        asked_first: bool,
    ) -> Result<Part, PartError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut start = [0; HEADER_BYTES];
        let mut trailer = [0; TRAILER_BYTES];
        let at = length.checked_sub(TRAILER_BYTES as u64).ok_or(TORN)?;
        file.read_exact_at(&mut start, 0)?;
        file.read_exact_at(&mut trailer, at)?;
        if start != header(id, segment_records) {
            return Err(PartError::Damaged("it is of another form"));
        }
        let mut rest = &trailer[..];
        let mut fields = || {
            let place = u64::from_be_bytes(*take_array(&mut rest)?);
            let size = u64::from_be_bytes(*take_array(&mut rest)?);
            let checksum = u32::from_be_bytes(*take_array(&mut rest)?);
            let filter = (
                u32::from_be_bytes(*take_array(&mut rest)?),
                u32::from_be_bytes(*take_array(&mut rest)?),
            );
            let bound: Hash = *take_array(&mut rest)?;
            let of_trailer = u32::from_be_bytes(*take_array(&mut rest)?);
            Some((place, size, checksum, filter, bound, of_trailer))
        };
        let (place, size, checksum, filter, bound, of_trailer) = fields().ok_or(TORN)?;
        let (told, _) = trailer.split_at(TRAILER_BYTES - 4);
        if crc32fast::hash(told) != of_trailer || place.checked_add(size) != Some(at) {
            return Err(PartError::Damaged("its end is not what was written"));
        }
        let mut directory = vec![0; usize::try_from(size).map_err(|_| TORN)?];
        file.read_exact_at(&mut directory, place)?;
        if crc32fast::hash(&directory) != checksum {
            return Err(PartError::Damaged("its directory is not what was written"));
        }
        let slices =
            slices(&directory).ok_or(PartError::Damaged("its directory cannot be read"))?;
        let filter = match filter {
            (1.., _) if asked_first => Some(read_filter(&file, place, filter)?),
            _ => None,
        };
        Ok(Part {
            file,
            of_group: id.level > 0,
            filter,
            slices,
            bound,
        })
    }

    /// Shows the terms of a dimension from `first` on, in the order of their keys, until `show`
    /// breaks off.
    pub(super) fn visit(
        &self,
        dimension: Dimension,
        first: &[u8],
        show: &mut dyn FnMut(&[u8], Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), PartError> {
        let mut cursor = Cursor::new(self, dimension, first);
        while cursor.advance()? {
            if cursor.key() >= first
                && let Some(entry) = cursor.entry()
                && show(cursor.key(), entry).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// Shows the entry of a key, if there is one.
    pub(super) fn look_up(
        &self,
        dimension: Dimension,
        wanted: &[u8],
        show: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), PartError> {
        let may_have = |filter: &Filter| filter.may_have(TermHash::of(dimension, wanted));
        if !self.filter.as_ref().is_none_or(may_have) {
            return Ok(());
        }
        let mut cursor = Cursor::new(self, dimension, wanted);
        // The keys of a slice are at least its first, and those of the next are more than this one.
        if cursor.read_slice()?
            && let Some(entry) = cursor.seek(wanted)?
        {
            show(&entry);
        }
        Ok(())
    }

    fn read(&self, slice: &Slice, bytes: &mut Vec<u8>) -> Result<(), PartError> {
        bytes.resize(slice.length as usize, 0);
        self.file.read_exact_at(bytes, slice.place)?;
        if crc32fast::hash(bytes) != slice.checksum {
            return Err(PartError::Damaged("a slice of it is not what was written"));
        }
        Ok(())
    }
}

/// The filter that ends before the directory, by its length and checksum.
fn read_filter(
    file: &File,
    directory: u64,
    (length, checksum): (u32, u32),
) -> Result<Filter, PartError> {
    const OTHER: PartError = PartError::Damaged("its filter is not what was written");
    let place = directory.checked_sub(length.into()).ok_or(OTHER)?;
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, place)?;
    if crc32fast::hash(&bytes) != checksum {
        return Err(OTHER);
    }
    Filter::read(&bytes).ok_or(OTHER)
}

/// The slices that a directory lists.
fn slices(mut directory: &[u8]) -> Option<Vec<Slice>> {
    let mut slices = Vec::new();
    let mut place = HEADER_BYTES as u64;
    while let Some((&dimension, rest)) = directory.split_first() {
        directory = rest;
        let length = usize::try_from(take_varint(&mut directory)?).ok()?;
        let first = take(&mut directory, length)?.into();
        let length = u32::try_from(take_varint(&mut directory)?).ok()?;
        let checksum = u32::from_be_bytes(*take_array(&mut directory)?);
        slices.push(Slice {
            dimension,
            first,
            place,
            length,
            checksum,
        });
        place += u64::from(length);
    }
    Some(slices)
}

/// Walks over the terms of one dimension of a part.
pub(super) struct Cursor<'a> {
    part: &'a Part,
    slices: Range<usize>,
    bytes: Vec<u8>,
    /// Where the next term begins, and the entry of the present one.
    next: usize,
    entry: usize,
    key: Vec<u8>,
}

impl<'a> Cursor<'a> {
    /// Before the first term of the slice that may hold `first`.
    pub(super) fn new(part: &'a Part, dimension: Dimension, first: &[u8]) -> Cursor<'a> {
        let of = dimension as u8;
        let start = part.slices.partition_point(|slice| slice.dimension < of);
        let end = part.slices.partition_point(|slice| slice.dimension <= of);
        let after = part
            .slices
            .partition_point(|slice| (slice.dimension, &*slice.first) <= (of, first));
        Cursor {
            part,
            slices: after.saturating_sub(1).max(start)..end,
            bytes: Vec::new(),
            next: 0,
            entry: 0,
            key: Vec::new(),
        }
    }

    /// Moves to the next term; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, PartError> {
        if self.next >= self.bytes.len() && !self.read_slice()? {
            return Ok(false);
        }
        self.step().ok_or(UNREADABLE)?;
        Ok(true)
    }

    /// Turns to the next slice; false if there is none.
    fn read_slice(&mut self) -> Result<bool, PartError> {
        let next = self.slices.next();
        let Some(slice) = next.and_then(|next| self.part.slices.get(next)) else {
            return Ok(false);
        };
        self.part.read(slice, &mut self.bytes)?;
        (self.next, self.key) = (0, Vec::new());
        Ok(true)
    }

    /// Finds a key in a slice of which no term was read yet. Keys are not put together: as long as
    /// a key shares more with the one before than that shares with the wanted one, it is less too.
    fn seek(&self, wanted: &[u8]) -> Result<Option<Entry<'_>>, PartError> {
        let mut rest = &self.bytes[..];
        let mut alike = 0;
        while !rest.is_empty() {
            let (shared, own) = take_key(&mut rest).ok_or(UNREADABLE)?;
            let entry = Entry::take(&mut rest, self.part.of_group).ok_or(UNREADABLE)?;
            match shared.cmp(&alike) {
                Ordering::Greater => {}
                Ordering::Less => return Ok(None),
                Ordering::Equal => {
                    let left = wanted.get(alike..).unwrap_or_default();
                    match own.cmp(left) {
                        Ordering::Less => {
                            let same = own.iter().zip(left).take_while(|(a, b)| a == b);
                            alike += same.count();
                        }
                        Ordering::Equal => return Ok(Some(entry)),
                        Ordering::Greater => return Ok(None),
                    }
                }
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Option<()> {
        let mut rest = self.bytes.get(self.next..)?;
        let (shared, own) = take_key(&mut rest)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(own);
        self.entry = self.bytes.len() - rest.len();
        Entry::take(&mut rest, self.part.of_group)?;
        self.next = self.bytes.len() - rest.len();
        Some(())
    }

    /// The key of the present term.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Where the present term is.
    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        let mut bytes = self.bytes.get(self.entry..self.next)?;
        Entry::take(&mut bytes, self.part.of_group)
    }
}

fn put_lengths(bytes: &mut Vec<u8>, shared: usize, own: usize) {
    bytes.push((shared.min(15) << 4 | own.min(15)) as u8);
    for length in [shared, own] {
        if length >= 15 {
            put_varint(bytes, (length - 15) as u64);
        }
    }
}

/// What a key shares with the one before, and its rest.
fn take_key<'a>(bytes: &mut &'a [u8]) -> Option<(usize, &'a [u8])> {
    let (&lengths, rest) = bytes.split_first()?;
    *bytes = rest;
    let shared = take_length(bytes, lengths >> 4)?;
    let length = take_length(bytes, lengths & 15)?;
    Some((shared, take(bytes, length)?))
}

fn take_length(bytes: &mut &[u8], bits: u8) -> Option<usize> {
    if bits < 15 {
        return Some(usize::from(bits));
    }
    usize::try_from(take_varint(bytes)?).ok()?.checked_add(15)
}

/// Whether a file begins as that part does in this form; the rest of it is checked when it is used.
pub(super) fn begins(path: &Path, id: PartId, segment_records: u32) -> bool {
    let mut start = [0; HEADER_BYTES];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut start, 0));
    read.is_ok() && start == header(id, segment_records)
}

/// Writes a part; terms come in the order of dimension and key.
pub(super) struct Writer<'a> {
    path: &'a Path,
    out: BufWriter<File>,
    place: u64,
    /// All terms, if there is to be a filter of them.
    terms: Option<Vec<TermHash>>,
    slice: Vec<u8>,
    dimension: u8,
    /// The first key of the slice, and the last.
    first: Vec<u8>,
    last: Vec<u8>,
    directory: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn create(path: &'a Path, id: PartId, segment_records: u32) -> io::Result<Self> {
        let mut out = BufWriter::new(File::create(unfinished(path))?);
        out.write_all(&header(id, segment_records))?;
        Ok(Writer {
            path,
            out,
            place: HEADER_BYTES as u64,
            terms: (id.level <= FILTERED_LEVELS).then(Vec::new),
            slice: Vec::new(),
            dimension: 0,
            first: Vec::new(),
            last: Vec::new(),
            directory: Vec::new(),
        })
    }

    pub(super) fn add(
        &mut self,
        dimension: Dimension,
        key: &[u8],
        entry: &Entry<'_>,
    ) -> io::Result<()> {
        if self.slice.len() >= SLICE_BYTES || self.dimension != dimension as u8 {
            self.end_slice()?;
        }
        if self.slice.is_empty() {
            self.dimension = dimension as u8;
            self.first = key.to_vec();
            self.last.clear();
        }
        let alike = self.last.iter().zip(key).take_while(|(a, b)| a == b);
        let shared = alike.count();
        let own = key.get(shared..).unwrap_or_default();
        put_lengths(&mut self.slice, shared, own.len());
        self.slice.extend_from_slice(own);
        entry.put(&mut self.slice);
        self.last.clear();
        self.last.extend_from_slice(key);
        if let Some(terms) = &mut self.terms {
            terms.push(TermHash::of(dimension, key));
        }
        Ok(())
    }

    /// Makes the part of that name, whole or not at all. `bound` is the hash of its last record.
    pub(super) fn finish(mut self, bound: Hash) -> io::Result<()> {
        self.end_slice()?;
        let filter = Filter::of(self.terms.as_deref().unwrap_or_default()).bytes();
        self.out.write_all(&filter)?;
        self.out.write_all(&self.directory)?;
        let place = self.place + filter.len() as u64;
        let filter_bytes = u32::try_from(filter.len()).map_err(io::Error::other)?;
        let mut trailer = [
            &place.to_be_bytes()[..],
            &(self.directory.len() as u64).to_be_bytes(),
            &crc32fast::hash(&self.directory).to_be_bytes(),
            &filter_bytes.to_be_bytes(),
            &crc32fast::hash(&filter).to_be_bytes(),
            &bound,
        ]
        .concat();
        let checksum = crc32fast::hash(&trailer);
        trailer.extend_from_slice(&checksum.to_be_bytes());
        self.out.write_all(&trailer)?;
        self.out.flush()?;
        fs::rename(unfinished(self.path), self.path)
    }

    fn end_slice(&mut self) -> io::Result<()> {
        if self.slice.is_empty() {
            return Ok(());
        }
        self.directory.push(self.dimension);
        put_varint(&mut self.directory, self.first.len() as u64);
        self.directory.extend_from_slice(&self.first);
        put_varint(&mut self.directory, self.slice.len() as u64);
        self.directory
            .extend_from_slice(&crc32fast::hash(&self.slice).to_be_bytes());
        self.out.write_all(&self.slice)?;
        self.place += self.slice.len() as u64;
        self.slice.clear();
        Ok(())
    }
}

/// The name of a part that is being written.
pub(super) fn unfinished(path: &Path) -> std::path::PathBuf {
    path.with_extension("unfinished")
}
