//! Reports of Harbor's scanner adapters (`application/vnd.security.vulnerability.report`), as the
//! adapter gives them or, keyed by media type, as Harbor's API does.
//!
//! The adapter's form names what was scanned (`artifact.digest`); the API's form only says of each
//! vulnerability which images have it (`artifact_digests`): one scan per image named. A clean
//! report in the API's form names nothing and is refused, unless the sender says what it is about.

use std::collections::{BTreeMap, BTreeSet};

use weir_schema::{Digest, Finding, Scanner, Severity};

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::report::{self, Image, Report, highest, severity};
use super::{Decoded, json};

/// Decodes a report.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    let keyed: Vec<_> = root
        .entries()
        .filter(|(name, _)| name.starts_with("application/vnd."))
        .collect();
    if keyed.is_empty() {
        return report(context, &root);
    }
    let mut decoded = Vec::new();
    for (_, report) in &keyed {
        decoded.extend(self::report(context, report)?);
    }
    // One scan in several forms.
    if super::contradict(&decoded) {
        return Err(Problem::meaning(
            "its reports of one scan differ: which of them is true is not said",
        ));
    }
    Ok(decoded)
}

fn report(context: &Context<'_>, report: &Field<'_>) -> Result<Vec<Decoded>, Problem> {
    let said = report.get("scanner");
    let scanner = Scanner {
        name: said.get("name").required()?.to_lowercase().into(),
        version: said.get("version").short(),
        db_updated_at: None,
    };
    if let Some(sbom) = ["sbom", "media_type"].iter().find_map(|name| {
        let field = report.get(name);
        (!field.is_absent()).then_some(field)
    }) {
        return Err(sbom.problem("an SBOM is not a scan"));
    }
    // An overview of a scan, and of an index the sum of those that are done.
    let status = report.get("scan_status");
    if !status.is_absent()
        && !status
            .text()
            .is_some_and(|word| word.eq_ignore_ascii_case("success"))
    {
        return Err(status.problem("not a completed scan: its status is not `Success`"));
    }
    let percent = report.get("complete_percent");
    if report::is_partial(&percent) {
        return Err(
            percent.problem("not a completed scan: not all images of the index are scanned")
        );
    }
    let list = report.get("vulnerabilities");
    let overall = report.get("severity");
    let gravest = severity(overall.optional()?);
    if !list.is_absent() && !list.value().is_array() {
        return Err(list.problem("not a list"));
    }
    if list.is_absent() && overall.is_absent() {
        return Err(list.missing());
    }
    // Without vulnerabilities it is the whole's severity that says that nothing was found. (That of a
    // list need not be among those listed: published reports have such.)
    if list.items().next().is_none() && gravest != Severity::Unknown {
        return Err(overall.problem("says that something was found, and nothing is listed"));
    }
    let whole = report.get("artifact").get("digest").optional_digest()?;

    let mut findings = Vec::new();
    let mut by_image: BTreeMap<Digest, Vec<Finding>> = BTreeMap::new();
    let mut anywhere = Vec::new();
    for vulnerability in list.items() {
        let finding = finding(&vulnerability)?;
        let digests = vulnerability.get("artifact_digests");
        if digests.items().next().is_none() {
            anywhere.push(finding.clone());
        }
        for digest in digests.items() {
            by_image
                .entry(digest.digest()?)
                .or_default()
                .push(finding.clone());
        }
        findings.push(finding);
    }
    // What is said of no image may be in each.
    for findings in by_image.values_mut() {
        findings.extend(anywhere.iter().cloned());
    }
    super::at_most(by_image.len())?;
    let scanned_at = report.get("generated_at").time();
    let one = |findings, digest: Option<Digest>| {
        let report = Report {
            scanner: scanner.clone(),
            findings,
            licenses: BTreeSet::new(),
            scanned_at,
            image: Image {
                // Harbor's adapters are told the digest, and repeat it.
                given: digest.iter().cloned().collect(),
                manifest: digest,
                ..Image::default()
            },
            failed: None,
        };
        report::completed(context, report)
    };
    if whole.is_some() || by_image.is_empty() || context.header(report::SUBJECT_HEADER).is_some() {
        return Ok(vec![one(findings, whole)?]);
    }
    let scans = by_image
        .into_iter()
        .map(|(digest, findings)| one(findings, Some(digest)));
    scans.collect()
}

fn finding(vulnerability: &Field<'_>) -> Result<Finding, Problem> {
    let cvss = vulnerability.get("preferred_cvss");
    let layer = vulnerability.get("layer");
    Ok(Finding {
        id: vulnerability.get("id").required()?.into(),
        severity: severity(vulnerability.get("severity").optional()?),
        package: vulnerability.get("package").short(),
        version: vulnerability.get("version").short(),
        fixed_version: vulnerability
            .first(&["fix_version", "fixed_version"])
            .short(),
        score: score(&cvss, &vulnerability.get("vendor_attributes").get("CVSS")),
        layer: layer.first(&["digest", "diff_id"]).short(),
    })
}

/// The highest score, of CVSS 2 only where there is no later one. Harbor's own field is mostly empty:
/// then it is among the vendor's, by whose name the scanner likes.
fn score(preferred: &Field<'_>, by_vendor: &Field<'_>) -> Option<f64> {
    let vendors: Vec<_> = by_vendor.entries().map(|(_, scores)| scores).collect();
    let all = || std::iter::once(preferred).chain(&vendors);
    let named = |names: &[&str]| highest(all().filter_map(|one| one.first(names).number()));
    named(&["score_v3", "V3Score"]).or_else(|| named(&["score_v2", "V2Score"]))
}
