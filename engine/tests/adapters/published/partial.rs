//! What a document says in several places, of a part, or against itself: nothing of it may be lost, and
//! no statement reaches further than it says.

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

/// A document about an image, with a vulnerability in each of these places, analysed as it says.
fn cyclonedx(vulnerabilities: &[(&str, Option<&str>, Value)]) -> Value {
    let image = json!({"bom-ref": "i", "type": "container", "name": "a/b", "purl": format!("pkg:oci/b@{}", digest("ab").replace(':', "%3A"))});
    let component =
        |url: &str| json!({"bom-ref": url, "type": "library", "name": "x", "purl": url});
    let list = vulnerabilities.iter().map(|(id, state, affects)| {
        let mut one = json!({"id": id, "ratings": [{"severity": "critical"}], "affects": affects});
        if let Some(state) = state {
            one["analysis"] = json!({"state": state});
        }
        one
    });
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1, "metadata": {"component": image},
        "components": [component("pkg:npm/lodash@4.17.21"), component("pkg:deb/debian/zlib@1.2")], "vulnerabilities": list.collect::<Vec<_>>()})
}

#[test]
fn what_is_analysed_away_is_an_override_and_a_finding_but_no_scan_by_itself() {
    let lodash = json!([{"ref": "pkg:npm/lodash@4.17.21"}]);
    let zlib = json!([{"ref": "pkg:deb/debian/zlib@1.2"}]);
    let away = ("CVE-1", Some("not_affected"), lodash.clone());
    // One image may hold several versions of a library, and one of what its system has.
    check(
        &cyclonedx(std::slice::from_ref(&away)),
        &["override CVE-1 abab lodash@4.17.21"],
    );
    check(
        &cyclonedx(&[("CVE-1", Some("resolved"), zlib.clone())]),
        &["override CVE-1 abab zlib"],
    );
    check(
        &cyclonedx(&[away, ("CVE-2", None, zlib)]),
        &[
            "override CVE-1 abab lodash@4.17.21",
            "scanned abab by cyclonedx: CVE-1=CRITICAL CVE-2=CRITICAL",
        ],
    );
    // Nothing says where it does not matter.
    check(
        &cyclonedx(&[("CVE-1", Some("not_affected"), json!([]))]),
        &["rejected `vulnerabilities[0].affects` is missing"],
    );
}

#[test]
fn a_statement_about_nothing_that_is_known_overrides_nothing() {
    let lodash = ("CVE-2", None, json!([{"ref": "pkg:npm/lodash@4.17.21"}]));
    for unknown in [
        "4d9e0a3c-5f0b-4a5b-8a3e-2a5e4b6c7d8e",
        "urn:cdx:3e671687/1#other",
    ] {
        check(
            &cyclonedx(&[
                ("CVE-1", Some("not_affected"), json!([{"ref": unknown}])),
                lodash.clone(),
            ]),
            &[
                "rejected `vulnerabilities[0].affects[0].ref`: neither a component of the document nor a package URL",
                "scanned abab by cyclonedx: CVE-1=CRITICAL CVE-2=CRITICAL",
            ],
        );
    }
    // CycloneDX/bom-examples VEX/CISA-Use-Cases/Case-8: versions that are affected beside one that is not.
    let versions = json!([{"ref": "pkg:maven/org.acme/core", "versions": [{"range": "vers:maven/<2.0", "status": "affected"}, {"version": "2.17.1", "status": "unaffected"}]}]);
    check(
        &cyclonedx(&[("CVE-1", Some("not_affected"), versions)]),
        &["override CVE-1 abab org.acme:core@2.17.1"],
    );
    let range = json!([{"ref": "pkg:maven/org.acme/core", "versions": [{"range": "vers:maven/>2.0", "status": "unaffected"}]}]);
    check(
        &cyclonedx(&[("CVE-1", Some("not_affected"), range)]),
        &["rejected `vulnerabilities[0].affects[0].versions[0].version` is missing"],
    );
}

fn openvex(statements: &[(&str, Value)]) -> Value {
    let list = statements.iter().map(|(status, product)| json!({"vulnerability": {"name": "CVE-1"}, "products": [product], "status": status, "justification": "component_not_present"}));
    json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": list.collect::<Vec<_>>()})
}

