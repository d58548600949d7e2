//! Signed checkpoints: what pins all history up to a record, kept outside of the log.
//!
//! The form is that of C2SP `tlog-checkpoint` in a C2SP signed note (Ed25519), which transparency
//! tools and witnesses read:
//!
//! ```text
//! example.com/weir           the origin: the name of the key
//! 20852163                   the number of records
//! CsUYapGGPo4dkMgIAUqom/...  the root of their Merkle tree
//!
//! — example.com/weir Az3grl...
//! ```
//!
//! A log whose tail was cut, or whose past was written anew, cannot show a tree that fits a
//! checkpoint kept elsewhere.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signature;
use weir_schema::record::Hash;

use super::key::{SigningKey, VerifierKey, short};

/// A claim about the first `size` records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: by convention the name of its key.
    pub origin: String,
    /// The number of records.
    pub size: u64,
    /// The root of the Merkle tree over them.
    pub root: Hash,
    /// Further lines, kept as they are.
    pub extensions: Vec<String>,
}

/// A checkpoint with the signatures of the log and, perhaps, of witnesses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is claimed.
    pub checkpoint: Checkpoint,
    /// The signed bytes.
    text: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    key_hash: [u8; 4],
    bytes: Vec<u8>,
}

/// Why a text is no checkpoint, or one that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Not a checkpoint in a signed note.
    #[error("not a signed checkpoint: {0}")]
    Form(&'static str),
    /// Nobody that is trusted has signed it.
    #[error("the checkpoint of size {size} is signed by `{signers}`, not by `{key}`")]
    Unsigned {
        /// The checkpoint's size.
        size: u64,
        /// Name and hash of who signed it.
        signers: String,
        /// Name and hash of the key asked for.
        key: String,
    },
    /// Signed in the name of the key, but not by it: the text or the signature was changed.
    #[error("the signature of `{key}` on the checkpoint of size {size} is wrong")]
    BadSignature {
        /// The checkpoint's size.
        size: u64,
        /// The key asked for.
        key: String,
    },
    /// Signed by the key for another log.
    #[error("the checkpoint of size {size} is for the log `{origin}`, not `{key}`")]
    OtherOrigin {
        /// The checkpoint's size.
        size: u64,
        /// The log that it is for.
        origin: String,
        /// The key asked for.
        key: String,
    },
}

impl Checkpoint {
    /// Signs the claim. The key's name must be the origin.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> SignedCheckpoint {
        let text = self.to_string();
        let signature = NoteSignature {
            name: key.verifier().name().to_owned(),
            key_hash: key.verifier().key_hash(),
            bytes: key.sign(text.as_bytes()).to_vec(),
        };
        SignedCheckpoint {
            checkpoint: self,
            text,
            signatures: vec![signature],
        }
    }

    fn parse(text: &str) -> Result<Checkpoint, CheckpointError> {
        let mut lines = text.split_terminator('\n');
        let mut line = |what| {
            lines
                .next()
                .filter(|line| !line.is_empty())
                .ok_or(CheckpointError::Form(what))
        };
        let origin = line("no origin")?.to_owned();
        let digits = line("no size")?;
        let size: u64 = digits
            .parse()
            .map_err(|_| CheckpointError::Form("the size is no number"))?;
        if size.to_string() != digits {
            return Err(CheckpointError::Form("the size is no plain number"));
        }
        let root = STANDARD
            .decode(line("no root")?)
            .ok()
            .and_then(|root| root.try_into().ok());
        let root = root.ok_or(CheckpointError::Form("the root is no base64 of 32 bytes"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::Form("an empty line in its text"));
        }
        Ok(Checkpoint {
            origin,
            size,
            root,
            extensions,
        })
    }
}

/// The text that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}\n{}\n{}",
            self.origin,
            self.size,
            STANDARD.encode(self.root)
        )?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl NoteSignature {
    fn signer(&self) -> String {
        short(&self.name, self.key_hash)
    }
}

impl SignedCheckpoint {
    /// Checks that the log that `key` belongs to made this claim. Signatures of others are
    /// neither needed nor trusted.
    ///
    /// # Errors
    /// The key has not signed it, or not this text, or it is another log's.
    pub fn verify(&self, key: &VerifierKey) -> Result<&Checkpoint, CheckpointError> {
        let size = self.checkpoint.size;
        let name = || key.name().to_owned();
        let ours = self
            .signatures
            .iter()
            .find(|signature| signature.name == key.name() && signature.key_hash == key.key_hash());
        let Some(ours) = ours else {
            let signers = self.signatures.iter().map(NoteSignature::signer);
            return Err(CheckpointError::Unsigned {
                size,
                signers: signers.collect::<Vec<_>>().join("`, `"),
                key: key.short(),
            });
        };
        let signature = Signature::from_slice(&ours.bytes);
        if !signature.is_ok_and(|signature| key.verifies(self.text.as_bytes(), &signature)) {
            return Err(CheckpointError::BadSignature { size, key: name() });
        }
        if self.checkpoint.origin != key.name() {
            let origin = self.checkpoint.origin.clone();
            return Err(CheckpointError::OtherOrigin {
                size,
                origin,
                key: name(),
            });
        }
        Ok(&self.checkpoint)
    }

    /// As [`Self::verify`], for a log that had one of `keys` after the other.
    ///
    /// # Errors
    /// None of them has signed it, or there are none; the error is of the one that came nearest.
    pub fn verify_by_any(&self, keys: &[VerifierKey]) -> Result<&Checkpoint, CheckpointError> {
        let mut nearest = CheckpointError::Form("there is no key to check its signature with");
        for (place, key) in keys.iter().enumerate() {
            match self.verify(key) {
                Err(CheckpointError::Unsigned { .. }) if place > 0 => {}
                Err(error) => nearest = error,
                verified => return verified,
            }
        }
        Err(nearest)
    }
}

/// The signed note.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| {
            let bytes = [&signature.key_hash[..], &signature.bytes].concat();
            writeln!(f, "— {} {}", signature.name, STANDARD.encode(bytes))
        })
    }
}

/// Reads a signed note; the signatures are not checked.
impl FromStr for SignedCheckpoint {
    type Err = CheckpointError;

    fn from_str(note: &str) -> Result<SignedCheckpoint, CheckpointError> {
        let form = CheckpointError::Form;
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(form("control characters"));
        }
        // The text contains no empty line, so the last one parts it from the signatures.
        let (text, signatures) = note
            .rsplit_once("\n\n")
            .ok_or(form("no empty line before the signatures"))?;
        let text = format!("{text}\n");
        let signatures = signatures
            .strip_suffix('\n')
            .ok_or(form("it does not end with a line feed"))?;
        let signatures = signatures.split('\n').map(|line| {
            let (name, bytes) = line.strip_prefix("— ")?.split_once(' ')?;
            let bytes = STANDARD.decode(bytes).ok()?;
            let (key_hash, bytes) = bytes.split_first_chunk::<4>()?;
            Some(NoteSignature {
                name: name.to_owned(),
                key_hash: *key_hash,
                bytes: bytes.to_vec(),
            })
        });
        let signatures = signatures
            .collect::<Option<_>>()
            .ok_or(form("a line that is no signature"))?;
        Ok(SignedCheckpoint {
            checkpoint: Checkpoint::parse(&text)?,
            text,
            signatures,
        })
    }
}
