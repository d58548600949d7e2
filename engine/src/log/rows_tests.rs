//! What the rows of a log are, and what comes of rows that another program put into its store.

use std::fs;

use tempfile::TempDir;
use weir_schema::record::NO_HASH;

use super::{
    checkpoint::Checkpoint,
    chunk::{ChunkError, Encoder, dictionary},
    key::SigningKey,
    store::Changes,
    verify_tests::{chain, log_of, record},
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
    let all = chain(1, 515, "scan", NO_HASH);
    let mut log = log_of(one_by_one.path(), &[]);
    for record in &all {
        log.append(std::slice::from_ref(record), None)
            .expect("it appends");
    }
    let whole = log_of(at_once.path(), &all);
    let full: Vec<u64> = (1..516).step_by(chunk::CHUNK_RECORDS).collect();
    assert_eq!(begins(&log), full);
    assert_eq!(begins(&whole), full);
}

#[test]
fn chunks_end_where_they_would_without_a_long_record_among_them() {
    let dir = TempDir::new().expect("a directory");
    let mut log = log_of(dir.path(), &chain(1, 6, "scan", NO_HASH));
    let long = "s".repeat(40_000);
    let previous = log.head().previous;
    log.append(&chain(7, 2, &long, previous), None)
        .expect("it appends");
    let previous = log.head().previous;
    log.append(&chain(9, 12, "scan", previous), None)
        .expect("it appends");
    assert_eq!(begins(&log), [1, 6, 7, 8, 9, 11, 16]);
    let reader = log.reader();
    for (seq, bytes) in (1..).zip(bytes_of(&log)) {
        assert_eq!(reader.get(seq).expect("it reads"), Some(bytes), "{seq}");
    }
}

#[test]
fn a_damaged_long_record_hides_none_beside_it_nor_does_it_stop_the_log() {
    let dir = TempDir::new().expect("a directory");
    let log = log_of(dir.path(), &chain(1, 5, "scan", NO_HASH));
    let previous = log.head().previous;
    drop(log);
    drop(log_of(
        dir.path(),
        &chain(6, 1, &"s".repeat(40_000), previous),
    ));
    let log = log_of(dir.path(), &[]);
    let previous = log.head().previous;
    drop(log);
    let log = log_of(dir.path(), &chain(7, 4, "scan", previous));
    assert_eq!(begins(&log), [1, 6, 7]);
    let row = log.reader().store().get(&keys::chunk(6));
    let mut row = row.expect("it reads").expect("it is there").to_vec();
    let last = row.len() - 1;
    row[last] ^= 1;
    put(&log, [(keys::chunk(6).to_vec(), row)]);
    drop(log);

    let log = log_of(dir.path(), &[]);
    let reader = log.reader();
    for seq in [1, 5, 7, 8, 10] {
        assert!(reader.get(seq).expect("it reads").is_some(), "{seq}");
    }
    let named = |error: ReadError| error.seq();
    assert_eq!(reader.get(6).map_err(named), Err(Some(6)));
    let mut rows = reader.range(2, None).map(|row| row.map_err(named));
    let before: Vec<_> = rows
        .by_ref()
        .take(4)
        .map(|row| row.map(|(seq, _)| seq))
        .collect();
    assert_eq!(before, [Ok(2), Ok(3), Ok(4), Ok(5)]);
    assert_eq!(rows.next(), Some(Err(Some(6))));
    assert_eq!(rows.next(), None);
}

#[test]
fn a_record_of_many_rows_is_read_from_all_of_them() {
    // Letters in no order, and no digits: hardly anything is to be compressed.
    let mut seed = 7_u64;
    let mut letters = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + ((seed >> 33) % 90) as u8)
    };
    let text: String = (0..400_000).map(|_| letters()).collect();
    let text = text.replace(['"', '\\'], " ");
    let dir = TempDir::new().expect("a directory");
    let log = log_of(dir.path(), &chain(1, 3, &text, NO_HASH));
    let part = |part| keys::chunk_part(2, part);
    let row = log.reader().store().get(&part(2)).expect("it reads");
    let row = row.expect("there are several").to_vec();
    assert_eq!(row.len(), MAX_VALUE_BYTES);
    for (seq, bytes) in (1..).zip(bytes_of(&log)) {
        assert_eq!(log.reader().get(seq).expect("it reads"), Some(bytes));
    }
    let read = || log.reader().get(2).map_err(|error| error.to_string());
    for changed in [
        row[1..].to_vec(),
        [&[7], &row[1..]].concat(),
        vec![7; row.len()],
    ] {
        put(&log, [(part(2), changed)]);
        assert!(read().is_err_and(|told| told.contains("its checksum is wrong")));
    }
    let mut changes = Changes::default();
    changes.remove(&part(2));
    log.reader().store().apply(changes).expect("it is written");
    assert!(read().is_err_and(|told| told.contains("a part of it is missing")));
    put(&log, [(part(2), row)]);
    assert_eq!(bytes_of(&log).len(), 3);
}

