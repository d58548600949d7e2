//! CycloneDX with vulnerabilities, from a scanner or as VEX.
//!
//! Without vulnerabilities it is an SBOM, and an SBOM is not a scan: Trivy writes an empty list also
//! when it did not look. Without components it is no scan either: it says what somebody knows of
//! something, not what is in it. A vulnerability that the document's author has analysed away
//! (`not_affected`, `false_positive`, `resolved`) is an override: in the image that the document is
//! about, or of a package anywhere if it is about nothing else. A document of such alone is VEX, and no
//! scan; beside others they are findings too, which the overrides keep from counting.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use weir_schema::{Digest, Finding, Scanner, Severity};

use super::context::Context;
use super::cyclonedx_fix::Fixes;
use super::field::Field;
use super::problem::Problem;
use super::purl;
use super::report::{self, Image, Report, highest, severity, severity_of_score};
use super::vex::{self, Scope, Statement, Verdict};
use super::{Decoded, clip, grype, json, systems};

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
    let mut decoded = overrides(context, &root, &image, &list)?;
    let is_of_image = image.manifest.is_some()
        || image.config_digest.is_some()
        || !image.candidates.is_empty()
        || context.subject()?.is_some();
    let stated = list.iter().filter(|one| analysed(one).is_some()).count();
    let is_vex = stated > 0 || list.iter().all(|one| state_of(one).is_some());
    if stated == list.len() || (is_vex && is_bare(&root)) {
        return Ok(decoded);
    }
    if stated == 0 || is_of_image {
        let report = report(&root, image, &list)?;
        decoded.push(report::completed(context, report)?);
    } else {
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
    if list.iter().all(|one| analysed(one).is_some()) {
        return Err(root.get("vulnerabilities").problem(
            "all of them are analysed away: statements about an image are no scan of it",
        ));
    }
    report(&root, image(context, &root)?, &list)
}

/// The state of a vulnerability's analysis.
fn state_of<'a>(vulnerability: &Field<'a>) -> Option<&'a str> {
    vulnerability.get("analysis").get("state").text()
}

/// The state of an analysis that ends a vulnerability.
fn analysed<'a>(vulnerability: &Field<'a>) -> Option<&'a str> {
    let ends = [
        "not_affected",
        "false_positive",
        "resolved",
        "resolved_with_pedigree",
    ];
    state_of(vulnerability).filter(|state| ends.contains(state))
}

/// Whether the document says nothing of what is in the thing that it is about.
fn is_bare(root: &Field<'_>) -> bool {
    root.get("components").items().next().is_none()
}

/// Whether the document had a version before this one.
fn revises(root: &Field<'_>) -> bool {
    let version = root.get("version").number();
    version.is_some_and(|version| version > 1.0)
}

fn report(root: &Field<'_>, image: Image, list: &[Field<'_>]) -> Result<Report, Problem> {
    if is_bare(root) {
        return Err(root
            .get("components")
            .problem("not a completed scan: no components, so it is not said what was looked at"));
    }
    let components = components(root);
    let mut findings = Vec::new();
    for vulnerability in list {
        findings.extend(self::findings(vulnerability, &components)?);
    }
    let scanner = scanner(root);
    check_image(root, &scanner)?;
    check_system(root, &scanner, list)?;
    let licenses = all_components(root).into_iter();
    let licenses = licenses.flat_map(|component| licenses_of(&component));
    Ok(Report {
        failed: report::ungraded(&findings),
        scanner,
        findings,
        licenses: licenses.collect(),
        scanned_at: root.get("metadata").get("timestamp").time(),
        image,
    })
}

/// Refuses a scan of a directory or a file system by one of the scanners that call an image a
/// container. Others may call it whatever it is a part of.
fn check_image(root: &Field<'_>, scanner: &Scanner) -> Result<(), Problem> {
    let kind = root.get("metadata").get("component").get("type");
    let is_known = ["trivy", "grype"].contains(&scanner.name.as_str());
    match kind.optional()? {
        Some(word @ ("application" | "file")) if is_known => Err(kind.problem(format!(
            "`{word}` is not an image: {} calls one `container`",
            scanner.name
        ))),
        _ => Ok(()),
    }
}

