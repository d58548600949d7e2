//! What tables and pages say of a report.

use weir_schema::Reason;

use super::report::{Change, Decided, Difference, Outcome, Report};

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

/// Where something was to go, as `repository:tag`.
#[must_use]
pub fn target(difference: &Difference) -> Option<String> {
    let target = [&difference.new, &difference.old]
        .into_iter()
        .find_map(|side| {
            let promoted = side.promoted.as_ref().map(|promoted| &promoted.target);
            promoted.or(side.decided.as_ref().map(|decided| &decided.target))
        })?;
    Some(format!("{}:{}", target.repository, target.tag))
}

/// What a side came to: that it promoted, or what `decided` makes of its decision.
#[must_use]
pub fn promoted_or(outcome: &Outcome, decided: impl Fn(&Decided) -> String) -> String {
    let rule = outcome.rule.as_ref();
    let rule = rule.map_or(String::new(), |rule| format!(" by {rule}"));
    if let Some(last) = outcome.violations.last() {
        let word = if last.found { "found" } else { "cleared" };
        let why = match last.reasons.as_slice() {
            [] => String::new(),
            some => format!(": {}", reasons(some)),
        };
        return format!("violation {word} {}{why}", last.moment.at);
    }
    let text = match (&outcome.promoted, &outcome.decided, &outcome.absent) {
        (Some(promoted), ..) => format!("promoted {}", promoted.moment.at),
        (None, Some(of), _) => decided(of),
        (None, None, Some(absent)) => absent.clone(),
        (None, None, None) => "no violation".to_owned(),
    };
    text + &rule
}

/// Reasons on one line.
#[must_use]
pub fn reasons(reasons: &[Reason]) -> String {
    let texts: Vec<String> = reasons.iter().map(reason).collect();
    texts.join("; ")
}

fn reason(reason: &Reason) -> String {
    let approvals = reason.have.zip(reason.need);
    let details = [
        reason.component.clone(),
        reason.digest.as_ref().map(weir_schema::Digest::short),
        reason.clause.clone(),
        reason.deny_rule.clone(),
        reason.hold_id.clone(),
        reason.message.clone(),
        reason.until.map(|until| format!("until {until}")),
        approvals.map(|(have, need)| format!("{have} of {need}")),
    ];
    let mut text = reason.code.to_string();
    for detail in details.into_iter().flatten() {
        text.push(' ');
        text.push_str(&detail);
    }
    text
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
            assert_eq!(promoted_or(&outcome, |_| String::new()), expected);
        };
        let cleared = "violation cleared 2026-03-02T10:00:00Z";
        check(false, json!([]), cleared);
        let found = "violation found 2026-03-02T10:00:00Z: scan-missing";
        check(true, json!([{"code": "scan-missing"}]), found);
    }
}
