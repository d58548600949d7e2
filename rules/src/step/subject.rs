//! One subject: judged, decided if its verdict changed, withdrawn if it is gone.

use weir_schema::{Body, Reason, ReasonCode, Timestamp, Verdict};

use super::{Decided, Run, Start};
use crate::{
    evolve::{WITHDRAWN, promotion_id},
    facts::{Case, Target},
    gate::Parts,
    judge::{Destination, Judgement},
    rule::{RuleTarget, Severity},
    state::{
        Bound, DigestId, Obstacle, Path, Progress, Reads, RepositoryId, RuleInForce, Settled,
        State, Subject, SubjectKey, TagId,
    },
};

/// What a judgement comes to.
enum Outcome {
    /// What was said last still holds; only what it rests on may be another.
    Same(Judgement),
    /// Something is to be said.
    Changed(Box<Change>),
}

struct Change {
    judgement: Judgement,
    destination: To,
    /// What the target holds.
    before: Option<DigestId>,
    /// Set for a rule that only warns.
    advisory: bool,
}

/// Where a subject would go: a tag that is known, one of the same name in a repository, or what the
/// templates gave.
enum To {
    Known(TagId),
    Plain(RepositoryId),
    Named(Destination),
}

impl Run<'_> {
    pub(super) fn subject(&mut self, key: SubjectKey, input: &Body) {
        if self.state.taken_by(key).is_none() {
            return self.withdraw(key, input);
        }
        if let Some(settled) = self.state.settled_as(key) {
            return self.restore(key, &settled);
        }
        let tag = self.state.tag_row(key.0);
        let (repository, Some(digest)) = (tag.repository, tag.digest()) else {
            return;
        };
        // What a judgement may find out and not keep.
        self.state.look_ahead(repository);
        let parts = self.state.parts(digest);
        match self.state.judge_subject(key, &parts) {
            None => {}
            Some(Outcome::Same(judgement)) => {
                self.state.wait(key, judgement.wake, judgement.reads);
                let generation = self.state.generation;
                if let Some(known) = self.state.tags.get_mut(key.0).subject_mut(key.1) {
                    known.generation = generation;
                }
            }
            Some(Outcome::Changed(change)) => self.decide(key, *change),
        }
    }

    /// The subject is gone: its verdict is withdrawn, whatever it was.
    fn withdraw(&mut self, key: SubjectKey, input: &Body) {
        let Some(subject) = self.state.subject(key) else {
            return;
        };
        let (verdict, digest, target) = (subject.verdict, subject.digest, subject.target);
        self.state.stop_waiting(key);
        let from_here = self.state.promotions_from(key.0);
        let waiting = from_here
            .filter(|(_, one)| one.rule == key.1 && one.progress == Progress::Decided)
            .map(|(id, one)| (id, one.bound.binding, one.target));
        for (id, binding, target) in waiting.collect::<Vec<_>>() {
            self.end_promotion(id, WITHDRAWN);
            // It never was: if the rule comes back, the subject is judged again.
            if let Some(subject) = self.state.tags.get_mut(key.0).subject_mut(key.1) {
                let same = |one: &Settled| one.binding == binding && one.target == target;
                subject.settled.retain(|one| !same(one));
            }
        }
        if verdict == Verdict::Withdrawn {
            return;
        }
        let code = if self.state.tag_row(key.0).bound.is_some() {
            ReasonCode::RuleRemoved
        } else if matches!(input, Body::RepositoryDeleted(_)) {
            ReasonCode::RepositoryDeleted
        } else {
            ReasonCode::TagDeleted
        };
        let decided = Decided {
            rule: key.1,
            source: key.0,
            digest,
            target,
            verdict: Verdict::Withdrawn,
            overrides: &[],
            trigger: self.trigger,
        };
        let decision = self.state.decision(&decided, vec![Reason::new(code)]);
        let seq = self.conclude(Body::DecisionMade(decision));
        let now = self.state.now;
        if let Some(subject) = self.state.tags.get_mut(key.0).subject_mut(key.1) {
            subject.verdict = Verdict::Withdrawn;
            subject.reasons = Box::new([Obstacle::new(code)]);
            subject.decided = seq;
            subject.decided_at = now;
        }
    }

    fn decide(&mut self, key: SubjectKey, change: Change) {
        let Change {
            judgement,
            destination,
            before,
            advisory,
        } = change;
        let target = match destination {
            To::Known(id) => id,
            To::Plain(repository) => {
                let name = self.state.tag_row(key.0).name;
                self.state.intern_tag_of(repository, name)
            }
            To::Named(destination) => self.state.intern_target(&destination),
        };
        let repository = self.state.tag_row(target).repository;
        self.state.repositories.get_mut(repository).named = true;
        self.state.stop_waiting(key);
        let Some(bound) = &self.state.tag_row(key.0).bound else {
            return;
        };
        let (digest, binding) = (bound.digest, bound.binding);
        let decided = Decided {
            rule: key.1,
            source: key.0,
            digest,
            target,
            verdict: judgement.verdict,
            overrides: &judgement.overrides,
            trigger: self.trigger,
        };
        let reasons = self.state.reasons(&judgement.reasons);
        let mut decision = self.state.decision(&decided, reasons);
        decision.advisory = advisory;
        let promotes = judgement.verdict == Verdict::Promote && !advisory;
        let copies = promotes && judgement.reasons.is_empty();
        if copies {
            decision.promotion_id = Some(promotion_id(self.state.seq + 1));
        }
        let seq = self.conclude(Body::DecisionMade(decision));
        let settled = promotes.then_some(Settled {
            binding,
            target,
            at: self.state.now,
            already_there: !copies,
        });
        self.state.put_decision(
            key,
            Subject {
                rule: key.1,
                verdict: judgement.verdict,
                digest,
                target,
                reasons: judgement.reasons.into(),
                decided: seq,
                decided_at: self.state.now,
                settled: settled.into_iter().collect(),
                waits: false,
                wakes_at: None,
                restless: false,
                reads: Reads::NOTHING,
                generation: self.state.generation,
            },
            binding,
        );
        if !promotes {
            self.state.wait(key, judgement.wake, judgement.reads);
        }
        if copies && let Some(bound) = self.state.tag_row(key.0).bound.clone() {
            self.promote(Start {
                rule: key.1,
                source: key.0,
                bound,
                target,
                before,
                holds_on: judgement.holds_on,
            });
        }
    }

    /// A final verdict is said again if it was withdrawn or is of another target meanwhile.
    fn restore(&mut self, key: SubjectKey, settled: &Settled) {
        self.state.stop_waiting(key);
        let Some(subject) = self.state.subject(key) else {
            return;
        };
        if subject.verdict == Verdict::Promote && subject.target == settled.target {
            return;
        }
        let digest = self.state.tag_row(key.0).digest();
        let Some(digest) = digest else {
            return;
        };
        let reasons: Vec<Obstacle> = settled.reasons();
        let decided = Decided {
            rule: key.1,
            source: key.0,
            digest,
            target: settled.target,
            verdict: Verdict::Promote,
            overrides: &[],
            trigger: self.trigger,
        };
        let decision = self.state.decision(&decided, self.state.reasons(&reasons));
        let seq = self.conclude(Body::DecisionMade(decision));
        if let Some(subject) = self.state.tags.get_mut(key.0).subject_mut(key.1) {
            subject.verdict = Verdict::Promote;
            subject.digest = digest;
            subject.target = settled.target;
            subject.reasons = reasons.into();
            subject.decided = seq;
        }
    }
}

