//! The witness: a small file beside the store that remembers the last acknowledged record.
//!
//! The store underneath takes a damaged end for one torn by a crash, and quietly drops it. The
//! witness is written after each commit, without a sync of its own: it can lag behind the store
//! after a power cut but never be ahead of it. So a store that ends before its witness has lost
//! acknowledged records, and the log says so instead of going on.
//!
//! Two slots are written in turn, each with its own hash, so a torn write costs nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use weir_schema::record::Hash;

/// Slots lie in different pages, so that one write cannot tear both.
const SLOT_BYTES: u64 = 4096;
const ENTRY_BYTES: usize = 8 + 32 + 8;

/// The last record that was acknowledged: its sequence plus one, and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) next_seq: u64,
    pub(super) previous: Hash,
}

/// The open file.
pub(super) struct Witness {
    file: File,
    turn: u64,
}

impl Witness {
    /// Opens or creates the file and reads what it saw last; nothing if it is new or unreadable.
    pub(super) fn open(path: &Path) -> io::Result<(Witness, Option<Seen>)> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let slots = [read_slot(&file, 0)?, read_slot(&file, 1)?];
        let last = slots.into_iter().flatten().max_by_key(|seen| seen.next_seq);
        // Write first over the slot that is not the last.
        let turn = if slots[0].is_some() && slots[0] == last {
            1
        } else {
            0
        };
        Ok((Witness { file, turn }, last))
    }

    /// Remembers `seen`. Call only once it is durable in the store.
    pub(super) fn note(&mut self, seen: Seen) -> io::Result<()> {
        let mut entry = [0; ENTRY_BYTES];
        entry[..8].copy_from_slice(&seen.next_seq.to_be_bytes());
        entry[8..40].copy_from_slice(&seen.previous);
        let check = check(&entry[..40]);
        entry[40..].copy_from_slice(&check);
        self.file.write_all_at(&entry, self.turn * SLOT_BYTES)?;
        self.turn ^= 1;
        Ok(())
    }

    /// Makes what was noted last survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn read_slot(file: &File, slot: u64) -> io::Result<Option<Seen>> {
    let mut entry = [0; ENTRY_BYTES];
    match file.read_exact_at(&mut entry, slot * SLOT_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    if entry[40..] != check(&entry[..40]) {
        return Ok(None);
    }
    let (next_seq, rest) = entry.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let previous = rest.first_chunk::<32>().copied().unwrap_or_default();
    Ok(Some(Seen {
        next_seq: u64::from_be_bytes(*next_seq),
        previous,
    }))
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let hash = Sha256::digest(bytes);
    hash.first_chunk::<8>().copied().unwrap_or_default()
}
