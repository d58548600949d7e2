//! What is learned of content: manifests, their children, what refers to them.

use std::collections::BTreeSet;

use weir_schema::{Descriptor, Digest, ImagePushed, ManifestResolved, cosign, media_type};

use super::{Touched, tags::Pusher};
use crate::state::{Child, DigestId, Facts, Index, Reads, RepositoryId, Shape, State};

impl State {
    pub(super) fn pushed(&mut self, data: &ImagePushed, touched: &mut Touched) {
        let repository = self.intern_repository(&data.repository);
        let digest = self.learn(
            &data.digest,
            &Facts {
                media_type: &data.media_type,
                size: data.size,
                artifact_type: data.artifact_type.as_deref(),
                annotations: data.annotations.as_ref(),
                labels: None,
                manifests: data.manifests.as_deref(),
                config_digest: None,
                subject: None,
            },
            touched,
        );
        self.present(repository, digest, touched);
        if let Some(tag) = &data.tag {
            let key = self.intern_tag(repository, tag);
            let pusher = match (data.actor.as_deref(), data.found_at_registry) {
                (None, true) => Pusher::NotYet,
                (actor, _) => Pusher::Told(self.names.intern_option(actor)),
            };
            self.learn_referrer_tag(tag.as_str(), digest, touched);
            self.point(key, digest, pusher, None, touched);
        }
    }

    pub(super) fn resolved(&mut self, data: &ManifestResolved, touched: &mut Touched) {
        let facts = Facts {
            media_type: &data.media_type,
            size: None,
            artifact_type: data.artifact_type.as_deref(),
            annotations: data.annotations.as_ref(),
            labels: data.labels.as_ref(),
            manifests: data.manifests.as_deref(),
            config_digest: data.config_digest.as_ref(),
            subject: data.subject.as_ref(),
        };
        self.learn(&data.digest, &facts, touched);
    }

    /// Adds what is said of a manifest to what is known. Content has one truth, and not all sources tell
    /// it: of what contradicts each other that holds, whichever was said first, by which more has to be
    /// scanned. Else the first holds.
    pub(crate) fn learn(
        &mut self,
        digest: &Digest,
        facts: &Facts<'_>,
        touched: &mut Touched,
    ) -> DigestId {
        let id = self.intern_digest(digest);
        let media_type = self.names.intern(facts.media_type);
        let artifact_type = facts.artifact_type.filter(|kind| !kind.is_empty());
        let artifact_type = self.names.intern_option(artifact_type);
        let corrects = match self.manifest(id).shape {
            Shape::Mentioned => true,
            Shape::Untold => facts.media_type != media_type::UNTOLD,
            Shape::Single => media_type::is_index(facts.media_type),
            Shape::Index => false,
        };
        let content = self.content_mut(id);
        let mut changed = corrects;
        if changed {
            content.media_type = Some(media_type);
        }
        if content.size.is_none() && facts.size.is_some() {
            content.size = facts.size;
            changed = true;
        }
        if content.artifact_type.is_none() && artifact_type.is_some() {
            content.artifact_type = artifact_type;
            changed = true;
        }
        for (key, value) in facts.annotations.into_iter().flatten() {
            let known = &mut content.details_mut().annotations;
            if !known.contains_key(key) {
                known.insert(key.clone(), value.clone());
                changed = true;
            }
        }
        for (key, value) in facts.labels.into_iter().flatten() {
            let known = &mut content.details_mut().labels;
            if !known.contains_key(key) {
                known.insert(key.clone(), value.clone());
                changed = true;
            }
        }
        if let Some(config) = facts.config_digest {
            let known = &mut content.details_mut().config_digest;
            if known.is_none() {
                *known = Some(config.clone());
                self.by_config.insert((config.clone(), id));
            }
        }
        if changed {
            self.derive_manifest(id);
        }
        if self.learn_children(id, facts.manifests) {
            self.derive_manifest(id);
            changed = true;
        }
        if let Some(subject) = facts.subject {
            self.learn_referrer(subject, id, touched);
        }
        if changed {
            self.forget_structure_above(id);
            self.touch_above(id, touched);
            self.touch_referred(id, touched);
        }
        id
    }

    fn learn_children(&mut self, id: DigestId, manifests: Option<&[Descriptor]>) -> bool {
        // A cosmetic list in an image's manifest says nothing.
        if self.manifest(id).shape != Shape::Index {
            return false;
        }
        let Some(manifests) = manifests else {
            return false;
        };
        let listed: Vec<Child> = manifests.iter().map(|one| self.child(one)).collect();
        let more = match self.manifest(id).children() {
            None => listed,
            // What is told again is mostly told in the same words.
            Some(known) if known == listed => return false,
            Some(known) => self.said_anew(known, listed),
        };
        if more.is_empty() && self.manifest(id).index.is_some() {
            return false;
        }
        for child in &more {
            self.manifest_mut(child.digest).parents.insert(id);
        }
        let known = self.manifest_mut(id).index.take();
        let known = known.map(|index| index.children).unwrap_or_default();
        self.manifest_mut(id).index = Some(Box::new(Index {
            children: known.into_iter().chain(more).collect(),
            structure: None,
        }));
        true
    }

    /// Of the children listed those of which nothing known says the same: a digest that was left out
    /// counts once it is called an image too.
    fn said_anew(&self, known: &[Child], listed: Vec<Child>) -> Vec<Child> {
        let meaning = |child: &Child| (child.digest, self.kinds.get(child.kind).meaning());
        let mut said: BTreeSet<_> = known.iter().map(meaning).collect();
        let anew = listed
            .into_iter()
            .filter(|child| said.insert(meaning(child)));
        anew.collect()
    }

    fn learn_referrer(&mut self, subject: &Digest, referrer: DigestId, touched: &mut Touched) {
        let subject = self.intern_digest(subject);
        let details = self.content_mut(referrer).details_mut();
        if details.subject.is_some() {
            return;
        }
        details.subject = Some(subject);
        let known = &mut self.content_mut(subject).details_mut().referrers;
        known.insert(referrer);
        self.touch_above_by(Reads::REFERRERS, subject, touched);
    }

    /// What is under one of cosign's tags refers to what the tag names.
    fn learn_referrer_tag(&mut self, tag: &str, referrer: DigestId, touched: &mut Touched) {
        if let Some(subject) = cosign::subject_of_tag(tag) {
            self.learn_referrer(&subject, referrer, touched);
        }
    }

    fn forget_structure_above(&mut self, digest: DigestId) {
        let above: Vec<DigestId> = self.above(digest).collect();
        for index in above {
            if let Some(index) = &mut self.manifest_mut(index).index {
                index.structure = None;
            }
        }
    }

    /// Notes a push: what is there proves itself, and an index proves its children.
    pub(super) fn present(
        &mut self,
        repository: RepositoryId,
        digest: DigestId,
        touched: &mut Touched,
    ) {
        let back = self.note_push(repository, digest);
        let proves = self.manifest(digest).shape == Shape::Index
            && self.repository(repository).deletions > 0;
        if back || proves {
            self.touch_above(digest, touched);
        }
        if back {
            self.touch_referred(digest, touched);
        }
    }

    /// Touches what asks for the referrers of what a manifest refers to.
    pub(super) fn touch_referred(&self, referrer: DigestId, touched: &mut Touched) {
        let details = self.content(referrer).details.as_ref();
        if let Some(subject) = details.and_then(|details| details.subject) {
            self.touch_above_by(Reads::REFERRERS, subject, touched);
        }
    }
}
