//! The values that a rule saw, as a tree of its expression's parts.

use serde_json::Value;

use super::{each, text};

/// The parts of a part that stands so deep are not shown: the page is no wider than a terminal.
const DEEPEST: usize = 6;

/// A value is cut to so many characters: more than a line of a terminal is not read.
const LONGEST: usize = 100;

/// What stands where something is left out.
const CUT: &str = "…";

/// The values of an expression's parts, indented by depth, as far as they decided.
pub(super) fn values(node: &Value, depth: usize, say: &mut impl FnMut(String)) {
    if let Some(source) = node["text"].as_str() {
        // An error is told in whole: its end says what to do.
        let value = match (&node["value"], node["error"].as_str()) {
            (_, Some(error)) => format!("error: {error}"),
            (value, None) => cut(&value.to_string()),
        };
        say(format!("{}{source} = {value}", "  ".repeat(depth)));
    }
    let has_more = ["parts", "elements"]
        .iter()
        .any(|below| each(&node[*below]).next().is_some());
    if has_more && depth >= DEEPEST {
        say(format!("{}{CUT}", "  ".repeat(depth + 1)));
        return;
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
    let place = element.get("key").unwrap_or(&element["index"]);
    let name = format!("{}[{place}]", text(&element["name"]));
    let value = &element["value"];
    let Some(fields) = value.as_object() else {
        return format!("{name} = {}", cut(&value.to_string()));
    };
    let told = TELLING.iter().filter_map(|key| fields.get(*key)?.as_str());
    let told: Vec<&str> = told.collect();
    format!("{name}: {}", told.join(" "))
}

/// A value as JSON, or its beginning with a mark of the cut.
fn cut(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}{CUT}", &value[..end]),
        None => value.to_owned(),
    }
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
            {"name": "n", "index": 1, "key": "HIGH", "value": 1, "body": part("n == 0")},
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
                "  n[\"HIGH\"] = 1",
                "    n == 0 = false",
                "  and 7 more",
            ]
        );
    }

    #[test]
    fn what_is_cut_says_so_and_an_error_is_told_in_whole() {
        let long = "x".repeat(2 * LONGEST);
        let mut part = json!({"text": "deepest", "value": 1});
        for depth in (0..=DEEPEST).rev() {
            part =
                json!({"text": format!("d{depth}"), "value": true, "parts": [part.clone(), part]});
        }
        let check = |part: &Value, expected: &[String]| {
            let mut lines = Vec::new();
            values(part, DEEPEST, &mut |line: String| {
                lines.push(line.trim().to_owned())
            });
            assert_eq!(lines, expected);
        };
        check(&part, &["d0 = true".to_owned(), "…".to_owned()]);
        check(
            &json!({"text": "label", "value": long}),
            &[format!("label = \"{}…", &long[..LONGEST - 1])],
        );
        check(
            &json!({"text": "label", "value": "ä".repeat(LONGEST - 2)}),
            &[format!("label = \"{}\"", "ä".repeat(LONGEST - 2))],
        );
        check(
            &json!({"text": "label", "error": format!("{long}; scan it again")}),
            &[format!("label = error: {long}; scan it again")],
        );
        let mut lines = Vec::new();
        values(&part, 0, &mut |line| lines.push(line));
        assert_eq!(
            lines.iter().filter(|line| line.ends_with('…')).count(),
            1 << DEEPEST
        );
    }
}
