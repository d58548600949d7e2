//! The forms in which any payload may come: modes of CloudEvents, lists, lines, and what is no JSON.

use serde_json::json;
use weir_engine::adapters::AdapterSettings;

use crate::payload;
use crate::words::{check, check_text, decode_with, meaning};

#[test]
fn weirs_own_events_come_in_every_mode_of_cloudevents() {
    let data = json!({"repository": "a/b", "tag": "1"});
    let event = json!({"specversion": "1.0", "id": "7", "source": "me", "type": "weir.tag.deleted", "data": data});
    check(&event, &["deleted a/b:1"]);
    check(&json!([event, event]), &["deleted a/b:1", "deleted a/b:1"]);
    check_text(
        &format!("{event}\n{event}\n"),
        &["deleted a/b:1", "deleted a/b:1"],
    );
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "me"),
        ("ce-type", "weir.tag.deleted"),
    ];
    let decoded = decode_with(&headers, &AdapterSettings::default(), &data.to_string());
    assert_eq!(meaning(decoded), ["deleted a/b:1"]);
    check(
        &json!({"specversion": "1.0", "id": "7", "source": "me", "type": "acme.other", "data": 1}),
        &["acme.other"],
    );
    check(
        &json!({"specversion": "1.0", "id": "7", "source": "me", "type": "weir.tag.deleted", "data": {}}),
        &["rejected `data` of `weir.tag.deleted`: missing field `repository`"],
    );
    check(
        &json!({"specversion": "1.0", "id": "7", "source": "me", "type": "weir.violation.found", "data": {}}),
        &["rejected"],
    );
}

#[test]
fn the_content_type_decides_how_a_cloudevent_is_written() {
    let event = json!({"specversion": "1.0", "id": "7", "source": "me", "type": "weir.tag.deleted", "data": {"repository": "a/b", "tag": "1"}});
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "8"),
        ("ce-source", "other"),
        ("ce-type", "acme.other"),
        (
            "content-type",
            "Application/CloudEvents+JSON; charset=utf-8",
        ),
    ];
    let decoded = decode_with(&headers, &AdapterSettings::default(), &event.to_string());
    assert_eq!(meaning(decoded), ["deleted a/b:1"]);
}

#[test]
fn the_attributes_and_data_of_binary_mode_are_refused_where_they_are_ambiguous() {
    let check = |id: &str, data: &str, expected: &str| {
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "me"),
            ("ce-type", "weir.tag.deleted"),
        ];
        let decoded = decode_with(&headers, &AdapterSettings::default(), data);
        assert_eq!(meaning(decoded), [expected], "{id} {data}");
    };
    let data = r#"{"repository":"a/b","tag":"1"}"#;
    check("a%2Bb", data, "deleted a/b:1");
    check(
        "%+5",
        data,
        "rejected `ce-id`: a `%` is not followed by two hexadecimal digits: for itself it is sent as `%25`",
    );
    check(
        "%ff",
        data,
        "rejected `ce-id`: what is percent-encoded is not UTF-8",
    );
    check(
        "\u{e9}",
        data,
        "rejected `ce-id`: not ASCII: all else is sent percent-encoded in UTF-8, `\u{e9}` as `%C3%A9`",
    );
    check(
        "7",
        r#"{"repository":"a/b","tag":"1","tag":"2"}"#,
        "rejected not of the form that it should have: `tag` comes twice in an object at line 1 column 35",
    );
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let push = String::from_utf8(payload("harbor/artifact-pushed.json")).unwrap();
    check_text(
        &push.replacen('{', "{ // a comment\n", 1),
        &["rejected no JSON: "],
    );
    check_text(&push.replacen('"', "\u{201c}", 1), &["rejected no JSON: "]);
    check_text(
        "{}\nnonsense\n",
        &[
            "rejected line 1: no adapter knows",
            "rejected line 2: no JSON",
        ],
    );
    check_text("", &["rejected no JSON: EOF"]);
    check_text("[]", &["ignored"]);
    check_text("null", &["rejected no adapter knows"]);
}

#[test]
fn a_report_behind_a_line_of_a_log_is_not_refused_line_by_line() {
    let push = payload("harbor/artifact-pushed.json");
    let pretty = json!({"matches": vec![1; 40]});
    let body = format!("{{\"level\":\"info\"}}\n{pretty:#}\n");
    let mut expected: Vec<String> = (1..=16)
        .map(|line| format!("rejected line {line}: no"))
        .collect();
    expected.push("rejected 29 more, up to line 45, are refused as well; ".to_owned());
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_text(&body, &expected);
    // What is among them is taken.
    let push: serde_json::Value = serde_json::from_slice(&push).unwrap();
    let body = format!("{body}{push}\n");
    check_text(
        &body,
        &[&expected[..16], &["type? pushed image"], &expected[16..]].concat(),
    );
}

#[test]
fn an_attestation_is_of_a_scan_by_a_part_of_its_type() {
    let attested = |kind: &str| json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "subject": [], "predicate": {}});
    for scan in [
        "https://cosign.sigstore.dev/attestation/vuln/v1",
        "https://in-toto.io/attestation/vulns/v0.1",
    ] {
        check(&attested(scan), &["rejected `predicate.scanner"]);
    }
    for other in [
        "https://scout.docker.com/vulnerabilities/v0.1",
        "https://slsa.dev/provenance/v1",
    ] {
        check(&attested(other), &["ignored"]);
    }
}
