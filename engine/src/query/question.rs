//! What may be asked: one form for addresses, command line and library.

use super::{EventFilter, PromotionFilter};

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Tags with their verdicts.
    Tags {
        /// Only of repositories that match these patterns.
        repository: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
        /// Which of them.
        part: Part,
    },
    /// Repositories.
    Repositories(Part),
    /// Why a tag is or is not promoted.
    Why {
        /// The tag's repository.
        repository: String,
        /// The tag.
        tag: String,
        /// Only under this rule.
        rule: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// The value of an expression on what a rule would read of a tag.
    Eval {
        /// The expression.
        expression: String,
        /// The tag's repository.
        repository: String,
        /// The tag.
        tag: String,
        /// As this rule would read it.
        rule: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// State of a repository or a tag.
    Show {
        /// The repository.
        repository: String,
        /// The tag.
        tag: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// The life of a tag.
    History {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
        /// Up to this sequence or time; up to now if not given.
        at: Option<String>,
    },
    /// What stands behind a digest.
    Lineage {
        /// The digest, or its first eight digits or more.
        digest: String,
        /// Up to this sequence or time; up to now if not given.
        at: Option<String>,
    },
    /// Which tags hold a vulnerability.
    Impact {
        /// Its name.
        vulnerability: String,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// Overrides that were granted and not revoked.
    Overrides {
        /// Only those that will end within this time, as `14d`.
        expiring: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// How many records there are.
    Count(EventFilter),
    /// How many records there are of each kind.
    Groups {
        /// Which records.
        filter: EventFilter,
        /// `actor`, `rule`, `type`, `repository`, `verdict`, `reason`, ...
        by: String,
    },
    /// Decisions, newest last.
    Decisions(EventFilter),
    /// Promotions that are not completed, newest last.
    Promotions(PromotionFilter),
    /// Rules in force.
    Rules,
    /// How the engine is: log, rules, stream, lease, what is open.
    Status,
}

/// A part of a list that is in order; all of it by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Only those behind this one, by its name: `repository:tag`, or a repository.
    pub after: Option<String>,
    /// At most so many; all if not given.
    pub limit: Option<usize>,
}
