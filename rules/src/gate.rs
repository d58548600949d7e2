//! The scan gate: what must be scanned before something may move, and what is in the way.
//!
//! [`Structure`] is what a manifest's content says (DESIGN 4.2): leaves, what is left out and why,
//! what is not known. The gate joins it with presence and scans (4.3, 4.4).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use weir_schema::{Platform, Reason, ReasonCode, media_type};

use crate::{
    Class,
    state::{Attempt, CnabType, DigestId, NameId, State},
};

/// How deep indexes may be nested below the subject.
pub const DEEPEST: usize = 8;

/// What a leaf is in the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The invocation image.
    Invocation,
    /// An image that the bundle calls a component.
    Component,
    /// One platform of a multi-arch image.
    Platform,
    /// The subject itself.
    This,
}

impl Role {
    /// The word that rules see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invocation => "invocation",
            Self::Component => "component",
            Self::Platform => "platform",
            Self::This => "self",
        }
    }
}

/// Why a descriptor is not in the required set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// The bundle's configuration.
    Config,
    /// An attestation.
    Attestation,
    /// An artifact that is no image.
    Artifact,
}

impl LeftOut {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "bundle configuration",
            Self::Attestation => "attestation",
            Self::Artifact => "no image",
        }
    }
}

/// A leaf that must be scanned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) digest: DigestId,
    pub(crate) component: Option<NameId>,
    pub(crate) role: Role,
    pub(crate) platform: Option<Arc<Platform>>,
}

/// What a manifest's content says about scanning it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Structure {
    /// Distinct, ordered by digest.
    pub(crate) leaves: Vec<Leaf>,
    /// The subject if it is an index, and every index in it.
    pub(crate) indexes: BTreeSet<DigestId>,
    /// Indexes whose children are not known.
    pub(crate) unknown: BTreeSet<DigestId>,
    /// Indexes nested too deep, or with a child of unknown kind.
    pub(crate) invalid: BTreeSet<DigestId>,
    /// Descriptors that need no scan.
    pub(crate) left_out: BTreeSet<(DigestId, LeftOut)>,
    /// The indexes that hold each digest directly.
    pub(crate) holders: BTreeMap<DigestId, BTreeSet<DigestId>>,
}

/// A descriptor on the way down, with what the descriptors above say of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    digest: DigestId,
    component: Option<NameId>,
    invocation: bool,
    in_bundle: bool,
}

impl State {
    /// The structure of a manifest, kept until something below it changes.
    pub(crate) fn structure(&mut self, subject: DigestId) -> Arc<Structure> {
        if let Some(known) = &self.manifest(subject).structure {
            return Arc::clone(known);
        }
        let structure = Arc::new(self.expand(subject));
        self.manifest_mut(subject).structure = Some(Arc::clone(&structure));
        structure
    }

    /// As [`State::structure`], where the state may not be changed.
    pub(crate) fn structure_now(&self, subject: DigestId) -> Arc<Structure> {
        let known = self.manifest(subject).structure.clone();
        known.unwrap_or_else(|| Arc::new(self.expand(subject)))
    }

    fn is_non_image(&self, digest: DigestId) -> bool {
        let manifest = self.manifest(digest);
        media_type::is_non_image_artifact(manifest.artifact_type.map(|id| &**self.text(id)))
    }

    fn expand(&self, subject: DigestId) -> Structure {
        let mut found = Structure::default();
        if !self.is_index(subject) {
            if self.is_untold(subject) {
                found.unknown.insert(subject);
            } else if self.is_non_image(subject) {
                found.left_out.insert((subject, LeftOut::Artifact));
            } else {
                let leaf = Leaf {
                    digest: subject,
                    component: None,
                    role: Role::This,
                    platform: None,
                };
                found.leaves.push(leaf);
            }
            return found;
        }
        let mut leaves = BTreeMap::new();
        let root = Step {
            digest: subject,
            component: None,
            invocation: false,
            in_bundle: false,
        };
        // Level by level, each index once a level: shared children cost nothing twice, and a
        // cycle (no digests can form one, made-up events can) ends at the deepest level.
        let mut level = BTreeSet::from([root]);
        for depth in 0.. {
            if level.is_empty() {
                break;
            }
            if depth > DEEPEST {
                found.invalid.extend(level.iter().map(|step| step.digest));
                break;
            }
            let mut next = BTreeSet::new();
            for step in &level {
                self.expand_index(step, &mut found, &mut leaves, &mut next);
            }
            level = next;
        }
        found.leaves = leaves.into_values().collect();
        found
            .leaves
            .sort_by(|a, b| self.digest(a.digest).cmp(self.digest(b.digest)));
        found
    }

