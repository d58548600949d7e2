//! Operators: logic, comparison, arithmetic, membership and elements.

use super::{Lowered, Lowering, flatten};
use crate::cel::ast::{Arithmetic, Comparison, Expr, Span};
use crate::cel::check;
use crate::cel::compare;
use crate::cel::diagnostics::Diagnostic;
use crate::cel::lint;
use crate::cel::node::{Kind, Node};
use crate::cel::types::Type;
use crate::cel::value::Value;

impl Lowering<'_> {
    pub(super) fn truth(&mut self, expr: &Expr, operator: &str) -> Node {
        let (node, ty) = self.lower(expr);
        if !ty.agrees_with(&Type::Bool) {
            self.mismatch(
                expr.span,
                format!("`{operator}` takes truth values, this is of type {ty}"),
                None,
            );
        }
        node
    }

    /// Operands of the same operator in one node; what one of them guards is guarded in all, since
    /// an error of one is absorbed when another decides.
    pub(super) fn junction(&mut self, expr: &Expr, and: bool) -> Lowered {
        let mut operands = Vec::new();
        flatten(expr, and, &mut operands);
        let depth = self.guards.len();
        self.guard_all(&operands, and);
        self.warn_if_excluded(&operands, and);
        let operator = if and { "&&" } else { "||" };
        let nodes = operands
            .into_iter()
            .map(|operand| self.truth(operand, operator))
            .collect();
        self.guards.truncate(depth);
        let kind = if and {
            Kind::And(nodes)
        } else {
            Kind::Or(nodes)
        };
        (self.node(expr.span, kind), Type::Bool)
    }

    pub(super) fn conditional(&mut self, span: Span, parts: &[Expr; 3]) -> Lowered {
        let [condition, yes, no] = parts;
        let test = self.truth(condition, "?");
        let depth = self.guards.len();
        self.guard(condition, true);
        let (yes, yes_type) = self.lower(yes);
        self.guards.truncate(depth);
        self.guard(condition, false);
        let (no, no_type) = self.lower(no);
        self.guards.truncate(depth);
        let ty = match (&yes_type, &no_type) {
            // What the protocol has as a message may be null.
            (Type::Null, time @ (Type::Duration | Type::Timestamp))
            | (time @ (Type::Duration | Type::Timestamp), Type::Null) => time.clone(),
            (yes, no) => {
                if !yes.agrees_with(no) {
                    let message = format!("the results are of different types, {yes} and {no}");
                    self.mismatch(span, message, None);
                }
                yes.join(no)
            }
        };
        let kind = Kind::Conditional(Box::new([test, yes, no]));
        (self.node(span, kind), ty)
    }

    pub(super) fn compare(&mut self, span: Span, how: Comparison, a: &Expr, b: &Expr) -> Lowered {
        let (left, left_type) = self.lower(a);
        let (right, right_type) = self.lower(b);
        if let Err(help) = check::comparison(how, &left_type, &right_type) {
            let message = format!("cannot compare {left_type} with {right_type}");
            self.mismatch(span, message, help);
        } else {
            self.diagnostics.extend(lint::comparison(
                self,
                how,
                (a, &left, &left_type),
                (b, &right, &right_type),
                span,
            ));
        }
        (
            self.node(span, Kind::Compare(how, Box::new([left, right]))),
            Type::Bool,
        )
    }

    pub(super) fn arithmetic(
        &mut self,
        span: Span,
        how: Arithmetic,
        a: &Expr,
        b: &Expr,
    ) -> Lowered {
        let (left, left_type) = self.lower(a);
        let (right, right_type) = self.lower(b);
        if matches!(how, Arithmetic::Divide | Arithmetic::Modulo) {
            match right.kind {
                Kind::Constant(Value::Int(0) | Value::Uint(0)) => {
                    self.mismatch(b.span, "this divides by zero", None);
                }
                Kind::Constant(_) => {}
                _ if self.environment.is_checked()
                    && right_type != Type::Double
                    && !self.is_not_zero(b) =>
                {
                    let message = "this may divide by zero, which is an error";
                    let help = self.guard_of_division(b);
                    let warning = Diagnostic::warning(b.span, message).with_help(help);
                    self.diagnostics.push(warning);
                }
                _ => {}
            }
        }
        let ty = check::arithmetic(how, &left_type, &right_type).unwrap_or_else(|| {
            let message = format!(
                "cannot use `{}` with {left_type} and {right_type}",
                symbol(how)
            );
            let help = check::remedy_of_arithmetic(how, &left_type, &right_type);
            self.mismatch(span, message, help);
            Type::Dyn
        });
        (
            self.node(span, Kind::Arithmetic(how, Box::new([left, right]))),
            ty,
        )
    }

    pub(super) fn membership(&mut self, span: Span, item: &Expr, range: &Expr) -> Lowered {
        let (item_node, item_type) = self.lower(item);
        let (range_node, range_type) = self.lower(range);
        let element = match &range_type {
            Type::List(element) => Some(Type::clone(element)),
            Type::Map(key, _) => Some(Type::clone(key)),
            Type::Dyn | Type::Free => None,
            other => {
                let help = (*other == Type::String).then_some("use `.contains()` for texts");
                self.mismatch(
                    range.span,
                    format!("`in` takes a list or a map, this is of type {other}"),
                    help,
                );
                None
            }
        };
        if let Some(element) = element
            && !element.may_equal(&item_type)
        {
            let message = format!("a value of type {item_type} is never in {range_type}");
            self.mismatch(span, message, None);
        } else if range_type.holds_records() && item_type.holds_records() {
            let message = format!("`in` compares records of type {item_type}");
            self.mismatch(span, message, Some(compare::NO_RECORDS));
        }
        let warnings = lint::membership(self, (item, &item_node, &item_type), (range, &range_node));
        self.diagnostics.extend(warnings);
        (
            self.node(span, Kind::In(Box::new([item_node, range_node]))),
            Type::Bool,
        )
    }

    /// The operand and the index, the type of the element, and whether the operand is a map.
    pub(super) fn index(&mut self, operand: &Expr, index: &Expr) -> (Box<[Node; 2]>, Type, bool) {
        let (operand_node, operand_type) = self.lower(operand);
        let (index_node, index_type) = self.lower(index);
        let ty = self.element_type(&operand_type, operand, &index_type, index);
        let is_map = matches!(operand_type, Type::Map(..));
        (Box::new([operand_node, index_node]), ty, is_map)
    }

    pub(super) fn element_type(
        &mut self,
        operand_type: &Type,
        operand: &Expr,
        index_type: &Type,
        index: &Expr,
    ) -> Type {
        match operand_type {
            Type::List(element) => {
                if !index_type.is_number() && *index_type != Type::Dyn {
                    self.mismatch(
                        index.span,
                        format!("a list is indexed by a number, not {index_type}"),
                        None,
                    );
                }
                Type::clone(element).taken()
            }
            Type::Map(key, value) => {
                if !key.may_equal(index_type) {
                    self.mismatch(
                        index.span,
                        format!("the keys are of type {key}, not {index_type}"),
                        None,
                    );
                }
                Type::clone(value).taken()
            }
            Type::Optional(inner) => {
                match self.element_type(&inner.clone(), operand, index_type, index) {
                    ty @ Type::Optional(_) => ty,
                    ty => Type::optional(ty),
                }
            }
            Type::Dyn | Type::Free => Type::Dyn,
            other => {
                self.mismatch(
                    operand.span,
                    format!("a value of type {other} has no elements"),
                    None,
                );
                Type::Dyn
            }
        }
    }
}

fn symbol(how: Arithmetic) -> char {
    match how {
        Arithmetic::Add => '+',
        Arithmetic::Subtract => '-',
        Arithmetic::Multiply => '*',
        Arithmetic::Divide => '/',
        Arithmetic::Modulo => '%',
    }
}
