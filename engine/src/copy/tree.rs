//! The manifests below one digest: surveyed at the source, copied children first, verified at the
//! target.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use weir_schema::Digest;

use super::{
    CopyError,
    blobs::{self, Needed},
    hidden::{Content, Hidden, Said},
    job::{Job, Side},
};
use crate::oci::{
    Manifest, RawManifest, Reference, TREE_LEVELS, TREE_MANIFESTS, TREE_TOO_DEEP, TREE_TOO_LARGE,
    TREE_TOO_MANY, TreeBudget,
};

/// The indexes of a tree, and what its leaves need, are kept from its survey to its copy as long as
/// that many bytes were read: more than those of any application have. Of larger trees they are
/// fetched again.
const KEPT_BYTES: usize = 1 << 20;

/// All manifests below a root.
pub(super) struct Tree {
    root: Root,
    /// Everything that lists nothing, and the blobs it needs; `None` where these are read again. It
    /// is fetched again to be copied: it may be gone by then.
    leaves: BTreeMap<Digest, Option<Vec<Needed>>>,
    /// The indexes, and the root where it is one, by level: the deepest last. `None` for one that
    /// is fetched again.
    indexes: Vec<BTreeMap<Digest, Option<Root>>>,
}

/// A manifest as it is stored again: its bytes, and the media type they are sent with.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub media_type: String,
    pub raw: RawManifest,
}

/// What the survey needs of a descriptor.
struct Child {
    digest: Digest,
    said: Said,
}

/// A manifest below the root.
struct Found {
    kind: Kind,
    content: Content,
    children: Vec<Child>,
}

/// What is kept of it, if anything is.
enum Kind {
    Index(Option<Root>),
    Leaf(Option<Vec<Needed>>),
}

fn children(manifest: Manifest) -> Vec<Child> {
    let listed = manifest.manifests.into_iter();
    listed
        .map(|child| Child {
            digest: child.digest.clone(),
            said: Said::of(child),
        })
        .collect()
}

impl Tree {
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Every digest in it, the root among them.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.leaves
            .keys()
            .chain(self.indexes.iter().flat_map(BTreeMap::keys))
    }
}

/// Reads the tree at the source, and what its indexes say of what is in it. Every leaf is seen there.
pub(super) async fn survey(job: &Job, digest: &Digest) -> Result<(Tree, Hidden), CopyError> {
    let budget = TreeBudget::default();
    let (root, manifest) = fetch(job, digest).await?;
    within(job, &budget, &root)?;
    let mut tree = Tree {
        root: root.clone(),
        leaves: BTreeMap::new(),
        indexes: Vec::new(),
    };
    let mut hidden = Hidden::default();
    job.count(|progress| progress.manifests += 1);
    if !manifest.is_index() {
        tree.leaves
            .insert(digest.clone(), Some(blobs::needed(&manifest)));
        return Ok((tree, hidden));
    }
    tree.indexes
        .push(BTreeMap::from([(digest.clone(), Some(root))]));
    let mut known = BTreeMap::from([(digest.clone(), Content::of(&manifest))]);
    let mut level = children(manifest);
    while !level.is_empty() {
        let limit = |digest: &Digest, limit| CopyError::TooLarge {
            repository: job.source.name.clone(),
            digest: digest.clone(),
            limit,
        };
        let named: BTreeSet<&Digest> = level.iter().map(|child| &child.digest).collect();
        let new: Vec<&Digest> = named
            .into_iter()
            .filter(|child| !known.contains_key(*child))
            .collect();
        if known.len() + new.len() > TREE_MANIFESTS {
            return Err(limit(digest, TREE_TOO_MANY));
        }
        let looks = new.iter().map(|child| look(job, child, &budget));
        let found = try_join_all(looks).await?;
        job.count(|progress| progress.manifests += u64::try_from(found.len()).unwrap_or(u64::MAX));
        let mut indexes = BTreeMap::new();
        let mut below = Vec::new();
        for (child, found) in new.into_iter().zip(found) {
            known.insert(child.clone(), found.content);
            let kept = match found.kind {
                Kind::Index(kept) => kept,
                Kind::Leaf(needed) => {
                    tree.leaves.insert(child.clone(), needed);
                    continue;
                }
            };
            if tree.indexes.len() >= TREE_LEVELS {
                return Err(limit(child, TREE_TOO_DEEP));
            }
            below.extend(found.children);
            indexes.insert(child.clone(), kept);
        }
        for child in &level {
            hidden.note(&child.digest, &child.said, known[&child.digest]);
        }
        if !indexes.is_empty() {
            tree.indexes.push(indexes);
        }
        level = below;
    }
    Ok((tree, hidden))
}

/// Reads a child: what it is by its content, whatever its descriptor says.
async fn look(job: &Job, child: &Digest, budget: &TreeBudget) -> Result<Found, CopyError> {
    let (root, manifest) = fetch(job, child).await?;
    within(job, budget, &root)?;
    let is_kept = budget.taken() <= KEPT_BYTES;
    Ok(Found {
        kind: match manifest.is_index() {
            true => Kind::Index(is_kept.then_some(root)),
            false => Kind::Leaf(is_kept.then(|| blobs::needed(&manifest))),
        },
        content: Content::of(&manifest),
        children: children(manifest),
    })
}

