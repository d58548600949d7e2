//! Scanners, VEX documents and attestations.

use base64::Engine as _;
use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, SUBJECT_HEADER};
use weir_schema::media_type;

use crate::words::{check, decode_with, digest, meaning};

#[test]
fn trivy_before_its_second_schema_gave_a_bare_list() {
    let found = json!([{"VulnerabilityID": "CVE-1", "PkgName": "musl", "InstalledVersion": "1.1.22-r2", "FixedVersion": "1.1.22-r3", "Severity": "CRITICAL"}]);
    let list = |target: &str, found: &Value| {
        json!([
            {"Target": target, "Type": "alpine", "Vulnerabilities": found},
            {"Target": "app/package-lock.json", "Type": "npm", "Vulnerabilities": null},
        ])
    };
    check(
        &list(&format!("a/b@{} (alpine 3.10.2)", digest("ab")), &found),
        &["scanned abab by trivy: CVE-1=CRITICAL"],
    );
    check(
        &list("a/b:1.0 (alpine 3.10.2)", &Value::Null),
        &["resolve a/b:1.0"],
    );
    check(
        &list("image.tar (alpine 3.10.2)", &found),
        &["rejected the report does not say which image was scanned"],
    );
    let subject = digest("ef");
    let worker = [(SUBJECT_HEADER, subject.as_str())];
    let body = list("image.tar (alpine 3.10.2)", &found).to_string();
    assert_eq!(
        meaning(decode_with(&worker, &AdapterSettings::default(), &body)),
        ["scanned efef by trivy: CVE-1=CRITICAL"]
    );
    // The second schema in its first versions had types and no classes.
    check(
        &json!({"SchemaVersion": 2, "ArtifactName": format!("a/b@{}", digest("ab")), "ArtifactType": "container_image", "Metadata": {}, "Results": [{"Target": "a/b (debian 11)", "Type": "debian"}]}),
        &["scanned abab by trivy:"],
    );
    check(
        &json!({"SchemaVersion": 2, "ArtifactName": "dir", "ArtifactType": "filesystem", "Results": [{"Target": "go.mod", "Class": "lang-pkgs", "Type": "gomod"}]}),
        &["rejected `ArtifactType`: `filesystem` is not a container image"],
    );
}

#[test]
fn the_trivy_operator_reports_the_image_of_a_container() {
    let report = |artifact: Value, found: Value, os: Value| {
        json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReport", "metadata": {"name": "replicaset-web", "namespace": "default"},
               "report": {"artifact": artifact, "registry": {"server": "r.example:5000"}, "os": os, "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.58.1"},
                          "summary": {"criticalCount": 0, "highCount": found.as_array().map_or(0, Vec::len)}, "updateTimestamp": "2026-08-21T10:00:00Z", "vulnerabilities": found}})
    };
    let found = json!([{"vulnerabilityID": "CVE-1", "resource": "openssl", "installedVersion": "1", "fixedVersion": "2", "severity": "HIGH", "score": 7.5, "target": "t"}]);
    let debian = json!({"family": "debian", "name": "12"});
    let by_digest = json!({"repository": "team/web", "digest": digest("ab")});
    check(
        &report(by_digest.clone(), found.clone(), debian.clone()),
        &["scanned abab by trivy: CVE-1=HIGH"],
    );
    check(
        &report(by_digest.clone(), json!([]), debian.clone()),
        &["scanned abab by trivy:"],
    );
    check(
        &report(by_digest.clone(), json!([]), json!({})),
        &["rejected `report.os`: not a completed scan"],
    );
    check(
        &report(by_digest.clone(), Value::Null, debian.clone()),
        &["rejected `report.vulnerabilities` is missing"],
    );
    check(
        &report(
            json!({"repository": "team/web", "tag": "1.0"}),
            found.clone(),
            debian.clone(),
        ),
        &["resolve r.example:5000/team/web:1.0"],
    );
    let webhook = |verb: &str| json!({"verb": verb, "operatorObject": report(by_digest.clone(), found.clone(), debian.clone())});
    check(&webhook("update"), &["scanned abab by trivy: CVE-1=HIGH"]);
    check(&webhook("delete"), &["ignored"]);
    check(
        &json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "ConfigAuditReport", "report": {}}),
        &["ignored"],
    );
}

