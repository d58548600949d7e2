//! The chunks that are in the store.

use std::io;

use super::row::Header;
use super::{CHUNK_RECORDS, Chunk, ChunkError, Records};
use crate::log::keys;
use crate::log::reader::ReadError;
use crate::log::store::{Store, StoreError};

/// The chunk that holds record `seq`, which must have been written.
pub(in crate::log) fn at(store: &Store, seq: u64) -> Result<Chunk, ReadError> {
    let mut chunk = Chunk::default();
    read(store, seq, &mut chunk)?;
    Ok(chunk)
}

/// The same into the memory of `chunk`.
pub(in crate::log) fn read(store: &Store, seq: u64, chunk: &mut Chunk) -> Result<(), ReadError> {
    let mut read = || {
        let place = seq.checked_sub(1).ok_or(Unreadable::Missing("it"))?;
        let first = seq - place % CHUNK_RECORDS as u64;
        // What is wrong with a row of other records is told to whoever reads these.
        if let Ok(Some(row)) = store.get(&keys::chunk(first))
            && Header::read(&row).is_ok_and(|header| seq - first < header.records)
        {
            chunk.begin_at(first);
            return chunk.decode_more(&row, parts_of(store, first));
        }
        // It begins elsewhere: those before it were long, or an earlier version wrote it.
        let found = store.at_or_before(&keys::chunk(seq))?;
        let found = found.and_then(|(key, row)| Some((keys::chunk_first(&key)?, row)));
        let (first, row) = found.ok_or(Unreadable::Missing("it"))?;
        chunk.begin_at(first);
        chunk.decode_more(&row, parts_of(store, first))?;
        match seq < chunk.end() {
            true => Ok(()),
            false => Err(Unreadable::Missing("it")),
        }
    };
    read().map_err(|problem| problem.at(seq))
}

/// Adds the chunks that follow `records`, until these reach `to` or have so many bytes; none if no
/// chunk begins where they end.
pub(in crate::log) fn read_on(
    store: &Store,
    to: u64,
    bytes: usize,
    records: &mut Records,
) -> Result<(), ReadError> {
    let (from, to_key) = (keys::chunk(records.end()), keys::chunk(to));
    let read = store.each(&from, &to_key, |key, row| match keys::chunk_first(key) {
        Some(first) if first == records.end() => {
            records.decode_more(row, parts_of(store, first))?;
            Ok(records.end() < to && records.bytes() < bytes)
        }
        Some(_) => Ok(false),
        // A continuation row, which was read with the row before.
        None => Ok(true),
    });
    read.map_err(|problem: Unreadable| problem.at(records.end()))
}

/// The continuation rows of the chunk that begins at `first`.
fn parts_of(store: &Store, first: u64) -> impl FnMut(u16) -> Result<Vec<u8>, Unreadable> {
    move |part| {
        let row = store.get(&keys::chunk_part(first, part))?;
        let row = row.ok_or(Unreadable::Missing("a part of it"))?;
        Ok(row.to_vec())
    }
}

/// Why a chunk cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Unreadable {
    /// The error for a reader of record `seq`. After a write that found the disk full the store reads
    /// no more either, until it is opened again: that is no damage.
    fn at(self, seq: u64) -> ReadError {
        match self {
            Self::Store(StoreError::Io(error)) if error.kind() == io::ErrorKind::StorageFull => {
                StoreError::Io(error).into()
            }
            other => ReadError::Damaged {
                seq,
                cause: other.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_damage_and_any_other_problem_is() {
        let of = |kind: io::ErrorKind| Unreadable::from(StoreError::Io(kind.into())).at(7);
        assert!(matches!(
            of(io::ErrorKind::StorageFull),
            ReadError::Store { .. }
        ));
        for damaged in [
            of(io::ErrorKind::InvalidData),
            Unreadable::Missing("it").at(7),
        ] {
            assert!(
                matches!(damaged, ReadError::Damaged { seq: 7, .. }),
                "{damaged}"
            );
        }
    }
}
