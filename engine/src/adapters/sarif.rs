//! SARIF 2.1.0 from scanners of images: Trivy says in `properties` what it scanned, Grype in the
//! texts of its results.
//!
//! The runs of one tool on one image are one scan: Snyk writes one for the system's packages and one
//! for each application. A scan without results is refused: SARIF does not tell a clean image from one
//! in which nothing was recognised. So is one that says nowhere how grave what it found is: levels do not
//! (osv-scanner writes `warning` for everything). Only results of vulnerabilities count, not secrets or
//! misconfigurations.

use std::collections::{BTreeMap, BTreeSet};

use weir_schema::{Finding, Scanner, Severity};

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::report::{self, Image, Report, highest, severity, severity_of_score};
use super::{Decoded, json, purl};

/// Decodes a document: one scan for each tool and image.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let scans = scans(context, &Field::root(&body))?;
    let decoded = scans.into_iter().map(|scan| {
        scan.report()
            .and_then(|report| report::completed(context, report))
            .unwrap_or_else(|problem| context.rejected(&problem))
    });
    Ok(decoded.collect())
}

/// Reads the one scan of a document that is part of a payload.
pub(super) fn scan(context: &Context<'_>, body: &[u8]) -> Result<Report, Problem> {
    let body = json::value(body)?;
    let root = Field::root(&body);
    let scans = scans(context, &root)?.into_iter();
    let (mut reports, mut problems) = (Vec::new(), Vec::new());
    for scan in scans {
        match scan.report() {
            Ok(report) => reports.push(report),
            Err(problem) => problems.push(problem),
        }
    }
    match (reports.pop(), problems.pop()) {
        (Some(only), _) if reports.is_empty() => Ok(only),
        (None, Some(problem)) => Err(problem),
        _ => Err(root
            .get("runs")
            .problem("scans of several tools or images: which of them is meant is not said")),
    }
}

/// What the runs of a document come to. If one of them cannot be read, what the others found is not
/// all.
fn scans<'a>(context: &Context<'_>, root: &Field<'a>) -> Result<Vec<Scan<'a>>, Problem> {
    let runs = root.get("runs").each()?;
    if runs.is_empty() {
        return Err(root.get("runs").missing());
    }
    let mut scans: Vec<Scan<'_>> = Vec::new();
    for run in &runs {
        let scan = self::run(context, run)?;
        match scans.iter_mut().find(|known| known.continues_in(&scan)) {
            Some(known) => known.add(scan),
            None => scans.push(scan),
        }
    }
    Ok(scans)
}

/// Why a scan counts as failed that says nowhere how grave what it found is.
const UNGRADED: &str = "no result says how grave it is, and a `level` does not: send a report that has severities or scores";

/// The runs of one tool on one image.
struct Scan<'a> {
    read: Report,
    /// The results of the first run.
    results: Field<'a>,
    /// There are none, of anything.
    is_empty: bool,
    /// Somewhere it is said how grave a finding is.
    graded: bool,
}

impl Scan<'_> {
    fn continues_in(&self, other: &Self) -> bool {
        let (own, its) = (&self.read.image, &other.read.image);
        let unnamed = Image::default();
        self.read.scanner.name == other.read.scanner.name
            && (own == its || *own == unnamed || *its == unnamed)
    }

    fn add(&mut self, other: Self) {
        if self.read.image == Image::default() {
            self.read.image = other.read.image;
        }
        self.read.scanned_at = self.read.scanned_at.max(other.read.scanned_at);
        self.read.findings.extend(other.read.findings);
        self.is_empty &= other.is_empty;
        self.graded |= other.graded;
    }

    /// The scan, if it is one.
    fn report(self) -> Result<Report, Problem> {
        let own_json = ["trivy", "grype"].contains(&self.read.scanner.name.as_str());
        let why = if self.is_empty && own_json {
            "no results: SARIF does not tell a clean image from one in which nothing was recognised; send the scanner's JSON report"
        } else if self.is_empty {
            "no results: SARIF does not tell a clean image from one in which nothing was recognised; send a report that lists the packages, such as CycloneDX, or that of another scanner"
        } else if self.read.findings.is_empty() {
            "none of the results is a vulnerability that counts: they are suppressed, or of another kind, or their identifiers are not known; send the scanner's JSON report, or CycloneDX"
        } else {
            return Ok(Report {
                failed: (!self.graded).then_some(UNGRADED),
                ..self.read
            });
        };
        Err(self.results.problem(format!("not a completed scan: {why}")))
    }
}

