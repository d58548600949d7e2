//! The ledger over a restart: from a snapshot or from the beginning, the same state, the same
//! deliveries remembered; looking back; what a log was decided under.

use std::{cell::RefCell, fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_engine::log::{Kind, Log, LogOptions};
use weir_engine::node::{At, Basis, Fold, Incoming, Ledger, LedgerError, Taken, state_at};
use weir_rules::{Execution, Settings};
use weir_schema::record::{NO_HASH, hash, hex};
use weir_schema::{Body, Digest, Position, Received, Record, Timestamp, canonical};

use crate::history::History;
use crate::lines::append_lines;

fn open(dir: &Path) -> Ledger {
    open_with(dir, None).expect("the ledger opens")
}

fn open_with(dir: &Path, bundles: Option<&str>) -> Result<Ledger, LedgerError> {
    let settings = Settings {
        bundle_repositories: bundles.map(|text| text.parse().expect("patterns")),
    };
    Ledger::open(dir, LogOptions::default(), settings, Execution::AtOnce)
}

/// A ledger of so many inputs, closed.
fn filled(dir: &Path, seed: u64, inputs: usize) -> Digest {
    let mut ledger = open(dir);
    let mut history = History::new(seed, 40);
    for _ in 0..inputs.div_ceil(100) {
        ledger
            .take(history.take(100), None)
            .expect("they are taken");
    }
    ledger.state().state_digest()
}

/// Folds the log by itself, without any snapshot, and gives the digest after some whole steps and
/// the last.
fn slow(dir: &Path) -> Vec<(u64, Timestamp, Digest)> {
    let log = Log::open(dir, LogOptions::default()).expect("the log opens");
    let reader = log.reader();
    let mut fold = Fold::new(&Basis::of(&reader).expect("it reads"));
    let mut digests = Vec::new();
    for row in reader.range(1, None) {
        let record = Record::decode(&row.expect("it reads").1).expect("a record");
        fold.record(&record).expect("it follows");
        let last = record.seq + 1 == reader.head().next_seq;
        if fold.is_whole() && (record.seq.is_multiple_of(7) || last) {
            digests.push((record.seq, record.recorded_at, fold.state.state_digest()));
        }
    }
    digests
}

#[test]
fn a_start_from_a_snapshot_is_a_start_from_the_beginning() {
    let dir = TempDir::new().expect("a directory");
    filled(dir.path(), 1, 500);
    let ledger = open(dir.path());
    ledger.keep_snapshot();
    assert_eq!(ledger.reader().snapshots().list(Kind::State).len(), 1);
    drop(ledger);

    // The tail after the snapshot is folded too, and what came before it is still remembered.
    let mut history = History::new(1, 40);
    let mut ledger = open(dir.path());
    let repeated = ledger
        .take(history.take(500), None)
        .expect("they are taken")
        .0;
    assert!(repeated.iter().all(|taken| *taken == Taken::Repeated));
    ledger
        .take(history.take(100), None)
        .expect("they are taken");
    let (digest, next_seq) = (
        ledger.state().state_digest(),
        ledger.reader().head().next_seq,
    );
    drop(ledger);
    assert_eq!(open(dir.path()).state().state_digest(), digest);

    // Without a snapshot, the same.
    open(dir.path())
        .reader()
        .snapshots()
        .clear()
        .expect("they go");
    let mut ledger = open(dir.path());
    assert_eq!(ledger.state().state_digest(), digest);
    let again = ledger
        .take(History::new(1, 40).take(600), None)
        .expect("they are taken");
    assert!(again.0.iter().all(|taken| *taken == Taken::Repeated));
    assert_eq!(ledger.reader().head().next_seq, next_seq);
}

#[test]
fn a_snapshot_that_is_damaged_or_wrong_costs_time_and_nothing_else() {
    let dir = TempDir::new().expect("a directory");
    filled(dir.path(), 2, 500);
    open(dir.path()).keep_snapshot();
    let other = TempDir::new().expect("a directory");
    let otherwise = filled(other.path(), 2, 400);

    let mut ledger = open(dir.path());
    let kept = ledger.reader().snapshots().list(Kind::State)[0].seq;
    let mut history = History::new(2, 40);
    history.take(500);
    ledger
        .take(history.take(300), None)
        .expect("they are taken");
    let digest = ledger.state().state_digest();

    // Whole, in form, bound to this log, and of another state: the records after it tell.
    let state = {
        let mut ledger = open(other.path());
        let mut history = History::new(3, 40);
        while ledger.state().seq() < kept {
            ledger.take(history.take(1), None).expect("it is taken");
        }
        state_at(&ledger.reader(), At::Seq(kept)).expect("it folds")
    };
    let digest_of_wrong = state.state_digest().to_string();
    ledger
        .reader()
        .snapshots()
        .put(Kind::State, kept, Some(digest_of_wrong), |to| {
            state.freeze(to)
        })
        .expect("it is kept");
    drop(ledger);
    assert_ne!(otherwise, digest);
    let ledger = open(dir.path());
    assert_eq!(ledger.state().state_digest(), digest);
    let snapshots = ledger.reader().snapshots();
    assert_eq!(
        snapshots.list(Kind::State).len(),
        0,
        "it is not believed again"
    );

    // Damaged.
    ledger.keep_snapshot();
    let file = fs::read_dir(dir.path().join("snapshots"))
        .expect("it reads")
        .map(|entry| entry.expect("it reads").path())
        .find(|path| path.extension().is_some_and(|kind| kind == "state"))
        .expect("a state");
    let mut bytes = fs::read(&file).expect("it reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&file, bytes).expect("it is written");
    drop((ledger, snapshots));
    assert_eq!(open(dir.path()).state().state_digest(), digest);
}

#[test]
fn the_state_at_any_record_is_what_a_fold_up_to_it_gives() {
    let dir = TempDir::new().expect("a directory");
    filled(dir.path(), 3, 500);
    open(dir.path()).keep_snapshot();
    let mut ledger = open(dir.path());
    let mut history = History::new(3, 40);
    history.take(500);
    ledger
        .take(history.take(200), None)
        .expect("they are taken");
    drop(ledger);
    let slow = slow(dir.path());
    let ledger = Ledger::open_to_read(dir.path()).expect("it opens");
    let reader = ledger.reader();
    let kept = reader.snapshots().list(Kind::State)[0].seq;
    let at = |at| state_at(&reader, at).expect("it folds");
    assert_eq!(at(At::Seq(0)).seq(), 0);
    for (seq, recorded_at, digest) in slow.iter().step_by(9).chain(slow.last()) {
        assert_eq!(at(At::Seq(*seq)).state_digest(), *digest, "record {seq}");
        assert_eq!(
            at(At::Time(*recorded_at)).state_digest(),
            *digest,
            "record {seq}"
        );
    }
    assert!(slow.iter().any(|(seq, ..)| *seq < kept) && slow.iter().any(|(seq, ..)| *seq > kept));
    let beyond = state_at(&reader, At::Seq(1_000_000)).map(|state| state.seq());
    assert!(
        matches!(beyond, Err(LedgerError::Beyond { seq: 1_000_000, .. })),
        "{beyond:?}"
    );
    let later: Timestamp = "2099-01-01T00:00:00Z".parse().expect("a time");
    assert_eq!(at(At::Time(later)).seq() + 1, reader.head().next_seq);
}

#[test]
fn a_log_goes_on_only_under_the_settings_that_decided_it() {
    let dir = TempDir::new().expect("a directory");
    drop(open_with(dir.path(), Some("apps/*")).expect("a new log"));
    // Nothing is decided yet: they may still change.
    let mut ledger =
        open_with(dir.path(), Some("dev/*, bundles/**")).expect("a log without records");
    ledger
        .take(History::new(4, 10).take(100), None)
        .expect("they are taken");
    let digest = ledger.state().state_digest();
    drop(ledger);
    match open_with(dir.path(), None).map(|_| ()) {
        Err(error @ LedgerError::OtherSettings { .. }) => assert!(
            error
                .to_string()
                .contains("`bundle_repositories = \"bundles/**, dev/*\"`"),
            "{error}"
        ),
        other => panic!("expected other settings, got {other:?}"),
    }
    // The order of patterns means nothing.
    drop(open_with(dir.path(), Some("bundles/**,dev/*")).expect("the same settings"));
    // Whoever only reads takes those of the log.
    let read = Ledger::open_to_read(dir.path()).expect("it opens");
    assert_eq!(read.state().state_digest(), digest);
}

#[test]
fn a_log_that_ends_within_a_step_is_refused() {
    let dir = TempDir::new().expect("a directory");
    filled(dir.path(), 5, 300);
    let log = Log::open(dir.path(), LogOptions::default()).expect("it opens");
    let reader = log.reader();
    let is_conclusion = |seq| {
        let bytes = reader.get(seq).expect("it reads").expect("it is there");
        matches!(
            Record::decode(&bytes).expect("a record").position,
            Position::Step { .. }
        )
    };
    let last = (200..)
        .find(|seq| is_conclusion(*seq))
        .expect("a conclusion");
    let mut lines = Vec::new();
    weir_engine::log::transfer::export(&log.reader(), 1, Some(last), &mut lines, |_| ())
        .expect("it exports");
    let other = TempDir::new().expect("a directory");
    let mut cut = Log::open(other.path(), LogOptions::default()).expect("it opens");
    append_lines(&mut cut, &lines);
    cut.meta_put("execution", b"at-once").expect("it is put");
    drop(cut);
    match open_with(other.path(), None).map(|_| ()) {
        Err(LedgerError::Diverged { seq, .. }) => assert_eq!(seq, last),
        other => panic!("expected a step that is not whole, got {other:?}"),
    }
}

/// A log with the same records, but that `change` was made to conclusions, and all hashes after it.
fn with_conclusions(change: impl Fn(u64, &mut Value)) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    filled(dir.path(), 5, 1_000);
    let log = Log::open(dir.path(), LogOptions::default()).expect("it opens");
    let mut lines = Vec::new();
    weir_engine::log::transfer::export(&log.reader(), 1, None, &mut lines, |_| ())
        .expect("it exports");
    let (mut changed, mut previous) = (String::new(), NO_HASH);
    for line in lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let mut record: Value = serde_json::from_slice(line).expect("a record");
        let seq = record["seq"].as_u64().expect("a sequence");
        if record["position"]["from"] == "step" {
            change(seq, &mut record["event"]);
        }
        record["previous"] = hex(&previous).into();
        let text = canonical::to_string(&record);
        previous = hash(text.as_bytes());
        changed.push_str(&text);
        changed.push('\n');
    }
    let other = TempDir::new().expect("a directory");
    let mut log = Log::open(other.path(), LogOptions::default()).expect("it opens");
    append_lines(&mut log, changed.as_bytes());
    log.meta_put("execution", b"at-once").expect("it is put");
    other
}