#[test]
fn vex_does_not_reach_further_than_it_says() {
    let image = format!("pkg:oci/web@{}", digest("ab"));
    let whole = json!({"@id": image});
    let part = |url: &str| json!({"@id": image, "subcomponents": [{"@id": url}]});
    check(
        &openvex(&[("not_affected", part("pkg:npm/lodash@4.17.21"))]),
        &["override CVE-1 abab lodash@4.17.21"],
    );
    check(
        &openvex(&[
            ("not_affected", whole.clone()),
            ("affected", part("pkg:npm/lodash@3")),
        ]),
        &[
            "rejected `not_affected` for CVE-1: the document says that a part",
            "ignored",
        ],
    );
    check(
        &openvex(&[
            ("not_affected", part("pkg:npm/vue@1")),
            ("affected", part("pkg:npm/lodash@3")),
        ]),
        &["override CVE-1 abab vue@1", "ignored"],
    );
    // What the version before granted is taken back.
    let mut revised = openvex(&[
        ("not_affected", whole.clone()),
        ("affected", part("pkg:npm/lodash@3")),
    ]);
    revised["version"] = json!(2);
    check(
        &revised,
        &[
            "rejected `not_affected` for CVE-1: the document says that a part",
            "weir.override.revoked",
            "weir.override.revoked",
        ],
    );
    // Attested of one image, it holds in that one.
    let package = json!({"@id": "pkg:npm/vue@1"});
    let attested = |algorithm: &str, hex: String| json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://openvex.dev/ns/v0.2.0", "subject": [{"name": "w", "digest": {algorithm: hex}}], "predicate": openvex(&[("not_affected", package.clone())])});
    check(
        &attested("sha256", "cd".repeat(32)),
        &["override CVE-1 cdcd vue@1"],
    );
    check(
        &attested("sha512", "ef".repeat(64)),
        &["override CVE-1 efef vue@1"],
    );
    check(
        &openvex(&[("not_affected", package)]),
        &["override CVE-1  vue@1"],
    );
}

#[test]
fn a_docker_package_is_docker_hubs_unless_it_says_another_registry() {
    let scope = |url: &str| {
        let body = openvex(&[("not_affected", json!({"@id": url}))]).to_string();
        let settings = AdapterSettings::default();
        let decoded = decode_with(&[], &settings, &body);
        let Some(weir_engine::adapters::Decoded::Event(received)) = decoded.first() else {
            panic!("{decoded:?}");
        };
        let event: Value = serde_json::from_str(&received.json).unwrap();
        event["data"]["scope"]["repository"]
            .as_str()
            .map(str::to_owned)
    };
    let of = digest("ab");
    assert_eq!(
        scope(&format!("pkg:docker/acme/web@{of}")).as_deref(),
        Some("docker.io/acme/web")
    );
    assert_eq!(
        scope(&format!("pkg:docker/nginx@{of}")).as_deref(),
        Some("docker.io/library/nginx")
    );
    // package-url/purl-spec types/docker.
    assert_eq!(
        scope(&format!(
            "pkg:docker/customer/dockerimage@{of}?repository_url=gcr.io"
        ))
        .as_deref(),
        Some("gcr.io/customer/dockerimage")
    );
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
fn what_is_said_of_one_distribution_or_architecture_reaches_no_other() {
    let vex = |product: &str| {
        json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "timestamp": "2026-01-01T00:00:00Z", "version": 1,
        "statements": [{"vulnerability": {"name": "CVE-1"}, "products": [{"@id": product}], "status": "not_affected", "justification": "vulnerable_code_not_present"}]})
    };
    // As getreel.dev and Ubuntu write it: packages of that name are in other distributions too.
    for product in [
        "pkg:rpm/redhat/log4j",
        "pkg:deb/ubuntu/linux-libc-dev?distro=jammy",
    ] {
        check(
            &vex(product),
            &["rejected `statements[0].products[0].@id`: a package of one distribution"],
        );
        let header = [(SUBJECT_HEADER, &*digest("cd"))];
        let package = product.split(['/', '?']).nth(2).unwrap_or_default();
        check_with(
            &header,
            &vex(product),
            &[&*format!("override CVE-1 cdcd {package}")],
        );
    }
    // The digest may be the index's, and then it holds in all of its images.
    let amd64 = format!("pkg:oci/web@{}?arch=amd64", digest("ab"));
    check(
        &vex(&amd64),
        &["rejected `statements[0].products[0].@id`: one architecture of an image"],
    );
    check_with(
        &[(SUBJECT_HEADER, &*digest("cd"))],
        &vex(&amd64),
        &["override CVE-1 cdcd "],
    );
    check_with(
        &[(SUBJECT_HEADER, &*digest("ab"))],
        &vex(&amd64),
        &["rejected `statements[0].products[0].@id`: one architecture of an image"],
    );
    // An image by its tag, where the sender says which it is.
    let tagged = "pkg:oci/web?repository_url=a/web&tag=1.0";
    check(
        &vex(tagged),
        &["rejected `statements[0].products[0].@id`: an image by its tag"],
    );
    check_with(
        &[(SUBJECT_HEADER, &*digest("cd"))],
        &vex(tagged),
        &["override CVE-1 cdcd "],
    );
    let bom = |purl: &str| {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1,
        "metadata": {"component": {"bom-ref": "i", "type": "container", "name": "a/b", "purl": purl}},
        "components": [{"bom-ref": "z", "type": "library", "name": "zlib", "version": "1.2", "purl": "pkg:deb/debian/zlib@1.2"}],
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "z"}]}]})
    };
    check(
        &bom(&amd64),
        &["rejected `metadata.component.purl`: one architecture of an image"],
    );
    check_with(
        &[(SUBJECT_HEADER, &*digest("cd"))],
        &bom(&amd64),
        &["override CVE-1 cdcd zlib"],
    );
}

