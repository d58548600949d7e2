//! Conversions between types, and `size`.

use super::super::budget::{Budget, Fault};
use super::super::time::{Duration, format_timestamp, parse_timestamp, timestamp_from_nanos};
use super::super::value::Value;
use super::{Function, function};

/// The longest text in bytes that is read as a number, a duration or a timestamp.
const MAX_NUMBER_LENGTH: usize = 1024;

pub(super) const TABLE: &[Function] = &[
    function(
        "size",
        &[
            "size(string) -> int",
            "size(bytes) -> int",
            "size(list(dyn)) -> int",
            "size(map(dyn, dyn)) -> int",
            "string.size() -> int",
            "bytes.size() -> int",
            "list(dyn).size() -> int",
            "map(dyn, dyn).size() -> int",
        ],
        "The number of characters, bytes, elements or entries.",
        size,
    ),
    function(
        "bool",
        &["bool(bool) -> bool", "bool(string) -> bool"],
        "A truth value from a text.",
        to_bool,
    ),
    function(
        "int",
        &[
            "int(int) -> int",
            "int(uint) -> int",
            "int(double) -> int",
            "int(string) -> int",
            "int(timestamp) -> int",
        ],
        "A signed integer; of a timestamp its seconds since 1970.",
        to_int,
    ),
    function(
        "uint",
        &[
            "uint(uint) -> uint",
            "uint(int) -> uint",
            "uint(double) -> uint",
            "uint(string) -> uint",
        ],
        "An unsigned integer.",
        to_uint,
    ),
    function(
        "double",
        &[
            "double(double) -> double",
            "double(int) -> double",
            "double(uint) -> double",
            "double(string) -> double",
        ],
        "A floating point number.",
        to_double,
    ),
    function(
        "string",
        &[
            "string(string) -> string",
            "string(bool) -> string",
            "string(int) -> string",
            "string(uint) -> string",
            "string(double) -> string",
            "string(bytes) -> string",
            "string(timestamp) -> string",
            "string(duration) -> string",
            "string(semver) -> string",
        ],
        "The value as text.",
        to_string,
    ),
    function(
        "bytes",
        &["bytes(bytes) -> bytes", "bytes(string) -> bytes"],
        "The bytes of a text in UTF-8.",
        to_bytes,
    ),
    function(
        "duration",
        &[
            "duration(duration) -> duration",
            "duration(string) -> duration",
        ],
        "A duration such as `72h`, `1h30m` or `1.5s`.",
        to_duration,
    ),
    function(
        "timestamp",
        &[
            "timestamp(timestamp) -> timestamp",
            "timestamp(string) -> timestamp",
            "timestamp(int) -> timestamp",
        ],
        "An instant, from RFC 3339 or the seconds since 1970.",
        to_timestamp,
    ),
    function(
        "type",
        &["type(dyn) -> type"],
        "The type of the value.",
        type_of,
    ),
    function(
        "dyn",
        &["dyn(dyn) -> dyn"],
        "The value, with its type left to run time.",
        as_dyn,
    ),
];

fn size(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let size = match args {
        [Value::String(text)] => {
            budget.read_bytes(text.len())?;
            text.chars().count()
        }
        [Value::Bytes(bytes)] => bytes.len(),
        [Value::List(list)] => list.len(),
        [Value::Map(map)] => map.len(),
        _ => return Err(Fault::NoOverload),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn to_bool(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Bool(value)] => Ok(Value::Bool(*value)),
        [Value::String(text)] => match text.as_ref() {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(unreadable(text, "bool")),
        },
        _ => Err(Fault::NoOverload),
    }
}

fn unreadable(text: &str, what: &str) -> Fault {
    let clipped: String = text.chars().take(40).collect();
    Fault::Failed(format!("`{clipped}` is no {what}"))
}

/// The text, if it may be read as a number: one with more digits than any number needs takes the
/// longer to read the more there are.
fn short<'a>(budget: &Budget, text: &'a str, what: &str) -> Result<&'a str, Fault> {
    if text.len() > MAX_NUMBER_LENGTH {
        return Err(Fault::Failed(format!(
            "a text of {} bytes is no {what}, at most {MAX_NUMBER_LENGTH} are read",
            text.len()
        )));
    }
    budget.read_bytes(text.len())?;
    Ok(text)
}

