//! Reading the stream in order, from a position on, without a gap.
//!
//! No acknowledgement is sent: the log holds the position. The consumer on the server is only a
//! means, made anew whenever it is lost; each time the stream is first checked to be the same and
//! to hold what comes next.

use std::{collections::VecDeque, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, pull},
    stream::RawMessageErrorKind,
};
use futures_util::{FutureExt, StreamExt};
use tokio::{sync::watch, task::unconstrained, time::Instant};
use weir_schema::Timestamp;

use super::{
    Message, Stream,
    connection::pause,
    provision::{created, info, said},
};
use crate::log::StreamPosition;

/// Messages that one pull asks for. Larger gains nothing; smaller costs round trips.
const PULL_MESSAGES: usize = 1024;
/// Bytes that one pull asks for, so that large reports cannot fill the memory.
const PULL_BYTES: usize = 32 << 20;
/// Bytes of payloads, unpacked, after which a batch is handed over although it could hold more messages.
const BATCH_BYTES: usize = 16 << 20;
/// A server that is silent for twice this long has lost the consumer.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A consumer that lasts for so long is heard: one whose pulls the server does not take is lost before.
const HEARD: Duration = Duration::from_secs(3);
/// How long a pull stays open at the server.
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// Why reading cannot go on. None of these mends itself: each would be a silent gap in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// The log was fed from another stream.
    #[error(
        "the log follows stream `{logged}`, the configuration names `{configured}`: set `stream.stream` back, or start with an empty data directory"
    )]
    OtherStream {
        /// The stream in the log.
        logged: String,
        /// The stream in the configuration.
        configured: String,
    },
    /// The stream was deleted and created anew: it counts from 1 again.
    #[error(
        "stream `{stream}` was recreated: the log follows the one of {logged}, this one is of {found}; what was between is lost. To go on with it from its first input, set `stream.accept_stream_created = \"{found}\"`; where there are several nodes, first copy the log with the most records to all of them: logs that differ stay different"
    )]
    Recreated {
        /// The stream.
        stream: String,
        /// When the stream of the log was created.
        logged: String,
        /// When the present one was.
        found: String,
    },
    /// The stream no longer holds inputs that are not in the log.
    #[error(
        "stream `{stream}` no longer holds inputs {from} to {through}, which are not in the log. Copy the log of another node, or, to go on without them, set `stream.accept_loss_through = {through}`"
    )]
    Lost {
        /// The stream.
        stream: String,
        /// The first input lost.
        from: u64,
        /// The last input lost.
        through: u64,
    },
    /// The stream ends before the log does: the server lost what it acknowledged.
    #[error(
        "stream `{stream}` ends at {last}, the log holds its inputs up to {logged}: the server lost what it had acknowledged, and would give the same sequences to other inputs. Delete the stream, let Weir create it, and accept it with `stream.accept_stream_created`; where there are several nodes, first copy the log with the most records to all of them"
    )]
    Rewound {
        /// The stream.
        stream: String,
        /// The last sequence it has.
        last: u64,
        /// The last sequence in the log.
        logged: u64,
    },
    /// The stream holds another message at a place that was read before.
    #[error(
        "stream `{stream}` has another message at {sequence} than was read there: the server lost what it had acknowledged and gave its sequences to other inputs, of which those up to {sequence} are not in the log. To go on without them, set `stream.accept_loss_through = {sequence}`; where there are several nodes, first copy the log with the most records to all of them: logs that differ stay different"
    )]
    Rewritten {
        /// The stream.
        stream: String,
        /// The place.
        sequence: u64,
    },
    /// The stream was deleted.
    #[error(
        "stream `{stream}` was deleted: restart Weir to create it, and accept it with `stream.accept_stream_created`; where there are several nodes, first copy the log with the most records to all of them"
    )]
    Deleted {
        /// The stream.
        stream: String,
    },
    /// The consumer came to an end by such an error before.
    #[error("reading stream `{stream}` ended before")]
    Ended {
        /// The stream.
        stream: String,
    },
}

