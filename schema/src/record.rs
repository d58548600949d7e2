//! Records: events in the log, each bound to the one before by its hash.
//!
//! A record's bytes are canonical JSON with a format version. They are what is hashed, stored and
//! exported; everything else is derived from them.

use std::{fmt::Write as _, ops::Range, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::{Event, EventError, Received, Timestamp};

/// The version of the record's own form. A new form gets a new number, and the old one stays
/// readable.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes of the longest record. What is taken and what is concluded is bounded by it, so that whatever
/// comes has a place in the log.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;

/// The hash of a record, and the leaf hash of the log's Merkle tree (RFC 6962, section 2.1).
pub type Hash = [u8; 32];

/// What the first record has for the hash of the one before.
pub const NO_HASH: Hash = [0; 32];

/// Where an input came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Position {
    /// A message of a JetStream stream.
    Stream {
        /// The stream's name.
        stream: Arc<str>,
        /// When the stream was created: a recreated stream starts to count anew.
        created: Arc<str>,
        /// The message's sequence, from 1.
        sequence: u64,
        /// Which event of the message, from 0: a body may hold several.
        index: u32,
    },
    /// The engine's own intake, in the embedded default.
    Local,
    /// A line of a file, from 1.
    Line {
        /// The line.
        line: u64,
    },
    /// Concluded by Weir from the record `trigger`.
    Step {
        /// The sequence of the input at hand.
        trigger: u64,
    },
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Dense, from 1.
    pub seq: u64,
    /// The log's time: never decreases.
    pub recorded_at: Timestamp,
    /// What happened.
    pub event: Event,
    /// Where it came from.
    pub position: Position,
    /// Hash of the record before; [`NO_HASH`] for the first.
    pub previous: Hash,
}

/// Why some bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not JSON of the record's form.
    #[error("not a record: {0}")]
    Form(String),
    /// A newer version of Weir wrote it.
    #[error(
        "record {seq} has format version {version}, this version of Weir reads up to {FORMAT_VERSION}"
    )]
    Version {
        /// The record's sequence.
        seq: u64,
        /// The version it has.
        version: u32,
    },
    /// The event in it cannot be read.
    #[error("record {seq}: {source}")]
    Event {
        /// The record's sequence.
        seq: u64,
        /// What is wrong with the event.
        source: EventError,
    },
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    position: Position,
    previous: &'a str,
    recorded_at: Timestamp,
    seq: u64,
    v: u32,
}

/// The bytes of a record: canonical JSON, made without parsing `json` again.
///
/// `received.json` must be the canonical text of the event, as [`Received`] holds it.
#[must_use]
pub fn encode(
    seq: u64,
    recorded_at: Timestamp,
    received: &Received,
    position: &Position,
    previous: &Hash,
) -> Vec<u8> {
    let mut bytes = String::with_capacity(received.json.len() + 330);
    bytes.push_str("{\"event\":");
    bytes.push_str(&received.json);
    bytes.push_str(",\"position\":");
    // Writing into a string cannot fail.
    let _ = match position {
        // Those of which there are most, by hand.
        Position::Step { trigger } => write!(bytes, r#"{{"from":"step","trigger":{trigger}}}"#),
        Position::Local => write!(bytes, r#"{{"from":"local"}}"#),
        Position::Stream {
            stream,
            created,
            sequence,
            index,
        } => {
            bytes.push_str("{\"created\":");
            push_text(&mut bytes, created);
            let _ = write!(
                bytes,
                r#","from":"stream","index":{index},"sequence":{sequence},"stream":"#,
            );
            push_text(&mut bytes, stream);
            bytes.push('}');
            Ok(())
        }
        other @ Position::Line { .. } => write!(bytes, "{}", crate::canonical::to_string(other)),
    };
    bytes.push_str(",\"previous\":\"");
    crate::digest::push_hex(previous, &mut bytes);
    let _ = write!(
        bytes,
        r#"","recorded_at":"{recorded_at}","seq":{seq},"v":{FORMAT_VERSION}}}"#,
    );
    bytes.into_bytes()
}

/// Appends a text as JSON has it.
fn push_text(json: &mut String, text: &str) {
    if is_plain(text) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&crate::canonical::to_string(&text));
    }
}

/// Whether JSON has a text as it is, without escapes.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
}

/// The hash that 64 lower-case hexadecimal digits stand for.
#[must_use]
pub fn parse_hex(digits: &str) -> Option<Hash> {
    crate::digest::hash_from_hex(digits)
}

/// The hash of a record's bytes: `SHA-256(0x00 || bytes)`.
#[must_use]
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(bytes)
        .finalize()
        .into()
}

