//! The state: everything that is known at a record, folded from all records up to it.
//!
//! ```text
//! Repository ── Tag ──> Manifest ──> Scans ──> Report ──> Found
//!     rules      │        │ parents, children
//!                │        └ tags
//!                └ Subject: the last decision of the tag under a rule
//! ```
//!
//! Only `evolve` and the judge change it. What can be derived (ways from digests up to tags, from
//! targets to subjects, deadlines, what a judgement rests on) is kept beside what is told, so that
//! a record costs what it touches and not what there is. Everything has a number and stands in a
//! table at that place; what is shown, compared or hashed goes back to texts and digests.

mod alarm;
mod few;
mod finding;
mod kind;
mod manifest;
mod names;
mod numbers;
mod people;
mod promotion;
mod reads;
mod reason;
mod report;
mod repository;
mod room;
mod scan;
mod table;
mod tag;
mod tally;
mod vulnerabilities;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use weir_schema::{Digest, RuleFile, Timestamp};

pub(crate) use alarm::{Alarm, Wake};
pub use kind::Mention;
pub(crate) use kind::{CnabType, Kinds};
pub(crate) use manifest::{Child, Content, Facts, Index, Manifest, Places, Shape};
pub(crate) use numbers::{DigestId, FindingId, NameId, PlatformId, ReportId, RepositoryId, TagId};
pub(crate) use people::{Hold, Override, ScopePattern, Vote};
pub(crate) use promotion::{Hop, Origin, Progress, Promoted, Promotion, Way};
pub(crate) use reads::Reads;
pub(crate) use reason::{More, Obstacle, clipped, verdict};
pub(crate) use report::{Found, Reports};
pub(crate) use repository::{Path, RuleInForce, speaks_of_target};
pub use scan::ScanAge;
pub(crate) use scan::{Attempt, Completed, Held, ScannerState, Worked};
pub(crate) use tag::{Bound, Settled, Subject, SubjectKey};
pub(crate) use tally::Tally;

use self::{
    names::{Digests, Names, Platforms},
    people::{ApprovalKey, Overrides},
    repository::Repositories,
    tag::Tags,
};
use crate::{pattern::RepositoryPatterns, rule::RuleSet};

/// The name under which promotions by hand are recorded; no rule may have it.
pub const MANUAL: &str = "manual";

/// What is configured and not recorded. Nodes that shall agree must be configured alike.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Repositories in which every index is an application.
    pub bundle_repositories: Option<RepositoryPatterns>,
}

/// The state at a record.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) settings: Settings,
    pub(crate) names: Names,
    pub(crate) digests: Digests,
    pub(crate) platforms: Platforms,
    pub(crate) kinds: Kinds,
    /// The last record.
    pub(crate) seq: u64,
    /// Its time.
    pub(crate) now: Timestamp,
    pub(crate) rules: RuleSet,
    pub(crate) rules_digest: Digest,
    /// The files that the rules in force were made of.
    pub(crate) rule_files: Arc<[RuleFile]>,
    /// Why the last rule set that was to be activated was not.
    pub(crate) rules_refused: Option<String>,
    pub(crate) repositories: Repositories,
    /// Manifests by their digests, and what is known of their content.
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) contents: Vec<Content>,
    pub(crate) tags: Tags,
    pub(crate) reports: Reports,
    pub(crate) scanner_databases: BTreeMap<NameId, Timestamp>,
    pub(crate) overrides: Overrides,
    pub(crate) approvals: BTreeMap<ApprovalKey, Vec<Vote>>,
    pub(crate) holds: BTreeMap<String, Hold>,
    /// Promotions that are not completed, by the record of their decision.
    pub(crate) promotions: BTreeMap<u64, Promotion>,

    // Derived.
    /// The images that are known to have a configuration, by its digest.
    pub(crate) by_config: BTreeSet<(Digest, DigestId)>,
    /// The rules that act or advise, in the order of the set.
    pub(crate) in_force: Vec<Arc<RuleInForce>>,
    /// How often rules were put in force.
    pub(crate) generation: u32,
    /// Promotions on their way, by target and by source.
    pub(crate) promotions_to: BTreeSet<(TagId, u64)>,
    pub(crate) promotions_from: BTreeSet<(TagId, u64)>,
    pub(crate) alarms: BTreeSet<(Timestamp, Alarm)>,
    /// Subjects and promoted tags whose judgement may change with any passing of time.
    pub(crate) restless: BTreeSet<Alarm>,
    /// Subjects whose judgement asked for holds, by their rule and source, or target, repository.
    pub(crate) held_from: BTreeSet<alarm::Held>,
    pub(crate) held_to: BTreeSet<alarm::Held>,
    /// Promoted tags whose rule asks how a repository is configured.
    pub(crate) watching: BTreeSet<(RepositoryId, TagId)>,
}

impl State {
    /// The state before the first record.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let rules = RuleSet::default();
        Self {
            settings,
            names: Names::default(),
            digests: Digests::default(),
            platforms: Platforms::default(),
            kinds: Kinds::default(),
            seq: 0,
            now: Timestamp::EPOCH,
            rules_digest: Digest::Sha256(rules.digest()),
            rules,
            rule_files: Arc::new([]),
            rules_refused: None,
            repositories: Repositories::default(),
            manifests: Vec::new(),
            contents: Vec::new(),
            tags: Tags::default(),
            reports: Reports::default(),
            scanner_databases: BTreeMap::new(),
            overrides: Overrides::default(),
            approvals: BTreeMap::new(),
            holds: BTreeMap::new(),
            promotions: BTreeMap::new(),
            by_config: BTreeSet::new(),
            in_force: Vec::new(),
            generation: 1,
            promotions_to: BTreeSet::new(),
            promotions_from: BTreeSet::new(),
            alarms: BTreeSet::new(),
            restless: BTreeSet::new(),
            held_from: BTreeSet::new(),
            held_to: BTreeSet::new(),
            watching: BTreeSet::new(),
        }
    }

    /// The sequence of the last record; 0 before the first.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The time of the last record.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Why the last rule set that was to be activated was not; `None` if it was.
    #[must_use]
    pub fn rules_refused(&self) -> Option<&str> {
        self.rules_refused.as_deref()
    }

    pub(crate) fn text(&self, id: NameId) -> &Arc<str> {
        self.names.text(id)
    }

    pub(crate) fn digest(&self, id: DigestId) -> &Digest {
        self.digests.digest(id)
    }

    /// The number of `digest`, with a place among the manifests.
    pub(crate) fn intern_digest(&mut self, digest: &Digest) -> DigestId {
        let id = self.digests.intern(digest);
        if self.manifests.len() < self.digests.len() {
            self.manifests.push(Manifest::default());
            self.contents.push(Content::default());
        }
        id
    }
}
