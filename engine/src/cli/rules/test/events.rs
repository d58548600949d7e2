//! The short form in which a test writes an event, and the event that it stands for.
//!
//! The fields are those of the event itself. What a test need not say is said here: who did it, which
//! scanner, that a manifest is an image. A digest may be any word, which stands for the digest of
//! that word; a child of an application may say its `component` or that its `role` is `invocation`.

use serde_json::{Map, Value as Json, json};
use weir_rules::suggest::nearest;
use weir_schema::{
    Body, Digest, Event, Severity,
    media_type::{OCI_INDEX, OCI_MANIFEST},
};

use super::json_facts::refuse_unknown_word;

/// What the annotations of a child of an application are called.
const CNAB_MANIFEST_TYPE: &str = "io.cnab.manifest.type";
const CNAB_COMPONENT_NAME: &str = "io.cnab.component.name";

/// Fields that hold a digest or a list of them.
const DIGESTS: [&str; 5] = [
    "digest",
    "config_digest",
    "report_digest",
    "subject",
    "covers",
];

/// The event that `kind`, without its `weir.`, and `data` stand for.
///
/// # Errors
/// If there is no such event, a field is missing, unknown, or of a value that it cannot have.
pub fn event(kind: &str, data: &Json) -> Result<Body, String> {
    let full = format!("weir.{kind}");
    if !Body::TYPES.contains(&full.as_str()) {
        let known = Body::TYPES
            .iter()
            .map(|known| known.trim_start_matches("weir."));
        let meant = nearest(kind, known).map(|meant| format!(", did you mean `{meant}`?"));
        return Err(format!("no event `{kind}`{}", meant.unwrap_or_default()));
    }
    let mut data = match data {
        Json::Null => Map::new(),
        Json::Object(fields) => fields.clone(),
        _ => {
            return Err(format!(
                "`{kind}` takes its fields, as `{{ repository: dev/app }}`"
            ));
        }
    };
    annotate_children(&mut data)?;
    check_fields(&full, &data)?;
    complete(kind, &mut data);
    let mut data = Json::Object(data);
    name_digests(&mut data);
    let envelope = json!({
        "specversion": "1.0", "id": "1", "source": "/tests", "type": full, "data": data,
    });
    let event = Event::from_incoming(envelope.to_string().as_bytes());
    let body = event
        .map_err(|error| without_place(&error.to_string()))?
        .body;
    if body.is_conclusion() {
        return Err(format!(
            "`{kind}` is what Weir itself concludes: `expect` it"
        ));
    }
    Ok(body)
}

/// The message without the line and column of a text that the author never sees.
fn without_place(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message.get(..end).unwrap_or(message).to_owned()
}

fn complete(kind: &str, data: &mut Map<String, Json>) {
    let mut default = |field: &str, value: Json| {
        data.entry(field).or_insert(value);
    };
    match kind {
        "scan.started" | "scan.completed" | "scan.failed" => {
            default("scanner", json!("trivy"));
            if kind == "scan.failed" {
                default("reason", json!("it failed"));
            }
        }
        "override.granted" | "hold.placed" => {
            default("actor", json!("somebody"));
            default("reason", json!("a test"));
        }
        "override.revoked" | "hold.released" => default("actor", json!("somebody")),
        _ => {}
    }
    if kind == "scan.completed" && !data.contains_key("counts") {
        data.entry("findings").or_insert(json!([]));
    }
    // A scanner may be given by its name alone.
    if let Some(scanner @ Json::String(_)) = data.get_mut("scanner") {
        *scanner = json!({ "name": scanner.clone() });
    }
    if matches!(kind, "image.pushed" | "manifest.resolved") {
        let children = data.get_mut("manifests").and_then(Json::as_array_mut);
        let is_index = children.is_some();
        for child in children
            .into_iter()
            .flatten()
            .filter_map(Json::as_object_mut)
        {
            child.entry("media_type").or_insert(json!(OCI_MANIFEST));
        }
        let media_type = if is_index { OCI_INDEX } else { OCI_MANIFEST };
        data.entry("media_type").or_insert(json!(media_type));
    }
}

/// Writes a child's part in an application as its annotations say it.
fn annotate_children(data: &mut Map<String, Json>) -> Result<(), String> {
    let children = data.get_mut("manifests").and_then(Json::as_array_mut);
    for child in children
        .into_iter()
        .flatten()
        .filter_map(Json::as_object_mut)
    {
        let mut annotations = Vec::new();
        if let Some(component) = child.remove("component") {
            annotations.push((CNAB_MANIFEST_TYPE, json!("component")));
            annotations.push((CNAB_COMPONENT_NAME, component));
        }
        match child.remove("role") {
            None => {}
            Some(role)
                if ["invocation", "component", "config"].contains(&role.as_str().unwrap_or("")) =>
            {
                annotations.push((CNAB_MANIFEST_TYPE, role));
            }
            Some(role) => {
                return Err(format!(
                    "`manifests.role` is `invocation`, `component` or `config`, not {role}"
                ));
            }
        }
        if let (false, Some(own)) = (
            annotations.is_empty(),
            child
                .entry("annotations")
                .or_insert(json!({}))
                .as_object_mut(),
        ) {
            own.extend(
                annotations
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value)),
            );
        }
    }
    Ok(())
}

