//! The schemas of the description: the main parts of the answers, and the data of every event.

use serde_json::{Map, Value, json};
use weir_schema::json_schema;

/// All of them by name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    let mut kinds = Vec::new();
    for (file, text) in json_schema::files() {
        let Ok(Value::Object(mut of_data)) = serde_json::from_str(&text) else {
            continue;
        };
        of_data.remove("$schema");
        if let Some(Value::Object(parts)) = of_data.remove("$defs") {
            for (name, part) in parts {
                all.insert(name, moved(part));
            }
        }
        let kind = file.trim_end_matches(".schema.json").to_owned();
        all.insert(kind.clone(), moved(Value::Object(of_data)));
        kinds.push(kind);
    }
    let of_kinds = kinds.iter().map(|kind| {
        json!({
            "if": {"properties": {"type": {"const": kind}}},
            "then": {"properties": {"data": {"$ref": format!("#/components/schemas/{kind}")}}},
        })
    });
    let of_kinds: Vec<Value> = of_kinds.collect();
    let text = || json!({"type": "string"});
    let number = || json!({"type": "integer", "minimum": 0});
    let time = || json!({"type": "string", "format": "date-time"});
    let maybe = |of: Value| json!({"oneOf": [of, {"type": "null"}]});
    let list = |of: Value| json!({"type": "array", "items": of});
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let mut object = |name: &str, about: &str, required: &[&str], properties: Value| {
        let described = json!({"type": "object", "description": about, "required": required, "properties": properties});
        all.insert(name.to_owned(), described);
    };
    object(
        "Problem",
        "RFC 9457.",
        &["status", "title", "detail"],
        json!({"status": number(), "title": text(), "detail": text(), "retry_after": number()}),
    );
    object(
        "Accepted",
        "The place in the stream, or the record; of a batch one each. Of what came before, by its source and id, that place or a later one.",
        &[],
        json!({"sequence": number(), "sequences": list(number()),
            "repeated": {"type": "boolean", "description": "True where it is known that all of it came before: it is not kept again, and changes nothing. Of a delivery into a stream it is not known yet."},
            "source_only": {"type": "object", "properties": {"may_waive": {"type": "boolean"}}, "required": ["may_waive"],
                "description": "Of a delivery that proves no more than which source sent it: operators' events in it are rejected, and so are waivers where the source may not waive."}}),
    );
    object(
        "Record",
        "A record of the log.",
        &["seq", "recorded_at", "event", "position", "previous", "v"],
        json!({
            "v": number(), "seq": number(), "recorded_at": time(), "event": reference("Event"),
            "position": {"type": "object", "description": "Where it came from."},
            "previous": {"type": "string", "description": "The hash of the record before."},
        }),
    );
    object(
        "Page",
        "Records, and the cursor of the next page if there is one.",
        &["events", "through", "next"],
        json!({
            "events": list(reference("Record")), "through": number(), "next": maybe(text()),
            "undecided": reference("Undecided"),
        }),
    );
    object(
        "Count",
        "With `count=true`: how many records meet the filters.",
        &["count"],
        json!({"count": number(), "undecided": reference("Undecided")}),
    );
    object(
        "Groups",
        "With `by`: how many records have each, under the name that was asked for.",
        &["by", "groups"],
        json!({
            "by": text(), "undecided": reference("Undecided"),
            "groups": list(json!({
                "type": "object", "required": ["count"], "properties": {"count": number()},
                "additionalProperties": text(),
            })),
        }),
    );
    object(
        "Undecided",
        "Records left out because the expression of `where` errs for them, otherwise than for want of a field.",
        &["count", "seq", "problem"],
        json!({"count": number(), "seq": number(), "problem": text()}),
    );
    object(
        "TagView",
        "A tag with what is said of it.",
        &[
            "repository",
            "tag",
            "digest",
            "class",
            "pushed_at",
            "images",
            "left_out",
            "unknown",
            "lineage",
            "verdicts",
        ],
        json!({
            "repository": text(), "tag": text(), "digest": text(),
            "class": {"enum": ["app", "index", "image", "artifact"]},
            "pushed_at": time(), "pushed_by": maybe(text()),
            "images": list(reference("ImageView")), "left_out": list(reference("LeftOut")), "unknown": list(text()),
            "lineage": list(reference("Hop")), "verdicts": list(reference("VerdictView")),
            "violation": maybe(list(reference("Reason"))),
        }),
    );
    object(
        "ImageView",
        "An image that must be scanned.",
        &["digest", "role", "scan", "scanners", "findings"],
        json!({
            "digest": text(), "component": maybe(text()), "role": text(), "platform": {},
            "scan": {"enum": ["completed", "failed", "running", "missing"]}, "scanners": list(text()),
            "findings": {"type": "array", "items": number(), "description": "By severity, the worst first."},
        }),
    );
    object(
        "VerdictView",
        "The verdict under a rule.",
        &["rule", "target", "verdict", "reasons", "decided"],
        json!({"rule": text(), "target": text(), "verdict": verdict(), "reasons": list(reference("Reason")), "decided": number()}),
    );
    object(
        "Counted",
        "A finding that counts, of the gravest.",
        &["id", "severity", "image"],
        json!({
            "id": text(), "severity": text(), "package": maybe(text()), "version": maybe(text()),
            "fixed_version": maybe(text()), "image": text(), "component": maybe(text()),
        }),
    );
    object(
        "Explanation",
        "Why a tag is or is not promoted under a rule.",
        &[
            "rule",
            "severity",
            "source",
            "digest",
            "class",
            "target",
            "verdict",
            "decided",
            "reasons",
            "stages",
            "images",
            "left_out",
            "expression",
            "gravest",
            "counted",
            "denies",
            "overrides",
        ],
        json!({
            "rule": text(), "severity": {"enum": ["enforce", "warn", "off"]},
            "about": text(), "owner": text(), "link": text(), "source": text(), "digest": text(), "class": text(), "target": text(),
            "verdict": verdict(), "decided": number(), "reasons": list(reference("Reason")),
            "stages": list(reference("Stage")), "images": list(reference("ImageView")),
            "left_out": list(reference("LeftOut")),
            "expression": {"type": "object", "description": "The expression with the value of each part."},
            "gravest": list(reference("Counted")), "counted": number(),
            "denies": list(reference("Deny")), "overrides": list(text()),
            "uncounted": list(reference("Uncounted")), "needs": list(text()),
            "promotions": list(reference("PromotionView")),
        }),
    );
    object(
        "Entry",
        "What a record says.",
        &["seq", "at", "what", "text", "type", "data"],
        json!({"seq": number(), "at": time(), "what": text(), "text": text(), "type": text(), "data": {}}),
    );
    object(
        "History",
        "The life of a tag, the oldest first, and the tag as it is. Where more than a thousand records name the tag, those before `told_from` are left out: `/v1/events` has them.",
        &["repository", "tag", "entries", "told_from", "now"],
        json!({
            "repository": text(), "tag": text(), "entries": list(reference("Entry")),
            "told_from": maybe(number()), "now": maybe(reference("TagView")),
        }),
    );
    object(
        "Lineage",
        "What stands behind a digest.",
        &[
            "digest",
            "contents",
            "part_of",
            "pushes",
            "scans",
            "promotions",
            "overrides",
            "approvals",
            "rules",
            "deletions",
        ],
        json!({
            "digest": text(), "contents": list(json!({"type": "object"})), "part_of": list(text()),
            "pushes": list(reference("Entry")), "scans": list(reference("Entry")),
            "promotions": list(json!({"type": "object"})), "overrides": list(reference("Entry")),
            "approvals": list(reference("Entry")), "rules": list(json!({"type": "object"})),
            "deletions": list(reference("Entry")),
        }),
    );
    object(
        "PromotionView",
        "A promotion that is not completed.",
        &[
            "promotion_id",
            "rule",
            "source",
            "target",
            "progress",
            "attempts",
            "decided_at",
        ],
        json!({
            "promotion_id": text(), "rule": text(), "source": reference("TagRef"), "target": reference("TargetRef"),
            "progress": {"enum": ["decided", "started", "failed"]}, "attempts": number(),
            "error": maybe(text()), "decided_at": time(),
            "waits_for": {"type": "string", "description": "What must be configured before it is carried out."},
            "copy": {"type": "object", "description": "While it is copied: the attempt, what is done of how much, what went wrong last."},
        }),
    );
    object(
        "Rule",
        "All that a rule says: its header by the names that it has there, and its expression.",
        &[
            "rule",
            "path",
            "kind",
            "severity",
            "from",
            "to",
            "expression",
        ],
        json!({
            "rule": text(), "path": text(), "kind": {"enum": ["promote", "deny"]}, "severity": {"enum": ["enforce", "warn", "off"]},
            "from": text(), "to": text(), "tag": text(), "class": list(text()), "about": maybe(text()), "owner": maybe(text()),
            "link": maybe(text()), "scan": {"enum": ["required", "not-required"]}, "scanners": list(text()), "soak": maybe(text()),
            "approvals": number(), "separate": list(text()), "window": maybe(text()), "message": maybe(text()), "expression": text(),
        }),
    );
    object(
        "LeftOut",
        "What is in an index and needs no scan.",
        &["digest", "why"],
        json!({"digest": text(), "why": text()}),
    );
    object(
        "Hop",
        "A promotion by which a tag came to what it points at.",
        &["rule", "source", "at"],
        json!({"rule": text(), "source": text(), "at": time()}),
    );
    object(
        "Stage",
        "What objects at one stage of the judgement.",
        &["stage", "reasons"],
        json!({"stage": {"enum": ["gate", "rule", "target", "people and time"]}, "reasons": list(reference("Reason"))}),
    );
    object(
        "Deny",
        "A deny rule that looks at the promotion, and what it says.",
        &["rule", "denies", "warns", "expression"],
        json!({
            "rule": text(), "denies": {"type": "boolean"}, "warns": {"type": "boolean"}, "message": text(),
            "about": text(), "owner": text(), "link": text(),
            "expression": {"type": "object", "description": "The expression with the value of each part."},
        }),
    );
    object(
        "Uncounted",
        "A vote that does not count.",
        &["actor", "why"],
        json!({"actor": text(), "why": {"enum": ["pusher", "rule-owner"]}}),
    );
    object(
        "Override",
        "An override that was granted and not revoked.",
        &[
            "override_id",
            "vulnerability",
            "granted",
            "granted_at",
            "in_force",
            "decisions",
        ],
        json!({
            "override_id": text(), "vulnerability": text(), "scope": {"type": "object"}, "status": maybe(text()), "actor": maybe(text()),
            "reason": maybe(text()), "granted": number(), "granted_at": time(), "expires_at": maybe(time()),
            "in_force": {"type": "boolean"}, "decisions": number(),
        }),
    );
    object(
        "Impact",
        "A tag that holds the vulnerability, and the images in it that have it.",
        &[
            "repository",
            "tag",
            "digest",
            "class",
            "counts",
            "images",
            "lineage",
            "pushed_at",
        ],
        json!({
            "repository": text(), "tag": text(), "digest": text(), "class": text(), "pushed_at": time(), "lineage": list(reference("Hop")),
            "counts": {"type": "boolean", "description": "Whether it counts anywhere in it: nothing keeps it from that."},
            "images": list(json!({"type": "object", "required": ["digest", "findings"], "properties": {
                "digest": text(), "component": maybe(text()), "platform": {}, "first_seen": time(), "scanners": list(text()),
                "findings": list(json!({"type": "object"})),
            }})),
        }),
    );
    object(
        "Value",
        "The value of an expression.",
        &["value", "warnings"],
        json!({"value": {}, "warnings": list(text())}),
    );
    object(
        "Reconciled",
        "What the registries have otherwise than the log.",
        &["drift", "problems", "tags", "manifests", "confirmed"],
        json!({
            "drift": list(json!({"type": "object"})), "problems": list(text()), "tags": number(), "manifests": number(),
            "confirmed": {"type": "boolean"},
        }),
    );
    object(
        "RulesInForce",
        "The rules in force.",
        &["rules", "rules_digest", "refused"],
        json!({"rules": list(reference("Rule")), "rules_digest": text(), "refused": maybe(text())}),
    );
    object(
        "Status",
        "How the engine is.",
        &[
            "running",
            "version",
            "log",
            "archive",
            "state_digest",
            "rules",
            "stream",
            "lease",
            "promotions",
            "holds",
            "violations",
            "lookups",
            "outputs",
            "sources",
        ],
        json!({
            "address": text(), "started_at": time(),
            "lookups": {"type": "object", "description": "What waits for an answer of a registry."},
            "outputs": maybe(json!({"type": "object", "description": "How far they are published, with a stream."})),
            "sources": {"type": "object", "description": "When each was last heard.", "additionalProperties": time()},
            "running": {"type": "boolean"}, "node": maybe(text()), "version": text(), "log": {"type": "object"},
            "archive": maybe(json!({"type": "object", "description": "Where full segments of the log are archived, and why they are not.", "required": ["directory", "problem"], "properties": {"directory": text(), "problem": maybe(text())}})),
            "state_digest": text(), "rules": {"type": "object"}, "stream": {}, "lease": {},
            "promotions": {"type": "object"}, "holds": list(json!({"type": "object"})), "violations": number(),
        }),
    );
    let file = json!({"type": "object", "required": ["path", "text"], "properties": {"path": text(), "text": text()}});
    object(
        "BacktestQuestion",
        "Rules to try; without `against`, beside what was in force as recorded.",
        &["rules"],
        json!({"rules": list(file.clone()), "against": list(file), "since": time(), "until": time(), "limit": number()}),
    );
    object(
        "Backtest",
        "How far a backtest is, or what it came to.",
        &["id", "state"],
        json!({
            "id": number(), "state": {"enum": ["running", "done", "failed"]}, "done": number(), "of": number(),
            "report": {"type": "object"}, "problem": text(),
        }),
    );
    all.insert(
        "Event".into(),
        json!({
            "type": "object",
            "description": "A CloudEvent 1.0. `data` of Weir's own types is described; other types are recorded and change nothing.",
            "required": ["specversion", "id", "source", "type"],
            "properties": {
                "specversion": {"const": "1.0"}, "id": text(), "source": text(), "type": text(),
                "time": time(), "subject": text(), "data": {},
            },
            "allOf": of_kinds,
        }),
    );
    all
}

fn verdict() -> Value {
    json!({"enum": ["promote", "wait", "block", "error", "withdrawn"]})
}

/// A schema whose references lead to the components.
fn moved(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| match (&*key, value) {
                ("$ref", Value::String(to)) => {
                    (key, to.replace("#/$defs/", "#/components/schemas/").into())
                }
                (_, value) => (key, moved(value)),
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(moved).collect(),
        other => other,
    }
}
