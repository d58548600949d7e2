//! SARIF 2.1.0 from scanners of images: Trivy says in `properties` what it scanned, Grype in the
//! texts of its results.
//!
//! A run without results is refused: SARIF does not tell a clean image from one in which nothing was
//! recognised. Only results of vulnerabilities count, not secrets or misconfigurations.

use std::collections::{BTreeMap, BTreeSet};

use weir_schema::{Finding, Scanner, Severity};

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::report::{self, Image, Report, highest, severity, severity_of_score};
use super::{Decoded, json, purl};

/// Decodes a document: one scan per run.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    let runs = root.get("runs").each()?;
    if runs.is_empty() {
        return Err(root.get("runs").missing());
    }
    let decoded = runs.iter().map(|run| {
        let report = self::run(context, run);
        report
            .and_then(|report| report::completed(context, report))
            .unwrap_or_else(|problem| context.rejected(&problem))
    });
    Ok(decoded.collect())
}

/// Reads the first run of a document that is part of a payload.
pub(super) fn scan(context: &Context<'_>, body: &[u8]) -> Result<Report, Problem> {
    let body = json::value(body)?;
    let runs = Field::root(&body).get("runs");
    let first = runs.items().next().ok_or_else(|| runs.missing())?;
    run(context, &first)
}

fn run(context: &Context<'_>, run: &Field<'_>) -> Result<Report, Problem> {
    let driver = run.get("tool").get("driver");
    let list = driver.get("rules");
    let ids: Vec<_> = list.items().map(|rule| rule.get("id").text()).collect();
    let rules: BTreeMap<&str, Rule<'_>> = list
        .items()
        .filter_map(|rule| Some((rule.get("id").text()?, Rule::of(rule))))
        .collect();
    let tool = driver.get("name").required()?.to_lowercase();
    let results = run.get("results");
    let results: Vec<_> = results.items().collect();
    let mut findings = Vec::new();
    let mut image = image(context, run)?;
    for result in &results {
        let rule_id = result.first(&["ruleId"]).text();
        let rule_id = rule_id.or_else(|| result.get("rule").get("id").text());
        let rule_id = rule_id.or_else(|| {
            let index = result.get("ruleIndex").value().as_u64()?;
            *ids.get(usize::try_from(index).ok()?)?
        });
        let id = rule_id.ok_or_else(|| result.get("ruleId").missing())?;
        let rule = rules.get(id);
        if !result
            .get("suppressions")
            .value()
            .as_array()
            .is_none_or(Vec::is_empty)
        {
            continue;
        }
        if is_vulnerability(&tool, id, rule.map(|rule| &rule.field)) {
            findings.push(finding(id, rule, result));
            if image.candidates.is_empty() {
                image_of_result(context, result, &mut image)?;
            }
        }
    }
    if findings.is_empty() {
        let why = if results.is_empty() {
            "no results: SARIF does not tell a clean image from one in which nothing was recognised; send the scanner's JSON report"
        } else {
            "none of the results is a vulnerability"
        };
        return Err(run
            .get("results")
            .problem(format!("not a completed scan: {why}")));
    }
    Ok(Report {
        scanner: Scanner {
            name: tool,
            version: driver.first(&["version", "semanticVersion"]).string(),
            db_updated_at: None,
        },
        findings,
        licenses: BTreeSet::new(),
        scanned_at: run
            .get("invocations")
            .items()
            .find_map(|invocation| invocation.first(&["endTimeUtc", "startTimeUtc"]).time()),
        image,
    })
}

/// Trivy's properties of a run.
fn image(context: &Context<'_>, run: &Field<'_>) -> Result<Image, Problem> {
    let properties = run.get("properties");
    let mut image = Image {
        config_digest: properties.get("imageID").optional_digest()?,
        ..Image::default()
    };
    for list in ["repoDigests", "repoTags"] {
        for reference in properties.get(list).items() {
            if let Some(text) = reference.text() {
                image.reference(context, text, reference.path())?;
            }
        }
    }
    Ok(image)
}

/// Grype's "was found in image REFERENCE at: PATH", where the reference has a digest.
fn image_of_result(
    context: &Context<'_>,
    result: &Field<'_>,
    image: &mut Image,
) -> Result<(), Problem> {
    let message = result.get("message").get("text");
    let text = message.text().unwrap_or_default();
    let Some((_, rest)) = text.split_once(" found in image ") else {
        return Ok(());
    };
    let reference = rest.split(' ').next().unwrap_or_default();
    if reference.contains("@sha") {
        image.reference(context, reference, message.path())?;
    }
    Ok(())
}

/// Whether a result is a vulnerability in a package.
fn is_vulnerability(tool: &str, id: &str, rule: Option<&Field<'_>>) -> bool {
    let name = rule
        .and_then(|rule| rule.get("name").text())
        .unwrap_or_default();
    let tagged = rule.is_some_and(|rule| {
        let tags = rule.get("properties").get("tags");
        tags.items().any(|tag| tag.text() == Some("vulnerability"))
    });
    let known = [
        "ALAS",
        "ALSA-",
        "CGA-",
        "CVE-",
        "DLA-",
        "DSA-",
        "ELSA-",
        "GHSA-",
        "GMS-",
        "GO-",
        "MAL-",
        "NSWG-",
        "OSV-",
        "PYSEC-",
        "RHSA-",
        "RLSA-",
        "RUSTSEC-",
        "SNYK-",
        "SUSE-",
        "TEMP-",
        "USN-",
        "openSUSE-",
    ];
    tool == "grype"
        || tagged
        || name.ends_with("Vulnerability")
        || known.iter().any(|prefix| id.starts_with(prefix))
}

