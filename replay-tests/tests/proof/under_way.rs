//! Promotions that are under way for a while: what comes meanwhile, and how they end.

use weir_replay_tests::check;

use crate::{CHAIN, SHIP};

#[test]
fn f21_a_promotion_goes_with_the_digest_that_was_judged() {
    check(
        SHIP,
        "
        commands
        scan a
        scan b
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        begin
        push dev/web:1 b        => promote dev/web:1@b -> staging/web:1
        finish
        # Staging holds `a`, as judged; `b` comes after it.
        request staging/web:1 x/web:1   => promote staging/web:1@a -> x/web:1 by manual
        begin
        finish                  => failed staging/web:1@a: superseded
        request staging/web:1 y/web:1   => promote staging/web:1@b -> y/web:1 by manual
        ",
    );
}

#[test]
fn e30_a_tag_that_moves_before_the_copy_starts_supersedes_the_promotion() {
    check(
        SHIP,
        "
        commands
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        push dev/web:1 b        => failed dev/web:1@a: superseded; wait dev/web:1@b: scan-missing b
        scan b                  => promote dev/web:1@b -> staging/web:1
        begin
        finish
        ",
    );
}

#[test]
fn e30_going_back_while_a_copy_is_under_way_promotes_what_was_there_again() {
    check(
        SHIP,
        "
        commands
        scan a
        scan b
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        begin
        finish
        push dev/web:1 b        => promote dev/web:1@b -> staging/web:1
        begin
        # Staging holds `a` still, but not for long.
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        finish
        begin
        finish
        request staging/web:1 x/web:1   => promote staging/web:1@a -> x/web:1 by manual
        ",
    );
}

#[test]
fn e33_of_two_on_their_way_to_an_immutable_tag_the_first_stays() {
    let ends = |end: &str| {
        let story = format!(
            "
            commands
            immutable prod/all
            scan a
            scan b
            push dev/web:1 a        => promote dev/web:1@a -> prod/all:stable
            push dev/web:2 b        => block dev/web:2@b: target-immutable
            begin
            {end}
            "
        );
        check("all: dev/* -> prod/all; tag: stable when true", &story);
    };
    ends("finish");
    ends("give-up => promote dev/web:2@b -> prod/all:stable");
}

#[test]
fn f24_an_older_build_does_not_overtake_what_two_rules_put_there() {
    check(
        "
        one: dev/* -> prod/all; tag: stable when true
        other: dev/* -> prod/all; tag: stable when true",
        "
        commands
        push dev/web:1 old
            => wait dev/web:1@old by one: scan-missing old
            => wait dev/web:1@old by other: scan-missing old
        push dev/web:2 new
            => wait dev/web:2@new by one: scan-missing new
            => wait dev/web:2@new by other: scan-missing new
        scan new
            => promote dev/web:2@new -> prod/all:stable by one
            => promote dev/web:2@new -> prod/all:stable by other
        begin
        finish
        begin
        finish
        scan old
            => wait dev/web:1@old by one: target-newer
            => wait dev/web:1@old by other: target-newer
        ",
    );
}

#[test]
fn f24_an_older_copy_that_is_tried_again_late_does_not_let_others_overtake() {
    check(
        "all: dev/* -> prod/all; tag: stable when true",
        "
        commands
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> prod/all:stable
        begin
        give-up
        push dev/web:2 b        => wait dev/web:2@b: scan-missing b
        push dev/web:3 a        => promote dev/web:3@a -> prod/all:stable
        begin
        finish
        retry
        begin
        finish
        scan b                  => wait dev/web:2@b: target-newer
        ",
    );
}

#[test]
fn f25_a_promotion_that_fails_leaves_the_target_as_it_was() {
    check(
        CHAIN,
        "
        commands
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1 by to-staging
        begin
        give-up
        request staging/web:1 prod/web:1    => withdrawn staging/web:1@nothing by manual: tag-deleted
        ",
    );
}

#[test]
fn f25_a_promotion_that_was_given_up_is_tried_again_by_hand_as_what_it_was() {
    check(
        CHAIN,
        "
        commands
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1 by to-staging
        begin
        give-up
        retry
        retry
        begin
        finish                  => promote staging/web:1@a -> prod/web:1 by to-prod
        ",
    );
}

#[test]
fn e30_what_was_given_up_and_has_moved_since_is_not_tried_again() {
    check(
        CHAIN,
        "
        commands
        scan a
        scan b
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1 by to-staging
        begin
        give-up
        push dev/web:1 b        => promote dev/web:1@b -> staging/web:1 by to-staging
        retry                   => failed dev/web:1@a: superseded
        begin
        finish                  => promote staging/web:1@b -> prod/web:1 by to-prod
        ",
    );
}

#[test]
fn what_was_given_up_and_has_no_rule_any_more_is_not_tried_again() {
    check(
        CHAIN,
        "
        commands
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1 by to-staging
        begin
        give-up
        activate nothing        => withdrawn dev/web:1@a: rule-removed
        retry                   => failed dev/web:1@a: withdrawn
        ",
    );
}

#[test]
fn e36_the_next_stage_begins_when_the_copy_is_complete_and_not_before() {
    check(
        CHAIN,
        "
        commands
        app shop = api web
        scan api
        scan web
        push dev/shop:1 shop    => promote dev/shop:1@shop -> staging/shop:1 by to-staging
        begin
        finish                  => promote staging/shop:1@shop -> prod/shop:1 by to-prod
        begin
        finish
        ",
    );
}

#[test]
fn e36_the_registrys_own_notification_changes_nothing() {
    check(
        CHAIN,
        "
        commands
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1 by to-staging
        begin
        push staging/web:1 a    => promote staging/web:1@a -> prod/web:1 by to-prod
        finish
        push staging/web:1 a
        ",
    );
}

#[test]
fn a_late_outcome_does_not_put_back_a_tag_that_moved_after_the_copy_arrived() {
    let told = |meanwhile: &str, holds: &str| {
        let story = format!(
            "
            commands
            scan a
            scan b
            push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
            begin
            {meanwhile}
            finish
            request staging/web:1 x/web:1   => {holds}
            "
        );
        check(SHIP, &story);
    };
    let a = "promote staging/web:1@a -> x/web:1 by manual";
    let b = "promote staging/web:1@b -> x/web:1 by manual";
    // The registry's notification comes before the outcome, once or twice, or not at all.
    told("push staging/web:1 a", a);
    told("push staging/web:1 a\npush staging/web:1 a", a);
    told("wait 1s", a);
    // What else was there before the copy came is no word of the copy.
    told("push staging/web:1 b", a);
    told("push staging/web:1 b\npush staging/web:1 a", a);
    told("push staging/web:1 b\ndelete staging/web:1", a);
    // Somebody moved the tag after the copy had come.
    told("push staging/web:1 a\npush staging/web:1 b", b);
    told(
        "push staging/web:1 a\npush staging/web:1 b\npush staging/web:1 a",
        a,
    );
    let gone = "withdrawn staging/web:1@nothing by manual: tag-deleted";
    told("push staging/web:1 a\ndelete staging/web:1", gone);
    told("push staging/web:1 a\ndelete staging/web@a", gone);
    told("push staging/web:1 a\ndelete staging/web", gone);
}

#[test]
fn a_copy_that_is_begun_once_more_puts_its_digest_there_again() {
    check(
        SHIP,
        "
        commands
        scan a
        scan b
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        begin
        push staging/web:1 a
        push staging/web:1 b
        begin
        finish
        request staging/web:1 x/web:1   => promote staging/web:1@a -> x/web:1 by manual
        ",
    );
}
