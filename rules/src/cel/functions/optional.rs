//! Values that may be absent.

use super::super::budget::{Budget, Fault};
use super::super::value::Value;
use super::{Function, function};
use std::sync::Arc;

const fn passing_on(mut function: Function) -> Function {
    function.passes_on = true;
    function
}

const fn defaulting(mut function: Function, default_of: fn(&Arc<Value>) -> Value) -> Function {
    function.passes_on = true;
    function.default_of = Some(default_of);
    function
}

pub(super) const TABLE: &[Function] = &[
    passing_on(function(
        "optional.of",
        &["optional.of(T) -> optional(T)"],
        "A present value.",
        of,
    )),
    function(
        "optional.none",
        &["optional.none() -> optional(T)"],
        "An absent value.",
        none,
    ),
    function(
        "optional.ofNonZeroValue",
        &["optional.ofNonZeroValue(T) -> optional(T)"],
        "The value, absent if it is zero or empty.",
        of_non_zero,
    ),
    passing_on(function(
        "hasValue",
        &["optional(T).hasValue() -> bool"],
        "Whether there is a value.",
        has_value,
    )),
    passing_on(function(
        "value",
        &["optional(T).value() -> T"],
        "The value; an error if there is none.",
        value,
    )),
    defaulting(
        function(
            "or",
            &["optional(T).or(optional(T)) -> optional(T)"],
            "This if there is a value, else the other.",
            or,
        ),
        |value| Value::Optional(Some(value.clone())),
    ),
    defaulting(
        function(
            "orValue",
            &["optional(T).orValue(T) -> T"],
            "The value, else the other.",
            or_value,
        ),
        |value| Value::clone(value),
    ),
    function(
        "optional.unwrap",
        &["optional.unwrap(list(optional(T))) -> list(T)"],
        "The values that there are.",
        unwrap,
    ),
    function(
        "unwrapOpt",
        &["list(optional(T)).unwrapOpt() -> list(T)"],
        "The values that there are.",
        unwrap,
    ),
];

fn of(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    args.first()
        .map(|value| Value::some(Value::clone(value)))
        .ok_or(Fault::NoOverload)
}

fn none(_: &Budget, _: &[&Value]) -> Result<Value, Fault> {
    Ok(Value::NONE)
}

fn of_non_zero(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [value] = args else {
        return Err(Fault::NoOverload);
    };
    let zero = match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Duration(duration) => duration.nanos() == 0,
        Value::Timestamp(at) => at.nanos() == 0,
        _ => false,
    };
    Ok(if zero {
        Value::NONE
    } else {
        Value::some(Value::clone(value))
    })
}

fn has_value(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => Err(Fault::NoOverload),
    }
}

fn value(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Optional(Some(value))] => Ok(Value::clone(value)),
        [Value::Optional(None)] => Err(Fault::failed("there is no value")),
        _ => Err(Fault::NoOverload),
    }
}

fn or(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Optional(None), other @ Value::Optional(_)] => Ok(Value::clone(other)),
        [value @ Value::Optional(Some(_)), Value::Optional(_)] => Ok(Value::clone(value)),
        _ => Err(Fault::NoOverload),
    }
}

fn or_value(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Optional(Some(value)), _] => Ok(Value::clone(value)),
        [Value::Optional(None), other] => Ok(Value::clone(other)),
        _ => Err(Fault::NoOverload),
    }
}

fn unwrap(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::List(list)] = args else {
        return Err(Fault::NoOverload);
    };
    budget.make_items(list.len())?;
    let mut values = Vec::new();
    for item in list.iter() {
        match item {
            Value::Optional(Some(value)) => values.push(Value::clone(value)),
            Value::Optional(None) => {}
            _ => return Err(Fault::NoOverload),
        }
    }
    Ok(values.into())
}
