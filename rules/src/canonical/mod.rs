//! The canonical encoding of a state: what two states are compared by.
//!
//! Everything that is told is in it, as texts and digests in sorted order; what can be derived is
//! not, but for the times at which subjects wake up. Equal histories give equal bytes on every
//! machine, whatever numbers the names had inside. The **state digest** is the SHA-256 of it.

mod dump;
mod restore;

use std::{collections::BTreeMap, io::BufWriter};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use weir_schema::{Descriptor, Digest, Finding, Reason, SeverityCounts, Timestamp, Verdict};

use self::dump::Whole;
use crate::state::State;

/// The version of the encoding.
const VERSION: u32 = 1;

/// Bytes that are written at once.
const PIECE: usize = 64 << 10;

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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    found: bool,
    previous: Option<Digest>,
    origin: Option<OriginDump>,
}

#[derive(Serialize, Deserialize)]
struct OriginDump {
    rule: String,
    source: String,
    binding: Option<u64>,
    /// Rule, source repository and binding of other ways by which the same was put there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<(String, String, Option<u64>)>,
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
    #[serde(default, skip_serializing_if = "is_none_yet")]
    retried_after: u32,
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

/// What was never retried is written as it was before retries were counted.
fn is_none_yet(count: &u32) -> bool {
    *count == 0
}

impl State {
    /// The canonical encoding.
    #[must_use]
    pub(crate) fn to_canonical(&self) -> Vec<u8> {
        serde_json::to_vec(&Whole(self)).expect("a state serializes")
    }

    /// The digest of the canonical encoding: equal on every machine for equal histories.
    #[must_use]
    pub fn state_digest(&self) -> Digest {
        // Piece by piece: of a large state the encoding is hundreds of megabytes.
        let mut hash = BufWriter::with_capacity(PIECE, Sha256::new());
        serde_json::to_writer(&mut hash, &Whole(self)).expect("a hash takes everything");
        let hash = hash.into_inner().expect("a hash takes everything");
        Digest::Sha256(hash.finalize().into())
    }
}
