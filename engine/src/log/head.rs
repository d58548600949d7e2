//! The head: where the log ends, written in the same batch as the records that moved it.
//!
//! Its row holds the open chunk too, so that an append which fills no chunk changes one row and
//! needs no batch: nearly every append of few records.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version of this form: 2 |
//! | 8 | number of the batch that wrote it (`journal.rs`) |
//! | 8 | number of records |
//! | 32 each | the frontier of the Merkle tree: one hash for each set bit of that number |
//! | 32 | hash of the last record |
//! | 4, and so many | time of the last record; sequence, creation time and name of the stream, as lines |
//! | 8 | sequence at which the open chunk begins; it is left out, as is the rest, if it has no records |
//! | | the row of the open chunk (`chunk.rs`) |
//!
//! Version 1 had the text at its end and the open chunk in a row of its own.

use weir_schema::Timestamp;
use weir_schema::record::{Hash, NO_HASH};

use super::tree::Frontier;

/// Where the log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The sequence that the next record gets; 1 in an empty log.
    pub next_seq: u64,
    /// The hash of the last record; zeroes in an empty log.
    pub previous: Hash,
    /// The time of the last record.
    pub last_recorded_at: Option<Timestamp>,
    /// The stream position up to which everything is in the log.
    pub position: Option<StreamPosition>,
    /// The number of leaves of the Merkle tree, one for each record.
    pub tree_size: u64,
    /// The root of the Merkle tree.
    pub root: Hash,
}

/// A message of a stream. The creation time tells a stream that was recreated, and counts anew,
/// from the one the log was fed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPosition {
    /// The stream's name.
    pub stream: String,
    /// When the stream was created, RFC 3339.
    pub created: String,
    /// The message's sequence.
    pub sequence: u64,
}

/// The head with what is needed to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) frontier: Frontier,
    pub(super) previous: Hash,
    pub(super) last_recorded_at: Option<Timestamp>,
    pub(super) position: Option<StreamPosition>,
    /// The last batch.
    pub(super) batch: u64,
}

impl Default for Tip {
    fn default() -> Tip {
        Tip {
            batch: 0,
            frontier: Frontier::default(),
            previous: NO_HASH,
            last_recorded_at: None,
            position: None,
        }
    }
}

const VERSION: u8 = 2;

/// The row that version 1 wrote.
const TEXT_LAST: u8 = 1;

/// The row of an open chunk, and where the chunk begins.
pub(super) type OpenChunk<'a> = (u64, &'a [u8]);

impl Tip {
    pub(super) fn next_seq(&self) -> u64 {
        self.frontier.size() + 1
    }

    pub(super) fn head(&self) -> Head {
        Head {
            next_seq: self.next_seq(),
            previous: self.previous,
            last_recorded_at: self.last_recorded_at,
            position: self.position.clone(),
            tree_size: self.frontier.size(),
            root: self.frontier.root(),
        }
    }

    /// The row.
    pub(super) fn encode(&self, open: Option<OpenChunk<'_>>) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend_from_slice(&self.batch.to_be_bytes());
        row.extend_from_slice(&self.frontier.size().to_be_bytes());
        for hash in self.frontier.hashes() {
            row.extend_from_slice(hash);
        }
        row.extend_from_slice(&self.previous);
        let text = self.text();
        // INVARIANT: no value of the store is so long.
        row.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        row.extend_from_slice(text.as_bytes());
        if let Some((first, chunk)) = open {
            row.extend_from_slice(&first.to_be_bytes());
            row.extend_from_slice(chunk);
        }
        row
    }

    /// Time and position, as lines.
    fn text(&self) -> String {
        let mut text = self
            .last_recorded_at
            .map(|time| time.to_string())
            .unwrap_or_default();
        if let Some(StreamPosition {
            stream,
            created,
            sequence,
        }) = &self.position
        {
            text.push_str(&format!("\n{sequence}\n{created}\n{stream}"));
        }
        text
    }

    /// Reads a row; `None` if it is damaged or of a newer version.
    pub(super) fn decode(row: &[u8]) -> Option<(Tip, Option<OpenChunk<'_>>)> {
        let (&version, row) = row.split_first()?;
        let (batch, row) = match version {
            VERSION => {
                let (batch, row) = row.split_first_chunk::<8>()?;
                (u64::from_be_bytes(*batch), row)
            }
            // Written before there was a journal.
            TEXT_LAST => (0, row),
            _ => return None,
        };
        let (size, mut row) = row.split_first_chunk::<8>()?;
        let size = u64::from_be_bytes(*size);
        let mut hashes = Vec::new();
        for _ in 0..size.count_ones() {
            let (hash, rest) = row.split_first_chunk::<32>()?;
            hashes.push(*hash);
            row = rest;
        }
        let frontier = Frontier::from_parts(size, hashes)?;
        let (previous, row) = row.split_first_chunk::<32>()?;
        let (text, rest) = if version == TEXT_LAST {
            (row, &[][..])
        } else {
            let (length, row) = row.split_first_chunk::<4>()?;
            row.split_at_checked(u32::from_be_bytes(*length) as usize)?
        };
        let open = match rest.split_first_chunk::<8>() {
            Some((first, chunk)) => Some((u64::from_be_bytes(*first), chunk)),
            None if rest.is_empty() => None,
            None => return None,
        };
        let text = std::str::from_utf8(text).ok()?;
        let (time, position) = match text.split_once('\n') {
            None => (text, None),
            Some((time, position)) => {
                let mut lines = position.splitn(3, '\n');
                let sequence = lines.next()?.parse().ok()?;
                let created = lines.next()?.to_owned();
                let stream = lines.next()?.to_owned();
                (
                    time,
                    Some(StreamPosition {
                        stream,
                        created,
                        sequence,
                    }),
                )
            }
        };
        let last_recorded_at = match time {
            "" => None,
            time => Some(time.parse().ok()?),
        };
        let tip = Tip {
            frontier,
            previous: *previous,
            last_recorded_at,
            position,
            batch,
        };
        Some((tip, open))
    }
}
