//! What the rows of a log are, and what comes of rows that another program put into its store.

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
