//! Measures the log beside plain files and bare hashing, in one run, and prints the ratios.
//!
//! `cargo bench --bench log` runs everything; `-- --quick` a shorter round, `-- --appends`,
//! `-- --long` or `-- --ledger` only a part. With
//! `-- --train FILE` it makes the dictionary of the log's rows instead.
//!
//! The machine's speed changes from minute to minute, so what is compared alternates within a
//! round, and the median of the rounds' ratios is what counts.

#[path = "../tests/log/history.rs"]
mod history;
#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/ratio.rs"]
mod ratio;
#[path = "../tests/log/records.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod records;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratio::{Better, Ratio};
use records::{Random, Records};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use weir_engine::log::archive::write::archive;
use weir_engine::log::index::Index;
use weir_engine::log::{EncodedRecord, Log, LogOptions, Pending, dictionary_sample, verify};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "--train") {
        let file = arguments.get(place + 1).expect("--train FILE");
        return train(Path::new(file));
    }
    // `cargo test` runs benches too, to see that they work.
    let quick = arguments.iter().any(|argument| argument == "--quick")
        || !arguments.iter().any(|argument| argument == "--bench");
    let (rounds, per_round, total) = if quick {
        (3, 0.2, 20_000)
    } else {
        (7, 1.0, 1_000_000)
    };
    // A seed that the dictionary was not trained on.
    let mut source = Records::new(4711);
    let sample = source.take(20_000);
    let mean = sample
        .iter()
        .map(|record| record.bytes.len())
        .sum::<usize>()
        / sample.len();
    println!("records: {mean} bytes on average; {rounds} rounds; median [least - most]");
    let parts = ["--appends", "--long", "--ledger"];
    let some = arguments
        .iter()
        .any(|argument| parts.contains(&argument.as_str()));
    let wanted = |part: &str| !some || arguments.iter().any(|argument| argument == part);
    // First of all: what other parts leave for the disk to do would be in its longest times.
    if wanted("--long") {
        settle();
        long(total, rounds);
    }
    if wanted("--appends") {
        for batch in [1, 64, 256, 1024] {
            append(batch, rounds, per_round);
        }
    }
    if wanted("--ledger") {
        ledger::run(if quick { 2_000 } else { total as u64 }, rounds);
    }
}

/// Appends by group commit beside a plain file with one `fdatasync` for each batch.
fn append(batch: usize, rounds: usize, seconds: f64) {
    let dir = TempDir::new().expect("a directory");
    let open = |name: &str| {
        Log::open(&dir.path().join(name), LogOptions::default()).expect("the log opens")
    };
    let (mut log, mut pipelined) = (open("log"), open("pipelined"));
    let mut file = File::create(dir.path().join("plain")).expect("a file");
    let (mut ratios, mut piped_ratios, mut latency_ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut rates = Vec::new();
    let mut source = Records::new(1);
    let mut piped_source = Records::new(2);
    for _ in 0..rounds {
        let (plain, plain_p50) = measure(
            seconds,
            batch,
            || source_bytes(batch),
            |bytes: Vec<u8>| {
                file.write_all(&bytes).expect("it is written");
                file.sync_data().expect("it is synced");
            },
        );
        let (ours, ours_p50) = measure(
            seconds,
            batch,
            || source.take(batch),
            |records| {
                log.append(&records, None).expect("it appends");
            },
        );
        let piped = measure_pipelined(seconds, batch, &mut piped_source, &mut pipelined);
        ratios.push(ours / plain);
        piped_ratios.push(piped / plain);
        latency_ratios.push(ours_p50.as_secs_f64() / plain_p50.as_secs_f64());
        rates.push(ours);
    }
    println!(
        "append, batch {batch:>4}: {:>8.0} records/s; to a plain file with one fdatasync {}; submitted ahead {}; p50 to its p50 {}",
        median(&rates),
        spread(&ratios),
        spread(&piped_ratios),
        spread(&latency_ratios)
    );
    if batch == 256 {
        let what = "durable append, batch 256, to a plain file with one fdatasync";
        Ratio::of(&ratios).print(what, Better::Higher, 0.25, 0.45);
        let what = "  the same, the next batch laid out while one is synced";
        Ratio::of(&piped_ratios).print(what, Better::Higher, 0.25, 0.45);
    }
    if batch == 1 {
        let what = "single durable append p50 to fdatasync p50";
        Ratio::of(&latency_ratios).print(what, Better::Lower, 1.8, 1.4);
    }
}

/// Rate and median time of `act`; `prepare` is not counted.
fn measure<T>(
    seconds: f64,
    batch: usize,
    mut prepare: impl FnMut() -> T,
    mut act: impl FnMut(T),
) -> (f64, Duration) {
    let mut times = Vec::new();
    let mut busy = Duration::ZERO;
    while busy.as_secs_f64() < seconds {
        let input = prepare();
        let start = Instant::now();
        act(input);
        let took = start.elapsed();
        times.push(took);
        busy += took;
    }
    times.sort_unstable();
    (
        (times.len() * batch) as f64 / busy.as_secs_f64(),
        times[times.len() / 2],
    )
}

/// As the engine does it: the next batch is laid out while another thread makes the last durable.
fn measure_pipelined(seconds: f64, batch: usize, source: &mut Records, log: &mut Log) -> f64 {
    let estimate = (seconds * 120_000.0 / batch as f64) as usize / 4 + 8;
    let batches: Vec<_> = (0..estimate).map(|_| source.take(batch)).collect();
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Pending>(1);
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            receiver
                .iter()
                .for_each(|pending| pending.wait().expect("it is durable"))
        });
        for records in &batches {
            sender
                .send(log.submit(records, None, &[]).expect("it is written"))
                .expect("it is waited for");
        }
        drop(sender);
    });
    (estimate * batch) as f64 / start.elapsed().as_secs_f64()
}