impl State {
    /// What a subject's present binding was promoted as, under the rules in force: the same
    /// binding goes to the same target once, whatever time its template has.
    fn settled_as(&self, key: SubjectKey) -> Option<Settled> {
        let tag = self.tag_row(key.0);
        let (bound, path) = (tag.bound.as_ref()?, self.path(tag.repository, key.1)?);
        let settled = tag.subject(key.1)?.settled.iter();
        let mut of_binding = settled.filter(|settled| settled.binding == bound.binding);
        let same = of_binding.find(|settled| {
            let now = self.target_of(path, key.0, bound, settled.at);
            now == Some(settled.target)
        });
        same.cloned()
    }

    /// Judges a subject that is there and not settled.
    ///
    /// The time that templates and messages tell is that of the last decision for as long as
    /// nothing else changes, so that the passing of time alone changes nothing. Where it is the target
    /// that objects, though, it may have another name by now, under which nothing does.
    fn judge_subject(&self, key: SubjectKey, parts: &Parts) -> Option<Outcome> {
        let tag = self.tag_row(key.0);
        let bound = tag.bound.as_ref()?;
        let path = self.path(tag.repository, key.1)?;
        let advisory = path.rule.rule.severity == Severity::Warn;
        let known = tag.subject(key.1);
        let known = known.filter(|known| known.digest == bound.digest);
        let kept = known.and_then(|known| self.kept_target(path, key.0, bound, known));
        let judge = |target: Target<'_>, told_at: Timestamp| {
            let before = self.held_at(target.id);
            let case = Case {
                source: key.0,
                repository: tag.repository,
                bound,
                class: self.class(tag.repository, bound.digest),
                parts: parts.clone(),
                scanners: &path.rule.scanners,
                target,
                target_digest: before,
            };
            (self.judge(path, &case, told_at), before)
        };
        let mut same = None;
        if let (Some(known), Some(target)) = (known, kept) {
            let (mut judgement, before) = judge(self.target(target), known.decided_at);
            let is_same = says_the_same(known, &judgement, advisory);
            if is_same && !hangs_on_a_name(&path.rule, &judgement) {
                return Some(Outcome::Same(judgement));
            }
            if is_same {
                judgement.wake.restless = true;
                same = Some((known, judgement));
            } else if !path.rule.timed && !judgement.tells_time {
                return Some(Outcome::Changed(Box::new(Change {
                    judgement,
                    destination: To::Known(target),
                    before,
                    advisory,
                })));
            }
        }
        if let Some((known, judgement)) = same {
            let destination = self.destination(path, key.0, bound, self.now);
            let (renamed, _) = judge(self.target_at(&destination), known.decided_at);
            if says_the_same(known, &renamed, advisory) || objects_as_before(known, &renamed) {
                return Some(Outcome::Same(judgement));
            }
        }
        let plain = self.leads_to(tag.repository, key.1);
        let (destination, (mut judgement, before)) = match plain {
            Some(repository) => {
                let target = self.same_tag_in(repository, key.0);
                (To::Plain(repository), judge(target, self.now))
            }
            None => {
                let destination = self.destination(path, key.0, bound, self.now);
                let judged = judge(self.target_at(&destination), self.now);
                (To::Named(destination), judged)
            }
        };
        judgement.wake.restless |= hangs_on_a_name(&path.rule, &judgement);
        Some(Outcome::Changed(Box::new(Change {
            judgement,
            destination,
            before,
            advisory,
        })))
    }

    /// The target of the same name in another repository.
    fn same_tag_in(&self, repository: RepositoryId, tag: TagId) -> Target<'_> {
        let tag = self.tag_row(tag);
        match self.tags.find(repository, tag.name) {
            Some(id) => self.target(id),
            None => Target {
                id: None,
                repository: &self.repository(repository).text,
                tag: self.text(tag.name),
                // The name is the source tag's, which a registry took.
                legal: self.repository(repository).name.is_some(),
            },
        }
    }

    /// The tag that a path leads to, if it was ever named.
    fn target_of(&self, path: &Path, tag: TagId, bound: &Bound, at: Timestamp) -> Option<TagId> {
        let row = self.tag_row(tag);
        match self.leads_to(row.repository, path.rule.name) {
            Some(repository) => self.tags.find(repository, row.name),
            None => {
                let destination = self.destination(path, tag, bound, at);
                self.find_tag(&destination.repository, &destination.tag)
            }
        }
    }

    /// The target of a subject's last decision, if the rules in force give the same one.
    fn kept_target(
        &self,
        path: &Path,
        tag: TagId,
        bound: &Bound,
        known: &Subject,
    ) -> Option<TagId> {
        if known.generation == self.generation {
            return Some(known.target);
        }
        let target = self.target_of(path, tag, bound, known.decided_at);
        target.filter(|target| *target == known.target)
    }

    /// Keeps a decision, with what the subject's present binding was promoted as before.
    fn put_decision(&mut self, key: SubjectKey, mut subject: Subject, binding: u64) {
        let subjects = &mut self.tags.get_mut(key.0).subjects;
        let Some(known) = subjects.iter_mut().find(|known| known.rule == key.1) else {
            subjects.reserve_exact(1);
            subjects.push(subject);
            return;
        };
        let before = std::mem::take(&mut known.settled).into_iter();
        let before = before.filter(|settled| settled.binding == binding);
        let settled: Vec<Settled> = before.chain(subject.settled).collect();
        subject.settled = settled;
        *known = subject;
    }
}

