//! What belongs to the manifests of a tree without being part of it: signatures, attestations,
//! SBOMs.
//!
//! They are found in three ways, all used, since one repository may hold all kinds: by the
//! referrers API; by the tag `sha256-HEX`, an index that stands in for the API; and by cosign's
//! tags `sha256-HEX.sig`, `.att`, `.sbom`. What refers to a referrer (a signature of an SBOM) is
//! copied too, once: nothing refers to that in turn.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use weir_schema::{Digest, Tag, cosign};

use super::{
    CopyError,
    job::Job,
    tree::{self, Tree},
};
use crate::oci::{Descriptor, Manifest, OciError, Reference, Referrers, fallback_tag, media_type};

/// Subjects whose referrers are looked for at a time: each holds a list and a manifest meanwhile.
const SUBJECTS_AT_A_TIME: usize = 32;

/// The manifests, and what refers to these.
const LEVELS: usize = 2;

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
            Ok(digests) => copied.copied.extend(digests),
            Err(CopyError::SourceMissing { .. }) => copied.lost.push(descriptor.digest.clone()),
            Err(error) => return Err(error),
        }
    }
    listed
        .descriptors
        .retain(|descriptor| !copied.lost.contains(&descriptor.digest));
    if !listed.descriptors.is_empty() {
        list_at_target(job, subject, &tag, &listed, copied.lost.is_empty()).await?;
    } else if listed.fallback.is_some() {
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

async fn copy_tree(job: &Job, digest: &Digest) -> Result<Vec<Digest>, CopyError> {
    // Nobody is led to it by a platform: it need not be what the gate would ask for.
    let (tree, _) = tree::survey(job, digest).await?;
    tree::copy(job, &tree).await?;
    Ok(tree.digests().cloned().collect())
}

/// Copies what the tag holds, if there is such a tag, and sets it at the target.
async fn copy_tagged(job: &Job, tag: &Tag) -> Result<Vec<Digest>, CopyError> {
    let Some(digest) = job.source.look(tag).await? else {
        return Ok(Vec::new());
    };
    let copied = copy_tree(job, &digest).await?;
    match job.target.look(tag).await? {
        Some(found) if found == digest => return Ok(copied),
        Some(found) if !replaces(job, &digest, &found).await? => {
            // What the target has more is kept; what it has besides is for people to merge.
            if replaces(job, &found, &digest).await? {
                return Ok(copied);
            }
            return Err(CopyError::ReferrerConflict {
                repository: job.target.name.clone(),
                tag: tag.clone(),
                expected: digest,
                found,
            });
        }
        Some(_) | None => {}
    }
    let (root, _) = tree::fetch(job, &digest).await?;
    set(job, tag, &root.media_type, root.raw.bytes).await?;
    Ok(copied)
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

/// Makes the target list the referrers that were copied: registries with a referrers API do it
/// themselves; in others the list is an index under a tag.
async fn list_at_target(
    job: &Job,
    subject: &Digest,
    tag: &Tag,
    listed: &Referrers,
    complete: bool,
) -> Result<(), CopyError> {
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
        return Ok(());
    }
    if there.has_api {
        let lacking = listed.descriptors.iter().filter(lacks);
        let tracked =
            try_join_all(lacking.map(|descriptor| names_subject(job, &descriptor.digest))).await?;
        if tracked.into_iter().all(|tracked| tracked) {
            return Ok(());
        }
    }
    if let (Some(fallback), None, true) = (&listed.fallback, &there.fallback, complete) {
        let (root, manifest) = tree::fetch(job, fallback).await?;
        if manifest.manifests.len() == listed.descriptors.len() {
            return set(job, tag, &root.media_type, root.raw.bytes).await;
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
    set(
        job,
        tag,
        media_type::OCI_INDEX,
        index.to_string().into_bytes().into(),
    )
    .await
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

async fn set(job: &Job, tag: &Tag, media_type: &str, bytes: bytes::Bytes) -> Result<(), CopyError> {
    let target = &job.target;
    target
        .client
        .put_manifest(
            &target.path,
            &Reference::Tag(tag.clone()),
            media_type,
            bytes,
        )
        .await?;
    job.count(|progress| progress.manifests_stored += 1);
    Ok(())
}
