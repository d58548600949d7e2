//! The promises of the log's interface: what every store under it must keep.

use std::time::Duration;

use crate::records::{Records, check_whole};
use tempfile::TempDir;
use weir_engine::log::{
    AppendError, EncodedRecord, Head, Log, LogOptions, OpenError, StreamPosition,
};
use weir_schema::Timestamp;
use weir_schema::record::{NO_HASH, hex};

fn open(dir: &TempDir) -> Log {
    Log::open(&dir.path().join("log"), LogOptions::default()).expect("the log opens")
}

fn position(sequence: u64) -> StreamPosition {
    StreamPosition {
        stream: "weir".into(),
        created: "2026-08-01T08:00:00.123456789Z".into(),
        sequence,
        taken_at: Some("2026-08-02T08:00:00.000000001Z".parse().expect("a time")),
    }
}

#[test]
fn typical_records_are_records() {
    let mut records = Records::new(1);
    let mut all = records.take(500);
    all.extend((0..200).map(|_| records.rare()));
    for record in all {
        let decoded = weir_schema::record::Record::decode(&record.bytes).expect("it decodes");
        assert_eq!(decoded.seq, record.seq);
        let canonical = weir_schema::canonical::from_slice(&record.bytes).expect("it is JSON");
        assert_eq!(canonical, String::from_utf8_lossy(&record.bytes));
    }
}

#[test]
fn an_empty_log_has_the_empty_head() {
    let dir = TempDir::new().expect("a directory");
    let log = open(&dir);
    assert_eq!(log.head(), Head::default());
    assert_eq!(log.head().next_seq, 1);
    assert_eq!(*log.reader().head(), Head::default());
    assert_eq!(log.reader().get(1).expect("it reads"), None);
    assert_eq!(log.reader().range(1, None).count(), 0);
}

#[test]
fn what_is_appended_in_any_grouping_reads_back_the_same_now_and_after_reopening() {
    let dir = TempDir::new().expect("a directory");
    let all = Records::new(2).take(1000);
    let mut log = open(&dir);
    let mut rest = &all[..];
    for size in [1, 1, 1, 14, 3, 16, 17, 1, 64, 255, 256, 257, 114] {
        let (batch, after) = rest.split_at(size);
        log.append(batch, Some(position(batch[0].seq)))
            .expect("it appends");
        rest = after;
        assert_eq!(log.reader().head().next_seq, batch[size - 1].seq + 1);
    }
    assert!(rest.is_empty());
    let wanted: Vec<_> = all.iter().map(|record| record.bytes.clone()).collect();
    assert_eq!(check_whole(&log.reader()), wanted);
    let head = log.head();
    assert_eq!(head.position, Some(position(887)));
    drop(log);
    let log = open(&dir);
    assert_eq!(log.head(), head);
    assert_eq!(check_whole(&log.reader()), wanted);
}

#[test]
fn a_log_reopened_at_every_length_goes_on_as_if_never_closed() {
    let dir = TempDir::new().expect("a directory");
    let all = Records::new(3).take(40);
    for record in &all {
        let mut log = open(&dir);
        log.append(std::slice::from_ref(record), None)
            .expect("it appends");
    }
    assert_eq!(check_whole(&open(&dir).reader()).len(), 40);
}

#[test]
fn large_records_are_cut_into_parts_and_no_blob_is_made() {
    let dir = TempDir::new().expect("a directory");
    let mut records = Records::new(5);
    let mut all = Vec::new();
    let mut log = open(&dir);
    for size in [
        100_000,
        40_000,
        512_000,
        30_000,
        31_000,
        5_000_000,
        96 * 1024,
        97 * 1024,
        200,
    ] {
        let mut batch = records.take(3);
        batch.push(records.large(size));
        log.append(&batch, None).expect("it appends");
        all.extend(batch.into_iter().map(|record| record.bytes));
    }
    assert_eq!(check_whole(&log.reader()), all);
    drop(log);
    assert_eq!(check_whole(&open(&dir).reader()), all);
    let blobs = std::fs::read_dir(dir.path().join("log/store/blobs")).expect("it is there");
    assert_eq!(blobs.count(), 0);
}

#[test]
fn records_that_do_not_follow_are_refused_and_the_log_goes_on() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let all = Records::new(6).take(10);
    log.append(&all[..2], None).expect("it appends");
    let other = Records::new(7).take(3);
    let refused = [
        vec![all[0].clone()],
        vec![all[3].clone()],
        vec![all[2].clone(), all[4].clone()],
        vec![other[2].clone()],
        vec![EncodedRecord::new(3, b"{}".to_vec())],
    ];
    for batch in refused {
        let error = log.append(&batch, None).expect_err("it is refused");
        assert!(matches!(error, AppendError::NotNext { .. }), "{error}");
    }
    log.append(&all[2..], None).expect("it goes on");
    assert_eq!(check_whole(&log.reader()).len(), 10);
}

