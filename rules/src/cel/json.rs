//! Values from and to JSON.

use super::functions::to_base64;
use super::map::Map;
use super::time::format_timestamp;
use super::value::Value;
use serde_json::Value as Json;
use std::sync::Arc;

impl Value {
    /// The value of a JSON document: whole numbers are integers (unsigned beyond the signed ones),
    /// others are doubles.
    pub fn from_json(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => {
                if let Some(number) = number.as_i64() {
                    Value::Int(number)
                } else if let Some(number) = number.as_u64() {
                    Value::Uint(number)
                } else {
                    Value::Double(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Json::String(text) => Value::String(text.as_str().into()),
            Json::Array(items) => Value::List(items.iter().map(Value::from_json).collect()),
            Json::Object(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.as_str().into(), Value::from_json(value)));
                Value::Map(Arc::new(Map::new(entries)))
            }
        }
    }

    /// The value as JSON: bytes in base64, times in RFC 3339, durations in seconds as `1.5s`,
    /// numbers that JSON lacks as texts, keys as texts, an absent optional as null. A record gives
    /// the name of its type: its fields are read only where they are named.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null | Value::Optional(None) => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(number) => (*number).into(),
            Value::Uint(number) => (*number).into(),
            Value::Double(number) => match serde_json::Number::from_f64(*number) {
                Some(number) => Json::Number(number),
                None if number.is_nan() => "NaN".into(),
                None if *number > 0.0 => "Infinity".into(),
                None => "-Infinity".into(),
            },
            Value::String(text) => text.as_ref().into(),
            Value::Bytes(bytes) => to_base64(bytes).into(),
            Value::Duration(duration) | Value::Age(duration) | Value::Countdown(duration) => {
                duration.to_string().into()
            }
            Value::Timestamp(at) | Value::Now(at) => format_timestamp(*at).into(),
            Value::List(list) => list.iter().map(Value::to_json).collect(),
            Value::Map(map) => {
                let entries = map
                    .iter()
                    .map(|(key, value)| (key_text(key), value.to_json()));
                Json::Object(entries.collect())
            }
            Value::Record(record) => record.type_name().into(),
            Value::Optional(Some(inner)) => inner.to_json(),
            Value::Type(name) => (*name).into(),
            Value::Semver(version) => version.to_string().into(),
        }
    }
}

fn key_text(key: &Value) -> String {
    match key.to_json() {
        Json::String(text) => text,
        other => other.to_string(),
    }
}
