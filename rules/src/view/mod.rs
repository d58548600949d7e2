//! What of the state is shown: repositories, tags, promotions, what is still to be resolved.

mod manifests;
mod promotions;

use std::collections::BTreeMap;

use serde::Serialize;
use weir_schema::{Digest, Reason, RepositoryName, Tag, Timestamp, Verdict};

pub use manifests::{Held, IndexView};
pub use promotions::{OpenCopy, PromotionView};

use crate::{
    explain::{Image, LeftOut},
    state::{State, Subject, TagId},
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
    /// What no longer holds of a promoted tag, as it would be said now.
    pub violation: Option<Vec<Reason>>,
}

/// What a tag points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The digest.
    pub digest: Digest,
    /// Since when, by the log's clock.
    pub since: Timestamp,
    /// The record at which it came to point at the digest.
    pub binding: u64,
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
            violation: self.violation_now(id),
        })
    }

    /// What no longer holds of what a tag was promoted as. While a violation lasts no record tells that
    /// something else holds no longer than when it was found.
    fn violation_now(&self, id: TagId) -> Option<Vec<Reason>> {
        let promoted = self.tag_row(id).promoted.as_ref()?;
        let found = promoted.violation.as_deref()?;
        let parts = self.parts_now(promoted.bound.digest);
        let now = self.judge_promoted(id, parts).map(|now| now.reasons);
        // Without its rule nothing is said anew.
        let said = now.as_deref().filter(|now| !now.is_empty());
        Some(self.reasons(said.unwrap_or(found)))
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

    /// What a tag points at, and since when.
    #[must_use]
    pub fn bound(&self, repository: &RepositoryName, tag: &Tag) -> Option<Bound> {
        let id = self.find_tag(repository.as_str(), tag.as_str())?;
        let bound = self.tag_row(id).bound.as_ref()?;
        Some(Bound {
            digest: self.digest(bound.digest).clone(),
            since: bound.bound_at,
            binding: bound.binding,
        })
    }

    /// When time alone may next change something, always after the present record. What may change at
    /// any time, as by the hour of `now`, is looked at again with the next full minute.
    #[must_use]
    pub fn next_alarm(&self) -> Option<Timestamp> {
        let first = self.alarms.first().map(|(at, _)| *at);
        let minute = (!self.restless.is_empty()).then(|| next_minute(self.now));
        first.into_iter().chain(minute.flatten()).min()
    }

    /// Whether nothing changes by a record at `at`, unless by what it says.
    #[must_use]
    pub fn is_at_rest(&self, at: Timestamp) -> bool {
        let due = self.alarms.first().is_some_and(|(due, _)| *due <= at);
        at <= self.now || self.restless.is_empty() && !due
    }

    /// What each tag points at, with the record at which it came to.
    #[must_use]
    pub fn tag_bindings(&self) -> BTreeMap<(RepositoryName, Tag), (Digest, u64)> {
        let tags = self.tags.existing().filter_map(|(id, _, bound)| {
            let found = self.tag_ref(id, bound.digest);
            let pointed = (found.digest?, bound.binding);
            Some(((found.repository, found.tag), pointed))
        });
        tags.collect()
    }
}

/// The first full minute after a time; `None` where no time is so late.
fn next_minute(now: Timestamp) -> Option<Timestamp> {
    const MINUTE: i128 = 60_000_000_000;
    let nanos = now.nanos();
    Timestamp::from_nanos(nanos - nanos.rem_euclid(MINUTE) + MINUTE)
}
