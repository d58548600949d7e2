//! `step`: one record in, conclusions and commands out. The heart of Weir.
//!
//! ```text
//! input ──> evolve ──> touched subjects ──> judge ──> decision ──> evolve ──> (again) ...
//!                                             └─ promote: Command::Copy, or done at once
//! ```
//!
//! A live node, a replay, a backtest and a replica run this same function and differ only in what
//! they do with what it returns. It asks no clock: time is the record's.

use std::{collections::BTreeSet, sync::Arc};

use weir_schema::{
    Body, Decision, PromotionOutcome, PromotionRequested, Reason, ReasonCode, TagRef, TargetRef,
    Timestamp, Verdict, Violation,
};

use crate::{
    evolve::{SUPERSEDED, Touched, WITHDRAWN, promotion_id},
    facts::Case,
    judge::{Destination, Judgement, Wake, verdict},
    rule::Severity,
    state::{
        Alarm, MANUAL, NameId, Path, Progress, Promotion, Settled, State, Subject, SubjectKey,
        TagKey, TagState, TargetBefore,
    },
};

/// What becomes of a promotion once it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// A command is returned, and the outcome comes back as an input.
    Commands,
    /// It completes at once: the record after the decision says so.
    AtOnce,
}

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Copy by digest, the tag last.
    Copy(Copy),
}

/// A promotion to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Names it in the outcome's events.
    pub promotion_id: String,
    /// The rule; `manual` for a promotion by hand.
    pub rule: String,
    /// What to copy: the digest, not the tag.
    pub source: TagRef,
    /// Where to.
    pub target: TargetRef,
    /// What the target tag held when it was decided; it must still.
    pub expected: Option<weir_schema::Digest>,
}

/// A record that follows from the input.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// Its sequence.
    pub seq: u64,
    /// What it says.
    pub body: Body,
}

/// What a step gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The sequence of the input.
    pub seq: u64,
    /// The records to append after it, at the same time.
    pub conclusions: Vec<Conclusion>,
    /// What to do once they are durable.
    pub commands: Vec<Command>,
}

/// Takes an input into the state and draws every conclusion.
///
/// `at` is the record's time; the state's time never goes back, so a smaller one is raised.
pub fn step(state: &mut State, at: Timestamp, input: &Body, execution: Execution) -> Step {
    let seq = state.seq() + 1;
    let mut run = Run {
        state,
        trigger: seq,
        execution,
        conclusions: Vec::new(),
        commands: Vec::new(),
    };
    let mut touched = Touched::default();
    run.state.evolve(seq, at, input, &mut touched);
    run.state.wake(&mut touched);
    run.settle(touched, input);
    Step {
        seq,
        conclusions: run.conclusions,
        commands: run.commands,
    }
}

/// Judges everything anew, as if every record had touched it, and says what would change.
///
/// Nothing should: what a record can change, it touches. Templates with a time are left out.
pub fn recheck(state: &State) -> Vec<String> {
    let mut copy = state.clone();
    let mut touched = Touched::default();
    let tags: Vec<TagKey> = copy.tags.keys().copied().collect();
    for tag in tags {
        copy.touch_tag(tag, &mut touched);
    }
    touched.subjects.extend(copy.subjects.keys().copied());
    touched.promoted.extend(copy.promoted.keys().copied());
    for manifest in &mut copy.manifests {
        manifest.structure = None;
    }
    let trigger = copy.seq;
    let mut run = Run {
        state: &mut copy,
        trigger,
        execution: Execution::Commands,
        conclusions: Vec::new(),
        commands: Vec::new(),
    };
    run.settle(touched, &Body::ClockTicked);
    run.conclusions
        .iter()
        .map(|conclusion| format!("{:?}", conclusion.body))
        .collect()
}

/// The order in which subjects are judged: by their texts, not their numbers.
type Order = (Arc<str>, Arc<str>, Arc<str>, SubjectKey);

struct Run<'a> {
    state: &'a mut State,
    trigger: u64,
    execution: Execution,
    conclusions: Vec<Conclusion>,
    commands: Vec<Command>,
}

