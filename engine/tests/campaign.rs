//! The whole daemon under load, killed and cut off from its power again and again: in the end its
//! log, state and decisions are those of a node that read the same stream undisturbed.
//!
//! `WEIR_EVENTS`, `WEIR_DAEMON_KILLS` and `WEIR_DAEMON_POWER_CUTS` set the size: the ordinary run is
//! short, a campaign by hand is `WEIR_EVENTS=20000 WEIR_DAEMON_KILLS=50 WEIR_DAEMON_POWER_CUTS=20` in
//! a release build. `WEIR_SEED` repeats a run's load and moments.

#[path = "log/history.rs"]
mod history;
#[path = "log/images.rs"]
mod images;
#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
#[path = "log/records.rs"]
#[expect(dead_code, reason = "the tests of the log need more of it")]
mod records;
mod support;

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use history::History;
use images::{Mounted, make_image, shell, skipped};
use nats::Nats;
use records::Random;
use serde_json::{Value, json};
use support::{
    app,
    daemon::Daemon,
    registry::{Options, Registry},
};
use tempfile::TempDir;
use weir_engine::{
    log::{Log, LogOptions, LogReader},
    node::{At, Ledger, state_at},
    oci::Client,
    stream::{Publisher, Stream},
};
use weir_schema::{Received, Record};

/// How long something may take on a loaded machine before the test says that it never will.
const PATIENCE: Duration = Duration::from_secs(240);

/// Applications that a real registry holds, so that their promotions are really carried out.
const REAL: usize = 24;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("WEIR_SEED", now.map_or(1, |since| since.as_nanos() as u64));
    println!("repeat with WEIR_SEED={seed}");
    seed
}

/// Where the load goes.
struct Site {
    nats: Nats,
    registry: Registry,
    directory: TempDir,
    real: Vec<Received>,
}

impl Site {
    async fn new() -> Option<Self> {
        let nats = Nats::start()?;
        weir_engine::oci::install_crypto_provider();
        let registry = Registry::start_with(&Options {
            in_memory: true,
            ..Options::default()
        });
        let client = Client::new(&registry.host(), &registry.config()).unwrap();
        let mut real = Vec::new();
        for number in 0..REAL {
            let name = format!("real-{number}");
            let image = app::image(&name, "amd64", &[3000]);
            let repository = format!("dev/{name}");
            let digest = image.push(&client, &repository, Some("1.0.0")).await;
            let (media_type, _) = image.manifests.last().unwrap();
            for (kind, data) in [
                (
                    "weir.image.pushed",
                    json!({"repository": repository, "tag": "1.0.0", "digest": digest, "media_type": media_type}),
                ),
                (
                    "weir.scan.completed",
                    json!({"digest": digest, "scanner": {"name": "trivy"}, "findings": []}),
                ),
            ] {
                let event = json!({"specversion": "1.0", "id": format!("{name}-{kind}"), "source": "/real", "type": kind, "data": data});
                real.push(Received::from_json(event.to_string().as_bytes()).unwrap());
            }
        }
        Some(Self {
            nats,
            registry,
            directory: TempDir::new().unwrap(),
            real,
        })
    }

    /// What a daemon is configured with: the registry is reached through the name that the load's
    /// repositories do not carry, so only those that it has are copied; the rest ends in an error.
    fn config(&self, execute: bool) -> String {
        let host = self.registry.host();
        format!(
            "default_registry = \"{host}\"\n[registries.\"{host}\"]\ninsecure = true\nmax_attempts = 1\n[promotions]\nexecute = {execute}\nattempts = 1\nconcurrent = 8\n[reconcile]\nat_start = false\n[stream]\nurls = [\"{}\"]\n",
            self.nats.url()
        )
    }

    /// `count` events, a part at a time: the history of many applications, with real ones among them
    /// and deliveries as registries send them, unreadable ones, repetitions and reads.
    fn load(&self, seed: u64, count: u64, parts: u64) -> Vec<Vec<Received>> {
        let mut history = History::new(seed, 300);
        let mut random = Random::new(seed ^ 0x10ad);
        let mut real = self.real.iter();
        let mut events: Vec<Received> = Vec::new();
        let every = (count / self.real.len() as u64).max(2);
        for number in 0..count {
            let event = match (number % every == 1, random.below(40)) {
                (true, _) => real.next().cloned(),
                (false, 0) if number > 10 => events.get(random.below(number) as usize).cloned(),
                _ => None,
            };
            events.push(event.unwrap_or_else(|| history.take(1).remove(0).received));
        }
        let part = events.len().div_ceil(parts as usize).max(1);
        events.chunks(part).map(<[Received]>::to_vec).collect()
    }

