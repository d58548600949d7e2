//! The log under `kill -9`, power cuts and damaged files.
//!
//! `WEIR_KILLS`, `WEIR_POWER_CUTS`, `WEIR_BIT_FLIPS` and `WEIR_TRUNCATIONS` set how many of each are
//! tried; `WEIR_SEED` repeats a run.
//!
//! A power cut is simulated as closely as one machine can: the log lies on a file system in a
//! loop image, the writer is stopped at a random moment, and the image is copied. The copy is what
//! had reached the block device; what the kernel still held is lost. It is mounted and checked.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::damage::{copy, flip_a_bit, truncate};
use crate::images::{Mounted, make_image, shell, skipped};
use crate::records::{Random, Records, check_whole};
use tempfile::TempDir;
use weir_engine::log::key::SigningKey;
use weir_engine::log::{Kind, Log, LogOptions, OpenError, verify};
use weir_schema::record::hex;

const DIR: &str = "WEIR_TEST_LOG";

pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

pub fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("WEIR_SEED", now.map_or(1, |since| since.as_nanos() as u64));
    println!("repeat with WEIR_SEED={seed}");
    seed
}

fn options() -> LogOptions {
    LogOptions {
        cache_bytes: 16 << 20,
        ..LogOptions::default()
    }
}

/// Not a test of its own: the process that the tests start, and kill while it appends.
#[test]
#[ignore = "started by the other tests"]
fn writer() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let mut random = Random::new(number("WEIR_SEED", 1));
    let mut log = Log::open(Path::new(&dir), options()).expect("the log opens");
    let mut records = Records::after(random.next(), &log);
    let mut out = std::io::stdout();
    writeln!(out, "\nREADY").expect("it is told");
    loop {
        let size = [1, 8, 32, 128][random.below(4) as usize];
        let mut batch = records.take(size);
        if random.below(40) == 0 {
            let bytes = 40_000 + random.below(472_000) as usize;
            batch.push(records.large(bytes));
        }
        let durable = log.reader().head().next_seq - 1;
        if durable > 0 && random.below(60) == 0 {
            let state = vec![random.next() as u8; random.below(2_000_000) as usize];
            let snapshots = log.snapshots();
            if let Some(old) = snapshots.list(Kind::State).first() {
                snapshots.remove(Kind::State, old.seq).expect("it goes");
            }
            snapshots
                .put(Kind::State, durable, None, |to| to.write_all(&state))
                .expect("it is kept");
        }
        log.append(&batch, None).expect("it appends");
        let head = log.head();
        writeln!(out, "ACK {} {}", head.next_seq, hex(&head.previous)).expect("it is told");
    }
}

/// Not a test of its own: opens a log that may be damaged, in a process that may die of it.
#[test]
#[ignore = "started by the other tests"]
fn checker() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let told = match Log::open(Path::new(&dir), options()) {
        Err(OpenError::Damaged {
            first_bad, cause, ..
        }) => format!("FOUND {first_bad:?} {cause}"),
        Err(error) => format!("FOUND {error}"),
        Ok(log) => {
            let report = verify(&log.reader(), &[], &[], 1, |_, _| Ok(()), |_| ());
            match report.first_bad {
                Some((seq, problem)) => format!("FOUND {seq} {problem}"),
                None => format!("GOOD {} {}", report.records, hex(&report.root)),
            }
        }
    };
    writeln!(std::io::stdout(), "\n{told}").expect("it is told");
}

