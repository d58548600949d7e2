//! zot's events: CloudEvents, structured over NATS and binary over HTTP.
//!
//! An update carries the whole manifest, so what it says is known at once. `reference` is a tag or,
//! for a push by digest, the digest. A scan gives counts. `image.lint_failed` is a push that was
//! refused: nothing happened.

use weir_schema::{
    Body, Digest, ImagePushed, ManifestDeleted, Repository, Scanner, Severity, SeverityCounts,
};

use super::context::{Context, Fill, Push, numbered, optional_tag};
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, clip, cloudevents};
use crate::oci::Manifest;
use crate::resolve;

/// Decodes one event.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let event = cloudevents::unwrap(context)?;
    let data = Field::root(&event.data).named(if event.whole.is_null() { "" } else { "data" });
    let (id, time) = (event.id.as_deref(), event.time);
    let kind = without_prefix(&event.kind);
    let actor = data.get("actor").get("name").string();
    let repository = || context.own_repository(&data.get("name"));
    let whole_repository = || {
        Ok(Repository {
            repository: repository()?,
            actor: actor.clone(),
        })
    };
    let decoded = match kind {
        "image.updated" => return updated(context, id, time, &data),
        "image.deleted" => match optional_tag(&data.get("reference"))? {
            // The tag is gone; another may still hold the manifest.
            Some(tag) => context.tag_deleted(id, time, repository()?, tag, actor),
            None => {
                let body = Body::ManifestDeleted(ManifestDeleted {
                    repository: repository()?,
                    digest: data.first(&["digest", "reference"]).digest()?,
                    actor,
                });
                context.event(id, time, body)
            }
        },
        "image.scanned" => context.event(id, time, scanned(&data, time)?),
        "repository.created" => {
            context.event(id, time, Body::RepositoryCreated(whole_repository()?))
        }
        "repository.deleted" => {
            context.event(id, time, Body::RepositoryDeleted(whole_repository()?))
        }
        "image.lint_failed" => {
            context.ignored("the push was refused by the registry's lint: nothing was pushed")
        }
        other => context.ignored(format!("zot's `{}` changes nothing", clip(other))),
    };
    Ok(vec![decoded])
}

/// The type without what stands before it, which may be configured: `zotregistry.image.updated`.
fn without_prefix(kind: &str) -> &str {
    let mut dots = kind.rmatch_indices('.').map(|(at, _)| at + 1);
    let start = dots.nth(1).unwrap_or_default();
    kind.get(start..).unwrap_or(kind)
}

fn updated(
    context: &Context<'_>,
    id: Option<&str>,
    time: Option<weir_schema::Timestamp>,
    data: &Field<'_>,
) -> Result<Vec<Decoded>, Problem> {
    let repository = context.own_repository(&data.get("name"))?;
    let tag = optional_tag(&data.get("reference"))?;
    let digest = data.first(&["digest", "reference"]).digest()?;
    let actor = data.get("actor").get("name").string();
    let said = data.get("mediaType").text();
    let text = data.get("manifest").text().unwrap_or_default();
    let manifest = digest
        .matches(text.as_bytes())
        .then(|| Manifest::parse(text.as_bytes(), said));
    let Some(Ok(manifest)) = manifest else {
        // Without the very bytes of the digest, only what the event itself says is known.
        let push = Push {
            repository,
            tag,
            digest: Some(digest),
            media_type: said.map(str::to_owned),
            registry: None,
            fill: Fill {
                actor,
                ..Fill::default()
            },
        };
        return Ok(vec![context.push(id, time, push)]);
    };
    let facts = resolve::facts(&digest, manifest, None);
    let push = Body::ImagePushed(ImagePushed {
        repository,
        digest,
        media_type: facts.media_type.clone(),
        tag,
        size: u64::try_from(text.len()).ok(),
        artifact_type: facts.artifact_type.clone(),
        annotations: facts.annotations.clone(),
        platform: None,
        manifests: facts.manifests.clone(),
        actor,
        found_at_registry: false,
    });
    Ok(vec![
        context.event(id, time, push),
        context.event(
            numbered(id, 1).as_deref(),
            time,
            Body::ManifestResolved(facts),
        ),
    ])
}

fn scanned(data: &Field<'_>, time: Option<weir_schema::Timestamp>) -> Result<Body, Problem> {
    let digest: Digest = data.first(&["digest", "reference"]).digest()?;
    let summary = data.get("summary");
    if summary.is_absent() {
        return Err(summary.missing());
    }
    let mut counts = SeverityCounts::default();
    for (name, severity) in [
        ("criticalCount", Severity::Critical),
        ("highCount", Severity::High),
        ("mediumCount", Severity::Medium),
        ("lowCount", Severity::Low),
        ("unknownCount", Severity::Unknown),
    ] {
        let count = summary.get(name);
        if !count.is_absent() {
            counts.0.insert(severity, count.count()?);
        }
    }
    super::report::add_untold(&mut counts, &summary.get("count"))?;
    super::report::check_gravest(&counts, &summary.get("maxSeverity"))?;
    let scanner = Scanner {
        name: "zot".into(),
        version: None,
        db_updated_at: None,
    };
    Ok(super::report::counted(digest, scanner, counts, time))
}