/// Takes what was read of a tree from its budget.
fn within(job: &Job, budget: &TreeBudget, read: &Root) -> Result<(), CopyError> {
    if budget.take(read.raw.bytes.len()) {
        return Ok(());
    }
    Err(CopyError::TooLarge {
        repository: job.source.name.clone(),
        digest: read.raw.digest.clone(),
        limit: TREE_TOO_LARGE,
    })
}

fn missing(job: &Job, digest: &Digest) -> CopyError {
    CopyError::SourceMissing {
        repository: job.source.name.clone(),
        digest: digest.clone(),
    }
}

/// A manifest of the source, its digest verified.
pub(super) async fn fetch(job: &Job, digest: &Digest) -> Result<(Root, Manifest), CopyError> {
    let reference = Reference::Digest(digest.clone());
    let raw = match job
        .source
        .client
        .get_manifest(&job.source.path, &reference)
        .await
    {
        Err(error) if error.is_not_found() => return Err(missing(job, digest)),
        other => other?,
    };
    let manifest = read(job, &raw)?;
    Ok((
        Root {
            media_type: manifest.media_type.clone(),
            raw,
        },
        manifest,
    ))
}

pub(super) fn read(job: &Job, raw: &RawManifest) -> Result<Manifest, CopyError> {
    Manifest::parse(&raw.bytes, raw.content_type.as_deref()).map_err(|cause| CopyError::Invalid {
        repository: job.source.name.clone(),
        digest: raw.digest.clone(),
        cause,
    })
}

/// Brings the tree to the target: leaves with their blobs, then indexes, the deepest first.
pub(super) async fn copy(job: &Job, tree: &Tree) -> Result<(), CopyError> {
    if job.same_repository {
        let count = u64::try_from(tree.digests().count()).unwrap_or(u64::MAX);
        job.count(|progress| progress.manifests_done += count);
        return Ok(());
    }
    let leaves = tree.leaves.iter();
    try_join_all(leaves.map(|(leaf, needed)| copy_leaf(job, tree, leaf, needed.as_deref())))
        .await?;
    for level in tree.indexes.iter().rev() {
        let stores = level.iter().map(|(digest, kept)| store(job, digest, kept));
        try_join_all(stores).await?;
    }
    Ok(())
}

async fn copy_leaf(
    job: &Job,
    tree: &Tree,
    digest: &Digest,
    needed: Option<&[Needed]>,
) -> Result<(), CopyError> {
    // The semaphore is never closed; if it were, all leaves at once would still be right.
    let _place = job.manifests.acquire().await.ok();
    if is_there(&job.target, digest).await? {
        match needed {
            Some(needed) => blobs::complete(job, needed).await?,
            None => {
                let (_, manifest) = fetch(job, digest).await?;
                blobs::complete(job, &blobs::needed(&manifest)).await?;
            }
        }
        job.count(|progress| progress.manifests_done += 1);
        return Ok(());
    }
    let (root, manifest) = if *digest == tree.root.raw.digest {
        (tree.root.clone(), read(job, &tree.root.raw)?)
    } else {
        fetch(job, digest).await?
    };
    blobs::copy_all(job, &blobs::needed(&manifest)).await?;
    put(job, &root).await
}

async fn store(job: &Job, digest: &Digest, kept: &Option<Root>) -> Result<(), CopyError> {
    // As for leaves: what is fetched again is held until it is stored.
    let _place = job.manifests.acquire().await.ok();
    if is_there(&job.target, digest).await? {
        job.count(|progress| progress.manifests_done += 1);
        return Ok(());
    }
    match kept {
        Some(index) => put(job, index).await,
        None => put(job, &fetch(job, digest).await?.0).await,
    }
}

async fn put(job: &Job, manifest: &Root) -> Result<(), CopyError> {
    let target = &job.target;
    let reference = Reference::Digest(manifest.raw.digest.clone());
    target
        .client
        .put_manifest(
            &target.path,
            &reference,
            &manifest.media_type,
            manifest.raw.bytes.clone(),
        )
        .await?;
    job.count(|progress| {
        progress.manifests_done += 1;
        progress.manifests_stored += 1;
    });
    Ok(())
}

async fn is_there(side: &Side, digest: &Digest) -> Result<bool, CopyError> {
    Ok(side
        .client
        .head_manifest(&side.path, &Reference::Digest(digest.clone()))
        .await?
        .is_some())
}

/// Sees every manifest of the tree, and the `others`, at the target.
pub(super) async fn verify(
    job: &Job,
    tree: &Tree,
    others: &BTreeSet<Digest>,
) -> Result<(), CopyError> {
    let all: BTreeSet<&Digest> = tree.digests().chain(others).collect();
    try_join_all(all.into_iter().map(|digest| async move {
        if is_there(&job.target, digest).await? {
            return Ok(());
        }
        Err(CopyError::TargetIncomplete {
            repository: job.target.name.clone(),
            digest: digest.clone(),
        })
    }))
    .await?;
    Ok(())
}
