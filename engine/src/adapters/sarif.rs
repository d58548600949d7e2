//! SARIF 2.1.0 from scanners of images: Trivy says in `properties` what it scanned, Grype in the
//! texts of its results. Which runs are one scan, and whether it is one, is told in `sarif_scan`.
//!
//! A run without a list of results is none that found nothing, and ends the whole document. Only results
//! of vulnerabilities count, not secrets or misconfigurations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use weir_schema::{Finding, Scanner};

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::report::{self, Image, Report};
use super::sarif_result::{
    Rule, finding, is_of_another_kind, is_vulnerability, others_named_by_id, tells_of_several,
};
use super::sarif_scan::{self, Scan};
use super::{Decoded, json};

/// Decodes a document: one scan for each tool and image.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let told = told(context, &Field::root(&body))?;
    let scanned = told.iter().filter(|told| told.report.is_ok());
    let scanned: BTreeSet<_> = scanned.map(|told| told.tool.clone()).collect();
    let decoded = told.into_iter().map(|told| {
        // JFrog's scanner of secrets beside the one of packages takes nothing from what that found.
        let is_beside = told.is_of_else && scanned.iter().any(|tool| *tool != told.tool);
        let completed = told
            .report
            .and_then(|report| report::completed(context, report));
        completed.unwrap_or_else(|problem| match is_beside {
            true => context.ignored(problem.to_string()),
            false => context.rejected(&problem),
        })
    });
    Ok(decoded.collect())
}

/// What one tool says of one image.
struct Told {
    tool: String,
    /// It found something, and nothing that counts as a vulnerability.
    is_of_else: bool,
    /// The scan, or why there is none.
    report: Result<Report, Problem>,
}

/// Reads the one scan of a document that is part of a payload. What other tools looked for is let be;
/// what the same tool looked at and is no scan is not.
pub(super) fn scan(context: &Context<'_>, body: &[u8]) -> Result<Report, Problem> {
    let body = json::value(body)?;
    let root = Field::root(&body);
    let (mut reports, mut problems) = (Vec::new(), Vec::new());
    for told in told(context, &root)? {
        match told.report {
            Ok(report) => reports.push(report),
            Err(problem) => problems.push((told.tool, problem)),
        }
    }
    let only = reports.pop();
    if !reports.is_empty() {
        return Err(root
            .get("runs")
            .problem("scans of several tools or images: which of them is meant is not said"));
    }
    let in_the_way = problems.into_iter().find(|(tool, _)| {
        let of_scan = only.as_ref().map(|report| &report.scanner.name);
        of_scan.is_none_or(|name| name == tool)
    });
    match (only, in_the_way) {
        (_, Some((_, problem))) => Err(problem),
        (Some(report), None) => Ok(report),
        (None, None) => Err(root.get("runs").missing()),
    }
}

