//! What tables and pages say of a report.

use weir_schema::{Reason, Verdict};

use super::report::{Change, Difference, Outcome, Report};

/// What was folded, on one line.
#[must_use]
pub fn history(report: &Report) -> String {
    let history = &report.history;
    let mut line = format!("{} events", history.events);
    if let (Some(first), Some(last)) = (history.first, history.last) {
        line.push_str(&format!(" from {} to {}", first.at, last.at));
    }
    for (count, what) in [
        (history.rejected, "lines rejected"),
        (history.outcomes, "outcomes of own promotions set aside"),
        (history.echoes, "notifications of own copies set aside"),
    ] {
        if count > 0 {
            line.push_str(&format!("; {count} {what}"));
        }
    }
    match (report.since, report.until) {
        (None, None) => {}
        (Some(since), None) => line.push_str(&format!("; counted from {since} on")),
        (None, Some(until)) => line.push_str(&format!("; counted before {until}")),
        (Some(since), Some(until)) => {
            line.push_str(&format!("; counted from {since} until {until}"));
        }
    }
    line
}

/// Which repositories are compared, on one line; nothing if it is all of them.
#[must_use]
pub fn compared(report: &Report) -> Option<String> {
    Some(match report.narrowed_to()? {
        [] => "no rule is different: nothing is compared".to_owned(),
        some => format!("compared where that matters: {}", some.join(", ")),
    })
}

/// How a rule is not the same.
#[must_use]
pub fn change(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    }
}

/// Where something was to go, as `repository:tag`: under the old rules and then under the new ones,
/// where these are two.
#[must_use]
pub fn targets(difference: &Difference) -> Vec<String> {
    let sides = [&difference.old, &difference.new].into_iter();
    let mut targets: Vec<String> = sides
        .filter_map(|side| {
            let promoted = side.promoted.as_ref().map(|promoted| &promoted.target);
            let target = promoted.or(side.decided.as_ref().map(|decided| &decided.target))?;
            Some(format!("{}:{}", target.repository, target.tag))
        })
        .collect();
    targets.dedup();
    targets
}

/// What a side came to: what the values that it saw belong to, and apart from that, what came of
/// it at another time, which those values say nothing of.
#[must_use]
pub fn came_to(outcome: &Outcome) -> (String, Option<String>) {
    let rule = outcome.rule.as_ref();
    let rule = rule.map_or(String::new(), |rule| format!(" by {rule}"));
    if let Some(last) = outcome.violations.last() {
        let word = if last.found { "found" } else { "cleared" };
        let text = format!("violation {word} {}", last.moment.at);
        return (with_reasons(text, &last.reasons), None);
    }
    let promoted = outcome.promoted.as_ref();
    let promoted = promoted.map(|promoted| format!("promoted {}{rule}", promoted.moment.at));
    match (promoted, &outcome.decided, &outcome.absent) {
        (Some(promoted), Some(decided), _) if decided.verdict != Verdict::Promote => {
            let text = format!("{} {}", decided.verdict, decided.moment.at);
            let then = format!("then {promoted}");
            (with_reasons(text, &decided.reasons), Some(then))
        }
        (Some(promoted), ..) => (promoted, None),
        (None, Some(decided), _) => {
            let text = with_reasons(decided.verdict.to_string(), &decided.reasons);
            (text + &rule, None)
        }
        (None, None, Some(absent)) => (format!("{absent}{rule}"), None),
        (None, None, None) => (format!("no violation{rule}"), None),
    }
}

fn with_reasons(text: String, why: &[Reason]) -> String {
    match why {
        [] => text,
        some => format!("{text}: {}", reasons(some)),
    }
}

/// Reasons on one line.
fn reasons(reasons: &[Reason]) -> String {
    let texts: Vec<String> = reasons.iter().map(Reason::to_string).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_violation_without_reasons_has_no_empty_place_for_them() {
        let check = |found: bool, reasons: serde_json::Value, expected: &str| {
            let outcome = json!({"violations": [
                {"seq": 1, "at": "2026-03-02T10:00:00Z", "found": found, "reasons": reasons},
            ]});
            let outcome: Outcome = serde_json::from_value(outcome).unwrap();
            assert_eq!(came_to(&outcome), (expected.to_owned(), None));
        };
        let cleared = "violation cleared 2026-03-02T10:00:00Z";
        check(false, json!([]), cleared);
        let found = "violation found 2026-03-02T10:00:00Z: scan-missing";
        check(true, json!([{"code": "scan-missing"}]), found);
    }

    #[test]
    fn the_old_target_is_told_where_the_new_one_is_another() {
        let to = |repository: &str| {
            json!({"promoted": {"seq": 1, "at": "2026-03-02T10:00:00Z",
                "target": {"repository": repository, "tag": "1"}}})
        };
        let check = |old: serde_json::Value, new: serde_json::Value, expected: &[&str]| {
            let difference = json!({"kind": "elsewhere", "seq": 1, "at": "2026-03-02T10:00:00Z",
                "rule": "a", "source": {"repository": "dev/web", "tag": "1"}, "old": old, "new": new});
            let difference: Difference = serde_json::from_value(difference).unwrap();
            assert_eq!(targets(&difference), expected);
        };
        check(to("prod/web"), to("qa/web"), &["prod/web:1", "qa/web:1"]);
        check(to("prod/web"), to("prod/web"), &["prod/web:1"]);
        check(to("prod/web"), json!({}), &["prod/web:1"]);
        check(json!({}), json!({}), &[]);
    }

    #[test]
    fn a_promotion_at_another_time_is_told_apart_from_what_the_values_belong_to() {
        let decided = |verdict: &str, reasons: serde_json::Value| {
            json!({
                "decided": {"seq": 1, "at": "2026-03-02T10:00:00Z", "verdict": verdict, "reasons": reasons,
                    "target": {"repository": "prod/web", "tag": "1"}},
                "promoted": {"seq": 2, "at": "2026-03-02T11:00:00Z", "target": {"repository": "prod/web", "tag": "1"}},
            })
        };
        let check = |outcome: serde_json::Value, expected: (&str, Option<&str>)| {
            let outcome: Outcome = serde_json::from_value(outcome).unwrap();
            let (text, then) = came_to(&outcome);
            assert_eq!((text.as_str(), then.as_deref()), expected);
        };
        let reasons = json!([{"code": "clause-false", "clause": "scan.high <= 1"}]);
        check(
            decided("block", reasons),
            (
                "block 2026-03-02T10:00:00Z: clause-false scan.high <= 1",
                Some("then promoted 2026-03-02T11:00:00Z"),
            ),
        );
        check(
            decided("promote", json!([])),
            ("promoted 2026-03-02T11:00:00Z", None),
        );
    }
}
