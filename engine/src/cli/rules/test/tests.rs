//! Rule tests: which facts a case has, what is found wrong, and how it is reported.

use std::fs;
use std::process::ExitCode;

use super::{Args, Output, run_to};

const RULE: &str = "//! from: dev/*\n//! to: staging/{1}\n\n\
    tag.name.startsWith(\"v\")\n  && scan.critical == 0\n  \
    && vulnerabilities.all(v, v.severity != \"HIGH\" || v.age < duration(\"72h\"))\n";

struct Outcome {
    code: ExitCode,
    out: String,
    talk: String,
}

fn run(rule: &str, tests: &str, change: impl FnOnce(&mut Args)) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("r.cel"), rule).unwrap();
    if !tests.is_empty() {
        fs::write(directory.path().join("r.test.yaml"), tests).unwrap();
    }
    let mut args = Args {
        directory: directory.path().to_owned(),
        output: Output::Table,
        min_coverage: None,
        mutate: false,
    };
    change(&mut args);
    let (mut out, mut talk) = (Vec::new(), Vec::new());
    let code = run_to(&args, &mut out, &mut talk).unwrap_or_else(|error| {
        talk = error.to_string().into_bytes();
        ExitCode::from(error.code)
    });
    Outcome {
        code,
        out: String::from_utf8(out).unwrap(),
        talk: String::from_utf8(talk).unwrap(),
    }
}

fn passes(rule: &str, tests: &str) {
    let outcome = run(rule, tests, |_| {});
    assert_eq!(
        outcome.code,
        ExitCode::SUCCESS,
        "{}{}",
        outcome.out,
        outcome.talk
    );
}

/// Each case as a YAML flow mapping without its name.
fn check(rule: &str, cases: &[&str]) {
    let tests: String = cases
        .iter()
        .enumerate()
        .map(|(number, case)| format!("  - {{ name: case {number}, {case} }}\n"))
        .collect();
    passes(rule, &format!("tests:\n{tests}"));
}

#[test]
fn facts_that_are_not_set_are_those_of_a_clean_image() {
    check(
        RULE,
        &[
            "set: { tag.name: v1 }, expect: { verdict: promote, reasons: [], target: 'staging/app:v1' }",
            "expect: { verdict: block, reasons: [clause-false], clause: 'tag.name.startsWith(\"v\")' }",
            "set: { tag.name: v1, scan.critical: 1 }, expect: { verdict: block, clause: 'scan.critical  == 0' }",
            "set: { tag: { name: v1 }, repository.name: dev/shop }, expect: { target: 'staging/shop:v1' }",
            "set: { tag.name: v1, artifact.class: artifact }, expect: { reasons: [rule-removed] }",
            "set: { tag.name: v1, repository.name: qa/shop }, expect: withdrawn",
            "unset: [scan.critical], set: { tag.name: v1 }, expect: { verdict: error, reasons: [rule-error] }",
            "unset: [scan], set: { tag.name: v1 }, expect: { verdict: error, message: takes `scan` away }",
        ],
    );
}

#[test]
fn counts_follow_from_findings_and_ages_from_times() {
    check(
        RULE,
        &[
            "set: { tag.name: v1, vulnerabilities: [{ id: CVE-1, severity: critical }] }, expect: { clause: scan.critical == 0 }",
            "set: { tag.name: v1, images: [{ vulnerabilities: [{ id: CVE-1, severity: CRITICAL }] }] }, expect: { clause: scan.critical == 0 }",
            "set: { tag.name: v1, vulnerabilities: [{ severity: HIGH, age: 71h }] }, expect: promote",
            "set: { tag.name: v1, vulnerabilities: [{ severity: HIGH, age: 80h }] }, expect: block",
            "set: { tag.name: v1, vulnerabilities: [{ severity: HIGH, first_seen: -80h }] }, expect: block",
            "set: { tag.name: v1, vulnerabilities: [{ severity: HIGH, first_seen: '2026-01-01T00:00:00Z' }] }, expect: block",
        ],
    );
}

