//! The commands that ask whether anybody touched the record.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use weir_engine::log::{EncodedRecord, Kind, Log, LogOptions};
use weir_engine::node::Ledger;
use weir_rules::{Execution, Settings, State, step};
use weir_schema::{Body, Position, Record};

use crate::history::History;

fn weir(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .output()
        .expect("it runs")
}

/// What a command printed, which must have this exit code.
pub fn said(dir: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = weir(dir, arguments);
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {out}{err}"
    );
    (out, err)
}

/// The log in the directory that commands look for it in.
pub fn ledger(dir: &Path) -> Ledger {
    Ledger::open(
        &dir.join("weir-data"),
        LogOptions::default(),
        Settings::default(),
        Execution::AtOnce,
    )
    .expect("the ledger opens")
}

fn take(dir: &Path, seed: u64, inputs: usize) {
    let mut ledger = ledger(dir);
    let history = &mut History::new(seed, 20);
    ledger
        .take(history.take(inputs), None)
        .expect("they are taken");
}

fn put(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("it is written");
}

#[test]
fn a_proof_is_made_here_and_checked_elsewhere() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 70, 300);
    let (old, _) = said(dir, &["checkpoint"], 0);
    put(dir, "old", &old);
    let (key, _) = said(dir, &["checkpoint", "--key"], 0);
    let key = key.trim_end();
    take(dir, 71, 100);

    let elsewhere = TempDir::new().expect("a directory");
    let there = elsewhere.path();
    let (inclusion, _) = said(dir, &["proof", "inclusion", "17"], 0);
    assert!(
        inclusion.starts_with("c2sp.org/tlog-proof@v1\nextra "),
        "{inclusion}"
    );
    put(there, "inclusion", &inclusion);
    let (record, told) = said(there, &["proof", "check", "inclusion", "--key", key], 0);
    assert!(record.contains("\"seq\":17,"), "{record}");
    assert!(told.contains("record 17 is in the log `weir`"), "{told}");

    let (consistency, _) = said(dir, &["proof", "consistency", "old"], 0);
    put(there, "consistency", &consistency);
    put(there, "old", &old);
    let check = [
        "proof",
        "check",
        "consistency",
        "--old",
        "old",
        "--key",
        key,
    ];
    let (_, told) = said(there, &check, 0);
    assert!(told.contains("continues that of"), "{told}");

    // Another index, another record, another root, another key.
    let wrong = |name: &str, text: String, code: i32, wanted: &str| {
        assert_ne!(text, inclusion, "{name}");
        put(there, name, &text);
        let (_, told) = said(there, &["proof", "check", name, "--key", key], code);
        assert!(told.contains(wanted), "{name}: {told}");
    };
    let does_not_hold = "the proof does not hold: record";
    wrong(
        "index",
        inclusion.replace("index 16", "index 17"),
        1,
        does_not_hold,
    );
    wrong(
        "record",
        inclusion.replacen("extra eyJl", "extra eyJm", 1),
        1,
        does_not_hold,
    );
    wrong(
        "signature",
        inclusion.replace("\n— weir ", "\n— else "),
        1,
        "is signed by `else+",
    );
    wrong("torn", inclusion[..100].to_owned(), 2, "not a proof");
    let other = TempDir::new().expect("a directory");
    take(other.path(), 72, 50);
    let (other_key, _) = said(other.path(), &["checkpoint", "--key"], 0);
    said(
        there,
        &["proof", "check", "inclusion", "--key", other_key.trim_end()],
        1,
    );

    let (json, _) = said(dir, &["proof", "inclusion", "17", "--output", "json"], 0);
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((&json["seq"], &json["index"]), (&17.into(), &16.into()));
    said(dir, &["proof", "inclusion", "100000"], 2);
    said(dir, &["proof", "consistency", "100000"], 2);
}

