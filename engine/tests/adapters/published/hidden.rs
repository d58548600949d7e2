//! Reports in which something was not looked at or left out, in forms that look like clean ones.

use serde_json::{Value, json};

use weir_engine::adapters::{AdapterSettings, SUBJECT_HEADER};

use crate::words::{check, check_with, decode_text, decode_with, digest, meaning};

/// A scan in which a library has a vulnerability, beside the packages of a system.
fn cyclonedx(tool: &str, system: Value, affected: &str) -> Value {
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"tools": {"components": [{"type": "application", "name": tool, "version": "0.60.0"}]},
            "component": {"type": "container", "name": "a", "bom-ref": "a", "version": digest("ab")}},
        "components": [system,
            {"type": "library", "bom-ref": "system", "name": "bash", "version": "5", "purl": "pkg:rpm/fedora/bash@5?arch=x86_64"},
            {"type": "library", "bom-ref": "library", "name": "stdlib", "version": "1.22.0", "purl": "pkg:golang/stdlib@1.22.0"}],
        "vulnerabilities": [{"id": "CVE-1", "ratings": [{"severity": "low"}], "affects": [{"ref": affected}]}]})
}

#[test]
fn a_finding_in_a_library_does_not_prove_that_the_system_was_looked_at() {
    // aquasecurity/trivy, pkg/sbom/cyclonedx: the system is a component; anchore/syft,
    // syft/format/internal/cyclonedxutil: so it is of Grype.
    let system = |name: &str, version: &str| json!({"type": "operating-system", "bom-ref": "os", "name": name, "version": version});
    for (tool, name, version) in [
        ("trivy", "fedora", "40"),
        ("trivy", "debian", "trixie/sid"),
        ("trivy", "nixos", "24.05"),
        ("grype", "arch", ""),
        ("grype", "fedora", "40"),
        ("grype", "debian", ""),
    ] {
        check(
            &cyclonedx(tool, system(name, version), "library"),
            &[&*format!(
                "rejected `components[0].name`: not a completed scan: {tool} has no data of the system `{name}"
            )],
        );
    }
    let fedora = system("fedora", "40");
    for (tool, system, affected) in [
        ("trivy", system("debian", "12.5"), "library"),
        ("grype", system("debian", "12"), "library"),
        ("trivy", system("alpine", "3.20.0"), "library"),
        // What it found something in, it has data of.
        ("trivy", fedora.clone(), "system"),
        ("grype", fedora.clone(), "pkg:rpm/fedora/bash@5"),
        // Of others it is not known what they have data of.
        ("osv-scanner", fedora, "library"),
    ] {
        check(
            &cyclonedx(tool, system, affected),
            &[&*format!("scanned abab by {tool}: CVE-1=LOW")],
        );
    }
}

#[test]
fn a_rule_that_takes_all_of_a_source_or_a_kind_of_match_is_a_filter() {
    // anchore/grype, grype/match/ignore.go.
    let grype = |applied: Value, configured: Value| {
        json!({"matches": [], "distro": {"name": "debian", "version": "12", "idLike": []},
            "ignoredMatches": [{"vulnerability": {"id": "CVE-1", "severity": "Critical"}, "artifact": {"name": "openssl", "version": "3", "type": "deb"}, "appliedIgnoreRules": [applied]}],
            "source": {"type": "image", "target": {"userInput": "a/b", "imageID": digest("cd"), "manifestDigest": digest("ab"), "tags": [], "repoDigests": []}},
            "descriptor": {"name": "grype", "version": "0.110.0", "configuration": {"ignore": [configured]}, "db": {"status": {"valid": true}}}})
    };
    let named = json!({"vulnerability": "CVE-1"});
    for rule in [
        json!({"namespace": "debian:distro:debian:12"}),
        json!({"match-type": "exact-indirect-match"}),
        json!({"package": {"name": ".*"}}),
        json!({"package": {"name": "\\w+"}}),
        json!({"package": {"name": "[a-z].*"}}),
        json!({"package": {"upstream-name": ".+", "type": "deb"}}),
        json!({"vulnerability": "", "package": {"version": "3"}}),
    ] {
        for body in [
            grype(rule.clone(), named.clone()),
            grype(named.clone(), rule),
        ] {
            let found = meaning(decode_text(&body.to_string()));
            assert!(found[0].contains("the report is filtered"), "{found:?}");
        }
    }
    for rule in [
        named.clone(),
        // Grype's own, which is in each report.
        json!({"vulnerability": "", "namespace": "", "fix-state": "", "package": {"name": "linux(-.*)?-headers-.*", "version": "", "language": "", "type": "deb", "location": "", "upstream-name": "linux.*"}, "match-type": "exact-indirect-match"}),
        json!({"namespace": "vex", "vex-status": "not_affected"}),
        json!({"vex-status": "fixed"}),
        json!({}),
    ] {
        check(
            &grype(rule.clone(), rule),
            &["leaf? scanned abab by grype:"],
        );
    }
}

