//! Approvals, holds, time and promotion by hand.

use weir_replay_tests::{check, recorded::replay, story::tell};
use weir_rules::{Command, Execution};
use weir_schema::Body;

use crate::{CLEAN, SHIP};

#[test]
fn f5_an_approval_is_for_a_digest_and_a_target() {
    check(
        "
        to-staging: dev/* -> staging/{1}; approvals: 1 when true
        to-prod: dev/* -> prod/{1}; approvals: 1 when true",
        "
        scan a
        scan b
        push dev/web:1 a
            => wait dev/web:1@a by to-prod: approval-missing 0/1
            => wait dev/web:1@a by to-staging: approval-missing 0/1
        approve dev/web@b staging/web alice
        approve dev/api@a staging/web alice
        approve dev/web@a staging/web alice     => promote dev/web:1@a -> staging/web:1 by to-staging
        push dev/web:1 b
            => wait dev/web:1@b by to-prod: approval-missing 0/1
            => promote dev/web:1@b -> staging/web:1 by to-staging
        ",
    );
}

#[test]
fn f5_a_vote_counts_once_and_can_be_taken_back() {
    check(
        "to-staging: dev/* -> staging/{1}; approvals: 2; separate: pusher when true",
        "
        scan a
        push dev/web:1 a by alice               => wait dev/web:1@a: approval-missing 0/2
        approve dev/web@a staging/web alice
        approve dev/web@a staging/web bob       => wait dev/web:1@a: approval-missing 1/2
        approve dev/web@a staging/web bob
        unapprove dev/web@a staging/web bob     => wait dev/web:1@a: approval-missing 0/2
        approve dev/web@a staging/web carol     => wait dev/web:1@a: approval-missing 1/2
        approve dev/web@a staging/web bob       => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn f5_who_pushed_does_not_approve_under_a_name_with_white_space() {
    let mut events = tell(
        "to-staging: dev/* -> staging/{1}; approvals: 1; separate: pusher when true",
        "
        scan a
        push dev/web:1 a by alice => ?
        approve dev/web@a staging/web alice
        approve dev/web@a staging/web bob => ?",
    )
    .events;
    for event in &mut events {
        if let Body::ImagePushed(pushed) = &mut event.body {
            pushed.actor = Some("alice ".into());
        }
    }
    let commands_after = |count: usize| replay(&events[..count], Execution::Commands).commands;
    assert_eq!(commands_after(events.len() - 1), []);
    let [copy] = &commands_after(events.len())[..] else {
        panic!("bob's vote counts");
    };
    let Command::Copy(copy) = copy;
    assert_eq!(copy.target.repository, "staging/web");
}

#[test]
fn who_pushed_what_weir_found_does_not_approve_it_once_the_registry_says_who_that_was() {
    let mut events = tell(
        "to-staging: dev/* -> staging/{1}; approvals: 1; separate: pusher when true",
        "
        scan a
        push dev/web:1 a => ?
        push dev/web:1 a by alice
        push dev/web:1 a by bob
        approve dev/web@a staging/web alice
        approve dev/web@a staging/web bob => ?",
    )
    .events;
    let with_alice = events.len() - 1;
    let mut promoted = |found: bool, votes: usize| {
        let first = events.iter_mut().find_map(|event| match &mut event.body {
            Body::ImagePushed(pushed) => Some(pushed),
            _ => None,
        });
        first.expect("it is pushed").found_at_registry = found;
        !replay(&events[..votes], Execution::Commands)
            .commands
            .is_empty()
    };
    assert!(!promoted(true, with_alice), "alice pushed it");
    assert!(promoted(true, with_alice + 1), "bob pushed it once more");
    // The registry itself told of a push and named nobody: nobody is kept from approving.
    assert!(promoted(false, with_alice));
}

#[test]
fn f17_a_promotion_by_hand_skips_only_what_it_names() {
    check(
        "
        to-staging: dev/* -> staging/{1}; soak: 1d when true
        deny no-critical: ** -> prod/* when scan.critical > 0",
        "
        scan a CVE-1:CRITICAL
        push dev/web:1 a        => wait dev/web:1@a: soaking until 2026-03-03T00:00:02Z
        request dev/web:1 prod/web:1
            => block dev/web:1@a by manual: denied no-critical
        hold h in prod/*
        request dev/web:1 prod/web:1 waive denied
            => wait dev/web:1@a by manual waiving denied no-critical: held h
        release h
        request dev/web:1 prod/web:1 waive denied
            => promote dev/web:1@a -> prod/web:1 by manual waiving denied no-critical
        ",
    );
}

#[test]
fn e41_a_promotion_by_hand_of_what_is_not_ready_is_recorded_as_such() {
    check(
        SHIP,
        "
        app shop = api web
        scan api
        push dev/shop:1 shop        => wait dev/shop:1@shop: scan-missing web
        request dev/shop:1 prod/shop:1
            => wait dev/shop:1@shop by manual: scan-missing web
        request dev/shop:1 prod/shop:1 waive scan-missing
            => promote dev/shop:1@shop -> prod/shop:1 by manual waiving scan-missing web
        request dev/none:1 prod/shop:1
            => withdrawn dev/none:1@nothing by manual: tag-deleted
        ",
    );
}

#[test]
fn f4_a_promotion_by_hand_passes_the_same_gate_as_a_rule() {
    check(
        CLEAN,
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        request dev/web:1 staging/web:1 => wait dev/web:1@a by manual: scan-missing a
        fail a                  => block dev/web:1@a: scan-failed a
        request dev/web:1 staging/web:1 => block dev/web:1@a by manual: scan-failed a
        delete dev/web@a        => withdrawn dev/web:1@a: tag-deleted
        request dev/web:1 staging/web:1 => withdrawn dev/web:1@nothing by manual: tag-deleted
        ",
    );
}

#[test]
fn a_hold_freezes_its_scope_by_source_target_digest_or_rule() {
    check(
        SHIP,
        "
        scan a
        scan b
        hold h1 in staging/web
        push dev/web:1 a        => wait dev/web:1@a: held h1
        push dev/api:1 a        => promote dev/api:1@a -> staging/api:1
        hold h2 on b
        push dev/api:2 b        => wait dev/api:2@b: held h2
        hold h3 rule to-staging => wait dev/api:2@b: held h2, held h3; wait dev/web:1@a: held h1, held h3
        release h1              => wait dev/web:1@a: held h3
        release h3              => wait dev/api:2@b: held h2; promote dev/web:1@a -> staging/web:1
        release h2              => promote dev/api:2@b -> staging/api:2
        ",
    );
}

#[test]
fn a_window_opens_and_closes_with_the_records_time() {
    check(
        "to-staging: dev/* -> staging/{1}; window: Mon-Thu 08:00-16:00 Europe/Berlin when true",
        "
        scan a
        push dev/web:1 a        => wait dev/web:1@a: outside-window until 2026-03-02T07:00:00Z
        at 2026-03-02T06:59:58Z
        at 2026-03-02T07:00:00Z => promote dev/web:1@a -> staging/web:1
        at 2026-03-02T15:00:00Z
        push dev/web:2 a        => wait dev/web:2@a: outside-window until 2026-03-03T07:00:00Z
        ",
    );
}

#[test]
fn by_hand_one_may_go_on_to_the_next_stage_and_back_to_an_earlier_build() {
    check(
        "elsewhere: zz/* -> yy/{1} when true",
        "
        scan a
        scan b
        push dev/web:1 a
        push dev/web:2 b
        request dev/web:1 staging/web:1         => promote dev/web:1@a -> staging/web:1 by manual
        request staging/web:1 prod/web:live     => promote staging/web:1@a -> prod/web:live by manual
        request dev/web:2 prod/web:live         => promote dev/web:2@b -> prod/web:live by manual
        request dev/web:1 prod/web:live         => promote dev/web:1@a -> prod/web:live by manual
        request dev/web:1 dev/web:1             => block dev/web:1@a by manual: loop
        ",
    );
}
