//! `step`: one record in, conclusions and commands out. The heart of Weir.
//!
//! ```text
//! input ──> evolve ──> touched subjects ──> judge ──> decision ──> evolve ──> (again) ...
//!                                             └─ promote: Command::Copy, or done at once
//! ```
//!
//! A live node, a replay, a backtest and a replica run this same function and differ only in what
//! they do with what it returns. It asks no clock: time is the record's.

mod agenda;
mod by_hand;
mod recheck;
mod subject;
mod violations;

use weir_schema::{Body, PromotionOutcome, Reason, SmolStr, TagRef, TargetRef, Timestamp};

pub use recheck::recheck;

use self::agenda::Agenda;
use crate::{
    evolve::{SUPERSEDED, Touched, promotion_id},
    state::{Bound, DigestId, NameId, Progress, Promotion, Reads, State, TagId, Wake},
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
    pub rule: SmolStr,
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
    let passed = at > state.now();
    let mut run = Run::new(state, seq, execution);
    run.state.evolve(seq, at, input, &mut run.touched);
    run.state.wake(passed, &mut run.touched);
    run.settle(input);
    Step {
        seq,
        conclusions: run.conclusions,
        commands: run.commands,
    }
}

/// A step on its way.
struct Run<'a> {
    state: &'a mut State,
    trigger: u64,
    execution: Execution,
    conclusions: Vec<Conclusion>,
    commands: Vec<Command>,
    /// What was touched and is not yet on the agenda.
    touched: Touched,
    agenda: Agenda,
    /// Promoted tags to look at again.
    promoted: Vec<TagId>,
}

impl<'a> Run<'a> {
    fn new(state: &'a mut State, trigger: u64, execution: Execution) -> Self {
        Self {
            state,
            trigger,
            execution,
            conclusions: Vec::new(),
            commands: Vec::new(),
            touched: Touched::default(),
            agenda: Agenda::default(),
            promoted: Vec::new(),
        }
    }
}

impl Run<'_> {
    /// Judges what was touched, and what that touches, until nothing changes. It ends: only
    /// `promote` touches others, and is final.
    fn settle(&mut self, input: &Body) {
        self.take();
        if let Body::PromotionRequested(request) = input {
            self.by_hand(request);
            self.take();
        }
        while let Some(key) = self.agenda.next(self.state) {
            self.subject(key, input);
            self.take();
        }
        let mut promoted = std::mem::take(&mut self.promoted);
        promoted.sort_unstable();
        promoted.dedup();
        // By their texts: numbers are others after a snapshot, and records may not be.
        promoted.sort_by(|a, b| self.state.tag_texts(*a).cmp(&self.state.tag_texts(*b)));
        for tag in promoted {
            self.look_again(tag);
        }
    }

    /// Puts what was touched on the agenda, and ends promotions that were overtaken.
    fn take(&mut self) {
        while !self.touched.superseded.is_empty() {
            let mut superseded = std::mem::take(&mut self.touched.superseded);
            superseded.sort_unstable();
            for id in superseded {
                self.end_promotion(id, SUPERSEDED);
            }
        }
        for id in std::mem::take(&mut self.touched.retried) {
            self.again(id);
        }
        self.agenda.add(&mut self.touched.subjects, self.state);
        self.promoted.append(&mut self.touched.promoted);
    }

    /// Appends a conclusion and takes it into the state.
    fn conclude(&mut self, body: Body) -> u64 {
        let seq = self.state.seq + 1;
        self.state
            .evolve(seq, self.state.now, &body, &mut self.touched);
        self.conclusions.push(Conclusion { seq, body });
        seq
    }

    fn end_promotion(&mut self, id: u64, why: &str) {
        let Some(promotion) = self.state.promotions.get(&id) else {
            return;
        };
        let outcome = self.outcome(id, promotion, Some(why));
        self.conclude(Body::PromotionFailed(outcome));
    }

    /// Carries out a promotion that was given up before.
    fn again(&mut self, id: u64) {
        let Some(promotion) = self.state.promotions.get(&id) else {
            return;
        };
        match self.execution {
            Execution::AtOnce => {
                let outcome = self.outcome(id, promotion, None);
                self.conclude(Body::PromotionCompleted(outcome));
            }
            Execution::Commands => self
                .commands
                .push(Command::Copy(self.state.copy(id, promotion))),
        }
    }

    fn outcome(&self, id: u64, promotion: &Promotion, error: Option<&str>) -> PromotionOutcome {
        PromotionOutcome {
            promotion_id: promotion_id(id),
            rule: self.state.text(promotion.rule).clone().into(),
            source: self.state.tag_ref(promotion.source, promotion.bound.digest),
            target: self.state.target_ref(promotion.target),
            attempts: None,
            error: error.map(str::to_owned),
        }
    }

    /// Starts a promotion that the record just appended decided.
    fn promote(&mut self, start: Start) {
        let Start {
            target,
            before,
            holds_on,
            ..
        } = start;
        let id = self.state.seq;
        let promotion = Promotion {
            rule: start.rule,
            source: start.source,
            bound: start.bound,
            target,
            before,
            decided_at: self.state.now,
            progress: Progress::Decided,
            attempts: 0,
            retried_after: 0,
            error: None,
        };
        let outcome = self.outcome(id, &promotion, None);
        self.state.put_promotion(id, promotion);
        match self.execution {
            Execution::AtOnce => {
                let seq = self.state.seq + 1;
                self.state.seq = seq;
                self.state
                    .complete_promotion(id, holds_on, &mut self.touched);
                let body = Body::PromotionCompleted(outcome);
                self.conclusions.push(Conclusion { seq, body });
            }
            Execution::Commands => {
                self.state.touch_target(target, &mut self.touched);
                let expected = before.map(|digest| self.state.digest(digest).clone());
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
}

impl State {
    /// A decision of a rule, before anything is known of what it starts.
    fn decision(&self, of: &Decided<'_>, reasons: Vec<Reason>) -> weir_schema::Decision {
        weir_schema::Decision {
            rule: self.text(of.rule).clone().into(),
            source: self.tag_ref(of.source, of.digest),
            target: self.target_ref(of.target),
            verdict: of.verdict,
            reasons,
            trigger: of.trigger,
            rules_digest: self.rules_digest.clone(),
            overrides: of.overrides.to_vec(),
            promotion_id: None,
            advisory: false,
            actor: None,
            waived: Vec::new(),
        }
    }
}

/// A promotion that begins.
struct Start {
    rule: NameId,
    source: TagId,
    bound: Bound,
    target: TagId,
    /// What the target holds.
    before: Option<DigestId>,
    /// What it is held to afterwards, where that was just asked.
    holds_on: Option<(Wake, Reads)>,
}

/// What a decision is made of.
struct Decided<'a> {
    rule: NameId,
    source: TagId,
    digest: DigestId,
    target: TagId,
    verdict: weir_schema::Verdict,
    overrides: &'a [String],
    trigger: u64,
}
