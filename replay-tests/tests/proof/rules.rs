//! Rules: what they cannot do, and what changes when they change.

use weir_replay_tests::check;
use weir_rules::{Execution, Settings, State, step};
use weir_schema::{Body, Received, RuleFile, RulesActivated, Timestamp, Verdict};

use crate::SHIP;

#[test]
fn f2_what_a_rule_says_of_itself_changes_what_it_does() {
    // One line per header key; each differs from `to-staging` without it, which would promote.
    let rule = |header: &str| format!("to-staging: dev/* -> staging/{{1}}; {header} when true");
    let push = |then: &str| format!("scan a\npush dev/web:1 a by alice {then}");
    for (header, then) in [
        ("approvals: 1", "=> wait dev/web:1@a: approval-missing 0/1"),
        (
            "soak: 1h",
            "=> wait dev/web:1@a: soaking until 2026-03-02T01:00:02Z",
        ),
        (
            "window: Tue 08:00-16:00 UTC",
            "=> wait dev/web:1@a: outside-window until 2026-03-03T08:00:00Z",
        ),
        ("scanners: grype", "=> wait dev/web:1@a: scan-missing a"),
        ("class: app", ""),
        ("severity: off", ""),
        (
            "severity: warn",
            "=> promote dev/web:1@a -> staging/web:1 (advice)",
        ),
        (
            "tag: {tag}-ok",
            "=> promote dev/web:1@a -> staging/web:1-ok",
        ),
    ] {
        check(&rule(header), &push(then));
    }
    check(
        &rule("scan: not-required"),
        "push dev/web:1 a => promote dev/web:1@a -> staging/web:1",
    );
}