/// Lower-case hexadecimal digits of a hash.
#[must_use]
pub fn hex(hash: &Hash) -> String {
    crate::Digest::Sha256(*hash).hex()
}

/// The parts of a record in the form in which [`encode`] writes it.
struct Written<'a> {
    seq: u64,
    recorded_at: Timestamp,
    /// JSON, or nothing that can be read.
    event: &'a [u8],
    position: Position,
    previous: Hash,
}

/// What stands before the event in every record.
const BEFORE_EVENT: &[u8] = b"{\"event\":";

/// The parts of a record; `None` for every form but that of [`encode`], which is read the long way.
fn written(bytes: &[u8]) -> Option<Written<'_>> {
    const HASH_DIGITS: usize = 64;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let rest = bytes.strip_prefix(BEFORE_EVENT)?;
    let rest = rest.strip_suffix(b",\"v\":1}")?;
    let (rest, seq) = split_at_last(rest, b"\",\"seq\":")?;
    let (rest, recorded_at) = split_at_last(rest, b"\",\"recorded_at\":\"")?;
    let (rest, previous) = rest.split_at_checked(rest.len().checked_sub(HASH_DIGITS)?)?;
    let rest = rest.strip_suffix(b",\"previous\":\"")?;
    // The last of its kind: a position has no such key, and texts have no plain quotes.
    let (event, position) = split_at_last(rest, b",\"position\":")?;
    let position = text(position)?;
    let position = match position.strip_prefix("{\"from\":\"step\",\"trigger\":") {
        Some(trigger) => Position::Step {
            trigger: number(trigger.strip_suffix('}')?)?,
        },
        None if position == "{\"from\":\"local\"}" => Position::Local,
        None => match in_stream(position) {
            Some(position) => position,
            None => serde_json::from_str(position).ok()?,
        },
    };
    Some(Written {
        seq: number(text(seq)?)?,
        recorded_at: text(recorded_at)?.parse().ok()?,
        event,
        position,
        previous: crate::digest::hash_from_hex(text(previous)?)?,
    })
}

/// A position in a stream whose names are of plain text, as [`encode`] writes it.
fn in_stream(position: &str) -> Option<Position> {
    let rest = position.strip_prefix("{\"created\":\"")?;
    let (created, rest) = rest.split_once('"')?;
    let rest = rest.strip_prefix(",\"from\":\"stream\",\"index\":")?;
    let (index, rest) = rest.split_once(',')?;
    let rest = rest.strip_prefix("\"sequence\":")?;
    let (sequence, rest) = rest.split_once(',')?;
    let rest = rest.strip_prefix("\"stream\":\"")?;
    let stream = rest.strip_suffix("\"}")?;
    (is_plain(created) && is_plain(stream)).then_some(Position::Stream {
        stream: stream.into(),
        created: created.into(),
        sequence: number(sequence)?,
        index: number(index)?,
    })
}

/// A number as JSON has it.
fn number<T: FromStr>(digits: &str) -> Option<T> {
    let written = digits == "0" || !digits.starts_with(['0', '+']);
    written.then(|| digits.parse().ok())?
}

/// As `rsplit_once`, for what stands near the end: nothing is prepared for a long search.
fn split_at_last<'a, const N: usize>(
    text: &'a [u8],
    separator: &[u8; N],
) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(N).rposition(|window| window == separator)?;
    Some((text.get(..at)?, text.get(at + N..)?))
}

/// The canonical text of the event in a record that was decoded, or nothing if the record is not as
/// this version writes it.
#[must_use]
pub fn event_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(written(bytes)?.event).ok()
}

/// A record that Weir concluded, of which the event was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concluded {
    /// Its sequence.
    pub seq: u64,
    /// Its time.
    pub recorded_at: Timestamp,
    /// Where the text of the event stands in its bytes.
    pub event: Range<usize>,
}

/// What the bytes say without reading the event, if Weir concluded the record; `None` for every other,
/// and for one that is not as this version writes it.
#[must_use]
pub fn concluded(bytes: &[u8]) -> Option<Concluded> {
    let written = written(bytes)?;
    let start = BEFORE_EVENT.len();
    matches!(written.position, Position::Step { .. }).then(|| Concluded {
        seq: written.seq,
        recorded_at: written.recorded_at,
        event: start..start + written.event.len(),
    })
}

fn stored(bytes: &[u8]) -> Result<Stored<'_>, RecordError> {
    let stored: Stored<'_> =
        serde_json::from_slice(bytes).map_err(|error| RecordError::Form(error.to_string()))?;
    match stored.v {
        FORMAT_VERSION => Ok(stored),
        version => Err(RecordError::Version {
            seq: stored.seq,
            version,
        }),
    }
}

