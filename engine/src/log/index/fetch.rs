//! Reading records here and there: unpacked chunks are kept for a while, for neighbours and for
//! the next question, and several are unpacked at a time.

use std::sync::{Arc, Mutex, MutexGuard};

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::super::chunk::{CHUNK_RECORDS, Chunk};
use super::super::reader::{LogReader, ReadError};

/// Memory for unpacked chunks. The newest tens of thousands of records fit, and most questions are
/// about these.
const CACHE_BYTES: usize = 64 << 20;

/// Fewer records are not worth another thread.
const PER_THREAD: usize = 8;

/// More threads than this gain little: the disk is the same. More than there are processors gain
/// something, for they wait for it one beside the other.
const MOST_THREADS: usize = 4;

/// A record with its sequence.
type Row = (u64, Vec<u8>);

/// A chunk, if it is unpacked already.
type Known = Option<Arc<Chunk>>;

/// Reads records of one log.
pub(super) struct Fetch {
    reader: LogReader,
    chunks: Mutex<Chunks>,
}

/// Two generations: what is used again moves to the younger, and the older goes when the younger
/// is full.
#[derive(Default)]
struct Chunks {
    young: Groups,
    old: Groups,
    young_bytes: usize,
}

/// Chunks by the groups of records in them. Mostly a group is a chunk; records that are long have one
/// each, and an old log has larger ones.
type Groups = HashMap<u64, SmallVec<[Arc<Chunk>; 1]>>;

/// The group of a record.
fn group(seq: u64) -> u64 {
    seq.saturating_sub(1) / CHUNK_RECORDS as u64
}

fn among(groups: &Groups, seq: u64) -> Option<&Arc<Chunk>> {
    let chunks = groups.get(&group(seq))?;
    chunks.iter().find(|chunk| chunk.get(seq).is_some())
}

impl Chunks {
    fn get(&mut self, seq: u64) -> Option<Arc<Chunk>> {
        if let Some(chunk) = among(&self.young, seq) {
            return Some(Arc::clone(chunk));
        }
        let chunk = Arc::clone(among(&self.old, seq)?);
        self.put(Arc::clone(&chunk));
        Some(chunk)
    }

    fn put(&mut self, chunk: Arc<Chunk>) {
        self.young_bytes += chunk.bytes();
        for group in group(chunk.first())..=group(chunk.end().saturating_sub(1)) {
            let chunks = self.young.entry(group).or_default();
            // The last chunk of the log grows: the younger one has more in it.
            chunks.retain(|known| known.first() != chunk.first());
            chunks.push(Arc::clone(&chunk));
        }
        if self.young_bytes > CACHE_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

impl Fetch {
    pub(super) fn new(reader: LogReader) -> Fetch {
        Fetch {
            reader,
            chunks: Mutex::default(),
        }
    }

    /// The records of these sequences, which must have been written, in their order: those that
    /// `wanted` takes. `keep` the chunks for later if the sequences are few among many.
    pub(super) fn records(
        &self,
        seqs: &[u64],
        keep: bool,
        wanted: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<Vec<Row>, ReadError> {
        let seqs = self.known(seqs);
        let to_unpack = seqs.iter().filter(|(_, known)| known.is_none()).count();
        let threads = (to_unpack / PER_THREAD).clamp(1, MOST_THREADS);
        let read = |seqs: &[(u64, Known)]| self.one_by_one(seqs, keep, wanted);
        if threads == 1 {
            return read(&seqs);
        }
        let mut parts = seqs.chunks(seqs.len().div_ceil(threads));
        let own = parts.next().unwrap_or_default();
        std::thread::scope(|scope| {
            let others: Vec<_> = parts
                .map(|part| {
                    let thread = std::thread::Builder::new();
                    // Where the system gives none, this one does it.
                    thread
                        .spawn_scoped(scope, move || read(part))
                        .map_err(|_| part)
                })
                .collect();
            let mut rows = read(own)?;
            for other in others {
                let part = match other {
                    Ok(thread) => thread.join().map_err(|_| ReadError::Store {
                        cause: "a thread that read records panicked".to_owned(),
                    })?,
                    Err(part) => read(part),
                };
                rows.extend(part?);
            }
            Ok(rows)
        })
    }

    /// Each sequence with its chunk, if that is unpacked already.
    fn known(&self, seqs: &[u64]) -> Vec<(u64, Known)> {
        let mut chunks = self.lock();
        seqs.iter().map(|seq| (*seq, chunks.get(*seq))).collect()
    }

    fn one_by_one(
        &self,
        seqs: &[(u64, Known)],
        keep: bool,
        wanted: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<Vec<Row>, ReadError> {
        let mut rows = Vec::with_capacity(seqs.len());
        let mut take = |seq: u64, chunk: &Chunk| {
            if let Some(record) = chunk.get(seq)
                && wanted(record)
            {
                rows.push((seq, record.to_vec()));
            }
        };
        // What is not kept is unpacked into the same memory again and again.
        let mut chunk = Chunk::default();
        for (seq, known) in seqs {
            match known {
                Some(known) => take(*seq, known),
                None if keep => take(*seq, &*self.chunk(*seq)?),
                None => {
                    if chunk.get(*seq).is_none() {
                        self.reader.chunk_into(*seq, &mut chunk)?;
                    }
                    take(*seq, &chunk);
                }
            }
        }
        Ok(rows)
    }

    fn chunk(&self, seq: u64) -> Result<Arc<Chunk>, ReadError> {
        if let Some(chunk) = self.lock().get(seq) {
            return Ok(chunk);
        }
        let chunk = self.reader.chunk(seq)?;
        self.lock().put(Arc::clone(&chunk));
        Ok(chunk)
    }

    fn lock(&self) -> MutexGuard<'_, Chunks> {
        // Whatever a panic left, each chunk in it is whole.
        self.chunks
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::chunk::Records;

    /// A chunk of so many records from `first` on, each of which is its sequence.
    fn chunk(first: u64, records: u64) -> Arc<Chunk> {
        let mut chunk = Records::new(first);
        (first..first + records).for_each(|seq| chunk.push(&seq.to_be_bytes()));
        Arc::new(chunk)
    }

    #[test]
    fn every_record_of_a_chunk_is_found_by_its_sequence() {
        // Full; one of a few, that grew; two in a group; over the end of several groups.
        let all = [(1, 5), (6, 2), (6, 4), (11, 1), (12, 4), (16, 14)];
        let mut chunks = Chunks::default();
        all.iter()
            .for_each(|(first, records)| chunks.put(chunk(*first, *records)));
        for seq in (1..10).chain(11..30) {
            let found = chunks.get(seq).expect("it is kept");
            assert_eq!(found.get(seq), Some(&seq.to_be_bytes()[..]));
        }
        assert!(chunks.get(0).is_none() && chunks.get(10).is_none() && chunks.get(30).is_none());
    }
}
