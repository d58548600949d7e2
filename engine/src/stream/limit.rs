//! How large a message may be, and who says so: the server for all, and a stream for its own.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_nats::jetstream::stream::Info;

use super::Connection;

/// The largest message that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageLimit {
    /// Bytes, headers included.
    pub bytes: usize,
    /// Who sets it.
    pub of: LimitOf,
}

/// Who sets a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitOf {
    /// The server, for all messages.
    Server,
    /// The stream of this name, for its own.
    Stream(String),
}

impl MessageLimit {
    pub(super) fn of_server(connection: &Connection) -> Self {
        Self {
            bytes: connection.max_payload(),
            of: LimitOf::Server,
        }
    }

    /// A stream's own limit; `None` if it has none.
    pub(super) fn of_stream(info: &Info) -> Option<Self> {
        // 0 and -1 are none.
        let bytes = usize::try_from(info.config.max_message_size).ok()?;
        (bytes > 0).then(|| Self {
            bytes,
            of: LimitOf::Stream(info.config.name.clone()),
        })
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match &self.of {
            LimitOf::Server => "raise `max_payload` of the NATS server".to_owned(),
            LimitOf::Stream(name) => format!(
                "raise `max_msg_size` of stream `{name}` (`nats stream edit {name} --max-msg-size BYTES`)"
            ),
        }
    }
}

impl fmt::Display for MessageLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of at most {} bytes", self.bytes)
    }
}

/// A stream's own limit as it was last heard of: whoever runs the server may change it at any time.
/// Clones share it.
#[derive(Clone)]
pub(super) struct OwnLimit(Arc<AtomicUsize>);

impl OwnLimit {
    pub(super) fn new(limit: Option<MessageLimit>) -> Self {
        // No stream has messages of so many bytes.
        let bytes = limit.map_or(usize::MAX, |limit| limit.bytes);
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Takes in what a refusal said; whether it is smaller than what was known.
    pub(super) fn lower_to(&self, limit: &MessageLimit) -> bool {
        limit.of != LimitOf::Server
            && self.0.fetch_min(limit.bytes, Ordering::Relaxed) > limit.bytes
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
