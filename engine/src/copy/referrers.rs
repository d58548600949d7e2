//! What belongs to the manifests of a tree without being part of it: signatures, attestations,
//! SBOMs.
//!
//! They are found in three ways, all used, since one repository may hold all kinds: by the
//! referrers API; by the tag `sha256-HEX`, an index that stands in for the API; and by cosign's
//! tags `sha256-HEX.sig`, `.att`, `.sbom`. What refers to a referrer (a signature of an SBOM) is
//! copied too, once: nothing refers to that in turn.
//!
//! These tags belong to a digest, not to a promotion: all that copy the same image to one repository
//! add to them. So each is read, added to and written by one copy at a time, and read once more.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use weir_schema::{Digest, Tag, cosign};

use super::{
    CopyError,
    job::Job,
    tree::{self, Root, Tree},
};
use crate::oci::{Descriptor, Manifest, OciError, Reference, Referrers, fallback_tag, media_type};

/// Subjects whose referrers are looked for at a time: each holds a list and a manifest meanwhile.
const SUBJECTS_AT_A_TIME: usize = 32;

/// The manifests, and what refers to these.
const LEVELS: usize = 2;

/// How often something is put at such a tag in one copy. Who else writes it, from elsewhere, does so
/// for a moment; what is undone more often is left to a later try, or the registry keeps nothing.
const PUTS: usize = 3;

/// What came along with a tree.
#[derive(Default)]
pub(super) struct Copied {
    /// Every manifest copied, with those below it.
    pub copied: BTreeSet<Digest>,
    /// Referrers that the source lists and does not have.
    pub lost: Vec<Digest>,
}

/// Copies what refers to any manifest of the tree.
pub(super) async fn copy(job: &Job, tree: &Tree) -> Result<Copied, CopyError> {
    let mut all = Copied::default();
    if job.same_repository {
        return Ok(all);
    }
    let mut subjects: BTreeSet<Digest> = tree.digests().cloned().collect();
    for _ in 0..LEVELS {
        let copies = subjects.iter();
        let copies: Vec<_> = copies.map(|subject| copy_for(job, subject)).collect();
        let mut copies = stream::iter(copies).buffer_unordered(SUBJECTS_AT_A_TIME);
        let mut next = BTreeSet::new();
        while let Some(found) = copies.try_next().await? {
            next.extend(found.copied);
            all.lost.extend(found.lost);
        }
        drop(copies);
        subjects = next.difference(&all.copied).cloned().collect();
        all.copied.extend(next);
    }
    all.lost.sort();
    all.lost.dedup();
    Ok(all)
}

async fn copy_for(job: &Job, subject: &Digest) -> Result<Copied, CopyError> {
    let mut copied = Copied::default();
    let tag = tag_of(job, subject, "")?;
    let mut listed = job
        .source
        .client
        .referrers(&job.source.path, subject)
        .await?;
    for descriptor in &listed.descriptors {
        match copy_tree(job, &descriptor.digest).await {
            Ok(tree) => copied.copied.extend(tree.digests().cloned()),
            Err(CopyError::SourceMissing { .. }) => copied.lost.push(descriptor.digest.clone()),
            Err(error) => return Err(error),
        }
    }
    listed
        .descriptors
        .retain(|descriptor| !copied.lost.contains(&descriptor.digest));
    if !listed.descriptors.is_empty() {
        let complete = copied.lost.is_empty();
        let wanted = Wanted::Listed {
            subject,
            listed: &listed,
            complete,
        };
        put_lacking(job, &tag, wanted).await?;
    } else if listed.fallback.is_some() && copied.lost.is_empty() {
        // The tag holds something else than a list; it goes along as what it is.
        copied.copied.extend(copy_tagged(job, &tag).await?);
    }
    for ending in cosign::ENDINGS {
        let tag = tag_of(job, subject, ending)?;
        copied.copied.extend(copy_tagged(job, &tag).await?);
    }
    Ok(copied)
}

fn tag_of(job: &Job, subject: &Digest, ending: &str) -> Result<Tag, CopyError> {
    fallback_tag(subject)
        .and_then(|tag| format!("{tag}{ending}").parse())
        .map_err(|error| {
            CopyError::Registry(OciError::Protocol {
                registry: job.source.client.registry().to_owned(),
                what: format!("looking for what refers to {subject}"),
                reason: error.to_string(),
            })
        })
}

async fn copy_tree(job: &Job, digest: &Digest) -> Result<Tree, CopyError> {
    // Nobody is led to it by a platform: it need not be what the gate would ask for.
    let (tree, _) = tree::survey(job, digest).await?;
    tree::copy(job, &tree).await?;
    Ok(tree)
}

/// What is put at a tag.
struct Put {
    media_type: String,
    bytes: Bytes,
}

impl From<&Root> for Put {
    fn from(root: &Root) -> Self {
        Self {
            media_type: root.media_type.clone(),
            bytes: root.raw.bytes.clone(),
        }
    }
}

/// What is to be at a tag of the target, beside what others put there.
enum Wanted<'a> {
    /// What refers to `subject` at the source, in a list; `complete` if nothing that the source
    /// lists was lost.
    Listed {
        subject: &'a Digest,
        listed: &'a Referrers,
        complete: bool,
    },
    /// What the source has at that tag.
    Tagged(&'a Root),
}

impl Wanted<'_> {
    /// What the tag has to be set to; `None` if it lacks nothing.
    async fn lacking(&self, job: &Job, tag: &Tag) -> Result<Option<Put>, CopyError> {
        match *self {
            Self::Listed {
                subject,
                listed,
                complete,
            } => lacking_in_list(job, subject, listed, complete).await,
            Self::Tagged(root) => {
                let is_lacking = lacks_tagged(job, tag, &root.raw.digest).await?;
                Ok(is_lacking.then(|| root.into()))
            }
        }
    }
}

