//! Sonatype Nexus: webhooks about components and assets of Docker repositories. A component is a
//! tag, without its digest.

use weir_schema::Digest;

use super::context::{Context, Fill, Push, required_tag};
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, clip, json};

/// Decodes a webhook's body.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    let what = root.first(&["component", "asset"]);
    // By inner numbers, and of components that only were.
    if root.get("action").text() == Some("PURGED") {
        return Ok(vec![context.untold(
            "a cleanup policy purged components, and the event does not say which",
        )]);
    }
    if what.is_absent() {
        return Ok(vec![
            context.ignored("a webhook about neither a component nor an asset"),
        ]);
    }
    let format = what.get("format").text().unwrap_or_default();
    if format != "docker" {
        let reason = format!("the format `{}` has no images", clip(format));
        return Ok(vec![context.ignored(reason)]);
    }
    let name = what.get("name");
    let (path, tag, digest) = if root.get("component").is_absent() {
        let Some((path, reference)) = asset(name.required()?) else {
            return Ok(vec![context.ignored("an asset that is not a manifest")]);
        };
        match reference.parse::<Digest>() {
            Ok(digest) => (path, None, Some(digest)),
            Err(_) => {
                let tag = reference.parse().map_err(|error| name.problem(error))?;
                (path, Some(tag), None)
            }
        }
    } else {
        let version = what.get("version");
        match version.required()?.parse::<Digest>() {
            Ok(digest) => (name.required()?, None, Some(digest)),
            Err(_) => (name.required()?, Some(required_tag(&version)?), None),
        }
    };
    let repository = context
        .own_repository_named(path)
        .map_err(|error| name.problem(error))?;
    let id = context.header("x-nexus-webhook-delivery");
    let time = root.get("timestamp").time();
    // `NAME/ADDRESS`.
    let initiator = root.get("initiator").text();
    let actor = initiator.map(|actor| actor.split_once('/').map_or(actor, |(name, _)| name));
    let actor = actor.map(str::to_owned);
    let action = root.get("action").required()?;
    let event = match (action, tag, digest) {
        ("CREATED" | "UPDATED", tag, digest) => {
            let push = Push {
                repository,
                tag,
                digest,
                media_type: None,
                registry: None,
                fill: Fill {
                    actor,
                    ..Fill::default()
                },
            };
            context.push(id, time, push)
        }
        ("DELETED", Some(tag), _) => context.tag_deleted(id, time, repository, tag, actor),
        ("DELETED", None, Some(digest)) => {
            let body = weir_schema::Body::ManifestDeleted(weir_schema::ManifestDeleted {
                repository,
                digest,
                actor,
            });
            context.event(id, time, body)
        }
        (other, ..) => context.ignored(format!("Nexus's `{}` changes nothing", clip(other))),
    };
    Ok(vec![event])
}

/// Repository and reference of a manifest's path `v2/NAME/manifests/REFERENCE`.
fn asset(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_start_matches('/');
    let path = path.strip_prefix("v2/").unwrap_or(path);
    path.rsplit_once("/manifests/")
}
