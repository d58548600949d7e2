//! The blobs of one manifest: mounted within a registry, moved between two.

use std::sync::{Arc, PoisonError};

use futures_util::future::try_join_all;
use weir_schema::Digest;

use super::{CopyError, job::Job};
use crate::oci::{Blob, Descriptor, Manifest, Mount, OciError, media_type, move_blob};

/// Brings every blob that `manifest` names into the target repository. What is not
/// distributable stays where it is, as when it was pushed: registries ask for its address, not
/// for the blob.
pub(super) async fn copy_all(job: &Job, manifest: &Manifest) -> Result<(), CopyError> {
    let blobs = manifest
        .config
        .iter()
        .chain(&manifest.layers)
        .filter(|blob| !stays(blob));
    try_join_all(blobs.map(|blob| once(job, blob))).await?;
    Ok(())
}

fn stays(blob: &Descriptor) -> bool {
    media_type::is_foreign(&blob.media_type)
        && blob.urls.as_ref().is_some_and(|urls| !urls.is_empty())
}

async fn once(job: &Job, blob: &Descriptor) -> Result<(), CopyError> {
    let place = {
        let mut blobs = job.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(blobs.entry(blob.digest.clone()).or_default())
    };
    place.get_or_try_init(|| copy(job, blob)).await?;
    Ok(())
}

async fn copy(job: &Job, blob: &Descriptor) -> Result<(), CopyError> {
    let (source, target) = (&job.source, &job.target);
    let mut upload = None;
    if job.same_registry {
        match target
            .client
            .mount_blob(&target.path, &blob.digest, &source.path)
            .await?
        {
            Mount::Done => {
                verify(job, &blob.digest).await?;
                job.count(|progress| progress.blobs_mounted += 1);
                return Ok(());
            }
            Mount::Declined(opened) => upload = Some(opened),
        }
    }
    if target.client.has_blob(&target.path, &blob.digest).await? {
        return Ok(());
    }
    let bytes = Blob {
        repository: source.path.clone(),
        digest: blob.digest.clone(),
        size: blob.size,
    };
    let counters = job.counters();
    let on_bytes = move |bytes| counters.count(|progress| progress.bytes_moved += bytes);
    match move_blob(
        &source.client,
        &bytes,
        &target.client,
        &target.path,
        upload,
        on_bytes,
    )
    .await
    {
        Ok(()) => {
            verify(job, &blob.digest).await?;
            job.count(|progress| progress.blobs_moved += 1);
            Ok(())
        }
        Err(error) if error.is_not_found() && is_gone(job, blob).await? => {
            Err(CopyError::SourceMissing {
                repository: source.name.clone(),
                digest: blob.digest.clone(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Sees a blob at the target that this run brought there. Not every registry looks whether it has
/// the blobs of a manifest that it is given, and its word for having stored them is not enough.
async fn verify(job: &Job, digest: &Digest) -> Result<(), CopyError> {
    let target = &job.target;
    if target.client.has_blob(&target.path, digest).await? {
        return Ok(());
    }
    Err(CopyError::TargetIncomplete {
        repository: target.name.clone(),
        digest: digest.clone(),
    })
}

async fn is_gone(job: &Job, blob: &Descriptor) -> Result<bool, OciError> {
    let source = &job.source;
    let is_there = source.client.has_blob(&source.path, &blob.digest).await?;
    Ok(!is_there)
}
