//! What is known where the pass is, because the expression has asked for it: which fields and keys are
//! there, and which numbers are not zero.

use super::Lowering;
use crate::cel::ast::{Comparison, Expr, ExprKind, Loop, LoopKind};
use crate::cel::value::Value;

/// One thing that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// The field or key at this path is there.
    Present(String),
    /// This term is a number other than zero.
    NotZero(String),
}

impl Lowering<'_> {
    /// A path of names that stands for the same value wherever it is in scope.
    pub(super) fn path(&self, expr: &Expr) -> Option<String> {
        match &expr.kind {
            ExprKind::Ident(name) => {
                let bound = self.scope.iter().rev().find(|bound| bound.name == *name);
                Some(bound.map_or_else(|| name.clone(), |bound| format!("#{}", bound.slot)))
            }
            ExprKind::Select { operand, field } => {
                Some(format!("{}.{}", self.path(operand)?, field.text))
            }
            ExprKind::Index { operand, index } => match &index.kind {
                // `labels["a"]` is `labels.a`.
                ExprKind::Literal(Value::String(key)) => {
                    Some(format!("{}.{key}", self.path(operand)?))
                }
                ExprKind::Literal(Value::Int(at)) => Some(format!("{}[{at}]", self.path(operand)?)),
                _ => None,
            },
            _ => None,
        }
    }

    /// What is computed from paths and numbers alone, and so is the same wherever it is written so.
    fn term(&self, expr: &Expr) -> Option<String> {
        match &expr.kind {
            ExprKind::Literal(Value::Int(number)) => Some(number.to_string()),
            ExprKind::Literal(Value::Uint(number)) => Some(format!("{number}u")),
            ExprKind::Arithmetic(how, a, b) => {
                Some(format!("({} {how:?} {})", self.term(a)?, self.term(b)?))
            }
            ExprKind::Call {
                target,
                function,
                args,
            } => {
                let args = target.as_deref().into_iter().chain(args);
                let args: Option<Vec<String>> = args.map(|arg| self.term(arg)).collect();
                Some(format!("{}({})", function.text, args?.join(", ")))
            }
            _ => self.path(expr),
        }
    }

    /// Whether a number is known not to be zero.
    pub(super) fn is_not_zero(&self, expr: &Expr) -> bool {
        self.term(expr)
            .is_some_and(|term| self.guards.contains(&Guard::NotZero(term)))
    }

    /// How a division by a number is guarded.
    pub(super) fn guard_of_division(&self, divisor: &Expr) -> String {
        let text = divisor.span.text(self.source);
        match self.term(divisor) {
            Some(_) => format!("guard it with `{text} != 0 && ...`"),
            None => "name it and guard it: `cel.bind(n, ..., n != 0 && ... / n ...)`".to_owned(),
        }
    }

    /// Notes what follows if all `operands` hold (or, not `holding`, if all of them are false).
    pub(super) fn guard_all(&mut self, operands: &[&Expr], holding: bool) {
        for operand in operands {
            self.guard(operand, holding);
        }
    }

    pub(super) fn guard(&mut self, expr: &Expr, holding: bool) {
        match (&expr.kind, holding) {
            (ExprKind::Has { operand, field }, true) => self.is_present(operand, &field.text),
            (ExprKind::In(key, map), true) => {
                if let ExprKind::Literal(Value::String(key)) = &key.kind {
                    self.is_present(map, key);
                }
            }
            (
                ExprKind::Call {
                    target: Some(target),
                    function,
                    ..
                },
                true,
            ) if function.text == "hasValue" => {
                if let ExprKind::OptionalSelect { operand, field } = &target.kind {
                    self.is_present(operand, &field.text);
                }
            }
            (ExprKind::Not(operand), _) => self.guard(operand, !holding),
            (ExprKind::And(a, b), true) | (ExprKind::Or(a, b), false) => {
                self.guard(a, holding);
                self.guard(b, holding);
            }
            (ExprKind::Compare(how, a, b), _) => {
                self.guard_compared(a, *how, b, holding);
                self.guard_compared(b, how.mirrored(), a, holding);
            }
            _ => {}
        }
    }

    fn is_present(&mut self, operand: &Expr, name: &str) {
        if let Some(path) = self.path(operand) {
            self.guards.push(Guard::Present(format!("{path}.{name}")));
        }
    }

    /// Notes what follows of `value` if its comparison with what is written out holds, or not.
    fn guard_compared(&mut self, value: &Expr, how: Comparison, written: &Expr, holding: bool) {
        let ExprKind::Literal(literal) = &written.kind else {
            return;
        };
        let number = match (literal, how) {
            (Value::Bool(truth), Comparison::Equal) => return self.guard(value, *truth == holding),
            (Value::Bool(truth), Comparison::NotEqual) => {
                return self.guard(value, *truth != holding);
            }
            (Value::Int(number), _) => number.signum(),
            (Value::Uint(number), _) => i64::from(*number > 0),
            _ => return,
        };
        let how = if holding { how } else { how.negated() };
        let excludes_zero = match how {
            Comparison::Equal => number != 0,
            Comparison::NotEqual => number == 0,
            Comparison::Less => number <= 0,
            Comparison::LessOrEqual => number < 0,
            Comparison::Greater => number >= 0,
            Comparison::GreaterOrEqual => number > 0,
        };
        if let (true, Some(term)) = (excludes_zero, self.term(value)) {
            self.guards.push(Guard::NotZero(term));
        }
    }

    /// Notes what is known of each element of a range, which `slot` stands for: what it was filtered
    /// by.
    pub(super) fn guard_elements(&mut self, range: &Expr, slot: u16) {
        let ExprKind::Loop(filter) = &range.kind else {
            return;
        };
        let Loop {
            how,
            range,
            variable,
            second,
            body,
            ..
        } = &**filter;
        match how {
            LoopKind::Filter if second.is_none() => {
                self.scope.push(super::Bound::of(variable, slot));
                self.guard(body, true);
                self.scope.pop();
            }
            LoopKind::SortBy => {}
            _ => return,
        }
        self.guard_elements(range, slot);
    }
}