fn run<'a>(context: &Context<'_>, run: &Field<'a>) -> Result<Scan<'a>, Problem> {
    let invocations: Vec<_> = run.get("invocations").items().collect();
    if let Some(failed) = invocations
        .iter()
        .map(|invocation| invocation.get("executionSuccessful"))
        .find(|successful| *successful.value() == serde_json::Value::Bool(false))
    {
        return Err(failed.problem("not a completed scan: the run failed"));
    }
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
    let results: Vec<_> = all.items().collect();
    let mut image = image(context, run)?;
    let (mut findings, mut graded) = (Vec::new(), false);
    let mut is_of_packages = false;
    for result in results.iter().filter(|result| !is_suppressed(result)) {
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
            id,
            ..finding.clone()
        }));
        findings.push(finding);
        if image.candidates.is_empty() {
            image_of_result(context, result, &mut image)?;
        }
    }
    // Where vulnerabilities are found, an identifier that is not known is one too.
    if !is_of_packages {
        findings.clear();
    }
    Ok(Scan {
        is_empty: results.is_empty(),
        results: all,
        graded,
        read: Report {
            scanner: Scanner {
                name: tool,
                version: driver.first(&["version", "semanticVersion"]).string(),
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
            image.reference(context, reference, name.path())?;
        }
    }
    let place = place.get("physicalLocation").get("artifactLocation");
    let uri = place.get("uri");
    if let Some(text) = uri.text().filter(|text| text.contains("@sha256_")) {
        let reference = text.replacen("@sha256_", "@sha256:", 1);
        image.reference(context, &reference, uri.path())?;
    }
    Ok(())
}

/// Whether a result is of something else than a vulnerability: Trivy's secrets, misconfigurations and
/// licences, Snyk's licences, violations of roxctl's policies.
fn is_of_another_kind(id: &str, rule: Option<&Field<'_>>) -> bool {
    let is_other = |word: Option<&str>| {
        word.is_some_and(|word| {
            [
                "secret",
                "misconfiguration",
                "license",
                "policyviolations",
                "policy-violation",
            ]
            .contains(&word.to_lowercase().as_str())
        })
    };
    let tags = rule.map(|rule| rule.get("properties").get("tags"));
    id.starts_with("snyk:lic:")
        || is_other(rule.and_then(|rule| rule.get("name").text()))
        || tags
            .iter()
            .flat_map(Field::items)
            .any(|tag| is_other(tag.text()))
}

/// Whether a result is known to be a vulnerability in a package.
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
        "ALPINE-",
        "ALSA-",
        "AZL-",
        "BDSA-",
        "CGA-",
        "DEBIAN-",
        "DLA-",
        "DSA-",
        "ELSA-",
        "EUVD-",
        "GMS-",
        "GO-",
        "MAL-",
        "NSWG-",
        "OPENSUSE-",
        "OSV-",
        "PRISMA-",
        "PYSEC-",
        "RHSA-",
        "RLSA-",
        "RUSTSEC-",
        "SNYK-",
        "SONATYPE-",
        "SUSE-",
        "TEMP-",
        "UBUNTU-",
        "USN-",
        "XRAY-",
    ];
    let id = id.to_uppercase();
    tool == "grype"
        || tagged
        || name.ends_with("Vulnerability")
        || ["CVE-", "GHSA-"].iter().any(|part| id.contains(part))
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

