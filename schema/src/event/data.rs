//! The `data` of each event, a struct per type. Unknown fields are allowed and mean nothing; the
//! record keeps them.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use smol_str::SmolStr;

use crate::{Digest, RepositoryName, Severity, Tag, Timestamp, objects::OnceEach};

/// Who did it, as the source names them.
pub type Actor = String;

/// Reads names and texts, if there are any.
fn once_each<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    let read = Option::<OnceEach<String>>::deserialize(deserializer)?;
    Ok(read.map(|OnceEach(texts)| texts))
}

/// `weir.repository.created` and `.deleted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Repository {
    /// The repository.
    pub repository: RepositoryName,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// `weir.repository.configured`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepositoryConfigured {
    /// The repository.
    pub repository: RepositoryName,
    /// Whether a tag that exists may no longer move (DTR's `immutableTags`).
    pub immutable_tags: bool,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// The platform of an image, as an index's descriptor has it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Platform {
    /// GOOS, for example `linux`.
    pub os: SmolStr,
    /// GOARCH, for example `arm64`.
    pub architecture: SmolStr,
    /// For example `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<SmolStr>,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// A child of an index (image specification, "OCI Content Descriptors").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Descriptor {
    /// What it points at.
    pub digest: Digest,
    /// The media type of that.
    pub media_type: String,
    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The platform it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// `artifactType`, if the index says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations of the descriptor.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "once_each"
    )]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// `weir.image.pushed`: a manifest is known and present, and the tag, if given, points at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImagePushed {
    /// Where it was pushed.
    pub repository: RepositoryName,
    /// The manifest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Absent for a push by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// Size of the manifest in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// `artifactType` of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations of the manifest.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "once_each"
    )]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The platform of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The children of an index; absent if the source does not say them in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<Descriptor>>,
    /// Who pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Weir found it at the registry, whose own word, and with it who pushed, may still come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found_at_registry: bool,
}

/// `weir.manifest.resolved`: facts about content, true for ever and in every repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ManifestResolved {
    /// The manifest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// The children of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<Descriptor>>,
    /// Annotations of the manifest.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "once_each"
    )]
    pub annotations: Option<BTreeMap<String, String>>,
    /// `artifactType`, or the media type of the configuration where that is no image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The digest of the configuration: what scanners report as `ImageID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<Digest>,
    /// The manifest that this one refers to (a signature's image, for example).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// Labels of the image's configuration.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "once_each"
    )]
    pub labels: Option<BTreeMap<String, String>>,
}

/// `weir.tag.deleted`: the tag is gone; manifest and scans stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TagDeleted {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// `weir.manifest.deleted`: absent from that repository until pushed again there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ManifestDeleted {
    /// The repository.
    pub repository: RepositoryName,
    /// The manifest.
    pub digest: Digest,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// A scanner, known by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scanner {
    /// For example `trivy`; what the key `scanners` of a rule names.
    pub name: SmolStr,
    /// The program's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SmolStr>,
    /// When its vulnerability database was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_updated_at: Option<Timestamp>,
}

/// `weir.scan.started`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanStarted {
    /// What is scanned.
    pub digest: Digest,
    /// By which scanner.
    pub scanner: Scanner,
}

/// One vulnerability in one package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// For example `CVE-2024-3094`.
    pub id: SmolStr,
    /// How bad it is.
    pub severity: Severity,
    /// The package it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<SmolStr>,
    /// The package's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SmolStr>,
    /// The version that mends it; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_version: Option<SmolStr>,
    /// CVSS base score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The layer it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<SmolStr>,
}

/// Numbers of findings by severity, from sources that give no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct SeverityCounts(pub BTreeMap<Severity, u64>);

impl<'de> Deserialize<'de> for SeverityCounts {
    /// Words that are no severity are counted as UNKNOWN, so that nothing found is lost.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let OnceEach(words) = OnceEach::<u64>::deserialize(deserializer)?;
        let mut counts = Self::default();
        for (word, count) in words {
            let Ok(severity) = word.parse();
            let sum = counts.0.entry(severity).or_default();
            *sum = sum.saturating_add(count);
        }
        Ok(counts)
    }
}

