//! An explanation as people read it: why a tag is or is not promoted, and what it would take.

use std::fmt::Write as _;

use serde_json::Value;

use super::why::{short, text};

/// An explanation as people read it.
#[must_use]
pub fn explanation(one: &Value) -> String {
    let mut page = String::new();
    let mut say = |line: String| {
        page.push_str(&line);
        page.push('\n');
    };
    heading(one, &mut say);
    images(one, &mut say);
    stages(one, &mut say);
    values_of_denies(one, &mut say);
    values_of_rule(one, &mut say);
    people(one, &mut say);
    copies(one, &mut say);
    needs(one, &mut say);
    page.push('\n');
    page
}

/// What would be promoted where, under which rule, and the verdict.
fn heading(one: &Value, say: &mut impl FnMut(String)) {
    say(format!(
        "{} -> {}   rule {}   {}",
        text(&one["source"]),
        text(&one["target"]),
        text(&one["rule"]),
        text(&one["verdict"])
    ));
    say(format!(
        "  {} {}",
        text(&one["class"]),
        text(&one["digest"])
    ));
    for name in ["about", "owner", "link"] {
        if let Some(told) = one[name].as_str() {
            say(format!("  {name:<16} {told}"));
        }
    }
    if one["severity"] == "warn" {
        say("  advice only: the rule has `severity: warn`, and promotes nothing".to_owned());
    }
}

/// The images that have to be scanned, and the contents that have not.
fn images(one: &Value, say: &mut impl FnMut(String)) {
    for image in each(&one["images"]) {
        say(image_line(image));
    }
    for left in each(&one["left_out"]) {
        say(format!(
            "    {:<20} {:<12} not scanned: {}",
            "",
            short(text(&left["digest"])),
            text(&left["why"])
        ));
    }
}

/// What each stage of the judgement says.
fn stages(one: &Value, say: &mut impl FnMut(String)) {
    // What is not scanned yet may be found in it yet.
    let scanned = each(&one["images"]).all(|image| image["scan"] == "completed");
    for stage in each(&one["stages"]) {
        let name = text(&stage["stage"]);
        let mut reasons = each(&stage["reasons"]).peekable();
        if reasons.peek().is_none() {
            let so_far = match name {
                "rule" if !scanned => " as far as is scanned",
                _ => "",
            };
            say(format!("  {name:<16} ok{so_far}"));
        }
        for reason in reasons {
            say(format!("  {name:<16} {}", reason_line(reason)));
        }
    }
}

/// The values of deny rules that are met: of use where a deny is what stands in the way.
fn values_of_denies(one: &Value, say: &mut impl FnMut(String)) {
    for deny in each(&one["denies"]) {
        let only_warns = match (&deny["denies"], &deny["warns"]) {
            (Value::Bool(true), _) => "",
            (_, Value::Bool(true)) => ", which only warns",
            _ => continue,
        };
        say(format!(
            "  values of the deny rule {}{only_warns}",
            text(&deny["rule"])
        ));
        values(&deny["expression"], 2, say);
    }
}

/// The values of the rule's own expression: of use where it is what stands in the way.
fn values_of_rule(one: &Value, say: &mut impl FnMut(String)) {
    let is_own = |reason: &Value| reason["deny_rule"].is_null();
    let objects = |stage: &Value| stage["stage"] == "rule" && each(&stage["reasons"]).any(is_own);
    if one["verdict"] != "promote"
        && !one["expression"].is_null()
        && each(&one["stages"]).any(objects)
    {
        say("  values".to_owned());
        values(&one["expression"], 2, say);
    }
}

/// What people said that counts, or does not.
fn people(one: &Value, say: &mut impl FnMut(String)) {
    let overrides: Vec<&str> = each(&one["overrides"]).filter_map(Value::as_str).collect();
    if !overrides.is_empty() {
        say(format!(
            "  {:<16} {}",
            "overridden by",
            overrides.join(", ")
        ));
    }
    for vote in each(&one["uncounted"]) {
        say(format!(
            "  {:<16} that of {}, who is the {}",
            "vote not counted",
            text(&vote["actor"]),
            match text(&vote["why"]) {
                "rule-owner" => "rule's owner",
                other => other,
            }
        ));
    }
}

/// How far the copies are that were decided.
fn copies(one: &Value, say: &mut impl FnMut(String)) {
    for open in each(&one["promotions"]) {
        let id = text(&open["promotion_id"]);
        say(format!(
            "  {:<16} {id} {}",
            "promotion",
            match (text(&open["progress"]), text(&open["error"])) {
                ("decided", _) => match text(&open["waits_for"]) {
                    "" => "is decided; the copy has not begun".to_owned(),
                    lacking => format!("is decided and waits: {lacking}"),
                },
                ("started", "") => "is being copied".to_owned(),
                ("started", error) => format!("is being copied again: {error}"),
                (_, error) => format!("was given up: {error}; try again with `weir retry {id}`"),
            }
        ));
    }
}