#[test]
fn a_full_chunk_of_an_earlier_version_that_ends_elsewhere_is_gone_on_with() {
    let dir = TempDir::new().expect("a directory");
    let all = chain(1, 23, "scan", NO_HASH);
    let log = log_of(dir.path(), &all[..16]);
    let mut chunk = Records::new(1);
    all[..16]
        .iter()
        .for_each(|record| chunk.push(&record.bytes));
    let mut encoder = Encoder::new(dictionary::builtin()).expect("an encoder");
    let rows = chunk.encode(&mut encoder).expect("it encodes");
    drop(log);
    let path = dir.path().join("log");
    let store = Store::open(&path.join("store"), 1 << 20).expect("it opens");
    let head = store.get(keys::HEAD).expect("it reads").expect("a head");
    let (tip, _) = head::Tip::decode(&head).expect("it decodes");
    let mut changes = Changes::default();
    for first in [6, 11] {
        changes.remove(&keys::chunk(first));
    }
    changes.put(&keys::chunk(1), rows[0].clone());
    changes.put(keys::HEAD, tip.encode(None));
    store.apply(changes).expect("it is written");
    drop(store);

    let wanted: Vec<Vec<u8>> = all.iter().map(|record| record.bytes.clone()).collect();
    let mut log = log_of(dir.path(), &[]);
    assert_eq!(bytes_of(&log), wanted[..16]);
    log.append(&all[16..17], None).expect("it appends");
    let log_after = killed(&log, &dir.path().join("killed"));
    assert_eq!(bytes_of(&log_after), wanted[..17]);
    drop((log, log_after));
    let log = log_of(dir.path(), &all[17..]);
    assert_eq!(bytes_of(&log), wanted);
    let report = verify(&log.reader(), &[], &[], 1, |_, _| Ok(()), |_| ());
    assert_eq!(report.first_bad, None);
}

#[test]
fn every_bit_of_a_row_is_checked() {
    let records = chain(1, 5, "scan", NO_HASH);
    let mut chunk = Records::new(1);
    records.iter().for_each(|record| chunk.push(&record.bytes));
    let mut encoder = Encoder::new(dictionary::builtin()).expect("an encoder");
    let rows = chunk.encode(&mut encoder).expect("it encodes");
    let row = &rows[0];
    let decoded = |row: &[u8]| Records::decode(1, row, |_| Err(ChunkError::TooLarge));
    assert_eq!(decoded(row).expect("it decodes"), chunk);
    for place in 0..row.len() {
        for bit in 0..8 {
            let mut changed = row.clone();
            changed[place] ^= 1 << bit;
            assert!(decoded(&changed).is_err(), "bit {bit} of byte {place}");
        }
        assert!(decoded(&row[..place]).is_err(), "cut at {place}");
    }
}

#[test]
fn an_open_chunk_of_an_earlier_version_is_closed_with_all_that_is_in_it() {
    // Sixteen records were in a full one: of ten and of fifteen it was open.
    for count in [10, 13, 15] {
        let dir = TempDir::new().expect("a directory");
        let all = chain(1, 22, "scan", NO_HASH);
        let (before, after) = all.split_at(count);
        let log = log_of(dir.path(), before);
        let mut chunk = Records::new(1);
        before.iter().for_each(|record| chunk.push(&record.bytes));
        let mut encoder = Encoder::new(dictionary::builtin()).expect("an encoder");
        let rows = chunk.encode(&mut encoder).expect("it encodes");
        let path = dir.path().join("log");
        drop(log);
        let store = Store::open(&path.join("store"), 1 << 20).expect("it opens");
        let head = store.get(keys::HEAD).expect("it reads").expect("a head");
        let (tip, _) = head::Tip::decode(&head).expect("it decodes");
        let mut changes = Changes::default();
        for first in [1, 6, 11] {
            changes.remove(&keys::chunk(first));
        }
        changes.put(keys::HEAD, tip.encode(Some((1, &rows[0]))));
        store.apply(changes).expect("it is written");
        drop(store);

        let log = log_of(dir.path(), &[]);
        assert_eq!(bytes_of(&log).len(), count);
        drop(log);
        let log = log_of(dir.path(), after);
        let wanted: Vec<Vec<u8>> = all.iter().map(|record| record.bytes.clone()).collect();
        assert_eq!(bytes_of(&log), wanted);
        let begins = begins(&log);
        assert_eq!(begins.first(), Some(&1));
        assert!(begins[1..].iter().all(|begin| begin % 5 == 1), "{begins:?}");
    }
}

