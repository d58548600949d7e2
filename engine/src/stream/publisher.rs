//! Publishing inputs. Only an acknowledgement counts; until it comes the same message is sent again
//! under the same id, which the server recognises.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{
        self, ErrorCode,
        context::{PublishAckFuture, PublishErrorKind},
        message::PublishMessage,
    },
};
use bytes::Bytes;
use tokio::time::Instant;
use weir_schema::{Digest, Received};

use super::{
    Connection, Stream,
    connection::pause,
    limit::MessageLimit,
    message::{
        ADAPTER, DIGEST, ENCODING, Escort, OPERATOR, READS, SETTLES, SOURCE, Speaker, TERM, TRACE,
        ZSTD, content_header, header_value, subject_of_kind, subject_token,
    },
    provision::{info, said},
    taking::{Refusal, Taking},
};

/// Publishes that are on their way at once when several are sent.
const IN_FLIGHT: usize = 256;

/// Publishes inputs. Clones share the connection.
#[derive(Clone)]
pub struct Publisher {
    stream: Stream,
    taking: Taking,
}

/// The server's word that a message is in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Its sequence; for a duplicate that of the first.
    pub sequence: u64,
    /// The same id was published before, within the duplicate window, and not by an attempt that
    /// nobody answered.
    pub duplicate: bool,
}

/// Why a message is not known to be in the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The message can never be published.
    #[error(
        "{size} bytes do not fit into {limit}: {}, or send what it says in parts", .limit.remedy()
    )]
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// What is taken.
        limit: MessageLimit,
    },
    /// The stream takes no more: the message is not in it.
    #[error("stream `{stream}` refuses the message: {problem}; nothing was stored; {remedy}")]
    Refused {
        /// The stream.
        stream: String,
        /// What the server says.
        problem: String,
        /// Where whoever runs the server should look.
        remedy: &'static str,
    },
    /// There was no connection in time. The message was never sent.
    #[error("not connected to NATS for {waited:.1?}: nothing was sent to stream `{stream}`")]
    NotConnected {
        /// The stream.
        stream: String,
        /// For how long a connection was waited for.
        waited: Duration,
    },
    /// No acknowledgement came in time. The message may be in the stream all the same: sending it
    /// again as a new one may double it.
    #[error(
        "no acknowledgement from stream `{stream}` within {waited:.1?}, after {attempts} attempts: {problem}; it may be on record later all the same, so look with `weir log` before you say it again"
    )]
    Unacknowledged {
        /// The stream.
        stream: String,
        /// For how long it was tried.
        waited: Duration,
        /// How often.
        attempts: usize,
        /// What the last attempt met.
        problem: String,
    },
}

impl From<jetstream::publish::PublishAck> for Ack {
    fn from(ack: jetstream::publish::PublishAck) -> Self {
        Self {
            sequence: ack.sequence,
            duplicate: ack.duplicate,
        }
    }
}

impl PublishError {
    /// Whether the same message may go through later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::TooLarge { .. })
    }

    /// Where whoever runs the server should look.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => FULL,
            Self::Refused { remedy, .. } => remedy,
            Self::NotConnected { .. } => "see whether the NATS server runs and is reached",
            Self::Unacknowledged { .. } => SILENT,
        }
    }
}

/// Where to look when a stream refuses what is published.
pub(super) const FULL: &str =
    "see to the stream's limits (`nats stream edit`) and the disk of the NATS server";

/// Where to look when the server has no room, whatever the stream's limits.
const NO_ROOM: &str = "make room in the JetStream store: raise `max_file_store` of the NATS server (`max_memory_store` for a stream in memory), or the storage of its account, and see to its disk";

/// Where to look when nothing acknowledges what is published.
pub(super) const SILENT: &str = "see whether the stream's leader answers (`nats stream info`), and to the log of the NATS server";

impl Publisher {
    /// A publisher into `stream`.
    #[must_use]
    pub fn new(stream: &Stream) -> Self {
        Self {
            stream: stream.clone(),
            taking: Taking::new(),
        }
    }

