//! Publishing inputs, against a real server: once, in order, and refused with the reason.

#[path = "support/nats.rs"]
mod nats;

use std::time::Duration;

use futures_util::StreamExt as _;
use nats::Nats;
use weir_engine::stream::{LimitOf, MessageLimit, PublishError, Publisher, Stream};
use weir_schema::Received;

fn tick(id: &str) -> Received {
    let json = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"weir.clock.ticked"}}"#
    );
    Received::from_json(json.as_bytes()).unwrap()
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
    assert!(size > 2 << 20, "{size}");
    let of_server = MessageLimit {
        bytes: 1 << 20,
        of: LimitOf::Server,
    };
    assert_eq!(limit, of_server);
}

/// Creates the stream of inputs with a limit of its own.
async fn limit_inputs(nats: &Nats, bytes: i32) {
    let config = async_nats::jetstream::stream::Config {
        name: "WEIR".into(),
        subjects: vec!["registry.>".into()],
        max_message_size: bytes,
        ..Default::default()
    };
    let jetstream = nats.jetstream().await;
    jetstream.create_or_update_stream(config).await.unwrap();
}

#[tokio::test]
async fn a_body_too_large_for_the_streams_own_limit_is_refused_with_it_and_the_stream_goes_on() {
    let Some(nats) = Nats::start() else { return };
    limit_inputs(&nats, 3000).await;
    let stream = Stream::open(&nats.config()).await.unwrap();
    let publisher = Publisher::new(&stream);
    let body = bytes::Bytes::from(vec![0; 4000]);
    let publish = || publisher.publish_intake("trivy", "ci", &[], body.clone());
    let error = publish().await.unwrap_err();
    let of_stream = MessageLimit {
        bytes: 3000,
        of: LimitOf::Stream("WEIR".into()),
    };
    assert!(
        matches!(&error, PublishError::TooLarge { size: 4001.., limit } if *limit == of_stream),
        "{error:?}"
    );
    assert!(error.to_string().contains("max_msg_size"), "{error}");
    assert_eq!(publisher.refusal(), None);

    limit_inputs(&nats, 5000).await;
    publish().await.unwrap();
}

#[tokio::test]
async fn an_event_too_large_for_the_streams_own_limit_is_sent_packed() {
    let Some(nats) = Nats::start() else { return };
    limit_inputs(&nats, -1).await;
    let stream = Stream::open(&nats.config()).await.unwrap();
    let publisher = Publisher::new(&stream);
    // As small as this, and larger only by what repeats itself.
    let padded = |id: &str| tick(&format!("{id}{}", "x".repeat(3000)));
    publisher.publish_event(&padded("1")).await.unwrap();
    // Also where it was limited after the stream was opened, and where that is known by then.
    limit_inputs(&nats, 3000).await;
    for id in ["2", "3"] {
        publisher.publish_event(&padded(id)).await.unwrap();
    }
    publisher.publish_event(&tick("4")).await.unwrap();
    let packed = async |sequence| {
        let message = stream.message(sequence).await.unwrap().unwrap();
        let packed = message.header("weir-encoding").is_some();
        (packed, message.content().unwrap().into_owned())
    };
    for (sequence, id, is_packed) in [(1, "1", false), (2, "2", true), (3, "3", true)] {
        let (was_packed, content) = packed(sequence).await;
        assert_eq!(was_packed, is_packed, "{id}");
        assert_eq!(content, padded(id).json.as_bytes());
    }
    assert!(!packed(4).await.0, "what fits is readable for all");
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
    NoRoom,
    Stored,
}

/// Publishes to what gives these answers, one after the other, in the place of the stream.
async fn published_to(answers: &'static [Answer]) -> Option<Result<(), PublishError>> {
    let nats = Nats::start()?;
    let stream = Stream::open(&nats.config()).await.unwrap();
    let jetstream = nats.jetstream().await;
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
                    Answer::NoRoom => {
                        r#"{"error":{"code":503,"err_code":10023,"description":"insufficient resources"},"stream":"WEIR","seq":0}"#
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
async fn a_server_without_room_is_not_asked_again_and_is_told_with_what_makes_it() {
    let Some(published) = published_to(&[Answer::NoRoom]).await else {
        return;
    };
    let told = published.unwrap_err().to_string();
    for part in [
        "insufficient resources",
        "nothing was stored",
        "max_file_store",
    ] {
        assert!(told.contains(part), "{told}");
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
