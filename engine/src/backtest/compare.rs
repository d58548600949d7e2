//! Both sides beside each other: what every subject came to, and which differ.
//!
//! Subjects of which both sides say the same cost one small entry; only where they part is more
//! kept. Reasons are not kept at all: those of the differences that are listed are found by
//! folding what matters to them once more.

use std::collections::{BTreeMap, HashMap, HashSet};

use weir_rules::MANUAL;
use weir_schema::{Decision, Timestamp, Verdict};

use super::{
    given::Index,
    mark::{Mark, mark_of},
    report::{Kind, Totals},
    scope::Scope,
    side::{Concluded, Decided, Violated},
};

/// A text by number.
pub(super) type Name = u32;

/// A repository and a name in it, by number.
pub(super) type Place = u32;

/// The first half of a digest: enough to tell those of one tag apart.
pub(super) type Half = [u8; 16];

/// A rule, a source tag, and what it points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Subject {
    pub(super) rule: Name,
    pub(super) source: Place,
    pub(super) digest: Half,
}

/// What a side came to for a subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Track {
    /// The last verdict; none before the first.
    verdict: Option<Verdict>,
    advisory: bool,
    /// Where it was promoted to, and by which input; each target once.
    pub(super) promoted: Vec<(Place, u32)>,
}

/// Two tracks that part.
#[derive(Debug, Clone, Default)]
struct Apart {
    old: Option<Track>,
    new: Option<Track>,
    /// The first input of which they say something different.
    since: u32,
    /// The first input after which their verdicts are different.
    verdicts: Option<u32>,
}

enum Pair {
    Alike(Track),
    Apart(Box<Apart>),
}

/// A subject's binding.
type Key = (Subject, u32);

/// Which of the sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Old,
    New,
}

/// A difference that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) kind: Kind,
    /// The first input at which it showed.
    pub(super) ordinal: u32,
    /// On each side, with the input by which the tag came to point at it; none where there is no
    /// such subject.
    pub(super) old: Option<Seen>,
    pub(super) new: Option<Seen>,
}

/// A subject as a side has it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) subject: Subject,
    /// The input of the binding; of a violation, 0.
    pub(super) binding: u32,
    /// Where it was promoted to and by which input, as far as that is the difference.
    pub(super) promoted: Option<(Place, u32)>,
    /// Everywhere it was promoted to.
    pub(super) all: Vec<(Place, u32)>,
}

/// The comparison so far.
pub(super) struct Comparison {
    scope: std::sync::Arc<Scope>,
    /// The new side folds only what is in scope.
    narrowed: bool,
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

/// Texts and places by number.
#[derive(Default)]
pub(super) struct Names {
    texts: Vec<String>,
    numbers: HashMap<String, Name>,
    places: Vec<(Name, Name)>,
    place_numbers: HashMap<(Name, Name), Place>,
    /// Whether a repository is in scope, by its number.
    in_scope: HashMap<Name, bool>,
}

impl Names {
    fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.numbers.get(text) {
            return *name;
        }
        let name = u32::try_from(self.texts.len()).expect("fewer than 2^32 names fit in memory");
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), name);
        name
    }

    fn place(&mut self, repository: &str, tag: &str) -> Place {
        let key = (self.name(repository), self.name(tag));
        let next = u32::try_from(self.places.len()).expect("fewer than 2^32 tags fit in memory");
        let place = *self.place_numbers.entry(key).or_insert(next);
        if place == next {
            self.places.push(key);
        }
        place
    }

    /// The text of a name.
    pub(super) fn text(&self, name: Name) -> &str {
        &self.texts[name as usize]
    }

    /// Repository and tag of a place.
    pub(super) fn texts_of(&self, place: Place) -> (&str, &str) {
        let (repository, tag) = self.places[place as usize];
        (self.text(repository), self.text(tag))
    }
}

/// The first half of a digest.
pub(super) fn half(digest: &weir_schema::Digest) -> Half {
    let mut half = Half::default();
    half.copy_from_slice(&digest.bytes()[..16]);
    half
}

