//! Archive files: equal to the byte, whole or refused, checked by code of its own and by a script,
//! and what a log is repaired from.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use weir_engine::log::archive::check::{Bad, Checked, Root, check};
use weir_engine::log::archive::read::ArchiveReader;
use weir_engine::log::archive::write::{ArchiveError, archive};
use weir_engine::log::archive::{SEGMENT_RECORDS, files};
use weir_engine::log::key::SigningKey;
use weir_engine::log::{EncodedRecord, Log, LogOptions};
use weir_engine::node::{self, ImportError, Ledger, Source};
use weir_rules::{Execution, Settings};
use weir_schema::{Position, Record};

use crate::history::History;
use crate::images::skipped;
use crate::lines::append_lines;
use crate::records::Records;

const ABOUT: &str = r#"{"execution":"commands","settings":{},"weir_log":1}"#;

fn key() -> SigningKey {
    SigningKey::from_seed("example.com/weir", &[8; 32]).expect("a key")
}

/// A log of `records` typical records, a large one among them, and what they are.
fn log_of(dir: &Path, seed: u64, records: usize) -> (Log, Vec<Vec<u8>>) {
    let mut log = Log::open(&dir.join("log"), LogOptions::default()).expect("the log opens");
    let mut source = Records::new(seed);
    let mut all = source.take(records / 2);
    all.push(source.large(300_000));
    all.extend(source.take(records - all.len()));
    for batch in all.chunks(1000) {
        log.append(batch, None).expect("it appends");
    }
    (log, all.into_iter().map(|record| record.bytes).collect())
}

fn checked(paths: &[PathBuf], roots: &[Root]) -> Result<Checked, Bad> {
    let key = key().verifier().to_string();
    let paths = paths.iter().map(PathBuf::as_path);
    check(paths, &[key], roots, |_| ())
}

fn paths(dir: &Path) -> Vec<PathBuf> {
    let files = files(dir).expect("it reads");
    files.into_iter().map(|file| file.path).collect()
}

#[test]
fn records_come_back_from_archive_files_equal_to_the_byte() {
    let dir = TempDir::new().expect("a directory");
    let to = dir.path().join("archive");
    let total = SEGMENT_RECORDS as usize + 9000;
    let (mut log, mut all) = log_of(dir.path(), 50, total);
    let reader = log.reader();
    let key = key();
    let write = |rest| archive(&reader, &to, ABOUT, Some(&key), rest, |_| ());

    // Only what is full, then the rest, then nothing new.
    let full = to.join("records-000000000001-000000065536.jsonl.zst");
    assert_eq!(
        write(false).expect("it is written"),
        std::slice::from_ref(&full)
    );
    let rest = to.join("records-000000065537-000000074536.jsonl.zst");
    assert_eq!(
        write(true).expect("it is written"),
        std::slice::from_ref(&rest)
    );
    assert_eq!(write(true).expect("it is there"), [] as [PathBuf; 0]);
    assert!(
        fs::metadata(&full)
            .expect("it is there")
            .permissions()
            .readonly()
    );
    let size = fs::metadata(&full).expect("it is there").len();
    let raw: usize = all[..SEGMENT_RECORDS as usize]
        .iter()
        .map(|bytes| bytes.len() + 1)
        .sum();
    assert!(size * 8 < raw as u64, "{size} of {raw} bytes");

    // A longer file takes the place of a shorter one.
    let more = Records::after(51, &log).take(10);
    log.append(&more, None).expect("it appends");
    all.extend(more.into_iter().map(|record| record.bytes));
    let longer = to.join("records-000000065537-000000074546.jsonl.zst");
    assert_eq!(
        write(true).expect("it is written"),
        std::slice::from_ref(&longer)
    );
    assert_eq!(paths(&to), [full, longer]);
    assert!(!rest.exists());

    let mut read = Vec::new();
    for path in paths(&to) {
        let records = ArchiveReader::open(&path).expect("it opens");
        assert_eq!(records.about(), ABOUT);
        read.extend(records.map(|bytes| bytes.expect("it reads")));
    }
    assert!(read == all, "equal to the byte");

    let head = reader.head();
    let root = |size| Root {
        size,
        hash: reader.root_at(size).expect("it reads").expect("a root"),
    };
    let roots = [
        root(1),
        root(4097),
        root(65_536),
        root(65_537),
        root(74_546),
    ];
    let wanted = Checked {
        first: 1,
        root: Root {
            size: 74_546,
            hash: head.root,
        },
        signed: 2,
        vouched: 74_546,
        roots: roots.len(),
    };
    assert_eq!(checked(&paths(&to), &roots), Ok(wanted));
    // Each file by itself too.
    let last = checked(&paths(&to)[1..], &roots[2..]).expect("it is whole");
    assert_eq!((last.first, last.roots), (65_537, 3));
    let beyond = Root {
        size: 80_000,
        hash: head.root,
    };
    let bad = checked(&paths(&to), &[beyond]).expect_err("it is cut");
    assert_eq!(bad.seq, 74_547, "{bad}");
}

