//! What the producers' own code can write, as their types and tests show it, and what it must not be
//! taken for.

use serde_json::{Value, json};

use crate::words::{changed, check, decode_text, digest, meaning};

#[test]
fn a_finding_that_was_only_graded_anew_still_counts() {
    // aquasecurity/trivy, pkg/types/finding.go: the statuses of a modified finding.
    let report = |status: &str, kind: &str| {
        let finding = json!({"VulnerabilityID": "CVE-1", "PkgName": "p", "InstalledVersion": "1", "Severity": "HIGH"});
        let modified = json!({"Type": kind, "Status": status, "Statement": "s", "Source": "vex.json", "Finding": finding});
        changed("trivy/image-clean.json", |body| {
            body["Results"] = json!([{"Target": "os", "Class": "os-pkgs", "Type": "debian", "ExperimentalModifiedFindings": [modified]}]);
        })
    };
    for status in ["ignored", "not_affected", "fixed"] {
        check(
            &report(status, "vulnerability"),
            &["leaf? scanned 9d79 by trivy:"],
        );
    }
    for status in ["affected", "under_investigation", "unknown", ""] {
        let report = report(status, "vulnerability");
        check(&report, &["leaf? scanned 9d79 by trivy: CVE-1=HIGH"]);
    }
    check(
        &report("affected", "misconfiguration"),
        &["leaf? scanned 9d79 by trivy:"],
    );
    let mut unnamed = report("affected", "vulnerability");
    unnamed["Results"][0]["ExperimentalModifiedFindings"][0]["Finding"] =
        json!({"Severity": "LOW"});
    check(
        &unnamed,
        &[
            "rejected `Results[0].ExperimentalModifiedFindings[0].Finding.VulnerabilityID` is missing",
        ],
    );
}

#[test]
fn packages_of_no_system_that_is_known_were_listed_and_not_looked_at() {
    // aquasecurity/trivy, pkg/scan/local/service.go: the family is `none` where packages are there and
    // no system was recognised.
    for family in ["none", "activestate", "somethingelse"] {
        let report = changed("trivy/image-clean.json", |body| {
            body["Metadata"]["OS"] = json!({"Family": "none"});
            body["Results"] = json!([
                {"Target": "os", "Class": "os-pkgs", "Type": family, "Packages": [{"Name": "openssl"}]},
                {"Target": "Java", "Class": "lang-pkgs", "Type": "jar"},
            ]);
        });
        let told = format!(
            "rejected `Results`: not a completed scan: packages of the system `{family}` are listed"
        );
        check(&report, &[&*told]);
    }
}

