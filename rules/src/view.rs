//! What of the state is shown: repositories, tags, promotions, what is still to be resolved.

use std::collections::BTreeSet;

use serde::Serialize;
use weir_schema::{Digest, Reason, RepositoryName, Tag, TagRef, TargetRef, Timestamp, Verdict};

use crate::{
    evolve::{promotion_id, promotion_number},
    explain::{Image, LeftOut},
    state::{DigestId, Progress, Promotion, RepositoryId, Shape, State, Subject, TagId},
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
            digest: hold.digest.map(|digest| self.digest(digest).clone()),
            rule: hold.rule.clone(),
        })
        .collect()
    }

    /// How many target tags hold what would not be promoted now.
    #[must_use]
    pub fn violations(&self) -> usize {
        let promoted = self
            .tags
            .iter()
            .filter_map(|(_, tag)| tag.promoted.as_ref());
        promoted.filter(|one| one.violation.is_some()).count()
    }

    /// The tags of a repository, or of all, in order.
    #[must_use]
    pub fn tags(&self, repository: Option<&str>) -> Vec<TagView> {
        let ids: Vec<TagId> = match repository {
            Some(name) => {
                let known = self.repositories.find(name);
                known.map_or_else(Vec::new, |id| self.repository(id).tags.clone())
            }
            None => self.tags.existing().map(|(id, ..)| id).collect(),
        };
        self.views(ids)
    }

    /// At most `limit` tags of the repositories whose names pass, in order, those behind the tag
    /// `after` of a repository. Costs the tags of the repositories it reads, not those before.
    #[must_use]
    pub fn tags_where(
        &self,
        passes: impl Fn(&str) -> bool,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Vec<TagView> {
        let first = after.map_or("", |(repository, _)| repository);
        let known = self.repositories.from(first);
        let known = known.filter(|(_, repository)| passes(&repository.text));
        let mut views = Vec::new();
        for (_, repository) in known {
            let mut ids = repository.tags.clone();
            ids.retain(|id| after.is_none_or(|after| self.order_of(*id) > after));
            ids.sort_by_key(|id| self.tag_texts(*id));
            let here = ids.into_iter().filter_map(|id| self.view(id));
            views.extend(here.take(limit - views.len()));
            if views.len() >= limit {
                break;
            }
        }
        views
    }

    fn order_of(&self, id: TagId) -> (&str, &str) {
        let (repository, tag) = self.tag_texts(id);
        (repository, tag)
    }

    fn views(&self, mut ids: Vec<TagId>) -> Vec<TagView> {
        ids.sort_by_key(|id| self.tag_texts(*id));
        ids.into_iter().filter_map(|id| self.view(id)).collect()
    }

    /// Where the rules in force would put a tag: repository and tag of each target.
    #[must_use]
    pub fn destinations(&self, repository: &str, tag: &str) -> Vec<(String, String)> {
        let found = self.find_tag(repository, tag);
        let Some((id, bound)) = found.and_then(|id| Some((id, self.tag_row(id).bound.as_ref()?)))
        else {
            return Vec::new();
        };
        let paths = self.repository(self.tag_row(id).repository).paths.iter();
        let targets = paths.map(|path| self.destination(path, id, bound, self.now));
        targets
            .map(|target| (target.repository, target.tag))
            .collect()
    }

    /// The promotions that brought something to where it is, the oldest first.
    pub(crate) fn hops(&self, bound: &crate::state::Bound) -> Vec<HopView> {
        let hops = bound.lineage().iter().map(|hop| HopView {
            rule: self.text(hop.rule).to_string(),
            source: self.written(hop.source),
            at: hop.at,
        });
        hops.collect()
    }

    /// One tag.
    #[must_use]
    pub fn tag(&self, repository: &str, tag: &str) -> Option<TagView> {
        self.view(self.find_tag(repository, tag)?)
    }

    /// What a tag points at, and the record at which it came to.
    #[must_use]
    pub fn binding(&self, repository: &str, tag: &str) -> Option<(&Digest, u64)> {
        let bound = self
            .tag_row(self.find_tag(repository, tag)?)
            .bound
            .as_ref()?;
        Some((self.digest(bound.digest), bound.binding))
    }

    /// At most `limit` repositories that have tags, in order, those behind `after`.
    #[must_use]
    pub fn repository_names(&self, after: Option<&str>, limit: usize) -> Vec<String> {
        let known = self.repositories.from(after.unwrap_or_default());
        let with_tags = known.filter(|(_, known)| {
            let mut tags = known.tags.iter();
            after.is_none_or(|after| *known.text > *after)
                && tags.any(|id| self.tag_row(*id).bound.is_some())
        });
        let names = with_tags.map(|(_, known)| known.text.to_string());
        names.take(limit).collect()
    }

    /// A tag as it is written.
    pub(crate) fn written(&self, id: TagId) -> String {
        let (repository, tag) = self.tag_texts(id);
        format!("{repository}:{tag}")
    }

    fn view(&self, id: TagId) -> Option<TagView> {
        let tag = self.tag_row(id);
        let bound = tag.bound.as_ref()?;
        let parts = self.parts_now(bound.digest);
        let verdicts = tag
            .subjects
            .iter()
            .map(|subject| self.verdict_view(subject));
        let mut verdicts: Vec<VerdictView> = verdicts.collect();
        verdicts.sort_by(|a, b| a.rule.cmp(&b.rule));
        let unknown = parts.unknown().iter();
        let mut unknown: Vec<_> = unknown.map(|id| self.digest(*id).to_string()).collect();
        unknown.sort_unstable();
        let violation = tag
            .promoted
            .as_ref()
            .and_then(|known| known.violation.as_deref());
        Some(TagView {
            repository: self.repository(tag.repository).text.to_string(),
            tag: self.text(tag.name).to_string(),
            digest: self.digest(bound.digest).to_string(),
            class: self.class(tag.repository, bound.digest).as_str(),
            pushed_at: bound.bound_at,
            pushed_by: bound.pushed_by.map(|actor| self.text(actor).to_string()),
            images: self.images_of(&parts, &[]),
            left_out: self.left_out_of(bound.digest),
            unknown,
            lineage: self.hops(bound),
            verdicts,
            violation: violation.map(|reasons| self.reasons(reasons)),
        })
    }

    fn verdict_view(&self, subject: &Subject) -> VerdictView {
        VerdictView {
            rule: self.text(subject.rule).to_string(),
            target: self.written(subject.target),
            verdict: subject.verdict,
            reasons: self.reasons(&subject.reasons),
            decided: subject.decided,
        }
    }

    /// Promotions that are not completed, in the order of their decisions.
    #[must_use]
    pub fn promotions(&self) -> Vec<PromotionView> {
        let all = self.promotions.iter();
        all.map(|(id, promotion)| self.promotion_view(*id, promotion))
            .collect()
    }

    /// Those of what a tag points at by a rule, the newest first.
    pub(crate) fn promotions_of(&self, rule: &str, source: TagId) -> Vec<PromotionView> {
        let digest = self.tag_row(source).digest();
        let all = self.promotions.iter().rev();
        let own = all.filter(|(_, one)| {
            one.source == source
                && Some(one.bound.digest) == digest
                && **self.text(one.rule) == *rule
        });
        own.map(|(id, promotion)| self.promotion_view(*id, promotion))
            .collect()
    }

    fn promotion_view(&self, id: u64, promotion: &Promotion) -> PromotionView {
        PromotionView {
            promotion_id: promotion_id(id),
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
        }
    }

    /// How many promotions are decided and not done, and how many were given up.
    #[must_use]
    pub fn promotions_open_and_failed(&self) -> (usize, usize) {
        let all = self.promotions.values();
        let failed = all.filter(|one| one.progress == Progress::Failed).count();
        (self.promotions.len() - failed, failed)
    }

    /// When the oldest promotion was decided that is not done and was not given up.
    #[must_use]
    pub fn oldest_open_promotion(&self) -> Option<Timestamp> {
        let all = self.promotions.values();
        let open = all.filter(|one| one.progress != Progress::Failed);
        open.map(|one| one.decided_at).min()
    }

    /// Promotions to carry out: what a node does when it starts or takes over.
    #[must_use]
    pub fn open_copies(&self) -> Vec<OpenCopy> {
        let ids = self.promotions.keys();
        ids.filter_map(|id| self.open_copy(&promotion_id(*id)))
            .collect()
    }

    /// The promotion of that name as it is to be carried out now; `None` if it is done, given up or
    /// overtaken.
    #[must_use]
    pub fn open_copy(&self, promotion_id: &str) -> Option<OpenCopy> {
        let id = promotion_number(promotion_id)?;
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
            promotion_id: promotion_id(id),
            rule: self.text(promotion.rule).to_string(),
            source: self.tag_ref(promotion.source, promotion.bound.digest),
            target: self.target_ref(promotion.target),
            expected: expected.map(|digest| self.digest(digest).clone()),
        }
    }

    /// What the target tag must hold for the copy to move it: what it held when the promotion was
    /// decided, or what an earlier one has put there since. A later one is not undone.
    fn expected_at_target(&self, promotion: &Promotion) -> Option<DigestId> {
        let seen = promotion.before;
        let target = self.tag_row(promotion.target);
        let (Some(there), Some(other)) = (target.digest(), &target.promoted) else {
            return seen;
        };
        let from = |id: TagId| self.tag_row(id).repository;
        let same_way = other.rule == promotion.rule && from(other.source) == from(promotion.source);
        let earlier = if same_way {
            other.bound.binding < promotion.bound.binding
        } else {
            other.decided_at <= promotion.decided_at
        };
        if earlier { Some(there) } else { seen }
    }

    /// What a tag points at, and since when.
    #[must_use]
    pub fn bound(&self, repository: &RepositoryName, tag: &Tag) -> Option<Bound> {
        let id = self.find_tag(repository.as_str(), tag.as_str())?;
        let bound = self.tag_row(id).bound.as_ref()?;
        Some(Bound {
            digest: self.digest(bound.digest).clone(),
            since: bound.bound_at,
            moved: bound.previous.is_some(),
        })
    }

    /// The images with this configuration: what a scanner's report is about that names no manifest.
    #[must_use]
    pub fn images_with_config(&self, config: &Digest) -> Vec<Digest> {
        let all = self.contents.iter().enumerate();
        let with = all.filter(|(_, content)| {
            let details = content.details.as_ref();
            details.and_then(|details| details.config_digest.as_ref()) == Some(config)
        });
        let mut digests: Vec<Digest> = with
            .map(|(place, _)| self.digest(DigestId::at(place)).clone())
            .collect();
        digests.sort();
        digests
    }

    /// Whether a digest is known to be none that a report about the configuration `config` can be of:
    /// an index's, or that of an image with another configuration.
    #[must_use]
    pub fn is_known_otherwise(&self, digest: &Digest, config: &Digest) -> bool {
        let Some(id) = self.digests.find(digest) else {
            return false;
        };
        let details = self.content(id).details.as_ref();
        let known = details.and_then(|details| details.config_digest.as_ref());
        // Some stores of images say the manifest's digest where its configuration's belongs.
        let another = known.is_some_and(|known| known != config) && digest != config;
        another || self.manifest(id).shape == Shape::Index
    }

    /// When time alone will next change something.
    #[must_use]
    pub fn next_alarm(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Whether everything that a report or a rule may ask of a manifest is known.
    #[must_use]
    pub fn is_resolved(&self, digest: &Digest) -> bool {
        let Some(id) = self.digests.find(digest) else {
            return false;
        };
        let parts = self.parts_now(id);
        let known = |leaf: DigestId| {
            let details = self.content(leaf).details.as_ref();
            details.is_some_and(|details| details.config_digest.is_some())
        };
        parts.unknown().is_empty() && parts.leaves().iter().all(|leaf| known(leaf.digest))
    }

    /// The manifest that a scanner's report is about, by the digest of its configuration: one of
    /// the `candidates` if it is an image, or the image in it with that configuration if it is an
    /// index. `None` if nothing known says so.
    #[must_use]
    pub fn leaf_by_config(&self, candidates: &[Digest], config: &Digest) -> Option<Digest> {
        let has = |id: DigestId| {
            let details = self.content(id).details.as_ref();
            details.and_then(|details| details.config_digest.as_ref()) == Some(config)
        };
        candidates.iter().find_map(|candidate| {
            let parts = self.parts_now(self.digests.find(candidate)?);
            let mut leaves = parts.leaves().iter().map(|leaf| leaf.digest);
            let leaf = leaves.find(|leaf| has(*leaf))?;
            Some(self.digest(leaf).clone())
        })
    }

    /// A repository in which a digest is, by a tag that holds it.
    #[must_use]
    pub fn repository_of(&self, digest: &Digest) -> Option<RepositoryName> {
        let mut tags = self
            .above(self.digests.find(digest)?)
            .filter_map(|id| self.manifest(id).tags.as_slice().first());
        let tag = self.tag_row(*tags.next()?);
        self.repository(tag.repository).name.clone()
    }

    /// What each tag points at, in order.
    #[must_use]
    pub fn bound_tags(&self) -> Vec<((RepositoryName, Tag), Digest)> {
        let tags = self.tags.existing().filter_map(|(id, _, bound)| {
            let found = self.tag_ref(id, bound.digest);
            Some(((found.repository, found.tag), found.digest?))
        });
        let mut tags: Vec<_> = tags.collect();
        tags.sort();
        tags
    }

    /// The images within tagged indexes and the indexes between them, with the repositories that
    /// are to hold them: without what is known to be gone from there.
    #[must_use]
    pub fn held_manifests(&self) -> Vec<(RepositoryName, Digest)> {
        let mut held = BTreeSet::new();
        for (repository, bound) in self.bindings() {
            let parts = self.parts_now(bound.digest);
            let gone = self.absent(repository, bound.digest, &parts);
            let leaves = parts.leaves().iter().map(|leaf| leaf.digest);
            let all = leaves.chain(parts.indexes().iter().copied());
            let there = all.filter(|part| *part != bound.digest && !gone.contains(part));
            held.extend(there.map(|part| (repository, part)));
        }
        self.named(held)
    }

    /// Leaves without a completed scan under some tag, each with a repository it is in. Signatures
    /// and whatever else refers to a manifest are no images, though they may be tagged and look so.
    #[must_use]
    pub fn unscanned(&self) -> Vec<(RepositoryName, Digest)> {
        let mut found = BTreeSet::new();
        for (repository, bound) in self.bindings() {
            let details = self.content(bound.digest).details.as_ref();
            if details.is_some_and(|details| details.subject.is_some()) {
                continue;
            }
            for leaf in self.parts_now(bound.digest).leaves() {
                if self.scan_obstacle(leaf.digest, &[]).is_some() {
                    found.insert((repository, leaf.digest));
                }
            }
        }
        self.named(found)
    }

    fn bindings(&self) -> impl Iterator<Item = (RepositoryId, &crate::state::Bound)> {
        let tags = self.tags.existing();
        tags.map(|(_, tag, bound)| (tag.repository, bound))
    }

    fn named(&self, pairs: BTreeSet<(RepositoryId, DigestId)>) -> Vec<(RepositoryName, Digest)> {
        let pairs = pairs.into_iter().filter_map(|(repository, digest)| {
            let name = self.repository(repository).name.clone()?;
            Some((name, self.digest(digest).clone()))
        });
        pairs.collect()
    }
}
