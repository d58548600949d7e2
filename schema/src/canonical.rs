//! Canonical JSON: keys sorted, no white space, as RFC 8785 has it.
//!
//! The log hashes these bytes, so one value must have one text. Numbers are written as serde_json
//! writes them (the shortest form that reads back equal), which is RFC 8785's form but for
//! exponents; nothing Weir writes itself has one.

use serde::Serialize;
use serde_json::Value;

/// The canonical text of `value`.
///
/// # Panics
/// Never for the types of this crate: they have string keys and no failing serializers.
#[must_use]
pub fn to_string<T: Serialize>(value: &T) -> String {
    // `Value` keeps its objects in a sorted map: going through it is what sorts the keys.
    of_value(&serde_json::to_value(value).expect("types of the schema serialize"))
}

/// The canonical text of a JSON value.
///
/// # Panics
/// Never: a JSON value has string keys.
#[must_use]
pub fn of_value(value: &Value) -> String {
    serde_json::to_string(value).expect("a JSON value serializes")
}

/// The canonical text of what `json` says.
///
/// # Errors
/// If `json` is no JSON text.
pub fn from_slice(json: &[u8]) -> Result<String, serde_json::Error> {
    let value: Value = serde_json::from_slice(json)?;
    serde_json::to_string(&value)
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_value_has_one_text() {
        let check = |json: &str, canonical: &str| {
            assert_eq!(super::from_slice(json.as_bytes()).unwrap(), canonical);
        };
        check(
            r#"{ "b" : 1, "a" : [ 1.0, "é", "\u00e9" ], "A": null }"#,
            r#"{"A":null,"a":[1.0,"é","é"],"b":1}"#,
        );
        check(r#"{"b":{"z":0,"y":0.1}}"#, r#"{"b":{"y":0.1,"z":0}}"#);
    }
}
