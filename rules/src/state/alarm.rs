//! When time alone changes something.

use weir_schema::Timestamp;

use super::{
    State,
    numbers::{NameId, RepositoryId, TagId},
    reads::Reads,
    tag::SubjectKey,
};
use crate::frozen::{Freezing, Frozen, ThawError, Thawing};

/// What wakes up at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    Subject(SubjectKey),
    Promoted(TagId),
    Override(NameId),
}

/// When a judgement may become another without a record that touches it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wake {
    /// At this time.
    pub(crate) at: Option<Timestamp>,
    /// With any passing of time.
    pub(crate) restless: bool,
}

/// A subject that a hold may touch: rule, source or target repository, source tag.
pub(crate) type Held = (NameId, RepositoryId, TagId);

impl State {
    /// Moves an alarm from one time to another.
    pub(crate) fn set_alarm(
        &mut self,
        alarm: Alarm,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.alarms.remove(&(from, alarm));
        }
        if let Some(to) = to {
            self.alarms.insert((to, alarm));
        }
    }

    /// Notes that a subject, which has been decided, waits: for what happens at its target, for
    /// time, and for whatever else its judgement rests on.
    pub(crate) fn wait(&mut self, key: SubjectKey, wake: Wake, reads: Reads) {
        let Some(subject) = self.tags.get_mut(key.0).subject_mut(key.1) else {
            return;
        };
        let (target, began, was_held) = (
            subject.target,
            !subject.waits,
            subject.waits && subject.reads.meets(Reads::HOLDS),
        );
        let before = std::mem::replace(&mut subject.wakes_at, wake.at);
        let was_restless = std::mem::replace(&mut subject.restless, wake.restless);
        subject.waits = true;
        subject.reads = reads;
        if began && self.tags.get_mut(target).awaited_by.insert(key) {
            self.list_tag(target);
        }
        let is_held = reads.meets(Reads::HOLDS);
        if was_held != is_held {
            self.list_held(key, target, is_held);
        }
        self.set_alarm(Alarm::Subject(key), before, wake.at);
        self.set_restless(Alarm::Subject(key), was_restless, wake.restless);
    }

    /// Notes that a subject waits no longer: its verdict is final, or it has gone.
    pub(crate) fn stop_waiting(&mut self, key: SubjectKey) {
        let Some(subject) = self.tags.get_mut(key.0).subject_mut(key.1) else {
            return;
        };
        let (target, waited, was_held) = (
            subject.target,
            std::mem::replace(&mut subject.waits, false),
            subject.reads.meets(Reads::HOLDS),
        );
        let before = subject.wakes_at.take();
        let was_restless = std::mem::replace(&mut subject.restless, false);
        subject.reads = Reads::NOTHING;
        if waited {
            if self.tags.get_mut(target).awaited_by.remove(key) {
                self.list_tag(target);
            }
            if was_held {
                self.list_held(key, target, false);
            }
        }
        self.set_alarm(Alarm::Subject(key), before, None);
        self.set_restless(Alarm::Subject(key), was_restless, false);
    }

    /// Lists a subject among those that a hold may touch, or takes it out.
    fn list_held(&mut self, key: SubjectKey, target: TagId, is_held: bool) {
        let (source, target) = (
            self.tag_row(key.0).repository,
            self.tag_row(target).repository,
        );
        let (from, to) = ((key.1, source, key.0), (key.1, target, key.0));
        if is_held {
            self.held_from.insert(from);
            self.held_to.insert(to);
        } else {
            self.held_from.remove(&from);
            self.held_to.remove(&to);
        }
    }

    pub(crate) fn set_restless(&mut self, alarm: Alarm, from: bool, to: bool) {
        match (from, to) {
            (false, true) => {
                self.restless.insert(alarm);
            }
            (true, false) => {
                self.restless.remove(&alarm);
            }
            (false, false) | (true, true) => {}
        }
    }
}

impl Frozen for Alarm {
    fn freeze(&self, to: &mut Freezing<'_>) {
        match self {
            Self::Subject(key) => {
                to.number(0);
                key.freeze(to);
            }
            Self::Promoted(tag) => {
                to.number(1);
                tag.freeze(to);
            }
            Self::Override(id) => {
                to.number(2);
                id.freeze(to);
            }
        }
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        match from.number()? {
            0 => Frozen::thaw(from).map(Self::Subject),
            1 => Frozen::thaw(from).map(Self::Promoted),
            2 => Frozen::thaw(from).map(Self::Override),
            _ => Err(ThawError::Form("an alarm that is none")),
        }
    }
}
