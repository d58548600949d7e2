//! The stream's side: messages in order, decoded into inputs, with the broker's clock.
//!
//! While one batch is decided and made durable the next is read and decoded.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use weir_schema::{Body, Digest, Event, InputRejected, Position, Received};

use super::{
    DaemonError, Shared, ended, intake, lookups, reconcile, resolver,
    sources::{FromHere, SourceSettings},
};
use crate::{
    adapters::{self, Decoded, mark_source_only},
    aside,
    log::StreamPosition,
    node::{Incoming, Landing, Messages, Stopped, TERM, Trace},
    stream::{Consumer, Message, Origin, Settled, Speaker, Stream, Term},
    structured::{from_structured, is_structured},
};

/// How many messages are taken at once: what one durable batch holds.
const BATCH: usize = 256;

/// How long to wait for a message before looking at the rest again.
const LINGER: Duration = Duration::from_millis(250);

/// Batches that are read ahead of the one that is being made durable.
const AHEAD: usize = 6;

/// How long a batch may take to become durable before it is told: the disk is slow, or full of others'
/// work.
const SLOW: Duration = Duration::from_secs(10);

/// A batch on its way into the log, and what follows once it is there.
struct Batch {
    landing: Landing,
    /// When it is told that it is not there yet.
    told_at: Instant,
    sequence: u64,
    jobs: Vec<resolver::Job>,
    opened: Vec<u64>,
}

/// Reads the stream into the node until the daemon ends.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    stream: &Stream,
    after: Option<StreamPosition>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), DaemonError> {
    let logged = after.as_ref().map(|after| after.created.clone());
    let mut consumer = Consumer::start(stream, after).await?;
    let begin = consumer.position();
    let mut left = Vec::new();
    if let Some(logged) = logged.filter(|logged| *logged != begin.created) {
        reconcile::soon(shared, stream.name(), "the stream is another than before");
        left = leave_behind(shared, &logged);
    }
    let mut on_their_way: VecDeque<Batch> = VecDeque::new();
    loop {
        tell_if_slow(&mut on_their_way);
        tokio::select! {
            biased;
            landed = first_landed(&mut on_their_way) => {
                landed?;
                if let Some(batch) = on_their_way.pop_front() {
                    follow_up(shared, batch);
                }
            }
            messages = consumer.next_batch(BATCH, LINGER), if on_their_way.len() <= AHEAD => {
                let messages = messages?;
                if consumer.left_some_out() {
                    reconcile::soon(shared, stream.name(), "inputs of the stream are lost");
                    left = leave_behind(shared, stream.created());
                }
                if let Some(batch) = hand_over(shared, stream, messages, &mut left).await? {
                    on_their_way.push_back(batch);
                }
            }
            () = ended(&mut stop) => return std::future::pending().await,
        }
    }
}

async fn first_landed(on_their_way: &mut VecDeque<Batch>) -> Result<(), Stopped> {
    match on_their_way.front_mut() {
        Some(batch) => batch.landing.durable().await,
        None => std::future::pending().await,
    }
}

fn tell_if_slow(on_their_way: &mut VecDeque<Batch>) {
    if let Some(batch) = on_their_way.front_mut()
        && Instant::now() > batch.told_at
    {
        tracing::warn!(
            through = batch.sequence,
            "what was read from the stream is not durable in the log after {SLOW:?}: its disk is slow"
        );
        batch.told_at += SLOW;
    }
}

