//! What of the state is shown: repositories, tags, promotions, what is still to be resolved.

use std::sync::Arc;

use serde::Serialize;
use weir_schema::{Digest, Reason, RepositoryName, Tag, TagRef, TargetRef, Timestamp, Verdict};

use crate::{
    explain::{Image, LeftOut},
    state::{DigestId, Progress, Promotion, State, TagKey},
    step::Copy,
};

/// A tag with everything that is said of it.
#[derive(Debug, Serialize)]
pub struct TagView {
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What it points at.
    pub digest: String,
    /// `app`, `index`, `image` or `artifact`.
    pub class: &'static str,
    /// Since when.
    pub pushed_at: Timestamp,
    /// Who pushed it.
    pub pushed_by: Option<String>,
    /// The images in it.
    pub images: Vec<Image>,
    /// What is in it and needs no scan.
    pub left_out: Vec<LeftOut>,
    /// Indexes in it whose children are not known.
    pub unknown: Vec<String>,
    /// Promotions that brought it here, the oldest first: rule and source.
    pub lineage: Vec<HopView>,
    /// The verdict under each rule.
    pub verdicts: Vec<VerdictView>,
    /// What no longer holds of a promoted tag.
    pub violation: Option<Vec<Reason>>,
}

/// A promotion to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCopy {
    /// What to copy, and what the target tag must hold.
    pub copy: Copy,
    /// It has begun: it completes whatever becomes of the source tag.
    pub begun: bool,
    /// How often it was tried.
    pub attempts: u32,
}

/// What a tag points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The digest.
    pub digest: Digest,
    /// Since when, by the log's clock.
    pub since: Timestamp,
    /// It pointed elsewhere before.
    pub moved: bool,
}

/// An earlier promotion.
#[derive(Debug, Serialize)]
pub struct HopView {
    /// The rule.
    pub rule: String,
    /// The source, as `repository:tag`.
    pub source: String,
    /// When.
    pub at: Timestamp,
}

/// The verdict of a subject.
#[derive(Debug, Serialize)]
pub struct VerdictView {
    /// The rule.
    pub rule: String,
    /// The target, as `repository:tag`.
    pub target: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Its reasons.
    pub reasons: Vec<Reason>,
    /// The record of the decision.
    pub decided: u64,
}

/// A promotion that is not completed.
#[derive(Debug, Serialize)]
pub struct PromotionView {
    /// Its name.
    pub promotion_id: String,
    /// The rule.
    pub rule: String,
    /// The source.
    pub source: TagRef,
    /// The target.
    pub target: TargetRef,
    /// `decided`, `started` or `failed`.
    pub progress: &'static str,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed last.
    pub error: Option<String>,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// A hold that is in force.
#[derive(Debug, Serialize)]
pub struct HoldView {
    /// Its name.
    pub hold_id: String,
    /// Who placed it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Only these repositories, as source or target.
    pub repository: Option<String>,
    /// Only this digest.
    pub digest: Option<Digest>,
    /// Only this rule.
    pub rule: Option<String>,
}

impl State {
    /// The holds in force, in the order of their names.
    #[must_use]
    pub fn holds(&self) -> Vec<HoldView> {
        let all = self.holds.iter();
        all.map(|(id, hold)| HoldView {
            hold_id: id.clone(),
            actor: hold.actor.clone(),
            reason: hold.reason.clone(),
            repository: hold.repository.as_ref().map(|scope| scope.text.clone()),
            digest: hold.digest.clone(),
            rule: hold.rule.clone(),
        })
        .collect()
    }

    /// How many target tags hold what would not be promoted now.
    #[must_use]
    pub fn violations(&self) -> usize {
        let all = self.promoted.values();
        all.filter(|one| one.violation.is_some()).count()
    }

