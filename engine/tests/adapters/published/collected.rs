//! Reports that public repositories keep, and what is near to them.

use serde_json::{Value, json};
use weir_engine::adapters::AdapterSettings;

use crate::words::{changed, check, decode_with, digest, meaning};

fn sarif(tool: &str, rule: Value, result: Value) -> Value {
    json!({"version": "2.1.0", "runs": [{
        "tool": {"driver": {"name": tool, "version": "1", "rules": [rule]}}, "results": [result],
    }]})
}

/// What comes of a payload whose sender names the image.
fn of_subject(body: &Value) -> Vec<String> {
    let headers = [("weir-subject-digest", &*digest("cd"))];
    let settings = AdapterSettings {
        vex: true,
        ..AdapterSettings::default()
    };
    meaning(decode_with(&headers, &settings, &body.to_string()))
}

#[test]
fn a_placeholder_for_a_score_is_none() {
    // m4theuzzz/Oversight, metricas/docker-vulnerabilities.json: Docker Scout 1.6.3.
    let scout = |severity: &str, score: Value| {
        let rule = json!({"id": "CVE-2024-2511", "name": "OsPackageVulnerability", "properties": {
            "cvssV3": score, "cvssV3_severity": severity, "security-severity": "3.1", "tags": [severity],
            "purls": ["pkg:apk/alpine/openssl@3.1.4-r5?os_name=alpine"],
        }});
        let text = format!(
            "  Vulnerability   : CVE-2024-2511  \n  Severity        : {severity}  \n  Package         : pkg:apk/alpine/openssl@3.1.4-r5?os_name=alpine  \n"
        );
        let result = json!({"ruleId": "CVE-2024-2511", "message": {"text": text}});
        of_subject(&sarif("docker scout", rule, result))
    };
    assert_eq!(
        scout("UNSPECIFIED", Value::Null),
        ["scanned cdcd by docker scout: CVE-2024-2511=UNKNOWN"]
    );
    assert_eq!(
        scout("LOW", json!(3.7)),
        ["scanned cdcd by docker scout: CVE-2024-2511=LOW"]
    );
}

