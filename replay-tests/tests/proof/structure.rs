//! What has to be scanned: classes, leaves and what is left out.

use serde_json::{Value, json};
use weir_replay_tests::{check, thawed};
use weir_rules::{Execution, Settings, State, step};
use weir_schema::{Body, Decision, Received, Timestamp, Verdict};

use crate::SHIP;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

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
fn f6_what_one_source_takes_for_an_image_and_another_for_an_index_is_an_index() {
    // Whichever is said first.
    check(
        SHIP,
        "
        push dev/web:1 multi    => wait dev/web:1@multi: scan-missing multi
        index multi = amd
        resolve multi           => wait dev/web:1@multi: scan-missing amd
        scan multi
        scan amd                => promote dev/web:1@multi -> staging/web:1
        ",
    );
    check(
        SHIP,
        "
        index multi = amd
        resolve multi
        image multi
        push dev/web:1 multi    => wait dev/web:1@multi: scan-missing amd
        scan multi
        scan amd                => promote dev/web:1@multi -> staging/web:1
        ",
    );
}

#[test]
fn f6_an_index_holds_whatever_is_said_to_be_in_it() {
    check(
        SHIP,
        "
        index multi = amd
        push dev/web:1 multi    => wait dev/web:1@multi: scan-missing amd
        index multi = arm
        resolve multi           => wait dev/web:1@multi: scan-missing amd, scan-missing arm
        scan amd                => wait dev/web:1@multi: scan-missing arm
        scan arm                => promote dev/web:1@multi -> staging/web:1
        push dev/web:2 multi    => promote dev/web:2@multi -> staging/web:2
        ",
    );
}

#[test]
fn f6_what_one_list_leaves_out_and_another_calls_an_image_is_scanned() {
    // Whichever is said first, and whether it is said by a push or by what was resolved.
    let told = |first: &str, then: &str| {
        check(
            SHIP,
            &format!(
                "
                index multi = {first}
                push dev/web:1 multi    => wait dev/web:1@multi: scan-missing amd
                index multi = {then}
                resolve multi           => wait dev/web:1@multi: scan-missing amd, scan-missing x
                scan amd                => wait dev/web:1@multi: scan-missing x
                scan x                  => promote dev/web:1@multi -> staging/web:1
                "
            ),
        );
        check(
            SHIP,
            &format!(
                "
                index multi = {then}
                resolve multi
                index multi = {first}
                push dev/web:1 multi    => wait dev/web:1@multi: scan-missing amd, scan-missing x
                index multi = {then}
                push dev/web:2 multi    => wait dev/web:2@multi: scan-missing amd, scan-missing x
                "
            ),
        );
    };
    told("amd x:attestation", "amd x");
    told("amd x:config", "amd x:component");
    told("amd x:artifact", "amd x");
}

#[test]
fn f6_what_one_list_calls_an_image_and_another_an_index_is_expanded() {
    check(
        SHIP,
        "
        index multi = amd x
        push dev/web:1 multi    => wait dev/web:1@multi: scan-missing amd, scan-missing x
        scan amd                => wait dev/web:1@multi: scan-missing x
        index x = arm
        resolve multi           => wait dev/web:1@multi: manifest-unknown x, scan-missing x
        resolve x               => wait dev/web:1@multi: scan-missing arm
        scan x
        scan arm                => promote dev/web:1@multi -> staging/web:1
        ",
    );
}

