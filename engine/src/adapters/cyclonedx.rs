//! CycloneDX with vulnerabilities, from a scanner or as VEX.
//!
//! Without vulnerabilities it is an SBOM, and an SBOM is not a scan: Trivy writes an empty list also
//! when it did not look. A vulnerability that the document's author has analysed away
//! (`not_affected`, `false_positive`, `resolved`) is an override, not a finding: in the image that the
//! document is about, or of a package anywhere if it is about nothing else.

use std::collections::{BTreeMap, BTreeSet};

use weir_schema::{Digest, Finding, Scanner, Severity};

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::purl;
use super::report::{self, Image, Report, highest, severity, severity_of_score};
use super::vex::{self, Scope, Statement, Verdict};
use super::{Decoded, clip, json};

/// Decodes a document.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    let image = image(context, &root)?;
    let list: Vec<_> = root.get("vulnerabilities").items().collect();
    if list.is_empty() {
        return Err(Problem::meaning(
            "an SBOM is not a scan: no `vulnerabilities` (a document without any does not say that somebody looked)",
        ));
    }
    let (stated, open): (Vec<_>, Vec<_>) = list
        .into_iter()
        .partition(|vulnerability| analysed(vulnerability).is_some());

    let mut decoded = overrides(context, &root, &image, &stated)?;
    let is_of_image = image.manifest.is_some()
        || image.config_digest.is_some()
        || !image.candidates.is_empty()
        || context.header(report::SUBJECT_HEADER).is_some();
    if stated.is_empty() || is_of_image {
        let report = report(&root, image, &open)?;
        decoded.push(report::completed(context, report)?);
    } else if !open.is_empty() {
        decoded.push(context.ignored(
            "vulnerabilities without an analysis that ends them, in a document that names no image",
        ));
    }
    Ok(decoded)
}

/// Reads a document that is the result of a scan.
pub(super) fn scan(context: &Context<'_>, body: &[u8]) -> Result<Report, Problem> {
    let body = json::value(body)?;
    let root = Field::root(&body);
    let list: Vec<_> = root.get("vulnerabilities").items().collect();
    if list.is_empty() {
        return Err(Problem::meaning(
            "an SBOM is not a scan: no `vulnerabilities`",
        ));
    }
    let open: Vec<_> = list
        .into_iter()
        .filter(|one| analysed(one).is_none())
        .collect();
    report(&root, image(context, &root)?, &open)
}

/// The state of an analysis that ends a vulnerability.
fn analysed<'a>(vulnerability: &Field<'a>) -> Option<&'a str> {
    let state = vulnerability.get("analysis").get("state").text()?;
    let ends = [
        "not_affected",
        "false_positive",
        "resolved",
        "resolved_with_pedigree",
    ];
    ends.contains(&state).then_some(state)
}

fn report(root: &Field<'_>, image: Image, open: &[Field<'_>]) -> Result<Report, Problem> {
    let components = components(root);
    let mut findings = Vec::new();
    for vulnerability in open {
        findings.extend(self::findings(vulnerability, &components)?);
    }
    let licenses = all_components(root).into_iter();
    let licenses = licenses.flat_map(|component| licenses_of(&component));
    Ok(Report {
        scanner: scanner(root),
        findings,
        licenses: licenses.collect(),
        scanned_at: root.get("metadata").get("timestamp").time(),
        image,
    })
}

/// The tool: an object with `components` since 1.5, a list before.
fn scanner(root: &Field<'_>) -> Scanner {
    let tools = root.get("metadata").get("tools");
    let tool = tools
        .get("components")
        .items()
        .next()
        .or_else(|| tools.items().next());
    let text = |name: &str| tool.as_ref().and_then(|tool| tool.get(name).string());
    Scanner {
        name: text("name").map_or_else(|| "cyclonedx".into(), |name| name.to_lowercase()),
        version: text("version").filter(|version| !version.starts_with('[')),
        db_updated_at: None,
    }
}

