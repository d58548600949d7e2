//! The index: which records have a repository, tag, digest, type, actor, rule or vulnerability.
//!
//! ```text
//! level 2                     [ group of 16 groups ]            terms: which groups, how many records
//! level 1   [ group of 16 segments ]   [ group ]                terms: which segments, how many records
//! level 0   [segment][segment] ...     [segment] ... [segment]  terms: which of 65,536 records
//!                                                     the open segment, in memory
//! ```
//!
//! An index row for each record would cost more than the record. So the log is indexed by
//! *segments* of [`SEGMENT_RECORDS`] records: the terms of the open segment are in memory, and when
//! it is full they are stored once, off the append path. Sixteen full segments make a *group* that
//! says which of them have a term, sixteen groups one of the next level: a rare term is found in a
//! long log by a few looks.
//!
//! The index is derived, and trusted accordingly. It lies in plain files (`part.rs`) in the
//! directory `index` beside the store. A file that is missing, torn, damaged or of
//! another history costs time: its records are looked at one by one until the file is made anew; so
//! do all from the first that has another version on.
//! What is found is compared with the record itself before it is given out: with all of it where the
//! terms leave it open, else with the texts in it. Deleting the directory
//! changes nothing but time.

mod fetch;
mod filter;
mod find;
mod known;
mod part;
mod places;
mod plan;
mod postings;
mod terms;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use weir_schema::record::Hash;

pub use find::{Find, Groups, Search, count_terms};
pub use plan::{Plan, Test};
pub use terms::{Dimension, Mention, mentions, terms};

use super::reader::{LogReader, ReadError};
use fetch::Fetch;
use part::{Cursor, Part, PartError, PartId, Writer, unfinished};
use places::PLACES;
use postings::{Entry, Postings};

/// Records in a segment; a place in it fits into 16 bits.
pub const SEGMENT_RECORDS: u32 = PLACES;

/// Parts in a group: a place among them fits into 4 bits.
const GROUP: u64 = 16;

/// Groups of groups end here: 65,536 records times 16 to the power of 6 are more than there will
/// ever be.
const TOP_LEVEL: u8 = 6;

/// Parts that are kept open, a file each: those of 20 million records and more.
const OPEN_PARTS: usize = 384;

/// The index of one log. Cheap to clone; clones share what is in memory.
#[derive(Clone)]
pub struct Index {
    inner: Arc<Inner>,
}

struct Inner {
    reader: LogReader,
    dir: PathBuf,
    segment_records: u32,
    fetch: Fetch,
    open: Mutex<Open>,
    /// Held by whoever changes the index.
    writing: Mutex<()>,
    parts: Mutex<Parts>,
}

/// The open segment.
struct Open {
    /// How many parts are stored, for each level: all those before have been stored.
    stored: Vec<u64>,
    /// The next record to index.
    next: u64,
    /// The terms of the records from the end of the stored segments on.
    postings: Arc<Postings>,
}

#[derive(Default)]
struct Parts {
    open: BTreeMap<PartId, Arc<Part>>,
    /// How many there were of each level when they were opened ahead.
    ahead: Vec<u64>,
    /// To be made anew.
    bad: BTreeSet<PartId>,
}

