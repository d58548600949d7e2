//! What one result of a SARIF document says, with its rule: whether it is a vulnerability, which, in
//! which package, and how grave. Each scanner has words of its own for that.

mod fix;

use std::collections::BTreeSet;

use weir_schema::{Finding, Severity};

use super::field::Field;
use super::purl;
use super::report::{highest, says_unknown, severity, severity_of_score};

/// Whether a result is of something else than a vulnerability: Trivy's secrets, misconfigurations and
/// licences, Snyk's licences, violations of roxctl's policies.
pub(super) fn is_of_another_kind(id: &str, rule: Option<&Field<'_>>) -> bool {
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
pub(super) fn is_vulnerability(tool: &str, id: &str, rule: Option<&Field<'_>>) -> bool {
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
pub(super) struct Rule<'a> {
    pub(super) field: Field<'a>,
    help: Labels<'a>,
}

impl<'a> Rule<'a> {
    pub(super) fn of(field: Field<'a>) -> Self {
        let help = field.get("help").get("text");
        Self {
            help: Labels::of(help.text().unwrap_or_default()),
            field,
        }
    }
}

/// The finding of a result, and whether it says how grave it is.
pub(super) fn finding(id: &str, rule: Option<&Rule<'_>>, result: &Field<'_>) -> (Finding, bool) {
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
    let mut texts = [Some(&message), help].into_iter().flatten();
    let graded = texts.find(|text| text.get("Severity").is_some());
    let word = graded.and_then(|text| text.get("Severity"));
    let said = said_severity(rule, word, score).max(title(rule));
    // In prose it may be the word of somebody else, of something else: it does not lower a score.
    let said = match graded.is_some_and(|text| !text.names_a_finding()) {
        true => said.max(score.map_or(Severity::Unknown, severity_of_score)),
        false => said,
    };
    let is_graded = said != Severity::Unknown || score.is_some() || word.is_some_and(says_unknown);
    let fixed_version = line(&["Fixed Version", "Fixed version", "Fix Version"]);
    let status = line(&["Status"]);
    let status = status
        .as_deref()
        .and_then(|status| status.strip_prefix("fixed in "));
    let fixed_version = fixed_version
        .as_deref()
        .or(status)
        .and_then(fix::said)
        .or_else(|| fix::version(rule, result, package.as_deref()));
    let finding = Finding {
        severity: match is_graded {
            true => said,
            false => by_level(rule, result),
        },
        id: id.into(),
        package: package.map(Into::into),
        version: found_version
            .or_else(|| line(&["Installed Version", "Version"]))
            .map(Into::into),
        fixed_version: fixed_version.map(Into::into),
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

/// Vulnerability, package and version in JFrog's `CVE-2024-1_PACKAGE_VERSION` and Checkov's
/// `CVE-2024-1_PACKAGE@VERSION`; the first of several vulnerabilities.
fn named_by_id(id: &str) -> (String, Option<String>, Option<String>) {
    let (ids, named) = ids_of(id);
    let first = ids.first().copied().unwrap_or(id);
    let named = named.filter(|_| !ids.is_empty());
    let named = named.and_then(|named| at_version(named).or_else(|| named.rsplit_once('_')));
    match named {
        Some((package, version)) if !package.is_empty() => (
            first.to_owned(),
            Some(package.to_owned()),
            Some(version.to_owned()),
        ),
        _ if ids.len() > 1 => (first.to_owned(), None, None),
        _ => (id.to_owned(), None, None),
    }
}

/// Checkov's `PACKAGE@VERSION`; a scope's `@` is none.
fn at_version(named: &str) -> Option<(&str, &str)> {
    let named = named.rsplit_once('@')?;
    (!named.1.contains('/')).then_some(named)
}

/// The other vulnerabilities of an identifier that names several, the first of which is `own`.
pub(super) fn others_named_by_id(own: &str, id: &str) -> impl Iterator<Item = String> {
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
pub(super) fn tells_of_several(text: &str) -> bool {
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
            Severity::Unknown if says_unknown(word) => return Severity::Unknown,
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

    /// Whether they are those of one finding, as scanners write them, and not some of a text that
    /// somebody else wrote.
    fn names_a_finding(&self) -> bool {
        let mut names = ["Vulnerability", "Package", "Component"].into_iter();
        names.any(|name| self.get(name).is_some())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(label, _)| *label == name);
        found.map(|(_, value)| *value)
    }
}