#[test]
fn a_checkpoint_of_yesterday_refuses_a_log_that_was_cut_and_regrown() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 73, 300);
    let (yesterday, _) = said(dir, &["checkpoint"], 0);
    put(dir, "yesterday", &yesterday);
    take(dir, 74, 50);
    let (told, _) = said(dir, &["verify", "--checkpoint", "yesterday"], 0);
    let (found, _) = said(dir, &["verify", "--output", "json"], 0);
    let found: serde_json::Value = serde_json::from_str(&found).expect("it is JSON");
    assert_eq!(found["as_written"], true);
    assert!(
        told.contains(found["root"].as_str().expect("a root")),
        "{told}"
    );
    assert!(told.contains("as written"), "{told}");

    // The same key and the same beginning, another end: a log that is whole in itself.
    let forged = TempDir::new().expect("a directory");
    let forged = forged.path();
    take(forged, 73, 290);
    take(forged, 75, 100);
    let copy = |name: &str| {
        fs::copy(dir.join(name), forged.join(name)).expect("it is copied");
    };
    copy("yesterday");
    copy("weir-data/checkpoint.key");
    said(forged, &["verify"], 0);
    let (_, told) = said(forged, &["verify", "--checkpoint", "yesterday"], 1);
    assert!(told.contains("was changed"), "{told}");
    let (_, told) = said(forged, &["proof", "consistency", "yesterday"], 1);
    assert!(told.contains("there is no proof"), "{told}");

    // Only cut.
    let cut = TempDir::new().expect("a directory");
    let cut = cut.path();
    take(cut, 73, 100);
    fs::copy(dir.join("yesterday"), cut.join("yesterday")).expect("it is copied");
    fs::copy(
        dir.join("weir-data/checkpoint.key"),
        cut.join("weir-data/checkpoint.key"),
    )
    .expect("it is copied");
    let (_, told) = said(cut, &["verify", "--checkpoint", "yesterday"], 1);
    assert!(told.contains("its tail was cut"), "{told}");

    // The one that a daemon leaves beside the log counts as if it were named.
    said(cut, &["verify"], 0);
    put(cut, "weir-data/checkpoint", &yesterday);
    let (_, told) = said(cut, &["verify"], 1);
    assert!(told.contains("its tail was cut"), "{told}");
    put(dir, "weir-data/checkpoint", &yesterday);
    said(dir, &["verify"], 0);
    put(
        dir,
        "weir-data/checkpoint",
        &yesterday.replacen("weir", "wei7", 1),
    );
    said(dir, &["verify"], 1);
}

/// Appends a tick of that position to a closed log, at the time of the last record or another, and
/// gives its sequence.
#[test]
fn a_log_whose_key_was_replaced_is_verified_by_both() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    let key = || {
        let (key, _) = said(dir, &["checkpoint", "--key"], 0);
        key.trim_end().to_owned()
    };
    take(dir, 74, 300);
    said(dir, &["export", "--archive", "unsigned"], 0);
    said(dir, &["checkpoint"], 0);
    said(dir, &["export", "--archive", "backup"], 0);
    let lost = key();
    fs::remove_file(dir.join("weir-data/checkpoint.key")).expect("it is there");
    take(dir, 75, 8_000);
    said(dir, &["checkpoint"], 0);
    let new = key();
    assert_ne!(lost, new);

    let (_, told) = said(dir, &["verify"], 1);
    assert!(told.contains("is signed by `weir+"), "{told}");
    assert!(told.contains("hint: if the key was replaced"), "{told}");
    for path in [&[][..], &["--archive", "backup"]] {
        let with = |keys: &[&str], code| {
            let keys = keys.iter().flat_map(|key| ["--key", key]);
            let arguments: Vec<&str> = ["verify"].into_iter().chain(keys).collect();
            said(dir, &[&arguments, path].concat(), code)
        };
        with(&[&lost, &new], 0);
        with(&[&new], 1);
    }
    said(dir, &["verify", "--key", &lost], 1);
    let unsigned = ["verify", "--archive", "unsigned", "--key", &lost];
    let (_, told) = said(dir, &unsigned, 1);
    assert!(told.contains("record 1: from here to the last, "), "{told}");
    let import = [
        "import", "log", "unsigned", "--data", "other", "--key", &lost,
    ];
    said(dir, &import, 1);
}