    fn expand_index(
        &self,
        step: &Step,
        found: &mut Structure,
        leaves: &mut BTreeMap<DigestId, Leaf>,
        next: &mut BTreeSet<Step>,
    ) {
        found.indexes.insert(step.digest);
        let Some(children) = &self.manifest(step.digest).children else {
            found.unknown.insert(step.digest);
            return;
        };
        for child in children.iter() {
            if child.cnab == CnabType::Unknown {
                found.invalid.insert(step.digest);
            }
            let left_out = match child.cnab {
                CnabType::Config => Some(LeftOut::Config),
                _ if child.attestation => Some(LeftOut::Attestation),
                // An index is expanded whatever type it declares: images in it stay in.
                _ if child.is_index || self.is_index(child.digest) => None,
                _ if child.non_image || self.is_non_image(child.digest) => Some(LeftOut::Artifact),
                _ => None,
            };
            if let Some(reason) = left_out {
                found.left_out.insert((child.digest, reason));
                continue;
            }
            found
                .holders
                .entry(child.digest)
                .or_default()
                .insert(step.digest);
            let component = child.component.or(step.component);
            let invocation = step.invocation || child.cnab == CnabType::Invocation;
            let in_bundle = step.in_bundle || child.cnab == CnabType::Component;
            if child.is_index || self.is_index(child.digest) {
                next.insert(Step {
                    digest: child.digest,
                    component,
                    invocation,
                    in_bundle,
                });
                continue;
            }
            let role = match (invocation, in_bundle) {
                (true, _) => Role::Invocation,
                (false, true) => Role::Component,
                (false, false) => Role::Platform,
            };
            let leaf = Leaf {
                digest: child.digest,
                component,
                role,
                platform: child.platform.clone(),
            };
            let known = leaves.entry(child.digest).or_insert_with(|| leaf.clone());
            // One digest under several descriptors: the least of each, whatever their order.
            known.role = known.role.min(leaf.role);
            known.component = match (known.component, leaf.component) {
                (Some(a), Some(b)) => Some(if self.text(a) <= self.text(b) { a } else { b }),
                (a, b) => a.or(b),
            };
            known.platform = match (known.platform.take(), leaf.platform) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }

    /// Everything between a subject and its promotion that scans and content say: unordered.
    ///
    /// `scanners` are those that must all be in good standing; with `scans` false only content and
    /// presence count.
    pub(crate) fn gate(
        &self,
        repository: NameId,
        subject: DigestId,
        structure: &Structure,
        scanners: &[NameId],
        scans: bool,
    ) -> Vec<Reason> {
        let mut obstacles = Vec::new();
        let mut about = |code, digest: DigestId| {
            obstacles.push(Reason::about(code, self.digest(digest).clone()))
        };
        for index in &structure.invalid {
            about(ReasonCode::AppInvalid, *index);
        }
        for index in &structure.unknown {
            about(ReasonCode::ManifestUnknown, *index);
        }
        let complete = structure.invalid.is_empty() && structure.unknown.is_empty();
        if scans && structure.leaves.is_empty() && complete {
            about(ReasonCode::NothingToScan, subject);
        }
        for digest in self.absent(repository, subject, structure) {
            let mut reason =
                Reason::about(ReasonCode::ManifestDeleted, self.digest(digest).clone());
            if let Some(leaf) = structure.leaves.iter().find(|leaf| leaf.digest == digest) {
                self.describe(leaf, &mut reason);
            }
            obstacles.push(reason);
        }
        if scans {
            for leaf in &structure.leaves {
                if let Some(code) = self.scan_obstacle(leaf.digest, scanners) {
                    let mut reason = Reason::about(code, self.digest(leaf.digest).clone());
                    self.describe(leaf, &mut reason);
                    if code == ReasonCode::ScanFailed {
                        reason.message = self.scan_failures(leaf.digest);
                    }
                    obstacles.push(reason);
                }
            }
        }
        obstacles
    }

    fn describe(&self, leaf: &Leaf, reason: &mut Reason) {
        reason.component = leaf.component.map(|id| self.text(id).to_string());
        reason.platform = leaf.platform.as_deref().cloned();
    }

    /// What of a subject was deleted from `repository` after the last push there of itself or of
    /// an index above it (a registry refuses an index whose children are missing, so its push
    /// proves them).
    pub(crate) fn absent(
        &self,
        repository: NameId,
        subject: DigestId,
        structure: &Structure,
    ) -> Vec<DigestId> {
        // The subject, the leaves, and the indexes between them; what holds no image is not missed.
        let mut distinct = BTreeSet::from([subject]);
        let mut open: Vec<DigestId> = structure.leaves.iter().map(|leaf| leaf.digest).collect();
        while let Some(part) = open.pop() {
            if distinct.insert(part) {
                open.extend(structure.holders.get(&part).into_iter().flatten());
            }
        }
        distinct
            .into_iter()
            .filter(|part| {
                let deleted = self.deletions.get(&(repository, *part));
                deleted.is_some_and(|deleted| *deleted > self.proved(repository, *part, structure))
            })
            .collect()
    }

    /// The last push of an index that is above `part` in the subject.
    fn proved(&self, repository: NameId, part: DigestId, structure: &Structure) -> u64 {
        let mut seen = BTreeSet::new();
        let mut open = vec![part];
        let mut latest = 0;
        while let Some(digest) = open.pop() {
            for holder in structure.holders.get(&digest).into_iter().flatten() {
                if seen.insert(*holder) {
                    latest = latest.max(
                        self.index_pushes
                            .get(&(repository, *holder))
                            .copied()
                            .unwrap_or(0),
                    );
                    open.push(*holder);
                }
            }
        }
        latest
    }

    /// Why a leaf is not scanned; `None` if it is (DESIGN 4.3).
    pub(crate) fn scan_obstacle(&self, leaf: DigestId, scanners: &[NameId]) -> Option<ReasonCode> {
        let Some(scans) = self.scans.get(&leaf) else {
            return Some(ReasonCode::ScanMissing);
        };
        let mut good = scans.in_good_standing().map(|(name, _)| name).peekable();
        let any = good.peek().is_some();
        let standing: Vec<NameId> = if scanners.is_empty() {
            Vec::new()
        } else {
            good.collect()
        };
        if any && scanners.iter().all(|wanted| standing.contains(wanted)) {
            return None;
        }
        let states = || scans.scanners.iter().map(|(_, state)| state);
        if states().any(|state| matches!(state.attempt, Some(Attempt::Failed(_)))) {
            Some(ReasonCode::ScanFailed)
        } else if states().any(|state| state.running) {
            Some(ReasonCode::ScanRunning)
        } else {
            Some(ReasonCode::ScanMissing)
        }
    }

    fn scan_failures(&self, leaf: DigestId) -> Option<String> {
        let scans = self.scans.get(&leaf)?;
        let failures: Vec<String> = scans
            .scanners
            .iter()
            .filter_map(|(name, state)| match &state.attempt {
                Some(Attempt::Failed(reason)) => {
                    Some(format!("{}: {}", self.text(*name), self.text(*reason)))
                }
                _ => None,
            })
            .collect();
        Some(failures.join("; "))
    }

    /// Whether scans count for a class under a rule: no rule can switch them off for an app.
    pub(crate) fn scans_count(class: Class, required: bool) -> bool {
        required || class == Class::App
    }
}