/// What the tools of a document say. If a run cannot be read, what the others found is not all.
fn told(context: &Context<'_>, root: &Field<'_>) -> Result<Vec<Told>, Problem> {
    let runs = root.get("runs").each()?;
    if runs.is_empty() {
        return Err(root.get("runs").missing());
    }
    for properties in root.get("inlineExternalProperties").list()? {
        check_within(&properties.get("results"))?;
    }
    let mut tools: Vec<(String, Vec<Scan<'_>>)> = Vec::new();
    for run in &runs {
        let scan = self::run(context, run)?;
        let name = &scan.read.scanner.name;
        match tools.iter_mut().find(|(tool, _)| tool == name) {
            Some((_, of_tool)) => of_tool.push(scan),
            None => tools.push((name.to_string(), vec![scan])),
        }
    }
    let is_of_one_image = context.subject()?.is_some();
    let mut told = Vec::new();
    for (tool, runs) in tools {
        let one = |is_of_else, report| Told {
            tool: tool.clone(),
            is_of_else,
            report,
        };
        match sarif_scan::joined(&tool, runs, is_of_one_image) {
            Ok(scans) => told.extend(
                scans
                    .into_iter()
                    .map(|scan| one(scan.is_of_else(), scan.report())),
            ),
            Err(problem) => told.push(one(false, Err(problem))),
        }
    }
    Ok(told)
}

/// Refuses a run that tells of an error: of the level `error` is what halted the analysis or made its
/// results wrong or incomplete, even where it was successful (SARIF 2.1.0, section 3.58.6).
fn check_notifications(invocations: &[Field<'_>]) -> Result<(), Problem> {
    for invocation in invocations {
        for kind in [
            "toolExecutionNotifications",
            "toolConfigurationNotifications",
        ] {
            let notifications = invocation.get(kind).list()?;
            let levels = notifications.iter().map(|one| one.get("level"));
            if let Some(level) = levels
                .into_iter()
                .find(|level| level.text() == Some("error"))
            {
                return Err(level.problem(
                    "not a completed scan: the run tells of an error, so that its results may be wrong or incomplete",
                ));
            }
        }
    }
    Ok(())
}

fn run<'a>(context: &Context<'_>, run: &Field<'a>) -> Result<Scan<'a>, Problem> {
    let invocations = run.get("invocations").list()?;
    if let Some(failed) = invocations
        .iter()
        .map(|invocation| invocation.get("executionSuccessful"))
        .find(|successful| !successful.is_absent() && *successful.value() != Value::Bool(true))
    {
        return Err(failed.problem(
            "not a completed scan: the run failed, or does not say `true` that it did not",
        ));
    }
    check_notifications(&invocations)?;
    let driver = run.get("tool").get("driver");
    let list = driver.get("rules");
    let extensions: Vec<_> = run.get("tool").get("extensions").items().collect();
    let others = extensions.iter().flat_map(|extension| {
        let rules: Vec<_> = extension.get("rules").items().collect();
        rules
    });
    let by_index: Vec<_> = list.items().map(Rule::of).collect();
    let rules: BTreeMap<&str, Rule<'_>> = others
        .chain(list.items())
        .filter_map(|rule| Some((rule.get("id").text()?, Rule::of(rule))))
        .collect();
    let tool = driver.get("name").required()?.to_lowercase();
    let all = run.get("results");
    if !all.value().is_array() {
        return Err(all.problem(
            "not a completed scan: no list of results, which a run has that looked for some",
        ));
    }
    check_within(
        &run.get("externalPropertyFileReferences")
            .object()?
            .get("results"),
    )?;
    let results: Vec<_> = all.items().collect();
    let mut image = image(context, run)?;
    let is_named_by_run = !image.candidates.is_empty();
    let (mut findings, mut graded) = (Vec::new(), false);
    let mut is_of_packages = false;
    for result in results.iter().filter(|result| counts(result)) {
        let rule_id = result.first(&["ruleId"]).text();
        let rule_id = rule_id.or_else(|| result.get("rule").get("id").text());
        let index = result.get("ruleIndex").value().as_u64();
        let indexed = index.and_then(|index| by_index.get(usize::try_from(index).ok()?));
        let own_id = indexed.and_then(|rule| rule.field.get("id").text());
        let id = rule_id
            .or(own_id)
            .ok_or_else(|| result.get("ruleId").missing())?;
        // Of several rules with one identifier the index tells which.
        let rule = indexed
            .filter(|_| own_id == Some(id))
            .or_else(|| rules.get(id));
        if is_of_another_kind(id, rule.map(|rule| &rule.field)) {
            continue;
        }
        is_of_packages |= is_vulnerability(&tool, id, rule.map(|rule| &rule.field));
        let message = result.get("message").get("text");
        if tells_of_several(message.text().unwrap_or_default()) {
            return Err(message.problem(
                "one result tells of several vulnerabilities: send the scanner's JSON report, or let it write one result for each",
            ));
        }
        let (finding, is_graded) = finding(id, rule, result);
        graded |= is_graded;
        let others = others_named_by_id(&finding.id, id);
        findings.extend(others.map(|id| Finding {
            id: id.into(),
            ..finding.clone()
        }));
        findings.push(finding);
        if !is_named_by_run {
            image_of_result(context, result, &mut image)?;
        }
    }
    // Where vulnerabilities are found, an identifier that is not known is one too.
    if !is_of_packages {
        findings.clear();
    }
    Ok(Scan {
        without_results: results.is_empty().then(|| all.clone()),
        is_empty: results.is_empty(),
        results: all,
        graded,
        read: Report {
            scanner: Scanner {
                name: tool.into(),
                version: driver.first(&["version", "semanticVersion"]).short(),
                db_updated_at: None,
            },
            findings,
            licenses: BTreeSet::new(),
            scanned_at: invocations
                .iter()
                .find_map(|invocation| invocation.first(&["endTimeUtc", "startTimeUtc"]).time()),
            image,
            failed: None,
        },
    })
}

/// Refuses results that are somewhere else than in their run: `elsewhere` says where.
fn check_within(elsewhere: &Field<'_>) -> Result<(), Problem> {
    match elsewhere.list()?.is_empty() {
        true => Ok(()),
        false => Err(elsewhere.problem(
            "not a completed scan: results in another place than their run are not read; send them in one file, in `results` of the run",
        )),
    }
}

/// Whether a result tells of a problem that is there: not that a rule found none or was not asked
/// (SARIF 2.1.0, 3.27.9), nor of one that an earlier run had (3.27.24).
fn counts(result: &Field<'_>) -> bool {
    let kind = result.get("kind").text();
    let baseline = result.get("baselineState").text();
    !matches!(kind, Some("pass" | "notApplicable"))
        && baseline != Some("absent")
        && !is_suppressed(result)
}

/// Whether a result is suppressed: one suppression that is rejected, or under review, and it is not
/// (SARIF 2.1.0, 3.27.23).
fn is_suppressed(result: &Field<'_>) -> bool {
    let suppressions: Vec<_> = result.get("suppressions").items().collect();
    !suppressions.is_empty()
        && suppressions.iter().all(|suppression| {
            let status = suppression.get("status").text();
            status.is_none_or(|status| status == "accepted")
        })
}

/// Trivy's properties of a run.
fn image(context: &Context<'_>, run: &Field<'_>) -> Result<Image, Problem> {
    let properties = run.get("properties");
    let mut image = Image {
        config_digest: properties.get("imageID").optional_digest()?,
        ..Image::default()
    };
    image.given(properties.get("imageName").text());
    for list in ["repoDigests", "repoTags"] {
        for reference in properties.get(list).items() {
            if let Some(text) = reference.text() {
                image.reference(context, text, reference.path())?;
            }
        }
    }
    Ok(image)
}

/// The image that a result names by its digest: Grype's "was found in image REFERENCE at: PATH", in
/// older versions `REFERENCE@LAYER:PATH` as the place; in older versions of Snyk `NAME@sha256_HEX`.
fn image_of_result(
    context: &Context<'_>,
    result: &Field<'_>,
    image: &mut Image,
) -> Result<(), Problem> {
    let message = result.get("message").get("text");
    let text = message.text().unwrap_or_default();
    if let Some((_, rest)) = text.split_once(" found in image ") {
        let reference = rest.split(' ').next().unwrap_or_default();
        image.given(Some(reference));
        return match reference.contains("@sha") {
            true => image.reference(context, reference, message.path()),
            false => Ok(()),
        };
    }
    let Some(place) = result.get("locations").items().next() else {
        return Ok(());
    };
    for name in place.get("logicalLocations").items() {
        let name = name.get("fullyQualifiedName");
        let text = name.text().unwrap_or_default();
        // With one digest alone it is that of the layer.
        if let Some((reference, layer)) = text.rsplit_once("@sha256:")
            && reference.contains("@sha256:")
            && layer.contains(":/")
        {
            image.given(Some(reference));
            image.reference(context, reference, name.path())?;
        }
    }
    let place = place.get("physicalLocation").get("artifactLocation");
    let uri = place.get("uri");
    if let Some(text) = uri.text().filter(|text| text.contains("@sha256_")) {
        let reference = text.replacen("@sha256_", "@sha256:", 1);
        image.given(Some(&reference));
        image.reference(context, &reference, uri.path())?;
    }
    Ok(())
}
