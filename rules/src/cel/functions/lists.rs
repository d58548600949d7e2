//! Functions on lists.

use super::super::budget::{Budget, Fault};
use super::super::compare::{are_comparable, equal, order, spend_comparing};
use super::super::value::Value;
use super::{Function, function};
use std::cmp::Ordering;

pub(super) const TABLE: &[Function] = &[
    function(
        "lists.range",
        &["lists.range(int) -> list(int)"],
        "The numbers from 0 up to, but not including, the given one.",
        range,
    ),
    function(
        "slice",
        &["list(T).slice(int, int) -> list(T)"],
        "The elements from one place up to another.",
        slice,
    ),
    function(
        "flatten",
        &[
            "list(list(T)).flatten() -> list(T)",
            "list(dyn).flatten() -> list(dyn)",
            "list(dyn).flatten(int) -> list(dyn)",
        ],
        "With the elements of inner lists in their place, to a depth.",
        flatten,
    ),
    function(
        "distinct",
        &["list(T).distinct() -> list(T)"],
        "Each element once.",
        distinct,
    ),
    function(
        "reverse",
        &["list(T).reverse() -> list(T)", "string.reverse() -> string"],
        "In the opposite order.",
        reverse,
    ),
    function(
        "sort",
        &["list(T).sort() -> list(T)"],
        "In ascending order.",
        sort,
    ),
    function(
        "first",
        &["list(T).first() -> optional(T)"],
        "The first element, if there is one.",
        first,
    ),
    function(
        "last",
        &["list(T).last() -> optional(T)"],
        "The last element, if there is one.",
        last,
    ),
    function(
        "sum",
        &["list(T).sum() -> T"],
        "The sum of numbers or durations.",
        sum,
    ),
    function("min", &["list(T).min() -> T"], "The smallest element.", min),
    function("max", &["list(T).max() -> T"], "The largest element.", max),
];

fn range(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::Int(end)] = args else {
        return Err(Fault::NoOverload);
    };
    let length =
        usize::try_from(*end).map_err(|_| Fault::failed("the end of a range is negative"))?;
    budget.make_items(length)?;
    Ok((0..*end).map(Value::Int).collect::<Vec<_>>().into())
}

fn slice(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else {
        return Err(Fault::NoOverload);
    };
    let range =
        usize::try_from(*start).unwrap_or(usize::MAX)..usize::try_from(*end).unwrap_or(usize::MAX);
    match list.get(range) {
        Some(part) => {
            budget.make_items(part.len())?;
            Ok(part.to_vec().into())
        }
        None => Err(Fault::Failed(format!(
            "there is no range {start} to {end} in a list of {}",
            list.len()
        ))),
    }
}

fn flatten(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let (list, depth) = match args {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(depth)] if *depth >= 0 => (list, *depth),
        [Value::List(_), Value::Int(_)] => return Err(Fault::failed("the depth is negative")),
        _ => return Err(Fault::NoOverload),
    };
    let mut flat = Vec::new();
    flatten_into(&mut flat, list, depth, budget)?;
    Ok(flat.into())
}

/// A list is only as deep as the expression that made it, so the recursion is bounded.
fn flatten_into(
    flat: &mut Vec<Value>,
    list: &[Value],
    depth: i64,
    budget: &Budget,
) -> Result<(), Fault> {
    for item in list {
        budget.spend(1)?;
        budget.fits_items(flat.len())?;
        match item {
            Value::List(inner) if depth > 0 => flatten_into(flat, inner, depth - 1, budget)?,
            other => flat.push(other.clone()),
        }
    }
    Ok(())
}

fn distinct(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::List(list)] = args else {
        return Err(Fault::NoOverload);
    };
    let mut kept: Vec<Value> = Vec::new();
    'items: for item in list.iter() {
        budget.spend(1 + kept.len())?;
        for other in &kept {
            if equal(item, other, budget)? {
                continue 'items;
            }
        }
        kept.push(item.clone());
    }
    Ok(kept.into())
}

fn reverse(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::List(list)] => {
            budget.make_items(list.len())?;
            Ok(list.iter().rev().cloned().collect::<Vec<_>>().into())
        }
        [Value::String(text)] => {
            budget.make_bytes(text.len())?;
            Ok(text.chars().rev().collect::<String>().into())
        }
        _ => Err(Fault::NoOverload),
    }
}

fn sort(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::List(list)] = args else {
        return Err(Fault::NoOverload);
    };
    sort_by_keys(budget, list, list)
}

/// The elements in the order of their keys, equal ones as they were.
pub(in super::super) fn sort_by_keys(
    budget: &Budget,
    list: &[Value],
    keys: &[Value],
) -> Result<Value, Fault> {
    let rounds = list.len().max(2).ilog2() as usize;
    budget.make_items(list.len())?;
    budget.spend(list.len().saturating_mul(rounds))?;
    for key in keys {
        spend_comparing(key, rounds, budget)?;
    }
    // One type and no NaN: then the order is total, and sorting cannot go wrong.
    if let Some(first) = keys.first() {
        let odd = keys.iter().find(|key| {
            key.type_name() != first.type_name()
                || order(key, key).is_none()
                || !are_comparable(key, first)
        });
        if odd.is_some() {
            return Err(Fault::failed("the elements have no order among them"));
        }
    }
    let mut places: Vec<usize> = (0..list.len().min(keys.len())).collect();
    places.sort_by(|a, b| order(&keys[*a], &keys[*b]).unwrap_or(Ordering::Equal));
    Ok(places
        .into_iter()
        .map(|at| list[at].clone())
        .collect::<Vec<_>>()
        .into())
}

fn first(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::List(list)] = args else {
        return Err(Fault::NoOverload);
    };
    Ok(list.first().cloned().map_or(Value::NONE, Value::some))
}

fn last(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::List(list)] = args else {
        return Err(Fault::NoOverload);
    };
    Ok(list.last().cloned().map_or(Value::NONE, Value::some))
}

fn sum(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::List(list)] = args else {
        return Err(Fault::NoOverload);
    };
    let mut items = list.iter();
    let Some(first) = items.next() else {
        return Ok(Value::Int(0));
    };
    if !matches!(
        first,
        Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)
    ) {
        return Err(Fault::NoOverload);
    }
    budget.spend(list.len())?;
    items.try_fold(first.clone(), |sum, item| {
        super::super::arithmetic::add(&sum, item, budget)
    })
}

fn min(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    extreme(budget, args, Ordering::Less)
}

fn max(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    extreme(budget, args, Ordering::Greater)
}

fn extreme(budget: &Budget, args: &[&Value], wanted: Ordering) -> Result<Value, Fault> {
    let [Value::List(list)] = args else {
        return Err(Fault::NoOverload);
    };
    budget.spend(list.len())?;
    let mut items = list.iter();
    let mut best = items
        .next()
        .ok_or_else(|| Fault::failed("the list is empty"))?;
    for item in items {
        spend_comparing(item, 1, budget)?;
        match order(item, best) {
            Some(found) if found == wanted => best = item,
            Some(_) => {}
            None => return Err(Fault::NoOverload),
        }
    }
    Ok(best.clone())
}
