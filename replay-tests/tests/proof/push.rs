//! Pushes, and the order in which things arrive.

use weir_replay_tests::check;

use crate::{CHAIN, SHIP};

#[test]
fn e1_a_tag_that_moves_is_judged_for_its_new_digest_only() {
    check(
        SHIP,
        "
        push dev/web:1 old      => wait dev/web:1@old: scan-missing old
        push dev/web:1 new      => wait dev/web:1@new: scan-missing new
        scan old
        scan new                => promote dev/web:1@new -> staging/web:1
        ",
    );
}

#[test]
fn e2_the_same_push_again_is_no_second_promotion() {
    check(
        SHIP,
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        scan a                  => promote dev/web:1@a -> staging/web:1
        push dev/web:1 a
        scan a
        push dev/web:1 a
        ",
    );
}

#[test]
fn e3_a_scan_that_ends_after_the_tag_came_back_counts() {
    check(
        SHIP,
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        start a                 => wait dev/web:1@a: scan-running a
        push dev/web:1 b        => wait dev/web:1@b: scan-missing b
        push dev/web:1 a        => wait dev/web:1@a: scan-running a
        scan a                  => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn e3_going_back_is_a_new_binding_and_promotes_again() {
    check(
        SHIP,
        "
        scan a
        scan b
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        push dev/web:1 b        => promote dev/web:1@b -> staging/web:1
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn e4_components_scanned_elsewhere_before_make_the_application_ready_at_once() {
    check(
        SHIP,
        "
        app shop = api web
        push other/api:7 api
        scan api
        scan web
        push dev/shop:1 shop    => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e5_a_scan_before_the_push_is_kept() {
    check(
        SHIP,
        "
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn e6_an_index_whose_children_are_not_known_waits() {
    check(
        SHIP,
        "
        app shop = api web
        scan api
        scan web
        push dev/shop:1 shop bare   => wait dev/shop:1@shop: manifest-unknown shop
        resolve shop                => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e6_a_nested_index_that_is_not_known_is_not_empty() {
    check(
        SHIP,
        "
        index multi = amd arm
        app shop = api multi
        push dev/shop:1 shop    => wait dev/shop:1@shop: manifest-unknown multi, scan-missing api
        scan api                => wait dev/shop:1@shop: manifest-unknown multi
        resolve multi           => wait dev/shop:1@shop: scan-missing amd, scan-missing arm
        scan arm                => wait dev/shop:1@shop: scan-missing amd
        scan amd                => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn f22_a_manifest_that_cannot_be_read_yet_waits_and_is_never_eligible() {
    check(
        SHIP,
        "
        app shop = api
        scan api
        scan shop
        push dev/shop:1 shop bare   => wait dev/shop:1@shop: manifest-unknown shop
        wait 30d
        ",
    );
}

#[test]
fn e7_the_same_content_under_another_id_changes_nothing() {
    check(
        CHAIN,
        "
        push dev/web:1 a        => wait dev/web:1@a by to-staging: scan-missing a
        again
        scan a
            => promote dev/web:1@a -> staging/web:1 by to-staging
            => promote staging/web:1@a -> prod/web:1 by to-prod
        again
        override o1 CVE-1
        again
        hold h
        again
        delete dev/web:1        => withdrawn dev/web:1@a by to-staging: tag-deleted
        again
        ",
    );
}

#[test]
fn f18_a_scan_reported_for_each_platform_and_fourteen_times_promotes_once() {
    check(
        SHIP,
        "
        index multi = amd arm
        push dev/web:1 multi    => wait dev/web:1@multi: scan-missing amd, scan-missing arm
        scan amd                => wait dev/web:1@multi: scan-missing arm
        again
        again
        scan arm                => promote dev/web:1@multi -> staging/web:1
        again
        again
        ",
    );
}

#[test]
fn e8_a_component_that_passes_under_the_tag_of_its_application_can_be_kept_out() {
    // docker app 0.9 pushes each component to the app's own tag. `class: app` and `soak` both help.
    check(
        "to-staging: dev/* -> staging/{1}; class: app when true",
        "
        app shop = api web
        scan api
        scan web
        push dev/shop:1 api
        push dev/shop:1 web
        push dev/shop:1 shop    => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
    check(
        "to-staging: dev/* -> staging/{1}; soak: 1m when true",
        "
        app shop = api web
        scan api
        scan web
        push dev/shop:1 api     => wait dev/shop:1@api: soaking until 2026-03-02T00:01:04Z
        push dev/shop:1 web     => wait dev/shop:1@web: soaking until 2026-03-02T00:01:05Z
        push dev/shop:1 shop    => wait dev/shop:1@shop: soaking until 2026-03-02T00:01:06Z
        wait 1m                 => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e9_the_same_application_with_its_components_in_another_order_reuses_scans() {
    check(
        SHIP,
        "
        app shop = api web
        app again = web api
        push dev/shop:1 shop    => wait dev/shop:1@shop: scan-missing api, scan-missing web
        scan web                => wait dev/shop:1@shop: scan-missing api
        scan api                => promote dev/shop:1@shop -> staging/shop:1
        push dev/shop:1 again   => promote dev/shop:1@again -> staging/shop:1
        ",
    );
}