#[test]
fn a_package_outside_of_an_image_is_told_apart_from_others_of_its_name() {
    let of_a_distribution = "a package of one distribution";
    let by_name_alone = "a package by its name alone";
    let openvex = |product: &str| openvex(&[("not_affected", json!({"@id": product}))]);
    let cyclonedx = |product: &str| {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1,
        "components": [{"bom-ref": "busybox", "type": "library", "name": "busybox", "purl": "pkg:apk/wolfi/busybox"}],
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": product}]}]})
    };
    for (product, package, why) in [
        (
            "pkg:apk/wolfi/busybox?distro=wolfi",
            "busybox",
            of_a_distribution,
        ),
        ("pkg:rpm/redhat/bash", "bash", of_a_distribution),
        ("pkg:conan/openssl", "openssl", by_name_alone),
        ("pkg:npm/lodash", "lodash", by_name_alone),
    ] {
        let body = openvex(product);
        let told = format!("rejected `statements[0].products[0].@id`: {why}");
        check(&body, &[&*told]);
        let header = [(SUBJECT_HEADER, &*digest("cd"))];
        check_with(
            &header,
            &body,
            &[&*format!("override CVE-1 cdcd {package}")],
        );
        let told = format!("rejected `vulnerabilities[0].affects[0].ref`: {why}");
        check(&cyclonedx(product), &[&*told]);
        check_with(
            &header,
            &cyclonedx(product),
            &[&*format!("override CVE-1 cdcd {package}")],
        );
    }
    let told = format!("rejected `vulnerabilities[0].affects[0].ref`: {of_a_distribution}");
    check(&cyclonedx("busybox"), &[&*told]);
    for (product, package) in [
        ("pkg:npm/%40angular/core", "@angular/core"),
        ("pkg:maven/org.acme/core", "org.acme:core"),
        ("pkg:npm/lodash@4.17.21", "lodash@4.17.21"),
        ("pkg:apk/wolfi/busybox@1.36.1-r5", "busybox@1.36.1-r5"),
    ] {
        let told = format!("override CVE-1  {package}");
        check(&openvex(product), &[&*told]);
        check(&cyclonedx(product), &[&*told]);
    }
    // What counts is limited to it all the same, and hides no waiver of another.
    let image = json!({"@id": format!("pkg:oci/web@{}", digest("ab")), "subcomponents": [{"@id": "pkg:npm/vue@1"}]});
    check(
        &self::openvex(&[
            ("not_affected", image),
            ("affected", json!({"@id": "pkg:apk/wolfi/busybox@1"})),
        ]),
        &["override CVE-1 abab vue@1", "ignored"],
    );
}

