//! Harbor's webhooks: default format, CloudEvents, and the words of Harbor 1.x.
//!
//! - `tag` holds the digest where there is no tag; the media type is never said.
//! - "Scanning completed" is said of SBOMs too (`scan_type`), and of an index with a summary merged
//!   from its children: it gives counts for the digest it names and covers nothing else.
//! - `complete_percent` below 100, or a status that is not success, is no completed scan.

use serde_json::Value;
use weir_schema::{
    Body, Digest, ManifestDeleted, RepositoryName, ScanFailed, Scanner, Severity, SeverityCounts,
    Timestamp,
};

use super::context::{Context, Fill, Push, numbered, optional_tag, required_tag};
use super::field::Field;
use super::problem::Problem;
use super::{
    Decoded, MOST_EVENTS, REPORT_ID, clip, cloudevents, detect, harbor_report, json, reference,
    report,
};

/// What happened, in any of the three vocabularies.
#[derive(Clone, Copy)]
enum Kind {
    Pushed,
    Deleted,
    TagDeleted,
    Scanned,
    ScanFailed,
    ScanStopped,
}

fn kind(word: &str) -> Option<Kind> {
    Some(match word {
        // A tag put on what is there is a push of it.
        "PUSH_ARTIFACT"
        | "harbor.artifact.pushed"
        | "pushImage"
        | "CREATE_TAG"
        | "harbor.tag.created" => Kind::Pushed,
        "DELETE_TAG" | "harbor.tag.deleted" => Kind::TagDeleted,
        "DELETE_ARTIFACT" | "harbor.artifact.deleted" | "deleteImage" => Kind::Deleted,
        "SCANNING_COMPLETED" | "harbor.scan.completed" | "scanningCompleted" => Kind::Scanned,
        "SCANNING_FAILED" | "harbor.scan.failed" | "scanningFailed" => Kind::ScanFailed,
        "SCANNING_STOPPED" | "harbor.scan.stopped" | "scanningStopped" => Kind::ScanStopped,
        _ => return None,
    })
}

/// What all resources of a delivery share.
struct Delivered<'a> {
    own: Option<&'a str>,
    time: Option<Timestamp>,
    actor: Option<String>,
    repository: RepositoryName,
}

/// Decodes a webhook's body; a scanner's report too, if that is what it is.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    if detect::of_report(context.body()) == Some("harbor-report") {
        return harbor_report::decode(context);
    }
    let body = json::value(context.body())?;
    let binary = context.header("ce-type").is_some();
    if binary || body.get("specversion").is_some() {
        let wrapped = cloudevents::unwrap(context)?;
        let operator = Field::root(&wrapped.whole).get("operator").string();
        let operator = operator.or_else(|| context.header("ce-operator").map(str::to_owned));
        let data = Field::root(&wrapped.data).named(if binary { "" } else { "data" });
        return event(
            context,
            &wrapped.kind,
            wrapped.id.as_deref(),
            wrapped.time,
            operator,
            &data,
        );
    }
    let root = Field::root(&body);
    event(
        context,
        root.get("type").required()?,
        None,
        root.get("occur_at").time(),
        root.get("operator").string(),
        &root.get("event_data"),
    )
}

fn event(
    context: &Context<'_>,
    word: &str,
    own: Option<&str>,
    time: Option<Timestamp>,
    actor: Option<String>,
    data: &Field<'_>,
) -> Result<Vec<Decoded>, Problem> {
    if matches!(word, "TAG_RETENTION" | "harbor.tag_retention.finished") {
        return Ok(retained(context, own, time, &data.get("retention")));
    }
    let Some(kind) = kind(word) else {
        let reason = format!("Harbor's `{}` changes nothing", clip(word));
        return Ok(vec![context.ignored(reason)]);
    };
    if data
        .get("scan")
        .get("scan_type")
        .text()
        .is_some_and(|scan| scan != "vulnerability")
    {
        return Ok(vec![context.ignored(
            "a scan of another type (`scan_type`), for example for an SBOM: not a scan for vulnerabilities",
        )]);
    }
    let delivered = Delivered {
        own,
        time,
        actor,
        repository: repository(context, &data.get("repository"))?,
    };
    let mut decoded = Vec::new();
    for resource in data.get("resources").each()? {
        let events = self::resource(context, kind, &delivered, &resource, decoded.len())
            .unwrap_or_else(|problem| vec![context.rejected(&problem)]);
        decoded.extend(events);
    }
    if decoded.is_empty() {
        return Err(data.get("resources").problem("it names no artifact"));
    }
    Ok(decoded)
}

