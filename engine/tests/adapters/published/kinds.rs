//! Fields of a kind that they cannot have, and fields that contradict each other: never read so that a
//! report says less than what is there.

use serde_json::{Value, json};

use crate::words::{check, digest};

/// What is no list, whatever it holds.
fn no_lists() -> [Value; 4] {
    let part = "pkg:golang/golang.org/x/net@v0.17.0";
    [json!({ "@id": part }), json!(part), json!(7), json!(true)]
}

fn vex(product: Value, more: Value) -> Value {
    let mut statement = json!({"vulnerability": {"name": "CVE-1"}, "products": [product], "status": "not_affected", "justification": "vulnerable_code_not_present"});
    let more = more.as_object().unwrap().clone();
    statement.as_object_mut().unwrap().extend(more);
    json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "version": 1, "statements": [statement]})
}

#[test]
fn what_openvex_says_in_a_wrong_kind_never_widens_an_override() {
    let image = format!("pkg:oci/web@{}", digest("ab"));
    let refused = |place: &str, expected: &str| {
        format!("rejected `statements[0].{place}`: expected {expected}")
    };
    for parts in no_lists() {
        check(
            &vex(json!({"@id": image, "subcomponents": parts}), json!({})),
            &[&*refused("products[0].subcomponents", "a list")],
        );
        // Before 0.2 they were the statement's.
        check(
            &vex(json!(image), json!({"subcomponents": parts})),
            &[&*refused("subcomponents", "a list")],
        );
        check(
            &vex(json!(image), json!({"products": parts})),
            &[&*refused("products", "a list")],
        );
    }
    let repository = "pkg:oci/web?repository_url=registry.example/web";
    for (product, place, expected) in [
        (
            json!({"hashes": [{"sha-256": "ab"}]}),
            "hashes",
            "an object",
        ),
        (
            json!({"hashes": {"sha-256": ["ab"]}}),
            "hashes.sha-256",
            "a text",
        ),
        (
            json!({"identifiers": [{"purl": image}]}),
            "identifiers",
            "an object",
        ),
        (
            json!({"identifiers": {"purl": [image]}}),
            "identifiers.purl",
            "a text",
        ),
    ] {
        let mut product = product;
        product["@id"] = json!(repository);
        check(
            &vex(product, json!({})),
            &[&*refused(&format!("products[0].{place}"), expected)],
        );
    }
    check(
        &vex(json!(image), json!({"justification": {"text": "none"}})),
        &[&*refused("justification", "a text")],
    );
    // Absent in the ways in which things are absent.
    for none in [json!(null), json!(""), json!([])] {
        check(
            &vex(
                json!({"@id": image, "subcomponents": none, "hashes": null, "identifiers": {}}),
                json!({"subcomponents": none}),
            ),
            &["override CVE-1 abab "],
        );
    }
}