/// What the document says of the image: Trivy in properties and the package URL, Grype as the
/// component's version.
fn image(context: &Context<'_>, root: &Field<'_>) -> Result<Image, Problem> {
    let component = root.get("metadata").get("component");
    let mut image = Image::default();
    for property in component.get("properties").items() {
        let value = property.get("value");
        match (
            property.get("name").text().unwrap_or_default(),
            value.text(),
        ) {
            ("aquasecurity:trivy:ImageID", Some(_)) => image.config_digest = Some(value.digest()?),
            ("aquasecurity:trivy:RepoDigest" | "aquasecurity:trivy:RepoTag", Some(text)) => {
                image.reference(context, text, value.path())?;
            }
            _ => {}
        }
    }
    let url = component.get("purl");
    if let Some(purl) = url
        .text()
        .and_then(purl::parse)
        .filter(purl::Purl::is_image)
        && let Some(digest) = purl.digest().map_err(|error| url.problem(error))?
    {
        image.candidate(digest);
    }
    let version = component.get("version");
    if component.get("type").text() == Some("container")
        && let Some(text) = version.text().filter(|text| text.starts_with("sha256:"))
    {
        let digest: Digest = text.parse().map_err(|error| version.problem(error))?;
        image.candidate(digest);
    }
    Ok(image)
}

/// The components, and those within them.
fn all_components<'a>(root: &Field<'a>) -> Vec<Field<'a>> {
    let mut all: Vec<_> = root.get("components").items().collect();
    let mut next = 0;
    while let Some(component) = all.get(next) {
        let within: Vec<_> = component.get("components").items().collect();
        all.extend(within);
        next += 1;
    }
    all
}

/// Name and version of the components, by their reference.
fn components<'a>(root: &Field<'a>) -> BTreeMap<&'a str, (Option<String>, Option<String>)> {
    let named = all_components(root).into_iter().filter_map(|component| {
        let reference = component.get("bom-ref").text()?;
        Some((reference, package(&component)))
    });
    named.collect()
}

fn package(component: &Field<'_>) -> (Option<String>, Option<String>) {
    let name = component.get("name").text();
    let purl = component.get("purl").text().and_then(purl::parse);
    let name = match (purl, component.get("group").text(), name) {
        (Some(purl), ..) => Some(purl.package()),
        (None, Some(group), Some(name)) => Some(format!("{group}/{name}")),
        (None, None, name) => name.map(str::to_owned),
        (None, Some(_), None) => None,
    };
    (name, component.get("version").string())
}

/// A vulnerability in each package that it affects.
fn findings(
    vulnerability: &Field<'_>,
    components: &BTreeMap<&str, (Option<String>, Option<String>)>,
) -> Result<Vec<Finding>, Problem> {
    let id = vulnerability.get("id").required()?.to_owned();
    let ratings: Vec<_> = vulnerability.get("ratings").items().collect();
    // EPSS and others are ratings of another kind, with a `method` of their own.
    let cvss = || {
        ratings.iter().filter(|rating| {
            rating
                .get("method")
                .text()
                .is_none_or(|method| method.starts_with("CVSS"))
        })
    };
    let score = highest(cvss().filter_map(|rating| rating.get("score").number()));
    let said = ratings
        .iter()
        .map(|rating| severity(rating.get("severity").text()))
        .max();
    let severity = match said {
        Some(said) if said != Severity::Unknown => said,
        _ => score.map_or(Severity::Unknown, severity_of_score),
    };
    let recommended = vulnerability.get("recommendation").text();
    let fixed_version = recommended.and_then(|text| {
        // Trivy's "Upgrade openssl to version 3.0.13-1".
        let (_, version) = text.strip_prefix("Upgrade ")?.split_once(" to version ")?;
        version.split([';', ' ', ',']).next().map(str::to_owned)
    });
    let finding = |package: Option<String>, version: Option<String>| Finding {
        id: id.clone(),
        severity,
        package,
        version,
        fixed_version: fixed_version.clone(),
        score,
        layer: None,
    };
    let affected: Vec<_> = vulnerability.get("affects").items().collect();
    if affected.is_empty() {
        return Ok(vec![finding(None, None)]);
    }
    let findings = affected.iter().map(|affected| {
        let reference = affected.get("ref").text().unwrap_or_default();
        let (package, version) = named(reference, components);
        let versions = affected.get("versions");
        let said = versions
            .items()
            .find(|version| version.get("status").text() != Some("unaffected"));
        let said = said.and_then(|version| version.get("version").string());
        finding(package, said.or(version))
    });
    Ok(findings.collect())
}