/// What it would take.
fn needs(one: &Value, say: &mut impl FnMut(String)) {
    let mut needs = each(&one["needs"]).peekable();
    if needs.peek().is_some() && one["verdict"] != "promote" {
        say("  it would pass with".to_owned());
        for need in needs {
            say(format!("    - {}", text(need)));
        }
    }
}

/// The elements of a list; none of what is no list.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// An image, with how its scan stands.
pub(super) fn image_line(image: &Value) -> String {
    let platform = &image["platform"];
    let platform = if platform.is_object() {
        format!(
            "{}/{}",
            text(&platform["os"]),
            text(&platform["architecture"])
        )
    } else {
        String::new()
    };
    let name = image["component"]
        .as_str()
        .unwrap_or_else(|| text(&image["role"]));
    let mut line = format!(
        "    {:<20} {:<12} {:<14} scan {}",
        name,
        short(text(&image["digest"])),
        platform,
        text(&image["scan"])
    );
    let counts: Vec<u64> = each(&image["findings"]).filter_map(Value::as_u64).collect();
    if let [critical, high, medium, low, ..] = counts[..]
        && image["scan"] == "completed"
    {
        let _ = write!(
            line,
            "  ({critical} critical, {high} high, {medium} medium, {low} low)"
        );
    }
    line
}

/// A reason on one line.
pub(super) fn reason_line(reason: &Value) -> String {
    let mut line = text(&reason["code"]).to_owned();
    for key in [
        "component",
        "clause",
        "deny_rule",
        "hold_id",
        "message",
        "until",
    ] {
        if let Some(value) = reason[key].as_str() {
            let _ = write!(line, "  {value}");
        }
    }
    if let Some(digest) = reason["digest"].as_str() {
        let _ = write!(line, "  {}", short(digest));
    }
    if let (Some(have), Some(need)) = (reason["have"].as_u64(), reason["need"].as_u64()) {
        let _ = write!(line, "  {have} of {need}");
    }
    line
}

/// The values of an expression's parts, indented by depth, as far as they decided.
fn values(node: &Value, depth: usize, say: &mut impl FnMut(String)) {
    const DEEPEST: usize = 6;
    if depth > DEEPEST {
        return;
    }
    if let Some(source) = node["text"].as_str() {
        let value = match (&node["value"], node["error"].as_str()) {
            (_, Some(error)) => format!("error: {error}"),
            (value, None) => value.to_string(),
        };
        let value: String = value.chars().take(100).collect();
        say(format!("{}{source} = {value}", "  ".repeat(depth)));
    }
    for part in each(&node["parts"]) {
        values(part, depth + 1, say);
    }
    for element in each(&node["elements"]) {
        say(format!(
            "{}{}",
            "  ".repeat(depth + 1),
            element_words(element)
        ));
        values(&element["body"], depth + 2, say);
    }
    if let Some(more) = node["more_elements"].as_u64() {
        say(format!("{}and {more} more", "  ".repeat(depth + 1)));
    }
}

/// An element of a list that decided: by its name in the rule, and what tells it from others.
fn element_words(element: &Value) -> String {
    const TELLING: [&str; 12] = [
        "id",
        "severity",
        "package",
        "version",
        "component",
        "platform",
        "digest",
        "actor",
        "rule",
        "repository",
        "tag",
        "artifact_type",
    ];
    let name = format!("{}[{}]", text(&element["name"]), element["index"]);
    let value = &element["value"];
    let Some(fields) = value.as_object() else {
        return format!("{name} = {value}");
    };
    let told = TELLING.iter().filter_map(|key| fields.get(*key)?.as_str());
    let told: Vec<&str> = told.collect();
    format!("{name}: {}", told.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_elements_that_decided_are_told_by_name() {
        let part = |text: &str| json!({"text": text, "value": false});
        let mut all = part("vulnerabilities.all(v, v.severity != \"HIGH\")");
        all["elements"] = json!([
            {"name": "v", "index": 3, "value": {"id": "CVE-1", "severity": "HIGH", "package": "zlib", "age": "2s"}, "body": part("v.severity != \"HIGH\"")},
            {"name": "t", "index": 0, "value": "x", "body": part("t == \"y\"")},
        ]);
        all["more_elements"] = json!(7);
        let mut lines = Vec::new();
        values(&all, 0, &mut |line| lines.push(line));
        assert_eq!(
            lines,
            [
                "vulnerabilities.all(v, v.severity != \"HIGH\") = false",
                "  v[3]: CVE-1 HIGH zlib",
                "    v.severity != \"HIGH\" = false",
                "  t[0] = \"x\"",
                "    t == \"y\" = false",
                "  and 7 more",
            ]
        );
    }
}
