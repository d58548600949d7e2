//! SARIF documents of several runs: what a run found is given to no other image than its own, and a run
//! that found nothing is no scan because of another.

use serde_json::{Value, json};
use weir_engine::adapters::SUBJECT_HEADER;

use crate::words::{check, check_with, digest};

/// A run of `tool` that found these, each a digit of the identifier and the place.
fn run(tool: &str, found: &[(u32, &str)]) -> Value {
    let rules = found.iter().map(
        |(id, _)| json!({"id": format!("CVE-{id}"), "properties": {"security-severity": "2.0"}}),
    );
    let results = found.iter().map(|(id, place)| {
        json!({"ruleId": format!("CVE-{id}"), "message": {"text": "m"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": place}}}]})
    });
    json!({"tool": {"driver": {"name": tool, "rules": rules.collect::<Vec<_>>()}}, "results": results.collect::<Vec<_>>()})
}

/// The same, of an image that is named as Trivy does.
fn named(tool: &str, found: &[(u32, &str)], properties: Value) -> Value {
    let mut run = run(tool, found);
    run["properties"] = properties;
    run
}

/// A run of Snyk on the system of an image, which names it.
fn system(id: u32, pair: &str) -> Value {
    run("Snyk Container", &[(id, &image(pair))])
}

/// A run of Snyk on an application, which names its list of packages.
fn application(id: u32) -> Value {
    run("Snyk Container", &[(id, "app/package.json")])
}

fn image(pair: &str) -> String {
    format!("dev/web@sha256_{}", pair.repeat(32))
}

fn config(pair: &str) -> Value {
    json!({"imageID": digest(pair)})
}

fn manifest(pair: &str) -> Value {
    json!({"repoDigests": [format!("dev/web@{}", digest(pair))]})
}

fn sarif(runs: &[Value]) -> Value {
    json!({"version": "2.1.0", "runs": runs})
}

#[test]
fn a_run_that_tells_of_an_error_is_no_completed_scan() {
    let telling = |kind: &str, level: &str| {
        let mut run = run("Grype", &[(1, &image("ab"))]);
        run["invocations"] = json!([{"executionSuccessful": true, kind: [{"message": {"text": "could not read the rpm database"}, "level": level}]}]);
        sarif(&[run])
    };
    let header = [(SUBJECT_HEADER, &*digest("ab"))];
    for kind in [
        "toolExecutionNotifications",
        "toolConfigurationNotifications",
    ] {
        let told =
            format!("rejected `runs[0].invocations[0].{kind}[0].level`: not a completed scan");
        check_with(&header, &telling(kind, "error"), &[&*told]);
        for level in ["warning", "note", "none"] {
            check_with(&header, &telling(kind, level), &["scanned abab by grype"]);
        }
    }
}

#[test]
fn what_an_unnamed_run_found_is_given_to_none_of_several_images() {
    let several = |at: usize| {
        format!(
            "rejected `runs[{at}].results`: the run names no image, and other runs of the tool name several"
        )
    };
    let (a, b, c) = (system(1, "aa"), system(2, "bb"), system(3, "cc"));
    for (runs, at) in [
        (
            vec![a.clone(), application(8), b.clone(), application(9)],
            1,
        ),
        (vec![application(9), a.clone(), b.clone()], 0),
        (vec![a.clone(), b.clone(), c.clone(), application(9)], 3),
        (vec![a.clone(), b.clone(), run("Snyk Container", &[])], 2),
    ] {
        check(&sarif(&runs), &[&several(at)]);
        check_with(
            &[(SUBJECT_HEADER, &digest("bb"))],
            &sarif(&runs),
            &[&several(at)],
        );
    }
    // Other tools' scans of the same document stand.
    let other = run("x", &[(4, &image("aa"))]);
    check(
        &sarif(&[a.clone(), other, b.clone(), application(9)]),
        &[&several(3), "scanned aaaa by x: CVE-4=LOW"],
    );
    // Where all are named, or one image alone is, nothing is open.
    check(
        &sarif(&[a.clone(), b, system(9, "bb")]),
        &[
            "scanned aaaa by snyk container: CVE-1=LOW",
            "scanned bbbb by snyk container: CVE-2=LOW CVE-9=LOW",
        ],
    );
    check(
        &sarif(&[application(9), a, run("Snyk Container", &[])]),
        &["scanned aaaa by snyk container: CVE-1=LOW CVE-9=LOW"],
    );
}

#[test]
fn results_of_one_run_that_name_several_images_are_given_to_none() {
    check(
        &sarif(&[run("x", &[(1, &image("aa")), (2, &image("bb"))])]),
        &["rejected the report names several digests"],
    );
}

#[test]
fn runs_that_name_an_image_in_words_that_do_not_compare_are_not_taken_for_two() {
    let one = named("x", &[(1, "p")], config("cc"));
    let other = named("x", &[(2, "p")], manifest("aa"));
    for runs in [[one.clone(), other.clone()], [other, one]] {
        check(
            &sarif(&runs),
            &[
                "rejected `runs[1].results`: the runs of the tool name what they scanned in different words",
            ],
        );
        check_with(
            &[(SUBJECT_HEADER, &digest("ab"))],
            &sarif(&runs),
            &["scanned abab by x: CVE-"],
        );
    }
    // By the configuration in both they compare, whatever else they are named by.
    let mut both = manifest("aa");
    both["imageID"] = json!(digest("cc"));
    check(
        &sarif(&[
            named("x", &[(1, "p")], both.clone()),
            named("x", &[(2, "p")], config("cc")),
        ]),
        &["leaf? scanned aaaa by x: CVE-1=LOW CVE-2=LOW"],
    );
    // Two platforms of one index, by whose digest both were pulled.
    let mut platform = both.clone();
    platform["imageID"] = json!(digest("dd"));
    check(
        &sarif(&[
            named("x", &[(1, "p")], both),
            named("x", &[(2, "p")], platform),
        ]),
        &[
            "leaf? scanned aaaa by x: CVE-1=LOW",
            "leaf? scanned aaaa by x: CVE-2=LOW",
        ],
    );
}

#[test]
fn a_run_without_results_is_no_scan_because_of_another_run() {
    let empty = "not a completed scan: no results";
    let of_image = named("Trivy", &[], config("cc"));
    let of_directory = run("Trivy", &[(1, "go.mod")]);
    let unnamed = "rejected the report does not say which image was scanned";
    for (runs, of_empty) in [
        ([of_image.clone(), of_directory.clone()], 0),
        ([of_directory.clone(), of_image.clone()], 1),
    ] {
        let empty = format!("rejected `runs[{of_empty}].results`: {empty}");
        check(&sarif(&runs), &[&empty, unnamed]);
        check_with(
            &[(SUBJECT_HEADER, &digest("ab"))],
            &sarif(&runs),
            &[
                "rejected a part of what `weir-subject-digest` says to be about one image cannot be read",
            ],
        );
        check(
            &json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1", "subject": [{"name": "w", "digest": {"sha256": "ab".repeat(32)}}],
                "predicate": {"scanner": {"uri": "trivy", "result": sarif(&runs)}, "metadata": {"scanFinishedOn": "2026-01-01T00:00:00Z"}}}),
            &["rejected `predicate.scanner.result`: "],
        );
    }
    // Nor because of one of the same image, nor of a tool that may name it nowhere.
    for (tool, other) in [
        ("Trivy", named("Trivy", &[(1, "p")], config("cc"))),
        ("x", run("x", &[(1, "p")])),
    ] {
        let runs = [named(tool, &[], config("cc")), other];
        check(
            &sarif(&runs),
            &[&format!("rejected `runs[0].results`: {empty}")],
        );
    }
    // What a directory holds is no part of an image's scan.
    check(
        &sarif(&[named("Trivy", &[(2, "p")], manifest("aa")), of_directory]),
        &["scanned aaaa by trivy: CVE-2=LOW", unnamed],
    );
}