/// A value that the log keeps, under its name.
type Note = (&'static str, Vec<u8>);

/// What is open was in the stream created at `created`, and something else may be at its place by now.
/// Returns what is to be kept of that with the next batch.
fn leave_behind(shared: &Shared, created: &str) -> Vec<Note> {
    let open = shared.lookups.leave_behind(created);
    shared.asker.send(lookups::Job::Earlier);
    vec![(lookups::OPEN, open), shared.reads.leave_behind()]
}

/// Decodes messages and hands them to the node, with what is `left` to be kept beside them.
async fn hand_over(
    shared: &Arc<Shared>,
    stream: &Stream,
    messages: Vec<Message>,
    left: &mut Vec<Note>,
) -> Result<Option<Batch>, DaemonError> {
    let Some(last) = messages.last() else {
        return Ok(None);
    };
    let sequence = last.sequence;
    shared.broker_clock.read(last.timestamp);
    let position = StreamPosition {
        stream: stream.name().to_owned(),
        created: stream.created().to_owned(),
        sequence,
        taken_at: Some(last.timestamp),
    };
    let Reading {
        inputs,
        traces,
        open,
        settled,
        fence,
        said,
        ..
    } = Reading::new(shared, stream).through(messages).await?;
    let mut notes = std::mem::take(left);
    let opened: Vec<u64> = open.iter().map(|open| open.sequence).collect();
    if let Some(all) = shared.lookups.change(&opened, &settled, stream.created()) {
        notes.push((lookups::OPEN, all));
    }
    notes.extend(shared.reads.change(said, shared.lookups.first()));
    if fence != *shared.fence.borrow() {
        if let Some(term) = fence {
            notes.push((TERM, term.to_string().into_bytes()));
        }
        shared.fence.send_replace(fence);
    }
    if let Some(heard) = shared.heard.due() {
        notes.push(heard);
    }
    let jobs = inputs
        .iter()
        .filter_map(|input| resolver::job(&input.received.event))
        .collect();
    let messages = Messages {
        inputs,
        traces,
        notes,
    };
    let landing = shared.node.take_messages(messages, position).await?;
    Ok(Some(Batch {
        landing,
        told_at: Instant::now() + SLOW,
        sequence,
        jobs,
        opened,
    }))
}

/// What follows once a batch is durable.
fn follow_up(shared: &Shared, batch: Batch) {
    shared.look_up(batch.jobs);
    for sequence in batch.opened {
        shared.asker.send(lookups::Job::Open(sequence));
    }
    shared.read.send_replace(batch.sequence);
}

/// What the open delivery in a message lacks, as it is read at its place in the stream; if that is
/// nothing, or not known, a rejection of it.
///
/// # Errors
/// If its decoder panicked.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    stream: &Stream,
    message: Message,
) -> Result<Result<lookups::Open, lookups::Rejected>, DaemonError> {
    let mut reading = Reading::new(shared, stream);
    let Some(reads) = shared.reads.at(message.sequence) else {
        return Ok(Err(reading.rejected(&message, FORGOTTEN)));
    };
    reading.reads = reads;
    // What an earlier leader said was dropped then, and is not open.
    reading.fence = None;
    let nothing = reading.rejected(&message, NOTHING_LACKS);
    let mut reading = reading.through(vec![message]).await?;
    Ok(reading.open.pop().ok_or(nothing))
}

/// Why a delivery is rejected that cannot be read again as it was.
const FORGOTTEN: &str = "it waited for an answer of its registry, and how its source was read then is no longer known: send it again";

/// Why a delivery is rejected that another version read in another way.
const NOTHING_LACKS: &str = "it waited for an answer of its registry, and read again by this version of weir it needs none: send it again";

/// Messages being decoded.
struct Reading {
    shared: Arc<Shared>,
    name: Arc<str>,
    created: Arc<str>,
    inputs: Vec<Incoming>,
    traces: Vec<Trace>,
    open: Vec<lookups::Open>,
    settled: Vec<Settled>,
    fence: Option<Term>,
    reads: Arc<SourceSettings>,
    /// What was put in force by these messages, and where.
    said: Vec<FromHere>,
}

impl Reading {
    fn new(shared: &Arc<Shared>, stream: &Stream) -> Self {
        Self {
            shared: Arc::clone(shared),
            name: stream.name().into(),
            created: stream.created().into(),
            inputs: Vec::new(),
            traces: Vec::new(),
            open: Vec::new(),
            settled: Vec::new(),
            fence: *shared.fence.borrow(),
            reads: shared.reads.now(),
            said: Vec::new(),
        }
    }

    /// Takes in messages, in order.
    ///
    /// # Errors
    /// If a decoder panicked.
    async fn through(mut self, messages: Vec<Message>) -> Result<Self, DaemonError> {
        let bytes = messages.iter().map(Message::unpacked_bytes).sum();
        let taken = move || {
            for message in &messages {
                self.take(message);
            }
            self
        };
        Ok(aside::read(bytes, taken).await?)
    }

    /// A delivery that waits for an answer, rejected.
    fn rejected(&self, message: &Message, reason: &str) -> lookups::Rejected {
        let escort = message.escort(self.subjects());
        let (adapter, source) = match message.origin(self.subjects()) {
            Origin::Intake {
                adapter, source, ..
            } => (Some(adapter.to_owned()), source.to_owned()),
            Origin::Event { .. } | Origin::Other => (None, String::new()),
        };
        let rejected = InputRejected {
            reason: reason.to_owned(),
            payload_digest: Digest::of(&message.payload),
            adapter,
            payload: Some(adapters::excerpt(&message.payload)),
        };
        lookups::Rejected {
            event: adapters::rejection(&source, rejected),
            source,
            trace: escort.trace.as_deref().map(Into::into),
        }
    }

    /// The first part of the subjects of inputs.
    fn subjects(&self) -> &str {
        let config = self.shared.config.stream.as_ref();
        config.map_or("registry", |config| &config.subjects)
    }

