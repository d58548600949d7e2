//! Fields of a kind that they cannot have, and fields that contradict each other: never read so that a
//! report says less than what is there.

use serde_json::{Value, json};
use weir_engine::adapters::SUBJECT_HEADER;

use crate::words::{changed, check, check_with, digest};

/// What is no list, whatever it holds.
fn no_lists() -> [Value; 4] {
    let part = "pkg:golang/golang.org/x/net@v0.17.0";
    [json!({ "@id": part }), json!(part), json!(7), json!(true)]
}

fn vex(product: Value, more: Value) -> Value {
    let mut statement = json!({"vulnerability": {"name": "CVE-1"}, "products": [product], "status": "not_affected", "justification": "vulnerable_code_not_present"});
    let more = more.as_object().unwrap().clone();
    statement.as_object_mut().unwrap().extend(more);
    json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "version": 1, "statements": [statement]})
}

#[test]
fn what_openvex_says_in_a_wrong_kind_never_widens_an_override() {
    let image = format!("pkg:oci/web@{}", digest("ab"));
    let refused = |place: &str, expected: &str| {
        format!("rejected `statements[0].{place}`: expected {expected}")
    };
    for parts in no_lists() {
        check(
            &vex(json!({"@id": image, "subcomponents": parts}), json!({})),
            &[&*refused("products[0].subcomponents", "a list")],
        );
        // Before 0.2 they were the statement's.
        check(
            &vex(json!(image), json!({"subcomponents": parts})),
            &[&*refused("subcomponents", "a list")],
        );
        check(
            &vex(json!(image), json!({"products": parts})),
            &[&*refused("products", "a list")],
        );
    }
    let repository = "pkg:oci/web?repository_url=registry.example/web";
    for (product, place, expected) in [
        (
            json!({"hashes": [{"sha-256": "ab"}]}),
            "hashes",
            "an object",
        ),
        (
            json!({"hashes": {"sha-256": ["ab"]}}),
            "hashes.sha-256",
            "a text",
        ),
        (
            json!({"identifiers": [{"purl": image}]}),
            "identifiers",
            "an object",
        ),
        (
            json!({"identifiers": {"purl": [image]}}),
            "identifiers.purl",
            "a text",
        ),
    ] {
        let mut product = product;
        product["@id"] = json!(repository);
        check(
            &vex(product, json!({})),
            &[&*refused(&format!("products[0].{place}"), expected)],
        );
    }
    check(
        &vex(json!(image), json!({"justification": {"text": "none"}})),
        &[&*refused("justification", "a text")],
    );
    // Absent in the ways in which things are absent.
    for none in [json!(null), json!(""), json!([])] {
        check(
            &vex(
                json!({"@id": image, "subcomponents": none, "hashes": null, "identifiers": {}}),
                json!({"subcomponents": none}),
            ),
            &["override CVE-1 abab "],
        );
    }
}

fn run(severity: &str) -> Value {
    json!({"tool": {"driver": {"name": "Snyk Container", "rules": [{"id": "SNYK-DEBIAN13-OPENSSL-4", "properties": {"security-severity": severity}}]}},
        "results": [{"ruleId": "SNYK-DEBIAN13-OPENSSL-4", "level": "note", "message": {"text": "x"}}]})
}

/// One run that is changed, alone, before a whole one and behind it.
fn check_runs(change: impl FnOnce(&mut Value), expected: &[&str]) {
    let mut changed = run("9.8");
    change(&mut changed);
    for runs in [
        json!([changed]),
        json!([changed, run("2.0")]),
        json!([run("2.0"), changed]),
    ] {
        let at = runs
            .as_array()
            .unwrap()
            .iter()
            .position(|run| *run == changed);
        let expected = expected
            .iter()
            .map(|line| line.replace("runs[N]", &format!("runs[{}]", at.unwrap())));
        let expected: Vec<_> = expected.collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check_with(
            &[(SUBJECT_HEADER, &digest("ab"))],
            &json!({"version": "2.1.0", "runs": runs}),
            &expected,
        );
    }
}

