//! Tags and repositories: what points where, what is deleted, what may not move.

use std::sync::Arc;

use weir_schema::{ManifestDeleted, Repository, RepositoryConfigured, TagDeleted};

use super::Touched;
use crate::state::{Alarm, Bound, DigestId, NameId, Origin, Progress, Reads, State, TagId};

/// Who pushed what a tag comes to point at.
#[derive(Clone, Copy)]
pub(super) enum Pusher {
    /// As the registry told, if it tells names.
    Told(Option<NameId>),
    /// Weir found it there; the registry may still tell.
    NotYet,
}

impl State {
    pub(super) fn repository_deleted(&mut self, data: &Repository, touched: &mut Touched) {
        let repository = self.intern_repository(&data.repository);
        for tag in self.repository(repository).tags.clone() {
            if self.tag_row(tag).bound.is_some() {
                self.remove_tag(tag, touched);
            }
        }
    }

    pub(super) fn configured(&mut self, data: &RepositoryConfigured, touched: &mut Touched) {
        let id = self.intern_repository(&data.repository);
        let repository = self.repositories.get_mut(id);
        if repository.immutable_tags == data.immutable_tags {
            return;
        }
        repository.immutable_tags = data.immutable_tags;
        for tag in &self.repository(id).tags {
            self.touch_by(Reads::REPOSITORIES, *tag, touched);
            self.touch_awaiting(Reads::REPOSITORIES, *tag, touched);
        }
        let watching = self.watching.range((id, TagId::FIRST)..);
        let here = watching.take_while(|(repository, _)| *repository == id);
        touched.promoted.extend(here.map(|(_, tag)| *tag));
    }

    pub(super) fn tag_deleted(&mut self, data: &TagDeleted, touched: &mut Touched) {
        let repository = self.intern_repository(&data.repository);
        let tag = self.intern_tag(repository, &data.tag);
        self.remove_tag(tag, touched);
    }

    pub(super) fn manifest_deleted(&mut self, data: &ManifestDeleted, touched: &mut Touched) {
        let repository = self.intern_repository(&data.repository);
        let digest = self.intern_digest(&data.digest);
        self.note_deletion(repository, digest, self.seq);
        let tags = self.manifest(digest).tags.as_slice().to_vec();
        for tag in tags {
            if self.tag_row(tag).repository == repository {
                self.remove_tag(tag, touched);
            }
        }
        self.touch_above(digest, touched);
        self.touch_referred(digest, touched);
    }

    /// Makes a tag point at a digest. The same digest again makes no new binding.
    pub(super) fn point(
        &mut self,
        tag: TagId,
        digest: DigestId,
        pusher: Pusher,
        origin: Option<Arc<Origin>>,
        touched: &mut Touched,
    ) {
        let previous = self.tag_row(tag).digest();
        if previous == Some(digest) {
            if let Some(origin) = origin {
                if let Some(bound) = &mut self.tags.get_mut(tag).bound {
                    bound.origin = Some(match &bound.origin {
                        Some(earlier) => origin.after(earlier),
                        None => origin,
                    });
                }
                self.touch_tag(tag, touched);
            }
            self.name_pusher(tag, pusher, touched);
            return;
        }
        self.unbind(tag, touched);
        // The registry's notification may come before the word that the copy is done.
        let origin = origin.or_else(|| self.arrived(tag, digest));
        self.tags.get_mut(tag).bound = Some(Bound {
            digest,
            binding: self.seq,
            bound_at: self.now,
            pushed_by: match pusher {
                Pusher::Told(name) => name,
                Pusher::NotYet => None,
            },
            found: matches!(pusher, Pusher::NotYet),
            previous,
            origin,
        });
        self.manifest_mut(digest).tags.insert(tag);
        self.list_tag(tag);
        self.touch_tag(tag, touched);
    }

    /// Notes who pushed what Weir had found, once the registry says so.
    fn name_pusher(&mut self, tag: TagId, pusher: Pusher, touched: &mut Touched) {
        let bound = self.tags.get_mut(tag).bound.as_mut();
        if let (Some(bound), Pusher::Told(Some(name))) = (bound, pusher)
            && bound.found
            && bound.origin.is_none()
        {
            bound.pushed_by = Some(name);
            bound.found = false;
            self.touch_tag(tag, touched);
        }
    }

    /// Takes away what a tag pointed at and everything that hung on that.
    fn unbind(&mut self, tag: TagId, touched: &mut Touched) {
        let row = self.tags.get_mut(tag);
        let Some(old) = row.bound.take() else {
            return;
        };
        let promoted = row.promoted.take();
        self.manifest_mut(old.digest).tags.remove(tag);
        if let Some(gone) = promoted {
            let alarm = Alarm::Promoted(tag);
            self.set_alarm(alarm, gone.wakes_at, None);
            self.set_restless(alarm, gone.restless, false);
            self.unwatch(tag, &gone);
        }
        let from_here = self.promotions_from(tag);
        let not_begun = from_here.filter(|(_, one)| one.progress == Progress::Decided);
        touched.superseded.extend(not_begun.map(|(id, _)| id));
    }

    fn remove_tag(&mut self, tag: TagId, touched: &mut Touched) {
        self.unbind(tag, touched);
        self.list_tag(tag);
        self.touch_tag(tag, touched);
    }
}