impl Run<'_> {
    fn settle(&mut self, mut touched: Touched, input: &Body) {
        let mut open = BTreeSet::new();
        let mut promoted = BTreeSet::new();
        self.take(&mut touched, &mut open, &mut promoted);
        if let Body::PromotionRequested(request) = input {
            let mut touched = Touched::default();
            self.by_hand(request, &mut touched);
            self.take(&mut touched, &mut open, &mut promoted);
        }
        // In order, each seeing what the ones before it did; what they touch behind the present
        // place waits for the next pass. It ends: only `promote` touches others, and is final.
        let mut place: Option<Order> = None;
        while !open.is_empty() {
            let next = match &place {
                Some(place) => open
                    .range::<Order, _>((
                        std::ops::Bound::Excluded(place),
                        std::ops::Bound::Unbounded,
                    ))
                    .next(),
                None => open.first(),
            };
            let Some(next) = next.cloned() else {
                place = None;
                continue;
            };
            open.remove(&next);
            let mut touched = Touched::default();
            self.subject(next.3, input, &mut touched);
            self.take(&mut touched, &mut open, &mut promoted);
            place = Some(next);
        }
        // By their texts: numbers are others after a snapshot, and records may not be.
        let mut promoted: Vec<TagKey> = promoted.into_iter().collect();
        let text = |id| Arc::clone(self.state.text(id));
        promoted.sort_by_cached_key(|(repository, tag)| (text(*repository), text(*tag)));
        for tag in promoted {
            self.look_again(tag);
        }
    }

    /// Sorts what was touched into the work that is open, and ends promotions that were overtaken.
    fn take(
        &mut self,
        touched: &mut Touched,
        open: &mut BTreeSet<Order>,
        promoted: &mut BTreeSet<TagKey>,
    ) {
        for id in std::mem::take(&mut touched.superseded) {
            self.end_promotion(id, SUPERSEDED, touched);
        }
        for id in std::mem::take(&mut touched.retried) {
            self.again(id, touched);
        }
        for key in std::mem::take(&mut touched.subjects) {
            let ((repository, tag), rule) = key;
            let text = |id: NameId| Arc::clone(self.state.text(id));
            open.insert((text(repository), text(tag), text(rule), key));
        }
        promoted.append(&mut touched.promoted);
    }

    /// Appends a conclusion and takes it into the state.
    fn conclude(&mut self, body: Body, touched: &mut Touched) -> u64 {
        let seq = self.state.seq + 1;
        self.state.evolve(seq, self.state.now, &body, touched);
        self.conclusions.push(Conclusion { seq, body });
        seq
    }

    fn end_promotion(&mut self, id: u64, why: &str, touched: &mut Touched) {
        let Some(promotion) = self.state.promotions.get(&id) else {
            return;
        };
        let outcome = self.outcome(id, promotion, Some(why));
        self.conclude(Body::PromotionFailed(outcome), touched);
    }

    /// Carries out a promotion that was given up before.
    fn again(&mut self, id: u64, touched: &mut Touched) {
        let Some(promotion) = self.state.promotions.get(&id) else {
            return;
        };
        match self.execution {
            Execution::AtOnce => {
                let outcome = self.outcome(id, promotion, None);
                self.conclude(Body::PromotionCompleted(outcome), touched);
            }
            Execution::Commands => self
                .commands
                .push(Command::Copy(self.state.copy(id, promotion))),
        }
    }

    fn outcome(&self, id: u64, promotion: &Promotion, error: Option<&str>) -> PromotionOutcome {
        PromotionOutcome {
            promotion_id: promotion_id(id),
            rule: self.state.text(promotion.rule).to_string(),
            source: self.state.tag_ref(promotion.source, promotion.bound.digest),
            target: self.state.target_ref(promotion.target),
            attempts: None,
            error: error.map(str::to_owned),
        }
    }

    fn subject(&mut self, key: SubjectKey, input: &Body, touched: &mut Touched) {
        let bound = self.state.tags.get(&key.0).cloned();
        let taken = bound.and_then(|bound| Some((self.state.taken_by(key, &bound)?, bound)));
        match taken {
            None => self.withdraw(key, input, touched),
            Some((path, bound)) => self.decide(key, &path, &bound, touched),
        }
    }

    /// The subject is gone: its verdict is withdrawn, whatever it was.
    fn withdraw(&mut self, key: SubjectKey, input: &Body, touched: &mut Touched) {
        let Some(subject) = self.state.subjects.get(&key).cloned() else {
            return;
        };
        self.state.stop_waiting(key, subject.target);
        let begun: Vec<u64> = self
            .state
            .promotions_from
            .get(&key.0)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        for id in begun {
            let waiting = |one: &&Promotion| one.rule == key.1 && one.progress == Progress::Decided;
            if self.state.promotions.get(&id).filter(waiting).is_some() {
                self.end_promotion(id, WITHDRAWN, touched);
            }
        }
        if subject.verdict == Verdict::Withdrawn {
            return;
        }
        let code = if self.state.tags.contains_key(&key.0) {
            ReasonCode::RuleRemoved
        } else if matches!(input, Body::RepositoryDeleted(_)) {
            ReasonCode::RepositoryDeleted
        } else {
            ReasonCode::TagDeleted
        };
        let judgement = Judgement {
            verdict: Verdict::Withdrawn,
            reasons: vec![Reason::new(code)],
            overrides: Vec::new(),
            wake: Wake::default(),
        };
        let decision = self.state.decision(
            key,
            subject.digest,
            subject.target,
            &judgement,
            self.trigger,
        );
        let seq = self.conclude(Body::DecisionMade(decision), touched);
        let changed = Subject {
            verdict: Verdict::Withdrawn,
            reasons: judgement.reasons.into(),
            decided: seq,
            decided_at: self.state.now,
            ..subject
        };
        self.state.subjects.insert(key, changed);
    }

    fn decide(&mut self, key: SubjectKey, path: &Path, bound: &TagState, touched: &mut Touched) {
        let known = self.state.subjects.get(&key).cloned();
        let settled = known.iter().flat_map(|subject| &subject.settled);
        let settled: Vec<Settled> = settled
            .filter(|settled| settled.binding == bound.binding)
            .cloned()
            .collect();
        for settled in &settled {
            // The same binding goes to the same target once, whatever time its template has.
            let destination = self.state.destination(path, key.0, bound, settled.at);
            if self.state.target_key(&destination) == settled.target {
                self.restore(key, bound, settled, touched);
                return;
            }
        }
        let destination = self.state.destination(path, key.0, bound, self.state.now);
        let case = self.state.case(path, key.0, bound, &destination);
        let judgement = self.state.judge(path, &case, &destination);
        if let Some(known) = &known {
            let same = known.verdict == judgement.verdict
                && known.digest == bound.digest
                && *known.reasons == *judgement.reasons
                // What a rule only said while it warned, it does once it is enforced.
                && !(judgement.verdict == Verdict::Promote && path.rule.severity == Severity::Enforce);
            // A template's time alone is no change: the target is that of the deciding record.
            let before = self.state.destination(path, key.0, bound, known.decided_at);
            if same && self.state.target_key(&before) == known.target {
                let (target, enforced) = (known.target, path.rule.severity == Severity::Enforce);
                if judgement.verdict != Verdict::Promote || !enforced {
                    self.state.wait(key, target, judgement.wake);
                }
                return;
            }
        }
        if let Some(known) = &known {
            self.state.stop_waiting(key, known.target);
        }
        let target = self.state.target_key(&destination);
        let mut decision = self
            .state
            .decision(key, bound.digest, target, &judgement, self.trigger);
        decision.advisory = path.rule.severity == Severity::Warn;
        let promotes = judgement.verdict == Verdict::Promote && !decision.advisory;
        let copies = promotes && judgement.reasons.is_empty();
        if copies {
            decision.promotion_id = Some(promotion_id(self.state.seq + 1));
        }
        let seq = self.conclude(Body::DecisionMade(decision), touched);
        let reasons: Arc<[Reason]> = judgement.reasons.into();
        let mut settled = settled;
        if promotes {
            let reasons = Arc::clone(&reasons);
            settled.push(Settled {
                binding: bound.binding,
                target,
                at: self.state.now,
                reasons,
            });
        }
        let subject = Subject {
            verdict: judgement.verdict,
            digest: bound.digest,
            target,
            reasons,
            decided: seq,
            decided_at: self.state.now,
            settled,
        };
        self.state.subjects.insert(key, subject);
        if !promotes {
            self.state.wait(key, target, judgement.wake);
        }
        if copies {
            self.promote(key.1, key.0, bound.clone(), &case, touched);
        }
    }

    /// A final verdict is said again if it was withdrawn or is of another target meanwhile.
    fn restore(
        &mut self,
        key: SubjectKey,
        bound: &TagState,
        settled: &Settled,
        touched: &mut Touched,
    ) {
        let Some(subject) = self.state.subjects.get(&key).cloned() else {
            return;
        };
        self.state.stop_waiting(key, subject.target);
        if subject.verdict == Verdict::Promote && subject.target == settled.target {
            return;
        }
        let judgement = Judgement {
            verdict: Verdict::Promote,
            reasons: settled.reasons.to_vec(),
            overrides: Vec::new(),
            wake: Wake::default(),
        };
        let decision =
            self.state
                .decision(key, bound.digest, settled.target, &judgement, self.trigger);
        let seq = self.conclude(Body::DecisionMade(decision), touched);
        let restored = Subject {
            verdict: Verdict::Promote,
            digest: bound.digest,
            target: settled.target,
            reasons: Arc::clone(&settled.reasons),
            decided: seq,
            ..subject
        };
        self.state.subjects.insert(key, restored);
    }

    /// Starts a promotion that the record just appended decided.
    fn promote(
        &mut self,
        rule: NameId,
        source: TagKey,
        bound: TagState,
        case: &Case,
        touched: &mut Touched,
    ) {
        let id = self.state.seq;
        let promotion = Promotion {
            rule,
            source,
            bound,
            target: case.target,
            before: TargetBefore {
                digest: case.target_digest,
            },
            decided_at: self.state.now,
            progress: Progress::Decided,
            attempts: 0,
            error: None,
        };
        let outcome = self.outcome(id, &promotion, None);
        let expected = case
            .target_digest
            .map(|digest| self.state.digest(digest).clone());
        self.state.promotion_decided(promotion);
        match self.execution {
            Execution::AtOnce => {
                self.conclude(Body::PromotionCompleted(outcome), touched);
            }
            Execution::Commands => {
                self.state.touch_target(case.target, touched);
                self.commands.push(Command::Copy(Copy {
                    promotion_id: outcome.promotion_id,
                    rule: outcome.rule,
                    source: outcome.source,
                    target: outcome.target,
                    expected,
                }));
            }
        }
    }

    /// A promotion by hand is judged once, at its record.
    fn by_hand(&mut self, request: &PromotionRequested, touched: &mut Touched) {
        let rule = self.state.names.intern(MANUAL);
        let source = (
            self.state.intern_repository(request.repository.as_str()),
            self.state.names.intern(request.tag.as_str()),
        );
        let destination = Destination {
            repository: request.target.repository.to_string(),
            tag: request.target.tag.to_string(),
        };
        let target = self.state.target_key(&destination);
        let mut decision = Decision {
            rule: MANUAL.to_owned(),
            source: TagRef {
                repository: request.repository.clone(),
                tag: request.tag.clone(),
                digest: None,
            },
            target: self.state.target_ref(target),
            verdict: Verdict::Withdrawn,
            reasons: vec![Reason::new(ReasonCode::TagDeleted)],
            trigger: self.trigger,
            rules_digest: self.state.rules_digest.clone(),
            overrides: Vec::new(),
            promotion_id: None,
            advisory: false,
            actor: Some(request.actor.clone()),
            waived: Vec::new(),
        };
        let Some(bound) = self.state.tags.get(&source).cloned() else {
            self.conclude(Body::DecisionMade(decision), touched);
            return;
        };
        let case = Case {
            source,
            class: self.state.class(source.0, bound.digest),
            structure: self.state.structure(bound.digest),
            scanners: Vec::new(),
            target,
            target_digest: self.state.tags.get(&target).map(|tag| tag.digest),
            bound: bound.clone(),
        };
        let waive = request.waive.as_deref().unwrap_or_default();
        let (reasons, waived) = self.state.judge_by_hand(&case, &destination, waive);
        decision.source.digest = Some(self.state.digest(bound.digest).clone());
        decision.verdict = verdict(&reasons);
        decision.reasons = reasons;
        decision.waived = waived;
        let copies = decision.reasons.is_empty();
        if copies {
            decision.promotion_id = Some(promotion_id(self.state.seq + 1));
        }
        self.conclude(Body::DecisionMade(decision), touched);
        if copies {
            self.promote(rule, source, bound, &case, touched);
        }
    }

    /// Looks whether what was promoted would be promoted now.
    fn look_again(&mut self, tag: TagKey) {
        let Some(promoted) = self.state.promoted.get(&tag).cloned() else {
            return;
        };
        let alarm = Alarm::Promoted(tag);
        let Some(path) = self.state.path(promoted.source.0, promoted.rule).cloned() else {
            // Without the rule there is nothing to hold it to.
            self.state.set_alarm(alarm, None);
            self.state.restless.remove(&alarm);
            return;
        };
        let destination =
            self.state
                .destination(&path, promoted.source, &promoted.bound, promoted.decided_at);
        let mut case = self
            .state
            .case(&path, promoted.source, &promoted.bound, &destination);
        case.target = tag;
        case.target_digest = promoted.before.digest;
        let judgement = self.state.would_hold(&path, &case);
        self.state.set_alarm(alarm, judgement.wake.at);
        if judgement.wake.restless {
            self.state.restless.insert(alarm);
        } else {
            self.state.restless.remove(&alarm);
        }
        let holds = judgement.reasons.is_empty();
        if holds == promoted.violation.is_none() {
            return;
        }
        let violation = self.state.violation(tag, &promoted, &judgement.reasons);
        let (Some(violation), Some(kept)) = (violation, self.state.promoted.get_mut(&tag)) else {
            return;
        };
        kept.violation = (!holds).then(|| judgement.reasons.into());
        let body = if holds {
            Body::ViolationCleared(violation)
        } else {
            Body::ViolationFound(violation)
        };
        self.conclude(body, &mut Touched::default());
    }
}

