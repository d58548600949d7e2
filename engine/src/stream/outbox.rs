//! The outbox: what the log concluded, published for others, each once and none lost.
//!
//! The position to go on from is known twice: by the cursor beside the log, and by the stream of
//! outputs itself, whose messages say which record they are and up to where all before them were
//! acknowledged. The second makes restarts exact beyond the server's duplicate window, and lets
//! another node take over with an older cursor.

use std::{
    collections::BTreeSet, convert::Infallible, future::Future, ops::RangeInclusive, time::Duration,
};

use async_nats::{
    HeaderMap,
    jetstream::stream::{self, RawMessageErrorKind},
};
use bytes::Bytes;

use super::{
    Connection, PublishError, Stream,
    connection::pause,
    message::subject_of_kind,
    provision::{ensure, info, said, wanted_outputs},
    publisher::{Letter, deliver_all},
};

/// Outputs published before the cursor moves. Also what a restart has to look back over.
const CHUNK: usize = 256;
/// Records of outputs in the stream that a start looks at: those of two nodes' unfinished chunks.
const LOOK_BACK: u64 = 2 * CHUNK as u64;
/// How long publishing may take before it is looked whether the stream is there at all.
const SLOW: Duration = Duration::from_secs(1);
/// The record that an output is.
const SEQ: &str = "Weir-Seq";
/// All outputs up to and including this record were acknowledged before this one was sent.
const DONE: &str = "Weir-Done";
/// Which log the record is in.
const LOG: &str = "Weir-Log";

/// An error of the log or the cursor.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The record's sequence.
    pub seq: u64,
    /// The event's type: the end of the subject.
    pub kind: String,
    /// The event's id.
    pub id: String,
    /// The event as CloudEvents JSON.
    pub json: String,
}

/// Outputs in order, and how far the log was looked through for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputBatch {
    /// In order of their records; none of a record past `through`.
    pub outputs: Vec<Output>,
    /// There are no other outputs up to and including this record.
    pub through: u64,
}

/// Where outputs come from.
pub trait Outputs: Send + Sync {
    /// Outputs of the records after `after`, at most `max`, of durable records only. Waits until
    /// `through` can be past `after`.
    fn after(
        &self,
        after: u64,
        max: usize,
    ) -> impl Future<Output = Result<OutputBatch, BoxError>> + Send;
}

/// Where the outbox remembers how far it is.
pub trait Cursor: Send + Sync {
    /// The last record whose outputs are published; 0 at first.
    fn load(&self) -> impl Future<Output = Result<u64, BoxError>> + Send;
    /// Remembers it. It need not be durable at once: a restart from an older one repeats nothing.
    fn store(&self, seq: u64) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// Why the outbox stopped.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The log cannot be read.
    #[error("cannot read outputs after record {after}")]
    Outputs {
        /// The record.
        after: u64,
        /// Why not.
        source: BoxError,
    },
    /// The cursor cannot be read or written.
    #[error("cannot keep the position of the outbox")]
    Cursor(#[source] BoxError),
}

/// Publishes outputs. One at a time may run, on the node that holds the lease.
pub struct Outbox {
    connection: Connection,
    stream: String,
    subjects: String,
    log: String,
}

/// What the stream of outputs says of a log's outputs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Published {
    /// All up to and including this record are there.
    done: u64,
    /// Of those after it, these are there.
    also: BTreeSet<u64>,
}

/// What one message of the stream of outputs says.
struct Said {
    /// The record that it is.
    seq: Option<u64>,
    /// All up to and including this record are there.
    done: u64,
}

impl Outbox {
    /// An outbox of the log that `log` identifies (such as the hash of its first record): the
    /// outputs of another log in the same stream are not taken for its own.
    #[must_use]
    pub fn new(stream: &Stream, log: &str) -> Self {
        let outputs = &stream.connection.config.outputs;
        Self {
            stream: outputs.stream.clone(),
            subjects: outputs.subjects.clone(),
            log: log.to_owned(),
            connection: stream.connection.clone(),
        }
    }

    /// Publishes what `outputs` gives, from where it ended, until it is dropped. While the server
    /// is away it waits and tries again.
    ///
    /// # Errors
    /// The log or the cursor fails.
    pub async fn run(
        &self,
        outputs: &impl Outputs,
        cursor: &impl Cursor,
    ) -> Result<Infallible, OutboxError> {
        let published = self.look_back().await;
        let mut done = cursor
            .load()
            .await
            .map_err(OutboxError::Cursor)?
            .max(published.done);
        loop {
            let batch =
                outputs
                    .after(done, CHUNK)
                    .await
                    .map_err(|source| OutboxError::Outputs {
                        after: done,
                        source,
                    })?;
            let due = batch
                .outputs
                .into_iter()
                .filter(|output| output.seq > done && !published.also.contains(&output.seq));
            let due: Vec<_> = due.collect();
            tokio::select! {
                () = self.publish(&due, done) => {}
                never = self.keep_stream() => match never {},
            }
            done = batch.through.max(done);
            cursor.store(done).await.map_err(OutboxError::Cursor)?;
        }
    }

    /// Makes the stream of outputs again where it was deleted, from time to time, until it is dropped.
    async fn keep_stream(&self) -> Infallible {
        loop {
            tokio::time::sleep(SLOW).await;
            self.make_again_if_deleted().await;
        }
    }