/// Why the index could not be brought up to date. It can be asked all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A part cannot be stored.
    #[error("cannot write the index in `{}`: {source}; searching takes longer until it can be", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl Index {
    /// The index of the log that `reader` reads, as far as it is stored. Cheap: nothing is read
    /// but how its files begin.
    #[must_use]
    pub fn open(reader: LogReader) -> Index {
        Index::with_segments(reader, SEGMENT_RECORDS)
    }

    /// As [`Self::open`] with segments of another size, from 1 to [`SEGMENT_RECORDS`]. Segments
    /// stored with a different size are made anew.
    #[must_use]
    pub fn with_segments(reader: LogReader, records: u32) -> Index {
        let segment_records = records.clamp(1, SEGMENT_RECORDS);
        let dir = reader.dir().join("index");
        let full = (reader.head().next_seq - 1) / u64::from(segment_records);
        let mut stored = Vec::new();
        let mut most = full;
        for level in 0..=TOP_LEVEL {
            let is_there = |number: &u64| {
                let id = PartId {
                    level,
                    number: *number,
                };
                part::begins(&path(&dir, id), id, segment_records)
            };
            stored.push((0..most).take_while(is_there).count() as u64);
            most = stored.last().copied().unwrap_or(0) / GROUP;
        }
        let segments = stored.first().copied().unwrap_or(0);
        let open = Open {
            next: segments * u64::from(segment_records) + 1,
            stored,
            postings: Arc::default(),
        };
        let inner = Inner {
            fetch: Fetch::new(reader.clone()),
            reader,
            dir,
            segment_records,
            open: Mutex::new(open),
            writing: Mutex::new(()),
            parts: Mutex::default(),
        };
        Index {
            inner: Arc::new(inner),
        }
    }

    /// The log's reader.
    #[must_use]
    pub fn reader(&self) -> &LogReader {
        &self.inner.reader
    }

    /// The next record that is not indexed: it and what follows are looked at one by one.
    #[must_use]
    pub fn indexed(&self) -> u64 {
        self.inner.open().next
    }

    /// Indexes what is durable and not yet indexed, stores segments that are full, and makes parts
    /// anew that were found damaged. For a thread that follows the log, of the process that writes
    /// it. `stop` is asked now and then; where it says so the work ends early.
    ///
    /// # Errors
    /// A record cannot be read, or a part not be stored: the next call goes on there.
    pub fn catch_up(&self, stop: &dyn Fn() -> bool) -> Result<(), IndexError> {
        let inner = &*self.inner;
        let _writing = inner
            .writing
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        inner.mend(stop)?;
        inner.store_full()?;
        let from = inner.open().next;
        let mut terms = Terms::default();
        for item in inner.reader.range(from, None) {
            let (seq, bytes) = item?;
            let place = inner.place(seq);
            inner.add(seq, terms.of(&bytes));
            if u32::from(place) + 1 == inner.segment_records {
                inner.store_full()?;
            }
            if place % 256 == 255 && stop() {
                break;
            }
        }
        inner.open_ahead(stop);
        Ok(())
    }

    /// Indexes what is durable before `end`, as far as the open segment goes, and stores nothing:
    /// for a question that looks up much, of a log that no thread follows. While another thread
    /// indexes, it is left to that one.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn catch_up_in_memory(&self, end: u64) -> Result<(), ReadError> {
        let inner = &*self.inner;
        let Ok(_writing) = inner.writing.try_lock() else {
            return Ok(());
        };
        let (from, number) = {
            let open = inner.open();
            (open.next, open.stored.first().copied().unwrap_or(0))
        };
        let full = inner.records(PartId { level: 0, number }).end;
        let mut terms = Terms::default();
        for item in inner.reader.range(from, Some(end.min(full))) {
            let (seq, bytes) = item?;
            inner.add(seq, terms.of(&bytes));
        }
        Ok(())
    }
}

/// The terms of a record, read before they are added so that the open segment is locked briefly.
#[derive(Default)]
struct Terms {
    /// One behind the other.
    texts: String,
    /// Where each of them ends.
    ends: Vec<(Dimension, usize)>,
}

impl Terms {
    /// Those of a record instead of the ones before.
    fn of(&mut self, record: &[u8]) -> &Terms {
        self.texts.clear();
        self.ends.clear();
        terms(record, |dimension, term| {
            self.texts.push_str(term);
            self.ends.push((dimension, self.texts.len()));
        });
        self
    }
}

