//! What Weir itself did in the recorded history: its promotions, and a registry's notifications of
//! the copies that they made. Under other rules none of it is given.
//!
//! An outcome is Weir's own if the history holds the decision that started the promotion, with the
//! same rule, digest and target; of a history without any decision, if its rule is one of those
//! that are compared or that the history put in force. Any other outcome is a fact: another Weir
//! did it, or this one before the history began.
//!
//! A push is an echo of an own promotion if it came at or after its start and tells of what the
//! copy put there:
//! - the target tag with the promoted digest, from the same actor where it is told several times,
//!   until the promotion failed, or until somebody else moved or deleted the tag after it was
//!   completed (then the first such push is still taken for a late echo, where none had come);
//! - without a tag, the promoted manifest, those below it, and what refers to them, in the target
//!   repository, once each and until they are deleted there;
//! - a tag in which signatures are kept, named for one of these, that holds what the same tag of
//!   the source repository holds, or while the copy is under way.
//!
//! Everything else that is pushed to the same places was pushed by others, and stays.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use weir_rules::{SUPERSEDED, WITHDRAWN};
use weir_schema::{Body, Decision, Digest, ImagePushed, PromotionOutcome, TargetRef};

use super::mark::{Children, Mark, about_tag, mark_of, mark_of_digest};

/// Earlier promotions to a tag of which no echo came that are still waited for: registries tell
/// late, not never.
const WAITED_FOR: usize = 8;

/// Weir's own doing.
#[derive(Default)]
pub(super) struct Own {
    /// Promotions that the history decided, by their names, until they are done or overtaken.
    decided: HashMap<String, Promise>,
    /// Whether it decided any: then it is a log, in which none is missing.
    decides: bool,
    /// Names of rules, for histories that decide nothing.
    rules: BTreeSet<String>,
    /// Copies that have begun, by repository and tag.
    copies: HashMap<Mark, BTreeMap<String, Vec<Copied>>>,
    /// Manifests of which a push without a tag will be heard: repository and digest.
    parts: HashSet<(Mark, Mark)>,
    /// Where each manifest was copied from: target repository and digest to source repository.
    sources: HashMap<(Mark, Mark), Mark>,
    /// What the tags for signatures hold, by repository and tag.
    signatures: HashMap<(Mark, String), Digest>,
    /// What refers to a manifest.
    referrers: HashMap<Mark, Vec<Mark>>,
}

/// A promotion that was decided.
struct Promise {
    rule: String,
    digest: Option<Digest>,
    target: TargetRef,
}

/// A copy that has begun.
struct Copied {
    promotion: String,
    source: Mark,
    digest: Digest,
    completed: bool,
    /// Its echo came, from this actor.
    heard: Option<Option<String>>,
    /// The tag was moved or deleted by others since.
    overtaken: bool,
}

impl Own {
    /// Own doing, where nothing was recorded of who decided: under these rules.
    pub(super) fn of_rules(names: impl IntoIterator<Item = String>) -> Self {
        let mut own = Self::default();
        own.rules.insert(weir_rules::MANUAL.to_owned());
        own.add_rules(names);
        own
    }

    pub(super) fn add_rules(&mut self, names: impl IntoIterator<Item = String>) {
        self.rules.extend(names);
    }

    /// Notes a promotion that the history decided.
    pub(super) fn decided(&mut self, decision: &Decision) {
        if let Some(promotion) = &decision.promotion_id {
            self.decides = true;
            let promise = Promise {
                rule: decision.rule.to_string(),
                digest: decision.source.digest.clone(),
                target: decision.target.clone(),
            };
            self.decided.insert(promotion.clone(), promise);
        }
    }

    /// Takes in what happened; says whether it was Weir's own doing or an echo of it. `children`
    /// are what each index that is known holds.
    pub(super) fn did(&mut self, body: &Body, children: &Children) -> bool {
        match body {
            Body::PromotionStarted(outcome) => self.started(outcome, children),
            Body::PromotionCompleted(outcome) => self.completed(outcome, children),
            Body::PromotionFailed(outcome) => self.failed(outcome),
            Body::ImagePushed(push) => self.pushed(push, children),
            Body::ManifestResolved(facts) => {
                if let Some(subject) = &facts.subject {
                    self.refers(mark_of_digest(subject), mark_of_digest(&facts.digest));
                }
                false
            }
            Body::TagDeleted(gone) => {
                let repository = mark_of(gone.repository.as_str());
                self.overtake(repository, |tag, _| tag == gone.tag.as_str());
                false
            }
            Body::ManifestDeleted(gone) => {
                let repository = mark_of(gone.repository.as_str());
                self.overtake(repository, |_, copy| copy.digest == gone.digest);
                self.parts
                    .remove(&(repository, mark_of_digest(&gone.digest)));
                false
            }
            Body::RepositoryDeleted(gone) => {
                let repository = mark_of(gone.repository.as_str());
                self.overtake(repository, |_, _| true);
                self.parts.retain(|(there, _)| *there != repository);
                false
            }
            _ => false,
        }
    }

    fn is_own(&self, outcome: &PromotionOutcome) -> bool {
        match self.decided.get(&outcome.promotion_id) {
            Some(promise) => {
                promise.rule == outcome.rule
                    && promise.digest == outcome.source.digest
                    && promise.target == outcome.target
            }
            None => !self.decides && self.rules.contains(outcome.rule.as_str()),
        }
    }

    fn started(&mut self, outcome: &PromotionOutcome, children: &Children) -> bool {
        let own = self.is_own(outcome);
        if own {
            self.begin(outcome, children);
        }
        own
    }