#[test]
fn a_changed_archive_is_refused_and_the_place_named() {
    let dir = TempDir::new().expect("a directory");
    let to = dir.path().join("archive");
    let (log, _) = log_of(dir.path(), 52, 10_000);
    let key = key();
    let written = archive(&log.reader(), &to, ABOUT, Some(&key), true, |_| ());
    let path = written.expect("it is written").remove(0);
    let packed = fs::read(&path).expect("it reads");
    let text = String::from_utf8(zstd::decode_all(&packed[..]).expect("it unpacks")).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    let changed = dir.path().join("changed.jsonl.zst");
    let check = |name: &str, seq: u64, wanted: &str, change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut lines);
        let text = lines.join("\n") + "\n";
        assert_ne!(text, self::text(&packed), "{name}");
        fs::write(
            &changed,
            zstd::encode_all(text.as_bytes(), 1).expect("it packs"),
        )
        .expect("written");
        let bad = checked(std::slice::from_ref(&changed), &[]).expect_err(name);
        assert_eq!(bad.seq, seq, "{name}: {bad}");
        assert!(bad.problem.contains(wanted), "{name}: {bad}");
    };
    let edit = |line: &mut String| {
        *line = line.replacen("registry.example.com", "registry.example.org", 1);
    };
    // Line 0 is the first line, so record N is line N.
    check("edited early", 1, "changed: record 4097", &|lines| {
        edit(&mut lines[7])
    });
    check(
        "edited at the end of a frame",
        1,
        "changed: record 4097",
        &|lines| edit(&mut lines[4096]),
    );
    check(
        "edited in the last frame",
        8193,
        "ends with another hash",
        &|lines| edit(&mut lines[9000]),
    );
    check("edited last", 8193, "ends with another hash", &|lines| {
        edit(&mut lines[10_000])
    });
    check("removed", 500, "record 501 stands there", &|lines| {
        drop(lines.remove(500))
    });
    check("swapped", 500, "record 501 stands there", &|lines| {
        lines.swap(500, 501)
    });
    check("cut", 9999, "is no record", &|lines| {
        drop(lines.drain(9999..10_001))
    });
    check("cut within", 9_000, "ends before it", &|lines| {
        lines.truncate(9000)
    });
    check("gone on", 10_000, "goes on", &|lines| {
        lines.push("{}".to_owned())
    });
    check("another version", 1, "another version", &|lines| {
        lines[0] = lines[0].replace("\"weir_archive\":1", "\"weir_archive\":2");
    });
    check("no signature", 1, "not signed by", &|lines| {
        lines[10_001] = lines[10_001].replace("\\n— example.com/weir", "\\n— example.com/else");
    });
    let other = SigningKey::from_seed("example.com/weir", &[9; 32]).expect("a key");
    let keys = [other.verifier().to_string(), key.verifier().to_string()];
    let by_other =
        weir_engine::log::archive::check::check([path.as_path()], &keys[..1], &[], |_| ());
    assert!(by_other.is_err_and(|bad| bad.problem.contains("not signed by")));
    // A log that had another key before.
    let by_either = weir_engine::log::archive::check::check([path.as_path()], &keys, &[], |_| ());
    assert_eq!(by_either.expect("it is whole").signed, 1);

    // Anything in the packed bytes.
    let mut random = crate::records::Random::new(52);
    for _ in 0..40 {
        let (at, bit) = (random.below(packed.len() as u64) as usize, random.below(8));
        let mut packed = packed.clone();
        packed[at] ^= 1 << bit;
        fs::write(&changed, packed).expect("it is written");
        let bad = checked(std::slice::from_ref(&changed), &[]);
        assert!(bad.is_err(), "bit {bit} of byte {at}");
    }
}

