//! Snapshots of the state: a cache beside the log.
//!
//! A snapshot that is missing, torn or damaged is simply not there; deleting all of them costs
//! time and nothing else. What is in one is the caller's business: here it is bytes with the
//! sequence up to which they hold and the digest of the state they describe.
//!
//! | key | value |
//! |---|---|
//! | `h` sequence | version, state digest, SHA-256 of the bytes, their length, number of parts |
//! | `p` sequence part | a piece of the compressed bytes |
//!
//! The header is written last, so a snapshot is there as a whole or not at all.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use weir_schema::record::Hash;

use super::Shared;
use super::append::{AppendError, Log, failed};
use super::reader::{LogReader, ReadError};
use super::store::{Area, Changes, MAX_VALUE_BYTES, StoreError};

const VERSION: u8 = 1;
const LEVEL: i32 = 3;

/// Pieces written in one batch, which is held in memory.
const PARTS_PER_BATCH: usize = 16;

/// No state is larger: a damaged length must not make us reserve memory for it.
const MAX_SNAPSHOT_BYTES: u64 = 64 << 30;

/// The snapshots beside a log. Cheap to clone; usable while the log is appended to.
#[derive(Clone)]
pub struct Snapshots {
    shared: Arc<Shared>,
}

/// What is known of a snapshot without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The state is that after this record.
    pub seq: u64,
    /// The digest of that state.
    pub digest: Hash,
    /// The length of the bytes.
    pub bytes: u64,
}

struct Header {
    info: SnapshotInfo,
    sha256: Hash,
    parts: u32,
}

impl Log {
    /// The snapshots beside this log.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        self.reader().snapshots()
    }
}

impl LogReader {
    /// The snapshots beside this log.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        Snapshots {
            shared: self.shared().clone(),
        }
    }
}

impl Snapshots {
    /// Keeps a snapshot, durably; one of the same sequence is replaced.
    ///
    /// # Errors
    /// The disk is full or fails. Appending to the log stops too: the store is shared.
    pub fn put(&self, seq: u64, digest: Hash, bytes: &[u8]) -> Result<(), AppendError> {
        let write = || {
            self.erase(seq)?;
            let packed = zstd::bulk::compress(bytes, LEVEL)?;
            let mut parts = 0_u32;
            for group in packed.chunks(MAX_VALUE_BYTES * PARTS_PER_BATCH) {
                let mut changes = Changes::default();
                for part in group.chunks(MAX_VALUE_BYTES) {
                    changes.put(&part_key(seq, parts), part.to_vec());
                    parts += 1;
                }
                self.shared.store.apply(Area::Snapshots, changes)?;
            }
            let info = SnapshotInfo {
                seq,
                digest,
                bytes: bytes.len() as u64,
            };
            let header = Header {
                info,
                sha256: Sha256::digest(bytes).into(),
                parts,
            };
            let mut changes = Changes::default();
            changes.put(&header_key(seq), header.encode());
            self.shared.store.apply(Area::Snapshots, changes)?;
            self.shared.store.sync()
        };
        write().map_err(|error| self.stop(error))
    }

    /// What there is, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self) -> Result<Vec<SnapshotInfo>, ReadError> {
        let rows = self
            .shared
            .store
            .range(Area::Snapshots, b"h", b"i", usize::MAX)?;
        Ok(rows
            .iter()
            .filter_map(|(key, row)| Header::decode(seq_of(key)?, row))
            .map(|header| header.info)
            .collect())
    }

    /// The bytes of the snapshot at `seq`; `None` if there is none that is whole.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn get(&self, seq: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(row) = self.shared.store.get(Area::Snapshots, &header_key(seq))? else {
            return Ok(None);
        };
        let Some(header) = Header::decode(seq, &row) else {
            return Ok(None);
        };
        let mut packed = Vec::new();
        for part in 0..header.parts {
            match self
                .shared
                .store
                .get(Area::Snapshots, &part_key(seq, part))?
            {
                Some(piece) => packed.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
        let length = usize::try_from(header.info.bytes).unwrap_or(usize::MAX);
        let bytes = zstd::bulk::decompress(&packed, length).ok();
        Ok(bytes.filter(|bytes| {
            bytes.len() == length && Hash::from(Sha256::digest(bytes)) == header.sha256
        }))
    }

    /// Deletes all but the `keep` newest.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn prune(&self, keep: usize) -> Result<(), AppendError> {
        let prune = || {
            let rows = self
                .shared
                .store
                .range(Area::Snapshots, b"h", b"i", usize::MAX)?;
            let old = rows.len().saturating_sub(keep);
            rows.iter()
                .take(old)
                .filter_map(|(key, _)| seq_of(key))
                .try_for_each(|seq| self.erase(seq))
        };
        prune().map_err(|error| self.stop(error))
    }

    /// Deletes everything, also what cannot be read.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn clear(&self) -> Result<(), AppendError> {
        self.erase_range(b"", &[0xff])
            .map_err(|error| self.stop(error))
    }

    /// Removes the header first, so that no half snapshot has one.
    fn erase(&self, seq: u64) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        changes.remove(&header_key(seq));
        self.shared.store.apply(Area::Snapshots, changes)?;
        self.erase_range(&part_key(seq, 0), &part_key(seq, u32::MAX))
    }

    fn erase_range(&self, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        loop {
            let rows = self
                .shared
                .store
                .range(Area::Snapshots, from, to, PARTS_PER_BATCH)?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut changes = Changes::default();
            rows.iter().for_each(|(key, _)| changes.remove(key));
            self.shared.store.apply(Area::Snapshots, changes)?;
        }
    }

    fn stop(&self, error: StoreError) -> AppendError {
        failed(&self.shared, &self.shared.commits.fail(error))
    }
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend_from_slice(&self.info.digest);
        row.extend_from_slice(&self.sha256);
        row.extend_from_slice(&self.info.bytes.to_be_bytes());
        row.extend_from_slice(&self.parts.to_be_bytes());
        row
    }

    fn decode(seq: u64, row: &[u8]) -> Option<Header> {
        let row = row.strip_prefix(&[VERSION])?;
        let (digest, row) = row.split_first_chunk::<32>()?;
        let (sha256, row) = row.split_first_chunk::<32>()?;
        let (bytes, row) = row.split_first_chunk::<8>()?;
        let bytes = u64::from_be_bytes(*bytes);
        let parts = u32::from_be_bytes(row.try_into().ok()?);
        let info = SnapshotInfo {
            seq,
            digest: *digest,
            bytes,
        };
        (bytes <= MAX_SNAPSHOT_BYTES).then_some(Header {
            info,
            sha256: *sha256,
            parts,
        })
    }
}

fn header_key(seq: u64) -> Vec<u8> {
    [b"h", &seq.to_be_bytes()[..]].concat()
}

fn part_key(seq: u64, part: u32) -> Vec<u8> {
    [b"p", &seq.to_be_bytes()[..], &part.to_be_bytes()].concat()
}

fn seq_of(header_key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(header_key.get(1..)?.try_into().ok()?))
}