    /// The tags of a repository, or of all, in order.
    #[must_use]
    pub fn tags(&self, repository: Option<&str>) -> Vec<TagView> {
        let keys = self
            .tags
            .keys()
            .filter(|key| repository.is_none_or(|name| &**self.text(key.0) == name));
        let mut sorted: Vec<&TagKey> = keys.collect();
        sorted.sort_by_key(|key| (self.text(key.0), self.text(key.1)));
        sorted
            .into_iter()
            .filter_map(|key| self.view(*key))
            .collect()
    }

    /// One tag.
    #[must_use]
    pub fn tag(&self, repository: &str, tag: &str) -> Option<TagView> {
        self.view((self.names.find(repository)?, self.names.find(tag)?))
    }

    /// What a tag points at, and the record at which it came to.
    #[must_use]
    pub fn binding(&self, repository: &str, tag: &str) -> Option<(&Digest, u64)> {
        let key = (self.names.find(repository)?, self.names.find(tag)?);
        let bound = self.tags.get(&key)?;
        Some((self.digest(bound.digest), bound.binding))
    }

    /// The repositories that have tags, in order.
    #[must_use]
    pub fn repository_names(&self) -> Vec<String> {
        let names: std::collections::BTreeSet<&Arc<str>> =
            self.tags.keys().map(|key| self.text(key.0)).collect();
        names.into_iter().map(ToString::to_string).collect()
    }

    fn view(&self, key: TagKey) -> Option<TagView> {
        let bound = self.tags.get(&key)?;
        let structure = self.structure_now(bound.digest);
        let verdicts = self
            .subjects
            .range((key, crate::state::NameId::FIRST)..)
            .take_while(|(subject, _)| subject.0 == key)
            .map(|((_, rule), subject)| VerdictView {
                rule: self.text(*rule).to_string(),
                target: format!(
                    "{}:{}",
                    self.text(subject.target.0),
                    self.text(subject.target.1)
                ),
                verdict: subject.verdict,
                reasons: subject.reasons.to_vec(),
                decided: subject.decided,
            });
        let mut verdicts: Vec<VerdictView> = verdicts.collect();
        verdicts.sort_by(|a, b| a.rule.cmp(&b.rule));
        let lineage = bound.lineage().iter().map(|hop| HopView {
            rule: self.text(hop.rule).to_string(),
            source: format!("{}:{}", self.text(hop.repository), self.text(hop.tag)),
            at: hop.at,
        });
        Some(TagView {
            repository: self.text(key.0).to_string(),
            tag: self.text(key.1).to_string(),
            digest: self.digest(bound.digest).to_string(),
            class: self.class(key.0, bound.digest).as_str(),
            pushed_at: bound.bound_at,
            pushed_by: bound.pushed_by.map(|actor| self.text(actor).to_string()),
            images: self.images_of(&structure, &[]),
            left_out: self.left_out_of(&structure),
            unknown: structure
                .unknown
                .iter()
                .map(|id| self.digest(*id).to_string())
                .collect(),
            lineage: lineage.collect(),
            verdicts,
            violation: self
                .promoted
                .get(&key)
                .and_then(|known| known.violation.as_deref())
                .map(<[Reason]>::to_vec),
        })
    }

    /// Promotions that are not completed, in the order of their decisions.
    #[must_use]
    pub fn promotions(&self) -> Vec<PromotionView> {
        let all = self.promotions.iter();
        all.map(|(id, promotion)| PromotionView {
            promotion_id: crate::evolve::promotion_id(*id),
            rule: self.text(promotion.rule).to_string(),
            source: self.tag_ref(promotion.source, promotion.bound.digest),
            target: self.target_ref(promotion.target),
            progress: match promotion.progress {
                Progress::Decided => "decided",
                Progress::Started => "started",
                Progress::Failed => "failed",
            },
            attempts: promotion.attempts,
            error: promotion.error.clone(),
            decided_at: promotion.decided_at,
        })
        .collect()
    }

    /// Promotions to carry out: what a node does when it starts or takes over.
    #[must_use]
    pub fn open_copies(&self) -> Vec<OpenCopy> {
        let ids = self.promotions.keys();
        ids.filter_map(|id| self.open_copy(&crate::evolve::promotion_id(*id)))
            .collect()
    }

