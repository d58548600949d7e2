//! Base64.

use super::super::budget::{Budget, Fault};
use super::super::value::Value;
use super::{Function, function};

pub(super) const TABLE: &[Function] = &[
    function(
        "base64.encode",
        &["base64.encode(bytes) -> string"],
        "The bytes as base64.",
        encode,
    ),
    function(
        "base64.decode",
        &["base64.decode(string) -> bytes"],
        "The bytes that the base64 stands for.",
        decode,
    ),
];

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::Bytes(bytes)] = args else {
        return Err(Fault::NoOverload);
    };
    budget.make_bytes(bytes.len().div_ceil(3) * 4)?;
    Ok(to_base64(bytes).into())
}

fn decode(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::String(text)] = args else {
        return Err(Fault::NoOverload);
    };
    budget.make_bytes(text.len())?;
    from_base64(text)
        .map(|bytes| Value::Bytes(bytes.into()))
        .ok_or_else(|| Fault::failed("the text is not base64"))
}

/// Standard base64, padded.
pub(in super::super) fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0u32, |bits, byte| (bits << 8) | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            if place <= group.len() {
                let index = (bits >> (18 - 6 * place)) & 63;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

fn digit_value(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Standard base64, padded or not, in lines or not; `None` for anything else.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let in_one_line = text.replace(['\r', '\n'], "");
    let text = in_one_line.as_str();
    let digits = text
        .strip_suffix("==")
        .or_else(|| text.strip_suffix('='))
        .unwrap_or(text);
    if digits.len() != text.len() && !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.as_bytes().chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut bits = 0u32;
        for digit in group {
            bits = (bits << 6) | u32::from(digit_value(*digit)?);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}
