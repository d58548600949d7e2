//! Logs of formats that were shipped, kept in the tree: they must go on loading, to the same
//! records and the same state, for as long as there is this program.
//!
//! `fixtures/log/v1` was written by the version that shipped format 1: an export, the files of a
//! data directory (each compressed with zstd) as a clean stop left them, and what they come to.
//! A later format adds a directory of its own and changes none of these; only a new version of the
//! state's encoding changes the digest in `comes-to.txt`.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use weir_engine::log::key::VerifierKey;
use weir_engine::log::{LogOptions, verify};
use weir_engine::node::{self, Ledger};
use weir_rules::{Execution, Settings};
use weir_schema::record::hex;

use crate::history::History;

const FILES: [&str; 5] = ["format", "witness", "checkpoint", "store/conf", "store/db"];

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/log/v1")
}

fn unpacked(name: &str) -> Vec<u8> {
    let file = fs::File::open(kept().join(format!("{name}.zst"))).expect("it is kept");
    zstd::decode_all(file).expect("it unpacks")
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
    let dir = TempDir::new().expect("a directory");
    let lines = unpacked("export.jsonl");
    node::import(&dir.path().join("log"), &lines[..], |_| ()).expect("it imports");
    let ledger = Ledger::open_to_read(&dir.path().join("log")).expect("it opens");
    let wanted = fs::read_to_string(kept().join("comes-to.txt")).expect("it is kept");
    assert_eq!(told(&ledger), wanted);
    let mut again = Vec::new();
    node::export(&ledger.reader(), &mut again, |_| ()).expect("it exports");
    assert!(again == lines, "equal to the byte");
}

#[test]
fn a_kept_data_directory_opens_to_the_same_records_and_state_and_goes_on() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("log");
    fs::create_dir_all(path.join("store")).expect("it is made");
    for name in FILES {
        fs::write(path.join(name), unpacked(name)).expect("it is written");
    }
    let ledger = Ledger::open_to_read(&path).expect("it opens");
    let wanted = fs::read_to_string(kept().join("comes-to.txt")).expect("it is kept");
    assert_eq!(told(&ledger), wanted);
    let key: VerifierKey = fs::read_to_string(kept().join("key.txt"))
        .expect("it is kept")
        .trim_end()
        .parse()
        .expect("a key");
    let reader = ledger.reader();
    let checkpoints = reader.checkpoints().expect("they read");
    let report = verify(&reader, &checkpoints, Some(&key), 1, |_, _| Ok(()), |_| ());
    assert_eq!((report.first_bad, report.checkpoints), (None, 1));
    drop((reader, ledger));

    let mut ledger = open(&path);
    ledger
        .take(History::new(81, 20).take(50), None)
        .expect("it goes on");
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
    fs::create_dir_all(to.join("store")).expect("it is made");
    fs::write(to.join("comes-to.txt"), told(&ledger)).expect("it is written");
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
