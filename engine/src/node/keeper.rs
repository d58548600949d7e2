//! The keeper: writes snapshots and archive files while the node works, without stopping it.
//!
//! It is a reader like any other. It folds what was appended since the last snapshot by itself
//! and writes the state that it comes to, so the node's thread neither waits nor copies its
//! state; and it is a second fold of everything, which would notice if the two differed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use weir_rules::State;

use super::{
    Archiving, Basis,
    ahead::Decode,
    deliveries,
    politeness::{Backlog, yield_to_others},
    rebuild::rebuild,
};
use crate::log::{Kind, LogReader, SnapshotError, SnapshotInfo, Snapshots};

/// Records between two snapshots: what a start after a kill folds at most, about half a second.
const EVERY: u64 = 100_000;

/// How many more there may be while inputs wait for the node: a start after a kill then takes two
/// seconds.
const BEHIND: u64 = 400_000;

/// A large state is written less often: one record more for so many bytes of its file.
const BYTES_PER_RECORD: u64 = 512;

/// A state is worth a file at a clean stop from so many records on: folding fewer takes a moment.
const WORTH: u64 = 500;

/// And a large one from more on: writing it takes as long as folding a record for so many bytes.
const BYTES_PER_RECORD_AT_STOP: u64 = 16 << 10;

/// Old states serve looking back; together they have this part of the store's size.
const PART_OF_STORE: u64 = 16;

/// Small stores keep so many bytes of them in any case.
const LEAST_BUDGET: u64 = 64 << 20;

/// These are what a start needs: the newest, and one should that be damaged.
const ALWAYS: usize = 2;

/// How long a look at the log may delay a stop.
const LOOK: Duration = Duration::from_millis(200);

/// After an error, as of a full disk, the next try waits for so many records.
const PATIENCE: u64 = 10_000;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The running keeper; it stops when dropped.
pub(super) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread. With an `archive` it writes each segment there once it is full.
    pub(super) fn start(
        reader: LogReader,
        basis: Basis,
        archive: Option<Archiving>,
        backlog: Backlog,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("keeper".into())
            .stack_size(16 << 20)
            .spawn(move || {
                yield_to_others();
                let stop = || stopped.load(Ordering::Relaxed);
                run(&reader, &basis, archive.as_ref(), &backlog, &stop);
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes snapshots panicked");
        }
    }
}

fn run(
    reader: &LogReader,
    basis: &Basis,
    archive: Option<&Archiving>,
    backlog: &Backlog,
    stop: &dyn Fn() -> bool,
) {
    let mut not_before = 0;
    // Whether the archive is of this log is told at once.
    let mut full = archive.map_or(u64::MAX, |archive| archive.keep(reader));
    while !stop() {
        let due = due_at(&reader.snapshots()).max(not_before);
        if !reader.wait_past(due.min(full), LOOK) {
            // A log that failed answers at once.
            thread::sleep(LOOK / 10);
            continue;
        }
        let last = reader.head().next_seq - 1;
        if let Some(archive) = archive.filter(|_| last >= full) {
            full = archive.keep(reader);
        }
        if last < due {
            continue;
        }
        if backlog.is_there() && last < due + BEHIND {
            thread::sleep(LOOK / 10);
        } else if let Err(error) = keep(reader, basis, stop) {
            tracing::warn!("no snapshot was kept, so the next start takes longer: {error}");
            not_before = due + PATIENCE;
        }
    }
}

/// The record with which the next snapshot is due.
fn due_at(snapshots: &Snapshots) -> u64 {
    match snapshots.list(Kind::State).last() {
        Some(last) => last.seq + EVERY.max(last.file_bytes / BYTES_PER_RECORD),
        None => EVERY,
    }
}

fn keep(reader: &LogReader, basis: &Basis, stop: &dyn Fn() -> bool) -> Result<(), BoxError> {
    deliveries::keep(reader, stop)?;
    let last = reader.head().next_seq - 1;
    let fold = rebuild(reader, basis, last, Decode::Here, stop)?;
    if !stop() && fold.is_whole() && fold.state.seq() == last {
        put(reader, &fold.state)?;
    }
    Ok(())
}

/// Keeps the state at a clean stop, if the records since the last one are many.
pub(super) fn keep_at_stop(reader: &LogReader, state: &State) -> Result<(), BoxError> {
    let list = reader.snapshots().list(Kind::State);
    let due = list.last().map_or(WORTH, |last| {
        last.seq + WORTH + last.file_bytes / BYTES_PER_RECORD_AT_STOP
    });
    if state.seq() >= due && state.seq() + 1 == reader.head().next_seq {
        deliveries::keep(reader, || false)?;
        put(reader, state)?;
    }
    Ok(())
}

