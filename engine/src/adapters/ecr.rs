//! Amazon ECR and Inspector through EventBridge.
//!
//! Severities without findings are absent; `TOTAL` is no severity. Inspector gives the repository as
//! an ARN. Delivery is best effort, so reconciling is needed beside it. What comes through SNS or SQS
//! has the event as a text in `Message` or `body`; CloudTrail's records of API calls are read too.

use weir_schema::{
    Body, ManifestDeleted, RepositoryName, ScanFailed, ScanStarted, Scanner, SeverityCounts,
    media_type,
};

use super::context::{Context, Fill, Push, optional_tag};
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, clip, cloudtrail, ecr_home, json, report};

/// How deep queues, topics and log files wrap each other before there is an event.
const DEEPEST: usize = 4;

/// Decodes an event, however it is wrapped.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    any(context, &Field::root(&body), DEEPEST)
}

fn any(context: &Context<'_>, root: &Field<'_>, depth: usize) -> Result<Vec<Decoded>, Problem> {
    let records = root.get("Records");
    if !root.get("TopicArn").is_absent() || !root.get("Type").is_absent() {
        notification(context, root, depth)
    } else if records.value().is_array() {
        let each = records.each()?;
        let each = each.iter().flat_map(|record| {
            self::record(context, record, depth)
                .unwrap_or_else(|problem| vec![context.rejected(&problem)])
        });
        let decoded: Vec<_> = each.collect();
        match decoded.is_empty() {
            true => Ok(vec![context.ignored("a file or message without records")]),
            false => Ok(decoded),
        }
    } else if cloudtrail::is_record(root) {
        cloudtrail::decode(context, root)
    } else {
        event(context, root)
    }
}

/// One of several: a message of SQS, of SNS as functions get it, or a record of CloudTrail.
fn record(
    context: &Context<'_>,
    record: &Field<'_>,
    depth: usize,
) -> Result<Vec<Decoded>, Problem> {
    let sns = record.get("Sns");
    let body = record.get("body");
    if !sns.is_absent() {
        notification(context, &sns, depth)
    } else if body.text().is_some() {
        within(context, &body, depth)
    } else {
        any(context, record, depth.saturating_sub(1))
    }
}

/// What SNS sends to an address.
fn notification(
    context: &Context<'_>,
    root: &Field<'_>,
    depth: usize,
) -> Result<Vec<Decoded>, Problem> {
    match root.get("Type").text().unwrap_or("Notification") {
        "Notification" => within(context, &root.get("Message"), depth),
        "SubscriptionConfirmation" => {
            let address = root.get("SubscribeURL").text().unwrap_or_default();
            // Nothing comes before somebody has opened it, and nobody sees it but here.
            tracing::warn!(
                address,
                "SNS asks whether it may send here: open the address once"
            );
            Ok(vec![context.ignored(
                "SNS asks whether it may send here: open the `SubscribeURL` of its message once",
            )])
        }
        other => {
            Ok(vec![context.ignored(format!(
                "SNS's `{}` changes nothing",
                clip(other)
            ))])
        }
    }
}

/// The event that a text holds.
fn within(context: &Context<'_>, text: &Field<'_>, depth: usize) -> Result<Vec<Decoded>, Problem> {
    let depth = depth.checked_sub(1).ok_or_else(|| {
        text.problem("a message in a message in a message: none of them an event")
    })?;
    let body = json::value(text.required()?.as_bytes()).map_err(|problem| text.problem(problem))?;
    any(context, &Field::root(&body).named(text.path()), depth)
}

fn event(context: &Context<'_>, root: &Field<'_>) -> Result<Vec<Decoded>, Problem> {
    let kind = root.get("detail-type").required()?;
    // A scan is of a digest wherever that is, and a call says itself whose registry it is about.
    if !kind.ends_with("Scan")
        && !kind.ends_with("via CloudTrail")
        && let Some(ignored) = ecr_home::elsewhere(context, &told(root))
    {
        return Ok(vec![ignored]);
    }
    let decoded = match kind {
        // Also an image that came without a push of a client, and what refers to an image.
        "ECR Image Action" | "ECR Replication Action" | "ECR Referrer Action" => {
            return action(context, root);
        }
        "ECR Pull Through Cache Action" => cached(context, root)?,
        "ECR Image Scan" => scan(context, root, "ecr")?,
        "Inspector2 Scan" => scan(context, root, "inspector")?,
        "AWS API Call via CloudTrail" | "AWS Service Event via CloudTrail" => {
            return cloudtrail::decode(context, &root.get("detail"));
        }
        other => context.ignored(format!("EventBridge's `{}` changes nothing", clip(other))),
    };
    Ok(vec![decoded])
}

/// The registry that an event is of: of a replication, the one that the image came to.
fn told<'a>(root: &Field<'a>) -> ecr_home::Told<'a> {
    ecr_home::Told {
        account: root.get("account"),
        region: root.get("region"),
    }
}

/// An image that a pull brought into a cache repository.
fn cached(context: &Context<'_>, root: &Field<'_>) -> Result<Decoded, Problem> {
    let detail = root.get("detail");
    let status = detail.get("sync-status");
    let word = status.required()?;
    if word != "SUCCESS" {
        let reason = format!("`{}` is `{}`: no image came", status.path(), clip(word));
        return Ok(context.ignored(reason));
    }
    let push = Push {
        repository: repository(context, &detail)?,
        tag: optional_tag(&detail.get("image-tag"))?,
        digest: detail.get("image-digest").optional_digest()?,
        media_type: None,
        registry: None,
        fill: Fill::default(),
    };
    Ok(context.push(root.get("id").text(), root.get("time").time(), push))
}

