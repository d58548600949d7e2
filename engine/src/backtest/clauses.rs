//! The clauses that decided, with the values they saw, out of an explanation.

use weir_rules::{Explanation, cel, rule::RuleSet};
use weir_schema::{Reason, ReasonCode};

use super::report::{Clause, Part};

/// More parts of a clause say no more to a reader of a table.
const MOST_PARTS: usize = 12;

/// The clauses that decided `reasons`; if there are none, those that let it pass.
pub(super) fn clauses(
    explanation: &Explanation,
    reasons: &[Reason],
    rules: &RuleSet,
) -> Vec<Clause> {
    let own = conjuncts(rules, &explanation.rule, &explanation.expression);
    let mut clauses = Vec::new();
    for reason in reasons {
        let of_rule = matches!(reason.code, ReasonCode::ClauseFalse | ReasonCode::RuleError);
        if let Some(name) = &reason.deny_rule {
            let denies = explanation.denies.iter().filter(|deny| deny.rule == *name);
            let all = denies.flat_map(|deny| conjuncts(rules, name, &deny.expression));
            clauses.extend(all.map(|(_, node)| clause(node, Some(name.clone()))));
        } else if of_rule {
            let named = own
                .iter()
                .find(|(text, _)| reason.clause.as_deref() == Some(text));
            clauses.extend(named.map(|(_, node)| clause(node, None)));
        }
    }
    if reasons.is_empty() {
        clauses.extend(own.into_iter().map(|(_, node)| clause(node, None)));
    }
    clauses
}

/// The clauses of a rule, each with its part of the expression.
fn conjuncts<'a>(
    rules: &'a RuleSet,
    rule: &str,
    expression: &'a cel::Explanation,
) -> Vec<(&'a str, &'a cel::Explanation)> {
    let Some(rule) = rules.rule(rule) else {
        return Vec::new();
    };
    match rule.program.clauses() {
        [only] => vec![(&*only.text, expression)],
        all => {
            let texts = all.iter().map(|clause| &*clause.text);
            texts.zip(&expression.parts).collect()
        }
    }
}

fn clause(node: &cel::Explanation, deny_rule: Option<String>) -> Clause {
    let mut parts = Vec::new();
    leaves(node, None, &mut parts);
    parts.truncate(MOST_PARTS);
    // A clause that is one part says its value itself.
    parts.retain(|part| part.text != node.text);
    Clause {
        deny_rule,
        clause: node.text.clone(),
        value: node.value.clone(),
        error: node.error.clone(),
        parts,
    }
}

/// The smallest parts that have a value of their own.
fn leaves(node: &cel::Explanation, element: Option<&(&str, usize)>, parts: &mut Vec<Part>) {
    if parts.len() >= MOST_PARTS {
        return;
    }
    if node.parts.is_empty() && node.elements.is_empty() {
        let text = match element {
            Some((name, index)) => of_element(&node.text, name, *index),
            None => node.text.clone(),
        };
        let known = parts.iter().any(|part| part.text == text);
        if let (Some(value), false) = (&node.value, known) {
            let value = value.clone();
            parts.push(Part { text, value });
        }
        return;
    }
    for part in &node.parts {
        leaves(part, element, parts);
    }
    for one in &node.elements {
        leaves(&one.body, Some(&(&one.name, one.index)), parts);
    }
}

/// `v.severity` of the element 3 called `v` as `v[3].severity`.
fn of_element(text: &str, name: &str, index: usize) -> String {
    match text.strip_prefix(name) {
        Some(rest) if !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_') => {
            format!("{name}[{index}]{rest}")
        }
        _ => text.to_owned(),
    }
}
