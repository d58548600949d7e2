//! The tags at both ends: still what the decision saw, and moved last.

use super::{CopyError, Plan, job::Job, tree::Root};
use crate::oci::{AuthFailure, OciError, Reference};

/// The source tag still points at the digest, if the plan asks for that.
pub(super) async fn check_source(job: &Job, plan: &Plan) -> Result<(), CopyError> {
    let Some(tag) = &plan.source_tag else {
        return Ok(());
    };
    match job.source.look(tag).await? {
        Some(found) if found == plan.digest => Ok(()),
        Some(found) => Err(CopyError::Superseded {
            repository: job.source.name.clone(),
            tag: tag.clone(),
            expected: plan.digest.clone(),
            found,
        }),
        // Deleted, and then its event ends the promotion; or not there for a moment.
        None => Err(CopyError::SourceAbsent {
            repository: job.source.name.clone(),
            tag: tag.clone(),
        }),
    }
}

/// The target tag is what the decision saw, or already what it should become: then `true`.
pub(super) async fn check_target(job: &Job, plan: &Plan) -> Result<bool, CopyError> {
    let found = job.target.look(&plan.target_tag).await?;
    if found.as_ref() == Some(&plan.digest) {
        return Ok(true);
    }
    if found == plan.expected {
        return Ok(false);
    }
    Err(CopyError::TargetMoved {
        repository: job.target.name.clone(),
        tag: plan.target_tag.clone(),
        expected: plan.expected.clone(),
        found,
    })
}

/// Whether the registry refuses the tag for a reason of its own, and not for want of a login.
fn is_of_tag(refusal: &OciError) -> bool {
    match refusal {
        OciError::Refused { .. } => true,
        OciError::Auth(failure) => matches!(**failure, AuthFailure::Forbidden { .. }),
        _ => false,
    }
}

/// Points the target tag at the digest; `false` if it already did. Registries have no
/// compare-and-set, so the look before the write leaves a moment open; it is one request long.
pub(super) async fn set(job: &Job, plan: &Plan, root: Root) -> Result<bool, CopyError> {
    let target = &job.target;
    if check_target(job, plan).await? {
        return Ok(false);
    }
    if !(job.may_act)() {
        return Err(CopyError::Stopped);
    }
    let reference = Reference::Tag(plan.target_tag.clone());
    let stored = target
        .client
        .put_manifest(
            &target.path,
            &reference,
            &root.media_type,
            root.raw.bytes.clone(),
        )
        .await;
    match stored.map_err(CopyError::from) {
        Ok(_) => {}
        // The answer may have been lost, not the request: what the tag is now says so.
        Err(error) if error.is_retryable() => {
            return if check_target(job, plan).await? {
                Ok(true)
            } else {
                Err(error)
            };
        }
        Err(CopyError::Registry(refusal)) if is_of_tag(&refusal) => {
            return Err(CopyError::TagRefused {
                repository: target.name.clone(),
                tag: plan.target_tag.clone(),
                refusal: Box::new(refusal),
            });
        }
        Err(error) => return Err(error),
    }
    let found = target.look(&plan.target_tag).await?;
    if found.as_ref() == Some(&plan.digest) {
        return Ok(true);
    }
    let (repository, tag) = (target.name.clone(), plan.target_tag.clone());
    if found.is_none() || found == plan.expected {
        return Err(CopyError::TagNotKept {
            repository,
            tag,
            digest: plan.digest.clone(),
            found,
        });
    }
    // Somebody else was quicker than the look.
    Err(CopyError::TargetMoved {
        repository,
        tag,
        expected: plan.expected.clone(),
        found,
    })
}
