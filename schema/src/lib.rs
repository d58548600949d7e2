//! What happened.
//!
//! Everything that Weir records and answers is a type of this crate: identifiers that are parsed
//! once, events as CloudEvents, the records of the log, decisions and their reasons. Nothing here
//! decides anything; `rules` does.
//!
//! ```text
//! bytes ── Event::from_json ──> Event ── Record::encode ──> bytes of the log
//!   (CloudEvents 1.0)          (typed)    (canonical JSON, chained by hash)
//! ```

pub mod canonical;
pub mod cosign;
mod decision;
mod digest;
mod event;
pub mod hex;
pub mod json_schema;
pub mod objects;
pub mod record;
mod repository;
mod severity;
mod tag;
mod timestamp;
mod vulnerability;

pub use decision::{
    Decision, PromotionOutcome, Reason, ReasonCode, TagRef, TargetRef, Verdict, Violation,
};
pub use digest::{Digest, DigestError};
pub use event::{
    Actor, Approval, Body, CYCLONEDX_WAIVING, Descriptor, Event, EventError, Finding, HoldPlaced,
    HoldReleased, HoldScope, ImagePushed, InputRejected, ManifestDeleted, ManifestResolved,
    OPENVEX_WAIVING, OverrideGranted, OverrideRevoked, OverrideScope, Platform, PromotionRequested,
    PromotionRetried, Received, Repository, RepositoryConfigured, RequestedTarget, RuleFile,
    RulesActivated, ScanCompleted, ScanFailed, ScanRequested, ScanStarted, Scanner, ScannerUpdated,
    SeverityCounts, TagDeleted, media_type,
};
pub use record::{Position, Record, RecordError};
pub use repository::{RepositoryName, RepositoryNameError, registry_in, within_default};
pub use severity::Severity;
pub use smol_str::{SmolStr, ToSmolStr};
pub use tag::{Tag, TagError};
pub use timestamp::{Timestamp, TimestampError};
pub use vulnerability::vulnerability_name;
