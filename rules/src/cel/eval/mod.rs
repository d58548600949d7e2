//! Runs a program: one value, or an error with the place where it arose.
//!
//! Values are borrowed from the facts, from constants and from what loops go over wherever that is
//! possible: reading `image.scan.critical` copies nothing and counts no references.

mod elements;
mod error;
mod loops;
mod making;
mod operators;
mod scope;

pub use error::EvalError;
pub(super) use error::{Failure, short_type};
pub(super) use operators::holds;
pub(super) use scope::{Bound, Scope};

use super::ast::LoopKind;
use super::budget::{Budget, Fault};
use super::functions::Function;
use super::moving::{Clock, NextChange};
use super::node::{Kind, Node};
use super::program::Program;
use super::record::Facts;
use super::value::Value;
use std::borrow::Cow;
use std::cell::Cell;

/// What a call takes from the budget, besides what the function takes.
const CALL_STEPS: usize = 2;

/// One evaluation of a program.
pub(super) struct Run<'a> {
    program: &'a Program,
    facts: &'a dyn Facts,
    pub(super) budget: Budget,
    pub(super) clock: Clock,
    /// The outermost loop or call that took most steps so far, and how many.
    heaviest: Cell<Option<(u32, u64)>>,
    within_heavy: Cell<bool>,
}

