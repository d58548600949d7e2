//! How grave a finding is, of which packages, and where a statement about it holds, where documents say
//! it in less usual ways: as public sources and issues show it.

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, SUBJECT_HEADER};

use crate::words::{check, check_with, decode_with, digest, findings};

/// What a SARIF run of `tool` with these rules and results found: `ID SEVERITY PACKAGE@VERSION` each.
fn found(tool: &str, rules: Value, results: Value) -> Vec<String> {
    let header = [(SUBJECT_HEADER, &*digest("ab"))];
    findings(decode_with(
        &header,
        &AdapterSettings::default(),
        &sarif(tool, rules, results).to_string(),
    ))
}

fn sarif(tool: &str, rules: Value, results: Value) -> Value {
    json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": tool, "rules": rules}}, "results": results}]})
}

#[test]
fn a_word_that_is_not_known_does_not_hide_the_score_beside_it() {
    // stackrox roxctl/image/scan/testdata/testComponents.json: Red Hat's words.
    let rule = |id: &str, word: &str, score: &str| json!({"id": id, "help": {"text": format!("Vulnerability {id}\nSeverity {word}\nCVSS {score}\nComponent curl\nVersion 7.0")}, "properties": {"security-severity": score, "tags": ["security", word]}});
    let result = |id: &str| json!({"ruleId": id, "message": {"text": "x"}});
    assert_eq!(
        found(
            "roxctl",
            json!([
                rule("CVE-1", "IMPORTANT", "8.8"),
                rule("CVE-2", "MODERATE", "5.3"),
                rule("CVE-3", "LOW", "9.8"),
                rule("CVE-4", "UNKNOWN", "9.8")
            ]),
            json!([
                result("CVE-1"),
                result("CVE-2"),
                result("CVE-3"),
                result("CVE-4")
            ]),
        ),
        [
            "CVE-1 HIGH curl@7.0",
            "CVE-2 MEDIUM curl@7.0",
            "CVE-3 LOW curl@7.0",
            "CVE-4 UNKNOWN curl@7.0"
        ]
    );
    // Without a score the level tells, as if there were no word.
    let at =
        |id: &str, level: &str| json!({"ruleId": id, "level": level, "message": {"text": "x"}});
    let unscored = json!([
        rule("CVE-1", "IMPORTANT", "0.0"),
        rule("CVE-2", "LOW", "3.1")
    ]);
    assert_eq!(
        found(
            "roxctl",
            unscored,
            json!([at("CVE-1", "error"), at("CVE-2", "note")]),
        ),
        ["CVE-1 HIGH curl@7.0", "CVE-2 LOW curl@7.0"]
    );
    check_with(
        &[(SUBJECT_HEADER, &digest("ab"))],
        &sarif(
            "roxctl",
            json!([rule("CVE-1", "IMPORTANT", "0.0")]),
            json!([at("CVE-1", "error")]),
        ),
        &["scan failed abab"],
    );
    // Older versions of jfrog-cli-security write 0.0 where there is no CVSS 3.
    assert_eq!(
        found(
            "JFrog Xray Scanner",
            json!([
                {"id": "CVE-1_a_1", "properties": {"security-severity": "0.0"}},
                {"id": "CVE-2_a_1", "properties": {"security-severity": "3.1"}}
            ]),
            json!([
                {"ruleId": "CVE-1_a_1", "level": "error", "message": {"text": "x"}},
                {"ruleId": "CVE-2_a_1", "level": "note", "message": {"text": "x"}}
            ]),
        ),
        ["CVE-1 HIGH a@1", "CVE-2 LOW a@1"]
    );
}

