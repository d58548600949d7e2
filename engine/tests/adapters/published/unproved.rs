//! What looks like a clean scan, or like a statement about everything, and proves neither: as public
//! documents, issues and sources show it.

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, SUBJECT_HEADER};

use crate::words::{check, decode_with, digest, meaning};

#[test]
fn a_system_that_trivy_recognised_and_did_not_look_at_is_no_clean_scan() {
    let report = |family: &str, results: Value| json!({"SchemaVersion": 2, "ArtifactName": "a/b:1.0", "ArtifactType": "container_image", "Metadata": {"OS": {"Family": family, "Name": "1"}, "ImageID": digest("cd"), "RepoDigests": [format!("a/b@{}", digest("ab"))]}, "Results": results});
    let jar = json!({"Target": "Java", "Class": "lang-pkgs", "Type": "jar"});
    // pkg/fanal/types/const.go; of some of these Trivy has no data, and leaves their packages out.
    for family in [
        "opensuse-leap",
        "slem",
        "centos-stream",
        "minimos",
        "echo",
        "openeuler",
        "something of next year",
    ] {
        check(
            &report(family, json!([jar])),
            &[&*format!(
                "rejected `Results`: not a completed scan: {family} was recognised"
            )],
        );
        let system = json!({"Target": "a/b", "Class": "os-pkgs", "Type": family});
        check(
            &report(family, json!([system, jar])),
            &["leaf? scanned abab by trivy:"],
        );
    }
    for family in ["none", ""] {
        check(
            &report(family, json!([jar])),
            &["leaf? scanned abab by trivy:"],
        );
    }
    // pkg/detector/ospkg/detect.go has no driver of these, and what `--list-all-pkgs` adds is there all
    // the same (fillPkgsInVulns).
    let listed = |family: &str| json!([{"Target": "a/b", "Class": "os-pkgs", "Type": family, "Packages": [{"Name": "openssl"}]}, jar]);
    for family in ["fedora", "centos-stream", "openeuler"] {
        check(
            &report(family, listed(family)),
            &[&*format!(
                "rejected `Results`: not a completed scan: packages of the system `{family}` are listed"
            )],
        );
    }
    for family in ["debian", "opensuse.leap", "slem", "minimos"] {
        check(
            &report(family, listed(family)),
            &["leaf? scanned abab by trivy:"],
        );
    }
    // apache/druid#16710, aquasecurity/trivy#577: testing and unstable have no release, and no data.
    for results in [
        listed("debian"),
        json!([{"Class": "os-pkgs", "Type": "debian"}]),
    ] {
        let mut unreleased = report("debian", results);
        unreleased["Metadata"]["OS"]["Name"] = json!("trixie/sid");
        check(
            &unreleased,
            &[
                "rejected `Metadata.OS.Name`: not a completed scan: Trivy has no data of `trixie/sid` of debian",
            ],
        );
    }
}

#[test]
fn the_operators_report_of_a_system_without_data_is_no_clean_scan() {
    let report = |family: &str, found: Value| {
        let counts = json!({"criticalCount": 0, "highCount": found.as_array().map_or(0, Vec::len), "mediumCount": 0, "lowCount": 0});
        json!({"artifact": {"digest": digest("ab"), "repository": "team/web"}, "os": {"family": family, "name": "43"}, "registry": {"server": "registry.example"},
        "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.66.0"}, "summary": counts, "updateTimestamp": "2026-01-05T10:00:00Z", "vulnerabilities": found})
    };
    let resource = |report: Value| json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReport", "metadata": {"name": "x"}, "report": report});
    let found = json!([{"vulnerabilityID": "CVE-1", "severity": "HIGH", "resource": "x", "installedVersion": "1"}]);
    let check = |report: Value, expected: &str| {
        check(&resource(report.clone()), &[expected]);
        // With `kubectl get -o jsonpath='{.report}'`, which looks like a report of Harbor's scanners.
        check(&report, &[expected.replace("report.", "").as_str()]);
    };
    check(
        report("fedora", json!([])),
        "rejected `report.os.family`: not a completed scan: Trivy has no data of `fedora`",
    );
    check(
        report("none", json!([])),
        "rejected `report.os`: not a completed scan: nothing recognised",
    );
    check(report("debian", json!([])), "scanned abab by trivy:");
    let mut unreleased = report("debian", json!([]));
    unreleased["os"]["name"] = json!("trixie/sid");
    check(
        unreleased,
        "rejected `report.os.name`: not a completed scan: Trivy has no data of this release of debian",
    );
    // Nothing says that this is in a package of the system.
    check(
        report("fedora", found.clone()),
        "rejected `report.os.family`: not a completed scan: Trivy has no data of `fedora`",
    );
    check(report("debian", found), "scanned abab by trivy: CVE-1=HIGH");
}

