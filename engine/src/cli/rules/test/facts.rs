//! Facts of a test: what a case sets, over those of a clean, scanned image.
//!
//! Facts that follow from others follow here too: counts from findings, the findings of an image
//! from those of all, ages from times, the target from the rule. What a case sets itself stands.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Map, Value as Json, json};
use weir_rules::rule::{Rule, RuleTarget, parse_duration};
use weir_rules::template::TemplateInput;
use weir_schema::{Timestamp, media_type};

use super::document::Case;

/// The time at which a case is judged, or its history begins, if it does not say: a Thursday at
/// noon, UTC.
pub const NOW: &str = "2026-01-15T12:00:00Z";

const SEVERITIES: [&str; 6] = ["critical", "high", "medium", "low", "negligible", "unknown"];

/// Facts whose keys are data and no fields: such a map is set as a whole, and no key of it has a
/// meaning here.
const MAPS: [&str; 2] = ["labels", "annotations"];

/// The facts of a case as one JSON object: variables with their fields.
pub fn of_case(
    rule: &Rule,
    defaults: &BTreeMap<String, Json>,
    case: &Case,
) -> Result<Json, String> {
    let mut given = json!({});
    for (path, value) in defaults.iter().chain(&case.set) {
        put(&mut given, path, value.clone())?;
    }
    let now = time_of(&given, rule)?;
    let mut facts = clean_image(rule, now);
    // A list that is given replaces the default one; each element keeps what it does not say.
    let image = facts["images"][0].clone();
    merge(&mut facts, given.clone());
    facts["now"] = json!(now.to_string());
    complete_images(&mut facts, &image);
    resolve_times(&mut facts, now)?;
    share_findings(&mut facts, &given);
    count_findings(&mut facts, &given);
    complete_target(&mut facts, &given, rule, now);
    for path in &case.unset {
        put(&mut facts, path, Json::Null)?;
    }
    Ok(facts)
}

fn time_of(given: &Json, rule: &Rule) -> Result<Timestamp, String> {
    if let Some(text) = given.get("now") {
        let text = text.as_str().ok_or("`now` must be a text")?;
        return text.parse().map_err(|error| format!("`now`: {error}"));
    }
    let now: Timestamp = NOW.parse().map_err(|error| format!("{error}"))?;
    // A case that is not about the window finds it open.
    match &rule.window {
        Some(window) if !window.is_open(now.datetime()) => Ok(window
            .next_change(now.datetime())
            .map_or(now, Timestamp::from)),
        _ => Ok(now),
    }
}

/// Facts with which a rule that asks for nothing unusual promotes.
fn clean_image(rule: &Rule, now: Timestamp) -> Json {
    let before = |delta: TimeDelta| json!(now.saturating_add(-delta).to_string());
    let soaked = rule.soak.unwrap_or_default() + TimeDelta::days(1);
    let source = sample_repository(rule);
    let namespace = source
        .rsplit_once('/')
        .map_or("", |(namespace, _)| namespace);
    let class = rule
        .classes
        .iter()
        .next_back()
        .map_or("image", |class| class.as_str());
    let scanners = if rule.scanners.is_empty() {
        vec!["trivy".to_owned()]
    } else {
        rule.scanners.clone()
    };
    let approvals: Vec<Json> = (1..=rule.approvals)
        .map(|number| {
            json!({ "actor": format!("approver-{number}"), "at": before(TimeDelta::hours(1)) })
        })
        .collect();
    json!({
        "tag": { "name": "1.0.0", "pushed_at": before(soaked), "pushed_by": "pusher" },
        "repository": { "name": source, "namespace": namespace },
        "artifact": {
            "digest": format!("sha256:{}", "a".repeat(64)),
            "class": class,
            "media_type": media_type::OCI_MANIFEST,
            "size": 1024,
        },
        "images": [{
            "digest": format!("sha256:{}", "b".repeat(64)),
            "role": "self",
            "platform": "linux/amd64",
            "scan": {
                "state": "completed",
                "scanners": scanners,
                "scanned_at": before(TimeDelta::hours(1)),
                "db_updated_at": before(TimeDelta::hours(2)),
            },
        }],
        "scan": {},
        "vulnerabilities": [],
        "overridden": [],
        "target": {},
        "approvals": approvals,
        "lineage": [],
        "referrers": [],
    })
}

/// A repository that the rule's first source pattern covers.
fn sample_repository(rule: &Rule) -> String {
    let pattern = rule.from.as_ref().and_then(|from| from.as_slice().first());
    pattern.map_or_else(
        || "dev/app".to_owned(),
        |pattern| pattern.as_str().replace("**", "app").replace('*', "app"),
    )
}

