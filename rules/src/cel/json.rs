//! Values from and to JSON.

use super::environment::Environment;
use super::functions::to_base64;
use super::map::Map;
use super::record::{Facts, Record};
use super::time::format_timestamp;
use super::value::Value;
use serde_json::Value as Json;
use std::sync::Arc;

/// How large a value may be as JSON: lists and maps within others share in memory what JSON repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// Values in it, itself among them. In memory one takes about 40 bytes, and a small map about
    /// 600 more.
    pub values: usize,
    /// Length of its text.
    pub bytes: usize,
}

impl JsonLimits {
    /// For an answer to whoever asks for a value. It takes less than 100 MB of memory; the list of
    /// all findings of a large image is a tenth of it.
    pub const ANSWER: JsonLimits = JsonLimits {
        values: 100_000,
        bytes: 8 * 1024 * 1024,
    };

    /// For a value that is known to be small.
    const NONE: JsonLimits = JsonLimits {
        values: usize::MAX,
        bytes: usize::MAX,
    };
}

/// A value that is too large as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// It is made of more than so many values.
    #[error("the value is made of more than {0} values: ask for a part of it, or for its `size()`")]
    Values(usize),
    /// Its text is longer than so many bytes.
    #[error("the value is more than {0} bytes as JSON: ask for a part of it, or for its `size()`")]
    Bytes(usize),
}

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
        Writer::new(None, &JsonLimits::NONE)
            .value(self)
            .unwrap_or_default()
    }

    /// As [`Value::to_json`], within limits.
    pub(super) fn to_json_within(&self, limits: &JsonLimits) -> Result<Json, TooLarge> {
        Writer::new(None, limits).value(self)
    }
}

impl Environment {
    /// A value as JSON, with the fields of records that are present; one that cannot be read says
    /// why, under the key `unreadable`.
    ///
    /// `facts` are those that the value was made of: records may be only numbers there.
    ///
    /// # Errors
    /// If it is too large, as soon as that is known.
    pub fn to_json(
        &self,
        value: &Value,
        facts: &dyn Facts,
        limits: &JsonLimits,
    ) -> Result<Json, TooLarge> {
        Writer::new(Some((self, facts)), limits).value(value)
    }

    /// A record as JSON, without the fields that are made of many values.
    pub(super) fn single_values(&self, record: &Value, facts: &dyn Facts) -> Json {
        let mut writer = Writer::new(Some((self, facts)), &JsonLimits::NONE);
        writer.single = true;
        writer.value(record).unwrap_or_default()
    }
}

/// Writes a value within limits, which are asked before anything is copied.
struct Writer<'a> {
    environment: Option<(&'a Environment, &'a dyn Facts)>,
    limits: &'a JsonLimits,
    left: JsonLimits,
    /// Leaves out fields of records that are lists, maps or records.
    single: bool,
}

impl<'a> Writer<'a> {
    fn new(
        environment: Option<(&'a Environment, &'a dyn Facts)>,
        limits: &'a JsonLimits,
    ) -> Writer<'a> {
        Writer {
            environment,
            limits,
            left: *limits,
            single: false,
        }
    }

    fn value(&mut self, value: &Value) -> Result<Json, TooLarge> {
        let values = self.left.values.checked_sub(1);
        self.left.values = values.ok_or(TooLarge::Values(self.limits.values))?;
        match value {
            Value::String(text) => self.text(text),
            Value::Bytes(bytes) => {
                self.spend(QUOTES + bytes.len().div_ceil(3) * 4)?;
                Ok(to_base64(bytes).into())
            }
            Value::List(list) => {
                self.spend(brackets(list.len()))?;
                let items: Result<Vec<Json>, TooLarge> =
                    list.iter().map(|item| self.value(item)).collect();
                Ok(Json::Array(items?))
            }
            Value::Map(map) => {
                let mut entries = serde_json::Map::new();
                self.spend(brackets(map.len()))?;
                for (key, value) in map.iter() {
                    let key = self.key(key)?;
                    entries.insert(key, self.value(value)?);
                }
                Ok(Json::Object(entries))
            }
            Value::Record(record) => self.record(record.as_ref()),
            Value::Optional(Some(inner)) => {
                self.left.values += 1;
                self.value(inner)
            }
            Value::Null | Value::Optional(None) => self.short(Json::Null),
            Value::Bool(value) => self.short(Json::Bool(*value)),
            Value::Int(number) => self.short((*number).into()),
            Value::Uint(number) => self.short((*number).into()),
            Value::Double(number) => self.short(match serde_json::Number::from_f64(*number) {
                Some(number) => Json::Number(number),
                None if number.is_nan() => "NaN".into(),
                None if *number > 0.0 => "Infinity".into(),
                None => "-Infinity".into(),
            }),
            Value::Duration(duration) | Value::Age(duration) | Value::Countdown(duration) => {
                self.short(duration.to_string().into())
            }
            Value::Timestamp(at) | Value::Now(at) => self.short(format_timestamp(*at).into()),
            Value::Type(name) => self.short((*name).into()),
            Value::Semver(version) => self.short(version.to_string().into()),
        }
    }

    fn record(&mut self, record: &dyn Record) -> Result<Json, TooLarge> {
        let name = record.type_name();
        let declared = self
            .environment
            .and_then(|(environment, facts)| Some((environment.record(name)?, facts)));
        let Some((declared, facts)) = declared else {
            return self.short(name.into());
        };
        let mut fields = serde_json::Map::new();
        self.spend(brackets(0))?;
        for (index, field) in (0u16..).zip(&declared.fields) {
            let read = match record.number() {
                Some(number) => facts.field(name, number, index).map_err(|error| *error),
                None => record.field(index).cloned().map_err(Clone::clone),
            };
            if matches!(read, Ok(Value::Null)) {
                continue;
            }
            let is_many = matches!(read, Ok(Value::List(_) | Value::Map(_) | Value::Record(_)));
            if is_many && self.single {
                continue;
            }
            let comma = usize::from(!fields.is_empty());
            self.spend(comma + text_length(field.name) + ":".len())?;
            let json = match read {
                Ok(value) => self.value(&value)?,
                Err(error) => self.short(serde_json::json!({ "unreadable": error.message }))?,
            };
            fields.insert(field.name.to_owned(), json);
        }
        Ok(Json::Object(fields))
    }

    fn key(&mut self, key: &Value) -> Result<String, TooLarge> {
        let text = match key {
            Value::String(text) => text.as_ref(),
            other => &other.to_json().to_string(),
        };
        self.spend(text_length(text) + ":".len())?;
        Ok(text.to_owned())
    }

    fn text(&mut self, text: &str) -> Result<Json, TooLarge> {
        self.spend(text_length(text))?;
        Ok(text.into())
    }

    /// What is known to be short, and so may be made first.
    fn short(&mut self, json: Json) -> Result<Json, TooLarge> {
        self.spend(json.to_string().len())?;
        Ok(json)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), TooLarge> {
        let left = self.left.bytes.checked_sub(bytes);
        self.left.bytes = left.ok_or(TooLarge::Bytes(self.limits.bytes))?;
        Ok(())
    }
}

const QUOTES: usize = 2;

/// The brackets around so many elements or entries, and the commas between them.
fn brackets(count: usize) -> usize {
    2 + count.saturating_sub(1)
}

/// The length of a text with its quotes and escapes.
fn text_length(text: &str) -> usize {
    let lengths = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => "\\u0000".len(),
        _ => 1,
    });
    QUOTES + lengths.sum::<usize>()
}