fn run_self(test: &str, dir: &Path, seed: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.env(DIR, dir).env("WEIR_SEED", seed.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// A writer and what it acknowledged: the next sequence and the hash of the last record.
struct Writer {
    child: Child,
    acks: Receiver<(u64, String)>,
}

impl Writer {
    fn start(dir: &Path, seed: u64) -> Writer {
        let mut child = run_self("crash::writer", dir, seed)
            .spawn()
            .expect("the writer starts");
        let stdout = BufReader::new(child.stdout.take().expect("its stdout"));
        let (sender, acks) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let mut words = line.split(' ');
                let ack = match (words.next(), words.next(), words.next()) {
                    (Some("ACK"), Some(next), Some(hash)) => {
                        (next.parse().expect("a sequence"), hash.to_owned())
                    }
                    (Some("READY"), ..) => (0, String::new()),
                    _ => continue,
                };
                if sender.send(ack).is_err() {
                    return;
                }
            }
        });
        Writer { child, acks }
    }

    fn wait_ready(&self) {
        self.acks
            .recv_timeout(Duration::from_secs(60))
            .expect("the writer opens the log");
    }

    /// Kills it and returns everything it acknowledged.
    fn kill(mut self) -> Vec<(u64, String)> {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
        self.acks.iter().filter(|(next, _)| *next > 0).collect()
    }
}

/// Opens the log after a crash and checks that all of it is whole and every ack is in it.
fn check_after_crash(dir: &Path, acks: &[(u64, String)]) -> u64 {
    let log = Log::open(dir, options()).expect("the log opens after a crash");
    let records = check_whole(&log.reader());
    for (next_seq, hash) in acks {
        let last = records
            .get(*next_seq as usize - 2)
            .map(|bytes| hex(&weir_schema::record::hash(bytes)));
        assert_eq!(
            last.as_ref(),
            Some(hash),
            "record {} was acknowledged",
            next_seq - 1
        );
    }
    for info in log.snapshots().list(Kind::State) {
        assert!(
            log.snapshots().get(Kind::State, info.seq).is_some(),
            "snapshot {} is whole",
            info.seq
        );
    }
    let blobs = fs::read_dir(dir.join("store/blobs")).expect("it is there");
    assert_eq!(blobs.count(), 0, "no blob files");
    records.len() as u64
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let mut random = Random::new(seed());
    let kills = number("WEIR_KILLS", 8);
    let mut dir = TempDir::new().expect("a directory");
    let mut acks = Vec::new();
    for kill in 0..kills {
        if kill % 8 == 7 {
            dir = TempDir::new().expect("a directory");
            acks.clear();
        }
        let path = dir.path().join("log");
        let writer = Writer::start(&path, random.next());
        writer.wait_ready();
        std::thread::sleep(Duration::from_millis(20 + random.below(600)));
        acks.extend(writer.kill());
        check_after_crash(&path, &acks);
    }
}

