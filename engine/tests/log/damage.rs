//! Damage to a data directory, and what the program itself makes of it: `weir verify` and `weir run`
//! find it, or say and serve the same as without it; they never panic, and never answer otherwise.
//!
//! `WEIR_BIT_FLIPS` and `WEIR_TRUNCATIONS` set how many of each are tried, `WEIR_INPUTS` how many
//! inputs the log holds; `WEIR_SEED` repeats a run. The ordinary run is short, a campaign is
//! `WEIR_BIT_FLIPS=2000 WEIR_TRUNCATIONS=200 cargo test --release -p weir-engine --test log
//! the_program -- --nocapture`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use weir_engine::log::LogOptions;
use weir_engine::log::key::{KEY_FILE, SigningKey};
use weir_engine::node::{Incoming, Ledger};
use weir_rules::{Execution, Settings};
use weir_schema::{Position, Received, Timestamp};

use crate::crash::{number, seed};
use crate::history::History;
use crate::images::shell;
use crate::records::Random;

/// How long something may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Trials at a time.
const THREADS: u64 = 2;

/// What became of the trials.
#[derive(Default)]
struct Tally {
    found_by_verify: AtomicU64,
    refused_by_run: AtomicU64,
    errors_while_running: AtomicU64,
    unaffected: AtomicU64,
}

#[test]
fn the_program_finds_damage_anywhere_or_is_unaffected() {
    let seed = seed();
    let place = TempDir::new().expect("a directory");
    let data = place.path().join("data");
    make(&data, number("WEIR_INPUTS", 600) as usize, seed);
    // As `kill -9` would leave it: copied while it is open.
    let left = place.path().join("left");
    {
        let _open = ledger(&data);
        copy(&data, &left);
    }
    let undamaged = place.path().join("undamaged");
    copy(&data, &undamaged);
    let verified = verify(&undamaged);
    let good = match run(&undamaged) {
        Ran::Served(answers) if verified.is_ok() => answers,
        other => panic!("without damage: {verified:?} {other:?}"),
    };
    assert!(good.iter().all(|(_, answer)| answer.is_ok()), "{good:?}");
    let verified = verified.expect("it is good");

    let (flips, cuts) = (number("WEIR_BIT_FLIPS", 14), number("WEIR_TRUNCATIONS", 6));
    let (next, tally) = (AtomicU64::new(0), Tally::default());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let trial = next.fetch_add(1, Ordering::Relaxed);
                    if trial >= flips + cuts {
                        return;
                    }
                    let mut random =
                        Random::new(seed ^ (trial + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    let base = if random.below(2) == 0 { &left } else { &data };
                    let damaged = place.path().join(format!("damaged-{trial}"));
                    copy(base, &damaged);
                    let what = match trial < flips {
                        true => flip_a_bit(&damaged, &mut random),
                        false => truncate(&damaged, &mut random),
                    };
                    check(&damaged, &what, &verified, &good, &tally);
                    fs::remove_dir_all(&damaged).expect("it goes");
                }
            });
        }
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let _ = writeln!(
        std::io::stderr(),
        "\n{flips} flipped bits and {cuts} truncations: verify found {}, run refused {}, told of it when asked {}; {} harmless to both\n",
        count(&tally.found_by_verify),
        count(&tally.refused_by_run),
        count(&tally.errors_while_running),
        count(&tally.unaffected),
    );
    assert!(
        count(&tally.found_by_verify) > 0,
        "damage that is never found is not damage"
    );
}

