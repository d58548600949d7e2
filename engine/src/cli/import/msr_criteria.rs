//! One criterion of a DTR/MSR policy as a clause of CEL, with facts that meet it and fail it.

use super::msr_policy::Criterion;
use serde_json::{Value, json};

/// What one criterion becomes.
#[derive(Debug, PartialEq)]
pub(super) struct Clause {
    /// The CEL text.
    pub text: String,
    /// Whether it reads scans: such a policy waited for them.
    pub reads_scans: bool,
    /// A fact and a value with which the clause is false, if one is easily had.
    pub fails_with: Option<(&'static str, Value)>,
    /// A fact and a value with which it is true, where the test defaults are not enough.
    pub holds_with: Option<(&'static str, Value)>,
    /// What a reader should know about the translation.
    pub note: Option<&'static str>,
}

impl Clause {
    fn new(text: String) -> Self {
        Self {
            text,
            reads_scans: false,
            fails_with: None,
            holds_with: None,
            note: None,
        }
    }
}

const SEVERITY_NOTE: &str = "DTR counts by CVSS score: critical is 7.0 and more, major 4.0 to 6.9, minor below. \
     Here that is critical and high, medium, low and negligible, as the scanner says; findings without a severity do not count";

const ALL: &str = "scan.critical + scan.high + scan.medium + scan.low + scan.negligible";

/// The clause for `criterion`, or why there is none.
pub(super) fn translate(criterion: &Criterion) -> Result<Clause, String> {
    let operator = criterion.operator.as_str();
    match criterion.field.as_str() {
        "tag" => tag(criterion, operator),
        "license.name" => license(criterion, operator),
        "component.name" => Err(
            "packages without findings are no facts in Weir; use an SBOM check before the push, or deny by \
             `vulnerabilities`"
                .to_owned(),
        ),
        "vulnerability_all" => count(criterion, operator, ALL, "scan.low"),
        "vulnerability_critical" => count(criterion, operator, "scan.critical + scan.high", "scan.critical"),
        "vulnerability_major" => count(criterion, operator, "scan.medium", "scan.medium"),
        "vulnerability_minor" => count(criterion, operator, "scan.low + scan.negligible", "scan.low"),
        "updated_at" => instant(criterion, operator),
        "updated_at_duration" => age(criterion, operator),
        other => Err(format!("the field `{other}` is not one of DTR's")),
    }
}

fn unknown_operator(criterion: &Criterion) -> String {
    format!(
        "`{}` has no operator `{}` in DTR",
        criterion.field, criterion.operator
    )
}

fn only_value(criterion: &Criterion) -> Result<&str, String> {
    match criterion.values.as_slice() {
        [value] => Ok(value),
        values => Err(format!(
            "`{} {}` takes one value and has {}",
            criterion.field,
            criterion.operator,
            values.len()
        )),
    }
}

fn list(criterion: &Criterion) -> Result<String, String> {
    if criterion.values.is_empty() {
        return Err(format!(
            "`{} {}` has no values",
            criterion.field, criterion.operator
        ));
    }
    let quoted: Vec<String> = criterion.values.iter().map(|value| quote(value)).collect();
    Ok(format!("[{}]", quoted.join(", ")))
}

fn tag(criterion: &Criterion, operator: &str) -> Result<Clause, String> {
    let no_match = json!("no-such-tag-0");
    let method = |name: &str| -> Result<String, String> {
        Ok(format!(
            "tag.name.{name}({})",
            quote(only_value(criterion)?)
        ))
    };
    let mut clause = match operator {
        "eq" => Clause::new(format!("tag.name == {}", quote(only_value(criterion)?))),
        "sw" => Clause::new(method("startsWith")?),
        "ew" => Clause::new(method("endsWith")?),
        "c" => Clause::new(method("contains")?),
        "matches" => Clause::new(method("matches")?),
        "oo" => Clause::new(format!("tag.name in {}", list(criterion)?)),
        "noo" => Clause::new(format!("!(tag.name in {})", list(criterion)?)),
        _ => return Err(unknown_operator(criterion)),
    };
    clause.fails_with = match operator {
        "noo" => criterion
            .values
            .first()
            .map(|value| ("tag.name", json!(value))),
        // Whether a pattern matches some name cannot be told without running it.
        "matches" => None,
        _ => Some(("tag.name", no_match)),
    };
    Ok(clause)
}

fn license(criterion: &Criterion, operator: &str) -> Result<Clause, String> {
    let names = list(criterion)?;
    let first = json!([{ "licenses": [criterion.values.first()] }]);
    let none = json!([{ "licenses": ["none-of-these"] }]);
    let mut clause = match operator {
        "oo" => Clause::new(format!(
            "images.exists(i, i.licenses.exists(l, l in {names}))"
        )),
        "noo" => Clause::new(format!("images.all(i, i.licenses.all(l, !(l in {names})))")),
        _ => return Err(unknown_operator(criterion)),
    };
    clause.reads_scans = true;
    if operator == "oo" {
        clause.holds_with = Some(("images", first));
        clause.fails_with = Some(("images", none));
    } else {
        clause.fails_with = Some(("images", first));
    }
    clause.note = Some("licences are those that the scanner reports, by its spelling");
    Ok(clause)
}

fn count(
    criterion: &Criterion,
    operator: &str,
    sum: &str,
    fact: &'static str,
) -> Result<Clause, String> {
    let written = only_value(criterion)?;
    let number: i64 = written
        .trim()
        .parse()
        .ok()
        .filter(|number| (0..i64::MAX).contains(number))
        .ok_or_else(|| format!("`{written}` is no number of vulnerabilities"))?;
    let (symbol, holds, fails) = match operator {
        "gte" => (">=", number, number - 1),
        "gt" => (">", number + 1, number),
        "eq" => ("==", number, number + 1),
        "neq" => ("!=", number + 1, number),
        "lte" => ("<=", number, number + 1),
        "lt" => ("<", number - 1, number),
        _ => return Err(unknown_operator(criterion)),
    };
    let mut clause = Clause::new(format!("{sum} {symbol} {number}"));
    clause.reads_scans = true;
    // A clause that nothing meets, or nothing fails, is written as it is; the checker says so.
    clause.holds_with = (holds > 0).then(|| (fact, json!(holds)));
    clause.fails_with = (fails >= 0).then(|| (fact, json!(fails)));
    clause.note = Some(SEVERITY_NOTE);
    Ok(clause)
}

fn instant(criterion: &Criterion, operator: &str) -> Result<Clause, String> {
    let written = only_value(criterion)?;
    let time = chrono::DateTime::parse_from_rfc3339(written)
        .map_err(|_| format!("`{written}` is no RFC 3339 time"))?
        .to_utc();
    let text = time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let day = chrono::TimeDelta::days(1);
    let around = |later: bool| {
        let moved = if later { time + day } else { time - day };
        json!(moved.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    };
    let (symbol, holds_later) = match operator {
        "bf" => ("<", false),
        "af" => (">", true),
        _ => return Err(unknown_operator(criterion)),
    };
    let mut clause = Clause::new(format!("tag.pushed_at {symbol} timestamp(\"{text}\")"));
    clause.holds_with = Some(("tag.pushed_at", around(holds_later)));
    clause.fails_with = Some(("tag.pushed_at", around(!holds_later)));
    clause.note = Some(PUSHED_AT_NOTE);
    Ok(clause)
}

const PUSHED_AT_NOTE: &str = "DTR's time moves with every push of the tag, ours when the tag comes to point at another digest";

/// The time at which tests are judged when they do not say.
const TEST_NOW: &str = "2026-01-15T12:00:00Z";

fn age(criterion: &Criterion, operator: &str) -> Result<Clause, String> {
    let written = only_value(criterion)?;
    let limit = weir_rules::rule::parse_duration(written).map_err(|error| error.to_string())?;
    if written.contains('d') {
        return Err(format!("`{written}` is no duration of Go"));
    }
    let (symbol, holds_older) = match operator {
        "bf" => (">", true),
        "af" => ("<", false),
        _ => return Err(unknown_operator(criterion)),
    };
    let now: Option<chrono::DateTime<chrono::Utc>> = TEST_NOW.parse().ok();
    let pushed = |older: bool| {
        let by = if older {
            limit + chrono::TimeDelta::hours(1)
        } else {
            limit / 2
        };
        now.and_then(|now| now.checked_sub_signed(by))
            .map(|time| json!(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)))
    };
    let mut clause = Clause::new(format!(
        "now - tag.pushed_at {symbol} duration({})",
        quote(written)
    ));
    clause.holds_with = pushed(holds_older).map(|time| ("tag.pushed_at", time));
    clause.fails_with = pushed(!holds_older).map(|time| ("tag.pushed_at", time));
    clause.note = Some(PUSHED_AT_NOTE);
    Ok(clause)
}

/// A tag that meets every tag criterion, if putting the values together gives one.
pub(super) fn sample_tag(criteria: &[Criterion]) -> Option<String> {
    let of_tag = || criteria.iter().filter(|criterion| criterion.field == "tag");
    let values = |operator: &'static str| {
        of_tag()
            .filter(move |criterion| criterion.operator == operator)
            .filter_map(|criterion| criterion.values.first().cloned())
    };
    let exact = values("eq").chain(values("oo")).next();
    let assembled: String = values("sw")
        .take(1)
        .chain(values("c"))
        .chain(values("ew").take(1))
        .collect();
    // A tag begins with a letter or a digit, and is not empty.
    let needs_start = !assembled.starts_with(|first: char| first.is_ascii_alphanumeric());
    let start = if needs_start && values("sw").next().is_none() {
        "1.0.0"
    } else {
        ""
    };
    let plain = format!("{start}{assembled}");
    let candidate = exact.unwrap_or(plain);
    of_tag()
        .all(|criterion| meets(criterion, &candidate))
        .then_some(candidate)
}

fn meets(criterion: &Criterion, tag: &str) -> bool {
    let any = |test: &dyn Fn(&str) -> bool| criterion.values.iter().any(|value| test(value));
    match criterion.operator.as_str() {
        "eq" | "oo" => any(&|value| tag == value),
        "noo" => !any(&|value| tag == value),
        "sw" => any(&|value| tag.starts_with(value)),
        "ew" => any(&|value| tag.ends_with(value)),
        "c" => any(&|value| tag.contains(value)),
        _ => false,
    }
}

/// `text` as a literal of CEL.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{Criterion, sample_tag, translate};