fn text(packed: &[u8]) -> String {
    String::from_utf8(zstd::decode_all(packed).expect("it unpacks")).expect("text")
}

#[test]
fn a_forged_past_does_not_fit_the_signature() {
    let (dir, other) = (
        TempDir::new().expect("a directory"),
        TempDir::new().expect("a directory"),
    );
    let to = |dir: &TempDir| dir.path().join("archive");
    let (log, _) = log_of(dir.path(), 53, 600);
    let (forged, _) = log_of(other.path(), 54, 600);
    let key = key();
    archive(&log.reader(), &to(&dir), ABOUT, Some(&key), true, |_| ()).expect("it is written");
    archive(&forged.reader(), &to(&other), ABOUT, None, true, |_| ()).expect("it is written");
    // Whole in itself, under the signature of the true one.
    let lines = |dir: &TempDir| text(&fs::read(&paths(&to(dir))[0]).expect("it reads"));
    let (true_text, mut text) = (lines(&dir), lines(&other));
    let signed = true_text.lines().last().expect("a last line");
    let note = signed.split("\"hash\"").next().expect("a checkpoint");
    let end = text.lines().last().expect("a last line").to_owned();
    text = text.replace(&end, &end.replacen('{', note, 1));
    let path = other.path().join("forged.jsonl.zst");
    fs::write(
        &path,
        zstd::encode_all(text.as_bytes(), 1).expect("it packs"),
    )
    .expect("it is written");
    let bad = checked(&[path], &[]).expect_err("it is forged");
    assert!(bad.problem.contains("signed for other records"), "{bad}");
}

#[test]
fn a_directory_with_the_archive_of_another_log_is_refused() {
    let (dir, other) = (
        TempDir::new().expect("a directory"),
        TempDir::new().expect("a directory"),
    );
    let (log, _) = log_of(dir.path(), 55, 100);
    let (another, _) = log_of(other.path(), 56, 200);
    let to = dir.path().join("archive");
    archive(&log.reader(), &to, ABOUT, None, true, |_| ()).expect("it is written");
    let refused = archive(&another.reader(), &to, ABOUT, None, true, |_| ());
    assert!(
        matches!(refused, Err(ArchiveError::OtherLog { .. })),
        "{refused:?}"
    );
}

