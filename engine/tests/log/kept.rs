//! Logs of formats that were shipped, kept in the tree: they must go on loading, to the same
//! records and the same state, for as long as there is this program.
//!
//! `fixtures/log/v1` was written by the version that made format 1, and so on: an export, the files
//! of a data directory (each compressed with zstd) as a clean stop left them, and what they come to.
//! A later format adds a directory of its own and changes none of these; only a new version of the
//! state's encoding changes the digest in `v1/comes-to.txt`. Every format holds the same history,
//! so that all come to the same.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use weir_engine::log::key::VerifierKey;
use weir_engine::log::{LogOptions, verify};
use weir_engine::node::{self, Ledger};
use weir_rules::{Execution, Settings};
use weir_schema::record::hex;

use crate::history::History;

const FILES: [&str; 7] = [
    "format",
    "witness",
    "checkpoint",
    "journal/0",
    "journal/1",
    "store/conf",
    "store/db",
];

const FORMATS: [&str; 3] = ["v1", "v2", "v3"];

fn kept(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/log")
        .join(format)
}

fn unpacked(format: &str, name: &str) -> Vec<u8> {
    let file = fs::File::open(kept(format).join(format!("{name}.zst"))).expect("it is kept");
    zstd::decode_all(file).expect("it unpacks")
}

fn comes_to() -> String {
    fs::read_to_string(kept("v1").join("comes-to.txt")).expect("it is kept")
}

/// Records, root and state digest, as a line.
fn told(ledger: &Ledger) -> String {
    let head = ledger.reader().head();
    format!(
        "{} records, root {}, state {}\n",
        head.tree_size,
        hex(&head.root),
        ledger.state().state_digest()
    )
}

#[test]
fn a_kept_export_imports_to_the_same_records_and_state() {
    for format in FORMATS {
        let dir = TempDir::new().expect("a directory");
        let lines = unpacked(format, "export.jsonl");
        node::import(&dir.path().join("log"), &lines[..], |_| ()).expect("it imports");
        let ledger = Ledger::open_to_read(&dir.path().join("log")).expect("it opens");
        assert_eq!(told(&ledger), comes_to(), "{format}");
        let mut again = Vec::new();
        node::export(&ledger.reader(), &mut again, |_| ()).expect("it exports");
        assert!(again == lines, "{format}: equal to the byte");
    }
}

#[test]
fn a_kept_data_directory_opens_to_the_same_records_and_state_and_goes_on() {
    let mut went_on = Vec::new();
    for format in FORMATS {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("log");
        for name in FILES {
            // Format 1 had no journal.
            if kept(format).join(format!("{name}.zst")).exists() {
                let file = path.join(name);
                fs::create_dir_all(file.parent().expect("a directory")).expect("it is made");
                fs::write(file, unpacked(format, name)).expect("it is written");
            }
        }
        let ledger = Ledger::open_to_read(&path).expect("it opens");
        assert_eq!(told(&ledger), comes_to(), "{format}");
        let key = fs::read_to_string(kept(format).join("key.txt")).expect("it is kept");
        let key: VerifierKey = key.trim_end().parse().expect("a key");
        let reader = ledger.reader();
        let checkpoints = reader.checkpoints().expect("they read");
        let report = verify(
            &reader,
            &checkpoints,
            std::slice::from_ref(&key),
            1,
            |_, _| Ok(()),
            |_| (),
        );
        assert_eq!((report.first_bad, report.checkpoints), (None, 1));
        drop((reader, ledger));
        let named = fs::read(path.join("format")).expect("it is there");
        assert_eq!(
            named,
            unpacked(format, "format"),
            "reading changes no format"
        );

        // It goes on in small steps, and is closed between them.
        let mut history = History::new(81, 20);
        for size in [1, 1, 40, 3] {
            let mut ledger = open(&path);
            ledger.take(history.take(size), None).expect("it goes on");
        }
        let named = fs::read_to_string(path.join("format")).expect("it is there");
        assert_eq!(named, "weir log 3\n");
        let ledger = Ledger::open_to_read(&path).expect("it opens");
        let report = verify(&ledger.reader(), &[], &[], 2, |_, _| Ok(()), |_| ());
        assert_eq!(report.first_bad, None, "{format}");
        went_on.push(told(&ledger));
    }
    assert!(
        went_on.windows(2).all(|pair| pair[0] == pair[1]),
        "{went_on:?}"
    );
}

#[test]
fn a_kept_journal_leads_to_the_same_records_if_the_store_has_none_of_them() {
    // As a power cut may leave it: the journal is durable before the store. Format 1 had none.
    for format in ["v2", "v3"] {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("log");
        fs::create_dir_all(path.join("journal")).expect("it is made");
        for name in ["format", "journal/0", "journal/1"] {
            fs::write(path.join(name), unpacked(format, name)).expect("it is written");
        }
        drop(open(&path));
        let ledger = Ledger::open_to_read(&path).expect("it opens");
        assert_eq!(told(&ledger), comes_to(), "{format}");
        let report = verify(&ledger.reader(), &[], &[], 1, |_, _| Ok(()), |_| ());
        assert_eq!(report.first_bad, None, "{format}");
    }
}

fn open(path: &Path) -> Ledger {
    let settings = Settings {
        bundle_repositories: Some("bundles/*".parse().expect("patterns")),
    };
    Ledger::open(path, LogOptions::default(), settings, Execution::AtOnce)
        .expect("the ledger opens")
}

/// Not a test: makes what is kept, for a new format, in the directory that `WEIR_KEEP` names.
#[test]
#[ignore = "makes the files that the other tests read"]
fn keep() {
    let Ok(to) = std::env::var("WEIR_KEEP") else {
        return;
    };
    let to = Path::new(&to);
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("log");
    let mut ledger = open(&path);
    let mut history = History::new(80, 20);
    for _ in 0..6 {
        ledger.take(history.take(50), None).expect("they are taken");
    }
    let key =
        weir_engine::log::key::SigningKey::from_seed("example.com/weir", &[9; 32]).expect("a key");
    ledger.checkpoint(&key).expect("it is made");
    for name in ["store", "journal"] {
        fs::create_dir_all(to.join(name)).expect("it is made");
    }
    assert_eq!(told(&ledger), comes_to(), "the history of all formats");
    fs::write(to.join("key.txt"), format!("{}\n", key.verifier())).expect("it is written");
    let mut lines = Vec::new();
    node::export(&ledger.reader(), &mut lines, |_| ()).expect("it exports");
    drop(ledger);
    let pack = |name: &str, bytes: &[u8]| {
        let packed = zstd::encode_all(bytes, 19).expect("it packs");
        fs::write(to.join(format!("{name}.zst")), packed).expect("it is written");
    };
    pack("export.jsonl", &lines);
    for name in FILES {
        pack(name, &fs::read(path.join(name)).expect("it reads"));
    }
}