#[test]
fn a_run_without_a_list_of_results_is_none_that_found_nothing() {
    // SARIF 2.1.0, 3.14.23: `null`, or absent, where the tool did not look.
    for results in [json!(null), json!({"0": {}}), json!("none"), json!(0)] {
        check_runs(
            |run| run["results"] = results,
            &["rejected `runs[N].results`: not a completed scan: no list of results"],
        );
    }
    let away = |run: &mut Value| {
        run.as_object_mut().unwrap().remove("results");
        run["externalPropertyFileReferences"] = json!({"results": [{"location": {"uri": "more.sarif-external-properties"}, "itemCount": 57}]});
    };
    check_runs(
        away,
        &["rejected `runs[N].results`: not a completed scan: no list of results"],
    );
    let beside = |run: &mut Value| {
        away(run);
        run["results"] = json!([]);
    };
    check_runs(
        beside,
        &[
            "rejected `runs[N].externalPropertyFileReferences.results`: not a completed scan: results in another place",
        ],
    );
    check_runs(
        |run| run["externalPropertyFileReferences"] = json!(["more.sarif-external-properties"]),
        &["rejected `runs[N].externalPropertyFileReferences`: expected an object"],
    );
    // Other properties than results may be elsewhere.
    check_with(
        &[(SUBJECT_HEADER, &digest("ab"))],
        &{
            let mut run = run("2.0");
            run["externalPropertyFileReferences"] =
                json!({"artifacts": [{"guid": "x"}], "results": []});
            json!({"version": "2.1.0", "runs": [run]})
        },
        &["scanned abab by snyk container: SNYK-DEBIAN13-OPENSSL-4=LOW"],
    );
    check(
        &json!({"version": "2.1.0", "runs": [run("2.0")], "inlineExternalProperties": [{"runGuid": "x", "results": [{"ruleId": "CVE-1"}]}]}),
        &[
            "rejected `inlineExternalProperties[0].results`: not a completed scan: results in another place",
        ],
    );
}

#[test]
fn a_run_that_does_not_say_that_it_succeeded_is_no_completed_scan() {
    for successful in [json!(false), json!("false"), json!(0), json!({})] {
        check_runs(
            |run| run["invocations"] = json!([{"executionSuccessful": successful}]),
            &[
                "rejected `runs[N].invocations[0].executionSuccessful`: not a completed scan: the run failed",
            ],
        );
    }
    check_runs(
        |run| run["invocations"] = json!({"executionSuccessful": false}),
        &["rejected `runs[N].invocations`: expected a list, found an object"],
    );
    for invocations in [
        json!(null),
        json!([]),
        json!([{}]),
        json!([{"executionSuccessful": true}]),
    ] {
        let mut run = run("9.8");
        run["invocations"] = invocations;
        check_with(
            &[(SUBJECT_HEADER, &digest("ab"))],
            &json!({"version": "2.1.0", "runs": [run]}),
            &["scanned abab by snyk container: SNYK-DEBIAN13-OPENSSL-4=CRITICAL"],
        );
    }
}

fn cyclonedx(tool: &str, kind: &str, ratings: Value) -> Value {
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"tools": {"components": [{"type": "application", "name": tool}]}, "component": {"type": kind, "name": "a"}},
        "components": [{"type": "library", "bom-ref": "a", "name": "a", "version": "1"}],
        "vulnerabilities": [{"id": "CVE-1", "ratings": [{"severity": "low"}], "affects": [{"ref": "a"}]}, {"id": "CVE-2", "ratings": ratings, "affects": [{"ref": "a"}]}]})
}

