//! Deletions: of tags, manifests and repositories.

use weir_replay_tests::check;

use crate::SHIP;

#[test]
fn f27_what_is_deleted_from_a_target_is_not_put_back() {
    check(
        SHIP,
        "
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        delete staging/web:1
        scan a
        push dev/web:1 a
        ",
    );
}

#[test]
fn f28_a_child_that_is_deleted_breaks_every_application_that_holds_it() {
    check(
        SHIP,
        "
        app shop = api web
        app desk = api
        push dev/shop:1 shop    => wait dev/shop:1@shop: scan-missing api, scan-missing web
        push dev/shop:2 desk    => wait dev/shop:2@desk: scan-missing api
        push dev/desk:1 desk    => wait dev/desk:1@desk: scan-missing api
        delete dev/shop@api
            => block dev/shop:1@shop: manifest-deleted api, scan-missing api, scan-missing web
            => block dev/shop:2@desk: manifest-deleted api, scan-missing api
        scan web                => block dev/shop:1@shop: manifest-deleted api, scan-missing api
        # Elsewhere it is still there.
        scan api
            => promote dev/desk:1@desk -> staging/desk:1
            => block dev/shop:1@shop: manifest-deleted api
            => block dev/shop:2@desk: manifest-deleted api
        # A push of the index proves its children; one of the child itself too.
        push dev/shop:2 desk    => promote dev/shop:2@desk -> staging/shop:2
        push dev/shop api       => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e39_a_subject_ends_with_its_tag_repository_or_rule() {
    check(
        SHIP,
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        delete dev/web:1        => withdrawn dev/web:1@a: tag-deleted
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        push dev/web:2 b        => wait dev/web:2@b: scan-missing b
        delete dev/web          => withdrawn dev/web:1@a: repository-deleted; withdrawn dev/web:2@b: repository-deleted
        push dev/web:3 a        => wait dev/web:3@a: scan-missing a
        activate nothing        => withdrawn dev/web:3@a: rule-removed
        scan a
        activate to-staging: dev/* -> staging/{1} when true     => promote dev/web:3@a -> staging/web:3
        ",
    );
}

#[test]
fn e39_a_promotion_not_yet_begun_ends_with_its_subject() {
    check(
        SHIP,
        "
        commands
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        activate nothing        => failed dev/web:1@a: withdrawn; withdrawn dev/web:1@a: rule-removed
        ",
    );
}

#[test]
fn e45_a_tag_that_is_deleted_and_pushed_again_is_judged_anew_with_its_scans() {
    check(
        SHIP,
        "
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        delete dev/web:1        => withdrawn dev/web:1@a: tag-deleted
        delete staging/web:1
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn e46_a_tag_that_is_deleted_leaves_manifest_and_scans() {
    check(
        SHIP,
        "
        app shop = api
        scan api
        push dev/shop:api api   => promote dev/shop:api@api -> staging/shop:api
        delete dev/shop:api     => withdrawn dev/shop:api@api: tag-deleted
        push dev/shop:1 shop    => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e47_a_child_that_is_deleted_after_its_scan_closes_the_gate() {
    check(
        "to-staging: dev/* -> staging/{1}; approvals: 1 when true",
        "
        index multi = amd arm
        app shop = api multi
        resolve multi
        scan api
        scan amd
        scan arm
        push dev/shop:1 shop    => wait dev/shop:1@shop: approval-missing 0/1
        delete dev/shop@multi   => block dev/shop:1@shop: manifest-deleted multi
        delete dev/shop@arm     => block dev/shop:1@shop: manifest-deleted multi, manifest-deleted arm
        approve dev/shop@shop staging/shop alice
        push dev/shop multi     => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e48_a_source_that_is_deleted_leaves_the_target_and_its_lineage() {
    check(
        "
        to-staging: dev/* -> staging/{1} when true
        to-prod: staging/* -> prod/{1}; approvals: 1 when lineage.exists(h, h.repository == \"dev/web\")",
        "
        scan a
        push dev/web:1 a
            => promote dev/web:1@a -> staging/web:1 by to-staging
            => wait staging/web:1@a by to-prod: approval-missing 0/1
        delete dev/web          => withdrawn dev/web:1@a by to-staging: repository-deleted
        approve staging/web@a prod/web alice    => promote staging/web:1@a -> prod/web:1 by to-prod
        ",
    );
}

#[test]
fn e49_a_deletion_and_a_promotion_go_by_the_order_of_the_log() {
    check(
        SHIP,
        "
        commands
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        delete dev/web:1        => failed dev/web:1@a: superseded; withdrawn dev/web:1@a: tag-deleted
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        begin
        delete dev/web:1        => withdrawn dev/web:1@a: tag-deleted
        finish
        ",
    );
}

#[test]
fn an_index_pushed_before_anybody_said_what_it_is_proves_its_children_all_the_same() {
    check(
        SHIP,
        "
        app shop = api
        scan api
        delete dev/shop@api
        push dev/shop:1 shop untold     => wait dev/shop:1@shop: manifest-unknown shop
        resolve shop                    => promote dev/shop:1@shop -> staging/shop:1
        # What is deleted after the push is gone, whenever one learns what was pushed.
        app desk = web
        scan web
        push dev/desk:1 desk untold     => wait dev/desk:1@desk: manifest-unknown desk
        delete dev/desk@web
        resolve desk                    => block dev/desk:1@desk: manifest-deleted web
        ",
    );
}

#[test]
fn a_rule_that_comes_back_judges_anew_what_it_had_not_begun_to_promote() {
    check(
        "to-staging: dev/* -> staging/{1} when scan.critical == 0",
        "
        commands
        scan a
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        activate nothing        => failed dev/web:1@a: withdrawn; withdrawn dev/web:1@a: rule-removed
        scan a CVE-1:CRITICAL
        activate to-staging: dev/* -> staging/{1} when scan.critical == 0
            => block dev/web:1@a: clause-false `scan.critical == 0`
        scan a                  => promote dev/web:1@a -> staging/web:1
        ",
    );
}
