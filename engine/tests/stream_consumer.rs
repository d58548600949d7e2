//! Reading the stream against a real server: in order, from a position, without a silent gap.

#[path = "support/nats.rs"]
mod nats;

use std::{path::Path, time::Duration};

use nats::Nats;
use weir_engine::{
    log::StreamPosition,
    stream::{ConsumeError, Consumer, Message, Origin, Publisher, Speaker, Stream, StreamConfig},
};

const SOON: Duration = Duration::from_secs(15);

async fn publish(stream: &Stream, from: u64, through: u64) {
    let publisher = Publisher::new(stream);
    for number in from..=through {
        let ack = publisher
            .publish_intake("test", "a.b", &[], number.to_string().into())
            .await
            .unwrap();
        assert!(!ack.duplicate);
    }
}

/// Reads `count` messages, and asserts that they are the numbers from `from` on.
async fn read(consumer: &mut Consumer, from: u64, count: u64) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    while (messages.len() as u64) < count {
        let batch = consumer.next_batch(256, SOON).await.unwrap();
        assert!(!batch.is_empty(), "only {} of {count} came", messages.len());
        messages.extend(batch);
    }
    let numbers: Vec<u64> = messages
        .iter()
        .map(|message| String::from_utf8_lossy(&message.payload).parse().unwrap())
        .collect();
    assert_eq!(numbers, (from..from + count).collect::<Vec<_>>());
    messages
}

async fn read_error(consumer: &mut Consumer) -> ConsumeError {
    for _ in 0..20 {
        match consumer.next_batch(256, Duration::from_secs(1)).await {
            Ok(batch) => assert!(batch.is_empty(), "{batch:?}"),
            Err(error) => return error,
        }
    }
    panic!("no error came");
}

async fn start_error(config: &StreamConfig, after: Option<StreamPosition>) -> ConsumeError {
    let stream = Stream::open(config).await.unwrap();
    match Consumer::start(&stream, after).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn messages_come_in_order_with_their_sequence_time_and_headers() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    publish(&stream, 1, 300).await;
    let headers = [("Content-Type".to_owned(), "text/plain".to_owned())];
    Publisher::new(&stream)
        .publish_intake("harbor", "eu.1/x", &headers, "301".into())
        .await
        .unwrap();
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    let messages = read(&mut consumer, 1, 301).await;
    assert!(messages.is_sorted_by_key(|message| message.timestamp));
    let last = messages.last().unwrap();
    assert_eq!(last.sequence, 301);
    assert_eq!(last.subject.as_str(), "registry.intake.harbor.eu_1_x");
    assert_eq!(
        last.origin("registry"),
        Origin::Intake {
            adapter: "harbor",
            source: "eu.1/x",
            speaker: Speaker::Source,
        }
    );
    assert_eq!(last.content_headers(), [("Content-Type", "text/plain")]);
    last.check_payload().unwrap();
    assert_eq!(consumer.position().sequence, 301);
}

#[tokio::test]
async fn an_idle_stream_gives_an_empty_batch_after_the_wait() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    let start = std::time::Instant::now();
    let batch = consumer
        .next_batch(10, Duration::from_millis(200))
        .await
        .unwrap();
    assert!(batch.is_empty());
    assert!(start.elapsed() >= Duration::from_millis(200));
    publish(&stream, 1, 1).await;
    read(&mut consumer, 1, 1).await;
}

#[tokio::test]
async fn reading_resumes_after_the_position() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    publish(&stream, 1, 20).await;
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    let batch = consumer.next_batch(7, SOON).await.unwrap();
    let position = consumer.position();
    assert_eq!(position.sequence, batch.len() as u64);
    drop(consumer);
    let again = Stream::open(&nats.config()).await.unwrap();
    let mut consumer = Consumer::start(&again, Some(position.clone()))
        .await
        .unwrap();
    read(&mut consumer, position.sequence + 1, 20 - position.sequence).await;
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    let writer = tokio::spawn(async move { publish(&stream, 1, 500).await });
    let mut numbers = Vec::new();
    while numbers.len() < 500 {
        let read = consumer.next_batch(16, SOON);
        if let Ok(batch) = tokio::time::timeout(Duration::from_micros(300), read).await {
            numbers.extend(batch.unwrap().into_iter().map(|message| message.sequence));
        }
    }
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_the_server_neither_lose_nor_repeat() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    let writer = tokio::spawn({
        let stream = stream.clone();
        async move { publish(&stream, 1, 3000).await }
    });
    let mut reader = tokio::spawn(async move { read(&mut consumer, 1, 3000).await });
    for _ in 0..4 {
        let busy = tokio::time::sleep(Duration::from_millis(250));
        tokio::select! { () = busy => {}, _ = &mut reader => break }
        nats.kill();
        tokio::time::sleep(Duration::from_millis(100)).await;
        nats.restart();
    }
    writer.await.unwrap();
    if !reader.is_finished() {
        let messages = reader.await.unwrap();
        assert_eq!(messages.last().unwrap().sequence, 3000);
    }
    assert_eq!(stream.last_sequence().await.unwrap(), 3000);
}

