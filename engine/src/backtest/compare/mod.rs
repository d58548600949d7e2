//! Both sides beside each other: what every subject came to, and which differ.
//!
//! Subjects of which both sides say the same cost one small entry; only where they part is more
//! kept. Reasons are not kept at all: those of the differences that are listed are found by
//! folding what matters to them once more.

mod differences;
mod names;
mod tracks;

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use weir_schema::{Decision, Timestamp, Verdict};

pub(super) use differences::{Found, Seen};
pub(super) use names::{Half, Names, half};
pub(super) use tracks::Which;

use differences::{differences, match_up};
use names::{Name, Place};
use tracks::{Apart, Key, Pair, Subject, Track, alike};

use super::{
    index::Index,
    mark::{Mark, mark_of},
    report::{Kind, Totals},
    scope::Scope,
    side::{Concluded, Decided, Violated},
};

/// The comparison so far.
pub(super) struct Comparison {
    scope: std::sync::Arc<Scope>,
    range: Range,
    pub(super) names: Names,
    pairs: HashMap<Key, Pair>,
    violations: BTreeMap<Subject, [Vec<(u32, bool)>; 2]>,
    /// Repositories between which something was to move.
    links: HashSet<(Name, Name)>,
    pub(super) old: Totals,
    pub(super) new: Totals,
}

/// What is counted and listed: from then, before then.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Range {
    fn holds(self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }
}

impl Comparison {
    pub(super) fn new(scope: std::sync::Arc<Scope>, range: Range) -> Self {
        Self {
            scope,
            range,
            names: Names::default(),
            pairs: HashMap::new(),
            violations: BTreeMap::new(),
            links: HashSet::new(),
            old: Totals::default(),
            new: Totals::default(),
        }
    }

    /// Takes what both sides concluded from the same inputs; `at` gives the time of one of them.
    pub(super) fn take(&mut self, old: Concluded, new: Concluded, at: impl Fn(u32) -> Timestamp) {
        let mut old_side = old.decided.into_iter().peekable();
        let mut new_side = new.decided.into_iter().peekable();
        loop {
            let next = [&mut old_side, &mut new_side]
                .into_iter()
                .filter_map(|side| side.peek().map(|decided| decided.ordinal))
                .min();
            let Some(ordinal) = next else {
                break;
            };
            let here = |decided: &Decided| decided.ordinal == ordinal;
            let old: Vec<Decided> = std::iter::from_fn(|| old_side.next_if(here)).collect();
            let new: Vec<Decided> = std::iter::from_fn(|| new_side.next_if(here)).collect();
            let counted = self.range.holds(at(ordinal));
            self.decisions(ordinal, old, new, counted);
        }
        for (which, violated) in [(Which::Old, old.violated), (Which::New, new.violated)] {
            for one in violated {
                let counted = self.range.holds(at(one.ordinal));
                self.violated(which, &one, counted);
            }
        }
    }

    fn in_scope(&mut self, repository: &str) -> bool {
        if let Scope::Everything = *self.scope {
            return true;
        }
        let name = self.names.name(repository);
        let scope = &self.scope;
        *self
            .names
            .in_scope
            .entry(name)
            .or_insert_with(|| scope.contains(repository))
    }

    /// Takes the decisions on one input.
    fn decisions(&mut self, ordinal: u32, old: Vec<Decided>, new: Vec<Decided>, counted: bool) {
        let old = self.compared(Which::Old, old, counted);
        let new = self.compared(Which::New, new, counted);
        let alike = old.len() == new.len()
            && old.iter().zip(&new).all(|(one, other)| {
                one.binding == other.binding && alike(&one.decision, &other.decision)
            });
        if alike {
            for one in old {
                let (key, decision) = (self.key(&one), [one.decision]);
                self.subject(key, ordinal, &decision, &decision);
            }
            return;
        }
        let mut subjects: BTreeMap<Key, [Vec<Decision>; 2]> = BTreeMap::new();
        for (which, side) in [(Which::Old, old), (Which::New, new)] {
            for one in side {
                let sides = subjects.entry(self.key(&one)).or_default();
                sides[which as usize].push(one.decision);
            }
        }
        for (key, [old, new]) in subjects {
            self.subject(key, ordinal, &old, &new);
        }
    }