/// Reads a stream in order. One reader; what it has returned is never returned again.
pub struct Consumer {
    stream: Stream,
    /// The stream that is read; the present one must be this.
    created: String,
    /// The sequence that must come next.
    next: u64,
    /// Time of the last message read, here or before a restart: proves that the stream still is what
    /// was read.
    last_timestamp: Option<Timestamp>,
    /// That of the last message returned.
    returned_timestamp: Option<Timestamp>,
    accept_loss_through: u64,
    /// See [`Self::left_some_out`].
    left_some_out: bool,
    reconnects: watch::Receiver<u64>,
    source: Option<Source>,
    attempt: usize,
    not_before: Instant,
    /// What was received and not yet returned; keeps [`Self::next_batch`] safe to cancel.
    received: VecDeque<Message>,
    ended: bool,
}

/// A consumer on the server, as long as it lasts.
struct Source {
    messages: pull::Stream,
    /// Deliveries so far: the next one has this number plus one, or some were lost on the way.
    delivered: u64,
    made: Instant,
}

/// What came of receiving one message.
enum Receipt {
    Message(Message),
    /// The consumer on the server is of no more use.
    Broken(String),
}

impl Consumer {
    /// Starts to read after `after`, or at the first input for `None`.
    ///
    /// Waits while the server does not answer.
    ///
    /// # Errors
    /// The stream is not the one of the position, or no longer holds what comes next.
    pub async fn start(
        stream: &Stream,
        after: Option<StreamPosition>,
    ) -> Result<Self, ConsumeError> {
        let config = &stream.connection.config;
        let mut position = after.unwrap_or_else(|| StreamPosition {
            stream: stream.name().to_owned(),
            created: stream.created().to_owned(),
            sequence: 0,
            taken_at: None,
        });
        if position.stream != stream.name() {
            return Err(ConsumeError::OtherStream {
                logged: position.stream,
                configured: stream.name().to_owned(),
            });
        }
        if position.created != stream.created()
            && config.accept_stream_created.as_deref() == Some(stream.created())
        {
            tracing::warn!(stream = %position.stream, logged = %position.created, found = %stream.created(),
                "going on with a recreated stream, as configured; what was between is lost");
            position.created = stream.created().to_owned();
            position.sequence = 0;
            position.taken_at = None;
        }
        let mut consumer = Self {
            created: position.created,
            next: position.sequence + 1,
            last_timestamp: position.taken_at,
            returned_timestamp: position.taken_at,
            accept_loss_through: config.accept_loss_through,
            left_some_out: false,
            reconnects: stream.connection.made.clone(),
            stream: stream.clone(),
            source: None,
            attempt: 0,
            not_before: Instant::now(),
            received: VecDeque::new(),
            ended: false,
        };
        while consumer.source.is_none() {
            consumer.connect().await?;
        }
        Ok(consumer)
    }

    /// Position of the last message that was returned or is about to be.
    #[must_use]
    pub fn position(&self) -> StreamPosition {
        StreamPosition {
            stream: self.stream.name().to_owned(),
            created: self.created.clone(),
            sequence: self.next - 1 - self.received.len() as u64,
            taken_at: self.returned_timestamp,
        }
    }

    /// Whether inputs were left out since this was last asked, as the configuration accepts.
    pub fn left_some_out(&mut self) -> bool {
        std::mem::take(&mut self.left_some_out)
    }

    /// The next messages in order: as soon as there is one, with all that have arrived by then, at
    /// most `max`. Empty if none came within `max_wait`, also while the server is away; an attempt to reach it
    /// may take some seconds longer.
    ///
    /// Safe to cancel: what was received and not returned comes with the next call.
    ///
    /// # Errors
    /// See [`ConsumeError`]: reading is over. What came before the obstacle was returned first.
    pub async fn next_batch(
        &mut self,
        max: usize,
        max_wait: Duration,
    ) -> Result<Vec<Message>, ConsumeError> {
        if self.received.is_empty() {
            // An error is only met when nothing waits to be returned before it.
            match self.receive_first(Instant::now() + max_wait).await {
                Ok(true) => self.receive_ready(max),
                Ok(false) => {
                    let source = self.source.as_ref();
                    if source.is_some_and(|source| source.made.elapsed() > HEARD) {
                        self.stream.unread.ends();
                    }
                    return Ok(Vec::new());
                }
                Err(error) => {
                    self.ended = true;
                    self.source = None;
                    return Err(error);
                }
            }
        }
        let count = self.received.len().min(max.max(1));
        let batch: Vec<Message> = self.received.drain(..count).collect();
        if let Some(last) = batch.last() {
            self.returned_timestamp = Some(last.timestamp);
        }
        Ok(batch)
    }