impl Comparison {
    pub(super) fn new(scope: std::sync::Arc<Scope>, narrowed: bool, range: Range) -> Self {
        Self {
            scope,
            narrowed,
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
            // What is out of scope comes out alike and is folded on one side only.
            let both = !inside && self.narrowed;
            if counted && which == Which::Old {
                self.old.count(decision);
            }
            if counted && both == (which == Which::Old) {
                self.new.count(decision);
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
        let both = !inside && self.narrowed;
        if counted && one.found {
            let (old, new) = (&mut self.old.violations, &mut self.new.violations);
            *old += u64::from(which == Which::Old);
            *new += u64::from(which == Which::New && !both || which == Which::Old && both);
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
                (repository.to_owned(), tag.to_owned(), rule, seen.binding)
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
            let seen = Seen {
                subject: *subject,
                binding: 0,
                promoted: None,
                all: Vec::new(),
            };
            found.push(Found {
                kind,
                ordinal: differing.map(|(ordinal, _)| *ordinal).min().unwrap_or(0),
                old: Some(seen.clone()),
                new: Some(seen),
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

/// Whether two decisions say the same.
fn alike(one: &Decision, other: &Decision) -> bool {
    one.verdict == other.verdict
        && one.advisory == other.advisory
        && one.rule == other.rule
        && one.source == other.source
        && one.target == other.target
        && one.reasons == other.reasons
        && one.overrides == other.overrides
        && one.promotion_id.is_some() == other.promotion_id.is_some()
        && one.waived == other.waived
}

impl Totals {
    fn count(&mut self, decision: &Decision) {
        self.decisions += 1;
        *self.verdicts.entry(decision.verdict).or_default() += 1;
        self.promotions += u64::from(decision.promotion_id.is_some());
    }
}

impl Track {
    fn take(&mut self, decision: &Decision, target: Place, ordinal: u32) {
        self.verdict = Some(decision.verdict);
        self.advisory = decision.advisory;
        let promotes = decision.verdict == Verdict::Promote && !decision.advisory;
        if promotes && !self.went_to(target) {
            self.promoted.push((target, ordinal));
        }
    }

    fn went_to(&self, target: Place) -> bool {
        self.promoted.iter().any(|(known, _)| *known == target)
    }

    fn seen(&self, (subject, binding): Key, promoted: Option<(Place, u32)>) -> Seen {
        Seen {
            subject,
            binding,
            promoted,
            all: self.promoted.clone(),
        }
    }

    /// How hard the last word is.
    fn hardness(&self) -> u8 {
        match self.verdict {
            None | Some(Verdict::Promote | Verdict::Withdrawn) => 0,
            Some(Verdict::Wait) => 1,
            Some(Verdict::Block) => 2,
            Some(Verdict::Error) => 3,
        }
    }
}

impl Apart {
    /// Notes the first input after which the verdicts are different.
    fn look(&mut self, ordinal: u32) {
        let word = |side: &Option<Track>| {
            let track = side.as_ref()?;
            Some((track.verdict, track.advisory))
        };
        if self.verdicts.is_none() && word(&self.old) != word(&self.new) {
            self.verdicts = Some(ordinal);
        }
    }
}

/// The differences between two tracks.
fn differences(
    (old_key, old): (Key, &Track),
    (new_key, new): (Key, &Track),
    apart: &Apart,
    found: &mut Vec<Found>,
) {
    let mut add = |kind, ordinal, before, after| {
        found.push(Found {
            kind,
            ordinal,
            old: Some(old.seen(old_key, before)),
            new: Some(new.seen(new_key, after)),
        });
    };
    let mut left: Vec<(Place, u32)> = Vec::new();
    let mut any = false;
    for (target, ordinal) in &old.promoted {
        match new.promoted.iter().find(|(other, _)| other == target) {
            None => left.push((*target, *ordinal)),
            Some((_, other)) if other == ordinal => {}
            Some((_, other)) => {
                any = true;
                let kind = if other < ordinal {
                    Kind::Earlier
                } else {
                    Kind::Later
                };
                let (before, after) = ((*target, *ordinal), (*target, *other));
                add(kind, *ordinal.min(other), Some(before), Some(after));
            }
        }
    }
    let mut gained = new
        .promoted
        .iter()
        .filter(|(target, _)| !old.went_to(*target))
        .copied();
    for lost in left {
        any = true;
        match gained.next() {
            Some(other) => add(
                Kind::Elsewhere,
                lost.1.min(other.1),
                Some(lost),
                Some(other),
            ),
            None => add(Kind::Never, lost.1, Some(lost), None),
        }
    }
    for other in gained {
        any = true;
        add(Kind::Newly, other.1, None, Some(other));
    }
    if any {
        return;
    }
    let first = apart.verdicts.unwrap_or(apart.since);
    let kind = match (apart.verdicts, old.promoted.is_empty()) {
        (None, _) => Kind::OtherReasons,
        (Some(_), true) if new.hardness() > old.hardness() => Kind::Blocked,
        (Some(_), true) if new.hardness() < old.hardness() => Kind::Unblocked,
        (Some(_), _) => Kind::Meanwhile,
    };
    add(kind, first, None, None);
}

/// Tracks that only one side has: those of the same subject are paired in order, then those that
/// another rule decided alike; the rest is alone. Gives what both sides promoted.
fn match_up(
    names: &Names,
    mut old: Vec<(Key, Apart)>,
    mut new: Vec<(Key, Apart)>,
    found: &mut Vec<Found>,
) -> Vec<(Name, Place, Half)> {
    let mut promoted = Vec::new();
    old.sort_unstable_by_key(|(key, _)| *key);
    new.sort_unstable_by_key(|(key, _)| *key);
    let (mut old_left, mut new_left) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(((one, _), _)), Some(((other, _), _))) if one == other => {
                let (Some((old_key, before)), Some((new_key, after))) = (old.next(), new.next())
                else {
                    break;
                };
                let (Some(before_track), Some(after_track)) = (&before.old, &after.new) else {
                    continue;
                };
                let since = before.since.min(after.since);
                // From one binding to the other, one side had a word and the other none.
                let apart = Apart {
                    since,
                    verdicts: Some(since),
                    ..Apart::default()
                };
                let both = before_track.promoted.iter();
                let both = both.filter(|(target, _)| after_track.went_to(*target));
                let subject = old_key.0;
                promoted.extend(both.map(|(target, _)| (subject.rule, *target, subject.digest)));
                differences(
                    (old_key, before_track),
                    (new_key, after_track),
                    &apart,
                    found,
                );
            }
            (Some((one, _)), Some((other, _))) if one.0 < other.0 => old_left.extend(old.next()),
            (Some(_), None) => old_left.extend(old.next()),
            (_, Some(_)) => new_left.extend(new.next()),
        }
    }
    for left in [&mut old_left, &mut new_left] {
        left.sort_by_key(|((subject, binding), _)| (names.text(subject.rule), *subject, *binding));
    }
    other_rules(names, old_left, new_left, found);
    promoted
}

/// Pairs what another rule decided alike: it promoted the same at the same inputs, or nothing and
/// had its first word at the same input; and it had the same last word. What people asked for is
/// no rule. The rest is one side's alone.
fn other_rules(
    names: &Names,
    old: Vec<(Key, Apart)>,
    new: Vec<(Key, Apart)>,
    found: &mut Vec<Found>,
) {
    let by_hand = |key: &Key| names.text(key.0.rule) == MANUAL;
    let mut by_place: HashMap<(Place, Half), Vec<(Key, Apart)>> = HashMap::new();
    for (key, apart) in new {
        let subject = key.0;
        by_place
            .entry((subject.source, subject.digest))
            .or_default()
            .push((key, apart));
    }
    for (key, before) in old {
        let subject = key.0;
        let Some(track) = &before.old else {
            continue;
        };
        let others = by_place.get_mut(&(subject.source, subject.digest));
        let alike = |(other_key, after): &(Key, Apart)| {
            let together = !track.promoted.is_empty() || before.since == after.since;
            let same =
                |other: &Track| other.promoted == track.promoted && other.verdict == track.verdict;
            together && !by_hand(other_key) && after.new.as_ref().is_some_and(same)
        };
        let others = others.filter(|_| !by_hand(&key));
        let place = others
            .as_ref()
            .and_then(|others| others.iter().position(alike));
        match (others, place) {
            (Some(others), Some(place)) => {
                let (other_key, after) = others.remove(place);
                let promoted = track.promoted.first().copied();
                found.push(Found {
                    kind: Kind::OtherRule,
                    ordinal: before.since.max(after.since),
                    old: Some(track.seen(key, promoted)),
                    new: Some(track.seen(other_key, promoted)),
                });
            }
            _ => alone(key, track, &before, Which::Old, found),
        }
    }
    for (key, after) in by_place.into_values().flatten() {
        if let Some(track) = &after.new {
            alone(key, track, &after, Which::New, found);
        }
    }
}

/// A subject of one side.
fn alone(key: Key, track: &Track, apart: &Apart, which: Which, found: &mut Vec<Found>) {
    let (promoted_kind, other_kind) = match which {
        Which::Old => (Kind::Never, Kind::Disappears),
        Which::New => (Kind::Newly, Kind::Appears),
    };
    let mut add = |kind, ordinal, promoted| {
        let seen = Some(track.seen(key, promoted));
        let (old, new) = match which {
            Which::Old => (seen, None),
            Which::New => (None, seen),
        };
        found.push(Found {
            kind,
            ordinal,
            old,
            new,
        });
    };
    for (target, ordinal) in &track.promoted {
        add(promoted_kind, *ordinal, Some((*target, *ordinal)));
    }
    if track.promoted.is_empty() {
        add(other_kind, apart.since, None);
    }
}