#[test]
fn grype_of_several_versions() {
    let report = |descriptor: Value, matches: Value| {
        json!({"matches": matches, "source": {"type": "image", "target": {"userInput": "a/b:1.0", "imageID": digest("cd"), "manifestDigest": digest("ab"), "mediaType": media_type::DOCKER_MANIFEST, "tags": ["a/b:1.0"], "repoDigests": []}},
               "distro": {"name": "debian", "version": "12", "idLike": []}, "descriptor": descriptor})
    };
    let old = json!({"name": "grype", "version": "0.40.0", "configuration": {"only-fixed": false}, "db": {"built": "2026-08-20T00:00:00Z", "schemaVersion": 5}});
    let new = json!({"name": "grype", "version": "0.92.0", "configuration": {"only-fixed": false, "ignore-wontfix": ""}, "db": {"status": {"schemaVersion": "v6.0.2", "built": "2026-08-20T00:00:00Z", "valid": true}, "providers": {}}, "timestamp": "2026-08-21T10:00:00Z"});
    let found = |severity: &str| json!([{"vulnerability": {"id": "CVE-1", "severity": severity, "cvss": [], "fix": {"versions": [], "state": "wont-fix"}, "risk": 1.2}, "relatedVulnerabilities": [], "matchDetails": [], "artifact": {"name": "zlib", "version": "1", "type": "deb", "locations": [{"path": "/var/lib/dpkg/status"}], "licenses": [{"value": "Zlib", "type": "declared"}]}}]);
    for descriptor in [old, new.clone()] {
        check(
            &report(descriptor.clone(), found("Negligible")),
            &["leaf? scanned abab by grype: CVE-1=NEGLIGIBLE"],
        );
        check(
            &report(descriptor, json!([])),
            &["leaf? scanned abab by grype:"],
        );
    }
    let mut filtered = new;
    filtered["configuration"]["ignore-wontfix"] = json!("wont-fix");
    check(
        &report(filtered, json!([])),
        &["rejected `descriptor.configuration.ignore-wontfix`: the report is filtered"],
    );
}