#[test]
fn an_age_that_is_no_duration_is_refused() {
    for (set, told) in [
        (
            "vulnerabilities: [{ severity: HIGH, age: 4 }]",
            "`age` must be a duration such as `4h` or `3d`, not `4`",
        ),
        (
            "vulnerabilities: [{ severity: HIGH, age: true }]",
            "`age` must be a duration such as `4h` or `3d`, not `true`",
        ),
        (
            "images.0.scan.db_age: 1.5",
            "`db_age` must be a duration such as `4h` or `3d`, not `1.5`",
        ),
    ] {
        let tests =
            format!("tests: [{{ name: x, set: {{ tag.name: v1, {set} }}, expect: promote }}]");
        let outcome = run(RULE, &tests, |_| {});
        assert_ne!(outcome.code, ExitCode::SUCCESS, "{set}");
        let said = outcome.out + &outcome.talk;
        assert!(said.contains(told), "{set}: {said}");
    }
}

#[test]
fn labels_are_set_as_a_whole_and_their_names_mean_nothing() {
    let rule = "//! from: dev/*\n//! to: staging/{1}\n\n\
        artifact.labels == {} || artifact.labels == {\"age\": \"5h\", \"built_at\": \"-x\"}";
    let tests = "\
defaults: { artifact.labels: { base: alpine } }
tests:
  - { name: defaults, expect: block }
  - { name: none, set: { artifact.labels: {} }, expect: promote }
  - { name: others, set: { artifact: { labels: { age: 5h, built_at: '-x' } } }, expect: promote }
  - { name: one more, set: { artifact.labels.age: 5h }, expect: block }
";
    passes(rule, tests);
}

#[test]
fn the_gate_comes_before_the_expression() {
    check(
        RULE,
        &[
            "set: { images: [{ scan: { state: missing } }] }, expect: { verdict: wait, reasons: [scan-missing] }",
            "set: { images: [{ scan: { state: running } }, {}] }, expect: { verdict: wait, reasons: [scan-running] }",
            "set: { images: [{}, { scan: { state: failed } }, { scan: { state: missing } }] }, expect: { verdict: block, reasons: [scan-missing, scan-failed] }",
            "set: { images: [] }, expect: { verdict: block, reasons: [nothing-to-scan] }",
        ],
    );
    let unscanned = RULE.replace("\n\n", "\n//! scan: not-required\n\n");
    check(
        &unscanned,
        &[
            "set: { tag.name: v1, images: [{ scan: { state: missing } }] }, expect: promote",
            "set: { tag.name: v1, artifact.class: app, images: [{ scan: { state: missing } }] }, expect: wait",
        ],
    );
}

#[test]
fn people_time_and_target_are_judged_last() {
    let rule = "//! from: dev/*\n//! to: prod/{1}\n//! soak: 24h\n//! approvals: 2\n//! owner: ann\n\
        //! separate: pusher, rule-owner\n//! window: Mon-Thu 20:00-21:00\n\ntag.name != \"\"";
    check(
        rule,
        &[
            "expect: { verdict: promote, reasons: [] }",
            "set: { tag.pushed_at: -23h }, expect: { verdict: wait, reasons: [soaking] }",
            "set: { now: '2026-01-15T12:00:00Z' }, expect: { verdict: wait, reasons: [outside-window] }",
            "set: { approvals: [{ actor: ann }, { actor: bob }, { actor: bob }] }, expect: { reasons: [approval-missing] }",
            "set: { approvals: [{ actor: pusher }, { actor: bob }] }, expect: { reasons: [approval-missing] }",
            "set: { target.digest: 'sha256:x', target.immutable_tags: true }, expect: { verdict: block, reasons: [target-immutable] }",
            "set: { target: { repository: dev/app, tag: 1.0.0 } }, expect: { verdict: block, reasons: [loop] }",
            "set: { lineage: [{ rule: r }] }, expect: { reasons: [loop] }",
        ],
    );
}

#[test]
fn a_deny_rule_blocks_when_it_is_true_and_when_it_errs() {
    check(
        "//! kind: deny\n//! message: no {tag}\ntag.name == \"latest\" && scan.total >= 0",
        &[
            "set: { tag.name: latest }, expect: { verdict: block, reasons: [denied], message: no latest }",
            "expect: promote",
            "set: { tag.name: latest }, unset: [scan.total], expect: error",
        ],
    );
}