    /// Counts the decisions of a side; gives those that are compared.
    fn compared(&mut self, which: Which, decided: Vec<Decided>, counted: bool) -> Vec<Decided> {
        let mut compared = decided;
        compared.retain(|one| {
            let decision = &one.decision;
            let inside = self.in_scope(decision.source.repository.as_str());
            if counted && inside {
                match which {
                    Which::Old => self.old.count(decision),
                    Which::New => self.new.count(decision),
                }
            }
            // That a subject is gone is no answer; what was said of it before is.
            inside && decision.source.digest.is_some() && decision.verdict != Verdict::Withdrawn
        });
        compared
    }

    fn key(&mut self, one: &Decided) -> Key {
        let source = &one.decision.source;
        let subject = Subject {
            rule: self.names.name(&one.decision.rule),
            source: self
                .names
                .place(source.repository.as_str(), source.tag.as_str()),
            digest: source.digest.as_ref().map_or(Half::default(), half),
        };
        (subject, one.binding)
    }

    /// Takes the decisions of both sides on one subject.
    fn subject(&mut self, key: Key, ordinal: u32, old: &[Decision], new: &[Decision]) {
        let same = std::ptr::eq(old, new)
            || old.len() == new.len() && old.iter().zip(new).all(|(one, other)| alike(one, other));
        let [before, after] = [old, new].map(|side| -> Vec<Place> {
            side.iter()
                .map(|decision| self.target(key, decision))
                .collect()
        });
        let (old, new) = (old.iter().zip(before), new.iter().zip(after));
        let fresh = || Apart {
            since: ordinal,
            ..Apart::default()
        };
        let pair = self.pairs.entry(key).or_insert_with(|| {
            if same {
                Pair::Alike(Track::default())
            } else {
                Pair::Apart(Box::new(fresh()))
            }
        });
        if let (Pair::Alike(track), false) = (&mut *pair, same) {
            let track = std::mem::take(track);
            *pair = Pair::Apart(Box::new(Apart {
                old: Some(track.clone()),
                new: Some(track),
                ..fresh()
            }));
        }
        match pair {
            Pair::Alike(track) => {
                for (decision, target) in old {
                    track.take(decision, target, ordinal);
                }
            }
            Pair::Apart(apart) => {
                for (decision, target) in old {
                    let track = apart.old.get_or_insert_default();
                    track.take(decision, target, ordinal);
                }
                for (decision, target) in new {
                    let track = apart.new.get_or_insert_default();
                    track.take(decision, target, ordinal);
                }
                apart.look(ordinal);
            }
        }
    }

    fn target(&mut self, (subject, _): Key, decision: &Decision) -> Place {
        let target = &decision.target;
        let place = self.names.place(&target.repository, &target.tag);
        let (from, to) = (
            self.names.places[subject.source as usize].0,
            self.names.places[place as usize].0,
        );
        self.links.insert((from, to));
        place
    }

    fn violated(&mut self, which: Which, one: &Violated, counted: bool) {
        let violation = &one.violation;
        let inside = self.in_scope(violation.repository.as_str());
        if inside && counted && one.found {
            match which {
                Which::Old => self.old.violations += 1,
                Which::New => self.new.violations += 1,
            }
        }
        if inside {
            let subject = Subject {
                rule: self.names.name(&violation.rule),
                source: self
                    .names
                    .place(violation.repository.as_str(), violation.tag.as_str()),
                digest: half(&violation.digest),
            };
            let sides = self.violations.entry(subject).or_default();
            sides[which as usize].push((one.ordinal, one.found));
        }
    }