#[test]
fn a_record_beyond_the_limit_is_refused_by_size() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let error = log
        .append(&[Records::new(8).large(17 << 20)], None)
        .expect_err("it is refused");
    assert!(matches!(error, AppendError::TooLarge { .. }), "{error}");
}

#[test]
fn position_and_values_move_with_the_records() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let mut records = Records::new(9);
    log.append_with(&records.take(2), Some(position(7)), &[("outbox", b"2")])
        .expect("it appends");
    // A message that caused no record moves the position alone.
    log.append(&[], Some(position(8))).expect("it appends");
    log.append(&records.take(1), None).expect("it appends");
    log.meta_put("lease", b"node-1").expect("it is set");
    drop(log);
    let log = open(&dir);
    let reader = log.reader();
    assert_eq!(
        (reader.head().next_seq, reader.head().position.clone()),
        (4, Some(position(8)))
    );
    assert_eq!(
        reader.meta_get("outbox").expect("it reads"),
        Some(b"2".to_vec())
    );
    assert_eq!(
        reader.meta_get("lease").expect("it reads"),
        Some(b"node-1".to_vec())
    );
    assert_eq!(reader.meta_get("none").expect("it reads"), None);
}

#[test]
fn readers_see_a_batch_only_once_it_is_durable() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let reader = log.reader();
    let mut records = Records::new(10);
    let first = log
        .submit(&records.take(3), None, &[])
        .expect("it is written");
    let second = log
        .submit(&records.take(3), None, &[])
        .expect("it is written");
    assert_eq!((log.head().next_seq, reader.head().next_seq), (7, 1));
    assert_eq!(reader.get(1).expect("it reads"), None);
    assert!(!reader.wait_past(1, Duration::from_millis(10)));
    second.wait().expect("it is durable");
    assert_eq!(reader.head().next_seq, 7);
    assert!(reader.wait_past(6, Duration::ZERO));
    first.wait().expect("it was durable already");
    assert_eq!(check_whole(&reader).len(), 6);
}

#[test]
fn a_follower_on_another_thread_gets_every_record_in_order() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let reader = log.reader();
    let follower = std::thread::spawn(move || {
        let mut seen = 0;
        while seen < 300 {
            assert!(
                reader.wait_past(seen + 1, Duration::from_secs(60)),
                "record {} comes",
                seen + 1
            );
            for item in reader.range(seen + 1, None) {
                let (seq, _) = item.expect("it reads");
                assert_eq!(seq, seen + 1);
                seen = seq;
            }
        }
    });
    let mut records = Records::new(11);
    for size in (0..).map(|turn| 1 + turn % 7).take(75) {
        log.append(&records.take(size), None).expect("it appends");
    }
    log.append(&records.take(20), None).expect("it appends");
    follower.join().expect("the follower saw all");
}

#[test]
fn ranges_begin_and_end_anywhere() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    log.append(&Records::new(12).take(50), None)
        .expect("it appends");
    let reader = log.reader();
    let check = |from, to, wanted: std::ops::Range<u64>| {
        let seqs: Vec<u64> = reader
            .range(from, to)
            .map(|item| item.expect("it reads").0)
            .collect();
        assert_eq!(seqs, wanted.collect::<Vec<_>>(), "{from}..{to:?}");
    };
    check(0, None, 1..51);
    check(1, Some(1), 1..1);
    check(17, Some(18), 17..18);
    check(16, Some(33), 16..33);
    check(50, None, 50..51);
    check(51, None, 51..51);
    check(9, Some(9000), 9..51);
}

#[test]
fn a_log_in_use_is_refused_and_names_the_process() {
    let dir = TempDir::new().expect("a directory");
    let log = open(&dir);
    let reader = log.reader();
    let check = || match Log::open(&dir.path().join("log"), LogOptions::default()) {
        Err(error @ OpenError::InUse { .. }) => {
            assert!(
                error
                    .to_string()
                    .contains(&format!("process {}", std::process::id())),
                "{error}"
            );
        }
        other => panic!("expected it to be in use, got {:?}", other.err()),
    };
    check();
    drop(log);
    // A reader keeps it open too.
    check();
    drop(reader);
    open(&dir);
}

#[test]
fn a_read_only_log_reads_and_takes_nothing() {
    let dir = TempDir::new().expect("a directory");
    let options = LogOptions {
        read_only: true,
        ..LogOptions::default()
    };
    let path = dir.path().join("log");
    assert!(matches!(
        Log::open(&path, options.clone()),
        Err(OpenError::Missing { .. })
    ));
    assert!(!path.exists());
    let mut records = Records::new(13);
    open(&dir)
        .append(&records.take(5), None)
        .expect("it appends");
    let mut log = Log::open(&path, options).expect("it opens");
    assert_eq!(check_whole(&log.reader()).len(), 5);
    assert!(matches!(
        log.append(&records.take(1), None),
        Err(AppendError::ReadOnly { .. })
    ));
}

