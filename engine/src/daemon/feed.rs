//! The stream's side: messages in order, decoded into inputs, with the broker's clock.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use weir_schema::{Body, Digest, InputRejected, Position, Received};

use super::{DaemonError, Shared, intake, lookups, resolver};
use crate::{
    adapters::{self, Decoded, Pending},
    log,
    node::Incoming,
    stream::{Consumer, Message, Origin, Stream, StreamPosition},
};

/// How many messages are taken at once: what one durable batch holds.
const BATCH: usize = 256;

/// How long a batch waits to fill.
const LINGER: Duration = Duration::from_millis(250);

/// Reads the stream into the node until `stop`.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    stream: &Stream,
    after: Option<log::StreamPosition>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), DaemonError> {
    let after = after.map(|at| StreamPosition {
        stream: at.stream,
        created: at.created,
        sequence: at.sequence,
    });
    let mut consumer = Consumer::start(stream, after).await?;
    lookups::resume(shared, stream).await?;
    loop {
        let batch = tokio::select! {
            batch = consumer.next_batch(BATCH, LINGER) => batch?,
            () = ended(&mut stop) => return std::future::pending().await,
        };
        let Some(last) = batch.last().map(|message| message.sequence) else {
            continue;
        };
        let position = log::StreamPosition {
            stream: stream.name().to_owned(),
            created: stream.created().to_owned(),
            sequence: last,
        };
        let mut inputs = Vec::new();
        let mut jobs = Vec::new();
        let mut open = Vec::new();
        for message in &batch {
            let (source, pending) = take(shared, stream, message, &mut inputs);
            if !pending.is_empty() {
                open.push((message.sequence, source, pending));
            }
        }
        let sequences: Vec<u64> = open.iter().map(|(sequence, ..)| *sequence).collect();
        lookups::begin(shared, &sequences).await?;
        jobs.extend(
            inputs
                .iter()
                .filter_map(|input: &Incoming| resolver::job(&input.received.event)),
        );
        shared.node.take_messages(inputs, position).await?;
        shared.look_up(jobs);
        for (sequence, source, pending) in open {
            lookups::ask(shared, sequence, source, pending);
        }
        shared.recorded.notify_waiters();
    }
}

/// What of a message must be looked up first, and the source that it is of.
pub(crate) fn pending(
    shared: &Arc<Shared>,
    stream: &Stream,
    message: &Message,
) -> (String, Vec<Pending>) {
    take(shared, stream, message, &mut Vec::new())
}

/// The inputs of a message. What must be looked up first is returned, with the message's source; it
/// comes back through the stream.
fn take(
    shared: &Arc<Shared>,
    stream: &Stream,
    message: &Message,
    inputs: &mut Vec<Incoming>,
) -> (String, Vec<Pending>) {
    let mut open = Vec::new();
    let mut of = String::new();
    let mut push = |received: Received, index: usize| {
        inputs.push(Incoming {
            received,
            at: message.timestamp,
            position: Position::Stream {
                stream: stream.name().to_owned(),
                created: stream.created().to_owned(),
                sequence: message.sequence,
                index: u32::try_from(index).unwrap_or(u32::MAX),
            },
        });
    };
    let id = format!("{}-{}", stream.created(), message.sequence);
    let reject = |reason: String, adapter: Option<&str>| {
        let rejected = InputRejected {
            reason,
            payload_digest: Digest::of(&message.payload),
            adapter: adapter.map(str::to_owned),
            payload: Some(
                String::from_utf8_lossy(&message.payload)
                    .chars()
                    .take(4096)
                    .collect(),
            ),
        };
        weir_schema::Event {
            id: format!("rejected-{id}"),
            source: crate::node::SOURCE.into(),
            time: None,
            subject: None,
            body: Body::InputRejected(rejected),
        }
    };
    if let Err(damaged) = message.check_payload() {
        push(reject(damaged.to_string(), None).into(), 0);
        return (of, open);
    }
    match message.origin(
        &shared
            .config
            .stream
            .as_ref()
            .map_or("registry", |config| &config.subjects),
    ) {
        Origin::Event { .. } => match Received::from_json(&message.payload) {
            Ok(received) if !received.event.body.is_conclusion() => push(received, 0),
            Ok(received) => push(
                reject(
                    format!("`{}` is for weir alone to say", received.event.body.kind()),
                    None,
                )
                .into(),
                0,
            ),
            Err(error) => push(reject(error.to_string(), None).into(), 0),
        },
        Origin::Intake { adapter, source } => {
            let headers: Vec<(String, String)> = message
                .content_headers()
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let raw = intake::Raw {
                adapter: Some(adapter),
                source,
                delivery_id: &id,
                headers: &headers,
                body: &message.payload,
            };
            source.clone_into(&mut of);
            for (index, one) in intake::decode(shared, &raw).into_iter().enumerate() {
                match one {
                    Decoded::Event(event) => push(*event, index),
                    Decoded::Rejected(rejected) => {
                        push(adapters::rejection(source, rejected), index)
                    }
                    Decoded::Ignored(reason) => tracing::debug!(source, reason, "ignored"),
                    Decoded::NeedsResolving(pending) => open.push(*pending),
                }
            }
        }
        Origin::Other => {}
    }
    (of, open)
}

async fn ended(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone is an end too.
    let _ = stop.wait_for(|stop| *stop).await;
}
