//! Manifests: what is known of content, and the ways up from an image to what bundles it.

use std::{collections::BTreeMap, sync::Arc};

use weir_schema::{Descriptor, Digest, media_type};

use super::{
    State,
    few::Few,
    kind::CnabType,
    numbers::{DigestId, KindId, NameId, RepositoryId, TagId},
    scan::{Scans, Standing},
};
use crate::{
    Class,
    frozen::{Freezing, Frozen, ThawError, Thawing, frozen},
    gate::Structure,
};

/// What a manifest is by its media type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It is only mentioned.
    #[default]
    Mentioned,
    /// A source told of it and did not know what it is.
    Untold,
    /// It lists other manifests.
    Index,
    /// Anything else.
    Single,
}

/// What a manifest is part of, and what judging it asks for first. In one line of the processor's
/// cache: a judgement looks at one of these for every image.
#[derive(Debug, Clone, Default)]
#[repr(align(64))]
pub(crate) struct Manifest {
    pub(crate) shape: Shape,
    /// Its content says that it is an application, if it is an index at all.
    pub(crate) bundle: bool,
    /// Its type says that it is no image.
    pub(crate) non_image: bool,
    /// What its scans come to.
    pub(crate) standing: Standing,
    /// Of an index whose children are known.
    pub(crate) index: Option<Box<Index>>,
    pub(crate) scans: Option<Box<Scans>>,
    /// Indexes that have it as a child.
    pub(crate) parents: Few<DigestId>,
    /// Tags that point at it.
    pub(crate) tags: Few<TagId>,
}

/// What is known of a manifest's content. It is true for ever: what is known stays, what was
/// missing is filled in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    /// `None` while the digest is only mentioned.
    pub(crate) media_type: Option<NameId>,
    pub(crate) artifact_type: Option<NameId>,
    pub(crate) size: Option<u64>,
    pub(crate) details: Option<Box<Details>>,
    /// Where it was pushed and deleted, where that matters.
    pub(crate) places: Option<Box<Places>>,
}

/// The children of an index.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// As they came.
    pub(crate) children: Box<[Child]>,
    /// Derived from everything below; dropped when something there changes.
    pub(crate) structure: Option<Arc<Structure>>,
}

/// A child of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) digest: DigestId,
    pub(crate) kind: KindId,
    /// 0 where none is said.
    pub(crate) size: u64,
}

/// Facts that few manifests have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Details {
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) config_digest: Option<Digest>,
    pub(crate) subject: Option<DigestId>,
    /// Manifests that name this one as their subject.
    pub(crate) referrers: Few<DigestId>,
}

/// The records of pushes and deletions by repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// The last push there of an index, or of what may turn out to be one.
    pub(crate) pushes: Vec<(RepositoryId, u64)>,
    /// A deletion after the last push there.
    pub(crate) deletions: Vec<(RepositoryId, u64)>,
}

/// The record noted for a repository.
fn noted(places: &[(RepositoryId, u64)], repository: RepositoryId) -> Option<u64> {
    let mut found = places.iter().filter(|(place, _)| *place == repository);
    found.next().map(|(_, seq)| *seq)
}

/// Notes a record for a repository; whether there was none.
fn note(places: &mut Vec<(RepositoryId, u64)>, repository: RepositoryId, seq: u64) -> bool {
    match places.iter_mut().find(|(place, _)| *place == repository) {
        Some(known) => {
            known.1 = seq;
            false
        }
        None => {
            places.reserve_exact(1);
            places.push((repository, seq));
            true
        }
    }
}

impl Manifest {
    /// The children of an index, if they are known.
    pub(crate) fn children(&self) -> Option<&[Child]> {
        self.index.as_ref().map(|index| &*index.children)
    }
}

impl Content {
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = &self.details.as_ref()?.annotations;
        annotations.get(key).map(String::as_str)
    }

    /// The details, to be changed; made where there were none.
    pub(crate) fn details_mut(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// The last push of it there, if it is an index or may be one.
    pub(crate) fn pushed(&self, repository: RepositoryId) -> Option<u64> {
        noted(&self.places.as_ref()?.pushes, repository)
    }

    /// When it was deleted there, if it was not pushed again.
    pub(crate) fn deleted(&self, repository: RepositoryId) -> Option<u64> {
        noted(&self.places.as_ref()?.deletions, repository)
    }
}

/// What an event says of a manifest.
pub(crate) struct Facts<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) size: Option<u64>,
    pub(crate) artifact_type: Option<&'a str>,
    pub(crate) annotations: Option<&'a BTreeMap<String, String>>,
    pub(crate) labels: Option<&'a BTreeMap<String, String>>,
    pub(crate) manifests: Option<&'a [Descriptor]>,
    pub(crate) config_digest: Option<&'a Digest>,
    pub(crate) subject: Option<&'a Digest>,
}

impl State {
    /// The manifest with that digest; an empty one while it is only mentioned.
    pub(crate) fn manifest(&self, id: DigestId) -> &Manifest {
        &self.manifests[id.place()]
    }

    pub(crate) fn manifest_mut(&mut self, id: DigestId) -> &mut Manifest {
        &mut self.manifests[id.place()]
    }

    /// What is known of the content of the manifest with that digest.
    pub(crate) fn content(&self, id: DigestId) -> &Content {
        &self.contents[id.place()]
    }

    pub(crate) fn content_mut(&mut self, id: DigestId) -> &mut Content {
        &mut self.contents[id.place()]
    }

    /// The configurations that are known, with the images that have them.
    pub(crate) fn configs(&self) -> impl Iterator<Item = (Digest, DigestId)> {
        let rows = self.contents.iter().enumerate();
        rows.filter_map(|(place, content)| {
            let config = content.details.as_ref()?.config_digest.clone()?;
            Some((config, DigestId::at(place)))
        })
    }

