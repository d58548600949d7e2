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