fn append_tick(data: &Path, position: &str, at: Option<&str>) -> u64 {
    let mut log = Log::open(data, LogOptions::default()).expect("it opens");
    let head = log.head();
    let (seq, previous) = (head.next_seq, weir_schema::record::hex(&head.previous));
    let last = head.last_recorded_at.expect("a time").to_string();
    let at = at.unwrap_or(&last);
    let record = format!(
        r#"{{"event":{{"data":{{}},"id":"x","source":"/weir","specversion":"1.0","type":"weir.clock.ticked"}},"position":{position},"previous":"{previous}","recorded_at":"{at}","seq":{seq},"v":1}}"#
    );
    log.append(&[EncodedRecord::new(seq, record.into_bytes())], None)
        .expect("it is appended");
    seq
}

#[test]
fn verify_names_the_first_record_that_a_replay_does_not_lead_to() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 76, 200);
    // A decision that nobody made, chained and counted as it should be.
    let next = append_tick(
        &dir.join("weir-data"),
        r#"{"from":"step","trigger":7}"#,
        None,
    );
    let (_, told) = said(dir, &["verify"], 1);
    let (found, _) = said(dir, &["verify", "--output", "json"], 1);
    let found: serde_json::Value = serde_json::from_str(&found).expect("it is JSON");
    assert_eq!(found["as_written"], false);
    let first = found["first_bad"].as_u64().expect("a sequence");
    assert!(told.contains(&format!("record {first}")), "{told}");
    assert!(
        told.contains(&format!("record {next}: ")) && told.contains("nothing was to be concluded"),
        "{told}"
    );
}

#[test]
fn a_record_whose_time_goes_back_is_named_by_verify_and_refused_by_import() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 79, 200);
    let data = dir.join("weir-data");
    let seq = append_tick(&data, r#"{"from":"local"}"#, Some("2001-02-03T04:05:06Z"));
    let problem =
        format!("record {seq} of the log has the time 2001-02-03T04:05:06Z, the one before it ");
    let (_, told) = said(dir, &["verify"], 1);
    assert!(told.contains(&problem), "{told}");
    said(dir, &["export", "log.jsonl"], 0);
    let import = ["import", "log", "log.jsonl", "--data", "again"];
    let line = format!("line {}: {problem}", seq + 1);
    // It goes on after the record before, and comes to the same.
    for _ in 0..2 {
        let (_, told) = said(dir, &import, 1);
        assert!(told.contains(&line), "{told}");
    }
}

#[test]
fn an_export_is_imported_and_verified_by_the_commands() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 77, 300);
    said(dir, &["export", "log.jsonl"], 0);
    said(dir, &["export", "log.jsonl"], 3);
    let (state, _) = said(dir, &["import", "log", "log.jsonl", "--data", "again"], 0);
    let (verified, _) = said(dir, &["verify", "--data", "again"], 0);
    let digest = |text: &str| text.trim_end().rsplit(' ').next().map(str::to_owned);
    assert_eq!(digest(&state), digest(&verified));
    let (original, _) = said(dir, &["verify"], 0);
    assert_eq!(original, verified);
    said(dir, &["import", "log", "log.jsonl", "--data", "again"], 2);
    let (lines, _) = said(dir, &["export", "--data", "again"], 0);
    let file = fs::read_to_string(dir.join("log.jsonl")).expect("it reads");
    assert!(lines == file, "equal to the byte");
    said(dir, &["export", "--data", "missing"], 3);
}

#[test]
fn a_log_whose_import_was_interrupted_is_read_by_no_command() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 80, 300);
    said(dir, &["checkpoint"], 0);
    said(dir, &["export", "log.jsonl"], 0);
    let lines = fs::read_to_string(dir.join("log.jsonl")).expect("it reads");
    let last = lines.lines().last().expect("a last line");
    put(dir, "changed.jsonl", &lines.replace(last, "{}"));
    let import = ["import", "log", "changed.jsonl", "--data", "again"];
    said(dir, &import, 1);
    put(dir, "r.cel", "//! from: dev/*\n//! to: prod/{1}\n\ntrue\n");
    for (command, code) in [
        ("verify", 1),
        ("checkpoint", 3),
        ("proof inclusion 1", 3),
        ("proof consistency 1", 3),
        ("export", 3),
        ("export --archive backup", 3),
        ("replay", 3),
        ("replay --rules r.cel", 3),
        ("backtest --rules r.cel", 3),
        ("list", 3),
    ] {
        let words = command.split(' ').chain(["--data", "again"]);
        let (_, told) = said(dir, &words.collect::<Vec<_>>(), code);
        assert!(
            told.contains("the import into this log was interrupted: run the same"),
            "{command}: {told}"
        );
    }
}

