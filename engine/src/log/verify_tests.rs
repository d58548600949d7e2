//! What verification finds when the rows themselves were changed by somebody who can write the
//! store: each kind of change, by the first record that is not what was written.

use std::path::Path;

use tempfile::TempDir;
use weir_schema::record::{NO_HASH, hex};

use super::chunk::dictionary;
use super::chunk::{Chunk, Encoder};
use super::store::{Changes, Store};
use super::*;

pub(super) fn record(seq: u64, text: &str, previous: &Hash) -> EncodedRecord {
    let previous = hex(previous);
    let bytes = format!(
        r#"{{"event":{{"data":"{text}"}},"position":{{"from":"local"}},"previous":"{previous}","recorded_at":"2026-08-21T10:00:00Z","seq":{seq},"v":1}}"#
    );
    EncodedRecord::new(seq, bytes.into_bytes())
}

/// Consecutive records from `from` on, after one with the hash `previous`.
pub(super) fn chain(from: u64, count: u64, text: &str, mut previous: Hash) -> Vec<EncodedRecord> {
    let next = |seq| {
        let record = record(seq, text, &previous);
        previous = record.hash;
        record
    };
    (from..from + count).map(next).collect()
}

/// A log in `dir`, which is made if it is not there, with these records appended.
pub(super) fn log_of(dir: &Path, records: &[EncodedRecord]) -> Log {
    let mut log = Log::open(&dir.join("log"), LogOptions::default()).expect("the log opens");
    log.append(records, None).expect("it appends");
    log
}

/// More than a block that is checked as a whole, and full chunks: the records of an open one are not
/// read from the rows while the log is open.
const RECORDS: u64 = 2660;

/// Puts `records` over the rows of the log, leaving head and tree as they are.
fn write_over(log: &Log, records: &[Vec<u8>]) {
    let reader = log.reader();
    let store = reader.store();
    let mut encoder = Encoder::new(dictionary::builtin()).expect("an encoder");
    let mut changes = Changes::default();
    for (first, group) in (1..)
        .step_by(chunk::CHUNK_RECORDS)
        .zip(records.chunks(chunk::CHUNK_RECORDS))
    {
        let mut chunk = Chunk::new(first);
        group.iter().for_each(|bytes| chunk.push(bytes));
        let rows = chunk.encode(&mut encoder).expect("it encodes");
        assert_eq!(rows.len(), 1);
        rows.into_iter()
            .for_each(|row| changes.put(&keys::chunk(first), row));
    }
    store.apply(changes).expect("it is written");
}

fn check(name: &str, change: impl Fn(&mut Vec<Vec<u8>>), wanted: (u64, Problem)) {
    let dir = TempDir::new().expect("a directory");
    let records = chain(1, RECORDS, "scan", NO_HASH);
    let log = log_of(dir.path(), &records);
    let mut bytes: Vec<Vec<u8>> = records.into_iter().map(|record| record.bytes).collect();
    change(&mut bytes);
    write_over(&log, &bytes);
    for threads in [1, 2, 3] {
        let report = verify(&log.reader(), &[], &[], threads, |_, _| Ok(()), |_| ());
        assert_eq!(
            report.first_bad.as_ref(),
            Some(&wanted),
            "{name}, {threads} threads"
        );
    }
}

fn edit(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8_lossy(bytes).replacen(from, to, 1);
    assert_ne!(text.as_bytes(), &bytes[..], "`{from}` is in it");
    *bytes = text.into_bytes();
}

#[test]
fn an_edited_record_is_named() {
    for seq in [1, 2, 5, 6, 255, 256, 257, 600, 2047, 2048, 2049, 2659, 2660] {
        let change = |records: &mut Vec<Vec<u8>>| edit(&mut records[seq - 1], "scan", "pass");
        check(
            &format!("record {seq}"),
            change,
            (seq as u64, Problem::Edited),
        );
    }
}

#[test]
fn a_record_with_another_link_is_named() {
    let zeroes = hex(&NO_HASH);
    let other = hex(&[7; 32]);
    check(
        "the first",
        |records| edit(&mut records[0], &zeroes, &other),
        (1, Problem::Unchained),
    );
    let link = |records: &mut Vec<Vec<u8>>, seq: usize| {
        let link = hex(&tree::leaf_hash(&records[seq - 2]));
        edit(&mut records[seq - 1], &link, &other);
    };
    for seq in [2, 256, 257, 300, 2048, 2049, 2050, 2660] {
        check(
            &format!("record {seq}"),
            |records| link(records, seq),
            (seq as u64, Problem::Unchained),
        );
    }
}