#[test]
fn killed_while_opening_the_log_is_whole() {
    let mut random = Random::new(seed());
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("log");
    let writer = Writer::start(&path, random.next());
    writer.wait_ready();
    std::thread::sleep(Duration::from_millis(500));
    let mut acks = writer.kill();
    for _ in 0..number("WEIR_KILLS", 8) {
        let writer = Writer::start(&path, random.next());
        std::thread::sleep(Duration::from_millis(random.below(25)));
        acks.extend(writer.kill());
    }
    check_after_crash(&path, &acks);
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let mut random = Random::new(seed());
    let dir = match fs::metadata("/dev/shm") {
        // In memory, so that copying the image is quick.
        Ok(_) => TempDir::new_in("/dev/shm"),
        Err(_) => TempDir::new(),
    };
    let dir = dir.expect("a directory");
    let (cuts, mut acknowledged) = (number("WEIR_POWER_CUTS", 4), 0);
    let mut image = dir.path().join("image-0");
    let mut acks = Vec::new();
    for cut in 0..cuts {
        if cut % 4 == 0 {
            acks.clear();
            if let Err(why) = make_image(&image, 512) {
                return skipped("simulated power cuts", &why);
            }
        }
        let next = dir.path().join(format!("image-{}", cut + 1));
        {
            let mounted = match Mounted::new(&image, dir.path(), "rw") {
                Ok(mounted) => mounted,
                Err(why) => return skipped("simulated power cuts", &why),
            };
            let writer = Writer::start(&mounted.path().join("log"), random.next());
            writer.wait_ready();
            std::thread::sleep(Duration::from_millis(100 + random.below(1400)));
            stop(&writer.child);
            shell(
                "cp",
                &["--sparse=always".as_ref(), image.as_ref(), next.as_ref()],
            )
            .expect("it is copied");
            acks.extend(writer.kill());
        }
        fs::remove_file(&image).expect("it goes");
        image = next;
        {
            let mounted = Mounted::new(&image, dir.path(), "rw").expect("it mounts");
            let path = mounted.path().join("log");
            acknowledged = acks.len();
            if acks.is_empty() && !path.exists() {
                continue;
            }
            check_after_crash(&path, &acks);
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "\n{cuts} simulated power cuts, the last log with {acknowledged} acknowledged batches: none lost\n"
    );
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(child.id().to_string())
        .status();
    assert!(status.expect("kill runs").success());
}

/// Stops a process; returns once none of its threads goes on. On a loaded machine some do for a
/// while, and what they acknowledge then is not in a copy that is made meanwhile.
fn stop(child: &Child) {
    signal(child, "STOP");
    let tasks = Path::new("/proc").join(child.id().to_string()).join("task");
    let goes_on = |task: std::io::Result<fs::DirEntry>| {
        let stat = task.and_then(|task| fs::read_to_string(task.path().join("stat")));
        stat.is_ok_and(|stat| {
            !stat
                .rsplit(')')
                .next()
                .is_some_and(|rest| [" T", " Z"].iter().any(|end| rest.starts_with(end)))
        })
    };
    while fs::read_dir(&tasks).is_ok_and(|mut all| all.any(goes_on)) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn damage_anywhere_is_found_or_harmless() {
    let mut random = Random::new(seed());
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("log");
    let mut log = Log::open(&path, options()).expect("the log opens");
    let mut records = Records::new(random.next());
    let key = SigningKey::from_seed("weir", &[5; 32]).expect("a key");
    while log.head().next_seq < 6000 {
        let size = [1, 8, 32, 128][random.below(4) as usize];
        let mut batch = records.take(size);
        if random.below(20) == 0 {
            batch.push(records.large(100_000));
        }
        log.append(&batch, None).expect("it appends");
        if random.below(10) == 0 {
            log.checkpoint(&key).expect("it is made");
        }
    }
    let head = log.head();
    let good = format!("GOOD {} {}", head.tree_size, hex(&head.root));
    // As `kill -9` would leave it: copied while open.
    let left = dir.path().join("left");
    copy(&path, &left);
    drop(log);
    let mut found = 0;
    let mut harmless = 0;
    let (flips, cuts) = (number("WEIR_BIT_FLIPS", 40), number("WEIR_TRUNCATIONS", 12));
    for trial in 0..flips + cuts {
        let base = if random.below(2) == 0 { &left } else { &path };
        let damaged = dir.path().join("damaged");
        copy(base, &damaged);
        let what = if trial < flips {
            flip_a_bit(&damaged, &mut random)
        } else {
            truncate(&damaged, &mut random)
        };
        let told = told(&damaged);
        if told == good {
            harmless += 1;
        } else if told.starts_with("FOUND ") {
            found += 1;
        } else {
            panic!("after {what}: {told:?}, expected {good:?} or an error");
        }
        fs::remove_dir_all(&damaged).expect("it goes");
    }
    let _ = writeln!(
        std::io::stderr(),
        "\n{flips} flipped bits and {cuts} truncations: {found} found, {harmless} harmless\n"
    );
    assert!(found > 0, "damage that is never found is not damage");
}

/// What the checker says of a log; how it died if it did.
fn told(dir: &Path) -> String {
    let mut child = run_self("crash::checker", dir, 0)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the checker starts");
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().expect("it is waited for").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("it is killed");
            return "it hangs".to_owned();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("its output");
    let stdout = String::from_utf8_lossy(&stdout);
    let told = stdout
        .lines()
        .find(|line| line.starts_with("GOOD ") || line.starts_with("FOUND "));
    match told {
        Some(told) if status.success() => told.to_owned(),
        _ => format!("{status}: {stdout}{}", String::from_utf8_lossy(&stderr)),
    }
}
