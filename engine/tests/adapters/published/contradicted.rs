//! VEX documents that say of one vulnerability that it does not count, and that it does.

use serde_json::{Value, json};

use crate::words::{check, digest};

const EARLY: &str = "2026-01-01T00:00:00Z";
const LATE: &str = "2026-02-01T00:00:00Z";
const REFUSED: &str = "rejected `not_affected` for CVE-1: the document says that a part of what this is about, or all of it, counts or may count";

fn image() -> Value {
    json!({"@id": format!("pkg:oci/web@{}?repository_url=r.example/web", digest("ab"))})
}

fn within(part: &str) -> Value {
    let mut image = image();
    image["subcomponents"] = json!([{"@id": part}]);
    image
}

fn statement(status: &str, made: &str, products: &Value) -> Value {
    json!({"vulnerability": {"name": "CVE-1"}, "status": status, "justification": "component_not_present", "timestamp": made, "products": products})
}

fn openvex(version: u32, statements: &[Value]) -> Value {
    json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "d", "author": "a", "timestamp": EARLY, "version": version, "statements": statements})
}

#[test]
fn what_no_override_can_say_speaks_against_a_waiver_all_the_same() {
    let waiver = statement("not_affected", EARLY, &json!([image()]));
    let web = format!("pkg:oci/web@{}", digest("ab"));
    let mut counting = vec![
        json!({"@id": "pkg:oci/web?repository_url=r.example/web&tag=1"}),
        json!({"@id": format!("{web}?arch=arm64")}),
        json!({"@id": "my product"}),
        json!({"identifiers": {"cpe23": "cpe:2.3:a:x:y:1:*:*:*:*:*:*:*"}}),
        json!({"@id": "pkg:apk/alpine/jq"}),
        within("pkg:deb/debian/openssl@%3C3.0.2"),
        within("pkg:golang/x.example/y@v1#sub"),
        within("cpe:2.3:a:x:y:1:*:*:*:*:*:*:*"),
    ];
    counting
        .push(json!({"@id": "pkg:golang/x/y@v1", "subcomponents": [{"@id": "pkg:golang/z@v1"}]}));
    for product in counting {
        for products in [
            json!([product]),
            json!([within("pkg:npm/other@1"), product]),
        ] {
            let ignored = vec!["ignored"; products.as_array().unwrap().len()];
            let told = [&[REFUSED], &*ignored].concat();
            let counts = statement("affected", LATE, &products);
            check(&openvex(1, &[waiver.clone(), counts]), &told);
        }
    }
    for none in [json!(null), json!([]), json!("x")] {
        let counts = statement("under_investigation", EARLY, &none);
        check(
            &openvex(1, &[waiver.clone(), counts]),
            &[REFUSED, "ignored"],
        );
    }
    let unknown = statement("exploitable", EARLY, &json!([within("pkg:npm/other@1")]));
    let told = [
        REFUSED,
        "rejected `statements[0].status`: `exploitable` is no status",
    ];
    check(&openvex(1, &[unknown, waiver]), &told);
}

