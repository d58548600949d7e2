//! Runs a program: one value, or an error with the place where it arose.

use super::arithmetic;
use super::ast::{Binding, Comparison, LoopKind, Span};
use super::budget::{Budget, Fault};
use super::compare::{are_comparable, equal, order};
use super::map::Map;
use super::moving::{Clock, NextChange};
use super::node::{Bind, Kind, Loop, Node, Select};
use super::program::Program;
use super::record::{FactError, Facts};
use super::value::Value;
use std::cmp::Ordering;
use std::sync::Arc;

/// An evaluation that gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What went wrong: lower case, no full stop.
    pub message: String,
    /// Where, in bytes of the source.
    pub span: Span,
    /// Whether a limit was reached, so that nothing is known of the rest.
    pub exhausted: bool,
}

/// Boxed, so that a value and the absence of one take the same room.
pub(super) type Failure = Box<EvalError>;

/// One evaluation of a program.
pub(super) struct Run<'a> {
    program: &'a Program,
    facts: &'a dyn Facts,
    /// The variables read so far, by their place among those that the program reads.
    variables: Vec<Option<Value>>,
    locals: Vec<Value>,
    pub(super) budget: Budget,
    pub(super) clock: Clock,
}

impl<'a> Run<'a> {
    pub(super) fn new(program: &'a Program, facts: &'a dyn Facts) -> Run<'a> {
        Run {
            program,
            facts,
            variables: vec![None; program.variables.len()],
            locals: vec![Value::Null; usize::from(program.locals)],
            budget: Budget::new(&program.limits),
            clock: Clock::default(),
        }
    }

    /// The instant at which the outcome may change, given what was compared so far.
    pub(super) fn next_change(&self) -> NextChange {
        self.clock
            .next_change(|| match self.facts.variable(self.program.clock?) {
                Ok(Value::Now(at) | Value::Timestamp(at)) => Some(at),
                _ => None,
            })
    }

    #[cold]
    fn fail(&self, node: &Node, message: impl Into<String>) -> Failure {
        Box::new(EvalError {
            message: message.into(),
            span: self.program.span(node.id),
            exhausted: false,
        })
    }

    #[cold]
    fn fault(&self, node: &Node, fault: Fault, operands: &[&Value]) -> Failure {
        let (message, exhausted) = match fault {
            Fault::Failed(message) => (message, false),
            Fault::Exhausted(message) => (message, true),
            Fault::NoOverload => {
                let types: Vec<_> = operands.iter().map(|value| short_type(value)).collect();
                (format!("not possible with {}", types.join(" and ")), false)
            }
        };
        Box::new(EvalError {
            message,
            span: self.program.span(node.id),
            exhausted,
        })
    }

    fn spend(&mut self, node: &Node, steps: usize) -> Result<(), Failure> {
        self.budget
            .spend(steps)
            .map_err(|fault| self.fault(node, fault, &[]))
    }

    /// The value without its connection to the clock, which is then noted as lost.
    fn settle(&mut self, value: Value) -> Value {
        if value.is_moving() {
            self.clock.lose();
            return value.settled();
        }
        value
    }

    pub(super) fn eval(&mut self, node: &Node) -> Result<Value, Failure> {
        match &node.kind {
            Kind::Constant(value) => Ok(value.clone()),
            Kind::Fail(message) => Err(self.fail(node, message.clone())),
            Kind::Variable(place) => self.variable(node, *place).cloned(),
            Kind::Local(slot) => Ok(self.locals[usize::from(*slot)].clone()),
            Kind::Select(select) => self.select(node, select),
            Kind::Has(select) => self.has(node, select).map(Value::Bool),
            Kind::OptionalSelect(select) => self.optional_select(node, select),
            Kind::Index(operands) => self.index(node, operands),
            Kind::OptionalIndex(operands) => self.optional_index(node, operands),
            Kind::Not(_)
            | Kind::And(_)
            | Kind::Or(_)
            | Kind::Compare(..)
            | Kind::In(_)
            | Kind::Matches(..) => self.test(node).map(Value::Bool),
            Kind::Negate(operand) => {
                let value = self.eval(operand)?;
                let value = self.settle(value);
                arithmetic::negate(&value).map_err(|fault| self.fault(node, fault, &[&value]))
            }
            Kind::Conditional(parts) => {
                let [condition, yes, no] = parts.as_ref();
                if self.test(condition)? {
                    self.eval(yes)
                } else {
                    self.eval(no)
                }
            }
            Kind::Arithmetic(how, operands) => {
                let [a, b] = operands.as_ref();
                let (a, b) = (self.eval(a)?, self.eval(b)?);
                let moving = a.is_moving() || b.is_moving();
                match arithmetic::apply(*how, &a, &b, &mut self.budget) {
                    Ok(value) => Ok(value),
                    Err(_) if moving => {
                        self.clock.lose();
                        let (a, b) = (a.settled(), b.settled());
                        arithmetic::apply(*how, &a, &b, &mut self.budget)
                            .map_err(|fault| self.fault(node, fault, &[&a, &b]))
                    }
                    Err(fault) => Err(self.fault(node, fault, &[&a, &b])),
                }
            }
            Kind::List(items) => self.list(node, items),
            Kind::Map(entries) => self.map(node, entries),
            Kind::Call(function, args) => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    let value = self.eval(arg)?;
                    values.push(if function.passes_on {
                        value
                    } else {
                        self.settle(value)
                    });
                }
                self.spend(node, 1)?;
                (function.body)(&mut self.budget, &values)
                    .map_err(|fault| self.fault(node, fault, &values.iter().collect::<Vec<_>>()))
            }
            Kind::Loop(each) => self.each(node, each),
            Kind::Bind(bind) => self.bind(bind, node),
            Kind::Block(bindings, body) => {
                for (slot, init) in bindings {
                    let value = self.eval(init)?;
                    self.locals[usize::from(*slot)] = value;
                }
                self.eval(body)
            }
        }
    }

    /// The truth of a node that yields a boolean.
    pub(super) fn test(&mut self, node: &Node) -> Result<bool, Failure> {
        match &node.kind {
            Kind::Constant(Value::Bool(value)) => Ok(*value),
            Kind::Not(operand) => Ok(!self.test(operand)?),
            Kind::And(conjuncts) => self.absorb(conjuncts, false),
            Kind::Or(disjuncts) => self.absorb(disjuncts, true),
            Kind::Compare(how, operands) => self.compare(node, *how, operands),
            Kind::In(operands) => self.contains(node, operands),
            Kind::Has(select) => self.has(node, select),
            Kind::Matches(subject, regex) => {
                let value = self.eval(subject)?;
                let Value::String(text) = &value else {
                    return Err(self.fault(node, Fault::NoOverload, &[&value]));
                };
                self.budget
                    .read_bytes(text.len())
                    .map_err(|fault| self.fault(node, fault, &[]))?;
                Ok(regex.is_match(text))
            }
            Kind::Loop(each) if matches!(each.how, LoopKind::All | LoopKind::Exists) => {
                self.quantify(node, each)
            }
            _ => match self.eval(node)? {
                Value::Bool(value) => Ok(value),
                other => {
                    let message =
                        format!("a truth value is needed here, not {}", short_type(&other));
                    Err(self.fail(node, message))
                }
            },
        }
    }

    /// `&&` and `||` over all operands: the one that decides wins over errors on either side.
    fn absorb(&mut self, operands: &[Node], deciding: bool) -> Result<bool, Failure> {
        let mut first_error = None;
        for operand in operands {
            match self.test(operand) {
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

    fn variable(&mut self, node: &Node, place: u16) -> Result<&Value, Failure> {
        let at = usize::from(place);
        if self.variables[at].is_none() {
            let (index, _) = &self.program.variables[at];
            let value = self
                .facts
                .variable(*index)
                .map_err(|error| self.unreadable(node, error))?;
            self.variables[at] = Some(value);
        }
        Ok(self.variables[at].as_ref().unwrap_or(&Value::Null))
    }

    #[cold]
    fn unreadable(&self, node: &Node, error: FactError) -> Failure {
        self.fail(node, error.message)
    }

    /// Reads a field of a record; `None` if it is absent. The operand is borrowed where it stands,
    /// so that reading `a.b` does not touch the count of references to `a`.
    fn field(&mut self, node: &Node, select: &Select) -> Result<Option<Value>, Failure> {
        let read = |operand: &Value| match (operand, select.index) {
            (Value::Record(record), Some(index)) => Some(record.field(index)),
            _ => None,
        };
        let direct = match &select.operand.kind {
            Kind::Local(slot) => read(&self.locals[usize::from(*slot)]),
            Kind::Variable(place) => read(self.variable(&select.operand, *place)?),
            _ => None,
        };
        match direct {
            Some(Ok(Value::Null)) => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(error)) => Err(self.unreadable(node, error)),
            None => {
                let operand = self.eval(&select.operand)?;
                self.field_of(node, &operand, select)
            }
        }
    }

    fn field_of(
        &mut self,
        node: &Node,
        operand: &Value,
        select: &Select,
    ) -> Result<Option<Value>, Failure> {
        match operand {
            Value::Map(map) => Ok(map.get_str(&select.name).cloned()),
            Value::Record(record) => {
                let index = select.index.or_else(|| {
                    let declared = self.program.environment.record(record.type_name())?;
                    declared.field(&select.name).map(|(index, _)| index)
                });
                let Some(index) = index else {
                    let message = format!("no field '{}' in {}", select.name, record.type_name());
                    return Err(self.fail(node, message));
                };
                match record.field(index) {
                    Ok(Value::Null) => Ok(None),
                    Ok(value) => Ok(Some(value)),
                    Err(error) => Err(self.unreadable(node, error)),
                }
            }
            other => {
                let message = format!("{} has no fields", short_type(other));
                Err(self.fail(node, message))
            }
        }
    }

    fn select(&mut self, node: &Node, select: &Select) -> Result<Value, Failure> {
        if select.index.is_none() {
            let operand = self.eval(&select.operand)?;
            if let Value::Optional(inner) = &operand {
                return self.select_in_optional(node, inner.as_deref(), select);
            }
            return match self.field_of(node, &operand, select)? {
                Some(value) => Ok(value),
                None => Err(self.absent(node, select, &operand)),
            };
        }
        match self.field(node, select)? {
            Some(value) => Ok(value),
            None => Err(self.absent(node, select, &Value::Null)),
        }
    }

    #[cold]
    fn absent(&self, node: &Node, select: &Select, operand: &Value) -> Failure {
        let message = match operand {
            Value::Map(_) => format!("no key '{}' in the map", select.name),
            _ => format!("`{}` is absent", select.name),
        };
        self.fail(node, message)
    }

    fn select_in_optional(
        &mut self,
        node: &Node,
        operand: Option<&Value>,
        select: &Select,
    ) -> Result<Value, Failure> {
        match operand {
            None => Ok(Value::NONE),
            Some(value) => Ok(self
                .field_of(node, value, select)?
                .map_or(Value::NONE, Value::some)),
        }
    }

    fn has(&mut self, node: &Node, select: &Select) -> Result<bool, Failure> {
        if select.index.is_none() {
            let operand = self.eval(&select.operand)?;
            return match &operand {
                Value::Optional(None) => Ok(false),
                Value::Optional(Some(inner)) => Ok(self.field_of(node, inner, select)?.is_some()),
                other => Ok(self.field_of(node, other, select)?.is_some()),
            };
        }
        Ok(self.field(node, select)?.is_some_and(|value| says_something(&value)))
    }

    fn optional_select(&mut self, node: &Node, select: &Select) -> Result<Value, Failure> {
        let operand = self.eval(&select.operand)?;
        let operand = match &operand {
            Value::Optional(inner) => inner.as_deref(),
            other => Some(other),
        };
        // What has no fields has not this one either.
        let operand = operand.filter(|value| matches!(value, Value::Map(_) | Value::Record(_)));
        self.select_in_optional(node, operand, select)
    }

    fn index(&mut self, node: &Node, operands: &[Node; 2]) -> Result<Value, Failure> {
        let [operand, index] = operands;
        let operand = self.eval(operand)?;
        let index = self.eval(index)?;
        match &operand {
            Value::Optional(None) => Ok(Value::NONE),
            Value::Optional(Some(inner)) => Ok(self
                .element(node, inner, &index)?
                .map_or(Value::NONE, Value::some)),
            other => match self.element(node, other, &index)? {
                Some(value) => Ok(value),
                None => {
                    let what = if matches!(other, Value::Map(_)) {
                        "key"
                    } else {
                        "element"
                    };
                    let message = format!("no {what} {}", brief(&index));
                    Err(self.fail(node, message))
                }
            },
        }
    }

    fn optional_index(&mut self, node: &Node, operands: &[Node; 2]) -> Result<Value, Failure> {
        let [operand, index] = operands;
        let operand = self.eval(operand)?;
        let index = self.eval(index)?;
        let found = match &operand {
            Value::Optional(None) => None,
            Value::Optional(Some(inner)) => self.element_if_any(node, inner, &index)?,
            other => self.element_if_any(node, other, &index)?,
        };
        Ok(found.map_or(Value::NONE, Value::some))
    }

    fn element_if_any(
        &self,
        node: &Node,
        operand: &Value,
        index: &Value,
    ) -> Result<Option<Value>, Failure> {
        // What has no elements, or none under such an index, has not this one either.
        match (operand, index) {
            (_, Value::List(_) | Value::Map(_) | Value::Record(_) | Value::Null) => Ok(None),
            (Value::List(_), Value::Bool(_) | Value::String(_) | Value::Bytes(_)) => Ok(None),
            (Value::List(_) | Value::Map(_), _) => self.element(node, operand, index),
            _ => Ok(None),
        }
    }

    fn element(
        &self,
        node: &Node,
        operand: &Value,
        index: &Value,
    ) -> Result<Option<Value>, Failure> {
        match operand {
            Value::Map(map) => match index {
                Value::Bool(_)
                | Value::Int(_)
                | Value::Uint(_)
                | Value::String(_)
                | Value::Double(_) => Ok(map.get(index).cloned()),
                other => Err(self.fault(node, Fault::NoOverload, &[operand, other])),
            },
            Value::List(list) => {
                let at = match index {
                    Value::Int(at) => usize::try_from(*at).ok(),
                    Value::Uint(at) => usize::try_from(*at).ok(),
                    Value::Double(at) if at.trunc() == *at && *at >= 0.0 && *at < 1e15 => {
                        Some(*at as usize)
                    }
                    Value::Double(_) => None,
                    other => return Err(self.fault(node, Fault::NoOverload, &[operand, other])),
                };
                Ok(at.and_then(|at| list.get(at)).cloned())
            }
            other => Err(self.fault(node, Fault::NoOverload, &[other, index])),
        }
    }

    /// Compares without copying a constant operand.
    fn compare(
        &mut self,
        node: &Node,
        how: Comparison,
        operands: &[Node; 2],
    ) -> Result<bool, Failure> {
        let [left, right] = operands;
        match (&left.kind, &right.kind) {
            (_, Kind::Constant(right)) => {
                let left = self.eval(left)?;
                self.compare_values(node, how, &left, right)
            }
            (Kind::Constant(left), _) => {
                let right = self.eval(right)?;
                self.compare_values(node, how, left, &right)
            }
            _ => {
                let left = self.eval(left)?;
                let right = self.eval(right)?;
                self.compare_values(node, how, &left, &right)
            }
        }
    }

    fn compare_values(
        &mut self,
        node: &Node,
        how: Comparison,
        a: &Value,
        b: &Value,
    ) -> Result<bool, Failure> {
        if a.is_moving() || b.is_moving() {
            self.clock.compare(how, a, b);
        }
        let equality = match how {
            Comparison::Equal => Some(true),
            Comparison::NotEqual => Some(false),
            _ => None,
        };
        if let Some(wanted) = equality {
            return match equal(a, b, &mut self.budget) {
                Ok(value) => Ok(value == wanted),
                Err(fault) => Err(self.fault(node, fault, &[a, b])),
            };
        }
        match order(a, b) {
            Some(found) => Ok(holds(how, found)),
            // NaN is neither less nor greater.
            None if are_comparable(a, b) => Ok(false),
            None => Err(self.fault(node, Fault::NoOverload, &[a, b])),
        }
    }

    fn contains(&mut self, node: &Node, operands: &[Node; 2]) -> Result<bool, Failure> {
        let [wanted, range] = operands;
        let wanted = self.eval(wanted)?;
        let wanted = self.settle(wanted);
        let owned;
        let range = match &range.kind {
            Kind::Constant(range) => range,
            _ => {
                owned = self.eval(range)?;
                &owned
            }
        };
        match range {
            Value::List(list) => {
                for item in list.iter() {
                    let found = self
                        .budget
                        .spend(1)
                        .and_then(|()| equal(&wanted, item, &mut self.budget));
                    match found {
                        Ok(true) => return Ok(true),
                        Ok(false) => {}
                        Err(fault) => return Err(self.fault(node, fault, &[])),
                    }
                }
                Ok(false)
            }
            Value::Map(map) => Ok(map.get(&wanted).is_some()),
            other => Err(self.fault(node, Fault::NoOverload, &[&wanted, other])),
        }
    }

    fn list(&mut self, node: &Node, items: &[(Node, bool)]) -> Result<Value, Failure> {
        let mut values = Vec::with_capacity(items.len());
        for (item, optional) in items {
            let value = self.eval(item)?;
            let value = self.settle(value);
            match (optional, value) {
                (false, value) => values.push(value),
                (true, Value::Optional(value)) => values.extend(value.as_deref().cloned()),
                (true, other) => return Err(self.fault(node, Fault::NoOverload, &[&other])),
            }
        }
        self.spend(node, 1 + values.len())?;
        Ok(values.into())
    }

    fn map(&mut self, node: &Node, entries: &[(Node, Node, bool)]) -> Result<Value, Failure> {
        let mut values = Vec::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let key = self.eval(key)?;
            let value = self.eval(value)?;
            let value = self.settle(value);
            match (optional, value) {
                (false, value) => values.push((key, value)),
                (true, Value::Optional(value)) => {
                    values.extend(value.as_deref().cloned().map(|value| (key, value)));
                }
                (true, other) => return Err(self.fault(node, Fault::NoOverload, &[&other])),
            }
        }
        self.spend(node, 1 + values.len())?;
        self.unique(node, values)
    }

    fn unique(&mut self, node: &Node, entries: Vec<(Value, Value)>) -> Result<Value, Failure> {
        Map::from_unique(entries)
            .map(|map| Value::Map(Arc::new(map)))
            .map_err(|key| {
                self.fail(
                    node,
                    format!("{} cannot be a key, or is one twice", brief(&key)),
                )
            })
    }

    fn bind(&mut self, bind: &Bind, node: &Node) -> Result<Value, Failure> {
        let init = self.eval(&bind.init)?;
        let value = match (bind.how, init) {
            (Binding::Value, value) => value,
            (_, Value::Optional(None)) => return Ok(Value::NONE),
            (_, Value::Optional(Some(value))) => Value::clone(&value),
            (_, other) => return Err(self.fault(node, Fault::NoOverload, &[&other])),
        };
        self.locals[usize::from(bind.slot)] = value;
        let result = self.eval(&bind.body)?;
        match (bind.how, result) {
            (Binding::OptionalMap, result) => Ok(Value::some(result)),
            (Binding::OptionalFlatMap, result @ Value::Optional(_)) => Ok(result),
            (Binding::OptionalFlatMap, other) => {
                Err(self.fault(node, Fault::NoOverload, &[&other]))
            }
            (Binding::Value, result) => Ok(result),
        }
    }

    /// The range of a loop, with the names bound to its `at`-th element. False beyond the end.
    pub(super) fn enter(&mut self, each: &Loop, range: &Value, at: usize) -> bool {
        let (first, second) = match range {
            Value::List(list) => {
                let Some(item) = list.get(at) else {
                    return false;
                };
                match each.second {
                    Some(_) => (Value::Int(at as i64), Some(item.clone())),
                    None => (item.clone(), None),
                }
            }
            Value::Map(map) => {
                let Some((key, value)) = map.entry(at) else {
                    return false;
                };
                (key.clone(), each.second.map(|_| value.clone()))
            }
            _ => return false,
        };
        self.locals[usize::from(each.first)] = first;
        if let (Some(slot), Some(second)) = (each.second, second) {
            self.locals[usize::from(slot)] = second;
        }
        true
    }

    pub(super) fn local(&self, slot: u16) -> &Value {
        &self.locals[usize::from(slot)]
    }

    pub(super) fn range(&mut self, node: &Node, each: &Loop) -> Result<Value, Failure> {
        match self.eval(&each.range)? {
            range @ (Value::List(_) | Value::Map(_)) => Ok(range),
            other => {
                let message = format!("a list or a map is needed here, not {}", short_type(&other));
                Err(self.fail(
                    if matches!(each.range.kind, Kind::Constant(_)) {
                        node
                    } else {
                        &each.range
                    },
                    message,
                ))
            }
        }
    }

    /// `all` and `exists`: the element that decides wins over errors of others.
    fn quantify(&mut self, node: &Node, each: &Loop) -> Result<bool, Failure> {
        let range = self.range(node, each)?;
        let deciding = each.how == LoopKind::Exists;
        let mut first_error = None;
        let mut at = 0;
        while self.enter(each, &range, at) {
            self.spend(&each.body, 1)?;
            match self.test(&each.body) {
                Ok(value) if value == deciding => return Ok(deciding),
                Ok(_) => {}
                Err(error) if error.exhausted => return Err(error),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
            at += 1;
        }
        first_error.map_or(Ok(!deciding), Err)
    }

    fn each(&mut self, node: &Node, each: &Loop) -> Result<Value, Failure> {
        match each.how {
            LoopKind::All | LoopKind::Exists => self.quantify(node, each).map(Value::Bool),
            LoopKind::ExistsOne => {
                let range = self.range(node, each)?;
                let (mut at, mut found) = (0, 0usize);
                while self.enter(each, &range, at) {
                    self.spend(&each.body, 1)?;
                    found += usize::from(self.test(&each.body)?);
                    at += 1;
                }
                Ok(Value::Bool(found == 1))
            }
            LoopKind::Filter | LoopKind::Map | LoopKind::SortBy => self.each_to_list(node, each),
            LoopKind::TransformMap | LoopKind::TransformMapEntry => self.each_to_map(node, each),
        }
    }

    fn takes_part(&mut self, each: &Loop) -> Result<bool, Failure> {
        self.spend(&each.body, 1)?;
        match &each.filter {
            Some(filter) => self.test(filter),
            None => Ok(true),
        }
    }

    fn each_to_list(&mut self, node: &Node, each: &Loop) -> Result<Value, Failure> {
        let range = self.range(node, each)?;
        let mut made = Vec::new();
        let mut at = 0;
        while self.enter(each, &range, at) {
            at += 1;
            if !self.takes_part(each)? {
                continue;
            }
            self.budget
                .fits_items(made.len() + 1)
                .map_err(|fault| self.fault(node, fault, &[]))?;
            if each.how == LoopKind::Filter {
                if self.test(&each.body)? {
                    made.push(self.locals[usize::from(each.first)].clone());
                }
            } else {
                let value = self.eval(&each.body)?;
                made.push(self.settle(value));
            }
        }
        match (&each.how, &range) {
            (LoopKind::SortBy, Value::List(list)) => {
                super::functions::sort_by_keys(&mut self.budget, list, &made)
                    .map_err(|fault| self.fault(node, fault, &[]))
            }
            (LoopKind::SortBy, other) => Err(self.fault(node, Fault::NoOverload, &[other])),
            _ => Ok(made.into()),
        }
    }

    fn each_to_map(&mut self, node: &Node, each: &Loop) -> Result<Value, Failure> {
        let range = self.range(node, each)?;
        let mut made = Vec::new();
        let mut at = 0;
        while self.enter(each, &range, at) {
            at += 1;
            if !self.takes_part(each)? {
                continue;
            }
            self.budget
                .fits_items(made.len() + 1)
                .map_err(|fault| self.fault(node, fault, &[]))?;
            let value = self.eval(&each.body)?;
            if each.how == LoopKind::TransformMap {
                let key = self.locals[usize::from(each.first)].clone();
                made.push((key, self.settle(value)));
                continue;
            }
            match &value {
                Value::Map(entries) => {
                    self.spend(node, entries.len())?;
                    made.extend(
                        entries
                            .iter()
                            .map(|(key, value)| (key.clone(), value.clone())),
                    );
                }
                other => return Err(self.fault(node, Fault::NoOverload, &[other])),
            }
        }
        self.unique(node, made)
    }
}

/// Whether a comparison holds of an order.
pub(super) fn holds(how: Comparison, found: Ordering) -> bool {
    match how {
        Comparison::Equal => found.is_eq(),
        Comparison::NotEqual => found.is_ne(),
        Comparison::Less => found.is_lt(),
        Comparison::LessOrEqual => found.is_le(),
        Comparison::Greater => found.is_gt(),
        Comparison::GreaterOrEqual => found.is_ge(),
    }
}

/// The type as a message names it.
pub(super) fn short_type(value: &Value) -> &'static str {
    match value.type_name() {
        "google.protobuf.Duration" => "duration",
        "google.protobuf.Timestamp" => "timestamp",
        "null_type" => "null",
        "optional_type" => "optional",
        name => name,
    }
}

/// A key or an index, as a message shows it.
fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let clipped: String = text.chars().take(40).collect();
            format!("'{clipped}'")
        }
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Double(number) => number.to_string(),
        other => format!("a {}", short_type(other)),
    }
}

/// Whether a declared field has more than its default: an absent text is the empty one and an
/// absent score is 0.0, and `has()` is false of both, as it is of the fields of messages.
fn says_something(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Double(number) => *number != 0.0,
        _ => true,
    }
}
