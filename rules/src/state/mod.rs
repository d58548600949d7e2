//! The state: everything that is known at a record, folded from all records up to it.
//!
//! Only `evolve` changes it. What can be derived (ways from digests up to tags, from targets to
//! subjects, deadlines) is kept beside what is told, so that a record costs what it touches and
//! not what there is.

mod manifest;
mod names;
mod people;
mod promotion;
mod scan;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use weir_schema::{Digest, RuleFile, Timestamp};

pub(crate) use manifest::{
    CNAB_COMPONENT_NAME, Child, CnabType, Facts, Manifest, cnab_type, is_attestation,
};
pub(crate) use names::{DigestId, Digests, NameId, Names};
pub(crate) use people::{ApprovalKey, Hold, Override, ScopePattern, Vote};
pub(crate) use promotion::{
    Hop, Origin, Progress, Promoted, Promotion, Settled, Subject, TagKey, TagState, TargetBefore,
};
pub(crate) use scan::{
    Attempt, Held, Report, ReportId, Reports, ScannerState, Scans, Tally, distinct,
};

use crate::{
    pattern::RepositoryPatterns,
    rule::{Kind, Rule, RuleSet, Severity},
};

/// The name under which promotions by hand are recorded; no rule may have it.
pub const MANUAL: &str = "manual";

/// What is configured and not recorded. Nodes that shall agree must be configured alike.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Repositories in which every index is an application.
    pub bundle_repositories: Option<RepositoryPatterns>,
}

/// A rule in force that promotes from a repository.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) rule: Arc<Rule>,
    pub(crate) rule_name: NameId,
    pub(crate) captures: Arc<[String]>,
}

/// A repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repository {
    pub(crate) immutable_tags: bool,
    /// Declared to hold bundles.
    pub(crate) bundles: bool,
    /// Promote rules that match it, by name.
    pub(crate) paths: Arc<[Path]>,
    /// Deny rules whose source pattern matches it, in the order of the rule set.
    pub(crate) denies: Arc<[Arc<Rule>]>,
}

/// A subject: tag and rule.
pub(crate) type SubjectKey = (TagKey, NameId);

/// What wakes up at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    Subject(SubjectKey),
    Promoted(TagKey),
    Override(NameId),
}