    /// Why the stream takes nothing, by the last attempt of this publisher or a clone; `None` where
    /// that was acknowledged.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.taking.refusal()
    }

    /// Returns once there is a [`Self::refusal`].
    pub async fn refused(&self) {
        self.taking.refused().await;
    }

    /// Publishes the raw body of a delivery. Each call is a delivery of its own: a registry may say
    /// the same twice and mean it (a tag that goes from A to B and back).
    ///
    /// `headers` are the delivery's own; secrets among them must have been taken out.
    ///
    /// # Errors
    /// The body is not known to be durable; its sender must not be told that it is.
    pub async fn publish_intake(
        &self,
        adapter: &str,
        source: &str,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Result<Ack, PublishError> {
        let nothing = Escort::default();
        self.publish_delivery(adapter, source, Speaker::Source, headers, body, &nothing)
            .await
    }

    /// As [`Self::publish_intake`], of a source or an operator, with what travels along.
    ///
    /// # Errors
    /// As [`Self::publish_intake`].
    pub async fn publish_delivery(
        &self,
        adapter: &str,
        source: &str,
        speaker: Speaker,
        headers: &[(String, String)],
        body: Bytes,
        escort: &Escort,
    ) -> Result<Ack, PublishError> {
        let subject = format!(
            "{}.intake.{}.{}",
            self.stream.connection.config.subjects,
            match speaker {
                Speaker::Operator => OPERATOR.to_owned(),
                Speaker::Source => subject_token(adapter),
            },
            subject_token(source)
        );
        let mut own = HeaderMap::new();
        own.insert(ADAPTER, header_value(adapter));
        own.insert(SOURCE, header_value(source));
        own.insert(DIGEST, Digest::of(&body).to_string());
        if let Some(trace) = &escort.trace {
            own.insert(TRACE, header_value(trace));
        }
        for (name, value) in headers {
            own.append(content_header(name), header_value(value));
        }
        let id = uuid::Uuid::new_v4().to_string();
        let letter = Letter::new(subject, &id, own, body);
        self.deliver(&letter).await
    }

    /// Publishes an event. The same event, by source and id, is in the stream once however often it
    /// is published within the duplicate window.
    ///
    /// # Errors
    /// The event is not known to be durable.
    pub async fn publish_event(&self, event: &Received) -> Result<Ack, PublishError> {
        self.publish_escorted(event, &Escort::default()).await
    }

    /// As [`Self::publish_event`], with what travels along. With another term, or completing another
    /// message, the same event is another message: the server must not take it for a repetition, and
    /// readers drop it by its source and id.
    ///
    /// # Errors
    /// As [`Self::publish_event`].
    pub async fn publish_escorted(
        &self,
        event: &Received,
        escort: &Escort,
    ) -> Result<Ack, PublishError> {
        let own_limit = &self.stream.own_limit;
        match self.deliver(&self.letter(event, escort)).await {
            // It was lowered meanwhile; the event may fit packed.
            Err(PublishError::TooLarge { limit, .. }) if own_limit.lower_to(&limit) => {
                self.deliver(&self.letter(event, escort)).await
            }
            result => result,
        }
    }

    /// Publishes events in order, many at a time; the results are in the order of `events`.
    ///
    /// If the connection breaks in between, events that have to be sent again may come to stand
    /// after later ones.
    pub async fn publish_events(&self, events: &[Received]) -> Vec<Result<Ack, PublishError>> {
        let letters: Vec<Letter> = events
            .iter()
            .map(|event| self.letter(event, &Escort::default()))
            .collect();
        let connection = &self.stream.connection;
        let patience = connection.config.publish_wait();
        deliver_all(&letters, connection, self.stream.name(), patience).await
    }

    /// Bytes of a message that is taken, as far as is known.
    fn room(&self) -> usize {
        let Stream {
            connection,
            own_limit,
            ..
        } = &self.stream;
        connection.max_payload().min(own_limit.bytes())
    }

    /// An event as it fits best: as it is, or packed.
    fn letter(&self, event: &Received, escort: &Escort) -> Letter {
        let as_it_is = self.letter_of(event, escort, event.json.clone().into(), None);
        if as_it_is.size() <= self.room() {
            return as_it_is;
        }
        match zstd::bulk::compress(event.json.as_bytes(), zstd::DEFAULT_COMPRESSION_LEVEL) {
            Ok(packed) if packed.len() < event.json.len() => {
                self.letter_of(event, escort, packed.into(), Some(ZSTD))
            }
            _ => as_it_is,
        }
    }

    fn letter_of(
        &self,
        event: &Received,
        escort: &Escort,
        body: Bytes,
        encoding: Option<&str>,
    ) -> Letter {
        let subject = format!(
            "{}.events.{}",
            self.stream.connection.config.subjects,
            subject_of_kind(event.event.body.kind())
        );
        let mut headers = HeaderMap::new();
        if let Some(encoding) = encoding {
            headers.insert(ENCODING, encoding);
        }
        headers.insert(DIGEST, Digest::of(&body).to_string());
        headers.insert("Content-Type", "application/cloudevents+json");
        let mut id = event_id(&event.event.source, &event.event.id);
        if let Some(term) = escort.term {
            headers.insert(TERM, term.to_string());
            id = format!("{id}.{term}");
        }
        if let Some(settled) = &escort.settles {
            headers.insert(SETTLES, settled.to_string());
            id = format!("{id}.settles-{settled}");
        }
        if let Some(trace) = &escort.trace {
            headers.insert(TRACE, header_value(trace));
        }
        if let Some(reads) = &escort.reads {
            headers.insert(READS, header_value(reads));
        }
        Letter::new(subject, &id, headers, body)
    }

    async fn deliver(&self, letter: &Letter) -> Result<Ack, PublishError> {
        let connection = &self.stream.connection;
        let attempt = self.taking.attempt();
        let result = letter
            .deliver(
                connection,
                self.stream.name(),
                connection.config.publish_wait(),
            )
            .await;
        attempt.ends(&result);
        result
    }
}

