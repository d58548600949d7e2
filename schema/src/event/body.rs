//! The closed enum of all events, and the one table from types to data.

use serde::{
    Deserialize, Serialize, de,
    ser::{self, SerializeMap as _},
};

use super::data::{
    Approval, HoldPlaced, HoldReleased, ImagePushed, InputRejected, ManifestDeleted,
    ManifestResolved, OverrideGranted, OverrideRevoked, PromotionRequested, PromotionRetried,
    Repository, RepositoryConfigured, RulesActivated, ScanCompleted, ScanFailed, ScanRequested,
    ScanStarted, ScannerUpdated, TagDeleted,
};
use crate::{Decision, PromotionOutcome, Violation, objects::ObjectsOnly};

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident($data:ty) $kind:literal,)*) => {
        /// What happened. A new kind of event is a new variant; a stored shape never changes.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Body {
            $($(#[$doc])* $name($data),)*
            /// Nothing but that time has passed.
            ClockTicked,
            /// A type that this version does not know: recorded, and of no effect.
            Unknown(String),
        }

        impl Body {
            /// The types that this version knows.
            pub const TYPES: &[&str] = &[$($kind,)* CLOCK_TICKED];

            /// The CloudEvents `type`.
            #[must_use]
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$name(_) => $kind,)*
                    Self::ClockTicked => CLOCK_TICKED,
                    Self::Unknown(kind) => kind,
                }
            }

            /// Reads the `data` of an event of type `kind`, in which what has fields is an object.
            ///
            /// # Errors
            /// If a required field is missing or a field has a value that it cannot have.
            pub(crate) fn deserialize<'de, D: de::Deserializer<'de>>(kind: &str, data: D) -> Result<Self, D::Error> {
                match kind {
                    $($kind => <$data>::deserialize(ObjectsOnly(data)).map(Self::$name),)*
                    CLOCK_TICKED => de::IgnoredAny::deserialize(data).map(|_| Self::ClockTicked),
                    _ => de::IgnoredAny::deserialize(data).map(|_| Self::Unknown(kind.to_owned())),
                }
            }

            /// The `data` as JSON; `null` where the event has none or it is not known.
            #[must_use]
            pub fn data(&self) -> serde_json::Value {
                let value = match self {
                    $(Self::$name(data) => serde_json::to_value(data),)*
                    Self::ClockTicked => return serde_json::json!({}),
                    Self::Unknown(_) => return serde_json::Value::Null,
                };
                value.expect("types of the schema serialize")
            }

            /// Writes the `data`; nothing where [`Self::data`] is `null`.
            fn serialize_data<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$name(data) => data.serialize(serializer),)*
                    Self::ClockTicked => serializer.serialize_map(Some(0))?.end(),
                    Self::Unknown(_) => serializer.serialize_unit(),
                }
            }

            /// The JSON Schema of the `data` of each type.
            #[must_use]
            pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
                vec![$(($kind, schemars::schema_for!($data)),)*]
            }
        }
    };
}

const CLOCK_TICKED: &str = "weir.clock.ticked";

bodies! {
    /// A repository was created.
    RepositoryCreated(Repository) "weir.repository.created",
    /// A repository was deleted: its tags go.
    RepositoryDeleted(Repository) "weir.repository.deleted",
    /// Whether a repository's tags are immutable.
    RepositoryConfigured(RepositoryConfigured) "weir.repository.configured",
    /// A manifest was pushed.
    ImagePushed(ImagePushed) "weir.image.pushed",
    /// What a manifest is became known.
    ManifestResolved(ManifestResolved) "weir.manifest.resolved",
    /// A tag was deleted.
    TagDeleted(TagDeleted) "weir.tag.deleted",
    /// A manifest was deleted.
    ManifestDeleted(ManifestDeleted) "weir.manifest.deleted",
    /// A scan runs.
    ScanStarted(ScanStarted) "weir.scan.started",
    /// A scan ended well.
    ScanCompleted(ScanCompleted) "weir.scan.completed",
    /// A scan is asked for.
    ScanRequested(ScanRequested) "weir.scan.requested",
    /// A scan ended badly.
    ScanFailed(ScanFailed) "weir.scan.failed",
    /// A scanner has a new database.
    ScannerUpdated(ScannerUpdated) "weir.scanner.updated",
    /// A vulnerability does not count, somewhere, for a time.
    OverrideGranted(OverrideGranted) "weir.override.granted",
    /// It counts again.
    OverrideRevoked(OverrideRevoked) "weir.override.revoked",
    /// Somebody approves.
    ApprovalGranted(Approval) "weir.approval.granted",
    /// Somebody approves no longer.
    ApprovalRevoked(Approval) "weir.approval.revoked",
    /// A freeze.
    HoldPlaced(HoldPlaced) "weir.hold.placed",
    /// The end of a freeze.
    HoldReleased(HoldReleased) "weir.hold.released",
    /// Somebody wants a promotion by hand.
    PromotionRequested(PromotionRequested) "weir.promotion.requested",
    /// Somebody wants a promotion that was given up tried once more.
    PromotionRetried(PromotionRetried) "weir.promotion.retried",
    /// Other rules are in force.
    RulesActivated(RulesActivated) "weir.rules.activated",
    /// Something came that could not be read.
    InputRejected(InputRejected) "weir.input.rejected",
    /// A verdict changed.
    DecisionMade(Decision) "weir.decision.made",
    /// The copy of a promotion began.
    PromotionStarted(PromotionOutcome) "weir.promotion.started",
    /// The target tag points at the digest, by Weir's hand.
    PromotionCompleted(PromotionOutcome) "weir.promotion.completed",
    /// A promotion was given up, or overtaken.
    PromotionFailed(PromotionOutcome) "weir.promotion.failed",
    /// What was promoted would not be promoted now.
    ViolationFound(Violation) "weir.violation.found",
    /// It would be again.
    ViolationCleared(Violation) "weir.violation.cleared",
}

impl Body {
    /// Whether only Weir itself may say this: such an event is never taken from outside.
    #[must_use]
    pub fn is_conclusion(&self) -> bool {
        matches!(
            self,
            Self::DecisionMade(_) | Self::ViolationFound(_) | Self::ViolationCleared(_)
        )
    }

    /// Whether no registry, scanner or operator may say this: what Weir concludes, what became of a
    /// promotion, and what could not be read. As input it would be forged history.
    #[must_use]
    pub fn is_for_weir_to_say(&self) -> bool {
        self.is_conclusion()
            || matches!(
                self,
                Self::PromotionStarted(_)
                    | Self::PromotionCompleted(_)
                    | Self::PromotionFailed(_)
                    | Self::InputRejected(_)
            )
    }
}

/// The data of an event, to be written.
pub(super) struct Data<'a>(pub(super) &'a Body);

impl Serialize for Data<'_> {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(serializer)
    }
}
