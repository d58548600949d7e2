//! A history of events, judged by the core itself: what a rule makes of it, step by step.
//!
//! Promotions complete at once, as in a replay, so that one rule's target can be another's source.

use weir_rules::cel::Evaluation;
use weir_rules::rule::{Kind, Rule, parse_duration};
use weir_rules::{Command, Execution, Settings, State, step};
use weir_schema::{
    Body, Decision, PromotionOutcome, Reason, ReasonCode, RuleFile, RulesActivated, Timestamp,
};

use super::document::{Case, Expect, Happening};
use super::events;
use super::facts::NOW;
use super::judge::{Found, Judgement};

/// The rules that are in force in a history.
pub struct InForce<'a> {
    /// The rule that is tested.
    pub rule: &'a Rule,
    /// Its file.
    pub text: &'a str,
    /// The rest of the rule set, with their files.
    pub others: &'a [(&'a Rule, &'a str)],
}

/// What came of a history: at its end, and where it expects something on the way.
pub struct Outcome {
    /// The number of each happening at which something is expected, that, and what was found.
    pub on_the_way: Vec<(usize, Expect, Judgement)>,
    /// At the end.
    pub last: Judgement,
}

/// Lets a history happen.
///
/// # Errors
/// If it cannot be read, or it is not clear which tag it is about.
pub fn run(in_force: &InForce<'_>, case: &Case) -> Result<Outcome, String> {
    let mut history = History::begin(in_force, case)?;
    let mut on_the_way = Vec::new();
    for (number, happening) in (1..).zip(case.history.iter().flatten()) {
        let named = |error| format!("history, number {number}: {error}");
        match happening {
            Happening::After(text) => {
                let delta =
                    parse_duration(text).map_err(|error| named(format!("`after`: {error}")))?;
                history.wait_until(history.now.saturating_add(delta));
            }
            Happening::At(text) => {
                let at: Timestamp = text
                    .parse()
                    .map_err(|error| named(format!("`at`: {error}")))?;
                if at < history.now {
                    return Err(named(format!("`at`: {at} is before {}", history.now)));
                }
                history.wait_until(at);
            }
            Happening::Expect(expect) => {
                let found = history.judgement().map_err(named)?;
                on_the_way.push((number, expect.clone(), found));
            }
            Happening::Event(kind, data) => {
                let body = events::event(kind, data).map_err(named)?;
                history.take(body);
            }
        }
    }
    let last = history.judgement()?;
    Ok(Outcome { on_the_way, last })
}

struct History<'a> {
    state: State,
    now: Timestamp,
    tested: &'a Rule,
    /// The promote rules whose verdicts are looked at: the tested one, or those that a deny rule
    /// may stop.
    promotes: Vec<&'a str>,
    /// The tag that is looked at, as `repository:tag`, if the case names one.
    of: Option<&'a str>,
    /// The last decision on each tag under each of them.
    decisions: Vec<Decision>,
    /// What the tested rule's clauses came to, since this was last asked.
    evaluations: Vec<Evaluation>,
}

impl<'a> History<'a> {
    fn begin(in_force: &InForce<'a>, case: &'a Case) -> Result<Self, String> {
        let file = |rule: &Rule, text: &str| RuleFile {
            path: rule.path.clone(),
            text: text.to_owned(),
        };
        let tested = in_force.rule;
        let mut files = vec![file(tested, in_force.text)];
        let mut promotes: Vec<&str> = Vec::new();
        for name in case.rules.iter().filter(|name| **name != tested.name) {
            let Some((rule, text)) = in_force.others.iter().find(|(rule, _)| rule.name == *name)
            else {
                return Err(format!(
                    "`rules`: there is no other rule `{name}` beside it"
                ));
            };
            files.push(file(rule, text));
            if rule.kind == Kind::Promote {
                promotes.push(&rule.name);
            }
        }
        if tested.kind == Kind::Promote {
            promotes = vec![&tested.name];
        } else if promotes.is_empty() {
            return Err(
                "a deny rule is seen by what it does to a promote rule: name one in `rules`"
                    .to_owned(),
            );
        }
        let now: Timestamp = NOW.parse().map_err(|error| format!("{error}"))?;
        let mut history = Self {
            state: State::new(Settings::default()),
            now,
            tested,
            promotes,
            of: case.of.as_deref(),
            decisions: Vec::new(),
            evaluations: Vec::new(),
        };
        history.take(Body::RulesActivated(RulesActivated { files, actor: None }));
        Ok(history)
    }

