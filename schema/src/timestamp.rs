//! Points in time: RFC 3339, UTC, to the nanosecond.

use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{clip, parse_str};

/// A point in time. Always read from somewhere, never from a clock: in the core time is the
/// `recorded_at` of the record at hand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// Why a text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time: expected RFC 3339 as in `2026-08-21T10:00:00Z`")]
pub struct TimestampError(String);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    /// The time so many nanoseconds after the epoch; `None` outside of chrono's years.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Option<Self> {
        let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
        let rest = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
        DateTime::from_timestamp(seconds, rest).map(Self)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub fn nanos(self) -> i128 {
        i128::from(self.0.timestamp()) * 1_000_000_000 + i128::from(self.0.timestamp_subsec_nanos())
    }

    /// The same as chrono's type.
    #[must_use]
    pub fn datetime(self) -> DateTime<Utc> {
        self.0
    }

    /// This time and `delta`; the last or first time there is where the sum is out of range.
    #[must_use]
    pub fn saturating_add(self, delta: TimeDelta) -> Self {
        let limit = if delta < TimeDelta::zero() {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        };
        Self(self.0.checked_add_signed(delta).unwrap_or(limit))
    }

    /// The time from `earlier` to this; negative if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> TimeDelta {
        self.0 - earlier.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        // A leap second is read as the last nanosecond before it, so that order and arithmetic hold.
        match (
            time.timestamp_subsec_nanos(),
            DateTime::from_timestamp(time.timestamp(), 999_999_999),
        ) {
            (1_000_000_000.., Some(before)) => Self(before),
            _ => Self(time),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        DateTime::parse_from_rfc3339(text)
            .map(|time| time.with_timezone(&Utc).into())
            .map_err(|_| TimestampError(clip(text)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_str(deserializer)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_to_the_nanosecond_and_written_in_utc() {
        let check = |text: &str, written: &str| {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string(), written);
            assert_eq!(Timestamp::from_nanos(time.nanos()), Some(time));
        };
        check("2026-08-21T10:00:00Z", "2026-08-21T10:00:00Z");
        check("2026-08-21T12:00:00.5+02:00", "2026-08-21T10:00:00.500Z");
        check(
            "2026-08-21T10:00:00.123456789Z",
            "2026-08-21T10:00:00.123456789Z",
        );
        check(
            "1969-12-31T23:59:59.999999999Z",
            "1969-12-31T23:59:59.999999999Z",
        );
        check("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-08-21",
            "2026-13-01T00:00:00Z",
            "1417566161",
            "2026-08-21T10:00:00",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn sums_out_of_range_stay_at_the_limit() {
        let late: Timestamp = "9999-12-31T23:59:59Z".parse().unwrap();
        assert!(late.saturating_add(TimeDelta::MAX) >= late);
        assert!(late.saturating_add(TimeDelta::MIN) <= late);
    }
}