#[tokio::test]
async fn a_recreated_stream_is_an_error_until_it_is_accepted() {
    let Some(nats) = Nats::start() else { return };
    let mut config = nats.config();
    let stream = Stream::open(&config).await.unwrap();
    publish(&stream, 1, 5).await;
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    read(&mut consumer, 1, 5).await;
    let position = consumer.position();
    nats.jetstream().await.delete_stream("WEIR").await.unwrap();
    assert_eq!(
        read_error(&mut consumer).await,
        ConsumeError::Deleted {
            stream: "WEIR".into()
        }
    );
    assert_eq!(
        read_error(&mut consumer).await,
        ConsumeError::Ended {
            stream: "WEIR".into()
        }
    );

    let stream = Stream::open(&config).await.unwrap();
    publish(&stream, 1, 9).await;
    let error = start_error(&config, Some(position.clone())).await;
    let ConsumeError::Recreated { found, logged, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(
        (found.as_str(), &logged),
        (stream.created(), &position.created)
    );

    config.accept_stream_created = Some(found);
    let stream = Stream::open(&config).await.unwrap();
    let mut consumer = Consumer::start(&stream, Some(position)).await.unwrap();
    read(&mut consumer, 1, 9).await;
}

#[tokio::test]
async fn a_stream_of_another_name_is_an_error() {
    let Some(nats) = Nats::start() else { return };
    let position = StreamPosition {
        stream: "OLD".into(),
        created: String::new(),
        sequence: 3,
        taken_at: None,
    };
    let error = start_error(&nats.config(), Some(position)).await;
    assert!(matches!(error, ConsumeError::OtherStream { .. }), "{error}");
}

#[tokio::test]
async fn inputs_dropped_before_they_were_read_are_an_error_until_accepted() {
    let Some(nats) = Nats::start() else { return };
    let mut config = nats.config();
    let stream = Stream::open(&config).await.unwrap();
    publish(&stream, 1, 10).await;
    nats.jetstream()
        .await
        .get_stream("WEIR")
        .await
        .unwrap()
        .purge()
        .sequence(7)
        .await
        .unwrap();
    let position = StreamPosition {
        stream: "WEIR".into(),
        created: stream.created().into(),
        sequence: 3,
        taken_at: None,
    };
    let lost = ConsumeError::Lost {
        stream: "WEIR".into(),
        from: 4,
        through: 6,
    };
    assert_eq!(start_error(&config, Some(position.clone())).await, lost);
    let from_the_first = ConsumeError::Lost {
        stream: "WEIR".into(),
        from: 1,
        through: 6,
    };
    assert_eq!(start_error(&config, None).await, from_the_first);

    config.accept_loss_through = 6;
    let stream = Stream::open(&config).await.unwrap();
    let mut consumer = Consumer::start(&stream, Some(position)).await.unwrap();
    read(&mut consumer, 7, 4).await;
}

#[tokio::test]
async fn a_message_deleted_in_the_middle_is_an_error_after_what_came_before_it() {
    let Some(nats) = Nats::start() else { return };
    let jetstream = nats.jetstream().await;
    let config = async_nats::jetstream::stream::Config {
        name: "WEIR".into(),
        subjects: vec!["registry.>".into()],
        ..Default::default()
    };
    let made = jetstream.create_stream(config).await.unwrap();
    let stream = Stream::open(&nats.config()).await.unwrap();
    publish(&stream, 1, 10).await;
    made.delete_message(6).await.unwrap();
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    read(&mut consumer, 1, 5).await;
    let lost = ConsumeError::Lost {
        stream: "WEIR".into(),
        from: 6,
        through: 6,
    };
    assert_eq!(read_error(&mut consumer).await, lost);
}

#[tokio::test]
async fn a_stream_that_ends_before_the_log_is_an_error() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    publish(&stream, 1, 3).await;
    let position = StreamPosition {
        stream: "WEIR".into(),
        created: stream.created().into(),
        sequence: 8,
        taken_at: None,
    };
    assert_eq!(
        start_error(&nats.config(), Some(position)).await,
        ConsumeError::Rewound {
            stream: "WEIR".into(),
            last: 3,
            logged: 8
        }
    );
}