/// Puts `value` at a path such as `images.0.scan.state`.
fn put(facts: &mut Json, path: &str, value: Json) -> Result<(), String> {
    let mut at = facts;
    for part in path.split('.') {
        at = match (part.parse::<usize>(), at) {
            (_, at @ Json::Null) | (Err(_), at @ Json::Object(_)) => {
                if at.is_null() {
                    *at = json!({});
                }
                at.as_object_mut()
                    .map(|object| object.entry(part).or_insert(Json::Null))
                    .ok_or_else(|| format!("`{path}`: nothing can be below `{part}`"))?
            }
            (Ok(index), Json::Array(items)) => {
                let length = items.len();
                items.get_mut(index).ok_or_else(|| {
                    format!("`{path}`: there is no element {index}, only {length}")
                })?
            }
            _ => return Err(format!("`{path}`: nothing can be below `{part}`")),
        };
    }
    let last = path.rsplit('.').next().unwrap_or_default();
    if let (Json::Object(_), Json::Object(_), false) = (&*at, &value, MAPS.contains(&last)) {
        merge(at, value);
    } else {
        *at = value;
    }
    Ok(())
}

fn merge(into: &mut Json, from: Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (key, value) in from {
                if MAPS.contains(&key.as_str()) {
                    into.insert(key, value);
                } else {
                    merge(into.entry(key).or_insert(Json::Null), value);
                }
            }
        }
        // Elements by their number, as `images.0.role` gives them.
        (Json::Array(items), Json::Object(from)) if numbers_within(&from, items.len()) => {
            for (key, value) in from {
                let item = key
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get_mut(index));
                if let Some(item) = item {
                    merge(item, value);
                }
            }
        }
        (into, from) => *into = from,
    }
}

fn numbers_within(object: &Map<String, Json>, length: usize) -> bool {
    !object.is_empty()
        && object
            .keys()
            .all(|key| key.parse().is_ok_and(|index: usize| index < length))
}

fn objects<'a>(facts: &'a mut Json, list: &str) -> impl Iterator<Item = &'a mut Map<String, Json>> {
    facts
        .get_mut(list)
        .and_then(Json::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Json::as_object_mut)
}

/// What an image does not say is as on a clean one; each has a digest of its own.
fn complete_images(facts: &mut Json, clean: &Json) {
    for (index, image) in objects(facts, "images").enumerate() {
        let mut whole = clean.clone();
        if index > 0 {
            whole["digest"] = json!(format!("sha256:{index:064x}"));
        }
        let not_scanned = image
            .get("scan")
            .and_then(|scan| scan.get("state"))
            .is_some_and(|state| state == "missing");
        if not_scanned {
            whole["scan"] = json!({});
        }
        merge(&mut whole, Json::Object(std::mem::take(image)));
        if let Json::Object(whole) = whole {
            *image = whole;
        }
    }
}

/// Times may be given as `-72h`, counted from `now`; ages give times.
fn resolve_times(facts: &mut Json, now: Timestamp) -> Result<(), String> {
    match facts {
        Json::Object(object) => {
            // Only scans have a state; everything else with an age is a finding.
            let seen = if object.contains_key("state") {
                "scanned_at"
            } else {
                "first_seen"
            };
            for (age, time) in [("age", seen), ("db_age", "db_updated_at")] {
                let text = match object.get(age) {
                    None | Some(Json::Null) => continue,
                    Some(Json::String(text)) => text,
                    Some(other) => {
                        return Err(format!(
                            "`{age}` must be a duration such as `4h` or `3d`, not `{other}`"
                        ));
                    }
                };
                let delta = parse_duration(text).map_err(|error| format!("`{age}`: {error}"))?;
                let at = now.saturating_add(-delta).to_string();
                object.insert(time.to_owned(), json!(at));
            }
            for (key, value) in object.iter_mut() {
                let is_time = key.ends_with("_at") || matches!(key.as_str(), "at" | "first_seen");
                match value {
                    _ if MAPS.contains(&key.as_str()) => {}
                    Json::String(text) if is_time && text.starts_with('-') => {
                        let written = text.trim_start_matches('-');
                        let delta =
                            parse_duration(written).map_err(|error| format!("`{key}`: {error}"))?;
                        *value = json!(now.saturating_add(-delta).to_string());
                    }
                    inner => resolve_times(inner, now)?,
                }
            }
            Ok(())
        }
        Json::Array(items) => items
            .iter_mut()
            .try_for_each(|item| resolve_times(item, now)),
        _ => Ok(()),
    }
}

/// Findings are listed twice, for all images and for each: either list gives the other.
fn share_findings(facts: &mut Json, given: &Json) {
    let now = facts["now"].clone();
    let first_image = facts["images"][0]["digest"].clone();
    for list in ["vulnerabilities", "overridden"] {
        for finding in objects(facts, list) {
            finding
                .entry("image")
                .or_insert_with(|| first_image.clone());
            finding.entry("first_seen").or_insert_with(|| now.clone());
        }
    }
    let all = facts["vulnerabilities"].clone();
    let all_given = given.get("vulnerabilities").is_some();
    let mut collected = Vec::new();
    for image in objects(facts, "images") {
        let digest = image.get("digest").cloned().unwrap_or_default();
        let component = image.get("component").cloned().unwrap_or(json!(""));
        if all_given && !image.contains_key("vulnerabilities") {
            let own = all.as_array().into_iter().flatten();
            let own: Vec<Json> = own
                .filter(|finding| finding["image"] == digest)
                .cloned()
                .collect();
            image.insert("vulnerabilities".to_owned(), Json::Array(own));
        }
        let findings = image
            .get_mut("vulnerabilities")
            .and_then(Json::as_array_mut);
        for finding in findings.into_iter().flatten() {
            if let Some(finding) = finding.as_object_mut() {
                finding.entry("image").or_insert_with(|| digest.clone());
                finding
                    .entry("component")
                    .or_insert_with(|| component.clone());
                finding.entry("first_seen").or_insert_with(|| now.clone());
            }
            collected.push(finding.clone());
        }
    }
    if !all_given {
        facts["vulnerabilities"] = Json::Array(collected);
    }
}