#[test]
fn two_forms_of_one_report_are_one_scan_and_the_worse_of_them_counts() {
    // goharbor/harbor, src/controller/scan: a report is asked for in two forms, which stand in the order
    // of their names.
    let overview = |status: &str, summary: Value| {
        json!({"scan_status": status, "severity": "", "complete_percent": 100, "scanner": {"name": "Trivy"},
            "end_time": "2026-01-05T10:00:00Z", "summary": {"total": summary.as_object().map_or(0, |all| all.values().filter_map(Value::as_u64).sum::<u64>()), "summary": summary}})
    };
    let scan = |overviews: &[(&str, Value)]| {
        let overviews: serde_json::Map<String, Value> = overviews
            .iter()
            .map(|(form, overview)| ((*form).to_owned(), overview.clone()))
            .collect();
        changed("harbor/scanning-completed.json", |body| {
            body["event_data"]["resources"][0]["scan_overview"] = Value::Object(overviews);
        })
    };
    const NATIVE: &str = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0";
    const GENERIC: &str = "application/vnd.security.vulnerability.report; version=1.1";
    const SBOM: &str = "application/vnd.security.sbom.report+json; version=1.0";
    let clean = overview("Success", json!({"None": 0}));
    let grave = overview("Success", json!({"High": 2, "Low": 1}));
    let worse = overview("Success", json!({"High": 1, "Critical": 1}));
    let failed = overview("Error", json!({}));
    let running = overview("Running", json!({}));
    for (native, generic, expected) in [
        (&clean, &grave, "scanned 954b by trivy: HIGH*2 LOW*1"),
        (&grave, &clean, "scanned 954b by trivy: HIGH*2 LOW*1"),
        (
            &worse,
            &grave,
            "scanned 954b by trivy: CRITICAL*1 HIGH*2 LOW*1",
        ),
        (&failed, &clean, "scan failed 954b failed"),
        (&clean, &failed, "scan failed 954b failed"),
        (&running, &clean, "ignored"),
        (&clean, &running, "ignored"),
        (&running, &failed, "scan failed 954b failed"),
    ] {
        let both = scan(&[(NATIVE, native.clone()), (GENERIC, generic.clone())]);
        check(&both, &[expected]);
    }
    // Another scanner's is a scan of its own, and a list of packages is none.
    let mut other = grave.clone();
    other["scanner"]["name"] = json!("Clair");
    check(
        &scan(&[(NATIVE, clean.clone()), (GENERIC, other)]),
        &[
            "scanned 954b by trivy:",
            "scanned 954b by clair: HIGH*2 LOW*1",
        ],
    );
    check(&scan(&[(SBOM, clean)]), &["ignored"]);
}