    /// Every difference, those with an effect first and then in order; and how many there are of
    /// each kind.
    pub(super) fn finish(&mut self, index: &Index) -> (Vec<Found>, BTreeMap<Kind, u64>) {
        let mut found = Vec::new();
        let mut alone: [Vec<(Key, Apart)>; 2] = Default::default();
        let mut promoted: HashSet<(Name, Place, Half)> = HashSet::new();
        let wants_promoted = !self.violations.is_empty();
        for (key, pair) in std::mem::take(&mut self.pairs) {
            let (subject, _) = key;
            let mut promoted_on_both = |old: &Track, new: &Track| {
                let both = old
                    .promoted
                    .iter()
                    .filter(|(target, _)| new.went_to(*target));
                promoted.extend(both.map(|(target, _)| (subject.rule, *target, subject.digest)));
            };
            match pair {
                Pair::Alike(track) if wants_promoted => promoted_on_both(&track, &track),
                Pair::Alike(_) => {}
                Pair::Apart(apart) => match (&apart.old, &apart.new) {
                    (Some(old), Some(new)) => {
                        promoted_on_both(old, new);
                        differences((key, old), (key, new), &apart, &mut found);
                    }
                    (Some(_), None) => alone[0].push((key, *apart)),
                    _ => alone[1].push((key, *apart)),
                },
            }
        }
        let [old, new] = alone;
        for (rule, target, digest) in match_up(&self.names, old, new, &mut found) {
            promoted.insert((rule, target, digest));
        }
        self.violations(&promoted, &mut found);
        found.retain(|one| {
            let ordinals = [&one.old, &one.new].into_iter().flatten();
            let promoted = ordinals.filter_map(|seen| Some(seen.promoted?.1));
            promoted.chain([one.ordinal]).any(|ordinal| {
                let moment = index.moment(ordinal);
                moment.is_none_or(|moment| self.range.holds(moment.at))
            })
        });
        found.sort_by_cached_key(|one| {
            let seen = one.old.as_ref().or(one.new.as_ref());
            let texts = seen.map(|seen| {
                let (repository, tag) = self.names.texts_of(seen.subject.source);
                let rule = self.names.text(seen.subject.rule).to_owned();
                let place = (repository.to_owned(), tag.to_owned());
                // One input may bind a tag to several digests, one after the other.
                (place, rule, seen.binding, seen.subject.digest)
            });
            let promoted = |seen: &Option<Seen>| seen.as_ref().and_then(|seen| seen.promoted);
            let targets = (promoted(&one.old), promoted(&one.new));
            (
                !one.kind.has_an_effect(),
                one.ordinal,
                texts,
                one.kind,
                targets,
            )
        });
        let mut totals = BTreeMap::new();
        for one in &found {
            *totals.entry(one.kind).or_default() += 1;
        }
        (found, totals)
    }

    /// What of the promoted is in violation on one side only.
    fn violations(&self, promoted: &HashSet<(Name, Place, Half)>, found: &mut Vec<Found>) {
        for (subject, [old, new]) in &self.violations {
            if !promoted.contains(&(subject.rule, subject.source, subject.digest)) {
                continue;
            }
            let ever = |side: &[(u32, bool)]| side.iter().any(|(_, found)| *found);
            let last = |side: &[(u32, bool)]| side.last().is_some_and(|(_, found)| *found);
            let kind = match ((ever(old), last(old)), (ever(new), last(new))) {
                ((false, _), (true, _)) | ((_, false), (_, true)) => Kind::Violated,
                ((true, _), (false, _)) | ((_, true), (_, false)) => Kind::NoLongerViolated,
                _ => continue,
            };
            let differing = old
                .iter()
                .chain(new)
                .filter(|one| !old.contains(one) || !new.contains(one));
            let seen = |side: &[(u32, bool)]| Seen {
                subject: *subject,
                binding: 0,
                promoted: None,
                all: Vec::new(),
                last: side.last().map_or(0, |(ordinal, _)| *ordinal),
            };
            found.push(Found {
                kind,
                ordinal: differing.map(|(ordinal, _)| *ordinal).min().unwrap_or(0),
                old: Some(seen(old)),
                new: Some(seen(new)),
            });
        }
    }

    /// Repositories that have to do with those of `of`: everything that was to move from or to
    /// them, and so on.
    pub(super) fn linked(
        &self,
        of: impl Iterator<Item = Mark>,
        more: &[(Mark, Mark)],
    ) -> HashSet<Mark> {
        let mut neighbours: HashMap<Mark, Vec<Mark>> = HashMap::new();
        let links = self.links.iter().map(|(source, target)| {
            (
                mark_of(self.names.text(*source)),
                mark_of(self.names.text(*target)),
            )
        });
        for (source, target) in links.chain(more.iter().copied()) {
            neighbours.entry(source).or_default().push(target);
            neighbours.entry(target).or_default().push(source);
        }
        let mut open: Vec<Mark> = of.collect();
        let mut linked: HashSet<Mark> = open.iter().copied().collect();
        while let Some(next) = open.pop() {
            for neighbour in neighbours.get(&next).into_iter().flatten() {
                if linked.insert(*neighbour) {
                    open.push(*neighbour);
                }
            }
        }
        linked
    }
}

impl Totals {
    fn count(&mut self, decision: &Decision) {
        self.decisions += 1;
        *self.verdicts.entry(decision.verdict).or_default() += 1;
        self.promotions += u64::from(decision.promotion_id.is_some());
    }
}