/// What a plain log would write: length, checksum's room and bytes of each record.
fn source_bytes(batch: usize) -> Vec<u8> {
    thread_local! {
        static SOURCE: std::cell::RefCell<Records> = std::cell::RefCell::new(Records::new(3));
    }
    let records = SOURCE.with_borrow_mut(|source| source.take(batch));
    records
        .iter()
        .flat_map(|record| [&[0; 16][..], &record.bytes].concat())
        .collect()
}

/// Waits until the disk has what the parts before left to be written: it is not the log's to wait for.
fn settle() {
    let synced = std::process::Command::new("sync").status();
    assert!(synced.expect("sync runs").success());
}

/// Size, reading, verification and opening of a long log.
fn long(total: usize, rounds: usize) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("log");
    let mut source = Records::new(5);
    let mut log = Log::open(&path, LogOptions::default()).expect("the log opens");
    let (mut raw, mut left) = (0_usize, total);
    let mut sample: Vec<EncodedRecord> = Vec::new();
    let mut commits = Vec::new();
    let index = Index::open(log.reader());
    let done = Arc::new(AtomicBool::new(false));
    let indexer = {
        let (index, reader, done) = (index.clone(), log.reader(), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                if reader.wait_past(seen, Duration::from_millis(20)) {
                    seen = reader.head().next_seq - 1;
                    index.catch_up(&|| false).expect("it is indexed");
                }
            }
            index.catch_up(&|| false).expect("it is indexed");
        })
    };
    while left > 0 {
        let batch = source.take(left.min(256));
        left -= batch.len();
        raw += batch.iter().map(|record| record.bytes.len()).sum::<usize>();
        let start = Instant::now();
        log.append(&batch, None).expect("it appends");
        commits.push(start.elapsed());
        if sample.len() < 200_000 {
            sample.extend(batch);
        }
    }
    done.store(true, Ordering::Relaxed);
    indexer.join().expect("the index is up to date");
    commits.sort_unstable();
    let (p50, p999) = (
        commits[commits.len() / 2],
        commits[commits.len() * 999 / 1000],
    );
    println!("commits of 256 while segments are indexed: p50 {p50:?}, p99.9 {p999:?}");
    let times = p999.as_secs_f64() / p50.as_secs_f64();
    Ratio::of(&[times]).print(
        "p99.9 of commits while segments are sealed to p50",
        Better::Lower,
        20.0,
        8.0,
    );
    let disk = allocated(&path);
    println!(
        "{total} records: {:.0} bytes of JSON each, {:.0} on disk",
        raw as f64 / total as f64,
        disk as f64 / total as f64
    );
    let what = "disk with all indexes to raw JSON";
    Ratio::of(&[disk as f64 / raw as f64]).print(what, Better::Lower, 0.45, 0.30);
    let last = (total as u64).min(65_536);
    let to = dir.path().join("archive");
    let archived = archive(&log.reader(), &to, "{}", None, true, |_| ()).expect("it is written");
    let archived = fs::metadata(&archived[0]).expect("it is there").len();
    let before: usize = log
        .reader()
        .range(1, Some(last + 1))
        .map(|item| item.expect("it reads").1.len())
        .sum();
    let what = "sealed archive to raw JSON";
    Ratio::of(&[archived as f64 / before as f64]).print(what, Better::Lower, 0.25, 0.13);
    drop((log, index));

    let start = Instant::now();
    let log = Log::open(&path, LogOptions::default()).expect("the log opens");
    let opened = start.elapsed();
    let reader = log.reader();
    let (mut read_rates, mut one, mut two) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.min(5) {
        let start = Instant::now();
        let bytes: usize = reader
            .range(1, None)
            .map(|item| item.expect("it reads").1.len())
            .sum();
        assert_eq!(bytes, raw);
        read_rates.push(total as f64 / start.elapsed().as_secs_f64());

        let start = Instant::now();
        for record in &sample {
            std::hint::black_box(Sha256::digest(&record.bytes));
        }
        let bare = sample.len() as f64 / start.elapsed().as_secs_f64();
        for (threads, ratios) in [(1, &mut one), (2, &mut two)] {
            let start = Instant::now();
            let report = verify(&reader, &[], &[], threads, |_, _| Ok(()), |_| ());
            assert_eq!(report.first_bad, None);
            ratios.push(total as f64 / start.elapsed().as_secs_f64() / bare);
        }
    }
    println!(
        "open after a clean close: {opened:?}; read: {:.0} records/s",
        median(&read_rates)
    );
    let what = "full verification to bare SHA-256 on one thread, 1 reading thread";
    Ratio::of(&one).print(what, Better::Higher, 0.6, 1.2);
    let what = "  with 2 reading threads";
    Ratio::of(&two).print(what, Better::Higher, 0.6, 1.2);
    let mut random = Random::new(6);
    let (_, proof) = measure(
        0.5,
        1,
        || 1 + random.below(total as u64),
        |seq| {
            std::hint::black_box(reader.inclusion_proof(seq, total as u64).expect("it reads"));
        },
    );
    let (_, get) = measure(
        0.5,
        1,
        || 1 + (proof.as_nanos() as u64 * 7919) % total as u64,
        |seq| {
            std::hint::black_box(reader.get(seq).expect("it reads"));
        },
    );
    println!("inclusion proof: p50 {proof:?}; one record: p50 {get:?}");
}

