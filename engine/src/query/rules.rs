//! Rules as they are told: what their headers and expressions say.

use serde_json::{Value, json};
use weir_rules::{
    State,
    rule::{Rule, RuleTarget, ScanRequirement, Separate},
};

/// The rules in force, and which newer ones are refused.
pub(super) fn in_force(state: &State) -> Value {
    let rules = state.rules().rules().iter();
    let rules: Vec<Value> = rules.map(|rule| described(rule)).collect();
    json!({
        "rules": rules,
        "rules_digest": format!("sha256:{}", weir_schema::record::hex(&state.rules().digest())),
        "refused": state.rules_refused(),
    })
}

/// All that a rule says.
pub(crate) fn described(rule: &Rule) -> Value {
    json!({
        "rule": rule.name,
        "path": rule.path,
        "kind": rule.kind.as_str(),
        "severity": rule.severity.as_str(),
        "from": from(rule),
        "to": to(rule),
        "tag": rule.tag.as_str(),
        "class": rule.classes,
        "about": rule.about,
        "owner": rule.owner,
        "link": rule.link,
        "scan": scan(rule.scan),
        "scanners": rule.scanners,
        "soak": rule.soak.map(|soak| format!("{}s", soak.as_seconds_f64())),
        "approvals": rule.approvals,
        "separate": rule.separate.iter().map(|who| separate(*who)).collect::<Vec<_>>(),
        "window": rule.window.as_ref().map(ToString::to_string),
        "message": rule.message.as_ref().map(|message| message.as_str()),
        "expression": rule.expression_text,
    })
}

fn scan(scan: ScanRequirement) -> &'static str {
    match scan {
        ScanRequirement::Required => "required",
        ScanRequirement::NotRequired => "not-required",
    }
}

fn separate(separate: Separate) -> &'static str {
    match separate {
        Separate::Pusher => "pusher",
        Separate::RuleOwner => "rule-owner",
    }
}

/// The sources that it looks at.
pub(crate) fn from(rule: &Rule) -> String {
    rule.from
        .as_ref()
        .map_or_else(|| "**".to_owned(), ToString::to_string)
}

/// Where it leads to, or the targets that it looks at.
pub(crate) fn to(rule: &Rule) -> String {
    match &rule.to {
        RuleTarget::Repository(template) => format!("{template}:{}", rule.tag),
        RuleTarget::Matching(patterns) => patterns.to_string(),
        RuleTarget::Any => "**".to_owned(),
    }
}
