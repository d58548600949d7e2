//! Equality and order of values.
//!
//! Numbers of different kinds compare by what they are worth; values of different types are never
//! equal and have no order.

use super::budget::{Budget, Fault};
use super::value::Value;
use std::cmp::Ordering;

/// What is said of a comparison of records.
pub(super) const NO_RECORDS: &str = "records have no equality: compare their fields";

/// Whether the values are equal. Long lists and texts take steps of the budget.
pub(super) fn equal(a: &Value, b: &Value, budget: &Budget) -> Result<bool, Fault> {
    Ok(match (a, b) {
        (Value::String(a), Value::String(b)) => {
            if a.len() == b.len() {
                budget.read_bytes(a.len())?;
            }
            a == b
        }
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Null, Value::Null) => true,
        (Value::Bytes(a), Value::Bytes(b)) => {
            if a.len() == b.len() {
                budget.read_bytes(a.len())?;
            }
            a == b
        }
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            budget.spend(a.len())?;
            for (a, b) in a.iter().zip(b.iter()) {
                if !equal(a, b, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            budget.spend(a.len())?;
            for (key, value) in a.iter() {
                match b.look_up(key, budget)? {
                    Some(other) if equal(value, other, budget)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => return equal(a, b, budget),
        // Facts make them anew wherever they are read, so being the same one says nothing; and to
        // take equal ones for different would open a gate.
        (Value::Record(_), Value::Record(_)) => {
            return Err(Fault::failed(NO_RECORDS));
        }
        (a, b) => order(a, b) == Some(Ordering::Equal),
    })
}

/// To be called before `value` is compared with others, so many times.
pub(super) fn spend_comparing(value: &Value, times: usize, budget: &Budget) -> Result<(), Fault> {
    match value {
        Value::String(text) => budget.compare_bytes(text.len(), times),
        Value::Bytes(bytes) => budget.compare_bytes(bytes.len(), times),
        _ => Ok(()),
    }
}

/// The order of two values; `None` if there is none, as with NaN or values of different types.
pub(super) fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Int(a), Value::Double(b)) => order_with_double(i128::from(*a), *b),
        (Value::Uint(a), Value::Double(b)) => order_with_double(i128::from(*a), *b),
        (Value::Double(a), Value::Int(b)) => {
            order_with_double(i128::from(*b), *a).map(Ordering::reverse)
        }
        (Value::Double(a), Value::Uint(b)) => {
            order_with_double(i128::from(*b), *a).map(Ordering::reverse)
        }
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Semver(a), Value::Semver(b)) => Some(a.cmp_precedence(b)),
        (a, b) => match (nanos(a)?, nanos(b)?) {
            (Nanos::Duration(a), Nanos::Duration(b))
            | (Nanos::Timestamp(a), Nanos::Timestamp(b)) => Some(a.cmp(&b)),
            _ => None,
        },
    }
}

/// Whether two values have an order in principle, though perhaps not these two (NaN).
pub(super) fn are_comparable(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    (number(a) && number(b)) || order(a, b).is_some()
}

/// At the precision of the double, as CEL defines it.
fn order_with_double(whole: i128, number: f64) -> Option<Ordering> {
    (whole as f64).partial_cmp(&number)
}

/// A point on one of the two time scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nanos {
    Duration(i128),
    Timestamp(i128),
}

pub(super) fn nanos(value: &Value) -> Option<Nanos> {
    match value {
        Value::Duration(duration) | Value::Age(duration) | Value::Countdown(duration) => {
            Some(Nanos::Duration(duration.nanos().into()))
        }
        Value::Timestamp(at) | Value::Now(at) => Some(Nanos::Timestamp(at.nanos())),
        _ => None,
    }
}
