//! Announcements: messages for whoever listens at the moment, kept by nobody.

use super::provision::Stream;

/// An announcement was not sent. Nothing depends on it: the next one says more.
#[derive(Debug, thiserror::Error)]
#[error("cannot announce on `{subject}`: {source}")]
pub struct AnnounceError {
    subject: String,
    source: async_nats::PublishError,
}

impl Stream {
    /// Publishes a signed checkpoint of the log, on `<subjects of outputs>.checkpoints`.
    ///
    /// # Errors
    /// The client cannot take it.
    pub async fn announce_checkpoint(&self, note: String) -> Result<(), AnnounceError> {
        let subject = format!("{}.checkpoints", self.connection.config.outputs.subjects);
        let sent = self
            .connection
            .client
            .publish(subject.clone(), note.into())
            .await;
        sent.map_err(|source| AnnounceError { subject, source })
    }
}
