//! Functions on numbers.

use super::super::budget::{Budget, Fault};
use super::super::compare::order;
use super::super::value::Value;
use super::{Function, function};
use std::cmp::Ordering;

pub(super) const TABLE: &[Function] = &[
    function(
        "math.greatest",
        &["math.greatest(list(T)) -> T", "math.greatest(T...) -> T"],
        "The largest of the numbers.",
        |budget, args| extreme(budget, args, Ordering::Greater),
    ),
    function(
        "math.least",
        &["math.least(list(T)) -> T", "math.least(T...) -> T"],
        "The smallest of the numbers.",
        |budget, args| extreme(budget, args, Ordering::Less),
    ),
    function(
        "math.ceil",
        &["math.ceil(double) -> double"],
        "The next whole number up.",
        |_, args| real(args, f64::ceil),
    ),
    function(
        "math.floor",
        &["math.floor(double) -> double"],
        "The next whole number down.",
        |_, args| real(args, f64::floor),
    ),
    function(
        "math.round",
        &["math.round(double) -> double"],
        "The nearest whole number, halves away from zero.",
        |_, args| real(args, f64::round),
    ),
    function(
        "math.trunc",
        &["math.trunc(double) -> double"],
        "Without its fraction.",
        |_, args| real(args, f64::trunc),
    ),
    function(
        "math.isInf",
        &["math.isInf(double) -> bool"],
        "Whether it is infinite.",
        |_, args| judge(args, f64::is_infinite),
    ),
    function(
        "math.isNaN",
        &["math.isNaN(double) -> bool"],
        "Whether it is not a number.",
        |_, args| judge(args, f64::is_nan),
    ),
    function(
        "math.isFinite",
        &["math.isFinite(double) -> bool"],
        "Whether it is neither infinite nor NaN.",
        |_, args| judge(args, f64::is_finite),
    ),
    function(
        "math.abs",
        &[
            "math.abs(double) -> double",
            "math.abs(int) -> int",
            "math.abs(uint) -> uint",
        ],
        "Without its sign.",
        abs,
    ),
    function(
        "math.sign",
        &[
            "math.sign(double) -> double",
            "math.sign(int) -> int",
            "math.sign(uint) -> uint",
        ],
        "-1, 0 or 1.",
        sign,
    ),
    function(
        "math.sqrt",
        &[
            "math.sqrt(double) -> double",
            "math.sqrt(int) -> double",
            "math.sqrt(uint) -> double",
        ],
        "The square root.",
        sqrt,
    ),
    function(
        "math.bitAnd",
        BIT_AND,
        "The bits that are set in both.",
        |_, args| bits(args, |a, b| a & b, |a, b| a & b),
    ),
    function(
        "math.bitOr",
        BIT_OR,
        "The bits that are set in either.",
        |_, args| bits(args, |a, b| a | b, |a, b| a | b),
    ),
    function(
        "math.bitXor",
        BIT_XOR,
        "The bits that are set in one.",
        |_, args| bits(args, |a, b| a ^ b, |a, b| a ^ b),
    ),
    function(
        "math.bitNot",
        &["math.bitNot(int) -> int", "math.bitNot(uint) -> uint"],
        "The bits that are not set.",
        bit_not,
    ),
    function(
        "math.bitShiftLeft",
        &[
            "math.bitShiftLeft(int, int) -> int",
            "math.bitShiftLeft(uint, int) -> uint",
        ],
        "The bits moved left by so many places.",
        |_, args| shift(args, true),
    ),
    function(
        "math.bitShiftRight",
        &[
            "math.bitShiftRight(int, int) -> int",
            "math.bitShiftRight(uint, int) -> uint",
        ],
        "The bits moved right by so many places, filled with zeros.",
        |_, args| shift(args, false),
    ),
];

const BIT_AND: &[&str] = &[
    "math.bitAnd(int, int) -> int",
    "math.bitAnd(uint, uint) -> uint",
];
const BIT_OR: &[&str] = &[
    "math.bitOr(int, int) -> int",
    "math.bitOr(uint, uint) -> uint",
];
const BIT_XOR: &[&str] = &[
    "math.bitXor(int, int) -> int",
    "math.bitXor(uint, uint) -> uint",
];