impl State {
    /// Notes that a subject waits: for what happens at its target, and for time.
    fn wait(&mut self, key: SubjectKey, target: TagKey, wake: Wake) {
        self.by_target.entry(target).or_default().insert(key);
        let alarm = Alarm::Subject(key);
        self.set_alarm(alarm, wake.at);
        if wake.restless {
            self.restless.insert(alarm);
        } else {
            self.restless.remove(&alarm);
        }
    }

    fn stop_waiting(&mut self, key: SubjectKey, target: TagKey) {
        if let Some(waiting) = self.by_target.get_mut(&target) {
            waiting.remove(&key);
            if waiting.is_empty() {
                self.by_target.remove(&target);
            }
        }
        let alarm = Alarm::Subject(key);
        self.set_alarm(alarm, None);
        self.restless.remove(&alarm);
    }

    pub(crate) fn tag_ref(&self, key: TagKey, digest: crate::state::DigestId) -> TagRef {
        TagRef {
            repository: self
                .text(key.0)
                .parse()
                .expect("source repositories were parsed when they came"),
            tag: self
                .text(key.1)
                .parse()
                .expect("source tags were parsed when they came"),
            digest: Some(self.digest(digest).clone()),
        }
    }

    pub(crate) fn target_ref(&self, key: TagKey) -> TargetRef {
        TargetRef {
            repository: self.text(key.0).to_string(),
            tag: self.text(key.1).to_string(),
        }
    }

    fn decision(
        &self,
        key: SubjectKey,
        digest: crate::state::DigestId,
        target: TagKey,
        judgement: &Judgement,
        trigger: u64,
    ) -> Decision {
        Decision {
            rule: self.text(key.1).to_string(),
            source: self.tag_ref(key.0, digest),
            target: self.target_ref(target),
            verdict: judgement.verdict,
            reasons: judgement.reasons.clone(),
            trigger,
            rules_digest: self.rules_digest.clone(),
            overrides: judgement.overrides.clone(),
            promotion_id: None,
            advisory: false,
            actor: None,
            waived: Vec::new(),
        }
    }

    fn violation(
        &self,
        tag: TagKey,
        promoted: &crate::state::Promoted,
        reasons: &[Reason],
    ) -> Option<Violation> {
        Some(Violation {
            repository: self.text(tag.0).parse().ok()?,
            tag: self.text(tag.1).parse().ok()?,
            digest: self.digest(promoted.bound.digest).clone(),
            rule: self.text(promoted.rule).to_string(),
            reasons: reasons.to_vec(),
        })
    }
}
