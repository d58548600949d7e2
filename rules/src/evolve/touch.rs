//! What a record touches: the subjects and promoted tags that are to be judged again.
//!
//! Touching too much costs time and changes nothing. Touching too little is a defect, which
//! [`crate::recheck`] finds.

use crate::state::{
    Alarm, DigestId, NameId, Override, Reads, RepositoryId, State, SubjectKey, TagId,
};

/// What was touched, in any order and perhaps twice.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Subjects to judge again.
    pub(crate) subjects: Vec<SubjectKey>,
    /// Promoted tags to look at again.
    pub(crate) promoted: Vec<TagId>,
    /// Promotions whose source tag moved before the copy began.
    pub(crate) superseded: Vec<u64>,
    /// Promotions that were given up and are to be tried once more.
    pub(crate) retried: Vec<u64>,
}

/// Where an override holds.
#[derive(Clone, Copy)]
enum HoldsIn<'a> {
    /// In a repository that it names without wildcards.
    Only(RepositoryId),
    /// Wherever its pattern matches.
    Matching(&'a Override),
}

impl State {
    /// Touches what is due. If time has `passed` since the last record, also what any passing of
    /// time may change.
    pub(crate) fn wake(&mut self, passed: bool, touched: &mut Touched) {
        while let Some((at, alarm)) = self.alarms.first().copied() {
            if at > self.now {
                break;
            }
            self.alarms.pop_first();
            match alarm {
                Alarm::Subject(key) => {
                    if let Some(subject) = self.tags.get_mut(key.0).subject_mut(key.1) {
                        subject.wakes_at = None;
                    }
                    touched.subjects.push(key);
                }
                Alarm::Promoted(tag) => {
                    if let Some(promoted) = &mut self.tags.get_mut(tag).promoted {
                        promoted.wakes_at = None;
                    }
                    touched.promoted.push(tag);
                }
                Alarm::Override(id) => {
                    self.touch_override(id, touched);
                    self.override_expired(id);
                }
            }
        }
        for alarm in self.restless.iter().filter(|_| passed) {
            match alarm {
                Alarm::Subject(key) => touched.subjects.push(*key),
                Alarm::Promoted(tag) => touched.promoted.push(*tag),
                Alarm::Override(_) => {}
            }
        }
    }

    /// Touches everything that can be judged.
    pub(crate) fn touch_everything(&self, touched: &mut Touched) {
        for (id, tag) in self.tags.iter() {
            if tag.bound.is_some() || !tag.subjects.is_empty() {
                self.touch_tag(id, touched);
            }
        }
    }

    /// Touches a tag, whatever its judgements rest on, and what would go to it.
    pub(crate) fn touch_tag(&self, id: TagId, touched: &mut Touched) {
        let tag = self.tag_row(id);
        if tag.bound.is_some() {
            let paths = self.repository(tag.repository).paths.iter();
            touched
                .subjects
                .extend(paths.map(|path| (id, path.rule.name)));
        }
        // Subjects whose rule is gone or no longer matches still have a verdict to withdraw.
        let known = tag.subjects.iter();
        touched
            .subjects
            .extend(known.map(|subject| (id, subject.rule)));
        if tag.promoted.is_some() {
            touched.promoted.push(id);
        }
        self.touch_target(id, touched);
    }

    /// Touches what of a tag rests on facts of these kinds.
    pub(crate) fn touch_by(&self, reads: Reads, id: TagId, touched: &mut Touched) {
        let tag = self.tag_row(id);
        let resting = tag.subjects.iter().filter(|one| one.reads.meets(reads));
        touched
            .subjects
            .extend(resting.map(|subject| (id, subject.rule)));
        if tag
            .promoted
            .as_ref()
            .is_some_and(|one| one.reads.meets(reads))
        {
            touched.promoted.push(id);
        }
    }

    /// Touches what would go to a target.
    pub(crate) fn touch_target(&self, target: TagId, touched: &mut Touched) {
        self.touch_awaiting(Reads::TARGET, target, touched);
    }

    /// Touches what would go to a target and rests on facts of these kinds.
    pub(crate) fn touch_awaiting(&self, reads: Reads, target: TagId, touched: &mut Touched) {
        let awaiting = self.tag_row(target).awaited_by.as_slice().iter().copied();
        touched.subjects.extend(awaiting.filter(|key| {
            let subject = self.subject(*key);
            subject.is_some_and(|subject| subject.reads.meets(reads))
        }));
    }

    /// Touches every tag that points at `digest` or at an index above it.
    pub(crate) fn touch_above(&self, digest: DigestId, touched: &mut Touched) {
        for index in self.above(digest) {
            for tag in self.manifest(index).tags.as_slice() {
                self.touch_tag(*tag, touched);
            }
        }
    }

    /// The same for what rests on facts of these kinds.
    pub(crate) fn touch_above_by(&self, reads: Reads, digest: DigestId, touched: &mut Touched) {
        if reads == Reads::NOTHING {
            return;
        }
        for index in self.above(digest) {
            for tag in self.manifest(index).tags.as_slice() {
                self.touch_by(reads, *tag, touched);
            }
        }
    }

    /// Touches what has a finding that an override is for, where it holds.
    pub(super) fn touch_override(&self, id: NameId, touched: &mut Touched) {
        let Some(one) = self.overrides.get(id) else {
            return;
        };
        let holds_in = match one.only_repository() {
            None => HoldsIn::Matching(one),
            Some(name) => match self.repositories.find(name) {
                Some(id) => HoldsIn::Only(id),
                // Nothing comes from there.
                None => return,
            },
        };
        let Some(scope) = one.digest else {
            for leaf in self.reports.leaves_with(one.vulnerability) {
                for index in self.above(leaf) {
                    self.touch_overridden(holds_in, index, touched);
                }
            }
            return;
        };
        // It holds from the digest of its scope on upwards.
        let parts = self.parts_now(scope);
        let leaves = parts.leaves().iter().map(|leaf| leaf.digest);
        let mut reports = leaves
            .chain([scope])
            .filter_map(|leaf| self.standing(leaf).report);
        if reports.any(|report| self.reports.names(report, one.vulnerability)) {
            for index in self.above(scope) {
                self.touch_overridden(holds_in, index, touched);
            }
        }
    }

    fn touch_overridden(&self, holds_in: HoldsIn<'_>, digest: DigestId, touched: &mut Touched) {
        for id in self.manifest(digest).tags.as_slice() {
            let tag = self.tag_row(*id);
            let covers = |id: TagId| {
                let source = self.tag_row(id).repository;
                match holds_in {
                    HoldsIn::Only(repository) => source == repository,
                    HoldsIn::Matching(one) => one.covers_repository(&self.repository(source).text),
                }
            };
            let resting = |reads: Reads| reads.meets(Reads::FINDINGS);
            if tag.subjects.iter().any(|one| resting(one.reads)) && covers(*id) {
                let subjects = tag.subjects.iter().filter(|one| resting(one.reads));
                touched.subjects.extend(subjects.map(|one| (*id, one.rule)));
            }
            let promoted = tag.promoted.as_ref();
            if promoted.is_some_and(|one| resting(one.reads) && covers(one.source)) {
                touched.promoted.push(*id);
            }
        }
    }
}
