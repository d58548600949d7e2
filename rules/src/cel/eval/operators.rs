//! Comparison, arithmetic, membership and patterns.

use super::super::arithmetic;
use super::super::ast::{Arithmetic, Comparison};
use super::super::budget::{Fault, LONG_TEXT};
use super::super::compare::{are_comparable, equal, order};
use super::super::node::{Kind, Node};
use super::super::regexp::Pattern;
use super::super::value::Value;
use super::error::Failure;
use super::{Bound, Run};
use std::cmp::Ordering;

impl Run<'_> {
    pub(super) fn compare(
        &self,
        node: &Node,
        how: Comparison,
        operands: &[Node; 2],
        scope: Bound<'_>,
    ) -> Result<bool, Failure> {
        let [left, right] = operands;
        // Mostly a field is compared with a constant.
        let lent = match &right.kind {
            Kind::Constant(right) => Some(right),
            _ => self.lent(right, scope),
        };
        if let (Some(left), Some(right)) = (self.lent(left, scope), lent) {
            return self.compare_values(node, how, left, right);
        }
        let left = self.value(left, scope)?;
        let right = self.value(right, scope)?;
        self.compare_values(node, how, &left, &right)
    }

    #[inline]
    fn compare_values(
        &self,
        node: &Node,
        how: Comparison,
        a: &Value,
        b: &Value,
    ) -> Result<bool, Failure> {
        match (a, b) {
            (Value::Int(a), Value::Int(b)) => Ok(holds(how, a.cmp(b))),
            (Value::String(a), Value::String(b)) if a.len() < LONG_TEXT => Ok(match how {
                Comparison::Equal => a == b,
                Comparison::NotEqual => a != b,
                _ => holds(how, a.cmp(b)),
            }),
            (a, b) => self.heavy(node, || self.compare_others(node, how, a, b)),
        }
    }

    fn compare_others(
        &self,
        node: &Node,
        how: Comparison,
        a: &Value,
        b: &Value,
    ) -> Result<bool, Failure> {
        if a.is_moving() || b.is_moving() {
            self.clock.compare(how, a, b);
        }
        let wanted = match how {
            Comparison::Equal => true,
            Comparison::NotEqual => false,
            _ => return self.compare_order(node, how, a, b),
        };
        match equal(a, b, &self.budget) {
            Ok(value) => Ok(value == wanted),
            Err(fault) => Err(self.fault(node, fault, &[a, b])),
        }
    }

    fn compare_order(
        &self,
        node: &Node,
        how: Comparison,
        a: &Value,
        b: &Value,
    ) -> Result<bool, Failure> {
        let compared = match (a, b) {
            (Value::String(a), Value::String(b)) => a.len().min(b.len()),
            (Value::Bytes(a), Value::Bytes(b)) => a.len().min(b.len()),
            _ => 0,
        };
        self.budget
            .read_bytes(compared)
            .map_err(self.fault_at(node))?;
        match order(a, b) {
            Some(found) => Ok(holds(how, found)),
            // NaN is neither less nor greater.
            None if are_comparable(a, b) => Ok(false),
            None => Err(self.fault(node, Fault::NoOverload, &[a, b])),
        }
    }

    pub(super) fn negate(
        &self,
        node: &Node,
        operand: &Node,
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        let value = self.settle(self.value(operand, scope)?);
        arithmetic::negate(&value).map_err(|fault| self.fault(node, fault, &[&value]))
    }

    pub(super) fn arithmetic(
        &self,
        node: &Node,
        how: Arithmetic,
        operands: &[Node; 2],
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        let [a, b] = operands;
        let (a, b) = (self.value(a, scope)?, self.value(b, scope)?);
        let moving = a.is_moving() || b.is_moving();
        match arithmetic::apply(how, &a, &b, &self.budget) {
            Ok(value) => Ok(value),
            Err(_) if moving => {
                let (a, b) = (self.settle(a), self.settle(b));
                arithmetic::apply(how, &a, &b, &self.budget)
                    .map_err(|fault| self.fault(node, fault, &[&a, &b]))
            }
            Err(fault) => Err(self.fault(node, fault, &[&a, &b])),
        }
    }

    pub(super) fn contains(
        &self,
        node: &Node,
        operands: &[Node; 2],
        scope: Bound<'_>,
    ) -> Result<bool, Failure> {
        let [wanted, range] = operands;
        let wanted = self.settle(self.value(wanted, scope)?);
        match self.value(range, scope)?.as_ref() {
            Value::List(list) => self.heavy(node, || {
                for item in list.iter() {
                    self.spend(node, 1)?;
                    let found = equal(&wanted, item, &self.budget);
                    if found.map_err(self.fault_at(node))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }),
            Value::Map(map) => {
                let found = map.look_up(&wanted, &self.budget);
                Ok(found.map_err(self.fault_at(node))?.is_some())
            }
            other => Err(self.fault(node, Fault::NoOverload, &[&wanted, other])),
        }
    }

    /// `matches` with a pattern that was compiled at load.
    pub(super) fn matches(
        &self,
        node: &Node,
        subject: &Node,
        pattern: &Pattern,
        scope: Bound<'_>,
    ) -> Result<bool, Failure> {
        match self.value(subject, scope)?.as_ref() {
            Value::String(text) => {
                self.spend(node, pattern.steps(text.len()))?;
                Ok(pattern.is_match(text))
            }
            other => Err(self.fault(node, Fault::NoOverload, &[other])),
        }
    }
}

/// Whether a comparison holds of an order.
#[inline]
pub(in super::super) fn holds(how: Comparison, found: Ordering) -> bool {
    match how {
        Comparison::Equal => found.is_eq(),
        Comparison::NotEqual => found.is_ne(),
        Comparison::Less => found.is_lt(),
        Comparison::LessOrEqual => found.is_le(),
        Comparison::Greater => found.is_gt(),
        Comparison::GreaterOrEqual => found.is_ge(),
    }
}