#[test]
fn several_vulnerabilities_of_one_result_are_several_findings() {
    // jfrog/jfrog-cli-security utils/formats/sarifutils, GetIssueIdentifier: joined with `_`, once with `, `.
    let of = |id: &str| {
        found(
            "JFrog Xray Scanner",
            json!([{"id": id, "properties": {"security-severity": "9.8"}}]),
            json!([{"ruleId": id, "message": {"text": "x"}}]),
        )
    };
    let both = [
        "CVE-2020-7598 CRITICAL minimist@1.2.0",
        "CVE-2021-44906 CRITICAL minimist@1.2.0",
    ];
    assert_eq!(of("CVE-2021-44906_CVE-2020-7598_minimist_1.2.0"), both);
    assert_eq!(of("CVE-2021-44906, CVE-2020-7598_minimist_1.2.0"), both);
    assert_eq!(
        of("CVE-2021-44906_a_b_1.2.0"),
        ["CVE-2021-44906 CRITICAL a_b@1.2.0"]
    );
    assert_eq!(
        of("XRAY-1_minimist_1.2.0"),
        ["XRAY-1 CRITICAL minimist@1.2.0"]
    );
}

#[test]
fn of_rules_with_one_identifier_the_index_tells_which() {
    // aquasecurity/trivy contrib/sarif.tpl, older versions: a rule for each package.
    let id = "[CRITICAL] CVE-2019-14697";
    let rule = |package: &str| json!({"id": id, "help": {"text": format!("Vulnerability CVE-2019-14697\nSeverity: CRITICAL\nPackage: {package}\nInstalled Version: 1")}, "properties": {"tags": ["vulnerability", "CRITICAL"]}});
    let result = |index: u64| json!({"ruleId": id, "ruleIndex": index, "level": "error", "message": {"text": "x"}});
    assert_eq!(
        found(
            "Trivy",
            json!([rule("musl"), rule("musl-utils")]),
            json!([result(0), result(1)])
        ),
        [
            "CVE-2019-14697 CRITICAL musl@1",
            "CVE-2019-14697 CRITICAL musl-utils@1"
        ]
    );
}

#[test]
fn a_violation_of_a_policy_is_no_vulnerability() {
    // stackrox pkg/printers/testdata/sarif_report.json.
    let rule = json!({"id": "Heartbleed: CVE-2014-0160", "name": "PolicyViolations", "properties": {"tags": ["policy-violation", "CRITICAL"]}});
    let result = json!({"ruleId": "Heartbleed: CVE-2014-0160", "message": {"text": "Policy Heartbleed: CVE-2014-0160\nSeverity CRITICAL"}});
    check_with(
        &[(SUBJECT_HEADER, &digest("ab"))],
        &sarif("roxctl", json!([rule]), json!([result])),
        &[
            "rejected `runs[0].results`: not a completed scan: none of the results is a vulnerability that counts",
        ],
    );
}

#[test]
fn a_severity_in_prose_does_not_lower_a_score() {
    let of = |help: &str, score: &str| {
        let rule = json!({"id": "CVE-2024-38428_wget_1", "help": {"text": help}, "properties": {"security-severity": score}});
        let result = json!({"ruleId": "CVE-2024-38428_wget_1", "message": {"text": "x"}});
        found("JFrog Xray Scanner", json!([rule]), json!([result]))
    };
    let prose = "### Impact\nA crafted URL lets a remote attacker run code.\n\nSeverity: Low\n";
    assert_eq!(of(prose, "9.1"), ["CVE-2024-38428 CRITICAL wget@1"]);
    let unknown = prose.replace("Low", "Unknown");
    assert_eq!(of(&unknown, "9.1"), ["CVE-2024-38428 CRITICAL wget@1"]);
    let graver = prose.replace("Low", "High");
    assert_eq!(of(&graver, "2.0"), ["CVE-2024-38428 HIGH wget@1"]);
    // A scanner's own lines: a distribution knows better than a score.
    let own = "Vulnerability CVE-2024-38428\nSeverity: Low\nPackage: wget\nVersion: 1\n";
    assert_eq!(of(own, "9.1"), ["CVE-2024-38428 LOW wget@1"]);
}

