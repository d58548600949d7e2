//! Where a rule would put a tag, and what stands against it there.

use weir_schema::{ReasonCode, Timestamp};

use super::Judgement;
use crate::{
    facts::{Case, Target},
    rule::RuleTarget,
    state::{
        Bound, DigestId, More, NameId, Obstacle, Path, Progress, Promotion, Reads, RepositoryId,
        State, TagId,
    },
    template::TemplateInput,
};

/// Where a rule would put a tag, by its templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) repository: String,
    pub(crate) tag: String,
}

impl State {
    /// Where `path` puts what a tag was bound to, with the templates' time at `at`.
    pub(crate) fn destination(
        &self,
        path: &Path,
        tag: TagId,
        bound: &Bound,
        at: Timestamp,
    ) -> Destination {
        let (repository, tag) = self.tag_texts(tag);
        let input = TemplateInput {
            tag,
            digest: &self.digest(bound.digest).to_string(),
            repository,
            captures: &path.captures,
            time: at.datetime(),
        };
        let rule = &path.rule.rule;
        Destination {
            repository: match &rule.to {
                RuleTarget::Repository(to) => to.render(&input),
                RuleTarget::Matching(_) | RuleTarget::Any => String::new(),
            },
            tag: rule.tag.render(&input),
        }
    }

    /// The repository that a plain path leads to.
    pub(crate) fn rendered_repository(&self, path: &Path, source: RepositoryId) -> String {
        let repository = &self.repository(source).text;
        let input = TemplateInput {
            tag: "",
            digest: "",
            repository,
            captures: &path.captures,
            time: self.now.datetime(),
        };
        match &path.rule.rule.to {
            RuleTarget::Repository(to) => to.render(&input),
            RuleTarget::Matching(_) | RuleTarget::Any => String::new(),
        }
    }

    /// The target with that number.
    pub(crate) fn target(&self, id: TagId) -> Target<'_> {
        let (repository, tag) = self.tag_texts(id);
        Target {
            id: Some(id),
            repository,
            tag,
            legal: self.tag_row(id).legal,
        }
    }

    /// The target that a rule's templates gave.
    pub(crate) fn target_at<'a>(&'a self, destination: &'a Destination) -> Target<'a> {
        match self.find_tag(&destination.repository, &destination.tag) {
            Some(id) => self.target(id),
            None => Target {
                id: None,
                repository: &destination.repository,
                tag: &destination.tag,
                legal: destination
                    .repository
                    .parse::<weir_schema::RepositoryName>()
                    .is_ok()
                    && destination.tag.parse::<weir_schema::Tag>().is_ok(),
            },
        }
    }

    /// The number of the target that a rule's templates gave.
    pub(crate) fn intern_target(&mut self, destination: &Destination) -> TagId {
        let repository = self.intern_repository_text(&destination.repository);
        self.intern_tag_text(repository, &destination.tag)
    }

    /// What a target tag holds.
    pub(crate) fn held_at(&self, target: Option<TagId>) -> Option<DigestId> {
        self.tag_row(target?).digest()
    }

    /// Whether tags of the target's repository may not move.
    pub(crate) fn is_immutable(&self, target: &Target<'_>) -> bool {
        let known = match target.id {
            Some(id) => Some(self.tag_row(id).repository),
            None => self.repositories.find(target.repository),
        };
        known.is_some_and(|id| self.repository(id).immutable_tags)
    }

    /// Stage 3: the target. `already-there` is a reason of `promote` and ends the judgement.
    ///
    /// By hand (`None`) the way that something came, and what else is on the way, are no objection:
    /// somebody who goes back to an earlier build, or on to the next stage, knows what they ask for.
    pub(super) fn judge_target(
        &self,
        rule: Option<NameId>,
        case: &Case<'_>,
        judgement: &mut Judgement,
    ) {
        let reasons = &mut judgement.reasons;
        if !case.target.legal {
            let message = Some(format!(
                "`{}:{}` is no legal repository and tag",
                case.target.repository, case.target.tag
            ));
            let more = More {
                message,
                ..More::default()
            };
            reasons.push(Obstacle::with(ReasonCode::BadTag, more));
        }
        let itself = case.target.id == Some(case.source);
        let mut lineage = case.bound.lineage().iter();
        if itself || rule.is_some_and(|rule| lineage.any(|hop| hop.rule == rule)) {
            reasons.push(Obstacle::new(ReasonCode::Loop));
        }
        judgement.reads = judgement.reads.and(Reads::TARGET);
        let is_other = |held: DigestId| held != case.bound.digest;
        let moves_meanwhile = case
            .target
            .id
            .is_some_and(|target| self.coming_to(target).any(is_other));
        let is_there = case.target_digest == Some(case.bound.digest);
        if reasons.is_empty() && is_there && !moves_meanwhile {
            reasons.push(Obstacle::new(ReasonCode::AlreadyThere));
            return;
        }
        judgement.reads = judgement.reads.and(Reads::REPOSITORIES);
        let moves = case.target_digest.is_some_and(is_other) || moves_meanwhile;
        if moves && self.is_immutable(&case.target) {
            reasons.push(Obstacle::new(ReasonCode::TargetImmutable));
        }
        if rule.is_some_and(|rule| self.target_is_newer(rule, case)) {
            reasons.push(Obstacle::new(ReasonCode::TargetNewer));
        }
    }

    /// What is about to be put at a target tag: it counts from its decision on, for what is there now
    /// does not stay there. A copy that has not begun and whose source moved on will not be made.
    fn coming_to(&self, target: TagId) -> impl Iterator<Item = DigestId> {
        let is_coming = |promotion: &Promotion| match promotion.progress {
            Progress::Started | Progress::Arrived => true,
            Progress::Decided => {
                let source = self.tag_row(promotion.source).bound.as_ref();
                source.is_some_and(|bound| bound.binding == promotion.bound.binding)
            }
            Progress::Failed => false,
        };
        let on_their_way = self.promotions_to(target).map(|(_, promotion)| promotion);
        let coming = on_their_way.filter(move |promotion| is_coming(promotion));
        coming.map(|promotion| promotion.bound.digest)
    }

    /// Whether what the target tag holds, or is about to hold, came by the same rule from the same
    /// repository and a later binding.
    fn target_is_newer(&self, rule: NameId, case: &Case<'_>) -> bool {
        let Some(target) = case.target.id else {
            return false;
        };
        let later = |other_rule, source, binding: u64| {
            other_rule == rule && source == case.repository && binding > case.bound.binding
        };
        let bound = self.tag_row(target).bound.as_ref();
        let holds = bound
            .and_then(|bound| bound.origin.as_ref())
            .is_some_and(|origin| {
                let mut ways = origin.ways();
                ways.any(|way| later(way.rule, way.source, way.binding.unwrap_or(0)))
            });
        let on_their_way = self.promotions_to(target);
        holds
            || on_their_way
                .filter(|(_, promotion)| promotion.progress != Progress::Failed)
                .any(|(_, promotion)| {
                    let source = self.tag_row(promotion.source).repository;
                    later(promotion.rule, source, promotion.bound.binding)
                })
    }
}
