//! Whether the snapshots beside a log are what its records lead to.
//!
//! A start believes one by what it says of itself, and whoever can write in the directory can have it
//! say so. A fold of the whole log knows what it should hold.

use std::{iter::Peekable, path::PathBuf, vec};

use weir_rules::{Settings, State};
use weir_schema::Record;

use super::{
    Basis, Fold,
    deliveries::{self, Delivery, SEGMENT},
};
use crate::log::{Kind, LogReader, SnapshotInfo, Snapshots};

/// The snapshots that a fold of the whole log has yet to come by.
pub struct SnapshotCheck {
    snapshots: Snapshots,
    settings: Settings,
    states: Peekable<vec::IntoIter<SnapshotInfo>>,
    segments: Peekable<vec::IntoIter<SnapshotInfo>>,
    /// Those so far of the segment that is first in `segments`.
    deliveries: Vec<Delivery>,
    differing: Vec<PathBuf>,
}

impl SnapshotCheck {
    /// Of all the snapshots that there are.
    #[must_use]
    pub fn of(reader: &LogReader, basis: &Basis) -> Self {
        let snapshots = reader.snapshots();
        let mut segments = snapshots.list(Kind::Deliveries);
        // Others are never read.
        segments.retain(|info| info.seq > 0 && info.seq.is_multiple_of(SEGMENT));
        segments.dedup_by_key(|info| info.seq);
        Self {
            states: snapshots.list(Kind::State).into_iter().peekable(),
            segments: segments.into_iter().peekable(),
            settings: basis.settings.clone(),
            deliveries: Vec::new(),
            differing: Vec::new(),
            snapshots,
        }
    }

    /// Takes the next record, from the first on, and the fold that has taken it.
    pub fn pass(&mut self, record: &Record, fold: &Fold) {
        while let Some(info) = self.states.next_if(|info| info.seq <= record.seq) {
            if info.seq == record.seq && self.differs(fold, info.seq) {
                self.differing
                    .push(self.snapshots.path(Kind::State, info.seq));
            }
        }
        self.pass_delivery(record);
    }

    /// The files that hold something else than the records that were passed lead to.
    #[must_use]
    pub fn differing(self) -> Vec<PathBuf> {
        self.differing
    }

    /// Whether the state kept after the fold's last record is another. One that no start would use
    /// is none.
    fn differs(&self, fold: &Fold, seq: u64) -> bool {
        let kept = self.snapshots.open(Kind::State, seq);
        let read = kept.and_then(|kept| kept.read().ok());
        let thawed = read.and_then(|read| State::thaw(read, self.settings.clone()).ok());
        thawed.is_some_and(|state| {
            state.seq() == seq
                && !(fold.is_whole() && state.state_digest() == fold.state.state_digest())
        })
    }

    fn pass_delivery(&mut self, record: &Record) {
        let Some(end) = self.segments.peek().map(|info| info.seq) else {
            return;
        };
        if record.seq + SEGMENT <= end {
            return;
        }
        self.deliveries.extend(deliveries::of(record));
        if record.seq < end {
            return;
        }
        self.segments.next();
        let here = std::mem::take(&mut self.deliveries);
        let kept = self.snapshots.get(Kind::Deliveries, end);
        let kept = kept.and_then(|bytes| deliveries::decode(&bytes));
        if kept.is_some_and(|kept| kept != here) {
            self.differing
                .push(self.snapshots.path(Kind::Deliveries, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_rules::Execution;
    use weir_schema::record::{NO_HASH, hex};

    use super::*;
    use crate::log::{EncodedRecord, Log, LogOptions};

    #[test]
    fn deliveries_that_no_record_tells_of_are_found() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let mut log = Log::open(dir.path(), LogOptions::default()).expect("a log");
        let mut previous = NO_HASH;
        let records: Vec<EncodedRecord> = (1..=SEGMENT)
            .map(|seq| {
                let link = hex(&previous);
                let record = format!(r#"{{"event":{{"data":{{}},"id":"{seq}","source":"s","specversion":"1.0","type":"weir.clock.ticked"}},"position":{{"from":"local"}},"previous":"{link}","recorded_at":"2026-08-21T10:00:00Z","seq":{seq},"v":1}}"#);
                let record = EncodedRecord::new(seq, record.into_bytes());
                previous = record.hash;
                record
            })
            .collect();
        log.append(&records, None).expect("it appends");
        let reader = log.reader();
        let basis = Basis {
            settings: Settings::default(),
            execution: Execution::AtOnce,
        };
        let differing = || {
            let mut check = SnapshotCheck::of(&reader, &basis);
            let fold = Fold::new(&basis);
            for record in &records {
                let record = Record::decode(&record.bytes).expect("a record");
                check.pass(&record, &fold);
            }
            check.differing()
        };
        deliveries::keep(&reader, || false).expect("they are kept");
        assert_eq!(differing(), [] as [PathBuf; 0]);

        let kept = reader.snapshots().get(Kind::Deliveries, SEGMENT);
        let mut forged = kept.expect("they are kept");
        forged[0] ^= 1;
        let put = |to: &mut dyn std::io::Write| to.write_all(&forged);
        let done = reader.snapshots().put(Kind::Deliveries, SEGMENT, None, put);
        done.expect("it is kept");
        let file = dir.path().join("snapshots/000000065536.deliveries");
        assert_eq!(differing(), [file]);
    }
}