#[test]
fn sarif_of_snyk_and_docker_scout() {
    let sarif = |driver: Value, result: Value| json!({"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [{"tool": {"driver": driver}, "results": [result]}]});
    let scout = sarif(
        json!({"name": "docker scout", "fullName": "Docker Scout", "version": "1.15.0", "rules": [{"id": "CVE-1", "name": "OsPackageVulnerability", "shortDescription": {"text": "CVE-1"},
            "help": {"text": "text"}, "properties": {"affected_version": "<2", "fixed_version": "2", "purls": ["pkg:deb/debian/zlib@1?os_name=debian"], "security-severity": "9.8", "tags": ["CRITICAL"]}}]}),
        json!({"ruleId": "CVE-1", "ruleIndex": 0, "kind": "fail", "level": "error", "message": {"text": "  Vulnerability   : CVE-1\n  Severity        : CRITICAL\n  Package         : pkg:deb/debian/zlib@1?os_name=debian\n  Affected range  : <2\n  Fixed version   : 2\n"}}),
    );
    let snyk = sarif(
        json!({"name": "Snyk Container", "rules": [{"id": "SNYK-DEBIAN12-ZLIB-1", "shortDescription": {"text": "High severity - Out-of-bounds vulnerability in zlib"}, "properties": {"tags": ["security", "CWE-787", "deb"], "cvssv3_baseScore": 7.5, "security-severity": "7.5"}}]}),
        json!({"ruleId": "SNYK-DEBIAN12-ZLIB-1", "level": "error", "message": {"text": "This file introduces a vulnerable zlib package with a high severity vulnerability."}}),
    );
    let subject = digest("ef");
    let worker = [(SUBJECT_HEADER, subject.as_str())];
    for (body, expected) in [
        (scout, "scanned efef by docker scout: CVE-1=CRITICAL"),
        (
            snyk,
            "scanned efef by snyk container: SNYK-DEBIAN12-ZLIB-1=HIGH",
        ),
    ] {
        // SARIF itself does not say which image was scanned: only who asked for the scan knows.
        check(
            &body,
            &["rejected the report does not say which image was scanned"],
        );
        assert_eq!(
            meaning(decode_with(
                &worker,
                &AdapterSettings::default(),
                &body.to_string()
            )),
            [expected]
        );
    }
    let lint = sarif(
        json!({"name": "hadolint", "rules": []}),
        json!({"ruleId": "DL3008", "level": "warning", "message": {"text": "Pin versions"}}),
    );
    check(
        &lint,
        &[
            "rejected `runs[0].results`: not a completed scan: none of the results is a vulnerability that counts",
        ],
    );
}

#[test]
fn cyclonedx_of_every_version_that_has_vulnerabilities() {
    let document = |version: &str, tools: Value| {
        json!({"bomFormat": "CycloneDX", "specVersion": version, "serialNumber": "urn:uuid:1", "version": 1,
               "metadata": {"timestamp": "2026-08-21T10:00:00Z", "tools": tools, "component": {"type": "container", "bom-ref": "root", "name": "a/b", "purl": format!("pkg:oci/b@sha256%3A{}?repository_url=r.example%2Fa%2Fb", "ab".repeat(32))}},
               "components": [{"bom-ref": "z", "type": "library", "name": "zlib", "version": "1", "purl": "pkg:deb/debian/zlib@1"}],
               "vulnerabilities": [{"id": "CVE-1", "ratings": [{"source": {"name": "nvd"}, "score": 7.5, "severity": "high", "method": "CVSSv31"}], "affects": [{"ref": "z"}]},
                                   {"id": "CVE-2", "ratings": [{"severity": "critical"}], "analysis": {"state": "in_triage"}, "affects": [{"ref": "z"}]},
                                   {"id": "CVE-3", "ratings": [{"severity": "critical"}], "analysis": {"state": "not_affected", "justification": "code_not_reachable"}, "affects": [{"ref": "z"}]}]})
    };
    for (version, tools) in [
        (
            "1.4",
            json!([{"vendor": "acme", "name": "Scanner", "version": "1"}]),
        ),
        (
            "1.5",
            json!({"components": [{"type": "application", "name": "scanner", "version": "1"}]}),
        ),
        (
            "1.6",
            json!({"components": [{"type": "application", "group": "acme", "name": "scanner", "version": "1"}], "services": []}),
        ),
    ] {
        check(
            &document(version, tools),
            &[
                "override CVE-3 abab zlib",
                "scanned abab by scanner: CVE-1=HIGH CVE-2=CRITICAL",
            ],
        );
    }
}

#[test]
fn openvex_of_its_first_version_and_in_an_attestation() {
    let old = json!({"@context": "https://openvex.dev/ns", "@id": "doc", "author": "ann", "timestamp": "2026-08-21T10:00:00Z", "version": 1,
        "statements": [{"vulnerability": "CVE-1", "products": [format!("pkg:oci/web@sha256:{}", "ab".repeat(32))], "subcomponents": ["pkg:deb/debian/zlib@1"], "status": "not_affected", "justification": "vulnerable_code_not_present"}]});
    check(&old, &["override CVE-1 abab zlib"]);
    check(
        &json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://openvex.dev/ns/v0.2.0", "subject": [{"name": "web", "digest": {"sha256": "ab".repeat(32)}}], "predicate": old}),
        &["override CVE-1 abab zlib"],
    );
}

#[test]
fn attestations_in_every_wrapping() {
    let trivy = json!({"SchemaVersion": 2, "ArtifactName": "a/b", "ArtifactType": "container_image", "Metadata": {"RepoDigests": [format!("a/b@{}", digest("cd"))]},
        "Results": [{"Target": "t", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [{"VulnerabilityID": "CVE-1", "PkgName": "zlib", "Severity": "LOW"}]}]});
    let predicate = json!({"invocation": {"parameters": null, "uri": "", "event_id": "", "builder.id": ""}, "scanner": {"uri": "pkg:github/aquasecurity/trivy@0.59.1", "version": "0.59.1", "db": {"uri": "", "version": ""}, "result": trivy}, "metadata": {"scanStartedOn": "2026-08-21T10:00:00Z", "scanFinishedOn": "2026-08-21T10:00:01Z"}});
    // Bare, as `trivy --format cosign-vuln` writes it: the report itself says what it is about.
    check(&predicate, &["scanned cdcd by trivy: CVE-1=LOW"]);
    let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1", "subject": [{"name": "a/b", "digest": {"sha256": "cd".repeat(32)}}], "predicate": predicate});
    let expected = ["scanned cdcd by trivy: CVE-1=LOW"];
    check(&statement, &expected);
    let payload = base64::engine::general_purpose::STANDARD.encode(statement.to_string());
    let envelope = json!({"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": [{"sig": "x"}]});
    check(&envelope, &expected);
    check(
        &json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": {}, "dsseEnvelope": envelope}),
        &expected,
    );
    let listed = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://in-toto.io/attestation/vulns/v0.2", "subject": [{"digest": {"sha256": "ab".repeat(32)}}],
        "predicate": {"scanner": {"uri": "https://github.com/acme/scanner", "version": "1", "db": {"uri": "d", "version": "v", "lastUpdate": "2026-08-20T00:00:00Z"}, "result": [{"id": "CVE-1", "severity": [{"method": "CVSS_V3", "score": "HIGH"}], "annotations": []}]}, "metadata": {"scanStartedOn": "2026-08-21T10:00:00Z", "scanFinishedOn": "2026-08-21T10:00:01Z"}}});
    check(&listed, &["scanned abab by scanner: CVE-1=HIGH"]);
}
