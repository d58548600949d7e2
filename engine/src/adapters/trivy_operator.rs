//! The Trivy operator's `VulnerabilityReport` of Kubernetes: as the resource itself, or within what
//! the operator's webhook sends (`verb` and `operatorObject`).
//!
//! It is about the image of one container, named by digest where the workload names it so, else by
//! tag; beside a tag the operator writes the digest of the image's configuration. Without findings, the
//! operating system that it recognised is what proves that it saw packages, if Trivy has data of it. A deletion of a report takes nothing back.

use std::collections::BTreeSet;

use weir_schema::{Finding, Scanner, Severity};

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::report::{self, Image, Report, highest, severity};
use super::{Decoded, clip, json, systems};

/// Decodes a resource, a list of them, or a webhook's body.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    let wrapped = root.get("operatorObject");
    let resource = if wrapped.is_absent() {
        root.clone()
    } else {
        wrapped
    };
    if let Some(verb) = root.get("verb").text().filter(|verb| *verb == "delete") {
        let reason = format!("the verb `{verb}`: a report that is gone takes nothing back");
        return Ok(vec![context.ignored(reason)]);
    }
    // What is in a resource's `report`, by itself.
    if resource.get("kind").is_absent() && !resource.get("artifact").is_absent() {
        let report = report(context, &resource)?;
        return Ok(vec![report::completed(context, report)?]);
    }
    let items = resource.get("items");
    if !items.value().is_array() {
        return Ok(vec![self::resource(context, &resource)?]);
    }
    let each = items.each()?;
    let each = each.iter().map(|item| {
        self::resource(context, item).unwrap_or_else(|problem| context.rejected(&problem))
    });
    Ok(each.collect())
}

fn resource(context: &Context<'_>, resource: &Field<'_>) -> Result<Decoded, Problem> {
    let kind = resource.get("kind").text().unwrap_or_default();
    if !matches!(kind, "VulnerabilityReport" | "ClusterVulnerabilityReport") {
        let reason = format!(
            "the operator's `{}` is no scan for vulnerabilities",
            clip(kind)
        );
        return Ok(context.ignored(reason));
    }
    let report = report(context, &resource.get("report"))?;
    report::completed(context, report)
}

fn report(context: &Context<'_>, report: &Field<'_>) -> Result<Report, Problem> {
    let list = report.get("vulnerabilities");
    if !list.value().is_array() {
        return Err(list.missing());
    }
    let findings = list
        .items()
        .map(|vulnerability| finding(&vulnerability))
        .collect::<Result<Vec<_>, _>>()?;
    let family = report.get("os").get("family");
    let release = report.get("os").get("name");
    match family.text().filter(|family| *family != "none") {
        None if !findings.is_empty() => {}
        None => {
            return Err(report.get("os").problem(
                "not a completed scan: nothing recognised in the image (no vulnerabilities, and no `family`)",
            ));
        }
        // Findings in libraries say nothing of the system's packages.
        Some(name) if !systems::has_data(name) && !list.items().any(|one| is_of_system(&one)) => {
            return Err(family.problem(format!(
                "not a completed scan: Trivy has no data of `{}`",
                clip(name)
            )));
        }
        Some(name) if systems::is_unreleased(name, release.text().unwrap_or_default()) => {
            return Err(release.problem(format!(
                "not a completed scan: Trivy has no data of this release of {}",
                clip(name)
            )));
        }
        Some(_) => {}
    }
    contradiction(&report.get("summary"), &findings)?;
    let said = report.get("scanner");
    Ok(Report {
        scanner: Scanner {
            name: said
                .get("name")
                .text()
                .unwrap_or("trivy")
                .to_lowercase()
                .into(),
            version: said.get("version").short(),
            db_updated_at: None,
        },
        findings,
        licenses: BTreeSet::new(),
        scanned_at: report.get("updateTimestamp").time(),
        image: image(context, report)?,
        failed: None,
    })
}

/// Whether a vulnerability is one of the operating system's packages. Older versions do not say.
fn is_of_system(vulnerability: &Field<'_>) -> bool {
    vulnerability.get("class").text() == Some("os-pkgs")
}

/// Refuses a report whose summary counts more than it lists.
fn contradiction(summary: &Field<'_>, findings: &[Finding]) -> Result<(), Problem> {
    let counts = [
        ("criticalCount", Severity::Critical),
        ("highCount", Severity::High),
        ("mediumCount", Severity::Medium),
        ("lowCount", Severity::Low),
        ("unknownCount", Severity::Unknown),
    ];
    for (name, severity) in counts {
        let count = summary.get(name);
        let listed = findings.iter().filter(|one| one.severity == severity);
        if count.number().unwrap_or(0.0) > listed.count() as f64 {
            return Err(count.problem("more than the report lists"));
        }
    }
    Ok(())
}

fn image(context: &Context<'_>, report: &Field<'_>) -> Result<Image, Problem> {
    let artifact = report.get("artifact");
    let repository = artifact.get("repository");
    let name = match report.get("registry").get("server").text() {
        Some(server) => format!("{server}/{}", repository.required()?),
        None => repository.required()?.to_owned(),
    };
    let mut image = Image::default();
    let digest = artifact.get("digest").optional_digest()?;
    if let Some(tag) = artifact.get("tag").text() {
        image.reference(context, &format!("{name}:{tag}"), artifact.path())?;
        // Trivy's `ImageID` (aquasecurity/trivy-operator#2259). Should it ever be a manifest, it is
        // a candidate.
        image.config_digest.clone_from(&digest);
    }
    if let Some(digest) = digest {
        image.candidate(digest);
    }
    Ok(image)
}

fn finding(vulnerability: &Field<'_>) -> Result<Finding, Problem> {
    Ok(Finding {
        id: vulnerability.get("vulnerabilityID").required()?.into(),
        severity: severity(vulnerability.get("severity").text()),
        package: vulnerability.get("resource").short(),
        version: vulnerability.get("installedVersion").short(),
        fixed_version: vulnerability.get("fixedVersion").short(),
        score: highest(vulnerability.get("score").number()),
        layer: None,
    })
}
