//! In which version a vulnerability is repaired, as SARIF documents say it: the specification has no
//! field for it, and each scanner its own place.
//!
//! | scanner | place |
//! |---|---|
//! | Trivy, Grype, roxctl, Docker Scout | a line `Fixed Version: VERSION` of the message or of the rule's help |
//! | Checkov | a line `Status: fixed in VERSION` of the rule's help |
//! | JFrog | `properties.fixedVersion` of the result: `[VERSION]`, joined by commas |
//! | Snyk | `## Remediation` in the rule's help: `Upgrade PACKAGE to version VERSION or higher.`; `fixes` of the result |

use super::super::field::Field;

/// The version in which `package` is repaired, by the fields of its result and rule.
pub(super) fn version(
    rule: Option<&Field<'_>>,
    result: &Field<'_>,
    package: Option<&str>,
) -> Option<String> {
    let help = rule.map(|rule| rule.get("help").get("markdown"));
    let property = result.get("properties").get("fixedVersion");
    property
        .text()
        .and_then(listed)
        .or_else(|| remedied(help?.text()?))
        .or_else(|| upgraded(result, package?))
}

/// What a line for the fixed version says; `None` for the words that say that there is none.
pub(super) fn said(version: &str) -> Option<String> {
    let none = ["not fixed", "No fix available", "None", ""];
    (!none.contains(&version)).then(|| version.to_owned())
}

/// JFrog's `[1.2.3], [2.0.1]`. Its ranges, which are written with parentheses, name no version.
fn listed(text: &str) -> Option<String> {
    let plain = |one: &str| one.trim().trim_matches(['[', ']']).to_owned();
    let versions = text.split("],").map(plain);
    let versions: Vec<_> = versions
        .filter(|version| !version.contains(['(', ')']))
        .filter_map(|version| said(&version))
        .collect();
    (!versions.is_empty()).then(|| versions.join(", "))
}

/// Snyk's ``Upgrade `openssl` to version 3.5.0-1 or higher.``, under its heading.
fn remedied(help: &str) -> Option<String> {
    let (_, remediation) = help.split_once("## Remediation")?;
    let mut lines = remediation.lines().map(str::trim);
    lines.find_map(|line| {
        let (_, version) = line.strip_prefix("Upgrade ")?.split_once(" to version ")?;
        let version = version.split(" or higher").next()?.trim_end_matches('.');
        said(version)
    })
}

/// Snyk's `Upgrade to NAME@VERSION`, if it is this package: it may be one that brings it along.
fn upgraded(result: &Field<'_>, package: &str) -> Option<String> {
    let fixes: Vec<_> = result.get("fixes").items().collect();
    fixes.iter().find_map(|fix| {
        let text = fix.get("description").get("text");
        let (name, version) = text.text()?.strip_prefix("Upgrade to ")?.rsplit_once('@')?;
        // Distributions' packages are named `SOURCE/PACKAGE`.
        let source = package.split_once('/').map(|(source, _)| source);
        let is_this = name == package || Some(name) == source;
        is_this.then(|| said(version))?
    })
}