fn put(reader: &LogReader, state: &State) -> Result<(), BoxError> {
    let snapshots = reader.snapshots();
    let digest = state.state_digest().to_string();
    snapshots.put(Kind::State, state.seq(), Some(digest), |to| {
        state.freeze(to)
    })?;
    let budget = (reader.size_on_disk()? / PART_OF_STORE).max(LEAST_BUDGET);
    thin_out(&snapshots, budget)?;
    tracing::debug!(record = state.seq(), "snapshot kept");
    Ok(())
}

/// Deletes states until the rest fits `budget`, so that those that stay lie evenly.
fn thin_out(snapshots: &Snapshots, budget: u64) -> Result<(), SnapshotError> {
    let mut list = snapshots.list(Kind::State);
    while list.len() > ALWAYS && list.iter().map(|info| info.file_bytes).sum::<u64>() > budget {
        let Some(place) = least_missed(&list) else {
            return Ok(());
        };
        let gone = list.remove(place);
        snapshots.remove(Kind::State, gone.seq)?;
    }
    Ok(())
}

/// The state whose neighbours are nearest to each other; never one of the newest.
fn least_missed(list: &[SnapshotInfo]) -> Option<usize> {
    (0..list.len().saturating_sub(ALWAYS)).min_by_key(|place| {
        let before = place.checked_sub(1).and_then(|before| list.get(before));
        let after = list.get(place + 1);
        after.map_or(u64::MAX, |after| after.seq) - before.map_or(0, |before| before.seq)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use weir_rules::{Execution, Settings};
    use weir_schema::record::{NO_HASH, hex};

    use super::*;
    use crate::log::{
        EncodedRecord, Log, LogOptions,
        archive::{self, SEGMENT_RECORDS},
    };

    #[test]
    fn a_segment_is_archived_once_it_is_full() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let mut log = Log::open(&dir.path().join("log"), LogOptions::default()).expect("a log");
        let reader = log.reader();
        let mut previous = NO_HASH;
        let mut records = (1..).map(|seq| {
            let link = hex(&previous);
            let record = format!(r#"{{"event":{{}},"previous":"{link}","recorded_at":"2026-08-21T10:00:00Z","seq":{seq},"v":1}}"#);
            let record = EncodedRecord::new(seq, record.into_bytes());
            previous = record.hash;
            record
        });
        let mut append = |count| {
            let batch: Vec<EncodedRecord> = records.by_ref().take(count).collect();
            log.append(&batch, None).expect("it appends");
        };
        append(SEGMENT_RECORDS as usize - 1);
        let to = dir.path().join("archive");
        let stopped = AtomicBool::new(false);
        let looked = std::sync::atomic::AtomicU32::new(0);
        let stop = || {
            looked.fetch_add(1, Ordering::Relaxed);
            stopped.load(Ordering::Relaxed)
        };
        let basis = Basis {
            settings: Settings::default(),
            execution: Execution::AtOnce,
        };
        let wait = |what: &str, done: &dyn Fn() -> bool| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while !done() {
                assert!(Instant::now() < deadline, "{what}");
                thread::sleep(Duration::from_millis(5));
            }
        };
        let files = || archive::files(&to).unwrap_or_default();
        let archive = Archiving::into(to.clone());
        let backlog = Backlog::default();
        thread::scope(|scope| {
            scope.spawn(|| run(&reader, &basis, Some(&archive), &backlog, &stop));
            wait("it looks again", &|| looked.load(Ordering::Relaxed) > 1);
            assert_eq!(files(), []);
            append(2);
            wait("it is archived", &|| files().len() == 1);
            stopped.store(true, Ordering::Relaxed);
        });
        let file = &files()[0];
        assert_eq!((file.first, file.last), (1, SEGMENT_RECORDS));
    }

    #[test]
    fn states_that_stay_lie_evenly_and_the_newest_always_stay() {
        let mut list: Vec<SnapshotInfo> = (1..=16)
            .map(|place| SnapshotInfo {
                seq: place * 10,
                file_bytes: 1,
            })
            .collect();
        while let Some(place) = least_missed(&list).filter(|_| list.len() > 6) {
            list.remove(place);
        }
        let seqs: Vec<u64> = list.iter().map(|info| info.seq).collect();
        assert_eq!(seqs.get(4..), Some(&[150, 160][..]), "{seqs:?}");
        let gaps = seqs.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() <= Some(50), "{seqs:?}");
    }
}