#[test]
fn without_a_key_verify_says_that_signatures_were_not_checked() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 81, 100);
    said(dir, &["checkpoint"], 0);
    let check = |signed: serde_json::Value, words: &str| {
        let (told, _) = said(dir, &["verify"], 0);
        assert!(told.contains(words), "{told}");
        let (found, _) = said(dir, &["verify", "--output", "json"], 0);
        let found: serde_json::Value = serde_json::from_str(&found).expect("it is JSON");
        assert_eq!(
            (&found["signed"], &found["checkpoints"]),
            (&signed, &1.into())
        );
    };
    check(1.into(), "1 checkpoint: as written; root");
    fs::remove_file(dir.join("weir-data/checkpoint.key")).expect("it is there");
    check(
        serde_json::Value::Null,
        "1 checkpoint: as written; signatures were not checked; root",
    );
}

#[test]
fn a_checkpoint_that_was_changed_is_told_as_that_and_not_as_a_record() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 82, 100);
    let (good, _) = said(dir, &["checkpoint"], 0);
    let (text, signature) = good.rsplit_once(' ').expect("a signature");
    let middle = signature.len() / 2;
    let other = if &signature[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    let forged = format!(
        "{text} {}{other}{}",
        &signature[..middle],
        &signature[middle + 1..]
    );
    let check = |arguments: &[&str], wanted: &str, hint: &str| {
        let arguments = [&["verify", "--output", "json"], arguments].concat();
        let (found, told) = said(dir, &arguments, 1);
        let found: serde_json::Value = serde_json::from_str(&found).expect("it is JSON");
        assert_eq!(found["first_bad"], serde_json::Value::Null, "{found}");
        assert!(
            told.starts_with(&format!("weir: {wanted}"))
                && told.contains("; the records were found as they were written\n"),
            "{told}"
        );
        assert!(told.contains(&format!("hint: {hint}")), "{told}");
    };
    put(dir, "then", &forged);
    let named = ["--checkpoint", "then"];
    let wrong = "the signature of `weir` on the checkpoint of size ";
    check(&named, &format!("then: {wrong}"), "take another copy of it");
    put(dir, "then", "no checkpoint");
    check(&named, "then: not a signed checkpoint: ", "take another");
    put(dir, "weir-data/checkpoint", &forged);
    check(&[], &format!("weir-data/checkpoint: {wrong}"), "delete it:");

    // Without a key a changed root is taken for a changed record, and may be neither.
    fs::remove_file(dir.join("weir-data/checkpoint.key")).expect("it is there");
    let root = good.lines().nth(2).expect("a root");
    let other = root.replacen(&root[..4], "AAAA", 1);
    put(dir, "weir-data/checkpoint", &good.replacen(root, &other, 1));
    let (_, told) = said(dir, &["verify"], 1);
    assert!(
        told.contains("hint: or the checkpoint was changed"),
        "{told}"
    );
}

#[test]
fn a_snapshot_of_another_state_than_the_records_lead_to_is_named_by_verify() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 83, 600);
    ledger(dir).keep_snapshot();
    said(dir, &["verify"], 0);

    // Whole and of this log, and of a state in which nothing ever happened.
    let data = ledger(dir);
    let snapshots = data.reader().snapshots();
    let kept = snapshots.list(Kind::State)[0].seq;
    let mut state = State::new(Settings::default());
    while state.seq() < kept {
        let at = data.state().now();
        step(&mut state, at, &Body::ClockTicked, Execution::AtOnce);
    }
    let digest = state.state_digest().to_string();
    let put = |to: &mut dyn std::io::Write| state.freeze(to);
    let done = snapshots.put(Kind::State, kept, Some(digest), put);
    done.expect("it is kept");
    drop((snapshots, data));

    let (_, told) = said(dir, &["verify"], 1);
    let file = format!("weir-data/snapshots/{kept:012}.state: it holds something else");
    assert!(told.contains(&file), "{told}");
    assert!(told.contains("hint: delete weir-data/snapshots:"), "{told}");
    fs::remove_dir_all(dir.join("weir-data/snapshots")).expect("it is there");
    said(dir, &["verify"], 0);
}

