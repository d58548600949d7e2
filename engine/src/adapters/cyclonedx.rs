//! CycloneDX with vulnerabilities, from a scanner or as VEX.
//!
//! Without vulnerabilities it is an SBOM, and an SBOM is not a scan: Trivy writes an empty list also
//! when it did not look. Without components it is no scan either: it says what somebody knows of
//! something, not what is in it. A vulnerability that the document's author has analysed away
//! (`not_affected`, `false_positive`, `resolved`) is an override: in the image that the document is
//! about, or of a package anywhere if it is about nothing else. A document of such alone is VEX, and no
//! scan; beside others they are findings too, which the overrides keep from counting. An SBOM with VEX in
//! it, where each vulnerability has a state, is no scan either: nothing says that somebody looked for
//! others.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use weir_schema::{CYCLONEDX_WAIVING, Digest, Finding, Scanner, Severity};

use super::context::Context;
use super::cyclonedx_fix::Fixes;
use super::cyclonedx_vex::overrides;
use super::field::Field;
use super::problem::Problem;
use super::purl;
use super::report::{self, Image, Rating, Report, highest, severity};
use super::{Decoded, clip, grype, json, systems};

/// Decodes a document.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = document(&body);
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
    if let Some(problem) = statements(&root, &list) {
        if decoded.is_empty() {
            return Err(problem);
        }
        decoded.push(context.ignored(problem.to_string()));
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

/// The document in a body: what Amazon Inspector answers to `ScanSbom` has it in `sbom`.
fn document(body: &Value) -> Field<'_> {
    let root = Field::root(body);
    let within = root.get("sbom");
    match within.get("bomFormat").is_absent() {
        true => root,
        false => within,
    }
}

/// Reads a document that is the result of a scan.
pub(super) fn scan(context: &Context<'_>, body: &[u8]) -> Result<Report, Problem> {
    let body = json::value(body)?;
    let root = document(&body);
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
    if let Some(problem) = statements(&root, &list) {
        return Err(problem);
    }
    report(&root, image(context, &root)?, &list)
}

/// Scanners that put a state on what they find themselves, and which.
const STATES_OF_FINDINGS: [(&str, &[&str]); 3] = [
    // By what it knows of where a vulnerability applies: guacsec/guac, exampledata/xray-cdx-vulns.json.
    ("xray", &["in_triage", "exploitable"]),
    // By the exploits that it knows: owasp-dep-scan/dep-scan, `get_analysis`.
    (DEP_SCAN, &["in_triage", "exploitable"]),
    // On all that it found, while it wrote `embedded-cyclonedx-vex`: anchore/grype,
    // grype/presenter/cyclonedxvex/vulnerability.go.
    ("grype", &["in_triage"]),
];

/// Why a document is none of a scan in which each vulnerability has a state: it tells what somebody has
/// to say of some. Where one has none, or the states are a scanner's own, it is a scan.
fn statements(root: &Field<'_>, list: &[Field<'_>]) -> Option<Problem> {
    let scanner = scanner(root).name;
    let own = STATES_OF_FINDINGS.iter().find(|(name, _)| *name == scanner);
    let is_own = |one: &Field<'_>| {
        let state = state_of(one).unwrap_or_default();
        analysed(one).is_some() || own.is_some_and(|(_, states)| states.contains(&state))
    };
    let is_stated = |one: &Field<'_>| !one.get("analysis").get("state").is_absent();
    (list.iter().all(is_stated) && !list.iter().all(is_own)).then(|| {
        root.get("vulnerabilities").problem(
            "statements about an image (VEX), not a scan of it: each has an `analysis.state`, and nothing says that anybody looked for others; send the scanner's own report",
        )
    })
}

/// The state of a vulnerability's analysis.
pub(super) fn state_of<'a>(vulnerability: &Field<'a>) -> Option<&'a str> {
    vulnerability.get("analysis").get("state").text()
}

/// The state of an analysis that ends a vulnerability.
pub(super) fn analysed<'a>(vulnerability: &Field<'a>) -> Option<&'a str> {
    state_of(vulnerability).filter(|state| CYCLONEDX_WAIVING.contains(state))
}

/// Whether the document says nothing of what is in the thing that it is about.
pub(super) fn is_bare(root: &Field<'_>) -> bool {
    root.get("components").items().next().is_none()
}

/// Whether the document had a version before this one.
pub(super) fn revises(root: &Field<'_>) -> bool {
    let version = root.get("version").number();
    version.is_some_and(|version| version > 1.0)
}

/// Scanners that say in words how grave a vulnerability is, and add scores which are not what they go
/// by: Grype says its distribution's word beside each score, Trivy the word and the score of each source.
const WITH_WORDS_FIRST: [&str; 2] = ["trivy", "grype"];