/// The finding of a result, and whether it says how grave it is.
fn finding(id: &str, rule: Option<&Rule<'_>>, result: &Field<'_>) -> (Finding, bool) {
    let message = result.get("message").get("text");
    let message = Labels::of(message.text().unwrap_or_default());
    let help = rule.map(|rule| &rule.help);
    let line = |names: &[&str]| {
        let mut texts = [Some(&message), help].into_iter().flatten();
        let found = texts.find_map(|text| names.iter().find_map(|name| text.get(name)));
        found.map(str::to_owned)
    };
    let rule = rule.map(|rule| &rule.field);
    let score = rule.and_then(|rule| score_of(&rule.get("properties")));
    // Some write 0 where they know none.
    let score = highest(score).filter(|score| *score > 0.0);
    let (package, found_version) = match line(&["Package", "Component"]) {
        // Docker Scout names packages by their URL.
        Some(text) => match purl::parse(&text) {
            Some(purl) => (Some(purl.package()), purl.version),
            None => (Some(text), None),
        },
        None => match named_by_rule(rule) {
            (None, _) => named_by_place(result)
                .or_else(|| named_by_message(result))
                .or_else(|| named_by_description(id, rule))
                .unzip(),
            named => named,
        },
    };
    let (id, package, found_version) = match (line(&["Vulnerability"]), package) {
        (Some(vulnerability), package) => (vulnerability, package, found_version),
        // Grype's rules are one per vulnerability and package.
        (None, Some(package)) => {
            let id = id.strip_suffix(&format!("-{package}")).unwrap_or(id);
            (id.to_owned(), Some(package), found_version)
        }
        (None, None) => named_by_id(id),
    };
    let word = line(&["Severity"]);
    let said = said_severity(rule, word.as_deref(), score).max(title(rule));
    let is_graded = said != Severity::Unknown || score.is_some() || word.is_some();
    let finding = Finding {
        severity: match is_graded {
            true => said,
            false => by_level(rule, result),
        },
        id,
        package,
        version: found_version.or_else(|| line(&["Installed Version", "Version"])),
        fixed_version: line(&["Fixed Version", "Fixed version", "Fix Version"]).filter(|version| {
            !matches!(version.as_str(), "not fixed" | "No fix available" | "None")
        }),
        score,
        layer: None,
    };
    (finding, is_graded)
}

/// A rule's score. Docker Scout, which says a severity of its own, writes a placeholder where it has
/// none.
fn score_of(properties: &Field<'_>) -> Option<f64> {
    let name = match properties.get("cvssV3_severity").is_absent() {
        true => "security-severity",
        false => "cvssV3",
    };
    properties.get(name).number()
}

/// Vulnerability, package and version in JFrog's `CVE-2024-1_PACKAGE_VERSION`; the first of several
/// vulnerabilities.
fn named_by_id(id: &str) -> (String, Option<String>, Option<String>) {
    let (ids, named) = ids_of(id);
    let first = ids.first().copied().unwrap_or(id);
    match named.and_then(|named| named.rsplit_once('_')) {
        Some((package, version)) if !package.is_empty() => (
            first.to_owned(),
            Some(package.to_owned()),
            Some(version.to_owned()),
        ),
        _ if ids.len() > 1 => (first.to_owned(), None, None),
        _ => (id.to_owned(), None, None),
    }
}

/// The other vulnerabilities of an identifier that names several, the first of which is `own`.
fn others_named_by_id(own: &str, id: &str) -> impl Iterator<Item = String> {
    let (ids, _) = ids_of(id);
    let others = ids.into_iter().skip_while(|first| *first != own).skip(1);
    let others: Vec<_> = others.map(str::to_owned).collect();
    others.into_iter()
}

