//! `+ - * / %` and negation. Overflow is an error, never a wrapped number.

use super::ast::Arithmetic;
use super::budget::{Budget, Fault};
use super::time::{Duration, timestamp_from_nanos};
use super::value::Value;
use std::sync::Arc;

pub(super) fn apply(
    how: Arithmetic,
    a: &Value,
    b: &Value,
    budget: &Budget,
) -> Result<Value, Fault> {
    match how {
        Arithmetic::Add => add(a, b, budget),
        Arithmetic::Subtract => subtract(a, b),
        Arithmetic::Multiply => number(a, b, i64::checked_mul, u64::checked_mul, |a, b| a * b),
        Arithmetic::Divide => {
            refuse_zero(b, "division by zero")?;
            number(a, b, i64::checked_div, u64::checked_div, |a, b| a / b)
        }
        Arithmetic::Modulo => match (a, b) {
            (Value::Double(_), _) | (_, Value::Double(_)) => Err(Fault::NoOverload),
            _ => {
                refuse_zero(b, "modulus by zero")?;
                number(a, b, i64::checked_rem, u64::checked_rem, |a, b| a % b)
            }
        },
    }
}

pub(super) fn negate(value: &Value) -> Result<Value, Fault> {
    match value {
        Value::Int(number) => number.checked_neg().map(Value::Int).ok_or_else(overflow),
        Value::Double(number) => Ok(Value::Double(-number)),
        _ => Err(Fault::NoOverload),
    }
}

fn overflow() -> Fault {
    Fault::failed("the result is out of range")
}

fn refuse_zero(divisor: &Value, message: &str) -> Result<(), Fault> {
    match divisor {
        Value::Int(0) | Value::Uint(0) => Err(Fault::failed(message)),
        _ => Ok(()),
    }
}

fn number(
    a: &Value,
    b: &Value,
    int: fn(i64, i64) -> Option<i64>,
    uint: fn(u64, u64) -> Option<u64>,
    double: fn(f64, f64) -> f64,
) -> Result<Value, Fault> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(*a, *b).map(Value::Int).ok_or_else(overflow),
        (Value::Uint(a), Value::Uint(b)) => uint(*a, *b).map(Value::Uint).ok_or_else(overflow),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(double(*a, *b))),
        _ => Err(Fault::NoOverload),
    }
}

/// The sum of numbers, texts, bytes, lists, durations, or an instant and a duration. What moves
/// with the clock goes on moving.
pub(super) fn add(a: &Value, b: &Value, budget: &Budget) -> Result<Value, Fault> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => {
            budget.make_bytes(a.len() + b.len())?;
            Ok(Value::String([a.as_ref(), b.as_ref()].concat().into()))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            budget.make_bytes(a.len() + b.len())?;
            Ok(Value::Bytes([a.as_ref(), b.as_ref()].concat().into()))
        }
        (Value::List(a), Value::List(b)) => {
            budget.make_items(a.len() + b.len())?;
            Ok(Value::List(
                a.iter().chain(b.iter()).cloned().collect::<Arc<[_]>>(),
            ))
        }
        (Value::Duration(a), Value::Duration(b)) => Ok(Value::Duration(sum(*a, *b)?)),
        (Value::Age(a), Value::Duration(b)) | (Value::Duration(b), Value::Age(a)) => {
            Ok(Value::Age(sum(*a, *b)?))
        }
        (Value::Countdown(a), Value::Duration(b)) | (Value::Duration(b), Value::Countdown(a)) => {
            Ok(Value::Countdown(sum(*a, *b)?))
        }
        // One grows as the other shrinks: the sum stands still.
        (Value::Age(a), Value::Countdown(b)) | (Value::Countdown(b), Value::Age(a)) => {
            Ok(Value::Duration(sum(*a, *b)?))
        }
        (Value::Timestamp(at), Value::Duration(by))
        | (Value::Duration(by), Value::Timestamp(at)) => {
            shift(at.nanos() + i128::from(by.nanos())).map(Value::Timestamp)
        }
        (Value::Now(at), Value::Duration(by)) | (Value::Duration(by), Value::Now(at)) => {
            shift(at.nanos() + i128::from(by.nanos())).map(Value::Now)
        }
        (Value::Timestamp(at), Value::Age(by)) | (Value::Age(by), Value::Timestamp(at)) => {
            shift(at.nanos() + i128::from(by.nanos())).map(Value::Now)
        }
        (Value::Now(at), Value::Countdown(by)) | (Value::Countdown(by), Value::Now(at)) => {
            shift(at.nanos() + i128::from(by.nanos())).map(Value::Timestamp)
        }
        _ => number(a, b, i64::checked_add, u64::checked_add, |a, b| a + b),
    }
}

fn subtract(a: &Value, b: &Value) -> Result<Value, Fault> {
    match (a, b) {
        (Value::Duration(a), Value::Duration(b))
        | (Value::Age(a), Value::Age(b))
        | (Value::Countdown(a), Value::Countdown(b)) => Ok(Value::Duration(difference(*a, *b)?)),
        (Value::Age(a), Value::Duration(b)) | (Value::Duration(a), Value::Countdown(b)) => {
            Ok(Value::Age(difference(*a, *b)?))
        }
        (Value::Countdown(a), Value::Duration(b)) | (Value::Duration(a), Value::Age(b)) => {
            Ok(Value::Countdown(difference(*a, *b)?))
        }
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Now(a), Value::Now(b)) => {
            Ok(Value::Duration(between(a.nanos() - b.nanos())?))
        }
        (Value::Now(a), Value::Timestamp(b)) => Ok(Value::Age(between(a.nanos() - b.nanos())?)),
        (Value::Timestamp(a), Value::Now(b)) => {
            Ok(Value::Countdown(between(a.nanos() - b.nanos())?))
        }
        (Value::Timestamp(at), Value::Duration(by)) | (Value::Now(at), Value::Age(by)) => {
            shift(at.nanos() - i128::from(by.nanos())).map(Value::Timestamp)
        }
        (Value::Now(at), Value::Duration(by)) | (Value::Timestamp(at), Value::Countdown(by)) => {
            shift(at.nanos() - i128::from(by.nanos())).map(Value::Now)
        }
        _ => number(a, b, i64::checked_sub, u64::checked_sub, |a, b| a - b),
    }
}

fn sum(a: Duration, b: Duration) -> Result<Duration, Fault> {
    a.nanos()
        .checked_add(b.nanos())
        .map(Duration::from_nanos)
        .ok_or_else(overflow)
}

fn difference(a: Duration, b: Duration) -> Result<Duration, Fault> {
    a.nanos()
        .checked_sub(b.nanos())
        .map(Duration::from_nanos)
        .ok_or_else(overflow)
}

fn between(nanos: i128) -> Result<Duration, Fault> {
    i64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| overflow())
}

fn shift(nanos: i128) -> Result<weir_schema::Timestamp, Fault> {
    timestamp_from_nanos(nanos).ok_or_else(overflow)
}