#[test]
fn what_is_no_log_of_this_format_is_left_alone() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("log");
    std::fs::create_dir(&path).expect("it is made");
    std::fs::write(path.join("notes.txt"), "mine").expect("it is written");
    assert!(matches!(
        Log::open(&path, LogOptions::default()),
        Err(OpenError::NotALog { .. })
    ));
    let names: Vec<_> = std::fs::read_dir(&path)
        .expect("it reads")
        .map(|entry| entry.expect("it reads").file_name())
        .collect();
    assert_eq!(names, ["notes.txt"]);

    std::fs::remove_file(path.join("notes.txt")).expect("it goes");
    open(&dir)
        .append(&Records::new(14).take(5), None)
        .expect("it appends");
    std::fs::write(path.join("format"), "weir log 4\n").expect("it is written");
    match Log::open(&path, LogOptions::default()) {
        Err(error @ OpenError::OtherFormat { .. }) => {
            assert!(error.to_string().contains("`weir log 4`"), "{error}");
        }
        other => panic!("expected another format, got {:?}", other.err()),
    }
    std::fs::write(path.join("format"), "weir log 3\n").expect("it is written");
    assert_eq!(check_whole(&open(&dir).reader()).len(), 5);
}

#[test]
fn an_unfinished_page_table_of_the_store_does_not_stop_it() {
    let dir = TempDir::new().expect("a directory");
    open(&dir)
        .append(&Records::new(15).take(5), None)
        .expect("it appends");
    let torn = dir
        .path()
        .join("log/store/snap.FFFFFFFFFFFFFFFF.generating");
    std::fs::write(&torn, "torn").expect("it is written");
    assert_eq!(check_whole(&open(&dir).reader()).len(), 5);
    assert!(!torn.exists());
}

/// A directory like that of the log, as `kill -9` would leave it now.
fn left_by_a_kill(dir: &TempDir, name: &str) -> std::path::PathBuf {
    let to = dir.path().join(name);
    copy(&dir.path().join("log"), &to);
    to
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(from)
        .arg(to)
        .status();
    assert!(copied.expect("cp runs").success());
}

fn replace(from: &std::path::Path, to: &std::path::Path) {
    std::fs::remove_dir_all(to).expect("it goes");
    copy(from, to);
}

#[test]
fn what_a_store_lost_since_it_was_synced_last_is_in_the_journal() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let mut records = Records::new(16);
    log.append(&records.take(5), None).expect("it appends");
    // A store that was never synced again: all that came since is lost in it.
    let early = left_by_a_kill(&dir, "early");
    for _ in 0..30 {
        log.append(&records.take(7), Some(position(9)))
            .expect("it appends");
    }
    log.meta_put("lease", b"node-1").expect("it is set");
    let left = left_by_a_kill(&dir, "left");
    replace(&early.join("store"), &left.join("store"));
    let again = Log::open(&left, LogOptions::default()).expect("it opens");
    assert_eq!(again.head(), log.head());
    assert_eq!(check_whole(&again.reader()), check_whole(&log.reader()));
    let lease = again.reader().meta_get("lease").expect("it reads");
    assert_eq!(lease, Some(b"node-1".to_vec()));
    drop(again);
    // Once it was opened, the store has everything.
    for file in ["0", "1"] {
        std::fs::remove_file(left.join("journal").join(file)).expect("it goes");
    }
    let again = Log::open(&left, LogOptions::default()).expect("it opens");
    assert_eq!(again.head(), log.head());
}