/// JFrog's `CVE-2024-1_CVE-2024-2_PACKAGE_VERSION`, in older versions `CVE-2024-1, CVE-2024-2_...`: the
/// vulnerabilities, and the rest.
fn ids_of(id: &str) -> (Vec<&str>, Option<&str>) {
    let mut rest = id;
    let mut ids = Vec::new();
    while let Some((first, behind)) = rest.split_once(['_', ',']) {
        if !ids.is_empty() && !first.starts_with("CVE-") {
            break;
        }
        ids.push(first);
        rest = behind.trim_start();
    }
    match rest.starts_with("CVE-") && !ids.is_empty() {
        true => {
            ids.push(rest);
            (ids, None)
        }
        false => (ids, Some(rest)),
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
fn named_by_place(result: &Field<'_>) -> Option<(String, String)> {
    let places: Vec<_> = result.get("locations").items().collect();
    places.iter().find_map(|place| {
        let names: Vec<_> = place.get("logicalLocations").items().collect();
        let name = names.first()?.get("fullyQualifiedName").text()?;
        let (package, version) = name.rsplit_once('@')?;
        (!package.is_empty()).then(|| (package.to_owned(), version.to_owned()))
    })
}

/// The package in the words of osv-scanner: `Package 'NAME@VERSION' is vulnerable to 'ID'.`
fn named_by_message(result: &Field<'_>) -> Option<(String, String)> {
    let message = result.get("message").get("text");
    let (named, rest) = message
        .text()?
        .strip_prefix("Package '")?
        .split_once('\'')?;
    let (package, version) = named.rsplit_once('@')?;
    let is_told = rest.starts_with(" is vulnerable to ") && !package.is_empty();
    is_told.then(|| (package.to_owned(), version.to_owned()))
}

/// The package in the description of a rule of Snyk's: `(CVE-2011-3374) NAME@VERSION`.
fn named_by_description(id: &str, rule: Option<&Field<'_>>) -> Option<(String, String)> {
    let description = rule?.get("fullDescription").get("text");
    let text = description.text().filter(|_| id.starts_with("SNYK-"))?;
    let named = text.rsplit_once(") ").map_or(text, |(_, named)| named);
    let (package, version) = named.rsplit_once('@')?;
    let is_plain = !package.is_empty() && !named.contains(' ');
    is_plain.then(|| (package.to_owned(), version.to_owned()))
}

/// Whether a text has the lines of more than one vulnerability.
fn tells_of_several(text: &str) -> bool {
    let names = text.lines().filter_map(|line| match Labels::line(line)? {
        ("Vulnerability", value) => Some(value),
        _ => None,
    });
    names.collect::<BTreeSet<_>>().len() > 1
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

/// The severity as the scanner's text says it; else by tag and score.
fn said_severity(rule: Option<&Field<'_>>, word: Option<&str>, score: Option<f64>) -> Severity {
    if let Some(word) = word {
        match severity(Some(word)) {
            // A word that says nothing says it whatever else is there.
            Severity::Unknown
                if ["unknown", "unspecified"].contains(&word.to_lowercase().as_str()) =>
            {
                return Severity::Unknown;
            }
            Severity::Unknown => {}
            said => return said,
        }
    }
    let tags = rule.map(|rule| rule.get("properties").get("tags"));
    let tagged = tags
        .iter()
        .flat_map(Field::items)
        .map(|tag| severity(tag.text()))
        .max();
    match tagged.filter(|said| *said != Severity::Unknown) {
        Some(said) => said,
        None => score.map_or(Severity::Unknown, severity_of_score),
    }
}

/// The severity that a level stands for at least, where nothing else is said of one among others: an
/// error is grave, and lower levels may be anything.
fn by_level(rule: Option<&Field<'_>>, result: &Field<'_>) -> Severity {
    let usual = rule.map(|rule| rule.get("defaultConfiguration").get("level"));
    let level = result.get("level");
    let level = level.text().or_else(|| usual.as_ref()?.text());
    match level {
        Some("error") => Severity::High,
        _ => Severity::Unknown,
    }
}

/// The lines `NAME: VALUE` of a text; or `NAME VALUE`, as roxctl writes them all and Trivy and Grype
/// the first. A value that is a link in Markdown is what it is called.
struct Labels<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Labels<'a> {
    /// They stand first; what follows is prose.
    const LINES: usize = 32;

    fn of(text: &'a str) -> Self {
        let lines = text.lines().take(Self::LINES).filter_map(Self::line);
        Self(lines.collect())
    }

    fn line(line: &'a str) -> Option<(&'a str, &'a str)> {
        const WITHOUT_COLON: [&str; 5] = [
            "Vulnerability",
            "Severity",
            "Component",
            "Version",
            "Fixed Version",
        ];
        let line = line.trim();
        let mut labels = WITHOUT_COLON.into_iter();
        let without_colon = labels.find_map(|name| {
            let value = line.strip_prefix(name)?.strip_prefix(' ')?;
            // Else it is prose.
            (!value.contains(' ')).then_some((name, value))
        });
        let (name, value) = match (without_colon, line.split_once(':')) {
            (Some(found), _) => found,
            // Docker Scout lines the colons up.
            (None, Some((name, value))) => (name.trim_end(), value.trim_start()),
            (None, None) => return None,
        };
        let called = value
            .strip_prefix('[')
            .and_then(|link| link.split_once("]("));
        let value = called.map_or(value, |(called, _)| called);
        (!value.is_empty()).then_some((name, value))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(label, _)| *label == name);
        found.map(|(_, value)| *value)
    }
}