/// Tag retention: Harbor names the last artifact that it deleted, by one of its tags, and no other.
/// That it deleted anything it does not tell by any other event.
fn retained(
    context: &Context<'_>,
    own: Option<&str>,
    time: Option<Timestamp>,
    retention: &Field<'_>,
) -> Vec<Decoded> {
    let project = retention.get("project_name");
    let mut decoded = Vec::new();
    for artifact in retention.get("deleted_artifact").items().take(MOST_EVENTS) {
        let status = artifact.get("status").text().unwrap_or("SUCCESS");
        let name = artifact.get("name_tag");
        let named = reference::split(name.text().unwrap_or_default());
        let (Some(project), Some(tag)) = (project.text(), named.tag) else {
            continue;
        };
        if !status.eq_ignore_ascii_case("SUCCESS") {
            continue;
        }
        let repository = context.own_repository_named(&format!("{project}/{}", named.name));
        if let (Ok(repository), Ok(tag)) = (repository, tag.parse()) {
            let id = numbered(own, decoded.len());
            decoded.push(context.tag_deleted(id.as_deref(), time, repository, tag, None));
        }
    }
    decoded.push(
        context.untold("tag retention deleted artifacts, and the event names one of them at most"),
    );
    decoded
}

fn repository(context: &Context<'_>, repository: &Field<'_>) -> Result<RepositoryName, Problem> {
    let whole = repository.get("repo_full_name");
    if whole.text().is_some() {
        return context.own_repository(&whole);
    }
    let name = repository.get("name");
    let path = match repository.get("namespace").text() {
        Some(namespace) => format!("{namespace}/{}", name.required()?),
        None => name.required()?.to_owned(),
    };
    context
        .own_repository_named(&path)
        .map_err(|error| name.problem(error))
}

fn resource(
    context: &Context<'_>,
    kind: Kind,
    delivered: &Delivered<'_>,
    resource: &Field<'_>,
    first: usize,
) -> Result<Vec<Decoded>, Problem> {
    let id = |index| numbered(delivered.own, first + index);
    let digest = resource.get("digest").optional_digest()?;
    let time = delivered.time;
    let repository = delivered.repository.clone();
    let actor = delivered.actor.clone();
    match kind {
        Kind::Pushed => {
            let push = Push {
                repository,
                tag: optional_tag(&resource.get("tag"))?,
                digest,
                media_type: None,
                registry: None,
                fill: Fill {
                    actor,
                    ..Fill::default()
                },
            };
            Ok(vec![context.push(id(0).as_deref(), time, push)])
        }
        Kind::TagDeleted => {
            let tag = required_tag(&resource.get("tag"))?;
            Ok(vec![context.tag_deleted(
                id(0).as_deref(),
                time,
                repository,
                tag,
                actor,
            )])
        }
        Kind::Deleted => {
            let tag = optional_tag(&resource.get("tag"))?;
            let mut decoded = Vec::new();
            if let Some(digest) = digest {
                let body = Body::ManifestDeleted(ManifestDeleted {
                    repository: repository.clone(),
                    digest,
                    actor: actor.clone(),
                });
                decoded.push(context.event(id(0).as_deref(), time, body));
            }
            if let Some(tag) = tag {
                let id = id(decoded.len());
                decoded.push(context.tag_deleted(id.as_deref(), time, repository, tag, actor));
            }
            if decoded.is_empty() {
                return Err(resource.get("digest").missing());
            }
            Ok(decoded)
        }
        Kind::Scanned | Kind::ScanFailed | Kind::ScanStopped => {
            let digest = digest.ok_or_else(|| resource.get("digest").missing())?;
            let whole = resource.get("scan_overview");
            if !whole.first(&["scan_status", "components"]).is_absent() {
                let scan = scan(context, kind, &whole)?;
                return Ok(vec![scan.told(
                    context,
                    delivered,
                    digest,
                    id(0).as_deref(),
                )]);
            }
            let overviews: Vec<_> = whole.entries().collect();
            super::at_most(overviews.len())?;
            if overviews.is_empty() {
                return no_overview(context, kind, delivered, resource, digest, id(0).as_deref());
            }
            summaries(context, kind, delivered, &overviews, &digest, first)
        }
    }
}

