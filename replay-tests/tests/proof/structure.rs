//! What has to be scanned: classes, leaves and what is left out.

use std::fmt::Write as _;

use weir_replay_tests::check;
use weir_rules::{Execution, Settings, State, step};
use weir_schema::{Body, Received, RuleFile, RulesActivated, Timestamp, Verdict};

use crate::SHIP;

#[test]
fn f6_a_list_of_manifests_in_an_image_makes_no_index() {
    // The media type decides: what the list names need not be scanned, and the image must.
    check(
        SHIP,
        "
        image a = other
        scan other
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        resolve a
        scan a                  => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn f7_what_refers_to_an_image_does_not_make_it_unscannable() {
    check(
        SHIP,
        "
        artifact sig
        push dev/web:1 a        => wait dev/web:1@a: scan-missing a
        resolve sig of a
        scan sig
        scan a                  => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn f9_a_scan_of_the_index_does_not_cover_its_platforms() {
    check(
        SHIP,
        "
        index multi = amd arm
        push dev/web:1 multi    => wait dev/web:1@multi: scan-missing amd, scan-missing arm
        scan multi
        scan amd                => wait dev/web:1@multi: scan-missing arm
        scan multi covers amd,arm   => promote dev/web:1@multi -> staging/web:1
        ",
    );
}

#[test]
fn f10_an_artifact_that_was_scanned_clean_is_no_image() {
    check(
        "to-staging: dev/* -> staging/{1}; class: artifact when true",
        "
        artifact sig
        push dev/web:1 sig      => block dev/web:1@sig: nothing-to-scan sig
        scan sig
        ",
    );
    // The usual classes do not take it at all.
    check(
        SHIP,
        "
        artifact sig
        scan sig
        push dev/web:1 sig
        ",
    );
}

#[test]
fn f11_attestations_are_not_counted_as_images() {
    check(
        SHIP,
        "
        index multi = amd att:attestation
        push dev/web:1 multi    => wait dev/web:1@multi: scan-missing amd
        scan amd                => promote dev/web:1@multi -> staging/web:1
        fail att
        ",
    );
}

#[test]
fn f35_an_index_that_cannot_be_expanded_is_no_application() {
    check(
        SHIP,
        "
        app shop = api odd:mystery
        scan api
        scan odd
        push dev/shop:1 shop    => block dev/shop:1@shop: app-invalid shop
        ",
    );
}

#[test]
fn e10_a_configuration_that_failed_to_scan_does_not_fail_the_application() {
    check(
        SHIP,
        "
        app shop = cfg:config inv:invocation api
        push dev/shop:1 shop    => wait dev/shop:1@shop: scan-missing api, scan-missing inv
        scan api                => wait dev/shop:1@shop: scan-missing inv
        scan inv                => promote dev/shop:1@shop -> staging/shop:1
        fail cfg
        ",
    );
}

#[test]
fn e11_a_multi_arch_image_in_an_application_counts_by_its_leaves() {
    check(
        SHIP,
        "
        index multi = amd arm
        app shop = api multi
        resolve multi
        scan api
        scan multi
        push dev/shop:1 shop    => wait dev/shop:1@shop: scan-missing amd, scan-missing arm
        scan multi covers amd,arm   => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e11_nine_indexes_deep_is_too_deep() {
    // `i0` is the subject; a child eight levels below it is expanded, one level more is not.
    let eight: String = (0..8)
        .map(|i| format!("index i{i} = i{}\nresolve i{i}\n", i + 1))
        .collect();
    check(
        SHIP,
        &format!(
            "index i8 = a\nresolve i8\nscan a\n{eight}push dev/web:1 i0 => promote dev/web:1@i0 -> staging/web:1"
        ),
    );
    let nine: String = (0..9)
        .map(|i| format!("index i{i} = i{}\nresolve i{i}\n", i + 1))
        .collect();
    check(
        SHIP,
        &format!(
            "index i9 = a\nresolve i9\nscan a\n{nine}push dev/web:1 i0 => block dev/web:1@i0: app-invalid i9"
        ),
    );
}

#[test]
fn e11_a_cycle_of_made_up_digests_ends() {
    check(
        SHIP,
        "
        index a = b
        index b = a c
        scan c
        resolve a
        resolve b
        push dev/web:1 a        => block dev/web:1@a: app-invalid b
        ",
    );
}

#[test]
fn e12_a_digest_that_is_configuration_and_component_stays_in_the_gate_once() {
    check(
        SHIP,
        "
        app shop = twice:config twice twice:invocation
        push dev/shop:1 shop    => wait dev/shop:1@shop: scan-missing twice
        scan twice              => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e12_findings_of_a_digest_with_two_descriptors_count_once() {
    check(
        "to-staging: dev/* -> staging/{1} when scan.high == 1",
        "
        app shop = twice twice:invocation
        scan twice CVE-1:HIGH
        push dev/shop:1 shop    => promote dev/shop:1@shop -> staging/shop:1
        ",
    );
}

#[test]
fn e13_an_application_without_images_is_never_all_scanned() {
    check(
        SHIP,
        "
        app thin = cfg:config
        app empty =
        push dev/thin:1 thin    => block dev/thin:1@thin: nothing-to-scan thin
        push dev/none:1 empty   => block dev/none:1@empty: nothing-to-scan empty
        ",
    );
    // No rule can switch that off for an application.
    check(
        "to-staging: dev/* -> staging/{1}; scan: not-required when images.all(i, i.scan.critical == 0)",
        "
        app thin = cfg:config
        push dev/thin:1 thin    => block dev/thin:1@thin: nothing-to-scan thin
        ",
    );
}

#[test]
fn e37_an_invocation_image_beside_its_application_can_be_left_behind_by_class() {
    check(
        "to-staging: dev/* -> staging/{1}; class: app when tag.name.contains(\"1.0\")",
        "
        app shop = inv:invocation api
        scan inv
        scan api
        push dev/shop:1.0-invoc inv
        push dev/shop:1.0 shop  => promote dev/shop:1.0@shop -> staging/shop:1.0
        ",
    );
}

#[test]
fn a_decision_about_more_images_than_any_application_has_fits_into_a_record() {
    const IMAGES: usize = 10_100;
    let mut manifests = String::new();
    for number in 0..IMAGES {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(
            manifests,
            r#"{comma}{{"digest":"sha256:{number:064x}","media_type":"application/vnd.oci.image.manifest.v1+json"}}"#
        );
    }
    let said = |kind: &str, data: &str| {
        let event = format!(
            r#"{{"specversion":"1.0","id":"{kind}","source":"/t","type":"{kind}","data":{data}}}"#
        );
        Received::from_json(event.as_bytes()).unwrap().event.body
    };
    let root = format!("sha256:{}", "ab".repeat(32));
    let pushed = said(
        "weir.image.pushed",
        &format!(
            r#"{{"repository":"dev/web","tag":"1","digest":"{root}","media_type":"application/vnd.oci.image.index.v1+json","manifests":[{manifests}]}}"#
        ),
    );
    let deleted = said(
        "weir.manifest.deleted",
        &format!(
            r#"{{"repository":"dev/web","digest":"sha256:{:064x}"}}"#,
            IMAGES - 1
        ),
    );
    let file = RuleFile {
        path: "ship.cel".into(),
        text: "//! from: dev/*\n//! to: prod/{1}\ntrue\n".into(),
    };
    let rules = Body::RulesActivated(RulesActivated {
        files: vec![file],
        actor: None,
    });
    let mut state = State::new(Settings::default());
    let mut decided = |body: &Body| {
        let step = step(&mut state, Timestamp::EPOCH, body, Execution::AtOnce);
        step.conclusions.into_iter().find_map(|one| match one.body {
            Body::DecisionMade(made) => Some((made.verdict, made.reasons.len())),
            _ => None,
        })
    };
    assert_eq!(decided(&rules), None);
    assert_eq!(decided(&pushed), Some((Verdict::Wait, 10_000)));
    // The one that blocks is told, however many there are before it.
    assert_eq!(decided(&deleted), Some((Verdict::Block, 10_000)));
}