#[test]
fn older_sarif_names_the_image_by_the_place_of_a_result() {
    let image = "ab".repeat(32);
    // openvex/vexctl, pkg/ctl/testdata/sarif/nginx-grype.sarif.json: Grype 0.63.
    let rule = json!({"id": "CVE-2005-2541-tar", "help": {"text": "Vulnerability CVE-2005-2541\nSeverity: low\nPackage: tar\nVersion: 1.34\n"}});
    let grype = |name: String| {
        let result = json!({"ruleId": "CVE-2005-2541-tar", "message": {"text": "The path reports tar at version 1.34"},
            "locations": [{"logicalLocations": [{"name": "/x", "fullyQualifiedName": name}]}]});
        sarif("Grype", rule.clone(), result)
    };
    let layer = "cd".repeat(32);
    check(
        &grype(format!(
            "nginx@sha256:{image}@sha256:{layer}:/var/lib/dpkg/status"
        )),
        &["scanned abab by grype: CVE-2005-2541=LOW"],
    );
    // With a tag there is the layer's alone.
    check(
        &grype(format!("nginx:1.25@sha256:{layer}:/var/lib/dpkg/status")),
        &["rejected the report does not say which image was scanned"],
    );
    // The same folder, nginx-snyk.sarif.json.
    let rule = json!({"id": "SNYK-DEBIAN12-APT-1541449",
        "shortDescription": {"text": "Low severity - Improper Verification vulnerability in apt"},
        "fullDescription": {"text": "(CVE-2011-3374) apt/libapt-pkg6.0@2.6.1"}});
    let result = json!({"ruleId": "SNYK-DEBIAN12-APT-1541449", "level": "note", "message": {"text": "m"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": format!("nginx@sha256_{image}")}}}]});
    check(
        &sarif("Snyk Container", rule, result),
        &["scanned abab by snyk container: SNYK-DEBIAN12-APT-1541449=LOW"],
    );
}

#[test]
fn a_version_that_the_package_url_has_is_the_one_that_is_installed() {
    let rule = json!({"id": "CVE-1", "help": {"text": "### Impact\n\nVersion: 9.9.9\n"}});
    let result = json!({"ruleId": "CVE-1", "message": {"text": "Severity : HIGH\nPackage : pkg:npm/phin@2.9.3\n"}});
    let headers = [("weir-subject-digest", &*digest("cd"))];
    let body = sarif("docker scout", rule, result).to_string();
    let decoded = decode_with(&headers, &AdapterSettings::default(), &body);
    let told = format!("{decoded:?}");
    assert!(told.contains("2.9.3") && !told.contains("9.9.9"), "{told}");
}

#[test]
fn an_attestation_of_nothing_is_about_what_its_sender_says() {
    // ravan/sluice, testdata/cosignvuln/alertmanager-0-0.34.0.x86_64-21.8.trivy_vuln.intoto.json.
    let report = changed("trivy/image-clean.json", |_| {});
    let attestation = json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
        "subject": [{"name": "", "digest": {"sha256": ""}}],
        "predicate": {
            "scanner": {"uri": "pkg:github/aquasecurity/trivy@0.74.0", "version": "0.74.0", "result": report},
            "metadata": {"scanFinishedOn": "2026-09-01T22:36:29Z"},
        },
    });
    check(
        &attestation,
        &["rejected `subject[0].digest.sha256` is missing"],
    );
    assert_eq!(of_subject(&attestation), ["scanned cdcd by trivy:"]);
}

#[test]
fn inspectors_list_of_components_names_the_configuration() {
    // docs.aws.amazon.com, Amazon Inspector SBOM Generator.
    let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.5",
        "metadata": {
            "tools": [{"name": "Amazon Inspector SBOM Generator", "version": "1.0.0"}],
            "component": {"bom-ref": "comp-1", "type": "container", "name": "fedora:latest", "properties": [
                {"name": "amazon:inspector:sbom_generator:image_id", "value": digest("ab")},
            ]},
        },
        "components": [{"bom-ref": "comp-2", "type": "library", "name": "dnf", "version": "4.18.0", "purl": "pkg:pypi/dnf@4.18.0"}],
        "vulnerabilities": [{"id": "IN-CERTIFICATE-001", "affects": [{"ref": "comp-2"}], "ratings": [{"severity": "medium"}]}],
    });
    check(&document, &["leaf?"]);
}

#[test]
fn no_waiver_reaches_beyond_the_part_or_the_versions_that_it_names() {
    // denzuko/podcast-mgr, vex.cdx.json.
    let cyclonedx = |reference: &str| {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "vulnerabilities": [
            {"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": reference}]},
        ]})
    };
    // GIScience/openrouteservice, openvex.json.
    let openvex = |product: &str| {
        json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex", "author": "a", "timestamp": "2026-01-01T00:00:00Z", "version": 1,
            "statements": [{"vulnerability": {"name": "CVE-1"}, "products": [{"@id": product}],
                "status": "not_affected", "justification": "component_not_present"}]})
    };
    let of_a_part = "pkg:golang/golang.org/x/crypto@v0.30.0#openpgp";
    let of_a_range = "pkg:deb/debian/libc6@>=0.0.0-0";
    for (reference, told) in [
        (of_a_part, "a part of a package"),
        (of_a_range, "a range of versions"),
    ] {
        for document in [cyclonedx(reference), openvex(reference)] {
            let meaning = of_subject(&document);
            assert!(
                meaning.len() == 1
                    && meaning[0].starts_with("rejected")
                    && meaning[0].contains(told),
                "{meaning:?} of {document}"
            );
        }
    }
    // A component whose own package URL says so.
    let mut document = cyclonedx("one");
    document["components"] = json!([{"bom-ref": "one", "type": "library", "name": "crypto", "version": "v0.30.0", "purl": of_a_part}]);
    let meaning = of_subject(&document);
    assert!(
        meaning
            .iter()
            .any(|one| one.contains("a part of a package")),
        "{meaning:?}"
    );
}