    /// Waits until `received` holds a message, or it is `until`: then `false`. An attempt to make a
    /// consumer may take longer: each of its requests has an end of its own, and what it met would
    /// not be known of one that is cut short.
    async fn receive_first(&mut self, until: Instant) -> Result<bool, ConsumeError> {
        if self.ended {
            return Err(ConsumeError::Ended {
                stream: self.stream.name().to_owned(),
            });
        }
        loop {
            let Some(source) = &mut self.source else {
                if self.not_before > until {
                    tokio::time::sleep_until(until).await;
                    return Ok(false);
                }
                self.connect().await?;
                continue;
            };
            tokio::select! {
                biased;
                _ = self.reconnects.changed() => {
                    // What the server knew of the consumer may be gone, and what was on the way is.
                    self.source = None;
                }
                item = source.messages.next() => match self.accept(item)? {
                    Receipt::Message(message) => {
                        self.received.push_back(message);
                        return Ok(true);
                    }
                    Receipt::Broken(why) => {
                        tracing::debug!(%why, "making the consumer anew");
                        self.stream.unread.fails(why);
                        self.source = None;
                    }
                },
                () = tokio::time::sleep_until(until) => return Ok(false),
            }
        }
    }

    /// Adds what has arrived already, without waiting.
    fn receive_ready(&mut self, max: usize) {
        let bytes_of = Message::unpacked_bytes;
        let mut bytes: usize = self.received.iter().map(bytes_of).sum();
        while self.received.len() < max && bytes < BATCH_BYTES {
            let Some(source) = &mut self.source else {
                return;
            };
            // Unconstrained: tokio's budget would make a full channel look empty after 128 messages.
            let Some(item) = unconstrained(source.messages.next()).now_or_never() else {
                return;
            };
            match self.accept(item) {
                Ok(Receipt::Message(message)) => {
                    bytes += bytes_of(&message);
                    self.received.push_back(message);
                }
                // The next call makes the consumer anew at the same place and meets the error.
                Ok(Receipt::Broken(_)) | Err(_) => self.source = None,
            }
        }
    }

    /// Judges what the consumer on the server yielded; a message is the next one in order.
    fn accept(
        &mut self,
        item: Option<Result<async_nats::jetstream::Message, pull::MessagesError>>,
    ) -> Result<Receipt, ConsumeError> {
        let broken = |why: String| Ok(Receipt::Broken(why));
        let message = match item {
            None => return broken("it ended".into()),
            Some(Err(error)) => return broken(said(&error)),
            Some(Ok(message)) => message,
        };
        let info = match message.info() {
            Ok(info) => info,
            Err(error) => return broken(error.to_string()),
        };
        let (sequence, delivery) = (info.stream_sequence, info.consumer_sequence);
        let timestamp = Timestamp::from_nanos(info.published.unix_timestamp_nanos())
            .unwrap_or(Timestamp::EPOCH);
        let Some(source) = &mut self.source else {
            return broken("it was given up".into());
        };
        if delivery != source.delivered + 1 || sequence < self.next {
            return broken(format!(
                "delivery {delivery} of message {sequence} after delivery {}",
                source.delivered
            ));
        }
        // Nothing was lost on the way, so what is missing is missing in the stream.
        self.check_loss(sequence)?;
        if let Some(source) = &mut self.source {
            source.delivered = delivery;
        }
        self.next = sequence + 1;
        self.last_timestamp = Some(timestamp);
        self.stream.unread.ends();
        let message = message.message;
        Ok(Receipt::Message(Message {
            subject: message.subject,
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
            sequence,
            timestamp,
        }))
    }