#[test]
fn f3_a_rule_that_errs_never_promotes() {
    check(
        "
        to-staging: dev/* -> staging/{1} when artifact.labels[\"team\"] == \"a\" || scan.high > 0
        to-prod: dev/* -> prod/{1} when true
        deny broken: ** -> prod/* when 1 / scan.critical > 0",
        "
        scan a
        push dev/web:1 a
            => error dev/web:1@a by to-prod: rule-error `1 / scan.critical > 0` broken
            => error dev/web:1@a by to-staging: rule-error `artifact.labels[\"team\"] == \"a\" || scan.high > 0`
        ",
    );
}

#[test]
fn e43_an_error_is_recorded_and_outweighs_what_is_only_false() {
    check(
        "to-staging: dev/* -> staging/{1} when tag.name == \"2\" && artifact.labels[\"x\"] == \"y\" && scan.high == 1",
        "
        scan a
        push dev/web:1 a
            => block dev/web:1@a: clause-false `scan.high == 1`, clause-false `tag.name == \"2\"`
        push dev/web:2 a
            => block dev/web:2@a: clause-false `scan.high == 1`
        scan a CVE-1:HIGH
            => block dev/web:1@a: clause-false `tag.name == \"2\"`
            => error dev/web:2@a: rule-error `artifact.labels[\"x\"] == \"y\"`
        ",
    );
}

#[test]
fn f38_without_a_rule_nothing_moves() {
    check(
        "",
        "
        scan a
        push dev/web:1 a
        activate to-staging: dev/* -> staging/{1} when true     => promote dev/web:1@a -> staging/web:1
        ",
    );
    // A deny alone promotes nothing either.
    check(
        "deny never: ** -> ** when false",
        "
        scan a
        push dev/web:1 a
        ",
    );
}

#[test]
fn f31_every_reason_is_given_in_a_fixed_order() {
    check(
        "
        to-staging: dev/* -> staging/{1} when scan.critical == 0 && scan.high == 0 && tag.name != \"latest\"
        deny b: ** -> ** when true
        deny a: ** -> ** when true",
        "
        scan x CVE-1:CRITICAL CVE-2:HIGH
        push dev/web:latest x
            => block dev/web:latest@x: clause-false `scan.critical == 0`, clause-false `scan.high == 0`, clause-false `tag.name != \"latest\"`, denied a, denied b
        ",
    );
}

#[test]
fn f29_a_rule_that_would_run_for_ever_is_an_error() {
    let nested = "vulnerabilities.all(a, vulnerabilities.all(b, vulnerabilities.all(c, a.id + b.id + c.id != \"\")))";
    let found: String = (0..300).map(|n| format!(" CVE-{n}:LOW")).collect();
    check(
        &format!("to-staging: dev/* -> staging/{{1}} when {nested}"),
        &format!("scan a{found}\npush dev/web:1 a => error dev/web:1@a: rule-error `{nested}`"),
    );
}

#[test]
fn e38_rules_that_change_decide_from_their_record_on() {
    check(
        "to-staging: dev/* -> staging/{1} when scan.high == 0",
        "
        scan a CVE-1:HIGH
        push dev/web:1 a        => block dev/web:1@a: clause-false `scan.high == 0`
        activate to-staging: dev/* -> staging/{1} when scan.critical == 0
            => promote dev/web:1@a -> staging/web:1
        # Final for this binding: a stricter rule finds a violation and undoes nothing.
        activate to-staging: dev/* -> staging/{1} when scan.total == 0
            => violation staging/web:1@a: clause-false `scan.total == 0`
        ",
    );
}

#[test]
fn e40_a_new_rule_judges_every_tag_in_order() {
    check(
        "",
        "
        scan a
        push dev/web:2 a
        push dev/web:1 a
        push dev/api:1 b
        activate to-staging: dev/* -> staging/{1} when true
            => wait dev/api:1@b: scan-missing b
            => promote dev/web:1@a -> staging/web:1
            => promote dev/web:2@a -> staging/web:2
        ",
    );
}

#[test]
fn a_deny_wins_over_every_promote_rule() {
    check(
        "
        to-prod: dev/* -> prod/{1} when true
        to-staging: dev/* -> staging/{1} when true
        deny frozen: dev/web -> prod/* when tag.name == \"1\"",
        "
        scan a
        push dev/web:1 a
            => block dev/web:1@a by to-prod: denied frozen
            => promote dev/web:1@a -> staging/web:1 by to-staging
        ",
    );
}

#[test]
fn e44_a_rule_set_with_an_error_is_refused_whole_and_the_old_one_stays() {
    let mut state = State::new(Settings::default());
    let mut say = |text: &str| {
        let file = RuleFile {
            path: "a.cel".into(),
            text: text.into(),
        };
        let body = Body::RulesActivated(RulesActivated {
            files: vec![file],
            actor: None,
        });
        step(&mut state, Timestamp::EPOCH, &body, Execution::AtOnce);
        (
            state.rules().rules().len(),
            state.rules_refused().map(str::to_owned),
        )
    };
    let good = "//! from: dev/*\n//! to: staging/{1}\nscan.critical == 0\n";
    assert_eq!(say(good), (1, None));
    for wrong in [
        "scan.critical < \"9\"",
        "scan.critcal == 0",
        "scan.critical",
    ] {
        let (rules, refused) = say(&good.replace("scan.critical == 0", wrong));
        let refused = refused.unwrap_or_else(|| panic!("`{wrong}` was taken"));
        assert!(rules == 1 && refused.starts_with("a.cel:3:"), "{refused}");
    }
    assert_eq!(say(good), (1, None));
}

#[test]
fn e34_a_template_that_can_never_be_legal_is_refused_with_its_rule() {
    let mut state = State::new(Settings::default());
    let file = RuleFile {
        path: "a.cel".into(),
        text: "//! from: dev/*\n//! to: staging/{2}\ntrue\n".into(),
    };
    let body = Body::RulesActivated(RulesActivated {
        files: vec![file],
        actor: None,
    });
    step(&mut state, Timestamp::EPOCH, &body, Execution::AtOnce);
    assert!(
        state.rules_refused().is_some(),
        "there is no second capture"
    );
}

#[test]
fn the_gate_counts_for_a_rule_that_asks_nothing() {
    check(SHIP, "push dev/web:1 a => wait dev/web:1@a: scan-missing a");
}

#[test]
fn a_deny_that_only_warns_stops_nothing_and_is_explained() {
    let rules = [
        (
            "ship.cel",
            "//! from: dev/*\n//! to: prod/{1}\n//! scan: not-required\ntrue\n",
        ),
        (
            "freeze.cel",
            "//! kind: deny\n//! to: prod/*\n//! severity: warn\ntag.name == \"1\"\n",
        ),
        (
            "quiet.cel",
            "//! kind: deny\n//! to: prod/*\n//! severity: warn\ntag.name == \"2\"\n",
        ),
    ];
    let files = rules.map(|(path, text)| RuleFile {
        path: path.into(),
        text: text.into(),
    });
    let activated = Body::RulesActivated(RulesActivated {
        files: files.into(),
        actor: None,
    });
    let digest = format!("sha256:{}", "ab".repeat(32));
    let pushed = format!(
        r#"{{"specversion":"1.0","id":"1","source":"/t","type":"weir.image.pushed","data":{{"repository":"dev/web","tag":"1","digest":"{digest}","media_type":"application/vnd.oci.image.manifest.v1+json"}}}}"#
    );
    let pushed = Received::from_json(pushed.as_bytes()).unwrap();
    let mut state = State::new(Settings::default());
    step(&mut state, Timestamp::EPOCH, &activated, Execution::AtOnce);
    step(
        &mut state,
        Timestamp::EPOCH,
        &pushed.event.body,
        Execution::AtOnce,
    );
    let explained = state.explain("dev/web", "1", None);
    let [ship] = &explained[..] else {
        panic!("one rule takes it: {explained:?}");
    };
    assert_eq!(ship.verdict, Verdict::Promote);
    let denies = ship.denies.iter();
    let denies: Vec<_> = denies
        .map(|one| (&*one.rule, one.denies, one.warns))
        .collect();
    assert_eq!(denies, [("freeze", false, true), ("quiet", false, false)]);
}