/// Refuses a scan of an operating system of which the scanner has no data: it lists the packages, and
/// finds vulnerabilities in other things alone. Of scanners that nobody knows here it is believed.
fn check_system(
    root: &Field<'_>,
    scanner: &Scanner,
    vulnerabilities: &[Field<'_>],
) -> Result<(), Problem> {
    let all = all_components(root);
    let systems = all
        .iter()
        .filter(|component| component.get("type").text() == Some("operating-system"));
    let of_system = all.iter().filter(|component| {
        let purl = component.get("purl").text().and_then(purl::parse);
        purl.is_some_and(|purl| purl.is_of_system())
    });
    let of_system: BTreeSet<_> = of_system
        .filter_map(|component| component.get("bom-ref").text())
        .collect();
    let is_of_system = |affected: Field<'_>| {
        let reference = affected.get("ref").text().unwrap_or_default();
        of_system.contains(reference)
            || purl::parse(reference).is_some_and(|purl| purl.is_of_system())
    };
    let has_found = || {
        let mut found = vulnerabilities.iter();
        found.any(|one| one.get("affects").items().any(is_of_system))
    };
    for system in systems {
        let (name, version) = (system.get("name"), system.get("version"));
        let family = name.text().unwrap_or_default().to_lowercase();
        let release = version.string().unwrap_or_default();
        let is_known = match scanner.name.as_str() {
            "trivy" => {
                !systems::is_unreleased(&family, &release)
                    && (systems::has_data(&family) || has_found())
            }
            "grype" => grype::has_data(&family, &release) || has_found(),
            _ => true,
        };
        if !is_known {
            return Err(name.problem(format!(
                "not a completed scan: {} has no data of the system `{}`: its packages are listed, and were not looked at",
                clip(&scanner.name),
                clip(format!("{family} {release}").trim_end())
            )));
        }
    }
    Ok(())
}

/// The tool: an object with `components` since 1.5, a list before. The first, but for dep-scan, which
/// adds itself to the document of what listed the packages for it (cdxgen).
fn scanner(root: &Field<'_>) -> Scanner {
    let tools = root.get("metadata").get("tools");
    let listed = tools.get("components");
    let all: Vec<_> = listed.items().chain(tools.items()).collect();
    let is_dep_scan = |tool: &&Field<'_>| tool.get("name").text() == Some("owasp-depscan");
    let tool = all.iter().find(is_dep_scan).or(all.first());
    let text = |name: &str| tool.and_then(|tool| tool.get(name).string());
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
            (
                "aquasecurity:trivy:ImageID" | "amazon:inspector:sbom_generator:image_id",
                Some(_),
            ) => {
                image.config_digest = Some(value.digest()?);
            }
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
        && let Some(text) = version.text().filter(|text| text.starts_with("sha256"))
    {
        // Xray's is Artifactory's name of a folder: `sha256__HEX`.
        let digest: Digest = text
            .replacen("__", ":", 1)
            .parse()
            .map_err(|error| version.problem(error))?;
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

/// The components that are parts of packages, by their reference.
fn parts<'a>(root: &Field<'a>) -> BTreeSet<&'a str> {
    let parts = all_components(root).into_iter().filter_map(|component| {
        let url = component.get("purl");
        let purl = url.text().and_then(purl::parse)?;
        purl.subpath?;
        component.get("bom-ref").text()
    });
    parts.collect()
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
    let version = purl.as_ref().and_then(|purl| purl.version.clone());
    let version = component.get("version").string().or(version);
    let name = match (purl, component.get("group").text(), name) {
        (Some(purl), ..) => Some(purl.package()),
        (None, Some(group), Some(name)) => Some(format!("{group}/{name}")),
        (None, None, name) => name.map(str::to_owned),
        (None, Some(_), None) => None,
    };
    (name, version)
}

/// A vulnerability in each package that it affects.
fn findings(
    vulnerability: &Field<'_>,
    components: &BTreeMap<&str, (Option<String>, Option<String>)>,
) -> Result<Vec<Finding>, Problem> {
    let id = vulnerability.get("id").required()?.to_owned();
    let ratings = vulnerability.get("ratings").list()?;
    // EPSS and others are ratings of another kind, with a `method` of their own.
    let cvss = || {
        ratings.iter().filter(|rating| {
            rating
                .get("method")
                .text()
                .is_none_or(|method| method.starts_with("CVSS"))
        })
    };
    let score = highest(cvss().filter_map(|rating| {
        let vector =
            || report::score_of_vector(rating.get("method").text(), rating.get("vector").text()?);
        rating.get("score").number().or_else(vector)
    }));
    let said = ratings
        .iter()
        .map(|rating| Ok(severity(rating.get("severity").optional()?)));
    let said = said.collect::<Result<Vec<_>, Problem>>()?;
    let severity = match said.into_iter().max() {
        Some(said) if said != Severity::Unknown => said,
        _ => score.map_or(Severity::Unknown, severity_of_score),
    };
    let finding = |package, version, fixed_version| Finding {
        id: id.clone(),
        severity,
        package,
        version,
        fixed_version,
        score,
        layer: None,
    };
    let affected = vulnerability.get("affects").list()?;
    let affected = affected.iter().map(|affected| {
        let reference = affected.get("ref").text().unwrap_or_default();
        (
            reference,
            named(reference, components),
            affected.get("versions"),
        )
    });
    let affected: Vec<_> = affected.collect();
    let packages = affected
        .iter()
        .filter_map(|(_, (package, _), _)| package.as_deref());
    let fixes = Fixes::of(vulnerability, &packages.collect::<Vec<_>>());
    if affected.is_empty() {
        let fixed = fixes.version("", None, &vulnerability.get("affects"));
        return Ok(vec![finding(None, None, fixed)]);
    }
    let mut findings = Vec::new();
    for (reference, (package, version), versions) in affected {
        let fixed = fixes.version(reference, package.as_deref(), &versions);
        let said = versions
            .items()
            .filter(|version| version.get("status").text() != Some("unaffected"))
            .filter_map(|version| version.get("version").string());
        let said: Vec<_> = said.collect();
        match said.is_empty() {
            true => findings.push(finding(package, version, fixed)),
            false => findings.extend(
                said.into_iter()
                    .map(|said| finding(package.clone(), Some(said), fixed.clone())),
            ),
        }
    }
    Ok(findings)
}