fn extreme(budget: &Budget, args: &[&Value], wanted: Ordering) -> Result<Value, Fault> {
    match args {
        [Value::List(list)] => {
            budget.spend(list.len())?;
            extreme_of(list.iter(), wanted)
        }
        numbers => extreme_of(numbers.iter().copied(), wanted),
    }
}

fn extreme_of<'a>(
    mut numbers: impl Iterator<Item = &'a Value>,
    wanted: Ordering,
) -> Result<Value, Fault> {
    let is_number =
        |value: &Value| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    let mut best = numbers
        .next()
        .ok_or_else(|| Fault::failed("there is no number to choose from"))?;
    if !is_number(best) {
        return Err(Fault::NoOverload);
    }
    for number in numbers {
        if !is_number(number) {
            return Err(Fault::NoOverload);
        }
        if order(number, best) == Some(wanted) {
            best = number;
        }
    }
    Ok(best.clone())
}

fn real(args: &[&Value], function: fn(f64) -> f64) -> Result<Value, Fault> {
    match args {
        [Value::Double(number)] => Ok(Value::Double(function(*number))),
        _ => Err(Fault::NoOverload),
    }
}

fn judge(args: &[&Value], function: fn(f64) -> bool) -> Result<Value, Fault> {
    match args {
        [Value::Double(number)] => Ok(Value::Bool(function(*number))),
        _ => Err(Fault::NoOverload),
    }
}

fn abs(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Double(number)] => Ok(Value::Double(number.abs())),
        [Value::Int(number)] => number
            .checked_abs()
            .map(Value::Int)
            .ok_or_else(|| Fault::failed("integer overflow")),
        [Value::Uint(number)] => Ok(Value::Uint(*number)),
        _ => Err(Fault::NoOverload),
    }
}

fn sign(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Double(number)] if *number == 0.0 => Ok(Value::Double(0.0)),
        [Value::Double(number)] if number.is_nan() => Ok(Value::Double(*number)),
        [Value::Double(number)] => Ok(Value::Double(number.signum())),
        [Value::Int(number)] => Ok(Value::Int(number.signum())),
        [Value::Uint(number)] => Ok(Value::Uint((*number).min(1))),
        _ => Err(Fault::NoOverload),
    }
}

fn sqrt(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Double(number)] => Ok(Value::Double(number.sqrt())),
        [Value::Int(number)] => Ok(Value::Double((*number as f64).sqrt())),
        [Value::Uint(number)] => Ok(Value::Double((*number as f64).sqrt())),
        _ => Err(Fault::NoOverload),
    }
}

fn bits(
    args: &[&Value],
    signed: fn(i64, i64) -> i64,
    unsigned: fn(u64, u64) -> u64,
) -> Result<Value, Fault> {
    match args {
        [Value::Int(a), Value::Int(b)] => Ok(Value::Int(signed(*a, *b))),
        [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(unsigned(*a, *b))),
        _ => Err(Fault::NoOverload),
    }
}

fn bit_not(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Int(number)] => Ok(Value::Int(!number)),
        [Value::Uint(number)] => Ok(Value::Uint(!number)),
        _ => Err(Fault::NoOverload),
    }
}

fn shift(args: &[&Value], left: bool) -> Result<Value, Fault> {
    let (bits, places) = match args {
        [Value::Int(number), Value::Int(places)] => (*number as u64, *places),
        [Value::Uint(number), Value::Int(places)] => (*number, *places),
        _ => return Err(Fault::NoOverload),
    };
    let places = u32::try_from(places).map_err(|_| match places {
        ..0 => Fault::failed("the number of places is negative"),
        _ => Fault::failed("the number of places is too large"),
    });
    let shifted = match places {
        Ok(places) if left => bits.checked_shl(places).unwrap_or(0),
        Ok(places) => bits.checked_shr(places).unwrap_or(0),
        Err(fault) if matches!(args, [_, Value::Int(..0)]) => return Err(fault),
        Err(_) => 0,
    };
    Ok(match args {
        [Value::Int(_), _] => Value::Int(shifted as i64),
        _ => Value::Uint(shifted),
    })
}
