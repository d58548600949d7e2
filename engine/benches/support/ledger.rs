//! The ledger: how fast inputs are decided and made durable, and how soon a long log is open again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use weir_engine::log::{Log, LogOptions, LogReader};
use weir_engine::node::{At, Ledger, state_at};
use weir_rules::{Execution, Settings};

use crate::allocated;
use crate::history::History;
use crate::ratio::{Better, Ratio};

/// Inputs in one commit.
const BATCH: usize = 256;

/// How many repositories they are about.
const REPOSITORIES: u64 = 10_000;

fn open(dir: &Path) -> Ledger {
    Ledger::open(
        dir,
        LogOptions::default(),
        Settings::default(),
        Execution::AtOnce,
    )
    .expect("the ledger opens")
}

/// Fills a ledger with records and measures it.
pub fn run(records: u64, rounds: usize) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("log");
    let mut ledger = open(&path);
    let mut history = History::new(9, REPOSITORIES);
    let (mut inputs, mut busy) = (0, 0.0);
    while ledger.reader().head().next_seq <= records {
        let batch = history.take(BATCH);
        let start = Instant::now();
        ledger.take(batch, None).expect("they are taken");
        busy += start.elapsed().as_secs_f64();
        inputs += BATCH;
    }
    let reader = ledger.reader();
    let last = reader.head().next_seq - 1;
    println!(
        "ledger: {inputs} inputs, {last} records; decided and durable: {:.0} inputs/s",
        inputs as f64 / busy
    );
    let start = Instant::now();
    let digest = ledger.state().state_digest();
    println!("state digest: {:?}", start.elapsed());
    let start = Instant::now();
    ledger.keep_snapshot();
    let took = start.elapsed();
    let size: u64 = files(&path.join("snapshots"));
    println!(
        "snapshot: {:?}; {:.1} bytes a record with the deliveries",
        took,
        size as f64 / last as f64
    );
    // As `kill -9` would leave it, with records that are in no snapshot.
    for _ in 0..40 {
        ledger
            .take(history.take(BATCH), None)
            .expect("they are taken");
    }
    let killed = dir.path().join("killed");
    copy(&path, &killed);
    let digest_after = ledger.state().state_digest();
    drop(reader);
    drop(ledger);

    let (mut logs, mut opens, mut rebuilds, mut folds) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds.min(5) {
        let copied = dir.path().join(format!("killed-{round}"));
        copy(&killed, &copied);
        let start = Instant::now();
        let log = Log::open(&copied, LogOptions::default()).expect("the log opens");
        let log_opened = start.elapsed().as_secs_f64();
        drop(log);
        fs::remove_dir_all(&copied).expect("it goes");
        copy(&killed, &copied);
        let start = Instant::now();
        let ledger = open(&copied);
        let opened = start.elapsed().as_secs_f64();
        assert_eq!(ledger.state().state_digest(), digest_after);
        let reader = ledger.reader();

        let start = Instant::now();
        let scanned: usize = reader
            .range(1, None)
            .map(|item| item.expect("it reads").1.len())
            .sum();
        let scan = start.elapsed().as_secs_f64();
        assert!(scanned > 0);
        logs.push(log_opened / scan);
        opens.push(opened / scan);

        let start = Instant::now();
        std::hint::black_box(naive(&reader));
        let naive = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let state = state_at(&reader, At::Seq(last)).expect("it folds");
        let rebuild = start.elapsed().as_secs_f64();
        assert_eq!(state.state_digest(), digest);
        rebuilds.push(naive / rebuild);
        if round == 0 {
            println!(
                "opened after a kill: the log in {log_opened:.3} s, with its state and deliveries in {opened:.3} s (goal below 1 s for a million records); state from its snapshot in {rebuild:.3} s, full scan {scan:.3} s, naive replay {naive:.3} s"
            );
            reader.snapshots().clear().expect("they go");
            let start = Instant::now();
            let state = state_at(&reader, At::Seq(last)).expect("it folds");
            let fold = start.elapsed().as_secs_f64();
            assert_eq!(state.state_digest(), digest);
            println!(
                "every decision made again: {:.0} records/s",
                last as f64 / fold
            );
            folds.push(naive / fold);
        }
        drop((reader, ledger));
        fs::remove_dir_all(&copied).expect("it goes");
    }
    Ratio::of(&logs).print(
        "open of the log after SIGKILL to full scan",
        Better::Lower,
        0.3,
        0.1,
    );
    println!(
        "  with the state and the deliveries: {:.3} of a full scan",
        Ratio::of(&opens).median
    );
    Ratio::of(&rebuilds).print(
        "rebuild of the state from disk to naive replay (rate)",
        Better::Higher,
        10.0,
        25.0,
    );
    println!(
        "  without any snapshot, deciding everything again: {:.3} of the naive replay's rate",
        folds[0]
    );
    println!(
        "  on disk with snapshots: {:.0} bytes a record",
        allocated(&killed) as f64 / last as f64
    );
}

/// What anybody would write first: every record as a tree of JSON, the state in maps of text.
fn naive(reader: &LogReader) -> usize {
    let mut tags: HashMap<String, String> = HashMap::new();
    let mut scans: HashMap<String, Value> = HashMap::new();
    let mut overrides: HashMap<String, Value> = HashMap::new();
    let mut decisions: HashMap<String, Value> = HashMap::new();
    for item in reader.range(1, None) {
        let (_, bytes) = item.expect("it reads");
        let mut record: Value = serde_json::from_slice(&bytes).expect("it is JSON");
        let kind = record["event"]["type"].as_str().unwrap_or("").to_owned();
        let data = record["event"]["data"].take();
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        match &kind[..] {
            "weir.image.pushed" => {
                let tag = format!("{}:{}", text(&data["repository"]), text(&data["tag"]));
                tags.insert(tag, text(&data["digest"]));
            }
            "weir.tag.deleted" => {
                tags.remove(&format!(
                    "{}:{}",
                    text(&data["repository"]),
                    text(&data["tag"])
                ));
            }
            "weir.scan.completed" => {
                scans.insert(text(&data["digest"]), data);
            }
            "weir.override.granted" => {
                overrides.insert(text(&data["override_id"]), data);
            }
            "weir.decision.made" => {
                let source = &data["source"];
                let subject = format!(
                    "{}:{} {}",
                    text(&source["repository"]),
                    text(&source["tag"]),
                    text(&data["rule"])
                );
                decisions.insert(subject, data);
            }
            "weir.promotion.completed" => {
                let (target, source) = (&data["target"], &data["source"]);
                let tag = format!("{}:{}", text(&target["repository"]), text(&target["tag"]));
                tags.insert(tag, text(&source["digest"]));
            }
            _ => {}
        }
    }
    tags.len() + scans.len() + overrides.len() + decisions.len()
}

fn files(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Copies a log, onto the disk: what the kernel has not written yet would be written by the first
/// sync of who opens the copy, and there a `kill -9` leaves a few MiB at most.
fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .args(["-r", "--sparse=always"])
        .args([from, to])
        .status();
    assert!(status.expect("cp runs").success());
    sync(to);
}

fn sync(path: &Path) {
    File::open(path)
        .and_then(|file| file.sync_all())
        .expect("it is synced");
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("it reads");
        entries.for_each(|entry| sync(&entry.expect("it reads").path()));
    }
}