#[tokio::test]
async fn a_server_that_lost_its_store_is_an_error() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let stream = Stream::open(&nats.config()).await.unwrap();
    publish(&stream, 1, 3).await;
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    read(&mut consumer, 1, 3).await;
    nats.kill();
    std::fs::remove_dir_all(nats.store()).unwrap();
    nats.restart();
    assert!(matches!(
        read_error(&mut consumer).await,
        ConsumeError::Deleted { .. }
    ));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// What a power cut does to a server that does not sync: it comes back with an older store, and
/// gives the sequences that it lost to other inputs.
#[tokio::test]
async fn a_server_that_forgot_what_it_acknowledged_is_an_error() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let stream = Stream::open(&nats.config()).await.unwrap();
    publish(&stream, 1, 3).await;
    nats.kill();
    let (store, older) = (nats.store(), nats.store().with_file_name("older"));
    copy(&store, &older);
    nats.restart();
    publish(&stream, 4, 6).await;
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    read(&mut consumer, 1, 6).await;

    let forget = |nats: &mut Nats| {
        nats.kill();
        std::fs::remove_dir_all(&store).unwrap();
        copy(&older, &store);
        nats.restart();
    };
    forget(&mut nats);
    let rewound = ConsumeError::Rewound {
        stream: "WEIR".into(),
        last: 3,
        logged: 6,
    };
    assert_eq!(read_error(&mut consumer).await, rewound);

    publish(&stream, 4, 6).await;
    let position = StreamPosition {
        sequence: 3,
        taken_at: None,
        ..consumer.position()
    };
    let mut consumer = Consumer::start(&stream, Some(position)).await.unwrap();
    read(&mut consumer, 4, 3).await;
    // The reader is busy elsewhere while the server forgets again and other inputs come.
    forget(&mut nats);
    publish(&stream, 7, 10).await;
    assert_eq!(
        read_error(&mut consumer).await,
        ConsumeError::Rewritten {
            stream: "WEIR".into(),
            sequence: 6
        }
    );
}

/// As above, while Weir is stopped: all that is left of what was read is the position.
#[tokio::test]
async fn other_inputs_in_the_place_of_those_read_are_an_error_after_a_restart_until_accepted() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let mut config = nats.config();
    let stream = Stream::open(&config).await.unwrap();
    publish(&stream, 1, 3).await;
    nats.kill();
    let (store, older) = (nats.store(), nats.store().with_file_name("older"));
    copy(&store, &older);
    nats.restart();
    publish(&stream, 4, 6).await;
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    let read_before = read(&mut consumer, 1, 6).await;
    let position = consumer.position();
    assert_eq!(position.taken_at, Some(read_before[5].timestamp));
    drop(consumer);
    // What was read is there: reading goes on, by a log of an earlier Weir too.
    let untimed = StreamPosition {
        taken_at: None,
        ..position.clone()
    };
    for position in [&position, &untimed] {
        let consumer = Consumer::start(&stream, Some(position.clone())).await;
        assert!(!consumer.unwrap().left_some_out());
    }

    nats.kill();
    std::fs::remove_dir_all(&store).unwrap();
    copy(&older, &store);
    nats.restart();
    publish(&stream, 11, 19).await;
    let rewritten = ConsumeError::Rewritten {
        stream: "WEIR".into(),
        sequence: 6,
    };
    for accepted in [0, 5] {
        config.accept_loss_through = accepted;
        assert_eq!(
            start_error(&config, Some(position.clone())).await,
            rewritten
        );
    }
    // Who had read no further than what is left has missed nothing.
    let third = StreamPosition {
        sequence: 3,
        taken_at: Some(read_before[2].timestamp),
        ..position.clone()
    };
    let mut behind = Consumer::start(&stream, Some(third)).await.unwrap();
    read(&mut behind, 11, 9).await;

    config.accept_loss_through = 6;
    let stream = Stream::open(&config).await.unwrap();
    let mut consumer = Consumer::start(&stream, Some(position)).await.unwrap();
    assert!(consumer.left_some_out() && !consumer.left_some_out());
    read(&mut consumer, 14, 6).await;
    let position = consumer.position();
    config.accept_loss_through = 0;
    let stream = Stream::open(&config).await.unwrap();
    let mut consumer = Consumer::start(&stream, Some(position)).await.unwrap();
    publish(&stream, 20, 20).await;
    read(&mut consumer, 20, 1).await;
}