impl<'a> Run<'a> {
    pub(super) fn new(program: &'a Program, facts: &'a dyn Facts) -> Run<'a> {
        Run {
            program,
            facts,
            budget: Budget::new(&program.limits),
            clock: Clock::default(),
            heaviest: Cell::new(None),
            within_heavy: Cell::new(false),
        }
    }

    /// The instant at which the outcome may change, given what was compared so far.
    pub(super) fn next_change(&self) -> NextChange {
        self.clock
            .next_change(|| match self.facts.variable(self.program.clock?) {
                Ok(Value::Now(at) | Value::Timestamp(at)) => Some(*at),
                _ => None,
            })
    }

    #[inline]
    fn spend(&self, node: &Node, steps: usize) -> Result<(), Failure> {
        if self.budget.take(steps) {
            Ok(())
        } else {
            Err(self.fault(node, self.budget.exhausted(), &[]))
        }
    }

    /// The value without its connection to the clock, which is then noted as lost.
    fn settle<'v>(&self, value: Cow<'v, Value>) -> Cow<'v, Value> {
        if value.is_moving() {
            self.clock.lose();
            return Cow::Owned(value.into_owned().settled());
        }
        value
    }

    /// The value of a node, in which the names in `scope` are bound.
    pub(super) fn value<'s>(
        &'s self,
        node: &'s Node,
        scope: Bound<'s>,
    ) -> Result<Cow<'s, Value>, Failure> {
        match self.lent(node, scope) {
            Some(value) => Ok(Cow::Borrowed(value)),
            None => self.made(node, scope),
        }
    }

    /// The value of a node that takes some work. Kept apart, so that what takes none needs no room
    /// for it on the stack.
    #[inline(never)]
    fn made<'s>(&'s self, node: &'s Node, scope: Bound<'s>) -> Result<Cow<'s, Value>, Failure> {
        match &node.kind {
            Kind::Constant(value) => Ok(Cow::Borrowed(value)),
            Kind::Local(slot) => self.local(node, scope, *slot).map(Cow::Borrowed),
            Kind::Fail(message) => Err(self.fail(node, message.clone())),
            Kind::Variable(index) => self.variable(node, *index),
            Kind::Select(select) => self.select(node, select, scope),
            Kind::Index(operands) => self.index(node, operands, scope),
            Kind::Conditional(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let taken = if self.test(condition, scope)? {
                    yes
                } else {
                    no
                };
                self.value(taken, scope)
            }
            _ => self.computed(node, scope).map(Cow::Owned),
        }
    }

    fn computed(&self, node: &Node, scope: Bound<'_>) -> Result<Value, Failure> {
        match &node.kind {
            Kind::OptionalSelect(select) => self.optional_select(node, select, scope),
            Kind::OptionalIndex(operands) => self.optional_index(node, operands, scope),
            Kind::Negate(operand) => self.negate(node, operand, scope),
            Kind::Arithmetic(how, operands) => self.arithmetic(node, *how, operands, scope),
            Kind::List(items) => self.list(node, items, scope),
            Kind::Map(entries) => self.map(node, entries, scope),
            Kind::Call(function, args) => {
                self.heavy(node, || self.call(node, function, args, scope))
            }
            Kind::Loop(each) => self.heavy(node, || self.each(node, each, scope)),
            Kind::Bind(bind) => self.bind(node, bind, scope),
            Kind::Block(bindings, body) => self.block(bindings, body, scope),
            _ => self.test(node, scope).map(Value::Bool),
        }
    }

    /// The truth of a node that yields a boolean.
    pub(super) fn test(&self, node: &Node, scope: Bound<'_>) -> Result<bool, Failure> {
        match &node.kind {
            Kind::Compare(how, operands) => self.compare(node, *how, operands, scope),
            Kind::And(conjuncts) => self.absorb(conjuncts, false, scope),
            Kind::Or(disjuncts) => self.absorb(disjuncts, true, scope),
            Kind::Not(operand) => Ok(!self.test(operand, scope)?),
            Kind::In(operands) => self.contains(node, operands, scope),
            Kind::Has(select) => self.has(node, select, scope),
            Kind::Matches(subject, pattern) => self.matches(node, subject, pattern, scope),
            Kind::Loop(each) if matches!(each.how, LoopKind::All | LoopKind::Exists) => {
                self.heavy(node, || self.quantify(node, each, scope))
            }
            Kind::Constant(Value::Bool(value)) => Ok(*value),
            _ => self.truth(node, scope),
        }
    }

    #[inline(never)]
    fn truth(&self, node: &Node, scope: Bound<'_>) -> Result<bool, Failure> {
        match self.value(node, scope)?.as_ref() {
            Value::Bool(value) => Ok(*value),
            other => {
                let found = short_type(other);
                Err(self.fail(node, format!("a truth value is needed here, not {found}")))
            }
        }
    }

    /// `&&` and `||` over all operands: the one that decides wins over errors on either side.
    fn absorb(&self, operands: &[Node], deciding: bool, scope: Bound<'_>) -> Result<bool, Failure> {
        let mut first_error = None;
        for operand in operands {
            match self.test(operand, scope) {
                Ok(value) if value == deciding => return Ok(deciding),
                Ok(_) => {}
                Err(error) if error.exhausted => return Err(error),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(!deciding), Err)
    }

    /// The value of a bound name.
    fn local<'s>(&self, node: &Node, scope: Bound<'s>, slot: u16) -> Result<&'s Value, Failure> {
        match scope::find(scope, slot, &self.budget) {
            Some(found) => found.map_err(|error| self.again(error)),
            None => Err(self.fault(node, self.budget.exhausted(), &[])),
        }
    }

    fn variable<'s>(&'s self, node: &Node, index: u16) -> Result<Cow<'s, Value>, Failure> {
        match self.facts.variable(index) {
            Ok(value) => Ok(Cow::Borrowed(value)),
            Err(error) => Err(self.fail(node, error.message)),
        }
    }

    fn call(
        &self,
        node: &Node,
        function: &Function,
        args: &[Node],
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        let argument = |arg| {
            let value = self.value(arg, scope)?;
            Ok(if function.passes_on {
                value
            } else {
                self.settle(value)
            })
        };
        let apply = |values: &[&Value]| {
            self.spend(node, CALL_STEPS)?;
            (function.body)(&self.budget, values).map_err(|fault| self.fault(node, fault, values))
        };
        match args {
            [] => apply(&[]),
            [only] => apply(&[argument(only)?.as_ref()]),
            [first, second] => {
                let first = argument(first)?;
                // The default of a value that is there is not looked at: it may be an error.
                if let (Some(default_of), Value::Optional(Some(inner))) =
                    (function.default_of, first.as_ref())
                {
                    return Ok(default_of(inner));
                }
                apply(&[first.as_ref(), argument(second)?.as_ref()])
            }
            several => {
                let values: Vec<Cow<'_, Value>> = several
                    .iter()
                    .map(argument)
                    .collect::<Result<_, Failure>>()?;
                apply(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())
            }
        }
    }

    /// Notes what an outermost loop or call takes from the budget.
    fn heavy<T>(&self, node: &Node, work: impl FnOnce() -> T) -> T {
        if self.within_heavy.replace(true) {
            return work();
        }
        let before = self.budget.spent();
        let result = work();
        let taken = self.budget.spent() - before;
        if self.heaviest.get().is_none_or(|(_, most)| taken > most) {
            self.heaviest.set(Some((node.id, taken)));
        }
        self.within_heavy.set(false);
        result
    }

    /// The error, at the place that took most of the steps if that is another one than the place
    /// at which none were left.
    #[cold]
    pub(super) fn blame(&self, mut error: EvalError) -> EvalError {
        let steps = self.program.limits.steps;
        let heaviest = self.heaviest.get().filter(|_| self.budget.is_used_up());
        if let Some((id, taken)) = heaviest.filter(|(_, taken)| *taken > steps / 2) {
            let place = self.program.span(id);
            let here = place.start <= error.span.start && error.span.end <= place.end;
            if !here {
                error.span = place;
                error.message = format!(
                    "this takes {taken} of the budget of {steps} steps, the rest is too little"
                );
            }
        }
        error
    }

    fn fault_at(&self, node: &Node) -> impl Fn(Fault) -> Failure {
        |fault| self.fault(node, fault, &[])
    }
}
