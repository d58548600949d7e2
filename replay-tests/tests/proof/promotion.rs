//! Promotions: what they bind, whom they overtake, where they end.

use serde_json::{Value, json};
use weir_replay_tests::{
    check,
    recorded::{Replayed, replay},
    story::tell,
};
use weir_rules::Execution;
use weir_schema::{Body, Event};

use crate::SHIP;

#[test]
fn f24_an_older_build_that_is_ready_later_does_not_overtake() {
    let latest = "to-staging: dev/* -> staging/{1}; tag: latest when true";
    check(
        latest,
        "
        push dev/web:1 old      => wait dev/web:1@old: scan-missing old
        push dev/web:2 new      => wait dev/web:2@new: scan-missing new
        scan new                => promote dev/web:2@new -> staging/web:latest
        scan old                => wait dev/web:1@old: target-newer
        ",
    );
    // A promotion counts from its decision on.
    check(
        latest,
        "
        commands
        push dev/web:1 old      => wait dev/web:1@old: scan-missing old
        push dev/web:2 new      => wait dev/web:2@new: scan-missing new
        scan new                => promote dev/web:2@new -> staging/web:latest
        scan old                => wait dev/web:1@old: target-newer
        give-up                 => promote dev/web:1@old -> staging/web:latest
        ",
    );
}

