//! The head: where the log ends, written in the same batch as the records that moved it.
//!
//! Its row holds the open chunk too, so that an append which fills no chunk changes one row and
//! needs no batch: nearly every append of few records.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version of this form: 3 |
//! | 8 | number of the batch that wrote it (`journal.rs`) |
//! | 8 | number of records |
//! | 32 each | the frontier of the Merkle tree: one hash for each set bit of that number |
//! | 32 | hash of the last record |
//! | 4, and so many | time of the last record; sequence and time of the last message, creation time and name of the stream, as lines |
//! | 8 | sequence at which the open chunk begins; it is left out, as is the rest, if it has no records |
//! | | the row of the open chunk (`chunk/row.rs`) |
//!
//! Version 2 had no time of the last message. Version 1 had neither that nor a number of the batch, the
//! text at its end, and the open chunk in a row of its own.

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
    /// When the stream took the message: tells it from another that got its sequence after the server
    /// had lost it. `None` before the first message, and where Weir did not keep it.
    pub taken_at: Option<Timestamp>,
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

const VERSION: u8 = 3;

/// The row without the time of the last message.
const MESSAGE_UNTIMED: u8 = 2;

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
        let mut text = written(self.last_recorded_at);
        if let Some(StreamPosition {
            stream,
            created,
            sequence,
            taken_at,
        }) = &self.position
        {
            let taken_at = written(*taken_at);
            text.push_str(&format!("\n{sequence}\n{taken_at}\n{created}\n{stream}"));
        }
        text
    }

    /// Reads a row; `None` if it is damaged or of a newer version.
    pub(super) fn decode(row: &[u8]) -> Option<(Tip, Option<OpenChunk<'_>>)> {
        let (&version, row) = row.split_first()?;
        let (batch, row) = match version {
            VERSION | MESSAGE_UNTIMED => {
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
                let (sequence, position) = position.split_once('\n')?;
                let (taken_at, position) = match version {
                    VERSION => position.split_once('\n')?,
                    _ => ("", position),
                };
                let (created, stream) = position.split_once('\n')?;
                (
                    time,
                    Some(StreamPosition {
                        stream: stream.to_owned(),
                        created: created.to_owned(),
                        sequence: sequence.parse().ok()?,
                        taken_at: read(taken_at)?,
                    }),
                )
            }
        };
        let last_recorded_at = read(time)?;
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

/// A time as a line, which is empty without one.
fn written(time: Option<Timestamp>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// The time of a line; the outer `None` if it is none.
fn read(line: &str) -> Option<Option<Timestamp>> {
    match line {
        "" => Some(None),
        time => time.parse().ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(taken_at: Option<Timestamp>) -> Tip {
        Tip {
            batch: 7,
            position: Some(StreamPosition {
                stream: "WEIR".into(),
                created: "2026-08-21T10:00:00Z".into(),
                sequence: 3,
                taken_at,
            }),
            ..Tip::default()
        }
    }

    #[test]
    fn the_time_of_the_last_message_is_read_back_to_the_nanosecond() {
        let time = "2026-08-21T10:00:01.000000007Z".parse().expect("a time");
        for tip in [tip(Some(time)), tip(None), Tip::default()] {
            assert_eq!(Tip::decode(&tip.encode(None)), Some((tip, None)));
        }
    }

    #[test]
    fn a_head_written_before_that_time_was_kept_is_read_without_it() {
        let tip = tip(None);
        let row = tip.encode(None);
        let text = b"\n3\n2026-08-21T10:00:00Z\nWEIR";
        let length = u32::try_from(text.len()).expect("short").to_be_bytes();
        let begin = 1 + 8 + 8 + 32;
        let older = [&[MESSAGE_UNTIMED], &row[1..begin], &length, &text[..]].concat();
        assert_eq!(Tip::decode(&older), Some((tip, None)));
    }
}
