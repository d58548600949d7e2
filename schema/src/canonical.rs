//! Canonical JSON: keys sorted, no white space, as RFC 8785 has it.
//!
//! The log hashes these bytes, so one value must have one text. Numbers are written as serde_json
//! writes them (the shortest form that reads back equal), which is RFC 8785's form but for
//! exponents; nothing Weir writes itself has one.

mod check;
mod writer;

use serde::Serialize;
use serde_json::Value;

use writer::Writer;

/// The canonical text of `value`.
///
/// # Panics
/// Never for the types of this crate: they have string keys and no failing serializers.
#[must_use]
pub fn to_string<T: Serialize>(value: &T) -> String {
    /// What most decisions take: a text that grows is copied again and again.
    const ROOM: usize = 1024;
    let mut writer = Writer::with_room(ROOM);
    value
        .serialize(&mut writer)
        .expect("types of the schema serialize");
    String::from_utf8(writer.text).expect("JSON is text")
}

/// The canonical text of a JSON value.
///
/// # Panics
/// Never: a JSON value has string keys.
#[must_use]
pub fn of_value(value: &Value) -> String {
    // `Value` keeps its objects in a sorted map.
    serde_json::to_string(value).expect("a JSON value serializes")
}

/// The canonical text of what `json` says.
///
/// # Errors
/// If `json` is no JSON text.
pub fn from_slice(json: &[u8]) -> Result<String, serde_json::Error> {
    if let Ok(text) = std::str::from_utf8(json)
        && check::is_canonical(text)
    {
        return Ok(text.to_owned());
    }
    // `Value` keeps its objects in a sorted map: going through it is what sorts the keys.
    let value: Value = serde_json::from_slice(json)?;
    serde_json::to_string(&value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde_json::{json, value::RawValue};

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

    #[derive(Serialize)]
    enum Shape {
        Unit,
        One(u8),
        Two(u8, &'static str),
        Named { z: u8, a: Option<u8> },
    }

    #[derive(Serialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Some { b: i64, a: f64 },
    }

    #[derive(Serialize)]
    struct Everything {
        z: Vec<Shape>,
        tagged: Tagged,
        #[serde(flatten)]
        more: BTreeMap<String, f32>,
        numbers: BTreeMap<u8, char>,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
        raw: Box<RawValue>,
        pair: (u64, i64, bool),
        a: String,
        unit: (),
    }

    #[test]
    fn a_value_is_written_as_going_through_a_sorted_map_would() {
        let value = Everything {
            z: vec![
                Shape::Unit,
                Shape::One(1),
                Shape::Two(2, "\u{0}\n\"\\é"),
                Shape::Named { z: 3, a: None },
            ],
            tagged: Tagged::Some { b: -1, a: 0.1 },
            more: BTreeMap::from([("y".into(), 1.5), ("b\"".into(), f32::NAN)]),
            numbers: BTreeMap::from([(10, 'x'), (9, 'y')]),
            absent: None,
            raw: RawValue::from_string(r#"{ "b": 1, "a": [1, 2] }"#.into()).unwrap(),
            pair: (u64::MAX, i64::MIN, true),
            a: String::new(),
            unit: (),
        };
        let expected = serde_json::to_value(&value).unwrap().to_string();
        assert_eq!(super::to_string(&value), expected);
        for value in [
            json!({}),
            json!([]),
            json!(null),
            json!({"b": {"d": 1, "c": []}, "a": 1e300}),
        ] {
            assert_eq!(super::to_string(&value), value.to_string());
        }
    }
}