/// The state at a record.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) settings: Settings,
    pub(crate) names: Names,
    pub(crate) digests: Digests,
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
    pub(crate) repositories: BTreeMap<NameId, Repository>,
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) tags: BTreeMap<TagKey, TagState>,
    /// The last push there of each index, and of each manifest that may turn out to be one.
    pub(crate) index_pushes: BTreeMap<(NameId, DigestId), u64>,
    /// Deletions after the last push of the manifest itself.
    pub(crate) deletions: BTreeMap<(NameId, DigestId), u64>,
    pub(crate) scans: BTreeMap<DigestId, Scans>,
    pub(crate) reports: Reports,
    pub(crate) scanner_databases: BTreeMap<NameId, Timestamp>,
    /// By id; kept in the order of ids so that the first that matches is always the same.
    pub(crate) overrides: BTreeMap<String, Override>,
    pub(crate) overrides_by_vulnerability: BTreeMap<String, BTreeSet<String>>,
    pub(crate) approvals: BTreeMap<ApprovalKey, Vec<Vote>>,
    pub(crate) holds: BTreeMap<String, Hold>,
    pub(crate) subjects: BTreeMap<SubjectKey, Subject>,
    /// Promotions that are not completed, by the record of their decision.
    pub(crate) promotions: BTreeMap<u64, Promotion>,
    pub(crate) promoted: BTreeMap<TagKey, Promoted>,

    // Derived.
    /// Subjects that are not settled, by the target they would go to.
    pub(crate) by_target: BTreeMap<TagKey, BTreeSet<SubjectKey>>,
    /// Promotions on their way, by target and by source.
    pub(crate) promotions_to: BTreeMap<TagKey, BTreeSet<u64>>,
    pub(crate) promotions_from: BTreeMap<TagKey, BTreeSet<u64>>,
    pub(crate) alarms: BTreeSet<(Timestamp, Alarm)>,
    pub(crate) alarm_of: BTreeMap<Alarm, Timestamp>,
    /// Subjects and promoted tags whose judgement may change with any passing of time.
    pub(crate) restless: BTreeSet<Alarm>,
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
            seq: 0,
            now: Timestamp::EPOCH,
            rules_digest: Digest::Sha256(rules.digest()),
            rules,
            rule_files: Arc::new([]),
            rules_refused: None,
            repositories: BTreeMap::new(),
            manifests: Vec::new(),
            tags: BTreeMap::new(),
            index_pushes: BTreeMap::new(),
            deletions: BTreeMap::new(),
            scans: BTreeMap::new(),
            reports: Reports::default(),
            scanner_databases: BTreeMap::new(),
            overrides: BTreeMap::new(),
            overrides_by_vulnerability: BTreeMap::new(),
            approvals: BTreeMap::new(),
            holds: BTreeMap::new(),
            subjects: BTreeMap::new(),
            promotions: BTreeMap::new(),
            promoted: BTreeMap::new(),
            by_target: BTreeMap::new(),
            promotions_to: BTreeMap::new(),
            promotions_from: BTreeMap::new(),
            alarms: BTreeSet::new(),
            alarm_of: BTreeMap::new(),
            restless: BTreeSet::new(),
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

    /// The manifest with that digest; an empty one while it is only mentioned.
    pub(crate) fn manifest(&self, id: DigestId) -> &Manifest {
        &self.manifests[id.index()]
    }

    pub(crate) fn manifest_mut(&mut self, id: DigestId) -> &mut Manifest {
        &mut self.manifests[id.index()]
    }

    /// The number of `digest`, with a place among the manifests.
    pub(crate) fn intern_digest(&mut self, digest: &Digest) -> DigestId {
        let id = self.digests.intern(digest);
        self.manifests
            .resize_with(self.digests.len(), Manifest::default);
        id
    }

    /// The number of a repository, with the rules that match it.
    pub(crate) fn intern_repository(&mut self, name: &str) -> NameId {
        let id = self.names.intern(name);
        if !self.repositories.contains_key(&id) {
            let repository = self.matching_rules(name, Repository::default());
            self.repositories.insert(id, repository);
        }
        id
    }

    /// `repository` with the rules in force that match `name`.
    pub(crate) fn matching_rules(&mut self, name: &str, repository: Repository) -> Repository {
        let mut paths = Vec::new();
        let mut denies = Vec::new();
        let rules = self.rules.clone();
        for rule in rules.rules() {
            if rule.severity == Severity::Off {
                continue;
            }
            let Some(captures) = rule.captures(name) else {
                continue;
            };
            match rule.kind {
                Kind::Deny => denies.push(Arc::clone(rule)),
                Kind::Promote => {
                    let rule_name = self.names.intern(&rule.name);
                    paths.push(Path {
                        rule: Arc::clone(rule),
                        rule_name,
                        captures: captures.into(),
                    });
                }
            }
        }
        paths.sort_by(|a, b| a.rule.name.cmp(&b.rule.name));
        let bundles = self
            .settings
            .bundle_repositories
            .as_ref()
            .is_some_and(|bundles| bundles.matches(name));
        Repository {
            paths: paths.into(),
            denies: denies.into(),
            bundles,
            ..repository
        }
    }

    /// The rule in force that promotes from `repository` under `name`.
    pub(crate) fn path(&self, repository: NameId, rule: NameId) -> Option<&Path> {
        self.repositories
            .get(&repository)?
            .paths
            .iter()
            .find(|path| path.rule_name == rule)
    }

    /// The digest, and every index that holds it at some depth: a digest is known before what
    /// bundles it, so the walk ends.
    pub(crate) fn above(&self, digest: DigestId) -> BTreeSet<DigestId> {
        let mut found = BTreeSet::from([digest]);
        let mut open = vec![digest];
        while let Some(next) = open.pop() {
            for parent in &self.manifest(next).parents {
                if found.insert(*parent) {
                    open.push(*parent);
                }
            }
        }
        found
    }

    /// Puts an alarm at a time, or takes it away.
    pub(crate) fn set_alarm(&mut self, alarm: Alarm, at: Option<Timestamp>) {
        if self.alarm_of.get(&alarm).copied() == at {
            return;
        }
        if let Some(old) = self.alarm_of.remove(&alarm) {
            self.alarms.remove(&(old, alarm));
        }
        if let Some(at) = at {
            self.alarm_of.insert(alarm, at);
            self.alarms.insert((at, alarm));
        }
    }
}
