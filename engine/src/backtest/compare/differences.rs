//! The differences between the tracks of both sides, each told once.

use hashbrown::HashMap;

use weir_rules::MANUAL;

use super::{
    super::report::Kind,
    names::{Half, Name, Names, Place},
    tracks::{Apart, Key, Subject, Track, Which},
};

/// A difference that was found.
#[derive(Debug, Clone)]
pub(in super::super) struct Found {
    pub(in super::super) kind: Kind,
    /// The first input at which it showed.
    pub(in super::super) ordinal: u32,
    /// On each side, with the input by which the tag came to point at it; none where there is no
    /// such subject.
    pub(in super::super) old: Option<Seen>,
    pub(in super::super) new: Option<Seen>,
}

/// A subject as a side has it.
#[derive(Debug, Clone)]
pub(in super::super) struct Seen {
    pub(in super::super) subject: Subject,
    /// The input of the binding; of a violation, 0.
    pub(in super::super) binding: u32,
    /// Where it was promoted to and by which input, as far as that is the difference.
    pub(in super::super) promoted: Option<(Place, u32)>,
    /// Everywhere it was promoted to.
    pub(in super::super) all: Vec<(Place, u32)>,
    /// The input of the last that was said of it.
    pub(in super::super) last: u32,
}

impl Found {
    /// The subject as a side has it.
    pub(in super::super) fn seen(&self, which: Which) -> Option<&Seen> {
        match which {
            Which::Old => self.old.as_ref(),
            Which::New => self.new.as_ref(),
        }
    }

    /// The last input of which a side says something of it.
    pub(in super::super) fn last(&self) -> u32 {
        let sides = [&self.old, &self.new].into_iter().flatten();
        sides.map(|seen| seen.last).fold(self.ordinal, u32::max)
    }
}

/// The differences between two tracks.
pub(super) fn differences(
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
            // What is there by other hands is no promotion lost, and below none gained.
            None if new.came_to(*target) => {}
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
        .filter(|(target, _)| !old.came_to(*target))
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
    let neither = old.promoted.is_empty() && new.promoted.is_empty();
    let kind = match (apart.verdicts, neither) {
        (None, _) => Kind::OtherReasons,
        (Some(_), true) if new.hardness() > old.hardness() => Kind::Blocked,
        (Some(_), true) if new.hardness() < old.hardness() => Kind::Unblocked,
        (Some(_), _) => Kind::Meanwhile,
    };
    add(kind, first, None, None);
}

/// Tracks that only one side has: those of the same subject are paired in order, then those that
/// another rule decided alike; the rest is alone. Gives what both sides promoted.
pub(super) fn match_up(
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
                    new: after.new.map(|other| other.seen(other_key, promoted)),
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