/// `weir.scan.completed`: `findings`, or `counts` from sources that give no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanCompleted {
    /// What was scanned: one image, or an index whose scanned children `covers` names.
    pub digest: Digest,
    /// By which scanner.
    pub scanner: Scanner,
    /// What was found; empty means that nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Vec<Finding>>,
    /// How much was found, where the source does not say what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<SeverityCounts>,
    /// Licences of the packages found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licenses: Option<Vec<String>>,
    /// When the scanner looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_at: Option<Timestamp>,
    /// Further digests that the report is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Vec<Digest>>,
    /// The digest of the scanner's own report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_digest: Option<Digest>,
}

/// `weir.scan.requested`: asks the scan workers for one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanRequested {
    /// What to scan.
    pub digest: Digest,
    /// Where it can be pulled from.
    pub repository: RepositoryName,
    /// `repository@digest`, for the scanner's command line.
    pub reference: String,
}

/// `weir.scan.failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanFailed {
    /// What could not be scanned.
    pub digest: Digest,
    /// By which scanner.
    pub scanner: Scanner,
    /// Why.
    pub reason: String,
}

/// `weir.scanner.updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScannerUpdated {
    /// The scanner, with the time of its new database.
    pub scanner: Scanner,
}

/// Where an override holds. All parts that are given must match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverrideScope {
    /// A pattern on the source repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The leaf, or an index above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The package, as `NAME`, or as `NAME@VERSION` for that version alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// Statuses by which OpenVEX says that a vulnerability counts no more (OpenVEX 0.2.0, "Status Labels").
pub const OPENVEX_WAIVING: [&str; 2] = ["not_affected", "fixed"];

/// States by which CycloneDX says so of an analysed vulnerability (CycloneDX 1.6,
/// `vulnerabilities[].analysis.state`).
pub const CYCLONEDX_WAIVING: [&str; 4] = [
    "not_affected",
    "false_positive",
    "resolved",
    "resolved_with_pedigree",
];

/// `weir.override.granted`: matching findings stop counting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverrideGranted {
    /// Names it, for revoking.
    pub override_id: String,
    /// The vulnerability's id.
    pub vulnerability: String,
    /// Why it does not count.
    pub reason: String,
    /// Who says so.
    pub actor: Actor,
    /// Where; everywhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<OverrideScope>,
    /// From when on it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The status of OpenVEX or the state of CycloneDX that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// `weir.override.revoked`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverrideRevoked {
    /// Which.
    pub override_id: String,
    /// Who revoked it.
    pub actor: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `weir.approval.granted` and `.revoked`: a vote, bound to the digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// The source repository.
    pub repository: RepositoryName,
    /// What is approved.
    pub digest: Digest,
    /// The target repository.
    pub target: RepositoryName,
    /// Whose vote it is.
    pub actor: Actor,
    /// What they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What a hold freezes. All parts that are given must match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HoldScope {
    /// A pattern, matched with the source and with the target repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The subject's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// A rule's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// `weir.hold.placed`: nothing in scope is promoted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HoldPlaced {
    /// Names it, for releasing.
    pub hold_id: String,
    /// Who placed it.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// What it freezes; everything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<HoldScope>,
}

/// `weir.hold.released`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HoldReleased {
    /// Which.
    pub hold_id: String,
    /// Who released it.
    pub actor: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `weir.promotion.requested`: promotion by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromotionRequested {
    /// The source repository.
    pub repository: RepositoryName,
    /// The source tag.
    pub tag: Tag,
    /// Where to.
    pub target: RequestedTarget,
    /// Who asks.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Reason codes that shall not stop it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waive: Option<Vec<String>>,
}

/// The target of a promotion by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestedTarget {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
}

/// `weir.promotion.retried`: a promotion that was given up is tried once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromotionRetried {
    /// Which: it stays what was decided, by that rule and for that digest.
    pub promotion_id: String,
    /// Who asks.
    pub actor: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A rule file as it was when it was put in force.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RuleFile {
    /// Path within the rules directory, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// `weir.rules.activated`: these rules are in force from here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RulesActivated {
    /// The whole rule set.
    pub files: Vec<RuleFile>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// `weir.input.rejected`: something came that could not be read. Audit shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InputRejected {
    /// Why, with the place in the payload.
    pub reason: String,
    /// The digest of what came.
    pub payload_digest: Digest,
    /// Which adapter read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Its start, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}