/// The package that a reference names: a component, or a package URL.
fn named(
    reference: &str,
    components: &BTreeMap<&str, (Option<String>, Option<String>)>,
) -> (Option<String>, Option<String>) {
    if let Some(found) = components.get(reference) {
        return found.clone();
    }
    purl::parse(&within_link(reference))
        .map_or((None, None), |purl| (Some(purl.package()), purl.version))
}

/// Whether a reference is a BOM-Link: to something in another document.
fn links_to_another(reference: &str) -> bool {
    reference.starts_with("urn:cdx:")
}

/// A BOM-Link ends with the reference within the document that it links to.
fn within_link(reference: &str) -> Cow<'_, str> {
    match reference.split_once('#') {
        Some((_, inner)) if links_to_another(reference) => super::percent_decoded(inner).into(),
        _ => reference.into(),
    }
}

fn licenses_of(component: &Field<'_>) -> BTreeSet<String> {
    let licenses = component.get("licenses");
    let names = licenses.items().filter_map(|choice| {
        let license = choice.get("license").first(&["id", "name"]).string();
        license.or_else(|| choice.get("expression").string())
    });
    names.collect()
}

/// The overrides of what is analysed away, within the image if the document is about one; in what is
/// no scan, or revises what was said before, also that something is not.
fn overrides(
    context: &Context<'_>,
    root: &Field<'_>,
    image: &Image,
    list: &[Field<'_>],
) -> Result<Vec<Decoded>, Problem> {
    let revises = revises(root);
    let all = revises || is_bare(root);
    let stated = list.iter().filter(|one| match all {
        true => state_of(one).is_some(),
        false => analysed(one).is_some(),
    });
    let stated: Vec<_> = stated.collect();
    if stated.is_empty() {
        return Ok(Vec::new());
    }
    let url = root.get("metadata").get("component").get("purl");
    let subject = context.subject()?;
    if subject.is_none()
        && image.manifest.is_none()
        && url.text().is_some_and(names_an_architecture)
    {
        return Ok(vec![
            context.rejected(&url.problem(vex::OF_AN_ARCHITECTURE)),
        ]);
    }
    let digest = subject
        .clone()
        .or_else(|| image.manifest.clone())
        .or_else(|| image.candidates.first().cloned());
    let document = root.get("serialNumber").text().unwrap_or_default();
    let metadata = root.get("metadata");
    let author = metadata.get("authors").items().next();
    let author = author.and_then(|author| author.get("name").string());
    let author = author.or_else(|| metadata.get("supplier").get("name").string());
    let author = author.unwrap_or_else(|| scanner(root).name);
    let about = About {
        components: components(root),
        parts: parts(root),
        is_told: subject.is_some(),
        digest,
        product: metadata.get("component"),
    };
    let (mut statements, mut others) = (Vec::new(), Vec::new());
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
        let id = vulnerability.get("id").required()?;
        let affects = vulnerability.get("affects");
        if affects.items().next().is_none() {
            others.push(context.rejected(&affects.missing()));
        }
        for affected in affects.items() {
            super::at_most(statements.len() + others.len())?;
            let scopes = match about.scopes(&affected) {
                Ok(scopes) => scopes,
                Err(_) if !revises && analysed(vulnerability).is_none() => {
                    others.push(vex::counts(context, state, id));
                    continue;
                }
                Err(problem) => {
                    others.push(context.rejected(&problem));
                    continue;
                }
            };
            let reference = affected.get("ref").required()?;
            statements.extend(scopes.into_iter().map(|scope| Statement {
                document: document.to_owned(),
                vulnerability: id.to_owned(),
                scope,
                actor: author.clone(),
                status: state.to_owned(),
                verdict: match analysed(vulnerability) {
                    Some(_) => Verdict::DoesNotCount(format!("{reason} (stated for {reference})")),
                    None => Verdict::Counts,
                },
            }));
        }
    }
    let time = metadata.get("timestamp").time();
    let mut decoded = vex::events(context, statements, time, revises);
    decoded.extend(others);
    Ok(decoded)
}

