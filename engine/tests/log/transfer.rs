//! Export and import: equal to the byte, or refused by line.

use std::io::{self, Read};

use serde_json::Value;
use tempfile::TempDir;
use weir_engine::log::transfer::export;
use weir_engine::log::{Log, LogOptions};

use weir_engine::node::{self, ImportError, Ledger, LedgerError, Source};
use weir_rules::{Execution, Settings};

use crate::history::History;
use crate::lines::append_lines;
use crate::records::Records;

fn open(dir: &TempDir, name: &str) -> Log {
    Log::open(&dir.path().join(name), LogOptions::default()).expect("the log opens")
}

#[test]
fn what_is_exported_is_the_same_log_elsewhere() {
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
        export(&log.reader(), 1, None, &mut lines, |_| ()).expect("it exports"),
        903
    );
    let mut other = open(&dir, "other");
    append_lines(&mut other, &lines);
    assert_eq!(
        (other.head().root, other.head().previous),
        (log.head().root, log.head().previous)
    );
    let mut again = Vec::new();
    export(&other.reader(), 1, None, &mut again, |_| ()).expect("it exports");
    assert!(again == lines, "equal to the byte");
}

/// A ledger with decisions in it, under settings of its own, and its export.
fn exported(dir: &TempDir) -> (Ledger, Vec<u8>) {
    let settings = Settings {
        bundle_repositories: Some("bundles/*".parse().expect("patterns")),
    };
    let path = dir.path().join("origin");
    let mut ledger = Ledger::open(&path, LogOptions::default(), settings, Execution::AtOnce)
        .expect("the ledger opens");
    let mut history = History::new(60, 20);
    for _ in 0..9 {
        ledger.take(history.take(70), None).expect("they are taken");
    }
    let mut lines = Vec::new();
    node::export(&ledger.reader(), &mut lines, |_| ()).expect("it exports");
    (ledger, lines)
}

#[test]
fn a_ledger_imported_elsewhere_has_the_same_records_hashes_and_state() {
    let dir = TempDir::new().expect("a directory");
    let (ledger, lines) = exported(&dir);
    let elsewhere = dir.path().join("elsewhere");
    let imported = node::import(&elsewhere, &lines[..], |_| ()).expect("it imports");
    assert_eq!(imported.state.state_digest(), ledger.state().state_digest());
    let read = Ledger::open_to_read(&elsewhere).expect("it opens");
    assert_eq!(read.state().state_digest(), ledger.state().state_digest());
    let (there, here) = (read.reader().head(), ledger.reader().head());
    assert_eq!((there.root, there.previous), (here.root, here.previous));
    let mut again = Vec::new();
    node::export(&read.reader(), &mut again, |_| ()).expect("it exports");
    assert!(again == lines, "equal to the byte");
    drop(read);

    match node::import(&elsewhere, &lines[..], |_| ()) {
        Err(error @ ImportError::NotEmpty { .. }) => {
            assert!(error.to_string().contains("a new directory"), "{error}");
        }
        other => panic!("expected it to be refused, got {other:?}"),
    }
}

/// Gives so many bytes, and then an error as of a disk that goes away.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the disk went away")),
            count => Ok(count),
        }
    }
}

#[test]
fn an_interrupted_import_goes_on_and_nothing_uses_the_log_before_it_has_ended() {
    let dir = TempDir::new().expect("a directory");
    let (ledger, lines) = exported(&dir);
    let elsewhere = dir.path().join("elsewhere");
    for share in [3, 2] {
        let failing = io::BufReader::new(Failing(&lines[..lines.len() / share]));
        match node::import(&elsewhere, failing, |_| ()) {
            Err(ImportError::Io(error)) => assert_eq!(error.to_string(), "the disk went away"),
            other => panic!("expected an interruption, got {other:?}"),
        }
        let open = Ledger::open_to_read(&elsewhere).map(|_| ());
        assert!(matches!(open, Err(LedgerError::Unfinished)), "{open:?}");
    }
    let imported = node::import(&elsewhere, &lines[..], |_| ()).expect("it goes on");
    assert!(
        imported.before > 0 && imported.before < imported.records,
        "{imported:?}"
    );
    assert_eq!(imported.state.state_digest(), ledger.state().state_digest());
    let read = Ledger::open_to_read(&elsewhere).expect("it opens");
    assert_eq!(read.reader().head().root, ledger.reader().head().root);
}

/// Whether a line is a record that Weir concluded.
fn is_concluded(line: &str) -> bool {
    let record: Value = serde_json::from_str(line).expect("it is JSON");
    record["position"]["trigger"].is_u64()
}

