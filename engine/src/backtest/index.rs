//! What each input of a history is about, noted while it is surveyed: what matters to a few subjects
//! is found in it, and read again.

use hashbrown::HashMap;
use weir_rules::pattern::RepositoryPattern;
use weir_schema::{Body, OverrideGranted};

use super::{
    mark::{Children, Mark, about_tag, mark_of, mark_of_digest},
    report::Moment,
};

/// How a record is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// As it is.
    Whole,
    /// What it says of content, and not where that is.
    Content,
    /// Not at all.
    NotAtAll,
}

/// What an input is about, for reading those again that matter to a few subjects.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) moment: Moment,
    pub(super) place: u64,
    pub(super) how: How,
    /// The repository it is about; 0 for none.
    pub(super) repository: Mark,
    /// The digest it is about; 0 for none.
    pub(super) digest: Mark,
}

/// An index of all inputs.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By ordinal, from 1.
    pub(super) inputs: Vec<About>,
    /// What else inputs are about, in their order: repositories, digests covered or referred to.
    pub(super) also: Vec<(Mark, u32)>,
    pub(super) children: Children,
    /// The names of repositories.
    pub(super) repositories: HashMap<Mark, String>,
    /// Repositories between which something moved that no decision tells of.
    pub(super) links: Vec<(Mark, Mark)>,
    overrides: HashMap<Mark, Override>,
}

/// What was said of an override.
#[derive(Debug)]
struct Override {
    /// The one repository where it holds; 0 if it may hold in several.
    repository: Mark,
    /// Where it was said.
    inputs: Vec<u32>,
}

impl Index {
    /// The moment of an ordinal.
    pub(super) fn moment(&self, ordinal: u32) -> Option<Moment> {
        self.about(ordinal).map(|about| about.moment)
    }

    /// The last ordinal; 0 if there is none.
    pub(super) fn last(&self) -> u32 {
        u32::try_from(self.inputs.len()).unwrap_or(u32::MAX)
    }

    /// The inputs up to an ordinal.
    pub(super) fn up_to(&self, last: u32) -> &[About] {
        let length = self.inputs.len().min(last as usize);
        self.inputs.get(..length).unwrap_or_default()
    }

    pub(super) fn about(&self, ordinal: u32) -> Option<&About> {
        self.inputs.get((ordinal as usize).checked_sub(1)?)
    }

    /// Notes what an input is about; gives a repository and a digest.
    pub(super) fn look(&mut self, body: &Body) -> (Mark, Mark) {
        // The input is not in the index yet.
        let ordinal = u32::try_from(self.inputs.len() + 1).unwrap_or(u32::MAX);
        match body {
            Body::ImagePushed(push) => {
                let digest = mark_of_digest(&push.digest);
                self.holds(digest, push.manifests.as_deref());
                if let Some(subject) = push.tag.as_ref().and_then(|tag| about_tag(tag.as_str())) {
                    self.also.push((subject, ordinal));
                }
                (self.repository(push.repository.as_str()), digest)
            }
            Body::ManifestResolved(facts) => {
                let digest = mark_of_digest(&facts.digest);
                self.holds(digest, facts.manifests.as_deref());
                if let Some(subject) = &facts.subject {
                    self.also.push((mark_of_digest(subject), ordinal));
                }
                (0, digest)
            }
            Body::ScanStarted(scan) => (0, mark_of_digest(&scan.digest)),
            Body::ScanFailed(scan) => (0, mark_of_digest(&scan.digest)),
            Body::ScanCompleted(scan) => {
                let covered = scan.covers.iter().flatten();
                let covered = covered.map(|digest| (mark_of_digest(digest), ordinal));
                self.also.extend(covered);
                (0, mark_of_digest(&scan.digest))
            }
            Body::RepositoryCreated(data) | Body::RepositoryDeleted(data) => {
                (self.repository(data.repository.as_str()), 0)
            }
            Body::RepositoryConfigured(data) => (self.repository(data.repository.as_str()), 0),
            Body::TagDeleted(data) => (self.repository(data.repository.as_str()), 0),
            Body::ManifestDeleted(data) => (self.repository(data.repository.as_str()), 0),
            Body::ApprovalGranted(vote) | Body::ApprovalRevoked(vote) => {
                (self.repository(vote.repository.as_str()), 0)
            }
            Body::PromotionRequested(request) => {
                let source = self.repository(request.repository.as_str());
                let target = self.repository(request.target.repository.as_str());
                self.also.push((target, ordinal));
                // Whatever came of it: without what happened at its source it might be promoted.
                self.links.push((source, target));
                (source, 0)
            }
            Body::PromotionStarted(outcome)
            | Body::PromotionCompleted(outcome)
            | Body::PromotionFailed(outcome) => {
                let source = self.repository(outcome.source.repository.as_str());
                let target = self.repository(&outcome.target.repository);
                self.also.push((target, ordinal));
                self.links.push((source, target));
                let digest = outcome.source.digest.as_ref().map_or(0, mark_of_digest);
                (source, digest)
            }
            Body::OverrideGranted(granted) => {
                let only = only_repository(granted);
                let only = only.map_or(0, |name| self.repository(&name));
                (
                    self.said_of_override(&granted.override_id, Some(only), ordinal),
                    0,
                )
            }
            Body::OverrideRevoked(revoked) => (
                self.said_of_override(&revoked.override_id, None, ordinal),
                0,
            ),
            // These speak of everything.
            Body::ScannerUpdated(_)
            | Body::HoldPlaced(_)
            | Body::HoldReleased(_)
            | Body::RulesActivated(_) => (0, 0),
            // These are not given.
            Body::ScanRequested(_)
            | Body::InputRejected(_)
            | Body::DecisionMade(_)
            | Body::ViolationFound(_)
            | Body::ViolationCleared(_)
            | Body::PromotionRetried(_)
            | Body::ClockTicked
            | Body::Unknown(_) => (0, 0),
        }
    }

    fn repository(&mut self, name: &str) -> Mark {
        let mark = mark_of(name);
        self.repositories
            .entry(mark)
            .or_insert_with(|| name.to_owned());
        mark
    }

    /// Notes what an input says of an override, with the one repository where it holds if it was
    /// granted (0 for more); gives the repository that the input is about. An override that is
    /// granted anew for another ends where it was.
    fn said_of_override(&mut self, id: &str, only: Option<Mark>, ordinal: u32) -> Mark {
        let known = self.overrides.entry(mark_of(id));
        let known = known.or_insert_with(|| Override {
            repository: only.unwrap_or_default(),
            inputs: Vec::new(),
        });
        if only.is_some_and(|only| only != known.repository) {
            known.repository = 0;
            for ordinal in known.inputs.drain(..) {
                if let Some(earlier) = self.inputs.get_mut(ordinal as usize - 1) {
                    earlier.repository = 0;
                }
            }
        }
        known.inputs.push(ordinal);
        known.repository
    }

    fn holds(&mut self, digest: Mark, manifests: Option<&[weir_schema::Descriptor]>) {
        if let Some(manifests) = manifests {
            let children = manifests.iter().map(|child| mark_of_digest(&child.digest));
            self.children
                .entry(digest)
                .or_insert_with(|| children.collect());
        }
    }
}

/// The repository where alone an override can hold.
fn only_repository(granted: &OverrideGranted) -> Option<String> {
    let pattern = granted.scope.as_ref()?.repository.as_ref()?;
    let pattern: RepositoryPattern = pattern.parse().ok()?;
    (pattern.wildcards() == 0).then(|| pattern.as_str().to_owned())
}