    fn completed(&mut self, outcome: &PromotionOutcome, children: &Children) -> bool {
        let own = self.is_own(outcome);
        let repository = mark_of(&outcome.target.repository);
        if own {
            self.begin(outcome, children);
            self.decided.remove(&outcome.promotion_id);
        }
        let copies = self.copies.entry(repository).or_default();
        let copies = copies.entry(outcome.target.tag.to_string()).or_default();
        for copy in copies.iter_mut() {
            if own && copy.promotion == outcome.promotion_id {
                copy.completed = true;
            } else {
                copy.overtaken |= copy.completed;
            }
        }
        forget(copies);
        own
    }

    fn failed(&mut self, outcome: &PromotionOutcome) -> bool {
        let own = self.is_own(outcome);
        if own {
            // What was given up may be retried by hand, and is own then too.
            if let Some(SUPERSEDED | WITHDRAWN) = outcome.error.as_deref() {
                self.decided.remove(&outcome.promotion_id);
            }
            let repository = mark_of(&outcome.target.repository);
            if let Some(copies) = self.copies.get_mut(&repository)
                && let Some(copies) = copies.get_mut(outcome.target.tag.as_str())
            {
                copies.retain(|copy| copy.promotion != outcome.promotion_id);
            }
        }
        own
    }

    /// A copy begins, unless it has: what it will put at the target is expected from now on.
    fn begin(&mut self, outcome: &PromotionOutcome, children: &Children) {
        let Some(digest) = &outcome.source.digest else {
            return;
        };
        let source = mark_of(outcome.source.repository.as_str());
        let repository = mark_of(&outcome.target.repository);
        let copies = self.copies.entry(repository).or_default();
        let copies = copies.entry(outcome.target.tag.to_string()).or_default();
        if copies
            .iter()
            .any(|copy| copy.promotion == outcome.promotion_id)
        {
            return;
        }
        copies.push(Copied {
            promotion: outcome.promotion_id.clone(),
            source,
            digest: digest.clone(),
            completed: false,
            heard: None,
            overtaken: false,
        });
        // Within a repository nothing is copied: only the tag is set.
        if source != repository {
            for part in self.parts_of(mark_of_digest(digest), children) {
                self.parts.insert((repository, part));
                self.sources.insert((repository, part), source);
            }
        }
    }

    /// A manifest, everything below it, and everything that refers to those.
    fn parts_of(&self, digest: Mark, children: &Children) -> BTreeSet<Mark> {
        let mut found = BTreeSet::from([digest]);
        let mut open = vec![digest];
        while let Some(next) = open.pop() {
            let below = children.get(&next).into_iter().flatten();
            let referring = self.referrers.get(&next).into_iter().flatten();
            for part in below.chain(referring) {
                if found.insert(*part) {
                    open.push(*part);
                }
            }
        }
        found
    }

    fn pushed(&mut self, push: &ImagePushed, children: &Children) -> bool {
        let repository = mark_of(push.repository.as_str());
        let digest = mark_of_digest(&push.digest);
        let Some(tag) = &push.tag else {
            return self.parts.remove(&(repository, digest));
        };
        let tag = tag.as_str();
        if let Some(subject) = about_tag(tag) {
            self.refers(subject, digest);
            let echo = self.is_copied_signature(push, tag, subject, children);
            let key = (repository, tag.to_owned());
            self.signatures.insert(key, push.digest.clone());
            if echo {
                return true;
            }
        }
        let copies = self.copies.get_mut(&repository);
        let Some(copies) = copies.and_then(|copies| copies.get_mut(tag)) else {
            return false;
        };
        // The newest first: of two promotions of the same digest the later one is told of now.
        let expected = |copy: &&mut Copied| {
            copy.digest == push.digest
                && match &copy.heard {
                    None => true,
                    Some(actor) => !copy.overtaken && *actor == push.actor,
                }
        };
        if let Some(copy) = copies.iter_mut().rev().find(expected) {
            copy.heard = Some(push.actor.clone());
            return true;
        }
        for copy in copies.iter_mut() {
            copy.overtaken |= copy.completed && copy.digest != push.digest;
        }
        forget(copies);
        false
    }

    fn is_copied_signature(
        &self,
        push: &ImagePushed,
        tag: &str,
        subject: Mark,
        children: &Children,
    ) -> bool {
        let repository = mark_of(push.repository.as_str());
        let Some(source) = self.sources.get(&(repository, subject)) else {
            return false;
        };
        let at_source = self.signatures.get(&(*source, tag.to_owned()));
        let under_way = || {
            let copies = self.copies.get(&repository).into_iter().flatten();
            let mut copies = copies.flat_map(|(_, copies)| copies);
            copies.any(|copy| {
                let parts = || self.parts_of(mark_of_digest(&copy.digest), children);
                !copy.completed && copy.source == *source && parts().contains(&subject)
            })
        };
        at_source == Some(&push.digest) || under_way()
    }

    /// The tags of a repository for which `which` holds are moved or deleted by others.
    fn overtake(&mut self, repository: Mark, which: impl Fn(&str, &Copied) -> bool) {
        for (tag, copies) in self.copies.get_mut(&repository).into_iter().flatten() {
            for copy in copies.iter_mut() {
                copy.overtaken |= copy.completed && which(tag, copy);
            }
            forget(copies);
        }
    }

    fn refers(&mut self, subject: Mark, referrer: Mark) {
        let known = self.referrers.entry(subject).or_default();
        if !known.contains(&referrer) {
            known.push(referrer);
        }
    }
}

/// Forgets copies of which nothing more will be heard.
fn forget(copies: &mut Vec<Copied>) {
    copies.retain(|copy| !copy.overtaken || copy.heard.is_none());
    let over = copies.len().saturating_sub(WAITED_FOR);
    copies.drain(..over);
}
