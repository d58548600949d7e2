//! Checkpoints of a ledger's log, and the file that says the last one.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
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
    /// The file says that the log was another. To write over it would be to take away what shows it.
    #[error(
        "`{}` is a signed checkpoint of {size} records that this log does not continue: records of it are missing or were changed; run `weir verify`, and restore the log from a copy. To go on with what is there, move the file away and keep it",
        path.display()
    )]
    Left {
        /// The file.
        path: PathBuf,
        /// How many records the log had.
        size: u64,
    },
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
/// The log does not continue its own last checkpoint, or that in the file, or something cannot be
/// written.
pub fn sign(
    log: &mut Log,
    key: &SigningKey,
) -> Result<Option<SignedCheckpoint>, CheckpointFailure> {
    let path = log.reader().dir().join(CHECKPOINT_FILE);
    check(log, &path, key)?;
    let Some(signed) = log.checkpoint(key)? else {
        return Ok(None);
    };
    let unfinished = path.with_extension("new");
    // A file that a power cut left empty would look as if somebody had tampered with the log.
    durable::put(&path, &unfinished, |file| {
        file.write_all(signed.to_string().as_bytes())
    })
    .map_err(|source| CheckpointFailure::Io { path, source })?;
    Ok(Some(signed))
}

/// Refuses a log that does not continue the checkpoint in its file: the log itself, cut or made anew,
/// may have none of its own to tell. A file that is damaged, or of another key, tells nothing.
fn check(log: &Log, path: &Path, key: &SigningKey) -> Result<(), CheckpointFailure> {
    let before = fs::read_to_string(path).ok();
    let before = before.and_then(|note| note.parse::<SignedCheckpoint>().ok());
    let Some(before) = before else { return Ok(()) };
    let Ok(claim) = before.verify(key.verifier()) else {
        return Ok(());
    };
    let (size, root) = (claim.size, claim.root);
    let now = log.reader().root_at(size).map_err(MakeError::from)?;
    if now == Some(root) {
        return Ok(());
    }
    let path = path.to_owned();
    Err(CheckpointFailure::Left { path, size })
}