/// A rule, and what its text says: many results may have one rule.
struct Rule<'a> {
    field: Field<'a>,
    help: Labels<'a>,
}

impl<'a> Rule<'a> {
    fn of(field: Field<'a>) -> Self {
        let help = field.get("help").get("text");
        Self {
            help: Labels::of(help.text().unwrap_or_default()),
            field,
        }
    }
}

fn finding(id: &str, rule: Option<&Rule<'_>>, result: &Field<'_>) -> Finding {
    let message = result.get("message").get("text");
    let message = Labels::of(message.text().unwrap_or_default());
    let help = rule.map(|rule| &rule.help);
    let line = |names: &[&str]| {
        let mut texts = [Some(&message), help].into_iter().flatten();
        let found = texts.find_map(|text| names.iter().find_map(|name| text.get(name)));
        found.map(str::to_owned)
    };
    let rule = rule.map(|rule| &rule.field);
    let score = rule.and_then(|rule| rule.get("properties").get("security-severity").number());
    let score = highest(score);
    let (package, found_version) = match line(&["Package"]) {
        // Docker Scout names packages by their URL.
        Some(text) => match purl::parse(&text) {
            Some(purl) => (Some(purl.package()), purl.version),
            None => (Some(text), None),
        },
        None => match named_by_rule(rule) {
            (None, _) => named_by_place(result),
            named => named,
        },
    };
    // Grype's rules are one per vulnerability and package.
    let id = match (line(&["Vulnerability"]), &package) {
        (Some(vulnerability), _) => vulnerability,
        (None, Some(package)) => id
            .strip_suffix(&format!("-{package}"))
            .unwrap_or(id)
            .to_owned(),
        (None, None) => id.to_owned(),
    };
    Finding {
        severity: severity_of(rule, result, line(&["Severity"]).as_deref(), score).max(title(rule)),
        id,
        package,
        version: line(&["Installed Version", "Version"]).or(found_version),
        fixed_version: line(&["Fixed Version", "Fixed version", "Fix Version"])
            .filter(|version| version != "not fixed"),
        score,
        layer: None,
    }
}

/// The package in a rule's own properties: Docker Scout's `purls`.
fn named_by_rule(rule: Option<&Field<'_>>) -> (Option<String>, Option<String>) {
    let Some(purls) = rule.map(|rule| rule.get("properties").get("purls")) else {
        return (None, None);
    };
    let first = purls.items().next();
    let purl = first.as_ref().and_then(Field::text).and_then(purl::parse);
    purl.map_or((None, None), |purl| (Some(purl.package()), purl.version))
}

/// The package in the place of a result: Snyk's `NAME@VERSION`.
fn named_by_place(result: &Field<'_>) -> (Option<String>, Option<String>) {
    let places: Vec<_> = result.get("locations").items().collect();
    let named = places.iter().find_map(|place| {
        let names: Vec<_> = place.get("logicalLocations").items().collect();
        let name = names.first()?.get("fullyQualifiedName").text()?;
        let (package, version) = name.rsplit_once('@')?;
        (!package.is_empty()).then(|| (package.to_owned(), version.to_owned()))
    });
    named.map_or((None, None), |(package, version)| {
        (Some(package), Some(version))
    })
}

/// The severity in a rule's title: Snyk's `Critical severity - ...`. Its levels know only three, and a
/// score is not always there.
fn title(rule: Option<&Field<'_>>) -> Severity {
    let title = rule.map(|rule| rule.get("shortDescription").get("text"));
    let title = title.as_ref().and_then(Field::text).unwrap_or_default();
    match title.split_once(" severity - ") {
        Some((word, _)) => severity(Some(word)),
        None => Severity::Unknown,
    }
}

/// The severity as the scanner's text says it; else by tag, score and level.
fn severity_of(
    rule: Option<&Field<'_>>,
    result: &Field<'_>,
    word: Option<&str>,
    score: Option<f64>,
) -> Severity {
    let tags = rule.map(|rule| rule.get("properties").get("tags"));
    let tagged = tags
        .iter()
        .flat_map(Field::items)
        .map(|tag| severity(tag.text()))
        .max();
    let by_level = match result.get("level").text() {
        Some("error") => Severity::High,
        Some("warning") => Severity::Medium,
        Some("note") => Severity::Low,
        _ => Severity::Unknown,
    };
    match word {
        Some(word) => severity(Some(word)),
        None => match tagged.filter(|said| *said != Severity::Unknown) {
            Some(said) => said,
            None => score.map_or(by_level, severity_of_score),
        },
    }
}

/// The lines `NAME: VALUE` of a text (or `NAME VALUE` for Trivy's and Grype's "Vulnerability ID").
struct Labels<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Labels<'a> {
    /// They stand first; what follows is prose.
    const LINES: usize = 32;

    fn of(text: &'a str) -> Self {
        let lines = text.lines().take(Self::LINES).filter_map(|line| {
            let line = line.trim();
            let (name, value) = match line.split_once(':') {
                // Docker Scout lines the colons up.
                Some((name, value)) => (name.trim_end(), value.trim_start()),
                None => line
                    .split_once(' ')
                    .filter(|(name, id)| *name == "Vulnerability" && !id.contains(' '))?,
            };
            (!value.is_empty()).then_some((name, value))
        });
        Self(lines.collect())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(label, _)| *label == name);
        found.map(|(_, value)| *value)
    }
}