/// What is said of a row that is no chunk. Records that were there already stay.
fn refused(row: &[u8]) -> String {
    let mut records = Records::new(1);
    records.push(b"before");
    let read = records.decode_more(row, |_| Err(ChunkError::TooLarge));
    assert_eq!(records.get(1), Some(&b"before"[..]));
    assert_eq!(records.len(), 1);
    read.expect_err("it is refused").to_string()
}

#[test]
fn a_row_whose_checksum_is_right_is_checked_all_the_same() {
    let mut encoder = Encoder::new(dictionary::builtin()).expect("an encoder");
    let mut row_of = |records: &Records| {
        let rows = records.encode(&mut encoder).expect("it encodes");
        rows.concat()
    };
    let mut chunk = Records::new(1);
    chunk.push(&record(1, "scan", &NO_HASH).bytes);
    let row = row_of(&chunk);
    let with = |place: usize, value: u8| {
        let mut row = row.clone();
        row[place] = value;
        let check = crc32fast::hash(&row[5..]);
        row[1..5].copy_from_slice(&check.to_be_bytes());
        refused(&row)
    };
    assert!(with(5, row[5] ^ 1).starts_with("compressed with an unknown dictionary"));
    assert_eq!(with(10, 1), "too large", "it asks for a continuation row");
    assert_eq!(row[11], 1, "the number of records");
    assert_eq!(with(11, 0), "it has no records");
    assert_eq!(with(11, 200), "shorter than it says");
    // Of the length of the record and of the text these are the first seven bits.
    assert_eq!(
        with(12, row[12] ^ 1),
        "its records are not as long as it says"
    );
    assert_eq!(
        (row[14], row[15]),
        (1, 0),
        "the numbers of hashes and UUIDs"
    );
    assert!(!with(14, 0).is_empty());
    assert!(!with(15, 1).is_empty());
    assert_eq!(with(16, row[16] ^ 1), "its length is wrong");
    let impossible = [&row[..12], &[0xff, 0xff, 0xff, 0x7f], &row[14..]].concat();
    let check = crc32fast::hash(&impossible[5..]).to_be_bytes();
    let impossible = [&impossible[..1], &check, &impossible[5..]].concat();
    assert_eq!(refused(&impossible), "its length is impossible");
    assert_eq!(refused(&row_of(&Records::new(1))), "it has no records");
    assert_eq!(refused(&[]), "shorter than it says");
}

#[test]
fn rows_of_version_1_are_read_and_damage_to_them_is_found() {
    let records = chain(1, 16, "scan", NO_HASH);
    let mut wanted = Records::new(1);
    records.iter().for_each(|record| wanted.push(&record.bytes));
    let joined: Vec<u8> = records
        .iter()
        .flat_map(|record| record.bytes.clone())
        .collect();
    let mut row = vec![1];
    let text = include_bytes!("chunk/dictionary/records-1.zdict");
    row.extend(dictionary::id_of(text));
    row.push(16);
    row.extend(u32::try_from(joined.len()).expect("short").to_be_bytes());
    row.extend([0, 0]);
    for record in &records[..15] {
        row.extend(
            u16::try_from(record.bytes.len())
                .expect("short")
                .to_be_bytes(),
        );
    }
    let mut packer = zstd::bulk::Compressor::with_dictionary(1, text).expect("a packer");
    let checksum = zstd::zstd_safe::CParameter::ChecksumFlag(true);
    packer.set_parameter(checksum).expect("it is set");
    row.extend(packer.compress(&joined).expect("it packs"));
    let decoded = Records::decode(1, &row, |_| Err(ChunkError::TooLarge));
    assert_eq!(decoded.expect("it decodes"), wanted);

    let with = |place: usize, value: u8| {
        let mut row = row.clone();
        row[place] = value;
        refused(&row)
    };
    assert!(with(1, row[1] ^ 1).starts_with("compressed with an unknown dictionary"));
    assert_eq!(with(5, 0), "shorter than it says");
    assert!(!with(5, 15).is_empty());
    assert_eq!(with(12, 0xff), "the lengths of its records are wrong");
    assert_eq!(with(6, 255), "its length is impossible");
    assert!(!with(8, row[8] ^ 1).is_empty());
    assert!(!with(60, row[60] ^ 1).is_empty());
    assert!(!with(row.len() - 1, row[row.len() - 1] ^ 1).is_empty());
    for end in 0..row.len() {
        assert!(!refused(&row[..end]).is_empty());
    }
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
    assert_eq!(begins(&log), [1, 6, 11]);
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
    let last = log.reader().store().get(&keys::chunk(256));
    let last = last.expect("it reads").expect("it is there");
    // After version and checksum.
    assert_eq!(last[5..][..id.len()], id);
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
