//! Tags: what they point at, and what was decided of them.

use std::sync::Arc;

use weir_schema::{Tag as TagName, TagRef, TargetRef, Timestamp, Verdict};

use super::{
    State,
    few::Few,
    numbers::{DigestId, NameId, RepositoryId, TagId},
    promotion::{Hop, Origin, Promoted},
    reads::Reads,
    reason::Obstacle,
    table::{Table, hash_of},
};
use crate::frozen::{Freezing, Frozen, ThawError, Thawing, frozen};

/// A subject: tag and rule.
pub(crate) type SubjectKey = (TagId, NameId);

/// A tag of a repository, whether it exists or is only a target.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub(crate) repository: RepositoryId,
    pub(crate) name: NameId,
    /// Whether repository and name are ones that a registry takes.
    pub(crate) legal: bool,
    /// What it points at; `None` while it does not exist.
    pub(crate) bound: Option<Bound>,
    /// In the order in which their rules first took it.
    pub(crate) subjects: Vec<Subject>,
    /// Subjects that are not settled and would go here.
    pub(crate) awaited_by: Few<SubjectKey>,
    pub(crate) promoted: Option<Box<Promoted>>,
}

/// A tag's binding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bound {
    pub(crate) digest: DigestId,
    /// The record at which it came to point at the digest.
    pub(crate) binding: u64,
    pub(crate) bound_at: Timestamp,
    pub(crate) pushed_by: Option<NameId>,
    /// Weir found it there, and nobody has said yet who pushed it.
    pub(crate) found: bool,
    pub(crate) previous: Option<DigestId>,
    pub(crate) origin: Option<Arc<Origin>>,
}

impl Bound {
    pub(crate) fn lineage(&self) -> &[Hop] {
        self.origin.as_ref().map_or(&[], |origin| &origin.lineage)
    }
}

/// The last decision of a subject.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) rule: NameId,
    pub(crate) verdict: Verdict,
    pub(crate) digest: DigestId,
    pub(crate) target: TagId,
    pub(crate) reasons: Box<[Obstacle]>,
    /// The record of the decision.
    pub(crate) decided: u64,
    pub(crate) decided_at: Timestamp,
    /// Set by `promote`: final for a binding and each of these targets.
    pub(crate) settled: Vec<Settled>,
    /// Whether it is among those that its target is awaited by.
    pub(crate) waits: bool,
    pub(crate) wakes_at: Option<Timestamp>,
    /// Whether any passing of time may change it.
    pub(crate) restless: bool,
    /// What its last judgement rests on.
    pub(crate) reads: Reads,
    /// The rules under which `target` was worked out; 0 where that is not known.
    pub(crate) generation: u32,
}

/// What a subject was promoted as.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settled {
    pub(crate) binding: u64,
    pub(crate) target: TagId,
    /// The time that the target's templates were given.
    pub(crate) at: Timestamp,
    /// The target was there already: nothing was copied.
    pub(crate) already_there: bool,
}

impl Tag {
    pub(crate) fn subject(&self, rule: NameId) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.rule == rule)
    }

    pub(crate) fn subject_mut(&mut self, rule: NameId) -> Option<&mut Subject> {
        self.subjects
            .iter_mut()
            .find(|subject| subject.rule == rule)
    }

    pub(crate) fn digest(&self) -> Option<DigestId> {
        self.bound.as_ref().map(|bound| bound.digest)
    }
}

/// Every tag ever named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tags {
    rows: Vec<Tag>,
    table: Table,
}

impl Tags {
    pub(crate) fn get(&self, id: TagId) -> &Tag {
        &self.rows[id.place()]
    }

    pub(crate) fn get_mut(&mut self, id: TagId) -> &mut Tag {
        &mut self.rows[id.place()]
    }

    pub(crate) fn find(&self, repository: RepositoryId, name: NameId) -> Option<TagId> {
        let place = self.table.find(hash_of(&(repository, name)), |place| {
            let row = &self.rows[place];
            row.repository == repository && row.name == name
        });
        place.map(TagId::at)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn add(&mut self, tag: Tag) -> TagId {
        let (place, hash) = (self.rows.len(), hash_of(&(tag.repository, tag.name)));
        self.rows.push(tag);
        self.table.insert(hash, place);
        TagId::at(place)
    }

    /// All of them in the order in which they were named.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TagId, &Tag)> {
        let rows = self.rows.iter().enumerate();
        rows.map(|(place, row)| (TagId::at(place), row))
    }

