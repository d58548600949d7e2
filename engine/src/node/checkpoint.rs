//! Checkpoints of a ledger's log, and the file that says the last one.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use super::Ledger;
use crate::log::{Log, MakeError, checkpoint::SignedCheckpoint, durable, key::SigningKey};

/// Where the last checkpoint lies, in the log's directory: to be read while the log is in use.
pub const CHECKPOINT_FILE: &str = "checkpoint";

/// Why there is no new checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFailure {
    /// The log cannot be signed.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// It is kept in the log, and not in its file.
    #[error("cannot write the checkpoint to `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl Ledger {
    /// Signs the log; see [`sign`].
    ///
    /// # Errors
    /// As [`sign`].
    pub fn checkpoint(
        &mut self,
        key: &SigningKey,
    ) -> Result<Option<SignedCheckpoint>, CheckpointFailure> {
        sign(self.log_mut(), key)
    }
}

/// Signs the log as it is, keeps the checkpoint with it and in [`CHECKPOINT_FILE`]. `None` of an
/// empty log.
///
/// # Errors
/// The log does not continue its own last checkpoint, or something cannot be written.
pub fn sign(
    log: &mut Log,
    key: &SigningKey,
) -> Result<Option<SignedCheckpoint>, CheckpointFailure> {
    let Some(signed) = log.checkpoint(key)? else {
        return Ok(None);
    };
    let path = log.reader().dir().join(CHECKPOINT_FILE);
    let unfinished = path.with_extension("new");
    // A file that a power cut left empty would look as if somebody had tampered with the log.
    durable::put(&path, &unfinished, |file| {
        file.write_all(signed.to_string().as_bytes())
    })
    .map_err(|source| CheckpointFailure::Io { path, source })?;
    Ok(Some(signed))
}
