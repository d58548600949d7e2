//! Scanners' reports, VEX documents and attestations.

use base64::Engine as _;
use serde_json::{Value, json};
use weir_engine::adapters::AdapterSettings;
use weir_schema::media_type;

use super::base64;
use crate::words::{check, check_text, decode_with, digest, meaning};

#[test]
fn trivys_reports_that_are_not_whole() {
    // aquasecurity/trivy integration/testdata and DefectDojo unittests/scans/trivy.
    let report = |metadata: Value, results: Value| json!({"SchemaVersion": 2, "CreatedAt": "2026-01-21T10:19:22.484900675+01:00", "ArtifactName": "ghcr.io/example/api:1.4.2", "ArtifactType": "container_image", "Metadata": metadata, "Results": results});
    let found = |id: &str| json!([{"VulnerabilityID": id, "PkgName": "openssl", "InstalledVersion": "3.1.4-r5", "FixedVersion": "3.1.4-r6", "Severity": "HIGH", "Status": "fixed"}]);
    // image_multi_digest.json: which of the two was scanned?
    check(
        &report(
            json!({"OS": {"Family": "alpine", "Name": "3.19.1"}, "RepoTags": ["ghcr.io/example/api:1.4.2"], "RepoDigests": [format!("ghcr.io/example/api@{}", digest("a1")), format!("ghcr.io/example/api@{}", digest("b2"))]}),
            json!([{"Target": "ghcr.io/example/api:1.4.2 (alpine 3.19.1)", "Class": "os-pkgs", "Type": "alpine", "Vulnerabilities": found("CVE-2024-0001")}]),
        ),
        &["rejected the report names several digests"],
    );
    // `--pkg-types library`: the system was seen, its packages were left out.
    let debian = json!({"OS": {"Family": "debian", "Name": "12.4"}, "ImageID": digest("cf"), "RepoDigests": [format!("a/b@{}", digest("ab"))]});
    check(
        &report(
            debian.clone(),
            json!([{"Target": "Java", "Class": "lang-pkgs", "Type": "jar"}]),
        ),
        &["rejected `Results`: not a completed scan: debian was recognised"],
    );
    check(
        &report(
            debian.clone(),
            json!([{"Target": "a/b (debian 12.4)", "Class": "os-pkgs", "Type": "debian"}, {"Target": "Java", "Class": "lang-pkgs", "Type": "jar"}]),
        ),
        &["leaf? scanned abab by trivy:"],
    );
    // An image without a distribution, a program in it.
    check(
        &report(
            json!({"ImageID": digest("cf"), "RepoDigests": [format!("a/b@{}", digest("ab"))]}),
            json!([{"Target": "server", "Class": "lang-pkgs", "Type": "gobinary", "Vulnerabilities": found("CVE-1")}]),
        ),
        &["leaf? scanned abab by trivy: CVE-1=HIGH"],
    );
    for (kind, results) in [
        (
            "secrets",
            json!([{"Target": "/app/key", "Class": "secret", "Secrets": [{"RuleID": "private-key", "Severity": "HIGH"}]}]),
        ),
        (
            "licenses",
            json!([{"Target": "OS Packages", "Class": "license", "Licenses": [{"Severity": "HIGH", "Name": "GPL-2.0"}]}]),
        ),
        (
            "misconfigurations",
            json!([{"Target": "Dockerfile", "Class": "config", "Type": "dockerfile", "MisconfSummary": {"Successes": 20, "Failures": 1}}]),
        ),
        ("nothing", json!([])),
    ] {
        let found = meaning(decode_with(
            &[],
            &AdapterSettings::default(),
            &report(debian.clone(), results).to_string(),
        ));
        assert!(
            found[0].starts_with("rejected not a completed scan"),
            "{kind}: {found:?}"
        );
    }
    // Of other things than images.
    for kind in [
        "filesystem",
        "repository",
        "cyclonedx",
        "spdx",
        "vm",
        "aws_account",
    ] {
        let other = json!({"SchemaVersion": 2, "ArtifactName": "x", "ArtifactType": kind, "Results": [{"Target": "x", "Class": "lang-pkgs", "Type": "npm", "Vulnerabilities": found("CVE-1")}]});
        check(&other, &["rejected `ArtifactType`"]);
    }
    // kubernetes.json and what `trivy k8s` writes now.
    for cluster in [
        json!({"ClusterName": "arn:aws:eks:us-east-1:1:cluster/c", "Vulnerabilities": [{"Namespace": "default", "Kind": "Deployment", "Name": "redis", "Results": []}]}),
        json!({"ClusterName": "kind-kind", "Resources": [{"Namespace": "default", "Kind": "Pod", "Name": "p", "Metadata": [], "Results": []}]}),
    ] {
        check(
            &cluster,
            &["rejected `ClusterName`: a report about a cluster"],
        );
    }
    // legacy_trivy_mix.json: a vulnerability that has no identifier.
    check(
        &json!([{"Target": "php-app/composer.lock", "Type": "composer", "Vulnerabilities": [{"PkgName": "simplito/elliptic-php"}]}]),
        &["rejected `Results[0].Vulnerabilities[0].VulnerabilityID` is missing"],
    );
    // alpine-310.gitlab.golden, .asff.golden, code quality: other programs' formats.
    check(
        &json!({"version": "15.0.7", "scan": {"type": "container_scanning"}, "vulnerabilities": [{"id": "CVE-1"}], "remediations": []}),
        &["rejected no adapter knows"],
    );
    check(
        &json!([{"type": "issue", "check_name": "CVE-1"}, {"type": "issue", "check_name": "CVE-2"}]),
        &["rejected in each element of the list: no adapter knows"],
    );
}