#[test]
fn a_document_without_components_is_no_scan() {
    // CycloneDX's own VEX use cases, and what Dependency-Track exports: statements about one image.
    let document = |version: u32, state: &str, components: Value| {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": "urn:uuid:1", "version": version,
        "metadata": {"timestamp": "2026-11-01T00:00:00Z", "component": {"bom-ref": "p", "type": "container", "name": "team/web", "purl": format!("pkg:oci/web@{}", digest("ab"))}},
        "components": components,
        "vulnerabilities": [{"id": "CVE-1", "ratings": [{"severity": "low"}], "analysis": {"state": state}, "affects": [{"ref": "p"}]}]})
    };
    let none = json!([]);
    for state in ["in_triage", "exploitable"] {
        check(&document(1, state, none.clone()), &["ignored"]);
        // What its earlier version granted holds no longer.
        check(
            &document(2, state, none.clone()),
            &[
                &*format!("rejected `{state}` for CVE-1, of all of an image"),
                "weir.override.revoked",
            ],
        );
    }
    check(
        &document(1, "not_affected", none),
        &["override CVE-1 abab "],
    );
}

#[test]
fn an_sbom_with_vex_in_it_is_no_scan() {
    let document = |tool: &str, analyses: &[Value]| {
        let each = analyses.iter().enumerate();
        let each = each.map(|(at, analysis)| json!({"id": format!("CVE-{}", at + 1), "ratings": [{"severity": "low"}], "analysis": analysis, "affects": [{"ref": "c"}]}));
        json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": "urn:uuid:1", "version": 1,
        "metadata": {"tools": [{"name": tool}], "component": {"bom-ref": "p", "type": "container", "name": "team/web", "purl": format!("pkg:oci/web@{}", digest("ab"))}},
        "components": [{"bom-ref": "c", "type": "library", "name": "lodash", "version": "4", "purl": "pkg:npm/lodash@4"}],
        "vulnerabilities": each.collect::<Vec<_>>()})
    };
    let state = |state: &str| json!({"state": state});
    let no_scan = "rejected `vulnerabilities`: statements about an image (VEX), not a scan of it";
    let waived = "override CVE-1 abab lodash@4";
    for tool in ["trivy", "syft", "cdxgen", "buildkit", "Dependency-Track"] {
        for word in ["exploitable", "in_triage", "no word of the format"] {
            check(&document(tool, &[state(word)]), &[no_scan]);
            check(
                &document(tool, &[state("not_affected"), state(word)]),
                &[waived, "ignored"],
            );
        }
        check(&document(tool, &[json!({"state": 7})]), &[no_scan]);
        // Of one of them nobody has said anything.
        for none in [Value::Null, json!({}), json!({"state": null}), state("")] {
            check(
                &document(tool, &[state("in_triage"), none]),
                &[&*format!(
                    "scanned abab by {}: CVE-1=LOW CVE-2=LOW",
                    tool.to_lowercase()
                )],
            );
        }
    }
    // These put states on what they find.
    for (tool, states) in [
        ("Xray", &["in_triage", "exploitable"][..]),
        ("owasp-depscan", &["in_triage", "exploitable"]),
        ("grype", &["in_triage"]),
    ] {
        let scanned = format!("scanned abab by {}: CVE-1=LOW", tool.to_lowercase());
        for word in states {
            check(&document(tool, &[state(word)]), &[&*scanned]);
            check(
                &document(tool, &[state("not_affected"), state(word)]),
                &[waived, &*format!("{scanned} CVE-2=LOW")],
            );
        }
        check(&document(tool, &[state("triaged by hand")]), &[no_scan]);
    }
    check(&document("grype", &[state("exploitable")]), &[no_scan]);
}

