//! What the rows of a log are, and what comes of rows that another program put into its store.

use std::fs;

use tempfile::TempDir;
use weir_schema::record::NO_HASH;

use super::{
    checkpoint::Checkpoint,
    dictionary,
    key::SigningKey,
    store::Changes,
    verify_tests::{chain, log_of},
    *,
};

/// Puts rows into the store of a log, behind its back.
fn put<const N: usize>(log: &Log, rows: [(Vec<u8>, Vec<u8>); N]) {
    let mut changes = Changes::default();
    for (key, value) in rows {
        changes.put(&key, value);
    }
    let reader = log.reader();
    let store = reader.store();
    store.apply(changes).expect("it is written");
    store.sync().expect("it is kept");
}

/// Where the chunks of a log begin.
fn begins(log: &Log) -> Vec<u64> {
    let reader = log.reader();
    let rows = reader.store().range(b"c", b"d", usize::MAX);
    let rows = rows.expect("it reads").into_iter();
    rows.filter_map(|(key, _)| keys::chunk_first(&key))
        .collect()
}

fn bytes_of(log: &Log) -> Vec<Vec<u8>> {
    let reader = log.reader();
    let rows = reader.range(1, None);
    rows.map(|row| row.expect("it reads").1).collect()
}

#[test]
fn single_records_end_in_full_chunks() {
    let (one_by_one, at_once) = (TempDir::new(), TempDir::new());
    let (one_by_one, at_once) = (one_by_one.expect("a directory"), at_once.expect("another"));
    let all = chain(1, 512, "scan", NO_HASH);
    let mut log = log_of(one_by_one.path(), &[]);
    for record in &all {
        log.append(std::slice::from_ref(record), None)
            .expect("it appends");
    }
    let whole = log_of(at_once.path(), &all);
    let full: Vec<u64> = (1..513).step_by(16).collect();
    assert_eq!(begins(&log), full);
    assert_eq!(begins(&whole), full);
}

/// Where the head in the store says that the log ends, and up to where the stream is read.
fn stored_head(log: &Log) -> (u64, Option<u64>) {
    let reader = log.reader();
    let row = reader.store().get(keys::HEAD).expect("it reads");
    let (tip, _) = head::Tip::decode(&row.unwrap_or_default()).expect("a head");
    let position = tip.position.as_ref().map(|position| position.sequence);
    (tip.next_seq(), position)
}

fn at(sequence: u64) -> Option<StreamPosition> {
    Some(StreamPosition {
        stream: "WEIR".into(),
        created: "2026-08-21T10:00:00Z".into(),
        sequence,
        taken_at: None,
    })
}

/// The log as it would be found after its process was killed.
fn killed(log: &Log, copy: &std::path::Path) -> Log {
    let status = std::process::Command::new("cp")
        .args(["-r", "--sparse=always"])
        .args([log.reader().dir(), copy])
        .status();
    assert!(status.expect("cp runs").success());
    Log::open(copy, LogOptions::default()).expect("it opens")
}

#[test]
fn the_store_gets_rows_once_they_are_durable_and_the_head_at_the_end() {
    let dir = TempDir::new().expect("a directory");
    let all = chain(1, 18, "scan", NO_HASH);
    drop(log_of(dir.path(), &all[..1]));
    let mut log = log_of(dir.path(), &[]);
    assert_eq!(stored_head(&log), (2, None));
    let pending = log.submit(&all[1..17], at(1), &[]).expect("it is written");
    assert!(
        begins(&log).is_empty(),
        "a power cut might leave the rows alone"
    );
    pending.wait().expect("it is durable");
    assert_eq!(begins(&log), [1]);
    log.append(&[], at(3)).expect("it appends");
    assert_eq!(stored_head(&log), (2, None), "the journal has it");
    assert_eq!(log.head().position, at(3));
    assert_eq!(bytes_of(&log).len(), 17);

    let killed = killed(&log, &dir.path().join("killed"));
    assert_eq!(killed.head(), log.head());
    assert_eq!(stored_head(&killed), (18, Some(3)));
    assert_eq!(bytes_of(&killed), bytes_of(&log));
    drop(killed);

    let last = log.submit(&all[17..], at(4), &[("note", b"1")]);
    let reader = log.reader();
    drop(log);
    last.expect("it is written").wait().expect("it is durable");
    let row = reader.store().get(keys::HEAD).expect("it reads");
    let (tip, _) = head::Tip::decode(&row.expect("a row")).expect("a head");
    assert_eq!((tip.next_seq(), tip.position), (19, at(4)));
    let note = reader.meta_get("note").expect("it reads");
    assert_eq!(note.as_deref(), Some(&b"1"[..]));
}