#[test]
fn an_export_that_ends_within_a_step_names_its_file_and_goes_on_once_it_is_whole() {
    let dir = TempDir::new().expect("a directory");
    let (ledger, lines) = exported(&dir);
    let text = String::from_utf8(lines).expect("it is text");
    let lines: Vec<&str> = text.lines().collect();
    // Records are behind the line about the log: record N is line N, from 0.
    let concluded = (200..lines.len()).find(|line| is_concluded(lines[*line]));
    let input = concluded.expect("a conclusion") - 1;
    let second = |end: usize| {
        let after = lines[100..=end].iter().copied();
        let all: Vec<&str> = [lines[0]].into_iter().chain(after).collect();
        all.join("\n") + "\n"
    };
    let sources = |second: &str| {
        let first = lines[..=150].join("\n") + "\n";
        let named = [("first.jsonl", first), ("rest.jsonl", second.to_owned())];
        let sources = named.into_iter().map(|(file, text)| Source::Lines {
            file: file.to_owned(),
            lines: Box::new(io::Cursor::new(text)),
        });
        sources.collect::<Vec<Source<'static>>>()
    };
    let to = dir.path().join("elsewhere");
    let cut = node::import_all(&to, sources(&second(input)), &[], |_| ());
    let told = cut.expect_err("it is refused").to_string();
    let wanted = format!(
        "rest.jsonl, line {}: the file ends with record {input}, before all that its last input, record {input}, leads to; imported are the records up to {}, after which",
        input - 98,
        input - 1
    );
    assert!(told.starts_with(&wanted), "{told}");
    for (changed, wanted) in [
        (
            second(input + 1).replacen(lines[160], "", 1),
            "rest.jsonl, line 62: it is not canonical JSON",
        ),
        (
            String::new(),
            "rest.jsonl: the first line is not that of an exported log: the file is empty",
        ),
        (
            second(input + 1).replacen("at-once", "commands", 1),
            "rest.jsonl is of a log that was decided under other settings",
        ),
    ] {
        let refused = node::import_all(&to, sources(&changed), &[], |_| ());
        let told = refused.expect_err("it is refused").to_string();
        assert!(told.starts_with(wanted), "{told}");
    }
    let whole = second(lines.len() - 1);
    let imported = node::import_all(&to, sources(&whole), &[], |_| ()).expect("it goes on");
    assert_eq!(imported.state.state_digest(), ledger.state().state_digest());
}

#[test]
fn an_export_that_was_changed_is_refused_by_line() {
    let dir = TempDir::new().expect("a directory");
    let (_, lines) = exported(&dir);
    let text = String::from_utf8(lines).expect("it is text");
    let lines: Vec<&str> = text.lines().collect();
    let check = |name: &str, changed: Vec<String>, wanted: &str| {
        let to = dir.path().join(name);
        let text = changed.join("\n") + "\n";
        let error = node::import(&to, text.as_bytes(), |_| ()).expect_err("it is refused");
        assert!(error.to_string().contains(wanted), "{name}: {error}");
        if let ImportError::Line { imported, .. } = error {
            let log = Log::open(&to, LogOptions::default()).expect("the log opens");
            assert_eq!(log.head().next_seq - 1, imported, "{name}");
            let told = format!("imported are the records up to {imported}, after which");
            assert!(error.to_string().contains(&told), "{name}: {error}");
        }
    };
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut lines);
        lines
    };
    check(
        "edited",
        with(&|lines| {
            lines[100] = lines[100]
                .replace("sha256:", "sha256:0")
                .replacen("0\"", "\"", 1)
        }),
        "line 10",
    );
    check(
        "left out",
        with(&|lines| {
            lines.remove(100);
        }),
        "line 101: it is record 101, record 100 should stand there",
    );
    check(
        "swapped",
        with(&|lines| lines.swap(100, 101)),
        "line 101: it is record 101",
    );
    check(
        "emptied",
        with(&|lines| lines[100].clear()),
        "line 101: it is not canonical JSON",
    );
    check(
        "spaced",
        with(&|lines| lines[100].push(' ')),
        "line 101: it is not canonical JSON",
    );
    check(
        "cut",
        with(&|lines| lines[100].truncate(100)),
        "line 101: it is not canonical JSON",
    );
    check(
        "no record",
        with(&|lines| lines[100] = "{}".into()),
        "line 101: it is no record",
    );
    check(
        "no header",
        with(&|lines| {
            lines.remove(0);
        }),
        "the first line is not that of an exported log",
    );
    check(
        "otherwise decided",
        with(&|lines| lines[0] = lines[0].replace("at-once", "commands")),
        "is not what its inputs lead to",
    );
    check("empty", Vec::new(), "the first line is not");
}
