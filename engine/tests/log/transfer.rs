//! Export, import and archives: equal to the byte, or refused by line.

use std::fs;

use tempfile::TempDir;
use weir_engine::log::transfer::{TransferError, archive, export, import, open_archive};
use weir_engine::log::{Log, LogOptions};

use crate::records::Records;

fn open(dir: &TempDir, name: &str) -> Log {
    Log::open(&dir.path().join(name), LogOptions::default()).expect("the log opens")
}

#[test]
fn an_export_imported_elsewhere_is_the_same_log() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir, "log");
    let mut records = Records::new(50);
    for _ in 0..3 {
        log.append(&records.take(300), None).expect("it appends");
        log.append(&[records.large(200_000)], None)
            .expect("it appends");
    }
    let mut lines = Vec::new();
    assert_eq!(
        export(&log.reader(), 1, None, &mut lines).expect("it exports"),
        903
    );
    let mut other = open(&dir, "other");
    assert_eq!(import(&mut other, &lines[..]).expect("it imports"), 903);
    assert_eq!(
        (other.head().root, other.head().previous),
        (log.head().root, log.head().previous)
    );
    let mut again = Vec::new();
    export(&other.reader(), 1, None, &mut again).expect("it exports");
    assert!(again == lines, "equal to the byte");
}

#[test]
fn archives_in_turn_make_the_log_again() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir, "log");
    log.append(&Records::new(51).take(1000), None)
        .expect("it appends");
    let reader = log.reader();
    let to = dir.path().join("archive");
    let first = archive(&reader, &to, 1, 500).expect("it is written");
    let second = archive(&reader, &to, 501, 1000).expect("it is written");
    assert!(first.ends_with("records-000000000001-000000000500.jsonl.zst"));
    assert!(
        fs::metadata(&first)
            .expect("it is there")
            .permissions()
            .readonly()
    );
    assert_eq!(archive(&reader, &to, 1, 500).expect("it is there"), first);
    assert!(matches!(
        archive(&reader, &to, 900, 1001),
        Err(TransferError::Missing { .. })
    ));

    let mut other = open(&dir, "other");
    let refused = import(&mut other, open_archive(&second).expect("it opens"));
    assert!(
        matches!(refused, Err(TransferError::Append(_))),
        "the first comes first"
    );
    for path in [first, second] {
        assert_eq!(
            import(&mut other, open_archive(&path).expect("it opens")).expect("it imports"),
            500
        );
    }
    assert_eq!(other.head().root, log.head().root);
}

#[test]
fn a_line_that_was_changed_is_named_and_nothing_after_it_is_taken() {
    let lines: Vec<Vec<u8>> = Records::new(52)
        .take(20)
        .into_iter()
        .map(|record| record.bytes)
        .collect();
    let check = |change: &dyn Fn(&mut Vec<Vec<u8>>), wanted: u64| {
        let dir = TempDir::new().expect("a directory");
        let mut log = open(&dir, "log");
        let mut lines = lines.clone();
        change(&mut lines);
        match import(&mut log, &lines.join(&b'\n')[..]) {
            Err(TransferError::Line { line, .. }) => {
                assert_eq!((line, log.head().next_seq), (wanted, wanted))
            }
            other => panic!("expected line {wanted} to be refused, got {other:?}"),
        }
    };
    check(&|lines| lines[6].clear(), 7);
    check(&|lines| lines[6].push(b' '), 7);
    check(&|lines| lines[6] = b"{}".to_vec(), 7);
    check(&|lines| lines[6].truncate(100), 7);
    check(&|lines| drop(lines.remove(6)), 7);
    check(&|lines| lines.swap(6, 7), 7);
    // A change of content shows in the line after.
    let edit = |lines: &mut Vec<Vec<u8>>| {
        let text = String::from_utf8_lossy(&lines[6]).replacen(
            "registry.example.com",
            "registry.example.org",
            1,
        );
        assert_ne!(text.as_bytes(), &lines[6][..]);
        lines[6] = text.into_bytes();
    };
    check(&edit, 8);
}
