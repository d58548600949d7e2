//! The differences that are listed, in full: what matters to them is folded once more on both
//! sides, and their decisions and explanations are kept.
//!
//! What matters to a subject is what happened in the repositories that promotions link with its
//! own (see [`Relevant`]). If that does not lead to the promotions that the whole history led to, the
//! whole history is folded once more.

use std::{collections::BTreeMap, thread};

use hashbrown::HashMap;
use weir_rules::{Explanation, MANUAL, State};
use weir_schema::{Decision, TagRef, Verdict};

use super::{
    BacktestError,
    clauses::clauses,
    compare::{Comparison, Found, Half, Names, Seen, half},
    decoding::in_order,
    given::{Batch, Input},
    history::Reading,
    index::Index,
    mark::mark_of,
    pipeline::Pipeline,
    relevant::Relevant,
    report::{Clause, Decided, Difference, Kind, Moment, Outcome, Promoted, Violation},
    retelling::Retelling,
    side::{Concluded, Side},
};

/// What is folded, and by what.
pub(super) struct Again<'a> {
    pub(super) pipeline: &'a Pipeline<'a>,
    pub(super) index: &'a Index,
    pub(super) comparison: &'a Comparison,
}

impl Again<'_> {
    /// The differences that were found, in full.
    pub(super) fn detail(&self, found: &[Found]) -> Result<Vec<Difference>, BacktestError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let mut kept = self.fold(found, &self.relevant(found))?;
        let led = self.leads_there(found, &kept);
        debug_assert!(led, "what matters to the differences is all that does");
        if !led {
            tracing::warn!(
                "more mattered to the differences than was thought: all is folded again"
            );
            kept = self.fold(found, &Relevant::All)?;
        }
        let [old, new] = kept;
        let sides = old.into_iter().zip(new);
        let differences = found.iter().zip(sides);
        Ok(differences
            .map(|(one, (old, new))| self.difference(one, old, new))
            .collect())
    }

    fn relevant(&self, found: &[Found]) -> Relevant {
        let (index, comparison) = (self.index, self.comparison);
        let seen = found.iter().flat_map(|one| one.old.iter().chain(&one.new));
        let own = seen.map(|seen| mark_of(comparison.names.texts_of(seen.subject.source).0));
        Relevant::to(comparison.linked(own, &index.links), index)
    }

    /// Folds what is relevant on both sides; keeps what they say of each of `found`.
    fn fold(&self, found: &[Found], relevant: &Relevant) -> Result<[Vec<Kept>; 2], BacktestError> {
        let mut watching = Watching::new(self, found);
        let mut watch = |batch: Batch| {
            for (ordinal, input) in (batch.first..).zip(&batch.inputs) {
                if let Some(moment) = self.index.moment(ordinal) {
                    watching.take(ordinal, moment, input);
                }
            }
        };
        let places = relevant.places(self.index);
        let mut retelling = Retelling::of(self.index, places.len());
        thread::scope(|scope| {
            let (decoders, decoded) = self.pipeline.start_decoding(scope, Reading::At(&places))?;
            in_order(decoded, |block| {
                retelling.take(block, &mut watch)?;
                Ok(!self.pipeline.watch.is_stopped())
            })?;
            self.pipeline.join(decoders)
        })?;
        retelling.finish(&mut watch)?;
        Ok(watching.kept)
    }

    /// Whether the promotions are those that the whole history led to.
    fn leads_there(&self, found: &[Found], [old, new]: &[Vec<Kept>; 2]) -> bool {
        let names = &self.comparison.names;
        let led = |seen: Option<&Seen>, kept: &Kept| {
            let mut promoted: Vec<(&str, &str, u32)> = Vec::new();
            for (ordinal, decision) in &kept.decisions {
                let target = &decision.target;
                let place = (target.repository.as_str(), target.tag.as_str());
                let known = promoted.iter().any(|one| (one.0, one.1) == place);
                if promotes(decision) && !known {
                    promoted.push((place.0, place.1, *ordinal));
                }
            }
            let all = seen.map_or(&[][..], |seen| &seen.all).iter();
            let expected = all.map(|(place, ordinal)| {
                let (repository, tag) = names.texts_of(*place);
                (repository, tag, *ordinal)
            });
            promoted.iter().copied().eq(expected)
        };
        found
            .iter()
            .zip(old.iter().zip(new))
            .all(|(one, (old, new))| {
                of_violations(one.kind) || led(one.old.as_ref(), old) && led(one.new.as_ref(), new)
            })
    }

    fn difference(&self, one: &Found, old: Kept, new: Kept) -> Difference {
        let names = &self.comparison.names;
        let seen = one.new.as_ref().or(one.old.as_ref());
        let rule = seen.map_or(String::new(), |seen| {
            names.text(seen.subject.rule).to_owned()
        });
        let digest = [&old, &new]
            .into_iter()
            .find_map(|kept| kept.digest.clone());
        let source = seen.and_then(|seen| {
            let (repository, tag) = names.texts_of(seen.subject.source);
            Some(TagRef {
                repository: repository.parse().ok()?,
                tag: tag.parse().ok()?,
                digest,
            })
        });
        let side = |seen: Option<&Seen>, kept| {
            let mut outcome = self.outcome(one, seen, kept);
            let own = seen.map(|seen| names.text(seen.subject.rule));
            outcome.rule = own.filter(|own| *own != rule).map(str::to_owned);
            outcome
        };
        let (old, new) = (side(one.old.as_ref(), old), side(one.new.as_ref(), new));
        Difference {
            kind: one.kind,
            moment: self.moment(one.ordinal),
            rule,
            source: source.expect("a decision's source is a repository and a tag"),
            old,
            new,
        }
    }

    fn moment(&self, ordinal: u32) -> Moment {
        // At 0, before the first input, rules are put in force and there is nothing to decide on.
        let moment = self.index.moment(ordinal.max(1));
        moment.expect("what was decided was decided at an input")
    }

    fn outcome(&self, one: &Found, seen: Option<&Seen>, kept: Kept) -> Outcome {
        let decided = |(ordinal, decision): &(u32, Decision)| Decided {
            moment: self.moment(*ordinal),
            verdict: decision.verdict,
            reasons: decision.reasons.clone(),
            target: decision.target.clone(),
            advisory: decision.advisory,
        };
        let then = kept.decisions.iter().rev();
        let then = then.clone().find(|(ordinal, _)| *ordinal <= one.ordinal);
        let then = then.map(decided);
        let last = kept.decisions.last().map(decided);
        let last = last.filter(|last| {
            let other = |then: &Decided| {
                then.verdict != last.verdict
                    || then.reasons != last.reasons
                    || then.target != last.target
            };
            then.as_ref().is_none_or(other)
        });
        let only_there = matches!(one.kind, Kind::Newly | Kind::Never | Kind::Elsewhere);
        let promoted = seen.and_then(|seen| match seen.promoted {
            None if !only_there => seen.all.first().copied(),
            promoted => promoted,
        });
        let promoted = promoted.map(|(place, ordinal)| {
            let (repository, tag) = self.comparison.names.texts_of(place);
            Promoted {
                moment: self.moment(ordinal),
                target: weir_schema::TargetRef {
                    repository: repository.into(),
                    tag: tag.into(),
                },
            }
        });
        let explanation = kept.explanation.map(|explanation| {
            let mut explanation = serde_json::to_value(explanation).unwrap_or_default();
            // The record of a fold of its own: `decided` says which of the history it was.
            if let Some(object) = explanation.as_object_mut() {
                object.remove("decided");
            }
            explanation
        });
        Outcome {
            rule: None,
            decided: then,
            absent: kept.absent,
            promoted,
            last,
            violations: kept.violations,
            clauses: kept.clauses,
            explanation,
        }
    }
}

