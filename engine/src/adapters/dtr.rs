//! Docker Trusted Registry and MSR 2 and 3.
//!
//! A scan names a tag and no digest, so it has to be resolved, and the tag may have moved since it
//! was scanned. Of the seven statuses only 6 is a completed scan: 4 has an inventory that nobody
//! compared with the database. DTR's three classes are counted upwards: `critical` is CVSS 7 and
//! more, without a class above it, and counts as CRITICAL; `major` is MEDIUM, `minor` LOW.

use serde_json::{Map, Value};
use weir_schema::{
    Body, Digest, ManifestDeleted, Platform, Repository, RepositoryConfigured, RepositoryName,
    ScanFailed, ScanStarted, Scanner, ScannerUpdated, Severity, SeverityCounts, Timestamp,
};

use super::context::{Context, Fill, Push, optional_tag, required_tag};
use super::field::Field;
use super::pending::{Need, UNRESOLVED};
use super::problem::Problem;
use super::{Decoded, clip, json, reference};

/// Decodes a webhook's body.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    let contents = root.get("contents");
    // `pushedAt` of a test is a constant far in the past.
    let time = root.get("createdAt").time();
    let kind = root.get("type").required()?;
    let actor = contents.get("author").string();
    let decoded = match kind {
        "TAG_PUSH" | "MANIFEST_PUSH" => {
            let push = Push {
                repository: repository(context, &contents)?,
                tag: optional_tag(&contents.get("tag"))?,
                digest: contents.get("digest").optional_digest()?,
                media_type: None,
                registry: None,
                fill: Fill {
                    platform: platform(&contents),
                    actor,
                    ..Fill::default()
                },
            };
            context.push(None, time, push)
        }
        "TAG_DELETE" => {
            let tag = required_tag(&contents.get("tag"))?;
            context.tag_deleted(None, time, repository(context, &contents)?, tag, actor)
        }
        "MANIFEST_DELETE" => {
            let body = Body::ManifestDeleted(ManifestDeleted {
                repository: repository(context, &contents)?,
                digest: contents.get("digest").digest()?,
                actor,
            });
            context.event(None, time, body)
        }
        "SCAN_COMPLETED" => return Ok(vec![scanned(context, time, &contents)?]),
        "SCAN_FAILED" => {
            let reason = contents.get("error").text().unwrap_or("failed").to_owned();
            let body = |digest| {
                Body::ScanFailed(ScanFailed {
                    digest,
                    scanner: scanner(),
                    reason,
                })
            };
            scan(context, time, &contents, time, body, Map::new())?
        }
        "REPO_EVENT" => repository_event(context, time, &contents, None)?,
        // As the tables of events name them.
        "REPO_CREATED" | "REPO_UPDATED" | "REPO_DELETED" => {
            repository_event(context, time, &contents, Some(kind))?
        }
        "SCANNER_UPDATE_COMPLETED" => scanner_updated(context, time, &contents),
        "PROMOTION" | "PUSH_MIRRORING" | "POLL_MIRRORING" => context.ignored(format!(
            "`{kind}`: the push that it makes is told by the repository it goes to"
        )),
        other => context.ignored(format!("DTR's `{}` changes nothing", clip(other))),
    };
    Ok(vec![decoded])
}

fn repository(context: &Context<'_>, contents: &Field<'_>) -> Result<RepositoryName, Problem> {
    let name = contents.get("repository");
    let path = match contents.get("namespace").text() {
        Some(namespace) => format!("{namespace}/{}", name.required()?),
        None => name.required()?.to_owned(),
    };
    context
        .repository_named(&path)
        .map_err(|error| name.problem(error))
}

fn platform(contents: &Field<'_>) -> Option<Platform> {
    Some(Platform {
        os: contents.get("os").string()?.into(),
        architecture: contents.get("architecture").string()?.into(),
        variant: None,
    })
}

fn scanner() -> Scanner {
    Scanner {
        name: "dtr".into(),
        version: None,
        db_updated_at: None,
    }
}

