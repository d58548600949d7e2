//! What a report says in several places, of a part, or against itself: nothing of it may be lost.

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, SUBJECT_HEADER};

use crate::words::{check, check_with, decode_with, digest, findings};

/// A run with a rule of the same name for each result.
fn run(tool: &str, results: &[(&str, Value)]) -> Value {
    let rules = results.iter().map(|(id, properties)| {
        json!({"id": id, "shortDescription": {"text": "a vulnerability"}, "properties": properties})
    });
    let found = results.iter().map(|(id, _)| json!({"ruleId": id, "level": "error", "message": {"text": "found"}, "locations": []}));
    json!({"tool": {"driver": {"name": tool, "rules": rules.collect::<Vec<_>>()}}, "results": found.collect::<Vec<_>>()})
}

fn sarif(runs: &[Value]) -> Value {
    json!({"version": "2.1.0", "runs": runs})
}

fn check_sarif(runs: &[Value], expected: &[&str]) {
    check_with(&[(SUBJECT_HEADER, &digest("ab"))], &sarif(runs), expected);
}

fn score(score: &str) -> Value {
    json!({"security-severity": score})
}

#[test]
fn the_runs_of_one_tool_are_one_scan() {
    // snyk/cli src/lib/formatters/sarif-output.ts: the system, then each application.
    let system = run(
        "Snyk Container",
        &[("SNYK-DEBIAN12-OPENSSL-1", score("9.8"))],
    );
    let application = run("Snyk Container", &[("SNYK-JS-LODASH-1", score("3.1"))]);
    let clean = run("Snyk Container", &[]);
    let both =
        "scanned abab by snyk container: SNYK-DEBIAN12-OPENSSL-1=CRITICAL SNYK-JS-LODASH-1=LOW";
    check_sarif(&[system.clone(), application.clone(), clean], &[both]);
    // jfrog/jfrog-cli-security tests/testdata/output/dockerscan/docker_sarif.json.
    let secrets = run(
        "JFrog Binary Secrets Scanner",
        &[("REQ.SECRET.GENERIC", json!({}))],
    );
    check_sarif(
        &[secrets.clone(), application.clone()],
        &[
            "ignored",
            "scanned abab by snyk container: SNYK-JS-LODASH-1=LOW",
        ],
    );
    check_sarif(
        std::slice::from_ref(&secrets),
        &[
            "rejected `runs[0].results`: not a completed scan: none of the results is a vulnerability that counts",
        ],
    );
    let attested = |runs: &[Value]| {
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1", "subject": [{"name": "w", "digest": {"sha256": "ab".repeat(32)}}],
        "predicate": {"scanner": {"uri": "snyk", "result": sarif(runs)}, "metadata": {"scanFinishedOn": "2026-01-01T00:00:00Z"}}})
    };
    check(
        &attested(&[application.clone(), system.clone()]),
        &["scanned abab by snyk container: SNYK-JS-LODASH-1=LOW SNYK-DEBIAN12-OPENSSL-1=CRITICAL"],
    );
    check(
        &attested(&[secrets, system.clone()]),
        &["scanned abab by snyk container: SNYK-DEBIAN12-OPENSSL-1=CRITICAL"],
    );
    let other = run("grype", &[("CVE-1", score("9.8"))]);
    check(
        &attested(&[system, other]),
        &["rejected `predicate.scanner.result`"],
    );
}

#[test]
fn of_a_run_that_failed_nothing_is_believed() {
    let mut failed = run("trivy", &[("CVE-1", score("3.1"))]);
    failed["invocations"] = json!([{"executionSuccessful": false}]);
    let whole = run("trivy", &[("CVE-2", score("3.1"))]);
    let reason = "rejected `runs[0].invocations[0].executionSuccessful`: not a completed scan";
    check_sarif(&[failed, whole], &[reason]);
}