/// Reads what a tag of the target holds and puts what it lacks, until it lacks nothing. No other
/// copy does so meanwhile.
async fn put_lacking(job: &Job, tag: &Tag, wanted: Wanted<'_>) -> Result<(), CopyError> {
    let target = &job.target;
    let _turn = target.client.turn(&target.path, tag).await;
    for _ in 0..PUTS {
        let Some(put) = wanted.lacking(job, tag).await? else {
            return Ok(());
        };
        let digest = Digest::of(&put.bytes);
        set(job, tag, put).await?;
        // One request instead of all that it takes to read the tag.
        if target.look(tag).await?.as_ref() == Some(&digest) {
            return Ok(());
        }
    }
    match wanted.lacking(job, tag).await? {
        None => Ok(()),
        Some(_) => Err(CopyError::ReferrersNotKept {
            repository: target.name.clone(),
            tag: tag.clone(),
        }),
    }
}

/// Copies what the tag holds, if there is such a tag, and sets it at the target.
async fn copy_tagged(job: &Job, tag: &Tag) -> Result<Vec<Digest>, CopyError> {
    let Some(digest) = job.source.look(tag).await? else {
        if job.known_referrers.contains(tag) {
            return Err(CopyError::ReferrerAbsent {
                repository: job.source.name.clone(),
                tag: tag.clone(),
            });
        }
        return Ok(Vec::new());
    };
    let tree = copy_tree(job, &digest).await?;
    put_lacking(job, tag, Wanted::Tagged(tree.root())).await?;
    Ok(tree.digests().cloned().collect())
}

/// Whether the target's tag is to be set to `digest`.
async fn lacks_tagged(job: &Job, tag: &Tag, digest: &Digest) -> Result<bool, CopyError> {
    let Some(found) = job.target.look(tag).await? else {
        return Ok(true);
    };
    if found == *digest {
        return Ok(false);
    }
    if replaces(job, digest, &found).await? {
        return Ok(true);
    }
    // What the target has more is kept; what it has besides is for people to merge.
    if replaces(job, &found, digest).await? {
        return Ok(false);
    }
    Err(CopyError::ReferrerConflict {
        repository: job.target.name.clone(),
        tag: tag.clone(),
        expected: digest.clone(),
        found,
    })
}

/// Whether `new` holds every layer of `old`, so that nothing is lost by setting it: cosign adds
/// a signature as a layer. Both are at the target by now.
async fn replaces(job: &Job, new: &Digest, old: &Digest) -> Result<bool, CopyError> {
    let (new, old) = (layers(job, new).await?, layers(job, old).await?);
    Ok(old.is_subset(&new))
}

async fn layers(job: &Job, digest: &Digest) -> Result<BTreeSet<Digest>, CopyError> {
    let target = &job.target;
    let raw = target
        .client
        .get_manifest(&target.path, &Reference::Digest(digest.clone()))
        .await?;
    let manifest = tree::read(job, &raw)?;
    Ok(manifest
        .layers
        .into_iter()
        .chain(manifest.manifests)
        .map(|layer| layer.digest)
        .collect())
}

/// The list that makes the target list the referrers that were copied, if it does not: registries
/// with a referrers API do it themselves; in others the list is an index under a tag.
async fn lacking_in_list(
    job: &Job,
    subject: &Digest,
    listed: &Referrers,
    complete: bool,
) -> Result<Option<Put>, CopyError> {
    let target = &job.target;
    let there = target.client.referrers(&target.path, subject).await?;
    let lacks = |descriptor: &&Descriptor| {
        there
            .descriptors
            .iter()
            .all(|other| other.digest != descriptor.digest)
    };
    if !listed
        .descriptors
        .iter()
        .any(|descriptor| lacks(&descriptor))
    {
        return Ok(None);
    }
    if there.has_api {
        let lacking = listed.descriptors.iter().filter(lacks);
        let tracked =
            try_join_all(lacking.map(|descriptor| names_subject(job, &descriptor.digest))).await?;
        if tracked.into_iter().all(|tracked| tracked) {
            return Ok(None);
        }
    }
    if let (Some(fallback), None, true) = (&listed.fallback, &there.fallback, complete) {
        let (root, manifest) = tree::fetch(job, fallback).await?;
        if manifest.manifests.len() == listed.descriptors.len() {
            return Ok(Some((&root).into()));
        }
    }
    let mut manifests = there.descriptors.clone();
    manifests.extend(listed.descriptors.iter().filter(lacks).cloned());
    manifests.sort_by(|left, right| left.digest.cmp(&right.digest));
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": manifests,
    });
    Ok(Some(Put {
        media_type: media_type::OCI_INDEX.to_owned(),
        bytes: index.to_string().into_bytes().into(),
    }))
}

/// The API lists what names its subject itself. What does not is listed by the tag alone.
async fn names_subject(job: &Job, digest: &Digest) -> Result<bool, OciError> {
    let target = &job.target;
    let raw = target
        .client
        .get_manifest(&target.path, &Reference::Digest(digest.clone()))
        .await?;
    let manifest = Manifest::parse(&raw.bytes, raw.content_type.as_deref()).ok();
    Ok(manifest.and_then(|manifest| manifest.subject).is_some())
}

async fn set(job: &Job, tag: &Tag, put: Put) -> Result<(), CopyError> {
    let target = &job.target;
    let reference = Reference::Tag(tag.clone());
    target
        .client
        .put_manifest(&target.path, &reference, &put.media_type, put.bytes)
        .await?;
    job.count(|progress| progress.manifests_stored += 1);
    Ok(())
}