    /// The promotion of that name as it is to be carried out now; `None` if it is done, given up or
    /// overtaken.
    #[must_use]
    pub fn open_copy(&self, promotion_id: &str) -> Option<OpenCopy> {
        let id = crate::evolve::promotion_number(promotion_id)?;
        let promotion = self.promotions.get(&id)?;
        (promotion.progress != Progress::Failed).then(|| OpenCopy {
            copy: self.copy(id, promotion),
            begun: promotion.progress == Progress::Started,
            attempts: promotion.attempts,
        })
    }

    pub(crate) fn copy(&self, id: u64, promotion: &Promotion) -> Copy {
        let expected = self.expected_at_target(promotion);
        Copy {
            promotion_id: crate::evolve::promotion_id(id),
            rule: self.text(promotion.rule).to_string(),
            source: self.tag_ref(promotion.source, promotion.bound.digest),
            target: self.target_ref(promotion.target),
            expected: expected.map(|digest| self.digest(digest).clone()),
        }
    }

    /// What the target tag must hold for the copy to move it: what it held when the promotion was
    /// decided, or what an earlier one has put there since. A later one is not undone.
    fn expected_at_target(&self, promotion: &Promotion) -> Option<DigestId> {
        let seen = promotion.before.digest;
        let (Some(tag), Some(other)) = (
            self.tags.get(&promotion.target),
            self.promoted.get(&promotion.target),
        ) else {
            return seen;
        };
        let same_way = (other.rule, other.source.0) == (promotion.rule, promotion.source.0);
        let earlier = if same_way {
            other.bound.binding < promotion.bound.binding
        } else {
            other.decided_at <= promotion.decided_at
        };
        if earlier { Some(tag.digest) } else { seen }
    }

    /// What a tag points at, and since when.
    #[must_use]
    pub fn bound(&self, repository: &RepositoryName, tag: &Tag) -> Option<Bound> {
        let key = (
            self.names.find(repository.as_str())?,
            self.names.find(tag.as_str())?,
        );
        let bound = self.tags.get(&key)?;
        Some(Bound {
            digest: self.digest(bound.digest).clone(),
            since: bound.bound_at,
            moved: bound.previous.is_some(),
        })
    }

    /// The images with this configuration: what a scanner's report is about that names no manifest.
    #[must_use]
    pub fn images_with_config(&self, config: &Digest) -> Vec<Digest> {
        let all = self.manifests.iter().enumerate();
        let with = all.filter(|(_, manifest)| {
            let details = manifest.details.as_ref();
            details.and_then(|details| details.config_digest.as_ref()) == Some(config)
        });
        let mut digests: Vec<Digest> = with
            .map(|(place, _)| self.digests.at(place).clone())
            .collect();
        digests.sort();
        digests
    }

    /// Whether a digest is known to be that of an index.
    #[must_use]
    pub fn is_known_index(&self, digest: &Digest) -> bool {
        let id = self.digests.find(digest);
        id.is_some_and(|id| self.is_index(id))
    }

