//! Publishing, the stream's own checks, the outbox and the lease, against a real server.

#[path = "support/nats.rs"]
mod nats;
#[path = "support/tls.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use futures_util::StreamExt as _;
use nats::Nats;
use tls::Authority;
use weir_engine::stream::{
    Acquired, Candidate, Cursor, LastRecord, Lease, Leases, Lost, OpenError, Outbox, Output,
    OutputBatch, Outputs, PublishError, Publisher, Stream, StreamConfig,
};
use weir_schema::Received;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where tests look past the engine, with the client itself.
async fn raw(nats: &Nats) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

fn tick(id: &str) -> Received {
    let json = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"weir.clock.ticked"}}"#
    );
    Received::from_json(json.as_bytes()).unwrap()
}

async fn open_error(config: &StreamConfig) -> String {
    match Stream::open(config).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn an_event_published_twice_is_in_the_stream_once() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let publisher = Publisher::new(&stream);
    let first = publisher.publish_event(&tick("a")).await.unwrap();
    let again = publisher.publish_event(&tick("a")).await.unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.sequence, again.sequence);
    assert_eq!(stream.last_sequence().await.unwrap(), 1);
}

#[tokio::test]
async fn the_same_body_delivered_twice_is_two_deliveries() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let publisher = Publisher::new(&stream);
    for sequence in 1..=2 {
        let ack = publisher
            .publish_intake("dockerhub", "hub", &[], "same".into())
            .await
            .unwrap();
        assert_eq!(ack.sequence, sequence);
    }
}

#[tokio::test]
async fn many_events_keep_their_order() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let events: Vec<Received> = (0..1000).map(|id| tick(&id.to_string())).collect();
    let acks = Publisher::new(&stream).publish_events(&events).await;
    let sequences: Vec<u64> = acks.into_iter().map(|ack| ack.unwrap().sequence).collect();
    assert_eq!(sequences, (1..=1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_body_too_large_for_the_server_is_refused_with_the_limit() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let body = vec![0; 2 << 20];
    let error = Publisher::new(&stream)
        .publish_intake("trivy", "ci", &[], body.into())
        .await
        .unwrap_err();
    let PublishError::TooLarge { size, limit } = error else {
        panic!("{error}")
    };
    assert!(size > 2 << 20 && limit == 1 << 20, "{size} {limit}");
}

#[tokio::test]
async fn a_full_stream_refuses_and_keeps_what_it_has() {
    let Some(nats) = Nats::start() else { return };
    let mut config = nats.config();
    config.max_bytes = 3000;
    let stream = Stream::open(&config).await.unwrap();
    let publisher = Publisher::new(&stream);
    let body = bytes::Bytes::from(vec![0; 1000]);
    let mut accepted = 0;
    let error = loop {
        match publisher.publish_intake("a", "b", &[], body.clone()).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, PublishError::Refused { .. }), "{error}");
    assert!(accepted > 0);
    assert_eq!(stream.last_sequence().await.unwrap(), accepted);
}

/// What a server in trouble answers to a publish.
#[derive(Clone, Copy)]
enum Answer {
    Nothing,
    InProcess,
    Full,
    Stored,
}

/// Publishes to what gives these answers, one after the other, in the place of the stream.
async fn published_to(answers: &'static [Answer]) -> Option<Result<(), PublishError>> {
    let nats = Nats::start()?;
    let stream = Stream::open(&nats.config()).await.unwrap();
    let jetstream = raw(&nats).await;
    jetstream.delete_stream("WEIR").await.unwrap();
    let client = jetstream.client();
    let mut publishes = client.subscribe("registry.events.>").await.unwrap();
    client.flush().await.unwrap();
    let server = tokio::spawn({
        let client = client.clone();
        async move {
            for answer in answers {
                let publish = publishes.next().await.unwrap();
                let text = match answer {
                    Answer::Nothing => continue,
                    Answer::InProcess => {
                        r#"{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"},"stream":"WEIR","seq":0}"#
                    }
                    Answer::Full => {
                        r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"WEIR","seq":0}"#
                    }
                    Answer::Stored => r#"{"stream":"WEIR","seq":1,"duplicate":true}"#,
                };
                let to = publish.reply.unwrap();
                client.publish(to, text.into()).await.unwrap();
            }
        }
    });
    let published = Publisher::new(&stream).publish_event(&tick("a")).await;
    tokio::time::timeout(Duration::from_secs(1), server)
        .await
        .expect("all of the answers are asked for")
        .unwrap();
    Some(published.map(drop))
}

