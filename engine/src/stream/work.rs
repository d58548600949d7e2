//! A queue of work in the stream of inputs: each message of one kind goes to one of the workers,
//! and comes again if that worker does not finish it.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind,
    consumer::{AckPolicy, DeliverPolicy, FromConsumer as _, PullConsumer, pull},
};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::{Stream, message::subject_of_kind, provision::said};

/// How often a piece of work is handed out: until somebody finishes it. A queue with a limit would drop
/// it without a word.
const DELIVERIES: i64 = -1;

/// How long one request for work waits at the server.
const WAIT: Duration = Duration::from_secs(30);

/// The queue, as one worker sees it.
pub struct WorkQueue {
    consumer: PullConsumer,
    name: String,
}

/// One piece of work. Dropped without a word, it comes again.
pub struct Work {
    message: async_nats::jetstream::Message,
}

/// Why there is no work to be had.
#[derive(Debug, thiserror::Error)]
#[error("work queue `{queue}`: {problem}")]
pub struct WorkError {
    queue: String,
    problem: String,
}

impl WorkQueue {
    /// The queue `name` of the events of type `kind`. All workers of one name share it; a new one
    /// begins with the first of them that the stream still has. Work that is not finished within `patience` comes again.
    ///
    /// # Errors
    /// The server refuses, or does not answer.
    pub async fn open(
        stream: &Stream,
        name: &str,
        kind: &str,
        patience: Duration,
    ) -> Result<Self, WorkError> {
        let failed = |problem: String| WorkError {
            queue: name.to_owned(),
            problem,
        };
        let connection = stream.connection();
        let inputs = connection
            .jetstream
            .get_stream(stream.name())
            .await
            .map_err(|error| failed(said(&error)))?;
        let subjects = &connection.config.subjects;
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            description: Some("Workers of Weir".into()),
            filter_subject: format!("{subjects}.events.{}", subject_of_kind(kind)),
            ack_policy: AckPolicy::Explicit,
            deliver_policy: DeliverPolicy::All,
            ack_wait: patience,
            max_deliver: DELIVERIES,
            ..pull::Config::default()
        };
        let mut consumer = inputs
            .get_or_create_consumer(name, config)
            .await
            .map_err(|error| failed(said(&error)))?;
        // Made by an older version, or by hand: the rest of it is as somebody wants it.
        let found = consumer.cached_info().config.clone();
        if found.max_deliver != DELIVERIES
            && let Ok(found) = pull::Config::try_from_consumer_config(found)
        {
            let changed = pull::Config {
                max_deliver: DELIVERIES,
                ..found
            };
            match inputs.create_consumer(changed).await {
                Ok(changed) => consumer = changed,
                Err(error) => tracing::warn!(
                    queue = name,
                    error = said(&error),
                    "what was handed out too often is lost: set the consumer's `max_deliver` to -1"
                ),
            }
        }
        Ok(Self {
            consumer,
            name: name.to_owned(),
        })
    }

    /// The next piece of work; `None` if there was none for a while.
    ///
    /// # Errors
    /// The server refuses, or does not answer; asking again may help.
    pub async fn next(&self) -> Result<Option<Work>, WorkError> {
        let failed = |problem: String| WorkError {
            queue: self.name.clone(),
            problem,
        };
        let mut batch = self
            .consumer
            .fetch()
            .max_messages(1)
            .expires(WAIT)
            .messages()
            .await
            .map_err(|error| failed(said(&error)))?;
        match batch.next().await {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(Work { message })),
            Some(Err(error)) => Err(failed(error.to_string())),
        }
    }
}

impl Work {
    /// What is to be done, as it was published.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.message.payload
    }

    /// How often it was handed out, this time included.
    #[must_use]
    pub fn handed_out(&self) -> u64 {
        let delivered = self.message.info().map_or(1, |info| info.delivered);
        u64::try_from(delivered).unwrap_or(1)
    }

    /// Says that the work goes on, so that nobody else gets it.
    ///
    /// # Errors
    /// The server was not told.
    pub async fn goes_on(&self) -> Result<(), WorkError> {
        let told = self.message.ack_with(AckKind::Progress).await;
        told.map_err(|error| self.failed(&error))
    }

    /// Says that the work is finished; it does not come again.
    ///
    /// # Errors
    /// The server was not told: the work will come again.
    pub async fn finished(self) -> Result<(), WorkError> {
        let told = self.message.double_ack().await;
        told.map_err(|error| self.failed(&error))
    }

    /// Gives the work back, to be handed out again after `pause`.
    ///
    /// # Errors
    /// The server was not told: the work comes again by itself.
    pub async fn given_back(self, pause: Duration) -> Result<(), WorkError> {
        let kind = AckKind::Nak(Some(pause));
        // Acknowledged: a worker that ends at once would end before it was sent.
        let told = self.message.double_ack_with(kind).await;
        told.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &async_nats::Error) -> WorkError {
        WorkError {
            queue: self.message.subject.to_string(),
            problem: error.to_string(),
        }
    }
}