#[test]
fn an_identifier_that_is_not_known_is_a_vulnerability_among_others() {
    let found = run(
        "JFrog Xray Scanner",
        &[
            ("CVE-2011-3374_debian:bookworm:apt_2.6.1", score("3.7")),
            ("XRAY-264729_cors.js_0.0.1-security", score("10.0")),
            ("EXOTIC-1", score("9.1")),
        ],
    );
    check_sarif(
        &[found],
        &[
            "scanned abab by jfrog xray scanner: CVE-2011-3374=LOW XRAY-264729=CRITICAL EXOTIC-1=CRITICAL",
        ],
    );
    for id in [
        "DEBIAN-CVE-2024-1",
        "PRISMA-2024-1",
        "sonatype-2024-1",
        "cve-2024-1",
    ] {
        let expected = format!("scanned abab by x: {id}=CRITICAL");
        check_sarif(&[run("x", &[(id, score("9.1"))])], &[&*expected]);
    }
    // What Trivy finds besides, and a linter's results, are none.
    let besides = [
        (
            "DS002",
            json!({"tags": ["misconfiguration", "security", "HIGH"], "security-severity": "8.0"}),
        ),
        (
            "aws-access-key-id",
            json!({"tags": ["secret", "CRITICAL"], "security-severity": "9.5"}),
        ),
        ("CVE-1", score("3.1")),
    ];
    check_sarif(
        &[run("trivy", &besides)],
        &["scanned abab by trivy: CVE-1=LOW"],
    );
    check_sarif(
        &[run("CodeQL", &[("js/sql-injection", score("9.1"))])],
        &[
            "rejected `runs[0].results`: not a completed scan: none of the results is a vulnerability that counts",
        ],
    );
}

#[test]
fn only_a_suppression_that_was_accepted_suppresses() {
    // oasis-tcs/sarif-spec#370.
    for (status, expected) in [
        (json!({}), "scanned abab by x: CVE-2=LOW"),
        (
            json!({"status": "accepted"}),
            "scanned abab by x: CVE-2=LOW",
        ),
        (
            json!({"status": "rejected"}),
            "scanned abab by x: CVE-1=CRITICAL CVE-2=LOW",
        ),
        (
            json!({"status": "underReview"}),
            "scanned abab by x: CVE-1=CRITICAL CVE-2=LOW",
        ),
    ] {
        let mut found = run("x", &[("CVE-1", score("9.8")), ("CVE-2", score("3.1"))]);
        found["results"][0]["suppressions"] = json!([status]);
        check_sarif(&[found], &[expected]);
    }
}

#[test]
fn a_result_that_tells_of_no_problem_is_no_finding() {
    // SARIF 2.1.0, 3.27.9 and 3.27.24.
    for (field, value, counts) in [
        ("kind", "pass", false),
        ("kind", "notApplicable", false),
        ("baselineState", "absent", false),
        ("kind", "fail", true),
        ("kind", "review", true),
        ("baselineState", "new", true),
        ("baselineState", "unchanged", true),
    ] {
        let mut found = run("x", &[("CVE-1", score("9.8")), ("CVE-2", score("3.1"))]);
        found["results"][0][field] = json!(value);
        let expected = match counts {
            true => "scanned abab by x: CVE-1=CRITICAL CVE-2=LOW",
            false => "scanned abab by x: CVE-2=LOW",
        };
        check_sarif(&[found], &[expected]);
    }
}

#[test]
fn a_level_alone_does_not_say_how_grave_something_is() {
    // google/osv-scanner internal/output/sarif.go writes `warning` whatever it found.
    let found = run("osv-scanner", &[("CVE-2021-44228", json!({}))]);
    let reason = "scan failed abab no result says how grave it is, and a `level` does not";
    check_sarif(&[found], &[reason]);
    // A score may stand in a rule of an extension (SARIF 2.1.0, 3.18.3).
    let mut extended = run("x", &[("CVE-1", json!({}))]);
    extended["tool"]["extensions"] =
        json!([{"name": "e", "rules": [{"id": "CVE-1", "properties": score("9.9")}]}]);
    extended["tool"]["driver"]["rules"] = json!([]);
    check_sarif(&[extended], &["scanned abab by x: CVE-1=CRITICAL"]);
}