/// Makes digests of words.
fn name_digests(value: &mut Json) {
    match value {
        Json::Object(fields) => {
            for (field, value) in fields {
                match value {
                    Json::String(_) if DIGESTS.contains(&field.as_str()) => name_digest(value),
                    Json::Array(items) if DIGESTS.contains(&field.as_str()) => {
                        items.iter_mut().for_each(name_digest);
                    }
                    other => name_digests(other),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(name_digests),
        _ => {}
    }
}

fn name_digest(value: &mut Json) {
    if let Json::String(text) = value
        && !text.contains(':')
    {
        *text = Digest::of(text.as_bytes()).to_string();
    }
}

/// Refuses fields that the event does not have: in a log they mean nothing, in a test they are slips.
fn check_fields(kind: &str, data: &Map<String, Json>) -> Result<(), String> {
    let schemas = Body::schemas();
    let Some((_, schema)) = schemas.iter().find(|(known, _)| *known == kind) else {
        return Ok(());
    };
    let schema = schema.as_value();
    check_against(schema, schema, &Json::Object(data.clone()), "")?;
    let counts = data.get("counts").and_then(Json::as_object);
    let mut words = counts.into_iter().flat_map(Map::keys);
    words.try_for_each(|word| check_severity(word, "counts"))
}

/// Refuses a word that is no severity: of a scanner it counts as unknown, in a test it is a slip.
fn check_severity(word: &str, path: &str) -> Result<(), String> {
    let known = Severity::ALL.map(Severity::as_str);
    refuse_unknown_word(&word.trim().to_uppercase(), &known, path)
}

fn check_against(root: &Json, schema: &Json, value: &Json, path: &str) -> Result<(), String> {
    let schema = resolved(root, schema);
    match value {
        Json::Object(fields) => {
            // A map with any keys has no declared properties.
            let Some(known) = schema["properties"].as_object() else {
                return Ok(());
            };
            for (field, value) in fields {
                let Some(inner) = known.get(field) else {
                    let meant = nearest(field, known.keys().map(String::as_str));
                    let meant = meant.map(|meant| format!(", did you mean `{meant}`?"));
                    let meant = meant.unwrap_or_default();
                    return Err(format!("there is no field `{path}{field}`{meant}"));
                };
                if matches!(field.as_str(), "tag") && value.is_number() {
                    let help = "write it in quotes, or `1.10` becomes `1.1`";
                    return Err(format!("`{path}{field}` is a number: {help}"));
                }
                if let ("severity", Some(word)) = (field.as_str(), value.as_str()) {
                    check_severity(word, &format!("{path}{field}"))?;
                }
                check_against(root, inner, value, &format!("{path}{field}."))?;
            }
            Ok(())
        }
        Json::Array(items) => items
            .iter()
            .try_for_each(|item| check_against(root, &schema["items"], item, path)),
        _ => Ok(()),
    }
}

/// The schema itself, where it is only named, or may also be absent.
fn resolved<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let named = alternatives
        .chain([schema])
        .find_map(|schema| schema["$ref"].as_str());
    let found = named.and_then(|name| root.pointer(name.trim_start_matches('#')));
    found.unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_schema::{Body, Digest};

    use super::event;

    #[test]
    fn what_a_test_need_not_say_is_added() {
        let pushed = event(
            "image.pushed",
            &json!({ "repository": "dev/shop", "tag": "1", "digest": "shop", "manifests": [{ "digest": "api" }] }),
        );
        let Ok(Body::ImagePushed(pushed)) = pushed else {
            panic!("{pushed:?}");
        };
        assert_eq!(pushed.digest, Digest::of(b"shop"));
        assert!(pushed.media_type.ends_with("index.v1+json"));
        let children = pushed.manifests.unwrap_or_default();
        assert_eq!(children[0].digest, Digest::of(b"api"));
        assert!(children[0].media_type.ends_with("manifest.v1+json"));
        let scanned = event(
            "scan.completed",
            &json!({ "digest": "api", "scanner": "grype" }),
        );
        let Ok(Body::ScanCompleted(scanned)) = scanned else {
            panic!("{scanned:?}");
        };
        assert_eq!(scanned.scanner.name, "grype");
        assert_eq!(scanned.findings, Some(Vec::new()));
    }

    #[test]
    fn mistakes_are_named() {
        for (kind, data, expected) in [
            (
                "image.push",
                json!({}),
                "no event `image.push`, did you mean `image.pushed`?",
            ),
            ("scan.completed", json!({}), "missing field `digest`"),
            (
                "scan.completed",
                json!({ "digset": "a" }),
                "there is no field `digset`, did you mean `digest`?",
            ),
            (
                "scan.completed",
                json!({ "digest": "a", "findings": [{ "id": "CVE-1", "severty": "HIGH" }] }),
                "there is no field `findings.severty`, did you mean `severity`?",
            ),
            (
                "scan.completed",
                json!({ "digest": "a", "findings": [{ "id": "CVE-1", "severity": "CRITCAL" }] }),
                "`findings.severity` is never `CRITCAL`, did you mean `CRITICAL`?",
            ),
            (
                "scan.completed",
                json!({ "digest": "a", "counts": { "severe": 1 } }),
                "`counts` is never `SEVERE`, but one of CRITICAL, HIGH",
            ),
            (
                "override.granted",
                json!({ "override_id": "1", "vulnerability": "CVE-1", "scope": { "repo": "dev/*" } }),
                "there is no field `scope.repo`",
            ),
            (
                "image.pushed",
                json!({ "repository": "dev/a", "digest": "a", "tag": 1.1 }),
                "`tag` is a number: write it in quotes",
            ),
            (
                "image.pushed",
                json!({ "repository": "Dev", "digest": "a" }),
                "`Dev`",
            ),
            ("decision.made", json!({}), "missing field"),
            ("image.pushed", json!("dev/a"), "takes its fields"),
        ] {
            let error = event(kind, &data).expect_err(kind);
            assert!(error.contains(expected), "{kind}: {error}");
            assert!(!error.contains("line"), "{error}");
        }
    }
}