fn promotes(decision: &Decision) -> bool {
    decision.promotion_id.is_some()
}

fn of_violations(kind: Kind) -> bool {
    matches!(kind, Kind::Violated | Kind::NoLongerViolated)
}

/// What is kept of a subject on one side.
#[derive(Debug, Default)]
struct Kept {
    digest: Option<weir_schema::Digest>,
    decisions: Vec<(u32, Decision)>,
    violations: Vec<Violation>,
    explanation: Option<Explanation>,
    clauses: Vec<Clause>,
    absent: Option<String>,
}

/// A rule, a repository, a tag, the half of a digest, and the input of a binding.
type Wanted = (String, String, String, Half, u32);

/// Both sides, watched for what they say of some subjects.
struct Watching<'a> {
    found: &'a [Found],
    names: &'a Names,
    sides: [Side; 2],
    /// By subject, which of those found it is.
    wanted: [HashMap<Wanted, Vec<usize>>; 2],
    /// When each is explained.
    due: BTreeMap<u32, Vec<usize>>,
    kept: [Vec<Kept>; 2],
}

impl<'a> Watching<'a> {
    fn new(again: &Again<'a>, found: &'a [Found]) -> Self {
        let names = &again.comparison.names;
        let mut wanted = [HashMap::new(), HashMap::new()];
        let mut due: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (place, one) in found.iter().enumerate() {
            due.entry(one.ordinal).or_default().push(place);
            for (wanted, seen) in wanted.iter_mut().zip([&one.old, &one.new]) {
                if let Some(seen) = seen {
                    let key: &mut Vec<usize> = wanted.entry(wanted_of(names, seen)).or_default();
                    key.push(place);
                }
            }
        }
        let kept = || found.iter().map(|_| Kept::default()).collect();
        Self {
            found,
            names,
            sides: again
                .pipeline
                .in_force
                .map(|rules| Side::new(again.pipeline.settings.clone(), rules.clone(), None)),
            wanted,
            due,
            kept: [kept(), kept()],
        }
    }

