//! Scans: what is one, which of several counts, and whom it wakes.

use weir_replay_tests::{check, recorded::replay, story::tell};
use weir_rules::Execution;
use weir_schema::{Body, Event, ReasonCode};

use crate::{CHAIN, CLEAN, SHIP};

#[test]
fn f1_what_was_never_scanned_is_not_clean() {
    check(
        "to-staging: dev/* -> staging/{1} when scan.total == 0",
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        wait 365d
        ",
    );
}

#[test]
fn f12_one_success_does_not_hide_a_failure() {
    check(
        SHIP,
        "
        app shop = api web
        push dev/shop:1 shop    => wait dev/shop:1@shop: scan-missing api, scan-missing web
        fail api                => block dev/shop:1@shop: scan-failed api, scan-missing web
        scan web                => block dev/shop:1@shop: scan-failed api
        scan api                => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn f13_scanners_are_combined_by_the_rule_and_not_by_who_ends_last() {
    let both = "to-staging: dev/* -> staging/{1}; scanners: trivy, grype when scan.critical == 0";
    check(
        both,
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        scan a CVE-1:CRITICAL by grype
        scan a by trivy         => block dev/web:1@a: clause-false `scan.critical == 0`
        fail a by grype         => block dev/web:1@a: scan-failed a
        scan a by grype         => promote dev/web:1@a -> staging/web:1
        ",
    );
    // Without names, any scanner in good standing is enough, and the findings are their union.
    check(
        CLEAN,
        "
        fail a by grype
        scan a by trivy
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn f14_a_scan_in_progress_neither_erases_nor_invents_a_result() {
    check(
        SHIP,
        "
        scan a
        start a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        start b
        push dev/web:2 b        => wait dev/web:2@b: scan-running b
        fail b                  => block dev/web:2@b: scan-failed b
        start b
        scan b                  => promote dev/web:2@b -> staging/web:2
        ",
    );
}

#[test]
fn f16_a_scan_that_fails_again_closes_the_gate_and_is_seen() {
    check(
        CHAIN,
        "
        hold h in prod/*
        scan a
        push dev/web:1 a
            => promote dev/web:1@a -> staging/web:1 by to-staging
            => wait staging/web:1@a by to-prod: held h
        fail a
            => block staging/web:1@a by to-prod: scan-failed a
            => violation staging/web:1@a: scan-failed a
        release h
        scan a
            => promote staging/web:1@a -> prod/web:1 by to-prod
            => cleared staging/web:1@a
        ",
    );
}

#[test]
fn f19_a_list_of_packages_is_no_scan() {
    // Adapters give an SBOM as facts about a referrer and never as a scan; without findings or
    // counts nothing becomes a completed scan.
    let sbom = r#"{"specversion":"1.0","id":"1","source":"s","type":"weir.scan.completed","data":{
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "scanner":{"name":"syft"},"licenses":["MIT"]}}"#;
    let refused = Event::from_json(sbom.as_bytes()).unwrap_err().to_string();
    assert!(
        refused.contains("neither `findings` nor `counts`"),
        "{refused}"
    );
    check(
        SHIP,
        "
        artifact sbom
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        resolve sbom of a
        ",
    );
}

#[test]
fn e14_a_failed_scan_blocks_and_a_later_success_unblocks() {
    check(
        SHIP,
        "
        app shop = api web
        scan web
        push dev/shop:1 shop    => wait dev/shop:1@shop: scan-missing api
        start api               => wait dev/shop:1@shop: scan-running api
        fail api                => block dev/shop:1@shop: scan-failed api
        start api
        scan api                => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e15_failed_completed_failed_is_closed_until_it_completes_again() {
    check(
        SHIP,
        "
        fail a
        scan a
        fail a
        push dev/web:1 a        => block dev/web:1@a: scan-failed a
        scan a                  => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn e16_a_scan_that_never_comes_stays_visible_as_missing() {
    check(
        SHIP,
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        wait 90d
        push dev/web:2 a        => wait dev/web:2@a: scan-missing a
        ",
    );
}

#[test]
fn e17_a_scan_that_only_runs_is_not_completed() {
    check(
        SHIP,
        "
        start a
        push dev/web:1 a        => wait dev/web:1@a: scan-running a
        wait 1d
        ",
    );
}

#[test]
fn e18_new_findings_in_what_was_promoted_are_a_violation_and_undo_nothing() {
    check(
        CLEAN,
        "
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        scan a CVE-1:CRITICAL   => violation staging/web:1@a: clause-false `scan.critical == 0`
        push dev/web:2 a        => block dev/web:2@a: clause-false `scan.critical == 0`
        scan a                  => promote dev/web:2@a -> staging/web:2; cleared staging/web:1@a
        ",
    );
}

#[test]
fn a_violation_is_shown_with_what_no_longer_holds_now() {
    let story = "
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        scan a CVE-1:CRITICAL   => violation staging/web:1@a: clause-false `scan.critical == 0`
        fail a
        activate nothing        => withdrawn dev/web:1@a: rule-removed
        ";
    let told = tell(CLEAN, story);
    assert_eq!(told.differs, [0; 0], "{}", told.transcript);
    let shown = |events: usize| {
        let state = replay(&told.events[..events], Execution::AtOnce).state;
        let tag = state.tag("staging/web", "1").expect("it is there");
        let reasons = tag.violation.into_iter().flatten();
        reasons.map(|reason| reason.code).collect::<Vec<_>>()
    };
    let all = told.events.len();
    assert_eq!(shown(all - 2), [ReasonCode::ClauseFalse]);
    assert_eq!(shown(all - 1), [ReasonCode::ScanFailed]);
    assert_eq!(shown(all), [ReasonCode::ClauseFalse], "as it was found");
}

#[test]
fn e19_an_older_result_that_comes_late_does_not_replace_a_newer_one() {
    check(
        CLEAN,
        "
        scan a CVE-1:CRITICAL db 2026-02-20T00:00:00Z
        scan a db 2026-02-10T00:00:00Z
        push dev/web:1 a        => block dev/web:1@a: clause-false `scan.critical == 0`
        scan a db 2026-02-21T00:00:00Z  => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn e20_one_scan_wakes_every_application_that_holds_the_image() {
    check(
        SHIP,
        "
        app shop = api web
        app desk = api db
        scan web
        scan db
        push dev/desk:1 desk    => wait dev/desk:1@desk: scan-missing api
        push dev/shop:1 shop    => wait dev/shop:1@shop: scan-missing api
        push dev/shop:2 shop    => wait dev/shop:2@shop: scan-missing api
        scan api
            => promote dev/desk:1@desk -> staging/desk:1
            => promote dev/shop:1@shop -> staging/shop:1
            => promote dev/shop:2@shop -> staging/shop:2
        ",
    );
}

#[test]
fn e21_a_scan_is_of_a_digest_and_never_of_a_tag() {
    check(
        SHIP,
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        start a                 => wait dev/web:1@a: scan-running a
        push dev/web:1 b        => wait dev/web:1@b: scan-missing b
        scan a
        ",
    );
}

#[test]
fn e22_one_platform_that_completes_is_not_the_tag() {
    check(
        SHIP,
        "
        index multi = amd arm
        start amd
        start arm
        push dev/web:1 multi    => wait dev/web:1@multi: scan-running amd, scan-running arm
        scan amd                => wait dev/web:1@multi: scan-running arm
        fail arm                => block dev/web:1@multi: scan-failed arm
        ",
    );
}

#[test]
fn a_scan_that_counts_only_is_a_scan_and_its_vulnerabilities_are_not_known() {
    check(
        "
        by-count: dev/* -> staging/{1} when scan.critical == 0
        by-list: dev/* -> prod/{1} when vulnerabilities.all(v, v.severity != \"CRITICAL\")",
        "
        scan a counts CVE-1:HIGH
        push dev/web:1 a
            => promote dev/web:1@a -> staging/web:1 by by-count
            => error dev/web:1@a by by-list: rule-error `vulnerabilities.all(v, v.severity != \"CRITICAL\")`
        ",
    );
}

#[test]
fn what_one_scanner_knows_of_a_finding_is_not_lost_to_another() {
    // Grype knows no fix and calls it worse, Trivy knows one.
    check(
        "to-staging: dev/* -> staging/{1} when scan.fixable == 0",
        "
        scan a CVE-1:HIGH:openssl:3.0.1 by grype
        scan a CVE-1:LOW:openssl:3.0.1:3.0.2 by trivy
        push dev/web:1 a        => block dev/web:1@a: clause-false `scan.fixable == 0`
        scan a by trivy         => promote dev/web:1@a -> staging/web:1
        ",
    );
    // The same within one report; the score that counts is the highest.
    check(
        "to-staging: dev/* -> staging/{1} when scan.fixable == 0 && scan.max_score < 8.0",
        "
        scan a CVE-1:HIGH:openssl:3.0.1 CVE-1:LOW:openssl:3.0.1:3.0.2:9.1
        push dev/web:1 a
            => block dev/web:1@a: clause-false `scan.fixable == 0`, clause-false `scan.max_score < 8.0`
        ",
    );
}

#[test]
fn a_scan_is_not_credited_with_a_database_that_came_after_it() {
    check(
        "to-staging: dev/* -> staging/{1} when images.all(i, i.scan.?db_age.orValue(duration('9999h')) < duration('24h'))",
        "
        update trivy db 2026-03-01T12:00:00Z
        scan a looked 2026-03-01T11:00:00Z
        push dev/web:1 a        => block dev/web:1@a: clause-false `images.all(i, i.scan.?db_age.orValue(duration('9999h')) < duration('24h'))`
        scan a looked 2026-03-01T13:00:00Z
                                => promote dev/web:1@a -> staging/web:1
        scan b
        push dev/web:2 b        => promote dev/web:2@b -> staging/web:2
        ",
    );
}

#[test]
fn a_vulnerability_was_first_seen_by_the_first_report_that_names_it() {
    let rule = |when: &str| format!("to-staging: dev/* -> staging/{{1}} when {when}");
    let seen = "vulnerabilities.all(v, v.first_seen == timestamp('2026-03-02T00:00:0' + {'CVE-1': '1', 'CVE-2': '2', 'CVE-3': '4'}[v.id] + 'Z'))";
    check(
        &rule(seen),
        "
        scan a CVE-1:LOW
        scan a CVE-2:LOW
        scan a CVE-1:LOW CVE-2:HIGH
        scan a CVE-2:LOW CVE-3:LOW
        scan a CVE-3:LOW by grype
        scan a CVE-1:LOW CVE-2:LOW CVE-3:LOW
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        ",
    );
}

/// What a scanner and people write has any length; a decision is one record, and a log takes none
/// that is larger than 16 MiB.
#[test]
fn a_reason_takes_the_beginning_of_a_long_text() {
    let long = format!("a{}", "é".repeat(250_000));
    let mut events = tell(
        SHIP,
        "
        hold h in staging/*
        fail a
        push dev/web:1 a => ?
        scan a => ?",
    )
    .events;
    for event in &mut events {
        match &mut event.body {
            Body::ScanFailed(failed) => failed.reason.clone_from(&long),
            Body::HoldPlaced(hold) => {
                hold.hold_id.clone_from(&long);
                hold.reason.clone_from(&long);
            }
            _ => {}
        }
    }
    let told = replay(&events, Execution::Commands);
    let made = told
        .conclusions
        .iter()
        .filter_map(|(_, one)| match &one.body {
            Body::DecisionMade(made) => Some(&made.reasons[0]),
            _ => None,
        });
    let made: Vec<_> = made.collect();
    let short = |start: &str| format!("{start}{}…", "é".repeat((1024 - start.len()) / 2));
    assert_eq!(made[0].message, Some(short("trivy: a")));
    assert_eq!(made[1].message, Some(short("olga: a")));
    assert_eq!(made[1].hold_id, Some(short("a")));
    // Nor is more of a failure kept, and none of one that is over.
    let mut frozen = Vec::new();
    let seen = replay(&events[..3], Execution::Commands);
    seen.state
        .freeze(&mut frozen)
        .expect("a vector takes everything");
    assert!(frozen.len() < long.len() * 2 + 10_000, "{}", frozen.len());
}