/// Counts that are not given are those of the findings.
fn count_findings(facts: &mut Json, given: &Json) {
    for image in objects(facts, "images") {
        let findings = image.get("vulnerabilities").cloned().unwrap_or_default();
        let scan = image.entry("scan").or_insert_with(|| json!({}));
        count_into(scan, &findings, 0);
    }
    let findings = facts["vulnerabilities"].clone();
    let overridden = facts["overridden"].as_array().map_or(0, Vec::len);
    let mut times: Vec<String> = Vec::new();
    for image in objects(facts, "images") {
        let at = image.get("scan").and_then(|scan| scan.get("scanned_at"));
        times.extend(at.and_then(Json::as_str).map(str::to_owned));
    }
    times.sort();
    let Some(scan) = facts.get_mut("scan").filter(|scan| scan.is_object()) else {
        return;
    };
    count_into(scan, &findings, overridden);
    let score = |finding: &Json| finding["score"].as_f64().unwrap_or_default();
    let scores = findings.as_array().into_iter().flatten().map(score);
    let defaults = [
        ("oldest", times.first().map(|time| json!(time))),
        ("newest", times.last().map(|time| json!(time))),
        ("max_score", Some(json!(scores.fold(0.0, f64::max)))),
    ];
    for (field, value) in defaults {
        let is_given = given
            .get("scan")
            .is_some_and(|scan| scan.get(field).is_some());
        if let (Some(value), false) = (value, is_given) {
            scan[field] = value;
        }
    }
}

fn count_into(scan: &mut Json, findings: &Json, overridden: usize) {
    let Some(scan) = scan.as_object_mut() else {
        return;
    };
    let findings = || findings.as_array().into_iter().flatten();
    let severity = |finding: &Json| {
        let word = finding["severity"]
            .as_str()
            .unwrap_or("unknown")
            .to_lowercase();
        if SEVERITIES.contains(&word.as_str()) {
            word
        } else {
            "unknown".to_owned()
        }
    };
    for name in SEVERITIES {
        let count = findings()
            .filter(|finding| severity(finding) == name)
            .count();
        scan.entry(name).or_insert_with(|| json!(count));
    }
    let total: i64 = SEVERITIES
        .iter()
        .filter_map(|name| scan.get(*name).and_then(Json::as_i64))
        .sum();
    let fixable = findings()
        .filter(|finding| {
            finding["fixed_version"]
                .as_str()
                .is_some_and(|fix| !fix.is_empty())
        })
        .count();
    scan.entry("total").or_insert_with(|| json!(total));
    scan.entry("fixable").or_insert_with(|| json!(fixable));
    scan.entry("overridden")
        .or_insert_with(|| json!(overridden));
}

/// The target that the rule names for these facts.
fn complete_target(facts: &mut Json, given: &Json, rule: &Rule, now: Timestamp) {
    let (repository, tag) = rendered_target(facts, rule, now);
    let exists = given
        .get("target")
        .is_some_and(|target| target.get("digest").is_some());
    if let Some(target) = facts.get_mut("target").and_then(Json::as_object_mut) {
        target
            .entry("repository")
            .or_insert_with(|| json!(repository));
        target.entry("tag").or_insert_with(|| json!(tag));
        target.entry("exists").or_insert_with(|| json!(exists));
    }
}

fn rendered_target(facts: &Json, rule: &Rule, now: Timestamp) -> (String, String) {
    let text = |variable: &str, field: &str| facts[variable][field].as_str().unwrap_or("");
    let source = full_name(facts);
    let captures = rule.captures(&source).unwrap_or_default();
    let input = TemplateInput {
        tag: text("tag", "name"),
        digest: text("artifact", "digest"),
        repository: &source,
        captures: &captures,
        time: now.datetime(),
    };
    let repository = match &rule.to {
        RuleTarget::Repository(template) => template.render(&input),
        RuleTarget::Matching(patterns) => patterns
            .as_slice()
            .first()
            .map_or_else(String::new, |pattern| {
                pattern.as_str().replace("**", "app").replace('*', "app")
            }),
        RuleTarget::Any => "prod/app".to_owned(),
    };
    (repository, rule.tag.render(&input))
}

/// The source repository with its registry, as patterns see it.
pub fn full_name(facts: &Json) -> String {
    let text = |field: &str| facts["repository"][field].as_str().unwrap_or("");
    match text("registry") {
        "" => text("name").to_owned(),
        registry => format!("{registry}/{}", text("name")),
    }
}