    fn take(&mut self, ordinal: u32, moment: Moment, input: &Input) {
        let due = self.due.remove(&ordinal);
        for (which, side) in self.sides.iter_mut().enumerate() {
            // What is explained is explained as of its time.
            if due.is_none() && side.pass(input) {
                continue;
            }
            let mut concluded = Concluded::default();
            side.input(input, &mut concluded);
            keep(
                &self.wanted[which],
                &mut self.kept[which],
                concluded,
                moment,
            );
        }
        for place in due.into_iter().flatten() {
            let one = &self.found[place];
            for (which, other) in [(0, 1), (1, 0)] {
                let own = [&one.old, &one.new][which].as_ref();
                let Some(seen) = own.or([&one.old, &one.new][other].as_ref()) else {
                    continue;
                };
                let (here, there) = (self.sides[which].state(), self.sides[other].state());
                let kept = &mut self.kept[which][place];
                if of_violations(one.kind) {
                    explain_promoted(self.names, seen, here, kept);
                } else {
                    explain(self.names, seen, here, there, kept);
                }
            }
        }
    }
}

fn wanted_of(names: &Names, seen: &Seen) -> Wanted {
    let (repository, tag) = names.texts_of(seen.subject.source);
    (
        names.text(seen.subject.rule).to_owned(),
        repository.to_owned(),
        tag.to_owned(),
        seen.subject.digest,
        seen.binding,
    )
}

/// Keeps what was concluded on what is wanted.
fn keep(
    wanted: &HashMap<Wanted, Vec<usize>>,
    kept: &mut [Kept],
    concluded: Concluded,
    moment: Moment,
) {
    for one in concluded.decided {
        let decision = one.decision;
        let Some(digest) = decision.source.digest.clone() else {
            continue;
        };
        if decision.verdict == Verdict::Withdrawn {
            continue;
        }
        let key = (
            decision.rule.to_string(),
            decision.source.repository.to_string(),
            decision.source.tag.to_string(),
            half(&digest),
            one.binding,
        );
        for place in wanted.get(&key).into_iter().flatten() {
            let kept = &mut kept[*place];
            kept.digest = Some(digest.clone());
            kept.decisions.push((one.ordinal, decision.clone()));
        }
    }
    for one in concluded.violated {
        let violation = one.violation;
        let key = (
            violation.rule.to_string(),
            violation.repository.to_string(),
            violation.tag.to_string(),
            half(&violation.digest),
            0,
        );
        for place in wanted.get(&key).into_iter().flatten() {
            let kept = &mut kept[*place];
            kept.digest = Some(violation.digest.clone());
            kept.violations.push(Violation {
                moment,
                found: one.found,
                reasons: violation.reasons.clone(),
            });
        }
    }
}

/// Explains what a promoted tag came from, as it is judged now.
fn explain_promoted(names: &Names, seen: &Seen, here: &State, kept: &mut Kept) {
    let (repository, tag) = names.texts_of(seen.subject.source);
    let came_by = here
        .tag(repository, tag)
        .and_then(|tag| tag.lineage.into_iter().next_back());
    let Some(hop) = came_by else {
        return;
    };
    let Some((repository, tag)) = hop.source.rsplit_once(':') else {
        return;
    };
    let bound = here.binding(repository, tag);
    if bound.is_some_and(|(digest, _)| half(digest) == seen.subject.digest)
        && let Some(explanation) = here.explain(repository, tag, Some(&hop.rule)).pop()
    {
        let last = kept.violations.last().filter(|last| last.found);
        let reasons = last.map_or(&[][..], |last| &last.reasons);
        kept.clauses = clauses(&explanation, reasons, here.rules());
        kept.explanation = Some(explanation);
    }
}

/// Explains a subject, or why there is none: `there` is the other side's state.
fn explain(names: &Names, seen: &Seen, here: &State, there: &State, kept: &mut Kept) {
    let (repository, tag) = names.texts_of(seen.subject.source);
    let rule = names.text(seen.subject.rule);
    let bound = here.binding(repository, tag);
    if bound.is_some_and(|(digest, _)| half(digest) == seen.subject.digest) {
        kept.explanation = here.explain(repository, tag, Some(rule)).pop();
        if let Some(explanation) = &kept.explanation {
            let last = kept.decisions.last();
            let reasons = last.map_or(&[][..], |(_, decision)| &decision.reasons);
            kept.clauses = clauses(explanation, reasons, here.rules());
        }
        if kept.decisions.is_empty() {
            kept.absent = Some(match (&kept.explanation, here.rules().rule(rule)) {
                (None, _) if rule == MANUAL => "nobody asked for it".to_owned(),
                (None, None) => format!("no rule `{rule}` is in force"),
                (None, Some(_)) => format!("the rule `{rule}` does not take it"),
                (Some(_), _) => "the tag came to it at another time and was judged then".to_owned(),
            });
        }
        return;
    }
    let came_by = there
        .tag(repository, tag)
        .and_then(|tag| tag.lineage.into_iter().next_back());
    kept.absent = Some(match (bound, came_by) {
        (Some((digest, _)), _) => format!("the tag points at {} instead", digest.short()),
        (None, Some(hop)) => format!("`{}` did not promote {} to it", hop.rule, hop.source),
        (None, None) => "there is no such tag".to_owned(),
    });
}