#[test]
fn a_document_whose_metadata_cannot_be_read_waives_nothing() {
    let body = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": "none",
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "pkg:npm/vue@1"}]}]});
    check(
        &body,
        &["rejected `metadata`: expected an object, found a text"],
    );
}

#[test]
fn what_makes_less_of_an_image_is_never_left_out() {
    let openvex = |product: &str| openvex(&[("not_affected", json!({"@id": product}))]);
    let cyclonedx = |product: &str| {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1,
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": product}]}]})
    };
    let hex = digest("ab");
    for narrowed in [
        "platform=linux%2Famd64",
        "Arch=arm64",
        "os=linux&variant=v8",
        "os_name=debian",
        "tag=1&checksum=12",
        "#usr/bin/tool",
    ] {
        let separator = if narrowed.starts_with('#') { "" } else { "?" };
        for product in [
            format!("pkg:docker/team/web@{hex}{separator}{narrowed}"),
            format!("pkg:docker/team/web{separator}{narrowed}"),
        ] {
            check(
                &openvex(&product),
                &["rejected `statements[0].products[0].@id`: "],
            );
            check(
                &cyclonedx(&product),
                &["rejected `vulnerabilities[0].affects[0].ref`: "],
            );
        }
    }
    // BuildKit gives the digest as a qualifier.
    let buildkit = format!("pkg:docker/team/web@1.0?digest={hex}");
    check(&openvex(&buildkit), &["override CVE-1 abab "]);
    check(&cyclonedx(&buildkit), &["override CVE-1 abab "]);
    let broken = "pkg:docker/team/web?digest=sha256:123";
    check(
        &openvex(broken),
        &["rejected `statements[0].products[0].@id`: `sha256:123` is no digest"],
    );
    // The name that has a digest, where the other one says of which architecture.
    let reference = format!("r.example/web@{hex}");
    let url = "pkg:oci/web?repository_url=r.example/web&arch=amd64";
    let product = json!({"@id": reference, "identifiers": {"purl": url}});
    check(
        &self::openvex(&[("not_affected", product)]),
        &["rejected `statements[0].products[0].identifiers.purl`: one architecture"],
    );
}

#[test]
fn what_is_attested_of_one_image_holds_in_no_other() {
    let other = json!({"@id": format!("pkg:oci/other@{}", digest("cd"))});
    let document = openvex(&[("not_affected", other.clone())]);
    let attested = |predicate: &Value| json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://openvex.dev/ns/v0.2.0", "subject": [{"name": "w", "digest": {"sha256": "ab".repeat(32)}}], "predicate": predicate});
    let of_another = |path: &str| {
        format!(
            "rejected `{path}statements[0].products[0].@id`: `{}` is another image",
            digest("cd")
        )
    };
    check(&attested(&document), &[&*of_another("predicate.")]);
    let header = [(SUBJECT_HEADER, &*digest("ab"))];
    check_with(&header, &document, &[&*of_another("")]);
    let same = [(SUBJECT_HEADER, &*digest("cd"))];
    check_with(&same, &document, &["override CVE-1 cdcd "]);
    // What counts elsewhere may count in this one too, if that is the index or a leaf of it.
    let package = json!({"@id": "pkg:npm/vue@1"});
    let both = openvex(&[("affected", other), ("not_affected", package)]);
    check(
        &attested(&both),
        &[
            "rejected `not_affected` for CVE-1: the document says",
            "ignored",
        ],
    );
}

#[test]
fn a_later_version_that_says_nothing_takes_nothing_back_and_is_told() {
    let vex = |version: u32| json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "timestamp": "2026-01-01T00:00:00Z", "version": version, "statements": []});
    check(&vex(1), &["ignored"]);
    check(
        &vex(2),
        &["rejected `statements`: a later version without statements"],
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