    /// Time passes, and deadlines that it passes take effect.
    fn wait_until(&mut self, at: Timestamp) {
        self.now = at;
        self.take(Body::ClockTicked);
    }

    /// Takes an event, and lets the promotions that follow from it complete.
    fn take(&mut self, body: Body) {
        let mut inputs = vec![body];
        while let Some(input) = inputs.pop() {
            let taken = step(&mut self.state, self.now, &input, Execution::Commands);
            for conclusion in taken.conclusions {
                if let Body::DecisionMade(decision) = conclusion.body
                    && self.promotes.contains(&decision.rule.as_str())
                {
                    self.note(decision);
                }
            }
            for Command::Copy(copy) in taken.commands {
                inputs.push(Body::PromotionCompleted(PromotionOutcome {
                    promotion_id: copy.promotion_id,
                    rule: copy.rule,
                    source: copy.source,
                    target: copy.target,
                    attempts: None,
                    error: None,
                }));
            }
        }
    }

    fn note(&mut self, decision: Decision) {
        if reached_expression(&decision.reasons) && self.is_asked(&decision) {
            let source = &decision.source;
            let (repository, tag) = (source.repository.to_string(), source.tag.to_string());
            let found = self
                .state
                .with_facts(&repository, &tag, Some(&decision.rule), |facts| {
                    self.tested.program.decide(facts)
                });
            // A tag that is gone again has no facts.
            self.evaluations.extend(found.ok());
        }
        self.decisions
            .retain(|known| known.rule != decision.rule || tag_of(known) != tag_of(&decision));
        self.decisions.push(decision);
    }

    /// Whether the tested rule looks at what was decided: a deny rule may look elsewhere.
    fn is_asked(&self, decision: &Decision) -> bool {
        if self.tested.kind == Kind::Promote {
            return true;
        }
        let source = &decision.source;
        let (repository, tag) = (source.repository.to_string(), source.tag.to_string());
        let explained = self.state.explain(&repository, &tag, Some(&decision.rule));
        let mut denies = explained.iter().flat_map(|explained| &explained.denies);
        denies.any(|deny| deny.rule == self.tested.name)
    }

    /// What was decided last.
    fn judgement(&mut self) -> Result<Judgement, String> {
        let asked = self
            .decisions
            .iter()
            .filter(|decision| self.of.is_none_or(|of| tag_of(decision) == of));
        let asked: Vec<&Decision> = asked.collect();
        let decision = match asked.as_slice() {
            [only] => *only,
            [] => {
                let tag = self
                    .of
                    .map_or_else(|| "any tag".to_owned(), |of| format!("`{of}`"));
                let rules = self.promotes.join("`, `");
                return Err(format!("`{rules}` never had a verdict on {tag}"));
            }
            several => {
                let mut named: Vec<String> = several
                    .iter()
                    .map(|decision| format!("`{}` under `{}`", tag_of(decision), decision.rule))
                    .collect();
                named.sort_unstable();
                let named = named.join(", ");
                return Err(format!(
                    "there are several verdicts, on {named}: name one tag with `of`"
                ));
            }
        };
        Ok(Judgement {
            verdict: decision.verdict,
            reasons: decision.reasons.iter().map(found).collect(),
            target: format!("{}:{}", decision.target.repository, decision.target.tag),
            evaluations: std::mem::take(&mut self.evaluations),
        })
    }
}

/// The tag that a decision is about, as `repository:tag`.
fn tag_of(decision: &Decision) -> String {
    format!("{}:{}", decision.source.repository, decision.source.tag)
}

fn found(reason: &Reason) -> Found {
    Found {
        code: reason.code,
        clause: reason.clause.clone(),
        message: reason.message.clone(),
    }
}

/// Whether the gate had nothing to object, so that the expression was looked at.
fn reached_expression(reasons: &[Reason]) -> bool {
    !reasons.iter().any(|reason| {
        matches!(
            reason.code,
            ReasonCode::AppInvalid
                | ReasonCode::ManifestDeleted
                | ReasonCode::ManifestUnknown
                | ReasonCode::NothingToScan
                | ReasonCode::RepositoryDeleted
                | ReasonCode::RuleRemoved
                | ReasonCode::ScanFailed
                | ReasonCode::ScanMissing
                | ReasonCode::ScanRunning
                | ReasonCode::TagDeleted
        )
    })
}