#[test]
fn a_report_that_contradicts_itself_is_no_scan() {
    let operator = |found: Value| json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReport", "report": {"artifact": {"repository": "a/b", "digest": digest("ab")}, "registry": {"server": "r.example"}, "os": {"family": "debian"}, "scanner": {"name": "Trivy"}, "summary": {"criticalCount": 1}, "vulnerabilities": found}});
    check(
        &operator(json!([])),
        &["rejected `report.summary.criticalCount`: more than the report lists"],
    );
    check(
        &operator(json!([{"vulnerabilityID": "CVE-1", "severity": "CRITICAL", "resource": "x"}])),
        &["scanned abab by trivy: CVE-1=CRITICAL"],
    );
    let harbor = |severity: &str| {
        json!({"type": "SCANNING_COMPLETED", "occur_at": 1_680_501_893, "operator": "auto", "event_data": {"repository": {"name": "web", "namespace": "team", "repo_full_name": "team/web"}, "resources": [{"digest": digest("ab"), "resource_url": "h.example/team/web:1.0",
            "scan_overview": {"application/vnd.security.vulnerability.report; version=1.1": {"report_id": "r", "scan_status": "Success", "severity": severity, "scanner": {"name": "Trivy"}, "summary": {"total": 0, "fixable": 0, "summary": {}}}}}]}})
    };
    check(&harbor("None"), &["scanned abab by trivy:"]);
    check(
        &harbor("Critical"),
        &[
            "rejected `event_data.resources[0].scan_overview[\"application/vnd.security.vulnerability.report; version=1.1\"].severity`: says that something was found",
        ],
    );
    let grype = |descriptor: Value, distro: &str| {
        json!({"matches": [{"vulnerability": {"id": "CVE-1", "severity": "Low"}, "artifact": {"name": "x", "version": "1"}}], "source": {"type": "image", "target": {"userInput": "a/b", "imageID": digest("cd"), "manifestDigest": digest("ab"), "tags": [], "repoDigests": []}},
               "distro": {"name": distro, "version": "1"}, "descriptor": descriptor})
    };
    check(
        &grype(json!({}), "debian"),
        &["leaf? scanned abab by grype: CVE-1=LOW"],
    );
    check(
        &grype(json!({}), "arch"),
        &["rejected `distro.name`: not a completed scan"],
    );
    for (descriptor, place) in [
        (
            json!({"db": {"status": {"valid": false}}}),
            "descriptor.db.status.valid",
        ),
        (
            json!({"db": {"status": {"error": "too old"}}}),
            "descriptor.db.status.error",
        ),
        (
            json!({"configuration": {"ignore": [{"vulnerability": "", "fix-state": "not-fixed"}]}}),
            "descriptor.configuration.ignore[0].fix-state",
        ),
    ] {
        check(
            &grype(descriptor, "debian"),
            &[&*format!("rejected `{place}`")],
        );
    }
    // trivy pkg/scan/ospkg/scan.go: "No OS package is detected".
    let trivy = |system: Value| {
        json!({"SchemaVersion": 2, "ArtifactName": "a/b:1.0", "ArtifactType": "container_image", "Metadata": {"OS": {"Family": "ubuntu", "Name": "24.04"}, "ImageID": digest("cd"), "RepoDigests": [format!("a/b@{}", digest("ab"))]},
            "Results": [system, {"Target": "usr/bin/app", "Class": "lang-pkgs", "Type": "gobinary", "Packages": [{"Name": "stdlib", "Version": "1.21"}]}]})
    };
    let system = json!({"Target": "a/b (ubuntu 24.04)", "Class": "os-pkgs", "Type": "ubuntu"});
    check(
        &trivy(system.clone()),
        &["rejected `Results`: not a completed scan: ubuntu was recognised"],
    );
    let mut listed = system;
    listed["Packages"] = json!([{"Name": "libc6", "Version": "2.39"}]);
    check(&trivy(listed), &["leaf? scanned abab by trivy:"]);
}

#[test]
fn what_a_total_has_beyond_its_parts_is_of_unknown_severity() {
    // Amazon Inspector names three severities and a total.
    let event = json!({"version": "0", "id": "1", "detail-type": "Inspector2 Scan", "source": "aws.inspector2", "account": "123456789012", "time": "2026-01-01T00:00:00Z", "region": "eu-west-1", "resources": [],
        "detail": {"scan-status": "INITIAL_SCAN_COMPLETE", "repository-name": "arn:aws:ecr:eu-west-1:123456789012:repository/web", "finding-severity-counts": {"CRITICAL": 7, "HIGH": 61, "MEDIUM": 62, "TOTAL": 158}, "image-digest": digest("ab"), "image-tags": ["1"], "version": "1.0"}});
    check(
        &event,
        &["scanned abab by inspector: CRITICAL*7 HIGH*61 MEDIUM*62 UNKNOWN*28"],
    );
}