fn to_int(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Int(value)] => Ok(Value::Int(*value)),
        [Value::Uint(value)] => i64::try_from(*value)
            .map(Value::Int)
            .map_err(|_| out_of_range("int")),
        // The bounds themselves are out: as doubles they are no exact integers any more.
        [Value::Double(value)] if *value > i64::MIN as f64 && *value < i64::MAX as f64 => {
            Ok(Value::Int(value.trunc() as i64))
        }
        [Value::Double(_)] => Err(out_of_range("int")),
        [Value::String(text)] => short(budget, text, "int")?
            .parse()
            .map(Value::Int)
            .map_err(|_| unreadable(text, "int")),
        [Value::Timestamp(at)] => Ok(Value::Int(at.datetime().timestamp())),
        _ => Err(Fault::NoOverload),
    }
}

fn out_of_range(what: &str) -> Fault {
    Fault::Failed(format!("out of the range of {what}"))
}

fn to_uint(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Uint(value)] => Ok(Value::Uint(*value)),
        [Value::Int(value)] => u64::try_from(*value)
            .map(Value::Uint)
            .map_err(|_| out_of_range("uint")),
        [Value::Double(value)] if *value >= 0.0 && *value < u64::MAX as f64 => {
            Ok(Value::Uint(value.trunc() as u64))
        }
        [Value::Double(_)] => Err(out_of_range("uint")),
        // Unlike an int it has no sign.
        [Value::String(text)] if text.starts_with('+') => Err(unreadable(text, "uint")),
        [Value::String(text)] => short(budget, text, "uint")?
            .parse()
            .map(Value::Uint)
            .map_err(|_| unreadable(text, "uint")),
        _ => Err(Fault::NoOverload),
    }
}

fn to_double(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Double(value)] => Ok(Value::Double(*value)),
        [Value::Int(value)] => Ok(Value::Double(*value as f64)),
        [Value::Uint(value)] => Ok(Value::Double(*value as f64)),
        [Value::String(text)] => short(budget, text, "double")?
            .parse()
            .map(Value::Double)
            .map_err(|_| unreadable(text, "double")),
        _ => Err(Fault::NoOverload),
    }
}

fn to_string(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let text = match args {
        [Value::String(text)] => return Ok(Value::String(text.clone())),
        [Value::Bool(value)] => value.to_string(),
        [Value::Int(value)] => value.to_string(),
        [Value::Uint(value)] => value.to_string(),
        [Value::Double(value)] => format_double(*value),
        [Value::Bytes(bytes)] => {
            budget.make_bytes(bytes.len())?;
            std::str::from_utf8(bytes)
                .map_err(|_| Fault::failed("the bytes are not UTF-8"))?
                .to_owned()
        }
        [Value::Timestamp(at)] => format_timestamp(*at),
        [Value::Duration(duration)] => duration.to_string(),
        [Value::Semver(version)] => version.to_string(),
        _ => return Err(Fault::NoOverload),
    };
    budget.make_bytes(text.len())?;
    Ok(text.into())
}

/// In the fewest digits that read back as the same number, with an exponent from a million up and
/// below a ten-thousandth: what `%g` of Go gives, and so cel-go.
fn format_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => {
                let (sign, exponent) = match exponent.strip_prefix('-') {
                    Some(exponent) => ('-', exponent),
                    None => ('+', exponent),
                };
                format!("{digits}e{sign}{exponent:0>2}")
            }
            None => text,
        };
    }
    value.to_string()
}

fn to_bytes(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
        [Value::String(text)] => {
            budget.make_bytes(text.len())?;
            Ok(Value::Bytes(text.as_bytes().into()))
        }
        _ => Err(Fault::NoOverload),
    }
}

fn to_duration(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Duration(duration)] => Ok(Value::Duration(*duration)),
        [Value::String(text)] => Duration::parse(short(budget, text, "duration")?)
            .map(Value::Duration)
            .ok_or_else(|| unreadable(text, "duration")),
        _ => Err(Fault::NoOverload),
    }
}

fn to_timestamp(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::Timestamp(at)] => Ok(Value::Timestamp(*at)),
        [Value::String(text)] => parse_timestamp(short(budget, text, "timestamp")?)
            .map(Value::Timestamp)
            .ok_or_else(|| unreadable(text, "timestamp such as `2026-01-31T00:00:00Z`")),
        [Value::Int(seconds)] => timestamp_from_nanos(i128::from(*seconds) * 1_000_000_000)
            .map(Value::Timestamp)
            .ok_or_else(|| out_of_range("timestamp")),
        _ => Err(Fault::NoOverload),
    }
}

fn type_of(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [value] => Ok(Value::Type(value.type_name())),
        _ => Err(Fault::NoOverload),
    }
}

fn as_dyn(_: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    args.first()
        .map(|value| Value::clone(value))
        .ok_or(Fault::NoOverload)
}