#[test]
fn what_is_said_of_more_and_not_earlier_speaks_against_a_waiver() {
    let package = json!({"@id": "pkg:npm/foo@1"});
    let digest_alone = json!({"@id": format!("pkg:oci/web@{}", digest("ab"))});
    let reference = json!({"@id": format!("r.example/web@{}", digest("ab"))});
    let repository = json!({"@id": "pkg:oci/web?repository_url=r.example/web"});
    for (waived, counted) in [
        (within("pkg:npm/foo@1"), image()),
        (within("pkg:npm/foo@1"), within("pkg:npm/foo")),
        (within("pkg:npm/foo@1"), package.clone()),
        (package.clone(), json!({"@id": "pkg:npm/foo"})),
        (package, within("pkg:npm/foo@1")),
        (image(), digest_alone),
        (image(), reference),
        (image(), repository),
    ] {
        let both = |waiver: &str, count: &str| {
            let waiver = statement("not_affected", waiver, &json!([waived]));
            let count = statement("affected", count, &json!([counted]));
            [[waiver.clone(), count.clone()], [count, waiver]]
        };
        for statements in both(EARLY, LATE).iter().chain(&both(EARLY, EARLY)) {
            check(&openvex(1, statements), &refused_first(statements));
        }
    }
    // It is later, and about less.
    let waiver = statement("not_affected", LATE, &json!([within("pkg:npm/foo@1")]));
    let count = statement("affected", EARLY, &json!([image()]));
    check(
        &openvex(1, &[count.clone(), waiver.clone()]),
        &["ignored", "override CVE-1 abab foo@1"],
    );
    // One that has no time may be as late.
    let mut timeless = openvex(1, &[count, waiver]);
    timeless["timestamp"] = Value::Null;
    timeless["statements"][0]["timestamp"] = Value::Null;
    check(&timeless, &["ignored", REFUSED]);
    timeless["timestamp"] = json!(EARLY);
    timeless["statements"][0]["timestamp"] = json!("last week");
    check(&timeless, &["ignored", REFUSED]);
    // What is about other things for certain.
    let other = json!([{"@id": format!("pkg:oci/web@{}", digest("cd"))}]);
    for other in [
        other,
        json!([within("pkg:npm/bar@1")]),
        json!([within("pkg:npm/foo@2")]),
    ] {
        let waiver = statement("not_affected", EARLY, &json!([within("pkg:npm/foo@1")]));
        let count = statement("affected", LATE, &other);
        check(
            &openvex(1, &[waiver, count]),
            &["override CVE-1 abab foo@1", "ignored"],
        );
    }
}

#[test]
fn a_later_waiver_leaves_out_no_part_of_which_nothing_later_is_said() {
    let count = statement("affected", EARLY, &json!([within("pkg:npm/foo@1")]));
    let whole = statement("not_affected", LATE, &json!([image()]));
    check(
        &openvex(1, &[count.clone(), whole.clone()]),
        &["ignored", REFUSED],
    );
    let part = statement("not_affected", LATE, &json!([within("pkg:npm/foo@1")]));
    check(
        &openvex(1, &[count, whole, part]),
        &["override CVE-1 abab foo@1", "override CVE-1 abab "],
    );
}

/// What is expected of a waiver that is refused and of what speaks against it, in their order.
fn refused_first(statements: &[Value]) -> [&'static str; 2] {
    match statements[0]["status"] == "not_affected" {
        true => [REFUSED, "ignored"],
        false => ["ignored", REFUSED],
    }
}

#[test]
fn a_vulnerability_is_the_same_by_its_other_names() {
    let waiver = statement("not_affected", EARLY, &json!([image()]));
    for other in [
        json!({"name": "GHSA-1", "aliases": ["CVE-1"]}),
        json!({"name": "GHSA-1", "@id": "https://nvd.nist.gov/vuln/detail/CVE-1"}),
        json!("cve-1"),
    ] {
        let mut count = statement("affected", LATE, &json!([image()]));
        count["vulnerability"] = other;
        check(&openvex(1, &[waiver.clone(), count]), &[REFUSED, "ignored"]);
    }
    let mut count = statement("affected", LATE, &json!([image()]));
    count["vulnerability"] = json!({"name": "CVE-2", "aliases": ["GHSA-2"]});
    check(
        &openvex(1, &[waiver, count]),
        &["override CVE-1 abab ", "ignored"],
    );
}

#[test]
fn one_product_that_no_override_can_say_keeps_no_other_from_what_is_said() {
    // Docker's Hardened Images name an image in three ways, the last of which says too little.
    let unnamed = json!({"@id": "pkg:oci/dhi.io%2Fweb"});
    let products = json!([image(), unnamed, within("pkg:npm/foo@1")]);
    let told = "rejected `statements[0].products[1].@id`: an image with neither digest";
    check(
        &openvex(1, &[statement("not_affected", EARLY, &products)]),
        &["override CVE-1 abab ", "override CVE-1 abab foo@1", told],
    );
    let products = json!([unnamed, within("pkg:npm/foo@1")]);
    check(
        &openvex(2, &[statement("affected", EARLY, &products)]),
        &[
            "weir.override.revoked",
            "rejected `statements[0].products[0].@id`: an image with neither digest nor `repository_url`: it could be any; so what an earlier version granted there for CVE-1 is not revoked",
        ],
    );
    let package = json!([{"@id": "pkg:npm/foo"}]);
    check(
        &openvex(2, &[statement("affected", EARLY, &package)]),
        &[
            "rejected `affected` for CVE-1, of all of a package: what an earlier version granted",
            "weir.override.revoked",
        ],
    );
}

