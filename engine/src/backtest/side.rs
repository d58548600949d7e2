//! One side: a state under its rules, folded through the same step as everything else.

use std::{borrow::Cow, sync::Arc};

use weir_rules::{Execution, Settings, State, step};
use weir_schema::{Body, Decision, ImagePushed, RuleFile, RulesActivated, Timestamp, Violation};

use super::{
    given::{Batch, Given, Input, content},
    scope::Scope,
};

/// Which rules are in force.
#[derive(Debug, Clone)]
pub(super) enum InForce {
    /// Those that the history put in force, from where it did.
    AsRecorded,
    /// These, from the first record on.
    FromTheFirst(Vec<RuleFile>),
    /// These, from where the history put its first in force.
    InPlaceOfTheFirst(Vec<RuleFile>),
}

impl InForce {
    /// What happens before the first input.
    pub(super) fn beginning(&self) -> Option<Body> {
        match self {
            Self::FromTheFirst(files) => Some(activated(files.clone())),
            Self::AsRecorded | Self::InPlaceOfTheFirst(_) => None,
        }
    }

    /// What an input says.
    pub(super) fn says<'a>(&mut self, given: &'a Given) -> Cow<'a, Body> {
        match given {
            Given::Nothing => Cow::Owned(Body::ClockTicked),
            Given::Rules(files) => Cow::Owned(self.rules(files)),
            Given::Event(body) => Cow::Borrowed(body),
        }
    }

    /// What the history's putting `files` in force does.
    fn rules(&mut self, files: &[RuleFile]) -> Body {
        match self {
            Self::AsRecorded => activated(files.to_vec()),
            Self::FromTheFirst(_) => Body::ClockTicked,
            Self::InPlaceOfTheFirst(own) => {
                let own = std::mem::take(own);
                *self = Self::FromTheFirst(Vec::new());
                activated(own)
            }
        }
    }
}

/// A decision of a side.
#[derive(Debug)]
pub(super) struct Decided {
    /// The input that led to it.
    pub(super) ordinal: u32,
    /// The input by which the source tag came to point at what it does.
    pub(super) binding: u32,
    pub(super) decision: Decision,
}

/// A violation that a side found or cleared.
#[derive(Debug)]
pub(super) struct Violated {
    /// The input that led to it.
    pub(super) ordinal: u32,
    pub(super) found: bool,
    pub(super) violation: Violation,
}

/// What a side concludes from a batch, in order.
#[derive(Debug, Default)]
pub(super) struct Concluded {
    pub(super) decided: Vec<Decided>,
    pub(super) violated: Vec<Violated>,
}

/// A state under one side's rules.
pub(super) struct Side {
    state: State,
    in_force: InForce,
    /// Set where only a part of the registry is folded.
    scope: Option<Arc<Scope>>,
    /// The ordinal of the next input; at 0 the side begins.
    next: u32,
    /// The first record and the ordinal of each input that was not passed.
    taken: Vec<(u64, u32)>,
}

impl Side {
    pub(super) fn new(settings: Settings, in_force: InForce, scope: Option<Arc<Scope>>) -> Self {
        Self {
            state: State::new(settings),
            in_force,
            scope,
            next: 0,
            taken: Vec::new(),
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Takes the next inputs.
    pub(super) fn take(&mut self, batch: &Batch) -> Concluded {
        let mut concluded = Concluded::default();
        for input in &batch.inputs {
            if !self.pass(input) {
                self.input(input, &mut concluded);
            }
        }
        concluded
    }

    /// Passes an input that says nothing, if by its time nothing changes either; says whether it did.
    /// The state's time stays what it was.
    pub(super) fn pass(&mut self, input: &Input) -> bool {
        let passes = matches!(input.given, Given::Nothing)
            && self.next > 0
            && self.state.is_at_rest(input.at);
        if passes {
            self.next = self.next.saturating_add(1);
        }
        passes
    }

    /// Takes one input.
    pub(super) fn input(&mut self, input: &Input, concluded: &mut Concluded) {
        if self.next == 0 {
            match self.in_force.beginning() {
                Some(body) => self.step(input.at, &body, concluded),
                None => self.next = 1,
            }
        }
        let body = match (&input.given, &self.scope) {
            (Given::Event(body), Some(scope)) => narrowed(scope, body),
            (given, _) => self.in_force.says(given),
        };
        self.step(input.at, &body, concluded);
    }

    fn step(&mut self, at: Timestamp, body: &Body, concluded: &mut Concluded) {
        let ordinal = self.next;
        let taken = step(&mut self.state, at, body, Execution::AtOnce);
        self.next = ordinal.saturating_add(1);
        self.taken.push((taken.seq, ordinal));
        for conclusion in taken.conclusions {
            match conclusion.body {
                Body::DecisionMade(decision) => {
                    let binding = self.binding(&decision, ordinal);
                    concluded.decided.push(Decided {
                        ordinal,
                        binding,
                        decision,
                    });
                }
                Body::ViolationFound(violation) => concluded.violated.push(Violated {
                    ordinal,
                    found: true,
                    violation,
                }),
                Body::ViolationCleared(violation) => concluded.violated.push(Violated {
                    ordinal,
                    found: false,
                    violation,
                }),
                _ => {}
            }
        }
    }

    /// The input by which the source tag came to point at the digest that was decided on.
    fn binding(&self, decision: &Decision, ordinal: u32) -> u32 {
        let source = &decision.source;
        match self
            .state
            .binding(source.repository.as_str(), source.tag.as_str())
        {
            Some((digest, record)) if Some(digest) == source.digest.as_ref() => {
                let after = self.taken.partition_point(|(first, _)| *first <= record);
                let by = after.checked_sub(1).and_then(|at| self.taken.get(at));
                by.map_or(0, |(_, ordinal)| *ordinal)
            }
            // It was moved on within the step.
            _ => ordinal,
        }
    }
}

fn activated(files: Vec<RuleFile>) -> Body {
    Body::RulesActivated(RulesActivated { files, actor: None })
}

/// What of an event is said within the scope: what it says of content holds everywhere.
fn narrowed<'a>(scope: &Scope, body: &'a Body) -> Cow<'a, Body> {
    let repository = match body {
        Body::ImagePushed(push) => &push.repository,
        Body::RepositoryCreated(data) | Body::RepositoryDeleted(data) => &data.repository,
        Body::RepositoryConfigured(data) => &data.repository,
        Body::TagDeleted(data) => &data.repository,
        Body::ManifestDeleted(data) => &data.repository,
        Body::ApprovalGranted(vote) | Body::ApprovalRevoked(vote) => &vote.repository,
        Body::PromotionRequested(request) => &request.repository,
        Body::PromotionStarted(outcome)
        | Body::PromotionCompleted(outcome)
        | Body::PromotionFailed(outcome) => &outcome.source.repository,
        _ => return Cow::Borrowed(body),
    };
    if scope.contains(repository.as_str()) {
        return Cow::Borrowed(body);
    }
    Cow::Owned(match body {
        Body::ImagePushed(push) => content(ImagePushed::clone(push)),
        _ => Body::ClockTicked,
    })
}