#[tokio::test]
async fn a_message_that_the_server_is_still_at_is_sent_again_until_it_is_decided() {
    let answers = &[
        Answer::Nothing,
        Answer::InProcess,
        Answer::InProcess,
        Answer::Stored,
    ];
    let Some(published) = published_to(answers).await else {
        return;
    };
    assert_eq!(published, Ok(()));
}

#[tokio::test]
async fn a_refusal_after_an_attempt_that_nobody_decided_says_that_it_may_be_on_record() {
    for (answers, may_be) in [
        (&[Answer::Full][..], false),
        (&[Answer::Nothing, Answer::Full], true),
        (&[Answer::InProcess, Answer::Full], true),
    ] {
        let Some(published) = published_to(answers).await else {
            return;
        };
        let told = published.unwrap_err().to_string();
        assert!(told.contains("maximum bytes exceeded"), "{told}");
        assert_eq!(told.contains("may be on record"), may_be, "{told}");
    }
}

#[tokio::test]
async fn what_is_said_without_a_server_is_not_sent_later_either() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let mut config = nats.config();
    config.publish_wait_seconds = 1;
    let stream = Stream::open(&config).await.unwrap();
    nats.kill();
    while stream.connection().is_connected() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let publisher = Publisher::new(&stream);
    let error = publisher.publish_event(&tick("a")).await.unwrap_err();
    assert!(
        matches!(error, PublishError::NotConnected { .. }),
        "{error}"
    );
    nats.restart();
    stream.connection().connected().await;
    assert_eq!(
        publisher.publish_event(&tick("b")).await.unwrap().sequence,
        1
    );
}