fn says_the_same(known: &Subject, judgement: &Judgement, advisory: bool) -> bool {
    known.verdict == judgement.verdict
        && *known.reasons == *judgement.reasons
        // What a rule only said while it warned, it does once it is enforced.
        && (judgement.verdict != Verdict::Promote || advisory)
}

/// Whether what is said under another name is the same but for that name, which some reasons tell.
fn objects_as_before(known: &Subject, renamed: &Judgement) -> bool {
    let as_before = |(one, other): (&Obstacle, &Obstacle)| match one.code {
        ReasonCode::BadTag | ReasonCode::RuleError => one.code == other.code,
        _ => one == other,
    };
    known.verdict == renamed.verdict
        && known.verdict != Verdict::Promote
        && known.reasons.len() == renamed.reasons.len()
        && known.reasons.iter().zip(&renamed.reasons).all(as_before)
}

/// Whether what objects is a target whose name tells the time: under a later one it may not.
fn hangs_on_a_name(rule: &RuleInForce, judgement: &Judgement) -> bool {
    if !rule.timed {
        return false;
    }
    let repository_is_timed = matches!(&rule.rule.to, RuleTarget::Repository(to) if to.uses_time());
    let at_target = |code| match code {
        ReasonCode::TargetImmutable
        | ReasonCode::TargetNewer
        | ReasonCode::BadTag
        | ReasonCode::Loop => true,
        ReasonCode::Denied | ReasonCode::Held | ReasonCode::ApprovalMissing => repository_is_timed,
        _ => false,
    };
    let of_rule = judgement.holds_on.is_none() && judgement.asks_for_target;
    of_rule
        || judgement
            .reasons
            .iter()
            .any(|reason| at_target(reason.code))
}

impl Settled {
    /// The reasons of the verdict.
    pub(crate) fn reasons(&self) -> Vec<Obstacle> {
        let there = self.already_there;
        let reasons = there.then(|| Obstacle::new(ReasonCode::AlreadyThere));
        reasons.into_iter().collect()
    }
}