#[test]
fn an_archive_is_written_checked_and_made_a_log_again_by_the_commands() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 78, 300);
    let (key, _) = said(dir, &["checkpoint", "--key"], 0);
    let key = key.trim_end();
    let (path, _) = said(dir, &["export", "--archive", "backup"], 0);
    let first = path.trim_end();
    assert!(first.starts_with("backup/records-000000000001-"), "{path}");
    let (checkpoint, _) = said(dir, &["checkpoint"], 0);
    put(dir, "then", &checkpoint);

    // More came: a longer file takes the place of the first.
    take(dir, 79, 100);
    let (checkpoint, _) = said(dir, &["checkpoint"], 0);
    put(dir, "later", &checkpoint);
    let cut = ["verify", "--archive", "backup", "--checkpoint", "later"];
    let (_, told) = said(dir, &cut, 1);
    assert!(told.contains("the archive ends there"), "{told}");
    let (path, _) = said(dir, &["export", "--archive", "backup"], 0);
    assert_ne!(path.trim_end(), first);
    assert!(!dir.join(first).exists());
    put(dir, first, "of another log");
    let (_, told) = said(dir, &["verify", "--archive", "backup"], 0);
    let left_out = format!("not checked: {first}, for a longer file begins with the same record");
    assert!(told.contains(&left_out), "{told}");
    fs::remove_file(dir.join(first)).expect("it goes");
    let (nothing, _) = said(dir, &["export", "--archive", "backup"], 0);
    assert_eq!(nothing, "");

    let arguments = [&cut[..], &["--checkpoint", "then", "--key", key]].concat();
    let (told, _) = said(dir, &arguments, 0);
    assert!(told.contains("as written; 1 of 1 files signed"), "{told}");
    let elsewhere = ["verify", "--archive", path.trim_end(), "--data", "nowhere"];
    let (_, told) = said(dir, &elsewhere, 0);
    assert!(told.contains("no key to check signatures"), "{told}");
    let (told, _) = said(dir, &elsewhere, 0);
    assert!(told.contains("; signatures were not checked;"), "{told}");

    let again = ["import", "log", "backup", "--data", "again", "--key", key];
    said(dir, &again, 0);
    let (verified, _) = said(
        dir,
        &[
            "verify",
            "--data",
            "again",
            "--checkpoint",
            "later",
            "--key",
            key,
        ],
        0,
    );
    let (original, _) = said(dir, &["verify"], 0);
    let state = |text: &str| text.split("root").nth(1).map(str::to_owned);
    assert_eq!(state(&verified), state(&original));

    // A file that was changed.
    let file = dir.join(path.trim_end());
    let mut bytes = fs::read(&file).expect("it reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::remove_file(&file).expect("it goes");
    fs::write(&file, bytes).expect("it is written");
    let (_, told) = said(dir, &["verify", "--archive", "backup"], 1);
    assert!(told.contains("record "), "{told}");
    said(dir, &["import", "log", "backup", "--data", "third"], 1);
    fs::create_dir(dir.join("empty")).expect("it is made");
    said(dir, &["verify", "--archive", "empty"], 2);
}

#[test]
fn a_path_that_is_not_there_was_mistyped() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 79, 20);
    fs::create_dir(dir.join("rules")).expect("it is made");
    put(
        dir,
        "rules/ship.cel",
        "//! from: dev/*\n//! to: prod/{1}\n\ntrue\n",
    );
    for command in [
        "verify --archive nothing",
        "verify --checkpoint nothing",
        "proof check nothing",
        "proof consistency nothing",
        "backtest --rules rules --events nothing",
        "replay --rules rules --events nothing",
        "import log nothing --data again",
        "rules check nothing",
        "eval true --input nothing",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let (_, told) = said(dir, &words, 2);
        let place = "cannot read nothing: No such file";
        assert!(told.contains(place), "{command}: {told}");
    }
}