#[test]
fn counts_of_nothing_beside_a_grave_word_are_no_clean_scan() {
    // project-zot/zot, pkg/extensions/events: the summary of a scan has both.
    let scanned = |gravest: &str, critical: u64| {
        json!({"specversion": "1.0", "id": "1", "source": "zot", "type": "zotregistry.image.scanned", "time": "2026-01-05T10:00:00Z",
            "data": {"name": "team/web", "reference": digest("ab"), "digest": digest("ab"), "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "summary": {"count": critical, "maxSeverity": gravest, "criticalCount": critical, "highCount": 0, "mediumCount": 0, "lowCount": 0, "unknownCount": 0}}})
    };
    let clean = meaning(decode_text(&scanned("NONE", 0).to_string()));
    assert!(
        clean
            .iter()
            .any(|line| line.starts_with("scanned abab by zot")),
        "{clean:?}"
    );
    let grave = meaning(decode_text(&scanned("CRITICAL", 1).to_string()));
    assert!(
        grave.iter().any(|line| line.contains("CRITICAL*1")),
        "{grave:?}"
    );
    let both = meaning(decode_text(&scanned("CRITICAL", 0).to_string()));
    assert!(
        both.iter().all(|line| !line.starts_with("scanned")),
        "{both:?}"
    );
}

#[test]
fn what_grype_left_out_by_a_rule_for_all_of_a_kind_is_not_known_to_be_absent() {
    // anchore/grype, grype/presenter/models: the rules that applied stand beside what they left out.
    let report = |rule: Value| {
        changed("grype/dojo-no_vuln.json", |body| {
            body["ignoredMatches"] = json!([{"vulnerability": {"id": "CVE-1", "severity": "Critical"},
                "artifact": {"name": "p", "version": "1"}, "appliedIgnoreRules": [rule]}]);
        })
    };
    for rule in [
        json!({"vulnerability": "", "fix-state": "not-fixed"}),
        json!({"package": {"type": "deb"}}),
    ] {
        check(
            &report(rule),
            &["rejected `ignoredMatches[0].appliedIgnoreRules[0]"],
        );
    }
    let before = meaning(decode_text(
        &changed("grype/dojo-no_vuln.json", |_| {}).to_string(),
    ));
    for rule in [
        json!({"vulnerability": "CVE-1"}),
        json!({"package": {"name": "kernel-headers", "type": "rpm"}, "match-type": "exact-indirect-match"}),
    ] {
        let found = meaning(decode_text(&report(rule).to_string()));
        assert_eq!(found, before);
    }
}

/// A document of one statement about a product.
fn vex(product: &Value) -> Value {
    json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "d", "author": "a", "version": 1, "timestamp": "2026-01-05T10:00:00Z",
        "statements": [{"vulnerability": {"name": "CVE-1"}, "products": [product], "status": "not_affected", "justification": "component_not_present"}]})
}

#[test]
fn of_two_names_of_a_product_the_one_that_says_more_holds() {
    // openvex/go-vex, pkg/vex/component.go: a product has an `@id` and identifiers.
    let product = |id: &str, purl: &str| json!({"@id": id, "identifiers": {"purl": purl}});
    let repository = "pkg:oci/web?repository_url=registry.example/team/web";
    let of = |pair: &str| {
        format!(
            "pkg:oci/web@{}?repository_url=registry.example/team/web",
            digest(pair).replace(':', "%3A")
        )
    };
    let (a, b) = (of("ab"), of("cd"));
    for (id, purl) in [(&*a, repository), (repository, &*a), (&*a, &*a)] {
        check(&vex(&product(id, purl)), &["override CVE-1 abab "]);
    }
    let reference = format!("registry.example/team/web@{}", digest("ab"));
    check(
        &vex(&product(&reference, repository)),
        &["override CVE-1 abab "],
    );
    for (id, purl) in [
        (&*a, &*b),
        (&*a, "pkg:oci/api"),
        ("pkg:deb/debian/bash@1", "pkg:deb/debian/bash@2"),
    ] {
        check(
            &vex(&product(id, purl)),
            &[
                "rejected `statements[0].products[0].identifiers.purl`: another package URL than `@id`",
            ],
        );
    }
    let mut within = product(&a, &a);
    within["subcomponents"] = json!([product("pkg:apk/alpine/bash@5.0", "pkg:apk/alpine/bash")]);
    check(&vex(&within), &["override CVE-1 abab bash@5.0"]);
}

#[test]
fn a_part_of_a_package_is_not_all_of_it() {
    let name = "pkg:golang/example.com/tool@1.0#cmd/serve";
    check(
        &vex(&json!({"@id": name})),
        &["rejected `statements[0].products[0].@id`: a part of a package"],
    );
    let image = format!("pkg:oci/web@{}", digest("ab").replace(':', "%3A"));
    check(
        &vex(&json!({"@id": image, "subcomponents": [{"@id": name}]})),
        &["rejected `statements[0].products[0].subcomponents[0].@id`: a part of a package"],
    );
}

#[test]
fn a_statement_that_waives_is_as_old_as_when_it_was_made() {
    let image = json!({"@id": format!("pkg:oci/web@{}", digest("ab"))});
    let statement = |status: &str, made: &str, updated: Option<&str>| {
        json!({"vulnerability": {"name": "CVE-1"}, "products": [image], "status": status, "justification": "component_not_present",
            "timestamp": made, "last_updated": updated})
    };
    let document = |statements: [Value; 2]| json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "d", "author": "a", "version": 1, "statements": statements});
    let (early, late, last) = (
        "2026-01-01T00:00:00Z",
        "2026-02-01T00:00:00Z",
        "2026-03-01T00:00:00Z",
    );
    check(
        &document([
            statement("not_affected", early, Some(last)),
            statement("affected", late, None),
        ]),
        &["ignored"],
    );
    check(
        &document([
            statement("affected", early, None),
            statement("not_affected", late, None),
        ]),
        &["override CVE-1 abab "],
    );
}

#[test]
fn a_word_that_is_no_justification_justifies_nothing() {
    let mut document = vex(&json!({"@id": format!("pkg:oci/web@{}", digest("ab"))}));
    document["statements"][0]["justification"] = json!("we_looked_at_it");
    check(
        &document,
        &[
            "rejected `statements[0].justification`: `we_looked_at_it` is no justification of OpenVEX",
        ],
    );
}