#[test]
fn a_match_that_no_rule_left_out_is_a_filter_that_nobody_tells() {
    let report = |rules: Value| {
        json!({"matches": [], "source": {"type": "image", "target": {"userInput": "a/b", "imageID": digest("cd"), "manifestDigest": digest("ab"), "tags": [], "repoDigests": []}},
        "distro": {"name": "debian", "version": "12", "idLike": []}, "descriptor": {"name": "grype", "version": "0.110.0"},
        "ignoredMatches": [{"vulnerability": {"id": "CVE-1", "severity": "Critical"}, "artifact": {"name": "openssl", "version": "3", "type": "deb"}, "appliedIgnoreRules": rules}]})
    };
    for none in [json!([]), Value::Null, json!({})] {
        check(
            &report(none),
            &[
                "rejected `ignoredMatches[0].appliedIgnoreRules`: a match is left out, and no rule says why",
            ],
        );
    }
    check(
        &report(json!([{"vulnerability": "CVE-1"}])),
        &["leaf? scanned abab by grype:"],
    );
}

#[test]
fn a_report_whose_name_and_digests_differ_is_of_neither() {
    let report = |name: &str, image_id: Value| {
        json!({"SchemaVersion": 2, "ArtifactName": name, "ArtifactType": "container_image", "Metadata": {"ImageID": image_id, "RepoDigests": [format!("a/b@{}", digest("ab"))]},
        "Results": [{"Target": "a/b (debian 12)", "Class": "os-pkgs", "Type": "debian"}]})
    };
    let [same, other] = ["ab", "bb"].map(|one| format!("a/b@{}", digest(one)));
    check(
        &report(&other, Value::Null),
        &["rejected the report names several digests and does not say which of them was scanned"],
    );
    for name in [&*same, "a/b:1"] {
        check(&report(name, Value::Null), &["scanned abab by trivy:"]);
    }
    // The configuration tells which of them it is.
    check(
        &report(&other, json!(digest("cd"))),
        &["leaf? scanned abab by trivy:"],
    );
}

#[test]
fn another_program_that_writes_reports_as_grype_does_is_not_grype() {
    // xeol-io/xeol, internal/presenter/json: what is no longer maintained, in Grype's form.
    let report = |program: Value| {
        json!({"matches": [], "distro": {"name": "debian", "version": "12", "idLike": []},
            "source": {"type": "image", "target": {"userInput": "a/b", "imageID": digest("cd"), "manifestDigest": digest("ab"), "tags": [], "repoDigests": []}},
            "descriptor": {"name": program, "version": "0.10.4", "configuration": {"lookahead": "30d"}, "db": {"built": "2024-11-01T08:14:00Z", "error": null}}})
    };
    let attested = |report: Value| {
        json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
            "subject": [{"name": "a", "digest": {"sha256": "ab".repeat(32)}}],
            "predicate": {"scanner": {"uri": "https://github.com/xeol-io/xeol", "result": report}, "metadata": {"scanFinishedOn": "2026-01-02T00:00:00Z"}}})
    };
    let refused = "`descriptor.name`: a report of `xeol`, which is not Grype";
    check(&report(json!("xeol")), &[&*format!("rejected {refused}")]);
    check(
        &attested(report(json!("xeol"))),
        &[&*format!("rejected `predicate.scanner.result`: {refused}")],
    );
    check(
        &report(json!(["grype"])),
        &["rejected `descriptor.name`: expected a text"],
    );
    for named in [json!("grype"), json!(null)] {
        check(&report(named), &["leaf? scanned abab by grype:"]);
    }
}

#[test]
fn a_scan_that_grades_nothing_ends_what_the_same_scanner_said_before() {
    // kubernetes-sigs/security-profiles-operator, hack/attest-vulns.sh: govulncheck.
    let attested = |result: Value| {
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://in-toto.io/attestation/vulns/v0.2",
            "subject": [{"name": "a", "digest": {"sha256": "ab".repeat(32)}}],
            "predicate": {"scanner": {"uri": "https://pkg.go.dev/golang.org/x/vuln/cmd/govulncheck", "result": result}, "metadata": {"scanFinishedOn": "2026-01-02T00:00:00Z"}}})
    };
    check(&attested(json!([])), &["scanned abab by govulncheck:"]);
    check(
        &attested(json!([{"id": "GO-2024-1", "severity": []}])),
        &["scan failed abab none of the vulnerabilities that it found has a severity"],
    );
    check(
        &attested(
            json!([{"id": "GO-2024-1", "severity": []}, {"id": "GO-2024-2", "severity": [{"method": "nvd", "score": "high"}]}]),
        ),
        &["scanned abab by govulncheck: GO-2024-1=UNKNOWN GO-2024-2=HIGH"],
    );
}

