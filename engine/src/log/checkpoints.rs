//! The checkpoints that the log keeps of itself.

use weir_schema::record::Hash;

use super::append::{AppendError, Log};
use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::key::SigningKey;
use super::reader::{LogReader, ReadError};
use super::{keys, tree};

/// Of so many records the log keeps one checkpoint, the last: a new one pins what the one before
/// it did.
const STRETCH: u64 = 4096;

/// Why no checkpoint was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// It could not be kept.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log does not continue the one that the last checkpoint pinned. To sign its new head
    /// would be to sign a forged past.
    #[error(
        "the log does not fit its own checkpoint of size {size}: its past was changed; run `weir verify`"
    )]
    Forked {
        /// The size of the last checkpoint.
        size: u64,
    },
}

impl Log {
    /// Signs what is durable now, keeps the checkpoint with the log, and returns it. Never signs
    /// a log that does not continue its own last checkpoint. `None` if the log is empty.
    ///
    /// # Errors
    /// See [`MakeError`].
    pub fn checkpoint(&mut self, key: &SigningKey) -> Result<Option<SignedCheckpoint>, MakeError> {
        let reader = self.reader();
        let head = reader.head();
        if head.tree_size == 0 {
            return Ok(None);
        }
        let last = reader
            .fitting_checkpoint()?
            .map_or(0, |last| last.checkpoint.size);
        let stretch = |size: u64| (size - 1) / STRETCH;
        let is_outdated =
            last > 0 && last < head.tree_size && stretch(last) == stretch(head.tree_size);
        let outdated = is_outdated.then(|| keys::checkpoint(last));
        let signed = claim(head.tree_size, head.root, key);
        let row = signed.to_string().into_bytes();
        self.keep(keys::checkpoint(signed.checkpoint.size), row, outdated)?;
        Ok(Some(signed))
    }
}

fn claim(size: u64, root: Hash, key: &SigningKey) -> SignedCheckpoint {
    let checkpoint = Checkpoint {
        origin: key.verifier().name().to_owned(),
        size,
        root,
        extensions: Vec::new(),
    };
    checkpoint.sign(key)
}

impl LogReader {
    /// Signs what the log was when it had `size` records, which it must have. As
    /// [`Log::checkpoint`] it never signs a log that does not continue its own last checkpoint.
    ///
    /// # Errors
    /// See [`MakeError`].
    pub(super) fn sign_at(
        &self,
        size: u64,
        key: &SigningKey,
    ) -> Result<SignedCheckpoint, MakeError> {
        self.fitting_checkpoint()?;
        let root = tree::root_at(self, size)?;
        Ok(claim(size, root, key))
    }

    /// The last kept checkpoint, if the log continues it.
    fn fitting_checkpoint(&self) -> Result<Option<SignedCheckpoint>, MakeError> {
        let Some(last) = self.last_checkpoint()? else {
            return Ok(None);
        };
        let Checkpoint { size, root, .. } = last.checkpoint;
        match self.root_at(size)? {
            Some(found) if found == root => Ok(Some(last)),
            _ => Err(MakeError::Forked { size }),
        }
    }

    /// The kept checkpoints, by size. Their signatures are not checked.
    ///
    /// # Errors
    /// The log cannot be read, or one of them is damaged.
    pub fn checkpoints(&self) -> Result<Vec<SignedCheckpoint>, ReadError> {
        let rows = self
            .store()
            .range(keys::CHECKPOINTS, keys::CHECKPOINTS_END, usize::MAX)?;
        rows.iter().map(|(_, note)| parse(note)).collect()
    }

    /// The kept checkpoint of the largest size.
    ///
    /// # Errors
    /// The log cannot be read, or the checkpoint is damaged.
    pub fn last_checkpoint(&self) -> Result<Option<SignedCheckpoint>, ReadError> {
        let last = self.store().at_or_before(&keys::checkpoint(u64::MAX))?;
        match last {
            Some((key, note)) if key.starts_with(keys::CHECKPOINTS) => parse(&note).map(Some),
            _ => Ok(None),
        }
    }
}

fn parse(note: &[u8]) -> Result<SignedCheckpoint, ReadError> {
    let note = std::str::from_utf8(note).map_err(|error| error.to_string());
    note.and_then(|note| {
        note.parse()
            .map_err(|error: super::checkpoint::CheckpointError| error.to_string())
    })
    .map_err(|error| ReadError::Store {
        cause: format!("a kept checkpoint is damaged: {error}"),
    })
}