    /// Those that exist.
    pub(crate) fn existing(&self) -> impl Iterator<Item = (TagId, &Tag, &Bound)> {
        self.iter()
            .filter_map(|(id, tag)| Some((id, tag, tag.bound.as_ref()?)))
    }
}

impl State {
    pub(crate) fn tag_row(&self, id: TagId) -> &Tag {
        self.tags.get(id)
    }

    /// The number of a tag, with its name already checked.
    pub(crate) fn intern_tag(&mut self, repository: RepositoryId, name: &TagName) -> TagId {
        let name = self.names.intern_shared(name.shared());
        self.intern_tag_of(repository, name)
    }

    /// The number of a tag whose name may be none that a registry takes.
    pub(crate) fn intern_tag_text(&mut self, repository: RepositoryId, name: &str) -> TagId {
        let name = self.names.intern(name);
        self.intern_tag_of(repository, name)
    }

    /// The number of a tag by the number of its name.
    pub(crate) fn intern_tag_of(&mut self, repository: RepositoryId, name: NameId) -> TagId {
        if let Some(known) = self.tags.find(repository, name) {
            return known;
        }
        let legal = self.repository(repository).name.is_some()
            && TagName::from_shared(Arc::clone(self.text(name))).is_ok();
        self.tags.add(Tag {
            repository,
            name,
            legal,
            bound: None,
            subjects: Vec::new(),
            awaited_by: Few::None,
            promoted: None,
        })
    }

    /// The number of a tag by its texts, if it was ever named.
    pub(crate) fn find_tag(&self, repository: &str, name: &str) -> Option<TagId> {
        let repository = self.repositories.find(repository)?;
        self.tags.find(repository, self.names.find(name)?)
    }

    /// The texts of a tag.
    pub(crate) fn tag_texts(&self, id: TagId) -> (&Arc<str>, &Arc<str>) {
        let tag = self.tag_row(id);
        (&self.repository(tag.repository).text, self.text(tag.name))
    }

    pub(crate) fn subject(&self, key: SubjectKey) -> Option<&Subject> {
        self.tag_row(key.0).subject(key.1)
    }

    /// Keeps a repository's list of tags as it should be after one of them changed.
    pub(crate) fn list_tag(&mut self, id: TagId) {
        let tag = self.tags.get(id);
        let listed = tag.bound.is_some() || !tag.awaited_by.is_empty();
        let tags = &mut self.repositories.get_mut(tag.repository).tags;
        match (tags.binary_search(&id), listed) {
            (Err(place), true) => tags.insert(place, id),
            (Ok(place), false) => {
                tags.remove(place);
            }
            (Ok(_), true) | (Err(_), false) => {}
        }
    }

    pub(crate) fn tag_ref(&self, id: TagId, digest: DigestId) -> TagRef {
        let tag = self.tag_row(id);
        let repository = self.repository(tag.repository).name.clone();
        TagRef {
            repository: repository.expect("source repositories were parsed when they came"),
            tag: TagName::from_shared(Arc::clone(self.text(tag.name)))
                .expect("source tags were parsed when they came"),
            digest: Some(self.digest(digest).clone()),
        }
    }

    pub(crate) fn target_ref(&self, id: TagId) -> TargetRef {
        let (repository, tag) = self.tag_texts(id);
        TargetRef {
            repository: repository.clone().into(),
            tag: tag.clone().into(),
        }
    }
}

frozen!(struct Tag { repository, name, legal, bound, subjects, awaited_by, promoted });
frozen!(struct Bound { digest, binding, bound_at, pushed_by, found, previous, origin });
frozen!(struct Settled { binding, target, at, already_there });

frozen!(struct Subject {
    rule, verdict, digest, target, reasons, decided, decided_at, settled, waits, wakes_at,
    restless, reads, generation,
});

impl Frozen for Tags {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.rows.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let rows: Vec<Tag> = Frozen::thaw(from)?;
        let hashes = rows.iter().map(|row| hash_of(&(row.repository, row.name)));
        Ok(Self {
            table: Table::of(hashes.map(Some)),
            rows,
        })
    }
}
