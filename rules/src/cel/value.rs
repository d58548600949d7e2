//! Values: what an expression yields and what the facts are made of.

use super::map::Map;
use super::record::Record;
use super::time::Duration;
use std::sync::Arc;
use weir_schema::Timestamp;

/// A CEL value. Cloning one never copies its content.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`; as a field of a record, an absent one.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating point number.
    Double(f64),
    /// Text.
    String(Arc<str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A span of time.
    Duration(Duration),
    /// An instant.
    Timestamp(Timestamp),
    /// An instant that moves with the clock, such as `now`. Made by the facts and by arithmetic on
    /// it; comparing it tells when the comparison will change.
    Now(Timestamp),
    /// A duration that grows with the clock, such as an age.
    Age(Duration),
    /// A duration that shrinks with the clock, such as the time left until an instant.
    Countdown(Duration),
    /// A list.
    List(Arc<[Value]>),
    /// A map, sorted by key.
    Map(Arc<Map>),
    /// A record with declared fields.
    Record(Arc<dyn Record>),
    /// A value that may be absent.
    Optional(Option<Arc<Value>>),
    /// A type, by its CEL name.
    Type(&'static str),
    /// A parsed semantic version.
    Semver(Arc<semver::Version>),
}

impl Value {
    /// The time from `since` to `now`, which grows as time passes.
    pub fn age(since: Timestamp, now: Timestamp) -> Value {
        Value::Age(Duration::between(since, now))
    }

    /// The absent optional, `optional.none()`.
    pub(super) const NONE: Value = Value::Optional(None);

    pub(super) fn some(value: Value) -> Value {
        Value::Optional(Some(Arc::new(value)))
    }

    /// The name of its type, as `type()` gives it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Duration(_) | Value::Age(_) | Value::Countdown(_) => "google.protobuf.Duration",
            Value::Timestamp(_) | Value::Now(_) => "google.protobuf.Timestamp",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Record(record) => record.type_name(),
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
            Value::Semver(_) => "semver",
        }
    }

    /// Whether the value changes as time passes.
    pub fn is_moving(&self) -> bool {
        match self {
            Value::Now(_) | Value::Age(_) | Value::Countdown(_) => true,
            Value::Optional(Some(inner)) => inner.is_moving(),
            _ => false,
        }
    }

    /// The value as it is at this moment, without its connection to the clock.
    pub fn settled(self) -> Value {
        match self {
            Value::Now(at) => Value::Timestamp(at),
            Value::Age(duration) | Value::Countdown(duration) => Value::Duration(duration),
            Value::Optional(Some(inner)) if inner.is_moving() => {
                Value::some(Value::clone(&inner).settled())
            }
            other => other,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Double(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(value.into())
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Value {
        Value::Timestamp(value)
    }
}

impl From<Duration> for Value {
    fn from(value: Duration) -> Value {
        Value::Duration(value)
    }
}

impl From<Arc<str>> for Value {
    fn from(value: Arc<str>) -> Value {
        Value::String(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Value {
        Value::List(value.into())
    }
}

impl<R: Record + 'static> From<Arc<R>> for Value {
    fn from(value: Arc<R>) -> Value {
        Value::Record(value)
    }
}
