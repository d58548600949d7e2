//! In which version a vulnerability is repaired, as CycloneDX documents say it: the specification has
//! no field for it, and each producer its own place.
//!
//! | producer | place |
//! |---|---|
//! | Trivy | `recommendation`: `Upgrade PACKAGE to version VERSION`, joined by semicolons |
//! | Grype | ranges of `affects[].versions` that are unaffected (CycloneDX 1.7), or the property `grype:fixed_versions` |
//! | dep-scan | versions of `affects[].versions` that are unaffected |
//! | Amazon Inspector | the properties `amazon:inspector:sbom_scanner:fixed_version:REFERENCE` |

use super::field::Field;

/// What a vulnerability says of its repair.
pub(super) struct Fixes<'a> {
    /// Package and version, as recommended.
    recommended: Vec<(&'a str, &'a str)>,
    properties: Vec<Field<'a>>,
}

impl<'a> Fixes<'a> {
    /// `packages` are the names of those that are affected.
    pub(super) fn of(vulnerability: &Field<'a>, packages: &[&str]) -> Self {
        let text = vulnerability.get("recommendation").text();
        let clauses = text.unwrap_or_default().split("; ");
        let mut recommended: Vec<_> = clauses.filter_map(recommendation).collect();
        // A package that is called otherwise here is still the one that is meant.
        let is_named = |(name, _): &(&str, &str)| packages.iter().any(|one| is_same(one, name));
        // A package that is called otherwise here is still the one that is meant.
        if !recommended.iter().any(is_named) {
            recommended.truncate(1);
            recommended.iter_mut().for_each(|(name, _)| *name = "");
        }
        Self {
            recommended,
            properties: vulnerability.get("properties").items().collect(),
        }
    }

    /// The version in which `package` is repaired, which the document calls `reference`, and of whose
    /// versions it says `versions`.
    pub(super) fn version(
        &self,
        reference: &str,
        package: Option<&str>,
        versions: &Field<'_>,
    ) -> Option<String> {
        let package = package.unwrap_or_default();
        let mut recommended = self.recommended.iter();
        let recommended = recommended.find(|(name, _)| name.is_empty() || is_same(package, name));
        recommended
            .map(|(_, version)| (*version).to_owned())
            .or_else(|| self.property(reference))
            .or_else(|| unaffected(versions))
    }

    fn property(&self, reference: &str) -> Option<String> {
        const OF_INSPECTOR: &str = "amazon:inspector:sbom_scanner:fixed_version:";
        let said = |property: &&Field<'_>| match property.get("name").text() {
            Some("grype:fixed_versions") => true,
            Some(name) => name.strip_prefix(OF_INSPECTOR) == Some(reference),
            None => false,
        };
        self.properties.iter().find(said)?.get("value").string()
    }
}

/// Trivy's `Upgrade openssl to version 3.0.13-1`; of several versions the first.
fn recommendation(clause: &str) -> Option<(&str, &str)> {
    let (package, version) = clause
        .strip_prefix("Upgrade ")?
        .split_once(" to version ")?;
    let version = version.split([';', ' ', ',']).next()?;
    (!version.is_empty()).then_some((package, version))
}

/// Whether two names are of one package: Maven's are written with a colon or a slash.
fn is_same(a: &str, b: &str) -> bool {
    let plain = |name: &str| name.replace(':', "/");
    a == b || plain(a) == plain(b)
}

/// What is unaffected: versions, and the beginnings of ranges (`vers:generic/>=1.2.1`).
fn unaffected(versions: &Field<'_>) -> Option<String> {
    let unaffected = versions
        .items()
        .filter(|one| one.get("status").text() == Some("unaffected"));
    let fixed: Vec<String> = unaffected
        .filter_map(|one| {
            one.get("version")
                .string()
                .or_else(|| begin(one.get("range").text()?))
        })
        .collect();
    (!fixed.is_empty()).then(|| fixed.join(", "))
}

/// Where a range begins that is written with its beginning first.
fn begin(range: &str) -> Option<String> {
    let (_, constraints) = range.split_once('/')?;
    let begin = constraints.split('|').next()?.strip_prefix(">=")?;
    (!begin.is_empty()).then(|| begin.to_owned())
}
