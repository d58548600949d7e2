//! An explanation as people read it: why a tag is or is not promoted, and what it would take.

mod values;

use std::fmt::Write as _;

use serde_json::Value;

use self::values::values;
use super::why::{short, text, trouble};

/// An explanation as people read it.
#[must_use]
pub fn explanation(one: &Value) -> String {
    let mut page = String::new();
    let mut say = |line: String| {
        page.push_str(&line);
        page.push('\n');
    };
    heading(one, &mut say);
    decision(one, &mut say);
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

/// Where the verdict was decided; and of a promotion, which stays decided, whether it would be
/// decided otherwise since.
fn decision(one: &Value, say: &mut impl FnMut(String)) {
    let Some(decided) = one["decided"].as_u64().filter(|decided| *decided > 0) else {
        return;
    };
    say(format!("  {:<16} at record {decided}", "decided"));
    // That what was promoted is there by now is no objection to it.
    let objects =
        |stage: &Value| each(&stage["reasons"]).any(|reason| reason["code"] != "already-there");
    if one["verdict"] == "promote" && each(&one["stages"]).any(objects) {
        say(format!(
            "  {:<16} it would not pass any more, as what follows tells; what the decision saw: `weir why {} --at {decided}`",
            "since then",
            text(&one["source"])
        ));
    }
}

/// The images that have to be scanned, and the contents that have not.
fn images(one: &Value, say: &mut impl FnMut(String)) {
    for image in each(&one["images"]) {
        say(image_line(image));
    }
    for left in each(&one["left_out"]) {
        say(left_out_line(left));
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

/// The values of deny rules that are met, and what their headers say: of use where a deny is what
/// stands in the way.
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
        for name in ["message", "about", "owner", "link"] {
            if let Some(told) = deny[name].as_str() {
                say(format!("    {name:<14} {told}"));
            }
        }
        values(&deny["expression"], 2, say);
    }
}

/// The values of the rule's own expression: of use where it is what stands in the way, and where
/// it is what something was promoted for.
fn values_of_rule(one: &Value, say: &mut impl FnMut(String)) {
    let is_own = |reason: &Value| reason["deny_rule"].is_null();
    let objects = |stage: &Value| stage["stage"] == "rule" && each(&stage["reasons"]).any(is_own);
    if !one["expression"].is_null()
        && (one["verdict"] == "promote" || each(&one["stages"]).any(objects))
    {
        say("  values".to_owned());
        values(&one["expression"], 2, say);
    }
    if one["verdict"] != "promote" && each(&one["stages"]).any(counts) {
        gravest(one, say);
    }
}

/// Whether a stage objects by what an expression says: it may be for what was found.
fn counts(stage: &Value) -> bool {
    stage["stage"] == "rule" && each(&stage["reasons"]).next().is_some()
}

/// The findings that count, the gravest first, each with where it is.
fn gravest(one: &Value, say: &mut impl FnMut(String)) {
    let told: Vec<&Value> = each(&one["gravest"]).collect();
    if told.is_empty() {
        return;
    }
    say("  findings that count".to_owned());
    for finding in &told {
        let mut line = format!(
            "    {:<10} {}",
            text(&finding["severity"]),
            text(&finding["id"])
        );
        for (before, name) in [
            (" ", "package"),
            ("@", "version"),
            ("  fixed in ", "fixed_version"),
        ] {
            if let Some(text) = finding[name].as_str() {
                let _ = write!(line, "{before}{text}");
            }
        }
        if each(&one["images"]).nth(1).is_some() {
            let component = finding["component"].as_str().map(str::to_owned);
            let image = component.unwrap_or_else(|| short(text(&finding["image"])));
            let _ = write!(line, "  in {image}");
        }
        say(line);
    }
    let all = one["counted"].as_u64().unwrap_or_default();
    let more = all.saturating_sub(told.len() as u64);
    if more > 0 {
        say(format!(
            "    and {more} more: `weir eval --at {} vulnerabilities`",
            text(&one["source"])
        ));
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
            match (text(&open["progress"]), &*trouble(open)) {
                ("failed", error) => format!(
                    "was given up: {error}; once that is mended, `weir retry {id} --confirm` tries again"
                ),
                (_, waits) if open["waits_for"].is_string() =>
                    format!("is decided and waits: {waits}"),
                ("decided", _) => "is decided; the copy has not begun".to_owned(),
                (_, "") => "is being copied".to_owned(),
                (_, error) => format!("could not be copied and is tried again: {error}"),
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

/// Something that has not to be scanned, and why.
pub(super) fn left_out_line(left: &Value) -> String {
    format!(
        "    {:<20} {:<12} not scanned: {}",
        "",
        short(text(&left["digest"])),
        text(&left["why"])
    )
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
    if image["scan"] == "completed" && !counts.is_empty() {
        let _ = write!(line, "  ({} before overrides)", findings(&counts));
    }
    line
}

/// Counts by severity, the worst first. The two least are told only where there are such.
fn findings(counts: &[u64]) -> String {
    const SEVERITIES: [&str; 6] = ["critical", "high", "medium", "low", "negligible", "unknown"];
    const ALWAYS: usize = 4;
    let told = SEVERITIES.iter().zip(counts).enumerate();
    let told = told.filter(|(place, (_, count))| *place < ALWAYS || **count > 0);
    let told: Vec<String> = told
        .map(|(_, (severity, count))| format!("{count} {severity}"))
        .collect();
    told.join(", ")
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(more: &Value) -> Vec<String> {
        let mut one = json!({
            "source": "dev/web:1", "target": "prod/web:1", "rule": "go", "verdict": "promote",
            "decided": 5, "class": "image", "digest": "sha256:12",
            "expression": {"text": "scan.high == 0", "value": false, "parts": [{"text": "scan.high", "value": 1}]},
        });
        let fields = one.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        explanation(&one).lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_objects_since_is_told_apart_from_the_decision() {
        let objects = json!({"stages": [
            {"stage": "rule", "reasons": [{"code": "clause-false", "clause": "scan.high == 0"}]},
        ]});
        assert_eq!(
            told(&objects)[2..],
            [
                "  decided          at record 5",
                "  since then       it would not pass any more, as what follows tells; what the decision saw: `weir why dev/web:1 --at 5`",
                "  rule             clause-false  scan.high == 0",
                "  values",
                "    scan.high == 0 = false",
                "      scan.high = 1",
                "",
            ]
        );
    }

    #[test]
    fn what_is_promoted_shows_the_values_that_it_was_promoted_for() {
        let passes = json!({
            "stages": [
                {"stage": "rule", "reasons": []},
                {"stage": "target", "reasons": [{"code": "already-there"}]},
            ],
            "expression": {"text": "scan.high == 0", "value": true},
        });
        assert_eq!(
            told(&passes)[2..],
            [
                "  decided          at record 5",
                "  rule             ok",
                "  target           already-there",
                "  values",
                "    scan.high == 0 = true",
                "",
            ]
        );
    }

    #[test]
    fn a_deny_rule_that_is_met_is_told_with_its_header() {
        let told = told(&json!({"verdict": "block", "denies": [
            {"rule": "no-root", "denies": true, "owner": "sec", "link": "https://wiki/x", "about": "No root.",
                "message": "runs as root", "expression": {"text": "true", "value": true}},
            {"rule": "quiet", "denies": false, "owner": "ops", "expression": {"text": "false", "value": false}},
        ]}));
        assert_eq!(
            told[3..],
            [
                "  values of the deny rule no-root",
                "    message        runs as root",
                "    about          No root.",
                "    owner          sec",
                "    link           https://wiki/x",
                "    true = true",
                "",
            ]
        );
    }

    #[test]
    fn the_gravest_findings_are_told_where_the_rule_objects() {
        let finding = |id: &str, component: &str| {
            json!({"id": id, "severity": "CRITICAL", "package": "openssl", "version": "3.0.1",
                "fixed_version": "3.0.2", "image": "sha256:34", "component": component})
        };
        let one = |verdict: &str| {
            told(&json!({
                "verdict": verdict,
                "images": [{"digest": "sha256:34", "component": "api"}, {"digest": "sha256:56", "component": "web"}],
                "stages": [{"stage": "rule", "reasons": [{"code": "clause-false", "clause": "scan.high == 0"}]}],
                "gravest": [finding("CVE-1", "api"), {"id": "CVE-2", "severity": "LOW", "image": "sha256:56"}],
                "counted": 7,
            }))
        };
        let told = one("block");
        let begins = told.iter().position(|line| line == "  findings that count");
        assert_eq!(
            told[begins.expect("they are told") + 1..],
            [
                "    CRITICAL   CVE-1 openssl@3.0.1  fixed in 3.0.2  in api",
                "    LOW        CVE-2  in 56",
                "    and 5 more: `weir eval --at dev/web:1 vulnerabilities`",
                "",
            ]
        );
        assert!(!one("promote").contains(&"  findings that count".to_owned()));
    }

    #[test]
    fn findings_are_those_before_overrides_and_none_is_left_out() {
        let check = |counts: &[u64], expected: &str| {
            let image = json!({"role": "self", "digest": "sha256:12", "scan": "completed", "findings": counts});
            assert!(
                image_line(&image).ends_with(expected),
                "{}",
                image_line(&image)
            );
        };
        check(
            &[1, 0, 0, 0, 0, 0],
            "(1 critical, 0 high, 0 medium, 0 low before overrides)",
        );
        check(
            &[0, 0, 0, 0, 2, 5],
            "(0 critical, 0 high, 0 medium, 0 low, 2 negligible, 5 unknown before overrides)",
        );
    }
}