#[test]
fn a_distribution_that_grype_did_not_match_is_no_clean_scan() {
    let report = |name: &str, configuration: Value, alerts: Value| {
        json!({"matches": [], "source": {"type": "image", "target": {"userInput": "a/b", "imageID": digest("cd"), "manifestDigest": digest("ab"), "tags": [], "repoDigests": []}},
        "distro": {"name": name, "version": if name == "arch" { "" } else { "12" }, "idLike": []}, "descriptor": {"name": "grype", "version": "0.110.0", "configuration": configuration}, "alertsByPackage": alerts})
    };
    let alert = |kind: &str| json!([{"package": {"id": "1", "name": "openssl", "type": "alpm"}, "alerts": [{"type": kind, "message": "Package is from a distro that was not matched"}]}]);
    // anchore/grype grype/presenter/models/alert.go.
    for kind in ["distro-disabled", "distro-unknown"] {
        check(
            &report("newix", json!({}), alert(kind)),
            &["rejected `alertsByPackage[0].alerts[0]`: not a completed scan: `Package is from"],
        );
    }
    check(
        &report("debian", json!({}), alert("distro-eol")),
        &["leaf? scanned abab by grype:"],
    );
    // anchore/grype#1993, #1152, #347, #3232: before there were alerts.
    for name in ["arch", "openEuler", "fedora", "photon", "opensuse-leap"] {
        check(
            &report(name, json!({}), Value::Null),
            &["rejected `distro.name`: not a completed scan"],
        );
    }
    // anchore/grype#918, #2556: Debian's unstable has no version, and nothing was found in it.
    let mut unreleased = report("debian", json!({}), Value::Null);
    unreleased["distro"]["version"] = json!("");
    check(
        &unreleased,
        &["rejected `distro.version`: not a completed scan: which release of `debian`"],
    );
    // Newer databases say of whom they have data (anchore/grype#3154, vunnel#598).
    let mut newer = report("arch", json!({}), Value::Null);
    newer["descriptor"]["db"] =
        json!({"providers": {"alpine": {}, "arch": {}}, "status": {"valid": true}});
    check(&newer, &["leaf? scanned abab by grype:"]);
    newer["distro"]["name"] = json!("fedora");
    check(&newer, &["rejected `distro.name`: not a completed scan"]);
    // Rules that name neither a vulnerability nor a package leave out all of a kind or a place.
    let ignoring = |rule: Value| report("debian", json!({"ignore": [rule]}), Value::Null);
    for sweeping in [json!({"type": "deb"}), json!({"location": "/usr/**"})] {
        check(
            &ignoring(json!({"vulnerability": "", "fix-state": "", "package": sweeping})),
            &["rejected `descriptor.configuration.ignore[0].package."],
        );
    }
    for narrow in [
        json!({"vulnerability": "CVE-1", "package": {"type": "deb"}}),
        json!({"package": {"name": "kernel-headers", "type": "rpm"}}),
    ] {
        check(&ignoring(narrow), &["leaf? scanned abab by grype:"]);
    }
    check(
        &report("debian", json!({"exclude": ["/app/**"]}), Value::Null),
        &["rejected `descriptor.configuration.exclude`: the report is filtered"],
    );
    check(
        &report("debian", json!({"exclude": []}), Value::Null),
        &["leaf? scanned abab by grype:"],
    );
}