#[test]
fn a_log_is_replayed_to_the_decisions_and_the_state_that_it_tells_of() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 74, 400);
    let replay = ["replay", "--data", "weir-data", "--output", "jsonl"];
    let (lines, _) = said(dir, &replay, 0);

    let ledger = Ledger::open_to_read(&dir.join("weir-data")).expect("it opens");
    let reader = ledger.reader();
    let mut wanted = Vec::new();
    let (mut inputs, mut promotions) = (0, 0);
    for row in reader.range(1, None) {
        let record = Record::decode(&row.expect("it reads").1).expect("it is a record");
        inputs += u64::from(!matches!(record.position, Position::Step { .. }));
        match &record.event.body {
            Body::DecisionMade(decision) => {
                promotions += u64::from(decision.promotion_id.is_some());
                wanted.push(record.seq);
            }
            Body::ViolationFound(_) | Body::ViolationCleared(_) => wanted.push(record.seq),
            _ => {}
        }
    }
    assert!(promotions > 0, "the history promotes something");
    let mut lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"))
        .collect();
    let summary = lines.pop().expect("a summary")["summary"].take();
    let found: Vec<u64> = lines
        .iter()
        .map(|line| line["seq"].as_u64().expect("a sequence"))
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(summary["events"], inputs);
    assert_eq!(summary["records"], reader.head().next_seq - 1);
    assert_eq!(summary["promotions"], promotions);
    assert_eq!(
        summary["state_digest"],
        ledger.state().state_digest().to_string()
    );
    drop((reader, ledger));

    said(dir, &["replay", "--data", "nowhere"], 3);
    said(dir, &["replay"], 2);
    said(dir, &["replay", "--events", "events.jsonl"], 2);
}

#[test]
fn a_replay_says_which_line_is_no_event_and_takes_the_others() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("it is written");
    write("r.cel", "//! from: dev/*\n//! to: production/{1}\n\ntrue\n");
    // An editor's byte order mark is none of the event.
    let pushed = r#"{"specversion":"1.0","id":"1","source":"s","type":"weir.image.pushed","time":"2026-03-02T00:00:00Z","data":{"repository":"dev/a","tag":"1","digest":"sha256:DIGEST","media_type":"application/vnd.oci.image.manifest.v1+json"}}"#
        .replace("DIGEST", &"ab".repeat(32));
    write("events.jsonl", &format!("\u{feff}{pushed}\n{{}}\n\nno\n"));
    let replay = ["replay", "--rules", "r.cel", "--events", "events.jsonl"];
    let (out, err) = said(dir, &replay, 0);
    assert!(
        out.contains("1 events, ") && out.contains(" 2 rejected"),
        "{out}"
    );
    assert!(
        err.contains("2 lines of events.jsonl are no events; line 2: "),
        "{err}"
    );
}

#[test]
fn a_replay_of_what_was_exported_says_how_records_are_replayed() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    take(dir, 74, 20);
    said(dir, &["export", "log.jsonl"], 0);
    put(dir, "r.cel", "//! from: dev/*\n//! to: prod/{1}\n\ntrue\n");
    let replay = ["replay", "--rules", "r.cel", "--events", "log.jsonl"];
    let (_, err) = said(dir, &replay, 0);
    assert!(
        err.contains("line 1: not an event, but part of a log, as `weir export` writes it"),
        "{err}"
    );
    said(dir, &["import", "log", "log.jsonl", "--data", "again"], 0);
    let replay = ["replay", "--rules", "r.cel", "--data", "again"];
    said(dir, &replay, 0);
}

#[test]
fn a_replay_says_which_line_activates_rules_that_are_refused() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    put(
        dir,
        "r.cel",
        "//! from: dev/*\n//! to: production/{1}\n\ntrue\n",
    );
    let activated = r#"{"specversion":"1.0","id":"1","source":"s","type":"weir.rules.activated","time":"2026-03-02T00:00:00Z","data":{"files":[{"path":"r.cel","text":"//! from: dev/*\n//! to: production/{1}\n\nscan.critcal == 0\n"}]}}"#;
    put(dir, "events.jsonl", &format!("\n{activated}\n"));
    let replay = ["replay", "--rules", "r.cel", "--events", "events.jsonl"];
    let (_, err) = said(dir, &replay, 0);
    assert!(
        err.contains("events.jsonl: line 2: its rules are refused, those before it stay:"),
        "{err}"
    );
    assert!(err.contains("critcal"), "{err}");
}
