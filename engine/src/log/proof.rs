//! Proofs as text, for keeping beside a record or a checkpoint and checking without the log.
//!
//! That a record is in the log is proved in the form of C2SP `tlog-proof`; that the log only grew
//! since an old checkpoint, in the form that C2SP `tlog-witness` takes from a log:
//!
//! ```text
//! c2sp.org/tlog-proof@v1         old 20852014
//! extra eyJldmVudCI6eyJkYX...    wW5SyKcvtdMnaEHw...
//! index 73893                    0mjLFqIrCcwMx...
//! gSKyXoYZUgZ6jduWYrkDOARin...
//!                                example.com/weir
//! example.com/weir               20852163
//! 109482                         CsUYapGGPo4dkMgI...
//! sFodV/vSp5O8n9a8QpW6PRY97...
//!                                — example.com/weir Az3grl...
//! — example.com/weir hI2DJw...
//! ```
//!
//! The index counts from 0: it is the sequence less one. `extra` holds the record itself.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_schema::record::Hash;

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::checkpoints::MakeError;
use super::key::{SigningKey, VerifierKey};
use super::reader::{LogReader, ReadError};
use super::tree;

const INCLUSION: &str = "c2sp.org/tlog-proof@v1";

/// No path is longer in a tree of 2^64 leaves.
const MOST_HASHES: usize = 64 + 64;

/// A proof of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A record is in the log.
    Inclusion(Inclusion),
    /// The log only grew.
    Consistency(Consistency),
}

/// The proof that a record is in the log of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The record.
    pub record: Vec<u8>,
    /// Its sequence.
    pub seq: u64,
    /// The hashes beside its way to the root.
    pub path: Vec<Hash>,
    /// What it leads to.
    pub checkpoint: SignedCheckpoint,
}

/// The proof that the log of a checkpoint continues an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// The number of records then.
    pub old: u64,
    /// The hashes that both roots are made of.
    pub path: Vec<Hash>,
    /// The log now.
    pub checkpoint: SignedCheckpoint,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Not a proof.
    #[error("not a proof: {0}")]
    Form(&'static str),
    /// Its checkpoint proves nothing.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The record is not the one that was logged, or not there.
    #[error("record {seq} is not in the log that the checkpoint of size {size} is of")]
    NotIncluded {
        /// The record.
        seq: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// The log was cut or written anew.
    #[error(
        "the log that the checkpoint of size {new} is of does not continue the one of size {old}: its past was changed"
    )]
    NotConsistent {
        /// The old size.
        old: u64,
        /// The new size.
        new: u64,
    },
    /// An old checkpoint of another size.
    #[error("the proof is about size {proved}, the old checkpoint has size {given}")]
    OtherSize {
        /// What is proved.
        proved: u64,
        /// What was given.
        given: u64,
    },
}

impl LogReader {
    /// Signs what the log was when it had `size` records; `None` if it has fewer. It is for
    /// proofs, and not kept. As [`Log::checkpoint`](super::Log::checkpoint) it never signs a log
    /// that does not continue its own last checkpoint.
    ///
    /// # Errors
    /// See [`MakeError`].
    pub fn checkpoint_at(
        &self,
        size: u64,
        key: &SigningKey,
    ) -> Result<Option<SignedCheckpoint>, MakeError> {
        if size > self.head().tree_size {
            return Ok(None);
        }
        self.sign_at(size, key).map(Some)
    }

    /// Proves that record `seq` is in the log of `checkpoint`, which must be one of this log;
    /// `None` if it has no such record.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn prove_inclusion(
        &self,
        seq: u64,
        checkpoint: SignedCheckpoint,
    ) -> Result<Option<Inclusion>, ReadError> {
        let path = self.inclusion_proof(seq, checkpoint.checkpoint.size)?;
        Ok(path.zip(self.get(seq)?).map(|(path, record)| Inclusion {
            record,
            seq,
            path,
            checkpoint,
        }))
    }

    /// Proves that the log of `checkpoint`, which must be one of this log, continues the log of
    /// `old` records; `None` if it has fewer.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn prove_consistency(
        &self,
        old: u64,
        checkpoint: SignedCheckpoint,
    ) -> Result<Option<Consistency>, ReadError> {
        let path = self.consistency_proof(old, checkpoint.checkpoint.size)?;
        Ok(path.map(|path| Consistency {
            old,
            path,
            checkpoint,
        }))
    }
}