#[test]
fn of_two_scans_that_differ_neither_is_of_the_one_image_that_the_sender_names() {
    let run = |image: &str, severity: &str, score: &str| {
        json!({"tool": {"driver": {"name": "Trivy", "version": "0.50.0", "rules": [{"id": format!("CVE-{severity}"), "name": "OsPackageVulnerability", "properties": {"security-severity": score, "tags": ["vulnerability", severity]}}]}},
            "properties": {"imageID": digest(image), "imageName": "a"},
            "results": [{"ruleId": format!("CVE-{severity}"), "message": {"text": format!("Package: a\nInstalled Version: 1\nVulnerability CVE-1\nSeverity: {severity}\nFixed Version: ")}}]})
    };
    let subject = [("weir-subject-digest", &*digest("ab"))];
    let critical = run("cd", "CRITICAL", "9.8");
    check_with(
        &subject,
        &json!({"version": "2.1.0", "runs": [critical, run("ef", "LOW", "2.0")]}),
        &["rejected several scans by one scanner, and `weir-subject-digest` names one image"],
    );
    check_with(
        &subject,
        &json!({"version": "2.1.0", "runs": [critical, run("cd", "LOW", "2.0")]}),
        &["scanned abab by trivy: CVE-1=CRITICAL CVE-1=LOW"],
    );
}

#[test]
fn a_clean_report_beside_one_that_cannot_be_read_says_nothing_of_the_one_image_that_the_sender_names()
 {
    let clean = json!({"matches": [], "descriptor": {"name": "grype", "version": "0.92.0"}, "distro": {"name": "alpine", "version": "3.20", "idLike": []},
        "source": {"type": "image", "target": {"manifestDigest": digest("ab"), "imageID": digest("cd")}}});
    let mut cut = clean.clone();
    cut["matches"] = json!("...");
    let subject = [("weir-subject-digest", &*digest("ab"))];
    let body = json!([clean, cut]);
    check_with(
        &subject,
        &body,
        &[
            "rejected a part of what `weir-subject-digest` says to be about one image cannot be read",
        ],
    );
    check(
        &body,
        &["leaf? scanned abab by grype:", "rejected not of the form"],
    );
}

#[test]
fn the_overview_of_a_scan_that_goes_on_is_no_report() {
    // goharbor/harbor, src/pkg/scan/vuln/summary.go, sent as if it were the report.
    let report = |status: &str, percent: u32| {
        let overview = json!({"report_id": "1", "scan_status": status, "severity": "None", "complete_percent": percent, "scanner": {"name": "Trivy", "version": "v0.60.0"}});
        json!({"application/vnd.security.vulnerability.report; version=1.1": overview})
    };
    let subject = [("weir-subject-digest", &*digest("ab"))];
    for (status, percent, field) in [
        ("Running", 100, "scan_status"),
        ("Error", 100, "scan_status"),
        ("Success", 50, "complete_percent"),
    ] {
        let found = meaning(decode_with(
            &subject,
            &AdapterSettings::default(),
            &report(status, percent).to_string(),
        ));
        assert!(
            found[0].starts_with("rejected")
                && found[0].contains(&format!("{field}`: not a completed scan")),
            "{found:?}"
        );
    }
    check_with(
        &subject,
        &report("Success", 100),
        &["scanned abab by trivy:"],
    );
}

#[test]
fn what_is_stated_to_count_is_nothing_to_override_wherever_it_holds() {
    // CycloneDX's case 12 of VEX (SBOM_and_VEX in its examples).
    let vex = json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1, "metadata": {"component": {"type": "application", "name": "ABC", "bom-ref": "abc"}},
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "in_triage"}, "affects": [{"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#web"}]}]});
    check(&vex, &["ignored"]);
}

#[test]
fn of_a_product_without_a_digest_nothing_is_waived_until_the_image_is_named() {
    // CISA's case 3 among CycloneDX's examples of VEX.
    let vex = json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1, "metadata": {"component": {"type": "application", "name": "ABC", "bom-ref": "abc"}},
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "abc"}]}]});
    check(
        &vex,
        &[
            "rejected `vulnerabilities[0].affects[0].ref`: the whole of something that is named without the digest of an image: it could be any; name the image in the header `weir-subject-digest`",
        ],
    );
    let subject = digest("ab");
    let named = [(SUBJECT_HEADER, subject.as_str())];
    check_with(&named, &vex, &["override CVE-1 abab "]);
}

#[test]
fn an_action_in_parts_is_not_azures() {
    // IBM Cloud's documentation of its container registry's events.
    let ibm = json!({"action": "container-registry.image.push", "target": {"id": "crn:v1:bluemix:public:container-registry", "typeURI": "container-registry/image"}, "outcome": "success"});
    check(&ibm, &["rejected no adapter knows"]);
}
