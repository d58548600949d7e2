//! One side, watched for what it says of the subjects that are listed.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use weir_rules::{Explanation, HopView, MANUAL, State};
use weir_schema::{Decision, Digest, Verdict};

use super::{
    clauses::clauses,
    compare::{Found, Half, Names, Seen, Which, half},
    given::{Batch, Input},
    index::Index,
    report::{Clause, Kind, Moment, Violation},
    side::{Concluded, Side},
};

/// What is kept of a subject on one side.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) digest: Option<Digest>,
    pub(super) decisions: Vec<(u32, Decision)>,
    pub(super) violations: Vec<Violation>,
    pub(super) explanation: Option<Explanation>,
    pub(super) clauses: Vec<Clause>,
    pub(super) absent: Option<Absent>,
    /// The promotion by which the tag came to what it pointed at when it was explained.
    pub(super) came_by: Option<HopView>,
}

/// Why a side says nothing of a subject.
#[derive(Debug)]
pub(super) enum Absent {
    /// For what it is there.
    Because(String),
    /// Its tag is not there: the other side knows how it would have come.
    NoTag,
}

/// A rule, a repository, a tag, the half of a digest, and the input of a binding.
type Wanted = (String, String, String, Half, u32);

/// A side that is watched.
pub(super) struct Watching<'a> {
    side: Side,
    index: &'a Index,
    names: &'a Names,
    /// Which of those found a subject is.
    wanted: HashMap<Wanted, Vec<usize>>,
    /// Which are explained at an input, each as its own side or else the other has it.
    due: BTreeMap<u32, Vec<(usize, Kind, &'a Seen)>>,
    /// What is kept of each of those found.
    pub(super) kept: Vec<Kept>,
}

impl Absent {
    /// The same in words; `there` is how the tag came to what it points at on the other side.
    pub(super) fn told(&self, there: Option<&HopView>) -> String {
        match (self, there) {
            (Self::Because(reason), _) => reason.clone(),
            (Self::NoTag, Some(hop)) => {
                format!("`{}` did not promote {} to it", hop.rule, hop.source)
            }
            (Self::NoTag, None) => "there is no such tag".to_owned(),
        }
    }
}

impl<'a> Watching<'a> {
    /// `side` is the old or the new one, and watched for what it says of each of `found`.
    pub(super) fn new(
        side: Side,
        which: Which,
        found: &'a [Found],
        index: &'a Index,
        names: &'a Names,
    ) -> Self {
        let mut wanted: HashMap<Wanted, Vec<usize>> = HashMap::new();
        let mut due: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for (place, one) in found.iter().enumerate() {
            let own = one.seen(which);
            if let Some(seen) = own {
                let same = wanted.entry(wanted_of(names, seen)).or_default();
                same.push(place);
            }
            if let Some(seen) = own.or(one.seen(which.other())) {
                let explained = due.entry(one.ordinal).or_default();
                explained.push((place, one.kind, seen));
            }
        }
        Self {
            side,
            index,
            names,
            wanted,
            due,
            kept: found.iter().map(|_| Kept::default()).collect(),
        }
    }

    /// Takes the next inputs.
    pub(super) fn take(&mut self, batch: &Batch) {
        for (ordinal, input) in (batch.first..).zip(&batch.inputs) {
            if let Some(moment) = self.index.moment(ordinal) {
                self.input(ordinal, moment, input);
            }
        }
    }

    fn input(&mut self, ordinal: u32, moment: Moment, input: &Input) {
        let due = self.due.remove(&ordinal);
        // What is explained is explained as of its time.
        if due.is_some() || !self.side.pass(input) {
            let mut concluded = Concluded::default();
            self.side.input(input, &mut concluded);
            self.keep(concluded, moment);
        }
        for (place, kind, seen) in due.into_iter().flatten() {
            let (names, here, kept) = (self.names, self.side.state(), &mut self.kept[place]);
            if kind.is_of_violations() {
                explain_promoted(names, seen, here, kept);
            } else {
                explain(names, seen, here, kept);
            }
        }
    }

    /// Keeps what was concluded on what is wanted.
    fn keep(&mut self, concluded: Concluded, moment: Moment) {
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
            for place in self.wanted.get(&key).into_iter().flatten() {
                let kept = &mut self.kept[*place];
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
            for place in self.wanted.get(&key).into_iter().flatten() {
                let kept = &mut self.kept[*place];
                kept.digest = Some(violation.digest.clone());
                kept.violations.push(Violation {
                    moment,
                    found: one.found,
                    reasons: violation.reasons.clone(),
                });
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

/// The promotion by which a tag came to what it points at.
fn came_by(state: &State, repository: &str, tag: &str) -> Option<HopView> {
    let mut tag = state.tag(repository, tag)?;
    tag.lineage.pop()
}

/// Explains what a promoted tag came from, as it is judged now.
fn explain_promoted(names: &Names, seen: &Seen, here: &State, kept: &mut Kept) {
    let (repository, tag) = names.texts_of(seen.subject.source);
    let Some(hop) = came_by(here, repository, tag) else {
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

/// Explains a subject, or why there is none.
fn explain(names: &Names, seen: &Seen, here: &State, kept: &mut Kept) {
    let (repository, tag) = names.texts_of(seen.subject.source);
    let rule = names.text(seen.subject.rule);
    kept.came_by = came_by(here, repository, tag);
    let bound = here.binding(repository, tag).map(|(digest, _)| digest);
    let Some(digest) = bound else {
        kept.absent = Some(Absent::NoTag);
        return;
    };
    if half(digest) != seen.subject.digest {
        let instead = format!("the tag points at {} instead", digest.short());
        kept.absent = Some(Absent::Because(instead));
        return;
    }
    kept.explanation = here.explain(repository, tag, Some(rule)).pop();
    if let Some(explanation) = &kept.explanation {
        let last = kept.decisions.last();
        let reasons = last.map_or(&[][..], |(_, decision)| &decision.reasons);
        kept.clauses = clauses(explanation, reasons, here.rules());
    }
    if kept.decisions.is_empty() {
        let reason = match (&kept.explanation, here.rules().rule(rule)) {
            (None, _) if rule == MANUAL => "nobody asked for it".to_owned(),
            (None, None) => format!("no rule `{rule}` is in force"),
            (None, Some(_)) => format!("the rule `{rule}` does not take it"),
            (Some(_), _) => "the tag came to it at another time and was judged then".to_owned(),
        };
        kept.absent = Some(Absent::Because(reason));
    }
}
