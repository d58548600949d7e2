//! One message of the stream, by its sequence.

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use weir_schema::Timestamp;

use super::{
    Message, OpenError, Stream,
    provision::{created, said},
};

impl Stream {
    /// The message at `sequence`; `None` if the stream does not hold it any more.
    ///
    /// # Errors
    /// The server refuses, or does not answer.
    pub async fn message(&self, sequence: u64) -> Result<Option<Message>, OpenError> {
        let failed = |problem: String| OpenError::Server {
            doing: "read a message of",
            stream: self.name().to_owned(),
            problem,
        };
        let inputs = self
            .connection
            .jetstream
            .get_stream(self.name())
            .await
            .map_err(|error| failed(said(&error)))?;
        // Another stream has other messages there.
        if created(inputs.cached_info()) != self.created() {
            return Err(failed("it was recreated".into()));
        }
        let found = match inputs.get_raw_message(sequence).await {
            Ok(found) => found,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(None);
            }
            Err(error) => return Err(failed(said(&error))),
        };
        let timestamp =
            Timestamp::from_nanos(found.time.unix_timestamp_nanos()).unwrap_or(Timestamp::EPOCH);
        Ok(Some(Message {
            subject: found.subject,
            headers: found.headers,
            payload: found.payload,
            sequence,
            timestamp,
        }))
    }
}
