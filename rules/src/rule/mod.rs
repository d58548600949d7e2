//! Rules: one CEL expression a file, under a header that says what it is for.
//!
//! ```text
//! file ── header ──> entries ── keys ──> settings ─┐
//!      └─ expression ── cel ──> program ───────────┴─> Rule ──> RuleSet
//! ```
//!
//! Everything here happens at load. A rule that is loaded has no text left to parse and no name
//! left to look up; what it says about a subject is for the judge.

mod duration;
mod format;
mod header;
mod keys;
mod located;
mod reach;
mod rule_set;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;

pub use duration::{DurationError, parse_duration};
pub use format::format;
pub use located::{Level, Located, MAX_ERRORS_A_FILE, RuleErrors};
pub use rule_set::{Loaded, RuleSet};

use crate::cel::Program;
use crate::class::Class;
use crate::pattern::RepositoryPatterns;
use crate::template::Template;
use crate::window::Window;

/// What a rule does when its expression is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Promotes.
    Promote,
    /// Stops every promote rule; also when its expression errs.
    Deny,
}

impl Kind {
    /// As rules are written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Deny => "deny",
        }
    }
}

/// Whether a rule acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It acts.
    Enforce,
    /// It is evaluated and recorded, but never acts or blocks.
    Warn,
    /// It is not evaluated.
    Off,
}

impl Severity {
    /// As rules are written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

/// Whether obstacles of scans count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScanRequirement {
    /// Every image must have a completed scan.
    Required,
    /// Scans may be missing, except for applications.
    NotRequired,
}

/// Whose approval does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Separate {
    /// Who pushed the tag.
    Pusher,
    /// Who owns the rule.
    RuleOwner,
}

/// Where a rule looks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleTarget {
    /// The repository that a promote rule promotes to.
    Repository(Template),
    /// The targets that a deny rule speaks of.
    Matching(RepositoryPatterns),
    /// A deny rule speaks of every target.
    Any,
}

/// One rule, loaded and checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in its set.
    pub name: String,
    /// The file it is from.
    pub path: String,
    /// What it does.
    pub kind: Kind,
    /// What it is for.
    pub about: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Where to read more.
    pub link: Option<String>,
    /// Whether it acts.
    pub severity: Severity,
    /// The source repositories; `None`, for `deny` only, is every one.
    pub from: Option<RepositoryPatterns>,
    /// The target repository or repositories.
    pub to: RuleTarget,
    /// The target tag of a promote rule.
    pub tag: Template,
    /// The classes of manifest it takes; never empty.
    pub classes: BTreeSet<Class>,
    /// Whether obstacles of scans count.
    pub scan: ScanRequirement,
    /// The scanners that must all be in good standing, sorted; empty means any one.
    pub scanners: Vec<String>,
    /// How long the tag must have pointed at the digest.
    pub soak: Option<TimeDelta>,
    /// How many distinct people must have approved.
    pub approvals: u32,
    /// Whose approvals do not count.
    pub separate: BTreeSet<Separate>,
    /// When promotion may happen; `None` is always.
    pub window: Option<Window>,
    /// The reason that a deny rule gives; without one, the clause.
    pub message: Option<Template>,
    /// The expression as written, without header and surrounding space.
    pub expression_text: String,
    /// The line of the file on which the expression begins, from 1.
    pub expression_line: usize,
    /// The expression, checked.
    pub program: Arc<Program>,
}

impl Rule {
    /// Captures of the source repository `name`; `None` if the rule does not speak of it.
    pub fn captures(&self, name: &str) -> Option<Vec<String>> {
        match &self.from {
            Some(patterns) => patterns.captures(name),
            None => Some(Vec::new()),
        }
    }

    /// Whether a deny rule speaks of promotions from `source` to `target`; false for promote rules.
    pub fn denies(&self, source: &str, target: &str) -> bool {
        let target_matches = match &self.to {
            RuleTarget::Repository(_) => false,
            RuleTarget::Matching(patterns) => patterns.matches(target),
            RuleTarget::Any => true,
        };
        target_matches
            && self
                .from
                .as_ref()
                .is_none_or(|patterns| patterns.matches(source))
    }
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
#[cfg(test)]
mod warning_tests;
