//! Values from and to JSON.

use super::environment::Environment;
use super::functions::to_base64;
use super::map::Map;
use super::record::{Facts, Record};
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
    /// the name of its type; [`Environment::to_json`] gives its fields.
    ///
    /// For values that are known to be small: what an expression makes may be far larger as JSON
    /// than it is in memory.
    pub fn to_json(&self) -> Json {
        let mut writer = Writer {
            environment: None,
            left: usize::MAX,
            single: false,
        };
        writer.value(self).unwrap_or_default()
    }

    /// As [`Value::to_json`]; `None` if more than `most` values are in it.
    pub(super) fn to_json_within(&self, most: usize) -> Option<Json> {
        let mut writer = Writer {
            environment: None,
            left: most,
            single: false,
        };
        writer.value(self)
    }
}

impl Environment {
    /// A value as JSON, with the fields of records that are present; one that cannot be read says
    /// why, under the key `unreadable`. `None` if more than `most` values are in it.
    ///
    /// `facts` are those that the value was made of: records may be only numbers there.
    pub fn to_json(&self, value: &Value, facts: &dyn Facts, most: usize) -> Option<Json> {
        let mut writer = Writer {
            environment: Some((self, facts)),
            left: most,
            single: false,
        };
        writer.value(value)
    }

    /// A record as JSON, without the fields that are made of many values.
    pub(super) fn single_values(&self, record: &Value, facts: &dyn Facts) -> Json {
        let mut writer = Writer {
            environment: Some((self, facts)),
            left: usize::MAX,
            single: true,
        };
        writer.value(record).unwrap_or_default()
    }
}

/// Writes a value within a bound: lists within lists share in memory what JSON repeats.
struct Writer<'a> {
    environment: Option<(&'a Environment, &'a dyn Facts)>,
    left: usize,
    /// Leaves out fields of records that are lists, maps or records.
    single: bool,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> Option<Json> {
        self.left = self.left.checked_sub(1)?;
        Some(match value {
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
            Value::List(list) => {
                let items: Option<Vec<Json>> = list.iter().map(|item| self.value(item)).collect();
                Json::Array(items?)
            }
            Value::Map(map) => {
                let entries: Option<serde_json::Map<String, Json>> = map
                    .iter()
                    .map(|(key, value)| Some((key_text(key), self.value(value)?)))
                    .collect();
                Json::Object(entries?)
            }
            Value::Record(record) => self.record(record.as_ref())?,
            Value::Optional(Some(inner)) => self.value(inner)?,
            Value::Type(name) => (*name).into(),
            Value::Semver(version) => version.to_string().into(),
        })
    }

    fn record(&mut self, record: &dyn Record) -> Option<Json> {
        let name = record.type_name();
        let declared = self
            .environment
            .and_then(|(environment, facts)| Some((environment.record(name)?, facts)));
        let Some((declared, facts)) = declared else {
            return Some(name.into());
        };
        let mut fields = serde_json::Map::new();
        for (index, field) in (0u16..).zip(&declared.fields) {
            let read = match record.number() {
                Some(number) => facts.field(name, number, index).map_err(|error| *error),
                None => record.field(index).cloned().map_err(Clone::clone),
            };
            let json = match read {
                Ok(Value::Null) => continue,
                Ok(Value::List(_) | Value::Map(_) | Value::Record(_)) if self.single => continue,
                Ok(value) => self.value(&value)?,
                Err(error) => serde_json::json!({ "unreadable": error.message }),
            };
            fields.insert(field.name.to_owned(), json);
        }
        Some(Json::Object(fields))
    }
}

fn key_text(key: &Value) -> String {
    match key.to_json() {
        Json::String(text) => text,
        other => other.to_string(),
    }
}