#[test]
fn the_trivy_operators_resources_one_by_one_and_listed() {
    // DefectDojo unittests/scans/trivy_operator.
    let resource = |kind: &str, report: Value| json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": kind, "metadata": {"name": "replicaset-nginx", "namespace": "default"}, "report": report});
    // vulnerabilityreport_no_vuln.json (operator of 2023): no system, so nothing says that it looked.
    let empty = json!({"artifact": {"repository": "library/nginx", "tag": "alpine"}, "registry": {"server": "index.docker.io"}, "scanner": {"name": "Trivy", "version": "0.38.2"},
        "summary": {"criticalCount": 0, "highCount": 0}, "updateTimestamp": "2023-03-23T16:23:01Z", "vulnerabilities": []});
    check(
        &resource("VulnerabilityReport", empty.clone()),
        &["rejected `report.os`: not a completed scan"],
    );
    let mut clean = empty.clone();
    clean["os"] = json!({"family": "alpine", "name": "3.17.2"});
    // aquasecurity/trivy-operator#2259: beside a tag it is the digest of the configuration.
    clean["artifact"]["digest"] = json!(digest("ab"));
    check(
        &resource("VulnerabilityReport", clean.clone()),
        &["leaf? scanned abab by trivy:"],
    );
    let artifact = clean["artifact"].as_object_mut().unwrap();
    artifact.remove("tag");
    check(
        &json!({"apiVersion": "v1", "kind": "List", "items": [resource("VulnerabilityReport", clean.clone()), resource("ConfigAuditReport", json!({"checks": []}))]}),
        &["scanned abab by trivy:", "ignored"],
    );
    check(
        &json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReportList", "items": [resource("VulnerabilityReport", empty), resource("VulnerabilityReport", clean.clone())]}),
        &["rejected `items[0].report.os`", "scanned abab by trivy:"],
    );
    check(
        &json!({"verb": "update", "operatorObject": resource("VulnerabilityReport", clean.clone())}),
        &["scanned abab by trivy:"],
    );
    check(
        &json!({"verb": "delete", "operatorObject": resource("VulnerabilityReport", clean)}),
        &["ignored"],
    );
    for kind in [
        "ExposedSecretReport",
        "SbomReport",
        "ClusterComplianceReport",
        "RbacAssessmentReport",
    ] {
        check(&resource(kind, json!({})), &["ignored"]);
    }
}