#[test]
fn the_first_conclusion_that_is_not_what_its_input_leads_to_is_named() {
    let bad = RefCell::new(Vec::new());
    let dir = with_conclusions(|seq, event| {
        if seq > 700 && seq.is_multiple_of(10) && event["data"]["verdict"] != "wait" {
            event["data"]["reasons"] = json!([{"code": "loop"}]);
            bad.borrow_mut().push(seq);
        }
    });
    match open_with(dir.path(), None).map(|_| ()) {
        Err(LedgerError::Diverged { seq, problem }) => {
            assert_eq!(Some(&seq), bad.borrow().first());
            assert!(problem.contains("says something else"), "{problem}");
        }
        other => panic!("expected another decision, got {other:?}"),
    }
}

#[test]
fn a_conclusion_that_another_version_wrote_in_more_words_is_the_same() {
    let other = with_conclusions(|_, event| event["data"]["more"] = json!(1));
    let same = with_conclusions(|_, _| {});
    let digest = |dir: &TempDir| {
        let ledger = open_with(dir.path(), None).expect("it opens");
        ledger.state().state_digest()
    };
    assert_eq!(digest(&other), digest(&same));
}

/// What is said, on its way into the log.
fn said(id: &str, kind: &str, data: &Value) -> Incoming {
    let event = json!({"specversion": "1.0", "id": id, "source": "/t", "type": kind, "data": data});
    Incoming {
        received: Received::from_json(event.to_string().as_bytes()).expect("an event"),
        at: Timestamp::EPOCH,
        position: Position::Local,
    }
}