#[test]
fn records_that_were_moved_removed_or_inserted_are_named() {
    let sequence = |found| Problem::Sequence { found: Some(found) };
    check(
        "swapped",
        |records| records.swap(99, 100),
        (100, sequence(101)),
    );
    check(
        "two chunks swapped",
        |records| {
            (0..chunk::CHUNK_RECORDS).for_each(|place| records.swap(160 + place, 320 + place))
        },
        (161, sequence(321)),
    );
    let remove = |records: &mut Vec<Vec<u8>>| {
        let removed = records.remove(49);
        records.push(removed);
    };
    check("removed", remove, (50, sequence(51)));
    let insert = |records: &mut Vec<Vec<u8>>| {
        records.insert(49, records[49].clone());
        records.pop();
    };
    check("inserted", insert, (51, sequence(50)));
}

#[test]
fn a_past_written_anew_in_the_rows_alone_does_not_fit_tree_and_head() {
    let anew = |records: &mut Vec<Vec<u8>>| {
        let previous = tree::leaf_hash(&records[299]);
        for (slot, record) in
            records[300..]
                .iter_mut()
                .zip(chain(301, RECORDS - 300, "pass", previous))
        {
            *slot = record.bytes;
        }
    };
    check("anew from 301 on", anew, (257, Problem::Tree { level: 8 }));
}

#[test]
fn a_row_that_does_not_decompress_is_named() {
    let dir = TempDir::new().expect("a directory");
    let log = log_of(dir.path(), &chain(1, 100, "scan", NO_HASH));
    let reader = log.reader();
    let store = reader.store();
    let row = store
        .get(&keys::chunk(31))
        .expect("it reads")
        .expect("a row");
    let with = |place: usize, value: u8| {
        let mut row = row.to_vec();
        row[place] = value;
        store.put(&keys::chunk(31), row).expect("it is written");
        let report = verify(&log.reader(), &[], &[], 1, |_, _| Ok(()), |_| ());
        match report.first_bad {
            Some((31, Problem::Unreadable(cause))) => cause,
            other => panic!("expected record 31 to be unreadable, got {other:?}"),
        }
    };
    assert_eq!(
        with(0, 9),
        "made by a newer version of weir (row version 9)"
    );
    for place in [1, 5, 60, row.len() - 1] {
        assert_eq!(with(place, row[place] ^ 1), "its checksum is wrong");
    }
}

#[test]
fn an_open_chunk_that_was_changed_is_found_at_opening_or_by_a_verification() {
    let dir = TempDir::new().expect("a directory");
    let log = log_of(dir.path(), &chain(1, 20, "scan", NO_HASH)[..19]);
    let reader = log.reader();
    drop(log);
    let row = reader.store().get(keys::HEAD);
    let row = row.expect("it reads").expect("a row");
    drop(reader);
    let (tip, open) = head::Tip::decode(&row).expect("it decodes");
    let (first, open) = open.expect("an open chunk");
    assert_eq!(first, 16);
    let chunk = Chunk::decode(first, open, |_| Err(chunk::ChunkError::TooLarge)).expect("a chunk");
    let edited = |seq: u64| {
        let mut changed = Chunk::new(first);
        for (at, bytes) in chunk.iter() {
            let mut bytes = bytes.to_vec();
            if at == seq {
                edit(&mut bytes, "scan", "pass");
            }
            changed.push(&bytes);
        }
        let mut encoder = Encoder::new(dictionary::builtin()).expect("an encoder");
        let rows = changed.encode(&mut encoder).expect("it encodes");
        tip.encode(Some((first, &rows[0])))
    };
    let opened_with = |row: &[u8]| {
        let path = dir.path().join("log");
        let store = Store::open(&path.join("store"), 1 << 20).expect("it opens");
        let put = store.put(keys::HEAD, row.to_vec());
        put.expect("it is written");
        drop(store);
        Log::open(&path, LogOptions::default()).map_err(|error| match error {
            OpenError::Damaged { first_bad, .. } => first_bad,
            other => panic!("expected damage, got {other}"),
        })
    };
    assert_eq!(opened_with(&edited(19)).err(), Some(Some(19)));
    assert_eq!(opened_with(&row[..row.len() - 1]).err(), Some(Some(16)));
    assert_eq!(opened_with(&tip.encode(None)).err(), Some(Some(19)));
    assert_eq!(opened_with(&row[..60]).err(), Some(None));
    let log = opened_with(&edited(18)).expect("it opens");
    let report = verify(&log.reader(), &[], &[], 1, |_, _| Ok(()), |_| ());
    assert_eq!(report.first_bad, Some((18, Problem::Edited)));
}