#[test]
fn a_rating_of_a_wrong_kind_is_not_an_unknown_one() {
    let check = |ratings: Value, expected: &str| {
        check_with(
            &[(SUBJECT_HEADER, &digest("ab"))],
            &cyclonedx("trivy", "container", ratings),
            &[expected],
        );
    };
    check(
        json!({"severity": "critical"}),
        "rejected `vulnerabilities[1].ratings`: expected a list, found an object",
    );
    check(
        json!([{"severity": ["critical"]}]),
        "rejected `vulnerabilities[1].ratings[0].severity`: expected a text",
    );
    check(
        json!(null),
        "scanned abab by trivy: CVE-1=LOW CVE-2=UNKNOWN",
    );
}

#[test]
fn a_scan_of_a_directory_is_none_of_the_image_that_the_sender_names() {
    // anchore/syft, syft/format/common/cyclonedxhelpers: `file`; aquasecurity/trivy,
    // pkg/sbom/io/encode.go: `application`.
    for (tool, kind, expected) in [
        (
            "grype",
            "file",
            "rejected `metadata.component.type`: `file` is not an image",
        ),
        (
            "trivy",
            "application",
            "rejected `metadata.component.type`: `application` is not an image",
        ),
        ("trivy", "container", "scanned abab by trivy:"),
        // What others call an image is not known.
        ("acme", "application", "scanned abab by acme:"),
    ] {
        check_with(
            &[(SUBJECT_HEADER, &digest("ab"))],
            &cyclonedx(tool, kind, json!([{"severity": "low"}])),
            &[expected],
        );
    }
}

#[test]
fn a_report_of_harbors_scanners_says_how_grave_each_is_in_a_text() {
    let report = |more: Value| {
        let mut report = json!({"artifact": {"digest": digest("ab")}, "scanner": {"name": "Trivy"}, "severity": "Medium",
            "vulnerabilities": [{"id": "CVE-1", "package": "bash", "version": "5", "severity": "Low"}, {"id": "CVE-2", "severity": "Medium"}]});
        let more = more.as_object().unwrap().clone();
        report.as_object_mut().unwrap().extend(more);
        report
    };
    let listed =
        |severity: Value| json!({"vulnerabilities": [{"id": "CVE-1", "severity": severity}]});
    for (more, expected) in [
        (json!({}), "scanned abab by trivy: CVE-1=LOW CVE-2=MEDIUM"),
        (json!({"severity": "Low"}), "scanned abab by trivy:"),
        (json!({"severity": null}), "scanned abab by trivy:"),
        (json!({"severity": "Critical"}), "scanned abab by trivy:"),
        (
            json!({"severity": ["Critical"]}),
            "rejected `severity`: expected a text",
        ),
        (
            listed(json!(["Critical"])),
            "rejected `vulnerabilities[0].severity`: expected a text",
        ),
        (
            listed(json!(5)),
            "rejected `vulnerabilities[0].severity`: expected a text",
        ),
        (
            json!({"complete_percent": "50%"}),
            "rejected `complete_percent`: not a completed scan",
        ),
        (
            json!({"complete_percent": [100]}),
            "rejected `complete_percent`: not a completed scan",
        ),
        (json!({"complete_percent": 100}), "scanned abab by trivy:"),
    ] {
        check(&report(more), &[expected]);
    }
}

#[test]
fn an_overview_of_harbors_is_whole_at_a_hundred_percent_and_no_other_word() {
    let overview = |name: &str, value: Value| {
        changed("harbor/scanning-completed.json", |body| {
            let overviews = &mut body["event_data"]["resources"][0]["scan_overview"];
            let (_, overview) = overviews
                .as_object_mut()
                .unwrap()
                .iter_mut()
                .next()
                .unwrap();
            overview["summary"] =
                json!({"total": 3, "summary": {"Low": 2, "High": 1, "Critical": 0}});
            overview["severity"] = json!("High");
            overview[name] = value;
        })
    };
    for severity in ["Critical", "High", "Low", "None", "Unknown", ""] {
        check(
            &overview("severity", json!(severity)),
            &["scanned 954b by trivy: CRITICAL*0 HIGH*1 LOW*2"],
        );
    }
    check(&overview("complete_percent", json!("50%")), &["ignored"]);
    check(&overview("complete_percent", json!({})), &["ignored"]);
}
