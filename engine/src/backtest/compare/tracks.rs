//! What each side came to for a subject, and where the two part.

use weir_schema::{Decision, Reason, ReasonCode, Verdict};

use super::{
    differences::Seen,
    names::{Half, Name, Place},
};

/// A rule, a source tag, and what it points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct Subject {
    pub(in super::super) rule: Name,
    pub(in super::super) source: Place,
    pub(in super::super) digest: Half,
}

/// What a side came to for a subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Track {
    /// The last verdict; none before the first.
    pub(super) verdict: Option<Verdict>,
    advisory: bool,
    /// Where it was promoted to, and by which input; each target once.
    pub(in super::super) promoted: Vec<(Place, u32)>,
    /// The last target that was found to hold the digest already, whoever had brought it.
    already_there: Option<Place>,
    /// The input of the last decision.
    last: u32,
}

/// Two tracks that part.
#[derive(Debug, Clone, Default)]
pub(super) struct Apart {
    pub(super) old: Option<Track>,
    pub(super) new: Option<Track>,
    /// The first input of which they say something different.
    pub(super) since: u32,
    /// The first input after which their verdicts are different.
    pub(super) verdicts: Option<u32>,
}

pub(super) enum Pair {
    Alike(Track),
    Apart(Box<Apart>),
}

/// A subject's binding.
pub(super) type Key = (Subject, u32);

/// Which of the sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Which {
    Old,
    New,
}

impl Which {
    /// Both, the old one first.
    pub(in super::super) const BOTH: [Self; 2] = [Self::Old, Self::New];

    /// The other one.
    pub(in super::super) fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

/// Whether two decisions say the same.
pub(super) fn alike(one: &Decision, other: &Decision) -> bool {
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

impl Track {
    pub(super) fn take(&mut self, decision: &Decision, target: Place, ordinal: u32) {
        self.verdict = Some(decision.verdict);
        self.advisory = decision.advisory;
        self.last = ordinal;
        // What is there already is not promoted once more.
        let promotes = decision.promotion_id.is_some();
        if promotes && !self.went_to(target) {
            self.promoted.push((target, ordinal));
        }
        let already_there = |reason: &Reason| reason.code == ReasonCode::AlreadyThere;
        if !promotes && decision.reasons.iter().any(already_there) {
            self.already_there = Some(target);
        }
    }

    pub(super) fn went_to(&self, target: Place) -> bool {
        self.promoted.iter().any(|(known, _)| *known == target)
    }

    /// Whether the target came to hold the digest: it was promoted there, or was there already.
    pub(super) fn came_to(&self, target: Place) -> bool {
        self.went_to(target) || self.already_there == Some(target)
    }

    pub(super) fn seen(&self, (subject, binding): Key, promoted: Option<(Place, u32)>) -> Seen {
        Seen {
            subject,
            binding,
            promoted,
            all: self.promoted.clone(),
            last: self.last,
        }
    }

    /// How hard the last word is.
    pub(super) fn hardness(&self) -> u8 {
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
    pub(super) fn look(&mut self, ordinal: u32) {
        let word = |side: &Option<Track>| {
            let track = side.as_ref()?;
            Some((track.verdict, track.advisory))
        };
        if self.verdicts.is_none() && word(&self.old) != word(&self.new) {
            self.verdicts = Some(ordinal);
        }
    }
}