/// What is untold of an image of which a tag was deleted: ECR deletes it with its last tag, and the
/// manifest may be a part of an application.
pub(super) const LAST_TAG: &str =
    "ECR deletes an image with its last tag: the registry knows whether it is still there";

fn action(context: &Context<'_>, root: &Field<'_>) -> Result<Vec<Decoded>, Problem> {
    let detail = root.get("detail");
    let id = root.get("id").text();
    let time = root.get("time").time();
    let result = detail.get("result").text().unwrap_or("SUCCESS");
    if !result.eq_ignore_ascii_case("SUCCESS") {
        let reason = format!(
            "the action's result is `{}`: nothing happened",
            clip(result)
        );
        return Ok(vec![context.ignored(reason)]);
    }
    let repository = repository(context, &detail)?;
    let tag = optional_tag(&detail.get("image-tag"))?;
    let digest = detail.get("image-digest").optional_digest()?;
    let actor = root.get("detail").get("user-identity").string();
    let decoded = match (detail.get("action-type").required()?, digest, tag) {
        ("PUSH" | "REPLICATE", digest, tag) => {
            let artifact = detail.get("artifact-media-type");
            let media_type = detail.get("manifest-media-type").string();
            let manifest = media_type.as_deref().unwrap_or_default();
            let is_no_image = |kind: &String| media_type::is_non_image_config(manifest, kind);
            let push = Push {
                repository,
                tag,
                digest,
                registry: None,
                fill: Fill {
                    artifact_type: artifact.string().filter(is_no_image),
                    actor,
                    ..Fill::default()
                },
                media_type,
            };
            context.push(id, time, push)
        }
        // Another tag may still hold the manifest.
        ("DELETE", _, Some(tag)) => {
            return Ok(vec![
                context.tag_deleted(id, time, repository, tag, actor),
                context.untold(LAST_TAG),
            ]);
        }
        ("DELETE", Some(digest), None) => {
            let body = Body::ManifestDeleted(ManifestDeleted {
                repository,
                digest,
                actor,
            });
            context.event(id, time, body)
        }
        // What is archived cannot be pulled; what is restored can.
        ("UPDATE_STORAGE_CLASS", ..) => context.untold(format!(
            "an image's storage class is now `{}`: the registry knows whether it can be pulled",
            clip(
                detail
                    .get("target-storage-class")
                    .text()
                    .unwrap_or_default()
            )
        )),
        ("DELETE", None, None) => return Err(detail.get("image-digest").missing()),
        (other, ..) => context.ignored(format!("ECR's `{}` changes nothing", clip(other))),
    };
    Ok(vec![decoded])
}

/// The name in `repository-name`, which may be an ARN: `arn:aws:ecr:REGION:ACCOUNT:repository/NAME`.
fn repository(context: &Context<'_>, detail: &Field<'_>) -> Result<RepositoryName, Problem> {
    let field = detail.get("repository-name");
    let text = field.required()?;
    let name = match text.starts_with("arn:") {
        true => text
            .split_once(":repository/")
            .map_or(text, |(_, name)| name),
        false => text,
    };
    context
        .own_repository_named(name)
        .map_err(|error| field.problem(error))
}

fn scan(context: &Context<'_>, root: &Field<'_>, scanner: &str) -> Result<Decoded, Problem> {
    let detail = root.get("detail");
    let id = root.get("id").text();
    let time = root.get("time").time();
    let scanner = Scanner {
        name: scanner.into(),
        version: None,
        db_updated_at: None,
    };
    // A text; an object with a `status` in the answers of the API.
    let status = detail.get("scan-status");
    let status = match status.value() {
        serde_json::Value::Object(_) => status.get("status"),
        _ => status,
    };
    let word = status.required()?;
    let image = detail.get("image-digest");
    if image.is_absent() && detail.get("repository-name").is_absent() {
        return Ok(context.ignored("a scan of something that is no image"));
    }
    let digest = image.digest();
    let body = match word.to_ascii_uppercase().as_str() {
        "COMPLETE" | "COMPLETED" | "INITIAL_SCAN_COMPLETE" | "SCAN_COMPLETE" => {
            let counts = counts(&detail.get("finding-severity-counts"))?;
            report::counted(digest?, scanner, counts, time)
        }
        "FAILED" | "UNSUPPORTED_IMAGE" => Body::ScanFailed(ScanFailed {
            digest: digest?,
            scanner,
            reason: match detail.first(&["scan-status-description", "reason"]).text() {
                Some(reason) => format!("{word}: {}", clip(reason)),
                None => word.to_owned(),
            },
        }),
        "IN_PROGRESS" => Body::ScanStarted(ScanStarted {
            digest: digest?,
            scanner,
        }),
        other => {
            let reason = format!("the scan's status is `{}`: not completed", clip(other));
            return Ok(context.ignored(reason));
        }
    };
    Ok(context.event(id, time, body))
}

fn counts(by_severity: &Field<'_>) -> Result<SeverityCounts, Problem> {
    if !by_severity.value().is_object() {
        return Err(by_severity.missing());
    }
    let mut counts = SeverityCounts::default();
    let mut total = None;
    for (word, count) in by_severity.entries() {
        if word.eq_ignore_ascii_case("TOTAL") {
            total = Some(count);
            continue;
        }
        let sum = counts.0.entry(report::severity(Some(word))).or_default();
        *sum = sum.saturating_add(count.count()?);
    }
    // Inspector's total has findings that it names no severity of, and a total alone is no result.
    if let Some(total) = total {
        report::add_untold(&mut counts, &total)?;
    }
    Ok(counts)
}
