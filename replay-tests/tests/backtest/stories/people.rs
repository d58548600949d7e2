//! What people and deletions did stays as it was.

use super::{CHAIN, STRICT, check};

#[test]
fn a_request_by_hand_is_given_and_answered_anew() {
    check(
        CHAIN,
        STRICT,
        "
        scan a CVE-1:HIGH
        push dev/web:1 a
        request staging/web:1 demo/web:1
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        never staging/web:1@a by to-prod: -> prod/web:1 / `to-staging` did not promote dev/web:1 to it
        never staging/web:1@a by manual: -> demo/web:1 / `to-staging` did not promote dev/web:1 to it
        ",
    );
}

#[test]
fn people_and_deletions_stay_as_they_were() {
    // The approval was given before the tag came later under the new rules; the deletion too.
    let old = "
        to-staging: dev/* -> staging/{1} when scan.critical == 0
        to-prod: staging/* -> prod/{1}; approvals: 1 when true";
    check(
        old,
        &old.replace("scan.critical == 0", "scan.high == 0"),
        "
        scan a CVE-1:HIGH
        push dev/web:1 a
        approve staging/web@a prod/web anna
        delete staging/web:1
        wait 1d
        scan a
        ",
        "
        later dev/web:1@a by to-staging: -> staging/web:1 / -> staging/web:1
        later staging/web:1@a by to-prod: -> prod/web:1 / -> prod/web:1
        ",
    );
}

#[test]
fn a_hold_a_window_and_a_soak_hold_both_sides() {
    let old = "to-staging: dev/* -> staging/{1}; soak: 1h when true";
    check(
        old,
        &old.replace("1h", "3h"),
        "
        scan a
        push dev/web:1 a
        hold h in staging/*
        wait 2h
        release h
        wait 2h
        ",
        "
        later dev/web:1@a by to-staging: -> staging/web:1 / -> staging/web:1
        ",
    );
}

#[test]
fn the_hour_is_looked_at_where_nothing_but_time_passes() {
    let old = "to-staging: dev/* -> staging/{1} when now.getHours() >= 5";
    check(
        old,
        &old.replace('5', "9"),
        "
        scan a
        push dev/web:1 a
        wait 6h
        wait 4h
        delete dev/api:1
        ",
        "
        later dev/web:1@a by to-staging: -> staging/web:1 / -> staging/web:1
        ",
    );
}

#[test]
fn what_comes_to_a_target_by_other_hands_is_neither_lost_nor_gained() {
    let quick = "to-prod: dev/* -> prod/{1}; soak: 1d when true";
    let slow = quick.replace("1d", "5d");
    let story = "
        scan a
        push dev/web:1 a
        wait 2d
        request dev/web:1 prod/web:1
        wait 10d
        ";
    check(
        &slow,
        quick,
        story,
        "
        meanwhile dev/web:1@a by to-prod: wait soaking until 2026-03-07T00:00:02Z / -> prod/web:1
        other-reasons dev/web:1@a by manual: -> prod/web:1 / promote already-there
        ",
    );
    check(
        quick,
        &slow,
        story,
        "
        meanwhile dev/web:1@a by to-prod: -> prod/web:1 / wait soaking until 2026-03-07T00:00:02Z
        other-reasons dev/web:1@a by manual: promote already-there / -> prod/web:1
        ",
    );
}