    fn criterion(field: &str, operator: &str, values: &[&str]) -> Criterion {
        Criterion {
            field: field.to_owned(),
            operator: operator.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn every_field_and_operator_of_dtr_becomes_a_clause() {
        for (field, operator, values, expected) in [
            ("tag", "eq", &["a\"b"][..], r#"tag.name == "a\"b""#),
            ("tag", "sw", &["v"], r#"tag.name.startsWith("v")"#),
            ("tag", "ew", &["-stable"], r#"tag.name.endsWith("-stable")"#),
            ("tag", "c", &["rc"], r#"tag.name.contains("rc")"#),
            ("tag", "oo", &["a", "b"], r#"tag.name in ["a", "b"]"#),
            (
                "tag",
                "noo",
                &["latest", "edge"],
                r#"!(tag.name in ["latest", "edge"])"#,
            ),
            (
                "tag",
                "matches",
                &["^v\\d+"],
                r#"tag.name.matches("^v\\d+")"#,
            ),
            (
                "license.name",
                "noo",
                &["GPL-3.0"],
                r#"images.all(i, i.licenses.all(l, !(l in ["GPL-3.0"])))"#,
            ),
            (
                "license.name",
                "oo",
                &["MIT"],
                r#"images.exists(i, i.licenses.exists(l, l in ["MIT"]))"#,
            ),
            (
                "vulnerability_critical",
                "lte",
                &["0"],
                "scan.critical + scan.high <= 0",
            ),
            ("vulnerability_major", "lt", &["5"], "scan.medium < 5"),
            (
                "vulnerability_minor",
                "gte",
                &["1"],
                "scan.low + scan.negligible >= 1",
            ),
            (
                "vulnerability_all",
                "eq",
                &["0"],
                "scan.critical + scan.high + scan.medium + scan.low + scan.negligible == 0",
            ),
            (
                "vulnerability_all",
                "neq",
                &["3"],
                "scan.critical + scan.high + scan.medium + scan.low + scan.negligible != 3",
            ),
            ("vulnerability_major", "gt", &["2"], "scan.medium > 2"),
            (
                "updated_at",
                "bf",
                &["2019-05-15T19:39:40+02:00"],
                r#"tag.pushed_at < timestamp("2019-05-15T17:39:40Z")"#,
            ),
            (
                "updated_at",
                "af",
                &["2019-05-15T19:39:40Z"],
                r#"tag.pushed_at > timestamp("2019-05-15T19:39:40Z")"#,
            ),
            (
                "updated_at_duration",
                "bf",
                &["72h"],
                r#"now - tag.pushed_at > duration("72h")"#,
            ),
            (
                "updated_at_duration",
                "af",
                &["1h30m"],
                r#"now - tag.pushed_at < duration("1h30m")"#,
            ),
        ] {
            let clause = translate(&criterion(field, operator, values)).unwrap();
            assert_eq!(clause.text, expected);
        }
    }

    #[test]
    fn what_has_no_equal_says_why() {
        for (field, operator, values, expected) in [
            (
                "component.name",
                "oo",
                &["openssl"][..],
                "packages without findings",
            ),
            ("tag", "like", &["x"], "no operator `like`"),
            ("tag", "sw", &["a", "b"], "takes one value and has 2"),
            ("tag", "oo", &[], "has no values"),
            ("vulnerability_all", "lte", &["-1"], "no number"),
            ("vulnerability_all", "oo", &["1"], "no operator `oo`"),
            ("updated_at", "bf", &["yesterday"], "no RFC 3339 time"),
            ("updated_at_duration", "bf", &["3 days"], "no duration"),
            ("severity", "eq", &["x"], "not one of DTR's"),
        ] {
            let reason = translate(&criterion(field, operator, values)).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn a_tag_is_put_together_from_the_criteria() {
        let tag = |criteria: &[Criterion]| sample_tag(criteria);
        assert_eq!(tag(&[]).as_deref(), Some("1.0.0"));
        assert_eq!(
            tag(&[criterion("tag", "ew", &["-rc"])]).as_deref(),
            Some("1.0.0-rc")
        );
        assert_eq!(
            tag(&[
                criterion("tag", "sw", &["v"]),
                criterion("tag", "ew", &["-rc"])
            ])
            .as_deref(),
            Some("v-rc")
        );
        assert_eq!(
            tag(&[
                criterion("tag", "oo", &["a"]),
                criterion("tag", "noo", &["a"])
            ]),
            None
        );
        assert_eq!(tag(&[criterion("tag", "matches", &["x"])]), None);
    }
}