    async fn make_again_if_deleted(&self) {
        // A server that does not answer is not one without the stream.
        if !matches!(info(&self.connection, &self.stream).await, Ok(None)) {
            return;
        }
        match ensure(&self.connection, wanted_outputs(&self.connection)).await {
            Ok(_) => tracing::warn!(
                stream = %self.stream,
                "the stream of outputs was deleted, with what it held: it is made again, and what was not published yet goes there"
            ),
            Err(error) => {
                tracing::warn!(%error, "the stream of outputs was deleted and cannot be made again");
            }
        }
    }

    /// Publishes outputs in order, for as long as it takes.
    async fn publish(&self, outputs: &[Output], done: u64) {
        let patience = self.connection.config.publish_wait();
        let letter = |output: &Output| self.letter(output, done, output.json.clone());
        let letters: Vec<Letter> = outputs.iter().map(letter).collect();
        let results = deliver_all(&letters, &self.connection, &self.stream, patience).await;
        for ((output, mut letter), result) in outputs.iter().zip(letters).zip(results) {
            let mut result = result;
            let mut attempt = 0;
            while let Err(error) = result {
                tracing::warn!(seq = output.seq, %error, "cannot publish an output; trying again");
                if matches!(error, PublishError::TooLarge { .. }) {
                    letter = self.letter(output, done, reference(output));
                }
                tokio::time::sleep(pause(attempt)).await;
                attempt += 1;
                result = letter
                    .deliver(&self.connection, &self.stream, patience)
                    .await;
            }
        }
    }

    fn letter(&self, output: &Output, done: u64, json: String) -> Letter {
        let subject = format!("{}.events.{}", self.subjects, subject_of_kind(&output.kind));
        let mut headers = HeaderMap::new();
        headers.insert(SEQ, output.seq.to_string());
        headers.insert(DONE, done.to_string());
        headers.insert(LOG, self.log.as_str());
        headers.insert("Content-Type", "application/cloudevents+json");
        // The record, not the event's own id: two logs may publish into one stream.
        let id = format!("{}-{}", self.log, output.seq);
        Letter::new(subject, &id, headers, Bytes::from(json))
    }

    /// The last record through which the stream of outputs says that all are published; 0 if it says
    /// nothing of this log.
    ///
    /// # Errors
    /// The server refuses, or does not answer: what it says.
    pub async fn published(&self) -> Result<u64, String> {
        let Some((stream, mut sequences)) = self.latest().await? else {
            return Ok(0);
        };
        // Other logs may publish into the same stream.
        while let Some(sequence) = sequences.next_back() {
            if let Some(said) = self.said_at(&stream, sequence).await? {
                return Ok(said.done);
            }
        }
        Ok(0)
    }

    /// What is published already; waits while the server does not say, and makes the stream where
    /// there is none.
    async fn look_back(&self) -> Published {
        let mut attempt = 0;
        loop {
            match self.read_back().await {
                Ok(published) => return published,
                Err(problem) => {
                    tracing::warn!(stream = %self.stream, %problem, "cannot look at the outputs published so far; trying again");
                    self.make_again_if_deleted().await;
                }
            }
            tokio::time::sleep(pause(attempt).max(Duration::from_millis(200))).await;
            attempt += 1;
        }
    }

    async fn read_back(&self) -> Result<Published, String> {
        let mut published = Published::default();
        let Some((stream, sequences)) = self.latest().await? else {
            return Ok(published);
        };
        for sequence in sequences {
            if let Some(said) = self.said_at(&stream, sequence).await? {
                published.done = published.done.max(said.done);
                published.also.extend(said.seq);
            }
        }
        Ok(published)
    }

    /// The stream, and where its last messages are; `None` if it holds none.
    async fn latest(&self) -> Result<Option<(stream::Stream<()>, RangeInclusive<u64>)>, String> {
        let info = info(&self.connection, &self.stream)
            .await?
            .ok_or("the stream does not exist")?;
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        if info.state.messages == 0 {
            return Ok(None);
        }
        let stream = self
            .connection
            .jetstream
            .get_stream_no_info(&self.stream)
            .await
            .map_err(|error| said(&error))?;
        let first = first.max(last.saturating_sub(LOOK_BACK - 1));
        Ok(Some((stream, first..=last)))
    }

    /// What a message says of this log's outputs; `None` of another log's, or if it is gone.
    async fn said_at(
        &self,
        stream: &stream::Stream<()>,
        sequence: u64,
    ) -> Result<Option<Said>, String> {
        let message = match stream.get_raw_message(sequence).await {
            Ok(message) => message,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(said(&error)),
        };
        let header = |name: &str| message.headers.get(name).map(|value| value.as_str());
        if header(LOG) != Some(self.log.as_str()) {
            return Ok(None);
        }
        let number = |name| header(name).and_then(|text| text.parse::<u64>().ok());
        Ok(Some(Said {
            seq: number(SEQ),
            done: number(DONE).unwrap_or(0),
        }))
    }
}

/// The output without its data, which is to be fetched from the log.
fn reference(output: &Output) -> String {
    let mut event = serde_json::from_str::<serde_json::Map<_, _>>(&output.json).unwrap_or_default();
    event.remove("data");
    let before = output.seq.saturating_sub(1);
    event.insert(
        "dataref".into(),
        format!("/v1/events?after={before}&limit=1").into(),
    );
    serde_json::Value::Object(event).to_string()
}