#[test]
fn grypes_reports_of_several_versions() {
    let report = |source: Value, matches: Value, distro: Value| json!({"matches": matches, "source": source, "distro": distro, "descriptor": {"name": "grype", "version": "0.74.7", "configuration": {"only-fixed": false, "ignore": [{"vulnerability": "", "package": {"name": "kernel-headers", "type": "rpm", "upstream-name": "kernel"}, "match-type": "exact-indirect-match"}]}, "db": {"built": "2024-04-10T01:25:25Z", "schemaVersion": 5}}});
    let matched = json!([{"vulnerability": {"id": "CVE-2009-3882", "namespace": "nvd:cpe", "severity": "High", "cvss": [{"version": "2.0", "metrics": {"baseScore": 7.5}}], "fix": {"versions": ["1.2.3"], "state": "fixed"}}, "artifact": {"name": "java", "version": "17.0.10+7\u{0}-J-ms8m", "type": "binary", "locations": [{"path": "/opt/java", "layerID": digest("08")}], "licenses": []}}]);
    let image = |target: Value| json!({"type": "image", "target": target});
    let alpine = json!({"name": "alpine", "version": "3.19.1", "idLike": []});
    // fix_available.json: a masked configuration digest is refused, however good the rest is.
    check(
        &report(
            image(
                json!({"userInput": "x", "imageID": "sha256:07a3eb7aaaaaaaaa69f29ff9a2945c9bb0a6592654421b8357c", "manifestDigest": digest("4e"), "tags": [], "repoDigests": []}),
            ),
            matched.clone(),
            alpine.clone(),
        ),
        &["rejected `source.target.imageID`"],
    );
    check(
        &report(
            image(
                json!({"userInput": "x", "imageID": digest("07"), "manifestDigest": digest("4e"), "tags": ["a/b:1"], "repoDigests": []}),
            ),
            matched.clone(),
            alpine.clone(),
        ),
        &["leaf? scanned 4e4e by grype: CVE-2009-3882=HIGH"],
    );
    // Grype of 2020: no digest of the manifest.
    check(
        &report(
            image(
                json!({"userInput": "a/b:1", "scope": "Squashed", "layers": [], "size": 1, "digest": digest("4e"), "mediaType": media_type::DOCKER_MANIFEST, "tags": ["a/b:1"]}),
            ),
            matched.clone(),
            alpine.clone(),
        ),
        &["resolve a/b:1"],
    );
    for (kind, target) in [
        ("directory", json!("/src")),
        ("file", json!("x.jar")),
        ("sbom-file", json!({})),
    ] {
        check(
            &report(
                json!({"type": kind, "target": target}),
                matched.clone(),
                alpine.clone(),
            ),
            &["rejected `source.type`"],
        );
    }
    let mut ignored = report(
        image(json!({"imageID": digest("07"), "manifestDigest": digest("4e")})),
        json!([]),
        alpine.clone(),
    );
    ignored["ignoredMatches"] = json!([{"vulnerability": {"id": "CVE-1"}, "appliedIgnoreRules": [{"vulnerability": "CVE-1"}]}]);
    check(&ignored, &["leaf? scanned 4e4e by grype:"]);
    check(
        &report(
            image(json!({"manifestDigest": digest("4e")})),
            json!([]),
            json!({"name": "", "version": "", "idLike": null}),
        ),
        &["rejected not a completed scan"],
    );
    check(
        &report(
            image(json!({"manifestDigest": digest("4e")})),
            Value::Null,
            alpine,
        ),
        &["rejected `matches` is missing"],
    );
}