#[tokio::test]
async fn a_last_message_that_has_aged_out_is_not_compared() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    publish(&stream, 1, 3).await;
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    read(&mut consumer, 1, 3).await;
    let made = nats.jetstream().await.get_stream("WEIR").await.unwrap();
    made.purge().sequence(4).await.unwrap();
    let position = consumer.position();
    let mut consumer = Consumer::start(&stream, Some(position)).await.unwrap();
    publish(&stream, 4, 4).await;
    read(&mut consumer, 4, 1).await;
}

#[tokio::test]
async fn large_messages_come_through() {
    let Some(nats) = Nats::start_with("max_payload: 8MB") else {
        return;
    };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let body = bytes::Bytes::from(vec![b'x'; 7 << 20]);
    for _ in 0..8 {
        Publisher::new(&stream)
            .publish_intake("trivy", "ci", &[], body.clone())
            .await
            .unwrap();
    }
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    let mut count = 0;
    while count < 8 {
        let batch = consumer.next_batch(256, SOON).await.unwrap();
        assert!(!batch.is_empty() && batch.iter().all(|message| message.payload == body));
        count += batch.len();
    }
}

#[tokio::test]
async fn a_batch_holds_no_more_than_fits_into_memory_unpacked() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    let packed = zstd::bulk::compress(&vec![b'x'; 7 << 20], 0).unwrap();
    let packed = bytes::Bytes::from(packed);
    let jetstream = nats.jetstream().await;
    for _ in 0..8 {
        let subject = "registry.events.weir.clock.ticked";
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Weir-Encoding", "zstd");
        let sent = jetstream.publish_with_headers(subject, headers, packed.clone());
        sent.await.unwrap().await.unwrap();
    }
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    let mut counts = Vec::new();
    while counts.iter().sum::<usize>() < 8 {
        let batch = consumer.next_batch(256, SOON).await.unwrap();
        counts.push(batch.len());
        // All others have arrived by then.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(counts.iter().max(), Some(&3), "{counts:?}");
}

/// Not a measurement, a tripwire: a release build reads several hundred thousand a second.
#[tokio::test(flavor = "multi_thread")]
async fn batches_fill_up() {
    let Some(nats) = Nats::start() else { return };
    let stream = Stream::open(&nats.config()).await.unwrap();
    const COUNT: u64 = 20_000;
    let jetstream = nats.jetstream().await;
    let mut acks = Vec::new();
    for _ in 0..COUNT {
        let subject = "registry.events.weir.clock.ticked";
        acks.push(
            jetstream
                .publish(subject, vec![b'x'; 674].into())
                .await
                .unwrap(),
        );
        if acks.len() == 1000 {
            for ack in acks.drain(..) {
                ack.await.unwrap();
            }
        }
    }
    let start = std::time::Instant::now();
    let mut consumer = Consumer::start(&stream, None).await.unwrap();
    let (mut count, mut largest, mut batches) = (0, 0, 0);
    while count < COUNT {
        let batch = consumer.next_batch(512, SOON).await.unwrap();
        count += batch.len() as u64;
        largest = largest.max(batch.len());
        batches += 1;
    }
    let rate = COUNT as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} messages a second in {batches} batches, the largest of {largest}");
    assert!(largest > 128, "tokio's budget cuts batches to {largest}");
}