#[test]
fn dep_scan_is_named_and_not_what_lists_the_packages_for_it() {
    // owasp-dep-scan/dep-scan: cdxgen's document, with the findings and its own name added.
    let image = json!({"type": "container", "name": "web", "version": digest("ab")});
    let mut document = cyclonedx(
        image,
        json!([{"id": "CVE-1", "ratings": [{"severity": "high"}]}]),
    );
    let cdxgen =
        json!({"group": "@cyclonedx", "name": "cdxgen", "version": "9.9.9", "type": "application"});
    let dep_scan = json!({"name": "owasp-depscan", "version": "5.0.4", "type": "application"});
    for (tools, scanner) in [
        (json!({"components": [cdxgen, dep_scan]}), "owasp-depscan"),
        (json!([cdxgen, dep_scan]), "owasp-depscan"),
        (json!({"components": [cdxgen]}), "cdxgen"),
    ] {
        document["metadata"]["tools"] = tools;
        check(
            &document,
            &[&*format!("scanned abab by {scanner}: CVE-1=HIGH")],
        );
    }
}

fn cyclonedx(component: Value, vulnerabilities: Value) -> Value {
    json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1, "metadata": {"tools": [{"name": "osv-scanner"}], "component": component},
           "components": [{"type": "library", "bom-ref": "pkg:npm/a@1", "name": "a", "version": "1", "purl": "pkg:npm/a@1"}], "vulnerabilities": vulnerabilities})
}

#[test]
fn cyclonedx_without_severities_is_graded_by_its_vectors_or_not_at_all() {
    let image = json!({"type": "container", "name": "web", "version": digest("ab")});
    let rated = |rating: Value| {
        cyclonedx(
            image.clone(),
            json!([{"id": "CVE-1", "ratings": [rating], "affects": [{"ref": "pkg:npm/a@1"}]}]),
        )
    };
    // google/osv-scanner buildRatings, older versions; and the form of the specification's example.
    for vector in [
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
        "AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
    ] {
        check(
            &rated(json!({"method": "CVSSv31", "vector": vector})),
            &["scanned abab by osv-scanner: CVE-1=CRITICAL"],
        );
    }
    check(
        &rated(json!({"method": "other", "vector": "SSVCv2/E:A"})),
        &[
            "scan failed abab none of the vulnerabilities that it found has a severity, a score, or a CVSS vector",
        ],
    );
    // Beside one that is graded, another may be unknown.
    check(
        &cyclonedx(
            image,
            json!([{"id": "CVE-1", "ratings": [{"severity": "low"}]}, {"id": "CVE-2"}]),
        ),
        &["scanned abab by osv-scanner: CVE-1=LOW CVE-2=UNKNOWN"],
    );
}

#[test]
fn the_gravest_of_several_ratings_counts_be_it_a_word_a_score_or_a_vector() {
    const VECTOR: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
    let image = json!({"type": "container", "name": "web", "version": digest("ab")});
    let rated = |ratings: Value| json!([{"id": "CVE-1", "ratings": ratings, "affects": [{"ref": "pkg:npm/a@1"}]}]);
    let low = json!({"source": {"name": "Debian"}, "severity": "low"});
    for (rating, expected) in [
        (json!({"score": 9.8, "method": "CVSSv31"}), "CRITICAL"),
        (json!({"method": "CVSSv31", "vector": VECTOR}), "CRITICAL"),
        (json!({"severity": "unknown", "score": 9.8}), "CRITICAL"),
        (json!({"severity": "critical"}), "CRITICAL"),
        // Of one rating the word goes before the score, and EPSS is none of how grave something is.
        (json!({"severity": "medium", "score": 9.8}), "MEDIUM"),
        (json!({"score": 9.8, "method": "other"}), "LOW"),
    ] {
        for ratings in [json!([low, rating]), json!([rating, low])] {
            check(
                &cyclonedx(image.clone(), rated(ratings)),
                &[&*format!("scanned abab by osv-scanner: CVE-1={expected}")],
            );
        }
    }
    // Trivy and Grype say in words what they go by.
    for tool in ["trivy", "grype"] {
        let ratings = json!([low, {"score": 9.8, "method": "CVSSv31"}]);
        let mut document = cyclonedx(image.clone(), rated(ratings));
        document["metadata"]["tools"] = json!([{"name": tool}]);
        check(&document, &[&*format!("scanned abab by {tool}: CVE-1=LOW")]);
    }
    let attested = |severity: Value| {
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://in-toto.io/attestation/vulns/v0.2", "subject": [{"name": "a", "digest": {"sha256": "ab".repeat(32)}}],
        "predicate": {"scanner": {"uri": "pkg:github/x/y", "result": [{"id": "CVE-1", "severity": severity}]}, "metadata": {"scanFinishedOn": "2026-01-01T00:00:01Z"}}})
    };
    for score in [json!("9.8"), json!(9.8), json!(VECTOR), json!("critical")] {
        check(
            &attested(
                json!([{"method": "debian", "score": "low"}, {"method": "CVSSv31", "score": score}]),
            ),
            &["scanned abab by y: CVE-1=CRITICAL"],
        );
    }
}