    /// All manifests that are known or mentioned.
    pub(crate) fn all_manifests(&self) -> impl Iterator<Item = (DigestId, &Manifest)> {
        let rows = self.manifests.iter().enumerate();
        rows.map(|(place, manifest)| (DigestId::at(place), manifest))
    }

    /// The class of a manifest by its content (DESIGN 4.1), and by whether `repository` was
    /// declared to hold bundles.
    pub(crate) fn class(&self, repository: RepositoryId, digest: DigestId) -> Class {
        let manifest = self.manifest(digest);
        if manifest.shape == Shape::Index {
            if manifest.bundle || self.repository(repository).bundles {
                Class::App
            } else {
                Class::Index
            }
        } else if manifest.non_image {
            Class::Artifact
        } else {
            Class::Image
        }
    }

    /// Works out what the facts known of a manifest come to.
    pub(crate) fn derive_manifest(&mut self, id: DigestId) {
        let (manifest, content) = (self.manifest(id), self.content(id));
        let media = content.media_type.map(|id| &**self.names.text(id));
        let artifact_type = content.artifact_type.map(|id| &**self.names.text(id));
        let shape = match media {
            None => Shape::Mentioned,
            Some(media_type::UNTOLD) => Shape::Untold,
            Some(media) if media_type::is_index(media) => Shape::Index,
            Some(_) => Shape::Single,
        };
        let cnab = Some(media_type::CNAB_MANIFEST);
        let mut kinds = manifest.children().into_iter().flatten();
        let bundle = content.annotation("io.docker.type") == Some("app")
            || content.annotation("org.opencontainers.artifactType") == cnab
            || artifact_type == cnab
            || kinds.any(|child| self.kinds.get(child.kind).mention.cnab != CnabType::None);
        let non_image = media_type::is_non_image_artifact(artifact_type);
        if let (Shape::Single, Some(places)) = (shape, &mut self.content_mut(id).places) {
            // It turned out to be no index: its push proved nothing but itself.
            places.pushes.clear();
        }
        let manifest = self.manifest_mut(id);
        manifest.shape = shape;
        manifest.bundle = bundle;
        manifest.non_image = non_image;
    }

    /// Notes a push: of a manifest that was deleted there, whether it was.
    pub(crate) fn note_push(&mut self, repository: RepositoryId, digest: DigestId) -> bool {
        let seq = self.seq;
        // What it is may be told later; if it is an index then, this push proved its children.
        let proves = matches!(self.manifest(digest).shape, Shape::Index | Shape::Untold);
        if !proves && self.repository(repository).deletions == 0 {
            return false;
        }
        let content = self.content_mut(digest);
        let mut back = false;
        if let Some(places) = &mut content.places {
            let before = places.deletions.len();
            places.deletions.retain(|(place, _)| *place != repository);
            back = places.deletions.len() < before;
        }
        if proves {
            let places = content.places.get_or_insert_default();
            note(&mut places.pushes, repository, seq);
        }
        if back {
            self.repositories.get_mut(repository).deletions -= 1;
        }
        back
    }

    /// Notes a deletion.
    pub(crate) fn note_deletion(&mut self, repository: RepositoryId, digest: DigestId, seq: u64) {
        let places = self.content_mut(digest).places.get_or_insert_default();
        if note(&mut places.deletions, repository, seq) {
            self.repositories.get_mut(repository).deletions += 1;
        }
    }

    /// Puts a push back from a canonical encoding.
    pub(crate) fn restore_push(&mut self, repository: RepositoryId, digest: DigestId, seq: u64) {
        let places = self.content_mut(digest).places.get_or_insert_default();
        note(&mut places.pushes, repository, seq);
    }

    /// The digest, and every index that holds it at some depth, each once.
    pub(crate) fn above(&self, digest: DigestId) -> impl Iterator<Item = DigestId> {
        let parents = self.manifest(digest).parents.as_slice();
        let mut top = parents.iter().map(|index| &self.manifest(*index).parents);
        // Mostly there is nothing above the indexes that hold it.
        let higher = match top.all(Few::is_empty) {
            true => Vec::new(),
            false => self.above_parents(digest, parents),
        };
        let parents = parents
            .iter()
            .copied()
            .filter(move |index| *index != digest);
        std::iter::once(digest).chain(parents).chain(higher)
    }

    /// The indexes that hold those that hold a digest, at some depth.
    fn above_parents(&self, digest: DigestId, parents: &[DigestId]) -> Vec<DigestId> {
        let mut known = vec![digest];
        let mut found = Vec::new();
        let mut level = parents.to_vec();
        // Level by level; no digests can form a cycle, but made-up events can.
        while !level.is_empty() {
            known.extend(&level);
            known.sort_unstable();
            let parents = level.iter().map(|index| &self.manifest(*index).parents);
            let mut next: Vec<DigestId> = parents.flat_map(|few| few.as_slice()).copied().collect();
            next.sort_unstable();
            next.dedup();
            next.retain(|index| known.binary_search(index).is_err());
            found.extend(&next);
            level = next;
        }
        found
    }
}

frozen!(
    enum Shape {
        Mentioned,
        Untold,
        Index,
        Single,
    }
);
frozen!(struct Manifest { shape, bundle, non_image, standing, index, scans, parents, tags });
frozen!(struct Content { media_type, artifact_type, size, details, places });
frozen!(struct Child { digest, kind, size });
frozen!(struct Details { annotations, labels, config_digest, subject, referrers });
frozen!(struct Places { pushes, deletions });

impl Frozen for Index {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.children.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Ok(Self {
            children: Frozen::thaw(from)?,
            // Worked out when it is asked for next.
            structure: None,
        })
    }
}