#[test]
fn f6_the_same_list_told_again_in_fewer_words_changes_nothing() {
    check(
        SHIP,
        "
        app shop = cfg:config api
        push dev/shop:1 shop    => wait dev/shop:1@shop: scan-missing api
        resolve shop
        push dev/shop:1 shop bare
        scan api                => promote dev/shop:1@shop -> staging/shop:1
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

/// An event's body.
fn said(kind: &str, data: &Value) -> Body {
    let event =
        json!({"specversion": "1.0", "id": kind, "source": "/t", "type": kind, "data": data});
    let received = Received::from_json(event.to_string().as_bytes());
    received.unwrap().event.body
}

/// A rule that takes all of `dev`, in force.
fn shipping() -> State {
    let text = "//! from: dev/*\n//! to: prod/{1}\ntrue\n";
    let rules = json!({"files": [{"path": "ship.cel", "text": text}]});
    let mut state = State::new(Settings::default());
    assert_eq!(
        decision(&mut state, &said("weir.rules.activated", &rules)),
        None
    );
    state
}

/// What is decided because of an input.
fn decision(state: &mut State, body: &Body) -> Option<Decision> {
    let step = step(state, Timestamp::EPOCH, body, Execution::AtOnce);
    step.conclusions.into_iter().find_map(|one| match one.body {
        Body::DecisionMade(made) => Some(made),
        _ => None,
    })
}

#[test]
fn a_decision_about_more_images_than_any_application_has_fits_into_a_record() {
    const IMAGES: usize = 10_100;
    let digest = |number: usize| format!("sha256:{number:064x}");
    let manifests: Vec<Value> = (0..IMAGES)
        .map(|number| json!({"digest": digest(number), "media_type": IMAGE}))
        .collect();
    let pushed = json!({"repository": "dev/web", "tag": "1", "digest": digest(IMAGES),
        "media_type": INDEX, "manifests": manifests});
    let deleted = json!({"repository": "dev/web", "digest": digest(IMAGES - 1)});
    let mut state = shipping();
    let mut decided = |kind: &str, data: &Value| {
        let made = decision(&mut state, &said(kind, data))?;
        Some((made.verdict, made.reasons.len()))
    };
    let waits = decided("weir.image.pushed", &pushed);
    assert_eq!(waits, Some((Verdict::Wait, 10_000)));
    // The one that blocks is told, however many there are before it.
    let blocked = decided("weir.manifest.deleted", &deleted);
    assert_eq!(blocked, Some((Verdict::Block, 10_000)));
}

#[test]
fn what_is_in_the_way_is_told_with_its_component_whether_image_or_index() {
    let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
    let part = |name: &str, letter: &str, media_type: &str| {
        let about = json!({"io.cnab.manifest.type": "component", "io.cnab.component.name": name});
        json!({"digest": digest(letter), "media_type": media_type, "annotations": about})
    };
    let parts = [
        part("api", "a", IMAGE),
        part("cache", "c", INDEX),
        part("db", "d", INDEX),
    ];
    let pushed = json!({"repository": "dev/shop", "tag": "1", "digest": digest("f"),
        "media_type": INDEX, "manifests": parts});
    let holds = |letter: &str, child: &str, media_type: &str| {
        let children = [json!({"digest": digest(child), "media_type": media_type})];
        json!({"digest": digest(letter), "media_type": INDEX, "manifests": children})
    };
    let deleted = json!({"repository": "dev/shop", "digest": digest("d")});
    let mut state = shipping();
    let mut told = |kind: &str, data: &Value| {
        let made = decision(&mut state, &said(kind, data)).unwrap();
        let told = made.reasons.iter().map(|reason| {
            let digest = reason.digest.as_ref().map(ToString::to_string);
            let letter = digest.and_then(|digest| digest.chars().last());
            let component = reason.component.as_deref().unwrap_or("none");
            format!("{} {} {component}", reason.code, letter.unwrap_or('?'))
        });
        told.collect::<Vec<_>>()
    };
    let resolved = "weir.manifest.resolved";
    let (api, cache) = ("scan-missing a api", "manifest-unknown c cache");
    for (kind, data, reasons) in [
        (
            "weir.image.pushed",
            pushed,
            [cache, "manifest-unknown d db", api],
        ),
        (
            resolved,
            holds("d", "b", IMAGE),
            [cache, api, "scan-missing b db"],
        ),
        // What is nested is of the component that nests it.
        (
            resolved,
            holds("c", "e", INDEX),
            ["manifest-unknown e cache", api, "scan-missing b db"],
        ),
    ] {
        assert_eq!(told(kind, &data), reasons);
    }
    let reasons = told("weir.manifest.deleted", &deleted);
    assert!(
        reasons.contains(&"manifest-deleted d db".to_owned()),
        "{reasons:?}"
    );
}

#[test]
fn what_one_index_says_of_its_child_does_not_take_the_child_of_another_out_of_the_gate() {
    let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
    let pushed = |index: &str, child: &str, platform: &Value| {
        let child = json!({"digest": digest(child), "media_type": IMAGE, "platform": platform});
        let data = json!({"repository": "dev/web", "tag": index, "digest": digest(index),
            "media_type": INDEX, "manifests": [child]});
        said("weir.image.pushed", &data)
    };
    // An attestation, by a platform that is too long to be kept.
    let odd = json!({"os": "unknown", "architecture": "unknown", "variant": "x".repeat(300)});
    let first = pushed("e", "a", &odd);
    let second = pushed("f", "b", &Value::Null);
    let mut state = shipping();
    let made = decision(&mut state, &first).unwrap();
    assert_eq!(made.verdict, Verdict::Block, "there is nothing to scan");
    let mut after_snapshot = thawed(&state, &Settings::default());
    for state in [&mut state, &mut after_snapshot] {
        let made = decision(state, &second).unwrap();
        assert_eq!(made.verdict, Verdict::Wait, "{:?}", made.reasons);
    }
    assert_eq!(state.state_digest(), after_snapshot.state_digest());
}

#[test]
fn images_are_found_by_their_configuration_also_after_a_snapshot() {
    let [one, two, other] = ["11", "22", "33"].map(|two| format!("sha256:{}", two.repeat(32)));
    let [config, else_where] = ["cc", "dd"].map(|two| format!("sha256:{}", two.repeat(32)));
    let mut state = State::new(Settings::default());
    let mut resolve = |image: &str, config: Option<&str>| {
        let data = json!({
            "digest": image, "repository": "dev/web", "media_type": IMAGE, "config_digest": config,
        });
        let event = json!({
            "specversion": "1.0", "id": image, "source": "t", "type": "weir.manifest.resolved",
            "data": data,
        });
        let received = Received::from_json(event.to_string().as_bytes()).expect("an event");
        let body = &received.event.body;
        step(&mut state, Timestamp::EPOCH, body, Execution::AtOnce);
    };
    resolve(&two, None);
    resolve(&two, Some(&config));
    resolve(&other, Some(&else_where));
    resolve(&one, Some(&config));
    // What is known of a digest does not change.
    resolve(&one, Some(&else_where));
    for state in [thawed(&state, &Settings::default()), state] {
        let with = |config: &str| {
            let found = state.images_with_config(&config.parse().expect("a digest"));
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(with(&config), [one.clone(), two.clone()]);
        assert_eq!(with(&else_where), std::slice::from_ref(&other));
        assert_eq!(with(&one), [""; 0]);
    }
}
