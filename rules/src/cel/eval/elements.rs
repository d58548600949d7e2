//! Fields of records and maps, elements of lists: there, absent, or an error.

use super::super::budget::Fault;
use super::super::node::{Kind, Node, Root, Select};
use super::super::value::Value;
use super::error::{Failure, brief, short_type};
use super::scope::find;
use super::{Bound, Run};
use std::borrow::Cow;

impl Run<'_> {
    /// The value of a constant, a name, or a chain of fields from one, where all of it is at hand.
    /// What takes more than that (also to say what is wrong) is left to the general way.
    #[inline(always)]
    pub(super) fn lent<'s>(&'s self, node: &'s Node, scope: Bound<'s>) -> Option<&'s Value> {
        match &node.kind {
            Kind::Select(select) => {
                let chain = select.chain.as_ref()?;
                let root = match chain.root {
                    Root::Local(slot) => find(scope, slot, &self.budget)?.ok()?,
                    Root::Variable(index) => self.facts.variable(index).ok()?,
                };
                let found = chain
                    .fields
                    .iter()
                    .try_fold(root, |value, index| match value {
                        Value::Record(record) => record.field(*index).ok(),
                        _ => None,
                    });
                found.filter(|value| !matches!(value, Value::Null))
            }
            Kind::Constant(value) => Some(value),
            Kind::Local(slot) => find(scope, *slot, &self.budget)?.ok(),
            Kind::Variable(index) => self.facts.variable(*index).ok(),
            _ => None,
        }
    }

    pub(super) fn select<'s>(
        &'s self,
        node: &'s Node,
        select: &'s Select,
        scope: Bound<'s>,
    ) -> Result<Cow<'s, Value>, Failure> {
        match self.value(&select.operand, scope)? {
            Cow::Borrowed(operand) => self.field_in(node, operand, select),
            Cow::Owned(operand) => self.field_in(node, &operand, select).map(owned),
        }
    }

    fn field_in<'v>(
        &self,
        node: &Node,
        operand: &'v Value,
        select: &Select,
    ) -> Result<Cow<'v, Value>, Failure> {
        if let Value::Optional(inner) = operand {
            let found = match inner {
                None => None,
                Some(inner) => self.present_field(node, inner, select)?,
            };
            return Ok(Cow::Owned(optional_field(found)));
        }
        match self.field(node, operand, select)? {
            Some(value) => Ok(value),
            None => Err(self.absent(node, select, operand)),
        }
    }

    pub(super) fn has(
        &self,
        node: &Node,
        select: &Select,
        scope: Bound<'_>,
    ) -> Result<bool, Failure> {
        let operand = self.value(&select.operand, scope)?;
        let found = match operand.as_ref() {
            Value::Optional(None) => None,
            Value::Optional(Some(inner)) => self.present_field(node, inner, select)?,
            other => self.present_field(node, other, select)?,
        };
        Ok(found.is_some())
    }

    pub(super) fn optional_select(
        &self,
        node: &Node,
        select: &Select,
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        let operand = self.value(&select.operand, scope)?;
        let operand = match operand.as_ref() {
            Value::Optional(inner) => inner.as_deref(),
            other => Some(other),
        };
        // What has no fields has not this one either.
        match operand.filter(|value| matches!(value, Value::Map(_) | Value::Record(_))) {
            Some(operand) => Ok(optional_field(self.present_field(node, operand, select)?)),
            None => Ok(Value::NONE),
        }
    }

    /// As [`Self::field`], but absent where it says nothing, whatever type the operand was known to
    /// have: `a.?b` is there where `has(a.b)` is true (CEL, optionals).
    fn present_field<'v>(
        &self,
        node: &Node,
        operand: &'v Value,
        select: &Select,
    ) -> Result<Option<Cow<'v, Value>>, Failure> {
        let found = self.field(node, operand, select)?;
        let is_record = matches!(operand, Value::Record(_));
        Ok(found.filter(|value| !is_record || says_something(value)))
    }

    /// The field of a record or the entry of a map; `None` if it is absent.
    #[inline]
    fn field<'v>(
        &self,
        node: &Node,
        operand: &'v Value,
        select: &Select,
    ) -> Result<Option<Cow<'v, Value>>, Failure> {
        let (record, index) = match (operand, select.index) {
            (Value::Record(record), Some(index)) => (record, index),
            (Value::Record(record), None) => {
                let declared = self.program.environment.record(record.type_name());
                let found = declared.and_then(|declared| declared.field(&select.name));
                let Some((index, _)) = found else {
                    let message = format!("no field '{}' in {}", select.name, record.type_name());
                    return Err(self.fail(node, message));
                };
                (record, index)
            }
            (Value::Map(map), _) => {
                let found = map.look_up_str(&select.name, &self.budget);
                return Ok(found.map_err(self.fault_at(node))?.map(Cow::Borrowed));
            }
            (other, _) => {
                let message = format!("{} has no fields", short_type(other));
                return Err(self.fail(node, message));
            }
        };
        if let Some(number) = record.number() {
            return match self.facts.field(record.type_name(), number, index) {
                Ok(Value::Null) => Ok(None),
                Ok(value) => Ok(Some(Cow::Owned(value))),
                Err(error) => Err(self.fail(node, error.message)),
            };
        }
        match record.field(index) {
            Ok(Value::Null) => Ok(None),
            Ok(value) => Ok(Some(Cow::Borrowed(value))),
            Err(error) => Err(self.fail(node, error.message.clone())),
        }
    }

    #[cold]
    fn absent(&self, node: &Node, select: &Select, operand: &Value) -> Failure {
        let message = match operand {
            Value::Map(_) => format!("no key '{}' in the map", select.name),
            _ => format!("`{}` is absent", select.name),
        };
        self.missing(node, message)
    }

    pub(super) fn index<'s>(
        &'s self,
        node: &'s Node,
        operands: &'s [Node; 2],
        scope: Bound<'s>,
    ) -> Result<Cow<'s, Value>, Failure> {
        let [operand, index] = operands;
        let operand = self.value(operand, scope)?;
        let index = self.value(index, scope)?;
        match operand {
            Cow::Borrowed(operand) => self.element_in(node, operand, &index),
            Cow::Owned(operand) => self.element_in(node, &operand, &index).map(owned),
        }
    }

    fn element_in<'v>(
        &self,
        node: &Node,
        operand: &'v Value,
        index: &Value,
    ) -> Result<Cow<'v, Value>, Failure> {
        if let Value::Optional(inner) = operand {
            let found = match inner {
                None => None,
                Some(inner) => self.element(node, inner, index)?,
            };
            return Ok(Cow::Owned(optional(found)));
        }
        match self.element(node, operand, index)? {
            Some(value) => Ok(Cow::Borrowed(value)),
            None => {
                let is_map = matches!(operand, Value::Map(_));
                let what = if is_map { "key" } else { "element" };
                Err(self.missing(node, format!("no {what} {}", brief(index))))
            }
        }
    }

    pub(super) fn optional_index(
        &self,
        node: &Node,
        operands: &[Node; 2],
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        let [operand, index] = operands;
        let operand = self.value(operand, scope)?;
        let index = self.value(index, scope)?;
        let found = match operand.as_ref() {
            Value::Optional(None) => None,
            Value::Optional(Some(inner)) => self.element_if_any(node, inner, &index)?,
            other => self.element_if_any(node, other, &index)?,
        };
        Ok(optional(found))
    }

    fn element_if_any<'v>(
        &self,
        node: &Node,
        operand: &'v Value,
        index: &Value,
    ) -> Result<Option<&'v Value>, Failure> {
        // What has no elements, or none under such an index, has not this one either.
        match (operand, index) {
            (_, Value::List(_) | Value::Map(_) | Value::Record(_) | Value::Null) => Ok(None),
            (Value::List(_), Value::Bool(_) | Value::String(_) | Value::Bytes(_)) => Ok(None),
            (Value::List(_) | Value::Map(_), _) => self.element(node, operand, index),
            _ => Ok(None),
        }
    }

    fn element<'v>(
        &self,
        node: &Node,
        operand: &'v Value,
        index: &Value,
    ) -> Result<Option<&'v Value>, Failure> {
        match operand {
            Value::Map(map) => match index {
                Value::Bool(_)
                | Value::Int(_)
                | Value::Uint(_)
                | Value::String(_)
                | Value::Double(_) => map
                    .look_up(index, &self.budget)
                    .map_err(self.fault_at(node)),
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
                Ok(at.and_then(|at| list.get(at)))
            }
            other => Err(self.fault(node, Fault::NoOverload, &[other, index])),
        }
    }
}

/// What was read from a value that does not live on.
fn owned<'v>(value: Cow<'_, Value>) -> Cow<'v, Value> {
    Cow::Owned(value.into_owned())
}

fn optional_field(found: Option<Cow<'_, Value>>) -> Value {
    found.map_or(Value::NONE, |value| Value::some(value.into_owned()))
}

fn optional(found: Option<&Value>) -> Value {
    found.map_or(Value::NONE, |value| Value::some(value.clone()))
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
