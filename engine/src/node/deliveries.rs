//! The deliveries that the log remembers, rebuilt from its end.
//!
//! For each full segment of records they are kept beside the log, so that starting reads a few
//! files and the last records instead of a million.

use serde::Deserialize;
use std::borrow::Cow;
use weir_schema::{Position, Record, Timestamp};

use crate::{
    dedup::{self, Dedup, KEPT_EVENTS, KEPT_FOR, Key},
    log::{Kind, LogReader, ReadError, Snapshots},
};

/// Records in a segment.
pub(super) const SEGMENT: u64 = 65_536;

/// A key and a time.
const ENTRY_BYTES: usize = 16 + 16;

/// What is remembered of one, and when it was recorded.
pub(super) type Delivery = (Key, Timestamp);

/// The deliveries that are remembered at the end of the log.
pub(super) fn recent(reader: &LogReader) -> Result<Dedup, ReadError> {
    let snapshots = reader.snapshots();
    let last = reader.head().next_seq - 1;
    let full = last / SEGMENT;
    let mut segments = vec![read(reader, full * SEGMENT + 1, last)?];
    let newest = reader.recorded_at(last)?;
    for segment in (0..full).rev() {
        let known: usize = segments.iter().map(Vec::len).sum();
        let oldest = segments.iter().rev().find_map(|segment| segment.first());
        if is_enough(known, oldest, newest) {
            break;
        }
        segments.push(of_segment(reader, &snapshots, segment)?);
    }
    Ok(Dedup::after(segments.into_iter().rev().flatten()))
}

/// Keeps what is not kept yet of the full segments that are still remembered, and forgets others.
pub(super) fn keep(
    reader: &LogReader,
    stop: impl Fn() -> bool,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let snapshots = reader.snapshots();
    let last = reader.head().next_seq - 1;
    let newest = reader.recorded_at(last)?;
    let (mut known, mut over) = (0, false);
    for segment in (0..last / SEGMENT).rev() {
        let end = (segment + 1) * SEGMENT;
        if over {
            snapshots.remove(Kind::Deliveries, end)?;
            continue;
        }
        if stop() {
            return Ok(());
        }
        let deliveries = match snapshots
            .get(Kind::Deliveries, end)
            .and_then(|bytes| decode(&bytes))
        {
            Some(kept) => kept,
            None => {
                let read = read(reader, segment * SEGMENT + 1, end)?;
                snapshots.put(Kind::Deliveries, end, None, |to| {
                    to.write_all(&encode(&read))
                })?;
                read
            }
        };
        known += deliveries.len();
        over = is_enough(known, deliveries.first(), newest);
    }
    Ok(())
}

/// Whether what came before the last `known` deliveries is forgotten, of which `oldest` is the first:
/// they are enough, and it is long past at the time of the last record.
fn is_enough(known: usize, oldest: Option<&Delivery>, newest: Option<Timestamp>) -> bool {
    let is_past = newest
        .zip(oldest)
        .is_some_and(|(newest, (_, oldest))| newest.since(*oldest) > KEPT_FOR);
    known > KEPT_EVENTS && is_past
}

fn of_segment(
    reader: &LogReader,
    snapshots: &Snapshots,
    segment: u64,
) -> Result<Vec<Delivery>, ReadError> {
    let end = (segment + 1) * SEGMENT;
    let kept = snapshots.get(Kind::Deliveries, end);
    match kept.and_then(|bytes| decode(&bytes)) {
        Some(kept) => Ok(kept),
        None => read(reader, segment * SEGMENT + 1, end),
    }
}

/// The inputs among the records from `first` to `last`.
fn read(reader: &LogReader, first: u64, last: u64) -> Result<Vec<Delivery>, ReadError> {
    #[derive(Deserialize)]
    struct Row<'a> {
        #[serde(borrow)]
        event: Names<'a>,
        #[serde(borrow)]
        position: From<'a>,
        recorded_at: Timestamp,
    }
    #[derive(Deserialize)]
    struct Names<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow)]
        source: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct From<'a> {
        #[serde(borrow)]
        from: Cow<'a, str>,
    }
    let mut found = Vec::new();
    for item in reader.range(first, Some(last + 1)) {
        let (seq, bytes) = item?;
        let row: Row<'_> = serde_json::from_slice(&bytes).map_err(|error| ReadError::Damaged {
            seq,
            cause: error.to_string(),
        })?;
        if row.position.from != "step" {
            found.push((
                dedup::key(&row.event.source, &row.event.id),
                row.recorded_at,
            ));
        }
    }
    Ok(found)
}

/// The delivery that a record tells of: what Weir concluded nobody delivered.
pub(super) fn of(record: &Record) -> Option<Delivery> {
    match record.position {
        Position::Step { .. } => None,
        _ => {
            let key = dedup::key(&record.event.source, &record.event.id);
            Some((key, record.recorded_at))
        }
    }
}

/// All keys, then all times: the times compress well by themselves.
fn encode(deliveries: &[Delivery]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(deliveries.len() * ENTRY_BYTES);
    for (key, _) in deliveries {
        bytes.extend_from_slice(key);
    }
    for (_, at) in deliveries {
        bytes.extend_from_slice(&at.nanos().to_be_bytes());
    }
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Delivery>> {
    if !bytes.len().is_multiple_of(ENTRY_BYTES) {
        return None;
    }
    let (parts, _) = bytes.as_chunks::<16>();
    let (keys, times) = parts.split_at_checked(parts.len() / 2)?;
    keys.iter()
        .zip(times)
        .map(|(key, nanos)| Some((*key, Timestamp::from_nanos(i128::from_be_bytes(*nanos))?)))
        .collect()
}