#[test]
fn sarif_of_other_programs() {
    let run = |name: &str, rules: Value, results: Value, properties: Value| json!({"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [{"tool": {"driver": {"name": name, "version": "1", "rules": rules}}, "results": results, "properties": properties}]});
    let trivy = json!({"imageName": "a/b:1", "repoDigests": [format!("a/b@{}", digest("ab"))], "repoTags": ["a/b:1"]});
    let rule = json!([{"id": "CVE-1", "name": "OsPackageVulnerability", "properties": {"precision": "very-high", "security-severity": "9.8", "tags": ["vulnerability", "security", "CRITICAL"]}}]);
    let result = |more: Value| {
        let mut result = json!({"ruleId": "CVE-1", "ruleIndex": 0, "level": "error", "message": {"text": "Package: musl\nInstalled Version: 1.1.22-r2\nVulnerability CVE-1\nSeverity: CRITICAL\nFixed Version: 1.1.22-r3"}});
        for (name, value) in more.as_object().unwrap() {
            result[name] = value.clone();
        }
        result
    };
    check(
        &run(
            "Trivy",
            rule.clone(),
            json!([result(json!({}))]),
            trivy.clone(),
        ),
        &["scanned abab by trivy: CVE-1=CRITICAL"],
    );
    // SuppressionTestCurrent.sarif: what is suppressed is none; nothing else is left.
    check(
        &run(
            "Trivy",
            rule.clone(),
            json!([result(
                json!({"suppressions": [{"kind": "external", "status": "accepted"}]})
            )]),
            trivy.clone(),
        ),
        &["rejected `runs[0].results`: not a completed scan"],
    );
    check(
        &run("Trivy", rule.clone(), json!([]), trivy.clone()),
        &["rejected `runs[0].results`: not a completed scan: no results"],
    );
    check(
        &run("Trivy", rule.clone(), Value::Null, trivy),
        &["rejected `runs[0].results`"],
    );
    // Snyk of a container: the level grades it, and nothing names the image.
    let snyk = json!([{"id": "SNYK-DEBIAN11-OPENSSL-2388380", "shortDescription": {"text": "Medium severity - Infinite loop"}, "properties": {"tags": ["security", "CWE-835", "deb"]}}]);
    let found = json!([{"ruleId": "SNYK-DEBIAN11-OPENSSL-2388380", "level": "warning", "message": {"text": "This file introduces a vulnerable openssl package with a medium severity vulnerability."}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a_b"}}}]}]);
    check(
        &run("Snyk Container", snyk, found, Value::Null),
        &["rejected the report does not say which image was scanned"],
    );
    // Dockle, CodeQL: no vulnerabilities of packages.
    check(
        &run(
            "Dockle",
            json!([{"id": "CIS-DI-0010"}]),
            json!([{"ruleId": "CIS-DI-0010", "level": "error", "message": {"text": "Suspicious ENV key found"}}]),
            Value::Null,
        ),
        &[
            "rejected `runs[0].results`: not a completed scan: none of the results is a vulnerability that counts",
        ],
    );
    check(
        &json!({"version": "2.1.0", "runs": []}),
        &["rejected `runs` is missing"],
    );
}

#[test]
fn cyclonedx_with_and_without_an_image() {
    let document = |component: Value, vulnerabilities: Value| json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1, "metadata": {"timestamp": "2025-10-28T14:38:10Z", "tools": {"components": [{"type": "application", "name": "trivy", "version": "0.59.1"}]}, "component": component}, "components": [{"bom-ref": "pkg:deb/debian/zlib@1.2", "type": "library", "name": "zlib", "version": "1.2", "purl": "pkg:deb/debian/zlib@1.2"}], "vulnerabilities": vulnerabilities});
    let image = json!({"bom-ref": "i", "type": "container", "name": "a/b", "purl": format!("pkg:oci/b@{}?repository_url=a%2Fb", digest("ab").replace(':', "%3A"))});
    let open = json!({"id": "CVE-1", "ratings": [{"source": {"name": "nvd"}, "score": 9.1, "method": "CVSSv31", "severity": "critical"}, {"method": "other", "score": 10, "source": {"name": "EPSS"}}], "affects": [{"ref": "pkg:deb/debian/zlib@1.2"}]});
    check(
        &document(image.clone(), json!([open])),
        &["scanned abab by trivy: CVE-1=CRITICAL"],
    );
    // no-severity.json: what was looked at is not said.
    check(
        &json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1, "metadata": {"timestamp": "2025-10-28T14:38:10Z"}, "vulnerabilities": [{"id": "CVE-2021-44228", "ratings": [{"score": 10.0, "method": "CVSSv3"}], "affects": [{"ref": "gerbwetbqt"}]}]}),
        &["rejected `components`: not a completed scan: no components"],
    );
    for empty in [json!([]), Value::Null] {
        check(
            &document(image.clone(), empty),
            &["rejected an SBOM is not a scan"],
        );
    }
    let analysed = |state: &str| {
        let mut one = open.clone();
        one["analysis"] =
            json!({"state": state, "justification": "code_not_reachable", "detail": "not called"});
        one
    };
    for state in [
        "not_affected",
        "false_positive",
        "resolved",
        "resolved_with_pedigree",
    ] {
        check(
            &document(Value::Null, json!([analysed(state)])),
            &["override CVE-1  zlib@1.2"],
        );
        check(
            &document(image.clone(), json!([analysed(state)])),
            &["override CVE-1 abab zlib"],
        );
    }
    for state in ["exploitable", "in_triage"] {
        check(
            &document(image.clone(), json!([open, analysed(state)])),
            &["scanned abab by trivy: CVE-1=CRITICAL CVE-1=CRITICAL"],
        );
    }
    check_text(
        "<?xml version=\"1.0\"?><bom xmlns=\"http://cyclonedx.org/schema/bom/1.4\"/>",
        &["rejected no JSON"],
    );
}

#[test]
fn openvex_of_every_version_is_bound_to_what_it_names() {
    // openvex/go-vex pkg/vex/testdata/v0.0.1.json: products are texts, versions too.
    check(
        &json!({"@context": "https://openvex.dev/ns/v0.0.1", "@id": "https://openvex.dev/docs/example/vex-9fb3463de1b57", "author": "Wolfi J Inkinson", "role": "Document Creator", "timestamp": "2023-01-08T18:02:03.647787998-06:00", "version": "1",
                "statements": [{"vulnerability": "CVE-2023-12345", "products": ["pkg:apk/wolfi/git@2.39.0-r1?arch=armv7", "pkg:apk/wolfi/git@2.39.0-r1?arch=x86_64"], "status": "fixed"}]}),
        &["override CVE-2023-12345  git@2.39.0-r1"],
    );
    let statement = |version: Value, statement: Value| json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "timestamp": "2026-01-01T00:00:00Z", "version": version, "statements": [statement]});
    let image = format!(
        "pkg:oci/web@{}?repository_url=registry.example%2Fteam%2Fweb",
        digest("ab").replace(':', "%3A")
    );
    check(
        &statement(
            json!(1),
            json!({"vulnerability": {"@id": "https://nvd.nist.gov/vuln/detail/CVE-1", "name": "CVE-1", "aliases": ["GHSA-1"]}, "products": [{"@id": image, "identifiers": {"purl": image}}], "status": "not_affected", "justification": "component_not_present"}),
        ),
        &["override CVE-1 abab "],
    );
    check(
        &statement(
            json!(2),
            json!({"vulnerability": {"name": "CVE-1"}, "products": [{"@id": image}], "status": "under_investigation"}),
        ),
        &[
            "rejected `under_investigation` for CVE-1, of all of an image: what an earlier version",
            "weir.override.revoked",
        ],
    );
    check(
        &statement(
            json!(1),
            json!({"vulnerability": {"name": "CVE-1"}, "products": [{"@id": image}], "status": "not_affected"}),
        ),
        &["rejected `statements[0].status`: `not_affected` without"],
    );
    check(
        &statement(
            json!(1),
            json!({"vulnerability": {"name": "CVE-1"}, "products": [], "status": "fixed"}),
        ),
        &["rejected `statements[0].products` is missing"],
    );
    check(
        &statement(
            json!(1),
            json!({"products": [{"@id": image}], "status": "fixed"}),
        ),
        &["rejected `statements[0].vulnerability"],
    );
}