const PUSH: &str = "{ image.pushed: { repository: dev/app, tag: v1, digest: a } }";

/// Each case as its history, and what else the flow mapping of the case says.
fn check_histories(rule: &str, cases: &[(&[&str], &str)]) {
    let cases: Vec<String> = cases
        .iter()
        .map(|(history, rest)| format!("history: [{}], {rest}", history.join(", ")))
        .collect();
    check(rule, &cases.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_history_is_judged_by_the_core_at_its_end_and_on_the_way() {
    let scan = "{ scan.completed: { digest: a } }";
    let bad = "{ scan.completed: { digest: a, findings: [{ id: CVE-1, severity: CRITICAL }] } }";
    let grant = "{ override.granted: { override_id: o, vulnerability: CVE-1, expires_at: '2026-01-16T12:00:00Z' } }";
    check_histories(
        RULE,
        &[
            (
                &[PUSH],
                "expect: { verdict: wait, reasons: [scan-missing], target: 'staging/app:v1' }",
            ),
            (&[PUSH, "{ expect: wait }", scan], "expect: promote"),
            (&[scan, PUSH], "expect: promote"),
            (
                &[PUSH, bad],
                "expect: { verdict: block, reasons: [clause-false], clause: scan.critical == 0 }",
            ),
            (&[PUSH, bad, "{ expect: block }", grant], "expect: promote"),
            (
                &[
                    bad,
                    grant,
                    "{ after: 1d }",
                    "{ scanner.updated: { scanner: { name: trivy, db_updated_at: '2026-01-16T00:00:00Z' } } }",
                    PUSH,
                ],
                "expect: block",
            ),
            (
                &[
                    PUSH,
                    scan,
                    "{ tag.deleted: { repository: dev/app, tag: v1 } }",
                ],
                "expect: { reasons: [tag-deleted] }",
            ),
            (
                &[
                    PUSH,
                    "{ hold.placed: { hold_id: h } }",
                    scan,
                    "{ expect: { reasons: [held] } }",
                    "{ hold.released: { hold_id: h } }",
                ],
                "expect: promote",
            ),
            (
                &[
                    PUSH,
                    "{ image.pushed: { repository: dev/app, tag: v2, digest: b } }",
                    scan,
                ],
                "of: 'dev/app:v2', expect: wait",
            ),
        ],
    );
    let soaking = RULE.replace("\n\n", "\n//! soak: 24h\n\n");
    check_histories(
        &soaking,
        &[
            (
                &[PUSH, scan, "{ after: 23h }"],
                "expect: { reasons: [soaking] }",
            ),
            (&[PUSH, scan, "{ after: 24h }"], "expect: promote"),
            (
                &[PUSH, scan, "{ at: '2026-01-16T12:00:00Z' }"],
                "expect: promote",
            ),
        ],
    );
}

#[test]
fn a_mistake_in_a_history_fails_the_case_and_says_where() {
    let scan = "{ scan.completed: { digest: a } }";
    for (history, rest, expected) in [
        (
            &[PUSH, "{ scan.complete: { digest: a } }"][..],
            "expect: wait",
            "history, number 2: no event `scan.complete`, did you mean `scan.completed`?",
        ),
        (
            &["{ image.pushed: { repository: dev/app, tag: 1.0, digest: a } }"],
            "expect: wait",
            "number 1: `tag` is a number: write it in quotes",
        ),
        (
            &[PUSH, "{ after: soon }"],
            "expect: wait",
            "number 2: `after`: ",
        ),
        (
            &[PUSH, "{ at: '2025-01-01T00:00:00Z' }"],
            "expect: wait",
            "is before 2026-01-15T12:00:00Z",
        ),
        (
            &[PUSH, scan, "{ expect: wait }"],
            "expect: promote",
            "history, number 3: expected wait, got promote",
        ),
        (
            &["{ image.pushed: { repository: qa/app, tag: v1, digest: a } }"],
            "expect: wait",
            "`r` never had a verdict on any tag",
        ),
        (
            &[
                PUSH,
                "{ image.pushed: { repository: dev/app, tag: v2, digest: b } }",
            ],
            "expect: wait",
            "several verdicts, on `dev/app:v1` under `r`, `dev/app:v2` under `r`: name one tag with `of`",
        ),
        (
            &[PUSH],
            "of: 'dev/app:v3', expect: wait",
            "`r` never had a verdict on `dev/app:v3`",
        ),
        (
            &[PUSH],
            "rules: [gone], expect: wait",
            "there is no other rule `gone` beside it",
        ),
    ] {
        let tests = format!(
            "tests:\n  - {{ name: a, history: [{}], {rest} }}\n",
            history.join(", ")
        );
        let outcome = run(RULE, &tests, |_| {});
        assert_eq!(
            outcome.code,
            ExitCode::from(1),
            "{}{}",
            outcome.out,
            outcome.talk
        );
        assert!(
            outcome.out.contains(expected),
            "{expected}: {}",
            outcome.out
        );
    }
    for (case, expected) in [
        (
            "history: [{ after: 1d, at: x }], expect: wait",
            "one thing happens at a time",
        ),
        ("history: [{ after: 3 }], expect: wait", "`3` is no time"),
        (
            "history: [{ after: 3d }], set: { tag.name: v1 }, expect: wait",
            "facts follow from the history",
        ),
        (
            "of: 'a:1', expect: wait",
            "`of` and `rules` belong to a `history`",
        ),
        (
            "history: [], expect: promote",
            "nothing happens in its `history`",
        ),
        (
            "history: , expect: promote",
            "nothing happens in its `history`",
        ),
    ] {
        let outcome = run(
            RULE,
            &format!("tests:\n  - {{ name: a, {case} }}\n"),
            |_| {},
        );
        assert_eq!(outcome.code, ExitCode::from(2), "{case}: {}", outcome.out);
        assert!(
            outcome.talk.contains(expected),
            "{expected}: {}",
            outcome.talk
        );
    }
}

#[test]
fn clauses_and_mutants_are_seen_by_histories_too() {
    let rule = "//! from: dev/*\n//! to: staging/{1}\n\nscan.critical == 0 && !target.exists\n";
    let tests = "tests:\n  - name: a\n    history:\n      \
        - image.pushed: { repository: dev/app, tag: v1, digest: a }\n      \
        - scan.completed: { digest: a, findings: [{ id: CVE-1, severity: CRITICAL }] }\n      \
        - expect: { reasons: [clause-false], clause: scan.critical == 0 }\n      \
        - scan.completed: { digest: a, scanned_at: '2026-02-01T00:00:00Z' }\n      \
        - expect: promote\n      \
        - image.pushed: { repository: dev/app, tag: v1, digest: b }\n      \
        - scan.completed: { digest: b }\n    \
        expect: { reasons: [clause-false], clause: \"!target.exists\" }\n";
    let outcome = run(rule, tests, |args| {
        args.min_coverage = Some(100.0);
        args.mutate = true;
    });
    assert_eq!(
        outcome.code,
        ExitCode::SUCCESS,
        "{}{}",
        outcome.out,
        outcome.talk
    );
    assert!(!outcome.out.contains("  + true\n"), "{}", outcome.out);
}

#[test]
fn a_wrong_expectation_fails_and_says_what_came() {
    let outcome = run(
        RULE,
        "tests:\n  - { name: a, set: { tag.name: v1 }, expect: block }\n",
        |_| {},
    );
    assert_eq!(outcome.code, ExitCode::from(1));
    assert!(
        outcome
            .out
            .contains("FAIL  a\n        expected block, got promote"),
        "{}",
        outcome.out
    );
}

#[test]
fn a_fact_that_does_not_exist_fails_the_case() {
    for (set, expected) in [
        (
            "scan.critcal: 1",
            "no field `critcal` in `scan`, did you mean `critical`?",
        ),
        (
            "scna.critical: 1",
            "no variable `scna`, did you mean `scan`?",
        ),
        ("scan.critical: one", "`scan.critical` must be a int"),
        ("images.3.role: self", "`images` must be a list"),
    ] {
        let tests = format!("tests:\n  - {{ name: a, set: {{ {set} }}, expect: block }}\n");
        let outcome = run(RULE, &tests, |_| {});
        assert_eq!(outcome.code, ExitCode::from(1));
        assert!(outcome.out.contains(expected), "{set}: {}", outcome.out);
    }
}

#[test]
fn no_tests_are_a_failure_and_bad_files_a_usage_error() {
    let none = run(RULE, "", |_| {});
    assert_eq!(none.code, ExitCode::from(1));
    assert!(none.talk.starts_with("no tests"), "{}", none.talk);
    let empty = run(RULE, "tests: []", |_| {});
    assert_eq!(empty.code, ExitCode::from(1));
    let told = "test.yaml: list them under `tests:`";
    assert!(empty.talk.contains(told), "{}", empty.talk);
    for bad in [
        "tests: [{ name: a }]",
        "tests: [{ name: a, expect: {} }]",
        "test: []",
        "\t",
    ] {
        let outcome = run(RULE, bad, |_| {});
        assert_eq!(outcome.code, ExitCode::from(2), "{bad}: {}", outcome.out);
        assert!(outcome.talk.contains("r.test.yaml"), "{}", outcome.talk);
    }
}

#[test]
fn a_test_file_with_the_ending_of_other_programs_is_refused() {
    for of_one_file in [false, true] {
        let outcome = run(RULE, "", |args| {
            fs::write(args.directory.join("r.test.yml"), "tests: []").unwrap();
            if of_one_file {
                args.directory.push("r.cel");
            }
        });
        assert_eq!(outcome.code, ExitCode::from(2), "{}", outcome.out);
        let told = "r.test.yml: the names of tests end in `.test.yaml`: rename it";
        assert!(outcome.talk.ends_with(told), "{}", outcome.talk);
    }
}

#[test]
fn the_ending_of_a_rule_may_be_in_any_case() {
    let tests = "tests:\n  - { name: a, set: { tag.name: v1 }, expect: promote }\n";
    let outcome = run(RULE, tests, |args| {
        let file = |name: &str| args.directory.join(name);
        fs::rename(file("r.cel"), file("r.CEL")).unwrap();
    });
    assert_eq!(outcome.code, ExitCode::SUCCESS, "{}", outcome.talk);
    assert!(outcome.out.contains("1 passed"), "{}", outcome.out);
}

#[test]
fn facts_that_can_never_be_are_refused() {
    for (set, expected) in [
        (
            "vulnerabilities: [{ id: CVE-1, severity: CRITCAL }]",
            "vulnerabilities.0.severity` is never `CRITCAL`, did you mean `CRITICAL`?",
        ),
        (
            "artifact.class: docker",
            "`artifact.class` is never `docker`, but one of app, index, image, artifact",
        ),
        ("images.0.scan.state: complete", "did you mean `completed`?"),
        (
            "scan.critical: -1",
            "`scan.critical` is never negative, as -1",
        ),
    ] {
        let tests = format!("tests:\n  - {{ name: a, set: {{ {set} }}, expect: block }}\n");
        let outcome = run(RULE, &tests, |_| {});
        assert_eq!(outcome.code, ExitCode::from(1), "{set}: {}", outcome.talk);
        assert!(
            outcome.out.contains(expected),
            "{expected}: {}",
            outcome.out
        );
    }
    check(
        RULE,
        &["set: { tag.name: v1, vulnerabilities: [{ severity: critical }] }, expect: block"],
    );
}

#[test]
fn where_no_clause_can_be_covered_none_is_said_to_be() {
    let outcome = run("//! from: dev/*\n//! to: qa/{1}\ntrue\n", "", |_| {});
    assert_eq!(outcome.code, ExitCode::from(1));
    assert_eq!(outcome.out, "0 passed, 0 failed, no clauses to cover\n");
}

#[test]
fn a_slip_in_a_test_file_is_shown_at_its_place() {
    for (tests, expected) in [
        (
            "tests:\n  - name: a\n    expect: blocked\n",
            "r.test.yaml:3:13: tests[0].expect: unknown `blocked`, did you mean `block`?",
        ),
        (
            "tests:\n  - name: a\n    expects: block\n",
            "r.test.yaml:3:5: tests[0]: unknown `expects`, did you mean `expect`?",
        ),
        (
            "tests:\n  - name: a\n    expect: { reason: [] }\n",
            "unknown `reason`, did you mean `reasons`?",
        ),
        (
            "tests:\n  - name: a\n    expect: { reasons: [clause-fals] }\n",
            "`clause-fals`",
        ),
        (
            "tests:\n  - name: a\n    expect: [block]\n",
            "expected a verdict, or `{ verdict:",
        ),
        (
            "tests:\n  - name: a\n    history: [{ expect: waiting }]\n    expect: wait\n",
            "unknown `waiting`, known are `promote`, `wait`, `block`",
        ),
        ("test: []\n", "unknown `test`, did you mean `tests`?"),
        (
            "tests:\n  - name: a\n    set: { scan.critical: 1, scan.critical: 0 }\n    expect: block\n",
            "`scan.critical` is given twice",
        ),
        (
            "tests:\n  - name: a\n    set: { scan: { high: 1, high: 0 } }\n    expect: block\n",
            "`high` is given twice",
        ),
    ] {
        let outcome = run(RULE, tests, |_| {});
        assert_eq!(outcome.code, ExitCode::from(2), "{tests}");
        assert!(
            outcome.talk.contains(expected),
            "{expected}: {}",
            outcome.talk
        );
    }
}

const TWO_CASES: &str = "tests:\n  - { name: all & well, set: { tag.name: v1 }, expect: promote }\n  \
    - { name: <no>, expect: block }\n";

#[test]
fn clauses_that_no_case_decided_are_shown_in_source() {
    let outcome = run(RULE, TWO_CASES, |args| args.min_coverage = Some(70.0));
    assert_eq!(outcome.code, ExitCode::from(1));
    assert!(
        outcome
            .out
            .contains("r.cel:5: never seen to decide\n  5 | scan.critical == 0"),
        "{}",
        outcome.out
    );
    assert!(
        outcome
            .out
            .contains("2 passed, 0 failed, 67 % of clauses covered"),
        "{}",
        outcome.out
    );
    assert!(
        outcome.talk.starts_with("coverage is 66.7 %, below 70 %"),
        "{}",
        outcome.talk
    );
    let enough = run(RULE, TWO_CASES, |args| args.min_coverage = Some(66.0));
    assert_eq!(enough.code, ExitCode::SUCCESS);
}

#[test]
fn mutants_that_no_case_finds_are_reported() {
    let outcome = run(RULE, TWO_CASES, |args| args.mutate = true);
    assert!(
        outcome.out.contains("  - scan.critical == 0\n  + true\n"),
        "{}",
        outcome.out
    );
    assert!(
        !outcome.out.contains("+ !(scan.critical == 0)"),
        "{}",
        outcome.out
    );
}

#[test]
fn machines_get_json_junit_and_markdown() {
    let json = run(RULE, TWO_CASES, |args| args.output = Output::Json);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["files"][0]["cases"][0]["name"], "all & well");
    let junit = run(RULE, TWO_CASES, |args| args.output = Output::Junit).out;
    assert!(
        junit.contains("<testcase name=\"all &amp; well\" classname=\"r\"/>"),
        "{junit}"
    );
    assert!(junit.contains("tests=\"2\" failures=\"0\""), "{junit}");
    let markdown = run(RULE, TWO_CASES, |args| args.output = Output::Markdown).out;
    assert!(markdown.contains("| r | all & well | pass |"), "{markdown}");
}

#[test]
fn the_examples_are_green_and_every_clause_is_covered() {
    let args = Args {
        directory: concat!(env!("CARGO_MANIFEST_DIR"), "/../rules/examples").into(),
        output: Output::Table,
        min_coverage: Some(100.0),
        mutate: false,
    };
    let (mut out, mut talk) = (Vec::new(), Vec::new());
    let code = run_to(&args, &mut out, &mut talk).unwrap_or_else(|error| panic!("{error}"));
    let shown = String::from_utf8(out).unwrap() + &String::from_utf8(talk).unwrap();
    assert_eq!(code, ExitCode::SUCCESS, "{shown}");
}