    /// Takes in a message: what it means, or what it lacks.
    fn take(&mut self, message: &Message) {
        let escort = message.escort(self.subjects());
        if let Some(term) = escort.term {
            if self.fence.is_some_and(|newest| term < newest) {
                tracing::warn!(sequence = message.sequence, subject = %message.subject, %term, "said by a node that no longer led: dropped");
                return;
            }
            self.fence = Some(term);
            if let Some(reads) = &escort.reads {
                self.read_by(reads, message.sequence);
            }
        }
        self.settled.extend(escort.settles);
        let trace: Trace = escort.trace.as_deref().map(Into::into);
        let (events, pending, source) = self.decode(message);
        for (index, received) in events {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.traces.push(trace.clone());
            self.inputs.push(Incoming {
                received,
                at: message.timestamp,
                position: Position::Stream {
                    stream: Arc::clone(&self.name),
                    created: Arc::clone(&self.created),
                    sequence: message.sequence,
                    index,
                },
            });
        }
        if !pending.is_empty() {
            self.open.push(lookups::Open {
                sequence: message.sequence,
                source,
                pending,
                trace,
            });
        }
    }

    /// Reads what follows as a new leader does.
    fn read_by(&mut self, reads: &str, sequence: u64) {
        let settings: SourceSettings = match serde_json::from_str(reads) {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!(
                    sequence,
                    %error,
                    "how the node that leads reads deliveries is not known to this version of weir: upgrade it"
                );
                return;
            }
        };
        // All nodes come to the same, and none ends of what it could not keep.
        if !settings.fits_in_log() {
            tracing::error!(
                sequence,
                "how the node that leads reads deliveries is more than the log keeps, and left out: all nodes read on as before"
            );
            return;
        }
        self.reads = Arc::new(settings);
        self.said.push((sequence, Arc::clone(&self.reads)));
    }

    /// The events of a message, each with its place in it; what must be looked up first; and the
    /// source.
    fn decode(
        &self,
        message: &Message,
    ) -> (Vec<(usize, Received)>, Vec<adapters::Pending>, String) {
        let none = (Vec::new(), Vec::new(), String::new());
        let one = |event| (vec![(0, event)], Vec::new(), String::new());
        let id = || format!("{}-{}", self.created, message.sequence);
        if let Err(damaged) = message.check_payload() {
            return one(rejected(message, &id(), damaged.to_string()));
        }
        match message.origin(self.subjects()) {
            Origin::Event { .. } => one(match event(message) {
                Ok(received) if !received.event.body.is_conclusion() => {
                    let source = &received.event.source;
                    if source != Event::OWN_SOURCE {
                        self.shared.heard.note(source, message.timestamp);
                    }
                    received
                }
                Ok(received) => {
                    let kind = received.event.body.kind();
                    rejected(message, &id(), format!("`{kind}` is for weir alone to say"))
                }
                Err(problem) => rejected(message, &id(), problem),
            }),
            Origin::Intake {
                adapter,
                source,
                speaker,
            } => {
                self.shared.heard.note(source, message.timestamp);
                let mut headers: Vec<(String, String)> = message
                    .content_headers()
                    .into_iter()
                    .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                    .collect();
                // Whoever may publish OpenVEX may waive; that is all it says.
                if speaker == Speaker::Source && adapter != "openvex" {
                    mark_source_only(&mut headers);
                }
                let raw = intake::Raw {
                    adapter: Some(adapter),
                    source,
                    delivery_id: &id(),
                    headers: &headers,
                    body: &message.payload,
                };
                let (mut events, mut open) = (Vec::new(), Vec::new());
                let settings = self.reads.of(source);
                let decoded = intake::decode(&self.shared, &raw, &settings);
                for (index, one) in decoded.into_iter().enumerate() {
                    match one {
                        Decoded::Event(event) => events.push((index, *event)),
                        Decoded::Rejected(rejected) => {
                            events.push((index, adapters::rejection(source, rejected)));
                        }
                        Decoded::Ignored(reason) => tracing::debug!(source, reason, "ignored"),
                        Decoded::Untold(reason) => reconcile::soon(&self.shared, source, &reason),
                        Decoded::NeedsResolving(pending) => open.push(*pending),
                    }
                }
                (events, open, source.to_owned())
            }
            Origin::Other => none,
        }
    }
}

/// A canonical event: a CloudEvent in structured or binary mode.
fn event(message: &Message) -> Result<Received, String> {
    let content = message.content()?;
    let attributes = message.event_attributes();
    let says_structured = || message.header("content-type").is_some_and(is_structured);
    if attributes.is_empty() || says_structured() {
        return from_structured(&content);
    }
    adapters::from_binary(attributes, &content)
}

fn rejected(message: &Message, id: &str, reason: String) -> Received {
    let rejected = InputRejected {
        reason,
        payload_digest: Digest::of(&message.payload),
        adapter: None,
        payload: Some(adapters::excerpt(&message.payload)),
    };
    Event {
        id: format!("rejected-{id}").into(),
        source: Event::OWN_SOURCE.into(),
        time: None,
        subject: None,
        body: Body::InputRejected(rejected),
    }
    .into()
}
