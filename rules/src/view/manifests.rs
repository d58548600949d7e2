//! What is known of manifests: which image a report is about, and what is still to be resolved,
//! scanned, or looked for in a registry.

use std::collections::{BTreeMap, BTreeSet};

use weir_schema::{Digest, Platform, RepositoryName, Tag, cosign};

use crate::state::{DigestId, RepositoryId, Shape, State};

/// What is known of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexView {
    /// The images in it that must be scanned, with the platforms that it gives them.
    pub images: Vec<(Digest, Option<Platform>)>,
    /// Whether all that is in it is known.
    pub is_whole: bool,
}

/// What is known of an image within tagged indexes, or of an index between them, in a repository that is
/// to hold it. One tag may lack what a later push of another proves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// A tag holds it that lacks nothing of it.
    pub is_there: bool,
    /// A tag lacks it: it was deleted, and nothing says that it was pushed again.
    pub is_missed: bool,
    /// The last record that may say so: of its deletion, or of a push of an index that holds it.
    pub seq: u64,
}

impl State {
    /// The images with this configuration: what a scanner's report is about that names no manifest.
    /// Costs the images that it gives.
    #[must_use]
    pub fn images_with_config(&self, config: &Digest) -> Vec<Digest> {
        let from = (config.clone(), DigestId::at(0));
        let with = self.by_config.range(from..);
        let with = with.take_while(|(known, _)| known == config);
        let mut digests: Vec<Digest> = with.map(|(_, id)| self.digest(*id).clone()).collect();
        digests.sort();
        digests
    }

    /// Whether a digest is known to be none that a report about the configuration `config` can be of:
    /// an index's, or that of an image with another configuration.
    #[must_use]
    pub fn is_known_otherwise(&self, digest: &Digest, config: &Digest) -> bool {
        let Some(id) = self.digests.find(digest) else {
            return false;
        };
        let details = self.content(id).details.as_ref();
        let known = details.and_then(|details| details.config_digest.as_ref());
        // Some stores of images say the manifest's digest where its configuration's belongs.
        let another = known.is_some_and(|known| known != config) && digest != config;
        another || self.manifest(id).shape == Shape::Index
    }

    /// Whether everything that a report or a rule may ask of a manifest is known.
    #[must_use]
    pub fn is_resolved(&self, digest: &Digest) -> bool {
        let found = self.digests.find(digest);
        found.is_some_and(|id| self.is_known_whole(id))
    }

    fn is_known_whole(&self, id: DigestId) -> bool {
        let configured = |id: DigestId| {
            let details = self.content(id).details.as_ref();
            details.is_some_and(|details| details.config_digest.is_some())
        };
        let manifest = self.manifest(id);
        if manifest.shape == Shape::Single && manifest.non_image {
            // It may refer to an image, which its type does not say. Some such manifests have no
            // configuration.
            let details = self.content(id).details.as_ref();
            return configured(id) || details.is_some_and(|details| details.subject.is_some());
        }
        let parts = self.parts_now(id);
        parts.unknown().is_empty() && parts.leaves().iter().all(|leaf| configured(leaf.digest))
    }

    /// Manifests that a source told of, that no tag holds, and of which not all is known: each may
    /// refer to an image. Those that were told of first come last.
    pub fn unresolved_without_tag(&self) -> impl Iterator<Item = &Digest> {
        let ids = (0..self.manifests.len()).rev().map(DigestId::at);
        let told = ids.filter(|id| self.manifest(*id).shape != Shape::Mentioned);
        let without_tag = told.filter(|id| {
            let mut above = self.above(*id);
            above.all(|above| self.manifest(above).tags.is_empty())
        });
        let unknown = without_tag.filter(|id| !self.is_known_whole(*id));
        unknown.map(|id| self.digest(id))
    }

    /// Whether a tag of the repository points at the digest, or at an index above it.
    #[must_use]
    pub fn is_under_tag(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let place = self.repositories.find(repository.as_str());
        let (Some(place), Some(id)) = (place, self.digests.find(digest)) else {
            return false;
        };
        self.above(id).any(|above| {
            let mut tags = self.manifest(above).tags.as_slice().iter();
            tags.any(|tag| self.tag_row(*tag).repository == place)
        })
    }

    /// Whether the digest was deleted from the repository and not pushed there again.
    #[must_use]
    pub fn is_deleted(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let place = self.repositories.find(repository.as_str());
        let (Some(place), Some(id)) = (place, self.digests.find(digest)) else {
            return false;
        };
        self.content(id).deleted(place).is_some()
    }