/// A scan event without an overview: a failure stays one, a completion says nothing.
fn no_overview(
    context: &Context<'_>,
    kind: Kind,
    delivered: &Delivered<'_>,
    resource: &Field<'_>,
    digest: Digest,
    id: Option<&str>,
) -> Result<Vec<Decoded>, Problem> {
    let reason = match kind {
        Kind::ScanFailed => "failed",
        Kind::ScanStopped => "stopped",
        _ if !resource.get("sbom_overview").is_absent() => {
            return Ok(vec![
                context.ignored("an SBOM, not a scan for vulnerabilities"),
            ]);
        }
        _ => {
            return Err(resource.get("scan_overview").problem(
                "missing: without it the event does not say that vulnerabilities were looked for",
            ));
        }
    };
    let body = Body::ScanFailed(ScanFailed {
        digest,
        scanner: scanner(context, &resource.get("scan_overview")),
        reason: reason.into(),
    });
    Ok(vec![context.event(id, delivered.time, body)])
}

/// The scanner that an overview names; failed scans name none.
fn scanner(context: &Context<'_>, overview: &Field<'_>) -> Scanner {
    let said = overview.get("scanner");
    // Only Harbor 1.8 and 1.9 counted packages, and had no scanner but Clair.
    let usual = match overview.get("components").is_absent() {
        true => "trivy",
        false => "clair",
    };
    let assumed = context.settings().scanner.as_deref().unwrap_or(usual);
    Scanner {
        name: said
            .get("name")
            .text()
            .unwrap_or(assumed)
            .to_lowercase()
            .into(),
        version: said.get("version").short(),
        db_updated_at: None,
    }
}

/// What an overview says of one scanner.
struct Scan {
    scanner: Scanner,
    outcome: Outcome,
}

