//! The index: which records have a repository, tag, digest, type, actor, rule or vulnerability.
//!
//! An index row for each record would cost more than the record. So the log is indexed by
//! *segments* of [`SEGMENT_RECORDS`] records: the lists of the open segment are in memory, and when it is
//! full they are stored once, in a few dozen rows, off the append path. The index is derived: it
//! is rebuilt where it is missing, and what it finds is compared with the record itself.
//!
//! | key | value |
//! |---|---|
//! | `a` | version, records in a segment (u32), number of segments that are stored (u32) |
//! | `s` dimension segment (u32) fingerprint (u32) | a slice of posting lists |

mod postings;
mod terms;

use std::sync::{Arc, Mutex, MutexGuard};

pub use terms::{Dimension, terms};

use super::append::{AppendError, failed};
use super::reader::{LogReader, ReadError};
use super::store::{Area, Changes, Store, StoreError};
use postings::Postings;
use terms::fingerprint;

/// Records in a segment; a place in it fits into 16 bits.
pub const SEGMENT_RECORDS: u32 = 65_536;

const VERSION: u8 = 1;
const SEALED: &[u8] = b"a";

/// Slices written in one batch, so that a commit never waits long behind one.
const SLICES_PER_BATCH: usize = 8;

/// The index of one log. Share it: it holds the lists of the open segment.
#[derive(Clone)]
pub struct Index {
    reader: LogReader,
    segment_records: u32,
    open: Arc<Mutex<Open>>,
}

/// The open segment.
struct Open {
    /// Its number, from 0: all before it are stored.
    segment: u32,
    /// The next record to index.
    next: u64,
    postings: Arc<Postings>,
}

/// Records that have, for every entry, one of its terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The entries: a dimension and the terms of which one must be there.
    pub all: Vec<(Dimension, Vec<String>)>,
    /// The first sequence that counts.
    pub from: u64,
    /// The sequence after the last that counts; without one, the end of the log.
    pub to: Option<u64>,
    /// Newest first.
    pub newest_first: bool,
}

/// Why the index could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A full segment cannot be stored.
    #[error(transparent)]
    Write(#[from] AppendError),
}

impl Index {
    /// The index of the log that `reader` reads. Cheap: the open segment is read by the first
    /// [`Self::catch_up`].
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(reader: LogReader) -> Result<Index, ReadError> {
        Index::with_segments(reader, SEGMENT_RECORDS)
    }

    /// As [`Self::open`] with segments of another size, from 1 to [`SEGMENT_RECORDS`]. Segments
    /// stored with a different size are made anew.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn with_segments(reader: LogReader, records: u32) -> Result<Index, ReadError> {
        let segment_records = records.clamp(1, SEGMENT_RECORDS);
        let row = reader.store().get(Area::Index, SEALED)?;
        let stored = row.and_then(|row| sealed_in(&row, segment_records));
        // An index ahead of the log, after damage, is made anew too.
        let full = (reader.head().next_seq - 1) / u64::from(segment_records);
        let segment = stored
            .filter(|stored| u64::from(*stored) <= full)
            .unwrap_or(0);
        let next = u64::from(segment) * u64::from(segment_records) + 1;
        let open = Open {
            segment,
            next,
            postings: Arc::default(),
        };
        Ok(Index {
            reader,
            segment_records,
            open: Arc::new(Mutex::new(open)),
        })
    }

    /// Indexes what is durable and not yet indexed, and stores segments that are full. Call it
    /// from a thread that follows the log; [`Self::find`] calls it too, so that it misses nothing.
    ///
    /// # Errors
    /// A record cannot be read, or a segment not be stored.
    pub fn catch_up(&self) -> Result<(), IndexError> {
        let mut open = self.lock();
        for item in self.reader.range(open.next, None) {
            let (seq, bytes) = item?;
            let place = ((seq - 1) % u64::from(self.segment_records)) as u16;
            let postings = Arc::make_mut(&mut open.postings);
            terms(&bytes, |dimension, term| {
                postings.add(fingerprint(dimension, term), place)
            });
            open.next = seq + 1;
            if u32::from(place) + 1 == self.segment_records {
                self.seal(&open)?;
                open.segment += 1;
                open.postings = Arc::default();
            }
        }
        Ok(())
    }

    /// The records that `filter` takes, found through the index and compared with the filter.
    ///
    /// # Errors
    /// As [`Self::catch_up`]. What is wrong with a record found is told in its turn.
    pub fn find(&self, filter: Filter) -> Result<Find, IndexError> {
        self.catch_up()?;
        let open = self.lock();
        let (end, postings, sealed) = (open.next, open.postings.clone(), open.segment);
        drop(open);
        let from = filter.from.max(1);
        let to = filter.to.unwrap_or(u64::MAX).min(end);
        let segment_of = |seq: u64| (seq - 1) / u64::from(self.segment_records);
        let segments = if from < to {
            segment_of(from)..segment_of(to - 1) + 1
        } else {
            0..0
        };
        Ok(Find {
            reader: self.reader.clone(),
            segment_records: self.segment_records,
            filter,
            from,
            to,
            segments,
            sealed,
            postings,
            found: Vec::new(),
        })
    }

    fn seal(&self, open: &Open) -> Result<(), AppendError> {
        let shared = self.reader.shared();
        let write = || -> Result<(), StoreError> {
            if open.segment == 0 {
                erase(&shared.store)?;
            }
            for group in open.postings.slices().chunks(SLICES_PER_BATCH) {
                let mut changes = Changes::default();
                for ((dimension, hash), slice) in group {
                    changes.put(&slice_key(*dimension, open.segment, *hash), slice.clone());
                }
                shared.store.apply(Area::Index, changes)?;
            }
            let mut changes = Changes::default();
            changes.put(
                SEALED,
                [
                    &[VERSION][..],
                    &self.segment_records.to_be_bytes(),
                    &(open.segment + 1).to_be_bytes(),
                ]
                .concat(),
            );
            shared.store.apply(Area::Index, changes)
        };
        write().map_err(|error| failed(shared, &shared.commits.fail(error)))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // `next` moves only after its record was added, so the state is whole after a panic.
        self.open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The number of stored segments, if they are of this form and size.
fn sealed_in(row: &[u8], segment_records: u32) -> Option<u32> {
    let (records, sealed) = row.strip_prefix(&[VERSION])?.split_first_chunk::<4>()?;
    let sealed = u32::from_be_bytes(sealed.try_into().ok()?);
    (u32::from_be_bytes(*records) == segment_records).then_some(sealed)
}

/// Removes an index of another size or version: its slices must not be found among ours.
fn erase(store: &Store) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    changes.remove(SEALED);
    store.apply(Area::Index, changes)?;
    loop {
        let rows = store.range(Area::Index, b"s", b"t", 1000)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut changes = Changes::default();
        rows.iter().for_each(|(key, _)| changes.remove(key));
        store.apply(Area::Index, changes)?;
    }
}

