//! Amazon ECR's API calls as CloudTrail records them, for those who listen to nothing else: images put
//! and deleted, by calls and by lifecycle policies. What a call was answered tells what happened; a
//! refused call did nothing.

use std::collections::BTreeSet;

use weir_schema::{Body, Digest, ManifestDeleted, Repository, RepositoryName, Timestamp};

use super::context::{Context, Fill, Push, numbered, optional_tag};
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, clip, ecr, ecr_home};

/// Whether this is a record of CloudTrail.
pub(super) fn is_record(record: &Field<'_>) -> bool {
    record.get("eventSource").text().is_some() && record.get("eventName").text().is_some()
}

/// Decodes the record of a call. Its own identifier wins over that of what wrapped it.
pub(super) fn decode(context: &Context<'_>, record: &Field<'_>) -> Result<Vec<Decoded>, Problem> {
    let source = record.get("eventSource").required()?;
    let name = record.get("eventName").required()?;
    let refused = record.get("errorCode");
    if !source.starts_with("ecr") {
        let reason = format!("a call of `{}`, not of ECR", clip(source));
        return Ok(vec![context.ignored(reason)]);
    }
    if let Some(code) = refused.text() {
        let reason = format!("`{}` was refused with `{}`", clip(name), clip(code));
        return Ok(vec![context.ignored(reason)]);
    }
    let call = Call {
        id: record.get("eventID").text(),
        time: record.get("eventTime").time(),
        actor: record.get("userIdentity").get("arn").string(),
        asked: record.get("requestParameters"),
        answered: record.get("responseElements"),
    };
    if let Some(ignored) = ecr_home::elsewhere(context, &told(record, &call)) {
        return Ok(vec![ignored]);
    }
    match name {
        "PutImage" => Ok(vec![put(context, &call)?]),
        "BatchDeleteImage" => deleted(context, &call),
        "DeleteRepository" => {
            let repository = repository(context, &call.answered.get("repository"), &call)?;
            let gone = Body::RepositoryDeleted(Repository {
                repository,
                actor: call.actor,
            });
            Ok(vec![context.event(call.id, call.time, gone)])
        }
        "PolicyExecutionEvent" => expired(context, &call, &record.get("serviceEventDetails")),
        other => {
            let reason = format!("the call `{}` changes nothing", clip(other));
            Ok(vec![context.ignored(reason)])
        }
    }
}

struct Call<'a> {
    id: Option<&'a str>,
    time: Option<Timestamp>,
    actor: Option<String>,
    asked: Field<'a>,
    answered: Field<'a>,
}

impl<'a> Call<'a> {
    /// What was answered; where that is absent, what was asked for as `asked`.
    fn or_asked(&self, answered: Field<'a>, asked: &str) -> Field<'a> {
        match answered.is_absent() {
            true => self.asked.get(asked),
            false => answered,
        }
    }
}

/// The registry that a call is about. Its owner gets the record of what another account did there, and
/// so does that account.
fn told<'a>(record: &Field<'a>, call: &Call<'a>) -> ecr_home::Told<'a> {
    let named = [
        call.answered.get("registryId"),
        call.answered.get("image").get("registryId"),
        call.answered.get("repository").get("registryId"),
        call.asked.get("registryId"),
    ];
    let named = named.into_iter().find(|one| !one.is_absent());
    ecr_home::Told {
        account: named.unwrap_or_else(|| record.get("recipientAccountId")),
        region: record.get("awsRegion"),
    }
}

fn put(context: &Context<'_>, call: &Call<'_>) -> Result<Decoded, Problem> {
    let image = call.answered.get("image");
    let id = image.get("imageId");
    let push = Push {
        repository: repository(context, &image, call)?,
        tag: optional_tag(&call.or_asked(id.get("imageTag"), "imageTag"))?,
        digest: call
            .or_asked(id.get("imageDigest"), "imageDigest")
            .optional_digest()?,
        media_type: call
            .or_asked(
                image.get("imageManifestMediaType"),
                "imageManifestMediaType",
            )
            .string(),
        registry: None,
        fill: Fill {
            actor: call.actor.clone(),
            ..Fill::default()
        },
    };
    Ok(context.push(call.id, call.time, push))
}

/// What was asked for by digest is gone with all its tags; what was asked for by tag may have others.
fn deleted(context: &Context<'_>, call: &Call<'_>) -> Result<Vec<Decoded>, Problem> {
    let repository = repository(context, &call.answered, call)?;
    let mut whole: BTreeSet<Digest> = BTreeSet::new();
    for image in call.asked.get("imageIds").items() {
        if image.get("imageTag").is_absent() {
            whole.extend(image.get("imageDigest").optional_digest()?);
        }
    }
    let done = call.or_asked(call.answered.get("imageIds"), "imageIds");
    let mut decoded = Vec::new();
    let (mut gone, mut may_be_gone) = (BTreeSet::new(), false);
    for image in done.each()? {
        let id = numbered(call.id, decoded.len());
        let tag = optional_tag(&image.get("imageTag"))?;
        let digest = image.get("imageDigest").optional_digest()?;
        let by_tag = tag.is_some();
        if let Some(tag) = tag {
            may_be_gone |= digest.as_ref().is_none_or(|digest| !whole.contains(digest));
            let (repository, actor) = (repository.clone(), call.actor.clone());
            decoded.push(context.tag_deleted(id.as_deref(), call.time, repository, tag, actor));
        }
        if let Some(digest) = digest.filter(|digest| !by_tag || whole.contains(digest))
            && gone.insert(digest.clone())
        {
            let body = Body::ManifestDeleted(ManifestDeleted {
                repository: repository.clone(),
                digest,
                actor: call.actor.clone(),
            });
            let id = numbered(call.id, decoded.len());
            decoded.push(context.event(id.as_deref(), call.time, body));
        }
    }
    if may_be_gone {
        decoded.push(context.untold(ecr::LAST_TAG));
    }
    if decoded.is_empty() {
        decoded.push(context.ignored("no image was deleted"));
    }
    Ok(decoded)
}

/// What a lifecycle policy removed, each image with all its tags.
fn expired(
    context: &Context<'_>,
    call: &Call<'_>,
    details: &Field<'_>,
) -> Result<Vec<Decoded>, Problem> {
    let repository = context.own_repository(&details.get("repositoryName"))?;
    let failures = details.get("lifecycleEventFailureDetails");
    if failures.items().next().is_some() {
        return Ok(vec![context.untold(
            "a lifecycle policy could not remove all that it tells of: the registry knows what is left",
        )]);
    }
    let actions = details.get("lifecycleEventImageActions");
    let mut decoded = Vec::new();
    for action in actions.each()? {
        let body = Body::ManifestDeleted(ManifestDeleted {
            repository: repository.clone(),
            digest: action.get("lifecycleEventImage").get("digest").digest()?,
            actor: call.actor.clone(),
        });
        let id = numbered(call.id, decoded.len());
        decoded.push(context.event(id.as_deref(), call.time, body));
        super::at_most(decoded.len())?;
    }
    if decoded.is_empty() {
        decoded.push(context.ignored("the lifecycle policy removed no image"));
    }
    Ok(decoded)
}

fn repository<'a>(
    context: &Context<'_>,
    answered: &Field<'a>,
    call: &Call<'a>,
) -> Result<RepositoryName, Problem> {
    let name = call.or_asked(answered.get("repositoryName"), "repositoryName");
    context.own_repository(&name)
}