/// A document about an image, with two components and an entry for each of these.
fn cyclonedx(components: &Value, entries: &[(&str, Option<&str>, &str)]) -> Value {
    let list = entries.iter().map(|(id, state, reference)| {
        let mut one = json!({"id": id, "ratings": [{"severity": "critical"}], "affects": [{"ref": reference}]});
        if let Some(state) = state {
            one["analysis"] = json!({"state": state});
        }
        one
    });
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1,
        "metadata": {"component": {"bom-ref": "root", "type": "container", "name": "web", "purl": format!("pkg:oci/web@{}", digest("ab"))}},
        "components": components, "vulnerabilities": list.collect::<Vec<_>>()})
}

#[test]
fn entries_of_cyclonedx_have_no_order_so_the_one_that_counts_holds() {
    let away = ("CVE-1", Some("not_affected"), "root");
    for (state, reference) in [
        (Some("exploitable"), "root"),
        (Some("in_triage"), "pkg:deb/debian/openssl@3.0.1"),
        (Some("exploitable"), "pkg:golang/x.example/y@v1#sub"),
        (Some("exploitable"), "nothing-that-is-known"),
        (Some("no word of the format"), "root"),
    ] {
        let counts = ("CVE-1", state, reference);
        for entries in [[away, counts], [counts, away]] {
            let found = crate::words::meaning(crate::words::decode_text(
                &cyclonedx(&json!([]), &entries).to_string(),
            ));
            assert!(
                found.iter().any(|one| one.starts_with(REFUSED))
                    && !found.iter().any(|one| one.starts_with("override")),
                "{found:?} of {entries:?}"
            );
        }
    }
    // Of an entry without an analysis nothing is said, and it is there.
    for entries in [
        [away, ("CVE-1", None, "root")],
        [("CVE-1", None, "c1"), away],
    ] {
        check(&cyclonedx(&json!([]), &entries), &[REFUSED]);
    }
    check(
        &cyclonedx(&json!([]), &[away, ("CVE-2", None, "root")]),
        &["override CVE-1 abab "],
    );
    let mut unplaced = cyclonedx(&json!([]), &[away, ("CVE-1", Some("exploitable"), "root")]);
    unplaced["vulnerabilities"][1]["affects"] = Value::Null;
    check(&unplaced, &[REFUSED, "ignored"]);
    let mut alias = cyclonedx(&json!([]), &[away, ("GHSA-1", Some("exploitable"), "root")]);
    alias["vulnerabilities"][1]["references"] = json!([{"id": "CVE-1", "source": {"name": "NVD"}}]);
    check(&alias, &[REFUSED, "ignored"]);
}

#[test]
fn findings_of_a_report_speak_against_the_waivers_in_it() {
    let components = json!([
        {"bom-ref": "c1", "type": "library", "name": "lodash", "version": "4", "purl": "pkg:npm/lodash@4"},
        {"bom-ref": "c2", "type": "library", "name": "vue", "version": "1", "purl": "pkg:npm/vue@1"},
    ]);
    let scanned = "scanned abab by xray: CVE-1=CRITICAL CVE-1=CRITICAL";
    let report = |entries: &[(&str, Option<&str>, &str)]| {
        let mut report = cyclonedx(&components, entries);
        report["metadata"]["tools"] = json!([{"vendor": "JFrog Inc.", "name": "Xray"}]);
        report
    };
    for state in [None, Some("exploitable"), Some("in_triage")] {
        let away = |reference| ("CVE-1", Some("not_affected"), reference);
        for entries in [
            [away("c1"), ("CVE-1", state, "c1")],
            [("CVE-1", state, "c1"), away("root")],
        ] {
            check(&report(&entries), &[REFUSED, scanned]);
        }
        let apart = [away("c1"), ("CVE-1", state, "c2")];
        check(&report(&apart), &["override CVE-1 abab lodash@4", scanned]);
    }
}
