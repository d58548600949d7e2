//! Measures the way from the stream to a durable decision, and back out, beside what the machine can
//! do at best in the same run, and prints the ratios.
//!
//! `cargo bench --bench ingest` runs everything; `-- --quick` a shorter round; `-- --ingest`,
//! `-- --append`, `-- --replay` or `-- --latency` only a part; `-- --events N` and `-- --rounds N` set
//! its size. It needs `nats-server` on the PATH.

#[path = "../tests/log/history.rs"]
mod history;
#[path = "../tests/support/nats.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod nats;
#[path = "support/ratio.rs"]
mod ratio;
#[path = "../tests/log/records.rs"]
#[expect(dead_code, reason = "the tests of the log need more of it")]
mod records;

use std::{
    collections::HashMap,
    fs::File,
    io::Write as _,
    path::Path,
    sync::{Arc, mpsc::sync_channel},
    time::{Duration, Instant},
};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::StreamExt as _;
use history::History;
use nats::Nats;
use ratio::{Better, Ratio};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use weir_engine::{
    config::Config,
    daemon::{self, Signals},
    log::{LogOptions, LogReader},
    node::{At, Incoming, Ledger, Written, state_at, write},
    stream::{Publisher, Stream},
};
use weir_rules::{Execution, Settings};
use weir_schema::{Position, Received, Record, record};

/// What one durable batch holds.
const BATCH: usize = 256;

