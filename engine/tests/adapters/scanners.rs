//! Reports and documents of the scanners of the fixtures, but other ones.

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, Decoded, Delivery, SUBJECT_HEADER, decode};
use weir_schema::{Received, media_type};

use crate::payload;
use crate::words::{changed, check, decode_with, digest, meaning};

fn trivy(results: Value) -> Value {
    changed("trivy/image-clean.json", |body| body["Results"] = results)
}

#[test]
fn of_trivys_results_only_vulnerabilities_in_packages_are_findings() {
    let vulnerability = |id: &str, severity: Value| json!({"VulnerabilityID": id, "PkgName": "p", "InstalledVersion": "1", "Severity": severity, "CVSS": {"nvd": {"V2Score": 9.9, "V3Score": 5.0}, "ghsa": {"V3Score": 7.1}}});
    check(
        &trivy(json!([
            {"Target": "os", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [vulnerability("CVE-1", json!("critical"))]},
            {"Target": "lang", "Class": "lang-pkgs", "Type": "gobinary", "Vulnerabilities": [vulnerability("GHSA-2", json!("Moderate")), vulnerability("CVE-3", Value::Null)]},
            {"Target": "s", "Class": "secret", "Secrets": [{"RuleID": "aws", "Severity": "CRITICAL"}]},
            {"Target": "Dockerfile", "Class": "config", "Type": "dockerfile", "Misconfigurations": [{"ID": "DS001", "Severity": "HIGH"}]},
            {"Target": "l", "Class": "license", "Licenses": [{"Name": "GPL-3.0", "Severity": "HIGH"}]},
        ])),
        &["leaf? scanned 9d79 by trivy: CVE-1=CRITICAL GHSA-2=UNKNOWN CVE-3=UNKNOWN"],
    );
    let mut program =
        trivy(json!([{"Target": "lang", "Class": "lang-pkgs", "Vulnerabilities": null}]));
    program["Metadata"]["OS"] = Value::Null;
    check(&program, &["leaf? scanned 9d79 by trivy:"]);
}

#[test]
fn a_report_that_looked_at_no_packages_completes_nothing() {
    check(
        &trivy(Value::Null),
        &["rejected not a completed scan: nothing recognised"],
    );
    check(
        &trivy(json!([])),
        &["rejected not a completed scan: nothing recognised"],
    );
    check(
        &trivy(json!([{"Target": "s", "Class": "secret", "Secrets": []}])),
        &[
            "rejected not a completed scan for vulnerabilities: `Results` has only the classes secret",
        ],
    );
    check(
        &changed("trivy/image-with-findings.sarif", |body| {
            body["runs"][0]["results"] = json!([])
        }),
        &["rejected `runs[0].results`: not a completed scan"],
    );
    check(
        &changed("trivy/image-with-findings.cdx.json", |body| {
            body["vulnerabilities"] = json!([])
        }),
        &["rejected an SBOM is not a scan"],
    );
    check(
        &changed("grype/dojo-no_vuln.json", |body| {
            body["distro"] = json!({"name": ""})
        }),
        &["rejected not a completed scan: nothing recognised"],
    );
    check(
        &changed("grype/dojo-no_vuln.json", |body| {
            body["descriptor"]["configuration"] = json!({"only-fixed": true})
        }),
        &["rejected `descriptor.configuration.only-fixed`: the report is filtered"],
    );
}

#[test]
fn a_report_is_bound_to_what_it_proves() {
    let with = |change: &dyn Fn(&mut Value)| {
        changed("trivy/image-clean.json", |body| {
            change(&mut body["Metadata"])
        })
    };
    check(
        &with(&|m| {
            m["RepoDigests"] = json!([
                format!("a/b@{}", digest("ab")),
                format!("c/d@{}", digest("ab"))
            ])
        }),
        &["leaf? scanned abab"],
    );
    check(
        &with(&|m| {
            m["RepoDigests"] = json!([
                format!("a/b@{}", digest("ab")),
                format!("c/d@{}", digest("cd"))
            ])
        }),
        &["leaf?"],
    );
    check(
        &with(&|m| m["RepoDigests"] = json!(["a/b@sha256:ab"])),
        &["rejected `Metadata.RepoDigests[0]`"],
    );
    check(&with(&|m| m["ImageID"] = Value::Null), &["scanned 9d79"]);
    check(
        &with(&|m| *m = json!({})),
        &["rejected the report does not say which image was scanned"],
    );
    let body = changed("trivy/image-clean.json", |body| {
        body["Metadata"] = json!({})
    })
    .to_string();
    let subject = digest("ef");
    let decoded = decode_with(
        &[(SUBJECT_HEADER, &subject)],
        &AdapterSettings::default(),
        &body,
    );
    assert_eq!(meaning(decoded), ["scanned efef by trivy:"]);
}