impl Inclusion {
    /// Checks that the log that `key` belongs to holds the record.
    ///
    /// # Errors
    /// It does not follow.
    pub fn check(&self, key: &VerifierKey) -> Result<(), ProofError> {
        let signed = self.checkpoint.verify(key)?;
        let wrong = ProofError::NotIncluded {
            seq: self.seq,
            size: signed.size,
        };
        let Some(index) = self.seq.checked_sub(1) else {
            return Err(wrong);
        };
        let leaf = tree::leaf_hash(&self.record);
        let root = tree::root_from_inclusion(&leaf, index, signed.size, &self.path);
        if root == Some(signed.root) {
            Ok(())
        } else {
            Err(wrong)
        }
    }
}

impl Consistency {
    /// Checks that the log that `key` belongs to only grew since the checkpoint `old`.
    ///
    /// # Errors
    /// It does not follow.
    pub fn check(&self, key: &VerifierKey, old: &SignedCheckpoint) -> Result<(), ProofError> {
        let old = old.verify(key)?;
        let new = self.checkpoint.verify(key)?;
        if old.size != self.old {
            return Err(ProofError::OtherSize {
                proved: self.old,
                given: old.size,
            });
        }
        if tree::is_consistent(old.size, &old.root, new.size, &new.root, &self.path) {
            Ok(())
        } else {
            Err(ProofError::NotConsistent {
                old: old.size,
                new: new.size,
            })
        }
    }
}

impl fmt::Display for Inclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{INCLUSION}")?;
        writeln!(f, "extra {}", STANDARD.encode(&self.record))?;
        writeln!(f, "index {}", self.seq.saturating_sub(1))?;
        path(f, &self.path)?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        path(f, &self.path)?;
        write!(f, "\n{}", self.checkpoint)
    }
}

fn path(f: &mut fmt::Formatter<'_>, hashes: &[Hash]) -> fmt::Result {
    hashes
        .iter()
        .try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))
}

/// Reads a proof; nothing is checked yet.
impl FromStr for Proof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Proof, ProofError> {
        let (head, note) = text
            .split_once("\n\n")
            .ok_or(ProofError::Form("no empty line before the checkpoint"))?;
        let checkpoint: SignedCheckpoint = note.parse()?;
        let mut lines = head.split('\n').peekable();
        let number = |line: Option<&str>, word: &str| -> Option<u64> {
            let digits = line?.strip_prefix(word)?;
            let number: u64 = digits.parse().ok()?;
            (number.to_string() == digits).then_some(number)
        };
        if lines.next_if_eq(&INCLUSION).is_none() {
            let old = number(lines.next(), "old ");
            return Ok(Proof::Consistency(Consistency {
                old: old.ok_or(ProofError::Form("neither `tlog-proof` nor `old`"))?,
                path: hashes(lines)?,
                checkpoint,
            }));
        }
        let record = lines
            .next_if(|line| line.starts_with("extra "))
            .and_then(|line| STANDARD.decode(line.get(6..)?).ok())
            .ok_or(ProofError::Form("no record in `extra`"))?;
        let seq = number(lines.next(), "index ").and_then(|index| index.checked_add(1));
        Ok(Proof::Inclusion(Inclusion {
            record,
            seq: seq.ok_or(ProofError::Form("no index"))?,
            path: hashes(lines)?,
            checkpoint,
        }))
    }
}

fn hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Hash>, ProofError> {
    let hashes: Option<Vec<Hash>> = lines
        .take(MOST_HASHES + 1)
        .map(|line| STANDARD.decode(line).ok()?.try_into().ok())
        .collect();
    let hashes = hashes.ok_or(ProofError::Form("a line that is no hash"))?;
    if hashes.len() > MOST_HASHES {
        return Err(ProofError::Form("too many hashes"));
    }
    Ok(hashes)
}