#[test]
fn checkpoints_anywhere_fit_and_a_forged_one_is_named() {
    let dir = TempDir::new().expect("a directory");
    let records = chain(1, 5000, "scan", NO_HASH);
    let log = log_of(dir.path(), &records);
    let key = key::SigningKey::from_seed("weir", &[3; 32]).expect("a key");
    let mut tree = tree::Frontier::default();
    let mut roots = vec![tree::empty_root()];
    for record in &records {
        tree.push(record.hash, &mut Vec::new());
        roots.push(tree.root());
    }
    let signed = |size: u64, root: Hash| {
        let (origin, extensions) = ("weir".to_owned(), Vec::new());
        let claim = checkpoint::Checkpoint {
            origin,
            size,
            root,
            extensions,
        };
        claim.sign(&key)
    };
    let sizes = [
        0, 1, 255, 256, 257, 2047, 2048, 2048, 2049, 3000, 4095, 4096, 4097, 4990, 5000,
    ];
    let all: Vec<_> = sizes.map(|size| signed(size, roots[size as usize])).into();
    let check = |checkpoints: &[_]| {
        let mut seen = 0;
        let in_order = |seq, bytes: &[u8]| {
            assert_eq!((seq, bytes), (seen + 1, &records[seen as usize].bytes[..]));
            seen = seq;
            Ok(())
        };
        let vkeys = std::slice::from_ref(key.verifier());
        let report = verify(&log.reader(), checkpoints, vkeys, 2, in_order, |_| ());
        let unsigned = report.unsigned.map(|(place, _)| place);
        ((report.first_bad, unsigned), report.checkpoints, seen)
    };
    assert_eq!(check(&all), ((None, None), sizes.len(), 5000));
    for (place, size) in sizes.into_iter().enumerate().skip(1) {
        let mut forged = all.clone();
        forged[place] = signed(size, [9; 32]);
        let first = (sizes[place - 1] + 1).min(size);
        let (bad, fitting, seen) = check(&forged);
        let wanted = (first, Problem::Rewritten { size });
        assert_eq!(
            (bad, seen),
            ((Some(wanted), None), size),
            "checkpoint of {size}"
        );
        assert!(fitting >= place, "those before it fit: {fitting}");
    }
    // One that somebody else signed says nothing of the records, whatever it claims.
    let other = key::SigningKey::from_seed("weir", &[4; 32]).expect("a key");
    let mut foreign = signed(5001, [9; 32]).checkpoint;
    for size in [100, 5000, 5001] {
        foreign.size = size;
        let with_foreign = [&all[..], &[foreign.clone().sign(&other)]].concat();
        let (bad, fitting, seen) = check(&with_foreign);
        assert_eq!(bad, (None, Some(sizes.len())), "of {size}");
        assert_eq!((fitting, seen), (sizes.len(), 5000));
    }
    let more = [&all[..], &[signed(5001, [9; 32])]].concat();
    assert_eq!(
        check(&more).0,
        (Some((5001, Problem::Cut { size: 5001 })), None)
    );
}

#[test]
fn a_caller_may_object_to_any_record() {
    let dir = TempDir::new().expect("a directory");
    let log = log_of(dir.path(), &chain(1, 5000, "scan", NO_HASH));
    for bad in [1, 2, 2048, 2049, 4096, 4097, 5000] {
        let objecting = |seq, _: &[u8]| match seq == bad {
            true => Err("no".to_owned()),
            false => Ok(()),
        };
        let report = verify(&log.reader(), &[], &[], 2, objecting, |_| ());
        assert_eq!(report.records, bad);
        assert_eq!(report.first_bad, Some((bad, Problem::Replay("no".into()))));
    }
}