#[test]
fn a_report_of_one_platform_goes_to_the_leaf_when_the_index_is_known() {
    let decoded = decode(&Delivery {
        adapter: Some("trivy"),
        source: "",
        delivery_id: None,
        headers: &[],
        body: &payload("trivy/index-one-platform.json"),
        settings: &AdapterSettings::default(),
    });
    let [Decoded::NeedsResolving(pending)] = &decoded[..] else {
        panic!("{decoded:?}")
    };
    let received = pending
        .clone()
        .with_digest(digest("ab").parse().unwrap(), media_type::OCI_MANIFEST);
    let json: Value = serde_json::from_str(&received.json).unwrap();
    assert_eq!(json["data"]["digest"], digest("ab"));
    assert_eq!(
        json["data"]["reported_digest"],
        "sha256:cf02dc420707bf18adffc617dc02427c4cbc65b26de961eec5dc459b2e6a2419"
    );
    assert_eq!(json["data"]["resolved"], json!(["digest"]));
    assert_eq!(
        Received::from_json(received.json.as_bytes()).unwrap(),
        received
    );
}

#[test]
fn a_name_that_comes_twice_in_a_report_is_refused() {
    for (report, name) in [
        ("grype/dojo-many_vulns4.json", "target"),
        ("grype/dojo-many_vulns4.json", "only-fixed"),
        ("trivy/image-with-findings.json", "CreatedAt"),
    ] {
        let text = String::from_utf8(payload(report)).unwrap();
        let once = format!("\"{name}\":");
        let doubled = text.replacen(&once, &format!("{once} null, {once}"), 1);
        assert_ne!(doubled, text, "{name} is in {report}");
        let found = meaning(decode_with(&[], &AdapterSettings::default(), &doubled));
        let [found] = &found[..] else {
            panic!("{found:?}")
        };
        let words = [
            format!("`{name}` comes twice"),
            format!("duplicate field `{name}`"),
        ];
        assert!(words.iter().any(|words| found.contains(words)), "{found}");
    }
}

#[test]
fn an_attestation_binds_the_report_to_its_subject() {
    let mut report: Value = serde_json::from_slice(&payload("trivy/with-vex.json")).unwrap();
    report["Metadata"]["RepoDigests"] = json!([format!("a/b@{}", digest("ab"))]);
    let statement = |kind: &str, result: Value| {
        json!({
            "_type": "https://in-toto.io/Statement/v0.1", "predicateType": kind,
            "subject": [{"name": "a/b", "digest": {"sha256": "ab".repeat(32)}}],
            "predicate": {"scanner": {"uri": "pkg:github/aquasecurity/trivy@1", "db": {"lastUpdate": "2026-01-01T00:00:00Z"}, "result": result}, "metadata": {"scanFinishedOn": "2026-01-02T00:00:00Z"}},
        })
    };
    let cosign = "https://cosign.sigstore.dev/attestation/vuln/v1";
    check(
        &statement(cosign, report.clone()),
        &["leaf? scanned abab by trivy: CVE-2099-0004=LOW CVE-2099-0002=HIGH CVE-2099-0003=MEDIUM"],
    );
    check(
        &statement(
            "https://in-toto.io/attestation/vulns/v0.1",
            json!([{"id": "CVE-1", "severity": [{"method": "nvd", "score": "9.8"}]}]),
        ),
        &["scanned abab by trivy: CVE-1=CRITICAL"],
    );
    // Of another image by its own word: only the configuration can tell of which.
    report["Metadata"]["RepoDigests"] = json!([format!("a/b@{}", digest("ee"))]);
    check(&statement(cosign, report.clone()), &["leaf?"]);
    let mut unconfigured = report;
    unconfigured["Metadata"]["ImageID"] = Value::Null;
    check(
        &statement(cosign, unconfigured),
        &[&*format!(
            "rejected `subject[0].digest`: `{}`, and the report that is attested is about `{}`",
            digest("ab"),
            digest("ee")
        )],
    );
    check(
        &statement("https://spdx.dev/Document", json!({})),
        &["ignored"],
    );
    check(
        &statement(cosign, Value::Null),
        &["rejected `predicate.scanner.result` is missing"],
    );
}

#[test]
fn vex_overrides_what_it_names_and_nothing_else() {
    let vex = |version: u32, status: &str, product: Value| {
        json!({
            "@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "version": version,
            "statements": [{"vulnerability": {"name": "CVE-1"}, "products": [product], "status": status, "justification": "component_not_present"}],
        })
    };
    let image = json!({"@id": format!("pkg:oci/web@{}", digest("ab"))});
    check(
        &vex(1, "not_affected", image.clone()),
        &["override CVE-1 abab "],
    );
    check(
        &vex(
            1,
            "fixed",
            json!({"@id": "pkg:oci/web", "hashes": {"sha-256": "ab".repeat(32)}, "subcomponents": [{"@id": "pkg:deb/debian/zlib@1"}]}),
        ),
        &["override CVE-1 abab zlib"],
    );
    check(&vex(1, "affected", image.clone()), &["ignored"]);
    check(
        &vex(2, "affected", image.clone()),
        &[
            "rejected `affected` for CVE-1, of all of an image: what an earlier version granted",
            "weir.override.revoked",
        ],
    );
    check(
        &vex(1, "nonsense", image),
        &["rejected `statements[0].status`"],
    );
    check(
        &vex(1, "fixed", json!({"@id": "pkg:oci/web"})),
        &["rejected `statements[0].products[0].@id`: an image with neither"],
    );
    check(
        &vex(1, "fixed", json!({"@id": "everything"})),
        &["rejected `statements[0].products[0].@id`"],
    );
}
