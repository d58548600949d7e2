//! The scan gate: what must be scanned before something may move, and what is in the way.
//!
//! `structure` says what a manifest's content asks for (DESIGN 4.2). The gate joins it with
//! presence and scans (4.3, 4.4).

mod structure;

use std::{collections::BTreeSet, sync::Arc};

use weir_schema::ReasonCode;

pub use structure::DEEPEST;
pub(crate) use structure::{Above, Leaf, Parts, Structure};

pub use crate::state::Mention;

use crate::{
    Class,
    state::{Attempt, DigestId, More, NameId, Obstacle, Reads, RepositoryId, State, clipped},
};

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

/// What the gate is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) repository: RepositoryId,
    pub(crate) subject: DigestId,
    pub(crate) parts: &'a Parts,
    /// Those that must all be in good standing; if there are none, any one.
    pub(crate) scanners: &'a [NameId],
    /// With `false` only content and presence count.
    pub(crate) scans: bool,
}

impl State {
    /// Everything between a subject and its promotion that scans and content say, unordered, with
    /// what the answer rests on.
    pub(crate) fn gate(&self, question: &Question<'_>) -> (Vec<Obstacle>, Reads) {
        let parts = question.parts;
        let mut obstacles = Vec::new();
        for index in parts.invalid() {
            obstacles.push(of_index(ReasonCode::AppInvalid, *index, parts));
        }
        for index in parts.unknown() {
            obstacles.push(of_index(ReasonCode::ManifestUnknown, *index, parts));
        }
        let complete = obstacles.is_empty();
        if question.scans && parts.leaves().is_empty() && complete {
            obstacles.push(Obstacle::about(ReasonCode::NothingToScan, question.subject));
        }
        for digest in self.absent(question.repository, question.subject, parts) {
            let leaf = parts.leaves().iter().find(|leaf| leaf.digest == digest);
            let code = ReasonCode::ManifestDeleted;
            obstacles.push(match leaf {
                Some(leaf) => described(code, leaf),
                None => of_index(code, digest, parts),
            });
        }
        if !question.scans {
            return (obstacles, Reads::NOTHING);
        }
        let mut reads = Reads::SCANS;
        for leaf in parts.leaves() {
            if let Some(code) = self.scan_obstacle(leaf.digest, question.scanners) {
                let mut obstacle = described(code, leaf);
                if code == ReasonCode::ScanFailed {
                    obstacle.more = self.scan_failures(leaf.digest).map(Arc::new);
                }
                obstacles.push(obstacle);
                reads = reads.and(Reads::RUNNING);
            }
        }
        (obstacles, reads)
    }

    /// What of a subject was deleted from `repository` after the last push there of itself or of
    /// an index above it (a registry refuses an index whose children are missing, so its push
    /// proves them).
    pub(crate) fn absent(
        &self,
        repository: RepositoryId,
        subject: DigestId,
        parts: &Parts,
    ) -> Vec<DigestId> {
        if self.repository(repository).deletions == 0 {
            return Vec::new();
        }
        // The subject, the leaves, and the indexes between them; what holds no image is not missed.
        let mut distinct = BTreeSet::from([subject]);
        let mut open: Vec<DigestId> = parts.leaves().iter().map(|leaf| leaf.digest).collect();
        while let Some(part) = open.pop() {
            if distinct.insert(part) {
                open.extend(parts.holders(part));
            }
        }
        let is_absent = |part: &DigestId| {
            let deleted = self.content(*part).deleted(repository);
            deleted.is_some_and(|deleted| deleted > self.proved(repository, *part, parts))
        };
        distinct.into_iter().filter(is_absent).collect()
    }

    /// The last push of an index that is above `part` in the subject.
    fn proved(&self, repository: RepositoryId, part: DigestId, parts: &Parts) -> u64 {
        let mut seen = BTreeSet::new();
        let mut open = vec![part];
        let mut latest = 0;
        while let Some(digest) = open.pop() {
            for holder in parts.holders(digest) {
                if seen.insert(holder) {
                    let pushed = self.content(holder).pushed(repository);
                    latest = latest.max(pushed.unwrap_or(0));
                    open.push(holder);
                }
            }
        }
        latest
    }

    /// Why a leaf is not scanned; `None` if it is (DESIGN 4.3).
    pub(crate) fn scan_obstacle(&self, leaf: DigestId, scanners: &[NameId]) -> Option<ReasonCode> {
        let standing = self.standing(leaf);
        if standing.report.is_some() && (scanners.is_empty() || self.are_good(leaf, scanners)) {
            return None;
        }
        Some(if standing.failed {
            ReasonCode::ScanFailed
        } else if standing.running {
            ReasonCode::ScanRunning
        } else {
            ReasonCode::ScanMissing
        })
    }

    fn are_good(&self, leaf: DigestId, scanners: &[NameId]) -> bool {
        let scans = self.scans(leaf);
        scans.is_some_and(|scans| {
            let good = |wanted: &NameId| scans.in_good_standing().any(|(name, _)| name == *wanted);
            scanners.iter().all(good)
        })
    }

    fn scan_failures(&self, leaf: DigestId) -> Option<More> {
        let scanners = self.scans(leaf)?.scanners.iter();
        let failures: Vec<String> = scanners
            .filter_map(|state| match &state.attempt {
                Attempt::Failed(reason) => Some(format!("{}: {reason}", self.text(state.name))),
                Attempt::None | Attempt::Completed => None,
            })
            .collect();
        Some(More {
            message: Some(clipped(&failures.join("; ")).into_owned()),
            ..More::default()
        })
    }

    /// Whether scans count for a class under a rule: no rule can switch them off for an app.
    pub(crate) fn scans_count(class: Class, required: bool) -> bool {
        required || class == Class::App
    }
}

/// An obstacle about a leaf.
fn described(code: ReasonCode, leaf: &Leaf) -> Obstacle {
    Obstacle {
        component: leaf.component,
        platform: leaf.platform,
        ..Obstacle::about(code, leaf.digest)
    }
}

/// An obstacle about an index.
fn of_index(code: ReasonCode, index: DigestId, parts: &Parts) -> Obstacle {
    Obstacle {
        component: parts.component_of(index),
        ..Obstacle::about(code, index)
    }
}
