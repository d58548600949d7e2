//! The blobs of one manifest: mounted within a registry, moved between two.

use std::sync::{Arc, PoisonError};

use futures_util::future::try_join_all;
use weir_schema::Digest;

use super::{CopyError, job::Job};
use crate::oci::{Blob, Descriptor, Manifest, Mount, OciError, media_type, move_blob};

/// A blob that has to be in the repository of the manifest that names it.
pub(super) struct Needed {
    digest: Digest,
    size: u64,
}

/// The blobs that `manifest` needs beside it. What is not distributable stays where it is, as when
/// it was pushed: registries ask for its address, not for the blob.
pub(super) fn needed(manifest: &Manifest) -> Vec<Needed> {
    let named = manifest.config.iter().chain(&manifest.layers);
    let needed = named.filter(|blob| !stays(blob)).map(|blob| Needed {
        digest: blob.digest.clone(),
        size: blob.size,
    });
    needed.collect()
}

/// Brings the blobs of a manifest that the target has not.
pub(super) async fn copy_all(job: &Job, blobs: &[Needed]) -> Result<(), CopyError> {
    let copies = blobs.iter().map(|blob| once(job, blob, copy(job, blob)));
    try_join_all(copies).await?;
    Ok(())
}

/// Sees the blobs of a manifest that the target has, and brings those that are gone: registries keep
/// a manifest whose blobs were deleted or lost.
pub(super) async fn complete(job: &Job, blobs: &[Needed]) -> Result<(), CopyError> {
    let looks = blobs.iter().map(|blob| once(job, blob, look(job, blob)));
    try_join_all(looks).await?;
    Ok(())
}

fn stays(blob: &Descriptor) -> bool {
    media_type::is_foreign(&blob.media_type)
        && blob.urls.as_ref().is_some_and(|urls| !urls.is_empty())
}

/// Does what brings a blob, unless that was done in this job.
async fn once(
    job: &Job,
    blob: &Needed,
    bring: impl Future<Output = Result<(), CopyError>>,
) -> Result<(), CopyError> {
    let place = {
        let mut blobs = job.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(blobs.entry(blob.digest.clone()).or_default())
    };
    place.get_or_try_init(|| bring).await?;
    Ok(())
}

async fn look(job: &Job, blob: &Needed) -> Result<(), CopyError> {
    let target = &job.target;
    // Asked before it is mounted: almost always it is there, and a copy that is done only looks.
    if target.client.has_blob(&target.path, &blob.digest).await? {
        return Ok(());
    }
    copy(job, blob).await
}

async fn copy(job: &Job, blob: &Needed) -> Result<(), CopyError> {
    let (source, target) = (&job.source, &job.target);
    let mut upload = None;
    if job.same_registry {
        let client = &target.client;
        match client
            .mount_blob(&target.path, &blob.digest, &source.path)
            .await
        {
            Ok(Mount::Done) => {
                verify(job, &blob.digest).await?;
                job.count(|progress| progress.blobs_mounted += 1);
                return Ok(());
            }
            Ok(Mount::Declined(opened)) => upload = Some(opened),
            Err(error) if error.is_retryable() => return Err(error.into()),
            // Some registries mount nothing, and some logins may read and write and not do both at
            // once: what is in the way of the bytes too is told of them.
            Err(error) => tracing::debug!(%error, "not mounted, so moved"),
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

async fn is_gone(job: &Job, blob: &Needed) -> Result<bool, OciError> {
    let source = &job.source;
    let is_there = source.client.has_blob(&source.path, &blob.digest).await?;
    Ok(!is_there)
}