#[test]
fn attestations_of_scans_wrapped_and_bare() {
    // in-toto/attestation spec/predicates/vulns_02.md.
    let statement = |result: Value, metadata: Value| {
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "foo", "digest": {"sha256": "fe4fe40ac7250263c5dbe1cf3138912f3f416140aa248637a60d65fe22c47da4"}}],
               "predicateType": "https://in-toto.io/attestation/vulns/v0.2",
               "predicate": {"scanner": {"uri": "pkg:github/aquasecurity/trivy@244fd47e07d1004f0aed9", "version": "0.19.2", "db": {"uri": "pkg:github/aquasecurity/trivy-db", "version": "v1-2021080612", "lastUpdate": "2021-08-06T17:45:50.52Z"}, "result": result}, "metadata": metadata}})
    };
    let times = json!({"scanStartedOn": "2021-08-06T17:45:50.52Z", "scanFinishedOn": "2021-08-06T17:50:50.52Z"});
    let found = json!([{"id": "CVE-123", "severity": [{"method": "nvd", "score": "medium"}, {"method": "cvss_score", "score": "5.2"}]}]);
    let expected = ["scanned fe4f by trivy: CVE-123=MEDIUM"];
    check(&statement(found.clone(), times.clone()), &expected);
    // "An empty list means the scanner found no vulnerabilities", where it says that it is done.
    check(
        &statement(json!([]), times.clone()),
        &["scanned fe4f by trivy:"],
    );
    check(
        &statement(
            json!([]),
            json!({"scanStartedOn": "2021-08-06T17:45:50.52Z"}),
        ),
        &["rejected `predicate.scanner.result`: not a completed scan"],
    );
    check(
        &statement(json!({}), times.clone()),
        &["rejected `predicate.scanner.result`: a report in a form that is not known"],
    );
    // In an envelope (DSSE) and in a bundle of Sigstore, in both alphabets of base64.
    let text = statement(found, times).to_string();
    let envelope = |payload: String| json!({"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": [{"keyid": "", "sig": "MEUC"}]});
    check(&envelope(base64(&text)), &expected);
    check(
        &envelope(base64::engine::general_purpose::URL_SAFE.encode(&text)),
        &expected,
    );
    check(
        &json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": {}, "dsseEnvelope": envelope(base64(&text))}),
        &expected,
    );
    check(&envelope("%%%".into()), &["rejected `payload`: no base64"]);
    let mut short: Value = serde_json::from_str(&text).unwrap();
    short["subject"][0]["digest"] = json!({"sha256": "fe4f"});
    check(&short, &["rejected `subject[0].digest.sha256`"]);
    for other in [
        "https://slsa.dev/provenance/v1",
        "https://spdx.dev/Document",
        "https://cyclonedx.org/bom",
    ] {
        check(
            &json!({"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicateType": other, "predicate": {}}),
            &["ignored"],
        );
    }
}