#[test]
fn whatever_of_a_batch_a_crash_left_in_the_store_the_log_is_the_same() {
    let dir = TempDir::new().expect("a directory");
    let all = chain(1, 600, "scan", NO_HASH);
    let mut log = log_of(dir.path(), &all[..1]);
    for batch in all[1..].chunks(37) {
        log.append(batch, None).expect("it appends");
    }
    let reader = log.reader();
    let rows = reader.store().range(b"", b"\xff", usize::MAX);
    let rows = rows.expect("it reads");
    for (turn, left) in [0, 1, 2, 19, 40, rows.len()].into_iter().enumerate() {
        let copy = dir.path().join(format!("killed-{turn}"));
        drop(killed(&log, &copy));
        fs::remove_dir_all(copy.join("store")).expect("it goes");
        fs::remove_file(copy.join("witness")).expect("it goes");
        let journal = dir.path().join("log/journal");
        for file in ["0", "1"] {
            fs::copy(journal.join(file), copy.join("journal").join(file)).expect("it is copied");
        }
        let store = Store::open(&copy.join("store"), 1 << 20).expect("it opens");
        let mut changes = Changes::default();
        for (key, value) in rows.iter().rev().take(left) {
            changes.put(key, value.to_vec());
        }
        store.apply(changes).expect("it is written");
        drop(store);
        let again = Log::open(&copy, LogOptions::default()).expect("it opens");
        assert_eq!(again.head(), log.head());
        assert_eq!(bytes_of(&again), bytes_of(&log));
        assert_eq!(begins(&again), begins(&log));
    }
}

#[test]
fn heads_alone_fill_the_journal_again_and_again_and_the_last_is_found_after_a_kill() {
    let dir = TempDir::new().expect("a directory");
    let mut log = log_of(dir.path(), &chain(1, 20, "scan", NO_HASH));
    // A stream with a long name: more than three files of the journal.
    let long = |sequence| {
        at(sequence).map(|position| StreamPosition {
            stream: "W".repeat(60_000),
            ..position
        })
    };
    let mut pending = None;
    for sequence in 1..=250 {
        pending = Some(log.submit(&[], long(sequence), &[]).expect("it is written"));
    }
    pending.expect("one").wait().expect("it is durable");
    let stored = stored_head(&log).1.expect("a position");
    assert!(150 < stored && stored < 250, "{stored}");
    let killed = killed(&log, &dir.path().join("killed"));
    assert_eq!(killed.head(), log.head());
    assert_eq!(killed.head().position, long(250));
}

#[test]
fn a_dictionary_in_the_store_serves_new_chunks_and_the_old_stay_readable() {
    let dir = TempDir::new().expect("a directory");
    let all = chain(1, 300, "scan", NO_HASH);
    let log = log_of(dir.path(), &all[..100]);
    let text = all[0].bytes.repeat(10);
    let id = dictionary::id_of(&text);
    put(
        &log,
        [
            ([keys::DICTIONARIES, &id].concat(), text),
            (keys::DICTIONARIES.to_vec(), id.to_vec()),
        ],
    );
    drop(log);
    for more in [&all[100..200], &all[200..]] {
        drop(log_of(dir.path(), more));
    }
    let log = log_of(dir.path(), &[]);
    let wanted: Vec<Vec<u8>> = all.into_iter().map(|record| record.bytes).collect();
    assert_eq!(bytes_of(&log), wanted);
    let last = log.reader().store().get(&keys::chunk(257));
    let last = last.expect("it reads").expect("it is there");
    assert_eq!(last[1..=id.len()], id);
}

#[test]
fn a_log_that_left_its_own_checkpoint_is_not_signed_again() {
    let key = SigningKey::from_seed("weir", &[5; 32]).expect("a key");
    let dir = TempDir::new().expect("a directory");
    let mut log = log_of(dir.path(), &chain(1, 20, "scan", NO_HASH));
    let foreign = Checkpoint {
        origin: "weir".into(),
        size: 10,
        root: [1; 32],
        extensions: Vec::new(),
    };
    let row = foreign.sign(&key).to_string().into_bytes();
    put(&log, [(keys::checkpoint(10), row)]);
    assert!(matches!(
        log.checkpoint(&key),
        Err(MakeError::Forked { size: 10 })
    ));
    for size in [1, 10, 20] {
        let signed = log.reader().checkpoint_at(size, &key);
        assert!(
            matches!(signed, Err(MakeError::Forked { size: 10 })),
            "at {size}: {signed:?}"
        );
    }
}