/// Whether a package URL is that of one architecture of an image, by a digest.
fn names_an_architecture(url: &str) -> bool {
    purl::parse(url).is_some_and(|purl| {
        let by_digest = purl.digest().is_ok_and(|digest| digest.is_some());
        purl.is_image() && by_digest && purl.qualifier("arch").is_some()
    })
}

/// What the statements of a document can be about.
struct About<'a> {
    components: BTreeMap<&'a str, (Option<String>, Option<String>)>,
    /// Those that are parts of packages.
    parts: BTreeSet<&'a str>,
    /// The image that the document is about.
    digest: Option<Digest>,
    /// The sender says so, whatever the document does.
    is_told: bool,
    /// What it is about, an image or not.
    product: Field<'a>,
}

impl About<'_> {
    /// Where a statement about `affected` holds: of a package without a version of its own, for each
    /// that is said to be unaffected, if some are named.
    fn scopes(&self, affected: &Field<'_>) -> Result<Vec<Scope>, Problem> {
        let field = affected.get("ref");
        let reference = field.required()?;
        let (package, version) = named(reference, &self.components);
        let of_image = purl::parse(reference).filter(purl::Purl::is_image);
        let own = of_image.as_ref().map(purl::Purl::digest).transpose();
        let own = own.map_err(|error| field.problem(error))?;
        let own = own.flatten().filter(|_| !self.is_told);
        if own.is_some() && own != self.digest && names_an_architecture(reference) {
            return Err(field.problem(vex::OF_AN_ARCHITECTURE));
        }
        let digest = own.or_else(|| self.digest.clone());
        let is_product = self.product.get("bom-ref").text() == Some(reference);
        // What holds in a program does not hold wherever its libraries are.
        let of_part = match self.product.get("name").text() {
            Some(name) => Some(format!("is about `{}`", clip(name))),
            None if !self.product.is_absent() => Some("is about one thing".to_owned()),
            None if links_to_another(reference) => {
                Some("speaks of a component of another document".to_owned())
            }
            None => None,
        };
        if let Some(of_part) = of_part.filter(|_| digest.is_none() && !is_product) {
            return Err(field.problem(format!(
                "the document {of_part}, and names no image by its digest: no override can be limited to what is in it; name the image in the header `weir-subject-digest`"
            )));
        }
        let package = package.filter(|_| of_image.is_none());
        let is_of_system =
            purl::parse(&within_link(reference)).is_some_and(|purl| purl.is_of_system());
        if package.is_none() && of_image.is_none() && !is_product {
            return Err(field.problem(
                "neither a component of the document nor a package URL: the statement could be about anything",
            ));
        }
        let is_part = |purl: purl::Purl| of_image.is_none() && purl.subpath.is_some();
        if self.parts.contains(reference)
            || purl::parse(&within_link(reference)).is_some_and(is_part)
        {
            return Err(field.problem(vex::OF_A_SUBPATH));
        }
        let versions = affected.get("versions");
        if digest.is_none() && is_of_system && version.is_none() && versions.is_absent() {
            return Err(field.problem(vex::OF_A_DISTRIBUTION));
        }
        let versions = match version {
            None if !versions.is_absent() => unaffected(&versions)?,
            own => vec![own],
        };
        if versions.iter().flatten().any(|one| vex::is_range(one)) {
            return Err(field.problem(vex::OF_A_RANGE));
        }
        let scopes = versions.into_iter().map(|version| Scope {
            repository: None,
            digest: digest.clone(),
            package: match (&package, version) {
                (Some(package), Some(version)) => Some(format!("{package}@{version}")),
                (package, _) => package.clone(),
            },
        });
        let scopes: Vec<_> = scopes.collect();
        match scopes.contains(&Scope::default()) {
            true => Err(field.problem("an image without its digest: it could be any")),
            false => Ok(scopes),
        }
    }
}

/// The versions that are said not to be affected. An override knows no ranges.
fn unaffected(versions: &Field<'_>) -> Result<Vec<Option<String>>, Problem> {
    let said = versions.items().filter(|one| {
        let status = one.get("status").text();
        // What is affected, the default, is none of what a statement of the contrary is about.
        status == Some("unaffected")
    });
    let said: Vec<_> = said
        .map(|one| {
            one.get("version")
                .required()
                .map(|text| Some(text.to_owned()))
        })
        .collect::<Result<_, _>>()?;
    match said.is_empty() {
        true => Err(versions.problem("none of the versions is said to be `unaffected`")),
        false => Ok(said),
    }
}