    /// Refuses to go on at `first` if that leaves out inputs that nobody agreed to lose.
    fn check_loss(&mut self, first: u64) -> Result<(), ConsumeError> {
        if first <= self.next {
            return Ok(());
        }
        let (from, through) = (self.next, first - 1);
        if through <= self.accept_loss_through {
            tracing::warn!(stream = %self.stream.name(), from, through, "going on without lost inputs, as configured");
            self.left_some_out = true;
            return Ok(());
        }
        Err(ConsumeError::Lost {
            stream: self.stream.name().to_owned(),
            from,
            through,
        })
    }

    /// Refuses to go on after a message that was read and is another now, if nobody agreed to lose what
    /// came in its place and before it.
    fn check_rewritten(&mut self) -> Result<(), ConsumeError> {
        let (stream, sequence) = (self.stream.name().to_owned(), self.next - 1);
        if sequence > self.accept_loss_through {
            return Err(ConsumeError::Rewritten { stream, sequence });
        }
        tracing::warn!(%stream, through = sequence, "going on after another message than was read, as configured; inputs up to it are lost");
        self.left_some_out = true;
        // It is told once, until another message is read.
        self.last_timestamp = None;
        Ok(())
    }

    /// One attempt to make a consumer on the server, after the pause that is due. Without success
    /// `source` stays empty.
    async fn connect(&mut self) -> Result<(), ConsumeError> {
        tokio::time::sleep_until(self.not_before).await;
        // Counted before the attempt: a cancelled one counts too.
        self.not_before = Instant::now() + pause(self.attempt);
        self.attempt += 1;
        self.reconnects.mark_unchanged();
        match self.subscribe().await? {
            Ok(source) => {
                self.source = Some(source);
                self.attempt = 0;
                self.not_before = Instant::now();
            }
            Err(problem) => {
                tracing::warn!(stream = %self.stream.name(), %problem, "cannot read the stream; trying again");
                self.stream.unread.fails(problem);
            }
        }
        Ok(())
    }

    /// Checks the stream and makes a consumer at `next`. The inner error is one that may pass.
    async fn subscribe(&mut self) -> Result<Result<Source, String>, ConsumeError> {
        let of = self.stream.clone();
        let (name, connection) = (of.name(), &of.connection);
        let info = match info(connection, name).await {
            Ok(Some(info)) => info,
            Ok(None) => {
                return Err(ConsumeError::Deleted {
                    stream: name.to_owned(),
                });
            }
            Err(problem) => return Ok(Err(problem)),
        };
        let found = created(&info);
        if found != self.created {
            return Err(ConsumeError::Recreated {
                stream: name.to_owned(),
                logged: self.created.clone(),
                found,
            });
        }
        if info.state.last_sequence < self.next - 1 {
            return Err(ConsumeError::Rewound {
                stream: name.to_owned(),
                last: info.state.last_sequence,
                logged: self.next - 1,
            });
        }
        self.check_loss(info.state.first_sequence)?;
        let stream = match connection.jetstream.get_stream_no_info(name).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(said(&error))),
        };
        if info.state.first_sequence < self.next
            && let Some(read) = self.last_timestamp
        {
            match stream.get_raw_message(self.next - 1).await {
                Ok(message) if message.time.unix_timestamp_nanos() != read.nanos() => {
                    self.check_rewritten()?;
                }
                Ok(_) => {}
                // It has aged out in between; then nothing can be compared.
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                    tracing::debug!("the last message read is no longer there to be compared");
                }
                Err(error) => return Ok(Err(said(&error))),
            }
        }
        let consumer = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.next,
            },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(30),
            ..pull::Config::default()
        };
        let consumer = match stream.create_consumer(consumer).await {
            Ok(consumer) => consumer,
            Err(error) => return Ok(Err(said(&error))),
        };
        // A message larger than a pull's bytes would never be delivered.
        let bytes = PULL_BYTES.max(connection.max_payload().saturating_mul(2));
        let messages = consumer
            .stream()
            .max_messages_per_batch(PULL_MESSAGES)
            .max_bytes_per_batch(bytes)
            .expires(PULL_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await;
        Ok(match messages {
            Ok(messages) => Ok(Source {
                messages,
                delivered: 0,
                made: Instant::now(),
            }),
            Err(error) => Err(said(&error)),
        })
    }
}
