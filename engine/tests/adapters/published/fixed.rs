//! Where reports say in which version a vulnerability is repaired: a rule may ask for what can be.

use serde_json::{Value, json};

use crate::words::{decode_text, decode_with, digest, findings};

use weir_engine::adapters::{AdapterSettings, SUBJECT_HEADER};

fn cyclonedx(vulnerability: Value) -> Vec<String> {
    let mut whole = json!({"id": "CVE-1", "ratings": [{"severity": "high"}], "affects": [{"ref": "crypto"}, {"ref": "pkg:apk/alpine/libssl3@3.0.7-r0"}]});
    for (name, value) in vulnerability.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.7", "version": 1,
        "metadata": {"component": {"type": "container", "name": "a/b", "purl": format!("pkg:oci/b@{}", digest("ab"))}},
        "components": [
            {"bom-ref": "crypto", "type": "library", "name": "libcrypto3", "version": "3.0.7-r0", "purl": "pkg:apk/alpine/libcrypto3@3.0.7-r0"},
            {"bom-ref": "pkg:apk/alpine/libssl3@3.0.7-r0", "type": "library", "name": "libssl3", "version": "3.0.7-r0"},
        ], "vulnerabilities": [whole]});
    let found = findings(decode_text(&document.to_string()));
    let fixed = found.iter().map(|line| {
        let (_, after) = line.split_once("@3.0.7-r0").expect("a version");
        after.trim().to_owned()
    });
    fixed.collect()
}

#[test]
fn each_package_of_a_cyclonedx_document_has_its_own_repair() {
    // Trivy joins what it recommends for each package.
    let recommended = |text: &str| cyclonedx(json!({"recommendation": text}));
    assert_eq!(
        recommended(
            "Upgrade libcrypto3 to version 3.0.8-r0; Upgrade libssl3 to version 3.0.9-r0, 3.1.1-r0"
        ),
        ["3.0.8-r0", "3.0.9-r0"]
    );
    assert_eq!(
        recommended("Upgrade libssl3 to version 3.0.9-r0"),
        ["", "3.0.9-r0"]
    );
    // A package that is called otherwise here.
    assert_eq!(
        recommended("Upgrade openssl to version 3.0.9-r0"),
        ["3.0.9-r0", "3.0.9-r0"]
    );
    assert_eq!(recommended("See the vendor's advisory"), ["", ""]);
}

#[test]
fn repairs_in_ranges_and_properties_are_seen() {
    // anchore/grype, grype/presenter/cyclonedx/testdata: CycloneDX 1.7.
    let versions = json!([
        {"version": "3.0.7-r0", "status": "affected"},
        {"range": "vers:generic/>=3.0.8-r0", "status": "unaffected"},
        {"range": "vers:generic/>=3.1.1-r0|<4", "status": "unaffected"},
        {"range": "vers:generic/<2", "status": "unaffected"},
    ]);
    assert_eq!(
        cyclonedx(json!({"affects": [{"ref": "crypto", "versions": versions}]})),
        ["3.0.8-r0, 3.1.1-r0"]
    );
    // Its CycloneDX VEX of before.
    let of_grype = json!([{"name": "grype:fixed_versions", "value": "3.0.8-r0"}]);
    assert_eq!(
        cyclonedx(json!({"properties": of_grype, "affects": [{"ref": "crypto"}]})),
        ["3.0.8-r0"]
    );
    // Amazon Inspector's SBOM scanner, by the component's reference.
    let of_inspector = json!([
        {"name": "amazon:inspector:sbom_scanner:priority", "value": "standard"},
        {"name": "amazon:inspector:sbom_scanner:fixed_version:crypto", "value": "3.0.8-r0"},
    ]);
    assert_eq!(
        cyclonedx(json!({"properties": of_inspector})),
        ["3.0.8-r0", ""]
    );
}

#[test]
fn an_old_report_of_grype_has_its_repairs_and_scores() {
    // Before 0.8: `fixedInVersion`, `cvssV2` and `cvssV3` in place of `fix` and `cvss`.
    let report = json!({
        "matches": [{"vulnerability": {"id": "CVE-1", "severity": "High", "cvssV2": {"baseScore": 6.0}, "cvssV3": {"baseScore": 8.1, "vector": "v"}, "fixedInVersion": "2"}, "artifact": {"name": "p", "version": "1", "type": "deb"}}],
        "source": {"type": "image", "target": {"userInput": "a/b", "tags": [], "repoDigests": []}},
        "distro": {"name": "debian", "version": "10", "idLike": ""}, "descriptor": {"name": "grype", "version": "0.7.0"},
    });
    let of = digest("ab");
    let decoded = decode_with(
        &[(SUBJECT_HEADER, &of)],
        &AdapterSettings::default(),
        &report.to_string(),
    );
    assert_eq!(findings(decoded), ["CVE-1 HIGH p@1 2"]);
}

#[test]
fn versions_that_are_unaffected_are_repairs() {
    // owasp-dep-scan/dep-scan: affected and unaffected versions of each package.
    let versions = json!([{"version": "3.0.7-r0", "status": "affected"}, {"version": "3.0.8-r0", "status": "unaffected"}]);
    assert_eq!(
        cyclonedx(json!({"affects": [{"ref": "crypto", "versions": versions}]})),
        ["3.0.8-r0"]
    );
}

