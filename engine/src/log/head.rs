//! The head: where the log ends, written in the same batch as the records that moved it.

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
}

impl Default for Tip {
    fn default() -> Tip {
        Tip {
            frontier: Frontier::default(),
            previous: NO_HASH,
            last_recorded_at: None,
            position: None,
        }
    }
}

const VERSION: u8 = 1;

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

    /// The row: version, tree size, frontier, previous hash, then time and position as lines.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend_from_slice(&self.frontier.size().to_be_bytes());
        for hash in self.frontier.hashes() {
            row.extend_from_slice(hash);
        }
        row.extend_from_slice(&self.previous);
        let time = self
            .last_recorded_at
            .map(|time| time.to_string())
            .unwrap_or_default();
        row.extend_from_slice(time.as_bytes());
        if let Some(StreamPosition {
            stream,
            created,
            sequence,
        }) = &self.position
        {
            row.extend_from_slice(format!("\n{sequence}\n{created}\n{stream}").as_bytes());
        }
        row
    }

    /// Reads [`Self::encode`]'s row; `None` if it is damaged or of another version.
    pub(super) fn decode(row: &[u8]) -> Option<Tip> {
        let (&version, row) = row.split_first()?;
        if version != VERSION {
            return None;
        }
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
        let text = std::str::from_utf8(row).ok()?;
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
        Some(Tip {
            frontier,
            previous: *previous,
            last_recorded_at,
            position,
        })
    }
}