/// The package that a reference names: a component, or a package URL.
fn named(
    reference: &str,
    components: &BTreeMap<&str, (Option<String>, Option<String>)>,
) -> (Option<String>, Option<String>) {
    if let Some(found) = components.get(reference) {
        return found.clone();
    }
    // A BOM-Link ends with the reference within the document that it links to.
    let reference = match reference.split_once('#') {
        Some((link, inner)) if link.starts_with("urn:cdx:") => super::percent_decoded(inner),
        _ => reference.to_owned(),
    };
    purl::parse(&reference).map_or((None, None), |purl| (Some(purl.package()), purl.version))
}

fn licenses_of(component: &Field<'_>) -> BTreeSet<String> {
    let licenses = component.get("licenses");
    let names = licenses.items().filter_map(|choice| {
        let license = choice.get("license").first(&["id", "name"]).string();
        license.or_else(|| choice.get("expression").string())
    });
    names.collect()
}

/// The overrides of what is analysed away, within the image if the document is about one.
fn overrides(
    context: &Context<'_>,
    root: &Field<'_>,
    image: &Image,
    stated: &[Field<'_>],
) -> Result<Vec<Decoded>, Problem> {
    let components = components(root);
    let digest = image
        .manifest
        .clone()
        .or_else(|| image.candidates.first().cloned());
    let document = root.get("serialNumber").text().unwrap_or_default();
    let metadata = root.get("metadata");
    let author = metadata.get("authors").items().next();
    let author = author.and_then(|author| author.get("name").string());
    let author = author.or_else(|| metadata.get("supplier").get("name").string());
    let author = author.unwrap_or_else(|| scanner(root).name);
    let product = metadata.get("component");
    let mut statements = Vec::new();
    for vulnerability in stated {
        let analysis = vulnerability.get("analysis");
        let state = analysis.get("state").required()?;
        let why: Vec<_> = ["justification", "detail"]
            .into_iter()
            .filter_map(|name| analysis.get(name).text())
            .collect();
        let reason = if why.is_empty() {
            state.to_owned()
        } else {
            format!("{state}: {}", why.join("; "))
        };
        for affected in vulnerability.get("affects").items() {
            let reference = affected.get("ref").required()?;
            let (package, version) = named(reference, &components);
            let of_image = purl::parse(reference).filter(purl::Purl::is_image);
            let own = of_image.as_ref().map(purl::Purl::digest).transpose();
            let own = own.map_err(|error| affected.get("ref").problem(error))?;
            let digest = own.flatten().or_else(|| digest.clone());
            // What holds in a program does not hold wherever its libraries are.
            if digest.is_none()
                && !product.is_absent()
                && product.get("bom-ref").text() != Some(reference)
            {
                return Err(affected.get("ref").problem(format!(
                    "the document is about `{}`, and names no image by its digest: no override can be limited to what is in it",
                    clip(product.get("name").text().unwrap_or_default())
                )));
            }
            // A digest says which version is meant.
            let package = match (package, version) {
                (Some(package), Some(version)) if digest.is_none() => {
                    Some(format!("{package}@{version}"))
                }
                (package, _) => package,
            };
            let scope = Scope {
                repository: None,
                digest,
                package: package.filter(|_| of_image.is_none()),
            };
            if scope == Scope::default() {
                return Err(affected.get("ref").problem(
                    "neither a component of the document nor a package URL: the statement could be about anything",
                ));
            }
            super::at_most(statements.len())?;
            statements.push(Statement {
                document: document.to_owned(),
                vulnerability: vulnerability.get("id").required()?.to_owned(),
                scope,
                actor: author.clone(),
                status: state.to_owned(),
                verdict: Verdict::DoesNotCount(format!("{reason} (stated for {reference})")),
            });
        }
    }
    let time = metadata.get("timestamp").time();
    let revises = root
        .get("version")
        .number()
        .is_some_and(|version| version > 1.0);
    Ok(vex::events(context, statements, time, revises))
}
