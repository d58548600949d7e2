//! The canonical encoding of a state: what two states are compared by.
//!
//! Everything that is told is in it, as texts and digests in sorted order; what can be derived is
//! not, but for the times at which subjects wake up. Equal histories give equal bytes on every
//! machine, whatever numbers the names had inside. The **state digest** is the SHA-256 of it.

mod dump;
mod restore;

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
};

use serde::{Deserialize, Serialize, de::DeserializeSeed};
use sha2::{Digest as _, Sha256};
use weir_schema::{Descriptor, Digest, Finding, Reason, SeverityCounts, Timestamp, Verdict};

use self::{dump::Whole, restore::Restoring};
use crate::state::{Settings, State};

/// The version of the encoding.
const VERSION: u32 = 1;

/// Bytes that are written at once.
const PIECE: usize = 64 << 10;

/// Why some bytes are no encoding of a state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CanonicalError {
    /// Not of the encoding's form.
    #[error("not an encoded state: {0}")]
    Form(#[from] serde_json::Error),
    /// Of another version.
    #[error("the encoding has version {0}, this version of Weir reads version {VERSION}")]
    Version(u32),
    /// The rules in it are refused by this version.
    #[error("the rules in the encoding are refused: {0}")]
    Rules(String),
}

/// Source repository, digest, target repository, and the votes: actor, time, comment.
type ApprovalDump = (
    String,
    Digest,
    String,
    Vec<(String, Timestamp, Option<String>)>,
);

#[derive(Serialize, Deserialize)]
struct ManifestDump {
    media_type: Option<String>,
    size: Option<u64>,
    artifact_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    config_digest: Option<Digest>,
    subject: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
struct TagDump {
    digest: Digest,
    binding: u64,
    bound_at: Timestamp,
    pushed_by: Option<String>,
    previous: Option<Digest>,
    origin: Option<OriginDump>,
}

#[derive(Serialize, Deserialize)]
struct OriginDump {
    rule: String,
    source: String,
    binding: Option<u64>,
    lineage: Vec<(String, String, String, Timestamp)>,
}

#[derive(Serialize, Deserialize)]
struct ScansDump {
    scanners: Vec<ScannerDump>,
    seen: Vec<(Digest, Timestamp)>,
}

#[derive(Serialize, Deserialize)]
struct ScannerDump {
    name: String,
    completed: bool,
    failed: Option<String>,
    running: bool,
    held: Option<HeldDump>,
}

#[derive(Serialize, Deserialize)]
struct HeldDump {
    report: Digest,
    recorded_at: Timestamp,
    scanned_at: Option<Timestamp>,
    db_updated_at: Option<Timestamp>,
    db_known: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct ReportDump {
    findings: Option<Vec<Finding>>,
    counts: SeverityCounts,
    licenses: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct OverrideDump {
    vulnerability: String,
    reason: String,
    actor: String,
    repository: Option<String>,
    digest: Option<Digest>,
    package: Option<String>,
    expires_at: Option<Timestamp>,
    status: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct HoldDump {
    actor: String,
    reason: String,
    repository: Option<String>,
    digest: Option<Digest>,
    rule: Option<String>,
}

type KeyDump = (String, String);

#[derive(Serialize, Deserialize)]
struct SubjectDump {
    source: KeyDump,
    rule: String,
    verdict: Verdict,
    digest: Digest,
    target: KeyDump,
    reasons: Vec<Reason>,
    decided: u64,
    decided_at: Timestamp,
    settled: Vec<(u64, KeyDump, Timestamp, Vec<Reason>)>,
    waits: bool,
    wakes_at: Option<Timestamp>,
    restless: bool,
}

#[derive(Serialize, Deserialize)]
struct PromotionDump {
    rule: String,
    source: KeyDump,
    bound: TagDump,
    target: KeyDump,
    before: Option<Digest>,
    decided_at: Timestamp,
    progress: u8,
    attempts: u32,
    error: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct PromotedDump {
    target: KeyDump,
    rule: String,
    source: KeyDump,
    bound: TagDump,
    before: Option<Digest>,
    decided_at: Timestamp,
    violation: Option<Vec<Reason>>,
    wakes_at: Option<Timestamp>,
    restless: bool,
}

impl State {
    /// The canonical encoding.
    #[must_use]
    pub fn to_canonical(&self) -> Vec<u8> {
        serde_json::to_vec(&Whole(self)).expect("a state serializes")
    }

    /// Writes the canonical encoding, piece by piece: of a large state it is hundreds of megabytes.
    ///
    /// # Errors
    /// Of the writer.
    pub fn write_canonical(&self, to: impl Write) -> Result<(), io::Error> {
        let mut to = BufWriter::with_capacity(PIECE, to);
        serde_json::to_writer(&mut to, &Whole(self))?;
        to.flush()
    }

    /// The digest of the canonical encoding: equal on every machine for equal histories.
    #[must_use]
    pub fn state_digest(&self) -> Digest {
        let mut hash = Sha256::new();
        self.write_canonical(&mut hash)
            .expect("a hash takes everything");
        Digest::Sha256(hash.finalize().into())
    }

    /// A state with what the canonical encoding tells, and all that can be derived derived anew.
    ///
    /// # Errors
    /// If the bytes are not such an encoding.
    pub(crate) fn from_canonical(bytes: &[u8], settings: Settings) -> Result<Self, CanonicalError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let mut refused = None;
        let restoring = Restoring {
            settings,
            refused: &mut refused,
        };
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let restored = restoring.deserialize(&mut reader);
        let error = match restored.and_then(|state| reader.end().map(|()| state)) {
            Ok(state) => return Ok(state),
            Err(error) => error,
        };
        if let Some(refused) = refused {
            return Err(CanonicalError::Rules(refused));
        }
        // Another version may have another form: say so rather than what does not fit.
        Err(match serde_json::from_slice(bytes) {
            Ok(Version { version }) if version != VERSION => CanonicalError::Version(version),
            _ => error.into(),
        })
    }
}
