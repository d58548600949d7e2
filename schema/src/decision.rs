//! Decisions: verdicts and their reasons, promotions and violations.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::{Digest, Platform, RepositoryName, Tag, Timestamp};

/// What Weir says of a subject: a tag under a promote rule.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Go.
    Promote,
    /// Something is missing that may come.
    Wait,
    /// The answer is no, as things stand.
    Block,
    /// A rule could not be evaluated.
    Error,
    /// The subject is gone.
    Withdrawn,
}

impl Verdict {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Wait => "wait",
            Self::Block => "block",
            Self::Error => "error",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident $code:literal $verdict:ident,)*) => {
        /// Why a verdict is what it is. Ordered by the code's text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ReasonCode {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl ReasonCode {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code's text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The verdict that this reason makes, if no other reason makes a stronger one.
            #[must_use]
            pub fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)* }
            }
        }
    };
}

// In the order of their texts: the derived order is the order of reasons in a decision.
reason_codes! {
    /// The target tag is already at the digest: nothing is copied.
    AlreadyThere "already-there" Promote,
    /// The index cannot be an application: nested too deep, or a child of unknown kind.
    AppInvalid "app-invalid" Block,
    /// Too few people approved.
    ApprovalMissing "approval-missing" Wait,
    /// The rendered target is no legal repository or tag.
    BadTag "bad-tag" Block,
    /// A clause of the rule does not hold.
    ClauseFalse "clause-false" Block,
    /// A deny rule matches.
    Denied "denied" Block,
    /// Somebody placed a hold.
    Held "held" Wait,
    /// The tag came here by this rule, or source and target are the same.
    Loop "loop" Block,
    /// The subject or something in it was deleted.
    ManifestDeleted "manifest-deleted" Block,
    /// An index whose children are not known yet.
    ManifestUnknown "manifest-unknown" Wait,
    /// There is no image in it.
    NothingToScan "nothing-to-scan" Block,
    /// The rule's window is closed.
    OutsideWindow "outside-window" Wait,
    /// The repository was deleted.
    RepositoryDeleted "repository-deleted" Withdrawn,
    /// A rule could not be evaluated.
    RuleError "rule-error" Error,
    /// The rule is no longer in force, or no longer takes what the tag points at.
    RuleRemoved "rule-removed" Withdrawn,
    /// The last scan of an image failed.
    ScanFailed "scan-failed" Block,
    /// An image was never scanned.
    ScanMissing "scan-missing" Wait,
    /// An image is being scanned.
    ScanRunning "scan-running" Wait,
    /// The tag has not been there for long enough.
    Soaking "soaking" Wait,
    /// The tag was deleted.
    TagDeleted "tag-deleted" Withdrawn,
    /// The target tag exists with another digest and may not move.
    TargetImmutable "target-immutable" Block,
    /// The target tag holds a later build of the same rule and source.
    TargetNewer "target-newer" Wait,
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for ReasonCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no reason code"))
    }
}

/// One reason, with whatever detail its code has. Ordered by code, then digest.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Reason {
    /// The kind of reason.
    pub code: ReasonCode,
    /// The manifest it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The component of the application that the manifest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<SmolStr>,
    /// The platform of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The clause that is false or could not be evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// The deny rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_rule: Option<String>,
    /// The hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it ends by itself, at the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many approvals there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<u32>,
    /// How many approvals the rule wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<u32>,
}

/// On one line, for people.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        let digest = self.digest.as_ref().map(Digest::short);
        let details = [
            self.component.as_deref(),
            digest.as_deref(),
            self.clause.as_deref(),
            self.deny_rule.as_deref(),
            self.hold_id.as_deref(),
            self.message.as_deref(),
        ];
        for detail in details.into_iter().flatten() {
            write!(f, " {detail}")?;
        }
        if let Some(until) = self.until {
            write!(f, " until {until}")?;
        }
        match (self.have, self.need) {
            (Some(have), Some(need)) => write!(f, " {have} of {need}"),
            _ => Ok(()),
        }
    }
}

impl Reason {
    /// A reason without detail.
    #[must_use]
    pub fn new(code: ReasonCode) -> Self {
        Self {
            code,
            digest: None,
            component: None,
            platform: None,
            clause: None,
            deny_rule: None,
            hold_id: None,
            message: None,
            until: None,
            have: None,
            need: None,
        }
    }

    /// A reason about one manifest.
    #[must_use]
    pub fn about(code: ReasonCode, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..Self::new(code)
        }
    }
}

/// The source of a decision.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct TagRef {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// What the tag points at; absent if a promotion by hand named a tag that does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// The target of a decision as the templates gave it, which need not be legal (`bad-tag`).
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct TargetRef {
    /// The repository.
    pub repository: SmolStr,
    /// The tag.
    pub tag: SmolStr,
}

/// `weir.decision.made`: verdict, digest, target or reasons of a subject changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    // In the order of canonical JSON, so that it is written without being sorted.
    /// Who asked, for a promotion by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Set for a rule that only warns: nothing is promoted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advisory: bool,
    /// Overrides that were counted in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// The promotion that this decision starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion_id: Option<String>,
    /// Why, in order.
    pub reasons: Vec<Reason>,
    /// The promote rule; `manual` for a promotion by hand.
    pub rule: SmolStr,
    /// The rule set in force.
    pub rules_digest: Digest,
    /// The tag judged and the digest that the verdict is bound to.
    pub source: TagRef,
    /// Where it would go.
    pub target: TargetRef,
    /// The record that made it change.
    pub trigger: u64,
    /// The answer.
    pub verdict: Verdict,
    /// Reason codes that a promotion by hand waived and that would have stopped it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<Reason>,
}

/// `weir.promotion.started`, `.completed` and `.failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromotionOutcome {
    // In the order of canonical JSON, so that it is written without being sorted.
    /// How often it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// From the decision.
    pub promotion_id: String,
    /// The rule; `manual` for a promotion by hand.
    pub rule: SmolStr,
    /// What is copied.
    pub source: TagRef,
    /// Where to.
    pub target: TargetRef,
}

/// `weir.violation.found` and `.cleared`: what was promoted would not be promoted now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// The target repository.
    pub repository: RepositoryName,
    /// The target tag.
    pub tag: Tag,
    /// What it points at.
    pub digest: Digest,
    /// The rule that promoted it.
    pub rule: SmolStr,
    /// What no longer holds; empty when cleared.
    pub reasons: Vec<Reason>,
}

#[cfg(test)]
mod tests {
    use super::{Reason, ReasonCode};
    use crate::Digest;

    #[test]
    fn a_reason_is_told_on_one_line_with_all_that_it_has() {
        let code = ReasonCode::ScanMissing;
        assert_eq!(Reason::new(code).to_string(), "scan-missing");
        let reason = Reason {
            digest: Some(Digest::of(b"")),
            component: Some("api".into()),
            until: "2026-03-02T10:00:00Z".parse().ok(),
            have: Some(1),
            need: Some(2),
            ..Reason::new(code)
        };
        let told = "scan-missing api e3b0c44298fc until 2026-03-02T10:00:00Z 1 of 2";
        assert_eq!(reason.to_string(), told);
    }

    #[test]
    fn reason_codes_are_ordered_by_their_texts() {
        assert!(
            ReasonCode::ALL
                .windows(2)
                .all(|pair| pair[0].as_str() < pair[1].as_str())
        );
        assert!(ReasonCode::ALL.is_sorted());
    }
}