#[test]
fn a_log_that_lost_acknowledged_records_is_refused() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let mut records = Records::new(16);
    log.append(&records.take(5), None).expect("it appends");
    let early = left_by_a_kill(&dir, "early");
    log.append(&records.take(10), None).expect("it appends");
    log.append(&records.take(10), None).expect("it appends");
    let check = |name: &str, first_bad: u64, wanted: &str, change: &dyn Fn(&std::path::Path)| {
        let left = left_by_a_kill(&dir, name);
        change(&left);
        match Log::open(&left, LogOptions::default()) {
            Err(error @ OpenError::Damaged { .. }) => {
                let text = error.to_string();
                assert!(text.contains(wanted), "{name}: {text}");
                assert!(
                    text.contains(&format!("at record {first_bad}:")),
                    "{name}: {text}"
                );
            }
            other => panic!("{name}: expected damage, got {:?}", other.err()),
        }
    };
    check(
        "old store and journal",
        6,
        "records up to 25 were acknowledged",
        &|left| {
            replace(&early.join("store"), &left.join("store"));
            replace(&early.join("journal"), &left.join("journal"));
        },
    );
    // The store was never synced: all there was lay in the journal.
    check(
        "no journal",
        1,
        "records up to 25 were acknowledged",
        &|left| {
            replace(&early.join("store"), &left.join("store"));
            std::fs::remove_dir_all(left.join("journal")).expect("it goes");
        },
    );
    // The first batch is in the store; the second cannot be read, and hides the third.
    check(
        "a bad entry",
        6,
        "records up to 25 were acknowledged",
        &|left| {
            replace(&early.join("store"), &left.join("store"));
            let path = left.join("journal/0");
            let mut bytes = std::fs::read(&path).expect("it reads");
            let used = bytes.iter().rposition(|byte| *byte != 0).expect("entries");
            bytes[used / 4] ^= 1;
            std::fs::write(&path, bytes).expect("it is written");
        },
    );
    // The store of another log.
    let other = TempDir::new().expect("a directory");
    open(&other)
        .append(&Records::new(17).take(5), None)
        .expect("it appends");
    check(
        "another store",
        6,
        "its journal does not continue its store",
        &|left| {
            replace(&other.path().join("log/store"), &left.join("store"));
        },
    );
}

#[test]
fn a_log_longer_than_its_journal_is_whole_at_every_moment() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let mut records = Records::new(18);
    // Several times the length of the journal, in entries of many lengths.
    for turn in 0..40 {
        let mut batch = records.take(1 + turn % 5);
        batch.push(records.large(1_000_000 + turn * 10_000));
        log.append(&batch, None).expect("it appends");
        if turn % 8 == 7 {
            let left = left_by_a_kill(&dir, &format!("left-{turn}"));
            let again = Log::open(&left, LogOptions::default()).expect("it opens");
            assert_eq!(again.head(), log.head(), "turn {turn}");
            check_whole(&again.reader());
        }
    }
    // One that is longer than the journal itself.
    log.append(&[records.large(12_000_000)], None)
        .expect("it appends");
    log.append(&records.take(3), None).expect("it appends");
    let left = left_by_a_kill(&dir, "left-last");
    let again = Log::open(&left, LogOptions::default()).expect("it opens");
    assert_eq!(again.head(), log.head());
    drop(log);
    let log = open(&dir);
    assert_eq!(check_whole(&again.reader()), check_whole(&log.reader()));
}

/// Records with these times, in seconds.
fn timed(times: impl IntoIterator<Item = u64>) -> Vec<EncodedRecord> {
    let mut previous = NO_HASH;
    let numbered = (1..).zip(times);
    let records = numbered.map(|(seq, seconds)| {
        let (at, hash) = (time(seconds), hex(&previous));
        let text = format!(
            r#"{{"event":{{"data":{{}},"id":"{seq}","source":"/s","specversion":"1.0","type":"weir.clock.ticked"}},"position":{{"from":"clock"}},"previous":"{hash}","recorded_at":"{at}","seq":{seq},"v":1}}"#
        );
        let record = EncodedRecord::new(seq, text.into_bytes());
        previous = record.hash;
        record
    });
    records.collect()
}

fn time(seconds: u64) -> Timestamp {
    Timestamp::from_nanos(i128::from(seconds) * 1_000_000_000).expect("a time")
}

#[test]
fn the_last_record_that_is_not_after_a_time_is_found_however_time_passes() {
    const COUNT: u64 = 1_300;
    let evenly: fn(u64) -> u64 = |place| 1_000 + place;
    let in_steps = |place| 1_000 + place / 300 * 1_000_000;
    let standing_still = |_| 1_000;
    let ever_faster = |place| 1_000 + (1_u64 << (place / 40));
    let with_a_year_between = |place| 1_000 + place + place / 700 * 31_536_000;
    for passes in [
        evenly,
        in_steps,
        standing_still,
        ever_faster,
        with_a_year_between,
    ] {
        let dir = TempDir::new().expect("a directory");
        let mut log = open(&dir);
        let times: Vec<u64> = (0..COUNT).map(passes).collect();
        log.append(&timed(times.iter().copied()), None)
            .expect("it appends");
        let reader = log.reader();
        let mut asked: Vec<u64> = times.iter().flat_map(|at| [at - 1, *at, at + 1]).collect();
        asked.extend([0, 1 << 33]);
        asked.sort_unstable();
        asked.dedup();
        for seconds in asked {
            let wanted = times.iter().filter(|at| **at <= seconds).count() as u64;
            let found = reader.last_not_after(time(seconds)).expect("it reads");
            assert_eq!(found, wanted, "at {seconds}");
        }
    }
}
