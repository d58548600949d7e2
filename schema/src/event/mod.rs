//! Events: what happened, as CloudEvents 1.0 on the wire and as one closed enum inside.

mod body;
mod data;
mod envelope;
pub mod media_type;
mod written;

pub use body::Body;
pub use data::{
    Actor, Approval, CYCLONEDX_WAIVING, Descriptor, Finding, HoldPlaced, HoldReleased, HoldScope,
    ImagePushed, InputRejected, ManifestDeleted, ManifestResolved, OPENVEX_WAIVING,
    OverrideGranted, OverrideRevoked, OverrideScope, Platform, PromotionRequested,
    PromotionRetried, Repository, RepositoryConfigured, RequestedTarget, RuleFile, RulesActivated,
    ScanCompleted, ScanFailed, ScanRequested, ScanStarted, Scanner, ScannerUpdated, SeverityCounts,
    TagDeleted,
};
pub use envelope::{Event, EventError, Received};
