//! Overrides: what they cover, and from when until when.

use weir_replay_tests::check;

use crate::CLEAN;

#[test]
fn e24_an_override_wakes_what_waits_for_it() {
    check(
        CLEAN,
        "
        scan a CVE-1:CRITICAL
        push dev/web:1 a        => block dev/web:1@a: clause-false `scan.critical == 0`
        override o1 CVE-1       => promote dev/web:1@a -> staging/web:1 using o1
        ",
    );
    // One that holds in one repository wakes what waits there; for one that nobody knows, nothing does.
    check(
        CLEAN,
        "
        scan a CVE-1:CRITICAL
        push dev/web:1 a        => block dev/web:1@a: clause-false `scan.critical == 0`
        push dev/api:1 a        => block dev/api:1@a: clause-false `scan.critical == 0`
        override o1 CVE-1 in dev/gone
        override o2 CVE-1 in dev/web    => promote dev/web:1@a -> staging/web:1 using o2
        revoke o2               => violation staging/web:1@a: clause-false `scan.critical == 0`
        ",
    );
}

#[test]
fn e25_an_override_that_is_lifted_blocks_again_or_flags_what_was_promoted() {
    check(
        CLEAN,
        "
        override o1 CVE-1
        scan a CVE-1:CRITICAL
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1 using o1
        revoke o1               => violation staging/web:1@a: clause-false `scan.critical == 0`
        override o2 CVE-1       => cleared staging/web:1@a
        ",
    );
    check(
        "to-staging: dev/* -> staging/{1}; approvals: 1 when scan.critical == 0",
        "
        override o1 CVE-1
        scan a CVE-1:CRITICAL
        push dev/web:1 a        => wait dev/web:1@a using o1: approval-missing 0/1
        revoke o1               => block dev/web:1@a: clause-false `scan.critical == 0`
        approve dev/web@a staging/web alice
        ",
    );
}

#[test]
fn e26_an_override_holds_where_its_scope_says_and_nowhere_else() {
    check(
        CLEAN,
        "
        index multi = amd arm
        scan amd CVE-1:CRITICAL
        scan arm CVE-1:CRITICAL
        push dev/web:1 multi    => block dev/web:1@multi: clause-false `scan.critical == 0`
        override o1 CVE-1 on amd
        override o2 CVE-1 on arm    => promote dev/web:1@multi -> staging/web:1 using o1 o2
        push dev/api:1 multi    => promote dev/api:1@multi -> staging/api:1 using o1 o2
        push dev/amd:1 amd      => promote dev/amd:1@amd -> staging/amd:1 using o1
        ",
    );
    check(
        CLEAN,
        "
        scan a CVE-1:CRITICAL:openssl
        override o1 CVE-1 in dev/web
        push dev/api:1 a        => block dev/api:1@a: clause-false `scan.critical == 0`
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1 using o1
        override o2 CVE-1 package zlib
        override o3 CVE-1 package openssl   => promote dev/api:1@a -> staging/api:1 using o3
        ",
    );
}

#[test]
fn e26_an_override_on_an_application_covers_its_images_in_it_only() {
    check(
        CLEAN,
        "
        app shop = api
        scan api CVE-1:CRITICAL
        override o1 CVE-1 on shop
        push dev/api:1 api      => block dev/api:1@api: clause-false `scan.critical == 0`
        push dev/shop:1 shop    => promote dev/shop:1@shop -> staging/shop:1 using o1
        ",
    );
}

#[test]
fn e27_an_override_before_the_scan_applies_when_the_scan_lands() {
    check(
        CLEAN,
        "
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        override o1 CVE-1
        scan a CVE-1:CRITICAL   => promote dev/web:1@a -> staging/web:1 using o1
        ",
    );
}

#[test]
fn e28_an_override_ends_with_the_first_record_at_its_time() {
    check(
        CLEAN,
        "
        override o1 CVE-1 until 2026-03-02T12:00:00Z
        scan a CVE-1:CRITICAL
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1 using o1
        at 2026-03-02T11:59:59Z
        push dev/web:2 a
            => block dev/web:2@a: clause-false `scan.critical == 0`
            => violation staging/web:1@a: clause-false `scan.critical == 0`
        ",
    );
}

#[test]
fn f15_an_expired_exemption_is_honoured_nowhere() {
    check(
        "
        to-staging: dev/* -> staging/{1} when scan.critical == 0
        deny no-critical: ** -> prod/* when scan.critical > 0",
        "
        override o1 CVE-1 until 2026-03-02T12:00:00Z
        scan a CVE-1:CRITICAL
        at 2026-03-02T12:00:00Z
        push dev/web:1 a        => block dev/web:1@a: clause-false `scan.critical == 0`
        request dev/web:1 prod/web:1    => block dev/web:1@a by manual: denied no-critical
        ",
    );
}

#[test]
fn e29_an_override_for_one_version_of_a_package_does_not_cover_the_next() {
    check(
        CLEAN,
        "
        scan v1 CVE-1:CRITICAL:zlib:1.0
        scan v2 CVE-1:CRITICAL:zlib:1.1
        override o1 CVE-1 package zlib@1.0
        push dev/web:1 v1       => promote dev/web:1@v1 -> staging/web:1 using o1
        push dev/web:2 v2       => block dev/web:2@v2: clause-false `scan.critical == 0`
        override o2 CVE-1 package zlib  => promote dev/web:2@v2 -> staging/web:2 using o2
        ",
    );
}

#[test]
fn e29_an_override_for_one_image_does_not_cover_its_next_version() {
    check(
        CLEAN,
        "
        scan v1 CVE-1:CRITICAL
        scan v2 CVE-1:CRITICAL
        override o1 CVE-1 on v1
        push dev/web:1 v1       => promote dev/web:1@v1 -> staging/web:1 using o1
        push dev/web:2 v2       => block dev/web:2@v2: clause-false `scan.critical == 0`
        ",
    );
}