fn previous(stored: &Stored<'_>) -> Result<Hash, RecordError> {
    crate::digest::hash_from_hex(stored.previous)
        .ok_or_else(|| RecordError::Form(format!("`previous` of record {} is no hash", stored.seq)))
}

/// The sequence of a record and the hash of the one before, without reading its event.
///
/// # Errors
/// If the bytes are no record of a version that this one reads.
pub fn link(bytes: &[u8]) -> Result<(u64, Hash), RecordError> {
    let stored = stored(bytes)?;
    Ok((stored.seq, previous(&stored)?))
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// If the bytes are no record of a version that this one reads.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if let Some(written) = written(bytes)
            && let Ok(event) = Event::from_json(written.event)
        {
            return Ok(Self {
                seq: written.seq,
                recorded_at: written.recorded_at,
                event,
                position: written.position,
                previous: written.previous,
            });
        }
        let stored = stored(bytes)?;
        let seq = stored.seq;
        let event = Event::from_json(stored.event.get().as_bytes())
            .map_err(|source| RecordError::Event { seq, source })?;
        Ok(Self {
            seq,
            recorded_at: stored.recorded_at,
            event,
            previous: previous(&stored)?,
            position: stored.position,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    #[test]
    fn a_record_is_canonical_and_reads_as_it_is_written() {
        let event = Event {
            id: "1".into(),
            source: "test".into(),
            time: None,
            subject: None,
            body: Body::ClockTicked,
        };
        let record = Record {
            seq: 7,
            recorded_at: "2026-08-21T10:00:00Z".parse().unwrap(),
            event: event.clone(),
            position: Position::Stream {
                stream: "weir".into(),
                created: "2026-08-21T09:00:00Z".into(),
                sequence: 3,
                index: 0,
            },
            previous: [0xab; 32],
        };
        let bytes = encode(
            7,
            record.recorded_at,
            &event.into(),
            &record.position,
            &record.previous,
        );
        assert_eq!(
            crate::canonical::from_slice(&bytes).unwrap().into_bytes(),
            bytes
        );
        assert_eq!(Record::decode(&bytes).unwrap(), record);
        assert_eq!(concluded(&bytes), None);
        assert_eq!(link(&bytes).unwrap(), (7, [0xab; 32]));
    }

    #[test]
    fn a_record_that_contains_what_looks_like_the_end_of_one_is_read_right() {
        let json = r#"{"data":{"a":"\",\"seq\":9","position":{"from":"local"},"x":[{"position":{"from":"step","trigger":1},"previous":"00"}]},"id":"1","source":"s","specversion":"1.0","type":"acme.new"}"#;
        let received = Received::from_json(json.as_bytes()).unwrap();
        for position in [
            Position::Local,
            Position::Line { line: 3 },
            Position::Step { trigger: 6 },
            Position::Stream {
                stream: "a\",\"position\":{".into(),
                created: "c".into(),
                sequence: 1,
                index: 2,
            },
        ] {
            let at = "2026-08-21T10:00:00.5Z".parse().unwrap();
            let bytes = encode(7, at, &received, &position, &[0xcd; 32]);
            let record = Record::decode(&bytes).unwrap();
            assert_eq!(record.event, received.event);
            assert_eq!((record.seq, &record.position), (7, &position));
            let is_step = matches!(position, Position::Step { .. });
            let concluded = concluded(&bytes);
            assert_eq!(concluded.is_some(), is_step);
            if let Some(concluded) = concluded {
                assert_eq!((concluded.seq, concluded.recorded_at), (7, at));
                assert_eq!(&bytes[concluded.event], received.json.as_bytes());
            }
            assert_eq!((record.recorded_at, record.previous), (at, [0xcd; 32]));
            // What is no JSON is no record, however near it is to one.
            let text = String::from_utf8(bytes).unwrap();
            for (right, wrong) in [
                (":7,", ":+7,"),
                (":7,", ":07,"),
                (":1,", ":+1,"),
                (":6}", ":+6}"),
            ] {
                let spoilt = text.replacen(right, wrong, usize::MAX);
                assert!(
                    spoilt == text || Record::decode(spoilt.as_bytes()).is_err(),
                    "{spoilt}"
                );
            }
        }
    }

    #[test]
    fn a_record_of_a_newer_form_is_refused_by_name() {
        let bytes = br#"{"event":{},"position":{"from":"local"},"previous":"","recorded_at":"2026-08-21T10:00:00Z","seq":4,"v":2}"#;
        assert_eq!(
            Record::decode(bytes),
            Err(RecordError::Version { seq: 4, version: 2 })
        );
    }
}