/// The id under which the server recognises an event: source and id, of bounded length.
fn event_id(source: &str, id: &str) -> String {
    Digest::of(format!("{}:{source}{id}", source.len()).as_bytes()).hex()
}

/// Publishes in order, many at a time; the results are in the order of `letters`. What is not
/// acknowledged at once is sent again, for at most `patience` each.
pub(super) async fn deliver_all(
    letters: &[Letter],
    connection: &Connection,
    stream: &str,
    patience: Duration,
) -> Vec<Result<Ack, PublishError>> {
    let mut results = Vec::with_capacity(letters.len());
    for chunk in letters.chunks(IN_FLIGHT) {
        // One after the other: sends that run at once overtake each other.
        let mut on_their_way = Vec::with_capacity(chunk.len());
        for letter in chunk {
            on_their_way.push(letter.send(connection, stream).await);
        }
        for (letter, sent) in chunk.iter().zip(on_their_way) {
            let first = match sent {
                Ok(ack) => ack.await,
                Err(error) => Err(error),
            };
            results.push(match first {
                Ok(ack) => Ok(ack.into()),
                Err(error) => {
                    let mut attempts = Attempts::default();
                    attempts.note(&error);
                    letter
                        .deliver_after(attempts, connection, stream, patience)
                        .await
                }
            });
        }
    }
    results
}

/// What the attempts to publish a message came to so far.
#[derive(Default)]
struct Attempts {
    made: usize,
    /// Nobody said of one of them what came of it: it may have brought the message into the stream.
    may_be_there: bool,
    /// What the last one met.
    problem: Option<String>,
}

impl Attempts {
    /// Notes one that failed.
    fn note(&mut self, error: &jetstream::context::PublishError) {
        self.made += 1;
        self.may_be_there |= is_open(error);
        self.problem = Some(said(error));
    }

    /// Notes one that nobody answered.
    fn note_silence(&mut self) {
        self.made += 1;
        self.may_be_there = true;
    }

    fn unacknowledged(self, stream: &str, waited: Duration) -> PublishError {
        let stream = stream.to_owned();
        match self.problem {
            // Each of them was answered, by a refusal.
            Some(problem) if !self.may_be_there => PublishError::Refused {
                stream,
                problem,
                remedy: SILENT,
            },
            problem => PublishError::Unacknowledged {
                stream,
                waited,
                attempts: self.made,
                problem: problem.unwrap_or_else(|| "it does not answer".to_owned()),
            },
        }
    }
}

/// Whether the message may be in the stream although an attempt failed so: there was no answer, or it
/// says that an earlier attempt is not decided yet.
fn is_open(error: &jetstream::context::PublishError) -> bool {
    match error.kind() {
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => true,
        _ => answer(error).is_some_and(is_in_process),
    }
}

/// Whether the server is still at an earlier attempt of the same message.
fn is_in_process(answer: &jetstream::Error) -> bool {
    answer.error_code() == ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT
}