struct Size {
    rounds: usize,
    events: usize,
    /// Seconds of steady load for latencies.
    seconds: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` runs benches too, to see that they work.
    let quick = arguments.iter().any(|argument| argument == "--quick")
        || !arguments.iter().any(|argument| argument == "--bench");
    let number = |name: &str, default: usize| {
        let place = arguments.iter().position(|argument| argument == name);
        let text = place.and_then(|place| arguments.get(place + 1));
        text.map_or(default, |text| text.parse().expect("a number"))
    };
    let size = match quick {
        true => Size {
            rounds: 2,
            events: 3_000,
            seconds: 1,
        },
        false => Size {
            rounds: number("--rounds", 5),
            events: number("--events", 200_000),
            seconds: 10,
        },
    };
    let parts = ["--ingest", "--append", "--replay", "--latency"];
    let some = arguments
        .iter()
        .any(|argument| parts.contains(&argument.as_str()));
    let wanted = |part: &str| !some || arguments.iter().any(|argument| argument == part);
    println!(
        "{} events, {} rounds; median [least - most]",
        size.events, size.rounds
    );
    if wanted("--append") {
        append(&size);
    }
    if wanted("--replay") {
        replay(&size);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if wanted("--ingest") {
        runtime.block_on(ingest(&size));
    }
    if wanted("--latency") {
        runtime.block_on(latency(&size));
    }
}

fn open(path: &Path) -> Ledger {
    Ledger::open(
        path,
        LogOptions::default(),
        Settings::default(),
        Execution::Commands,
    )
    .expect("the ledger opens")
}

/// A plain file with one `fdatasync` for each batch of records like these; events a second.
fn plain_file(directory: &Path, events: &[Incoming]) -> f64 {
    let lines: Vec<Vec<u8>> = events
        .iter()
        .map(|one| record::encode(1, one.at, &one.received, &one.position, &[0; 32]))
        .collect();
    let batches: Vec<&[Vec<u8>]> = lines.chunks(BATCH).collect();
    events.len() as f64 / seconds_in_plain_file(directory, &batches)
}

/// The same for the records of a log: what each batch of inputs led to is one batch.
fn plain_file_of(directory: &Path, reader: &LogReader, events: usize) -> f64 {
    let (mut lines, mut ends, mut inputs) = (Vec::new(), Vec::new(), 0);
    for row in reader.range(1, None) {
        let (_, bytes) = row.expect("it reads");
        let record = Record::decode(&bytes).expect("a record");
        if !matches!(record.position, Position::Step { .. }) {
            if inputs % BATCH == 0 && inputs > 0 {
                ends.push(lines.len());
            }
            inputs += 1;
        }
        lines.push(bytes);
    }
    ends.push(lines.len());
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let batches: Vec<&[Vec<u8>]> = starts
        .zip(&ends)
        .map(|(start, end)| &lines[start..*end])
        .collect();
    events as f64 / seconds_in_plain_file(directory, &batches)
}

fn seconds_in_plain_file(directory: &Path, batches: &[&[Vec<u8>]]) -> f64 {
    let mut file = File::create(directory.join("plain")).expect("a file");
    let start = Instant::now();
    for batch in batches {
        let bytes: Vec<u8> = batch.concat();
        file.write_all(&bytes).expect("it is written");
        file.sync_data().expect("it is synced");
    }
    start.elapsed().as_secs_f64()
}

/// Deciding and making durable beside the plain file.
fn append(size: &Size) {
    let (mut alone, mut piped, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let mut of_inputs = Vec::new();
    for round in 0..size.rounds {
        let directory = TempDir::new().expect("a directory");
        let events = History::new(round as u64, 2_000).take(size.events);
        let inputs_alone = plain_file(directory.path(), &events);
        let batches: Vec<Vec<Incoming>> = events.chunks(BATCH).map(<[_]>::to_vec).collect();

        let mut ledger = open(&directory.path().join("log"));
        let start = Instant::now();
        for batch in batches.clone() {
            ledger.take(batch, None).expect("they are taken");
        }
        let rate = size.events as f64 / start.elapsed().as_secs_f64();
        let floor = plain_file_of(directory.path(), &ledger.reader(), size.events);
        alone.push(rate / floor);

        // As the node does it: a batch is decided while the one before is written, and the one before
        // that is made durable.
        let (mut decider, mut log) = open(&directory.path().join("piped")).into_parts();
        let (flights, decided) = sync_channel(2);
        let (approaches, written) = sync_channel(2);
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for batch in decided {
                    let written = write(&mut log, batch, None, &[]).expect("it is written");
                    approaches.send(written).expect("somebody waits");
                }
            });
            scope.spawn(move || {
                for one in written {
                    let one: Written = one;
                    if let Some(pending) = one.pending {
                        pending.wait().expect("it is durable");
                    }
                }
            });
            for batch in batches {
                flights.send(decider.decide(batch)).expect("it is written");
            }
            drop(flights);
        });
        let rate = size.events as f64 / start.elapsed().as_secs_f64();
        piped.push(rate / floor);
        of_inputs.push(rate / inputs_alone);
        rates.push(rate);
    }
    println!("decided and durable: {:.0} events/s", median(&rates));
    let what = "append with decisions to a plain file of the same records";
    Ratio::of(&piped).print(what, Better::Higher, 0.15, 0.30);
    let what = "  to a plain file of the inputs alone";
    Ratio::of(&of_inputs).print(what, Better::Higher, 0.15, 0.30);
    Ratio::of(&alone).print("  without pipelining", Better::Higher, 0.0, 0.30);
}

/// Every decision made again from the log, without a snapshot.
fn replay(size: &Size) {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("log");
    let mut ledger = open(&path);
    for batch in History::new(9, 2_000).take(size.events).chunks(BATCH) {
        ledger.take(batch.to_vec(), None).expect("they are taken");
    }
    let reader = ledger.reader();
    let last = reader.head().next_seq - 1;
    let digest = ledger.state().state_digest();
    let (mut inputs, mut records) = (Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        reader.snapshots().clear().expect("they go");
        let start = Instant::now();
        let state = state_at(&reader, At::Seq(last)).expect("it folds");
        let took = start.elapsed().as_secs_f64();
        assert_eq!(state.state_digest(), digest);
        inputs.push(size.events as f64 / took);
        records.push(last as f64 / took);
    }
    println!(
        "replay from the log: {:.0} records/s, {:.0} of them inputs, all decisions made again",
        median(&records),
        median(&inputs)
    );
    Ratio::of(&records).print(
        "replay from the log, records/s",
        Better::Higher,
        300_000.0,
        1_000_000.0,
    );
}

/// A daemon in this process.
struct Daemon {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    url: String,
    http: reqwest::Client,
}

impl Daemon {
    async fn start(nats: &Nats, data: &Path) -> Self {
        let sets = [
            format!("data = {:?}", data.display().to_string()),
            "http.listen = \"127.0.0.1:0\"".to_owned(),
            format!("stream.urls = [{:?}]", nats.url()),
            "stream.lease.ttl_seconds = 5".to_owned(),
        ];
        let config = Config::load(None, [], &sets).expect("a configuration");
        let (stop, stopped) = watch::channel(false);
        let signals = Signals {
            stop: stopped,
            reload: Arc::default(),
        };
        let running = tokio::spawn(async move {
            daemon::run(config, signals).await.expect("it runs");
        });
        let note = data.join(daemon::ADDRESS_FILE);
        let url = loop {
            match std::fs::read_to_string(&note) {
                Ok(url) if url.ends_with('\n') => break url.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        Self {
            stop,
            running,
            url,
            http: reqwest::Client::new(),
        }
    }

    /// The last record after `after`, if there is one; looked for without asking the node.
    async fn has_record(&self, seq: u64) -> bool {
        let url = format!("{}/v1/events?after={}&limit=1", self.url, seq - 1);
        let answer = self.http.get(url).send().await.expect("it answers");
        let page: Value = answer.json().await.expect("it is JSON");
        page["events"].as_array().is_some_and(|all| !all.is_empty())
    }

    async fn until_record(&self, seq: u64) -> Instant {
        while !self.has_record(seq).await {
            // Asking is work too, for the same processors.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Instant::now()
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.running.await.expect("it ends");
    }
}

/// From a full stream to durable decisions, beside a consumer that does nothing with what it reads.
async fn ingest(size: &Size) {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.expect("a stream");
    let history: Vec<Incoming> = History::new(3, 2_000).take(size.events);
    let publisher = Publisher::new(&stream);
    for batch in history.chunks(BATCH) {
        let events: Vec<Received> = batch.iter().map(|one| one.received.clone()).collect();
        for ack in publisher.publish_events(&events).await {
            ack.expect("it is in the stream");
        }
    }
    let directory = TempDir::new().expect("a directory");
    let last = last_record(&nats, size.events as u64, &directory.path().join("count")).await;
    let (mut of_consumer, mut of_file, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..size.rounds {
        let bare = bare_consumer(&nats, size.events).await;
        let file = plain_file(directory.path(), &history);
        let data = directory.path().join(format!("data-{round}"));
        let daemon = Daemon::start(&nats, &data).await;
        // From the first batch on: connecting is not ingesting.
        let start = daemon.until_record(1).await;
        let end = daemon.until_record(last).await;
        let rate = (size.events - BATCH) as f64 / (end - start).as_secs_f64();
        daemon.stop().await;
        std::fs::remove_dir_all(&data).expect("it goes");
        of_consumer.push(rate / bare);
        of_file.push(rate / file);
        rates.push(rate);
        println!(
            "  round {round}: {rate:.0} events/s; bare consumer {bare:.0}, plain file {file:.0}"
        );
    }
    println!(
        "ingest, durable with decisions: {:.0} events/s",
        median(&rates)
    );
    let what = "ingest to a bare consumer, batches of 256";
    Ratio::of(&of_consumer).print(what, Better::Higher, 0.25, 0.55);
    let what = "  to a plain file with fdatasync, batches of 256";
    Ratio::of(&of_file).print(what, Better::Higher, 0.0, 0.15);
}

/// The last record that these messages lead to: known beforehand, so that the end is seen at once.
async fn last_record(nats: &Nats, messages: u64, data: &Path) -> u64 {
    let daemon = Daemon::start(nats, data).await;
    loop {
        let answer = daemon.http.get(format!("{}/metrics", daemon.url)).send();
        let metrics = answer.await.expect("it answers").text().await;
        let metrics = metrics.expect("it is text");
        let position = metrics
            .lines()
            .find_map(|line| line.strip_prefix("weir_stream_position "));
        if position.and_then(|text| text.parse().ok()) >= Some(messages) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    daemon.stop().await;
    let ledger = Ledger::open_to_read(data).expect("it opens");
    let reader = ledger.reader();
    let mut last = 0;
    for row in reader.range(1, None) {
        let (seq, bytes) = row.expect("it reads");
        let record = Record::decode(&bytes).expect("a record");
        match record.position {
            Position::Stream { sequence, .. } if sequence > messages => break,
            _ => last = seq,
        }
    }
    last
}

/// Reads the stream by batches and does nothing; messages a second over several readings: which
/// processor the system gives to the server and to the client makes one twice as fast as another.
async fn bare_consumer(nats: &Nats, count: usize) -> f64 {
    const READINGS: usize = 4;
    let mut seconds = 0.0;
    for _ in 0..READINGS {
        seconds += bare_reading(nats, count).await.as_secs_f64();
    }
    (READINGS * (count - BATCH)) as f64 / seconds
}

async fn bare_reading(nats: &Nats, count: usize) -> Duration {
    let client = async_nats::connect(nats.url()).await.expect("a connection");
    let context = async_nats::jetstream::new(client);
    let stream = context.get_stream("WEIR").await.expect("the stream");
    let consumer = stream
        .create_consumer(pull::Config {
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            memory_storage: true,
            ..pull::Config::default()
        })
        .await
        .expect("a consumer");
    let messages = consumer
        .stream()
        .max_messages_per_batch(1024)
        .messages()
        .await
        .expect("messages");
    let mut batches = messages.ready_chunks(BATCH);
    let (mut read, mut start) = (0, None);
    while read < count {
        let batch = batches.next().await.expect("a batch");
        start.get_or_insert_with(Instant::now);
        read += batch.len();
    }
    start.expect("there was a batch").elapsed()
}

/// From the publish of an event to its decision, published, at 1,000 a second; beside the publish and
/// one sync alone.
async fn latency(size: &Size) {
    let Some(nats) = Nats::start() else { return };
    let directory = TempDir::new().expect("a directory");
    let stream = Stream::open(&nats.config()).await.expect("a stream");
    let publisher = Publisher::new(&stream);
    let rules = History::new(1, 10).take(1).remove(0).received;
    publisher.publish_event(&rules).await.expect("it is there");
    let daemon = Daemon::start(&nats, &directory.path().join("data")).await;
    daemon.until_record(1).await;
    let (mut ratios, mut p50s, mut p99s) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..size.rounds {
        let ack = acknowledgements(&nats, size.seconds).await;
        let sync = syncs(directory.path(), size.seconds);
        let mut all = decisions(&nats, &publisher, round, size.seconds).await;
        all.sort_unstable();
        let (p50, p99) = (all[all.len() / 2], all[all.len() * 99 / 100]);
        println!(
            "  round {round}: {} decisions, p50 {p50:?}, p99 {p99:?}; publish {ack:?}, fdatasync {sync:?}",
            all.len()
        );
        ratios.push(p50.as_secs_f64() / (ack + sync).as_secs_f64());
        p50s.push(p50.as_secs_f64());
        p99s.push(p99.as_secs_f64());
    }
    daemon.stop().await;
    println!(
        "publish to published decision at 1,000/s: p50 {:.2} ms, p99 {:.2} ms",
        median(&p50s) * 1e3,
        median(&p99s) * 1e3
    );
    let what = "end-to-end p50 to publish-ack p50 + fdatasync p50";
    Ratio::of(&ratios).print(what, Better::Lower, 3.0, 2.0);
}

/// Calls `act` 1,000 times a second.
async fn paced(seconds: u64, mut act: impl AsyncFnMut(u64)) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    for number in 0..seconds * 1000 {
        ticks.tick().await;
        act(number).await;
    }
}

/// The median time of a publish into a stream like ours that nobody reads.
async fn acknowledgements(nats: &Nats, seconds: u64) -> Duration {
    let mut config = nats.config();
    config.stream = "BENCH".into();
    config.subjects = "bench".into();
    config.outputs.enabled = false;
    let stream = Stream::open(&config).await.expect("a stream");
    let publisher = Publisher::new(&stream);
    let mut times = Vec::new();
    paced(seconds.div_ceil(2), async |number| {
        let event = push(&format!("ack-{}-{number}", uuid::Uuid::new_v4()), number);
        let start = Instant::now();
        publisher.publish_event(&event).await.expect("it is there");
        times.push(start.elapsed());
    })
    .await;
    times.sort_unstable();
    times[times.len() / 2]
}

/// The median time of writing a record and syncing it.
fn syncs(directory: &Path, seconds: u64) -> Duration {
    let mut file = File::create(directory.join("synced")).expect("a file");
    let mut times = Vec::new();
    for _ in 0..seconds * 200 {
        std::thread::sleep(Duration::from_micros(500));
        let start = Instant::now();
        file.write_all(&[b'x'; 700]).expect("it is written");
        file.sync_data().expect("it is synced");
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

fn push(id: &str, number: u64) -> Received {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/bench", "type": "weir.image.pushed",
        "data": {
            "repository": format!("dev/app-{}", number % 500), "tag": id,
            "digest": weir_schema::Digest::of(id.as_bytes()),
            "media_type": "application/vnd.oci.image.manifest.v1+json", "actor": "ci",
        },
    });
    Received::from_json(event.to_string().as_bytes()).expect("an event")
}

/// The time from the publish of each push to the first decision on it.
async fn decisions(
    nats: &Nats,
    publisher: &Publisher,
    round: usize,
    seconds: u64,
) -> Vec<Duration> {
    let client = async_nats::connect(nats.url()).await.expect("a connection");
    let mut published = client
        .subscribe("weir.events.weir.decision.made")
        .await
        .expect("a subscription");
    client.flush().await.expect("it is there");
    let count = usize::try_from(seconds * 1000).expect("it is small");
    let prefix = format!("1.{round}.");
    let of_round = prefix.clone();
    let listening = tokio::spawn(async move {
        let mut seen: HashMap<u64, Instant> = HashMap::new();
        while seen.len() < count {
            let message = tokio::time::timeout(Duration::from_secs(60), published.next()).await;
            let message = message
                .expect("decisions come")
                .expect("the server is there");
            let now = Instant::now();
            let event: Value = serde_json::from_slice(&message.payload).expect("JSON");
            let tag = event["data"]["source"]["tag"].as_str().unwrap_or_default();
            let number = tag
                .strip_prefix(&of_round)
                .and_then(|text| text.parse().ok());
            if let Some(number) = number {
                seen.entry(number).or_insert(now);
            }
        }
        seen
    });
    let mut sent = Vec::new();
    let mut acks = tokio::task::JoinSet::new();
    paced(seconds, async |number| {
        let event = push(&format!("{prefix}{number}"), number);
        sent.push(Instant::now());
        let publisher = publisher.clone();
        acks.spawn(async move { publisher.publish_event(&event).await });
        while acks.try_join_next().is_some() {}
    })
    .await;
    while acks.join_next().await.is_some() {}
    let seen = listening.await.expect("all came");
    let times = sent
        .iter()
        .zip(0..)
        .map(|(sent, number)| seen[&number] - *sent);
    times.collect()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