#[tokio::test]
async fn a_publish_into_a_stream_that_is_gone_is_not_acknowledged() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let mut config = nats.config();
    config.publish_wait_seconds = 8;
    let stream = Stream::open(&config).await.unwrap();
    nats.kill();
    std::fs::remove_dir_all(nats.store()).unwrap();
    nats.restart();
    let error = Publisher::new(&stream)
        .publish_event(&tick("a"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no stream found"), "{error}");
    assert!(error.may_pass());
}

#[tokio::test]
async fn a_publish_waits_through_a_restart_and_lands_once() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let stream = Stream::open(&nats.config()).await.unwrap();
    nats.kill();
    let publish = tokio::spawn({
        let publisher = Publisher::new(&stream);
        async move { publisher.publish_event(&tick("a")).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    nats.restart();
    assert_eq!(publish.await.unwrap().unwrap().sequence, 1);
    assert_eq!(stream.last_sequence().await.unwrap(), 1);
}

#[tokio::test]
async fn a_stream_that_would_lose_inputs_is_refused() {
    let Some(nats) = Nats::start() else { return };
    let jetstream = raw(&nats).await;
    let check = async |config: Config, cause: &str| {
        jetstream.create_stream(config).await.unwrap();
        let error = open_error(&nats.config()).await;
        assert!(error.contains(cause), "{error}");
        jetstream.delete_stream("WEIR").await.unwrap();
    };
    let good = Config {
        name: "WEIR".into(),
        subjects: vec!["registry.>".into()],
        ..Config::default()
    };
    let retention = RetentionPolicy::WorkQueue;
    check(
        Config {
            retention,
            ..good.clone()
        },
        "retention is `workqueue`",
    )
    .await;
    let retention = RetentionPolicy::Interest;
    check(
        Config {
            retention,
            ..good.clone()
        },
        "retention is `interest`",
    )
    .await;
    check(
        Config {
            no_ack: true,
            ..good.clone()
        },
        "acknowledges nothing",
    )
    .await;
    let subjects = vec!["registry.intake.>".into()];
    check(
        Config {
            subjects,
            ..good.clone()
        },
        "but not registry.events.>",
    )
    .await;
    jetstream.create_stream(good).await.unwrap();
    Stream::open(&nats.config()).await.unwrap();
}

#[tokio::test]
async fn a_stream_in_the_way_is_named() {
    let Some(nats) = Nats::start() else { return };
    let config = Config {
        name: "OTHER".into(),
        subjects: vec!["registry.intake.harbor.*".into()],
        ..Config::default()
    };
    raw(&nats).await.create_stream(config).await.unwrap();
    let error = Stream::open(&nats.config()).await.err().unwrap();
    assert!(matches!(error, OpenError::Overlap { .. }), "{error}");
    assert!(error.to_string().contains("`OTHER`"), "{error}");
}

#[tokio::test]
async fn credentials_are_used_and_a_refusal_is_told_at_once() {
    let lines = "authorization { user: weir, password: hunter2 }";
    let Some(nats) = Nats::start_with(lines) else {
        return;
    };
    let error = open_error(&nats.config()).await;
    assert!(error.contains("refuses the credentials"), "{error}");
    let mut config = nats.config();
    config.user = Some("weir".into());
    config.password = Some(weir_engine::secret::Secret::new("hunter2"));
    Stream::open(&config).await.unwrap();
}

#[tokio::test]
async fn tls_that_cannot_be_made_is_told_at_once_with_its_cause_and_remedy() {
    weir_engine::oci::install_crypto_provider();
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let (certificate, key) = authority.issue("IP:127.0.0.1", 30);
    let lines = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}");
    let (Some(with_tls), Some(without)) = (Nats::start_with(&lines), Nats::start()) else {
        return;
    };
    let address = |nats: &Nats, host: &str| {
        let url = nats
            .url()
            .replace("nats://127.0.0.1", &format!("tls://{host}"));
        StreamConfig {
            urls: vec![url],
            // So long nobody waits.
            connect_wait_seconds: 600,
            ..nats.config()
        }
    };
    let (ours, others) = (authority.certificate(), other.certificate());
    for (nats, host, ca_file, cause, remedy) in [
        (
            &with_tls,
            "127.0.0.1",
            None,
            "UnknownIssuer",
            "set `stream.ca_file` to the",
        ),
        (
            &with_tls,
            "127.0.0.1",
            Some(&others),
            "UnknownIssuer",
            "the file of `stream.ca_file` does not hold",
        ),
        (
            &with_tls,
            "localhost",
            Some(&ours),
            "not valid for name",
            "as its certificate names it",
        ),
        (
            &without,
            "127.0.0.1",
            None,
            "",
            "write `nats://` in `stream.urls`",
        ),
    ] {
        let config = StreamConfig {
            ca_file: ca_file.cloned(),
            ..address(nats, host)
        };
        let told = tokio::time::timeout(Duration::from_secs(60), open_error(&config));
        let told = told.await.expect("it is told at once");
        assert!(told.contains(cause) && told.contains(remedy), "{told}");
    }
    let config = StreamConfig {
        ca_file: Some(ours),
        ..address(&with_tls, "127.0.0.1")
    };
    Stream::open(&config).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_sync_is_warned_of() {
    let check = async |sync: &str, warned: bool| {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let lines = format!("jetstream {{ {sync} }}\nhttp: 127.0.0.1:{port}");
        let Some(nats) = Nats::start_with(&lines) else {
            return;
        };
        let mut config = nats.config();
        config.monitoring_url = Some(format!("http://127.0.0.1:{port}"));
        let stream = Stream::open(&config).await.unwrap();
        let found = stream
            .warnings()
            .iter()
            .any(|warning| warning.contains("sync_interval: always"));
        assert_eq!(found, warned, "{sync}: {:?}", stream.warnings());
    };
    check("", true).await;
    check("sync_interval: always", false).await;
}

#[tokio::test]
async fn no_server_is_told_with_the_address() {
    let config = StreamConfig {
        urls: vec!["nats://127.0.0.1:1".into()],
        connect_wait_seconds: 0,
        ..StreamConfig::default()
    };
    let error = open_error(&config).await;
    assert!(
        error.contains("no NATS server answers at nats://127.0.0.1:1"),
        "{error}"
    );
}

/// A log of `count` records, every second of which is an output.
struct Log {
    count: u64,
}

impl Outputs for Log {
    async fn after(&self, after: u64, max: usize) -> Result<OutputBatch, BoxError> {
        if after >= self.count {
            std::future::pending::<()>().await;
        }
        let outputs: Vec<Output> = (after + 1..=self.count)
            .filter(|seq| seq % 2 == 0)
            .take(max)
            .map(|seq| Output {
                seq,
                kind: "weir.decision.made".into(),
                id: format!("decision-{seq}"),
                json: format!(r#"{{"id":"decision-{seq}","data":{{}}}}"#),
            })
            .collect();
        let through = match outputs.last() {
            Some(last) if outputs.len() == max => last.seq,
            _ => self.count,
        };
        Ok(OutputBatch { outputs, through })
    }
}

/// A cursor that may forget: `kept` is what a restart finds.
#[derive(Default)]
struct Kept(AtomicU64);

impl Cursor for Kept {
    async fn load(&self) -> Result<u64, BoxError> {
        Ok(self.0.load(Ordering::SeqCst))
    }

    async fn store(&self, seq: u64) -> Result<(), BoxError> {
        self.0.store(seq, Ordering::SeqCst);
        Ok(())
    }
}

/// A log of one output, larger than the server takes.
struct Large;

impl Outputs for Large {
    async fn after(&self, after: u64, _: usize) -> Result<OutputBatch, BoxError> {
        if after >= 1 {
            std::future::pending::<()>().await;
        }
        let data = "x".repeat(2 << 20);
        let json = format!(r#"{{"id":"1","type":"weir.decision.made","data":"{data}"}}"#);
        let kind = "weir.decision.made".into();
        let outputs = vec![Output {
            seq: 1,
            kind,
            id: "1".into(),
            json,
        }];
        Ok(OutputBatch {
            outputs,
            through: 1,
        })
    }
}

#[tokio::test]
async fn an_output_too_large_for_the_server_is_published_as_a_reference() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let cursor = Kept::default();
    run_until(&stream, &Large, &cursor, "log", 1).await;
    let made = raw(&nats).await.get_stream("WEIR_EVENTS").await.unwrap();
    let message = made.get_raw_message(1).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&message.payload),
        r#"{"dataref":"/v1/events?after=0&limit=1","id":"1","type":"weir.decision.made"}"#
    );
}

/// The records in the stream of outputs, in its order.
async fn published(nats: &Nats) -> Vec<u64> {
    let mut stream = raw(nats).await.get_stream("WEIR_EVENTS").await.unwrap();
    let last = stream.info().await.unwrap().state.last_sequence;
    let mut found = Vec::new();
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.unwrap();
        assert_eq!(message.subject.as_str(), "weir.events.weir.decision.made");
        found.push(
            message
                .headers
                .get("Weir-Seq")
                .unwrap()
                .as_str()
                .parse()
                .unwrap(),
        );
    }
    found
}

async fn run_until(stream: &Stream, log: &impl Outputs, cursor: &Kept, name: &str, through: u64) {
    let done = async {
        while cursor.0.load(Ordering::SeqCst) < through {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outbox = Outbox::new(stream, name);
    tokio::select! {
        () = done => {}
        failed = outbox.run(log, cursor) => panic!("{failed:?}"),
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("it publishes all"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_are_published_each_once_over_kills_of_node_and_server() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let mut config = nats.config();
    // So short that only what the stream itself says can prevent repeats.
    config.duplicate_window_seconds = 1;
    let stream = Stream::open(&config).await.unwrap();
    let cursor = Arc::new(Kept::default());
    let log = Arc::new(Log { count: 6000 });
    for round in 0..6_u64 {
        let task = tokio::spawn({
            let (stream, log, cursor) = (stream.clone(), Arc::clone(&log), Arc::clone(&cursor));
            async move {
                let outbox = Outbox::new(&stream, "log");
                outbox.run(&*log, &*cursor).await
            }
        });
        tokio::time::sleep(Duration::from_millis(20 + 13 * round)).await;
        if round % 2 == 0 {
            nats.kill();
            nats.restart();
        }
        task.abort();
        // The node was killed before its last cursor was written.
        let kept = cursor.0.load(Ordering::SeqCst);
        cursor.0.store(kept.saturating_sub(300), Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    run_until(&stream, &*log, &cursor, "log", 6000).await;
    let mut found = published(&nats).await;
    found.sort_unstable();
    assert_eq!(found, (1..=3000).map(|half| half * 2).collect::<Vec<_>>());
}

/// A log that grows.
struct Growing(tokio::sync::watch::Receiver<u64>);

impl Outputs for Growing {
    async fn after(&self, after: u64, max: usize) -> Result<OutputBatch, BoxError> {
        let count = *self.0.clone().wait_for(|count| *count > after).await?;
        Log { count }.after(after, max).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_outputs_that_is_deleted_is_made_again_and_what_comes_goes_there() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let jetstream = raw(&nats).await;
    let cursor = Arc::new(Kept::default());
    let (count, counted) = tokio::sync::watch::channel(10);
    let task = tokio::spawn({
        let (stream, cursor, log) = (stream.clone(), Arc::clone(&cursor), Growing(counted));
        async move { Outbox::new(&stream, "log").run(&log, &*cursor).await }
    });
    let through = async |seq: u64| {
        let began = std::time::Instant::now();
        while cursor.0.load(Ordering::SeqCst) < seq {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "it publishes all"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    through(10).await;
    jetstream.delete_stream("WEIR_EVENTS").await.unwrap();
    count.send_replace(20);
    through(20).await;
    assert_eq!(published(&nats).await, [12, 14, 16, 18, 20]);

    // And where whoever takes over finds none.
    task.abort();
    jetstream.delete_stream("WEIR_EVENTS").await.unwrap();
    run_until(&stream, &Log { count: 24 }, &cursor, "log", 24).await;
    assert_eq!(published(&nats).await, [22, 24]);
}

#[tokio::test]
async fn another_log_publishes_its_own_outputs() {
    let Some(nats) = Nats::start() else { return };
    let mut config = nats.config();
    config.duplicate_window_seconds = 1;
    let stream = Stream::open(&config).await.unwrap();
    let log = Log { count: 10 };
    run_until(&stream, &log, &Kept::default(), "one", 10).await;
    run_until(&stream, &log, &Kept::default(), "one", 10).await;
    assert_eq!(published(&nats).await, [2, 4, 6, 8, 10]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    run_until(&stream, &log, &Kept::default(), "two", 10).await;
    assert_eq!(published(&nats).await.len(), 10);
}

#[tokio::test]
async fn how_far_a_log_is_published_is_read_from_its_last_message() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let requests = raw(&nats).await;
    let log = Log { count: 2000 };
    run_until(&stream, &log, &Kept::default(), "one", 2000).await;
    run_until(&stream, &Log { count: 2 }, &Kept::default(), "two", 2).await;
    let mut read = requests
        .client()
        .subscribe("$JS.API.STREAM.MSG.GET.>")
        .await
        .unwrap();
    requests.client().flush().await.unwrap();
    // What its last chunk says that was there before.
    let one = Outbox::new(&stream, "one").published().await;
    assert_eq!(one, Ok(1536));
    let mut messages = 0;
    let wait = Duration::from_millis(500);
    while let Ok(Some(_)) = tokio::time::timeout(wait, read.next()).await {
        messages += 1;
    }
    assert_eq!(messages, 2, "that of the other log, and its own");
    let three = Outbox::new(&stream, "three").published().await;
    assert_eq!(three, Ok(0));
}

fn candidate(node: &str) -> Candidate {
    Candidate {
        node: node.to_owned(),
        run: format!("{node}-1"),
        home: format!("home of {node}"),
        executes: true,
        last: None,
    }
}

async fn acquire(leases: &Leases, who: &Candidate) -> Result<Box<Lease>, Option<String>> {
    match leases.acquire(who).await.unwrap() {
        Acquired::Held(lease) => Ok(lease),
        Acquired::By(holder) => Err(holder.map(|holder| holder.node)),
    }
}

/// A bucket in which leases last for so many seconds.
async fn leases(nats: &Nats, ttl_seconds: u64) -> Leases {
    let mut config = nats.config();
    config.lease.ttl_seconds = ttl_seconds;
    let stream = Stream::open(&config).await.unwrap();
    let last = LastRecord {
        seq: 7,
        hash: "ab".into(),
    };
    Leases::open(&stream, Arc::new(move || Some(last.clone())))
        .await
        .unwrap()
}

#[tokio::test]
async fn one_node_at_a_time_holds_the_lease() {
    let Some(nats) = Nats::start() else { return };
    let leases = leases(&nats, 60).await;
    let mut first = acquire(&leases, &candidate("first")).await.unwrap();
    let other = acquire(&leases, &candidate("second")).await;
    assert_eq!(other.err(), Some(Some("first".into())));
    first.renew().await.unwrap();
    first.renew().await.unwrap();
    assert!(first.validity().holds());
    let holder = leases.holder().await.unwrap().unwrap();
    assert_eq!(
        (holder.node.as_str(), holder.last.unwrap().seq),
        ("first", 7)
    );
    let term = first.term();
    first.release().await;
    let second = acquire(&leases, &candidate("second")).await.unwrap();
    assert!(second.term() > term);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_passes_on_after_its_holder_has_stopped() {
    let Some(nats) = Nats::start() else { return };
    let leases = leases(&nats, 3).await;
    let mut first = acquire(&leases, &candidate("first")).await.unwrap();
    let second = loop {
        // Never two at once: as long as the first may act, the second has nothing.
        let may_act = first.validity().holds();
        if let Ok(lease) = acquire(&leases, &candidate("second")).await {
            assert!(!may_act);
            break lease;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(second.validity().holds() && second.term() > first.term());
    assert!(matches!(first.renew().await, Err(Lost::Expired(_))));
}

#[tokio::test]
async fn a_lease_ends_when_the_server_is_gone() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let leases = leases(&nats, 3).await;
    let mut lease = acquire(&leases, &candidate("first")).await.unwrap();
    nats.kill();
    let lost = tokio::time::timeout(Duration::from_secs(30), lease.lost())
        .await
        .unwrap();
    assert!(matches!(lost, Lost::Expired(_)), "{lost}");
    assert!(!lease.validity().holds());
}

#[tokio::test]
async fn a_node_that_starts_again_need_not_wait_for_itself() {
    let Some(nats) = Nats::start() else { return };
    let leases = leases(&nats, 60).await;
    let before = acquire(&leases, &candidate("node")).await.unwrap();
    // As after a crash: nothing was released. The same home cannot be in use by another process.
    let again = Candidate {
        run: "node-2".into(),
        ..candidate("node")
    };
    let after = acquire(&leases, &again).await.unwrap();
    assert!(after.term() > before.term());
}

#[tokio::test]
async fn a_node_that_copies_nothing_gives_way_to_one_that_does() {
    let Some(nats) = Nats::start() else { return };
    let leases = leases(&nats, 60).await;
    let stands_in = Candidate {
        executes: false,
        ..candidate("replica")
    };
    let mut replica = acquire(&leases, &stands_in).await.unwrap();
    let node = acquire(&leases, &candidate("node")).await.unwrap();
    assert!(node.term() > replica.term());
    assert_eq!(replica.renew().await, Err(Lost::Taken));
    assert!(!replica.validity().holds());
    let not_back = acquire(&leases, &stands_in).await;
    assert_eq!(not_back.err(), Some(Some("node".into())));
}
