//! Lists and maps that are written out, and names that stand for a value.

use super::super::ast::Binding;
use super::super::budget::Fault;
use super::super::map::{Map, NoMap};
use super::super::node::{Bind, Node};
use super::super::value::Value;
use super::error::{Failure, brief};
use super::{Bound, Run, Scope};
use std::borrow::Cow;
use std::sync::Arc;

impl Run<'_> {
    pub(super) fn list(
        &self,
        node: &Node,
        items: &[(Node, bool)],
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        let mut values = Vec::with_capacity(items.len());
        for (item, optional) in items {
            let value = self.settle(self.value(item, scope)?).into_owned();
            match (optional, value) {
                (false, value) => values.push(value),
                (true, Value::Optional(value)) => values.extend(value.as_deref().cloned()),
                (true, other) => return Err(self.fault(node, Fault::NoOverload, &[&other])),
            }
        }
        self.spend(node, 2 + values.len())?;
        Ok(values.into())
    }

    pub(super) fn map(
        &self,
        node: &Node,
        entries: &[(Node, Node, bool)],
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        let mut values = Vec::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let key = self.value(key, scope)?.into_owned();
            let value = self.settle(self.value(value, scope)?).into_owned();
            match (optional, value) {
                (false, value) => values.push((key, value)),
                (true, Value::Optional(value)) => {
                    values.extend(value.as_deref().cloned().map(|value| (key, value)));
                }
                (true, other) => return Err(self.fault(node, Fault::NoOverload, &[&other])),
            }
        }
        self.spend(node, 2 + 2 * values.len())?;
        self.unique(node, values)
    }

    pub(super) fn unique(
        &self,
        node: &Node,
        entries: Vec<(Value, Value)>,
    ) -> Result<Value, Failure> {
        Map::from_unique(entries, &self.budget)
            .map(|map| Value::Map(Arc::new(map)))
            .map_err(|error| match error {
                NoMap::Twice(key) => {
                    let key = brief(&key);
                    self.fail(node, format!("the key {key} occurs twice"))
                }
                NoMap::NoKey(key) => {
                    let key = brief(&key);
                    let message =
                        format!("{key} cannot be a key: keys are bool, int, uint or string");
                    self.fail(node, message)
                }
                NoMap::Fault(fault) => self.fault(node, fault, &[]),
            })
    }

    pub(super) fn bind(
        &self,
        node: &Node,
        bind: &Bind,
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        let init = self.bound(&bind.init, scope)?;
        let value = match (bind.how, &init) {
            (Binding::Value, Ok(value)) => Ok(value.as_ref()),
            (Binding::Value, Err(error)) => Err(error.as_ref()),
            (_, Err(_)) => return init.map(Cow::into_owned),
            (_, Ok(init)) => match init.as_ref() {
                Value::Optional(None) => return Ok(Value::NONE),
                Value::Optional(Some(value)) => Ok(value.as_ref()),
                other => return Err(self.fault(node, Fault::NoOverload, &[other])),
            },
        };
        let inner = Scope {
            slot: bind.slot,
            value,
            outer: scope,
        };
        let result = self.value(&bind.body, Some(&inner))?.into_owned();
        match (bind.how, result) {
            (Binding::OptionalMap, result) => Ok(Value::some(result)),
            (Binding::OptionalFlatMap, result @ Value::Optional(_)) => Ok(result),
            (Binding::OptionalFlatMap, other) => {
                Err(self.fault(node, Fault::NoOverload, &[&other]))
            }
            (Binding::Value, result) => Ok(result),
        }
    }

    /// What a name is bound to: a value, or why there is none, which matters only where the name is
    /// read. Reaching a limit matters at once.
    pub(in super::super) fn bound<'s>(
        &'s self,
        init: &'s Node,
        scope: Bound<'s>,
    ) -> Result<Result<Cow<'s, Value>, Failure>, Failure> {
        match self.value(init, scope) {
            Err(error) if error.exhausted => Err(error),
            other => Ok(other),
        }
    }

    /// Binds one name after the other, each seeing those before it.
    pub(super) fn block(
        &self,
        bindings: &[(u16, Node)],
        body: &Node,
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        let Some(((slot, init), rest)) = bindings.split_first() else {
            return self.value(body, scope).map(|value| value.into_owned());
        };
        let value = self.bound(init, scope)?;
        let inner = Scope {
            slot: *slot,
            value: value.as_deref().map_err(|error| error.as_ref()),
            outer: scope,
        };
        self.block(rest, body, Some(&inner))
    }
}