#[test]
fn cyclonedx_counts_every_version_that_is_affected() {
    let image = json!({"type": "container", "name": "web", "version": digest("ab")});
    let affects = json!([{"ref": "pkg:npm/a@1", "versions": [{"version": "1"}, {"version": "2", "status": "affected"}, {"version": "3", "status": "unaffected"}]}]);
    check(
        &cyclonedx(
            image,
            json!([{"id": "CVE-1", "ratings": [{"severity": "high"}], "affects": affects}]),
        ),
        &["scanned abab by osv-scanner: CVE-1=HIGH CVE-1=HIGH"],
    );
}

#[test]
fn xray_names_an_image_as_artifactory_names_its_folder() {
    // guacsec/guac internal/testing/testdata/exampledata/xray-cdx-vulns.json.
    let image = json!({"type": "container", "name": "library/maven", "version": format!("sha256__{}", "ab".repeat(32))});
    check(
        &cyclonedx(
            image,
            json!([{"id": "CVE-1", "ratings": [{"severity": "high"}]}]),
        ),
        &["scanned abab by osv-scanner: CVE-1=HIGH"],
    );
}

#[test]
fn a_statement_about_a_component_of_another_document_holds_in_no_image_that_is_not_named() {
    // aquasecurity/trivy pkg/vex/testdata/cyclonedx.json.
    let vex = json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1, "vulnerabilities": [{"id": "CVE-2020-36518", "analysis": {"state": "not_affected", "justification": "code_not_reachable"},
        "affects": [{"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:maven/com.fasterxml.jackson.core/jackson-databind@2.8.0?type=jar"}]}]});
    check(
        &vex,
        &[
            "rejected `vulnerabilities[0].affects[0].ref`: the document speaks of a component of another document, and names no image by its digest",
        ],
    );
    check_with(
        &[(SUBJECT_HEADER, &digest("ab"))],
        &vex,
        &["override CVE-2020-36518 abab com.fasterxml.jackson.core:jackson-databind@2.8.0"],
    );
}

#[test]
fn a_statement_about_a_systems_package_does_not_reach_one_of_that_name_of_another_ecosystem() {
    // anchore/grype test/integration/test-fixtures/vex/openvex/demo2.json.
    let image = format!("pkg:oci/web@{}", digest("ab").replace(':', "%3A"));
    check(
        &json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "a", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": [{"vulnerability": {"name": "CVE-1"}, "status": "not_affected", "justification": "vulnerable_code_not_present",
            "products": [{"@id": image, "subcomponents": [{"@id": "pkg:apk/wolfi/npm@8.1.3-r0"}]}]}]}),
        &["override CVE-1 abab npm@8.1.3-r0"],
    );
}

#[test]
fn grypes_cyclonedx_says_none_of_what_is_negligible() {
    // anchore/grype grype/presenter/cyclonedx/vulnerability.go, `cdxSeverityFromGrypeSeverity`.
    let image = json!({"type": "container", "name": "web", "version": digest("ab")});
    let rated = |tool: &str, ratings: Value| {
        let mut document = cyclonedx(image.clone(), json!([{"id": "CVE-1", "ratings": ratings}]));
        document["metadata"]["tools"] = json!([{"name": tool}]);
        document
    };
    let none = json!({"severity": "none"});
    let scored = json!({"severity": "none", "method": "CVSSv31", "score": 7.5});
    for ratings in [json!([none]), json!([scored])] {
        check(
            &rated("grype", ratings),
            &["scanned abab by grype: CVE-1=NEGLIGIBLE"],
        );
    }
    // Others say it beside what is no severity.
    let likely = json!({"severity": "none", "method": "other", "score": 0.9});
    let high = json!({"severity": "high", "method": "CVSSv31", "score": 7.5});
    check(
        &rated("cyclonedx sbom api", json!([likely, high])),
        &["scanned abab by cyclonedx sbom api: CVE-1=HIGH"],
    );
}

