//! Lists used as sets.

use super::super::budget::{Budget, Fault};
use super::super::compare::equal;
use super::super::value::Value;
use super::{Function, function};

pub(super) const TABLE: &[Function] = &[
    function(
        "sets.contains",
        &["sets.contains(list(T), list(T)) -> bool"],
        "Whether the first list has every element of the second.",
        |budget, args| {
            let (a, b) = lists(args)?;
            Ok(Value::Bool(subset(b, a, budget)?))
        },
    ),
    function(
        "sets.equivalent",
        &["sets.equivalent(list(T), list(T)) -> bool"],
        "Whether both lists have the same elements, however often.",
        |budget, args| {
            let (a, b) = lists(args)?;
            Ok(Value::Bool(subset(a, b, budget)? && subset(b, a, budget)?))
        },
    ),
    function(
        "sets.intersects",
        &["sets.intersects(list(T), list(T)) -> bool"],
        "Whether some element is in both lists.",
        |budget, args| {
            let (a, b) = lists(args)?;
            for item in a {
                if contains(b, item, budget)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        },
    ),
];

fn lists<'a>(args: &[&'a Value]) -> Result<(&'a [Value], &'a [Value]), Fault> {
    match args {
        [Value::List(a), Value::List(b)] => Ok((a, b)),
        _ => Err(Fault::NoOverload),
    }
}

fn subset(part: &[Value], whole: &[Value], budget: &Budget) -> Result<bool, Fault> {
    for item in part {
        if !contains(whole, item, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn contains(list: &[Value], wanted: &Value, budget: &Budget) -> Result<bool, Fault> {
    for item in list {
        budget.spend(1)?;
        if equal(item, wanted, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}