    /// When time alone will next change something.
    #[must_use]
    pub fn next_alarm(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Tagged manifests of which something below is not known, each with a repository it is in.
    #[must_use]
    pub fn unresolved(&self) -> Vec<(RepositoryName, Digest)> {
        let tags = self.tags.iter();
        let unknown =
            tags.filter(|(_, bound)| !self.structure_now(bound.digest).unknown.is_empty());
        unknown
            .filter_map(|(key, bound)| {
                Some((
                    self.text(key.0).parse().ok()?,
                    self.digest(bound.digest).clone(),
                ))
            })
            .collect()
    }

    /// Whether everything that a report or a rule may ask of a manifest is known.
    #[must_use]
    pub fn is_resolved(&self, digest: &Digest) -> bool {
        let Some(id) = self.digests.find(digest) else {
            return false;
        };
        let structure = self.structure_now(id);
        let known = |leaf: DigestId| {
            self.manifest(leaf)
                .details
                .as_ref()
                .is_some_and(|details| details.config_digest.is_some())
        };
        structure.unknown.is_empty() && structure.leaves.iter().all(|leaf| known(leaf.digest))
    }

    /// The manifest that a scanner's report is about, by the digest of its configuration: one of
    /// the `candidates` if it is an image, or the image in it with that configuration if it is an
    /// index. `None` if nothing known says so.
    #[must_use]
    pub fn leaf_by_config(&self, candidates: &[Digest], config: &Digest) -> Option<Digest> {
        let has = |id: DigestId| {
            let details = self.manifest(id).details.as_ref();
            details.and_then(|details| details.config_digest.as_ref()) == Some(config)
        };
        candidates.iter().find_map(|candidate| {
            let id = self.digests.find(candidate)?;
            let structure = self.structure_now(id);
            let mut leaves = structure.leaves.iter().map(|leaf| leaf.digest);
            leaves
                .find(|leaf| has(*leaf))
                .map(|leaf| self.digest(leaf).clone())
        })
    }

    /// Whether a digest is known to be the manifest of one image.
    #[must_use]
    pub fn is_known_image(&self, digest: &Digest) -> bool {
        self.digests
            .find(digest)
            .is_some_and(|id| self.manifest(id).media_type.is_some() && !self.is_index(id))
    }

    /// A repository in which a digest is, by a tag that holds it.
    #[must_use]
    pub fn repository_of(&self, digest: &Digest) -> Option<RepositoryName> {
        let id = self.digests.find(digest)?;
        let above = self.above(id);
        let key = above
            .into_iter()
            .find_map(|id| self.manifest(id).tags.first().copied())?;
        self.text(key.0).parse().ok()
    }

    /// What each tag points at, in order.
    #[must_use]
    pub fn bound_tags(&self) -> Vec<((RepositoryName, Tag), Digest)> {
        let tags = self.tags.iter().filter_map(|(key, bound)| {
            let name = (
                self.text(key.0).parse().ok()?,
                self.text(key.1).parse().ok()?,
            );
            Some((name, self.digest(bound.digest).clone()))
        });
        let mut tags: Vec<_> = tags.collect();
        tags.sort();
        tags
    }

    /// The images within tagged indexes and the indexes between them, with the repositories that
    /// are to hold them: without what is known to be gone from there.
    #[must_use]
    pub fn held_manifests(&self) -> Vec<(RepositoryName, Digest)> {
        let mut held = std::collections::BTreeSet::new();
        for (key, bound) in &self.tags {
            let structure = self.structure_now(bound.digest);
            let gone = self.absent(key.0, bound.digest, &structure);
            let leaves = structure.leaves.iter().map(|leaf| leaf.digest);
            let parts = leaves.chain(structure.indexes.iter().copied());
            held.extend(
                parts
                    .filter(|part| *part != bound.digest && !gone.contains(part))
                    .map(|part| (key.0, part)),
            );
        }
        let pairs = held.into_iter();
        pairs
            .filter_map(|(name, part)| {
                Some((self.text(name).parse().ok()?, self.digest(part).clone()))
            })
            .collect()
    }

    /// Leaves without a completed scan under some tag, each with a repository it is in.
    #[must_use]
    pub fn unscanned(&self) -> Vec<(RepositoryName, Digest)> {
        let mut found = std::collections::BTreeSet::new();
        for (key, bound) in &self.tags {
            for leaf in &self.structure_now(bound.digest).leaves {
                if self.scan_obstacle(leaf.digest, &[]).is_some() {
                    found.insert((key.0, leaf.digest));
                }
            }
        }
        let pairs = found.into_iter();
        pairs
            .filter_map(|(name, leaf)| {
                Some((self.text(name).parse().ok()?, self.digest(leaf).clone()))
            })
            .collect()
    }
}