impl Inner {
    /// Adds the next record to the open segment, which is not full.
    fn add(&self, seq: u64, terms: &Terms) {
        let place = self.place(seq);
        let mut open = self.open();
        let postings = Arc::make_mut(&mut open.postings);
        let mut start = 0;
        for (dimension, end) in &terms.ends {
            // INVARIANT: each term was pushed whole.
            postings.add(*dimension, &terms.texts[start..*end], place);
            start = *end;
        }
        open.next = seq + 1;
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // `next` moves only after its record was added, so the state is whole after a panic.
        self.open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn place(&self, seq: u64) -> u16 {
        ((seq - 1) % u64::from(self.segment_records)) as u16
    }

    /// The records of a part.
    fn records(&self, id: PartId) -> Range<u64> {
        let count = u64::from(self.segment_records) * GROUP.pow(u32::from(id.level));
        id.number * count + 1..(id.number + 1) * count + 1
    }

    /// A stored part, checked against the log when it is opened.
    fn part(&self, id: PartId) -> Result<Arc<Part>, PartError> {
        if let Some(part) = self.parts().open.get(&id) {
            return Ok(Arc::clone(part));
        }
        let asked_first = !self.is_in_group(id);
        let part = Part::open(&path(&self.dir, id), id, self.segment_records, asked_first)?;
        if self.bound(id).ok() != Some(Some(part.bound)) {
            return Err(PartError::Damaged("it is of another history"));
        }
        let part = Arc::new(part);
        let mut parts = self.parts();
        parts.open.insert(id, Arc::clone(&part));
        if parts.open.len() > OPEN_PARTS {
            // The oldest of the other segments: what a search from the newest on comes to last.
            let oldest = parts.open.keys().find(|known| **known != id).copied();
            oldest.map(|oldest| parts.open.remove(&oldest));
        }
        Ok(part)
    }

    /// Whether a part is in a group that is stored.
    fn is_in_group(&self, id: PartId) -> bool {
        let open = self.open();
        let groups = open.stored.get(usize::from(id.level) + 1);
        groups.is_some_and(|groups| id.number / GROUP < *groups)
    }

    /// Opens parts, the newest first, so that no question waits for it.
    fn open_ahead(&self, stop: &dyn Fn() -> bool) {
        let stored = self.open().stored.clone();
        if self.parts().ahead == stored {
            return;
        }
        let levels = (0..=TOP_LEVEL).zip(&stored).rev();
        let newest_first = |(level, count): (u8, &u64)| {
            let numbers = (0..*count).rev();
            numbers.map(move |number| PartId { level, number })
        };
        for id in levels.flat_map(newest_first).take(OPEN_PARTS) {
            if stop() {
                return;
            }
            match self.part(id) {
                Ok(_) => {}
                // Perhaps no more files may be open: whoever asks for it tries again.
                Err(PartError::Io(_)) => break,
                Err(error) => self.bad(id, &error),
            }
        }
        self.parts().ahead = stored;
    }

    /// The hash of the last record of a part.
    fn bound(&self, id: PartId) -> Result<Option<Hash>, ReadError> {
        self.reader.leaf_hash(self.records(id).end - 1)
    }

    /// Notes a part that cannot be used.
    fn bad(&self, id: PartId, why: &PartError) {
        let mut parts = self.parts();
        parts.open.remove(&id);
        if parts.bad.insert(id) {
            let path = path(&self.dir, id);
            tracing::warn!(part = %path.display(), "not used, so searching takes longer: {why}");
        }
    }

    /// Makes parts anew that were found to be unusable, each once: segments before groups.
    fn mend(&self, stop: &dyn Fn() -> bool) -> Result<(), IndexError> {
        let bad = self.parts().bad.clone();
        for id in bad {
            if stop() {
                break;
            }
            self.parts().bad.remove(&id);
            let mended = if id.level == 0 {
                self.write_segment(id)
            } else {
                self.write_group(id)
            };
            if let Err(error) = mended {
                self.parts().bad.insert(id);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes a segment from its records.
    fn write_segment(&self, id: PartId) -> Result<(), IndexError> {
        let mut postings = Postings::default();
        let records = self.records(id);
        for item in self.reader.range(records.start, Some(records.end)) {
            let (seq, bytes) = item?;
            let place = self.place(seq);
            terms(&bytes, |dimension, term| {
                postings.add(dimension, term, place)
            });
        }
        self.write(id, |writer| put_postings(writer, &postings))
    }

    /// Stores the open segment if it is full, and the groups that this completes.
    fn store_full(&self) -> Result<(), IndexError> {
        let (number, postings) = {
            let open = self.open();
            let number = open.stored.first().copied().unwrap_or(0);
            let id = PartId { level: 0, number };
            if open.next >= self.records(id).end {
                (Some(number), Arc::clone(&open.postings))
            } else {
                (None, Arc::default())
            }
        };
        if let Some(number) = number {
            self.write(PartId { level: 0, number }, |writer| {
                put_postings(writer, &postings)
            })?;
            let mut open = self.open();
            if let Some(stored) = open.stored.first_mut() {
                *stored = number + 1;
            }
            open.postings = Arc::default();
        }
        for level in 1..=TOP_LEVEL {
            loop {
                let number = {
                    let open = self.open();
                    let count =
                        |level: u8| open.stored.get(usize::from(level)).copied().unwrap_or(0);
                    let (below, number) = (count(level - 1), count(level));
                    if (number + 1) * GROUP > below {
                        break;
                    }
                    number
                };
                let group = PartId { level, number };
                self.write_group(group)?;
                if let Some(stored) = self.open().stored.get_mut(usize::from(level)) {
                    *stored = number + 1;
                }
                // They are asked after the group now, and opened anew without their filters.
                let mut parts = self.parts();
                for child in children(group) {
                    parts.open.remove(&child);
                }
            }
        }
        Ok(())
    }

    /// Writes a part: its terms by `put`, and what ties it to this log.
    fn write(
        &self,
        id: PartId,
        put: impl FnOnce(&mut Writer<'_>) -> io::Result<()>,
    ) -> Result<(), IndexError> {
        let bound = self.bound(id)?.unwrap_or_default();
        let path = path(&self.dir, id);
        let write = || {
            fs::create_dir_all(&self.dir)?;
            let mut writer = Writer::create(&path, id, self.segment_records)?;
            put(&mut writer)?;
            writer.finish(bound)
        };
        write().map_err(|source| {
            // Whatever could not be written takes space that is perhaps what is missing.
            let _ = fs::remove_file(unfinished(&path));
            IndexError::Io {
                dir: self.dir.clone(),
                source,
            }
        })
    }

    /// Writes a group from its parts. If one of them cannot be used, both are noted.
    fn write_group(&self, id: PartId) -> Result<(), IndexError> {
        let mut parts = Vec::new();
        for child in children(id) {
            match self.part(child) {
                Ok(part) => parts.push(part),
                Err(error) => {
                    self.bad(child, &error);
                    self.parts().bad.insert(id);
                    return Ok(());
                }
            }
        }
        let mut unreadable = None;
        let written = self.write(id, |writer| {
            for dimension in Dimension::ALL {
                if let Err(error) = merge(&parts, dimension, writer) {
                    return Err(match error {
                        Merge::Write(error) => error,
                        Merge::Read(child, error) => {
                            unreadable = Some((child, error));
                            io::Error::other("a part cannot be read")
                        }
                    });
                }
            }
            Ok(())
        });
        if let Some((child, error)) = unreadable {
            let number = id.number * GROUP + child;
            self.bad(
                PartId {
                    level: id.level - 1,
                    number,
                },
                &error,
            );
            self.parts().bad.insert(id);
            return Ok(());
        }
        written
    }
}

fn put_postings(writer: &mut Writer<'_>, postings: &Postings) -> io::Result<()> {
    for dimension in Dimension::ALL {
        for (key, entry) in postings.from(dimension, b"") {
            writer.add(dimension, key, &entry)?;
        }
    }
    Ok(())
}

enum Merge {
    Write(io::Error),
    /// The child that cannot be read.
    Read(u64, PartError),
}

/// Adds the terms of a dimension of all parts: which of them have it, and how many records.
fn merge(parts: &[Arc<Part>], dimension: Dimension, writer: &mut Writer<'_>) -> Result<(), Merge> {
    let mut cursors: Vec<Option<Cursor<'_>>> = Vec::new();
    for (child, part) in (0..).zip(parts) {
        let mut cursor = Cursor::new(part, dimension, b"");
        let more = cursor
            .advance()
            .map_err(|error| Merge::Read(child, error))?;
        cursors.push(more.then_some(cursor));
    }
    let mut least = Vec::new();
    loop {
        let keys = cursors.iter().flatten().map(Cursor::key);
        let Some(first) = keys.min() else {
            return Ok(());
        };
        least.clear();
        least.extend_from_slice(first);
        let (mut mask, mut records) = (0_u16, 0);
        for (child, slot) in (0_u64..).zip(cursors.iter_mut()) {
            let Some(cursor) = slot.as_mut().filter(|cursor| cursor.key() == least) else {
                continue;
            };
            mask |= 1 << child;
            records += cursor.entry().map_or(0, |entry| entry.records());
            if !cursor
                .advance()
                .map_err(|error| Merge::Read(child, error))?
            {
                *slot = None;
            }
        }
        let entry = Entry::Children { records, mask };
        writer
            .add(dimension, &least, &entry)
            .map_err(Merge::Write)?;
    }
}

/// The parts of a group.
fn children(group: PartId) -> impl Iterator<Item = PartId> {
    (0..GROUP).map(move |child| PartId {
        level: group.level - 1,
        number: group.number * GROUP + child,
    })
}

fn path(dir: &Path, PartId { level, number }: PartId) -> PathBuf {
    dir.join(format!("{level}-{number:09}.terms"))
}
