//! The differences that are listed, in full: what matters to them is folded once more on both
//! sides, and their decisions and explanations are kept.
//!
//! What matters to a subject is what happened in the repositories that promotions link with its
//! own (see [`Relevant`]), up to the last that was said of it. If that does not lead to the
//! promotions that the whole history led to, all of it up to there is folded once more.

use std::{
    sync::{Arc, mpsc::sync_channel},
    thread,
};

use weir_schema::{Decision, TagRef};

use super::{
    BacktestError,
    compare::{Comparison, Found, Seen, Which},
    given::Batch,
    history::Reading,
    index::Index,
    mark::mark_of,
    pipeline::{Pipeline, WAITING, all_take, panicked, start, thread_of},
    relevant::Relevant,
    report::{Decided, Difference, Kind, Moment, Outcome, Promoted},
    retelling::retell,
    watching::{Kept, Watching},
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
        let last = found.iter().map(Found::last).max().unwrap_or(0);
        let mut kept = self.fold(found, &self.relevant(found, last), last)?;
        let led = self.leads_there(found, &kept);
        debug_assert!(led, "what matters to the differences is all that does");
        if !led {
            tracing::warn!(
                "more mattered to the differences than was thought: all is folded again"
            );
            kept = self.fold(found, &Relevant::All, last)?;
        }
        let [old, new] = &kept;
        let differences = found.iter().zip(old.iter().zip(new));
        Ok(differences
            .map(|(one, (old, new))| self.difference(one, old, new))
            .collect())
    }

    fn relevant(&self, found: &[Found], last: u32) -> Relevant {
        let (index, comparison) = (self.index, self.comparison);
        let seen = found.iter().flat_map(|one| one.old.iter().chain(&one.new));
        let own = seen.map(|seen| mark_of(comparison.names.texts_of(seen.subject.source).0));
        Relevant::to(comparison.linked(own, &index.links), index, last)
    }

    /// Folds what is relevant up to the ordinal `last` on both sides, each on a thread of its own;
    /// keeps what they say of each of `found`.
    fn fold(
        &self,
        found: &[Found],
        relevant: &Relevant,
        last: u32,
    ) -> Result<[Vec<Kept>; 2], BacktestError> {
        let pipeline = self.pipeline;
        let places = relevant.places(self.index, last);
        let inputs = self.index.up_to(last);
        thread::scope(|scope| {
            let watch = |which: Which| {
                let side = pipeline.side(which, None);
                let names = &self.comparison.names;
                let mut watching = Watching::new(side, which, found, self.index, names);
                let (sender, batches) = sync_channel::<Arc<Batch>>(WAITING);
                let work = move || {
                    batches.iter().for_each(|batch| watching.take(&batch));
                    watching.kept
                };
                start(thread_of(which), scope, work).map(|thread| (sender, thread))
            };
            let ((to_old, old), (to_new, new)) = (watch(Which::Old)?, watch(Which::New)?);
            let (decoders, decoded) = pipeline.start_decoding(scope, Reading::At(&places))?;
            let sides = [to_old, to_new];
            let told = retell(inputs, places.len(), decoded, |batch, _| {
                all_take(&sides, &Arc::new(batch)) && !pipeline.watch.is_stopped()
            });
            // Whoever folds hears that this was all.
            drop(sides);
            // Where decoding failed it is told why, and not that something is missing.
            pipeline.join(decoders)?;
            told?;
            Ok([old.join().map_err(panicked)?, new.join().map_err(panicked)?])
        })
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
                one.kind.is_of_violations()
                    || led(one.old.as_ref(), old) && led(one.new.as_ref(), new)
            })
    }

    fn difference(&self, one: &Found, old: &Kept, new: &Kept) -> Difference {
        let names = &self.comparison.names;
        let seen = one.new.as_ref().or(one.old.as_ref());
        let rule = seen.map_or(String::new(), |seen| {
            names.text(seen.subject.rule).to_owned()
        });
        let digest = [old, new].into_iter().find_map(|kept| kept.digest.clone());
        let source = seen.and_then(|seen| {
            let (repository, tag) = names.texts_of(seen.subject.source);
            Some(TagRef {
                repository: repository.parse().ok()?,
                tag: tag.parse().ok()?,
                digest,
            })
        });
        let side = |seen: Option<&Seen>, kept: &Kept, there: &Kept| {
            let mut outcome = self.outcome(one, seen, kept, there);
            let own = seen.map(|seen| names.text(seen.subject.rule));
            outcome.rule = own.filter(|own| *own != rule).map(str::to_owned);
            outcome
        };
        let (old, new) = (
            side(one.old.as_ref(), old, new),
            side(one.new.as_ref(), new, old),
        );
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

    fn outcome(&self, one: &Found, seen: Option<&Seen>, kept: &Kept, there: &Kept) -> Outcome {
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
        let explanation = kept.explanation.as_ref().map(|explanation| {
            let mut explanation = serde_json::to_value(explanation).unwrap_or_default();
            // The record of a fold of its own: `decided` says which of the history it was.
            if let Some(object) = explanation.as_object_mut() {
                object.remove("decided");
            }
            explanation
        });
        let absent = kept.absent.as_ref();
        Outcome {
            rule: None,
            decided: then,
            absent: absent.map(|absent| absent.told(there.came_by.as_ref())),
            promoted,
            last,
            violations: kept.violations.clone(),
            clauses: kept.clauses.clone(),
            explanation,
        }
    }
}

fn promotes(decision: &Decision) -> bool {
    decision.promotion_id.is_some()
}
