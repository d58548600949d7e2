//! What a backtest comes to, as one value: command line, HTTP and web page render the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_schema::{Reason, TagRef, TargetRef, Timestamp, Verdict};

/// How a subject, a tag's binding under a rule, would have been decided differently.
///
/// In the order in which they are counted and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Promoted under the new rules only.
    Newly,
    /// Promoted under both, at an earlier record under the new ones.
    Earlier,
    /// Promoted under both, at a later record under the new ones.
    Later,
    /// Promoted under the old rules only.
    Never,
    /// Promoted under both, to different targets.
    Elsewhere,
    /// Promoted under neither, and the last word is harder under the new rules: wait to block, or
    /// block to error.
    Blocked,
    /// Promoted under neither, and the last word is milder under the new rules.
    Unblocked,
    /// Promoted under both, and in violation under the new rules only.
    Violated,
    /// Promoted under both, and in violation under the old rules only.
    NoLongerViolated,
    /// There is such a subject under the new rules only; it was not promoted.
    Appears,
    /// There is such a subject under the old rules only; it was not promoted.
    Disappears,
    /// Another verdict for a while, the same in the end.
    Meanwhile,
    /// Decided alike, by a rule of another name.
    OtherRule,
    /// The same verdicts, with other reasons.
    OtherReasons,
}

impl Kind {
    /// All, in order.
    pub const ALL: [Self; 14] = [
        Self::Newly,
        Self::Earlier,
        Self::Later,
        Self::Never,
        Self::Elsewhere,
        Self::Blocked,
        Self::Unblocked,
        Self::Violated,
        Self::NoLongerViolated,
        Self::Appears,
        Self::Disappears,
        Self::Meanwhile,
        Self::OtherRule,
        Self::OtherReasons,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Newly => "newly",
            Self::Earlier => "earlier",
            Self::Later => "later",
            Self::Never => "never",
            Self::Elsewhere => "elsewhere",
            Self::Blocked => "blocked",
            Self::Unblocked => "unblocked",
            Self::Violated => "violated",
            Self::NoLongerViolated => "no-longer-violated",
            Self::Appears => "appears",
            Self::Disappears => "disappears",
            Self::Meanwhile => "meanwhile",
            Self::OtherRule => "other-rule",
            Self::OtherReasons => "other-reasons",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Newly => "promoted under the new rules only",
            Self::Earlier => "promoted earlier under the new rules",
            Self::Later => "promoted later under the new rules",
            Self::Never => "promoted under the old rules only",
            Self::Elsewhere => "promoted to another target",
            Self::Blocked => "not promoted, and a harder no",
            Self::Unblocked => "not promoted, and a milder no",
            Self::Violated => "promoted, then in violation under the new rules only",
            Self::NoLongerViolated => "promoted, then in violation under the old rules only",
            Self::Appears => "judged under the new rules only, not promoted",
            Self::Disappears => "judged under the old rules only, not promoted",
            Self::Meanwhile => "another verdict for a while, the same in the end",
            Self::OtherRule => "decided alike by a rule of another name",
            Self::OtherReasons => "the same verdicts, other reasons",
        }
    }

    /// Whether something would have been promoted that was not, or sooner.
    #[must_use]
    pub fn promotes(self) -> bool {
        matches!(self, Self::Newly | Self::Earlier | Self::Elsewhere)
    }

    /// Whether something would not have been promoted that was, or later, or is refused harder.
    #[must_use]
    pub fn blocks(self) -> bool {
        matches!(
            self,
            Self::Never | Self::Later | Self::Elsewhere | Self::Blocked
        )
    }

    /// Whether a verdict was different at some time: reasons and names of rules are no verdicts.
    #[must_use]
    pub fn changes_a_verdict(self) -> bool {
        !matches!(self, Self::OtherRule | Self::OtherReasons)
    }

    /// Whether it is of what was promoted, and in violation then on one side only.
    pub(super) fn is_of_violations(self) -> bool {
        matches!(self, Self::Violated | Self::NoLongerViolated)
    }

    /// Whether it shows in what was promoted, refused or is in violation in the end. These are
    /// listed first.
    pub(super) fn has_an_effect(self) -> bool {
        self < Self::Appears
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A record of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Its sequence in the log; of a file of events, its line.
    pub seq: u64,
    /// Its time.
    pub at: Timestamp,
}

