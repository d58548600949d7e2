//! What can be evaluated but probably does not say what was meant.

use super::ast::{Comparison, Expr, ExprKind, Span};
use super::diagnostics::{Diagnostic, suggest};
use super::lower::Lowering;
use super::node::{Kind, Node};
use super::types::Type;
use super::value::Value;

type Operand<'a> = (&'a Expr, &'a Node, &'a Type);

/// Warnings about comparing these two.
pub(super) fn comparison(
    lowering: &Lowering<'_>,
    how: Comparison,
    left: Operand<'_>,
    right: Operand<'_>,
    span: Span,
) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    if !lowering.environment.is_checked() {
        return warnings;
    }
    warnings.extend(never_negative(lowering, how, left, right, span));
    if matches!(how, Comparison::Equal | Comparison::NotEqual) {
        for (field, literal) in [(left, right), (right, left)] {
            if let Kind::Constant(Value::String(text)) = &literal.1.kind {
                warnings.extend(unknown_word(lowering, field.1, text, literal.0.span));
            }
        }
    } else if *left.2 == Type::String && *right.2 == Type::String {
        let version = [left, right]
            .into_iter()
            .any(|(expr, node, _)| is_version(expr, node));
        if version {
            warnings.push(
                Diagnostic::warning(
                    span,
                    "this compares versions letter by letter: \"10\" is before \"9\"",
                )
                .with_help("compare them as `semver(...)`".to_owned()),
            );
        }
    }
    warnings
}

/// A warning if a number of the facts, none of which is negative, is compared with one that decides
/// the comparison whatever it is.
fn never_negative(
    lowering: &Lowering<'_>,
    how: Comparison,
    left: Operand<'_>,
    right: Operand<'_>,
    span: Span,
) -> Option<Diagnostic> {
    let is_fact = |operand: &Operand<'_>| {
        let declared = match &operand.1.kind {
            Kind::Select(select) => select.index.is_some(),
            _ => false,
        };
        declared && *operand.2 == Type::Int
    };
    let number = |operand: &Operand<'_>| match operand.1.kind {
        Kind::Constant(Value::Int(number)) => Some(number),
        _ => None,
    };
    let (how, fact, number) = match (number(&left), number(&right)) {
        (None, Some(number)) => (how, left, number),
        (Some(number), None) => (mirrored(how), right, number),
        _ => return None,
    };
    if !is_fact(&fact) {
        return None;
    }
    let always = match how {
        Comparison::GreaterOrEqual if number <= 0 => true,
        Comparison::Greater | Comparison::NotEqual if number < 0 => true,
        Comparison::Less if number <= 0 => false,
        Comparison::LessOrEqual | Comparison::Equal if number < 0 => false,
        _ => return None,
    };
    let text = fact.0.span.text(lowering.source);
    let message = format!("this is always {always}: `{text}` is never negative");
    Some(Diagnostic::warning(span, message))
}

/// The same comparison with its sides exchanged.
fn mirrored(how: Comparison) -> Comparison {
    match how {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

/// Warnings about looking for this in that.
pub(super) fn membership(
    lowering: &Lowering<'_>,
    item: &Node,
    _: &Expr,
    range: &Node,
    range_expr: &Expr,
) -> Vec<Diagnostic> {
    let (Kind::Constant(Value::List(words)), ExprKind::List(items)) =
        (&range.kind, &range_expr.kind)
    else {
        return Vec::new();
    };
    words
        .iter()
        .zip(items)
        .filter_map(|(word, written)| match word {
            Value::String(text) => unknown_word(lowering, item, text, written.value.span),
            _ => None,
        })
        .collect()
}

/// A warning if the field only ever has some words and `word` is none of them.
fn unknown_word(
    lowering: &Lowering<'_>,
    field: &Node,
    word: &str,
    place: Span,
) -> Option<Diagnostic> {
    let Kind::Select(select) = &field.kind else {
        return None;
    };
    let index = usize::from(select.index?);
    // The same index means other fields in other records: the name must agree too.
    let declared = lowering.environment.records().iter().find_map(|record| {
        record
            .fields
            .get(index)
            .filter(|field| *field.name == *select.name && field.doc.starts_with("One of "))
    })?;
    let words: Vec<&str> = declared.doc.split('`').skip(1).step_by(2).collect();
    if words.contains(&word) {
        return None;
    }
    let message = format!(
        "'{}' is never '{word}', but one of {}",
        declared.name,
        words.join(", ")
    );
    Some(Diagnostic::warning(place, message).with_help(suggest(word, words)))
}

fn is_version(expr: &Expr, node: &Node) -> bool {
    match (&expr.kind, &node.kind) {
        (_, Kind::Constant(Value::String(text))) => {
            let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
            digits.starts_with(|c: char| c.is_ascii_digit())
                && digits
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_'))
        }
        (ExprKind::Select { operand, field }, _) => {
            matches!(field.text.as_str(), "version" | "fixed_version")
                || (field.text == "name"
                    && matches!(&operand.kind, ExprKind::Ident(name) if name == "tag"))
        }
        _ => false,
    }
}

/// What a clause always is because both sides of its comparison are written alike.
pub(super) fn compares_with_itself(clause: &Expr, source: &str) -> Option<bool> {
    let ExprKind::Compare(how, a, b) = &clause.kind else {
        return None;
    };
    let same =
        a.span.text(source) == b.span.text(source) && !matches!(a.kind, ExprKind::Literal(_));
    same.then_some(matches!(
        how,
        Comparison::Equal | Comparison::LessOrEqual | Comparison::GreaterOrEqual
    ))
}