#[test]
fn what_leads_to_more_than_a_record_holds_stops_no_ledger() {
    const IMAGES: usize = 3000;
    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let digest = |number: usize| format!("sha256:{number:064x}");
    let rule = json!({"path": "ship.cel", "text": "//! from: dev/*\n//! to: prod/{1}\ntrue\n"});
    let mut inputs = vec![said(
        "rules",
        "weir.rules.activated",
        &json!({"files": [rule]}),
    )];
    for number in 0..IMAGES {
        let failed = json!({"digest": digest(number), "scanner": {"name": "trivy"},
            "reason": "\u{1}".repeat(1024)});
        inputs.push(said(&number.to_string(), "weir.scan.failed", &failed));
    }
    let manifests: Vec<Value> = (0..IMAGES)
        .map(|number| json!({"digest": digest(number), "media_type": IMAGE}))
        .collect();
    let pushed = json!({"repository": "dev/shop", "tag": "1", "digest": digest(IMAGES),
        "media_type": INDEX, "manifests": manifests});
    inputs.push(said("push", "weir.image.pushed", &pushed));

    let dir = TempDir::new().expect("a directory");
    let mut ledger = open(dir.path());
    ledger.take(inputs, None).expect("they are taken");
    let deleted = json!({"repository": "dev/shop", "tag": "1"});
    let goes_on = vec![said("deleted", "weir.tag.deleted", &deleted)];
    ledger.take(goes_on, None).expect("it is taken");
    let state = ledger.state().state_digest();
    drop(ledger);
    assert_eq!(open(dir.path()).state().state_digest(), state);
}