#[test]
fn f26_the_origin_travels_with_what_is_promoted() {
    check(
        "
        to-staging: dev/* -> staging/{1} when true
        to-prod: staging/* -> prod/{1} when lineage.exists(h, h.rule == \"to-staging\" && h.repository == \"dev/web\")",
        "
        scan a
        push dev/web:1 a
            => promote dev/web:1@a -> staging/web:1 by to-staging
            => promote staging/web:1@a -> prod/web:1 by to-prod
        # Pushed by somebody else: no origin.
        push staging/web:2 a    => block staging/web:2@a by to-prod: clause-false `lineage.exists(h, h.rule == \"to-staging\" && h.repository == \"dev/web\")`
        ",
    );
}

#[test]
fn e31_an_application_does_not_run_in_circles() {
    check(
        "
        forth: a/* -> b/{1} when true
        back: b/* -> a/{1} when true",
        "
        scan x
        push a/web:1 x
            => promote a/web:1@x -> b/web:1 by forth
            => promote b/web:1@x -> a/web:1 by back: already-there
        ",
    );
}

#[test]
fn e31_to_itself_is_a_loop() {
    check(
        "self: dev/* -> dev/{1} when true",
        "
        scan a
        push dev/web:1 a        => block dev/web:1@a: loop
        ",
    );
    check(
        "new-tag: dev/* -> dev/{1}; tag: {tag}-x when true",
        "
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> dev/web:1-x; block dev/web:1-x@a: loop
        ",
    );
}

#[test]
fn e31_a_template_with_the_time_promotes_a_binding_once() {
    check(
        "to-staging: dev/* -> staging/{1}; tag: {time:%H%M%S} when true",
        "
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:000002
        wait 1h
        scan a
        push dev/web:1 a
        ",
    );
}

#[test]
fn e32_two_rules_to_one_target_go_in_order_and_the_second_finds_it_there() {
    check(
        "
        a-first: dev/* -> staging/{1} when true
        b-second: dev/* -> staging/{1} when true",
        "
        scan a
        push dev/web:1 a
            => promote dev/web:1@a -> staging/web:1 by a-first
            => promote dev/web:1@a -> staging/web:1 by b-second: already-there
        ",
    );
}

#[test]
fn e18_a_source_that_becomes_immutable_is_looked_at_again_where_a_rule_asks_for_it() {
    for rules in [
        "to-staging: dev/* -> staging/{1} when !repository.immutable_tags",
        "
        to-staging: dev/* -> staging/{1} when true
        deny fixed: dev/* -> ** when repository.immutable_tags",
    ] {
        let told = tell(
            rules,
            "
            scan a
            push dev/web:1 a
            immutable dev/web
            mutable dev/web
            immutable staging/web",
        );
        let replayed = replay(&told.events, Execution::AtOnce);
        let violations = replayed
            .conclusions
            .iter()
            .filter_map(|(_, one)| match &one.body {
                Body::ViolationFound(_) => Some("found"),
                Body::ViolationCleared(_) => Some("cleared"),
                _ => None,
            });
        assert_eq!(
            violations.collect::<Vec<_>>(),
            ["found", "cleared"],
            "{rules}"
        );
    }
}

#[test]
fn e33_an_immutable_target_takes_the_same_digest_and_refuses_another() {
    check(
        SHIP,
        "
        immutable staging/web
        scan a
        scan b
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        push dev/web:1 b        => block dev/web:1@b: target-immutable
        again
        wait 1d
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1: already-there
        push dev/web:1 b        => block dev/web:1@b: target-immutable
        mutable staging/web     => promote dev/web:1@b -> staging/web:1
        ",
    );
}

#[test]
fn e34_a_target_that_is_no_legal_tag_is_refused_for_good() {
    let tag = "v".repeat(70);
    check(
        "to-staging: dev/* -> staging/{1}; tag: {tag}-{tag} when true",
        &format!(
            "
            scan a
            push dev/web:{tag} a    => block dev/web:{tag}@a: bad-tag
            wait 1d
            "
        ),
    );
}

#[test]
fn e35_the_time_in_a_tag_is_that_of_the_deciding_record() {
    check(
        "to-staging: dev/* -> staging/{1}; tag: {time:%Y%m%d-%H%M} when true",
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        at 2026-03-04T05:06:00Z
        scan a                  => promote dev/web:1@a -> staging/web:20260304-0506
        ",
    );
}

/// Nothing but the day changes, and the day is in the target's name.
#[test]
fn e35_a_target_named_by_the_day_is_free_on_the_next() {
    let history = "
        immutable staging/web
        scan a
        scan b
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1-20260302
        push dev/web:1 b        => block dev/web:1@b: target-immutable
        wait 1h
        wait 1d                 => promote dev/web:1@b -> staging/web:1-20260303
        ";
    check(
        "to-staging: dev/* -> staging/{1}; tag: {tag}-{time:%Y%m%d} when true",
        history,
    );
    check(
        "to-staging: dev/* -> staging/{1}; tag: {tag}-{time:%Y%m%d} when !target.exists",
        &history.replace("target-immutable", "clause-false `!target.exists`"),
    );
    check(
        "
        to-archive: dev/* -> archive/{time:%Y%m%d} when true
        deny no-archive: ** -> archive/20260302 when true
        ",
        "
        scan a
        push dev/web:1 a        => block dev/web:1@a: denied no-archive
        wait 1h
        wait 1d                 => promote dev/web:1@a -> archive/20260303:1
        ",
    );
}

#[test]
fn whatever_objects_to_a_target_named_by_the_day_may_not_object_the_day_after() {
    let by_day = "to-archive: dev/* -> archive-{time:%Y%m%d}/{1}";
    let next = "promote dev/web:1@a -> archive-20260303/web:1";
    let check_day = |rule: &str, history: &str, objection: &str| {
        let history = format!(
            "
            {history}
            scan a
            push dev/web:1 a        => {objection}
            wait 1h
            wait 1d                 => {next}
            "
        );
        check(rule, &history);
    };
    check_day(
        &format!("{by_day} when true"),
        "hold h in archive-20260302/*",
        "wait dev/web:1@a: held h",
    );
    check_day(
        &format!("{by_day}; approvals: 1 when true"),
        "approve dev/web@a archive-20260303/web alice",
        "wait dev/web:1@a: approval-missing 0/1",
    );
    for expression in [
        "approvals.size() == 1",
        "target.repository != \"archive-20260302/web\"",
        "!target.immutable_tags",
    ] {
        check_day(
            &format!("{by_day} when {expression}"),
            "
            immutable archive-20260302/web
            approve dev/web@a archive-20260303/web alice
            ",
            &format!("block dev/web:1@a: clause-false `{expression}`"),
        );
    }
    check(
        "to-archive: dev/* -> archive/{1}; tag: 1{time:%e} when true",
        "
        scan a
        push dev/web:1 a            => block dev/web:1@a: bad-tag
        wait 1d
        wait 7d                     => promote dev/web:1@a -> archive/web:110
        ",
    );
    check(
        "again: dev/* -> dev/{1}; tag: t{time:%Y%m%d} when true",
        "
        scan a
        push dev/web:t20260302 a    => block dev/web:t20260302@a: loop
        wait 1d                     => promote dev/web:t20260302@a -> dev/web:t20260303
                                    => block dev/web:t20260303@a: loop
        ",
    );
}

/// No record comes but the ticks that are asked for.
#[test]
fn what_hangs_on_the_hour_is_looked_at_again_on_a_quiet_system() {
    let by_day = "to-staging: dev/* -> staging/{1}; tag: {tag}-{time:%Y%m%d} when true";
    check(
        by_day,
        "
        immutable staging/web
        scan a
        scan b
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1-20260302
        push dev/web:1 b        => block dev/web:1@b: target-immutable
        at 2026-03-02T23:50:00Z
        quiet 9m
        quiet 2m                => promote dev/web:1@b -> staging/web:1-20260303
        quiet 2d
        ",
    );
    let by_hour = "to-staging: dev/* -> staging/{1} when now.getHours() == 8";
    check(
        by_hour,
        "
        scan a
        push dev/web:1 a        => block dev/web:1@a: clause-false `now.getHours() == 8`
        at 2026-03-02T07:50:30Z
        quiet 9m
        quiet 1m                => promote dev/web:1@a -> staging/web:1
        quiet 30m
        quiet 30m               => violation staging/web:1@a: clause-false `now.getHours() == 8`
        ",
    );
}

#[test]
fn e42_a_push_and_a_scan_together_are_one_promotion() {
    check(
        SHIP,
        "
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        scan a
        start a
        scan a
        push dev/web:1 a
        ",
    );
}

/// What comes of a promotion that is decided and then told of in these events: types and data.
fn decided_and(told: &[(&str, Value)]) -> Replayed {
    let mut events = tell(SHIP, "commands\n scan a\n push dev/web:1 a => ?").events;
    let decided = replay(&events, Execution::Commands).state;
    let copy = &decided.open_copies()[0].copy;
    for (number, (kind, more)) in told.iter().enumerate() {
        let mut data = json!({
            "promotion_id": copy.promotion_id, "rule": copy.rule,
            "source": copy.source, "target": copy.target,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        let event = json!({
            "specversion": "1.0", "id": format!("told {number}"), "source": "s",
            "type": format!("weir.promotion.{kind}"), "data": data,
        });
        let event = Event::from_json(event.to_string().as_bytes());
        events.push(event.expect("what is told is an event"));
    }
    replay(&events, Execution::Commands)
}

#[test]
fn attempts_are_counted_to_the_end_of_their_numbers() {
    let told = decided_and(&[
        ("started", json!({})),
        ("started", json!({"attempts": u32::MAX})),
        ("started", json!({})),
    ]);
    assert_eq!(told.state.open_copies()[0].attempts, u32::MAX);
}

#[test]
fn no_outcome_has_the_number_of_a_try_that_was_told_of_before() {
    let check = |told: &[&str], this: u32, retried_after: u32| {
        let told: Vec<_> = told
            .iter()
            .map(|kind| (*kind, json!({"actor": "olga"})))
            .collect();
        let open = &decided_and(&told).state.open_copies()[0];
        assert_eq!(
            (open.this_attempt(), open.retried_after),
            (this, retried_after),
            "{told:?}"
        );
        assert!(open.lacks_outcome_of(open.this_attempt()), "{told:?}");
    };
    check(&[], 1, 0);
    check(&["started"], 1, 0);
    check(&["started", "started"], 2, 0);
    let retried = ["started", "started", "failed", "retried"];
    check(&retried, 3, 2);
    let open = &decided_and(&retried.map(|kind| (kind, json!({"actor": "olga"}))));
    assert!(!open.state.open_copies()[0].lacks_outcome_of(2), "it ended");
    check(&["started", "failed", "retried", "started"], 2, 1);
}

#[test]
fn an_outcome_is_of_the_promotion_whose_name_it_spells() {
    for other in ["p+4", "p04", "p004", "P4", "p4 "] {
        let told = decided_and(&[("failed", json!({"promotion_id": other}))]);
        assert_eq!(told.state.promotions_open_and_failed(), (1, 0), "{other}");
        assert_eq!(told.state.open_copy(other), None);
    }
    let told = decided_and(&[("failed", json!({"promotion_id": "p4"}))]);
    assert_eq!(told.state.promotions_open_and_failed(), (0, 1));
}