#[test]
fn that_a_severity_is_not_known_is_said_by_a_word_and_by_trivy_with_no_rating() {
    let image = json!({"type": "container", "name": "web", "version": digest("ab")});
    for (tool, ratings, expected) in [
        ("trivy", json!([]), "scanned abab by trivy: CVE-1=UNKNOWN"),
        (
            "osv-scanner",
            json!([{"severity": "unknown"}]),
            "scanned abab by osv-scanner: CVE-1=UNKNOWN",
        ),
        ("osv-scanner", json!([]), "scan failed abab none"),
        (
            "osv-scanner",
            json!([{"severity": "important"}]),
            "scan failed abab none",
        ),
    ] {
        let mut document = cyclonedx(image.clone(), json!([{"id": "CVE-1", "ratings": ratings}]));
        document["metadata"]["tools"] = json!([{"name": tool}]);
        check(&document, &[expected]);
    }
}

#[test]
fn the_two_forms_of_in_totos_vulns_say_the_same() {
    // in-toto/attestation spec/predicates/vuln.md: the text has all within `vulnerability`, the example
    // beside each other.
    let attested = |result: Value| {
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://in-toto.io/attestation/vulns/v0.1", "subject": [{"name": "a", "digest": {"sha256": "ab".repeat(32)}}],
        "predicate": {"scanner": {"uri": "pkg:github/x/y", "result": result}, "metadata": {"scanFinishedOn": "2026-01-01T00:00:01Z"}}})
    };
    let within = json!({"vulnerability": {"id": "CVE-1", "severity": {"method": "nvd", "score": "critical"}}});
    let beside = json!({"id": "CVE-2", "severity": [{"method": "nvd", "score": "low"}]});
    check(
        &attested(json!([within, beside])),
        &["scanned abab by y: CVE-1=CRITICAL CVE-2=LOW"],
    );
    // How likely it is that somebody uses it is not how grave it is.
    let likely = json!({"id": "CVE-3", "severity": [{"method": "epss", "score": "0.2"}]});
    check(
        &attested(json!([beside, likely])),
        &["scanned abab by y: CVE-2=LOW CVE-3=UNKNOWN"],
    );
    check(&attested(json!([likely])), &["scan failed abab none"]);
}

#[test]
fn an_image_that_grype_was_given_by_a_tag_is_asked_for_by_it() {
    // anchore/syft syft/source/stereoscopesource/image_source.go, `Describe`.
    let image = json!({"type": "container", "name": "r.example:5000/team/web", "version": "1.0"});
    let mut document = cyclonedx(
        image,
        json!([{"id": "CVE-1", "ratings": [{"severity": "high"}]}]),
    );
    check(
        &document,
        &["rejected the report does not say which image was scanned"],
    );
    document["metadata"]["tools"] =
        json!({"components": [{"name": "grype", "version": "0.104.1"}]});
    check(&document, &["resolve r.example:5000/team/web:1.0"]);
}

#[test]
fn inspectors_answer_has_the_document_within() {
    // AWS, Amazon Inspector Scan API, `ScanSbom`.
    let sbom = cyclonedx(
        json!({"type": "container", "name": "web", "version": digest("ab")}),
        json!([{"id": "CVE-1", "ratings": [{"severity": "high"}]}]),
    );
    check(
        &json!({"status": "SBOM parsed successfully, 1 vulnerabilities found", "sbom": sbom}),
        &["scanned abab by osv-scanner: CVE-1=HIGH"],
    );
    let mut none = sbom;
    none["vulnerabilities"] = json!([]);
    check(&json!({"sbom": none}), &["rejected an SBOM is not a scan"]);
}
