//! `string.format(list)`: `%s`, `%d`, `%f`, `%e`, `%b`, `%x`, `%X`, `%o`, each with its argument.

use super::super::budget::{Budget, Fault};
use super::super::time::format_timestamp;
use super::super::value::Value;

const DEFAULT_PRECISION: usize = 6;

/// Digits are written out, so the precision bounds what one argument becomes.
const MAX_PRECISION: usize = 100;

pub(super) fn format(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::String(format), Value::List(args)] = args else {
        return Err(Fault::NoOverload);
    };
    budget.read_bytes(format.len())?;
    let mut args = args.iter();
    let mut out = String::new();
    let mut rest = format.as_ref();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            budget.spend(1)?;
            out.push('%');
            rest = after;
            continue;
        }
        let (precision, after) = precision(rest)?;
        let mut letters = after.chars();
        let letter = letters.next().ok_or_else(|| {
            Fault::failed("the format ends within a place: a percent sign is written `%%`")
        })?;
        rest = letters.as_str();
        let arg = args
            .next()
            .ok_or_else(|| Fault::failed("the format has more places than arguments"))?;
        let before = out.len();
        write(&mut out, letter, precision, arg, budget)?;
        budget.make_bytes(out.len() - before)?;
        budget.fits_bytes(out.len())?;
    }
    budget.make_bytes(out.len() + rest.len())?;
    out.push_str(rest);
    Ok(out.into())
}

fn precision(place: &str) -> Result<(usize, &str), Fault> {
    let Some(rest) = place.strip_prefix('.') else {
        return Ok((DEFAULT_PRECISION, place));
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    match rest[..end].parse() {
        Ok(precision) if precision <= MAX_PRECISION => Ok((precision, &rest[end..])),
        _ => Err(Fault::Failed(format!(
            "a precision is a number up to {MAX_PRECISION}"
        ))),
    }
}

fn write(
    out: &mut String,
    letter: char,
    precision: usize,
    arg: &Value,
    budget: &Budget,
) -> Result<(), Fault> {
    let text = match (letter, arg) {
        ('s', arg) => return write_text(out, arg, budget),
        ('d', Value::Int(number)) => number.to_string(),
        ('d', Value::Uint(number)) => number.to_string(),
        ('d', Value::Double(number)) => double(*number),
        ('f' | 'e', Value::Int(number)) => fraction(letter, *number as f64, precision),
        ('f' | 'e', Value::Uint(number)) => fraction(letter, *number as f64, precision),
        ('f' | 'e', Value::Double(number)) => fraction(letter, *number, precision),
        ('b', Value::Bool(value)) => u8::from(*value).to_string(),
        ('b', Value::Int(number)) => format!("{}{:b}", sign(*number), number.unsigned_abs()),
        ('b', Value::Uint(number)) => format!("{number:b}"),
        ('o', Value::Int(number)) => format!("{}{:o}", sign(*number), number.unsigned_abs()),
        ('o', Value::Uint(number)) => format!("{number:o}"),
        ('x', Value::Int(number)) => format!("{}{:x}", sign(*number), number.unsigned_abs()),
        ('x', Value::Uint(number)) => format!("{number:x}"),
        ('X', Value::Int(number)) => format!("{}{:X}", sign(*number), number.unsigned_abs()),
        ('X', Value::Uint(number)) => format!("{number:X}"),
        ('x' | 'X', Value::String(text)) => hex(text.as_bytes(), letter, budget)?,
        ('x' | 'X', Value::Bytes(bytes)) => hex(bytes, letter, budget)?,
        ('d' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X', other) => {
            let message = format!(
                "`%{letter}` cannot show a value of type {}",
                other.type_name()
            );
            return Err(Fault::Failed(message));
        }
        _ => return Err(Fault::Failed(format!("`%{letter}` has no meaning"))),
    };
    out.push_str(&text);
    Ok(())
}

/// `%s`: any value, lists and maps included.
fn write_text(out: &mut String, arg: &Value, budget: &Budget) -> Result<(), Fault> {
    budget.spend(1)?;
    budget.fits_bytes(out.len())?;
    match arg {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Uint(number) => out.push_str(&number.to_string()),
        Value::Double(number) => out.push_str(&double(*number)),
        Value::String(text) => {
            budget.read_bytes(text.len())?;
            out.push_str(text);
        }
        Value::Bytes(bytes) => {
            budget.read_bytes(bytes.len())?;
            out.push_str(&String::from_utf8_lossy(bytes));
        }
        Value::Duration(duration) | Value::Age(duration) | Value::Countdown(duration) => {
            out.push_str(&duration.to_string());
        }
        Value::Timestamp(at) | Value::Now(at) => out.push_str(&format_timestamp(*at)),
        Value::Type(name) => out.push_str(name),
        Value::Semver(version) => out.push_str(&version.to_string()),
        Value::List(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_text(out, item, budget)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            let mut length = out.len();
            for (key, value) in map.iter() {
                let (mut left, mut right) = (String::new(), String::new());
                write_text(&mut left, key, budget)?;
                write_text(&mut right, value, budget)?;
                length += left.len() + right.len();
                budget.fits_bytes(length)?;
                entries.push((left, right));
            }
            // By the keys as they are shown: `1` and `"1"` are different keys.
            entries.sort();
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{key}: {value}"))
                .collect();
            out.push('{');
            out.push_str(&entries.join(", "));
            out.push('}');
        }
        Value::Record(_) | Value::Optional(_) => {
            let message = format!("`%s` cannot show a value of type {}", arg.type_name());
            return Err(Fault::Failed(message));
        }
    }
    Ok(())
}

fn not_finite(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number.is_infinite() {
        Some(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        })
    } else {
        None
    }
}

fn double(number: f64) -> String {
    not_finite(number).map_or_else(|| number.to_string(), str::to_owned)
}

fn fraction(letter: char, number: f64, precision: usize) -> String {
    if let Some(word) = not_finite(number) {
        return word.to_owned();
    }
    if letter == 'f' {
        return format!("{number:.precision$}");
    }
    let text = format!("{number:.precision$e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

fn sign(number: i64) -> &'static str {
    if number < 0 { "-" } else { "" }
}

fn hex(bytes: &[u8], letter: char, budget: &Budget) -> Result<String, Fault> {
    budget.make_bytes(bytes.len() * 2)?;
    Ok(bytes
        .iter()
        .map(|byte| {
            if letter == 'x' {
                format!("{byte:02x}")
            } else {
                format!("{byte:02X}")
            }
        })
        .collect())
}