/// What the server answered, where it is not a kind of its own.
fn answer(error: &jetstream::context::PublishError) -> Option<&jetstream::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// A message to publish, as often as it takes.
pub(super) struct Letter {
    subject: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Letter {
    pub(super) fn new(subject: String, id: &str, mut headers: HeaderMap, body: Bytes) -> Self {
        headers.insert(async_nats::header::NATS_MESSAGE_ID, header_value(id));
        Self {
            subject,
            headers,
            body,
        }
    }

    /// Publishes until it is acknowledged, for at most `patience`.
    pub(super) async fn deliver(
        &self,
        connection: &Connection,
        stream: &str,
        patience: Duration,
    ) -> Result<Ack, PublishError> {
        self.deliver_after(Attempts::default(), connection, stream, patience)
            .await
    }

    /// As [`Self::deliver`], of a message that was sent before.
    async fn deliver_after(
        &self,
        mut attempts: Attempts,
        connection: &Connection,
        stream: &str,
        patience: Duration,
    ) -> Result<Ack, PublishError> {
        let start = Instant::now();
        let mut round = 0;
        loop {
            // What is sent without a connection is kept by the client, and comes when nobody expects
            // it any more.
            let left = || patience.saturating_sub(start.elapsed());
            let connected = tokio::time::timeout(left(), connection.connected()).await;
            if connected.is_ok() {
                let attempt = async { self.send(connection, stream).await?.await };
                match tokio::time::timeout(left(), attempt).await {
                    Ok(Ok(ack)) => {
                        let Ack {
                            sequence,
                            duplicate,
                        } = ack.into();
                        return Ok(Ack {
                            sequence,
                            // An attempt of ours may be what came before.
                            duplicate: duplicate && !attempts.may_be_there,
                        });
                    }
                    Ok(Err(error)) => {
                        attempts.note(&error);
                        match self.judge(&error, connection, stream).await {
                            // What refuses this attempt says nothing of an earlier one.
                            Some(PublishError::Refused { .. }) if attempts.may_be_there => {
                                return Err(attempts.unacknowledged(stream, start.elapsed()));
                            }
                            Some(verdict) => return Err(verdict),
                            None => {}
                        }
                    }
                    Err(_elapsed) => attempts.note_silence(),
                }
            } else if attempts.made == 0 {
                return Err(PublishError::NotConnected {
                    stream: stream.to_owned(),
                    waited: start.elapsed(),
                });
            }
            let pause = pause(round);
            let waited = start.elapsed();
            if waited + pause >= patience {
                return Err(attempts.unacknowledged(stream, waited));
            }
            tracing::debug!(subject = %self.subject, problem = ?attempts.problem, "publishing again under the same id");
            tokio::time::sleep(pause).await;
            round += 1;
        }
    }

    async fn send(
        &self,
        connection: &Connection,
        stream: &str,
    ) -> Result<PublishAckFuture, jetstream::context::PublishError> {
        let message = PublishMessage::build()
            .payload(self.body.clone())
            .headers(self.headers.clone())
            .expected_stream(stream);
        connection
            .jetstream
            .send_publish(self.subject.clone(), message)
            .await
    }

    /// The final verdict on an attempt; `None` if another attempt may go through.
    async fn judge(
        &self,
        error: &jetstream::context::PublishError,
        connection: &Connection,
        stream: &str,
    ) -> Option<PublishError> {
        let too_large = |limit| PublishError::TooLarge {
            size: self.size(),
            limit,
        };
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => {
                Some(too_large(MessageLimit::of_server(connection)))
            }
            PublishErrorKind::Other => {
                let answer = answer(error)?;
                if is_in_process(answer) {
                    return None;
                }
                if answer.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM {
                    // The limit may be another than when the stream was opened. If it cannot be told,
                    // or is gone by now, the next attempt will say.
                    let info = info(connection, stream).await.ok()??;
                    return MessageLimit::of_stream(&info)
                        .filter(|limit| self.size() > limit.bytes)
                        .map(too_large);
                }
                // Other 503: the server has no leader, or is short of something for the moment.
                let remedy = match answer.error_code() {
                    ErrorCode::INSUFFICIENT_RESOURCES | ErrorCode::STORAGE_RESOURCES_EXCEEDED => {
                        NO_ROOM
                    }
                    ErrorCode::STREAM_STORE_FAILED => FULL,
                    _ if answer.code() != 503 => FULL,
                    _ => return None,
                };
                Some(PublishError::Refused {
                    stream: stream.to_owned(),
                    problem: said(error),
                    remedy,
                })
            }
            _ => None,
        }
    }

    /// Bytes of the message as it is sent, by which its size is judged.
    fn size(&self) -> usize {
        // `NATS/1.0` before the headers and an empty line after them; each has `: ` and ends its line.
        const FRAME: usize = 12;
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, values)| {
                let name = name.to_string().len();
                values
                    .iter()
                    .map(|value| name + value.as_str().len() + 4)
                    .sum::<usize>()
            })
            .sum();
        self.body.len() + headers + FRAME
    }
}

#[cfg(test)]
mod tests {
    use super::event_id;

    #[test]
    fn source_and_id_do_not_run_into_each_other() {
        assert_ne!(event_id("ab", "c"), event_id("a", "bc"));
        assert_eq!(event_id("ab", "c"), event_id("ab", "c"));
    }
}
