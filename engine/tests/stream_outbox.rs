//! The outbox, against a real server: outputs are published each once and none is lost.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use nats::Nats;
use weir_engine::stream::{Cursor, Outbox, Output, OutputBatch, Outputs, Stream};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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

/// A log of one output, of more than so many bytes.
struct Sized(usize);

impl Outputs for Sized {
    async fn after(&self, after: u64, _: usize) -> Result<OutputBatch, BoxError> {
        if after >= 1 {
            std::future::pending::<()>().await;
        }
        let data = "x".repeat(self.0);
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
    run_until(&stream, &Sized(2 << 20), &cursor, "log", 1).await;
    let made = nats
        .jetstream()
        .await
        .get_stream("WEIR_EVENTS")
        .await
        .unwrap();
    let message = made.get_raw_message(1).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&message.payload),
        r#"{"dataref":"/v1/events?after=0&limit=1","id":"1","type":"weir.decision.made"}"#
    );
}

#[tokio::test]
async fn an_output_too_large_for_the_streams_own_limit_is_published_as_a_reference() {
    let Some(nats) = Nats::start() else { return };
    let jetstream = nats.jetstream().await;
    let config = async_nats::jetstream::stream::Config {
        name: "WEIR_EVENTS".into(),
        subjects: vec!["weir.events.>".into()],
        max_message_size: 2000,
        ..Default::default()
    };
    let made = jetstream.create_stream(config).await.unwrap();
    let stream = Stream::open(&nats.config()).await.unwrap();
    run_until(&stream, &Sized(4000), &Kept::default(), "log", 1).await;
    let message = made.get_raw_message(1).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&message.payload),
        r#"{"dataref":"/v1/events?after=0&limit=1","id":"1","type":"weir.decision.made"}"#
    );
}

/// The records in the stream of outputs, in its order.
async fn published(nats: &Nats) -> Vec<u64> {
    let mut stream = nats
        .jetstream()
        .await
        .get_stream("WEIR_EVENTS")
        .await
        .unwrap();
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
    let jetstream = nats.jetstream().await;
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
    let requests = nats.jetstream().await;
    let log = Log { count: 2000 };
    run_until(&stream, &log, &Kept::default(), "one", 2000).await;
    run_until(&stream, &Log { count: 2 }, &Kept::default(), "two", 2).await;
    let mut read = requests
        .client()
        .subscribe("$JS.API.STREAM.MSG.GET.>")
        .await
        .unwrap();
    // Once this is answered the server knows of the subscription.
    requests.query_account().await.unwrap();
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