#[test]
fn sarif_of_osv_scanner_roxctl_and_sysdig_keeps_packages_and_severities() {
    let result = |id: &str, level: &str, text: &str| json!({"ruleId": id, "level": level, "message": {"text": text}, "locations": []});
    let run = |tool: &str, rules: Value, results: Value| json!({"tool": {"driver": {"name": tool, "rules": rules}}, "results": results});
    let found = |run: Value| {
        let header = [(SUBJECT_HEADER, &*digest("ab"))];
        findings(decode_with(
            &header,
            &AdapterSettings::default(),
            &sarif(&[run]).to_string(),
        ))
    };
    // google/osv-scanner internal/output/sarif.go: always `warning`, a score only where there is one.
    let osv = run(
        "osv-scanner",
        json!([{"id": "CVE-1", "shortDescription": {"text": "CVE-1: x"}, "properties": {"security-severity": "9.8"}}, {"id": "MAL-2024-1", "shortDescription": {"text": "MAL-2024-1: malicious"}}]),
        json!([
            result(
                "CVE-1",
                "warning",
                "Package 'libssl3@3.0.1-r0' is vulnerable to 'CVE-1'."
            ),
            result(
                "CVE-1",
                "warning",
                "Package 'openssl@3.0.1-r0' is vulnerable to 'CVE-1'."
            ),
            result(
                "MAL-2024-1",
                "warning",
                "Package 'bad@1' is vulnerable to 'MAL-2024-1'."
            ),
        ]),
    );
    assert_eq!(
        found(osv),
        [
            "CVE-1 CRITICAL libssl3@3.0.1-r0",
            "CVE-1 CRITICAL openssl@3.0.1-r0",
            "MAL-2024-1 UNKNOWN bad@1"
        ]
    );
    // stackrox SarifJSONPathExpressions: names and values without colons.
    let text = |package: &str| {
        format!(
            "Vulnerability CVE-1\nLink https://x.example/CVE-1\nSeverity CRITICAL\nCVSS 9.1\nComponent {package}\nVersion 1:2.5\nFixed Version 2.6"
        )
    };
    let rules = ["expat", "libexpat1"].map(|name| json!({"id": format!("CVE-1_{name}_1:2.5"), "help": {"text": text(name)}, "properties": {"security-severity": "9.1", "tags": ["security", "CRITICAL"]}}));
    let results = ["expat", "libexpat1"]
        .map(|name| result(&format!("CVE-1_{name}_1:2.5"), "error", &text(name)));
    assert_eq!(
        found(run("roxctl", json!(rules), json!(results))),
        [
            "CVE-1 CRITICAL expat@1:2.5 2.6",
            "CVE-1 CRITICAL libexpat1@1:2.5 2.6"
        ]
    );
    // sysdiglabs/scan-action: links in Markdown, and, grouped by package, several in one result.
    let one = |id: &str, word: &str| {
        format!(
            "Vulnerability: [{id}](https://x.example/{id})\nSeverity: {word}\nFixed Version: No fix available"
        )
    };
    let head =
        "Package: [bash](https://x.example/?filter=(\"bash\"))\n  Installed Version: 5.0-4\n";
    let rule = json!([{"id": "bash", "shortDescription": {"text": "Vulnerable package: bash"}, "properties": {"security-severity": "9.8", "tags": ["vulnerability", "critical"]}}]);
    let single = json!([result(
        "bash",
        "error",
        &format!("{head}{}", one("CVE-1", "Negligible"))
    )]);
    assert_eq!(
        found(run("sysdig-cli-scanner", rule.clone(), single)),
        ["CVE-1 NEGLIGIBLE bash@5.0-4"]
    );
    let both = format!(
        "{head}{}\n.\n{}",
        one("CVE-1", "Negligible"),
        one("CVE-2", "Critical")
    );
    check_sarif(
        &[run(
            "sysdig-cli-scanner",
            rule,
            json!([result("bash", "error", &both)]),
        )],
        &["rejected `runs[0].results[0].message.text`: one result tells of several"],
    );
}