fn report(root: &Field<'_>, image: Image, list: &[Field<'_>]) -> Result<Report, Problem> {
    if is_bare(root) {
        return Err(root
            .get("components")
            .problem("not a completed scan: no components, so it is not said what was looked at"));
    }
    let components = components(root);
    let scanner = scanner(root);
    let words_decide = WITH_WORDS_FIRST.contains(&scanner.name.as_str());
    // Where they know nothing Trivy writes no rating.
    let (mut findings, mut is_graded) = (Vec::new(), words_decide);
    for vulnerability in list {
        let ratings = ratings(vulnerability, words_decide)?;
        is_graded |= ratings.iter().any(Rating::tells);
        let severity = severity_of(&ratings, words_decide);
        findings.extend(self::findings(
            vulnerability,
            &components,
            severity,
            &ratings,
        )?);
    }
    check_image(root, &scanner)?;
    check_system(root, &scanner, list)?;
    let licenses = all_components(root).into_iter();
    let licenses = licenses.flat_map(|component| licenses_of(&component));
    Ok(Report {
        failed: (!is_graded).then_some(report::UNGRADED),
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

const DEP_SCAN: &str = "owasp-depscan";

/// The tool: an object with `components` since 1.5, a list before. The first, but for dep-scan, which
/// adds itself to the document of what listed the packages for it (cdxgen).
pub(super) fn scanner(root: &Field<'_>) -> Scanner {
    let tools = root.get("metadata").get("tools");
    let listed = tools.get("components");
    let all: Vec<_> = listed.items().chain(tools.items()).collect();
    let is_dep_scan = |tool: &&Field<'_>| tool.get("name").text() == Some(DEP_SCAN);
    let tool = all.iter().find(is_dep_scan).or(all.first());
    let text = |name: &str| tool.and_then(|tool| tool.get(name).string());
    Scanner {
        name: text("name")
            .map_or_else(|| "cyclonedx".into(), |name| name.to_lowercase())
            .into(),
        version: text("version")
            .filter(|version| !version.starts_with('['))
            .map(Into::into),
        db_updated_at: None,
    }
}

/// Tools whose documents Syft writes. It calls an image that it was given by a tag by repository and tag,
/// as name and version (anchore/syft, syft/source/stereoscopesource/image_source.go, `Describe`).
const BY_SYFT: [&str; 2] = ["grype", "syft"];

/// What the document says of the image: Trivy in properties and the package URL, Grype as the
/// component's version, or its name and version.
fn image(context: &Context<'_>, root: &Field<'_>) -> Result<Image, Problem> {
    let component = root.get("metadata").get("component");
    let mut image = Image::default();
    // Trivy and Syft, whose documents Grype's are, call the image what they were told to look at.
    image.given(component.get("name").text());
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
    } else if component.get("type").text() == Some("container")
        && let (Some(name), Some(tag)) = (component.get("name").text(), version.text())
        && BY_SYFT.contains(&scanner(root).name.as_str())
    {
        image.reference(context, &format!("{name}:{tag}"), version.path())?;
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

/// The package URLs of the components, by their reference.
pub(super) fn purls<'a>(root: &Field<'a>) -> BTreeMap<&'a str, purl::Purl> {
    let named = all_components(root).into_iter().filter_map(|component| {
        let purl = component.get("purl").text().and_then(purl::parse)?;
        Some((component.get("bom-ref").text()?, purl))
    });
    named.collect()
}

/// Name and version of the components, by their reference.
pub(super) fn components<'a>(
    root: &Field<'a>,
) -> BTreeMap<&'a str, (Option<String>, Option<String>)> {
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

/// What the ratings of a vulnerability say.
fn ratings(vulnerability: &Field<'_>, words_decide: bool) -> Result<Vec<Rating>, Problem> {
    let list = vulnerability.get("ratings").list()?;
    list.iter()
        .map(|one| rating(one, words_decide))
        .collect::<Result<_, _>>()
}

/// How grave a vulnerability is by its ratings. `words_decide` if scores count only where no rating has
/// a word.
fn severity_of(ratings: &[Rating], words_decide: bool) -> Severity {
    let word = ratings.iter().map(|rating| rating.word).max();
    match word {
        Some(word) if words_decide && word != Severity::Unknown => word,
        _ => report::gravest(ratings),
    }
}

/// What one rating says: a word, and a score of CVSS or that of its vector.
fn rating(rating: &Field<'_>, words_decide: bool) -> Result<Rating, Problem> {
    let method = rating.get("method").text();
    let vector = || report::score_of_vector(method, rating.get("vector").text()?);
    // EPSS and others are ratings of another kind, with a `method` of their own.
    let is_cvss = method.is_none_or(|method| method.starts_with("CVSS"));
    let score = is_cvss
        .then(|| rating.get("score").number().or_else(vector))
        .flatten();
    let said = rating.get("severity");
    let word = said.optional()?;
    Ok(Rating {
        word: match word {
            // Grype's `Negligible` (anchore/grype, grype/presenter/cyclonedx/vulnerability.go). Others
            // say it of what is no rating of how grave something is, as EPSS.
            Some("none") if words_decide => Severity::Negligible,
            word => severity(word),
        },
        is_unknown: word.is_some_and(report::says_unknown),
        score: score.and_then(report::score),
    })
}

/// A vulnerability in each package that it affects.
fn findings(
    vulnerability: &Field<'_>,
    components: &BTreeMap<&str, (Option<String>, Option<String>)>,
    severity: Severity,
    ratings: &[Rating],
) -> Result<Vec<Finding>, Problem> {
    let id = vulnerability.get("id").required()?.to_owned();
    let score = highest(ratings.iter().filter_map(|rating| rating.score));
    let finding =
        |package: Option<String>, version: Option<String>, fixed: Option<String>| Finding {
            id: id.as_str().into(),
            severity,
            package: package.map(Into::into),
            version: version.map(Into::into),
            fixed_version: fixed.map(Into::into),
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
pub(super) fn named(
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
pub(super) fn links_to_another(reference: &str) -> bool {
    reference.starts_with("urn:cdx:")
}

/// A BOM-Link ends with the reference within the document that it links to.
pub(super) fn within_link(reference: &str) -> Cow<'_, str> {
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
