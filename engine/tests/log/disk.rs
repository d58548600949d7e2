//! The log on a disk that is full or read-only: whole afterwards, and the error says what to do.

use std::fs;

use crate::images::{Mounted, make_image, skipped};
use crate::records::{Records, check_whole};
use tempfile::TempDir;
use weir_engine::log::{AppendError, Log, LogOptions, OpenError};

#[test]
fn a_full_disk_stops_the_log_and_loses_nothing_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let image = dir.path().join("image");
    let mounted = match make_image(&image, 64).and_then(|()| Mounted::new(&image, dir.path(), "rw"))
    {
        Ok(mounted) => mounted,
        Err(why) => return skipped("full disks", &why),
    };
    let path = mounted.path().join("log");
    let ballast = mounted.path().join("ballast");
    fs::write(&ballast, vec![1; 24 << 20]).expect("it is written");
    let mut log = Log::open(&path, LogOptions::default()).expect("the log opens");
    let mut records = Records::new(30);
    let mut acknowledged = 1;
    let error = loop {
        let mut batch = records.take(20);
        batch.push(records.large(300_000));
        match log.append(&batch, None) {
            Ok(()) => acknowledged = log.head().next_seq,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "64 MiB hold no 10,000 such records");
    };
    assert!(matches!(error, AppendError::NoSpace { .. }), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");
    let head = log.head();
    let again = log
        .append(&Records::after(31, &log).take(1), None)
        .expect_err("it takes no more");
    assert!(matches!(again, AppendError::NoSpace { .. }), "{again}");
    assert_eq!(log.head(), head);
    assert!(
        check_whole(&log.reader()).len() as u64 + 1 >= acknowledged,
        "what is durable still reads"
    );
    drop(log);

    // Still full: opening may need no space, or says that it does.
    match Log::open(&path, LogOptions::default()) {
        Ok(log) => assert!(log.head().next_seq >= acknowledged),
        Err(error) => assert!(matches!(error, OpenError::NoSpace { .. }), "{error}"),
    }
    fs::remove_file(&ballast).expect("it goes");
    let mut log = Log::open(&path, LogOptions::default()).expect("the log opens");
    assert!(
        log.head().next_seq >= acknowledged,
        "{} < {acknowledged}",
        log.head().next_seq
    );
    let more = Records::after(32, &log).take(20);
    log.append(&more, None).expect("it goes on");
    check_whole(&log.reader());
}

#[test]
fn a_read_only_file_system_is_named() {
    let dir = TempDir::new().expect("a directory");
    let image = dir.path().join("image");
    let mounted = match make_image(&image, 64).and_then(|()| Mounted::new(&image, dir.path(), "rw"))
    {
        Ok(mounted) => mounted,
        Err(why) => return skipped("read-only file systems", &why),
    };
    let mut log =
        Log::open(&mounted.path().join("log"), LogOptions::default()).expect("the log opens");
    log.append(&Records::new(33).take(20), None)
        .expect("it appends");
    drop(log);
    drop(mounted);
    let mounted = Mounted::new(&image, dir.path(), "ro").expect("it mounts");
    match Log::open(&mounted.path().join("log"), LogOptions::default()) {
        Err(error @ OpenError::ReadOnly { .. }) => assert!(
            error.to_string().contains("read-only file system"),
            "{error}"
        ),
        other => panic!("expected a read-only file system, got {:?}", other.err()),
    }
}
