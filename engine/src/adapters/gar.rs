//! Google Artifact Registry and Container Registry over Pub/Sub: one text holds host, repository
//! and digest or tag. A push of a tagged image gives two messages, the second with the tag. The
//! media type is never said.

use base64::Engine as _;
use serde_json::Value;
use weir_schema::{Body, Digest, ManifestDeleted, RepositoryName, Tag};

use super::context::{Context, Fill, Push};
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, clip, cloudevents, json, reference};

/// Decodes a Pub/Sub push, wrapped in a CloudEvent or not; what a subscriber pulls; or the message's
/// own JSON.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    if context.header("ce-type").is_some() {
        let event = cloudevents::unwrap(context)?;
        return Ok(vec![message(context, &Field::root(&event.data))?]);
    }
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    if !root.get("specversion").is_absent() {
        let event = cloudevents::unwrap(context)?;
        return Ok(vec![message(
            context,
            &Field::root(&event.data).named("data"),
        )?]);
    }
    let pulled = root.get("receivedMessages");
    if pulled.value().is_array() {
        let each = pulled.each()?;
        let each = each
            .iter()
            .map(|one| message(context, one).unwrap_or_else(|problem| context.rejected(&problem)));
        return Ok(each.collect());
    }
    Ok(vec![message(context, &root)?])
}

/// What is wrapped in `message`; without such a wrapping, which a subscription may leave out, the
/// headers say what it would have said.
fn message(context: &Context<'_>, root: &Field<'_>) -> Result<Decoded, Problem> {
    let message = root.get("message");
    if message.is_absent() {
        let id = context.header("x-goog-pubsub-message-id");
        let time = context.header("x-goog-pubsub-publish-time");
        return event(context, root, id, time.and_then(super::time::from_text));
    }
    let data = message.get("data");
    let id = message.first(&["messageId", "message_id"]).text();
    let time = message.first(&["publishTime", "publish_time"]).time();
    if data.is_absent() {
        return Ok(context.ignored("a message without data"));
    }
    let inner = payload(&data)?;
    let inner = Field::root(&inner).named(data.path());
    event(context, &inner, id, time)
}

fn payload(data: &Field<'_>) -> Result<Value, Problem> {
    let encoded = data.required()?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .or_else(|_| base64::engine::general_purpose::URL_SAFE.decode(encoded))
        .map_err(|error| data.problem(format!("no base64: {error}")))?;
    json::value(&bytes).map_err(|problem| data.problem(problem))
}

fn event(
    context: &Context<'_>,
    message: &Field<'_>,
    id: Option<&str>,
    time: Option<weir_schema::Timestamp>,
) -> Result<Decoded, Problem> {
    if !message.get("notificationTime").is_absent() && message.get("action").is_absent() {
        return Ok(context.ignored(
            "an occurrence of Artifact Analysis: it names neither the image nor the end of its scan",
        ));
    }
    let action = message.get("action").required()?;
    let by_digest = message.get("digest");
    let by_tag = message.get("tag");
    let digest = match by_digest.text().map(reference::split) {
        Some(reference) => {
            let digest = reference
                .digest
                .ok_or_else(|| by_digest.problem("no digest after `@`"))?;
            let digest: Digest = digest.parse().map_err(|error| by_digest.problem(error))?;
            Some((repository(context, &by_digest, reference.name)?, digest))
        }
        None => None,
    };
    let tag = match by_tag.text().map(reference::split) {
        Some(reference) => {
            let tag = reference
                .tag
                .ok_or_else(|| by_tag.problem("an image, `:` and its tag are expected"))?;
            let tag: Tag = tag.parse().map_err(|error| by_tag.problem(error))?;
            Some((repository(context, &by_tag, reference.name)?, tag))
        }
        None => None,
    };
    match (action, digest, tag) {
        ("INSERT", Some((repository, digest)), tag) => {
            let push = Push {
                repository,
                tag: tag.map(|(_, tag)| tag),
                digest: Some(digest),
                media_type: None,
                registry: None,
                fill: Fill::default(),
            };
            Ok(context.push(id, time, push))
        }
        ("INSERT", None, Some((repository, tag))) => {
            let push = Push {
                repository,
                tag: Some(tag),
                digest: None,
                media_type: None,
                registry: None,
                fill: Fill::default(),
            };
            Ok(context.push(id, time, push))
        }
        // A tag taken off a digest: the digest says from which.
        ("DELETE", _, Some((repository, tag))) => {
            Ok(context.tag_deleted(id, time, repository, tag, None))
        }
        ("DELETE", Some((repository, digest)), None) => {
            let body = Body::ManifestDeleted(ManifestDeleted {
                repository,
                digest,
                actor: None,
            });
            Ok(context.event(id, time, body))
        }
        ("INSERT" | "DELETE", None, None) => Err(by_digest.missing()),
        (other, ..) => Ok(context.ignored(format!("the action `{}` changes nothing", clip(other)))),
    }
}

fn repository(
    context: &Context<'_>,
    field: &Field<'_>,
    name: &str,
) -> Result<RepositoryName, Problem> {
    context
        .repository_named(name)
        .map_err(|error| field.problem(error))
}