enum Outcome {
    Completed {
        counts: SeverityCounts,
        scanned_at: Option<Timestamp>,
        report_id: Option<String>,
    },
    /// The reason.
    Failed(&'static str),
    /// Why it says nothing yet.
    Unfinished(String),
}

/// The overviews of one delivery, one event for each scanner: a report in two forms is one scan.
fn summaries(
    context: &Context<'_>,
    kind: Kind,
    delivered: &Delivered<'_>,
    overviews: &[(&str, Field<'_>)],
    digest: &Digest,
    first: usize,
) -> Result<Vec<Decoded>, Problem> {
    let mut scans: Vec<Scan> = Vec::new();
    let mut decoded = Vec::new();
    for (form, overview) in overviews {
        if form.contains("sbom") {
            decoded.push(context.ignored("an SBOM, not a scan for vulnerabilities"));
            continue;
        }
        let scan = scan(context, kind, overview)?;
        match scans
            .iter_mut()
            .find(|known| known.scanner.name == scan.scanner.name)
        {
            Some(known) => known.join(scan.outcome),
            None => scans.push(scan),
        }
    }
    let told = scans.into_iter().enumerate().map(|(index, scan)| {
        let id = numbered(delivered.own, first + index);
        scan.told(context, delivered, digest.clone(), id.as_deref())
    });
    decoded.extend(told);
    Ok(decoded)
}

impl Scan {
    /// Takes in what another form of the same report says: the worse of the two.
    fn join(&mut self, other: Outcome) {
        use Outcome::{Completed, Failed, Unfinished};
        match (&mut self.outcome, other) {
            (Failed(_), _) => {}
            (_, worse @ Failed(_)) => self.outcome = worse,
            (Unfinished(_), _) => {}
            (_, worse @ Unfinished(_)) => self.outcome = worse,
            (
                Completed {
                    counts, scanned_at, ..
                },
                Completed {
                    counts: other,
                    scanned_at: at,
                    ..
                },
            ) => {
                for (severity, count) in other.0 {
                    let known = counts.0.entry(severity).or_default();
                    *known = (*known).max(count);
                }
                *scanned_at = (*scanned_at).min(at);
            }
        }
    }

    /// The scan of `digest` as an event.
    fn told(
        self,
        context: &Context<'_>,
        delivered: &Delivered<'_>,
        digest: Digest,
        id: Option<&str>,
    ) -> Decoded {
        let scanner = self.scanner;
        let (body, report_id) = match self.outcome {
            Outcome::Unfinished(why) => return context.ignored(why),
            Outcome::Failed(reason) => {
                let failed = ScanFailed {
                    digest,
                    scanner,
                    reason: reason.to_owned(),
                };
                (Body::ScanFailed(failed), None)
            }
            Outcome::Completed {
                counts,
                scanned_at,
                report_id,
            } => (
                report::counted(digest, scanner, counts, scanned_at),
                report_id,
            ),
        };
        let extra = report_id.map(|id| (REPORT_ID.to_owned(), Value::from(id)));
        context.event_with(id, delivered.time, body, extra.into_iter().collect())
    }
}

fn scan(context: &Context<'_>, kind: Kind, overview: &Field<'_>) -> Result<Scan, Problem> {
    Ok(Scan {
        scanner: scanner(context, overview),
        outcome: outcome(kind, overview)?,
    })
}

fn outcome(kind: Kind, overview: &Field<'_>) -> Result<Outcome, Problem> {
    let status = overview.get("scan_status");
    let status_word = status.text().unwrap_or_default().to_lowercase();
    match (kind, status_word.as_str()) {
        (Kind::ScanStopped, _) | (_, "stopped") => return Ok(Outcome::Failed("stopped")),
        (Kind::ScanFailed, _) | (_, "error" | "failed") => return Ok(Outcome::Failed("failed")),
        (_, "success" | "finished") => {}
        (_, "") => return Err(status.missing()),
        (_, other) => {
            return Ok(Outcome::Unfinished(format!(
                "the scan's status is `{}`: not completed",
                clip(other)
            )));
        }
    }
    let percent = overview.get("complete_percent");
    if report::is_partial(&percent) {
        return Ok(Outcome::Unfinished(format!(
            "`{}` is below 100, or no number: not all images of the index are scanned",
            percent.path()
        )));
    }
    let counts = match overview.get("components") {
        components if components.is_absent() => counts(&overview.get("summary"))?,
        components => legacy_counts(&components)?,
    };
    report::check_gravest(&counts, &overview.get("severity"))?;
    Ok(Outcome::Completed {
        counts,
        scanned_at: overview
            .first(&["end_time", "update_time", "start_time"])
            .time(),
        report_id: overview.get("report_id").string(),
    })
}

/// Counts as Harbor 1.8 and 1.9 with Clair have them: of packages, by the number of the gravest
/// severity in each. 1 is a package without any vulnerability.
fn legacy_counts(components: &Field<'_>) -> Result<SeverityCounts, Problem> {
    let summary = components.get("summary");
    if !summary.value().is_array() {
        return Err(summary.missing());
    }
    let mut packages = 0_u64;
    for one in summary.items() {
        packages = packages.saturating_add(one.get("count").count()?);
    }
    let total = components.get("total");
    if !total.is_absent() && (total.count()? == 0 || total.count()? > packages) {
        return Err(total.problem(format!(
            "not a completed scan: of {} packages it says how {packages} are",
            total.count()?
        )));
    }
    let mut counts = SeverityCounts::default();
    for one in summary.items() {
        let number = one.get("severity");
        let severity = match number.count()? {
            1 => continue,
            2 => Severity::Unknown,
            3 => Severity::Low,
            4 => Severity::Medium,
            5 => Severity::High,
            6 => Severity::Critical,
            other => return Err(number.problem(format!("`{other}` is no severity of Harbor 1.x"))),
        };
        let sum = counts.0.entry(severity).or_default();
        *sum = sum.saturating_add(one.get("count").count()?);
    }
    Ok(counts)
}

fn counts(summary: &Field<'_>) -> Result<SeverityCounts, Problem> {
    if summary.is_absent() {
        return Err(summary.missing());
    }
    let by_severity = summary.get("summary");
    if !by_severity.is_absent() && !by_severity.value().is_object() {
        return Err(by_severity.problem("expected counts by severity"));
    }
    let mut counts = SeverityCounts::default();
    for (word, count) in by_severity.entries() {
        let sum = counts.0.entry(report::severity(Some(word))).or_default();
        *sum = sum.saturating_add(count.count()?);
    }
    // Without parts it is the total that says that nothing was found.
    report::add_untold(&mut counts, &summary.get("total"))?;
    Ok(counts)
}