/// The findings of a document of one result of `tool`.
fn sarif(tool: &str, rule: Value, more: Value) -> Vec<String> {
    let mut result = json!({"ruleId": rule["id"], "level": "error", "message": {"text": "x"}});
    let more = more.as_object().unwrap().clone();
    result.as_object_mut().unwrap().extend(more);
    let document = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": tool, "rules": [rule]}}, "results": [result]}]});
    let decoded = decode_with(
        &[(SUBJECT_HEADER, &digest("ab"))],
        &AdapterSettings::default(),
        &document.to_string(),
    );
    findings(decoded)
}

#[test]
fn jfrogs_results_have_their_repairs_in_brackets() {
    // jfrog/jfrog-cli-security, tests/testdata/output: SARIF of an image.
    let fixed = |version: &str| {
        let rule = json!({"id": "CVE-2024-38428_debian:bookworm:wget_1.21.3-1+b1", "properties": {"security-severity": "9.1"}});
        sarif(
            "JFrog Xray Scanner",
            rule,
            json!({"properties": {"fixedVersion": version}}),
        )
    };
    let finding = "CVE-2024-38428 CRITICAL debian:bookworm:wget@1.21.3-1+b1";
    for (said, version) in [
        ("[1.21.4-1]", " 1.21.4-1"),
        ("[1.21.4-1], [1.24.5-1]", " 1.21.4-1, 1.24.5-1"),
        ("[1.21.4-1],[1.24.5-1]", " 1.21.4-1, 1.24.5-1"),
        ("1.21.4-1", " 1.21.4-1"),
        ("(,1.21.4-1)", ""),
        ("No fix available", ""),
        ("", ""),
    ] {
        assert_eq!(fixed(said), [format!("{finding}{version}")], "{said}");
    }
}

#[test]
fn snyks_results_have_their_repairs_in_the_help_of_the_rule_or_in_fixes() {
    // snyk/cli, src/lib/formatters/sarif-output.ts and open-source-sarif-output.ts.
    let fixed = |remediation: &str, fix: &str| {
        let rule = json!({"id": "SNYK-DEBIAN13-OPENSSL-4", "fullDescription": {"text": "(CVE-2024-1) openssl/libssl3@3.0.1"}, "properties": {"security-severity": "9.8"},
            "help": {"text": "", "markdown": format!("* Package Manager: deb:13\n* Vulnerable module: openssl\n# NVD Description\nUpgrade now to version 9.\n## Remediation\n{remediation}\n## References\n")}});
        let fixes = json!([{"description": {"text": fix}, "artifactChanges": []}]);
        sarif("Snyk Container", rule, json!({ "fixes": fixes }))
    };
    let finding = "SNYK-DEBIAN13-OPENSSL-4 CRITICAL openssl/libssl3@3.0.1";
    let none = "There is no fixed version for `Debian:13` `openssl`.";
    for (remediation, fix, version) in [
        (
            "Upgrade `Debian:13` `openssl` to version 3.5.0-1 or higher.",
            "",
            " 3.5.0-1",
        ),
        (
            "Upgrade `qs` to version 6.2.4, 6.3.3 or higher.",
            "",
            " 6.2.4, 6.3.3",
        ),
        (none, "Upgrade to openssl@3.5.0-1", " 3.5.0-1"),
        (none, "Upgrade to openssl/libssl3@3.5.0-1", " 3.5.0-1"),
        // What brings the package along.
        (none, "Upgrade to curl@8.0", ""),
        (none, "", ""),
    ] {
        assert_eq!(
            fixed(remediation, fix),
            [format!("{finding}{version}")],
            "{remediation}"
        );
    }
}

#[test]
fn checkovs_results_name_their_packages_and_repairs() {
    // bridgecrewio/checkov, checkov/common/output/sarif.py.
    let found = |id: &str, status: &str| {
        let rule = json!({"id": id, "name": "SCA package scan", "properties": {"security-severity": "10.0"},
            "help": {"text": format!("SCA package scan\nResource: reg/dev/a:1.x\nStatus: {status}")}});
        sarif("Checkov", rule, json!({}))
    };
    for (id, status, finding) in [
        (
            "CVE-2021-44228_org.apache.logging.log4j:log4j-core@2.14.1",
            "fixed in 2.15.0",
            "CVE-2021-44228 CRITICAL org.apache.logging.log4j:log4j-core@2.14.1 2.15.0",
        ),
        (
            "PRISMA-2021-0003_a_b@1.0",
            "open",
            "PRISMA-2021-0003 CRITICAL a_b@1.0",
        ),
        (
            "GHSA-xxxx-yyyy-zzzz_@scope/x@1",
            "",
            "GHSA-xxxx-yyyy-zzzz CRITICAL @scope/x@1",
        ),
        (
            "CVE-2022-1_zlib@1.2_git2-r0",
            "",
            "CVE-2022-1 CRITICAL zlib@1.2_git2-r0",
        ),
        // JFrog's are split at the last underscore, a scope or not.
        (
            "CVE-2022-1_@scope/x_1.0",
            "",
            "CVE-2022-1 CRITICAL @scope/x@1.0",
        ),
    ] {
        assert_eq!(found(id, status), [finding]);
    }
}