#[test]
fn an_event_with_a_name_that_is_too_long_is_recorded_as_rejected() {
    let dir = TempDir::new().expect("a directory");
    let mut ledger = open(dir.path());
    let granted = json!({"override_id": "o".repeat(9_000_000), "vulnerability": "CVE-1",
        "reason": "r", "actor": "ann"});
    let granted = said("1", "weir.override.granted", &granted);
    let (taken, _) = ledger.take(vec![granted], None).expect("it is taken");
    assert_eq!(taken, [Taken::Recorded(1)]);
    let mut rows = ledger.reader().range(1, None);
    let row = rows.next().expect("a record").expect("it reads").1;
    let Body::InputRejected(rejected) = Record::decode(&row).expect("a record").event.body else {
        panic!("it is recorded as it came");
    };
    assert_eq!(
        rejected.reason,
        "`data` of `weir.override.granted`: `override_id` has 9000000 bytes, at most 1024 are taken: give a shorter one"
    );
}

#[test]
fn an_event_whose_type_is_longer_than_a_record_is_recorded_as_rejected() {
    let dir = TempDir::new().expect("a directory");
    let mut ledger = open(dir.path());
    let event = said("1", &"t".repeat(17 << 20), &json!({}));
    let (taken, _) = ledger.take(vec![event], None).expect("it is taken");
    assert_eq!(taken, [Taken::Recorded(1)]);
}