    /// The manifest that a scanner's report is about, by the digest of its configuration: one of
    /// the `candidates` if it is an image, or the image in it with that configuration if it is an
    /// index. `None` if nothing known says so.
    #[must_use]
    pub fn leaf_by_config(&self, candidates: &[Digest], config: &Digest) -> Option<Digest> {
        let has = |id: DigestId| {
            let details = self.content(id).details.as_ref();
            details.and_then(|details| details.config_digest.as_ref()) == Some(config)
        };
        candidates.iter().find_map(|candidate| {
            let parts = self.parts_now(self.digests.find(candidate)?);
            let mut leaves = parts.leaves().iter().map(|leaf| leaf.digest);
            let leaf = leaves.find(|leaf| has(*leaf))?;
            Some(self.digest(leaf).clone())
        })
    }

    /// What is known of an index; `None` if the digest is not known to be one's.
    #[must_use]
    pub fn index(&self, digest: &Digest) -> Option<IndexView> {
        let id = self.digests.find(digest)?;
        if self.manifest(id).shape != Shape::Index {
            return None;
        }
        let parts = self.parts_now(id);
        let images = parts.leaves().iter().map(|leaf| {
            let platform = leaf.platform.map(|id| self.platforms.platform(id).clone());
            (self.digest(leaf.digest).clone(), platform)
        });
        Some(IndexView {
            images: images.collect(),
            is_whole: parts.unknown().is_empty() && parts.invalid().is_empty(),
        })
    }

    /// The tags in a repository under which cosign keeps what is about a manifest or anything in it.
    /// Costs what is in it.
    #[must_use]
    pub fn cosign_tags(&self, repository: &RepositoryName, digest: &Digest) -> BTreeSet<Tag> {
        let (mut tags, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut open: Vec<DigestId> = self.digests.find(digest).into_iter().collect();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let children = self.manifest(id).children().into_iter().flatten();
            open.extend(children.map(|child| child.digest));
            let is_there = |tag: &Tag| self.binding(repository.as_str(), tag.as_str()).is_some();
            tags.extend(
                cosign::tags_of(self.digest(id))
                    .into_iter()
                    .filter(is_there),
            );
        }
        tags
    }

    /// A repository in which a digest is, by a tag that holds it.
    #[must_use]
    pub fn repository_of(&self, digest: &Digest) -> Option<RepositoryName> {
        let mut tags = self
            .above(self.digests.find(digest)?)
            .filter_map(|id| self.manifest(id).tags.as_slice().first());
        let tag = self.tag_row(*tags.next()?);
        self.repository(tag.repository).name.clone()
    }

    /// The images within tagged indexes and the indexes between them, with the repositories that
    /// are to hold them: what is known to be gone from there too.
    #[must_use]
    pub fn held_manifests(&self) -> Vec<((RepositoryName, Digest), Held)> {
        let mut held: BTreeMap<(RepositoryId, DigestId), Held> = BTreeMap::new();
        for (repository, bound) in self.bindings() {
            let parts = self.parts_now(bound.digest);
            let gone = self.absent(repository, bound.digest, &parts);
            let indexes = || parts.indexes().iter().copied();
            let pushes = [bound.digest].into_iter().chain(indexes());
            let pushes = pushes.filter_map(|index| self.content(index).pushed(repository));
            let last_push = pushes.max().unwrap_or_default();
            let leaves = parts.leaves().iter().map(|leaf| leaf.digest);
            for part in leaves.chain(indexes()) {
                if part == bound.digest {
                    continue;
                }
                let deleted = self.content(part).deleted(repository).unwrap_or_default();
                let held = held.entry((repository, part)).or_default();
                held.is_there |= !gone.contains(&part);
                held.is_missed |= gone.contains(&part);
                held.seq = held.seq.max(last_push).max(deleted);
            }
        }
        let held = held.into_iter().filter_map(|((repository, part), held)| {
            let name = self.repository(repository).name.clone()?;
            Some(((name, self.digest(part).clone()), held))
        });
        held.collect()
    }

    /// Leaves without a completed scan under some tag, each with a repository it is in. Signatures
    /// and whatever else refers to a manifest are no images, though they may be tagged and look so.
    #[must_use]
    pub fn unscanned(&self) -> Vec<(RepositoryName, Digest)> {
        let mut found = BTreeSet::new();
        for (repository, bound) in self.bindings() {
            let details = self.content(bound.digest).details.as_ref();
            if details.is_some_and(|details| details.subject.is_some()) {
                continue;
            }
            for leaf in self.parts_now(bound.digest).leaves() {
                if self.scan_obstacle(leaf.digest, &[]).is_some() {
                    found.insert((repository, leaf.digest));
                }
            }
        }
        self.named(found)
    }

    fn bindings(&self) -> impl Iterator<Item = (RepositoryId, &crate::state::Bound)> {
        let tags = self.tags.existing();
        tags.map(|(_, tag, bound)| (tag.repository, bound))
    }

    fn named(&self, pairs: BTreeSet<(RepositoryId, DigestId)>) -> Vec<(RepositoryName, Digest)> {
        let pairs = pairs.into_iter().filter_map(|(repository, digest)| {
            let name = self.repository(repository).name.clone()?;
            Some((name, self.digest(digest).clone()))
        });
        pairs.collect()
    }
}
