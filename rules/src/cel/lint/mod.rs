//! What can be evaluated but probably does not say what was meant.

mod ranges;
pub(super) mod words;

use super::ast::{Comparison, Expr, ExprKind, Span};
use super::diagnostics::Diagnostic;
use super::lower::Lowering;
use super::node::{Kind, Node};
use super::types::Type;
use super::value::Value;
use std::collections::BTreeMap;

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
    warnings.extend(ranges::decided(lowering, how, left, right, span));
    if matches!(how, Comparison::Equal | Comparison::NotEqual) {
        for (value, literal) in [(left, right), (right, left)] {
            let literals = words::written(lowering, literal.0, literal.1);
            warnings.extend(words::never(lowering, value.1, &literals));
        }
    } else if let Some(warning) = words::in_order(lowering, left, right, span) {
        warnings.push(warning);
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

/// Warnings about looking for this in that.
pub(super) fn membership(
    lowering: &Lowering<'_>,
    item: Operand<'_>,
    range: (&Expr, &Node),
) -> Vec<Diagnostic> {
    if !lowering.environment.is_checked() {
        return Vec::new();
    }
    let (range_expr, range) = range;
    let mut warnings = Vec::new();
    if let Some(words) = words::of_elements(lowering, range) {
        let literals = words::written(lowering, item.0, item.1);
        warnings.extend(words.never(&literals));
    }
    warnings.extend(words::never(lowering, item.1, &words::listed(range_expr)));
    let (Kind::Constant(Value::List(values)), ExprKind::List(items)) =
        (&range.kind, &range_expr.kind)
    else {
        return warnings;
    };
    for (value, written) in values.iter().zip(items) {
        if let Value::Int(number) = value {
            warnings.extend(ranges::never_element(
                lowering,
                item,
                *number,
                &written.value,
            ));
        }
    }
    warnings
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

/// A warning if operands of one `&&` can never all hold, or one of those of an `||` always does,
/// because they compare the same with two different literals.
pub(super) fn excludes_itself(operands: &[&Expr], and: bool, source: &str) -> Option<Diagnostic> {
    let excluding = match and {
        true => Comparison::Equal,
        false => Comparison::NotEqual,
    };
    let mut seen: BTreeMap<&str, (&Expr, &Value)> = BTreeMap::new();
    for operand in operands {
        let (a, b) = match &operand.kind {
            ExprKind::Compare(how, a, b) if *how == excluding => (a, b),
            _ => continue,
        };
        let (compared, literal) = match (&a.kind, &b.kind) {
            (ExprKind::Literal(_), ExprKind::Literal(_)) => continue,
            (_, ExprKind::Literal(literal)) => (a, literal),
            (ExprKind::Literal(literal), _) => (b, literal),
            _ => continue,
        };
        let text = compared.span.text(source);
        let Some((earlier, other)) = seen.get(text) else {
            seen.insert(text, (operand, literal));
            continue;
        };
        let differ = match (literal, other) {
            (Value::String(one), Value::String(other)) => one != other,
            (Value::Int(one), Value::Int(other)) => one != other,
            _ => false,
        };
        if differ {
            let message = format!("this is always {}: `{text}` is never both", !and);
            let help = if and {
                format!("write `||`, or `{text} in [...]`")
            } else {
                format!("write `&&`, or `!({text} in [...])`")
            };
            let span = earlier.span.around(operand.span);
            return Some(Diagnostic::warning(span, message).with_help(help));
        }
    }
    None
}