fn allocated(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir)
        .expect("it reads")
        .map(|entry| entry.expect("it reads"));
    entries
        .map(|entry| {
            let meta = entry.metadata().expect("it has metadata");
            if meta.is_dir() {
                allocated(&entry.path())
            } else {
                meta.blocks() * 512
            }
        })
        .sum()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(values: &[f64]) -> String {
    let (least, most) = values
        .iter()
        .fold((f64::MAX, 0_f64), |(least, most), value| {
            (least.min(*value), most.max(*value))
        });
    format!("{:.2} [{least:.2} - {most:.2}]", median(values))
}

/// Makes a dictionary from typical chunks and one of each rarer kind of event.
fn train(file: &Path) {
    const BYTES: usize = 64 * 1024;
    let mut samples: Vec<Vec<u8>> = Vec::new();
    for seed in 100..160 {
        let mut records = Records::new(seed);
        for _ in 0..60 {
            samples.extend(
                records
                    .take(4)
                    .iter()
                    .map(|record| dictionary_sample(&record.bytes)),
            );
            samples.push(dictionary_sample(&records.rare().bytes));
        }
    }
    let dictionary = zstd::dict::from_samples(&samples, BYTES).expect("it trains");
    fs::write(file, &dictionary).expect("it is written");
    println!("{} bytes from {} samples", dictionary.len(), samples.len());
}