#[test]
fn an_archive_that_holds_other_records_than_the_log_is_refused_and_stays_as_it_is() {
    let dir = TempDir::new().expect("a directory");
    let (log, records) = log_of(dir.path(), 60, 100);
    let to = dir.path().join("archive");
    let written = |log: &Log| archive(&log.reader(), &to, ABOUT, None, true, |_| ());
    written(&log).expect("it is written");
    let archived = paths(&to);

    // Restored from a copy of its first 60 records.
    let mut log = Log::open(&dir.path().join("restored"), LogOptions::default()).expect("it opens");
    let append = |log: &mut Log, from: usize, to: usize| {
        let again = (from..=to).map(|seq| EncodedRecord::new(seq as u64, records[seq - 1].clone()));
        log.append(&again.collect::<Vec<_>>(), None)
            .expect("it appends");
    };
    append(&mut log, 1, 60);
    let refused = written(&log).expect_err("the archive is ahead");
    assert!(
        matches!(
            refused,
            ArchiveError::Ahead {
                archived: 100,
                last: 60,
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(
        refused
            .to_string()
            .contains("holds records up to 100, this log ends with 60: it was cut, or restored"),
        "{refused}"
    );

    // Gone on otherwise, not as far as the archive, and further.
    for more in [20, 40] {
        let others = Records::after(61, &log).take(more);
        log.append(&others, None).expect("it appends");
        let refused = written(&log).expect_err("they parted");
        assert!(
            matches!(refused, ArchiveError::Parted { seq: 61, .. }),
            "{refused:?}"
        );
        assert_eq!(paths(&to), archived);
    }

    // With the same records again the archive is its own.
    let mut log = Log::open(&dir.path().join("again"), LogOptions::default()).expect("it opens");
    append(&mut log, 1, 100);
    assert_eq!(written(&log).expect("it is the same"), [] as [PathBuf; 0]);

    // A file that ends with a line of another is of no log.
    let text = text(&fs::read(&archived[0]).expect("it reads"));
    let changed = text.replacen("{\"hash\":\"", "{\"hash\":\"0000", 1);
    assert_ne!(text, changed);
    fs::remove_file(&archived[0]).expect("it goes");
    let mut packed = zstd::encode_all(&b"no line"[..], 1).expect("it packs");
    fs::write(&archived[0], &packed).expect("it is written");
    let refused = written(&log).expect_err("it is damaged");
    assert!(
        refused.to_string().contains("it ends otherwise"),
        "{refused}"
    );
    packed = Vec::new();
    for line in changed.split_inclusive('\n') {
        packed.extend(zstd::encode_all(line.as_bytes(), 1).expect("it packs"));
    }
    fs::write(&archived[0], &packed).expect("it is written");
    let refused = written(&log).expect_err("it is changed");
    assert!(
        refused.to_string().contains("is no archive file"),
        "{refused}"
    );
}

#[test]
fn the_script_of_the_description_checks_the_files() {
    let python = Command::new("python3").arg("--version").output();
    if python.is_err() {
        return skipped("the script of the archive's description", "no python3");
    }
    let description = include_str!("../../src/log/archive/README.md");
    let script = description.split("```python\n").nth(1).expect("a script");
    let script = script.split("```").next().expect("its end");
    let dir = TempDir::new().expect("a directory");
    let (log, _) = log_of(dir.path(), 57, 9000);
    let key = key();
    let to = dir.path().join("archive");
    archive(&log.reader(), &to, ABOUT, Some(&key), true, |_| ()).expect("it is written");
    let text = text(&fs::read(&paths(&to)[0]).expect("it reads"));
    let run = |text: &str| {
        let mut python = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        // It ends at the first thing wrong, and reads no further.
        let _ = python
            .stdin
            .take()
            .expect("its input")
            .write_all(text.as_bytes());
        let output = python.wait_with_output().expect("it ends");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8(said).expect("text"),
        )
    };
    let (whole, said) = run(&text);
    assert!(
        whole && said.starts_with("records up to 9000 are whole\nexample.com/weir\n9000\n"),
        "{said}"
    );
    let (whole, said) = run(&text.replacen("registry.example.com", "registry.example.org", 1));
    assert!(
        !whole && said.contains("record 4097 does not follow"),
        "{said}"
    );
}

fn filled(dir: &Path, seed: u64, inputs: usize) -> Ledger {
    let settings = Settings {
        bundle_repositories: Some("bundles/*".parse().expect("patterns")),
    };
    let mut ledger = Ledger::open(dir, LogOptions::default(), settings, Execution::AtOnce)
        .expect("the ledger opens");
    let mut history = History::new(seed, 20);
    for _ in 0..inputs.div_ceil(100) {
        ledger
            .take(history.take(100), None)
            .expect("they are taken");
    }
    ledger
}

#[test]
fn a_damaged_log_is_made_again_from_its_archive_and_what_can_still_be_read() {
    let dir = TempDir::new().expect("a directory");
    let origin = dir.path().join("origin");
    let mut ledger = filled(&origin, 58, 600);
    let key = key();
    let to = dir.path().join("archive");
    let archived = ledger.reader().head();
    node::archive(&ledger.reader(), &to, Some(&key), true, |_| ()).expect("it is archived");
    let mut history = History::new(59, 20);
    ledger
        .take(history.take(150), None)
        .expect("they are taken");

    // From the archive alone: what there was then.
    let sources = |rest: Option<&[u8]>| {
        let mut sources: Vec<Source<'static>> =
            paths(&to).into_iter().map(Source::Archive).collect();
        if let Some(rest) = rest {
            sources.push(Source::Lines {
                file: "rest.jsonl".to_owned(),
                lines: Box::new(std::io::Cursor::new(rest.to_vec())),
            });
        }
        sources
    };
    let vkeys = std::slice::from_ref(key.verifier());
    let again = dir.path().join("again");
    let imported = node::import_all(&again, sources(None), vkeys, |_| ()).expect("it imports");
    assert_eq!(
        (imported.records, imported.concluded),
        (archived.tree_size, 0)
    );
    let read = Ledger::open_to_read(&again).expect("it opens");
    assert_eq!(read.reader().head().root, archived.root);

    // With what a damaged log still gives after it, which may begin earlier.
    for from in [archived.next_seq, archived.next_seq - 40] {
        let mut rest = Vec::new();
        node::export_from(&ledger.reader(), from, &mut rest, |_| ()).expect("it exports");
        let to = dir.path().join(format!("whole-{from}"));
        let imported =
            node::import_all(&to, sources(Some(&rest)), vkeys, |_| ()).expect("it imports");
        assert_eq!(imported.state.state_digest(), ledger.state().state_digest());
        let read = Ledger::open_to_read(&to).expect("it opens");
        assert_eq!(read.reader().head(), ledger.reader().head());
    }
    let mut rest = Vec::new();
    node::export_from(&ledger.reader(), archived.next_seq + 1, &mut rest, |_| ())
        .expect("it exports");
    let gap = node::import_all(&dir.path().join("gap"), sources(Some(&rest)), vkeys, |_| ());
    assert!(
        matches!(gap, Err(ImportError::Line { line: 2, .. })),
        "{gap:?}"
    );

    // Of another log.
    let other = filled(&dir.path().join("other"), 60, 100);
    let mut lines = Vec::new();
    node::export(&other.reader(), &mut lines, |_| ()).expect("it exports");
    let mixed = node::import_all(
        &dir.path().join("mixed"),
        sources(Some(&lines)),
        vkeys,
        |_| (),
    );
    assert!(
        matches!(mixed, Err(ImportError::Line { line: 2, .. })),
        "{mixed:?}"
    );

    // Not signed by the key that is asked for.
    let by = SigningKey::from_seed("example.com/weir", &[9; 32]).expect("a key");
    let unsigned = node::import_all(
        &dir.path().join("unsigned"),
        sources(None),
        std::slice::from_ref(by.verifier()),
        |_| (),
    );
    assert!(
        matches!(unsigned, Err(ImportError::BadArchive(_))),
        "{unsigned:?}"
    );
    assert!(!dir.path().join("unsigned").exists(), "nothing was begun");
}

#[test]
fn a_step_that_an_archive_cuts_is_ended_as_it_was() {
    let dir = TempDir::new().expect("a directory");
    let ledger = filled(&dir.path().join("origin"), 61, 300);
    let reader = ledger.reader();
    let position = |seq| {
        let bytes = reader.get(seq).expect("it reads").expect("it is there");
        Record::decode(&bytes).expect("a record").position
    };
    // The last input that concludes something, and a log that ends with it.
    let is_step = |seq| matches!(position(seq), Position::Step { .. });
    let cut = (1..reader.head().tree_size)
        .rev()
        .find(|seq| !is_step(*seq) && is_step(*seq + 1))
        .expect("an input with conclusions");
    let mut lines = Vec::new();
    weir_engine::log::transfer::export(&reader, 1, Some(cut + 1), &mut lines, |_| ())
        .expect("it exports");
    let mut short = Log::open(&dir.path().join("short"), LogOptions::default()).expect("it opens");
    append_lines(&mut short, &lines);
    let to = dir.path().join("archive");
    let mut header = Vec::new();
    node::export(&reader, &mut header, |_| ()).expect("it exports");
    let header = String::from_utf8(header).expect("text");
    let about = header.lines().next().expect("a header");
    archive(&short.reader(), &to, about, None, true, |_| ()).expect("it is written");

    let again = dir.path().join("again");
    let sources = paths(&to).into_iter().map(Source::Archive).collect();
    let imported = node::import_all(&again, sources, &[], |_| ()).expect("it imports");
    assert!(imported.concluded > 0);
    assert_eq!(imported.records, cut + imported.concluded);
    let read = Ledger::open_to_read(&again).expect("it opens");
    for seq in 1..=imported.records {
        assert_eq!(
            read.reader().get(seq).expect("it reads"),
            reader.get(seq).expect("it reads")
        );
    }
}
