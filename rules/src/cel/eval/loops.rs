//! Macros that visit the elements of a list or the entries of a map.

use super::super::ast::LoopKind;
use super::super::budget::Fault;
use super::super::functions::sort_by_keys;
use super::super::node::{Kind, Loop, Node};
use super::super::value::Value;
use super::error::{Failure, short_type};
use super::{Bound, Run, Scope};
use std::borrow::Cow;
use std::ops::ControlFlow;

impl Run<'_> {
    /// What the loop goes over: a list or a map.
    pub(in super::super) fn range<'s>(
        &'s self,
        node: &Node,
        each: &'s Loop,
        scope: Bound<'s>,
    ) -> Result<Cow<'s, Value>, Failure> {
        let range = self.value(&each.range, scope)?;
        if matches!(range.as_ref(), Value::List(_) | Value::Map(_)) {
            return Ok(range);
        }
        let found = short_type(&range);
        let place = if matches!(each.range.kind, Kind::Constant(_)) {
            node
        } else {
            &each.range
        };
        Err(self.fail(
            place,
            format!("a list or a map is needed here, not {found}"),
        ))
    }

    /// Calls `turn` with the names of the loop bound to each element in turn, and its place.
    pub(in super::super) fn visit<T>(
        &self,
        each: &Loop,
        range: &Value,
        scope: Bound<'_>,
        mut turn: impl FnMut(&Scope<'_>, usize) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        match range {
            Value::List(list) => {
                for (at, item) in list.iter().enumerate() {
                    match each.second {
                        None => turn(&bound(each.first, item, scope), at)?,
                        Some(second) => {
                            let index = Value::Int(at as i64);
                            let first = bound(each.first, &index, scope);
                            turn(&bound(second, item, Some(&first)), at)?;
                        }
                    }
                }
            }
            Value::Map(map) => {
                for (at, (key, value)) in map.iter().enumerate() {
                    let first = bound(each.first, key, scope);
                    match each.second {
                        None => turn(&first, at)?,
                        Some(second) => turn(&bound(second, value, Some(&first)), at)?,
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// `all` and `exists`: the element that decides wins over errors of others.
    pub(super) fn quantify(
        &self,
        node: &Node,
        each: &Loop,
        scope: Bound<'_>,
    ) -> Result<bool, Failure> {
        let range = self.range(node, each, scope)?;
        let deciding = each.how == LoopKind::Exists;
        let mut first_error = None;
        let decided = self.visit(each, &range, scope, |scope, _| {
            if let Err(error) = self.spend(&each.body, each.steps) {
                return ControlFlow::Break(Err(error));
            }
            match self.test(&each.body, Some(scope)) {
                Ok(value) if value == deciding => return ControlFlow::Break(Ok(deciding)),
                Ok(_) => {}
                Err(error) if error.exhausted => return ControlFlow::Break(Err(error)),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
            ControlFlow::Continue(())
        });
        match decided {
            ControlFlow::Break(result) => result,
            ControlFlow::Continue(()) => first_error.map_or(Ok(!deciding), Err),
        }
    }

    pub(super) fn each(
        &self,
        node: &Node,
        each: &Loop,
        scope: Bound<'_>,
    ) -> Result<Value, Failure> {
        match each.how {
            LoopKind::All | LoopKind::Exists => self.quantify(node, each, scope).map(Value::Bool),
            LoopKind::ExistsOne => {
                let mut found = 0usize;
                self.turns(node, each, scope, |scope| {
                    found += usize::from(self.test(&each.body, Some(scope))?);
                    Ok(())
                })?;
                Ok(Value::Bool(found == 1))
            }
            LoopKind::Filter | LoopKind::Map | LoopKind::SortBy => {
                self.each_to_list(node, each, scope)
            }
            LoopKind::TransformMap | LoopKind::TransformMapEntry => {
                self.each_to_map(node, each, scope)
            }
        }
    }

    /// Takes every turn that the loop's condition lets take part; gives what the loop went over.
    fn turns<'s>(
        &'s self,
        node: &Node,
        each: &'s Loop,
        scope: Bound<'s>,
        mut turn: impl FnMut(&Scope<'_>) -> Result<(), Failure>,
    ) -> Result<Cow<'s, Value>, Failure> {
        let range = self.range(node, each, scope)?;
        let ended = self.visit(each, &range, scope, |scope, _| {
            let result = self
                .spend(&each.body, each.steps)
                .and_then(|()| match &each.filter {
                    Some(filter) => self.test(filter, Some(scope)),
                    None => Ok(true),
                })
                .and_then(|takes_part| if takes_part { turn(scope) } else { Ok(()) });
            match result {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        match ended {
            ControlFlow::Continue(()) => Ok(range),
            ControlFlow::Break(error) => Err(error),
        }
    }

    fn each_to_list(&self, node: &Node, each: &Loop, scope: Bound<'_>) -> Result<Value, Failure> {
        let mut made: Vec<Value> = Vec::new();
        let range = self.turns(node, each, scope, |scope| {
            self.budget
                .fits_items(made.len() + 1)
                .map_err(self.fault_at(node))?;
            if each.how != LoopKind::Filter {
                let value = self.value(&each.body, Some(scope))?;
                made.push(self.settle(value).into_owned());
            } else if self.test(&each.body, Some(scope))? {
                made.push(self.local(node, Some(scope), each.first)?.clone());
            }
            Ok(())
        })?;
        match (each.how, range.as_ref()) {
            (LoopKind::SortBy, Value::List(list)) => {
                sort_by_keys(&self.budget, list, &made).map_err(self.fault_at(node))
            }
            (LoopKind::SortBy, other) => Err(self.fault(node, Fault::NoOverload, &[other])),
            _ => Ok(made.into()),
        }
    }

    fn each_to_map(&self, node: &Node, each: &Loop, scope: Bound<'_>) -> Result<Value, Failure> {
        let mut made = Vec::new();
        self.turns(node, each, scope, |scope| {
            self.budget
                .fits_items(made.len() + 1)
                .map_err(self.fault_at(node))?;
            let value = self.value(&each.body, Some(scope))?;
            if each.how == LoopKind::TransformMap {
                let key = self.local(node, Some(scope), each.first)?.clone();
                made.push((key, self.settle(value).into_owned()));
                return Ok(());
            }
            match value.as_ref() {
                Value::Map(entries) => {
                    self.spend(node, entries.len())?;
                    made.extend(
                        entries
                            .iter()
                            .map(|(key, value)| (key.clone(), value.clone())),
                    );
                    Ok(())
                }
                other => Err(self.fault(node, Fault::NoOverload, &[other])),
            }
        })?;
        self.unique(node, made)
    }
}

fn bound<'s>(slot: u16, value: &'s Value, outer: Bound<'s>) -> Scope<'s> {
    Scope {
        slot,
        value: Ok(value),
        outer,
    }
}