fn slice_key(dimension: u8, segment: u32, hash: u32) -> [u8; 10] {
    let [a, b, c, d] = segment.to_be_bytes();
    let [e, f, g, h] = hash.to_be_bytes();
    [b's', dimension, a, b, c, d, e, f, g, h]
}

/// Iterates over the records found; see [`Index::find`].
pub struct Find {
    reader: LogReader,
    segment_records: u32,
    filter: Filter,
    from: u64,
    to: u64,
    segments: std::ops::Range<u64>,
    sealed: u32,
    postings: Arc<Postings>,
    /// Sequences of the segment at hand, the next one last.
    found: Vec<u64>,
}

impl Iterator for Find {
    type Item = Result<(u64, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(seq) = self.found.pop() {
                match self.reader.get(seq) {
                    Ok(Some(bytes)) if self.filter.takes(&bytes) => return Some(Ok((seq, bytes))),
                    Ok(_) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            let newest_first = self.filter.newest_first;
            let segment = if newest_first {
                self.segments.next_back()
            } else {
                self.segments.next()
            }?;
            match self.candidates(segment) {
                Ok(places) => {
                    let first = segment * u64::from(self.segment_records) + 1;
                    let seqs = places.iter().map(|place| first + u64::from(*place));
                    self.found = seqs
                        .filter(|seq| (self.from..self.to).contains(seq))
                        .collect();
                    if !newest_first {
                        self.found.reverse();
                    }
                }
                Err(error) => {
                    self.segments = 0..0;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Find {
    /// The places in a segment that may hold what is looked for, in order.
    fn candidates(&self, segment: u64) -> Result<Vec<u16>, ReadError> {
        let mut common: Option<Vec<u16>> = None;
        for (dimension, terms) in &self.filter.all {
            let mut places = Vec::new();
            for term in terms {
                places.extend(self.places(segment, *dimension, term)?);
            }
            places.sort_unstable();
            places.dedup();
            let narrowed = match common {
                None => places,
                Some(before) => before
                    .into_iter()
                    .filter(|place| places.binary_search(place).is_ok())
                    .collect(),
            };
            if narrowed.is_empty() {
                return Ok(narrowed);
            }
            common = Some(narrowed);
        }
        let all = || (0..=u16::MAX).take(self.segment_records as usize).collect();
        Ok(common.unwrap_or_else(all))
    }

    fn places(
        &self,
        segment: u64,
        dimension: Dimension,
        term: &str,
    ) -> Result<Vec<u16>, ReadError> {
        let (kind, hash) = fingerprint(dimension, term);
        let number = match u32::try_from(segment) {
            Ok(number) if number < self.sealed => number,
            _ => return Ok(self.postings.get((kind, hash)).to_vec()),
        };
        let key = slice_key(kind, number, hash);
        match self.reader.store().at_or_before(Area::Index, &key)? {
            Some((found, slice)) if found.get(..6) == key.get(..6) => {
                postings::places_in(&slice, hash).ok_or_else(|| ReadError::Store {
                    cause: format!("the index of segment {number} is damaged"),
                })
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Filter {
    /// Whether a record has one of the terms of every entry.
    #[must_use]
    pub fn takes(&self, record: &[u8]) -> bool {
        let mut missing: Vec<bool> = vec![true; self.all.len()];
        terms(record, |dimension, term| {
            for (missing, (wanted, any)) in missing.iter_mut().zip(&self.all) {
                *missing &= !(*wanted == dimension && any.iter().any(|one| one == term));
            }
        });
        !missing.contains(&true)
    }
}