/// What a backtest comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was folded.
    pub history: History,
    /// Only what happened from then on is counted and listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only what happened before then is counted and listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Rules that are not the same on both sides, by name.
    pub rules: Vec<ChangedRule>,
    /// Patterns of the repositories that are compared: what the change of rules can touch.
    pub repositories: Vec<String>,
    /// What the old rules come to in these.
    pub old: Totals,
    /// What the new rules come to in these.
    pub new: Totals,
    /// How many subjects were decided differently, by kind; kinds without any are left out.
    pub totals: BTreeMap<Kind, u64>,
    /// The differences, those with an effect first and then by time, up to the limit.
    pub differences: Vec<Difference>,
    /// How many more there are than are listed.
    pub unlisted: u64,
}

impl Report {
    /// The repositories that are compared, if not all are.
    #[must_use]
    pub fn narrowed_to(&self) -> Option<&[String]> {
        let all = self.repositories.iter().any(|pattern| pattern == "**");
        (!all).then_some(&self.repositories)
    }

    /// How many subjects there are of kinds for which `which` holds.
    #[must_use]
    pub fn count(&self, which: impl Fn(Kind) -> bool) -> u64 {
        let counted = self.totals.iter().filter(|(kind, _)| which(**kind));
        counted.map(|(_, count)| count).sum()
    }
}

/// What was folded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Events, without repeated deliveries, conclusions and what could not be read.
    pub events: u64,
    /// Lines that are no valid event.
    pub rejected: u64,
    /// The first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Moment>,
    /// The last event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Moment>,
    /// Outcomes of Weir's own promotions, which were not taken as given.
    pub outcomes: u64,
    /// A registry's notifications of Weir's own copies, which were not taken as given.
    pub echoes: u64,
    /// Rule sets that the history put in force.
    pub activations: u64,
}

/// How a rule is not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Only the new rules have it.
    Added,
    /// Only the old rules have it.
    Removed,
    /// It is another.
    Changed,
}

/// A rule that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedRule {
    /// Its name.
    pub rule: String,
    /// How.
    pub change: Change,
}

/// What one side comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Decisions made.
    pub decisions: u64,
    /// Of these, by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Promotions started.
    pub promotions: u64,
    /// Violations found.
    pub violations: u64,
}

/// A subject that was decided differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// The first record at which that showed.
    #[serde(flatten)]
    pub moment: Moment,
    /// The rule; `manual` for a promotion by hand.
    pub rule: String,
    /// The tag and what it pointed at; of a violation, the promoted tag.
    pub source: TagRef,
    /// Under the old rules.
    pub old: Outcome,
    /// Under the new rules.
    pub new: Outcome,
}

/// What a side came to for a subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The rule's name on this side, where it is another than that of the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The decision in force after the moment of the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// When it was promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Promoted>,
    /// The last decision, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Decided>,
    /// Violations found and cleared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// The clauses that decided, with the values they saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<Clause>,
    /// Everything that can be said of it at the moment of the difference, as `weir why` does; the
    /// core's `Explanation` as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Value>,
}

/// A decision of one side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The input that led to it.
    #[serde(flatten)]
    pub moment: Moment,
    /// The answer.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Where it would go.
    pub target: TargetRef,
    /// Set for a rule that only warns: nothing is promoted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advisory: bool,
}

/// A promotion of one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// The input that led to it.
    #[serde(flatten)]
    pub moment: Moment,
    /// Where to.
    pub target: TargetRef,
}

/// A violation of one side, found or cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// The input that led to it.
    #[serde(flatten)]
    pub moment: Moment,
    /// Found, or cleared.
    pub found: bool,
    /// What no longer holds.
    pub reasons: Vec<Reason>,
}

/// A clause that decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clause {
    /// The deny rule that it is of; none for the subject's own rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_rule: Option<String>,
    /// The clause, as written.
    pub clause: String,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The parts that decided, with their values.
    pub parts: Vec<Part>,
}

/// A part of a clause with its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// As written.
    pub text: String,
    /// Its value.
    pub value: Value,
}