#[test]
fn snyk_says_in_a_rules_title_what_its_levels_do_not() {
    // snyk/cli src/lib/formatters/sarif-output.ts: critical and high are both errors.
    let report = |word: &str, properties: Value| {
        json!({"version": "2.1.0", "runs": [{
            "tool": {"driver": {"name": "Snyk Container", "rules": [{"id": "SNYK-DEBIAN11-ZLIB-1", "shortDescription": {"text": format!("{word} severity - Out-of-bounds Write vulnerability in zlib")}, "properties": properties}]}},
            "results": [{"ruleIndex": 0, "level": "error", "message": {"text": "This file introduces a vulnerable zlib package."}, "locations": [{"logicalLocations": [{"fullyQualifiedName": "zlib/zlib1g@1:1.2.11"}]}]}],
        }]})
    };
    let subject = digest("ef");
    let worker = [(SUBJECT_HEADER, subject.as_str())];
    for (word, properties, severity) in [
        ("Critical", json!({"security-severity": "null"}), "CRITICAL"),
        ("High", json!({"security-severity": "7.5"}), "HIGH"),
        // The worse of what is said counts.
        ("Low", json!({"security-severity": "9.8"}), "CRITICAL"),
    ] {
        let body = report(word, properties).to_string();
        let decoded = decode_with(&worker, &AdapterSettings::default(), &body);
        assert!(
            format!("{decoded:?}").contains(r#"\"package\":\"zlib/zlib1g\""#),
            "{decoded:?}"
        );
        assert_eq!(
            meaning(decoded),
            [format!(
                "scanned efef by snyk container: SNYK-DEBIAN11-ZLIB-1={severity}"
            )]
        );
    }
}

#[test]
fn a_statement_is_about_no_more_than_it_names() {
    let vex = |product: Value| {
        json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "version": 1,
               "statements": [{"vulnerability": {"name": "CVE-1"}, "products": [product], "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}]})
    };
    // aquasecurity/trivy .vex/trivy.openvex.json: a library in one program, not in every image.
    check(
        &vex(
            json!({"@id": "pkg:golang/github.com/aquasecurity/trivy", "subcomponents": [{"@id": "pkg:golang/github.com/opencontainers/runc"}]}),
        ),
        &[
            "rejected `statements[0].products[0].@id`: `pkg:golang/github.com/aquasecurity/trivy` is a package",
        ],
    );
    check(
        &vex(json!({"@id": "pkg:golang/github.com/opencontainers/runc@v1.1.0"})),
        &["override CVE-1  github.com/opencontainers/runc@v1.1.0"],
    );
    // docker/docs, Docker Scout: a tag, which may be another image tomorrow.
    for tagged in [
        "pkg:docker/example/app@v1",
        "pkg:oci/app?repository_url=r.example/app&tag=v1",
    ] {
        check(
            &vex(json!({"@id": tagged, "subcomponents": [{"@id": "pkg:npm/express@4.17.1"}]})),
            &["rejected `statements[0].products[0].@id`: an image by its tag `v1`, which may move"],
        );
    }
    // aquasecurity/trivy .vex/oci.openvex.json: Docker Hub by its other name.
    let hub = "pkg:oci/trivy?repository_url=index.docker.io%2Faquasec%2Ftrivy";
    let decoded = vex(json!({"@id": hub, "subcomponents": [{"@id": "pkg:apk/alpine/busybox"}]}));
    let decoded = decode_with(&[], &AdapterSettings::default(), &decoded.to_string());
    assert!(
        format!("{decoded:?}").contains(r#"\"repository\":\"docker.io/aquasec/trivy\""#),
        "{decoded:?}"
    );
    let hashed =
        json!({"@id": "pkg:docker/example/app@v1", "hashes": {"sha-256": "ab".repeat(32)}});
    check(&vex(hashed), &["override CVE-1 abab "]);
    check(
        &vex(json!({"@id": "pkg:docker/r.example/pay@sha256:a3f8c7d9..."})),
        &["rejected `statements[0].products[0].@id`"],
    );
    // CycloneDX: what was found of a program, or of an image that only a tag names.
    let log4j = "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1";
    let document = |component: Value| {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": {"component": component}, "components": [{"bom-ref": log4j, "type": "library", "name": "log4j-core", "purl": log4j, "version": "2.14.1"}],
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected", "justification": "code_not_reachable"}, "affects": [{"ref": log4j}]}]})
    };
    for kind in ["application", "container"] {
        let product = json!({"type": kind, "bom-ref": "acme", "name": "acme:1"});
        check(
            &document(product),
            &["rejected `vulnerabilities[0].affects[0].ref`: the document is about `acme:1`"],
        );
    }
    for itself in [
        Value::Null,
        json!({"type": "library", "bom-ref": log4j, "name": "log4j-core"}),
    ] {
        let package = "org.apache.logging.log4j:log4j-core@2.14.1";
        check(&document(itself), &[&*format!("override CVE-1  {package}")]);
    }
}

#[test]
fn packages_within_packages_are_packages() {
    let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": {"component": {"type": "container", "bom-ref": "root", "name": "web", "purl": format!("pkg:oci/web@{}", digest("ab"))}},
        "components": [{"type": "application", "bom-ref": "app", "name": "app", "components": [{"type": "library", "bom-ref": "a", "name": "liba", "version": "1.0", "licenses": [{"license": {"id": "GPL-3.0-only"}}]}]}],
        "vulnerabilities": [{"id": "CVE-1", "ratings": [{"severity": "critical"}], "affects": [{"ref": "a", "versions": [{"version": "0.9", "status": "unaffected"}, {"version": "1.0", "status": "affected"}]}]}]});
    let decoded = decode_with(&[], &AdapterSettings::default(), &document.to_string());
    let said = format!("{decoded:?}");
    for part in [
        r#"\"package\":\"liba\""#,
        r#"\"version\":\"1.0\""#,
        "GPL-3.0-only",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(
        meaning(decoded),
        ["scanned abab by cyclonedx: CVE-1=CRITICAL"]
    );
}

#[test]
fn how_grave_a_vulnerability_is_is_not_lost() {
    // in-toto/attestation spec/predicates/vuln.md: a list in its example, an object in its text.
    let listed = |severity: Value| {
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://in-toto.io/attestation/vulns/v0.2", "subject": [{"name": "a", "digest": {"sha256": "ab".repeat(32)}}],
               "predicate": {"scanner": {"uri": "pkg:github/anchore/grype@1", "result": [{"id": "CVE-1", "severity": severity}]}, "metadata": {"scanFinishedOn": "2026-01-02T00:00:00Z"}}})
    };
    for (severity, word) in [
        (json!({"method": "CVSSv3", "score": "7.5"}), "HIGH"),
        (json!({"method": "nvd", "score": "CRITICAL"}), "CRITICAL"),
        (json!([{"method": "nvd", "score": "9.8"}]), "CRITICAL"),
        // guacsec/guac internal/testing/testdata/exampledata/certify-vuln-v02.json.
        (
            json!([{"method": "CVSSv31", "score": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H"}]),
            "CRITICAL",
        ),
    ] {
        check(
            &listed(severity),
            &[&*format!("scanned abab by grype: CVE-1={word}")],
        );
    }
    check(
        &listed(json!([])),
        &[
            "scan failed abab none of the vulnerabilities that it found has a severity, a score, or a CVSS vector",
        ],
    );
    check(
        &listed(json!("high")),
        &["rejected `predicate.scanner.result[0].severity`: neither an object nor a list"],
    );
    // Inspector: a total of which no part is told.
    check(
        &json!({"version": "0", "id": "1", "detail-type": "Inspector2 Scan", "source": "aws.inspector2", "account": "1", "time": "2026-01-02T00:00:00Z", "region": "us-east-1", "resources": [format!("arn:aws:ecr:us-east-1:1:repository/a/b/{}", digest("ab"))],
                "detail": {"scan-status": "INITIAL_SCAN_COMPLETE", "repository-name": "arn:aws:ecr:us-east-1:1:repository/a/b", "finding-severity-counts": {"CRITICAL": 0, "HIGH": 0, "MEDIUM": 0, "TOTAL": 3}, "image-digest": digest("ab"), "image-tags": ["1"]}}),
        &["rejected `detail.finding-severity-counts[\"TOTAL\"]`"],
    );
}

#[test]
fn a_report_of_harbors_scanners_is_clean_only_where_it_says_so() {
    let report = |more: Value| {
        let mut report = json!({"generated_at": "2026-01-02T00:00:00Z", "artifact": {"digest": digest("ab")}, "scanner": {"name": "Trivy", "version": "1"}});
        for (name, value) in more.as_object().unwrap() {
            report[name] = value.clone();
        }
        report
    };
    // What Clair's, Aqua's and Anchore's adapters send of a clean image.
    for clean in [
        json!({"severity": "None", "vulnerabilities": null}),
        json!({"severity": "Unknown", "vulnerabilities": []}),
    ] {
        check(&report(clean), &["scanned abab by trivy:"]);
    }
    for (unproved, why) in [
        (
            json!({"severity": "High", "vulnerabilities": null}),
            "rejected `severity`: says that something was found",
        ),
        (
            json!({"severity": "High", "vulnerabilities": []}),
            "rejected `severity`: says that something was found",
        ),
        (
            json!({"severity": "None", "vulnerabilities": {}}),
            "rejected `vulnerabilities`: not a list",
        ),
        (
            json!({"severity": "None", "vulnerabilities": null, "media_type": "application/spdx+json", "sbom": {}}),
            "rejected `sbom`: an SBOM is not a scan",
        ),
    ] {
        check(&report(unproved), &[why]);
    }
    // aquasecurity/harbor-scanner-trivy pkg/scan/transformer.go: the score is among the vendor's.
    let scored = report(
        json!({"severity": "Critical", "vulnerabilities": [{"id": "CVE-1", "package": "p", "version": "1", "severity": "Critical", "vendor_attributes": {"CVSS": {"nvd": {"V3Score": 9.1, "V2Score": 10.0}}}}]}),
    );
    let decoded = decode_with(&[], &AdapterSettings::default(), &scored.to_string());
    assert!(
        format!("{decoded:?}").contains(r#"\"score\":9.1"#),
        "{decoded:?}"
    );
    // Of what is said of no image, each may have it.
    let keyed = json!({"application/vnd.security.vulnerability.report; version=1.1": {"generated_at": "2026-01-02T00:00:00Z", "scanner": {"name": "Trivy"}, "severity": "Critical", "vulnerabilities": [
        {"id": "CVE-1", "severity": "Low", "artifact_digests": [digest("ab")]}, {"id": "CVE-2", "severity": "Critical"}]}});
    check(&keyed, &["scanned abab by trivy: CVE-1=LOW CVE-2=CRITICAL"]);
}

#[test]
fn of_two_forms_of_one_scan_that_differ_neither_counts() {
    let form = |severity: &str, vulnerabilities: Value| {
        json!({"generated_at": "2026-01-02T00:00:00Z", "scanner": {"name": "Trivy"}, "severity": severity,
            "artifact": {"repository": "dev/web", "digest": digest("ab")}, "vulnerabilities": vulnerabilities})
    };
    let grave = form("Critical", json!([{"id": "CVE-1", "severity": "Critical"}]));
    let both = |second: Value| {
        json!({
            "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0": grave,
            "application/vnd.security.vulnerability.report; version=1.1": second,
        })
    };
    let clean = form("None", json!([]));
    check(&both(clean), &["rejected its reports of one scan differ"]);
    let said = "scanned abab by trivy: CVE-1=CRITICAL";
    check(&both(grave.clone()), &[said, said]);
}

#[test]
fn what_is_gone_is_gone_however_it_is_told() {
    // docs.aws.amazon.com logging-using-cloudtrail: a lifecycle policy.
    let expired = |failures: Value| {
        json!({"eventTime": "2020-03-12T20:22:12Z", "eventSource": "ecr.amazonaws.com", "eventName": "PolicyExecutionEvent", "eventID": "9354", "requestParameters": null, "responseElements": null, "eventType": "AwsServiceEvent",
               "serviceEventDetails": {"repositoryName": "testrepo", "lifecycleEventFailureDetails": failures, "lifecycleEventImageActions": [
                   {"lifecycleEventImage": {"digest": digest("dd"), "tagStatus": "Tagged", "tagList": ["alpine"]}, "rulePriority": 1}, {"lifecycleEventImage": {"digest": digest("6a")}, "rulePriority": 1}]}})
    };
    let gone = ["deleted testrepo@dddd", "deleted testrepo@6a6a"];
    check(&expired(json!([])), &gone);
    check(&expired(json!([{"error": "in use"}])), &["untold"]);
    let bridged = json!({"detail-type": "AWS Service Event via CloudTrail", "source": "aws.ecr", "time": "2020-03-12T20:22:12Z", "detail": expired(Value::Null)});
    check(&bridged, &gone);
    check(
        &json!({"eventTime": "2020-03-12T20:22:12Z", "eventSource": "ecr.amazonaws.com", "eventName": "DeleteRepository", "eventID": "1", "requestParameters": {"repositoryName": "testrepo", "force": true}, "responseElements": {"repository": {"repositoryName": "testrepo"}}}),
        &["weir.repository.deleted"],
    );
    // gitlab-org/container-registry notifications/bridge.go.
    check(
        &json!({"events": [{"id": "1", "action": "rename", "target": {"repository": "a/b", "rename": {"from": "a/b", "to": "a/c"}}}]}),
        &["untold"],
    );
    // docs.mirantis.com MSR webhooks: by the type alone.
    check(
        &json!({"type": "REPO_DELETED", "createdAt": "2026-01-02T00:00:00Z", "contents": {"namespace": "team", "repository": "web", "author": "ann"}}),
        &["weir.repository.deleted"],
    );
}