/// Verifies and runs a damaged directory, each a copy of its own.
fn check(damaged: &Path, what: &str, verified: &str, good: &[(String, Answer)], tally: &Tally) {
    let copied = damaged.with_extension("copy");
    copy(damaged, &copied);
    let found = match verify(damaged) {
        Ok(said) => {
            assert_eq!(said, verified, "after {what}");
            false
        }
        Err(said) => {
            assert!(!said.trim().is_empty(), "after {what}: nothing is said");
            true
        }
    };
    let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    match run(&copied) {
        Ran::Refused(said) => {
            assert!(!said.trim().is_empty(), "after {what}: nothing is said");
            add(&tally.refused_by_run);
        }
        Ran::Served(answers) => {
            let mut told = false;
            for ((path, wanted), (_, answer)) in good.iter().zip(&answers) {
                match answer {
                    Ok(answer) => assert_eq!(
                        Some(answer),
                        wanted.as_ref().ok(),
                        "after {what}: {path} is answered otherwise"
                    ),
                    Err(_) => told = true,
                }
            }
            if told {
                assert!(found, "after {what}: verify must find it too: {answers:?}");
                add(&tally.errors_while_running);
            } else if !found {
                add(&tally.unaffected);
            }
        }
    }
    if found {
        add(&tally.found_by_verify);
    }
    fs::remove_dir_all(&copied).expect("it goes");
}

/// Fills a data directory as a daemon would: records, checkpoints, a key, snapshots.
fn make(data: &Path, inputs: usize, seed: u64) {
    let mut ledger = ledger(data);
    let key = SigningKey::load_or_create(&data.join(KEY_FILE), "weir").expect("a key");
    let mut history = History::new(seed, 20);
    for _ in 0..4 {
        ledger
            .take(history.take(inputs / 4), None)
            .expect("they are taken");
        ledger.checkpoint(&key).expect("it is made");
        ledger.keep_snapshot();
    }
    // All deadlines of the history have passed, so that a daemon has none to record.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("it is later");
    let at = Timestamp::from_nanos(now.as_nanos() as i128).expect("a time");
    let tick =
        r#"{"data":{},"id":"now","source":"/test","specversion":"1.0","type":"weir.clock.ticked"}"#;
    let incoming = Incoming {
        received: Received::from_json(tick.as_bytes()).expect("an event"),
        at,
        position: Position::Local,
    };
    ledger.take(vec![incoming], None).expect("it is taken");
}

fn ledger(data: &Path) -> Ledger {
    Ledger::open(
        data,
        LogOptions::default(),
        Settings::default(),
        Execution::AtOnce,
    )
    .expect("the ledger opens")
}

pub fn weir(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .env_clear()
        .env("WEIR_DATA", data)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What `weir verify` says: that all is as written, or what is wrong.
fn verify(data: &Path) -> Result<String, String> {
    let child = weir(data).arg("verify").spawn().expect("it starts");
    let (output, said) = ended(child);
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Some(1..=3) => Err(said),
        code => panic!("verify ended with {code:?}: {said}"),
    }
}

/// An answer, or the status of what is none.
type Answer = Result<Value, u16>;

/// What became of a daemon.
#[derive(Debug)]
enum Ran {
    /// It did not start, and said why.
    Refused(String),
    /// It answered questions.
    Served(Vec<(String, Answer)>),
}

/// Runs a daemon, asks it for everything, and ends it.
fn run(data: &Path) -> Ran {
    let note = data.join("address");
    let _gone = fs::remove_file(&note);
    let mut child = weir(data)
        .args(["run", "--listen", "127.0.0.1:0"])
        .env("WEIR_LOG", "warn")
        .spawn()
        .expect("it starts");
    let began = Instant::now();
    let address = loop {
        if child.try_wait().expect("it is waited for").is_some() {
            let (output, said) = ended(child);
            assert!(
                matches!(output.status.code(), Some(1..=3)),
                "run ended with {}: {said}",
                output.status
            );
            return Ran::Refused(said);
        }
        let noted = fs::read_to_string(&note).unwrap_or_default();
        if let Some(address) = noted.trim().strip_prefix("http://")
            && matches!(get(address, "/readyz"), Some((200, _)))
        {
            break address.to_owned();
        }
        assert!(began.elapsed() < PATIENCE, "it neither starts nor ends");
        thread::sleep(Duration::from_millis(10));
    };
    let answers = questions(&address);
    // One that finds damage later may end by itself.
    let _ended_already = Command::new("kill")
        .arg("-TERM")
        .arg(child.id().to_string())
        .stderr(Stdio::null())
        .status();
    let (output, said) = ended(child);
    match (answers, output.status.code()) {
        (Some(answers), Some(0..=3)) => Ran::Served(answers),
        (None, Some(1..=3)) => Ran::Refused(said),
        (answers, _) => panic!("run ended with {} after {answers:?}: {said}", output.status),
    }
}

