//! What has named fields in an event is an object: an array of the same values is refused wherever it
//! stands, since serde would read it by position and the audit would not see what it says.

use serde_json::{Value, json};
use weir_schema::{Body, Event, Received};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The data of an event of each type, with every object that it may have.
fn samples() -> Vec<(&'static str, Value)> {
    let platform = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
    let children = json!([
        {"digest": DIGEST, "media_type": MANIFEST, "platform": platform, "annotations": {"a": "b"}}
    ]);
    let scanner = json!({"name": "trivy", "version": "1", "db_updated_at": "2026-08-21T10:00:00Z"});
    let source = json!({"repository": "dev/web", "tag": "1.0", "digest": DIGEST});
    let target = json!({"repository": "prod/web", "tag": "1.0"});
    let reason = json!({"code": "scan-missing", "digest": DIGEST, "platform": platform});
    let outcome =
        json!({"promotion_id": "p", "rule": "to-prod", "source": source, "target": target});
    let vote =
        json!({"repository": "dev/web", "digest": DIGEST, "target": "prod/web", "actor": "ann"});
    let violation = json!({
        "repository": "prod/web", "tag": "1.0", "digest": DIGEST, "rule": "to-prod",
        "reasons": [reason],
    });
    vec![
        ("weir.repository.created", json!({"repository": "dev/web"})),
        ("weir.repository.deleted", json!({"repository": "dev/web"})),
        (
            "weir.repository.configured",
            json!({"repository": "dev/web", "immutable_tags": true}),
        ),
        (
            "weir.image.pushed",
            json!({
                "repository": "dev/web", "digest": DIGEST, "media_type": MANIFEST, "tag": "1.0",
                "annotations": {"a": "b"}, "platform": platform, "manifests": children,
            }),
        ),
        (
            "weir.manifest.resolved",
            json!({
                "digest": DIGEST, "media_type": MANIFEST, "manifests": children,
                "annotations": {"a": "b"}, "labels": {"c": "d"},
            }),
        ),
        (
            "weir.tag.deleted",
            json!({"repository": "dev/web", "tag": "1.0"}),
        ),
        (
            "weir.manifest.deleted",
            json!({"repository": "dev/web", "digest": DIGEST}),
        ),
        (
            "weir.scan.started",
            json!({"digest": DIGEST, "scanner": scanner}),
        ),
        (
            "weir.scan.completed",
            json!({
                "digest": DIGEST, "scanner": scanner,
                "findings": [{"id": "CVE-1", "severity": "HIGH", "package": "p"}],
            }),
        ),
        (
            "weir.scan.completed",
            json!({"digest": DIGEST, "scanner": scanner, "counts": {"HIGH": 1}}),
        ),
        (
            "weir.scan.requested",
            json!({"digest": DIGEST, "repository": "dev/web", "reference": "dev/web@x"}),
        ),
        (
            "weir.scan.failed",
            json!({"digest": DIGEST, "scanner": scanner, "reason": "r"}),
        ),
        ("weir.scanner.updated", json!({"scanner": scanner})),
        (
            "weir.override.granted",
            json!({
                "override_id": "o", "vulnerability": "CVE-1", "reason": "r", "actor": "ann",
                "scope": {"repository": "dev/web", "digest": DIGEST, "package": "p"},
            }),
        ),
        (
            "weir.override.revoked",
            json!({"override_id": "o", "actor": "ann"}),
        ),
        ("weir.approval.granted", vote.clone()),
        ("weir.approval.revoked", vote),
        (
            "weir.hold.placed",
            json!({
                "hold_id": "h", "actor": "ann", "reason": "r",
                "scope": {"repository": "dev/web", "digest": DIGEST, "rule": "to-prod"},
            }),
        ),
        (
            "weir.hold.released",
            json!({"hold_id": "h", "actor": "ann"}),
        ),
        (
            "weir.promotion.requested",
            json!({
                "repository": "dev/web", "tag": "1.0", "target": target, "actor": "ann",
                "reason": "r",
            }),
        ),
        (
            "weir.promotion.retried",
            json!({"promotion_id": "p", "actor": "ann"}),
        ),
        (
            "weir.rules.activated",
            json!({"files": [{"path": "a.cel", "text": "true"}]}),
        ),
        (
            "weir.input.rejected",
            json!({"reason": "r", "payload_digest": DIGEST}),
        ),
        (
            "weir.decision.made",
            json!({
                "reasons": [reason], "rule": "to-prod", "rules_digest": DIGEST, "source": source,
                "target": target, "trigger": 1, "verdict": "wait", "waived": [reason],
            }),
        ),
        ("weir.promotion.started", outcome.clone()),
        ("weir.promotion.completed", outcome.clone()),
        ("weir.promotion.failed", outcome),
        ("weir.violation.found", violation.clone()),
        ("weir.violation.cleared", violation),
    ]
}

fn event(kind: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "s", "type": kind, "data": data})
}

/// The pointers to all objects of a value.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.to_owned());
            for (name, value) in fields {
                objects(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// As it comes from others, and as canonical JSON, which is read another way.
fn is_refused(event: &Value) -> bool {
    let spaced = format!(" {event}");
    let written = event.to_string();
    Received::from_json(spaced.as_bytes()).is_err() && Event::from_json(written.as_bytes()).is_err()
}

#[test]
fn no_object_of_an_event_is_an_array() {
    for (kind, data) in samples() {
        let whole = event(kind, &data);
        Received::from_json(whole.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        let mut places = Vec::new();
        objects(&whole, "", &mut places);
        for place in places {
            let mut spoilt = whole.clone();
            let object = spoilt.pointer_mut(&place).unwrap();
            let values = object.as_object().unwrap().values().cloned().collect();
            *object = Value::Array(values);
            assert!(is_refused(&spoilt), "{kind}, `{place}` by position");
            *spoilt.pointer_mut(&place).unwrap() = json!([]);
            assert!(is_refused(&spoilt), "{kind}, `{place}` empty");
        }
    }
}

#[test]
fn an_array_in_the_order_of_the_fields_is_refused() {
    let scope = json!({"override_id": "o", "vulnerability": "v", "reason": "r", "actor": "a", "scope": ["dev/*"]});
    for event in [
        json!(["1.0", "i1", "/s", "acme.x"]),
        json!(["1.0", "i1", "/s", "weir.tag.deleted", null, null, {"repository": "a", "tag": "1"}]),
        event("weir.tag.deleted", &json!(["dev/web", "1.0"])),
        event("weir.override.granted", &json!(["o", "v", "r", "a"])),
        event("weir.override.granted", &scope),
    ] {
        assert!(is_refused(&event), "{event}");
    }
}

#[test]
fn every_type_that_has_data_has_a_sample() {
    let samples = samples();
    for kind in Body::TYPES {
        let is_there = samples.iter().any(|(sample, _)| sample == kind);
        assert!(is_there || *kind == "weir.clock.ticked", "{kind}");
    }
}