fn scanned(
    context: &Context<'_>,
    time: Option<Timestamp>,
    contents: &Field<'_>,
) -> Result<Decoded, Problem> {
    let summary = contents.get("scanSummary");
    let status = summary.get("last_scan_status");
    let scanned_at = summary.get("check_completed_at").time();
    let mut extra = Map::new();
    for name in ["has_foreign_layers", "should_rescan"] {
        if let Value::Bool(true) = summary.get(name).value() {
            extra.insert(name.into(), true.into());
        }
    }
    match status.count()? {
        6 => {
            let mut counts = SeverityCounts::default();
            for (name, severity) in [
                ("critical", Severity::Critical),
                ("major", Severity::Medium),
                ("minor", Severity::Low),
            ] {
                counts.0.insert(severity, summary.get(name).count()?);
            }
            let body = |digest| super::report::counted(digest, scanner(), counts, scanned_at);
            scan(context, time, contents, scanned_at.or(time), body, extra)
        }
        0 => {
            let body = |digest| {
                Body::ScanFailed(ScanFailed {
                    digest,
                    scanner: scanner(),
                    reason: "failed".into(),
                })
            };
            scan(context, time, contents, scanned_at.or(time), body, extra)
        }
        2 | 5 => {
            let body = |digest| {
                Body::ScanStarted(ScanStarted {
                    digest,
                    scanner: scanner(),
                })
            };
            scan(context, time, contents, time, body, extra)
        }
        other => {
            let meaning = match other {
                1 => "unscanned",
                3 => "pending",
                4 => "scanned but not checked against the database",
                _ => "unknown",
            };
            Ok(context.ignored(format!(
                "`{}` is {other} ({meaning}): not a completed scan",
                status.path()
            )))
        }
    }
}

/// An event about what was scanned: by the digest where the image's name has it, else by the tag.
fn scan(
    context: &Context<'_>,
    time: Option<Timestamp>,
    contents: &Field<'_>,
    scanned_at: Option<Timestamp>,
    body: impl FnOnce(Digest) -> Body,
    extra: Map<String, Value>,
) -> Result<Decoded, Problem> {
    let image = contents.get("imageName");
    let named = reference::split(image.text().unwrap_or_default()).digest;
    if let Some(digest) = named {
        let digest = digest.parse().map_err(|error| image.problem(error))?;
        return Ok(context.event_with(None, time, body(digest), extra));
    }
    if let Some(digest) = contents.get("digest").optional_digest()? {
        return Ok(context.event_with(None, time, body(digest), extra));
    }
    let need = Need::Digest {
        repository: repository(context, contents)?,
        tag: required_tag(&contents.get("tag"))?,
        registry: None,
        scanned_at,
    };
    Ok(context.pending(need, None, time, body(UNRESOLVED), extra))
}

fn repository_event(
    context: &Context<'_>,
    time: Option<Timestamp>,
    contents: &Field<'_>,
    kind: Option<&str>,
) -> Result<Decoded, Problem> {
    let repository = repository(context, contents)?;
    let actor = contents.get("author").string();
    let kind = kind.map_or_else(|| contents.get("event").required(), Ok)?;
    let body = match kind {
        "REPO_CREATED" => Body::RepositoryCreated(Repository { repository, actor }),
        "REPO_DELETED" => Body::RepositoryDeleted(Repository { repository, actor }),
        other => {
            let data = contents.get("data");
            let Value::Bool(immutable_tags) = *data.get("immutableTags").value() else {
                return Ok(context.ignored(format!(
                    "`{}` does not say whether tags are immutable",
                    clip(other)
                )));
            };
            Body::RepositoryConfigured(RepositoryConfigured {
                repository,
                immutable_tags,
                actor,
            })
        }
    };
    Ok(context.event(None, time, body))
}

fn scanner_updated(
    context: &Context<'_>,
    time: Option<Timestamp>,
    contents: &Field<'_>,
) -> Decoded {
    let updated = contents.get("db_updated_at").time();
    match (contents.get("success").value(), updated) {
        (Value::Bool(false), _) => context.ignored("the scanner's database was not updated"),
        (_, None) => context.ignored("the event does not say of when the scanner's database is"),
        (_, Some(_)) => {
            let body = Body::ScannerUpdated(ScannerUpdated {
                scanner: Scanner {
                    version: contents.get("scanner_version").short(),
                    db_updated_at: updated,
                    ..scanner()
                },
            });
            context.event(None, time, body)
        }
    }
}