    async fn stream(&self) -> Stream {
        Stream::open(&self.nats.config()).await.unwrap()
    }

    /// Waits until a daemon has read the stream, and nothing is being carried out any more.
    async fn settled(&self, daemon: &Daemon) {
        let stream = self.stream().await;
        let began = Instant::now();
        let mut quiet = 0;
        let mut before = 0;
        loop {
            let last = stream.last_sequence().await.unwrap();
            let status = daemon.get("/v1/status").await;
            let through = status["stream"]["position"].as_u64();
            let open = status["promotions"]["open"].as_u64();
            let published = status["outputs"]["published_through"].as_u64();
            let done = through == Some(last)
                && open == Some(0)
                && published == status["log"]["records"].as_u64();
            quiet = if done && last == before { quiet + 1 } else { 0 };
            before = last;
            if quiet == 3 {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it does not come to rest at {last}: {status:#}\n{}",
                daemon.log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A node that reads the same stream from its beginning, and is left alone.
    async fn undisturbed(&self) -> PathBuf {
        let directory = self.directory.path().join("undisturbed");
        std::fs::create_dir_all(&directory).unwrap();
        let last = self.stream().await.last_sequence().await.unwrap();
        let daemon = Daemon::start(&directory, &self.config(false), "").await;
        daemon
            .until("/v1/status", |status| {
                status["stream"]["position"].as_u64() >= Some(last)
            })
            .await;
        let data = daemon.data();
        daemon.stop();
        data
    }

    /// Every output in the stream of outputs: its record, and what it says.
    async fn outputs(&self) -> Vec<(u64, String)> {
        let client = async_nats::connect(self.nats.url()).await.unwrap();
        let context = async_nats::jetstream::new(client);
        let stream = context.get_stream("WEIR_EVENTS").await.unwrap();
        let last = stream.cached_info().state.last_sequence;
        let mut found = Vec::new();
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let seq = message.headers.get("Weir-Seq").unwrap().as_str();
            found.push((
                seq.parse().unwrap(),
                String::from_utf8(message.payload.to_vec()).unwrap(),
            ));
        }
        found
    }
}

fn read_only(data: &Path) -> Log {
    let options = LogOptions {
        read_only: true,
        ..LogOptions::default()
    };
    Log::open(data, options).unwrap()
}

fn bytes_of(reader: &LogReader) -> Vec<Vec<u8>> {
    reader.range(1, None).map(|row| row.unwrap().1).collect()
}

/// The disturbed log is the undisturbed one, byte for byte, with the same state; and what the world
/// was told is what it says, each once.
async fn compare(site: &Site, disturbed: &Path) -> (usize, usize) {
    let undisturbed = site.undisturbed().await;
    let (ours, theirs) = (read_only(disturbed), read_only(&undisturbed));
    let (our_bytes, their_bytes) = (bytes_of(&ours.reader()), bytes_of(&theirs.reader()));
    assert!(our_bytes.len() <= their_bytes.len());
    for (seq, (ours, theirs)) in (1..).zip(our_bytes.iter().zip(&their_bytes)) {
        assert!(
            ours == theirs,
            "record {seq}:\n{}\n{}",
            String::from_utf8_lossy(ours),
            String::from_utf8_lossy(theirs)
        );
    }
    let last = our_bytes.len() as u64;
    let digest = |reader: &LogReader| {
        let state = state_at(reader, At::Seq(last)).unwrap();
        state.state_digest()
    };
    assert_eq!(digest(&ours.reader()), digest(&theirs.reader()));

    let mut said: BTreeMap<u64, String> = BTreeMap::new();
    for (seq, text) in site
        .outputs()
        .await
        .into_iter()
        .filter(|(seq, _)| *seq <= last)
    {
        let before = said.insert(seq, text);
        assert!(before.is_none(), "record {seq} was published twice");
    }
    let mut decisions = 0;
    for bytes in &our_bytes {
        let record = Record::decode(bytes).unwrap();
        let kind = record.event.body.kind();
        decisions += usize::from(kind == "weir.decision.made");
        let is_output = ["weir.decision.", "weir.promotion.", "weir.violation."]
            .iter()
            .any(|prefix| kind.starts_with(prefix));
        let expected = is_output.then(|| Received::from(record.event.clone()).json);
        assert_eq!(said.remove(&record.seq), expected, "record {}", record.seq);
    }
    (our_bytes.len(), decisions)
}

/// Publishes in the background.
fn publish(stream: &Stream, events: Vec<Received>) -> tokio::task::JoinHandle<()> {
    let publisher = Publisher::new(stream);
    tokio::spawn(async move {
        // As it comes from many senders: a few at a time, not all at once.
        for few in events.chunks(64) {
            for ack in publisher.publish_events(few).await {
                ack.unwrap();
            }
            let body = "this is no notification".into();
            let raw = publisher.publish_intake("distribution", "dev", &[], body);
            raw.await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_under_load_a_daemon_comes_to_the_same() {
    let (events, kills) = (number("WEIR_EVENTS", 1500), number("WEIR_DAEMON_KILLS", 4));
    let Some(site) = Site::new().await else {
        return;
    };
    let seed = seed();
    let mut random = Random::new(seed);
    let stream = site.stream().await;
    let mut daemon = Daemon::start(site.directory.path(), &site.config(true), "").await;
    for part in site.load(seed, events, kills.max(1)) {
        let publishing = publish(&stream, part);
        tokio::time::sleep(Duration::from_millis(random.below(700))).await;
        daemon.kill();
        drop(daemon);
        // One in three is killed again before it is up.
        if random.below(3) == 0 {
            let early = Daemon::launch(site.directory.path(), &site.config(true), "", &[]);
            tokio::time::sleep(Duration::from_millis(random.below(150))).await;
            drop(early);
        }
        daemon = Daemon::start(site.directory.path(), &site.config(true), "").await;
        publishing.await.unwrap();
    }
    site.settled(&daemon).await;
    let data = daemon.data();
    daemon.stop();
    let (records, decisions) = compare(&site, &data).await;
    let _ = writeln!(
        std::io::stderr(),
        "\n{events} events, {kills} kills: {records} records, {decisions} decisions, equal to the undisturbed run\n"
    );
    assert!(decisions > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_from_power_again_and_again_under_load_a_daemon_loses_nothing_it_told() {
    let (events, cuts) = (
        number("WEIR_EVENTS", 1500),
        number("WEIR_DAEMON_POWER_CUTS", 2),
    );
    let images = match std::fs::metadata("/dev/shm") {
        // In memory, so that copying the image is quick.
        Ok(_) => TempDir::new_in("/dev/shm"),
        Err(_) => TempDir::new(),
    };
    let images = images.unwrap();
    let mut image = images.path().join("image-0");
    if let Err(why) = make_image(&image, 512) {
        return skipped("simulated power cuts", &why);
    }
    let Some(site) = Site::new().await else {
        return;
    };
    let seed = seed();
    let mut random = Random::new(seed);
    let stream = site.stream().await;
    let mut last_known = 0;
    let parts = site.load(seed, events, cuts.max(1));
    for (cut, part) in parts.into_iter().enumerate() {
        let next = images.path().join(format!("image-{}", cut + 1));
        let mounted = match Mounted::new(&image, images.path(), "rw") {
            Ok(mounted) => mounted,
            Err(why) => return skipped("simulated power cuts", &why),
        };
        let mut daemon = Daemon::start(mounted.path(), &site.config(true), "").await;
        let status = daemon.get("/v1/status").await;
        let records = status["log"]["records"].as_u64().unwrap();
        assert!(
            records >= last_known,
            "{records} records, although record {last_known} was published"
        );
        let publishing = publish(&stream, part);
        tokio::time::sleep(Duration::from_millis(50 + random.below(1000))).await;
        daemon.signal("STOP");
        shell(
            "cp",
            &["--sparse=always".as_ref(), image.as_ref(), next.as_ref()],
        )
        .unwrap();
        daemon.kill();
        drop(daemon);
        drop(mounted);
        publishing.await.unwrap();
        // Whatever the world was told before the cut must be in the log after it.
        let told = site.outputs().await;
        last_known = told.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
        std::fs::remove_file(&image).unwrap();
        image = next;
    }
    let mounted = Mounted::new(&image, images.path(), "rw").unwrap();
    let daemon = Daemon::start(mounted.path(), &site.config(true), "").await;
    site.settled(&daemon).await;
    let data = daemon.data();
    daemon.stop();
    let (records, decisions) = compare(&site, &data).await;
    let _ = writeln!(
        std::io::stderr(),
        "\n{events} events, {cuts} simulated power cuts: {records} records, {decisions} decisions, equal to the undisturbed run\n"
    );
}

/// Without a stream the daemon's own answer is the word that is kept.
#[tokio::test(flavor = "multi_thread")]
async fn cut_off_from_power_a_node_alone_has_every_event_that_it_accepted() {
    let (events, cuts) = (
        number("WEIR_EVENTS", 1500),
        number("WEIR_DAEMON_POWER_CUTS", 2),
    );
    let images = match std::fs::metadata("/dev/shm") {
        Ok(_) => TempDir::new_in("/dev/shm"),
        Err(_) => TempDir::new(),
    };
    let images = images.unwrap();
    let mut image = images.path().join("image-0");
    if let Err(why) = make_image(&image, 512) {
        return skipped("simulated power cuts", &why);
    }
    let seed = seed();
    let mut random = Random::new(seed);
    let mut history = History::new(seed, 300);
    let all: Vec<Value> = history
        .take(events as usize)
        .into_iter()
        .map(|input| serde_json::from_str(&input.received.json).unwrap())
        .collect();
    // Where each event was said to be.
    let mut accepted: Vec<(u64, Value)> = Vec::new();
    let mut waiting = all.chunks(10).peekable();
    for cut in 0..cuts {
        let next = images.path().join(format!("image-{}", cut + 1));
        let mounted = match Mounted::new(&image, images.path(), "rw") {
            Ok(mounted) => mounted,
            Err(why) => return skipped("simulated power cuts", &why),
        };
        let mut daemon = Daemon::start(mounted.path(), "", "").await;
        let until = Instant::now() + Duration::from_millis(50 + random.below(1000));
        let left = waiting.len() as u64 / (cuts - cut);
        let mut sent = 0;
        // The plug is pulled while the daemon works on what comes next.
        let (client, url) = (
            daemon.client().clone(),
            format!("{}/v1/events", daemon.url()),
        );
        while let Some(batch) = waiting.peek() {
            let body = Value::from(*batch).to_string();
            let request = client
                .post(&url)
                .header("content-type", "application/cloudevents-batch+json")
                .body(body)
                .send();
            if sent >= left && Instant::now() > until {
                let request = tokio::spawn(request);
                tokio::time::sleep(Duration::from_micros(random.below(2000))).await;
                daemon.signal("STOP");
                request.abort();
                break;
            }
            let answer: Value = request.await.unwrap().json().await.unwrap();
            let sequences = answer["sequences"].as_array().unwrap();
            for (sequence, event) in sequences.iter().zip(*batch) {
                accepted.push((sequence.as_u64().unwrap(), event.clone()));
            }
            sent += 1;
            waiting.next();
        }
        daemon.signal("STOP");
        shell(
            "cp",
            &["--sparse=always".as_ref(), image.as_ref(), next.as_ref()],
        )
        .unwrap();
        daemon.kill();
        drop(daemon);
        drop(mounted);
        std::fs::remove_file(&image).unwrap();
        image = next;
    }
    let mounted = Mounted::new(&image, images.path(), "rw").unwrap();
    let ledger = Ledger::open_to_read(&mounted.path().join("data")).unwrap();
    let reader = ledger.reader();
    let mut recorded: BTreeMap<String, (u64, Value)> = BTreeMap::new();
    for row in reader.range(1, None) {
        let (seq, bytes) = row.unwrap();
        let mut record: Value = serde_json::from_slice(&bytes).unwrap();
        let event = record["event"].take();
        if event["source"] == "/history" {
            let id = event["id"].as_str().unwrap().to_owned();
            let before = recorded.insert(id, (seq, event));
            assert!(before.is_none(), "record {seq} is there twice");
        }
    }
    for (sequence, event) in &accepted {
        let id = event["id"].as_str().unwrap();
        let (seq, found) = recorded
            .get(id)
            .unwrap_or_else(|| panic!("{id} was accepted up to {sequence} and is gone"));
        assert_eq!(found, event);
        // One that was recorded and not answered for is sent again, and was there before.
        assert!(seq <= sequence, "{id}: record {seq}, answered {sequence}");
    }
    let _ = writeln!(
        std::io::stderr(),
        "\n{} events accepted, {cuts} simulated power cuts of a node alone: none lost\n",
        accepted.len()
    );
    assert!(!accepted.is_empty());
}