/// Head and state, every record, and what an index finds; nothing if it ends before it has answered.
fn questions(address: &str) -> Option<Vec<(String, Answer)>> {
    let ask = |path: &str| -> Option<Answer> {
        let (status, body) = get(address, path)?;
        Some(match status {
            200 => {
                let mut answer: Value = serde_json::from_str(&body).expect("it is JSON");
                // How far the log was looked through for a page depends on how far the index is.
                if let Some(page) = answer.as_object_mut() {
                    page.retain(|name, _| !["next", "through"].contains(&name.as_str()));
                }
                Ok(answer)
            }
            status => Err(status),
        })
    };
    let status = ask("/v1/status")?.map(|status| {
        let log = &status["log"];
        serde_json::json!([
            log["records"],
            log["root"],
            log["hash"],
            status["state_digest"]
        ])
    });
    let records = status
        .as_ref()
        .map_or(0, |said| said[0].as_u64().unwrap_or(0));
    let mut answers = vec![("status".to_owned(), status)];
    for after in (0..records).step_by(1000) {
        let path = format!("/v1/events?after={after}&limit=1000");
        answers.push((path.clone(), ask(&path)?));
    }
    for path in [
        "/v1/events?repository=staging/app-0&limit=1000",
        "/v1/events?type=weir.override.granted&limit=1000",
        "/v1/decisions",
        "/v1/repositories",
    ] {
        answers.push((path.to_owned(), ask(path)?));
    }
    Some(answers)
}

/// Status and body of what is at a path; nothing if nobody answers.
pub fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// How a process ended, and what it said; it must not have panicked.
pub fn ended(child: Child) -> (Output, String) {
    let output = child.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked at"), "{said}");
    (output, said)
}

pub fn flip_a_bit(dir: &Path, random: &mut Random) -> String {
    let files = files(dir);
    // Half of the flips hit the small files, which a choice by size would never find.
    let file = if random.below(2) == 0 {
        dir.join("store/db")
    } else {
        files[random.below(files.len() as u64) as usize].clone()
    };
    let bytes = fs::read(&file).expect("it reads");
    let pages: Vec<usize> = (0..bytes.len())
        .step_by(4096)
        .filter(|at| {
            bytes[*at..bytes.len().min(at + 4096)]
                .iter()
                .any(|byte| *byte != 0)
        })
        .collect();
    if pages.is_empty() {
        return format!("nothing, {} has no data", file.display());
    }
    let page = pages[random.below(pages.len() as u64) as usize];
    let at = page + random.below(4096.min(bytes.len() - page) as u64) as usize;
    let bit = random.below(8);
    let handle = fs::File::options()
        .write(true)
        .open(&file)
        .expect("it opens");
    handle
        .write_all_at(&[bytes[at] ^ 1 << bit], at as u64)
        .expect("it is written");
    format!("bit {bit} of byte {at} of {} flipped", file.display())
}

pub fn truncate(dir: &Path, random: &mut Random) -> String {
    let files = files(dir);
    let file = if random.below(2) == 0 {
        dir.join("store/db")
    } else {
        files[random.below(files.len() as u64) as usize].clone()
    };
    let length = fs::metadata(&file).expect("it is there").len();
    let cut = random.below(length.max(1));
    fs::File::options()
        .write(true)
        .open(&file)
        .expect("it opens")
        .set_len(cut)
        .expect("it is cut");
    format!("{} cut from {length} to {cut}", file.display())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("it reads") {
        let path = entry.expect("it reads").path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found.sort();
    found
}

pub fn copy(from: &Path, to: &Path) {
    shell(
        "cp",
        &[
            "-r".as_ref(),
            "--sparse=always".as_ref(),
            from.as_ref(),
            to.as_ref(),
        ],
    )
    .expect("it is copied");
}
